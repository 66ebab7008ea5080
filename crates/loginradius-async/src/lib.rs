//! Signing in to LoginRadius from async code, over [`reqwest`] and tokio.
//!
//! ```no_run
//! use loginradius_async::{App, Client};
//!
//! # async fn login() -> Result<(), loginradius_async::Error> {
//! let app = App::new("my-client-id").oauth_app("my-oauth-app");
//! let client = Client::new(app)?;
//! let tokens = client
//!     .device_login("email profile", |prompt| {
//!         println!("Open {} and enter {}", prompt.verification_uri, prompt.user_code);
//!     })
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! The protocol is `loginradius-proto`, whose types are here again: every operation of
//! [`oauth`] and [`jwt`] goes to [`Client::call`]. `loginradius-blocking` has the same names for blocking
//! code.
//!
//! A person signs in through a browser by [`Client::browser_login`] on a desktop, by [`Client::begin`] and
//! [`Client::complete`] in a web service. A [`Session`] keeps somebody signed in.
//!
//! What every request gets, also over a `reqwest::ClientBuilder` of your own: no redirects, no retries
//! but this crate's, no proxy to this machine itself, timeouts, a fresh connection where a request must
//! not be lost, an answer of at most 1 MiB, and the body of every status.
//!
//! Futures are `Send`, want a tokio runtime with its time and I/O enabled, and stop when they are dropped.
//!
//! # Logs
//!
//! This crate logs nothing. reqwest logs through `log` and hyper through `tracing`, and nothing of it is
//! secret at any level: reqwest's `connection_verbose`, which logs every byte, is turned off.

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
pub use receiver::LoopbackReceiver;
pub use reqwest;
pub use session::{Session, Sessions, SessionsBuilder};
