//! Verifies the tokens that LoginRadius signs: SSO JWTs, `id_token`s, signed user information, access tokens that are
//! JWTs, and M2M tokens.
//!
//! This crate gets no token: the module `jwt` of `loginradius-proto`, `loginradius-blocking` and `loginradius-async`
//! has the operations that request an SSO JWT, and a login yields the `id_token`.
//!
//! Make one [`Verifier`] with the algorithm, the key, the issuer and the audience that you expect, and keep it.
//! [`Verifier::verify`] returns a [`VerifiedToken`] or an [`Error`]; nothing else makes a `VerifiedToken`. After an
//! error, [the table of `ErrorKind`](ErrorKind) says what to do.
//!
//! An SSO JWT:
//!
//! ```
//! use std::time::SystemTime;
//! use loginradius_jwt::{Algorithm, Audience, Key, Verifier};
//!
//! // Once, at the start. For an SSO JWT, all four are settings of the JWT app in the LoginRadius Dashboard.
//! let public_key = "-----BEGIN PUBLIC KEY-----
//! MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE62rhow4KGSnO1FF28qa1kMHTa04Q
//! qpLlOlV+wg2cIEPcqilf3ByybFfe30iXDAS0LYsjc8P1wqK0c6q7Z4PSew==
//! -----END PUBLIC KEY-----";
//! let verifier = Verifier::new(
//!     Algorithm::Es256,
//!     Key::from_pem(public_key)?,
//!     "https://acme.hub.loginradius.com/",
//!     Audience::Is("my-client-id".into()),
//! )?;
//!
//! // For each token.
//! #[derive(serde::Deserialize)]
//! struct Profile {
//!     email: Option<String>,
//! }
//! # let jwt = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2FjbWUuaHViLmxvZ2lucmFkaXVzLmNvbS8iLCJzdWIiOiI3MjNiMDVmODBjNjQ0NjcyYjM0OTZhMjFiN2NmMzNkYyIsImF1ZCI6Im15LWNsaWVudC1pZCIsImp0aSI6ImYzMTk3YjQwLTJkY2QtNDQyMi04NzY1LWM0MDg0NmY2MGZiNCIsImlhdCI6MTgwMDAwMDAwMCwibmJmIjoxODAwMDAwMDAwLCJleHAiOjE4MDAwMDA2MDAsImVtYWlsIjoic29tZW9uZUBleGFtcGxlLmNvbSIsImZpcnN0bmFtZSI6IkFkYSIsImxhc3RuYW1lIjoiTG92ZWxhY2UifQ.zqMbuK-hp1vqUL0MtpwJ-zf3hBqAYSD04YYN-_ASbAx7pOigT5qeWiQEN48xL3STw9I3ot5iXZ-bssMcOXCiUg";
//! let now = SystemTime::now();
//! # // The token of this example was valid then.
//! # let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_100);
//! let token = verifier.verify(jwt, now)?;
//! let profile: Profile = token.claims()?;
//! assert_eq!(token.subject(), Some("723b05f80c644672b3496a21b7cf33dc"));
//! assert_eq!(profile.email.as_deref(), Some("someone@example.com"));
//! # Ok::<(), loginradius_jwt::Error>(())
//! ```
//!
//! # Which key and which algorithm
//!
//! | token | key | algorithm |
//! | --- | --- | --- |
//! | SSO JWT of an app with HS256, HS384 or HS512 | [`Key::from_secret`] with the app's secret | the app's |
//! | SSO JWT of an app with RS256 to RS512 or ES256 to ES512 | [`Key::from_pem`] with your own public key | the app's |
//! | `id_token`, signed user information, M2M token | [`KeySet::from_json`] with the set at the `jwks_uri` | [`Algorithm::Rs256`] |
//!
//! LoginRadius documents no JWK set for JWT apps ("JWT implementation guide").
//!
//! A verifier with one [`Key`] ignores the token's `kid`; with a [`KeySet`], the `kid` selects the keys.
//!
//! # Verify an `id_token`
//!
//! An `id_token` is signed with a key of an OpenID Connect app. The settings for its verifier are in the app's
//! discovery document: `https://<site>/service/oidc/<app>/.well-known/openid-configuration`, and for the classic API
//! `https://cloud-api.loginradius.com/sso/oidc/v2/<site name>/<app>/.well-known/openid-configuration`.
//!
//! | setting | where it comes from |
//! | --- | --- |
//! | algorithm | always RS256 |
//! | keys | the body of an HTTP GET of the document's `jwks_uri` |
//! | issuer | the document's `issuer`. LoginRadius documents some with a slash at the end and some without: if the tokens differ from the document in that alone, use [`Verifier::ignore_issuer_slash`] |
//! | audience | the client id |
//!
//! ```no_run
//! use std::time::SystemTime;
//! use loginradius_jwt::{Algorithm, Audience, Error, KeySet, VerifiedToken, Verifier};
//!
//! // Once, at the start.
//! fn verifier(issuer: &str, jwks: &str) -> Result<Verifier, Error> {
//!     Verifier::new(Algorithm::Rs256, KeySet::from_json(jwks)?, issuer, Audience::Is("my-client-id".into()))
//! }
//!
//! // After each login through a browser, with its tokens: `user(&verifier, id_token.expose(), nonce.expose())` where
//! // `tokens.id_token` is `Some(id_token)` and `tokens.nonce` is `Some(nonce)`.
//! fn user(verifier: &Verifier, id_token: &str, nonce: &str) -> Result<VerifiedToken, Error> {
//!     verifier.verify_with_nonce(id_token, nonce, SystemTime::now())
//! }
//! ```
//!
//! If `tokens.nonce` of a login is `None`, the login sent no nonce, and its `id_token` came in LoginRadius's own
//! response to this program, not through the browser: then [`Verifier::verify`] is safe. That is so for a login by a
//! password or on a device, and for one through a browser whose scope has no `openid`. A login that sent a nonce must
//! be verified with it, without exception. An `id_token` that came through the browser always has one, that of
//! `PendingLogin::nonce`. A session does not keep the nonce: verify the `id_token` of a login before you start a
//! session with its tokens.
//!
//! An SSO JWT that came through a browser is verified likewise, with the `nonce` of `ReceivedJwt`. It is `None` for the
//! classic API, where the state binds the JWT to its login: then use [`Verifier::verify`].
//!
//! # What this crate does not do
//!
//! - **I/O and clocks**: you load the JWK set with your own HTTP client, and you pass the time.
//! - **Reloading keys**: after [`ErrorKind::UnknownKeyId`], load the set again and use [`Verifier::with_keys`]. Do so
//!   at most every few minutes: a token with a made-up `kid` causes this error too, and anyone can send many of them.
//! - **Sessions**: LoginRadius cannot revoke a JWT ("JWT implementation guide"). It is valid until it expires, even
//!   after a logout.
//! - **Replay detection**: a token is accepted each time it comes. To consume each token only once, keep the
//!   [`token_id`](VerifiedToken::token_id) until the token expires.
//! - **Optional claims of OpenID Connect**: `azp`, `acr`, `auth_time` and `at_hash` are not checked. Read them with
//!   [`VerifiedToken::claims`].
//! - **Encryption**: encrypted tokens (JWE) are refused. Some pages of LoginRadius call its JWTs "encrypted"; they are
//!   signed.

mod algorithm;
mod base64url;
mod claims;
pub mod dangerous;
mod error;
mod header;
mod key;
mod object;
mod verified;
mod verifier;

pub use algorithm::Algorithm;
pub use error::{Error, ErrorKind};
pub use header::MAX_TOKEN_LEN;
pub use key::{Key, KeySet, TrustedKeys};
pub use verified::VerifiedToken;
pub use verifier::{Audience, Verifier};
