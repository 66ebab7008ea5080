//! What a transport of LoginRadius requests needs below HTTP: root certificates, TLS settings, the causes of failures,
//! and decoding of gzip.
//!
//! `loginradius-blocking` and `loginradius-async` are built on this crate, so both trust the same root certificates and
//! report a failure in the same words. You need it for
//! [a transport of your own](loginradius_proto::Flow#a-transport) that uses [rustls].
//!
//! | to | use |
//! | --- | --- |
//! | find the proxy of a request | [`ProxySettings`](loginradius_proto::proxy::ProxySettings) of the core |
//! | choose which servers are trusted | [`Roots`] |
//! | find the addresses of this machine's names | [`localhost`] |
//! | connect with TLS | [`client_config`] |
//! | say why a handshake failed | [`handshake_failure`], [`tls_failure`] |
//! | add a response's `Date`, and decode its body | [`receive`] |
//!
//! It opens no socket, and writes no log.
//!
//! # A transport of your own
//!
//! It connects first, and completes the handshake. If that fails, the request was certainly not sent, and the error
//! says why:
//!
//! ```
//! use std::io;
//! use std::net::TcpStream;
//! use std::sync::Arc;
//! use loginradius_proto::{ConnectFailure, Error};
//! use loginradius_transport::rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
//! use loginradius_transport::{Roots, client_config, handshake_failure};
//!
//! type Connection = StreamOwned<ClientConnection, TcpStream>;
//!
//! fn connect(config: &Arc<ClientConfig>, host: &str, address: &str) -> Result<Connection, Error> {
//!     let name = ServerName::try_from(host.to_owned()).map_err(Error::not_sent)?;
//!     let tls = ClientConnection::new(Arc::clone(config), name).map_err(Error::not_sent)?;
//!     let stream = TcpStream::connect(address).map_err(Error::not_sent)?; // set a timeout in yours
//!     let mut connection = StreamOwned::new(tls, stream);
//!     if let Err(error) = connection.conn.complete_io(&mut connection.sock) {
//!         let tls_error = error.get_ref().and_then(|error| error.downcast_ref());
//!         let failure = tls_error.map(|error| handshake_failure(error, host, address));
//!         return Err(failure.map_or_else(|| Error::not_sent(error), Error::not_connected));
//!     }
//!     Ok(connection)
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = client_config(&Roots::system()?)?; // make it once: it holds the roots, and resumes TLS sessions
//! # let server = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let address = server.local_addr()?.to_string();
//! # std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let (mut stream, _) = server.accept().unwrap();
//! #     stream.read(&mut [0; 4096]).unwrap();
//! #     stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
//! # });
//! let error = connect(&config, "sso.example.com", &address).unwrap_err(); // its port speaks http
//! assert_eq!(
//!     error.to_string(),
//!     format!(
//!         "could not connect ({address} does not speak TLS, but probably plain http), so nothing was sent: correct \
//!          the port, or check for a proxy in between",
//!     ),
//! );
//! # Ok(())
//! # }
//! ```
//!
//! Then it sends the request with `Accept-Encoding: identity`, reads at most
//! [`Body::LIMIT`](loginradius_proto::Body::LIMIT) bytes of a body, and passes the response through [`receive`].
//! `own_transport.rs` in the project's examples is a complete transport.
//!
//! # Crypto provider
//!
//! | the program | its crypto provider |
//! | --- | --- |
//! | has installed one ([`install_default`](rustls::crypto::CryptoProvider::install_default)) | that one |
//! | turns on this crate's feature `aws-lc-rs`, as `loginradius-async` does | aws-lc-rs |
//! | turns on this crate's feature `ring`, as `loginradius-blocking` does by default | ring |
//! | does none of these | none: [`client_config`] returns an error |
//!
//! The first line that applies decides, so a program with both adapters uses one provider in both.

mod bundle;
mod der;
mod failure;
mod gzip;
mod inflate;
mod localhost;
mod receive;
mod roots;
mod tls;
mod verifier;

pub use rustls;

pub use failure::{handshake_failure, tls_failure};
pub use localhost::localhost;
pub use receive::receive;
pub use roots::Roots;
pub use tls::client_config;
