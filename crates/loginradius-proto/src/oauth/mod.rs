//! LoginRadius's OAuth 2.0 operations: one [`Endpoint`](crate::Endpoint) for each.
//!
//! | to | use | [sent again](crate::Retry) after a lost response |
//! | --- | --- | --- |
//! | begin a device login | [`RequestDeviceCode`] | yes |
//! | poll for its tokens; better, let [`DeviceFlow`](crate::DeviceFlow) do it | [`RequestTokens`] | by `DeviceFlow` |
//! | redeem an authorization code | [`AccessTokenByCode`] | no |
//! | refresh an access token; better, let a [session](crate::session) do it | [`RefreshAccessToken`] | no |
//! | revoke a refresh token, for example to sign out | [`RevokeRefreshToken`] | yes |
//! | find out whether a token is active, and whose it is | [`IntrospectToken`] | yes |
//! | sign in by a password, which is discouraged | [`AccessTokenByPassword`] | no |
//!
//! LoginRadius's APIs respond alike. Where their requests differ, the page of the operation says how.
//!
//! Their errors are those of [`Endpoint::request`](crate::Endpoint::request) and
//! [`Endpoint::response`](crate::Endpoint::response).

mod access_token_by_code;
mod access_token_by_password;
mod introspect_token;
mod refresh_access_token;
mod request_device_code;
mod request_tokens;
mod revoke_refresh_token;
#[cfg(test)]
mod tests;

pub use access_token_by_code::AccessTokenByCode;
pub use access_token_by_password::AccessTokenByPassword;
pub use introspect_token::{ActiveToken, IntrospectToken, Introspection};
pub use refresh_access_token::RefreshAccessToken;
pub use request_device_code::{DeviceGrant, RequestDeviceCode};
pub use request_tokens::RequestTokens;
pub(crate) use request_tokens::{Polled, Undecided};
pub use revoke_refresh_token::RevokeRefreshToken;
