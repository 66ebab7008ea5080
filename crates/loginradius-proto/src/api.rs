/// LoginRadius's two APIs for the same operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// `https://cloud-api.loginradius.com/sso/...`
    Classic,
    /// `https://{site}/api/...`, where the site is `<app>.hub.loginradius.com` or a domain of your own.
    Site,
}
