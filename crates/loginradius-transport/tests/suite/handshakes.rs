//! Handshakes that fail for other reasons than a certificate.

use std::sync::Arc;

use loginradius_proto::ConnectFailure;
use loginradius_transport::rustls::crypto::ring;
use loginradius_transport::rustls::server::WebPkiClientVerifier;
use loginradius_transport::rustls::version::TLS13;
use loginradius_transport::rustls::{
    self, AlertDescription, ClientConnection, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved, RootCertStore,
};
use loginradius_transport::{handshake_failure, tls_failure};

use crate::pki::{HOST, Identity, authority, client, connect, receive, roots, server_params};

const ADDRESS: &str = "192.0.2.1:443";

fn read(error: &Error) -> Option<ConnectFailure> {
    let failure = tls_failure(error, HOST, ADDRESS);
    assert!(failure.as_ref().is_none_or(ConnectFailure::is_permanent), "{failure:?}");
    failure
}

fn refused(problem: &str) -> Option<ConnectFailure> {
    Some(ConnectFailure::TlsRefused { address: ADDRESS.to_owned(), problem: problem.to_owned() })
}

/// A client that waits for its server's first message.
fn connection() -> ClientConnection {
    let config = Arc::new(client(&roots(authority("a").der())));
    ClientConnection::new(config, HOST.try_into().unwrap()).unwrap()
}

#[test]
fn a_port_without_tls_is_named() {
    let not_tls = Some(ConnectFailure::NotTls { address: ADDRESS.to_owned() });
    let responses: [(&[u8], _); 9] = [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", not_tls.clone()),
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", not_tls.clone()),
        (b"<!DOCTYPE HTML>\n<html><body>Bad request syntax", not_tls.clone()),
        (b"SSH-2.0-OpenSSH_9.6\r\n", not_tls.clone()),
        (b"220 mail.example.test ESMTP\r\n", not_tls.clone()),
        (b"\0\0\0\0\0\0\0\0\0", not_tls.clone()),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", not_tls),
        // Bytes that only begin like TLS, and a version of TLS that does not exist.
        (b"\x16HTTP/1.1", None),
        (b"\x16\x03\x03\x00\x04\x02\x00\x00\x00", None),
    ];
    for (bytes, expected) in responses {
        let error = receive(&mut connection(), bytes).unwrap_err();
        assert_eq!(read(&error), expected, "{error:?}");
    }
}

#[test]
fn a_server_with_nothing_in_common_is_named() {
    let issuer = authority("a");
    let mut http_2 = Identity::issued_by(&issuer, &server_params()).server(rustls::ALL_VERSIONS);
    http_2.alpn_protocols = vec![b"h2".to_vec()];
    let error = connect(client(&roots(issuer.der())), http_2).unwrap_err();
    assert_eq!(read(&error), refused("the server does not speak HTTP/1.1"), "{error:?}");

    // The hello of a server that speaks only TLS 1.1.
    let hello = [&[0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2][..], &[7; 32], &[0, 0, 0x2f, 0]].concat();
    let mut connection = connection();
    let error = receive(&mut connection, &hello).unwrap_err();
    assert_eq!(read(&error), refused("the server speaks neither TLS 1.2 nor TLS 1.3"), "{error:?}");
}

/// In TLS 1.3 the client finishes before the server has read its certificate, so a request may have been sent.
#[test]
fn a_client_certificate_that_is_refused_late_is_no_connection_failure() {
    let issuer = authority("a");
    let mut store = RootCertStore::empty();
    store.add(issuer.der().clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider).build().unwrap();
    let server = Identity::issued_by(&issuer, &server_params()).server_with(&[&TLS13], verifier);
    let error = connect(client(&roots(issuer.der())), server).unwrap_err();
    assert_eq!(error, Error::AlertReceived(AlertDescription::CertificateRequired));
    assert_eq!(read(&error), None);
}

#[test]
fn only_alerts_that_respond_to_the_first_message_are_read() {
    let problems = [
        (40, "the server refused the handshake"),
        (70, "the server speaks neither TLS 1.2 nor TLS 1.3"),
        (71, "no encryption in common"),
        (112, "the server does not know the host's name"),
        (120, "the server does not speak HTTP/1.1"),
    ];
    for number in 0..=u8::MAX {
        let expected = problems.iter().find(|(known, _)| *known == number).and_then(|(_, problem)| refused(problem));
        let alert = AlertDescription::from(number);
        assert_eq!(read(&Error::AlertReceived(alert)), expected, "{alert:?}");
    }
}

/// In the handshake every error is one of the connection, and none is left open.
#[test]
fn a_handshake_that_fails_is_named_whatever_the_error() {
    let failure = |error: &Error| handshake_failure(error, HOST, ADDRESS);
    for number in 0..=u8::MAX {
        let alert = AlertDescription::from(number);
        let error = Error::AlertReceived(alert);
        let expected = match number {
            0 | 80 | 90 => Some(ConnectFailure::Interrupted { address: ADDRESS.to_owned() }),
            116 => refused("the server requires a client certificate"),
            _ => read(&error).or_else(|| refused(&format!("the server sent the alert {alert:?}"))),
        };
        assert_eq!(Some(failure(&error)), expected, "{error:?}");
    }
    for error in [
        Error::InvalidMessage(InvalidMessage::MessageTooLarge),
        Error::PeerMisbehaved(PeerMisbehaved::TooManyKeyUpdateRequests),
        Error::DecryptError,
    ] {
        assert_eq!(Some(failure(&error)), refused(&error.to_string()));
    }
}

#[test]
fn every_other_error_is_read_or_left_open() {
    use PeerIncompatible::*;
    let version = "the server speaks neither TLS 1.2 nor TLS 1.3";
    let other = "the server lacks a TLS feature that is required here";
    let cases = [
        (Error::PeerIncompatible(ServerDoesNotSupportTls12Or13), refused(version)),
        (Error::PeerIncompatible(ServerTlsVersionIsDisabledByOurConfig), refused(version)),
        (Error::PeerIncompatible(NoCipherSuitesInCommon), refused("no encryption in common")),
        (Error::PeerIncompatible(NoKxGroupsInCommon), refused("no encryption in common")),
        (Error::PeerIncompatible(ExtendedMasterSecretExtensionRequired), refused(other)),
        (Error::NoCertificatesPresented, refused("the server sent no certificate")),
        (Error::NoApplicationProtocol, refused("the server does not speak HTTP/1.1")),
        (Error::InvalidMessage(InvalidMessage::MessageTooLarge), None),
        (Error::PeerMisbehaved(PeerMisbehaved::TooManyKeyUpdateRequests), None),
        (Error::DecryptError, None),
        (Error::PeerSentOversizedRecord, None),
        (Error::FailedToGetCurrentTime, None),
        (Error::General("a provider's".to_owned()), None),
    ];
    for (error, expected) in cases {
        assert_eq!(read(&error), expected, "{error:?}");
    }
}
