//! A server in a process of its own: it holds every secret, so its memory must not be watched.

use std::env;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::proxy;
use crate::secrets::{
    ACCESS_TOKEN, CLIENT_SECRET, DEVICE_CODE, ID_TOKEN, JWT, NEXT_ACCESS_TOKEN, OWN, REFRESH_TOKEN, SECRETS,
};

pub struct Server {
    process: Child,
    /// Its address without TLS.
    pub http: String,
    /// Its address with TLS.
    pub https: String,
    /// The address of the proxy.
    pub proxy: String,
    /// The root certificate of the address with TLS and of [`NAME_BEHIND_PROXY`], in PEM.
    pub root: String,
}

pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
    chunked: bool,
    /// Whether it is encoded where it is sent.
    gzip: bool,
}

/// The name that the server has, with TLS, for those that come through the proxy.
pub const NAME_BEHIND_PROXY: &str = "loginradius.test";

const ARGUMENT: &str = "serve";
const END: &str = "end of the root certificate";

/// Serves and never returns if this is the server's process; otherwise does nothing.
pub fn serve_if_asked() {
    if env::args().nth(1).as_deref() != Some(ARGUMENT) {
        return;
    }
    let (root, config) = tls();
    let listeners = ["http://", "https://", ""].map(|scheme| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        println!("{scheme}{}", listener.local_addr().unwrap());
        listener
    });
    println!("{root}{END}");
    let [http, https, proxy] = listeners;
    for (listener, is_proxy) in [(https, false), (proxy, true)] {
        let config = Arc::clone(&config);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    if is_proxy && !proxy::connect(&mut stream)? {
                        return Ok(());
                    }
                    serve(StreamOwned::new(connection, stream))
                });
            }
        });
    }
    for stream in http.incoming() {
        thread::spawn(|| serve(stream.unwrap()));
    }
}

/// Makes a certificate for the server's names and the configuration of a server that has it.
fn tls() -> (String, Arc<ServerConfig>) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["127.0.0.1", NAME_BEHIND_PROXY].map(str::to_owned);
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (authority.pem(), Arc::new(config))
}

impl Server {
    pub fn start() -> Self {
        let mut process =
            Command::new(env::current_exe().unwrap()).arg(ARGUMENT).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
        let [http, https, proxy] = [(); 3].map(|()| lines.next().unwrap());
        let root = lines.take_while(|line| line != END).map(|line| line + "\n").collect();
        Self { process, http, https, proxy, root }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(stream: impl Read + Write) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let target = line.split(' ').nth(1).unwrap().to_owned();
        let mut length = 0;
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        write(reader.get_mut(), &respond(&target, &String::from_utf8_lossy(&body)))?;
    }
}

fn write(stream: &mut impl Write, response: &Response) -> io::Result<()> {
    let mut body = response.body.clone();
    let mut encoding = "";
    if response.gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&body)?;
        body = encoder.finish()?;
        encoding = "Content-Encoding: gzip\r\n";
    }
    let (start, rest) = body.split_at(body.len().min(800) / 2);
    let status = response.status;
    let head = format!("HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\n{encoding}");
    let pieces = if response.chunked {
        let head = format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", start.len());
        let size = format!("{:x}", rest.len());
        // Cut within a size, so that something of the first chunk's buffer is still to be read when the second comes.
        let (digit, digits) = size.as_bytes().split_at(1);
        [[head.as_bytes(), start, b"\r\n", digit].concat(), [digits, b"\r\n", rest, b"\r\n0\r\n\r\n"].concat()]
    } else {
        let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
        [[head.as_bytes(), start].concat(), rest.to_vec()]
    };
    for piece in pieces {
        stream.write_all(&piece)?;
        stream.flush()?;
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Responds to a request with this path, query and body. The path's first segment chooses the kind of response.
pub fn respond(target: &str, body: &str) -> Response {
    let path = target.split('?').next().unwrap();
    let (how, path) = path[1..].split_once('/').unwrap();
    let sent = secrets_in(&[target, body].join(" "), path);
    let escaped = how == "escaped";
    let response = |status, body: String| Response { status, body: body.into(), chunked: false, gzip: false };
    let success = response(200, success(path, escaped));
    match how {
        "plain" | "escaped" => success,
        "long" | "gzip" => {
            let mut body = success.body;
            body.truncate(body.len() - 1);
            body.extend_from_slice(format!(r#","padding":"{}"}}"#, "x".repeat(300_000)).as_bytes());
            Response { body, chunked: true, gzip: how == "gzip", ..success }
        }
        // It is not UTF-8.
        "latin1" => {
            let mut body = success.body;
            body.truncate(body.len() - 1);
            body.extend_from_slice(b",\"note\":\"\xe4\xf6\xfc\"}");
            Response { body, ..success }
        }
        "refused" => response(
            400,
            format!(
                r#"{{"ErrorCode":966,"Message":"Not accepted: {0}","Description":"Not accepted: {0}","access_token":{1},
                    "Errors":[{{"FieldName":"password","ErrorMessage":"Not accepted: {0}"}}],"Data":{{"access_token":{1}}},
                    "ExtraInfo":{{"access_token":{1}}},"ProviderErrorResponse":{{"access_token":{1}}}}}"#,
                sent.replace('\\', r"\\").replace('"', r#"\""#),
                json(ACCESS_TOKEN, false),
            ),
        ),
        "proxy" => response(502, format!("<html>Not accepted: {sent}</html>")),
        _ => panic!("{target}"),
    }
}

/// Returns the secrets of a request. It finds each by its beginning, which no encoding but base64 changes.
fn secrets_in(request: &str, path: &str) -> String {
    let begins = |secret: &str| request.contains(secret.get(..16).unwrap());
    let mut sent: Vec<&str> = SECRETS.into_iter().map(|(_, secret)| secret).filter(|secret| begins(secret)).collect();
    if path.starts_with("api/") {
        sent.push(CLIENT_SECRET); // by HTTP Basic
    }
    sent.join(" ")
}

fn success(path: &str, escaped: bool) -> String {
    static POLLS: AtomicUsize = AtomicUsize::new(0);
    let tokens = |access_token| {
        format!(
            r#"{{"access_token":{},"token_type":"Bearer","expires_in":3600,"refresh_token":{},"id_token":{}}}"#,
            json(access_token, escaped),
            json(REFRESH_TOKEN, escaped),
            json(ID_TOKEN, escaped),
        )
    };
    match path {
        "sso/oauth/my-app/device" => format!(
            r#"{{"device_code":{},"user_code":"ABCD","verification_uri":"https://example.com/device","interval":1}}"#,
            json(DEVICE_CODE, escaped),
        ),
        "sso/oauth/my-app/access_token" if POLLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
            r#"{"error":"authorization_pending"}"#.to_owned()
        }
        "sso/oauth/my-app/access_token" | "sso/oauth/access_token" => tokens(ACCESS_TOKEN),
        "sso/oauth/access_token/refresh" | "api/oauth/my-app/token" => tokens(NEXT_ACCESS_TOKEN),
        "sso/oauth/refresh_token/revoke" => r#"{"isDeleted":true}"#.to_owned(),
        "sso/jwt/api/token" | "sso/jwt/api/login" => format!(r#"{{"signature":{}}}"#, json(JWT, escaped)),
        path if path.starts_with("own/") => format!(r#"{{"secret":{}}}"#, json(OWN, escaped)),
        path => panic!("{path}"),
    }
}

/// Writes a JSON string. If `escaped`, the first letter of each part is an escape.
fn json(text: &str, escaped: bool) -> String {
    let mut json = String::from("\"");
    let mut in_part = false;
    for letter in text.chars() {
        let begins = letter.is_ascii_alphanumeric() && !in_part;
        in_part = letter.is_ascii_alphanumeric();
        match letter {
            '"' | '\\' => json.extend(['\\', letter]),
            letter if begins && escaped => json += &format!("\\u{:04x}", u32::from(letter)),
            letter => json.push(letter),
        }
    }
    json + "\""
}
