//! The interface through which the suite drives a receiver of callbacks.

use std::fmt;
use std::time::Duration;

use loginradius_proto::Error;
use loginradius_proto::browser::Pending;
use loginradius_proto::browser::loopback::{Host, Pages};

/// An adapter's `LoopbackReceiver`.
pub trait Receiver: fmt::Debug + Send + Sized + 'static {
    /// `bind`.
    ///
    /// # Errors
    ///
    /// The receiver's.
    fn bind(port: u16, path: &str) -> Result<Self, Error>;

    /// `bind_to`.
    ///
    /// # Errors
    ///
    /// The receiver's.
    fn bind_to(host: Host, port: u16, path: &str) -> Result<Self, Error>;

    /// `redirect_uri`.
    fn redirect_uri(&self) -> &str;

    /// `timeout`.
    #[must_use]
    fn timeout(self, timeout: Duration) -> Self;

    /// `pages`.
    #[must_use]
    fn pages(self, pages: Pages) -> Self;

    /// `receive`.
    ///
    /// # Errors
    ///
    /// The receiver's.
    fn receive<P: Pending>(self, pending: &mut P) -> Result<P::Output, Error>;

    /// `receive`, cancelled after that time in the adapter's own way.
    ///
    /// # Errors
    ///
    /// The receiver's, or [`ErrorKind::Cancelled`](loginradius_proto::ErrorKind::Cancelled).
    fn receive_until_cancelled<P: Pending>(self, after: Duration, pending: &mut P) -> Result<P::Output, Error>;
}
