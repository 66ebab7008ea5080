//! The TLS settings of every connection.

use std::sync::Arc;

use loginradius_proto::Error;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;

use crate::roots::Roots;

/// Makes the TLS settings of every connection: these root certificates, TLS 1.2 and 1.3, and `http/1.1` alone (ALPN).
///
/// The crypto provider is the one that the program has installed ([`CryptoProvider::install_default`]), else aws-lc-rs if
/// this crate's feature `aws-lc-rs` is on, else ring if its feature `ring` is on. Nothing is installed.
///
/// # Errors
///
/// [`ErrorKind::Configuration`](loginradius_proto::ErrorKind::Configuration) if there is no crypto provider, or it supports
/// neither version of TLS.
pub fn client_config(roots: &Roots) -> Result<Arc<ClientConfig>, Error> {
    let mut config = ClientConfig::builder_with_provider(provider()?)
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::configuration("the program's crypto provider supports neither TLS 1.2 nor TLS 1.3"))?
        .with_root_certificates(Arc::clone(&roots.0))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Result<Arc<CryptoProvider>, Error> {
    if let Some(installed) = CryptoProvider::get_default() {
        return Ok(Arc::clone(installed));
    }
    #[cfg(feature = "aws-lc-rs")]
    return Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    return Ok(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    Err(Error::configuration(
        "this program has no crypto provider for TLS: turn on the feature `ring` or `aws-lc-rs`, or install a provider \
         with `CryptoProvider::install_default`",
    ))
}
