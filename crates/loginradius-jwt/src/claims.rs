//! The registered claims (RFC 7519, section 4.1) and `nonce` (OpenID Connect Core, section 2).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, ErrorKind};
use crate::object::{self, Fault, Members};

/// The claims that this crate reads itself. A null counts as an absent claim: LoginRadius sends null for the standard
/// claims that a profile has no value for (LoginRadius, "OpenID Connect", user information).
#[derive(Clone, Default)]
pub(crate) struct Claims {
    pub(crate) issuer: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) audience: Option<Audiences>,
    pub(crate) expires_at: Option<SystemTime>,
    pub(crate) not_before: Option<SystemTime>,
    pub(crate) issued_at: Option<SystemTime>,
    pub(crate) id: Option<String>,
    pub(crate) nonce: Option<String>,
}

impl Claims {
    pub(crate) fn read(payload: &str) -> Result<Self, Error> {
        if names_serde_internals(payload) {
            return Err(Error::new(
                ErrorKind::InvalidClaims,
                "the token's claims have a name that serde_json reserves, and cannot be read safely: reject it",
            ));
        }
        let mut reading = Reading::default();
        match object::read(payload, &mut reading) {
            Ok(()) => Ok(reading.claims),
            // RFC 7519, section 4 also allows to take the last one. Then two readers could see two different tokens.
            Err(Fault::Duplicate) => {
                Err(Error::new(ErrorKind::InvalidClaims, "the token has two claims of the same name: reject it"))
            }
            Err(Fault::Unreadable) => Err(reading.at.map_or_else(
                || Error::new(ErrorKind::InvalidClaims, "the token's claims are not a valid JSON object: reject it"),
                Registered::mistyped,
            )),
        }
    }
}

/// Returns whether the text may contain a name that serde_json reserves for itself.
///
/// If an object has such a member, `serde_json::Value` parses the member's text as more JSON, and does so again at
/// each level. Text would become structure, and a short token could overflow the stack.
fn names_serde_internals(json: &str) -> bool {
    const PREFIX: &str = "$serde_json::private::";
    // Only escapes below U+0100 can make a character of the prefix.
    if !json.contains("\\u00") {
        return json.contains(PREFIX);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut plain = Vec::with_capacity(json.len());
    let mut rest = json.as_bytes();
    while let [byte, after @ ..] = rest {
        let escaped = match rest {
            [b'\\', b'u', b'0', b'0', high, low, after @ ..] => {
                digit(*high).zip(digit(*low)).map(|(high, low)| (high << 4 | low, after))
            }
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*byte, after));
        plain.push(byte);
        rest = after;
    }
    plain.windows(PREFIX.len()).any(|window| window == PREFIX.as_bytes())
}

/// The claims read so far, and the one that is being read, so that an error can name it.
#[derive(Default)]
struct Reading {
    claims: Claims,
    at: Option<Registered>,
}

#[derive(Clone, Copy)]
enum Registered {
    Issuer,
    Subject,
    Audience,
    Expiry,
    NotBefore,
    IssuedAt,
    Id,
    Nonce,
}

impl Registered {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "iss" => Self::Issuer,
            "sub" => Self::Subject,
            "aud" => Self::Audience,
            "exp" => Self::Expiry,
            "nbf" => Self::NotBefore,
            "iat" => Self::IssuedAt,
            "jti" => Self::Id,
            "nonce" => Self::Nonce,
            _ => return None,
        })
    }

    /// Creates the error for a claim of the wrong type, which must not count as absent: that was CVE-2026-25537.
    fn mistyped(self) -> Error {
        const TIME: &str =
            "is not a time, which is a number of seconds since 1970 (not milliseconds), before the year 10000";
        const TEXT: &str = "is not text";
        let (name, what) = match self {
            Self::Issuer => ("iss", TEXT),
            Self::Subject => ("sub", TEXT),
            Self::Audience => ("aud", "is neither text nor a list of text"),
            Self::Expiry => ("exp", TIME),
            Self::NotBefore => ("nbf", TIME),
            Self::IssuedAt => ("iat", TIME),
            Self::Id => ("jti", TEXT),
            Self::Nonce => ("nonce", TEXT),
        };
        Error::new(ErrorKind::InvalidClaims, format!("the token's claim {name} {what}: reject it"))
    }
}

impl<'de> Members<'de> for Reading {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        let Some(registered) = Registered::named(name) else { return Ok(false) };
        self.at = Some(registered);
        let claims = &mut self.claims;
        match registered {
            Registered::Issuer => claims.issuer = map.next_value()?,
            Registered::Subject => claims.subject = map.next_value()?,
            Registered::Audience => claims.audience = map.next_value()?,
            Registered::Expiry => claims.expires_at = time(map)?,
            Registered::NotBefore => claims.not_before = time(map)?,
            Registered::IssuedAt => claims.issued_at = time(map)?,
            Registered::Id => claims.id = map.next_value()?,
            Registered::Nonce => claims.nonce = map.next_value()?,
        }
        self.at = None;
        Ok(true)
    }
}

fn time<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<SystemTime>, A::Error> {
    Ok(map.next_value::<Option<NumericDate>>()?.map(|date| date.0))
}

/// A `NumericDate` of RFC 7519, section 2: seconds since 1970, possibly with a fraction.
struct NumericDate(SystemTime);

/// The last second of the year 9999. A later date is a mistake, most likely milliseconds, and would never pass.
const MAX_SINCE_1970: Duration = Duration::from_secs(253_402_300_799);

impl NumericDate {
    fn new<E: de::Error>(since: Option<Duration>) -> Result<Self, E> {
        since
            .filter(|since| *since <= MAX_SINCE_1970)
            .and_then(|since| UNIX_EPOCH.checked_add(since))
            .map(Self)
            .ok_or_else(|| E::custom("not a time"))
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;

        impl Visitor<'_> for Seconds {
            type Value = NumericDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
                NumericDate::new(Some(Duration::from_secs(seconds)))
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
                NumericDate::new(Duration::try_from_secs_f64(seconds).ok())
            }
        }

        // With serde_json's feature `arbitrary_precision`, `deserialize_any` would make a map of a number.
        deserializer.deserialize_f64(Seconds)
    }
}

/// The claim `aud`: text, or a list of text.
#[derive(Clone)]
pub(crate) struct Audiences(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Audiences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = Audiences;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a list of text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Audiences, E> {
                Ok(Audiences(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Audiences, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element()? {
                    texts.push(text);
                }
                Ok(Audiences(texts))
            }
        }

        deserializer.deserialize_any(Texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_serde_json_reserves_are_refused_in_every_spelling() {
        for name in [
            "$serde_json::private::RawValue",
            "$serde_json::private::Number",
            "\\u0024serde_json::private::RawValue",
            "$serde_json\\u003a\\u003Aprivate::RawValue",
            "$\\u0073erde_json::private::\\u0052awValue",
        ] {
            let payload = format!(r#"{{"exp":4102444800,"x":[{{"{name}":"{{\"admin\":true}}"}}]}}"#);
            let error = Claims::read(&payload).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidClaims, "{name}");
        }
        // Characters that only look like an escape must not hide the name after them.
        for blind in ["\\\\u00\u{20ac}", "\\\\u00", "\\\\u00\u{e9}", "\\\\u0", "\\\\"] {
            let payload = format!(r#"{{"a":"{blind}","x":{{"$serde_json::private::RawValue":"[]"}},"\u0062":1}}"#);
            assert!(Claims::read(&payload).is_err(), "{payload}");
        }
        for name in ["serde_json", "$serde_json", "L\\u00f6we", "\\u0041da", "\\u00", "\\u00zz", "\\u00é"] {
            assert!(!names_serde_internals(name), "{name}");
        }
    }
}
