//! Secrets are planted wherever one can be, everything goes right and wrong, and whatever can be printed
//! is searched for them.

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
use crate::browser::{self, Place};
use crate::cases::cases;
use crate::faults::Fault;
use crate::operations::{Operation, REFUSED, app, secrets, success};
use crate::receiver::Receiver;
use crate::server::{Server, json};
use crate::session::{OnEvent, Session, SessionSettings, Sessions};
use crate::store::{Store, Trouble};
use crate::tls::Tls;

/// A line of a log.
struct Line {
    target: String,
    level: Level,
    text: String,
}

/// Keeps every line of every crate.
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

/// The secrets in a text.
fn found(text: &str) -> Vec<&'static str> {
    secrets::ALL.into_iter().filter(|secret| text.contains(*secret)).collect()
}

fn assert_clean(what: &str, text: &str) {
    assert!(found(text).is_empty(), "{what} shows {:?}: {text}", found(text));
}

/// Everything of an error that can be printed, its sources included.
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

/// What a session prints: itself, its tokens, its events, its errors.
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

/// A session is refreshed and signed out of, here and in another process, while the server does what it does.
fn call_sessions<A: Adapter>(what: &str, client: &A) {
    call_session(what, client, None);
}

/// The same while the store has a trouble.
fn call_session<A: Adapter>(what: &str, client: &A, trouble: Option<Trouble>) {
    let what = format!("{what}, {trouble:?}: session");
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    // A panic in there is not one of this test.
    let on_event: OnEvent = Arc::new(move |_, event| hears.lock().unwrap().push(event.clone()));
    let settings =
        SessionSettings { on_event: Some(on_event), lock_wait: Some(Duration::from_millis(1)), ..Default::default() };
    assert_clean(&what, &client.sessions_builder(&settings));
    let store = Store::new();
    let [sessions, others] = [(); 2].map(|()| client.sessions(store.clone(), &settings));
    let (session, other) = (sessions.session("ada"), others.session("ada"));
    let mut tokens = TokenSet::new(secrets::ACCESS_TOKEN);
    tokens.refresh_token = Some(RefreshToken::new(secrets::REFRESH_TOKEN));
    tokens.id_token = Some(secrets::ANSWERED.into());
    let failed = tokens.access_token.clone();
    session.start(&tokens).unwrap();
    if let Some(trouble) = trouble {
        store.trouble(trouble);
    }
    let check = |result: Result<(), Error>| {
        if let Err(error) = result {
            check_error(&what, &error);
        }
        check_session(&what, &session);
    };
    check(session.refresh_rejected(&failed).map(drop));
    check(session.access_token().map(drop));
    check(other.refresh_rejected(&failed).map(drop));
    check_session(&what, &other);
    check(session.flush());
    check(session.sign_out());
    check(other.access_token().map(drop));
    assert_clean(&what, &format!("{sessions:?}\n{sessions:#?}"));
    for event in &*told.lock().unwrap() {
        check_event(&what, event);
    }
}

/// Callbacks come to the client, with a code that is exchanged while the server does what it does.
fn call_browser<A: Adapter>(what: &str, client: &A) {
    let what = format!("{what}: browser");
    let callback = Callback::from_query(&format!("code={}&state={}", secrets::CODE, secrets::STATE)).unwrap();
    let strange =
        Callback::from_query(&format!("code={0}&state={1}x&code={0}", secrets::CODE, secrets::STATE)).unwrap();
    let bad = Callback::from_query(&format!("code={0}&state={1}&code={0}", secrets::CODE, secrets::STATE)).unwrap();
    let query =
        format!("error=invalid_request&error_description=no:+{0}+{1}&state={0}", secrets::STATE, secrets::VERIFIER);
    let refused = Callback::from_query(&query).unwrap();
    assert_clean(&what, &format!("{callback:?}{callback:#?}"));
    for callbacks in [[&strange, &callback, &callback], [&strange, &bad, &bad], [&refused, &refused, &strange]] {
        let mut pending = planted(client, "http://127.0.0.1:8400/callback");
        for callback in callbacks {
            match client.complete_browser_login(&mut pending, callback) {
                Ok(tokens) => assert_clean(&what, &format!("{tokens:?}{tokens:#?}")),
                Err(error) => check_error(&what, &error),
            }
            assert_clean(&what, &format!("{pending:?}{pending:#?}"));
        }
    }
}

/// The same through a receiver.
fn receive_callbacks<A: Adapter>(what: &str, client: &A) {
    let what = format!("{what}: receiver");
    let receiver = A::Receiver::bind(0, "/callback").unwrap();
    assert_clean(&what, &format!("{receiver:?}{receiver:#?}"));
    let mut pending = planted(client, receiver.redirect_uri());
    let place = Place { port: browser::port(receiver.redirect_uri()), state: secrets::STATE.to_owned() };
    let browser = thread::spawn(move || {
        assert_eq!(place.visit(&format!("/?code={}&state={}", secrets::CODE, secrets::STATE)).status, 404);
        assert_eq!(place.visit(&format!("/callback?code={}&state=x{}", secrets::CODE, secrets::STATE)).status, 400);
        assert_eq!(place.visit(&format!("/callback?code={}&state={}", secrets::CODE, secrets::STATE)).status, 200);
    });
    let authorized = receiver.receive(&mut pending).unwrap();
    browser.join().unwrap();
    assert_clean(&what, &format!("{authorized:?}{authorized:#?}{pending:?}"));

    let receiver = A::Receiver::bind(0, "/callback").unwrap();
    let request = AuthorizationRequest::new(receiver.redirect_uri());
    let port = browser::port(receiver.redirect_uri());
    let mut browser = None;
    let result = client.browser_login(receiver, &request, |url| {
        let place = Place { port, state: browser::param(url, "state").to_owned() };
        browser = Some(thread::spawn(move || {
            let target = format!("/callback?code={}&state={}", secrets::CODE, place.state);
            assert_eq!(place.visit(&target).status, 200);
        }));
    });
    browser.unwrap().join().unwrap();
    match result {
        Ok(tokens) => assert_clean(&what, &format!("{tokens:?}{tokens:#?}")),
        Err(error) => check_error(&what, &error),
    }
}

/// A sign-in with a state and a verifier that can be searched for. What was made for it shows nothing either.
fn planted<A: Adapter>(client: &A, redirect_uri: &str) -> PendingLogin {
    let request = AuthorizationRequest::new(redirect_uri).scope("openid");
    let sign_in = client.begin_browser_login(&request).unwrap();
    let json = sign_in.pending.to_json();
    let text = |name: &str| {
        let (_, rest) = json.split_once(&format!(r#""{name}":""#)).expect("it is stored");
        rest.split('"').next().unwrap()
    };
    let (state, verifier) = (sign_in.pending.expose_state(), text("code_verifier"));
    let printed = format!("{request:?}{sign_in:?}{sign_in:#?}");
    for made in [state, verifier, sign_in.pending.nonce().unwrap()] {
        assert!(made.len() == 43 && !printed.contains(made), "{printed}");
    }
    PendingLogin::from_json(&json.replace(state, secrets::STATE).replace(verifier, secrets::VERIFIER)).unwrap()
}

fn with_proxy_password(proxy: &Server) -> Settings {
    let url = proxy.url().replace("://", &format!("://user:{}@", secrets::PROXY_PASSWORD));
    Settings { proxy: Some(url), ..Settings::default() }
}

/// Every operation over `http` and `https`, past a proxy and through it, with every fault there is.
fn everything<A: Adapter>() {
    let server = Server::answering(|_| json("200 OK", &success()));
    let proxy = Server::answering(|request| {
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
    for trouble in [None, Some(Trouble::FullAfterIntent), Some(Trouble::Full), Some(Trouble::Load), Some(Trouble::Lock)]
    {
        call_session("success", &A::new(app(&server.url()), &settings).unwrap(), trouble);
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
    let patience = |millis| Settings { timeout: Duration::from_millis(millis), ..Settings::default() };
    let [quick, patient] =
        [patience(40), patience(2000)].map(|settings| A::new(app(&server.url()), &settings).unwrap());
    for fault in Fault::ALL {
        *next.lock().unwrap() = fault;
        let client = if fault.is_slow() { &quick } else { &patient };
        if fault.is_long() {
            call(&[Operation::refresh()], &format!("{fault:?}"), client, false);
        } else {
            call_all(&format!("{fault:?}"), client, false);
            call_sessions(&format!("{fault:?}"), client);
            call_browser(&format!("{fault:?}"), client);
        }
    }

    // What servers say about what they were sent, and more of it than they were asked for.
    for (status, echo) in [("400 Bad Request", "error_description"), ("500 Error", "Description")] {
        let server = Server::answering(move |request| {
            let text = request.head.lines().next().unwrap_or_default().to_owned()
                + &String::from_utf8_lossy(&request.body).replace('"', "'");
            let data = secrets::ANSWERED;
            json(
                status,
                &format!(r#"{{"error":"no","ErrorCode":908,"{echo}":"{text}","Data":{{"access_token":"{data}"}}}}"#),
            )
        });
        call_all(status, &A::new(app(&server.url()), &Settings::default()).unwrap(), false);
        call_sessions(status, &A::new(app(&server.url()), &Settings::default()).unwrap());
        call_browser(status, &A::new(app(&server.url()), &Settings::default()).unwrap());
    }

    // The end of a session, which its record remembers.
    let server = Server::answering(|request| {
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

/// The lines that were logged meanwhile.
fn logged(level: LevelFilter, meanwhile: impl FnOnce()) -> Vec<Line> {
    static START: Once = Once::new();
    START.call_once(|| log::set_logger(&LOG).expect("the canary has a process of its own"));
    log::set_max_level(level);
    LOG.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    // The search finds what is there.
    log::debug!(target: "canary", "{}", RefreshToken::new(secrets::REFRESH_TOKEN).expose());
    meanwhile();
    std::mem::take(&mut *LOG.0.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The targets whose lines show a secret, alone or one after the other.
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
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);

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
