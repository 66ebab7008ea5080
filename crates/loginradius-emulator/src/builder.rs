//! Starting an emulator, with settings of one's own or without.

use std::io;
use std::time::Duration;

use hyper::Uri;

use crate::authorization_response::ResponseMode;
use crate::config::Config;
use crate::emulator::Emulator;
use crate::redirect;

/// Settings of an [`Emulator`], from [`Emulator::builder`].
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
    /// Starts one with the default settings on a free port.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::start`].
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Settings for another one than the default.
    #[must_use]
    pub fn builder() -> Builder {
        Builder { config: Config::default() }
    }
}

impl Builder {
    /// The port on 127.0.0.1. Default: 0, a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.config.port = port;
        self
    }

    /// The least time between two polls of a device. Default: 5 seconds. It is announced in whole seconds,
    /// rounded up; zero means that no poll is too early.
    #[must_use]
    pub fn device_interval(mut self, interval: Duration) -> Self {
        self.config.device_interval = interval;
        self
    }

    /// How long a device code and its user code live. Default: 1800 seconds.
    #[must_use]
    pub fn device_lifetime(mut self, lifetime: Duration) -> Self {
        self.config.device_lifetime = lifetime;
        self
    }

    /// How long an access token lives. Default: 3600 seconds.
    #[must_use]
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.config.access_token_lifetime = lifetime;
        self
    }

    /// How long a refresh token lives that is not used. Default: 60 days, as LoginRadius's page "Refresh Token" says.
    #[must_use]
    pub fn refresh_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.config.refresh_token_lifetime = lifetime;
        self
    }

    /// The grace period of a spent refresh token: how long after its rotation it may be sent again. Default: zero, and
    /// the second use is a replay at once. LoginRadius documents none; other authorization servers have one for
    /// clients that lose an answer, or that refresh twice at the same moment.
    ///
    /// Until it is over, each refresh with the spent token is answered with one more new pair, and nothing is taken
    /// back: the spent token's first successor, and every other token of the sign-in, is as good as before. The period
    /// counts from the rotation and does not get longer by use; at its very end the token is a replay again, which ends
    /// the sign-in with all its pairs. [`Emulator::graced`] counts these refreshes.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use loginradius_emulator::{Emulator, Fault, Operation, seeded};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let emulator = Emulator::builder().refresh_grace(Duration::from_secs(30)).manual_clock().start()?;
    /// let token = emulator.sign_in(&seeded::ADA).refresh_token.ok_or("no refresh token")?;
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
    /// // The answer is lost, and the client sends its token again: the sign-in lives on.
    /// emulator.fault_times(Operation::Refresh, Fault::DropAfter, 1);
    /// assert!(refresh().is_err());
    /// assert!(refresh().is_ok());
    /// assert_eq!((emulator.graced(), emulator.replays(), emulator.live_families()), (1, 0, 1));
    ///
    /// // Too late.
    /// emulator.advance(Duration::from_secs(30));
    /// assert!(refresh().is_err());
    /// assert_eq!((emulator.graced(), emulator.replays(), emulator.live_families()), (1, 1, 0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn refresh_grace(mut self, grace: Duration) -> Self {
        self.config.refresh_grace = grace;
        self
    }

    /// How long a JWT lives. Default: 600 seconds, as LoginRadius's "JWT Implementation Guide" says.
    #[must_use]
    pub fn jwt_lifetime(mut self, lifetime: Duration) -> Self {
        self.config.jwt_lifetime = lifetime;
        self
    }

    /// The claim `aud` of JWTs, a single string. Default: they have none. LoginRadius's guide "JWT" calls the setting
    /// "Audiences".
    #[must_use]
    pub fn jwt_audience(mut self, audience: &str) -> Self {
        self.config.jwt_audience = Some(audience.to_owned());
        self
    }

    /// How a JWT reaches the application when a browser signs in: "Response Mode" of LoginRadius's guide "JWT".
    /// Default: [`ResponseMode::Query`].
    #[must_use]
    pub fn jwt_response_mode(mut self, mode: ResponseMode) -> Self {
        self.config.jwt_response_mode = mode;
        self
    }

    /// The name under which a JWT reaches the application when a browser signs in. Default: `token`. LoginRadius leaves
    /// the name to the settings of the JWT app.
    #[must_use]
    pub fn jwt_response_parameter(mut self, name: &str) -> Self {
        self.config.jwt_response_parameter = name.to_owned();
        self
    }

    /// An address to which browsers may be sent after a sign-in, OAuth's or JWT's; call it once for each. It must be
    /// asked for exactly as it is given here. Default: every `http` address of `127.0.0.1`, `localhost` and `[::1]`, on
    /// any port and without a fragment; once an address is given, it and its like are the only ones.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if it is not an absolute address without fragment, user name and password, of
    /// `http`, `https` or a scheme with a period (RFC 8252, section 7.1).
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
    /// let landing = emulator.authorize(&format!("{url}https://www.example.com/callback"))?;
    /// assert!(landing.url.starts_with("https://www.example.com/callback?code="));
    /// let elsewhere = emulator.authorize(&format!("{url}http://127.0.0.1:8080/callback"));
    /// assert!(matches!(elsewhere, Err(AuthorizeError::Refused { code: 2014, .. })));
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

    /// Whether the answer to an authorization names [`Emulator::issuer`] as `iss` (RFC 9207), errors included. Default:
    /// false, as LoginRadius documents none.
    #[must_use]
    pub fn issuer_in_authorization_response(mut self, on: bool) -> Self {
        self.config.issuer_in_responses = on;
        self
    }

    /// The address under which people reach the pages, for example that of a tunnel. It goes into
    /// `verification_uri` and into the `iss` of JWTs, and requests that name its host are answered. Default: the
    /// emulator's own address.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if it is not an `http` or `https` address without path, query and fragment.
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

    /// Whether the OAuth operations refuse forms, with LoginRadius's code 965. Default: false, they take forms and
    /// JSON. The JWT operations never take forms.
    #[must_use]
    pub fn json_only(mut self, json_only: bool) -> Self {
        self.config.json_only = json_only;
        self
    }

    /// Whether device answers have a `verification_uri_complete`, which LoginRadius documents as optional.
    /// Default: true.
    #[must_use]
    pub fn verification_uri_complete(mut self, complete: bool) -> Self {
        self.config.verification_uri_complete = complete;
        self
    }

    /// A clock that stands still until [`Emulator::advance`] moves it. Default: real time, which
    /// [`Emulator::advance`] can push forward.
    #[must_use]
    pub fn manual_clock(mut self) -> Self {
        self.config.manual_clock = true;
        self
    }

    /// Starts the emulator on 127.0.0.1.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AddrInUse`] if something else has the port; other kinds if the operating system refuses a
    /// socket, a thread or random numbers.
    pub fn start(self) -> io::Result<Emulator> {
        Emulator::run(self.config)
    }
}
