use std::fmt;
use std::net::Ipv6Addr;

use http::HeaderValue;
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::proxy::host;
use crate::request::basic_value;
use crate::secret::Password;
use crate::secret_buffer::SecretBuffer;
use crate::secret_text::SecretText;
use crate::service::split_port;
use crate::text_form::text_form;

/// A proxy: its scheme, host and port, and the credentials for it, if any.
///
/// `Display` writes it as a URL, such as `http://proxy.example.com:3128`. Neither it nor `Debug` shows the credentials.
/// It comes from [`ProxySettings::proxy_for`](crate::proxy::ProxySettings::proxy_for).
#[derive(Clone)]
pub struct Proxy {
    scheme: ProxyScheme,
    host: String,
    port: u16,
    username: Option<String>,
    password: Option<Password>,
}

/// The protocol of a proxy, which is the scheme of its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyScheme {
    /// HTTP without TLS. Requests to https targets go through a tunnel ([RFC 9110, section 9.3.6]).
    ///
    /// [RFC 9110, section 9.3.6]: https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
    Http,
    /// HTTP over TLS to the proxy. Otherwise the same as [`Http`](Self::Http).
    Https,
    /// SOCKS 5 ([RFC 1928]). This machine resolves the target's name.
    ///
    /// [RFC 1928]: https://www.rfc-editor.org/rfc/rfc1928
    Socks5,
    /// SOCKS 5. The proxy resolves the target's name.
    Socks5h,
}

text_form!(ProxyScheme, "proxy scheme", {
    Http => "http",
    Https => "https",
    Socks5 => "socks5",
    Socks5h => "socks5h",
});

impl Proxy {
    /// Reads the URL of a proxy. Errors begin with `setting`, which says where the URL comes from.
    pub(crate) fn read(setting: &str, url: &str) -> Result<Self, Error> {
        Self::parse(url).map_err(|why| Error::configuration(format!("{setting} {why}")))
    }

    fn parse(url: &str) -> Result<Self, String> {
        let invalid = |why: &str| Err(why.to_owned());
        if url.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            return invalid("has a space or a control character: remove it, or write a space in a password as %20");
        }
        let (scheme, rest) = match url.split_once("://") {
            // After one of these, `://` is in the ignored path, or in a password.
            Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => (read_scheme(scheme)?, rest),
            _ => (ProxyScheme::Http, url),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (credentials, address) = match authority.split_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, authority),
        };
        // A part of a password would be taken for the host, and printed.
        if address.contains('@') || path.contains('@') {
            return invalid(
                "has an `@`, `/`, `?` or `#` in its user name or password: write them as %40, %2F, %3F and %23",
            );
        }
        let Some((host, port)) = split_port(address) else {
            return invalid(
                "has no valid host: write an ASCII name or an address, as in http://proxy.example.com:3128, and an \
                 IPv6 address in brackets",
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
            return invalid("has a path, which a SOCKS proxy cannot have (Unix sockets are not supported): remove it");
        }
        let host = host.trim_matches(['[', ']']);
        // An IPv6 address has several spellings, and equal proxies must compare equal.
        let host = host.parse::<Ipv6Addr>().map_or_else(|_| host.to_owned(), |address| address.to_string());
        let (username, password) = match credentials {
            Some(credentials) => read_credentials(scheme, credentials)?,
            None => (None, None),
        };
        Ok(Self { scheme, host, port, username, password })
    }

    /// Returns the scheme of the proxy's URL.
    #[must_use]
    pub fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    /// Returns the proxy's name or address, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the proxy's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the user name, percent-decoded. It is empty if there is only a password.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// Returns the password, percent-decoded.
    #[must_use]
    pub fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }

    /// Returns the value of the header `Proxy-Authorization` for HTTP Basic authentication ([RFC 7617]), marked as
    /// sensitive. `None` without credentials, and for SOCKS, which sends them in its own protocol ([RFC 1929]).
    ///
    /// Send it to the proxy only: with `CONNECT`, and with requests to http targets.
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
        let mut pair = SecretBuffer::default();
        [username, ":", password].into_iter().for_each(|part| pair.push(part.as_bytes()));
        basic_value(&pair).ok()
    }
}

impl ProxyScheme {
    /// Returns the port of a proxy whose URL has none, as curl documents it.
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
        // RFC 3986, section 3.1. Anything else may be part of a password, and is not shown.
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
    let username = decode(username)?.into_string();
    let password = password.map(decode).transpose()?.map(Password::from);
    let is_too_long = |text: &str| scheme.is_socks() && text.len() > 255;
    if is_too_long(&username) || password.as_ref().is_some_and(|password| is_too_long(password.expose())) {
        return Err("has a user name or password of more than 255 bytes, the limit of SOCKS: use a shorter one".into());
    }
    if !scheme.is_socks() && username.contains(':') {
        return Err("has a colon in its user name, which HTTP Basic authentication cannot send: change it".into());
    }
    let is_given = password.is_some() || !username.is_empty();
    Ok((is_given.then_some(username), password))
}

fn decode(text: &str) -> Result<SecretText, String> {
    // Nothing is longer when it is decoded, so the memory does not grow, which would leave a copy.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    bytes.extend(percent_decode_str(text));
    // The environment's bytes that are not UTF-8 come as replacement characters.
    let decoded = std::str::from_utf8(&bytes).ok();
    let Some(decoded) = decoded.filter(|text| !text.contains(char::REPLACEMENT_CHARACTER)) else {
        return Err("has a user name or password that is not in UTF-8: percent-encode its UTF-8 bytes".to_owned());
    };
    if decoded.chars().any(char::is_control) {
        return Err("has a control character in its user name or password: remove it".to_owned());
    }
    Ok(decoded.into())
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
