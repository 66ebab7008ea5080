//! The program's own choice of a crypto provider. It belongs to a whole process, so it is a test program of its own.

use loginradius_transport::rustls::crypto::{CryptoProvider, ring};
use loginradius_transport::{Roots, client_config};

#[test]
fn the_provider_that_the_program_has_installed_is_used() {
    let mut own = ring::default_provider();
    own.cipher_suites.truncate(1);
    own.install_default().unwrap();

    let config = client_config(&Roots::system().unwrap()).unwrap();
    assert_eq!(config.crypto_provider().cipher_suites.len(), 1);
    assert!(std::ptr::eq(&**config.crypto_provider(), &**CryptoProvider::get_default().unwrap()));
}
