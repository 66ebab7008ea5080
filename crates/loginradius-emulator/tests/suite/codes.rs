//! From the link to the tokens: codes that a login in a browser issues.

use std::time::Duration;

use loginradius_emulator::{Api, CodeState, Emulator, Fault, Operation, seeded};

use crate::authorize::{APIS, CALLBACK, authorize, link};
use crate::http::{ID, Response, SECRET, assert_code, assert_oauth, post, try_post};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn started() -> Emulator {
    Emulator::builder().manual_clock().start().unwrap()
}

/// Returns a code for a link with these parameters besides the usual ones.
fn code(emulator: &Emulator, api: Api, params: &[(&str, &str)]) -> String {
    authorize(emulator, &link(api, params)).unwrap().param("code").expect("a code")
}

fn path(api: Api) -> &'static str {
    match api {
        Api::Classic => "/sso/oauth/access_token",
        _ => "/api/oauth/demo-oauth-app/token",
    }
}

/// Returns the fields that each API documents, and then these. An empty one leaves the documented one out.
fn fields<'a>(api: Api, code: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![ID, SECRET, ("redirect_uri", CALLBACK), ("response_type", "token"), ("code", code)];
    if api == Api::Site {
        fields.push(("grant_type", "authorization_code"));
    }
    fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    fields.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    fields
}

fn exchange(emulator: &Emulator, api: Api, code: &str, more: &[(&str, &str)]) -> Response {
    post(emulator, path(api), &fields(api, code, more))
}

#[track_caller]
fn refused(api: Api, response: &Response, classic: (u16, u16), site: (u16, &str, &str)) {
    match api {
        Api::Classic => assert_code(response, classic.0, classic.1),
        _ => assert_oauth(response, site.0, site.1, site.2),
    }
}

#[test]
fn a_code_becomes_tokens_once_and_a_second_time_ends_them() {
    for api in APIS {
        let emulator = started();
        let code = code(&emulator, api, &[]);
        let tokens = exchange(&emulator, api, &code, &[]);
        assert_eq!(tokens.status, 200, "{tokens:?}");
        let (access, refresh) = (tokens.text("access_token"), tokens.text("refresh_token"));
        let issued = emulator.codes().remove(0);
        let login = emulator.logins().remove(0);
        assert_eq!((issued.sent, issued.state), (1, CodeState::Redeemed));
        assert_eq!(issued.login.as_ref(), Some(&login.id));
        assert_eq!((login.began_by, login.email.as_str()), (Operation::CodeExchange, seeded::ADA.email));
        assert!(emulator.is_live_access_token(&access) && emulator.is_live_refresh_token(&refresh));

        let again = exchange(&emulator, api, &code, &[]);
        refused(api, &again, (401, 2007), (400, "invalid_grant", "The code is already used"));
        let issued = emulator.codes().remove(0);
        assert_eq!((issued.sent, issued.state), (2, CodeState::Replayed));
        assert!(!emulator.is_live_access_token(&access) && !emulator.is_live_refresh_token(&refresh));
        let counters = emulator.counters();
        assert_eq!((counters.codes, counters.code_replays, counters.logins), (1, 1, 1));
    }
}

#[test]
fn a_test_can_tell_how_often_a_code_was_sent_whatever_became_of_it() {
    for api in APIS {
        let emulator = started();
        let code = code(&emulator, api, &[]);
        let lost = || assert!(try_post(&emulator, path(api), &fields(api, &code, &[])).is_err());
        let seen = || (emulator.codes()[0].sent, emulator.codes()[0].state);
        emulator.fault_times(Operation::CodeExchange, Fault::DropBefore, 1);
        lost();
        assert_eq!(seen(), (1, CodeState::Fresh));
        emulator.fault_times(Operation::CodeExchange, Fault::DropAfter, 1);
        lost();
        assert_eq!(seen(), (2, CodeState::Redeemed));
    }
}

#[test]
fn refused_requests_count_as_sent_and_leave_the_code_good() {
    for api in APIS {
        let emulator = started();
        let code = code(&emulator, api, &[]);
        let wrong = [
            [("redirect_uri", "http://127.0.0.1:9/callback/")],
            [("client_secret", "wrong")],
            [("client_id", seeded::OTHER_CLIENT_ID)],
            [("code_verifier", VERIFIER)],
        ];
        for more in &wrong {
            assert_ne!(exchange(&emulator, api, &code, more).status, 200, "{more:?}");
        }
        let issued = emulator.codes().remove(0);
        assert_eq!((issued.sent, issued.state), (4, CodeState::Fresh));
        assert_eq!(exchange(&emulator, api, &code, &[]).status, 200);
    }
}

#[test]
fn a_code_is_bound_to_its_client_and_address() {
    for api in APIS {
        let emulator = started();
        let code = code(&emulator, api, &[("redirect_uri", "http://localhost:9/a?b=c")]);
        let other = [("client_id", seeded::OTHER_CLIENT_ID), ("client_secret", seeded::OTHER_CLIENT_SECRET)];
        let response = exchange(&emulator, api, &code, &other);
        refused(api, &response, (401, 2007), (400, "invalid_grant", "The code is not valid"));
        for elsewhere in [CALLBACK, "http://localhost:9/a?b=C", "http://localhost:9/a", "http://LOCALHOST:9/a?b=c"] {
            let response = exchange(&emulator, api, &code, &[("redirect_uri", elsewhere)]);
            let text = "The redirect_uri is not valid, check redirect_uri parameter again";
            refused(api, &response, (401, 2014), (400, "invalid_request", text));
        }
        let response = exchange(&emulator, api, &code, &[("redirect_uri", "http://localhost:9/a?b=c")]);
        assert_eq!(response.status, 200);
    }
}

#[test]
fn a_code_lives_fifty_seconds_from_the_decision() {
    for api in APIS {
        let emulator = started();
        let (good, late) = (code(&emulator, api, &[]), code(&emulator, api, &[]));
        emulator.advance(Duration::from_secs(49));
        assert_eq!(exchange(&emulator, api, &good, &[]).status, 200);
        emulator.advance(Duration::from_secs(1));
        let states: Vec<_> = emulator.codes().into_iter().map(|code| code.state).collect();
        assert_eq!(states, [CodeState::Redeemed, CodeState::Expired]);
        let response = exchange(&emulator, api, &late, &[]);
        refused(api, &response, (401, 2005), (400, "invalid_grant", "The code has been expired"));
    }
}

#[test]
fn every_name_of_the_challenges_method_means_s256_and_makes_the_secret_optional() {
    let methods: [&[(&str, &str)]; 3] =
        [&[], &[("code_challenge_method", "SHA256")], &[("code_challenge_method", "S256")]];
    for api in APIS {
        for method in methods {
            let emulator = started();
            let params = [&[("code_challenge", CHALLENGE)], method].concat();
            let code = code(&emulator, api, &params);
            let without_secret = |verifier| [("client_secret", ""), ("code_verifier", verifier)];
            let response = exchange(&emulator, api, &code, &without_secret(""));
            let text = "The code_verifier is a required parameter";
            refused(api, &response, (400, 2008), (400, "invalid_request", text));
            for wrong in [CHALLENGE, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK", "short"] {
                let response = exchange(&emulator, api, &code, &without_secret(wrong));
                refused(api, &response, (400, 2010), (400, "invalid_grant", "The code is not valid"));
            }
            assert_eq!(exchange(&emulator, api, &code, &without_secret(VERIFIER)).status, 200, "{method:?}");
        }
    }
}

#[test]
fn a_verifier_without_a_challenge_and_a_missing_secret_are_refused() {
    for api in APIS {
        let emulator = started();
        let code = code(&emulator, api, &[]);
        let response = exchange(&emulator, api, &code, &[("code_verifier", VERIFIER)]);
        refused(api, &response, (400, 2010), (400, "invalid_grant", "The code is not valid"));
        for more in [&[("client_secret", "")][..], &[("client_secret", ""), ("code_verifier", VERIFIER)]] {
            let response = exchange(&emulator, api, &code, more);
            let text = "The client_secret is a required parameter";
            refused(api, &response, (400, 923), (400, "invalid_request", text));
        }
        assert_eq!(exchange(&emulator, api, &code, &[]).status, 200);
    }
}

#[test]
fn issued_codes_are_in_the_same_list() {
    let emulator = started();
    let code = emulator.issue_code(seeded::OTHER_CLIENT_ID, "https://www.example.com/", Some(CHALLENGE));
    let issued = emulator.codes().remove(0);
    assert_eq!((issued.code.as_str(), issued.client_id.as_str()), (code.as_str(), seeded::OTHER_CLIENT_ID));
    assert_eq!((issued.redirect_uri.as_str(), issued.scope.as_deref()), ("https://www.example.com/", None));
    assert_eq!((issued.challenge.as_deref(), issued.state), (Some(CHALLENGE), CodeState::Fresh));
    assert_eq!(emulator.counters().codes, 1);
    assert!(!format!("{issued:?}").contains(&code));
}
