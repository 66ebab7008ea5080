//! Any response to any operation. `$0` to `$9` in its body stand for the secrets of the requests.
//!
//! The error is one line of limited length, begins with the operation, and shows no secret that the request carried,
//! however the server echoes it.

#![cfg_attr(fuzzing, no_main)]

use loginradius_fuzz::responses::{printed, response, split};
use loginradius_fuzz::text::fill_in;
use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::{App, Endpoint};

loginradius_fuzz::target!(error_bodies);

/// What the requests carry and no error may show, each with its name in a body.
const SECRETS: [(&str, &str); 10] = [
    ("$0", "pl4nted/client+secret="),
    ("$1", "pl4nted~code"),
    ("$2", "pl4nted:verifier"),
    ("$3", "pl4nted p4ssword!"),
    ("$4", "pl4nted|refresh"),
    ("$5", "pl4nted-device-code"),
    ("$6", "pl4nted.access.token"),
    ("$7", "pl4nted%password"),
    ("$8", "pl4nted/p4ssword"),
    ("$9", "pl4nted<password>"),
];

fn app() -> App {
    App::new("client").with_client_secret(SECRETS[0].1).with_oauth_app("oauth-app").with_jwt_app("jwt-app")
}

fn error_bodies(data: &[u8]) {
    let Some((operation, status, body)) = split(data) else { return };
    let body = fill_in(body, &SECRETS);
    let [_, code, verifier, password, refresh, device, token, by_email, by_phone, by_name] =
        SECRETS.map(|(_, secret)| secret);
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

fn check<E: Endpoint>(endpoint: &E, carried: &[usize], status: u16, body: &[u8]) {
    // Two texts of the server with up to 300 characters each, the end of the last `[redacted]`, and our own text.
    const MAX_LENGTH: usize = 1_000;
    let Err(error) = endpoint.response(&app(), response(status, body.to_vec())) else { return };
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.chars().count() < MAX_LENGTH, "{text}");
    assert!(text.starts_with(endpoint.name()), "{text}");

    let printed = printed(&error);
    for secret in carried.iter().chain(&[0]).map(|carried| SECRETS[*carried].1) {
        assert!(!printed.contains(secret), "{printed}");
        let escaped = secret.escape_debug().to_string();
        assert!(!printed.contains(&escaped), "{printed}");
    }
}
