//! The operations of LoginRadius, and the two APIs that have them.

/// An operation of LoginRadius, by the title of its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// "Request Device Code".
    DeviceCode,
    /// "Request Tokens": a device polls for the user's decision.
    DeviceToken,
    /// "Access token by OAuth 2 token": redeems an authorization code.
    CodeExchange,
    /// "Access Token by Account Password".
    Password,
    /// "Refresh Access Token".
    Refresh,
    /// "Revoke Refresh Token".
    Revoke,
    /// "JWT Token": a JWT for an access token.
    JwtToken,
    /// "JWT Token by Email", "by Username" and "by Phone".
    JwtLogin,
    /// Starts a login in a browser that yields a code or a token. Only the request for the application's link counts,
    /// not the forms of the pages after it.
    Authorize,
    /// Starts a login in a browser that yields a JWT. Only the request for the application's link counts, not the forms
    /// of the pages after it.
    JwtRedirect,
    /// "Auth Read all Profiles by Token": returns the profile of the access token's user.
    Profile,
    /// "Auth Add Email": the emulator checks the request and changes nothing, so that its users stay as they are
    /// [`seeded`](crate::seeded).
    AddEmail,
}

/// One of LoginRadius's two sets of URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// `/sso/...`, at LoginRadius on `cloud-api.loginradius.com`.
    Classic,
    /// `/api/...` and `/service/...`, at LoginRadius on `<app>.hub.loginradius.com`.
    Site,
}
