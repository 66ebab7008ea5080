//! The receiver of callbacks, adapted to the suite.

use std::thread;
use std::time::Duration;

use loginradius_blocking::browser::Pending;
use loginradius_blocking::browser::loopback::{Host, Pages};
use loginradius_blocking::{Error, LoopbackReceiver};
use loginradius_conformance::Receiver;

#[derive(Debug)]
pub(crate) struct BlockingReceiver(pub(crate) LoopbackReceiver);

impl Receiver for BlockingReceiver {
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
        self.0.receive(pending)
    }

    fn receive_until_cancelled<P: Pending>(self, after: Duration, pending: &mut P) -> Result<P::Output, Error> {
        let canceller = self.0.canceller();
        thread::spawn(move || {
            thread::sleep(after);
            canceller.cancel();
        });
        self.0.receive(pending)
    }
}
