use std::fmt;
use std::io;
use std::ops::Deref;

use zeroize::Zeroizing;

/// Bytes that hold secrets. They are overwritten on drop, and when the buffer grows, so is the memory that it frees: a
/// `Vec` would leave a copy there.
#[derive(Clone, Default)]
pub(crate) struct SecretBuffer(Zeroizing<Vec<u8>>);

impl SecretBuffer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Grows to a power of two. One that doubled any capacity would take up to three times the limit of a response:
    /// just below the limit as the old memory, and twice that as the new.
    #[inline]
    fn reserve(&mut self, additional: usize) {
        let needed = self.0.len().saturating_add(additional);
        if needed > self.0.capacity() {
            self.grow(needed);
        }
    }

    fn grow(&mut self, needed: usize) {
        let mut larger = Self::with_capacity(needed.checked_next_power_of_two().unwrap_or(needed));
        larger.0.extend_from_slice(&self.0);
        *self = larger;
    }

    /// Returns the bytes, which the caller has to overwrite.
    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.0)
    }
}

impl Deref for SecretBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

// For `Bytes::from_owner`.
impl AsRef<[u8]> for SecretBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for SecretBuffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl io::Write for SecretBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Write for SecretBuffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;

    #[test]
    fn it_holds_what_was_pushed_however_often_it_grew() {
        let mut buffer = SecretBuffer::with_capacity(3);
        let mut expected = Vec::new();
        for length in [0, 1, 2, 3, 4, 100, 1, 1000, 0] {
            buffer.push(&vec![length as u8; length]);
            expected.extend(vec![length as u8; length]);
            assert_eq!(&*buffer, expected);
        }
        assert_eq!(buffer.clone().into_vec(), expected);
    }

    /// A buffer that grows holds its old memory and its new memory at once.
    #[test]
    fn a_body_up_to_the_limit_takes_one_and_a_half_times_the_limit_at_most() {
        for piece in [1, 100, 16 << 10, 33_333, 100_000, Body::LIMIT / 3, Body::LIMIT - 1, Body::LIMIT] {
            let mut buffer = SecretBuffer::default();
            while buffer.len() < Body::LIMIT {
                let old = buffer.0.capacity();
                buffer.push(&vec![b'x'; piece.min(Body::LIMIT - buffer.len())]);
                let new = buffer.0.capacity();
                assert!(old == new || old + new <= Body::LIMIT * 3 / 2, "{piece}: {old} + {new}");
            }
        }
    }
}
