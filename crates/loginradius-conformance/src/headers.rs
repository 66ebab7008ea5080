//! Response headers in unusual forms, and cookies and codings that a client must not send or ask for.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use loginradius_proto::{App, Body, Endpoint, Error, ErrorKind, RequestBuilder, http};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::{Operation, app, success};
use crate::server::{Server, json, response};

/// A user agent must read a folded line (RFC 9112, section 5.2). The other forms are mistakes of servers and proxies.
fn header_lines_of_any_form_are_read<A: Adapter>() {
    let many = |count: usize| "X-A: b\r\n".repeat(count - 1); // `Content-Length` is one as well
    let table = [
        ("a folded line", "X-A: b\r\n c\r\n\td\r\n".to_owned()),
        ("a folded line that is empty", "X-A: b\r\n \r\n".to_owned()),
        ("150 lines", many(150)),
        ("300 lines", many(300)),
        ("a space before the colon", "X-A : b\r\n".to_owned()),
        ("a tab before the colon", "X-A\t: b\r\n".to_owned()),
        ("bytes outside of ASCII", "X-A: \u{e9}\u{20ac}\r\n".to_owned()),
        ("an empty value", "X-A:\r\n".to_owned()),
    ];
    for (name, headers) in table {
        let server = Server::responding(move |_| response("200 OK", &headers, &success()));
        let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
        for operation in [Operation::<A>::refresh(), Operation::jwt()] {
            (operation.call)(&client).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        }
        assert_eq!(server.requests().len(), 2, "{name}");
    }

    let headers = many(301);
    let server = Server::responding(move |_| response("200 OK", &headers, &success()));
    let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
    let error = (Operation::<A>::refresh().call)(&client).unwrap_err();
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::OutcomeUnknown, 1), "301 lines: {error:?}");
}

/// The request asks for none of them.
fn content_codings_are_decoded_or_refused<A: Adapter>() {
    let plain = success().into_bytes();
    let encoded = gzip(&plain);
    let table = [
        ("gzip", encoded.clone(), None),
        ("GZIP", encoded.clone(), None),
        ("x-gzip", encoded.clone(), None),
        (" gzip ", encoded, None),
        ("identity", plain.clone(), None),
        ("gzip", plain.clone(), None), // as it comes from a proxy that has decoded it
        ("br", plain.clone(), Some(ErrorKind::OutcomeUnknown)),
        ("zstd", plain.clone(), Some(ErrorKind::OutcomeUnknown)),
        ("deflate", plain, Some(ErrorKind::OutcomeUnknown)),
    ];
    for (coding, body, expected) in table {
        let server = Server::responding(move |_| {
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n");
            [head.as_bytes(), &body].concat()
        });
        let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
        let result = (Operation::<A>::refresh().call)(&client);
        assert_eq!(result.as_ref().err().map(|error| error.kind()), expected, "{coding}: {result:?}");
        assert_eq!(server.requests().len(), 1, "{coding}");
    }
}

/// Some servers respond to a revocation like this.
fn an_empty_body_may_have_a_content_coding<A: Adapter>() {
    for coding in ["gzip", "br"] {
        let server = Server::responding(move |_| response("200 OK", &format!("Content-Encoding: {coding}\r\n"), ""));
        let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
        let revoke = Operation::<A>::all().into_iter().find(|operation| operation.name == "revoke").unwrap();
        (revoke.call)(&client).unwrap_or_else(|error| panic!("{coding}: {error:?}"));
        assert_eq!(server.requests().len(), 1, "{coding}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One client serves many users: a cookie that a server sets for one of them must not be sent for another.
fn no_cookie_is_sent_and_no_coding_is_asked_for<A: Adapter>() {
    let server = Server::responding(|request| {
        let cookies = format!(
            "Set-Cookie: user=ada{}; Path=/; Max-Age=3600\r\nSet-Cookie2: a=b\r\nAccept-CH: DPR\r\n",
            request.connection
        );
        [response("200 OK", &cookies, &success())].concat()
    });
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for _user in ["ada", "grace"] {
        for operation in Operation::<A>::all() {
            (operation.call)(&client).unwrap();
        }
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 20);
    for request in requests {
        let head = request.head.to_ascii_lowercase();
        assert!(!head.contains("\r\ncookie") && !head.contains("user=ada"), "{head}");
        assert_eq!(head.matches("\r\naccept-encoding:").count(), 1, "{head}");
        assert!(head.contains("\r\naccept-encoding: identity\r\n"), "{head}");
    }
    let printed = format!("{client:?}{client:#?}");
    assert!(!printed.contains("user=ada"), "{printed}");
}

/// In HTTP/1.0 the server closes the connection after each response, unless it says otherwise.
fn an_old_version_of_http_is_read<A: Adapter>() {
    let server = Server::start(|peer| {
        if peer.request().is_some() {
            let text = String::from_utf8(json("200 OK", &success())).unwrap();
            let _ = peer.send(text.replace("HTTP/1.1", "HTTP/1.0").as_bytes());
        }
    });
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for operation in Operation::<A>::all() {
        (operation.call)(&client).unwrap_or_else(|error| panic!("{}: {error:?}", operation.name));
    }
}

/// Lengths beside those of buffers, each after a short one: the memory for a request must follow it.
fn requests_of_any_length_are_sent_whole_over_one_connection<A: Adapter>() {
    let server = Server::responding(|_| json("200 OK", &success()));
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for length in [1, 1023, 1024, 1025, 4095, 4096, 4097, 16_384, 25_000, 60_000] {
        for length in [1, length] {
            let text = "t".repeat(length);
            let (line, value, body) = (Custom::line(&text), Custom::value(&text), Custom::body(&text));
            for custom in [line, value, body] {
                client.call(&custom).unwrap_or_else(|error| panic!("{length}: {error:?}"));
            }
            let requests = server.requests();
            let [.., line, value, body] = requests.as_slice() else { panic!("{} requests", requests.len()) };
            assert!(line.head.starts_with(&format!("GET /custom?q={text} HTTP/1.1\r\n")), "{length}");
            assert!(value.head.contains(&format!("\r\nx-custom: {text}\r\n")), "{length}");
            assert_eq!(String::from_utf8_lossy(&body.body), format!("\"{text}\""), "{length}");
        }
    }
    assert_eq!(server.connections(), 1);
}

fn a_request_may_have_a_long_name_and_many_long_headers<A: Adapter>() {
    let server = Server::responding(|_| json("200 OK", &success()));
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    let name = format!("x-{}", "n".repeat(20_000));
    client.call(&Custom::headers(vec![(name.clone(), "v".to_owned())])).unwrap();
    let many: Vec<_> = (1..=20).map(|number| (format!("x-{number}"), number.to_string().repeat(1500))).collect();
    client.call(&Custom::headers(many.clone())).unwrap();
    let requests = server.requests();
    assert!(requests[0].head.contains(&format!("\r\n{name}: v\r\n")), "{}", requests[0].head.len());
    for (name, value) in many {
        assert!(requests[1].head.contains(&format!("\r\n{name}: {value}\r\n")), "{name}");
    }
}

/// The lengths are beside those at which a number needs one digit more, to several bases.
fn response_headers_of_any_length_are_read_whole<A: Adapter>() {
    let lengths = [0, 1, 9, 10, 31, 32, 63, 64, 65, 99, 100, 127, 128, 4095, 4096, 4097, 8192, 65_000];
    let expected: Vec<_> = lengths.iter().map(|length| (format!("x-value-{length}"), "v".repeat(*length))).collect();
    let names = lengths.iter().map(|length| (format!("n{}", "n".repeat(*length)), length.to_string()));
    let expected: Vec<_> = expected.into_iter().chain(names.filter(|(name, _)| name.len() < 60_000)).collect();
    let lines: String = expected.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let server = Server::responding(move |_| response("200 OK", &lines, &success()));
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for _ in 0..2 {
        let headers = client.call(&Custom::default()).unwrap();
        for (name, value) in &expected {
            assert_eq!(headers.get(name).map(|value| value.len()), Some(value.len()), "{} letters", name.len());
            assert_eq!(headers[name], value.as_str(), "{} letters", name.len());
        }
        // And the length and the date.
        assert_eq!(headers.len(), expected.len() + 2);
    }
    assert_eq!(server.connections(), 1);
}

/// The longest one that both adapters read, to the byte.
fn a_head_of_256_kibibytes_is_read<A: Adapter>() {
    const MAX_LENGTH: usize = 256 << 10;
    let rest = response("200 OK", "X-A: \r\n", &success()).len() - success().len();
    let server = Server::responding(move |_| {
        response("200 OK", &format!("X-A: {}\r\n", "a".repeat(MAX_LENGTH - rest)), &success())
    });
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    for _ in 0..2 {
        let headers = client.call(&Custom::default()).unwrap();
        assert_eq!(headers["x-a"].len(), MAX_LENGTH - rest);
        assert_eq!(headers["content-length"], success().len().to_string().as_str());
    }
    assert_eq!(server.connections(), 1);
}

/// Those that may stand in a value are read. One that may not never ends its line for another one to begin.
fn every_byte_in_a_response_header_is_read_or_refused<A: Adapter>() {
    for byte in 0..=u8::MAX {
        let server = Server::responding(move |_| {
            let head = [b"HTTP/1.1 200 OK\r\nX-A: a", &[byte][..], b"X-B: b\r\nX-C: c\r\n"].concat();
            let end = format!("Content-Length: {}\r\n\r\n{}", success().len(), success());
            [head, end.into_bytes()].concat()
        });
        let client = A::new(app(&server.url()), &Settings::default()).unwrap();
        match client.call(&Custom::default()) {
            Ok(headers) => {
                assert_eq!(headers["x-c"], "c", "{byte}");
                if byte == b'\n' {
                    assert_eq!((&headers["x-a"], &headers["x-b"]), (&"a".parse().unwrap(), &"b".parse().unwrap()));
                    continue;
                }
                assert!(!headers.contains_key("x-b"), "{byte}");
                let whole = [b"a", &[byte][..], b"X-B: b"].concat();
                let value = headers.get("x-a").map(|value| value.as_bytes());
                assert!(value == Some(&whole) || value.is_none() && byte.is_ascii_control(), "{byte}: {value:?}");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{byte}: {error:?}");
                assert!(byte.is_ascii_control() && byte != b'\t', "{byte}: {error:?}");
            }
        }
    }
}

/// An endpoint of a user, with a long line, long headers or a long body. Its response is its headers.
#[derive(Default)]
struct Custom {
    query: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Custom {
    fn line(query: &str) -> Self {
        Self { query: Some(query.to_owned()), ..Self::default() }
    }

    fn value(value: &str) -> Self {
        Self::headers(vec![("x-custom".to_owned(), value.to_owned())])
    }

    fn headers(headers: Vec<(String, String)>) -> Self {
        Self { headers, ..Self::default() }
    }

    fn body(body: &str) -> Self {
        Self { body: Some(body.to_owned()), ..Self::default() }
    }
}

impl Endpoint for Custom {
    type Response = http::HeaderMap;

    fn name(&self) -> &'static str {
        "Custom"
    }

    fn request(&self, app: &App) -> Result<http::Request<Body>, Error> {
        let host = app.service().api_host();
        let request = match &self.body {
            Some(body) => RequestBuilder::post(host, "/custom").json(body),
            None => RequestBuilder::get(host, "/custom").query_opt("q", self.query.as_deref()),
        };
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value)).build()
    }

    fn response(&self, _: &App, response: http::Response<Body>) -> Result<http::HeaderMap, Error> {
        Ok(response.headers().clone())
    }

    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }

    // So that its connection is kept.
    fn repeatable(&self) -> bool {
        true
    }
}

cases!(($) headers headers_cases {
    requests_of_any_length_are_sent_whole_over_one_connection,
    a_request_may_have_a_long_name_and_many_long_headers,
    response_headers_of_any_length_are_read_whole,
    a_head_of_256_kibibytes_is_read,
    every_byte_in_a_response_header_is_read_or_refused,
    header_lines_of_any_form_are_read,
    content_codings_are_decoded_or_refused,
    an_empty_body_may_have_a_content_coding,
    no_cookie_is_sent_and_no_coding_is_asked_for,
    an_old_version_of_http_is_read,
});
