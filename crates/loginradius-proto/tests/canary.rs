//! No secret is ever printed: each slot holds one that is planted here, every error is provoked, by
//! servers that echo what they were sent among others, and everything printable is searched.

use std::error::Error as StdError;
use std::fmt::{Debug, Write as _};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loginradius_proto::browser::loopback::{Connection, Reply};
use loginradius_proto::browser::{
    AuthorizationRequest, BrowserRequest, Callback, JwtRedirect, Pending, PendingJwt, PendingLogin, RandomBytes,
    ResponseType,
};
use loginradius_proto::http::{Request, Response};
use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin, LoginOptions};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, IntrospectToken, RefreshAccessToken, RequestDeviceCode, RequestTokens,
    RevokeRefreshToken,
};
use loginradius_proto::proxy::ProxySettings;
use loginradius_proto::session::{
    CachedToken, EndReason, LoadError, Now, SaveError, SessionEnd, SessionEvent, SessionFlow, SessionInput,
    SessionMemory, SessionStep, StoredRecord,
};
use loginradius_proto::{
    AccessToken, App, AuthorizationCode, Body, BodyFormat, Call, ClientSecret, CodeVerifier, DeviceCode, DeviceFlow,
    Endpoint, Error, Flow, IdToken, Jwt, Password, PendingDevice, RefreshToken, ResponseReader, Retry, Seed, Service,
    Step, TokenSet, redacted,
};
use loginradius_testing::{HOUR, Scene, full_disk, now, oidc, response, s, site, start, writing};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// In the middle of every secret, so that a part of one is found as well as all of it, however it is encoded.
const MARK: &str = "CANARY";

/// A secret that needs every kind of encoding.
fn secret(slot: &str) -> String {
    token(slot) + "é😀"
}

/// The same in ASCII, like every token and code of a server.
fn token(slot: &str) -> String {
    format!("a-b_c.d~e {MARK}{slot} /+=&%41\"\\<'")
}

/// Fails if a secret is anywhere in the text.
#[track_caller]
fn search(printed: &str) {
    let found = printed.lines().find(|line| line.contains(MARK));
    assert!(found.is_none(), "a secret in: {found:?}");
}

/// Searches all that can be printed of it.
#[track_caller]
fn print(value: &impl Debug) {
    search(&format!("{value:?} {value:#?}"));
}

#[track_caller]
fn print_error(error: &Error) {
    print(error);
    search(&format!("{error} {error:#}"));
    let mut source: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = source {
        search(&format!("{error} {error:?} {error:#?}"));
        source = error.source();
    }
    if let Some(api_error) = error.api_error() {
        print(api_error);
        let mut texts = String::new();
        for text in [&api_error.oauth_error, &api_error.message, &api_error.description].into_iter().flatten() {
            writeln!(texts, "{text}").unwrap();
        }
        for field in &api_error.fields {
            print(field);
            writeln!(texts, "{}: {}", field.name, field.message).unwrap();
        }
        search(&texts);
    }
    print(&error.http_status());
    print(&error.retry_after());
    print(&error.kind());
    print(&error.operation());
}

/// Returns an app at the API that has every operation.
fn app() -> App {
    let app = loginradius_testing::app().with_service(oidc());
    app.with_client_secret(secret("client-secret")).with_api_key(secret("api-key"))
}

fn apps() -> Vec<App> {
    vec![app().with_service(Service::classic()), writing(&app(), BodyFormat::Json), app().with_service(site())]
}

/// What is done with each operation and the secrets that its request carries.
trait Visit {
    fn operation<E>(&mut self, operation: E, secrets: &[&str])
    where
        E: Endpoint + Clone + Debug,
        E::Response: Debug;
}

fn every_operation(visit: &mut impl Visit) {
    let options = LoginOptions::new().verification_url("https://www.abc.com/").login_url("l").email_template("t");
    visit.operation(RequestDeviceCode::new().scope("email"), &["client-secret"]);
    visit.operation(RequestTokens::new(secret("device-code")), &["client-secret", "device-code"]);
    visit.operation(
        AccessTokenByCode::new(secret("code"), "https://www.abc.com/").code_verifier(secret("verifier")),
        &["client-secret", "code", "verifier"],
    );
    visit.operation(AccessTokenByPassword::new("user", secret("password")), &["client-secret", "password"]);
    visit.operation(RefreshAccessToken::new(secret("refresh-token")), &["client-secret", "refresh-token"]);
    visit.operation(RevokeRefreshToken::new(secret("refresh-token")), &["client-secret", "refresh-token"]);
    visit.operation(IntrospectToken::new(secret("access-token")), &["client-secret", "access-token"]);
    visit.operation(JwtByAccessToken::new(secret("access-token")), &["client-secret", "api-key", "access-token"]);
    let jwt_login = ["client-secret", "api-key", "password"];
    visit.operation(JwtLogin::email("e@example.com", secret("password")).options(options), &jwt_login);
    visit.operation(JwtLogin::phone("+16045552368", secret("password")), &jwt_login);
    visit.operation(JwtLogin::username("johndoe", secret("password")), &jwt_login);
}

/// The spellings in which a server may echo a secret that it was sent.
fn spellings(secret: &str) -> Vec<String> {
    /// JavaScript's `encodeURIComponent`.
    const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'!')
        .remove(b'~')
        .remove(b'*')
        .remove(b'\'')
        .remove(b'(')
        .remove(b')');
    let all = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let lower = {
        let mut digits = 0;
        let lower = |c: char| match c {
            '%' => {
                digits = 2;
                c
            }
            _ if digits > 0 => {
                digits -= 1;
                c.to_ascii_lowercase()
            }
            _ => c,
        };
        all.chars().map(lower).collect()
    };
    let form = serde_urlencoded::to_string([("x", secret)]).unwrap()["x=".len()..].to_owned();
    let json = serde_json::to_string(secret).unwrap().trim_matches('"').to_owned();
    vec![
        secret.to_owned(),
        utf8_percent_encode(secret, COMPONENT).to_string(),
        secret.to_owned() + secret,
        all,
        lower,
        form,
        json,
    ]
}

/// The bodies of a server that echoes that text.
fn echoes(text: &str) -> Vec<String> {
    let bodies: [Value; 14] = [
        json!({ "error": text, "error_description": "" }),
        json!({ "error": "invalid_grant", "error_description": format!("The token {text} is not valid.") }),
        json!({ "error": "invalid_request", "error_description": text, "error_uri": text }),
        json!({ "error": "slow_down", "interval": text, "expires_in": text }),
        json!({ "ErrorCode": 906, "Message": format!("Access token {text}"), "Description": text }),
        json!({ "errorCode": 1, "message": "no", "description": "x".repeat(280) + text }),
        json!({ "ErrorCode": text, "error": "odd" }),
        json!({ "ErrorCode": 1134, "Message": "Validation", "Errors": [
            { "FieldName": text, "ErrorMessage": format!("{text} will not do") },
            { "FieldName": "x", "ErrorMessage": text },
        ] }),
        json!({ "ErrorCode": 1194, "Message": "Privacy", "Data": { "access_token": text },
            "ExtraInfo": [{ "Message": text }], "ProviderErrorResponse": text, "IsProviderError": text }),
        json!({ "access_token": [text], "signature": { "a": text }, "device_code": [text] }),
        json!({ "access_token": "", "signature": "", "unknown": text }),
        json!({ "access_token": text, "refresh_token": [text] }),
        json!({ "device_code": text, "user_code": 7, "verification_uri": text }),
        json!([text]),
    ];
    let mut bodies: Vec<String> = bodies.iter().map(Value::to_string).collect();
    let quoted = Value::from(text);
    bodies.extend([
        text.to_owned(),
        format!("<html><body>You sent {text}</body></html>"),
        format!(r#"{{"access_token":{quoted},"access_token":{quoted}}}"#),
        format!(r#"{{"signature":{quoted},"signature":{quoted}}}"#),
        format!(r#"{{"access_token":{quoted},"#),
        format!(r#"{{"error":"odd","error_description":{quoted}"#),
        format!(r#"{{{quoted}:1}}"#),
        quoted.to_string(),
    ]);
    bodies
}

struct Echo {
    app: App,
    errors: usize,
}

impl Visit for Echo {
    fn operation<E>(&mut self, operation: E, secrets: &[&str])
    where
        E: Endpoint + Clone + Debug,
        E::Response: Debug,
    {
        print(&operation);
        print(&self.app);
        for slot in secrets {
            for spelling in spellings(&secret(slot)) {
                for body in echoes(&spelling) {
                    for status in [200, 302, 400, 401, 404, 429, 500] {
                        match operation.response(&self.app, response(status, body.as_str())) {
                            Ok(response) => print(&response),
                            Err(error) => {
                                self.errors += 1;
                                print_error(&error);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn servers_that_echo_what_they_were_sent() {
    let errors: usize = thread::scope(|scope| {
        let echo = |app| {
            let mut echo = Echo { app, errors: 0 };
            every_operation(&mut echo);
            echo.errors
        };
        let threads: Vec<_> = apps().into_iter().map(|app| scope.spawn(move || echo(app))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(errors > 50_000, "{errors}");
}

struct Refuse {
    errors: usize,
}

impl Visit for Refuse {
    fn operation<E>(&mut self, operation: E, _: &[&str])
    where
        E: Endpoint + Clone + Debug,
        E::Response: Debug,
    {
        let request = operation.request(&app()).unwrap();
        search(&redacted(&request).to_string());
        print(request.body());
        let bad = [
            app()
                .with_client_secret(secret("client-secret") + "\n")
                .with_api_key(secret("api-key") + "\n")
                .with_oauth_app("..\n"),
            app().with_client_secret(secret("client-secret")).with_api_key("").with_oauth_app(""),
            App::new("").with_client_secret(secret("client-secret")),
            App::new("x\0").with_client_secret(secret("client-secret")),
        ];
        for app in bad {
            print(&app);
            match operation.request(&app) {
                Ok(request) => search(&redacted(&request).to_string()),
                Err(error) => {
                    self.errors += 1;
                    print_error(&error);
                }
            }
        }
    }
}

#[test]
fn requests_that_are_refused() {
    let mut refuse = Refuse { errors: 0 };
    every_operation(&mut refuse);
    assert!(refuse.errors >= 20, "{}", refuse.errors);
    let bad = |slot| secret(slot) + "\r\n";
    print_error(&RequestTokens::new(bad("device-code")).request(&app()).unwrap_err());
    print_error(&AccessTokenByCode::new(bad("code"), "r").request(&app()).unwrap_err());
    print_error(&AccessTokenByCode::new("c", "r").code_verifier(bad("verifier")).request(&app()).unwrap_err());
    print_error(&AccessTokenByPassword::new("u", bad("password")).request(&app()).unwrap_err());
    print_error(&RefreshAccessToken::new(bad("refresh-token")).request(&app()).unwrap_err());
    print_error(&RevokeRefreshToken::new(bad("refresh-token")).request(&app()).unwrap_err());
    print_error(&JwtByAccessToken::new(bad("access-token")).request(&app()).unwrap_err());
    print_error(&JwtByAccessToken::new(secret("x").repeat(9_000)).request(&app()).unwrap_err());
    print_error(&JwtLogin::email("e", bad("password")).request(&app()).unwrap_err());
    for url in
        ["https://user:PASS@a.example", "https://a.example?key=PASS", "https://a.example#PASS", "PASS", "http://PASS"]
    {
        print_error(&Service::classic_at(&url.replace("PASS", MARK)).unwrap_err());
        print_error(&Service::site(&(url.replace("PASS", MARK) + "/")).unwrap_err());
    }
}

#[test]
fn the_secret_types() {
    let named = |value: &dyn Debug, name: &str| assert_eq!(format!("{value:?} {value:#?}"), format!("{name} {name}"));
    named(&AccessToken::new(secret("")), "AccessToken");
    named(&RefreshToken::new(secret("")), "RefreshToken");
    named(&IdToken::new(secret("")), "IdToken");
    named(&Jwt::new(secret("")), "Jwt");
    named(&ClientSecret::new(secret("")), "ClientSecret");
    named(&Password::new(secret("")), "Password");
    named(&DeviceCode::new(secret("")), "DeviceCode");
    named(&AuthorizationCode::new(secret("")), "AuthorizationCode");
    named(&CodeVerifier::new(secret("")), "CodeVerifier");
    print(&Body::from(secret("")));
    print(&TokenSet::new(secret("")));
    let (app, refresh, more) = (App::new("my-client-id"), RefreshAccessToken::new(secret("")), secret("-more"));
    let reader = ResponseReader::new(&refresh, &app).redact([more.as_str()]);
    print(&reader);
    assert!(format!("{reader:?}").contains("secrets: 2"), "{reader:?}");
}

/// A success of every operation, with a secret wherever there is one.
fn success() -> String {
    json!({
        "access_token": token("access-token"),
        "refresh_token": token("refresh-token"),
        "id_token": token("id-token"),
        "token_type": "Bearer",
        "expires_in": 394,
        "signature": token("jwt"),
        "device_code": token("device-code"),
        "user_code": "oP5lLq",
        "verification_uri": "https://a.example/",
        "interval": 5,
        "Data": secret("data"),
    })
    .to_string()
}

type Outcome = Result<Response<Body>, Error>;

struct Drive;

impl Visit for Drive {
    fn operation<E>(&mut self, operation: E, _: &[&str])
    where
        E: Endpoint + Clone + Debug,
        E::Response: Debug,
    {
        let outcomes: [fn() -> Outcome; 6] = [
            || Ok(response(200, success())),
            || Ok(response(503, success())),
            || Ok(response(400, json!({ "error": "invalid_grant", "Data": secret("data") }).to_string())),
            || Ok(response(200, " ".repeat(Body::LIMIT) + &success())),
            || Err(Error::not_sent("connection refused")),
            || Err(Error::outcome_unknown("connection reset")),
        ];
        print_error(&Error::not_sent("connection refused"));
        for outcome in outcomes {
            let mut call = Call::new(operation.clone(), &app(), Seed(42)).retry(Retry::default().with_attempts(2));
            let mut at = start();
            print(&call);
            loop {
                match call.step(at) {
                    Step::Send { request, .. } => {
                        search(&redacted(&request).to_string());
                        print(&call);
                        call.receive(outcome(), at);
                    }
                    Step::Wait(until) => at = until,
                    Step::Done(result) => {
                        print(&result);
                        if let Err(error) = result {
                            print_error(&error);
                        }
                        break;
                    }
                }
                print(&call);
            }
            let Step::Done(Err(error)) = call.step(at) else { panic!("the flow continues after its end") };
            print_error(&error);
        }
        let mut call = Call::new(operation.clone(), &app(), Seed(42)).retry(Retry::OFF);
        let Step::Send { .. } = call.step(start()) else { panic!("nothing is sent") };
        let Step::Wait(deadline) = call.step(start()) else { panic!("no deadline") };
        match call.step(deadline) {
            Step::Done(Err(error)) => print_error(&error),
            step => panic!("{step:?}"),
        }
    }
}

#[test]
fn calls_in_every_state() {
    every_operation(&mut Drive);
}

#[test]
fn steps() {
    struct Steps;
    impl Visit for Steps {
        fn operation<E>(&mut self, operation: E, _: &[&str])
        where
            E: Endpoint + Clone + Debug,
            E::Response: Debug,
        {
            for app in apps() {
                let mut call = Call::new(operation.clone(), &app, Seed(42));
                print(&call.step(start()));
                call.receive(Ok(response(200, success())), start());
                print(&call.step(start()));
            }
        }
    }
    every_operation(&mut Steps);
}

#[test]
fn a_device_login_in_every_state() {
    let grant = RequestDeviceCode::new().response(&app(), response(200, success())).unwrap();
    print(&grant);
    let echo = |error: &str| {
        let described = token("device-code");
        Ok(response(400, json!({ "error": error, "error_description": described }).to_string()))
    };
    let ends: Vec<Box<dyn Fn() -> Outcome>> = vec![
        Box::new(move || echo("access_denied")),
        Box::new(move || echo("invalid_grant")),
        Box::new(move || echo("authorization_pending")),
        Box::new(|| Ok(response(200, success()))),
        Box::new(|| Ok(response(502, token("device-code")))),
        Box::new(|| Err(Error::outcome_unknown("timed out"))),
    ];
    for end in &ends {
        let mut at = start();
        let mut flow = DeviceFlow::new(&app(), &grant, at, Seed(42));
        let mut polls = 0;
        loop {
            print(&flow);
            match flow.step(at) {
                Step::Send { request, .. } => {
                    search(&redacted(&request).to_string());
                    polls += 1;
                    flow.receive(if polls == 1 { Err(Error::outcome_unknown("reset")) } else { end() }, at);
                }
                Step::Wait(until) => at = until,
                Step::Done(result) => {
                    print(&result);
                    if let Err(error) = result {
                        print_error(&error);
                    }
                    break;
                }
            }
        }
        assert!(polls >= 2);
        let pending = flow.pending(at, now().wall);
        print(&pending);
        let stored = pending.to_json();
        assert!(stored.contains(MARK));
        let end = stored.char_indices().map(|(at, _)| at);
        for broken in end.map(|at| stored[..at].to_owned()).chain([
            stored.replace("\"version\":1", "\"version\":2"),
            stored.replace("\"interval_ms\":", "\"interval_ms\":-"),
            stored.replace("\"device_code\":", "\"device_code\":7,\"x\":"),
            stored.replace("\"user_code\":", "\"device_code\":"),
        ]) {
            print_error(&PendingDevice::from_json(&broken).unwrap_err());
        }
    }
}

// Sessions

/// The tokens of a login, a secret in each.
fn tokens(slot: &str) -> TokenSet {
    let secret = |name: &str| secret(&format!("{slot}{name}"));
    let mut tokens = loginradius_testing::tokens(&secret("access-token"), &secret("refresh-token"), Some(s(600)));
    tokens.id_token = Some(secret("id-token").into());
    tokens
}

/// What a server responds, and the result of a save.
type Faults<'a> = (&'a dyn Fn() -> Outcome, &'a dyn Fn() -> Result<(), SaveError>);

/// A session in one process: what its flows print on their way is searched.
struct Session {
    scene: Scene,
    errors: usize,
}

impl Session {
    /// A user has signed in, and the lifetime is over.
    fn new() -> Self {
        let mut scene = Scene::empty();
        scene.app = app();
        scene.policy.retry.attempts = 2;
        let mut session = Self { scene, errors: 0 };
        let (memory, policy) = (SessionMemory::default(), session.scene.policy);
        session.run(SessionFlow::start(&app(), policy, memory, &tokens(""), Seed(41)), (&server_is_off, &saves));
        session.scene.pass(HOUR);
        session
    }

    /// The same session, in a process of the same memory.
    fn copy(&self) -> Self {
        let mut scene = Scene::empty();
        (scene.app, scene.policy, scene.now) = (self.scene.app.clone(), self.scene.policy, self.scene.now);
        (scene.memory, scene.stored) = (self.scene.memory.clone(), self.scene.stored.clone());
        Self { scene, errors: 0 }
    }

    fn flows(&self) -> [SessionFlow; 5] {
        let Scene { app, policy, memory, .. } = &self.scene;
        [
            SessionFlow::refresh(app, *policy, memory.clone(), Seed(42)),
            SessionFlow::start(app, *policy, memory.clone(), &tokens("new-"), Seed(43)),
            SessionFlow::sign_out(app, *policy, memory.clone(), Seed(44)),
            SessionFlow::forget(app, *policy, memory.clone(), Seed(45)),
            // The login that is stored, once more.
            SessionFlow::start(app, *policy, memory.clone(), &tokens(""), Seed(48)),
        ]
    }

    fn run(&mut self, mut flow: SessionFlow, (server, store): Faults<'_>) {
        for _ in 0..200 {
            print(&flow);
            let step = flow.step(self.scene.now);
            print(&step);
            let input = match step {
                SessionStep::Send { request, .. } => {
                    search(&redacted(&request).to_string());
                    Some(SessionInput::Responded(server()))
                }
                SessionStep::Done(end) => {
                    self.end(&end);
                    let _ = self.scene.end(end);
                    print(&flow.step(self.scene.now));
                    return;
                }
                SessionStep::Save { record, expected } => {
                    print(&record);
                    match store() {
                        Ok(()) => self.scene.perform(SessionStep::Save { record, expected }),
                        failed => Some(SessionInput::Saved(failed)),
                    }
                }
                step => self.scene.perform(step),
            };
            if let Some(input) = input {
                print(&input);
                flow.receive(input, self.scene.now);
            }
        }
        panic!("no end: {flow:?}");
    }

    fn end(&mut self, end: &SessionEnd) {
        print(end);
        if let Err(error) = &end.result {
            self.errors += 1;
            print_error(error);
        }
        for event in &end.events {
            print(event);
            match event {
                SessionEvent::RequestFailed { error, .. }
                | SessionEvent::Unsaved { error, .. }
                | SessionEvent::Ended { reason: EndReason::SignInRequired(error), .. } => print_error(error),
                _ => {}
            }
        }
        print(&end.memory);
        print(&end.memory.tokens(self.scene.now));
        if let Some(error) = end.memory.save_error() {
            print_error(error);
        }
        for ahead in [0, 599, 3600].map(s) {
            let at = Now::new(self.scene.now.monotonic + ahead, self.scene.now.wall + ahead);
            let cached = end.memory.cached_token(at);
            print(&cached);
            if let CachedToken::BackingOff(error) = cached {
                print_error(error);
            }
        }
    }
}

fn server_is_off() -> Outcome {
    Err(Error::not_sent("connection refused"))
}

fn saves() -> Result<(), SaveError> {
    Ok(())
}

#[test]
fn sessions_whose_server_echoes_what_it_was_sent() {
    let mut errors = 0;
    let expired = Session::new();
    for slot in ["refresh-token", "client-secret"] {
        for spelling in spellings(&secret(slot)) {
            for body in echoes(&spelling) {
                for status in [200, 400, 503] {
                    let server = || Ok(response(status, body.as_str()));
                    for job in ["refresh", "sign out"] {
                        let mut session = expired.copy();
                        let [refresh, _, sign_out, ..] = session.flows();
                        session.run(if job == "refresh" { refresh } else { sign_out }, (&server, &saves));
                        // The next process reads what was stored of it.
                        let policy = session.scene.policy;
                        let next = SessionFlow::refresh(&app(), policy, SessionMemory::default(), Seed(46));
                        session.run(next, (&server, &saves));
                        errors += session.errors;
                    }
                }
            }
        }
    }
    assert!(errors > 2_000, "{errors}");
}

#[test]
fn sessions_whose_store_does_not_do_its_part() {
    let stores: [&dyn Fn() -> Result<(), SaveError>; 4] =
        [&saves, &|| Err(SaveError::Conflict), &|| Err(SaveError::Failed(full_disk())), &|| {
            Err(SaveError::Unknown(full_disk()))
        }];
    let servers: [&dyn Fn() -> Outcome; 6] = [
        &|| Ok(response(200, success())),
        &|| Ok(response(503, success())),
        &|| Ok(response(400, json!({ "error": "invalid_grant", "Data": secret("data") }).to_string())),
        &|| {
            Ok(response(
                200,
                json!({ "refresh_token": token("refresh-token"), "access_token": [secret("x")] }).to_string(),
            ))
        },
        &|| Err(Error::outcome_unknown("connection reset")),
        &server_is_off,
    ];
    let mut errors = 0;
    let expired = Session::new();
    for store in stores {
        for server in servers {
            for job in 0..5 {
                let mut session = expired.copy();
                let flow = session.flows()[job].clone();
                session.run(flow, (server, store));
                // And the callers after it, with the memory that it leaves.
                for job in 0..5 {
                    let flow = session.flows()[job].clone();
                    session.run(flow, (server, store));
                }
                errors += session.errors;
            }
        }
    }
    assert!(errors > 200, "{errors}");
}

/// Takes the checksum off, as a program of an earlier version writes a record.
fn unsealed(json: &str) -> String {
    json.split_once(",\"checksum\":").expect("a record with a checksum").0.to_owned() + "}"
}

/// Adds a checksum that is right, as a program of a later version writes a record.
fn sealed(json: &str) -> String {
    let content = json.strip_suffix('}').expect("an object");
    let checksum: String = Sha256::digest(content)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!(r#"{content},"checksum":"{checksum}"}}"#)
}

#[test]
fn sessions_that_cannot_be_read() {
    let expired = Session::new();
    let stored = std::str::from_utf8(expired.scene.stored.as_ref().expect("a session").as_bytes()).unwrap();
    for slot in ["access-token", "refresh-token", "id-token"] {
        assert!(stored.contains(&(MARK.to_owned() + slot)), "{slot}");
    }
    assert_eq!(sealed(&unsealed(stored)), stored);
    let edits = [
        stored.replace("\"version\":1", "\"version\":2"),
        stored.replace("\"version\":1", "\"version\":\"1\""),
        stored.replace("\"generation\":", "\"generation\":-"),
        stored.replace("\"access_token\":", "\"access_token\":7,\"x\":"),
        stored.replace("\"access_token\":", "\"refresh_token\":"),
        stored.replace("\"access_token\":", &format!("\"{MARK}\":1,\"access_token\":")),
        stored.replace("\"lifetime_ms\":", "\"lifetime_ms\":-"),
    ];
    assert!(edits.iter().all(|edited| edited != stored));
    let mut damaged: Vec<Vec<u8>> = (0..stored.len()).map(|end| stored.as_bytes()[..end].to_vec()).collect();
    damaged.extend(edits.iter().flat_map(|edited| [edited.clone(), unsealed(edited)]).map(String::into_bytes));
    damaged.extend([format!("{stored}{stored}"), secret("access-token")].map(String::into_bytes));
    damaged.push([stored.as_bytes(), b"\xff"].concat());
    // With a right checksum, it is a newer program's: a start and a forget leave it alone as well.
    let newer = edits.iter().filter(|edited| !edited.contains("\"generation\":-"));
    let newer = newer.map(|edited| sealed(&unsealed(edited)).into_bytes());
    let records = damaged.into_iter().map(|bytes| (bytes, [1, 1, 2, 2, 2]));
    for (bytes, errors) in records.chain(newer.map(|bytes| (bytes, [1, 2, 3, 4, 5]))) {
        let record = StoredRecord::from_bytes(bytes).located_at("the file `session.json`");
        print(&record);
        let mut session = expired.copy();
        session.scene.memory = SessionMemory::default();
        for (flow, errors) in session.flows().into_iter().zip(errors) {
            session.scene.stored = Some(record.clone());
            session.run(flow, (&server_is_off, &saves));
            let text = String::from_utf8_lossy(record.as_bytes()).replace(MARK, "");
            assert_eq!(session.errors, errors, "{text}");
        }
    }
}

#[test]
fn sessions_whose_driver_prints_and_misuses_them() {
    let mut session = Session::new();
    assert!(session.scene.memory.reject(&AccessToken::new(secret("access-token"))));
    print(&session.scene.memory);
    let [mut flow, ..] = session.flows();
    let stray = || {
        [
            SessionInput::Responded(Ok(response(200, success()))),
            SessionInput::Loaded(Ok(Some(StoredRecord::from_bytes(secret("x"))))),
            SessionInput::Loaded(Err(LoadError::Damaged { generation: 1, error: Error::configuration("x") })),
            SessionInput::Saved(Err(SaveError::Unknown(Error::configuration("x")))),
        ]
    };
    for input in stray() {
        flow.receive(input, session.scene.now);
        print(&flow);
    }
    session.run(flow.clone(), (&|| Ok(response(200, success())), &saves));
    for input in stray() {
        flow.receive(input, session.scene.now);
        print(&flow);
    }
    // A session of another app.
    session.scene.app = App::new("another");
    for mut flow in session.flows() {
        print(&flow.step(session.scene.now));
        flow.receive(SessionInput::Locked(Ok(true)), session.scene.now);
        flow.receive(SessionInput::Loaded(Ok(session.scene.stored.clone())), session.scene.now);
        print(&flow);
        print(&flow.step(session.scene.now));
    }
}

#[test]
fn the_search_finds_a_secret() {
    let found = |text: String| std::panic::catch_unwind(|| search(&text)).is_err();
    for spelling in spellings(&secret("x")) {
        assert!(found(format!("text {spelling} text")), "{spelling}");
    }
    assert!(found(format!("{:?}", Request::get("/").body(secret("x")).unwrap())));
    assert!(!found("nothing".to_owned()));
}

// Through a browser

/// The state, the verifier and the nonce of a login, each with the mark in the middle.
const MADE: [&str; 3] = [
    "state--------------CANARY-----------------A",
    "verifier-----------CANARY-----------------A",
    "nonce--------------CANARY-----------------A",
];

/// The bytes that they are made of.
fn marked_bytes() -> RandomBytes {
    let bytes = MADE.map(|text| URL_SAFE_NO_PAD.decode(text).unwrap()).concat();
    RandomBytes::new(bytes.try_into().unwrap()).unwrap()
}

/// A JWT that has the nonce, and so belongs to a site's login; it is a secret itself.
fn marked_jwt() -> String {
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"nonce":"{}","sub":"x"}}"#, MADE[2]));
    format!("{MARK}header.{claims}.{MARK}")
}

/// Searches what is printed while a callback is read, by a program and by a loopback receiver.
fn read_back<P>(make: impl Fn() -> P, store: impl Fn(&P) -> String, text: &str) -> usize
where
    P: Pending + Debug,
    P::Output: Debug,
{
    let mut errors = 0;
    let callback = Callback::from_query(text).unwrap();
    print(&callback);
    for at in [now().wall, now().wall + s(600)] {
        let mut pending = make();
        for _ in 0..2 {
            print(&pending);
            let outcome = pending.accept(&callback, at);
            print(&outcome);
            if let Err(error) = &outcome {
                errors += 1;
                print_error(error);
            }
        }
        print(&pending);
        assert!(store(&pending).contains(MARK));
    }
    let mut pending = make();
    let mut connection = Connection::new("/callback");
    let head = format!("GET /callback?{text} HTTP/1.1\r\nCookie: {MARK}\r\n\r\n");
    print(&connection);
    assert!(connection.read(&head.as_bytes()[..20]).is_none());
    print(&connection);
    if let Some(request) = connection.read(&head.as_bytes()[20..]) {
        print(&connection);
        print(&request);
        let reply: Reply<P::Output> = request.respond(&mut pending, now().wall);
        search(&String::from_utf8_lossy(&reply.bytes));
        print(&reply);
        if let Some(Err(error)) = &reply.result {
            print_error(error);
        }
    }
    errors
}

#[test]
fn callbacks_that_repeat_what_they_know() {
    let [state, ..] = MADE;
    let mut secrets: Vec<String> = MADE.map(str::to_owned).to_vec();
    secrets.extend(["code", "token", "id-token"].map(secret));
    let mut errors = 0;
    let kinds = [ResponseType::Code, ResponseType::CodeIdTokenToken, ResponseType::Token];
    let form = |pairs: &[(&str, &str)]| serde_urlencoded::to_string(pairs).unwrap();
    let all = form(&[("code", &token("code")), ("token", &token("token")), ("id_token", &token("id-token"))]);
    for kind in kinds {
        let request = AuthorizationRequest::new("https://www.abc.com/")
            .scope("openid")
            .response_type(kind)
            .issuer("https://honest.example");
        print(&request);
        let make = || {
            let login = request.begin(&app(), &marked_bytes(), now().wall).unwrap();
            assert!(login.url.contains(MARK));
            print(&login);
            login.pending
        };
        let mut give = |text: &str| errors += read_back(make, PendingLogin::to_json, text);
        give(&format!("{all}&state={state}"));
        give(&format!("{all}&state={state}&error=access_denied"));
        give(&format!("{all}&state={state}&{all}"));
        give(&format!("{all}&state={state}x"));
        give(&format!("{all}&state={state}&token_type=Bearer&expires_in={MARK}"));
        give(&format!("{MARK}=1&{MARK}=1&state={state}"));
        for secret in &secrets {
            give(&format!("{all}&{}", form(&[("state", state), ("iss", secret)])));
            give(&form(&[("state", secret), ("code", secret)]));
            for spelling in spellings(secret) {
                for repeated in
                    [spelling.clone(), format!("the value {spelling} is not known."), "x".repeat(280) + &spelling]
                {
                    for (error, description) in
                        [("access_denied", repeated.as_str()), (&repeated, ""), (&repeated, &repeated)]
                    {
                        let refused = form(&[("error", error), ("error_description", description), ("state", state)]);
                        give(&format!("{refused}&{all}"));
                    }
                }
            }
        }
    }
    assert!(errors > 500, "{errors}");
}

#[test]
fn callbacks_of_a_jwt_that_repeat_what_they_know() {
    let [state, _, nonce] = MADE;
    let redirect = JwtRedirect::new("https://www.abc.com/", "my_jwt");
    print(&redirect);
    let mut errors = 0;
    for app in apps() {
        let make = || {
            let login = redirect.begin(&app, &marked_bytes(), now().wall).unwrap();
            assert!(login.url.contains(MARK));
            print(&login);
            login.pending
        };
        let mut give = |text: &str| errors += read_back(make, PendingJwt::to_json, text);
        let jwt = marked_jwt();
        give(&format!("my_jwt={jwt}&state={state}"));
        give(&format!("my_jwt={jwt}&state={state}&my_jwt={jwt}"));
        give(&format!("my_jwt={jwt}x&state={state}x"));
        give(&format!("my_jwt={MARK}&state={state}"));
        give(&format!("token={MARK}&state={state}"));
        for secret in [state, nonce, &jwt] {
            for spelling in spellings(secret) {
                for repeated in [spelling.clone(), format!("the value {spelling} is not known.")] {
                    let text = [
                        ("error", repeated.as_str()),
                        ("error_description", &repeated),
                        ("state", state),
                        ("my_jwt", &jwt),
                    ];
                    // A classic login knows no nonce.
                    if secret != nonce || app.service().api() != loginradius_proto::Api::Classic {
                        give(&serde_urlencoded::to_string(text).unwrap());
                    }
                }
            }
        }
    }
    assert!(errors > 100, "{errors}");
}

#[test]
fn proxies_and_their_errors() {
    let uri = loginradius_proto::http::Uri::from_static("https://cloud-api.loginradius.com/");
    let encoded = utf8_percent_encode(&secret("PROXY"), NON_ALPHANUMERIC).to_string();
    for host in ["proxy.example.com:3128", "proxy.example.com:x", "", "[::1"] {
        for scheme in ["http", "https", "socks5", "socks5h", "socks4"] {
            for password in [&encoded, MARK, &format!("{MARK}/@"), &format!("{MARK}%00"), &format!("{MARK}%FF")] {
                let url = format!("{scheme}://{MARK}:{password}@{host}");
                let settings = ProxySettings::from_variables([("HTTPS_PROXY", &url), ("NO_PROXY", &url)]);
                print(&settings);
                match settings.proxy_for(&uri) {
                    Ok(proxy) => {
                        let proxy = proxy.unwrap();
                        print(&proxy);
                        search(&proxy.to_string());
                        print(&proxy.authorization());
                        print(&proxy.password());
                    }
                    Err(error) => print_error(&error),
                }
                match ProxySettings::all(&url) {
                    Ok(settings) => print(&settings),
                    Err(error) => print_error(&error),
                }
            }
        }
    }
}

#[test]
fn browser_logins_that_cannot_begin_or_be_read() {
    let bad = [
        AuthorizationRequest::new(format!("https://user:{MARK}@www.abc.com/")),
        AuthorizationRequest::new(format!("http://www.abc.com/{MARK}")),
        AuthorizationRequest::new(format!("https://www.abc.com/#{MARK}")),
        AuthorizationRequest::new(format!("https://www.abc.com/?code={MARK}")),
        AuthorizationRequest::new("https://www.abc.com/").parameter("client_secret", MARK),
        AuthorizationRequest::new("https://www.abc.com/").parameter("a", format!("{MARK}\n")),
        AuthorizationRequest::new("https://www.abc.com/").raw_scope(format!("{MARK} ")),
        AuthorizationRequest::new("https://www.abc.com/").raw_scope(format!("a&state={MARK}")),
        AuthorizationRequest::new("https://www.abc.com/").scope(MARK.repeat(20_000)),
    ];
    for request in bad {
        print(&request);
        print_error(&request.begin(&app(), &marked_bytes(), now().wall).unwrap_err());
    }
    let login = AuthorizationRequest::new("https://www.abc.com/").begin(&app(), &marked_bytes(), now().wall).unwrap();
    let jwt = JwtRedirect::new("https://www.abc.com/", "jwt").begin(&app(), &marked_bytes(), now().wall).unwrap();
    for stored in [login.pending.to_json(), jwt.pending.to_json()] {
        assert!(stored.contains(MARK));
        for end in 0..stored.len() {
            let changed = format!("{}\u{1}{}", &stored[..end], &stored[end..]);
            for broken in [&stored[..end], &changed, &stored.replace(MARK, &format!("{MARK}="))] {
                print_error(&PendingLogin::from_json(broken).map(drop).unwrap_err());
                print_error(&PendingJwt::from_json(broken).map(drop).unwrap_err());
            }
        }
    }
}
