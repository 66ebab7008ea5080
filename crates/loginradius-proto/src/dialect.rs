use crate::api::Api;
use crate::error::Error;
use crate::text_form::text_form;

/// How requests are written where LoginRadius's documentation leaves a choice, contradicts itself or differs from the
/// RFCs.
///
/// Leave it alone unless LoginRadius refuses what is sent. What is not set here is as LoginRadius documents it for the
/// service's [`Api`]. A [`Service`](crate::Service) has one dialect, which holds for all that is sent to it: single
/// operations, device logins, logins through a browser and sessions.
///
/// ```
/// use loginradius_proto::{App, BodyFormat, Dialect, Service};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// // LoginRadius responds with code 965, "The post body is invalid", to an app that takes JSON alone.
/// let service = Service::classic().with_dialect(Dialect::new().with_body_format(BodyFormat::Json))?;
/// let app = App::new("my-client-id").with_service(service);
/// # assert_eq!(app.service().dialect(), &Dialect::new().with_body_format(BodyFormat::Json));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Dialect {
    body_format: BodyFormat,
    grant_type_of_code: Option<bool>,
    without_response_type: bool,
    revocation_key: Option<RevocationKey>,
    challenge_method: Option<ChallengeMethod>,
    client_authentication: ClientAuthentication,
}

/// How the bodies of the OAuth operations are written. The JWT operations always send JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
#[doc(alias("content type", "application/json", "application/x-www-form-urlencoded"))]
pub enum BodyFormat {
    /// `application/x-www-form-urlencoded`, as RFC 6749, section 4.1.3, requires.
    #[default]
    Form,
    /// `application/json`, as LoginRadius's API pages show. Use it if LoginRadius responds with code 965, "The post
    /// body is invalid" (LoginRadius, "SSO API Codes").
    Json,
}

text_form!(BodyFormat, "body format", { Form => "form", Json => "json", });

/// The name under which a [revocation](crate::oauth::RevokeRefreshToken) sends the refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevocationKey {
    /// `refresh_token`, as LoginRadius's page "Revoke Refresh Token" has it.
    RefreshToken,
    /// `token`, as RFC 7009, section 2.1, LoginRadius's OpenID Connect pages and its newer reference of sites have it.
    Token,
}

text_form!(RevocationKey, "revocation key", { RefreshToken => "refresh_token", Token => "token", });

/// The name that the authorization request gives to the method of its PKCE challenge (`code_challenge_method`).
///
/// The challenge itself is always the SHA-256 of the verifier, which [RFC 7636, section 4.2] calls `S256`.
///
/// [RFC 7636, section 4.2]: https://www.rfc-editor.org/rfc/rfc7636#section-4.2
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias("pkce", "code_challenge_method", "S256"))]
pub enum ChallengeMethod {
    /// `SHA256`, as LoginRadius's guide "PKCE" has it.
    Sha256,
    /// `S256`, as RFC 7636 and the metadata of newer LoginRadius sites have it.
    S256,
    /// No `code_challenge_method` is sent. LoginRadius takes that for `SHA256`. RFC 7636, section 4.3, takes it for
    /// `plain`, so use this with LoginRadius alone.
    Omitted,
}

text_form!(ChallengeMethod, "challenge method", { Sha256 => "SHA256", S256 => "S256", Omitted => "omitted", });

/// Where a request carries the client secret, if the app has one ([RFC 6749, section 2.3.1]).
///
/// [RFC 6749, section 2.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
#[doc(alias("client_secret_post", "client_secret_basic", "token_endpoint_auth_method"))]
pub enum ClientAuthentication {
    /// In the body, as `client_secret` (OpenID Connect calls it `client_secret_post`).
    #[default]
    Body,
    /// In the header `Authorization`, by HTTP Basic authentication (`client_secret_basic`). LoginRadius documents it
    /// for sites; [`Service::with_dialect`](crate::Service::with_dialect) refuses it for the classic API.
    Basic,
}

text_form!(ClientAuthentication, "client authentication", {
    Body => "client_secret_post",
    Basic => "client_secret_basic",
});

impl Dialect {
    /// Makes the dialect of LoginRadius's documentation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how the bodies of the OAuth operations are written; [`BodyFormat::Form`] by default.
    #[must_use]
    pub fn with_body_format(self, body_format: BodyFormat) -> Self {
        Self { body_format, ..self }
    }

    /// Sets whether a code is redeemed with `grant_type=authorization_code` ([RFC 6749, section 4.1.3]).
    ///
    /// By default it is sent to a site and to OpenID Connect, which require it, and not to the classic API, which
    /// documents none. [`Service::with_dialect`](crate::Service::with_dialect) refuses `false` where it is required.
    ///
    /// [RFC 6749, section 4.1.3]: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3
    #[must_use]
    #[doc(alias = "grant_type")]
    pub fn with_grant_type_of_code(self, sent: bool) -> Self {
        Self { grant_type_of_code: Some(sent), ..self }
    }

    /// Leaves `response_type=token` out of requests for tokens: RFC 6749 defines it for authorization requests only.
    ///
    /// By default it is sent where LoginRadius documents it: with a code, and everywhere but at the classic API with a
    /// password and a device code as well.
    #[must_use]
    #[doc(alias = "response_type")]
    pub fn without_response_type(self) -> Self {
        Self { without_response_type: true, ..self }
    }

    /// Sets the name under which a revocation sends the refresh token. By default it is [`RevocationKey::Token`] for
    /// OpenID Connect, and [`RevocationKey::RefreshToken`] for OAuth.
    #[must_use]
    pub fn with_revocation_key(self, revocation_key: RevocationKey) -> Self {
        Self { revocation_key: Some(revocation_key), ..self }
    }

    /// Sets the name of the PKCE challenge's method. By default it is [`ChallengeMethod::S256`] for OpenID Connect at a
    /// site, and [`ChallengeMethod::Sha256`] for the others.
    #[must_use]
    pub fn with_challenge_method(self, challenge_method: ChallengeMethod) -> Self {
        Self { challenge_method: Some(challenge_method), ..self }
    }

    /// Sets where a request carries the client secret; [`ClientAuthentication::Body`] by default.
    #[must_use]
    pub fn with_client_authentication(self, client_authentication: ClientAuthentication) -> Self {
        Self { client_authentication, ..self }
    }

    pub(crate) fn body_format(&self) -> BodyFormat {
        self.body_format
    }

    pub(crate) fn sends_grant_type_of_code(&self, api: Api) -> bool {
        self.grant_type_of_code.unwrap_or(api != Api::Classic)
    }

    /// Returns whether a code is redeemed with a `response_type`.
    pub(crate) fn sends_response_type_with_code(&self) -> bool {
        !self.without_response_type
    }

    /// Returns whether a password or a device code is redeemed with a `response_type`. The classic API has none there.
    pub(crate) fn sends_response_type(&self, api: Api) -> bool {
        api != Api::Classic && !self.without_response_type
    }

    pub(crate) fn revocation_key(&self, api: Api) -> &'static str {
        let default = if api.is_oidc() { RevocationKey::Token } else { RevocationKey::RefreshToken };
        self.revocation_key.unwrap_or(default).as_str()
    }

    pub(crate) fn challenge_method(&self, api: Api) -> Option<&'static str> {
        let default = if api == Api::Oidc { ChallengeMethod::S256 } else { ChallengeMethod::Sha256 };
        let method = self.challenge_method.unwrap_or(default);
        (method != ChallengeMethod::Omitted).then(|| method.as_str())
    }

    pub(crate) fn client_authentication(&self) -> ClientAuthentication {
        self.client_authentication
    }

    /// Checks that LoginRadius's documentation of that API does not rule this dialect out.
    pub(crate) fn check(&self, api: Api) -> Result<(), Error> {
        let invalid = |why| Err(Error::configuration(why));
        match api {
            Api::Site | Api::Oidc | Api::ClassicOidc if self.grant_type_of_code == Some(false) => invalid(
                "the dialect leaves out the `grant_type` of a code, by which this API knows the operation: \
                 leave out `Dialect::with_grant_type_of_code`",
            ),
            Api::Classic | Api::ClassicOidc if self.client_authentication == ClientAuthentication::Basic => invalid(
                "the dialect uses HTTP Basic authentication, but the classic API reads the client secret only from the \
                 body: leave out `Dialect::with_client_authentication`, or use `Service::site` or `Service::oidc`",
            ),
            _ => Ok(()),
        }
    }
}
