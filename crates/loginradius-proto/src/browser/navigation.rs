use http::HeaderMap;

/// The headers by which browsers say that they load a page ahead of the user: of HTML's speculative loading, and of Chrome,
/// Safari and Firefox before it.
const PURPOSES: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];

/// Returns whether a user of a browser may have sent a request by going to a page, judging by its headers.
///
/// Call it at the address of the callback, and where a login begins. Respond to any other request with the status 503 (Service
/// Unavailable), and change nothing: a browser that has loaded the callback ahead of the user (`Sec-Purpose: prefetch`)
/// would consume the login before it shows a page. Refused, it sends the request again when the user goes there.
/// `false` for
///
/// - a prefetch, a prerendered page or a preview ([HTML, "Speculative loading"]);
/// - what a page loads into itself, such as an image, or what a script fetches ([Fetch Metadata, section 2.2]).
///
/// A browser that sends none of these headers is taken at its word. This is no protection from forged callbacks:
/// [`Pending::accept`](super::Pending::accept) is. [`loopback`](super::loopback) does the same by itself.
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
