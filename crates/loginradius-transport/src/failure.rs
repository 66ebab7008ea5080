//! What rustls's errors say about a connection.

use std::time::{Duration, SystemTime};

use loginradius_proto::{CertificateFault, ConnectFailure};
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription as Alert, CertificateError, Error, InvalidMessage, PeerIncompatible};

use crate::verifier::{CA_USED_AS_END_ENTITY, SelfSigned};

/// Returns why a TLS handshake failed; `None` if rustls's error may also mean that the connection broke.
///
/// Pass it only errors of the handshake, before the request is written: plain text that gets into a connection later
/// causes the same error as a port without TLS.
///
/// `host` is the name that the certificate has to be for. `address` is the host or address that was connected to, with
/// its port. The error may also come from TLS settings that [`client_config`](crate::client_config) did not make.
///
/// ```
/// use loginradius_transport::rustls::{CertificateError, Error, InvalidMessage};
/// use loginradius_transport::tls_failure;
///
/// let error = Error::InvalidMessage(InvalidMessage::InvalidContentType);
/// let failure = tls_failure(&error, "sso.example.com", "10.0.0.1:8080").unwrap();
/// assert_eq!(failure.to_string(), "10.0.0.1:8080 does not speak TLS, but probably plain http");
///
/// let error = Error::InvalidCertificate(CertificateError::UnknownIssuer);
/// let failure = tls_failure(&error, "sso.example.com", "10.0.0.1:443").unwrap();
/// assert_eq!(failure.to_string(), "the certificate of sso.example.com has an issuer that is not trusted");
/// ```
#[must_use]
pub fn tls_failure(error: &Error, host: &str, address: &str) -> Option<ConnectFailure> {
    let refused =
        |problem: &str| ConnectFailure::TlsRefused { address: address.to_owned(), problem: problem.to_owned() };
    Some(match error {
        Error::InvalidCertificate(error) => {
            ConnectFailure::Certificate { host: host.to_owned(), fault: certificate_fault(error) }
        }
        Error::NoCertificatesPresented => refused("the server sent no certificate"),
        // The first byte is not one of TLS: most http servers respond with `HTTP/1.1 400 Bad Request`.
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            ConnectFailure::NotTls { address: address.to_owned() }
        }
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )
        | Error::AlertReceived(Alert::ProtocolVersion) => refused("the server speaks neither TLS 1.2 nor TLS 1.3"),
        Error::PeerIncompatible(
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon,
        )
        | Error::AlertReceived(Alert::InsufficientSecurity) => refused("no encryption in common"),
        Error::PeerIncompatible(_) => refused("the server lacks a TLS feature that is required here"),
        // Only alerts that respond to the first message. Others may come after the handshake: in TLS 1.3 a server
        // refuses the client's certificate late.
        Error::AlertReceived(Alert::HandshakeFailure) => refused("the server refused the handshake"),
        Error::AlertReceived(Alert::UnrecognisedName) => refused("the server does not know the host's name"),
        Error::AlertReceived(Alert::NoApplicationProtocol) | Error::NoApplicationProtocol => {
            refused("the server does not speak HTTP/1.1")
        }
        _ => return None,
    })
}

/// Returns why a handshake failed, as [`tls_failure`] does, and something for every other error as well.
///
/// Pass it errors of the handshake alone. What is a refusal is permanent; an alert by which the server gives up for a
/// reason of its own is an interruption, after which the next attempt may succeed.
///
/// ```
/// use loginradius_transport::handshake_failure;
/// use loginradius_transport::rustls::{AlertDescription, Error};
///
/// let error = Error::AlertReceived(AlertDescription::UnknownCA);
/// let failure = handshake_failure(&error, "sso.example.com", "10.0.0.1:443");
/// assert_eq!(failure.to_string(), "TLS with 10.0.0.1:443 failed: the server sent the alert UnknownCA");
/// assert!(failure.is_permanent());
///
/// let error = Error::AlertReceived(AlertDescription::InternalError);
/// let failure = handshake_failure(&error, "sso.example.com", "10.0.0.1:443");
/// assert_eq!(failure.to_string(), "10.0.0.1:443 ended the connection before TLS was set up");
/// assert!(!failure.is_permanent());
/// ```
#[must_use]
pub fn handshake_failure(error: &Error, host: &str, address: &str) -> ConnectFailure {
    let address = || address.to_owned();
    match error {
        // RFC 8446, section 6: none of these is about the client's messages.
        Error::AlertReceived(Alert::CloseNotify | Alert::UserCanceled | Alert::InternalError) => {
            ConnectFailure::Interrupted { address: address() }
        }
        error => tls_failure(error, host, &address()).unwrap_or_else(|| ConnectFailure::TlsRefused {
            address: address(),
            problem: match error {
                Error::AlertReceived(Alert::CertificateRequired) => {
                    "the server requires a client certificate".to_owned()
                }
                Error::AlertReceived(alert) => format!("the server sent the alert {alert:?}"),
                error => error.to_string(),
            },
        }),
    }
}

const CRITICAL_EXTENSION: &str = "it has a critical extension that is unknown here";

fn certificate_fault(error: &CertificateError) -> CertificateFault {
    use CertificateError as E;
    match error {
        E::Expired => CertificateFault::Expired { ended: None, clock: SystemTime::now() },
        E::ExpiredContext { time, not_after } => {
            CertificateFault::Expired { ended: system_time(not_after), clock: clock(time) }
        }
        E::NotValidYet => CertificateFault::NotYetValid { begins: None, clock: SystemTime::now() },
        E::NotValidYetContext { time, not_before } => {
            CertificateFault::NotYetValid { begins: system_time(not_before), clock: clock(time) }
        }
        E::UnknownIssuer => CertificateFault::UnknownIssuer,
        E::NotValidForName | E::NotValidForNameContext { .. } => CertificateFault::WrongHost,
        E::Revoked => CertificateFault::Revoked,
        E::Other(error) => match error.0.downcast_ref() {
            Some(SelfSigned { is_authority: false }) => CertificateFault::SelfSigned,
            // As a root, it would be refused for the same reason.
            Some(SelfSigned { is_authority: true }) => {
                unusable("it is self-signed, and that of an authority (CA:TRUE) and not of a server")
            }
            None => unusable(webpki_problem(&error.to_string())),
        },
        E::BadEncoding => unusable("it cannot be read"),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => unusable("it is not for servers"),
        E::UnhandledCriticalExtension => unusable(CRITICAL_EXTENSION),
        E::BadSignature
        | E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            unusable("a signature by its key or by its issuer's is not accepted")
        }
        E::UnknownRevocationStatus | E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => {
            unusable("whether it was revoked is not known")
        }
        _ => unusable("rustls refuses it"),
    }
}

fn unusable(problem: &str) -> CertificateFault {
    CertificateFault::Unusable { problem: problem.to_owned() }
}

/// Reads the name of webpki's error, which rustls passes on without its type.
fn webpki_problem(name: &str) -> &'static str {
    match name {
        CA_USED_AS_END_ENTITY => "it is that of an authority (CA:TRUE) and not of a server",
        "EndEntityUsedAsCa" => "its issuer is no authority (CA:FALSE)",
        "NameConstraintViolation" => "its issuer may not issue certificates for that host",
        "PathLenConstraintViolated" => "its issuer may not be below another authority",
        "UnsupportedCertVersion" => "it is not of version 3 of X.509, as one without extensions is",
        "UnsupportedCriticalExtension" => CRITICAL_EXTENSION,
        _ => "rustls refuses it",
    }
}

fn clock(time: &UnixTime) -> SystemTime {
    system_time(time).unwrap_or_else(SystemTime::now)
}

fn system_time(time: &UnixTime) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()))
}
