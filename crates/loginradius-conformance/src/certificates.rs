//! The error says what is wrong with a certificate, and the request is not tried again.

use std::fs;
use std::io::Read;

use loginradius_proto::{CertificateFault, ConnectFailure, Error, ErrorKind};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::child;
use crate::operations::{Operation, app, success};
use crate::server::{Server, json};
use crate::tls::{Issuer, Tls, Validity};

/// A certificate that is refused.
struct Refused<'r> {
    name: &'static str,
    tls: Tls,
    /// Whose root is trusted.
    trusted: Option<&'r Tls>,
    is_expected: fn(&CertificateFault) -> bool,
    words: &'static [&'static str],
}

fn every_fault_is_named_and_tried_once<A: Adapter>() {
    let here = ["127.0.0.1"];
    let other = Tls::of(&here);
    let table = [
        Refused {
            name: "self-signed",
            tls: Tls::made(&here, Issuer::Itself, Validity::Now),
            trusted: Some(&other),
            is_expected: |fault| *fault == CertificateFault::SelfSigned,
            words: &["is self-signed", "trust it"],
        },
        Refused {
            name: "unknown issuer",
            tls: Tls::of(&here),
            trusted: Some(&other),
            is_expected: |fault| *fault == CertificateFault::UnknownIssuer,
            words: &["has an issuer that is not trusted", "trust the issuer's root certificate"],
        },
        Refused {
            name: "wrong host",
            tls: Tls::of(&["acme.example.com"]),
            trusted: None,
            is_expected: |fault| *fault == CertificateFault::WrongHost,
            words: &["is for another host", "check the base URL"],
        },
        Refused {
            name: "expired",
            tls: Tls::made(&here, Issuer::Authority, Validity::Past),
            trusted: None,
            is_expected: |fault| matches!(fault, CertificateFault::Expired { .. }),
            words: &["expired", "this machine's clock says", "set this machine's clock"],
        },
        Refused {
            name: "not yet valid",
            tls: Tls::made(&here, Issuer::Authority, Validity::Future),
            trusted: None,
            is_expected: |fault| matches!(fault, CertificateFault::NotYetValid { .. }),
            words: &["valid", "this machine's clock says", "set this machine's clock"],
        },
    ];
    for Refused { name, tls, trusted, is_expected, words } in table {
        let server = tls.server();
        let root = trusted.unwrap_or(&tls).root.clone();
        let settings = Settings { root_certificates: Some(root), ..Settings::attempts(4) };
        let client = A::new(app(&server.https_url()), &settings).unwrap();
        for operation in [Operation::<A>::refresh(), Operation::jwt()] {
            let before = server.connections();
            let error = (operation.call)(&client).unwrap_err();
            println!("{name:16} {error}");
            check_permanent(name, &error, &[&["the certificate of 127.0.0.1 "], words].concat());
            let Some(ConnectFailure::Certificate { host, fault }) = error.connect_failure() else {
                panic!("{name}: {error:?}")
            };
            assert!(host == "127.0.0.1" && is_expected(fault), "{name}: {error:?}");
            assert_eq!(server.connections() - before, 1, "{name}: tried again");
        }
        assert_eq!(server.requests().len(), 0, "{name}");
    }
}

/// Checks an error that stays until something is changed.
fn check_permanent(name: &str, error: &Error, words: &[&str]) {
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::NotSent, false), "{name}: {error:?}");
    let line = error.to_string();
    assert!(!line.contains('\n'), "{name}: {line}");
    for words in words {
        assert!(line.contains(words), "{name}: no `{words}` in: {line}");
    }
}

fn plain_http_at_an_https_address_is_named_and_tried_once<A: Adapter>() {
    let web_server = Server::start(|peer| {
        let _ = peer.stream().read(&mut [0; 16]);
        let _ = peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let mail_server = Server::start(|peer| {
        let _ = peer.send(b"220 mail.example.com ESMTP\r\n");
        peer.wait();
    });
    for (name, server) in [("a web server", web_server), ("a server that speaks first", mail_server)] {
        let client = A::new(app(&server.https_url()), &Settings::attempts(4)).unwrap();
        let error = (Operation::<A>::refresh().call)(&client).unwrap_err();
        let address = server.url().replace("http://", "");
        check_permanent(name, &error, &["does not speak TLS", &address, "correct the port"]);
        assert!(matches!(error.connect_failure(), Some(ConnectFailure::NotTls { .. })), "{name}: {error:?}");
        assert_eq!(server.connections(), 1, "{name}: tried again");
    }
}

/// A server that requires a certificate of the client's, or does not know its authority, says so by an alert.
fn a_refusal_in_the_handshake_is_named_and_tried_once<A: Adapter>() {
    let alert = |number| vec![21, 3, 3, 0, 2, 2, number];
    for (name, bytes) in [
        ("unexpected message", alert(10)),
        ("bad certificate", alert(42)),
        ("unknown authority", alert(48)),
        ("access denied", alert(49)),
        ("a message that is none", b"\x16\x03\x03\x00\x04\x02\x00\x00\x00".to_vec()),
        ("a record that is too long", [b"\x16\x03\x03\xff\xff".to_vec(), vec![b'x'; 1 << 16]].concat()),
    ] {
        let server = Server::start(move |peer| {
            let _ = peer.stream().read(&mut [0; 4096]);
            let _ = peer.send(&bytes);
            peer.wait();
        });
        let client = A::new(app(&server.https_url()), &Settings::attempts(4)).unwrap();
        let error = (Operation::<A>::refresh().call)(&client).unwrap_err();
        let address = server.url().replace("http://", "");
        check_permanent(name, &error, &["TLS with", &address, "check the server's TLS settings"]);
        assert!(matches!(error.connect_failure(), Some(ConnectFailure::TlsRefused { .. })), "{name}: {error:?}");
        assert_eq!(server.connections(), 1, "{name}: tried again");
    }
}

/// By an alert that says nothing of the client: `internal_error`.
fn a_server_that_gives_up_in_the_handshake_is_tried_again<A: Adapter>() {
    let server = Server::start(|peer| {
        let _ = peer.stream().read(&mut [0; 4096]);
        let _ = peer.send(&[21, 3, 3, 0, 2, 2, 80]);
        peer.wait();
    });
    let client = A::new(app(&server.https_url()), &Settings::attempts(3)).unwrap();
    let error = (Operation::<A>::refresh().call)(&client).unwrap_err();
    assert_eq!((error.kind(), server.connections()), (ErrorKind::NotSent, 3), "{error:?}");
    assert!(matches!(error.connect_failure(), Some(ConnectFailure::Interrupted { .. })), "{error:?}");
}

/// `SSL_CERT_FILE` stands for the system here, as it does for OpenSSL.
fn the_systems_roots_are_trusted<A: Adapter>() {
    if let Some(url) = child::argument() {
        let client = A::new(app(&url), &Settings::default()).unwrap();
        (Operation::<A>::refresh().call)(&client).unwrap();
        return;
    }
    let tls = Tls::of(&["127.0.0.1"]);
    let server = tls.server();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roots.pem");
    fs::write(&path, &tls.root).unwrap();
    child::run_again(&server.https_url(), &[("SSL_CERT_FILE", path.to_str().unwrap())]);
    assert_eq!(server.requests().len(), 1);
}

fn plain_http_on_this_machine_needs_no_certificates<A: Adapter>() {
    if let Some(url) = child::argument() {
        let client = A::new(app(&url), &Settings::default()).unwrap();
        for operation in Operation::<A>::all() {
            (operation.call)(&client).unwrap();
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (missing, empty) = (folder.path().join("missing.pem"), folder.path());
    let server = Server::responding(|_| json("200 OK", &success()));
    for variables in [
        &[("SSL_CERT_FILE", missing.to_str().unwrap())][..],
        &[("SSL_CERT_DIR", empty.to_str().unwrap())],
        &[("SSL_CERT_FILE", missing.to_str().unwrap()), ("SSL_CERT_DIR", empty.to_str().unwrap())],
    ] {
        child::run_again(&server.url(), variables);
    }
    assert_eq!(server.requests().len(), 30);
}

cases!(($) certificates certificates_cases {
    every_fault_is_named_and_tried_once,
    plain_http_at_an_https_address_is_named_and_tried_once,
    a_refusal_in_the_handshake_is_named_and_tried_once,
    a_server_that_gives_up_in_the_handshake_is_tried_again,
    the_systems_roots_are_trusted,
    plain_http_on_this_machine_needs_no_certificates,
});
