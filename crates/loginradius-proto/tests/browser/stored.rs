//! A login that is stored while the browser is away.

use loginradius_proto::browser::{Pending, PendingJwt, PendingLogin, ResponseType};
use loginradius_proto::{Dialect, ErrorKind};
use loginradius_testing::speaking;
use serde_json::Value;

use crate::fixtures::*;

fn stored() -> String {
    begin(&request().scope("openid").require_issuer("https://honest.example"), &classic()).pending.to_json()
}

#[test]
fn a_stored_login_continues_where_it_was() {
    let [state, verifier, nonce] = made_of(0);
    let mut pending = PendingLogin::from_json(&stored()).unwrap();
    assert_eq!((pending.expose_state(), pending.nonce()), (state.as_str(), Some(nonce.as_str())));
    refused(accept(&mut pending, "code=c&state=x"), ErrorKind::StateMismatch, "keep waiting");
    let authorized = accept(&mut pending, &format!("code=c&state={state}&iss=https://honest.example")).unwrap();
    assert_eq!(redeemed(authorized), Some(("c".to_owned(), verifier)));
}

#[test]
fn every_setting_survives_storing() {
    use loginradius_proto::Endpoint as _;
    let [state, ..] = made_of(0);
    for kind in ["code", "token", "code token", "id_token", "code id_token", "id_token token", "code id_token token"] {
        let all = [
            ResponseType::Code,
            ResponseType::Token,
            ResponseType::CodeToken,
            ResponseType::IdToken,
            ResponseType::CodeIdToken,
            ResponseType::IdTokenToken,
            ResponseType::CodeIdTokenToken,
        ];
        let response_type = all.into_iter().find(|known| known.as_str() == kind).unwrap();
        let app = speaking(&classic(), Dialect::new().with_grant_type_of_code(true).without_response_type());
        let json = begin(&request().response_type(response_type), &app).pending.to_json();
        // An older program takes the dialect from there.
        assert!(json.contains(r#""with_grant_type":true,"without_response_type":true"#), "{json}");
        let mut pending = PendingLogin::from_json(&json).unwrap();
        assert_eq!(pending.to_json(), json);
        let authorized = accept(&mut pending, &format!("code=c&token=t&id_token=i&state={state}")).unwrap();
        assert_eq!(authorized.tokens.is_some(), kind.split(' ').any(|part| part == "token"));
        assert_eq!(authorized.id_token.is_some(), kind.contains("id_token"));
        let Some(exchange) = authorized.exchange() else {
            assert!(!kind.contains("code"));
            continue;
        };
        let body = exchange.request(&app).unwrap().into_body();
        let body = format!("?{}", std::str::from_utf8(body.as_bytes()).unwrap());
        assert_eq!(parameter(&body, "grant_type").as_deref(), Some("authorization_code"));
        assert_eq!(parameter(&body, "response_type"), None);
        assert_eq!(parameter(&body, "redirect_uri").as_deref(), Some(ADDRESS));
    }
    let mut pending = PendingLogin::from_json(&stored()).unwrap();
    refused(accept(&mut pending, &format!("code=c&state={state}")), ErrorKind::InvalidResponse, "names no issuer");
}

#[test]
fn a_login_that_is_consumed_stays_so_when_it_is_stored() {
    let [state, ..] = made_of(0);
    let text = format!("code=c&state={state}&iss=https://honest.example");
    for first in [&text, &format!("error=access_denied&state={state}")] {
        let mut pending = PendingLogin::from_json(&stored()).unwrap();
        let _ = accept(&mut pending, first);
        let mut pending = PendingLogin::from_json(&pending.to_json()).unwrap();
        refused(accept(&mut pending, &text), ErrorKind::AlreadyCompleted, "was already used");
    }
    for (mut pending, right) in jwt_waiting("token") {
        accept(&mut pending, &right).unwrap();
        let mut pending = PendingJwt::from_json(&pending.to_json()).unwrap();
        refused(accept(&mut pending, &right), ErrorKind::AlreadyCompleted, "was already used");
    }
}

#[test]
fn strange_callbacks_leave_the_stored_form_as_it_was() {
    let mut pending = PendingLogin::from_json(&stored()).unwrap();
    for text in ["", "code=c", "code=c&state=x", "error=access_denied&state=x"] {
        accept(&mut pending, text).unwrap_err();
        assert_eq!(pending.to_json(), stored());
    }
    for (mut pending, _) in jwt_waiting("token") {
        let json = pending.to_json();
        accept(&mut pending, "token=a.b.c&state=x").unwrap_err();
        assert_eq!(pending.to_json(), json);
    }
}

#[test]
fn the_ten_minutes_count_from_the_beginning_and_not_from_the_reading() {
    let [state, ..] = made_of(0);
    let mut pending = PendingLogin::from_json(&stored()).unwrap();
    let outcome = pending.accept(&query(&format!("code=c&state={state}")), start() + 10 * MINUTE);
    refused(outcome, ErrorKind::Expired, "10 minutes");
}

#[test]
fn a_stored_jwt_login_continues_where_it_was() {
    for (pending, right) in jwt_waiting("my_jwt") {
        let json = pending.to_json();
        let mut pending = PendingJwt::from_json(&json).unwrap();
        assert_eq!(pending.to_json(), json);
        refused(accept(&mut pending, "my_jwt=a.b.c&state=x"), ErrorKind::StateMismatch, "keep waiting");
        still_waits(&mut pending, &right);
    }
}

/// Checks that neither of the two reads it, and a part of the message.
#[track_caller]
fn unreadable(json: &str, text: &str) {
    let error = refused(PendingLogin::from_json(json), ErrorKind::Configuration, text);
    assert!(error.to_string().starts_with("Authorize: the stored login"), "{error}");
    let error = refused(PendingJwt::from_json(json), ErrorKind::Configuration, text);
    assert!(error.to_string().starts_with("JWT Redirect: the stored login"), "{error}");
}

#[test]
fn what_is_no_stored_login_is_refused() {
    for json in ["", "null", "{}", "[]", "7", "\"x\"", "{\"version\":1}", "<html>", "\u{feff}{}", "not json"] {
        unreadable(json, "cannot be read: begin a new one");
    }
    // One is not the other.
    let [(jwt, _), _] = jwt_waiting("token");
    refused(PendingLogin::from_json(&jwt.to_json()), ErrorKind::Configuration, "cannot be read");
    refused(PendingJwt::from_json(&stored()), ErrorKind::Configuration, "cannot be read");
}

#[test]
fn a_stored_login_that_is_cut_off_is_refused() {
    let json = stored();
    for end in 0..json.len() {
        refused(PendingLogin::from_json(&json[..end]), ErrorKind::Configuration, "cannot be read");
    }
    refused(PendingLogin::from_json(&format!("{json}}}")), ErrorKind::Configuration, "cannot be read");
    for (pending, _) in jwt_waiting("token") {
        let json = pending.to_json();
        for end in 0..json.len() {
            refused(PendingJwt::from_json(&json[..end]), ErrorKind::Configuration, "cannot be read");
        }
    }
}

#[test]
fn a_stored_login_of_another_version_is_refused() {
    for version in ["0", "2", "4294967295"] {
        let json = stored().replace("\"version\":1", &format!("\"version\":{version}"));
        refused(PendingLogin::from_json(&json), ErrorKind::Configuration, "is of another version of this crate");
        for (pending, _) in jwt_waiting("token") {
            let json = pending.to_json().replace("\"version\":1", &format!("\"version\":{version}"));
            refused(PendingJwt::from_json(&json), ErrorKind::Configuration, "is of another version of this crate");
        }
    }
    for version in ["-1", "\"1\"", "1.0", "null", "1,\"version\":1"] {
        let json = stored().replace("\"version\":1", &format!("\"version\":{version}"));
        refused(PendingLogin::from_json(&json), ErrorKind::Configuration, "cannot be read");
    }
}

/// Returns the stored form with another value at that path.
fn tampered(json: &str, path: &str, value: Value) -> String {
    let mut stored: Value = serde_json::from_str(json).unwrap();
    *stored.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
    stored.to_string()
}

#[test]
fn a_tampered_login_is_refused_where_that_can_be_seen() {
    let json = stored();
    for path in ["/awaiting/secret", "/expected/code_verifier"] {
        for value in [
            "",
            "x",
            &"A".repeat(42),
            &"A".repeat(44),
            &format!("{}=", "A".repeat(42)),
            &"ä".repeat(43),
            &" ".repeat(43),
        ] {
            let tampered = tampered(&json, path, Value::from(value));
            refused(PendingLogin::from_json(&tampered), ErrorKind::Configuration, "the stored login was changed");
        }
        refused(
            PendingLogin::from_json(&tampered(&json, path, Value::Null)),
            ErrorKind::Configuration,
            "cannot be read",
        );
    }
    // What is checked at the beginning of a login is checked here, too.
    for (path, values) in [
        ("/expected/nonce", &["", "x", "not a nonce that was made here, though 43 letters"][..]),
        ("/expected/issuer", &["", "https://a b.example", "https://honest.example\n", "\u{1b}[31m", "\u{202e}x"]),
        (
            "/expected/redirect_uri",
            &[
                "",
                "http://evil.example/callback",
                "https://user@evil.example/",
                "javascript:alert(1)",
                "https://app.example/#x",
                "https://app.example/?state=x",
                "https://app.example/\n",
                "/callback",
            ],
        ),
    ] {
        for value in values {
            let tampered = tampered(&json, path, Value::from(*value));
            refused(PendingLogin::from_json(&tampered), ErrorKind::Configuration, "the stored login was changed");
        }
    }
    // An issuer that is required and not known could not be checked.
    let without = tampered(&json, "/expected/issuer", Value::Null);
    refused(PendingLogin::from_json(&without), ErrorKind::Configuration, "the stored login was changed");
    for (path, value) in [
        ("/awaiting/consumed", Value::from("false")),
        ("/awaiting/consumed", Value::Null),
        ("/awaiting/began_at_unix_ms", Value::from(-1)),
        ("/awaiting/began_at_unix_ms", Value::from(1.5)),
        ("/awaiting/began_at_unix_ms", Value::Null),
        ("/awaiting", Value::Null),
        ("/expected", Value::Null),
        ("/response_type", Value::from("")),
        ("/response_type", Value::from("token code")),
        ("/response_type", Value::from("code  token")),
        ("/response_type", Value::from("none")),
        ("/expected/issuer_required", Value::from(1)),
        ("/expected/nonce", Value::from(7)),
        ("/expected/redirect_uri", Value::Null),
    ] {
        let tampered = tampered(&json, path, value.clone());
        let error = PendingLogin::from_json(&tampered).map(drop);
        refused(error, ErrorKind::Configuration, "cannot be read");
    }
    for name in [
        "secret",
        "began_at_unix_ms",
        "consumed",
        "code_verifier",
        "redirect_uri",
        "response_type",
        "awaiting",
        "expected",
    ] {
        let without = json.replace(&format!("\"{name}\":"), "\"something\":");
        refused(PendingLogin::from_json(&without), ErrorKind::Configuration, "cannot be read");
        let twice = json.replace(&format!("\"{name}\":"), &format!("\"{name}\":null,\"{name}\":"));
        refused(PendingLogin::from_json(&twice), ErrorKind::Configuration, "cannot be read");
    }
}

#[test]
fn a_tampered_jwt_login_is_refused_where_that_can_be_seen() {
    for (pending, _) in jwt_waiting("token") {
        let json = pending.to_json();
        for value in ["", "x", &"A".repeat(42), &"A".repeat(44)] {
            let tampered = tampered(&json, "/jwt/awaiting/secret", Value::from(value));
            refused(PendingJwt::from_json(&tampered), ErrorKind::Configuration, "the stored login was changed");
        }
        for value in ["", "state", "State", "error", "error_description", "a\nb", "\u{1b}[31m"] {
            let tampered = tampered(&json, "/jwt/parameter", Value::from(value));
            refused(PendingJwt::from_json(&tampered), ErrorKind::Configuration, "the stored login was changed");
        }
        for (path, value) in [
            ("/jwt/bound_by", Value::from("nothing")),
            ("/jwt/bound_by", Value::from("State")),
            ("/jwt/bound_by", Value::Null),
            ("/jwt/parameter", Value::Null),
            ("/jwt/awaiting/consumed", Value::from(0)),
        ] {
            refused(PendingJwt::from_json(&tampered(&json, path, value)), ErrorKind::Configuration, "cannot be read");
        }
    }
}

#[test]
fn a_time_that_was_tampered_with_gives_no_longer_life() {
    let [state, ..] = made_of(0);
    for began in [0, u64::MAX, 1_700_000_600_000 + 600_000] {
        let tampered = tampered(&stored(), "/awaiting/began_at_unix_ms", Value::from(began));
        let mut pending = PendingLogin::from_json(&tampered).unwrap();
        refused(accept(&mut pending, &format!("code=c&state={state}")), ErrorKind::Expired, "10 minutes");
    }
}

#[test]
fn errors_of_the_stored_form_show_nothing_of_it() {
    let json = stored();
    let [state, verifier, nonce] = made_of(0);
    for end in 0..json.len() {
        for broken in [json[..end].to_owned(), format!("{}7{}", &json[..end], &json[end..])] {
            let Err(error) = PendingLogin::from_json(&broken) else { continue };
            let printed = format!("{error} {error:?} {error:#?}");
            for secret in [&state, &verifier, &nonce] {
                assert!(!printed.contains(&secret[..8]), "{printed}");
            }
        }
    }
}
