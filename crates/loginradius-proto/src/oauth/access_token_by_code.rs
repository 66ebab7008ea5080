use std::time::Instant;

use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::route::Route;
use crate::secret::{AuthorizationCode, CodeVerifier, Nonce};
use crate::token::TokenSet;
use crate::wire::refusal;
use crate::wire::request::{self, Param};
use crate::wire::response::ResponseReader;

/// LoginRadius's "Access Token by OAuth 2 Token": redeems an authorization code ([RFC 6749, section 4.1.3]).
///
/// [`browser`](crate::browser) yields it ready to send
/// ([`Authorized::exchange`](crate::browser::Authorized::exchange)).
///
/// A code is valid once and, at LoginRadius, for 50 seconds; so this is never sent twice when the first may have
/// arrived. The client secret is optional with a [`code_verifier`](Self::code_verifier).
///
/// | API | address |
/// | --- | --- |
/// | classic | `POST /sso/oauth/access_token`, without a `grant_type` |
/// | site | `POST /api/oauth/{name}/token` |
/// | OpenID Connect | `POST /api/oidc/{name}/token` |
/// | classic OpenID Connect | `POST /sso/oidc/v2/{name}/token` |
///
/// `{name}` is [`App::with_oauth_app`], or [`App::with_oidc_app`] for OpenID Connect.
/// Each is sent `response_type=token`. The [dialect](crate::Dialect) can change both parameters.
///
/// ```
/// use loginradius_proto::{App, Body, Endpoint, oauth::AccessTokenByCode};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let app = App::new("my-client-id");
/// let redeem = AccessTokenByCode::new("4f2a", "https://app.example/callback").code_verifier("dBjftJeZ4CVP");
/// let request = redeem.request(&app)?;
/// assert_eq!(request.uri(), "https://cloud-api.loginradius.com/sso/oauth/access_token");
///
/// let response = http::Response::new(Body::from(r#"{"access_token":"b8cb84c9","expires_in":394}"#));
/// assert_eq!(redeem.response(&app, response)?.access_token.expose(), "b8cb84c9");
/// # Ok(())
/// # }
/// ```
///
/// [RFC 6749, section 4.1.3]: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3
#[derive(Debug, Clone)]
#[doc(alias("authorization code", "authorization_code", "code exchange", "grant", "pkce", "token"))]
pub struct AccessTokenByCode {
    code: AuthorizationCode,
    redirect_uri: String,
    code_verifier: Option<CodeVerifier>,
    nonce: Option<Nonce>,
}

impl AccessTokenByCode {
    /// Makes the operation of that code. `redirect_uri` is the one of the authorization request, character by
    /// character.
    #[must_use]
    pub fn new(code: impl Into<AuthorizationCode>, redirect_uri: impl Into<String>) -> Self {
        Self { code: code.into(), redirect_uri: redirect_uri.into(), code_verifier: None, nonce: None }
    }

    /// Sets the PKCE verifier, which is needed if the authorization request had a challenge ([RFC 7636, section 4.5]).
    /// None by default.
    ///
    /// [RFC 7636, section 4.5]: https://www.rfc-editor.org/rfc/rfc7636#section-4.5
    #[must_use]
    pub fn code_verifier(mut self, verifier: impl Into<CodeVerifier>) -> Self {
        self.code_verifier = Some(verifier.into());
        self
    }

    /// Sets the nonce that the tokens of the response carry along, for the verification of their `id_token`.
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
        let params = [
            Param::Required("redirect_uri", &self.redirect_uri),
            Param::Optional("grant_type", grant_type.then_some("authorization_code")),
            Param::Optional("response_type", dialect.sends_response_type_with_code().then_some("token")),
            Param::Required("code", self.code.expose()),
            Param::Optional("code_verifier", self.code_verifier.as_ref().map(CodeVerifier::expose)),
        ];
        request::authenticated(self.name(), app, Route::Token, &params)
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<TokenSet, Error> {
        let reader = ResponseReader::of_route(self, app, Route::Token);
        let tokens = reader
            .object(&response, "access_token", TokenSet::read)
            .map_err(|error| if self.code_verifier.is_some() { refusal::of_verifier(error) } else { error })?;
        Ok(TokenSet { nonce: self.nonce.clone(), ..tokens })
    }

    fn secrets(&self) -> Vec<&str> {
        self.code_verifier.iter().map(CodeVerifier::expose).chain([self.code.expose()]).collect()
    }

    fn set_requested_at(&self, tokens: &mut TokenSet, sent: Instant) {
        tokens.requested_at = Some(sent);
    }
}
