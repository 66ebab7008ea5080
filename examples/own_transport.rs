//! Signs in a device over a transport of its own: a plain `TcpStream`, with the protocol crate alone.
//!
//!     cargo run --example own_transport
//!
//! `exchange` sends one request and `run` drives a flow; that is all that an adapter is. A `TcpStream` has
//! no TLS, so this one only speaks to a service on this machine.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use clap::Parser;
use loginradius_examples::{DeviceOptions, Output, Result};
use loginradius_proto::http::{Request, Response};
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

/// Drives any flow: it says when to send what, and this does it.
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

/// Sends one request, and returns its response. What fails before the request is written is certainly not sent; what
/// fails later may have taken effect: its outcome is unknown.
fn exchange(request: &Request<Body>, options: SendOptions) -> std::result::Result<Response<Body>, Error> {
    if request.uri().scheme_str() != Some("http") {
        return Err(Error::configuration("this example has no TLS: give it an http address on this machine"));
    }
    let mut stream = connect(request).map_err(Error::not_sent)?;
    let response = send(request, options, &mut stream).map_err(Error::outcome_unknown)?;
    read(&response).ok_or_else(|| Error::outcome_unknown("the response is not whole, or not HTTP"))
}

fn connect(request: &Request<Body>) -> io::Result<TcpStream> {
    let uri = request.uri();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    TcpStream::connect((host, uri.port_u16().unwrap_or(80)))
}

fn send(request: &Request<Body>, options: SendOptions, stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (uri, body) = (request.uri(), request.body().as_bytes());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |host| host.as_str());
    // HTTP/1.0: the response comes in one piece, and the connection ends with it.
    let mut head =
        format!("{} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n", request.method(), body.len());
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(body)?;

    let mut response = Vec::new();
    let mut piece = [0; 4096];
    while response.len() <= Body::LIMIT {
        let left = options.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => return Ok(response),
            length => response.extend_from_slice(&piece[..length]),
        }
    }
    Err(io::Error::other("the response is too long"))
}

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
    response.body(Body::from(body.to_vec())).ok()
}
