use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use loginradius_proto::session::{
    Handout, LoadOutcome, SaveOutcome, SessionEnd, SessionEvent, SessionFlow, SessionInput, SessionMemory,
    SessionPolicy, SessionStep,
};
use loginradius_proto::{AccessToken, Error, TokenSet};
use loginradius_store::{LockedSession, TokenStore};

use crate::client::{Client, seed};

/// The sessions of one store: tokens that are kept between runs, and refreshed when they have to be.
///
/// Cloning it is cheap. One program needs one: all [`Session`]s of a name that come from it share
/// one token and one refresh. Other programs may use the same store at the same time.
///
/// ```
/// use loginradius_blocking::store::MemoryStore;
/// use loginradius_blocking::{App, Client, ErrorKind, Sessions, TokenSet};
///
/// # fn main() -> Result<(), loginradius_blocking::Error> {
/// let client = Client::new(App::new("my-client-id").client_secret("my-client-secret"))?;
/// let sessions = Sessions::new(&client, MemoryStore::new());
///
/// let session = sessions.session("ada@example.com");
/// assert_eq!(session.access_token().unwrap_err().kind(), ErrorKind::SignInAgain);
///
/// // The tokens of a device login, a code or a password:
/// session.sign_in(TokenSet::new("b8cb84c9-dff7-401a-94c1-7cd44ebf80a0"))?;
/// assert_eq!(session.access_token()?.expose(), "b8cb84c9-dff7-401a-94c1-7cd44ebf80a0");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    client: Client,
    store: Box<dyn TokenStore>,
    policy: SessionPolicy,
    on_event: Option<OnEvent>,
    known: Mutex<HashMap<String, Weak<Shared>>>,
    /// Sessions whose newest tokens are in memory alone. They stay, with their locks, also when nobody
    /// else holds them: whoever asks for that name again gets them, and nobody gets to spend a token twice.
    unsaved: Mutex<HashMap<String, Session>>,
}

type OnEvent = Box<dyn Fn(&str, &SessionEvent) + Send + Sync>;

impl Sessions {
    /// The sessions of that store, refreshed over that client, with the settings that
    /// [`SessionsBuilder`] begins with.
    pub fn new(client: &Client, store: impl TokenStore) -> Self {
        Self::builder(client, store).build()
    }

    /// The same with settings of your own.
    pub fn builder(client: &Client, store: impl TokenStore) -> SessionsBuilder {
        let policy = SessionPolicy { timeout: client.timeout(), retry: client.retry(), ..SessionPolicy::default() };
        SessionsBuilder { client: client.clone(), store: Box::new(store), policy, on_event: None }
    }

    /// The session of that name, which is a user's id or whatever tells one session from another.
    ///
    /// Nothing is looked up before a token is asked for.
    #[must_use]
    pub fn session(&self, name: impl Into<String>) -> Session {
        let name = name.into();
        let mut known = lock(&self.0.known);
        if let Some(shared) = known.get(&name).and_then(Weak::upgrade) {
            return Session(shared);
        }
        let shared = Arc::new(Shared {
            sessions: Arc::clone(&self.0),
            name: name.clone(),
            memory: ArcSwap::default(),
            flight: Mutex::default(),
            events: Mutex::default(),
            lock: Mutex::default(),
        });
        known.insert(name, Arc::downgrade(&shared));
        Session(shared)
    }

    /// [Closes](Session::close) all sessions that are in use.
    ///
    /// # Errors
    ///
    /// The first that a session gave; the others are closed nevertheless.
    pub fn close(&self) -> Result<(), Error> {
        let all: Vec<_> = lock(&self.0.known).values().filter_map(Weak::upgrade).map(Session).collect();
        all.iter().map(Session::close).fold(Ok(()), Result::and)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("policy", &self.0.policy).finish_non_exhaustive()
    }
}

/// The settings of [`Sessions`].
#[must_use]
pub struct SessionsBuilder {
    client: Client,
    store: Box<dyn TokenStore>,
    policy: SessionPolicy,
    on_event: Option<OnEvent>,
}

impl SessionsBuilder {
    /// How long before its end a token is refreshed: see [`SessionPolicy::early`]. Zero turns that off.
    pub fn early_refresh(mut self, early: Duration) -> Self {
        self.policy.early = early;
        self
    }

    /// How long to wait for another process that is refreshing the session. 30 s by default.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.policy.lock_wait = wait;
        self
    }

    /// Signs out with the refresh token under the key `token`, as RFC 7009 has it, instead of LoginRadius's
    /// `refresh_token`.
    pub fn revoke_with_token_key(mut self) -> Self {
        self.policy.revoke_with_token_key = true;
        self
    }

    /// Is told what happens to the sessions: the session's name, and the event. The events of one session come
    /// one after the other and in their order, from the threads that made them happen, when their callers may
    /// have gone on already.
    pub fn on_event(mut self, on_event: impl Fn(&str, &SessionEvent) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Box::new(on_event));
        self
    }

    /// The sessions.
    pub fn build(self) -> Sessions {
        let Self { client, store, policy, on_event } = self;
        Sessions(Arc::new(Inner {
            client,
            store,
            policy,
            on_event,
            known: Mutex::default(),
            unsaved: Mutex::default(),
        }))
    }
}

impl fmt::Debug for SessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsBuilder").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// A session: its access token is good, and is refreshed when it is not.
///
/// Cloning it is cheap, and so is keeping ten thousand of them. Threads share one refresh: the first that
/// needs it makes it, the others wait for its result, or go on with the old token if that is still good.
/// Nothing runs in the background: a refresh is made by a thread that waits for it.
#[derive(Clone)]
pub struct Session(Arc<Shared>);

struct Shared {
    sessions: Arc<Inner>,
    name: String,
    /// What is known. Written by flows alone, of which there is one at a time; read without a lock.
    memory: ArcSwap<SessionMemory>,
    /// The flow that is running.
    flight: Mutex<Option<Arc<Flight>>>,
    events: Mutex<Events>,
    /// The store's lock, while a flow has it, and after a flow that could not save what it got.
    lock: Mutex<Option<Box<dyn LockedSession>>>,
}

impl Session {
    /// The session's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// An access token that is good now.
    ///
    /// As long as the token in memory is good, this takes no lock, does not look into the store and
    /// allocates nothing.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::SignInAgain`](crate::ErrorKind::SignInAgain): nobody is signed in, or LoginRadius has
    ///   ended the session. Nothing else says so.
    /// - [`ErrorKind::TryLater`](crate::ErrorKind::TryLater): LoginRadius, the network or the store does not
    ///   work now. The session goes on; [`Error::retry_after`] says when the next attempt is made.
    /// - [`ErrorKind::Settings`](crate::ErrorKind::Settings): somebody has to mend something, and the
    ///   message says what. Nothing is lost.
    /// - [`ErrorKind::BadAnswer`](crate::ErrorKind::BadAnswer) and what else LoginRadius may say.
    pub fn access_token(&self) -> Result<AccessToken, Error> {
        let memory = self.0.memory.load();
        match memory.handout(Instant::now(), SystemTime::now()) {
            Handout::Good(token) => Ok(token.clone()),
            Handout::Held(error) => Err(error.clone()),
            Handout::Early(token) => match self.0.begin(Purpose::Token { reported: None }) {
                Ok(turn) => {
                    drop(memory);
                    turn.refresh()
                }
                Err(_) => Ok(token.clone()),
            },
            Handout::Refresh => {
                drop(memory);
                self.0.refresh(None)
            }
        }
    }

    /// All the tokens, after [`access_token`](Self::access_token): for the `id_token` or the scope. Leave the
    /// refresh token to the session.
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token).
    pub fn tokens(&self) -> Result<TokenSet, Error> {
        self.access_token()?;
        let tokens = self.0.memory.load().tokens(Instant::now(), SystemTime::now());
        tokens.ok_or_else(|| Error::try_later("the session was signed out meanwhile", "another caller was faster"))
    }

    /// Another access token, because an API refused this one (HTTP 401).
    ///
    /// If the token that failed is not the newest any more, nothing is refreshed: a hundred callers with
    /// the same dead token cause one refresh.
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token).
    pub fn refresh_now(&self, failed: &AccessToken) -> Result<AccessToken, Error> {
        self.0.refresh(Some(failed))
    }

    /// Stores the tokens of a new sign-in, in place of an earlier one's.
    ///
    /// Call it at once: their lifetime counts from when they were asked for, which is known if this crate's
    /// client did.
    ///
    /// # Errors
    ///
    /// If they could not be stored: the session has them nevertheless, but in this process alone
    /// ([`unsaved`](Self::unsaved)), until a later call saves them.
    pub fn sign_in(&self, tokens: TokenSet) -> Result<(), Error> {
        let flow = |client: &Client, policy, memory| SessionFlow::sign_in(client.app(), policy, memory, tokens, seed());
        self.0.run(Purpose::Alone, flow).map(drop)
    }

    /// Signs out: revokes the refresh token and removes the session from the store. From the beginning on,
    /// nobody gets its token any more.
    ///
    /// # Errors
    ///
    /// If LoginRadius cannot be reached, the session stays marked: call it again later, or
    /// [`forget`](Self::forget) it. If the answer to a refresh was lost before, LoginRadius may know a newer
    /// refresh token than the one that is revoked; nobody can revoke that one.
    pub fn sign_out(&self) -> Result<(), Error> {
        let flow = |client: &Client, policy, memory| SessionFlow::sign_out(client.app(), policy, memory, seed());
        self.0.run(Purpose::SignOut, flow).map(drop)
    }

    /// Removes the session from the store without a word to LoginRadius, where it lives on until its end.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn forget(&self) -> Result<(), Error> {
        let flow = |client: &Client, policy, memory| SessionFlow::forget(client.app(), policy, memory, seed());
        self.0.run(Purpose::Alone, flow).map(drop)
    }

    /// Why the newest tokens are in this process alone, if they are: they are lost if it ends now.
    #[must_use]
    pub fn unsaved(&self) -> Option<Error> {
        self.0.memory.load().unsaved().cloned()
    }

    /// Waits for a refresh that another thread is making, and saves what is [unsaved](Self::unsaved). The
    /// session can be used again after that.
    ///
    /// # Errors
    ///
    /// The store's, if there are still tokens that it does not hold.
    pub fn close(&self) -> Result<(), Error> {
        self.0.land();
        if self.unsaved().is_some() {
            // Its own result does not matter: it saves first.
            let _ = self.0.run(Purpose::Alone, refresh);
        }
        self.unsaved().map_or(Ok(()), Err)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("name", &self.0.name).finish_non_exhaustive()
    }
}

/// What a flow is for.
#[derive(Clone)]
enum Purpose {
    /// A token, for whoever needs one; not the one that was reported bad.
    Token { reported: Option<AccessToken> },
    /// Signing in, forgetting, saving: of no use to anybody else.
    Alone,
    /// Signing out, during which nobody gets the token any more.
    SignOut,
}

/// A flow that is running, and for which others wait.
struct Flight {
    purpose: Purpose,
    outcome: Mutex<Option<Outcome>>,
    landed: Condvar,
}

type Outcome = Result<Option<AccessToken>, Error>;

impl Flight {
    fn wait(&self) -> Outcome {
        let mut outcome = lock(&self.outcome);
        loop {
            match &*outcome {
                Some(outcome) => return outcome.clone(),
                None => outcome = self.landed.wait(outcome).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Whether its outcome is one for a caller for whom that token failed.
    fn answers(&self, failed: Option<&AccessToken>, outcome: &Outcome) -> bool {
        match (&self.purpose, failed) {
            (Purpose::Alone | Purpose::SignOut, _) => false,
            (Purpose::Token { .. }, None) => true,
            (Purpose::Token { reported }, Some(failed)) => {
                let other = |token: &AccessToken| token.expose() != failed.expose();
                reported.as_ref().is_some_and(|reported| !other(reported))
                    || outcome.as_ref().map_or(true, |token| token.as_ref().is_some_and(other))
            }
        }
    }
}

/// The right to run a flow. Dropped without one, as in a panic, it lets the others go on.
struct Turn<'a> {
    shared: &'a Shared,
    flight: Arc<Flight>,
    /// What nobody gets to see during a sign-out.
    hidden: Option<Arc<SessionMemory>>,
}

impl Turn<'_> {
    /// Refreshes, unless somebody did so just before.
    fn refresh(self) -> Result<AccessToken, Error> {
        let mut memory = SessionMemory::clone(&self.shared.memory.load());
        if let Purpose::Token { reported: Some(failed) } = &self.flight.purpose
            && memory.report(failed)
        {
            self.shared.memory.store(Arc::new(memory.clone()));
        }
        let early = matches!(self.flight.purpose, Purpose::Token { reported: None });
        let outcome = match memory.handout(Instant::now(), SystemTime::now()) {
            Handout::Good(token) => Ok(Some(token.clone())),
            Handout::Early(token) if !early => Ok(Some(token.clone())),
            Handout::Held(error) => Err(error.clone()),
            Handout::Early(_) | Handout::Refresh => return token(self.run(refresh)),
        };
        self.land(outcome.clone());
        token(outcome)
    }

    fn run(mut self, flow: impl FnOnce(&Client, SessionPolicy, SessionMemory) -> SessionFlow) -> Outcome {
        let sessions = &self.shared.sessions;
        let mut memory = SessionMemory::clone(&self.shared.memory.load());
        if let Purpose::SignOut = self.flight.purpose {
            self.hidden = Some(self.shared.memory.swap(Arc::default()));
        }
        let mut kept = lock(&self.shared.lock);
        if kept.is_none() {
            memory.lost_lock();
        }
        let end = drive(flow(&sessions.client, sessions.policy, memory), self.shared, &mut kept);
        drop(kept);
        self.shared.remember(end.memory);
        if sessions.on_event.is_some() {
            lock(&self.shared.events).untold.extend(end.events);
        }
        self.land(end.result.clone());
        self.shared.tell();
        end.result
    }

    fn land(&self, outcome: Outcome) {
        *lock(&self.shared.flight) = None;
        *lock(&self.flight.outcome) = Some(outcome);
        self.flight.landed.notify_all();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if lock(&self.flight.outcome).is_none() {
            // All but an unsaved pair is in the store, where the next flow looks.
            if let Some(memory) = self.hidden.take().filter(|memory| memory.unsaved().is_some()) {
                let mut memory = SessionMemory::clone(&memory);
                memory.doubt();
                self.shared.memory.store(Arc::new(memory));
            }
            if !self.shared.memory.load().keeps_lock() {
                *lock(&self.shared.lock) = None;
            }
            self.land(Err(broken_off()));
        }
    }
}

impl Shared {
    /// Takes the turn, or says whose it is.
    fn begin(&self, purpose: Purpose) -> Result<Turn<'_>, Arc<Flight>> {
        let mut running = lock(&self.flight);
        match &*running {
            Some(flight) => Err(Arc::clone(flight)),
            None => {
                let flight = Arc::new(Flight { purpose, outcome: Mutex::default(), landed: Condvar::new() });
                *running = Some(Arc::clone(&flight));
                Ok(Turn { shared: self, flight, hidden: None })
            }
        }
    }

    /// A token that is good, and not the one that failed.
    fn refresh(&self, failed: Option<&AccessToken>) -> Result<AccessToken, Error> {
        loop {
            match self.begin(Purpose::Token { reported: failed.cloned() }) {
                Ok(turn) => return turn.refresh(),
                Err(flight) => {
                    let outcome = flight.wait();
                    if flight.answers(failed, &outcome) {
                        return token(outcome);
                    }
                }
            }
        }
    }

    /// Runs a flow of one's own, when it is one's turn.
    fn run(
        &self,
        purpose: Purpose,
        flow: impl FnOnce(&Client, SessionPolicy, SessionMemory) -> SessionFlow,
    ) -> Outcome {
        loop {
            match self.begin(purpose.clone()) {
                Ok(turn) => return turn.run(flow),
                Err(flight) => drop(flight.wait()),
            }
        }
    }

    /// Waits until no flow is running.
    fn land(&self) {
        let running = lock(&self.flight).clone();
        if let Some(flight) = running {
            drop(flight.wait());
        }
    }

    /// Tells the events in their order, unless somebody is doing that: then that one tells these too.
    fn tell(&self) {
        let Some(on_event) = &self.sessions.on_event else { return };
        loop {
            let mut events = lock(&self.events);
            if events.telling {
                return;
            }
            let Some(event) = events.untold.pop_front() else { return };
            events.telling = true;
            drop(events);
            let _telling = Telling(self);
            on_event(&self.name, &event);
        }
    }

    /// What the next flow, and every caller, has to know.
    fn remember(&self, memory: SessionMemory) {
        let unsaved = memory.unsaved().is_some();
        self.memory.store(Arc::new(memory));
        let mut all = lock(&self.sessions.unsaved);
        if !unsaved {
            all.remove(&self.name);
        } else if let Some(shared) = lock(&self.sessions.known).get(&self.name).and_then(Weak::upgrade) {
            all.insert(self.name.clone(), Session(shared));
        }
    }
}

/// The events of a session that nobody has been told yet.
#[derive(Default)]
struct Events {
    untold: VecDeque<SessionEvent>,
    telling: bool,
}

/// Somebody is telling an event; dropped, also by a panic, the next one can be told.
struct Telling<'a>(&'a Shared);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        lock(&self.0.events).telling = false;
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut known = lock(&self.sessions.known);
        if known.get(&self.name).is_some_and(|shared| shared.strong_count() == 0) {
            known.remove(&self.name);
        }
    }
}

/// Drives a flow to its end: it decides, this obeys.
fn drive(mut flow: SessionFlow, shared: &Shared, kept: &mut Option<Box<dyn LockedSession>>) -> SessionEnd {
    let Inner { client, store, .. } = &*shared.sessions;
    loop {
        let input = match flow.step(Instant::now(), SystemTime::now()) {
            SessionStep::Lock => SessionInput::Locked(store.try_lock(&shared.name).map(|lock| {
                *kept = lock;
                kept.is_some()
            })),
            SessionStep::Load => SessionInput::Loaded(match kept {
                Some(session) => session.load(),
                None => LoadOutcome::Failed(broken_off()),
            }),
            SessionStep::Save { record, expected } => SessionInput::Saved(match kept {
                Some(session) => session.save(&record, expected),
                None => SaveOutcome::Conflict, // which makes it take the lock again
            }),
            SessionStep::Clear { expected } => SessionInput::Saved(match kept {
                Some(session) => session.clear(expected),
                None => SaveOutcome::Conflict,
            }),
            SessionStep::Send { request, options } => SessionInput::Answered(client.send(request, options)),
            SessionStep::Wait(until) => {
                thread::sleep(until.saturating_duration_since(Instant::now()));
                continue;
            }
            SessionStep::Unlock => {
                *kept = None;
                SessionInput::Unlocked
            }
            SessionStep::Done(end) => return end,
        };
        flow.receive(input, Instant::now(), SystemTime::now());
    }
}

fn refresh(client: &Client, policy: SessionPolicy, memory: SessionMemory) -> SessionFlow {
    SessionFlow::token(client.app(), policy, memory, seed())
}

fn token(outcome: Outcome) -> Result<AccessToken, Error> {
    outcome?.ok_or_else(broken_off)
}

fn broken_off() -> Error {
    Error::try_later("the session's refresh was broken off; try again", "its thread did not come to its end")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever panicked left nothing half done: what is locked here is one value, replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
