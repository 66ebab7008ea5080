use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;

use crate::error::Error;

/// Where LoginRadius is, and which of its two families of URLs is spoken there.
///
/// ```
/// use loginradius_proto::Service;
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let default = Service::cloud();
/// assert_eq!(default.to_string(), "https://cloud-api.loginradius.com");
///
/// let tenant = Service::site("acme.hub.loginradius.com")?;
/// let behind_a_gateway = Service::cloud().base_url("https://sso.example.com/loginradius")?;
/// let emulator = Service::site("acme.hub.loginradius.com")?.base_url("http://127.0.0.1:8710")?;
///
/// // The password and the secret would cross the network in the clear.
/// assert!(Service::cloud().base_url("http://sso.example.com").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Service {
    family: Family,
    /// Scheme and authority, as in `https://example.com:8443`.
    origin: String,
    /// A prefix of the path: empty, or as in `/a/b`.
    prefix: String,
    loopback: bool,
}

/// LoginRadius's two families of URLs for the same operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// `https://cloud-api.loginradius.com/sso/...`
    Classic,
    /// `https://{site}/api/...`, where the site is `<app>.hub.loginradius.com` or a domain of your own.
    Site,
}

impl Service {
    /// The classic family at `https://cloud-api.loginradius.com`.
    #[must_use]
    pub fn cloud() -> Self {
        Self {
            family: Family::Classic,
            origin: "https://cloud-api.loginradius.com".to_owned(),
            prefix: String::new(),
            loopback: false,
        }
    }

    /// The site family at a host: `acme.hub.loginradius.com`, or a custom domain.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) if that is not a host, with a port or without.
    pub fn site(host: &str) -> Result<Self, Error> {
        if host.is_empty() {
            return Err(Error::settings("the site is empty: it is a host such as acme.hub.loginradius.com"));
        }
        if host.contains('/') {
            return Err(Error::settings(
                "the site is a host such as acme.hub.loginradius.com, without a scheme or a path: \
                 for a whole URL, use `base_url`",
            ));
        }
        Self { family: Family::Site, ..Self::cloud() }.base_url(&format!("https://{host}"))
    }

    /// The same family at another address: a gateway, a custom domain, an emulator. A path is kept as
    /// a prefix.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) unless it is an `https` URL (`http` to
    /// `localhost`, `127.0.0.0/8` or `[::1]` will do) without user information, query, fragment,
    /// backslash, dot segments, empty segments, a port out of range or anything outside of ASCII.
    pub fn base_url(self, url: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Err(Error::settings(format!("the base URL {why}")));
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
        for segment in prefix.split('/').skip(1) {
            let plain = segment.to_ascii_lowercase().replace("%2e", ".");
            if matches!(plain.as_str(), "" | "." | "..") {
                return refuse("has an empty or a dot segment in its path: write the path out");
            }
        }
        let scheme = if secure { "https" } else { "http" };
        let origin = format!("{scheme}://{authority}");
        if format!("{origin}{prefix}/").parse::<Uri>().is_err() {
            return refuse("is not a URL");
        }
        Ok(Self { family: self.family, origin, prefix: prefix.to_owned(), loopback })
    }

    /// The family of URLs.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Whether the host is this machine: `localhost`, `127.0.0.0/8` or `[::1]`. No proxy belongs in
    /// between then.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether a request goes to this service: the same scheme, host and port. A transport that holds
    /// settings for one service (a proxy, a certificate) asks before it sends.
    #[must_use]
    pub fn serves(&self, uri: &Uri) -> bool {
        match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => self.origin == format!("{scheme}://{authority}"),
            _ => false,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.prefix)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({:?}, {self})", self.family)
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
