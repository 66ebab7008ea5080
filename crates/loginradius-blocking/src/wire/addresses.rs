//! From a name to a connection: the DNS lookup, and a race between the addresses.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use loginradius_proto::ConnectFailure;
use loginradius_transport::localhost;

/// How long an address may take before the next one is tried as well (RFC 8305, section 5, "Connection Attempt Delay").
const HEAD_START: Duration = Duration::from_millis(250);
/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// A host, with the brackets of an IPv6 address or without, and its port.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
}

impl Peer<'_> {
    /// Returns the host without the brackets of an IPv6 address.
    pub(super) fn bare_host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(self.host)
    }

    /// Resolves the host, and returns its addresses in the order in which to try them: those of the operating system,
    /// except for `localhost`. That takes a thread, because the system's lookup cannot be stopped.
    pub(super) fn addresses(&self, deadline: Instant) -> Result<Vec<SocketAddr>, ConnectFailure> {
        if let Ok(address) = self.bare_host().parse::<IpAddr>() {
            return Ok(vec![(address, self.port).into()]);
        }
        if let Some(addresses) = localhost(self.host) {
            return Ok(addresses.map(|address| (address, self.port).into()).to_vec());
        }
        let not_found = || ConnectFailure::NameNotFound { host: self.host.to_owned() };
        let (sender, receiver) = mpsc::sync_channel(1);
        let name = (self.host.to_owned(), self.port);
        let resolve = move || {
            // The caller has stopped waiting if its time was over.
            let _ = sender.send(name.to_socket_addrs().map(Vec::from_iter));
        };
        let timed_out = || ConnectFailure::TimedOut { address: format!("the DNS lookup of {}", self.host) };
        if let Err(error) = thread::Builder::new().name("dns-lookup".to_owned()).spawn(resolve) {
            let problem = format!("a thread could not be started for the DNS lookup of {}: {error}", self.host);
            return Err(ConnectFailure::OutOfResources { problem });
        }
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(by_turns(addresses)),
            Ok(_) => Err(not_found()),
            Err(_) => Err(timed_out()),
        }
    }

    /// Connects to the first of its addresses that responds.
    pub(super) fn connect(&self, deadline: Instant) -> Result<TcpStream, ConnectFailure> {
        let addresses = self.addresses(deadline)?;
        let only = if let [address] = addresses.as_slice() { Some(*address) } else { None };
        connect_to_one_of(addresses, deadline).map_err(|error| self.failure(only, &error))
    }

    fn failure(&self, address: Option<SocketAddr>, error: &io::Error) -> ConnectFailure {
        let address = match address {
            Some(address) if self.bare_host() != address.ip().to_string() => format!("{self} ({})", address.ip()),
            _ => self.to_string(),
        };
        if is_out_of_files(error) {
            return ConnectFailure::OutOfResources { problem: format!("no socket could be opened: {error}") };
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => ConnectFailure::Refused { address },
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ConnectFailure::TimedOut { address },
            _ => ConnectFailure::Unreachable { address },
        }
    }
}

impl std::fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') && !self.host.starts_with('[') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Returns whether this process or this machine has too many open files (EMFILE and ENFILE).
fn is_out_of_files(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

/// Alternates addresses of IPv6 and IPv4, and otherwise keeps the system's order (RFC 8305, section 4).
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut ordered = Vec::new();
    loop {
        let turn = [one.next(), other.next()];
        if turn == [None, None] {
            ordered.truncate(MAX_ADDRESSES);
            return ordered;
        }
        ordered.extend(turn.into_iter().flatten());
    }
}

fn connect(address: SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { TcpStream::connect_timeout(&address, left) }
}

/// Connects to the first address that responds, so that a dead one costs a fraction of a second (RFC 8305, section 5).
///
/// Threads are needed only once an address has not responded within its head start.
fn connect_to_one_of(addresses: Vec<SocketAddr>, deadline: Instant) -> io::Result<TcpStream> {
    let mut last_error = io::Error::from(io::ErrorKind::TimedOut);
    let mut waiting = VecDeque::from(addresses);
    while let Some(address) = waiting.pop_front() {
        if waiting.is_empty() {
            return connect(address, deadline);
        }
        match connect(address, deadline.min(Instant::now() + HEAD_START)) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                waiting.push_back(address);
                return race(&waiting.into_iter().collect::<Vec<_>>(), deadline);
            }
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

/// Tries one address after the other in threads, each with a head start. The first that responds wins.
fn race(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let (sender, receiver) = mpsc::channel();
    let mut waiting = addresses.iter().copied();
    let mut under_way = 0_usize;
    let mut last_error = io::Error::from(io::ErrorKind::TimedOut);
    loop {
        if let Some(address) = waiting.next() {
            let sender = sender.clone();
            let attempt = move || {
                // Another address may have won.
                let _ = sender.send(connect(address, deadline));
            };
            match thread::Builder::new().name("connect".to_owned()).spawn(attempt) {
                Ok(_) => under_way += 1,
                // Without another thread, one address after the other.
                Err(_) => match connect(address, deadline.min(Instant::now() + HEAD_START)) {
                    Ok(stream) => return Ok(stream),
                    Err(error) => {
                        last_error = error;
                        continue;
                    }
                },
            }
        } else if under_way == 0 {
            return Err(last_error);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = if waiting.len() > 0 { left.min(HEAD_START) } else { left };
        match receiver.recv_timeout(wait) {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => {
                under_way = under_way.saturating_sub(1);
                last_error = error;
            }
            Err(_) if left <= HEAD_START || waiting.len() == 0 => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use loginradius_conformance::BlackHole;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn families_take_turns() {
        let order = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| format!("{address}:1").parse().unwrap()).collect();
            by_turns(addresses).iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order(&["[::1]", "[::2]", "[::3]", "10.0.0.1"]), "::1 10.0.0.1 ::2 ::3");
        assert_eq!(order(&["10.0.0.1", "[::1]", "10.0.0.2"]), "10.0.0.1 ::1 10.0.0.2");
        assert_eq!(order(&["10.0.0.1"; 20]).split(' ').count(), MAX_ADDRESSES);
    }

    #[test]
    fn a_dead_address_costs_its_head_start() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let alive = listener.local_addr().unwrap();
        let Some(black_hole) = BlackHole::open() else { return };
        let dead = black_hole.address();
        let refused = SocketAddr::from(([127, 0, 0, 1], 1));
        for addresses in [vec![dead, alive], vec![refused, alive], vec![dead, refused, alive], vec![dead, dead, alive]]
        {
            let start = Instant::now();
            for connect in [race, |addresses: &[SocketAddr], deadline| connect_to_one_of(addresses.to_vec(), deadline)]
            {
                assert_eq!(connect(&addresses, soon()).unwrap().peer_addr().unwrap(), alive);
            }
            assert!(start.elapsed() < Duration::from_secs(2), "{addresses:?}: {:?}", start.elapsed());
        }
    }

    #[test]
    fn a_race_that_nobody_wins_ends_with_a_cause_and_by_the_deadline() {
        let refused = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(race(&[refused, refused], soon()).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(race(&[], soon()).is_err());
        assert_eq!(
            connect_to_one_of(vec![refused, refused], soon()).unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        assert!(connect_to_one_of(vec![], soon()).is_err());
        let Some(black_hole) = BlackHole::open() else { return };
        let dead = black_hole.address();
        let start = Instant::now();
        assert!(race(&[dead, dead], start + Duration::from_millis(300)).is_err());
        assert!(connect_to_one_of(vec![dead, dead], start + Duration::from_millis(600)).is_err());
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }

    #[test]
    fn an_ipv6_address_is_written_in_brackets() {
        let text = |host| Peer { host, port: 8 }.to_string();
        assert_eq!([text("::1"), text("[::1]"), text("a.example")], ["[::1]:8", "[::1]:8", "a.example:8"]);
    }

    #[test]
    fn an_address_needs_no_lookup() {
        for (host, address) in [("127.0.0.1", "127.0.0.1:8"), ("[::1]", "[::1]:8")] {
            let addresses = Peer { host, port: 8 }.addresses(Instant::now()).unwrap();
            assert_eq!(addresses, [address.parse().unwrap()]);
        }
    }
}
