//! LoginRadius's refusals in a callback: typed, and safe to print.

use loginradius_proto::{Error, ErrorKind};

use crate::fixtures::*;

/// Returns the error of a callback with that error and that description.
fn refusal(error: &str, description: &str) -> Error {
    let (mut pending, state) = waiting(&request().scope("openid"));
    let form = [("error", error), ("error_description", description), ("state", &state)];
    let text = serde_urlencoded::to_string(form).unwrap();
    accept(&mut pending, &text).unwrap_err()
}

fn described(description: &str) -> String {
    refusal("access_denied", description).api_error().unwrap().description.clone().unwrap_or_default()
}

#[test]
fn an_error_is_typed_by_its_name_in_rfc_6749() {
    for (name, kind) in [
        ("access_denied", ErrorKind::Denied),
        ("invalid_request", ErrorKind::Configuration),
        ("unauthorized_client", ErrorKind::Configuration),
        ("unsupported_response_type", ErrorKind::Configuration),
        ("invalid_scope", ErrorKind::Configuration),
        ("invalid_client", ErrorKind::Configuration),
        ("invalid_target", ErrorKind::Configuration),
        ("redirect_uri_mismatch", ErrorKind::Configuration),
        ("request_not_supported", ErrorKind::Configuration),
        ("server_error", ErrorKind::Unavailable),
        ("temporarily_unavailable", ErrorKind::Unavailable),
        ("login_required", ErrorKind::SignInRequired),
        ("interaction_required", ErrorKind::SignInRequired),
        ("consent_required", ErrorKind::SignInRequired),
        ("account_selection_required", ErrorKind::SignInRequired),
        ("something_new", ErrorKind::Refused),
        ("Access_Denied", ErrorKind::Refused),
        ("access_denied ", ErrorKind::Refused),
    ] {
        let error = refusal(name, "why");
        assert_eq!(error.kind(), kind, "{name}");
        assert_eq!(error.operation(), Some("Authorize"));
        assert_eq!(error.http_status(), None);
        let api_error = error.api_error().unwrap();
        assert_eq!(api_error.oauth_error.as_deref(), Some(name.trim()));
        assert_eq!(api_error.description.as_deref(), Some("why"));
        let refused =
            if kind == ErrorKind::Denied { "the login was not allowed" } else { "LoginRadius refused the login" };
        let begins = format!("Authorize: {refused}: {} (\"why\"): ", name.trim());
        assert!(error.to_string().starts_with(&begins), "{error}");
    }
}

/// As servers say it, LoginRadius and others.
#[test]
fn a_server_that_does_not_know_the_method_of_the_challenge_is_told_from_others() {
    const ADVICE: &str =
        ": try `Dialect::with_challenge_method` (newer sites take `ChallengeMethod::S256`, others `Sha256`)";
    for text in [
        "not supported value of code_challenge_method",
        // RFC 7636, section 4.4.1.
        "transform algorithm not supported",
        "Transform algorithm not supported",
        "Code challenge method is not supported.",
        "Invalid parameter: code_challenge_method",
        "OAuth 2.0 Parameter: code_challenge_method",
        "Invalid code challenge method.",
        "Unsupported PKCE Challenge Method",
        "unsupported pkce_code_challenge_method",
        "PKCE code challenge method must be S256",
        "The code_challenge must use S256",
        "Clients must use code_challenge_method=S256, plain is not allowed.",
        "Clients must use PKCE with S256",
        "PKCE algorithm SHA256 is unknown",
        "Proof key transformation is not supported",
        "Invalid parameter: code challenge method is not matching the configured one",
    ] {
        for name in ["invalid_request", "invalid_grant", "server_error", "unheard_of"] {
            let error = refusal(name, text);
            assert!(error.to_string().ends_with(ADVICE), "{error}");
        }
        // The user's own decision is about no method.
        assert!(refusal("access_denied", text).to_string().ends_with("begin a new login"));
    }
    for text in [
        "missing parameter",
        "The authentication method is not supported",
        "Unsupported signing algorithm: RS256",
        "Unsupported response method",
        "S256",
        "method",
        "The challenge was not solved",
        "plain http is not allowed",
        "PKCE is required",
        "",
    ] {
        let error = refusal("invalid_request", text).to_string();
        assert!(error.ends_with(": check the request's arguments, and the service's `Dialect`"), "{error}");
    }
}

#[test]
fn an_error_needs_no_description() {
    for rest in ["", "&error_description=", "&error_description", "&error_description=+%0A"] {
        let (mut pending, state) = waiting(&request());
        let error = accept(&mut pending, &format!("error=access_denied&state={state}{rest}")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert_eq!(error.api_error().unwrap().description, None);
        assert!(error.to_string().starts_with("Authorize: the login was not allowed: access_denied: "), "{error}");
    }
}

#[test]
fn an_error_outweighs_a_code() {
    let (mut pending, state) = waiting(&request());
    let error = accept(&mut pending, &format!("code=c&error=access_denied&state={state}")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    // An empty one counts as left out, and a description alone is no error (RFC 6749, section 3.1).
    for no_error in ["error=", "error", "error_description=x", "Error=access_denied"] {
        let (mut pending, state) = waiting(&request());
        accept(&mut pending, &format!("code=c&{no_error}&state={state}")).unwrap();
    }
}

#[test]
fn control_characters_and_marks_of_direction_do_not_get_through() {
    let hostile = "a\u{0}b\nc\rd\u{1b}[31me\u{7f}f\u{85}g\u{9b}h\u{2028}i\u{2029}j\u{202a}k\u{202e}l\u{2066}m\u{2069}n\u{200e}o\u{200f}p\u{61c}q";
    assert_eq!(described(hostile), "a b c d [31me f g h i j k l m n o p q");
    for error in [refusal("access_denied", hostile), refusal(hostile, "x"), refusal(hostile, hostile)] {
        let printed = format!("{error} {error:?}");
        assert!(!printed.chars().any(char::is_control), "{printed:?}");
        assert!(!printed.contains(['\u{2028}', '\u{202e}', '\u{2066}', '\u{200f}', '\u{61c}']), "{printed:?}");
    }
}

#[test]
fn a_description_is_no_longer_than_300_characters() {
    assert!(described(&"x".repeat(10_000)).len() <= 300);
    assert!(described(&"ä".repeat(100_000 / 6)).chars().count() <= 300);
    let error = refusal(&"e".repeat(10_000), &"d".repeat(10_000));
    assert!(error.to_string().len() < 1_000);
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[test]
fn markup_is_text_and_stays_text() {
    let markup = "<script>alert(1)</script><img src=x onerror=alert(1)>";
    let error = refusal("access_denied", markup);
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(error.api_error().unwrap().description.as_deref(), Some(markup));
}

#[test]
fn secrets_of_the_login_do_not_get_through() {
    let [state, verifier, nonce] = made_of(0);
    for secret in [state, verifier, nonce] {
        let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for spelled in [secret.clone(), encoded.clone(), encoded.to_lowercase(), format!("{secret}{secret}")] {
            for error in [refusal("access_denied", &format!("the {spelled} is bad")), refusal(&spelled, &spelled)] {
                let printed = format!("{error} {error:?} {error:#?} {:?}", error.api_error());
                assert!(!printed.contains(&secret), "{printed}");
                assert!(!printed.contains(&spelled), "{printed}");
                assert!(printed.contains("[redacted]"), "{printed}");
            }
        }
    }
}

#[test]
fn what_the_same_callback_brought_does_not_get_through() {
    for name in ["code", "token", "access_token", "id_token"] {
        let (mut pending, state) = waiting(&request());
        let text = format!("error=x&error_description=the+S3CR3T+is+used&{name}=S3CR3T&state={state}");
        let error = accept(&mut pending, &text).unwrap_err();
        let printed = format!("{error} {error:?} {error:#?}");
        assert!(!printed.contains("S3CR3T"), "{name}: {printed}");
    }
    let [(mut pending, _), _] = jwt_waiting("my_jwt");
    let [state, ..] = made_of(0);
    let text = format!("error=x&error_description=the+S3CR3T+is+used&my_jwt=S3CR3T&state={state}");
    let error = accept(&mut pending, &text).unwrap_err();
    assert!(!format!("{error} {error:#?}").contains("S3CR3T"), "{error}");
}

#[test]
fn a_refusal_of_a_jwt_login_is_typed_too() {
    let [(mut pending, _), _] = jwt_waiting("token");
    let [state, ..] = made_of(0);
    let text = format!("error=access_denied&error_description=no+{state}&state={state}");
    let error = refused(accept(&mut pending, &text), ErrorKind::Denied, "JWT Redirect: the login was not allowed");
    assert!(!error.to_string().contains(&state), "{error}");
}
