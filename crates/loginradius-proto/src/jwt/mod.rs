//! LoginRadius's JWT operations.
//!
//! Each yields a [`Jwt`](crate::Jwt): the whole compact token, which LoginRadius's response calls `signature`.

mod by_access_token;
mod login;

pub use by_access_token::JwtByAccessToken;
pub use login::{JwtLogin, LoginOptions};
