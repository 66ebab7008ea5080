//! From a URL to a connection: the proxy, the DNS lookup, TCP and TLS.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use http::Uri;
use loginradius_proto::proxy::{Proxy, ProxyScheme, ProxySettings};
use loginradius_proto::{ConnectFailure, Error, ProxyFault};
use loginradius_transport::handshake_failure;
use loginradius_transport::rustls::pki_types::ServerName;
use loginradius_transport::rustls::{self, ClientConfig, ClientConnection, StreamOwned};
use ureq::config::Config;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};

use super::addresses::Peer;
use super::connection::{Connection, deadline};
use super::socket::{Socket, Stream};
use super::tunnel::{self, Target};

/// Connects to servers, through a proxy where the settings say so.
pub(crate) struct WireConnector {
    pub(crate) proxies: ProxySettings,
    /// `None` if nothing that is connected to speaks TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Connector for WireConnector {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Connection>, ureq::Error> {
        match self.open(details.uri, deadline(details.timeout)) {
            Ok(stream) => Ok(Some(Connection::new(stream))),
            Err(error) => Err(ureq::Error::Other(Box::new(error))),
        }
    }
}

impl WireConnector {
    fn open(&self, uri: &Uri, deadline: Instant) -> Result<Stream, Error> {
        let secure = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let host = uri.host().unwrap_or_default();
        let to = Peer { host, port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }) };
        let stream = match self.proxies.proxy_for(uri)? {
            None => Stream::Plain(tcp(to, deadline).map_err(Error::not_connected)?),
            Some(proxy) => self.tunnel(&proxy, to, deadline)?,
        };
        if secure { self.tls(stream, to)?.map_err(Error::not_connected) } else { Ok(stream) }
    }

    /// Connects to the host through the proxy.
    fn tunnel(&self, proxy: &Proxy, to: Peer<'_>, deadline: Instant) -> Result<Stream, Error> {
        let failure = |fault| Error::not_connected(ConnectFailure::Proxy { proxy: proxy.to_string(), fault });
        let unconnected = |cause| failure(ProxyFault::Unconnected(Box::new(cause)));
        let peer = Peer { host: proxy.host(), port: proxy.port() };
        let resolves_names = tunnel::socks(proxy.scheme())?;
        let mut stream = Stream::Plain(tcp(peer, deadline).map_err(unconnected)?);
        if proxy.scheme() == ProxyScheme::Https {
            stream = self.tls(stream, peer)?.map_err(unconnected)?;
        }
        match resolves_names {
            None => tunnel::connect(&mut stream, proxy, to).map_err(failure)?,
            Some(true) if to.bare_host().parse::<std::net::IpAddr>().is_err() => {
                tunnel::connect_by_socks(&mut stream, proxy, &Target::Name(to)).map_err(failure)?;
            }
            Some(_) => {
                let addresses = to.addresses(deadline).map_err(Error::not_connected)?;
                let Some(address) = addresses.first() else {
                    return Err(Error::not_connected(ConnectFailure::NameNotFound { host: to.host.to_owned() }));
                };
                tunnel::connect_by_socks(&mut stream, proxy, &Target::Address(*address)).map_err(failure)?;
            }
        }
        Ok(stream)
    }

    /// Sets up TLS. It completes the handshake, because a failure after the request is written may not be called *not
    /// sent*.
    fn tls(&self, stream: Stream, to: Peer<'_>) -> Result<Result<Stream, ConnectFailure>, Error> {
        let refused =
            |problem: &str| ConnectFailure::TlsRefused { address: to.to_string(), problem: problem.to_owned() };
        let Some(config) = self.tls.clone() else {
            return Err(Error::misuse("the client was made without TLS, for http only: make another one"));
        };
        let Ok(name) = ServerName::try_from(to.bare_host().to_owned()) else {
            return Ok(Err(refused("its host is not a valid DNS name")));
        };
        let connection = match ClientConnection::new(config, name) {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(handshake_failure(&error, to.host, &to.to_string()))),
        };
        let mut tls = StreamOwned::new(connection, stream);
        while tls.conn.is_handshaking() {
            if let Err(error) = tls.conn.complete_io(&mut tls.sock) {
                return Ok(Err(interruption(&error, to)));
            }
        }
        Ok(Ok(Stream::Tls(Box::new(tls))))
    }
}

fn tcp(to: Peer<'_>, deadline: Instant) -> Result<Socket, ConnectFailure> {
    Socket::new(to.connect(deadline)?, deadline).map_err(|_| ConnectFailure::Refused { address: to.to_string() })
}

fn interruption(error: &io::Error, to: Peer<'_>) -> ConnectFailure {
    let address = to.to_string();
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return handshake_failure(error, to.host, &address);
    }
    match error.kind() {
        io::ErrorKind::TimedOut => ConnectFailure::TimedOut { address },
        _ => ConnectFailure::Interrupted { address },
    }
}

// The proxies have credentials.
impl fmt::Debug for WireConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WireConnector")
    }
}

/// Resolves nothing: ureq would resolve the name even when it has a connection already. [`WireConnector`] resolves it.
#[derive(Debug)]
pub(super) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}
