//! The nine algorithms, and the keys that a verifier needs.

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaParameters, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use loginradius_emulator::seeded::{self, JwtAlgorithm, JwtApp};
use loginradius_emulator::{Api, Emulator};
use serde_json::{Value, json};

use crate::authorize::{APIS, authorize};
use crate::http::{get, post_json, tokens};
use crate::jwt_browser::link;

/// Header and claims, if the app has signed it: with its secret, its PEM file and its JWK set.
fn verified(emulator: &Emulator, app: &JwtApp, jwt: &str) -> (Value, Value) {
    let parts: Vec<&str> = jwt.split('.').collect();
    assert_eq!(parts.len(), 3, "{jwt}");
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let signed = format!("{}.{}", parts[0], parts[1]);
    let (message, signature) = (signed.as_bytes(), decode(parts[2]));
    if let Some(secret) = app.secret {
        let algorithm = match app.algorithm {
            JwtAlgorithm::Hs256 => hmac::HMAC_SHA256,
            JwtAlgorithm::Hs384 => hmac::HMAC_SHA384,
            _ => hmac::HMAC_SHA512,
        };
        hmac::verify(&hmac::Key::new(algorithm, secret.as_bytes()), message, &signature).expect(app.name);
    } else {
        let path = format!("/keys/{}", app.name);
        let pem = get(emulator, &format!("{path}.pem")).body;
        let lines = pem.lines().filter(|line| !line.starts_with('-'));
        let der = STANDARD.decode(lines.collect::<String>()).unwrap();
        let set = get(emulator, &format!("{path}/jwks")).json();
        let key = &set["keys"][0];
        let member = |name: &str| decode(key[name].as_str().unwrap_or_else(|| panic!("{name} in {key}")));
        let rsa = |algorithm: &'static RsaParameters| {
            UnparsedPublicKey::new(algorithm, &der).verify(message, &signature).expect("by PEM");
            let components = PublicKeyComponents { n: member("n"), e: member("e") };
            components.verify(algorithm, message, &signature).expect("by JWK");
            assert_eq!((signature.len(), member("e")), (256, vec![1, 0, 1]));
        };
        let ec = |algorithm, length: usize, curve: &str| {
            UnparsedPublicKey::new(algorithm, &der).verify(message, &signature).expect("by PEM");
            let point = [vec![4], member("x"), member("y")].concat();
            UnparsedPublicKey::new(algorithm, &point).verify(message, &signature).expect("by JWK");
            // RFC 7518, sections 3.4 and 6.2.1.2: leading zeros are kept.
            assert_eq!((signature.len(), member("x").len(), &key["crv"]), (2 * length, length, &curve.into()));
        };
        match app.algorithm {
            JwtAlgorithm::Rs256 => rsa(&RSA_PKCS1_2048_8192_SHA256),
            JwtAlgorithm::Rs384 => rsa(&RSA_PKCS1_2048_8192_SHA384),
            JwtAlgorithm::Rs512 => rsa(&RSA_PKCS1_2048_8192_SHA512),
            JwtAlgorithm::Es256 => ec(&ECDSA_P256_SHA256_FIXED, 32, "P-256"),
            JwtAlgorithm::Es384 => ec(&ECDSA_P384_SHA384_FIXED, 48, "P-384"),
            JwtAlgorithm::Es512 => ec(&ECDSA_P521_SHA512_FIXED, 66, "P-521"),
            other => panic!("{other} has no key pair"),
        }
    }
    let json = |part: &str| serde_json::from_slice(&decode(part)).unwrap();
    (json(parts[0]), json(parts[1]))
}

#[test]
fn every_algorithm_has_an_app_and_signs_wherever_a_jwt_is_given() {
    let emulator = Emulator::start().unwrap();
    let token = tokens(&emulator).text("access_token");
    let algorithms: Vec<_> = seeded::JWT_APPS.iter().map(|app| app.algorithm.name()).collect();
    assert_eq!(algorithms, ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]);
    assert_eq!((seeded::JWT_APPS[0].name, seeded::JWT_APPS[0].secret), (seeded::JWT_APP, Some(seeded::JWT_SECRET)));
    for app in seeded::JWT_APPS {
        let (name, key) = (app.name, seeded::CLIENT_ID);
        let login = json!({ "email": seeded::ADA.email, "password": seeded::ADA.password });
        let responses = [
            get(&emulator, &format!("/sso/jwt/api/token?apikey={key}&jwtapp={name}&access_token={token}")),
            get(&emulator, &format!("/api/jwt/{name}/token?apikey={key}&access_token={token}")),
            post_json(&emulator, &format!("/sso/jwt/api/login?apikey={key}&jwtapp={name}"), &login),
            post_json(&emulator, &format!("/api/jwt/{name}/login?apikey={key}"), &login),
        ];
        let mut jwts: Vec<_> = responses.iter().map(|response| response.text("signature")).collect();
        for api in APIS {
            jwts.push(authorize(&emulator, &link(api, name, &[])).unwrap().param("token").unwrap());
        }
        for jwt in jwts {
            let (header, claims) = verified(&emulator, app, &jwt);
            assert_eq!(header, json!({ "alg": app.algorithm.name(), "typ": "JWT" }));
            assert_eq!(claims["sub"], seeded::ADA.uid);
        }
    }
}

#[test]
fn a_test_can_have_anything_signed() {
    let emulator = Emulator::start().unwrap();
    for app in seeded::JWT_APPS {
        let jwt = emulator.sign_jwt(app.name, r#"{"sub":"x","sub":"y","exp":-1}"#).unwrap();
        let (header, claims) = verified(&emulator, app, &jwt);
        assert_eq!(header, json!({ "alg": app.algorithm.name(), "typ": "JWT" }));
        assert_eq!(claims["exp"], -1);
        let claims_text = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap();
        assert_eq!(claims_text, br#"{"sub":"x","sub":"y","exp":-1}"#);

        let header = r#"{"alg":"none","kid":"../../etc/passwd","crit":["exp"]}"#;
        let jwt = emulator.sign_jwt_with_header(app.name, header, "{}").unwrap();
        let (header, _) = verified(&emulator, app, &jwt);
        assert_eq!(header, json!({ "alg": "none", "kid": "../../etc/passwd", "crit": ["exp"] }));
    }
    assert_eq!(emulator.sign_jwt("another", "{}"), None);
    assert_eq!(emulator.sign_jwt_with_header("another", "{}", "{}"), None);
    assert!(emulator.sign_jwt(seeded::JWT_APP, "no JSON").is_some());
    // These are not logins.
    assert_eq!(emulator.counters().jwts, 0);
}

#[test]
fn public_keys_are_served_and_secrets_are_not() {
    let emulator = Emulator::start().unwrap();
    for app in seeded::JWT_APPS {
        let path = format!("/keys/{}", app.name);
        let (pem, set) = (get(&emulator, &format!("{path}.pem")), get(&emulator, &format!("{path}/jwks")));
        if app.secret.is_some() {
            assert_eq!((pem.status, set.status), (404, 404), "{}", app.name);
            assert!(!pem.body.contains("secret") && !set.body.contains("secret"));
            assert_eq!((emulator.jwt_public_key_pem(app.name), emulator.jwks(app.name)), (None, None));
            continue;
        }
        assert_eq!((pem.status, pem.header("content-type")), (200, Some("application/x-pem-file")));
        assert!(pem.body.starts_with("-----BEGIN PUBLIC KEY-----\n"));
        assert_eq!(app.public_key_pem, Some(pem.body.as_str()));
        assert_eq!(emulator.jwt_public_key_pem(app.name), Some(pem.body.as_str()));

        assert_eq!((set.status, set.header("content-type")), (200, Some("application/jwk-set+json")));
        assert_eq!(emulator.jwks(app.name).as_ref(), Some(&set.body));
        let set = set.json();
        assert_eq!(set["keys"].as_array().map(Vec::len), Some(1));
        let key = set["keys"][0].as_object().unwrap();
        let mut names: Vec<_> = key.keys().map(String::as_str).collect();
        names.sort_unstable();
        let (kty, expected): (_, &[_]) = match app.algorithm.name().starts_with("RS") {
            true => ("RSA", &["alg", "e", "kid", "kty", "n", "use"]),
            false => ("EC", &["alg", "crv", "kid", "kty", "use", "x", "y"]),
        };
        assert_eq!((&key["kty"], names.as_slice()), (&kty.into(), expected));
        assert_eq!(
            (&key["use"], &key["alg"], &key["kid"]),
            (&"sig".into(), &app.algorithm.name().into(), &app.name.into())
        );
    }
    for nothing in ["/keys/", "/keys/.pem", "/keys//jwks", "/keys/another.pem", "/keys/another/jwks", "/keys/a/b.pem"] {
        assert_eq!(get(&emulator, nothing).status, 404, "{nothing}");
    }
    let refused = post_json(&emulator, "/keys/demo-jwt-app-rs256.pem", &json!({}));
    assert_eq!(refused.status, 405);
}

#[test]
fn keys_are_each_their_own() {
    let mut keys: Vec<_> = seeded::JWT_APPS.iter().filter_map(|app| app.secret.or(app.public_key_pem)).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 9);
    for app in seeded::JWT_APPS {
        assert_eq!(seeded::jwt_app(app.name), Some(app));
        // RFC 7518, section 3.2: as long as the hash.
        let least = match app.algorithm {
            JwtAlgorithm::Hs256 => 32,
            JwtAlgorithm::Hs384 => 48,
            _ => 64,
        };
        assert!(app.secret.is_none_or(|secret| secret.len() >= least), "{}", app.name);
    }
    assert_eq!(seeded::jwt_app("another"), None);
}

#[test]
fn an_audience_is_named_if_one_is_set() {
    for (audience, expected) in [(None, Value::Null), (Some("https://api.example/"), "https://api.example/".into())] {
        let mut builder = Emulator::builder();
        if let Some(audience) = audience {
            builder = builder.jwt_audience(audience);
        }
        let emulator = builder.start().unwrap();
        let response = authorize(&emulator, &link(Api::Site, "demo-jwt-app-es256", &[])).unwrap();
        let app = seeded::jwt_app("demo-jwt-app-es256").unwrap();
        let (_, claims) = verified(&emulator, app, &response.param("token").unwrap());
        assert_eq!(claims["aud"], expected);
        assert_eq!(claims.get("aud").is_some(), audience.is_some());
    }
}

#[test]
fn a_profile_may_have_claims_of_any_json_type() {
    let emulator = Emulator::start().unwrap();
    let url = format!("{}{}", emulator.base_url(), link(Api::Classic, seeded::JWT_APP, &[]));
    let jwt = emulator.authorize_as(&url, &seeded::GRACE).unwrap().param("token").unwrap();
    let (_, claims) = verified(&emulator, &seeded::JWT_APPS[0], &jwt);
    let seen = [claims["company"].is_null(), claims["roles"].is_array(), claims["address"]["postal_code"].is_null()];
    assert_eq!((seen, claims.get("company").is_some()), ([true; 3], true));
    assert_eq!((&claims["score"], &claims["newsletter"]), (&7.5.into(), &false.into()));
    assert_eq!(claims["sub"], seeded::GRACE.uid);
    for user in seeded::USERS {
        assert!(serde_json::from_str::<Value>(user.more_claims).unwrap().is_object(), "{}", user.email);
    }
}
