use std::fmt;

use http::{Method, Request, Uri};

/// Returns what to log of a request: its method, scheme, host and path, without query, headers and body.
///
/// `Debug` of [`http::Request`] prints the whole URI, and LoginRadius's JWT operations put an access token there.
///
/// ```
/// use loginradius_proto::{App, Endpoint, jwt::JwtByAccessToken, redacted};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let app = App::new("my-api-key").with_jwt_app("my-jwt-app");
/// let request = JwtByAccessToken::new("b8cb84c9").request(&app)?;
///
/// println!("sending {}", redacted(&request));
/// assert_eq!(redacted(&request).to_string(), "GET https://cloud-api.loginradius.com/sso/jwt/api/token");
/// # Ok(())
/// # }
/// ```
#[must_use]
#[doc(alias("log", "logging", "tracing", "redact"))]
pub fn redacted<B>(request: &Request<B>) -> impl fmt::Display {
    Redacted { method: request.method(), uri: request.uri() }
}

struct Redacted<'a> {
    method: &'a Method,
    uri: &'a Uri,
}

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let host = self.uri.authority().map_or("", |host| host.as_str());
        write!(f, "{} {scheme}://{host}{}", self.method, self.uri.path())
    }
}
