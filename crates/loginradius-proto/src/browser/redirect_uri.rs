use http::Uri;

use super::callback::Callback;
use crate::error::Error;
use crate::service::check_authority;

/// Checks the address that a callback will come to.
///
/// RFC 6749, section 3.1.2: absolute and without a fragment. What would hand the code to a network or to a script
/// is refused; a scheme of an app (RFC 8252, section 7.1) has a dot in it. Its query says none of `answers`, or no
/// callback would be clear.
pub(super) fn check(name: &str, address: &str, answers: &[&str]) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::configuration(format!("the `{name}` {why}")));
    if address.is_empty() {
        return refuse("is empty: give the address that the browser comes back to");
    }
    if !address.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>`{}|^".contains(&byte)) {
        return refuse("has a space, a control character or another one that has to be encoded: remove or encode it");
    }
    if address.contains('#') {
        return refuse("has a fragment (`#`), which OAuth forbids: remove it");
    }
    if address.contains('\\') {
        return refuse("has a backslash: use `/`");
    }
    let Some((scheme, rest)) = address.split_once(':') else {
        return refuse("lacks a scheme: begin it with https:// (http:// for this machine itself)");
    };
    let secure = scheme.eq_ignore_ascii_case("https");
    if secure || scheme.eq_ignore_ascii_case("http") {
        let Some(rest) = rest.strip_prefix("//") else {
            return refuse("is not a URL such as https://app.example/callback");
        };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let loopback = match check_authority(authority) {
            Ok(loopback) => loopback,
            Err(why) => return refuse(why),
        };
        if !secure && !loopback {
            return refuse(
                "is http, so that codes and tokens would cross the network in the clear: use https \
                 (http is for localhost, 127.0.0.0/8 and [::1] alone)",
            );
        }
        if address.parse::<Uri>().is_err() {
            return refuse("is not a URL such as https://app.example/callback");
        }
    } else if !is_apps_own(scheme) || rest.is_empty() || rest.starts_with(|first: char| first.is_ascii_digit()) {
        return refuse(
            "begins with none of https://, http:// to this machine, and an app's own scheme, which has a dot \
             (com.example.app:/callback)",
        );
    }
    let Ok(said) = Callback::from_url(address) else { return refuse("has too long a query: shorten it") };
    if let Some(answer) = answers.iter().find(|answer| said.has(answer)) {
        return refuse(&format!("has `{answer}` in its query, which the callback says: take it out"));
    }
    Ok(())
}

/// RFC 3986, section 3.1, and the dot that RFC 8252, section 7.1 asks for.
fn is_apps_own(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.contains('.')
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}
