use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::error::Error;
use crate::text_form::text_form;

/// The name of this machine in the redirect URI, and the addresses that belong to it.
///
/// Use [`Ipv4`](Self::Ipv4), unless LoginRadius has only another name on its list for the app. `localhost` works too,
/// but [RFC 8252, section 8.3] advises against it: a firewall or a wrong entry in the `hosts` file may lead it
/// elsewhere, and another program may hold the same port at one of its two addresses.
///
/// [RFC 8252, section 8.3]: https://www.rfc-editor.org/rfc/rfc8252#section-8.3
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Host {
    /// `127.0.0.1`, the default.
    #[default]
    Ipv4,
    /// `[::1]`, for a machine without IPv4.
    Ipv6,
    /// `localhost`: a browser chooses between 127.0.0.1 and ::1, so both are listened on, at the same port.
    Localhost,
}

text_form!(Host, "host", {
    Ipv4 => "127.0.0.1",
    Ipv6 => "[::1]",
    Localhost => "localhost",
});

impl Host {
    /// How many ports that are free at one address [`listen`](Self::listen) tries at the other.
    const ATTEMPTS: u32 = 16;

    /// Returns the redirect URI of a callback on this machine: `http://{host}:{port}{path}`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), as of
    /// [`loopback::redirect_uri`](super::loopback::redirect_uri).
    pub fn redirect_uri(self, port: u16, path: &str) -> Result<String, Error> {
        if !path.starts_with('/') {
            return Err(Error::configuration(
                "the callback's path has to begin with `/`: write one such as `/callback`",
            ));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        let segments = path.strip_prefix('/').unwrap_or_default();
        if !path.bytes().all(plain) || segments.split('/').any(|one| matches!(one, "." | "..")) {
            return Err(Error::configuration(
                "the callback's path has to consist of letters, digits and `-._~/`, and have no dot segment: \
                 remove the rest",
            ));
        }
        if path.contains("//") {
            return Err(Error::configuration("the callback's path has an empty segment (`//`): remove it"));
        }
        if port == 0 {
            return Err(Error::configuration("the callback's port is 0: listen first, and use the listener's port"));
        }
        Ok(format!("http://{self}:{port}{path}"))
    }

    /// Returns the addresses to listen on.
    #[must_use]
    pub fn addresses(self) -> &'static [IpAddr] {
        const IPV4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
        const IPV6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
        match self {
            Self::Ipv4 => &[IPV4],
            Self::Ipv6 => &[IPV6],
            Self::Localhost => &[IPV4, IPV6],
        }
    }

    /// Listens on all addresses of this host, at that port, or if it is 0, at one that is free on all of them. Returns
    /// the listeners and the redirect URI.
    ///
    /// `bind` listens on one address, and returns the listener and its port. If the machine lacks one of the addresses,
    /// for example because IPv6 is turned off, that one is left out: no browser can reach it either.
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use loginradius_proto::browser::loopback::Host;
    ///
    /// # fn main() -> Result<(), loginradius_proto::Error> {
    /// let (listeners, redirect_uri) = Host::Localhost.listen(0, "/callback", |address| {
    ///     let listener = TcpListener::bind(address)?;
    ///     let port = listener.local_addr()?.port();
    ///     Ok((listener, port))
    /// })?;
    /// assert!(redirect_uri.starts_with("http://localhost:"));
    /// # assert!(matches!(listeners.len(), 1 | 2));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if another program has the port on one of the
    /// addresses, where it would receive the code; if no address can be listened on; or if
    /// [`redirect_uri`](Self::redirect_uri) refuses the path.
    pub fn listen<L>(
        self,
        port: u16,
        path: &str,
        mut bind: impl FnMut(SocketAddr) -> io::Result<(L, u16)>,
    ) -> Result<(Vec<L>, String), Error> {
        // Held until the end, so that the operating system does not choose the same port again.
        let mut half_free = Vec::new();
        for _ in 0..Self::ATTEMPTS {
            let (mut listeners, mut bound_port, mut unavailable) = (Vec::new(), port, None);
            let mut taken = None;
            for ip in self.addresses() {
                match bind(SocketAddr::new(*ip, bound_port)) {
                    Ok((listener, port)) => {
                        bound_port = port;
                        listeners.push(listener);
                    }
                    Err(error) if is_unavailable(&error) => unavailable = Some((*ip, error)),
                    Err(error) => {
                        taken = Some((*ip, error));
                        break;
                    }
                }
            }
            match taken {
                None if !listeners.is_empty() => return Ok((listeners, self.redirect_uri(bound_port, path)?)),
                // The port was chosen for the first address, and is not free at the second.
                Some((_, error)) if port == 0 && is_taken(&error) && !listeners.is_empty() => {
                    half_free.append(&mut listeners);
                }
                _ => {
                    return Err(taken
                        .or(unavailable)
                        .map_or_else(no_free_port, |(ip, why)| self.unusable(ip, port, &why)));
                }
            }
        }
        Err(no_free_port())
    }

    fn unusable(self, ip: IpAddr, port: u16, error: &io::Error) -> Error {
        let not = format!("{ip} port {port} cannot be listened on, {error}");
        Error::configuration(match error.kind() {
            io::ErrorKind::AddrInUse if port == 0 => {
                format!(
                    "{ip} has no free port: close what has many connections, or use a fixed port that the app allows"
                )
            }
            io::ErrorKind::AddrInUse => format!(
                "{ip} port {port} is already in use, perhaps by another run of this program: stop that run, or use \
                 another port that the app allows"
            ),
            io::ErrorKind::PermissionDenied if (1..1024).contains(&port) => {
                format!("{not}: use a port from 1024 on that the app allows")
            }
            io::ErrorKind::PermissionDenied => format!(
                "{not}: use another port that the app allows, or allow this program to listen on this machine's own \
                 addresses"
            ),
            _ if is_unavailable(error) => match self {
                Self::Ipv4 => format!("{not}: turn on IPv4, or use `[::1]` if the app allows that"),
                Self::Ipv6 => format!("{not}: turn on IPv6, or use 127.0.0.1 if the app allows that"),
                Self::Localhost => format!("{not}, nor can 127.0.0.1: turn on this machine's loopback interface"),
            },
            _ => format!("{not}: allow this program more open files and memory, or try again later"),
        })
    }
}

/// Returns whether another program holds the port. Windows denies the permission if it is reserved or held exclusively.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

/// Returns whether the machine lacks the address, or its whole family.
fn is_unavailable(error: &io::Error) -> bool {
    // The standard library has no kind for this error of `socket`.
    const EAFNOSUPPORT: i32 = if cfg!(windows) {
        10047
    } else if cfg!(any(target_arch = "mips", target_arch = "mips64", target_os = "solaris", target_os = "illumos")) {
        124
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        97
    } else {
        47
    };
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(EAFNOSUPPORT)
}

fn no_free_port() -> Error {
    Error::configuration(
        "no port was found that is free on both 127.0.0.1 and ::1: use a fixed port, or 127.0.0.1 alone",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    /// A machine's ports.
    #[derive(Default)]
    struct Machine {
        /// What is held by other programs; port 0 stands for all.
        taken: Vec<(IpAddr, u16)>,
        /// Families that the machine does not have.
        missing: Vec<(IpAddr, i32)>,
        bound: Vec<SocketAddr>,
        next_free: u16,
    }

    impl Machine {
        fn bind(&mut self, address: SocketAddr) -> io::Result<(SocketAddr, u16)> {
            if let Some((_, code)) = self.missing.iter().find(|(ip, _)| *ip == address.ip()) {
                return Err(io::Error::from_raw_os_error(*code));
            }
            let port = match address.port() {
                0 => {
                    self.next_free += 1;
                    49_151 + self.next_free
                }
                port => port,
            };
            if self.taken.iter().any(|(ip, taken)| *ip == address.ip() && [0, port].contains(taken)) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            let bound = SocketAddr::new(address.ip(), port);
            self.bound.push(bound);
            Ok((bound, port))
        }

        fn listen(&mut self, host: Host, port: u16) -> Result<(Vec<SocketAddr>, String), Error> {
            host.listen(port, "/callback", |address| self.bind(address))
        }
    }

    #[track_caller]
    fn refused(result: Result<(Vec<SocketAddr>, String), Error>, names: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(names), "{error}");
    }

    #[test]
    fn each_host_has_its_addresses_and_its_redirect_uri() {
        for (host, expected, uri) in [
            (Host::Ipv4, &[V4][..], "http://127.0.0.1:8400/callback"),
            (Host::Ipv6, &[V6], "http://[::1]:8400/callback"),
            (Host::Localhost, &[V4, V6], "http://localhost:8400/callback"),
        ] {
            let expected: Vec<_> = expected.iter().map(|ip| SocketAddr::new(*ip, 8400)).collect();
            assert_eq!(Machine::default().listen(host, 8400).unwrap(), (expected, uri.to_owned()));
            assert_eq!(host.redirect_uri(8400, "/callback").unwrap(), uri);
            assert_eq!(host.to_string().parse::<Host>().unwrap(), host);
        }
        assert_eq!(Host::default(), Host::Ipv4);
    }

    #[test]
    fn a_free_port_is_the_same_on_both_addresses() {
        for taken in 0..16 {
            let taken = (0..taken).map(|port| (V6, 49_152 + port)).collect::<Vec<_>>();
            let port = 49_152 + taken.len() as u16;
            let mut machine = Machine { taken, ..Machine::default() };
            let (listeners, uri) = machine.listen(Host::Localhost, 0).unwrap();
            assert_eq!(listeners, [V4, V6].map(|ip| SocketAddr::new(ip, port)));
            assert_eq!(uri, format!("http://localhost:{port}/callback"));
        }
        let mut machine = Machine { taken: vec![(V6, 0)], ..Machine::default() };
        refused(machine.listen(Host::Localhost, 0), "no port was found that is free on both");
        assert_eq!(machine.bound.len(), 16);
    }

    /// Its program would receive the code.
    #[test]
    fn a_port_that_another_program_holds_on_one_address_is_refused() {
        for (host, ip) in [(Host::Localhost, V4), (Host::Localhost, V6), (Host::Ipv4, V4), (Host::Ipv6, V6)] {
            let mut machine = Machine { taken: vec![(ip, 8400)], ..Machine::default() };
            refused(machine.listen(host, 8400), &format!("{ip} port 8400 is already in use"));
        }
    }

    #[test]
    fn what_keeps_a_port_from_being_listened_on_is_said_with_what_helps() {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, OutOfMemory, PermissionDenied};
        const ADDRESS: &str = "cannot be listened on, address not available: ";
        for (kind, host, port, text) in [
            (
                PermissionDenied,
                Host::Localhost,
                8400,
                "on, permission denied: use another port that the app allows, or",
            ),
            (
                PermissionDenied,
                Host::Ipv4,
                80,
                "port 80 cannot be listened on, permission denied: use a port from 1024",
            ),
            (OutOfMemory, Host::Localhost, 8400, "on, out of memory: allow this program more open files and memory"),
            (AddrInUse, Host::Ipv4, 0, "127.0.0.1 has no free port: close what has many connections"),
            (AddrNotAvailable, Host::Ipv4, 8400, &format!("{ADDRESS}turn on IPv4, or use `[::1]`")),
            (AddrNotAvailable, Host::Ipv6, 8400, &format!("{ADDRESS}turn on IPv6, or use 127.0.0.1")),
            (AddrNotAvailable, Host::Localhost, 0, "available, nor can 127.0.0.1: turn on this machine's loopback"),
        ] {
            refused(host.listen(port, "/callback", |_| Err::<(SocketAddr, u16), _>(kind.into())), text);
        }
        // At the second address alone.
        let result = Host::Localhost.listen(8400, "/callback", |address| {
            if address.is_ipv4() { Ok((address, 8400)) } else { Err(PermissionDenied.into()) }
        });
        refused(result, "::1 port 8400 cannot be listened on, permission denied: use another port");
    }

    #[test]
    #[cfg(all(target_os = "linux", not(any(target_arch = "mips", target_arch = "mips64"))))]
    fn a_family_that_the_machine_lacks_is_left_out() {
        // EAFNOSUPPORT and EADDRNOTAVAIL, as without IPv6 in the kernel and with IPv6 turned off.
        for code in [97, 99] {
            for port in [0, 8400] {
                for (missing, there) in [(V6, V4), (V4, V6)] {
                    let mut machine = Machine { missing: vec![(missing, code)], ..Machine::default() };
                    let (listeners, uri) = machine.listen(Host::Localhost, port).unwrap();
                    let bound = if port == 0 { 49_152 } else { port };
                    assert_eq!(listeners, [SocketAddr::new(there, bound)]);
                    assert_eq!(uri, format!("http://localhost:{bound}/callback"));
                }
                let mut machine = Machine { missing: vec![(V4, code), (V6, code)], ..Machine::default() };
                for host in [Host::Localhost, Host::Ipv4, Host::Ipv6] {
                    refused(machine.listen(host, port), "cannot be listened on");
                }
            }
        }
        // Too many open files: another program may hold the address.
        let mut machine = Machine { missing: vec![(V6, 24)], ..Machine::default() };
        refused(machine.listen(Host::Localhost, 0), "::1 port 0 cannot be listened on");
    }
}
