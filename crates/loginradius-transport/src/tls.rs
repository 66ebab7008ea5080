//! The TLS settings of every connection.

use std::sync::Arc;

use loginradius_proto::Error;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;

use crate::roots::Roots;
use crate::verifier::Verifier;

/// Makes the TLS settings of every connection: these root certificates, TLS 1.2 and 1.3, and only `http/1.1` (ALPN).
///
/// The crypto provider is the one that the program has installed ([`CryptoProvider::install_default`]), else aws-lc-rs
/// if this crate's feature `aws-lc-rs` is on, else ring if its feature `ring` is on. So all connections of a program
/// use the same one, whatever features its crates turn on. This function installs none.
///
/// rustls's own verifier decides which certificates are accepted. [`tls_failure`](crate::tls_failure) says why one was
/// refused, also that it is self-signed.
///
/// ```
/// use loginradius_transport::{Roots, client_config};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let config = client_config(&Roots::system()?)?;
/// assert_eq!(config.alpn_protocols, [b"http/1.1"]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`ErrorKind::Configuration`](loginradius_proto::ErrorKind::Configuration) if there is no crypto provider, or it
/// supports neither version of TLS.
#[doc(alias("ring", "aws-lc-rs", "crypto provider"))]
pub fn client_config(roots: &Roots) -> Result<Arc<ClientConfig>, Error> {
    let provider = choose(CryptoProvider::get_default(), AWS_LC_RS, RING)?;
    let verifier = Verifier::new(roots.clone(), Arc::clone(&provider));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| {
            Error::configuration(
                "the program's crypto provider cannot be used, as it has neither TLS 1.2 nor TLS 1.3: install another \
                 one",
            )
        })?
        .dangerous() // rustls's word for any other verifier, and `Verifier` leaves every decision to rustls's
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

type MakeProvider = fn() -> CryptoProvider;

#[cfg(feature = "aws-lc-rs")]
const AWS_LC_RS: Option<MakeProvider> = Some(rustls::crypto::aws_lc_rs::default_provider);
#[cfg(not(feature = "aws-lc-rs"))]
const AWS_LC_RS: Option<MakeProvider> = None;

#[cfg(feature = "ring")]
const RING: Option<MakeProvider> = Some(rustls::crypto::ring::default_provider);
#[cfg(not(feature = "ring"))]
const RING: Option<MakeProvider> = None;

/// Returns the crypto provider. rustls's own choice panics if several features are on, or none.
fn choose(
    installed: Option<&Arc<CryptoProvider>>,
    aws_lc_rs: Option<MakeProvider>,
    ring: Option<MakeProvider>,
) -> Result<Arc<CryptoProvider>, Error> {
    match (installed, aws_lc_rs.or(ring)) {
        (Some(installed), _) => Ok(Arc::clone(installed)),
        (None, Some(make)) => Ok(Arc::new(make())),
        (None, None) => Err(Error::configuration(
            "TLS cannot be used, this program has no crypto provider: turn on the feature `ring` or `aws-lc-rs` of \
             `loginradius-blocking` or `loginradius-transport`, or install a provider with rustls's \
             `CryptoProvider::install_default`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loginradius_proto::ErrorKind;
    use rustls::crypto::{CryptoProvider, ring};

    use super::{MakeProvider, choose};

    /// Providers that are told apart by how many cipher suites they have.
    fn with_suites(count: usize) -> CryptoProvider {
        let mut provider = ring::default_provider();
        provider.cipher_suites.truncate(count);
        provider
    }

    #[test]
    fn every_combination_yields_one_provider_or_an_error() {
        let own = Arc::new(with_suites(1));
        let aws_lc_rs: Option<MakeProvider> = Some(|| with_suites(2));
        let ring: Option<MakeProvider> = Some(|| with_suites(3));
        let cases = [
            (Some(&own), aws_lc_rs, ring, Some(1)),
            (Some(&own), aws_lc_rs, None, Some(1)),
            (Some(&own), None, ring, Some(1)),
            (Some(&own), None, None, Some(1)),
            (None, aws_lc_rs, ring, Some(2)),
            (None, aws_lc_rs, None, Some(2)),
            (None, None, ring, Some(3)),
            (None, None, None, None),
        ];
        for (installed, aws_lc_rs, ring, expected) in cases {
            match (choose(installed, aws_lc_rs, ring), expected) {
                (Ok(provider), Some(count)) => assert_eq!(provider.cipher_suites.len(), count),
                (Err(error), None) => assert_eq!(error.kind(), ErrorKind::Configuration),
                (result, _) => panic!("{result:?}"),
            }
        }
    }
}
