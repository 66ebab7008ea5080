use std::fmt;
use std::time::Duration;

use loginradius_proto::proxy::ProxySettings;
use loginradius_proto::{App, Error, Retry};
use loginradius_transport::{Roots, client_config};
use ureq::Agent;
use zeroize::Zeroizing;

use crate::client::Client;
use crate::transport::{Http, Transport};
use crate::unmanaged;
use crate::wire::{self, WireConnector};

/// The settings of a [`Client`].
///
/// ```
/// use std::time::Duration;
/// use loginradius_blocking::{App, Client, Retry};
///
/// # fn main() -> Result<(), loginradius_blocking::Error> {
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
    agent: Option<Agent>,
}

/// Where the proxy comes from.
enum ProxySource {
    /// The environment's variables, or the user's own agent.
    Default,
    None,
    Url(Zeroizing<String>),
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
            agent: None,
        }
    }

    /// Sets how long one request may take, from resolving the name to the end of the response. 30 s by default. (On
    /// Linux a socket's timeout can be up to an eighth late.)
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
    /// the schemes; [an agent of your own](Self::unmanaged_agent) takes `http` and `https` only. Requests to this
    /// machine itself never go through a proxy.
    ///
    /// By default, [`build`](Self::build) reads the proxy from the environment (`https_proxy`, `all_proxy`, `no_proxy`
    /// and so on). With an agent of your own, the default is the agent's proxy.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = ProxySource::Url(Zeroizing::new(url.into()));
        self
    }

    /// Sends all requests directly, whatever the environment or [your agent](Self::unmanaged_agent) says.
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

    /// Sets an agent of your own, over which everything is sent.
    ///
    /// What still holds, whatever the agent's settings:
    ///
    /// - no redirect is followed, and every status is a response;
    /// - [`timeout`](Self::timeout), [`connect_timeout`](Self::connect_timeout) and deadlines; shorter timeouts of the
    ///   agent count as well;
    /// - a new connection for a request that must not be sent twice;
    /// - a limit of 1 MiB for the body of a response;
    /// - no proxy for requests to this machine itself;
    /// - [`proxy`](Self::proxy), [`without_proxy`](Self::without_proxy) and [`user_agent`](Self::user_agent), if they
    ///   are set, in place of the agent's.
    ///
    /// What no longer holds, because the agent decides it:
    ///
    /// - no cookies: if any crate of the program turns on ureq's feature `cookies`, every agent sends what servers set,
    ///   so that a user's cookie goes out with the next user's login;
    /// - certificates: its TLS settings decide which are trusted. With `disable_verification` every certificate is, so
    ///   that anyone on the network can read the tokens;
    /// - cryptography: it uses the crypto provider of its TLS settings, else the one that the program has installed,
    ///   else ring, even if this crate's feature `aws-lc-rs` is on;
    /// - names: its resolver may take `localhost` for another machine;
    /// - connections: its pool limits them, and everything else that uses the agent shares them;
    /// - headers: it limits how long those of a response may be;
    /// - bytes: the limit of 1.5 MiB on the wire does not apply;
    /// - bodies without a length: ureq takes one that a broken connection cuts short for a whole one;
    /// - middleware: it sees whole requests, with their tokens and passwords, and may change them or send them twice.
    ///
    /// [`build`](Self::build) refuses [`root_certificates`](Self::root_certificates) with it, and no other setting. It
    /// also refuses an agent that would have no crypto provider for an https address.
    pub fn unmanaged_agent(mut self, agent: Agent) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the proxy that was set, or that the environment
    /// names for this service, cannot be used; if the root certificates cannot be read; if the user agent cannot be
    /// sent in a header; if this program has no crypto provider and TLS is needed; or if
    /// [`root_certificates`](Self::root_certificates) were set together with [your agent](Self::unmanaged_agent).
    pub fn build(self) -> Result<Client, Error> {
        if self.agent.is_some() && self.root_certificates.is_some() {
            return Err(Error::configuration(
                "the root certificates have no effect on an agent of your own: set them on the agent",
            ));
        }
        let user_agent = match (&self.user_agent, &self.agent) {
            (Some(name), _) => Some(name.as_str()),
            (None, Some(_)) => None,
            (None, None) => Some(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"))),
        };
        let user_agent = user_agent
            .map(|name| {
                let unusable = "the user agent cannot be sent in a header: use printable ASCII";
                name.parse().map_err(|_| Error::configuration(unusable))
            })
            .transpose()?;
        let proxies = match &self.proxy {
            ProxySource::Default => None,
            ProxySource::None => Some(ProxySettings::none()),
            ProxySource::Url(url) => Some(ProxySettings::all(url)?),
        };
        let http = match self.agent {
            Some(agent) => {
                unmanaged::check_crypto_provider(&agent, self.app.service())?;
                Http::Unmanaged(agent, proxies)
            }
            None => {
                let proxies = proxies.unwrap_or_else(environment);
                Http::Managed(wire::agent(connector(&self.app, proxies, self.root_certificates.as_deref())?))
            }
        };
        let transport = Transport { http, user_agent, timeout: self.timeout, connect_timeout: self.connect_timeout };
        Ok(Client::with(self.app, transport, self.timeout, self.retry))
    }
}

// A proxy's URL can hold a password.
impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("app", &self.app).finish_non_exhaustive()
    }
}

/// Reads the environment's variables. What is not Unicode in a value becomes replacement characters, which the core
/// refuses.
fn environment() -> ProxySettings {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    ProxySettings::from_variables(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
}

fn connector(app: &App, proxies: ProxySettings, root_certificates: Option<&[u8]>) -> Result<WireConnector, Error> {
    let service = app.service();
    let mut needs_tls = false;
    for base in [service.base(), service.api_host()] {
        let uri =
            base.to_string().parse().map_err(|_| Error::configuration("the base URL is not a URL: correct it"))?;
        // An error about the proxy is better now than at the first call.
        proxies.proxy_for(&uri)?;
        needs_tls |= uri.scheme() == Some(&http::uri::Scheme::HTTPS);
    }
    let roots = match root_certificates {
        Some(pem) => Some(Roots::from_pem(pem)?),
        // Calls to this machine work without root certificates.
        None if needs_tls => Some(Roots::system()?),
        None => None,
    };
    let tls = roots.map(|roots| client_config(&roots)).transpose()?;
    Ok(WireConnector { proxies, tls })
}
