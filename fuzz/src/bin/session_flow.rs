//! Any server, store, driver and clocks, and other processes; this one may be killed, and a flow aborted, at any
//! moment.
//!
//! - No refresh is sent without an intent of its own in the store, nor while another one is in flight.
//! - A refresh token whose successor has arrived is never sent again, and the successor is never lost.
//! - No token is returned past its lifetime by either clock, nor after it was rejected, nor from a stale memory.
//! - A flow loads, saves and sends only under the lock, and knows at its end whether it holds it.
//! - A login that is started again is adopted with its later tokens and its end, or was replaced and stays replaced. A
//!   start that fails keeps nothing.
//! - Every flow ends, and prints no secret. Stray inputs and repeated steps change nothing.
//! - When the faults have stopped, every session that has not ended gets a token.

#![cfg_attr(fuzzing, no_main)]

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use arbitrary::{Arbitrary, Unstructured};
use loginradius_fuzz::responses::response;
use loginradius_fuzz::session::{field, flipped, json, later, start, without_checksum};
use loginradius_proto::session::{
    AdoptionReason, CachedToken, Expected, LoadError, Now, SaveError, SessionEnd, SessionEvent, SessionFlow,
    SessionInput, SessionMemory, SessionPolicy, SessionStep, StoredRecord,
};
use loginradius_proto::{AccessToken, App, Body, Error, ErrorKind, Retry, Seed, SendOptions, TokenSet, http};
use serde_json::Value;

loginradius_fuzz::target!(session_flow);

/// A part of every secret, so that it is found wherever it is printed.
const MARK: &str = "tok3n";

fn session_flow(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let mut policy = SessionPolicy::default();
    let mut pick = |times: [u64; 4]| times[usize::from(u8::arbitrary(&mut data).unwrap_or(0) % 4)];
    policy.early = Duration::from_secs(pick([60, 0, 1, 3600]));
    policy.lock_wait = Duration::from_secs(pick([30, 0, 1, 5]));
    policy.timeout = Duration::from_secs(pick([30, 1, 5, 60]));
    policy.retry = Retry::default().with_attempts(pick([4, 1, 2, 9]) as u32);
    let mut simulation = Simulation {
        data,
        app: App::new("client").with_client_secret(format!("{MARK}-secret")),
        policy,
        memory: SessionMemory::default(),
        stored: Stored::Nothing,
        locked: false,
        now: start(),
        names: 0,
        logins: Vec::new(),
        access_tokens: HashMap::new(),
        login_of_refresh_token: HashMap::new(),
        consumed: HashSet::new(),
        newest: None,
        replaced: HashSet::new(),
        disturbed: false,
        disturbed_since_load: false,
        clock_set_back: false,
        loaded: false,
        intents: 0,
        got_token: false,
        in_flight: None,
    };
    let first = simulation.log_in();
    simulation.flow(Job::Start(first));
    while !simulation.data.is_empty() {
        simulation.between_flows();
        let job = match simulation.roll(16) {
            0..=4 | 8..=12 => Job::Refresh,
            5 => Job::Start(simulation.log_in()),
            6 => Job::SignOut,
            7 => Job::Forget,
            _ => simulation.start_again(),
        };
        simulation.flow(job);
    }
    // The data has run out, and with it the faults. Now the longest backoff passes as well: if the clock was set back,
    // the record has one that begins only now.
    simulation.pass(Duration::from_secs(2 * 3600));
    let is_signed_in = match &simulation.stored {
        Stored::Record(record) => {
            let ended = field(record, "signing_out") == true || field(record, "refused").is_string();
            !ended && field(record, "refresh_token").is_string() && simulation.memory.save_error().is_none()
        }
        Stored::Nothing | Stored::Damaged(_) => false,
    };
    simulation.flow(Job::Refresh);
    if let CachedToken::BackingOff(_) = simulation.memory.cached_token(simulation.now) {
        simulation.pass(Duration::from_secs(2 * 3600));
        simulation.flow(Job::Refresh);
    }
    assert!(simulation.got_token || !is_signed_in, "no token: {:?}", simulation.memory);
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Job {
    Refresh,
    Start(Start),
    SignOut,
    Forget,
}

/// A login that a flow starts, and when its tokens were requested, as the flow has to count it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Start {
    login: usize,
    again: bool,
    requested_at: Now,
}

#[derive(Debug, Clone, PartialEq)]
enum Stored {
    Nothing,
    Record(StoredRecord),
    Damaged(StoredRecord),
}

impl Stored {
    fn record(&self) -> Option<&StoredRecord> {
        match self {
            Self::Nothing => None,
            Self::Record(record) | Self::Damaged(record) => Some(record),
        }
    }
}

/// An access token that was issued.
struct IssuedToken {
    login: usize,
    /// When this process requested it; `None` if only the wall clock tells.
    requested_at: Option<Instant>,
    requested_at_wall: SystemTime,
    lifetime: Option<Duration>,
    rejected: bool,
}

impl IssuedToken {
    fn new(
        login: usize,
        requested_at: Option<Instant>,
        requested_at_wall: SystemTime,
        lifetime: Option<Duration>,
    ) -> Self {
        Self { login, requested_at, requested_at_wall, lifetime, rejected: false }
    }

    /// Returns why the token is not good.
    fn fault(&self, now: Now) -> Option<&'static str> {
        let latest = now.wall + Duration::from_millis(5_001);
        let lifetime = self.lifetime.unwrap_or(Duration::MAX);
        let end = self.requested_at.and_then(|requested_at| requested_at.checked_add(lifetime));
        let end_by_wall = self.requested_at_wall.checked_add(lifetime);
        match () {
            () if self.rejected => Some("rejected"),
            () if self.requested_at_wall > latest => Some("from the future"),
            () if end_by_wall.is_some_and(|end| now.wall >= end) => Some("past its lifetime by the wall clock"),
            () if end.is_some_and(|end| now.monotonic >= end) => Some("past its lifetime by the monotonic clock"),
            () => None,
        }
    }
}

/// One process, its session and its surroundings.
struct Simulation<'a> {
    data: Unstructured<'a>,
    app: App,
    policy: SessionPolicy,
    memory: SessionMemory,
    stored: Stored,
    locked: bool,
    now: Now,
    names: u32,
    /// The tokens that each login yielded, if this process or one before it has started that login.
    logins: Vec<Option<TokenSet>>,
    /// What is true of each access token. When a response repeats one, what was true before holds until that is stored.
    access_tokens: HashMap<String, Vec<IssuedToken>>,
    login_of_refresh_token: HashMap<String, usize>,
    /// Refresh tokens whose successor has arrived.
    consumed: HashSet<String>,
    /// The refresh token that must not be lost.
    newest: Option<String>,
    /// Logins over which a flow has stored a later one.
    replaced: HashSet<usize>,
    /// Whether other processes have changed the record since this flow began.
    disturbed: bool,
    disturbed_since_load: bool,
    /// The wall clock was set back since the flow in flight began.
    clock_set_back: bool,
    /// Whether this flow has loaded the record.
    loaded: bool,
    /// Intents that were stored since the last request.
    intents: u32,
    /// Whether the last flow ended with a token.
    got_token: bool,
    /// The refresh token of the request that is in flight, and its deadline.
    in_flight: Option<(String, Instant)>,
}

impl Simulation<'_> {
    /// Picks a number below `sides`; 0, the usual, once the data has run out.
    fn roll(&mut self, sides: u8) -> u8 {
        u8::arbitrary(&mut self.data).unwrap_or(0) % sides
    }

    fn duration(&mut self) -> Duration {
        let number = u16::arbitrary(&mut self.data).unwrap_or(0);
        match self.roll(4) {
            0 => Duration::from_secs(number.into()),
            1 => Duration::from_millis(number.into()),
            2 => Duration::from_secs(u64::from(number) * 60),
            _ => Duration::from_secs(u64::from(number % 100)),
        }
    }

    fn name(&mut self, kind: char) -> String {
        self.names += 1;
        format!("{MARK}-{kind}{}", self.names)
    }

    fn pass(&mut self, time: Duration) {
        self.now = later(self.now, time);
    }

    /// Lets time pass, or sets a clock.
    fn time(&mut self) {
        let time = self.duration();
        match self.roll(6) {
            0..=2 => self.pass(time),
            3 => self.now.monotonic += time,
            4 => self.now.wall += time,
            _ => {
                self.clock_set_back = true;
                self.now.wall -= time.min(self.now.wall.duration_since(start().wall).unwrap_or_default());
            }
        }
    }

    fn between_flows(&mut self) {
        if self.roll(2) == 0 {
            self.time();
        }
        match self.roll(16) {
            10..=11 => self.kill(),
            12..=13 => {
                if let Some(tokens) = self.memory.tokens(self.now)
                    && self.memory.reject(&tokens.access_token)
                {
                    self.forget_rejections();
                    let issued = self.access_tokens.get_mut(tokens.access_token.expose());
                    issued.into_iter().flatten().for_each(|issued| issued.rejected = true);
                }
            }
            14..=15 => self.others_act(),
            _ => {}
        }
        self.check_cached_token();
    }

    /// Kills the process, and starts another one.
    fn kill(&mut self) {
        if self.memory.save_error().is_some() || self.in_flight.is_some() {
            self.excuse();
        }
        self.memory = SessionMemory::default();
        self.locked = false;
        self.in_flight = None;
        self.forget_instants();
        self.forget_rejections();
        for tokens in self.logins.iter_mut().flatten() {
            tokens.requested_at = None;
        }
    }

    /// Aborts a flow, as its driver does when it is dropped.
    fn abort(&mut self, mut flow: SessionFlow, job: Job) {
        if self.in_flight.take().is_some() {
            self.excuse();
        }
        let end = flow.abort(self.locked, self.now);
        self.locked = end.memory.retains_lock();
        // The next flow may find the token in the store.
        self.forget_instants();
        let (result, _) = self.take_over(job, end);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
        self.check_what_is_left(job);
        let cached = self.memory.cached_token(self.now);
        let none = matches!(cached, CachedToken::Missing | CachedToken::BackingOff(_));
        assert!(none || job == Job::Refresh, "a token from a stale memory after {job:?}");
    }

    /// Forgets the rejections: only the last one counts, and a login ends it.
    fn forget_rejections(&mut self) {
        self.access_tokens.values_mut().flatten().for_each(|issued| issued.rejected = false);
    }

    /// Excuses the flow for what is lost or replayed from now on.
    fn excuse(&mut self) {
        self.consumed.clear();
        self.newest = None;
    }

    /// Lets another process change the record, which does not respect the lock and is of an earlier version.
    fn others_act(&mut self) {
        self.excuse();
        self.disturbed = true;
        self.disturbed_since_load = true;
        let kind = self.roll(8);
        let (access_token, refresh_token, wall) = (self.name('a'), self.name('r'), self.now.wall);
        let millis = millis(wall);
        let Stored::Record(record) = &self.stored else {
            self.stored = Stored::Nothing;
            return;
        };
        let mut fields = json(record).expect("JSON");
        fields["generation"] = ((record.generation() + 1) & StoredRecord::MAX_GENERATION).into();
        match kind {
            0 => fields["generation"] = 7.into(),
            1 => return self.damage(),
            2 => {
                self.stored = Stored::Nothing;
                return;
            }
            3 => fields["signing_out"] = true.into(),
            4 => {
                let until = millis + u64::from(self.roll(60)) * 1_000;
                fields["hold"] = serde_json::json!({
                    "since_unix_ms": millis, "not_before_unix_ms": until, "failures": 2, "failure": "busy",
                });
            }
            // Not of the same moment as an intent of this process: the two would be equal.
            5 => fields["intent"] = serde_json::json!({ "at_unix_ms": millis + 1, "attempt": 1 }),
            _ => {
                let stored = fields["access_token"].as_str().expect("an access token");
                let mut login = self.login_of(stored);
                if kind == 6 {
                    fields["sign_in"] = 7.into();
                    self.logins.push(None);
                    login = self.logins.len() - 1;
                }
                fields["access_token"] = access_token.clone().into();
                fields["refresh_token"] = refresh_token.clone().into();
                fields["obtained_at_unix_ms"] = millis.into();
                fields["lifetime_ms"] = 60_000.into();
                fields["intent"] = Value::Null;
                let lifetime = Some(Duration::from_secs(60));
                self.issue(access_token, IssuedToken::new(login, None, wall, lifetime));
                self.login_of_refresh_token.insert(refresh_token, login);
            }
        }
        self.stored = Stored::Record(without_checksum(fields));
    }

    fn damage(&mut self) {
        let Stored::Record(record) = &self.stored else { return };
        let (record, flips) = (record.clone(), field(record, "checksum").is_string());
        let damaged = match self.roll(2) {
            // Without a checksum, a flipped bit may go unnoticed.
            1 if flips => flipped(&record, usize::from(u16::arbitrary(&mut self.data).unwrap_or(0))),
            _ => StoredRecord::from_bytes(*b"{"),
        };
        self.stored = Stored::Damaged(damaged);
    }

    fn issue(&mut self, access_token: String, issued: IssuedToken) {
        self.access_tokens.entry(access_token).or_default().push(issued);
    }

    /// Forgets the monotonic clock's times: another process knows the wall clock's alone.
    fn forget_instants(&mut self) {
        self.access_tokens.values_mut().flatten().for_each(|issued| issued.requested_at = None);
    }

    fn flow(&mut self, job: Job) {
        self.names += 1;
        let seed = Seed(u64::from(self.names) << 8 | u64::from(self.roll(255)));
        let (app, policy, memory) = (&self.app, self.policy, self.memory.clone());
        let mut flow = match job {
            Job::Refresh => SessionFlow::refresh(app, policy, memory, seed),
            Job::SignOut => SessionFlow::sign_out(app, policy, memory, seed),
            Job::Forget => SessionFlow::forget(app, policy, memory, seed),
            Job::Start(Start { login, .. }) => {
                let tokens = self.logins[login].as_ref().expect("the tokens of a login of this process");
                SessionFlow::start(app, policy, memory, tokens, seed)
            }
        };
        (self.disturbed, self.disturbed_since_load, self.loaded, self.intents) = (false, false, false, 0);
        self.clock_set_back = false;
        for step in 0..20_000 {
            if step > 0 {
                match self.disturb() {
                    Disturbance::None => {}
                    Disturbance::Kill => {
                        // What was not saved is lost with the process.
                        self.excuse();
                        return self.kill();
                    }
                    Disturbance::Abort => return self.abort(flow, job),
                }
            }
            if self.in_flight.as_ref().is_some_and(|(_, deadline)| self.now.monotonic >= *deadline) {
                self.in_flight = None;
            }
            let step = flow.step(self.now);
            prints_no_secret(&flow);
            if let SessionStep::Done(end) = step {
                self.ended(job, end);
                let SessionStep::Done(end) = flow.step(self.now) else { panic!("a flow continues after its end") };
                assert_eq!(end.result.unwrap_err().kind(), ErrorKind::AlreadyCompleted);
                return;
            }
            prints_no_secret(&step);
            if self.roll(16) == 15 {
                self.misuse(&mut flow, &step);
            }
            if let Some(input) = self.perform(job, step) {
                prints_no_secret(&input);
                flow.receive(input, self.now);
            }
        }
        panic!("no end of {job:?}: {flow:?}");
    }

    /// Logs a user in, who gets new tokens.
    fn log_in(&mut self) -> Start {
        let (access_token, refresh_token) = (self.name('a'), self.name('r'));
        let mut tokens = TokenSet::new(access_token.as_str());
        tokens.expires_in = self.lifetime();
        let age = if self.roll(4) == 3 { self.duration() } else { Duration::ZERO };
        if age > Duration::ZERO {
            tokens.requested_at = Some(self.now.monotonic.checked_sub(age).unwrap_or(self.now.monotonic));
        }
        let login = self.logins.len();
        let requested_at = self.requested_at(&tokens);
        let issued = IssuedToken::new(login, Some(requested_at.monotonic), requested_at.wall, tokens.expires_in);
        self.issue(access_token, issued);
        if self.roll(8) != 7 {
            tokens.refresh_token = Some(refresh_token.as_str().into());
            self.login_of_refresh_token.insert(refresh_token, login);
        }
        self.logins.push(Some(tokens));
        Start { login, again: false, requested_at }
    }

    /// Picks one of the last logins of this process, or of one before it, to be started again.
    fn start_again(&mut self) -> Job {
        let back = usize::from(self.roll(4));
        let known: Vec<_> = (0..self.logins.len()).filter(|login| self.logins[*login].is_some()).collect();
        let login = known[(known.len() - 1).saturating_sub(back)];
        let tokens = self.logins[login].clone().expect("the tokens of a login of this process");
        if tokens.requested_at.is_none() {
            // The monotonic clock's time counts from each start.
            let issued = self.access_tokens.get_mut(tokens.access_token.expose());
            issued.into_iter().flatten().for_each(|issued| issued.requested_at = None);
        }
        Job::Start(Start { login, again: true, requested_at: self.requested_at(&tokens) })
    }

    /// Returns when tokens were requested that are started now.
    fn requested_at(&self, tokens: &TokenSet) -> Now {
        let requested_at = tokens.requested_at.unwrap_or(self.now.monotonic);
        Now::new(requested_at, self.now.wall - (self.now.monotonic - requested_at))
    }

    fn lifetime(&mut self) -> Option<Duration> {
        match self.roll(8) {
            0..=3 => Some(Duration::from_secs(600)),
            4 => None,
            5 => Some(Duration::MAX),
            6 => Some(Duration::ZERO),
            _ => Some(Duration::from_secs(self.roll(100).into())),
        }
    }

    /// Perhaps disturbs a flow between two of its steps.
    fn disturb(&mut self) -> Disturbance {
        match self.roll(32) {
            26..=28 => self.time(),
            29..=30 => self.others_act(),
            31 => match self.roll(4) {
                3 => return Disturbance::Kill,
                2 => return Disturbance::Abort,
                _ => {}
            },
            _ => {}
        }
        Disturbance::None
    }

    fn misuse(&self, flow: &mut SessionFlow, step: &SessionStep) {
        let before = format!("{flow:?}");
        for input in [
            SessionInput::Locked(Ok(true)),
            SessionInput::Peeked(None),
            SessionInput::Loaded(Ok(None)),
            SessionInput::Saved(Ok(())),
            SessionInput::Responded(Err(Error::outcome_unknown("stray"))),
            SessionInput::LockLapsed,
            SessionInput::Unlocked,
        ] {
            let is_expected = matches!(
                (step, &input),
                (SessionStep::Lock, SessionInput::Locked(_))
                    | (SessionStep::Peek, SessionInput::Peeked(_))
                    | (SessionStep::Load, SessionInput::Loaded(_))
                    | (SessionStep::Save { .. } | SessionStep::Clear { .. }, SessionInput::Saved(_))
                    | (
                        SessionStep::Send { .. } | SessionStep::Wait(_),
                        SessionInput::Responded(_) | SessionInput::LockLapsed
                    )
                    | (SessionStep::Unlock, SessionInput::Unlocked)
            );
            if !is_expected {
                flow.receive(input, self.now);
            }
        }
        if let SessionStep::Wait(_) = flow.step(self.now) {
            assert!(matches!(step, SessionStep::Wait(_) | SessionStep::Send { .. }));
        } else {
            assert_eq!(format!("{step:?}"), format!("{:?}", flow.step(self.now)));
        }
        assert_eq!(format!("{flow:?}"), before);
    }

    fn perform(&mut self, job: Job, step: SessionStep) -> Option<SessionInput> {
        Some(match step {
            SessionStep::Lock => {
                assert!(!self.locked, "locked twice");
                let outcome = match self.roll(16) {
                    0..=9 => Ok(true),
                    10..=14 => Ok(false),
                    _ => Err(full()),
                };
                self.locked = matches!(outcome, Ok(true));
                SessionInput::Locked(outcome)
            }
            SessionStep::Peek => {
                assert!(!self.locked && job == Job::Refresh, "peeked under the lock, or not for a token");
                let stored = self.stored.record().cloned();
                SessionInput::Peeked(stored.filter(|_| self.roll(4) != 0))
            }
            SessionStep::Load => {
                assert!(self.locked, "loaded without the lock");
                let roll = self.roll(16);
                self.disturbed_since_load = false;
                self.loaded |= roll != 15;
                SessionInput::Loaded(match (roll, &self.stored) {
                    (15, _) => Err(LoadError::Failed(full())),
                    // A wrapper that seals the records notices it first.
                    (14, Stored::Damaged(record)) => Err(LoadError::Damaged {
                        generation: record.generation(),
                        error: Error::configuration("damaged"),
                    }),
                    (_, stored) => Ok(stored.record().cloned()),
                })
            }
            SessionStep::Save { record, expected } => {
                assert!(self.locked, "saved without the lock");
                let generation = Some(record.generation());
                assert_ne!(generation, expected.generation(), "a save with the generation of what it replaces");
                SessionInput::Saved(self.save(job, Some(record), expected))
            }
            SessionStep::Clear { expected } => {
                assert!(self.locked && matches!(job, Job::SignOut | Job::Forget));
                SessionInput::Saved(self.save(job, None, expected))
            }
            SessionStep::Unlock => {
                assert!(self.locked, "unlocked twice");
                self.locked = false;
                SessionInput::Unlocked
            }
            SessionStep::Wait(until) => {
                assert!(until >= self.now.monotonic);
                self.pass(until - self.now.monotonic);
                return None;
            }
            // The driver finds the lock lapsed.
            SessionStep::Send { .. } if self.roll(16) == 15 => {
                self.intents = 0;
                SessionInput::LockLapsed
            }
            SessionStep::Send { request, options } => {
                return self.send(job, &request, options).map(SessionInput::Responded);
            }
            SessionStep::Done(_) => return None,
        })
    }

    /// Saves or clears, or not. The outcome is true: only of an unknown one the flow does not know what became of it.
    fn save(&mut self, job: Job, record: Option<StoredRecord>, expected: Expected) -> Result<(), SaveError> {
        let stored = self.stored.record().map(StoredRecord::generation);
        let roll = self.roll(16);
        if expected.generation() != stored || (record.is_none() && stored.is_none()) {
            return Err(SaveError::Conflict);
        }
        match roll {
            // Another process was there, and left everything as it was.
            11 => return Err(SaveError::Conflict),
            12..=13 => return Err(SaveError::Failed(full())),
            14 => return Err(SaveError::Unknown(full())),
            _ => {}
        }
        if self.loaded && !self.disturbed_since_load {
            let damaged = matches!(self.stored, Stored::Damaged(_));
            assert_eq!(matches!(expected, Expected::Damaged(_)), damaged, "{expected:?}");
        }
        self.stored = match record {
            None => Stored::Nothing,
            Some(record) => {
                self.check_saved(job, &record);
                self.intents += u32::from(field(&record, "intent").is_object());
                Stored::Record(record)
            }
        };
        if roll == 15 { Err(SaveError::Unknown(full())) } else { Ok(()) }
    }

    /// Checks what is saved against what it replaces.
    fn check_saved(&mut self, job: Job, new: &StoredRecord) {
        assert_eq!(StoredRecord::from_bytes(new.as_bytes()).generation(), new.generation());
        let text = |record: &StoredRecord, name| field(record, name).as_str().map(str::to_owned);
        let refresh_token = text(new, "refresh_token");
        let old = if let Stored::Record(old) = &self.stored { Some(old) } else { None };
        let same_login = old.is_some_and(|old| field(old, "sign_in") == field(new, "sign_in"));
        if let Some(old) = old.filter(|_| self.loaded && !self.disturbed_since_load) {
            assert!(same_login || matches!(job, Job::Start(_)), "{job:?} stores another login");
            let replaced = field(old, "replaced").as_array().is_some_and(|all| all.contains(&field(new, "sign_in")));
            assert!(same_login || !replaced, "a login comes back over a later one that has replaced it");
            let consumed = refresh_token.as_ref().is_some_and(|token| self.consumed.contains(token));
            let unchanged = refresh_token == text(old, "refresh_token");
            assert!(!same_login || unchanged || !consumed, "a consumed refresh token is stored over its successor");
        }
        let access_token = text(new, "access_token").expect("an access token");
        let obtained_at = field(new, "obtained_at_unix_ms");
        let issued = self.access_tokens.get_mut(&access_token).expect("an access token that was issued");
        let lifetime = field(new, "lifetime_ms").as_u64().map(Duration::from_millis);
        let is_last = |last: &IssuedToken| obtained_at == millis(last.requested_at_wall) && lifetime == last.lifetime;
        if issued.last().is_some_and(is_last) {
            issued.drain(..issued.len() - 1);
        }
        let Job::Start(Start { login, requested_at, .. }) = job else { return };
        if same_login {
            // The same tokens, requested later by what the wall clock says now.
            if obtained_at == millis(requested_at.wall) && self.login_of(&access_token) == login {
                let lifetime = self.logins[login].as_ref().and_then(|tokens| tokens.expires_in);
                let monotonic = Some(requested_at.monotonic);
                self.issue(access_token, IssuedToken::new(login, monotonic, requested_at.wall, lifetime));
            }
            return;
        }
        // From now on this login's tokens are those to be kept, whatever became of them before.
        if let Some(token) = old.and_then(|old| text(old, "access_token")) {
            self.replaced.insert(self.login_of(&token));
        }
        self.replaced.remove(&login);
        let unsaved = self.memory.tokens(self.now).filter(|_| self.memory.save_error().is_some());
        let unsaved = unsaved.filter(|tokens| self.login_of(tokens.access_token.expose()) == login);
        let tokens = self.logins[login].as_ref().expect("the tokens of a login of this process");
        let expected = unsaved.as_ref().unwrap_or(tokens);
        let expected_refresh_token = expected.refresh_token.as_ref().map(|token| token.expose());
        assert_eq!(
            (access_token.as_str(), refresh_token.as_deref()),
            (expected.access_token.expose(), expected_refresh_token)
        );
        if unsaved.is_none() {
            assert_eq!(obtained_at, millis(requested_at.wall));
            let issued = self.access_tokens.get_mut(&access_token).expect("an access token that was issued");
            let rejected = issued.iter().any(|issued| issued.rejected);
            *issued = vec![IssuedToken::new(login, Some(requested_at.monotonic), requested_at.wall, tokens.expires_in)];
            issued[0].rejected = rejected;
        }
        if let Some(refresh_token) = &refresh_token {
            self.consumed.remove(refresh_token);
        }
        self.newest = refresh_token;
    }

    fn send(
        &mut self,
        job: Job,
        request: &http::Request<Body>,
        options: SendOptions,
    ) -> Option<Result<http::Response<Body>, Error>> {
        assert!(self.locked, "sent without the lock");
        assert!(self.in_flight.is_none(), "two requests are in flight");
        assert_eq!(options.deadline, self.now.monotonic + self.policy.timeout);
        let body = std::str::from_utf8(request.body().as_bytes()).expect("a form");
        let token = body.split('&').find_map(|pair| pair.strip_prefix("refresh_token=")).expect("a token").to_owned();
        if job == Job::SignOut {
            return self.revocation();
        }
        assert_eq!(job, Job::Refresh);
        assert!(self.intents > 0, "sent without an intent");
        self.intents = 0;
        if !self.disturbed_since_load {
            let Stored::Record(record) = &self.stored else { panic!("sent with nothing stored") };
            assert!(field(record, "intent").is_object(), "sent without an intent in the store");
            assert_eq!(field(record, "refresh_token"), token.as_str());
        }
        assert!(!self.consumed.contains(&token), "a consumed token is sent again");
        let login = self.login_of_refresh_token[&token];
        self.in_flight = Some((token.clone(), options.deadline));
        let response = self.refresh(login)?;
        self.in_flight = None;
        let next = response.as_ref().ok().and_then(|response| {
            let body: Value = serde_json::from_slice(response.body().as_bytes()).ok()?;
            let next = body["refresh_token"].as_str()?.to_owned();
            (response.status().is_success() && !next.is_empty() && next != token).then_some(next)
        });
        if let Some(next) = next {
            self.login_of_refresh_token.insert(next.clone(), login);
            self.consumed.insert(token);
            self.newest = Some(next);
        }
        Some(response)
    }

    /// Responds to a refresh; `None` if no response ever arrives.
    fn refresh(&mut self, login: usize) -> Option<Result<http::Response<Body>, Error>> {
        let (mut access_token, refresh_token) = (self.name('a'), self.name('r'));
        Some(Ok(match self.roll(16) {
            roll @ (0..=6 | 13) => {
                let (requested_at, lifetime) = (self.now, self.lifetime());
                if self.roll(8) == 7
                    && let Some(tokens) = self.memory.tokens(self.now)
                    && self.login_in_memory() == Some(login)
                {
                    // The same access token again.
                    access_token = tokens.access_token.expose().to_owned();
                }
                let mut body = serde_json::json!({ "access_token": access_token, "refresh_token": refresh_token });
                if let Some(lifetime) = lifetime {
                    body["expires_in"] = lifetime.as_secs().into();
                }
                if roll == 13 {
                    body["refresh_token"] = Value::Null;
                }
                // One that cannot be counted is unknown.
                let lifetime = lifetime.filter(|lifetime| *lifetime < Duration::MAX);
                let issued = IssuedToken::new(login, Some(requested_at.monotonic), requested_at.wall, lifetime);
                self.issue(access_token, issued);
                let latency = self.duration();
                self.pass(latency.min(self.policy.timeout / 2));
                response(200, body.to_string())
            }
            7 => return Some(Err(Error::outcome_unknown("reset"))),
            8 => return Some(Err(Error::not_sent("refused"))),
            9 => response(400, r#"{"error":"invalid_grant"}"#.to_owned()),
            10 => self.busy(),
            11 => response(401, r#"{"error":"invalid_client"}"#.to_owned()),
            12 => response(200, format!(r#"{{"refresh_token":"{refresh_token}","access_token":[]}}"#)),
            14 => return None,
            _ => self.any_response(),
        }))
    }

    fn revocation(&mut self) -> Option<Result<http::Response<Body>, Error>> {
        Some(Ok(match self.roll(16) {
            0..=6 => response(200, String::new()),
            7 => return Some(Err(Error::outcome_unknown("reset"))),
            8 => return Some(Err(Error::not_sent("refused"))),
            9 => response(400, r#"{"error":"invalid_grant"}"#.to_owned()),
            10 => self.busy(),
            11 => response(401, r#"{"error":"invalid_client"}"#.to_owned()),
            12..=14 => return None,
            _ => self.any_response(),
        }))
    }

    fn busy(&mut self) -> http::Response<Body> {
        let wait = u64::arbitrary(&mut self.data).unwrap_or(0).to_string();
        let mut response = response([429, 503][usize::from(self.roll(2))], "<html>".to_owned());
        response.headers_mut().insert("retry-after", wait.parse().expect("a number"));
        response
    }

    fn any_response(&mut self) -> http::Response<Body> {
        const STATUSES: [u16; 6] = [200, 400, 401, 404, 500, 302];
        let status = STATUSES[usize::from(self.roll(6))];
        let body = self.data.arbitrary::<&[u8]>().unwrap_or_default();
        let body = String::from_utf8_lossy(body).into_owned();
        // Whatever a body without a refresh token says, nothing is rotated by it.
        if body.contains("token") { response(503, body) } else { response(status, body) }
    }

    fn ended(&mut self, job: Job, end: SessionEnd) {
        let login_before = self.login_in_memory();
        let (result, events) = self.take_over(job, end);
        self.got_token = matches!(result, Ok(Some(_)));
        match &result {
            Ok(Some(token)) => {
                assert_eq!(job, Job::Refresh);
                self.check_good(token.expose());
            }
            Ok(None) => self.succeeded(job, &events),
            Err(error) => self.failed(job, error, login_before),
        }
        self.check_what_is_left(job);
    }

    /// Takes over the memory that a flow leaves.
    fn take_over(&mut self, job: Job, end: SessionEnd) -> (Result<Option<AccessToken>, Error>, Vec<SessionEvent>) {
        prints_no_secret(&end);
        let SessionEnd { memory, result, events, .. } = end;
        self.memory = memory;
        if self.disturbed {
            // What another process has stored is known by the wall clock alone.
            self.forget_instants();
        }
        // So is what is loaded again, because the memory does not have it; and only a rejection of the newest token
        // counts.
        let newest = self.memory.tokens(self.now);
        for (access_token, issued) in &mut self.access_tokens {
            let other = newest.as_ref().map(|newest| newest.access_token.expose() != access_token);
            for issued in issued.iter_mut().filter(|_| other != Some(false)) {
                issued.requested_at = None;
                issued.rejected &= other.is_none();
            }
        }
        assert_eq!(self.locked, self.memory.retains_lock(), "the lock after {job:?}");
        (result, events)
    }

    fn check_what_is_left(&mut self, job: Job) {
        self.check_cached_token();
        if let Some(newest) = &self.newest
            && !self.disturbed
        {
            let in_memory = self.memory.tokens(self.now).and_then(|tokens| tokens.refresh_token);
            let in_memory = in_memory.is_some_and(|token| token.expose() == newest);
            let in_store = match &self.stored {
                Stored::Record(record) => field(record, "refresh_token") == newest.as_str(),
                Stored::Nothing => matches!(job, Job::SignOut | Job::Forget),
                Stored::Damaged(_) => false,
            };
            assert!(in_memory || in_store, "the newest refresh token is lost after {job:?}");
        }
        // A session that was forgotten has ended, although the memory may have an unsaved pair still.
        let ends = self.memory.save_error().is_none() || matches!(job, Job::SignOut | Job::Forget);
        if self.disturbed || (self.stored == Stored::Nothing && ends) {
            self.excuse();
        }
    }

    /// Checks the end of a start, a sign-out or a forget.
    fn succeeded(&mut self, job: Job, events: &[SessionEvent]) {
        let Job::Start(Start { login, .. }) = job else {
            assert!(matches!(job, Job::SignOut | Job::Forget), "{job:?} ends without a token");
            assert!(self.memory.tokens(self.now).is_none(), "tokens are left after {job:?}");
            if job == Job::SignOut {
                self.forget_rejections();
            }
            return;
        };
        self.forget_rejections();
        if self.login_in_memory() != Some(login) {
            let reported = |event: &SessionEvent| {
                matches!(event, SessionEvent::Adopted { reason: AdoptionReason::OtherLogin, .. })
            };
            assert!(events.iter().any(reported), "another login is adopted without an event");
            assert!(
                self.disturbed || self.replaced.contains(&login),
                "a login is not stored that nothing has replaced"
            );
        }
    }

    fn failed(&mut self, job: Job, error: &Error, login_before: Option<usize>) {
        assert_ne!(error.kind(), ErrorKind::AlreadyCompleted);
        let line = error.to_string();
        assert!(!line.contains(MARK) && !line.chars().any(char::is_control), "{line:?}");
        if let Job::Start(Start { login, .. }) = job {
            let kept = self.login_in_memory() == Some(login) && login_before != Some(login);
            assert!(!kept, "a login that could not be stored is kept: {line}");
        }
        if error.kind() == ErrorKind::SignInRequired {
            // The session may have been signed out since its login was stored.
            let may_end = match job {
                Job::Refresh => true,
                Job::Start(Start { again, .. }) => again || self.disturbed,
                Job::SignOut | Job::Forget => false,
            };
            assert!(may_end, "{job:?} ends with {line}");
            // A token that had expired is good again if the clock was wrong.
            let cached = self.memory.cached_token(self.now);
            let good = matches!(cached, CachedToken::Fresh(_) | CachedToken::RefreshDue(_));
            assert!(!good || self.clock_set_back, "{job:?} ends with {line}, and the token is good");
        }
    }

    fn login_in_memory(&self) -> Option<usize> {
        let tokens = self.memory.tokens(self.now)?;
        Some(self.login_of(tokens.access_token.expose()))
    }

    fn login_of(&self, access_token: &str) -> usize {
        self.access_tokens[access_token][0].login
    }

    fn check_cached_token(&self) {
        match self.memory.cached_token(self.now) {
            CachedToken::Fresh(token) | CachedToken::RefreshDue(token) => self.check_good(token.expose()),
            CachedToken::BackingOff(error) => assert_ne!(error.kind(), ErrorKind::AlreadyCompleted),
            CachedToken::Missing => {}
        }
        prints_no_secret(&self.memory);
    }

    fn check_good(&self, access_token: &str) {
        let faults: Vec<_> = self.access_tokens[access_token].iter().map(|issued| issued.fault(self.now)).collect();
        assert!(faults.contains(&None), "a token that is not good: {faults:?}");
    }
}

/// What interrupts a flow.
enum Disturbance {
    None,
    Kill,
    Abort,
}

fn prints_no_secret(value: &impl std::fmt::Debug) {
    let printed = format!("{value:?}");
    assert!(!printed.contains(MARK), "{printed}");
}

fn millis(wall: SystemTime) -> u64 {
    wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

fn full() -> Error {
    Error::unavailable("the session cannot be stored", "no space left on device")
}
