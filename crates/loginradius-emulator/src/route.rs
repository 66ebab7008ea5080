//! The URLs of LoginRadius's operations.

use hyper::Method;
use percent_encoding::percent_decode_str;

use crate::operation::Api;
use crate::params::Params;

/// A URL of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The operations at `/identity` belong to neither API. Here they count as the site's, whose texts are the same.
    pub(crate) api: Api,
    pub(crate) endpoint: Endpoint,
    /// The OAuth app or JWT app in the path.
    pub(crate) app: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    DeviceCode,
    DeviceToken,
    /// Several operations, which differ by `grant_type`.
    Token,
    Refresh,
    Revoke,
    JwtToken,
    JwtLogin,
    Authorize,
    JwtRedirect,
    Profile,
    AddEmail,
}

impl Endpoint {
    pub(crate) fn method(self) -> Method {
        match self {
            Self::JwtToken | Self::Authorize | Self::JwtRedirect | Self::Profile => Method::GET,
            _ => Method::POST,
        }
    }

    /// Returns whether the client is identified in the query, not in the body.
    pub(crate) fn identifies_client_in_query(self) -> bool {
        matches!(self, Self::JwtToken | Self::JwtLogin | Self::Authorize | Self::JwtRedirect) || self.is_identity()
    }

    /// Returns whether it belongs to LoginRadius's "Customer Identity API".
    pub(crate) fn is_identity(self) -> bool {
        matches!(self, Self::Profile | Self::AddEmail)
    }
}

/// Finds the operation of a path. The path is compared as it is written; the app in it is percent-decoded.
pub(crate) fn find(path: &str) -> Option<Target> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let (api, endpoint, app) = match segments[..] {
        ["sso", "oauth", "access_token"] => (Api::Classic, Endpoint::Token, None),
        ["sso", "oauth", "access_token", "refresh"] => (Api::Classic, Endpoint::Refresh, None),
        ["sso", "oauth", "refresh_token", "revoke"] => (Api::Classic, Endpoint::Revoke, None),
        ["sso", "oauth", app, "device"] => (Api::Classic, Endpoint::DeviceCode, Some(app)),
        ["sso", "oauth", app, "access_token"] => (Api::Classic, Endpoint::DeviceToken, Some(app)),
        ["sso", "jwt", "api", "token"] => (Api::Classic, Endpoint::JwtToken, None),
        ["sso", "jwt", "api", "login"] => (Api::Classic, Endpoint::JwtLogin, None),
        // One of LoginRadius's pages, which no menu lists, has `/device/code`.
        ["api", "oauth", app, "device"] | ["api", "oauth", app, "device", "code"] => {
            (Api::Site, Endpoint::DeviceCode, Some(app))
        }
        ["api", "oauth", app, "token"] => (Api::Site, Endpoint::Token, Some(app)),
        ["api", "oauth", app, "revoke"] => (Api::Site, Endpoint::Revoke, Some(app)),
        ["api", "jwt", app, "token"] => (Api::Site, Endpoint::JwtToken, Some(app)),
        ["api", "jwt", app, "login"] => (Api::Site, Endpoint::JwtLogin, Some(app)),
        ["sso", "oauth", "redirect"] => (Api::Classic, Endpoint::Authorize, None),
        ["sso", "jwt", "redirect", "token"] => (Api::Classic, Endpoint::JwtRedirect, None),
        ["service", "oauth", app, "authorize"] => (Api::Site, Endpoint::Authorize, Some(app)),
        ["service", "jwt", app, "authorize"] => (Api::Site, Endpoint::JwtRedirect, Some(app)),
        ["identity", "v2", "auth", "account"] => (Api::Site, Endpoint::Profile, None),
        ["identity", "v2", "auth", "email"] => (Api::Site, Endpoint::AddEmail, None),
        _ => return None,
    };
    let app = match app {
        Some("") => return None,
        Some(app) => Some(percent_decode_str(app).decode_utf8().ok()?.into_owned()),
        None => None,
    };
    Some(Target { api, endpoint, app })
}

/// Returns whether this is one of LoginRadius's own paths on which a browser confirms a device (guide "OAuth 2.0", both
/// APIs).
pub(crate) fn is_device_confirm_path(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').collect();
    matches!(segments[..], ["", "sso", "oauth", _, "device", "confirm"] | ["", "service", "oauth", _, "authorize"])
}

/// Returns whether a browser comes to confirm a device. In the site API the URL for this is the one for a login, with a
/// `user_code`.
pub(crate) fn is_device_confirmation(path: &str, query: &str) -> bool {
    is_device_confirm_path(path) && Params::from_form(query.as_bytes()).optional("user_code") != Ok(None)
}

/// Returns whether a path that [`find`] does not know looks like one of LoginRadius's.
pub(crate) fn is_api(path: &str) -> bool {
    ["/sso/", "/api/", "/service/", "/identity/"].iter().any(|start| path.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_one_segment_and_is_decoded() {
        let target = find("/sso/oauth/my%2Fapp%20%C3%A9/device").unwrap();
        assert_eq!(target.app.as_deref(), Some("my/app é"));
        for path in [
            "/sso/oauth/a/b/device",
            "/sso/oauth//device",
            "/sso/oauth/%FF/device",
            "/sso/oauth/app/device/",
            "/SSO/oauth/app/device",
            "sso/oauth/app/device",
            "/",
            "",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
    }
}
