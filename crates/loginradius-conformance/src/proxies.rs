//! The builder's proxy: requests to this machine bypass it, all others go through it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use loginradius_proto::{ConnectFailure, ErrorKind, ProxyFault};
use rustls::{ServerConnection, StreamOwned};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::{Operation, REFUSED, app, secrets, success};
use crate::server::{Peer, Request, Server, json, read_request};
use crate::tls::Tls;

/// Starts a proxy that refuses every request.
pub(crate) fn refusing_proxy() -> Server {
    Server::responding(|_| b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec())
}

fn with_proxy(url: &str) -> Settings {
    Settings { proxy: Some(url.to_owned()), ..Settings::attempts(2) }
}

/// Calls every operation at each name of this machine; `url` has its address.
pub(crate) fn call_loopback<A: Adapter>(url: &str, settings: &Settings) {
    for url in [url.to_owned(), url.replace("127.0.0.1", "localhost")] {
        let client = A::new(app(&url), settings).unwrap();
        for operation in Operation::<A>::all() {
            (operation.call)(&client).unwrap_or_else(|error| panic!("{}: {error:?}", operation.name));
        }
    }
}

fn loopback_bypasses_the_builders_proxy<A: Adapter>() {
    let proxy = refusing_proxy();
    let server = Server::responding(|_| json("200 OK", &success()));
    call_loopback::<A>(&server.url(), &with_proxy(&proxy.url()));
    assert_eq!((server.requests().len(), proxy.connections()), (20, 0));
}

/// The proxy resolves the name, and its refusal means that nothing was sent.
fn other_hosts_go_through_the_builders_proxy<A: Adapter>() {
    let proxy = refusing_proxy();
    check_refusal::<A>(&with_proxy(&proxy.url()));
    assert_connects(&proxy, 2);
}

/// Checks that the proxy's refusal is retried once and then means `NotSent`.
pub(crate) fn check_refusal<A: Adapter>(settings: &Settings) {
    let client = A::new(app("https://acme.invalid"), settings).unwrap();
    let error = (Operation::<A>::refresh().call)(&client).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent, "{error:?}");
    assert!(error.to_string().contains("2 attempts"), "{error}");
}

pub(crate) fn assert_connects(proxy: &Server, times: usize) {
    let requests = proxy.requests();
    assert_eq!(requests.len(), times);
    for request in requests {
        assert!(request.head.starts_with("CONNECT acme.invalid:443 HTTP/1.1\r\n"), "{}", request.head);
        for secret in secrets::ALL {
            assert!(!request.head.contains(secret), "{}", request.head);
        }
    }
}

fn an_unreachable_proxy_means_not_sent<A: Adapter>() {
    check_refusal::<A>(&with_proxy(REFUSED));
}

fn the_proxys_password_goes_to_the_proxy<A: Adapter>() {
    let proxy = refusing_proxy();
    check_refusal::<A>(&with_proxy(&proxy.url().replace("://", "://user:secret@")));
    let request = &proxy.requests()[0];
    assert!(request.head.to_ascii_lowercase().contains("\r\nproxy-authorization: basic "), "{}", request.head);
    assert!(request.head.contains("dXNlcjpzZWNyZXQ="), "{}", request.head);
}

/// Inside of TLS, and with credentials.
fn a_request_reaches_its_server_through_every_kind_of_proxy<A: Adapter>() {
    // An address, which nobody has to resolve; it is one for documentation (RFC 5737).
    let tls = Tls::of(&["192.0.2.1", "127.0.0.1"]);
    let server = tls.server();
    let address = server.url().replace("http://", "");
    for scheme in ["http", "https", "socks5", "socks5h"] {
        let proxy = connecting_proxy(scheme, &tls, &address);
        let url = proxy.url().replace("http://", &format!("{scheme}://user:secret@"));
        let settings = Settings { root_certificates: Some(tls.root.clone()), ..with_proxy(&url) };
        let client = A::new(app("https://192.0.2.1"), &settings).unwrap();
        let before = server.requests().len();
        for operation in [Operation::<A>::jwt(), Operation::refresh()] {
            (operation.call)(&client).unwrap_or_else(|error| panic!("{scheme}: {}: {error:?}", operation.name));
        }
        assert_eq!(server.requests().len() - before, 2, "{scheme}");
        assert_eq!(proxy.requests().len(), 2, "{scheme}");
        for request in proxy.requests() {
            assert!(request.head.starts_with("CONNECT 192.0.2.1:443 "), "{scheme}: {}", request.head);
            assert!(request.head.contains("dXNlcjpzZWNyZXQ="), "{scheme}: {}", request.head);
        }
    }
}

/// Starts a proxy that connects to `address`, whatever it is asked for. It records what SOCKS asks for as HTTP would.
fn connecting_proxy(scheme: &str, tls: &Tls, address: &str) -> Server {
    let address = address.to_owned();
    match scheme {
        "http" => Server::start(move |peer| {
            if peer.request().is_some() && peer.send(b"HTTP/1.1 200 OK\r\n\r\n").is_ok() {
                join(peer.stream().try_clone().unwrap(), TcpStream::connect(&address).unwrap());
            }
        }),
        "https" => tls.serve(move |stream, peer| {
            if let Some(request) = read_request(stream, peer.number()) {
                peer.record(request);
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                join_within_tls(stream, TcpStream::connect(&address).unwrap());
            }
        }),
        _ => Server::start(move |peer| {
            if let Some(request) = accept_socks(&mut peer.stream(), peer.number()) {
                peer.record(request);
                join(peer.stream().try_clone().unwrap(), TcpStream::connect(&address).unwrap());
            }
        }),
    }
}

/// Accepts a SOCKS 5 client with a user name (RFC 1928, RFC 1929) and returns what it asks for, as HTTP would ask.
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

fn join(here: TcpStream, there: TcpStream) {
    let back = (there.try_clone().unwrap(), here.try_clone().unwrap());
    std::thread::spawn(move || pump(back.0, back.1));
    pump(here, there);
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// TLS has one state for both directions, so they take turns.
fn join_within_tls(here: &mut StreamOwned<ServerConnection, TcpStream>, mut there: TcpStream) {
    let turn = Some(Duration::from_millis(2));
    here.sock.set_read_timeout(turn).unwrap();
    there.set_read_timeout(turn).unwrap();
    while pump_once(here, &mut there) && pump_once(&mut there, here) {}
}

/// Returns whether both are still open.
fn pump_once(from: &mut impl Read, to: &mut impl Write) -> bool {
    let mut buffer = [0; 4096];
    match from.read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => to.write_all(&buffer[..count]).and_then(|()| to.flush()).is_ok(),
        Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
    }
}

/// What a proxy does in place of connecting, and what the error says of it.
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
        words: "check the proxy's rules and its log",
    },
    Failure {
        name: "no HTTP",
        scheme: "http",
        act: Some(|peer| {
            peer.request();
            let _ = peer.send(b"SSH-2.0-OpenSSH_9.9\r\n");
        }),
        is_expected: |fault| matches!(fault, ProxyFault::NotAProxy | ProxyFault::Refused(_)),
        words: "check the proxy's",
    },
    Failure {
        name: "closes",
        scheme: "http",
        act: Some(|peer| {
            peer.request();
        }),
        is_expected: |fault| matches!(fault, ProxyFault::NotAProxy | ProxyFault::Refused(_)),
        words: "check the proxy's",
    },
    Failure {
        name: "silent",
        scheme: "http",
        act: Some(Peer::wait),
        is_expected: |fault| is_unconnected(fault, |why| matches!(why, ConnectFailure::TimedOut { .. })),
        words: "did not respond in time",
    },
    Failure {
        name: "dead",
        scheme: "http",
        act: None,
        is_expected: |fault| is_unconnected(fault, |why| matches!(why, ConnectFailure::Refused { .. })),
        words: "check the proxy's address, or set another proxy",
    },
    Failure {
        name: "dead, for TLS",
        scheme: "https",
        act: None,
        is_expected: |fault| is_unconnected(fault, |why| matches!(why, ConnectFailure::Refused { .. })),
        words: "check the proxy's address, or set another proxy",
    },
    Failure {
        name: "http, for TLS",
        scheme: "https",
        act: Some(|peer| {
            let _ = peer.stream().read(&mut [0; 16]);
            let _ = peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }),
        // A TLS library that the user's own client brings has words of its own.
        is_expected: |fault| {
            is_unconnected(fault, |why| matches!(why, ConnectFailure::NotTls { .. }))
                || matches!(fault, ProxyFault::Refused(_))
        },
        words: "check the proxy's",
    },
    Failure {
        name: "dead, for SOCKS",
        scheme: "socks5",
        act: None,
        is_expected: |fault| is_unconnected(fault, |why| matches!(why, ConnectFailure::Refused { .. })),
        words: "check the proxy's address, or set another proxy",
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
        words: "requires other credentials",
    },
    Failure {
        name: "finds no way, for SOCKS",
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
        words: "check the proxy's rules and its log",
    },
];

fn is_unconnected(fault: &ProxyFault, is_expected: fn(&ConnectFailure) -> bool) -> bool {
    matches!(fault, ProxyFault::Unconnected(failure) if is_expected(failure))
}

fn every_failure_of_a_proxy_names_it_in_one_line<A: Adapter>() {
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

/// Also of what the environment or the user's own client says.
fn without_a_proxy_all_is_direct<A: Adapter>() {
    let proxy = refusing_proxy();
    let settings = Settings { without_proxy: true, connect_timeout: SHORT, ..with_proxy(&proxy.url()) };
    check_direct::<A>(&settings);
    assert_eq!(proxy.connections(), 0);
}

const SHORT: Duration = Duration::from_millis(300);

/// Checks that a host is connected to without a proxy: a name that does not exist, or one that nobody finds in time.
pub(crate) fn check_direct<A: Adapter>(settings: &Settings) {
    let settings = Settings { connect_timeout: SHORT, ..settings.clone() };
    let client = A::new(app("https://acme.invalid"), &settings).unwrap();
    let error = (Operation::<A>::refresh().call)(&client).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent, "{error:?}");
    assert!(!error.to_string().contains("proxy"), "{error}");
}

/// A proxy that is set and cannot be used is never left out.
fn a_proxy_of_an_unsupported_scheme_is_refused<A: Adapter>() {
    for url in ["ftp://127.0.0.1:1", "socks4://127.0.0.1:1", "socks://127.0.0.1:1", "http://", "http://a b"] {
        let error = A::new(app("https://acme.invalid"), &with_proxy(url)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{url}: {error:?}");
        assert!(error.to_string().starts_with("the proxy "), "{url}: {error}");
    }
}

cases!(($) proxies proxies_cases {
    loopback_bypasses_the_builders_proxy,
    other_hosts_go_through_the_builders_proxy,
    an_unreachable_proxy_means_not_sent,
    the_proxys_password_goes_to_the_proxy,
    a_request_reaches_its_server_through_every_kind_of_proxy,
    every_failure_of_a_proxy_names_it_in_one_line,
    without_a_proxy_all_is_direct,
    a_proxy_of_an_unsupported_scheme_is_refused,
});
