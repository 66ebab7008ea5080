use std::fmt;

use percent_encoding::percent_decode;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::secret_text::SecretText;

/// A redirect callback: the parameters with which the browser came back to your redirect URI.
///
/// LoginRadius puts them into the query or, by its settings, into the fragment or a form post (LoginRadius, "OAuth 2.0"
/// and "JWT" guides). Browsers do not send a fragment: a page of yours has to pass it on.
///
/// It comes from the browser, so it can be forged until [`Pending::accept`](super::Pending::accept) has checked it.
/// `Debug` shows none of it.
///
/// ```
/// use loginradius_proto::browser::Callback;
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let callback = Callback::from_url("/callback?code=4f2a&state=xyz")?;
/// assert_eq!(callback.state(), Some("xyz"));
/// let callback = Callback::from_form("state=xyz", b"token=eyJhbGciOi")?;
/// assert_eq!(callback.state(), Some("xyz"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias("redirect", "redirect_uri", "authorization response", "response_mode", "form_post"))]
pub struct Callback {
    parameters: Vec<(SecretText, SecretText)>,
}

/// The name of a parameter that occurs twice.
pub(super) struct DuplicateParameter<'a>(&'a str);

impl Callback {
    /// The longest callback that is read, in bytes: 256 KiB, which is enough for a JWT with a whole profile.
    pub const LIMIT: usize = 256 * 1024;
    /// The largest number of parameters that are read.
    const MAX_PARAMETERS: usize = 1000;

    /// Reads the query of the callback's URL, with its `?` or without. White space around it is ignored, because a user
    /// may have pasted it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidResponse`] if the query is longer than [`LIMIT`](Self::LIMIT) or has more than 1000
    /// parameters, or if the text is not a query but a whole URL, a path, a fragment or the first line of a request.
    /// The error says which function to use instead.
    pub fn from_query(query: &str) -> Result<Self, Error> {
        let query = alone(query, '?');
        refuse_other_texts("query", query)?;
        Self::read(query.as_bytes())
    }

    /// Reads the fragment of the callback's URL, with its `#` or without. White space around it is ignored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidResponse`], as of [`from_query`](Self::from_query).
    pub fn from_fragment(fragment: &str) -> Result<Self, Error> {
        let fragment = alone(fragment, '#');
        refuse_other_texts("fragment", fragment)?;
        Self::read(fragment.as_bytes())
    }

    /// Reads a form post: its body (`application/x-www-form-urlencoded`), and the query of the URL that it was sent to,
    /// which has the state of a classic [`JwtRedirect`](super::JwtRedirect).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidResponse`], as of [`from_query`](Self::from_query).
    pub fn from_form(query: &str, body: &[u8]) -> Result<Self, Error> {
        let query = alone(query, '?');
        refuse_other_texts("query", query)?;
        Self::from_parts(query, body)
    }

    /// Reads the query and the fragment of a URL, or of the part of one that begins with its path. White space around
    /// it is ignored, because a user may have pasted it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidResponse`], as of [`from_query`](Self::from_query), and if the text is only a query without
    /// its `?` or only a fragment without its `#`, the first line of a request, or percent-encoded as a whole.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let url = url.trim();
        let name = url.split('=').next().unwrap_or_default();
        if name.len() < url.len() && !name.contains(['/', ':', '?', '#']) {
            return not_read(
                "is a query or a fragment alone",
                "use `Callback::from_query` or `Callback::from_fragment`",
            );
        }
        if is_request_line(url) {
            return not_read("is the first line of a request", "pass the address in it, which is the second word");
        }
        if !url.contains(['?', '#', '=']) && is_encoded(url) {
            return not_read("is percent-encoded as a whole", "decode it once");
        }
        Self::in_url(url)
    }

    /// Reads the query and the fragment of what is known to be a URL.
    pub(super) fn in_url(url: &str) -> Result<Self, Error> {
        let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        Self::from_parts(query, fragment.as_bytes())
    }

    /// Reads what is known to be the query of a request, and its body or the fragment of its URL.
    pub(super) fn from_parts(query: &str, rest: &[u8]) -> Result<Self, Error> {
        let between: &[u8] = if query.is_empty() || rest.is_empty() { b"" } else { b"&" };
        Self::read(&Zeroizing::new([query.as_bytes(), between, rest].concat()))
    }

    fn read(text: &[u8]) -> Result<Self, Error> {
        let invalid = |why| Err(Error::new(ErrorKind::InvalidResponse, why));
        if text.len() > Self::LIMIT {
            return invalid(
                "the callback is longer than 256 KiB, so it was not read: keep waiting for the login's own",
            );
        }
        if text.iter().filter(|byte| **byte == b'&').count() >= Self::MAX_PARAMETERS {
            return invalid(
                "the callback has more than 1000 parameters, so it was not read: keep waiting for the login's own",
            );
        }
        let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        let parameters = pairs.map(|pair| {
            let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len()));
            (decoded(name), decoded(value.get(1..).unwrap_or_default()))
        });
        Ok(Self { parameters: parameters.collect() })
    }

    /// Returns the state, by which a web service finds the pending login that the callback claims to belong to.
    ///
    /// It can be forged: [`Pending::accept`](super::Pending::accept) checks it. `None` if there is none, or more than
    /// one.
    #[must_use]
    #[doc(alias("csrf"))]
    pub fn state(&self) -> Option<&str> {
        self.single("state").unwrap_or(None)
    }

    /// Returns whether there is a parameter of that name, in any case of letters.
    pub(super) fn has(&self, name: &str) -> bool {
        self.parameters.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// Returns the values of all parameters but those.
    pub(super) fn values_except(&self, names: &[&str]) -> impl Iterator<Item = &str> {
        self.parameters.iter().filter(|(name, _)| !names.contains(&&**name)).map(|(_, value)| &**value)
    }

    /// Returns the value of a parameter that may occur once. An empty one counts as left out (RFC 6749, section 3.1).
    pub(super) fn single<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, DuplicateParameter<'a>> {
        let mut values = self.parameters.iter().filter(|(known, _)| **known == *name).map(|(_, value)| &**value);
        let value = values.next();
        match values.next() {
            None => Ok(value.filter(|value| !value.is_empty())),
            Some(_) => Err(DuplicateParameter(name)),
        }
    }
}

/// Returns the text without white space around it, which no request has there, and without its mark.
fn alone(text: &str, mark: char) -> &str {
    let text = text.trim();
    text.strip_prefix(mark).unwrap_or(text)
}

/// Refuses a text that is more than the parameters of a callback, or something else. Its parameters would get wrong
/// names or wrong ends, and the callback would seem to belong to another login.
fn refuse_other_texts(what: &str, text: &str) -> Result<(), Error> {
    const USE_URL: &str = "use `Callback::from_url`";
    // No parameter of a callback has such a name (RFC 6749, section 8.2).
    let name = text.split(['=', '&']).next().unwrap_or_default();
    if is_request_line(text) {
        return not_read(
            "is the first line of a request",
            "pass the address in it, which is the second word, to `from_url`",
        );
    }
    if text.starts_with(['?', '#']) {
        return not_read(&format!("is not a {what} alone, as it has another mark in front"), USE_URL);
    }
    if name.starts_with('/') || name.contains("://") || name.contains('?') {
        return not_read(&format!("is a whole address or a path, not its {what} alone"), USE_URL);
    }
    if text.contains('#') {
        return not_read(&format!("is more than a {what}, as it has a `#` in it"), USE_URL);
    }
    if !text.contains('=') && is_encoded(text) {
        return not_read("is percent-encoded as a whole", "decode it once");
    }
    Ok(())
}

fn not_read<T>(what_it_is: &str, advice: &str) -> Result<T, Error> {
    let message = format!("the text {what_it_is}, so it was not read as a callback: {advice}");
    Err(Error::new(ErrorKind::InvalidResponse, message))
}

/// Returns whether the text is the first line of a request, or the end of one (RFC 9112, section 3).
fn is_request_line(text: &str) -> bool {
    let text = text.trim_end();
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let begins =
        !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_uppercase()) && rest.starts_with(['/', 'h']);
    begins || text.ends_with(" HTTP/1.1") || text.ends_with(" HTTP/1.0")
}

/// Returns whether the text contains an encoded `=` or `?`.
fn is_encoded(text: &str) -> bool {
    ["%3D", "%3d", "%3F", "%3f"].iter().any(|encoded| text.contains(encoded))
}

/// Decodes a part of a form, and leaves no copy of it (the Web's URL standard, section 5.1).
fn decoded(part: &[u8]) -> SecretText {
    // Decoded, it is not longer.
    let mut bytes = Zeroizing::new(Vec::with_capacity(part.len()));
    for (number, part) in part.split(|byte| *byte == b'+').enumerate() {
        bytes.extend((number > 0).then_some(b' '));
        bytes.extend(percent_decode(part));
    }
    SecretText::from_utf8_lossy(&bytes)
}

impl From<DuplicateParameter<'_>> for Error {
    fn from(DuplicateParameter(name): DuplicateParameter<'_>) -> Self {
        // The name is of this crate or of a setting, not of the callback, so it may be printed.
        Self::new(
            ErrorKind::InvalidResponse,
            format!("the callback has `{name}` more than once, so none of it was used: sign in again"),
        )
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_decoded_as_forms_are(query in "[a-c&=+%0-9A-F\\xc0ä -]{0,40}") {
            let callback = Callback::read(query.as_bytes()).unwrap();
            let pairs = callback.parameters.iter().map(|(name, value)| ((**name).to_owned(), (**value).to_owned()));
            let expected: Vec<(String, String)> = serde_urlencoded::from_str(&query).unwrap();
            prop_assert_eq!(pairs.collect::<Vec<_>>(), expected);
        }
    }
}
