//! Signing in to LoginRadius from blocking code, over [`ureq`].
//!
//! ```no_run
//! use loginradius_blocking::{App, Client};
//!
//! # fn main() -> Result<(), loginradius_blocking::Error> {
//! let app = App::new("my-client-id").oauth_app("my-oauth-app");
//! let client = Client::new(app)?;
//! let tokens = client.device_login("email profile", |prompt| {
//!     println!("Open {} and enter {}", prompt.verification_uri, prompt.user_code);
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! The protocol is `loginradius-proto`, whose types are here again: every operation of
//! [`oauth`] and [`jwt`] goes to [`Client::call`]. `loginradius-async` has the same names for async code.
//!
//! A person signs in through a browser by [`Client::browser_login`] on a desktop, by [`Client::begin`] and
//! [`Client::complete`] in a web service. A [`Session`] keeps somebody signed in.
//!
//! What every request gets, also over an agent of your own: no redirects, no proxy to this machine
//! itself, timeouts, a fresh connection where a request must not be lost, an answer of at most 1 MiB, and
//! the body of every status.
//!
//! # Logs
//!
//! This crate logs nothing. ureq logs through the crate `log`, and nothing of it is secret as long as the
//! logger takes no more than `Debug`. One that takes `Trace` gets whole URLs (`ureq::run`) and every byte
//! of requests and answers (`ureq_proto::util`), tokens and passwords included, and ureq has no setting
//! against it: keep `ureq` and `ureq_proto` at `Debug`.

mod builder;
mod client;
mod receiver;
mod session;
mod transport;

pub use builder::ClientBuilder;
pub use client::Client;
pub use loginradius_proto::session::{SessionEvent, SessionPolicy};
pub use loginradius_proto::{
    AccessToken, App, Ask, AuthorizationCode, Body, BodyFormat, Call, ClientSecret, CodeVerifier, DeviceCode,
    DeviceFlow, Endpoint, Error, ErrorKind, Family, FieldError, Flow, IdToken, Jwt, Password, PendingDevice,
    RefreshToken, Retry, SendOptions, Service, ServiceError, Step, TokenSet, browser, http, jwt, oauth, redacted,
};
pub use loginradius_store as store;
pub use receiver::{Canceller, LoopbackReceiver};
pub use session::{Session, Sessions, SessionsBuilder};
pub use ureq;
