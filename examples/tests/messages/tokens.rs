//! Keys and JWTs that cannot be verified.

use std::time::{Duration, SystemTime};

use loginradius_emulator::{Emulator, seeded};
use loginradius_jwt::{Algorithm, Audience, Error, Key, KeySet, Verifier};

use crate::case::{Case, Said, case, server_certificate};

pub(crate) fn cases() -> Vec<Case> {
    [keys(), settings(), jwts()].into_iter().flatten().collect()
}

const ES256: &str = "demo-jwt-app-es256";

fn public_key() -> &'static str {
    include_str!("../../../crates/loginradius-emulator/src/keys/es256.public.pem")
}

fn private_key() -> &'static str {
    include_str!("../../../crates/loginradius-emulator/src/keys/es256.private.pem")
}

fn keys() -> Vec<Case> {
    fn pem(text: impl AsRef<[u8]>) -> Error {
        Key::from_pem(text).map(drop).unwrap_err()
    }
    fn secret(text: &str) -> Error {
        Key::from_secret(text).map(drop).unwrap_err()
    }
    vec![
        case!("the PEM file is empty", { pem("") }),
        case!("the PEM file's name in place of its text", { pem("/etc/my-program/key.pem") }),
        case!("the PEM file is a private key", {
            Said::of(&pem(private_key())).without(private_key().lines().nth(1).unwrap())
        }),
        case!("the PEM file is a certificate", { pem(server_certificate()) }),
        case!("the PEM file is DER", { pem([0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce]) }),
        case!("the PEM file is cut off", { pem(&public_key()[..80]) }),
        case!("the PEM file is a JWK set", { pem(r#"{"keys":[]}"#) }),
        case!("the PEM file is an OpenSSH key", { pem("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPxo ada@example.com") }),
        case!("the HMAC secret is empty", { secret("") }),
        case!("the HMAC secret has the line break of its file", {
            Said::of(&secret(&format!("{}\n", seeded::JWT_SECRET)))
        }),
        case!("the HMAC secret is a public key", { secret(public_key()) }),
        case!("the JWK set is an error page", { KeySet::from_json("<!DOCTYPE html>").map(drop).unwrap_err() }),
        case!("the JWK set is the discovery document", {
            KeySet::from_json(r#"{"issuer":"https://acme.example/","jwks_uri":"https://acme.example/jwks"}"#)
                .map(drop)
                .unwrap_err()
        }),
        case!("the JWK set has no key that can verify", {
            KeySet::from_json(r#"{"keys":[{"kty":"oct","k":"Y2FuYXJ5"}]}"#).map(drop).unwrap_err()
        }),
    ]
}

fn settings() -> Vec<Case> {
    fn refused(algorithm: Algorithm, key: Key, issuer: &str, audience: Audience) -> Error {
        Verifier::new(algorithm, key, issuer, audience).map(drop).unwrap_err()
    }
    let hmac = || Key::from_secret(seeded::JWT_SECRET).unwrap();
    const ISSUER: &str = "https://acme.hub.loginradius.com/";
    vec![
        Case::new("a public key for an HMAC algorithm", || {
            let key = Key::from_pem(public_key()).unwrap();
            Some(Said::of(&refused(Algorithm::Hs256, key, ISSUER, Audience::NotChecked)))
        }),
        Case::new("an HMAC secret for an RSA algorithm", move || {
            Some(Said::of(&refused(Algorithm::Rs256, hmac(), ISSUER, Audience::NotChecked)))
        }),
        Case::new("the expected issuer is empty", move || {
            Some(Said::of(&refused(Algorithm::Hs256, hmac(), "", Audience::NotChecked)))
        }),
        Case::new("the list of expected audiences is empty", move || {
            Some(Said::of(&refused(Algorithm::Hs256, hmac(), ISSUER, Audience::AnyOf(Vec::new()))))
        }),
        case!("an algorithm that no verifier has", { "none".parse::<Algorithm>().unwrap_err() }),
    ]
}

fn jwts() -> Vec<Case> {
    /// Verifies the token of these claims, after `change`. `SECONDS` in the claims is the present time.
    fn refused(claims: &str, change: impl FnOnce(String) -> String) -> Said {
        refused_by(seeded::JWT_SECRET, Audience::Is("my-client-id".to_owned()), claims, change)
    }
    fn refused_by(secret: &str, audience: Audience, claims: &str, change: impl FnOnce(String) -> String) -> Said {
        let emulator = Emulator::start().unwrap();
        let now = SystemTime::now();
        let seconds = |ahead: i64| {
            let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            seconds.saturating_add_signed(ahead).to_string()
        };
        let claims = claims.replace("ISSUER", &emulator.issuer()).replace("PAST", &seconds(-3600));
        let claims = claims.replace("FUTURE", &seconds(3600));
        let token = change(emulator.sign_jwt(seeded::JWT_APP, &claims).unwrap());
        let key = Key::from_secret(secret).unwrap();
        let verifier = Verifier::new(Algorithm::Hs256, key, emulator.issuer(), audience).unwrap();
        let error = verifier.verify(&token, now).map(drop).unwrap_err();
        let said = Said::of(&error).with(emulator.issuer(), "issuer");
        if token.is_empty() { said } else { said.without(&token) }
    }
    const GOOD: &str = r#"{"iss":"ISSUER","aud":"my-client-id","exp":FUTURE}"#;
    vec![
        case!("a token of another issuer", {
            refused(r#"{"iss":"https://other.example/","aud":"my-client-id","exp":FUTURE}"#, |token| token)
        }),
        case!("a token whose issuer has a slash at its end", {
            refused(r#"{"iss":"ISSUER/","aud":"my-client-id","exp":FUTURE}"#, |token| token)
        }),
        case!("a token without an issuer", { refused(r#"{"aud":"my-client-id","exp":FUTURE}"#, |token| token) }),
        case!("a token for another audience", {
            refused(r#"{"iss":"ISSUER","aud":"other-client-id","exp":FUTURE}"#, |token| token)
        }),
        case!("a token without an audience", { refused(r#"{"iss":"ISSUER","exp":FUTURE}"#, |token| token) }),
        case!("a token that has expired", {
            refused(r#"{"iss":"ISSUER","aud":"my-client-id","exp":PAST}"#, |token| token)
        }),
        case!("a token that is not valid yet", {
            refused(r#"{"iss":"ISSUER","aud":"my-client-id","exp":FUTURE,"nbf":FUTURE}"#, |token| token)
        }),
        case!("a token that never expires", { refused(r#"{"iss":"ISSUER","aud":"my-client-id"}"#, |token| token) }),
        case!("a token and another app's secret", {
            refused_by("another-secret-that-is-long-enough", Audience::NotChecked, GOOD, |token| token)
        }),
        case!("a token that was cut off", { refused(GOOD, |token| token[..token.len() / 2].to_owned()) }),
        case!("a token with the word Bearer in front", { refused(GOOD, |token| format!("Bearer {token}")) }),
        case!("an access token in place of a JWT", {
            refused(GOOD, |_| loginradius_conformance::secrets::ACCESS_TOKEN.to_owned())
        }),
        case!("no token at all", { refused(GOOD, |_| String::new()) }),
        case!("a token of another algorithm", {
            let emulator = Emulator::start().unwrap();
            let token = emulator.sign_jwt(ES256, r#"{"exp":4102444800}"#).unwrap();
            let key = Key::from_secret(seeded::JWT_SECRET).unwrap();
            let verifier = Verifier::new(Algorithm::Hs256, key, "issuer", Audience::NotChecked).unwrap();
            Said::of(&verifier.verify(&token, SystemTime::now() + Duration::ZERO).map(drop).unwrap_err())
                .without(&token)
        }),
        case!("a token whose key is not in the set any more", {
            let emulator = Emulator::start().unwrap();
            let header = r#"{"alg":"ES256","typ":"JWT","kid":"new"}"#;
            let token = emulator.sign_jwt_with_header(ES256, header, r#"{"exp":4102444800}"#).unwrap();
            let keys = KeySet::from_json(emulator.jwks(ES256).unwrap()).unwrap();
            let verifier = Verifier::new(Algorithm::Es256, keys, "issuer", Audience::NotChecked).unwrap();
            Said::of(&verifier.verify(&token, SystemTime::now()).map(drop).unwrap_err()).without(&token)
        }),
        case!("a token of another login", {
            let emulator = Emulator::start().unwrap();
            let claims = r#"{"iss":"issuer","nonce":"n1","exp":4102444800}"#;
            let token = emulator.sign_jwt(seeded::JWT_APP, claims).unwrap();
            let key = Key::from_secret(seeded::JWT_SECRET).unwrap();
            let verifier = Verifier::new(Algorithm::Hs256, key, "issuer", Audience::NotChecked).unwrap();
            Said::of(&verifier.verify_with_nonce(&token, "n2", SystemTime::now()).map(drop).unwrap_err())
        }),
    ]
}
