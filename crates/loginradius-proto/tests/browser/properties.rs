//! Properties of every input, not only of those in the other tests.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use loginradius_proto::browser::loopback::Connection;
use loginradius_proto::browser::{
    AuthorizationRequest, BrowserRequest, Callback, JwtRedirect, Pending, PendingJwt, PendingLogin, ResponseType,
};
use loginradius_proto::{ChallengeMethod, Dialect};
use loginradius_proto::{Error, ErrorKind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::fixtures::*;
use crate::loopback::checked_status;

const RESPONSE_TYPES: [ResponseType; 7] = [
    ResponseType::Code,
    ResponseType::Token,
    ResponseType::CodeToken,
    ResponseType::IdToken,
    ResponseType::CodeIdToken,
    ResponseType::IdTokenToken,
    ResponseType::CodeIdTokenToken,
];

/// Parts of what a browser sends, so that random input gets past the first check.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let [state, ..] = made_of(0);
    let known: Vec<Vec<u8>> = [
        "GET /callback?",
        "POST /callback",
        "GET ",
        "HEAD ",
        " HTTP/1.1\r\n",
        " HTTP/1.0\n",
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        "\n\n",
        "\n\r\n",
        "Host: x\r\n",
        "Content-Length: ",
        "Content-Length: 10\r\n",
        "Transfer-Encoding: chunked\r\n",
        "code=c",
        "&",
        "=",
        "?",
        "#",
        "%",
        "%00",
        "+",
        "state=",
        "error=access_denied",
        "error_description=",
        "token=",
        "id_token=",
        "iss=",
        ": ",
        " ",
        "/",
        "http://",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .chain([state.into_bytes()])
    .collect();
    let piece = prop_oneof![8 => select(known), 1 => vec(any::<u8>(), 0..8), 1 => vec(Just(b'x'), 0..300)];
    vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => pieces(), 1 => vec(any::<u8>(), 0..400)]
}

/// Gives a callback to a login of every kind, and checks that it is accepted once at most and its error is printable.
fn give_to_all(callback: &Callback) -> Result<(), TestCaseError> {
    fn give<P: Pending>(mut pending: P, callback: &Callback) -> Result<(), TestCaseError> {
        let first = pending.accept(callback, start());
        let second = pending.accept(callback, start());
        let Err(again) = second else { return Err(TestCaseError::fail("accepted twice")) };
        match first {
            Ok(_) => prop_assert_eq!(again.kind(), ErrorKind::AlreadyCompleted),
            Err(error) => {
                prop_assert_eq!(error.kind() == ErrorKind::StateMismatch, again.kind() == ErrorKind::StateMismatch);
                let printed = error.to_string();
                prop_assert!(!printed.chars().any(char::is_control), "{:?}", printed);
                prop_assert!(printed.chars().count() < 1_000);
            }
        }
        Ok(())
    }
    for kind in RESPONSE_TYPES {
        give(begin(&request().response_type(kind), &classic()).pending, callback)?;
    }
    give(begin(&request().require_issuer("i"), &site()).pending, callback)?;
    for (pending, _) in jwt_waiting("token") {
        give(pending, callback)?;
    }
    Ok(())
}

/// Returns the status of the response, and whether the login has ended.
fn received(bytes: &[u8], cuts: &[usize]) -> Option<(u16, bool)> {
    let mut connection = Connection::new("/callback");
    let mut from = 0;
    let ends = cuts.iter().copied().chain([bytes.len()]);
    let received = ends.into_iter().find_map(|to| {
        let chunk = &bytes[from..to];
        from = to;
        connection.read(chunk)
    })?;
    let mut pending = begin(&request(), &classic()).pending;
    let reply = received.respond(&mut pending, start());
    Some((checked_status(&reply.bytes), reply.result.is_some()))
}

/// Texts without control characters, which are refused everywhere.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{1,30}",
        "\\PC{1,20}",
        select(vec!["a&state=x", "a=b", "%26", "100%", "a+b", "#", "openid", "profile email", "😀", "\u{202e}"])
            .prop_map(str::to_owned),
    ]
}

/// A setting of an app: all of it can be seen, and it is no dot segment.
fn setting() -> impl Strategy<Value = String> {
    "[!-~äß€日本😀]{0,20}[a-z]"
}

/// A parameter of a callback.
#[derive(Debug, Clone)]
enum Parameter {
    /// The state of one of the logins.
    State(Index),
    /// The same, changed at one place.
    NearState(Index, Index),
    /// A JWT with the nonce of one of the logins.
    Jwt(&'static str, Index),
    Other(&'static str, &'static str),
}

fn any_parameter() -> impl Strategy<Value = Parameter> {
    const NAMES: [&str; 12] = [
        "state",
        "code",
        "token",
        "access_token",
        "id_token",
        "jwt",
        "error",
        "error_description",
        "iss",
        "Code",
        "nonce",
        "expires_in",
    ];
    prop_oneof![
        6 => any::<Index>().prop_map(Parameter::State),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(whose, at)| Parameter::NearState(whose, at)),
        3 => (select(vec!["jwt", "token"]), any::<Index>()).prop_map(|(name, whose)| Parameter::Jwt(name, whose)),
        6 => (select(NAMES.to_vec()), select(vec!["", "a", "b", "access_denied"])).prop_map(|(name, value)| Parameter::Other(name, value)),
        5 => select(vec!["code", "token", "id_token", "jwt"]).prop_map(|name| Parameter::Other(name, "v4lue")),
    ]
}

/// A login that waits for its callback, and what has to come of that.
struct Tab {
    pending: Either,
    secret: String,
    requested: BTreeSet<&'static str>,
    consumed: bool,
    yielded: usize,
}

enum Either {
    Code(PendingLogin),
    Classic(PendingJwt),
    Site(PendingJwt),
}

impl Tab {
    fn new(number: usize, kind: usize) -> Self {
        let random = random(number as u64);
        let [state, _, nonce] = made_of(number as u64);
        let redirect = JwtRedirect::new(ADDRESS, "jwt");
        let (pending, secret, requested) = match RESPONSE_TYPES.get(kind) {
            Some(kind) => {
                let pending = request().response_type(*kind).begin(&classic(), &random, start()).unwrap().pending;
                (Either::Code(pending), state, kind.as_str().split(' ').collect())
            }
            None if kind == 7 => (
                Either::Classic(redirect.begin(&classic(), &random, start()).unwrap().pending),
                state,
                BTreeSet::from(["jwt"]),
            ),
            None => (
                Either::Site(redirect.begin(&site(), &random, start()).unwrap().pending),
                nonce,
                BTreeSet::from(["jwt"]),
            ),
        };
        Self { pending, secret, requested, consumed: false, yielded: 0 }
    }

    /// Returns what has to come of a callback, by an implementation of the rules of this test's own.
    fn expected(&mut self, parameters: &[(String, String)], late: bool) -> Result<Credentials, ErrorKind> {
        let all = |name: &str| {
            parameters.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        let one = |name: &str| match &all(name)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value.clone()).filter(|value| !value.is_empty())),
            _ => Err(ErrorKind::InvalidResponse),
        };
        let secret = match self.pending {
            Either::Site(_) => one("jwt").ok().flatten().and_then(|jwt| jwt.strip_prefix("JWT-OF-").map(str::to_owned)),
            _ => one("state").ok().flatten(),
        };
        if secret.as_ref() != Some(&self.secret) {
            return Err(ErrorKind::StateMismatch);
        }
        if std::mem::replace(&mut self.consumed, true) {
            return Err(ErrorKind::AlreadyCompleted);
        }
        if late {
            return Err(ErrorKind::Expired);
        }
        if let Some(error) = one("error")? {
            one("error_description")?;
            return Err(if error == "access_denied" { ErrorKind::Denied } else { ErrorKind::Refused });
        }
        let requested = |what: &str, names: &[&str]| {
            if !self.requested.contains(what) {
                return Ok(None);
            }
            let values = names.iter().map(|name| one(name)).collect::<Result<Vec<_>, _>>()?;
            match &values.into_iter().flatten().collect::<Vec<_>>()[..] {
                [value] => Ok(Some(value.clone())),
                _ => Err(ErrorKind::InvalidResponse),
            }
        };
        let code = requested("code", &["code"])?;
        let token = requested("token", &["token", "access_token"])?;
        let id_token = requested("id_token", &["id_token"])?;
        if token.is_some() {
            one("expires_in")?;
        }
        let jwt = requested("jwt", &["jwt"])?;
        Ok(Credentials { code, token: token.or(jwt), id_token })
    }

    fn accept(&mut self, callback: &Callback, now: SystemTime) -> Result<Credentials, Error> {
        let jwt = |received: loginradius_proto::browser::ReceivedJwt| Credentials {
            token: Some(received.jwt.expose().to_owned()),
            ..Credentials::default()
        };
        match &mut self.pending {
            Either::Code(pending) => pending.accept(callback, now).map(credentials),
            Either::Classic(pending) | Either::Site(pending) => pending.accept(callback, now).map(jwt),
        }
    }

    /// Stores the login and reads it, as another process does.
    fn stored_and_read(&mut self) {
        match &mut self.pending {
            Either::Code(pending) => *pending = PendingLogin::from_json(&pending.to_json()).unwrap(),
            Either::Classic(pending) | Either::Site(pending) => {
                *pending = PendingJwt::from_json(&pending.to_json()).unwrap()
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_callback_is_refused_or_accepted_once(bytes in bytes(), cut in any::<Index>()) {
        let text = String::from_utf8_lossy(&bytes);
        let (query, body) = bytes.split_at(cut.index(bytes.len() + 1));
        let form = Callback::from_form(&String::from_utf8_lossy(query), body);
        for callback in [Callback::from_query(&text), Callback::from_fragment(&text), Callback::from_url(&text), form] {
            match callback {
                Ok(callback) => {
                    prop_assert!(callback.state() != Some(""));
                    give_to_all(&callback)?;
                }
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::InvalidResponse),
            }
        }
    }

    #[test]
    fn any_bytes_at_the_loopback_are_the_same_in_any_pieces(bytes in bytes(), cuts in vec(any::<Index>(), 0..6)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let whole = received(&bytes, &[]);
        prop_assert_eq!(received(&bytes, &cuts), whole);
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(received(&bytes, &every), whole);
    }

    #[test]
    fn many_logins_and_many_callbacks(
        kinds in vec(0..9_usize, 1..5),
        rounds in vec((vec(any_parameter(), 0..6), any::<Index>(), 0..14_u64, any::<bool>(), any::<bool>()), 1..25),
    ) {
        let mut tabs: Vec<Tab> = kinds.iter().enumerate().map(|(number, kind)| Tab::new(number, *kind)).collect();
        for (sent_parameters, whose, minute, forwards, stored) in rounds {
            let mut sent = Vec::new();
            let mut known = Vec::new();
            for parameter in sent_parameters {
                let (name, value, meant) = match parameter {
                    Parameter::State(of) => ("state", of.get(&tabs).secret.clone(), None),
                    Parameter::NearState(of, at) => {
                        let mut near = of.get(&tabs).secret.clone().into_bytes();
                        let at = at.index(near.len());
                        near[at] = if near[at] == b'x' { b'y' } else { b'x' };
                        ("state", String::from_utf8(near).unwrap(), None)
                    }
                    Parameter::Jwt(name, of) => {
                        let nonce = &of.get(&tabs).secret;
                        (name, jwt_with(&format!(r#"{{"nonce":"{nonce}"}}"#)), Some(format!("JWT-OF-{nonce}")))
                    }
                    Parameter::Other(name, value) => (name, value.to_owned(), None),
                };
                known.push((name.to_owned(), meant.unwrap_or_else(|| value.clone())));
                sent.push((name, value));
            }
            let callback = query(&serde_urlencoded::to_string(&sent).unwrap());
            let away = MINUTE * minute as u32;
            let now = if forwards { start() + away } else { start() - away };
            let tab = &mut tabs[whose.index(kinds.len())];
            if stored {
                tab.stored_and_read();
            }
            let expected = tab.expected(&known, minute >= 10);
            let outcome = tab.accept(&callback, now);
            tab.yielded += usize::from(outcome.is_ok());
            prop_assert!(tab.yielded <= 1);
            let meant = |text: Option<String>| text.map(|text| {
                let at = sent.iter().position(|(_, value)| *value == text).expect("something that was sent");
                known[at].1.clone()
            });
            let outcome = outcome.map(|out| Credentials { code: meant(out.code), token: meant(out.token), id_token: meant(out.id_token) });
            prop_assert_eq!(outcome.map_err(|error| error.kind()), expected);
        }
    }

    #[test]
    fn every_url_has_each_parameter_once(
        id in setting(),
        scope in text(),
        others in vec(("[a-z_]{1,12}|\\PC{1,10}", text()), 0..5),
        in_redirect in text(),
        kind in select(RESPONSE_TYPES.to_vec()),
        method in select(vec![ChallengeMethod::Sha256, ChallengeMethod::S256, ChallengeMethod::Omitted]),
        seed in any::<u64>(),
    ) {
        let redirect = format!("{ADDRESS}?back={}", percent_encoding::utf8_percent_encode(&in_redirect, percent_encoding::NON_ALPHANUMERIC));
        let mut names = BTreeSet::from(["scope", "state", "nonce", "client_id"].map(str::to_owned));
        let others: Vec<_> = others.into_iter().filter(|(name, _)| !name.contains("c") && names.insert(name.to_ascii_lowercase())).collect();
        let mut request = AuthorizationRequest::new(&redirect).scope(&scope).response_type(kind);
        for (name, value) in &others {
            request = request.parameter(name, value);
        }
        for app in all_apis() {
            let service = app.service().clone().with_dialect(Dialect::new().with_challenge_method(method)).unwrap();
            let app = loginradius_proto::App::new(&id).with_oauth_app("my-oauth-app").with_oidc_app("my-oidc-app").with_service(service);
            let Ok(login) = request.begin(&app, &random(seed), start()) else {
                // Only a name of ours is refused here.
                let ours = ["redirect_uri", "response_type"];
                prop_assert!(others.iter().any(|(name, _)| ours.contains(&name.to_ascii_lowercase().as_str())));
                continue;
            };
            let [state, verifier, nonce] = made_of(seed);
            let mut given = vec![
                ("client_id".to_owned(), id.clone()),
                ("redirect_uri".to_owned(), redirect.clone()),
                ("scope".to_owned(), scope.clone()),
                ("response_type".to_owned(), kind.as_str().to_owned()),
                ("state".to_owned(), state),
            ];
            let mut found = parameters(&login.url);
            if kind.as_str().split(' ').any(|part| part == "code") {
                let at = found.iter().position(|(name, _)| name == "code_challenge").expect("a challenge");
                prop_assert_eq!(found.remove(at).1.len(), 43);
                match method {
                    ChallengeMethod::Sha256 => given.push(("code_challenge_method".to_owned(), "SHA256".to_owned())),
                    ChallengeMethod::S256 => given.push(("code_challenge_method".to_owned(), "S256".to_owned())),
                    _ => {}
                }
            }
            if let Some(sent) = login.pending.nonce() {
                prop_assert_eq!(sent, &nonce);
                given.push(("nonce".to_owned(), nonce));
            }
            given.extend(others.iter().cloned());
            given.sort();
            found.sort();
            prop_assert_eq!(found, given);
            prop_assert!(!login.url.contains(&verifier));
        }
    }

    #[test]
    fn every_jwt_url_has_each_parameter_once(key in setting(), jwt_app in setting(), in_return in text(), seed in any::<u64>()) {
        let value = percent_encoding::utf8_percent_encode(&in_return, percent_encoding::NON_ALPHANUMERIC);
        let address = format!("{ADDRESS}?back={value}");
        let [state, _, nonce] = made_of(seed);
        let with = |app: loginradius_proto::App| app.with_api_key(&key).with_jwt_app(&jwt_app);
        let begin = |app| JwtRedirect::new(&address, "token").begin(&with(app), &random(seed), start()).unwrap().url;
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let returned = format!("{address}&state={state}");
        prop_assert_eq!(parameters(&begin(classic())), [pair("apikey", &key), pair("jwtapp", &jwt_app), pair("return_url", &returned)]);
        prop_assert_eq!(parameters(&begin(site())), [pair("client_id", &key), pair("redirect_uri", &address), pair("nonce", &nonce)]);
        let back = Callback::from_url(&returned).unwrap();
        prop_assert_eq!(back.state(), Some(state.as_str()));
    }

    #[test]
    fn what_is_stored_is_read_and_what_is_not_is_refused(
        kind in 0..9_usize, seed in 0..1_000_usize, consumed in any::<bool>(), at in any::<Index>(), byte in any::<u8>(), noise in bytes(),
    ) {
        let mut tab = Tab::new(seed, kind);
        if consumed {
            let text = match &tab.pending {
                Either::Site(_) => format!("jwt={}", jwt_with(&format!(r#"{{"nonce":"{}"}}"#, tab.secret))),
                _ => format!("state={}", tab.secret),
            };
            let _ = tab.accept(&query(&text), start());
        }
        let json = match &tab.pending {
            Either::Code(pending) => pending.to_json(),
            Either::Classic(pending) | Either::Site(pending) => pending.to_json(),
        };
        tab.stored_and_read();
        let again = match &tab.pending {
            Either::Code(pending) => pending.to_json(),
            Either::Classic(pending) | Either::Site(pending) => pending.to_json(),
        };
        prop_assert_eq!(&again, &json);
        let mut changed = json.into_bytes();
        let at = at.index(changed.len());
        changed[at] = byte;
        for text in [String::from_utf8_lossy(&changed), String::from_utf8_lossy(&noise)] {
            // A changed one may be another login, and is refused or written again as it was read.
            if let Ok(pending) = PendingLogin::from_json(&text) {
                prop_assert_eq!(PendingLogin::from_json(&pending.to_json()).unwrap().to_json(), pending.to_json());
            }
            if let Ok(pending) = PendingJwt::from_json(&text) {
                prop_assert_eq!(PendingJwt::from_json(&pending.to_json()).unwrap().to_json(), pending.to_json());
            }
        }
    }

    #[test]
    fn any_redirect_address_is_refused_or_sent_as_it_is(address in prop_oneof![
        "\\PC{0,40}",
        "(https?|HTTP|com\\.a|javascript|x):(//)?[a-z0-9.@:\\[\\]%\\\\-]{0,20}[/?#@\\\\]{0,2}[ -~]{0,15}",
    ]) {
        for app in all_apis() {
            match AuthorizationRequest::new(&address).begin(&app, &random(0), start()) {
                Ok(login) => {
                    prop_assert_eq!(parameter(&login.url, "redirect_uri"), Some(address.clone()));
                    prop_assert!(address.is_ascii() && !address.contains(['#', '\\', ' ', '<', '"']));
                    let lower = address.to_ascii_lowercase();
                    let host = lower.split_once("//").map_or("", |(_, rest)| rest).split(['/', '?']).next().unwrap_or_default();
                    let this_machine = ["localhost", "127.", "[::1]"].iter().any(|begins| host.starts_with(begins));
                    let own = lower.split(':').next().unwrap().contains('.');
                    prop_assert!(own || (lower.starts_with("https://") && !host.contains('@')) || (lower.starts_with("http://") && this_machine));
                }
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Configuration),
            }
        }
    }

    #[test]
    fn at_any_time_a_login_is_valid_for_less_than_ten_minutes(began in 0..1_u64 << 45, away in 0..1_500_000_u64, forwards in any::<bool>()) {
        let began_at = SystemTime::UNIX_EPOCH + Duration::from_millis(began);
        let now = if forwards { began + away } else { began.saturating_sub(away) };
        let mut pending = request().begin(&classic(), &random(0), began_at).unwrap().pending;
        let [state, ..] = made_of(0);
        let outcome = pending.accept(&query(&format!("code=c&state={state}")), SystemTime::UNIX_EPOCH + Duration::from_millis(now));
        prop_assert_eq!(outcome.is_ok(), now.abs_diff(began) < 600_000);
    }
}
