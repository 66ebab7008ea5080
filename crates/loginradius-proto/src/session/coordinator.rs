use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::event::SessionEvent;
use super::flow::SessionFlow;
use super::memory::{CachedToken, SessionMemory, same};
use super::now::Now;
use super::policy::SessionPolicy;
use super::step::SessionEnd;
use crate::app::App;
use crate::error::Error;
use crate::jitter::Seed;
use crate::secret::AccessToken;
use crate::token::TokenSet;

/// Decides, for all callers of one session in one process, which one leads a flow, which ones wait, and what each gets.
///
/// It is a plain value, for an adapter to keep behind a mutex. At most one flow is in flight (*single flight*):
///
/// 1. Each caller is [admitted](Self::admit): it is done, or it is the leader of a flow, or it is a waiter for the
///    outcome of the flow in flight.
/// 2. The leader's flow is driven to the end, or [aborted](SessionFlow::abort), and [`complete`](Self::complete) takes
///    that end, and returns the outcome for the leader and the waiters. Before a request is sent,
///    [`learn`](Self::learn) takes what the flow knows by then. Leader and waiters are admitted again after the
///    request's [`max_wait`](SessionRequest::max_wait).
/// 3. After each of these calls, and still under the mutex, the adapter replaces the snapshot that callers read without
///    the mutex by [`published`](Self::published). After an end it also obeys [`retains_lock`](Self::retains_lock) and
///    [`is_unsaved`](Self::is_unsaved), and delivers the events.
///
/// ```
/// # use std::time::{Instant, SystemTime};
/// # use loginradius_proto::{App, Seed};
/// use loginradius_proto::session::{Admission, Coordinator, Now, SessionPolicy, SessionRequest};
///
/// let (app, policy) = (App::new("my-client-id"), SessionPolicy::default());
/// let now = Now::new(Instant::now(), SystemTime::now());
/// let mut coordinator = Coordinator::default();
///
/// // The first caller gets a flow to drive, the second one waits for its outcome.
/// let request = SessionRequest::Token { rejected: None };
/// let Admission::Lead(mut flow) = coordinator.admit(request, &app, policy, now, Seed(42)) else { unreachable!() };
/// let Admission::Wait(sharing) = coordinator.admit(request, &app, policy, now, Seed(43)) else { unreachable!() };
///
/// // The leader's thread panicked: both get an error, and the next caller leads.
/// let outcome = coordinator.complete(flow.abort(false, now));
/// assert!(outcome.is_err() && sharing.includes(&outcome));
/// assert!(matches!(coordinator.admit(request, &app, policy, now, Seed(44)), Admission::Lead(_)));
/// ```
#[derive(Debug)]
pub struct Coordinator {
    /// What the last flow left.
    memory: Arc<SessionMemory>,
    in_flight: Option<InFlight>,
    events: VecDeque<SessionEvent>,
    delivering: bool,
}

/// What a caller wants of a session.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum SessionRequest<'a> {
    /// To get a valid access token, other than the one that an API rejected. If its end is near, the first caller leads
    /// a refresh, and the others get that token at once.
    Token {
        /// The token that an API rejected, if this is about one.
        rejected: Option<&'a AccessToken>,
    },
    /// To store the tokens of a login: [`SessionFlow::start`].
    Start(&'a TokenSet),
    /// To sign out: [`SessionFlow::sign_out`]. No token is published as long as this is in flight.
    SignOut,
    /// To clear the record: [`SessionFlow::forget`].
    Forget,
    /// To wait for the flow in flight, and to save what is unsaved.
    Flush,
}

impl SessionRequest<'_> {
    /// Returns how long a caller waits for the outcome of a flow, also of its own, before it is
    /// [admitted](Coordinator::admit) again; `None` if it waits to the end.
    ///
    /// A caller that wants a token then gets the one that is still valid, although the flow in flight is about to
    /// replace it: a server that does not respond delays it no longer. So an adapter must drive the flow independently
    /// of its caller.
    #[must_use]
    pub fn max_wait(self) -> Option<Duration> {
        matches!(self, Self::Token { .. }).then_some(Duration::from_secs(1))
    }
}

/// The outcome of a request: an access token, or `None` if the request was for something else.
pub type SessionOutcome = Result<Option<AccessToken>, Error>;

/// What a caller has to do.
#[derive(Debug)]
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "an adapter has to handle every case there is")]
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once, and a box is an allocation")]
pub enum Admission {
    /// Return this outcome.
    Done(SessionOutcome),
    /// Drive this flow to its end, or [abort](SessionFlow::abort) it, and [`complete`](Coordinator::complete) that end.
    Lead(SessionFlow),
    /// Wait for the outcome of the flow in flight. Return it if the sharing [includes](Sharing::includes) it; else
    /// [admit](Coordinator::admit) the caller again.
    Wait(Sharing),
}

/// Which outcomes of the flow in flight a waiter shares.
///
/// One that shares none is admitted again after each flow, together with the callers that come then: there is no queue.
#[derive(Debug, Clone)]
pub struct Sharing(Shared);

#[derive(Debug, Clone)]
enum Shared {
    Nothing,
    Everything,
    /// All but this token, which an API rejected.
    Except(AccessToken),
}

/// The request whose flow runs.
#[derive(Debug, Clone)]
enum InFlight {
    Token { rejected: Option<AccessToken> },
    Flush,
    Start,
    SignOut,
    Forget,
}

impl Default for Coordinator {
    fn default() -> Self {
        Self { memory: SessionMemory::empty(), in_flight: None, events: VecDeque::new(), delivering: false }
    }
}

impl Coordinator {
    /// Admits a caller. The seed is one for a [`SessionFlow`].
    pub fn admit(
        &mut self,
        request: SessionRequest<'_>,
        app: &App,
        policy: SessionPolicy,
        now: Now,
        seed: Seed,
    ) -> Admission {
        if self.in_flight.is_none()
            && let SessionRequest::Token { rejected: Some(token) } = request
        {
            Arc::make_mut(&mut self.memory).reject(token);
        }
        if let Some(in_flight) = &self.in_flight {
            return match self.token_at_once(request, now) {
                Some(token) => Admission::Done(Ok(Some(token))),
                None => Admission::Wait(Sharing::of(in_flight, request)),
            };
        }
        if let Some(outcome) = self.known_outcome(request, now) {
            return Admission::Done(outcome);
        }
        let memory = SessionMemory::clone(&self.memory);
        let (in_flight, flow) = match request {
            SessionRequest::Token { rejected } => {
                (InFlight::Token { rejected: rejected.cloned() }, SessionFlow::refresh(app, policy, memory, seed))
            }
            SessionRequest::Flush => (InFlight::Flush, SessionFlow::refresh(app, policy, memory, seed)),
            SessionRequest::Start(tokens) => (InFlight::Start, SessionFlow::start(app, policy, memory, tokens, seed)),
            SessionRequest::SignOut => (InFlight::SignOut, SessionFlow::sign_out(app, policy, memory, seed)),
            SessionRequest::Forget => (InFlight::Forget, SessionFlow::forget(app, policy, memory, seed)),
        };
        self.in_flight = Some(in_flight);
        Admission::Lead(flow)
    }

    /// Returns what a caller gets without waiting for a flow, neither for the one in flight nor for its own: a token
    /// that is valid, even if its refresh is due. Returns `None` if it would have to wait.
    #[must_use]
    pub fn outcome_at_once(&self, request: SessionRequest<'_>, now: Now) -> Option<SessionOutcome> {
        match (self.token_at_once(request, now), &self.in_flight) {
            (Some(token), _) => Some(Ok(Some(token))),
            (None, Some(_)) => None,
            (None, None) => self.known_outcome(request, now),
        }
    }

    /// Takes what the flow in flight has learned so far. Call it before the flow's request is sent: if the flow has
    /// loaded a token that is still valid, no caller has to wait for the response.
    pub fn learn(&mut self, flow: &SessionFlow) {
        self.memory = Arc::new(flow.memory().clone());
    }

    /// Takes the end of the flow in flight, and returns the outcome for its leader and the waiters.
    pub fn complete(&mut self, end: SessionEnd) -> SessionOutcome {
        let SessionEnd { memory, result, events } = end;
        self.events.extend(events);
        self.memory = Arc::new(memory);
        match self.in_flight.take() {
            // A flush is about the save, not about the token.
            Some(InFlight::Flush) => self.memory.save_error().cloned().map_or(Ok(None), Err),
            _ => result,
        }
    }

    /// Returns what callers may read without the mutex.
    #[must_use]
    pub fn published(&self) -> Arc<SessionMemory> {
        match self.in_flight {
            Some(InFlight::SignOut) => SessionMemory::empty(),
            _ => Arc::clone(&self.memory),
        }
    }

    /// Returns whether the store's lock must stay held although no flow is in flight. The driver of the next flow
    /// starts with it.
    #[must_use]
    pub fn retains_lock(&self) -> bool {
        self.memory.retains_lock()
    }

    /// Returns whether the newest tokens are in this memory alone. Then keep the coordinator, even if no caller has a
    /// handle of the session: the next caller, or a flush, saves them.
    #[must_use]
    pub fn is_unsaved(&self) -> bool {
        self.memory.save_error().is_some()
    }

    /// Returns the next event to deliver. While a caller delivers one, others get `None`, and that caller also delivers
    /// what is queued by then. Call [`event_delivered`](Self::event_delivered) after each event, even if its delivery
    /// panicked.
    #[must_use]
    pub fn next_event(&mut self) -> Option<SessionEvent> {
        if self.delivering {
            return None;
        }
        let event = self.events.pop_front();
        self.delivering = event.is_some();
        event
    }

    /// Notes that the event of the last [`next_event`](Self::next_event) was delivered.
    pub fn event_delivered(&mut self) {
        self.delivering = false;
    }

    /// Returns the token in memory, if it is valid and not the one that an API rejected.
    fn token_at_once(&self, request: SessionRequest<'_>, now: Now) -> Option<AccessToken> {
        let SessionRequest::Token { rejected } = request else { return None };
        let memory = self.published();
        memory.valid_token(now).filter(|token| rejected.is_none_or(|rejected| !same(rejected, token))).cloned()
    }

    /// Returns the outcome for a caller that needs no flow.
    fn known_outcome(&self, request: SessionRequest<'_>, now: Now) -> Option<SessionOutcome> {
        match request {
            SessionRequest::Token { rejected } => match self.memory.cached_token(now) {
                CachedToken::Fresh(token) | CachedToken::RefreshDue(token)
                    if rejected.is_some_and(|rejected| same(rejected, token)) =>
                {
                    None
                }
                CachedToken::Fresh(token) => Some(Ok(Some(token.clone()))),
                // It is not the rejected token, and so what this caller wants.
                CachedToken::RefreshDue(token) if rejected.is_some() => Some(Ok(Some(token.clone()))),
                CachedToken::BackingOff(error) => Some(Err(error.clone())),
                CachedToken::RefreshDue(_) | CachedToken::Missing => None,
            },
            SessionRequest::Flush if !self.is_unsaved() => Some(Ok(None)),
            _ => None,
        }
    }
}

impl Sharing {
    fn of(in_flight: &InFlight, request: SessionRequest<'_>) -> Self {
        Self(match (in_flight, request) {
            (InFlight::Token { .. }, SessionRequest::Token { rejected: None }) => Shared::Everything,
            (InFlight::Token { rejected: Some(one) }, SessionRequest::Token { rejected: Some(other) })
                if same(one, other) =>
            {
                Shared::Everything
            }
            (InFlight::Token { .. }, SessionRequest::Token { rejected: Some(token) }) => Shared::Except(token.clone()),
            _ => Shared::Nothing,
        })
    }

    /// Returns whether that outcome is the waiter's too.
    #[must_use]
    pub fn includes(&self, outcome: &SessionOutcome) -> bool {
        match &self.0 {
            Shared::Nothing => false,
            Shared::Everything => true,
            Shared::Except(rejected) => !matches!(outcome, Ok(Some(token)) if same(token, rejected)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::jitter::Jitter;
    use crate::session::backoff::KnownBackoff;
    use crate::session::record::{LoginId, SessionRecord, Tokens};
    use crate::session::step::{SessionInput, SessionStep};
    use crate::session::unsaved::{Retention, UnsavedPair};
    use crate::testing::{now, s};

    const LIFETIME: u64 = 1000;
    const ANY: SessionRequest<'_> = SessionRequest::Token { rejected: None };

    fn at(seconds: u64) -> Now {
        Now::new(now().monotonic + s(seconds), now().wall + s(seconds))
    }

    /// A valid token, one whose end is near, one that has expired, by the time of the request.
    const FRESH: u64 = 10;
    const DUE: u64 = LIFETIME - 10;
    const EXPIRED: u64 = LIFETIME;

    fn record(access: &str) -> SessionRecord {
        let mut tokens = TokenSet::new(access);
        tokens.refresh_token = Some("refresh".into());
        tokens.expires_in = Some(s(LIFETIME));
        SessionRecord::new(&App::new("my-client-id"), LoginId(1), Tokens::new(tokens, now().wall), Seed(1))
    }

    fn memory(access: &str) -> SessionMemory {
        let mut memory = SessionMemory::default();
        memory.remember(record(access), Some(now().monotonic), now(), s(60), &mut Jitter::new(Seed(1)));
        memory
    }

    fn unsaved(access: &str) -> SessionMemory {
        let retention = Retention { error: failure(), retry_at: at(5).monotonic, failures: 1, holds_lock: true };
        let pair = UnsavedPair {
            record: record(access),
            expected: 1,
            consumed: record("consumed").tokens,
            requested_at: None,
            fault: None,
            retention: Some(retention),
        };
        SessionMemory { unsaved: Some(Box::new(pair)), ..memory(access) }
    }

    fn backing_off(access: &str) -> SessionMemory {
        let backoff = Some(KnownBackoff::new(s(2 * LIFETIME), failure(), now()));
        SessionMemory { backoff, ..memory(access) }
    }

    fn failure() -> Error {
        Error::unavailable("the disk is full: try again later", "a test")
    }

    fn coordinator(memory: SessionMemory) -> Coordinator {
        Coordinator { memory: Arc::new(memory), ..Coordinator::default() }
    }

    fn at_once(coordinator: &Coordinator, request: SessionRequest<'_>, seconds: u64) -> Option<String> {
        coordinator.outcome_at_once(request, at(seconds)).as_ref().map(shown)
    }

    fn admit(coordinator: &mut Coordinator, request: SessionRequest<'_>, seconds: u64) -> Admission {
        coordinator.admit(request, &App::new("my-client-id"), SessionPolicy::default(), at(seconds), Seed(42))
    }

    fn lead(coordinator: &mut Coordinator, request: SessionRequest<'_>, seconds: u64) -> SessionFlow {
        match admit(coordinator, request, seconds) {
            Admission::Lead(flow) => flow,
            other => panic!("{request:?}: {other:?}"),
        }
    }

    fn end(memory: SessionMemory, result: SessionOutcome, events: Vec<SessionEvent>) -> SessionEnd {
        SessionEnd { memory, result, events }
    }

    fn token(access: &str) -> SessionOutcome {
        Ok(Some(access.into()))
    }

    /// Shows an outcome in one word.
    fn shown(outcome: &SessionOutcome) -> String {
        match outcome {
            Ok(Some(token)) => token.expose().to_owned(),
            Ok(None) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn admitted(admission: &Admission) -> String {
        match admission {
            Admission::Done(outcome) => shown(outcome),
            Admission::Lead(_) => "leads".to_owned(),
            Admission::Wait(_) => "waits".to_owned(),
        }
    }

    fn published(coordinator: &Coordinator, seconds: u64) -> Option<String> {
        coordinator.published().valid_token(at(seconds)).map(|token| token.expose().to_owned())
    }

    #[test]
    fn each_request_leads_its_own_flow_and_only_one_is_in_flight() {
        let tokens = TokenSet::new("login");
        let rejected = AccessToken::new("old");
        let requests = [
            (ANY, "job: Refresh"),
            (SessionRequest::Token { rejected: Some(&rejected) }, "job: Refresh"),
            (SessionRequest::Start(&tokens), "job: Start"),
            (SessionRequest::SignOut, "job: SignOut"),
            (SessionRequest::Forget, "job: Forget"),
            (SessionRequest::Flush, "job: Refresh"),
        ];
        for (request, job) in requests {
            // Unsaved, so that a flush has something to do.
            let mut coordinator = coordinator(unsaved("old"));
            let mut flow_in_flight = lead(&mut coordinator, request, EXPIRED);
            let flow = format!("{flow_in_flight:?}");
            assert!(flow.contains(job), "{request:?}: {flow}");
            for (other, _) in requests {
                assert_eq!(admitted(&admit(&mut coordinator, other, EXPIRED)), "waits", "{other:?} during {request:?}");
            }
            let _ = coordinator.complete(flow_in_flight.abort(true, at(EXPIRED)));
            let _ = lead(&mut coordinator, request, EXPIRED);
            let _ = coordinator.complete(end(unsaved("old"), Ok(None), Vec::new()));
            let _ = lead(&mut coordinator, request, EXPIRED);
        }
    }

    #[test]
    fn a_leader_gets_the_memory_of_the_flow_before_it_also_when_it_signs_out() {
        for request in [ANY, SessionRequest::SignOut] {
            let mut coordinator = coordinator(unsaved("new"));
            // With the retained lock a flow does not ask for the lock.
            let step = lead(&mut coordinator, request, EXPIRED).step(at(EXPIRED));
            assert!(matches!(step, SessionStep::Save { .. } | SessionStep::Load), "{request:?}: {step:?}");
        }
    }

    #[test]
    fn a_token_request_leads_a_flow_only_if_the_memory_does_not_do() {
        let backs_off = failure().to_string();
        let rows = [
            // The memory, when, the rejected token, what the caller gets.
            (SessionMemory::default(), FRESH, None, "leads"),
            (SessionMemory::default(), FRESH, Some("old"), "leads"),
            (memory("a"), FRESH, None, "a"),
            (memory("a"), FRESH, Some("a"), "leads"),
            (memory("a"), FRESH, Some("old"), "a"),
            (memory("a"), DUE, None, "leads"),
            (memory("a"), DUE, Some("a"), "leads"),
            (memory("a"), DUE, Some("old"), "a"),
            (memory("a"), EXPIRED, None, "leads"),
            (memory("a"), EXPIRED, Some("old"), "leads"),
            (backing_off("a"), FRESH, None, "a"),
            (backing_off("a"), FRESH, Some("a"), &backs_off),
            (backing_off("a"), DUE, None, "a"),
            (backing_off("a"), EXPIRED, None, &backs_off),
        ];
        for (memory, seconds, rejected, expected) in rows {
            let rejected = rejected.map(AccessToken::new);
            let request = SessionRequest::Token { rejected: rejected.as_ref() };
            let admission = admit(&mut coordinator(memory), request, seconds);
            assert_eq!(admitted(&admission), expected, "{request:?} at {seconds}");
        }
    }

    #[test]
    fn a_good_token_need_not_wait_for_the_flow_in_flight() {
        let tokens = TokenSet::new("login");
        let old = AccessToken::new("old");
        let rows = [
            // The request in flight, its time, the rejected token of the caller, what the caller gets.
            (ANY, DUE, None, "a"),
            (ANY, DUE, Some("old"), "a"),
            (ANY, DUE, Some("a"), "waits"),
            (ANY, EXPIRED, None, "waits"),
            (ANY, EXPIRED, Some("old"), "waits"),
            (SessionRequest::Start(&tokens), FRESH, None, "a"),
            (SessionRequest::Forget, FRESH, None, "a"),
            (SessionRequest::SignOut, FRESH, None, "waits"),
            (SessionRequest::SignOut, FRESH, Some("old"), "waits"),
            (SessionRequest::Token { rejected: Some(&old) }, EXPIRED, None, "waits"),
        ];
        for (in_flight, seconds, rejected, expected) in rows {
            let mut coordinator = coordinator(memory("a"));
            let _ = lead(&mut coordinator, in_flight, seconds);
            let rejected = rejected.map(AccessToken::new);
            let request = SessionRequest::Token { rejected: rejected.as_ref() };
            let admission = admit(&mut coordinator, request, seconds);
            assert_eq!(admitted(&admission), expected, "{request:?} during {in_flight:?} at {seconds}");
        }
    }

    #[test]
    fn only_a_token_request_is_admitted_again_before_the_end_of_a_flow() {
        let tokens = TokenSet::new("login");
        let old = AccessToken::new("old");
        for request in [ANY, SessionRequest::Token { rejected: Some(&old) }] {
            assert_eq!(request.max_wait(), Some(s(1)));
        }
        for request in
            [SessionRequest::Start(&tokens), SessionRequest::SignOut, SessionRequest::Forget, SessionRequest::Flush]
        {
            assert_eq!(request.max_wait(), None, "{request:?}");
        }
        // It gets its token, and once that has expired it waits for the outcome.
        let mut coordinator = coordinator(memory("a"));
        assert_eq!(admitted(&admit(&mut coordinator, ANY, DUE)), "leads");
        assert_eq!(admitted(&admit(&mut coordinator, ANY, DUE + 1)), "a");
        assert_eq!(admitted(&admit(&mut coordinator, ANY, EXPIRED)), "waits");
    }

    #[test]
    fn a_token_that_the_flow_has_loaded_is_returned_before_its_end_unless_it_was_rejected() {
        let app = App::new("my-client-id");
        let [a, old] = ["a", "old"].map(AccessToken::new);
        let rows = [(None, "a"), (Some(&old), "a"), (Some(&a), "waits")];
        for (rejected, expected) in rows {
            let request = SessionRequest::Token { rejected };
            let mut coordinator = coordinator(SessionMemory::default());
            let mut flow = lead(&mut coordinator, request, DUE);
            assert_eq!(admitted(&admit(&mut coordinator, request, DUE)), "waits");
            loop {
                let input = match flow.step(at(DUE)) {
                    SessionStep::Lock => SessionInput::Locked(Ok(true)),
                    SessionStep::Load => SessionInput::Loaded(Ok(Some(record("a").encode()))),
                    SessionStep::Save { .. } => SessionInput::Saved(Ok(())),
                    SessionStep::Send { .. } => break,
                    other => panic!("{other:?}"),
                };
                flow.receive(input, at(DUE));
            }
            coordinator.learn(&flow);
            assert_eq!(admitted(&admit(&mut coordinator, request, DUE)), expected, "{rejected:?}");
            assert_eq!(published(&coordinator, DUE).is_some(), expected == "a");
        }
        // A sign-out shows no token either way.
        let mut coordinator = coordinator(memory("a"));
        let flow = SessionFlow::refresh(&app, SessionPolicy::default(), memory("a"), Seed(1));
        let _ = lead(&mut coordinator, SessionRequest::SignOut, FRESH);
        coordinator.learn(&flow);
        assert_eq!(published(&coordinator, FRESH), None);
    }

    #[test]
    fn a_caller_that_does_not_wait_gets_what_is_in_memory() {
        let tokens = TokenSet::new("login");
        let [a, old] = ["a", "old"].map(AccessToken::new);
        let (rejects_a, rejects_old) =
            (SessionRequest::Token { rejected: Some(&a) }, SessionRequest::Token { rejected: Some(&old) });
        let backs_off = failure().to_string();
        let rows = [
            // The memory, the request, when, what the caller gets without and with a flow in flight.
            (memory("a"), ANY, FRESH, Some("a"), Some("a")),
            (memory("a"), ANY, DUE, Some("a"), Some("a")),
            (memory("a"), ANY, EXPIRED, None, None),
            (memory("a"), rejects_a, FRESH, None, None),
            (memory("a"), rejects_a, DUE, None, None),
            (memory("a"), rejects_old, DUE, Some("a"), Some("a")),
            (backing_off("a"), ANY, EXPIRED, Some(&*backs_off), None),
            (memory("a"), SessionRequest::Flush, FRESH, Some("nothing"), None),
            (unsaved("a"), SessionRequest::Flush, FRESH, None, None),
            (memory("a"), SessionRequest::Start(&tokens), FRESH, None, None),
            (memory("a"), SessionRequest::SignOut, FRESH, None, None),
            (memory("a"), SessionRequest::Forget, FRESH, None, None),
        ];
        for (memory, request, seconds, idle, in_flight) in rows {
            let mut coordinator = coordinator(memory);
            assert_eq!(at_once(&coordinator, request, seconds).as_deref(), idle, "{request:?} at {seconds}");
            coordinator.in_flight = Some(InFlight::Forget);
            assert_eq!(at_once(&coordinator, request, seconds).as_deref(), in_flight, "{request:?} at {seconds}");
        }
    }

    #[test]
    fn a_rejected_token_is_published_no_more_if_it_is_the_newest() {
        for (rejected, expected) in [("a", None), ("old", Some("a"))] {
            let rejected = AccessToken::new(rejected);
            let mut coordinator = coordinator(memory("a"));
            let _ = admit(&mut coordinator, SessionRequest::Token { rejected: Some(&rejected) }, FRESH);
            assert_eq!(published(&coordinator, FRESH).as_deref(), expected);
        }
    }

    #[test]
    fn token_requests_share_an_outcome_but_for_the_token_that_one_of_them_rejects() {
        let tokens = TokenSet::new("login");
        let [a, b] = ["a", "b"].map(AccessToken::new);
        let rejects_a = SessionRequest::Token { rejected: Some(&a) };
        let rejects_b = SessionRequest::Token { rejected: Some(&b) };
        let outcomes = || [token("a"), token("b"), Err(failure())];
        let rows = [
            // The request in flight, the one that waits, whether it shares the tokens `a` and `b` and an error.
            (ANY, ANY, [true, true, true]),
            (ANY, rejects_a, [false, true, true]),
            (rejects_a, ANY, [true, true, true]),
            (rejects_a, rejects_a, [true, true, true]),
            (rejects_a, rejects_b, [true, false, true]),
            (ANY, SessionRequest::Flush, [false; 3]),
            (ANY, SessionRequest::Start(&tokens), [false; 3]),
            (ANY, SessionRequest::SignOut, [false; 3]),
            (ANY, SessionRequest::Forget, [false; 3]),
            (SessionRequest::Flush, ANY, [false; 3]),
            (SessionRequest::Flush, SessionRequest::Flush, [false; 3]),
            (SessionRequest::Start(&tokens), rejects_a, [false; 3]),
            (SessionRequest::Start(&tokens), SessionRequest::Start(&tokens), [false; 3]),
            (SessionRequest::SignOut, SessionRequest::SignOut, [false; 3]),
            (SessionRequest::Forget, SessionRequest::Forget, [false; 3]),
        ];
        for (in_flight, waiting, expected) in rows {
            let mut coordinator = coordinator(unsaved("expired"));
            let _ = lead(&mut coordinator, in_flight, EXPIRED);
            let Admission::Wait(sharing) = admit(&mut coordinator, waiting, EXPIRED) else {
                panic!("{waiting:?} does not wait for {in_flight:?}");
            };
            let shared = outcomes().map(|outcome| sharing.includes(&outcome));
            assert_eq!(shared, expected, "{waiting:?} during {in_flight:?}");
        }
    }

    #[test]
    fn a_complete_flow_leaves_its_outcome_and_its_memory() {
        let tokens = TokenSet::new("login");
        let requests = [ANY, SessionRequest::Start(&tokens), SessionRequest::SignOut, SessionRequest::Forget];
        for (request, result) in requests.into_iter().zip([token("new"), Err(failure()), Ok(None), Ok(None)]) {
            let mut coordinator = coordinator(memory("a"));
            let _ = lead(&mut coordinator, request, DUE);
            let outcome = coordinator.complete(end(memory("new"), result.clone(), Vec::new()));
            assert_eq!(shown(&outcome), shown(&result), "{request:?}");
            assert_eq!(published(&coordinator, DUE).as_deref(), Some("new"), "{request:?}");
        }
    }

    #[test]
    fn no_token_is_published_during_a_sign_out() {
        let tokens = TokenSet::new("login");
        let rows = [
            (ANY, DUE, Some("a")),
            (SessionRequest::Start(&tokens), FRESH, Some("a")),
            (SessionRequest::Forget, FRESH, Some("a")),
            (SessionRequest::SignOut, FRESH, None),
        ];
        for (request, seconds, expected) in rows {
            let mut coordinator = coordinator(memory("a"));
            let _ = lead(&mut coordinator, request, seconds);
            assert_eq!(published(&coordinator, seconds).as_deref(), expected, "{request:?}");
        }
        let mut coordinator = coordinator(unsaved("a"));
        let _ = lead(&mut coordinator, SessionRequest::SignOut, FRESH);
        assert!(coordinator.published().save_error().is_none() && coordinator.is_unsaved());
    }

    #[test]
    fn an_aborted_flow_is_an_error_and_leaves_a_good_token_only_if_it_was_a_refresh() {
        let tokens = TokenSet::new("login");
        let rows = [
            (ANY, Some("a")),
            (SessionRequest::Flush, Some("a")),
            (SessionRequest::Start(&tokens), None),
            (SessionRequest::SignOut, None),
            (SessionRequest::Forget, None),
        ];
        for (request, expected) in rows {
            let mut coordinator = coordinator(unsaved("a"));
            let mut flow = lead(&mut coordinator, request, DUE);
            let error = coordinator.complete(flow.abort(true, at(DUE))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert_eq!(published(&coordinator, DUE).as_deref(), expected, "{request:?}");
            // What is unsaved is not lost with it.
            assert!(coordinator.is_unsaved() && coordinator.retains_lock(), "{request:?}");
            assert!(coordinator.published().save_error().is_some(), "{request:?}");
            // The next flow looks into the store, and then the token is valid again.
            let _ = lead(&mut coordinator, ANY, DUE);
        }
    }

    #[test]
    fn the_lock_is_retained_as_long_as_it_is_held_and_a_pair_is_unsaved() {
        for (memory, unsaved) in [(unsaved("a"), true), (memory("a"), false)] {
            let mut coordinator = coordinator(SessionMemory::default());
            let _ = lead(&mut coordinator, ANY, FRESH);
            let _ = coordinator.complete(end(memory, token("a"), Vec::new()));
            assert_eq!((coordinator.retains_lock(), coordinator.is_unsaved()), (unsaved, unsaved));
        }
        let aborted = [
            // The memory before, whether the lock is held still, whether it is retained, whether something is unsaved.
            (unsaved("a"), true, true, true),
            (unsaved("a"), false, false, true),
            (memory("a"), false, false, false),
            (memory("a"), true, false, false),
        ];
        for (memory, holds_lock, retained, unsaved) in aborted {
            let mut coordinator = coordinator(memory);
            let mut flow = lead(&mut coordinator, SessionRequest::SignOut, FRESH);
            let _ = coordinator.complete(flow.abort(holds_lock, at(FRESH)));
            assert_eq!((coordinator.retains_lock(), coordinator.is_unsaved()), (retained, unsaved), "{holds_lock}");
        }
    }

    #[test]
    fn a_flush_is_about_the_save_alone() {
        assert_eq!(admitted(&admit(&mut coordinator(memory("a")), SessionRequest::Flush, DUE)), "nothing");
        let rows = [
            (memory("a"), Err(Error::outcome_unknown("no network")), "nothing".to_owned()),
            (memory("a"), token("a"), "nothing".to_owned()),
            (unsaved("a"), token("a"), failure().to_string()),
        ];
        for (memory, result, expected) in rows {
            let mut coordinator = coordinator(unsaved("a"));
            let _ = lead(&mut coordinator, SessionRequest::Flush, FRESH);
            assert_eq!(shown(&coordinator.complete(end(memory, result, Vec::new()))), expected);
        }
    }

    #[test]
    fn events_are_delivered_in_order_and_one_at_a_time() {
        let mut coordinator = Coordinator::default();
        for events in [vec![SessionEvent::Started, SessionEvent::Refreshed], vec![SessionEvent::Saved]] {
            let _ = lead(&mut coordinator, ANY, FRESH);
            let _ = coordinator.complete(end(SessionMemory::default(), Ok(None), events));
        }
        let mut delivered = Vec::new();
        while let Some(event) = coordinator.next_event() {
            assert!(coordinator.next_event().is_none(), "two at a time");
            delivered.push(format!("{event:?}"));
            coordinator.event_delivered();
        }
        assert_eq!(delivered, ["Started", "Refreshed", "Saved"]);
        // A queue that was empty once is not blocked.
        let _ = lead(&mut coordinator, ANY, FRESH);
        let _ = coordinator.complete(end(SessionMemory::default(), Ok(None), vec![SessionEvent::Saved]));
        assert!(coordinator.next_event().is_some());
    }
}
