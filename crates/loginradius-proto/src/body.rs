use std::fmt;

use crate::secret_buffer::SecretBuffer;

/// The bytes of a request or a response.
///
/// They hold passwords and tokens, so `Debug` prints only how many there are, and the memory is overwritten on drop.
///
/// ```
/// use loginradius_proto::Body;
///
/// let body = Body::from(br#"{"access_token":"s3cret"}"#.to_vec());
/// assert_eq!(body.as_bytes().len(), 25);
/// assert_eq!(format!("{body:?}"), "Body(25 bytes)");
/// ```
#[derive(Clone, Default)]
pub struct Body(pub(crate) SecretBuffer);

impl Body {
    /// The most that a transport reads of a response, in bytes: 1 MiB.
    ///
    /// A longer response is an [`Error::outcome_unknown`](crate::Error::outcome_unknown), never cut and parsed. If a
    /// transport reads more all the same, [`Endpoint::response`](crate::Endpoint::response) makes that error.
    pub const LIMIT: usize = 1 << 20;

    /// Makes a body of no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Returns the bytes. Keep them out of logs.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes().to_vec())
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}
