//! Bytes that a browser or another program sends to the receiver. `$s` stands for the state. The first byte says how
//! the rest is split into pieces.
//!
//! - The pieces make no difference: whole, split or byte by byte, the response and the outcome are the same.
//! - There is at most one outcome, whatever is sent later.
//! - The response is one of a fixed set of pages, so that nothing of the request is in it. Each is well-formed HTTP
//!   with the right length.

#![cfg_attr(fuzzing, no_main)]

use std::sync::OnceLock;

use loginradius_fuzz::logins::{STATE, app, random, start};
use loginradius_fuzz::text::fill_in;
use loginradius_proto::browser::loopback::{Connection, Reply};
use loginradius_proto::browser::{AuthorizationRequest, Authorized, BrowserRequest, PendingLogin};

loginradius_fuzz::target!(loopback);

const PATH: &str = "/callback";

fn loopback(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let bytes = fill_in(bytes, &[("$s", STATE)]);
    let size = usize::from(*cut).max(1);
    let whole = received(&bytes, bytes.len().max(1));
    assert_eq!(received(&bytes, size), whole, "in pieces of {size}");
    assert_eq!(received(&bytes, 1), whole, "byte by byte");
    if let Some((page, ended)) = whole {
        assert!(pages().contains(&page), "{}", String::from_utf8_lossy(&page));
        assert!(!ended || page.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert!(!ended || bytes.windows(STATE.len()).any(|part| part == STATE.as_bytes()) || bytes.contains(&b'%'));
    }
}

fn pending_login() -> PendingLogin {
    let request = AuthorizationRequest::new("http://127.0.0.1:8400/callback");
    request.begin(&app(), &random(), start()).expect("a login").pending
}

/// Returns the response, and whether the login has ended.
fn received(bytes: &[u8], size: usize) -> Option<(Vec<u8>, bool)> {
    let mut connection = Connection::new(PATH);
    let mut pending = pending_login();
    let mut chunks = bytes.chunks(size);
    let request = chunks.find_map(|chunk| connection.read(chunk))?;
    let reply = request.respond(&mut pending, start());
    let ended = reply.result.is_some();
    // Reading more yields no second outcome.
    for request in chunks.take(3).filter_map(|chunk| connection.read(chunk)) {
        let again: Reply<Authorized> = request.respond(&mut pending, start());
        assert!(!(ended && again.result.is_some()), "a second outcome");
    }
    Some((reply.bytes, ended))
}

/// Returns every response that the receiver has.
fn pages() -> &'static [Vec<u8>] {
    static PAGES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    PAGES.get_or_init(|| {
        let long = format!("GET {PATH}?{} HTTP/1.1\r\n\r\n", "x".repeat(300_000));
        let requests = [
            format!("GET {PATH}?code=c&state={STATE} HTTP/1.1\r\n\r\n"),
            format!("GET {PATH}?error=access_denied&state={STATE} HTTP/1.1\r\n\r\n"),
            format!("GET {PATH}?state={STATE} HTTP/1.1\r\n\r\n"),
            format!("GET {PATH} HTTP/1.1\r\n\r\n"),
            format!("PUT {PATH} HTTP/1.1\r\n\r\n"),
            format!("HEAD {PATH} HTTP/1.1\r\n\r\n"),
            format!("GET {PATH} HTTP/1.1\r\nPurpose: prefetch\r\n\r\n"),
            "GET /x HTTP/1.1\r\n\r\n".to_owned(),
            "\r\n".to_owned(),
            long,
        ];
        let pages = requests.map(|request| {
            let request = Connection::new(PATH).read(request.as_bytes()).expect("a whole request");
            request.respond(&mut pending_login(), start()).bytes
        });
        pages.iter().for_each(|page| is_well_formed(page));
        pages.to_vec()
    })
}

fn is_well_formed(page: &[u8]) {
    let text = std::str::from_utf8(page).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.split("\r\n");
    assert!(lines.next().expect("a status").starts_with("HTTP/1.1 "));
    let lengths: Vec<&str> = lines
        .map(|line| line.split_once(": ").expect("a header"))
        .filter(|(name, _)| *name == "Content-Length")
        .map(|(_, value)| value)
        .collect();
    match lengths[..] {
        [length] => assert_eq!(length.parse(), Ok(body.len())),
        // The response to a HEAD has no content.
        _ => assert!(lengths.is_empty() && body.is_empty() && head.contains(" 405 ")),
    }
}
