//! Nothing that can be printed shows a secret, a token or a claim's value.

use std::fmt::{Debug, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loginradius_jwt::{Algorithm, Audience, Error, Key, KeySet, TrustedKeys, Verifier, dangerous};
use serde_json::{Value, json};

mod common;
use common::{ALGORITHMS, AUDIENCE, ISSUER, Signer, at, claims_with, now, object};

/// Part of each secret and of each value about the user.
const CANARY: &str = "canary";

struct Printed(String);

impl Printed {
    fn value(&mut self, value: &dyn Debug) {
        write!(self.0, "{value:?}\n{value:#?}\n").expect("a string");
    }

    #[track_caller]
    fn error<T>(&mut self, result: Result<T, Error>) {
        let Err(error) = result else { panic!("no error") };
        write!(self.0, "{error}\n{error:?}\n{error:#?}\n").expect("a string");
        assert!(std::error::Error::source(&error).is_none(), "a source may print more");
        assert!(!error.to_string().contains('\n'), "one line: {error}");
    }
}

/// Returns the claims with a canary in each value about the user, and with these changes.
fn claims_with_canaries(changes: Value) -> String {
    let mut claims = json!({"sub": "canary-sub", "jti": "canary-jti", "nonce": "canary-nonce", "email": "canary@example.com", "canary": 1});
    claims.as_object_mut().expect("an object").extend(object(changes));
    claims_with(claims)
}

#[test]
fn nothing_printed_has_a_secret_a_token_or_a_value_of_a_claim() {
    let mut printed = Printed(String::new());
    let secret = "canary-secret that is long enough for every hash of the three that there are";
    let mut tokens = Vec::new();

    printed.value(&Key::from_secret(secret));
    printed.value(&TrustedKeys::from(Key::from_secret(secret).expect("a secret")));
    printed.error(Key::from_secret(format!("{secret}\n")));
    printed.error(Key::from_secret(format!("-----BEGIN {secret}")));
    printed.error(Key::from_secret(format!(r#"{{"kty":"oct","k":"{secret}"}}"#)));
    for text in [
        secret.to_owned(),
        format!("-----BEGIN {CANARY}-----\n{CANARY}\n-----END {CANARY}-----"),
        format!("-----BEGIN {CANARY}-----\n{CANARY}"),
        format!("-----BEGIN PUBLIC KEY-----\n{CANARY}!\n-----END PUBLIC KEY-----"),
        format!("-----BEGIN {CANARY} PRIVATE KEY-----\n-----END {CANARY} PRIVATE KEY-----"),
    ] {
        printed.error(Key::from_pem(text));
    }
    for text in [
        secret.to_owned(),
        format!(r#"{{"keys":["{CANARY}"]}}"#),
        format!(r#"{{"{CANARY}":"{CANARY}"}}"#),
        format!(r#"{{"keys":"{CANARY}"}}"#),
    ] {
        printed.error(KeySet::from_json(text));
    }
    printed.error(CANARY.parse::<Algorithm>());
    printed.error(Verifier::new(
        Algorithm::Rs256,
        Key::from_secret(secret).expect("a secret"),
        ISSUER,
        Audience::NotChecked,
    ));

    for algorithm in ALGORITHMS {
        let signer = Signer::of(algorithm);
        let signer =
            if algorithm.as_str().starts_with("HS") { Signer::secret(algorithm, secret.as_bytes()) } else { signer };
        let verifier = signer.verifier();
        printed.value(&verifier);
        printed.value(&signer.key());
        if !algorithm.as_str().starts_with("HS") {
            let mut jwk = signer.jwk();
            jwk["kid"] = CANARY.into();
            let set = KeySet::from_json(json!({"keys": [jwk]}).to_string()).expect("a set");
            printed.value(&set);
            printed.value(&TrustedKeys::from(&set));
            let by_set = Verifier::new(algorithm, set, ISSUER, Audience::NotChecked).expect("a verifier");
            printed.value(&by_set);
            let header = json!({"alg": algorithm.as_str(), "kid": "canary-unknown"}).to_string();
            printed.error(by_set.verify(&signer.token(header, claims_with_canaries(json!({}))), now()));
        }

        let good = signer.claims(claims_with_canaries(json!({})));
        let token = verifier.verify(&good, now()).expect("verified");
        printed.value(&token);
        printed.value(&token.clone());
        printed.value(&dangerous::read_without_verification(&good));
        // serde's own message quotes the value.
        #[derive(Debug, serde::Deserialize)]
        struct Wrong {
            #[expect(dead_code, reason = "never read")]
            email: u64,
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Unknown {}
        printed.error(token.claims::<Wrong>());
        printed.error(token.claims::<Unknown>());
        printed.error(token.claims::<Vec<u8>>());
        printed.error(token.claims::<String>());
        let unverified = dangerous::read_without_verification(&good).expect("read");
        printed.error(unverified.claims::<Wrong>());

        for (changes, nonce) in [
            (json!({"exp": "canary"}), None),
            (json!({"exp": ["canary"]}), None),
            (json!({"exp": null}), None),
            (json!({"nbf": "canary"}), None),
            (json!({"iat": {"canary": 1}}), None),
            (json!({"sub": ["canary"]}), None),
            (json!({"iss": "https://canary.example/"}), None),
            (json!({"iss": "https://acme.hub.loginradius.com"}), None),
            (json!({"iss": ["canary"]}), None),
            (json!({"aud": "canary"}), None),
            (json!({"aud": ["canary", 1]}), None),
            (json!({"aud": null}), None),
            (json!({}), Some("another-canary")),
            (json!({"nonce": null}), Some("canary-nonce")),
            (json!({"nonce": ["canary"]}), None),
        ] {
            let jwt = signer.claims(claims_with_canaries(changes));
            printed.error(match nonce {
                None => verifier.verify(&jwt, now()),
                Some(nonce) => verifier.verify_with_nonce(&jwt, nonce, now()),
            });
            tokens.push(jwt);
        }
        printed.error(verifier.verify_with_nonce(&good, "", now()));
        printed.error(verifier.verify(&good, at(10_000)));
        printed.error(verifier.verify(&good, std::time::UNIX_EPOCH));
        let twice = claims_with_canaries(json!({})).replacen('{', r#"{"canary":2,"#, 1);
        for jwt in [
            format!("{good}x"),
            format!("Bearer {good}"),
            format!("{good}.{good}"),
            good.replace('.', ".."),
            good.repeat(500),
            CANARY.to_owned(),
            signer.claims(CANARY),
            signer.claims(twice),
            signer.claims(b"\xffcanary"),
            signer.token(CANARY, CANARY),
            signer.token(r#"{"alg":"canary"}"#, CANARY),
            signer.token(r#"{"alg":["canary"]}"#, CANARY),
            signer.token(r#"{"canary":1,"canary":2}"#, CANARY),
            signer.token(json!({"alg": algorithm.as_str(), "typ": "canary"}).to_string(), CANARY),
            signer.token(json!({"alg": algorithm.as_str(), "crit": ["canary"]}).to_string(), CANARY),
            signer.token(json!({"alg": algorithm.as_str(), "kid": ["canary"]}).to_string(), CANARY),
        ] {
            printed.error(verifier.verify(&jwt, now()));
        }
        tokens.push(good);
    }

    let Printed(printed) = printed;
    assert!(printed.len() > 50_000, "{} bytes were printed", printed.len());
    let lower = printed.to_lowercase();
    for needle in [CANARY, &common::encode(CANARY)[..8], &STANDARD.encode(CANARY)[..8], "99, 97, 110, 97, 114, 121"] {
        let found =
            lower.find(&needle.to_lowercase()).map(|at| &printed[at.saturating_sub(100)..(at + 40).min(printed.len())]);
        assert_eq!(found, None, "{needle}");
    }
    for token in tokens {
        for part in token.split('.').filter(|part| part.len() > 16) {
            assert!(!printed.contains(&part[..16]), "{part}");
        }
    }
    // The caller's own settings may be printed.
    assert!(printed.contains(ISSUER) && printed.contains(AUDIENCE));
}

#[test]
fn an_error_names_the_field_that_is_missing() {
    #[derive(Debug, serde::Deserialize)]
    struct Profile {
        #[expect(dead_code, reason = "never read")]
        phone: String,
    }
    let signer = Signer::of(Algorithm::Hs256);
    let token = signer.verifier().verify(&signer.good(), now()).expect("verified");
    let error = token.claims::<Profile>().unwrap_err();
    assert!(error.to_string().contains("the field `phone` is missing"), "{error}");
}

#[test]
fn an_error_says_that_a_claim_is_null() {
    #[derive(Debug, serde::Deserialize)]
    struct Profile {
        #[expect(dead_code, reason = "never read")]
        email: String,
    }
    let signer = Signer::of(Algorithm::Hs256);
    for (email, is_null) in [(Value::Null, true), (json!(1), false), (json!([]), false), (json!({}), false)] {
        let jwt = signer.claims(claims_with(json!({"email": email})));
        let error =
            signer.verifier().verify(&jwt, now()).expect("verified").claims::<Profile>().unwrap_err().to_string();
        assert_eq!(error.contains("a claim is null"), is_null, "{email}: {error}");
        assert!(error.contains("column "), "{email}: {error}");
    }
}

#[test]
fn debug_shows_the_settings_and_the_kind_of_a_key() {
    let signer = Signer::of(Algorithm::Es256);
    assert_eq!(format!("{:?}", signer.key()), "Key(a public key on the curve P-256)");
    assert_eq!(format!("{:?}", Signer::of(Algorithm::Hs256).key()), "Key(a secret)");
    let set = KeySet::from_json(json!({"keys": [signer.jwk()]}).to_string()).expect("a set");
    assert_eq!(format!("{set:?}"), "KeySet(1 keys)");
    let verifier = signer.verifier();
    assert_eq!(
        format!("{verifier:?}"),
        format!(r#"Verifier {{ algorithm: Es256, issuer: "{ISSUER}", audience: Is("{AUDIENCE}"), leeway: 5s, .. }}"#)
    );
    let token = verifier.verify(&signer.good(), now()).expect("verified");
    let expires_at = token.expires_at();
    assert_eq!(
        format!("{token:?}"),
        format!(r#"VerifiedToken {{ issuer: "{ISSUER}", expires_at: {expires_at:?}, .. }}"#)
    );
    let token = dangerous::read_without_verification(&signer.good()).expect("read");
    assert_eq!(format!("{token:?}"), "UnverifiedToken");
}
