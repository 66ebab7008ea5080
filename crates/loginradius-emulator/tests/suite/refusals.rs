//! Requests that are wrong in themselves, whatever they are about.

use loginradius_emulator::{BodyFormat, Emulator, Operation, seeded};
use serde_json::json;

use crate::http::{ID, SECRET, assert_code, assert_oauth, get, host, post, post_json, raw, send, tokens};

const CLASSIC: &str = "/sso/oauth/access_token";
const SITE: &str = "/api/oauth/demo-oauth-app/token";
const DEVICE: &str = "/sso/oauth/demo-oauth-app/device";

/// The password operation without what is tested.
fn password<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![("grant_type", "password"), ("username", "ada"), ("password", seeded::ADA.password)];
    fields.extend_from_slice(more);
    fields
}

#[test]
fn clients_must_be_known_and_prove_it() {
    let emulator = Emulator::start().unwrap();
    let unknown = ("client_id", "de300000-0000-4000-8000-00000000dead");
    let wrong = ("client_secret", seeded::OTHER_CLIENT_SECRET);
    let classic = |more: &[_]| post(&emulator, CLASSIC, &password(more));
    assert_code(&classic(&[SECRET]), 400, 922);
    assert_code(&classic(&[("client_id", "key"), SECRET]), 400, 920);
    assert_code(&classic(&[unknown, SECRET]), 401, 2009);
    assert_code(&classic(&[ID]), 400, 923);
    assert_code(&classic(&[ID, ("client_secret", "")]), 400, 923);
    assert_code(&classic(&[ID, wrong]), 403, 2011);
    let site = |more: &[_]| post(&emulator, SITE, &password(more));
    let text = "The client_id is a required parameter.";
    assert_oauth(&site(&[]), 400, "invalid_request", text);
    let text = "The client_id is not valid, check your client_id again.";
    assert_oauth(&site(&[unknown]), 401, "invalid_client", text);
    let text = "The client_secret is not valid, check your client_secret again.";
    assert_oauth(&site(&[ID, wrong]), 403, "unauthorized_client", text);
    let other_app = post(&emulator, "/api/oauth/other/token", &password(&[ID]));
    let text = "The OAuth configuration not found.";
    assert_oauth(&other_app, 403, "unauthorized_client", text);
    assert_eq!(emulator.logins(), []);
}

#[test]
fn grant_types_must_be_known() {
    let emulator = Emulator::start().unwrap();
    let bogus = [ID, SECRET, ("grant_type", "client_credentials")];
    assert_code(&post(&emulator, CLASSIC, &bogus), 400, 2012);
    let text = "The grant_type is not valid, check grant_type parameter again";
    assert_oauth(&post(&emulator, SITE, &bogus), 400, "unsupported_grant_type", text);
    let text = "The grant_type is a required parameter";
    assert_oauth(&post(&emulator, SITE, &[ID, SECRET]), 400, "invalid_request", text);
    let refresh = "/sso/oauth/access_token/refresh";
    assert_code(&post(&emulator, refresh, &bogus), 400, 2012);
    assert_code(&post(&emulator, refresh, &[ID, SECRET]), 400, 2008);
}

#[test]
fn what_is_required_must_be_there() {
    let emulator = Emulator::start().unwrap();
    for (left_out, code) in [("username", 2008), ("password", 2008)] {
        let mut fields = password(&[ID, SECRET]);
        fields.retain(|(name, _)| *name != left_out);
        assert_code(&post(&emulator, CLASSIC, &fields), 400, code);
        let text = format!("The {left_out} is a required parameter");
        assert_oauth(&post(&emulator, SITE, &fields), 400, "invalid_request", &text);
    }
    let refresh = [ID, SECRET, ("grant_type", "refresh_token")];
    assert_code(&post(&emulator, "/sso/oauth/access_token/refresh", &refresh), 400, 2008);
    let text = "The refresh_token is a required parameter";
    assert_oauth(&post(&emulator, SITE, &refresh), 400, "invalid_request", text);
}

#[test]
fn repeated_parameters_are_refused_in_forms_and_in_json() {
    let emulator = Emulator::start().unwrap();
    let twice = post(&emulator, DEVICE, &[ID, ID]);
    assert_oauth(&twice, 400, "invalid_request", "The client_id must not be repeated");
    assert_code(&post(&emulator, CLASSIC, &password(&[ID, SECRET, SECRET])), 400, 2008);
    let fields = password(&[ID, SECRET, ("username", "grace")]);
    assert_code(&post(&emulator, CLASSIC, &fields), 400, 2008);
    let fields = password(&[ID, ("grant_type", "password")]);
    let text = "The grant_type must not be repeated";
    assert_oauth(&post(&emulator, SITE, &fields), 400, "invalid_request", text);
    let body = format!(r#"{{"client_id":"{0}","client_id":"{0}"}}"#, seeded::CLIENT_ID);
    let headers = [("content-type", "application/json")];
    let url = format!("{}{DEVICE}", emulator.base_url());
    let response = send("POST", &url, &headers, body.as_bytes()).unwrap();
    assert_oauth(&response, 400, "invalid_request", "The client_id must not be repeated");
}

#[test]
fn parameters_in_the_query_do_not_count() {
    let emulator = Emulator::start().unwrap();
    let path = format!("{DEVICE}?client_id={}", seeded::CLIENT_ID);
    let text = "The client_id is a required parameter.";
    assert_oauth(&post(&emulator, &path, &[]), 400, "invalid_request", text);
}

#[test]
fn bodies_must_be_what_they_say() {
    let emulator = Emulator::start().unwrap();
    let url = format!("{}{DEVICE}", emulator.base_url());
    let form = format!("client_id={}", seeded::CLIENT_ID);
    let json = json!({ "client_id": seeded::CLIENT_ID }).to_string();
    let with = |content_type: &str, body: &str| {
        let headers = [("content-type", content_type)];
        send("POST", &url, &headers, body.as_bytes()).unwrap()
    };
    assert_eq!(with("application/json; charset=utf-8", &json).status, 200);
    assert_eq!(with("Application/JSON", &json).status, 200);
    assert_eq!(with("application/x-www-form-urlencoded; charset=UTF-8", &form).status, 200);
    for body in [form.as_str(), "", "[]", "{", "null", "\"x\""] {
        assert_code(&with("application/json", body), 400, 965);
    }
    for content_type in ["text/plain", "application/jsonx", "multipart/form-data", ""] {
        assert_code(&with(content_type, &json), 400, 1083);
    }
    assert_code(&send("POST", &url, &[], json.as_bytes()).unwrap(), 400, 1083);
    let number = post_json(&emulator, DEVICE, &json!({ "client_id": 5 }));
    assert_oauth(&number, 400, "invalid_request", "The client_id must be a string");
    let formats: Vec<_> = emulator.requests().iter().map(|request| request.body_format).collect();
    assert_eq!(formats[..3], [BodyFormat::Json, BodyFormat::Json, BodyFormat::Form]);
    assert_eq!(formats[9], BodyFormat::Other);
}

#[test]
fn a_tenant_with_json_only_refuses_forms() {
    let emulator = Emulator::builder().json_only(true).start().unwrap();
    let paths = [
        DEVICE,
        "/sso/oauth/demo-oauth-app/access_token",
        CLASSIC,
        "/sso/oauth/access_token/refresh",
        "/sso/oauth/refresh_token/revoke",
        "/api/oauth/demo-oauth-app/device",
        SITE,
        "/api/oauth/demo-oauth-app/revoke",
    ];
    for path in paths {
        let response = post(&emulator, path, &password(&[ID, SECRET]));
        assert_code(&response, 400, 965);
        let message = response.json()["Message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("The post body is invalid"), "{message}");
    }
    let body = json!({ "client_id": seeded::CLIENT_ID });
    assert_eq!(post_json(&emulator, DEVICE, &body).status, 200);
}

#[test]
fn methods_are_exact() {
    let emulator = Emulator::start().unwrap();
    for path in [DEVICE, CLASSIC, SITE, "/sso/jwt/api/login"] {
        let response = get(&emulator, path);
        assert_eq!((response.status, response.header("allow")), (405, Some("POST")), "{path}");
    }
    for path in ["/sso/jwt/api/token", "/api/jwt/demo-jwt-app/token"] {
        let response = post(&emulator, path, &[]);
        assert_eq!((response.status, response.header("allow")), (405, Some("GET")), "{path}");
    }
    let form = format!("client_id={}", seeded::CLIENT_ID);
    let request = |method: &str| {
        format!(
            "{method} {DEVICE} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            host(&emulator),
            form.len()
        )
    };
    assert!(raw(&emulator, &request("POST")).starts_with(b"HTTP/1.1 200 "));
    assert!(raw(&emulator, &request("post")).starts_with(b"HTTP/1.1 405 "));
    assert_eq!(emulator.device_grants().len(), 1);
    let last = emulator.requests().pop().unwrap();
    assert_eq!((last.method.as_str(), last.operation), ("post", None));
}

#[test]
fn addresses_are_exact() {
    let emulator = Emulator::start().unwrap();
    for path in [
        "/sso/oauth/demo-oauth-app/device/",
        "/sso/oauth//device",
        "/SSO/oauth/demo-oauth-app/device",
        "/api/oauth/demo-oauth-app/access_token",
        "/sso/oauth/demo-oauth-app/token",
    ] {
        assert_eq!(post(&emulator, path, &[ID]).status, 404, "{path}");
    }
    // One segment, however it is written.
    let encoded = "/sso/oauth/demo%2Doauth%2Dapp/device";
    assert_eq!(post(&emulator, encoded, &[ID]).status, 200);
}

#[test]
fn a_body_that_is_too_long_is_not_read_to_its_end() {
    let emulator = Emulator::start().unwrap();
    let long = "x".repeat(100_000);
    let response = post(&emulator, DEVICE, &[ID, ("scope", &long)]);
    assert_eq!(response.status, 413);
    assert_eq!(emulator.device_grants(), []);
}

#[test]
fn a_refused_request_is_recorded_with_its_operation() {
    let emulator = Emulator::start().unwrap();
    post(&emulator, CLASSIC, &password(&[]));
    post(&emulator, CLASSIC, &[ID, SECRET, ("code", "x")]);
    post(&emulator, SITE, &[ID, ("grant_type", "bogus")]);
    tokens(&emulator);
    let operations: Vec<_> = emulator.requests().iter().map(|request| (request.operation, request.status)).collect();
    let expected = [
        (Some(Operation::Password), Some(400)),
        (Some(Operation::CodeExchange), Some(400)),
        (None, Some(400)),
        (Some(Operation::Password), Some(200)),
    ];
    assert_eq!(operations, expected);
}
