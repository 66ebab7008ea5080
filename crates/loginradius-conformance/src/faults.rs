//! What a server can do wrong after a request has arrived.

use std::thread;
use std::time::Duration;

use crate::operations::{secrets, success};
use crate::server::{Peer, Request, json, response};

/// What a server does in place of a proper response. Where there is room for text it echoes the request, as the error
/// pages of some servers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Close,
    Reset,
    HalfAHeader,
    /// A whole success with a `Content-Length` that is too long.
    ShortBody,
    /// A whole success in chunks, without the last chunk.
    NoLastChunk,
    BadChunk,
    Silence,
    /// A header with a pause after each byte.
    SlowHeader,
    /// A body with a pause after each byte.
    SlowBody,
    Html(u16),
    Redirect(u16),
    /// A success that is padded to 10 MiB.
    Long,
    Endless,
    Empty,
    Garbage,
    BadStatusLine,
    Upgrade,
    LongHeader,
    EndlessHeader,
    BadLength,
    TwoLengths,
}

impl Fault {
    pub(crate) const ALL: [Self; 26] = [
        Self::Close,
        Self::Reset,
        Self::HalfAHeader,
        Self::ShortBody,
        Self::NoLastChunk,
        Self::BadChunk,
        Self::Silence,
        Self::SlowHeader,
        Self::SlowBody,
        Self::Html(200),
        Self::Html(404),
        Self::Html(502),
        Self::Redirect(301),
        Self::Redirect(302),
        Self::Redirect(307),
        Self::Redirect(308),
        Self::Long,
        Self::Endless,
        Self::Empty,
        Self::Garbage,
        Self::BadStatusLine,
        Self::Upgrade,
        Self::LongHeader,
        Self::EndlessHeader,
        Self::BadLength,
        Self::TwoLengths,
    ];

    /// Returns whether it lasts until the client's timeout.
    pub(crate) fn is_slow(self) -> bool {
        matches!(self, Self::Silence | Self::SlowHeader | Self::SlowBody)
    }

    /// Returns whether it sends a MiB or more.
    pub(crate) fn is_long(self) -> bool {
        matches!(self, Self::Long | Self::Endless | Self::LongHeader | Self::EndlessHeader)
    }

    /// Does it. Redirects lead to `elsewhere`.
    pub(crate) fn act(self, peer: &mut Peer, request: &Request, elsewhere: &str) {
        let echo = echo(request);
        let result = match self {
            Self::Close => Ok(()),
            Self::Reset => {
                peer.reset();
                return;
            }
            Self::HalfAHeader => peer.send(format!("HTTP/1.1 200 OK\r\nX-Echo: {echo}").as_bytes()),
            Self::ShortBody => {
                let body = success();
                let length = body.len() + 10;
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes())
            }
            Self::NoLastChunk => peer.send(chunked(&success()).as_bytes()),
            Self::BadChunk => peer.send(format!("{}{echo}\r\n", chunked(&success())).as_bytes()),
            Self::Silence => {
                peer.wait();
                return;
            }
            Self::SlowHeader => drip(peer, "", &format!("HTTP/1.1 200 OK\r\nX-Echo: {echo}\r\n\r\n")),
            Self::SlowBody => {
                let body = success();
                drip(peer, &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()), &body)
            }
            Self::Html(status) => {
                let page = format!("<html><body>{echo} {}</body></html>", secrets::IN_RESPONSE);
                peer.send(&response(&format!("{status} Out of order"), "Content-Type: text/html\r\n", &page))
            }
            Self::Redirect(status) => {
                let location = format!("Location: {elsewhere}/next?token={}\r\n", secrets::IN_RESPONSE);
                peer.send(&response(&format!("{status} Elsewhere"), &location, ""))
            }
            Self::Long => peer.send(&json("200 OK", &(success() + &" ".repeat(10 << 20)))),
            Self::Endless => {
                let more = format!("10000\r\n{}\r\n", " ".repeat(1 << 16));
                let mut sent = peer.send(chunked(&success()).as_bytes());
                while sent.is_ok() {
                    sent = peer.send(more.as_bytes());
                }
                sent
            }
            Self::Empty => peer.send(&json("200 OK", "")),
            Self::Garbage => peer.send(format!("\u{0}\u{1}{echo}\r\n\r\n").as_bytes()),
            Self::BadStatusLine => peer.send(format!("HTTP/1.1 {echo}\r\n\r\n{}", success()).as_bytes()),
            Self::Upgrade => peer.send(
                format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: {echo}\r\nConnection: upgrade\r\n\r\n")
                    .as_bytes(),
            ),
            Self::LongHeader => {
                let header = format!("X-Echo: {echo}{}\r\n", "x".repeat(1 << 20));
                peer.send(&response("200 OK", &header, &success()))
            }
            Self::EndlessHeader => {
                let more = format!("X-Echo: {}\r\n", "x".repeat(1 << 14));
                let mut sent = peer.send(b"HTTP/1.1 200 OK\r\n");
                while sent.is_ok() {
                    sent = peer.send(more.as_bytes());
                }
                sent
            }
            Self::BadLength => {
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", success()).as_bytes())
            }
            Self::TwoLengths => {
                let body = success();
                let lengths = format!("Content-Length: {}\r\nContent-Length: 3\r\n", body.len());
                peer.send(format!("HTTP/1.1 200 OK\r\n{lengths}\r\n{body}").as_bytes())
            }
        };
        // The client may have closed the connection.
        let _ = result;
    }
}

/// Returns the request line and the body, on one line.
fn echo(request: &Request) -> String {
    let line = request.head.lines().next().unwrap_or_default();
    format!("{line} {}", String::from_utf8_lossy(&request.body))
}

/// Makes a response of one chunk, without the last chunk.
fn chunked(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len())
}

fn drip(peer: &mut Peer, at_once: &str, slowly: &str) -> std::io::Result<()> {
    peer.send(at_once.as_bytes())?;
    for byte in slowly.as_bytes() {
        peer.send(&[*byte])?;
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
