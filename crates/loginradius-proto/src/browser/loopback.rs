//! The HTTP side of a receiver on this machine ([RFC 8252, section 7.3]), without sockets.
//!
//! A program listens on 127.0.0.1, gives [`redirect_uri`] to its [`BrowserRequest`](super::BrowserRequest), and
//! feeds each connection's bytes to a [`Connection`] of its own. What the browser asks besides (its favicon, a
//! connection opened ahead and never used, another site's attempt) is answered and does not matter.
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
//! // `random` is `RandomBytes` of the operating system's generator.
//! let redirect_uri = loopback::redirect_uri(8400, "/callback")?;
//! let mut sign_in = AuthorizationRequest::new(redirect_uri).begin(&app, &random, now)?;
//!
//! let mut connection = Connection::new("/callback");
//! assert!(connection.read(b"GET /favicon.ico HTTP/1.1\r\n").is_none(), "not all of it yet");
//! let request = connection.read(b"Host: 127.0.0.1:8400\r\n\r\n").unwrap();
//! let reply = request.answer(&mut sign_in.pending, now);
//! assert!(reply.bytes.starts_with(b"HTTP/1.1 404 Not Found\r\n"));
//! assert!(reply.result.is_none(), "go on waiting");
//!
//! # let state = sign_in.pending.expose_state().to_owned();
//! let mut connection = Connection::new("/callback");
//! let head = format!("GET /callback?code=4f2a&state={state} HTTP/1.1\r\nHost: 127.0.0.1:8400\r\n\r\n");
//! let request = connection.read(head.as_bytes()).unwrap();
//! let reply = request.answer(&mut sign_in.pending, now);
//! assert!(reply.bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
//! let exchange = reply.result.expect("the callback")?.exchange();
//! # assert!(exchange.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! [RFC 8252, section 7.3]: https://www.rfc-editor.org/rfc/rfc8252#section-7.3

use std::fmt;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::callback::Callback;
use super::login::Pending;
use crate::error::{Error, ErrorKind};

/// The address of a callback on this machine: `http://127.0.0.1:{port}{path}`.
///
/// LoginRadius has to know it, port included; so the port is a fixed one there.
///
/// # Errors
///
/// [`ErrorKind::Configuration`] if the port is 0, or unless the path is one that every browser leaves as it is: it begins
/// with `/` and has letters, digits and `-._~/`, no dot segments and no empty ones.
pub fn redirect_uri(port: u16, path: &str) -> Result<String, Error> {
    if !path.starts_with('/') {
        return Err(Error::configuration("the callback's path has to begin with `/`, as /callback"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let segments = path.strip_prefix('/').unwrap_or_default();
    if !path.bytes().all(plain) || segments.split('/').any(|one| matches!(one, "." | "..")) {
        return Err(Error::configuration(
            "the callback's path has to be letters, digits and `-._~/`, without dot segments",
        ));
    }
    if path.contains("//") {
        return Err(Error::configuration("the callback's path has an empty segment (`//`): write it out"));
    }
    if port == 0 {
        return Err(Error::configuration("the callback's port is 0: listen first, and take the port that came of it"));
    }
    Ok(format!("http://127.0.0.1:{port}{path}"))
}

/// No callback came: the error of a receiver that gives up.
#[must_use]
pub fn expired(timeout: Duration) -> Error {
    let message = format!("no callback came within {} s; begin the sign-in again", timeout.as_secs_f32());
    Error::new(ErrorKind::Expired, message)
}

/// The program stopped waiting: the error of a receiver that was told to.
#[must_use]
pub fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the program stopped waiting for the callback")
}

/// One connection to the receiver: bytes of the browser in, its request out.
pub struct Connection {
    path: String,
    buffer: Zeroizing<Vec<u8>>,
    /// Of the request line and headers, once they are whole.
    head: Option<Head>,
}

struct Head {
    target: Zeroizing<String>,
    length: usize,
    /// The length of what follows.
    body: usize,
}

/// What a browser asked for.
pub struct Request(Asked);

enum Asked {
    Callback(Callback),
    /// Refused for what it looks like, without a glance at the sign-in.
    Refused(Status),
}

/// What to write to the connection before it is closed, and what the request means for the sign-in.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reply<T> {
    /// A whole HTTP answer, which a browser shows before the program has gone on. Write it, close the writing half, and read until the browser closes too: closing with
    /// bytes unread would cost the browser the page.
    pub bytes: Vec<u8>,
    /// The end of the sign-in; `None` to go on waiting.
    pub result: Option<Result<T, Error>>,
}

impl Connection {
    /// The longest request that is read: a callback and the headers around it.
    const LIMIT: usize = Callback::LIMIT + 64 * 1024;
    const MAX_HEADERS: usize = 100;

    /// A connection that was just accepted. The path is the one of [`redirect_uri`].
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), buffer: Zeroizing::default(), head: None }
    }

    /// Takes what was read; the request, once it is whole. What follows it is ignored.
    ///
    /// A connection that says nothing for a while is no error: close it, and go on.
    #[must_use]
    pub fn read(&mut self, bytes: &[u8]) -> Option<Request> {
        // The end of the headers may begin in what was read before.
        let unseen = self.buffer.len().saturating_sub(2);
        let room = Self::LIMIT - self.buffer.len().min(Self::LIMIT);
        self.buffer.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.request(unseen).or_else(|| {
            let refused = Request(Asked::Refused(Status::TooLarge));
            (bytes.len() > room).then_some(refused)
        })
    }

    fn request(&mut self, unseen: usize) -> Option<Request> {
        if self.head.is_none() {
            // No browser begins with an empty line, and a parser would skip any number of them.
            if matches!(self.buffer.first(), Some(b'\r' | b'\n')) {
                return Some(Request(Asked::Refused(Status::BadRequest)));
            }
            if !ends_headers(&self.buffer[unseen..]) {
                return None;
            }
            match self.head() {
                Ok(head) => self.head = head,
                Err(status) => return Some(Request(Asked::Refused(status))),
            }
        }
        let head = self.head.as_ref()?;
        let body = self.buffer.get(head.length..head.length.saturating_add(head.body))?;
        let query = head.target.split_once('?').map_or("", |(_, query)| query);
        let callback = Callback::from_form(query, body);
        Some(Request(callback.map_or(Asked::Refused(Status::TooLarge), Asked::Callback)))
    }

    fn head(&self) -> Result<Option<Head>, Status> {
        let mut headers = [httparse::EMPTY_HEADER; Self::MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(&self.buffer) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Status::BadRequest),
        };
        let target = origin_form(request.path.unwrap_or_default());
        // RFC 9110, section 9.3.2: its answer has no content.
        if request.method == Some("HEAD") {
            return Err(Status::Head);
        }
        if target.split('?').next() != Some(self.path.as_str()) {
            return Err(Status::NotFound);
        }
        let target = Zeroizing::new(target.to_owned());
        match request.method {
            Some("GET") => Ok(Some(Head { target, length, body: 0 })),
            Some("POST") => {
                let values = |name: &str| {
                    let named = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
                    named.map(|header| header.value).collect::<Vec<_>>()
                };
                let [body] = values("content-length")[..] else { return Err(Status::BadRequest) };
                let body = std::str::from_utf8(body).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let body = body.and_then(|text| text.parse().ok()).ok_or(Status::BadRequest)?;
                if !values("transfer-encoding").is_empty() {
                    return Err(Status::BadRequest);
                }
                if body > Callback::LIMIT {
                    return Err(Status::TooLarge);
                }
                Ok(Some(Head { target, length, body }))
            }
            _ => Err(Status::MethodNotAllowed),
        }
    }
}

/// The path and query of a target that may be a whole address (RFC 9112, section 3.2.2).
fn origin_form(target: &str) -> &str {
    let Some(rest) = target.strip_prefix("http://") else { return target };
    rest.find(['/', '?']).and_then(|path| rest.get(path..)).unwrap_or(target)
}

/// Whether an empty line stands in there: only then is it worth parsing, however slowly the bytes come.
fn ends_headers(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|two| two == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

impl Request {
    /// Answers it: the callback of this sign-in ends the waiting, anything else does not.
    pub fn answer<P: Pending>(self, pending: &mut P, now: SystemTime) -> Reply<P::Output> {
        let callback = match self.0 {
            Asked::Callback(callback) => callback,
            Asked::Refused(status) => return Reply { bytes: status.page(), result: None },
        };
        let result = pending.accept(&callback, now);
        let (bytes, ends) = match &result {
            Ok(_) => (
                // Not "signed in": the code is still to be exchanged.
                page(
                    "200 OK",
                    "Back to the program",
                    "Return to the program, which finishes the sign-in. You can close this page.",
                ),
                true,
            ),
            Err(error) => match error.kind() {
                ErrorKind::StateMismatch | ErrorKind::AlreadyCompleted => (Status::Unrelated.page(), false),
                ErrorKind::Denied => {
                    (page("200 OK", "Not signed in", "The sign-in was not allowed. You can close this page."), true)
                }
                _ => (
                    page("200 OK", "Not signed in", "Return to the program, which says why. You can close this page."),
                    true,
                ),
            },
        };
        Reply { bytes, result: ends.then_some(result) }
    }
}

#[derive(Debug, Clone, Copy)]
enum Status {
    BadRequest,
    NotFound,
    MethodNotAllowed,
    Head,
    TooLarge,
    Unrelated,
}

impl Status {
    fn page(self) -> Vec<u8> {
        match self {
            Self::BadRequest => page("400 Bad Request", "Not understood", "This is no callback of a sign-in."),
            Self::NotFound => page("404 Not Found", "Not found", "There is nothing here but the end of a sign-in."),
            Self::MethodNotAllowed => page(
                "405 Method Not Allowed\r\nAllow: GET, POST",
                "Not understood",
                "This is no callback of a sign-in.",
            ),
            Self::Head => b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, POST\r\nConnection: close\r\n\r\n".to_vec(),
            Self::TooLarge => page("413 Content Too Large", "Too long", "This is no callback of a sign-in."),
            Self::Unrelated => page(
                "400 Bad Request",
                "Not this sign-in",
                "The program does not wait for this sign-in. Go on in the page that it opened last, or start again.",
            ),
        }
    }
}

/// A page without scripts, styles or anything that came from outside.
fn page(status: &str, title: &str, text: &str) -> Vec<u8> {
    let body = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <h1>{title}</h1>\n<p>{text}</p>\n"
    );
    // The address holds a code: it must not be kept, nor travel on as a referrer.
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\r\n{body}",
        body.len(),
    )
    .into_bytes()
}

/// What a browser sent holds a code.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Asked::Callback(_) => "Request(Callback)",
            Asked::Refused(_) => "Request(Refused)",
        })
    }
}
