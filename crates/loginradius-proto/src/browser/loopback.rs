//! Receives a redirect callback on a port of this machine ([RFC 8252, section 7.3]): the HTTP part, without sockets.
//!
//! The adapters have a whole receiver. To write your own:
//!
//! 1. Listen on 127.0.0.1, and begin the login with [`redirect_uri`] as its redirect URI. If LoginRadius has
//!    `localhost` or `[::1]` on its list for the app, use [`Host::listen`].
//! 2. For each connection, make a [`Connection`] and pass it the bytes that arrive, until it returns a [`Request`].
//! 3. Write the [`Reply`] of [`Request::respond`], and close the connection.
//! 4. Stop when a reply has a [`result`](Reply::result). Until then, keep accepting connections: a browser also asks
//!    for an icon or opens a connection that it never uses, and other sites may try the port.
//!
//! ```
//! use std::time::SystemTime;
//! use loginradius_proto::App;
//! use loginradius_proto::browser::loopback::{self, Connection};
//! use loginradius_proto::browser::{AuthorizationRequest, BrowserRequest, RandomBytes};
//!
//! # fn main() -> Result<(), loginradius_proto::Error> {
//! # let random = RandomBytes::new(std::array::from_fn(|byte| byte as u8))?;
//! let (app, now) = (App::new("my-client-id"), SystemTime::now());
//! // `random`: `RandomBytes` of the operating system's random number generator.
//! let redirect_uri = loopback::redirect_uri(8400, "/callback")?;
//! let mut login = AuthorizationRequest::new(redirect_uri).begin(&app, &random, now)?;
//!
//! let mut connection = Connection::new("/callback");
//! assert!(connection.read(b"GET /favicon.ico HTTP/1.1\r\n").is_none(), "it is not whole yet");
//! let request = connection.read(b"Host: 127.0.0.1:8400\r\n\r\n").unwrap();
//! let reply = request.respond(&mut login.pending, now);
//! assert!(reply.bytes.starts_with(b"HTTP/1.1 404 Not Found\r\n"));
//! assert!(reply.result.is_none(), "it is no callback: keep waiting");
//!
//! # let state = login.pending.expose_state().to_owned();
//! let mut connection = Connection::new("/callback");
//! let head = format!("GET /callback?code=4f2a&state={state} HTTP/1.1\r\nHost: 127.0.0.1:8400\r\n\r\n");
//! let request = connection.read(head.as_bytes()).unwrap();
//! let reply = request.respond(&mut login.pending, now);
//! assert!(reply.bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
//! let exchange = reply.result.expect("the callback")?.exchange();
//! # assert!(exchange.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! [RFC 8252, section 7.3]: https://www.rfc-editor.org/rfc/rfc8252#section-7.3

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::callback::Callback;
use super::login::Pending;
pub use super::loopback_host::Host;
pub use super::loopback_page::{Page, Pages};
use super::loopback_page::{Sign, built_in};
use super::moment::Moment;
use super::navigation::allows_navigation;
use crate::error::{Error, ErrorKind};
use crate::secret_buffer::SecretBuffer;

/// Returns the redirect URI of a callback on this machine: `http://127.0.0.1:{port}{path}`. [`Host`] has those with
/// another name of the machine.
///
/// LoginRadius has to have it on its list with this port, so choose a port that does not change.
///
/// # Errors
///
/// [`ErrorKind::Configuration`] if the port is 0, or the path is one that a browser may change. A path has to begin
/// with `/`, consist of ASCII letters, digits and `-._~/`, and have no empty or dot segment.
pub fn redirect_uri(port: u16, path: &str) -> Result<String, Error> {
    Host::Ipv4.redirect_uri(port, path)
}

/// Creates an [`ErrorKind::Expired`] error, for a receiver that got no callback in that time.
#[must_use]
pub fn expired(timeout: Duration) -> Error {
    let message = format!("no callback came within {} s: begin a new login", timeout.as_secs_f32());
    Error::new(ErrorKind::Expired, message)
}

/// Creates an [`ErrorKind::Cancelled`] error, for a receiver that the program cancelled.
#[must_use]
pub fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the program cancelled waiting for the callback: begin a new login to sign in")
}

/// One connection to the receiver: reads a request from its bytes.
pub struct Connection {
    path: String,
    buffer: SecretBuffer,
    /// Whether the request line is whole.
    has_line: bool,
    /// Of the request, once it is whole.
    head: Option<RequestHead>,
}

/// The request line and the headers, as far as they matter.
struct RequestHead {
    target: Zeroizing<String>,
    head_length: usize,
    body_length: usize,
}

/// A whole request to the receiver, which may be a callback.
pub struct Request(RequestKind);

enum RequestKind {
    Callback(Callback),
    /// Not a callback of any login.
    Rejected(Rejection),
}

/// What to write to the connection, and whether the login has ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reply<T> {
    /// A whole HTTP response with a page for the user. It has nothing of the request.
    ///
    /// Write it, close the writing half of the connection, and read until the browser closes the other half: a
    /// connection that is closed with bytes unread may be reset, and the browser then shows no page.
    pub bytes: Vec<u8>,
    /// The result of the login; `None` if the request was not its callback: keep waiting.
    pub result: Option<Result<T, Error>>,
}

impl Connection {
    /// The longest request that is read: a callback and its headers.
    const LIMIT: usize = Callback::LIMIT + 64 * 1024;
    const MAX_HEADERS: usize = 100;

    /// Makes the reader of a connection that was just accepted. `path` is the one of [`redirect_uri`].
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), buffer: SecretBuffer::default(), has_line: false, head: None }
    }

    /// Takes the bytes that arrived, and returns the request once it is complete, too long or wrong. `None` means: read
    /// on.
    ///
    /// Bytes with which no HTTP/1 request can begin are refused at once, for example those of a browser that expects
    /// TLS on this port. How the bytes are split does not matter, and what follows the request is ignored. A connection
    /// on which nothing arrives for a while is no error: close it, and wait for the next.
    #[must_use]
    pub fn read(&mut self, bytes: &[u8]) -> Option<Request> {
        let before = self.buffer.len();
        let room = Self::LIMIT - before.min(Self::LIMIT);
        self.buffer.push(bytes.get(..room).unwrap_or(bytes));
        self.request(before).or_else(|| {
            let too_large = Request(RequestKind::Rejected(Rejection::TooLarge));
            (bytes.len() > room).then_some(too_large)
        })
    }

    /// Returns the request if it is whole or wrong. The bytes from `new` on have just arrived.
    fn request(&mut self, new: usize) -> Option<Request> {
        if self.head.is_none() {
            // The parser would skip any number of empty lines, with which no browser begins.
            if matches!(self.buffer.first(), Some(b'\r' | b'\n')) {
                return Some(Request(RequestKind::Rejected(Rejection::BadRequest)));
            }
            // The end of the headers may begin in the bytes before.
            if !ends_headers(&self.buffer[new.saturating_sub(2)..]) {
                return self.is_hopeless(new).then_some(Request(RequestKind::Rejected(Rejection::BadRequest)));
            }
            match self.parse_head() {
                Ok(head) => self.head = head,
                Err(rejection) => return Some(Request(RequestKind::Rejected(rejection))),
            }
        }
        let head = self.head.as_ref()?;
        let body = self.buffer.get(head.head_length..head.head_length.saturating_add(head.body_length))?;
        let query = head.target.split_once('?').map_or("", |(_, query)| query);
        let callback = Callback::from_parts(query, body);
        Some(Request(callback.map_or(RequestKind::Rejected(Rejection::TooLarge), RequestKind::Callback)))
    }

    /// Returns whether this can no longer become an HTTP/1 request, whatever bytes follow: it is TLS, HTTP/2, SOCKS or
    /// another protocol, and its peer would wait for a response. The bytes from `new` on have just arrived.
    ///
    /// The work is in proportion to the bytes: only the request line is parsed, once for each of the first reads and
    /// once at its end.
    fn is_hopeless(&mut self, new: usize) -> bool {
        /// Other protocols show themselves in their first bytes.
        const BEGINNING: usize = 64;
        let arrived = &self.buffer[new..];
        if arrived.iter().any(|byte| byte.is_ascii_control() && !b"\t\r\n".contains(byte)) {
            return true;
        }
        if self.has_line {
            return false;
        }
        let line = match arrived.iter().position(|byte| *byte == b'\n') {
            Some(end) => &self.buffer[..=new + end],
            None if new < BEGINNING => &self.buffer[..self.buffer.len().min(BEGINNING)],
            None => return false,
        };
        self.has_line = line.ends_with(b"\n");
        httparse::Request::new(&mut []).parse(line).is_err()
    }

    /// Parses the request line and the headers; `None` if they are not whole.
    fn parse_head(&self) -> Result<Option<RequestHead>, Rejection> {
        let mut headers = [httparse::EMPTY_HEADER; Self::MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let head_length = match request.parse(&self.buffer) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Rejection::BadRequest),
        };
        let target = origin_form(request.path.unwrap_or_default());
        // RFC 9110, section 9.3.2: the response to it has no content.
        if request.method == Some("HEAD") {
            return Err(Rejection::Head);
        }
        if target.split('?').next() != Some(self.path.as_str()) {
            return Err(Rejection::NotFound);
        }
        let is_navigation = request.headers.iter().all(|header| allows_navigation(header.name, header.value));
        if matches!(request.method, Some("GET" | "POST")) && !is_navigation {
            return Err(Rejection::NoNavigation);
        }
        let target = Zeroizing::new(target.to_owned());
        match request.method {
            Some("GET") => Ok(Some(RequestHead { target, head_length, body_length: 0 })),
            Some("POST") => {
                let values = |name: &str| {
                    let named = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
                    named.map(|header| header.value).collect::<Vec<_>>()
                };
                let [length] = values("content-length")[..] else { return Err(Rejection::BadRequest) };
                let length = std::str::from_utf8(length).ok();
                let digits = length.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let body_length = digits.and_then(|text| text.parse().ok()).ok_or(Rejection::BadRequest)?;
                if !values("transfer-encoding").is_empty() {
                    return Err(Rejection::BadRequest);
                }
                if body_length > Callback::LIMIT {
                    return Err(Rejection::TooLarge);
                }
                Ok(Some(RequestHead { target, head_length, body_length }))
            }
            _ => Err(Rejection::MethodNotAllowed),
        }
    }
}

/// Returns the path and the query of a target, which may be a whole URL (RFC 9112, section 3.2.2).
fn origin_form(target: &str) -> &str {
    let Some(rest) = target.strip_prefix("http://") else { return target };
    rest.find(['/', '?']).and_then(|path| rest.get(path..)).unwrap_or(target)
}

/// Returns whether there is an empty line, which ends the headers. They are parsed only then, so that bytes which come
/// one by one take no quadratic work.
fn ends_headers(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|two| two == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

impl Request {
    /// Returns the response to it, and the result of the login if it is the login's own callback ([`Pending::accept`]).
    ///
    /// Any other request gets a response as well, and changes nothing.
    #[doc(alias = "reply")]
    pub fn respond<P: Pending>(self, pending: &mut P, now: impl Into<Moment>) -> Reply<P::Output> {
        self.respond_with(&Pages::default(), pending, now)
    }

    /// Returns what [`respond`](Self::respond) returns, but with the program's own pages.
    pub fn respond_with<P: Pending>(self, pages: &Pages, pending: &mut P, now: impl Into<Moment>) -> Reply<P::Output> {
        const CLOSE: &str = "You can close this page.";
        let callback = match self.0 {
            RequestKind::Callback(callback) => callback,
            RequestKind::Rejected(rejection) => return Reply { bytes: rejection.page(), result: None },
        };
        let result = pending.accept(&callback, now);
        let bytes = match &result {
            // Not "signed in": the code is not redeemed yet.
            Ok(_) => pages.response(
                true,
                "Back to the program",
                &["Return to the program, which completes the login.", CLOSE],
            ),
            Err(error) => match error.kind() {
                ErrorKind::StateMismatch | ErrorKind::AlreadyCompleted => {
                    return Reply { bytes: Rejection::Unrelated.page(), result: None };
                }
                ErrorKind::Denied => pages.response(
                    false,
                    "Not signed in",
                    &["The login was not allowed. To try again, return to the program.", CLOSE],
                ),
                _ => pages.response(false, "Not signed in", &["Return to the program, which says why.", CLOSE]),
            },
        };
        Reply { bytes, result: Some(result) }
    }
}

/// Why a request is not the callback of the login.
#[derive(Debug, Clone, Copy)]
enum Rejection {
    BadRequest,
    NotFound,
    MethodNotAllowed,
    /// A prefetch, or a request for a part of another page ([`is_navigation`](super::is_navigation)).
    NoNavigation,
    Head,
    TooLarge,
    Unrelated,
}

impl Rejection {
    fn page(self) -> Vec<u8> {
        match self {
            Self::BadRequest => page("400 Bad Request", "Not understood", "This is not the callback of a login."),
            Self::NotFound => page("404 Not Found", "Not found", "Only the callback of a login is here."),
            Self::MethodNotAllowed => page(
                "405 Method Not Allowed\r\nAllow: GET, POST",
                "Not understood",
                "This is not the callback of a login.",
            ),
            Self::NoNavigation => page(
                "503 Service Unavailable",
                "Not opened yet",
                "The browser asked for this page ahead of time. The login continues when the page is opened.",
            ),
            Self::Head => b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, POST\r\nConnection: close\r\n\r\n".to_vec(),
            Self::TooLarge => page("413 Content Too Large", "Too long", "This is not the callback of a login."),
            Self::Unrelated => page(
                "400 Bad Request",
                "Not this login",
                "The program does not wait for this login. Continue in the page that it opened last, or begin again.",
            ),
        }
    }
}

/// Makes the response to a request that is not the callback of the login.
fn page(status: &str, title: &str, text: &str) -> Vec<u8> {
    built_in(status, Sign::None, title, &[text])
}

// The bytes have a code in them.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            RequestKind::Callback(_) => "Request(Callback)",
            RequestKind::Rejected(_) => "Request(Rejected)",
        })
    }
}
