//! What the benchmarks of this crate share.

pub mod canned_server;
pub mod held;
pub mod operations;
pub mod round_trips;
pub mod timing;
pub mod valgrind;

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_blocking::store::MemoryStore;
use loginradius_blocking::{App, Client, Error, RefreshToken, Session, Sessions, TokenSet};
use loginradius_proto::{Body, SendOptions, http};
use loginradius_store::sessions::Transport;

/// The result of a measurement.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The first argument of what this program runs of itself.
pub const WORKER: &str = "worker";

/// Prints a row of a table, as Markdown.
pub fn row(cells: &[&str]) {
    println!("| {} |", cells.join(" | "));
}

/// Makes tokens that are valid for longer than a benchmark takes.
#[must_use]
pub fn tokens() -> TokenSet {
    let mut tokens = TokenSet::new("b8cb84c9-dff7-401a-94c1-7cd44ebf80a0");
    tokens.refresh_token = Some(RefreshToken::from("a795bbb0-5868-4079-a45b-606ad8aeee80"));
    tokens.expires_in = Some(Duration::from_secs(24 * 3600));
    tokens
}

/// Makes a blocking session whose user is signed in.
///
/// # Errors
///
/// If HTTP cannot be set up on this machine.
pub fn blocking_session() -> std::result::Result<Session, Error> {
    let client = Client::new(App::new("my-client-id"))?;
    let session = Sessions::new(&client, MemoryStore::new()).session("ada");
    session.start(&tokens())?;
    Ok(session)
}

/// Makes an async session whose user is signed in. Call it from within a tokio runtime.
///
/// # Errors
///
/// If HTTP cannot be set up on this machine.
pub async fn async_session() -> std::result::Result<loginradius_async::Session, Error> {
    let client = loginradius_async::Client::new(App::new("my-client-id"))?;
    let session = loginradius_async::Sessions::new(&client, MemoryStore::new()).session("ada");
    session.start(&tokens()).await?;
    Ok(session)
}

/// Returns the output of a future that is ready at once; `None` if it is not.
pub fn ready<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// LoginRadius in this process, which responds to each refresh at once.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Server;

impl Transport for Server {
    async fn send(&self, _: http::Request<Body>, _: SendOptions) -> std::result::Result<http::Response<Body>, Error> {
        let body = r#"{"access_token":"3f5cd6cb","expires_in":600,"refresh_token":"c7d1b2a4"}"#;
        Ok(http::Response::new(Body::from(body)))
    }

    async fn sleep_until(&self, until: Instant) {
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}
