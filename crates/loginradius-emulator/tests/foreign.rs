//! The emulator's JWTs, verified by other libraries: `foreign/README.md` says by which, and how.

use std::fs;
use std::path::Path;

use loginradius_emulator::{Emulator, seeded};
use serde_json::{Value, json};

const CLAIMS: &str = r#"{"iss":"https://acme.hub.loginradius.com/","sub":"0da0","aud":["a","b"],"exp":4102444800,"name":"Ada Löwe","middle_name":null}"#;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign")
}

fn tokens() -> Vec<Value> {
    serde_json::from_str(&fs::read_to_string(folder().join("tokens.json")).unwrap()).unwrap()
}

/// Writes newly signed JWTs, which must be verified as the README says.
#[test]
#[ignore = "writes tests/foreign/tokens.json"]
fn sign_anew() {
    let emulator = Emulator::start().unwrap();
    let tokens: Vec<Value> = seeded::JWT_APPS
        .iter()
        .map(|app| {
            json!({
                "app": app.name,
                "algorithm": app.algorithm.name(),
                "secret": app.secret,
                "pem": app.public_key_pem,
                "jwks": emulator.jwks(app.name).map(|jwks| serde_json::from_str::<Value>(&jwks).unwrap()),
                "jwt": emulator.sign_jwt(app.name, CLAIMS).unwrap(),
            })
        })
        .collect();
    let json = serde_json::to_string_pretty(&tokens).unwrap();
    fs::write(folder().join("tokens.json"), json + "\n").unwrap();
}

#[test]
fn the_verified_data_is_what_the_emulator_signs_today() {
    let emulator = Emulator::start().unwrap();
    let tokens = tokens();
    assert_eq!(tokens.len(), 9);
    for (token, app) in tokens.iter().zip(seeded::JWT_APPS) {
        assert_eq!(token["app"], app.name);
        assert_eq!(token["secret"].as_str(), app.secret);
        assert_eq!(token["pem"].as_str(), app.public_key_pem);
        let jwks = emulator.jwks(app.name).map(|jwks| serde_json::from_str::<Value>(&jwks).unwrap());
        assert_eq!(token["jwks"], jwks.unwrap_or_default());

        let (verified, today) = (token["jwt"].as_str().unwrap(), emulator.sign_jwt(app.name, CLAIMS).unwrap());
        match app.algorithm.name().starts_with("ES") {
            // A signature by ECDSA has a random part: all but that is the same.
            true => {
                let signed = |jwt: &str| jwt.rsplit_once('.').map(|(signed, tag)| (signed.to_owned(), tag.len()));
                assert_eq!(signed(verified), signed(&today));
            }
            false => assert_eq!(verified, today),
        }
    }
}

#[test]
fn each_was_verified_by_each_library() {
    let table = fs::read_to_string(folder().join("verified.txt")).unwrap();
    for token in tokens() {
        let algorithm = token["algorithm"].as_str().unwrap();
        for library in ["PyJWT", "jose", "openssl"] {
            let line = table.lines().find(|line| line.starts_with(library) && line.contains(algorithm));
            let line = line.unwrap_or_else(|| panic!("{library} {algorithm}"));
            assert!(line.ends_with("verified; refused when changed"), "{line}");
        }
    }
}
