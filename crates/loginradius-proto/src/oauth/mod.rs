//! LoginRadius's OAuth 2.0 operations, one file each.
//!
//! The classic and the site family respond alike; where their requests differ, each operation says how.

mod access_token_by_code;
mod access_token_by_password;
mod refresh_access_token;
mod request_device_code;
mod request_tokens;
mod revoke_refresh_token;
#[cfg(test)]
mod tests;

pub use access_token_by_code::AccessTokenByCode;
pub use access_token_by_password::AccessTokenByPassword;
pub use refresh_access_token::RefreshAccessToken;
pub use request_device_code::{DeviceGrant, RequestDeviceCode};
pub use request_tokens::RequestTokens;
pub use revoke_refresh_token::RevokeRefreshToken;
