use crate::text_form::text_form;

/// Which of LoginRadius's APIs a [`Service`](crate::Service) has. They have the same operations, at other addresses and
/// with small differences, which the page of each operation lists.
///
/// | | LoginRadius's own host | your site |
/// | --- | --- | --- |
/// | OAuth 2.0 | [`Classic`](Self::Classic) | [`Site`](Self::Site) |
/// | OpenID Connect | [`ClassicOidc`](Self::ClassicOidc) | [`Oidc`](Self::Oidc) |
///
/// An application that LoginRadius's console makes today is one of OpenID Connect at a site.
///
/// ```
/// use loginradius_proto::{Api, Service};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// assert_eq!(Service::classic().api(), Api::Classic);
/// assert_eq!(Service::site("acme.hub.loginradius.com")?.api(), Api::Site);
/// assert_eq!(Service::oidc("acme.hub.loginradius.com")?.api(), Api::Oidc);
/// assert_eq!("site".parse::<Api>()?, Api::Site); // for a settings file
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// The API at `https://cloud-api.loginradius.com/sso/...` (LoginRadius, "OAuth 2.0" and "JWT" API references).
    Classic,
    /// The API at `https://{site}/api/...`, where the site is `<app>.hub.loginradius.com` or a custom domain
    /// (LoginRadius, "OAuth 2.0" guide and "JWT Login" API reference).
    Site,
    /// OpenID Connect at `https://{site}/api/oidc/...` and `https://{site}/service/oidc/...` (LoginRadius, "OpenID
    /// Connect" guide and API reference). JWT operations have the addresses of [`Site`](Self::Site).
    Oidc,
    /// OpenID Connect at `https://cloud-api.loginradius.com/sso/oidc/v2/...` (LoginRadius, "OpenID Connect" API
    /// reference, version 2). It has no device login. JWT operations have the addresses of [`Classic`](Self::Classic).
    ClassicOidc,
}

text_form!(Api, "API", { Classic => "classic", Site => "site", Oidc => "oidc", ClassicOidc => "classic-oidc", });

impl Api {
    /// Returns whether its apps are those of OpenID Connect.
    pub(crate) fn is_oidc(self) -> bool {
        matches!(self, Self::Oidc | Self::ClassicOidc)
    }
}
