//! The receiver on this machine: one callback on one path, and a response to everything else.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loginradius_proto::browser::loopback::{self, Connection, Page, Pages, Reply, Request};
use loginradius_proto::browser::{Authorized, Callback, PendingLogin};
use loginradius_proto::{ErrorKind, browser::ResponseType};

use sha2::{Digest as _, Sha256};

use crate::fixtures::*;

const PATH: &str = "/callback";

/// Reads a whole request, in one piece.
#[track_caller]
fn whole(bytes: impl AsRef<[u8]>) -> Request {
    Connection::new(PATH).read(bytes.as_ref()).expect("a whole request")
}

/// Returns the checked status of the response to it, and the reply.
#[track_caller]
fn respond_to(pending: &mut PendingLogin, bytes: impl AsRef<[u8]>) -> (u16, Reply<Authorized>) {
    let reply = whole(bytes).respond(pending, start());
    (checked_status(&reply.bytes), reply)
}

/// Returns the status of a response, and checks that it is well-formed, not to be cached, and runs nothing.
#[track_caller]
pub(crate) fn checked_status(bytes: &[u8]) -> u16 {
    let text = std::str::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.split("\r\n");
    let (version, status) = lines.next().unwrap().split_once(' ').unwrap();
    assert_eq!(version, "HTTP/1.1");
    let headers: Vec<(&str, &str)> = lines.map(|line| line.split_once(": ").expect("a header")).collect();
    let header = |name: &str| {
        let mut values = headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| *value);
        assert!(values.next().is_none(), "{name} twice");
        value
    };
    assert_eq!(header("connection"), Some("close"));
    assert_eq!(header("transfer-encoding"), None);
    let status: u16 = status[..3].parse().unwrap();
    assert_eq!(header("allow"), (status == 405).then_some("GET, POST"));
    if body.is_empty() && status == 405 {
        // The response to a HEAD.
        return status;
    }
    assert_eq!(header("content-length").unwrap().parse(), Ok(body.len()));
    assert_eq!(header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(header("cache-control"), Some("no-store"));
    assert_eq!(header("referrer-policy"), Some("no-referrer"));
    assert_eq!(header("x-content-type-options"), Some("nosniff"));
    // One style, which the policy allows by its hash.
    let (_, style) = body.split_once("<style>").expect("a style");
    let (style, rest) = style.split_once("</style>").unwrap();
    let hash = STANDARD.encode(Sha256::digest(style));
    let policy = format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-{hash}'"
    );
    assert_eq!(header("content-security-policy"), Some(policy.as_str()));
    assert!(body.starts_with("<!doctype html>\n<html lang=\"en\">"));
    assert!(!style.contains("url(") && !style.contains("@import") && !rest.contains("<style"), "{body}");
    assert_eq!(
        (body.matches("<h1>").count(), body.matches("<title>").count(), body.matches("<main>").count()),
        (1, 1, 1)
    );
    for active in ["<script", "<img", "<link", "<form", "<a ", "http:", "https:", "javascript:", "style="] {
        assert!(!body.contains(active), "{active} in {body}");
    }
    status
}

/// Checks that the login still waits: it accepts its own callback.
#[track_caller]
fn still_waits_at_the_loopback(pending: &mut PendingLogin, state: &str) {
    let (status, reply) = respond_to(pending, format!("GET /callback?code=right&state={state} HTTP/1.1\r\n\r\n"));
    assert_eq!(status, 200);
    let authorized = reply.result.expect("the end").unwrap();
    assert_eq!(credentials(authorized).code.as_deref(), Some("right"));
}

#[test]
fn the_callback_ends_the_waiting() {
    let (mut pending, state) = waiting(&request());
    let bytes = format!("GET /callback?code=c&state={state} HTTP/1.1\r\nHost: 127.0.0.1:8400\r\nAccept: */*\r\n\r\n");
    let (status, reply) = respond_to(&mut pending, bytes);
    assert_eq!(status, 200);
    assert!(String::from_utf8_lossy(&reply.bytes).contains("<h1>Back to the program</h1>"));
    let [_, verifier, _] = made_of(0);
    assert_eq!(redeemed(reply.result.unwrap().unwrap()), Some(("c".to_owned(), verifier)));
}

/// Returns the status, the headers and the body of the response to a callback.
fn shown(pages: &Pages, rest: &str) -> (String, Vec<String>, String) {
    let (mut pending, state) = waiting(&request());
    let request = whole(format!("GET /callback?{rest}&state={state} HTTP/1.1\r\n\r\n"));
    let reply = request.respond_with(pages, &mut pending, start());
    assert!(reply.result.is_some());
    let text = String::from_utf8(reply.bytes).unwrap();
    assert!(!text.contains("M4RK") && !text.contains(&state), "{text}");
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines().map(str::to_owned);
    (lines.next().unwrap(), lines.collect(), body.to_owned())
}

const SUCCESS: &str = "code=M4RK";
const FAILURES: [&str; 4] =
    ["error=access_denied&error_description=M4RK", "error=M4RK", "code=M4RK&code=M4RK", "nothing=M4RK"];

#[test]
fn a_page_of_the_program_replaces_ours() {
    let html = "<!doctype html><style>h1{color:red}</style><h1>Zurück zu Acme</h1>";
    let pages = Pages::new(Page::html(html), Page::html("<h1>Nein</h1>"));
    for (rest, body) in [(SUCCESS, html)].into_iter().chain(FAILURES.map(|rest| (rest, "<h1>Nein</h1>"))) {
        let (status, headers, shown) = shown(&pages, rest);
        assert_eq!((status.as_str(), shown.as_str()), ("HTTP/1.1 200 OK", body));
        for header in [
            "Content-Type: text/html; charset=utf-8",
            &format!("Content-Length: {}", body.len()),
            "Cache-Control: no-store",
            "Referrer-Policy: no-referrer",
            "X-Content-Type-Options: nosniff",
            "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ] {
            assert!(headers.iter().any(|known| known == header), "{header}: {headers:?}");
        }
    }
    // One alone can be replaced.
    let pages = Pages::new(Page::default(), Page::html("<h1>Nein</h1>"));
    assert!(shown(&pages, SUCCESS).2.contains("<h1>Back to the program</h1>"));
    assert_eq!(shown(&pages, FAILURES[0]).2, "<h1>Nein</h1>");
}

#[test]
fn a_redirect_takes_nothing_of_the_callback_along() {
    for (url, location) in [
        // Otherwise a browser would add the fragment of the callback.
        ("https://acme.example/done", "https://acme.example/done#"),
        ("https://acme.example/done?a=b#part", "https://acme.example/done?a=b#part"),
        ("https://acme.example/?state=mine#", "https://acme.example/?state=mine#"),
        ("http://127.0.0.1:9000/done", "http://127.0.0.1:9000/done#"),
        ("com.example.app:/signed-in", "com.example.app:/signed-in#"),
    ] {
        let pages = Pages::new(Page::redirect(url).unwrap(), Page::redirect(url).unwrap());
        for rest in FAILURES.into_iter().chain([SUCCESS]) {
            let (status, headers, body) = shown(&pages, rest);
            assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 303 See Other", ""));
            for header in [
                &format!("Location: {location}"),
                "Content-Length: 0",
                "Cache-Control: no-store",
                "Referrer-Policy: no-referrer",
            ] {
                assert!(headers.iter().any(|known| known == header), "{header}: {headers:?}");
            }
        }
    }
}

#[test]
fn only_safe_addresses_can_be_redirected_to() {
    for url in [
        "",
        "/done",
        "acme.example/done",
        "http://acme.example/done",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "https://user@acme.example/",
        "https://acme.example/\r\nSet-Cookie: a=b",
        "https://acme.example/#\r\nSet-Cookie:a=b",
        "https://acme.example/a b",
        "https://acme.example/#a#b",
        "https://acme.example/ü",
        "https://acme.example/#ü",
    ] {
        refused(Page::redirect(url), ErrorKind::Configuration, "the browser cannot be redirected to that page");
    }
}

#[test]
fn what_is_no_callback_gets_no_page_of_the_program() {
    let pages = Pages::new(Page::html("ACME"), Page::html("ACME"));
    let (mut pending, state) = waiting(&request());
    for target in ["/favicon.ico", "/callback", "/callback?error=access_denied", "/callback?code=c&state=x"] {
        let reply = whole(format!("GET {target} HTTP/1.1\r\n\r\n")).respond_with(&pages, &mut pending, start());
        assert!(matches!(checked_status(&reply.bytes), 400 | 404) && reply.result.is_none(), "{target}");
    }
    still_waits_at_the_loopback(&mut pending, &state);
}

#[test]
fn a_callback_that_comes_again_gets_a_response_and_ends_nothing() {
    let (mut pending, state) = waiting(&request());
    let bytes = format!("GET /callback?code=c&state={state} HTTP/1.1\r\n\r\n");
    assert!(respond_to(&mut pending, &bytes).1.result.is_some());
    let (status, reply) = respond_to(&mut pending, &bytes);
    assert_eq!(status, 400);
    assert!(reply.result.is_none());
}

#[test]
fn every_other_request_gets_a_response_and_ends_nothing() {
    let (mut pending, state) = waiting(&request());
    let callback = format!("?code=c&state={state}");
    let long = "x".repeat(Callback::LIMIT + 1);
    for (bytes, expected) in [
        ("GET /favicon.ico HTTP/1.1\r\n\r\n".to_owned(), 404),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 404),
        (format!("GET /{callback} HTTP/1.1\r\n\r\n"), 404),
        (format!("GET /callback/{callback} HTTP/1.1\r\n\r\n"), 404),
        (format!("GET /Callback{callback} HTTP/1.1\r\n\r\n"), 404),
        (format!("GET //callback{callback} HTTP/1.1\r\n\r\n"), 404),
        (format!("GET /x/../callback{callback} HTTP/1.1\r\n\r\n"), 404),
        (format!("GET /%63allback{callback} HTTP/1.1\r\n\r\n"), 404),
        (format!("GET /callback;x{callback} HTTP/1.1\r\n\r\n"), 404),
        (format!("GET /callback%3f{callback} HTTP/1.1\r\n\r\n"), 404),
        (format!("GET callback{callback} HTTP/1.1\r\n\r\n"), 404),
        (format!("OPTIONS * HTTP/1.1\r\nX: {callback}\r\n\r\n"), 404),
        ("CONNECT evil.example:443 HTTP/1.1\r\n\r\n".to_owned(), 404),
        (format!("POST /other{callback} HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), 404),
        (format!("PUT /callback{callback} HTTP/1.1\r\n\r\n"), 405),
        (format!("DELETE /callback{callback} HTTP/1.1\r\n\r\n"), 405),
        (format!("OPTIONS /callback{callback} HTTP/1.1\r\nAccess-Control-Request-Method: GET\r\n\r\n"), 405),
        (format!("HEAD /callback{callback} HTTP/1.1\r\n\r\n"), 405),
        (format!("get /callback{callback} HTTP/1.1\r\n\r\n"), 405),
        (format!("GETT /callback{callback} HTTP/1.1\r\n\r\n"), 405),
        ("GET /callback HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /callback? HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /callback?code=c&state=x HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /callback?error=access_denied HTTP/1.1\r\n\r\n".to_owned(), 400),
        (format!("GET /callback{callback}&state={state} HTTP/1.1\r\n\r\n"), 400),
        (format!("GET /callback{callback}\r\n\r\n"), 400),
        (format!("GET /callback{callback} HTTP/2.0\r\n\r\n"), 400),
        (format!("GET /callback{callback} HTTP/1.1\r\nno header\r\n\r\n"), 400),
        (format!("GET /callback{callback} HTTP/1.1\r\nA\0: b\r\n\r\n"), 400),
        (format!("GET /callback{callback} HTTP/1.1\r\nA : b\r\n\r\n"), 400),
        (format!("GET /callback{callback} HTTP/1.1\r\n folded: b\r\n\r\n"), 400),
        (format!("GET /callback {callback} HTTP/1.1\r\n\r\n"), 400),
        (format!("GET\t/callback{callback} HTTP/1.1\r\n\r\n"), 400),
        (format!(" GET /callback{callback} HTTP/1.1\r\n\r\n"), 400),
        (format!("\r\nGET /callback{callback} HTTP/1.1\r\n\r\n"), 400),
        (format!("\nGET /callback{callback} HTTP/1.1\r\n\r\n"), 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400),
        ("\r\n".to_owned(), 400),
        (format!("GET /callback{callback} HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101)), 400),
        (format!("GET /callback{callback}&x={long} HTTP/1.1\r\n\r\n"), 413),
        (format!("GET /callback{callback}{} HTTP/1.1\r\n\r\n", "&a".repeat(1000)), 413),
    ] {
        let (status, reply) = respond_to(&mut pending, &bytes);
        assert_eq!(status, expected, "{:.200}", bytes);
        assert!(reply.result.is_none(), "{:.200}", bytes);
    }
    still_waits_at_the_loopback(&mut pending, &state);
}

#[test]
fn a_head_gets_a_response_without_content() {
    for path in ["/callback", "/x"] {
        let (mut pending, _) = waiting(&request());
        let reply = whole(format!("HEAD {path} HTTP/1.1\r\n\r\n")).respond(&mut pending, start());
        assert!(reply.bytes.ends_with(b"\r\n\r\n"));
        assert_eq!(checked_status(&reply.bytes), 405);
    }
}

#[test]
fn a_response_repeats_nothing_of_the_request() {
    for bytes in [
        "GET /<script>M4RK</script> HTTP/1.1\r\nHost: M4RK\r\n\r\n",
        "GET /callback?error=M4RK&error_description=<b>M4RK HTTP/1.1\r\n\r\n",
        "M4RK /callback HTTP/1.1\r\n\r\n",
        "GET /callback HTTP/1.1\r\nM4RK\r\n\r\n",
    ] {
        let (mut pending, _) = waiting(&request());
        assert!(!String::from_utf8_lossy(&respond_to(&mut pending, bytes).1.bytes).contains("M4RK"));
    }
    for rest in [
        "code=M4RK",
        "error=M4RK&error_description=<script>M4RK",
        "error=access_denied&error_description=M4RK",
        "M4RK=1",
    ] {
        let (mut pending, state) = waiting(&request());
        let (status, reply) = respond_to(&mut pending, format!("GET /callback?{rest}&state={state} HTTP/1.1\r\n\r\n"));
        assert_eq!(status, 200);
        let page = String::from_utf8_lossy(&reply.bytes);
        assert!(!page.contains("M4RK") && !page.contains(&state), "{page}");
        assert!(reply.result.is_some());
    }
}

#[test]
fn a_refusal_ends_the_waiting_too() {
    for (rest, kind, text) in [
        ("error=access_denied", ErrorKind::Denied, "The login was not allowed."),
        ("error=server_error", ErrorKind::Unavailable, "Return to the program, which says why."),
        ("error=what_is_that", ErrorKind::Refused, "Return to the program, which says why."),
        ("code=a&code=b", ErrorKind::InvalidResponse, "Return to the program, which says why."),
        ("", ErrorKind::InvalidResponse, "Return to the program, which says why."),
    ] {
        let (mut pending, state) = waiting(&request());
        let (status, reply) = respond_to(&mut pending, format!("GET /callback?{rest}&state={state} HTTP/1.1\r\n\r\n"));
        assert_eq!(status, 200);
        let page = String::from_utf8_lossy(&reply.bytes).into_owned();
        assert!(page.contains("<h1>Not signed in</h1>") && page.contains(text), "{page}");
        refused(reply.result.expect("the end"), kind, "Authorize");
    }
    let (mut pending, state) = waiting(&request());
    let late = whole(format!("GET /callback?code=c&state={state} HTTP/1.1\r\n\r\n"))
        .respond(&mut pending, start() + 10 * MINUTE);
    assert!(String::from_utf8_lossy(&late.bytes).contains("<h1>Not signed in</h1>"));
    refused(late.result.expect("the end"), ErrorKind::Expired, "10 minutes");
}

#[test]
fn a_slow_client_gets_there_byte_by_byte() {
    let (mut pending, state) = waiting(&request());
    let bytes = format!("GET /callback?code=c&state={state} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut connection = Connection::new(PATH);
    let (last, first) = bytes.as_bytes().split_last().unwrap();
    for byte in first {
        assert!(connection.read(&[]).is_none());
        assert!(connection.read(&[*byte]).is_none());
    }
    let reply = connection.read(&[*last]).expect("a request").respond(&mut pending, start());
    assert_eq!(checked_status(&reply.bytes), 200);
    assert!(reply.result.unwrap().is_ok());
}

#[test]
fn a_connection_without_a_whole_request_yields_nothing() {
    let mut connection = Connection::new(PATH);
    for _ in 0..3 {
        assert!(connection.read(b"").is_none());
    }
    assert!(Connection::new(PATH).read(b"GET /callback").is_none());
    assert!(Connection::new(PATH).read(b"GET /callback HTTP/1.1\r\nHost: x\r\n").is_none());
}

/// What speaks another protocol to the port waits for a response in vain, unless it gets one at once: a browser that
/// goes to `https` first would show nothing for as long as the connection is kept.
#[test]
fn bytes_that_never_become_a_request_are_refused_at_once() {
    for (bytes, decisive) in [
        // TLS, as of a browser that goes to https first (RFC 8446, section 5.1).
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], 1),
        (b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", 1), // SSL 2.0
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 12),
        (b"\x05\x02\x00\x01", 1),                     // SOCKS 5
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", 1), // SOCKS 4
        (b"\x03\x00\x00\x13\x0e\xe0", 1),             // Remote Desktop
        (b"\x00\x00\x00\xa4\xffSMB", 1),
        (b"SSH-2.0-OpenSSH_9.9\r\n", 20),
        (b"EHLO scanner\r\n", 13),
        (b"HELP\r\n", 5),
        (b"*1\r\n$4\r\nPING\r\n", 3), // Redis
        (b"{\"method\":\"eth_chainId\"}", 1),
        (b"OPTIONS / RTSP/1.0\r\n", 11),
        (b"OPTIONS sip:nm SIP/2.0\r\n", 16),
        (b"GET /\r\n", 6), // HTTP/0.9
        (b"GET /callback\0", 14),
        (b"GET /callback?a b", 17),
        (b"GET /callback HTTP/1.1\r\nA: \x1b", 28),
        (b"GET /callback HTTP/1.1\r\nA: \x7f", 28),
        (b" GET", 1),
        (b"\xef\xbb\xbfGET", 1),
        (b"\r", 1),
    ] {
        for piece in [1, bytes.len()] {
            let mut connection = Connection::new(PATH);
            let mut read = 0;
            let request = bytes.chunks(piece).find_map(|chunk| {
                read += chunk.len();
                connection.read(chunk)
            });
            let request = request.unwrap_or_else(|| panic!("{} waits", bytes.escape_ascii()));
            assert_eq!(read, if piece == 1 { decisive } else { bytes.len() }, "{}", bytes.escape_ascii());
            let (mut pending, state) = waiting(&crate::fixtures::request());
            let reply = request.respond(&mut pending, start());
            assert_eq!((checked_status(&reply.bytes), reply.result.is_none()), (400, true));
            still_waits_at_the_loopback(&mut pending, &state);
        }
    }
}

#[test]
fn every_beginning_of_a_request_is_waited_for() {
    let callback = format!("/callback?code=c&state={}&long={}", made_of(0)[0], "x".repeat(200));
    for request in [
        format!("GET {callback} HTTP/1.1\r\nHost: 127.0.0.1:8400\r\nA:\tb\r\n\r\n"),
        format!("GET http://127.0.0.1:8400{callback} HTTP/1.0\nHost: x\n\n"),
        "VERSION-CONTROL /callback HTTP/1.1\r\n\r\n".to_owned(),
        post("Content-Length: 6\r\n", "\0\x16\x03\r\n\x7f"),
    ] {
        for end in 0..request.len() {
            let mut connection = Connection::new(PATH);
            assert!(connection.read(&request.as_bytes()[..end]).is_none(), "{:?}", &request[..end]);
            assert!(connection.read(&request.as_bytes()[end..]).is_some(), "{:?}", &request[end..]);
        }
    }
}

/// If the request line were looked for from the beginning at each line, this would take minutes.
#[test]
fn many_lines_after_a_long_one_take_no_longer() {
    let mut connection = Connection::new(PATH);
    assert!(connection.read(format!("GET /callback?{} HTTP/1.1\r\n", "x".repeat(200_000)).as_bytes()).is_none());
    for _ in 0..30_000 {
        assert!(connection.read(b"a").is_none() && connection.read(b"\n").is_none());
    }
}

#[test]
fn a_connection_that_never_ends_is_cut_off() {
    for chunk in [1000, 4096, 65_536, 1024 * 1024] {
        let mut connection = Connection::new(PATH);
        let mut fed = 0;
        let request = loop {
            match connection.read(&vec![b'x'; chunk]) {
                Some(request) => break request,
                None => fed += chunk,
            }
            assert!(fed <= Callback::LIMIT + 64 * 1024, "{fed}");
        };
        let (mut pending, state) = waiting(&crate::fixtures::request());
        let reply = request.respond(&mut pending, start());
        assert_eq!(checked_status(&reply.bytes), 413);
        assert!(reply.result.is_none());
        still_waits_at_the_loopback(&mut pending, &state);
    }
    let mut endless = Connection::new(PATH);
    assert!(endless.read(b"GET /callback HTTP/1.1\r\n").is_none());
    let refused = (0..10_000).find_map(|at| endless.read(format!("X-{at}: {}\r\n", "y".repeat(100)).as_bytes()));
    let (mut pending, _) = waiting(&crate::fixtures::request());
    assert_eq!(checked_status(&refused.expect("a response").respond(&mut pending, start()).bytes), 413);
}

#[test]
fn a_request_that_is_whole_counts_whatever_follows_it() {
    for rest in ["GET /evil HTTP/1.1\r\n\r\n".to_owned(), "\0\0\0".to_owned(), "x".repeat(1024 * 1024)] {
        for chunk in [1, 7, 1000, usize::MAX] {
            let (mut pending, state) = waiting(&request());
            let bytes = format!("GET /callback?code=c&state={state} HTTP/1.1\r\n\r\n{rest}");
            let mut connection = Connection::new(PATH);
            let request = bytes.as_bytes().chunks(chunk.min(bytes.len())).find_map(|chunk| connection.read(chunk));
            let reply = request.expect("a request").respond(&mut pending, start());
            assert_eq!(checked_status(&reply.bytes), 200);
            assert_eq!(credentials(reply.result.unwrap().unwrap()).code.as_deref(), Some("c"));
        }
    }
}

#[test]
fn a_pipelined_callback_after_another_request_is_ignored() {
    let (mut pending, state) = waiting(&request());
    let bytes = format!("GET /x HTTP/1.1\r\n\r\nGET /callback?code=c&state={state} HTTP/1.1\r\n\r\n");
    let (status, reply) = respond_to(&mut pending, bytes);
    assert_eq!(status, 404);
    assert!(reply.result.is_none());
    still_waits_at_the_loopback(&mut pending, &state);
}

/// If the bytes were parsed from the beginning at each read, this would take minutes.
#[test]
fn many_small_reads_end_as_one_large_one_does() {
    let mut connection = Connection::new(PATH);
    assert!(connection.read(b"GET /callback HTTP/1.1\r\nA: ").is_none());
    for _ in 0..300_000 {
        assert!(connection.read(b"x").is_none());
    }
    let (mut pending, _) = waiting(&request());
    let reply = connection.read(b"\r\n\r\n").unwrap().respond(&mut pending, start());
    assert!(reply.bytes.starts_with(b"HTTP/1.1 400 "));
    let mut blank = Connection::new(PATH);
    assert!(blank.read(b"\n").is_some());
}

#[test]
fn bare_line_feeds_end_lines_too() {
    let (mut pending, state) = waiting(&request());
    let (status, reply) = respond_to(&mut pending, format!("GET /callback?code=c&state={state} HTTP/1.0\nHost: x\n\n"));
    assert_eq!(status, 200);
    assert!(reply.result.is_some());
}

#[test]
fn a_whole_url_as_the_target_is_read() {
    let (mut pending, state) = waiting(&request());
    let bytes =
        format!("GET http://127.0.0.1:8400/callback?code=c&state={state} HTTP/1.1\r\nHost: 127.0.0.1:8400\r\n\r\n");
    assert_eq!(respond_to(&mut pending, bytes).0, 200);
    let (mut pending, _) = waiting(&request());
    for target in [
        "http://127.0.0.1:8400/other",
        "http://127.0.0.1:8400?/callback",
        "http://127.0.0.1:8400",
        "https://127.0.0.1/callback",
        "http:/callback",
        "ftp://x/callback",
    ] {
        assert_eq!(respond_to(&mut pending, format!("GET {target}?code=c HTTP/1.1\r\n\r\n")).0, 404, "{target}");
    }
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /callback HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n{headers}\r\n{body}")
}

#[test]
fn a_form_post_is_a_callback() {
    let [state, ..] = made_of(0);
    let body = format!("code=c&state={state}");
    let length = body.len();
    for headers in [
        format!("Content-Length: {length}\r\n"),
        format!("content-length:{length}\r\n"),
        format!("CONTENT-LENGTH:   00{length}  \r\n"),
    ] {
        let bytes = post(&headers, &body);
        for chunk in [1, 5, bytes.len()] {
            let (mut pending, _) = waiting(&request());
            let mut connection = Connection::new(PATH);
            let request = bytes.as_bytes().chunks(chunk).find_map(|chunk| connection.read(chunk)).expect("a request");
            let reply = request.respond(&mut pending, start());
            assert_eq!(checked_status(&reply.bytes), 200);
            assert_eq!(credentials(reply.result.unwrap().unwrap()).code.as_deref(), Some("c"));
        }
        assert!(Connection::new(PATH).read(&bytes.as_bytes()[..bytes.len() - 1]).is_none());
    }
    // What follows the body is ignored.
    let (mut pending, _) = waiting(&request());
    let (status, _) = respond_to(&mut pending, post(&format!("Content-Length: {length}\r\n"), &format!("{body}evil")));
    assert_eq!(status, 200);
}

#[test]
fn a_form_post_is_read_along_with_the_query_of_its_address() {
    let [state, ..] = made_of(0);
    let with = |query: &str, body: &str| {
        let (mut pending, _) = waiting(&request());
        let bytes = format!("POST /callback{query} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let (status, reply) = respond_to(&mut pending, bytes);
        (
            status,
            reply
                .result
                .map(|result| result.map(|authorized| credentials(authorized).code).map_err(|error| error.kind())),
        )
    };
    let good = (200, Some(Ok(Some("c".to_owned()))));
    assert_eq!(with(&format!("?state={state}"), "code=c"), good);
    assert_eq!(with("?code=c", &format!("state={state}")), good);
    assert_eq!(with(&format!("?code=c&state={state}"), ""), good);
    // Once in the query and once in the body is twice.
    assert_eq!(with(&format!("?code=evil&state={state}"), "code=c"), (200, Some(Err(ErrorKind::InvalidResponse))));
    assert_eq!(with(&format!("?state={state}"), &format!("code=c&state={state}")), (400, None));
    assert_eq!(with("?state=evil", &format!("code=c&state={state}")), (400, None));
}

#[test]
fn a_form_post_of_a_length_that_is_unclear_is_refused() {
    let [state, ..] = made_of(0);
    let body = format!("code=c&state={state}");
    let length = body.len();
    let (mut pending, _) = waiting(&request());
    for (headers, expected) in [
        (String::new(), 400),
        ("Transfer-Encoding: chunked\r\n".to_owned(), 400),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"), 400),
        (format!("Content-Length: {length}\r\ntransfer-encoding: identity\r\n"), 400),
        (format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"), 400),
        (format!("Content-Length: {length}\r\ncontent-length: 0\r\n"), 400),
        (format!("Content-Length: {length}, {length}\r\n"), 400),
        (format!("Content-Length: +{length}\r\n"), 400),
        (format!("Content-Length: -{length}\r\n"), 400),
        (format!("Content-Length: 0x{length}\r\n"), 400),
        (format!("Content-Length: {length}.0\r\n"), 400),
        ("Content-Length: \r\n".to_owned(), 400),
        ("Content-Length: \u{661}\r\n".to_owned(), 400),
        ("Content-Length: 99999999999999999999999\r\n".to_owned(), 400),
        (format!("Content-Length: {}\r\n", Callback::LIMIT + 1), 413),
        (format!("Content-Length: {}\r\n", u64::MAX), 413),
    ] {
        let (status, reply) = respond_to(&mut pending, post(&headers, &body));
        assert_eq!(status, expected, "{headers}");
        assert!(reply.result.is_none());
    }
    still_waits_at_the_loopback(&mut pending, &state);
}

#[test]
fn a_form_post_of_256_kib_is_read() {
    let (mut pending, state) = waiting(&request().response_type(ResponseType::IdToken));
    let start_of_body = format!("state={state}&id_token=");
    let body = format!("{start_of_body}{}", "i".repeat(Callback::LIMIT - start_of_body.len()));
    let bytes = post(&format!("Content-Length: {}\r\n", body.len()), &body);
    let (status, reply) = respond_to(&mut pending, bytes);
    assert_eq!(status, 200);
    assert_eq!(credentials(reply.result.unwrap().unwrap()).id_token.unwrap().len(), body.len() - start_of_body.len());
}

#[test]
fn no_header_changes_what_a_callback_is() {
    let [state, ..] = made_of(0);
    for header in [
        "Host: evil.example",
        "X-HTTP-Method-Override: DELETE",
        "X-Original-URL: /other",
        "X-Forwarded-Host: evil.example",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Upgrade: h2c",
        "Origin: https://evil.example",
        "Expect: 100-continue",
    ] {
        let (mut pending, _) = waiting(&request());
        let (status, reply) =
            respond_to(&mut pending, format!("GET /callback?code=c&state={state} HTTP/1.1\r\n{header}\r\n\r\nstate=x"));
        assert_eq!(status, 200, "{header}");
        assert_eq!(credentials(reply.result.unwrap().unwrap()).code.as_deref(), Some("c"));
    }
}

/// A browser that loads the callback ahead of its user would use up the login, and show the user an error.
#[test]
fn what_no_user_goes_to_consumes_nothing() {
    let ahead = [
        "Sec-Purpose: prefetch",
        "sec-purpose: prefetch;prerender",
        "Sec-Purpose: prefetch; prerender",
        "SEC-PURPOSE:prefetch;anonymous-client-ip",
        "Sec-Purpose: other, prefetch",
        "Purpose: prefetch",
        "purpose: Prefetch",
        "Purpose: prerender",
        "X-Purpose: preview",
        "X-Purpose: Preview",
        "X-Moz: prefetch",
        "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Purpose: prefetch",
    ];
    let parts = ["no-cors", "cors", "same-origin", "websocket", "", "navigate, cors"].map(|mode| {
        let destinations = ["image", "script", "style", "empty", "video", "serviceworker", "document"];
        destinations.map(|part| format!("Sec-Fetch-Dest: {part}\r\nSec-Fetch-Mode: {mode}"))
    });
    let (mut pending, state) = waiting(&request());
    for headers in ahead.iter().copied().chain(parts.iter().flatten().map(String::as_str)) {
        for bytes in [
            format!("GET /callback?code=c&state={state} HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n"),
            format!("GET /callback?error=access_denied&state={state} HTTP/1.1\r\n{headers}\r\n\r\n"),
            post(&format!("Content-Length: 3\r\n{headers}\r\n"), "a=b"),
        ] {
            let (status, reply) = respond_to(&mut pending, bytes);
            assert_eq!((status, reply.result.is_none()), (503, true), "{headers}");
        }
        // What is no callback anyway keeps its own status.
        assert_eq!(respond_to(&mut pending, format!("GET /favicon.ico HTTP/1.1\r\n{headers}\r\n\r\n")).0, 404);
        assert_eq!(respond_to(&mut pending, format!("PUT /callback HTTP/1.1\r\n{headers}\r\n\r\n")).0, 405);
    }
    still_waits_at_the_loopback(&mut pending, &state);
}

#[test]
fn what_a_user_goes_to_is_a_callback_in_any_browser() {
    for headers in [
        "A: b",
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document",
        // Without a press of the user's, and in a frame of a program's own window.
        "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe",
        // Through a service worker, which another program may have left at the same address.
        "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: empty",
        "Sec-Fetch-Mode: nested-navigate",
        "Sec-Fetch-Dest: image",
        "Purpose: something else",
        "X-Moz: page",
        "X-Purposes: prefetch",
        "Sec-Purpose:",
        "Referer: http://127.0.0.1/prefetch",
    ] {
        let (mut pending, state) = waiting(&request());
        let bytes = format!("GET /callback?code=c&state={state} HTTP/1.1\r\n{headers}\r\n\r\n");
        let (status, reply) = respond_to(&mut pending, bytes);
        assert_eq!((status, reply.result.is_some()), (200, true), "{headers}");
        let (mut pending, state) = waiting(&request());
        let body = format!("code=c&state={state}");
        let bytes = post(&format!("Content-Length: {}\r\n{headers}\r\n", body.len()), &body);
        assert_eq!(respond_to(&mut pending, bytes).0, 200, "{headers}");
    }
}

#[test]
fn a_page_of_another_site_learns_nothing_and_ends_nothing() {
    let (mut pending, state) = waiting(&request());
    for bytes in [
        "GET /callback?code=evil HTTP/1.1\r\nOrigin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n\r\n",
        "GET /callback?code=evil&state=guess HTTP/1.1\r\nOrigin: https://evil.example\r\n\r\n",
        "GET /callback?error=access_denied&state=guess HTTP/1.1\r\nReferer: https://evil.example/\r\n\r\n",
        "POST /callback HTTP/1.1\r\nOrigin: https://evil.example\r\nContent-Length: 21\r\n\r\ncode=evil&state=guess",
        "OPTIONS /callback HTTP/1.1\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Private-Network: true\r\n\r\n",
        "GET /callback HTTP/1.1\r\nHost: rebound.evil.example\r\n\r\n",
    ] {
        let (status, reply) = respond_to(&mut pending, bytes);
        assert!(matches!(status, 400 | 405));
        assert!(reply.result.is_none());
        assert!(!String::from_utf8_lossy(&reply.bytes).to_ascii_lowercase().contains("access-control"));
    }
    still_waits_at_the_loopback(&mut pending, &state);
}

#[test]
fn a_flood_of_callbacks_ends_nothing() {
    let (mut pending, state) = waiting(&request());
    for seed in 1..2_000 {
        let [others, ..] = made_of(seed);
        let (status, reply) =
            respond_to(&mut pending, format!("GET /callback?code=evil&state={others} HTTP/1.1\r\n\r\n"));
        assert_eq!(status, 400);
        assert!(reply.result.is_none());
    }
    still_waits_at_the_loopback(&mut pending, &state);
}

#[test]
fn a_jwt_comes_to_this_machine_too() {
    for (mut pending, right) in jwt_waiting("my_jwt") {
        let other = whole("GET /callback?my_jwt=a.b.c HTTP/1.1\r\n\r\n").respond(&mut pending, start());
        assert!(other.result.is_none());
        let reply = whole(format!("GET /callback?{right} HTTP/1.1\r\n\r\n")).respond(&mut pending, start());
        assert!(!reply.result.expect("the end").unwrap().jwt.expose().is_empty());
    }
    // In mode Post the state of a classic one stands in the address.
    let [(mut pending, _), _] = jwt_waiting("my_jwt");
    let [state, ..] = made_of(0);
    let bytes = format!("POST /callback?state={state} HTTP/1.1\r\nContent-Length: 12\r\n\r\nmy_jwt=a.b.c");
    let reply = whole(bytes).respond(&mut pending, start());
    assert_eq!(reply.result.expect("the end").unwrap().jwt.expose(), "a.b.c");
}

#[test]
fn only_its_own_path_counts() {
    for path in ["/", "/a/b", "/cb.html"] {
        let (mut pending, state) = waiting(&request());
        let mut connection = Connection::new(path);
        let bytes = format!("GET {path}?code=c&state={state} HTTP/1.1\r\n\r\n");
        let reply = connection.read(bytes.as_bytes()).unwrap().respond(&mut pending, start());
        assert!(reply.result.unwrap().is_ok());
        let (mut pending, _) = waiting(&request());
        let reply = whole(bytes).respond(&mut pending, start());
        assert_eq!(checked_status(&reply.bytes), 404);
    }
}

#[test]
fn a_receiver_that_gives_up_says_why() {
    let error = loopback::expired(Duration::from_secs(300));
    assert_eq!(error.kind(), ErrorKind::Expired);
    assert_eq!(error.to_string(), "no callback came within 300 s: begin a new login");
    assert_eq!(loopback::cancelled().kind(), ErrorKind::Cancelled);
    assert_eq!(
        loopback::cancelled().to_string(),
        "the program cancelled waiting for the callback: begin a new login to sign in"
    );
}
