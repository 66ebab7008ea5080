use std::time::Instant;

use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::route::Route;
use crate::secret::DeviceCode;
use crate::service::Family;
use crate::token::TokenSet;
use crate::wire::scrub::Asked;
use crate::wire::{answer, request};

/// LoginRadius's "Request Tokens": one poll of a device sign-in ([RFC 8628, section 3.4]).
///
/// [`DeviceFlow`](crate::DeviceFlow) sends it at the right times and knows what the answers mean; use
/// that. On its own, a sign-in that is not decided yet is an error whose
/// [`oauth_error`](crate::ServiceError::oauth_error) is `authorization_pending`.
///
/// Needs [`App::oauth_app`]; sends no secret.
///
/// Classic: `POST /sso/oauth/{OAuthName}/access_token`; site: `POST /api/oauth/{OAuthName}/token`.
///
/// [RFC 8628, section 3.4]: https://www.rfc-editor.org/rfc/rfc8628#section-3.4
#[derive(Debug, Clone)]
pub struct RequestTokens {
    device_code: DeviceCode,
    response_type: bool,
}

impl RequestTokens {
    pub(crate) const GRANT_TYPE: &'static str = "urn:ietf:params:oauth:grant-type:device_code";

    /// Polls with that device code.
    #[must_use]
    pub fn new(device_code: impl Into<DeviceCode>) -> Self {
        Self { device_code: device_code.into(), response_type: true }
    }

    /// Leaves out `response_type=token`, which a site is sent by default because LoginRadius's guide
    /// shows it. (The classic family is never sent it here.)
    #[must_use]
    pub fn without_response_type(mut self) -> Self {
        self.response_type = false;
        self
    }
}

impl Endpoint for RequestTokens {
    type Response = TokenSet;

    fn name(&self) -> &'static str {
        "Request Tokens"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let build = || {
            let response_type = (self.response_type && app.service.family() == Family::Site).then_some("token");
            let params = request::Params::client(app)?
                .required("grant_type", Self::GRANT_TYPE)?
                .optional("response_type", response_type)?
                .required("device_code", self.device_code.expose())?;
            request::oauth(app, Route::DeviceToken, &params)
        };
        build().map_err(|error: Error| error.of(self.name()))
    }

    fn response(&self, app: &App, answer: Response<Body>) -> Result<TokenSet, Error> {
        let asked = Asked { app, secrets: &[self.device_code.expose()] };
        answer::object(&asked, &answer, "access_token", TokenSet::read).map_err(|error| error.of(self.name()))
    }

    fn set_requested_at(&self, tokens: &mut TokenSet, sent: Instant) {
        tokens.requested_at = Some(sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::BodyFormat::{Form, Json};
    use crate::error::ErrorKind;
    use crate::testing::{Sent, answer, classic_app, sent, site_app};

    fn operation() -> RequestTokens {
        RequestTokens::new("af2a")
    }

    const CLASSIC: (&str, &[(&str, &str)]) = (
        "https://cloud-api.loginradius.com/sso/oauth/my-oauth-app/access_token",
        &[
            ("client_id", "my-client-id"),
            ("device_code", "af2a"),
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ],
    );
    const SITE: (&str, &[(&str, &str)]) = (
        "https://acme.hub.loginradius.com/api/oauth/my-oauth-app/token",
        &[
            ("client_id", "my-client-id"),
            ("device_code", "af2a"),
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("response_type", "token"),
        ],
    );

    #[test]
    fn classic_form() {
        assert_eq!(sent(&operation(), &classic_app(Form)), Sent::form(CLASSIC.0, CLASSIC.1));
    }

    #[test]
    fn classic_json() {
        assert_eq!(sent(&operation(), &classic_app(Json)), Sent::json(CLASSIC.0, CLASSIC.1));
    }

    #[test]
    fn site_form() {
        assert_eq!(sent(&operation(), &site_app(Form)), Sent::form(SITE.0, SITE.1));
    }

    #[test]
    fn site_json() {
        assert_eq!(sent(&operation(), &site_app(Json)), Sent::json(SITE.0, SITE.1));
    }

    #[test]
    fn without_a_response_type() {
        let operation = operation().without_response_type();
        assert_eq!(sent(&operation, &classic_app(Form)), Sent::form(CLASSIC.0, CLASSIC.1));
        assert_eq!(sent(&operation, &site_app(Json)), Sent::json(SITE.0, CLASSIC.1));
    }

    #[test]
    fn answer_with_tokens() {
        let tokens = operation()
            .response(
                &classic_app(Form),
                answer(
                    200,
                    r#"{"access_token":"b8cb","token_type":"access_token","refresh_token":"a795","expires_in":31103985}"#,
                ),
            )
            .unwrap();
        assert_eq!(tokens.access_token.expose(), "b8cb");
        assert_eq!(tokens.refresh_token.unwrap().expose(), "a795");
        assert_eq!(tokens.token_type.as_deref(), Some("access_token"));
        assert_eq!(tokens.expires_in, Some(std::time::Duration::from_secs(31_103_985)));
        assert!(tokens.id_token.is_none());
    }

    #[test]
    fn answer_with_an_error() {
        let error = operation()
            .response(&classic_app(Form), answer(400, r#"{"error":"authorization_pending","error_description":""}"#))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TryLater);
        assert_eq!(error.operation(), Some("Request Tokens"));
        assert_eq!(error.service().unwrap().oauth_error.as_deref(), Some("authorization_pending"));
    }

    #[test]
    fn a_call_never_repeats_it() {
        assert!(!operation().repeatable());
    }
}
