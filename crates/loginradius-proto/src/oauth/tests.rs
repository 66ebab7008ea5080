//! What each operation sends, at both families and in both formats, and what it reads.

use std::fmt::Debug;
use std::time::Duration;

use super::*;
use crate::app::BodyFormat::{Form, Json};
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::testing::{Sent, classic_app, public, response, sent, site_app};
use crate::token::TokenSet;

type Fields<'a> = &'a [(&'a str, &'a str)];

const CLASSIC: &str = "https://cloud-api.loginradius.com/sso/oauth";
const SITE: &str = "https://acme.hub.loginradius.com/api/oauth/my-oauth-app";
const CLIENT: [(&str, &str); 2] = [("client_id", "my-client-id"), ("client_secret", "my-client-secret")];

/// Checks where an operation is sent, and with which fields; without the secret where there is none.
#[track_caller]
fn check(operation: &impl Endpoint, classic: (&str, Fields<'_>), site: (&str, Fields<'_>)) {
    let check = |app, format, url: &str, fields: Fields<'_>| {
        let expected = if format == Form { Sent::form(url, fields) } else { Sent::json(url, fields) };
        assert_eq!(sent(operation, &app), expected);
    };
    for format in [Form, Json] {
        for (app, (base, (path, fields))) in
            [(classic_app(format), (CLASSIC, classic)), (site_app(format), (SITE, site))]
        {
            let url = format!("{base}{path}");
            let without_secret: Vec<_> = fields.iter().copied().filter(|(name, _)| *name != "client_secret").collect();
            check(app.clone(), format, &url, fields);
            check(public(app), format, &url, &without_secret);
        }
    }
}

#[test]
fn request_device_code() {
    let fields = [CLIENT[0], ("scope", "email profile")];
    for (operation, fields) in [
        (RequestDeviceCode::new().scope("email profile"), &fields[..]),
        (RequestDeviceCode::new(), &fields[..1]),
        (RequestDeviceCode::new().scope(""), &fields[..1]),
    ] {
        check(&operation, ("/my-oauth-app/device", fields), ("/device", fields));
    }
}

#[test]
fn request_tokens() {
    let fields = [
        CLIENT[0],
        ("device_code", "af2a"),
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("response_type", "token"),
    ];
    let (path, without_response_type) = ("/my-oauth-app/access_token", &fields[..3]);
    check(&RequestTokens::new("af2a"), (path, without_response_type), ("/token", &fields));
    let operation = RequestTokens::new("af2a").without_response_type();
    check(&operation, (path, without_response_type), ("/token", without_response_type));
}

#[test]
fn access_token_by_code() {
    let operation = || AccessTokenByCode::new("the-code", "https://www.abc.com/callback?a=1&b=2");
    let code = [("redirect_uri", "https://www.abc.com/callback?a=1&b=2"), ("code", "the-code")];
    let (verifier, token) = (("code_verifier", "dBjftJeZ4CVP"), ("response_type", "token"));
    let grant_type = ("grant_type", "authorization_code");
    for (operation, classic, site) in [
        (operation(), &[token][..], &[token, grant_type][..]),
        (operation().code_verifier("dBjftJeZ4CVP"), &[token, verifier], &[token, grant_type, verifier]),
        (operation().with_grant_type(), &[token, grant_type], &[token, grant_type]),
        (operation().without_response_type(), &[], &[grant_type]),
    ] {
        let fields = |more| [&CLIENT[..], &code, more].concat();
        check(&operation, ("/access_token", &fields(classic)), ("/token", &fields(site)));
    }
}

#[test]
fn access_token_by_password() {
    let operation = || AccessTokenByPassword::new("user@example.com", "p ä&=%+");
    let password = [("grant_type", "password"), ("username", "user@example.com"), ("password", "p ä&=%+")];
    let (scope, token) = (("scope", "openid email"), ("response_type", "token"));
    for (operation, classic, site) in [
        (operation(), &[][..], &[token][..]),
        (operation().scope("openid email"), &[scope], &[token, scope]),
        (operation().without_response_type(), &[], &[]),
    ] {
        let fields = |more| [&CLIENT[..], &password, more].concat();
        check(&operation, ("/access_token", &fields(classic)), ("/token", &fields(site)));
    }
}

#[test]
fn refresh_access_token() {
    let fields = [&CLIENT[..], &[("grant_type", "refresh_token"), ("refresh_token", "a795bbb0")]].concat();
    check(&RefreshAccessToken::new("a795bbb0"), ("/access_token/refresh", &fields), ("/token", &fields));
}

#[test]
fn revoke_refresh_token() {
    let operation = || RevokeRefreshToken::new("a795bbb0");
    for (operation, key) in [(operation(), "refresh_token"), (operation().with_token_key(), "token")] {
        let fields = [&CLIENT[..], &[(key, "a795bbb0")]].concat();
        check(&operation, ("/refresh_token/revoke", &fields), ("/revoke", &fields));
    }
}

#[test]
fn a_response_with_tokens() {
    let operations: [&dyn Endpoint<Response = TokenSet>; 4] = [
        &RequestTokens::new("af2a"),
        &AccessTokenByCode::new("the-code", "https://www.abc.com/"),
        &AccessTokenByPassword::new("user@example.com", "password"),
        &RefreshAccessToken::new("a795bbb0"),
    ];
    let body = r#"{"access_token":"b8cb","token_type":"access_token","refresh_token":"a795","expires_in":31103985}"#;
    for operation in operations {
        let tokens = operation.response(&classic_app(Form), response(200, body)).unwrap();
        assert_eq!(tokens.access_token.expose(), "b8cb");
        assert_eq!(tokens.refresh_token.unwrap().expose(), "a795");
        assert_eq!(tokens.token_type.as_deref(), Some("access_token"));
        assert_eq!(tokens.expires_in, Some(Duration::from_secs(31_103_985)));
        assert!(tokens.id_token.is_none());
    }
}

#[test]
fn a_response_with_a_grant() {
    let body = r#"{"device_code":"af2a","user_code":"oP5lLq","verification_uri":"https://example.com/device",
        "verification_uri_complete":"https://example.com/device?user_code=oP5lLq","interval":10,"expires_in":1800}"#;
    let grant = RequestDeviceCode::new().response(&classic_app(Form), response(200, body)).unwrap();
    assert_eq!(grant.device_code.expose(), "af2a");
    assert_eq!(grant.user_code, "oP5lLq");
    assert_eq!(grant.verification_uri, "https://example.com/device");
    assert_eq!(grant.browser_uri(), Some("https://example.com/device?user_code=oP5lLq"));
    assert_eq!(grant.interval, Duration::from_secs(10));
    assert_eq!(grant.expires_in, Duration::from_secs(1800));
}

#[test]
fn a_response_to_a_revocation() {
    for body in ["", " \r\n", "{}", r#"{"isPosted":true}"#, "null"] {
        RevokeRefreshToken::new("a795bbb0").response(&classic_app(Form), response(200, body)).unwrap();
    }
}

#[test]
fn responses_with_an_error() {
    #[track_caller]
    fn check<E>(operation: E, (status, body): (u16, &str), kind: ErrorKind, name: &str, says: &str)
    where
        E: Endpoint,
        E::Response: Debug,
    {
        let error = operation.response(&classic_app(Form), response(status, body)).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (kind, Some(name)));
        let service = error.service().unwrap();
        let code = service.code.map(|code| code.to_string());
        assert!([code.as_deref(), service.oauth_error.as_deref()].contains(&Some(says)), "{service:?}");
    }
    check(
        RequestDeviceCode::new(),
        (401, r#"{"error":"invalid_client","error_description":"The client_id is not valid."}"#),
        ErrorKind::Settings,
        "Request Device Code",
        "invalid_client",
    );
    check(
        RequestTokens::new("af2a"),
        (400, r#"{"error":"authorization_pending","error_description":""}"#),
        ErrorKind::TryLater,
        "Request Tokens",
        "authorization_pending",
    );
    check(
        AccessTokenByCode::new("the-code", "https://www.abc.com/"),
        (401, r#"{"ErrorCode":2005,"Message":"The code is expired."}"#),
        ErrorKind::SignInAgain,
        "Access Token by OAuth 2 Token",
        "2005",
    );
    check(
        AccessTokenByPassword::new("user@example.com", "password"),
        (400, r#"{"error":"invalid_grant","error_description":""}"#),
        ErrorKind::AskUser,
        "Access Token by Account Password",
        "invalid_grant",
    );
    check(
        RefreshAccessToken::new("a795bbb0"),
        (400, r#"{"ErrorCode":2010,"Message":"invalid_grant","Description":"invalid_grant"}"#),
        ErrorKind::SignInAgain,
        "Refresh Access Token",
        "invalid_grant",
    );
    check(
        RevokeRefreshToken::new("a795bbb0"),
        (400, r#"{"error":"invalid_request","error_description":"The access_token is invalid or expired."}"#),
        ErrorKind::Settings,
        "Revoke Refresh Token",
        "invalid_request",
    );
}

#[test]
fn what_consumes_something_is_never_repeated() {
    assert!(RequestDeviceCode::new().repeatable() && RevokeRefreshToken::new("a795bbb0").repeatable());
    assert!(!RequestTokens::new("af2a").repeatable());
    assert!(!AccessTokenByCode::new("the-code", "https://www.abc.com/").repeatable());
    assert!(!AccessTokenByPassword::new("user@example.com", "password").repeatable());
    assert!(!RefreshAccessToken::new("a795bbb0").repeatable());
}
