use http::HeaderMap;

/// The headers by which browsers say that they load a page before the user goes there: the one of HTML's speculative
/// loading, and older ones of Chrome, Safari and Firefox.
const PURPOSES: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];

/// Returns whether a request may come from a user who goes to a page, judging by its headers.
///
/// Call it at the address of the callback, and where a login begins. If it returns `false`, respond with the status 503
/// (Service Unavailable), and change nothing: a browser that loads the callback before the user goes there
/// (`Sec-Purpose: prefetch`) would consume the login without showing a page. After the refusal, it sends the request
/// again when the user goes there.
///
/// It returns `false` for
///
/// - a prefetch, a prerendered page or a preview ([HTML, "Speculative loading"]);
/// - what a page loads into itself, such as an image, or what a script fetches ([Fetch Metadata, section 2.2]).
///
/// A request without these headers counts as a user's. This does not protect from forged callbacks:
/// [`Pending::accept`](super::Pending::accept) does. [`loopback`](super::loopback) makes this check by itself.
///
/// ```
/// use loginradius_proto::browser::is_navigation;
/// use http::{HeaderMap, HeaderValue};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("Sec-Fetch-Mode", HeaderValue::from_static("navigate"));
/// assert!(is_navigation(&headers));
/// headers.insert("Sec-Purpose", HeaderValue::from_static("prefetch;prerender"));
/// assert!(!is_navigation(&headers));
/// ```
///
/// [HTML, "Speculative loading"]: https://html.spec.whatwg.org/multipage/speculative-loading.html
/// [Fetch Metadata, section 2.2]: https://www.w3.org/TR/fetch-metadata/#sec-fetch-mode-header
#[must_use]
#[doc(alias("prefetch", "prerender", "Sec-Purpose", "Sec-Fetch-Mode", "preview"))]
pub fn is_navigation(headers: &HeaderMap) -> bool {
    headers.iter().all(|(name, value)| allows_navigation(name.as_str(), value.as_bytes()))
}

/// Returns whether a request with that header may be a navigation.
pub(super) fn allows_navigation(name: &str, value: &[u8]) -> bool {
    if PURPOSES.iter().any(|purpose| name.eq_ignore_ascii_case(purpose)) {
        // `prefetch;prerender`, `prefetch;anonymous-client-ip`.
        let mut words = value.split(|byte| !byte.is_ascii_alphanumeric());
        return !words.any(|word| {
            [&b"prefetch"[..], b"prerender", b"preview"].iter().any(|ahead| word.eq_ignore_ascii_case(ahead))
        });
    }
    // Not `Sec-Fetch-Dest`: a service worker that passes a navigation on changes it to `empty`.
    !name.eq_ignore_ascii_case("sec-fetch-mode")
        || [&b"navigate"[..], b"nested-navigate"].iter().any(|mode| value.eq_ignore_ascii_case(mode))
}
