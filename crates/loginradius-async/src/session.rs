use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use http::{Request, Response};
use loginradius_proto::session::{SessionEvent, SessionOutcome, SessionPolicy};
use loginradius_proto::{AccessToken, App, Body, Error, SendOptions, TokenSet};
use loginradius_store::AsyncSessionStore;
use loginradius_store::sessions::{OutcomeCell, Runtime, SessionSettings, SharedSession, SharedSessions, Transport};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::client::Client;

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
pub struct Sessions(SharedSessions<TokioRuntime>);

impl Sessions {
    /// Makes the sessions of that store, refreshed over that client, with default settings.
    pub fn new(client: &Client, store: impl AsyncSessionStore) -> Self {
        Self::builder(client, store).build()
    }

    /// Returns a builder, for settings of your own. It begins with the timeout and the retries of that client.
    pub fn builder(client: &Client, store: impl AsyncSessionStore) -> SessionsBuilder {
        let policy = SessionPolicy::default().with_timeout(client.timeout()).with_retry(client.retry());
        let settings = SessionSettings::default().with_policy(policy);
        SessionsBuilder { client: client.clone(), store: Box::new(store), settings }
    }

    /// Returns the session of that name. This does not use the store yet.
    ///
    /// A name has one session: a second [`start`](Session::start) under it replaces the first login. A program for one
    /// user needs one name. A web service needs one for each browser, such as the random id of the browser's own
    /// session: with one for each user, the last login would replace those of the user's other browsers, and a sign-out
    /// in one would sign out all.
    #[must_use]
    pub fn session(&self, name: impl Into<String>) -> Session {
        Session(self.0.session(name))
    }

    /// [Flushes](Session::flush) all sessions that are in use.
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
    /// The events of one session come one at a time and in order, from the tasks that make its refreshes and changes,
    /// whose callers may have their results already. The callback must not block.
    pub fn on_event(mut self, on_event: impl Fn(&str, &SessionEvent) + Send + Sync + 'static) -> Self {
        self.settings.on_event = Some(Box::new(on_event));
        self
    }

    /// Makes the sessions.
    pub fn build(self) -> Sessions {
        Sessions(SharedSessions::new(TokioRuntime(self.client), self.store, self.settings))
    }
}

impl fmt::Debug for SessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A session, which returns a good access token, and refreshes it when necessary.
///
/// Cloning it is cheap, and so is keeping ten thousand of them. Tasks share one refresh: the first one that needs it
/// starts it, and all wait for its result, or continue with the old token if that is still good.
///
/// A refresh, and all else that sends a request or changes the store, runs in a task of its own, which continues when
/// the future that waits for it is dropped. It begins for a caller that waits, never by itself. The end of the tokio
/// runtime stops it: that is like a crash of the program, and the next program continues from what is stored. Wait for
/// [`flush`](Self::flush) before a runtime ends.
#[derive(Debug, Clone)]
pub struct Session(SharedSession<TokioRuntime>);

impl Session {
    /// Returns the session's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Returns a handle of this session that waits no longer than that for each operation. By default there is no limit
    /// but those of the [policy](SessionPolicy), by which an operation takes six minutes at worst.
    ///
    /// When the time is over, an access token that is still good is returned, as during an early refresh. Otherwise the
    /// error is [`ErrorKind::DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded). What was begun continues in its
    /// task, and later callers get its result: to learn what became of a [`start`](Self::start), a
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

    /// Returns whether a user is signed in. Without a good access token in memory, it gets one to find out.
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token), if this process does not know: it has not loaded the session yet,
    /// or a start, a sign-out or a forget may or may not have been done. A user who was signed in stays so while
    /// LoginRadius cannot be reached.
    pub async fn is_signed_in(&self) -> Result<bool, Error> {
        self.0.is_signed_in().await
    }

    /// Returns when the access token in memory expires; `None` if there is none, or if its lifetime is unknown. This
    /// does not use the store.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.expires_at()
    }

    /// Returns an access token that is good now.
    ///
    /// As long as the token in memory is good, this takes no lock, does not use the store and allocates nothing.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::SignInRequired`](crate::ErrorKind::SignInRequired): no user is signed in, or LoginRadius has
    ///   ended the session. No other error ends it.
    /// - [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable): LoginRadius, the network or the store does not
    ///   work now. [`Error::retry_after`] says when to try again.
    /// - [`ErrorKind::DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded): the time of [`within`](Self::within) is
    ///   over.
    /// - [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) and
    ///   [`ErrorKind::StoreRefused`](crate::ErrorKind::StoreRefused): a setting, or something about the store, has to
    ///   be fixed, and the message says what. Nothing is lost.
    /// - [`ErrorKind::RecordDamaged`](crate::ErrorKind::RecordDamaged): the record cannot be read, and the message says
    ///   where it is. A [`start`](Self::start) replaces it and keeps a copy.
    /// - [`ErrorKind::Misuse`](crate::ErrorKind::Misuse): there is no tokio runtime.
    /// - [`ErrorKind::InvalidResponse`](crate::ErrorKind::InvalidResponse) and others, for what else LoginRadius may
    ///   respond.
    pub async fn access_token(&self) -> Result<AccessToken, Error> {
        self.0.access_token().await
    }

    /// Returns all tokens, with an access token that is good now: for the `id_token` or the scope. Leave the refresh
    /// token to the session.
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token).
    pub async fn tokens(&self) -> Result<TokenSet, Error> {
        self.0.tokens().await
    }

    /// Gets another access token, because an API rejected this one (HTTP 401).
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
    /// Their lifetime counts from [`TokenSet::requested_at`], which this crate's client sets, or else from this call:
    /// so call it at once.
    ///
    /// # Errors
    ///
    /// If they could not be stored. The session does not keep them: call it again with the same tokens, as often as you
    /// like. If an earlier call stored them after all, what has become of them since stays.
    pub async fn start(&self, tokens: &TokenSet) -> Result<(), Error> {
        self.0.start(tokens).await
    }

    /// Signs out: revokes the refresh token and removes the session from the store. As soon as it begins, no caller
    /// gets the session's token any more.
    ///
    /// # Errors
    ///
    /// If LoginRadius cannot be reached, the session stays marked: call it again later, or
    /// [`forget`](Self::forget) it. If the response to a refresh was lost before, LoginRadius may know a newer
    /// refresh token than the one that is revoked, and that one cannot be revoked from here.
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

    /// Returns why the newest tokens are in this process alone, if they are. They are lost if it ends now.
    #[must_use]
    pub fn save_error(&self) -> Option<Error> {
        self.0.save_error()
    }

    /// Waits for a refresh that is running, and saves what is [unsaved](Self::save_error). The session can be used
    /// afterwards.
    ///
    /// # Errors
    ///
    /// The store's, if there are still tokens that it does not hold.
    pub async fn flush(&self) -> Result<(), Error> {
        self.0.flush().await
    }
}

/// Runs each flow in a task of its own.
#[derive(Debug)]
struct TokioRuntime(Client);

impl Transport for TokioRuntime {
    async fn send(&self, request: Request<Body>, options: SendOptions) -> Result<Response<Body>, Error> {
        self.0.send(request, options).await
    }

    async fn sleep_until(&self, until: Instant) {
        tokio::time::sleep_until(until.into()).await;
    }
}

impl Runtime for TokioRuntime {
    type OutcomeCell = AsyncCell;

    fn app(&self) -> &App {
        self.0.app()
    }

    fn lead(&self, flow: impl Future<Output = ()> + Send + 'static, _: Option<Instant>) -> Result<(), Error> {
        let runtime = Handle::try_current()
            .map_err(|_| Error::misuse("a session needs a tokio runtime: call it from within one"))?;
        runtime.spawn(flow);
        Ok(())
    }
}

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

    async fn wait(&self, deadline: Option<Instant>) -> Option<SessionOutcome> {
        let mut receiver = self.0.subscribe();
        let outcome = receiver.wait_for(Option::is_some);
        let outcome = match deadline {
            None => outcome.await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), outcome).await.ok()?,
        };
        let outcome = outcome.ok().and_then(|outcome| outcome.clone());
        Some(
            outcome.unwrap_or_else(|| {
                Err(Error::unavailable("the session's flow has no outcome; try again", "no sender"))
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_when_it_should() {
        let runtime = TokioRuntime(Client::new(App::new("my-client-id")).unwrap());
        let until = Instant::now() + Duration::from_millis(20);
        runtime.sleep_until(until).await;
        assert!(Instant::now() >= until);
    }
}
