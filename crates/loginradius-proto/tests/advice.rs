//! The advice of an error fits the request: it names nothing that the request did not have.

use loginradius_proto::http::{Request, Response};
use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::{
    App, Body, BodyFormat, ClientAuthentication, Dialect, Endpoint, Error, ErrorKind, RequestBuilder, ResponseReader,
    Service,
};
use loginradius_testing::{PAGE, oidc, response, site, speaking};

/// A request, and how its response is read.
type Exchange = Box<dyn Fn(&App) -> (Request<Body>, Box<dyn Fn(Response<Body>) -> Error>)>;

fn exchange<E: Endpoint + Clone + 'static>(operation: E) -> Exchange {
    Box::new(move |app| {
        let (operation, app) = (operation.clone(), app.clone());
        let request = operation.request(&app).unwrap();
        (request, Box::new(move |response| operation.response(&app, response).map(drop).unwrap_err()))
    })
}

/// An endpoint of a user's own, whose request has nothing but the API key.
#[derive(Clone)]
struct Own;

impl Endpoint for Own {
    type Response = serde_json::Value;

    fn name(&self) -> &'static str {
        "Own"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        RequestBuilder::post(app.service().api_host(), "/x").query("apikey", app.api_key()).json(&[1]).build()
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<Self::Response, Error> {
        ResponseReader::new(self, app).json(&response)
    }

    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }
}

fn operations() -> Vec<(&'static str, Exchange)> {
    vec![
        ("device code", exchange(RequestDeviceCode::new())),
        ("device poll", exchange(RequestTokens::new("d"))),
        ("code", exchange(AccessTokenByCode::new("c", "https://a.example/").code_verifier("v"))),
        ("password", exchange(AccessTokenByPassword::new("u", "p"))),
        ("refresh", exchange(RefreshAccessToken::new("r"))),
        ("revoke", exchange(RevokeRefreshToken::new("r"))),
        ("JWT", exchange(JwtByAccessToken::new("t"))),
        ("JWT by email", exchange(JwtLogin::email("e", "p"))),
        ("JWT by phone", exchange(JwtLogin::phone("p", "p"))),
        ("JWT by user name", exchange(JwtLogin::username("u", "p"))),
    ]
}

/// Apps at each API that has all of these operations, in both formats, with a secret in the body, in a header, and without one.
fn apps() -> Vec<App> {
    let bare = loginradius_testing::app;
    let mut apps = Vec::new();
    for service in [Service::classic(), site(), oidc()] {
        for format in [BodyFormat::Form, BodyFormat::Json] {
            let app = bare().with_service(service.clone());
            let app = speaking(&app, Dialect::new().with_body_format(format));
            apps.extend([app.clone().with_client_secret("my-secret"), app]);
        }
    }
    let basic = Dialect::new().with_client_authentication(ClientAuthentication::Basic);
    let site = site().with_dialect(basic).unwrap();
    apps.push(bare().with_client_secret("my-secret").with_service(site));
    apps
}

/// The parts of a request that advice can name.
struct Parts {
    secret: bool,
    /// Whether it would have the secret, if there were one.
    may_have_secret: bool,
    oauth_app: bool,
    oidc_app: bool,
    jwt_app: bool,
    form: bool,
}

fn parts(exchange: &Exchange, app: &App) -> Parts {
    let has_secret = |request: &Request<Body>| {
        let body = std::str::from_utf8(request.body().as_bytes()).unwrap();
        body.contains("my-secret") || request.headers().contains_key("authorization")
    };
    let request = exchange(app).0;
    let url = request.uri().to_string();
    Parts {
        secret: has_secret(&request),
        may_have_secret: has_secret(&exchange(&app.clone().with_client_secret("my-secret")).0),
        oauth_app: url.contains("my-oauth-app"),
        oidc_app: url.contains("my-oidc-app"),
        jwt_app: url.contains("my-jwt-app"),
        form: request.headers().get("content-type").is_some_and(|format| format == "application/x-www-form-urlencoded"),
    }
}

/// RFC 6749, sections 4.1.2.1 and 5.2; RFC 8628, section 3.5; OpenID Connect Core, section 3.1.2.6; RFC 8707,
/// section 2.
const OAUTH_ERRORS: [&str; 19] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "invalid_scope",
    "invalid_target",
    "access_denied",
    "server_error",
    "temporarily_unavailable",
    "authorization_pending",
    "slow_down",
    "expired_token",
    "login_required",
    "consent_required",
    "redirect_uri_mismatch",
    "request_not_supported",
    "unheard_of",
];

/// LoginRadius's codes that are about a setting, with a text of each.
const CODES: [(i64, &str); 11] = [
    (901, "API key is invalid"),
    (902, "API secret is invalid"),
    (908, "A parameter is invalid"),
    (920, "API key is invalid"),
    (921, "API secret is invalid"),
    (922, "API key is invalid"),
    (923, "API secret is missing"),
    (965, "The post body is invalid"),
    (1180, "JWT configuration not valid"),
    (1196, "JWT configuration not valid"),
    (2011, "unauthorized_client"),
];

#[test]
fn advice_names_only_what_the_request_had() {
    let errors = OAUTH_ERRORS.map(|name| serde_json::json!({ "error": name }));
    let codes = CODES.map(|(code, text)| serde_json::json!({ "ErrorCode": code, "Message": text }));
    for (name, exchange) in operations() {
        for app in apps() {
            let parts = parts(&exchange, &app);
            for body in errors.iter().chain(&codes) {
                let error = exchange(&app).1(response(400, body.to_string())).to_string();
                let has = |word: &str| error.contains(word);
                let context = format!("{name} {app:?} {body}: {error}");
                assert!(parts.secret || !has("check the client secret"), "{context}");
                assert!(parts.secret || !has("and the client secret"), "{context}");
                let sets_secret = has("with_client_secret") || has("client secret with");
                assert!(!sets_secret || (parts.may_have_secret && !parts.secret), "{context}");
                assert!(parts.oauth_app || !has("with_oauth_app"), "{context}");
                assert!(parts.oidc_app || !has("with_oidc_app"), "{context}");
                assert!(parts.oauth_app || parts.oidc_app || !has("and the app's name ("), "{context}");
                assert!(parts.jwt_app || !has("with_jwt_app"), "{context}");
                assert!(parts.form || !has("with_body_format"), "{context}");
            }
        }
    }
}

#[test]
fn advice_of_each_operation_about_its_client() {
    let bare = App::new("my-client-id").with_oauth_app("my-oauth-app").with_jwt_app("my-jwt-app");
    let site = bare.clone().with_service(Service::site("acme.hub.loginradius.com").unwrap());
    let advice = |name: &str, app: &App, error: &str| {
        let operations = operations();
        let (_, exchange) = operations.iter().find(|(known, _)| *known == name).unwrap();
        let body = serde_json::json!({ "error": error }).to_string();
        let line = exchange(app).1(response(401, body)).to_string();
        line.split_once(&format!("{error}: ")).unwrap().1.to_owned()
    };
    let name = "check the OAuth app's name (`App::with_oauth_app`), and that the app allows this kind of login";
    let set = "set the client secret with `App::with_client_secret`";
    for api in [&bare, &site] {
        for (operation, error, expected) in [
            ("device poll", "unauthorized_client", name),
            ("device code", "unauthorized_client", name),
            ("device poll", "invalid_client", "check the client id (API key)"),
            ("JWT", "unauthorized_client", "check the API key and the JWT app's name (`App::with_jwt_app`)"),
            ("JWT", "invalid_client", "check the client id (API key)"),
        ] {
            for app in [api.clone(), api.clone().with_client_secret("s")] {
                assert_eq!(advice(operation, &app, error), expected, "{operation} {app:?}");
            }
        }
        let with_secret = api.clone().with_client_secret("s");
        let both = "check the client id and the client secret";
        assert_eq!(advice("code", &with_secret, "invalid_client"), both);
        let without = format!("check the client id, and {set} unless the app is a public one");
        assert_eq!(advice("code", api, "invalid_client"), without);
    }
    let fresh = "(a new secret takes up to 15 minutes to be accepted)";
    for operation in ["code", "password", "refresh", "revoke"] {
        let advice = |app: &App| advice(operation, app, "unauthorized_client");
        // At the classic API, only the device operations name the OAuth app.
        assert_eq!(advice(&bare), format!("{set}, or check that the app allows this kind of login without one"));
        assert_eq!(
            advice(&bare.clone().with_client_secret("s")),
            format!("check the client secret {fresh}, and that the app allows this kind of request")
        );
        assert_eq!(advice(&site), format!("{name} without a client secret"));
        let both = format!("check the client secret and the app's name {fresh}");
        assert_eq!(advice(&site.clone().with_client_secret("s")), both);
    }
    assert_eq!(advice("revoke", &bare, "invalid_grant"), "take it as revoked, since the token is not valid any more",);
    assert_eq!(advice("refresh", &bare, "invalid_grant"), "sign in again");
    let gone = r#"{"error":"invalid_request","error_description":"The access_token is invalid or expired."}"#;
    let error = RevokeRefreshToken::new("r").response(&bare, response(400, gone)).unwrap_err().to_string();
    assert!(error.ends_with(": take it as revoked, since the token is not valid any more"), "{error}");
    for code in [901, 920, 922] {
        let unknown_key = serde_json::json!({ "ErrorCode": code, "Message": "API key is invalid" }).to_string();
        for (name, exchange) in operations() {
            for app in apps() {
                let line = exchange(&app).1(response(403, unknown_key.clone())).to_string();
                assert!(line.ends_with(": check the client id (API key)"), "{name}: {line}");
            }
        }
    }
    let unknown_app = r#"{"ErrorCode":1180,"Message":"JWT configuration not valid."}"#;
    let error = JwtByAccessToken::new("t").response(&bare, response(400, unknown_app)).unwrap_err().to_string();
    assert!(error.ends_with(": check the JWT app's name (`App::with_jwt_app`)"), "{error}");

    // What an endpoint of a user's own carries is not known: what is set may be wrong.
    let own =
        |app: &App| Own.response(app, response(401, r#"{"error":"unauthorized_client"}"#)).unwrap_err().to_string();
    let nothing = App::new("my-client-id");
    assert!(own(&nothing).ends_with(": check the client id (API key)"), "{}", own(&nothing));
    let secret = nothing.with_client_secret("s");
    assert!(
        own(&secret)
            .ends_with(&format!(": check the client secret {fresh}, and that the app allows this kind of request")),
        "{}",
        own(&secret)
    );
}

/// A server that does not know the name of the method may take the challenge as `plain`, and refuse the verifier.
#[test]
fn advice_about_a_verifier_that_does_not_fit_names_the_method() {
    let bare = App::new("my-client-id").with_oauth_app("my-oauth-app").with_jwt_app("my-jwt-app");
    let advice = |exchange: &Exchange, name: &str, text: &str| {
        let body = serde_json::json!({ "error": name, "error_description": text }).to_string();
        exchange(&bare).1(response(400, body)).to_string()
    };
    for (name, exchange) in &operations() {
        for text in [
            "PKCE verification failed",
            "PKCE verification failed: Code mismatch",
            "code_verifier does not match",
            "Invalid code verifier.",
            "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
            "Transformed code verifier does not match code challenge",
            "The PKCE code challenge did not match the code verifier.",
            "transform algorithm not supported",
        ] {
            for error in ["invalid_grant", "invalid_request"] {
                let error = advice(exchange, error, text);
                assert_eq!(error.contains("try `Dialect::with_challenge_method`"), *name == "code", "{error}");
            }
        }
        for text in ["The code has expired", "The code is invalid", "verification failed", "Unsupported method"] {
            let error = advice(exchange, "invalid_grant", text);
            assert!(!error.contains("with_challenge_method"), "{error}");
        }
    }
}

#[test]
fn advice_about_a_response_of_something_else_fits_its_status() {
    use ErrorKind::{InvalidResponse, Unavailable};
    let base = "check the base URL and any proxy in between";
    let served = "check the base URL, and the method and path if the endpoint is your own";
    let shorten = "shorten the request, or have that limit raised";
    let later = "try again later";
    let rows = [
        (200, InvalidResponse, base),
        (302, InvalidResponse, "none is followed: check the base URL"),
        (400, InvalidResponse, base),
        (401, InvalidResponse, "asks for credentials of its own: check the base URL and any proxy in between"),
        (402, InvalidResponse, base),
        (403, InvalidResponse, "refused the request: check the base URL, or have its operator let the request through"),
        (404, InvalidResponse, served),
        (405, InvalidResponse, served),
        (406, InvalidResponse, "has no JSON to respond with: check the base URL and any proxy in between"),
        (407, InvalidResponse, "a proxy asks for credentials: put them into the proxy's URL"),
        (408, Unavailable, later),
        (410, InvalidResponse, served),
        (411, InvalidResponse, "wants to know the length of the request: check any proxy in between"),
        (413, InvalidResponse, shorten),
        (414, InvalidResponse, shorten),
        (417, InvalidResponse, base),
        (421, InvalidResponse, "does not serve this host: check the base URL and any proxy in between"),
        (425, Unavailable, later),
        (426, InvalidResponse, "asks for another protocol: check the base URL and any proxy in between"),
        (429, Unavailable, "too many requests: try again later"),
        (431, InvalidResponse, shorten),
        (451, InvalidResponse, "refused the request: check the base URL, or have its operator let the request through"),
        (500, Unavailable, later),
        (501, InvalidResponse, "cannot do what the request asks for: check the base URL and any proxy in between"),
        (502, Unavailable, later),
        (503, Unavailable, later),
        (504, Unavailable, later),
        (505, InvalidResponse, "does not speak this version of HTTP: check the base URL and any proxy in between"),
        (507, Unavailable, later),
        (511, Unavailable, "the network has a sign-in page of its own: sign in there in a browser, and try again"),
        (520, Unavailable, later),
        (599, Unavailable, later),
    ];
    let app = App::new("my-client-id").with_oauth_app("my-oauth-app").with_jwt_app("my-jwt-app");
    for (name, exchange) in operations().into_iter().chain([("own", exchange(Own))]) {
        for (status, kind, advice) in rows {
            if (name, status) == ("revoke", 200) {
                continue;
            }
            let error = exchange(&app).1(response(status, PAGE));
            assert_eq!(error.kind(), kind, "{name} {status}: {error}");
            let line = error.to_string();
            assert!(line.contains(&format!(": HTTP {status}: ")) && line.ends_with(advice), "{name}: {line}");
            assert!(error.api_error().is_none());
        }
        // Only the OAuth operations have a body whose format is a setting.
        let line = exchange(&app).1(response(415, PAGE)).to_string();
        let format = "the format of the body is not accepted: try the other one (`Dialect::with_body_format`)";
        assert!(line.ends_with(if name == "own" || name.starts_with("JWT") { base } else { format }), "{name}: {line}");
    }
}
