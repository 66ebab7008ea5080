use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::session::{Admission, CachedToken, SessionOutcome, SessionRequest, Sharing};
use loginradius_proto::{AccessToken, Error, ErrorKind, TokenSet};

use super::clock::now;
use super::leader::{Leader, run};
use super::runtime::Runtime;
use super::session::{Session, Sessions};
use super::settings::SessionSettings;
use crate::store::AsyncSessionStore;

/// The sessions of one store, for the threads or tasks of one process.
///
/// All [`SharedSession`]s of a name that come from it share one token, and one flow at a time.
///
/// Dropping the last clone and the last [`SharedSession`] blocks its thread as long as a request of a session is under
/// way, its outcome is being saved, or a callback is running: at most for the policy's `timeout` and 5 s. Requests that
/// have not been sent are given up, and one more attempt is made to save unsaved tokens. If that fails too, they are
/// lost, and their lock is released. A callback, a store or a thread that
/// [flows need](Runtime::needs_this_thread) does not block itself: there the flows continue, and nothing waits for them.
pub struct SharedSessions<R: Runtime>(Arc<Program<R>>);

/// A session that the threads or tasks of one process share.
///
/// A flow whose callers are dropped continues ([`Runtime::lead`]).
pub struct SharedSession<R: Runtime> {
    program: Arc<Program<R>>,
    session: Arc<Session<R>>,
    /// How long a caller waits for one operation.
    within: Option<Duration>,
}

impl<R: Runtime> SharedSessions<R> {
    /// Shares the sessions of that store.
    pub fn new(runtime: R, store: Box<dyn AsyncSessionStore>, settings: SessionSettings) -> Self {
        Self(Arc::new(Program(Arc::new(Sessions::new(runtime, store, settings)))))
    }

    /// Returns the session of that name. This does not use the store yet.
    #[must_use]
    pub fn session(&self, name: impl AsRef<str>) -> SharedSession<R> {
        SharedSession { session: self.0.0.session(name.as_ref()), program: Arc::clone(&self.0), within: None }
    }

    /// [Flushes](SharedSession::flush) all sessions that are in use, at the same time, within the time of one operation.
    ///
    /// # Errors
    ///
    /// The first one; the other sessions are flushed nevertheless.
    pub async fn flush(&self) -> Result<(), Error> {
        let deadline = later(self.0.0.settings.policy.max_time());
        let program = || Arc::clone(&self.0);
        let sessions = self.0.0.in_use().into_iter();
        // All begin before one is waited for: a slow one takes no time from the others.
        let begun: Vec<_> = sessions
            .map(|session| SharedSession { program: program(), session, within: None })
            .map(|session| (session.admit(SessionRequest::Flush), session))
            .collect();
        let mut result = Ok(());
        for (admitted, session) in begun {
            result = result.and(session.finish(SessionRequest::Flush, admitted, deadline).await.map(drop));
        }
        result
    }
}

impl<R: Runtime> SharedSessions<R> {
    pub(super) fn sessions(&self) -> &Arc<Sessions<R>> {
        &self.0.0
    }
}

#[cfg(test)]
impl<R: Runtime> SharedSessions<R> {
    /// Returns how many sessions are remembered.
    pub(super) fn known(&self) -> usize {
        self.0.0.known()
    }
}

#[cfg(test)]
impl<R: Runtime> SharedSession<R> {
    pub(super) fn sessions(&self) -> SharedSessions<R> {
        SharedSessions(Arc::clone(&self.program))
    }

    /// Returns whether an event waits to be delivered.
    pub(super) fn has_events(&self) -> bool {
        self.session.state().coordinator.next_event().is_some()
    }
}

impl<R: Runtime> SharedSession<R> {
    /// Returns the session's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.session.name
    }

    /// Returns a handle of this session that waits no longer than that for each operation. By default it is
    /// [`SessionPolicy::max_time`](loginradius_proto::session::SessionPolicy::max_time).
    ///
    /// A caller whose time is over gets the token in memory, if that is valid and not the rejected one, and otherwise
    /// [`ErrorKind::DeadlineExceeded`](loginradius_proto::ErrorKind::DeadlineExceeded). The flow that it waited for
    /// continues, and later callers get its outcome. If the time is zero, no flow begins.
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        Self { within: Some(time), ..self.clone() }
    }

    /// Returns whether a user is signed in. Without a valid token in memory, it gets one to find out.
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token), if the memory
    /// [does not know](loginradius_proto::session::SessionMemory::is_signed_in).
    pub async fn is_signed_in(&self) -> Result<bool, Error> {
        match self.access_token().await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::SignInRequired => Ok(false),
            // No other error ends a session.
            Err(_) if self.session.memory.load().is_signed_in() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Returns when the access token in memory expires; `None` if there is none, or if its lifetime is unknown. This
    /// does not use the store.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.session.memory.load().expires_at()
    }

    /// Gets an access token that is valid now.
    ///
    /// As long as the token in memory is valid, this takes no lock, does not use the store, allocates nothing, and is
    /// ready at once.
    ///
    /// # Errors
    ///
    /// Those of [`SessionFlow::refresh`](loginradius_proto::session::SessionFlow::refresh), and the one of
    /// [`within`](Self::within).
    pub async fn access_token(&self) -> Result<AccessToken, Error> {
        match self.cached_token() {
            Some(result) => result,
            None => self.token(None).await,
        }
    }

    /// Gets all tokens, with an access token that is valid now.
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token).
    pub async fn tokens(&self) -> Result<TokenSet, Error> {
        self.access_token().await?;
        let tokens = self.session.memory.load().tokens(now());
        tokens.ok_or_else(|| {
            Error::unavailable("the session was signed out just now: sign in again", "by another caller")
        })
    }

    /// Gets another access token, because an API rejected that one.
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token).
    pub async fn refresh_rejected(&self, token: &AccessToken) -> Result<AccessToken, Error> {
        self.token(Some(token)).await
    }

    /// Stores the tokens of a login: [`SessionFlow::start`](loginradius_proto::session::SessionFlow::start).
    ///
    /// # Errors
    ///
    /// If they could not be stored. The session does not keep them.
    pub async fn start(&self, tokens: &TokenSet) -> Result<(), Error> {
        self.request(SessionRequest::Start(tokens)).await.map(drop)
    }

    /// Signs out: [`SessionFlow::sign_out`](loginradius_proto::session::SessionFlow::sign_out).
    ///
    /// # Errors
    ///
    /// If it was not completed. Call it again.
    pub async fn sign_out(&self) -> Result<(), Error> {
        self.request(SessionRequest::SignOut).await.map(drop)
    }

    /// Removes the session from the store: [`SessionFlow::forget`](loginradius_proto::session::SessionFlow::forget).
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn forget(&self) -> Result<(), Error> {
        self.request(SessionRequest::Forget).await.map(drop)
    }

    /// Waits for the flow in flight, and saves what is unsaved.
    ///
    /// # Errors
    ///
    /// The store's, if there are still tokens that it does not hold.
    pub async fn flush(&self) -> Result<(), Error> {
        self.request(SessionRequest::Flush).await.map(drop)
    }

    /// Returns why the newest tokens are in this process alone, if they are.
    #[must_use]
    pub fn save_error(&self) -> Option<Error> {
        self.session.memory.load().save_error().cloned()
    }

    /// Returns the caller's outcome, if the memory has it.
    fn cached_token(&self) -> Option<Result<AccessToken, Error>> {
        match self.session.memory.load().cached_token(now()) {
            CachedToken::Fresh(token) => Some(Ok(token.clone())),
            CachedToken::BackingOff(error) => Some(Err(error.clone())),
            CachedToken::RefreshDue(_) | CachedToken::Missing => None,
        }
    }

    async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, Error> {
        let request = SessionRequest::Token { rejected };
        let token = match self.request(request).await {
            // Whatever failed, only the end of the session makes a valid token useless.
            Err(error) => match self.outcome_at_once(request) {
                Some(Ok(token)) => token,
                _ => return Err(error),
            },
            Ok(token) => token,
        };
        token.ok_or_else(|| Error::unavailable("the session has no access token: try again", "a refresh without one"))
    }

    fn outcome_at_once(&self, request: SessionRequest<'_>) -> Option<SessionOutcome> {
        self.session.state().coordinator.outcome_at_once(request, now())
    }

    async fn request(&self, request: SessionRequest<'_>) -> SessionOutcome {
        let policy = &self.session.sessions.settings.policy;
        let deadline = later(self.within.unwrap_or_else(|| policy.max_time()));
        if self.within == Some(Duration::ZERO) {
            return self.outcome_at_once(request).unwrap_or_else(|| Err(deadline_exceeded()));
        }
        self.finish(request, self.admit(request), deadline).await
    }

    /// Waits for the outcome of a caller who was admitted.
    pub(super) async fn finish(
        &self,
        request: SessionRequest<'_>,
        mut admitted: Result<Admitted<R>, Error>,
        deadline: Instant,
    ) -> SessionOutcome {
        loop {
            let (sharing, cell) = match admitted? {
                Admitted::Done(outcome) => return outcome,
                Admitted::Wait(sharing, cell) => (sharing, cell),
            };
            let until = request.max_wait().map_or(deadline, |wait| later(wait).min(deadline));
            if let Some(outcome) = self.session.sessions.runtime.wait(&cell, until).await
                && sharing.is_none_or(|sharing| sharing.includes(&outcome))
            {
                return outcome;
            }
            if Instant::now() >= deadline {
                return self.outcome_at_once(request).unwrap_or_else(|| Err(deadline_exceeded()));
            }
            admitted = self.admit(request);
        }
    }

    /// Admits a caller, and runs the flow if it leads one.
    pub(super) fn admit(&self, request: SessionRequest<'_>) -> Result<Admitted<R>, Error> {
        let mut state = self.session.state();
        match self.session.admit(&mut state, request) {
            Admission::Done(outcome) => Ok(Admitted::Done(outcome)),
            Admission::Wait(sharing) => Ok(Admitted::Wait(Some(sharing), state.outcome.clone())),
            Admission::Lead(flow) => {
                let leader = Leader::new(&self.session, flow, &mut state);
                let cell = leader.cell();
                drop(state);
                self.session.sessions.runtime.lead(run(leader))?;
                Ok(Admitted::Wait(None, cell))
            }
        }
    }
}

/// What an admitted caller gets.
pub(super) enum Admitted<R: Runtime> {
    Done(SessionOutcome),
    /// Without a sharing, the outcome is that of the caller's own flow.
    Wait(Option<Sharing>, R::OutcomeCell),
}

/// The sessions as the program holds them: when its last handle is dropped, this waits so that no session loses a
/// token.
struct Program<R: Runtime>(Arc<Sessions<R>>);

impl<R: Runtime> Drop for Program<R> {
    fn drop(&mut self) {
        /// The time for the store after the last response.
        const TIME_TO_SAVE: Duration = Duration::from_secs(5);
        let Sessions { runtime, settings, stakes, .. } = &*self.0;
        let deadline = later(settings.policy.timeout.saturating_add(TIME_TO_SAVE));
        let wait = || {
            if !stakes.is_running() && !runtime.needs_this_thread() {
                stakes.wait(deadline);
            }
        };
        stakes.close();
        wait();
        for session in self.0.unsaved() {
            let mut state = session.state();
            if let Admission::Lead(flow) = session.admit(&mut state, SessionRequest::Flush) {
                let leader = Leader::new(&session, flow, &mut state);
                drop(state);
                // A flow that cannot be run is aborted, and its tokens stay unsaved.
                let _ = runtime.lead(run(leader));
            }
        }
        wait();
        self.0.close();
    }
}

/// Creates the error for a caller whose time is over.
pub(super) fn deadline_exceeded() -> Error {
    Error::deadline_exceeded(
        "the program's deadline passed before the session got what it needed from LoginRadius, the store or another \
         process: try again with more time",
    )
}

/// Returns the instant after that time, or one that is far away.
pub(super) fn later(time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let now = Instant::now();
    now.checked_add(time.min(FAR)).unwrap_or(now)
}

// Not derived: that would require a runtime that can be cloned and printed.

impl<R: Runtime> Clone for SharedSessions<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Runtime> Clone for SharedSession<R> {
    fn clone(&self) -> Self {
        Self { program: Arc::clone(&self.program), session: Arc::clone(&self.session), within: self.within }
    }
}

impl<R: Runtime> fmt::Debug for SharedSessions<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSessions").field("settings", &self.0.0.settings).finish_non_exhaustive()
    }
}

impl<R: Runtime> fmt::Debug for SharedSession<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSession").field("name", &self.session.name).finish_non_exhaustive()
    }
}
