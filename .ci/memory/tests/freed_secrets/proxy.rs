//! A proxy for HTTP and SOCKS5 that asks for credentials. Behind it the server is at every name.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::secrets::PROXY_PASSWORD;

/// The name to which it refuses to connect.
pub const REFUSED_NAME: &str = "refused.test";

const USER: &str = "ada";
const SOCKS_5: u8 = 5;

/// Returns the URL of the proxy at that address, with credentials.
pub fn url(scheme: &str, address: &str) -> String {
    let password = PROXY_PASSWORD.replace('/', "%2F").replace(':', "%3A");
    format!("{scheme}://{USER}:{password}@{address}")
}

/// Does what a client asks for; returns whether it was connected.
pub fn connect(stream: &mut TcpStream) -> io::Result<bool> {
    let mut first = [0];
    stream.peek(&mut first)?;
    if first == [SOCKS_5] { connect_by_socks(stream).map(|()| true) } else { connect_by_http(stream) }
}

fn connect_by_http(stream: &mut TcpStream) -> io::Result<bool> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read(stream, 1)?);
    }
    let head = String::from_utf8(head).unwrap();
    let credentials = STANDARD.encode(format!("{USER}:{PROXY_PASSWORD}"));
    assert!(head.contains(&format!("Basic {credentials}\r\n")), "{head}");
    if !head.contains(REFUSED_NAME) {
        return stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").map(|()| true);
    }
    let padding = "x".repeat(3000);
    let response = format!("HTTP/1.1 407 Refused\r\nX-Received: {PROXY_PASSWORD}\r\nX-Padding: {padding}\r\n\r\n");
    for part in response.as_bytes().chunks(500) {
        stream.write_all(part)?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(false)
}

/// RFC 1928 and RFC 1929.
fn connect_by_socks(stream: &mut TcpStream) -> io::Result<()> {
    const PASSWORD: u8 = 2;
    const NAME: u8 = 3;
    let methods = read_counted(stream, 1)?;
    assert!(methods.contains(&PASSWORD));
    stream.write_all(&[SOCKS_5, PASSWORD])?;
    assert_eq!(read_counted(stream, 1)?, USER.as_bytes());
    assert_eq!(read_counted(stream, 0)?, PROXY_PASSWORD.as_bytes());
    stream.write_all(&[1, 0])?;
    assert_eq!(read(stream, 4)?, [SOCKS_5, 1, 0, NAME]);
    read_counted(stream, 0)?;
    let _port = read(stream, 2)?;
    stream.write_all(&[SOCKS_5, 0, 0, 1, 127, 0, 0, 1, 0, 80])
}

/// Reads over so many bytes, then a length and so many bytes.
fn read_counted(stream: &mut TcpStream, skipped: usize) -> io::Result<Vec<u8>> {
    let length = read(stream, skipped + 1)?[skipped];
    read(stream, length.into())
}

fn read(stream: &mut TcpStream, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
