use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{hmac, signature};

use crate::error::{Error, ErrorKind};

/// A signature algorithm that LoginRadius offers for JWT apps (LoginRadius, "JWT implementation guide").
///
/// Each [`Verifier`](crate::Verifier) accepts exactly one, whatever a token's header asks for
/// ([RFC 8725, section 3.1]). Use the one that the app has in the LoginRadius Dashboard; `id_token`s and M2M tokens
/// have [`Rs256`](Self::Rs256).
///
/// Parsing and `Display` use the name of [RFC 7518, section 3.1], so that an algorithm can be a setting:
///
/// ```
/// use loginradius_jwt::Algorithm;
///
/// let algorithm: Algorithm = "ES384".parse()?;
/// assert_eq!(algorithm, Algorithm::Es384);
/// assert_eq!(algorithm.to_string(), "ES384");
/// # Ok::<(), loginradius_jwt::Error>(())
/// ```
///
/// [RFC 7518, section 3.1]: https://www.rfc-editor.org/rfc/rfc7518#section-3.1
/// [RFC 8725, section 3.1]: https://www.rfc-editor.org/rfc/rfc8725#section-3.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias("alg", "rsa", "ecdsa", "hmac", "JWA"))]
pub enum Algorithm {
    /// HMAC with SHA-256. The same secret signs and verifies.
    Hs256,
    /// HMAC with SHA-384. The same secret signs and verifies.
    Hs384,
    /// HMAC with SHA-512. The same secret signs and verifies.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256. LoginRadius signs `id_token`s with it.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// ECDSA on the curve P-256 with SHA-256.
    Es256,
    /// ECDSA on the curve P-384 with SHA-384.
    Es384,
    /// ECDSA on the curve P-521 with SHA-512.
    Es512,
}

/// What an algorithm verifies with.
#[derive(Clone, Copy)]
pub(crate) enum Family {
    Hmac(hmac::Algorithm),
    Rsa(&'static signature::RsaParameters),
    Ec(Curve),
}

impl Algorithm {
    const ALL: [Self; 9] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
    ];

    /// Returns the name that a token's header has, such as `RS256`
    /// ([RFC 7518, section 3.1](https://www.rfc-editor.org/rfc/rfc7518#section-3.1)).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
        }
    }

    /// Returns the algorithm of exactly that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    pub(crate) fn family(self) -> Family {
        match self {
            Self::Hs256 => Family::Hmac(hmac::HMAC_SHA256),
            Self::Hs384 => Family::Hmac(hmac::HMAC_SHA384),
            Self::Hs512 => Family::Hmac(hmac::HMAC_SHA512),
            Self::Rs256 => Family::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Family::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Family::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::Es256 => Family::Ec(Curve::P256),
            Self::Es384 => Family::Ec(Curve::P384),
            Self::Es512 => Family::Ec(Curve::P521),
        }
    }
}

/// Writes [`as_str`](Self::as_str).
impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    /// Parses the exact name, in capitals.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] for any other text. That includes `none`: there is no way to accept unsigned
    /// tokens.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::named(name).ok_or_else(|| {
            Error::new(
                ErrorKind::Configuration,
                "unknown algorithm: use HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384 or ES512, in capitals",
            )
        })
    }
}

/// A curve of [RFC 7518, section 6.2.1.1](https://www.rfc-editor.org/rfc/rfc7518#section-6.2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "P-256" => Some(Self::P256),
            "P-384" => Some(Self::P384),
            "P-521" => Some(Self::P521),
            _ => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Returns the only algorithm that uses the curve ([RFC 7518, section 3.4]).
    ///
    /// [RFC 7518, section 3.4]: https://www.rfc-editor.org/rfc/rfc7518#section-3.4
    pub(crate) const fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::Es256,
            Self::P384 => Algorithm::Es384,
            Self::P521 => Algorithm::Es512,
        }
    }

    /// Returns the length of one coordinate, in bytes.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// Returns how signatures are verified: as both numbers at full length, not as DER
    /// ([RFC 7518, section 3.4](https://www.rfc-editor.org/rfc/rfc7518#section-3.4)).
    pub(crate) fn verification(self) -> &'static signature::EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::P521 => &signature::ECDSA_P521_SHA512_FIXED,
        }
    }
}
