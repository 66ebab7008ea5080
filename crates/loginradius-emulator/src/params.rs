//! The parameters of a request.

use std::fmt;

use hyper::header::{self, HeaderMap};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::error_codes;
use crate::recorded::BodyFormat;
use crate::refusal::Refusal;

/// The value of a parameter. Only JSON has values other than text.
#[derive(Debug, Clone, PartialEq)]
enum Content {
    Text(String),
    Other(Value),
}

/// Names and values in order, with repetitions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Params {
    entries: Vec<(String, Content)>,
    /// For queries: LoginRadius's pages and SDKs write `apikey`, `apiKey`, `jwtapp`, `jwtApp`, `Nonce`.
    ignore_case: bool,
}

impl Params {
    pub(crate) fn from_form(text: &[u8]) -> Self {
        let entries = form_urlencoded::parse(text)
            .map(|(name, value)| (name.into_owned(), Content::Text(value.into_owned())))
            .collect();
        Self { entries, ignore_case: false }
    }

    /// Reads a query, whose names may be in any case.
    pub(crate) fn from_query(text: &str) -> Self {
        Self { ignore_case: true, ..Self::from_form(text.as_bytes()) }
    }

    /// Reads a JSON object. `None` if it is something else.
    pub(crate) fn from_json(text: &[u8]) -> Option<Self> {
        let Members(members) = serde_json::from_slice(text).ok()?;
        let entries = members
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => (name, Content::Text(text)),
                other => (name, Content::Other(other)),
            })
            .collect();
        Some(Self { entries, ignore_case: false })
    }

    /// Returns the value of an optional parameter. An empty one and `null` count as missing (RFC 6749, section 3.2).
    pub(crate) fn optional(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self
            .entries
            .iter()
            .filter(|(key, _)| key == name || self.ignore_case && key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value);
        let value = values.next();
        if values.next().is_some() {
            return Err(Refusal::Repeated(name.to_owned()));
        }
        match value {
            None | Some(Content::Other(Value::Null)) => Ok(None),
            Some(Content::Text(text)) if text.is_empty() => Ok(None),
            Some(Content::Text(text)) => Ok(Some(text)),
            Some(Content::Other(_)) => Err(Refusal::NotText(name.to_owned())),
        }
    }

    /// Returns whether there is a parameter of this name, empty or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key == name)
    }

    pub(crate) fn add(&mut self, name: &str, value: String) {
        self.entries.push((name.to_owned(), Content::Text(value)));
    }

    /// Removes every parameter of this name.
    pub(crate) fn remove(&mut self, name: &str) {
        self.entries.retain(|(key, _)| key != name);
    }

    pub(crate) fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        self.optional(name)?.ok_or(Refusal::Missing(name))
    }

    /// Iterates over names and values for [`RecordedRequest`](crate::RecordedRequest). Values other than text are
    /// written as JSON.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        self.entries.iter().map(|(name, value)| match value {
            Content::Text(text) => (name.clone(), text.clone()),
            Content::Other(value) => (name.clone(), value.to_string()),
        })
    }
}

/// Returns the format of a body by its `Content-Type`.
pub(crate) fn body_format(headers: &HeaderMap, body: &[u8]) -> BodyFormat {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    match media_type.as_deref() {
        Some("application/json") => BodyFormat::Json,
        Some("application/x-www-form-urlencoded") => BodyFormat::Form,
        _ if body.is_empty() => BodyFormat::None,
        _ => BodyFormat::Other,
    }
}

/// Reads the parameters of a body. `forms` says whether a form is allowed.
pub(crate) fn body_params(format: BodyFormat, body: &[u8], forms: bool) -> Result<Params, Refusal> {
    match format {
        BodyFormat::Json => Params::from_json(body).ok_or(Refusal::Service(error_codes::BODY_INVALID)),
        BodyFormat::Form if forms => Ok(Params::from_form(body)),
        BodyFormat::Form => Err(Refusal::Service(error_codes::BODY_INVALID)),
        BodyFormat::None | BodyFormat::Other => Err(Refusal::Service(error_codes::CONTENT_TYPE_UNSUPPORTED)),
    }
}

/// The members of a JSON object with repetitions, which `serde_json::Value` drops.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_seen_in_forms_and_in_json() {
        let repeated = Err(Refusal::Repeated("a".into()));
        assert_eq!(Params::from_form(b"a=1&b=2&a=").optional("a"), repeated);
        let json = Params::from_json(br#"{"a":"1","b":"2","a":null}"#).unwrap();
        assert_eq!(json.optional("a"), repeated);
        assert_eq!(json.optional("b"), Ok(Some("2")));
    }

    #[test]
    fn empty_and_null_count_as_missing_and_other_types_are_refused() {
        let json = Params::from_json(br#"{"a":"","b":null,"c":5,"d":["x"]}"#).unwrap();
        assert_eq!(json.optional("a"), Ok(None));
        assert_eq!(json.optional("b"), Ok(None));
        assert_eq!(json.required("a"), Err(Refusal::Missing("a")));
        assert_eq!(json.optional("c"), Err(Refusal::NotText("c".into())));
        assert_eq!(json.optional("d"), Err(Refusal::NotText("d".into())));
    }

    #[test]
    fn only_objects_are_parameters() {
        for body in ["", "[]", "\"a\"", "{", "{}x", "{\"a\":1,}"] {
            assert_eq!(Params::from_json(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn names_in_a_query_have_any_case_and_those_in_a_body_have_one() {
        assert_eq!(Params::from_query("ApiKey=1").optional("apikey"), Ok(Some("1")));
        assert_eq!(Params::from_form(b"Client_Id=1").optional("client_id"), Ok(None));
        assert!(Params::from_query("apikey=1&apiKey=2").optional("apikey").is_err());
    }
}
