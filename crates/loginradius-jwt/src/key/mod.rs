//! Keys, and which of them suits which algorithm.

mod der;
mod file_form;
mod material;
mod pem;
mod set;

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::error::{Error, ErrorKind};
use file_form::looks_like_a_key_file;
use material::{Material, Parsed};
use set::Candidate;

pub use set::KeySet;

/// One key that verifies tokens: the secret of a JWT app, or the public key of its key pair.
///
/// A [`Verifier`](crate::Verifier) with a single key ignores a token's `kid`: SSO JWTs have none (LoginRadius, "JWT
/// implementation guide"). For tokens with a `kid` use a [`KeySet`].
///
/// `Debug` shows only the kind of the key. Clones share the memory; a secret is overwritten with zeros when the last
/// clone is dropped.
#[derive(Clone)]
#[doc(alias("DecodingKey", "pem", "secret"))]
pub struct Key(pub(crate) Arc<Material>);

impl Key {
    /// Makes a key of the secret of a JWT app with HS256, HS384 or HS512.
    ///
    /// The secret is the plain text in the LoginRadius Dashboard, not base64 of anything. It should have at least 32
    /// bytes for HS256, 48 for HS384 and 64 for HS512 ([RFC 7518, section 3.2]). A shorter one is accepted, because
    /// LoginRadius signs with it anyway, but an attacker who has one token can guess a short secret offline.
    ///
    /// Anyone who has the secret can sign tokens too.
    ///
    /// ```
    /// use loginradius_jwt::Key;
    ///
    /// let key = Key::from_secret("the secret of the JWT app, 32 bytes or more")?;
    /// # Ok::<(), loginradius_jwt::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`] if the secret
    ///
    /// - is empty, or contains only white space or zeros,
    /// - begins or ends with a line break,
    /// - is a key or certificate in PEM, DER, JWK or OpenSSH's form, also in base64. Those may be public, and with a
    ///   public key as its secret a verifier would accept what anyone signed.
    ///
    /// [RFC 7518, section 3.2]: https://www.rfc-editor.org/rfc/rfc7518#section-3.2
    #[doc(alias("hmac", "HS256", "HS384", "HS512"))]
    pub fn from_secret(secret: impl AsRef<[u8]>) -> Result<Self, Error> {
        let secret = secret.as_ref();
        if secret.is_empty() {
            return Err(Error::key("the secret is empty: check that the file or the environment variable was found"));
        }
        if looks_like_a_key_file(secret) {
            return Err(Error::key(
                "the secret is a key file (PEM, JWK, DER or OpenSSH), which may be public and must not verify as a \
                 secret: read a public key with `Key::from_pem`, a JWK set with `KeySet::from_json`",
            ));
        }
        let breaks = |byte: Option<&u8>| matches!(byte, Some(b'\r' | b'\n'));
        if breaks(secret.first()) || breaks(secret.last()) {
            return Err(Error::key(
                "the secret begins or ends with a line break, which editors and `echo` add: trim it",
            ));
        }
        // HMAC pads a short key with zeros, so a secret of zeros equals the empty one.
        if secret.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace()) {
            return Err(Error::key(
                "the secret is as good as empty, only zeros or white space: check that the file or the environment \
                 variable was found",
            ));
        }
        Ok(Self(Arc::new(Material::Secret(Zeroizing::new(secret.to_vec())))))
    }

    /// Reads a public key in PEM ([RFC 7468]): `PUBLIC KEY` (RSA, P-256, P-384 or P-521) or `RSA PUBLIC KEY`.
    ///
    /// Takes the text of the file, not its name. Blank lines, CRLF, surrounding white space and text before or after
    /// the block are ignored. So are escaped line breaks, the two characters `\n`, which environment variables often
    /// contain.
    ///
    /// ```
    /// use loginradius_jwt::Key;
    ///
    /// let key = Key::from_pem(
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
    /// [`ErrorKind::InvalidKey`] for anything else. The message says what the text is, and if it can be converted,
    /// with which command. Refused are
    ///
    /// - private keys and certificates,
    /// - more than one key,
    /// - other curves and other kinds of keys, such as Ed25519 and RSA-PSS,
    /// - RSA keys with less than 2048 bits ([RFC 7518, section 3.3]) or more than 8192.
    ///
    /// [RFC 7468]: https://www.rfc-editor.org/rfc/rfc7468
    /// [RFC 7518, section 3.3]: https://www.rfc-editor.org/rfc/rfc7518#section-3.3
    #[doc(alias("rsa", "ecdsa", "ec", "public key", "spki"))]
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, Error> {
        let material = pem::public_key(pem.as_ref())?;
        material.check_public()?;
        Ok(Self(Arc::new(material)))
    }
}

/// Shows only the kind of the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.kind())
    }
}

/// The keys that a [`Verifier`](crate::Verifier) trusts: one [`Key`], or a [`KeySet`].
///
/// Both convert into this type, so there is seldom a need to name it.
///
/// ```
/// use loginradius_jwt::{Key, TrustedKeys};
///
/// let keys = TrustedKeys::from(Key::from_secret("an example secret of the JWT app")?);
/// # Ok::<(), loginradius_jwt::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TrustedKeys(Kind);

#[derive(Debug, Clone)]
enum Kind {
    One(Key),
    Set(KeySet),
}

impl From<Key> for TrustedKeys {
    fn from(key: Key) -> Self {
        Self(Kind::One(key))
    }
}

impl From<&Key> for TrustedKeys {
    fn from(key: &Key) -> Self {
        key.clone().into()
    }
}

impl From<KeySet> for TrustedKeys {
    fn from(set: KeySet) -> Self {
        Self(Kind::Set(set))
    }
}

impl From<&KeySet> for TrustedKeys {
    fn from(set: &KeySet) -> Self {
        set.clone().into()
    }
}

/// Keys of one algorithm, parsed.
pub(crate) struct ParsedKeys {
    keys: Vec<Candidate>,
    /// Whether a token's `kid` selects the keys. It does not for a single key, which the caller has chosen.
    selected_by_id: bool,
}

impl ParsedKeys {
    pub(crate) fn new(algorithm: Algorithm, keys: &TrustedKeys) -> Result<Self, Error> {
        match &keys.0 {
            Kind::One(key) => {
                let keys = vec![Candidate { id: None, key: Parsed::new(algorithm, &key.0)? }];
                Ok(Self { keys, selected_by_id: false })
            }
            Kind::Set(set) => Ok(Self { keys: set.suiting(algorithm)?, selected_by_id: true }),
        }
    }

    /// Verifies that a key with this id made the signature, or any key if there is no id.
    pub(crate) fn verify(&self, id: Option<&str>, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let id = id.filter(|_| self.selected_by_id);
        let mut candidates =
            self.keys.iter().filter(|candidate| id.is_none() || candidate.id.as_deref() == id).peekable();
        if candidates.peek().is_none() {
            return Err(Error::new(
                ErrorKind::UnknownKeyId,
                "no key of the JWK set has the token's key id (kid), so LoginRadius may have changed its keys: load \
                 the set again",
            ));
        }
        if candidates.any(|candidate| candidate.key.verify(message, signature)) {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::InvalidSignature,
                "the token's signature is not valid (the token was changed, or another app's key signed it): reject it",
            ))
        }
    }
}
