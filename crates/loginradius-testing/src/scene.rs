use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::session::{
    AdoptionReason, CachedToken, EndReason, Expected, LoadError, Now, SaveError, SessionEnd, SessionEvent, SessionFlow,
    SessionInput, SessionMemory, SessionPolicy, SessionStep, StoredRecord,
};
use loginradius_proto::{AccessToken, App, Body, Error, ErrorKind, Seed, SendOptions, TokenSet, http};
use serde_json::{Value, json};

use crate::fixtures::{HOUR, ms, now, pair, response, response_with, s, tokens};

/// The input of a lock, for [`Scene::on`].
#[must_use]
pub fn locked(outcome: Result<bool, Error>) -> Option<SessionInput> {
    Some(SessionInput::Locked(outcome))
}

/// The input of a load, for [`Scene::on`].
#[must_use]
pub fn loaded(outcome: Result<Option<StoredRecord>, LoadError>) -> Option<SessionInput> {
    Some(SessionInput::Loaded(outcome))
}

/// The input of a save or a clear, for [`Scene::on`].
#[must_use]
pub fn saved(outcome: Result<(), SaveError>) -> Option<SessionInput> {
    Some(SessionInput::Saved(outcome))
}

/// The input of a request, for [`Scene::on`].
#[must_use]
pub fn responded(outcome: Result<http::Response<Body>, Error>) -> Option<SessionInput> {
    Some(SessionInput::Responded(outcome))
}

/// The error of a store that cannot write.
#[must_use]
pub fn full_disk() -> Error {
    Error::unavailable("the session cannot be stored", "no space left on device")
}

/// The outcome of a load that fails.
///
/// # Errors
///
/// Always.
pub fn unreadable() -> Result<Option<StoredRecord>, LoadError> {
    Err(LoadError::Failed(Error::unavailable("the session's file cannot be read", "EIO")))
}

/// Bytes in a store that are no record.
#[must_use]
pub fn damaged() -> Option<StoredRecord> {
    Some(StoredRecord::from_bytes(*b"{"))
}

/// What a scripted step does. `None` stands for what the step does without a script; of a request, for no response.
type Act = Box<dyn FnOnce(&mut Scene) -> Option<SessionInput>>;

/// A flow of one kind, run to its end.
pub type Job = fn(&mut Scene) -> End;

/// A session in one process, with a store, a server and two clocks that the test scripts.
pub struct Scene {
    /// The app.
    pub app: App,
    /// The policy.
    pub policy: SessionPolicy,
    /// The time of both clocks, which changes only when a test lets time pass or a flow waits.
    pub now: Now,
    /// What the last flow left.
    pub memory: SessionMemory,
    /// What the store holds.
    pub stored: Option<StoredRecord>,
    /// Damaged records that were replaced, and of which the store keeps copies.
    pub copies: Vec<StoredRecord>,
    /// Until when another process has the lock.
    pub locked_until: Option<Instant>,
    /// Whether this process has the lock.
    pub locked: bool,
    /// What is being saved; `None` for a clear.
    pub saving: Option<StoredRecord>,
    /// How long the last flow waited, each time.
    pub waits: Vec<Duration>,
    log: Vec<String>,
    acts: Vec<(&'static str, Act)>,
    seed: u64,
}

/// How a flow ended.
pub struct End {
    /// Its result.
    pub result: Result<Option<AccessToken>, Error>,
    /// Its events.
    pub events: Vec<SessionEvent>,
}

impl End {
    /// Expects an access token.
    #[track_caller]
    #[must_use]
    pub fn token(&self) -> String {
        match &self.result {
            Ok(Some(token)) => token.expose().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// Expects a success without an access token.
    #[track_caller]
    pub fn ok(&self) {
        assert!(matches!(self.result, Ok(None)), "{:?}", self.result);
    }

    /// Expects an error.
    #[track_caller]
    pub fn error(&self) -> &Error {
        self.result.as_ref().expect_err("an error")
    }

    /// Expects an error and returns its kind.
    #[track_caller]
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.error().kind()
    }

    /// Names the events in their order.
    #[must_use]
    pub fn events(&self) -> String {
        let name = |event: &SessionEvent| match event {
            SessionEvent::Started => "started",
            SessionEvent::Refreshed => "refreshed",
            SessionEvent::Adopted { reason: AdoptionReason::Refreshed, .. } => "adopted",
            SessionEvent::Adopted { reason: AdoptionReason::OtherLogin, .. } => "adopted other login",
            SessionEvent::RequestFailed { .. } => "request failed",
            SessionEvent::Unsaved { .. } => "unsaved",
            SessionEvent::Saved => "saved",
            SessionEvent::Ended { reason: EndReason::SignedOut, .. } => "signed out",
            SessionEvent::Ended { reason: EndReason::SignInRequired(_), .. } => "ended",
            _ => "?",
        };
        self.events.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

impl Scene {
    /// Every job of a flow.
    pub const JOBS: [(&str, Job); 4] = [
        ("refresh", Self::refresh),
        ("start", |scene| scene.start(tokens("b1", "q1", Some(s(600))))),
        ("sign out", Self::sign_out),
        ("forget", Self::forget),
    ];

    /// Begins with no user signed in.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            app: App::new("my-client-id").with_client_secret("my-client-secret"),
            policy: SessionPolicy::default(),
            now: now(),
            memory: SessionMemory::default(),
            stored: None,
            copies: Vec::new(),
            locked_until: None,
            locked: false,
            saving: None,
            waits: Vec::new(),
            log: Vec::new(),
            acts: Vec::new(),
            seed: 40,
        }
    }

    /// Begins with a user who has just signed in, with the tokens `a1` and `r1`. The lifetime is in seconds.
    #[must_use]
    pub fn signed_in(lifetime: u64) -> Self {
        Self::with(tokens("a1", "r1", Some(s(lifetime))))
    }

    /// Begins with a user who has just signed in, with those tokens.
    #[must_use]
    pub fn with(tokens: TokenSet) -> Self {
        let mut scene = Self::empty();
        scene.start(tokens).ok();
        scene
    }

    /// Begins an hour after the login, with `a1` expired.
    #[must_use]
    pub fn expired() -> Self {
        let mut scene = Self::signed_in(600);
        scene.pass(HOUR);
        scene
    }

    /// Begins after a refresh that yielded the pair `a2`, `r2`, which could not be saved.
    #[must_use]
    pub fn unsaved() -> Self {
        let mut scene = Self::expired();
        scene.responds(200, &pair("a2", "r2"));
        scene.fails("pair");
        assert_eq!(scene.refresh().token(), "a2");
        assert!(scene.memory.retains_lock());
        scene
    }

    /// Lets time pass, by both clocks.
    pub fn pass(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.now.wall += time;
    }

    /// Lets another process act on the same store. It begins with no memory.
    pub fn other_process(&mut self, act: impl FnOnce(&mut Self)) {
        let memory = std::mem::take(&mut self.memory);
        let acts = std::mem::take(&mut self.acts);
        let (log, waits) = (self.log.clone(), self.waits.clone());
        let locked = std::mem::replace(&mut self.locked, false);
        act(self);
        (self.memory, self.acts, self.log, self.waits, self.locked) = (memory, acts, log, waits, locked);
    }

    // The script.

    /// Scripts the next step whose [log](Self::log) entry begins with that name.
    pub fn on(&mut self, step: &'static str, act: impl FnOnce(&mut Self) -> Option<SessionInput> + 'static) {
        self.acts.push((step, Box::new(act)));
    }

    /// Scripts the response to the next refresh.
    pub fn responds(&mut self, status: u16, body: &str) {
        self.responds_with(status, body, &[]);
    }

    /// Scripts the response to the next refresh, with headers.
    pub fn responds_with(&mut self, status: u16, body: &str, headers: &[(&str, &str)]) {
        let response = response_with(status, body, headers);
        self.on("send", move |_| responded(Ok(response)));
    }

    /// Loses the response to the next refresh.
    pub fn lost(&mut self) {
        self.on("send", |_| responded(Err(Error::outcome_unknown("connection reset"))));
    }

    /// Does not send the next refresh.
    pub fn not_sent(&mut self) {
        self.on("send", |_| responded(Err(Error::not_sent("connection refused"))));
    }

    /// Finds the lock lapsed in place of sending the next refresh.
    pub fn lock_lapses(&mut self) {
        self.on("send", |_| Some(SessionInput::LockLapsed));
    }

    /// Scripts the response to the next revocation.
    pub fn revokes(&mut self, status: u16, body: &str) {
        let response = response(status, body);
        self.on("revoke", move |_| responded(Ok(response)));
    }

    /// Makes that save or clear fail for certain.
    pub fn fails(&mut self, step: &'static str) {
        self.on(step, |_| saved(Err(SaveError::Failed(full_disk()))));
    }

    /// Makes the outcome of that save or clear unknown, whether it happens or not.
    pub fn outcome_unknown(&mut self, step: &'static str, happens: bool) {
        self.on(step, move |scene| {
            if happens {
                scene.stored = scene.saving.take();
            }
            saved(Err(SaveError::Unknown(full_disk())))
        });
    }

    // What is stored.

    /// Returns the stored record as JSON.
    #[track_caller]
    #[must_use]
    pub fn record(&self) -> Value {
        serde_json::from_slice(self.stored.as_ref().expect("a record").as_bytes()).expect("JSON")
    }

    /// Changes the stored record and removes its checksum, as a program does that knows none.
    #[track_caller]
    pub fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let mut record = self.record();
        record.as_object_mut().expect("an object").remove("checksum");
        change(&mut record);
        self.stored = Some(StoredRecord::from_bytes(record.to_string()));
    }

    /// Returns a time in milliseconds since 1970, as records store it.
    #[must_use]
    pub fn millis(wall: SystemTime) -> u64 {
        u64::try_from(wall.duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970").as_millis())
            .expect("a time")
    }

    /// Stores a backoff, as another process does after a failure.
    pub fn set_backoff(&mut self, since: SystemTime, until: SystemTime, failures: u32) {
        self.edit(|record| {
            record["hold"] = json!({
                "since_unix_ms": Self::millis(since),
                "not_before_unix_ms": Self::millis(until),
                "failures": failures,
                "failure": "no healthy upstream",
            });
        });
    }

    // Flows.

    fn next_seed(&mut self) -> Seed {
        self.seed += 1;
        Seed(self.seed)
    }

    /// Makes a flow that refreshes.
    #[must_use]
    pub fn refresh_flow(&mut self) -> SessionFlow {
        let seed = self.next_seed();
        SessionFlow::refresh(&self.app, self.policy, self.memory.clone(), seed)
    }

    /// Makes a flow that signs out.
    #[must_use]
    pub fn sign_out_flow(&mut self) -> SessionFlow {
        let seed = self.next_seed();
        SessionFlow::sign_out(&self.app, self.policy, self.memory.clone(), seed)
    }

    /// Refreshes.
    #[track_caller]
    pub fn refresh(&mut self) -> End {
        let flow = self.refresh_flow();
        self.run(flow)
    }

    /// Starts the session with those tokens.
    #[track_caller]
    pub fn start(&mut self, tokens: TokenSet) -> End {
        let seed = self.next_seed();
        self.run(SessionFlow::start(&self.app, self.policy, self.memory.clone(), &tokens, seed))
    }

    /// Signs out.
    #[track_caller]
    pub fn sign_out(&mut self) -> End {
        let flow = self.sign_out_flow();
        self.run(flow)
    }

    /// Forgets the session.
    #[track_caller]
    pub fn forget(&mut self) -> End {
        let seed = self.next_seed();
        self.run(SessionFlow::forget(&self.app, self.policy, self.memory.clone(), seed))
    }

    /// Drives a flow to its end, and misuses it at every step.
    #[track_caller]
    pub fn run(&mut self, flow: SessionFlow) -> End {
        self.drive(flow, Self::misuse)
    }

    /// Drives a flow to its end, with something to do at every step.
    #[track_caller]
    pub fn drive(&mut self, mut flow: SessionFlow, mut at: impl FnMut(&Self, &mut SessionFlow, &SessionStep)) -> End {
        self.log.clear();
        self.waits.clear();
        for _ in 0..1_000 {
            let step = flow.step(self.now);
            at(self, &mut flow, &step);
            if let SessionStep::Done(end) = step {
                return self.end(end);
            }
            if let Some(input) = self.perform(step) {
                flow.receive(input, self.now);
            }
        }
        panic!("no end: {}", self.log());
    }

    /// Drives a flow to its first request.
    #[track_caller]
    pub fn run_to_request(&mut self, flow: &mut SessionFlow) -> (http::Request<Body>, SendOptions) {
        for _ in 0..10 {
            match flow.step(self.now) {
                SessionStep::Send { request, options } => return (request, options),
                step => {
                    if let Some(input) = self.perform(step) {
                        flow.receive(input, self.now);
                    }
                }
            }
        }
        panic!("nothing is sent: {}", self.log());
    }

    /// Gives a flow the inputs of other steps, asks for the step again, and checks that nothing has changed.
    #[track_caller]
    fn misuse(&self, flow: &mut SessionFlow, step: &SessionStep) {
        if let SessionStep::Done(_) = step {
            return;
        }
        let before = format!("{flow:?}");
        let stray = [
            SessionInput::Locked(Ok(true)),
            SessionInput::Peeked(None),
            SessionInput::Loaded(Ok(None)),
            SessionInput::Responded(Ok(response(200, pair("stray", "stray")))),
            SessionInput::LockLapsed,
            SessionInput::Saved(Ok(())),
            SessionInput::Unlocked,
        ];
        for input in stray {
            let expected = matches!(
                (step, &input),
                (SessionStep::Lock, SessionInput::Locked(_))
                    | (SessionStep::Peek, SessionInput::Peeked(_))
                    | (SessionStep::Load, SessionInput::Loaded(_))
                    | (SessionStep::Send { .. }, SessionInput::Responded(_) | SessionInput::LockLapsed)
                    | (SessionStep::Save { .. } | SessionStep::Clear { .. }, SessionInput::Saved(_))
                    | (SessionStep::Unlock, SessionInput::Unlocked)
            );
            // While a request is out the step is to wait, and the response is expected.
            let awaited =
                matches!((step, &input), (SessionStep::Wait(_), SessionInput::Responded(_) | SessionInput::LockLapsed));
            if !expected && !awaited {
                flow.receive(input, self.now);
            }
        }
        match (step, flow.step(self.now)) {
            (SessionStep::Send { options, .. }, SessionStep::Wait(until)) => assert_eq!(until, options.deadline),
            (
                SessionStep::Save { record, expected },
                SessionStep::Save { record: same_record, expected: same_expected },
            ) => {
                assert!(*record == same_record && *expected == same_expected, "another save");
            }
            (step, again) => assert_eq!(format!("{step:?}"), format!("{again:?}")),
        }
        assert_eq!(before, format!("{flow:?}"), "at {step:?}");
    }

    /// Performs a step, or what is scripted for it. Returns the input for the flow, if there is one.
    #[track_caller]
    pub fn perform(&mut self, step: SessionStep) -> Option<SessionInput> {
        let label = label(&step, self.stored.as_ref());
        let act = self.acts.iter().position(|(name, _)| label.starts_with(name)).map(|at| self.acts.remove(at).1);
        self.log.push(label);
        match &step {
            SessionStep::Save { record, .. } => self.saving = Some(record.clone()),
            SessionStep::Clear { .. } => self.saving = None,
            SessionStep::Send { .. } => assert!(act.is_some(), "no response is scripted for {step:?}"),
            _ => {}
        }
        let scripted = act.and_then(|act| act(self));
        match step {
            SessionStep::Lock => {
                assert!(!self.locked, "locked twice");
                let free = self.locked_until.is_none_or(|until| self.now.monotonic >= until);
                let outcome = scripted.unwrap_or(SessionInput::Locked(Ok(free)));
                self.locked = matches!(outcome, SessionInput::Locked(Ok(true)));
                Some(outcome)
            }
            SessionStep::Peek => {
                assert!(!self.locked, "peeked under the lock");
                Some(scripted.unwrap_or_else(|| SessionInput::Peeked(self.stored.clone())))
            }
            SessionStep::Load => {
                assert!(self.locked, "loaded without the lock");
                Some(scripted.unwrap_or_else(|| SessionInput::Loaded(Ok(self.stored.clone()))))
            }
            SessionStep::Send { .. } => {
                assert!(self.locked, "sent without the lock");
                scripted
            }
            SessionStep::Wait(_) if scripted.is_some() => scripted,
            SessionStep::Wait(until) => {
                let wait = until.saturating_duration_since(self.now.monotonic);
                self.waits.push(wait);
                self.pass(wait);
                None
            }
            SessionStep::Save { record, expected } => {
                assert!(self.locked, "saved without the lock");
                Some(scripted.unwrap_or_else(|| SessionInput::Saved(self.save(Some(record), expected))))
            }
            SessionStep::Clear { expected } => {
                assert!(self.locked, "cleared without the lock");
                Some(scripted.unwrap_or_else(|| SessionInput::Saved(self.save(None, expected))))
            }
            SessionStep::Unlock => {
                assert!(self.locked, "unlocked twice");
                self.locked = false;
                Some(SessionInput::Unlocked)
            }
            SessionStep::Done(_) => None,
        }
    }

    fn save(&mut self, record: Option<StoredRecord>, expected: Expected) -> Result<(), SaveError> {
        let nothing_to_clear = record.is_none() && self.stored.is_none();
        if expected.generation() != self.stored.as_ref().map(StoredRecord::generation) || nothing_to_clear {
            return Err(SaveError::Conflict);
        }
        if let Some(record) = &record {
            let generation = Some(record.generation());
            assert_ne!(generation, expected.generation(), "a save has another generation than what it replaces");
        }
        if let (Expected::Damaged(_), Some(_)) = (expected, &record) {
            self.copies.extend(self.stored.take());
        }
        self.stored = record;
        Ok(())
    }

    /// Takes the memory of a flow that has ended.
    #[track_caller]
    pub fn end(&mut self, end: SessionEnd) -> End {
        assert_eq!(self.locked, end.memory.retains_lock(), "the lock, after: {}", self.log());
        self.memory = end.memory;
        End { result: end.result, events: end.events }
    }

    // Observations.

    /// Returns the steps of the last flow, each in one or two words: `lock`, `peek`, `load`, `intent 1`, `send r1`, `pair r2`,
    /// `backoff 1`, `rejection r1`, `mark r1`, `revoke r1`, `clear`, `wait`, `unlock`.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.join(", ")
    }

    /// Counts the requests of the last flow.
    #[must_use]
    pub fn sends(&self) -> usize {
        self.log.iter().filter(|step| step.starts_with("send") || step.starts_with("revoke")).count()
    }

    /// Returns what a caller gets now: `fresh a1`, `refresh due a1`, `missing` or `backing off` with the error's kind.
    #[must_use]
    pub fn cached(&self) -> String {
        match self.memory.cached_token(self.now) {
            CachedToken::Fresh(token) => format!("fresh {}", token.expose()),
            CachedToken::RefreshDue(token) => format!("refresh due {}", token.expose()),
            CachedToken::Missing => "missing".to_owned(),
            CachedToken::BackingOff(error) => format!("backing off {}", error.kind()),
        }
    }

    /// Returns the error for callers while the session backs off.
    #[track_caller]
    #[must_use]
    pub fn backoff_error(&self) -> Error {
        match self.memory.cached_token(self.now) {
            CachedToken::BackingOff(error) => error.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Returns how long from now the cached token stays as it is, to the millisecond.
    #[track_caller]
    #[must_use]
    pub fn lasts(&self, cached: &str) -> Duration {
        let at = |time: Duration| match self
            .memory
            .cached_token(Now::new(self.now.monotonic + time, self.now.wall + time))
        {
            CachedToken::Fresh(_) => "fresh",
            CachedToken::RefreshDue(_) => "refresh due",
            CachedToken::Missing => "missing",
            CachedToken::BackingOff(_) => "backing off",
        };
        assert_eq!(at(Duration::ZERO), cached);
        let (mut low, mut high) = (0, 400 * 86_400_000);
        while high - low > 1 {
            let middle = (low + high) / 2;
            if at(ms(middle)) == cached { low = middle } else { high = middle }
        }
        ms(high)
    }
}

/// Names a step in one or two words: what a record is saved for, and which refresh token is sent.
fn label(step: &SessionStep, stored: Option<&StoredRecord>) -> String {
    match step {
        SessionStep::Lock => "lock".to_owned(),
        SessionStep::Peek => "peek".to_owned(),
        SessionStep::Load => "load".to_owned(),
        SessionStep::Send { request, .. } => {
            let body: BTreeMap<String, String> =
                serde_urlencoded::from_bytes(request.body().as_bytes()).expect("a form");
            let token = body.get("refresh_token").or(body.get("token")).expect("a refresh token");
            let name = if request.uri().path().ends_with("revoke") { "revoke" } else { "send" };
            format!("{name} {token}")
        }
        SessionStep::Wait(_) => "wait".to_owned(),
        SessionStep::Save { record, .. } => label_of_save(record, stored),
        SessionStep::Clear { .. } => "clear".to_owned(),
        SessionStep::Unlock => "unlock".to_owned(),
        SessionStep::Done(_) => "done".to_owned(),
    }
}

fn label_of_save(record: &StoredRecord, stored: Option<&StoredRecord>) -> String {
    let json = |record: &StoredRecord| serde_json::from_slice::<Value>(record.as_bytes()).unwrap_or_default();
    let (record, before) = (json(record), stored.map(json).unwrap_or_default());
    let token = record["refresh_token"].as_str().unwrap_or("nothing");
    let attempt = |record: &Value| record["intent"]["attempt"].as_u64().unwrap_or_default();
    if record["signing_out"] == true {
        format!("mark {token}")
    } else if record["refused"].is_string() {
        format!("rejection {token}")
    } else if ["access_token", "refresh_token", "obtained_at_unix_ms"].iter().any(|name| record[name] != before[name]) {
        format!("pair {token}")
    } else if record["hold"].is_null() && attempt(&record) < attempt(&before) {
        format!("withdraw {token}")
    } else if record["intent"].is_null() && record["hold"].is_null() {
        format!("pair {token}")
    } else if record["hold"] != before["hold"] {
        format!("backoff {}", record["hold"]["failures"])
    } else {
        format!("intent {}", record["intent"]["attempt"])
    }
}
