//! Response headers in unusual forms, and cookies and codings that a client must not send or ask for.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use loginradius_proto::jwt::JwtByAccessToken;
use loginradius_proto::oauth::RefreshAccessToken;
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

/// The line, a header and the body of a request: LoginRadius's tokens may become longer, and a JWT may hold a profile.
fn a_long_request_is_sent_whole<A: Adapter>() {
    let server = Server::responding(|_| json("200 OK", &success()));
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    let long_name = "x".repeat(3000);
    let long = "t".repeat(60_000); // a URI of the crate http has at most 65,534 bytes

    client.call(&JwtByAccessToken::new(long.as_str())).unwrap();
    client.call(&RefreshAccessToken::new(long.as_str())).unwrap();
    client.call(&WithHeader("X-A".to_owned(), long.clone())).unwrap();
    client.call(&WithHeader(long_name.clone(), "1".to_owned())).unwrap();

    let requests = server.requests();
    let line = requests[0].head.lines().next().unwrap();
    assert!(line.contains(&long), "{} of {}", line.len(), long.len());
    assert!(String::from_utf8_lossy(&requests[1].body).contains(&long), "{} of {}", requests[1].body.len(), long.len());
    for (request, header) in [(&requests[2], format!("x-a: {long}")), (&requests[3], format!("{long_name}: 1"))] {
        assert!(request.head.to_ascii_lowercase().contains(&header), "{} of {}", request.head.len(), header.len());
    }
    assert_eq!(requests.len(), 4);
}

/// An endpoint of a user, with a header of that name and value.
struct WithHeader(String, String);

impl Endpoint for WithHeader {
    type Response = ();

    fn name(&self) -> &'static str {
        "With Header"
    }

    fn request(&self, app: &App) -> Result<http::Request<Body>, Error> {
        RequestBuilder::get(app.service().api_host(), "/own").header(&self.0, &self.1).build()
    }

    fn response(&self, _: &App, _: http::Response<Body>) -> Result<(), Error> {
        Ok(())
    }

    fn secrets(&self) -> Vec<&str> {
        vec![]
    }
}

cases!(($) headers headers_cases {
    a_long_request_is_sent_whole,
    header_lines_of_any_form_are_read,
    content_codings_are_decoded_or_refused,
    an_empty_body_may_have_a_content_coding,
    no_cookie_is_sent_and_no_coding_is_asked_for,
    an_old_version_of_http_is_read,
});
