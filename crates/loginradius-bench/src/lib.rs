//! What the benchmarks of this crate share.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loginradius_blocking::store::MemoryStore;
use loginradius_blocking::{App, Client, Error, RefreshToken, Session, Sessions, TokenSet};

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
pub fn blocking_session() -> Result<Session, Error> {
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
pub async fn async_session() -> Result<loginradius_async::Session, Error> {
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
