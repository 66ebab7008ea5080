//! From the address of a sign-in to its callback and its tokens.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use loginradius_emulator::{self as emulator, CodeState, Emulator, Fault, Operation, seeded};
use loginradius_proto::browser::{
    AuthorizationRequest, BrowserLogin, Callback, JwtRedirect, PendingLogin, ResponseType,
};
use loginradius_proto::{Api, App, Error, ErrorKind, Retry, Service, TokenSet};

use super::{asked, free_port, param};
use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::matrix::app;

const APIS: [Api; 2] = [Api::Classic, Api::Site];
const REDIRECT_URI: &str = "http://127.0.0.1:8400/callback";

/// A server and a client of it.
struct World<A> {
    emulator: Emulator,
    client: A,
}

impl<A: Adapter> World<A> {
    fn new(api: Api) -> Self {
        Self::with(Emulator::builder(), &Settings::default(), |emulator| app(emulator, api))
    }

    fn attempts(attempts: u32) -> Self {
        let settings = Settings::attempts(attempts);
        Self::with(Emulator::builder(), &settings, |emulator| app(emulator, Api::Classic))
    }

    fn with(builder: emulator::Builder, settings: &Settings, app: impl FnOnce(&Emulator) -> App) -> Self {
        let emulator = builder.start().unwrap();
        let client = A::new(app(&emulator), settings).unwrap();
        Self { emulator, client }
    }

    fn begin(&self) -> BrowserLogin<PendingLogin> {
        self.begin_with(&AuthorizationRequest::new(REDIRECT_URI).scope("profile email"))
    }

    fn begin_with(&self, request: &AuthorizationRequest) -> BrowserLogin<PendingLogin> {
        self.client.begin_browser_login(request).unwrap()
    }

    /// What the browser brings after its user has allowed it.
    fn allowed(&self, url: &str) -> Callback {
        Callback::from_url(&self.emulator.authorize(url).unwrap().url).unwrap()
    }

    /// A sign-in, its callback and its code.
    fn called_back(&self) -> (PendingLogin, Callback, String) {
        let sign_in = self.begin();
        let callback = self.allowed(&sign_in.url);
        (sign_in.pending, callback, self.emulator.codes().last().unwrap().code.clone())
    }

    fn exchanges(&self) -> usize {
        asked(&self.emulator, Operation::CodeExchange)
    }

    #[track_caller]
    fn assert_live(&self, tokens: &TokenSet) {
        assert!(self.emulator.is_live_access_token(tokens.access_token.expose()), "no live token");
    }
}

fn assert_kind<T>(result: Result<T, Error>, kind: ErrorKind) -> Error {
    let error = result.err().unwrap_or_else(|| panic!("a success instead of {kind}"));
    assert_eq!(error.kind(), kind, "{error:?}");
    error
}

/// A thousand sign-ins have nothing in common that somebody could guess.
fn state_nonce_and_challenge_never_repeat<A: Adapter>() {
    let world = World::<A>::new(Api::Site);
    let request = AuthorizationRequest::new(REDIRECT_URI).scope("openid");
    let mut seen = HashSet::new();
    for _ in 0..1000 {
        let sign_in = world.begin_with(&request);
        for name in ["state", "nonce", "code_challenge"] {
            let value = param(&sign_in.url, name);
            assert_eq!(value.len(), 43, "{name}");
            assert!(seen.insert(value.to_owned()), "{name} came twice");
        }
        assert_eq!(sign_in.pending.expose_state(), param(&sign_in.url, "state"));
        assert_eq!(sign_in.pending.nonce(), Some(param(&sign_in.url, "nonce")));
    }
    assert!(world.emulator.requests().is_empty(), "a beginning sends nothing");
}

fn a_login_begins_at_the_clients_service<A: Adapter>() {
    for (api, oauth, jwt) in [
        (Api::Classic, "/sso/oauth/redirect?", "/sso/jwt/redirect/token?"),
        (Api::Site, "/service/oauth/demo-oauth-app/authorize?", "/service/jwt/demo-jwt-app/authorize?"),
    ] {
        let world = World::<A>::new(api);
        let base = world.emulator.base_url();
        let sign_in = world.begin();
        assert!(sign_in.url.starts_with(&format!("{base}{oauth}")), "{}", sign_in.url);
        assert_eq!(param(&sign_in.url, "client_id"), seeded::CLIENT_ID);
        assert_eq!(param(&sign_in.url, "redirect_uri"), "http%3A%2F%2F127.0.0.1%3A8400%2Fcallback");
        assert!(!sign_in.url.contains(seeded::CLIENT_SECRET));
        let sign_in = world.client.begin_browser_login(&JwtRedirect::new(REDIRECT_URI, "token")).unwrap();
        assert!(sign_in.url.starts_with(&format!("{base}{jwt}")), "{}", sign_in.url);
    }
}

fn unusable_requests_are_refused<A: Adapter>() {
    let world = World::<A>::new(Api::Classic);
    for request in [
        AuthorizationRequest::new(""),
        AuthorizationRequest::new("http://app.example/callback"),
        AuthorizationRequest::new(REDIRECT_URI).parameter("state", "mine"),
    ] {
        let error = assert_kind(world.client.begin_browser_login(&request), ErrorKind::Configuration);
        assert!(error.api_error().is_none());
    }
    assert_kind(world.client.begin_browser_login(&JwtRedirect::new(REDIRECT_URI, "")), ErrorKind::Configuration);
}

/// A code is exchanged once, with the verifier and with a secret if there is one.
fn a_code_is_redeemed_once_for_tokens<A: Adapter>() {
    for api in APIS {
        for with_secret in [true, false] {
            let world = World::<A>::with(Emulator::builder(), &Settings::default(), |emulator| match with_secret {
                true => app(emulator, api),
                false => public_app(emulator, api),
            });
            let (mut pending, callback, _) = world.called_back();
            let tokens = world.client.complete_browser_login(&mut pending, &callback).unwrap();
            world.assert_live(&tokens);
            assert!(world.emulator.is_live_refresh_token(tokens.refresh_token.as_ref().unwrap().expose()));
            assert!(tokens.requested_at.is_some());
            let codes = world.emulator.codes();
            assert_eq!((codes.len(), codes[0].sent, codes[0].state), (1, 1, CodeState::Redeemed));
            assert_eq!(codes[0].scope.as_deref(), Some("profile email"));
            let requests = world.emulator.requests();
            let [exchange] = requests.as_slice() else { panic!("{requests:?}") };
            assert_eq!(exchange.param("client_secret"), with_secret.then_some(seeded::CLIENT_SECRET));
            assert_eq!(exchange.param("code_verifier").map(str::len), Some(43));
            assert_eq!(exchange.param("redirect_uri"), Some(REDIRECT_URI));
        }
    }
}

/// An app that keeps no secret.
fn public_app(emulator: &Emulator, api: Api) -> App {
    let service = match api {
        Api::Classic => Service::classic_at(emulator.base_url()).unwrap(),
        _ => Service::site_at(emulator.base_url()).unwrap(),
    };
    App::new(seeded::CLIENT_ID).with_oauth_app(seeded::OAUTH_APP).with_service(service)
}

/// In the callback, without a request.
fn a_token_in_the_callback_needs_no_request<A: Adapter>() {
    for api in APIS {
        let world = World::<A>::new(api);
        let request = AuthorizationRequest::new(REDIRECT_URI).response_type(ResponseType::Token);
        let mut sign_in = world.begin_with(&request);
        let callback = world.allowed(&sign_in.url);
        let tokens = world.client.complete_browser_login(&mut sign_in.pending, &callback).unwrap();
        world.assert_live(&tokens);
        assert!(world.emulator.requests().is_empty());
    }
}

/// The exchange gives a refresh token too, which the browser must not see.
fn a_code_beside_a_token_is_redeemed<A: Adapter>() {
    for api in APIS {
        let world = World::<A>::new(api);
        let request = AuthorizationRequest::new(REDIRECT_URI).response_type(ResponseType::CodeToken);
        let mut sign_in = world.begin_with(&request);
        let landing = world.emulator.authorize(&sign_in.url).unwrap();
        let callback = Callback::from_url(&landing.url).unwrap();
        let tokens = world.client.complete_browser_login(&mut sign_in.pending, &callback).unwrap();
        world.assert_live(&tokens);
        assert!(tokens.refresh_token.is_some());
        assert_ne!(Some(tokens.access_token.expose()), landing.param("token").as_deref());
        assert_eq!(world.exchanges(), 1);
    }
}

fn an_id_token_alone_means_misuse<A: Adapter>() {
    let world = World::<A>::new(Api::Classic);
    let request = AuthorizationRequest::new(REDIRECT_URI).scope("openid").response_type(ResponseType::IdToken);
    let mut sign_in = world.begin_with(&request);
    let query = format!("id_token=a.b.c&state={}", sign_in.pending.expose_state());
    let callback = Callback::from_query(&query).unwrap();
    assert_kind(world.client.complete_browser_login(&mut sign_in.pending, &callback), ErrorKind::Misuse);
    assert!(world.emulator.requests().is_empty());
}

fn a_denied_login_ends_as_denied<A: Adapter>() {
    for api in APIS {
        let world = World::<A>::new(api);
        let mut sign_in = world.begin();
        let landing = world.emulator.deny_authorization(&sign_in.url).unwrap();
        let callback = Callback::from_url(&landing.url).unwrap();
        let error =
            assert_kind(world.client.complete_browser_login(&mut sign_in.pending, &callback), ErrorKind::Denied);
        assert_eq!(error.api_error().unwrap().oauth_error.as_deref(), Some("access_denied"));
        assert_kind(world.client.complete_browser_login(&mut sign_in.pending, &callback), ErrorKind::AlreadyCompleted);
        assert!(world.emulator.requests().is_empty());
    }
}

/// Somebody else's callback sends nothing, and does not end the sign-in.
fn another_logins_callback_changes_nothing<A: Adapter>() {
    let world = World::<A>::new(Api::Classic);
    let (mut pending, callback, code) = world.called_back();
    let (mut other_pending, others, _) = world.called_back();
    let strange = [
        others.clone(),
        Callback::from_query("").unwrap(),
        Callback::from_query(&format!("code={code}")).unwrap(),
        Callback::from_query(&format!("code={code}&state=")).unwrap(),
        Callback::from_query(&format!("code={code}&state={}", "A".repeat(43))).unwrap(),
        Callback::from_query("error=access_denied").unwrap(),
    ];
    for strange in &strange {
        assert_kind(world.client.complete_browser_login(&mut pending, strange), ErrorKind::StateMismatch);
    }
    assert!(world.emulator.requests().is_empty());
    world.assert_live(&world.client.complete_browser_login(&mut pending, &callback).unwrap());
    world.assert_live(&world.client.complete_browser_login(&mut other_pending, &others).unwrap());
}

/// A code that was stolen and brought to another sign-in is good for nothing: PKCE.
fn another_logins_code_cannot_be_redeemed<A: Adapter>() {
    for api in APIS {
        let world = World::<A>::new(api);
        let (_, _, stolen) = world.called_back();
        let mut thief = world.begin();
        let query = format!("code={stolen}&state={}", thief.pending.expose_state());
        let callback = Callback::from_query(&query).unwrap();
        let error = world.client.complete_browser_login(&mut thief.pending, &callback).unwrap_err();
        assert!(error.api_error().is_some(), "{error:?}");
        assert_eq!(world.emulator.live_logins(), 0);
    }
}

fn a_callback_completes_its_login_once<A: Adapter>() {
    let world = World::<A>::new(Api::Classic);
    let (mut pending, callback, _) = world.called_back();
    let tokens = world.client.complete_browser_login(&mut pending, &callback).unwrap();
    for _ in 0..3 {
        assert_kind(world.client.complete_browser_login(&mut pending, &callback), ErrorKind::AlreadyCompleted);
    }
    assert_eq!((world.exchanges(), world.emulator.codes()[0].sent), (1, 1));
    assert_eq!(world.emulator.counters().code_replays, 0);
    world.assert_live(&tokens);
}

fn a_stored_login_can_be_completed_by_another_client<A: Adapter>() {
    let world = World::<A>::new(Api::Site);
    let (pending, callback, _) = world.called_back();
    let stored = pending.to_json();
    drop(pending);
    let elsewhere = A::new(app(&world.emulator, Api::Site), &Settings::default()).unwrap();
    let mut pending = PendingLogin::from_json(&stored).unwrap();
    world.assert_live(&elsewhere.complete_browser_login(&mut pending, &callback).unwrap());
}

/// The code is perhaps spent: it is not sent again, and not by another call either.
fn a_lost_exchange_is_not_retried<A: Adapter>() {
    let faults = [Fault::DropBefore, Fault::DropAfter, Fault::Truncated];
    let world = World::<A>::attempts(3);
    for (number, fault) in faults.into_iter().enumerate() {
        let (mut pending, callback, code) = world.called_back();
        world.emulator.fault(Operation::CodeExchange, fault.clone());
        let error =
            assert_kind(world.client.complete_browser_login(&mut pending, &callback), ErrorKind::OutcomeUnknown);
        assert_clean(&error, &code);
        assert_kind(world.client.complete_browser_login(&mut pending, &callback), ErrorKind::AlreadyCompleted);
        assert_eq!(world.exchanges(), number + 1, "{fault:?}");
        let codes = world.emulator.codes();
        assert!(codes.last().unwrap().sent <= 1, "{codes:?}");
        world.emulator.clear_faults();
    }
}

/// Nobody listens at first. The exchange is sent once somebody does.
fn an_exchange_that_was_not_sent_is_retried<A: Adapter>() {
    let port = free_port();
    let service = Service::classic_at(&format!("http://127.0.0.1:{port}")).unwrap();
    let wait = Duration::from_millis(20);
    let retry = Retry::default().with_attempts(100).with_first_wait(wait).with_max_wait(wait);
    let settings = Settings { retry, ..Settings::default() };
    let client = A::new(App::new(seeded::CLIENT_ID).with_service(service), &settings).unwrap();
    let mut sign_in = client.begin_browser_login(&AuthorizationRequest::new(REDIRECT_URI)).unwrap();
    let query = format!("code=made-up&state={}", sign_in.pending.expose_state());
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        Emulator::builder().port(port).start().unwrap()
    });
    let error =
        client.complete_browser_login(&mut sign_in.pending, &Callback::from_query(&query).unwrap()).unwrap_err();
    assert!(error.api_error().is_some(), "no answer: {error:?}");
    assert_eq!(asked(&late.join().unwrap(), Operation::CodeExchange), 1);
}

fn an_unreachable_server_means_not_sent<A: Adapter>() {
    let world = World::<A>::attempts(2);
    let (mut pending, callback, code) = world.called_back();
    drop(world.emulator);
    let error = assert_kind(world.client.complete_browser_login(&mut pending, &callback), ErrorKind::NotSent);
    assert_clean(&error, &code);
    assert_kind(world.client.complete_browser_login(&mut pending, &callback), ErrorKind::AlreadyCompleted);
}

fn an_expired_code_means_sign_in_required<A: Adapter>() {
    for api in APIS {
        let world = World::<A>::new(api);
        let (mut pending, callback, code) = world.called_back();
        world.emulator.advance(Duration::from_secs(60));
        let error =
            assert_kind(world.client.complete_browser_login(&mut pending, &callback), ErrorKind::SignInRequired);
        assert_clean(&error, &code);
        assert_eq!(world.emulator.codes()[0].sent, 1);
    }
}

fn a_refused_code_is_not_sent_again<A: Adapter>() {
    let world = World::<A>::attempts(3);
    let mut sign_in = world.begin();
    let query = format!("code=no-such-code&state={}", sign_in.pending.expose_state());
    let callback = Callback::from_query(&query).unwrap();
    let error =
        assert_kind(world.client.complete_browser_login(&mut sign_in.pending, &callback), ErrorKind::SignInRequired);
    assert!(error.api_error().is_some());
    assert_clean(&error, "no-such-code");
    assert_eq!(world.exchanges(), 1);
}

/// A server that repeats what it was sent.
fn a_code_that_the_server_echoes_is_not_shown<A: Adapter>() {
    let world = World::<A>::attempts(3);
    for (status, name) in [(400, "error_description"), (500, "error_description"), (403, "Description")] {
        let (mut pending, callback, code) = world.called_back();
        let body = format!(r#"{{"error":"invalid_grant","ErrorCode":908,"{name}":"the code {code} is bad"}}"#);
        world.emulator.fault(Operation::CodeExchange, Fault::Respond { status, headers: Vec::new(), body });
        let before = world.exchanges();
        assert_clean(&world.client.complete_browser_login(&mut pending, &callback).unwrap_err(), &code);
        assert_eq!(world.exchanges() - before, 1, "{status}");
        world.emulator.clear_faults();
    }
}

fn assert_clean(error: &Error, code: &str) {
    let text = format!("{error}\n{error:?}\n{error:#?}\n{:?}", std::error::Error::source(error));
    assert!(!text.contains(code), "{text}");
}

/// RFC 9207.
fn another_issuers_callback_sends_nothing<A: Adapter>() {
    let builder = Emulator::builder().issuer_in_authorization_response(true);
    let world = World::<A>::with(builder, &Settings::default(), |emulator| app(emulator, Api::Site));
    let request = || AuthorizationRequest::new(REDIRECT_URI);
    let mut sign_in = world.begin_with(&request().require_issuer(world.emulator.issuer()));
    let callback = world.allowed(&sign_in.url);
    world.assert_live(&world.client.complete_browser_login(&mut sign_in.pending, &callback).unwrap());

    let mut sign_in = world.begin_with(&request().issuer("https://attacker.example/"));
    let callback = world.allowed(&sign_in.url);
    assert_kind(world.client.complete_browser_login(&mut sign_in.pending, &callback), ErrorKind::InvalidResponse);
    assert_eq!(world.exchanges(), 1);
}

cases!(($) browser_begin_and_complete browser_begin_and_complete_cases {
    state_nonce_and_challenge_never_repeat,
    a_login_begins_at_the_clients_service,
    unusable_requests_are_refused,
    a_code_is_redeemed_once_for_tokens,
    a_token_in_the_callback_needs_no_request,
    a_code_beside_a_token_is_redeemed,
    an_id_token_alone_means_misuse,
    a_denied_login_ends_as_denied,
    another_logins_callback_changes_nothing,
    another_logins_code_cannot_be_redeemed,
    a_callback_completes_its_login_once,
    a_stored_login_can_be_completed_by_another_client,
    a_lost_exchange_is_not_retried,
    an_exchange_that_was_not_sent_is_retried,
    an_unreachable_server_means_not_sent,
    an_expired_code_means_sign_in_required,
    a_refused_code_is_not_sent_again,
    a_code_that_the_server_echoes_is_not_shown,
    another_issuers_callback_sends_nothing,
});
