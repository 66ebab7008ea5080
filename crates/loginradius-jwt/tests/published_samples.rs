//! Published tokens and key sets: the examples of RFC 7515 and the samples in LoginRadius's documentation.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loginradius_jwt::{Algorithm, Audience, ErrorKind, KeySet, Verifier, dangerous};
use loginradius_vectors::named;
use serde_json::{Value, json};

mod common;
use common::encode;

/// The `exp` of the claims in RFC 7515, appendices A.1 to A.3. Their `iss` is joe.
const JOE_EXPIRES: u64 = 1_300_819_380;
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn joe(algorithm: Algorithm, jwk: &str) -> Verifier {
    let set = KeySet::from_json(format!(r#"{{"keys": [{jwk}]}}"#)).expect("a set");
    Verifier::new(algorithm, set, "joe", Audience::NotChecked).expect("a verifier")
}

fn accepts_joe(verifier: &Verifier, jwt: &str) {
    let token = verifier.verify(jwt, at(JOE_EXPIRES - 1)).expect("verified");
    assert_eq!(token.issuer(), "joe");
    assert_eq!(token.expires_at(), at(JOE_EXPIRES));
    assert_eq!(token.claims_map().expect("claims")["http://example.com/is_root"], true);
    assert_eq!(verifier.verify(jwt, at(JOE_EXPIRES + 5)).unwrap_err().kind(), ErrorKind::Expired);
}

#[test]
fn rfc_7515_a_1_hs256() {
    let header = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
    let secret =
        common::decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    let verifier = Verifier::new(
        Algorithm::Hs256,
        loginradius_jwt::Key::from_secret(secret).expect("a secret"),
        "joe",
        Audience::NotChecked,
    )
    .expect("a verifier");
    accepts_joe(&verifier, &format!("{header}.{PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
}

#[test]
fn rfc_7515_a_2_rs256() {
    let jwk = r#"{"kty":"RSA", "e":"AQAB", "n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#;
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    accepts_joe(&joe(Algorithm::Rs256, jwk), &format!("eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}.{signature}"));
}

#[test]
fn rfc_7515_a_3_es256() {
    let jwk = r#"{"kty":"EC", "crv":"P-256", "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    accepts_joe(&joe(Algorithm::Es256, jwk), &format!("eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.{signature}"));
}

#[test]
fn rfc_7515_a_4_es512_with_a_payload_that_is_not_claims() {
    let jwk = r#"{"kty":"EC", "crv":"P-521", "x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk", "y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#;
    let signature = "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
    let jwt = format!("eyJhbGciOiJFUzUxMiJ9.{}.{signature}", encode("Payload"));
    // The signature is valid, so the claims are refused.
    let error = joe(Algorithm::Es512, jwk).verify(&jwt, at(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidClaims);
    let error = joe(Algorithm::Es512, jwk).verify(&jwt.replace("_Jn", "_Jk"), at(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSignature);
}

fn sample(name: &str) -> String {
    match named(name).response.expect("a response").body {
        Value::String(jwt) => jwt,
        body => body["signature"].as_str().expect("a token").to_owned(),
    }
}

#[test]
fn loginradius_samples_are_read_without_verification() {
    for name in ["site_jwt_by_access_token_full", "site_jwt_login_full"] {
        let token = dangerous::read_without_verification(&sample(name)).expect("readable");
        assert_eq!((token.algorithm(), token.key_id()), ("HS256", None), "{name}");
        let claims = token.claims_map().expect("claims");
        assert_eq!(claims["iss"], "https://internal-mayank.hub.loginradius.com/");
        assert_eq!(claims["aud"], "112563f6-1480-40b8-8e28-e072ca212c82");
        assert_eq!(claims["exp"], 1_745_483_081);
        assert_eq!(claims["firstname"], "Mayank");
    }
    let token = dangerous::read_without_verification(&sample("oidc_userinfo_signed")).expect("readable");
    assert_eq!((token.algorithm(), token.key_id()), ("RS256", Some("201")));
    let claims = token.claims_map().expect("claims");
    assert_eq!(claims["sub"], claims["Uid"]);
    assert_eq!(claims["birthdate"], Value::Null);
    assert_eq!(claims["asdas"], json!([{"Type": "Primary", "Value": "asdas@mail7.io"}]));
}

#[test]
fn a_loginradius_sample_whose_secret_is_unpublished_does_not_verify() {
    let jwt = sample("site_jwt_login_full");
    let key = loginradius_jwt::Key::from_secret("an invented secret").expect("a secret");
    let issuer = "https://internal-mayank.hub.loginradius.com/";
    let verifier = Verifier::new(Algorithm::Hs256, key, issuer, Audience::NotChecked).expect("a verifier");
    assert_eq!(verifier.verify(&jwt, at(1_745_482_000)).unwrap_err().kind(), ErrorKind::InvalidSignature);
}

fn jwks(name: &str) -> String {
    named(name).response.expect("a response").body.to_string()
}

#[test]
fn the_published_key_of_m2m_tokens_is_used_and_is_not_that_of_the_published_id_token() {
    let set = KeySet::from_json(jwks("m2m_jwks")).expect("a set");
    assert_eq!(set.len(), 1);
    let issuer = "https://cloud-api.loginradius.com/sso/oidc/v2/internal-apeksha/test";
    let verifier = Verifier::new(Algorithm::Rs256, set, issuer, Audience::NotChecked).expect("a verifier");
    // Both have the kid 201, so the signature is refused.
    let error = verifier.verify(&sample("oidc_userinfo_signed"), at(1_601_467_000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSignature);
}

#[test]
fn a_published_set_whose_only_key_is_cut_short_has_no_usable_key() {
    let error = KeySet::from_json(jwks("oidc_jwks_truncated")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidKey);
    assert!(error.to_string().contains("no key of the JWK set (1 in all)"), "{error}");
}

#[test]
fn a_published_set_with_a_key_that_is_cut_short_keeps_the_others() {
    let mut keys =
        named("oidc_jwks_truncated").response.expect("a response").body["keys"].as_array().expect("keys").clone();
    keys.extend(named("m2m_jwks").response.expect("a response").body["keys"].as_array().expect("keys").clone());
    assert_eq!(KeySet::from_json(json!({"keys": keys}).to_string()).expect("a set").len(), 1);
}

#[test]
fn the_error_says_that_a_response_is_not_a_set() {
    for name in ["oidc_jwks_error_config_not_found", "oidc_jwks_error_no_permission"] {
        let error = KeySet::from_json(jwks(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidKey);
        assert!(error.to_string().contains("no member `keys`"), "{error}");
    }
}
