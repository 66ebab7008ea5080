//! LoginRadius in a process of its own, which responds to each request at once.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::{env, thread};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::operations::Operation;
use crate::{Result, WORKER};

/// The OAuth app whose device logins are approved at the first poll.
pub const APPROVED_APP: &str = "approved";
/// The OAuth app whose device logins are polled for every ten minutes.
pub const SLOW_APP: &str = "slow";

/// Whether the server speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the benchmarks handle each")]
pub enum Scheme {
    /// It does not.
    Http,
    /// It does, with a root certificate of its own.
    Https,
}

impl Scheme {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Http, Self::Https];

    /// Returns its name in a URL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Where a server is, and whom a client has to trust.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Address {
    /// Its base URL.
    pub url: String,
    /// The file with its root certificate, as PEM.
    pub root: String,
}

impl Address {
    /// Makes an address from the arguments of a worker.
    #[must_use]
    pub fn new(url: &str, root: &str) -> Self {
        Self { url: url.to_owned(), root: root.to_owned() }
    }

    /// Reads the root certificate to trust; `None` for a server without TLS.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn root_certificate(&self) -> Result<Option<Vec<u8>>> {
        Ok(if self.url.starts_with("https:") { Some(fs::read(&self.root)?) } else { None })
    }
}

/// The server's process, which ends when this is dropped.
#[derive(Debug)]
pub struct CannedServer {
    child: Child,
    url: String,
    root: tempfile::TempPath,
}

impl CannedServer {
    /// Starts this program again, as the server.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(scheme: Scheme) -> Result<Self> {
        let root = tempfile::NamedTempFile::new()?.into_temp_path();
        let mut child = Command::new(env::current_exe()?)
            .args([WORKER, "serve", scheme.name()])
            .arg(&root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        BufReader::new(child.stdout.take().ok_or("the server has no output")?).read_line(&mut url)?;
        if url.is_empty() {
            return Err("the server did not start".into());
        }
        Ok(Self { child, url: url.trim_end().to_owned(), root })
    }

    /// Returns where it is.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::new(&self.url, &self.root.to_string_lossy())
    }
}

impl Drop for CannedServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Serves until the standard input ends. Prints its URL, and writes its root certificate to that file.
///
/// # Errors
///
/// If it cannot listen.
pub fn serve(scheme: Scheme, root: &Path) -> Result<()> {
    let tls = match scheme {
        Scheme::Http => None,
        Scheme::Https => Some(TlsAcceptor::from(Arc::new(certified(root)?))),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}://{}", scheme.name(), listener.local_addr()?);
        thread::spawn(|| {
            let _ = io::stdin().read(&mut [0]);
            std::process::exit(0);
        });
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(accept(stream, tls.clone()));
        }
    })
}

/// Makes a certificate for this machine.
fn certified(root: &Path) -> Result<ServerConfig> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
    fs::write(root, authority.pem())?;
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    Ok(ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?)
}

/// Talks with one client. What goes wrong with it is seen by the client.
async fn accept(stream: TcpStream, tls: Option<TlsAcceptor>) {
    let _: io::Result<()> = match tls {
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => converse(stream).await,
            Err(error) => Err(error),
        },
        None => converse(stream).await,
    };
}

/// Responds until the client closes the connection.
async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut received = Vec::with_capacity(2048);
    loop {
        if let Some(length) = request_length(&received) {
            let response = respond(received.get(..length).unwrap_or_default());
            stream.write_all(response.as_bytes()).await?;
            stream.flush().await?;
            received.drain(..length);
        } else if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

/// Returns how long the first request is; `None` if it has not arrived whole.
pub(crate) fn request_length(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let text = str::from_utf8(received.get(..head)?).ok()?;
    let mut fields = text.lines().filter_map(|line| line.split_once(": "));
    let body = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = head + body.map_or(Some(0), |(_, length)| length.parse::<usize>().ok())?;
    (received.len() >= length).then_some(length)
}

/// Returns the response to a request.
pub(crate) fn respond(request: &[u8]) -> String {
    let line = str::from_utf8(request).unwrap_or_default().lines().next().unwrap_or_default();
    let path = line.split([' ', '?']).nth(1).unwrap_or_default();
    let (status, body) = response(path);
    format!("HTTP/1.1 {status} \r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn response(path: &str) -> (u16, String) {
    let app = [APPROVED_APP, SLOW_APP].into_iter().find(|app| path.contains(&format!("/{app}/")));
    let path = app.map_or_else(|| path.to_owned(), |app| path.replace(app, "my-oauth-app"));
    let Some(operation) = Operation::ALL.into_iter().find(|operation| operation.path() == path) else {
        return (404, String::new());
    };
    let (status, body) = match operation {
        Operation::PollPending if app == Some(APPROVED_APP) => Operation::Code.response(),
        operation => operation.response(),
    };
    let interval = |seconds| (status, body.replace(r#""interval":5"#, seconds));
    match app {
        Some(APPROVED_APP) => interval(r#""interval":1"#),
        Some(SLOW_APP) => interval(r#""interval":600"#),
        _ => (status, body.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_arrived_with_the_end_of_its_body() {
        let request = b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(request_length(request), Some(request.len()));
        assert_eq!(request_length(&request[..request.len() - 1]), None);
        assert_eq!(request_length(&request[..20]), None);
        assert_eq!(request_length(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET"), Some(27));
    }

    #[test]
    fn every_operation_has_its_response() {
        for operation in Operation::ALL {
            let (status, body) = operation.response();
            assert_eq!(response(operation.path()), (status, body.to_owned()), "{operation}");
        }
        assert_eq!(response("/").0, 404);
    }

    #[test]
    fn the_app_decides_how_a_device_login_goes() {
        assert!(response("/sso/oauth/slow/device").1.contains(r#""interval":600"#));
        assert_eq!(response("/sso/oauth/slow/access_token").0, 400);
        assert!(response("/sso/oauth/approved/device").1.contains(r#""interval":1,"#));
        assert_eq!(response("/sso/oauth/approved/access_token").0, 200);
    }
}
