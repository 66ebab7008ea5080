//! TLS on a bare socket, with generated certificates.

use std::io::Write;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use crate::operations::success;
use crate::server::{Peer, Server, json, read_request};

/// Who has issued a server's certificate.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Issuer {
    /// [`Tls::root`].
    Authority,
    /// The server: it is self-signed.
    Itself,
}

/// When a server's certificate is valid.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Validity {
    /// It has expired.
    Past,
    /// It is valid.
    Now,
    /// It is not valid yet.
    Future,
}

/// A certificate authority that no system trusts, and a server certificate that it has issued.
#[derive(Debug)]
pub struct Tls {
    /// The authority's certificate, in PEM.
    pub(crate) root: String,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Makes a certificate for these names and addresses.
    ///
    /// # Panics
    ///
    /// If no certificate can be made.
    #[must_use]
    pub fn of(names: &[&str]) -> Self {
        Self::made(names, Issuer::Authority, Validity::Now)
    }

    /// Makes a certificate for these names and addresses of that issuer, valid at that time.
    ///
    /// # Panics
    ///
    /// If no certificate can be made.
    #[must_use]
    pub fn made(names: &[&str], issuer: Issuer, validity: Validity) -> Self {
        Self::with(names, issuer, validity, rustls::ALL_VERSIONS, false)
    }

    /// Makes a server that requires a client certificate of the same authority.
    pub(crate) fn requiring_a_client_certificate(version: &'static SupportedProtocolVersion) -> Self {
        Self::with(&["127.0.0.1"], Issuer::Authority, Validity::Now, &[version], true)
    }

    fn with(
        names: &[&str],
        issuer: Issuer,
        validity: Validity,
        versions: &[&'static SupportedProtocolVersion],
        client_certificates: bool,
    ) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate for self-signed if its subject and its issuer have the same name.
        authority.distinguished_name.push(DnType::CommonName, "loginradius-conformance authority");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
        let key = KeyPair::generate().unwrap();
        let mut certificate = CertificateParams::new(names).unwrap();
        match validity {
            Validity::Past => certificate.not_after = date_time_ymd(2001, 1, 1),
            Validity::Now => {}
            Validity::Future => certificate.not_before = date_time_ymd(4001, 1, 1),
        }
        let certificate = match issuer {
            Issuer::Authority => certificate.signed_by(&key, &authority).unwrap(),
            Issuer::Itself => certificate.self_signed(&key).unwrap(),
        };

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let config = if client_certificates {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            config.with_client_cert_verifier(verifier)
        } else {
            config.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        // Without resumption each connection makes the whole handshake.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Self { root: authority.pem(), config: Arc::new(config) }
    }

    /// Returns the authority's certificate, in PEM.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Starts a server that responds to every request with a success.
    #[must_use]
    pub fn server(&self) -> Server {
        self.serve(|stream, peer| {
            while let Some(request) = read_request(stream, peer.number()) {
                peer.record(request);
                if stream.write_all(&json("200 OK", &success())).is_err() {
                    break;
                }
            }
        })
    }

    /// Starts a server that calls `serve` after each handshake.
    pub(crate) fn serve(
        &self,
        serve: impl Fn(&mut StreamOwned<ServerConnection, std::net::TcpStream>, &Peer) + Send + Sync + 'static,
    ) -> Server {
        let config = Arc::clone(&self.config);
        Server::start(move |peer| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, peer.stream().try_clone().unwrap());
            // If the handshake fails, `complete_io` has already sent the alert.
            if stream.conn.complete_io(&mut stream.sock).is_ok() {
                serve(&mut stream, peer);
            }
        })
    }
}
