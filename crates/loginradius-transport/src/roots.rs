//! Which root certificates are trusted.

use std::fmt;
use std::sync::Arc;

use loginradius_proto::Error;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// The root certificates that a transport trusts.
///
/// `Debug` prints how many there are. A clone shares them.
#[derive(Clone)]
pub struct Roots(pub(crate) Arc<RootCertStore>);

impl Roots {
    /// Returns the root certificates of this machine, or Mozilla's bundled ones if it has none.
    ///
    /// The environment variables `SSL_CERT_FILE` and `SSL_CERT_DIR` come first, as for OpenSSL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](loginradius_proto::ErrorKind::Configuration) if one of these variables is set and names
    /// no certificate that can be read.
    pub fn system() -> Result<Self, Error> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if store.is_empty() {
            store.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        }
        Ok(Self(Arc::new(store)))
    }

    /// Reads root certificates from a PEM file, or a single one from a DER file. No others are trusted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](loginradius_proto::ErrorKind::Configuration) if there is no certificate, or one of them
    /// cannot be read; the message says which, and why.
    pub fn from_pem(bytes: &[u8]) -> Result<Self, Error> {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bytes) {
            let unusable = |_| Error::configuration("the root certificates cannot be read: pass them as PEM");
            store.add(certificate.map_err(unusable)?).map_err(|_| {
                Error::configuration("the root certificates cannot be read: pass certificates of authorities")
            })?;
        }
        if store.is_empty() {
            return Err(Error::configuration("the root certificates cannot be read: pass them as PEM"));
        }
        Ok(Self(Arc::new(store)))
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({} certificates)", self.0.len())
    }
}
