use http::{Request, Response};

use crate::service::Route;
use crate::wire::answer::{self, Asked};
use crate::wire::request;
use crate::{App, Body, Endpoint, Error, RefreshToken};

/// LoginRadius's "Revoke Refresh Token" ([RFC 7009]).
///
/// It may be repeated: revoking twice changes nothing more, but LoginRadius may answer the second time
/// that the token is not valid, which then means that the first attempt did its work.
///
/// Classic: `POST /sso/oauth/refresh_token/revoke`; site: `POST /api/oauth/{OAuthName}/revoke`, and needs
/// [`App::oauth_app`]. Success is HTTP 200 with an empty body.
///
/// [RFC 7009]: https://www.rfc-editor.org/rfc/rfc7009
#[derive(Debug, Clone)]
pub struct RevokeRefreshToken {
    refresh_token: RefreshToken,
    token_key: bool,
}

impl RevokeRefreshToken {
    /// Revokes that refresh token.
    #[must_use]
    pub fn new(refresh_token: impl Into<RefreshToken>) -> Self {
        Self { refresh_token: refresh_token.into(), token_key: false }
    }

    /// Sends the token under the key `token`, as RFC 7009 and LoginRadius's newer site reference have
    /// it, instead of `refresh_token`.
    #[must_use]
    pub fn with_token_key(mut self) -> Self {
        self.token_key = true;
        self
    }
}

impl Endpoint for RevokeRefreshToken {
    type Response = ();

    fn name(&self) -> &'static str {
        "Revoke Refresh Token"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let build = || {
            let key = if self.token_key { "token" } else { "refresh_token" };
            let params = request::Params::default()
                .required("client_id", &app.client_id)?
                .optional("client_secret", app.secret())?
                .required(key, self.refresh_token.expose())?;
            request::oauth(app, Route::Revoke, &params)
        };
        build().map_err(|error: Error| error.of(self.name()))
    }

    fn response(&self, app: &App, answer: Response<Body>) -> Result<(), Error> {
        let asked = Asked { app, secrets: &[self.refresh_token.expose()] };
        answer::nothing(&asked, &answer).map_err(|error| error.of(self.name()))
    }

    fn repeatable(&self) -> bool {
        true
    }
}
