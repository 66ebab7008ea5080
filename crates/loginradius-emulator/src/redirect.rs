//! The redirect URIs that are allowed.

use hyper::Uri;

use crate::refusal::Refusal;

/// Checks that a browser may be sent to this URI: one of those that were given or, if there are none, any port of this
/// machine (RFC 8252, section 7.3, and `localhost`).
pub(crate) fn check(given: &[String], uri: &str) -> Result<(), Refusal> {
    let allowed = if given.is_empty() { is_loopback(uri) } else { given.iter().any(|given| given == uri) };
    if allowed {
        return Ok(());
    }
    let absolute = uri.parse::<Uri>().is_ok_and(|uri| uri.scheme().is_some());
    Err(if absolute { Refusal::RedirectUriMismatch } else { Refusal::RedirectUriMalformed })
}

/// Returns whether this can be given as a redirect URI. It must be absolute and without a fragment (RFC 6749, section
/// 3.1.2), and of `http`, `https` or an application's own scheme. That has a period (RFC 8252, section 7.1), so it is
/// none that browsers act upon, such as `javascript`.
pub(crate) fn is_valid(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let own_scheme = scheme.contains('.')
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let web = matches!(scheme, "http" | "https")
        && rest.starts_with("//")
        && uri.parse::<Uri>().is_ok_and(|uri| {
            let authority = uri.authority();
            authority.is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
        });
    has_only_plain_characters(uri) && (own_scheme || web)
}

/// Returns whether this is a URL of this machine, with any port. It compares the text: a URL that two programs may
/// parse differently is not allowed.
fn is_loopback(uri: &str) -> bool {
    let hosts = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let Some(rest) = hosts.iter().find_map(|host| uri.strip_prefix(host)) else {
        return false;
    };
    let rest = match rest.strip_prefix(':') {
        None => rest,
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (port, rest) = rest.split_at(end);
            if !port.bytes().all(|byte| byte.is_ascii_digit()) || !port.parse::<u16>().is_ok_and(|port| port > 0) {
                return false;
            }
            rest
        }
    };
    has_only_plain_characters(uri) && (rest.is_empty() || rest.starts_with(['/', '?']))
}

/// Returns whether these are characters that a URI can have unencoded (RFC 3986, section 2), and no fragment.
fn has_only_plain_characters(uri: &str) -> bool {
    uri.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_port_of_this_machine_is_allowed_and_nothing_that_looks_like_it() {
        for good in [
            "http://127.0.0.1",
            "http://127.0.0.1/",
            "http://127.0.0.1:1/callback?a=b&c=http://x@y/",
            "http://127.0.0.1?a",
            "http://localhost:65535/",
            "http://[::1]:8080/cb",
        ] {
            assert_eq!(check(&[], good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/",
            "callback",
            "//127.0.0.1/",
            "http:/127.0.0.1/",
            "http:127.0.0.1",
            "https://127.0.0.1/",
            "HTTP://127.0.0.1/",
            "javascript:alert(1)",
            "javascript://127.0.0.1/%0Aalert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "http://127.0.0.1@evil.example/",
            "http://127.0.0.1:80@evil.example/",
            "http://127.0.0.1:@evil.example/",
            "http://user@127.0.0.1/",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1evil.example/",
            "http://127.0.0.10/",
            "http://127.0.0.2/",
            "http://2130706433/",
            "http://localhost.evil.example/",
            "http://localhostess/",
            "http://[::1].evil.example/",
            "http://[::1]evil/",
            "http://[::2]/",
            "http://127.0.0.1\\@evil.example/",
            "http://127.0.0.1\\.evil.example/",
            "http://127.0.0.1:8080\\@evil.example/",
            "http://127.0.0.1:/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:65536/",
            "http://127.0.0.1:+80/",
            "http://127.0.0.1:80:80/",
            "http://127.0.0.1;evil.example/",
            "http://127.0.0.1%2eevil.example/",
            "http://127.0.0.1/#fragment",
            "http://127.0.0.1/#",
            "http://127.0.0.1/ x",
            " http://127.0.0.1/",
            "http://127.0.0.1/\r\nSet-Cookie:a=b",
            "http://127.0.0.1/\t",
            "http://127.0.0.1/\0",
            "http://127.0.0.1/\"><script>",
            "http://127.0.0.1/é",
            "http://１２７.0.0.1/",
            "http://evil.example/?http://127.0.0.1/",
        ] {
            assert!(check(&[], bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn given_uris_are_compared_exactly_and_are_the_only_ones() {
        let given = ["https://www.abc.com/callback".to_owned(), "com.example.app:/done".to_owned()];
        for good in &given {
            assert_eq!(check(&given, good), Ok(()));
        }
        for bad in [
            "https://www.abc.com/callback/",
            "https://www.abc.com/callback?a=b",
            "https://www.abc.com/callbac",
            "https://WWW.abc.com/callback",
            "http://www.abc.com/callback",
            "https://www.abc.com/callback/../evil",
            "http://127.0.0.1/",
        ] {
            assert_eq!(check(&given, bad), Err(Refusal::RedirectUriMismatch), "{bad}");
        }
        assert_eq!(check(&given, "nonsense"), Err(Refusal::RedirectUriMalformed));
    }

    #[test]
    fn schemes_that_a_browser_would_act_upon_are_invalid() {
        for good in [
            "https://www.abc.com/callback",
            "http://[::1]:80/",
            "http://app.localhost:3000/?a=b",
            "com.example.app:/done",
            "com.example.app://done",
        ] {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "",
            "nonsense",
            "/callback",
            "//host/",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://host/",
            "https:",
            "https://",
            "https:///path",
            "https:host",
            "https://user@host/",
            "https://host/#fragment",
            "https://host/ space",
            "https://host\\evil/",
            ".app:/x",
            "1.app:/x",
            "a.b\":/x",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
