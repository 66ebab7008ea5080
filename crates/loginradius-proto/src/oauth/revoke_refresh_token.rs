use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::route::Route;
use crate::secret::RefreshToken;
use crate::wire::request::{self, Param};
use crate::wire::response::ResponseReader;

/// LoginRadius's "Revoke Refresh Token": makes a refresh token invalid, as to sign out ([RFC 7009, section 2.1]).
///
/// A [session](crate::session) does this when it is signed out, and clears its record as well.
///
/// It may be sent again after a lost response: the second time, LoginRadius may refuse a token that is not valid any
/// more (`invalid_grant`), which then means that the first time succeeded. A session counts that as success; a single
/// call returns it as the error that it is.
///
/// A response with a status of success is a success ([RFC 7009, section 2.2]), unless its body is one of LoginRadius's
/// [error bodies](crate::ApiError).
///
/// | API | address |
/// | --- | --- |
/// | classic | `POST /sso/oauth/refresh_token/revoke` |
/// | site | `POST /api/oauth/{name}/revoke` |
/// | OpenID Connect | `POST /api/oidc/{name}/revoke` |
/// | classic OpenID Connect | `POST /sso/oidc/v2/{name}/token/revoke` |
///
/// `{name}` is [`App::with_oauth_app`], or [`App::with_oidc_app`] for OpenID Connect.
///
/// [RFC 7009, section 2.1]: https://www.rfc-editor.org/rfc/rfc7009#section-2.1
/// [RFC 7009, section 2.2]: https://www.rfc-editor.org/rfc/rfc7009#section-2.2
#[derive(Debug, Clone)]
#[doc(alias("sign out", "signout", "logout", "log out", "revocation"))]
pub struct RevokeRefreshToken {
    refresh_token: RefreshToken,
}

impl RevokeRefreshToken {
    /// Makes the operation of that refresh token.
    #[must_use]
    pub fn new(refresh_token: impl Into<RefreshToken>) -> Self {
        Self { refresh_token: refresh_token.into() }
    }

    /// Reads the response. `others` are secrets that a server may repeat besides the one that was sent.
    pub(crate) fn revoked(&self, app: &App, response: &Response<Body>, others: &[&str]) -> Result<(), Error> {
        ResponseReader::of_route(self, app, Route::Revoke).redact(others.iter().copied()).status(response)
    }
}

impl Endpoint for RevokeRefreshToken {
    type Response = ();

    fn name(&self) -> &'static str {
        "Revoke Refresh Token"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let service = app.service();
        let key = service.dialect().revocation_key(service.api());
        let params = [Param::Required(key, self.refresh_token.expose())];
        request::authenticated(self.name(), app, Route::Revoke, &params)
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<(), Error> {
        self.revoked(app, &response, &[])
    }

    fn secrets(&self) -> Vec<&str> {
        vec![self.refresh_token.expose()]
    }

    fn repeatable(&self) -> bool {
        true
    }
}
