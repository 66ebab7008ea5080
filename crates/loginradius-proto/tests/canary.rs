//! No secret is ever printed: each slot holds one that is planted here, every error is provoked, by
//! servers that echo what they were sent among others, and everything printable is searched.

#![allow(clippy::disallowed_methods, reason = "an `Instant` can come from nowhere but the clock")]

use std::error::Error as StdError;
use std::fmt::{Debug, Write as _};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loginradius_proto::browser::loopback::{Connection, Reply};
use loginradius_proto::browser::{
    AuthorizationRequest, BrowserRequest, Callback, JwtRedirect, Pending, PendingJwt, PendingSignIn, RandomBytes,
    ResponseType,
};
use loginradius_proto::http::{Request, Response};
use loginradius_proto::jwt::{JwtByAccessToken, JwtByEmail, JwtByPhone, JwtByUsername, LoginOptions};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::session::{
    Handout, LoadOutcome, SaveOutcome, SessionEnd, SessionEvent, SessionFlow, SessionInput, SessionMemory,
    SessionPolicy, SessionStep,
};
use loginradius_proto::{
    AccessToken, App, AuthorizationCode, Body, BodyFormat, Call, ClientSecret, CodeVerifier, DeviceCode, DeviceFlow,
    Endpoint, Error, Flow, IdToken, Jwt, Password, PendingDevice, RefreshToken, Retry, Service, Step, TokenSet,
    redacted,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// In the middle of every secret, so that a part of one is found as well as all of it, however it is encoded.
const MARK: &str = "CANARY";

/// A secret that needs every kind of encoding.
fn secret(slot: &str) -> String {
    format!("a-b_c.d~e {MARK}{slot} /+=&%41\"\\<'é😀")
}

/// Fails if a secret is anywhere in the text.
#[track_caller]
fn search(printed: &str) {
    let found = printed.lines().find(|line| line.contains(MARK));
    assert!(found.is_none(), "a secret in: {found:?}");
}

/// Whatever can be printed of it.
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
    if let Some(service) = error.service() {
        print(service);
        let mut texts = String::new();
        for text in [&service.oauth_error, &service.message, &service.description].into_iter().flatten() {
            writeln!(texts, "{text}").unwrap();
        }
        for field in &service.fields {
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

fn app() -> App {
    App::new("my-client-id")
        .client_secret(secret("client-secret"))
        .api_key(secret("api-key"))
        .oauth_app("my-oauth-app")
        .jwt_app("my-jwt-app")
}

fn apps() -> Vec<App> {
    let site = Service::site("acme.hub.loginradius.com").unwrap();
    vec![app(), app().body_format(BodyFormat::Json), app().service(site)]
}

fn answer(status: u16, body: impl Into<Body>) -> Response<Body> {
    Response::builder().status(status).body(body.into()).unwrap()
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
    visit.operation(JwtByAccessToken::new(secret("access-token")), &["client-secret", "api-key", "access-token"]);
    let jwt_login = ["client-secret", "api-key", "password"];
    visit.operation(JwtByEmail::new("e@example.com", secret("password")).options(options), &jwt_login);
    visit.operation(JwtByPhone::new("+16045552368", secret("password")), &jwt_login);
    visit.operation(JwtByUsername::new("johndoe", secret("password")), &jwt_login);
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

/// The bodies that a server may answer when it echoes that text.
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
    errors: usize,
}

impl Visit for Echo {
    fn operation<E>(&mut self, operation: E, secrets: &[&str])
    where
        E: Endpoint + Clone + Debug,
        E::Response: Debug,
    {
        print(&operation);
        for app in apps() {
            print(&app);
            for slot in secrets {
                for spelling in spellings(&secret(slot)) {
                    for body in echoes(&spelling) {
                        for status in [200, 302, 400, 401, 404, 429, 500] {
                            match operation.response(&app, answer(status, body.as_str())) {
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
}

#[test]
fn servers_that_echo_what_they_were_sent() {
    let mut echo = Echo { errors: 0 };
    every_operation(&mut echo);
    assert!(echo.errors > 50_000, "{}", echo.errors);
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
            app().client_secret(secret("client-secret") + "\n").api_key(secret("api-key") + "\n").oauth_app("..\n"),
            app().client_secret(secret("client-secret")).api_key("").oauth_app(""),
            App::new("").client_secret(secret("client-secret")),
            App::new("x\0").client_secret(secret("client-secret")),
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
    print_error(&JwtByEmail::new("e", bad("password")).request(&app()).unwrap_err());
    for url in
        ["https://user:PASS@a.example", "https://a.example?key=PASS", "https://a.example#PASS", "PASS", "http://PASS"]
    {
        print_error(&Service::cloud().base_url(&url.replace("PASS", MARK)).unwrap_err());
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
}

/// A success of every operation, with a secret wherever there is one.
fn success() -> String {
    json!({
        "access_token": secret("access-token"),
        "refresh_token": secret("refresh-token"),
        "id_token": secret("id-token"),
        "token_type": "Bearer",
        "expires_in": 394,
        "signature": secret("jwt"),
        "device_code": secret("device-code"),
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
        let now = Instant::now();
        let outcomes: [fn() -> Outcome; 6] = [
            || Ok(answer(200, success())),
            || Ok(answer(503, success())),
            || Ok(answer(400, json!({ "error": "invalid_grant", "Data": secret("data") }).to_string())),
            || Ok(answer(200, " ".repeat(Body::LIMIT) + &success())),
            || Err(Error::not_sent("connection refused")),
            || Err(Error::lost("connection reset")),
        ];
        print_error(&Error::not_sent("connection refused"));
        for outcome in outcomes {
            let mut call = Call::new(operation.clone(), &app(), 42).retry(Retry { attempts: 2, ..Retry::default() });
            let mut now = now;
            print(&call);
            loop {
                match call.step(now) {
                    Step::Send { request, .. } => {
                        search(&redacted(&request).to_string());
                        print(&call);
                        call.receive(outcome(), now);
                    }
                    Step::Wait(until) => now = until,
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
            let Step::Done(Err(error)) = call.step(now) else { panic!("the flow goes on after its end") };
            print_error(&error);
        }
        let mut call = Call::new(operation.clone(), &app(), 42).retry(Retry::OFF);
        let Step::Send { .. } = call.step(now) else { panic!("nothing is sent") };
        let Step::Wait(deadline) = call.step(now) else { panic!("no deadline") };
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
                let mut call = Call::new(operation.clone(), &app, 42);
                let now = Instant::now();
                print(&call.step(now));
                call.receive(Ok(answer(200, success())), now);
                print(&call.step(now));
            }
        }
    }
    every_operation(&mut Steps);
}

#[test]
fn a_device_sign_in_in_every_state() {
    let grant = RequestDeviceCode::new().response(&app(), answer(200, success())).unwrap();
    print(&grant);
    let echo = |error: &str| {
        let described = secret("device-code");
        Ok(answer(400, json!({ "error": error, "error_description": described }).to_string()))
    };
    let ends: Vec<Box<dyn Fn() -> Outcome>> = vec![
        Box::new(move || echo("access_denied")),
        Box::new(move || echo("invalid_grant")),
        Box::new(move || echo("authorization_pending")),
        Box::new(|| Ok(answer(200, success()))),
        Box::new(|| Ok(answer(502, secret("device-code")))),
        Box::new(|| Err(Error::lost("timed out"))),
    ];
    for end in &ends {
        let mut now = Instant::now();
        let mut flow = DeviceFlow::new(&app(), &grant, now, 42);
        let mut polls = 0;
        loop {
            print(&flow);
            match flow.step(now) {
                Step::Send { request, .. } => {
                    search(&redacted(&request).to_string());
                    polls += 1;
                    flow.receive(if polls == 1 { Err(Error::lost("reset")) } else { end() }, now);
                }
                Step::Wait(until) => now = until,
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
        let pending = flow.pending(now, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
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

/// The tokens of a sign-in, a secret in each.
fn tokens() -> TokenSet {
    let mut tokens = TokenSet::new(secret("access-token"));
    tokens.refresh_token = Some(secret("refresh-token").into());
    tokens.id_token = Some(secret("id-token").into());
    tokens.expires_in = Some(Duration::from_secs(600));
    tokens
}

/// What a server answers, and what a store says of a save.
type Faults<'a> = (&'a dyn Fn() -> Outcome, &'a dyn Fn() -> SaveOutcome);

/// A session in one process: whatever its flows print on their way is searched.
#[derive(Clone)]
struct Session {
    app: App,
    policy: SessionPolicy,
    memory: SessionMemory,
    stored: Option<String>,
    now: Instant,
    clock: SystemTime,
    errors: usize,
}

impl Session {
    /// Somebody signed in, and the lifetime is over.
    fn new(app: &App) -> Self {
        let (now, clock) = (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let policy = SessionPolicy { retry: Retry { attempts: 2, ..Retry::default() }, ..SessionPolicy::default() };
        let memory = SessionMemory::default();
        let mut session = Self { app: app.clone(), policy, memory, stored: None, now, clock, errors: 0 };
        session
            .run(SessionFlow::sign_in(app, policy, SessionMemory::default(), tokens(), 41), (&server_is_off, &saves));
        session.pass(Duration::from_secs(3600));
        session
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.clock += time;
    }

    fn flows(&self) -> [SessionFlow; 4] {
        let (app, policy) = (&self.app, self.policy);
        [
            SessionFlow::token(app, policy, self.memory.clone(), 42),
            SessionFlow::sign_in(app, policy, self.memory.clone(), tokens(), 43),
            SessionFlow::sign_out(app, policy, self.memory.clone(), 44),
            SessionFlow::forget(app, policy, self.memory.clone(), 45),
        ]
    }

    fn run(&mut self, mut flow: SessionFlow, (server, store): Faults<'_>) {
        for _ in 0..200 {
            print(&flow);
            let step = flow.step(self.now, self.clock);
            print(&step);
            let input = match step {
                SessionStep::Lock => SessionInput::Locked(Ok(true)),
                SessionStep::Load => {
                    let outcome = self.stored.as_deref().map_or(LoadOutcome::Nothing, LoadOutcome::from_json);
                    print(&outcome);
                    SessionInput::Loaded(outcome)
                }
                SessionStep::Send { request, .. } => {
                    search(&redacted(&request).to_string());
                    SessionInput::Answered(server())
                }
                SessionStep::Wait(until) => {
                    self.pass(until.saturating_duration_since(self.now));
                    continue;
                }
                SessionStep::Save { record, .. } => {
                    print(&record);
                    let outcome = store();
                    print(&outcome);
                    if matches!(outcome, SaveOutcome::Saved) {
                        self.stored = Some(record.to_json());
                    }
                    SessionInput::Saved(outcome)
                }
                SessionStep::Clear { .. } => {
                    self.stored = None;
                    SessionInput::Saved(SaveOutcome::Saved)
                }
                SessionStep::Unlock => SessionInput::Unlocked,
                SessionStep::Done(end) => {
                    self.end(&end);
                    self.memory = end.memory;
                    print(&flow.step(self.now, self.clock));
                    return;
                }
            };
            flow.receive(input, self.now, self.clock);
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
                SessionEvent::Retried { error, .. }
                | SessionEvent::Unsaved { error, .. }
                | SessionEvent::SignedOut { error: Some(error), .. } => print_error(error),
                _ => {}
            }
        }
        print(&end.memory);
        print(&end.memory.tokens(self.now, self.clock));
        if let Some(error) = end.memory.unsaved() {
            print_error(error);
        }
        for ahead in [0, 599, 3600] {
            let ahead = Duration::from_secs(ahead);
            let handout = end.memory.handout(self.now + ahead, self.clock + ahead);
            print(&handout);
            if let Handout::Held(error) = handout {
                print_error(error);
            }
        }
    }
}

fn server_is_off() -> Outcome {
    Err(Error::not_sent("connection refused"))
}

fn saves() -> SaveOutcome {
    SaveOutcome::Saved
}

#[test]
fn sessions_whose_server_echoes_what_it_was_sent() {
    let mut errors = 0;
    let session = Session::new(&app());
    for slot in ["refresh-token", "client-secret"] {
        for spelling in spellings(&secret(slot)) {
            for body in echoes(&spelling) {
                for status in [200, 400, 503] {
                    let server = || Ok(answer(status, body.as_str()));
                    let [token, _, sign_out, _] = session.flows();
                    for flow in [token, sign_out] {
                        let mut session = session.clone();
                        session.run(flow, (&server, &saves));
                        // What was stored of it is told to the next process.
                        let next = SessionFlow::token(&session.app, session.policy, SessionMemory::default(), 46);
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
    let full = || Error::try_later("the session cannot be stored", "no space left on device");
    let stores: [&dyn Fn() -> SaveOutcome; 4] =
        [&saves, &|| SaveOutcome::Conflict, &|| SaveOutcome::Failed(full()), &|| SaveOutcome::Unknown(full())];
    let servers: [&dyn Fn() -> Outcome; 6] = [
        &|| Ok(answer(200, success())),
        &|| Ok(answer(503, success())),
        &|| Ok(answer(400, json!({ "error": "invalid_grant", "Data": secret("data") }).to_string())),
        &|| {
            Ok(answer(
                200,
                json!({ "refresh_token": secret("refresh-token"), "access_token": [secret("x")] }).to_string(),
            ))
        },
        &|| Err(Error::lost("connection reset")),
        &server_is_off,
    ];
    let mut errors = 0;
    for store in stores {
        for server in servers {
            let session = Session::new(&app());
            for flow in session.flows() {
                let mut session = session.clone();
                session.run(flow, (server, store));
                // And whoever comes with that memory.
                for flow in session.flows() {
                    session.run(flow, (server, store));
                }
                errors += session.errors;
            }
        }
    }
    assert!(errors > 200, "{errors}");
}

#[test]
fn sessions_that_cannot_be_read() {
    let stored = Session::new(&app()).stored.expect("a session");
    for slot in ["access-token", "refresh-token", "id-token"] {
        assert!(stored.contains(&(MARK.to_owned() + slot)), "{slot}");
    }
    let ends = stored.char_indices().map(|(at, _)| stored[..at].to_owned());
    let broken = ends.chain([
        stored.replace("\"version\":1", "\"version\":2"),
        stored.replace("\"version\":1", "\"version\":\"1\""),
        stored.replace("\"generation\":", "\"generation\":-"),
        stored.replace("\"access_token\":", "\"access_token\":7,\"x\":"),
        stored.replace("\"access_token\":", "\"refresh_token\":"),
        stored.replace("\"lifetime_ms\":", "\"lifetime_ms\":-"),
        format!("{stored}{stored}"),
        secret("access-token"),
    ]);
    for json in broken {
        let outcome = LoadOutcome::from_json(&json);
        print(&outcome);
        match outcome {
            LoadOutcome::Damaged(error) | LoadOutcome::Failed(error) => print_error(&error),
            LoadOutcome::Record(_) | LoadOutcome::Nothing => panic!("{}", json.replace(MARK, "")),
        }
        let mut session = Session { stored: Some(json), ..Session::new(&app()) };
        for flow in session.flows() {
            session.run(flow, (&server_is_off, &saves));
        }
    }
}

#[test]
fn sessions_whose_driver_prints_and_misuses_them() {
    let mut session = Session::new(&app());
    assert!(session.memory.report(&AccessToken::new(secret("access-token"))));
    print(&session.memory);
    let mut flow = SessionFlow::token(&session.app, session.policy, session.memory.clone(), 47);
    let stray = || {
        [
            SessionInput::Answered(Ok(answer(200, success()))),
            SessionInput::Loaded(LoadOutcome::from_json(&secret("x"))),
            SessionInput::Saved(SaveOutcome::Unknown(Error::settings("x"))),
        ]
    };
    for input in stray() {
        flow.receive(input, session.now, session.clock);
        print(&flow);
    }
    session.run(flow.clone(), (&|| Ok(answer(200, success())), &saves));
    for input in stray() {
        flow.receive(input, session.now, session.clock);
        print(&flow);
    }
    let other = Session { app: App::new("another"), ..session };
    for mut flow in other.flows() {
        print(&flow.step(other.now, other.clock));
        flow.receive(SessionInput::Locked(Ok(true)), other.now, other.clock);
        let stored = other.stored.as_deref().expect("a session");
        flow.receive(SessionInput::Loaded(LoadOutcome::from_json(stored)), other.now, other.clock);
        print(&flow);
        print(&flow.step(other.now, other.clock));
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

/// The state, the verifier and the nonce of a sign-in, each with the mark in the middle.
const MADE: [&str; 3] = [
    "state--------------CANARY-----------------A",
    "verifier-----------CANARY-----------------A",
    "nonce--------------CANARY-----------------A",
];

/// The bytes that they are made of.
fn marked_bytes() -> RandomBytes {
    let bytes = MADE.map(|text| URL_SAFE_NO_PAD.decode(text).unwrap()).concat();
    bytes.try_into().unwrap()
}

fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// A JWT that has the nonce, and so belongs to a site's sign-in; it is a secret itself.
fn marked_jwt() -> String {
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"nonce":"{}","sub":"x"}}"#, MADE[2]));
    format!("{MARK}header.{claims}.{MARK}")
}

/// Whatever is printed while a callback is read, in a server's hands and in a program's own.
fn read_back<P>(make: impl Fn() -> P, store: impl Fn(&P) -> String, text: &str) -> usize
where
    P: Pending + Debug,
    P::Output: Debug,
{
    let mut errors = 0;
    let callback = Callback::from_query(text).unwrap();
    print(&callback);
    for now in [epoch(), epoch() + Duration::from_secs(600)] {
        let mut pending = make();
        for _ in 0..2 {
            print(&pending);
            let outcome = pending.accept(&callback, now);
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
        let reply: Reply<P::Output> = request.answer(&mut pending, epoch());
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
    let all = form(&[("code", &secret("code")), ("token", &secret("token")), ("id_token", &secret("id-token"))]);
    for kind in kinds {
        let request = AuthorizationRequest::new("https://www.abc.com/")
            .scope("openid")
            .response_type(kind)
            .issuer("https://honest.example");
        print(&request);
        let make = || {
            let sign_in = request.begin(&app(), &marked_bytes(), epoch()).unwrap();
            assert!(sign_in.url.contains(MARK));
            print(&sign_in);
            sign_in.pending
        };
        let mut give = |text: &str| errors += read_back(make, PendingSignIn::to_json, text);
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
                for told in
                    [spelling.clone(), format!("the value {spelling} is not known."), "x".repeat(280) + &spelling]
                {
                    for (error, description) in [("access_denied", told.as_str()), (&told, ""), (&told, &told)] {
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
            let sign_in = redirect.begin(&app, &marked_bytes(), epoch()).unwrap();
            assert!(sign_in.url.contains(MARK));
            print(&sign_in);
            sign_in.pending
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
                for told in [spelling.clone(), format!("the value {spelling} is not known.")] {
                    let text =
                        [("error", told.as_str()), ("error_description", &told), ("state", state), ("my_jwt", &jwt)];
                    // A classic sign-in knows no nonce.
                    if secret != nonce || app.target().family() == loginradius_proto::Family::Site {
                        give(&serde_urlencoded::to_string(text).unwrap());
                    }
                }
            }
        }
    }
    assert!(errors > 100, "{errors}");
}

#[test]
fn sign_ins_through_a_browser_that_cannot_begin_or_be_read() {
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
        print_error(&request.begin(&app(), &marked_bytes(), epoch()).unwrap_err());
    }
    let sign_in = AuthorizationRequest::new("https://www.abc.com/").begin(&app(), &marked_bytes(), epoch()).unwrap();
    let jwt = JwtRedirect::new("https://www.abc.com/", "jwt").begin(&app(), &marked_bytes(), epoch()).unwrap();
    for stored in [sign_in.pending.to_json(), jwt.pending.to_json()] {
        assert!(stored.contains(MARK));
        for end in 0..stored.len() {
            let changed = format!("{}\u{1}{}", &stored[..end], &stored[end..]);
            for broken in [&stored[..end], &changed, &stored.replace(MARK, &format!("{MARK}="))] {
                print_error(&PendingSignIn::from_json(broken).map(drop).unwrap_err());
                print_error(&PendingJwt::from_json(broken).map(drop).unwrap_err());
            }
        }
    }
}
