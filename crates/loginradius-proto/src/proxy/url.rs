use std::fmt;
use std::net::Ipv6Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::proxy::host;
use crate::secret::Password;
use crate::service::split_port;
use crate::text_form::text_form;

/// A proxy: how it is spoken to, where it is, and perhaps the credentials for it.
///
/// `Display` writes it as a URL, such as `http://proxy.example.com:3128`. Neither it nor `Debug` shows the credentials.
/// [`ProxySettings`](crate::proxy::ProxySettings) make it.
#[derive(Clone)]
pub struct Proxy {
    scheme: ProxyScheme,
    host: String,
    port: u16,
    username: Option<String>,
    password: Option<Password>,
}

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyScheme {
    /// HTTP without TLS. Requests to https targets go through a tunnel ([RFC 9110, section 9.3.6]).
    ///
    /// [RFC 9110, section 9.3.6]: https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
    Http,
    /// HTTP over TLS, up to the proxy; inside, it is the same as [`Http`](Self::Http).
    Https,
    /// SOCKS 5 ([RFC 1928]). The target's name is resolved on this machine.
    ///
    /// [RFC 1928]: https://www.rfc-editor.org/rfc/rfc1928
    Socks5,
    /// SOCKS 5, where the proxy resolves the target's name.
    Socks5h,
}

text_form!(ProxyScheme, "proxy scheme", {
    Http => "http",
    Https => "https",
    Socks5 => "socks5",
    Socks5h => "socks5h",
});

impl Proxy {
    /// Reads the URL of a proxy. `setting` is what its errors are about.
    pub(crate) fn read(setting: &str, url: &str) -> Result<Self, Error> {
        Self::parse(url).map_err(|why| Error::configuration(format!("{setting} {why}")))
    }

    fn parse(url: &str) -> Result<Self, String> {
        let invalid = |why: &str| Err(why.to_owned());
        if url.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            return invalid("has a space or a control character: remove it, or write it as %20 in a password");
        }
        let (scheme, rest) = match url.split_once("://") {
            // Behind one of these it is part of what is ignored, or of a password.
            Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => (read_scheme(scheme)?, rest),
            _ => (ProxyScheme::Http, url),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (credentials, address) = match authority.split_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, authority),
        };
        // What comes before would be taken for the host, and printed.
        if address.contains('@') || path.contains('@') {
            return invalid(
                "has an `@`, `/`, `?` or `#` in its user name or password: write them as %40, %2F, %3F and %23",
            );
        }
        let Some((host, port)) = split_port(address) else {
            return invalid(
                "has no host that is a name in ASCII or an address: write it as in http://proxy.example.com:3128, \
                 and an IPv6 address in brackets",
            );
        };
        let port = match port {
            None => scheme.default_port(),
            Some(port) => match host::port(port) {
                Some(port) => port,
                None => return invalid("has a port that is not a number from 1 to 65535: correct the number"),
            },
        };
        if scheme.is_socks() && !matches!(path, "" | "/") {
            return invalid("has a path, and a SOCKS proxy has none (Unix sockets are not supported): remove it");
        }
        let host = host.trim_matches(['[', ']']);
        // One spelling of an IPv6 address, so that equal proxies are equal.
        let host = host.parse::<Ipv6Addr>().map_or_else(|_| host.to_owned(), |address| address.to_string());
        let (username, password) = match credentials {
            Some(credentials) => read_credentials(scheme, credentials)?,
            None => (None, None),
        };
        Ok(Self { scheme, host, port, username, password })
    }

    /// Returns how the proxy is spoken to.
    #[must_use]
    pub fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    /// Returns the proxy's name or address; an IPv6 address is without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the proxy's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the user name, percent-decoded. It is empty if there is a password alone.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// Returns the password, percent-decoded.
    #[must_use]
    pub fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }

    /// Returns the value of the header `Proxy-Authorization` by HTTP Basic authentication ([RFC 7617]), marked as
    /// sensitive; `None` without credentials, and for SOCKS, which has a way of its own ([RFC 1929]).
    ///
    /// It is for the proxy alone. Send it with `CONNECT`, and with requests to http targets.
    ///
    /// ```
    /// use loginradius_proto::http::Uri;
    /// use loginradius_proto::proxy::ProxySettings;
    ///
    /// # fn main() -> Result<(), loginradius_proto::Error> {
    /// let settings = ProxySettings::all("http://Aladdin:open%20sesame@proxy.example.com:3128")?;
    /// let proxy = settings.proxy_for(&Uri::from_static("https://cloud-api.loginradius.com/"))?.expect("a proxy");
    /// assert_eq!(proxy.authorization().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [RFC 7617]: https://www.rfc-editor.org/rfc/rfc7617
    /// [RFC 1929]: https://www.rfc-editor.org/rfc/rfc1929
    #[must_use]
    #[doc(alias("Proxy-Authorization", "basic"))]
    pub fn authorization(&self) -> Option<HeaderValue> {
        let username = self.username().filter(|_| !self.scheme.is_socks())?;
        let password = self.password().map_or("", Password::expose);
        let pair = Zeroizing::new(format!("{username}:{password}"));
        let mut value = Zeroizing::new("Basic ".to_owned());
        STANDARD.encode_string(pair.as_bytes(), &mut value);
        let mut header = HeaderValue::from_str(&value).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

impl ProxyScheme {
    /// Returns the port of a proxy whose URL has none: curl's.
    fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http | Self::Socks5 | Self::Socks5h => 1080,
        }
    }

    fn is_socks(self) -> bool {
        match self {
            Self::Socks5 | Self::Socks5h => true,
            Self::Http | Self::Https => false,
        }
    }
}

fn read_scheme(text: &str) -> Result<ProxyScheme, String> {
    text.to_ascii_lowercase().parse().map_err(|_| {
        // RFC 3986, section 3.1. What is no scheme may be part of a password.
        let is_scheme = text.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        let scheme = if is_scheme && text.len() <= 20 { format!("the scheme `{text}`") } else { "a scheme".to_owned() };
        format!("has {scheme}, which is not supported: use http, https, socks5 or socks5h")
    })
}

fn read_credentials(scheme: ProxyScheme, text: &str) -> Result<(Option<String>, Option<Password>), String> {
    let (username, password) = match text.split_once(':') {
        Some((username, password)) => (username, Some(password)),
        None => (text, None),
    };
    let username = decode(username)?;
    let password = password.map(decode).transpose()?.map(Password::new);
    let is_too_long = |text: &str| scheme.is_socks() && text.len() > 255;
    if is_too_long(&username) || password.as_ref().is_some_and(|password| is_too_long(password.expose())) {
        return Err("has a user name or password of more than 255 bytes, the limit of SOCKS: use a shorter one".into());
    }
    if !scheme.is_socks() && username.contains(':') {
        return Err("has a colon in its user name, which HTTP Basic authentication cannot send: use another one".into());
    }
    let is_given = password.is_some() || !username.is_empty();
    Ok((is_given.then_some(username), password))
}

fn decode(text: &str) -> Result<String, String> {
    // The environment's bytes that are not UTF-8 come as replacement characters.
    let decoded = percent_decode_str(text).decode_utf8().ok();
    let Some(decoded) = decoded.filter(|text| !text.contains(char::REPLACEMENT_CHARACTER)) else {
        return Err("has a user name or password that is not in UTF-8: percent-encode its UTF-8 bytes".to_owned());
    };
    if decoded.chars().any(char::is_control) {
        return Err("has a control character in its user name or password: remove it".to_owned());
    }
    Ok(decoded.into_owned())
}

impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        let same_password = match (&self.password, &other.password) {
            (Some(one), Some(two)) => one.expose().as_bytes().ct_eq(two.expose().as_bytes()).into(),
            (one, two) => one.is_none() && two.is_none(),
        };
        (self.scheme, &self.host, self.port, &self.username) == (other.scheme, &other.host, other.port, &other.username)
            && same_password
    }
}

impl Eq for Proxy {}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, .. } = self;
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}
