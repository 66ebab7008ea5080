use crate::api::Api;
use crate::error::Error;

/// How requests are written, where LoginRadius's documentation leaves a choice or differs from the RFCs.
///
/// Each setting is the documented one of the service's [`Api`] unless it is set here. One dialect holds for all that
/// its service is used for: single operations, device logins, logins through a browser and sessions.
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
    response_type: Option<bool>,
    revocation_key: RevocationKey,
    challenge_method: ChallengeMethod,
    client_authentication: ClientAuthentication,
}

/// How the bodies of the OAuth operations are written. The JWT operations always send JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum BodyFormat {
    /// `application/x-www-form-urlencoded`, as RFC 6749 says.
    #[default]
    Form,
    /// `application/json`, as LoginRadius's API pages show. Use it if LoginRadius responds with code 965, "The post
    /// body is invalid".
    Json,
}

/// Under which key a revocation sends the refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum RevocationKey {
    /// `refresh_token`, as LoginRadius's "Revoke Refresh Token" has it.
    #[default]
    RefreshToken,
    /// `token`, as RFC 7009 and LoginRadius's newer site reference have it.
    Token,
}

/// The name that the method of the PKCE challenge has in an address. The challenge itself is always the one that
/// RFC 7636 calls `S256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
#[doc(alias = "pkce")]
pub enum ChallengeMethod {
    /// `SHA256`, as LoginRadius's guide "PKCE" has it.
    #[default]
    Sha256,
    /// `S256`, as RFC 7636 and the metadata of newer LoginRadius sites have it.
    S256,
    /// None is sent: LoginRadius takes `SHA256` then. RFC 7636 takes `plain`, so this is for LoginRadius alone.
    Omitted,
}

/// How a request with a client secret carries it ([RFC 6749, section 2.3.1]).
///
/// [RFC 6749, section 2.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// `client_secret` in the body (`client_secret_post`).
    #[default]
    Body,
    /// HTTP Basic authentication (`client_secret_basic`), which LoginRadius documents for sites.
    Basic,
}

impl Dialect {
    /// Makes the dialect that LoginRadius's documentation shows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how the bodies of the OAuth operations are written; [`BodyFormat::Form`] by default.
    #[must_use]
    pub fn with_body_format(self, body_format: BodyFormat) -> Self {
        Self { body_format, ..self }
    }

    /// Sets whether a code is exchanged with `grant_type=authorization_code` (RFC 6749, section 4.1.3). The classic API
    /// documents none and sends none by default; at a site it is required.
    #[must_use]
    pub fn with_grant_type_of_code(self, sent: bool) -> Self {
        Self { grant_type_of_code: Some(sent), ..self }
    }

    /// Sets whether `response_type=token` is sent for tokens, which RFC 6749 does not have. By default it is sent where
    /// LoginRadius shows it: with a code, and at a site with a password and a device code as well.
    #[must_use]
    pub fn with_response_type(self, sent: bool) -> Self {
        Self { response_type: Some(sent), ..self }
    }

    /// Sets the key under which a revocation sends the refresh token; [`RevocationKey::RefreshToken`] by default.
    #[must_use]
    pub fn with_revocation_key(self, revocation_key: RevocationKey) -> Self {
        Self { revocation_key, ..self }
    }

    /// Sets the name of the PKCE challenge's method; [`ChallengeMethod::Sha256`] by default.
    #[must_use]
    pub fn with_challenge_method(self, challenge_method: ChallengeMethod) -> Self {
        Self { challenge_method, ..self }
    }

    /// Sets how a client secret is sent; [`ClientAuthentication::Body`] by default.
    #[must_use]
    pub fn with_client_authentication(self, client_authentication: ClientAuthentication) -> Self {
        Self { client_authentication, ..self }
    }

    pub(crate) fn body_format(&self) -> BodyFormat {
        self.body_format
    }

    pub(crate) fn sends_grant_type_of_code(&self, api: Api) -> bool {
        self.grant_type_of_code.unwrap_or(api == Api::Site)
    }

    /// Returns whether a code is exchanged with a `response_type`.
    pub(crate) fn sends_response_type_with_code(&self) -> bool {
        self.response_type.unwrap_or(true)
    }

    /// Returns whether a password or a device code is exchanged with a `response_type`. The classic API has none there.
    pub(crate) fn sends_response_type(&self, api: Api) -> bool {
        api == Api::Site && self.response_type.unwrap_or(true)
    }

    pub(crate) fn revocation_key(&self) -> &'static str {
        match self.revocation_key {
            RevocationKey::RefreshToken => "refresh_token",
            RevocationKey::Token => "token",
        }
    }

    pub(crate) fn challenge_method(&self) -> Option<&'static str> {
        match self.challenge_method {
            ChallengeMethod::Sha256 => Some("SHA256"),
            ChallengeMethod::S256 => Some("S256"),
            ChallengeMethod::Omitted => None,
        }
    }

    pub(crate) fn client_authentication(&self) -> ClientAuthentication {
        self.client_authentication
    }

    /// Refuses what LoginRadius's documentation of that API rules out.
    pub(crate) fn check(&self, api: Api) -> Result<(), Error> {
        let refuse = |why| Err(Error::configuration(why));
        match api {
            Api::Site if self.grant_type_of_code == Some(false) => refuse(
                "the dialect exchanges a code without a `grant_type`, and a site finds the operation by it: \
                 leave out `Dialect::with_grant_type_of_code`",
            ),
            Api::Classic if self.client_authentication == ClientAuthentication::Basic => refuse(
                "the dialect asks for HTTP Basic authentication, and the classic API reads the client secret from the \
                 body: leave out `Dialect::with_client_authentication`, or use `Service::site`",
            ),
            _ => Ok(()),
        }
    }
}
