//! Keys, and what suits which algorithm.

mod der;
mod pem;
mod set;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

pub use set::KeySet;

use crate::algorithm::{Algorithm, Curve, Family};
use crate::error::{Check, Error};

/// One key to verify with: the secret of a JWT app, or the public half of the pair that it signs with.
///
/// With a single key a token's `kid` is not looked at: the tokens of LoginRadius's JWT apps have none.
///
/// `Debug` prints the kind alone. Clones share the memory; a secret is overwritten when the last is dropped.
#[derive(Clone)]
pub struct Key(pub(crate) Arc<Material>);

impl Key {
    /// The secret of a JWT app that signs with HS256, HS384 or HS512: the plain text of LoginRadius's
    /// dashboard, not base64 of something.
    ///
    /// The secret should have at least as many bytes as the hash: 32, 48 or 64 ([RFC 7518, section 3.2]). A shorter
    /// one is taken, since LoginRadius's app decides, but whoever sees one token can try short secrets offline.
    /// Who verifies with this secret can sign with it too.
    ///
    /// ```
    /// use loginradius_jwt::Key;
    ///
    /// let key = Key::secret("the secret of the JWT app, 32 bytes or more")?;
    /// # Ok::<(), loginradius_jwt::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Check::Key`] if the secret is empty, begins or ends with a line break, or is a public key or certificate
    /// in any of the usual forms: a verifier that took it for a secret would accept what anyone signed.
    ///
    /// [RFC 7518, section 3.2]: https://www.rfc-editor.org/rfc/rfc7518#section-3.2
    pub fn secret(secret: impl AsRef<[u8]>) -> Result<Self, Error> {
        let secret = secret.as_ref();
        if secret.is_empty() {
            return Err(Error::key("the secret is empty: was the file or the variable found?"));
        }
        if looks_like_a_key_file(secret) {
            return Err(Error::key(
                "the secret is a key file (PEM, JWK, DER or OpenSSH), and what is public must not verify as a secret: \
                 read a public key with `Key::pem`, a JWK set with `KeySet::from_json`",
            ));
        }
        let breaks = |byte: Option<&u8>| matches!(byte, Some(b'\r' | b'\n'));
        if breaks(secret.first()) || breaks(secret.last()) {
            return Err(Error::key(
                "the secret begins or ends with a line break, which LoginRadius's does not have: \
                 trim it, most editors and `echo` add one",
            ));
        }
        // HMAC fills a short key up with zeros, so that zeros alone are the empty secret.
        if secret.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace()) {
            return Err(Error::key(
                "the secret is as good as empty, zeros or white space: was the file or the variable found?",
            ));
        }
        Ok(Self(Arc::new(Material::Secret(Zeroizing::new(secret.to_vec())))))
    }

    /// A public key in PEM: `PUBLIC KEY` (RSA, or an elliptic curve) or `RSA PUBLIC KEY`.
    ///
    /// Blank lines, CRLF, white space around, a missing last line break and text before the block are no
    /// matter, nor are line breaks that an environment variable holds as the two characters `\n`.
    ///
    /// ```
    /// use loginradius_jwt::Key;
    ///
    /// let key = Key::pem(
    ///     "-----BEGIN PUBLIC KEY-----
    /// MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7
    /// 6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==
    /// -----END PUBLIC KEY-----",
    /// )?;
    /// # Ok::<(), loginradius_jwt::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Check::Key`] for everything else, and the message says what it is and how to make a public key of it:
    /// a private key, a certificate, more than one key, a key of another kind, RSA of less than 2048 bits
    /// ([RFC 7518, section 3.3]) or more than 8192.
    ///
    /// [RFC 7518, section 3.3]: https://www.rfc-editor.org/rfc/rfc7518#section-3.3
    pub fn pem(pem: impl AsRef<[u8]>) -> Result<Self, Error> {
        let material = pem::public_key(pem.as_ref())?;
        material.check_public()?;
        Ok(Self(Arc::new(material)))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.kind())
    }
}

/// What a verifier verifies with: one [`Key`], or a [`KeySet`]. Made by `From`.
#[derive(Debug, Clone)]
pub struct Keys(Kind);

#[derive(Debug, Clone)]
enum Kind {
    One(Key),
    Set(KeySet),
}

impl From<Key> for Keys {
    fn from(key: Key) -> Self {
        Self(Kind::One(key))
    }
}

impl From<&Key> for Keys {
    fn from(key: &Key) -> Self {
        key.clone().into()
    }
}

impl From<KeySet> for Keys {
    fn from(set: KeySet) -> Self {
        Self(Kind::Set(set))
    }
}

impl From<&KeySet> for Keys {
    fn from(set: &KeySet) -> Self {
        set.clone().into()
    }
}

/// Keys of one algorithm, parsed: parsing takes longer than many a verification.
pub(crate) struct Trusted {
    keys: Vec<Candidate>,
    /// Whether a token's `kid` selects. A single key is the caller's own choice, so that an id says nothing about it.
    selected_by_id: bool,
}

pub(crate) struct Candidate {
    id: Option<Box<str>>,
    key: Parsed,
}

enum Parsed {
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Trusted {
    pub(crate) fn new(algorithm: Algorithm, keys: &Keys) -> Result<Self, Error> {
        match &keys.0 {
            Kind::One(key) => {
                let keys = vec![Candidate { id: None, key: Parsed::new(algorithm, &key.0)? }];
                Ok(Self { keys, selected_by_id: false })
            }
            Kind::Set(set) => Ok(Self { keys: set.suiting(algorithm)?, selected_by_id: true }),
        }
    }

    /// Whether the signature is by a key that the id selects, or by any if there is no id.
    pub(crate) fn verify(&self, id: Option<&str>, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let id = id.filter(|_| self.selected_by_id);
        let mut candidates =
            self.keys.iter().filter(|candidate| id.is_none() || candidate.id.as_deref() == id).peekable();
        if candidates.peek().is_none() {
            return Err(Error::new(
                Check::KeyId,
                "no key of the set has the token's key id: LoginRadius may have changed its keys, load the set again",
            ));
        }
        if candidates.any(|candidate| candidate.key.verify(message, signature)) {
            Ok(())
        } else {
            Err(Error::new(
                Check::Signature,
                "the signature is not by this key: the token was changed, or the key is another app's",
            ))
        }
    }
}

impl Parsed {
    fn new(algorithm: Algorithm, material: &Material) -> Result<Self, Error> {
        let rejected = |_| Error::key("the public key is damaged: export it anew");
        match (algorithm.family(), material) {
            (Family::Hmac(hash), Material::Secret(secret)) => Ok(Self::Hmac(Box::new(hmac::Key::new(hash, secret)))),
            (Family::Rsa(parameters), Material::Rsa { n, e }) => {
                let components = PublicKeyComponents { n, e };
                components.to_parsed_public_key(parameters).map(Self::Public).map_err(rejected)
            }
            (Family::Ec(curve), Material::Ec { curve: own, point }) if curve == *own => {
                ParsedPublicKey::new(curve.verification(), point).map(Self::Public).map_err(rejected)
            }
            _ => {
                let needed = match algorithm.family() {
                    Family::Hmac(_) => "the app's secret, `Key::secret`".to_owned(),
                    Family::Rsa(_) => "an RSA public key, `Key::pem`".to_owned(),
                    Family::Ec(curve) => format!("a public key on the curve {}, `Key::pem`", curve.name()),
                };
                let kind = material.kind();
                Err(Error::key(format!(
                    "{algorithm} needs {needed}, and this is {kind}: see which algorithm LoginRadius's app is set to",
                )))
            }
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            // In constant time, and a tag of another length is refused.
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// A key as it was read.
pub(crate) enum Material {
    Secret(Zeroizing<Vec<u8>>),
    /// Big-endian, without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The point as in SEC 1, section 2.3.3.
    Ec {
        curve: Curve,
        point: Vec<u8>,
    },
}

impl Material {
    fn kind(&self) -> &'static str {
        match self {
            Self::Secret(_) => "a secret",
            Self::Rsa { .. } => "an RSA public key",
            Self::Ec { curve: Curve::P256, .. } => "a public key on the curve P-256",
            Self::Ec { curve: Curve::P384, .. } => "a public key on the curve P-384",
            Self::Ec { curve: Curve::P521, .. } => "a public key on the curve P-521",
        }
    }

    /// Whether a public key is one that may be used at all.
    fn check_public(&self) -> Result<(), Error> {
        match self {
            Self::Secret(_) => Ok(()),
            Self::Rsa { n, e } => {
                let bits = bits(n);
                if bits < 2048 {
                    return Err(Error::key(format!(
                        "the RSA key has {bits} bits, and RFC 7518 asks for 2048 at least: make a larger key pair"
                    )));
                }
                if bits > 8192 {
                    return Err(Error::key(format!(
                        "the RSA key has {bits} bits, and more than 8192 are not supported: make a smaller key pair"
                    )));
                }
                let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
                // Nobody has a longer exponent than 33 bits, and each bit makes every verification slower.
                if !odd(n) || !odd(e) || e == &[1] || self::bits(e) > 33 {
                    return Err(Error::key("the RSA key's numbers cannot be right: export it anew"));
                }
                Parsed::new(Algorithm::Rs256, self).map(drop)
            }
            Self::Ec { curve, point } => {
                // Neither the point at infinity nor the hybrid form: RFC 5480, section 2.2.
                if !matches!(point.first(), Some(2..=4)) {
                    return Err(Error::key("the public key's point is not on its curve: export it anew"));
                }
                Parsed::new(curve.algorithm(), self)
                    .map(drop)
                    .map_err(|_| Error::key("the public key's point is not on its curve: export it anew"))
            }
        }
    }
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// Whether what was given as a secret is a key in a file's form, so that it is likely public.
///
/// Looked for anywhere: fast-jwt looked at the beginning alone, and what stood before the PEM let it through, first
/// white space (CVE-2026-34950), then any other character (GHSA-ww5h-9m49-7xx4).
fn looks_like_a_key_file(secret: &[u8]) -> bool {
    is_text_key(secret) || is_der(secret) || is_base64_key(secret)
}

fn is_text_key(text: &[u8]) -> bool {
    let has = |needle: &[u8]| text.windows(needle.len()).any(|window| window == needle);
    // OpenSSH's are one line, with options before or a host's name; RFC 4716 has four hyphens.
    has(b"---- BEGIN")
        || has(b"-----BEGIN")
        || [&b"\"kty\""[..], b"'kty'", b"\\\"kty\\\""].into_iter().any(has)
        || [&b"ssh-rsa AAAA"[..], b"ssh-ed25519 AAAA", b"ecdsa-sha2-nistp"].into_iter().any(has)
        || is_ssh(text.trim_ascii_start())
}

fn is_ssh(text: &[u8]) -> bool {
    text.starts_with(b"ssh-") || text.starts_with(b"ecdsa-sha2-")
}

fn is_der(bytes: &[u8]) -> bool {
    // No key is shorter (Ed25519 has 44 bytes), and a short secret may be any bytes.
    bytes.len() >= 44 && der::is_key_or_certificate(bytes)
}

/// A PEM's body without its first and last line, or a whole PEM in base64, as environment variables hold it.
fn is_base64_key(text: &[u8]) -> bool {
    const ANY: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const ENGINES: [GeneralPurpose; 2] =
        [GeneralPurpose::new(&alphabet::STANDARD, ANY), GeneralPurpose::new(&alphabet::URL_SAFE, ANY)];
    let text: Zeroizing<Vec<u8>> = Zeroizing::new(
        text.iter().copied().filter(|byte| !byte.is_ascii_whitespace() && !b"\"'".contains(byte)).collect(),
    );
    let mut decoded = ENGINES.iter().filter_map(|engine| engine.decode(&*text).ok().map(Zeroizing::new));
    decoded.any(|decoded| is_der(&decoded) || is_text_key(&decoded))
}
