//! An emulator of LoginRadius's login endpoints on localhost, made from LoginRadius's public documentation. It is not
//! LoginRadius; what the documentation leaves open follows the RFCs.
//!
//! Point `loginradius-blocking` or `loginradius-async` at it by the URL of its service, and sign in as a seeded user:
//!
//! ```ignore
//! use loginradius_blocking::oauth::AccessTokenByPassword;
//! use loginradius_blocking::{App, Client, Service};
//! use loginradius_emulator::{Emulator, seeded};
//!
//! let emulator = Emulator::start()?;
//! let app = App::new(seeded::CLIENT_ID)
//!     .with_client_secret(seeded::CLIENT_SECRET)
//!     .with_oauth_app(seeded::OAUTH_APP)
//!     .with_jwt_app(seeded::JWT_APP)
//!     .with_service(Service::classic_at(emulator.base_url())?); // or `Service::site_at`
//! let client = Client::new(app)?;
//! let tokens = client.call(&AccessTokenByPassword::new(seeded::ADA.email, seeded::ADA.password))?;
//! assert!(emulator.is_live_access_token(tokens.access_token.expose()));
//! ```
//!
//! | to | use |
//! | --- | --- |
//! | point another client at it | [`Emulator::base_url`] and the [URLs below](#what-it-serves) |
//! | sign in, know the clients, apps and users | [`seeded`]; [`Emulator::login`] signs in without a request |
//! | act as the user on a device or in a browser | [`Emulator::approve`], [`Emulator::deny`], [`Emulator::authorize`], [`Emulator::deny_authorization`] |
//! | fault the next `n` requests for an operation | [`Emulator::fault_times`] with a [`Fault`] |
//! | fault the third request only | `fault_times(operation, Fault::None, 2)`, then `fault_times(operation, fault, 1)` |
//! | fault every request from now on | [`Emulator::fault`]; [`Emulator::clear_faults`] ends it |
//! | lose a response after the refresh token was consumed | [`Fault::DropAfter`]; with [`Fault::DropBefore`] it is not consumed |
//! | respond with a status or a body of your own | [`Fault::Status`], [`Fault::Respond`]: no refresh token is consumed |
//! | expire access tokens | [`Emulator::expire_access_tokens`] |
//! | move the clock | [`Emulator::advance`], also to expire codes, grants and refresh tokens |
//! | end all logins | [`Emulator::end_all_logins`] |
//! | list what was received and issued | [`Emulator::requests`], [`Emulator::logins`], [`Emulator::replayed`], [`Emulator::counters`] |
//! | run on a fixed port | [`Builder::port`], or the program: `cargo run -p loginradius-emulator`, on port 8710 |
//! | change lifetimes, redirect URIs and the like | [`Builder`] |
//!
//! **The emulator's clock is not the program's clock.** Neither `advance` nor `expire_access_tokens` tells the program
//! anything: a session still believes in its access token, until that expires by the program's clock, or until an API
//! responds with 401 and the program calls `refresh_rejected`.
//!
//! With any HTTP client, a test starts an emulator on a free port, acts as the user, moves the clock and sets faults:
//!
//! ```
//! use std::time::Duration;
//!
//! use loginradius_emulator::{Emulator, Fault, GrantState, Operation, seeded};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let emulator = Emulator::start()?;
//!
//! // A device requests a code...
//! let url = format!("{}/sso/oauth/{}/device", emulator.base_url(), seeded::OAUTH_APP);
//! ureq::post(&url).send_form([("client_id", seeded::CLIENT_ID)])?;
//!
//! // ...and the user approves it.
//! let grant = emulator.device_grants().remove(0);
//! emulator.approve(&grant.user_code)?;
//! assert_eq!(emulator.device_grants()[0].state, GrantState::Approved);
//!
//! // Half an hour later the code has expired.
//! emulator.advance(Duration::from_secs(1800));
//! assert_eq!(emulator.device_grants()[0].state, GrantState::Expired);
//!
//! // The emulator acts on the next request, but its response is lost.
//! emulator.fault_times(Operation::DeviceCode, Fault::DropAfter, 1);
//! assert!(ureq::post(&url).send_form([("client_id", seeded::CLIENT_ID)]).is_err());
//! assert_eq!(emulator.device_grants().len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # What it serves
//!
//! LoginRadius's two sets of URLs, the classic API and the site API, on the same port:
//!
//! | operation | classic API | site API |
//! |---|---|---|
//! | [`DeviceCode`](Operation::DeviceCode) | `POST /sso/oauth/{OAuthName}/device` | `POST /api/oauth/{app}/device` |
//! | [`DeviceToken`](Operation::DeviceToken) | `POST /sso/oauth/{OAuthName}/access_token` | `POST /api/oauth/{app}/token` |
//! | [`CodeExchange`](Operation::CodeExchange) | `POST /sso/oauth/access_token` | `POST /api/oauth/{app}/token` |
//! | [`Password`](Operation::Password) | `POST /sso/oauth/access_token` | `POST /api/oauth/{app}/token` |
//! | [`Refresh`](Operation::Refresh) | `POST /sso/oauth/access_token/refresh` | `POST /api/oauth/{app}/token` |
//! | [`Revoke`](Operation::Revoke) | `POST /sso/oauth/refresh_token/revoke` | `POST /api/oauth/{app}/revoke` |
//! | [`JwtToken`](Operation::JwtToken) | `GET /sso/jwt/api/token` | `GET /api/jwt/{app}/token` |
//! | [`JwtLogin`](Operation::JwtLogin) | `POST /sso/jwt/api/login` | `POST /api/jwt/{app}/login` |
//! | [`Authorize`](Operation::Authorize) | `GET /sso/oauth/redirect` | `GET /service/oauth/{app}/authorize` |
//! | [`JwtRedirect`](Operation::JwtRedirect) | `GET /sso/jwt/redirect/token` | `GET /service/jwt/{app}/authorize` |
//!
//! Two operations take the user's access token as a bearer token (RFC 6750, section 2.1). At LoginRadius they are at
//! `api.loginradius.com`:
//!
//! | operation | URL | response |
//! |---|---|---|
//! | [`Profile`](Operation::Profile) | `GET /identity/v2/auth/account?apikey={key}` | an object with `Uid`, `FullName`, `Email` and other fields |
//! | [`AddEmail`](Operation::AddEmail) | `POST /identity/v2/auth/email?apikey={key}` | `{"IsPosted":true}` |
//!
//! Any other path is responded to with 404.
//!
//! The operations in a browser show pages: the user signs in, allows the application (a JWT needs no consent), and is
//! sent back to it. [`Emulator::authorize`] does this without a browser. `verification_uri` is `/device`, the first of
//! the pages on which a user approves a device. `/` lists what is [`seeded`].
//!
//! JWTs are signed with one of the nine algorithms of LoginRadius's "JWT Implementation Guide", and each algorithm has
//! a JWT app: [`seeded::JWT_APPS`]. LoginRadius documents no URL of public keys, since there the key pair is the
//! customer's. The emulator has its own: `GET /keys/{jwtapp}.pem` and `GET /keys/{jwtapp}/jwks`.
//!
//! # What it refuses
//!
//! The emulator refuses what LoginRadius's documentation says is refused, with the documented bodies and codes. Its
//! tests send every documented sample. Where the documentation is silent:
//!
//! - Refresh tokens rotate. A consumed one that is sent again ends its login, access tokens included, unless it is sent
//!   within [`Builder::refresh_grace`]. [`Emulator::replayed`] lists such tokens. [`Emulator::rotate_refresh_tokens`]
//!   turns rotation off. The consumed tokens of the last 190,000 refreshes are remembered.
//! - A device that polls too early gets `slow_down`, and its interval grows by 5 seconds (RFC 8628, section 3.5). The
//!   first poll is never too early.
//! - A repeated parameter fails with `invalid_request` (RFC 6749, section 3.2); an empty one counts as missing.
//! - The `Content-Type` of a body must be JSON or a form.
//! - The client may authenticate by HTTP Basic (RFC 6749, section 2.3.1) at the token and revoke URLs of the site API.
//!   Doing so and sending a `client_secret` in the body fails with `invalid_request`. The classic API reads the body
//!   only.
//! - Browsers are sent to `http` URLs of this machine only or, if [`Builder::redirect_uri`] gives any, to those only.
//!   If the redirect URI, the client or the app is wrong, the browser shows an error page. The application is notified
//!   of all other errors (RFC 6749, section 4.1.2.1).
//! - The PKCE method is RFC 7636's `S256`, which LoginRadius calls `SHA256`. `plain` is refused, and so is a verifier
//!   for a code without a challenge (RFC 9700, section 4.8.2).
//! - An authorization response is in the query, also for `response_type=token`, unless `response_mode` is `fragment` or
//!   `form_post`.
//! - A code that is sent again after it was redeemed ends its login (RFC 6749, section 4.1.2).
//! - `Host` must name this machine or [`Builder::public_url`], and the emulator listens on 127.0.0.1 only.
//!
//! # What it does not have
//!
//! A browser session that lasts from one application to the next, registration and social login, OpenID Connect and its
//! `id_token`, machine-to-machine tokens, introspection, token exchange, QR login, and TLS. [`Fault::Respond`] sends
//! any response that is missing.
//!
//! To try TLS, a proxy or a company's certificate, put a server that ends TLS in front of it, such as stunnel or nginx,
//! and set [`Builder::public_url`] to that server's https URL, by which the client reaches it. Requests to this machine
//! itself go through no proxy, so for a proxy that URL has another address than a loopback one, such as the machine's
//! own in its network.

mod address;
mod api;
mod authorization_code;
mod authorization_response;
mod authorize;
mod body;
mod bounded;
mod browsers;
mod builder;
mod client;
mod clock;
mod config;
mod device;
mod emulator;
mod error_codes;
mod fault;
mod grants;
mod identity;
mod jws;
mod jwt;
mod login_attempts;
mod login_request;
mod oauth;
mod operation;
mod origin;
mod pages;
mod params;
mod random;
mod recorded;
mod redirect;
mod refusal;
mod request;
mod response;
mod route;
pub mod seeded;
mod server;
mod state;
mod tokens;

pub use authorization_code::{CodeState, IssuedCode};
pub use authorization_response::{AuthorizationResponse, ResponseMode};
pub use authorize::AuthorizeError;
pub use builder::Builder;
pub use emulator::Emulator;
pub use fault::Fault;
pub use grants::{ApproveError, DeviceGrant, GrantState};
pub use operation::{Api, Operation};
pub use recorded::{BodyFormat, RecordedRequest};
pub use state::Counters;
pub use tokens::{Login, Replay, TokenResponse};
