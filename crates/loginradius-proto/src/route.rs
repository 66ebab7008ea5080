use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::app::App;
use crate::error::Error;
use crate::service::Family;

/// An operation's place in the table of URLs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Route {
    DeviceCode,
    DeviceToken,
    Token,
    Refresh,
    Revoke,
    JwtToken,
    JwtLogin,
    Authorize,
    JwtRedirect,
}

/// Which of the app's names stands in a path.
enum Name {
    None,
    OAuthApp,
    JwtApp,
}

impl Route {
    /// Builds the operation's address for that app.
    pub(crate) fn uri(self, app: &App, query: &str) -> Result<Uri, Error> {
        let (before, name, after) = self.path(app.service.family());
        let segment = match name {
            Name::None => String::new(),
            Name::OAuthApp => segment("OAuth app", "oauth_app", app.oauth_app.as_deref())?,
            Name::JwtApp => segment("JWT app", "jwt_app", app.jwt_app.as_deref())?,
        };
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{before}{segment}{after}{mark}{query}", app.service)
            .parse()
            .map_err(|_| Error::settings("the parameters make a URL that is too long: shorten them"))
    }

    /// The URLs of both families: what stands before the app's name, the name, what stands after it.
    ///
    /// Sources: LoginRadius, "OAuth 2.0" and "JWT" API references (classic); "OAuth 2.0" guide and
    /// "JWT Login" API reference (site).
    fn path(self, family: Family) -> (&'static str, Name, &'static str) {
        use Name::{JwtApp, None, OAuthApp};
        match (family, self) {
            (Family::Classic, Self::DeviceCode) => ("/sso/oauth/", OAuthApp, "/device"),
            (Family::Classic, Self::DeviceToken) => ("/sso/oauth/", OAuthApp, "/access_token"),
            (Family::Classic, Self::Token) => ("/sso/oauth/access_token", None, ""),
            (Family::Classic, Self::Refresh) => ("/sso/oauth/access_token/refresh", None, ""),
            (Family::Classic, Self::Revoke) => ("/sso/oauth/refresh_token/revoke", None, ""),
            (Family::Classic, Self::JwtToken) => ("/sso/jwt/api/token", None, ""),
            (Family::Classic, Self::JwtLogin) => ("/sso/jwt/api/login", None, ""),
            (Family::Classic, Self::Authorize) => ("/sso/oauth/redirect", None, ""),
            (Family::Classic, Self::JwtRedirect) => ("/sso/jwt/redirect/token", None, ""),
            (Family::Site, Self::DeviceCode) => ("/api/oauth/", OAuthApp, "/device"),
            (Family::Site, Self::DeviceToken | Self::Token | Self::Refresh) => ("/api/oauth/", OAuthApp, "/token"),
            (Family::Site, Self::Revoke) => ("/api/oauth/", OAuthApp, "/revoke"),
            (Family::Site, Self::JwtToken) => ("/api/jwt/", JwtApp, "/token"),
            (Family::Site, Self::JwtLogin) => ("/api/jwt/", JwtApp, "/login"),
            (Family::Site, Self::Authorize) => ("/service/oauth/", OAuthApp, "/authorize"),
            (Family::Site, Self::JwtRedirect) => ("/service/jwt/", JwtApp, "/authorize"),
        }
    }
}

/// RFC 3986 `unreserved`: everything else is encoded, so that a name is one segment whatever it holds.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn segment(what: &str, setter: &str, name: Option<&str>) -> Result<String, Error> {
    let refuse = |why: &str| Err(Error::settings(format!("the {what}'s name {why}")));
    let name = match name {
        None => return refuse(&format!("is not set, and this operation needs it: set it with `App::{setter}`")),
        Some("") => return refuse("is empty: use the name from the LoginRadius Dashboard"),
        Some("." | "..") => return refuse("is a dot segment: use the name from the LoginRadius Dashboard"),
        Some(name) => name,
    };
    if name.trim_matches(' ') != name {
        return refuse("begins or ends with a space: remove it");
    }
    if name.chars().any(char::is_control) {
        return refuse("contains a control character (a stray line break, perhaps): remove it");
    }
    Ok(utf8_percent_encode(name, UNRESERVED).to_string())
}
