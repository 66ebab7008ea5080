//! The registered claims (RFC 7519, section 4.1) and `nonce` (OpenID Connect Core, section 2).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{Check, Error};
use crate::object::{self, Fault, Members};

/// The claims that are checked. A null is an absent claim: LoginRadius sends null for the standard claims that a
/// profile has no value for (LoginRadius, "OpenID Connect", user information).
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
            return Err(Error::new(Check::Claims, "the claims hold a name that the JSON library keeps for itself"));
        }
        let mut reading = Reading::default();
        match object::read(payload, &mut reading) {
            Ok(()) => Ok(reading.claims),
            // RFC 7519, section 4 leaves the choice, and whoever took the other of the two would be deceived.
            Err(Fault::Duplicate) => Err(Error::new(Check::Claims, "the token has a claim twice")),
            Err(Fault::Unreadable) => Err(reading.at.map_or_else(
                || Error::new(Check::Claims, "the claims are not a readable JSON object"),
                Registered::mistyped,
            )),
        }
    }
}

/// Whether a name may be in there that serde_json takes for an instruction: its `Value` reads the text of an object
/// with such a member as JSON of its own, and anew at every level, so that a text becomes structure and a short token
/// overflows the stack.
fn names_serde_internals(json: &str) -> bool {
    const PREFIX: &str = "$serde_json::private::";
    // No other escape makes a character of the prefix.
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

/// The claims so far, and which one is being read, so that an error can name it.
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

    /// Never as if the claim were absent: that was CVE-2026-25537.
    fn mistyped(self) -> Error {
        const TIME: &str = "is not a time: it has to be a number of seconds since 1970, before the year 10000";
        const TEXT: &str = "is not text";
        let (check, name, what) = match self {
            Self::Issuer => (Check::Issuer, "iss", TEXT),
            Self::Subject => (Check::Claims, "sub", TEXT),
            Self::Audience => (Check::Audience, "aud", "is neither text nor a list of texts"),
            Self::Expiry => (Check::Expiry, "exp", TIME),
            Self::NotBefore => (Check::NotBefore, "nbf", TIME),
            Self::IssuedAt => (Check::Claims, "iat", TIME),
            Self::Id => (Check::Claims, "jti", TEXT),
            Self::Nonce => (Check::Nonce, "nonce", TEXT),
        };
        Error::new(check, format!("the token's claim {name} {what}"))
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

/// A `NumericDate` of RFC 7519, section 2: seconds since 1970, perhaps with a fraction.
struct NumericDate(SystemTime);

/// The end of the year 9999. A later date is a mistake, most likely milliseconds, and would never be over.
const LAST: Duration = Duration::from_secs(253_402_300_799);

impl NumericDate {
    fn new<E: de::Error>(since: Option<Duration>) -> Result<Self, E> {
        since
            .filter(|since| *since <= LAST)
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

        // Not `deserialize_any`, which makes a map of a number if serde_json's feature `arbitrary_precision` is on.
        deserializer.deserialize_f64(Seconds)
    }
}

/// The claim `aud`: a text, or a list of texts.
#[derive(Clone)]
pub(crate) struct Audiences(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Audiences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = Audiences;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
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
    fn names_that_serde_json_would_act_upon_are_refused_in_every_spelling() {
        for name in [
            "$serde_json::private::RawValue",
            "$serde_json::private::Number",
            "\\u0024serde_json::private::RawValue",
            "$serde_json\\u003a\\u003Aprivate::RawValue",
            "$\\u0073erde_json::private::\\u0052awValue",
        ] {
            let payload = format!(r#"{{"exp":4102444800,"x":[{{"{name}":"{{\"admin\":true}}"}}]}}"#);
            let error = Claims::read(&payload).err().unwrap();
            assert_eq!(error.check(), Check::Claims, "{name}");
        }
        // What only looks like an escape must not hide what follows.
        for blind in ["\\\\u00\u{20ac}", "\\\\u00", "\\\\u00\u{e9}", "\\\\u0", "\\\\"] {
            let payload = format!(r#"{{"a":"{blind}","x":{{"$serde_json::private::RawValue":"[]"}},"\u0062":1}}"#);
            assert!(Claims::read(&payload).is_err(), "{payload}");
        }
        for name in ["serde_json", "$serde_json", "L\\u00f6we", "\\u0041da", "\\u00", "\\u00zz", "\\u00é"] {
            assert!(!names_serde_internals(name), "{name}");
        }
    }
}
