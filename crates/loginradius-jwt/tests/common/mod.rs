//! Keys and tokens that the tests make. Tokens that other programs signed are in `foreign/`.

#![allow(dead_code, reason = "no test file uses all of it")]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use loginradius_jwt::{Algorithm, Audience, Key, Verifier};
use serde_json::{Map, Value, json};

pub(crate) const ISSUER: &str = "https://acme.hub.loginradius.com/";
pub(crate) const AUDIENCE: &str = "my-client-id";
pub(crate) const SECRET: &str = "the secret of a JWT app that only these tests have, long enough for SHA-512";
/// The time from which the tokens are valid, in seconds since 1970. They are valid for 600 seconds.
pub(crate) const BEGIN: u64 = 1_800_000_000;

pub(crate) const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::Hs256,
    Algorithm::Hs384,
    Algorithm::Hs512,
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
];

/// Returns the time that is so many seconds after the tokens become valid.
pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(BEGIN + seconds)
}

/// Returns a time at which the tokens are valid.
pub(crate) fn now() -> SystemTime {
    at(100)
}

/// Returns the claims of an SSO JWT.
pub(crate) fn claims() -> Map<String, Value> {
    object(json!({
        "iss": ISSUER, "sub": "723b05f80c644672b3496a21b7cf33dc", "aud": AUDIENCE,
        "jti": "f3197b40-2dcd-4422-8765-c40846f60fb4", "iat": BEGIN, "nbf": BEGIN, "exp": BEGIN + 600,
        "email": "someone@example.com",
    }))
}

/// Returns the claims as JSON with these changes. A claim whose new value is [`ABSENT`] is removed.
pub(crate) fn claims_with(changes: Value) -> String {
    let mut claims = claims();
    for (name, value) in object(changes) {
        if value == ABSENT {
            claims.remove(&name);
        } else {
            claims.insert(name, value);
        }
    }
    Value::from(claims).to_string()
}

pub(crate) const ABSENT: &str = "(absent)";

pub(crate) fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("not an object: {value}") };
    object
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A key that signs with one algorithm.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) algorithm: Algorithm,
    pair: Pair,
}

#[derive(Clone)]
enum Pair {
    Secret(hmac::Algorithm, Vec<u8>),
    Rsa(&'static signature::RsaSignatureEncoding, Arc<RsaKeyPair>),
    Ec(Arc<EcdsaKeyPair>),
}

impl Signer {
    /// Returns the issuer's key for the algorithm, the same one for each call.
    pub(crate) fn of(algorithm: Algorithm) -> Self {
        static RSA: LazyLock<Arc<RsaKeyPair>> = LazyLock::new(rsa);
        static P256: LazyLock<Arc<EcdsaKeyPair>> = LazyLock::new(|| ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING));
        static P384: LazyLock<Arc<EcdsaKeyPair>> = LazyLock::new(|| ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING));
        static P521: LazyLock<Arc<EcdsaKeyPair>> = LazyLock::new(|| ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING));
        let pair = match algorithm {
            Algorithm::Hs256 => Pair::Secret(hmac::HMAC_SHA256, SECRET.into()),
            Algorithm::Hs384 => Pair::Secret(hmac::HMAC_SHA384, SECRET.into()),
            Algorithm::Hs512 => Pair::Secret(hmac::HMAC_SHA512, SECRET.into()),
            Algorithm::Rs256 => Pair::Rsa(&signature::RSA_PKCS1_SHA256, Arc::clone(&RSA)),
            Algorithm::Rs384 => Pair::Rsa(&signature::RSA_PKCS1_SHA384, Arc::clone(&RSA)),
            Algorithm::Rs512 => Pair::Rsa(&signature::RSA_PKCS1_SHA512, Arc::clone(&RSA)),
            Algorithm::Es256 => Pair::Ec(Arc::clone(&P256)),
            Algorithm::Es384 => Pair::Ec(Arc::clone(&P384)),
            Algorithm::Es512 => Pair::Ec(Arc::clone(&P521)),
            _ => panic!("an algorithm that the tests do not know"),
        };
        Self { algorithm, pair }
    }

    /// Makes a key for the algorithm that is not the issuer's.
    pub(crate) fn other(algorithm: Algorithm) -> Self {
        let pair = match Self::of(algorithm).pair {
            Pair::Secret(hash, _) => {
                Pair::Secret(hash, b"another secret that is as long as the first one was".to_vec())
            }
            Pair::Rsa(encoding, _) => Pair::Rsa(encoding, rsa()),
            Pair::Ec(_) => Pair::Ec(match algorithm {
                Algorithm::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
                Algorithm::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
                _ => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            }),
        };
        Self { algorithm, pair }
    }

    /// Makes a signer with any bytes as its secret.
    pub(crate) fn secret(algorithm: Algorithm, secret: &[u8]) -> Self {
        match Self::of(algorithm).pair {
            Pair::Secret(hash, _) => Self { algorithm, pair: Pair::Secret(hash, secret.to_vec()) },
            _ => panic!("{algorithm} has no secret"),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Secret(hash, secret) => hmac::sign(&hmac::Key::new(*hash, secret), message).as_ref().to_vec(),
            Pair::Rsa(encoding, pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature).expect("a signature");
                signature
            }
            Pair::Ec(pair) => pair.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec(),
        }
    }

    pub(crate) fn header(&self) -> String {
        json!({"alg": self.algorithm.as_str(), "typ": "JWT"}).to_string()
    }

    /// Signs a token with any header and payload.
    pub(crate) fn token(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.token_of_parts(&encode(header), &encode(payload))
    }

    /// Signs a token whose parts are already encoded.
    pub(crate) fn token_of_parts(&self, header: &str, payload: &str) -> String {
        let signed = format!("{header}.{payload}");
        format!("{signed}.{}", encode(self.sign(signed.as_bytes())))
    }

    /// Signs a token with the usual header.
    pub(crate) fn claims(&self, payload: impl AsRef<[u8]>) -> String {
        self.token(self.header(), payload)
    }

    /// Signs a token that is accepted.
    pub(crate) fn good(&self) -> String {
        self.claims(Value::from(claims()).to_string())
    }

    pub(crate) fn key(&self) -> Key {
        match &self.pair {
            Pair::Secret(_, secret) => Key::from_secret(secret).expect("a secret"),
            Pair::Rsa(..) | Pair::Ec(_) => Key::from_pem(self.pem()).expect("a public key"),
        }
    }

    /// Returns the public key as a `SubjectPublicKeyInfo`.
    pub(crate) fn der(&self) -> Vec<u8> {
        let der = match &self.pair {
            Pair::Secret(..) => panic!("a secret has no public key"),
            Pair::Rsa(_, pair) => pair.public_key().as_der(),
            Pair::Ec(pair) => pair.public_key().as_der(),
        };
        der.expect("a public key").as_ref().to_vec()
    }

    pub(crate) fn pem(&self) -> String {
        pem("PUBLIC KEY", &self.der())
    }

    /// Returns the public key as a JWK without optional members.
    pub(crate) fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Secret(_, secret) => json!({"kty": "oct", "k": encode(secret)}),
            Pair::Rsa(_, pair) => {
                // RSAPublicKey of 2048 bits: two headers of four bytes, a zero, the modulus, then 65537.
                let der = pair.public_key().as_ref();
                assert_eq!((der.len(), &der[265..]), (270, &[2, 3, 1, 0, 1][..]));
                json!({"kty": "RSA", "n": encode(&der[9..265]), "e": "AQAB"})
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at(point.len() / 2);
                let crv = match self.algorithm {
                    Algorithm::Es256 => "P-256",
                    Algorithm::Es384 => "P-384",
                    _ => "P-521",
                };
                json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)})
            }
        }
    }

    pub(crate) fn verifier(&self) -> Verifier {
        Verifier::new(self.algorithm, self.key(), ISSUER, Audience::Is(AUDIENCE.into())).expect("a verifier")
    }
}

fn rsa() -> Arc<RsaKeyPair> {
    Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key pair"))
}

fn ec(signing: &'static signature::EcdsaSigningAlgorithm) -> Arc<EcdsaKeyPair> {
    Arc::new(EcdsaKeyPair::generate(signing).expect("a key pair"))
}
