use http::Request;

/// A request in one line for a log: method, host and path, without query, headers and body.
///
/// `http::Request` prints its whole URI, and LoginRadius's JWT operations put an access token there.
///
/// ```
/// use loginradius_proto::{App, Endpoint, describe, jwt::JwtByAccessToken};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let app = App::new("my-api-key").jwt_app("my-jwt-app");
/// let request = JwtByAccessToken::new("b8cb84c9").request(&app)?;
/// assert_eq!(describe(&request), "GET https://cloud-api.loginradius.com/sso/jwt/api/token");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn describe<B>(request: &Request<B>) -> String {
    let uri = request.uri();
    let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |host| host.as_str()));
    format!("{} {scheme}://{host}{}", request.method(), uri.path())
}
