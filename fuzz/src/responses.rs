use std::collections::HashMap;
use std::error::Error as _;

use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::{App, Body, Endpoint, Error, TokenSet, http};
use serde_json::value::RawValue;

const STATUSES: [u16; 10] = [200, 400, 401, 403, 404, 429, 500, 503, 204, 302];

/// What the requests carry and no error may show; `$0` to `$9` in a fuzzed body stand for them.
const SECRETS: [&str; 10] = [
    "pl4nted/client+secret=",
    "pl4nted~code",
    "pl4nted:verifier",
    "pl4nted p4ssword!",
    "pl4nted|refresh",
    "pl4nted-device-code",
    "pl4nted.access.token",
    "pl4nted%password",
    "pl4nted/p4ssword",
    "pl4nted<password>",
];

fn app() -> App {
    App::new("client").with_client_secret(SECRETS[0]).with_oauth_app("oauth-app").with_jwt_app("jwt-app")
}

/// Two bytes, from `0` on, choose an operation and a status; the rest is the body.
fn split(data: &[u8]) -> Option<(usize, u16, &[u8])> {
    let [operation, status, body @ ..] = data else { return None };
    let status = STATUSES[usize::from(status.wrapping_sub(b'0')) % STATUSES.len()];
    Some((usize::from(operation.wrapping_sub(b'0')), status, body))
}

fn response(status: u16, body: &[u8]) -> http::Response<Body> {
    http::Response::builder().status(status).body(Body::from(body.to_vec())).expect("a response")
}

/// Any response to the operations that yield tokens.
///
/// - Tokens come only from a response with a status of success; none is empty, and each is a string of the JSON in the
///   body.
/// - What is written as tokens is read as these tokens, if it is printable ASCII, and is refused otherwise.
pub fn token_response(data: &[u8]) {
    let Some((operation, status, body)) = split(data) else { return };
    let read = |response| match operation % 4 {
        0 => AccessTokenByCode::new("code", "https://example.com/").response(&app(), response),
        1 => AccessTokenByPassword::new("user", "password").response(&app(), response),
        2 => RefreshAccessToken::new("refresh").response(&app(), response),
        _ => RequestTokens::new("device").response(&app(), response),
    };
    if let Ok(tokens) = read(response(status, body)) {
        assert!((200..300).contains(&status), "tokens at {status}");
        are_in(body, &tokens);
    }

    let written = String::from_utf8_lossy(body);
    let is_token = written.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !written.is_empty() {
        let lifetime = body.len() as u64;
        let json = serde_json::json!({"expires_in": lifetime, "access_token": written, "refresh_token": written});
        let tokens = read(response(200, json.to_string().as_bytes()));
        assert_eq!(tokens.is_ok(), is_token, "{written:?}");
        let Ok(tokens) = tokens else { return };
        assert_eq!(tokens.access_token.expose(), written);
        assert_eq!(tokens.refresh_token.expect("a refresh token").expose(), written);
        assert_eq!(tokens.expires_in.expect("a lifetime").as_secs(), lifetime);
    }
}

fn are_in(body: &[u8], tokens: &TokenSet) {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let is_utf_8 = std::str::from_utf8(body).is_ok();
    let text = String::from_utf8_lossy(body);
    let members: HashMap<String, &RawValue> = serde_json::from_str(&text).expect("a JSON object");
    let member = |name| serde_json::from_str::<String>(members.get(name).copied()?.get()).ok();
    assert!(!tokens.access_token.expose().is_empty());
    assert!(is_utf_8 || !tokens.access_token.expose().contains(char::REPLACEMENT_CHARACTER));
    assert_eq!(member("access_token").as_deref(), Some(tokens.access_token.expose()));
    if let Some(token) = &tokens.refresh_token {
        assert!(!token.expose().is_empty());
        assert_eq!(member("refresh_token").as_deref(), Some(token.expose()));
    }
}

/// Any response to any operation.
///
/// The error is one line of limited length, begins with the operation, and shows no secret that the request carried,
/// however the server echoes it.
pub fn error_bodies(data: &[u8]) {
    let Some((operation, status, body)) = split(data) else { return };
    let body = fill_in(body);
    let [_, code, verifier, password, refresh, device, token, by_email, by_phone, by_name] = SECRETS;
    match operation % 10 {
        0 => {
            check(&AccessTokenByCode::new(code, "https://example.com/").code_verifier(verifier), &[1, 2], status, &body)
        }
        1 => check(&AccessTokenByPassword::new("user", password), &[3], status, &body),
        2 => check(&RefreshAccessToken::new(refresh), &[4], status, &body),
        3 => check(&RequestTokens::new(device), &[5], status, &body),
        4 => check(&RequestDeviceCode::new(), &[], status, &body),
        5 => check(&RevokeRefreshToken::new(refresh), &[4], status, &body),
        6 => check(&JwtByAccessToken::new(token), &[6], status, &body),
        7 => check(&JwtLogin::email("user@example.com", by_email), &[7], status, &body),
        8 => check(&JwtLogin::phone("+15550100", by_phone), &[8], status, &body),
        _ => check(&JwtLogin::username("user", by_name), &[9], status, &body),
    }
}

/// Replaces `$0` to `$9` by the secrets.
fn fill_in(body: &[u8]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(body.len());
    let mut rest = body;
    while let [first, others @ ..] = rest {
        match rest {
            [b'$', digit @ b'0'..=b'9', others @ ..] => {
                filled.extend_from_slice(SECRETS[usize::from(digit - b'0')].as_bytes());
                rest = others;
            }
            _ => {
                filled.push(*first);
                rest = others;
            }
        }
    }
    filled
}

fn check<E: Endpoint>(endpoint: &E, carried: &[usize], status: u16, body: &[u8]) {
    // Two texts of the server with up to 300 characters each, the end of the last `[redacted]`, and our own text.
    const MAX_LENGTH: usize = 1_000;
    let Err(error) = endpoint.response(&app(), response(status, body)) else { return };
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.chars().count() < MAX_LENGTH, "{text}");
    assert!(text.starts_with(endpoint.name()), "{text}");

    let printed = printed(&error);
    for secret in carried.iter().chain(&[0]).map(|carried| SECRETS[*carried]) {
        assert!(!printed.contains(secret), "{printed}");
        let escaped = secret.escape_debug().to_string();
        assert!(!printed.contains(&escaped), "{printed}");
    }
}

/// Returns everything that a program would print of an error.
fn printed(error: &Error) -> String {
    let mut printed = format!("{error}\n{error:?}\n{error:#?}");
    let mut source = error.source();
    while let Some(error) = source {
        printed += &format!("\n{error}\n{error:?}");
        source = error.source();
    }
    if let Some(service) = error.api_error() {
        let fields = service.fields.iter().flat_map(|field| [&field.name, &field.message]);
        let texts = service.oauth_error.iter().chain(&service.message).chain(&service.description).chain(fields);
        texts.for_each(|text| printed += &format!("\n{text}"));
    }
    printed
}
