//! Sends one request over ureq, and reads its response or its error.

use std::error::Error as StdError;
use std::io::{self, Read};
use std::time::{Duration, Instant, SystemTime};

use http::header::{ACCEPT_ENCODING, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use loginradius_proto::proxy::ProxySettings;
use loginradius_proto::{App, BaseUrl, Body, BodyBuffer, ConnectFailure, Error, SendOptions};
use loginradius_transport::{receive, rustls, tls_failure};
use ureq::{Agent, AsSendBody, Timeout};

use crate::unmanaged;
use crate::wire::{self, BadHead, CurrentCall, TooManyBytes, Used};

/// ureq adds a timeout to the clock, and a longer one would overflow.
const MAX_TIMEOUT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) http: Http,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
}

/// What the requests are sent over.
#[derive(Debug)]
pub(crate) enum Http {
    /// An agent of [`wire::agent`].
    Managed(Agent),
    /// The user's own agent, and the proxies that are set in place of the agent's.
    Unmanaged(Agent, Option<ProxySettings>),
}

impl Transport {
    pub(crate) fn send(
        &self,
        app: &App,
        request: Request<Body>,
        options: SendOptions,
    ) -> Result<Response<Body>, Error> {
        let Some(base) = app.service().base_of(request.uri()) else {
            return Err(Error::misuse(
                "the flow's app has another address than the client's: use a client of that app",
            ));
        };
        let (parts, body) = request.into_parts();
        let body = body.as_bytes();
        // An empty body of bytes would give a GET a `Content-Length`.
        if body.is_empty() && parts.method == http::Method::GET {
            self.exchange(base, Request::from_parts(parts, ()), 0, options)
        } else {
            self.exchange(base, Request::from_parts(parts, body), body.len(), options)
        }
    }

    fn exchange(
        &self,
        base: &BaseUrl,
        mut request: Request<impl AsSendBody>,
        body_length: usize,
        options: SendOptions,
    ) -> Result<Response<Body>, Error> {
        let timeout = options.deadline.saturating_duration_since(Instant::now()).min(self.timeout).min(MAX_TIMEOUT);
        let headers = request.headers_mut();
        if let Some(user_agent) = &self.user_agent {
            headers.insert(USER_AGENT, user_agent.clone());
        }
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let uri = request.uri().clone();
        let agent = match &self.http {
            Http::Managed(agent) | Http::Unmanaged(agent, _) => agent,
        };
        let _call = CurrentCall::begin(&request, body_length);
        let mut config = agent
            .configure_request(request)
            .https_only(false) // `Service` has seen to it, and knows loopback
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .timeout_resolve(Some(self.connect_timeout.min(timeout)))
            .timeout_connect(Some(self.connect_timeout.min(timeout)));
        match &self.http {
            Http::Managed(_) => {}
            Http::Unmanaged(..) if base.is_loopback() => config = config.proxy(None),
            Http::Unmanaged(_, Some(proxies)) => config = config.proxy(unmanaged::proxy(proxies, &uri)?),
            Http::Unmanaged(_, None) => {}
        }
        if options.fresh_connection {
            config = config.max_idle_age(Duration::ZERO);
        }
        let failure = |error, has_begun| failure(&self.http, error, &uri, has_begun);
        let response = agent.run(config.build()).map_err(|error| failure(error, false))?;
        let received_at = SystemTime::now();

        let (mut parts, body) = response.into_parts();
        if let Http::Managed(_) = self.http {
            parts.headers = wire::unpack(&parts.headers);
        }
        let body = read(body.into_reader(), |error| failure(ureq::Error::from(error), true))?;
        receive(Response::from_parts(parts, body), received_at)
    }
}

fn read(mut reader: impl Read, failure: impl Fn(io::Error) -> Error) -> Result<Body, Error> {
    let mut body = BodyBuffer::new();
    let mut chunk = [0; 1 << 10];
    loop {
        let chunk = Used::read(&mut reader, &mut chunk).map_err(&failure)?;
        if chunk.is_empty() {
            return Ok(body.into_body());
        }
        body.push(&chunk)?;
    }
}

/// Returns the error of a request: *not sent* only if that is certain.
///
/// If [`wire`] could not connect, it has made the [`Error`] itself. An agent of the user's own also resolves, connects
/// and completes the TLS handshake before it writes the request. `has_begun` says whether the head of a response came.
fn failure(http: &Http, error: ureq::Error, uri: &Uri, has_begun: bool) -> Error {
    use ureq::Error as E;
    let error = match error {
        E::Other(error) => match error.downcast::<Error>() {
            Ok(error) => return *error,
            Err(error) => E::Other(error),
        },
        error => error,
    };
    if let (Http::Unmanaged(..), Some(failure)) = (http, connect_failure(&error, uri)) {
        return Error::not_connected(failure);
    }
    // An allow-list, because other variants quote the URL or what the server sent.
    let source: Source = match error {
        E::Io(error) => match error.get_ref() {
            Some(inner) if inner.is::<TooManyBytes>() || inner.is::<BadHead>() => {
                return lost(http, inner.to_string(), None);
            }
            _ if is_closed(error.kind()) && !has_begun && !is_not_sent(http) => {
                return Error::connection_closed().with_source(error);
            }
            _ if is_closed(error.kind()) => {
                return lost(http, "the connection was closed too early", Some(Box::new(error)));
            }
            _ => Box::new(error),
        },
        E::Timeout(_) => return lost(http, "it did not arrive in time", Some(Box::new(error))),
        E::Protocol(_) => return lost(http, "the response is not HTTP", None),
        E::LargeResponseHeader(..) => return lost(http, "the head of the response is too long", None),
        E::Rustls(_) => Box::new(error),
        _ => "the HTTP client failed".into(),
    };
    if is_not_sent(http) { Error::not_sent(source) } else { Error::outcome_unknown(source) }
}

type Source = Box<dyn StdError + Send + Sync>;

/// Returns whether the request was certainly not sent.
fn is_not_sent(http: &Http) -> bool {
    matches!(http, Http::Managed(_)) && !wire::may_be_sent()
}

/// Returns the error of a response that did not arrive whole, for that cause.
fn lost(http: &Http, cause: impl Into<String>, source: Option<Source>) -> Error {
    let cause = cause.into();
    if is_not_sent(http) {
        return Error::not_sent(source.unwrap_or_else(|| cause.into()));
    }
    let error = Error::incomplete_response(cause);
    match source {
        Some(source) => error.with_source(source),
        None => error,
    }
}

fn is_closed(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

/// Returns why the user's own agent could not connect, if it certainly did not.
fn connect_failure(error: &ureq::Error, uri: &Uri) -> Option<ConnectFailure> {
    use ureq::Error as E;
    let host = uri.host().unwrap_or_default().to_owned();
    let address = || uri.authority().map(ToString::to_string).unwrap_or_default();
    // Bytes that are not TLS may also have come after the request.
    let tls = |error| {
        tls_failure(error, &host, &address()).filter(|failure| !matches!(failure, ConnectFailure::NotTls { .. }))
    };
    Some(match error {
        E::HostNotFound => ConnectFailure::NameNotFound { host: host.clone() },
        E::ConnectionFailed => ConnectFailure::Unreachable { address: address() },
        E::ConnectProxyFailed(_) | E::InvalidProxyUrl => unmanaged::proxy_failure(),
        E::Tls(problem) => ConnectFailure::TlsRefused { address: address(), problem: (*problem).to_owned() },
        E::TlsRequired => {
            ConnectFailure::TlsRefused { address: address(), problem: "the agent was made without TLS".to_owned() }
        }
        E::Timeout(Timeout::Resolve | Timeout::Connect) => ConnectFailure::TimedOut { address: address() },
        E::Rustls(error) => return tls(error),
        E::Io(error) => {
            if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                return tls(error);
            }
            match error.kind() {
                io::ErrorKind::ConnectionRefused => ConnectFailure::Refused { address: address() },
                // The standard library has no kind for a name that was not found, but only this text.
                _ if error.to_string().starts_with("failed to lookup address information") => {
                    ConnectFailure::NameNotFound { host: host.clone() }
                }
                _ => return None,
            }
        }
        _ => return None,
    })
}
