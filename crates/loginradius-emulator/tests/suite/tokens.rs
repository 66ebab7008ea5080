//! Codes, passwords, refreshing and revoking.

use std::time::Duration;

use loginradius_emulator::{Emulator, Operation, seeded};
use serde_json::json;

use crate::http::{ID, Response, SECRET, assert_code, assert_oauth, post, refresh, tokens};

const REDIRECT: &str = "https://www.example.com/callback";
/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const CLASSIC: &str = "/sso/oauth/access_token";
const SITE: &str = "/api/oauth/demo-oauth-app/token";

fn manual() -> Emulator {
    Emulator::builder().manual_clock().start().unwrap()
}

fn code(emulator: &Emulator, challenge: Option<&str>) -> String {
    emulator.issue_code(seeded::CLIENT_ID, REDIRECT, challenge)
}

fn exchange(emulator: &Emulator, code: &str, more: &[(&str, &str)]) -> Response {
    let mut fields = vec![ID, ("redirect_uri", REDIRECT), ("response_type", "token"), ("code", code)];
    fields.extend_from_slice(more);
    post(emulator, CLASSIC, &fields)
}

fn exchange_at_site(emulator: &Emulator, code: &str, more: &[(&str, &str)]) -> Response {
    let mut fields = vec![ID, ("redirect_uri", REDIRECT), ("grant_type", "authorization_code"), ("code", code)];
    fields.extend_from_slice(more);
    post(emulator, SITE, &fields)
}

#[test]
fn a_code_is_redeemed_once_and_sending_it_again_ends_the_login() {
    let emulator = manual();
    let classic = code(&emulator, None);
    let first = exchange(&emulator, &classic, &[SECRET]);
    assert_eq!((first.status, emulator.live_logins()), (200, 1));
    assert_eq!(emulator.logins()[0].began_by, Operation::CodeExchange);
    assert_code(&exchange(&emulator, &classic, &[SECRET]), 401, 2007);
    assert_eq!(emulator.live_logins(), 0);
    assert!(!emulator.is_live_access_token(&first.text("access_token")));

    let site = code(&emulator, None);
    assert_eq!(exchange_at_site(&emulator, &site, &[SECRET]).status, 200);
    let again = exchange_at_site(&emulator, &site, &[SECRET]);
    assert_oauth(&again, 400, "invalid_grant", "The code is already used");
}

#[test]
fn a_code_lives_fifty_seconds() {
    let emulator = manual();
    let (in_time, late) = (code(&emulator, None), code(&emulator, None));
    emulator.advance(Duration::from_millis(49_999));
    assert_eq!(exchange(&emulator, &in_time, &[SECRET]).status, 200);
    emulator.advance(Duration::from_millis(1));
    assert_code(&exchange(&emulator, &late, &[SECRET]), 401, 2005);
    let response = exchange_at_site(&emulator, &late, &[SECRET]);
    assert_oauth(&response, 400, "invalid_grant", "The code has been expired");
}

#[test]
fn a_code_is_its_clients_and_its_redirect_uris_alone() {
    let emulator = manual();
    let code = code(&emulator, None);
    let other = [
        ("client_id", seeded::OTHER_CLIENT_ID),
        ("client_secret", seeded::OTHER_CLIENT_SECRET),
        ("response_type", "token"),
        ("code", code.as_str()),
    ];
    let stolen = [&other[..], &[("redirect_uri", REDIRECT)]].concat();
    assert_code(&post(&emulator, CLASSIC, &stolen), 401, 2007);
    let with = |redirect_uri| {
        let fields = [ID, SECRET, ("response_type", "token"), ("code", &code)];
        let fields = [&fields[..], &[("redirect_uri", redirect_uri)]].concat();
        post(&emulator, CLASSIC, &fields)
    };
    assert_code(&with("https://www.example.com/callback/"), 401, 2014);
    assert_code(&with("/callback"), 400, 2006);
    assert_code(&with(""), 400, 2008);
    let fields = [ID, SECRET, ("grant_type", "authorization_code"), ("code", &code)];
    let text = "The redirect_uri is a required parameter";
    assert_oauth(&post(&emulator, SITE, &fields), 400, "invalid_request", text);
    let fields = [&fields[..], &[("redirect_uri", "https://evil.example/")]].concat();
    let text = "The redirect_uri is not valid, check redirect_uri parameter again";
    assert_oauth(&post(&emulator, SITE, &fields), 400, "invalid_request", text);
    // None of these requests has redeemed it.
    assert_eq!(with(REDIRECT).status, 200);
    // An app on a phone has an address of its own kind.
    let native = "com.example.app:/callback";
    let code = emulator.issue_code(seeded::CLIENT_ID, native, None);
    let fields = [ID, SECRET, ("response_type", "token"), ("code", &code), ("redirect_uri", native)];
    assert_eq!(post(&emulator, CLASSIC, &fields).status, 200);
}

#[test]
fn pkce_replaces_the_secret_and_cannot_be_left_out_or_added() {
    let emulator = manual();
    let protected = code(&emulator, Some(CHALLENGE));
    assert_code(&exchange(&emulator, &protected, &[]), 400, 2008);
    assert_code(&exchange(&emulator, &protected, &[SECRET]), 400, 2008);
    let wrong = VERIFIER.replace('d', "e");
    for wrong in [wrong.as_str(), CHALLENGE, "short"] {
        assert_code(&exchange(&emulator, &protected, &[("code_verifier", wrong)]), 400, 2010);
    }
    let verifier = ("code_verifier", VERIFIER);
    let with_wrong_secret = [verifier, ("client_secret", "wrong")];
    assert_code(&exchange(&emulator, &protected, &with_wrong_secret), 403, 2011);
    assert_eq!(exchange(&emulator, &protected, &[verifier]).status, 200);

    let at_site = code(&emulator, Some(CHALLENGE));
    let response = exchange_at_site(&emulator, &at_site, &[SECRET]);
    let text = "The code_verifier is a required parameter";
    assert_oauth(&response, 400, "invalid_request", text);
    assert_eq!(exchange_at_site(&emulator, &at_site, &[SECRET, verifier]).status, 200);

    let plain = code(&emulator, None);
    assert_code(&exchange(&emulator, &plain, &[SECRET, verifier]), 400, 2010);
    let response = exchange_at_site(&emulator, &plain, &[SECRET, verifier]);
    assert_oauth(&response, 400, "invalid_grant", "The code is not valid");
    assert_code(&exchange(&emulator, &plain, &[verifier]), 400, 923);
    assert_code(&exchange(&emulator, &plain, &[]), 400, 923);
    let text = "The client_secret is a required parameter";
    let response = exchange_at_site(&emulator, &plain, &[verifier]);
    assert_oauth(&response, 400, "invalid_request", text);
    assert_eq!(exchange(&emulator, &plain, &[SECRET]).status, 200);
}

#[test]
fn a_classic_code_request_says_what_it_wants() {
    let emulator = manual();
    let code = code(&emulator, None);
    let fields = [ID, SECRET, ("redirect_uri", REDIRECT), ("code", code.as_str())];
    assert_code(&post(&emulator, CLASSIC, &fields), 400, 2008);
    let with = |more| post(&emulator, CLASSIC, &[&fields[..], &[more]].concat());
    assert_code(&with(("response_type", "code")), 400, 2008);
    assert_code(&with(("grant_type", "refresh_token")), 400, 2012);
    assert_eq!(with(("grant_type", "authorization_code")).status, 200);
}

#[test]
fn passwords_go_with_email_user_name_or_phone() {
    let emulator = manual();
    let ada = seeded::ADA;
    for username in [ada.email, "ADA@example.com", ada.username, ada.phone] {
        let fields = [ID, SECRET, ("grant_type", "password"), ("username", username), ("password", ada.password)];
        assert_eq!(post(&emulator, CLASSIC, &fields).status, 200, "{username}");
    }
    assert_eq!(emulator.live_logins_of(ada.email).len(), 4);
}

#[test]
fn users_who_may_not_sign_in_get_the_reason() {
    let emulator = manual();
    let users = [
        (seeded::UNVERIFIED, 403, 970),
        (seeded::BLOCKED, 403, 991),
        (seeded::LOCKED, 403, 1198),
        (seeded::SECOND_FACTOR, 403, 1176),
    ];
    for path in [CLASSIC, SITE] {
        for (user, status, code) in users {
            let try_with = |username, password| {
                let fields = [ID, SECRET, ("grant_type", "password")];
                let credentials = [("username", username), ("password", password)];
                post(&emulator, path, &[&fields[..], &credentials].concat())
            };
            let response = try_with(user.email, user.password);
            assert_code(&response, status, code);
            // Only the right password reveals the account's standing.
            assert_code(&try_with(user.email, "wrong"), 401, 966);
            assert_code(&try_with("nobody", user.password), 401, 966);
            if code == 1198 {
                let until = response.json()["Data"]["LoginLockedTimeout"].clone();
                let until = until.as_str().expect("a time");
                assert!(until.starts_with("20") && until.ends_with('Z'), "{until}");
            }
        }
    }
    assert_eq!(emulator.logins(), []);
}

#[test]
fn error_bodies_have_five_fields_in_the_classic_api_and_three_in_the_site_api() {
    let emulator = manual();
    let fields = [ID, SECRET, ("grant_type", "password"), ("username", "ada"), ("password", "wrong")];
    let mut body = json!({
        "Description": "Please use a valid user ID and password combination.",
        "ErrorCode": 966,
        "Message": "Invalid user ID and/or password",
    });
    assert_eq!(post(&emulator, SITE, &fields).json(), body);
    body["IsProviderError"] = false.into();
    body["ProviderErrorResponse"] = json!(null);
    assert_eq!(post(&emulator, CLASSIC, &fields).json(), body);
}

#[test]
fn refresh_tokens_rotate() {
    let emulator = manual();
    let mut token = tokens(&emulator).text("refresh_token");
    for rotations in 1..=3 {
        let next = refresh(&emulator, &token);
        assert_eq!(next.status, 200);
        assert!(!emulator.is_live_refresh_token(&token));
        token = next.text("refresh_token");
        assert!(emulator.is_live_refresh_token(&token));
        let login = &emulator.logins()[0];
        assert_eq!((login.rotations, &login.refresh_token), (rotations, &token));
    }
    assert_eq!(emulator.counters().refreshes, 3);
    assert_eq!(emulator.replays(), 0);
    assert_eq!(emulator.live_logins(), 1);
}

#[test]
fn a_replayed_refresh_token_ends_its_login_and_no_other() {
    let emulator = manual();
    let other = tokens(&emulator);
    let first = tokens(&emulator);
    let second = refresh(&emulator, &first.text("refresh_token"));
    let third = refresh(&emulator, &second.text("refresh_token"));
    assert_eq!(emulator.live_logins(), 2);

    assert_code(&refresh(&emulator, &first.text("refresh_token")), 400, 2010);
    assert_eq!((emulator.replays(), emulator.live_logins()), (1, 1));
    assert_code(&refresh(&emulator, &third.text("refresh_token")), 400, 2010);
    for response in [&first, &second, &third] {
        assert!(!emulator.is_live_access_token(&response.text("access_token")));
    }
    // The newest had not been consumed, so it was no replay.
    assert_eq!(emulator.replays(), 1);
    assert!(emulator.is_live_access_token(&other.text("access_token")));
    assert_eq!(refresh(&emulator, &other.text("refresh_token")).status, 200);
}

#[test]
fn of_concurrent_refreshes_one_succeeds() {
    let emulator = manual();
    let token = tokens(&emulator).text("refresh_token");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| refresh(&emulator, &token).status)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!((emulator.replays(), emulator.live_logins()), (7, 0));
}

#[test]
fn a_refresh_token_is_its_clients_alone() {
    let emulator = manual();
    let token = tokens(&emulator).text("refresh_token");
    let fields = [
        ("client_id", seeded::OTHER_CLIENT_ID),
        ("client_secret", seeded::OTHER_CLIENT_SECRET),
        ("grant_type", "refresh_token"),
        ("refresh_token", &token),
    ];
    assert_code(&post(&emulator, "/sso/oauth/access_token/refresh", &fields), 400, 2010);
    assert_oauth(&post(&emulator, SITE, &fields), 400, "invalid_grant", "The refresh_token is not valid");
    let revoke = "/sso/oauth/refresh_token/revoke";
    assert_code(&post(&emulator, revoke, &fields), 400, 2010);
    assert_eq!(emulator.replays(), 0);
    assert_eq!(refresh(&emulator, &token).status, 200);
}

#[test]
fn tokens_expire() {
    let emulator = Emulator::builder()
        .manual_clock()
        .access_token_lifetime(Duration::from_secs(60))
        .refresh_token_lifetime(Duration::from_secs(600))
        .start()
        .unwrap();
    let response = tokens(&emulator);
    assert_eq!(response.json()["expires_in"], 60);
    emulator.advance(Duration::from_secs(59));
    assert!(emulator.is_live_access_token(&response.text("access_token")));
    emulator.advance(Duration::from_secs(1));
    assert!(!emulator.is_live_access_token(&response.text("access_token")));
    // Using a refresh token extends the lifetime.
    emulator.advance(Duration::from_secs(539));
    let next = refresh(&emulator, &response.text("refresh_token"));
    assert_eq!(next.status, 200);
    emulator.advance(Duration::from_secs(600));
    assert_code(&refresh(&emulator, &next.text("refresh_token")), 400, 2010);
    assert_eq!(emulator.replays(), 0);
}

#[test]
fn revoking_ends_a_login_with_an_empty_response() {
    let emulator = manual();
    let cases = [
        ("/sso/oauth/refresh_token/revoke", "refresh_token"),
        ("/api/oauth/demo-oauth-app/revoke", "refresh_token"),
        ("/api/oauth/demo-oauth-app/revoke", "token"),
    ];
    for (path, key) in cases {
        let response = tokens(&emulator);
        let token = response.text("refresh_token");
        let fields = [ID, SECRET, (key, token.as_str())];
        let revoked = post(&emulator, path, &fields);
        assert_eq!((revoked.status, revoked.body.as_str()), (200, ""));
        assert!(!emulator.is_live_access_token(&response.text("access_token")));
        assert_code(&refresh(&emulator, &token), 400, 2010);
        let again = post(&emulator, path, &fields);
        if path.starts_with("/sso") {
            assert_code(&again, 400, 2010);
        } else {
            assert_oauth(&again, 400, "invalid_grant", "The refresh_token is not valid");
        }
    }
    assert_eq!((emulator.counters().revocations, emulator.replays()), (3, 0));
}

#[test]
fn revoking_needs_the_secret_and_a_token() {
    let emulator = manual();
    let token = tokens(&emulator).text("refresh_token");
    let token = ("refresh_token", token.as_str());
    let classic = "/sso/oauth/refresh_token/revoke";
    let site = "/api/oauth/demo-oauth-app/revoke";
    assert_code(&post(&emulator, classic, &[ID, token]), 400, 923);
    assert_code(&post(&emulator, classic, &[ID, SECRET]), 400, 2008);
    assert_code(&post(&emulator, classic, &[ID, SECRET, ("token", token.1)]), 400, 2008);
    let response = post(&emulator, site, &[ID, token]);
    assert_oauth(&response, 400, "invalid_request", "The client_secret is a required parameter");
    let response = post(&emulator, site, &[ID, SECRET]);
    assert_oauth(&response, 400, "invalid_request", "The refresh_token is a required parameter");
    assert_eq!(emulator.live_logins(), 1);
}

#[test]
fn the_site_takes_passwords_and_refreshes_without_a_secret_but_not_with_a_wrong_one() {
    let emulator = manual();
    let password = [ID, ("grant_type", "password"), ("username", "ada"), ("password", seeded::ADA.password)];
    let wrong = ("client_secret", "wrong");
    let text = "The client_secret is not valid, check your client_secret again.";
    let response = post(&emulator, SITE, &[&password[..], &[wrong]].concat());
    assert_oauth(&response, 403, "unauthorized_client", text);
    let response = post(&emulator, SITE, &password);
    assert_eq!(response.status, 200);
    let token = response.text("refresh_token");
    let refresh = [ID, ("grant_type", "refresh_token"), ("refresh_token", &token)];
    let response = post(&emulator, SITE, &[&refresh[..], &[wrong]].concat());
    assert_oauth(&response, 403, "unauthorized_client", text);
    assert_eq!(post(&emulator, SITE, &refresh).status, 200);
    // The classic API always requires it.
    assert_code(&post(&emulator, CLASSIC, &password), 400, 923);
    assert_code(&post(&emulator, "/sso/oauth/access_token/refresh", &refresh), 400, 923);
}
