//! What rustls's errors say of a connection.

use std::time::SystemTime;

use loginradius_proto::{CertificateFault, ConnectFailure};
use rustls::{AlertDescription as Alert, CertificateError, Error, InvalidMessage};

/// Returns what rustls's error says of a connection to that host and address, or `None` if it may have come after the
/// connection was set up, so that a request may have been sent.
///
/// `host` is the name that the certificate should be of; `address` is what was connected to, with its port.
#[must_use]
pub fn tls_failure(error: &Error, host: &str, address: &str) -> Option<ConnectFailure> {
    let refused =
        |problem: &str| ConnectFailure::TlsRefused { address: address.to_owned(), problem: problem.to_owned() };
    Some(match error {
        Error::InvalidCertificate(error) => {
            ConnectFailure::Certificate { host: host.to_owned(), fault: certificate_fault(error) }
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            ConnectFailure::NotTls { address: address.to_owned() }
        }
        Error::PeerIncompatible(_) => refused("nothing in common"),
        Error::AlertReceived(
            alert @ (Alert::HandshakeFailure
            | Alert::ProtocolVersion
            | Alert::InsufficientSecurity
            | Alert::UnrecognisedName
            | Alert::NoApplicationProtocol),
        ) => refused(&format!("{alert:?}")),
        _ => return None,
    })
}

fn certificate_fault(error: &CertificateError) -> CertificateFault {
    let clock = SystemTime::now();
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            CertificateFault::Expired { ended: None, clock }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotYetValid { begins: None, clock }
        }
        CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::WrongHost
        }
        CertificateError::Revoked => CertificateFault::Revoked,
        _ => CertificateFault::Unusable,
    }
}
