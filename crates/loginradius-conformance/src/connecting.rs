//! Failures before the request: they mean `NotSent` if that is certain, and only then.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use loginradius_emulator::Emulator;
use loginradius_proto::oauth::RequestDeviceCode;
use loginradius_proto::{Api, Error, ErrorKind};
use rustls::version::{TLS12, TLS13};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::child;
use crate::operations::{Operation, REFUSED, app};
use crate::server::{BlackHole, Server, read_request};
use crate::tls::Tls;

fn settings(tls: &Tls) -> Settings {
    Settings { root_certificates: Some(tls.root.clone()), ..Settings::default() }
}

/// Returns the error of an operation that must not be retried.
fn error<A: Adapter>(url: &str, settings: &Settings) -> Error {
    let client = A::new(app(url), settings).unwrap();
    (Operation::<A>::refresh().call)(&client).unwrap_err()
}

fn a_refused_connection_means_not_sent_and_is_retried<A: Adapter>() {
    for operation in Operation::<A>::all() {
        let client = A::new(app(REFUSED), &Settings::attempts(3)).unwrap();
        let error = (operation.call)(&client).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSent, "{}: {error:?}", operation.name);
        // Every operation may be retried if it was not sent.
        assert!(error.to_string().contains("3 attempts"), "{}: {error}", operation.name);
    }
}

fn a_refused_tls_connection_means_not_sent<A: Adapter>() {
    let error = error::<A>(&REFUSED.replace("http", "https"), &Settings::default());
    assert_eq!(error.kind(), ErrorKind::NotSent, "{error:?}");
}

/// No host can have a name in `.invalid` (RFC 6761, section 6.4). A machine without a resolver may be slow to find
/// out; then the connect timeout ends the attempt.
fn an_unknown_host_means_not_sent<A: Adapter>() {
    if child::argument().is_none() {
        child::run_again("", &[]);
        return;
    }
    let settings = Settings { connect_timeout: Duration::from_millis(200), ..Settings::default() };
    let error = error::<A>("https://acme.invalid", &settings);
    assert_eq!(error.kind(), ErrorKind::NotSent, "{error:?}");
}

/// Times that no clock can add up.
fn the_longest_times_panic_nowhere<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let settings = Settings { connect_timeout: Duration::MAX, timeout: Duration::MAX, ..Settings::default() };
    let client = A::new(crate::matrix::app(&emulator, Api::Classic), &settings).unwrap();
    client.within(Duration::MAX).call(&RequestDeviceCode::new()).unwrap();
}

fn a_connect_timeout_means_not_sent<A: Adapter>() {
    let Some(black_hole) = BlackHole::open() else { return };
    let address = black_hole.address();
    let timeout = Duration::from_millis(100);
    let settings = Settings { connect_timeout: timeout, ..Settings::default() };
    let start = Instant::now();
    let error = error::<A>(&format!("http://{address}"), &settings);
    assert_eq!(error.kind(), ErrorKind::NotSent, "{error:?}");
    // The timeout may begin earlier, at the start of the call.
    assert!((timeout / 2..timeout * 10).contains(&start.elapsed()), "{:?}", start.elapsed());
}

fn a_trusted_certificate_is_accepted<A: Adapter>() {
    let tls = Tls::of(&["localhost", "127.0.0.1"]);
    let server = tls.server();
    let client = A::new(app(&server.https_url()), &settings(&tls)).unwrap();
    for operation in Operation::<A>::all() {
        (operation.call)(&client).unwrap_or_else(|error| panic!("{}: {error:?}", operation.name));
    }
    assert_eq!(server.requests().len(), 10);
    let localhost = server.https_url().replace("127.0.0.1", "localhost");
    (Operation::<A>::jwt().call)(&A::new(app(&localhost), &settings(&tls)).unwrap()).unwrap();
}

fn an_untrusted_certificate_means_not_sent<A: Adapter>() {
    let (tls, other) = (Tls::of(&["127.0.0.1"]), Tls::of(&["127.0.0.1"]));
    let server = tls.server();
    for settings in [Settings::default(), settings(&other)] {
        let error = error::<A>(&server.https_url(), &settings);
        assert_eq!(error.kind(), ErrorKind::NotSent, "{error:?}");
    }
    assert_eq!(server.requests().len(), 0);
}

/// The builder's roots are the only ones, even if the system's roots would accept the certificate.
fn own_roots_replace_the_systems_roots<A: Adapter>() {
    let tls = Tls::of(&["127.0.0.1"]);
    if let Some(url) = child::argument() {
        let error = error::<A>(&url, &settings(&tls));
        assert_eq!(error.kind(), ErrorKind::NotSent, "{error:?}");
        return;
    }
    let server = tls.server();
    let name = format!("loginradius-conformance-{}-{}.pem", std::process::id(), std::any::type_name::<A>());
    let path = std::env::temp_dir().join(name.replace("::", "-"));
    std::fs::write(&path, &tls.root).unwrap();
    // The variable by which OpenSSL and the libraries that follow it find the system's roots.
    child::run_again(&server.https_url(), &[("SSL_CERT_FILE", path.to_str().unwrap())]);
    std::fs::remove_file(path).unwrap();
    assert_eq!(server.requests().len(), 0);
}

fn a_certificate_for_another_name_means_not_sent<A: Adapter>() {
    let tls = Tls::of(&["acme.example.com"]);
    let server = tls.server();
    let error = error::<A>(&server.https_url(), &settings(&tls));
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::NotSent, 0), "{error:?}");
}

/// The server refuses the client during the handshake.
fn a_missing_client_certificate_in_tls_1_2_is_an_error<A: Adapter>() {
    let tls = Tls::requiring_a_client_certificate(&TLS12);
    let server = tls.server();
    let error = error::<A>(&server.https_url(), &settings(&tls));
    assert_not_sent_or_unknown(&error);
    assert_eq!(server.requests().len(), 0);
}

/// The server refuses the client after the client's part of the handshake, when the request may be on its way.
fn a_missing_client_certificate_in_tls_1_3_means_outcome_unknown<A: Adapter>() {
    let tls = Tls::requiring_a_client_certificate(&TLS13);
    let server = tls.server();
    let error = error::<A>(&server.https_url(), &settings(&tls));
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::OutcomeUnknown, 0), "{error:?}");
}

/// A transport may or may not know that it has not begun the request yet.
fn assert_not_sent_or_unknown(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::NotSent | ErrorKind::OutcomeUnknown), "{error:?}");
}

fn a_close_in_the_handshake_is_an_error<A: Adapter>() {
    // At once, after the client's hello, and in the middle of the server's.
    for hello in [None, Some(&b""[..]), Some(b"\x16\x03\x03\x00\x7a\x02\x00")] {
        let server = Server::start(move |peer| {
            if let Some(hello) = hello {
                let _ = peer.stream().read(&mut [0; 16]);
                let _ = peer.send(hello);
            }
        });
        assert_not_sent_or_unknown(&error::<A>(&server.https_url(), &Settings::default()));
    }
    let server = Server::start(|peer| peer.reset());
    assert_not_sent_or_unknown(&error::<A>(&server.https_url(), &Settings::default()));
}

fn plain_http_in_the_handshake_is_an_error<A: Adapter>() {
    let server = Server::start(|peer| {
        let _ = peer.stream().read(&mut [0; 16]);
        let _ = peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    assert_not_sent_or_unknown(&error::<A>(&server.https_url(), &Settings::default()));
}

/// The server's only message is an alert: `handshake_failure`.
fn an_alert_in_the_handshake_means_not_sent<A: Adapter>() {
    let server = Server::start(|peer| {
        let _ = peer.stream().read(&mut [0; 16]);
        let _ = peer.send(&[21, 3, 3, 0, 2, 2, 40]);
    });
    let error = error::<A>(&server.https_url(), &Settings::default());
    assert_eq!(error.kind(), ErrorKind::NotSent, "{error:?}");
}

/// The connect timeout covers the handshake too.
fn silence_in_the_handshake_ends_at_the_connect_timeout<A: Adapter>() {
    let server = Server::start(|peer| peer.wait());
    let settings = Settings { connect_timeout: Duration::from_millis(100), ..Settings::default() };
    let client = A::new(app(&server.https_url()), &settings).unwrap();
    let start = Instant::now();
    assert_not_sent_or_unknown(&(Operation::<A>::refresh().call)(&client).unwrap_err());
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(server.all_closed(&client, 1), "the connection is still open");
}

/// After the handshake the request may have arrived.
fn a_close_after_the_handshake_means_outcome_unknown<A: Adapter>() {
    let tls = Tls::of(&["127.0.0.1"]);
    let before_the_request = tls.serve(|_, _| ());
    let after_the_request = tls.serve(|stream, peer| {
        if let Some(request) = read_request(stream, peer.number()) {
            peer.record(request);
        }
    });
    for server in [&before_the_request, &after_the_request] {
        let error = error::<A>(&server.https_url(), &settings(&tls));
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
    }
    assert_eq!(after_the_request.requests().len(), 1);
}

fn bytes_that_are_not_tls_mean_outcome_unknown<A: Adapter>() {
    let tls = Tls::of(&["127.0.0.1"]);
    let server = tls.serve(|stream, peer| {
        if let Some(request) = read_request(stream, peer.number()) {
            peer.record(request);
            let _ = stream.sock.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        }
    });
    let error = error::<A>(&server.https_url(), &settings(&tls));
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::OutcomeUnknown, 1), "{error:?}");
}

cases!(($) connecting connecting_cases {
    a_refused_connection_means_not_sent_and_is_retried,
    a_refused_tls_connection_means_not_sent,
    an_unknown_host_means_not_sent,
    the_longest_times_panic_nowhere,
    a_connect_timeout_means_not_sent,
    a_trusted_certificate_is_accepted,
    an_untrusted_certificate_means_not_sent,
    own_roots_replace_the_systems_roots,
    a_certificate_for_another_name_means_not_sent,
    a_missing_client_certificate_in_tls_1_2_is_an_error,
    a_missing_client_certificate_in_tls_1_3_means_outcome_unknown,
    a_close_in_the_handshake_is_an_error,
    plain_http_in_the_handshake_is_an_error,
    an_alert_in_the_handshake_means_not_sent,
    silence_in_the_handshake_ends_at_the_connect_timeout,
    a_close_after_the_handshake_means_outcome_unknown,
    bytes_that_are_not_tls_mean_outcome_unknown,
});
