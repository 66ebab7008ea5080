//! The callbacks of one login, right and wrong ones; each line of the input is one.
//!
//! The first byte, from `0` on, chooses what was asked for. A line's first byte chooses how and when it is read. `$s`
//! stands for the state, and `$j` for a JWT with the nonce.
//!
//! - At most one callback is accepted; it has the state or the nonce, once, within ten minutes, and after it every
//!   other one is too late or belongs to another login.
//! - Each returned value was asked for, and is in that callback exactly once. A callback with an error yields nothing.
//! - A callback of another login changes nothing, and neither does storing the pending login.
//! - An error is one line and shows no secret.

#![cfg_attr(fuzzing, no_main)]

use std::time::{Duration, SystemTime};

use loginradius_fuzz::logins::{NONCE, STATE, VERIFIER, app, random, start};
use loginradius_fuzz::read::form;
use loginradius_fuzz::text::fill_in;
use loginradius_proto::browser::{
    AuthorizationRequest, BrowserRequest, Callback, JwtRedirect, Pending, PendingJwt, PendingLogin, ResponseType,
};
use loginradius_proto::{App, Error, ErrorKind, Service};

loginradius_fuzz::target!(callback);

/// A JWT without a real signature, with the claims `{"nonce":NONCE}`.
const JWT: &str = "eyJhIjoxfQ.eyJub25jZSI6IlFFRkNRMFJGUmtkSVNVcExURTFPVDFCUlVsTlVWVlpYV0ZsYVcxeGRYbDgifQ.c2ln";

const TYPES: [ResponseType; 7] = [
    ResponseType::Code,
    ResponseType::Token,
    ResponseType::CodeToken,
    ResponseType::IdToken,
    ResponseType::CodeIdToken,
    ResponseType::IdTokenToken,
    ResponseType::CodeIdTokenToken,
];

fn callback(data: &[u8]) {
    let Some((kind, lines)) = data.split_first() else { return };
    let address = "https://app.example/callback";
    let site = || app().with_service(Service::site("acme.example").expect("a site"));
    let begin = |app: App| JwtRedirect::new(address, "jwt").begin(&app, &random(), start()).expect("a login").pending;
    let pending = match kind.wrapping_sub(b'0') % 9 {
        7 => PendingRedirect::Classic(begin(app())),
        8 => PendingRedirect::Site(begin(site())),
        number => {
            let asked = TYPES[usize::from(number)];
            let request =
                AuthorizationRequest::new(address).response_type(asked).scope("openid").issuer("https://i.example");
            PendingRedirect::Login(request.begin(&app(), &random(), start()).expect("a login").pending, asked)
        }
    };
    follow(pending, lines);
}

/// A login or a JWT that waits for its callback.
enum PendingRedirect {
    Login(PendingLogin, ResponseType),
    Classic(PendingJwt),
    Site(PendingJwt),
}

impl PendingRedirect {
    /// Returns what the callback yields: each value with its name.
    fn accept(&mut self, callback: &Callback, now: SystemTime) -> Result<Vec<(&'static str, String)>, Error> {
        match self {
            Self::Classic(pending) | Self::Site(pending) => {
                let received = pending.accept(callback, now)?;
                Ok(vec![("jwt", received.jwt.expose().to_owned())])
            }
            Self::Login(pending, _) => {
                let authorized = pending.accept(callback, now)?;
                let mut found = Vec::new();
                found.extend(
                    authorized.tokens.as_ref().map(|tokens| ("token", tokens.access_token.expose().to_owned())),
                );
                found.extend(authorized.id_token.as_ref().map(|token| ("id_token", token.expose().to_owned())));
                if let Some(exchange) = authorized.exchange() {
                    // A code that cannot be sent is refused when it is exchanged.
                    let body =
                        loginradius_proto::Endpoint::request(&exchange, &app()).map(|request| request.into_body());
                    let sent = body.map(|body| form(body.as_bytes())).unwrap_or_default();
                    let value =
                        |name: &str| sent.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                    assert!(sent.is_empty() || value("code_verifier").as_deref() == Some(VERIFIER));
                    found.push(("code", value("code").unwrap_or_default()));
                }
                Ok(found)
            }
        }
    }

    fn stored(&self) -> String {
        match self {
            Self::Login(pending, _) => pending.to_json(),
            Self::Classic(pending) | Self::Site(pending) => pending.to_json(),
        }
    }

    fn read_again(self) -> Self {
        let json = self.stored();
        let jwt = || PendingJwt::from_json(&json).expect("what was written can be read");
        let again = match self {
            Self::Login(_, asked) => {
                Self::Login(PendingLogin::from_json(&json).expect("what was written can be read"), asked)
            }
            Self::Classic(_) => Self::Classic(jwt()),
            Self::Site(_) => Self::Site(jwt()),
        };
        assert_eq!(again.stored(), json);
        again
    }

    fn asked_for(&self, name: &str) -> bool {
        match self {
            Self::Login(_, asked) => asked.as_str().split(' ').any(|part| part == name),
            Self::Classic(_) | Self::Site(_) => name == "jwt",
        }
    }

    /// Returns what only LoginRadius and the program know of it. A classic JWT has no nonce, one of a site no state.
    fn secrets(&self) -> &'static [&'static str] {
        match self {
            Self::Login(..) => &[STATE, VERIFIER, NONCE],
            Self::Classic(_) => &[STATE],
            Self::Site(_) => &[NONCE],
        }
    }

    /// Returns whether those parameters belong to it.
    fn is_shown_by(&self, parameters: &[(String, String)]) -> bool {
        let (name, value) = if matches!(self, Self::Site(_)) { ("jwt", JWT) } else { ("state", STATE) };
        let mut values = parameters.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (Some(shown), None) if name == "jwt" => shown.split('.').nth(1) == value.split('.').nth(1),
            (Some(shown), None) => shown == value,
            _ => false,
        }
    }
}

fn follow(mut pending: PendingRedirect, lines: &[u8]) {
    let mut ended = false;
    let mut yielded = 0;
    for line in lines.split(|byte| *byte == b'\n') {
        let Some((how, text)) = line.split_first() else { continue };
        let text = fill_in(text, &[("$s", STATE), ("$j", JWT)]);
        let Some((callback, bytes)) = read(*how, &text) else { continue };
        let late = how & 0x40 == 0;
        let now = start() + Duration::from_secs(if late { 600 } else { 599 });
        if how & 0x08 != 0 {
            pending = pending.read_again();
        }
        let parameters = form(&bytes);
        let before = pending.stored();
        let outcome = pending.accept(&callback, now);
        match outcome {
            Err(error) if error.kind() == ErrorKind::StateMismatch => {
                assert_eq!(pending.stored(), before);
                // A JWT may have the nonce in many spellings; the state has one.
                assert!(matches!(pending, PendingRedirect::Site(_)) || !pending.is_shown_by(&parameters));
                check(&error, pending.secrets(), &parameters);
            }
            Err(error) => {
                assert_eq!(error.kind() == ErrorKind::AlreadyCompleted, ended, "{error}");
                assert!(ended || late == (error.kind() == ErrorKind::Expired), "{error}");
                ended = true;
                check(&error, pending.secrets(), &parameters);
            }
            Ok(found) => {
                yielded += 1;
                assert!(!ended && !late && yielded == 1);
                assert!(matches!(pending, PendingRedirect::Site(_)) || pending.is_shown_by(&parameters));
                ended = true;
                let refused: Vec<_> = parameters.iter().filter(|(name, _)| name == "error").collect();
                assert!(refused.iter().all(|(_, error)| error.is_empty()) && refused.len() < 2, "{refused:?}");
                for name in ["code", "token", "id_token", "jwt"] {
                    assert_eq!(pending.asked_for(name), found.iter().any(|(known, _)| *known == name), "{name}");
                }
                for (name, value) in found {
                    let names: &[&str] = if name == "token" { &["token", "access_token"] } else { &[name] };
                    let said: Vec<_> = parameters.iter().filter(|(known, _)| names.contains(&known.as_str())).collect();
                    // Of two names one may be there without a value.
                    assert_eq!(said.iter().filter(|(_, known)| !known.is_empty()).count(), 1, "{name}");
                    let refused = value.is_empty() && name == "code";
                    assert!(refused || said.iter().any(|(_, known)| *known == value), "{name}");
                }
            }
        }
    }
}

/// Returns the callback, and the bytes that it was read from.
fn read(how: u8, text: &[u8]) -> Option<(Callback, Vec<u8>)> {
    let lossy = String::from_utf8_lossy(text);
    let alone = |text: &str, mark| {
        let text = text.trim();
        text.strip_prefix(mark).unwrap_or(text).as_bytes().to_vec()
    };
    let (callback, bytes) = match how & 3 {
        0 => (Callback::from_query(&lossy), alone(&lossy, '?')),
        1 => (Callback::from_fragment(&lossy), alone(&lossy, '#')),
        2 => {
            let (query, body) = text.split_at(text.iter().position(|byte| *byte == b'!').unwrap_or(0));
            let query = String::from_utf8_lossy(query);
            let bytes = [alone(&query, '?'), body.to_vec()].join(&b'&');
            (Callback::from_form(&query, body), bytes)
        }
        _ => {
            let url = lossy.trim();
            let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
            let query = rest.split_once('?').map_or("", |(_, query)| query);
            (Callback::from_url(&lossy), format!("{query}&{fragment}").into_bytes())
        }
    };
    callback.ok().map(|callback| (callback, bytes))
}

fn check(error: &Error, secrets: &[&str], parameters: &[(String, String)]) {
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.chars().count() < 1_000, "{text}");
    let printed = format!("{text}\n{error:?}\n{error:#?}");
    for secret in secrets {
        assert!(!printed.contains(secret), "{printed}");
    }
    // Only values longer than any of our own words.
    let carried =
        parameters.iter().filter(|(name, value)| value.len() > 12 && ["code", "token", "jwt"].contains(&name.as_str()));
    for (_, value) in carried.filter(|(_, value)| value.bytes().all(|byte| byte.is_ascii_digit())) {
        assert!(!printed.contains(value.as_str()), "{printed}");
    }
}
