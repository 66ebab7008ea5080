//! Keys, and what suits which algorithm.

mod der;
mod file_form;
mod material;
mod pem;
mod set;

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::error::{Check, Error};
use file_form::looks_like_a_key_file;
use material::{Material, Parsed};
use set::Candidate;

pub use set::KeySet;

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

/// Keys of one algorithm, parsed.
pub(crate) struct Trusted {
    keys: Vec<Candidate>,
    /// Whether a token's `kid` selects. A single key is the caller's own choice, so that an id says nothing about it.
    selected_by_id: bool,
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
