//! Secrets are planted wherever there is room for one, every operation succeeds and fails in every way, and
//! everything that can be printed or logged is searched for them.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread;
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};
use loginradius_proto::browser::{AuthorizationRequest, Callback, PendingLogin};
use loginradius_proto::session::{EndReason, SessionEvent};
use loginradius_proto::{Error, RefreshToken, TokenSet};

use crate::adapter::{Adapter, Settings};
use crate::browser::{self, Browser};
use crate::cases::cases;
use crate::faults::Fault;
use crate::operations::{Operation, REFUSED, app, secrets, success};
use crate::receiver::Receiver;
use crate::server::{Server, json};
use crate::session::{OnEvent, Session, SessionSettings, Sessions};
use crate::store::{Store, StoreFault};
use crate::tls::Tls;

/// A line of a log.
struct Line {
    target: String,
    level: Level,
    text: String,
}

/// A logger that keeps every line of every crate.
struct Capture(Mutex<Vec<Line>>);

static LOG: Capture = Capture(Mutex::new(Vec::new()));

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = Line { target: record.target().to_owned(), level: record.level(), text: record.args().to_string() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn flush(&self) {}
}

/// Returns the secrets in a text.
fn found(text: &str) -> Vec<&'static str> {
    secrets::ALL.into_iter().filter(|secret| text.contains(*secret)).collect()
}

fn assert_clean(what: &str, text: &str) {
    assert!(found(text).is_empty(), "{what} shows {:?}: {text}", found(text));
}

/// Checks everything of an error that can be printed, its sources included.
fn check_error(what: &str, error: &Error) {
    assert_clean(what, &format!("{error}\n{error:?}\n{error:#?}"));
    let mut source = error.source();
    while let Some(error) = source {
        assert_clean(what, &format!("{error}\n{error:?}\n{error:#?}"));
        source = error.source();
    }
}

fn call_all<A: Adapter>(what: &str, client: &A, succeed: bool) {
    call(&Operation::all(), what, client, succeed);
}

fn call<A: Adapter>(operations: &[Operation<A>], what: &str, client: &A, succeed: bool) {
    for operation in operations {
        match (operation.call)(client) {
            Ok(()) => assert!(succeed || operation.name == "revoke", "{what}: {} succeeds", operation.name),
            Err(error) => {
                assert!(!succeed, "{what}: {}: {error:?}", operation.name);
                check_error(&format!("{what}: {}", operation.name), &error);
            }
        }
    }
    assert_clean(what, &format!("{client:?}\n{client:#?}"));
}

/// Checks what a session prints: itself, its tokens, its errors.
fn check_session(what: &str, session: &impl Session) {
    assert_clean(what, &format!("{session:?}\n{session:#?}"));
    if let Some(error) = session.save_error() {
        check_error(what, &error);
    }
    match session.tokens() {
        Ok(tokens) => assert_clean(what, &format!("{tokens:?}\n{tokens:#?}")),
        Err(error) => check_error(what, &error),
    }
}

fn check_event(what: &str, event: &SessionEvent) {
    assert_clean(what, &format!("{event:?}\n{event:#?}"));
    match event {
        SessionEvent::RequestFailed { error, .. }
        | SessionEvent::Unsaved { error, .. }
        | SessionEvent::Ended { reason: EndReason::SignInRequired(error), .. } => check_error(what, error),
        _ => {}
    }
}

/// Refreshes and signs out of a session, in this and in another process, whatever the server does.
fn call_sessions<A: Adapter>(what: &str, client: &A) {
    call_session(what, client, None);
}

/// Does the same while the store has a fault.
fn call_session<A: Adapter>(what: &str, client: &A, store_fault: Option<StoreFault>) {
    let what = format!("{what}, {store_fault:?}: session");
    let events = Arc::new(Mutex::new(Vec::new()));
    let notified = Arc::clone(&events);
    // The events are checked at the end: a panic in the callback would not fail this test.
    let on_event: OnEvent = Arc::new(move |_, event| notified.lock().unwrap().push(event.clone()));
    let settings =
        SessionSettings { on_event: Some(on_event), lock_wait: Some(Duration::from_millis(1)), ..Default::default() };
    assert_clean(&what, &client.sessions_builder(&settings));
    let store = Store::new();
    let [sessions, other_sessions] = [(); 2].map(|()| client.sessions(store.clone(), &settings));
    let (session, other_session) = (sessions.session("ada"), other_sessions.session("ada"));
    let mut tokens = TokenSet::new(secrets::ACCESS_TOKEN);
    tokens.refresh_token = Some(RefreshToken::new(secrets::REFRESH_TOKEN));
    tokens.id_token = Some(secrets::IN_RESPONSE.into());
    let rejected = tokens.access_token.clone();
    session.start(&tokens).unwrap();
    if let Some(fault) = store_fault {
        store.set_fault(fault);
    }
    let check = |result: Result<(), Error>| {
        if let Err(error) = result {
            check_error(&what, &error);
        }
        check_session(&what, &session);
    };
    check(session.refresh_rejected(&rejected).map(drop));
    check(session.access_token().map(drop));
    check(other_session.refresh_rejected(&rejected).map(drop));
    check_session(&what, &other_session);
    check(session.flush());
    check(session.sign_out());
    check(other_session.access_token().map(drop));
    assert_clean(&what, &format!("{sessions:?}\n{sessions:#?}"));
    for event in &*events.lock().unwrap() {
        check_event(&what, event);
    }
}

/// Completes browser logins with good and bad callbacks, whatever the server does.
fn call_browser<A: Adapter>(what: &str, client: &A) {
    let what = format!("{what}: browser");
    let callback = Callback::from_query(&format!("code={}&state={}", secrets::CODE, secrets::STATE)).unwrap();
    let other_state =
        Callback::from_query(&format!("code={0}&state={1}x&code={0}", secrets::CODE, secrets::STATE)).unwrap();
    let two_codes =
        Callback::from_query(&format!("code={0}&state={1}&code={0}", secrets::CODE, secrets::STATE)).unwrap();
    let query =
        format!("error=invalid_request&error_description=no:+{0}+{1}&state={0}", secrets::STATE, secrets::VERIFIER);
    let denied = Callback::from_query(&query).unwrap();
    assert_clean(&what, &format!("{callback:?}{callback:#?}"));
    for callbacks in
        [[&other_state, &callback, &callback], [&other_state, &two_codes, &two_codes], [&denied, &denied, &other_state]]
    {
        let mut pending = pending_with_secrets(client, "http://127.0.0.1:8400/callback");
        for callback in callbacks {
            match client.complete_browser_login(&mut pending, callback) {
                Ok(tokens) => assert_clean(&what, &format!("{tokens:?}{tokens:#?}")),
                Err(error) => check_error(&what, &error),
            }
            assert_clean(&what, &format!("{pending:?}{pending:#?}"));
        }
    }
}

/// Does the same through a receiver.
fn receive_callbacks<A: Adapter>(what: &str, client: &A) {
    let what = format!("{what}: receiver");
    let receiver = A::Receiver::bind(0, "/callback").unwrap();
    assert_clean(&what, &format!("{receiver:?}{receiver:#?}"));
    let mut pending = pending_with_secrets(client, receiver.redirect_uri());
    let browser = Browser { port: browser::port(receiver.redirect_uri()), state: secrets::STATE.to_owned() };
    let visits = thread::spawn(move || {
        assert_eq!(browser.visit(&format!("/?code={}&state={}", secrets::CODE, secrets::STATE)).status, 404);
        assert_eq!(browser.visit(&format!("/callback?code={}&state=x{}", secrets::CODE, secrets::STATE)).status, 400);
        assert_eq!(browser.visit(&format!("/callback?code={}&state={}", secrets::CODE, secrets::STATE)).status, 200);
    });
    let authorized = receiver.receive(&mut pending).unwrap();
    visits.join().unwrap();
    assert_clean(&what, &format!("{authorized:?}{authorized:#?}{pending:?}"));

    let receiver = A::Receiver::bind(0, "/callback").unwrap();
    let request = AuthorizationRequest::new(receiver.redirect_uri());
    let port = browser::port(receiver.redirect_uri());
    let mut visit = None;
    let result = client.browser_login(receiver, &request, |url| {
        let browser = Browser { port, state: browser::param(url, "state").to_owned() };
        visit = Some(thread::spawn(move || {
            let callback = format!("/callback?code={}&state={}", secrets::CODE, browser.state);
            assert_eq!(browser.visit(&callback).status, 200);
        }));
        Ok(())
    });
    visit.unwrap().join().unwrap();
    match result {
        Ok(tokens) => assert_clean(&what, &format!("{tokens:?}{tokens:#?}")),
        Err(error) => check_error(&what, &error),
    }
}

/// Makes a pending login whose state and verifier are the secrets. Before, it checks that those of the real login are
/// not printed either.
fn pending_with_secrets<A: Adapter>(client: &A, redirect_uri: &str) -> PendingLogin {
    let request = AuthorizationRequest::new(redirect_uri).scope("openid");
    let login = client.begin_browser_login(&request).unwrap();
    let json = login.pending.to_json();
    let text = |name: &str| {
        let (_, rest) = json.split_once(&format!(r#""{name}":""#)).expect("it is stored");
        rest.split('"').next().unwrap()
    };
    let (state, verifier) = (login.pending.expose_state(), text("code_verifier"));
    let printed = format!("{request:?}{login:?}{login:#?}");
    for generated in [state, verifier, login.pending.nonce().unwrap()] {
        assert!(generated.len() == 43 && !printed.contains(generated), "{printed}");
    }
    PendingLogin::from_json(&json.replace(state, secrets::STATE).replace(verifier, secrets::VERIFIER)).unwrap()
}

fn with_proxy_password(proxy: &Server) -> Settings {
    let url = proxy.url().replace("://", &format!("://user:{}@", secrets::PROXY_PASSWORD));
    Settings { proxy: Some(url), ..Settings::default() }
}

/// Calls every operation over `http` and `https`, without and with a proxy, with every fault of a server.
fn everything<A: Adapter>() {
    let server = Server::responding(|_| json("200 OK", &success()));
    let proxy = Server::responding(|request| {
        format!("HTTP/1.1 407 {0}\r\nX-Echo: {0}\r\nContent-Length: 0\r\n\r\n", request.head.replace("\r\n", " "))
            .into_bytes()
    });
    let settings = with_proxy_password(&proxy);
    assert_clean("builder", &A::builder(app(&server.url()), &settings));
    assert_clean("builder", &A::builder(app("https://acme.invalid"), &settings));
    assert_clean("app", &format!("{0:?}{0:#?}", app(&server.url())));
    call_all("success", &A::new(app(&server.url()), &settings).unwrap(), true);
    for call in [call_browser::<A>, receive_callbacks] {
        call("success", &A::new(app(&server.url()), &settings).unwrap());
    }
    for store_fault in [
        None,
        Some(StoreFault::SaveFailsAfterIntent),
        Some(StoreFault::SaveFails),
        Some(StoreFault::LoadFails),
        Some(StoreFault::LockFails),
    ] {
        call_session("success", &A::new(app(&server.url()), &settings).unwrap(), store_fault);
    }
    call_all("proxy", &A::new(app("https://acme.invalid"), &settings).unwrap(), false);
    call_all("refused", &A::new(app(REFUSED), &settings).unwrap(), false);
    call_sessions("refused", &A::new(app(REFUSED), &settings).unwrap());
    for call in [call_browser::<A>, receive_callbacks] {
        call("refused", &A::new(app(REFUSED), &settings).unwrap());
    }

    let elsewhere = server.url();
    let next = Arc::new(Mutex::new(Fault::Close));
    let fault = Arc::clone(&next);
    let server = Server::start(move |peer| {
        if let Some(request) = peer.request() {
            let fault = *fault.lock().unwrap();
            fault.act(peer, &request, &elsewhere);
        }
    });
    let with_timeout = |millis| Settings { timeout: Duration::from_millis(millis), ..Settings::default() };
    let [impatient, patient] =
        [with_timeout(40), with_timeout(2000)].map(|settings| A::new(app(&server.url()), &settings).unwrap());
    for fault in Fault::ALL {
        *next.lock().unwrap() = fault;
        let client = if fault.is_slow() { &impatient } else { &patient };
        if fault.is_long() {
            call(&[Operation::refresh()], &format!("{fault:?}"), client, false);
        } else {
            call_all(&format!("{fault:?}"), client, false);
            call_sessions(&format!("{fault:?}"), client);
            call_browser(&format!("{fault:?}"), client);
        }
    }

    // Error responses that echo the request and carry an access token besides.
    for (status, member) in [("400 Bad Request", "error_description"), ("500 Error", "Description")] {
        let server = Server::responding(move |request| {
            let text = request.head.lines().next().unwrap_or_default().to_owned()
                + &String::from_utf8_lossy(&request.body).replace('"', "'");
            let data = secrets::IN_RESPONSE;
            json(
                status,
                &format!(r#"{{"error":"no","ErrorCode":908,"{member}":"{text}","Data":{{"access_token":"{data}"}}}}"#),
            )
        });
        call_all(status, &A::new(app(&server.url()), &Settings::default()).unwrap(), false);
        call_sessions(status, &A::new(app(&server.url()), &Settings::default()).unwrap());
        call_browser(status, &A::new(app(&server.url()), &Settings::default()).unwrap());
    }

    // A rejection that echoes the request, and which the session's record stores.
    let server = Server::responding(|request| {
        let text = String::from_utf8_lossy(&request.body).replace('"', "'");
        json("400 Bad Request", &format!(r#"{{"error":"invalid_grant","error_description":"{text}"}}"#))
    });
    call_sessions("invalid_grant", &A::new(app(&server.url()), &Settings::default()).unwrap());

    let tls = Tls::of(&["127.0.0.1"]);
    let server = tls.server();
    let settings = Settings { root_certificates: Some(tls.root.clone()), ..Settings::default() };
    call_all("TLS", &A::new(app(&server.https_url()), &settings).unwrap(), true);
    call_all("untrusted", &A::new(app(&server.https_url()), &Settings::default()).unwrap(), false);
    let server = tls.serve(|_, _| ());
    call_all("closed TLS", &A::new(app(&server.https_url()), &settings).unwrap(), false);
}

/// Returns the lines that are logged while that function runs.
fn logged(level: LevelFilter, act: impl FnOnce()) -> Vec<Line> {
    static START: Once = Once::new();
    START.call_once(|| log::set_logger(&LOG).expect("the canary has a process of its own"));
    log::set_max_level(level);
    LOG.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    // Proves that a secret in a line is found.
    log::debug!(target: "canary", "{}", RefreshToken::new(secrets::REFRESH_TOKEN).expose());
    act();
    std::mem::take(&mut *LOG.0.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Returns the targets whose lines show a secret, each alone or all joined.
fn telltales(lines: &[Line]) -> BTreeSet<&str> {
    let mut telltales = BTreeSet::new();
    let mut dumps = BTreeMap::<&str, String>::new();
    for line in lines {
        if !found(&line.text).is_empty() {
            telltales.insert(line.target.as_str());
        }
        // A dump of bytes has its readable column at the end of the line.
        *dumps.entry(&line.target).or_default() += line.text.rsplit("  ").next().unwrap_or_default();
    }
    telltales.extend(dumps.iter().filter(|(_, text)| !found(text).is_empty()).map(|(target, _)| *target));
    telltales
}

fn nothing_printable_shows_a_secret<A: Adapter>() {
    // There is one logger for all adapters of a process.
    static LOGGER: Mutex<()> = Mutex::new(());
    let _guard = LOGGER.lock().unwrap_or_else(PoisonError::into_inner);

    let lines = logged(LevelFilter::Debug, everything::<A>);
    assert_eq!(telltales(&lines), BTreeSet::from(["canary"]), "at the level Debug");

    let lines = logged(LevelFilter::Trace, everything::<A>);
    let mut known = BTreeSet::from(["canary"]);
    known.extend(A::TELLTALE_LOGS);
    assert_eq!(telltales(&lines), known, "at the level Trace");
    let all: BTreeSet<_> = lines.iter().map(|line| (line.target.as_str(), line.level)).collect();
    println!("{all:?}");
}

cases!(($) canary canary_cases {
    nothing_printable_shows_a_secret,
});
