//! Any bytes where a session's record should be; and the same with a correct checksum.
//!
//! - Every flow ends, whatever the record, and its error is one line.
//! - What is saved over an intact record has its fields, except those that the flow changes.
//! - Nothing that is printed depends on the tokens of an intact record.
//! - A record that a flow saved is intact. With a bit flipped, or with a part cut off, left out, repeated, zeroed or
//!   overwritten, no flow uses it: it is damaged, or is left as it is.

#![cfg_attr(fuzzing, no_main)]

use aws_lc_rs::digest;
use loginradius_fuzz::session::{field, flipped, json, later, start, without_checksum};
use loginradius_proto::session::{
    Expected, SessionEnd, SessionFlow, SessionInput, SessionMemory, SessionPolicy, SessionStep, StoredRecord,
};
use loginradius_proto::{AccessToken, App, Error, ErrorKind, Seed, TokenSet};
use serde_json::Value;

loginradius_fuzz::target!(session_record);

fn session_record(data: &[u8]) {
    any_bytes(data);
    if let Some(content) = data.strip_suffix(b"}") {
        let digest = digest::digest(&digest::SHA256, content);
        let checksum: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        any_bytes(&[content, format!(r#","checksum":"{checksum}"}}"#).as_bytes()].concat());
    }
}

fn any_bytes(data: &[u8]) {
    let record = StoredRecord::from_bytes(data);
    assert!(record.generation() <= StoredRecord::MAX_GENERATION);
    let printed = format!("StoredRecord {{ generation: {}, bytes: {} }}", record.generation(), data.len());
    assert_eq!(format!("{record:?}"), printed);

    let app = App::new(field(&record, "client_id").as_str().unwrap_or("client"));
    let content = content(&app, &record);
    peeks_at(&app, &record);
    let mut faults = Faults::new(data);
    for flow in flows(&app, &record) {
        let run = run(flow, &record);
        for saved in &run.saved {
            let text = String::from_utf8_lossy(saved.as_bytes());
            assert_eq!(self::content(&app, saved), Content::Intact, "{text}");
            assert_eq!(StoredRecord::from_bytes(saved.as_bytes()).generation(), saved.generation());
            faults.are_refused(&app, saved);
        }
        let Err(error) = &run.end.result else { continue };
        let line = error.to_string();
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(content == Content::Intact || line.len() < 1_000, "{line:?}");
    }
    if content == Content::Intact {
        keeps_its_fields(&app, &record);
        prints_no_token(&app, &record);
    }
}

/// Drives a flow whose lock another holder keeps: it uses the token of an intact record, or waits for its time.
fn peeks_at(app: &App, record: &StoredRecord) {
    let mut flow = SessionFlow::refresh(app, SessionPolicy::default(), SessionMemory::default(), Seed(1));
    let mut now = start();
    let end = loop {
        let input = match flow.step(now) {
            SessionStep::Lock => SessionInput::Locked(Ok(false)),
            SessionStep::Peek => SessionInput::Peeked(Some(record.clone())),
            SessionStep::Wait(until) => {
                now = later(now, until.saturating_duration_since(now.monotonic));
                continue;
            }
            SessionStep::Done(end) => break end,
            step => panic!("without the lock: {step:?}"),
        };
        flow.receive(input, now);
    };
    match end.result {
        Ok(token) => {
            let token = token.expect("a refresh yields a token");
            assert_eq!(field(record, "access_token").as_str(), Some(token.expose()));
            assert_eq!(content(app, record), Content::Intact);
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
    }
}

/// How a flow judges the bytes of a record.
#[derive(Debug, PartialEq)]
enum Content {
    Intact,
    Damaged,
    /// They are of a newer program, or have to stay as they are for another reason.
    LeftAlone,
}

fn content(app: &App, record: &StoredRecord) -> Content {
    let forget = SessionFlow::forget(app, SessionPolicy::default(), SessionMemory::default(), Seed(1));
    let Run { cleared, end, .. } = run(forget, record);
    match cleared {
        Some(Expected::Generation(generation)) if generation == record.generation() => Content::Intact,
        Some(Expected::Damaged(generation)) if generation == record.generation() => Content::Damaged,
        Some(expected) => panic!("clears {expected:?} in place of {record:?}"),
        None => {
            assert_eq!(end.result.expect_err("nothing is cleared").kind(), ErrorKind::Configuration);
            Content::LeftAlone
        }
    }
}

/// A flow of each kind, for a process that knows nothing yet.
fn flows(app: &App, record: &StoredRecord) -> [SessionFlow; 6] {
    let policy = SessionPolicy::default();
    let memory = SessionMemory::default;
    let access_token = field(record, "access_token");
    let access_token = access_token.as_str().unwrap_or_default();
    // An API has rejected the token, so that it has to be refreshed.
    let mut rejected = memory();
    rejected.reject(&AccessToken::new(access_token));
    let mut same_login = TokenSet::new(access_token);
    same_login.refresh_token = field(record, "refresh_token").as_str().map(Into::into);
    [
        SessionFlow::refresh(app, policy, memory(), Seed(1)),
        SessionFlow::refresh(app, policy, rejected, Seed(2)),
        SessionFlow::start(app, policy, memory(), &TokenSet::new("another"), Seed(3)),
        SessionFlow::start(app, policy, memory(), &same_login, Seed(4)),
        SessionFlow::sign_out(app, policy, memory(), Seed(5)),
        SessionFlow::forget(app, policy, memory(), Seed(6)),
    ]
}

/// What a flow did.
struct Run {
    saved: Vec<StoredRecord>,
    cleared: Option<Expected>,
    sent: bool,
    end: SessionEnd,
}

fn run(flow: SessionFlow, record: &StoredRecord) -> Run {
    run_watched(flow, record, |_, _| {})
}

/// Drives a flow that finds this record, and a server that cannot be reached.
fn run_watched(mut flow: SessionFlow, record: &StoredRecord, mut watch: impl FnMut(&SessionStep, &SessionFlow)) -> Run {
    let mut now = start();
    let (mut saved, mut cleared, mut sent) = (Vec::new(), None, false);
    let mut stored = Some(record.clone());
    for _ in 0..200 {
        let step = flow.step(now);
        watch(&step, &flow);
        let input = match step {
            SessionStep::Lock => SessionInput::Locked(Ok(true)),
            SessionStep::Peek => unreachable!("the lock is free"),
            SessionStep::Load => SessionInput::Loaded(Ok(stored.clone())),
            SessionStep::Send { .. } => {
                sent = true;
                SessionInput::Responded(Err(Error::outcome_unknown("reset")))
            }
            SessionStep::Save { record, expected } => {
                assert_eq!(expected.generation(), stored.as_ref().map(StoredRecord::generation));
                saved.push(record.clone());
                stored = Some(record);
                SessionInput::Saved(Ok(()))
            }
            SessionStep::Clear { expected } => {
                assert_eq!(expected.generation(), stored.as_ref().map(StoredRecord::generation));
                cleared = Some(expected);
                stored = None;
                SessionInput::Saved(Ok(()))
            }
            SessionStep::Unlock => SessionInput::Unlocked,
            SessionStep::Wait(until) => {
                now = later(now, until.saturating_duration_since(now.monotonic));
                continue;
            }
            SessionStep::Done(end) => {
                let _ = end.memory.cached_token(now);
                return Run { saved, cleared, sent, end };
            }
        };
        flow.receive(input, now);
    }
    panic!("no end");
}

/// Compares an intact record with what flows save over it.
fn keeps_its_fields(app: &App, record: &StoredRecord) {
    let next_generation = (record.generation() + 1) & StoredRecord::MAX_GENERATION;
    let [_, refresh, start, _, sign_out, _] = flows(app, record);
    for flow in [refresh, sign_out] {
        let Some(saved) = run(flow, record).saved.into_iter().next() else { continue };
        assert_eq!(saved.generation(), next_generation);
        assert_eq!(lasting_fields(&saved), lasting_fields(record));
    }
    let login = run(start, record).saved.into_iter().next().expect("a new login is saved over every other one");
    assert_eq!(login.generation(), next_generation);
    assert_eq!(field(&login, "replaced")[0], field(record, "sign_in"));
}

/// The fields that neither a refresh that begins nor a sign-out changes.
fn lasting_fields(record: &StoredRecord) -> Vec<Value> {
    let fields = ["version", "client_id", "sign_in", "access_token", "token_type", "scope", "id_token"];
    let mut fields: Vec<_> = fields.into_iter().map(|name| field(record, name)).collect();
    // Without these, and with an empty one, a record says the same.
    let replaced =
        Some(field(record, "replaced")).filter(|replaced| replaced.as_array().is_some_and(|all| !all.is_empty()));
    // Such a token cannot be sent.
    let usable = |token: &str| !token.is_empty() && !token.contains(char::is_control);
    let refresh_token = Some(field(record, "refresh_token")).filter(|token| token.as_str().is_some_and(usable));
    fields.extend([replaced, refresh_token].map(Option::unwrap_or_default));
    fields.extend(["obtained_at_unix_ms", "lifetime_ms"].map(|name| field(record, name)));
    fields
}

/// Compares what is printed of an intact record with what is printed of one that has other tokens.
fn prints_no_token(app: &App, record: &StoredRecord) {
    let mut fields = json(record).expect("JSON");
    for name in ["access_token", "refresh_token", "id_token"] {
        if let Value::String(token) = &mut fields[name] {
            // Of the same length in every encoding: numbers of bytes are printed.
            let other = |letter: char| if letter == 'x' { 'y' } else { 'x' };
            *token = token.chars().map(|c| if c.is_ascii_alphanumeric() { other(c) } else { c }).collect();
        }
    }
    let other = without_checksum(fields);
    assert_eq!(content(app, &other), Content::Intact);
    let printed = |record| {
        let [flow, ..] = flows(app, &other);
        let mut printed = Vec::new();
        run_watched(flow, record, |step, flow| printed.push(format!("{step:?} {flow:?}")));
        printed
    };
    assert_eq!(printed(&other), printed(record));
}

const CHECKSUM: &[u8] = br#","checksum":""#;

/// Picks by the input what happens to the bytes of a saved record.
struct Faults(u64);

impl Faults {
    const FLIPS: usize = 8;

    fn new(data: &[u8]) -> Self {
        Self(
            data.iter()
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)),
        )
    }

    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize
    }

    fn are_refused(&mut self, app: &App, saved: &StoredRecord) {
        for _ in 0..Self::FLIPS {
            is_refused(app, &flipped(saved, self.next()));
        }
        // What crashes, full disks, editors and mistakes of stores leave.
        let bytes = saved.as_bytes();
        let (start, end) = (self.next() % bytes.len(), self.next() % bytes.len());
        let part = start.min(end)..start.max(end) + 1;
        let (head, middle, tail) = (&bytes[..part.start], &bytes[part.clone()], &bytes[part.end..]);
        let other: Vec<u8> = middle.iter().map(|byte| byte ^ (1 + self.next() % 255) as u8).collect();
        let faults = [
            head.to_vec(),
            tail.to_vec(),
            [head, tail].concat(),
            [head, middle, middle, tail].concat(),
            [head, &vec![0; middle.len()], tail].concat(),
            [head, &vec![b' '; middle.len()], tail].concat(),
            [head, &other, tail].concat(),
            [bytes, bytes].concat(),
            [bytes, middle].concat(),
            [bytes, b"\0"].concat(),
        ];
        // If exactly the checksum is lost, nothing shows it: the record is like one of a program that wrote none.
        let is_noticed = |fault: &Vec<u8>| {
            let has_checksum = fault.windows(CHECKSUM.len()).any(|part| part == CHECKSUM);
            fault != bytes && (has_checksum || !fault.ends_with(b"}"))
        };
        for fault in faults.into_iter().filter(is_noticed) {
            is_refused(app, &StoredRecord::from_bytes(fault));
        }
    }
}

/// Fails if a flow uses this record.
fn is_refused(app: &App, record: &StoredRecord) {
    assert_ne!(content(app, record), Content::Intact, "{}", String::from_utf8_lossy(record.as_bytes()));
    let refresh = SessionFlow::refresh(app, SessionPolicy::default(), SessionMemory::default(), Seed(1));
    let Run { saved, sent, end, .. } = run(refresh, record);
    assert!(end.result.is_err() && saved.is_empty() && !sent);
    assert!(end.memory.tokens(start()).is_none());
}
