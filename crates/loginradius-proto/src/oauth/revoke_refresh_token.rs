use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::route::Route;
use crate::secret::RefreshToken;
use crate::wire::request::{self, Params};
use crate::wire::response::ResponseReader;

/// LoginRadius's "Revoke Refresh Token" ([RFC 7009]).
///
/// It may be repeated: revoking twice changes nothing more, but LoginRadius may say the second time
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

    /// Reads the response. The `others` are secrets that a server may repeat besides the one that was sent.
    pub(crate) fn revoked(&self, app: &App, response: &Response<Body>, others: &[&str]) -> Result<(), Error> {
        let secrets: Vec<_> = others.iter().copied().chain([self.refresh_token.expose()]).collect();
        ResponseReader::new(self.name(), app, &secrets).nothing(response)
    }
}

impl Endpoint for RevokeRefreshToken {
    type Response = ();

    fn name(&self) -> &'static str {
        "Revoke Refresh Token"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let key = if self.token_key { "token" } else { "refresh_token" };
        let params = Params::client(app).secret(app).required(key, self.refresh_token.expose());
        request::oauth(self.name(), app, Route::Revoke, params)
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<(), Error> {
        self.revoked(app, &response, &[])
    }

    fn repeatable(&self) -> bool {
        true
    }
}
