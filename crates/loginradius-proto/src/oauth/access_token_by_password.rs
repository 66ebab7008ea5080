use std::time::Instant;

use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::route::Route;
use crate::secret::Password;
use crate::token::TokenSet;
use crate::wire::request::{self, Param};
use crate::wire::response::ResponseReader;

/// LoginRadius's "Access Token by Account Password": signs in by a password ([RFC 6749, section 4.3]).
///
/// **Discouraged**: [RFC 9700, section 2.4], says that the password grant must not be used, because the client sees the
/// password and no second factor can be asked for. Prefer a device login ([`DeviceFlow`](crate::DeviceFlow)) or a login
/// through a [`browser`](crate::browser).
///
/// It is never sent twice when the first may have arrived, because LoginRadius locks accounts after wrong passwords.
/// The classic API requires the client secret; for a site it is optional.
///
/// A wrong password is an [`ErrorKind::UserActionRequired`] with
/// [`UserAction::CorrectCredentials`](crate::UserAction::CorrectCredentials).
///
/// | API | address |
/// | --- | --- |
/// | classic | `POST /sso/oauth/access_token` |
/// | site | `POST /api/oauth/{name}/token` |
/// | OpenID Connect | `POST /api/oidc/{name}/token` |
/// | classic OpenID Connect | `POST /sso/oidc/v2/{name}/token` |
///
/// `{name}` is [`App::with_oauth_app`], or [`App::with_oidc_app`] for OpenID Connect.
///
/// [RFC 6749, section 4.3]: https://www.rfc-editor.org/rfc/rfc6749#section-4.3
/// [RFC 9700, section 2.4]: https://www.rfc-editor.org/rfc/rfc9700#section-2.4
#[derive(Debug, Clone)]
#[doc(alias("password grant", "resource owner password credentials", "ropc", "grant"))]
pub struct AccessTokenByPassword {
    username: String,
    password: Password,
    scope: Option<String>,
}

impl AccessTokenByPassword {
    /// Makes the operation of that user. `username` is an email address, a phone number or a user name, whichever
    /// LoginRadius is configured for.
    #[must_use]
    pub fn new(username: impl Into<String>, password: impl Into<Password>) -> Self {
        Self { username: username.into(), password: password.into(), scope: None }
    }

    /// Sets the scope: words separated by spaces. None is sent by default, and an empty one is left out.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }
}

impl Endpoint for AccessTokenByPassword {
    type Response = TokenSet;

    fn name(&self) -> &'static str {
        "Access Token by Account Password"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let response_type = app.service().dialect().sends_response_type(app.service().api());
        let params = [
            Param::Required("grant_type", "password"),
            Param::Optional("response_type", response_type.then_some("token")),
            Param::Required("username", &self.username),
            Param::Required("password", self.password.expose()),
            Param::Optional("scope", self.scope.as_deref()),
        ];
        request::authenticated(self.name(), app, Route::Token, &params)
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<TokenSet, Error> {
        ResponseReader::of_route(self, app, Route::Token).object(&response, "access_token", TokenSet::read).map_err(
            |error| {
                match error.kind() {
                    // `invalid_grant` (RFC 6749, section 5.2) means the password here.
                    ErrorKind::SignInRequired => error.about_credentials(),
                    _ => error,
                }
            },
        )
    }

    fn secrets(&self) -> Vec<&str> {
        vec![self.password.expose()]
    }

    fn set_requested_at(&self, tokens: &mut TokenSet, sent: Instant) {
        tokens.requested_at = Some(sent);
    }
}
