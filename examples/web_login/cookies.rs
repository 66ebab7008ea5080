//! The cookies of this service, which scripts cannot read: one for the session, and one for each begun login.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use axum_extra::extract::cookie::{Cookie, SameSite};

/// How cookies are written for the address of the service.
#[derive(Clone, Copy)]
pub(crate) struct Cookies {
    pub(crate) is_https: bool,
}

impl Cookies {
    /// Returns the name of the session's cookie. Because of its prefix, browsers refuse such a cookie from another host
    /// of the domain, and one without `Secure`.
    pub(crate) fn session(self) -> &'static str {
        if self.is_https { "__Host-web_login" } else { "web_login" }
    }

    /// Returns the name of the cookie of the begun login with that state: each has its own, so that tabs do not
    /// overwrite each other's.
    pub(crate) fn begun(self, state: &str) -> String {
        format!("{}-{state}", self.session())
    }

    /// Returns the names of the cookies of all begun logins, the oldest first: that is how browsers send cookies (RFC
    /// 6265, section 5.4).
    pub(crate) fn all_begun(self, headers: &HeaderMap) -> Vec<&str> {
        let prefix = self.begun("");
        cookies(headers).map(|(name, _)| name).filter(|name| name.starts_with(&prefix)).collect()
    }

    pub(crate) fn make(self, name: impl Into<String>, value: String, lifetime: Duration) -> Cookie<'static> {
        Cookie::build((name.into(), value))
            .path("/")
            .http_only(true)
            // Forms of other sites are sent without it. With `Strict`, so would the callback be.
            .same_site(SameSite::Lax)
            // With plain http, which is for this machine alone, some browsers do not keep a `Secure` cookie.
            .secure(self.is_https)
            .max_age(lifetime.try_into().unwrap_or_default())
            .build()
    }

    pub(crate) fn removal(self, name: impl Into<String>) -> Cookie<'static> {
        let mut removal = self.make(name, String::new(), Duration::ZERO);
        removal.make_removal();
        removal
    }
}

/// Returns the value of the cookie of that name, which has to be there once.
pub(crate) fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = cookies(headers).filter(|(known, _)| *known == name).map(|(_, value)| value);
    values.next().filter(|_| values.next().is_none())
}

/// Returns the names and values as they are. `CookieJar` would decode names, and accept the cookie `%5F_Host-web_login`
/// of another host.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let cookies = lines.flat_map(Cookie::split_parse).filter_map(Result::ok);
    cookies.filter_map(|cookie| Some((cookie.name_raw()?, cookie.value_raw()?)))
}
