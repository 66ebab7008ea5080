//! Browser logins in two calls: `begin_browser_login` and `complete_browser_login`.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use loginradius_emulator::{self as emulator, CodeState, Emulator, Fault, Operation, seeded};
use loginradius_proto::browser::{
    AuthorizationRequest, BrowserLogin, Callback, JwtRedirect, Pending as _, PendingLogin, ResponseType,
};
use loginradius_proto::session::Now;
use loginradius_proto::{Api, App, Error, ErrorKind, Retry, Service, TokenSet};

use super::{Clock, free_port, param, requests_of};
use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::matrix::app;

const APIS: [Api; 2] = [Api::Classic, Api::Site];
const REDIRECT_URI: &str = "http://127.0.0.1:8400/callback";

/// A server and its client.
struct Fixture<A> {
    emulator: Emulator,
    client: A,
}

impl<A: Adapter> Fixture<A> {
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

    /// Lets the user allow the login. Returns the callback.
    fn allowed(&self, url: &str) -> Callback {
        Callback::from_url(&self.emulator.authorize(url).unwrap().url).unwrap()
    }

    /// Begins a login and lets the user allow it. Returns the pending login, the callback and its code.
    fn called_back(&self) -> (PendingLogin, Callback, String) {
        let login = self.begin();
        let callback = self.allowed(&login.url);
        (login.pending, callback, self.emulator.codes().last().unwrap().code.clone())
    }

    fn exchanges(&self) -> usize {
        requests_of(&self.emulator, Operation::CodeExchange)
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

/// In a thousand logins.
fn state_nonce_and_challenge_never_repeat<A: Adapter>() {
    let fixture = Fixture::<A>::new(Api::Site);
    let request = AuthorizationRequest::new(REDIRECT_URI).scope("openid");
    let mut seen = HashSet::new();
    for _ in 0..1000 {
        let login = fixture.begin_with(&request);
        for name in ["state", "nonce", "code_challenge"] {
            let value = param(&login.url, name);
            assert_eq!(value.len(), 43, "{name}");
            assert!(seen.insert(value.to_owned()), "{name} came twice");
        }
        assert_eq!(login.pending.expose_state(), param(&login.url, "state"));
        assert_eq!(login.pending.nonce(), Some(param(&login.url, "nonce")));
    }
    assert!(fixture.emulator.requests().is_empty(), "beginning a login sends nothing");
}

fn a_login_begins_at_the_clients_service<A: Adapter>() {
    for (api, oauth, jwt) in [
        (Api::Classic, "/sso/oauth/redirect?", "/sso/jwt/redirect/token?"),
        (Api::Site, "/service/oauth/demo-oauth-app/authorize?", "/service/jwt/demo-jwt-app/authorize?"),
    ] {
        let fixture = Fixture::<A>::new(api);
        let base = fixture.emulator.base_url();
        let login = fixture.begin();
        assert!(login.url.starts_with(&format!("{base}{oauth}")), "{}", login.url);
        assert_eq!(param(&login.url, "client_id"), seeded::CLIENT_ID);
        assert_eq!(param(&login.url, "redirect_uri"), "http%3A%2F%2F127.0.0.1%3A8400%2Fcallback");
        assert!(!login.url.contains(seeded::CLIENT_SECRET));
        let login = fixture.client.begin_browser_login(&JwtRedirect::new(REDIRECT_URI, "token")).unwrap();
        assert!(login.url.starts_with(&format!("{base}{jwt}")), "{}", login.url);
    }
}

fn unusable_requests_are_refused<A: Adapter>() {
    let fixture = Fixture::<A>::new(Api::Classic);
    for request in [
        AuthorizationRequest::new(""),
        AuthorizationRequest::new("http://app.example/callback"),
        AuthorizationRequest::new(REDIRECT_URI).parameter("state", "mine"),
    ] {
        let error = assert_kind(fixture.client.begin_browser_login(&request), ErrorKind::Configuration);
        assert!(error.api_error().is_none());
    }
    assert_kind(fixture.client.begin_browser_login(&JwtRedirect::new(REDIRECT_URI, "")), ErrorKind::Configuration);
}

/// With the PKCE verifier, and with the client secret if there is one.
fn a_code_is_redeemed_once_for_tokens<A: Adapter>() {
    for api in APIS {
        for with_secret in [true, false] {
            let fixture = Fixture::<A>::with(Emulator::builder(), &Settings::default(), |emulator| match with_secret {
                true => app(emulator, api),
                false => public_app(emulator, api),
            });
            let (mut pending, callback, _) = fixture.called_back();
            let tokens = fixture.client.complete_browser_login(&mut pending, &callback).unwrap();
            fixture.assert_live(&tokens);
            assert!(fixture.emulator.is_live_refresh_token(tokens.refresh_token.as_ref().unwrap().expose()));
            assert!(tokens.requested_at.is_some());
            let codes = fixture.emulator.codes();
            assert_eq!((codes.len(), codes[0].sent, codes[0].state), (1, 1, CodeState::Redeemed));
            assert_eq!(codes[0].scope.as_deref(), Some("profile email"));
            let requests = fixture.emulator.requests();
            let [exchange] = requests.as_slice() else { panic!("{requests:?}") };
            assert_eq!(exchange.param("client_secret"), with_secret.then_some(seeded::CLIENT_SECRET));
            assert_eq!(exchange.param("code_verifier").map(str::len), Some(43));
            assert_eq!(exchange.param("redirect_uri"), Some(REDIRECT_URI));
        }
    }
}

/// Makes an app without a client secret.
fn public_app(emulator: &Emulator, api: Api) -> App {
    let service = match api {
        Api::Classic => Service::classic_at(emulator.base_url()).unwrap(),
        _ => Service::site_at(emulator.base_url()).unwrap(),
    };
    App::new(seeded::CLIENT_ID).with_oauth_app(seeded::OAUTH_APP).with_service(service)
}

fn a_token_in_the_callback_needs_no_request<A: Adapter>() {
    for api in APIS {
        let fixture = Fixture::<A>::new(api);
        let request = AuthorizationRequest::new(REDIRECT_URI).response_type(ResponseType::Token);
        let mut login = fixture.begin_with(&request);
        let callback = fixture.allowed(&login.url);
        let tokens = fixture.client.complete_browser_login(&mut login.pending, &callback).unwrap();
        fixture.assert_live(&tokens);
        assert!(fixture.emulator.requests().is_empty());
    }
}

/// The exchange also yields a refresh token, which a browser must not see.
fn a_code_beside_a_token_is_redeemed<A: Adapter>() {
    for api in APIS {
        let fixture = Fixture::<A>::new(api);
        let request = AuthorizationRequest::new(REDIRECT_URI).response_type(ResponseType::CodeToken);
        let mut login = fixture.begin_with(&request);
        let landing = fixture.emulator.authorize(&login.url).unwrap();
        let callback = Callback::from_url(&landing.url).unwrap();
        let tokens = fixture.client.complete_browser_login(&mut login.pending, &callback).unwrap();
        fixture.assert_live(&tokens);
        assert!(tokens.refresh_token.is_some());
        assert_ne!(Some(tokens.access_token.expose()), landing.param("token").as_deref());
        assert_eq!(fixture.exchanges(), 1);
    }
}

fn an_id_token_alone_means_misuse<A: Adapter>() {
    let fixture = Fixture::<A>::new(Api::Classic);
    let request = AuthorizationRequest::new(REDIRECT_URI).scope("openid").response_type(ResponseType::IdToken);
    let mut login = fixture.begin_with(&request);
    let query = format!("id_token=a.b.c&state={}", login.pending.expose_state());
    let callback = Callback::from_query(&query).unwrap();
    assert_kind(fixture.client.complete_browser_login(&mut login.pending, &callback), ErrorKind::Misuse);
    assert!(fixture.emulator.requests().is_empty());
}

fn a_denied_login_ends_as_denied<A: Adapter>() {
    for api in APIS {
        let fixture = Fixture::<A>::new(api);
        let mut login = fixture.begin();
        let landing = fixture.emulator.deny_authorization(&login.url).unwrap();
        let callback = Callback::from_url(&landing.url).unwrap();
        let error =
            assert_kind(fixture.client.complete_browser_login(&mut login.pending, &callback), ErrorKind::Denied);
        assert_eq!(error.api_error().unwrap().oauth_error.as_deref(), Some("access_denied"));
        assert_kind(fixture.client.complete_browser_login(&mut login.pending, &callback), ErrorKind::AlreadyCompleted);
        assert!(fixture.emulator.requests().is_empty());
    }
}

/// It sends nothing, and the login can still be completed.
fn another_logins_callback_changes_nothing<A: Adapter>() {
    let fixture = Fixture::<A>::new(Api::Classic);
    let (mut pending, callback, code) = fixture.called_back();
    let (mut other_pending, other_callback, _) = fixture.called_back();
    let mismatches = [
        other_callback.clone(),
        Callback::from_query("").unwrap(),
        Callback::from_query(&format!("code={code}")).unwrap(),
        Callback::from_query(&format!("code={code}&state=")).unwrap(),
        Callback::from_query(&format!("code={code}&state={}", "A".repeat(43))).unwrap(),
        Callback::from_query("error=access_denied").unwrap(),
    ];
    for mismatch in &mismatches {
        assert_kind(fixture.client.complete_browser_login(&mut pending, mismatch), ErrorKind::StateMismatch);
    }
    assert!(fixture.emulator.requests().is_empty());
    fixture.assert_live(&fixture.client.complete_browser_login(&mut pending, &callback).unwrap());
    fixture.assert_live(&fixture.client.complete_browser_login(&mut other_pending, &other_callback).unwrap());
}

/// PKCE makes a code useless to an attacker who brings it to a login of their own.
fn another_logins_code_cannot_be_redeemed<A: Adapter>() {
    for api in APIS {
        let fixture = Fixture::<A>::new(api);
        let (_, _, stolen) = fixture.called_back();
        let mut attacker = fixture.begin();
        let query = format!("code={stolen}&state={}", attacker.pending.expose_state());
        let callback = Callback::from_query(&query).unwrap();
        let error = fixture.client.complete_browser_login(&mut attacker.pending, &callback).unwrap_err();
        assert!(error.api_error().is_some(), "{error:?}");
        assert_eq!(fixture.emulator.live_logins(), 0);
    }
}

fn a_callback_completes_its_login_once<A: Adapter>() {
    let fixture = Fixture::<A>::new(Api::Classic);
    let (mut pending, callback, _) = fixture.called_back();
    let tokens = fixture.client.complete_browser_login(&mut pending, &callback).unwrap();
    for _ in 0..3 {
        assert_kind(fixture.client.complete_browser_login(&mut pending, &callback), ErrorKind::AlreadyCompleted);
    }
    assert_eq!((fixture.exchanges(), fixture.emulator.codes()[0].sent), (1, 1));
    assert_eq!(fixture.emulator.counters().code_replays, 0);
    fixture.assert_live(&tokens);
}

fn a_stored_login_can_be_completed_by_another_client<A: Adapter>() {
    let fixture = Fixture::<A>::new(Api::Site);
    let (pending, callback, _) = fixture.called_back();
    let stored = pending.to_json();
    drop(pending);
    let other_client = A::new(app(&fixture.emulator, Api::Site), &Settings::default()).unwrap();
    let mut pending = PendingLogin::from_json(&stored).unwrap();
    fixture.assert_live(&other_client.complete_browser_login(&mut pending, &callback).unwrap());
}

/// A login that began and is completed in one process lasts ten minutes by its monotonic clock.
fn a_clock_that_is_set_neither_ends_nor_prolongs_a_login<A: Adapter>() {
    let fixture = Fixture::<A>::new(Api::Classic);
    for clock in [Clock::SetForward, Clock::SetBack] {
        let mut login = clock.begin(&app(&fixture.emulator, Api::Classic), &AuthorizationRequest::new(REDIRECT_URI));
        let callback = fixture.allowed(&login.url);
        fixture.assert_live(&fixture.client.complete_browser_login(&mut login.pending, &callback).unwrap());
    }
    for (minutes, expected) in [(9, None), (11, Some(ErrorKind::Expired))] {
        let mut login = fixture.begin();
        let callback = fixture.allowed(&login.url);
        let hour = Duration::from_secs(3600);
        let later = Instant::now() + Duration::from_secs(60 * minutes);
        let accepted = login.pending.accept(&callback, Now::new(later, SystemTime::now() - hour));
        assert_eq!(accepted.err().map(|error| error.kind()), expected);
    }
}

/// The code may be consumed: it is not sent again, nor by a second call.
fn a_lost_exchange_is_not_retried<A: Adapter>() {
    let faults = [Fault::DropBefore, Fault::DropAfter, Fault::Truncated];
    let fixture = Fixture::<A>::attempts(3);
    for (number, fault) in faults.into_iter().enumerate() {
        let (mut pending, callback, code) = fixture.called_back();
        fixture.emulator.fault(Operation::CodeExchange, fault.clone());
        let error =
            assert_kind(fixture.client.complete_browser_login(&mut pending, &callback), ErrorKind::OutcomeUnknown);
        assert_clean(&error, &code);
        assert_kind(fixture.client.complete_browser_login(&mut pending, &callback), ErrorKind::AlreadyCompleted);
        assert_eq!(fixture.exchanges(), number + 1, "{fault:?}");
        let codes = fixture.emulator.codes();
        assert!(codes.last().unwrap().sent <= 1, "{codes:?}");
        fixture.emulator.clear_faults();
    }
}

/// No server listens at first; the exchange is sent once one does.
fn an_exchange_that_was_not_sent_is_retried<A: Adapter>() {
    let port = free_port();
    let service = Service::classic_at(&format!("http://127.0.0.1:{port}")).unwrap();
    let wait = Duration::from_millis(20);
    let retry = Retry::default().with_attempts(100).with_first_wait(wait).with_max_wait(wait);
    let settings = Settings { retry, ..Settings::default() };
    let client = A::new(App::new(seeded::CLIENT_ID).with_service(service), &settings).unwrap();
    let mut login = client.begin_browser_login(&AuthorizationRequest::new(REDIRECT_URI)).unwrap();
    let query = format!("code=made-up&state={}", login.pending.expose_state());
    let late_server = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        Emulator::builder().port(port).start().unwrap()
    });
    let error = client.complete_browser_login(&mut login.pending, &Callback::from_query(&query).unwrap()).unwrap_err();
    assert!(error.api_error().is_some(), "not LoginRadius's response: {error:?}");
    assert_eq!(requests_of(&late_server.join().unwrap(), Operation::CodeExchange), 1);
}

fn an_unreachable_server_means_not_sent<A: Adapter>() {
    let fixture = Fixture::<A>::attempts(2);
    let (mut pending, callback, code) = fixture.called_back();
    drop(fixture.emulator);
    let error = assert_kind(fixture.client.complete_browser_login(&mut pending, &callback), ErrorKind::NotSent);
    assert_clean(&error, &code);
    assert_kind(fixture.client.complete_browser_login(&mut pending, &callback), ErrorKind::AlreadyCompleted);
}

fn an_expired_code_means_sign_in_required<A: Adapter>() {
    for api in APIS {
        let fixture = Fixture::<A>::new(api);
        let (mut pending, callback, code) = fixture.called_back();
        fixture.emulator.advance(Duration::from_secs(60));
        let error =
            assert_kind(fixture.client.complete_browser_login(&mut pending, &callback), ErrorKind::SignInRequired);
        assert_clean(&error, &code);
        assert_eq!(fixture.emulator.codes()[0].sent, 1);
    }
}

fn a_refused_code_is_not_sent_again<A: Adapter>() {
    let fixture = Fixture::<A>::attempts(3);
    let mut login = fixture.begin();
    let query = format!("code=no-such-code&state={}", login.pending.expose_state());
    let callback = Callback::from_query(&query).unwrap();
    let error =
        assert_kind(fixture.client.complete_browser_login(&mut login.pending, &callback), ErrorKind::SignInRequired);
    assert!(error.api_error().is_some());
    assert_clean(&error, "no-such-code");
    assert_eq!(fixture.exchanges(), 1);
}

fn a_code_that_the_server_echoes_is_not_shown<A: Adapter>() {
    let fixture = Fixture::<A>::attempts(3);
    for (status, name) in [(400, "error_description"), (500, "error_description"), (403, "Description")] {
        let (mut pending, callback, code) = fixture.called_back();
        let body = format!(r#"{{"error":"invalid_grant","ErrorCode":908,"{name}":"the code {code} is bad"}}"#);
        fixture.emulator.fault(Operation::CodeExchange, Fault::Respond { status, headers: Vec::new(), body });
        let before = fixture.exchanges();
        assert_clean(&fixture.client.complete_browser_login(&mut pending, &callback).unwrap_err(), &code);
        assert_eq!(fixture.exchanges() - before, 1, "{status}");
        fixture.emulator.clear_faults();
    }
}

fn assert_clean(error: &Error, code: &str) {
    let text = format!("{error}\n{error:?}\n{error:#?}\n{:?}", std::error::Error::source(error));
    assert!(!text.contains(code), "{text}");
}

/// RFC 9207.
fn another_issuers_callback_sends_nothing<A: Adapter>() {
    let builder = Emulator::builder().issuer_in_authorization_response(true);
    let fixture = Fixture::<A>::with(builder, &Settings::default(), |emulator| app(emulator, Api::Site));
    let request = || AuthorizationRequest::new(REDIRECT_URI);
    let mut login = fixture.begin_with(&request().require_issuer(fixture.emulator.issuer()));
    let callback = fixture.allowed(&login.url);
    fixture.assert_live(&fixture.client.complete_browser_login(&mut login.pending, &callback).unwrap());

    let mut login = fixture.begin_with(&request().issuer("https://attacker.example/"));
    let callback = fixture.allowed(&login.url);
    assert_kind(fixture.client.complete_browser_login(&mut login.pending, &callback), ErrorKind::InvalidResponse);
    assert_eq!(fixture.exchanges(), 1);
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
    a_clock_that_is_set_neither_ends_nor_prolongs_a_login,
    a_lost_exchange_is_not_retried,
    an_exchange_that_was_not_sent_is_retried,
    an_unreachable_server_means_not_sent,
    an_expired_code_means_sign_in_required,
    a_refused_code_is_not_sent_again,
    a_code_that_the_server_echoes_is_not_shown,
    another_issuers_callback_sends_nothing,
});
