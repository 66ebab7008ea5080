//! Any response to the operations that yield tokens.
//!
//! - Tokens come only from a response with a status of success; none is empty, and each is a string of the JSON in the
//!   body.
//! - Tokens of printable ASCII are read as they were written; others are refused.

#![cfg_attr(fuzzing, no_main)]

use std::collections::HashMap;

use loginradius_fuzz::responses::{response, split};
use loginradius_proto::oauth::{AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestTokens};
use loginradius_proto::{App, Endpoint, TokenSet};
use serde_json::value::RawValue;

loginradius_fuzz::target!(token_response);

fn token_response(data: &[u8]) {
    let Some((operation, status, body)) = split(data) else { return };
    let app = App::new("client").with_client_secret("secret").with_oauth_app("oauth-app");
    let read = |response| match operation % 4 {
        0 => AccessTokenByCode::new("code", "https://example.com/").response(&app, response),
        1 => AccessTokenByPassword::new("user", "password").response(&app, response),
        2 => RefreshAccessToken::new("refresh").response(&app, response),
        _ => RequestTokens::new("device").response(&app, response),
    };
    if let Ok(tokens) = read(response(status, body.to_vec())) {
        assert!((200..300).contains(&status), "tokens at {status}");
        are_in(body, &tokens);
    }

    let written = String::from_utf8_lossy(body);
    let is_token = written.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !written.is_empty() {
        let lifetime = body.len() as u64;
        let json = serde_json::json!({"expires_in": lifetime, "access_token": written, "refresh_token": written});
        let tokens = read(response(200, json.to_string()));
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
