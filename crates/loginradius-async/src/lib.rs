//! Signing in to LoginRadius from async code, over [`reqwest`] and tokio.
//!
//! ```no_run
//! use loginradius_async::{App, Client, oauth::RequestDeviceCode};
//!
//! # async fn login() -> Result<(), loginradius_async::Error> {
//! let client = Client::new(App::new("my-client-id").with_oauth_app("my-oauth-app"))?;
//! let login = client.begin_device_login(&RequestDeviceCode::new().scope("email profile")).await?;
//! println!("Open {} and enter {}", login.grant().verification_uri, login.grant().user_code);
//! let tokens = login.wait().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | to | use |
//! | --- | --- |
//! | sign in a device | [`Client::begin_device_login`] |
//! | sign in through a browser, in a desktop program | [`Client::browser_login`] |
//! | sign in through a browser, in a web service | [`Client::begin_browser_login`], [`Client::complete_browser_login`] |
//! | call one operation of [`oauth`] or [`jwt`] | [`Client::call`] |
//! | call another API of LoginRadius | [an `Endpoint` of your own](Endpoint#an-endpoint-of-your-own), [`Client::call`] |
//! | stay signed in | [`Sessions`] |
//! | limit the time of an operation | [`Client::within`], [`Session::within`] |
//! | find out what to do after an error | [`Error::kind`] |
//!
//! The protocol is `loginradius-proto`, whose types are here again. `loginradius-blocking` has the same names for
//! blocking code.
//!
//! Every request is sent without redirects, without retries but this crate's, without a proxy to this machine itself,
//! with timeouts, over a new connection where it must not be sent twice, and with a response of at most 1 MiB.
//!
//! Futures are `Send`, need a tokio runtime with its time and I/O enabled, and stop when they are dropped.
//!
//! # Logs
//!
//! This crate logs nothing. reqwest logs through `log` and hyper through `tracing`, and nothing of it is
//! secret at any level: reqwest's `connection_verbose`, which logs every byte, is turned off.

mod builder;
mod client;
mod device_login;
mod receiver;
mod session;
mod transport;

pub use builder::ClientBuilder;
pub use client::Client;
pub use device_login::DeviceLogin;
pub use loginradius_proto::session::{AdoptionReason, EndReason, SessionEvent, SessionPolicy};
pub use loginradius_proto::{
    AccessToken, Api, ApiError, App, AuthorizationCode, BaseUrl, Body, BodyFormat, Call, ChallengeMethod,
    ClientAuthentication, ClientSecret, CodeVerifier, DeviceCode, DeviceFlow, DeviceProgress, Dialect, Endpoint, Error,
    ErrorKind, FieldError, Flow, IdToken, Jwt, Nonce, Password, PendingDevice, RefreshToken, RequestBuilder,
    ResponseReader, Retry, RevocationKey, Seed, SendOptions, Service, Step, TokenSet, UserAction, browser, http, jwt,
    oauth, redacted,
};
pub use loginradius_store as store;
pub use receiver::LoopbackReceiver;
pub use reqwest;
pub use session::{Session, Sessions, SessionsBuilder};
