use std::fmt;

use crate::secret::ClientSecret;
use crate::service::Service;

/// Who is calling, and where: the settings that all operations share.
///
/// All need the client id. A setter checks nothing: an operation that needs a setting and does not find it ends with an
/// error that says so. (LoginRadius says it of the client secret, which some apps do without.)
///
/// ```
/// use loginradius_proto::{App, Service};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let app = App::new("client id, or API key")
///     .with_client_secret("client secret, or API secret")
///     .with_oauth_app("my-oauth-app")
///     .with_jwt_app("my-jwt-app")
///     .with_service(Service::site("acme.hub.loginradius.com")?);
/// assert_eq!(app.oauth_app(), Some("my-oauth-app"));
/// assert!(!format!("{app:?}").contains("API secret"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "credentials")]
pub struct App {
    client_id: String,
    client_secret: Option<ClientSecret>,
    api_key: Option<String>,
    oauth_app: Option<String>,
    jwt_app: Option<String>,
    service: Service,
}

impl App {
    /// Makes an app at [`Service::classic()`] without a secret.
    ///
    /// At the classic API the client id is the LoginRadius API key; at a site it is the API key or the id of an OAuth
    /// client.
    #[must_use]
    pub fn new(client_id: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: None,
            api_key: None,
            oauth_app: None,
            jwt_app: None,
            service: Service::classic(),
        }
    }

    /// Sets the client secret. Without one its key is left out of every request, as public clients do.
    #[must_use]
    pub fn with_client_secret(self, secret: impl Into<ClientSecret>) -> Self {
        Self { client_secret: Some(secret.into()), ..self }
    }

    /// Sets the OAuth app's name in the LoginRadius Dashboard (`OAuthName`). A device login needs it, and at a site
    /// every OAuth operation does.
    #[must_use]
    pub fn with_oauth_app(self, name: impl Into<String>) -> Self {
        Self { oauth_app: Some(name.into()), ..self }
    }

    /// Sets the JWT app's name in the LoginRadius Dashboard (`jwtapp`). The JWT operations need it.
    #[must_use]
    pub fn with_jwt_app(self, name: impl Into<String>) -> Self {
        Self { jwt_app: Some(name.into()), ..self }
    }

    /// Sets the LoginRadius API key (`apikey`) of the JWT operations, if it is not the client id.
    #[must_use]
    pub fn with_api_key(self, key: impl Into<String>) -> Self {
        Self { api_key: Some(key.into()), ..self }
    }

    /// Sets where LoginRadius is; [`Service::classic()`] by default.
    #[must_use]
    pub fn with_service(self, service: Service) -> Self {
        Self { service, ..self }
    }

    /// Returns the client id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns the client secret, if one is set.
    #[must_use]
    pub fn client_secret(&self) -> Option<&ClientSecret> {
        self.client_secret.as_ref()
    }

    /// Returns the OAuth app's name, if it is set.
    #[must_use]
    pub fn oauth_app(&self) -> Option<&str> {
        self.oauth_app.as_deref()
    }

    /// Returns the JWT app's name, if it is set.
    #[must_use]
    pub fn jwt_app(&self) -> Option<&str> {
        self.jwt_app.as_deref()
    }

    /// Returns the LoginRadius API key: the client id, unless another one is set.
    #[must_use]
    pub fn api_key(&self) -> &str {
        self.api_key.as_deref().unwrap_or(&self.client_id)
    }

    /// Returns where LoginRadius is.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Returns the client secret, unless it is empty.
    pub(crate) fn secret(&self) -> Option<&str> {
        self.client_secret.as_ref().map(ClientSecret::expose).filter(|secret| !secret.is_empty())
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("service", &self.service)
            .field("oauth_app", &self.oauth_app)
            .field("jwt_app", &self.jwt_app)
            .field("client_secret", &self.client_secret)
            .finish_non_exhaustive()
    }
}
