use std::time::Instant;

use http::{Request, Response};

use crate::api::Api;
use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::route::Route;
use crate::secret::RefreshToken;
use crate::token::TokenSet;
use crate::wire::json::FieldProblem;
use crate::wire::request::{self, Param};
use crate::wire::response::ResponseReader;

/// LoginRadius's "Refresh Access Token": redeems a refresh token for new tokens ([RFC 6749, section 6]).
///
/// A [session](crate::session) does this at the right time, and stores the result before anything can be lost: prefer
/// it.
///
/// LoginRadius rotates refresh tokens: the one that is sent is consumed, and the response has the next. If it has none,
/// keep the one that was sent. This is never sent twice when the first may have arrived, because a consumed token that
/// is sent again can end the whole login.
///
/// A refresh token that is not valid any more is an [`ErrorKind::SignInRequired`].
///
/// | API | address |
/// | --- | --- |
/// | classic | `POST /sso/oauth/access_token/refresh` |
/// | site | `POST /api/oauth/{name}/token` |
/// | OpenID Connect | `POST /api/oidc/{name}/token` |
/// | classic OpenID Connect | `POST /sso/oidc/v2/{name}/token`, with `scope=openid`, which it requires |
///
/// `{name}` is [`App::with_oauth_app`], or [`App::with_oidc_app`] for OpenID Connect.
///
/// [RFC 6749, section 6]: https://www.rfc-editor.org/rfc/rfc6749#section-6
#[derive(Debug, Clone)]
#[doc(alias("refresh token", "refresh_token", "renew", "grant", "rotation"))]
pub struct RefreshAccessToken {
    refresh_token: RefreshToken,
}

impl RefreshAccessToken {
    /// Makes the operation of that refresh token.
    #[must_use]
    pub fn new(refresh_token: impl Into<RefreshToken>) -> Self {
        Self { refresh_token: refresh_token.into() }
    }

    /// Reads the two parts of the response independently, so that one is not lost if the other cannot be read. `others`
    /// are secrets that a server may repeat besides those of the request.
    pub(crate) fn refreshed(&self, app: &App, response: &Response<Body>, others: &[&str]) -> Refreshed {
        let reader = ResponseReader::of_route(self, app, Route::Refresh).redact(others.iter().copied());
        let mut refresh_token: Result<_, FieldProblem> = Ok(None);
        let tokens = reader.object(response, "access_token", |object, head| {
            refresh_token = object.last_token("refresh_token").map(|token| token.map(RefreshToken::from));
            TokenSet::read_access(object, head)
        });
        let unreadable = |field| {
            let message = format!("the response's {field}; the earlier refresh token is kept, but it may be consumed");
            Error::new(ErrorKind::InvalidResponse, message).of(self.name())
        };
        Refreshed { tokens, refresh_token: refresh_token.map_err(unreadable) }
    }
}

/// The parts of the response to a refresh, each as far as it can be read.
pub(crate) struct Refreshed {
    /// The tokens without the refresh token.
    pub(crate) tokens: Result<TokenSet, Error>,
    /// The next refresh token, even if the rest cannot be read; an error if there is one that cannot.
    pub(crate) refresh_token: Result<Option<RefreshToken>, Error>,
}

impl Endpoint for RefreshAccessToken {
    type Response = TokenSet;

    fn name(&self) -> &'static str {
        "Refresh Access Token"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        // Every refresh token of OpenID Connect has this scope.
        let scope = (app.service().api() == Api::ClassicOidc).then_some("openid");
        let params = [
            Param::Required("grant_type", "refresh_token"),
            Param::Required("refresh_token", self.refresh_token.expose()),
            Param::Optional("scope", scope),
        ];
        request::authenticated(self.name(), app, Route::Refresh, &params)
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<TokenSet, Error> {
        ResponseReader::of_route(self, app, Route::Refresh).object(&response, "access_token", TokenSet::read)
    }

    fn secrets(&self) -> Vec<&str> {
        vec![self.refresh_token.expose()]
    }

    fn set_requested_at(&self, tokens: &mut TokenSet, sent: Instant) {
        tokens.requested_at = Some(sent);
    }
}
