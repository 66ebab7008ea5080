use std::fmt;
use std::time::{Duration, Instant};

use http::Request;

use crate::app::App;
use crate::body::Body;
use crate::endpoint::{Endpoint, request_of};
use crate::error::{Error, ErrorKind};
use crate::jitter::{Jitter, Seed, after, doubled};
use crate::redacted::redacted;

/// An exchange of several requests and waits, without any I/O.
///
/// Time comes in as an argument, and there is always exactly one thing to do next, so that a loop of a
/// dozen lines drives every flow over any transport:
///
/// ```
/// # use std::{collections::VecDeque, time::{Duration, Instant}};
/// # use loginradius_proto::{App, Body, Call, Error, Flow, Seed, SendOptions, Step, jwt::JwtByAccessToken};
/// fn run<F: Flow>(
///     mut flow: F,
///     mut send: impl FnMut(http::Request<Body>, SendOptions) -> Result<http::Response<Body>, Error>,
///     mut wait_until: impl FnMut(Instant),
///     mut now: impl FnMut() -> Instant,
/// ) -> Result<F::Output, Error> {
///     loop {
///         match flow.step(now()) {
///             Step::Send { request, options } => flow.receive(send(request, options), now()),
///             Step::Wait(until) => wait_until(until),
///             Step::Done(result) => return result,
///         }
///     }
/// }
///
/// # fn main() -> Result<(), Error> {
/// // A server that is out of order once; a clock that jumps over the waits.
/// let mut responses = VecDeque::from([(503, "<html>"), (200, r#"{"signature":"e30.e30.c2ln"}"#)]);
/// let send = |_, _| {
///     let (status, body) = responses.pop_front().unwrap();
///     Ok(http::Response::builder().status(status).body(Body::from(body)).unwrap())
/// };
/// let clock = std::cell::Cell::new(Instant::now());
///
/// let app = App::new("my-api-key").with_jwt_app("my-jwt-app");
/// let call = Call::new(JwtByAccessToken::new("b8cb84c9"), &app, Seed(42));
/// let jwt = run(call, send, |until| clock.set(until), || clock.get())?;
/// assert_eq!(jwt.expose(), "e30.e30.c2ln");
/// # Ok(())
/// # }
/// ```
///
/// Misuse is harmless: while a response is awaited, [`step`](Self::step) returns its deadline as a wait; an outcome
/// that belongs to no request is ignored; calling early, late or twice changes nothing.
pub trait Flow {
    /// What the flow yields at its end.
    type Output;

    /// Returns what to do at this moment. Call it at the start, after every [`receive`](Self::receive), and when
    /// a [`Step::Wait`] is over; earlier calls return the same again.
    fn step(&mut self, now: Instant) -> Step<Self::Output>;

    /// Takes the outcome of the request of [`Step::Send`]: the response at any HTTP status, or
    /// [`Error::not_sent`] or [`Error::outcome_unknown`].
    fn receive(&mut self, outcome: Result<http::Response<Body>, Error>, now: Instant);
}

/// What a [`Flow`] asks for.
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "a transport has to handle every step there is")]
#[allow(clippy::large_enum_variant, reason = "a step is taken apart at once, and a box is an allocation")]
pub enum Step<T> {
    /// Send this request and give the outcome to [`Flow::receive`].
    Send {
        /// What to send. `http::Request` prints its whole URI: log it by [`redacted`](crate::redacted).
        request: Request<Body>,
        /// Until when, and over which connection.
        options: SendOptions,
    },
    /// Nothing to do before this instant, unless an outcome arrives. It may be in the past: then continue at once.
    Wait(Instant),
    /// The end. It is returned once; after that the result is [`ErrorKind::AlreadyCompleted`].
    Done(Result<T, Error>),
}

// By hand, because `http::Request` prints its URI, and LoginRadius's JWT operations put a token there.
impl<T: fmt::Debug> fmt::Debug for Step<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { request, options } => f
                .debug_struct("Send")
                .field("request", &format_args!("{}", redacted(request)))
                .field("options", options)
                .finish(),
            Self::Wait(until) => f.debug_tuple("Wait").field(until).finish(),
            Self::Done(result) => f.debug_tuple("Done").field(result).finish(),
        }
    }
}

/// How a transport sends the request of a [`Step::Send`].
///
/// ```
/// # use std::time::{Duration, Instant};
/// # use loginradius_proto::{App, Call, Flow, Seed, Step, oauth::RefreshAccessToken};
/// let now = Instant::now();
/// let app = App::new("my-client-id");
/// let mut call = Call::new(RefreshAccessToken::new("a795bbb0"), &app, Seed(42));
/// let Step::Send { options, .. } = call.step(now) else { unreachable!() };
///
/// assert_eq!(options.deadline, now + Duration::from_secs(30));
/// assert!(options.fresh_connection);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendOptions {
    /// When the flow continues without a response, as after a lost one. Stop the request then.
    pub deadline: Instant,
    /// Send it over a new connection: a pooled one that dies would lose a request that must not be sent again.
    pub fresh_connection: bool,
}

impl SendOptions {
    /// Makes the options of a request that is sent over a new connection, and stopped at that deadline.
    ///
    /// For a [`Flow`] of your own, and for tests of a transport.
    ///
    /// ```
    /// # use std::time::{Duration, Instant};
    /// use loginradius_proto::SendOptions;
    ///
    /// let mut options = SendOptions::new(Instant::now() + Duration::from_secs(30));
    /// assert!(options.fresh_connection);
    /// options.fresh_connection = false; // for a request that may be sent again
    /// ```
    #[must_use]
    pub fn new(deadline: Instant) -> Self {
        Self { deadline, fresh_connection: true }
    }
}

/// How long a flow waits for a response by default.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// When a [`Call`] is sent again.
///
/// Whatever the policy, only what is safe is repeated: a request that was certainly not sent, or an
/// operation that is [`repeatable`](Endpoint::repeatable).
///
/// ```
/// use loginradius_proto::Retry;
///
/// let patient = Retry::default().with_attempts(10);
/// assert_eq!(Retry::OFF.attempts, 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// The most requests that are sent, the first included. 4 by default.
    pub attempts: u32,
    /// The wait after the first failure; it doubles with each further one. 500 ms by default. Up to a
    /// quarter is taken off at random.
    pub first_wait: Duration,
    /// The longest wait. 10 s by default. A server that asks for more (`Retry-After`) ends the call
    /// with an error that says so.
    pub max_wait: Duration,
}

impl Retry {
    /// Sends nothing twice.
    pub const OFF: Self = Self { attempts: 1, first_wait: Duration::ZERO, max_wait: Duration::ZERO };

    /// Sets the most requests that are sent, the first included. 0 counts as 1.
    #[must_use]
    pub const fn with_attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// Sets the wait after the first failure.
    #[must_use]
    pub const fn with_first_wait(self, first_wait: Duration) -> Self {
        Self { first_wait, ..self }
    }

    /// Sets the longest wait.
    #[must_use]
    pub const fn with_max_wait(self, max_wait: Duration) -> Self {
        Self { max_wait, ..self }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 4, first_wait: Duration::from_millis(500), max_wait: Duration::from_secs(10) }
    }
}

/// The flow of a single operation, sent again where that is safe.
///
/// A code exchange, a password or a refresh is never sent twice when the first may have arrived.
///
/// ```text
/// ready --send--> awaiting the response --success, or an error that is final--> done
///   ^              |
///   +---waiting <--+ a failure, if the operation may be repeated, and attempts and time are left
/// ```
#[derive(Debug)]
pub struct Call<E: Endpoint> {
    endpoint: E,
    app: App,
    retry: Retry,
    timeout: Duration,
    /// When the whole call ends.
    deadline: Option<Instant>,
    jitter: Jitter,
    attempts: u32,
    state: State<E::Response>,
}

#[derive(Debug)]
enum State<T> {
    /// To be sent at once.
    Ready,
    /// To be sent again, after that failure.
    Waiting {
        until: Instant,
        failure: Error,
    },
    AwaitingResponse {
        sent: Instant,
        deadline: Instant,
    },
    Done(Option<Result<T, Error>>),
}

impl<E: Endpoint> Call<E> {
    /// Calls that operation with [`Retry::default()`], a timeout of 30 s for each attempt, and no deadline.
    pub fn new(endpoint: E, app: &App, seed: Seed) -> Self {
        Self {
            endpoint,
            app: app.clone(),
            retry: Retry::default(),
            timeout: DEFAULT_TIMEOUT,
            deadline: None,
            jitter: Jitter::new(seed),
            attempts: 0,
            state: State::Ready,
        }
    }

    /// Sets when it is sent again.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets how long the response to one attempt may take. 30 s by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Ends the whole call by that instant, retries and waits included.
    ///
    /// A request that is cut off then is an [`ErrorKind::OutcomeUnknown`]. If there is no time to send one at all, the
    /// error is [`ErrorKind::DeadlineExceeded`].
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    fn send(&mut self, now: Instant) -> Step<E::Response> {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            let error = match std::mem::replace(&mut self.state, State::Done(None)) {
                State::Waiting { failure, .. } => self.final_error(failure),
                _ => too_late().of(self.endpoint.name()),
            };
            return Step::Done(Err(error));
        }
        match request_of(&self.endpoint, &self.app) {
            Ok(request) => {
                let deadline = earlier(after(now, self.timeout), self.deadline);
                self.attempts = self.attempts.saturating_add(1);
                self.state = State::AwaitingResponse { sent: now, deadline };
                let options = SendOptions { deadline, fresh_connection: !self.endpoint.repeatable() };
                Step::Send { request, options }
            }
            Err(error) => {
                self.state = State::Done(None);
                Step::Done(Err(error))
            }
        }
    }

    fn outcome(&mut self, outcome: Result<http::Response<Body>, Error>, sent: Instant, now: Instant) {
        let mut result = outcome.and_then(|response| self.endpoint.response(&self.app, response));
        if let Ok(response) = &mut result {
            self.endpoint.set_requested_at(response, sent);
        }
        self.state = match result {
            Ok(response) => State::Done(Some(Ok(response))),
            Err(error) => match self.next_attempt(&error, now) {
                Some(until) => State::Waiting { until, failure: error },
                None => State::Done(Some(Err(self.final_error(error)))),
            },
        };
    }

    fn final_error(&self, error: Error) -> Error {
        let error = error.of(self.endpoint.name()).to(self.app.service());
        match self.attempts {
            0 | 1 => error,
            attempts => error.with_note(format!("{attempts} attempts were made")),
        }
    }

    /// Returns when to make the next attempt; `None` if there must be none.
    fn next_attempt(&mut self, error: &Error, now: Instant) -> Option<Instant> {
        let safe = error.kind() == ErrorKind::NotSent || (self.endpoint.repeatable() && is_failure(error));
        if !safe || self.attempts >= self.retry.attempts {
            return None;
        }
        let wait = self.jitter.shorten(doubled(self.retry.first_wait, self.attempts, self.retry.max_wait));
        let wait = match error.retry_after() {
            Some(asked) if asked > self.retry.max_wait => return None,
            Some(asked) => wait.max(asked),
            None => wait,
        };
        Some(after(now, wait)).filter(|at| self.deadline.is_none_or(|deadline| *at < deadline))
    }
}

/// Makes the error of an operation that had no time left to send anything.
fn too_late() -> Error {
    Error::deadline_exceeded("the time that the program gave was over before anything was sent; give it more")
}

/// Returns the earlier of two deadlines, of which the second may be missing.
pub(crate) fn earlier(one: Instant, other: Option<Instant>) -> Instant {
    other.map_or(one, |other| one.min(other))
}

impl<E: Endpoint> Flow for Call<E> {
    type Output = E::Response;

    fn step(&mut self, now: Instant) -> Step<E::Response> {
        if let State::AwaitingResponse { sent, deadline } = self.state {
            if now < deadline {
                return Step::Wait(deadline);
            }
            self.outcome(Err(Error::unanswered()), sent, now);
        }
        match &mut self.state {
            State::Waiting { until, .. } if now < *until => Step::Wait(*until),
            State::Ready | State::Waiting { .. } => self.send(now),
            State::AwaitingResponse { deadline, .. } => Step::Wait(*deadline),
            State::Done(result) => Step::Done(result.take().unwrap_or_else(|| Err(Error::already_completed()))),
        }
    }

    fn receive(&mut self, outcome: Result<http::Response<Body>, Error>, now: Instant) {
        if let State::AwaitingResponse { sent, .. } = self.state {
            self.outcome(outcome, sent, now);
        }
    }
}

/// Returns whether an error says nothing about the request itself: the network's, a busy server's or a proxy's. The
/// next attempt may succeed.
pub(crate) fn is_failure(error: &Error) -> bool {
    let status = error.http_status().map_or(0, |status| status.as_u16());
    match error.kind() {
        ErrorKind::NotSent | ErrorKind::OutcomeUnknown | ErrorKind::InvalidResponse => true,
        ErrorKind::Unavailable if error.api_error().is_none() => true,
        _ if matches!(status, 300..=399 | 408 | 429 | 500..=599) => true,
        _ => {
            let name = error.api_error().and_then(|api_error| api_error.oauth_error.as_deref());
            matches!(name, Some("server_error" | "temporarily_unavailable"))
        }
    }
}
