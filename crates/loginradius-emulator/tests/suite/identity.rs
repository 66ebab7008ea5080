//! What an access token is good for at LoginRadius's identity API: the user's profile, and one operation that posts.

use std::time::Duration;

use loginradius_emulator::{Emulator, Fault, Operation, seeded};
use serde_json::{Value, json};

use crate::http::{Response, assert_code, get, post, post_with, send};

const PROFILE: &str = "/identity/v2/auth/account";
const EMAIL: &str = "/identity/v2/auth/email";

fn with_key(path: &str) -> String {
    format!("{path}?apikey={}", seeded::CLIENT_ID)
}

fn try_profile(emulator: &Emulator, path: &str, authorization: &str) -> Result<Response, ureq::Error> {
    send("GET", &format!("{}{path}", emulator.base_url()), &[("authorization", authorization)], b"")
}

fn profile(emulator: &Emulator, access_token: &str) -> Response {
    try_profile(emulator, &with_key(PROFILE), &format!("Bearer {access_token}")).unwrap()
}

fn add_email(emulator: &Emulator, access_token: &str, content_type: &str, body: &str) -> Response {
    let url = format!("{}{}", emulator.base_url(), with_key(EMAIL));
    let authorization = format!("Bearer {access_token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", content_type)];
    send("POST", &url, &headers, body.as_bytes()).unwrap()
}

#[test]
fn the_profile_is_that_of_the_user_who_signed_in() {
    let emulator = Emulator::start().unwrap();
    for user in [&seeded::ADA, &seeded::GRACE] {
        let login = emulator.login(user);
        let response = profile(&emulator, &login.access_token);
        assert_eq!((response.status, response.header("cache-control")), (200, Some("no-store")), "{response:?}");
        let body = response.json();
        let expected = [
            ("Uid", user.uid.to_owned()),
            ("ID", user.uid.to_owned()),
            ("UserName", user.username.to_owned()),
            ("FirstName", user.first_name.to_owned()),
            ("LastName", user.last_name.to_owned()),
            ("FullName", format!("{} {}", user.first_name, user.last_name)),
            ("PhoneId", user.phone.to_owned()),
            ("Provider", "Email".to_owned()),
        ];
        for (name, value) in expected {
            assert_eq!(body[name], Value::from(value), "{name}");
        }
        assert_eq!(body["Email"], json!([{ "Type": "Primary", "Value": user.email }]));
        assert_eq!(body["EmailVerified"], json!(true));
    }
    let unverified = emulator.login(&seeded::UNVERIFIED);
    assert_eq!(profile(&emulator, &unverified.access_token).json()["EmailVerified"], json!(false));
}

#[test]
fn a_request_for_the_profile_is_recorded() {
    let emulator = Emulator::start().unwrap();
    let login = emulator.login(&seeded::ADA);
    profile(&emulator, &login.access_token);
    get(&emulator, "/identity/v2/auth/access_token");
    let requests = emulator.requests();
    assert_eq!((requests[0].operation, requests[0].api), (Some(Operation::Profile), None));
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("GET", PROFILE));
    assert_eq!(requests[0].client_id.as_deref(), Some(seeded::CLIENT_ID));
    assert_eq!(requests[0].authorization, Some(format!("Bearer {}", login.access_token)));
    assert_eq!(requests[0].status, Some(200));
    // LoginRadius has more URLs there than the emulator.
    assert_eq!((requests[1].operation, requests[1].status), (None, Some(404)));
}

#[test]
fn the_api_key_must_be_known() {
    let emulator = Emulator::start().unwrap();
    let bearer = format!("Bearer {}", emulator.login(&seeded::ADA).access_token);
    let with = |query: &str| try_profile(&emulator, &format!("{PROFILE}{query}"), &bearer).unwrap();
    assert_code(&with(""), 400, 922);
    assert_code(&with("?apikey="), 400, 922);
    assert_code(&with("?apikey=key"), 400, 920);
    assert_code(&with("?apikey=de300000-0000-4000-8000-00000000dead"), 403, 901);
    let twice = format!("?apikey={0}&apikey={0}", seeded::CLIENT_ID);
    assert_code(&with(&twice), 403, 908);
    // LoginRadius's own code writes both.
    assert_eq!(with(&format!("?apiKey={}", seeded::CLIENT_ID)).status, 200);
}

#[test]
fn the_access_token_must_be_in_the_header_and_good() {
    let emulator = Emulator::builder().manual_clock().start().unwrap();
    let login = emulator.login(&seeded::ADA);
    assert_code(&get(&emulator, &with_key(PROFILE)), 400, 1060);
    let in_query = format!("{}&access_token={}", with_key(PROFILE), login.access_token);
    assert_code(&get(&emulator, &in_query), 400, 1060);
    for authorization in ["", "Bearer", "Bearer ", &format!("Basic {}", login.access_token)] {
        assert_code(&try_profile(&emulator, &with_key(PROFILE), authorization).unwrap(), 400, 1060);
    }
    // The scheme may be written in any case (RFC 9110, section 11.1).
    let lower = format!("bearer {}", login.access_token);
    assert_eq!(try_profile(&emulator, &with_key(PROFILE), &lower).unwrap().status, 200);

    let invalid = profile(&emulator, "x");
    let expected = json!({
        "Description": "The LoginRadius access token is invalid, please use the correct or valid access token in order to process this request.",
        "ErrorCode": 905,
        "Message": "Access token is invalid",
        "IsProviderError": false,
        "ProviderErrorResponse": null,
    });
    assert_eq!((invalid.status, invalid.json()), (403, expected));
    let refresh_token = login.refresh_token.unwrap();
    assert_code(&profile(&emulator, &refresh_token), 403, 905);

    emulator.advance(Duration::from_secs(3599));
    assert_eq!(profile(&emulator, &login.access_token).status, 200);
    emulator.advance(Duration::from_secs(1));
    assert_code(&profile(&emulator, &login.access_token), 403, 906);
    let next = emulator.login(&seeded::ADA);
    emulator.expire_access_tokens();
    assert_code(&profile(&emulator, &next.access_token), 403, 906);
    let next = emulator.login(&seeded::ADA);
    emulator.end_all_logins();
    assert_code(&profile(&emulator, &next.access_token), 403, 905);
}

#[test]
fn the_method_is_exact() {
    let emulator = Emulator::start().unwrap();
    let response = post(&emulator, &with_key(PROFILE), &[]);
    assert_eq!((response.status, response.header("allow")), (405, Some("GET")));
    let response = get(&emulator, &with_key(EMAIL));
    assert_eq!((response.status, response.header("allow")), (405, Some("POST")));
}

#[test]
fn faults_apply_to_the_profile() {
    let emulator = Emulator::start().unwrap();
    let login = emulator.login(&seeded::ADA);
    emulator.fault_times(Operation::Profile, Fault::Status(503), 1);
    emulator.fault_times(Operation::Profile, Fault::TooManyRequests { retry_after: Some(7) }, 1);
    emulator.fault_times(Operation::Profile, Fault::DropBefore, 1);
    assert_eq!(profile(&emulator, &login.access_token).status, 503);
    let limited = profile(&emulator, &login.access_token);
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("7")));
    let bearer = format!("Bearer {}", login.access_token);
    assert!(try_profile(&emulator, &with_key(PROFILE), &bearer).is_err());
    assert_eq!(profile(&emulator, &login.access_token).status, 200);
    let faults: Vec<_> = emulator.requests().into_iter().map(|request| request.fault.is_some()).collect();
    assert_eq!(faults, [true, true, true, false]);
}

#[test]
fn an_email_address_can_be_posted_as_json_and_as_a_form() {
    let emulator = Emulator::start().unwrap();
    let login = emulator.login(&seeded::ADA);
    let body = json!({ "email": "second@example.com", "type": "Secondary" }).to_string();
    let response = add_email(&emulator, &login.access_token, "application/json", &body);
    assert_eq!((response.status, response.json()), (200, json!({ "IsPosted": true })));
    let bearer = format!("Bearer {}", login.access_token);
    let fields = [("email", "second@example.com"), ("type", "Secondary")];
    let response = post_with(&emulator, &with_key(EMAIL), &[("authorization", &bearer)], &fields);
    assert_eq!((response.status, response.json()), (200, json!({ "IsPosted": true })));
    for request in emulator.requests() {
        assert_eq!((request.operation, request.api), (Some(Operation::AddEmail), None));
        assert_eq!(request.param("email"), Some("second@example.com"));
    }
}

#[test]
fn adding_an_email_address_is_refused_as_documented() {
    let emulator = Emulator::builder().manual_clock().start().unwrap();
    let token = emulator.login(&seeded::ADA).access_token;
    let post_json = |token: &str, body: &Value| add_email(&emulator, token, "application/json", &body.to_string());
    let good = json!({ "email": "second@example.com", "type": "Secondary" });
    assert_code(&post_json("x", &good), 403, 905);
    assert_code(&post_json("", &good), 400, 1060);
    assert_code(&post_json(&token, &json!({ "type": "Secondary" })), 400, 1038);
    assert_code(&post_json(&token, &json!({ "email": "second", "type": "Secondary" })), 400, 1038);
    assert_code(&post_json(&token, &json!({ "email": "second@example.com" })), 403, 908);
    assert_code(&post_json(&token, &json!({ "email": 5, "type": "Secondary" })), 403, 908);
    assert_code(&add_email(&emulator, &token, "application/json", "["), 400, 965);
    assert_code(&add_email(&emulator, &token, "text/plain", "x"), 400, 1083);
    emulator.advance(Duration::from_secs(3600));
    assert_code(&post_json(&token, &good), 403, 906);
}
