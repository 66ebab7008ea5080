use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;

use crate::api::Api;
use crate::dialect::Dialect;
use crate::error::Error;

/// Where LoginRadius is, which of its two APIs is spoken there, and how.
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
/// // The password and the secret would cross the network in the clear.
/// assert!(Service::classic_at("http://sso.example.com").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[doc(alias("domain", "host", "base URL", "cloud-api.loginradius.com"))]
pub struct Service {
    api: Api,
    base: BaseUrl,
    api_host: BaseUrl,
    dialect: Dialect,
}

/// The beginning of addresses: a scheme, a host, perhaps a port, perhaps the beginning of a path.
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
    /// Makes the classic API at `https://cloud-api.loginradius.com`.
    #[must_use]
    pub fn classic() -> Self {
        Self::new(Api::Classic, BaseUrl::known("https://cloud-api.loginradius.com"))
    }

    /// Makes the classic API at another address: a gateway, a custom domain, an emulator. A path in it is kept as the
    /// beginning of every path.
    ///
    /// [LoginRadius's API host](Self::api_host) is taken to be at that address, too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) unless it is an `https` URL (`http` is allowed for
    /// `localhost`, `127.0.0.0/8` and `[::1]`) without user information, query, fragment, backslash, dot segments,
    /// empty segments, a port out of range or anything outside of ASCII.
    pub fn classic_at(url: &str) -> Result<Self, Error> {
        Self::at(Api::Classic, url)
    }

    /// Makes the site API at a host: `acme.hub.loginradius.com`, or a custom domain.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if that is not a host, with a port or without.
    pub fn site(host: &str) -> Result<Self, Error> {
        if host.is_empty() {
            return Err(Error::configuration("the site is empty: it is a host such as acme.hub.loginradius.com"));
        }
        if host.contains('/') {
            return Err(Error::configuration(
                "the site is a host such as acme.hub.loginradius.com, without a scheme or a path: \
                 for a whole URL, use `Service::site_at`",
            ));
        }
        let base = BaseUrl::parse(&format!("https://{host}"))?;
        if !base.loopback && !host.contains(['.', ':']) {
            return Err(Error::configuration(
                "the site is a whole host such as acme.hub.loginradius.com: add its domain",
            ));
        }
        Ok(Self::new(Api::Site, base))
    }

    /// Makes the site API at any address, as [`classic_at`](Self::classic_at) does for the classic one.
    ///
    /// # Errors
    ///
    /// Those of [`classic_at`](Self::classic_at).
    pub fn site_at(url: &str) -> Result<Self, Error> {
        Self::at(Api::Site, url)
    }

    fn at(api: Api, url: &str) -> Result<Self, Error> {
        let base = BaseUrl::parse(url)?;
        Ok(Self { api_host: base.clone(), ..Self::new(api, base) })
    }

    fn new(api: Api, base: BaseUrl) -> Self {
        Self { api, base, api_host: BaseUrl::known("https://api.loginradius.com"), dialect: Dialect::new() }
    }

    /// Sets where LoginRadius's API host is, for [endpoints of your own](crate::Endpoint#an-endpoint-of-your-own).
    /// `https://api.loginradius.com` by default, or the address that was given for the rest.
    ///
    /// # Errors
    ///
    /// Those of [`classic_at`](Self::classic_at).
    pub fn with_api_host(self, url: &str) -> Result<Self, Error> {
        Ok(Self { api_host: BaseUrl::parse(url)?, ..self })
    }

    /// Sets how requests are written, where LoginRadius's documentation leaves a choice.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if this API does not have what the dialect asks
    /// for: the message says what.
    pub fn with_dialect(self, dialect: Dialect) -> Result<Self, Error> {
        dialect.check(self.api)?;
        Ok(Self { dialect, ..self })
    }

    /// Returns which API it is.
    #[must_use]
    pub fn api(&self) -> Api {
        self.api
    }

    /// Returns the address of the OAuth and JWT operations.
    #[must_use]
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Returns the address of LoginRadius's API host, which has the profile of the user and hundreds of other calls.
    #[must_use]
    pub fn api_host(&self) -> &BaseUrl {
        &self.api_host
    }

    /// Returns how requests are written.
    #[must_use]
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Returns which of the two addresses a request goes to; `None` if it goes elsewhere.
    ///
    /// A client sends to its own service only, and a transport may hold settings for one address (a proxy, a
    /// certificate): it asks before it sends.
    #[must_use]
    pub fn base_of(&self, uri: &Uri) -> Option<&BaseUrl> {
        [&self.base, &self.api_host].into_iter().find(|base| base.serves(uri))
    }
}

impl BaseUrl {
    fn known(origin: &str) -> Self {
        Self { origin: origin.to_owned(), prefix: String::new(), loopback: false }
    }

    fn parse(url: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Err(Error::configuration(format!("the base URL {why}")));
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse("has a space, a control character or a character outside of ASCII: remove it");
        }
        if url.contains('\\') {
            return refuse("has a backslash: use `/`");
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return refuse("lacks a scheme: begin it with https:// (http:// for this machine itself)");
        };
        let secure = scheme.eq_ignore_ascii_case("https");
        if !secure && !scheme.eq_ignore_ascii_case("http") {
            return refuse("has a scheme other than https: begin it with https://");
        }
        if rest.contains('#') {
            return refuse("has a fragment (`#`): remove it");
        }
        if rest.contains('?') {
            return refuse("has a query (`?`): remove it");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let loopback = match check_authority(authority) {
            Ok(loopback) => loopback,
            Err(why) => return refuse(why),
        };
        if !secure && !loopback {
            return refuse(
                "is http, so that passwords and secrets would cross the network in the clear: use https \
                 (http is for localhost, 127.0.0.0/8 and [::1] alone)",
            );
        }
        let prefix = path.strip_suffix('/').unwrap_or(path);
        if prefix.split('/').skip(1).any(is_dot_or_empty) {
            return refuse("has an empty or a dot segment in its path: write the path out");
        }
        let scheme = if secure { "https" } else { "http" };
        let origin = format!("{scheme}://{authority}");
        if format!("{origin}{prefix}/").parse::<Uri>().is_err() {
            return refuse("is not a URL");
        }
        Ok(Self { origin, prefix: prefix.to_owned(), loopback })
    }

    /// Returns whether the host is this machine: `localhost`, `127.0.0.0/8` or `[::1]`. No proxy belongs in between
    /// then.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Returns whether a request goes to the same scheme, host and port.
    fn serves(&self, uri: &Uri) -> bool {
        match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => self.origin == format!("{scheme}://{authority}"),
            _ => false,
        }
    }
}

/// Returns whether a segment of a path, percent-encoded or not, leads elsewhere than it says.
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

/// Writes the address of the OAuth and JWT operations.
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

/// Whether that is this machine, with a port or without; or why it cannot be used.
pub(crate) fn check_authority(authority: &str) -> Result<bool, &'static str> {
    if authority.contains('@') {
        return Err("has user information (`@`): remove it, and check that the host is the one you mean");
    }
    let (host, port) = split_port(authority).ok_or("has a host that is not a name or an address")?;
    if port.is_some_and(|port| !matches!(port.parse::<u16>(), Ok(1..)) || port.starts_with('+')) {
        return Err("has a port that is not a number from 1 to 65535");
    }
    Ok(is_loopback(host))
}

/// Host and port; `None` if the host is neither a name nor an address.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
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
    let name = !host.is_empty()
        && host.split('.').all(|label| !label.is_empty())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    name.then_some((host, port))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}
