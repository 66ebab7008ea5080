//! Responses without end, most of whose bytes are not a body: the request ends by the timeout at the latest.

use std::io::Write;
use std::time::{Duration, Instant};

use loginradius_proto::ErrorKind;

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::{Operation, app};
use crate::server::{Server, read_request};
use crate::tls::Tls;

const TIMEOUT: Duration = Duration::from_millis(1500);
/// By how much a call may exceed its timeout.
const LATE: Duration = Duration::from_secs(2);
/// When a server stops, so that a client that reads on does not slow down the other tests for long.
const END: Duration = Duration::from_secs(6);

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const GZIP: &str = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n";

/// A response without end.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Flood {
    /// What repeats in it.
    pub name: &'static str,
    head: &'static str,
    start: &'static [u8],
    repeated: &'static [u8],
}

impl Flood {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::of("100", "", b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        Self::of("102", "", b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        Self::of("103", "", b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
        Self::of("empty lines", "", b"", b"\r\n"),
        Self::of("status line", "HTTP/1.1 200 ", b"", b"O"),
        Self::of("header line", "HTTP/1.1 200 OK\r\nX-A: ", b"", b"a"),
        Self::of("header lines", "HTTP/1.1 200 OK\r\n", b"", b"X-A: b\r\n"),
        Self::of("folded header line", "HTTP/1.1 200 OK\r\nX-A: b", b"", b"\r\n c"),
        Self::of("chunk size", CHUNKED, b"", b"0"),
        Self::of("blanks after a chunk size", CHUNKED, b"1", b" "),
        Self::of("chunk extension", CHUNKED, b"1;", b"a"),
        Self::of("chunks of one byte", CHUNKED, b"", b"1\r\n \r\n"),
        Self::of("trailer line", CHUNKED, b"0\r\nX-A: ", b"a"),
        Self::of("trailer lines", CHUNKED, b"0\r\n", b"X-A: b\r\n"),
        Self::of("gzip file name", GZIP, b"\x1f\x8b\x08\x08\0\0\0\0\0\xff", b"a"),
        Self::of("empty gzip members", GZIP, b"", b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\0\0\0\0\0\0\0\0"),
        Self::of("empty gzip blocks", GZIP, b"\x1f\x8b\x08\0\0\0\0\0\0\xff", b"\0\0\0\xff\xff"),
    ];

    const fn of(name: &'static str, head: &'static str, start: &'static [u8], repeated: &'static [u8]) -> Self {
        Self { name, head, start, repeated }
    }

    /// Starts a server that sends it in response to each request.
    #[must_use]
    pub fn server(self) -> Server {
        Server::start(move |peer| {
            if peer.request().is_some() {
                self.send(|bytes| peer.send(bytes));
            }
        })
    }

    fn send(self, mut send: impl FnMut(&[u8]) -> std::io::Result<()>) {
        let start = Instant::now();
        let many = self.repeated.repeat((1 << 16) / self.repeated.len());
        let mut sent = send(&[self.head.as_bytes(), self.start].concat());
        while sent.is_ok() && start.elapsed() < END {
            sent = send(&many);
        }
    }
}

fn every_flood_ends_at_the_timeout<A: Adapter>() {
    let mut late = Vec::new();
    for flood in Flood::ALL {
        let server = flood.server();
        let settings = Settings { timeout: TIMEOUT, ..Settings::attempts(3) };
        let client = A::new(app(&server.url()), &settings).unwrap();
        check(&client, flood.name, &server, &mut late);
    }
    assert!(late.is_empty(), "{late:?}");
}

/// TLS hands the bytes over in smaller pieces.
fn every_flood_within_tls_ends_at_the_timeout<A: Adapter>() {
    let tls = Tls::of(&["127.0.0.1"]);
    let mut late = Vec::new();
    for flood in Flood::ALL {
        let server = tls.serve(move |stream, peer| {
            if read_request(stream, peer.number()).is_some() {
                flood.send(|bytes| stream.write_all(bytes).inspect(|()| peer.count(bytes.len())));
            }
        });
        let settings =
            Settings { timeout: TIMEOUT, root_certificates: Some(tls.root.clone()), ..Settings::attempts(3) };
        let client = A::new(app(&server.https_url()), &settings).unwrap();
        check(&client, flood.name, &server, &mut late);
    }
    assert!(late.is_empty(), "{late:?}");
}

fn check<A: Adapter>(client: &A, name: &'static str, server: &Server, late: &mut Vec<(&'static str, Duration)>) {
    let start = Instant::now();
    let error = (Operation::<A>::refresh().call)(client).unwrap_err();
    let elapsed = start.elapsed();
    println!("{name:26} {elapsed:>12.3?} {:>10} KiB written", server.written() >> 10);
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{name}: {error:?}");
    assert_eq!(server.connections(), 1, "{name}");
    if elapsed > TIMEOUT + LATE {
        late.push((name, elapsed));
    }
}

cases!(($) floods floods_cases {
    every_flood_ends_at_the_timeout,
    every_flood_within_tls_ends_at_the_timeout,
});
