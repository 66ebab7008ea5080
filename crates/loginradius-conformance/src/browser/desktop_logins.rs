//! Browser logins in one call: `browser_login` with a receiver on this machine, as a desktop program does it.

use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::{AuthorizationResponse, CodeState, Emulator, Fault, Operation, ResponseMode};
use loginradius_proto::browser::loopback::Host;
use loginradius_proto::browser::{AuthorizationRequest, JwtRedirect, ResponseType};
use loginradius_proto::{Api, Error, ErrorKind, Nonce, TokenSet};

use super::{Page, TIMEOUT, assert_free, assert_not_signed_in, assert_signed_in, follow, port, requests_of};
use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::matrix::app;
use crate::receiver::Receiver;

const APIS: [Api; 2] = [Api::Classic, Api::Site];

/// The result of a login, and the last page of its browser.
struct Login {
    result: Result<TokenSet, Error>,
    page: Page,
}

/// Runs a login with `decide` as its user.
fn login<A: Adapter>(
    emulator: &Emulator,
    api: Api,
    request: impl FnOnce(&str) -> AuthorizationRequest,
    decide: impl FnOnce(&str) -> AuthorizationResponse + Send,
) -> Login {
    let client = A::new(app(emulator, api), &Settings::attempts(3)).unwrap();
    let receiver = A::Receiver::bind(0, "/callback").unwrap().timeout(TIMEOUT);
    let request = request(receiver.redirect_uri());
    let port = port(receiver.redirect_uri());
    thread::scope(|scope| {
        let mut browser = None;
        let result = client.browser_login(receiver, &request, |url| {
            let url = url.to_owned();
            browser = Some(scope.spawn(move || follow(&decide(&url))));
            Ok(())
        });
        assert_free(port);
        Login { result, page: browser.expect("the page was not opened").join().unwrap() }
    })
}

fn request(redirect_uri: &str) -> AuthorizationRequest {
    AuthorizationRequest::new(redirect_uri).scope("profile")
}

fn an_allowed_login_yields_tokens<A: Adapter>() {
    for api in APIS {
        let emulator = Emulator::start().unwrap();
        let login = login::<A>(&emulator, api, request, |url| emulator.authorize(url).unwrap());
        assert!(emulator.is_live_access_token(login.result.unwrap().access_token.expose()));
        assert_signed_in(&login.page);
        let codes = emulator.codes();
        assert_eq!((codes.len(), codes[0].sent, codes[0].state), (1, 1, CodeState::Redeemed));
        assert!(codes[0].challenge.is_some());
    }
}

/// The app's address at LoginRadius has to be the receiver's, to the letter.
fn a_login_may_come_back_to_another_name_of_this_machine<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let client = A::new(app(&emulator, Api::Site), &Settings::default()).unwrap();
    let receiver = A::Receiver::bind_to(Host::Localhost, 0, "/callback").unwrap().timeout(TIMEOUT);
    let request = request(receiver.redirect_uri());
    let tokens = thread::scope(|scope| {
        client.browser_login(receiver, &request, |url| {
            let (url, emulator) = (url.to_owned(), &emulator);
            scope.spawn(move || assert_signed_in(&follow(&emulator.authorize(&url).unwrap())));
            Ok(())
        })
    });
    assert!(emulator.is_live_access_token(tokens.unwrap().access_token.expose()));
}

fn a_denied_login_ends_as_denied<A: Adapter>() {
    for api in APIS {
        let emulator = Emulator::start().unwrap();
        let login = login::<A>(&emulator, api, request, |url| emulator.deny_authorization(url).unwrap());
        assert_eq!(login.result.unwrap_err().kind(), ErrorKind::Denied);
        assert_not_signed_in(&login.page);
        assert!(emulator.requests().is_empty());
    }
}

/// By the OpenID specification "OAuth 2.0 Form Post Response Mode".
fn a_code_may_come_in_a_form<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let request = |uri: &str| request(uri).parameter("response_mode", "form_post");
    let login = login::<A>(&emulator, Api::Site, request, |url| emulator.authorize(url).unwrap());
    assert!(emulator.is_live_access_token(login.result.unwrap().access_token.expose()));
    assert_signed_in(&login.page);
}

fn a_token_in_the_callback_needs_no_request<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let request = |uri: &str| request(uri).response_type(ResponseType::Token);
    let login = login::<A>(&emulator, Api::Classic, request, |url| emulator.authorize(url).unwrap());
    assert!(emulator.is_live_access_token(login.result.unwrap().access_token.expose()));
    assert!(emulator.requests().is_empty());
}

/// The browser has its page before the exchange, so that only the program sees the error.
fn a_lost_exchange_means_outcome_unknown<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    emulator.fault(Operation::CodeExchange, Fault::DropAfter);
    let login = login::<A>(&emulator, Api::Site, request, |url| emulator.authorize(url).unwrap());
    assert_eq!(login.result.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_signed_in(&login.page);
    assert_eq!(requests_of(&emulator, Operation::CodeExchange), 1);
}

/// The callback would not reach the receiver, so the login is refused before the browser opens.
fn another_redirect_uri_opens_nothing<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
    let (this, other) = (A::Receiver::bind(0, "/callback").unwrap(), A::Receiver::bind(0, "/callback").unwrap());
    let port_of = |receiver: &A::Receiver| port(receiver.redirect_uri());
    let addresses = [
        other.redirect_uri().to_owned(),
        this.redirect_uri().replace("127.0.0.1", "localhost"),
        format!("{}?a=b", this.redirect_uri()),
        format!("{}/", this.redirect_uri()),
    ];
    drop((this, other));
    for address in addresses {
        let receiver = A::Receiver::bind(0, "/callback").unwrap().timeout(TIMEOUT);
        let port = port_of(&receiver);
        let result = client.browser_login(receiver, &AuthorizationRequest::new(address), |url| panic!("opens {url}"));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Misuse);
        assert_free(port);
    }
    assert!(emulator.requests().is_empty());
}

fn an_unusable_request_opens_nothing<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
    let receiver = A::Receiver::bind(0, "/callback").unwrap().timeout(TIMEOUT);
    let port = port(receiver.redirect_uri());
    let request = request(receiver.redirect_uri()).parameter("state", "mine");
    let result = client.browser_login(receiver, &request, |url| panic!("opens {url}"));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Configuration);
    assert_free(port);
}

fn a_page_that_cannot_be_opened_cancels_the_login<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
    let receiver = A::Receiver::bind(0, "/callback").unwrap().timeout(TIMEOUT);
    let port = port(receiver.redirect_uri());
    let request = request(receiver.redirect_uri());
    let error = client.browser_login(receiver, &request, |_| Err("no browser is installed".into())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no browser is installed");
    assert_free(port);
}

fn a_login_without_a_callback_expires<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
    let timeout = Duration::from_millis(150);
    let receiver = A::Receiver::bind(0, "/callback").unwrap().timeout(timeout);
    let port = port(receiver.redirect_uri());
    let request = request(receiver.redirect_uri());
    let start = Instant::now();
    let mut opened = 0;
    let result = client.browser_login(receiver, &request, |_| {
        opened += 1;
        Ok(())
    });
    assert_eq!((result.unwrap_err().kind(), opened), (ErrorKind::Expired, 1));
    assert!((timeout..timeout + Duration::from_secs(1)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_free(port);
    assert!(emulator.requests().is_empty());
}

/// Checks that a JWT is taken for its own login and not for another: by its nonce at a site, by a state in the
/// redirect URI at the classic API.
fn check_jwt<A: Adapter>(api: Api, mode: ResponseMode) {
    let emulator = Emulator::builder().jwt_response_mode(mode).jwt_response_parameter("the_jwt").start().unwrap();
    let client = A::new(app(&emulator, api), &Settings::default()).unwrap();
    let receiver = A::Receiver::bind(0, "/callback").unwrap().timeout(TIMEOUT);
    let request = JwtRedirect::new(receiver.redirect_uri(), "the_jwt");
    let [mut login, other_login] = [(); 2].map(|()| client.begin_browser_login(&request).unwrap());
    let (received, pages) = thread::scope(|scope| {
        let browser =
            scope.spawn(|| [&other_login.url, &login.url].map(|url| follow(&emulator.authorize(url).unwrap())));
        let received = receiver.receive(&mut login.pending);
        (received, browser.join())
    });
    let received = received.unwrap();
    let [other_page, page] = pages.unwrap();
    assert_eq!(other_page.status, 400);
    assert_signed_in(&page);
    assert_eq!(received.jwt.expose().split('.').filter(|part| !part.is_empty()).count(), 3);
    let nonce = (api == Api::Site).then(|| super::param(&login.url, "nonce"));
    assert_eq!(received.nonce.as_ref().map(Nonce::expose), nonce);
}

fn a_jwt_in_the_query_is_matched_by_its_nonce<A: Adapter>() {
    check_jwt::<A>(Api::Site, ResponseMode::Query);
}

fn a_jwt_in_a_form_is_matched_by_its_nonce<A: Adapter>() {
    check_jwt::<A>(Api::Site, ResponseMode::Post);
}

fn a_jwt_in_the_query_is_matched_by_its_state<A: Adapter>() {
    check_jwt::<A>(Api::Classic, ResponseMode::Query);
}

fn a_jwt_in_a_form_is_matched_by_its_state<A: Adapter>() {
    check_jwt::<A>(Api::Classic, ResponseMode::Post);
}

cases!(($) browser_desktop_logins browser_desktop_logins_cases {
    an_allowed_login_yields_tokens,
    a_login_may_come_back_to_another_name_of_this_machine,
    a_denied_login_ends_as_denied,
    a_code_may_come_in_a_form,
    a_token_in_the_callback_needs_no_request,
    a_lost_exchange_means_outcome_unknown,
    another_redirect_uri_opens_nothing,
    an_unusable_request_opens_nothing,
    a_page_that_cannot_be_opened_cancels_the_login,
    a_login_without_a_callback_expires,
    a_jwt_in_the_query_is_matched_by_its_nonce,
    a_jwt_in_a_form_is_matched_by_its_nonce,
    a_jwt_in_the_query_is_matched_by_its_state,
    a_jwt_in_a_form_is_matched_by_its_state,
});
