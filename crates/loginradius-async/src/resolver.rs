//! Resolves names to addresses.

use std::error::Error as StdError;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::{fmt, io, thread};

use loginradius_transport::localhost;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{Semaphore, oneshot};

/// Resolves names as the operating system does, except `localhost`, which is this machine (RFC 6761, section 6.3).
pub(crate) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = if let Some(addresses) = localhost(name.as_str()) {
                addresses.to_vec()
            } else {
                in_two_families(look_up(name.as_str()).await?)
            };
            if addresses.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// How many lookups run at the same time. Nothing can stop one.
static LOOKUPS: Semaphore = Semaphore::const_new(256);

/// Looks a name up on a thread of its own: tokio's lookup panics if it cannot start one.
async fn look_up(name: &str) -> Result<Vec<IpAddr>, Box<dyn StdError + Send + Sync>> {
    let permit = LOOKUPS.acquire().await?;
    let (answer, answered) = oneshot::channel();
    let host = name.to_owned();
    let look_up = move || {
        let found = (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect());
        drop(permit);
        // The request may have been given up.
        let _ = answer.send(found);
    };
    let started = thread::Builder::new().name("loginradius-dns".to_owned()).spawn(look_up);
    started.map_err(|error| NoLookup { host: name.to_owned(), error })?;
    Ok(answered.await??)
}

/// A thread for a lookup could not be started.
#[derive(Debug)]
pub(crate) struct NoLookup {
    host: String,
    error: io::Error,
}

impl fmt::Display for NoLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a thread could not be started for the DNS lookup of {}: {}", self.host, self.error)
    }
}

impl StdError for NoLookup {}

/// Lets hyper try two IPv4 addresses at a time, so that a dead one costs little.
///
/// hyper tries the addresses of one family one after the other, each for its share of the connect timeout. After 300 ms
/// it also tries those of the other family. An IPv4 address can be written in IPv6 (RFC 4291, section 2.5.5.2), so the
/// same addresses are added in that family, in reverse order. A system that does not accept this fails at once, which
/// does no harm.
fn in_two_families(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let all_in_ipv4: Option<Vec<Ipv4Addr>> = addresses
        .iter()
        .map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        })
        .collect();
    if let Some(all) = all_in_ipv4
        && all.len() > 1
    {
        addresses.extend(all.iter().rev().map(|address| IpAddr::V6(address.to_ipv6_mapped())));
    }
    addresses
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use loginradius_conformance::{BlackHole, Server};

    use super::*;

    #[test]
    fn only_several_ipv4_addresses_come_in_both_families() {
        let table = [
            (vec!["192.0.2.1"], vec!["192.0.2.1"]),
            (vec!["2001:db8::1", "2001:db8::2"], vec!["2001:db8::1", "2001:db8::2"]),
            (vec!["2001:db8::1", "192.0.2.1"], vec!["2001:db8::1", "192.0.2.1"]),
            (vec!["192.0.2.1", "192.0.2.2"], vec!["192.0.2.1", "192.0.2.2", "::ffff:192.0.2.2", "::ffff:192.0.2.1"]),
        ];
        for (found, expected) in table {
            let read = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
            assert_eq!(in_two_families(read(&found)), read(&expected));
        }
    }

    struct Fixed(Vec<IpAddr>);

    impl Resolve for Fixed {
        fn resolve(&self, _: Name) -> Resolving {
            let addresses = in_two_families(self.0.clone());
            Box::pin(async { Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs) })
        }
    }

    /// Linux has many addresses for this machine, and a way to make one silent.
    #[tokio::test]
    async fn a_silent_ipv4_address_beside_another_costs_a_fraction_of_a_second() {
        let server = Server::responding(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
        let port: u16 = server.url().rsplit_once(':').unwrap().1.parse().unwrap();
        let [alive, dead] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        let Some(_silent) = BlackHole::at((dead, port).into()) else { return };
        for order in [[dead, alive], [alive, dead]] {
            let client = reqwest::Client::builder()
                .no_proxy()
                .dns_resolver(Fixed(order.to_vec()))
                .tls_backend_rustls()
                .tls_certs_only([])
                .connect_timeout(Duration::from_secs(10));
            let start = Instant::now();
            client.build().unwrap().get(format!("http://acme.example:{port}/")).send().await.unwrap();
            assert!(start.elapsed() < Duration::from_secs(1), "{order:?}: {:?}", start.elapsed());
        }
    }
}
