//! What is an error before anything is sent, and that each error says what to change.

use std::collections::BTreeMap;
use std::time::SystemTime;

use loginradius_proto::browser::{AuthorizationRequest, BrowserRequest, JwtRedirect, RandomBytes};
use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin, LoginOptions};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::{
    App, BodyFormat, Call, ClientAuthentication, Dialect, Endpoint, Error, ErrorKind, Flow, RequestBuilder,
    RevocationKey, Seed, Service, Step,
};
use loginradius_testing::{app, site, speaking, start, writing};

/// Checks that it is an error of the kind `Configuration`, and a part of its text.
#[track_caller]
fn refused(outcome: Result<impl Sized, Error>, text: &str) {
    let Err(error) = outcome else { panic!("not refused: {text}") };
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains(text), "{error:?} does not contain: {text}");
    assert!(error.api_error().is_none() && error.http_status().is_none());
}

#[test]
fn an_oauth_app_is_one_segment_of_the_path() {
    let path = |name: &str| {
        let request = RequestDeviceCode::new().request(&app().with_oauth_app(name)).unwrap();
        request.uri().path().to_owned()
    };
    assert_eq!(path("../x"), "/sso/oauth/..%2Fx/device");
    assert_eq!(path("a/b"), "/sso/oauth/a%2Fb/device");
    assert_eq!(path("a?b#c"), "/sso/oauth/a%3Fb%23c/device");
    assert_eq!(path("%2e%2e"), "/sso/oauth/%252e%252e/device");
    assert_eq!(path("a\\b"), "/sso/oauth/a%5Cb/device");
    assert_eq!(path("a b;c"), "/sso/oauth/a%20b%3Bc/device");
    assert_eq!(path("äpp"), "/sso/oauth/%C3%A4pp/device");
    assert_eq!(path("..."), "/sso/oauth/.../device");
}

#[test]
fn a_jwt_app_is_one_segment_or_one_parameter() {
    let sent = |app: App| JwtByAccessToken::new("token").request(&app.with_jwt_app("../a&b=c")).unwrap().uri().clone();
    assert_eq!(sent(app().with_service(site())).path(), "/api/jwt/..%2Fa%26b%3Dc/token");
    assert_eq!(sent(app()).path(), "/sso/jwt/api/token");
    assert!(sent(app()).query().unwrap().contains("jwtapp=..%2Fa%26b%3Dc"));
}

#[test]
fn names_that_are_no_segment() {
    for name in [".", ".."] {
        let app = app().with_oauth_app(name).with_jwt_app(name);
        refused(
            RequestDeviceCode::new().request(&app),
            "is a dot segment: use the name from the LoginRadius Dashboard",
        );
        let app = app.with_service(site());
        refused(JwtByAccessToken::new("t").request(&app), "the JWT app's name is a dot segment: use the name");
    }
    let with = |name: &str| app().with_oauth_app(name).with_jwt_app(name).with_service(site());
    refused(RequestTokens::new("d").request(&with("")), "the OAuth app's name is empty: use the name from");
    refused(JwtByAccessToken::new("t").request(&with("")), "the JWT app's name is empty: use the name from");
    for name in ["my-app\n", "\0", "a\u{7f}b", "a\u{85}b"] {
        refused(RequestTokens::new("d").request(&with(name)), "the OAuth app's name contains a control character");
        refused(JwtByAccessToken::new("t").request(&with(name)), "the JWT app's name contains a control character");
    }
}

#[test]
fn an_app_that_is_needed_and_not_set() {
    let text = "the OAuth app's name is needed and not set: set it with `App::with_oauth_app`";
    let bare = App::new("my-client-id").with_client_secret("my-secret");
    refused(RequestDeviceCode::new().request(&bare), text);
    refused(RequestTokens::new("d").request(&bare), text);
    AccessTokenByCode::new("c", "https://www.abc.com/").request(&bare).unwrap();
    AccessTokenByPassword::new("u", "p").request(&bare).unwrap();
    RefreshAccessToken::new("r").request(&bare).unwrap();
    RevokeRefreshToken::new("r").request(&bare).unwrap();

    let bare = bare.with_service(site());
    refused(RequestDeviceCode::new().request(&bare), text);
    refused(RequestTokens::new("d").request(&bare), text);
    refused(AccessTokenByCode::new("c", "https://www.abc.com/").request(&bare), text);
    refused(AccessTokenByPassword::new("u", "p").request(&bare), text);
    refused(RefreshAccessToken::new("r").request(&bare), text);
    refused(RevokeRefreshToken::new("r").request(&bare), text);

    let text = "the JWT app's name is needed and not set: set it with `App::with_jwt_app`";
    for service in [Service::classic(), site()] {
        let bare = App::new("my-client-id").with_service(service);
        refused(JwtByAccessToken::new("t").request(&bare), text);
        refused(JwtLogin::email("e", "p").request(&bare), text);
        refused(JwtLogin::phone("e", "p").request(&bare), text);
        refused(JwtLogin::username("e", "p").request(&bare), text);
    }
}

#[test]
fn parameters_that_are_empty_are_named() {
    let empty = |name: &str| format!("`{name}` is empty: give it a value");
    let nameless = App::new("").with_oauth_app("my-oauth-app").with_jwt_app("my-jwt-app");
    refused(RequestDeviceCode::new().request(&nameless), &empty("client_id"));
    refused(RequestTokens::new("d").request(&nameless), &empty("client_id"));
    refused(AccessTokenByCode::new("c", "r").request(&nameless), &empty("client_id"));
    refused(AccessTokenByPassword::new("u", "p").request(&nameless), &empty("client_id"));
    refused(RefreshAccessToken::new("r").request(&nameless), &empty("client_id"));
    refused(RevokeRefreshToken::new("r").request(&nameless), &empty("client_id"));
    refused(JwtByAccessToken::new("t").request(&nameless), &empty("apikey"));
    refused(JwtLogin::email("e", "p").request(&nameless), &empty("apikey"));

    let app = app();
    refused(RequestTokens::new("").request(&app), &empty("device_code"));
    refused(AccessTokenByCode::new("", "r").request(&app), &empty("code"));
    refused(AccessTokenByCode::new("c", "").request(&app), &empty("redirect_uri"));
    refused(AccessTokenByPassword::new("", "p").request(&app), &empty("username"));
    refused(AccessTokenByPassword::new("u", "").request(&app), &empty("password"));
    refused(RefreshAccessToken::new("").request(&app), &empty("refresh_token"));
    refused(RevokeRefreshToken::new("").request(&app), &empty("refresh_token"));
    let with_token = speaking(&app, Dialect::new().with_revocation_key(RevocationKey::Token));
    refused(RevokeRefreshToken::new("").request(&with_token), &empty("token"));
    refused(JwtByAccessToken::new("").request(&app), &empty("access_token"));
    refused(JwtLogin::email("", "p").request(&app), &empty("email"));
    refused(JwtLogin::phone("", "p").request(&app), &empty("phone"));
    refused(JwtLogin::username("", "p").request(&app), &empty("username"));
    refused(JwtLogin::username("u", "").request(&app), &empty("password"));
    refused(JwtLogin::username("u", "p").request(&app.with_jwt_app("")), &empty("jwtapp"));
}

#[test]
fn control_characters_are_refused_and_the_parameter_is_named() {
    let control =
        |name: &str| format!("`{name}` contains a control character (a stray line break, perhaps): remove it");
    for bad in ["x\n", "\r\nx", "x\0y", "\t", "x\u{7f}", "x\u{9f}"] {
        let app = app();
        refused(RefreshAccessToken::new("r").request(&App::new(bad)), &control("client_id"));
        let secret = app.clone().with_client_secret(bad);
        refused(RefreshAccessToken::new("r").request(&secret), &control("client_secret"));
        refused(RequestDeviceCode::new().scope(bad).request(&app), &control("scope"));
        refused(RequestTokens::new(bad).request(&app), &control("device_code"));
        refused(AccessTokenByCode::new(bad, "r").request(&app), &control("code"));
        refused(AccessTokenByCode::new("c", bad).request(&app), &control("redirect_uri"));
        refused(AccessTokenByCode::new("c", "r").code_verifier(bad).request(&app), &control("code_verifier"));
        refused(AccessTokenByPassword::new(bad, "p").request(&app), &control("username"));
        refused(AccessTokenByPassword::new("u", bad).request(&app), &control("password"));
        refused(AccessTokenByPassword::new("u", "p").scope(bad).request(&app), &control("scope"));
        refused(RefreshAccessToken::new(bad).request(&app), &control("refresh_token"));
        refused(RevokeRefreshToken::new(bad).request(&app), &control("refresh_token"));
        refused(JwtByAccessToken::new(bad).request(&app), &control("access_token"));
        refused(JwtByAccessToken::new("t").request(&app.clone().with_api_key(bad)), &control("apikey"));
        refused(JwtByAccessToken::new("t").request(&app.clone().with_jwt_app(bad)), &control("jwtapp"));
        refused(JwtLogin::email(bad, "p").request(&app), &control("email"));
        refused(JwtLogin::email("e", bad).request(&app), &control("password"));
        let with = |options| JwtLogin::email("e", "p").options(options).request(&app);
        refused(with(LoginOptions::new().verification_url(bad)), &control("verificationurl"));
        refused(with(LoginOptions::new().login_url(bad)), &control("loginurl"));
        refused(with(LoginOptions::new().email_template(bad)), &control("emailtemplate"));
        let site = app.with_service(site());
        refused(JwtByAccessToken::new("t").nonce(bad).request(&site), &control("Nonce"));
    }
}

#[test]
fn what_separates_parameters_stays_within_one() {
    for id in ["a&client_secret=x", "100%", "%41", "a=b", "a+b c", "a\"b\\c", "#?/"] {
        for format in [BodyFormat::Form, BodyFormat::Json] {
            let app = writing(&App::new(id).with_oauth_app("o"), format);
            let request = RequestDeviceCode::new().request(&app).unwrap();
            let bytes = request.body().as_bytes();
            let read: BTreeMap<String, String> = match format {
                BodyFormat::Form => serde_urlencoded::from_bytes(bytes).unwrap(),
                _ => serde_json::from_slice(bytes).unwrap(),
            };
            assert_eq!(read, BTreeMap::from([("client_id".to_owned(), id.to_owned())]));
        }
        let request = JwtByAccessToken::new("t").request(&App::new(id).with_jwt_app("j")).unwrap();
        let query: Vec<(String, String)> = serde_urlencoded::from_str(request.uri().query().unwrap()).unwrap();
        assert_eq!(query[0], ("apikey".to_owned(), id.to_owned()));
        assert_eq!(query.len(), 3);
    }
}

#[test]
fn a_password_of_every_kind_of_character_arrives() {
    let ascii = (' '..='~').collect::<String>();
    let others = "\u{a0}äß\u{7ff}\u{800}€\u{d7ff}\u{e000}\u{feff}\u{ffff}\u{10000}😀\u{10ffff}";
    let password = ascii + others;
    let read = |operation: &dyn Fn(&App) -> loginradius_proto::http::Request<loginradius_proto::Body>, format| {
        let request = operation(&writing(&app(), format));
        let bytes = request.body().as_bytes().to_vec();
        let members: BTreeMap<String, String> = match request.headers()["content-type"].to_str().unwrap() {
            "application/x-www-form-urlencoded" => serde_urlencoded::from_bytes(&bytes).unwrap(),
            "application/json" => serde_json::from_slice(&bytes).unwrap(),
            other => panic!("{other}"),
        };
        members["password"].clone()
    };
    let oauth = |app: &App| AccessTokenByPassword::new("u", password.as_str()).request(app).unwrap();
    let jwt = |app: &App| JwtLogin::username("u", password.as_str()).request(app).unwrap();
    for format in [BodyFormat::Form, BodyFormat::Json] {
        assert_eq!(read(&oauth, format), password);
        assert_eq!(read(&jwt, format), password);
    }
}

#[test]
fn a_parameter_too_long_for_a_url() {
    let token = "x".repeat(70_000);
    refused(JwtByAccessToken::new(token.as_str()).request(&app()), "too long: shorten them");
    RefreshAccessToken::new(token.as_str()).request(&app()).unwrap();
}

#[test]
fn base_urls_that_are_refused() {
    let host = "has a host that is not a name or an address";
    let port = "has a port that is not a number from 1 to 65535";
    let dots = "has an empty, `.` or `..` segment in its path: remove it";
    let open = "use https (http is allowed only for localhost, 127.0.0.0/8 and [::1])";
    let user = "has user information (`@`): remove it";
    let odd = "has a space or an invisible character: remove it";
    let idn = "has a host with a character outside of ASCII: write its ASCII form, which begins with xn--";
    let dot = "has a host that ends with a dot: remove the dot";
    let below = "is http, and a resolver may take a name below `localhost` to another machine: use `localhost` itself";
    for (url, text) in [
        ("http://cloud-api.loginradius.com", open),
        ("HTTP://cloud-api.loginradius.com", open),
        ("http://127.0.0.1.evil.com", open),
        ("http://localhost.evil.com", open),
        ("http://evil.com/localhost", open),
        ("http://128.0.0.1", open),
        ("http://0.0.0.0", open),
        ("http://[::]", open),
        ("http://[::2]", open),
        ("http://[fe80::1]", open),
        ("http://[::ffff:127.0.0.1]", open),
        ("http://[::ffff:8.8.8.8]:80", open),
        ("https://cloud-api.loginradius.com:443@evil.example", user),
        ("https://user@evil.example", user),
        ("https://@evil.example", user),
        ("http://localhost@evil.example", user),
        ("https://a.example?x", "has a query (`?`): remove it"),
        ("https://a.example/b?", "has a query (`?`): remove it"),
        ("https://a.example#x", "has a fragment (`#`): remove it"),
        ("https://a.example/#", "has a fragment (`#`): remove it"),
        ("https://a.example:99999", port),
        ("https://a.example:65536", port),
        ("https://a.example:0", port),
        ("https://a.example:", port),
        ("https://a.example:+1", port),
        ("https://a.example:-1", port),
        ("https://a.example:https", port),
        ("https://a.example:80:90", port),
        ("http://[::1]:", port),
        ("http://[::1]:0", port),
        ("https://a.example/..", dots),
        ("https://a.example/b/../c", dots),
        ("https://a.example/./c", dots),
        ("https://a.example/%2e%2e/c", dots),
        ("https://a.example/b/.%2E", dots),
        ("https://a.example/b//c", dots),
        ("https://a.example//", dots),
        ("https://a.example\\b", "has a backslash: use `/`"),
        ("https:\\\\a.example", "has a backslash: use `/`"),
        ("https://a.example/\\..", "has a backslash: use `/`"),
        ("https://ä.example", idn),
        ("https://bücher.example:8443/a", idn),
        ("https://例え.jp", idn),
        ("https://xn--a.ä.example", idn),
        ("ä.example", idn),
        ("https://a.example：443", idn),
        ("https://а.example", idn),
        ("https://a.example/ä", "has a character outside of ASCII after its host: percent-encode it"),
        ("https://a.example?ä", "has a character outside of ASCII after its host: percent-encode it"),
        ("https://a.example/b c", odd),
        ("\u{feff}https://a.example", odd),
        ("https://a.example\u{200b}", odd),
        ("https://a.example\u{a0}", odd),
        ("https://a.\u{200d}example", odd),
        ("https://a.example/\u{202e}", odd),
        ("https://sso.example.com.", dot),
        ("https://sso.example.com.:8443/a", dot),
        ("http://localhost.", dot),
        ("https://127.0.0.1.", dot),
        ("http://app.localhost", below),
        ("http://APP.LocalHost:8710/x", below),
        ("http://a.b.localhost", below),
        (" https://a.example", odd),
        ("https://a.example\n", odd),
        ("https://a.example\0", odd),
        ("a.example", "lacks a scheme: begin it with https:// (http:// for this machine itself)"),
        ("", "lacks a scheme: begin it with https:// (http:// for this machine itself)"),
        ("//a.example", "lacks a scheme: begin it with https:// (http:// for this machine itself)"),
        ("https:/a.example", "lacks a scheme: begin it with https:// (http:// for this machine itself)"),
        ("localhost:8080", "lacks a scheme: begin it with https:// (http:// for this machine itself)"),
        ("ftp://a.example", "has a scheme other than https: begin it with https://"),
        ("://a.example", "has a scheme other than https: begin it with https://"),
        ("file:///etc/passwd", "has a scheme other than https: begin it with https://"),
        ("https://", host),
        ("https:///path", host),
        ("https://:443", host),
        ("https://a..example", host),
        ("https://.example", host),
        ("https://a.example..", host),
        ("https://.", host),
        ("https://.:80", host),
        ("https://a%2fb", host),
        ("http://127.1", host),
        ("https://127.1", host),
        ("http://2130706433", host),
        ("https://0x7f000001:443", host),
        ("https://0X7F.1", host),
        ("https://127.0.0.01", host),
        ("https://10.0.0.300/a", host),
        ("https://sso.example.7", host),
        ("https://[::1", host),
        ("https://[::1]x", host),
        ("https://[not-an-address]", host),
        ("https://[::1%25lo]", host),
        ("https://a.example/b<c", "is not a URL"),
    ] {
        let outcome = Service::classic_at(url);
        let Err(error) = &outcome else { panic!("{url} is accepted as {outcome:?}") };
        assert!(error.to_string().starts_with("the base URL "), "{error}");
        refused(outcome, text);
    }
}

#[test]
fn base_urls_that_are_accepted() {
    for (url, origin, loopback) in [
        ("https://sso.example.com", "https://sso.example.com", false),
        ("https://sso.example.com/", "https://sso.example.com", false),
        ("HTTPS://sso.example.com:8443/a/b/", "https://sso.example.com:8443/a/b", false),
        ("https://sso.example.com/a%20b/..c", "https://sso.example.com/a%20b/..c", false),
        ("https://192.0.2.1:1", "https://192.0.2.1:1", false),
        ("https://[2001:db8::1]:65535", "https://[2001:db8::1]:65535", false),
        ("https://localhost", "https://localhost", true),
        ("https://app.localhost:8443", "https://app.localhost:8443", false),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example", false),
        ("http://localhost:8710", "http://localhost:8710", true),
        ("http://LocalHost", "http://LocalHost", true),
        ("http://127.0.0.1:80/prefix", "http://127.0.0.1:80/prefix", true),
        ("http://127.9.9.9", "http://127.9.9.9", true),
        ("http://[::1]:80", "http://[::1]:80", true),
        ("http://[::1]", "http://[::1]", true),
        ("http://[0:0:0:0:0:0:0:1]", "http://[0:0:0:0:0:0:0:1]", true),
        ("https://7.example", "https://7.example", false),
        ("https://sso.0x7g", "https://sso.0x7g", false),
    ] {
        let service = Service::classic_at(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(service.to_string(), origin);
        assert_eq!(service.base().is_loopback(), loopback, "{url}");
        let request = RequestDeviceCode::new().request(&app().with_service(service.clone())).unwrap();
        assert_eq!(request.uri().to_string(), format!("{origin}/sso/oauth/my-oauth-app/device"));
        assert!(service.base_of(request.uri()).is_some(), "{url}");
    }
    assert!(!Service::classic().base().is_loopback());
}

#[test]
fn a_path_prefix_stands_before_every_operation() {
    let app = app().with_service(Service::site_at("https://gate.example/login/radius").unwrap());
    let request = RefreshAccessToken::new("r").request(&app).unwrap();
    assert_eq!(request.uri(), "https://gate.example/login/radius/api/oauth/my-oauth-app/token");
    let request = JwtByAccessToken::new("t").request(&app).unwrap();
    assert_eq!(request.uri().path(), "/login/radius/api/jwt/my-jwt-app/token");
}

#[test]
fn sites_that_are_no_host() {
    refused(Service::site("https://acme.hub.loginradius.com"), "or pass a whole URL to `Service::site_at`");
    refused(Service::site("acme.hub.loginradius.com/"), "use one such as acme.hub.loginradius.com");
    refused(Service::site(""), "the site is empty: use a host such as acme.hub.loginradius.com");
    refused(Service::site(":443"), "has a host that is not a name or an address");
    refused(Service::site("acme@evil.example"), "has user information (`@`)");
    refused(Service::site("acme.example?x"), "has a query (`?`)");
    refused(Service::site("acme.example#x"), "has a fragment (`#`)");
    refused(Service::site("acme.example:0"), "has a port that is not a number");
    refused(Service::site("acme.hub.loginradius.com."), "the site has a host that ends with a dot: remove the dot");
    refused(
        Service::site("bücher.example"),
        "the site has a host with a character outside of ASCII: write its ASCII form",
    );
    for (site, advice) in [
        ("acme", "the site has no domain: write the whole host, such as acme.hub.loginradius.com"),
        ("acme:8443", "the site has no domain: write the whole host, such as acme.hub.loginradius.com"),
        ("LOCALHOSTS", "the site has no domain: write the whole host"),
    ] {
        refused(Service::site(site), advice);
        refused(Service::site(site), "for a host in your own network, use `Service::site_at`");
    }
    for local in ["localhost", "localhost:8443", "127.0.0.1:8443", "[::1]:8443"] {
        assert!(Service::site(local).unwrap().base().is_loopback());
    }
    assert!(Service::site_at("https://acme:8443").is_ok());
    refused(Service::site("acme .example"), "has a space");
    refused(Service::site("acme\\.example"), "has a backslash");
    assert_eq!(Service::site("acme.example:8443").unwrap().to_string(), "https://acme.example:8443");
}

#[test]
fn other_places_are_not_served() {
    let serves = |uri: &str| Service::classic().base_of(&uri.parse().unwrap()).is_some();
    assert!(serves("https://cloud-api.loginradius.com/x?y"));
    for uri in [
        "http://cloud-api.loginradius.com/x",
        "https://cloud-api.loginradius.com:444/x",
        "https://cloud-api.loginradius.com.evil.example/",
        "https://evil.example/cloud-api.loginradius.com",
        "https://x@cloud-api.loginradius.com/",
        "/x",
    ] {
        assert!(!serves(uri), "{uri}");
    }
}

/// Returns what each setting of an app, with that value, makes of the operations that send it, and its name in an
/// error.
fn with_setting(value: &str) -> Vec<(&'static str, Result<(), Error>)> {
    let good =
        || App::new("id").with_client_secret("secret").with_oauth_app("app").with_jwt_app("jwt").with_api_key("key");
    let basic = |app: App| {
        let dialect = Dialect::new().with_client_authentication(ClientAuthentication::Basic);
        app.with_service(site().with_dialect(dialect).unwrap())
    };
    let refresh = |app: App| RefreshAccessToken::new("r").request(&app).map(drop);
    let device = |app: App| RequestDeviceCode::new().request(&app).map(drop);
    let jwt = |app: App| JwtByAccessToken::new("a").request(&app).map(drop);
    let authorize = |app: App| {
        let random = RandomBytes::new(std::array::from_fn(|byte| byte as u8)).unwrap();
        AuthorizationRequest::new("https://a.example/").begin(&app, &random, SystemTime::UNIX_EPOCH).map(drop)
    };
    let redirect = |app: App| {
        let random = RandomBytes::new(std::array::from_fn(|byte| byte as u8)).unwrap();
        JwtRedirect::new("https://a.example/", "token").begin(&app, &random, SystemTime::UNIX_EPOCH).map(drop)
    };
    // An endpoint of a user's own, whose request a flow checks.
    let own = |app: App| match Call::new(Own, &app, Seed(1)).step(start()) {
        Step::Done(result) => result,
        Step::Send { .. } => Ok(()),
        Step::Wait(_) => panic!("a wait"),
    };
    let other_id = || App::new(value).with_client_secret("secret").with_oauth_app("app").with_jwt_app("jwt");
    let at_site = |app: App| app.with_service(site());
    vec![
        ("`client_id`", refresh(other_id())),
        ("`client_id`", device(other_id())),
        ("`client_id`", authorize(other_id())),
        ("`client_id`", own(other_id())),
        ("`apikey`", jwt(other_id())),
        ("`client_secret`", refresh(good().with_client_secret(value))),
        ("`client_secret`", refresh(basic(good().with_client_secret(value)))),
        ("`client_secret`", own(good().with_client_secret(value))),
        ("the OAuth app's name", device(good().with_oauth_app(value))),
        ("the OAuth app's name", refresh(at_site(good().with_oauth_app(value)))),
        ("the OAuth app's name", authorize(at_site(good().with_oauth_app(value)))),
        ("`jwtapp`", jwt(good().with_jwt_app(value))),
        ("`jwtapp`", redirect(good().with_jwt_app(value))),
        ("the JWT app's name", jwt(at_site(good().with_jwt_app(value)))),
        ("`apikey`", jwt(good().with_api_key(value))),
        ("`apikey`", redirect(good().with_api_key(value))),
        ("`apikey`", own(good().with_api_key(value))),
    ]
}

struct Own;

impl Endpoint for Own {
    type Response = ();

    fn name(&self) -> &'static str {
        "Own"
    }

    fn request(&self, app: &App) -> Result<loginradius_proto::http::Request<loginradius_proto::Body>, Error> {
        RequestBuilder::get(app.service().api_host(), "/x").build()
    }

    fn response(&self, _: &App, _: loginradius_proto::http::Response<loginradius_proto::Body>) -> Result<(), Error> {
        Ok(())
    }

    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }
}

#[test]
fn a_setting_with_something_invisible_is_refused_before_it_is_sent() {
    for value in ["value", "my value", "v\u{e4}lue", "日本", "\u{1f600}"] {
        for (what, result) in with_setting(value) {
            assert!(result.is_ok(), "{what} {value:?}: {result:?}");
        }
    }
    let check = |value: &str, ending: &str| {
        for (what, result) in with_setting(value) {
            let Err(error) = result else { panic!("{what}: {value:?} is sent") };
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let line = error.to_string();
            assert!(line.contains(what) && line.ends_with(ending), "{what} {value:?}: {line}");
            assert!(!line.contains("value"), "{line}");
        }
    };
    for value in [" value", "value ", " value "] {
        check(value, "begins or ends with a space: remove it");
    }
    for c in ["\t", "\n", "\r", "\0", "\u{1b}", "\u{7f}", "\u{85}"] {
        for value in [format!("{c}value"), format!("va{c}lue"), format!("value{c}")] {
            check(&value, "contains a control character (a stray line break, perhaps): remove it");
        }
    }
    for (c, number) in [
        ('\u{feff}', "U+FEFF"),
        ('\u{a0}', "U+00A0"),
        ('\u{ad}', "U+00AD"),
        ('\u{1680}', "U+1680"),
        ('\u{2003}', "U+2003"),
        ('\u{200b}', "U+200B"),
        ('\u{200c}', "U+200C"),
        ('\u{200d}', "U+200D"),
        ('\u{200e}', "U+200E"),
        ('\u{2028}', "U+2028"),
        ('\u{202e}', "U+202E"),
        ('\u{202f}', "U+202F"),
        ('\u{2060}', "U+2060"),
        ('\u{3000}', "U+3000"),
        ('\u{e0041}', "U+E0041"),
    ] {
        for value in [format!("{c}value"), format!("va{c}lue"), format!("value{c}")] {
            check(&value, &format!("contains an invisible character ({number}): remove it"));
        }
    }
}

#[test]
fn what_a_user_types_is_sent_as_it_is() {
    let app = app();
    for typed in [" p ", "\u{feff}p", "p\u{a0}", "\u{200b}p\u{200d}", "p\u{2003}", "\u{202e}"] {
        let request = AccessTokenByPassword::new(typed, typed).request(&app).unwrap();
        let sent: BTreeMap<String, String> = serde_urlencoded::from_bytes(request.body().as_bytes()).unwrap();
        assert_eq!((sent["username"].as_str(), sent["password"].as_str()), (typed, typed));
        let request = JwtLogin::email(typed, typed).request(&app).unwrap();
        let sent: BTreeMap<String, String> = serde_json::from_slice(request.body().as_bytes()).unwrap();
        assert_eq!((sent["email"].as_str(), sent["password"].as_str()), (typed, typed));
    }
}
