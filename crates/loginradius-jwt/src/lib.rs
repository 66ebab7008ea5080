//! Verifying the tokens that LoginRadius signs: the SSO JWT of a JWT app, the `id_token` and signed user
//! information of OpenID Connect, access tokens that are JWTs, and M2M tokens.
//!
//! A [`Verifier`] pins the algorithm, the keys, the issuer and the audience. What it accepts is a [`Verified`];
//! nothing else makes one.
//!
//! ```
//! use std::time::SystemTime;
//! use loginradius_jwt::{Algorithm, Audience, Error, Key, Verifier};
//!
//! #[derive(serde::Deserialize)]
//! struct Profile {
//!     email: Option<String>,
//! }
//!
//! // The key, the issuer and "Audiences" are those of the JWT app in LoginRadius's dashboard.
//! fn verifier(public_key: &str) -> Result<Verifier, Error> {
//!     Verifier::new(
//!         Algorithm::Rs256,
//!         Key::pem(public_key)?,
//!         "https://acme.hub.loginradius.com/",
//!         Audience::Is("my-client-id".into()),
//!     )
//! }
//!
//! fn signed_in(verifier: &Verifier, jwt: &str) -> Result<(Option<String>, Profile), Error> {
//!     let token = verifier.verify(jwt, SystemTime::now())?;
//!     Ok((token.subject().map(str::to_owned), token.claims()?))
//! }
//! ```
//!
//! # Which key
//!
//! | what | key | algorithm |
//! | --- | --- | --- |
//! | JWT app, HS256 and its like | [`Key::secret`]: the app's secret | as the app is set |
//! | JWT app, RS256 or ES256 and their like | [`Key::pem`]: the public half of your own pair | as the app is set |
//! | `id_token`, signed user information, M2M token | [`KeySet::from_json`]: the set at the `jwks_uri` | [`Algorithm::Rs256`] |
//!
//! LoginRadius documents no JWK set for JWT apps.
//!
//! # What it does not do
//!
//! There is no I/O and no clock: load the JWK set with your own client, and pass the time. Load the set again
//! when [`Check::KeyId`] says that a key is not in it, but not more often than every few minutes, or strangers
//! decide how often you ask LoginRadius.
//!
//! A token is not a session: LoginRadius cannot take back a JWT before it expires (LoginRadius, "JWT" guide).
//! Tokens are not remembered: whoever must take a token once only keeps its [`id`](Verified::id).
//!
//! The claims of OpenID Connect that only some sign-ins have (`azp`, `acr`, `auth_time`, `at_hash`) are not
//! checked: read them with [`Verified::claims`].
//!
//! Encrypted tokens (JWE) are not read. LoginRadius's guide calls its JWTs encrypted here and there; they are
//! signed.

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
pub use error::{Check, Error};
pub use header::MAX_TOKEN_LEN;
pub use key::{Key, KeySet, Keys};
pub use verified::Verified;
pub use verifier::{Audience, Verifier};
