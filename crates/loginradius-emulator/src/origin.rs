//! Checks where a request comes from: `Host` must name this machine, and forms must be the emulator's own.

use hyper::Uri;
use hyper::header::{self, HeaderMap, HeaderName};

use crate::address::Address;
use crate::random;

/// Returns whether `Host`, and the URL if it is absolute, name this machine or the public URL.
pub(crate) fn is_our_host(address: &Address, headers: &HeaderMap, uri: &Uri) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let ours = |host: &str| is_our_name(address, host);
    host.to_str().is_ok_and(ours) && uri.authority().is_none_or(|authority| ours(authority.as_str()))
}

fn is_our_name(address: &Address, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    is_this_machine(address, &host) || address.public_host.as_ref() == Some(&host)
}

/// Returns whether these are the scheme and host of the emulator's own URL or of its public one.
pub(crate) fn is_our_address(address: &Address, scheme: &str, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    scheme == "http" && is_this_machine(address, &host)
        || address.public_url.as_ref().is_some_and(|url| url.eq_ignore_ascii_case(&format!("{scheme}://{host}")))
}

fn is_this_machine(address: &Address, host: &str) -> bool {
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|name| host == format!("{name}:{}", address.port) || address.port == 80 && host == *name)
}

/// Returns whether a page of this emulator has sent a form: browsers say in `Sec-Fetch-Site` and `Origin` where a form
/// comes from, and only a page of the session has its CSRF token.
pub(crate) fn is_our_form(address: &Address, headers: &HeaderMap, csrf: &str, sent: &str) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let same_site = match text(HeaderName::from_static("sec-fetch-site")) {
        None | Some("same-origin" | "none") => true,
        Some(_) => false,
    };
    let same_origin = match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => true,
        (Some(origin), Some(host)) => {
            let host = host.to_ascii_lowercase();
            origin == format!("http://{host}")
                || address.public_url.as_deref() == Some(origin) && address.public_host.as_ref() == Some(&host)
        }
        (Some(_), None) => false,
    };
    same_site && same_origin && random::secrets_match(csrf, sent)
}
