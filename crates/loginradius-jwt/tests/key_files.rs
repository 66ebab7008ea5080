//! What users pass as a secret or a key file by mistake, and the error that they get.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use loginradius_jwt::{Algorithm, Audience, ErrorKind, Key, Verifier};
use serde_json::json;

mod common;
use common::{ISSUER, SECRET, Signer, now, pem};

fn read(file: &str) -> String {
    let path = format!("{}/tests/foreign/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Checks that the public key is read, and that a token of its owner is accepted.
fn reads(signer: &Signer, text: &str) {
    let key = Key::from_pem(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    let verifier = Verifier::new(signer.algorithm, key, ISSUER, Audience::NotChecked).expect("a verifier");
    verifier.verify(&signer.good(), now()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
}

#[test]
fn a_public_key_is_read_in_every_layout_of_its_text() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::Es512] {
        let signer = Signer::of(algorithm);
        let text = signer.pem();
        reads(&signer, &text);
        reads(&signer, text.trim_end());
        reads(&signer, &text.replace('\n', "\r\n"));
        reads(&signer, &text.replace('\n', "\r"));
        reads(&signer, &format!("\n\n  \t{text}\n \r\n\n"));
        reads(&signer, &text.replace('\n', "\n\n"));
        reads(&signer, &text.replace('\n', "\n    "));
        reads(&signer, &text.replace('\n', "  \n"));
        reads(&signer, &text.replace('\n', "\\n"));
        reads(&signer, &text.replace('\n', "\\r\\n"));
        reads(&signer, &format!("\"{}\"", text.trim_end().replace('\n', "\\n")));
        reads(&signer, &text.replace('\n', " "));
        reads(&signer, &format!("\u{feff}{text}"));
        reads(&signer, &format!("The key of our JWT app:\n{text}That was it.\n"));
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        reads(&signer, &format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----"));
        assert!(Key::from_pem(text.as_bytes()).is_ok(), "bytes as a file has them");
    }
}

/// Checks that the PEM is refused, and that the message has these words.
#[track_caller]
fn refuses(text: impl AsRef<[u8]>, words: &[&str]) {
    let text = text.as_ref();
    let shown = String::from_utf8_lossy(text).into_owned();
    let error = Key::from_pem(text).expect_err(&shown);
    assert_eq!(error.kind(), ErrorKind::InvalidKey, "{shown}");
    let message = error.to_string();
    assert!(!message.contains('\n'), "one line: {message}");
    for word in words {
        assert!(message.contains(word), "{shown}\n{message}\nwithout {word:?}");
    }
}

#[test]
fn the_error_names_the_kind_of_file_and_the_command_that_converts_it() {
    let public = ["openssl pkey -in FILE -pubout", "private key"];
    refuses(pem("PRIVATE KEY", &[0x30, 0x82]), &public);
    refuses(pem("RSA PRIVATE KEY", &[0x30, 0x82]), &public);
    refuses(pem("EC PRIVATE KEY", &[0x30, 0x82]), &public);
    let parameters = pem("EC PARAMETERS", &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    refuses(parameters.clone() + &pem("EC PRIVATE KEY", &[0x30]), &public);
    refuses(Signer::of(Algorithm::Es256).pem() + &pem("PRIVATE KEY", &[0x30]), &public);
    refuses(pem("ENCRYPTED PRIVATE KEY", &[0x30, 0x82]), &["encrypted private key", "passphrase", "-pubout"]);
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    refuses(old, &["encrypted private key", "passphrase", "-pubout"]);
    refuses(pem("OPENSSH PRIVATE KEY", b"openssh-key-v1\0"), &["OpenSSH", "ssh-keygen -e -m PKCS8"]);
    refuses(read("certificate.pem"), &["certificate", "openssl x509 -in FILE -noout -pubkey"]);
    refuses(read("certificate.pem").replace("CERTIFICATE", "X509 CERTIFICATE"), &["certificate"]);
    refuses(read("certificate.pem").replace("CERTIFICATE", "TRUSTED CERTIFICATE"), &["certificate"]);
    refuses(pem("CERTIFICATE REQUEST", &[0x30]), &["neither a PUBLIC KEY nor an RSA PUBLIC KEY"]);
    refuses(parameters, &["neither a PUBLIC KEY nor an RSA PUBLIC KEY"]);
    refuses(pem("SSH2 PUBLIC KEY", &[0x30]), &["OpenSSH", "ssh-keygen"]);
    refuses("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ someone@example.com", &["OpenSSH", "ssh-keygen"]);
    refuses("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAA", &["OpenSSH", "ssh-keygen"]);
    let two = read("rsa.pem") + &read("p256.pem");
    refuses(two, &["more than one"]);
    refuses(read("rsa.pem").repeat(2), &["more than one"]);
    refuses("", &["empty"]);
    refuses(" \n\n", &["empty"]);
    refuses(r#"{"keys":[]}"#, &["KeySet::from_json"]);
    refuses(" {\"kty\":\"RSA\"}", &["KeySet::from_json"]);
    refuses("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", &["-----BEGIN PUBLIC KEY-----"]);
    refuses("my secret", &["no PEM found"]);
    refuses("./public.pem", &["no PEM found"]);
    refuses(Signer::of(Algorithm::Rs256).der(), &["openssl pkey -pubin -inform DER"]);
}

#[test]
fn a_damaged_file_is_distinguished_from_another_kind() {
    let text = read("rsa.pem");
    refuses(text.replace("-----END PUBLIC KEY-----\n", ""), &["END line"]);
    refuses(text.replace("END PUBLIC KEY", "END RSA PUBLIC KEY"), &["END line"]);
    refuses("-----BEGIN PUBLIC KEY", &["cut short"]);
    refuses("-----BEGIN PUBLIC KEY\nAAAA\n-----END PUBLIC KEY-----", &["cut short"]);
    refuses("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----", &["not a public key"]);
    refuses(text.replacen("MII", "M!I", 1), &["not base64"]);
    refuses(text.replacen("MII", "...", 1), &["not base64"]);
    refuses(text.replacen('\n', "\nComment: mine\n", 1), &["not base64"]);
    let lines: Vec<&str> = text.lines().collect();
    for missing in 1..lines.len() - 1 {
        let mut lines = lines.clone();
        lines.remove(missing);
        assert_eq!(Key::from_pem(lines.join("\n")).expect_err("a line is missing").kind(), ErrorKind::InvalidKey);
    }
    refuses(text.replace("PUBLIC KEY", "RSA PUBLIC KEY"), &["wrong name"]);
    refuses(read("rsa_pkcs1.pem").replace("RSA PUBLIC KEY", "PUBLIC KEY"), &["wrong name"]);
}

#[test]
fn a_public_key_that_must_not_verify_is_refused() {
    refuses(read("rsa1024.pem"), &["1024 bits", "2048"]);
    refuses(read("rsa_pss.pem"), &["RSA-PSS"]);
    refuses(read("ed25519.pem"), &["neither RSA nor ECDSA"]);
    refuses(read("secp256k1.pem"), &["P-256, P-384 or P-521"]);
    assert!(Key::from_pem(read("rsa4096.pem")).is_ok());
    assert!(Key::from_pem(read("rsa8192.pem")).is_ok());

    // RSAPublicKey of RFC 8017 with these numbers.
    let rsa = |n: &[u8], e: &[u8]| {
        let element = |tag: u8, contents: &[u8]| {
            let len = u16::try_from(contents.len()).expect("short").to_be_bytes();
            let head = match contents.len() {
                0..=127 => vec![tag, len[1]],
                128..=255 => vec![tag, 0x81, len[1]],
                _ => vec![tag, 0x82, len[0], len[1]],
            };
            [&head, contents].concat()
        };
        pem("RSA PUBLIC KEY", &element(0x30, &[element(2, n), element(2, e)].concat()))
    };
    let n = |bytes: usize| {
        let mut n = vec![0xc5; bytes + 1];
        n[0] = 0;
        n
    };
    assert!(Key::from_pem(rsa(&n(256), &[1, 0, 1])).is_ok(), "the numbers before they are changed");
    assert!(Key::from_pem(rsa(&n(1024), &[3])).is_ok());
    assert!(Key::from_pem(rsa(&n(256), &[1, 0, 0, 0, 1])).is_ok(), "the longest exponent, of 33 bits");
    refuses(rsa(&n(255), &[1, 0, 1]), &["2040 bits"]);
    refuses(rsa(&[&[0x7f], &n(256)[2..]].concat(), &[1, 0, 1]), &["2047 bits"]);
    refuses(rsa(&[&[1], &n(1024)[1..]].concat(), &[1, 0, 1]), &["8193 bits"]);
    refuses(rsa(&n(2048), &[1, 0, 1]), &["16384 bits"]);
    let mut even = n(256);
    even[256] = 0xc4;
    refuses(rsa(&even, &[1, 0, 1]), &["cannot be right"]);
    refuses(rsa(&n(256), &[1]), &["cannot be right"]);
    refuses(rsa(&n(256), &[2]), &["cannot be right"]);
    refuses(rsa(&n(256), &[1, 0, 0]), &["cannot be right"]);
    refuses(rsa(&n(256), &[0]), &["not a public key"]);
    refuses(rsa(&n(256), &[]), &["not a public key"]);
    refuses(rsa(&n(256), &[0x81]), &["not a public key"]);
    refuses(rsa(&n(256)[1..], &[1, 0, 1]), &["not a public key"]);
    refuses(rsa(&[&[0], &n(256)[..]].concat(), &[1, 0, 1]), &["not a public key"]);
    refuses(rsa(&n(256), &[2, 0, 0, 0, 1]), &["cannot be right"]);
    refuses(rsa(&n(256), &[0x7f; 200]), &["cannot be right"]);

    // Points: the last 65 bytes of the DER.
    let der = Signer::of(Algorithm::Es256).der();
    let (head, point) = der.split_at(der.len() - 65);
    let with = |point: &[u8]| pem("PUBLIC KEY", &[head, point].concat());
    assert!(Key::from_pem(with(point)).is_ok());
    let mut off = point.to_vec();
    off[64] ^= 1;
    refuses(with(&off), &["not on its curve"]);
    refuses(with(&[&[4], &[0; 64][..]].concat()), &["not on its curve"]);
    refuses(with(&[&[4], &[0xff; 64][..]].concat()), &["not on its curve"]);
    refuses(with(&[&[6 + (point[64] & 1)], &point[1..]].concat()), &["not on its curve"]);
    refuses(with(&[0; 65]), &["not on its curve"]);
    refuses(pem("PUBLIC KEY", &[&der[..], &[0]].concat()), &["not a public key"]);
    refuses(pem("PUBLIC KEY", &der[..der.len() - 1]), &["not a public key"]);
    // The curve is named P-384, and the point is on P-256.
    let p384 =
        [0x30, 0x56, 0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22, 3, 0x42, 0];
    refuses(pem("PUBLIC KEY", &[&p384[..], point].concat()), &["not on its curve"]);
}

#[test]
fn a_secret_with_a_line_break_has_to_be_trimmed() {
    for secret in ["secret\n", "secret\r\n", "secret\r", "\nsecret", "\r\nsecret", "\n"] {
        let error = Key::from_secret(secret).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidKey);
        assert!(error.to_string().contains("trim"), "{error}");
    }
    for secret in ["s", "short", " spaces around ", "line\nbreak inside", "Zoë", SECRET, "{json}", "0,0"] {
        assert!(Key::from_secret(secret).is_ok(), "{secret:?}");
    }
    for nothing in ["\u{0}", "\u{0}\u{0}\u{0}", " ", " \t "] {
        assert!(Key::from_secret(nothing).unwrap_err().to_string().contains("empty"), "{nothing:?}");
    }
    for public in [
        "\u{feff}ssh-rsa AAAAB3NzaC1yc2E ada@example.com",
        "# a comment\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5 x",
        "host.example ecdsa-sha2-nistp256 AAAAE2VjZHNh",
        "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----",
        "{'kty':'RSA','n':'x','e':'AQAB'}",
        r#"{\"kty\":\"RSA\"}"#,
    ] {
        assert!(Key::from_secret(public).unwrap_err().to_string().contains("key file"), "{public:?}");
    }
    assert!(Key::from_secret([0xff_u8, 0xfe]).is_ok(), "any bytes");
    assert!(Key::from_secret("").unwrap_err().to_string().contains("empty"));
}

#[test]
fn a_secret_that_may_be_public_is_refused() {
    let mut secrets: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, secret: &[u8]| secrets.push((name.to_owned(), secret.to_vec()));
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::Es512] {
        let signer = Signer::of(algorithm);
        let (text, der) = (signer.pem(), signer.der());
        add("PEM", text.as_bytes());
        add("PEM, trimmed", text.trim().as_bytes());
        add("PEM in one line", text.replace('\n', "").as_bytes());
        add("PEM with escapes", text.replace('\n', "\\n").as_bytes());
        // fast-jwt did not find these: CVE-2026-34950 and GHSA-ww5h-9m49-7xx4.
        for before in [" ", "\n\n", "\u{feff}", "\u{200b}", "# the key\n", "// ", ".", "\0", "x"] {
            add(&format!("PEM after {before:?}"), format!("{before}{text}").as_bytes());
        }
        add("PEM in base64", STANDARD.encode(&text).as_bytes());
        add("DER", &der);
        add("PEM's body", text.lines().filter(|line| !line.starts_with('-')).collect::<Vec<_>>().join("\n").as_bytes());
        add("DER in base64", STANDARD.encode(&der).as_bytes());
        add("DER in base64 without padding", STANDARD_NO_PAD.encode(&der).as_bytes());
        add("DER in base64url", URL_SAFE_NO_PAD.encode(&der).as_bytes());
        let jwk = signer.jwk();
        add("JWK", jwk.to_string().as_bytes());
        add("JWK set", json!({"keys": [jwk]}).to_string().as_bytes());
        add("JWK after white space", format!("\n {jwk}").as_bytes());
        add("JWK in base64url", URL_SAFE_NO_PAD.encode(jwk.to_string()).as_bytes());
        // Some decoders ignore the unused bits of the last character, and read the same file.
        for (name, file) in [("PEM", text.as_bytes()), ("DER", &der), ("JWK", jwk.to_string().as_bytes())] {
            for (alphabet, engine) in [("base64", STANDARD_NO_PAD), ("base64url", URL_SAFE_NO_PAD)] {
                let mut encoded = engine.encode(file).into_bytes();
                if !file.len().is_multiple_of(3) {
                    *encoded.last_mut().expect("a character") += 1;
                    add(&format!("{name} in {alphabet} with an unused bit set"), &encoded);
                }
            }
        }
    }
    add("PKCS#1", read("rsa_pkcs1.pem").as_bytes());
    add("certificate", read("certificate.pem").as_bytes());
    add(
        "certificate's body",
        read("certificate.pem").lines().filter(|line| !line.starts_with('-')).collect::<String>().as_bytes(),
    );
    for file in ["p256_compressed.pem", "ed25519.pem", "rsa_pkcs1.pem"] {
        add(file, read(file).lines().filter(|line| !line.starts_with('-')).collect::<String>().as_bytes());
    }
    add("private key", pem("PRIVATE KEY", &[0x30]).as_bytes());
    add("OpenSSH", b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ");
    add("OpenSSH, EC", b"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAA");
    add("secret as a JWK", Signer::of(Algorithm::Hs256).jwk().to_string().as_bytes());
    for (name, secret) in secrets {
        let error = Key::from_secret(&secret).expect_err(&name);
        assert_eq!(error.kind(), ErrorKind::InvalidKey, "{name}");
        assert!(error.to_string().contains("must not verify as a secret"), "{name}: {error}");
    }
}
