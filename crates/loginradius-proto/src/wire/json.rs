//! JSON objects, read field by field.
//!
//! Only the fields that are read are parsed. The rest is skipped, so that a number out of range or a deep structure in
//! another field does no harm.

use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::character::{is_line, is_token};
use crate::secret_text::SecretText;

/// Why a field of a JSON object cannot be read. It names the field and shows no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{name}` {problem}")]
pub(crate) struct FieldProblem {
    name: &'static str,
    problem: &'static str,
}

impl FieldProblem {
    pub(crate) fn missing(name: &'static str) -> Self {
        Self { name, problem: "is missing" }
    }

    pub(crate) fn duplicate(name: &'static str) -> Self {
        Self { name, problem: "occurs twice" }
    }

    pub(crate) fn not_a_url(name: &'static str) -> Self {
        Self { name, problem: "is not an http or https URL that plainly shows its host" }
    }

    pub(crate) fn not_a_boolean(name: &'static str) -> Self {
        Self { name, problem: "is neither true nor false" }
    }

    pub(crate) fn not_a_time(name: &'static str) -> Self {
        Self { name, problem: "is not a time in seconds since 1970" }
    }

    pub(crate) fn not_text(name: &'static str) -> Self {
        Self { name, problem: "is not a string in UTF-8" }
    }
}

/// Checks that a token or a code, if there is one, has only printable ASCII (RFC 6749, appendix A).
pub(crate) fn check_token(name: &'static str, token: Option<&str>) -> Result<(), FieldProblem> {
    match token {
        Some(token) if !is_token(token) => {
            Err(FieldProblem { name, problem: "has a character outside of printable ASCII" })
        }
        _ => Ok(()),
    }
}

/// Checks that a text, if there is one, can be shown on one line as it is.
pub(crate) fn check_line(name: &'static str, text: Option<&str>) -> Result<(), FieldProblem> {
    match text {
        Some(text) if !is_line(text) => Err(FieldProblem { name, problem: "has an invisible character" }),
        _ => Ok(()),
    }
}

/// The text of a response.
pub(crate) enum ResponseText<'a> {
    Utf8(&'a str),
    /// Bytes that are not UTF-8 were replaced.
    Replaced(SecretText),
}

impl<'a> ResponseText<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        std::str::from_utf8(bytes).map_or_else(|_| Self::Replaced(SecretText::from_utf8_lossy(bytes)), Self::Utf8)
    }
}

impl Deref for ResponseText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Utf8(text) => text,
            Self::Replaced(text) => text,
        }
    }
}

/// A JSON string.
pub(crate) enum JsonText<'a> {
    /// A part of the text that it was read from.
    Plain(&'a str),
    /// It was written with escapes.
    Unescaped(SecretText),
}

impl<'a> JsonText<'a> {
    /// Reads a JSON string; `None` for any other value.
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        let quoted = raw.get().strip_prefix('"')?.strip_suffix('"')?;
        if quoted.contains('\\') { SecretText::from_json(raw).map(Self::Unescaped) } else { Some(Self::Plain(quoted)) }
    }

    /// Returns the text as one that is no secret.
    pub(crate) fn into_string(self) -> String {
        match self {
            Self::Plain(text) => text.to_owned(),
            Self::Unescaped(text) => text.into_string(),
        }
    }
}

impl Deref for JsonText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Unescaped(text) => text,
        }
    }
}

impl From<JsonText<'_>> for SecretText {
    fn from(text: JsonText<'_>) -> Self {
        match text {
            JsonText::Plain(text) => text.into(),
            JsonText::Unescaped(text) => text,
        }
    }
}

type Member<'a> = (JsonText<'a>, &'a RawValue);

#[derive(Default)]
struct Members<'a> {
    /// LoginRadius's responses have about four, which need no allocation.
    first: [Option<Member<'a>>; 6],
    others: Vec<Member<'a>>,
}

impl<'a> Members<'a> {
    fn push(&mut self, member: Member<'a>) {
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(member),
            None => self.others.push(member),
        }
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &Member<'a>> {
        self.first.iter().flatten().chain(&self.others)
    }
}

/// The members of a JSON object in their order, duplicates included.
pub(crate) struct Object<'a> {
    members: Members<'a>,
    /// Whether bytes that are not UTF-8 were replaced in the text.
    lossy: bool,
}

impl<'a> Object<'a> {
    /// Parses a text that is one JSON object; `None` for any other.
    pub(crate) fn parse(text: &'a ResponseText<'_>) -> Option<Self> {
        let mut object = Self::of(text)?;
        object.lossy = matches!(text, ResponseText::Replaced(_));
        Some(object)
    }

    fn of(json: &'a str) -> Option<Self> {
        // serde_json's error would quote a value of another type.
        if json.trim_ascii_start().starts_with('{') { serde_json::from_str(json).ok() } else { None }
    }

    /// Returns the string of that name; `None` if it is missing or null.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<JsonText<'a>>, FieldProblem> {
        let mut found = self.members.iter().filter(|(key, _)| **key == *name);
        let Some((_, raw)) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(FieldProblem::duplicate(name));
        }
        self.read(name, raw)
    }

    /// Returns the token or the code of that name; `None` if it is missing, null or empty.
    pub(crate) fn token(&self, name: &'static str) -> Result<Option<JsonText<'a>>, FieldProblem> {
        let token = self.text(name)?.filter(|token| !token.is_empty());
        check_token(name, token.as_deref())?;
        Ok(token)
    }

    /// Returns the last token of that name, whatever other members have the name. A server's mistake must not lose it.
    pub(crate) fn last_token(&self, name: &'static str) -> Result<Option<JsonText<'a>>, FieldProblem> {
        let mut problem = None;
        for (_, raw) in self.members.iter().rev().filter(|(key, _)| **key == *name) {
            let text = self.read(name, raw);
            match text.and_then(|text| check_token(name, text.as_deref()).map(|()| text)) {
                Ok(Some(text)) if !text.is_empty() => return Ok(Some(text)),
                Ok(_) => {}
                Err(field) => problem = Some(field),
            }
        }
        problem.map_or(Ok(None), Err)
    }

    /// Returns the string of that name, if there is exactly one, for a member that a login can do without.
    pub(crate) fn optional_text(&self, name: &'static str) -> Option<JsonText<'a>> {
        self.text(name).unwrap_or(None)
    }

    /// Returns the strings of the array of that name; `None` if it is no array.
    pub(crate) fn texts(&self, name: &'static str) -> Option<Result<Vec<JsonText<'a>>, FieldProblem>> {
        let elements: Vec<&RawValue> = serde_json::from_str(self.raw(name)?.get()).ok()?;
        let text = |raw| self.read(name, raw)?.ok_or(FieldProblem::not_text(name));
        Some(elements.into_iter().map(text).collect())
    }

    fn read(&self, name: &'static str, raw: &'a RawValue) -> Result<Option<JsonText<'a>>, FieldProblem> {
        if raw.get() == "null" {
            return Ok(None);
        }
        let text = JsonText::read(raw);
        // If part of the text was replaced, a token with such a part is of no use.
        let text = text.filter(|text| !(self.lossy && text.contains(char::REPLACEMENT_CHARACTER)));
        text.map(Some).ok_or(FieldProblem::not_text(name))
    }

    /// Returns whether there is a value of that name, and it is neither null nor an empty string.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|value| !matches!(value.get(), "null" | "\"\""))
    }

    /// Returns the first value of that name, as it is written.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|(key, _)| **key == *name).map(|(_, raw)| *raw)
    }

    /// Returns the first value of that name in any case of letters, as it is written.
    pub(crate) fn raw_ignoring_case(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, raw)| *raw)
    }

    /// Returns the first value of that name in upper or lower case; `None` if it is not a string.
    pub(crate) fn text_ignoring_case(&self, name: &str) -> Option<JsonText<'a>> {
        JsonText::read(self.raw_ignoring_case(name)?)
    }

    /// Returns the objects in the first array of that name in upper or lower case.
    pub(crate) fn objects_ignoring_case(&self, name: &str) -> Vec<Self> {
        let array = self.raw_ignoring_case(name).map(RawValue::get).filter(|array| array.starts_with('['));
        let elements: Vec<&RawValue> = array.and_then(|array| serde_json::from_str(array).ok()).unwrap_or_default();
        elements.into_iter().filter_map(|element| Self::of(element.get())).collect()
    }

    /// Returns every string of these names in upper or lower case.
    pub(crate) fn texts_ignoring_case(&self, names: &[&str]) -> impl Iterator<Item = JsonText<'a>> {
        let is_named = |key: &str| names.iter().any(|name| key.eq_ignore_ascii_case(name));
        self.members.iter().filter(move |(key, _)| is_named(key)).filter_map(|(_, raw)| JsonText::read(raw))
    }

    /// Returns the first value of that name in upper or lower case, if it is an object.
    pub(crate) fn object_ignoring_case(&self, name: &str) -> Option<Self> {
        Self::of(self.raw_ignoring_case(name)?.get())
    }
}

impl<'a> Deserialize<'a> for Object<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members::default();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object { members, lossy: false })
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

impl<'a> Deserialize<'a> for JsonText<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = JsonText<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(JsonText::Plain(text))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(JsonText::Unescaped(text.into()))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_not_read_does_not_matter() {
        let deep = "[".repeat(5_000) + &"]".repeat(5_000);
        let text = format!(r#"{{"a":"x","huge":1e999,"lone":"\ud800","deep":{deep}}}"#);
        let text = ResponseText::Utf8(&text);
        let object = Object::parse(&text).expect("an object");
        assert_eq!(object.text("a").unwrap().as_deref(), Some("x"));
    }

    #[test]
    fn a_field_that_is_read_must_occur_once() {
        let text = ResponseText::Utf8(r#"{"a":"x","a":"x","b":1,"c":null}"#);
        let object = Object::parse(&text).unwrap();
        assert_eq!(object.text("a").err().unwrap(), FieldProblem::duplicate("a"));
        assert_eq!(object.text("b").err().unwrap(), FieldProblem::not_text("b"));
        assert!(object.text("c").unwrap().is_none());
        assert!(object.text("d").unwrap().is_none());
    }

    #[test]
    fn every_member_is_found_however_many_there_are() {
        for count in 1..20 {
            let members: Vec<_> = (0..count).map(|number| format!(r#""field{number}":"{number}""#)).collect();
            let text = format!(r#"{{{},"a\u0062":"last"}}"#, members.join(","));
            let text = ResponseText::Utf8(&text);
            let object = Object::parse(&text).expect("an object");
            let found: Vec<_> = object.members.iter().map(|(_, raw)| raw.get().to_owned()).collect();
            let expected = (0..count).map(|number| format!("\"{number}\"")).chain(["\"last\"".to_owned()]);
            assert_eq!(found, expected.collect::<Vec<_>>());
            assert_eq!(object.text("ab").unwrap().as_deref(), Some("last"), "{count}");
        }
    }

    #[test]
    fn only_one_whole_object_is_parsed() {
        for text in ["", "[]", "null", "{", "{} {}", r#"{"a":}"#, "<html>"] {
            assert!(Object::parse(&ResponseText::Utf8(text)).is_none(), "{text}");
        }
    }
}
