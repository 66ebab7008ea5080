//! Sends one request over reqwest, and reads its response or its error.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH};
use http::{HeaderValue, Method, Request, Response};
use loginradius_proto::{App, BaseUrl, Body, BodyBuffer, Error, SendOptions};
use loginradius_transport::receive;

use crate::driver::{Driven, Driver};
use crate::failure::{NOT_IN_TIME, broken_off, failure};
use crate::route::{Peer, Route};
use crate::timer;

/// A timer that is later than this shows that the process did not run.
const SUSPENSION_THRESHOLD: Duration = Duration::from_millis(100);
/// How long reading what has already arrived may take.
const LATE_READ_TIMEOUT: Duration = Duration::from_millis(500);
/// The most pieces of a response that are read: a piece of a single byte takes dozens of bytes in memory.
const MAX_PIECES: usize = 1 << 16;
/// Longer timeouts are cut to this, so that their instant can be computed.
pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(u32::MAX as u64);

pub(crate) struct Transport {
    pub(crate) destinations: Vec<Arc<Destination>>,
    pub(crate) timeout: Duration,
    pub(crate) driver: Driver,
}

/// One of the service's two base URLs, and how it is reached.
pub(crate) struct Destination {
    pub(crate) base: BaseUrl,
    pub(crate) peer: Peer,
    pub(crate) pool: Pool,
}

/// The connections by one route.
#[derive(Clone)]
pub(crate) struct Pool {
    pub(crate) route: Route,
    pub(crate) pooled: reqwest::Client,
    /// For requests that must not be lost with a connection that died in the pool.
    pub(crate) fresh: reqwest::Client,
}

impl Transport {
    /// Begins a request at once. Returns a small future for its response, which does not hold the request.
    pub(crate) fn send(
        &self,
        app: &App,
        request: Request<Body>,
        options: SendOptions,
    ) -> impl Future<Output = Result<Response<Body>, Error>> + Send + use<> {
        let exchange = self.begin(app, request, options);
        async move { exchange?.finish().await }
    }

    fn begin(&self, app: &App, request: Request<Body>, options: SendOptions) -> Result<Exchange, Error> {
        let base = app.service().base_of(request.uri());
        let Some(destination) = base.and_then(|base| self.destinations.iter().find(|there| there.base == *base)) else {
            return Err(Error::misuse(
                "the flow's app has another address than the client's: use a client of that app",
            ));
        };
        let timeout = options.deadline.saturating_duration_since(Instant::now()).min(self.timeout).min(MAX_TIMEOUT);
        // The memory of the body is overwritten when its last clone is dropped.
        let mut request = reqwest::Request::try_from(request.map(Bytes::from_owner))
            .map_err(|_| Error::configuration("the operation's address is not a URL"))?;
        set_length(&mut request);
        // What a server encodes all the same is decoded on receipt, within the limit.
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let deadline = Instant::now() + timeout;
        let received = exchange(Arc::clone(destination), options.fresh_connection, request);
        Ok(Exchange { received: self.driver.start(received)?, deadline })
    }
}

/// A request that was begun.
struct Exchange {
    received: Driven<Result<Received, Error>>,
    deadline: Instant,
}

impl Exchange {
    async fn finish(mut self) -> Result<Response<Body>, Error> {
        let mut outcome = timer::timeout_at(self.deadline, &mut self.received).await;
        // If the timer was late, this process was suspended, and a response that has arrived can still be read.
        if let Ok(None) = outcome
            && self.deadline.elapsed() > SUSPENSION_THRESHOLD
        {
            outcome = timer::timeout_at(Instant::now() + LATE_READ_TIMEOUT, &mut self.received).await;
        }
        if let Ok(Some(received)) = outcome {
            return received??.finish();
        }
        if self.received.give_up() {
            return Err(Error::not_sent("the timeout ended before the request was begun"));
        }
        Err(Error::incomplete_response(NOT_IN_TIME))
    }
}

// reqwest prints the headers that the user's own builder adds to every request.
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A response as it came.
struct Received {
    response: Response<()>,
    at: SystemTime,
    pieces: Vec<Bytes>,
}

/// Sends a request and reads its response, up to the first piece beyond the limit. It runs on the thread that all
/// connections share, so it leaves copying and decoding to the caller: [`Received::finish`].
async fn exchange(
    destination: Arc<Destination>,
    fresh_connection: bool,
    request: reqwest::Request,
) -> Result<Received, Error> {
    let Destination { peer, pool, .. } = &*destination;
    let client = if fresh_connection { &pool.fresh } else { &pool.pooled };
    let mut incoming = client.execute(request).await.map_err(|error| failure(error, peer, pool.route.proxy()))?;
    let at = SystemTime::now();
    let (mut pieces, mut length) = (Vec::new(), 0);
    while length <= Body::LIMIT
        && let Some(piece) = incoming.chunk().await.map_err(broken_off)?
    {
        if pieces.len() == MAX_PIECES {
            return Err(Error::incomplete_response("it is in too many pieces, and was not read to its end"));
        }
        length += piece.len();
        pieces.push(piece);
        // With small pieces this task may never wait, and other tasks run only when it does.
        tokio::task::consume_budget().await;
    }
    let mut response = Response::new(());
    *response.status_mut() = incoming.status();
    *response.headers_mut() = std::mem::take(incoming.headers_mut());
    Ok(Received { response, at, pieces })
}

impl Received {
    fn finish(self) -> Result<Response<Body>, Error> {
        let mut body = BodyBuffer::new();
        for piece in self.pieces {
            body.push(&piece)?;
        }
        receive(self.response.map(|()| body.into_body()), self.at)
    }
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
