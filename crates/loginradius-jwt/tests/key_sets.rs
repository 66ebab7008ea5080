//! Which keys of a JWK set are used.

use loginradius_jwt::{Algorithm, Audience, ErrorKind, KeySet, Verifier};
use serde_json::{Map, Value, json};

mod common;
use common::{ABSENT, ALGORITHMS, ISSUER, Signer, claims_with, decode, encode, now, object};

fn set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

/// Returns how many of the keys are used, in a set that has one more good key.
fn used(keys: &[Value]) -> usize {
    let good = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    KeySet::from_json(set(&[keys, &[good]].concat())).expect("a set").len() - 1
}

fn with(jwk: &Value, changes: Value) -> Value {
    let mut jwk: Map<String, Value> = jwk.as_object().expect("an object").clone();
    for (name, value) in object(changes) {
        if value == ABSENT {
            jwk.remove(&name);
        } else {
            jwk.insert(name, value);
        }
    }
    jwk.into()
}

fn rsa() -> Value {
    Signer::of(Algorithm::Rs256).jwk()
}

fn p256() -> Value {
    Signer::of(Algorithm::Es256).jwk()
}

#[test]
fn a_key_for_signatures_is_used_whatever_else_it_says() {
    for changes in [
        json!({}),
        json!({"use": "sig"}),
        json!({"use": null, "alg": null, "kid": null, "key_ops": null, "d": null}),
        json!({"key_ops": ["verify"]}),
        json!({"key_ops": ["sign", "verify"]}),
        json!({"kid": "201"}),
        json!({"kid": ""}),
        json!({"x5t": "abc", "x5c": ["abc"], "x5u": "https://example.com", "exp": 1, "nested": {"a": [1]}}),
    ] {
        assert_eq!(used(&[with(&rsa(), changes.clone())]), 1, "{changes}");
        assert_eq!(used(&[with(&p256(), changes.clone())]), 1, "{changes}");
    }
    for alg in ["RS256", "RS384", "RS512"] {
        assert_eq!(used(&[with(&rsa(), json!({"alg": alg}))]), 1, "{alg}");
    }
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512] {
        assert_eq!(used(&[with(&Signer::of(algorithm).jwk(), json!({"alg": algorithm.as_str()}))]), 1, "{algorithm}");
    }
    // Some encoders add a leading zero: RFC 7518, section 6.3.1.1.
    let n = decode(rsa()["n"].as_str().unwrap());
    assert_eq!(used(&[with(&rsa(), json!({"n": encode([&[0], n.as_slice()].concat())}))]), 1);
}

#[test]
fn a_key_that_does_not_suit_is_left_out() {
    for changes in [
        json!({"kty": "oct", "k": "c2VjcmV0"}),
        json!({"kty": "OKP", "crv": "Ed25519"}),
        json!({"kty": ABSENT}),
        json!({"kty": "rsa"}),
        json!({"kty": 1}),
        json!({"use": "enc"}),
        json!({"use": "SIG"}),
        json!({"use": 1}),
        json!({"key_ops": []}),
        json!({"key_ops": ["sign"]}),
        json!({"key_ops": ["encrypt", "wrapKey"]}),
        json!({"key_ops": "verify"}),
        json!({"alg": "none"}),
        json!({"alg": "HS256"}),
        json!({"alg": "PS256"}),
        json!({"alg": "RSA-OAEP"}),
        json!({"alg": ""}),
        json!({"kid": 201}),
        json!({"d": "AQAB"}),
        json!({"k": "AQAB"}),
        json!({"oth": []}),
    ] {
        assert_eq!(used(&[with(&rsa(), changes.clone())]), 0, "RSA {changes}");
        assert_eq!(used(&[with(&p256(), changes.clone())]), 0, "EC {changes}");
    }
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        assert_eq!(used(&[with(&rsa(), json!({private: "AQAB"}))]), 0, "{private}");
    }
    assert_eq!(used(&[with(&rsa(), json!({"alg": "ES256"})), with(&p256(), json!({"alg": "RS256"}))]), 0);
    assert_eq!(used(&[with(&p256(), json!({"alg": "ES384"})), with(&p256(), json!({"crv": "P-384"}))]), 0);
    assert_eq!(used(&[with(&p256(), json!({"crv": "secp256k1"})), with(&p256(), json!({"crv": ABSENT}))]), 0);
    assert_eq!(used(&[json!(1), json!("key"), json!(null), json!([]), json!({}), json!([rsa()])]), 0);
}

#[test]
fn a_key_whose_numbers_are_wrong_is_left_out() {
    let n = decode(rsa()["n"].as_str().unwrap());
    let text = rsa()["n"].as_str().unwrap().to_owned();
    let mut even = n.clone();
    even[255] &= 0xfe;
    for changes in [
        json!({"n": ABSENT}),
        json!({"n": null}),
        json!({"n": ""}),
        json!({"n": 5}),
        json!({"n": format!("{}...", &text[..60])}),
        json!({"n": &text[..200]}),
        json!({"n": format!("{text}=")}),
        json!({"n": format!("{text}\n")}),
        json!({"n": text.replace(['-', '_'], "+")}),
        json!({"n": encode(&n[..128])}),
        json!({"n": encode(&n[1..])}),
        json!({"n": encode(&even)}),
        json!({"n": encode([0xff; 1025])}),
        json!({"e": ABSENT}),
        json!({"e": ""}),
        json!({"e": "AA"}),
        json!({"e": "AQ"}),
        json!({"e": "Ag"}),
        json!({"e": "AQAA"}),
        json!({"e": encode([0xff; 256])}),
    ] {
        // The modulus may have neither `-` nor `_`. Then nothing was replaced.
        if changes["n"] == rsa()["n"] {
            continue;
        }
        assert_eq!(used(&[with(&rsa(), changes.clone())]), 0, "{changes}");
    }
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512] {
        let jwk = Signer::of(algorithm).jwk();
        let x = decode(jwk["x"].as_str().unwrap());
        let y = decode(jwk["y"].as_str().unwrap());
        let mut off = x.clone();
        off[x.len() - 1] ^= 1;
        for changes in [
            json!({"x": ABSENT}),
            json!({"y": ABSENT}),
            json!({"x": ""}),
            json!({"x": encode(&off)}),
            json!({"x": encode(&x[1..])}),
            json!({"x": encode(&x[..x.len() - 1])}),
            json!({"x": encode([&[0], x.as_slice()].concat())}),
            json!({"x": encode(vec![0; x.len()]), "y": encode(vec![0; x.len()])}),
            json!({"x": encode(vec![0xff; x.len()])}),
            json!({"x": jwk["y"]}),
            // The same point, cut at another place.
            json!({"x": encode(&x[..x.len() - 1]), "y": encode([&x[x.len() - 1..], y.as_slice()].concat())}),
            json!({"x": format!("{}=", jwk["x"].as_str().unwrap())}),
        ] {
            assert_eq!(used(&[with(&jwk, changes.clone())]), 0, "{algorithm} {changes}");
        }
    }
}

#[test]
fn a_key_with_a_member_twice_is_left_out() {
    let key = rsa().to_string();
    for member in [r#""kty":"RSA","#, r#""\u006bty":"RSA","#, r#""x":1,"x":1,"#] {
        let twice = key.replacen('{', &format!("{{{member}"), 1);
        let jwks = format!(r#"{{"keys":[{twice},{}]}}"#, p256());
        assert_eq!(KeySet::from_json(&jwks).expect("a set").len(), 1, "{member}");
    }
}

#[test]
fn text_without_a_usable_key_is_refused() {
    let refused = |text: &str, word: &str| {
        let error = KeySet::from_json(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidKey);
        assert!(error.to_string().contains(word), "{text}: {error}");
    };
    for text in ["", "<html>404</html>", "[]", "null", "{", "1", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"keys":"#] {
        refused(text, "not readable JSON");
    }
    refused(r#"{"keys":[],"keys":[]}"#, "not readable JSON");
    refused(&format!("{}x", set(&[rsa()])), "not readable JSON");
    refused("{}", "no member `keys`");
    refused(&rsa().to_string(), "no member `keys`");
    refused(r#"{"keys":[]}"#, "no key of the JWK set (0 in all)");
    refused(&set(&[json!({}), json!(1), json!({"kty": "oct", "k": "AAAA"})]), "no key of the JWK set (3 in all)");
    refused(&set(&vec![rsa(); 65]), "more than 64 keys");
    assert_eq!(KeySet::from_json(set(&vec![p256(); 64])).expect("a set").len(), 64);
    assert!(KeySet::from_json([0xff, 0xfe]).is_err());

    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    let text = format!(r#"{{"x":{deep},"keys":[{deep},{{"kty":{deep}}},{}]}}"#, p256());
    assert_eq!(KeySet::from_json(text).expect("a set").len(), 1);
    refused(&format!(r#"{{"keys":[{}"#, "[".repeat(200_000)), "not readable JSON");
}

#[test]
fn a_set_without_a_key_for_the_algorithm_is_refused() {
    let keys = KeySet::from_json(set(&[with(&rsa(), json!({"alg": "RS256"})), p256()])).expect("a set");
    for algorithm in ALGORITHMS {
        let verifier = Verifier::new(algorithm, &keys, ISSUER, Audience::NotChecked);
        if matches!(algorithm, Algorithm::Rs256 | Algorithm::Es256) {
            assert!(verifier.is_ok(), "{algorithm}");
        } else {
            let error = verifier.expect_err(algorithm.as_str());
            assert_eq!(error.kind(), ErrorKind::InvalidKey, "{algorithm}");
            assert!(error.to_string().contains(algorithm.as_str()), "{error}");
        }
    }
}

#[test]
fn all_keys_of_the_same_id_are_tried() {
    let [first, second] = [(); 2].map(|()| Signer::other(Algorithm::Es384));
    let kid = json!({"kid": "201"});
    let keys = [with(&rsa(), kid.clone()), with(&first.jwk(), kid.clone()), with(&second.jwk(), kid)];
    let keys = KeySet::from_json(set(&keys)).expect("a set");
    let verifier = Verifier::new(Algorithm::Es384, keys, ISSUER, Audience::NotChecked).expect("a verifier");
    for signer in [&first, &second] {
        let token = signer.token(r#"{"alg":"ES384","kid":"201"}"#, claims_with(json!({})));
        assert_eq!(verifier.verify(&token, now()).expect("verified").key_id(), Some("201"));
    }
}

#[test]
fn after_an_unknown_key_id_the_verifier_continues_with_the_reloaded_set() {
    let [old, new] = ["1", "2"].map(|kid| (Signer::other(Algorithm::Es256), json!({"kid": kid})));
    let [old_set, new_set] =
        [vec![with(&old.0.jwk(), old.1.clone())], vec![with(&old.0.jwk(), old.1), with(&new.0.jwk(), new.1)]]
            .map(|keys| KeySet::from_json(set(&keys)).expect("a set"));
    let audience = Audience::Is(common::AUDIENCE.into());
    let verifier = Verifier::new(Algorithm::Es256, old_set, ISSUER, audience).expect("a verifier");
    let verifier = verifier.with_leeway(std::time::Duration::ZERO);
    let token = new.0.token(r#"{"alg":"ES256","kid":"2"}"#, claims_with(json!({})));
    assert_eq!(verifier.verify(&token, now()).unwrap_err().kind(), ErrorKind::UnknownKeyId);
    let verifier = verifier.with_keys(new_set).expect("a verifier");
    assert!(verifier.verify(&token, now()).is_ok());
    assert_eq!(verifier.verify(&token, common::at(600)).unwrap_err().kind(), ErrorKind::Expired, "the leeway stays");
    let rsa = KeySet::from_json(set(&[rsa()])).expect("a set");
    assert_eq!(verifier.with_keys(rsa).unwrap_err().kind(), ErrorKind::InvalidKey);
}

#[test]
fn a_single_keys_tokens_may_have_any_id() {
    let signer = Signer::of(Algorithm::Rs256);
    for kid in ["", "201", "../../etc/passwd", "'; DROP TABLE keys; --"] {
        let header = json!({"alg": "RS256", "kid": kid}).to_string();
        let token = signer.token(header, claims_with(json!({})));
        assert_eq!(signer.verifier().verify(&token, now()).expect("verified").key_id(), Some(kid));
    }
}
