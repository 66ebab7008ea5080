use http::{Request, Response};

use crate::service::Route;
use crate::wire::answer::{self, Asked};
use crate::wire::request;
use crate::{App, Body, Endpoint, Error, RefreshToken, TokenSet};

/// LoginRadius's "Refresh Access Token" ([RFC 6749, section 6]).
///
/// LoginRadius rotates refresh tokens: the one that is sent is spent, and the answer holds the next.
/// Never sent twice when the first may have arrived, because a spent token can end the whole sign-in.
/// If the answer holds no refresh token, keep the one that was sent.
///
/// Classic: `POST /sso/oauth/access_token/refresh`; site: `POST /api/oauth/{OAuthName}/token`, and needs
/// [`App::oauth_app`].
///
/// [RFC 6749, section 6]: https://www.rfc-editor.org/rfc/rfc6749#section-6
#[derive(Debug, Clone)]
pub struct RefreshAccessToken {
    refresh_token: RefreshToken,
}

impl RefreshAccessToken {
    /// Spends that refresh token.
    #[must_use]
    pub fn new(refresh_token: impl Into<RefreshToken>) -> Self {
        Self { refresh_token: refresh_token.into() }
    }
}

impl Endpoint for RefreshAccessToken {
    type Response = TokenSet;

    fn name(&self) -> &'static str {
        "Refresh Access Token"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let build = || {
            let params = request::Params::default()
                .required("client_id", &app.client_id)?
                .optional("client_secret", app.secret())?
                .required("grant_type", "refresh_token")?
                .required("refresh_token", self.refresh_token.expose())?;
            request::oauth(app, Route::Refresh, &params)
        };
        build().map_err(|error: Error| error.of(self.name()))
    }

    fn response(&self, app: &App, answer: Response<Body>) -> Result<TokenSet, Error> {
        let asked = Asked { app, secrets: &[self.refresh_token.expose()] };
        answer::object(&asked, &answer, "access_token", TokenSet::read).map_err(|error| error.of(self.name()))
    }
}
