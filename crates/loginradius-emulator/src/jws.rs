//! Signatures with the keys of the JWT apps: RFC 7515, section 3.1, and the algorithms of RFC 7518.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaSignatureEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::seeded::{JWT_APPS, JwtAlgorithm, JwtApp};

/// A JWT app with its signing key.
pub(crate) struct Signer {
    pub(crate) app: &'static JwtApp,
    key: Key,
}

enum Key {
    Hmac(Box<hmac::Key>),
    Rsa(RsaKeyPair, &'static RsaSignatureEncoding),
    Ec(EcdsaKeyPair),
}

/// Read once: reading an RSA key takes milliseconds, and tests start many emulators.
static SIGNERS: LazyLock<Vec<Signer>> = LazyLock::new(|| {
    let signers = JWT_APPS.iter().filter_map(|app| Some(Signer { app, key: Key::of(app)? }));
    signers.collect()
});

/// Returns the signer of a JWT app.
pub(crate) fn signer(app: &str) -> Option<&'static Signer> {
    SIGNERS.iter().find(|signer| signer.app.name == app)
}

impl Signer {
    /// Signs a JWT with the header of LoginRadius's JWTs, which has no `kid`.
    pub(crate) fn sign(&self, claims: &str) -> String {
        self.sign_with_header(&json!({ "alg": self.app.algorithm.name(), "typ": "JWT" }).to_string(), claims)
    }

    /// Signs header and claims as they are, whether they are JSON or not.
    pub(crate) fn sign_with_header(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// Returns the public key as a JWK set (RFC 7517, section 5; RFC 7518, section 6). `None` if the app has a secret.
    pub(crate) fn jwks(&self) -> Option<Value> {
        let encode = |bytes: &[u8]| Value::from(URL_SAFE_NO_PAD.encode(bytes));
        let mut key = match &self.key {
            Key::Hmac(_) => return None,
            Key::Rsa(pair, _) => {
                let public = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": encode(public.modulus().big_endian_without_leading_zero()),
                    "e": encode(public.exponent().big_endian_without_leading_zero()),
                })
            }
            Key::Ec(pair) => {
                // The byte 4, then x and y (SEC 1, section 2.3.3), both of the curve's length.
                let point = pair.public_key().as_ref().get(1..)?;
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": curve(self.app.algorithm)?, "x": encode(x), "y": encode(y) })
            }
        };
        key["use"] = "sig".into();
        key["alg"] = self.app.algorithm.name().into();
        key["kid"] = self.app.name.into();
        Some(json!({ "keys": [key] }))
    }
}

impl Key {
    fn of(app: &JwtApp) -> Option<Self> {
        let hmac = |algorithm| {
            let secret = app.secret?;
            Some(Self::Hmac(Box::new(hmac::Key::new(algorithm, secret.as_bytes()))))
        };
        let ec = |algorithm, pem| EcdsaKeyPair::from_pkcs8(algorithm, &der(pem)?).ok().map(Self::Ec);
        let rsa = |encoding, pem| {
            let pair = RsaKeyPair::from_pkcs8(&der(pem)?).ok()?;
            Some(Self::Rsa(pair, encoding))
        };
        match app.algorithm {
            JwtAlgorithm::Hs256 => hmac(hmac::HMAC_SHA256),
            JwtAlgorithm::Hs384 => hmac(hmac::HMAC_SHA384),
            JwtAlgorithm::Hs512 => hmac(hmac::HMAC_SHA512),
            JwtAlgorithm::Rs256 => rsa(&RSA_PKCS1_SHA256, include_str!("keys/rs256.private.pem")),
            JwtAlgorithm::Rs384 => rsa(&RSA_PKCS1_SHA384, include_str!("keys/rs384.private.pem")),
            JwtAlgorithm::Rs512 => rsa(&RSA_PKCS1_SHA512, include_str!("keys/rs512.private.pem")),
            JwtAlgorithm::Es256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING, include_str!("keys/es256.private.pem")),
            JwtAlgorithm::Es384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING, include_str!("keys/es384.private.pem")),
            JwtAlgorithm::Es512 => ec(&ECDSA_P521_SHA512_FIXED_SIGNING, include_str!("keys/es512.private.pem")),
        }
    }

    /// Signs a message. With the seeded keys this fails only if memory runs out. Then the signature is empty, and no
    /// verifier accepts it.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Hmac(key) => hmac::sign(key, message).as_ref().to_vec(),
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                match pair.sign(*encoding, &SystemRandom::new(), message, &mut signature) {
                    Ok(()) => signature,
                    Err(_) => Vec::new(),
                }
            }
            Self::Ec(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message);
                signature.map_or_else(|_| Vec::new(), |signature| signature.as_ref().to_vec())
            }
        }
    }
}

/// Returns the name of an algorithm's curve (RFC 7518, sections 3.4 and 6.2.1.1).
fn curve(algorithm: JwtAlgorithm) -> Option<&'static str> {
    match algorithm {
        JwtAlgorithm::Es256 => Some("P-256"),
        JwtAlgorithm::Es384 => Some("P-384"),
        JwtAlgorithm::Es512 => Some("P-521"),
        _ => None,
    }
}

/// Decodes a PEM file (RFC 7468).
fn der(pem: &str) -> Option<Vec<u8>> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;

    use super::*;

    #[test]
    fn every_app_has_a_key_and_its_public_key_is_the_seeded_one() {
        assert_eq!(SIGNERS.len(), JWT_APPS.len());
        for signer in SIGNERS.iter() {
            let seeded = signer.app.public_key_pem.map(|pem| der(pem).unwrap());
            let has = match &signer.key {
                Key::Hmac(_) => None,
                Key::Rsa(pair, _) => Some(pair.public_key().as_der().unwrap().as_ref().to_vec()),
                Key::Ec(pair) => Some(pair.public_key().as_der().unwrap().as_ref().to_vec()),
            };
            assert_eq!(seeded, has, "{}", signer.app.name);
        }
    }
}
