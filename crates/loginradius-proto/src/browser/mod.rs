//! Signing in through a browser: the way out, the way back, and what has to be remembered in between.
//!
//! [`AuthorizationRequest`] and [`JwtRedirect`] are the two ways out. Each makes the address to open and a
//! *pending* sign-in, which waits for the [`Callback`] that belongs to it. State, PKCE and nonce are made here
//! from random bytes of yours, and checked here.
//!
//! # One sign-in
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use loginradius_proto::browser::{AuthorizationRequest, BrowserRequest, Callback, Pending, PendingSignIn};
//! use loginradius_proto::{App, Endpoint, ErrorKind};
//!
//! # fn main() -> Result<(), loginradius_proto::Error> {
//! # mod getrandom {
//! #     pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), loginradius_proto::Error> {
//! #         (0..).zip(bytes).for_each(|(index, byte)| *byte = index);
//! #         Ok(())
//! #     }
//! # }
//! let app = App::new("my-client-id");
//! let now = SystemTime::now();
//! let mut random = [0; 96];
//! getrandom::fill(&mut random)?; // the crate `getrandom`: the operating system's generator
//!
//! // Send the browser there, and keep the pending sign-in where only that browser's session leads to.
//! let sign_in = AuthorizationRequest::new("https://app.example/callback")
//!     .scope("profile email")
//!     .begin(&app, &random, now)?;
//! assert!(sign_in.url.starts_with("https://cloud-api.loginradius.com/sso/oauth/redirect?client_id=my-client-id"));
//! let stored: String = sign_in.pending.to_json();
//!
//! // The browser comes back. Take the stored value out, so that no second callback finds it.
//! let mut pending = PendingSignIn::from_json(&stored)?;
//!
//! // Somebody else's callback is refused, and changes nothing.
//! let strange = Callback::from_query("code=4f2a&state=of-another-sign-in")?;
//! assert_eq!(pending.accept(&strange, now).unwrap_err().kind(), ErrorKind::Unrelated);
//!
//! # let state = sign_in.url.split("state=").nth(1).unwrap().split('&').next().unwrap();
//! # let query = format!("code=the-code&state={state}");
//! let authorized = pending.accept(&Callback::from_query(&query)?, now + Duration::from_secs(30))?;
//!
//! // A code is good once and for 50 seconds: exchange it at once.
//! let exchange = authorized.exchange().expect("a code was asked for");
//! let request = exchange.request(&app)?;
//! # assert_eq!(pending.accept(&Callback::from_query(&query)?, now).unwrap_err().kind(), ErrorKind::Finished);
//! # Ok(())
//! # }
//! ```
//!
//! # On a desktop
//!
//! A program without a web server receives the callback on a port of this machine ([RFC 8252]): [`loopback`] is
//! its side of HTTP, and the adapters have a receiver.
//!
//! [RFC 8252]: https://www.rfc-editor.org/rfc/rfc8252

mod authorization_request;
mod awaiting;
mod callback;
mod jwt_redirect;
pub mod loopback;
mod pending_sign_in;
mod random;
mod redirect_uri;

use std::fmt;
use std::time::SystemTime;

use crate::{App, Error};

pub use authorization_request::{AuthorizationRequest, ChallengeMethod, ResponseType};
pub use callback::Callback;
pub use jwt_redirect::{JwtRedirect, PendingJwt, ReceivedJwt};
pub use pending_sign_in::{Authorized, PendingSignIn};
pub use random::RandomBytes;

/// A sign-in that begins by sending a browser to LoginRadius.
pub trait BrowserRequest {
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
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) if a setting is missing or cannot be used, or if the
    /// bytes are obviously not random.
    fn begin(&self, app: &App, random: &RandomBytes, now: SystemTime) -> Result<BrowserSignIn<Self::Pending>, Error>;
}

/// A sign-in that waits for its callback.
pub trait Pending {
    /// What the callback yields.
    type Output;

    /// Reads the callback. The one that belongs to this sign-in consumes it, whatever it says; any other is an
    /// error and leaves it as it is, or else any web page could end a sign-in.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Unrelated`](crate::ErrorKind::Unrelated): it belongs to another sign-in or to none. Go on
    ///   waiting.
    /// - [`ErrorKind::Finished`](crate::ErrorKind::Finished): it came before.
    /// - [`ErrorKind::Expired`](crate::ErrorKind::Expired): it came more than ten minutes after the beginning.
    /// - [`ErrorKind::Denied`](crate::ErrorKind::Denied) and others: LoginRadius refused
    ///   ([`Error::service`]).
    /// - [`ErrorKind::BadAnswer`](crate::ErrorKind::BadAnswer): it says something twice, or lacks what was asked
    ///   for.
    fn accept(&mut self, callback: &Callback, now: SystemTime) -> Result<Self::Output, Error>;
}

/// The beginning of a sign-in: where to send the browser, and what to keep.
#[non_exhaustive]
pub struct BrowserSignIn<P> {
    /// The address to open or to redirect to. Keep it out of logs: who knows its state can finish the sign-in.
    pub url: String,
    /// What the callback will be given to.
    pub pending: P,
}

impl<P: fmt::Debug> fmt::Debug for BrowserSignIn<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.url.split('?').next().unwrap_or_default();
        f.debug_struct("BrowserSignIn").field("url", &address).field("pending", &self.pending).finish()
    }
}
