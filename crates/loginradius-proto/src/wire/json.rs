//! JSON objects, read field by field.
//!
//! Only the fields that are asked for are parsed; the rest is skipped without being built, so that a
//! number out of range or a deep structure in a field that is never read cannot spoil a response.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// Why a field of a success body cannot be read. It names the field and never quotes a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the response's field `{name}` {problem}")]
pub(crate) struct Field {
    name: &'static str,
    problem: &'static str,
}

impl Field {
    pub(crate) fn missing(name: &'static str) -> Self {
        Self { name, problem: "is missing" }
    }

    pub(crate) fn duplicate(name: &'static str) -> Self {
        Self { name, problem: "is there twice" }
    }

    pub(crate) fn unusable(name: &'static str) -> Self {
        Self { name, problem: "has a control character" }
    }

    pub(crate) fn not_text(name: &'static str) -> Self {
        Self { name, problem: "is not a string of UTF-8" }
    }
}

/// The members of a JSON object, in their order, duplicates included.
pub(crate) struct Object<'a> {
    members: Vec<(String, &'a RawValue)>,
    /// Whether bytes that are not UTF-8 were replaced in the text.
    lossy: bool,
}

impl<'a> Object<'a> {
    /// `None` if that is not one JSON object.
    #[allow(clippy::ptr_arg, reason = "an owned text is one in which bytes were replaced")]
    pub(crate) fn parse(text: &'a Cow<'_, str>) -> Option<Self> {
        let object = serde_json::from_str::<Self>(text).ok()?;
        Some(Self { lossy: matches!(text, Cow::Owned(_)), ..object })
    }

    /// The string of that name; `None` if it is missing or null.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<String>, Field> {
        let mut found = self.members.iter().filter(|(key, _)| key == name);
        let Some((_, raw)) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(Field::duplicate(name));
        }
        self.read(name, raw)
    }

    /// The last string of that name that says something, whatever else is there under the name: for what must
    /// not be lost to a server's mistake.
    pub(crate) fn last_text(&self, name: &'static str) -> Result<Option<String>, Field> {
        let mut problem = None;
        for (_, raw) in self.members.iter().rev().filter(|(key, _)| key == name) {
            match self.read(name, raw) {
                Ok(Some(text)) if !text.is_empty() => return Ok(Some(text)),
                Ok(_) => {}
                Err(field) => problem = Some(field),
            }
        }
        problem.map_or(Ok(None), Err)
    }

    fn read(&self, name: &'static str, raw: &RawValue) -> Result<Option<String>, Field> {
        let text: Option<String> = serde_json::from_str(raw.get()).map_err(|_| Field::not_text(name))?;
        match text {
            // A mangled token is worse than none.
            Some(text) if self.lossy && text.contains(char::REPLACEMENT_CHARACTER) => Err(Field::not_text(name)),
            text => Ok(text),
        }
    }

    /// Whether there is a value of that name that says something: neither null nor an empty string.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|value| !matches!(value.get(), "null" | "\"\""))
    }

    /// The first value of that name, as it stands in the text.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|(key, _)| key == name).map(|(_, raw)| *raw)
    }

    /// The first value of that name, whatever the case of its letters.
    pub(crate) fn raw_ignoring_case(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, raw)| *raw)
    }

    /// The first value of that name, whatever the case of its letters, if it can be read as a `T`.
    pub(crate) fn read_ignoring_case<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.raw_ignoring_case(name)?.get()).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object { members, lossy: false })
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_not_read_does_not_matter() {
        let deep = "[".repeat(5_000) + &"]".repeat(5_000);
        let text = format!(r#"{{"a":"x","huge":1e999,"lone":"\ud800","deep":{deep}}}"#);
        let text = text.into();
        let object = Object::parse(&text).expect("an object");
        assert_eq!(object.text("a").unwrap().as_deref(), Some("x"));
    }

    #[test]
    fn a_field_that_is_read_must_be_there_once() {
        let text = r#"{"a":"x","a":"x","b":1,"c":null}"#.into();
        let object = Object::parse(&text).unwrap();
        assert_eq!(object.text("a").unwrap_err(), Field::duplicate("a"));
        assert_eq!(object.text("b").unwrap_err(), Field::not_text("b"));
        assert_eq!(object.text("c").unwrap(), None);
        assert_eq!(object.text("d").unwrap(), None);
    }

    #[test]
    fn only_one_whole_object_will_do() {
        for text in ["", "[]", "null", "{", "{} {}", r#"{"a":}"#, "<html>"] {
            assert!(Object::parse(&text.into()).is_none(), "{text}");
        }
    }
}
