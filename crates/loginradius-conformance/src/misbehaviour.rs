//! Servers that misbehave: the kind of the error, and how often the request was sent.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::oauth::RefreshAccessToken;
use loginradius_proto::{Call, ErrorKind, Retry, Seed};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::faults::Fault;
use crate::operations::{Operation, app, success};
use crate::server::{Server, json, read_request, response};
use crate::tls::Tls;

/// Starts a server with this fault at every request.
fn misbehaving(fault: Fault, elsewhere: &str) -> Server {
    let elsewhere = elsewhere.to_owned();
    Server::start(move |peer| {
        while let Some(request) = peer.request() {
            fault.act(peer, &request, &elsewhere);
            if !matches!(fault, Fault::Html(_) | Fault::Redirect(_) | Fault::Empty) {
                break;
            }
        }
    })
}

/// Checks that each operation gets an error of that kind, and is sent three times if it is repeatable, else once.
fn check_all<A: Adapter>(fault: Fault, kind: ErrorKind) {
    check::<A>(&Operation::all(), fault, kind);
}

fn check<A: Adapter>(operations: &[Operation<A>], fault: Fault, kind: ErrorKind) {
    let server = misbehaving(fault, "");
    let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
    for operation in operations {
        let before = server.requests().len();
        let error = (operation.call)(&client).unwrap_err();
        assert_eq!(error.kind(), kind, "{}: {error:?}", operation.name);
        assert!(error.operation().is_some());
        let attempts = if operation.repeatable { 3 } else { 1 };
        assert_eq!(server.requests().len() - before, attempts, "{}: {error:?}", operation.name);
    }
}

fn a_close_after_the_request_means_outcome_unknown<A: Adapter>() {
    check_all::<A>(Fault::Close, ErrorKind::OutcomeUnknown);
}

fn a_reset_after_the_request_means_outcome_unknown<A: Adapter>() {
    check_all::<A>(Fault::Reset, ErrorKind::OutcomeUnknown);
}

/// If connecting succeeds, the request may be on its way when the reset arrives.
fn a_reset_before_the_request_means_not_sent_only_while_connecting<A: Adapter>() {
    let server = Server::start(|peer| peer.reset());
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for _ in 0..20 {
        let before = server.connections();
        let error = (Operation::<A>::refresh().call)(&client).unwrap_err();
        match error.kind() {
            ErrorKind::NotSent => assert!(format!("{error:?}").contains("connect"), "{error:?}"),
            kind => assert_eq!(kind, ErrorKind::OutcomeUnknown, "{error:?}"),
        }
        assert_eq!(server.connections() - before, 1);
    }
}

fn a_close_before_the_request_means_outcome_unknown<A: Adapter>() {
    let server = Server::start(|_| ());
    let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
    let error = (Operation::<A>::refresh().call)(&client).unwrap_err();
    assert_eq!((error.kind(), server.connections()), (ErrorKind::OutcomeUnknown, 1), "{error:?}");
}

fn half_a_header_means_outcome_unknown<A: Adapter>() {
    check_all::<A>(Fault::HalfAHeader, ErrorKind::OutcomeUnknown);
}

fn a_body_shorter_than_its_length_means_outcome_unknown<A: Adapter>() {
    check_all::<A>(Fault::ShortBody, ErrorKind::OutcomeUnknown);
}

fn a_missing_last_chunk_means_outcome_unknown<A: Adapter>() {
    check_all::<A>(Fault::NoLastChunk, ErrorKind::OutcomeUnknown);
}

fn a_malformed_chunk_means_outcome_unknown<A: Adapter>() {
    check_all::<A>(Fault::BadChunk, ErrorKind::OutcomeUnknown);
}

fn bytes_that_are_not_http_mean_outcome_unknown<A: Adapter>() {
    check_all::<A>(Fault::Garbage, ErrorKind::OutcomeUnknown);
}

fn a_malformed_status_line_means_outcome_unknown<A: Adapter>() {
    check_all::<A>(Fault::BadStatusLine, ErrorKind::OutcomeUnknown);
}

fn a_negative_length_means_outcome_unknown<A: Adapter>() {
    check_all::<A>(Fault::BadLength, ErrorKind::OutcomeUnknown);
}

fn two_different_lengths_mean_outcome_unknown<A: Adapter>() {
    check_all::<A>(Fault::TwoLengths, ErrorKind::OutcomeUnknown);
}

fn a_header_of_a_mebibyte_means_outcome_unknown<A: Adapter>() {
    check::<A>(&[Operation::refresh(), Operation::jwt()], Fault::LongHeader, ErrorKind::OutcomeUnknown);
}

fn an_endless_header_is_not_read_until_the_timeout<A: Adapter>() {
    check_unread::<A>(Fault::EndlessHeader);
}

/// In the same words by both adapters, except that only blocking code knows how long a head may be.
fn the_line_says_why_a_response_is_not_whole<A: Adapter>() {
    for (fault, cause) in [
        (Fault::Close, "the connection was closed too early"),
        (Fault::Reset, "the connection was closed too early"),
        (Fault::HalfAHeader, "the connection was closed too early"),
        (Fault::ShortBody, "the connection was closed too early"),
        (Fault::NoLastChunk, "the connection was closed too early"),
        (Fault::Garbage, "the response is not HTTP"),
        (Fault::BadStatusLine, "the response is not HTTP"),
        (Fault::BadChunk, "the response is not HTTP"),
        (Fault::BadLength, "the response is not HTTP"),
        (Fault::TwoLengths, "the response is not HTTP"),
        (Fault::LongHeader, "the head of the response is "),
        (Fault::EndlessHeader, "the head of the response is "),
    ] {
        let server = misbehaving(fault, "");
        let client = A::new(app(&server.url()), &Settings::default()).unwrap();
        let line = (Operation::<A>::refresh().call)(&client).unwrap_err().to_string();
        assert!(line.contains(&format!(" ({cause}")), "{fault:?}: {line}");
    }
}

fn html_at_502_means_unavailable<A: Adapter>() {
    check_all::<A>(Fault::Html(502), ErrorKind::Unavailable);
}

fn html_at_404_means_invalid_response<A: Adapter>() {
    check_all::<A>(Fault::Html(404), ErrorKind::InvalidResponse);
}

fn html_at_200_is_a_success_for_a_revocation_only<A: Adapter>() {
    check_success_of_revocation_only::<A>(Fault::Html(200));
}

/// No request asks for an upgrade, so the status 101 is no response to it.
fn an_unrequested_upgrade_is_an_error<A: Adapter>() {
    let server = misbehaving(Fault::Upgrade, "");
    let client = A::new(app(&server.url()), &Settings { timeout: SHORT_TIMEOUT, ..Settings::default() }).unwrap();
    let error = (Operation::<A>::refresh().call)(&client).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::InvalidResponse), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

fn check_redirect<A: Adapter>(status: u16) {
    let other_server = Server::responding(|_| json("200 OK", &success()));
    let server = misbehaving(Fault::Redirect(status), &other_server.url());
    let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
    for operation in Operation::<A>::all() {
        let before = server.requests().len();
        let error = (operation.call)(&client).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{}: {error:?}", operation.name);
        assert_eq!(error.http_status().map(|status| status.as_u16()), Some(status), "{}", operation.name);
        let attempts = if operation.repeatable { 3 } else { 1 };
        assert_eq!(server.requests().len() - before, attempts, "{}", operation.name);
    }
    assert_eq!(other_server.connections(), 0, "a redirect was followed");
}

fn a_301_is_not_followed<A: Adapter>() {
    check_redirect::<A>(301);
}

fn a_302_is_not_followed<A: Adapter>() {
    check_redirect::<A>(302);
}

fn a_303_is_not_followed<A: Adapter>() {
    check_redirect::<A>(303);
}

fn a_307_is_not_followed<A: Adapter>() {
    check_redirect::<A>(307);
}

fn a_308_is_not_followed<A: Adapter>() {
    check_redirect::<A>(308);
}

const SHORT_TIMEOUT: Duration = Duration::from_millis(200);

/// Checks that an operation takes one timeout, or two if it is repeatable.
fn check_timeout<A: Adapter>(fault: Fault) {
    for (operation, attempts) in [(Operation::<A>::refresh(), 1), (Operation::<A>::jwt(), 2)] {
        let server = misbehaving(fault, "");
        let settings = Settings { timeout: SHORT_TIMEOUT, ..Settings::attempts(2) };
        let client = A::new(app(&server.url()), &settings).unwrap();
        let start = Instant::now();
        let error = (operation.call)(&client).unwrap_err();
        let elapsed = start.elapsed();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{}: {error:?}", operation.name);
        let min = SHORT_TIMEOUT * u32::try_from(attempts).unwrap();
        assert!((min..min + Duration::from_secs(1)).contains(&elapsed), "{elapsed:?}");
        assert!(server.all_closed(&client, attempts), "the connection is still open");
        assert_eq!(server.requests().len(), attempts, "{}: {error:?}", operation.name);
    }
}

fn silence_ends_at_the_timeout<A: Adapter>() {
    check_timeout::<A>(Fault::Silence);
}

fn a_slow_header_ends_at_the_timeout<A: Adapter>() {
    check_timeout::<A>(Fault::SlowHeader);
}

fn a_slow_body_ends_at_the_timeout<A: Adapter>() {
    check_timeout::<A>(Fault::SlowBody);
}

/// Checks that the response is read neither to its end nor until the timeout.
fn check_unread<A: Adapter>(fault: Fault) {
    let server = misbehaving(fault, "");
    let settings = Settings { timeout: Duration::from_secs(2), ..Settings::attempts(3) };
    let client = A::new(app(&server.url()), &settings).unwrap();
    let start = Instant::now();
    let error = (Operation::<A>::refresh().call)(&client).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
    assert_eq!(server.requests().len(), 1);
    assert!(server.all_closed(&client, 1), "the connection is still open");
    // The buffers of the two sockets can hold a few MiB.
    assert!(server.written() < 40 << 20, "{} bytes were read", server.written());
}

fn a_body_of_ten_mebibytes_is_not_read_to_its_end<A: Adapter>() {
    check_unread::<A>(Fault::Long);
}

fn endless_chunks_are_not_read_until_the_timeout<A: Adapter>() {
    check_unread::<A>(Fault::Endless);
}

fn a_gzip_body_is_decompressed<A: Adapter>() {
    let server = Server::responding(|_| compressed(&gzip(success().as_bytes())));
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for operation in Operation::<A>::all() {
        (operation.call)(&client).unwrap();
    }
}

/// Ten kilobytes that decompress to ten megabytes.
fn a_gzip_bomb_means_outcome_unknown<A: Adapter>() {
    let server = Server::responding(|_| compressed(&gzip(&vec![b' '; 10 << 20])));
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for operation in Operation::<A>::all() {
        assert_eq!((operation.call)(&client).unwrap_err().kind(), ErrorKind::OutcomeUnknown, "{}", operation.name);
    }
}

fn a_truncated_gzip_body_means_outcome_unknown<A: Adapter>() {
    let server = Server::responding(|_| {
        let whole = gzip(success().as_bytes());
        compressed(&whole[..whole.len() / 2])
    });
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for operation in Operation::<A>::all() {
        assert_eq!((operation.call)(&client).unwrap_err().kind(), ErrorKind::OutcomeUnknown, "{}", operation.name);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn compressed(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// With a `Content-Length` and in chunks.
fn a_body_may_have_a_mebibyte_and_no_byte_more<A: Adapter>() {
    for (excess, kind) in [(0, None), (1, Some(ErrorKind::OutcomeUnknown))] {
        for chunked in [false, true] {
            let server = Server::responding(move |_| {
                let body = success();
                let body = body.clone() + &" ".repeat((1 << 20) + excess - body.len());
                if chunked {
                    format!(
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                        body.len()
                    )
                    .into_bytes()
                } else {
                    json("200 OK", &body)
                }
            });
            let client = A::new(app(&server.url()), &Settings::default()).unwrap();
            let result = (Operation::<A>::refresh().call)(&client);
            assert_eq!(result.err().map(|error| error.kind()), kind, "chunked: {chunked}");
        }
    }
}

fn an_empty_response_is_a_success_for_a_revocation_only<A: Adapter>() {
    check_success_of_revocation_only::<A>(Fault::Empty);
}

/// Checks that the body of a success does not matter to a revocation (RFC 7009, section 2.2), only to other operations.
fn check_success_of_revocation_only<A: Adapter>(fault: Fault) {
    let (revoke, others): (Vec<_>, Vec<_>) =
        Operation::<A>::all().into_iter().partition(|operation| operation.name == "revoke");
    check::<A>(&others, fault, ErrorKind::InvalidResponse);

    let server = misbehaving(fault, "");
    let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
    (revoke[0].call)(&client).unwrap();
    assert_eq!(server.requests().len(), 1);
}

/// Checks that each operation succeeds with that response. The connection ends after one without a `Content-Length`.
fn check_success<A: Adapter>(respond: impl Fn() -> Vec<u8> + Send + Sync + 'static) {
    let server = Server::start(move |peer| {
        while peer.request().is_some() {
            let response = respond();
            let is_last = !String::from_utf8_lossy(&response).contains("Content-Length");
            if peer.send(&response).is_err() || is_last {
                break;
            }
        }
    });
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for operation in Operation::<A>::all() {
        let before = server.requests().len();
        (operation.call)(&client).unwrap_or_else(|error| panic!("{}: {error:?}", operation.name));
        assert_eq!(server.requests().len() - before, 1, "{}", operation.name);
    }
}

fn any_content_type_is_accepted<A: Adapter>() {
    for header in ["Content-Type: text/html; charset=x-unknown\r\n", "Content-Type: ;;\r\n", ""] {
        check_success::<A>(move || response("200 OK", header, &success()));
    }
}

fn interim_responses_are_skipped<A: Adapter>() {
    for interim in ["100 Continue", "102 Processing", "103 Early Hints"] {
        check_success::<A>(move || {
            let hint = if interim.starts_with("103") { "Link: </a.css>; rel=preload\r\n" } else { "" };
            let mut responses = format!("HTTP/1.1 {interim}\r\n{hint}\r\n").into_bytes();
            responses.extend(json("200 OK", &success()));
            responses
        });
    }
}

fn a_body_may_end_with_the_connection<A: Adapter>() {
    check_success::<A>(|| format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", success()).into_bytes());
    check_success::<A>(|| format!("HTTP/1.0 200 OK\r\n\r\n{}", success()).into_bytes());
}

fn bytes_after_a_response_are_not_the_next_response<A: Adapter>() {
    let server = Server::responding(|request| {
        let mut responses = json("200 OK", &success());
        if request.connection == 1 {
            responses.extend(json("403 Forbidden", r#"{"error":"access_denied"}"#));
        }
        responses
    });
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    let operation = Operation::<A>::jwt();
    (operation.call)(&client).unwrap();
    thread::sleep(Duration::from_millis(20));
    // The second request may be lost with the connection.
    if let Err(error) = (operation.call)(&client) {
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
    }
    (operation.call)(&client).unwrap();
}

/// The first response on each connection is followed by another one, in the same bytes or a little later. In each way
/// in which a body can end, the next request must not get that one.
fn bytes_after_any_end_of_a_body_are_not_the_next_response<A: Adapter>() {
    let body = success();
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n", body.len());
    let length = body.len();
    let first = [
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\nContent-Length: {length}\n\n{body}"),
        format!("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: {length}\r\n\r\n{body}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}\r\n"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}X-A: b\r\nX-C: d\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{chunks}\r\n"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Length: {length}\r\n\r\n{body}"),
    ];
    for response in first {
        for at_once in [true, false] {
            let whole = response.clone();
            let server = Server::start(move |peer| {
                let smuggled = json("403 Forbidden", r#"{"error":"access_denied"}"#);
                while let Some(request) = peer.request() {
                    if request.connection > 1 {
                        let _ = peer.send(&json("200 OK", &success()));
                    } else if at_once {
                        let _ = peer.send(&[whole.as_bytes(), &smuggled].concat());
                    } else {
                        let _ = peer.send(whole.as_bytes());
                        thread::sleep(Duration::from_millis(10));
                        let _ = peer.send(&smuggled);
                    }
                }
            });
            let settings = Settings { timeout: Duration::from_secs(2), ..Settings::default() };
            let client = A::new(app(&server.url()), &settings).unwrap();
            let operation = Operation::<A>::jwt();
            // What it makes of the first response is up to other cases.
            let _ = (operation.call)(&client);
            client.idle(Duration::from_millis(40));
            // The second request may be lost with the connection.
            if let Err(error) = (operation.call)(&client) {
                assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{response}: {error:?}");
            }
            (operation.call)(&client).unwrap_or_else(|error| panic!("{response}: {error:?}"));
        }
    }
}

/// TLS decrypts whole records, so what follows a response may be held where the socket no longer shows it. The lengths
/// are those of buffers, at which a reader has the response without a byte of what follows.
fn bytes_after_a_response_within_tls_are_not_the_next_response<A: Adapter>() {
    let tls = Tls::of(&["127.0.0.1"]);
    for length in [1 << 10, 4 << 10, 8 << 10, 15 << 10] {
        let mut first = (0..).map(|blanks| json("200 OK", &(success() + &" ".repeat(blanks))));
        let mut first = first.find(|response| response.len() >= length).unwrap();
        first.extend(json("403 Forbidden", r#"{"error":"access_denied"}"#));
        let server = tls.serve(move |stream, peer| {
            while let Some(request) = read_request(stream, peer.number()) {
                peer.record(request);
                let sent = match peer.number() {
                    1 => stream.write_all(&first),
                    _ => stream.write_all(&json("200 OK", &success())),
                };
                if sent.is_err() {
                    break;
                }
            }
        });
        let settings = Settings { root_certificates: Some(tls.root.clone()), ..Settings::default() };
        let client = A::new(app(&server.https_url()), &settings).unwrap();
        let operation = Operation::<A>::jwt();
        (operation.call)(&client).unwrap();
        client.idle(Duration::from_millis(20));
        // The second request may be lost with the connection.
        if let Err(error) = (operation.call)(&client) {
            assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{length}: {error:?}");
        }
        (operation.call)(&client).unwrap_or_else(|error| panic!("{length}: {error:?}"));
    }
}

fn error_bodies_are_read_at_every_status<A: Adapter>() {
    let next = Arc::new(Mutex::new(Vec::new()));
    let current = Arc::clone(&next);
    let server = Server::responding(move |_| current.lock().unwrap().clone());
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for status in [200, 400, 401, 402, 403, 404, 407, 417, 429, 500, 503] {
        for (body, code) in [
            (r#"{"error":"access_denied","error_description":"no"}"#, None),
            (r#"{"ErrorCode":2009,"Message":"access_denied","Description":"no"}"#, Some(2009)),
        ] {
            *next.lock().unwrap() = json(&format!("{status} Status"), body);
            for operation in Operation::<A>::all() {
                let before = server.requests().len();
                let error = (operation.call)(&client).unwrap_err();
                let api_error = error.api_error().unwrap_or_else(|| panic!("{status} {}: {error:?}", operation.name));
                assert_eq!(api_error.oauth_error.as_deref(), Some("access_denied"));
                assert_eq!(api_error.code, code);
                assert_eq!(error.kind(), ErrorKind::Denied, "{status} {}", operation.name);
                assert_eq!(error.http_status().map(|status| status.as_u16()), Some(status));
                assert_eq!(server.requests().len() - before, 1);
            }
        }
    }
}

/// Not even if it is repeatable.
fn a_refused_request_is_not_retried<A: Adapter>() {
    let server = Server::responding(|_| json("401 Unauthorized", r#"{"error":"invalid_client"}"#));
    let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
    for operation in Operation::<A>::all() {
        assert_eq!((operation.call)(&client).unwrap_err().kind(), ErrorKind::Configuration);
    }
    assert_eq!(server.requests().len(), 10);
}

/// It is in the headers of an error response.
fn retry_after_is_read<A: Adapter>() {
    for (status, wait) in [("429 Too Many Requests", 7), ("503 Service Unavailable", 120)] {
        let server =
            Server::responding(move |_| response(status, &format!("Retry-After: {wait}\r\n"), "Too many requests"));
        let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
        for operation in [Operation::<A>::refresh(), Operation::jwt()] {
            let error = (operation.call)(&client).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert_eq!(error.retry_after(), Some(Duration::from_secs(wait)));
        }
        // It is longer than the longest wait between attempts, so that none follows.
        assert_eq!(server.requests().len(), 2);
    }
}

/// It counts from when the response is received.
fn a_date_in_retry_after_without_the_responses_date_is_read<A: Adapter>() {
    let server = Server::responding(move |_| {
        let until = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        response("503 Service Unavailable", &format!("Retry-After: {until}\r\n"), "Too many requests")
    });
    let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
    let error = (Operation::<A>::refresh().call)(&client).unwrap_err();
    let wait = error.retry_after().unwrap();
    assert!(wait > Duration::from_secs(95) && wait <= Duration::from_secs(100), "{wait:?}");
}

/// The server closes the first connection only.
fn a_retry_may_succeed<A: Adapter>() {
    let server = Server::start(|peer| {
        while let Some(request) = peer.request() {
            if request.connection == 1 {
                break;
            }
            let _ = peer.send(&json("200 OK", &success()));
        }
    });
    let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
    (Operation::<A>::jwt().call)(&client).unwrap();
    assert_eq!(server.requests().len(), 2);
}

/// The server closes a connection as it gets the second request. An operation that must not be sent twice has a new
/// connection; the others are retried.
fn a_connection_that_closes_on_reuse_fails_no_operation<A: Adapter>() {
    let server = Server::start(|peer| {
        if peer.request().is_some() && peer.send(&json("200 OK", &success())).is_ok() {
            peer.request();
        }
    });
    let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
    let repeatable = Operation::<A>::jwt();
    for operation in Operation::<A>::all() {
        (repeatable.call)(&client).unwrap();
        let before = server.requests().len();
        (operation.call)(&client).unwrap_or_else(|error| panic!("{}: {error:?}", operation.name));
        if !operation.repeatable {
            assert_eq!(server.requests().len() - before, 1, "{}", operation.name);
        }
    }
}

/// The server closes a connection between two requests.
fn a_connection_that_closes_while_idle_fails_no_operation<A: Adapter>() {
    let server = Server::start(|peer| {
        if peer.request().is_some() {
            let _ = peer.send(&json("200 OK", &success()));
        }
    });
    let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
    for operation in Operation::<A>::all() {
        let before = server.requests().len();
        (operation.call)(&client).unwrap_or_else(|error| panic!("{}: {error:?}", operation.name));
        thread::sleep(Duration::from_millis(5));
        if !operation.repeatable {
            assert_eq!(server.requests().len() - before, 1, "{}", operation.name);
        }
    }
}

/// Repeatable operations of a client and of its clones share a connection.
fn connections_are_reused<A: Adapter>() {
    let server = Server::responding(|_| json("200 OK", &success()));
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for _ in 0..3 {
        (Operation::<A>::jwt().call)(&client).unwrap();
        (Operation::<A>::jwt().call)(&client.clone()).unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (6, 1));
}

/// No `Expect`, no `Referer`, and no body with a `GET`.
fn requests_have_no_unexpected_headers<A: Adapter>() {
    const KNOWN: [&str; 8] = [
        "host",
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "user-agent",
        "connection",
        "x-own-client",
    ];
    let server = Server::responding(|_| json("200 OK", &success()));
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for operation in Operation::<A>::all() {
        (operation.call)(&client).unwrap();
        let request = server.requests().pop().unwrap();
        let mut names = Vec::new();
        for line in request.head.lines().skip(1).filter(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            assert!(KNOWN.contains(&name.as_str()), "{line}");
            names.push(name);
        }
        let is_get = request.head.starts_with("GET ");
        assert_eq!(names.iter().any(|name| name.starts_with("content-")), !is_get);
        assert_eq!(request.body.is_empty(), is_get);
        assert!(names.contains(&"user-agent".to_owned()));
    }
}

fn a_cookie_is_not_sent_back<A: Adapter>() {
    let server = Server::responding(|_| response("200 OK", "Set-Cookie: a=b\r\n", &success()));
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for operation in Operation::<A>::all() {
        (operation.call)(&client).unwrap();
        let request = server.requests().pop().unwrap();
        assert!(!request.head.to_ascii_lowercase().contains("\r\ncookie:"), "{}", request.head);
    }
}

/// The flow's app has another base URL than the client's. Nothing is sent to either.
fn a_flow_to_another_address_is_refused<A: Adapter>() {
    let (own_server, other_server) = (Server::responding(|_| Vec::new()), Server::responding(|_| Vec::new()));
    let client = A::new(app(&own_server.url()), &Settings::attempts(3)).unwrap();
    let refresh = RefreshAccessToken::new("r");
    for url in [other_server.url(), own_server.https_url(), own_server.url().replace("127.0.0.1", "localhost")] {
        let flow = Call::new(&refresh, &app(&url), Seed(1)).retry(Retry::OFF);
        let error = client.run(flow).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{error:?}");
    }
    assert_eq!((own_server.connections(), other_server.connections()), (0, 0));
}

fn a_flow_may_have_a_shorter_timeout<A: Adapter>() {
    let server = misbehaving(Fault::Silence, "");
    let app = app(&server.url());
    let client = A::new(app.clone(), &Settings::default()).unwrap();
    let start = Instant::now();
    let flow = Call::new(RefreshAccessToken::new("r"), &app, Seed(1)).timeout(SHORT_TIMEOUT);
    assert_eq!(client.run(flow).unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert!(start.elapsed() < Duration::from_secs(1));
}

fn a_flow_cannot_exceed_the_clients_timeout<A: Adapter>() {
    let server = misbehaving(Fault::Silence, "");
    let app = app(&server.url());
    let client = A::new(app.clone(), &Settings { timeout: SHORT_TIMEOUT, ..Settings::default() }).unwrap();
    let start = Instant::now();
    let flow = Call::new(RefreshAccessToken::new("r"), &app, Seed(1)).timeout(Duration::from_secs(5));
    assert_eq!(client.run(flow).unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert!(start.elapsed() < Duration::from_secs(1));
}

cases!(($) misbehaviour misbehaviour_cases {
    a_close_after_the_request_means_outcome_unknown,
    a_close_before_the_request_means_outcome_unknown,
    a_reset_after_the_request_means_outcome_unknown,
    a_reset_before_the_request_means_not_sent_only_while_connecting,
    half_a_header_means_outcome_unknown,
    a_body_shorter_than_its_length_means_outcome_unknown,
    a_missing_last_chunk_means_outcome_unknown,
    a_malformed_chunk_means_outcome_unknown,
    bytes_that_are_not_http_mean_outcome_unknown,
    a_malformed_status_line_means_outcome_unknown,
    a_negative_length_means_outcome_unknown,
    two_different_lengths_mean_outcome_unknown,
    a_header_of_a_mebibyte_means_outcome_unknown,
    an_endless_header_is_not_read_until_the_timeout,
    the_line_says_why_a_response_is_not_whole,
    html_at_502_means_unavailable,
    html_at_404_means_invalid_response,
    html_at_200_is_a_success_for_a_revocation_only,
    an_unrequested_upgrade_is_an_error,
    a_301_is_not_followed,
    a_302_is_not_followed,
    a_303_is_not_followed,
    a_307_is_not_followed,
    a_308_is_not_followed,
    silence_ends_at_the_timeout,
    a_slow_header_ends_at_the_timeout,
    a_slow_body_ends_at_the_timeout,
    a_body_of_ten_mebibytes_is_not_read_to_its_end,
    endless_chunks_are_not_read_until_the_timeout,
    a_body_may_have_a_mebibyte_and_no_byte_more,
    a_gzip_body_is_decompressed,
    a_gzip_bomb_means_outcome_unknown,
    a_truncated_gzip_body_means_outcome_unknown,
    an_empty_response_is_a_success_for_a_revocation_only,
    any_content_type_is_accepted,
    interim_responses_are_skipped,
    a_body_may_end_with_the_connection,
    bytes_after_a_response_are_not_the_next_response,
    bytes_after_any_end_of_a_body_are_not_the_next_response,
    bytes_after_a_response_within_tls_are_not_the_next_response,
    error_bodies_are_read_at_every_status,
    a_refused_request_is_not_retried,
    retry_after_is_read,
    a_date_in_retry_after_without_the_responses_date_is_read,
    a_retry_may_succeed,
    a_connection_that_closes_on_reuse_fails_no_operation,
    a_connection_that_closes_while_idle_fails_no_operation,
    connections_are_reused,
    requests_have_no_unexpected_headers,
    a_cookie_is_not_sent_back,
    a_flow_to_another_address_is_refused,
    a_flow_may_have_a_shorter_timeout,
    a_flow_cannot_exceed_the_clients_timeout,
});
