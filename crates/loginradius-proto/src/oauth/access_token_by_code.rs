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
use crate::wire::request::{self, Params};
use crate::wire::response::ResponseReader;

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
        let grant_type = self.grant_type || app.service.family() == Family::Site;
        let params = Params::client(app)
            .secret(app)
            .required("redirect_uri", &self.redirect_uri)
            .optional("grant_type", grant_type.then_some("authorization_code"))
            .optional("response_type", self.response_type.then_some("token"))
            .required("code", self.code.expose())
            .optional("code_verifier", self.code_verifier.as_ref().map(CodeVerifier::expose));
        request::oauth(self.name(), app, Route::Token, params)
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<TokenSet, Error> {
        let verifier = self.code_verifier.as_ref().map_or("", CodeVerifier::expose);
        let reader = ResponseReader::new(self.name(), app, &[self.code.expose(), verifier]);
        reader.object(&response, "access_token", TokenSet::read)
    }

    fn set_requested_at(&self, tokens: &mut TokenSet, sent: Instant) {
        tokens.requested_at = Some(sent);
    }
}
