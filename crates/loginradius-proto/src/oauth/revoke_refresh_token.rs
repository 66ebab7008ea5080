use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::route::Route;
use crate::secret::RefreshToken;
use crate::wire::scrub::Asked;
use crate::wire::{answer, request};

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

    /// Reads the answer. The `others` are secrets that a server may repeat besides the one that was sent.
    pub(crate) fn revoked(&self, app: &App, answer: &Response<Body>, others: &[&str]) -> Result<(), Error> {
        let secrets: Vec<_> = others.iter().copied().chain([self.refresh_token.expose()]).collect();
        answer::nothing(&Asked { app, secrets: &secrets }, answer).map_err(|error| error.of(self.name()))
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
            let params = request::Params::client(app)?.secret(app)?.required(key, self.refresh_token.expose())?;
            request::oauth(app, Route::Revoke, &params)
        };
        build().map_err(|error: Error| error.of(self.name()))
    }

    fn response(&self, app: &App, answer: Response<Body>) -> Result<(), Error> {
        self.revoked(app, &answer, &[])
    }

    fn repeatable(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::BodyFormat::{Form, Json};
    use crate::error::ErrorKind;
    use crate::testing::{Sent, answer, classic_app, public, sent, site_app};

    fn operation() -> RevokeRefreshToken {
        RevokeRefreshToken::new("a795bbb0")
    }

    const CLASSIC: (&str, &[(&str, &str)]) = (
        "https://cloud-api.loginradius.com/sso/oauth/refresh_token/revoke",
        &[("client_id", "my-client-id"), ("client_secret", "my-client-secret"), ("refresh_token", "a795bbb0")],
    );
    const SITE: (&str, &[(&str, &str)]) = (
        "https://acme.hub.loginradius.com/api/oauth/my-oauth-app/revoke",
        &[("client_id", "my-client-id"), ("client_secret", "my-client-secret"), ("refresh_token", "a795bbb0")],
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
    fn without_a_secret() {
        let fields = |given: &[(&'static str, &'static str)]| {
            given.iter().copied().filter(|(name, _)| *name != "client_secret").collect::<Vec<_>>()
        };
        assert_eq!(sent(&operation(), &public(classic_app(Form))), Sent::form(CLASSIC.0, &fields(CLASSIC.1)));
        assert_eq!(sent(&operation(), &public(site_app(Json))), Sent::json(SITE.0, &fields(SITE.1)));
    }

    #[test]
    fn with_the_key_of_rfc_7009() {
        let fields = [("client_id", "my-client-id"), ("client_secret", "my-client-secret"), ("token", "a795bbb0")];
        let operation = operation().with_token_key();
        assert_eq!(sent(&operation, &classic_app(Form)), Sent::form(CLASSIC.0, &fields));
        assert_eq!(sent(&operation, &site_app(Json)), Sent::json(SITE.0, &fields));
    }

    #[test]
    fn answer_without_an_error() {
        for body in ["", " \r\n", "{}", r#"{"isPosted":true}"#, "null"] {
            operation().response(&classic_app(Form), answer(200, body)).unwrap();
        }
    }

    #[test]
    fn answer_with_an_error() {
        let error = operation()
            .response(
                &classic_app(Form),
                answer(
                    400,
                    r#"{"error":"invalid_request","error_description":"The access_token is invalid or expired."}"#,
                ),
            )
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert_eq!(error.operation(), Some("Revoke Refresh Token"));
        assert_eq!(error.service().unwrap().oauth_error.as_deref(), Some("invalid_request"));
    }

    #[test]
    fn it_may_be_repeated() {
        assert!(operation().repeatable());
    }
}
