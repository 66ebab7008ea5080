//! Signing in through a browser: the authorization code flow with PKCE ([RFC 6749, section 4.1]; [RFC 7636]), and
//! LoginRadius's JWT redirect.
//!
//! 1. [`AuthorizationRequest`] or [`JwtRedirect`] makes the URL to open and a *pending* login
//!    ([`BrowserRequest::begin`]).
//! 2. The user signs in at LoginRadius, which sends the browser back to your redirect URI.
//! 3. The pending login accepts the [`Callback`] that belongs to it, and no other ([`Pending::accept`]).
//! 4. It yields a code, which [`Authorized::exchange`] redeems for tokens; or tokens; or a JWT.
//!
//! State, PKCE verifier and nonce are made here from your [`RandomBytes`], and checked here. Keep the pending login
//! secret, and in the session of *that browser* (by a cookie; in the cookie itself only if it is encrypted). A callback
//! is accepted only from the browser that began the login: otherwise an attacker could sign a victim in to the
//! attacker's account ([RFC 9700, section 4.7]).
//!
//! | to | use |
//! | --- | --- |
//! | get tokens | [`AuthorizationRequest`] |
//! | get a JWT | [`JwtRedirect`] |
//! | keep a login while the browser is away | [`PendingLogin::to_json`], [`PendingJwt::to_json`] |
//! | tell several pending logins of one browser apart | [`Callback::state`], [`PendingLogin::expose_state`] |
//! | keep a browser's prefetch from consuming a login, in a web service | [`is_navigation`] |
//! | receive the callback on this machine, in a desktop program | [`loopback`], or an adapter's receiver |
//!
//! # One login
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
//! // Redirect the browser to the URL, and keep the pending login in that browser's own session.
//! let login = AuthorizationRequest::new("https://app.example/callback")
//!     .scope("profile email")
//!     .begin(&app, &random, now)?;
//! assert!(login.url.starts_with("https://cloud-api.loginradius.com/sso/oauth/redirect?client_id=my-client-id"));
//! let stored: String = login.pending.to_json();
//!
//! // The browser comes back. Take the stored login out of the browser's session, so that no second callback finds it.
//! let mut pending = PendingLogin::from_json(&stored)?;
//!
//! // A callback with another state changes nothing: put the login back, so that a forged callback cannot cancel it.
//! let other = Callback::from_query("code=4f2a&state=of-another-login")?;
//! assert_eq!(pending.accept(&other, now).unwrap_err().kind(), ErrorKind::StateMismatch);
//! let stored = pending.to_json();
//! # let mut pending = PendingLogin::from_json(&stored)?;
//!
//! # let state = login.url.split("state=").nth(1).unwrap().split('&').next().unwrap();
//! # let query = format!("code=the-code&state={state}");
//! let authorized = pending.accept(&Callback::from_query(&query)?, now + Duration::from_secs(30))?;
//!
//! // A code is valid once and for 50 seconds: redeem it at once. After any error from here on, begin a new login.
//! let exchange = authorized.exchange().expect("a code was requested");
//! let request = exchange.request(&app)?;
//! # assert_eq!(pending.accept(&Callback::from_query(&query)?, now).unwrap_err().kind(), ErrorKind::AlreadyCompleted);
//! # Ok(())
//! # }
//! ```
//!
//! # Desktop programs
//!
//! A program without a web server receives the callback on a port of this machine ([RFC 8252, section 7.3]).
//! [`loopback`] is the HTTP part of that, without sockets; the adapters have a whole receiver.
//!
//! [RFC 6749, section 4.1]: https://www.rfc-editor.org/rfc/rfc6749#section-4.1
//! [RFC 7636]: https://www.rfc-editor.org/rfc/rfc7636
//! [RFC 8252, section 7.3]: https://www.rfc-editor.org/rfc/rfc8252#section-7.3
//! [RFC 9700, section 4.7]: https://www.rfc-editor.org/rfc/rfc9700#section-4.7

mod authorization_request;
mod callback;
mod jwt_redirect;
mod login;
pub mod loopback;
mod loopback_host;
mod loopback_page;
mod moment;
mod navigation;
mod pending_login;
mod pending_state;
mod random;
mod redirect_uri;
mod response_type;

pub use authorization_request::AuthorizationRequest;
pub use callback::Callback;
pub use jwt_redirect::{JwtRedirect, PendingJwt, ReceivedJwt};
pub use login::{BrowserLogin, BrowserRequest, Pending};
pub use moment::Moment;
pub use navigation::is_navigation;
pub use pending_login::{Authorized, PendingLogin};
pub use random::RandomBytes;
pub use response_type::ResponseType;
