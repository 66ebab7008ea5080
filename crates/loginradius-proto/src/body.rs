use std::fmt;

use crate::error::Error;
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
    /// The most that a transport reads of a response's body, in bytes: 1 MiB.
    ///
    /// A longer response is an [`Error::outcome_unknown`], and is never cut off and parsed. [`BodyBuffer`] returns that
    /// error; if a transport reads more, [`Endpoint::response`](crate::Endpoint::response) does.
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

/// Collects the bytes of a response as they arrive, for a transport.
///
/// It takes at most [`Body::LIMIT`] bytes. When it grows, it overwrites the memory that it frees. A `Vec` that grows,
/// as in `Read::read_to_end`, would leave copies of the tokens there.
///
/// ```
/// use std::io::Read;
/// use loginradius_proto::{Body, BodyBuffer, Error};
///
/// fn read(mut response: impl Read) -> Result<Body, Error> {
///     let mut body = BodyBuffer::new();
///     let mut chunk = [0; 8 * 1024];
///     loop {
///         match response.read(&mut chunk).map_err(Error::outcome_unknown)? {
///             0 => return Ok(body.into_body()),
///             read => body.push(&chunk[..read])?,
///         }
///     }
/// }
///
/// # fn main() -> Result<(), Error> {
/// assert_eq!(read(&b"{}"[..])?.as_bytes(), b"{}");
/// assert!(read(std::io::repeat(b' ')).unwrap_err().is_outcome_unknown());
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[doc(alias("read_to_end", "response body", "collect"))]
pub struct BodyBuffer {
    bytes: SecretBuffer,
    is_too_long: bool,
}

impl BodyBuffer {
    /// Makes a buffer without bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes of the response.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) if the response is longer than [`Body::LIMIT`].
    /// Close the connection then: every further call returns that error as well.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.is_too_long |= bytes.len() > Body::LIMIT - self.bytes.len();
        if self.is_too_long {
            return Err(Error::incomplete_response("it is longer than 1 MiB, and was not read to its end"));
        }
        self.bytes.push(bytes);
        Ok(())
    }

    /// Returns the bytes so far. Keep them out of logs.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the body. Call it when the response has ended.
    #[must_use]
    pub fn into_body(self) -> Body {
        Body(self.bytes)
    }
}

impl fmt::Debug for BodyBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyBuffer({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_of_the_limit_is_read_and_a_longer_one_is_not() {
        let mut buffer = BodyBuffer::new();
        for chunk in vec![b'x'; Body::LIMIT].chunks(100_000) {
            buffer.push(chunk).unwrap();
        }
        assert_eq!(buffer.as_bytes().len(), Body::LIMIT);
        buffer.push(b"").unwrap();
        for _ in 0..2 {
            assert!(buffer.push(b"x").unwrap_err().is_outcome_unknown());
        }
        assert!(buffer.push(b"").is_err(), "what was refused is missing");
        assert_eq!(format!("{buffer:?}"), "BodyBuffer(1048576 bytes)");
        assert_eq!(buffer.into_body().as_bytes().len(), Body::LIMIT);
        assert!(BodyBuffer::new().push(&vec![0; Body::LIMIT + 1]).is_err());
    }
}
