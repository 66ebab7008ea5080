//! Verifies servers' certificates as rustls does, and says more precisely why one is refused.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use crate::der::Names;
use crate::roots::Roots;

/// A verifier that leaves the decision to rustls's own, and only names its refusals.
#[derive(Debug)]
pub(crate) struct Verifier {
    roots: Roots,
    provider: Arc<CryptoProvider>,
    /// Made for the first certificate: it needs the list of the roots, which may take long to read.
    rustls: OnceLock<Arc<WebPkiServerVerifier>>,
}

impl Verifier {
    pub(crate) fn new(roots: Roots, provider: Arc<CryptoProvider>) -> Self {
        Self { roots, provider, rustls: OnceLock::new() }
    }

    fn rustls(&self) -> Result<&WebPkiServerVerifier, Error> {
        if let Some(made) = self.rustls.get() {
            return Ok(made);
        }
        let made = self.verifier(Arc::clone(self.roots.list()))?;
        Ok(self.rustls.get_or_init(|| made))
    }

    fn verifier(&self, roots: Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let builder = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider));
        builder.build().map_err(|error| Error::General(error.to_string()))
    }

    /// Tells a self-signed certificate from one of an unknown issuer. rustls has several refusals for either.
    fn explain(&self, refusal: CertificateError, certificate: &CertificateDer<'_>, now: UnixTime) -> CertificateError {
        use CertificateError::{Other, UnknownIssuer};
        let has_no_issuer = matches!(refusal, UnknownIssuer) || is_signed_by_another(&refusal);
        if (has_no_issuer || matches!(refusal, Other(_))) && self.is_self_signed(certificate, now) {
            let is_authority = matches!(&refusal, Other(error) if error.0.to_string() == CA_USED_AS_END_ENTITY);
            Other(OtherError(Arc::new(SelfSigned { is_authority })))
        } else if has_no_issuer {
            UnknownIssuer
        } else {
            refusal
        }
    }

    /// Returns whether a certificate is self-signed and not a root. A refused root has some other fault.
    fn is_self_signed(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        let is_root = |names: &Names<'_>| {
            self.roots
                .list()
                .roots
                .iter()
                .any(|root| *root.subject == *names.subject && *root.subject_public_key_info == *names.public_key)
        };
        let mut itself = RootCertStore::empty();
        Names::of(certificate).is_some_and(|names| names.issuer == names.subject && !is_root(&names))
            && itself.add(certificate.clone()).is_ok()
            && self.verifier(Arc::new(itself)).is_ok_and(|verifier| {
                let any_name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
                let result = verifier.verify_server_cert(certificate, &[], &any_name, &[], now);
                !matches!(result, Err(Error::InvalidCertificate(refusal)) if is_signed_by_another(&refusal))
            })
    }
}

/// Returns whether a certificate was refused because the issuer that was found by name has not signed it. Another
/// issuer may have the same name.
fn is_signed_by_another(refusal: &CertificateError) -> bool {
    use CertificateError::{BadSignature, UnsupportedSignatureAlgorithmForPublicKeyContext};
    matches!(refusal, BadSignature | UnsupportedSignatureAlgorithmForPublicKeyContext { .. })
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let result = self.rustls()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        result.map_err(|error| match error {
            Error::InvalidCertificate(refusal) => self.explain(refusal, end_entity, now).into(),
            error => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The name of webpki's error, which rustls passes on without its type.
pub(crate) const CA_USED_AS_END_ENTITY: &str = "CaUsedAsEndEntity";

/// What [`Verifier`] puts into [`CertificateError::Other`], since rustls has no such refusal.
#[derive(Debug)]
pub(crate) struct SelfSigned {
    /// Whether it is that of an authority, which rustls accepts of no server.
    pub(crate) is_authority: bool,
}

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is self-signed")
    }
}

impl std::error::Error for SelfSigned {}
