//! What the tests share: apps at both APIs, random bytes and instants.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loginradius_proto::browser::{
    AuthorizationRequest, Authorized, BrowserLogin, BrowserRequest, Callback, JwtRedirect, Pending, PendingJwt,
    PendingLogin, RandomBytes,
};
use loginradius_proto::{App, Endpoint, Error, ErrorKind, Service};
use loginradius_testing::app;

pub(crate) const ADDRESS: &str = "https://app.example/callback";
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Returns bytes that look random and differ from seed to seed.
pub(crate) fn bytes(seed: u64) -> [u8; RandomBytes::LENGTH] {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::array::from_fn(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
}

/// Returns them as the random bytes of a login.
pub(crate) fn random(seed: u64) -> RandomBytes {
    RandomBytes::new(bytes(seed)).unwrap()
}

/// Returns the state, the verifier and the nonce that are made of the bytes of that seed.
pub(crate) fn made_of(seed: u64) -> [String; 3] {
    [0, 32, 64].map(|from| URL_SAFE_NO_PAD.encode(&bytes(seed)[from..from + 32]))
}

pub(crate) fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

pub(crate) fn classic() -> App {
    app()
}

pub(crate) fn site() -> App {
    app().with_service(loginradius_testing::site())
}

pub(crate) fn oidc() -> App {
    app().with_service(loginradius_testing::oidc())
}

pub(crate) fn classic_oidc() -> App {
    app().with_service(Service::classic_oidc())
}

pub(crate) fn all_apis() -> [App; 4] {
    [classic(), site(), oidc(), classic_oidc()]
}

pub(crate) fn request() -> AuthorizationRequest {
    AuthorizationRequest::new(ADDRESS)
}

#[track_caller]
pub(crate) fn begin<R: BrowserRequest>(request: &R, app: &App) -> BrowserLogin<R::Pending> {
    request.begin(app, &random(0), start()).unwrap()
}

/// Returns a login that waits for its callback, and its state.
#[track_caller]
pub(crate) fn waiting(request: &AuthorizationRequest) -> (PendingLogin, String) {
    let login = begin(request, &classic());
    let [state, ..] = made_of(0);
    assert_eq!(login.pending.expose_state(), state);
    (login.pending, state)
}

/// Returns a JWT login at each API that waits for its callback, and the query of that callback.
pub(crate) fn jwt_waiting(parameter: &str) -> [(PendingJwt, String); 2] {
    let [state, _, nonce] = made_of(0);
    let redirect = JwtRedirect::new(ADDRESS, parameter);
    let jwt = jwt_with(&format!(r#"{{"nonce":"{nonce}"}}"#));
    [
        (begin(&redirect, &classic()).pending, format!("{parameter}=a.jwt.x&state={state}")),
        (begin(&redirect, &site()).pending, format!("{parameter}={jwt}")),
    ]
}

/// Returns a JWT with those claims, which no key signed.
pub(crate) fn jwt_with(claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.c2lnbmF0dXJl", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(claims))
}

pub(crate) fn query(text: &str) -> Callback {
    Callback::from_query(text).unwrap()
}

pub(crate) fn accept<P: Pending>(pending: &mut P, text: &str) -> Result<P::Output, Error> {
    pending.accept(&query(text), start() + SECOND)
}

/// Reads the parameters of a URL in their order, independently of the crate.
pub(crate) fn parameters(url: &str) -> Vec<(String, String)> {
    let (_, query) = url.split_once('?').expect("a query");
    assert!(!query.contains(['#', ' ', '?']), "{url}");
    query
        .split('&')
        .map(|pair| {
            let (name, value) = pair.split_once('=').expect("a pair");
            (decoded(name), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8().unwrap().into_owned()
}

/// Returns the value of a parameter that occurs once at most.
#[track_caller]
pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let mut values = parameters(url).into_iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let value = values.next();
    assert!(values.next().is_none(), "{name} twice in {url}");
    value.map(|(_, value)| value)
}

/// Returns the code and the verifier, as the request that redeems the code has them.
pub(crate) fn redeemed(authorized: Authorized) -> Option<(String, String)> {
    let request = authorized.exchange()?.request(&classic()).unwrap();
    let body = format!("?{}", std::str::from_utf8(request.body().as_bytes()).unwrap());
    assert_eq!(parameter(&body, "redirect_uri").as_deref(), Some(ADDRESS));
    Some((parameter(&body, "code").unwrap(), parameter(&body, "code_verifier").unwrap()))
}

/// What a callback yielded.
#[derive(Debug, Default, PartialEq, Clone)]
pub(crate) struct Credentials {
    pub(crate) code: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) id_token: Option<String>,
}

pub(crate) fn credentials(authorized: Authorized) -> Credentials {
    Credentials {
        token: authorized.tokens.as_ref().map(|tokens| tokens.access_token.expose().to_owned()),
        id_token: authorized.id_token.as_ref().map(|token| token.expose().to_owned()),
        code: redeemed(authorized).map(|(code, _)| code),
    }
}

/// Checks the kind of an error, and a part of its text.
#[track_caller]
pub(crate) fn refused<T>(outcome: Result<T, Error>, kind: ErrorKind, text: &str) -> Error {
    let Err(error) = outcome else { panic!("not refused: {text}") };
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(text), "{error} does not contain: {text}");
    error
}

/// Checks that a login still waits: it accepts its own callback, once.
#[track_caller]
pub(crate) fn still_waits<P: Pending>(pending: &mut P, right: &str) {
    assert!(accept(pending, right).is_ok());
    refused(accept(pending, right), ErrorKind::AlreadyCompleted, "was already used");
}
