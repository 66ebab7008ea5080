use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use loginradius_proto::session::{
    Handout, LoadOutcome, SaveOutcome, SessionEnd, SessionEvent, SessionFlow, SessionInput, SessionMemory,
    SessionPolicy, SessionStep,
};
use loginradius_proto::{AccessToken, Error, TokenSet};
use loginradius_store::{AsyncLockedSession, AsyncTokenStore};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::client::{Client, seed};

/// The sessions of one store: tokens that are kept between runs, and refreshed when they have to be.
///
/// Cloning it is cheap. One program needs one: all [`Session`]s of a name that come from it share
/// one token and one refresh. Other programs may use the same store at the same time.
///
/// ```
/// use loginradius_async::store::MemoryStore;
/// use loginradius_async::{App, Client, ErrorKind, Sessions, TokenSet};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), loginradius_async::Error> {
/// let client = Client::new(App::new("my-client-id").client_secret("my-client-secret"))?;
/// let sessions = Sessions::new(&client, MemoryStore::new());
///
/// let session = sessions.session("ada@example.com");
/// assert_eq!(session.access_token().await.unwrap_err().kind(), ErrorKind::SignInAgain);
///
/// // The tokens of a device login, a code or a password:
/// session.sign_in(TokenSet::new("b8cb84c9-dff7-401a-94c1-7cd44ebf80a0")).await?;
/// assert_eq!(session.access_token().await?.expose(), "b8cb84c9-dff7-401a-94c1-7cd44ebf80a0");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    client: Client,
    store: Box<dyn AsyncTokenStore>,
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
    pub fn new(client: &Client, store: impl AsyncTokenStore) -> Self {
        Self::builder(client, store).build()
    }

    /// The same with settings of your own.
    pub fn builder(client: &Client, store: impl AsyncTokenStore) -> SessionsBuilder {
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
            lock: tokio::sync::Mutex::default(),
        });
        known.insert(name, Arc::downgrade(&shared));
        Session(shared)
    }

    /// [Closes](Session::close) all sessions that are in use.
    ///
    /// # Errors
    ///
    /// The first that a session gave; the others are closed nevertheless.
    pub async fn close(&self) -> Result<(), Error> {
        let all: Vec<_> = lock(&self.0.known).values().filter_map(Weak::upgrade).map(Session).collect();
        let mut result = Ok(());
        for session in &all {
            result = result.and(session.close().await);
        }
        result
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
    store: Box<dyn AsyncTokenStore>,
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
    /// one after the other and in their order, from the tasks that made them happen, when their callers may
    /// have gone on already. It must not block.
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
/// Cloning it is cheap, and so is keeping ten thousand of them. Tasks share one refresh: the first that
/// needs it starts it, and all wait for its result, or go on with the old token if that is still good.
///
/// A refresh, and whatever else asks the server or changes the store, is a task of its own, which goes on
/// when the future that waits for it is dropped. It begins for a caller that waits, never by itself. The
/// end of the tokio runtime stops it: that is like a crash of the program, after which the next one goes on
/// from what is stored. Wait for [`close`](Self::close) before a runtime ends.
#[derive(Clone)]
pub struct Session(Arc<Shared>);

struct Shared {
    sessions: Arc<Inner>,
    name: String,
    /// What is known. Written by flows alone, of which there is one at a time; read without a lock.
    memory: ArcSwap<SessionMemory>,
    /// The flow that is running.
    flight: Mutex<Option<Flight>>,
    events: Mutex<Events>,
    /// The store's lock, while a flow has it, and after a flow that could not save what it got.
    lock: tokio::sync::Mutex<Option<Box<dyn AsyncLockedSession>>>,
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
    pub async fn access_token(&self) -> Result<AccessToken, Error> {
        // In a block of its own: what is borrowed from the memory must not be held while waiting.
        let turn = {
            let memory = self.0.memory.load();
            match memory.handout(Instant::now(), SystemTime::now()) {
                Handout::Good(token) => return Ok(token.clone()),
                Handout::Held(error) => return Err(error.clone()),
                Handout::Early(token) => match self.0.begin(Purpose::Token { reported: None }) {
                    Ok(turn) => Some(turn),
                    Err(_) => return Ok(token.clone()),
                },
                Handout::Refresh => None,
            }
        };
        match turn {
            Some(turn) => turn.refresh().await,
            None => self.0.refresh(None).await,
        }
    }

    /// All the tokens, after [`access_token`](Self::access_token): for the `id_token` or the scope. Leave the
    /// refresh token to the session.
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token).
    pub async fn tokens(&self) -> Result<TokenSet, Error> {
        self.access_token().await?;
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
    pub async fn refresh_now(&self, failed: &AccessToken) -> Result<AccessToken, Error> {
        self.0.refresh(Some(failed)).await
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
    pub async fn sign_in(&self, tokens: TokenSet) -> Result<(), Error> {
        let flow = |client: &Client, policy, memory| SessionFlow::sign_in(client.app(), policy, memory, tokens, seed());
        self.0.run(Purpose::Alone, flow).await.map(drop)
    }

    /// Signs out: revokes the refresh token and removes the session from the store. From the beginning on,
    /// nobody gets its token any more.
    ///
    /// # Errors
    ///
    /// If LoginRadius cannot be reached, the session stays marked: call it again later, or
    /// [`forget`](Self::forget) it. If the answer to a refresh was lost before, LoginRadius may know a newer
    /// refresh token than the one that is revoked; nobody can revoke that one.
    pub async fn sign_out(&self) -> Result<(), Error> {
        let flow = |client: &Client, policy, memory| SessionFlow::sign_out(client.app(), policy, memory, seed());
        self.0.run(Purpose::SignOut, flow).await.map(drop)
    }

    /// Removes the session from the store without a word to LoginRadius, where it lives on until its end.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn forget(&self) -> Result<(), Error> {
        let flow = |client: &Client, policy, memory| SessionFlow::forget(client.app(), policy, memory, seed());
        self.0.run(Purpose::Alone, flow).await.map(drop)
    }

    /// Why the newest tokens are in this process alone, if they are: they are lost if it ends now.
    #[must_use]
    pub fn unsaved(&self) -> Option<Error> {
        self.0.memory.load().unsaved().cloned()
    }

    /// Waits for a refresh that is running, and saves what is [unsaved](Self::unsaved). The
    /// session can be used again after that.
    ///
    /// # Errors
    ///
    /// The store's, if there are still tokens that it does not hold.
    pub async fn close(&self) -> Result<(), Error> {
        self.0.land().await;
        if self.unsaved().is_some() {
            // Its own result does not matter: it saves first.
            let _ = self.0.run(Purpose::Alone, refresh).await;
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
#[derive(Clone)]
struct Flight {
    purpose: Purpose,
    outcome: watch::Receiver<Option<Outcome>>,
}

type Outcome = Result<Option<AccessToken>, Error>;

impl Flight {
    async fn wait(&mut self) -> Outcome {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(broken_off())),
            Err(_) => Err(broken_off()),
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

/// The right to run a flow. Dropped without one, as at the end of the runtime, it lets the others go on.
struct Turn {
    shared: Arc<Shared>,
    flight: Flight,
    outcome: watch::Sender<Option<Outcome>>,
    /// What nobody gets to see during a sign-out.
    hidden: Option<Arc<SessionMemory>>,
}

impl Turn {
    /// Refreshes, unless somebody did so just before.
    async fn refresh(self) -> Result<AccessToken, Error> {
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
            Handout::Early(_) | Handout::Refresh => return token(self.run(refresh)?.wait().await),
        };
        self.land(outcome.clone());
        token(outcome)
    }

    /// Runs a flow, in a task that nobody has to wait for.
    fn run(mut self, flow: impl FnOnce(&Client, SessionPolicy, SessionMemory) -> SessionFlow) -> Result<Flight, Error> {
        let runtime = Handle::try_current()
            .map_err(|_| Error::settings("a session needs a tokio runtime: call it from within one"))?;
        let flight = self.flight.clone();
        let sessions = Arc::clone(&self.shared.sessions);
        let mut memory = SessionMemory::clone(&self.shared.memory.load());
        if let Purpose::SignOut = self.flight.purpose {
            self.hidden = Some(self.shared.memory.swap(Arc::default()));
        }
        // Nobody else uses it: it is this turn's.
        if self.shared.lock.try_lock().is_ok_and(|kept| kept.is_none()) {
            memory.lost_lock();
        }
        let flow = flow(&sessions.client, sessions.policy, memory);
        runtime.spawn(async move {
            let mut kept = self.shared.lock.lock().await;
            let end = drive(flow, &self.shared, &mut kept).await;
            drop(kept);
            self.shared.remember(end.memory);
            if sessions.on_event.is_some() {
                lock(&self.shared.events).untold.extend(end.events);
            }
            self.land(end.result);
            self.shared.tell();
        });
        Ok(flight)
    }

    fn land(&self, outcome: Outcome) {
        *lock(&self.shared.flight) = None;
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.outcome.borrow().is_none() {
            // All but an unsaved pair is in the store, where the next flow looks.
            if let Some(memory) = self.hidden.take().filter(|memory| memory.unsaved().is_some()) {
                let mut memory = SessionMemory::clone(&memory);
                memory.doubt();
                self.shared.memory.store(Arc::new(memory));
            }
            if !self.shared.memory.load().keeps_lock()
                && let Ok(mut kept) = self.shared.lock.try_lock()
            {
                *kept = None;
            }
            self.land(Err(broken_off()));
        }
    }
}

impl Shared {
    /// Takes the turn, or says whose it is.
    fn begin(self: &Arc<Self>, purpose: Purpose) -> Result<Turn, Flight> {
        let mut running = lock(&self.flight);
        match &*running {
            Some(flight) => Err(flight.clone()),
            None => {
                let (sender, outcome) = watch::channel(None);
                let flight = Flight { purpose, outcome };
                *running = Some(flight.clone());
                Ok(Turn { shared: Arc::clone(self), flight, outcome: sender, hidden: None })
            }
        }
    }

    /// A token that is good, and not the one that failed.
    async fn refresh(self: &Arc<Self>, failed: Option<&AccessToken>) -> Result<AccessToken, Error> {
        loop {
            match self.begin(Purpose::Token { reported: failed.cloned() }) {
                Ok(turn) => return turn.refresh().await,
                Err(mut flight) => {
                    let outcome = flight.wait().await;
                    if flight.answers(failed, &outcome) {
                        return token(outcome);
                    }
                }
            }
        }
    }

    /// Runs a flow of one's own, when it is one's turn.
    async fn run(
        self: &Arc<Self>,
        purpose: Purpose,
        flow: impl FnOnce(&Client, SessionPolicy, SessionMemory) -> SessionFlow,
    ) -> Outcome {
        loop {
            let running = match self.begin(purpose.clone()) {
                Ok(turn) => return turn.run(flow)?.wait().await,
                Err(flight) => flight,
            };
            drop({ running }.wait().await);
        }
    }

    /// Waits until no flow is running.
    async fn land(&self) {
        let running = lock(&self.flight).clone();
        if let Some(mut flight) = running {
            drop(flight.wait().await);
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
async fn drive(mut flow: SessionFlow, shared: &Shared, kept: &mut Option<Box<dyn AsyncLockedSession>>) -> SessionEnd {
    let Inner { client, store, .. } = &*shared.sessions;
    loop {
        let input = match flow.step(Instant::now(), SystemTime::now()) {
            SessionStep::Lock => SessionInput::Locked(store.try_lock(&shared.name).await.map(|lock| {
                *kept = lock;
                kept.is_some()
            })),
            SessionStep::Load => SessionInput::Loaded(match kept {
                Some(session) => session.load().await,
                None => LoadOutcome::Failed(broken_off()),
            }),
            SessionStep::Save { record, expected } => SessionInput::Saved(match kept {
                Some(session) => session.save(&record, expected).await,
                None => SaveOutcome::Conflict, // which makes it take the lock again
            }),
            SessionStep::Clear { expected } => SessionInput::Saved(match kept {
                Some(session) => session.clear(expected).await,
                None => SaveOutcome::Conflict,
            }),
            SessionStep::Send { request, options } => SessionInput::Answered(client.send(request, options).await),
            SessionStep::Wait(until) => {
                tokio::time::sleep_until(until.into()).await;
                continue;
            }
            SessionStep::Unlock => {
                if let Some(session) = kept.take() {
                    session.unlock().await;
                }
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
    Error::try_later("the session's refresh was broken off; try again", "its task did not come to its end")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever panicked left nothing half done: what is locked here is one value, replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
