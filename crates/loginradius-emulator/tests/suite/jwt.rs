//! JWTs by access token and by password.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use loginradius_emulator::{Emulator, seeded};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::http::{Response, assert_code, get, post, post_json, tokens};

const LOGIN: &str = "/sso/jwt/api/login";

fn with_key(path: &str, more: &str) -> String {
    format!("{path}?apikey={}{more}", seeded::CLIENT_ID)
}

fn login_path() -> String {
    with_key(LOGIN, "&jwtapp=demo-jwt-app")
}

/// Returns header and claims, after checking the signature.
fn verified(response: &Response) -> (Value, Value) {
    assert_eq!(response.status, 200, "{response:?}");
    let jwt = response.text("signature");
    let parts: Vec<&str> = jwt.split('.').collect();
    assert_eq!(parts.len(), 3);
    let mut mac = Hmac::<Sha256>::new_from_slice(seeded::JWT_SECRET.as_bytes()).unwrap();
    mac.update(format!("{}.{}", parts[0], parts[1]).as_bytes());
    mac.verify_slice(&URL_SAFE_NO_PAD.decode(parts[2]).unwrap()).expect("a good signature");
    let json = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (json(parts[0]), json(parts[1]))
}

#[test]
fn a_jwt_has_the_user_and_the_lifetime() {
    let emulator = Emulator::builder().manual_clock().start().unwrap();
    let token = tokens(&emulator).text("access_token");
    let query = format!("&jwtapp=demo-jwt-app&access_token={token}");
    let response = get(&emulator, &with_key("/sso/jwt/api/token", &query));
    let (header, mut claims) = verified(&response);
    assert_eq!(header, json!({ "alg": "HS256", "typ": "JWT" }));
    let id = claims["jti"].take();
    assert_eq!(id.as_str().map(str::len), Some(36));
    let now = emulator.now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let expected = json!({
        "iss": format!("{}/", emulator.base_url()),
        "sub": seeded::ADA.uid,
        "jti": null,
        "iat": now,
        "nbf": now,
        "exp": now + 600,
        "email": "ada@example.com",
        "firstname": "Ada",
        "lastname": "Example",
    });
    assert_eq!(claims, expected);
    assert_eq!(emulator.counters().jwts, 1);
}

#[test]
fn the_site_puts_a_nonce_into_the_jwt() {
    let emulator = Emulator::builder().manual_clock().jwt_lifetime(Duration::from_secs(30)).start().unwrap();
    let token = tokens(&emulator).text("access_token");
    for name in ["Nonce", "nonce"] {
        let path = with_key("/api/jwt/demo-jwt-app/token", &format!("&access_token={token}&{name}=n-1"));
        let (_, claims) = verified(&get(&emulator, &path));
        assert_eq!(claims["nonce"], "n-1");
        assert_eq!(claims["exp"].as_u64(), claims["iat"].as_u64().map(|iat| iat + 30));
    }
    let body = json!({ "email": "ada@example.com", "password": seeded::ADA.password });
    let path = with_key("/api/jwt/demo-jwt-app/login", "&nonce=n-2");
    let (_, claims) = verified(&post_json(&emulator, &path, &body));
    assert_eq!(claims["nonce"], "n-2");
}

#[test]
fn a_password_login_goes_by_email_user_name_or_phone() {
    let emulator = Emulator::start().unwrap();
    let grace = seeded::GRACE;
    for (name, value) in [("email", grace.email), ("username", grace.username), ("phone", grace.phone)] {
        let body = json!({ name: value, "password": grace.password });
        let (_, claims) = verified(&post_json(&emulator, &login_path(), &body));
        assert_eq!(claims["sub"], grace.uid);
    }
    // Each parameter takes its own kind of identifier only.
    let body = json!({ "username": grace.email, "password": grace.password });
    assert_code(&post_json(&emulator, &login_path(), &body), 401, 966);
}

#[test]
fn query_names_have_any_case_and_come_once() {
    let emulator = Emulator::start().unwrap();
    let body = json!({ "username": "ada", "password": seeded::ADA.password });
    let path = format!("{LOGIN}?apiKey={}&jwtApp=demo-jwt-app&emailTemplate=x", seeded::CLIENT_ID);
    assert_eq!(post_json(&emulator, &path, &body).status, 200);
    let path = format!("{path}&apikey={}", seeded::CLIENT_ID);
    assert_code(&post_json(&emulator, &path, &body), 400, 908);
}

#[test]
fn keys_and_apps_must_be_known() {
    let emulator = Emulator::start().unwrap();
    let token = tokens(&emulator).text("access_token");
    let ask = |query: &str| get(&emulator, &format!("/sso/jwt/api/token?access_token={token}&{query}"));
    let key = seeded::CLIENT_ID;
    assert_code(&ask("jwtapp=demo-jwt-app"), 400, 922);
    assert_code(&ask("jwtapp=demo-jwt-app&apikey=key"), 400, 920);
    let unknown = "apikey=de300000-0000-4000-8000-00000000dead&jwtapp=demo-jwt-app";
    assert_code(&ask(unknown), 403, 901);
    assert_code(&ask(&format!("apikey={key}")), 400, 1196);
    assert_code(&ask(&format!("apikey={key}&jwtapp=demo-oauth-app")), 401, 1180);
    let path = with_key("/api/jwt/other/token", &format!("&access_token={token}"));
    assert_code(&get(&emulator, &path), 401, 1180);
    let body = json!({ "username": "ada", "password": seeded::ADA.password });
    assert_code(&post_json(&emulator, LOGIN, &body), 400, 922);
    assert_code(&post_json(&emulator, &with_key(LOGIN, ""), &body), 400, 1196);
    assert_eq!(emulator.counters().jwts, 0);
}

#[test]
fn access_tokens_must_be_good() {
    let emulator = Emulator::builder().manual_clock().start().unwrap();
    let response = tokens(&emulator);
    let ask = |token: &str| {
        let query = format!("&jwtapp=demo-jwt-app&access_token={token}");
        get(&emulator, &with_key("/sso/jwt/api/token", &query))
    };
    assert_code(&ask(""), 400, 1060);
    assert_code(&ask("unknown"), 403, 905);
    assert_code(&ask(&response.text("refresh_token")), 403, 905);
    emulator.advance(Duration::from_secs(3599));
    assert_eq!(ask(&response.text("access_token")).status, 200);
    emulator.advance(Duration::from_secs(1));
    assert_code(&ask(&response.text("access_token")), 403, 906);
    let other = tokens(&emulator);
    let revoke = [
        ("client_id", seeded::CLIENT_ID),
        ("client_secret", seeded::CLIENT_SECRET),
        ("refresh_token", &other.text("refresh_token")),
    ];
    assert_eq!(post(&emulator, "/sso/oauth/refresh_token/revoke", &revoke).status, 200);
    assert_code(&ask(&other.text("access_token")), 403, 905);
}

#[test]
fn logins_are_refused_as_documented() {
    let emulator = Emulator::start().unwrap();
    let login = |body: Value| post_json(&emulator, &login_path(), &body);
    let site = |body: Value| post_json(&emulator, &with_key("/api/jwt/demo-jwt-app/login", ""), &body);
    assert_code(&login(json!({ "password": "x" })), 400, 2001);
    assert_code(&site(json!({ "password": "x" })), 400, 1141);
    assert_code(&login(json!({ "username": "ada" })), 400, 1089);
    assert_code(&login(json!({ "email": "ada", "password": "x" })), 400, 1038);
    assert_code(&login(json!({ "email": "a@b", "phone": "1", "password": "x" })), 400, 908);
    assert_code(&login(json!({ "username": ["ada"], "password": "x" })), 400, 908);
    assert_code(&login(json!({ "username": "nobody", "password": "x" })), 401, 966);
    let wrong = login(json!({ "username": "ada", "password": "x" }));
    assert_code(&wrong, 400, 1198);
    assert_eq!(wrong.text("Message"), "The password is not valid.");
    assert_code(&site(json!({ "username": "ada", "password": "x" })), 401, 966);
    let locked = json!({ "email": seeded::LOCKED.email, "password": seeded::LOCKED.password });
    let locked = login(locked);
    assert_code(&locked, 403, 1198);
    assert_eq!(locked.text("Message"), "Your account has been locked");
    // JSON, and nothing else.
    let form = post(&emulator, &login_path(), &[("username", "ada"), ("password", seeded::ADA.password)]);
    assert_code(&form, 400, 965);
}
