//! Writes forms and JSON into memory of the right size: a buffer that grows would leave a copy of a secret behind.

use std::io;

use percent_encoding::percent_encode_byte;
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

/// Writes parameters as a form (`application/x-www-form-urlencoded`).
pub(crate) fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> SecretBuffer {
    let mut form = SecretBuffer::with_capacity(max_query_length(pairs.clone()));
    push_pairs(&mut form, pairs);
    form
}

/// Appends parameters to a URL as its query, if there are any. [`max_query_length`] is what they need at most.
pub(crate) fn push_query<'a>(url: &mut SecretBuffer, pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) {
    if pairs.clone().next().is_some() {
        url.push(b"?");
        push_pairs(url, pairs);
    }
}

/// Returns the most bytes that parameters take as a query.
pub(crate) fn max_query_length<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> usize {
    // Two marks for each, and a byte takes three at most.
    pairs.map(|(name, value)| 2 + 3 * (name.len() + value.len())).sum()
}

fn push_pairs<'a>(buffer: &mut SecretBuffer, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut mark = "";
    for (name, value) in pairs {
        buffer.push(mark.as_bytes());
        push_encoded(buffer, name);
        buffer.push(b"=");
        push_encoded(buffer, value);
        mark = "&";
    }
}

/// The bytes that a form has as they are (WHATWG URL, "application/x-www-form-urlencoded percent-encode set").
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let letter = byte as u8;
        plain[byte] = letter.is_ascii_alphanumeric() || matches!(letter, b'*' | b'-' | b'.' | b'_');
        byte += 1;
    }
    plain
};

fn push_encoded(buffer: &mut SecretBuffer, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let plain = rest.iter().position(|byte| !PLAIN[usize::from(*byte)]).unwrap_or(rest.len());
        let (as_it_is, others) = rest.split_at(plain);
        buffer.push(as_it_is);
        match others.split_first() {
            None => return,
            Some((b' ', after)) => {
                buffer.push(b"+");
                rest = after;
            }
            Some((byte, after)) => {
                buffer.push(percent_encode_byte(*byte).as_bytes());
                rest = after;
            }
        }
    }
}

/// Writes a user's form; `None` if a form cannot express the value.
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

    proptest! {
        #[test]
        fn parameters_are_written_as_a_form(list in prop::collection::vec((any_text(), any_text()), 0..4)) {
            let borrowed = list.iter().map(|(name, value)| (&**name, &**value));
            let expected = serde_urlencoded::to_string(&list).unwrap();
            prop_assert_eq!(&*pairs(borrowed.clone()), expected.as_bytes());
            let mut query = SecretBuffer::default();
            push_query(&mut query, borrowed.clone());
            let mark = if list.is_empty() { "" } else { "?" };
            let expected = format!("{mark}{expected}");
            prop_assert_eq!(&*query, expected.as_bytes());
            prop_assert!(query.len() <= max_query_length(borrowed));
        }
    }

    #[test]
    fn a_form_has_no_nested_values() {
        assert!(form(&[("a", ["b"])]).is_none());
        assert!(form("a").is_none());
    }
}
