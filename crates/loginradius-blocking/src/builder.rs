use std::fmt;
use std::time::Duration;

use loginradius_proto::{App, Error, Retry};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};

use crate::client::Client;
use crate::transport::Transport;

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
    proxy: Option<String>,
    root_certificates: Option<Vec<u8>>,
    user_agent: Option<String>,
    agent: Option<Agent>,
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
            agent: None,
        }
    }

    /// Sets how long one request may take, from resolving the name to the end of the response. 30 s by default.
    /// (Linux lets the timeouts of sockets come late, by up to an eighth.)
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

    /// Sets a proxy, as in `http://proxy.example.com:3128`. By default the environment's (`HTTPS_PROXY` and so
    /// on) or that of [your agent](Self::unmanaged_agent). Requests to this machine itself never go through a proxy.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(url.into());
        self
    }

    /// Trusts these root certificates (PEM, one or more) and no others. By default Mozilla's are trusted.
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
    /// - [`proxy`](Self::proxy) and [`user_agent`](Self::user_agent), if they are set, in place of the agent's.
    ///
    /// What no longer holds, because the agent decides it:
    ///
    /// - no cookies: an agent with a cookie store sends what servers set;
    /// - certificates: its TLS settings say which are trusted. With `disable_verification` every certificate is, so
    ///   that anyone on the way can read the tokens;
    /// - names: its resolver may take `localhost` for another machine;
    /// - connections: its pool limits them, and what else uses the agent shares them;
    /// - headers: it limits how long those of a response may be;
    /// - middleware: it sees whole requests, with their tokens and passwords, and may change them or send them twice.
    ///
    /// [`build`](Self::build) refuses [`root_certificates`](Self::root_certificates) with it, and no other setting.
    pub fn unmanaged_agent(mut self, agent: Agent) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the proxy is not a URL, the certificates
    /// are not PEM, the user agent cannot stand in a header, or [`root_certificates`](Self::root_certificates) were set
    /// together with [your agent](Self::unmanaged_agent).
    pub fn build(self) -> Result<Client, Error> {
        if self.agent.is_some() && self.root_certificates.is_some() {
            return Err(Error::configuration("set the root certificates on your own agent, not on the builder"));
        }
        let proxy =
            match &self.proxy {
                Some(url) => Some(Proxy::new(url).map_err(|_| {
                    Error::configuration("the proxy is not a URL such as http://proxy.example.com:3128")
                })?),
                None => None,
            };
        let user_agent = match (&self.user_agent, &self.agent) {
            (Some(name), _) => Some(name.as_str()),
            (None, Some(_)) => None,
            (None, None) => Some(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"))),
        };
        let user_agent = user_agent
            .map(|name| name.parse().map_err(|_| Error::configuration("the user agent cannot stand in a header")))
            .transpose()?;
        let agent = match self.agent {
            Some(agent) => agent,
            None => own_agent(self.root_certificates.as_deref())?,
        };
        let transport =
            Transport { agent, proxy, user_agent, timeout: self.timeout, connect_timeout: self.connect_timeout };
        Ok(Client::with(self.app, transport, self.timeout, self.retry))
    }
}

// A proxy's URL can hold a password.
impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("app", &self.app).finish_non_exhaustive()
    }
}

fn own_agent(root_certificates: Option<&[u8]>) -> Result<Agent, Error> {
    let mut config = Agent::config_builder();
    if let Some(pem) = root_certificates {
        let unusable = || Error::configuration("the root certificates are not PEM");
        let mut certificates = Vec::new();
        for item in parse_pem(pem) {
            if let PemItem::Certificate(certificate) = item.map_err(|_| unusable())? {
                certificates.push(certificate);
            }
        }
        if certificates.is_empty() {
            return Err(unusable());
        }
        config = config.tls_config(TlsConfig::builder().root_certs(RootCerts::from(certificates)).build());
    }
    Ok(config.build().into())
}
