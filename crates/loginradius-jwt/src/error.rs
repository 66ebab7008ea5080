use std::borrow::Cow;
use std::fmt;

/// Why a token, a key or a setting was refused.
///
/// `Display` is one line for a person: what failed, and what to do. It may name what the caller set (the
/// expected issuer), never the token, a claim's value, the secret or the key.
///
/// ```
/// use loginradius_jwt::{Check, Key};
///
/// let error = Key::secret("my-app-secret\n").unwrap_err();
/// assert_eq!(error.check(), Check::Key);
/// assert!(error.to_string().contains("trim"));
/// ```
#[derive(Clone)]
pub struct Error {
    check: Check,
    message: Cow<'static, str>,
}

/// The check that failed, roughly in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// A setting of the verifier: an empty issuer, audience or expected nonce. No token was looked at.
    Settings,
    /// A key cannot be used, or does not go with the algorithm. No token was looked at.
    Key,
    /// The token is longer than [`MAX_TOKEN_LEN`](crate::MAX_TOKEN_LEN).
    Size,
    /// The token is not three parts of base64url.
    Format,
    /// The token is encrypted (a JWE), not signed.
    Encrypted,
    /// The header cannot be read, or asks for what is not supported (`crit`).
    Header,
    /// The header's `alg` is not the pinned algorithm.
    Algorithm,
    /// The header's `typ` is of another kind of token.
    Type,
    /// No key of the set has the header's `kid`. If the set may be old, load it again and verify once more.
    KeyId,
    /// The signature is not by the key.
    Signature,
    /// The claims cannot be read, or do not fit the caller's type. Everything before held.
    Claims,
    /// `iss` is missing or another one.
    Issuer,
    /// `aud` is missing or names others.
    Audience,
    /// `exp` is missing, unreadable or over.
    Expiry,
    /// `nbf` is unreadable or still to come.
    NotBefore,
    /// `nonce` is missing or another one: the token answers another sign-in.
    Nonce,
}

impl Error {
    pub(crate) fn new(check: Check, message: impl Into<Cow<'static, str>>) -> Self {
        Self { check, message: message.into() }
    }

    pub(crate) fn key(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Check::Key, message)
    }

    /// The check that failed.
    #[must_use]
    pub fn check(&self) -> Check {
        self.check
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// `{:?}`, which is what `main` prints, is the line.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
