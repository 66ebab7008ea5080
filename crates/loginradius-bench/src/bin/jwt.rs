//! The time for verifying a JWT, beside jsonwebtoken with the same cryptography, checks and claims:
//!
//!     cargo run --release -p loginradius-bench --bin jwt
//!
//! Both take turns in short rounds. A time is the median over the rounds, in nanoseconds for one token; the ratio is
//! the median of the ratios of two rounds in a row. jsonwebtoken has no ES512.

use std::error::Error;
use std::hint::black_box;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair, RsaKeyPair};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, Validation};
use loginradius_bench::timing::{self, Pair};
use loginradius_jwt::{Algorithm, Audience, Key, Verifier};
use serde::{Deserialize, Serialize};

const ISSUER: &str = "https://acme.hub.loginradius.com/";
const AUDIENCE: &str = "112563f6-1480-40b8-8e28-e072ca212c82";
const ROUNDS: usize = 301;
/// A round is about as long for every algorithm.
const ROUND_SECONDS: f64 = 0.002;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The claims of an SSO JWT as LoginRadius's documentation shows them.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    nbf: u64,
    iat: u64,
    jti: String,
    email: String,
}

fn main() -> Result<()> {
    println!("Nanoseconds for one token\n");
    println!("| algorithm | ours | jsonwebtoken | ours ÷ jsonwebtoken |\n| --- | --- | --- | --- |");
    for algorithm in [
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Es256,
        Algorithm::Es384,
    ] {
        let verifiers = Verifiers::new(algorithm)?;
        assert_eq!(verifiers.ours()?, verifiers.theirs()?, "both read the same");
        let Pair { ours, theirs, ratio, .. } = verifiers.compare();
        println!("| {algorithm} | {ours:.0} | {theirs:.0} | {ratio:.3} |");
    }
    Ok(())
}

/// One token, and both verifiers of it.
struct Verifiers {
    jwt: String,
    verifier: Verifier,
    key: DecodingKey,
    validation: Validation,
}

impl Verifiers {
    fn new(algorithm: Algorithm) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: "1ac3d9dc3c7d42e08a32bf54622bccc3".to_owned(),
            aud: AUDIENCE.to_owned(),
            exp: now + 3600,
            nbf: now - 10,
            iat: now - 10,
            jti: "9a4fd8f5-e843-483e-a83b-2e538769e616".to_owned(),
            email: "someone@example.com".to_owned(),
        };
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims)?));
        let (signature, our_key, key) = sign(algorithm, signed.as_bytes())?;
        let mut validation = Validation::new(algorithm.as_str().parse()?);
        validation.leeway = 5;
        validation.validate_nbf = true;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        Ok(Self {
            jwt: format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)),
            verifier: Verifier::new(algorithm, our_key, ISSUER, Audience::Is(AUDIENCE.to_owned()))?,
            key,
            validation,
        })
    }

    #[inline(never)]
    fn ours(&self) -> Result<Claims> {
        Ok(self.verifier.verify(&self.jwt, SystemTime::now())?.claims()?)
    }

    #[inline(never)]
    fn theirs(&self) -> Result<Claims> {
        Ok(jsonwebtoken::decode(&self.jwt, &self.key, &self.validation)?.claims)
    }

    fn compare(&self) -> Pair {
        let ours = || assert!(black_box(self.ours()).is_ok(), "every token is accepted");
        let theirs = || assert!(black_box(self.theirs()).is_ok(), "every token is accepted");
        let once = timing::round(100, ours).max(timing::round(100, theirs));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        let calls = (ROUND_SECONDS * 1e9 / once) as u32 + 1;
        timing::in_turns(ROUNDS, calls, ours, theirs)
    }
}

/// Signs with a new key. Returns the signature, and the key for both verifiers.
fn sign(algorithm: Algorithm, message: &[u8]) -> Result<(Vec<u8>, Key, DecodingKey)> {
    let random = SystemRandom::new();
    let rsa = |encoding: &'static dyn signature::RsaEncoding| -> Result<_> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &random, message, &mut signature)?;
        let key = DecodingKey::from_rsa_der(pair.public_key().as_ref());
        Ok((signature, Key::from_pem(pem(pair.public_key().as_der()?.as_ref()))?, key))
    };
    let ec = |signing: &'static signature::EcdsaSigningAlgorithm| -> Result<_> {
        let pair = EcdsaKeyPair::generate(signing)?;
        let signature = pair.sign(&random, message)?.as_ref().to_vec();
        let key = DecodingKey::from_ec_der(pair.public_key().as_ref());
        Ok((signature, Key::from_pem(pem(pair.public_key().as_der()?.as_ref()))?, key))
    };
    let mac = |hash| -> Result<_> {
        let mut random = [0; 48];
        rand::fill(&mut random)?;
        let secret = STANDARD.encode(random);
        let signature = hmac::sign(&hmac::Key::new(hash, secret.as_bytes()), message).as_ref().to_vec();
        Ok((signature, Key::from_secret(&secret)?, DecodingKey::from_secret(secret.as_bytes())))
    };
    match algorithm {
        Algorithm::Hs256 => mac(hmac::HMAC_SHA256),
        Algorithm::Hs384 => mac(hmac::HMAC_SHA384),
        Algorithm::Hs512 => mac(hmac::HMAC_SHA512),
        Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
        Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
        Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
        Algorithm::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        _ => Err("jsonwebtoken has no such algorithm".into()),
    }
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}
