use std::time::{Duration, Instant};

use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::route::Route;
use crate::secret::DeviceCode;
use crate::token::TokenSet;
use crate::wire::head::ResponseHead;
use crate::wire::json::Object;
use crate::wire::number;
use crate::wire::refusal::oauth_error;
use crate::wire::request::{self, Param};
use crate::wire::response::ResponseReader;

/// LoginRadius's "Request Tokens": polls once for the tokens of a device login ([RFC 8628, section 3.4]).
///
/// Use [`DeviceFlow`](crate::DeviceFlow), which sends this at the right times and knows what the responses mean. Sent
/// alone, a login that the user has not decided yet is an error whose
/// [`oauth_error`](crate::ApiError::oauth_error) is `authorization_pending`.
///
/// It sends no client secret.
///
/// | API | address |
/// | --- | --- |
/// | classic | `POST /sso/oauth/{name}/access_token` |
/// | site | `POST /api/oauth/{name}/token` |
/// | OpenID Connect | `POST /api/oidc/{name}/token` |
/// | classic OpenID Connect | none |
///
/// `{name}` is [`App::with_oauth_app`], or [`App::with_oidc_app`] for OpenID Connect.
///
/// [RFC 8628, section 3.4]: https://www.rfc-editor.org/rfc/rfc8628#section-3.4
#[derive(Debug, Clone)]
#[doc(alias("device flow", "poll", "grant", "urn:ietf:params:oauth:grant-type:device_code"))]
pub struct RequestTokens {
    device_code: DeviceCode,
}

impl RequestTokens {
    pub(crate) const NAME: &'static str = "Request Tokens";
    pub(crate) const GRANT_TYPE: &'static str = "urn:ietf:params:oauth:grant-type:device_code";

    /// Makes the operation of that device code.
    #[must_use]
    pub fn new(device_code: impl Into<DeviceCode>) -> Self {
        Self { device_code: device_code.into() }
    }

    /// Reads the response as a flow needs it: that the user has not decided yet is no error there.
    pub(crate) fn polled(&self, app: &App, response: &Response<Body>) -> Result<Polled, Error> {
        ResponseReader::of_route(self, app, Route::DeviceToken).object_unless(
            response,
            "access_token",
            Undecided::read,
            |object, head| TokenSet::read(object, head).map(Polled::Tokens),
        )
    }
}

/// What the response to a poll means, unless it is an error.
pub(crate) enum Polled {
    Tokens(TokenSet),
    Undecided(Undecided),
}

/// That the user has not decided yet (RFC 8628, section 3.5).
pub(crate) struct Undecided {
    /// Whether it is `slow_down`, and not `authorization_pending`.
    pub(crate) slow_down: bool,
    /// The interval that the server asks for.
    pub(crate) interval: Option<Duration>,
    pub(crate) retry_after: Option<Duration>,
}

impl Undecided {
    fn read(object: &Object<'_>, head: &ResponseHead<'_>) -> Option<Polled> {
        let slow_down = match &*oauth_error(object)? {
            "authorization_pending" => false,
            "slow_down" => true,
            _ => return None,
        };
        let interval = object.raw("interval").and_then(number::seconds);
        Some(Polled::Undecided(Self { slow_down, interval, retry_after: head.retry_after() }))
    }
}

impl Endpoint for RequestTokens {
    type Response = TokenSet;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let response_type = app.service().dialect().sends_response_type(app.service().api());
        let params = [
            Param::Required("grant_type", Self::GRANT_TYPE),
            Param::Optional("response_type", response_type.then_some("token")),
            Param::Required("device_code", self.device_code.expose()),
        ];
        request::public(self.name(), app, Route::DeviceToken, &params)
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<TokenSet, Error> {
        ResponseReader::of_route(self, app, Route::DeviceToken).object(&response, "access_token", TokenSet::read)
    }

    fn secrets(&self) -> Vec<&str> {
        vec![self.device_code.expose()]
    }

    fn set_requested_at(&self, tokens: &mut TokenSet, sent: Instant) {
        tokens.requested_at = Some(sent);
    }
}
