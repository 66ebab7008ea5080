use std::fmt;
use std::time::{Duration, Instant};

use http::Request;

use crate::app::App;
use crate::body::Body;
use crate::endpoint::{Endpoint, request_of};
use crate::error::{Error, ErrorKind};
use crate::jitter::{Jitter, Seed, after, doubled};
use crate::redacted::redacted;

/// A state machine of several requests and waits, without any I/O: [`Call`] and [`DeviceFlow`](crate::DeviceFlow).
/// ([`SessionFlow`](crate::session::SessionFlow) also uses a store, so it has its own steps and its own loop.)
///
/// There is always exactly one thing to do next, and the time is an argument. So this loop drives both over any
/// transport:
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
/// // A server that does not work the first time, and a clock that skips the waits.
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
/// [`SendOptions`] says how long to wait for the response and over which connection to send.
///
/// Wrong calls do no harm. [`step`](Self::step) may be called at any time: before a wait is over it returns the same
/// wait again, and while a response is awaited it returns a [`Step::Wait`] until the response's deadline. A second
/// [`receive`](Self::receive) for one request is ignored. To cancel a flow, drop it.
///
/// # A transport
///
/// `send` above is a transport. Whatever HTTP client it uses, it
///
/// - returns every response as `Ok`, whatever its HTTP status, and follows no redirect;
/// - goes through the proxy that [`ProxySettings::proxy_for`](crate::proxy::ProxySettings::proxy_for) returns, if it
///   reads proxy settings, and never direct where that is an error;
/// - stops waiting at [`SendOptions::deadline`];
/// - sends over a new connection where [`SendOptions::fresh_connection`] is `true`;
/// - collects the body (decoded, if it was compressed) in a [`BodyBuffer`](crate::BodyBuffer), which refuses more than
///   [`Body::LIMIT`] bytes and leaves no copy of the tokens in memory;
/// - returns [`Error::not_connected`] or [`Error::not_sent`] only if nothing was sent, and otherwise
///   [`Error::outcome_unknown`]: this decides what may be sent again;
/// - returns [`Error::connection_closed`] if the connection was closed before the head of a response arrived;
/// - adds the header `Date` with the time of receipt to a response that has none ([RFC 9110, section 6.6.1]): the core
///   has no clock, and a date in `Retry-After` counts from that time;
/// - shows no URL, header or body in a log or in an error's source: it logs requests through
///   [`redacted`](crate::redacted).
///
/// The crate `loginradius-transport` has what the adapters use below HTTP: root certificates, TLS settings for rustls,
/// the cause of a failed handshake, and a decoder for gzip.
///
/// ```
/// # use std::{io, time::{Duration, Instant}};
/// # use loginradius_proto::{Body, BodyBuffer, Error, SendOptions};
/// # struct HttpClient;
/// # impl HttpClient {
/// #     fn connect(&self, _: bool, _: Duration) -> Result<Self, io::Error> { Ok(Self) }
/// #     fn send(&self, _: http::Request<Body>, _: Duration) -> Result<http::Response<()>, io::Error> { Ok(http::Response::new(())) }
/// #     fn read(&self) -> Result<Option<Vec<u8>>, io::Error> { Ok(Some(vec![0; 1 << 16])) }
/// # }
/// fn send(
///     client: &HttpClient, // yours
///     request: http::Request<Body>,
///     options: SendOptions,
/// ) -> Result<http::Response<Body>, Error> {
///     let time_left = || options.deadline.saturating_duration_since(Instant::now());
///     let connection = client.connect(options.fresh_connection, time_left()).map_err(Error::not_sent)?;
///     let response = connection.send(request, time_left()).map_err(Error::outcome_unknown)?;
///     let mut body = BodyBuffer::new();
///     while let Some(chunk) = connection.read().map_err(Error::outcome_unknown)? {
///         body.push(&chunk)?;
///     }
///     Ok(response.map(|()| body.into_body()))
/// }
/// # let now = SendOptions::new(Instant::now());
/// # assert!(send(&HttpClient, http::Request::new(Body::empty()), now).unwrap_err().is_outcome_unknown());
/// ```
///
/// [RFC 9110, section 6.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1
#[doc(alias("state machine", "sans-io", "driver"))]
pub trait Flow {
    /// What the flow yields if it succeeds.
    type Output;

    /// Returns what to do at this moment. Call it at the start, after every [`receive`](Self::receive), and when a
    /// [`Step::Wait`] is over. An earlier call returns the same wait again.
    fn step(&mut self, now: Instant) -> Step<Self::Output>;

    /// Takes the outcome of the request of a [`Step::Send`]: the response, whatever its HTTP status; or
    /// [`Error::not_sent`] if the request was certainly not sent, else [`Error::outcome_unknown`].
    fn receive(&mut self, outcome: Result<http::Response<Body>, Error>, now: Instant);
}

/// What to do next for a [`Flow`].
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "a transport has to handle every step there is")]
#[allow(clippy::large_enum_variant, reason = "a step is taken apart at once, and a box is an allocation")]
pub enum Step<T> {
    /// Send this request and give the outcome to [`Flow::receive`].
    Send {
        /// The request. Its `Debug` shows the whole URI, which may hold a token: log it by
        /// [`redacted`](crate::redacted).
        request: Request<Body>,
        /// Until when to wait for the response, and over which connection to send.
        options: SendOptions,
    },
    /// Do nothing before this instant, unless an outcome arrives. If it is in the past, continue at once.
    Wait(Instant),
    /// The result. It is returned once; after that, a step returns [`ErrorKind::AlreadyCompleted`].
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

/// How to send the request of a [`Step::Send`].
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
    /// When to stop the request. The flow then continues as after a lost response.
    pub deadline: Instant,
    /// Whether to send it over a new connection, which is used for nothing else: a pooled one may die with a request
    /// that must not be sent again.
    pub fresh_connection: bool,
}

impl SendOptions {
    /// Makes the options of a request that is sent over a new connection and stopped at that deadline: for a [`Flow`]
    /// of your own, and for tests of a transport.
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

/// How long a call waits for a response over a pooled connection, if it may be sent again over a new one. After a
/// change of network, such a connection may be dead without any sign of it.
const POOLED_TIMEOUT: Duration = Duration::from_secs(10);

/// How often and when a [`Call`] is sent again: 4 attempts by default, about 0.5 s, 1 s and 2 s apart.
///
/// Only what is safe is sent again:
///
/// - any operation, if its request was certainly not sent ([`ErrorKind::NotSent`]), unless the failure
///   [is permanent](crate::ConnectFailure::is_permanent), such as an untrusted certificate;
/// - a [`repeatable`](Endpoint::repeatable) operation also after a lost response, HTTP 3xx, 408, 429 or 5xx, and a
///   response that is not LoginRadius's.
///
/// All attempts together, with the waits in between, take at most [`max_time`](Self::max_time), 30 s by default, or the
/// [timeout](Call::timeout) of one attempt if that is longer.
///
/// The first attempt of a repeatable operation may use a pooled connection, which may be dead. If more attempts are
/// allowed, it waits for at most 10 s. The others use a new connection and wait for the [timeout](Call::timeout), or
/// for what is left of the time of all attempts.
///
/// ```
/// use std::time::Duration;
/// use loginradius_proto::Retry;
///
/// let patient = Retry::default()
///     .with_attempts(10)
///     .with_max_wait(Duration::from_secs(60))
///     .with_max_time(Duration::from_secs(300));
/// assert_eq!(patient.first_wait, Duration::from_millis(500));
/// assert_eq!(Retry::OFF.attempts, 1);
/// ```
#[doc(alias("backoff", "retries", "attempts"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// The number of requests that are sent at most, the first included; 4 by default. 0 counts as 1.
    pub attempts: u32,
    /// The wait after the first failure; 500 ms by default. It doubles with each further failure. Up to a quarter is
    /// taken off at random.
    pub first_wait: Duration,
    /// The longest wait; 10 s by default. If the server asks for a longer one (`Retry-After`), the call ends instead
    /// with an error that says how long ([`Error::retry_after`]). A `Retry-After` of more than a day counts as a day.
    pub max_wait: Duration,
    /// The longest time of all attempts together, from the first one on; 30 s by default. If the
    /// [timeout](Call::timeout) of one attempt is longer, that counts instead. No further attempt begins unless 5 s of
    /// this time are left for it, or its whole timeout if that is shorter.
    ///
    /// Sessions have limits of their own ([`SessionPolicy`](crate::session::SessionPolicy)) and do not use it.
    pub max_time: Duration,
}

impl Retry {
    /// One attempt: nothing is sent twice.
    pub const OFF: Self =
        Self { attempts: 1, first_wait: Duration::ZERO, max_wait: Duration::ZERO, max_time: Duration::ZERO };

    /// The least time that a further attempt is given. With less, the request may arrive and its response may not, so
    /// that a *not sent* becomes an *outcome unknown*.
    const MIN_TIME: Duration = Duration::from_secs(5);

    /// Sets the number of requests that are sent at most, the first included. 0 counts as 1.
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

    /// Sets the longest time of all attempts together. `Duration::MAX` leaves only the number of attempts to end them.
    #[must_use]
    pub const fn with_max_time(self, max_time: Duration) -> Self {
        Self { max_time, ..self }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_wait: Duration::from_millis(500),
            max_wait: Duration::from_secs(10),
            max_time: Duration::from_secs(30),
        }
    }
}

/// The flow of one operation, which is sent again where that is safe ([`Retry`]).
///
/// A request with a code, a password or a refresh token is never sent twice when the first may have arrived.
///
/// ```text
/// ready --send--> awaiting the response --success, or an error that is final--> done
///   ^              |
///   +---waiting <--+ a failure, if it is safe to send again, and attempts and time are left
/// ```
///
/// ```
/// # use std::time::{Duration, Instant};
/// # use loginradius_proto::{App, Body, Call, Error, Flow, Retry, Seed, Step, oauth::RevokeRefreshToken};
/// # fn main() -> Result<(), Error> {
/// let now = Instant::now();
/// let app = App::new("my-client-id");
/// let mut call = Call::new(RevokeRefreshToken::new("a795bbb0"), &app, Seed(42))
///     .retry(Retry::default().with_attempts(2))
///     .deadline(now + Duration::from_secs(60));
///
/// let Step::Send { .. } = call.step(now) else { unreachable!() };
/// call.receive(Err(Error::not_sent("connection refused")), now);
/// let Step::Wait(until) = call.step(now) else { unreachable!() };
///
/// let Step::Send { .. } = call.step(until) else { unreachable!() };
/// call.receive(Ok(http::Response::new(Body::empty())), until);
/// let Step::Done(result) = call.step(until) else { unreachable!() };
/// result
/// # }
/// ```
///
/// # Errors
///
/// - the last attempt's error, which says how many attempts were made;
/// - [`ErrorKind::DeadlineExceeded`] if the [`deadline`](Self::deadline) passed before anything could be sent;
/// - [`ErrorKind::Misuse`] if the request is to a host that is not one of the app's service's: it is not sent;
/// - the errors of [`Endpoint::request`].
#[derive(Debug)]
pub struct Call<E: Endpoint> {
    endpoint: E,
    app: App,
    retry: Retry,
    timeout: Duration,
    /// Of the whole call, retries and waits included.
    deadline: Option<Instant>,
    jitter: Jitter,
    attempts_made: u32,
    /// When the time of all attempts together ends; `None` before the first one, or if it never ends.
    ends_at: Option<Instant>,
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
        /// Whether it went to the service's API host, and not to its base.
        to_api_host: bool,
    },
    Done(Option<Result<T, Error>>),
}

impl<E: Endpoint> Call<E> {
    /// Makes the flow of that operation, with [`Retry::default()`], a timeout of 30 s for each attempt and no deadline.
    /// It takes at most 30 s.
    pub fn new(endpoint: E, app: &App, seed: Seed) -> Self {
        Self {
            endpoint,
            app: app.clone(),
            retry: Retry::default(),
            timeout: DEFAULT_TIMEOUT,
            deadline: None,
            jitter: Jitter::new(seed),
            attempts_made: 0,
            ends_at: None,
            state: State::Ready,
        }
    }

    /// Sets how often and when it is sent again; [`Retry::default()`] by default.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets how long the response to one attempt may take; 30 s by default. All attempts together take no longer than
    /// this or [`Retry::max_time`], whichever is longer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the instant by which the whole call ends, retries and waits included; none by default.
    ///
    /// A request that is stopped then is an [`ErrorKind::OutcomeUnknown`]. If nothing could be sent before, the error
    /// is [`ErrorKind::DeadlineExceeded`].
    #[must_use]
    pub fn deadline(mut self, deadline: impl Into<Option<Instant>>) -> Self {
        self.deadline = deadline.into();
        self
    }

    fn send(&mut self, now: Instant) -> Step<E::Response> {
        if [self.deadline, self.ends_at].into_iter().flatten().any(|end| now >= end) {
            let error = match std::mem::replace(&mut self.state, State::Done(None)) {
                State::Waiting { failure, .. } => self.final_error(failure),
                _ => deadline_error().of(self.endpoint.name()),
            };
            return Step::Done(Err(error));
        }
        match request_of(&self.endpoint, &self.app) {
            Ok(request) => {
                let fresh_connection = !self.endpoint.repeatable() || self.attempts_made > 0;
                let timeout = if fresh_connection || self.retry.attempts < 2 {
                    self.timeout
                } else {
                    self.timeout.min(POOLED_TIMEOUT)
                };
                if self.attempts_made == 0 {
                    self.ends_at = now.checked_add(self.retry.max_time.max(self.timeout));
                }
                let deadline = earlier(earlier(after(now, timeout), self.ends_at), self.deadline);
                self.attempts_made = self.attempts_made.saturating_add(1);
                let service = self.app.service();
                let to_api_host = service.base_of(request.uri()) != Some(service.base());
                self.state = State::AwaitingResponse { sent: now, deadline, to_api_host };
                let options = SendOptions { deadline, fresh_connection };
                Step::Send { request, options }
            }
            Err(error) => {
                self.state = State::Done(None);
                Step::Done(Err(error))
            }
        }
    }

    fn take_outcome(&mut self, outcome: Result<http::Response<Body>, Error>, now: Instant) {
        let State::AwaitingResponse { sent, to_api_host, .. } = self.state else { return };
        let service = self.app.service();
        let base = if to_api_host { service.api_host() } else { service.base() };
        let result = match outcome {
            Ok(response) => self.endpoint.response(&self.app, response).map_err(|error| match error.kind() {
                // A response is proof that the request was sent, whatever the endpoint makes of it.
                ErrorKind::NotSent => Error::outcome_unknown(error),
                _ => error,
            }),
            Err(error) => Err(error),
        };
        self.state = match result.map_err(|error| error.to(base)) {
            Ok(mut response) => {
                self.endpoint.set_requested_at(&mut response, sent);
                State::Done(Some(Ok(response)))
            }
            Err(error) => match self.next_attempt(&error, now) {
                Some(until) => State::Waiting { until, failure: error },
                None => State::Done(Some(Err(self.final_error(error)))),
            },
        };
    }

    fn final_error(&self, error: Error) -> Error {
        let error = error.of(self.endpoint.name());
        match self.attempts_made {
            0 | 1 => error,
            attempts => error.with_note(format!("{attempts} attempts were made")),
        }
    }

    /// Returns when to make the next attempt; `None` if there must be none.
    fn next_attempt(&mut self, error: &Error, now: Instant) -> Option<Instant> {
        let safe = is_failure(error) && (error.kind() == ErrorKind::NotSent || self.endpoint.repeatable());
        if !safe || self.attempts_made >= self.retry.attempts {
            return None;
        }
        let wait = self.jitter.shorten(doubled(self.retry.first_wait, self.attempts_made, self.retry.max_wait));
        let wait = match error.retry_after() {
            Some(retry_after) if retry_after > self.retry.max_wait => return None,
            Some(retry_after) => wait.max(retry_after),
            None => wait,
        };
        let at = after(now, wait);
        let latest = self.ends_at.and_then(|end| end.checked_sub(self.timeout.min(Retry::MIN_TIME)));
        let is_in_time = latest.is_none_or(|latest| at <= latest) && self.deadline.is_none_or(|deadline| at < deadline);
        is_in_time.then_some(at)
    }
}

/// Creates the error of an operation whose deadline passed before it sent anything.
fn deadline_error() -> Error {
    Error::deadline_exceeded("the program's deadline passed before anything was sent: allow more time")
}

/// Returns the earlier of two deadlines, of which the second may be missing.
pub(crate) fn earlier(one: Instant, other: Option<Instant>) -> Instant {
    other.map_or(one, |other| one.min(other))
}

impl<E: Endpoint> Flow for Call<E> {
    type Output = E::Response;

    fn step(&mut self, now: Instant) -> Step<E::Response> {
        if let State::AwaitingResponse { deadline, .. } = self.state {
            if now < deadline {
                return Step::Wait(deadline);
            }
            self.take_outcome(Err(Error::no_outcome()), now);
        }
        match &mut self.state {
            State::Waiting { until, .. } if now < *until => Step::Wait(*until),
            State::Ready | State::Waiting { .. } => self.send(now),
            State::AwaitingResponse { deadline, .. } => Step::Wait(*deadline),
            State::Done(result) => Step::Done(result.take().unwrap_or_else(|| Err(Error::already_completed()))),
        }
    }

    fn receive(&mut self, outcome: Result<http::Response<Body>, Error>, now: Instant) {
        self.take_outcome(outcome, now);
    }
}

/// Returns whether the error is of the network, a proxy or a server that does not work now, and not about the request:
/// the next attempt may succeed.
pub(crate) fn is_failure(error: &Error) -> bool {
    let status = error.http_status().map_or(0, |status| status.as_u16());
    match error.kind() {
        ErrorKind::NotSent => error.is_transient(),
        ErrorKind::OutcomeUnknown | ErrorKind::InvalidResponse => true,
        ErrorKind::Unavailable if error.api_error().is_none() => true,
        _ if matches!(status, 300..=399 | 408 | 429 | 500..=599) => true,
        _ => {
            let name = error.api_error().and_then(|api_error| api_error.oauth_error.as_deref());
            matches!(name, Some("server_error" | "temporarily_unavailable"))
        }
    }
}
