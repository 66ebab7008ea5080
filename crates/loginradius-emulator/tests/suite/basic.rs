//! HTTP Basic authentication of clients (RFC 6749, section 2.3.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loginradius_emulator::{Emulator, Operation, seeded};

use crate::http::{ID, Response, SECRET, assert_code, assert_oauth, post_with, tokens};

const CLASSIC: &str = "/sso/oauth/access_token";
const SITE: &str = "/api/oauth/demo-oauth-app/token";
const REVOKE: &str = "/api/oauth/demo-oauth-app/revoke";

const PASSWORD: [(&str, &str); 3] =
    [("grant_type", "password"), ("username", "ada"), ("password", "ada-demo-password")];

/// Posts a form with the credentials of HTTP Basic.
fn post_as(emulator: &Emulator, path: &str, credentials: &str, fields: &[(&str, &str)]) -> Response {
    let header = format!("Basic {}", STANDARD.encode(credentials));
    post_with(emulator, path, &[("authorization", &header)], fields)
}

fn seeded_client() -> String {
    format!("{}:{}", seeded::CLIENT_ID, seeded::CLIENT_SECRET)
}

#[test]
fn a_client_can_authenticate_by_basic_at_the_sites_token_and_revoke_urls() {
    let emulator = Emulator::start().unwrap();
    let login = post_as(&emulator, SITE, &seeded_client(), &PASSWORD);
    assert_eq!(login.status, 200, "{login:?}");
    let token = login.text("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", &token)];
    let refreshed = post_as(&emulator, SITE, &seeded_client(), &fields);
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let fields = [("token", refreshed.text("refresh_token"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(post_as(&emulator, REVOKE, &seeded_client(), &fields).status, 200);

    let requests = emulator.requests();
    let operations: Vec<_> = requests.iter().map(|request| request.operation).collect();
    assert_eq!(operations, [Operation::Password, Operation::Refresh, Operation::Revoke].map(Some));
    assert_eq!(requests[0].client_id.as_deref(), Some(seeded::CLIENT_ID));
    assert_eq!(requests[0].param("client_secret"), None);
    let header = format!("Basic {}", STANDARD.encode(seeded_client()));
    assert_eq!(requests[0].authorization.as_deref(), Some(header.as_str()));
}

#[test]
fn both_parts_are_form_decoded() {
    let emulator = Emulator::start().unwrap();
    let encoded = format!("{}:{}", seeded::CLIENT_ID.replace('-', "%2D"), seeded::CLIENT_SECRET.replace('-', "%2d"));
    assert_eq!(post_as(&emulator, SITE, &encoded, &PASSWORD).status, 200);
}

#[test]
fn basic_and_a_secret_in_the_body_at_once_are_an_invalid_request() {
    let emulator = Emulator::start().unwrap();
    let text = "The client must not authenticate in more than one way";
    let other = ("client_id", seeded::OTHER_CLIENT_ID);
    for more in [&[SECRET][..], &[ID, SECRET], &[("client_secret", "")], &[other]] {
        let response = post_as(&emulator, SITE, &seeded_client(), &[&PASSWORD[..], more].concat());
        assert_oauth(&response, 400, "invalid_request", text);
    }
    let response = post_as(&emulator, REVOKE, &seeded_client(), &[SECRET, ("token", "x")]);
    assert_oauth(&response, 400, "invalid_request", text);
    // The client id alone authenticates nothing, so it may be in both.
    let response = post_as(&emulator, SITE, &seeded_client(), &[&PASSWORD[..], &[ID]].concat());
    assert_eq!(response.status, 200, "{response:?}");
}

#[test]
fn wrong_credentials_are_refused() {
    let emulator = Emulator::start().unwrap();
    let text = "The client_id is not valid, check your client_id again.";
    let unknown = post_as(&emulator, SITE, "de300000-0000-4000-8000-00000000dead:x", &PASSWORD);
    assert_oauth(&unknown, 401, "invalid_client", text);
    assert_eq!(unknown.header("www-authenticate"), Some("Basic realm=\"loginradius\""));
    let malformed = post_with(&emulator, SITE, &[("authorization", "Basic !")], &PASSWORD);
    assert_oauth(&malformed, 401, "invalid_client", text);
    assert_eq!(malformed.header("www-authenticate"), Some("Basic realm=\"loginradius\""));
    let text = "The client_secret is not valid, check your client_secret again.";
    let wrong = post_as(&emulator, SITE, &format!("{}:x", seeded::CLIENT_ID), &PASSWORD);
    assert_oauth(&wrong, 403, "unauthorized_client", text);
    // Revoking needs a secret.
    let text = "The client_secret is a required parameter";
    let empty = post_as(&emulator, REVOKE, &format!("{}:", seeded::CLIENT_ID), &[("token", "x")]);
    assert_oauth(&empty, 400, "invalid_request", text);
    assert_eq!(emulator.live_logins(), 0);
}

#[test]
fn the_classic_urls_read_the_body_only() {
    let emulator = Emulator::start().unwrap();
    assert_code(&post_as(&emulator, CLASSIC, &seeded_client(), &PASSWORD), 400, 922);
    let response = post_as(&emulator, CLASSIC, "x:x", &[&PASSWORD[..], &[ID, SECRET]].concat());
    assert_eq!(response.status, 200, "{response:?}");
    let token = tokens(&emulator).text("refresh_token");
    let response =
        post_as(&emulator, "/sso/oauth/refresh_token/revoke", &seeded_client(), &[("refresh_token", &token)]);
    assert_code(&response, 400, 922);
}
