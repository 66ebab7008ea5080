use std::env;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use loginradius_proto::proxy::{Proxy, ProxySettings};
use loginradius_proto::{App, Error, Password, Retry};
use loginradius_transport::rustls::ClientConfig;
use loginradius_transport::{Roots, client_config};
use reqwest::{Certificate, redirect, retry};
use zeroize::Zeroizing;

use crate::client::Client;
use crate::driver::Driver;
use crate::resolver::Resolver;
use crate::route::{self, Peer, Route};
use crate::transport::{Destination, MAX_TIMEOUT, Pool, Transport};

/// The most header lines of a response.
const MAX_HEADERS: usize = 300;
/// How long a connection is kept for the next request: less than servers and address translators commonly do.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// When nothing has arrived from the peer for this long, the connection is probed, three times within the same time.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long a kept connection waits for TCP to acknowledge what was sent. A server that is slow to respond acknowledges
/// the request all the same. The connections of requests that must not be sent twice wait longer, because the network
/// may recover.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const DEAD_CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

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
    proxy: ProxySource,
    root_certificates: Option<Vec<u8>>,
    user_agent: Option<String>,
    unmanaged: Option<Box<dyn Fn() -> reqwest::ClientBuilder + Send + Sync>>,
}

enum ProxySource {
    /// The environment's variables, or the user's own builder.
    Default,
    Url(Zeroizing<String>),
    None,
}

impl Client {
    /// Makes a client with the settings that [`ClientBuilder`] begins with.
    ///
    /// # Errors
    ///
    /// Those of [`ClientBuilder::build`]: a proxy or root certificates of the environment that cannot be used.
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
            proxy: ProxySource::Default,
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

    /// Sets how often and when a call is sent again, and how long all its attempts may take together
    /// ([`Retry::max_time`], 30 s by default); [`Client::call`] says after which errors. `Retry::OFF` turns it off.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets a proxy for all requests, such as `http://proxy.example.com:3128`. The module [`proxy`](crate::proxy) lists
    /// the schemes. Requests to this machine itself never go through a proxy. reqwest cannot reach an IPv6 address by
    /// https through a proxy: [`build`](Self::build) refuses that.
    ///
    /// By default, [`build`](Self::build) reads the proxy from the environment (`https_proxy`, `all_proxy`, `no_proxy`
    /// and so on). With [a builder of your own](Self::unmanaged_reqwest), the default is that builder's proxies.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = ProxySource::Url(Zeroizing::new(url.into()));
        self
    }

    /// Sends all requests directly, whatever the environment or [your builder](Self::unmanaged_reqwest) says.
    pub fn without_proxy(mut self) -> Self {
        self.proxy = ProxySource::None;
        self
    }

    /// Trusts these root certificates and no others: any number as PEM, or one as DER. By default the system's are
    /// trusted: those of `SSL_CERT_FILE` and `SSL_CERT_DIR` if one of these variables is set, and Mozilla's if the
    /// system has none.
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
    /// - [`proxy`](Self::proxy), [`without_proxy`](Self::without_proxy) and [`user_agent`](Self::user_agent), if they
    ///   are set, in place of the builder's.
    ///
    /// What no longer holds, because the builder decides it:
    ///
    /// - no cookies: a builder with a cookie store sends what servers set;
    /// - certificates: its TLS settings decide which are trusted. With `tls_danger_accept_invalid_certs` every
    ///   certificate is, so that anyone on the network can read the tokens;
    /// - names: its resolver may take `localhost` for another machine;
    /// - connections: its pool limits them, and its settings say when a dead one is noticed;
    /// - headers: its default headers are sent with every request, and it limits those of a response;
    /// - layers: its connector layers can delay or refuse a connection.
    ///
    /// Every other setting of this builder can be combined with it. [`root_certificates`](Self::root_certificates), as
    /// PEM only, replace the system's, and are trusted besides those that your builder adds. They have no effect with
    /// its `tls_danger_accept_invalid_certs` or a preconfigured TLS backend.
    ///
    /// The closure is called several times, once for each pool of connections. The builder's resolver and layers run on
    /// the client's own thread and runtime ([Connections](crate#connections)).
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
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the proxy that was set, or that the environment
    /// names for this service, cannot be used; if the root certificates cannot be read; if the user agent cannot be
    /// sent in a header; or if reqwest refuses its settings.
    pub fn build(self) -> Result<Client, Error> {
        let service = self.app.service();
        let proxies = self.proxy_settings()?;
        let mut places = Vec::new();
        for base in [service.base(), service.api_host()] {
            let uri = route::uri(base)?;
            let route = match &proxies {
                _ if base.is_loopback() => Route::Direct,
                Some(proxies) => proxies.proxy_for(&uri)?.map_or(Route::Direct, Route::Proxy),
                None => Route::Unmanaged,
            };
            let peer = Peer::server(&uri);
            // reqwest takes the brackets for a part of the certificate's name, and refuses the certificate.
            if let (Route::Proxy(proxy), true, true) = (&route, peer.is_tls, peer.host.starts_with('[')) {
                return Err(Error::configuration(format!(
                    "{base} cannot be reached through the proxy {proxy}, reqwest does not support https to an IPv6 \
                     address there: use the server's name, or no proxy",
                )));
            }
            places.push((base, peer, route));
        }
        let needs_tls = places.iter().any(|(_, peer, route)| peer.is_tls || route.needs_tls());
        let tls = self.tls(needs_tls)?;
        let mut destinations: Vec<Arc<Destination>> = Vec::new();
        for (base, peer, route) in places {
            let pool = match destinations.iter().find(|other| other.pool.route == route) {
                Some(other) => other.pool.clone(),
                None => self.pool(route, tls.as_deref())?,
            };
            destinations.push(Arc::new(Destination { base: base.clone(), peer, pool }));
        }
        let transport = Transport { destinations, timeout: self.timeout, driver: Driver::default() };
        Ok(Client::with(self.app, transport, self.timeout, self.retry))
    }

    /// Returns the proxy settings, or `None` if the user's own builder decides.
    fn proxy_settings(&self) -> Result<Option<ProxySettings>, Error> {
        Ok(match &self.proxy {
            ProxySource::Url(url) => Some(ProxySettings::all(url)?),
            ProxySource::None => Some(ProxySettings::none()),
            ProxySource::Default if self.unmanaged.is_some() => None,
            ProxySource::Default => {
                let text = |text: OsString| text.to_string_lossy().into_owned();
                Some(ProxySettings::from_variables(env::vars_os().map(|(name, value)| (text(name), text(value)))))
            }
        })
    }

    /// Makes the TLS settings, which all connections share.
    fn tls(&self, needs_tls: bool) -> Result<Option<Arc<ClientConfig>>, Error> {
        let roots = match &self.root_certificates {
            _ if self.unmanaged.is_some() => None,
            Some(bytes) => Some(Roots::from_pem(bytes)?),
            None if needs_tls => Some(Roots::system()?),
            None => None,
        };
        roots.as_ref().map(client_config).transpose()
    }

    fn pool(&self, route: Route, tls: Option<&ClientConfig>) -> Result<Pool, Error> {
        let mut pooled = self.client(&route, tls)?;
        if self.unmanaged.is_none() {
            pooled = pooled.pool_idle_timeout(IDLE_TIMEOUT);
            #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
            {
                pooled = pooled.tcp_user_timeout(DEAD_CONNECTION_TIMEOUT);
            }
        }
        let fresh = self.client(&route, tls)?.pool_max_idle_per_host(0);
        Ok(Pool { route, pooled: pooled.build().map_err(refused)?, fresh: fresh.build().map_err(refused)? })
    }

    fn client(&self, route: &Route, tls: Option<&ClientConfig>) -> Result<reqwest::ClientBuilder, Error> {
        let mut builder = match &self.unmanaged {
            Some(builder) => builder(),
            None => managed(tls),
        };
        builder = builder
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .https_only(false) // `Service` has seen to it, and knows loopback
            .connection_verbose(false) // It logs every byte, tokens included.
            .connect_timeout(self.connect_timeout.min(MAX_TIMEOUT));
        if let Some(name) = &self.user_agent {
            let unusable = "the user agent cannot be sent in a header: use printable ASCII";
            let name: HeaderValue = name.parse().map_err(|_| Error::configuration(unusable))?;
            builder = builder.user_agent(name);
        }
        if let (Some(pem), Some(_)) = (&self.root_certificates, &self.unmanaged) {
            let unusable =
                || Error::configuration("the root certificates are not PEM: pass the text of certificates, as PEM");
            let certificates = Certificate::from_pem_bundle(pem).map_err(|_| unusable())?;
            if certificates.is_empty() {
                return Err(unusable());
            }
            builder = builder.tls_certs_only(certificates);
        }
        Ok(match route {
            Route::Unmanaged => builder,
            // Otherwise reqwest reads the environment by its own rules, and the proxies of the user's own builder come
            // first.
            Route::Direct => builder.no_proxy(),
            Route::Proxy(proxy) => builder.no_proxy().proxy(reqwest_proxy(proxy)?),
        })
    }
}

/// Returns a builder with the settings of this crate alone, whatever features of reqwest the program turns on.
fn managed(tls: Option<&ClientConfig>) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .http1_max_headers(MAX_HEADERS)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .dns_resolver(Resolver)
        .tcp_nodelay(true)
        .tcp_keepalive(KEEPALIVE)
        .tcp_keepalive_interval(KEEPALIVE / 3)
        .tcp_keepalive_retries(3);
    match tls {
        Some(tls) => builder.tls_backend_preconfigured(tls.clone()),
        // reqwest would look for the system's certificates.
        None => builder.tls_backend_rustls().tls_certs_only([]),
    }
}

fn reqwest_proxy(proxy: &Proxy) -> Result<reqwest::Proxy, Error> {
    let result = reqwest::Proxy::all(proxy.to_string()).map_err(|_| {
        Error::configuration(format!("the proxy {proxy} cannot be used, reqwest refuses it: use another one"))
    })?;
    Ok(match (proxy.authorization(), proxy.username()) {
        (Some(authorization), _) => result.custom_http_auth(authorization),
        (None, Some(username)) => result.basic_auth(username, proxy.password().map_or("", Password::expose)),
        (None, None) => result,
    })
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
    Error::configuration(format!(
        "the HTTP client cannot be built, reqwest refuses its settings ({reason}): change them"
    ))
}
