//! Device logins (RFC 8628).

use std::time::Duration;

use loginradius_emulator::{ApproveError, Emulator, GrantState, seeded};

use crate::http::{DEVICE_GRANT, ID, assert_code, assert_oauth, device_code, get, poll, post, post_json};

fn manual() -> Emulator {
    Emulator::builder().manual_clock().start().unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_device_gets_tokens_once_its_user_has_allowed_it() {
    let emulator = manual();
    let grant = device_code(&emulator);
    assert_eq!(grant.json()["interval"], 5);
    assert_eq!(grant.json()["expires_in"], 1800);
    let code = grant.text("device_code");
    assert_oauth(&poll(&emulator, &code), 400, "authorization_pending", "");
    emulator.approve(&grant.text("user_code")).unwrap();
    emulator.advance(seconds(5));
    let tokens = poll(&emulator, &code);
    assert_eq!(tokens.status, 200);
    assert_eq!(tokens.text("token_type"), "access_token");
    assert_eq!(tokens.text("access_token").len(), 36);
    assert!(emulator.is_live_access_token(&tokens.text("access_token")));
    assert!(emulator.is_live_refresh_token(&tokens.text("refresh_token")));
    assert_eq!(emulator.live_logins_of(seeded::ADA.email).len(), 1);

    let again = poll(&emulator, &code);
    assert_oauth(&again, 400, "invalid_grant", "The code is already used");
    assert_eq!(emulator.device_grants()[0].state, GrantState::Redeemed);
    assert_eq!(emulator.counters().logins, 1);
}

#[test]
fn the_site_gives_hexadecimal_bearer_tokens() {
    let emulator = manual();
    let grant = post(&emulator, "/api/oauth/demo-oauth-app/device", &[ID]);
    emulator.approve_as(&grant.text("user_code"), &seeded::GRACE).unwrap();
    let code = grant.text("device_code");
    let body = serde_json::json!({
        "client_id": seeded::CLIENT_ID,
        "grant_type": DEVICE_GRANT.1,
        "device_code": code,
    });
    let tokens = post_json(&emulator, "/api/oauth/demo-oauth-app/token", &body);
    assert_eq!(tokens.text("token_type"), "Bearer");
    let access = tokens.text("access_token");
    assert_eq!(access.len(), 64);
    assert!(access.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(emulator.live_logins_of(seeded::GRACE.email).len(), 1);
}

#[test]
fn polling_too_early_slows_that_device_down_for_good() {
    let emulator = manual();
    let code = device_code(&emulator).text("device_code");
    let other = device_code(&emulator).text("device_code");
    assert_oauth(&poll(&emulator, &code), 400, "authorization_pending", "");
    emulator.advance(Duration::from_millis(4999));
    assert_oauth(&poll(&emulator, &code), 400, "slow_down", "");
    // Ten seconds from now on.
    emulator.advance(Duration::from_millis(9999));
    assert_oauth(&poll(&emulator, &code), 400, "slow_down", "");
    emulator.advance(seconds(15));
    assert_oauth(&poll(&emulator, &code), 400, "authorization_pending", "");
    emulator.advance(Duration::from_millis(14_999));
    assert_oauth(&poll(&emulator, &code), 400, "slow_down", "");
    assert_eq!(emulator.device_grants()[0].interval, seconds(20));
    assert_eq!(emulator.device_grants()[0].polls, 5);
    assert_eq!(emulator.counters().slow_downs, 3);
    // The other one has its own interval.
    assert_eq!(emulator.device_grants()[1].interval, seconds(5));
    assert_oauth(&poll(&emulator, &other), 400, "authorization_pending", "");
}

#[test]
fn a_poll_that_is_too_early_gets_a_decision() {
    let emulator = manual();
    let grant = device_code(&emulator);
    let code = grant.text("device_code");
    poll(&emulator, &code);
    emulator.approve(&grant.text("user_code")).unwrap();
    assert_eq!(poll(&emulator, &code).status, 200);
}

#[test]
fn a_denied_device_gets_access_denied() {
    let emulator = manual();
    let grant = device_code(&emulator);
    emulator.deny(&grant.text("user_code")).unwrap();
    for _ in 0..2 {
        let response = poll(&emulator, &grant.text("device_code"));
        assert_oauth(&response, 400, "access_denied", "");
    }
    assert_eq!(emulator.device_grants()[0].state, GrantState::Denied);
}

#[test]
fn a_code_expires_on_the_second_pending_or_approved() {
    let emulator = manual();
    let pending = device_code(&emulator);
    let approved = device_code(&emulator);
    emulator.approve(&approved.text("user_code")).unwrap();
    emulator.advance(seconds(1799));
    let response = poll(&emulator, &pending.text("device_code"));
    assert_oauth(&response, 400, "authorization_pending", "");
    emulator.advance(seconds(1));
    for grant in [&pending, &approved] {
        let response = poll(&emulator, &grant.text("device_code"));
        assert_oauth(&response, 400, "expired_token", "");
    }
    let states: Vec<_> = emulator.device_grants().iter().map(|grant| grant.state).collect();
    assert_eq!(states, [GrantState::Expired, GrantState::Expired]);
    let late = emulator.approve(&pending.text("user_code"));
    assert_eq!(late, Err(ApproveError::Expired));
}

#[test]
fn a_code_is_decided_once() {
    let emulator = manual();
    let user_code = device_code(&emulator).text("user_code");
    assert_eq!(emulator.approve("CCC-CCC"), Err(ApproveError::UnknownCode));
    assert_eq!(emulator.approve(&user_code.to_lowercase().replace('-', " ")), Ok(()));
    assert_eq!(emulator.deny(&user_code), Err(ApproveError::AlreadyDecided));
    assert_eq!(emulator.approve(&user_code), Err(ApproveError::AlreadyDecided));
}

#[test]
fn a_device_code_is_its_clients_alone() {
    let emulator = manual();
    let grant = device_code(&emulator);
    emulator.approve(&grant.text("user_code")).unwrap();
    let path = "/sso/oauth/demo-oauth-app/access_token";
    let code = grant.text("device_code");
    let other = ("client_id", seeded::OTHER_CLIENT_ID);
    let stolen = post(&emulator, path, &[other, DEVICE_GRANT, ("device_code", &code)]);
    assert_oauth(&stolen, 400, "invalid_grant", "The code is invalid or expired");
    assert_eq!(poll(&emulator, &code).status, 200);
}

#[test]
fn settings_are_announced_and_kept() {
    let emulator = Emulator::builder()
        .manual_clock()
        .device_interval(Duration::from_millis(1500))
        .device_lifetime(seconds(90))
        .public_url("https://tunnel.example")
        .unwrap()
        .start()
        .unwrap();
    let grant = device_code(&emulator);
    assert_eq!(grant.json()["interval"], 2);
    assert_eq!(grant.json()["expires_in"], 90);
    assert_eq!(grant.text("verification_uri"), "https://tunnel.example/device");
    assert_eq!(
        grant.text("verification_uri_complete"),
        format!("https://tunnel.example/device?user_code={}", grant.text("user_code"))
    );
    let code = grant.text("device_code");
    poll(&emulator, &code);
    emulator.advance(Duration::from_millis(1500));
    assert_oauth(&poll(&emulator, &code), 400, "authorization_pending", "");
    emulator.advance(seconds(88));
    poll(&emulator, &code);
    emulator.advance(seconds(1));
    assert_oauth(&poll(&emulator, &code), 400, "expired_token", "");
}

#[test]
fn an_interval_of_zero_never_slows_down() {
    let emulator = Emulator::builder().manual_clock().device_interval(Duration::ZERO).start().unwrap();
    let code = device_code(&emulator).text("device_code");
    for _ in 0..3 {
        assert_oauth(&poll(&emulator, &code), 400, "authorization_pending", "");
    }
}

#[test]
fn a_device_request_needs_a_known_client_app_and_scope() {
    let emulator = manual();
    for path in ["/sso/oauth/demo-oauth-app/device", "/api/oauth/demo-oauth-app/device"] {
        let missing = post(&emulator, path, &[]);
        assert_oauth(&missing, 400, "invalid_request", "The client_id is a required parameter.");
        for id in ["nonsense", "de300000-0000-4000-8000-00000000dead"] {
            let unknown = post(&emulator, path, &[("client_id", id)]);
            let text = "The client_id is not valid, check your client_id again.";
            assert_oauth(&unknown, 401, "invalid_client", text);
        }
        let wrong = post(&emulator, path, &[ID, ("client_secret", "wrong")]);
        let text = "The client_secret is not valid, check your client_secret again.";
        assert_oauth(&wrong, 403, "unauthorized_client", text);
        assert_code(&post(&emulator, path, &[ID, ("scope", "email bogus")]), 400, 2013);
        let elsewhere = path.replace("demo-oauth-app", "demo-jwt-app");
        let unknown = post(&emulator, &elsewhere, &[ID]);
        assert_oauth(&unknown, 403, "unauthorized_client", "The OAuth configuration not found.");
    }
    assert_eq!(emulator.counters().device_codes, 0);
}

#[test]
fn a_poll_needs_its_parameters() {
    let emulator = manual();
    let code = device_code(&emulator).text("device_code");
    let code = ("device_code", code.as_str());
    let path = "/sso/oauth/demo-oauth-app/access_token";
    let required = |name: &str| format!("The {name} is a required parameter");
    let response = post(&emulator, path, &[ID, code]);
    assert_oauth(&response, 400, "invalid_request", &required("grant_type"));
    let response = post(&emulator, path, &[ID, DEVICE_GRANT]);
    assert_oauth(&response, 400, "invalid_request", &required("device_code"));
    let response = post(&emulator, path, &[ID, code, ("grant_type", "password")]);
    let text = "The grant_type is not valid, check grant_type parameter again";
    assert_oauth(&response, 400, "unsupported_grant_type", text);
    let response = post(&emulator, path, &[ID, DEVICE_GRANT, ("device_code", "unknown")]);
    assert_oauth(&response, 400, "invalid_grant", "The code is invalid or expired");
    let response = post(&emulator, path, &[ID, DEVICE_GRANT, code, ("response_type", "code")]);
    let text = "The response_type must contains valid value";
    assert_oauth(&response, 400, "invalid_request", text);
    // Names are exact.
    let response = post(&emulator, path, &[ID, DEVICE_GRANT, ("device_Code", code.1)]);
    assert_oauth(&response, 400, "invalid_request", &required("device_code"));
    assert_eq!(get(&emulator, path).status, 405);
}
