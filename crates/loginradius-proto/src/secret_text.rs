use std::fmt;
use std::ops::Deref;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// Text that may hold a secret, and is overwritten on drop. Reading into it leaves no copy elsewhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Reads a JSON string; `None` for any other value.
    ///
    /// serde_json would decode one with escapes in memory that it does not overwrite.
    pub(crate) fn from_json(json: &RawValue) -> Option<Self> {
        let mut rest = json.get().strip_prefix('"')?.strip_suffix('"')?;
        // Every escape is longer than what it stands for.
        let mut text = Zeroizing::new(String::with_capacity(rest.len()));
        while let Some((plain, escape)) = rest.split_once('\\') {
            let (letter, after) = unescaped(escape)?;
            text.push_str(plain);
            text.push(letter);
            rest = after;
        }
        text.push_str(rest);
        Some(Self(text))
    }

    /// Reads UTF-8, with each run of other bytes replaced.
    pub(crate) fn from_utf8_lossy(bytes: &[u8]) -> Self {
        const REPLACEMENT: &str = "\u{fffd}";
        let parts = || {
            bytes
                .utf8_chunks()
                .flat_map(|chunk| [chunk.valid(), if chunk.invalid().is_empty() { "" } else { REPLACEMENT }])
        };
        let mut text = Zeroizing::new(String::with_capacity(parts().map(str::len).sum()));
        parts().for_each(|part| text.push_str(part));
        Self(text)
    }

    /// Returns the text as one that is no secret.
    pub(crate) fn into_string(mut self) -> String {
        std::mem::take(&mut *self.0)
    }

    pub(crate) fn into_zeroizing(self) -> Zeroizing<String> {
        self.0
    }
}

/// Reads what follows a backslash in a JSON string (RFC 8259, section 7), and returns what is after that.
fn unescaped(escape: &str) -> Option<(char, &str)> {
    let mut letters = escape.chars();
    let letter = match letters.next()? {
        letter @ ('"' | '\\' | '/') => letter,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return unescaped_utf16(letters.as_str()),
        _ => return None,
    };
    Some((letter, letters.as_str()))
}

fn unescaped_utf16(digits: &str) -> Option<(char, &str)> {
    let unit = |text: &str| u16::from_str_radix(text.get(..4)?, 16).ok();
    let (first, rest) = (unit(digits)?, digits.get(4..)?);
    if let Some(letter) = char::from_u32(first.into()) {
        return Some((letter, rest));
    }
    let digits = rest.strip_prefix("\\u")?;
    let letter = char::decode_utf16([first, unit(digits)?]).next()?.ok()?;
    Some((letter, digits.get(4..)?))
}

impl Deref for SecretText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText")
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?;
        Self::from_json(json).ok_or_else(|| D::Error::custom("not a string"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(json).ok()?;
        SecretText::from_json(raw).map(SecretText::into_string)
    }

    #[test]
    fn strings_with_every_escape() {
        for (json, text) in [
            (r#""""#, ""),
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""\u0041\u00e4\u00E4\u20ac\uFFFF\u0000""#, "Aää€\u{ffff}\0"),
            (r#""a\ud83d\ude00b""#, "a😀b"),
            (r#"  "ä😀\u007f "  "#, "ä😀\u{7f} "),
        ] {
            assert_eq!(read(json).as_deref(), Some(text), "{json}");
            assert_eq!(serde_json::from_str::<SecretText>(json).unwrap().into_string(), text);
        }
        for json in
            [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dA""#, r#""\ud83d\u0041""#, r#""\ud83d\ud83d""#, "5", "{}", "null"]
        {
            assert_eq!(read(json), None, "{json}");
            assert!(serde_json::from_str::<SecretText>(json).is_err());
        }
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_json_reads(parts in prop::collection::vec(prop_oneof![
            "[ -~]{0,3}",
            Just("\\".to_owned()),
            r#"\\["\\/bfnrtux]"#,
            r"\\u[0-9a-fA-F]{4}",
            r"\\u[dD][89abAB][0-9a-f]{2}(\\u[dD][c-fC-F][0-9a-f]{2})?",
            any::<char>().prop_map(String::from),
        ], 0..6)) {
            let json = format!("\"{}\"", parts.concat());
            prop_assert_eq!(read(&json), serde_json::from_str(&json).ok());
        }

        #[test]
        fn it_replaces_what_is_not_utf_8_as_the_standard_library_does(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(&*SecretText::from_utf8_lossy(&bytes), &*String::from_utf8_lossy(&bytes));
        }
    }
}
