//! The operations of LoginRadius, and the two APIs that have them.

/// An operation of LoginRadius. If LoginRadius has a page about it, its description begins with the page's title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// "Request Device Code": begins a device login.
    DeviceCode,
    /// "Request Tokens": a device polls for the user's decision.
    DeviceToken,
    /// "Access token by OAuth 2 token": redeems an authorization code.
    CodeExchange,
    /// "Access Token by Account Password": signs in by a password.
    Password,
    /// "Refresh Access Token": exchanges a refresh token for new tokens.
    Refresh,
    /// "Revoke Refresh Token": revokes a refresh token, which ends its login.
    Revoke,
    /// "JWT Token": a JWT for an access token.
    JwtToken,
    /// "JWT Token by Email", "JWT Token by Username" and "JWT Token by Phone": a JWT for a password.
    JwtLogin,
    /// Starts a login in a browser that yields a code or a token: LoginRadius's guide "OAuth 2.0". Only the request for
    /// the application's link counts, not the forms of the pages after it.
    Authorize,
    /// Starts a login in a browser that yields a JWT: LoginRadius's "JWT Implementation Guide". Only the request for
    /// the application's link counts, not the forms of the pages after it.
    JwtRedirect,
    /// "Auth Read all Profiles by Token": returns the profile of the access token's user.
    Profile,
    /// "Auth Add Email": the emulator checks the request and changes nothing, so that its users stay as they are
    /// [`seeded`](crate::seeded).
    AddEmail,
}

/// One of LoginRadius's two sets of URLs for the same operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// `/sso/...`, at LoginRadius on `cloud-api.loginradius.com`.
    Classic,
    /// `/api/...` and `/service/...`, at LoginRadius on `<app>.hub.loginradius.com`.
    Site,
}
