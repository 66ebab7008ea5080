use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::{Endpoint, request_of};
use crate::error::{Error, ErrorKind};
use crate::flow::{DEFAULT_TIMEOUT, Flow, SendOptions, Step, earlier, is_failure};
use crate::jitter::{Jitter, Seed, after, doubled};
use crate::oauth::{DeviceGrant, RequestTokens};
use crate::secret::DeviceCode;
use crate::token::TokenSet;

/// Polls until the user has decided, or the code's lifetime is over ([RFC 8628, section 3.4]).
///
/// ```text
/// waiting --the interval is over--> awaiting the response --tokens, or a refusal--> done
///   ^  |                             |
///   |  +--the lifetime is over--> done (expired)
///   +-- pending, slow_down, or a failure --+
/// ```
///
/// - The first poll is sent one interval after the grant, each later one an interval after the last
///   response or failure. `slow_down` makes the interval 5 s longer for good.
/// - A lost response, 5xx, 3xx, 429 or a body that is not LoginRadius's is a failure: the next
///   wait is twice as long, and so on up to 60 s, less a random part, never less than the interval nor
///   than `Retry-After`. The flow continues until the lifetime ends; a response of LoginRadius clears the backoff. A
///   429 without `Retry-After` also makes the interval 5 s longer.
/// - When there is no time for two more polls, the last one waits until just before the end, so that a
///   late decision is not missed. After the end there is none: the error is [`ErrorKind::Expired`], and
///   its source is the last failure, if the flow was backing off.
/// - A poll without a response is given up after 30 s, or earlier if another one could not follow in time.
/// - Whatever else LoginRadius says is final.
///
/// Dropping the flow cancels it. To continue in another process, store [`pending`](Self::pending).
/// [`take_progress`](Self::take_progress) says what each response meant.
///
/// ```
/// # use std::time::{Duration, Instant};
/// # use loginradius_proto::{App, Body, DeviceFlow, DeviceProgress, Endpoint, Flow, Seed, Step, oauth::RequestDeviceCode};
/// # fn response(status: u16, body: &str) -> http::Response<Body> {
/// #     http::Response::builder().status(status).body(Body::from(body)).unwrap()
/// # }
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let app = App::new("my-client-id").with_oauth_app("my-oauth-app");
/// let start = Instant::now();
/// let grant = RequestDeviceCode::new().response(&app, response(200, r#"{
///     "device_code": "af2a4121179546c1b121995414cc4530", "user_code": "oP5lLq", "interval": 10,
///     "verification_uri": "https://example.com/device", "expires_in": 1800
/// }"#))?;
/// println!("Open {} and enter {}", grant.verification_uri, grant.user_code);
///
/// let mut flow = DeviceFlow::new(&app, &grant, start, Seed(42));
/// let after = |seconds| start + Duration::from_secs(seconds);
///
/// let Step::Wait(until) = flow.step(start) else { unreachable!() };
/// assert_eq!(until, after(10));
///
/// let Step::Send { request: poll, .. } = flow.step(after(10)) else { unreachable!() };
/// assert_eq!(poll.uri().path(), "/sso/oauth/my-oauth-app/access_token");
/// flow.receive(Ok(response(400, r#"{"error":"slow_down"}"#)), after(11));
///
/// assert!(matches!(flow.take_progress(), Some(DeviceProgress::SlowedDown { .. })));
/// // 10 s and 5 s more, counted from the response.
/// let Step::Wait(until) = flow.step(after(11)) else { unreachable!() };
/// assert_eq!(until, after(26));
///
/// let Step::Send { .. } = flow.step(after(26)) else { unreachable!() };
/// flow.receive(Ok(response(200, r#"{"access_token":"b8cb84c9","token_type":"access_token"}"#)), after(27));
///
/// let Step::Done(tokens) = flow.step(after(27)) else { unreachable!() };
/// assert_eq!(tokens?.access_token.expose(), "b8cb84c9");
/// # Ok(())
/// # }
/// ```
///
/// [RFC 8628, section 3.4]: https://www.rfc-editor.org/rfc/rfc8628#section-3.4
#[derive(Debug)]
pub struct DeviceFlow {
    app: App,
    /// The grant, with its interval as it has grown.
    grant: DeviceGrant,
    poll: RequestTokens,
    timeout: Duration,
    jitter: Jitter,
    ends: Instant,
    /// The longest that a response took so far: what "just before the end" has to allow for.
    round_trip: Duration,
    /// The last response or failure, from which the next wait counts.
    last: Instant,
    backoff: Duration,
    /// Until when the server asked not to poll (`Retry-After`).
    not_before: Option<Instant>,
    /// Failures since the last response.
    failures: u32,
    failure: Option<Error>,
    /// A poll whose response, perhaps with the tokens in it, never arrived.
    lost: Option<Error>,
    /// A resumed flow polls once, even if the code seems to have expired meanwhile: clocks differ.
    owes_a_poll: bool,
    /// When the program stops waiting.
    deadline: Option<Instant>,
    progress: Option<DeviceProgress>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// For the next poll, or for the end if that comes first.
    Waiting {
        until: Instant,
    },
    AwaitingResponse {
        sent: Instant,
        deadline: Instant,
    },
    Done(Option<Result<TokenSet, Error>>),
}

impl DeviceFlow {
    /// RFC 8628, section 3.5: `slow_down` increases the interval by 5 seconds.
    const SLOW_DOWN: Duration = Duration::from_secs(5);
    /// The longest backoff, unless the interval itself is longer.
    const MAX_BACKOFF: Duration = Duration::from_secs(60);
    /// How long before the end the last poll is sent: half an interval, at most this.
    const LAST_POLL_MARGIN: Duration = Duration::from_secs(5);

    /// Polls for a grant that arrived at `now`.
    #[must_use]
    pub fn new(app: &App, grant: &DeviceGrant, now: Instant, seed: Seed) -> Self {
        let mut flow = Self {
            app: app.clone(),
            poll: RequestTokens::new(grant.device_code.clone()),
            grant: grant.clone(),
            timeout: DEFAULT_TIMEOUT,
            jitter: Jitter::new(seed),
            ends: after(now, grant.expires_in),
            round_trip: Duration::ZERO,
            last: now,
            backoff: Duration::ZERO,
            not_before: None,
            failures: 0,
            failure: None,
            lost: None,
            owes_a_poll: false,
            deadline: None,
            progress: None,
            state: State::Done(None),
        };
        flow.plan();
        flow
    }

    /// Continues with a grant that another flow, perhaps of another process, left [`pending`](Self::pending).
    ///
    /// It waits one interval and polls at least once, even if the lifetime seems to be over by `clock`.
    #[must_use]
    pub fn resume(app: &App, pending: &PendingDevice, now: Instant, clock: SystemTime, seed: Seed) -> Self {
        let mut flow = Self::new(app, &pending.grant, now, seed);
        // A clock that was set back must not make the code live longer than it was given.
        let age = clock.duration_since(pending.arrived_at).unwrap_or_default();
        flow.ends = after(now, pending.grant.expires_in.saturating_sub(age));
        flow.round_trip = pending.round_trip;
        flow.not_before = pending.not_before.map(|time| after(now, time.duration_since(clock).unwrap_or_default()));
        flow.owes_a_poll = true;
        flow.plan();
        flow
    }

    /// Sets how long the response to a poll may take. 30 s by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Ends the flow at that instant, with [`ErrorKind::DeadlineExceeded`], if the user has not decided before. The
    /// code lives on: a flow that is [resumed](Self::resume) can still yield the tokens.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets how long the request of the grant took. The last poll allows for it, so that it reaches the
    /// server before the server's own end of the lifetime.
    #[must_use]
    pub fn round_trip(mut self, round_trip: Duration, now: Instant) -> Self {
        self.round_trip = self.round_trip.max(round_trip);
        if let State::Waiting { .. } = self.state {
            self.last = self.last.max(now);
            self.plan();
        }
        self
    }

    /// Returns when the codes expire, by this machine's count.
    #[must_use]
    pub fn expires_at(&self) -> Instant {
        self.ends
    }

    /// Returns what the last response or failure meant, once.
    pub fn take_progress(&mut self) -> Option<DeviceProgress> {
        self.progress.take()
    }

    /// Returns the grant as it stands, to be stored and [resumed](Self::resume) elsewhere. Both arguments are the
    /// present moment.
    #[must_use]
    pub fn pending(&self, now: Instant, clock: SystemTime) -> PendingDevice {
        let left = self.ends.saturating_duration_since(now);
        let age = self.grant.expires_in.saturating_sub(left);
        let arrived_at = clock.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let not_before = self.not_before.and_then(|time| clock.checked_add(time.saturating_duration_since(now)));
        PendingDevice { grant: self.grant.clone(), arrived_at, round_trip: self.round_trip, not_before }
    }

    /// Plans the next poll.
    fn plan(&mut self) {
        let interval = self.grant.interval;
        let earliest = after(self.last, interval);
        let asked = self.not_before.unwrap_or(self.last);
        let wanted = after(self.last, self.backoff).max(earliest).max(asked);

        let last_poll = self.last_poll();
        let then_another = after(after(wanted, self.round_trip), interval);
        let at = if then_another <= last_poll {
            wanted
        } else if asked < self.ends {
            earliest.max(asked).max(last_poll)
        } else {
            // A `Retry-After` beyond the end leaves the last poll where it is: there is no later.
            earliest.max(last_poll)
        };
        self.state = State::Waiting { until: if self.owes_a_poll { at } else { at.min(self.ends) } };
    }

    /// Returns the latest instant at which a poll still reaches the server before the end of the lifetime.
    fn last_poll(&self) -> Instant {
        let margin = (self.grant.interval / 2).min(Self::LAST_POLL_MARGIN).max(self.round_trip.saturating_mul(2));
        self.ends.checked_sub(margin).unwrap_or(self.last)
    }

    /// Returns until when to wait for the response to a poll that is sent now.
    ///
    /// A server that never responds to one poll must not cost the login: the poll is given up early enough for
    /// another one, unless that would leave too little time for a slow response.
    fn poll_deadline(&self, now: Instant) -> Instant {
        let interval = self.grant.interval;
        let patience = interval.max(self.round_trip.saturating_mul(4));
        // The timeouts of sockets come late, on Linux by up to an eighth.
        let for_another = self.last_poll().saturating_duration_since(after(now, interval)) / 8 * 7;
        let wait = if for_another >= patience { self.timeout.min(for_another) } else { self.timeout };
        earlier(after(now, wait), self.deadline)
    }

    fn send(&mut self, now: Instant) -> Step<TokenSet> {
        self.owes_a_poll = false;
        match request_of(&self.poll, &self.app) {
            Ok(request) => {
                let deadline = self.poll_deadline(now);
                self.state = State::AwaitingResponse { sent: now, deadline };
                // A grant yields its tokens once: a poll that is lost may have lost them.
                Step::Send { request, options: SendOptions { deadline, fresh_connection: true } }
            }
            Err(error) => {
                self.state = State::Done(None);
                Step::Done(Err(error))
            }
        }
    }

    fn outcome(&mut self, outcome: Result<http::Response<Body>, Error>, sent: Instant, now: Instant) {
        let error = match outcome.and_then(|response| self.poll.response(&self.app, response)) {
            Ok(mut tokens) => {
                self.poll.set_requested_at(&mut tokens, sent);
                self.state = State::Done(Some(Ok(tokens)));
                return;
            }
            Err(error) => error.of(self.poll.name()).to(self.app.service()),
        };
        let api_error = error.api_error();
        if let Some(interval) = api_error.and_then(|api_error| api_error.interval) {
            self.grant.interval = self.grant.interval.max(interval);
        }
        match api_error.and_then(|api_error| api_error.oauth_error.as_deref()) {
            Some("authorization_pending") => {
                // What is still pending did not yield its tokens to an earlier poll.
                self.lost = None;
                self.progress = Some(DeviceProgress::Pending);
                self.responded(&error, now);
            }
            Some("slow_down") => {
                self.grant.interval = self.grant.interval.saturating_add(Self::SLOW_DOWN);
                self.progress = Some(DeviceProgress::SlowedDown { interval: self.grant.interval });
                self.responded(&error, now);
            }
            Some("access_denied" | "expired_token") => self.state = State::Done(Some(Err(error))),
            _ if is_failure(&error) => self.failed(error, now),
            name => {
                let lost = self.lost.take().filter(|_| name == Some("invalid_grant"));
                let error = match lost {
                    Some(lost) => error
                        .with_note(
                            "the response to an earlier poll was lost, and the tokens may have been lost with it",
                        )
                        .with_source(lost),
                    None => error,
                };
                self.state = State::Done(Some(Err(error)));
            }
        }
    }

    fn responded(&mut self, error: &Error, now: Instant) {
        self.failures = 0;
        self.failure = None;
        self.backoff = Duration::ZERO;
        self.wait(error.retry_after(), now);
    }

    fn failed(&mut self, error: Error, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let retry_after = error.retry_after();
        let status = error.http_status().map(|status| status.as_u16());
        if status == Some(429) && retry_after.is_none() {
            self.grant.interval = self.grant.interval.saturating_add(Self::SLOW_DOWN);
        }
        if error.kind() == ErrorKind::OutcomeUnknown || matches!(status, Some(200..=299 | 500..=599)) {
            self.lost = Some(error.clone());
        }
        self.progress = Some(DeviceProgress::Retrying { error: error.clone() });
        self.failure = Some(error);
        let interval = self.grant.interval;
        let longest = interval.max(Self::MAX_BACKOFF);
        self.backoff = self.jitter.shorten(doubled(interval.saturating_mul(2), self.failures, longest));
        self.wait(retry_after, now);
    }

    fn wait(&mut self, retry_after: Option<Duration>, now: Instant) {
        self.last = now;
        self.not_before = retry_after.map(|wait| after(now, wait));
        self.plan();
    }

    fn expired(&self) -> Error {
        let message = format!(
            "the device code's lifetime of {} s ended before the user decided; begin the login again",
            self.grant.expires_in.as_secs(),
        );
        let error = Error::new(ErrorKind::Expired, message).of(self.poll.name());
        self.because(error)
    }

    /// Makes the error of a flow that the program's deadline ended.
    fn too_late(&self, now: Instant) -> Error {
        let message = format!(
            "the user had not decided when the time that the program gave was over; the code is valid for {} s more",
            self.ends.saturating_duration_since(now).as_secs(),
        );
        self.because(Error::deadline_exceeded(message).of(self.poll.name()))
    }

    /// Adds the failure that the flow was backing off from.
    fn because(&self, error: Error) -> Error {
        match &self.failure {
            Some(failure) => error.with_source(failure.clone()),
            None => error,
        }
    }
}

impl Flow for DeviceFlow {
    type Output = TokenSet;

    fn step(&mut self, now: Instant) -> Step<TokenSet> {
        if let State::AwaitingResponse { sent, deadline } = self.state
            && now >= deadline
        {
            self.outcome(Err(Error::unanswered()), sent, now);
        }
        let too_late = self.deadline.is_some_and(|deadline| now >= deadline);
        match &mut self.state {
            State::AwaitingResponse { deadline, .. } => Step::Wait(*deadline),
            State::Waiting { .. } if too_late => {
                let error = self.too_late(now);
                self.state = State::Done(None);
                Step::Done(Err(error))
            }
            State::Waiting { until } if now < *until => Step::Wait(earlier(*until, self.deadline)),
            State::Waiting { .. } if now < self.ends || self.owes_a_poll => self.send(now),
            State::Waiting { .. } => {
                let error = self.expired();
                self.state = State::Done(None);
                Step::Done(Err(error))
            }
            State::Done(result) => Step::Done(result.take().unwrap_or_else(|| Err(Error::already_completed()))),
        }
    }

    fn receive(&mut self, outcome: Result<http::Response<Body>, Error>, now: Instant) {
        if let State::AwaitingResponse { sent, .. } = self.state {
            // The caller may have looked at its clock before it sent.
            let now = now.max(sent);
            if outcome.is_ok() {
                self.round_trip = self.round_trip.max(now.saturating_duration_since(sent));
            }
            self.outcome(outcome, sent, now);
        }
    }
}

/// What a response to a poll, or the lack of one, meant for a device login that is not decided yet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DeviceProgress {
    /// The user has not decided yet.
    Pending,
    /// The server asked to poll less often.
    #[non_exhaustive]
    SlowedDown {
        /// The time between two polls from now on.
        interval: Duration,
    },
    /// A poll failed, and the next one comes later.
    #[non_exhaustive]
    Retrying {
        /// What went wrong.
        error: Error,
    },
}

/// A device login that is not decided yet, to be stored: the grant with its grown interval, when it
/// arrived, until when the server asked not to poll, and how slow its responses were.
///
/// ```
/// # use std::time::{Duration, Instant, SystemTime};
/// # use loginradius_proto::{App, Body, DeviceFlow, Endpoint, PendingDevice, Seed, oauth::RequestDeviceCode};
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// # let app = App::new("my-client-id").with_oauth_app("my-oauth-app");
/// # let grant = RequestDeviceCode::new().response(&app, http::Response::new(Body::from(
/// #     r#"{"device_code":"af2a","user_code":"oP5lLq","verification_uri":"https://example.com/"}"#)))?;
/// let flow = DeviceFlow::new(&app, &grant, Instant::now(), Seed(42));
/// let stored: String = flow.pending(Instant::now(), SystemTime::now()).to_json();
/// drop(flow);
///
/// // Later, perhaps in another process:
/// let pending = PendingDevice::from_json(&stored)?;
/// let flow = DeviceFlow::resume(&app, &pending, Instant::now(), SystemTime::now(), Seed(43));
/// # assert!(flow.expires_at() <= Instant::now() + Duration::from_secs(1800));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PendingDevice {
    grant: DeviceGrant,
    arrived_at: SystemTime,
    round_trip: Duration,
    not_before: Option<SystemTime>,
}

/// The stored form of a [`PendingDevice`]. Times are whole milliseconds, rounded up: no interval and no
/// lifetime may become shorter.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    device_code: zeroize::Zeroizing<String>,
    user_code: String,
    verification_uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verification_uri_complete: Option<String>,
    interval_ms: u64,
    expires_in_ms: u64,
    arrived_at_unix_ms: u64,
    #[serde(default)]
    round_trip_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before_unix_ms: Option<u64>,
}

impl PendingDevice {
    const VERSION: u32 = 1;

    /// Returns the grant, with its interval as it has grown.
    #[must_use]
    pub fn grant(&self) -> &DeviceGrant {
        &self.grant
    }

    /// Writes the grant as JSON, **with its device code**: a reader of it can collect the tokens. Store it
    /// where only its owner can read.
    #[must_use]
    pub fn to_json(&self) -> String {
        let millis = |time: Duration| u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let unix_millis = |time: SystemTime| millis(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        let stored = Stored {
            version: Self::VERSION,
            device_code: self.grant.device_code.expose().to_owned().into(),
            user_code: self.grant.user_code.clone(),
            verification_uri: self.grant.verification_uri.clone(),
            verification_uri_complete: self.grant.verification_uri_complete.clone(),
            interval_ms: millis(self.grant.interval),
            expires_in_ms: millis(self.grant.expires_in),
            arrived_at_unix_ms: unix_millis(self.arrived_at),
            round_trip_ms: millis(self.round_trip),
            not_before_unix_ms: self.not_before.map(unix_millis),
        };
        // Strings and numbers can always be written.
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if that is not a stored grant, or one of a newer version of this crate.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::configuration(format!("the stored device grant {why}; begin a new login"));
        let stored: Stored = serde_json::from_str(json).map_err(|_| refuse("cannot be read"))?;
        if stored.version != Self::VERSION {
            return Err(refuse("is of another version of this crate"));
        }
        let date = |millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        let arrived_at = date(stored.arrived_at_unix_ms).ok_or_else(|| refuse("has an impossible date"))?;
        Ok(Self {
            grant: DeviceGrant {
                device_code: DeviceCode::new(stored.device_code.as_str()),
                user_code: stored.user_code,
                verification_uri: stored.verification_uri,
                verification_uri_complete: stored.verification_uri_complete,
                interval: Duration::from_millis(stored.interval_ms).max(Duration::from_secs(1)),
                expires_in: Duration::from_millis(stored.expires_in_ms),
            },
            arrived_at,
            round_trip: Duration::from_millis(stored.round_trip_ms),
            not_before: stored.not_before_unix_ms.and_then(date),
        })
    }
}
