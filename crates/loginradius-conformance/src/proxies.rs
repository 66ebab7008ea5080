//! The builder's proxy: requests to this machine bypass it, all others go through it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use loginradius_proto::ErrorKind;

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::{Operation, REFUSED, app, secrets, success};
use crate::server::{Server, json};
use crate::tls::Tls;

/// Starts a proxy that refuses every request.
pub(crate) fn refusing_proxy() -> Server {
    Server::responding(|_| b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec())
}

pub(crate) fn with_proxy(url: &str) -> Settings {
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

/// Inside of TLS.
fn a_request_reaches_its_server_through_the_proxy<A: Adapter>() {
    let tls = Tls::of(&["acme.invalid"]);
    let server = tls.server();
    let proxy = connecting_proxy(&server.url().replace("http://", ""));
    let settings = Settings { root_certificates: Some(tls.root.clone()), ..with_proxy(&proxy.url()) };
    let client = A::new(app("https://acme.invalid"), &settings).unwrap();
    for operation in [Operation::<A>::jwt(), Operation::refresh()] {
        (operation.call)(&client).unwrap_or_else(|error| panic!("{}: {error:?}", operation.name));
    }
    assert_eq!(server.requests().len(), 2);
    assert_connects(&proxy, 2);
}

/// Starts a proxy that connects to `address`, whatever it is asked for.
pub(crate) fn connecting_proxy(address: &str) -> Server {
    let address = address.to_owned();
    Server::start(move |peer| {
        if peer.request().is_some() && peer.send(b"HTTP/1.1 200 OK\r\n\r\n").is_ok() {
            join(peer.stream().try_clone().unwrap(), TcpStream::connect(&address).unwrap());
        }
    })
}

/// Passes on what comes from either side until both have ended.
pub(crate) fn join(here: TcpStream, there: TcpStream) {
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

/// This also overrides the environment and the user's own client.
fn without_a_proxy_all_is_direct<A: Adapter>() {
    let proxy = refusing_proxy();
    let settings = Settings { without_proxy: true, connect_timeout: SHORT, ..with_proxy(&proxy.url()) };
    check_direct::<A>(&settings);
    assert_eq!(proxy.connections(), 0);
}

const SHORT: Duration = Duration::from_millis(300);

/// Checks that a request goes direct: its name does not exist, so connecting fails, and the error names no proxy.
pub(crate) fn check_direct<A: Adapter>(settings: &Settings) {
    let settings = Settings { connect_timeout: SHORT, ..settings.clone() };
    let client = A::new(app("https://acme.invalid"), &settings).unwrap();
    let error = (Operation::<A>::refresh().call)(&client).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent, "{error:?}");
    assert!(!error.to_string().contains("proxy"), "{error}");
}

/// A proxy that is set and cannot be used is never ignored.
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
    a_request_reaches_its_server_through_the_proxy,
    without_a_proxy_all_is_direct,
    a_proxy_of_an_unsupported_scheme_is_refused,
});
