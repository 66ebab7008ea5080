use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::error::Error;
use crate::request::check_text;
use crate::secret::ClientSecret;
use crate::service::Service;
use crate::urls::Urls;
use crate::wire::character::{invisible_in, is_graphic};

/// The settings that all operations share: which app of LoginRadius this is, and where LoginRadius is.
///
/// Every operation needs the client id; the setters say which ones need more. A setter checks nothing. An operation
/// without a setting that it needs, or with one that cannot be sent, fails with
/// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), and the message names the setting. A space at either
/// end of a setting is such an error, and so is an invisible character, such as a byte order mark: LoginRadius would
/// refuse it without saying why. A missing client secret is not an error here, since public clients have none:
/// LoginRadius refuses the request if it needs one.
///
/// `Debug` shows neither the ids nor the secret. A clone is cheap: it shares the settings.
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
#[doc(alias("credentials", "config", "configuration", "settings", "client_id", "client_secret", "apikey"))]
pub struct App(Arc<Shared>);

/// What the clones of an app share.
#[derive(Clone)]
struct Shared {
    settings: Settings,
    /// Those of the settings.
    urls: Urls,
    /// Set when the settings of the client were found to be good.
    client_is_good: OnceLock<()>,
}

impl From<Settings> for App {
    fn from(settings: Settings) -> Self {
        Self(Arc::new(Shared { settings, urls: Urls::default(), client_is_good: OnceLock::new() }))
    }
}

#[derive(Clone)]
struct Settings {
    client_id: String,
    client_secret: Option<ClientSecret>,
    api_key: Option<String>,
    oauth_app: Option<String>,
    oidc_app: Option<String>,
    jwt_app: Option<String>,
    service: Service,
}

impl App {
    /// Makes an app at [`Service::classic()`] with that client id, and nothing else set.
    ///
    /// At the classic API the client id is the LoginRadius API key; at a site it is the API key or the id of an OAuth
    /// client. Both are in the LoginRadius Dashboard.
    #[must_use]
    pub fn new(client_id: impl Into<String>) -> Self {
        Settings {
            client_id: client_id.into(),
            client_secret: None,
            api_key: None,
            oauth_app: None,
            oidc_app: None,
            jwt_app: None,
            service: Service::classic(),
        }
        .into()
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.0).settings;
        change(&mut settings);
        settings.into()
    }

    /// Sets the secret that belongs to the client id: LoginRadius's API secret, or the secret of an OAuth client. None
    /// by default.
    ///
    /// Without one, or with an empty one, requests leave it out, as public clients do ([RFC 6749, section 2.1]). A
    /// program that users install cannot keep a secret: leave it out there, and use PKCE, which
    /// [`browser`](crate::browser) always does, or a device login.
    ///
    /// [RFC 6749, section 2.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.1
    #[must_use]
    pub fn with_client_secret(self, secret: impl Into<ClientSecret>) -> Self {
        self.with(|settings| settings.client_secret = Some(secret.into()))
    }

    /// Sets the OAuth app's name in the LoginRadius Dashboard (`OAuthName`).
    ///
    /// A device login needs it; at a site every OAuth operation does.
    #[must_use]
    pub fn with_oauth_app(self, name: impl Into<String>) -> Self {
        self.with(|settings| settings.oauth_app = Some(name.into()))
    }

    /// Sets the name of the OpenID Connect app in the LoginRadius Dashboard.
    ///
    /// At a service of OpenID Connect ([`Service::oidc`]) every operation but those of JWTs needs it. The OAuth app's
    /// name is not used there.
    #[must_use]
    #[doc(alias("OpenID Connect", "oidcappname"))]
    pub fn with_oidc_app(self, name: impl Into<String>) -> Self {
        self.with(|settings| settings.oidc_app = Some(name.into()))
    }

    /// Sets the JWT app's name in the LoginRadius Dashboard (`jwtapp`).
    ///
    /// All of [`jwt`](crate::jwt) and [`browser::JwtRedirect`](crate::browser::JwtRedirect) need it.
    #[must_use]
    pub fn with_jwt_app(self, name: impl Into<String>) -> Self {
        self.with(|settings| settings.jwt_app = Some(name.into()))
    }

    /// Sets the LoginRadius API key (`apikey`); the client id by default.
    ///
    /// The JWT operations send it, and so do most [endpoints of your own](crate::Endpoint#an-endpoint-of-your-own). Set
    /// it if the client id is that of an OAuth client.
    #[must_use]
    pub fn with_api_key(self, key: impl Into<String>) -> Self {
        self.with(|settings| settings.api_key = Some(key.into()))
    }

    /// Sets where LoginRadius is, and how requests to it are written; [`Service::classic()`] by default.
    #[must_use]
    pub fn with_service(self, service: Service) -> Self {
        self.with(|settings| settings.service = service)
    }

    /// Returns the client id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.0.settings.client_id
    }

    /// Returns the client secret, if one is set.
    #[must_use]
    pub fn client_secret(&self) -> Option<&ClientSecret> {
        self.0.settings.client_secret.as_ref()
    }

    /// Returns the OAuth app's name, if it is set.
    #[must_use]
    pub fn oauth_app(&self) -> Option<&str> {
        self.0.settings.oauth_app.as_deref()
    }

    /// Returns the name of the OpenID Connect app, if it is set.
    #[must_use]
    pub fn oidc_app(&self) -> Option<&str> {
        self.0.settings.oidc_app.as_deref()
    }

    /// Returns the JWT app's name, if it is set.
    #[must_use]
    pub fn jwt_app(&self) -> Option<&str> {
        self.0.settings.jwt_app.as_deref()
    }

    /// Returns the LoginRadius API key: the client id, unless another one is set.
    #[must_use]
    pub fn api_key(&self) -> &str {
        self.0.settings.api_key.as_deref().unwrap_or(&self.0.settings.client_id)
    }

    /// Returns where LoginRadius is, and how requests to it are written.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.0.settings.service
    }

    /// Returns the URLs of the operations that were needed so far.
    pub(crate) fn urls(&self) -> &Urls {
        &self.0.urls
    }

    /// Checks the client id, the client secret and the API key, which an endpoint of a user's own may send in any
    /// place.
    pub(crate) fn check_client(&self) -> Result<(), Error> {
        if self.0.client_is_good.get().is_some() {
            return Ok(());
        }
        check_setting("`client_id`", &self.0.settings.client_id)?;
        check_setting("`client_secret`", self.secret().unwrap_or_default())?;
        check_setting("`apikey`", self.api_key())?;
        self.0.client_is_good.get_or_init(|| ());
        Ok(())
    }

    /// Returns the client secret, unless it is empty.
    pub(crate) fn secret(&self) -> Option<&str> {
        self.0.settings.client_secret.as_ref().map(ClientSecret::expose).filter(|secret| !secret.is_empty())
    }
}

/// Checks that a setting has nothing invisible in it, as pasted text may have.
pub(crate) fn check_setting(what: impl fmt::Display + Copy, value: &str) -> Result<(), Error> {
    if is_graphic(value) {
        return Ok(());
    }
    check_text(what, value)?;
    if value.trim_matches(' ') != value {
        return Err(Error::configuration(format!("{what} begins or ends with a space: remove it")));
    }
    match invisible_in(value) {
        Some(c) => Err(Error::configuration(format!(
            "{what} contains an invisible character (U+{:04X}): remove it",
            u32::from(c),
        ))),
        None => Ok(()),
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("service", &self.0.settings.service)
            .field("oauth_app", &self.0.settings.oauth_app)
            .field("oidc_app", &self.0.settings.oidc_app)
            .field("jwt_app", &self.0.settings.jwt_app)
            .field("client_secret", &self.0.settings.client_secret)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::{Endpoint, request_of};
    use crate::oauth::RequestDeviceCode;

    #[test]
    fn a_setting_that_is_changed_after_a_request_counts() {
        let url = |app: &App| request_of(&RequestDeviceCode::new(), app).map(|request| request.uri().to_string());
        let first = App::new("my-client-id").with_oauth_app("my-oauth-app");
        assert_eq!(url(&first).unwrap(), "https://cloud-api.loginradius.com/sso/oauth/my-oauth-app/device");
        let site = Service::site("acme.hub.loginradius.com").unwrap();
        let second = first.clone().with_service(site).with_oauth_app("another");
        assert_eq!(url(&second).unwrap(), "https://acme.hub.loginradius.com/api/oauth/another/device");
        assert_eq!(url(&first).unwrap(), "https://cloud-api.loginradius.com/sso/oauth/my-oauth-app/device");
        // What was good before is checked again.
        for bad in [first.clone().with_client_secret(" secret"), first.with_api_key("my\u{200b}key")] {
            assert!(RequestDeviceCode::new().request(&bad).is_ok(), "it sends neither");
            assert!(url(&bad).is_err());
        }
    }
}
