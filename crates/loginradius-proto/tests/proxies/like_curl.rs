//! The same table with curl: where curl decides otherwise, the module's documentation has to name the difference.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loginradius_proto::http::Uri;

use crate::table::{Row, rows};

/// The ports of a row's proxies. The test may not be permitted to listen at 80 and 443.
const PROXY_PORTS: [u16; 5] = [3128, 8080, 1080, 80, 443];

/// Where a request went.
enum Route {
    Direct,
    Error,
    Proxy { port: u16, spoken: Option<Spoken> },
}

/// What a client told a proxy.
struct Spoken {
    scheme: &'static str,
    /// As `user:password`. A proxy over TLS is not told before the handshake.
    credentials: String,
}

#[test]
fn every_difference_from_curl_is_documented() {
    let version = match Command::new("curl").args(["-q", "--version"]).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return println!("skipped: `curl` is not on the PATH"),
        Err(error) => panic!("{error}"),
    };
    if TcpListener::bind((loopback_address(1, 0), 0)).is_err() {
        return println!("skipped: this machine has no address but 127.0.0.1");
    }
    let rows = rows();
    let next = AtomicUsize::new(0);
    let routes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(row) = rows.get(index)
                {
                    let route = curl(row, index);
                    routes.lock().unwrap().push((index, route));
                }
            });
        }
    });
    let mut routes = routes.into_inner().unwrap();
    routes.sort_by_key(|(index, _)| *index);

    println!("{version}\n\n| variables | target | curl | ours | same? |\n| --- | --- | --- | --- | --- |");
    let mut without_a_name = Vec::new();
    for (row, (_, curl)) in rows.iter().zip(&routes) {
        let ours = ours(row);
        let verdict = match row.unlike_curl {
            _ if curl.is_same(&ours) => "same",
            Some(name) => name,
            None => "NO",
        };
        let line = format!("| {:?} | {} | {curl} | {ours} | {verdict} |", row.variables, row.target);
        println!("{line}");
        without_a_name.extend((verdict == "NO").then_some(line));
    }
    assert!(without_a_name.is_empty(), "{without_a_name:#?}");
    assert_eq!(routes.len(), rows.len());

    let documentation = include_str!("../../src/proxy/mod.rs").lines();
    let documented = documentation.filter_map(|line| Some(line.strip_prefix("//! | **")?.split_once("**")?.0));
    let named: BTreeSet<&str> = rows.iter().filter_map(|row| row.unlike_curl).collect();
    assert_eq!(named, documented.collect());
}

impl Route {
    /// Returns whether they are the same, as far as this is known.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Direct, Self::Direct) | (Self::Error, Self::Error) => true,
            (Self::Proxy { port, spoken }, Self::Proxy { port: other_port, spoken: other_spoken }) => {
                let same = |(one, other): (&Spoken, &Spoken)| {
                    one.scheme == other.scheme && (one.scheme == "https" || one.credentials == other.credentials)
                };
                port == other_port && spoken.as_ref().zip(other_spoken.as_ref()).is_none_or(same)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct"),
            Self::Error => f.write_str("error"),
            Self::Proxy { port, spoken: None } => write!(f, "?:{port}"),
            Self::Proxy { port, spoken: Some(Spoken { scheme, credentials }) } => {
                write!(f, "{scheme}:{port} {credentials:?}")
            }
        }
    }
}

fn ours(row: &Row) -> Route {
    match row.decide() {
        Ok(None) => Route::Direct,
        Err(_) => Route::Error,
        Ok(Some(proxy)) => {
            let password = proxy.password().map_or("", |password| password.expose());
            let credentials = proxy.username().map(|username| format!("{username}:{password}")).unwrap_or_default();
            Route::Proxy { port: proxy.port(), spoken: Some(Spoken { scheme: proxy.scheme().as_str(), credentials }) }
        }
    }
}

/// Runs curl with a row's variables. All names and addresses lead to addresses of this machine: those of the proxies'
/// ports to the row's own proxies, and those of the target's port to where nobody listens.
#[expect(clippy::disallowed_methods, reason = "the test has sockets, not the core")]
fn curl(row: &Row, index: usize) -> Route {
    let (proxies, nobody) = (loopback_address(1, index), loopback_address(2, index));
    let target: Uri = row.target.parse().unwrap();
    let target_port = target.port_u16().unwrap_or(if target.scheme_str() == Some("https") { 443 } else { 80 });
    let listeners: Vec<TcpListener> =
        PROXY_PORTS.iter().filter_map(|port| TcpListener::bind((proxies, *port)).ok()).collect();
    let addresses: Vec<SocketAddr> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();

    let mut command = Command::new("curl");
    // `-q` must come first: it makes curl ignore a .curlrc.
    command.args(["-q", "-gsSvk", "-o", "/dev/null", "--connect-timeout", "5", "--max-time", "10"]);
    command.args(["--resolve", &format!("proxy.test:443:{proxies}")]);
    for port in PROXY_PORTS.iter().filter(|port| **port != target_port) {
        command.args(["--resolve", &format!("*:{port}:{proxies}")]);
    }
    command.args(["--resolve", &format!("*:{target_port}:{nobody}"), "--", row.target]);
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.envs(row.variables.iter().map(|variable| variable.split_once('=').unwrap()));

    thread::scope(|scope| {
        let proxies: Vec<_> = listeners.iter().map(|listener| scope.spawn(|| listen(listener))).collect();
        let output = command.output();
        // A connection without a byte ends a thread that still listens.
        addresses.iter().for_each(|address| drop(TcpStream::connect(address).unwrap()));
        let spoken = proxies.into_iter().map(|proxy| proxy.join().unwrap());
        let spoken = addresses.iter().zip(spoken).find_map(|(address, spoken)| Some((address.port(), spoken?)));

        let log = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
        match (spoken, first_attempt(&log)) {
            (Some((port, spoken)), _) => Route::Proxy { port, spoken: Some(spoken) },
            (None, Some((address, _))) if address == nobody.to_string() => Route::Direct,
            (None, Some((_, port))) => Route::Proxy { port, spoken: None },
            (None, None) => Route::Error,
        }
    })
}

/// Returns an address that other processes with this test do not use, as far as process ids differ.
fn loopback_address(role: u8, index: usize) -> IpAddr {
    let process = u8::try_from(std::process::id() % 254 + 1).unwrap();
    let [.., high, low] = u32::try_from(index + 1).unwrap().to_be_bytes();
    Ipv4Addr::new(127, process, role * 16 + high, low).into()
}

/// Returns the address and the port that curl tried first, as its log says. A Unix socket has port 0.
fn first_attempt(log: &str) -> Option<(&str, u16)> {
    let (place, _) = log.split_once(" Trying ")?.1.split_once("...")?;
    let (address, port) = place.rsplit_once(':')?;
    Some((address, port.parse().unwrap()))
}

/// Listens until a connection comes, and returns what the first bytes say; `None` if there are none.
fn listen(listener: &TcpListener) -> Option<Spoken> {
    let (mut peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let spoken = match byte(&mut peer).ok()? {
        4 => Spoken { scheme: "socks4", credentials: String::new() },
        5 => socks5(&mut peer).unwrap(),
        22 => Spoken { scheme: "https", credentials: String::new() },
        _ => Spoken { scheme: "http", credentials: http(&mut peer).unwrap() },
    };
    Some(spoken)
}

fn byte(peer: &mut TcpStream) -> io::Result<u8> {
    let mut byte = [0];
    peer.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// Reads a length, and as many bytes.
fn counted(peer: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; byte(peer)?.into()];
    peer.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// RFC 1928, and RFC 1929 for the credentials.
fn socks5(peer: &mut TcpStream) -> io::Result<Spoken> {
    let methods = counted(peer)?;
    let mut credentials = String::new();
    if methods.contains(&2) {
        peer.write_all(&[5, 2])?;
        byte(peer)?;
        let (username, password) = (counted(peer)?, counted(peer)?);
        credentials = format!("{}:{}", String::from_utf8_lossy(&username), String::from_utf8_lossy(&password));
        peer.write_all(&[1, 0])?;
    } else {
        peer.write_all(&[5, 0])?;
    }
    let mut request = [0; 4];
    peer.read_exact(&mut request)?;
    Ok(Spoken { scheme: if request[3] == 3 { "socks5h" } else { "socks5" }, credentials })
}

/// Reads the rest of a request's head, and refuses the request.
fn http(peer: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(byte(peer)?);
    }
    peer.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let head = String::from_utf8_lossy(&head);
    let basic = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: Basic "));
    let credentials = basic.map(|basic| STANDARD.decode(basic).unwrap()).unwrap_or_default();
    Ok(String::from_utf8_lossy(&credentials).into_owned())
}
