//! Times in all the forms in which servers write them. The first byte, from `0` on, chooses the input: `Retry-After`
//! and `Date`, one line each; `Date` and the body of a token response; `Date` and the body of a device grant; or
//! moments of four bytes each, which this file writes in each form of HTTP.
//!
//! - The library reads the same times as the readers of this folder: a number of seconds, or a date, which counts from
//!   the response's own `Date`. A time in the past is zero, and an unreadable one is unknown.
//! - No server makes a call or the program wait for longer than a day. A session waits at most an hour, and a device
//!   login until its code expires.
//! - A call, a session and a device login wait for as long as the server asked for, or end.
//! - A session returns no token whose lifetime is over.

#![cfg_attr(fuzzing, no_main)]

use std::time::Duration;

use loginradius_fuzz::date::{http, rfc_3339};
use loginradius_fuzz::json::{self, Json, Members, find};
use loginradius_fuzz::responses::response;
use loginradius_fuzz::session::{later, start};
use loginradius_proto::http::header::{DATE, RETRY_AFTER};
use loginradius_proto::http::{HeaderName, HeaderValue, Response};
use loginradius_proto::jwt::JwtByAccessToken;
use loginradius_proto::oauth::{DeviceGrant, RefreshAccessToken, RequestDeviceCode};
use loginradius_proto::session::{
    CachedToken, Now, SessionEnd, SessionFlow, SessionInput, SessionMemory, SessionPolicy, SessionStep, StoredRecord,
};
use loginradius_proto::{App, Body, Call, DeviceFlow, Endpoint, ErrorKind, Flow, Retry, Seed, Step, TokenSet};

loginradius_fuzz::target!(lifetimes);

const DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

fn lifetimes(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    let (first, second) = text.split_once('\n').unwrap_or((&text, ""));
    match kind.wrapping_sub(b'0') % 4 {
        0 => retry_after(first, second),
        1 => token_response(first, second),
        2 => device_grant(first, second),
        _ => {
            let [form, rest @ ..] = rest else { return };
            let moment = |at: usize| {
                rest.get(4 * at..4 * at + 4)
                    .map(|bytes| bytes.iter().fold(0, |number, byte| number << 8 | i64::from(*byte)))
            };
            let (Some(date), Some(wait)) = (moment(0), moment(1)) else { return };
            // The latter is near the former, or anywhere.
            let at = if form & 0x80 == 0 { date + wait % 200_000 - 50_000 } else { wait };
            retry_after(&written(at.max(0), form % 3), &written(date, form / 3 % 3));
            let body = format!(r#"{{"access_token":"a","expires":"{}"}}"#, written_rfc_3339(at.max(0)));
            token_response(&written(date, form / 9 % 3), &body);
        }
    }
}

/// What a reader finds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Found {
    Time(Duration),
    Nothing,
    /// A text that has more than one right reading.
    Unclear,
}

impl Found {
    fn is(self, read: Option<Duration>) -> bool {
        match self {
            Self::Time(time) => read == Some(time),
            Self::Nothing => read.is_none(),
            Self::Unclear => true,
        }
    }
}

/// Reads `Retry-After` (RFC 9110, section 10.2.3).
fn wait(retry_after: &str, date: &str) -> Found {
    let (retry_after, date) = (retry_after.trim_matches([' ', '\t']), date.trim_matches([' ', '\t']));
    if !retry_after.is_empty() && retry_after.bytes().all(|byte| byte.is_ascii_digit()) {
        return Found::Time(retry_after.parse().map_or(DAY, Duration::from_secs).min(DAY));
    }
    match (http(retry_after), http(date)) {
        (Some(at), Some(now)) => Found::Time(Duration::from_secs(at.saturating_sub(now)).min(DAY)),
        // A date with a wrong weekday, or a leap second.
        (None, _) if retry_after.contains(':') => Found::Unclear,
        (Some(_), None) if date.contains(':') => Found::Unclear,
        _ => Found::Nothing,
    }
}

/// Reads a number of seconds: of JSON, or a string of one. `None` for what is no number.
fn number(value: &Json) -> Option<f64> {
    let text = match value {
        Json::Number(text) => text,
        Json::Text(Some(text)) => text.trim(),
        _ => return None,
    };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit() || first == '.').then(|| text.parse().ok())?
}

/// Returns that many seconds, exactly where they are whole.
fn seconds(value: &Json, number: f64) -> Duration {
    let whole = match value {
        Json::Number(text) | Json::Text(Some(text)) => text.trim().parse().ok(),
        _ => None,
    };
    whole.map_or_else(|| Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX), Duration::from_secs)
}

/// Reads a lifetime under the first of its names that can be read; `Duration::MAX` if it is too long to be counted.
fn lifetime(members: &Members, date: &str) -> Found {
    let now = http(date.trim_matches([' ', '\t']));
    for value in ["expires_in", "expires", "expire_in"].iter().filter_map(|name| find(members, name)) {
        if let Some(number) = number(value) {
            return Found::Time(if number < 0.0 { Duration::ZERO } else { seconds(value, number) });
        }
        let Some(text) = value.text().map(str::trim) else { continue };
        let is_date_like =
            text.len() >= 10 && text.starts_with(|first: char| first.is_ascii_digit() || "+-".contains(first));
        match (rfc_3339(text), now) {
            (Some(at), Some(now)) => {
                let left = u64::try_from(at).unwrap_or(0).saturating_sub(now * 1_000);
                return Found::Time(Duration::from_millis(left));
            }
            (None, _) if is_date_like => return Found::Unclear,
            (Some(_), None) if date.contains(':') => return Found::Unclear,
            _ => {}
        }
    }
    Found::Nothing
}

fn with_headers(mut response: Response<Body>, headers: [(HeaderName, &str); 2]) -> Option<Response<Body>> {
    for (name, value) in headers {
        if !value.is_empty() {
            response.headers_mut().insert(name, HeaderValue::from_str(value).ok()?);
        }
    }
    Some(response)
}

/// A server that is busy until a time, and what waits for it.
fn retry_after(retry_after: &str, date: &str) {
    let Some(busy) = with_headers(response(503, "<html>"), [(RETRY_AFTER, retry_after), (DATE, date)]) else { return };
    let busy = || {
        let mut again = response(503, "<html>");
        again.headers_mut().clone_from(busy.headers());
        again
    };
    let app = App::new("client").with_oauth_app("oauth-app").with_jwt_app("jwt-app");
    let error = JwtByAccessToken::new("access").response(&app, busy()).expect_err("no JWT");
    let asked = error.retry_after();
    let found = wait(retry_after, date);
    assert!(found.is(asked), "{asked:?} in place of {found:?}");
    assert!(asked.is_none_or(|asked| asked <= DAY), "{asked:?}");
    assert!(error.to_string().len() < 200, "{error}");
    let asked = asked.unwrap_or_default();
    call(&app, busy(), asked);
    device_login(&app, busy(), asked);
    session(&app, busy, asked);
}

fn call(app: &App, busy: Response<Body>, asked: Duration) {
    let now = start().monotonic;
    let retry = Retry::default();
    let mut call = Call::new(JwtByAccessToken::new("access"), app, Seed(1)).retry(retry);
    let Step::Send { .. } = call.step(now) else { panic!("nothing is sent") };
    call.receive(Ok(busy), now);
    match call.step(now) {
        Step::Wait(until) => {
            let wait = until - now;
            assert!(wait >= asked && wait <= asked.max(retry.first_wait) && wait <= retry.max_wait, "{wait:?}");
        }
        Step::Done(Err(error)) => {
            assert!(asked > retry.max_wait);
            assert_eq!(error.retry_after(), Some(asked));
        }
        step => panic!("{step:?}"),
    }
}

fn device_login(app: &App, busy: Response<Body>, asked: Duration) {
    let now = start().monotonic;
    let grant = DeviceGrant::new("device", "user", "https://example.com/");
    let mut flow = DeviceFlow::new(app, &grant, now, Seed(1));
    let Step::Wait(first) = flow.step(now) else { panic!("a poll at once") };
    let Step::Send { .. } = flow.step(first) else { panic!("no poll") };
    flow.receive(Ok(busy), first);
    let Step::Wait(until) = flow.step(first) else { panic!("a poll at once") };
    assert!(until - first >= grant.interval && until <= flow.expires_at());
    // A poll after the code has expired could not succeed.
    assert!(until - first >= asked || flow.expires_at() - first <= asked, "{:?} in place of {asked:?}", until - first);
}

fn session(app: &App, busy: impl Fn() -> Response<Body>, asked: Duration) {
    let mut store = Store::default();
    let mut tokens = TokenSet::new("access");
    tokens.expires_in = Some(Duration::from_secs(1));
    tokens.refresh_token = Some("refresh".into());
    let policy = SessionPolicy::default();
    let login = SessionFlow::start(app, policy, SessionMemory::default(), &tokens, Seed(1));
    let (now, end) = store.run(login, start(), policy, &busy);
    assert!(end.result.is_ok());
    let refresh = SessionFlow::refresh(app, policy, end.memory, Seed(1));
    let (now, end) = store.run(refresh, later(now, Duration::from_secs(60)), policy, &busy);
    assert_eq!(end.result.map(drop).map_err(|error| error.kind()), Err(ErrorKind::Unavailable));
    let backs_off = |wait| matches!(end.memory.cached_token(later(now, wait)), CachedToken::BackingOff(_));
    assert!(asked.is_zero() || backs_off(asked.min(HOUR) - Duration::from_millis(1)));
    assert!(!backs_off(HOUR));
}

#[derive(Default)]
struct Store(Option<StoredRecord>);

impl Store {
    /// Drives a flow to its end, and returns when that was.
    fn run(
        &mut self,
        mut flow: SessionFlow,
        mut now: Now,
        policy: SessionPolicy,
        busy: impl Fn() -> Response<Body>,
    ) -> (Now, SessionEnd) {
        let longest = policy.retry.max_wait.max(policy.timeout).max(policy.lock_wait);
        for _ in 0..100 {
            let input = match flow.step(now) {
                SessionStep::Lock => SessionInput::Locked(Ok(true)),
                SessionStep::Peek => unreachable!("the lock is free"),
                SessionStep::Load => SessionInput::Loaded(Ok(self.0.clone())),
                SessionStep::Send { .. } => SessionInput::Responded(Ok(busy())),
                SessionStep::Save { record, .. } => {
                    self.0 = Some(record);
                    SessionInput::Saved(Ok(()))
                }
                SessionStep::Clear { .. } => {
                    self.0 = None;
                    SessionInput::Saved(Ok(()))
                }
                SessionStep::Unlock => SessionInput::Unlocked,
                SessionStep::Wait(until) => {
                    let wait = until.saturating_duration_since(now.monotonic);
                    assert!(wait <= longest, "{wait:?}");
                    now = later(now, wait);
                    continue;
                }
                SessionStep::Done(end) => return (now, end),
            };
            flow.receive(input, now);
        }
        panic!("no end");
    }
}

/// A response with tokens, and a session of these.
fn token_response(date: &str, body: &str) {
    let Some(response) = with_headers(response(200, body), [(DATE, date), (RETRY_AFTER, "")]) else { return };
    let app = App::new("client");
    let Ok(tokens) = RefreshAccessToken::new("refresh").response(&app, response) else { return };
    if let Some(members) = json::object(body.as_bytes()) {
        let found = match lifetime(&members, date) {
            Found::Time(Duration::MAX) => Found::Nothing,
            found => found,
        };
        assert!(found.is(tokens.expires_in), "{:?} in place of {found:?}", tokens.expires_in);
    }
    let login = SessionFlow::start(&app, SessionPolicy::default(), SessionMemory::default(), &tokens, Seed(1));
    let (now, end) = Store::default().run(login, start(), SessionPolicy::default(), || panic!("nothing is sent"));
    let is_returned = |wait| {
        let at = Now::new(now.monotonic.checked_add(wait)?, now.wall.checked_add(wait)?);
        Some(matches!(end.memory.cached_token(at), CachedToken::Fresh(_) | CachedToken::RefreshDue(_)))
    };
    if end.result.is_ok() {
        let Some(lifetime) = tokens.expires_in else {
            assert_ne!(is_returned(DAY), Some(false));
            return;
        };
        assert_ne!(is_returned(lifetime), Some(true), "past its lifetime of {lifetime:?}");
        // No program counts on more than thirty years.
        let lifetime = lifetime.min(30 * 365 * DAY);
        let millisecond = Duration::from_millis(1);
        assert!(lifetime <= millisecond || is_returned(lifetime - millisecond) != Some(false), "before {lifetime:?}");
    }
}

fn device_grant(date: &str, body: &str) {
    let Some(response) = with_headers(response(200, body), [(DATE, date), (RETRY_AFTER, "")]) else { return };
    let app = App::new("client").with_oauth_app("oauth-app");
    let Ok(grant) = RequestDeviceCode::new().response(&app, response) else { return };
    if let Some(members) = json::object(body.as_bytes()) {
        let interval = find(&members, "interval").and_then(|value| {
            let number = number(value).filter(|number| *number >= 0.0)?;
            Some(seconds(value, number))
        });
        assert_eq!(grant.interval, interval.unwrap_or(Duration::from_secs(5)).max(Duration::from_secs(1)));
        let found = match lifetime(&members, date) {
            Found::Nothing => Found::Time(Duration::from_secs(1800)),
            found => found,
        };
        assert!(found.is(Some(grant.expires_in)), "{:?} in place of {found:?}", grant.expires_in);
    }
    let now = start().monotonic;
    let mut flow = DeviceFlow::new(&app, &grant, now, Seed(1));
    let expiry = flow.expires_at();
    assert!(expiry - now <= grant.expires_in);
    match flow.step(now) {
        Step::Wait(until) => {
            assert!(until > now && until <= expiry, "{:?}", until - now);
            let is_poll = matches!(flow.step(until), Step::Send { .. });
            // An interval that does not fit leaves one poll, in the second half of the lifetime.
            assert!(!is_poll || until - now >= grant.interval.min((expiry - now) / 2));
        }
        Step::Done(Err(error)) => assert!(error.kind() == ErrorKind::Expired && grant.expires_in.is_zero(), "{error}"),
        step => panic!("{step:?}"),
    }
}

/// Returns year, month, day, hour, minute and second of a moment.
fn civil(moment: i64) -> [i64; 6] {
    // Years that begin with March, in eras of 400 years (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let days = moment.div_euclid(86_400) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let time = moment.rem_euclid(86_400);
    [year + era * 400 + i64::from(month <= 2), month, date, time / 3600, time / 60 % 60, time % 60]
}

/// Writes a moment in a form of HTTP.
fn written(moment: i64, form: u8) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    let [year, month, date, hour, minute, second] = civil(moment);
    let month = MONTHS[month as usize - 1];
    let day = DAYS[moment.div_euclid(86_400).rem_euclid(7) as usize];
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    match form {
        0 => format!("{}, {date:02} {month} {year:04} {time} GMT", &day[..3]),
        // It has room for a century only.
        1 if (1970..2070).contains(&year) => format!("{day}, {date:02}-{month}-{:02} {time} GMT", year % 100),
        _ => format!("{} {month} {date:2} {time} {year:04}", &day[..3]),
    }
}

fn written_rfc_3339(moment: i64) -> String {
    let [year, month, date, hour, minute, second] = civil(moment);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}
