//! What each operation sends to each API and in both formats, and what it reads.

use std::fmt::Debug;
use std::time::Duration;

use super::*;
use crate::app::App;
use crate::dialect::BodyFormat::{Form, Json};
use crate::dialect::{ClientAuthentication, Dialect, RevocationKey};
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::service::Service;
use crate::testing::{Sent, classic_app, classic_oidc_app, oidc_app, public, response, sent, site_app};
use crate::token::TokenSet;

type Fields<'a> = &'a [(&'a str, &'a str)];
type Change = fn(Dialect) -> Dialect;

const CLASSIC: &str = "https://cloud-api.loginradius.com/sso/oauth";
const SITE: &str = "https://acme.hub.loginradius.com/api/oauth/my-oauth-app";
const OIDC: &str = "https://acme.hub.loginradius.com/api/oidc/my-oidc-app";
const CLASSIC_OIDC: &str = "https://cloud-api.loginradius.com/sso/oidc/v2/my-oidc-app";
const CLIENT: [(&str, &str); 2] = [("client_id", "my-client-id"), ("client_secret", "my-client-secret")];

/// Checks where an operation is sent and with which fields; of an app without a secret, without that field. OpenID
/// Connect has the paths and the fields of a site.
#[track_caller]
fn check(operation: &impl Endpoint, classic: (&str, Fields<'_>), site: (&str, Fields<'_>)) {
    check_in(|dialect| dialect, operation, classic, site);
}

/// Checks the same in a dialect.
#[track_caller]
fn check_in(
    change: impl Fn(Dialect) -> Dialect,
    operation: &impl Endpoint,
    classic: (&str, Fields<'_>),
    site: (&str, Fields<'_>),
) {
    let check = |app, format, url: &str, fields: Fields<'_>| {
        let expected = if format == Form { Sent::form(url, fields) } else { Sent::json(url, fields) };
        assert_eq!(sent(operation, &app), expected);
    };
    for format in [Form, Json] {
        for (app, (base, (path, fields))) in [
            (classic_app(format), (CLASSIC, classic)),
            (site_app(format), (SITE, site)),
            (oidc_app(format), (OIDC, site)),
        ] {
            let app = with_dialect(&app, change(*app.service().dialect()));
            let url = format!("{base}{path}");
            let without_secret: Vec<_> = fields.iter().copied().filter(|(name, _)| *name != "client_secret").collect();
            check(app.clone(), format, &url, fields);
            check(public(app), format, &url, &without_secret);
        }
    }
}

fn with_dialect(app: &App, dialect: Dialect) -> App {
    app.clone().with_service(app.service().clone().with_dialect(dialect).unwrap())
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
    let fields = without_response_type;
    check_in(
        |dialect| dialect.without_response_type(),
        &RequestTokens::new("af2a"),
        (path, fields),
        ("/token", fields),
    );
}

#[test]
fn access_token_by_code() {
    let operation = || AccessTokenByCode::new("the-code", "https://www.abc.com/callback?a=1&b=2");
    let code = [("redirect_uri", "https://www.abc.com/callback?a=1&b=2"), ("code", "the-code")];
    let (verifier, token) = (("code_verifier", "dBjftJeZ4CVP"), ("response_type", "token"));
    let grant_type = ("grant_type", "authorization_code");
    let documented: Change = |dialect| dialect;
    let rows: [(Change, _, Fields<'_>, Fields<'_>); 4] = [
        (documented, operation(), &[token], &[token, grant_type]),
        (documented, operation().code_verifier("dBjftJeZ4CVP"), &[token, verifier], &[token, grant_type, verifier]),
        (|dialect| dialect.with_grant_type_of_code(true), operation(), &[token, grant_type], &[token, grant_type]),
        (|dialect| dialect.without_response_type(), operation(), &[], &[grant_type]),
    ];
    for (change, operation, classic, site) in rows {
        let fields = |more| [&CLIENT[..], &code, more].concat();
        check_in(change, &operation, ("/access_token", &fields(classic)), ("/token", &fields(site)));
    }
}

#[test]
fn access_token_by_password() {
    let operation = || AccessTokenByPassword::new("user@example.com", "p ä&=%+");
    let password = [("grant_type", "password"), ("username", "user@example.com"), ("password", "p ä&=%+")];
    let (scope, token) = (("scope", "openid email"), ("response_type", "token"));
    let rows: [(Change, _, Fields<'_>, Fields<'_>); 3] = [
        (|dialect| dialect, operation(), &[], &[token]),
        (|dialect| dialect, operation().scope("openid email"), &[scope], &[token, scope]),
        (|dialect| dialect.without_response_type(), operation(), &[], &[]),
    ];
    for (change, operation, classic, site) in rows {
        let fields = |more| [&CLIENT[..], &password, more].concat();
        check_in(change, &operation, ("/access_token", &fields(classic)), ("/token", &fields(site)));
    }
}

#[test]
fn refresh_access_token() {
    let fields = [&CLIENT[..], &[("grant_type", "refresh_token"), ("refresh_token", "a795bbb0")]].concat();
    check(&RefreshAccessToken::new("a795bbb0"), ("/access_token/refresh", &fields), ("/token", &fields));
}

#[test]
fn classic_openid_connect_has_two_addresses_and_a_scope_for_each_refresh() {
    let token = ("response_type", "token");
    let code = AccessTokenByCode::new("the-code", "https://www.abc.com/callback");
    let code_fields =
        [("redirect_uri", "https://www.abc.com/callback"), ("grant_type", "authorization_code"), ("code", "the-code")];
    let password_fields = [("grant_type", "password"), ("username", "ada"), ("password", "secret")];
    let refresh_fields = [("grant_type", "refresh_token"), ("refresh_token", "a795bbb0"), ("scope", "openid")];
    for format in [Form, Json] {
        let app = classic_oidc_app(format);
        let check = |operation: &dyn Fn(&App) -> Sent, path: &str, fields: Fields<'_>| {
            let (url, fields) = (format!("{CLASSIC_OIDC}{path}"), [&CLIENT[..], fields].concat());
            let expected = if format == Form { Sent::form(&url, &fields) } else { Sent::json(&url, &fields) };
            assert_eq!(operation(&app), expected);
        };
        check(&|app| sent(&code, app), "/token", &[&code_fields[..], &[token]].concat());
        let password = AccessTokenByPassword::new("ada", "secret");
        check(&|app| sent(&password, app), "/token", &[&password_fields[..], &[token]].concat());
        check(&|app| sent(&RefreshAccessToken::new("a795bbb0"), app), "/token", &refresh_fields);
        check(&|app| sent(&RevokeRefreshToken::new("a795bbb0"), app), "/token/revoke", &[("token", "a795bbb0")]);
        let errors = [RequestDeviceCode::new().request(&app).err(), RequestTokens::new("af2a").request(&app).err()];
        for error in errors.map(Option::unwrap) {
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(
                error
                    .to_string()
                    .contains("the classic OpenID Connect API does not have this operation: use `Service::site`"),
                "{error}"
            );
        }
    }
}

#[test]
fn openid_connect_is_told_its_app_and_not_that_of_oauth() {
    for app in [oidc_app(Form), classic_oidc_app(Form)] {
        let error = RefreshAccessToken::new("a795bbb0").request(&app.clone().with_oidc_app("")).unwrap_err();
        assert!(error.to_string().contains("the OpenID Connect app's name is empty"), "{error}");
        let other = App::new("my-client-id").with_oauth_app("my-oauth-app").with_service(app.service().clone());
        let error = RefreshAccessToken::new("a795bbb0").request(&other).unwrap_err();
        assert!(error.to_string().contains("set it with `App::with_oidc_app`"), "{error}");
    }
}

#[test]
fn the_key_of_a_revocation_is_that_of_the_apis_pages() {
    for (app, name) in [
        (classic_app(Form), "refresh_token"),
        (site_app(Form), "refresh_token"),
        (oidc_app(Form), "token"),
        (classic_oidc_app(Form), "token"),
    ] {
        let request = RevokeRefreshToken::new("a795bbb0").request(&app).unwrap();
        let body = String::from_utf8(request.body().as_bytes().to_vec()).unwrap();
        assert!(body.ends_with(&format!("&{name}=a795bbb0")), "{body}");
    }
}

#[test]
fn revoke_refresh_token() {
    for (key, name) in [(RevocationKey::RefreshToken, "refresh_token"), (RevocationKey::Token, "token")] {
        let fields = [&CLIENT[..], &[(name, "a795bbb0")]].concat();
        let operation = RevokeRefreshToken::new("a795bbb0");
        let change = |dialect: Dialect| dialect.with_revocation_key(key);
        check_in(change, &operation, ("/refresh_token/revoke", &fields), ("/revoke", &fields));
    }
}

#[test]
fn basic_authentication_takes_the_secret_out_of_the_body() {
    let dialect = Dialect::new().with_client_authentication(ClientAuthentication::Basic);
    let app = with_dialect(&site_app(Form), dialect).with_client_secret("s:ä %");
    let operations: [&dyn Endpoint<Response = TokenSet>; 3] = [
        &AccessTokenByCode::new("the-code", "https://www.abc.com/"),
        &AccessTokenByPassword::new("user@example.com", "password"),
        &RefreshAccessToken::new("a795bbb0"),
    ];
    // RFC 6749, section 2.3.1: both parts are form-encoded first.
    let expected = "Basic bXktY2xpZW50LWlkOnMlM0ElQzMlQTQrJTI1";
    for operation in operations {
        let request = operation.request(&app).unwrap();
        let header = &request.headers()["authorization"];
        assert_eq!((header.to_str().unwrap(), header.is_sensitive()), (expected, true));
        let body = std::str::from_utf8(request.body().as_bytes()).unwrap();
        assert!(body.contains("client_id=my-client-id") && !body.contains("client_secret"), "{body}");
        let public = operation.request(&public(app.clone())).unwrap();
        assert!(!public.headers().contains_key("authorization"), "there is no secret to authenticate with");
    }
    let revoke = RevokeRefreshToken::new("a795bbb0").request(&app).unwrap();
    assert_eq!(revoke.headers()["authorization"], expected);
    for operation in [RequestTokens::new("af2a").request(&app), RequestDeviceCode::new().request(&app)] {
        assert!(!operation.unwrap().headers().contains_key("authorization"), "it needs no secret");
    }
    let error = RefreshAccessToken::new("a795bbb0").request(&app.with_client_secret("a\nb")).unwrap_err();
    assert!(error.to_string().starts_with("Refresh Access Token: `client_secret` contains a control"), "{error}");
}

#[test]
fn a_dialect_that_an_api_does_not_have_is_refused() {
    let site = || Service::site("acme.hub.loginradius.com").unwrap();
    let basic = Dialect::new().with_client_authentication(ClientAuthentication::Basic);
    let error = Service::classic().with_dialect(basic).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("use `Service::site`"), "{error}");
    assert!(site().with_dialect(basic).is_ok());

    let without = Dialect::new().with_grant_type_of_code(false);
    let error = site().with_dialect(without).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("leave out `Dialect::with_grant_type_of_code`"), "{error}");
    assert!(Service::classic().with_dialect(without).is_ok());
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
    fn check<E>(operation: E, (status, body): (u16, &str), kind: ErrorKind, name: &str, responded: &str)
    where
        E: Endpoint,
        E::Response: Debug,
    {
        let error = operation.response(&classic_app(Form), response(status, body)).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (kind, Some(name)));
        let api_error = error.api_error().unwrap();
        let code = api_error.code.map(|code| code.to_string());
        assert!([code.as_deref(), api_error.oauth_error.as_deref()].contains(&Some(responded)), "{api_error:?}");
    }
    check(
        RequestDeviceCode::new(),
        (401, r#"{"error":"invalid_client","error_description":"The client_id is not valid."}"#),
        ErrorKind::Configuration,
        "Request Device Code",
        "invalid_client",
    );
    check(
        RequestTokens::new("af2a"),
        (400, r#"{"error":"authorization_pending","error_description":""}"#),
        ErrorKind::Unavailable,
        "Request Tokens",
        "authorization_pending",
    );
    check(
        AccessTokenByCode::new("the-code", "https://www.abc.com/"),
        (401, r#"{"ErrorCode":2005,"Message":"The code is expired."}"#),
        ErrorKind::SignInRequired,
        "Access Token by OAuth 2 Token",
        "2005",
    );
    check(
        AccessTokenByPassword::new("user@example.com", "password"),
        (400, r#"{"error":"invalid_grant","error_description":""}"#),
        ErrorKind::UserActionRequired,
        "Access Token by Account Password",
        "invalid_grant",
    );
    check(
        RefreshAccessToken::new("a795bbb0"),
        (400, r#"{"ErrorCode":2010,"Message":"invalid_grant","Description":"invalid_grant"}"#),
        ErrorKind::SignInRequired,
        "Refresh Access Token",
        "invalid_grant",
    );
    check(
        RevokeRefreshToken::new("a795bbb0"),
        (400, r#"{"error":"invalid_request","error_description":"The access_token is invalid or expired."}"#),
        ErrorKind::Configuration,
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
