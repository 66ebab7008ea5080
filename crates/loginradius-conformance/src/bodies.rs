//! Bodies without a length, which end with the connection: whole, or cut off where it broke.

use std::io::Write;

use loginradius_proto::ErrorKind;

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::{Operation, app, success};
use crate::server::{Server, read_request};
use crate::tls::Tls;

fn response() -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", success()).into_bytes()
}

/// Calls once, and returns the kind of the error.
fn kind<A: Adapter>(url: &str, server: &Server, root: Option<&Tls>) -> Option<ErrorKind> {
    let settings = Settings { root_certificates: root.map(|tls| tls.root.clone()), ..Settings::attempts(3) };
    let client = A::new(app(url), &settings).unwrap();
    let result = (Operation::<A>::refresh().call)(&client);
    assert_eq!(server.requests().len(), 1, "{result:?}");
    result.err().map(|error| error.kind())
}

/// What has come looks whole here, and is not known to be.
fn a_body_that_ends_with_a_reset_is_not_whole<A: Adapter>() {
    let server = Server::start(|peer| {
        if peer.request().is_some() {
            let _ = peer.send(&response());
            peer.reset();
        }
    });
    assert_eq!(kind::<A>(&server.url(), &server, None), Some(ErrorKind::OutcomeUnknown));
}

/// Anyone on the way can end a TCP connection, and only the server can say that it ends TLS (RFC 9112, section 9.8).
fn a_body_within_tls_is_whole_only_if_the_server_says_so<A: Adapter>() {
    let tls = Tls::of(&["127.0.0.1"]);
    for (says_so, expected) in [(true, None), (false, Some(ErrorKind::OutcomeUnknown))] {
        let server = tls.serve(move |stream, peer| {
            if let Some(request) = read_request(stream, peer.number()) {
                peer.record(request);
                let _ = stream.write_all(&response());
                if says_so {
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        });
        assert_eq!(kind::<A>(&server.https_url(), &server, Some(&tls)), expected, "says so: {says_so}");
    }
}

cases!(($) bodies bodies_cases {
    a_body_that_ends_with_a_reset_is_not_whole,
    a_body_within_tls_is_whole_only_if_the_server_says_so,
});
