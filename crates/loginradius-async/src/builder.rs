use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use loginradius_proto::{App, Error, Retry};
use reqwest::{Certificate, Proxy, redirect, retry};

use crate::client::Client;
use crate::transport::{Pool, Transport};

/// The settings of a [`Client`].
///
/// ```
/// use std::time::Duration;
/// use loginradius_async::{App, Client, Retry};
///
/// # fn main() -> Result<(), loginradius_async::Error> {
/// let client = Client::builder(App::new("my-client-id"))
///     .timeout(Duration::from_secs(10))
///     .retry(Retry::OFF)
///     .user_agent("my-program/1.0")
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct ClientBuilder {
    app: App,
    timeout: Duration,
    connect_timeout: Duration,
    retry: Retry,
    proxy: Option<String>,
    root_certificates: Option<Vec<u8>>,
    user_agent: Option<String>,
    unmanaged: Option<Box<dyn Fn() -> reqwest::ClientBuilder + Send + Sync>>,
}

impl Client {
    /// Makes a client with the settings that [`ClientBuilder`] begins with.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if HTTP cannot be set up on this machine.
    pub fn new(app: App) -> Result<Self, Error> {
        Self::builder(app).build()
    }

    /// Returns a builder, for custom settings.
    pub fn builder(app: App) -> ClientBuilder {
        ClientBuilder::new(app)
    }
}

impl ClientBuilder {
    pub(crate) fn new(app: App) -> Self {
        Self {
            app,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            retry: Retry::default(),
            proxy: None,
            root_certificates: None,
            user_agent: None,
            unmanaged: None,
        }
    }

    /// Sets how long one request may take, from resolving the name to the end of the response. 30 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long connecting may take: resolving the name, TCP and TLS. 10 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how often and when a call is sent again; [`Client::call`] says after which errors. `Retry::OFF` turns it
    /// off.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets a proxy, as in `http://proxy.example.com:3128`. By default the environment's (`HTTPS_PROXY` and so on) or
    /// those of [your builder](Self::unmanaged_reqwest). Requests to this machine itself never go through a proxy.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(url.into());
        self
    }

    /// Trusts these root certificates (PEM, one or more) and no others. By default the system's are trusted.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Sets the `User-Agent` of every request. By default this crate's name and version.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// Sets a `reqwest::ClientBuilder` of your own, on which the client is built. It is a builder because a finished
    /// `reqwest::Client` would not permit the settings that this crate adds.
    ///
    /// What still holds, whatever the builder's settings:
    ///
    /// - no redirect is followed, nothing is retried but by this crate, and `connection_verbose` logs nothing;
    /// - [`timeout`](Self::timeout), [`connect_timeout`](Self::connect_timeout) and deadlines; shorter timeouts of the
    ///   builder count as well;
    /// - a new connection for a request that must not be sent twice;
    /// - a limit of 1 MiB for the body of a response;
    /// - no proxy for requests to this machine itself;
    /// - [`proxy`](Self::proxy) and [`user_agent`](Self::user_agent), if they are set, in place of the builder's.
    ///
    /// What no longer holds, because the builder decides it:
    ///
    /// - no cookies: a builder with a cookie store sends what servers set;
    /// - certificates: its TLS settings say which are trusted. With `tls_danger_accept_invalid_certs` every certificate
    ///   is, so that anyone on the way can read the tokens;
    /// - names: its resolver may take `localhost` for another machine;
    /// - connections: its pool limits them;
    /// - headers: its default headers are sent with every request;
    /// - layers: its connector layers can delay or refuse a connection.
    ///
    /// [`build`](Self::build) refuses no setting with it. [`root_certificates`](Self::root_certificates) replace the
    /// system's, and are trusted besides those that the builder adds. With its `tls_danger_accept_invalid_certs` or a
    /// preconfigured TLS backend they have no effect.
    ///
    /// The closure is called several times, once for each pool of connections.
    ///
    /// ```
    /// # use loginradius_async::{App, Client};
    /// # fn main() -> Result<(), loginradius_async::Error> {
    /// let client = Client::builder(App::new("my-client-id"))
    ///     .unmanaged_reqwest(|| reqwest::Client::builder().tcp_nodelay(true))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn unmanaged_reqwest(mut self, builder: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static) -> Self {
        self.unmanaged = Some(Box::new(builder));
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the proxy is not a URL, the certificates
    /// are not PEM, the user agent cannot stand in a header, or reqwest refuses its settings.
    pub fn build(self) -> Result<Client, Error> {
        let service = self.app.service();
        let mut pools = Vec::new();
        for base in [service.base(), service.api_host()] {
            let loopback = base.is_loopback();
            if pools.iter().all(|pool: &Pool| pool.loopback != loopback) {
                let pooled = self.client(loopback)?.build().map_err(refused)?;
                let fresh = self.client(loopback)?.pool_max_idle_per_host(0).build().map_err(refused)?;
                pools.push(Pool { loopback, pooled, fresh });
            }
        }
        let transport = Transport { pools, timeout: self.timeout };
        Ok(Client::with(self.app, transport, self.timeout, self.retry))
    }

    fn client(&self, loopback: bool) -> Result<reqwest::ClientBuilder, Error> {
        let mut builder = match &self.unmanaged {
            Some(builder) => builder(),
            None => {
                reqwest::Client::builder().user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            }
        };
        builder = builder
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .https_only(false) // `Service` has seen to it, and knows loopback
            .connection_verbose(false) // It logs every byte, tokens included.
            .connect_timeout(self.connect_timeout);
        if let Some(name) = &self.user_agent {
            let name: HeaderValue =
                name.parse().map_err(|_| Error::configuration("the user agent cannot stand in a header"))?;
            builder = builder.user_agent(name);
        }
        if let Some(url) = &self.proxy {
            let unusable = || Error::configuration("the proxy is not a URL such as http://proxy.example.com:3128");
            // In place of the proxies of the user's own builder, which would come first.
            builder = builder.no_proxy().proxy(Proxy::all(url).map_err(|_| unusable())?);
        }
        if let Some(pem) = &self.root_certificates {
            let unusable = || Error::configuration("the root certificates are not PEM");
            let certificates = Certificate::from_pem_bundle(pem).map_err(|_| unusable())?;
            if certificates.is_empty() {
                return Err(unusable());
            }
            builder = builder.tls_certs_only(certificates);
        }
        if loopback {
            builder = builder.no_proxy();
        }
        Ok(builder)
    }
}

// The closure has no `Debug`, and a proxy's URL can hold a password.
impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("app", &self.app).finish_non_exhaustive()
    }
}

fn refused(error: reqwest::Error) -> Error {
    // reqwest's own line says only that building failed; the reason is behind it.
    let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
    Error::configuration(format!("reqwest refuses its settings: {reason}"))
}
