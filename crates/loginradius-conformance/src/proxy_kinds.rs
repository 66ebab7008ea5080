//! Every kind of proxy, and the ways in which each can fail.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
use std::time::Duration;

use loginradius_proto::{ConnectFailure, ErrorKind, ProxyFault};
use rustls::{ServerConnection, StreamOwned};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::{Operation, REFUSED, app, secrets};
use crate::proxies::{connecting_proxy, join, with_proxy};
use crate::server::{Peer, Request, Server, read_request};
use crate::tls::Tls;

/// Requests use TLS, and the proxies require credentials. The targets are addresses for documentation (RFC 5737, RFC
/// 3849), and a name that the proxy resolves.
fn a_request_reaches_its_server_through_every_kind<A: Adapter>() {
    let tls = Tls::of(&["192.0.2.1", "2001:db8::1", "sso.example.test", "127.0.0.1"]);
    let server = tls.server();
    let address = server.url().replace("http://", "");
    for scheme in ["http", "https", "socks5", "socks5h"] {
        for host in ["192.0.2.1", "[2001:db8::1]", "sso.example.test"] {
            if (scheme, host) == ("socks5", "sso.example.test") {
                continue; // the client resolves it
            }
            let proxy = proxy_of(scheme, &tls, &address);
            let url = proxy.url().replace("http://", &format!("{scheme}://user:secret@"));
            let settings = Settings { root_certificates: Some(tls.root.clone()), ..with_proxy(&url) };
            let client = A::new(app(&format!("https://{host}")), &settings);
            if host.starts_with('[') && !A::IPV6_THROUGH_PROXIES {
                let error = client.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
                assert!(error.to_string().contains(host), "{error}");
                continue;
            }
            let client = client.unwrap();
            let before = server.requests().len();
            for operation in [Operation::<A>::jwt(), Operation::refresh()] {
                (operation.call)(&client).unwrap_or_else(|error| panic!("{scheme} {host}: {error:?}"));
            }
            assert_eq!(server.requests().len() - before, 2, "{scheme} {host}");
            assert_eq!(proxy.requests().len(), 2, "{scheme} {host}");
            for Request { head, .. } in proxy.requests() {
                assert!(head.starts_with(&format!("CONNECT {host}:443 ")), "{scheme} {host}: {head}");
                assert!(head.contains("dXNlcjpzZWNyZXQ="), "{scheme} {host}: {head}");
            }
        }
    }
}

/// Starts a proxy that connects to `address`, whatever it is asked for. It records a SOCKS request as a `CONNECT`.
fn proxy_of(scheme: &str, tls: &Tls, address: &str) -> Server {
    if scheme == "http" {
        return connecting_proxy(address);
    }
    let address = address.to_owned();
    if scheme == "https" {
        tls.serve(move |stream, peer| {
            if let Some(request) = read_request(stream, peer.number()) {
                peer.record(request);
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                join_within_tls(stream, TcpStream::connect(&address).unwrap());
            }
        })
    } else {
        Server::start(move |peer| {
            if let Some(request) = accept_socks(&mut peer.stream(), peer.number()) {
                peer.record(request);
                join(peer.stream().try_clone().unwrap(), TcpStream::connect(&address).unwrap());
            }
        })
    }
}

/// Accepts a SOCKS 5 client with a user name (RFC 1928, RFC 1929), and returns its request as a `CONNECT`.
fn accept_socks(stream: &mut (impl Read + Write), connection: usize) -> Option<Request> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
    let [5, methods] = read_array(stream)? else { return None };
    read_bytes(stream, methods)?.contains(&2).then_some(())?;
    stream.write_all(&[5, 2]).ok()?;
    let [1, length] = read_array(stream)? else { return None };
    let user = text(read_bytes(stream, length)?)?;
    let [length] = read_array(stream)?;
    let password = text(read_bytes(stream, length)?)?;
    let is_right = (user.as_str(), password.as_str()) == ("user", "secret");
    stream.write_all(&[1, u8::from(!is_right)]).ok()?;
    let [5, 1, 0, kind] = read_array(stream)? else { return None };
    let host = match kind {
        1 => Ipv4Addr::from(read_array(stream)?).to_string(),
        3 => {
            let [length] = read_array(stream)?;
            text(read_bytes(stream, length)?)?
        }
        4 => format!("[{}]", Ipv6Addr::from(read_array::<16>(stream)?)),
        _ => return None,
    };
    let port = u16::from_be_bytes(read_array(stream)?);
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
    let credentials = if is_right { "dXNlcjpzZWNyZXQ=" } else { "wrong" };
    let head = format!("CONNECT {host}:{port} SOCKS/5\r\nProxy-Authorization: {credentials}\r\n\r\n");
    Some(Request { head, body: Vec::new(), connection })
}

fn read_array<const N: usize>(stream: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).ok().map(|()| bytes)
}

fn read_bytes(stream: &mut impl Read, length: u8) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).ok().map(|()| bytes)
}

/// Passes bytes in both directions by turns, because a TLS connection has one state for both.
fn join_within_tls(here: &mut StreamOwned<ServerConnection, TcpStream>, mut there: TcpStream) {
    let turn = Some(Duration::from_millis(2));
    here.sock.set_read_timeout(turn).unwrap();
    there.set_read_timeout(turn).unwrap();
    while pump_once(here, &mut there) && pump_once(&mut there, here) {}
}

/// Passes on what has arrived. Returns whether both are still open.
fn pump_once(from: &mut impl Read, to: &mut impl Write) -> bool {
    let mut buffer = [0; 4096];
    match from.read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => to.write_all(&buffer[..count]).and_then(|()| to.flush()).is_ok(),
        Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
    }
}

/// What a proxy does instead of connecting, and what the error says about it.
struct Failure {
    name: &'static str,
    scheme: &'static str,
    act: Option<fn(&mut Peer)>,
    is_expected: fn(&ProxyFault) -> bool,
    words: &'static str,
}

const FAILURES: [Failure; 13] = [
    Failure {
        name: "407",
        scheme: "http",
        act: Some(|peer| {
            peer.request();
            let _ = peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
        }),
        is_expected: |fault| matches!(fault, ProxyFault::CredentialsRefused(_)),
        words: "put the proxy's user name and password into its URL",
    },
    Failure {
        name: "502",
        scheme: "http",
        act: Some(|peer| {
            peer.request();
            let _ = peer.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        }),
        is_expected: |fault| matches!(fault, ProxyFault::Responded(_) | ProxyFault::Refused(_)),
        words: "and the proxy's rules and log",
    },
    Failure {
        name: "no HTTP",
        scheme: "http",
        act: Some(|peer| {
            peer.request();
            let _ = peer.send(b"SSH-2.0-OpenSSH_9.9\r\n");
        }),
        is_expected: |fault| matches!(fault, ProxyFault::NotAProxy | ProxyFault::Refused(_)),
        words: "so nothing was sent: check the ",
    },
    Failure {
        name: "closes",
        scheme: "http",
        act: Some(|peer| {
            peer.request();
        }),
        is_expected: |fault| matches!(fault, ProxyFault::NotAProxy | ProxyFault::Refused(_)),
        words: "so nothing was sent: check the ",
    },
    Failure {
        name: "silent",
        scheme: "http",
        act: Some(Peer::wait),
        // Some HTTP libraries do not tell whether they had connected to the proxy.
        is_expected: |fault| {
            is_unconnected(fault, |why| matches!(why, ConnectFailure::TimedOut { .. }))
                || matches!(fault, ProxyFault::Refused(_))
        },
        words: "did not respond in time",
    },
    Failure {
        name: "dead",
        scheme: "http",
        act: None,
        is_expected: |fault| is_unconnected(fault, |why| matches!(why, ConnectFailure::Refused { .. })),
        words: "check the proxy's scheme, address and port",
    },
    Failure {
        name: "dead, for TLS",
        scheme: "https",
        act: None,
        is_expected: |fault| is_unconnected(fault, |why| matches!(why, ConnectFailure::Refused { .. })),
        words: "check the proxy's scheme, address and port",
    },
    Failure {
        name: "http, for TLS",
        scheme: "https",
        act: Some(|peer| {
            let _ = peer.stream().read(&mut [0; 16]);
            let _ = peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }),
        is_expected: |fault| is_unconnected(fault, |why| matches!(why, ConnectFailure::NotTls { .. })),
        words: "does not speak TLS",
    },
    Failure {
        name: "dead, for SOCKS",
        scheme: "socks5",
        act: None,
        is_expected: |fault| is_unconnected(fault, |why| matches!(why, ConnectFailure::Refused { .. })),
        words: "check the proxy's scheme, address and port",
    },
    Failure {
        name: "http, for SOCKS",
        scheme: "socks5h",
        act: Some(|peer| {
            let _ = peer.stream().read(&mut [0; 16]);
            let _ = peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }),
        is_expected: |fault| *fault == ProxyFault::NotAProxy,
        words: "check the proxy's scheme, address and port",
    },
    Failure {
        name: "wants no user name, for SOCKS",
        scheme: "socks5h",
        act: Some(|peer| {
            let _ = peer.stream().read(&mut [0; 16]);
            let _ = peer.send(&[5, 0xff]);
        }),
        is_expected: |fault| matches!(fault, ProxyFault::CredentialsRefused(_)),
        words: "put the proxy's user name and password into its URL",
    },
    Failure {
        name: "wants another password, for SOCKS",
        scheme: "socks5",
        act: Some(|peer| {
            let _ = peer.stream().read(&mut [0; 4]);
            let _ = peer.send(&[5, 2]);
            let _ = peer.stream().read(&mut [0; 512]);
            let _ = peer.send(&[1, 1]);
        }),
        is_expected: |fault| matches!(fault, ProxyFault::CredentialsRefused(_)),
        words: "requires valid credentials",
    },
    Failure {
        name: "finds no route, for SOCKS",
        scheme: "socks5h",
        act: Some(|peer| {
            let _ = peer.stream().read(&mut [0; 4]);
            let _ = peer.send(&[5, 2]);
            let _ = peer.stream().read(&mut [0; 512]);
            let _ = peer.send(&[1, 0]);
            let _ = peer.stream().read(&mut [0; 512]);
            let _ = peer.send(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]);
        }),
        is_expected: |fault| matches!(fault, ProxyFault::Refused(words) if words.contains("host unreachable")),
        words: "and the proxy's rules and log",
    },
];

fn is_unconnected(fault: &ProxyFault, is_expected: fn(&ConnectFailure) -> bool) -> bool {
    matches!(fault, ProxyFault::Unconnected(failure) if is_expected(failure))
}

fn every_failure_names_the_proxy_in_one_line<A: Adapter>() {
    for Failure { name, scheme, act, is_expected, words } in FAILURES {
        let server = act.map(Server::start);
        let address = server.as_ref().map_or(REFUSED.to_owned(), Server::url).replace("http://", "");
        let password = secrets::PROXY_PASSWORD;
        let settings = Settings {
            connect_timeout: Duration::from_millis(if name == "silent" { 300 } else { 10_000 }),
            ..with_proxy(&format!("{scheme}://proxy-user:{password}@{address}"))
        };
        let client = A::new(app("https://192.0.2.1"), &settings).unwrap();
        let error = (Operation::<A>::refresh().call)(&client).unwrap_err();

        assert_eq!(error.kind(), ErrorKind::NotSent, "{name}: {error:?}");
        let line = error.to_string();
        println!("{name:33} {line}");
        assert!(line.contains(&format!("the proxy {scheme}://{address} ")) && line.contains(words), "{name}: {line}");
        assert!(!line.contains('\n'), "{name}: {line}");
        match error.connect_failure() {
            Some(ConnectFailure::Proxy { proxy, fault }) => {
                assert!(*proxy == format!("{scheme}://{address}") && is_expected(fault), "{name}: {error:?}");
            }
            other => panic!("{name}: {other:?}: {error:?}"),
        }
        let mut printed = format!("{error:?}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            printed += &format!("{cause}{cause:?}");
            source = cause.source();
        }
        for secret in [password, "proxy-user"] {
            assert!(!printed.contains(secret), "{name}: {printed}");
        }
        if let Some(server) = server {
            assert_eq!(server.connections(), if error.is_transient() { 2 } else { 1 }, "{name}: {line}");
        }
    }
}

cases!(($) proxy_kinds proxy_kinds_cases {
    a_request_reaches_its_server_through_every_kind,
    every_failure_names_the_proxy_in_one_line,
});
