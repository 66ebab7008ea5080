//! Every sample of LoginRadius's documentation for an operation of the emulator is sent to it, and the response is
//! compared with the documented one.

#[path = "suite/http.rs"]
#[expect(dead_code, reason = "the other test uses the rest")]
mod http;

use std::time::Duration;

use loginradius_emulator::{Emulator, seeded};
use loginradius_vectors::Vector;
use serde_json::Value;

/// The challenge of the verifier in RFC 7636, appendix B, which the samples use.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const OPERATIONS: [&str; 8] =
    ["device_code", "device_token", "code_exchange", "password", "refresh", "revoke", "jwt_token", "jwt_login"];

/// Samples of the emulator's operations to which it does not respond as printed, and why.
const NOT_COVERED: [(&str, &str); 25] = [
    // Of the OpenID Connect API, which is none of the emulator's.
    ("oidc_classic_v2_revoke", "OpenID Connect"),
    ("oidc_code_exchange", "OpenID Connect"),
    ("oidc_code_exchange_expire_in_string", "OpenID Connect"),
    ("oidc_device_code", "OpenID Connect"),
    ("oidc_device_token", "OpenID Connect"),
    ("oidc_password", "OpenID Connect"),
    ("oidc_refresh_capital_Id_token", "OpenID Connect"),
    ("oidc_revoke", "OpenID Connect"),
    // Another spelling than that of most pages; `Fault::Respond` can send these.
    ("classic_device_token_success_expires_variant", "device_Code in the request, expires in the response"),
    ("site_device_token_success_device_Code_form", "device_Code in the request"),
    ("site_code_exchange_expire_in_string", "expire_in, as a string"),
    ("site_code_exchange", "has an id_token, which needs an OpenID Connect application"),
    // Responses that need settings or accounts which are not seeded; `Fault::Respond` can send these.
    ("classic_error_1000", "a failure inside LoginRadius"),
    ("error_lr_provider_error", "a failure of a social provider"),
    ("error_lr_1132_captcha", "the lock asks for a CAPTCHA"),
    ("error_lr_1134_validation_errors", "registration schema"),
    ("error_lr_1148_security_question", "the lock asks a question"),
    ("error_lr_1194_data_with_access_token", "privacy policy"),
    ("site_jwt_error_1214", "request filter"),
    ("site_jwt_error_1220", "restricted accounts"),
    ("error_lr_with_http_200", "an SDK's guard against an error with status 200"),
    // Sent by faults.
    ("error_429_plain_text", "Fault::TooManyRequests, tested with the faults"),
    ("error_500_html", "Fault::Status, tested with the faults"),
    // The error is documented, the operation that responds with it is not.
    ("classic_error_901", "the JWT operations respond so; the OAuth ones say 2009 to an unknown client id"),
    ("site_token_error_invalid_grant", "names an access_token: the response to an exchange of access tokens"),
];

/// What has to be done before a sample is sent, so that the response is the documented one.
struct Stage {
    emulator: Emulator,
    client_id: String,
    client_secret: String,
    redirect_uri: Option<String>,
    oauth_app: String,
    jwt_app: String,
    username: Option<String>,
    password: String,
    code: Option<String>,
    device_code: String,
    refresh_token: String,
    access_token: String,
    grant_type: Option<String>,
    leave_out: Option<&'static str>,
}

/// `None` if the sample is one of those not covered.
fn stage(vector: &Vector) -> Option<Stage> {
    if NOT_COVERED.iter().any(|(name, _)| *name == vector.name) {
        return None;
    }
    let response = vector.response.as_ref().expect("a response");
    let emulator = Emulator::builder()
        .manual_clock()
        .verification_uri_complete(response.body.get("verification_uri_complete").is_some())
        .start()
        .expect("an emulator");
    let tokens = http::tokens(&emulator);
    let grant = http::device_code(&emulator);
    let (device_code, user_code) = (grant.text("device_code"), grant.text("user_code"));
    let body = parameters(&vector.request.body);
    let parameter = |name: &str| {
        let found = body.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    let code = parameter("redirect_uri").map(|redirect_uri| {
        let challenge = parameter("code_verifier").map(|_| CHALLENGE);
        emulator.issue_code(seeded::CLIENT_ID, redirect_uri, challenge)
    });
    let mut stage = Stage {
        client_id: seeded::CLIENT_ID.into(),
        client_secret: seeded::CLIENT_SECRET.into(),
        redirect_uri: None,
        oauth_app: seeded::OAUTH_APP.into(),
        jwt_app: seeded::JWT_APP.into(),
        username: None,
        password: seeded::ADA.password.into(),
        code,
        device_code,
        refresh_token: tokens.text("refresh_token"),
        access_token: tokens.text("access_token"),
        grant_type: None,
        leave_out: None,
        emulator,
    };
    let emulator = &stage.emulator;
    let unknown = "de300000-0000-4000-8000-00000000dead".to_owned();
    let user = |user: seeded::User| (Some(user.email.to_owned()), user.password.to_owned());
    let name = vector.name.as_str();
    match name.trim_start_matches("classic_").trim_start_matches("site_") {
        _ if response.status == 200 => emulator.approve(&user_code).expect("to approve"),
        "device_token_access_denied" => emulator.deny(&user_code).expect("to deny"),
        "device_token_authorization_pending" => {}
        "device_token_expired_token" => emulator.advance(Duration::from_secs(1800)),
        "device_token_slow_down" => drop(http::poll(emulator, &stage.device_code)),
        "error_2005" | "token_error_code_expired" => emulator.advance(Duration::from_secs(50)),
        "error_2006" => stage.redirect_uri = Some("nonsense".into()),
        "error_2007" => stage.code = Some(unknown),
        "error_2008" => stage.leave_out = Some("code"),
        "error_2009" | "token_error_invalid_client" | "device_code_error_client_id_invalid" => {
            stage.client_id = unknown;
        }
        "error_2010" | "token_error_refresh_token_invalid" => stage.refresh_token = unknown,
        "error_2011" | "token_error_unauthorized_client" => stage.client_secret = unknown,
        // These requests are printed as they are refused.
        "error_2012" | "error_2013" | "jwt_error_1060" | "jwt_error_1196" | "device_code_error_client_id_missing" => {}
        "error_2014" => stage.redirect_uri = Some("https://elsewhere.example/callback".into()),
        "jwt_error_1198_sso_meaning" | "error_lr_966_bad_credentials" => {
            stage.password = "x".into();
        }
        "jwt_error_906" => emulator.advance(Duration::from_secs(3600)),
        "device_code_error_config_not_found" => stage.oauth_app = "other".into(),
        "jwt_error_1180" => stage.jwt_app = "other".into(),
        "token_error_code_missing" => stage.leave_out = Some("code"),
        "token_error_code_used" => {
            let body = fill(&stage, &vector.request.body);
            let path = "/api/oauth/demo-oauth-app/token";
            assert_eq!(http::post_json(emulator, path, &body).status, 200);
        }
        "token_error_grant_type_invalid" => stage.grant_type = Some("bogus".into()),
        "error_lr_1176_second_factor_required" => {
            (stage.username, stage.password) = user(seeded::SECOND_FACTOR);
        }
        "error_lr_1198_account_locked" => (stage.username, stage.password) = user(seeded::LOCKED),
        "error_lr_970_email_not_verified" => {
            (stage.username, stage.password) = user(seeded::UNVERIFIED);
        }
        "error_lr_991_blocked" => (stage.username, stage.password) = user(seeded::BLOCKED),
        other => panic!("it is not known what leads to {other}"),
    }
    Some(stage)
}

/// The parameters of a body, whichever way it is written.
fn parameters(body: &Value) -> Vec<(String, String)> {
    match body {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), value.as_str().expect("a string").to_owned())).collect()
        }
        Value::String(form) => form_urlencoded::parse(form.as_bytes()).into_owned().collect(),
        _ => Vec::new(),
    }
}

/// The value that replaces what is masked or filled in in a sample.
fn value(stage: &Stage, name: &str, printed: &str) -> Option<String> {
    if stage.leave_out == Some(name) {
        return None;
    }
    Some(match name {
        "client_id" | "apikey" | "apiKey" => stage.client_id.clone(),
        "client_secret" => stage.client_secret.clone(),
        "redirect_uri" => stage.redirect_uri.clone().unwrap_or(printed.into()),
        "jwtapp" => stage.jwt_app.clone(),
        "code" => stage.code.clone().expect("a code"),
        "device_code" => stage.device_code.clone(),
        "refresh_token" | "token" => stage.refresh_token.clone(),
        "access_token" => stage.access_token.clone(),
        "grant_type" => stage.grant_type.clone().unwrap_or(printed.into()),
        "username" if printed == "johndoe" => seeded::ADA.username.into(),
        "username" | "email" => stage.username.clone().unwrap_or(seeded::ADA.email.into()),
        "phone" => seeded::ADA.phone.into(),
        "password" => stage.password.clone(),
        _ => printed.to_owned(),
    })
}

fn fill(stage: &Stage, body: &Value) -> Value {
    let filled =
        parameters(body).into_iter().filter_map(|(name, printed)| Some((name.clone(), value(stage, &name, &printed)?)));
    match body {
        Value::Object(_) => filled.map(|(name, value)| (name, Value::String(value))).collect(),
        Value::String(_) => form_urlencoded::Serializer::new(String::new()).extend_pairs(filled).finish().into(),
        other => other.clone(),
    }
}

fn send(stage: &Stage, vector: &Vector) -> http::Response {
    let (_, rest) = vector.request.url.split_once("://").expect("an address");
    let (_, rest) = rest.split_once('/').expect("a path");
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path: Vec<&str> = path
        .split('/')
        .map(|segment| match segment {
            "my-oauth-app" | "example_oauth_app" => stage.oauth_app.as_str(),
            "my-jwt-app" | "example_jwt_app" => stage.jwt_app.as_str(),
            other => other,
        })
        .collect();
    let query = form_urlencoded::parse(query.as_bytes())
        .filter_map(|(name, printed)| Some((name.clone(), value(stage, &name, &printed)?)));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let url = format!("{}/{}?{query}", stage.emulator.base_url(), path.join("/"));
    let headers: Vec<_> = vector.request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = match fill(stage, &vector.request.body) {
        Value::Null => String::new(),
        Value::String(form) => form,
        json => json.to_string(),
    };
    http::send(&vector.request.method, &url, &headers, body.as_bytes()).expect("a response")
}

/// Same members, same JSON types.
fn same_shape(documented: &Value, received: &Value) -> bool {
    match (documented, received) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| same_shape(value, other)))
        }
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

#[test]
fn every_documented_sample_gets_the_documented_response() {
    let mut covered = 0;
    let mut not_covered = 0;
    for vector in loginradius_vectors::all() {
        if !OPERATIONS.contains(&vector.endpoint.as_str()) {
            continue;
        }
        let Some(stage) = stage(&vector) else {
            not_covered += 1;
            continue;
        };
        let response = send(&stage, &vector);
        let documented = vector.response.as_ref().expect("a response");
        let name = &vector.name;
        assert_eq!(response.status, documented.status, "{name}: {response:?}");
        match documented.headers.get("Content-Type") {
            Some(expected) => {
                let received = response.header("content-type").expect("a Content-Type");
                assert!(received.starts_with(expected.as_str()), "{name}: {received}");
                let received = response.json();
                assert!(same_shape(&documented.body, &received), "{name}: {received}");
                if vector.kind != "ok" {
                    let words = |body: &Value| {
                        let mut body = body.clone();
                        // A time, which differs.
                        body.as_object_mut().expect("an object").remove("Data");
                        body
                    };
                    assert_eq!(words(&received), words(&documented.body), "{name}");
                }
            }
            None => assert_eq!(response.body, "", "{name}"),
        }
        covered += 1;
    }
    assert_eq!(covered, 66);
    assert_eq!(not_covered, NOT_COVERED.len());
}

/// The link of a sample, at the emulator: with its client and applications, and otherwise as it is printed.
fn link(emulator: &Emulator, printed: &str) -> String {
    let (_, rest) = printed.split_once("://").expect("an address");
    let (_, rest) = rest.split_once('/').expect("a path");
    let rest = rest
        .replace("my-oauth-app", seeded::OAUTH_APP)
        .replace("my-jwt-app", seeded::JWT_APP)
        .replace("client_id=key", &format!("client_id={}", seeded::CLIENT_ID))
        .replace("apikey=key", &format!("apikey={}", seeded::CLIENT_ID));
    format!("{}/{rest}", emulator.base_url())
}

#[test]
fn every_documented_link_starts_a_login() {
    let mut seen = Vec::new();
    for vector in loginradius_vectors::all() {
        if !["authorize", "jwt_redirect"].contains(&vector.endpoint.as_str()) || vector.name.starts_with("oidc_") {
            continue;
        }
        let query = vector.request.url.split_once('?').expect("a query").1;
        let printed = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let address = printed("redirect_uri").or_else(|| printed("return_url")).expect("a way back");
        let emulator = Emulator::builder().redirect_uri(&address).expect("an address").start().expect("an emulator");
        let url = link(&emulator, &vector.request.url);
        let page = http::send("GET", &url, &[], b"").expect("a response");
        assert_eq!(page.status, 200, "{}: {page:?}", vector.name);
        let response = emulator.authorize(&url).expect("to be sent back");
        let expected = match (vector.endpoint.as_str(), &vector.response) {
            ("jwt_redirect", _) => format!("{address}?token={}", response.param("token").expect("a JWT")),
            (_, response) => {
                let issued = emulator.codes().remove(0);
                assert_eq!((&issued.scope, &issued.challenge), (&printed("scope"), &printed("code_challenge")));
                match response {
                    // The one whose end is printed.
                    Some(response) => response.headers["Location"].replace("thecode", &issued.code),
                    None => format!("{address}?code={}&state={}", issued.code, printed("state").expect("a state")),
                }
            }
        };
        assert_eq!(response.url, expected, "{}", vector.name);
        seen.push(vector.name);
    }
    assert_eq!(
        seen,
        [
            "classic_authorize_pkce_url",
            "classic_authorize_scope_smuggling_url",
            "classic_authorize_url",
            "classic_jwt_redirect_url",
            "site_authorize_url",
        ]
    );
}
