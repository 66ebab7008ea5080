use http::Uri;

use crate::api::Api;
use crate::app::{App, check_setting};
use crate::error::Error;
use crate::request::{percent_encoded, too_long};
use crate::urls::Urls;

/// Which URL an operation has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Route {
    DeviceCode,
    DeviceToken,
    Token,
    Refresh,
    Revoke,
    Introspect,
    JwtToken,
    JwtLogin,
    Authorize,
    JwtRedirect,
}

/// Which of the app's names is a segment of a path.
enum Name {
    None,
    OAuthApp,
    OidcApp,
    JwtApp,
}

// A place for the URL of each.
const _: () = assert!(Route::JwtRedirect as usize + 1 == Urls::COUNT);

impl Route {
    /// Returns the operation's URL for that app, without a query.
    pub(crate) fn url(self, app: &App) -> Result<Uri, Error> {
        app.urls().get_or_make(self as usize, || self.make_url(app))
    }

    fn make_url(self, app: &App) -> Result<Uri, Error> {
        let Some((before, name, after)) = self.path(app.service().api()) else {
            return Err(Error::configuration(format!(
                "the {} does not have this operation: use `Service::site` or `Service::oidc`",
                if app.service().api().is_oidc() { "classic OpenID Connect API" } else { "classic API" },
            )));
        };
        let segment = match name {
            Name::None => String::new(),
            Name::OAuthApp => segment("OAuth app", "with_oauth_app", app.oauth_app())?,
            Name::OidcApp => segment("OpenID Connect app", "with_oidc_app", app.oidc_app())?,
            Name::JwtApp => segment("JWT app", "with_jwt_app", app.jwt_app())?,
        };
        format!("{}{before}{segment}{after}", app.service().base()).parse().map_err(|_| too_long())
    }

    /// Returns whether its request authenticates the client, if the app has a secret.
    pub(crate) fn authenticates_client(self) -> bool {
        matches!(self, Self::Token | Self::Refresh | Self::Revoke | Self::Introspect)
    }

    /// Returns whether the name of the app of OAuth or of OpenID Connect is in its URL at that API.
    pub(crate) fn names_oauth_app(self, api: Api) -> bool {
        matches!(self.path(api), Some((_, Name::OAuthApp | Name::OidcApp, _)))
    }

    /// Returns whether it is of a JWT operation, whose request names the JWT app and has no body but JSON.
    pub(crate) fn is_jwt(self) -> bool {
        matches!(self, Self::JwtToken | Self::JwtLogin | Self::JwtRedirect)
    }

    /// Returns the path at that API: what is before the app's name, which name it is, and what is after it. `None` if
    /// the API does not have the operation.
    ///
    /// Sources: LoginRadius, "OAuth 2.0" and "JWT" API references (classic); "OAuth 2.0" guide and
    /// "JWT Login" API reference (site); "OpenID Connect" guide and API references (OpenID Connect).
    fn path(self, api: Api) -> Option<(&'static str, Name, &'static str)> {
        use Name::{JwtApp, None, OAuthApp, OidcApp};
        Some(match (api, self) {
            (Api::Classic, Self::DeviceCode) => ("/sso/oauth/", OAuthApp, "/device"),
            (Api::Classic, Self::DeviceToken) => ("/sso/oauth/", OAuthApp, "/access_token"),
            (Api::Classic, Self::Token) => ("/sso/oauth/access_token", None, ""),
            (Api::Classic, Self::Refresh) => ("/sso/oauth/access_token/refresh", None, ""),
            (Api::Classic, Self::Revoke) => ("/sso/oauth/refresh_token/revoke", None, ""),
            (Api::Classic | Api::ClassicOidc, Self::JwtToken) => ("/sso/jwt/api/token", None, ""),
            (Api::Classic | Api::ClassicOidc, Self::JwtLogin) => ("/sso/jwt/api/login", None, ""),
            (Api::Classic, Self::Authorize) => ("/sso/oauth/redirect", None, ""),
            (Api::Classic | Api::ClassicOidc, Self::JwtRedirect) => ("/sso/jwt/redirect/token", None, ""),
            (Api::Site, Self::DeviceCode) => ("/api/oauth/", OAuthApp, "/device"),
            (Api::Site, Self::DeviceToken | Self::Token | Self::Refresh) => ("/api/oauth/", OAuthApp, "/token"),
            (Api::Site, Self::Revoke) => ("/api/oauth/", OAuthApp, "/revoke"),
            (Api::Site | Api::Oidc, Self::JwtToken) => ("/api/jwt/", JwtApp, "/token"),
            (Api::Site | Api::Oidc, Self::JwtLogin) => ("/api/jwt/", JwtApp, "/login"),
            (Api::Site, Self::Introspect) => ("/api/oauth/", OAuthApp, "/introspect"),
            (Api::Site, Self::Authorize) => ("/service/oauth/", OAuthApp, "/authorize"),
            (Api::Site | Api::Oidc, Self::JwtRedirect) => ("/service/jwt/", JwtApp, "/authorize"),
            (Api::Oidc, Self::DeviceCode) => ("/api/oidc/", OidcApp, "/device"),
            (Api::Oidc, Self::DeviceToken | Self::Token | Self::Refresh) => ("/api/oidc/", OidcApp, "/token"),
            (Api::Oidc, Self::Revoke) => ("/api/oidc/", OidcApp, "/revoke"),
            (Api::Oidc, Self::Introspect) => ("/api/oidc/", OidcApp, "/introspect"),
            (Api::Oidc, Self::Authorize) => ("/service/oidc/", OidcApp, "/authorize"),
            (Api::Classic | Api::ClassicOidc, Self::Introspect)
            | (Api::ClassicOidc, Self::DeviceCode | Self::DeviceToken) => return Option::None,
            (Api::ClassicOidc, Self::Token | Self::Refresh) => ("/sso/oidc/v2/", OidcApp, "/token"),
            (Api::ClassicOidc, Self::Revoke) => ("/sso/oidc/v2/", OidcApp, "/token/revoke"),
            (Api::ClassicOidc, Self::Authorize) => ("/sso/oidc/v2/", OidcApp, "/authorize"),
        })
    }
}

fn segment(what: &str, setter: &str, name: Option<&str>) -> Result<String, Error> {
    let invalid = |why: &str| Err(Error::configuration(format!("the {what}'s name {why}")));
    let name = match name {
        None => return invalid(&format!("is needed and not set: set it with `App::{setter}`")),
        Some("") => return invalid("is empty: use the name from the LoginRadius Dashboard"),
        Some("." | "..") => return invalid("is a dot segment: use the name from the LoginRadius Dashboard"),
        Some(name) => name,
    };
    check_setting(format_args!("the {what}'s name"), name)?;
    Ok(percent_encoded(name).to_string())
}
