use std::fmt;

use super::callback::Callback;
use super::moment::Moment;
use super::random::RandomBytes;
use crate::app::App;
use crate::error::Error;

/// Keeps other crates from implementing the traits, whose promises about callbacks would not be checked there.
#[allow(unreachable_pub, reason = "a public trait requires it")]
pub trait Sealed {}

/// A request that begins a login by sending a browser to LoginRadius:
/// [`AuthorizationRequest`](super::AuthorizationRequest), [`JwtRedirect`](super::JwtRedirect).
pub trait BrowserRequest: Sealed {
    /// The login that waits for the callback.
    type Pending: Pending;

    /// Returns the redirect URI: the address that the callback comes to.
    fn redirect_uri(&self) -> &str;

    /// Makes the URL to open, and the pending login to keep until the callback comes.
    ///
    /// `random` is for this login only. `now` is the present moment, from which the login is valid for 10 minutes: a
    /// `SystemTime`, or a [`Now`](crate::session::Now) with both clocks, which is better ([`Moment`] says why).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a setting or a parameter is missing or cannot
    /// be used. The message names it and says what to change.
    fn begin(
        &self,
        app: &App,
        random: &RandomBytes,
        now: impl Into<Moment>,
    ) -> Result<BrowserLogin<Self::Pending>, Error>;
}

/// A login that waits for its callback: [`PendingLogin`](super::PendingLogin), [`PendingJwt`](super::PendingJwt).
pub trait Pending: Sealed {
    /// What the login's own callback yields.
    type Output;

    /// Accepts the callback of this login, which consumes the login, and refuses any other, which changes nothing: else
    /// any web page could end a login.
    ///
    /// `now` is the present moment, for the 10 minutes that a login is valid ([`Moment`]).
    ///
    /// # Errors
    ///
    /// The login is not consumed; keep waiting:
    ///
    /// - [`ErrorKind::StateMismatch`](crate::ErrorKind::StateMismatch): the callback belongs to another login, or to
    ///   none.
    ///
    /// The login is consumed, now or before; begin another one:
    ///
    /// - [`ErrorKind::AlreadyCompleted`](crate::ErrorKind::AlreadyCompleted): its callback came before.
    /// - [`ErrorKind::Expired`](crate::ErrorKind::Expired): the callback came 10 minutes or more after the login began.
    /// - [`ErrorKind::Denied`](crate::ErrorKind::Denied) and others: LoginRadius refused ([`Error::api_error`]).
    /// - [`ErrorKind::InvalidResponse`](crate::ErrorKind::InvalidResponse): the callback has a parameter twice, lacks
    ///   what was requested, or is of another issuer.
    #[doc(alias("state", "csrf", "verify", "validate"))]
    fn accept(&mut self, callback: &Callback, now: impl Into<Moment>) -> Result<Self::Output, Error>;
}

/// The beginning of a login through a browser: where to send the browser, and what to keep.
#[non_exhaustive]
pub struct BrowserLogin<P> {
    /// The URL to open, or to redirect the browser to. Keep it out of logs: with its state, anyone can forge the
    /// callback.
    pub url: String,
    /// The login that waits for the callback.
    pub pending: P,
}

impl<P: fmt::Debug> fmt::Debug for BrowserLogin<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let without_query = self.url.split('?').next().unwrap_or_default();
        f.debug_struct("BrowserLogin").field("url", &without_query).field("pending", &self.pending).finish()
    }
}
