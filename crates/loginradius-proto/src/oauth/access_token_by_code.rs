use std::time::Instant;

use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::route::Route;
use crate::secret::{AuthorizationCode, CodeVerifier, Nonce};
use crate::token::TokenSet;
use crate::wire::request;
use crate::wire::response::ResponseReader;

/// LoginRadius's "Access token by OAuth 2 token": exchanges an authorization code ([RFC 6749, section 4.1.3]).
///
/// A code is good once and for 50 seconds, so this is never sent twice when the first may have arrived.
/// The secret is optional with a [`code_verifier`](Self::code_verifier).
///
/// Classic: `POST /sso/oauth/access_token` with `response_type=token` and no `grant_type`; site:
/// `POST /api/oauth/{OAuthName}/token` with both, and needs [`App::with_oauth_app`]. The
/// [dialect](crate::Dialect) can change that.
///
/// [RFC 6749, section 4.1.3]: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3
#[derive(Debug, Clone)]
pub struct AccessTokenByCode {
    code: AuthorizationCode,
    redirect_uri: String,
    code_verifier: Option<CodeVerifier>,
    nonce: Option<Nonce>,
}

impl AccessTokenByCode {
    /// Exchanges that code; the redirect URI is the one that the authorization request had.
    #[must_use]
    pub fn new(code: impl Into<AuthorizationCode>, redirect_uri: impl Into<String>) -> Self {
        Self { code: code.into(), redirect_uri: redirect_uri.into(), code_verifier: None, nonce: None }
    }

    /// Adds the PKCE verifier, if the authorization request had a challenge ([RFC 7636, section 4.5]).
    ///
    /// [RFC 7636, section 4.5]: https://www.rfc-editor.org/rfc/rfc7636#section-4.5
    #[must_use]
    pub fn code_verifier(mut self, verifier: impl Into<CodeVerifier>) -> Self {
        self.code_verifier = Some(verifier.into());
        self
    }

    /// Notes the nonce that the `id_token` has to repeat, for the caller.
    pub(crate) fn nonce(self, nonce: Option<Nonce>) -> Self {
        Self { nonce, ..self }
    }
}

impl Endpoint for AccessTokenByCode {
    type Response = TokenSet;

    fn name(&self) -> &'static str {
        "Access Token by OAuth 2 Token"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let dialect = app.service().dialect();
        let grant_type = dialect.sends_grant_type_of_code(app.service().api());
        request::authenticated(self.name(), app, Route::Token, |params| {
            params
                .required("redirect_uri", &self.redirect_uri)
                .optional("grant_type", grant_type.then_some("authorization_code"))
                .optional("response_type", dialect.sends_response_type_with_code().then_some("token"))
                .required("code", self.code.expose())
                .optional("code_verifier", self.code_verifier.as_ref().map(CodeVerifier::expose))
        })
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<TokenSet, Error> {
        let tokens = ResponseReader::new(self, app).object(&response, "access_token", TokenSet::read)?;
        Ok(TokenSet { nonce: self.nonce.clone(), ..tokens })
    }

    fn secrets(&self) -> Vec<&str> {
        self.code_verifier.iter().map(CodeVerifier::expose).chain([self.code.expose()]).collect()
    }

    fn set_requested_at(&self, tokens: &mut TokenSet, sent: Instant) {
        tokens.requested_at = Some(sent);
    }
}
