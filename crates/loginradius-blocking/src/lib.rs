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
//! | tell this crate what your site expects | [`Service`], [`Dialect`] |
//! | call one operation of [`oauth`] or [`jwt`] | [`Client::call`] |
//! | call another LoginRadius operation | [your own `Endpoint`](Endpoint#an-endpoint-of-your-own), [`Client::call`] |
//! | stay signed in | [`Sessions`] |
//! | store sessions between runs | [`store`] |
//! | see what happens to sessions | [`SessionsBuilder::on_event`], [`SessionEvent`] |
//! | let a login survive a restart | [`DeviceLogin::pending`] and [`Client::resume_device_login`], with [`PendingDevice::to_json`] and [`from_json`](PendingDevice::from_json) in between; [`browser::PendingLogin::to_json`] |
//! | cancel a login | [`Canceller`] |
//! | limit the time of an operation | [`Client::within`], [`DeviceLogin::within`], [`Session::within`] |
//! | find out what to do after an error | [`Error::kind`] |
//! | verify an `id_token` or a JWT | the crate `loginradius-jwt` |
//! | test your own code | the crate `loginradius-emulator`; [`oauth::DeviceGrant::new`], [`TokenSet::new`], [`Error::from_api_error`] |
//!
//! The protocol is `loginradius-proto`, whose types are re-exported here. `loginradius-async` has the same names for
//! async code.
//!
//! Every request
//!
//! - goes to the addresses of the app's [`Service`] and nowhere else, and follows no redirect;
//! - goes through the proxy of [`ClientBuilder::proxy`] or of the environment ([`proxy`] has the rules), except to this
//!   machine itself;
//! - sends no cookie and keeps none, whatever features of ureq the program has turned on;
//! - ends by a timeout ([how long it takes](#how-long-it-takes));
//! - is retried by this crate alone, where that is safe ([`Client::call`]): ureq retries nothing by itself;
//! - goes over a new connection if it must not be sent twice;
//! - fails if its response is longer than 1 MiB, has more than 300 header lines, or takes more than 1.5 MiB on the
//!   wire.
//!
//! # How long it takes
//!
//! Every wait has an end, whatever the server does. These are the longest times by default:
//!
//! | call | at most | changed by |
//! | --- | --- | --- |
//! | [`Client::call`], [`Client::begin_device_login`], [`Client::complete_browser_login`] | 30 s, all attempts together | [`ClientBuilder::timeout`] or [`Retry::max_time`], whichever is longer; [`Client::within`] |
//! | [`Client::send`] | 30 s | [`ClientBuilder::timeout`], [`SendOptions::deadline`] |
//! | [`Client::run`] | as long as the flow says | the flow's deadline |
//! | [`DeviceLogin::wait`] | as long as the code is valid, and the time for the last response: 5 s, or four times what the slowest response took if that is longer, but no more than the timeout | [`DeviceLogin::within`] |
//! | [`DeviceLogin::wait`] of a login that was resumed | a minute longer; if the code has already expired, a minute and the time for the last response | [`DeviceLogin::within`] |
//! | [`Client::device_login`] | the sum of both | [`Client::within`] |
//! | [`LoopbackReceiver::receive`] | 10 minutes, and 6 s to show the browser its page | [`LoopbackReceiver::timeout`] |
//! | [`Client::browser_login`] | that, and 30 s to redeem the code | [`LoopbackReceiver::timeout`], [`ClientBuilder::timeout`], [`Client::within`] |
//! | an operation of a [`Session`] | six minutes ([`SessionPolicy::max_time`]) | [`Session::within`], [`SessionsBuilder::lock_wait`], [`ClientBuilder::timeout`] |
//! | [`Sessions::flush`] | the same, for all sessions in use together | [`SessionsBuilder::lock_wait`], [`ClientBuilder::timeout`] |
//! | [`Canceller::cancel`] | the wait ends after the poll that is being sent, or within 20 ms | [`ClientBuilder::timeout`] |
//!
//! On Linux, the timeout of a socket can come late, by up to an eighth. Your own callbacks and stores add their own
//! time. The system's DNS lookup cannot be stopped: its thread, `dns-lookup`, is left to end by itself when the timeout
//! is over.
//!
//! # Certificates and cryptography
//!
//! If [`ClientBuilder::root_certificates`] is set, only those root certificates are trusted. Otherwise the system's
//! are: those of `SSL_CERT_FILE` and `SSL_CERT_DIR` if one of these variables is set, and Mozilla's if the system has
//! none. They are read with the first server's certificate.
//!
//! TLS is rustls, with the crypto provider that the program has installed. If it has installed none, the provider is
//! aws-lc-rs if the feature `aws-lc-rs` is on (`loginradius-async` turns it on for both), else ring (the feature
//! `ring`, on by default). With no provider at all, [`ClientBuilder::build`] returns an error.
//!
//! # Before the program ends
//!
//! A program that keeps sessions calls [`Sessions::flush`] before it ends. That waits for the refreshes that are
//! running, and saves the tokens that the store does not hold yet. Stop the threads that use sessions first, or they
//! begin new refreshes. Without the flush, dropping the last handle of the sessions [waits for what must not be
//! lost](Sessions#the-end-of-the-program).
//!
//! An end without a flush and without that drop, such as `std::process::exit`, is like a crash. A refresh that it
//! interrupts may have consumed the refresh token and not have stored the next one: then the session is lost, and its
//! user has to sign in again.
//!
//! Nothing else has to be ended: clients, pending logins and receivers can be dropped at any time.
//!
//! # Logs
//!
//! This crate logs nothing. ureq logs through the crate `log`, and nothing secret down to the level `Debug`. At `Trace`
//! it logs whole URLs (`ureq::run`) and every byte of requests and responses (`ureq_proto::util`), including tokens and
//! passwords, and no setting turns that off: keep `ureq` and `ureq_proto` at `Debug`.

mod builder;
mod cancel;
mod client;
mod device_login;
mod receiver;
mod session;
mod transport;
mod unmanaged;
mod wire;

pub use builder::ClientBuilder;
pub use cancel::Canceller;
pub use client::Client;
pub use device_login::DeviceLogin;
pub use loginradius_proto::session::{AdoptionReason, EndReason, SessionEvent, SessionPolicy};
pub use loginradius_proto::{
    AccessToken, Api, ApiError, App, AuthorizationCode, BaseUrl, Body, BodyFormat, Call, CertificateFault,
    ChallengeMethod, ClientAuthentication, ClientSecret, CodeVerifier, ConnectFailure, DeviceCode, DeviceFlow,
    DeviceProgress, Dialect, Endpoint, Error, ErrorKind, FieldError, Flow, IdToken, Jwt, Nonce, Password,
    PendingDevice, ProxyFault, RefreshToken, RequestBuilder, ResponseReader, Retry, RevocationKey, Seed, SendOptions,
    Service, Step, TokenSet, UserAction, browser, http, jwt, oauth, proxy, redacted,
};
pub use loginradius_store as store;
pub use loginradius_store::sessions::Purged;
pub use receiver::LoopbackReceiver;
pub use session::{Session, Sessions, SessionsBuilder};
pub use ureq;
