//! Signing in to LoginRadius, without any I/O.
//!
//! This crate builds [`http::Request`] values and reads answers; it opens no socket, reads no clock,
//! starts no thread and draws no random number. Bring a transport of your own, or use one of the
//! adapters: `loginradius-blocking` (ureq) and `loginradius-async` (reqwest).
//!
//! # One call
//!
//! An [`Endpoint`] is one operation of LoginRadius: [`oauth`] and [`jwt`] hold one struct for each.
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
//! // Send it as you like, and give the answer back, whatever its status.
//! let answer = http::Response::new(Body::from(
//!     r#"{"access_token":"b8cb84c9","token_type":"access_token","expires_in":394,"refresh_token":"c7d1"}"#,
//! ));
//! let tokens = refresh.response(&app, answer)?;
//! assert_eq!(tokens.refresh_token.unwrap().expose(), "c7d1");
//! # Ok(())
//! # }
//! ```
//!
//! # One device sign-in
//!
//! A [`Flow`] is a conversation of several requests and waits: [`Call`] sends one operation, again where
//! that is safe; [`DeviceFlow`] polls until the person has decided. Its page walks through a whole one.
//!
//! # One sign-in through a browser
//!
//! [`browser`] makes the address to open, and believes the one callback that belongs to it; its page walks through
//! a whole one.
//!
//! # One session
//!
//! A [`session::SessionFlow`] gets an access token that is good, refreshing and storing it where needed; its
//! page walks through a sign-in and a refresh.
//!
//! # Errors
//!
//! One [`Error`]: its [`kind`](Error::kind) says what to do, [`service`](Error::api_error) what LoginRadius
//! said. No error shows a secret.

mod api;
mod app;
mod body;
pub mod browser;
mod device;
mod dialect;
mod endpoint;
mod error;
mod flow;
mod jitter;
pub mod jwt;
pub mod oauth;
mod redacted;
mod request;
mod route;
mod secret;
mod service;
pub mod session;
#[cfg(test)]
mod testing;
mod token;
mod wire;

pub use http;

pub use api::Api;
pub use app::App;
pub use body::Body;
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
