//! LoginRadius's JWT operations: one [`Endpoint`](crate::Endpoint) for each.
//!
//! | to get a JWT for | use | sent again after a lost response |
//! | --- | --- | --- |
//! | an access token | [`JwtByAccessToken`] | yes |
//! | an email address, a phone number or a user name, and a password | [`JwtLogin`] | no |
//! | a login through a browser | [`browser::JwtRedirect`](crate::browser::JwtRedirect) | |
//!
//! Each yields a [`Jwt`](crate::Jwt): the whole compact token, which LoginRadius's responses call `signature`. It is
//! not verified: `loginradius-jwt` does that.
//!
//! Their errors are those of [`Endpoint::request`](crate::Endpoint::request) and
//! [`Endpoint::response`](crate::Endpoint::response).

mod by_access_token;
mod login;

pub use by_access_token::JwtByAccessToken;
pub use login::{JwtLogin, LoginOptions};
