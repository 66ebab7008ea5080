use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use http::{Request, Response};
use loginradius_proto::session::{SessionEvent, SessionOutcome, SessionPolicy};
use loginradius_proto::{AccessToken, App, Body, Error, SendOptions, TokenSet};
use loginradius_store::sessions::{OutcomeCell, Runtime, SessionSettings, SharedSession, SharedSessions, Transport};
use loginradius_store::{AsyncSessionStore, BlockingStore, SessionStore};

use crate::client::Client;

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
/// session.start(&TokenSet::new("b8cb84c9-dff7-401a-94c1-7cd44ebf80a0"))?;
/// assert_eq!(session.access_token()?.expose(), "b8cb84c9-dff7-401a-94c1-7cd44ebf80a0");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Sessions(SharedSessions<ThreadRuntime>);

impl Sessions {
    /// Makes the sessions of that store, refreshed over that client, with default settings.
    pub fn new(client: &Client, store: impl SessionStore) -> Self {
        Self::builder(client, store).build()
    }

    /// Returns a builder, for settings of your own. It begins with the timeout and the retries of that client.
    pub fn builder(client: &Client, store: impl SessionStore) -> SessionsBuilder {
        let policy = SessionPolicy { timeout: client.timeout(), retry: client.retry(), ..SessionPolicy::default() };
        let settings = SessionSettings { policy, on_event: None };
        SessionsBuilder { client: client.clone(), store: Box::new(BlockingStore::new(store)), settings }
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

    /// Signs out with the refresh token under the key `token` of RFC 7009, and not under LoginRadius's `refresh_token`.
    pub fn revoke_with_token_key(mut self) -> Self {
        self.settings.policy.revoke_with_token_key = true;
        self
    }

    /// Sets a callback for what happens to the sessions: it gets the session's name, and the event.
    ///
    /// The events of one session come one at a time and in order, from threads that use the session, whose callers may
    /// have their results already. The callback may use the session.
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

/// A session, which returns a good access token, and refreshes it when necessary.
///
/// Cloning it is cheap, and so is keeping ten thousand of them. Threads share one refresh: the first one that needs it
/// makes it, and the others wait for its result, or continue with the old token if that is still good. Nothing runs in
/// the background: a refresh is made by a thread that waits for it.
///
/// If a thread panics, in a store or a callback, that is like a crash of this thread alone: the others get an error,
/// and the next call continues from what is stored.
#[derive(Debug, Clone)]
pub struct Session(SharedSession<ThreadRuntime>);

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
    pub fn access_token(&self) -> Result<AccessToken, Error> {
        ready(self.0.access_token())?
    }

    /// Returns all tokens, with an access token that is good now: for the `id_token` or the scope. Leave the refresh
    /// token to the session.
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token).
    pub fn tokens(&self) -> Result<TokenSet, Error> {
        ready(self.0.tokens())?
    }

    /// Gets another access token, because an API rejected this one (HTTP 401).
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
    /// Their lifetime counts from [`TokenSet::requested_at`], which this crate's client sets, or else from this call:
    /// so call it at once.
    ///
    /// # Errors
    ///
    /// If they could not be stored. The session does not keep them: call it again with the same tokens, as often as you
    /// like. If an earlier call stored them after all, what has become of them since stays.
    pub fn start(&self, tokens: &TokenSet) -> Result<(), Error> {
        ready(self.0.start(tokens))?
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

    /// Returns why the newest tokens are in this process alone, if they are. They are lost if it ends now.
    #[must_use]
    pub fn save_error(&self) -> Option<Error> {
        self.0.save_error()
    }

    /// Waits for a refresh that another thread is making, and saves what is [unsaved](Self::save_error). The session
    /// can be used afterwards.
    ///
    /// # Errors
    ///
    /// The store's, if there are still tokens that it does not hold.
    pub fn flush(&self) -> Result<(), Error> {
        ready(self.0.flush())?
    }
}

/// Runs each flow in the thread of its leader. All its futures are ready at their first poll.
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
        ready(flow)
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

    async fn wait(&self) -> SessionOutcome {
        let mut outcome = self.lock();
        loop {
            match &*outcome {
                Some(outcome) => return outcome.clone(),
                None => outcome = self.0.1.wait(outcome).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Returns the output of a future that blocks its thread, and so is ready at its first poll.
fn ready<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => {
            Err(Error::try_later("the session's store did not block; try again later", "a pending future"))
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
