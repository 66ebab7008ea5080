//! LoginRadius's JWT operations, one file each.
//!
//! Each yields a [`Jwt`](crate::Jwt): the whole compact token, which LoginRadius's answer calls `signature`.

mod by_access_token;
mod by_email;
mod by_phone;
mod by_username;
mod login;

pub use by_access_token::JwtByAccessToken;
pub use by_email::JwtByEmail;
pub use by_phone::JwtByPhone;
pub use by_username::JwtByUsername;
pub use login::LoginOptions;
