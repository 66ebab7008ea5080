use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;

use crate::api::Api;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::wire::character::invisible_in;

/// Where LoginRadius is, which of its APIs it has there, and how requests to it are written.
///
/// | to use | make it by |
/// | --- | --- |
/// | LoginRadius's classic API | [`Service::classic`], the default of an [`App`](crate::App) |
/// | the API of your site, under its own name or a custom domain | [`Service::site`] |
/// | OpenID Connect at your site, which LoginRadius's console makes applications for today | [`Service::oidc`] |
/// | OpenID Connect at LoginRadius's classic host | [`Service::classic_oidc`] |
/// | any of them at a gateway or an emulator | [`Service::classic_at`], [`Service::site_at`], [`Service::oidc_at`], [`Service::classic_oidc_at`] |
///
/// ```
/// use loginradius_proto::Service;
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let default = Service::classic();
/// assert_eq!(default.to_string(), "https://cloud-api.loginradius.com");
///
/// let site = Service::site("acme.hub.loginradius.com")?;
/// let behind_a_gateway = Service::classic_at("https://sso.example.com/loginradius")?;
/// let emulator = Service::site_at("http://127.0.0.1:8710")?;
///
/// // http would send passwords and secrets unencrypted.
/// assert!(Service::classic_at("http://sso.example.com").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[doc(alias(
    "domain",
    "custom domain",
    "host",
    "base URL",
    "endpoint URL",
    "environment",
    "cloud-api.loginradius.com"
))]
pub struct Service {
    api: Api,
    base: BaseUrl,
    api_host: BaseUrl,
    dialect: Dialect,
}

/// The base of the URLs of a [`Service`]: scheme, host, and perhaps a port and the beginning of the path.
///
/// `Display` writes it as a URL without a `/` at its end.
///
/// ```
/// use loginradius_proto::Service;
///
/// assert_eq!(Service::classic().base().to_string(), "https://cloud-api.loginradius.com");
/// assert_eq!(Service::classic().api_host().to_string(), "https://api.loginradius.com");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// Scheme and authority, as in `https://example.com:8443`.
    origin: String,
    /// The beginning of the path: empty, or as in `/a/b`.
    prefix: String,
    loopback: bool,
}

impl Service {
    /// Makes the service of the classic API at `https://cloud-api.loginradius.com`.
    #[must_use]
    pub fn classic() -> Self {
        Self::new(Api::Classic, BaseUrl::known("https://cloud-api.loginradius.com"))
    }

    /// Makes the service of the classic API at another URL: that of a gateway or an emulator. If the URL has a path,
    /// every request's path begins with it.
    ///
    /// A gateway or an emulator is expected to serve [LoginRadius's API host](Self::api_host) at the same URL.
    /// [`with_api_host`](Self::with_api_host) sets another one. For a URL below `loginradius.com` it stays
    /// `https://api.loginradius.com`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) unless it is an `https` URL, or an `http` URL of
    /// this machine (`localhost`, `127.0.0.0/8`, `[::1]`). It must be ASCII (an international host name in its `xn--`
    /// form). It must have a host without a dot at its end, a port from 1 to 65535 or none, and no user information,
    /// query, fragment, backslash, dot segment or empty segment. The message says what is wrong with it, and what to
    /// write.
    pub fn classic_at(url: &str) -> Result<Self, Error> {
        Self::at(Api::Classic, url)
    }

    /// Makes the service of the site API at a host, by https: `acme.hub.loginradius.com`, or a custom domain.
    ///
    /// [LoginRadius's API host](Self::api_host) stays `https://api.loginradius.com`, also for a custom domain (with
    /// [`site_at`](Self::site_at), it is the given URL).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if it is not a whole host name, with a port or
    /// without. A name without a domain, such as `acme`, is refused. For a URL, and for a host in your own network, use
    /// [`site_at`](Self::site_at).
    pub fn site(host: &str) -> Result<Self, Error> {
        Self::at_site(Api::Site, host)
    }

    /// Makes the service of OpenID Connect at the host of a site, by https. It needs [`App::with_oidc_app`].
    ///
    /// The host and the [API host](Self::api_host) are treated as by [`site`](Self::site).
    ///
    /// ```
    /// use loginradius_proto::{App, Service};
    ///
    /// # fn main() -> Result<(), loginradius_proto::Error> {
    /// let app = App::new("my-client-id")
    ///     .with_client_secret("my-client-secret")
    ///     .with_oidc_app("my-oidc-app")
    ///     .with_service(Service::oidc("acme.hub.loginradius.com")?);
    /// # let _ = app;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`site`](Self::site).
    ///
    /// [`App::with_oidc_app`]: crate::App::with_oidc_app
    #[doc(alias("OpenID Connect", "openid"))]
    pub fn oidc(host: &str) -> Result<Self, Error> {
        Self::at_site(Api::Oidc, host)
    }

    fn at_site(api: Api, host: &str) -> Result<Self, Error> {
        if host.is_empty() {
            return Err(Error::configuration("the site is empty: use a host such as acme.hub.loginradius.com"));
        }
        if host.contains('/') {
            return Err(Error::configuration(
                "the site has to be a host and contains a `/`: use one such as acme.hub.loginradius.com, or pass a \
                 whole URL to `Service::site_at` or `Service::oidc_at`",
            ));
        }
        let base = BaseUrl::parse("site", &format!("https://{host}"))?;
        let name = split_port(host).map_or(host, |(name, _)| name);
        if !base.loopback && !name.contains(['.', ':']) {
            return Err(Error::configuration(
                "the site has no domain: write the whole host, such as acme.hub.loginradius.com (for a host in your own \
                 network, use `Service::site_at` or `Service::oidc_at`)",
            ));
        }
        Ok(Self::new(api, base))
    }

    /// Makes the service of the site API at a gateway or an emulator. For a custom domain, use [`site`](Self::site).
    ///
    /// The URL's path and the [API host](Self::api_host) are treated as by [`classic_at`](Self::classic_at).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), for the same URLs as
    /// [`classic_at`](Self::classic_at).
    pub fn site_at(url: &str) -> Result<Self, Error> {
        Self::at(Api::Site, url)
    }

    /// Makes the service of OpenID Connect at a gateway or an emulator, with the addresses of a site. For a custom
    /// domain, use [`oidc`](Self::oidc).
    ///
    /// The URL's path and the [API host](Self::api_host) are treated as by [`classic_at`](Self::classic_at).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), for the same URLs as
    /// [`classic_at`](Self::classic_at).
    pub fn oidc_at(url: &str) -> Result<Self, Error> {
        Self::at(Api::Oidc, url)
    }

    /// Makes the service of OpenID Connect at `https://cloud-api.loginradius.com`. It needs
    /// [`App::with_oidc_app`](crate::App::with_oidc_app), and has no device login.
    #[must_use]
    pub fn classic_oidc() -> Self {
        Self::new(Api::ClassicOidc, BaseUrl::known("https://cloud-api.loginradius.com"))
    }

    /// Makes the service of classic OpenID Connect at another URL: that of a gateway or an emulator.
    ///
    /// The URL's path and the [API host](Self::api_host) are treated as by [`classic_at`](Self::classic_at).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), for the same URLs as
    /// [`classic_at`](Self::classic_at).
    pub fn classic_oidc_at(url: &str) -> Result<Self, Error> {
        Self::at(Api::ClassicOidc, url)
    }

    fn at(api: Api, url: &str) -> Result<Self, Error> {
        let base = BaseUrl::parse("base URL", url)?;
        let service = Self::new(api, base.clone());
        Ok(if base.is_loginradius() { service } else { Self { api_host: base, ..service } })
    }

    fn new(api: Api, base: BaseUrl) -> Self {
        // A test on this machine sends nothing to LoginRadius.
        let api_host = if base.loopback { base.clone() } else { BaseUrl::known("https://api.loginradius.com") };
        Self { api, base, api_host, dialect: Dialect::new() }
    }

    /// Sets the URL of LoginRadius's API host, for [endpoints of your own](crate::Endpoint#an-endpoint-of-your-own).
    ///
    /// The default depends on how the service was made. It is where access tokens and API keys are sent:
    ///
    /// | made by | API host |
    /// | --- | --- |
    /// | [`classic`](Self::classic), [`site`](Self::site), [`oidc`](Self::oidc), [`classic_oidc`](Self::classic_oidc) | `https://api.loginradius.com` |
    /// | a function that takes a URL, such as [`site_at`](Self::site_at), with one below `loginradius.com` | `https://api.loginradius.com` |
    /// | a function that takes a URL, such as [`site_at`](Self::site_at), with any other | that URL |
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), for the same URLs as
    /// [`classic_at`](Self::classic_at).
    pub fn with_api_host(self, url: &str) -> Result<Self, Error> {
        Ok(Self { api_host: BaseUrl::parse("URL of the API host", url)?, ..self })
    }

    /// Sets how requests are written where LoginRadius's documentation leaves a choice; [`Dialect::new()`] by default.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if LoginRadius's documentation of this API rules a
    /// setting of the dialect out: the message says which.
    pub fn with_dialect(self, dialect: Dialect) -> Result<Self, Error> {
        dialect.check(self.api)?;
        Ok(Self { dialect, ..self })
    }

    /// Returns which of LoginRadius's APIs it is.
    #[must_use]
    pub fn api(&self) -> Api {
        self.api
    }

    /// Returns the base URL of the OAuth and JWT operations, and of the pages that a browser opens.
    #[must_use]
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Returns the base URL of LoginRadius's API host, which has the user's profile and hundreds of other operations.
    #[must_use]
    pub fn api_host(&self) -> &BaseUrl {
        &self.api_host
    }

    /// Returns how requests are written.
    #[must_use]
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Returns which of the two base URLs a request goes to, by scheme, host and port; `None` if it goes elsewhere.
    ///
    /// The flows of this crate send to these two only. A transport that has settings for each of them, such as a proxy
    /// or a certificate, finds them by this.
    ///
    /// ```
    /// use loginradius_proto::Service;
    ///
    /// let service = Service::classic();
    /// let base_of = |url: &str| service.base_of(&url.parse().unwrap()).map(|base| base.to_string());
    /// assert_eq!(base_of("https://api.loginradius.com/x").as_deref(), Some("https://api.loginradius.com"));
    /// assert_eq!(base_of("https://api.loginradius.com.evil.example/x"), None);
    /// ```
    #[must_use]
    pub fn base_of(&self, uri: &Uri) -> Option<&BaseUrl> {
        [&self.base, &self.api_host].into_iter().find(|base| base.serves(uri))
    }
}

impl BaseUrl {
    fn known(origin: &str) -> Self {
        Self { origin: origin.to_owned(), prefix: String::new(), loopback: false }
    }

    /// Returns whether the host is one of LoginRadius's own.
    fn is_loginradius(&self) -> bool {
        let host = self.origin.trim_start_matches("https://").split(':').next().unwrap_or_default();
        host.to_ascii_lowercase().ends_with(".loginradius.com")
    }

    fn parse(what: &str, url: &str) -> Result<Self, Error> {
        let invalid = |why: &str| Err(Error::configuration(format!("the {what} {why}")));
        if url.contains(' ') || invisible_in(url).is_some() {
            return invalid("has a space or an invisible character: remove it");
        }
        if !url.is_ascii() {
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            return invalid(if host.is_ascii() {
                "has a character outside of ASCII after its host: percent-encode it"
            } else {
                "has a host with a character outside of ASCII: write its ASCII form, which begins with xn--"
            });
        }
        if url.contains('\\') {
            return invalid("has a backslash: use `/`");
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return invalid("lacks a scheme: begin it with https:// (http:// for this machine itself)");
        };
        let secure = scheme.eq_ignore_ascii_case("https");
        if !secure && !scheme.eq_ignore_ascii_case("http") {
            return invalid("has a scheme other than https: begin it with https://");
        }
        if rest.contains('#') {
            return invalid("has a fragment (`#`): remove it");
        }
        if rest.contains('?') {
            return invalid("has a query (`?`): remove it");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = match check_authority(authority) {
            Ok(host) => host,
            Err(why) => return invalid(why),
        };
        let loopback = is_loopback(host);
        if !secure && host.to_ascii_lowercase().ends_with(".localhost") {
            return invalid(
                "is http, and a resolver may take a name below `localhost` to another machine: use `localhost` itself",
            );
        }
        if !secure && !loopback {
            return invalid(
                "is http, which would send passwords and secrets unencrypted: use https (http is allowed only for \
                 localhost, 127.0.0.0/8 and [::1])",
            );
        }
        let prefix = path.strip_suffix('/').unwrap_or(path);
        if prefix.split('/').skip(1).any(is_dot_or_empty) {
            return invalid("has an empty, `.` or `..` segment in its path: remove it");
        }
        let scheme = if secure { "https" } else { "http" };
        let origin = format!("{scheme}://{authority}");
        if format!("{origin}{prefix}/").parse::<Uri>().is_err() {
            return invalid("is not a URL: write one such as https://sso.example.com");
        }
        Ok(Self { origin, prefix: prefix.to_owned(), loopback })
    }

    /// Returns whether the host is this machine: `localhost`, `127.0.0.0/8` or `[::1]`. A transport uses no proxy then.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Returns whether a request goes to this scheme, host and port.
    fn serves(&self, uri: &Uri) -> bool {
        match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => {
                self.origin.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")) == Some(authority.as_str())
            }
            _ => false,
        }
    }
}

/// Returns whether a segment of a path, percent-encoded or not, is empty, `.` or `..`.
pub(crate) fn is_dot_or_empty(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    matches!(plain.as_str(), "" | "." | "..")
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.prefix)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({self})")
    }
}

/// Writes the base URL of the OAuth and JWT operations.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base.fmt(f)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("api", &self.api)
            .field("base", &self.base)
            .field("api_host", &self.api_host)
            .field("dialect", &self.dialect)
            .finish()
    }
}

/// Returns the host of an authority that has a host and perhaps a port. The error says what is wrong with any other.
pub(crate) fn check_authority(authority: &str) -> Result<&str, &'static str> {
    if authority.contains('@') {
        return Err("has user information (`@`): remove it, and check that the host is the one you mean");
    }
    // With the dot it would be another name to certificates, and when it is compared with other URLs.
    if authority.split(':').next().and_then(|host| host.strip_suffix('.')).is_some_and(is_name) {
        return Err("has a host that ends with a dot: remove the dot");
    }
    let (host, port) = split_port(authority).ok_or("has a host that is not a name or an address: correct it")?;
    if port.is_some_and(|port| !matches!(port.parse::<u16>(), Ok(1..)) || port.starts_with('+')) {
        return Err("has a port that is not a number from 1 to 65535: correct it");
    }
    Ok(host)
}

/// Splits a host from its port; `None` if the host is neither a name nor an address.
pub(crate) fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        let host = authority.get(..address.len() + 2)?;
        return match port {
            "" => Some((host, None)),
            _ => Some((host, Some(port.strip_prefix(':')?))),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    is_name(host).then_some((host, port))
}

/// Returns whether that is the name of a host, or an address of IPv4.
fn is_name(host: &str) -> bool {
    is_written_as_name(host) && (!ends_in_number(host) || host.parse::<Ipv4Addr>().is_ok())
}

/// Returns whether the text has only the characters of a name. HTTP clients may still read it as an address.
pub(crate) fn is_written_as_name(host: &str) -> bool {
    let mut label_is_empty = true;
    for byte in host.bytes() {
        let is_dot = byte == b'.';
        if is_dot && label_is_empty || !(is_dot || byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return false;
        }
        label_is_empty = is_dot;
    }
    !label_is_empty
}

/// Returns whether HTTP clients try to read the host as an IPv4 address: they read `127.1` and `0x7f.1` as 127.0.0.1,
/// and refuse `10.0.0.300` (WHATWG URL, "ends in a number checker").
fn ends_in_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    match last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")) {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.trim_matches(['[', ']']).parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}
