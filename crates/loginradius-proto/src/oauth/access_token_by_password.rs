use std::time::Instant;

use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::route::Route;
use crate::secret::Password;
use crate::service::Family;
use crate::token::TokenSet;
use crate::wire::scrub::Asked;
use crate::wire::{answer, request};

/// LoginRadius's "Access Token by Account Password" ([RFC 6749, section 4.3]).
///
/// **Discouraged**: [RFC 9700, section 2.4] says that the password grant must not be used, because the
/// password passes through the client and no second factor can be asked for. Prefer a device sign-in
/// ([`DeviceFlow`](crate::DeviceFlow)) or an authorization code.
///
/// Never sent twice when the first may have arrived: LoginRadius locks accounts after wrong passwords.
/// The secret is required in the classic family and optional at a site.
///
/// Classic: `POST /sso/oauth/access_token`; site: `POST /api/oauth/{OAuthName}/token`, and needs
/// [`App::oauth_app`].
///
/// [RFC 6749, section 4.3]: https://www.rfc-editor.org/rfc/rfc6749#section-4.3
/// [RFC 9700, section 2.4]: https://www.rfc-editor.org/rfc/rfc9700#section-2.4
#[derive(Debug, Clone)]
pub struct AccessTokenByPassword {
    username: String,
    password: Password,
    scope: Option<String>,
    response_type: bool,
}

impl AccessTokenByPassword {
    /// Signs in with an email address, a phone number or a user name, as LoginRadius is configured.
    #[must_use]
    pub fn new(username: impl Into<String>, password: impl Into<Password>) -> Self {
        Self { username: username.into(), password: password.into(), scope: None, response_type: true }
    }

    /// The scope, separated by spaces. None is sent by default.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Leaves out `response_type=token`, which a site is sent by default. (The classic family is never
    /// sent it here.)
    #[must_use]
    pub fn without_response_type(mut self) -> Self {
        self.response_type = false;
        self
    }
}

impl Endpoint for AccessTokenByPassword {
    type Response = TokenSet;

    fn name(&self) -> &'static str {
        "Access Token by Account Password"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let build = || {
            let response_type = (self.response_type && app.service.family() == Family::Site).then_some("token");
            let params = request::Params::client(app)?
                .secret(app)?
                .required("grant_type", "password")?
                .optional("response_type", response_type)?
                .required("username", &self.username)?
                .required("password", self.password.expose())?
                .optional("scope", self.scope.as_deref())?;
            request::oauth(app, Route::Token, &params)
        };
        build().map_err(|error: Error| error.of(self.name()))
    }

    fn response(&self, app: &App, answer: Response<Body>) -> Result<TokenSet, Error> {
        let asked = Asked { app, secrets: &[self.password.expose()] };
        answer::object(&asked, &answer, "access_token", TokenSet::read)
            .map_err(|error| match error.kind() {
                // The grant that RFC 6749, section 5.2, calls invalid is the password here.
                ErrorKind::SignInAgain => error.about_credentials(),
                _ => error,
            })
            .map_err(|error| error.of(self.name()))
    }

    fn set_requested_at(&self, tokens: &mut TokenSet, sent: Instant) {
        tokens.requested_at = Some(sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::BodyFormat::{Form, Json};
    use crate::testing::{Sent, answer, classic_app, public, sent, site_app};

    fn operation() -> AccessTokenByPassword {
        AccessTokenByPassword::new("user@example.com", "p ä&=%+")
    }

    const CLASSIC: (&str, &[(&str, &str)]) = (
        "https://cloud-api.loginradius.com/sso/oauth/access_token",
        &[
            ("client_id", "my-client-id"),
            ("client_secret", "my-client-secret"),
            ("grant_type", "password"),
            ("username", "user@example.com"),
            ("password", "p ä&=%+"),
        ],
    );
    const SITE: (&str, &[(&str, &str)]) = (
        "https://acme.hub.loginradius.com/api/oauth/my-oauth-app/token",
        &[
            ("client_id", "my-client-id"),
            ("client_secret", "my-client-secret"),
            ("grant_type", "password"),
            ("username", "user@example.com"),
            ("password", "p ä&=%+"),
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
    fn without_a_secret() {
        let fields = |given: &[(&'static str, &'static str)]| {
            given.iter().copied().filter(|(name, _)| *name != "client_secret").collect::<Vec<_>>()
        };
        assert_eq!(sent(&operation(), &public(classic_app(Json))), Sent::json(CLASSIC.0, &fields(CLASSIC.1)));
        assert_eq!(sent(&operation(), &public(site_app(Form))), Sent::form(SITE.0, &fields(SITE.1)));
    }

    #[test]
    fn with_a_scope() {
        let fields = [SITE.1, &[("scope", "openid email")]].concat();
        assert_eq!(sent(&operation().scope("openid email"), &site_app(Form)), Sent::form(SITE.0, &fields));
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
            .response(&classic_app(Form), answer(400, r#"{"error":"invalid_grant","error_description":""}"#))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AskUser);
        assert_eq!(error.operation(), Some("Access Token by Account Password"));
        assert_eq!(error.service().unwrap().oauth_error.as_deref(), Some("invalid_grant"));
    }

    #[test]
    fn it_is_never_repeated() {
        assert!(!operation().repeatable());
    }
}
