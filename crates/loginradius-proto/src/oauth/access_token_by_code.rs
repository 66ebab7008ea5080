use std::time::Instant;

use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::route::Route;
use crate::secret::{AuthorizationCode, CodeVerifier};
use crate::service::Family;
use crate::token::TokenSet;
use crate::wire::scrub::Asked;
use crate::wire::{answer, request};

/// LoginRadius's "Access token by OAuth 2 token": exchanges an authorization code ([RFC 6749, section 4.1.3]).
///
/// A code is good once and for 50 seconds, so this is never sent twice when the first may have arrived.
/// The secret is optional with a [`code_verifier`](Self::code_verifier).
///
/// Classic: `POST /sso/oauth/access_token` with `response_type=token` and, by default, no `grant_type`;
/// site: `POST /api/oauth/{OAuthName}/token`, with both, and needs [`App::oauth_app`].
///
/// [RFC 6749, section 4.1.3]: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3
#[derive(Debug, Clone)]
pub struct AccessTokenByCode {
    code: AuthorizationCode,
    redirect_uri: String,
    code_verifier: Option<CodeVerifier>,
    grant_type: bool,
    response_type: bool,
}

impl AccessTokenByCode {
    /// Exchanges that code; the redirect URI is the one that the authorization request had.
    #[must_use]
    pub fn new(code: impl Into<AuthorizationCode>, redirect_uri: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            redirect_uri: redirect_uri.into(),
            code_verifier: None,
            grant_type: false,
            response_type: true,
        }
    }

    /// The PKCE verifier, if the authorization request had a challenge ([RFC 7636, section 4.5]).
    ///
    /// [RFC 7636, section 4.5]: https://www.rfc-editor.org/rfc/rfc7636#section-4.5
    #[must_use]
    pub fn code_verifier(mut self, verifier: impl Into<CodeVerifier>) -> Self {
        self.code_verifier = Some(verifier.into());
        self
    }

    /// Adds `grant_type=authorization_code` in the classic family too, whose documentation has none.
    #[must_use]
    pub fn with_grant_type(mut self) -> Self {
        self.grant_type = true;
        self
    }

    /// Leaves out `response_type=token`.
    #[must_use]
    pub fn without_response_type(mut self) -> Self {
        self.response_type = false;
        self
    }
}

impl Endpoint for AccessTokenByCode {
    type Response = TokenSet;

    fn name(&self) -> &'static str {
        "Access Token by OAuth 2 Token"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let build = || {
            let grant_type = self.grant_type || app.service.family() == Family::Site;
            let params = request::Params::client(app)?
                .secret(app)?
                .required("redirect_uri", &self.redirect_uri)?
                .optional("grant_type", grant_type.then_some("authorization_code"))?
                .optional("response_type", self.response_type.then_some("token"))?
                .required("code", self.code.expose())?
                .optional("code_verifier", self.code_verifier.as_ref().map(CodeVerifier::expose))?;
            request::oauth(app, Route::Token, &params)
        };
        build().map_err(|error: Error| error.of(self.name()))
    }

    fn response(&self, app: &App, answer: Response<Body>) -> Result<TokenSet, Error> {
        let verifier = self.code_verifier.as_ref().map_or("", CodeVerifier::expose);
        let asked = Asked { app, secrets: &[self.code.expose(), verifier] };
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
    use crate::testing::{Sent, answer, classic_app, public, sent, site_app};

    fn operation() -> AccessTokenByCode {
        AccessTokenByCode::new("the-code", "https://www.abc.com/callback?a=1&b=2")
    }

    const CLASSIC: (&str, &[(&str, &str)]) = (
        "https://cloud-api.loginradius.com/sso/oauth/access_token",
        &[
            ("client_id", "my-client-id"),
            ("client_secret", "my-client-secret"),
            ("redirect_uri", "https://www.abc.com/callback?a=1&b=2"),
            ("code", "the-code"),
            ("response_type", "token"),
        ],
    );
    const SITE: (&str, &[(&str, &str)]) = (
        "https://acme.hub.loginradius.com/api/oauth/my-oauth-app/token",
        &[
            ("client_id", "my-client-id"),
            ("client_secret", "my-client-secret"),
            ("redirect_uri", "https://www.abc.com/callback?a=1&b=2"),
            ("code", "the-code"),
            ("response_type", "token"),
            ("grant_type", "authorization_code"),
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
    fn with_a_verifier_and_without_a_secret() {
        let fields = |given: &[(&'static str, &'static str)]| {
            let fields = given.iter().copied().filter(|(name, _)| *name != "client_secret");
            fields.chain([("code_verifier", "dBjftJeZ4CVP")]).collect::<Vec<_>>()
        };
        let operation = operation().code_verifier("dBjftJeZ4CVP");
        assert_eq!(sent(&operation, &public(classic_app(Form))), Sent::form(CLASSIC.0, &fields(CLASSIC.1)));
        assert_eq!(sent(&operation, &public(site_app(Json))), Sent::json(SITE.0, &fields(SITE.1)));
    }

    #[test]
    fn with_a_grant_type_in_the_classic_family() {
        let operation = operation().with_grant_type();
        assert_eq!(sent(&operation, &classic_app(Form)), Sent::form(CLASSIC.0, SITE.1));
        assert_eq!(sent(&operation, &site_app(Form)), Sent::form(SITE.0, SITE.1));
    }

    #[test]
    fn without_a_response_type() {
        let fields = |given: &[(&'static str, &'static str)]| {
            given.iter().copied().filter(|(name, _)| *name != "response_type").collect::<Vec<_>>()
        };
        let operation = operation().without_response_type();
        assert_eq!(sent(&operation, &classic_app(Form)), Sent::form(CLASSIC.0, &fields(CLASSIC.1)));
        assert_eq!(sent(&operation, &site_app(Json)), Sent::json(SITE.0, &fields(SITE.1)));
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
            .response(&classic_app(Form), answer(401, r#"{"ErrorCode":2005,"Message":"The code is expired."}"#))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignInAgain);
        assert_eq!(error.operation(), Some("Access Token by OAuth 2 Token"));
        assert_eq!(error.service().unwrap().code, Some(2005));
    }

    #[test]
    fn it_is_never_repeated() {
        assert!(!operation().repeatable());
    }
}
