//! Logins through a browser: what the request, the callback and the receiver can be.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant, SystemTime};

use loginradius_conformance::{Adapter, Receiver as _, Settings, secrets};
use loginradius_emulator::{Emulator, Operation};
use loginradius_proto::browser::loopback::redirect_uri;
use loginradius_proto::browser::{
    AuthorizationRequest, BrowserLogin, BrowserRequest as _, Callback, Pending as _, PendingLogin, RandomBytes,
    ResponseType,
};
use loginradius_proto::session::Now;
use loginradius_proto::{App, Error};

use crate::case::{Case, REFUSED, Said, app, case};
use crate::logins::{app_at, client_of};

const CALLBACK: &str = "http://127.0.0.1:8400/callback";

/// Begins a login at that moment.
fn begun(now: Now) -> BrowserLogin<PendingLogin> {
    let random = RandomBytes::new(std::array::from_fn(|byte| byte as u8)).unwrap();
    AuthorizationRequest::new(CALLBACK).begin(&app(REFUSED), &random, now).unwrap()
}

fn now() -> Now {
    Now::new(Instant::now(), SystemTime::now())
}

/// Begins a login now, and accepts a callback with these parameters and its state.
fn called_back(parameters: &str) -> Said {
    let mut pending = begun(now()).pending;
    let state = pending.expose_state().to_owned();
    let callback = Callback::from_query(&format!("{parameters}&state={state}")).unwrap();
    Said::of(&pending.accept(&callback, now()).unwrap_err()).without(&state)
}

/// Refuses a request at its beginning.
fn refused(request: &AuthorizationRequest) -> Error {
    refused_of(&app(REFUSED), request)
}

fn refused_of(app: &App, request: &AuthorizationRequest) -> Error {
    let random = RandomBytes::new(std::array::from_fn(|byte| byte as u8)).unwrap();
    request.begin(app, &random, now()).unwrap_err()
}

pub(crate) fn cases() -> Vec<Case> {
    [requests(), callbacks(), receivers(), whole_logins()].into_iter().flatten().collect()
}

fn requests() -> Vec<Case> {
    vec![
        case!("the redirect URI is http", { refused(&AuthorizationRequest::new("http://app.example.com/callback")) }),
        case!("the redirect URI has no scheme", { refused(&AuthorizationRequest::new("app.example.com/callback")) }),
        case!("the redirect URI has a fragment", {
            refused(&AuthorizationRequest::new("https://app.example.com/#/callback"))
        }),
        case!("the redirect URI is empty", { refused(&AuthorizationRequest::new("")) }),
        case!("the redirect URI has an untouched placeholder", {
            refused(&AuthorizationRequest::new("https://{host}/callback"))
        }),
        case!("a site without the OAuth app's name", {
            let site = loginradius_proto::Service::site("acme.hub.loginradius.com").unwrap();
            refused_of(&App::new("my-client-id").with_service(site), &AuthorizationRequest::new(CALLBACK))
        }),
        case!("the callback's port is zero", { redirect_uri(0, "/callback").unwrap_err() }),
    ]
}

fn callbacks() -> Vec<Case> {
    fn read(text: &str) -> Said {
        Said::of(&Callback::from_query(text).unwrap_err()).without(secrets::CODE)
    }
    vec![
        case!("a full URL given to from_query", {
            read(&format!("{CALLBACK}?code={}&state={}", secrets::CODE, secrets::STATE))
        }),
        case!("the first line of a request given to from_query", {
            read(&format!("GET /callback?code={}&state={} HTTP/1.1", secrets::CODE, secrets::STATE))
        }),
        case!("a query that is still percent-encoded", {
            read(&format!("code%3D{}%26state%3D{}", secrets::CODE, secrets::STATE))
        }),
        case!("a query given to from_url", {
            let query = format!("code={}&state={}", secrets::CODE, secrets::STATE);
            Callback::from_url(&query).unwrap_err()
        }),
        case!("a callback with the state of another login", {
            let callback = Callback::from_query(&format!("code={}&state={}", secrets::CODE, secrets::STATE)).unwrap();
            begun(now()).pending.accept(&callback, now()).unwrap_err()
        }),
        case!("a callback of which only the code was passed on", {
            begun(now()).pending.accept(&Callback::from_query(secrets::CODE).unwrap(), now()).unwrap_err()
        }),
        case!("a callback twice", {
            let mut pending = begun(now()).pending;
            let query = format!("code={}&state={}", secrets::CODE, pending.expose_state());
            let callback = Callback::from_query(&query).unwrap();
            pending.accept(&callback, now()).unwrap();
            pending.accept(&callback, now()).unwrap_err()
        }),
        case!("a callback after ten minutes", {
            let began = now();
            let mut pending = begun(began).pending;
            let query = format!("code={}&state={}", secrets::CODE, pending.expose_state());
            let later = Duration::from_secs(601);
            let later = Now::new(began.monotonic + later, began.wall + later);
            pending.accept(&Callback::from_query(&query).unwrap(), later).unwrap_err()
        }),
        case!("a callback without a code", { called_back("scope=email") }),
        case!("a callback with two codes", {
            called_back(&format!("code={}&code={}", secrets::CODE, secrets::VERIFIER))
        }),
        case!("the user does not allow the login", {
            called_back("error=access_denied&error_description=The+user+denied+the+request")
        }),
        case!("a callback about a PKCE method that is unknown", {
            called_back("error=invalid_request&error_description=Transform+algorithm+not+supported")
        }),
        case!("a callback about an error of the server", { called_back("error=server_error") }),
        case!("a callback about a client that is unknown", { called_back("error=unauthorized_client") }),
        case!("a callback of another issuer", {
            let random = RandomBytes::new(std::array::from_fn(|byte| byte as u8)).unwrap();
            let request = AuthorizationRequest::new(CALLBACK).issuer("https://acme.hub.loginradius.com/");
            let mut pending = request.begin(&app(REFUSED), &random, now()).unwrap().pending;
            let query = format!("code={}&state={}&iss=https://evil.example/", secrets::CODE, pending.expose_state());
            pending.accept(&Callback::from_query(&query).unwrap(), now()).unwrap_err()
        }),
        case!("a stored login that was cut off", {
            let json = begun(now()).pending.to_json();
            PendingLogin::from_json(&json[..json.len() / 2]).map(drop).unwrap_err()
        }),
        case!("a stored login that was changed", {
            let json = begun(now()).pending.to_json().replace(CALLBACK, "http://evil.example/");
            PendingLogin::from_json(&json).map(drop).unwrap_err()
        }),
    ]
}

fn receivers() -> Vec<Case> {
    vec![
        case!("the port of the callback is taken", <A> {
            let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = taken.local_addr().unwrap().port();
            A::Receiver::bind(port, "/callback").map(drop).unwrap_err()
        }),
        case!("the callback does not come in time", <A> {
            let receiver = A::Receiver::bind(0, "/callback").unwrap().timeout(Duration::from_millis(200));
            receiver.receive(&mut begun(now()).pending).unwrap_err()
        }),
    ]
}

fn whole_logins() -> Vec<Case> {
    fn login<A: Adapter>(act: impl FnOnce(&Emulator), open: impl FnOnce(&str) -> Result<(), &'static str>) -> Error {
        let emulator = Emulator::start().unwrap();
        act(&emulator);
        let receiver = A::Receiver::bind(0, "/callback").unwrap().timeout(Duration::from_millis(500));
        let request = AuthorizationRequest::new(receiver.redirect_uri());
        let client = client_of::<A>(&emulator);
        client.browser_login(receiver, &request, |url| open(url).map_err(Into::into)).unwrap_err()
    }
    vec![
        case!("the browser cannot be opened", <A> { login::<A>(|_| (), |_| Err("no display")) }),
        case!("the user closes the browser", <A> { login::<A>(|_| (), |_| Ok(())) }),
        case!("the request's redirect URI is not the receiver's", <A> {
            let client = A::new(app(REFUSED), &Settings::default()).unwrap();
            let receiver = A::Receiver::bind(0, "/callback").unwrap();
            client.browser_login(receiver, &AuthorizationRequest::new(CALLBACK), |_| Ok(())).unwrap_err()
        }),
        case!("the code of a callback was redeemed by another program", <A> {
            let emulator = Emulator::start().unwrap();
            let client = client_of::<A>(&emulator);
            let mut login = client.begin_browser_login(&AuthorizationRequest::new(CALLBACK)).unwrap();
            let landing = emulator.authorize(&login.url).unwrap();
            let callback = Callback::from_url(&landing.url).unwrap();
            let json = login.pending.to_json();
            client.complete_browser_login(&mut PendingLogin::from_json(&json).unwrap(), &callback).unwrap();
            client.complete_browser_login(&mut login.pending, &callback).unwrap_err()
        }),
        case!("an id_token alone is asked for, and tokens are expected", <A> {
            let emulator = Emulator::start().unwrap();
            let client = A::new(app_at(&emulator), &Settings::default()).unwrap();
            let request = AuthorizationRequest::new(CALLBACK).response_type(ResponseType::IdToken);
            let mut login = client.begin_browser_login(&request).unwrap();
            let query = format!("id_token={}&state={}", secrets::IN_RESPONSE, login.pending.expose_state());
            let callback = Callback::from_query(&query).unwrap();
            client.complete_browser_login(&mut login.pending, &callback).unwrap_err()
        }),
        case!("the token endpoint fails after the callback", <A> {
            let emulator = Emulator::start().unwrap();
            let client = client_of::<A>(&emulator);
            let mut login = client.begin_browser_login(&AuthorizationRequest::new(CALLBACK)).unwrap();
            let callback = Callback::from_url(&emulator.authorize(&login.url).unwrap().url).unwrap();
            emulator.fault(Operation::CodeExchange, loginradius_emulator::Fault::Status(503));
            client.complete_browser_login(&mut login.pending, &callback).unwrap_err()
        }),
    ]
}
