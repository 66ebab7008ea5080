use std::time::{Duration, Instant, SystemTime};
use std::{fmt, thread};

use http::{Request, Response};
use loginradius_proto::session::{SessionEvent, SessionOutcome, SessionPolicy};
use loginradius_proto::{AccessToken, App, Body, Error, SendOptions, TokenSet};
use loginradius_store::AsyncSessionStore;
use loginradius_store::sessions::{
    OutcomeCell, Purged, Runtime, SessionSettings, SharedSession, SharedSessions, Transport,
};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::client::Client;
use crate::driver::no_thread;
use crate::lazy_thread::LazyThread;
use crate::timer;

/// The sessions of one store: tokens that are kept between runs, and refreshed when they have to be.
///
/// Cloning it is cheap. One program needs one: all [`Session`]s of a name that come from it share
/// one token and one refresh. Other programs may use the same store at the same time.
///
/// They do their work on a thread of their own, `loginradius-sessions`, which begins with the first operation that uses
/// the store. So the store is called in that thread's tokio runtime. An operation of the store that takes longer than
/// 30 s is given up.
///
/// # The end of the program
///
/// Await [`flush`](Self::flush) before the program ends. Otherwise, dropping the last clone and the last [`Session`]
/// blocks the thread as long as a request is under way, its tokens are being saved, or a callback is running: at most
/// for the client's timeout (30 s by default) and 5 s. Requests that have not been sent are given up, and one more
/// attempt is made to save unsaved tokens. If that fails too, they are lost, and their lock is released. A `static` is
/// never dropped, and `std::process::exit` drops nothing. If a callback, a store, or a task that a callback has spawned
/// drops the last one, it does not wait.
///
/// ```
/// use loginradius_async::store::MemoryStore;
/// use loginradius_async::{App, Client, ErrorKind, Sessions, TokenSet};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), loginradius_async::Error> {
/// let client = Client::new(App::new("my-client-id").with_client_secret("my-client-secret"))?;
/// let sessions = Sessions::new(&client, MemoryStore::new());
///
/// let session = sessions.session("ada@example.com");
/// assert_eq!(session.access_token().await.unwrap_err().kind(), ErrorKind::SignInRequired);
///
/// // The tokens of a device login, a code or a password:
/// session.start(&TokenSet::new("b8cb84c9-dff7-401a-94c1-7cd44ebf80a0")).await?;
/// assert_eq!(session.access_token().await?.expose(), "b8cb84c9-dff7-401a-94c1-7cd44ebf80a0");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Sessions(SharedSessions<SessionRuntime>);

impl Sessions {
    /// Makes the sessions of that store, refreshed over that client, with default settings.
    ///
    /// A time of [`Client::within`] does not count for them: [`Session::within`] limits their operations.
    pub fn new(client: &Client, store: impl AsyncSessionStore) -> Self {
        Self::builder(client, store).build()
    }

    /// Returns a builder, for custom settings. It begins with the timeout and the retries of that client.
    pub fn builder(client: &Client, store: impl AsyncSessionStore) -> SessionsBuilder {
        let policy = SessionPolicy::default().with_timeout(client.timeout()).with_retry(client.retry());
        let settings = SessionSettings::default().with_policy(policy);
        SessionsBuilder { client: client.clone(), store: Box::new(store), settings }
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
    /// use loginradius_async::store::MemoryStore;
    /// use loginradius_async::{App, Client, Sessions, TokenSet};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), loginradius_async::Error> {
    /// # let client = Client::new(App::new("my-client-id").with_client_secret("my-client-secret"))?;
    /// let sessions = Sessions::new(&client, MemoryStore::new());
    /// for browser in ["2f1d/laptop", "2f1d/phone", "2f1d0/laptop"] {
    ///     sessions.session(browser).start(&TokenSet::new("b8cb84c9-dff7-401a-94c1-7cd44ebf80a0")).await?;
    /// }
    /// assert_eq!(sessions.names("2f1d/").await?, ["2f1d/laptop", "2f1d/phone"]);
    /// assert_eq!(sessions.names("").await?.len(), 3);
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
    pub async fn names(&self, prefix: &str) -> Result<Vec<String>, Error> {
        self.0.names(prefix).await
    }

    /// [Signs out](Session::sign_out) all sessions whose names begin with that prefix, such as those of one user.
    /// Returns how many it signed out.
    ///
    /// End the prefix with the character that ends the user's id in the names: `2f1d` is also the start of another
    /// user's `2f1d0/laptop`. It signs out the sessions that have a record when it begins, those of other machines too,
    /// eight at a time.
    ///
    /// In all, it takes at most [`SessionPolicy::max_time`], six minutes by default. Sessions that it has not begun by
    /// then are left as they are. If its future is dropped, a sign-out that has begun continues.
    ///
    /// ```
    /// use loginradius_async::store::MemoryStore;
    /// use loginradius_async::{App, Client, Sessions, TokenSet};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), loginradius_async::Error> {
    /// # let client = Client::new(App::new("my-client-id").with_client_secret("my-client-secret"))?;
    /// let sessions = Sessions::new(&client, MemoryStore::new());
    /// for browser in ["2f1d/laptop", "2f1d/phone", "2f1d0/laptop"] {
    ///     sessions.session(browser).start(&TokenSet::new("b8cb84c9-dff7-401a-94c1-7cd44ebf80a0")).await?;
    /// }
    /// assert_eq!(sessions.sign_out_all("2f1d/").await?, 2);
    /// assert_eq!(sessions.names("").await?, ["2f1d0/laptop"]);
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
    pub async fn sign_out_all(&self, prefix: &str) -> Result<usize, Error> {
        self.0.sign_out_all(prefix).await
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
    /// same time is not lost. It purges one session after the other, without a time limit. It continues if its future
    /// is dropped.
    ///
    /// ```
    /// use std::time::Duration;
    /// use loginradius_async::store::MemoryStore;
    /// use loginradius_async::{App, Client, Sessions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), loginradius_async::Error> {
    /// # let client = Client::new(App::new("my-client-id").with_client_secret("my-client-secret"))?;
    /// let sessions = Sessions::new(&client, MemoryStore::new());
    /// // Once a day:
    /// let purged = sessions.purge(Duration::from_secs(90 * 24 * 60 * 60)).await?;
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
    pub async fn purge(&self, older_than: Duration) -> Result<Purged, Error> {
        self.0.purge(older_than).await
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
    pub async fn flush(&self) -> Result<(), Error> {
        self.0.flush().await
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
    /// The events of one session come one at a time and in order, on threads of their own, after the callers have their
    /// results. The callback may block, and may use the session by
    /// [`Handle::block_on`](tokio::runtime::Handle::block_on). It must not own a [`Session`] or [`Sessions`] of these,
    /// which would never be dropped then: give it a [`Weak`](std::sync::Weak) to what owns them, or
    /// [`flush`](Sessions::flush) before the program ends. [`SessionEvent`] says what to do about each event.
    pub fn on_event(mut self, on_event: impl Fn(&str, &SessionEvent) + Send + Sync + 'static) -> Self {
        self.settings.on_event = Some(Box::new(on_event));
        self
    }

    /// Makes the sessions.
    pub fn build(self) -> Sessions {
        Sessions(SharedSessions::new(SessionRuntime::new(self.client), self.store, self.settings))
    }
}

impl fmt::Debug for SessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A session, which returns a valid access token, and refreshes it when necessary.
///
/// Cloning it is cheap, and so is keeping ten thousand of them. Tasks share one refresh: the first one that needs it
/// starts it, and all wait for its result, or continue with the old token if that is still valid.
///
/// No refresh begins by itself. But a refresh, like everything that uses the store, runs in a task of its own on the
/// thread of the [`Sessions`]: it continues when the future that waits for it is dropped, and when the runtime of its
/// caller stands still or ends. In an early refresh, the caller that begins it waits for about a second, and then gets
/// the token that is still valid. A refresh token that was sent may be consumed, so that the program must not end
/// before its successor is saved: [`flush`](Self::flush) waits for that, and so does dropping the last
/// [handle](Sessions#the-end-of-the-program). The [tables of the
/// core](loginradius_proto::session::SessionFlow#when-something-goes-wrong) say what happens if a refresh is
/// interrupted.
///
/// If such a task panics, in a store or a callback, only that task ends, as if it had crashed: the callers that wait
/// for its result get a token that is still valid, or else [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable),
/// and the next call continues from what is stored.
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
/// use loginradius_async::{AccessToken, Client, Endpoint, Error, ErrorKind, Session};
///
/// /// Calls an operation that takes the user's access token, such as your own `Endpoint`.
/// async fn call_as_user<E: Endpoint>(
///     client: &Client,
///     session: &Session,
///     operation: impl Fn(AccessToken) -> E,
/// ) -> Result<E::Response, Error> {
///     let token = session.access_token().await?;
///     match client.call(&operation(token.clone())).await {
///         Err(error) if error.kind() == ErrorKind::SignInRequired => {
///             // If this fails with `SignInRequired`, the session has ended: begin a new login.
///             let token = session.refresh_rejected(&token).await?;
///             client.call(&operation(token)).await
///         }
///         result => result,
///     }
/// }
///
/// # use loginradius_async::jwt::JwtByAccessToken;
/// # async fn get(client: &Client, session: &Session) -> Result<(), Error> {
/// let jwt = call_as_user(client, session, JwtByAccessToken::new).await?;
/// # Ok(())
/// # }
/// ```
///
/// Other APIs usually respond with HTTP 401: do the same then.
#[derive(Debug, Clone)]
pub struct Session(SharedSession<SessionRuntime>);

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
    /// continues in its task, and later callers get its result: to learn what became of a [`start`](Self::start), a
    /// [`sign_out`](Self::sign_out) or a [`forget`](Self::forget), call it again. With a time of zero nothing is begun,
    /// and a caller gets what is in memory.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn token(session: loginradius_async::Session) -> Result<(), loginradius_async::Error> {
    /// let token = session.within(Duration::from_secs(2)).access_token().await?;
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
    pub async fn is_signed_in(&self) -> Result<bool, Error> {
        self.0.is_signed_in().await
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
    pub async fn access_token(&self) -> Result<AccessToken, Error> {
        self.0.access_token().await
    }

    /// Returns all tokens, with an access token that is valid now: for the `id_token` or the scope. Leave the refresh
    /// token to the session.
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token).
    pub async fn tokens(&self) -> Result<TokenSet, Error> {
        self.0.tokens().await
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
    pub async fn refresh_rejected(&self, token: &AccessToken) -> Result<AccessToken, Error> {
        self.0.refresh_rejected(token).await
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
    pub async fn start(&self, tokens: &TokenSet) -> Result<(), Error> {
        self.0.start(tokens).await
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
    pub async fn sign_out(&self) -> Result<(), Error> {
        self.0.sign_out().await
    }

    /// Removes the session from the store and sends nothing to LoginRadius, where it lasts until its own end.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn forget(&self) -> Result<(), Error> {
        self.0.forget().await
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
    pub async fn flush(&self) -> Result<(), Error> {
        self.0.flush().await
    }
}

/// Runs each flow in a task on the thread of the sessions.
///
/// So a flow does not depend on the caller's runtime, which may end, stand still, or be full of callers that wait for
/// this very flow. Nor does it run on the client's thread, where a hostile server can delay timers.
struct SessionRuntime {
    client: Client,
    thread: LazyThread,
    store_timeout: Duration,
}

impl SessionRuntime {
    /// How long an operation of the store may take. One that takes longer is taken to hang.
    const STORE_TIMEOUT: Duration = Duration::from_secs(30);

    fn new(client: Client) -> Self {
        Self { client, thread: LazyThread::new("loginradius-sessions"), store_timeout: Self::STORE_TIMEOUT }
    }
}

impl Transport for SessionRuntime {
    async fn send(&self, request: Request<Body>, options: SendOptions) -> Result<Response<Body>, Error> {
        self.client.send(request, options).await
    }

    async fn sleep_until(&self, until: Instant) {
        tokio::time::sleep_until(until.into()).await;
    }

    async fn limit<F: Future<Output: Send> + Send>(&self, operation: F) -> Option<F::Output> {
        tokio::time::timeout(self.store_timeout, operation).await.ok()
    }
}

impl Runtime for SessionRuntime {
    type OutcomeCell = AsyncCell;

    fn app(&self) -> &App {
        self.client.app()
    }

    fn lead(&self, flow: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        self.thread.spawn(flow).map(drop).map_err(|error| no_thread(FOR_SESSION, error))
    }

    fn needs_this_thread(&self) -> bool {
        self.thread.is_current()
    }

    fn deliver(&self, events: impl FnOnce() + Send + 'static) {
        // Not on the thread of the sessions, which a callback may block, nor on tokio's threads for blocking work: many
        // callbacks that block would leave none to a store of files.
        let runtime = Handle::current();
        let deliver = move || {
            let _entered = runtime.enter();
            events();
        };
        // If no thread can be started, these events are delivered with the next ones.
        drop(thread::Builder::new().name("loginradius-events".to_owned()).spawn(deliver));
    }

    async fn wait(&self, cell: &AsyncCell, deadline: Instant) -> Option<SessionOutcome> {
        let mut receiver = cell.0.subscribe();
        match timer::timeout_at(deadline, receiver.wait_for(Option::is_some)).await {
            Ok(outcome) => outcome?.ok()?.clone(),
            Err(error) => Some(Err(no_thread(FOR_SESSION, error))),
        }
    }
}

const FOR_SESSION: &str = "for the session";

/// The outcome of a flow, for the tasks that wait for it.
#[derive(Clone)]
struct AsyncCell(watch::Sender<Option<SessionOutcome>>);

impl Default for AsyncCell {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl OutcomeCell for AsyncCell {
    fn set(&self, outcome: SessionOutcome) {
        self.0.send_replace(Some(outcome));
    }
}

#[cfg(test)]
mod tests {
    use loginradius_conformance::emulator::{Emulator, seeded};
    use loginradius_conformance::{Store, StoreFault};
    use loginradius_proto::{ErrorKind, Service};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    /// A session whose store may take 50 ms for each operation, and has an unsaved pair.
    async fn unsaved() -> (Emulator, Store, Session, AccessToken) {
        let emulator = Emulator::start().unwrap();
        let app = App::new(seeded::CLIENT_ID).with_client_secret(seeded::CLIENT_SECRET);
        let client = Client::new(app.with_service(Service::classic_at(emulator.base_url()).unwrap())).unwrap();
        let store = Store::new();
        let runtime = SessionRuntime { store_timeout: SHORT, ..SessionRuntime::new(client) };
        let sessions = SharedSessions::new(runtime, Box::new(store.clone()), SessionSettings::default());
        let session = Session(sessions.session("ada"));
        let login = emulator.login(&seeded::ADA);
        let mut tokens = TokenSet::new(login.access_token);
        tokens.refresh_token = login.refresh_token.map(Into::into);
        session.start(&tokens).await.unwrap();
        store.set_fault(StoreFault::SaveFailsAfterIntent);
        let token = session.refresh_rejected(&tokens.access_token).await.unwrap();
        assert!(session.save_error().is_some());
        (emulator, store, session, token)
    }

    /// The pair stays in this process, and the lock with it.
    #[tokio::test]
    async fn a_load_that_hangs_is_given_up_and_loses_nothing() {
        let (emulator, store, session, token) = unsaved().await;
        store.set_fault(StoreFault::LoadHangs);
        let error = session.sign_out().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("took too long"), "{error}");
        assert!(session.save_error().is_some() && store.is_locked("ada"));
        store.clear_fault();
        session.flush().await.unwrap();
        assert_eq!(session.access_token().await.unwrap().expose(), token.expose());
        assert!(emulator.is_live_refresh_token(&store.refresh_token("ada").unwrap()));
        assert!(!store.is_locked("ada"));
    }

    /// The session does not count on the lock that it had.
    #[tokio::test]
    async fn an_unlock_that_hangs_is_given_up_and_retains_no_lock() {
        for operation in 0..4 {
            let (emulator, store, session, _) = unsaved().await;
            store.set_fault(StoreFault::UnlockHangs);
            session.flush().await.unwrap();
            assert!(session.save_error().is_none());
            store.clear_fault();
            assert!(!store.is_locked("ada"));
            match operation {
                0 => session.flush().await.unwrap(),
                1 => session.sign_out().await.unwrap(),
                2 => session.forget().await.unwrap(),
                _ => session.start(&TokenSet::new("another")).await.unwrap(),
            }
            assert!(!store.is_locked("ada"));
            assert_eq!(emulator.replays(), 0);
        }
    }
}
