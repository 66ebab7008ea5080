use std::borrow::Cow;
use std::fmt;

/// The reason why a token, a key or a setting was refused.
///
/// [`kind`](Self::kind) is for the program, `Display` is for the log: one line that says what failed, the cause if
/// it is known, and what to do. The line may name the caller's own settings, such as the expected issuer. It never
/// shows a token, a claim's value, a secret or a key.
///
/// ```
/// use loginradius_jwt::{ErrorKind, Key};
///
/// let error = Key::from_secret("my-app-secret\n").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidKey);
/// assert!(error.to_string().contains("trim"));
/// ```
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
}

/// The check that failed.
///
/// The variants are roughly in the order in which the checks are made: if a token has several faults, the first one
/// is reported.
///
/// | kind | what is wrong | what to do |
/// | --- | --- | --- |
/// | [`Configuration`](Self::Configuration) | a setting, or the expected nonce | fix the settings |
/// | [`InvalidKey`](Self::InvalidKey) | a key or a JWK set | fix the settings; if it was a set that was loaded again, keep the verifier that you have, and load the set again later |
/// | [`TokenTooLong`](Self::TokenTooLong), [`MalformedToken`](Self::MalformedToken), [`EncryptedToken`](Self::EncryptedToken), [`InvalidHeader`](Self::InvalidHeader) | the text is no signed token that can be read | refuse it |
/// | [`AlgorithmMismatch`](Self::AlgorithmMismatch) | `alg` | refuse the token; if all tokens fail, fix the settings |
/// | [`TypMismatch`](Self::TypMismatch) | `typ` | refuse the token; if all tokens fail, see [`Verifier::with_typ`](crate::Verifier::with_typ) |
/// | [`UnknownKeyId`](Self::UnknownKeyId) | no key of the set has the token's `kid`; never with a single key | load the keys again, at most every few minutes, and verify the token once more |
/// | [`InvalidSignature`](Self::InvalidSignature) | the signature | refuse the token; if all tokens fail, fix the key |
/// | [`InvalidClaims`](Self::InvalidClaims) | the form of the claims, or there is no `exp` | refuse the token |
/// | [`IssuerMismatch`](Self::IssuerMismatch) | `iss` | refuse the token; if all tokens fail, fix the settings |
/// | [`AudienceMismatch`](Self::AudienceMismatch) | `aud` | refuse the token; if all tokens fail, fix the settings |
/// | [`Expired`](Self::Expired) | `exp` has passed | start a new login |
/// | [`NotYetValid`](Self::NotYetValid) | `nbf` has not come yet | refuse the token, and check this machine's clock |
/// | [`NonceMismatch`](Self::NonceMismatch) | `nonce` | refuse the token, and start a new login |
/// | [`Deserialize`](Self::Deserialize) | the program's type does not fit the claims | fix the type |
///
/// ```
/// use loginradius_jwt::{Algorithm, ErrorKind};
///
/// let error = "none".parse::<Algorithm>().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Configuration);
/// assert_eq!(error.kind().as_str(), "configuration");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is wrong: the issuer, an audience or the expected nonce is empty, or a text is not the name of an
    /// algorithm. No token was read.
    Configuration,
    /// A key or a JWK set cannot be used, or does not suit the algorithm. No token was read.
    InvalidKey,
    /// The token is longer than [`MAX_TOKEN_LEN`](crate::MAX_TOKEN_LEN).
    TokenTooLong,
    /// The text is not a signed token: three parts of base64url, with dots in between
    /// ([RFC 7515, section 3.1](https://www.rfc-editor.org/rfc/rfc7515#section-3.1)).
    MalformedToken,
    /// The token is encrypted (a JWE), not signed.
    EncryptedToken,
    /// The header cannot be read, or requires an extension (`crit`) and none is supported.
    InvalidHeader,
    /// The header's `alg` is missing, or is not the verifier's algorithm.
    AlgorithmMismatch,
    /// The header's `typ` is that of another kind of token.
    TypMismatch,
    /// No key of the set has the header's `kid`. LoginRadius may have changed its keys: load the set again, and
    /// verify the token once more.
    UnknownKeyId,
    /// None of the keys made the signature.
    InvalidSignature,
    /// The signature is valid, but the claims are not: they are not a JSON object, a claim occurs twice, a registered
    /// claim has the wrong type, or `exp` is missing.
    InvalidClaims,
    /// `iss` is missing, or is not the expected issuer.
    IssuerMismatch,
    /// `aud` is missing, or does not contain an expected audience.
    AudienceMismatch,
    /// The token was valid until `exp`, which has passed.
    Expired,
    /// The token is valid from `nbf` on, which has not come yet.
    NotYetValid,
    /// `nonce` is missing, or is not the expected one: the token belongs to another login.
    NonceMismatch,
    /// The token can be read, but its claims do not fit the type that the program asked for.
    Deserialize,
}

impl ErrorKind {
    /// Returns the kind's name in lower snake case, for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::InvalidKey => "invalid_key",
            Self::TokenTooLong => "token_too_long",
            Self::MalformedToken => "malformed_token",
            Self::EncryptedToken => "encrypted_token",
            Self::InvalidHeader => "invalid_header",
            Self::AlgorithmMismatch => "algorithm_mismatch",
            Self::TypMismatch => "typ_mismatch",
            Self::UnknownKeyId => "unknown_key_id",
            Self::InvalidSignature => "invalid_signature",
            Self::InvalidClaims => "invalid_claims",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::AudienceMismatch => "audience_mismatch",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::NonceMismatch => "nonce_mismatch",
            Self::Deserialize => "deserialize",
        }
    }
}

/// Writes [`as_str`](Self::as_str).
impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn key(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidKey, message)
    }

    /// Returns which check failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Writes the same line as `Display`: a `main` that returns an error prints it with `Debug`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_may_be_sent_shared_and_boxed() {
        fn assert<T: std::error::Error + Send + Sync + 'static>() {}
        assert::<Error>();
    }

    #[test]
    fn a_kind_is_displayed_and_padded_as_its_name() {
        assert_eq!(format!("{:>8}|{}", ErrorKind::Expired, ErrorKind::UnknownKeyId), " expired|unknown_key_id");
    }
}
