use http::{Request, Response};

use super::login::{read_jwt, settings};
use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::route::Route;
use crate::secret::{AccessToken, Jwt, Nonce};
use crate::wire::request::{self, Param};
use crate::wire::response::ResponseReader;

/// LoginRadius's "JWT Token": gets a JWT for an access token.
///
/// LoginRadius takes the access token and the API key in the URL's query: log such a request by
/// [`redacted`](crate::redacted) only. It may be sent again after a lost response.
///
/// Classic: `GET /sso/jwt/api/token?apikey&jwtapp&access_token`. Site:
/// `GET /api/jwt/{jwtapp}/token?apikey&access_token`. Both need [`App::with_jwt_app`]. With a service of OpenID
/// Connect, they are the same.
///
/// ```
/// use loginradius_proto::{App, Body, Endpoint, jwt::JwtByAccessToken};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let app = App::new("my-api-key").with_jwt_app("my-jwt-app");
/// let operation = JwtByAccessToken::new("b8cb84c9");
/// let response = http::Response::new(Body::from(r#"{"signature":"e30.e30.c2ln"}"#));
/// assert_eq!(operation.response(&app, response)?.expose(), "e30.e30.c2ln");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[doc(alias("JWT Token", "signature"))]
pub struct JwtByAccessToken {
    access_token: AccessToken,
    nonce: Option<Nonce>,
}

impl JwtByAccessToken {
    /// Makes the operation of that access token.
    #[must_use]
    pub fn new(access_token: impl Into<AccessToken>) -> Self {
        Self { access_token: access_token.into(), nonce: None }
    }

    /// Sets a value that the JWT repeats as its claim `nonce`; none by default.
    ///
    /// Only a site takes one: with the classic API the request is an
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration).
    #[must_use]
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(Nonce::new(nonce));
        self
    }
}

impl Endpoint for JwtByAccessToken {
    type Response = Jwt;

    fn name(&self) -> &'static str {
        "JWT Token"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let settings = settings(app, self.nonce.as_ref()).map_err(|error| error.of(self.name()))?;
        let token = [Param::Required("access_token", self.access_token.expose())];
        request::jwt(self.name(), app, Route::JwtToken, &[&settings, &token], None)
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<Jwt, Error> {
        ResponseReader::of_route(self, app, Route::JwtToken).object(&response, "signature", read_jwt)
    }

    fn secrets(&self) -> Vec<&str> {
        vec![self.access_token.expose()]
    }

    fn repeatable(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::BodyFormat::{Form, Json};
    use crate::error::ErrorKind;
    use crate::testing::{Sent, classic_app, response, sent, site_app};

    fn operation() -> JwtByAccessToken {
        JwtByAccessToken::new("b8cb 84&c9")
    }

    #[test]
    fn classic() {
        let query = [("apikey", "my-api-key"), ("jwtapp", "my-jwt-app"), ("access_token", "b8cb 84&c9")];
        for format in [Form, Json] {
            assert_eq!(
                sent(&operation(), &classic_app(format)),
                Sent::get("https://cloud-api.loginradius.com/sso/jwt/api/token", &query)
            );
        }
    }

    #[test]
    fn site() {
        let query = [("apikey", "my-api-key"), ("access_token", "b8cb 84&c9")];
        for format in [Form, Json] {
            assert_eq!(
                sent(&operation(), &site_app(format)),
                Sent::get("https://acme.hub.loginradius.com/api/jwt/my-jwt-app/token", &query)
            );
        }
    }

    #[test]
    fn the_client_id_is_the_key_unless_another_is_set() {
        let app = App::new("my-client-id").with_jwt_app("my-jwt-app");
        let query = [("apikey", "my-client-id"), ("jwtapp", "my-jwt-app"), ("access_token", "b8cb 84&c9")];
        assert_eq!(sent(&operation(), &app), Sent::get("https://cloud-api.loginradius.com/sso/jwt/api/token", &query));
    }

    #[test]
    fn a_nonce_is_for_sites() {
        let operation = operation().nonce("3f44");
        let query = [("Nonce", "3f44"), ("apikey", "my-api-key"), ("access_token", "b8cb 84&c9")];
        assert_eq!(
            sent(&operation, &site_app(Form)),
            Sent::get("https://acme.hub.loginradius.com/api/jwt/my-jwt-app/token", &query)
        );
        let error = operation.request(&classic_app(Form)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("leave it out, or use `Service::site`"), "{error}");
    }

    #[test]
    fn a_response_with_a_jwt() {
        let body = r#"{"signature":"e30.e30.c2ln"}"#;
        let jwt = operation().response(&classic_app(Form), response(200, body)).unwrap();
        assert_eq!(jwt.expose(), "e30.e30.c2ln");
    }

    #[test]
    fn a_response_with_an_error() {
        let body =
            r#"{"ErrorCode":906,"Message":"Access token has expired","Description":"UserAction for a new token."}"#;
        let error = operation().response(&classic_app(Form), response(403, body)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignInRequired);
        assert_eq!(error.operation(), Some("JWT Token"));
        assert_eq!(error.api_error().unwrap().code, Some(906));
    }

    #[test]
    fn it_may_be_repeated() {
        assert!(operation().repeatable());
    }
}
