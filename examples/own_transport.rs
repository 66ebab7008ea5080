//! Signs in a device over a transport of its own: a plain `TcpStream`, with the protocol crate alone.
//!
//!     cargo run --example own_transport
//!
//! `exchange` sends one request and `run` drives a flow: an adapter is no more than that. A `TcpStream` has no TLS, so
//! this one only talks to a service on this machine.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use loginradius_examples::{DeviceOptions, Output, Result};
use loginradius_proto::http::header::DATE;
use loginradius_proto::http::{HeaderValue, Request, Response};
use loginradius_proto::oauth::RequestDeviceCode;
use loginradius_proto::{Body, Call, DeviceFlow, Error, Flow, Seed, SendOptions, Step};

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
    if request.uri().scheme_str() != Some("http") {
        return Err(Error::configuration("this example has no TLS: give it an http address on this machine"));
    }
    let mut stream = Timed::connect(request, options.deadline).map_err(Error::not_sent)?;
    let response = send(request, &mut stream).map_err(Error::outcome_unknown)?;
    read(&response).ok_or_else(|| Error::outcome_unknown("the response is not whole, or not HTTP"))
}

/// A connection that ends at a deadline.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Timed {
    /// Connects to the server of the request. Only the look-up of its name has no timeout.
    fn connect(request: &Request<Body>, deadline: Instant) -> io::Result<Self> {
        let uri = request.uri();
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
        for address in (host, uri.port_u16().unwrap_or(80)).to_socket_addrs()? {
            result = TcpStream::connect_timeout(&address, left(deadline)?);
            if result.is_ok() {
                break;
            }
        }
        Ok(Self { stream: result?, deadline })
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.deadline)?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
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

fn send(request: &Request<Body>, stream: &mut Timed) -> io::Result<Vec<u8>> {
    let (uri, body) = (request.uri(), request.body().as_bytes());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |host| host.as_str());
    // HTTP/1.0: the response has no chunks, and the connection ends with it.
    let mut head =
        format!("{} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n", request.method(), body.len());
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(body)?;

    let mut response = Vec::new();
    stream.take(Body::LIMIT as u64 + 1).read_to_end(&mut response)?;
    if response.len() > Body::LIMIT { Err(io::Error::other("the response is too long")) } else { Ok(response) }
}

/// Reads a whole response; `None` if it is not one.
fn read(bytes: &[u8]) -> Option<Response<Body>> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let body = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?;
    let mut response = Response::builder().status(status);
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") && value.trim() != body.len().to_string() {
            return None;
        }
        response = response.header(name, value.trim());
    }
    let mut response = response.body(Body::from(body.to_vec())).ok()?;
    // A date in `Retry-After` counts from there.
    let received = HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::now())).ok()?;
    response.headers_mut().entry(DATE).or_insert(received);
    Some(response)
}
