//! The settings of an emulator.

use std::io;
use std::time::Duration;

use hyper::Uri;

use crate::authorization_response::ResponseMode;
use crate::config::Config;
use crate::emulator::Emulator;
use crate::redirect;

/// The settings of an [`Emulator`]. [`Emulator::builder`] returns the default ones.
///
/// ```
/// use std::time::Duration;
///
/// use loginradius_emulator::Emulator;
///
/// # fn main() -> std::io::Result<()> {
/// let emulator = Emulator::builder()
///     .device_interval(Duration::from_secs(10))
///     .access_token_lifetime(Duration::from_secs(60))
///     .manual_clock()
///     .start()?;
/// assert!(emulator.base_url().starts_with("http://127.0.0.1:"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    config: Config,
}

impl Emulator {
    /// Starts an emulator with the default settings on a free port.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::start`].
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Returns the default settings, to change some of them.
    #[must_use]
    pub fn builder() -> Builder {
        Builder { config: Config::default() }
    }
}

impl Builder {
    /// Sets the port on 127.0.0.1. Default: 0, a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.config.port = port;
        self
    }

    /// Sets the minimum time between two polls of a device. Default: 5 seconds. Responses state it in whole seconds,
    /// rounded up. With zero, no poll is too early.
    #[must_use]
    pub fn device_interval(mut self, interval: Duration) -> Self {
        self.config.device_interval = interval;
        self
    }

    /// Sets the lifetime of a device code and its user code. Default: 1800 seconds.
    #[must_use]
    pub fn device_lifetime(mut self, lifetime: Duration) -> Self {
        self.config.device_lifetime = lifetime;
        self
    }

    /// Sets the lifetime of an access token. Default: 3600 seconds.
    #[must_use]
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.config.access_token_lifetime = lifetime;
        self
    }

    /// Sets the lifetime of a refresh token that is not used. Default: 60 days, as on LoginRadius's page "Refresh
    /// Token".
    #[must_use]
    pub fn refresh_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.config.refresh_token_lifetime = lifetime;
        self
    }

    /// Sets the grace period: how long after its rotation a consumed refresh token may be sent again. Default: zero, so
    /// that sending it again is always a replay. LoginRadius documents no grace period; other authorization servers
    /// have one for clients that lose a response or refresh twice at the same moment.
    ///
    /// Within the grace period, each refresh with the consumed token yields one more pair of tokens, and all other
    /// tokens of the login stay valid. The period starts at the rotation and does not get longer by use. After it,
    /// sending the token again is a replay, which ends the login with all its pairs. [`Emulator::grace_refreshes`]
    /// counts the refreshes within the period.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use loginradius_emulator::{Emulator, Fault, Operation, seeded};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let emulator = Emulator::builder().refresh_grace(Duration::from_secs(30)).manual_clock().start()?;
    /// let token = emulator.login(&seeded::ADA).refresh_token.ok_or("no refresh token")?;
    /// let url = format!("{}/sso/oauth/access_token/refresh", emulator.base_url());
    /// let refresh = || {
    ///     ureq::post(&url).send_form([
    ///         ("client_id", seeded::CLIENT_ID),
    ///         ("client_secret", seeded::CLIENT_SECRET),
    ///         ("grant_type", "refresh_token"),
    ///         ("refresh_token", &token),
    ///     ])
    /// };
    ///
    /// // The response is lost, and the client sends its token again: the login stays alive.
    /// emulator.fault_times(Operation::Refresh, Fault::DropAfter, 1);
    /// assert!(refresh().is_err());
    /// assert!(refresh().is_ok());
    /// assert_eq!((emulator.grace_refreshes(), emulator.replays(), emulator.live_logins()), (1, 0, 1));
    ///
    /// // The grace period is over.
    /// emulator.advance(Duration::from_secs(30));
    /// assert!(refresh().is_err());
    /// assert_eq!((emulator.grace_refreshes(), emulator.replays(), emulator.live_logins()), (1, 1, 0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn refresh_grace(mut self, grace: Duration) -> Self {
        self.config.refresh_grace = grace;
        self
    }

    /// Sets the lifetime of a JWT. Default: 600 seconds, as in LoginRadius's "JWT Implementation Guide".
    #[must_use]
    pub fn jwt_lifetime(mut self, lifetime: Duration) -> Self {
        self.config.jwt_lifetime = lifetime;
        self
    }

    /// Sets the claim `aud` of JWTs, a single string. Default: none. LoginRadius's guide "JWT" calls this setting
    /// "Audiences".
    #[must_use]
    pub fn jwt_audience(mut self, audience: &str) -> Self {
        self.config.jwt_audience = Some(audience.to_owned());
        self
    }

    /// Sets how a JWT reaches the application after a login in a browser. LoginRadius's guide "JWT" calls this setting
    /// "Response Mode". Default: [`ResponseMode::Query`].
    #[must_use]
    pub fn jwt_response_mode(mut self, mode: ResponseMode) -> Self {
        self.config.jwt_response_mode = mode;
        self
    }

    /// Sets the name of the parameter that contains the JWT after a login in a browser. Default: `token`. At
    /// LoginRadius it is a setting of the JWT app.
    #[must_use]
    pub fn jwt_response_parameter(mut self, name: &str) -> Self {
        self.config.jwt_response_parameter = name.to_owned();
        self
    }

    /// Adds a redirect URI: a URI to which browsers may be sent after a login, for OAuth and for JWTs. A request must
    /// name it exactly as it is given here.
    ///
    /// Default: every `http` URL of `127.0.0.1`, `localhost` and `[::1]`, with any port and without a fragment. Once a
    /// redirect URI is added, only the added ones are allowed.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if `uri` is not absolute, contains a fragment, a user name or a password, or if
    /// its scheme is not `http`, `https` or one with a period (RFC 8252, section 7.1).
    ///
    /// ```
    /// use loginradius_emulator::{AuthorizeError, Emulator, seeded};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let emulator = Emulator::builder().redirect_uri("https://www.example.com/callback")?.start()?;
    /// let url = format!(
    ///     "{}/sso/oauth/redirect?client_id={}&response_type=code&redirect_uri=",
    ///     emulator.base_url(),
    ///     seeded::CLIENT_ID
    /// );
    /// let response = emulator.authorize(&format!("{url}https://www.example.com/callback"))?;
    /// assert!(response.url.starts_with("https://www.example.com/callback?code="));
    /// let refused = emulator.authorize(&format!("{url}http://127.0.0.1:8080/callback"));
    /// assert!(matches!(refused, Err(AuthorizeError::Refused { code: 2014, .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn redirect_uri(mut self, uri: &str) -> io::Result<Self> {
        if !redirect::is_valid(uri) {
            let message = "a redirect URI must be absolute and without a fragment";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.config.redirect_uris.push(uri.to_owned());
        Ok(self)
    }

    /// Sets whether authorization responses, errors included, contain [`Emulator::issuer`] as `iss` (RFC 9207).
    /// Default: false, as LoginRadius documents no `iss`.
    #[must_use]
    pub fn issuer_in_authorization_response(mut self, on: bool) -> Self {
        self.config.issuer_in_responses = on;
        self
    }

    /// Sets the URL at which browsers reach the pages, for example that of a tunnel. It is used in `verification_uri`
    /// and in the `iss` of JWTs, and requests may name its host. Default: [`Emulator::base_url`].
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if it is not an `http` or `https` URL without path, query and fragment.
    pub fn public_url(mut self, url: &str) -> io::Result<Self> {
        let invalid = || {
            let message = "the public URL must be http:// or https:// and a host, nothing more";
            io::Error::new(io::ErrorKind::InvalidInput, message)
        };
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let authority = uri.authority().ok_or_else(invalid)?;
        let scheme = uri.scheme_str().unwrap_or_default();
        if !matches!(scheme, "http" | "https") || uri.path() != "/" || uri.query().is_some() || url.contains(['@', '#'])
        {
            return Err(invalid());
        }
        self.config.public_url = Some(format!("{scheme}://{authority}"));
        self.config.public_host = Some(authority.as_str().to_ascii_lowercase());
        Ok(self)
    }

    /// Sets whether the OAuth operations refuse forms, with LoginRadius's code 965. Default: false, they take forms and
    /// JSON. The JWT operations never take forms.
    #[must_use]
    pub fn json_only(mut self, json_only: bool) -> Self {
        self.config.json_only = json_only;
        self
    }

    /// Sets whether device code responses contain a `verification_uri_complete`, which LoginRadius documents as
    /// optional. Default: true.
    #[must_use]
    pub fn verification_uri_complete(mut self, complete: bool) -> Self {
        self.config.verification_uri_complete = complete;
        self
    }

    /// Stops the emulator's clock: only [`Emulator::advance`] moves it. Default: the clock follows real time, and
    /// [`Emulator::advance`] moves it further.
    #[must_use]
    pub fn manual_clock(mut self) -> Self {
        self.config.manual_clock = true;
        self
    }

    /// Starts the emulator on 127.0.0.1.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AddrInUse`] if the port is in use; other kinds if the operating system provides no socket,
    /// thread or random numbers, or if its clock is before 1970.
    pub fn start(self) -> io::Result<Emulator> {
        Emulator::run(self.config)
    }
}
