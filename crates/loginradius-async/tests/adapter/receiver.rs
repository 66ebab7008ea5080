//! The receiver of callbacks on a runtime of one thread, adapted to the suite.

use std::time::Duration;

use loginradius_async::browser::loopback::{Host, Pages};
use loginradius_async::browser::{Pending, loopback};
use loginradius_async::{Error, LoopbackReceiver};
use loginradius_conformance::Receiver;

#[derive(Debug)]
pub(crate) struct AsyncReceiver(pub(crate) LoopbackReceiver);

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

impl Receiver for AsyncReceiver {
    fn bind(port: u16, path: &str) -> Result<Self, Error> {
        LoopbackReceiver::bind(port, path).map(Self)
    }

    fn bind_to(host: Host, port: u16, path: &str) -> Result<Self, Error> {
        LoopbackReceiver::bind_to(host, port, path).map(Self)
    }

    fn redirect_uri(&self) -> &str {
        self.0.redirect_uri()
    }

    fn timeout(self, timeout: Duration) -> Self {
        Self(self.0.timeout(timeout))
    }

    fn pages(self, pages: Pages) -> Self {
        Self(self.0.pages(pages))
    }

    fn receive<P: Pending>(self, pending: &mut P) -> Result<P::Output, Error> {
        block_on(self.0.receive(pending))
    }

    /// By dropping the future.
    fn receive_until_cancelled<P: Pending>(self, after: Duration, pending: &mut P) -> Result<P::Output, Error> {
        block_on(async {
            let received = tokio::time::timeout(after, self.0.receive(pending)).await;
            received.unwrap_or_else(|_| Err(loopback::cancelled()))
        })
    }
}
