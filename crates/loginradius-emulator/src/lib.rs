//! An emulator of LoginRadius's sign-in endpoints on localhost, made from LoginRadius's public documentation. It is
//! not LoginRadius, and what the documentation leaves open it answers as the RFCs say.
//!
//! A test starts one on a free port, plays the user, moves the clock and makes things go wrong:
//!
//! ```
//! use std::time::Duration;
//!
//! use loginradius_emulator::{Emulator, Fault, GrantState, Operation, seeded};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let emulator = Emulator::start()?;
//!
//! // A device asks for a code...
//! let url = format!("{}/sso/oauth/{}/device", emulator.base_url(), seeded::OAUTH_APP);
//! ureq::post(&url).send_form([("client_id", seeded::CLIENT_ID)])?;
//!
//! // ...and its user allows it.
//! let grant = emulator.device_grants().remove(0);
//! emulator.approve(&grant.user_code)?;
//! assert_eq!(emulator.device_grants()[0].state, GrantState::Approved);
//!
//! // Half an hour later the code is worth nothing.
//! emulator.advance(Duration::from_secs(1800));
//! assert_eq!(emulator.device_grants()[0].state, GrantState::Expired);
//!
//! // The next request is acted upon, and its answer is lost.
//! emulator.fault_times(Operation::DeviceCode, Fault::DropAfter, 1);
//! assert!(ureq::post(&url).send_form([("client_id", seeded::CLIENT_ID)]).is_err());
//! assert_eq!(emulator.device_grants().len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # What it serves
//!
//! Both families of addresses, on the same port:
//!
//! | operation | classic | site |
//! |---|---|---|
//! | device code | `POST /sso/oauth/{OAuthName}/device` | `POST /api/oauth/{app}/device` |
//! | device token | `POST /sso/oauth/{OAuthName}/access_token` | `POST /api/oauth/{app}/token` |
//! | code exchange | `POST /sso/oauth/access_token` | `POST /api/oauth/{app}/token` |
//! | password | `POST /sso/oauth/access_token` | `POST /api/oauth/{app}/token` |
//! | refresh | `POST /sso/oauth/access_token/refresh` | `POST /api/oauth/{app}/token` |
//! | revoke | `POST /sso/oauth/refresh_token/revoke` | `POST /api/oauth/{app}/revoke` |
//! | JWT by access token | `GET /sso/jwt/api/token` | `GET /api/jwt/{app}/token` |
//! | JWT by password | `POST /sso/jwt/api/login` | `POST /api/jwt/{app}/login` |
//! | sign-in in a browser | `GET /sso/oauth/redirect` | `GET /service/oauth/{app}/authorize` |
//! | JWT in a browser | `GET /sso/jwt/redirect/token` | `GET /service/jwt/{app}/authorize` |
//!
//! and what a user's access token is good for, which LoginRadius has at `api.loginradius.com`:
//!
//! | operation | URL |
//! |---|---|
//! | profile | `GET /identity/v2/auth/account?apikey={key}` |
//! | add an email address | `POST /identity/v2/auth/email?apikey={key}` |
//!
//! The operations in a browser show pages: a person signs in, allows the application (which a JWT does not ask for), and is sent back
//! to it. A test does without a browser by [`Emulator::authorize`]. The pages that a person needs to let a device in
//! begin at `/device`, which `verification_uri` names. `/` lists what is [`seeded`].
//!
//! JWTs are signed with any of the nine algorithms that LoginRadius's "JWT Implementation Guide" names, each by a JWT
//! app of its own: [`seeded::JWT_APPS`]. LoginRadius documents no address of their public keys, since there the key
//! pair is the customer's. The emulator has such addresses of its own: `GET /keys/{jwtapp}.pem` and
//! `GET /keys/{jwtapp}/jwks`.
//!
//! # What it refuses
//!
//! What LoginRadius's documentation says is refused, with the documented bodies and codes: see the tests, which send
//! every documented sample. Where the documentation is silent:
//!
//! - Refresh tokens rotate. A spent one that comes again ends its sign-in, access tokens included
//!   ([`Emulator::replayed`] tells which), unless it comes within [`Builder::refresh_grace`].
//!   [`Emulator::rotate_refresh_tokens`] turns rotation off. Those of the last 190,000 refreshes are remembered.
//! - A device that polls too early gets `slow_down`, and its interval grows by 5 seconds (RFC 8628, section 3.5). The
//!   first poll is never too early.
//! - A repeated parameter is an `invalid_request` (RFC 6749, section 3.2), an empty one counts as missing.
//! - A request body must say that it is JSON or a form.
//! - Browsers are sent to `http` addresses of this machine or, if any is given, to those of [`Builder::redirect_uri`]
//!   alone. If that, the client or the application is wrong, the browser is shown an error page; everything else is
//!   told to the application (RFC 6749, section 4.1.2.1).
//! - The method of PKCE is RFC 7636's `S256`, which LoginRadius calls `SHA256`. `plain` is refused, and so is a verifier
//!   for a code that was asked for without a challenge (RFC 9700, section 4.8.2).
//! - The answer is in the query, for `response_type=token` too, unless `response_mode` is `fragment` or `form_post`.
//! - A code that is sent a second time ends the sign-in that it has become (RFC 6749, section 4.1.2).
//! - Requests must name this machine in `Host`; nothing but 127.0.0.1 is ever listened on.
//!
//! # What it does not have
//!
//! A browser session that remembers who has signed in for the next application, registration and social sign-in, OpenID
//! Connect and its `id_token`, machine-to-machine tokens, introspection, token exchange, QR sign-in, and TLS.
//! [`Fault::Answer`] gives any answer that is missing.

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
pub use authorization_response::{Landing, ResponseMode};
pub use authorize::AuthorizeError;
pub use builder::Builder;
pub use emulator::Emulator;
pub use fault::Fault;
pub use grants::{ApproveError, DeviceGrant, GrantState};
pub use operation::{Family, Operation};
pub use recorded::{BodyFormat, Recorded};
pub use state::Counters;
pub use tokens::{Replay, SignIn, TokenAnswer};
