use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use arbitrary::{Arbitrary, Unstructured};
use loginradius_proto::session::{
    Handout, LoadOutcome, SaveOutcome, SessionEnd, SessionFlow, SessionInput, SessionMemory, SessionPolicy,
    SessionRecord, SessionStep,
};
use loginradius_proto::{App, Body, Error, ErrorKind, Retry, SendOptions, TokenSet, http};
use serde_json::Value;

/// In the name of every secret, so that one is found wherever it is printed.
const MARK: &str = "tok3n";

fn start() -> (Instant, SystemTime) {
    static START: OnceLock<Instant> = OnceLock::new();
    (*START.get_or_init(Instant::now), SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_268_800))
}

/// Any file where a session's record should be.
///
/// - What is taken for a record is written and read again without a change.
/// - Nothing that is printed depends on its tokens; whatever else is said is one line.
/// - Each goal comes to an end with it.
pub fn session_record(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let record = match LoadOutcome::from_json(&text) {
        LoadOutcome::Record(record) => record,
        LoadOutcome::Damaged(error) | LoadOutcome::Failed(error) => {
            let line = error.to_string();
            assert!(line.len() < 1_000 && !line.chars().any(char::is_control), "{line:?}");
            return;
        }
        LoadOutcome::Nothing => panic!("a text is not nothing"),
    };
    let json = record.to_json();
    let again = read(&json);
    assert_eq!(again.to_json(), json);
    assert_eq!(again.generation(), record.generation());
    assert!(record.generation() < 1 << 53);

    let mut fields: Value = serde_json::from_str(&json).expect("JSON");
    let client_id = fields["client_id"].as_str().expect("a client id").to_owned();
    for name in ["access_token", "refresh_token", "id_token"] {
        if fields[name].is_string() {
            fields[name] = "another".into();
        }
    }
    assert_eq!(format!("{:?}", read(&fields.to_string())), format!("{record:?}"));

    let (now, clock) = start();
    let app = App::new(client_id);
    let policy = SessionPolicy::default();
    let memory = SessionMemory::default;
    for flow in [
        SessionFlow::token(&app, policy, memory(), 1),
        SessionFlow::sign_in(&app, policy, memory(), TokenSet::new("another"), 2),
        SessionFlow::sign_out(&app, policy, memory(), 3),
        SessionFlow::forget(&app, policy, memory(), 4),
    ] {
        ends(flow, &json, now, clock);
    }
}

fn read(json: &str) -> SessionRecord {
    match LoadOutcome::from_json(json) {
        LoadOutcome::Record(record) => record,
        other => panic!("{other:?}"),
    }
}

/// Drives a flow with a record, and a server that answers nothing of use.
fn ends(mut flow: SessionFlow, json: &str, mut now: Instant, mut clock: SystemTime) {
    for _ in 0..100 {
        let input = match flow.step(now, clock) {
            SessionStep::Lock => SessionInput::Locked(Ok(true)),
            SessionStep::Load => SessionInput::Loaded(LoadOutcome::from_json(json)),
            SessionStep::Send { .. } => SessionInput::Answered(Err(Error::lost("reset"))),
            SessionStep::Save { .. } | SessionStep::Clear { .. } => SessionInput::Saved(SaveOutcome::Saved),
            SessionStep::Unlock => SessionInput::Unlocked,
            SessionStep::Wait(until) => {
                let wait = until.saturating_duration_since(now);
                (now, clock) = (now + wait, clock + wait);
                continue;
            }
            SessionStep::Done(end) => {
                let _ = end.memory.handout(now, clock);
                return;
            }
        };
        flow.receive(input, now, clock);
    }
    panic!("no end");
}

/// Any server, store, driver and clocks, other processes among them, and this one may die at any moment.
///
/// - No refresh is sent without an intent of its own in the store, nor while another one is out.
/// - A refresh token whose successor has arrived is never sent again, and the successor is never lost.
/// - No token is handed out past its lifetime by either clock, nor one that was reported.
/// - What is loaded, saved and sent is so under the lock, and a flow knows at its end whether it has it.
/// - Every flow comes to an end, and prints no secret. Stray inputs, and asking again, change nothing.
/// - When all is well again, whoever is signed in gets a token.
pub fn session_flow(data: &[u8]) {
    let (now, clock) = start();
    let mut data = Unstructured::new(data);
    let mut policy = SessionPolicy::default();
    let mut pick = |times: [u64; 4]| times[usize::from(u8::arbitrary(&mut data).unwrap_or(0) % 4)];
    policy.early = Duration::from_secs(pick([60, 0, 1, 3600]));
    policy.lock_wait = Duration::from_secs(pick([30, 0, 1, 5]));
    policy.timeout = Duration::from_secs(pick([30, 1, 5, 60]));
    policy.retry = Retry { attempts: pick([4, 1, 2, 9]) as u32, ..Retry::default() };
    let mut world = World {
        data,
        app: App::new("client").client_secret(format!("{MARK}-secret")),
        policy,
        memory: SessionMemory::default(),
        stored: Stored::Nothing,
        locked: false,
        now,
        clock,
        names: 0,
        issued: HashMap::new(),
        spent: HashSet::new(),
        newest: None,
        disturbed: false,
        unseen: false,
        loaded: false,
        intents: 0,
        got_token: false,
        out: None,
    };
    world.flow(Goal::SignIn);
    while !world.data.is_empty() {
        world.between_flows();
        let goal = match world.roll(8) {
            0..=4 => Goal::Token,
            5 => Goal::SignIn,
            6 => Goal::SignOut,
            _ => Goal::Forget,
        };
        world.flow(goal);
    }
    // And when nothing is in the way any more, and the longest hold is over, whoever is signed in gets a token.
    world.pass(Duration::from_secs(2 * 3600));
    let signed_in = match &world.stored {
        Stored::Record(json) => {
            let over = field(json, "signing_out") == true || field(json, "refused").is_string();
            !over && field(json, "refresh_token").is_string() && world.memory.unsaved().is_none()
        }
        Stored::Nothing | Stored::Damaged => false,
    };
    world.flow(Goal::Token);
    assert!(world.got_token || !signed_in, "no token: {:?}", world.memory);
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Goal {
    Token,
    SignIn,
    SignOut,
    Forget,
}

#[derive(Debug, Clone, PartialEq)]
enum Stored {
    Nothing,
    Record(String),
    Damaged,
}

/// What is known of an access token.
struct Issue {
    /// When this process asked for it.
    asked: Option<Instant>,
    asked_at: SystemTime,
    lifetime: Option<Duration>,
    reported: bool,
}

struct World<'a> {
    data: Unstructured<'a>,
    app: App,
    policy: SessionPolicy,
    memory: SessionMemory,
    stored: Stored,
    locked: bool,
    now: Instant,
    clock: SystemTime,
    names: u32,
    issued: HashMap<String, Issue>,
    /// Refresh tokens whose successor arrived.
    spent: HashSet<String>,
    /// The refresh token that must not be lost.
    newest: Option<String>,
    /// Whether others changed the record during this flow.
    disturbed: bool,
    /// The same, since this flow has looked.
    unseen: bool,
    /// Whether this flow has looked into the store.
    loaded: bool,
    /// Intents that were stored since the last request.
    intents: u32,
    /// Whether the last flow got one.
    got_token: bool,
    /// The request that is out: its token, and its deadline.
    out: Option<(String, Instant)>,
}

impl World<'_> {
    /// A number below `sides`; 0, which is the usual, once the data has run out.
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
        self.now += time;
        self.clock += time;
    }

    /// Time passes, and clocks are set.
    fn time(&mut self) {
        let time = self.duration();
        match self.roll(6) {
            0..=2 => self.pass(time),
            3 => self.now += time,
            4 => self.clock += time,
            _ => self.clock -= time.min(self.clock.duration_since(start().1).unwrap_or_default()),
        }
    }

    fn between_flows(&mut self) {
        if self.roll(2) == 0 {
            self.time();
        }
        match self.roll(16) {
            10..=11 => self.dies(),
            12..=13 => {
                let tokens = self.memory.tokens(self.now, self.clock);
                if let Some(tokens) = tokens
                    && self.memory.report(&tokens.access_token)
                {
                    self.forget_reports();
                    if let Some(issue) = self.issued.get_mut(tokens.access_token.expose()) {
                        issue.reported = true;
                    }
                }
            }
            14..=15 => self.others_act(),
            _ => {}
        }
        self.check_handout();
    }

    /// The process ends, and another one begins.
    fn dies(&mut self) {
        if self.memory.unsaved().is_some() || self.out.is_some() {
            self.forgive();
        }
        self.memory = SessionMemory::default();
        self.locked = false;
        self.out = None;
        for issue in self.issued.values_mut() {
            // Another process knows the wall clock's time alone, and nothing of reports.
            issue.asked = None;
            issue.reported = false;
        }
    }

    /// Only the last report counts, and a new sign-in ends it.
    fn forget_reports(&mut self) {
        self.issued.values_mut().for_each(|issue| issue.reported = false);
    }

    /// What is lost or replayed from now on is not the flow's fault.
    fn forgive(&mut self) {
        self.spent.clear();
        self.newest = None;
    }

    /// Other processes, which do not care whose lock it is.
    fn others_act(&mut self) {
        self.forgive();
        self.disturbed = true;
        self.unseen = true;
        let kind = self.roll(8);
        let (access, refresh, clock) = (self.name('a'), self.name('r'), self.clock);
        let millis = millis(clock);
        if let (2, _) | (3, Stored::Nothing | Stored::Damaged) = (kind, &self.stored) {
            self.stored = Stored::Nothing;
            return;
        }
        let Stored::Record(json) = &self.stored else {
            self.stored = Stored::Nothing;
            return;
        };
        let mut record: Value = serde_json::from_str(json).expect("JSON");
        record["generation"] = ((record["generation"].as_u64().expect("a number") + 1) % (1 << 53)).into();
        match kind {
            0 => record["generation"] = 7.into(),
            1 => {
                self.stored = Stored::Damaged;
                return;
            }
            3 => record["signing_out"] = true.into(),
            4 => {
                let until = millis + u64::from(self.roll(60)) * 1_000;
                record["hold"] = serde_json::json!({
                    "since_unix_ms": millis, "not_before_unix_ms": until, "failures": 2, "failure": "busy",
                });
            }
            5 => record["intent"] = serde_json::json!({ "at_unix_ms": millis, "attempt": 1 }),
            _ => {
                record["access_token"] = access.clone().into();
                record["refresh_token"] = refresh.into();
                record["obtained_at_unix_ms"] = millis.into();
                record["lifetime_ms"] = 60_000.into();
                record["intent"] = Value::Null;
                if kind == 6 {
                    record["sign_in"] = 7.into();
                }
                let lifetime = Some(Duration::from_secs(60));
                self.issued.insert(access, Issue { asked: None, asked_at: clock, lifetime, reported: false });
            }
        }
        self.stored = Stored::Record(record.to_string());
    }

    fn flow(&mut self, goal: Goal) {
        // Each flow takes another one: the identifiers of sign-ins come from it.
        self.names += 1;
        let seed = u64::from(self.names) << 8 | u64::from(self.roll(255));
        let (app, policy, memory) = (&self.app, self.policy, self.memory.clone());
        let mut flow = match goal {
            Goal::Token => SessionFlow::token(app, policy, memory, seed),
            Goal::SignOut => SessionFlow::sign_out(app, policy, memory, seed),
            Goal::Forget => SessionFlow::forget(app, policy, memory, seed),
            Goal::SignIn => {
                let tokens = self.signed_in();
                SessionFlow::sign_in(&self.app, policy, memory, tokens, seed)
            }
        };
        (self.disturbed, self.unseen, self.loaded, self.intents) = (false, false, false, 0);
        for step in 0..20_000 {
            if step > 0 && self.disturb() {
                // With it dies what was not saved.
                self.forgive();
                self.dies();
                return;
            }
            if self.out.as_ref().is_some_and(|(_, deadline)| self.now >= *deadline) {
                self.out = None;
            }
            let step = flow.step(self.now, self.clock);
            is_silent(&flow);
            if let SessionStep::Done(end) = step {
                self.ended(goal, end);
                let SessionStep::Done(end) = flow.step(self.now, self.clock) else { panic!("it goes on") };
                assert_eq!(end.result.unwrap_err().kind(), ErrorKind::Finished);
                return;
            }
            is_silent(&step);
            if self.roll(16) == 15 {
                self.misuse(&mut flow, &step);
            }
            if let Some(input) = self.perform(goal, step) {
                flow.receive(input, self.now, self.clock);
            }
        }
        panic!("no end of {goal:?}: {flow:?}");
    }

    fn signed_in(&mut self) -> TokenSet {
        self.forget_reports();
        let (access, refresh) = (self.name('a'), self.name('r'));
        let mut tokens = TokenSet::new(access.as_str());
        tokens.expires_in = self.lifetime();
        let age = if self.roll(4) == 3 { self.duration() } else { Duration::ZERO };
        let asked = self.now.checked_sub(age).unwrap_or(self.now);
        if age > Duration::ZERO {
            tokens.requested_at = Some(asked);
        }
        let asked_at = self.clock - (self.now - asked);
        let lifetime = tokens.expires_in.filter(|time| !time.is_zero());
        self.issued.insert(access, Issue { asked: Some(asked), asked_at, lifetime, reported: false });
        self.newest = None;
        if self.roll(8) != 7 {
            tokens.refresh_token = Some(refresh.as_str().into());
            self.newest = Some(refresh);
        }
        tokens
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

    /// What happens between two steps. Says whether the process dies.
    fn disturb(&mut self) -> bool {
        match self.roll(32) {
            26..=28 => self.time(),
            29..=30 => self.others_act(),
            31 => return self.roll(4) == 3,
            _ => {}
        }
        false
    }

    fn misuse(&self, flow: &mut SessionFlow, step: &SessionStep) {
        let before = format!("{flow:?}");
        for input in [
            SessionInput::Locked(Ok(true)),
            SessionInput::Loaded(LoadOutcome::Nothing),
            SessionInput::Saved(SaveOutcome::Saved),
            SessionInput::Unlocked,
        ] {
            let asked_for = matches!(
                (step, &input),
                (SessionStep::Lock, SessionInput::Locked(_))
                    | (SessionStep::Load, SessionInput::Loaded(_))
                    | (SessionStep::Save { .. } | SessionStep::Clear { .. }, SessionInput::Saved(_))
                    | (SessionStep::Unlock, SessionInput::Unlocked)
            );
            if !asked_for {
                flow.receive(input, self.now, self.clock);
            }
        }
        if let SessionStep::Wait(_) = flow.step(self.now, self.clock) {
            assert!(matches!(step, SessionStep::Wait(_) | SessionStep::Send { .. }));
        } else {
            assert_eq!(format!("{step:?}"), format!("{:?}", flow.step(self.now, self.clock)));
        }
        assert_eq!(format!("{flow:?}"), before);
    }

    fn perform(&mut self, goal: Goal, step: SessionStep) -> Option<SessionInput> {
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
            SessionStep::Load => {
                assert!(self.locked, "loaded without the lock");
                let roll = self.roll(16);
                self.unseen = false;
                self.loaded |= roll != 15;
                SessionInput::Loaded(match (roll, &self.stored) {
                    (15, _) => LoadOutcome::Failed(full()),
                    (_, Stored::Nothing) => LoadOutcome::Nothing,
                    (_, Stored::Damaged) => LoadOutcome::from_json("{"),
                    (_, Stored::Record(json)) => LoadOutcome::from_json(json),
                })
            }
            SessionStep::Save { record, expected } => {
                assert!(self.locked, "saved without the lock");
                assert_ne!(Some(record.generation()), expected, "a save that cannot be told from what it replaces");
                SessionInput::Saved(self.save(Some(record), expected))
            }
            SessionStep::Clear { expected } => {
                assert!(self.locked && matches!(goal, Goal::SignOut | Goal::Forget));
                SessionInput::Saved(self.save(None, expected))
            }
            SessionStep::Unlock => {
                assert!(self.locked, "unlocked twice");
                self.locked = false;
                SessionInput::Unlocked
            }
            SessionStep::Wait(until) => {
                assert!(until >= self.now);
                self.pass(until - self.now);
                return None;
            }
            SessionStep::Send { request, options } => {
                return self.send(goal, &request, options).map(SessionInput::Answered);
            }
            SessionStep::Done(_) => return None,
        })
    }

    /// A store that keeps its word: what it says did or did not happen, did or did not.
    fn save(&mut self, record: Option<SessionRecord>, expected: Option<u64>) -> SaveOutcome {
        let generation = match &self.stored {
            Stored::Record(json) => Some(read(json).generation()),
            Stored::Nothing | Stored::Damaged => None,
        };
        let roll = self.roll(16);
        if expected != generation || (record.is_none() && self.stored == Stored::Nothing) {
            return SaveOutcome::Conflict;
        }
        match roll {
            // Somebody else was there, and left everything as it was.
            11 => return SaveOutcome::Conflict,
            12..=13 => return SaveOutcome::Failed(full()),
            14 => return SaveOutcome::Unknown(full()),
            _ => {}
        }
        self.stored = record.map_or(Stored::Nothing, |record| {
            let json = record.to_json();
            self.intents += u32::from(field(&json, "intent").is_object());
            Stored::Record(json)
        });
        if roll == 15 { SaveOutcome::Unknown(full()) } else { SaveOutcome::Saved }
    }

    fn send(
        &mut self,
        goal: Goal,
        request: &http::Request<Body>,
        options: SendOptions,
    ) -> Option<Result<http::Response<Body>, Error>> {
        assert!(self.locked, "sent without the lock");
        assert!(self.out.is_none(), "two requests are out");
        assert_eq!(options.deadline, self.now + self.policy.timeout);
        let body = std::str::from_utf8(request.body().as_bytes()).expect("a form");
        let token = body.split('&').find_map(|pair| pair.strip_prefix("refresh_token=")).expect("a token").to_owned();
        if goal == Goal::SignOut {
            return self.revocation();
        }
        assert_eq!(goal, Goal::Token);
        assert!(self.intents > 0, "sent without an intent");
        self.intents = 0;
        if !self.unseen {
            let Stored::Record(json) = &self.stored else { panic!("sent with nothing stored") };
            assert!(field(json, "intent").is_object(), "sent without an intent in the store");
            assert_eq!(field(json, "refresh_token"), token.as_str());
        }
        assert!(!self.spent.contains(&token), "a spent token is sent again");
        self.out = Some((token, options.deadline));
        let answer = self.refresh();
        if let Some(outcome) = &answer {
            let (token, _) = self.out.take().expect("a request");
            let next = outcome.as_ref().ok().and_then(|answer| {
                let text = std::str::from_utf8(answer.body().as_bytes()).ok()?;
                let next = field(text, "refresh_token").as_str()?.to_owned();
                (answer.status().is_success() && !next.is_empty() && next != token).then_some(next)
            });
            if let Some(next) = next {
                self.spent.insert(token);
                self.newest = Some(next);
            }
        }
        answer
    }

    /// What becomes of a refresh; `None` if there is never an answer.
    fn refresh(&mut self) -> Option<Result<http::Response<Body>, Error>> {
        let (mut access, refresh) = (self.name('a'), self.name('r'));
        Some(Ok(match self.roll(16) {
            roll @ (0..=6 | 13) => {
                let (asked, asked_at, lifetime) = (self.now, self.clock, self.lifetime());
                if self.roll(8) == 7
                    && let Some(tokens) = self.memory.tokens(self.now, self.clock)
                {
                    // The same access token again.
                    access = tokens.access_token.expose().to_owned();
                }
                let mut body = serde_json::json!({ "access_token": access, "refresh_token": refresh });
                if let Some(lifetime) = lifetime {
                    body["expires_in"] = lifetime.as_secs().into();
                }
                if roll == 13 {
                    body["refresh_token"] = Value::Null;
                }
                // One that cannot be counted is unknown, and so is 0.
                let lifetime = lifetime.filter(|time| !time.is_zero() && *time < Duration::MAX);
                self.issued.insert(access, Issue { asked: Some(asked), asked_at, lifetime, reported: false });
                let late = self.duration();
                self.pass(late.min(self.policy.timeout / 2));
                answer(200, body.to_string())
            }
            7 => return Some(Err(Error::lost("reset"))),
            8 => return Some(Err(Error::not_sent("refused"))),
            9 => answer(400, r#"{"error":"invalid_grant"}"#.to_owned()),
            10 => self.busy(),
            11 => answer(401, r#"{"error":"invalid_client"}"#.to_owned()),
            12 => answer(200, format!(r#"{{"refresh_token":"{refresh}","access_token":[]}}"#)),
            14 => return None,
            _ => self.anything(),
        }))
    }

    fn revocation(&mut self) -> Option<Result<http::Response<Body>, Error>> {
        Some(Ok(match self.roll(16) {
            0..=6 => answer(200, String::new()),
            7 => return Some(Err(Error::lost("reset"))),
            8 => return Some(Err(Error::not_sent("refused"))),
            9 => answer(400, r#"{"error":"invalid_grant"}"#.to_owned()),
            10 => self.busy(),
            11 => answer(401, r#"{"error":"invalid_client"}"#.to_owned()),
            12..=14 => return None,
            _ => self.anything(),
        }))
    }

    fn busy(&mut self) -> http::Response<Body> {
        let wait = u64::arbitrary(&mut self.data).unwrap_or(0).to_string();
        let mut answer = answer([429, 503][usize::from(self.roll(2))], "<html>".to_owned());
        answer.headers_mut().insert("retry-after", wait.parse().expect("a number"));
        answer
    }

    fn anything(&mut self) -> http::Response<Body> {
        const STATUSES: [u16; 6] = [200, 400, 401, 404, 500, 302];
        let status = STATUSES[usize::from(self.roll(6))];
        let body = self.data.arbitrary::<&[u8]>().unwrap_or_default();
        let body = String::from_utf8_lossy(body).into_owned();
        // Whatever a body without a refresh token says, nothing is rotated by it.
        if body.contains("token") { answer(503, body) } else { answer(status, body) }
    }

    fn ended(&mut self, goal: Goal, end: SessionEnd) {
        is_silent(&end);
        self.memory = end.memory;
        if self.disturbed {
            // What was found in the store is known by the wall clock alone.
            self.issued.values_mut().for_each(|issue| issue.asked = None);
        }
        assert_eq!(self.locked, self.memory.keeps_lock(), "the lock after {goal:?}");
        self.got_token = matches!(end.result, Ok(Some(_)));
        match &end.result {
            Ok(Some(token)) => {
                assert_eq!(goal, Goal::Token);
                self.is_good(token.expose());
            }
            Ok(None) => assert_ne!(goal, Goal::Token),
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::Finished);
                let line = error.to_string();
                assert!(!line.contains(MARK) && !line.chars().any(char::is_control), "{line:?}");
                if error.kind() == ErrorKind::SignInAgain {
                    // Another process may have signed out what was just signed in.
                    assert!(goal == Goal::Token || (goal == Goal::SignIn && self.disturbed));
                    assert!(!matches!(self.memory.handout(self.now, self.clock), Handout::Good(_) | Handout::Early(_)));
                }
            }
        }
        self.check_handout();
        if let Some(newest) = &self.newest
            && !self.disturbed
        {
            let here = self.memory.tokens(self.now, self.clock).and_then(|tokens| tokens.refresh_token);
            let is_here = here.is_some_and(|token| token.expose() == newest);
            let is_stored = match &self.stored {
                Stored::Record(json) => field(json, "refresh_token") == newest.as_str(),
                Stored::Nothing => matches!(goal, Goal::SignOut | Goal::Forget),
                Stored::Damaged => false,
            };
            assert!(is_here || is_stored, "the newest refresh token is lost after {goal:?}");
        }
        if goal == Goal::SignIn && !self.loaded {
            // Whether what is stored is older than this sign-in cannot be told later, if clocks are set.
            self.newest = None;
        }
        if self.disturbed || (self.stored == Stored::Nothing && self.memory.unsaved().is_none()) {
            self.forgive();
        }
    }

    fn check_handout(&self) {
        match self.memory.handout(self.now, self.clock) {
            Handout::Good(token) | Handout::Early(token) => self.is_good(token.expose()),
            Handout::Held(error) => assert_ne!(error.kind(), ErrorKind::Finished),
            Handout::Refresh => {}
        }
        is_silent(&self.memory);
    }

    fn is_good(&self, token: &str) {
        let issue = &self.issued[token];
        assert!(!issue.reported, "a token that was reported");
        let latest = self.clock + Duration::from_millis(5_001);
        assert!(issue.asked_at <= latest, "a token from the future");
        if let Some(lifetime) = issue.lifetime {
            let by_wall = issue.asked_at.checked_add(lifetime);
            assert!(by_wall.is_none_or(|end| self.clock < end), "past its lifetime by the wall clock");
            let by_now = issue.asked.and_then(|asked| asked.checked_add(lifetime));
            assert!(by_now.is_none_or(|end| self.now < end), "past its lifetime by the monotonic clock");
        }
    }
}

fn is_silent(value: &impl std::fmt::Debug) {
    let printed = format!("{value:?}");
    assert!(!printed.contains(MARK), "{printed}");
}

fn field(json: &str, name: &str) -> Value {
    serde_json::from_str::<Value>(json).map_or(Value::Null, |mut value| value[name].take())
}

fn millis(clock: SystemTime) -> u64 {
    clock.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

fn full() -> Error {
    Error::try_later("the session cannot be stored", "no space left on device")
}

fn answer(status: u16, body: String) -> http::Response<Body> {
    http::Response::builder().status(status).body(Body::from(body)).expect("a response")
}
