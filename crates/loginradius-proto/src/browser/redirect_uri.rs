use http::Uri;

use super::callback::Callback;
use crate::error::Error;
use crate::service::{check_authority, is_loopback};

/// Parameters of a callback. A redirect URI that has one of them would make every callback ambiguous.
pub(super) const RESPONSE_PARAMS: [&str; 8] =
    ["state", "code", "token", "access_token", "id_token", "error", "error_description", "iss"];

/// Checks the redirect URI, which errors call `name`.
///
/// It has to be absolute and without a fragment (RFC 6749, section 3.1.2), and must not send the code over a network in
/// the clear or to a script; a scheme of an app (RFC 8252, section 7.1) has a dot in it. Its query must have none of
/// `callback_parameters`, which would make every callback ambiguous.
pub(super) fn check(name: &str, uri: &str, callback_parameters: &[&str]) -> Result<(), Error> {
    let invalid = |why: &str| Err(Error::configuration(format!("the `{name}` {why}")));
    if uri.is_empty() {
        return invalid("is empty: use the address that the browser comes back to");
    }
    if !uri.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>`{}|^".contains(&byte)) {
        return invalid(
            "has a space, a control character or another character that has to be encoded: remove or encode it",
        );
    }
    if uri.contains('#') {
        return invalid("has a fragment (`#`), which OAuth forbids: remove it");
    }
    if uri.contains('\\') {
        return invalid("has a backslash: use `/`");
    }
    let Some((scheme, rest)) = uri.split_once(':') else {
        return invalid("lacks a scheme: begin it with https:// (http:// for this machine itself)");
    };
    let secure = scheme.eq_ignore_ascii_case("https");
    if secure || scheme.eq_ignore_ascii_case("http") {
        let Some(rest) = rest.strip_prefix("//") else {
            return invalid("is not a URL such as https://app.example/callback");
        };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let loopback = match check_authority(authority) {
            Ok(host) => is_loopback(host),
            Err(why) => return invalid(why),
        };
        if !secure && !loopback {
            return invalid(
                "is http, which would send codes and tokens unencrypted: use https (http is allowed only for \
                 localhost, 127.0.0.0/8 and [::1])",
            );
        }
        if uri.parse::<Uri>().is_err() {
            return invalid("is not a URL such as https://app.example/callback");
        }
    } else if !is_scheme_of_an_app(scheme) || rest.is_empty() || rest.starts_with(|first: char| first.is_ascii_digit())
    {
        return invalid(
            "has to begin with https://, with http:// and this machine, or with an app's own scheme, which has a dot \
             (com.example.app:/callback)",
        );
    }
    let Ok(query) = Callback::in_url(uri) else { return invalid("has too long a query: shorten it") };
    if let Some(parameter) = callback_parameters.iter().find(|parameter| query.has(parameter)) {
        return invalid(&format!("has `{parameter}` in its query, which is a parameter of the callback: remove it"));
    }
    Ok(())
}

/// Returns whether that is a scheme (RFC 3986, section 3.1) with the dot that RFC 8252, section 7.1, asks an app for.
fn is_scheme_of_an_app(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.contains('.')
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}
