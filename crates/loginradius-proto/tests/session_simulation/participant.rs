//! What one process has of the session under one name: its memory, its lock and one flow at a time, as an adapter keeps
//! them. The promises that a single flow can break, and those that a caller sees broken, are asserted here.

use std::time::Duration;

use loginradius_proto::session::{
    AdoptionReason, CachedToken, Expected, LoadError, SaveError, SessionEnd, SessionEvent, SessionFlow, SessionInput,
    SessionMemory, SessionPolicy, SessionStep, StoredRecord,
};
use loginradius_proto::{AccessToken, App, Body, Error, ErrorKind, RefreshToken, Seed, TokenSet};

use super::oracle::{self, CANARY, Change, HandOver, LEASE, LEEWAY, Oracle, Outcome, Record, Write, number};
use super::rng::{MINUTE, Moment, SECOND, Time, instant, monotonic};

const MAX_STEPS: u32 = 1_500;
const MAX_STEPS_WITHOUT_WAIT: u32 = 60;
/// How long a flow may stay without a call before its process counts as suspended.
const SUSPENSION_THRESHOLD: Time = 30 * SECOND;

pub(crate) fn access_token_text(access_token: usize) -> String {
    format!("access{CANARY}{access_token}")
}

pub(crate) fn refresh_token_text(refresh_token: usize) -> String {
    format!("refresh{CANARY}{refresh_token}")
}

/// What a flow is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Refresh,
    Start {
        access_token: usize,
        refresh_token: Option<usize>,
        /// By the monotonic clock, if the caller knows it.
        requested_at: Option<Time>,
    },
    SignOut,
    Forget,
}

/// What a flow has asked for, until it receives the outcome.
#[derive(Debug, Clone)]
pub(crate) enum PendingStep {
    /// The flow has to be stepped.
    None,
    Lock,
    Peek,
    Load,
    Save(Box<StoredRecord>, Expected),
    Clear(Expected),
    Unlock,
    /// The request is at the driver.
    Send {
        refresh_token: usize,
        revokes: bool,
        issued_at: Moment,
        deadline: Time,
    },
    Response {
        request: usize,
        deadline: Time,
    },
    Wait {
        until: Time,
    },
}

impl std::fmt::Display for PendingStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Save(record, expected) => write!(f, "saves {} over {expected:?}", Record::of_flow(record)),
            Self::Clear(expected) => write!(f, "clears {expected:?}"),
            Self::Send { refresh_token, .. } => write!(f, "is to send refresh token {refresh_token}"),
            Self::Response { request, .. } => write!(f, "awaits the response to request {request}"),
            step => write!(f, "{step:?}"),
        }
    }
}

/// What goes wrong with an operation of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFault {
    None,
    Fails,
    DoneUnknown,
    NotDoneUnknown,
}

/// What a flow has last loaded or saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Observed {
    Nothing,
    /// The login of an active record.
    Active(usize),
    /// A record whose newest refresh token was rejected.
    Rejected,
    /// The login of a record that is being signed out.
    SigningOut(usize),
}

/// A count that is no part of the state that the model compares.
#[derive(Clone, Copy, Default)]
struct Uncompared(u32);

impl std::fmt::Debug for Uncompared {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct RunningFlow {
    flow: SessionFlow,
    pub(crate) job: Job,
    pub(crate) pending: PendingStep,
    was_stepped: bool,
    last_called: Moment,
    /// Whether the process was suspended since the flow asked for the lock.
    suspended: bool,
    steps: Uncompared,
    steps_without_wait: Uncompared,
    /// The access token of the memory when the flow began.
    access_token_before: Option<usize>,
    observed: Option<Observed>,
    /// Whether the record that was loaded last says that no process may send.
    backing_off: bool,
    save_issued: bool,
    /// Whether what is stored ends the session without a response to this flow.
    ended_in_store: bool,
    stored_refresh_token: Option<usize>,
    /// The refresh token that the server has rejected in this flow.
    rejected_refresh_token: Option<usize>,
    /// The login that it has begun to sign out.
    login_to_sign_out: Option<usize>,
}

/// How a flow ended.
#[derive(Debug)]
pub(crate) enum End {
    Token,
    /// A start, a sign-out or a forget has succeeded.
    Done,
    Error(Error),
}

/// What is left of a flow that has ended.
struct Concluded {
    running: RunningFlow,
    result: Result<Option<AccessToken>, Error>,
    /// The access token of the memory.
    newest: Option<usize>,
    other_login_adopted: bool,
}

/// What a flow needs next.
#[derive(Debug)]
pub(crate) enum Next {
    StoreStep,
    Send,
    Wait,
    End(End),
}

/// Until when an access token lives by this process's monotonic clock, as far as the process can know.
#[derive(Debug, Clone, Copy)]
struct LifetimeBound {
    access_token: usize,
    until: Time,
    requested_here: bool,
}

/// A lease, as its holder knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldLease {
    pub(crate) number: u64,
    /// When the statement was sent that took it, or renewed it last.
    pub(crate) counted_from: Moment,
    pub(crate) next_renewal: Time,
    /// Whether a renewal has found another lease in its place.
    pub(crate) is_lost: bool,
}

impl HeldLease {
    /// Returns whether the lease is certainly still held, as a store says by its own clocks.
    pub(crate) fn is_held(&self, at: Moment) -> bool {
        let Moment { monotonic, wall } = self.counted_from;
        let passed = (at.monotonic - monotonic).max(at.wall.saturating_sub(wall));
        !self.is_lost && passed <= LEASE / 2
    }
}

/// What a caller gets without a flow.
pub(crate) struct Served {
    pub(crate) access_token: Option<usize>,
    pub(crate) needs_flow: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Participant {
    pub(crate) process: usize,
    pub(crate) name: usize,
    app: App,
    /// Whether its app is another one, which uses this name by mistake.
    pub(crate) is_other_app: bool,
    pub(crate) memory: SessionMemory,
    pub(crate) running: Option<RunningFlow>,
    /// As far as the process knows.
    holds_lock: bool,
    /// The lease of its lock, in a store over a database.
    pub(crate) lease: Option<HeldLease>,
    /// Access tokens that an API rejected here.
    rejected: Vec<usize>,
    lifetime_bounds: Vec<LifetimeBound>,
    /// Whether an event has reported that the newest tokens are unsaved.
    unsaved_reported: bool,
}

impl RunningFlow {
    fn note_call(&mut self, at: Moment) {
        let since_last = (at.monotonic - self.last_called.monotonic).max(at.wall.saturating_sub(self.last_called.wall));
        self.suspended |= since_last > SUSPENSION_THRESHOLD;
        self.last_called = at;
    }

    fn note_saved(&mut self, oracle: &mut Oracle, record: &Record, outcome: &Result<(), SaveError>) {
        let login = oracle.access_tokens[record.access_token()].login;
        match outcome {
            // Something else is there.
            Err(SaveError::Conflict) => self.observed = None,
            Err(_) if self.job != Job::Refresh => {}
            _ => self.observed = Some(Observed::of(record, login)),
        }
        if matches!((self.job, outcome), (Job::Start { .. }, Err(SaveError::Unknown(_)))) {
            oracle.logins[login].start_unconfirmed = true;
        }
        if outcome.is_ok() {
            self.note_stored(record);
        }
        if self.job == Job::SignOut {
            let target = *self.login_to_sign_out.get_or_insert(login);
            assert_eq!(target, login, "promise 10: signs another user out");
        }
        if record.rejected.is_some() {
            let rejected = self.rejected_refresh_token == record.refresh_token;
            assert!(rejected, "promise 4: saves the rejection of a token that the server has not rejected");
        }
    }

    fn note_stored(&mut self, record: &Record) {
        self.ended_in_store = !record.is_active() || record.refresh_token.is_none();
        self.stored_refresh_token = record.refresh_token;
    }
}

impl Observed {
    fn of(record: &Record, login: usize) -> Self {
        match record.rejected {
            _ if record.signing_out => Self::SigningOut(login),
            Some(_) => Self::Rejected,
            None => Self::Active(login),
        }
    }
}

impl Participant {
    pub(crate) fn new(process: usize, name: usize, is_other_app: bool) -> Self {
        Self {
            process,
            name,
            app: App::new(if is_other_app { "another-client" } else { "my-client" }),
            is_other_app,
            memory: SessionMemory::default(),
            running: None,
            holds_lock: false,
            lease: None,
            rejected: Vec::new(),
            lifetime_bounds: Vec::new(),
            unsaved_reported: false,
        }
    }

    // What callers do.

    pub(crate) fn start(&mut self, oracle: &Oracle, policy: SessionPolicy, job: Job, seed: Seed, at: Moment) {
        let (app, memory) = (&self.app, self.memory.clone());
        let flow = match job {
            Job::Refresh => SessionFlow::refresh(app, policy, memory, seed),
            Job::SignOut => SessionFlow::sign_out(app, policy, memory, seed),
            Job::Forget => SessionFlow::forget(app, policy, memory, seed),
            Job::Start { access_token, refresh_token, requested_at } => {
                let mut tokens = TokenSet::new(access_token_text(access_token));
                tokens.refresh_token = refresh_token.map(|number| RefreshToken::new(refresh_token_text(number)));
                tokens.expires_in = oracle.access_tokens[access_token].lifetime.map(Duration::from_millis);
                tokens.requested_at = requested_at.map(instant);
                SessionFlow::start(app, policy, memory, &tokens, seed)
            }
        };
        self.running = Some(RunningFlow {
            flow,
            job,
            pending: PendingStep::None,
            was_stepped: false,
            last_called: at,
            suspended: false,
            steps: Uncompared(0),
            steps_without_wait: Uncompared(0),
            access_token_before: self.access_token(at),
            observed: None,
            backing_off: false,
            save_issued: false,
            ended_in_store: false,
            stored_refresh_token: None,
            rejected_refresh_token: None,
            login_to_sign_out: None,
        });
    }

    /// Returns the access token of the memory, good or not.
    pub(crate) fn access_token(&self, at: Moment) -> Option<usize> {
        number(self.memory.tokens(at.now())?.access_token.expose())
    }

    fn refresh_token(&self, at: Moment) -> Option<usize> {
        number(self.memory.tokens(at.now())?.refresh_token?.expose())
    }

    pub(crate) fn has_unsaved_pair(&self) -> bool {
        self.memory.save_error().is_some()
    }

    pub(crate) fn serve_caller(&self, oracle: &mut Oracle, at: Moment) -> Served {
        match self.memory.cached_token(at.now()) {
            CachedToken::Fresh(token) => {
                oracle.coverage.cached_fresh += 1;
                Served { access_token: Some(self.check_token(oracle, token, at)), needs_flow: false }
            }
            CachedToken::RefreshDue(token) => {
                oracle.coverage.cached_refresh_due += 1;
                Served { access_token: Some(self.check_token(oracle, token, at)), needs_flow: true }
            }
            CachedToken::BackingOff(error) => {
                oracle.coverage.cached_backing_off += 1;
                let kind = error.kind();
                let allowed = !matches!(kind, ErrorKind::SignInRequired | ErrorKind::AlreadyCompleted);
                assert!(allowed, "promise 4: backs off because of {error:?}");
                Served { access_token: None, needs_flow: false }
            }
            CachedToken::Missing => Served { access_token: None, needs_flow: true },
        }
    }

    /// Notes that an API rejected the token. Returns whether a flow has to get another one.
    pub(crate) fn reject(&mut self, oracle: &mut Oracle, access_token: usize, at: Moment) -> bool {
        let newest = self.access_token(at);
        let is_newest = self.memory.reject(&AccessToken::new(access_token_text(access_token)));
        let expected = newest.is_none_or(|newest| newest == access_token);
        assert_eq!(is_newest, expected, "promise 7: access token {access_token} is rejected, and {newest:?} is newest");
        if is_newest {
            self.rejected.push(access_token);
        }
        oracle.coverage.rejected_access_tokens += u64::from(is_newest);
        is_newest
    }

    // What a flow does.

    pub(crate) fn step(&mut self, oracle: &mut Oracle, at: Moment) -> Next {
        let running = self.running.as_mut().expect("a running flow");
        running.note_call(at);
        running.steps.0 += 1;
        running.steps_without_wait.0 += 1;
        let bounded = running.steps.0 < MAX_STEPS && running.steps_without_wait.0 < MAX_STEPS_WITHOUT_WAIT;
        assert!(bounded, "promise 9: a hot loop");
        if !running.was_stepped {
            running.was_stepped = true;
            if let Job::Start { access_token, requested_at, .. } = running.job {
                let age = requested_at.map_or(0, |requested_at| at.monotonic - requested_at);
                let requested = Moment { monotonic: at.monotonic - age, wall: at.wall - age };
                let issued = &mut oracle.access_tokens[access_token];
                issued.counted_anew |= issued.requested_at.is_some() && requested_at.is_none();
                issued.requested_at.get_or_insert(requested);
                // If the caller does not know that, the lifetime counts from each start.
                self.note_lifetime(oracle, access_token, requested_at.is_some(), requested.monotonic, 0);
            }
        }
        let running = self.running.as_mut().expect("a running flow");
        let before = running.flow.state();
        let step = running.flow.step(at.now());
        oracle.coverage.transitions.note(before, "time", running.flow.state());
        let (pending, next) = match step {
            SessionStep::Lock => {
                assert!(!self.holds_lock, "promise 9: asks for the lock that it holds");
                running.suspended = false;
                (PendingStep::Lock, Next::StoreStep)
            }
            SessionStep::Peek => {
                assert!(!self.holds_lock, "promise 9: peeks under the lock");
                (PendingStep::Peek, Next::StoreStep)
            }
            SessionStep::Wait(until) => {
                let until = monotonic(until);
                assert!(until <= at.monotonic + MINUTE, "promise 9: waits for {} ms", until - at.monotonic);
                running.steps_without_wait = Uncompared(0);
                let pending = match running.pending {
                    PendingStep::Response { request, .. } => PendingStep::Response { request, deadline: until },
                    _ => PendingStep::Wait { until },
                };
                (pending, Next::Wait)
            }
            SessionStep::Done(end) => {
                let mut flow = running.flow.clone();
                let SessionStep::Done(again) = flow.step(at.now()) else {
                    panic!("promise 9: a flow continues after its end")
                };
                let kind = again.result.map_err(|error| error.kind());
                assert!(matches!(kind, Err(ErrorKind::AlreadyCompleted)), "promise 9: two ends");
                assert!(again.events.is_empty(), "promise 9: events are reported twice");
                return Next::End(self.end(oracle, end, at));
            }
            step => {
                assert!(self.holds_lock, "promise 2: {step:?} without the lock");
                match step {
                    SessionStep::Load => (PendingStep::Load, Next::StoreStep),
                    SessionStep::Clear { expected } => (PendingStep::Clear(expected), Next::StoreStep),
                    SessionStep::Unlock => (PendingStep::Unlock, Next::StoreStep),
                    SessionStep::Save { record, expected } => {
                        running.save_issued = true;
                        (PendingStep::Save(Box::new(record), expected), Next::StoreStep)
                    }
                    SessionStep::Send { request, options } => {
                        let deadline = monotonic(options.deadline);
                        let bounded = (at.monotonic + 1..=at.monotonic + MINUTE).contains(&deadline);
                        assert!(bounded, "promise 9: a deadline of {deadline} at {}", at.monotonic);
                        let revokes = request.uri().path().ends_with("revoke");
                        let backing_off = running.backing_off && !revokes;
                        assert!(!backing_off, "promise 9: process {} sends during a backoff", self.process);
                        let token = refresh_token_of(request.body());
                        running.steps_without_wait = Uncompared(0);
                        (PendingStep::Send { refresh_token: token, revokes, issued_at: at, deadline }, Next::Send)
                    }
                    step => unreachable!("{step:?}"),
                }
            }
        };
        running.pending = pending;
        next
    }

    /// Lets the request leave that the flow has asked for. Returns its number.
    pub(crate) fn send(&mut self, oracle: &mut Oracle, handed_over: Option<HandOver>) -> usize {
        let running = self.running.as_mut().expect("a running flow");
        let PendingStep::Send { refresh_token, revokes, issued_at, deadline } = running.pending else {
            unreachable!("{:?}", running.pending)
        };
        let request = oracle.send(self.process, self.name, refresh_token, revokes, issued_at, handed_over);
        running.pending = PendingStep::Response { request, deadline };
        request
    }

    /// Returns the save or the clear that the flow has asked for.
    pub(crate) fn write(&self) -> Option<Write> {
        let running = self.running.as_ref()?;
        let (expected, change) = match &running.pending {
            PendingStep::Save(record, expected) => (*expected, Change::Save(record.clone())),
            PendingStep::Clear(expected) => {
                let (revoked, target) = (running.job == Job::SignOut, running.login_to_sign_out);
                (*expected, Change::Clear { revoked, target })
            }
            _ => return None,
        };
        let lease = self.lease.map(|lease| lease.number);
        Some(Write { process: self.process, name: self.name, lease, expected, change })
    }

    /// Performs the pending operation of the store, or fails it; returns what the flow will receive.
    pub(crate) fn store_step(
        &mut self,
        oracle: &mut Oracle,
        fault: StoreFault,
        lease_expired: impl Fn(usize) -> bool,
    ) -> SessionInput {
        let broken = || Error::unavailable("the store is out of order", "no space left");
        let (process, name) = (self.process, self.name);
        let running = self.running.as_ref().expect("a running flow");
        match (&running.pending, fault) {
            (PendingStep::Lock, StoreFault::None) => {
                SessionInput::Locked(Ok(oracle.lock(process, name, lease_expired)))
            }
            (PendingStep::Lock, _) => SessionInput::Locked(Err(broken())),
            (PendingStep::Peek, StoreFault::None) => SessionInput::Peeked(oracle.load(name)),
            (PendingStep::Peek, _) => SessionInput::Peeked(None),
            (PendingStep::Load, StoreFault::None) => SessionInput::Loaded(Ok(oracle.load(name))),
            (PendingStep::Load, _) => {
                oracle.coverage.failed_loads += 1;
                SessionInput::Loaded(Err(LoadError::Failed(broken())))
            }
            (PendingStep::Save(..) | PendingStep::Clear(_), StoreFault::Fails) => {
                oracle.coverage.failed_saves += 1;
                SessionInput::Saved(Err(SaveError::Failed(broken())))
            }
            (PendingStep::Save(..) | PendingStep::Clear(_), StoreFault::NotDoneUnknown) => {
                oracle.coverage.unknown_saves += 1;
                SessionInput::Saved(Err(SaveError::Unknown(broken())))
            }
            (PendingStep::Save(..) | PendingStep::Clear(_), fault) => {
                let saved = oracle.write(&self.write().expect("a save or a clear"));
                SessionInput::Saved(match (saved, fault) {
                    (_, StoreFault::DoneUnknown) => {
                        oracle.coverage.unknown_saves += 1;
                        Err(SaveError::Unknown(broken()))
                    }
                    (true, _) => Ok(()),
                    (false, _) => Err(SaveError::Conflict),
                })
            }
            (PendingStep::Unlock, _) => {
                oracle.unlock(process, name, self.lease.take().map(|lease| lease.number));
                self.holds_lock = false;
                SessionInput::Unlocked
            }
            (step, _) => unreachable!("{step:?}"),
        }
    }

    /// Delivers the outcome of the pending step to the flow.
    pub(crate) fn receive(&mut self, oracle: &mut Oracle, input: SessionInput, at: Moment) {
        let running = self.running.as_mut().expect("a running flow");
        running.note_call(at);
        let mut peeked_token = None;
        match (&input, &running.pending) {
            (SessionInput::Locked(Ok(true)), _) => self.holds_lock = true,
            (SessionInput::Peeked(Some(stored)), _) => {
                oracle.coverage.peeked += 1;
                if let Some(record) = Record::read(stored).filter(Record::is_active) {
                    peeked_token = record.access_token;
                    self.note_seen(oracle, record.access_token(), at);
                }
            }
            (SessionInput::Loaded(Ok(Some(stored))), _) => {
                if let Some(record) = Record::read(stored) {
                    self.note_loaded(oracle, &record, at);
                }
            }
            (SessionInput::Loaded(Ok(None)), _) => {
                running.observed = Some(Observed::Nothing);
                (running.ended_in_store, running.stored_refresh_token) = (true, None);
            }
            (SessionInput::Saved(outcome), PendingStep::Save(record, _)) => {
                running.note_saved(oracle, &Record::of_flow(record), outcome);
            }
            _ => {}
        }
        let running = self.running.as_mut().expect("a running flow");
        if running.suspended {
            // It may have lost its lock, and then it loads again before it acts on what it has loaded.
            running.observed = None;
        }
        running.pending = PendingStep::None;
        let (before, kind) = (running.flow.state(), kind(&input));
        running.flow.receive(input, at.now());
        oracle.coverage.transitions.note(before, kind, running.flow.state());
        if (before, running.flow.state()) == ("Peeking", "Done") {
            let SessionStep::Done(end) = running.flow.clone().step(at.now()) else { unreachable!("it is done") };
            let token = end.result.ok().flatten().and_then(|token| number(token.expose()));
            oracle.coverage.tokens_peeked += u64::from(token.is_some());
            if token.is_some() && token == peeked_token {
                running.observed = token.map(|token| Observed::Active(oracle.access_tokens[token].login));
            }
        }
    }

    /// Notes what a response means, before the flow receives it.
    pub(crate) fn note_response(&mut self, oracle: &mut Oracle, request: usize, outcome: Outcome, meaning: Meaning) {
        oracle.note_outcome(request, outcome);
        let sent = &oracle.requests[request];
        let running = self.running.as_mut().expect("a running flow");
        match meaning {
            Meaning::Rejected => {
                running.rejected_refresh_token = Some(sent.refresh_token);
                // It has to load again before it may conclude that this was the newest token.
                running.stored_refresh_token = None;
                oracle.coverage.rejections += 1;
            }
            Meaning::NewAccessToken(access_token) => {
                self.note_lifetime(oracle, access_token, true, sent.sent_at.monotonic, 0);
            }
            Meaning::Other => {}
        }
    }

    fn note_loaded(&mut self, oracle: &Oracle, record: &Record, at: Moment) {
        let access_token = record.access_token();
        let login = oracle.access_tokens[access_token].login;
        let running = self.running.as_mut().expect("a running flow");
        running.observed = Some(if self.is_other_app { Observed::Nothing } else { Observed::of(record, login) });
        // A flow that has begun to refresh may continue.
        running.backing_off = record.backs_off(at) && !running.save_issued;
        running.note_stored(record);
        if matches!(running.job, Job::Refresh | Job::Start { .. }) {
            self.note_seen(oracle, access_token, at);
        }
    }

    /// Notes a token that was read from the store.
    fn note_seen(&mut self, oracle: &Oracle, access_token: usize, at: Moment) {
        if let Some(requested_at) = oracle.access_tokens[access_token].requested_at {
            let age = at.wall.saturating_sub(requested_at.wall);
            self.note_lifetime(oracle, access_token, false, at.monotonic, age);
        }
    }

    /// Counts the lifetime of an access token from that moment on, when it had that age.
    fn note_lifetime(&mut self, oracle: &Oracle, access_token: usize, requested_here: bool, from: Time, age: Time) {
        let oracle::AccessToken { lifetime, counted_anew, .. } = oracle.access_tokens[access_token];
        let Some(lifetime) = lifetime else { return };
        let until = from.saturating_add(lifetime.saturating_sub(age));
        match self.lifetime_bounds.iter_mut().find(|bound| bound.access_token == access_token) {
            // It may have been loaded before, by a flow that did not keep it.
            Some(bound) if !bound.requested_here || counted_anew => bound.until = bound.until.max(until),
            Some(_) => {}
            None => self.lifetime_bounds.push(LifetimeBound { access_token, until, requested_here }),
        }
    }

    // What a caller gets.

    /// Asserts promises 3, 7 and 10 for an access token that a caller gets.
    fn check_token(&self, oracle: &Oracle, token: &AccessToken, at: Moment) -> usize {
        let access_token = number(token.expose()).expect("an access token of this simulation");
        let issued = &oracle.access_tokens[access_token];
        assert_eq!(oracle.logins[issued.login].name, self.name, "promise 10: the token of another name");
        assert!(!self.is_other_app, "promise 10: the token of another app");
        let reported = self.unsaved_reported && self.has_unsaved_pair();
        assert!(
            issued.was_stored || reported,
            "promise 3: access token {access_token} is unsaved, and no event reports that"
        );
        let requested_at = issued.requested_at.expect("a token that was requested");
        let obtained = issued.earliest.unwrap_or(requested_at.wall) <= at.wall + LEEWAY;
        assert!(obtained, "promise 7: access token {access_token} comes from the future");
        if let Some(lifetime) = issued.lifetime {
            let lives = requested_at.wall.saturating_add(lifetime) > at.wall;
            assert!(lives, "promise 7: access token {access_token} has expired by the wall clock");
            let bound = self.lifetime_bounds.iter().find(|bound| bound.access_token == access_token);
            let until = bound.expect("a token that this process has seen").until;
            // A token that a failover has brought back was not in the memory any more.
            let lives = until > at.monotonic || oracle.is_forgotten_login(issued.login);
            assert!(lives, "promise 7: access token {access_token} has expired by the monotonic clock");
        }
        // A failover may forget that the session was being signed out, and the memory was cleared for that.
        let rejected = self.rejected.contains(&access_token) && !oracle.is_forgotten_login(issued.login);
        assert!(!rejected, "promise 7: access token {access_token} was rejected");
        access_token
    }

    /// Aborts the flow, as a driver does that is dropped.
    pub(crate) fn abort(&mut self, oracle: &mut Oracle, at: Moment) {
        let running = self.running.as_mut().expect("a running flow");
        if let PendingStep::Response { request, .. } = running.pending {
            oracle.note_outcome(request, Outcome::Unknown);
        }
        if let Job::Start { access_token, .. } = running.job {
            let login = oracle.access_tokens[access_token].login;
            oracle.logins[login].start_unconfirmed = true;
        }
        let end = running.flow.abort(self.holds_lock, at.now());
        if !end.memory.retains_lock() {
            // A lock that was taken and not retained is released as well.
            oracle.unlock(self.process, self.name, self.lease.take().map(|lease| lease.number));
            self.holds_lock = false;
        }
        let Concluded { running, result, newest, .. } = self.conclude(oracle, end, at);
        let error = result.expect_err("an aborted flow has no result");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "promise 4: an aborted flow ends the session: {error}");
        if running.job == Job::SignOut && newest.is_none() {
            // With the session, the memory forgets what was rejected.
            self.rejected.clear();
        }
        oracle.coverage.aborts += 1;
    }

    /// Takes the memory over at the end of a flow, and asserts what holds after every one.
    fn conclude(&mut self, oracle: &mut Oracle, end: SessionEnd, at: Moment) -> Concluded {
        let running = self.running.take().expect("a running flow");
        self.memory = end.memory;
        assert_eq!(self.holds_lock, self.memory.retains_lock(), "promise 2: the lock at the end of a flow");
        let printed = format!("{:?} {:?}", end.events, end.result);
        assert!(!printed.contains(CANARY), "promise 10: a secret in {printed}");

        let other_login_adopted = self.check_events(oracle, &running, &end.events, at);
        self.check_observed(oracle, &running, at);
        let newest = self.access_token(at);
        // A token that leaves the memory may be loaded again. Then its age is known by the wall clock alone, and only
        // another rejection by an API makes it bad.
        self.lifetime_bounds.retain(|bound| newest == Some(bound.access_token));
        self.rejected.retain(|rejected| newest.is_none_or(|newest| newest == *rejected));
        Concluded { running, result: end.result, newest, other_login_adopted }
    }

    fn end(&mut self, oracle: &mut Oracle, end: SessionEnd, at: Moment) -> End {
        let Concluded { running, result, newest, other_login_adopted } = self.conclude(oracle, end, at);
        match (result, running.job) {
            (Ok(Some(token)), Job::Refresh) => {
                self.check_token(oracle, &token, at);
                End::Token
            }
            (Ok(None), Job::Start { access_token, .. }) => {
                let login = oracle.access_tokens[access_token].login;
                let current = newest.is_some_and(|newest| oracle.access_tokens[newest].login == login);
                assert!(
                    current || other_login_adopted,
                    "promise 11: login {login} was started, and the session has access token {newest:?}"
                );
                let stored = oracle.access_tokens[access_token].was_stored;
                assert!(stored || other_login_adopted, "promise 3: a login that was not saved");
                oracle.logins[login].start_unconfirmed = false;
                oracle.coverage.logins_stored += 1;
                oracle.coverage.logins_adopted += u64::from(current && newest != Some(access_token));
                oracle.coverage.logins_replaced += u64::from(!current);
                End::Done
            }
            (Ok(None), Job::SignOut | Job::Forget) => {
                assert!(newest.is_none(), "promise 6: signed out, and the tokens are still in the memory");
                self.rejected.clear();
                oracle.coverage.sign_outs += u64::from(running.job == Job::SignOut);
                oracle.coverage.forgotten += u64::from(running.job == Job::Forget);
                End::Done
            }
            (Ok(result), job) => panic!("promise 9: {job:?} ends with {result:?}"),
            (Err(error), job) => {
                if let Job::Start { access_token, .. } = job {
                    let kept = newest == Some(access_token) && running.access_token_before != newest;
                    assert!(!kept, "promise 3: a login that could not be saved is in the memory: {error}");
                }
                let marked = matches!(running.observed, Some(Observed::SigningOut(_)));
                oracle.coverage.unfinished_sign_outs += u64::from(job == Job::SignOut && marked);
                match error.kind() {
                    ErrorKind::SignInRequired => {
                        let rejected = running.rejected_refresh_token;
                        let newest_rejected = rejected.is_some() && rejected == running.stored_refresh_token;
                        let allowed = matches!(job, Job::Refresh | Job::Start { .. })
                            && (running.ended_in_store || newest_rejected);
                        assert!(
                            allowed,
                            "promise 4: the session ended, and its newest token was not rejected: {error}"
                        );
                        oracle.coverage.ended_with_sign_in_required += 1;
                    }
                    ErrorKind::Unavailable => oracle.coverage.ended_with_unavailable += 1,
                    kind => assert_ne!(kind, ErrorKind::AlreadyCompleted, "promise 9: no end"),
                }
                End::Error(error)
            }
        }
    }

    /// Asserts promise 6: a good token in the memory agrees with what the flow has seen in the store.
    fn check_observed(&self, oracle: &Oracle, running: &RunningFlow, at: Moment) {
        let good = match self.memory.cached_token(at.now()) {
            CachedToken::Fresh(token) | CachedToken::RefreshDue(token) => number(token.expose()),
            CachedToken::BackingOff(_) | CachedToken::Missing => None,
        };
        let login = good.map(|access_token| oracle.access_tokens[access_token].login);
        let (Some(observed), Some(login)) = (running.observed, login) else { return };
        // An unsaved pair is newer than what the store says.
        let unsaved = self.has_unsaved_pair();
        let allowed = match (running.job, observed) {
            (Job::Start { .. } | Job::Forget, _) => true,
            (_, Observed::SigningOut(signed_out)) => signed_out != login && unsaved,
            (Job::Refresh, Observed::Active(stored)) => stored == login || unsaved,
            (Job::Refresh, Observed::Nothing | Observed::Rejected) => unsaved,
            (Job::SignOut, _) => true,
        };
        assert!(allowed, "promise 6: a token of login {login} is good, and the store has {observed:?}");
    }

    /// Asserts that each change is reported. Returns whether another login was adopted.
    fn check_events(
        &mut self,
        oracle: &mut Oracle,
        running: &RunningFlow,
        events: &[SessionEvent],
        at: Moment,
    ) -> bool {
        let (mut changed, mut other_login_adopted, mut ended) = (false, false, false);
        for event in events {
            match event {
                SessionEvent::Started | SessionEvent::Refreshed => changed = true,
                SessionEvent::Adopted { reason, .. } => {
                    let other_login = *reason == AdoptionReason::OtherLogin;
                    changed = true;
                    other_login_adopted |= other_login;
                    oracle.coverage.adopted += 1;
                    oracle.coverage.adopted_other_login += u64::from(other_login);
                }
                SessionEvent::RequestFailed { .. } => oracle.coverage.requests_failed += 1,
                SessionEvent::Unsaved { .. } => {
                    (changed, self.unsaved_reported) = (true, true);
                    oracle.coverage.unsaved += 1;
                }
                SessionEvent::Saved => {
                    changed = true;
                    oracle.coverage.saved_later += 1;
                }
                SessionEvent::Ended { .. } => ended = true,
                event => panic!("an event that the simulation does not know: {event:?}"),
            }
        }
        let unsaved = self.has_unsaved_pair();
        assert!(self.unsaved_reported || !unsaved, "promise 3: no event reports that the tokens are unsaved");
        self.unsaved_reported = unsaved;
        let newest = self.access_token(at);
        if let (Job::Refresh, Some(before)) = (running.job, running.access_token_before)
            && newest != Some(before)
        {
            assert!(changed || ended, "promise 10: access token {before} became {newest:?} without an event");
            if let Some(newest) = newest {
                let same_login = oracle.access_tokens[before].login == oracle.access_tokens[newest].login;
                let reported = same_login || other_login_adopted || ended;
                assert!(reported, "promise 10: another login was adopted without an event");
            }
        }
        other_login_adopted
    }

    /// Asserts that a start without an access token ends before it asks for anything, and changes nothing.
    pub(crate) fn check_refused_start(&self, oracle: &mut Oracle, policy: SessionPolicy, at: Moment) {
        let mut flow = SessionFlow::start(&self.app, policy, self.memory.clone(), &TokenSet::new(""), Seed(0));
        let before = flow.state();
        let step = flow.step(at.now());
        oracle.coverage.transitions.note(before, "time", flow.state());
        let SessionStep::Done(end) = step else { panic!("promise 9: a start without a token asks for {step:?}") };
        let error = end.result.expect_err("there is no token");
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert_eq!(format!("{:?}", end.memory), format!("{:?}", self.memory), "a refused start changes the memory");
    }

    /// Asserts promise 9: inputs that the flow did not ask for, and steps that are early or repeated, change nothing.
    pub(crate) fn check_stray_inputs(&self, at: Moment) {
        let Some(running) = &self.running else { return };
        let (mut flow, mut disturbed) = (running.flow.clone(), running.flow.clone());
        let response =
            || http::Response::new(Body::from(r#"{"access_token":"stray-token-0","refresh_token":"stray"}"#));
        let mut strays = Vec::new();
        if !matches!(running.pending, PendingStep::Lock) {
            strays.extend([SessionInput::Locked(Ok(true)), SessionInput::Locked(Ok(false))]);
        }
        if !matches!(running.pending, PendingStep::Peek) {
            strays.push(SessionInput::Peeked(None));
        }
        if !matches!(running.pending, PendingStep::Load) {
            strays.push(SessionInput::Loaded(Ok(None)));
        }
        if !matches!(running.pending, PendingStep::Save(..) | PendingStep::Clear(_)) {
            strays.extend([SessionInput::Saved(Ok(())), SessionInput::Saved(Err(SaveError::Conflict))]);
        }
        if !matches!(running.pending, PendingStep::Send { .. } | PendingStep::Response { .. }) {
            strays.extend([
                SessionInput::Responded(Ok(response())),
                SessionInput::Responded(Err(Error::outcome_unknown("stray"))),
                SessionInput::LockLapsed,
            ]);
        }
        if !matches!(running.pending, PendingStep::Unlock) {
            strays.push(SessionInput::Unlocked);
        }
        for stray in strays {
            disturbed.receive(stray, at.now());
        }
        let (step, after) = (flow.step(at.now()), disturbed.step(at.now()));
        let (step, after) = (format!("{step:?}"), format!("{after:?}"));
        assert_eq!(step, after, "promise 9: a stray input changed the step");
        let (flow, disturbed) = (format!("{flow:?}"), format!("{disturbed:?}"));
        assert_eq!(flow, disturbed, "promise 9: a stray input changed the flow");
        assert!(!(step + &flow).contains(CANARY), "promise 10: a secret in {flow}");
    }
}

/// Asserts promise 5 for a session whose participants are idle. Returns whether it has to recover, because the server
/// accepts the newest token.
pub(crate) fn must_recover<'a>(
    oracle: &mut Oracle,
    name: usize,
    participants: impl Iterator<Item = (&'a Participant, Moment)>,
) -> bool {
    // Where nothing is stored, the session was signed out.
    let Some(record) = &oracle.slots[name].record else { return false };
    let Some(refresh_token) = record.refresh_token.filter(|_| record.is_active()) else { return false };
    let mut in_memory = false;
    for (participant, at) in participants.filter(|(participant, _)| participant.has_unsaved_pair()) {
        let Some(unsaved) = participant.refresh_token(at) else { return false };
        // Under a lock that was lost, other processes refreshed with the consumed token, or another user logged in.
        if ![unsaved, oracle.consumed_for(unsaved)].contains(&refresh_token) {
            continue;
        }
        let locked = match participant.lease {
            Some(lease) => oracle.is_held(participant.process, name, lease.number),
            None => oracle.slots[name].lock_holder == Some(participant.process),
        };
        // Without the lock, another process may have sent the token that was consumed for this pair.
        if !oracle.is_live(unsaved) || !participant.memory.retains_lock() || !locked {
            return false;
        }
        in_memory = true;
    }
    if in_memory {
        oracle.coverage.recovered_from_memory += 1;
        return true;
    }
    let stored = &oracle.refresh_tokens[refresh_token];
    let stored_login = stored.login;
    if let (Some((consumer, _)), false) = (stored.consumed, oracle.logins[stored.login].exempt) {
        let request = &oracle.requests[consumer];
        let excuse = oracle.excuse(request);
        assert!(excuse.is_some(), "promise 5: refresh token {refresh_token} was consumed by {request:?}, and is lost");
        oracle.coverage.lost_with_response_or_process += 1;
    }
    if !oracle.is_live(refresh_token) && oracle.is_forgotten_login(stored_login) {
        oracle.coverage.lost_by_failover += 1;
    }
    oracle.is_live(refresh_token)
}

/// What a response means to a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Rejected,
    NewAccessToken(usize),
    Other,
}

/// Returns the name of the input in the table of states.
fn kind(input: &SessionInput) -> &'static str {
    match input {
        SessionInput::Locked(Ok(true)) => "locked",
        SessionInput::Locked(Ok(false)) => "lock taken",
        SessionInput::Locked(Err(_)) => "lock failed",
        SessionInput::Peeked(_) => "peeked",
        SessionInput::Loaded(Ok(_)) => "loaded",
        SessionInput::Loaded(Err(_)) => "load failed",
        SessionInput::Responded(_) => "responded",
        SessionInput::LockLapsed => "lock lapsed",
        SessionInput::Saved(Ok(())) => "saved",
        SessionInput::Saved(Err(SaveError::Conflict)) => "conflict",
        SessionInput::Saved(Err(SaveError::Failed(_))) => "save failed",
        SessionInput::Saved(Err(SaveError::Unknown(_))) => "save unknown",
        SessionInput::Unlocked => "unlocked",
    }
}

/// Reads the refresh token in a form.
fn refresh_token_of(body: &Body) -> usize {
    let form = std::str::from_utf8(body.as_bytes()).expect("a form");
    let digits = form.split_once(CANARY).expect("a refresh token").1;
    digits.split('&').next().and_then(|digits| digits.parse().ok()).expect("a refresh token")
}
