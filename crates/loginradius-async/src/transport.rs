//! One request over reqwest, and what became of it.

use std::fmt;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request, Response};
use loginradius_proto::{App, Body, BodyBuffer, Error, SendOptions};

/// Timers are later than this only in a process that did not run.
const SUSPENSION_THRESHOLD: Duration = Duration::from_millis(100);
/// How long it takes to read what has already arrived.
const LATE_READ_TIMEOUT: Duration = Duration::from_millis(500);

pub(crate) struct Transport {
    pub(crate) pools: Vec<Pool>,
    pub(crate) timeout: Duration,
}

/// The connections to the addresses of this machine itself, which no proxy is asked for, or to all others.
pub(crate) struct Pool {
    pub(crate) loopback: bool,
    pub(crate) pooled: reqwest::Client,
    /// For requests that a connection which dies in the pool would lose.
    pub(crate) fresh: reqwest::Client,
}

impl Transport {
    pub(crate) async fn send(
        &self,
        app: &App,
        request: Request<Body>,
        options: SendOptions,
    ) -> Result<Response<Body>, Error> {
        let base = app.service().base_of(request.uri());
        let Some(pool) = base.and_then(|base| self.pools.iter().find(|pool| pool.loopback == base.is_loopback()))
        else {
            return Err(Error::misuse(
                "the flow's app is at another address than the client's: use a client of that app",
            ));
        };
        let client = if options.fresh_connection { &pool.fresh } else { &pool.pooled };
        let timeout = options.deadline.saturating_duration_since(Instant::now()).min(self.timeout);
        // The memory of the body is overwritten when its last clone is dropped.
        let mut request = reqwest::Request::try_from(request.map(Bytes::from_owner))
            .map_err(|_| Error::configuration("the operation's address is not a URL"))?;
        set_length(&mut request);
        let deadline = tokio::time::Instant::now() + timeout;
        let mut exchange = pin!(exchange(client, request));
        if let Ok(outcome) = tokio::time::timeout_at(deadline, &mut exchange).await {
            return outcome;
        }
        // If that is noticed late, this process was suspended, and a response that has arrived is still to be read.
        if deadline.elapsed() > SUSPENSION_THRESHOLD
            && let Ok(outcome) = tokio::time::timeout(LATE_READ_TIMEOUT, exchange).await
        {
            return outcome;
        }
        Err(Error::outcome_unknown("the response took longer than the timeout"))
    }
}

// reqwest prints the headers that the user's own builder adds to every request.
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

async fn exchange(client: &reqwest::Client, request: reqwest::Request) -> Result<Response<Body>, Error> {
    let mut incoming = client.execute(request).await.map_err(failure)?;
    let mut body = BodyBuffer::new();
    while let Some(chunk) = incoming.chunk().await.map_err(failure)? {
        body.push(&chunk)?;
    }
    let mut response = Response::new(body.into_body());
    *response.status_mut() = incoming.status();
    *response.headers_mut() = std::mem::take(incoming.headers_mut());
    Ok(response)
}

/// Sets the length of a body that is empty, which reqwest leaves out: some servers require it (RFC 9110, section 8.6,
/// and status 411).
fn set_length(request: &mut reqwest::Request) {
    let has_content = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let is_empty = request.body().and_then(reqwest::Body::as_bytes).is_none_or(<[u8]>::is_empty);
    if has_content && is_empty {
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// What reqwest's error says of the request: *not sent* only if that is certain.
///
/// `is_connect` covers resolving, connecting, a proxy's refusal and the TLS handshake, timeouts of these
/// included; the request is written after that.
fn failure(error: reqwest::Error) -> Error {
    let error = error.without_url();
    if error.is_connect() { Error::not_sent(error) } else { Error::outcome_unknown(error) }
}
