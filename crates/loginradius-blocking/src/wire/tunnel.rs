//! Tunnels through a proxy: `CONNECT` (RFC 9110, section 9.3.6) and SOCKS 5 (RFC 1928, RFC 1929).

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use http::StatusCode;
use loginradius_proto::proxy::{Proxy, ProxyScheme};
use loginradius_proto::{Error, ProxyFault};
use zeroize::Zeroizing;

use super::addresses::Peer;
use super::head::append;
use super::socket::Stream;

/// The most bytes of a proxy's response.
const MAX_RESPONSE: usize = 32 << 10;
const MAX_LINES: usize = 100;

/// Asks an HTTP proxy to connect to the host.
pub(super) fn connect(stream: &mut Stream, proxy: &Proxy, to: Peer<'_>) -> Result<(), ProxyFault> {
    let mut request = Zeroizing::new(Vec::with_capacity(1024));
    write!(request, "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n").map_err(interrupted)?;
    if let Some(credentials) = proxy.authorization() {
        let mut longer = Zeroizing::new(Vec::with_capacity(request.len() + credentials.len() + 64));
        longer.extend_from_slice(&request);
        longer.extend_from_slice(b"Proxy-Authorization: ");
        longer.extend_from_slice(credentials.as_bytes());
        longer.extend_from_slice(b"\r\n");
        request = longer;
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).map_err(interrupted)?;

    // It may repeat the credentials.
    let mut response = Zeroizing::new(Vec::new());
    let mut chunk = Zeroizing::new([0; 1024]);
    let mut has_ended = false;
    loop {
        let mut lines = [httparse::EMPTY_HEADER; MAX_LINES];
        let mut head = httparse::Response::new(&mut lines);
        match head.parse(&response) {
            Ok(httparse::Status::Complete(length)) => {
                match head.code.and_then(|code| StatusCode::from_u16(code).ok()) {
                    // Bytes after the head are not from the server, which waits for the client to speak first.
                    Some(status) if status.is_success() && length == response.len() => return Ok(()),
                    // tinyproxy uses 401 for wrong credentials.
                    Some(status @ (StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED)) => {
                        return Err(ProxyFault::CredentialsRefused(Some(status)));
                    }
                    Some(status) if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS => {
                        response.drain(..length);
                    }
                    Some(status) if !status.is_success() => return Err(ProxyFault::Responded(status)),
                    _ => return Err(ProxyFault::NotAProxy),
                }
            }
            Ok(httparse::Status::Partial) if !has_ended && response.len() < MAX_RESPONSE => {
                let count = stream.read(&mut chunk[..]).map_err(interrupted)?;
                append(&mut response, chunk.get(..count).unwrap_or_default());
                has_ended = count == 0;
            }
            Ok(httparse::Status::Partial) if response.is_empty() => {
                return Err(ProxyFault::Refused("it closed the connection".to_owned()));
            }
            Ok(httparse::Status::Partial) | Err(_) => return Err(ProxyFault::NotAProxy),
        }
    }
}

/// Where a SOCKS5 proxy is to connect to.
pub(super) enum Target<'a> {
    Name(Peer<'a>),
    Address(SocketAddr),
}

/// Asks a SOCKS5 proxy to connect to the host.
pub(super) fn connect_by_socks(stream: &mut Stream, proxy: &Proxy, to: &Target<'_>) -> Result<(), ProxyFault> {
    const VERSION: u8 = 5;
    const NO_CREDENTIALS: u8 = 0;
    const USER_AND_PASSWORD: u8 = 2;
    let username = proxy.username().unwrap_or_default();
    let password = proxy.password().map_or("", |password| password.expose());
    let offered = if proxy.username().is_some() || proxy.password().is_some() {
        &[VERSION, 2, NO_CREDENTIALS, USER_AND_PASSWORD][..]
    } else {
        &[VERSION, 1, NO_CREDENTIALS]
    };
    stream.write_all(offered).map_err(interrupted)?;
    match receive(stream)? {
        [VERSION, NO_CREDENTIALS] => {}
        [VERSION, USER_AND_PASSWORD] if offered.len() > 3 => {
            let mut login = Zeroizing::new(Vec::with_capacity(3 + username.len() + password.len()));
            login.push(1);
            for text in [username, password] {
                login.push(length_of(text)?);
                login.extend_from_slice(text.as_bytes());
            }
            stream.write_all(&login).map_err(interrupted)?;
            let [_, status] = receive(stream)?;
            if status != 0 {
                return Err(ProxyFault::CredentialsRefused(None));
            }
        }
        [VERSION, 0xff] => return Err(ProxyFault::CredentialsRefused(None)),
        _ => return Err(ProxyFault::NotAProxy),
    }

    let mut request = vec![VERSION, 1, 0];
    let port = match to {
        Target::Name(peer) => {
            request.extend([3, length_of(peer.host)?]);
            request.extend_from_slice(peer.host.as_bytes());
            peer.port
        }
        Target::Address(SocketAddr::V4(address)) => {
            request.push(1);
            request.extend(address.ip().octets());
            address.port()
        }
        Target::Address(SocketAddr::V6(address)) => {
            request.push(4);
            request.extend(address.ip().octets());
            address.port()
        }
    };
    request.extend(port.to_be_bytes());
    stream.write_all(&request).map_err(interrupted)?;

    let [version, reply, _, kind] = receive(stream)?;
    if version != VERSION {
        return Err(ProxyFault::NotAProxy);
    }
    if reply != 0 {
        return Err(ProxyFault::Refused(reply_words(reply).to_owned()));
    }
    // The address from which the proxy connected: it is read, because it comes before the server's bytes.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(receive::<1>(stream)?[0]),
        _ => return Err(ProxyFault::NotAProxy),
    };
    let mut address = [0; 255 + 2];
    stream.read_exact(address.get_mut(..length + 2).unwrap_or_default()).map_err(interrupted)
}

fn receive<const N: usize>(stream: &mut Stream) -> Result<[u8; N], ProxyFault> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).map_err(interrupted)?;
    Ok(bytes)
}

fn length_of(text: &str) -> Result<u8, ProxyFault> {
    u8::try_from(text.len())
        .map_err(|_| ProxyFault::Refused("SOCKS cannot send a text of more than 255 bytes".to_owned()))
}

/// Returns the meaning of a reply (RFC 1928, section 6).
fn reply_words(reply: u8) -> &'static str {
    match reply {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live exceeded",
        7 => "command not supported",
        8 => "address type not supported",
        _ => "unknown reply",
    }
}

fn interrupted(error: io::Error) -> ProxyFault {
    ProxyFault::Refused(match error.kind() {
        io::ErrorKind::TimedOut => "it did not respond in time".to_owned(),
        _ => "it closed the connection".to_owned(),
    })
}

/// Returns `None` for an HTTP proxy; for a SOCKS proxy, whether it resolves names itself.
pub(super) fn socks(scheme: ProxyScheme) -> Result<Option<bool>, Error> {
    match scheme {
        ProxyScheme::Http | ProxyScheme::Https => Ok(None),
        ProxyScheme::Socks5 => Ok(Some(false)),
        ProxyScheme::Socks5h => Ok(Some(true)),
        other => {
            Err(Error::configuration(format!("the proxy's scheme `{other}` is not supported: use http or socks5h")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::wire::socket::Socket;

    const TO: Peer<'_> = Peer { host: "sso.example.com", port: 443 };

    /// Starts a proxy that sends these pieces, one after each message that it gets; then it closes the connection.
    /// Returns what `ask` made of it, and what it was sent.
    fn with_proxy<T>(url: &str, pieces: &[&[u8]], ask: impl FnOnce(&mut Stream, &Proxy) -> T) -> (T, Vec<u8>) {
        with_proxy_that(drop, url, pieces, ask)
    }

    /// As [`with_proxy`], but what it does with the connection at last is up to `end`.
    fn with_proxy_that<T>(
        end: fn(TcpStream),
        url: &str,
        pieces: &[&[u8]],
        ask: impl FnOnce(&mut Stream, &Proxy) -> T,
    ) -> (T, Vec<u8>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let proxy = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut received = Vec::new();
            for piece in pieces {
                let mut message = [0; 2048];
                let count = stream.read(&mut message).unwrap();
                received.extend_from_slice(&message[..count]);
                stream.write_all(&piece).unwrap();
            }
            end(stream);
            received
        });
        let settings = loginradius_proto::proxy::ProxySettings::all(url).unwrap();
        let proxy_settings = settings.proxy_for(&"https://sso.example.com/".parse().unwrap()).unwrap().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut stream = Stream::Plain(Socket::new(TcpStream::connect(address).unwrap(), deadline).unwrap());
        let result = ask(&mut stream, &proxy_settings);
        drop(stream);
        (result, proxy.join().unwrap())
    }

    #[test]
    fn an_http_proxy_is_asked_with_credentials_and_its_response_is_told() {
        let ask = |stream: &mut Stream, proxy: &Proxy| connect(stream, proxy, TO);
        let (result, asked) = with_proxy("http://ada:s%40cret@p", &[b"HTTP/1.1 200 Go\r\nVia: p\r\n\r\n"], ask);
        assert_eq!(result, Ok(()));
        assert_eq!(
            String::from_utf8(asked).unwrap(),
            "CONNECT sso.example.com:443 HTTP/1.1\r\nHost: sso.example.com:443\r\n\
             Proxy-Authorization: Basic YWRhOnNAY3JldA==\r\n\r\n",
        );
        let long = [b"HTTP/1.1 200 Go\r\nX: ".to_vec(), vec![b'x'; MAX_RESPONSE]].concat();
        let rows: [(&[u8], Result<(), ProxyFault>); 12] = [
            (b"HTTP/1.0 200 OK\r\n\r\n", Ok(())),
            (b"HTTP/1.1 204 No Content\r\n\r\n", Ok(())),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Ok(())),
            (
                b"HTTP/1.1 407 Authenticate\r\n\r\nno",
                Err(ProxyFault::CredentialsRefused(Some(StatusCode::PROXY_AUTHENTICATION_REQUIRED))),
            ),
            (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", Err(ProxyFault::Responded(StatusCode::BAD_GATEWAY))),
            (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", Err(ProxyFault::Responded(StatusCode::FOUND))),
            (b"HTTP/1.1 101 Switching\r\n\r\n", Err(ProxyFault::Responded(StatusCode::SWITCHING_PROTOCOLS))),
            (b"HTTP/1.1 200 OK\r\n\r\nwhat the server would say", Err(ProxyFault::NotAProxy)),
            (b"SSH-2.0-OpenSSH\r\n", Err(ProxyFault::NotAProxy)),
            (b"HTTP/1.1 200 OK\r\nHalf", Err(ProxyFault::NotAProxy)),
            (&long, Err(ProxyFault::NotAProxy)),
            (b"", Err(ProxyFault::Refused("it closed the connection".to_owned()))),
        ];
        for (response, expected) in rows {
            assert_eq!(with_proxy("http://p", &[response], ask).0, expected, "{}", String::from_utf8_lossy(response));
        }
    }

    /// A proxy keeps the connection open, so nothing more comes that would have the rest looked at.
    #[test]
    fn interim_responses_of_a_proxy_cost_no_time() {
        let wait = |mut stream: TcpStream| drop(stream.read(&mut [0]));
        let ask = |stream: &mut Stream, proxy: &Proxy| connect(stream, proxy, TO);
        for (response, expected) in [
            (&b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"[..], Ok(())),
            (
                b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 403 No\r\n\r\n",
                Err(ProxyFault::Responded(StatusCode::FORBIDDEN)),
            ),
        ] {
            let start = Instant::now();
            assert_eq!(with_proxy_that(wait, "http://p", &[response], ask).0, expected);
            assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        }
    }

    #[test]
    fn a_socks_proxy_is_asked_with_credentials_and_its_response_is_told() {
        let by_name = |stream: &mut Stream, proxy: &Proxy| connect_by_socks(stream, proxy, &Target::Name(TO));
        let granted: &[u8] = &[5, 0, 0, 1, 10, 0, 0, 1, 0, 80];
        let (result, asked) = with_proxy("socks5h://ada:s%40cret@p", &[&[5, 2], &[1, 0], granted], by_name);
        assert_eq!(result, Ok(()));
        let expected =
            [&[5, 2, 0, 2][..], &[1, 3], b"ada", &[6], b"s@cret", &[5, 1, 0, 3, 15], b"sso.example.com", &[1, 187]];
        assert_eq!(asked, expected.concat());

        for (address, expected) in [
            ("10.0.0.1:443", &[5, 1, 0, 5, 1, 0, 1, 10, 0, 0, 1, 1, 187][..]),
            ("[::1]:80", &[5, 1, 0, 5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80]),
        ] {
            let target = Target::Address(address.parse().unwrap());
            let by_address = |stream: &mut Stream, proxy: &Proxy| connect_by_socks(stream, proxy, &target);
            let (result, asked) = with_proxy("socks5://p", &[&[5, 0], granted], by_address);
            assert_eq!((result, asked.as_slice()), (Ok(()), expected));
        }

        let refused = |words: &str| Err(ProxyFault::Refused(words.to_owned()));
        type Row<'a> = (&'a [&'a [u8]], Result<(), ProxyFault>);
        let rows: [Row<'_>; 12] = [
            (&[&[5, 0], &[5, 0, 0, 3, 4, b'h', b'o', b's', b't', 0, 80]], Ok(())),
            (&[&[5, 0], &[&[5, 0, 0, 4][..], &[0; 18]].concat()], Ok(())),
            (&[&[5, 255]], Err(ProxyFault::CredentialsRefused(None))),
            (&[&[5, 2], &[1, 1]], Err(ProxyFault::CredentialsRefused(None))),
            (&[&[5, 1]], Err(ProxyFault::NotAProxy)),
            (&[&[4, 90]], Err(ProxyFault::NotAProxy)),
            (&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], Err(ProxyFault::NotAProxy)),
            (&[&[5, 0], &[4, 0, 0, 1]], Err(ProxyFault::NotAProxy)),
            (&[&[5, 0], &[5, 0, 0, 9]], Err(ProxyFault::NotAProxy)),
            (&[&[5, 0], &[5, 5, 0, 1]], refused("connection refused")),
            (&[&[5, 0], &[5, 99, 0, 1]], refused("unknown reply")),
            (&[&[5, 0], &[5]], refused("it closed the connection")),
        ];
        for (pieces, expected) in rows {
            assert_eq!(with_proxy("socks5h://ada:secret@p", pieces, by_name).0, expected, "{pieces:?}");
        }
        // Without credentials, none are offered.
        assert_eq!(with_proxy("socks5h://p", &[&[5, 2]], by_name).0, Err(ProxyFault::NotAProxy));
    }

    #[test]
    fn what_has_no_room_in_the_socks_protocol_is_refused() {
        let long = "x".repeat(256);
        let to = Target::Name(Peer { host: &long, port: 443 });
        let (result, _) = with_proxy("socks5h://p", &[&[5, 0]], |stream, proxy| connect_by_socks(stream, proxy, &to));
        assert!(matches!(result, Err(ProxyFault::Refused(words)) if words.contains("255 bytes")));
    }
}
