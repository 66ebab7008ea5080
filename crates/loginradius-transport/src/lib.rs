//! What a transport of LoginRadius requests needs below HTTP.
//!
//! | to | use |
//! | --- | --- |
//! | decide which servers are trusted | [`Roots`] |
//! | connect with TLS | [`client_config`], for rustls |
//! | say why no connection came about | [`tls_failure`] |
//! | give a response to the core | [`receive`] |

mod failure;
mod gzip;
mod inflate;
mod receive;
mod roots;
mod tls;

pub use rustls;

pub use failure::tls_failure;
pub use receive::receive;
pub use roots::Roots;
pub use tls::client_config;
