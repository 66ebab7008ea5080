use std::fmt;
use std::time::SystemTime;

use super::callback::Callback;
use super::random::RandomBytes;
use crate::app::App;
use crate::error::Error;

/// Keeps the traits to this crate: no other implementation is checked for the promises of a callback.
#[allow(unreachable_pub, reason = "a public trait requires it")]
pub trait Sealed {}

/// A login that begins by sending a browser to LoginRadius.
pub trait BrowserRequest: Sealed {
    /// What waits for the callback.
    type Pending: Pending;

    /// The address that the callback will come to.
    fn redirect_uri(&self) -> &str;

    /// Makes the address to open, and the pending sign-in to keep until the callback comes.
    ///
    /// `random` comes from the generator of the operating system, fresh for each sign-in. `now` begins the ten
    /// minutes that the sign-in may take.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a setting is missing or cannot be used, or if the
    /// bytes are obviously not random.
    fn begin(&self, app: &App, random: &RandomBytes, now: SystemTime) -> Result<BrowserLogin<Self::Pending>, Error>;
}

/// A sign-in that waits for its callback.
pub trait Pending: Sealed {
    /// What the callback yields.
    type Output;

    /// Reads the callback. The one that belongs to this sign-in consumes it, whatever it says; any other is an
    /// error and leaves it as it is, or else any web page could end a sign-in.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::StateMismatch`](crate::ErrorKind::StateMismatch): it belongs to another sign-in or to none. Go on
    ///   waiting.
    /// - [`ErrorKind::AlreadyCompleted`](crate::ErrorKind::AlreadyCompleted): it came before.
    /// - [`ErrorKind::Expired`](crate::ErrorKind::Expired): it came more than ten minutes after the beginning.
    /// - [`ErrorKind::Denied`](crate::ErrorKind::Denied) and others: LoginRadius refused
    ///   ([`Error::api_error`]).
    /// - [`ErrorKind::InvalidResponse`](crate::ErrorKind::InvalidResponse): it says something twice, or lacks what was asked
    ///   for.
    fn accept(&mut self, callback: &Callback, now: SystemTime) -> Result<Self::Output, Error>;
}

/// The beginning of a sign-in: where to send the browser, and what to keep.
#[non_exhaustive]
pub struct BrowserLogin<P> {
    /// The address to open or to redirect to. Keep it out of logs: who knows its state can finish the sign-in.
    pub url: String,
    /// What the callback will be given to.
    pub pending: P,
}

impl<P: fmt::Debug> fmt::Debug for BrowserLogin<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.url.split('?').next().unwrap_or_default();
        f.debug_struct("BrowserLogin").field("url", &address).field("pending", &self.pending).finish()
    }
}
