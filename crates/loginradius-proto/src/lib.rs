//! Signing in to LoginRadius as pure functions and state machines, without any I/O.
//!
//! This crate makes each [`http::Request`] and reads each [`http::Response`]; sending is up to you. It opens no socket,
//! reads no clock, starts no thread and draws no random number: all of these are arguments.
//!
//! To sign in with a ready-made HTTP client, use an adapter instead: `loginradius-blocking` (ureq) or
//! `loginradius-async` (reqwest). This crate is for you if
//!
//! - you have [a transport of your own](#a-transport-of-your-own): another HTTP client, an event loop, a device;
//! - you [test or fuzz](#tests-and-fuzzing) the protocol, and need the same run again;
//! - you write [an operation of your own](#an-operation-of-your-own): LoginRadius has hundreds.
//!
//! | to | use |
//! | --- | --- |
//! | send one operation | [`Endpoint::request`], [`Endpoint::response`] of a type in [`oauth`] or [`jwt`] |
//! | send it with retries, timeouts and a deadline | [`Call`] |
//! | sign in a device | [`oauth::RequestDeviceCode`], then [`DeviceFlow`] |
//! | sign in through a browser | [`browser`] |
//! | receive the browser's callback on this machine | [`browser::loopback`] |
//! | stay signed in: refresh, store, sign out | [`session`] |
//! | drive any of these over your transport | the loop of [`Flow`], [a transport](Flow#a-transport) |
//! | call another LoginRadius operation | [an `Endpoint` of your own](Endpoint#an-endpoint-of-your-own) |
//! | reach a site, a custom domain, a gateway or an emulator | [`Service`] |
//! | find the proxy of a request | [`proxy::ProxySettings`] |
//! | write requests as your app at LoginRadius expects them | [`Dialect`] |
//! | find out what to do after an error | [`Error::kind`], the table of [`ErrorKind`] |
//! | log a request without its secrets | [`redacted`] |
//!
//! # A transport of your own
//!
//! The smallest transport is a function from a request to a response. An [`Endpoint`] is one operation of LoginRadius;
//! it makes the request and reads the response, whatever its status:
//!
//! ```
//! use loginradius_proto::{App, Body, Endpoint, oauth::RefreshAccessToken};
//!
//! # fn main() -> Result<(), loginradius_proto::Error> {
//! let app = App::new("my-api-key").with_client_secret("my-api-secret");
//! let refresh = RefreshAccessToken::new("a795bbb0-5868-4079-a45b-606ad8aeee80");
//!
//! let request = refresh.request(&app)?;
//! assert_eq!(request.method(), "POST");
//! assert_eq!(request.uri(), "https://cloud-api.loginradius.com/sso/oauth/access_token/refresh");
//!
//! # let send = |_: http::Request<Body>| http::Response::new(Body::from(
//! #     r#"{"access_token":"b8cb84c9","token_type":"access_token","expires_in":394,"refresh_token":"c7d1"}"#,
//! # ));
//! let response: http::Response<Body> = send(request); // yours
//! let tokens = refresh.response(&app, response)?;
//! assert_eq!(tokens.refresh_token.unwrap().expose(), "c7d1");
//! # Ok(())
//! # }
//! ```
//!
//! What takes several requests and waits is a state machine: [`Call`] (one operation with retries) and [`DeviceFlow`]
//! are a [`Flow`], whose page has the loop that drives them, a dozen lines long, and
//! [what a transport has to do](Flow#a-transport). [`session::SessionFlow`] uses a store as well, and has
//! [its own loop](session::SessionFlow).
//!
//! # Tests and fuzzing
//!
//! Time and randomness are arguments, so a run is repeated exactly by its instants and its [`Seed`]. These take bytes
//! or text from outside; none of them panics:
//!
//! | input | entry point |
//! | --- | --- |
//! | a response to an operation | [`Endpoint::response`] |
//! | responses and failures over time | [`Flow::step`], [`Flow::receive`] |
//! | a redirect callback | [`browser::Callback::from_url`], [`from_query`](browser::Callback::from_query), [`from_fragment`](browser::Callback::from_fragment), [`from_form`](browser::Callback::from_form), then [`browser::Pending::accept`] |
//! | a browser's bytes at the loopback receiver | [`browser::loopback::Connection::read`] |
//! | proxy settings | [`proxy::ProxySettings::all`], [`from_variables`](proxy::ProxySettings::from_variables), then [`proxy_for`](proxy::ProxySettings::proxy_for) |
//! | what was stored | [`PendingDevice::from_json`], [`browser::PendingLogin::from_json`], [`browser::PendingJwt::from_json`], [`session::StoredRecord`], given to a [`session::SessionFlow`] |
//!
//! ```
//! use loginradius_proto::{App, Body, Endpoint, oauth::RefreshAccessToken};
//!
//! fn fuzz(data: &[u8]) {
//!     let response = http::Response::new(Body::from(data.to_vec()));
//!     if let Err(error) = RefreshAccessToken::new("s3cret").response(&App::new("my-client-id"), response) {
//!         assert!(!error.to_string().contains("s3cret"));
//!     }
//! }
//! # fuzz(br#"{"error":"invalid_grant","error_description":"s3cret is not valid"}"#);
//! ```
//!
//! In tests of your own code, [`Error::from_api_error`], [`oauth::DeviceGrant::new`], [`TokenSet::new`] and
//! [`SendOptions::new`] make values that otherwise come from a server or a flow.
//!
//! # An operation of your own
//!
//! [Implement `Endpoint`](Endpoint#an-endpoint-of-your-own) in some twenty lines: a [`RequestBuilder`] makes the
//! request, a [`ResponseReader`] reads the response. [`Call`] and the adapters then give it what the operations
//! of this crate get: retries, limits and redacted errors.
//!
//! # Errors
//!
//! There is one [`Error`]. Its [`kind`](Error::kind) decides what to do ([`ErrorKind`] has a table), and its
//! [`api_error`](Error::api_error) is what LoginRadius responded. No error shows a secret.

mod api;
mod app;
mod body;
pub mod browser;
mod connect;
mod device;
mod dialect;
mod endpoint;
mod error;
mod flow;
mod jitter;
pub mod jwt;
pub mod oauth;
pub mod proxy;
mod redacted;
mod request;
mod route;
mod secret;
mod secret_buffer;
mod secret_text;
mod service;
pub mod session;
mod sha256;
mod shared_secret;
#[cfg(test)]
mod testing;
mod text_form;
mod token;
mod urls;
mod wire;

pub use http;

pub use api::Api;
pub use app::App;
pub use body::{Body, BodyBuffer};
pub use connect::{CertificateFault, ConnectFailure, ProxyFault};
pub use device::{DeviceFlow, DeviceProgress, PendingDevice};
pub use dialect::{BodyFormat, ChallengeMethod, ClientAuthentication, Dialect, RevocationKey};
pub use endpoint::Endpoint;
pub use error::{ApiError, Error, ErrorKind, FieldError, UserAction};
pub use flow::{Call, Flow, Retry, SendOptions, Step};
pub use jitter::Seed;
pub use redacted::redacted;
pub use request::RequestBuilder;
pub use secret::{
    AccessToken, AuthorizationCode, ClientSecret, CodeVerifier, DeviceCode, IdToken, Jwt, Nonce, Password, RefreshToken,
};
pub use service::{BaseUrl, Service};
pub use token::TokenSet;
pub use wire::response::ResponseReader;
