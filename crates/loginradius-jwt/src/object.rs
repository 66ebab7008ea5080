//! Reads the members of a JSON object, and refuses two members of the same name (RFC 7515, section 4; RFC 7519,
//! section 4).

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};

/// Receives the members of an object.
pub(crate) trait Members<'de> {
    /// Reads the value of a wanted member and returns `true`. For `false` the value is skipped.
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// The reason why an object was not read. It holds nothing of the object's text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Unreadable,
    /// Two members have the same name, after escapes are resolved.
    Duplicate,
}

/// Reads the whole text as one object.
///
/// Unwanted values are skipped without recursion, however deeply they are nested.
pub(crate) fn read<'de>(text: &'de str, members: &mut impl Members<'de>) -> Result<(), Fault> {
    let mut names = Vec::with_capacity(16);
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Object { members, names: &mut names })
        .and_then(|()| json.end())
        .map_err(|_| Fault::Unreadable)?;
    names.sort_unstable();
    if names.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) { Err(Fault::Duplicate) } else { Ok(()) }
}

struct Object<'a, 'de, M> {
    members: &'a mut M,
    names: &'a mut Vec<Cow<'de, str>>,
}

impl<'de, M: Members<'de>> Visitor<'de> for Object<'_, 'de, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            if !self.members.member(&name, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
            self.names.push(name);
        }
        Ok(())
    }
}

/// A name with its escapes resolved, borrowed if it has none.
struct Name<'de>(Cow<'de, str>);

impl<'de> de::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(name))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(name.to_owned()))
            }
        }

        deserializer.deserialize_str(Text).map(Self)
    }
}
