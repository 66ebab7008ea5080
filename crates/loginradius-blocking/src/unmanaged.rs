//! An agent of the user's own: its crypto provider and its proxies.

use http::Uri;
use loginradius_proto::proxy::{ProxyScheme, ProxySettings};
use loginradius_proto::{ConnectFailure, Error, ProxyFault, Service};
use loginradius_transport::rustls::crypto::CryptoProvider;
use ureq::tls::TlsProvider;
use ureq::{Agent, Proxy, ProxyProtocol};

/// Returns the proxy for that request, in ureq's type.
pub(crate) fn proxy(proxies: &ProxySettings, uri: &Uri) -> Result<Option<Proxy>, Error> {
    let Some(proxy) = proxies.proxy_for(uri)? else { return Ok(None) };
    let protocol = match proxy.scheme() {
        ProxyScheme::Http => ProxyProtocol::Http,
        ProxyScheme::Https => ProxyProtocol::Https,
        // ureq panics, unless a crate of the program has turned on its feature for SOCKS.
        other => {
            return Err(Error::configuration(format!(
                "an agent of your own cannot be given a proxy of the scheme `{other}`: set the proxy on the agent",
            )));
        }
    };
    let mut builder = Proxy::builder(protocol).host(proxy.host()).port(proxy.port());
    if let Some(username) = proxy.username() {
        builder = builder.username(username);
    }
    if let Some(password) = proxy.password() {
        builder = builder.password(password.expose());
    }
    let proxy = builder.build();
    proxy.map(Some).map_err(|_| Error::configuration("the proxy's URL cannot be used, ureq refuses it: correct it"))
}

/// Refuses an agent that would panic at its first TLS handshake: of the crypto providers, ureq brings ring alone.
pub(crate) fn check_crypto_provider(agent: &Agent, service: &Service) -> Result<(), Error> {
    let tls = agent.config().tls_config();
    let has_provider = cfg!(feature = "ring")
        || tls.provider() != TlsProvider::Rustls
        || tls.unversioned_rustls_crypto_provider().is_some()
        || CryptoProvider::get_default().is_some();
    let needs_tls = || [service.base(), service.api_host()].iter().any(|base| base.to_string().starts_with("https:"));
    if has_provider || !needs_tls() {
        return Ok(());
    }
    Err(Error::configuration(
        "the agent of your own has no crypto provider for TLS: set one in its TLS settings, install one with rustls's \
         `CryptoProvider::install_default`, or turn on the feature `ring` of `loginradius-blocking`",
    ))
}

/// Makes the failure of the agent's proxy. ureq reports neither its URL nor the cause.
pub(crate) fn proxy_failure() -> ConnectFailure {
    let fault = ProxyFault::Refused("ureq reports no cause".to_owned());
    ConnectFailure::Proxy { proxy: "of the agent".to_owned(), fault }
}
