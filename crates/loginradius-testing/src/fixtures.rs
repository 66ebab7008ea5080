use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::http::Response;
use loginradius_proto::session::Now;
use loginradius_proto::{App, Body, BodyFormat, Dialect, Service, TokenSet};

/// The error page of a proxy in front of LoginRadius.
pub const PAGE: &str = "<html><title>Bad gateway</title></html>";

/// The response to a request with a refresh token that LoginRadius rejects.
pub const REJECTED: &str = r#"{"error":"invalid_grant","error_description":"The token is not valid."}"#;

/// An hour.
pub const HOUR: Duration = Duration::from_secs(3600);

/// Makes the app of a public client, with the names that both APIs need.
#[must_use]
pub fn app() -> App {
    App::new("my-client-id").with_oauth_app("my-oauth-app").with_oidc_app("my-oidc-app").with_jwt_app("my-jwt-app")
}

/// Returns the service of a site.
#[must_use]
pub fn site() -> Service {
    Service::site("acme.hub.loginradius.com").expect("a site")
}

/// Returns the service of OpenID Connect at a site.
#[must_use]
pub fn oidc() -> Service {
    Service::oidc("acme.hub.loginradius.com").expect("a site")
}

/// Returns that app with another dialect of its service.
#[must_use]
pub fn speaking(app: &App, dialect: Dialect) -> App {
    app.clone().with_service(app.service().clone().with_dialect(dialect).expect("a dialect that the API has"))
}

/// Returns that app with another body format.
#[must_use]
pub fn writing(app: &App, format: BodyFormat) -> App {
    speaking(app, Dialect::new().with_body_format(format))
}

/// Returns the one moment that every test begins at.
#[must_use]
pub fn now() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    // An `Instant` cannot be before the clock's start, which may be recent; the day leaves room for earlier times.
    let start = *START.get_or_init(|| Instant::now() + s(86_400));
    Now::new(start, SystemTime::UNIX_EPOCH + s(1_767_268_800))
}

/// Returns the monotonic part of [`now`].
#[must_use]
pub fn start() -> Instant {
    now().monotonic
}

/// Makes a duration of seconds.
#[must_use]
pub fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Makes a duration of milliseconds.
#[must_use]
pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Makes a response.
#[must_use]
pub fn response(status: u16, body: impl Into<Body>) -> Response<Body> {
    response_with(status, body, &[])
}

/// Makes a response with headers.
#[must_use]
pub fn response_with(status: u16, body: impl Into<Body>, headers: &[(&str, &str)]) -> Response<Body> {
    let builder = Response::builder().status(status);
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(body.into()).expect("a response")
}

/// Writes the response to a refresh, with a lifetime of 600 s.
#[must_use]
pub fn pair(access: &str, refresh: &str) -> String {
    format!(r#"{{"access_token":"{access}","token_type":"access_token","expires_in":600,"refresh_token":"{refresh}"}}"#)
}

/// Makes the tokens of a login. An empty refresh token is none.
#[must_use]
pub fn tokens(access: &str, refresh: &str, lifetime: Option<Duration>) -> TokenSet {
    let mut tokens = TokenSet::new(access);
    tokens.refresh_token = (!refresh.is_empty()).then(|| refresh.into());
    tokens.expires_in = lifetime;
    tokens
}
