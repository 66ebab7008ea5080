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

/// Returns a base URL as a `Uri`.
pub(crate) fn uri(base: &BaseUrl) -> Result<Uri, Error> {
    base.to_string().parse().map_err(|_| Error::configuration("the base URL is not a URL: correct it"))
}
