use http::{Request, Response};

use super::login;
use crate::service::Route;
use crate::wire::answer::Asked;
use crate::wire::request;
use crate::{AccessToken, App, Body, Endpoint, Error, Jwt};

/// LoginRadius's "JWT Token": a JWT for an access token.
///
/// Needs [`App::jwt_app`]. The access token and the API key travel in the URL's query, as LoginRadius
/// has it: keep the URLs of your requests out of logs ([`describe`](crate::describe)). It may be repeated.
///
/// Classic: `GET /sso/jwt/api/token?apikey&jwtapp&access_token`; site: `GET /api/jwt/{app}/token?apikey&access_token`.
#[derive(Debug, Clone)]
pub struct JwtByAccessToken {
    access_token: AccessToken,
    nonce: Option<String>,
}

impl JwtByAccessToken {
    /// Asks for a JWT of the person whose access token that is.
    #[must_use]
    pub fn new(access_token: impl Into<AccessToken>) -> Self {
        Self { access_token: access_token.into(), nonce: None }
    }

    /// A value that the JWT repeats as its claim `nonce`. Sites only; at the classic family it is an error.
    #[must_use]
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }
}

impl Endpoint for JwtByAccessToken {
    type Response = Jwt;

    fn name(&self) -> &'static str {
        "JWT Token"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let build = || {
            let query =
                login::query(app, self.nonce.as_deref())?.required("access_token", self.access_token.expose())?;
            request::jwt(app, Route::JwtToken, &query, None)
        };
        build().map_err(|error: Error| error.of(self.name()))
    }

    fn response(&self, app: &App, answer: Response<Body>) -> Result<Jwt, Error> {
        login::response(&Asked { app, secrets: &[self.access_token.expose(), app.key()] }, &answer)
            .map_err(|error| error.of(self.name()))
    }

    fn repeatable(&self) -> bool {
        true
    }
}
