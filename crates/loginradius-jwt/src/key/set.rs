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

/// The limit on the keys of a set, more than any issuer has: a token without a `kid` is tried with each of them.
const MAX_KEYS: usize = 64;

/// A JWK set ([RFC 7517, section 5]), which LoginRadius publishes at the `jwks_uri` of OpenID Connect and for M2M apps.
///
/// A token's `kid` selects the keys to try. A token without `kid` is tried with all keys that suit the algorithm.
///
/// Keys that cannot be used are left out, so that one damaged key does not make all tokens fail:
///
/// - keys for another purpose or algorithm (`use`, `key_ops`, `alg`) or of another kind (`kty`, `crv`),
/// - secrets (`oct`) and keys with private members,
/// - RSA keys with less than 2048 bits ([RFC 7518, section 3.3]) or more than 8192,
/// - keys with missing, damaged or impossible numbers.
///
/// `Debug` shows only the number of keys. Clones share the keys.
///
/// [RFC 7517, section 5]: https://www.rfc-editor.org/rfc/rfc7517#section-5
/// [RFC 7518, section 3.3]: https://www.rfc-editor.org/rfc/rfc7518#section-3.3
#[derive(Clone)]
#[doc(alias("jwks", "jwk", "jwks_uri", "JwkSet"))]
pub struct KeySet {
    keys: Arc<[Jwk]>,
}

impl KeySet {
    /// Reads the JSON of a set, which is the whole body of the HTTP response.
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
    /// assert_eq!(set.len(), 1, "the RSA key is cut short, so it is left out");
    /// # Ok::<(), loginradius_jwt::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`](crate::ErrorKind::InvalidKey) if the text is not a JWK set, contains more than 64
    /// keys, or contains no key that can be used.
    pub fn from_json(jwks: impl AsRef<[u8]>) -> Result<Self, Error> {
        let text = std::str::from_utf8(jwks.as_ref()).map_err(|_| {
            Error::key("the JWK set is not UTF-8: pass the body of the response after it is decompressed")
        })?;
        if text.contains("-----BEGIN") {
            return Err(Error::key("this is PEM, not a JWK set: read it with `Key::from_pem`"));
        }
        let mut set = Set { keys: None };
        object::read(text, &mut set).map_err(|_| {
            Error::key("the JWK set is not readable JSON: check that the response was not an error page")
        })?;
        let Some(found) = set.keys else {
            return Err(Error::key(
                "the JWK set has no member `keys`: check that the response was not an error, and that the URL is \
                 the `jwks_uri`",
            ));
        };
        if found.len() > MAX_KEYS {
            return Err(Error::key("the JWK set has more than 64 keys: check that the URL is the `jwks_uri`"));
        }
        let keys: Arc<[Jwk]> = found.iter().filter_map(|key| Jwk::read(key.get())).collect();
        if keys.is_empty() {
            return Err(Error::key(format!(
                "no key of the JWK set ({} in all) can verify signatures, as each is for another purpose, damaged, \
                 too small or private: check that the URL is the `jwks_uri`",
                found.len()
            )));
        }
        Ok(Self { keys })
    }

    /// Returns the number of usable keys, which is at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a set without usable keys is an error")]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns the keys that suit the algorithm, parsed, with their ids.
    pub(super) fn suiting(&self, algorithm: Algorithm) -> Result<Vec<Candidate>, Error> {
        let suits = |key: &Jwk| key.algorithm.is_none_or(|own| own == algorithm);
        let suiting: Vec<_> = (self.keys.iter().filter(|key| suits(key)))
            .filter_map(|key| Some(Candidate { id: key.id.clone(), key: Parsed::new(algorithm, &key.material).ok()? }))
            .collect();
        if suiting.is_empty() {
            return Err(Error::key(format!(
                "no usable key of the JWK set ({} in all) is for {algorithm}: use the algorithm of the app's \
                 settings at LoginRadius",
                self.keys.len()
            )));
        }
        Ok(suiting)
    }
}

/// Shows only the number of keys.
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
    /// The key's `alg`. A key without `alg` suits every algorithm of its kind.
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
                // Some encoders add a leading zero, which changes nothing (RFC 7518, section 6.3.1.1).
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

/// The elements of an array, up to one more than allowed.
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
            // Members of private and secret keys (RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1).
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
