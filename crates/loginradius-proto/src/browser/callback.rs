use std::fmt;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

/// What a browser brought back: the parameters of a query, of a fragment or of a form post.
///
/// LoginRadius sends codes and tokens in the query, and by its settings in the fragment or in a form (LoginRadius,
/// "OAuth 2.0" and "JWT" guides). A fragment stays in the browser: a page of yours has to hand it over.
///
/// Nothing in it is believed before [`Pending::accept`](super::Pending::accept), and nothing of it is printed.
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
pub struct Callback {
    parameters: Vec<(String, Zeroizing<String>)>,
}

/// The name of a parameter that came twice.
pub(super) struct DuplicateParameter<'a>(&'a str);

impl Callback {
    /// The longest callback that is read, in bytes: 256 KiB. A JWT with a whole profile fits.
    pub const LIMIT: usize = 256 * 1024;
    /// The largest number of parameters that is read.
    const MAX_PARAMETERS: usize = 1000;

    /// Reads a query, with its `?` or without.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidResponse`] if it is longer than [`LIMIT`](Self::LIMIT) or has more than 1000 parameters.
    pub fn from_query(query: &str) -> Result<Self, Error> {
        Self::read(query.strip_prefix('?').unwrap_or(query).as_bytes())
    }

    /// Reads a fragment, with its `#` or without.
    ///
    /// # Errors
    ///
    /// Those of [`from_query`](Self::from_query).
    pub fn from_fragment(fragment: &str) -> Result<Self, Error> {
        Self::read(fragment.strip_prefix('#').unwrap_or(fragment).as_bytes())
    }

    /// Reads a form post: its body (`application/x-www-form-urlencoded`) and the query of the address that it was
    /// sent to, which holds the state of a classic [`JwtRedirect`](super::JwtRedirect).
    ///
    /// # Errors
    ///
    /// Those of [`from_query`](Self::from_query).
    pub fn from_form(query: &str, body: &[u8]) -> Result<Self, Error> {
        let query = query.strip_prefix('?').unwrap_or(query).as_bytes();
        let between: &[u8] = if query.is_empty() || body.is_empty() { b"" } else { b"&" };
        Self::read(&Zeroizing::new([query, between, body].concat()))
    }

    /// Reads the query and the fragment of an address, whole or from its path on.
    ///
    /// # Errors
    ///
    /// Those of [`from_query`](Self::from_query).
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        Self::from_form(query, fragment.as_bytes())
    }

    fn read(text: &[u8]) -> Result<Self, Error> {
        let refuse = |why| Err(Error::new(ErrorKind::InvalidResponse, why));
        if text.len() > Self::LIMIT {
            return refuse("the callback is longer than 256 KiB, and was not read");
        }
        if text.iter().filter(|byte| **byte == b'&').count() >= Self::MAX_PARAMETERS {
            return refuse("the callback has more than 1000 parameters, and was not read");
        }
        let Ok(parameters) = serde_urlencoded::from_bytes::<Vec<(String, Zeroizing<String>)>>(text) else {
            return refuse("the callback is not form-encoded");
        };
        Ok(Self { parameters })
    }

    /// The state that it claims to belong to, for looking up the pending sign-in. It is the browser's word:
    /// [`Pending::accept`](super::Pending::accept) checks it.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.one("state").unwrap_or(None)
    }

    /// Whether a parameter is there, in whatever case.
    pub(super) fn has(&self, name: &str) -> bool {
        self.parameters.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The values of all parameters but those.
    pub(super) fn all_but(&self, names: &[&str]) -> impl Iterator<Item = &str> {
        self.parameters.iter().filter(|(name, _)| !names.contains(&name.as_str())).map(|(_, value)| value.as_str())
    }

    /// A parameter that may be there once. RFC 6749, section 3.1: without a value it counts as left out.
    pub(super) fn one<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, DuplicateParameter<'a>> {
        let mut values = self.parameters.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next();
        match values.next() {
            None => Ok(value.filter(|value| !value.is_empty())),
            Some(_) => Err(DuplicateParameter(name)),
        }
    }
}

impl From<DuplicateParameter<'_>> for Error {
    fn from(DuplicateParameter(name): DuplicateParameter<'_>) -> Self {
        // The names that are asked for are ours or the settings', so they may be printed.
        Self::new(
            ErrorKind::InvalidResponse,
            format!("the callback has `{name}` more than once, so nothing of it was believed; sign in again"),
        )
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback")
    }
}
