//! Proxies for an agent of the user's own.

use http::Uri;
use loginradius_proto::proxy::{ProxyScheme, ProxySettings};
use loginradius_proto::{ConnectFailure, Error, ProxyFault};
use ureq::{Proxy, ProxyProtocol};

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

/// Makes the failure of the agent's proxy. ureq reports neither its URL nor the cause.
pub(crate) fn proxy_failure() -> ConnectFailure {
    let fault = ProxyFault::Refused("ureq reports no cause".to_owned());
    ConnectFailure::Proxy { proxy: "of the agent".to_owned(), fault }
}
