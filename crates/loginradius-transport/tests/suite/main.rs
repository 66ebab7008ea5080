//! The public functions, with certificates that the tests make.

mod bundles;
mod certificates;
mod handshakes;
mod pki;
mod responses;
mod system_roots;
