use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use http::{Request, Response};
use loginradius_proto::session::{SessionEvent, SessionOutcome, SessionPolicy};
use loginradius_proto::{AccessToken, App, Body, Error, SendOptions, TokenSet};
use loginradius_store::sessions::{
    OutcomeCell, Purged, Runtime, SessionSettings, SharedSession, SharedSessions, Transport,
};
use loginradius_store::{AsyncSessionStore, BlockingStore, SessionStore};

use crate::client::Client;

/// The sessions of one store: tokens that are kept between runs, and refreshed when they have to be.
///
/// Cloning it is cheap. One program needs one: all [`Session`]s of a name that come from it share
/// one token and one refresh. Other programs may use the same store at the same time.
///
/// # The end of the program
///
/// Dropping the last clone and the last [`Session`] blocks the thread as long as a request is under way, its tokens are
/// being saved, or a callback is running: at most for the client's timeout (30 s by default) and 5 s. Requests that
/// have not been sent are given up, and one more attempt is made to save unsaved tokens. If that fails too, they are
/// lost, and their lock is released. A `static` is never dropped, and `std::process::exit` drops nothing: call
/// [`flush`](Self::flush) before such an end. If a callback or a store drops the last one, it does not wait.
///
/// ```
/// use loginradius_blocking::store::MemoryStore;
/// use loginradius_blocking::{App, Client, ErrorKind, Sessions, TokenSet};
///
/// # fn main() -> Result<(), loginradius_blocking::Error> {
/// let client = Client::new(App::new("my-client-id").with_client_secret("my-client-secret"))?;
/// let sessions = Sessions::new(&client, MemoryStore::new());
///
/// let session = sessions.session("ada@example.com");
/// assert_eq!(session.access_token().unwrap_err().kind(), ErrorKind::SignInRequired);
///
/// // The tokens of a device login, a code or a password:
/// session.start(&TokenSet::new("b8cb84c9-dff7-401a-94c1-7cd44ebf80a0"))?;
/// assert_eq!(session.access_token()?.expose(), "b8cb84c9-dff7-401a-94c1-7cd44ebf80a0");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Sessions(SharedSessions<ThreadRuntime>);

impl Sessions {
    /// Makes the sessions of that store, refreshed over that client, with default settings.
    ///
    /// A time of [`Client::within`] does not count for them: [`Session::within`] limits their operations.
    pub fn new(client: &Client, store: impl SessionStore) -> Self {
        Self::builder(client, store).build()
    }

    /// Returns a builder, for custom settings. It begins with the timeout and the retries of that client.
    pub fn builder(client: &Client, store: impl SessionStore) -> SessionsBuilder {
        let policy = SessionPolicy::default().with_timeout(client.timeout()).with_retry(client.retry());
        let settings = SessionSettings::default().with_policy(policy);
        SessionsBuilder { client: client.clone(), store: Box::new(BlockingStore::new(store)), settings }
    }

    /// Returns the session of that name. This does not use the store yet.
    ///
    /// A name has one session: a second [`start`](Session::start) under it replaces the first login. A program for one
    /// user needs one name. A web service needs one for each browser: with one for each user, the last login would
    /// replace those of the user's other browsers, and a sign-out in one would sign out all.
    ///
    /// Stores show names, as in the names of files. So make a random id for this purpose and keep it in what you store
    /// for the browser, or take a hash of the browser's session id. Never take the value of a cookie: a reader of the
    /// name could act as the browser.
    ///
    /// To find all sessions of a user, begin their names with the user's id and a character that no id contains, such
    /// as `2f1d/` ([`sign_out_all`](Self::sign_out_all)). A browser that never comes back leaves its record, until you
    /// [`purge`](Self::purge) it.
    #[must_use]
    pub fn session(&self, name: impl AsRef<str>) -> Session {
        Session(self.0.session(name))
    }

    /// Lists the names of the sessions that have a record and begin with that prefix, in the order of their bytes. An
    /// empty prefix lists all.
    ///
    /// A record does not mean that a user is signed in: it stays if its refresh token was rejected, or if its sign-out
    /// was not completed.
    ///
    /// ```
    /// use loginradius_blocking::store::MemoryStore;
    /// use loginradius_blocking::{App, Client, Sessions, TokenSet};
    ///
    /// # fn main() -> Result<(), loginradius_blocking::Error> {
    /// # let client = Client::new(App::new("my-client-id").with_client_secret("my-client-secret"))?;
    /// let sessions = Sessions::new(&client, MemoryStore::new());
    /// for browser in ["2f1d/laptop", "2f1d/phone", "2f1d0/laptop"] {
    ///     sessions.session(browser).start(&TokenSet::new("b8cb84c9-dff7-401a-94c1-7cd44ebf80a0"))?;
    /// }
    /// assert_eq!(sessions.names("2f1d/")?, ["2f1d/laptop", "2f1d/phone"]);
    /// assert_eq!(sessions.names("")?.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The store's errors; [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if it cannot list its sessions, such as a
    /// store of your own without the method `names`; and
    /// [`ErrorKind::DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded) after [`SessionPolicy::max_time`], six
    /// minutes by default.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>, Error> {
        ready(self.0.names(prefix))?
    }

    /// [Signs out](Session::sign_out) all sessions whose names begin with that prefix, such as those of one user.
    /// Returns how many it signed out.
    ///
    /// End the prefix with the character that ends the user's id in the names: `2f1d` is also the start of another
    /// user's `2f1d0/laptop`. It signs out the sessions that have a record when it begins, those of other machines too,
    /// eight at a time.
    ///
    /// In all, it takes at most [`SessionPolicy::max_time`], six minutes by default. Sessions that it has not begun by
    /// then are left as they are.
    ///
    /// ```
    /// use loginradius_blocking::store::MemoryStore;
    /// use loginradius_blocking::{App, Client, Sessions, TokenSet};
    ///
    /// # fn main() -> Result<(), loginradius_blocking::Error> {
    /// # let client = Client::new(App::new("my-client-id").with_client_secret("my-client-secret"))?;
    /// let sessions = Sessions::new(&client, MemoryStore::new());
    /// for browser in ["2f1d/laptop", "2f1d/phone", "2f1d0/laptop"] {
    ///     sessions.session(browser).start(&TokenSet::new("b8cb84c9-dff7-401a-94c1-7cd44ebf80a0"))?;
    /// }
    /// assert_eq!(sessions.sign_out_all("2f1d/")?, 2);
    /// assert_eq!(sessions.names("")?, ["2f1d0/laptop"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The first error of a session, whose message says how many were not signed out; the others are signed out
    /// nevertheless. Call it again to continue. Besides, the errors of [`names`](Self::names); and with an empty
    /// prefix, which would sign out every user, [`ErrorKind::Misuse`](crate::ErrorKind::Misuse). If you want that, sign
    /// out the session of each name.
    #[doc(alias("logout everywhere", "global logout"))]
    pub fn sign_out_all(&self, prefix: &str) -> Result<usize, Error> {
        ready(self.0.sign_out_all(prefix))?
    }

    /// Removes the records of dead sessions, which no user will miss. It sends nothing to LoginRadius. Call it about
    /// once a day, on one machine.
    ///
    /// | the record | removed |
    /// | --- | --- |
    /// | Its refresh token was rejected: only a login helps. | yes |
    /// | Its tokens were obtained longer ago than `older_than`. | yes, even if a sign-out began and has not ended |
    /// | Another caller or process has the session's lock. | no: [`skipped`](Purged::skipped) |
    /// | It is damaged, or a newer program wrote it. | no: [`unreadable`](Purged::unreadable) |
    /// | Its tokens are from the future, because a clock was set back. | no |
    ///
    /// A session that is used gets new tokens when its access token expires. So let `older_than` be much longer than
    /// the lifetime of an access token, and at least as long as LoginRadius accepts a refresh token.
    ///
    /// It decides by the record that it loads under the session's lock, and removes that very record: a login at the
    /// same time is not lost. It purges one session after the other, without a time limit.
    ///
    /// ```
    /// use std::time::Duration;
    /// use loginradius_blocking::store::MemoryStore;
    /// use loginradius_blocking::{App, Client, Sessions};
    ///
    /// # fn main() -> Result<(), loginradius_blocking::Error> {
    /// # let client = Client::new(App::new("my-client-id").with_client_secret("my-client-secret"))?;
    /// let sessions = Sessions::new(&client, MemoryStore::new());
    /// // Once a day:
    /// let purged = sessions.purge(Duration::from_secs(90 * 24 * 60 * 60))?;
    /// println!("{} dead sessions were removed, {} are unreadable", purged.removed, purged.unreadable);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The store's first error; the other sessions are purged nevertheless, until there were ten errors.
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if the store cannot list its sessions.
    #[doc(alias("clean up", "garbage collection", "expire"))]
    pub fn purge(&self, older_than: Duration) -> Result<Purged, Error> {
        ready(self.0.purge(older_than))?
    }

    /// [Flushes](Session::flush) all sessions that are in use, at the same time, within the time that one operation
    /// may take ([`SessionPolicy::max_time`]).
    ///
    /// A session is in use as long as a [`Session`] of it exists, one of its operations is running, or its newest
    /// tokens [could not be saved](Session::save_error).
    ///
    /// # Errors
    ///
    /// The first one; the other sessions are flushed nevertheless.
    pub fn flush(&self) -> Result<(), Error> {
        ready(self.0.flush())?
    }
}

/// The settings of [`Sessions`].
#[must_use]
pub struct SessionsBuilder {
    client: Client,
    store: Box<dyn AsyncSessionStore>,
    settings: SessionSettings,
}

impl SessionsBuilder {
    /// Sets how long before its end a token is refreshed: see [`SessionPolicy::early`]. Zero turns that off.
    pub fn early_refresh(mut self, early: Duration) -> Self {
        self.settings.policy.early = early;
        self
    }

    /// Sets how long to wait for another process that is refreshing the session. 30 s by default.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.settings.policy.lock_wait = wait;
        self
    }

    /// Sets a callback for what happens to the sessions: it gets the session's name, and the event.
    ///
    /// The events of one session come one at a time and in order, from the threads of its refreshes and changes. The
    /// caller that begins an operation gets its result after the callback has returned, unless it waits for a limited
    /// time. Other callers do not wait for the callback. The callback may block, and may use the session. It must not
    /// own a [`Session`] or [`Sessions`] of these, which would never be dropped then: give it a
    /// [`Weak`](std::sync::Weak) to what owns them, or [`flush`](Sessions::flush) before the program ends.
    /// [`SessionEvent`] says what to do about each event.
    pub fn on_event(mut self, on_event: impl Fn(&str, &SessionEvent) + Send + Sync + 'static) -> Self {
        self.settings.on_event = Some(Box::new(on_event));
        self
    }

    /// Makes the sessions.
    pub fn build(self) -> Sessions {
        Sessions(SharedSessions::new(ThreadRuntime(self.client), self.store, self.settings))
    }
}

impl fmt::Debug for SessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A session, which returns a valid access token, and refreshes it when necessary.
///
/// Cloning it is cheap, and so is keeping ten thousand of them. Threads share one refresh: the first one that needs it
/// begins it, and all wait for its result, or continue with the old token if that is still valid.
///
/// No refresh begins by itself. But a refresh, like everything that uses the store, runs on a thread of its own, and
/// continues when its callers no longer wait. In an early refresh, the caller that begins it waits for about a second,
/// and then gets the token that is still valid. A refresh token that was sent may be consumed, so that the program must
/// not end before its successor is saved: [`flush`](Self::flush) waits for that, and so does dropping the last
/// [handle](Sessions#the-end-of-the-program). The [tables of the
/// core](loginradius_proto::session::SessionFlow#when-something-goes-wrong) say what happens if a refresh is
/// interrupted.
///
/// If such a thread panics, in a store or a callback, only that thread ends, as if it had crashed: the callers that
/// wait for its result get a token that is still valid, or else
/// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable), and the next call continues from what is stored.
///
/// # What each method uses
///
/// | method | uses memory | uses the store | uses the network |
/// | --- | --- | --- | --- |
/// | [`expires_at`](Self::expires_at), [`save_error`](Self::save_error) | yes | no | no |
/// | [`access_token`](Self::access_token), [`tokens`](Self::tokens), [`is_signed_in`](Self::is_signed_in) | yes | if no valid access token is in memory, or it is about to expire | if the stored one is no better |
/// | [`refresh_rejected`](Self::refresh_rejected) | yes | if no newer access token is in memory | if the stored one is no newer |
/// | [`start`](Self::start), [`forget`](Self::forget) | no | yes | no |
/// | [`sign_out`](Self::sign_out) | no | yes | yes, if there is a refresh token to revoke |
/// | [`flush`](Self::flush) | yes | if tokens are unsaved | if the unsaved access token has expired |
///
/// All but those of the first row wait for an operation of this session that is running, unless a valid access token in
/// memory is enough.
///
/// # Calling LoginRadius as the user
///
/// LoginRadius responds to an access token that has expired with code 906 and HTTP 403, and a 403 can also mean
/// something else. So test the kind: [`ErrorKind::SignInRequired`](crate::ErrorKind::SignInRequired). From
/// [`Client::call`] it means that LoginRadius does not accept this access token, and not that the session has ended:
/// only the session's own operations say that. Get another token by [`refresh_rejected`](Self::refresh_rejected), and
/// repeat the call once.
///
/// ```
/// use loginradius_blocking::{AccessToken, Client, Endpoint, Error, ErrorKind, Session};
///
/// /// Calls an operation that takes the user's access token, such as your own `Endpoint`.
/// fn call_as_user<E: Endpoint>(
///     client: &Client,
///     session: &Session,
///     operation: impl Fn(AccessToken) -> E,
/// ) -> Result<E::Response, Error> {
///     let token = session.access_token()?;
///     match client.call(&operation(token.clone())) {
///         Err(error) if error.kind() == ErrorKind::SignInRequired => {
///             // If this fails with `SignInRequired`, the session has ended: begin a new login.
///             let token = session.refresh_rejected(&token)?;
///             client.call(&operation(token))
///         }
///         result => result,
///     }
/// }
///
/// # use loginradius_blocking::jwt::JwtByAccessToken;
/// # fn get(client: &Client, session: &Session) -> Result<(), Error> {
/// let jwt = call_as_user(client, session, JwtByAccessToken::new)?;
/// # Ok(())
/// # }
/// ```
///
/// Other APIs usually respond with HTTP 401: do the same then.
#[derive(Debug, Clone)]
pub struct Session(SharedSession<ThreadRuntime>);

impl Session {
    /// Returns the session's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Returns a handle whose operations wait at most `time`. Without it they wait at most
    /// [`SessionPolicy::max_time`]: six minutes by default.
    ///
    /// When the time is over, an access token that is still valid is returned, as during an early refresh. Otherwise
    /// the operation fails with [`ErrorKind::DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded). What was begun
    /// continues in its thread, and later callers get its result: to learn what became of a [`start`](Self::start), a
    /// [`sign_out`](Self::sign_out) or a [`forget`](Self::forget), call it again. With a time of zero nothing is begun,
    /// and a caller gets what is in memory.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn token(session: loginradius_blocking::Session) -> Result<(), loginradius_blocking::Error> {
    /// let token = session.within(Duration::from_secs(2)).access_token()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[doc(alias = "deadline")]
    pub fn within(&self, time: Duration) -> Self {
        Self(self.0.within(time))
    }

    /// Returns whether a user is signed in. Without a valid access token in memory, it gets one to find out, and may
    /// refresh it over the network.
    ///
    /// `true` while LoginRadius or the store cannot be reached, if this process knows the session from before: no
    /// failure signs a user out. `false` only where [`access_token`](Self::access_token) fails with
    /// [`ErrorKind::SignInRequired`](crate::ErrorKind::SignInRequired).
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token), if this process does not know: it has not loaded the session yet,
    /// or a start, a sign-out or a forget may or may not have been done. Then [`within`](Self::within) with a time of
    /// zero fails with [`ErrorKind::DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded); it never returns `false`.
    pub fn is_signed_in(&self) -> Result<bool, Error> {
        ready(self.0.is_signed_in())?
    }

    /// Returns when the access token in memory expires; `None` if there is none, or if its lifetime is unknown. This
    /// uses neither the store nor the network, so that it is `None` after a start of the program until another method
    /// has loaded the session.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.expires_at()
    }

    /// Returns an access token that is valid now.
    ///
    /// As long as the token in memory is valid and not about to expire, this takes no lock, does not use the store and
    /// allocates nothing.
    ///
    /// If a refresh succeeds and its tokens cannot be saved, the new access token is returned all the same;
    /// [`save_error`](Self::save_error) then has the store's error, and later calls try to save them. Only when that
    /// token has expired too does this fail with the store's error.
    ///
    /// # Errors
    ///
    /// Calling again is safe after every error. After a failure nothing is sent for a while, and all callers get its
    /// error.
    ///
    /// - [`ErrorKind::SignInRequired`](crate::ErrorKind::SignInRequired): no user is signed in, or LoginRadius has
    ///   ended the session. No other error ends it.
    /// - [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable): LoginRadius, the network or the store does not
    ///   work now. A session never returns `NotSent` or `OutcomeUnknown`: they become this kind. After a failed request
    ///   [`Error::retry_after`] says when to try again.
    /// - [`ErrorKind::DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded): the time of [`within`](Self::within) is
    ///   over.
    /// - [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) and
    ///   [`ErrorKind::StoreRefused`](crate::ErrorKind::StoreRefused): a setting, or something about the store, has to
    ///   be fixed, and the message says what. Nothing is lost.
    /// - [`ErrorKind::RecordDamaged`](crate::ErrorKind::RecordDamaged): the record cannot be read, and the message says
    ///   where it is. A [`start`](Self::start) replaces it and keeps a copy.
    /// - What LoginRadius may respond besides: [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), as for a
    ///   wrong client secret, [`ErrorKind::Refused`](crate::ErrorKind::Refused),
    ///   [`ErrorKind::Denied`](crate::ErrorKind::Denied) or
    ///   [`ErrorKind::UserActionRequired`](crate::ErrorKind::UserActionRequired). And
    ///   [`ErrorKind::InvalidResponse`](crate::ErrorKind::InvalidResponse) if it sent a new refresh token, which is
    ///   kept, without an access token.
    pub fn access_token(&self) -> Result<AccessToken, Error> {
        ready(self.0.access_token())?
    }

    /// Returns all tokens, with an access token that is valid now: for the `id_token` or the scope. Leave the refresh
    /// token to the session.
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token).
    pub fn tokens(&self) -> Result<TokenSet, Error> {
        ready(self.0.tokens())?
    }

    /// Gets another access token, because LoginRadius or an API rejected this one.
    ///
    /// In short: refreshes the rejected token, even if it has not expired. See
    /// [the example](#calling-loginradius-as-the-user).
    ///
    /// If that token is not the newest any more, nothing is refreshed: a hundred callers with the same rejected token
    /// cause one refresh.
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token).
    pub fn refresh_rejected(&self, token: &AccessToken) -> Result<AccessToken, Error> {
        ready(self.0.refresh_rejected(token))?
    }

    /// Stores the tokens of a new login in place of those of an earlier one.
    ///
    /// Tokens that were replaced before do not come back: after `start(&a)` and `start(&b)`, another `start(&a)`
    /// changes nothing, and the session stays that of `b`. A program that switches between users gives each one a
    /// session name.
    ///
    /// Their lifetime counts from [`TokenSet::requested_at`], which this crate's client sets, or else from this call:
    /// so call it at once.
    ///
    /// # Errors
    ///
    /// If they could not be stored. The session does not keep them: call it again with the same tokens, as often as you
    /// like. If an earlier call did store them, this call leaves the session as it is now, including any refresh or
    /// later login since; it fails with [`ErrorKind::SignInRequired`](crate::ErrorKind::SignInRequired) if LoginRadius
    /// has ended the session or a sign-out has begun. Do not call it after a [`sign_out`](Self::sign_out) or a
    /// [`forget`](Self::forget) that succeeded: they leave no trace, so that the tokens would be stored once more.
    ///
    /// The kinds are the store's ([`access_token`](Self::access_token) has them), and
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the access token is empty or the tokens are
    /// longer than 1 MiB together.
    pub fn start(&self, tokens: &TokenSet) -> Result<(), Error> {
        ready(self.0.start(tokens))?
    }

    /// Signs out: marks the stored session as being signed out, revokes the refresh token, and removes the session from
    /// the store. As soon as it begins, no caller gets the session's token any more.
    ///
    /// # Errors
    ///
    /// - If LoginRadius cannot be reached ([`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable)) or refuses, the
    ///   session stays marked in the store, after a restart too, and the store still lists its name.
    ///   [`access_token`](Self::access_token) then fails with
    ///   [`ErrorKind::SignInRequired`](crate::ErrorKind::SignInRequired). Call `sign_out` again later, which continues;
    ///   or [`forget`](Self::forget) the session; or [`start`](Self::start) another login, which replaces it.
    /// - If the store fails, call it again. If it fails before the mark is stored, nothing was revoked, and the user is
    ///   still signed in.
    ///
    /// If the response to a refresh was lost before, LoginRadius may know a newer refresh token than the one that is
    /// revoked, and that one cannot be revoked from here.
    #[doc(alias("logout", "sign out", "log out"))]
    pub fn sign_out(&self) -> Result<(), Error> {
        ready(self.0.sign_out())?
    }

    /// Removes the session from the store and sends nothing to LoginRadius, where it lasts until its own end.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn forget(&self) -> Result<(), Error> {
        ready(self.0.forget())?
    }

    /// Returns the store's error if the newest tokens could not be saved, and `None` if they are saved.
    ///
    /// As long as it is not `None`, the tokens are in this process alone, and are lost with it: repair the store, and
    /// [`flush`](Self::flush).
    #[must_use]
    pub fn save_error(&self) -> Option<Error> {
        self.0.save_error()
    }

    /// Waits for a refresh that is running, and saves what is [unsaved](Self::save_error). The session can be used
    /// afterwards.
    ///
    /// # Errors
    ///
    /// The store's, if there are still tokens that it does not hold: they stay in this process. Calling again is safe.
    pub fn flush(&self) -> Result<(), Error> {
        ready(self.0.flush())?
    }
}

/// Runs each flow in a thread of its own. All its futures are ready at their first poll.
#[derive(Debug)]
struct ThreadRuntime(Client);

impl Transport for ThreadRuntime {
    async fn send(&self, request: Request<Body>, options: SendOptions) -> Result<Response<Body>, Error> {
        self.0.send(request, options)
    }

    async fn sleep_until(&self, until: Instant) {
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

impl Runtime for ThreadRuntime {
    type OutcomeCell = BlockingCell;

    fn app(&self) -> &App {
        self.0.app()
    }

    fn lead(&self, flow: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        // If the future is not ready at its first poll, it is dropped, which aborts the flow.
        let started = thread::Builder::new().name("loginradius session".to_owned()).spawn(|| drop(ready(flow)));
        started.map(drop).map_err(|error| {
            let message = format!(
                "no thread could be started for the session, {error}: allow this program more threads, open files and \
                 memory, or let it do less at a time"
            );
            Error::unavailable(message, error)
        })
    }

    async fn wait(&self, cell: &BlockingCell, deadline: Instant) -> Option<SessionOutcome> {
        let mut outcome = cell.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if outcome.is_some() || left == Duration::ZERO {
                return outcome.clone();
            }
            outcome = cell.0.1.wait_timeout(outcome, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The outcome of a flow, for the threads that wait for it.
#[derive(Clone, Default)]
struct BlockingCell(Arc<(Mutex<Option<SessionOutcome>>, Condvar)>);

impl BlockingCell {
    fn lock(&self) -> MutexGuard<'_, Option<SessionOutcome>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutcomeCell for BlockingCell {
    fn set(&self, outcome: SessionOutcome) {
        *self.lock() = Some(outcome);
        self.0.1.notify_all();
    }
}

/// Returns the output of a future that blocks its thread, and so is ready at its first poll.
fn ready<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => {
            Err(Error::unavailable("the session's store did not block: try again later", "a pending future"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_does_not_block_is_an_error() {
        assert!(ready(std::future::pending::<()>()).is_err());
        assert_eq!(ready(std::future::ready(7)).unwrap(), 7);
    }

    #[test]
    fn a_wait_blocks_the_thread() {
        let runtime = ThreadRuntime(Client::new(App::new("my-client-id")).unwrap());
        let until = Instant::now() + Duration::from_millis(20);
        ready(runtime.sleep_until(until)).unwrap();
        assert!(Instant::now() >= until);
    }
}
