//! What LoginRadius's APIs do, and the two families of addresses at which they do it.

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
    /// "Auth Read all Profiles by Token": the profile of the user whose access token is sent.
    Profile,
    /// "Auth Add Email". The emulator checks the request and changes nothing: its users stay as they are
    /// [`seeded`](crate::seeded).
    AddEmail,
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
