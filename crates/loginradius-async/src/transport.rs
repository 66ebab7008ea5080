//! One request over reqwest, and what became of it.

use std::fmt;
use std::pin::pin;
use std::time::{Duration, Instant};

use http::{Request, Response};
use loginradius_proto::{App, Body, Error, SendOptions};

/// Timers come later than this only in a process that did not run.
const LATE: Duration = Duration::from_millis(100);
/// How long it takes to read what has already arrived.
const TO_READ: Duration = Duration::from_millis(500);

pub(crate) struct Transport {
    pub(crate) pooled: reqwest::Client,
    /// For requests that a connection which dies in the pool would lose.
    pub(crate) fresh: reqwest::Client,
    pub(crate) timeout: Duration,
}

impl Transport {
    pub(crate) async fn send(
        &self,
        app: &App,
        request: Request<Body>,
        options: SendOptions,
    ) -> Result<Response<Body>, Error> {
        if !app.target().serves(request.uri()) {
            return Err(Error::settings(
                "the flow's app is at another address than the client's: use a client of that app",
            ));
        }
        let client = if options.fresh_connection { &self.fresh } else { &self.pooled };
        let timeout = options.deadline.saturating_duration_since(Instant::now()).min(self.timeout);
        let request = reqwest::Request::try_from(request.map(|body| body.as_bytes().to_vec()))
            .map_err(|_| Error::settings("the operation's address is not a URL"))?;
        let deadline = tokio::time::Instant::now() + timeout;
        let mut exchange = pin!(exchange(client, request));
        if let Ok(outcome) = tokio::time::timeout_at(deadline, &mut exchange).await {
            return outcome;
        }
        // If that is noticed late, this process was stopped, and what came meanwhile waits to be read.
        if deadline.elapsed() > LATE
            && let Ok(outcome) = tokio::time::timeout(TO_READ, exchange).await
        {
            return outcome;
        }
        Err(Error::lost("the whole answer took longer than the timeout"))
    }
}

// reqwest prints the headers that the user's own builder adds to every request.
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

async fn exchange(client: &reqwest::Client, request: reqwest::Request) -> Result<Response<Body>, Error> {
    let mut answer = client.execute(request).await.map_err(failure)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failure)? {
        if bytes.len() + chunk.len() > Body::LIMIT {
            return Err(Error::lost("the answer is longer than 1 MiB, and was not read to its end"));
        }
        bytes.extend_from_slice(&chunk);
    }
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

/// What reqwest's error says of the request: *not sent* only if that is certain.
///
/// `is_connect` covers resolving, connecting, a proxy's refusal and the TLS handshake, timeouts of these
/// included; the request is written after that.
fn failure(error: reqwest::Error) -> Error {
    let error = error.without_url();
    if error.is_connect() { Error::not_sent(error) } else { Error::lost(error) }
}
