use std::fmt;

use crate::secret::ClientSecret;
use crate::service::Service;

/// Who is calling, and where: the settings that all operations share.
///
/// Only the client id is needed by all. Nothing is checked here; a setting that an operation needs and
/// does not find is an error of that operation, before anything is sent.
///
/// ```
/// use loginradius_proto::{App, BodyFormat, Service};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let app = App::new("client id, or API key")
///     .client_secret("client secret, or API secret")
///     .oauth_app("my-oauth-app")
///     .jwt_app("my-jwt-app")
///     .service(Service::site("acme.hub.loginradius.com")?)
///     .body_format(BodyFormat::Json);
/// assert!(!format!("{app:?}").contains("API secret"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct App {
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<ClientSecret>,
    pub(crate) api_key: Option<String>,
    pub(crate) oauth_app: Option<String>,
    pub(crate) jwt_app: Option<String>,
    pub(crate) body_format: BodyFormat,
    pub(crate) service: Service,
}

impl App {
    /// An app at [`Service::cloud()`], with form-encoded OAuth bodies and no secret.
    ///
    /// At the classic family the client id is the LoginRadius API key; at a site it is the API key or
    /// the id of an OAuth client.
    #[must_use]
    pub fn new(client_id: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: None,
            api_key: None,
            oauth_app: None,
            jwt_app: None,
            body_format: BodyFormat::Form,
            service: Service::cloud(),
        }
    }

    /// The client secret. Without one its key is left out of every request, as public clients do.
    #[must_use]
    pub fn client_secret(mut self, secret: impl Into<ClientSecret>) -> Self {
        self.client_secret = Some(secret.into());
        self
    }

    /// The OAuth app's name in the LoginRadius Dashboard (`OAuthName`). Device sign-in needs it, and
    /// at a site every OAuth operation does.
    #[must_use]
    pub fn oauth_app(mut self, name: impl Into<String>) -> Self {
        self.oauth_app = Some(name.into());
        self
    }

    /// The JWT app's name in the LoginRadius Dashboard (`jwtapp`). The JWT operations need it.
    #[must_use]
    pub fn jwt_app(mut self, name: impl Into<String>) -> Self {
        self.jwt_app = Some(name.into());
        self
    }

    /// The LoginRadius API key (`apikey`) of the JWT operations, if it is not the client id.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// How the bodies of the OAuth operations are written; [`BodyFormat::Form`] by default.
    #[must_use]
    pub fn body_format(mut self, format: BodyFormat) -> Self {
        self.body_format = format;
        self
    }

    /// Where LoginRadius is; [`Service::cloud()`] by default.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.service = service;
        self
    }

    /// Where LoginRadius is.
    #[must_use]
    pub fn target(&self) -> &Service {
        &self.service
    }

    pub(crate) fn secret(&self) -> Option<&str> {
        self.client_secret.as_ref().map(ClientSecret::expose)
    }

    /// The key of the JWT operations.
    pub(crate) fn key(&self) -> &str {
        self.api_key.as_deref().unwrap_or(&self.client_id)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("service", &self.service)
            .field("oauth_app", &self.oauth_app)
            .field("jwt_app", &self.jwt_app)
            .field("body_format", &self.body_format)
            .field("client_secret", &self.client_secret)
            .finish_non_exhaustive()
    }
}

/// How the bodies of the OAuth operations are written. The JWT operations always send JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BodyFormat {
    /// `application/x-www-form-urlencoded`, as RFC 6749 says.
    #[default]
    Form,
    /// `application/json`, as LoginRadius's API pages show. Use it if LoginRadius answers code 965,
    /// "The post body is invalid".
    Json,
}
