use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::request_of;
use crate::error::{Error, ErrorKind};
use crate::flow::{DEFAULT_TIMEOUT, Flow, SendOptions, Step, earlier, is_failure};
use crate::jitter::{Jitter, Seed, after, doubled};
use crate::oauth::{DeviceGrant, Polled, RequestTokens, Undecided};
use crate::secret_text::SecretText;
use crate::token::TokenSet;
use crate::wire::{encode, number};

/// The device flow: polls LoginRadius until the user has decided or the device code expires
/// ([RFC 8628, sections 3.4 and 3.5]).
///
/// Get a [`DeviceGrant`] by [`RequestDeviceCode`](crate::oauth::RequestDeviceCode), show it to the user, and drive this
/// flow ([`Flow`] has the loop). It yields the [`TokenSet`] of the login.
///
/// ```text
/// waiting --the interval is over--> awaiting the response --tokens, or a refusal--> done
///   ^  |                             |
///   |  +--the lifetime is over--> done (expired)
///   +-- pending, slow_down, or a failure --+
/// ```
///
/// - **When it polls**: first one interval after the grant, then one interval after each response or failure.
///   `slow_down` makes the interval 5 s longer for good, or as long as its `interval` says if that is longer.
/// - **After a failure**: a lost response, HTTP 3xx, 408, 429 or 5xx, and a body that is not LoginRadius's are
///   failures. The wait doubles with each, up to 60 s, less a random part of at most a quarter; it is never shorter
///   than the interval or `Retry-After` (more than a day counts as a day). A response of LoginRadius clears this
///   backoff. A 429 without `Retry-After` also makes the interval 5 s longer.
/// - **Before the code expires**: if there is no time for two more polls, the last one is sent just before the end of
///   the lifetime, so that a late decision is not missed. If the interval is longer than the lifetime, the only poll is
///   sent then.
/// - **Over which connection**: a kept one, so that a login needs a single connection. If the server closes it before it
///   responds ([`Error::connection_closed`]), the flow polls again at once, over a new one. A poll that may be the last,
///   and one after a lost response, also takes a new connection.
/// - **When it gives up on a response**: after 30 s ([`timeout`](Self::timeout)), or earlier if that leaves time for
///   another poll. The response to the last poll is awaited until the end of the lifetime, but for at least 5 s, or for
///   four times as long as the slowest response took if that is longer.
/// - **When it ends**: with the response to the last poll, or when the time for that response is over. A
///   [resumed](Self::resume) flow may send its last poll after the end of the lifetime.
///
/// # Errors
///
/// The flow ends with
///
/// - [`ErrorKind::Denied`]: the user refused;
/// - [`ErrorKind::Expired`]: the lifetime has passed. The error's source is the last failure, if the flow was backing
///   off;
/// - [`ErrorKind::DeadlineExceeded`]: the program's own [`deadline`](Self::deadline) has passed;
/// - [`ErrorKind::Configuration`]: a setting is wrong, so no poll can succeed;
/// - any other kind: LoginRadius responded with an error other than RFC 8628's `authorization_pending` and `slow_down`.
///
/// Dropping the flow cancels it. To continue in another process, store [`pending`](Self::pending).
/// [`take_progress`](Self::take_progress) returns what each response meant.
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
/// [RFC 8628, sections 3.4 and 3.5]: https://www.rfc-editor.org/rfc/rfc8628#section-3.4
#[derive(Debug)]
#[doc(alias("device flow", "device grant", "device authorization", "poll", "polling", "qr"))]
pub struct DeviceFlow {
    app: App,
    /// The grant, with its interval as it has grown.
    grant: DeviceGrant,
    timeout: Duration,
    jitter: Jitter,
    expires_at: Instant,
    /// The longest time that a response took so far, which the last poll has to allow for.
    round_trip: Duration,
    /// When the last response or failure came, or the grant: the next wait counts from there.
    waiting_since: Instant,
    backoff: Duration,
    /// Until when the server asked not to poll (`Retry-After`).
    not_before: Option<Instant>,
    failures_in_a_row: u32,
    last_failure: Option<Error>,
    /// The error of a poll whose lost response may have had the tokens in it.
    lost_response: Option<Error>,
    owed: Owed,
    /// The program's own, by which the flow ends.
    deadline: Option<Instant>,
    progress: Option<DeviceProgress>,
    state: State,
}

/// The poll that has to be sent, however long the interval is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Owed {
    Nothing,
    /// One poll while the code is valid: without it, a login that the user approves could not succeed.
    BeforeTheEnd,
    /// One poll, even if the code has expired by this machine's clock: a resumed flow polls once, because clocks
    /// differ.
    EvenAfterTheEnd,
}

#[derive(Debug)]
enum State {
    /// Until the next poll, or the end of the lifetime if that comes first.
    Waiting {
        until: Instant,
    },
    AwaitingResponse {
        sent: Instant,
        deadline: Instant,
        over_new_connection: bool,
    },
    /// In a box, because a flow waits for most of its life.
    Done(Option<Box<Result<TokenSet, Error>>>),
}

impl DeviceFlow {
    /// What `slow_down` adds to the interval (RFC 8628, section 3.5), unless it asks for a longer one.
    const SLOW_DOWN: Duration = Duration::from_secs(5);
    /// The longest backoff, unless the interval itself is longer.
    const MAX_BACKOFF: Duration = Duration::from_secs(60);
    /// The last poll is sent half an interval before the code expires, and at most this long before.
    const LAST_POLL_MARGIN: Duration = Duration::from_secs(5);
    /// If less than this would be left before the end, the poll that is owed does not wait for the interval.
    const MIN_MARGIN: Duration = Duration::from_secs(1);
    /// The least time that the response to the last poll is given.
    const MIN_LAST_RESPONSE: Duration = Duration::from_secs(5);

    /// Makes the flow of a grant whose response arrived at `now`.
    ///
    /// The codes' lifetime and the first interval count from `now`. If you know how long the request took, add
    /// [`round_trip`](Self::round_trip).
    #[must_use]
    pub fn new(app: &App, grant: &DeviceGrant, now: Instant, seed: Seed) -> Self {
        let mut flow = Self {
            app: app.clone(),
            grant: grant.clone(),
            timeout: DEFAULT_TIMEOUT,
            jitter: Jitter::new(seed),
            expires_at: after(now, grant.expires_in),
            round_trip: Duration::ZERO,
            waiting_since: now,
            backoff: Duration::ZERO,
            not_before: None,
            failures_in_a_row: 0,
            last_failure: None,
            lost_response: None,
            owed: Owed::BeforeTheEnd,
            deadline: None,
            progress: None,
            state: State::Done(None),
        };
        flow.plan_next_poll();
        flow
    }

    /// Makes a flow that continues where another one, perhaps in another process, was stored as
    /// [`pending`](Self::pending).
    ///
    /// `now` and `clock` are the present moment by the two clocks. The flow waits one interval and polls at least once,
    /// even if the lifetime seems to be over by `clock`. If the interval does not fit into the
    /// lifetime and is longer than a minute, the flow does not wait that long: its last poll is sent at the latest a
    /// minute after the end of the lifetime, or after `now` if that is later. Continue a stored flow once: two that
    /// poll with one code make LoginRadius respond `slow_down`, and only one of them gets the tokens.
    #[must_use]
    pub fn resume(app: &App, pending: &PendingDevice, now: Instant, clock: SystemTime, seed: Seed) -> Self {
        let mut flow = Self::new(app, &pending.grant, now, seed);
        // A clock that was set back must not make the code live longer than its lifetime.
        let age = clock.duration_since(pending.arrived_at).unwrap_or_default();
        flow.expires_at = after(now, pending.grant.expires_in.saturating_sub(age));
        flow.round_trip = pending.round_trip;
        // A clock that was set back must not make the server's wait longer either.
        let left = |time: SystemTime| time.duration_since(clock).unwrap_or_default().min(number::MAX_RETRY_AFTER);
        flow.not_before = pending.not_before.map(|time| after(now, left(time)));
        flow.owed = Owed::EvenAfterTheEnd;
        flow.plan_next_poll();
        flow
    }

    /// Sets how long the response to a poll may take; 30 s by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the instant at which the flow ends if the user has not decided before; none by default.
    ///
    /// The error is [`ErrorKind::DeadlineExceeded`]. A poll whose response is expected after the deadline is not sent,
    /// as its response could carry tokens that no caller receives. The codes stay valid until
    /// [`expires_at`](Self::expires_at): a flow that is [resumed](Self::resume) can still yield the tokens.
    #[must_use]
    pub fn deadline(mut self, deadline: impl Into<Option<Instant>>) -> Self {
        self.deadline = deadline.into();
        self
    }

    /// Sets how long the request for the grant took; zero by default. `now` is the present moment.
    ///
    /// The codes' lifetime began at the server, before the grant arrived here. The last poll is sent two round trips
    /// before it ends. If the response to a poll takes longer, that time is used instead.
    #[must_use]
    pub fn round_trip(mut self, round_trip: Duration, now: Instant) -> Self {
        self.round_trip = self.round_trip.max(round_trip);
        if let State::Waiting { .. } = self.state {
            self.waiting_since = self.waiting_since.max(now);
            self.plan_next_poll();
        }
        self
    }

    /// Returns what to show the user, with the interval as it has grown.
    #[must_use]
    pub fn grant(&self) -> &DeviceGrant {
        &self.grant
    }

    /// Returns when the codes expire, counted from when the grant arrived here.
    #[must_use]
    pub fn expires_at(&self) -> Instant {
        self.expires_at
    }

    /// Returns what the last response or failure meant, and forgets it: `None` until the next one.
    ///
    /// Call it after [`receive`](Flow::receive) to show the user how the login is going. It may be left alone.
    pub fn take_progress(&mut self) -> Option<DeviceProgress> {
        self.progress.take()
    }

    /// Returns the login as it is now, to be stored and [resumed](Self::resume) elsewhere. `now` and `clock` are the
    /// present moment by the two clocks. Store it again after a [`DeviceProgress::SlowedDown`], or the resumed flow
    /// polls too often at first.
    #[must_use]
    pub fn pending(&self, now: Instant, clock: SystemTime) -> PendingDevice {
        let left = self.expires_at.saturating_duration_since(now);
        let age = self.grant.expires_in.saturating_sub(left);
        let arrived_at = clock.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let not_before = self.not_before.and_then(|time| clock.checked_add(time.saturating_duration_since(now)));
        let grant = DeviceGrant { requested_at: None, ..self.grant.clone() };
        PendingDevice { grant, arrived_at, round_trip: self.round_trip, not_before }
    }

    /// Waits until the next poll is due.
    fn plan_next_poll(&mut self) {
        let interval = self.grant.interval;
        let earliest = self.earliest_poll();
        let not_before = self.not_before.unwrap_or(self.waiting_since);
        let next_poll = after(self.waiting_since, self.backoff).max(earliest).max(not_before);

        let latest_poll = self.latest_poll();
        let poll_after_next = after(after(next_poll, self.round_trip), interval);
        let at = if poll_after_next <= latest_poll {
            next_poll
        } else if not_before < self.expires_at {
            earliest.max(not_before).max(latest_poll)
        } else {
            // `Retry-After` asks for a poll after the code expires, which could not succeed: it is not respected.
            earliest.max(latest_poll)
        };
        let is_limited = self.owed != Owed::EvenAfterTheEnd;
        self.state = State::Waiting { until: if is_limited { at.min(self.expires_at) } else { at } };
    }

    /// Returns the earliest instant at which the server expects a poll, or an earlier one for the poll that is owed.
    fn earliest_poll(&self) -> Instant {
        let interval = self.grant.interval;
        let (earliest, latest) = (after(self.waiting_since, interval), self.latest_poll());
        let margin = Self::MIN_MARGIN.max(self.round_trip.saturating_mul(2).min(self.grant.expires_in / 2));
        if earliest.checked_add(margin).is_some_and(|response| response <= self.expires_at) {
            return earliest;
        }
        match self.owed {
            Owed::Nothing => earliest,
            Owed::BeforeTheEnd => latest.max(self.waiting_since),
            // The flow that was stored may have polled just now.
            Owed::EvenAfterTheEnd if interval <= Self::MAX_BACKOFF => earliest,
            Owed::EvenAfterTheEnd if latest > self.waiting_since => latest,
            Owed::EvenAfterTheEnd => after(self.waiting_since, Self::MAX_BACKOFF),
        }
    }

    /// Returns the latest instant at which a poll still reaches the server before the end of the lifetime.
    fn latest_poll(&self) -> Instant {
        let half = self.grant.interval.min(self.grant.expires_in) / 2;
        let margin = half.min(Self::LAST_POLL_MARGIN).max(self.round_trip.saturating_mul(2));
        self.expires_at.checked_sub(margin).unwrap_or(self.waiting_since)
    }

    /// Returns until when to wait for the response to a poll that is sent now.
    ///
    /// A server that never responds to one poll must not cost the login: the poll is given up early enough for
    /// another one. The response to the last poll is not awaited for much longer than the code is valid.
    fn poll_deadline(&self, now: Instant) -> Instant {
        let longest = self.time_before_another(now).unwrap_or_else(|| {
            let until_the_end = self.expires_at.saturating_duration_since(now);
            until_the_end.max(Self::MIN_LAST_RESPONSE).max(self.four_round_trips())
        });
        earlier(after(now, self.timeout.min(longest)), self.deadline)
    }

    /// Returns how long the response to a poll that is sent now may take, if another poll is to follow. `None` if that
    /// would leave too little time for a slow response: then this poll may be the last.
    fn time_before_another(&self, now: Instant) -> Option<Duration> {
        let interval = self.grant.interval;
        // The timeouts of sockets come late, on Linux by up to an eighth.
        let time = self.latest_poll().saturating_duration_since(after(now, interval)) / 8 * 7;
        (time >= interval.max(self.four_round_trips())).then_some(time)
    }

    fn four_round_trips(&self) -> Duration {
        self.round_trip.saturating_mul(4)
    }

    fn poll(&self) -> RequestTokens {
        RequestTokens::new(self.grant.device_code.clone())
    }

    fn send(&mut self, now: Instant) -> Step<TokenSet> {
        self.owed = Owed::Nothing;
        match request_of(&self.poll(), &self.app) {
            Ok(request) => {
                let deadline = self.poll_deadline(now);
                // A grant yields its tokens once: if the response is lost, they may be lost with it.
                let fresh_connection = self.lost_response.is_some() || self.time_before_another(now).is_none();
                self.state = State::AwaitingResponse { sent: now, deadline, over_new_connection: fresh_connection };
                Step::Send { request, options: SendOptions { deadline, fresh_connection } }
            }
            Err(error) => {
                self.state = State::Done(None);
                Step::Done(Err(error))
            }
        }
    }

    /// Polls again at once, after the server closed a kept connection instead of responding.
    fn repeat(&mut self, error: Error, now: Instant) {
        // It may have read the poll all the same.
        self.lost_response = Some(error.of(RequestTokens::NAME).to(self.app.service()));
        self.state = State::Waiting { until: now };
    }

    fn take_outcome(&mut self, outcome: Result<http::Response<Body>, Error>, sent: Instant, now: Instant) {
        let error = match outcome.and_then(|response| self.poll().polled(&self.app, &response)) {
            Ok(Polled::Tokens(mut tokens)) => {
                tokens.requested_at = Some(sent);
                self.state = State::Done(Some(Box::new(Ok(tokens))));
                return;
            }
            Ok(Polled::Undecided(undecided)) => return self.not_decided(&undecided, now),
            Err(error) => error.of(RequestTokens::NAME).to(self.app.service()),
        };
        match error.api_error().and_then(|api_error| api_error.oauth_error.as_deref()) {
            Some("access_denied" | "expired_token") => self.state = State::Done(Some(Box::new(Err(error)))),
            // Even after a permanent failure, such as the certificate of a network's sign-in page: the user may resolve
            // it while the code is valid.
            _ if is_failure(&error) || error.kind() == ErrorKind::NotSent => self.failed(error, now),
            name => {
                let lost_response = self.lost_response.take().filter(|_| name == Some("invalid_grant"));
                let error = match lost_response {
                    Some(lost_response) => error
                        .with_note(
                            "the response to an earlier poll was lost, and the tokens may have been lost with it",
                        )
                        .with_source(lost_response),
                    None => error,
                };
                self.state = State::Done(Some(Box::new(Err(error))));
            }
        }
    }

    fn not_decided(&mut self, undecided: &Undecided, now: Instant) {
        if undecided.slow_down {
            self.lengthen_interval(Self::SLOW_DOWN, undecided.interval);
            self.progress = Some(DeviceProgress::SlowedDown { interval: self.grant.interval });
        } else {
            // A login that is still pending has not yielded its tokens to an earlier poll.
            self.lost_response = None;
            self.lengthen_interval(Duration::ZERO, undecided.interval);
            self.progress = Some(DeviceProgress::Pending);
        }
        self.failures_in_a_row = 0;
        self.last_failure = None;
        self.backoff = Duration::ZERO;
        self.wait_from(now, undecided.retry_after);
    }

    /// Makes the interval longer by that time, or as long as the response asks for if that is longer.
    fn lengthen_interval(&mut self, time: Duration, requested: Option<Duration>) {
        self.grant.interval = self.grant.interval.saturating_add(time).max(requested.unwrap_or_default());
    }

    fn failed(&mut self, error: Error, now: Instant) {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let retry_after = error.retry_after();
        let status = error.http_status().map(|status| status.as_u16());
        let is_bare_429 = status == Some(429) && retry_after.is_none();
        let requested = error.api_error().and_then(|api_error| api_error.interval);
        self.lengthen_interval(if is_bare_429 { Self::SLOW_DOWN } else { Duration::ZERO }, requested);
        if error.kind() == ErrorKind::OutcomeUnknown || matches!(status, Some(200..=299 | 500..=599)) {
            self.lost_response = Some(error.clone());
        }
        self.progress = Some(DeviceProgress::Retrying { error: error.clone() });
        self.last_failure = Some(error);
        let interval = self.grant.interval;
        let longest = interval.max(Self::MAX_BACKOFF);
        self.backoff = self.jitter.shorten(doubled(interval.saturating_mul(2), self.failures_in_a_row, longest));
        self.wait_from(now, retry_after);
    }

    fn wait_from(&mut self, now: Instant, retry_after: Option<Duration>) {
        self.waiting_since = now;
        self.not_before = retry_after.map(|wait| after(now, wait));
        self.plan_next_poll();
    }

    fn expired_error(&self) -> Error {
        let message = format!(
            "the device code's lifetime of {} s ended before the user approved or denied the login: begin a new login",
            self.grant.expires_in.as_secs(),
        );
        let error = Error::new(ErrorKind::Expired, message).of(RequestTokens::NAME);
        self.with_last_failure(error)
    }

    /// Creates the error of a flow that ended by the program's deadline.
    fn deadline_error(&self, now: Instant) -> Error {
        let message = format!(
            "the program's deadline passed before the user approved or denied the login: resume the login (its code is \
             valid for another {} s)",
            self.expires_at.saturating_duration_since(now).as_secs(),
        );
        self.with_last_failure(Error::deadline_exceeded(message).of(RequestTokens::NAME))
    }

    /// Adds the failure that the flow was backing off after, if it was.
    fn with_last_failure(&self, error: Error) -> Error {
        match &self.last_failure {
            Some(failure) => error.with_source(failure.clone()),
            None => error,
        }
    }
}

impl Flow for DeviceFlow {
    type Output = TokenSet;

    fn step(&mut self, now: Instant) -> Step<TokenSet> {
        if let State::AwaitingResponse { sent, deadline, .. } = self.state
            && now >= deadline
        {
            self.take_outcome(Err(Error::no_outcome()), sent, now);
        }
        let deadline_is_over = self.deadline.is_some_and(|deadline| now >= deadline);
        match &mut self.state {
            State::AwaitingResponse { deadline, .. } => Step::Wait(*deadline),
            State::Waiting { .. } if deadline_is_over => {
                let error = self.deadline_error(now);
                self.state = State::Done(None);
                Step::Done(Err(error))
            }
            State::Waiting { until } if now < *until => Step::Wait(earlier(*until, self.deadline)),
            State::Waiting { .. } if now >= self.expires_at && self.owed != Owed::EvenAfterTheEnd => {
                let error = self.expired_error();
                self.state = State::Done(None);
                Step::Done(Err(error))
            }
            State::Waiting { .. } => {
                let response_at = after(now, self.round_trip.saturating_mul(2));
                match self.deadline {
                    // A poll that the deadline cut off might lose the tokens.
                    Some(deadline) if response_at > deadline => Step::Wait(deadline),
                    _ => self.send(now),
                }
            }
            State::Done(result) => {
                Step::Done(result.take().map_or_else(|| Err(Error::already_completed()), |result| *result))
            }
        }
    }

    fn receive(&mut self, outcome: Result<http::Response<Body>, Error>, now: Instant) {
        if let State::AwaitingResponse { sent, over_new_connection, .. } = self.state {
            // The caller may have read its clock before it sent the request.
            let now = now.max(sent);
            match outcome {
                Err(error) if error.is_unanswered() && !over_new_connection => return self.repeat(error, now),
                Ok(_) => self.round_trip = self.round_trip.max(now.saturating_duration_since(sent)),
                Err(_) => {}
            }
            self.take_outcome(outcome, sent, now);
        }
    }
}

/// What the last poll of a device login reported, while the user has not decided yet ([`DeviceFlow::take_progress`]).
#[derive(Debug, Clone)]
#[non_exhaustive]
#[doc(alias("authorization_pending", "slow_down"))]
pub enum DeviceProgress {
    /// The user has not decided yet (`authorization_pending`).
    Pending,
    /// The server asked to poll less often (`slow_down`).
    #[non_exhaustive]
    SlowedDown {
        /// The minimum time between two polls from now on.
        interval: Duration,
    },
    /// A poll failed; the flow backs off, and polls again.
    #[non_exhaustive]
    Retrying {
        /// Why the poll failed.
        error: Error,
    },
}

/// A device login that the user has not decided yet, as [`DeviceFlow::pending`] returns it for storing.
///
/// It is the grant with its interval as it has grown, when the grant arrived, until when the server asked not to poll,
/// and how slow its responses were. It keeps no progress, deadline or timeout: set the latter two again.
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
    device_code: SecretText,
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

    /// Returns the grant, with its interval as it has grown: what to show the user again.
    #[must_use]
    pub fn grant(&self) -> &DeviceGrant {
        &self.grant
    }

    /// Returns the login as JSON, **with its device code**: with that, anyone can fetch the tokens. Store it where only
    /// its owner can read. [`from_json`](Self::from_json) reads it.
    #[must_use]
    #[doc(alias("serialize", "save"))]
    pub fn to_json(&self) -> String {
        let millis = |time: Duration| u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let unix_millis = |time: SystemTime| millis(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        let stored = Stored {
            version: Self::VERSION,
            device_code: self.grant.device_code.expose().into(),
            user_code: self.grant.user_code.clone(),
            verification_uri: self.grant.verification_uri.clone(),
            verification_uri_complete: self.grant.verification_uri_complete.clone(),
            interval_ms: millis(self.grant.interval),
            expires_in_ms: millis(self.grant.expires_in),
            arrived_at_unix_ms: unix_millis(self.arrived_at),
            round_trip_ms: millis(self.round_trip),
            not_before_unix_ms: self.not_before.map(unix_millis),
        };
        encode::json_text(&stored)
    }

    /// Reads the JSON of [`to_json`](Self::to_json).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if it is not a stored device login, is one of another version of this crate, or has
    /// a code or an address that is refused in a response too ([`DeviceGrant`]). Begin a new login then.
    #[doc(alias("deserialize", "load"))]
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let unreadable = |why: &str| Error::configuration(format!("the stored device login {why}: begin a new login"));
        let stored: Stored = serde_json::from_str(json).map_err(|_| unreadable("cannot be read"))?;
        if stored.version != Self::VERSION {
            return Err(unreadable("is of another version of this crate"));
        }
        let date = |millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        let arrived_at = date(stored.arrived_at_unix_ms).ok_or_else(|| unreadable("has an impossible date"))?;
        let grant = DeviceGrant {
            device_code: stored.device_code.into(),
            user_code: stored.user_code,
            verification_uri: stored.verification_uri,
            verification_uri_complete: stored.verification_uri_complete,
            interval: Duration::from_millis(stored.interval_ms).max(Duration::from_secs(1)),
            expires_in: Duration::from_millis(stored.expires_in_ms),
            requested_at: None,
        };
        // The store may have been tampered with.
        grant.screen().map_err(|field| unreadable(&format!("cannot be used, because its {field}")))?;
        Ok(Self {
            grant,
            arrived_at,
            round_trip: Duration::from_millis(stored.round_trip_ms),
            not_before: stored.not_before_unix_ms.and_then(date),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_flow_that_waits_is_small() {
        // With its texts, a login that waits takes less than 400 bytes.
        assert!(size_of::<DeviceFlow>() <= 336, "{}", size_of::<DeviceFlow>());
    }
}
