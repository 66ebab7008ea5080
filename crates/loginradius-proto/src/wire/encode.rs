//! Writes forms and JSON into memory of the right size: a buffer that grows would leave a copy of a secret behind.

use std::io;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::secret_buffer::SecretBuffer;

/// Writes JSON.
pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> serde_json::Result<SecretBuffer> {
    let mut json = SecretBuffer::with_capacity(length(value)?);
    serde_json::to_writer(&mut json, value)?;
    Ok(json)
}

/// Writes JSON as a text that the caller keeps. The value must be one that can always be written, such as strings and
/// numbers.
pub(crate) fn json_text(value: &impl Serialize) -> String {
    let json = json(value).map(SecretBuffer::into_vec).unwrap_or_default();
    String::from_utf8(json).unwrap_or_default()
}

/// Writes a form or a query (`application/x-www-form-urlencoded`); `None` if that cannot express the value.
pub(crate) fn form(fields: &(impl Serialize + ?Sized)) -> Option<SecretBuffer> {
    // A byte takes three at most, and JSON has no fewer bytes than a form before they are encoded.
    let mut form = Zeroizing::new(String::with_capacity(length(fields).ok()?.saturating_mul(3)));
    let mut encoder = form_urlencoded::Serializer::new(&mut *form);
    fields.serialize(serde_urlencoded::Serializer::new(&mut encoder)).ok()?;
    Some(SecretBuffer::from(std::mem::take(&mut *form).into_bytes()))
}

/// Returns how many bytes the value takes as JSON.
fn length(value: &(impl Serialize + ?Sized)) -> serde_json::Result<usize> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, value)?;
    Ok(length.0)
}

struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Serialize)]
    enum Kind {
        Primary,
    }

    #[derive(Debug, Serialize)]
    struct Fields {
        text: String,
        letter: char,
        integer: i64,
        number: f64,
        truth: bool,
        absent: Option<u8>,
        kind: Kind,
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "[ -~]{0,20}", "[\\x00-\\x1f]{0,20}", "[ä€😀]{0,9}"]
    }

    prop_compose! {
        fn any_fields()(
            text in any_text(),
            letter in any::<char>(),
            integer in any::<i64>(),
            number in any::<f64>(),
            truth in any::<bool>(),
            absent in any::<Option<u8>>(),
        ) -> Fields {
            Fields { text, letter, integer, number, truth, absent, kind: Kind::Primary }
        }
    }

    /// Checks the content, and that it fits into what is allocated for it.
    fn check(fields: &impl Serialize) {
        let written = json(fields).unwrap();
        assert_eq!(&*written, serde_json::to_vec(fields).unwrap());
        assert_eq!(written.len(), length(fields).unwrap());

        let written = form(fields).unwrap();
        assert_eq!(&*written, serde_urlencoded::to_string(fields).unwrap().as_bytes());
        assert!(written.len() <= 3 * length(fields).unwrap());
    }

    proptest! {
        #[test]
        fn what_is_written_fits(fields in any_fields(), pairs in prop::collection::vec((any_text(), any_text()), 0..4)) {
            check(&fields);
            check(&pairs);
        }
    }

    #[test]
    fn a_form_has_no_nested_values() {
        assert!(form(&[("a", ["b"])]).is_none());
        assert!(form("a").is_none());
    }
}
