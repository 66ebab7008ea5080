//! A key as it was read, and a key that is ready to verify.

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::ParsedPublicKey;
use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Curve, Family};
use crate::error::Error;

/// A key as it was read.
pub(crate) enum Material {
    Secret(Zeroizing<Vec<u8>>),
    /// Big-endian, without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The point in the form of SEC 1, section 2.3.3.
    Ec {
        curve: Curve,
        point: Vec<u8>,
    },
}

impl Material {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Secret(_) => "a secret",
            Self::Rsa { .. } => "an RSA public key",
            Self::Ec { curve: Curve::P256, .. } => "a public key on the curve P-256",
            Self::Ec { curve: Curve::P384, .. } => "a public key on the curve P-384",
            Self::Ec { curve: Curve::P521, .. } => "a public key on the curve P-521",
        }
    }

    /// Checks that a public key is strong enough, supported and possible.
    pub(super) fn check_public(&self) -> Result<(), Error> {
        match self {
            Self::Secret(_) => Ok(()),
            Self::Rsa { n, e } => {
                let bits = bits(n);
                if bits < 2048 {
                    return Err(Error::key(format!(
                        "the RSA key has {bits} bits, and RFC 7518 requires at least 2048: make a larger key pair"
                    )));
                }
                if bits > 8192 {
                    return Err(Error::key(format!(
                        "the RSA key has {bits} bits, and at most 8192 are supported: make a smaller key pair"
                    )));
                }
                let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
                // Exponents above 33 bits are not in use, and each bit makes every verification slower.
                if !odd(n) || !odd(e) || e == &[1] || self::bits(e) > 33 {
                    return Err(Error::key(
                        "the RSA key's numbers cannot be right, so the file is damaged: export the public key again",
                    ));
                }
                Parsed::new(Algorithm::Rs256, self).map(drop)
            }
            Self::Ec { curve, point } => {
                const WRONG_POINT: &str =
                    "the public key's point is not on its curve, so the file is damaged: export the public key again";
                // Not the point at infinity (0) and not the hybrid forms (6, 7): RFC 5480, section 2.2.
                if !matches!(point.first(), Some(2..=4)) {
                    return Err(Error::key(WRONG_POINT));
                }
                Parsed::new(curve.algorithm(), self).map(drop).map_err(|_| Error::key(WRONG_POINT))
            }
        }
    }
}

/// A key that is ready to verify. Keys are parsed once, because parsing can take longer than a verification.
pub(super) enum Parsed {
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Parsed {
    pub(super) fn new(algorithm: Algorithm, material: &Material) -> Result<Self, Error> {
        let rejected = |_| Error::key("the public key is damaged: export it again");
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
                    Family::Hmac(_) => "the app's secret, `Key::from_secret`".to_owned(),
                    Family::Rsa(_) => "an RSA public key, `Key::from_pem`".to_owned(),
                    Family::Ec(curve) => format!("a public key on the curve {}, `Key::from_pem`", curve.name()),
                };
                let kind = material.kind();
                Err(Error::key(format!(
                    "{algorithm} needs {needed}, and this is {kind}: use the algorithm of the app's settings at \
                     LoginRadius",
                )))
            }
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            // Compares in constant time, and refuses a tag of another length.
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}
