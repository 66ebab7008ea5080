//! Tables of attacks: each row is a token that is made with real keys, and the kind of error that refuses it.
//!
//! Each token has exactly one fault, so that its row fails if that check is removed.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use loginradius_jwt::{Algorithm, Audience, ErrorKind, Key, KeySet, MAX_TOKEN_LEN, Verifier};
use serde_json::{Value, json};

mod common;
use common::{ABSENT, ALGORITHMS, AUDIENCE, BEGIN, ISSUER, SECRET, Signer, claims, claims_with, decode, encode, now};

/// Rows of tokens, and what they are signed and verified with.
struct Table {
    signer: Signer,
    verifier: Verifier,
    /// The nonce that the login sent, if any.
    nonce: Option<&'static str>,
    rows: Vec<(String, ErrorKind, String)>,
}

impl Table {
    fn new(algorithm: Algorithm) -> Self {
        let signer = Signer::of(algorithm);
        Self { verifier: signer.verifier(), signer, nonce: None, rows: Vec::new() }
    }

    fn row(&mut self, name: impl Into<String>, kind: ErrorKind, jwt: impl Into<String>) {
        self.rows.push((name.into(), kind, jwt.into()));
    }

    /// Adds a row with this header and the usual claims.
    fn header(&mut self, name: &str, kind: ErrorKind, header: &str) {
        let jwt = self.signer.token(header, Value::from(claims()).to_string());
        self.row(format!("header: {name}"), kind, jwt);
    }

    /// Adds a row with the usual header and these claims.
    fn payload(&mut self, name: &str, kind: ErrorKind, payload: impl AsRef<[u8]>) {
        let jwt = self.signer.claims(payload);
        self.row(format!("claims: {name}"), kind, jwt);
    }

    /// Adds a row in which one claim is this JSON text.
    fn claim(&mut self, claim: &str, kind: ErrorKind, json: &str) {
        let others = claims_with(json!({claim: ABSENT}));
        let payload = format!(r#"{{"{claim}":{json},{}"#, &others[1..]);
        let shown = json.get(..json.len().min(40)).unwrap_or(json);
        self.payload(&format!("{claim} {shown}"), kind, payload);
    }

    fn accepts(&self, jwt: &str) -> Result<(), ErrorKind> {
        let verified = match self.nonce {
            None => self.verifier.verify(jwt, now()),
            Some(nonce) => self.verifier.verify_with_nonce(jwt, nonce, now()),
        };
        verified.map(drop).map_err(|error| error.kind())
    }

    /// Checks that each row is refused with its kind of error, and that a token without a fault is accepted.
    fn run(self, at_least: usize) {
        let good = self.signer.claims(claims_with(json!({"nonce": "n-0S6_WzA2Mj"})));
        assert_eq!(self.accepts(&good), Ok(()), "the token without a fault");
        let wrong: Vec<String> = (self.rows.iter())
            .filter_map(|(name, kind, jwt)| match self.accepts(jwt) {
                Err(found) if found == *kind => None,
                found => Some(format!("{name}: {found:?} instead of {kind:?}")),
            })
            .collect();
        assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), self.rows.len(), wrong.join("\n"));
        assert!(self.rows.len() >= at_least, "only {} rows", self.rows.len());
    }
}

#[test]
fn text_that_is_not_a_signed_token_is_refused() {
    let mut table = Table::new(Algorithm::Rs256);
    let good = table.signer.good();
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };

    table.row("nothing", ErrorKind::MalformedToken, "");
    table.row("one part", ErrorKind::MalformedToken, header);
    table.row("two parts", ErrorKind::MalformedToken, format!("{header}.{payload}"));
    table.row("four parts", ErrorKind::MalformedToken, format!("{good}.{signature}"));
    table.row("six parts", ErrorKind::MalformedToken, format!("{good}.{good}"));
    table.row("five parts, encrypted", ErrorKind::EncryptedToken, format!("{header}..{payload}.{payload}.{signature}"));
    table.row("dots alone", ErrorKind::InvalidHeader, "..");
    table.row(
        "the JSON form of RFC 7515",
        ErrorKind::MalformedToken,
        json!({"payload": payload, "signature": signature}).to_string(),
    );
    table.row("a word in front", ErrorKind::MalformedToken, format!("Bearer {good}"));
    for space in [" ", "\n", "\r\n", "\t", "\0", "\u{feff}"] {
        table.row(format!("{space:?} before"), ErrorKind::MalformedToken, format!("{space}{good}"));
        table.row(format!("{space:?} behind"), ErrorKind::MalformedToken, format!("{good}{space}"));
    }

    // The signature covers the encoded text, so these signatures are valid.
    let padded = |bytes: &str| STANDARD.encode(bytes).replace('+', "-").replace('/', "_");
    let text = |len: usize| format!("{}{}", claims_with(json!({})), " ".repeat(len));
    let with_padding = (0..3).map(text).find(|text| padded(text).ends_with('=')).expect("a length that is padded");
    let token = table.signer.token_of_parts(header, &padded(&with_padding));
    table.row("a padded payload", ErrorKind::MalformedToken, token);
    let bits = (0..3).map(text).find(|text| text.len() % 3 == 1).expect("a length with spare bits");
    let mut spare = encode(&bits);
    assert!(spare.ends_with('A') || spare.ends_with('Q') || spare.ends_with('g') || spare.ends_with('w'));
    let last = spare.pop().expect("a character");
    spare.push(char::from(last as u8 + 1));
    let token = table.signer.token_of_parts(header, &spare);
    table.row("a payload with spare bits set", ErrorKind::MalformedToken, token);
    let dashes = claims_with(json!({"name": "???>>>~~~ÿÿ"}));
    assert!(encode(&dashes).contains(['-', '_']));
    let token = table.signer.token_of_parts(header, &STANDARD_NO_PAD.encode(&dashes));
    table.row("a payload in plain base64", ErrorKind::MalformedToken, token);
    let (front, back) = payload.split_at(8);
    let token = table.signer.token_of_parts(header, &format!("{front}\n{back}"));
    table.row("a payload with a line break", ErrorKind::MalformedToken, token);
    let token = table.signer.token_of_parts(&STANDARD.encode(r#"{"alg":"RS256"}   "#), payload);
    assert!(!token.contains('='), "this header needs no padding");
    let token = table.signer.token_of_parts(&STANDARD.encode(r#"{"alg":"RS256"}  "#), payload);
    table.row("a padded header", ErrorKind::MalformedToken, token);

    let long = |len: usize| {
        let token = |spaces: usize| table.signer.claims(format!("{}{}", claims_with(json!({})), " ".repeat(spaces)));
        let token = token((len - token(0).len()) * 3 / 4 - 3);
        assert!(token.len() <= len && token.len() + 9 > len, "{} of {len}", token.len());
        token
    };
    assert_eq!(table.accepts(&long(MAX_TOKEN_LEN)), Ok(()), "the longest that is allowed");
    let too_long = long(MAX_TOKEN_LEN + 10);
    assert!(too_long.len() > MAX_TOKEN_LEN);
    table.row("too long", ErrorKind::TokenTooLong, too_long);
    table.row("very long", ErrorKind::TokenTooLong, format!("{good}{}", "A".repeat(MAX_TOKEN_LEN)));
    table.row("very long and no token", ErrorKind::TokenTooLong, "A".repeat(10 * MAX_TOKEN_LEN));
    table.run(28);
}

#[test]
fn a_header_that_asks_for_something_else_is_refused() {
    let mut table = Table::new(Algorithm::Rs256);
    for alg in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "rs256",
        "RS256 ",
        "RS384",
        "RS512",
        "PS256",
        "ES256",
        "HS256",
        "HS512",
        "EdDSA",
        "RSA-OAEP",
        "RS256\u{0}",
        "A256GCM",
    ] {
        table.header(
            &format!("alg {alg:?}"),
            ErrorKind::AlgorithmMismatch,
            &json!({"alg": alg, "typ": "JWT"}).to_string(),
        );
        let (name, _, jwt) = table.rows.last().expect("a row");
        let error = table.verifier.verify(jwt, now()).expect_err(name).to_string();
        assert_eq!(error.contains("is not signed"), alg.eq_ignore_ascii_case("none"), "{name}: {error}");
    }
    table.header("no alg", ErrorKind::AlgorithmMismatch, r#"{"typ":"JWT"}"#);
    table.header("alg null", ErrorKind::InvalidHeader, r#"{"alg":null}"#);
    table.header("alg a number", ErrorKind::InvalidHeader, r#"{"alg":256}"#);
    table.header("alg a list", ErrorKind::InvalidHeader, r#"{"alg":["RS256"]}"#);
    table.header("alg in capitals", ErrorKind::AlgorithmMismatch, r#"{"ALG":"RS256"}"#);
    table.header("alg twice", ErrorKind::InvalidHeader, r#"{"alg":"RS256","alg":"RS256"}"#);
    table.header("alg twice, none first", ErrorKind::InvalidHeader, r#"{"alg":"none","alg":"RS256"}"#);
    table.header("alg twice, once escaped", ErrorKind::InvalidHeader, r#"{"alg":"RS256","\u0061lg":"RS256"}"#);
    table.header("another member twice", ErrorKind::InvalidHeader, r#"{"alg":"RS256","x":1,"x":2}"#);
    table.header("crit", ErrorKind::InvalidHeader, r#"{"alg":"RS256","crit":["exp"],"exp":1}"#);
    table.header("crit b64", ErrorKind::InvalidHeader, r#"{"alg":"RS256","crit":["b64"],"b64":true}"#);
    table.header("crit empty", ErrorKind::InvalidHeader, r#"{"alg":"RS256","crit":[]}"#);
    table.header("crit null", ErrorKind::InvalidHeader, r#"{"alg":"RS256","crit":null}"#);
    table.header("crit escaped", ErrorKind::InvalidHeader, r#"{"alg":"RS256","cr\u0069t":["exp"]}"#);
    for typ in [
        "at+jwt",
        "application/at+jwt",
        "dpop+jwt",
        "logout+jwt",
        "JWE",
        "",
        "JWT ",
        "application/application/JWT",
        // As long as `application/`.
        "applicationsJWT",
        "text/JWT",
    ] {
        table.header(&format!("typ {typ:?}"), ErrorKind::TypMismatch, &json!({"alg": "RS256", "typ": typ}).to_string());
    }
    table.header("typ a number", ErrorKind::InvalidHeader, r#"{"alg":"RS256","typ":1}"#);
    table.header("typ null", ErrorKind::InvalidHeader, r#"{"alg":"RS256","typ":null}"#);
    table.header("kid a number", ErrorKind::InvalidHeader, r#"{"alg":"RS256","kid":201}"#);
    table.header("kid a list", ErrorKind::InvalidHeader, r#"{"alg":"RS256","kid":["201"]}"#);
    table.header("empty", ErrorKind::InvalidHeader, "");
    table.header("a text", ErrorKind::InvalidHeader, r#""RS256""#);
    table.header("a list", ErrorKind::InvalidHeader, r#"[{"alg":"RS256"}]"#);
    table.header("null", ErrorKind::InvalidHeader, "null");
    table.header("more behind", ErrorKind::InvalidHeader, r#"{"alg":"RS256"}{}"#);
    table.header("cut", ErrorKind::InvalidHeader, r#"{"alg":"RS256""#);
    table.header("a comment", ErrorKind::InvalidHeader, r#"{"alg":"RS256"/**/}"#);
    table.header("a byte order mark", ErrorKind::InvalidHeader, "\u{feff}{\"alg\":\"RS256\"}");
    let deep = "[".repeat(60_000);
    table.header("deep, not closed", ErrorKind::InvalidHeader, &format!(r#"{{"alg":"RS256","x":{deep}"#));
    table.header("deep alg", ErrorKind::InvalidHeader, &format!(r#"{{"alg":{deep}"#));
    table.header("deep crit", ErrorKind::InvalidHeader, &format!(r#"{{"alg":"RS256","crit":{deep}"#));
    let token = table.signer.token(b"{\"alg\":\"RS256\",\"x\":\"\xff\"}", claims_with(json!({})));
    table.row("header: not UTF-8", ErrorKind::InvalidHeader, token);
    table.run(45);
}

#[test]
fn the_algorithm_is_not_confused() {
    // The public key as an HMAC secret, in each form in which a verifier may have it.
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let mut table = Table::new(algorithm);
        let (pem, der) = (table.signer.pem(), table.signer.der());
        for secret in [pem.as_bytes(), pem.trim().as_bytes(), der.as_slice(), STANDARD.encode(&der).as_bytes()] {
            for hmac in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
                let forged = Signer::secret(hmac, secret).good();
                table.row(
                    format!("{algorithm} public key as a secret of {hmac}"),
                    ErrorKind::AlgorithmMismatch,
                    forged,
                );
                // The same, with the verifier's algorithm in the header.
                let forged = Signer::secret(hmac, secret).token(table.signer.header(), claims_with(json!({})));
                table.row(format!("{hmac} named {algorithm}"), ErrorKind::InvalidSignature, forged);
            }
        }
        table.run(24);
    }
    // Each pair of two algorithms, signed with the issuer's own keys.
    for pinned in ALGORITHMS {
        let mut table = Table::new(pinned);
        for other in ALGORITHMS.into_iter().filter(|other| *other != pinned) {
            let other_signer = Signer::of(other);
            table.row(format!("{other} for {pinned}"), ErrorKind::AlgorithmMismatch, other_signer.good());
            let named = other_signer.token(table.signer.header(), claims_with(json!({})));
            table.row(format!("{other} named {pinned}"), ErrorKind::InvalidSignature, named);
        }
        table.run(16);
    }
}

#[test]
fn a_signature_that_is_not_the_keys_is_refused() {
    for algorithm in ALGORITHMS {
        let mut table = Table::new(algorithm);
        let good = table.signer.good();
        let (signed, signature) = good.rsplit_once('.').expect("a signature");
        let (header, _) = signed.split_once('.').expect("a payload");
        let bytes = decode(signature);
        let with = |bytes: &[u8]| format!("{signed}.{}", encode(bytes));

        table.row("no signature", ErrorKind::InvalidSignature, format!("{signed}."));
        table.row("by another key", ErrorKind::InvalidSignature, Signer::other(algorithm).good());
        let other = table.signer.claims(claims_with(json!({"sub": "another"})));
        let other_signature = other.rsplit_once('.').expect("a signature").1;
        table.row("of another token", ErrorKind::InvalidSignature, format!("{signed}.{other_signature}"));
        let payload = encode(claims_with(json!({"sub": "admin"})));
        table.row("under changed claims", ErrorKind::InvalidSignature, format!("{header}.{payload}.{signature}"));
        let changed = encode(json!({"alg": algorithm.as_str()}).to_string());
        let payload = signed.split_once('.').expect("a payload").1;
        table.row("under a changed header", ErrorKind::InvalidSignature, format!("{changed}.{payload}.{signature}"));
        table.row("one byte less", ErrorKind::InvalidSignature, with(&bytes[..bytes.len() - 1]));
        table.row("one byte less in front", ErrorKind::InvalidSignature, with(&bytes[1..]));
        table.row("half", ErrorKind::InvalidSignature, with(&bytes[..bytes.len() / 2]));
        table.row("one byte", ErrorKind::InvalidSignature, with(&bytes[..1]));
        table.row("a zero more", ErrorKind::InvalidSignature, with(&[&bytes[..], &[0]].concat()));
        table.row("a zero more in front", ErrorKind::InvalidSignature, with(&[&[0], &bytes[..]].concat()));
        table.row("twice", ErrorKind::InvalidSignature, with(&[&bytes[..], &bytes[..]].concat()));
        table.row("zeros", ErrorKind::InvalidSignature, with(&vec![0; bytes.len()]));
        table.row("ones", ErrorKind::InvalidSignature, with(&vec![0xff; bytes.len()]));
        table.row("longer than any", ErrorKind::MalformedToken, with(&[1; 1100]));
        table.row("padded", ErrorKind::MalformedToken, format!("{good}="));
        table.row("a line break", ErrorKind::MalformedToken, format!("{good}\n"));
        if !bytes.len().is_multiple_of(3) {
            let last = signature.chars().last().expect("a character");
            table.row(
                "spare bits set",
                ErrorKind::MalformedToken,
                format!("{}{}", &good[..good.len() - 1], char::from(last as u8 + 1)),
            );
        }
        if algorithm.as_str().starts_with("ES") {
            table.row("in DER", ErrorKind::InvalidSignature, with(&der_signature(&bytes)));
            let half = bytes.len() / 2;
            table.row("r alone", ErrorKind::InvalidSignature, with(&[&bytes[..half], &vec![0; half]].concat()));
            table.row("s alone", ErrorKind::InvalidSignature, with(&[&vec![0; half], &bytes[half..]].concat()));
            let (r, s) = bytes.split_at(half);
            table.row("both numbers wider", ErrorKind::InvalidSignature, with(&[&[0], r, &[0], s].concat()));
        }
        if algorithm.as_str().starts_with("HS") {
            for (name, secret) in [
                ("empty", String::new()),
                ("with a line break", format!("{SECRET}\n")),
                ("lower", SECRET.to_lowercase()),
            ] {
                let token = Signer::secret(algorithm, secret.as_bytes()).good();
                if secret != SECRET {
                    table.row(format!("a secret that is {name}"), ErrorKind::InvalidSignature, token);
                }
            }
            for len in [4, 16, 20] {
                table.row(format!("{len} bytes of the tag"), ErrorKind::InvalidSignature, with(&bytes[..len]));
            }
        }
        table.run(17);
    }
}

/// The signature as `openssl` and TLS write it.
fn der_signature(fixed: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let number: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = if number.first().is_some_and(|byte| *byte > 0x7f) { vec![0] } else { vec![] };
        [&[2, u8::try_from(sign.len() + number.len()).expect("short")], &sign[..], &number[..]].concat()
    };
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let body = [integer(r), integer(s)].concat();
    let len = u8::try_from(body.len()).expect("short");
    let head = if len < 128 { vec![0x30, len] } else { vec![0x30, 0x81, len] };
    [head, body].concat()
}

#[test]
fn a_key_in_the_header_is_not_used() {
    for algorithm in ALGORITHMS.into_iter().filter(|algorithm| !algorithm.as_str().starts_with("HS")) {
        let mut table = Table::new(algorithm);
        let attacker = Signer::other(algorithm);
        let mut own = attacker.jwk();
        own["kid"] = "own".into();
        let der = STANDARD.encode(attacker.der());
        for (name, member) in [
            ("jwk", json!({"jwk": own})),
            ("jwk with its kid", json!({"jwk": own, "kid": "own"})),
            ("x5c", json!({"x5c": [der]})),
            ("jku", json!({"jku": "https://attacker.example/keys.json"})),
            ("x5u", json!({"x5u": "https://attacker.example/key.pem"})),
            ("a path as kid", json!({"kid": "../../../../dev/null"})),
        ] {
            let mut header = common::object(member);
            header.insert("alg".into(), algorithm.as_str().into());
            let token = attacker.token(Value::from(header).to_string(), claims_with(json!({})));
            table.row(format!("{algorithm} {name}"), ErrorKind::InvalidSignature, token);
        }
        table.run(6);
    }
}

#[test]
fn claims_that_cannot_be_read_are_refused() {
    let mut table = Table::new(Algorithm::Es256);
    let good = claims_with(json!({}));
    table.payload("nothing", ErrorKind::InvalidClaims, "");
    table.payload("a text", ErrorKind::InvalidClaims, format!("{good:?}"));
    table.payload("a list", ErrorKind::InvalidClaims, format!("[{good}]"));
    table.payload("null", ErrorKind::InvalidClaims, "null");
    table.payload("a number", ErrorKind::InvalidClaims, "1800000600");
    table.payload("cut", ErrorKind::InvalidClaims, &good[..good.len() - 1]);
    table.payload("more behind", ErrorKind::InvalidClaims, format!("{good}{{}}"));
    table.payload("another object behind", ErrorKind::InvalidClaims, format!("{good}{good}"));
    table.payload("a comma too many", ErrorKind::InvalidClaims, good.replace('}', ",}"));
    table.payload("a comment", ErrorKind::InvalidClaims, good.replace('}', "/**/}"));
    table.payload("single quotes", ErrorKind::InvalidClaims, good.replace('"', "'"));
    table.payload("a byte order mark", ErrorKind::InvalidClaims, format!("\u{feff}{good}"));
    table.payload("a zero byte behind", ErrorKind::InvalidClaims, format!("{good}\0"));
    table.payload(
        "not UTF-8",
        ErrorKind::InvalidClaims,
        [&good.as_bytes()[..good.len() - 1], b",\"name\":\"\xff\"}"].concat(),
    );
    table.payload(
        "UTF-16",
        ErrorKind::InvalidClaims,
        good.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
    );
    table.payload("a nested token", ErrorKind::InvalidClaims, table.signer.good());
    let deep = "[".repeat(60_000);
    table.payload("deep, not closed", ErrorKind::InvalidClaims, good.replacen('{', &format!(r#"{{"x":{deep},"#), 1));
    table.payload(
        "deep objects, not closed",
        ErrorKind::InvalidClaims,
        good.replacen('{', &r#"{"x":"#.repeat(15_000), 1),
    );

    table.payload("exp twice", ErrorKind::InvalidClaims, good.replacen('{', r#"{"exp":9000000000,"#, 1));
    table.payload(
        "exp twice, once escaped",
        ErrorKind::InvalidClaims,
        good.replacen('{', r#"{"\u0065xp":9000000000,"#, 1),
    );
    table.payload(
        "exp twice, all escaped",
        ErrorKind::InvalidClaims,
        good.replacen('{', r#"{"\u0065\u0078\u0070":1800000600,"#, 1),
    );
    table.payload("exp and null", ErrorKind::InvalidClaims, good.replacen('{', r#"{"exp":null,"#, 1));
    table.payload("sub twice", ErrorKind::InvalidClaims, good.replacen('{', r#"{"sub":"admin","#, 1));
    table.payload("iss twice", ErrorKind::InvalidClaims, good.replacen('{', &format!(r#"{{"iss":"{ISSUER}","#), 1));
    table.payload("aud twice", ErrorKind::InvalidClaims, good.replacen('{', r#"{"aud":"other","#, 1));
    table.payload(
        "a claim of the profile twice",
        ErrorKind::InvalidClaims,
        good.replacen('{', r#"{"email":"a@b.example","#, 1),
    );
    table.payload(
        "its second escaped",
        ErrorKind::InvalidClaims,
        good.replacen('{', r#"{"emai\u006C":"a@b.example","#, 1),
    );
    table.payload("an empty name twice", ErrorKind::InvalidClaims, good.replacen('{', r#"{"":1,"":2,"#, 1));
    table.run(28);
}

#[test]
fn registered_claims_of_another_type_are_refused_and_never_taken_as_absent() {
    let mut table = Table::new(Algorithm::Hs256);
    let deep = "[".repeat(40_000) + &"]".repeat(40_000);
    let number = [
        r#""1800000600""#,
        r#""""#,
        "true",
        "false",
        "[]",
        "[1800000600]",
        "{}",
        "-1",
        "-1800000600",
        "-0.5",
        "1e400",
        "-1e400",
        "1e300",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999",
        "253402300800",
        "1800000600000",
        "NaN",
        "Infinity",
        "-Infinity",
        "01800000600",
        "+1800000600",
        "1800000600.",
        r#""never""#,
        r#""2027-01-15T08:10:00Z""#,
        deep.as_str(),
    ];
    let audience = [
        "1",
        "true",
        "{}",
        r#"["my-client-id",1]"#,
        r#"["my-client-id",null]"#,
        r#"["my-client-id",["x"]]"#,
        r#"[["my-client-id"]]"#,
        r#"{"my-client-id":1}"#,
        deep.as_str(),
    ];
    let text = ["1", "1.5", "true", "false", "[]", r#"["a"]"#, "{}", r#"{"a":"b"}"#, deep.as_str()];
    let mistyped = [
        ("exp", &number[..]),
        ("nbf", &number[..]),
        ("iat", &number[..]),
        ("iss", &text[..]),
        ("sub", &text[..]),
        ("jti", &text[..]),
        ("nonce", &text[..]),
        ("aud", &audience[..]),
    ];
    for (claim, values) in mistyped {
        for json in values {
            table.claim(claim, ErrorKind::InvalidClaims, json);
            let (name, _, jwt) = table.rows.last().expect("a row");
            let error = table.verifier.verify(jwt, now()).expect_err(name).to_string();
            assert!(error.starts_with(&format!("the token's claim {claim} ")), "{name}: {error}");
        }
    }
    for claim in ["exp", "nbf", "iat"] {
        // Begins like a number, and is not JSON.
        table.claim(claim, ErrorKind::InvalidClaims, "0x6b49d458");
        table.claim(claim, ErrorKind::InvalidClaims, "1_800_000_600");
        // A name that serde_json reserves.
        table.claim(claim, ErrorKind::InvalidClaims, r#"{"$serde_json::private::Number":"1800000600"}"#);
    }
    table.run(3 * number.len() + 4 * text.len() + audience.len() + 9);
}

#[test]
fn a_mistyped_aud_is_refused_even_if_the_audience_is_not_checked() {
    let mut table = Table::new(Algorithm::Hs256);
    table.verifier =
        Verifier::new(Algorithm::Hs256, table.signer.key(), ISSUER, Audience::NotChecked).expect("a verifier");
    for json in ["1", "true", r#"["a",1]"#, "{}"] {
        table.claim("aud", ErrorKind::InvalidClaims, json);
    }
    table.run(4);
}

#[test]
fn claims_for_another_time_issuer_or_client_are_refused() {
    let mut table = Table::new(Algorithm::Rs512);
    let mut claims = |name: &str, kind: ErrorKind, changes: Value| table.payload(name, kind, claims_with(changes));

    claims("no exp", ErrorKind::InvalidClaims, json!({"exp": ABSENT}));
    claims("exp null", ErrorKind::InvalidClaims, json!({"exp": null}));
    claims("Exp in another case", ErrorKind::InvalidClaims, json!({"exp": ABSENT, "EXP": BEGIN + 600}));
    claims("exp 0", ErrorKind::Expired, json!({"exp": 0}));
    claims("exp -0.0", ErrorKind::Expired, json!({"exp": -0.0}));
    claims("exp over", ErrorKind::Expired, json!({"exp": BEGIN + 94}));
    claims("exp over at the end of the leeway", ErrorKind::Expired, json!({"exp": BEGIN + 95}));
    claims("exp over by a fraction", ErrorKind::Expired, json!({"exp": 1_800_000_094.999}));
    claims("nbf to come", ErrorKind::NotYetValid, json!({"nbf": BEGIN + 106}));
    claims("nbf to come by a fraction", ErrorKind::NotYetValid, json!({"nbf": 1_800_000_105.01}));
    claims("nbf the end of time", ErrorKind::NotYetValid, json!({"nbf": 253_402_300_799_u64}));

    claims("no iss", ErrorKind::IssuerMismatch, json!({"iss": ABSENT}));
    claims("iss null", ErrorKind::IssuerMismatch, json!({"iss": null}));
    for issuer in [
        "",
        "/",
        "https://acme.hub.loginradius.com",
        "https://acme.hub.loginradius.com//",
        "https://evil.hub.loginradius.com/",
        "https://acme.hub.loginradius.com/.evil.example/",
        "https://acme.hub.loginradius.com/\u{0}",
        "HTTPS://acme.hub.loginradius.com/",
        "http://acme.hub.loginradius.com/",
        " https://acme.hub.loginradius.com/",
        "https://acme.hub.loginradius.com/ ",
        "https://acme.hub.loginradius.c\u{043e}m/",
        "acme.hub.loginradius.com",
    ] {
        claims(&format!("iss {issuer:?}"), ErrorKind::IssuerMismatch, json!({"iss": issuer}));
    }

    claims("no aud", ErrorKind::AudienceMismatch, json!({"aud": ABSENT}));
    claims("aud null", ErrorKind::AudienceMismatch, json!({"aud": null}));
    claims("aud empty", ErrorKind::AudienceMismatch, json!({"aud": []}));
    claims("aud an empty text", ErrorKind::AudienceMismatch, json!({"aud": ""}));
    claims("aud a list of an empty text", ErrorKind::AudienceMismatch, json!({"aud": [""]}));
    for audience in [
        "another",
        "my-client-id ",
        "my-client",
        "my-client-id2",
        "MY-CLIENT-ID",
        "another,my-client-id",
        "another my-client-id",
        "*",
    ] {
        claims(&format!("aud {audience:?}"), ErrorKind::AudienceMismatch, json!({"aud": audience}));
        claims(&format!("aud [{audience:?}]"), ErrorKind::AudienceMismatch, json!({"aud": ["x", audience]}));
    }
    claims(
        "azp instead of aud",
        ErrorKind::AudienceMismatch,
        json!({"aud": ABSENT, "azp": AUDIENCE, "client_id": AUDIENCE}),
    );
    table.run(45);
}

#[test]
fn a_token_of_another_login_is_refused() {
    let mut table = Table::new(Algorithm::Es384);
    table.nonce = Some("n-0S6_WzA2Mj");
    for nonce in ["", "n", "n-0S6_WzA2M", "n-0S6_WzA2Mk", "n-0S6_WzA2Mj ", "N-0S6_WZA2MJ", "n-0S6_WzA2Mjn-0S6_WzA2Mj"] {
        table.payload(&format!("nonce {nonce:?}"), ErrorKind::NonceMismatch, claims_with(json!({"nonce": nonce})));
    }
    table.payload("no nonce", ErrorKind::NonceMismatch, claims_with(json!({})));
    table.payload("nonce null", ErrorKind::NonceMismatch, claims_with(json!({"nonce": null})));
    table.payload("nonce in capitals", ErrorKind::NonceMismatch, claims_with(json!({"Nonce": "n-0S6_WzA2Mj"})));
    table.run(10);
}

#[test]
fn an_access_token_is_not_an_sso_jwt_and_the_other_way_round() {
    let mut table = Table::new(Algorithm::Rs256);
    table.verifier = table.verifier.with_typ("at+jwt");
    for header in [
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"RS256","typ":"JWT"}"#,
        r#"{"alg":"RS256","typ":"at"}"#,
        r#"{"alg":"RS256","typ":"at+jwt2"}"#,
    ] {
        table.header(header, ErrorKind::TypMismatch, header);
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        let token = table.signer.token(json!({"alg": "RS256", "typ": typ}).to_string(), claims_with(json!({})));
        assert_eq!(table.accepts(&token), Ok(()), "{typ}");
    }
    assert_eq!(table.rows.len(), 4);
    for (name, kind, jwt) in &table.rows {
        assert_eq!(table.accepts(jwt), Err(*kind), "{name}");
    }
}

#[test]
fn a_set_takes_no_token_that_its_selected_key_did_not_sign() {
    let [first, second, without_id] = [(); 3].map(|()| Signer::other(Algorithm::Es256));
    let jwk = |signer: &Signer, kid: Option<&str>| {
        let mut jwk = signer.jwk();
        if let Some(kid) = kid {
            jwk["kid"] = kid.into();
        }
        jwk
    };
    let set = json!({"keys": [jwk(&first, Some("1")), jwk(&second, Some("2")), jwk(&without_id, None)]}).to_string();
    let set = KeySet::from_json(set).expect("a set");
    let verifier = Verifier::new(Algorithm::Es256, set, ISSUER, Audience::NotChecked).expect("a verifier");
    let check = |signer: &Signer, header: &str| {
        let verified = verifier.verify(&signer.token(header, claims_with(json!({}))), now());
        verified.map(drop).map_err(|error| error.kind())
    };
    assert_eq!(check(&first, r#"{"alg":"ES256","kid":"1"}"#), Ok(()));
    assert_eq!(check(&second, r#"{"alg":"ES256","kid":"2"}"#), Ok(()));
    assert_eq!(check(&first, r#"{"alg":"ES256"}"#), Ok(()), "without an id all keys are tried");
    assert_eq!(check(&without_id, r#"{"alg":"ES256"}"#), Ok(()), "without an id all keys are tried");
    assert_eq!(check(&first, r#"{"alg":"ES256","kid":"2"}"#), Err(ErrorKind::InvalidSignature));
    assert_eq!(check(&without_id, r#"{"alg":"ES256","kid":"1"}"#), Err(ErrorKind::InvalidSignature));
    assert_eq!(check(&first, r#"{"alg":"ES256","kid":"3"}"#), Err(ErrorKind::UnknownKeyId));
    assert_eq!(check(&first, r#"{"alg":"ES256","kid":""}"#), Err(ErrorKind::UnknownKeyId));
    assert_eq!(check(&first, r#"{"alg":"ES256","kid":"1 "}"#), Err(ErrorKind::UnknownKeyId));
    assert_eq!(check(&Signer::other(Algorithm::Es256), r#"{"alg":"ES256"}"#), Err(ErrorKind::InvalidSignature));
}

/// Returns what the error says that the algorithm needs, and what it calls that key.
fn key_of(algorithm: Algorithm) -> (&'static str, &'static str) {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => ("the app's secret, `Key::from_secret`", "a secret"),
        Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => {
            ("an RSA public key, `Key::from_pem`", "an RSA public key")
        }
        Algorithm::Es256 => ("a public key on the curve P-256, `Key::from_pem`", "a public key on the curve P-256"),
        Algorithm::Es384 => ("a public key on the curve P-384, `Key::from_pem`", "a public key on the curve P-384"),
        Algorithm::Es512 => ("a public key on the curve P-521, `Key::from_pem`", "a public key on the curve P-521"),
        _ => panic!("an algorithm that the tests do not know"),
    }
}

#[test]
fn keys_that_do_not_go_with_the_algorithm_are_refused_before_any_token() {
    for pinned in ALGORITHMS {
        for own in ALGORITHMS {
            let verifier = Verifier::new(pinned, Signer::of(own).key(), ISSUER, Audience::NotChecked);
            let goes =
                pinned.as_str()[..2] == own.as_str()[..2] && (!pinned.as_str().starts_with("ES") || pinned == own);
            match verifier {
                Ok(_) => assert!(goes, "{own}'s key with {pinned}"),
                Err(error) => {
                    assert!(!goes, "{own}'s key with {pinned}: {error}");
                    assert_eq!(error.kind(), ErrorKind::InvalidKey);
                    let needs = format!("{pinned} needs {}, and this is {}: ", key_of(pinned).0, key_of(own).1);
                    assert!(error.to_string().starts_with(&needs), "{own}'s key with {pinned}: {error}");
                }
            }
        }
    }
}

#[test]
fn a_verifier_needs_an_issuer_and_an_explicit_audience() {
    let refused = |issuer: &str, audience: Audience| {
        let key = Key::from_secret(SECRET).expect("a secret");
        Verifier::new(Algorithm::Hs256, key, issuer, audience).err().map(|error| error.kind())
    };
    assert_eq!(refused(ISSUER, Audience::Is("a".into())), None);
    assert_eq!(refused(ISSUER, Audience::AnyOf(vec!["a".into(), "b".into()])), None);
    assert_eq!(refused(ISSUER, Audience::NotChecked), None);
    for issuer in ["", " ", "\n", "https://acme.hub.loginradius.com/\n", " https://acme.hub.loginradius.com/"] {
        assert_eq!(refused(issuer, Audience::NotChecked), Some(ErrorKind::Configuration), "{issuer:?}");
    }
    for audience in ["", " ", "my-client-id\n", " my-client-id"] {
        assert_eq!(refused(ISSUER, Audience::Is(audience.into())), Some(ErrorKind::Configuration), "{audience:?}");
        let list = Audience::AnyOf(vec!["a".into(), audience.into()]);
        assert_eq!(refused(ISSUER, list), Some(ErrorKind::Configuration), "{audience:?}");
    }
    assert_eq!(refused(ISSUER, Audience::AnyOf(vec![])), Some(ErrorKind::Configuration));
    // An error that repeats a setting must stay one line, wherever the character is.
    for control in ('\0'..='\u{9f}').filter(|character| character.is_control()) {
        for text in [
            format!("{control}https://a.example/"),
            format!("https://a{control}.example/"),
            format!("https://a.example/{control}"),
        ] {
            assert_eq!(refused(&text, Audience::NotChecked), Some(ErrorKind::Configuration), "{text:?}");
            let audiences = [Audience::Is(text.clone()), Audience::AnyOf(vec!["a".into(), text.clone()])];
            for audience in audiences {
                assert_eq!(refused(ISSUER, audience), Some(ErrorKind::Configuration), "{text:?}");
            }
        }
    }
    let signer = Signer::of(Algorithm::Hs256);
    let error = signer.verifier().verify_with_nonce(&signer.good(), "", now()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}
