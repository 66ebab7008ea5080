//! Tokens that were signed by PyJWT, jose and the openssl command (`foreign/README.md`).

use std::time::{Duration, UNIX_EPOCH};

use loginradius_jwt::{Algorithm, Audience, ErrorKind, Key, KeySet, TrustedKeys, Verifier};
use serde::Deserialize;
use serde_json::{Map, Value};

mod common;
use common::{ALGORITHMS, AUDIENCE, ISSUER, now};

#[derive(Deserialize)]
struct Token {
    name: String,
    key: String,
    alg: String,
    claims: Map<String, Value>,
    jwt: String,
}

impl Token {
    fn algorithm(&self) -> Algorithm {
        self.alg.parse().expect("an algorithm")
    }

    fn verifier(&self, key: impl Into<TrustedKeys>) -> Verifier {
        Verifier::new(self.algorithm(), key, ISSUER, Audience::Is(AUDIENCE.into())).expect("a verifier")
    }
}

fn tokens() -> Vec<Token> {
    ["pyjwt.json", "jose.json", "openssl.json"]
        .iter()
        .flat_map(|file| serde_json::from_str::<Vec<Token>>(&read(file)).expect("tokens"))
        .collect()
}

fn read(file: &str) -> String {
    let path = format!("{}/tests/foreign/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn key(name: &str) -> Key {
    match name {
        "secret" => Key::from_secret(read("secret.txt")),
        _ => Key::from_pem(read(&format!("{name}.pem"))),
    }
    .expect("a key")
}

#[test]
fn each_of_the_three_programs_signed_with_all_nine_algorithms() {
    let tokens = tokens();
    for by in ["PyJWT", "jose", "openssl"] {
        for algorithm in ALGORITHMS {
            let count =
                tokens.iter().filter(|token| token.name.starts_with(by) && token.algorithm() == algorithm).count();
            assert!(count >= if by == "openssl" { 1 } else { 5 }, "{by} {algorithm}: {count}");
        }
    }
}

#[test]
fn a_foreign_token_is_verified_and_its_claims_are_read_as_they_went_in() {
    for token in tokens() {
        let name = format!("{} {}", token.name, token.alg);
        let verified =
            token.verifier(key(&token.key)).verify(&token.jwt, now()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(verified.claims_map().expect("claims"), token.claims, "{name}");

        let text = |claim: &str| token.claims.get(claim).and_then(Value::as_str);
        let time = |claim: &str| {
            let seconds = token.claims.get(claim).and_then(Value::as_f64)?;
            Some(UNIX_EPOCH + Duration::from_secs_f64(seconds))
        };
        assert_eq!(Some(verified.issuer()), text("iss"), "{name}");
        assert_eq!(verified.subject(), text("sub"), "{name}");
        assert_eq!(verified.token_id(), text("jti"), "{name}");
        assert_eq!(verified.nonce(), text("nonce"), "{name}");
        assert_eq!(Some(verified.expires_at()), time("exp"), "{name}");
        assert_eq!(verified.not_before(), time("nbf"), "{name}");
        assert_eq!(verified.issued_at(), time("iat"), "{name}");
        let audience = match &token.claims["aud"] {
            Value::Array(texts) => texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect(),
            text => vec![text.as_str().unwrap().to_owned()],
        };
        assert_eq!(verified.audience(), audience, "{name}");
    }
}

#[test]
fn a_foreign_token_is_refused_by_another_key_of_the_kind() {
    for token in tokens() {
        let other = match token.key.as_str() {
            "secret" => Key::from_secret("another secret, of the same length as the one that signed, more or less"),
            name if name.starts_with("rsa") => Key::from_pem(read("other_rsa.pem")),
            name => Key::from_pem(read(&format!("other_{name}.pem"))),
        };
        let error = token.verifier(other.expect("a key")).verify(&token.jwt, now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSignature, "{} {}", token.name, token.alg);
    }
}

#[test]
fn a_foreign_jwk_set_has_the_same_keys() {
    for file in ["keys.jwks.json", "keys_pyjwt.jwks.json"] {
        let set = KeySet::from_json(read(file)).expect("a set");
        assert_eq!(set.len(), 4, "{file}");
        let of_the_set = ["rsa", "p256", "p384", "p521"];
        for token in tokens().iter().filter(|token| of_the_set.contains(&token.key.as_str())) {
            let verified = token.verifier(&set).verify(&token.jwt, now());
            assert!(verified.is_ok(), "{file} {} {}: {verified:?}", token.name, token.alg);
        }
    }
}

#[test]
fn the_key_id_is_returned() {
    let ids = tokens()
        .iter()
        .filter(|token| token.name == "PyJWT kid")
        .map(|token| {
            let verified = token.verifier(key(&token.key)).verify(&token.jwt, now()).expect("verified");
            assert_eq!(verified.key_id(), Some(token.key.as_str()));
        })
        .count();
    assert_eq!(ids, 9);
}

#[test]
fn the_same_key_as_pkcs1_or_as_a_compressed_point_verifies_too() {
    for (file, name) in [("rsa_pkcs1.pem", "rsa"), ("p256_compressed.pem", "p256")] {
        let key = Key::from_pem(read(file)).expect("a key");
        let mut tokens = tokens();
        tokens.retain(|token| token.key == name);
        assert!(!tokens.is_empty());
        for token in tokens {
            assert!(token.verifier(&key).verify(&token.jwt, now()).is_ok(), "{file} {}", token.name);
        }
    }
}

#[test]
fn a_nonce_is_compared() {
    let mut tokens = tokens();
    tokens.retain(|token| token.claims.contains_key("nonce") && !token.claims["nonce"].is_null());
    assert_eq!(tokens.len(), 18);
    for token in tokens {
        let verifier = token.verifier(key(&token.key));
        assert!(verifier.verify_with_nonce(&token.jwt, "n-0S6_WzA2Mj", now()).is_ok());
        assert_eq!(
            verifier.verify_with_nonce(&token.jwt, "n-0S6_WzA2Mk", now()).unwrap_err().kind(),
            ErrorKind::NonceMismatch
        );
    }
}
