use crate::text_form::text_form;

/// Which of LoginRadius's two APIs a [`Service`](crate::Service) has. Both have the same operations, at other addresses
/// and with small differences, which the page of each operation lists.
///
/// ```
/// use loginradius_proto::{Api, Service};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// assert_eq!(Service::classic().api(), Api::Classic);
/// assert_eq!(Service::site("acme.hub.loginradius.com")?.api(), Api::Site);
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
}

text_form!(Api, "API", { Classic => "classic", Site => "site", });
