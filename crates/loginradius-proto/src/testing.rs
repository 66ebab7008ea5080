//! What the unit tests share.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::dialect::{BodyFormat, Dialect};
use crate::endpoint::Endpoint;
use crate::service::Service;
use crate::session::Now;

/// Returns an app with every setting, so that a test notices a request that carries one too many.
pub(crate) fn classic_app(format: BodyFormat) -> App {
    App::new("my-client-id")
        .with_client_secret("my-client-secret")
        .with_api_key("my-api-key")
        .with_oauth_app("my-oauth-app")
        .with_oidc_app("my-oidc-app")
        .with_jwt_app("my-jwt-app")
        .with_service(writing(Service::classic(), format))
}

/// Returns [`classic_app`] at a site.
pub(crate) fn site_app(format: BodyFormat) -> App {
    classic_app(format).with_service(writing(Service::site("acme.hub.loginradius.com").unwrap(), format))
}

/// Returns [`classic_app`] at OpenID Connect of a site.
pub(crate) fn oidc_app(format: BodyFormat) -> App {
    classic_app(format).with_service(writing(Service::oidc("acme.hub.loginradius.com").unwrap(), format))
}

/// Returns [`classic_app`] at classic OpenID Connect.
pub(crate) fn classic_oidc_app(format: BodyFormat) -> App {
    classic_app(format).with_service(writing(Service::classic_oidc(), format))
}

fn writing(service: Service, format: BodyFormat) -> Service {
    service.with_dialect(Dialect::new().with_body_format(format)).unwrap()
}

/// Returns the app without its client secret.
pub(crate) fn public(app: App) -> App {
    app.with_client_secret("")
}

pub(crate) fn response(status: u16, body: &str) -> Response<Body> {
    Response::builder().status(status).body(Body::from(body)).unwrap()
}

/// The parts of a request.
#[derive(Debug, PartialEq)]
pub(crate) struct Sent {
    method: String,
    url: String,
    query: BTreeMap<String, String>,
    content_type: Option<String>,
    body: BTreeMap<String, String>,
}

impl Sent {
    pub(crate) fn form(url: &str, body: &[(&str, &str)]) -> Self {
        Self::new("POST", url, &[], Some("application/x-www-form-urlencoded"), body)
    }

    pub(crate) fn json(url: &str, body: &[(&str, &str)]) -> Self {
        Self::query_and_json(url, &[], body)
    }

    pub(crate) fn query_and_json(url: &str, query: &[(&str, &str)], body: &[(&str, &str)]) -> Self {
        Self::new("POST", url, query, Some("application/json"), body)
    }

    pub(crate) fn get(url: &str, query: &[(&str, &str)]) -> Self {
        Self::new("GET", url, query, None, &[])
    }

    fn new(method: &str, url: &str, query: &[(&str, &str)], content_type: Option<&str>, body: &[(&str, &str)]) -> Self {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            query: map(query),
            content_type: content_type.map(str::to_owned),
            body: map(body),
        }
    }
}

/// Returns what the operation sends for that app.
pub(crate) fn sent(operation: &impl Endpoint, app: &App) -> Sent {
    let request = operation.request(app).unwrap();
    assert_eq!(request.headers()[ACCEPT], "application/json");
    let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(request.headers().len(), 1 + usize::from(content_type.is_some()));
    let uri = request.uri();
    Sent {
        method: request.method().to_string(),
        url: uri.to_string().split('?').next().unwrap().to_owned(),
        query: form(uri.query().unwrap_or_default().as_bytes()),
        body: body(&request, content_type.as_deref()),
        content_type,
    }
}

fn body(request: &Request<Body>, content_type: Option<&str>) -> BTreeMap<String, String> {
    let bytes = request.body().as_bytes();
    match content_type {
        Some("application/json") => serde_json::from_slice(bytes).unwrap(),
        _ => form(bytes),
    }
}

fn form(bytes: &[u8]) -> BTreeMap<String, String> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(bytes).unwrap();
    let count = pairs.len();
    let map: BTreeMap<_, _> = pairs.into_iter().collect();
    assert_eq!(map.len(), count, "a parameter occurs twice");
    map
}

/// Returns the moment at which every test of time begins.
#[allow(clippy::disallowed_methods, reason = "an instant can be had from nowhere else; nothing depends on which")]
pub(crate) fn now() -> Now {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    // The monotonic clock may have begun a moment ago, and an `Instant` before its beginning does not exist.
    let start = *START.get_or_init(|| Instant::now() + s(86_400));
    Now::new(start, SystemTime::UNIX_EPOCH + s(1_767_268_800))
}

pub(crate) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
