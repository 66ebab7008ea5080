//! Certificates, and handshakes in memory.

use std::io::Read;
use std::sync::Arc;

use loginradius_transport::rustls::crypto::ring;
use loginradius_transport::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use loginradius_transport::rustls::server::WebPkiClientVerifier;
use loginradius_transport::rustls::server::danger::ClientCertVerifier;
use loginradius_transport::rustls::{
    self, ClientConfig, ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion,
};
use loginradius_transport::{Roots, client_config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

pub(crate) const HOST: &str = "sso.example.test";

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

/// Makes an authority of that name.
pub(crate) fn authority(name: &str) -> Authority {
    CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap()).unwrap()
}

pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Returns the parameters of a certificate for [`HOST`].
pub(crate) fn server_params() -> CertificateParams {
    let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, HOST);
    params
}

/// What a server presents.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Identity {
    pub(crate) fn issued_by(authority: &Authority, params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        Self { chain: vec![certificate.der().clone()], key }
    }

    pub(crate) fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { chain: vec![certificate.der().clone()], key }
    }

    pub(crate) fn with_chain(mut self, issuers: &[&Authority]) -> Self {
        self.chain.extend(issuers.iter().map(|issuer| issuer.der().clone()));
        self
    }

    pub(crate) fn server(&self, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        self.server_with(versions, WebPkiClientVerifier::no_client_auth())
    }

    pub(crate) fn server_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        clients: Arc<dyn ClientCertVerifier>,
    ) -> ServerConfig {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(self.chain.clone(), key)
            .unwrap()
    }
}

pub(crate) fn roots(certificate: &CertificateDer<'_>) -> Roots {
    Roots::from_pem(certificate).unwrap()
}

pub(crate) fn client(roots: &Roots) -> ClientConfig {
    Arc::unwrap_or_clone(client_config(roots).unwrap())
}

/// Completes the handshake of a client and a server, or returns the client's error.
pub(crate) fn connect(client: ClientConfig, server: ServerConfig) -> Result<ClientConnection, rustls::Error> {
    let mut client = ClientConnection::new(Arc::new(client), HOST.try_into().unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut bytes.as_slice()).unwrap();
        let _ = server.process_new_packets(); // it has an alert to send, or has got one
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        receive(&mut client, &bytes)?;
    }
    assert!(!client.is_handshaking());
    Ok(client)
}

/// Gives a client bytes that it reads from its server.
pub(crate) fn receive(client: &mut ClientConnection, mut bytes: &[u8]) -> Result<(), rustls::Error> {
    while !bytes.is_empty() {
        client.read_tls(bytes.by_ref()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}
