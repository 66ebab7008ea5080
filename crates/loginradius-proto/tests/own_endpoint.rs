//! Endpoints that another crate writes: how their requests are built and their responses read.

use loginradius_proto::http::{HeaderValue, Method, Request, Response, header};
use loginradius_proto::{
    AccessToken, App, Body, Call, ClientSecret, Endpoint, Error, ErrorKind, Flow, Password, RequestBuilder,
    ResponseReader, Retry, Seed, Service, Step,
};
use loginradius_testing::{now, response};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

type Build = fn(&ChangePassword, &App) -> Result<Request<Body>, Error>;

/// An operation whose request is built as its test says, and whose password is its secret.
struct ChangePassword {
    password: Password,
    build: Build,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Changed {
    is_posted: bool,
    count: u8,
}

impl Endpoint for ChangePassword {
    type Response = Changed;

    fn name(&self) -> &'static str {
        "Change Password"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        (self.build)(self, app)
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<Changed, Error> {
        ResponseReader::new(self, app).json(&response)
    }

    fn secrets(&self) -> Vec<&str> {
        vec![self.password.expose()]
    }
}

fn operation(build: Build) -> ChangePassword {
    ChangePassword { password: "p4ssw0rd-of-ada".into(), build }
}

fn app() -> App {
    App::new("my-api-key").with_client_secret("s3cret-of-the-client")
}

fn get(path: &str) -> RequestBuilder {
    RequestBuilder::get(Service::classic().api_host(), path)
}

fn refused(builder: RequestBuilder, why: &str) {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains(why), "{error}");
}

fn body(request: &Request<Body>) -> &str {
    std::str::from_utf8(request.body().as_bytes()).unwrap()
}

// The request.

#[test]
fn every_part_is_encoded_for_its_place() {
    let service = Service::classic_at("https://gate.example/lr").unwrap();
    let request = RequestBuilder::put(service.api_host(), "/identity/v2/manage/account")
        .segment("a/b?c#d%2e.. ä")
        .query("apikey", "k&e=y")
        .query("q", "ä ?")
        .query_opt("none", None)
        .query_opt("some", Some("x"))
        .bearer(&AccessToken::new("b8cb"))
        .header("X-LoginRadius-ApiSecret", "s3cret")
        .build()
        .unwrap();
    assert_eq!(request.method(), Method::PUT);
    assert_eq!(
        request.uri(),
        "https://gate.example/lr/identity/v2/manage/account/a%2Fb%3Fc%23d%252e..%20%C3%A4?\
         apikey=k%26e%3Dy&q=%C3%A4+%3F&some=x"
    );
    assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer b8cb");
    assert_eq!(request.headers()[header::ACCEPT], "application/json");
    assert_eq!(request.headers()["x-loginradius-apisecret"], "s3cret");
    for name in ["authorization", "x-loginradius-apisecret"] {
        assert!(request.headers()[name].is_sensitive(), "{name} may be logged");
    }
    assert!(request.body().is_empty());
}

#[test]
fn bodies_are_forms_or_json() {
    #[derive(Serialize)]
    struct New<'a> {
        email: &'a str,
        kind: Option<&'a str>,
    }
    let service = Service::classic();
    let post = || RequestBuilder::post(service.api_host(), "/identity/v2/auth/email");
    let new = New { email: "ä@example.com", kind: None };
    let form = post().json(&[1]).form(&new).build().unwrap();
    assert_eq!((body(&form), form.method()), ("email=%C3%A4%40example.com", &Method::POST));
    assert_eq!(form.headers()[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
    let json = post().form(&[("a", "b")]).json(&new).build().unwrap();
    assert_eq!(body(&json), r#"{"email":"ä@example.com","kind":null}"#);
    assert_eq!(json.headers().get_all(header::CONTENT_TYPE).iter().collect::<Vec<_>>(), ["application/json"]);
    refused(post().form(&[("a", ["b", "c"])]), "cannot be written as a form");
    refused(post().json(&std::collections::HashMap::from([((1, 2), 3)])), "cannot be written as JSON");
}

#[test]
fn a_path_that_leads_elsewhere_is_refused() {
    for path in ["/../sso/oauth", "/a/../b", "/a/./b", "/a//b", "/a/", "/", "//evil.example/a", "/a/.."] {
        refused(get(path), "an empty, `.` or `..` segment");
    }
    for path in ["/a?b=c", "/a#b", "/a\\b", "/a%2e%2e/b", "/%2e%2e/b", "/a b", "/a\r\nHost: x", "/ä", "/a\0"] {
        refused(get(path), "has to be encoded");
    }
    for path in ["", "a", "https://evil.example/a", ".evil.example/a", "@evil.example/", ":8080/a"] {
        refused(get(path), "has to begin with `/`");
    }
    for segment in ["", ".", ".."] {
        refused(get("/a").segment(segment), "is empty, `.` or `..`");
    }
    for segment in ["../b", "%2e%2e", "..%2fb", "a\\..\\b"] {
        let request = get("/a").segment(segment).build().unwrap();
        assert_eq!(request.uri().path().matches('/').count(), 2, "{}", request.uri());
    }
}

#[test]
fn control_characters_are_refused_and_no_value_is_shown() {
    const SECRET: &str = "s3cr3t\r\nX-Injected: 1";
    let checks = [
        (get("/a").segment(SECRET), "a segment of the path contains a control character"),
        (get("/a").bearer(&AccessToken::new("s3cr3t\t")), "the access token contains a control character"),
        (get("/a").query(SECRET, "x"), "the name of a parameter is empty or contains a control character"),
        (get("/a").query("", "s3cr3t"), "the name of a parameter is empty or contains a control character"),
        (get("/a").basic("", &ClientSecret::new("s3cr3t")), "`client_id` is empty"),
        (get("/a").basic("id", &ClientSecret::new("")), "`client_secret` is empty"),
        (get("/a").query("password", SECRET), "`password` contains a control character"),
        (get("/a").bearer(&AccessToken::new(SECRET)), "the access token contains a control character"),
        (get("/a").header("x-secret", SECRET), "the header `x-secret` contains a control character"),
    ];
    for (builder, why) in checks {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains(why) && error.to_string().lines().count() == 1, "{error}");
        assert!(!format!("{error} {error:?} {error:#?}").contains("s3cr3t"), "{error:?}");
    }
    refused(get("/a").query("apikey", ""), "`apikey` is empty");
    refused(get("/a").bearer(&AccessToken::new("")), "the access token is empty");
    refused(get("/a").header("x y", "1"), "a header's name");
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "TE",
        "upgrade",
        "trailer",
        "User-Agent",
        "expect",
        "accept-encoding",
    ] {
        refused(get("/a").header(name, "x"), "the transport sets the header");
    }
    for method in [Method::CONNECT, Method::TRACE, Method::OPTIONS, Method::HEAD, "PURGE".parse().unwrap()] {
        let builder = RequestBuilder::new(method, Service::classic().api_host(), "/a");
        refused(builder, "none of GET, POST, PUT, PATCH and DELETE");
    }
    refused(get("/a").query("q", &"x".repeat(70_000)), "too long");
}

#[test]
fn the_first_mistake_is_the_one_that_is_reported() {
    refused(get("/..").segment("").query("a", ""), "`..` segment");
    refused(get("/a").query("first", "").query("second", ""), "`first`");
}

#[test]
fn a_builder_prints_no_secret() {
    let builder = get("/a")
        .query("password", "s3cret")
        .bearer(&AccessToken::new("s3cret"))
        .header("x", "s3cret")
        .form(&[("password", "s3cret")]);
    let printed = format!("{builder:?}{builder:#?}");
    assert!(!printed.contains("s3cret"), "{printed}");
}

#[test]
fn basic_authentication_encodes_both_parts_first() {
    let request = get("/a").basic("a:b", &ClientSecret::new("c d")).build().unwrap();
    // RFC 6749, section 2.3.1: base64 of `a%3Ab:c+d`.
    assert_eq!(request.headers()[header::AUTHORIZATION], "Basic YSUzQWI6Yytk");
    assert!(request.headers()[header::AUTHORIZATION].is_sensitive());
}

// Where it is sent.

#[test]
fn nothing_is_sent_to_a_host_that_is_not_the_services() {
    let builds: [Build; 4] = [
        |_, _| Ok(Request::get("https://evil.example/a").body(Body::empty()).unwrap()),
        |_, _| Ok(Request::get("http://api.loginradius.com/a").body(Body::empty()).unwrap()),
        |_, _| Ok(Request::get("https://api.loginradius.com:8443/a").body(Body::empty()).unwrap()),
        |_, _| Ok(Request::get("/a").body(Body::empty()).unwrap()),
    ];
    for build in builds {
        let operation = operation(build);
        let mut call = Call::new(&operation, &app(), Seed(1));
        let Step::Done(Err(error)) = call.step(now().monotonic) else { panic!("it is sent") };
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Misuse, Some("Change Password")));
        assert!(
            error.to_string().contains("not sent, because the request's host is not one of the service's"),
            "{error}"
        );
    }
    let own: [Build; 2] = [
        |_, app| RequestBuilder::get(app.service().api_host(), "/a").build(),
        |_, app| RequestBuilder::get(app.service().base(), "/a").build(),
    ];
    for build in own {
        let operation = operation(build);
        assert!(matches!(Call::new(&operation, &app(), Seed(1)).step(now().monotonic), Step::Send { .. }));
    }
}

#[test]
fn a_service_elsewhere_has_its_api_host_there_unless_it_is_set() {
    let host = |service: &Service| service.api_host().to_string();
    assert_eq!(host(&Service::classic()), "https://api.loginradius.com");
    assert_eq!(host(&Service::site("acme.hub.loginradius.com").unwrap()), "https://api.loginradius.com");
    for at in ["https://cloud-api.loginradius.com", "https://CLOUD-API.LoginRadius.com:443/x"] {
        assert_eq!(host(&Service::classic_at(at).unwrap()), "https://api.loginradius.com", "it is LoginRadius's own");
    }
    for at in ["https://evil-loginradius.com", "https://loginradius.com.evil.example", "https://gate.example"] {
        assert_eq!(host(&Service::site_at(at).unwrap()), at);
    }
    assert_eq!(host(&Service::site("localhost:8443").unwrap()), "https://localhost:8443", "a test stays here");
    let emulator = Service::site_at("http://127.0.0.1:8710").unwrap();
    assert_eq!(host(&emulator), "http://127.0.0.1:8710");
    let set = emulator.with_api_host("https://api.example/v").unwrap();
    assert_eq!((host(&set), set.to_string().as_str()), ("https://api.example/v".to_owned(), "http://127.0.0.1:8710"));
    let base = |uri: &str| set.base_of(&uri.parse().unwrap()).map(ToString::to_string);
    assert_eq!(base("https://api.example/x").as_deref(), Some("https://api.example/v"));
    assert_eq!(base("http://127.0.0.1:8710/x").as_deref(), Some("http://127.0.0.1:8710"));
    assert_eq!(base("https://api.loginradius.com/x"), None);
    let error = Service::classic().with_api_host("http://api.example").unwrap_err();
    assert!(error.to_string().starts_with("the URL of the API host is http"), "{error}");
}

#[test]
fn a_request_that_cannot_be_built_names_its_operation_and_is_not_sent() {
    let operation = operation(|_, app| RequestBuilder::get(app.service().api_host(), "/a").query("q", "\n").build());
    let Step::Done(Err(error)) = Call::new(&operation, &app(), Seed(1)).step(now().monotonic) else { panic!() };
    assert_eq!(error.to_string().split(": ").next(), Some("Change Password"));
}

// The response.

fn read(response: Response<Body>) -> Result<Changed, Error> {
    operation(|_, _| unreachable!()).response(&app(), response)
}

#[test]
fn json_of_the_type_is_the_response() {
    let changed = read(response(200, "\u{feff}{\"IsPosted\":true,\"Count\":7,\"More\":{}}")).unwrap();
    assert_eq!(changed, Changed { is_posted: true, count: 7 });
}

#[test]
fn json_of_another_shape_says_where_and_shows_no_value() {
    let rows = [
        (r#"{"IsPosted":true}"#, "does not match the endpoint's type: it has no `Count` (line 1, column 17)"),
        (r#"{"IsPosted":"t0p-s3cret","Count":1}"#, "does not match the endpoint's type (line 1, column 24)"),
        (r#"{"IsPosted":true,"Count":70000}"#, "does not match the endpoint's type (line 1, column 30)"),
        (r#"["t0p-s3cret"]"#, "does not match the endpoint's type (line 1, column 13)"),
        ("null", "does not match the endpoint's type (line 1, column 4)"),
        ("{\"IsPosted\":true,\"Count\":", "the body is not LoginRadius's"),
        ("<html>t0p-s3cret</html>", "the body is a web page and not LoginRadius's"),
        ("", "no body: check the base URL, or use `ResponseReader::empty`"),
        (" \r\n", "no body: check the base URL, or use `ResponseReader::empty`"),
    ];
    for (body, why) in rows {
        let error = read(response(200, body)).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::InvalidResponse, Some("Change Password")), "{body}");
        let printed = format!("{error} {error:?}");
        assert!(printed.contains(why), "{body}: {error}");
        assert!(!printed.contains("t0p-s3cret"), "{error}");
    }
    let lossy = [b"{\"IsPosted\":true,\"Count\":1,\"Name\":\"".as_slice(), b"\xff\"}"].concat();
    let error = read(response(200, lossy)).unwrap_err();
    assert!(error.to_string().contains("not in UTF-8"), "{error}");
}

#[test]
fn what_loginradius_refuses_is_an_error_at_every_status() {
    for status in [200, 400, 403, 500] {
        let body = r#"{"ErrorCode":906,"Message":"Access token has expired","IsPosted":true,"Count":1}"#;
        let error = read(response(status, body)).unwrap_err();
        assert_eq!((error.kind(), error.api_error().unwrap().code), (ErrorKind::SignInRequired, Some(906)), "{status}");
    }
    let error = read(response(502, "<html>")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let error = read(response(404, r#"{"IsPosted":true,"Count":1}"#)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse, "the status is no success");
}

#[test]
fn a_password_that_the_server_repeats_reaches_no_error() {
    for repeated in ["p4ssw0rd-of-ada", "s3cret-of-the-client", "p4ssw0rd%2Dof%2Dada"] {
        let body = format!(r#"{{"ErrorCode":1198,"Message":"{repeated}: wrong password","Description":"{repeated}"}}"#);
        let error = read(response(400, body)).unwrap_err();
        let printed = format!("{error} {error:?} {error:#?}");
        assert!(printed.contains("[redacted]") && !printed.contains(repeated), "{printed}");
    }
}

#[test]
fn a_response_of_two_mebibytes_is_not_read() {
    let body = format!(r#"{{"IsPosted":true,"Count":1,"More":"{}"}}"#, "x".repeat(2 << 20));
    let error = read(response(200, body)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(error.to_string().contains("longer than 1 MiB"), "{error}");
}

#[test]
fn an_empty_response_is_a_success_where_nothing_is_expected() {
    let operation = operation(|_, _| unreachable!());
    let empty = |status, body: &str| ResponseReader::new(&operation, &app()).empty(&response(status, body));
    for body in ["", " \n", "{}", "true", r#"{"IsDeleted":true}"#] {
        empty(200, body).unwrap();
    }
    assert_eq!(empty(200, "<html>").unwrap_err().kind(), ErrorKind::InvalidResponse);
    assert_eq!(empty(200, r#"{"ErrorCode":905,"Message":"the token"}"#).unwrap_err().kind(), ErrorKind::SignInRequired);
}

/// A type may make serde quote the response: no part of it gets into the error.
#[test]
fn a_message_that_quotes_the_response_is_not_shown() {
    #[derive(Debug)]
    struct Quoting;

    impl<'de> Deserialize<'de> for Quoting {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            Err(serde::de::Error::custom(format!("missing field `{text}`")))
        }
    }

    let operation = operation(|_, _| unreachable!());
    let app = app();
    let read = ResponseReader::new(&operation, &app).json::<Vec<Quoting>>(&response(200, r#"["hunter2"]"#));
    let error = read.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert!(!format!("{error}{error:?}{error:#?}").contains("hunter2"), "{error:?}");
}

#[test]
fn an_error_code_of_zero_is_no_error() {
    let changed = read(response(200, r#"{"IsPosted":true,"Count":1,"ErrorCode":0,"Message":"ok"}"#)).unwrap();
    assert_eq!(changed, Changed { is_posted: true, count: 1 });
}

// With retries.

/// A response came, so the request was sent: an endpoint that says otherwise must not make it be sent again.
#[test]
fn an_endpoint_that_calls_its_response_not_sent_is_not_believed() {
    struct Liar;

    impl Endpoint for Liar {
        type Response = ();

        fn name(&self) -> &'static str {
            "Liar"
        }

        fn request(&self, app: &App) -> Result<Request<Body>, Error> {
            RequestBuilder::post(app.service().api_host(), "/a").build()
        }

        fn response(&self, _: &App, _: Response<Body>) -> Result<(), Error> {
            Err(Error::not_sent("so it says"))
        }

        fn secrets(&self) -> Vec<&str> {
            Vec::new()
        }
    }

    let at = now().monotonic;
    let mut call = Call::new(Liar, &app(), Seed(1));
    let Step::Send { .. } = call.step(at) else { panic!() };
    call.receive(Ok(response(200, "")), at);
    let Step::Done(Err(error)) = call.step(at) else { panic!("it is sent again") };
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
}

#[test]
fn an_error_names_the_host_that_its_request_went_to() {
    struct To(bool);

    impl Endpoint for To {
        type Response = ();

        fn name(&self) -> &'static str {
            "To"
        }

        fn request(&self, app: &App) -> Result<Request<Body>, Error> {
            let service = app.service();
            RequestBuilder::post(if self.0 { service.api_host() } else { service.base() }, "/a").build()
        }

        fn response(&self, app: &App, response: Response<Body>) -> Result<(), Error> {
            ResponseReader::new(self, app).empty(&response)
        }

        fn secrets(&self) -> Vec<&str> {
            Vec::new()
        }
    }

    for (to_api_host, host) in [(true, "https://api.loginradius.com"), (false, "https://cloud-api.loginradius.com")] {
        for failure in [Error::not_sent("refused"), Error::outcome_unknown("reset")] {
            let at = now().monotonic;
            let mut call = Call::new(To(to_api_host), &app(), Seed(1)).retry(Retry::OFF);
            let Step::Send { .. } = call.step(at) else { panic!() };
            call.receive(Err(failure), at);
            let Step::Done(Err(error)) = call.step(at) else { panic!() };
            assert!(error.to_string().contains(host), "{error}");
        }
    }
}

#[test]
fn only_what_may_be_repeated_is_sent_again() {
    struct Repeatable(bool);

    impl Endpoint for Repeatable {
        type Response = ();

        fn name(&self) -> &'static str {
            "Repeatable"
        }

        fn request(&self, app: &App) -> Result<Request<Body>, Error> {
            RequestBuilder::get(app.service().api_host(), "/a").build()
        }

        fn response(&self, app: &App, response: Response<Body>) -> Result<(), Error> {
            ResponseReader::new(self, app).empty(&response)
        }

        fn secrets(&self) -> Vec<&str> {
            Vec::new()
        }

        fn repeatable(&self) -> bool {
            self.0
        }
    }

    for repeatable in [false, true] {
        let mut call = Call::new(Repeatable(repeatable), &app(), Seed(1)).retry(Retry::default().with_attempts(3));
        let (mut at, mut sent) = (now().monotonic, 0);
        let error = loop {
            match call.step(at) {
                Step::Send { options, .. } => {
                    sent += 1;
                    assert_eq!(options.fresh_connection, !repeatable || sent > 1);
                    call.receive(Ok(response(503, "")), at);
                }
                Step::Wait(until) => at = until,
                Step::Done(result) => break result.unwrap_err(),
            }
        };
        assert_eq!((sent, error.kind()), (if repeatable { 3 } else { 1 }, ErrorKind::Unavailable));
        assert_eq!(error.operation(), Some("Repeatable"));
    }
}

proptest! {
    #[test]
    fn no_text_leaves_its_place(
        segment in "\\PC{1,20}",
        value in "\\PC{1,20}",
        field in "\\PC{0,20}",
    ) {
        prop_assume!(!matches!(segment.as_str(), "." | ".."));
        let request = get("/identity").segment(&segment).query("q", &value).form(&[("f", &field)]).build().unwrap();
        prop_assert_eq!(request.uri().host(), Some("api.loginradius.com"));
        let path: Vec<&str> = request.uri().path().split('/').collect();
        prop_assert_eq!(path.len(), 3);
        let decoded = percent_encoding::percent_decode_str(path[2]).decode_utf8().unwrap();
        prop_assert_eq!(decoded.as_ref(), segment.as_str());
        let query: Vec<(String, String)> = serde_urlencoded::from_str(request.uri().query().unwrap()).unwrap();
        prop_assert_eq!(query, vec![("q".to_owned(), value)]);
        let form: Vec<(String, String)> = serde_urlencoded::from_bytes(request.body().as_bytes()).unwrap();
        prop_assert_eq!(form, vec![("f".to_owned(), field)]);
    }

    #[test]
    fn no_input_makes_the_builder_panic(
        path in "(/|\\PC|[\\x00-\\x20.%?#/]){0,12}",
        segment in any::<String>(),
        name in any::<String>(),
        value in any::<String>(),
    ) {
        let builder = get(&path).segment(&segment).query(name.clone(), &value).header(&name, &value);
        if let Ok(request) = builder.bearer(&AccessToken::new(value.as_str())).build() {
            prop_assert_eq!(request.uri().host(), Some("api.loginradius.com"));
            prop_assert!(!request.uri().path().split('/').any(|segment| matches!(segment, "." | "..")));
            prop_assert!(HeaderValue::from_str(&value).is_ok());
        }
    }
}
