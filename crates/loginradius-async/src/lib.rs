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
//! | tell this crate what your site expects | [`Service`], [`Dialect`] |
//! | call one operation of [`oauth`] or [`jwt`] | [`Client::call`] |
//! | call another LoginRadius operation | [your own `Endpoint`](Endpoint#an-endpoint-of-your-own), [`Client::call`] |
//! | stay signed in | [`Sessions`] |
//! | store sessions between runs | [`store`] |
//! | see what happens to sessions | [`SessionsBuilder::on_event`], [`SessionEvent`] |
//! | let a login survive a restart | [`DeviceLogin::pending`] and [`Client::resume_device_login`], with [`PendingDevice::to_json`] and [`from_json`](PendingDevice::from_json) in between; [`browser::PendingLogin::to_json`] |
//! | cancel a login | drop its future: [what that loses](#cancellation-and-shutdown) |
//! | limit the time of an operation | [`Client::within`], [`DeviceLogin::within`], [`Session::within`] |
//! | find out what to do after an error | [`Error::kind`] |
//! | verify an `id_token` or a JWT | the crate `loginradius-jwt` |
//! | test your own code | the crate `loginradius-emulator`; [`oauth::DeviceGrant::new`], [`TokenSet::new`], [`Error::from_api_error`] |
//!
//! The protocol is `loginradius-proto`, whose types are re-exported here. `loginradius-blocking` has the same names for
//! blocking code.
//!
//! Every request
//!
//! - goes to the addresses of the app's [`Service`] and nowhere else, and follows no redirect;
//! - goes through the proxy of [`ClientBuilder::proxy`] or of the environment ([`proxy`] has the rules), except to this
//!   machine itself;
//! - sends no cookie and keeps none, and is HTTP/1.1, whatever features of reqwest the program has turned on;
//! - ends by a timeout, whatever the server sends ([how long it takes](#how-long-it-takes));
//! - is retried by this crate alone, where that is safe ([`Client::call`]): reqwest's own retries are off;
//! - goes over a new connection if it must not be sent twice;
//! - fails if its response is longer than 1 MiB, or has more than 300 header lines.
//!
//! # Runtimes
//!
//! Futures are `Send`, and run anywhere: in every tokio runtime, whether its time and I/O are enabled or not, and in
//! other executors. Sockets, timers and stores are used on threads of this crate: `loginradius-http` for each client,
//! `loginradius-sessions` for each [`Sessions`], `loginradius-callback` for each receiver that waits,
//! `loginradius-dns` for each name that is being looked up (256 at most), and `loginradius-timer` for all. Each thread
//! ends when nothing that needs it is left. Paused tokio clocks have no effect on them.
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
//!
//! A server that sends without end can make a request end up to two seconds late. Your own callbacks and stores add
//! their own time. The system's DNS lookup cannot be stopped: its thread is left to end by itself when the timeout is
//! over.
//!
//! # Connections
//!
//! A client reads and writes its connections on its own thread, which begins with the first request and ends with the
//! last clone of the client. So a server that sends without end blocks nothing on your runtime. A client can also be
//! used from several runtimes, even if some are idle or have ended. Make one client for each app, and clone it.
//!
//! # Certificates and cryptography
//!
//! If [`ClientBuilder::root_certificates`] is set, only those root certificates are trusted. Otherwise the system's
//! are: those of `SSL_CERT_FILE` and `SSL_CERT_DIR` if one of these variables is set, and Mozilla's if the system has
//! none. They are read with the first server's certificate: a client that uses only http addresses of this machine
//! reads none.
//!
//! TLS is rustls, with the crypto provider that the program has installed, or aws-lc-rs if it has installed none.
//!
//! # Cancellation and shutdown
//!
//! To cancel an operation, drop its future. A future that was never polled has done nothing. Otherwise:
//!
//! | dropped future | what that loses |
//! | --- | --- |
//! | [`Client::call`] | The response. The request may have taken effect, and a code or a refresh token that it carried may be consumed. |
//! | [`Client::begin_device_login`] | The code: begin another login. |
//! | [`DeviceLogin::wait`] | The wait. If a poll was being sent, its response may have held the tokens, and they are lost. Otherwise the login can be resumed, if [`DeviceLogin::pending`] was stored before. |
//! | [`Client::device_login`] | The login, which cannot be resumed. |
//! | [`Client::complete_browser_login`] | The login: its callback is consumed, and its code may be. Begin another login. |
//! | [`Client::browser_login`], [`LoopbackReceiver::receive`] | The login. Nothing listens on the port any more. |
//! | an operation of a [`Session`] | The result alone. What has begun continues. A start, a sign-out or a forget that still waits for another operation of the session does not begin: call it again. |
//!
//! To limit the time of a session's operation, use [`Session::within`]. When its time is over, an access token that is
//! still valid is returned. `tokio::time::timeout` drops the future instead, and the caller gets no token. The refresh
//! continues in both cases.
//!
//! A program that keeps sessions awaits [`Sessions::flush`] before it ends. That waits for the refreshes that are
//! running, and saves the tokens that the store does not hold yet. Stop the tasks that use sessions first, or they
//! begin new refreshes. Without the flush, dropping the last handle of the sessions blocks its thread, and [waits for
//! what must not be lost](Sessions#the-end-of-the-program). The end of a runtime stops no refresh. The end of the
//! process does: a refresh that it interrupts may have consumed the refresh token and not have stored the next one.
//! Then the session is lost, and its user has to sign in again.
//!
//! Nothing else has to be ended: clients, pending logins and receivers can be dropped at any time, and anywhere.
//!
//! # Logs
//!
//! This crate logs nothing. reqwest logs through `log` and hyper through `tracing`, and nothing secret at any level:
//! reqwest's `connection_verbose`, which logs every byte, is turned off.

mod builder;
mod client;
mod device_login;
mod driver;
mod failure;
mod lazy_thread;
mod receiver;
mod resolver;
mod route;
mod runtime_thread;
mod session;
mod timer;
mod transport;

pub use builder::ClientBuilder;
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
pub use reqwest;
pub use session::{Session, Sessions, SessionsBuilder};
