//! Signing in to LoginRadius from blocking code, over [`ureq`].
//!
//! ```no_run
//! use loginradius_blocking::{App, Client, oauth::RequestDeviceCode};
//!
//! # fn main() -> Result<(), loginradius_blocking::Error> {
//! let client = Client::new(App::new("my-client-id").with_oauth_app("my-oauth-app"))?;
//! let login = client.begin_device_login(&RequestDeviceCode::new().scope("email profile"))?;
//! println!("Open {} and enter {}", login.grant().verification_uri, login.grant().user_code);
//! let tokens = login.wait()?;
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
//! The protocol is `loginradius-proto`, whose types are here again. `loginradius-async` has the same names for async
//! code.
//!
//! Every request is sent without redirects, without a proxy to this machine itself, with timeouts, over a new connection
//! where it must not be sent twice, and with a response of at most 1 MiB.
//!
//! # Logs
//!
//! This crate logs nothing. ureq logs through the crate `log`, and nothing of it is secret down to the level `Debug`.
//! At `Trace` it logs whole URLs (`ureq::run`) and every byte of requests and responses (`ureq_proto::util`), tokens
//! and passwords included, and has no setting against that: keep `ureq` and `ureq_proto` at `Debug`.

mod builder;
mod cancel;
mod client;
mod device_login;
mod receiver;
mod session;
mod transport;

pub use builder::ClientBuilder;
pub use cancel::Canceller;
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
pub use session::{Session, Sessions, SessionsBuilder};
pub use ureq;
