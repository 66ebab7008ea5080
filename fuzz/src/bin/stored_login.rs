//! A stored login that was tampered with: one byte that chooses the kind, from `0` on (a login, a JWT redirect, a
//! device login), then its JSON. `$s`, `$v` and `$n` stand for the state, the verifier and the nonce.
//!
//! - What is read is written as it was read, and is read again.
//! - A login that is read has a state and a verifier as they are made here, and a redirect URI that could have begun a
//!   login: https, this machine, or an app's own scheme, without credentials and fragment, as the crate `url` reads it.
//! - A consumed login stays consumed, and one that is older than ten minutes, or began in the future, is over. A
//!   callback with another state changes nothing. Its own callback is accepted once, even if the login is stored in
//!   between, and its code goes with the stored redirect URI and verifier.
//! - A device login that is read lives no longer than its JSON says, polls no more often than each second, and shows a
//!   user nothing but visible characters and a web address.
//! - An error is one line and shows no secret.

#![cfg_attr(fuzzing, no_main)]

use std::time::{Duration, Instant, SystemTime};

use loginradius_fuzz::logins::{NONCE, STATE, VERIFIER, app, start};
use loginradius_fuzz::read::form;
use loginradius_fuzz::text::fill_in;
use loginradius_proto::browser::{Callback, Pending, PendingJwt, PendingLogin};
use loginradius_proto::{DeviceFlow, Endpoint, Error, ErrorKind, Flow as _, PendingDevice, Seed, Step};
use serde_json::Value;
use url::{Host, Url};

loginradius_fuzz::target!(stored_login);

const LIFETIME: Duration = Duration::from_secs(600);

fn stored_login(data: &[u8]) {
    let Some((kind, json)) = data.split_first() else { return };
    let json = fill_in(json, &[("$s", STATE), ("$v", VERIFIER), ("$n", NONCE)]);
    let json = String::from_utf8_lossy(&json);
    match kind.wrapping_sub(b'0') % 3 {
        0 => login(&json),
        1 => jwt(&json),
        _ => device(&json),
    }
}

fn login(json: &str) {
    let read = |json: &str| checked(PendingLogin::from_json(json));
    let Some(pending) = read(json) else { return };
    let stored = pending.to_json();
    assert_eq!(read(&stored).expect("what was written").to_json(), stored);
    assert!(!format!("{pending:?}").contains(pending.expose_state()));
    let value: Value = serde_json::from_str(&stored).expect("JSON");
    let text = |path: &str| value.pointer(path).and_then(Value::as_str);
    let awaiting = Awaiting::of(&value["awaiting"], json, "/awaiting");
    let redirect_uri = text("/expected/redirect_uri").expect("a redirect URI");
    let verifier = text("/expected/code_verifier").expect("a verifier");
    assert_eq!(pending.expose_state(), awaiting.secret);
    assert_eq!(pending.expires_at(), awaiting.expires_at());
    assert!([Some(verifier), pending.nonce()].into_iter().flatten().all(is_made_here), "{stored}");
    could_begin(redirect_uri);
    let issuer = text("/expected/issuer");
    assert!(issuer.is_some() || value.pointer("/expected/issuer_required") != Some(&Value::Bool(true)));

    // The error of another issuer names this one.
    if issuer.is_some_and(has_secret) {
        return;
    }
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let all = format!("code=c&token=t&id_token=i.i.i&state={}", awaiting.secret);
    let right = issuer.map_or_else(|| all.clone(), |issuer| format!("{all}&iss={}", encode(issuer)));
    if issuer.is_some() && awaiting.is_open() {
        let another = accept(&mut read(&stored).expect("a login"), &format!("{right}x"));
        let error = another.expect_err("another issuer");
        assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    }
    let Some(authorized) = accepted_once(&stored, &right, &awaiting, read, PendingLogin::to_json) else { return };
    if let Some(exchange) = authorized.exchange() {
        let body = exchange.request(&app()).expect("a request").into_body();
        let sent = form(body.as_bytes());
        let value = |name: &str| sent.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!((value("redirect_uri"), value("code_verifier")), (Some(redirect_uri), Some(verifier)));
    }
}

fn jwt(json: &str) {
    let read = |json: &str| checked(PendingJwt::from_json(json));
    let Some(pending) = read(json) else { return };
    let stored = pending.to_json();
    assert_eq!(read(&stored).expect("what was written").to_json(), stored);
    let value: Value = serde_json::from_str(&stored).expect("JSON");
    let awaiting = Awaiting::of(&value["jwt"]["awaiting"], json, "/jwt/awaiting");
    assert_eq!(pending.expires_at(), awaiting.expires_at());
    let parameter = value["jwt"]["parameter"].as_str().expect("a parameter");
    assert!(!parameter.is_empty() && !parameter.chars().any(char::is_control));
    // Errors name it.
    if has_secret(parameter) {
        return;
    }
    // Without the right state or nonce.
    for query in ["state=another", "error=access_denied", ""] {
        let mut pending = read(&stored).expect("a login");
        assert_eq!(accept(&mut pending, query).expect_err("refused").kind(), ErrorKind::StateMismatch);
        assert_eq!(pending.to_json(), stored);
    }
    if value["jwt"]["bound_by"] == "state" {
        let name = url::form_urlencoded::byte_serialize(parameter.as_bytes()).collect::<String>();
        accepted_once(
            &stored,
            &format!("{name}=a.b.c&state={}", awaiting.secret),
            &awaiting,
            read,
            PendingJwt::to_json,
        );
    }
}

fn device(json: &str) {
    let read = |json: &str| checked(PendingDevice::from_json(json));
    let Some(pending) = read(json) else { return };
    let stored = pending.to_json();
    let again = read(&stored).expect("what was written");
    assert_eq!(again.to_json(), stored);
    let grant = again.grant();
    assert!(!grant.user_code.chars().any(char::is_control), "{:?}", grant.user_code);
    for uri in [Some(&grant.verification_uri), grant.verification_uri_complete.as_ref()].into_iter().flatten() {
        let url = match Url::parse(uri) {
            Ok(url) => url,
            // Whether what follows `xn--` is Punycode is left to the browser.
            Err(_) if uri.to_ascii_lowercase().contains("xn--") => continue,
            Err(error) => panic!("{error}: {uri}"),
        };
        assert!(matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty(), "{uri}");
    }
    assert!(grant.interval >= Duration::from_secs(1));

    let now = Instant::now();
    for wall in [start(), start() + Duration::from_secs(1 << 20), SystemTime::UNIX_EPOCH] {
        let mut flow = DeviceFlow::resume(&app(), &pending, now, wall, Seed(7));
        let lives = flow.expires_at().saturating_duration_since(now);
        assert!(lives <= grant.expires_in.max(Duration::from_millis(1)), "{lives:?} of {:?}", grant.expires_in);
        match flow.step(now) {
            Step::Send { .. } => panic!("it polls at once"),
            Step::Wait(until) => assert!(until >= now + Duration::from_secs(1), "it waits for less than a second"),
            Step::Done(result) => drop(checked(result)),
        }
        read(&flow.pending(now, wall).to_json()).expect("what was written");
    }
}

/// What every pending login has, as its stored form says it.
struct Awaiting {
    secret: String,
    consumed: bool,
    began: u64,
}

impl Awaiting {
    /// Reads what was written, and compares it with the JSON that was read, if that is an object.
    fn of(written: &Value, json: &str, path: &str) -> Self {
        let awaiting = Self {
            secret: written["secret"].as_str().expect("a secret").to_owned(),
            consumed: written["consumed"].as_bool().expect("whether it is consumed"),
            began: written["began_at_unix_ms"].as_u64().expect("a time"),
        };
        assert!(is_made_here(&awaiting.secret));
        let given: Value = serde_json::from_str(json).expect("JSON");
        if let Some(Value::Object(given)) = given.pointer(path) {
            assert_eq!(given.get("consumed"), Some(&Value::Bool(awaiting.consumed)), "{json}");
            assert_eq!(given.get("began_at_unix_ms").and_then(Value::as_u64), Some(awaiting.began), "{json}");
        }
        awaiting
    }

    fn expires_at(&self) -> SystemTime {
        let began = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.began));
        began.and_then(|began| began.checked_add(LIFETIME)).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    fn is_in_time(&self) -> bool {
        let now = start().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
        now.abs_diff(u128::from(self.began)) < LIFETIME.as_millis()
    }

    fn is_open(&self) -> bool {
        !self.consumed && self.is_in_time()
    }
}

fn accept<P: Pending>(pending: &mut P, query: &str) -> Result<P::Output, Error> {
    let outcome = pending.accept(&Callback::from_query(query).expect("a query"), start());
    if let Err(error) = &outcome {
        is_one_clean_line(error);
    }
    outcome
}

/// Checks that the stored login accepts its callback if it is open, and never again.
fn accepted_once<P: Pending>(
    stored: &str,
    right: &str,
    awaiting: &Awaiting,
    read: impl Fn(&str) -> Option<P>,
    write: impl Fn(&P) -> String,
) -> Option<P::Output> {
    let mut pending = read(stored).expect("what was written");
    assert_eq!(
        accept(&mut pending, "code=c&state=another").err().map(|error| error.kind()),
        Some(ErrorKind::StateMismatch)
    );
    assert_eq!(write(&pending), stored);
    let outcome = accept(&mut pending, right);
    let expected = if awaiting.consumed {
        Some(ErrorKind::AlreadyCompleted)
    } else {
        Some(ErrorKind::Expired).filter(|_| !awaiting.is_in_time())
    };
    assert_eq!(outcome.as_ref().err().map(Error::kind), expected, "{stored}");
    let mut again = read(&write(&pending)).expect("what was written");
    for pending in [&mut pending, &mut again] {
        assert_eq!(accept(pending, right).err().map(|error| error.kind()), Some(ErrorKind::AlreadyCompleted));
    }
    outcome.ok()
}

/// Returns what was read, and checks the error if there is one.
fn checked<T>(result: Result<T, Error>) -> Option<T> {
    result.inspect_err(is_one_clean_line).ok()
}

fn is_one_clean_line(error: &Error) {
    let text = format!("{error}");
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(!has_secret(&format!("{text} {error:?} {error:#?}")), "{text}");
}

fn has_secret(text: &str) -> bool {
    [STATE, VERIFIER, NONCE].iter().any(|secret| text.contains(secret))
}

/// Returns whether that is 32 bytes in base64url.
fn is_made_here(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Checks that a login could have begun with that redirect URI.
fn could_begin(uri: &str) {
    assert!(uri.bytes().all(|byte| byte.is_ascii_graphic()), "{uri:?}");
    let Ok(url) = Url::parse(uri) else { return };
    assert!(url.fragment().is_none() && url.username().is_empty() && url.password().is_none(), "{uri}");
    let is_this_machine = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    assert!(
        url.scheme() == "https" || url.scheme() == "http" && is_this_machine || url.scheme().contains('.'),
        "{uri}"
    );
    for name in ["state", "code", "token", "access_token", "id_token", "error", "iss"] {
        assert!(!url.query_pairs().any(|(known, _)| known.eq_ignore_ascii_case(name)), "{uri}");
    }
}
