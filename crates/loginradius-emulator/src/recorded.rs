//! What the emulator was asked, for tests to look at.

use std::time::SystemTime;

use crate::fault::Fault;

/// An operation of LoginRadius's OAuth 2.0 and JWT APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// "Request Device Code".
    DeviceCode,
    /// "Request Tokens": a device asks whether its user has decided.
    DeviceToken,
    /// "Access token by OAuth 2 token": an authorization code for tokens.
    CodeExchange,
    /// "Access Token by Account Password".
    Password,
    /// "Refresh Access Token".
    Refresh,
    /// "Revoke Refresh Token".
    Revoke,
    /// "JWT Token": by access token.
    JwtToken,
    /// "JWT Token by Email", "by Username", "by Phone".
    JwtLogin,
    /// A browser comes to sign in, and to leave with a code or a token: the address of the application's link. The
    /// forms of the pages that follow are no operation.
    Authorize,
    /// A browser comes to sign in, and to leave with a JWT: the address of the application's link.
    JwtRedirect,
}

/// The two families of LoginRadius's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// `/sso/...`, as at `cloud-api.loginradius.com`.
    Classic,
    /// `/api/...` and `/service/...`, as at `<app>.hub.loginradius.com`.
    Site,
}

/// How the parameters of a request's body were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BodyFormat {
    /// There was no body.
    None,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`.
    Json,
    /// Anything else, or no `Content-Type`.
    Other,
}

/// A request to one of the API's addresses. Requests for pages are not recorded.
///
/// It holds parameters as they came, passwords and secrets included.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// The method, as written.
    pub method: String,
    /// The path, as written and without the query.
    pub path: String,
    /// Which operation it was; `None` if the address, the method or the `grant_type` belongs to none.
    pub operation: Option<Operation>,
    /// Which family the address belongs to.
    pub family: Option<Family>,
    /// Names and values from the query and then from the body, in order, repetitions included.
    pub params: Vec<(String, String)>,
    /// How the body was written.
    pub body_format: BodyFormat,
    /// The header `Content-Type`.
    pub content_type: Option<String>,
    /// The header `Accept`.
    pub accept: Option<String>,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// `client_id`, or `apikey` of the JWT operations.
    pub client_id: Option<String>,
    /// When it had arrived whole, by the emulator's clock.
    pub at: SystemTime,
    /// The status of the answer, which a [`Fault::Delay`] may still hold back; `None` if there is none.
    pub status: Option<u16>,
    /// The fault that was applied to it.
    pub fault: Option<Fault>,
}

impl Recorded {
    /// The first value of a parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
