//! One request over ureq, and what became of it.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};
use loginradius_proto::{App, BaseUrl, Body, Error, SendOptions};
use ureq::{Agent, AsSendBody, Proxy, Timeout};

#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) agent: Agent,
    /// In place of the agent's own.
    pub(crate) proxy: Option<Proxy>,
    /// In place of the agent's own.
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
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
                "the flow's app is at another address than the client's: use a client of that app",
            ));
        };
        let (parts, body) = request.into_parts();
        // An empty body of bytes would give a GET a `Content-Length`.
        if body.is_empty() && parts.method == http::Method::GET {
            self.exchange(base, Request::from_parts(parts, ()), options)
        } else {
            self.exchange(base, Request::from_parts(parts, body.as_bytes()), options)
        }
    }

    fn exchange(
        &self,
        base: &BaseUrl,
        mut request: Request<impl AsSendBody>,
        options: SendOptions,
    ) -> Result<Response<Body>, Error> {
        let timeout = options.deadline.saturating_duration_since(Instant::now()).min(self.timeout);
        if let Some(user_agent) = &self.user_agent {
            request.headers_mut().insert(USER_AGENT, user_agent.clone());
        }
        let mut config = self
            .agent
            .configure_request(request)
            .https_only(false) // `Service` has seen to it, and knows loopback
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .timeout_resolve(Some(self.connect_timeout.min(timeout)))
            .timeout_connect(Some(self.connect_timeout.min(timeout)));
        if base.is_loopback() {
            config = config.proxy(None);
        } else if let Some(proxy) = &self.proxy {
            config = config.proxy(Some(proxy.clone()));
        }
        if options.fresh_connection {
            config = config.max_idle_age(Duration::ZERO);
        }
        let response = self.agent.run(config.build()).map_err(failure)?;

        let (parts, body) = response.into_parts();
        let mut bytes = Vec::new();
        let read = body.into_reader().take(Body::LIMIT as u64 + 1).read_to_end(&mut bytes);
        let body = Body::from(bytes);
        read.map_err(|error| failure(ureq::Error::from(error)))?;
        if body.as_bytes().len() > Body::LIMIT {
            return Err(Error::outcome_unknown("the response is longer than 1 MiB, and was not read to its end"));
        }
        Ok(Response::from_parts(parts, body))
    }
}

/// What ureq's error says of the request: *not sent* only if that is certain.
///
/// ureq resolves, connects and completes the TLS handshake before it writes the request.
fn failure(error: ureq::Error) -> Error {
    use ureq::Error as E;
    let not_sent = match &error {
        E::HostNotFound
        | E::ConnectionFailed
        | E::ConnectProxyFailed(_)
        | E::InvalidProxyUrl
        | E::Tls(_)
        | E::TlsRequired
        | E::Timeout(Timeout::Resolve | Timeout::Connect) => true,
        E::Rustls(error) => is_refused_handshake(error),
        E::Io(error) => is_before_the_request(error),
        _ => false,
    };
    // An allow-list: other variants quote the URL or what the server sent.
    let source: Box<dyn std::error::Error + Send + Sync> = match error {
        E::Io(error) => Box::new(error),
        E::HostNotFound | E::ConnectionFailed | E::Tls(_) | E::Rustls(_) | E::TlsRequired | E::Timeout(_) => {
            Box::new(error)
        }
        E::ConnectProxyFailed(_) => "the proxy refused to connect".into(),
        E::InvalidProxyUrl => "the proxy is not a URL such as http://proxy.example.com:3128".into(),
        E::Protocol(_) | E::LargeResponseHeader(..) => "the response is not HTTP".into(),
        _ => "the HTTP client failed".into(),
    };
    if not_sent { Error::not_sent(source) } else { Error::outcome_unknown(source) }
}

fn is_before_the_request(error: &io::Error) -> bool {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return is_refused_handshake(error);
    }
    // The standard library has no kind for a name that was not found; nothing else says these words.
    error.kind() == io::ErrorKind::ConnectionRefused
        || error.to_string().starts_with("failed to lookup address information")
}

/// Errors that only come before the first byte of a request. An alert can also come after it (a TLS 1.3
/// server refuses a client late), so only those alerts count that respond to a greeting.
fn is_refused_handshake(error: &rustls::Error) -> bool {
    use rustls::{AlertDescription as Alert, Error as E};
    matches!(
        error,
        E::InvalidCertificate(_)
            | E::PeerIncompatible(_)
            | E::NoApplicationProtocol
            | E::NoCertificatesPresented
            | E::UnsupportedNameType
            | E::AlertReceived(
                Alert::HandshakeFailure
                    | Alert::ProtocolVersion
                    | Alert::InsufficientSecurity
                    | Alert::UnrecognisedName
                    | Alert::NoApplicationProtocol
            )
    )
}
