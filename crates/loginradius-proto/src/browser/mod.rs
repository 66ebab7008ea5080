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
//! use loginradius_proto::browser::{
//!     AuthorizationRequest, BrowserRequest, Callback, Pending, PendingLogin, RandomBytes,
//! };
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
//! let mut bytes = [0; RandomBytes::LENGTH];
//! getrandom::fill(&mut bytes)?; // the crate `getrandom`: the operating system's generator
//! let random = RandomBytes::new(bytes)?;
//!
//! // Send the browser there, and keep the pending sign-in where only that browser's session leads to.
//! let sign_in = AuthorizationRequest::new("https://app.example/callback")
//!     .scope("profile email")
//!     .begin(&app, &random, now)?;
//! assert!(sign_in.url.starts_with("https://cloud-api.loginradius.com/sso/oauth/redirect?client_id=my-client-id"));
//! let stored: String = sign_in.pending.to_json();
//!
//! // The browser comes back. Take the stored value out, so that no second callback finds it.
//! let mut pending = PendingLogin::from_json(&stored)?;
//!
//! // Somebody else's callback is refused, and changes nothing.
//! let strange = Callback::from_query("code=4f2a&state=of-another-sign-in")?;
//! assert_eq!(pending.accept(&strange, now).unwrap_err().kind(), ErrorKind::StateMismatch);
//!
//! # let state = sign_in.url.split("state=").nth(1).unwrap().split('&').next().unwrap();
//! # let query = format!("code=the-code&state={state}");
//! let authorized = pending.accept(&Callback::from_query(&query)?, now + Duration::from_secs(30))?;
//!
//! // A code is good once and for 50 seconds: exchange it at once.
//! let exchange = authorized.exchange().expect("a code was asked for");
//! let request = exchange.request(&app)?;
//! # assert_eq!(pending.accept(&Callback::from_query(&query)?, now).unwrap_err().kind(), ErrorKind::AlreadyCompleted);
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
mod callback;
mod jwt_redirect;
mod login;
pub mod loopback;
mod pending_login;
mod pending_state;
mod random;
mod redirect_uri;
mod response_type;

pub use authorization_request::AuthorizationRequest;
pub use callback::Callback;
pub use jwt_redirect::{JwtRedirect, PendingJwt, ReceivedJwt};
pub use login::{BrowserLogin, BrowserRequest, Pending};
pub use pending_login::{Authorized, PendingLogin};
pub use random::RandomBytes;
pub use response_type::ResponseType;
