use std::collections::BTreeMap;

use http::Uri;
use http::uri::Scheme;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::proxy::host::Host;
use crate::proxy::no_proxy::NoProxy;
use crate::proxy::url::Proxy;

/// The variables of the proxy for https targets. The first that is set decides.
const HTTPS: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
/// The variables of the proxy for http targets. `HTTP_PROXY` is not one of them: in a CGI program, a request header
/// sets it.
const HTTP: [&str; 3] = ["http_proxy", "all_proxy", "ALL_PROXY"];
const NO_PROXY: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// The settings that decide the [proxy](Proxy) of each request; [the module](crate::proxy) has the rules.
///
/// `Debug` shows no credentials.
///
/// ```
/// use loginradius_proto::http::Uri;
/// use loginradius_proto::proxy::ProxySettings;
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let settings = ProxySettings::all("socks5h://proxy.example.com")?;
/// let proxy_for = |url| settings.proxy_for(&Uri::from_static(url));
/// assert_eq!(proxy_for("https://cloud-api.loginradius.com/")?.unwrap().to_string(), "socks5h://proxy.example.com:1080");
/// assert_eq!(proxy_for("http://localhost:8710/")?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[doc(alias("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"))]
pub struct ProxySettings {
    https: Option<Result<Proxy, Error>>,
    http: Option<Result<Proxy, Error>>,
    no_proxy: NoProxy,
}

impl ProxySettings {
    /// Makes settings without a proxy: every request goes direct.
    #[must_use]
    pub fn none() -> Self {
        Self { https: None, http: None, no_proxy: NoProxy::default() }
    }

    /// Makes settings with one proxy, for all targets except this machine itself. `NO_PROXY` is not read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if it is not
    /// [the URL of a proxy](crate::proxy#the-url-of-a-proxy). The message says what is wrong with it, and never shows
    /// the credentials.
    pub fn all(url: &str) -> Result<Self, Error> {
        let proxy = Some(Proxy::read("the proxy", url)?);
        Ok(Self { https: proxy.clone().map(Ok), http: proxy.map(Ok), no_proxy: NoProxy::default() })
    }

    /// Makes settings from environment variables. Variables with other names are ignored.
    ///
    /// An empty value is the same as none. Names are case-sensitive, also on Windows.
    ///
    /// It does not fail. A value that cannot be read matters only for the targets that it decides, so
    /// [`proxy_for`](Self::proxy_for) returns the error. The same holds for bytes that are not UTF-8, if they are
    /// passed as replacement characters:
    ///
    /// ```
    /// use loginradius_proto::proxy::ProxySettings;
    ///
    /// // `std::env::vars` would panic at bytes that are not UTF-8.
    /// let variables = std::env::vars_os().map(|(name, value)| {
    ///     (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
    /// });
    /// let settings = ProxySettings::from_variables(variables);
    /// ```
    #[must_use]
    pub fn from_variables<N: AsRef<str>, V: AsRef<str>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut values = BTreeMap::new();
        for (name, value) in variables {
            let known = HTTPS.iter().chain(&HTTP).chain(&NO_PROXY).find(|known| **known == name.as_ref());
            if let Some(known) = known
                && !value.as_ref().is_empty()
            {
                values.insert(*known, Zeroizing::new(value.as_ref().to_owned()));
            }
        }
        let first = |names: &[&'static str]| names.iter().find_map(|name| values.get_key_value(name));
        let proxy = |names: &[&'static str]| {
            first(names).map(|(name, url)| Proxy::read(&format!("the environment variable `{name}`"), url))
        };
        Self {
            https: proxy(&HTTPS),
            http: proxy(&HTTP),
            no_proxy: first(&NO_PROXY).map(|(_, list)| NoProxy::read(list)).unwrap_or_default(),
        }
    }

    /// Returns the proxy for requests to that target, or `None` if they go direct.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a proxy is set and cannot be used: do not
    ///   connect. The message names the variable and says what is wrong with it, and never shows the credentials.
    /// - [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if the target is not a whole `http` or `https` URL.
    pub fn proxy_for(&self, target: &Uri) -> Result<Option<Proxy>, Error> {
        let (proxy, default_port) = match target.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => (&self.https, 443),
            Some(scheme) if *scheme == Scheme::HTTP => (&self.http, 80),
            _ => return Err(Error::misuse("the target of a request has to be a whole http or https URL: pass one")),
        };
        let host = Host::read(target.host().unwrap_or_default());
        let port = target.port_u16().unwrap_or(default_port);
        if host.is_this_machine() || self.no_proxy.excludes(&host, port) {
            return Ok(None);
        }
        proxy.clone().transpose()
    }
}
