//! One process, its store, a server and two clocks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::session::{
    Handout, LoadOutcome, SaveOutcome, SessionEnd, SessionEvent, SessionFlow, SessionInput, SessionMemory,
    SessionPolicy, SessionRecord, SessionStep,
};
use loginradius_proto::{AccessToken, App, Body, Error, ErrorKind, TokenSet, http};
use serde_json::{Value, json};

pub(crate) const PAGE: &str = "<html><title>Bad gateway</title></html>";
pub(crate) const REFUSED: &str = r#"{"error":"invalid_grant","error_description":"The token is not valid."}"#;

/// The one moment that every test begins at.
#[allow(clippy::disallowed_methods, reason = "an instant can be had from nowhere else; nothing depends on which")]
pub(crate) fn start() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    // A monotonic clock may have begun a moment ago, and there is nothing before its beginning.
    *START.get_or_init(|| Instant::now() + s(86_400))
}

/// The wall clock at [`start`], as made up as the instants.
pub(crate) fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + s(1_767_268_800)
}

pub(crate) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn answer(status: u16, body: &str) -> http::Response<Body> {
    answer_with(status, body, &[])
}

pub(crate) fn answer_with(status: u16, body: &str, headers: &[(&str, &str)]) -> http::Response<Body> {
    let builder = http::Response::builder().status(status);
    headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(Body::from(body)).unwrap()
}

/// The answer to a refresh, with a lifetime of 600 s.
pub(crate) fn pair(access: &str, refresh: &str) -> String {
    format!(r#"{{"access_token":"{access}","token_type":"access_token","expires_in":600,"refresh_token":"{refresh}"}}"#)
}

/// The tokens of a sign-in.
pub(crate) fn tokens(access: &str, refresh: &str, lifetime: Option<Duration>) -> TokenSet {
    let mut tokens = TokenSet::new(access);
    tokens.refresh_token = (!refresh.is_empty()).then(|| refresh.into());
    tokens.expires_in = lifetime;
    tokens
}

pub(crate) fn locked(outcome: Result<bool, Error>) -> Option<SessionInput> {
    Some(SessionInput::Locked(outcome))
}

pub(crate) fn loaded(outcome: LoadOutcome) -> Option<SessionInput> {
    Some(SessionInput::Loaded(outcome))
}

pub(crate) fn saved(outcome: SaveOutcome) -> Option<SessionInput> {
    Some(SessionInput::Saved(outcome))
}

pub(crate) fn answered(outcome: Result<http::Response<Body>, Error>) -> Option<SessionInput> {
    Some(SessionInput::Answered(outcome))
}

pub(crate) fn full_disk() -> Error {
    Error::try_later("the session cannot be stored", "no space left on device")
}

/// What a store holds under the session's name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stored {
    Nothing,
    Record(String),
    Damaged,
}

/// What a step does instead of the usual. `None` is the usual, and of a request, that no answer comes.
type Act = Box<dyn FnOnce(&mut World) -> Option<SessionInput>>;

pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) policy: SessionPolicy,
    pub(crate) now: Instant,
    pub(crate) clock: SystemTime,
    pub(crate) memory: SessionMemory,
    pub(crate) stored: Stored,
    /// Until when another process has the lock.
    pub(crate) busy_until: Option<Instant>,
    /// Whether this process has it.
    pub(crate) locked: bool,
    /// The record that is to be saved, for an [`Act`].
    pub(crate) saving: Option<SessionRecord>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) waits: Vec<Duration>,
    log: Vec<String>,
    acts: Vec<(&'static str, Act)>,
    seed: u64,
}

/// How a flow ended.
pub(crate) struct End {
    pub(crate) result: Result<Option<AccessToken>, Error>,
    pub(crate) events: Vec<SessionEvent>,
}

impl End {
    #[track_caller]
    pub(crate) fn token(&self) -> String {
        match &self.result {
            Ok(Some(token)) => token.expose().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn nothing(&self) {
        assert!(matches!(self.result, Ok(None)), "{:?}", self.result);
    }

    #[track_caller]
    pub(crate) fn error(&self) -> &Error {
        self.result.as_ref().expect_err("an error")
    }

    #[track_caller]
    pub(crate) fn kind(&self) -> ErrorKind {
        self.error().kind()
    }

    /// The events in order.
    pub(crate) fn events(&self) -> String {
        let name = |event: &SessionEvent| match event {
            SessionEvent::SignedIn => "signed in",
            SessionEvent::Rotated => "rotated",
            SessionEvent::Adopted { other_sign_in: false, .. } => "adopted",
            SessionEvent::Adopted { other_sign_in: true, .. } => "adopted another's",
            SessionEvent::Retried { .. } => "retried",
            SessionEvent::Unsaved { .. } => "unsaved",
            SessionEvent::Saved => "saved",
            SessionEvent::SignedOut { error: None, .. } => "signed out",
            SessionEvent::SignedOut { error: Some(_), .. } => "over",
            _ => "?",
        };
        self.events.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

impl World {
    /// Nobody is signed in.
    pub(crate) fn empty() -> Self {
        Self {
            app: App::new("my-client-id").client_secret("my-client-secret"),
            policy: SessionPolicy::default(),
            now: start(),
            clock: noon(),
            memory: SessionMemory::default(),
            stored: Stored::Nothing,
            busy_until: None,
            locked: false,
            saving: None,
            deadline: None,
            waits: Vec::new(),
            log: Vec::new(),
            acts: Vec::new(),
            seed: 40,
        }
    }

    /// Somebody has just signed in, with the tokens `a1` and `r1`.
    pub(crate) fn signed_in(lifetime: u64) -> Self {
        Self::with(tokens("a1", "r1", Some(s(lifetime))))
    }

    pub(crate) fn with(tokens: TokenSet) -> Self {
        let mut world = Self::empty();
        world.sign_in(tokens).nothing();
        world
    }

    /// Somebody has signed in, and the lifetime is over.
    pub(crate) fn expired() -> Self {
        let mut world = Self::signed_in(600);
        world.pass(HOUR);
        world
    }

    /// The pair `a2`, `r2` was got and could not be saved.
    pub(crate) fn unsaved() -> Self {
        let mut world = Self::expired();
        world.answers(200, &pair("a2", "r2"));
        world.fails("pair");
        assert_eq!(world.token().token(), "a2");
        assert!(world.memory.keeps_lock());
        world
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.clock += time;
    }

    /// A process that begins now, on the same store.
    pub(crate) fn other(&mut self, act: impl FnOnce(&mut Self)) {
        let memory = std::mem::take(&mut self.memory);
        let acts = std::mem::take(&mut self.acts);
        let (log, waits) = (self.log.clone(), self.waits.clone());
        let locked = std::mem::replace(&mut self.locked, false);
        act(self);
        (self.memory, self.acts, self.log, self.waits, self.locked) = (memory, acts, log, waits, locked);
    }

    // The script.

    /// What happens at the next step of that name.
    pub(crate) fn on(&mut self, step: &'static str, act: impl FnOnce(&mut Self) -> Option<SessionInput> + 'static) {
        self.acts.push((step, Box::new(act)));
    }

    pub(crate) fn answers(&mut self, status: u16, body: &str) {
        self.answers_with(status, body, &[]);
    }

    pub(crate) fn answers_with(&mut self, status: u16, body: &str, headers: &[(&str, &str)]) {
        let answer = answer_with(status, body, headers);
        self.on("send", move |_| answered(Ok(answer)));
    }

    pub(crate) fn lost(&mut self) {
        self.on("send", |_| answered(Err(Error::lost("connection reset"))));
    }

    pub(crate) fn not_sent(&mut self) {
        self.on("send", |_| answered(Err(Error::not_sent("connection refused"))));
    }

    pub(crate) fn revokes(&mut self, status: u16, body: &str) {
        let answer = answer(status, body);
        self.on("revoke", move |_| answered(Ok(answer)));
    }

    /// That save or clearing certainly does not happen.
    pub(crate) fn fails(&mut self, step: &'static str) {
        self.on(step, |_| saved(SaveOutcome::Failed(full_disk())));
    }

    /// Whether that save or clearing happened cannot be told.
    pub(crate) fn is_unknown(&mut self, step: &'static str, happened: bool) {
        self.on(step, move |world| {
            if happened {
                world.stored = world.saving.take().map_or(Stored::Nothing, |record| Stored::Record(record.to_json()));
            }
            saved(SaveOutcome::Unknown(full_disk()))
        });
    }

    // What is stored.

    #[track_caller]
    pub(crate) fn record(&self) -> Value {
        match &self.stored {
            Stored::Record(json) => serde_json::from_str(json).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Changes what is stored.
    #[track_caller]
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let mut record = self.record();
        change(&mut record);
        self.stored = Stored::Record(record.to_string());
    }

    /// The wall clock as records have it.
    pub(crate) fn millis(clock: SystemTime) -> u64 {
        u64::try_from(clock.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap()
    }

    /// A hold as another process leaves it.
    pub(crate) fn hold(&mut self, since: SystemTime, until: SystemTime, failures: u32) {
        self.edit(|record| {
            record["hold"] = json!({
                "since_unix_ms": Self::millis(since),
                "not_before_unix_ms": Self::millis(until),
                "failures": failures,
                "failure": "no healthy upstream",
            });
        });
    }

    fn generation(&self) -> Option<u64> {
        match &self.stored {
            Stored::Record(json) => match LoadOutcome::from_json(json) {
                LoadOutcome::Record(record) => Some(record.generation()),
                other => panic!("{other:?}"),
            },
            Stored::Nothing | Stored::Damaged => None,
        }
    }

    // Flows.

    fn seed(&mut self) -> u64 {
        self.seed += 1;
        self.seed
    }

    pub(crate) fn token_flow(&mut self) -> SessionFlow {
        let seed = self.seed();
        SessionFlow::token(&self.app, self.policy, self.memory.clone(), seed)
    }

    pub(crate) fn sign_out_flow(&mut self) -> SessionFlow {
        let seed = self.seed();
        SessionFlow::sign_out(&self.app, self.policy, self.memory.clone(), seed)
    }

    #[track_caller]
    pub(crate) fn token(&mut self) -> End {
        let flow = self.token_flow();
        self.run(flow)
    }

    #[track_caller]
    pub(crate) fn sign_in(&mut self, tokens: TokenSet) -> End {
        let seed = self.seed();
        self.run(SessionFlow::sign_in(&self.app, self.policy, self.memory.clone(), tokens, seed))
    }

    #[track_caller]
    pub(crate) fn sign_out(&mut self) -> End {
        let flow = self.sign_out_flow();
        self.run(flow)
    }

    #[track_caller]
    pub(crate) fn forget(&mut self) -> End {
        let seed = self.seed();
        self.run(SessionFlow::forget(&self.app, self.policy, self.memory.clone(), seed))
    }

    /// Drives a flow to its end, and misuses it at every step.
    #[track_caller]
    pub(crate) fn run(&mut self, mut flow: SessionFlow) -> End {
        self.log.clear();
        self.waits.clear();
        for _ in 0..1_000 {
            let step = flow.step(self.now, self.clock);
            let label = label(&step, &self.stored);
            if let SessionStep::Done(end) = step {
                return self.end(end);
            }
            self.log.push(label.clone());
            self.misuse(&mut flow, &step);
            let act = self.acts.iter().position(|(name, _)| label.starts_with(name)).map(|at| self.acts.remove(at).1);
            let input = self.perform(step, act);
            if let Some(input) = input {
                flow.receive(input, self.now, self.clock);
            }
        }
        panic!("no end: {}", self.log());
    }

    /// Inputs that nobody asked for, and asking again, change nothing.
    #[track_caller]
    fn misuse(&self, flow: &mut SessionFlow, step: &SessionStep) {
        let before = format!("{flow:?}");
        let stray = [
            SessionInput::Locked(Ok(true)),
            SessionInput::Loaded(LoadOutcome::Nothing),
            SessionInput::Answered(Ok(answer(200, &pair("stray", "stray")))),
            SessionInput::Saved(SaveOutcome::Saved),
            SessionInput::Unlocked,
        ];
        for input in stray {
            let asked_for = matches!(
                (step, &input),
                (SessionStep::Lock, SessionInput::Locked(_))
                    | (SessionStep::Load, SessionInput::Loaded(_))
                    | (SessionStep::Send { .. }, SessionInput::Answered(_))
                    | (SessionStep::Save { .. } | SessionStep::Clear { .. }, SessionInput::Saved(_))
                    | (SessionStep::Unlock, SessionInput::Unlocked)
            );
            // While a request is out the step is to wait, and the answer is asked for.
            let out = matches!((step, &input), (SessionStep::Wait(_), SessionInput::Answered(_)));
            if !asked_for && !out {
                flow.receive(input, self.now, self.clock);
            }
        }
        match (step, flow.step(self.now, self.clock)) {
            (SessionStep::Send { options, .. }, SessionStep::Wait(until)) => assert_eq!(until, options.deadline),
            (step, again) => assert_eq!(format!("{step:?}"), format!("{again:?}")),
        }
        assert_eq!(before, format!("{flow:?}"), "at {step:?}");
    }

    #[track_caller]
    fn perform(&mut self, step: SessionStep, act: Option<Act>) -> Option<SessionInput> {
        if let SessionStep::Save { record, .. } = &step {
            self.saving = Some(record.clone());
        }
        if let SessionStep::Clear { .. } = &step {
            self.saving = None;
        }
        if let SessionStep::Send { options, .. } = &step {
            self.deadline = Some(options.deadline);
            assert!(act.is_some(), "nobody expects {step:?}");
        }
        let scripted = act.and_then(|act| act(self));
        match step {
            SessionStep::Lock => {
                assert!(!self.locked, "locked twice");
                let free = self.busy_until.is_none_or(|until| self.now >= until);
                let outcome = scripted.unwrap_or(SessionInput::Locked(Ok(free)));
                self.locked = matches!(outcome, SessionInput::Locked(Ok(true)));
                Some(outcome)
            }
            SessionStep::Load => {
                assert!(self.locked, "loaded without the lock");
                Some(scripted.unwrap_or_else(|| SessionInput::Loaded(self.load())))
            }
            SessionStep::Send { .. } => {
                assert!(self.locked, "sent without the lock");
                scripted
            }
            SessionStep::Wait(until) => {
                let wait = until.saturating_duration_since(self.now);
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

    fn load(&self) -> LoadOutcome {
        match &self.stored {
            Stored::Nothing => LoadOutcome::Nothing,
            Stored::Record(json) => LoadOutcome::from_json(json),
            Stored::Damaged => LoadOutcome::from_json("{"),
        }
    }

    fn save(&mut self, record: Option<SessionRecord>, expected: Option<u64>) -> SaveOutcome {
        let nothing_to_clear = record.is_none() && self.stored == Stored::Nothing;
        if expected != self.generation() || nothing_to_clear {
            return SaveOutcome::Conflict;
        }
        if let Some(record) = &record {
            assert_ne!(Some(record.generation()), expected, "a save has another generation than what it replaces");
        }
        self.stored = record.map_or(Stored::Nothing, |record| Stored::Record(record.to_json()));
        SaveOutcome::Saved
    }

    #[track_caller]
    fn end(&mut self, end: SessionEnd) -> End {
        assert_eq!(self.locked, end.memory.keeps_lock(), "the lock, after: {}", self.log());
        self.memory = end.memory;
        End { result: end.result, events: end.events }
    }

    // What can be seen from outside.

    /// The steps of the last flow.
    pub(crate) fn log(&self) -> String {
        self.log.join(", ")
    }

    /// How often the last flow sent something.
    pub(crate) fn sends(&self) -> usize {
        self.log.iter().filter(|step| step.starts_with("send") || step.starts_with("revoke")).count()
    }

    pub(crate) fn handout(&self) -> String {
        match self.memory.handout(self.now, self.clock) {
            Handout::Good(token) => format!("good {}", token.expose()),
            Handout::Early(token) => format!("early {}", token.expose()),
            Handout::Refresh => "refresh".to_owned(),
            Handout::Held(error) => format!("held {}", error.kind()),
        }
    }

    /// The error of a hold.
    #[track_caller]
    pub(crate) fn held(&self) -> Error {
        match self.memory.handout(self.now, self.clock) {
            Handout::Held(error) => error.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// How long from now this answer lasts, to the millisecond.
    #[track_caller]
    pub(crate) fn lasts(&self, answer: &str) -> Duration {
        let at = |time: Duration| match self.memory.handout(self.now + time, self.clock + time) {
            Handout::Good(_) => "good",
            Handout::Early(_) => "early",
            Handout::Refresh => "refresh",
            Handout::Held(_) => "held",
        };
        assert_eq!(at(Duration::ZERO), answer);
        let (mut low, mut high) = (0, 400 * 86_400_000);
        while high - low > 1 {
            let middle = (low + high) / 2;
            if at(ms(middle)) == answer { low = middle } else { high = middle }
        }
        ms(high)
    }
}

/// A step in one or two words: what a record is saved for, and which refresh token is sent.
fn label(step: &SessionStep, stored: &Stored) -> String {
    match step {
        SessionStep::Lock => "lock".to_owned(),
        SessionStep::Load => "load".to_owned(),
        SessionStep::Send { request, .. } => {
            let body: BTreeMap<String, String> = serde_urlencoded::from_bytes(request.body().as_bytes()).unwrap();
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

fn label_of_save(record: &SessionRecord, stored: &Stored) -> String {
    let record: Value = serde_json::from_str(&record.to_json()).unwrap();
    let before = match stored {
        Stored::Record(json) => serde_json::from_str(json).unwrap(),
        Stored::Nothing | Stored::Damaged => Value::Null,
    };
    let token = record["refresh_token"].as_str().unwrap_or("nothing");
    if record["signing_out"] == true {
        format!("mark {token}")
    } else if record["refused"].is_string() {
        format!("refusal {token}")
    } else if record["access_token"] != before["access_token"]
        || record["refresh_token"] != before["refresh_token"]
        || (record["intent"].is_null() && record["hold"].is_null())
    {
        format!("pair {token}")
    } else if record["hold"] != before["hold"] {
        format!("hold {}", record["hold"]["failures"])
    } else {
        format!("intent {}", record["intent"]["attempt"])
    }
}
