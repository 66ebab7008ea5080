//! Properties that are true for any bytes, any claims and any change of a token.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use loginradius_jwt::{Algorithm, Audience, ErrorKind, Key, KeySet, Verifier, dangerous};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

mod common;
use common::{ALGORITHMS, AUDIENCE, BEGIN, ISSUER, Signer, claims, claims_with, encode, now};

fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(ALGORITHMS.to_vec())
}

/// Makes any JSON that is not too deep for `claims_map`.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

const REGISTERED: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce"];

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, algorithm in any_algorithm()) {
        let text = String::from_utf8_lossy(&bytes);
        let verifier = Signer::of(algorithm).verifier();
        prop_assert!(verifier.verify(&text, now()).is_err());
        prop_assert!(dangerous::read_without_verification(&text).is_err());
        prop_assert!(Key::from_pem(&bytes).is_err());
        prop_assert!(KeySet::from_json(&bytes).is_err());
        let _: Result<Key, _> = Key::from_secret(&bytes);
    }

    #[test]
    fn no_parts_make_it_panic(header: Vec<u8>, payload: Vec<u8>, signature: Vec<u8>, algorithm in any_algorithm()) {
        let signer = Signer::of(algorithm);
        let text = format!("{}.{}.{}", encode(&header), encode(&payload), encode(&signature));
        prop_assert!(signer.verifier().verify(&text, now()).is_err());
        let text = format!("{}.{}.{}", encode(signer.header()), encode(&payload), encode(&signature));
        prop_assert_eq!(signer.verifier().verify(&text, now()).unwrap_err().kind(), ErrorKind::InvalidSignature);
    }

    #[test]
    fn no_payload_makes_it_panic_even_if_it_is_signed(payload in prop_oneof![any::<Vec<u8>>(), any_json().prop_map(|json| json.to_string().into_bytes())]) {
        let signer = Signer::of(Algorithm::Hs256);
        prop_assert!(signer.verifier().verify(&signer.claims(&payload), now()).is_err());
    }

    #[test]
    fn no_der_in_a_pem_makes_it_panic(der: Vec<u8>, at: usize, byte: u8, label in prop::sample::select(vec!["PUBLIC KEY", "RSA PUBLIC KEY"])) {
        prop_assert!(Key::from_pem(common::pem(label, &der)).is_err());
        // A real key with one byte changed may still be a key. It must not panic either.
        for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
            let mut der = Signer::of(algorithm).der();
            let len = der.len();
            der[at % len] = byte;
            let _: Result<Key, _> = Key::from_pem(common::pem("PUBLIC KEY", &der));
        }
    }

    #[test]
    fn a_token_with_one_character_changed_is_refused(algorithm in any_algorithm(), at: usize, by in 1_u8..128) {
        let signer = Signer::of(algorithm);
        let mut bytes = signer.good().into_bytes();
        let at = at % bytes.len();
        bytes[at] = (bytes[at] + by) % 128;
        let jwt = String::from_utf8(bytes).expect("ASCII");
        prop_assert!(signer.verifier().verify(&jwt, now()).is_err(), "{}", jwt);
    }

    #[test]
    fn a_token_with_one_bit_of_a_decoded_part_changed_is_refused(algorithm in any_algorithm(), part in 0_usize..3, at: usize, bit in 0_u8..8) {
        let signer = Signer::of(algorithm);
        let good = signer.good();
        let mut parts: Vec<Vec<u8>> = good.split('.').map(common::decode).collect();
        let len = parts[part].len();
        parts[part][at % len] ^= 1 << bit;
        let jwt: Vec<String> = parts.iter().map(encode).collect();
        prop_assert!(signer.verifier().verify(&jwt.join("."), now()).is_err());
    }

    #[test]
    fn a_token_that_is_cut_or_has_more_is_refused(algorithm in any_algorithm(), at: usize, more in "[A-Za-z0-9_.=-]{1,8}") {
        let signer = Signer::of(algorithm);
        let good = signer.good();
        prop_assert!(signer.verifier().verify(&good[..at % good.len()], now()).is_err());
        prop_assert!(signer.verifier().verify(&good[1 + at % (good.len() - 1)..], now()).is_err());
        for longer in [format!("{good}{more}"), format!("{more}{good}")] {
            prop_assert!(signer.verifier().verify(&longer, now()).is_err());
        }
    }

    #[test]
    fn any_claims_are_read_back_exactly(
        algorithm in any_algorithm(),
        profile in prop::collection::btree_map(any::<String>(), any_json(), 0..12),
        subject: Option<String>, id: Option<String>, nonce: Option<String>,
        audiences in prop::collection::vec(any::<String>(), 0..4), as_text: bool,
        times in prop::array::uniform3(prop::option::of(0_u64..=BEGIN)),
    ) {
        let signer = Signer::of(algorithm);
        let mut sent: Map<String, Value> = profile.into_iter().filter(|(name, _)| !REGISTERED.contains(&name.as_str())).collect();
        let mut audience = audiences;
        audience.push(AUDIENCE.to_owned());
        if as_text {
            audience = vec![AUDIENCE.to_owned()];
            sent.insert("aud".into(), AUDIENCE.into());
        } else {
            sent.insert("aud".into(), json!(audience));
        }
        let [not_before, issued_at, more] = times;
        let expires_at = BEGIN + 100 + more.unwrap_or(0);
        for (name, value) in [
            ("iss", json!(ISSUER)), ("sub", json!(subject)), ("jti", json!(id)), ("nonce", json!(nonce)),
            ("nbf", json!(not_before)), ("iat", json!(issued_at)), ("exp", json!(expires_at)),
        ] {
            sent.insert(name.into(), value);
        }
        let token = signer.verifier().verify(&signer.claims(Value::from(sent.clone()).to_string()), now());
        let token = token.expect("verified");
        prop_assert_eq!(token.claims_map().expect("claims"), sent.clone());
        let map: BTreeMap<String, Value> = token.claims().expect("claims");
        prop_assert_eq!(map.len(), sent.len());
        let time = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
        prop_assert_eq!(token.issuer(), ISSUER);
        prop_assert_eq!(token.subject(), subject.as_deref());
        prop_assert_eq!(token.token_id(), id.as_deref());
        prop_assert_eq!(token.nonce(), nonce.as_deref());
        prop_assert_eq!(token.audience(), audience);
        prop_assert_eq!(token.expires_at(), time(expires_at));
        prop_assert_eq!(token.not_before(), not_before.map(time));
        prop_assert_eq!(token.issued_at(), issued_at.map(time));
        if let Some(nonce) = nonce.filter(|nonce| !nonce.is_empty()) {
            let jwt = signer.claims(Value::from(sent).to_string());
            prop_assert!(signer.verifier().verify_with_nonce(&jwt, &nonce, now()).is_ok());
            let another = nonce + "x";
            prop_assert!(signer.verifier().verify_with_nonce(&jwt, &another, now()).is_err());
        }
    }

    #[test]
    fn an_issuers_slash_counts_unless_it_is_ignored(host in "[a-z]{1,8}", own in "/{0,2}", expected in "/{0,2}") {
        let signer = Signer::of(Algorithm::Hs256);
        let [own, expected] = [own, expected].map(|slashes| format!("https://{host}{slashes}"));
        let jwt = signer.claims(claims_with(json!({"iss": own})));
        let exact = Verifier::new(Algorithm::Hs256, signer.key(), expected.clone(), Audience::NotChecked).expect("a verifier");
        prop_assert_eq!(exact.verify(&jwt, now()).is_ok(), own == expected);
        let ignoring = exact.ignore_issuer_slash();
        let by_one = own.len().abs_diff(expected.len()) <= 1;
        prop_assert_eq!(ignoring.verify(&jwt, now()).map(|token| token.issuer().to_owned()).ok(), by_one.then_some(own));
    }

    #[test]
    fn an_audience_is_any_of_those_that_are_expected(own in prop::collection::vec("[a-c]", 0..4), expected in prop::collection::vec("[a-c]", 1..4)) {
        let signer = Signer::of(Algorithm::Hs256);
        let jwt = signer.claims(claims_with(json!({"aud": own})));
        let shared = own.iter().any(|own| expected.contains(own));
        let verifier = Verifier::new(Algorithm::Hs256, signer.key(), ISSUER, Audience::AnyOf(expected)).expect("a verifier");
        prop_assert_eq!(verifier.verify(&jwt, now()).map(drop).map_err(|error| error.kind()), if shared { Ok(()) } else { Err(ErrorKind::AudienceMismatch) });
    }
}

#[test]
fn every_single_character_of_a_token_counts() {
    // All positions. The property above draws only some of them.
    for algorithm in [Algorithm::Hs256, Algorithm::Es256] {
        let signer = Signer::of(algorithm);
        let good = signer.good();
        for at in 0..good.len() {
            for other in ['A', 'B', 'g', '_', '.', '='] {
                let mut jwt = good.clone();
                jwt.replace_range(at..=at, &other.to_string());
                assert_eq!(signer.verifier().verify(&jwt, now()).is_ok(), jwt == good, "{jwt}");
            }
        }
    }
}

#[test]
fn deep_claims_pass_the_verification_and_are_refused_by_claims_map() {
    let signer = Signer::of(Algorithm::Es256);
    let deep = "[".repeat(40_000) + &"]".repeat(40_000);
    let payload = Value::from(claims()).to_string().replacen('{', &format!(r#"{{"deep":{deep},"#), 1);
    let token = signer.verifier().verify(&signer.claims(payload), now()).expect("verified");
    assert_eq!(token.claims_map().unwrap_err().kind(), ErrorKind::Deserialize);
    #[derive(serde::Deserialize)]
    struct Email<'a> {
        email: &'a str,
    }
    assert_eq!(token.claims::<Email<'_>>().expect("skipped here too").email, "someone@example.com");
    let header = format!(r#"{{"alg":"ES256","deep":{deep}}}"#);
    let token = signer.token(header, Value::from(claims()).to_string());
    assert!(signer.verifier().verify(&token, now()).is_ok());
}
