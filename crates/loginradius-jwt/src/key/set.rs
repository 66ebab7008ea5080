use std::fmt;
use std::sync::Arc;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::material::{Material, Parsed};
use crate::algorithm::{Algorithm, Curve};
use crate::base64url;
use crate::error::Error;
use crate::object::{self, Members};

/// More keys than any issuer has: a token without a key id is tried with each.
const MAX_KEYS: usize = 64;

/// A JWK set ([RFC 7517, section 5]), as LoginRadius serves it for OpenID Connect and M2M apps.
///
/// A key that cannot be used is left out, so that one damaged key does not shut out all tokens. Left out are
/// keys of another kind or use (`kty`, `crv`, `alg`, `use`, `key_ops`), secrets (`oct`), keys with private
/// members, RSA keys of less than 2048 or more than 8192 bits, and keys whose numbers are unreadable or wrong.
///
/// A token's `kid` selects the keys to try. A token without one is tried with all that suit the algorithm.
///
/// `Debug` prints how many keys there are.
///
/// [RFC 7517, section 5]: https://www.rfc-editor.org/rfc/rfc7517#section-5
#[derive(Clone)]
pub struct KeySet {
    keys: Arc<[Jwk]>,
}

impl KeySet {
    /// Reads the set's JSON.
    ///
    /// ```
    /// use loginradius_jwt::KeySet;
    ///
    /// let set = KeySet::from_json(
    ///     r#"{"keys": [
    ///         {"kty": "EC", "crv": "P-256", "use": "sig", "kid": "1",
    ///          "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    ///          "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    ///         {"kty": "RSA", "use": "sig", "kid": "206", "n": "nvJHvAs6aEq9w6Cb793lk9...", "e": "AQAB"}
    ///     ]}"#,
    /// )?;
    /// assert_eq!(set.len(), 1);
    /// # Ok::<(), loginradius_jwt::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Check::Key`](crate::Check::Key) if the text is no JWK set, if it has more than 64 keys, or if no key of it
    /// can be used.
    pub fn from_json(jwks: impl AsRef<[u8]>) -> Result<Self, Error> {
        let text = std::str::from_utf8(jwks.as_ref()).map_err(|_| Error::key("the JWK set is not UTF-8"))?;
        if text.contains("-----BEGIN") {
            return Err(Error::key("this is PEM, not a JWK set: read it with `Key::pem`"));
        }
        let mut set = Set { keys: None };
        object::read(text, &mut set).map_err(|_| {
            Error::key("the JWK set is not readable JSON: was an error page loaded instead of the set?")
        })?;
        let Some(found) = set.keys else {
            return Err(Error::key("the JWK set has no member `keys`: was an error loaded instead of the set?"));
        };
        if found.len() > MAX_KEYS {
            return Err(Error::key("the JWK set has more than 64 keys: was the right address loaded?"));
        }
        let keys: Arc<[Jwk]> = found.iter().filter_map(|key| Jwk::read(key.get())).collect();
        if keys.is_empty() {
            return Err(Error::key(format!(
                "none of the {} keys of the JWK set can verify signatures: they are of another use, \
                 damaged, too small or private",
                found.len()
            )));
        }
        Ok(Self { keys })
    }

    /// How many usable keys there are, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an empty set is not read")]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that suit, parsed, with their ids.
    pub(super) fn suiting(&self, algorithm: Algorithm) -> Result<Vec<Candidate>, Error> {
        let suits = |key: &Jwk| key.algorithm.is_none_or(|own| own == algorithm);
        let suiting: Vec<_> = (self.keys.iter().filter(|key| suits(key)))
            .filter_map(|key| Some(Candidate { id: key.id.clone(), key: Parsed::new(algorithm, &key.material).ok()? }))
            .collect();
        if suiting.is_empty() {
            return Err(Error::key(format!(
                "none of the {} usable keys of the JWK set is for {algorithm}: see which algorithm the app signs with",
                self.keys.len()
            )));
        }
        Ok(suiting)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({} keys)", self.keys.len())
    }
}

/// A key that suits an algorithm, and its id if it has one.
pub(super) struct Candidate {
    pub(super) id: Option<Box<str>>,
    pub(super) key: Parsed,
}

struct Jwk {
    id: Option<Box<str>>,
    /// What the key says it is for. A key that says nothing suits every algorithm of its kind.
    algorithm: Option<Algorithm>,
    material: Material,
}

impl Jwk {
    fn read(json: &str) -> Option<Self> {
        let mut members = JwkMembers::default();
        object::read(json, &mut members).ok()?;
        // RFC 7517, sections 4.2 and 4.3.
        if members.usage.is_some_and(|usage| usage != "sig")
            || members.operations.is_some_and(|operations| !operations.iter().any(|operation| operation == "verify"))
            || members.private
        {
            return None;
        }
        let number = |text: &Option<String>| base64url::decode(text.as_deref()?).ok();
        let material = match members.kty.as_deref()? {
            "RSA" => {
                // RFC 7518, section 6.3.1.1 knows that some put a zero in front, which changes nothing.
                let stripped = |number: Vec<u8>| number.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
                Material::Rsa { n: stripped(number(&members.n)?), e: stripped(number(&members.e)?) }
            }
            "EC" => {
                let curve = Curve::named(members.crv.as_deref()?)?;
                let (x, y) = (number(&members.x)?, number(&members.y)?);
                if x.len() != curve.size() || y.len() != curve.size() {
                    return None;
                }
                Material::Ec { curve, point: [&[4], x.as_slice(), y.as_slice()].concat() }
            }
            _ => return None,
        };
        material.check_public().ok()?;
        let algorithm = match members.alg {
            None => None,
            Some(name) => {
                let algorithm = Algorithm::named(&name)?;
                Parsed::new(algorithm, &material).ok()?;
                Some(algorithm)
            }
        };
        Some(Self { id: members.kid.map(String::into_boxed_str), algorithm, material })
    }
}

struct Set<'de> {
    keys: Option<Vec<&'de RawValue>>,
}

impl<'de> Members<'de> for Set<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        if name != "keys" {
            return Ok(false);
        }
        self.keys = Some(map.next_value::<Capped<'de>>()?.0);
        Ok(true)
    }
}

/// The elements of an array, one more than allowed at most.
struct Capped<'de>(Vec<&'de RawValue>);

impl<'de> Deserialize<'de> for Capped<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Capped<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of keys")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = seq.next_element()? {
                    if keys.len() <= MAX_KEYS {
                        keys.push(key);
                    }
                }
                Ok(Capped(keys))
            }
        }

        deserializer.deserialize_seq(Keys)
    }
}

#[derive(Default)]
struct JwkMembers {
    kty: Option<String>,
    usage: Option<String>,
    operations: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    private: bool,
}

impl<'de> Members<'de> for JwkMembers {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        let member = match name {
            "kty" => &mut self.kty,
            "use" => &mut self.usage,
            "alg" => &mut self.alg,
            "kid" => &mut self.kid,
            "crv" => &mut self.crv,
            "x" => &mut self.x,
            "y" => &mut self.y,
            "n" => &mut self.n,
            "e" => &mut self.e,
            "key_ops" => {
                self.operations = map.next_value()?;
                return Ok(true);
            }
            // What a private or secret key has: RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1.
            "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "k" => {
                self.private |= map.next_value::<Option<de::IgnoredAny>>()?.is_some();
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *member = map.next_value()?;
        Ok(true)
    }
}
