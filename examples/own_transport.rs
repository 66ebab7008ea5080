//! Signs in a device over a transport of its own: a `TcpStream`, the protocol crate, the transport crate for TLS, and a
//! parser of HTTP.
//!
//!     cargo run --example own_transport
//!
//! `exchange` sends one request and `run` drives a flow: an adapter does no more than that. Its HTTP is the part that a
//! client needs (RFC 9112). Each request has its own connection, everything is limited in time and size, and nothing is
//! kept from one request to the next, such as a cookie.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use httparse::Status;
use loginradius_examples::{DeviceOptions, Output, Result};
use loginradius_proto::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use loginradius_proto::http::{Method, Request, Response, StatusCode};
use loginradius_proto::oauth::RequestDeviceCode;
use loginradius_proto::proxy::{Proxy, ProxyScheme, ProxySettings};
use loginradius_proto::{
    Body, BodyBuffer, Call, ConnectFailure, DeviceFlow, Error, Flow, ProxyFault, Seed, SendOptions, Step,
};
use loginradius_transport::rustls::pki_types::ServerName;
use loginradius_transport::rustls::{ClientConnection, StreamOwned};
use loginradius_transport::{Roots, client_config, handshake_failure};

/// Sign in a device at LoginRadius over a transport of your own.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    device: DeviceOptions,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.device.common.output();
    output.finish(login(&cli, output))
}

fn login(cli: &Cli, output: Output) -> Result {
    let target = cli.device.target()?;
    let app = &target.app;
    let seed = Seed(u64::from(std::process::id()));

    let grant = run(Call::new(RequestDeviceCode::new().scope(&cli.device.scope), app, seed))?;
    let flow = DeviceFlow::new(app, &grant, Instant::now(), seed);
    output.prompt(&grant);
    target.approve(&grant.user_code)?;
    let tokens = run(flow);
    target.let_the_browser_finish();
    let tokens = tokens?;
    output.say("Signed in.");
    output.tokens("tokens", &tokens);
    Ok(())
}

/// Drives any flow: the flow says what to send and how long to wait.
fn run<F: Flow>(mut flow: F) -> std::result::Result<F::Output, Error> {
    loop {
        match flow.step(Instant::now()) {
            Step::Send { request, options } => {
                let outcome = exchange(&request, options);
                flow.receive(outcome, Instant::now());
            }
            Step::Wait(until) => thread::sleep(until.saturating_duration_since(Instant::now())),
            Step::Done(result) => return result,
        }
    }
}

/// Sends one request, and returns its response. A request that fails before it is written is certainly not sent; one
/// that fails later may have taken effect: its outcome is unknown.
fn exchange(request: &Request<Body>, options: SendOptions) -> std::result::Result<Response<Body>, Error> {
    let mut stream = connect(request, options.deadline)?;
    let response = send(request, &mut stream).and_then(|()| receive(&mut BufReader::new(stream)));
    loginradius_transport::receive(response.map_err(Error::outcome_unknown)?, SystemTime::now())
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Connects to the server of the request, and completes the TLS handshake.
fn connect(request: &Request<Body>, deadline: Instant) -> std::result::Result<Box<dyn Stream>, Error> {
    let uri = request.uri();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let environment =
        env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    let mut stream = match ProxySettings::from_variables(environment).proxy_for(uri)? {
        Some(proxy) => tunnel(&proxy, &format!("{}:{port}", uri.host().unwrap_or_default()), deadline)?,
        None => Bounded::connect(host, port, deadline).map_err(Error::not_connected)?,
    };
    if !is_tls {
        return Ok(Box::new(stream)); // `Service` has seen to it that this is on this machine
    }
    let config = client_config(&Roots::system()?)?; // where there are many connections, once for all
    let name = ServerName::try_from(host.to_owned()).map_err(Error::not_sent)?;
    let mut tls = ClientConnection::new(config, name).map_err(Error::not_sent)?;
    if let Err(error) = tls.complete_io(&mut stream) {
        let tls_error = error.get_ref().and_then(|error| error.downcast_ref());
        let failure = tls_error.map(|error| handshake_failure(error, host, &format!("{host}:{port}")));
        return Err(failure.map_or_else(|| Error::not_sent(error), Error::not_connected));
    }
    Ok(Box::new(StreamOwned::new(tls, stream)))
}

/// Connects to the target through an HTTP proxy (RFC 9110, section 9.3.6). Other proxies are refused: a request that
/// should go through one never goes direct.
fn tunnel(proxy: &Proxy, target: &str, deadline: Instant) -> std::result::Result<Bounded, Error> {
    let failed = |fault| Error::not_connected(ConnectFailure::Proxy { proxy: proxy.to_string(), fault });
    if proxy.scheme() != ProxyScheme::Http {
        return Err(Error::configuration(format!(
            "the proxy {proxy} is not one for http, and this program knows no others: set one"
        )));
    }
    let mut stream = Bounded::connect(proxy.host(), proxy.port(), deadline)
        .map_err(|failure| failed(ProxyFault::Unconnected(Box::new(failure))))?;
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(credentials) = proxy.authorization() {
        request.extend([b"Proxy-Authorization: ", credentials.as_bytes(), b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    stream.write_all(&request).map_err(Error::not_sent)?;
    // A buffer of one byte: what follows the empty line belongs to TLS.
    let head = receive_head(&mut BufReader::with_capacity(1, &mut stream)).map_err(|error| match error.kind() {
        io::ErrorKind::Other => failed(ProxyFault::NotAProxy),
        _ => Error::not_sent(error),
    })?;
    match head.status() {
        status if status.is_success() => Ok(stream),
        // Some proxies respond with 401 to a wrong password.
        status @ (StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED) => {
            Err(failed(ProxyFault::CredentialsRefused(Some(status))))
        }
        status => Err(failed(ProxyFault::Responded(status))),
    }
}

/// A connection that fails at a deadline, or when it has received too much.
struct Bounded {
    stream: TcpStream,
    deadline: Instant,
    received: usize,
}

/// The most bytes that are received: the longest body, and its head and chunk sizes.
const MAX_RECEIVED: usize = Body::LIMIT + (256 << 10);
/// The most header lines of a response.
const MAX_HEADERS: usize = 300;

impl Bounded {
    /// Connects to a server. Only the look-up of its name has no timeout.
    fn connect(host: &str, port: u16, deadline: Instant) -> std::result::Result<Self, ConnectFailure> {
        let mut failure = ConnectFailure::NameNotFound { host: host.to_owned() };
        for address in (host, port).to_socket_addrs().into_iter().flatten() {
            match left(deadline).and_then(|left| TcpStream::connect_timeout(&address, left)) {
                Ok(stream) => return Ok(Self { stream, deadline, received: 0 }),
                Err(error) => failure = unconnected(&error, format!("{host}:{port}")),
            }
        }
        Err(failure)
    }
}

fn unconnected(error: &io::Error, address: String) -> ConnectFailure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectFailure::Refused { address },
        io::ErrorKind::TimedOut => ConnectFailure::TimedOut { address },
        _ => ConnectFailure::Unreachable { address },
    }
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.deadline)?))?;
        let length = self.stream.read(buffer)?;
        self.received += length;
        if self.received > MAX_RECEIVED { Err(bad("the response is too long")) } else { Ok(length) }
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.deadline)?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Returns the time until the deadline; an error once it is over.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn send(request: &Request<Body>, stream: &mut impl Write) -> io::Result<()> {
    let (uri, body) = (request.uri(), request.body().as_bytes());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |host| host.as_str());
    let mut bytes = format!("{} {path} HTTP/1.1\r\nHost: {host}\r\n", request.method()).into_bytes();
    bytes.extend(b"Connection: close\r\nAccept-Encoding: identity\r\n");
    if request.method() != Method::GET {
        bytes.extend(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    for (name, value) in request.headers() {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend([b"\r\n", body].concat());
    stream.write_all(&bytes)?;
    stream.flush()
}

fn receive(stream: &mut impl BufRead) -> io::Result<Response<Body>> {
    // Interim responses (1xx) come before the final one.
    let head = loop {
        let head = receive_head(stream)?;
        if !head.status().is_informational() {
            break head;
        }
    };
    let body = receive_body(&head, stream)?;
    Ok(head.map(|()| body.into_body()))
}

fn receive_head(stream: &mut impl BufRead) -> io::Result<Response<()>> {
    let mut bytes = Vec::new();
    // To the empty line.
    while stream.read_until(b'\n', &mut bytes)? > 2 {}
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let status = httparse::ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .parse_response(&mut parsed, &bytes);
    if status.map_err(io::Error::other)?.is_partial() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut head = Response::builder().status(parsed.code.unwrap_or_default());
    for header in parsed.headers {
        // A folded value is read as one line (section 5.2).
        let value = Vec::from_iter(header.value.iter().map(|byte| if b"\r\n".contains(byte) { b' ' } else { *byte }));
        head = head.header(header.name, value);
    }
    head.body(()).map_err(io::Error::other)
}

/// Reads the body, which ends in one of three ways (section 6.3).
fn receive_body(head: &Response<()>, stream: &mut impl BufRead) -> io::Result<BodyBuffer> {
    let mut body = BodyBuffer::new();
    let headers = head.headers();
    if matches!(head.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(body);
    } else if let Some(encoding) = headers.get(TRANSFER_ENCODING) {
        if !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(bad("the response has an unknown transfer encoding"));
        }
        while let size @ 1.. = receive_chunk_size(stream)? {
            receive_bytes(stream, size, &mut body)?;
            let mut end = [0; 2];
            stream.read_exact(&mut end)?;
            if &end != b"\r\n" {
                return Err(bad("a chunk of the response is longer than its size"));
            }
        }
        // The trailers are not read: nothing needs them, and the connection is not used again.
    } else if let Some(length) = headers.get(CONTENT_LENGTH) {
        let is_clear = headers.get_all(CONTENT_LENGTH).iter().all(|other| other == length);
        let length = length.to_str().ok().and_then(|length| length.parse().ok()).filter(|_| is_clear);
        receive_bytes(stream, length.ok_or_else(|| bad("the length of the response is unclear"))?, &mut body)?;
    } else {
        read_to_end(stream, &mut body)?;
    }
    Ok(body)
}

fn receive_chunk_size(stream: &mut impl BufRead) -> io::Result<u64> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    match httparse::parse_chunk_size(&line) {
        Ok(Status::Complete((_, size))) if line.first().is_some_and(u8::is_ascii_hexdigit) => Ok(size),
        _ => Err(bad("a chunk of the response has no size")),
    }
}

fn receive_bytes(stream: &mut impl BufRead, length: u64, body: &mut BodyBuffer) -> io::Result<()> {
    let received = read_to_end(&mut stream.take(length), body)?;
    if received == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Reads as `Read::read_to_end` does, but leaves no copy of the tokens in memory that is freed.
fn read_to_end(stream: &mut impl BufRead, body: &mut BodyBuffer) -> io::Result<u64> {
    let mut received = 0;
    loop {
        let bytes = stream.fill_buf()?;
        let length = bytes.len();
        if length == 0 {
            return Ok(received);
        }
        body.push(bytes).map_err(|_| bad("the response is too long"))?;
        stream.consume(length);
        received += length as u64;
    }
}

fn bad(response: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, response)
}
