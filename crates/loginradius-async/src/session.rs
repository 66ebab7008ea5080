use std::fmt;
use std::time::{Duration, Instant};

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
/// let client = Client::new(App::new("my-client-id").client_secret("my-client-secret"))?;
/// let sessions = Sessions::new(&client, MemoryStore::new());
///
/// let session = sessions.session("ada@example.com");
/// assert_eq!(session.access_token().await.unwrap_err().kind(), ErrorKind::SignInAgain);
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
        let policy = SessionPolicy { timeout: client.timeout(), retry: client.retry(), ..SessionPolicy::default() };
        let settings = SessionSettings { policy, on_event: None };
        SessionsBuilder { client: client.clone(), store: Box::new(store), settings }
    }

    /// Returns the session of that name: a user's id, or whatever tells one session from another.
    ///
    /// This does not use the store yet.
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

    /// Signs out with the refresh token under the key `token` of RFC 7009, and not under LoginRadius's `refresh_token`.
    pub fn revoke_with_token_key(mut self) -> Self {
        self.settings.policy.revoke_with_token_key = true;
        self
    }

    /// Sets a callback for what happens to the sessions: it gets the session's name, and the event.
    ///
    /// The events of one session come one at a time and in order, from tasks that use the session, whose callers may
    /// have their results already. The callback must not block.
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

    /// Returns an access token that is good now.
    ///
    /// As long as the token in memory is good, this takes no lock, does not use the store and allocates nothing.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::SignInAgain`](crate::ErrorKind::SignInAgain): no user is signed in, or LoginRadius has
    ///   ended the session. No other error ends it.
    /// - [`ErrorKind::TryLater`](crate::ErrorKind::TryLater): LoginRadius, the network or the store does not
    ///   work now. The session has not ended; [`Error::retry_after`] says when to try again.
    /// - [`ErrorKind::Settings`](crate::ErrorKind::Settings): a setting has to be fixed, and the
    ///   message says which. Nothing is lost.
    /// - [`ErrorKind::BadAnswer`](crate::ErrorKind::BadAnswer) and others, for what else LoginRadius may respond.
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
    #[doc(alias = "logout")]
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

    fn lead(&self, flow: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        let runtime = Handle::try_current()
            .map_err(|_| Error::settings("a session needs a tokio runtime: call it from within one"))?;
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

    async fn wait(&self) -> SessionOutcome {
        let mut receiver = self.0.subscribe();
        let outcome = receiver.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Err(Error::try_later("the session's flow has no outcome; try again", "no sender")))
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
