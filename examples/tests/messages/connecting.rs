//! What comes before a response: names, connections, certificates, proxies, and servers that do not respond.

use std::io::Read as _;
use std::time::Duration;

use loginradius_conformance::tls::{Issuer, Tls, Validity};
use loginradius_conformance::{Adapter, BlackHole, Peer, Server, Settings, secrets};
use loginradius_proto::jwt::JwtByAccessToken;
use loginradius_proto::oauth::RefreshAccessToken;
use loginradius_proto::{Call, Error, Seed};

use crate::case::{Case, Outcome as _, REFUSED, Said, app, case, server_certificate};

pub(crate) fn cases() -> Vec<Case> {
    [addresses(), certificates(), proxies(), silence()].into_iter().flatten().collect()
}

/// Sends what must not be sent twice.
pub(crate) fn refresh<A: Adapter>(url: &str, settings: &Settings) -> Error {
    let client = A::new(app(url), settings).unwrap();
    client.call(&RefreshAccessToken::new(secrets::REFRESH_TOKEN)).unwrap_err()
}

/// Returns quick settings with that change.
fn with(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}

fn addresses() -> Vec<Case> {
    vec![
        case!("the name does not resolve", <A> { refresh::<A>("https://sso.invalid", &Settings::default()) }),
        case!("the connection is refused", <A> { refresh::<A>(REFUSED, &Settings::default()) }),
        case!("the connection is refused, four times", <A> { refresh::<A>(REFUSED, &Settings::attempts(4)) }),
        case!("nothing answers at the address", <A> {
            BlackHole::open().and_then(|hole| {
                let settings = with(|settings| settings.connect_timeout = Duration::from_millis(200));
                refresh::<A>(&format!("http://{}", hole.address()), &settings).said()
            })
        }),
    ]
}

fn certificates() -> Vec<Case> {
    /// Calls a server with that certificate. Another authority's root is trusted, or the server's own.
    fn refused<A: Adapter>(tls: &Tls, trusted: &str) -> Error {
        let server = tls.server();
        refresh::<A>(&server.https_url(), &with(|settings| settings.root_certificates = Some(trusted.to_owned())))
    }
    /// Calls a server that sends those bytes instead of TLS.
    fn handshake<A: Adapter>(bytes: &'static [u8]) -> Error {
        let server = Server::start(move |peer| {
            let _ = peer.stream().read(&mut [0; 4096]);
            let _ = peer.send(bytes);
        });
        refresh::<A>(&server.https_url(), &Settings::default())
    }
    const HERE: [&str; 1] = ["127.0.0.1"];
    vec![
        case!("plain http at an https address", <A> {
            handshake::<A>(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        }),
        case!("a self-signed certificate", <A> {
            refused::<A>(&Tls::made(&HERE, Issuer::Itself, Validity::Now), server_certificate())
        }),
        case!("a certificate of a company's own authority", <A> {
            refused::<A>(&Tls::of(&HERE), server_certificate())
        }),
        case!("a certificate for another host", <A> {
            let tls = Tls::of(&["acme.example.com"]);
            refused::<A>(&tls, tls.root())
        }),
        case!("the certificate has expired", <A> {
            let tls = Tls::made(&HERE, Issuer::Authority, Validity::Past);
            refused::<A>(&tls, tls.root())
        }),
        case!("the certificate is not valid yet, as where the clock stands at 1970", <A> {
            let tls = Tls::made(&HERE, Issuer::Authority, Validity::Future);
            refused::<A>(&tls, tls.root())
        }),
        case!("the server knows no version of TLS that is safe", <A> { handshake::<A>(&[21, 3, 3, 0, 2, 2, 70]) }),
        case!("the server wants another cipher", <A> { handshake::<A>(&[21, 3, 3, 0, 2, 2, 40]) }),
        case!("the server wants a certificate of the client", <A> { handshake::<A>(&[21, 3, 3, 0, 2, 2, 116]) }),
        case!("the server closes before TLS is set up", <A> { handshake::<A>(b"") }),
    ]
}

fn proxies() -> Vec<Case> {
    fn through<A: Adapter>(scheme: &str, act: impl Fn(&mut Peer) + Send + Sync + 'static) -> Said {
        let server = Server::start(act);
        let host = server.url().replace("http://", "");
        let url = format!("{scheme}://proxy-user:{}@{host}", secrets::PROXY_PASSWORD);
        let settings = with(|settings| settings.proxy = Some(url));
        Said::of(&refresh::<A>("https://192.0.2.1", &settings)).without("proxy-user")
    }
    fn responding<A: Adapter>(response: &'static str) -> Said {
        through::<A>("http", |peer| {
            peer.request();
            let _ = peer.send(response.as_bytes());
        })
    }
    vec![
        case!("a proxy that says 407", <A> {
            responding::<A>("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        }),
        // reqwest does not tell the status.
        case!("a proxy that says 403", <A> { responding::<A>("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") })
            .differing(),
        case!("a proxy that says 502", <A> { responding::<A>("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n") })
            .differing(),
        case!("a proxy that is dead", <A> {
            let url = format!("http://proxy-user:{}@127.0.0.1:1", secrets::PROXY_PASSWORD);
            refresh::<A>("https://sso.example.com", &with(|settings| settings.proxy = Some(url)))
        }),
        case!("a proxy whose name does not resolve", <A> {
            let settings = with(|settings| settings.proxy = Some("http://proxy.invalid:3128".to_owned()));
            refresh::<A>("https://sso.example.com", &settings)
        }),
        case!("an http proxy that is asked for TLS", <A> {
            through::<A>("https", |peer| {
                let _ = peer.stream().read(&mut [0; 16]);
                let _ = peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            })
        }),
        case!("an http proxy that is asked for SOCKS", <A> {
            through::<A>("socks5h", |peer| {
                let _ = peer.stream().read(&mut [0; 16]);
                let _ = peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            })
        }),
        case!("a SOCKS proxy that wants another password", <A> {
            through::<A>("socks5", |peer| {
                let _ = peer.stream().read(&mut [0; 4]);
                let _ = peer.send(&[5, 2]);
                let _ = peer.stream().read(&mut [0; 512]);
                let _ = peer.send(&[1, 1]);
            })
        }),
        case!("a SOCKS proxy that finds no host", <A> {
            through::<A>("socks5h", |peer| {
                let _ = peer.stream().read(&mut [0; 4]);
                let _ = peer.send(&[5, 2]);
                let _ = peer.stream().read(&mut [0; 512]);
                let _ = peer.send(&[1, 0]);
                let _ = peer.stream().read(&mut [0; 512]);
                let _ = peer.send(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]);
            })
        }),
    ]
}

/// Servers that take the request, and send no response or half of one.
fn silence() -> Vec<Case> {
    vec![
        case!("no response comes in time", <A> {
            let server = Server::start(Peer::wait);
            refresh::<A>(&server.url(), &with(|settings| settings.timeout = Duration::from_millis(200)))
        }),
        case!("no response comes in time, to what may be repeated", <A> {
            let server = Server::start(Peer::wait);
            let settings = with(|settings| settings.timeout = Duration::from_millis(200));
            let client = A::new(app(&server.url()), &settings).unwrap();
            client.call(&JwtByAccessToken::new(secrets::ACCESS_TOKEN)).unwrap_err()
        }),
        case!("the deadline of the program has passed", <A> {
            let client = A::new(app(REFUSED), &Settings::default()).unwrap().within(Duration::ZERO);
            client.call(&RefreshAccessToken::new(secrets::REFRESH_TOKEN)).unwrap_err()
        }),
        case!("the deadline of the program passes before the response", <A> {
            let server = Server::start(Peer::wait);
            let client = A::new(app(&server.url()), &Settings::default()).unwrap().within(Duration::from_millis(200));
            client.call(&RefreshAccessToken::new(secrets::REFRESH_TOKEN)).unwrap_err()
        }),
        case!("the server closes without a response", <A> {
            let server = Server::start(|peer| drop(peer.request()));
            refresh::<A>(&server.url(), &Settings::default())
        }),
        case!("the server resets the connection", <A> {
            let server = Server::start(|peer| {
                peer.request();
                peer.reset();
            });
            refresh::<A>(&server.url(), &Settings::default())
        }),
        case!("the server does not speak HTTP", <A> {
            let server = Server::start(|peer| {
                peer.request();
                let _ = peer.send(b"SSH-2.0-OpenSSH_9.9\r\n");
            });
            refresh::<A>(&server.url(), &Settings::default())
        }),
        case!("the response is cut off", <A> {
            let server = Server::start(|peer| {
                peer.request();
                let _ = peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{\"access_token\":\"");
                let _ = peer.send(secrets::IN_RESPONSE.as_bytes());
            });
            refresh::<A>(&server.url(), &Settings::default())
        }),
        case!("the response is longer than 1 MiB", <A> {
            let server = Server::responding(|_| {
                let body = " ".repeat((1 << 20) + 1);
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
            });
            refresh::<A>(&server.url(), &Settings::default())
        }),
        case!("a client is used for another app's flow", <A> {
            let client = A::new(app("http://127.0.0.1:8710"), &Settings::default()).unwrap();
            let refresh = RefreshAccessToken::new(secrets::REFRESH_TOKEN);
            let call = Call::new(refresh, &app("http://localhost:8710"), Seed(1));
            client.run(call).unwrap_err()
        }),
    ]
}
