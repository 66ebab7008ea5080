//! Where requests go, and through which proxy.

use http::Uri;
use loginradius_proto::proxy::{Proxy, ProxyScheme};
use loginradius_proto::{BaseUrl, Error};

/// How a server is reached.
#[derive(Clone, PartialEq)]
pub(crate) enum Route {
    Direct,
    Proxy(Proxy),
    /// As the user's own builder decides.
    Unmanaged,
}

/// What is connected to, for messages.
pub(crate) struct Peer {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
}

impl Route {
    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        match self {
            Self::Proxy(proxy) => Some(proxy),
            Self::Direct | Self::Unmanaged => None,
        }
    }

    pub(crate) fn needs_tls(&self) -> bool {
        self.proxy().is_some_and(|proxy| proxy.scheme() == ProxyScheme::Https)
    }
}

impl Peer {
    pub(crate) fn server(uri: &Uri) -> Self {
        let is_tls = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().to_owned();
        Self { host, port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }), is_tls }
    }

    pub(crate) fn proxy(proxy: &Proxy) -> Self {
        Self { host: proxy.host().to_owned(), port: proxy.port(), is_tls: proxy.scheme() == ProxyScheme::Https }
    }

    /// Returns the host with the port.
    pub(crate) fn address(&self) -> String {
        let host = &self.host;
        if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]:{}", self.port)
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// Returns a base URL as a `Uri`, if reqwest can use it too: it decodes the Punycode of a host.
pub(crate) fn uri(base: &BaseUrl) -> Result<Uri, Error> {
    let text = base.to_string();
    reqwest::Url::parse(&text).map_err(|error| {
        Error::configuration(format!("reqwest cannot use the base URL {text} ({error}): correct it"))
    })?;
    text.parse().map_err(|_| Error::configuration("the base URL is not a URL: correct it"))
}

#[cfg(test)]
mod tests {
    use loginradius_proto::Service;

    use super::*;

    #[test]
    fn a_host_that_is_no_punycode_is_refused() {
        let read = |host| uri(Service::site(host).unwrap().base());
        assert_eq!(read("xn--bcher-kva.example").unwrap().host(), Some("xn--bcher-kva.example"));
        let error = read("xn--2.example").unwrap_err();
        assert!(error.to_string().contains("xn--2.example (invalid international domain name)"), "{error}");
    }
}
