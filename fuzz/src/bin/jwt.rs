//! A token, or a key's text.
//!
//! The first byte, from `0` on, chooses what the rest is: a token as it is, a token to sign, a JWK set, or a PEM and a
//! secret. Two bytes before a token set up the verifier. A token to sign has two more, which say how and where it is
//! changed after it was signed. Its header (one line) and its claims follow; `$g` in them stands for valid claims. If
//! the header is empty, the token gets the right one.
//!
//! - A token is verified if and only if this file's own implementation of RFC 7515 and RFC 7519 says so, and then it
//!   yields the claims that this implementation finds.
//! - A key set and a PEM never verify what is signed with HMAC; a secret is never a PEM.
//! - An error is one line of limited length.

#![cfg_attr(fuzzing, no_main)]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use loginradius_fuzz::json::{Json, Members, find, object};
use loginradius_jwt::{Algorithm, Audience, Error, Key, KeySet, MAX_TOKEN_LEN, VerifiedToken, Verifier, dangerous};
use serde_json::Value;

loginradius_fuzz::target!(jwt);

const ISSUER: &str = "https://acme.hub.loginradius.com/";
const AUDIENCE: &str = "client";
const ANOTHER: &str = "another";
const NONCE: &str = "n-0S6_WzA2Mj";
const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"the secret of a JWT app that only the fuzz target has";
/// What `$g` stands for.
const GOOD: &str = r#""iss":"https://acme.hub.loginradius.com/","aud":"client","exp":1800000600"#;
/// RFC 7515, appendix A.3.1: x, y and d.
const FIRST: [&str; 3] = [
    "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
];
/// RFC 7517, appendix A.2.
const SECOND: [&str; 3] = [
    "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
];
/// The order of P-256: FIPS 186-5 by way of SP 800-186, section 3.2.1.3.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::Hs256,
    Algorithm::Hs384,
    Algorithm::Hs512,
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
];

fn jwt(data: &[u8]) {
    // The implementation below recurses.
    let [kind, rest @ ..] = &data[..data.len().min(4096)] else { return };
    match (kind.wrapping_sub(b'0') % 4, rest) {
        (0, [first, second, token @ ..]) => check(&Setup::new(*first, *second), &String::from_utf8_lossy(token), &[]),
        (1, [first, second, change, at, text @ ..]) => {
            let setup = Setup::new(*first, *second);
            let (token, made) = signed(&setup, *change, usize::from(*at), text);
            check(&setup, &token, &made);
        }
        (2, set) => key_set(set),
        (3, text) => key(text),
        _ => {}
    }
}

/// What the verifier requires, and which key signs.
struct Setup {
    elliptic: bool,
    set: bool,
    slash_ignored: bool,
    nonce: bool,
    access_token: bool,
    leeway: u64,
    audience: u8,
    by_another: bool,
}

impl Setup {
    fn new(first: u8, second: u8) -> Self {
        let bit = |byte: u8, number: u8| byte >> number & 1 == 1;
        let elliptic = bit(first, 0);
        Self {
            elliptic,
            set: elliptic && bit(first, 1),
            slash_ignored: bit(first, 2),
            nonce: bit(first, 3),
            access_token: bit(first, 4),
            leeway: if bit(first, 5) { 60 } else { 0 },
            audience: second & 3,
            by_another: bit(second, 2),
        }
    }

    fn algorithm(&self) -> Algorithm {
        if self.elliptic { Algorithm::Es256 } else { Algorithm::Hs256 }
    }

    fn audiences(&self) -> Option<&'static [&'static str]> {
        match self.audience {
            0 => Some(&[AUDIENCE]),
            1 => Some(&[ANOTHER, AUDIENCE]),
            2 => None,
            _ => Some(&[ANOTHER]),
        }
    }

    fn verifier(&self) -> Verifier {
        static SET: LazyLock<KeySet> = LazyLock::new(|| {
            let jwk = |id: &str, [x, y, _]: [&str; 3]| {
                format!(r#"{{"kty":"EC","crv":"P-256","kid":"{id}","x":"{x}","y":"{y}"}}"#)
            };
            let set = format!(r#"{{"keys":[{},{}]}}"#, jwk("1", FIRST), jwk("2", SECOND));
            KeySet::from_json(set).expect("two keys")
        });
        static POINT: LazyLock<Key> = LazyLock::new(|| {
            Key::from_pem(
                "-----BEGIN PUBLIC KEY-----
                MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7
                6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==
                -----END PUBLIC KEY-----",
            )
            .expect("the first key")
        });
        let audience = match self.audiences() {
            None => Audience::NotChecked,
            Some([one]) => Audience::Is((*one).into()),
            Some(several) => Audience::AnyOf(several.iter().map(|&one| one.into()).collect()),
        };
        let algorithm = self.algorithm();
        let verifier = if self.set {
            Verifier::new(algorithm, &*SET, ISSUER, audience)
        } else if self.elliptic {
            Verifier::new(algorithm, &*POINT, ISSUER, audience)
        } else {
            Verifier::new(algorithm, Key::from_secret(SECRET).expect("a secret"), ISSUER, audience)
        };
        let mut verifier = verifier.expect("a verifier").with_leeway(Duration::from_secs(self.leeway));
        if self.slash_ignored {
            verifier = verifier.ignore_issuer_slash();
        }
        if self.access_token { verifier.with_typ("at+jwt") } else { verifier }
    }
}

/// A signature by one of the two pairs: what was signed, the signature, and the key's id.
type Made = (String, Vec<u8>, &'static str);

/// Makes a token that is signed and then perhaps changed. Returns the valid signatures by elliptic curve, too.
fn signed(setup: &Setup, change: u8, at: usize, text: &[u8]) -> (String, Vec<Made>) {
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (header, claims) = (&text[..end], text.get(end + 1..).unwrap_or_default());
    let typ = if setup.access_token { "at+jwt" } else { "JWT" };
    let usual = format!(r#"{{"alg":"{}","typ":"{typ}"}}"#, setup.algorithm());
    let header = if header.is_empty() { usual.into_bytes() } else { header.to_vec() };
    let mut message = format!("{}.{}", encode(&header), encode(&fill_in(claims)));
    let change = change & 7;
    if change == 1 {
        // Padded, and signed like that.
        message.push('=');
    }
    let id = if setup.by_another { "2" } else { "1" };
    let signature = if setup.elliptic {
        let pair = if setup.by_another { &PAIRS.1 } else { &PAIRS.0 };
        pair.sign(&SystemRandom::new(), message.as_bytes()).expect("a signature").as_ref().to_vec()
    } else {
        let secret = if setup.by_another { b"another secret" } else { SECRET };
        tag(secret, message.as_bytes())
    };
    let mut made = Vec::new();
    let mut signature = signature;
    if setup.elliptic {
        // The other of the two signatures that ECDSA has for every message and nonce.
        let other = [&signature[..32], &negated(&signature[32..])].concat();
        made = vec![(message.clone(), signature.clone(), id), (message.clone(), other.clone(), id)];
        if change == 2 {
            signature = other;
        }
    }
    let mut token = format!("{message}.{}", encode(&signature)).into_bytes();
    let place = at * token.len() / 256;
    match change {
        3 => token[place] ^= 1 << (at % 7),
        4 => drop(token.remove(place)),
        5 => token.insert(place, b"=.A \n-_+"[at % 8]),
        6 => token.truncate(place),
        // Another signature of the same length.
        7 => token.splice(message.len() + 1.., encode(&vec![at as u8; signature.len()]).into_bytes()).for_each(drop),
        _ => {}
    }
    (String::from_utf8_lossy(&token).into_owned(), made)
}

static PAIRS: LazyLock<(EcdsaKeyPair, EcdsaKeyPair)> = LazyLock::new(|| {
    let pair = |[x, y, d]: [&str; 3]| {
        let [x, y, d] = [x, y, d].map(|text| decode(text).expect("base64url"));
        let public = [&[4], x.as_slice(), &y].concat();
        EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &d, &public).expect("a pair")
    };
    (pair(FIRST), pair(SECOND))
});

fn tag(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

/// Returns the order of the curve less this number.
fn negated(number: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut digits: Vec<u8> = (ORDER.iter().rev().zip(number.iter().rev()))
        .map(|(order, digit)| {
            let difference = 256 + i32::from(*order) - i32::from(*digit) - borrow;
            borrow = i32::from(difference < 256);
            (difference % 256) as u8
        })
        .collect();
    digits.reverse();
    digits
}

/// Replaces `$g` by valid claims.
fn fill_in(text: &[u8]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, others @ ..] = rest {
        if let [b'$', b'g', others @ ..] = rest {
            filled.extend_from_slice(GOOD.as_bytes());
            rest = others;
        } else {
            filled.push(*first);
            rest = others;
        }
    }
    filled
}

fn check(setup: &Setup, token: &str, made: &[Made]) {
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    let verifier = setup.verifier();
    let verified =
        if setup.nonce { verifier.verify_with_nonce(token, NONCE, now) } else { verifier.verify(token, now) };
    let expected = model(setup, token, made);
    let unverified = dangerous::read_without_verification(token);
    match (&verified, &expected) {
        (Ok(verified), Some(expected)) => {
            same_claims(verified, expected);
            let unverified = unverified.expect("what is verified can be read");
            assert_eq!(unverified.claims_map().ok(), verified.claims_map().ok());
        }
        (Err(error), None) => {
            one_line(error);
            if let Ok(unverified) = unverified {
                let _ = unverified.claims_map();
            }
        }
        // A name that serde_json takes for an instruction is refused, wherever it stands.
        (Err(error), Some(expected))
            if expected.claims.iter().any(|(name, value)| reserved(name) || is_reserved(value)) =>
        {
            one_line(error);
        }
        _ => panic!("{verified:?}, and the model says {expected:?}, of {token}"),
    }
}

fn one_line(error: &Error) {
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control) && text.chars().count() < 500, "{text:?}");
}

/// The header's `kid`, and the claims.
#[derive(Debug)]
struct Expected {
    key_id: Option<String>,
    claims: Members,
}

/// Verifies the token by an implementation of its own: RFC 7515, section 5.2, and RFC 7519, section 7.2.
fn model(setup: &Setup, token: &str, made: &[Made]) -> Option<Expected> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { return None };
    if token.len() > MAX_TOKEN_LEN {
        return None;
    }
    let message = format!("{header}.{payload}");
    let members = object(&decode(header)?)?;
    if find(&members, "alg")?.text()? != setup.algorithm().as_str() || find(&members, "crit").is_some() {
        return None;
    }
    let typ = match find(&members, "typ") {
        None => None,
        Some(typ) => {
            let typ = typ.text()?.to_ascii_lowercase();
            let short = typ.strip_prefix("application/").filter(|rest| !rest.contains('/')).map(str::to_owned);
            Some(short.unwrap_or(typ))
        }
    };
    let wanted = if setup.access_token { typ.as_deref() == Some("at+jwt") } else { typ.is_none_or(|typ| typ == "jwt") };
    let key_id = match find(&members, "kid") {
        None => None,
        Some(id) => Some(id.text()?.to_owned()),
    };
    let signature = decode(signature)?;
    let holds = if setup.elliptic {
        made.iter().any(|(signed, right, by)| {
            let trusted = if setup.set { key_id.as_deref().is_none_or(|id| id == *by) } else { *by == "1" };
            trusted && *signed == message && *right == signature
        })
    } else {
        tag(SECRET, message.as_bytes()) == signature
    };

    let claims = object(&decode(payload)?)?;
    let texts =
        ["sub", "jti", "nonce"].into_iter().all(|name| claim(&claims, name).is_none_or(|it| it.text().is_some()));
    let issuer = claim(&claims, "iss")?.text()?;
    let slash =
        setup.slash_ignored && [ISSUER.trim_end_matches('/').to_owned(), format!("{ISSUER}/")].contains(&issuer.into());
    let audience = match claim(&claims, "aud") {
        None => None,
        Some(audience) => Some(audience.texts()?),
    };
    let meant = setup.audiences().is_none_or(|ours| audience.unwrap_or_default().iter().any(|its| ours.contains(its)));
    let nonce = !setup.nonce || claim(&claims, "nonce").and_then(Json::text) == Some(NONCE);
    // In seconds; neither is so near to a limit of `f64` that a leeway could be lost.
    let expiry = seconds(claim(&claims, "exp")?)?;
    let begin = match claim(&claims, "nbf") {
        None => None,
        Some(begin) => Some(seconds(begin)?),
    };
    let made_at = claim(&claims, "iat").is_none_or(|it| seconds(it).is_some());
    let (now, leeway) = (NOW as f64, setup.leeway as f64);
    let in_time = now < expiry + leeway && begin.is_none_or(|begin| begin <= now + leeway);
    let all = wanted && holds && texts && (issuer == ISSUER || slash) && meant && nonce && made_at && in_time;
    all.then_some(Expected { key_id, claims })
}

fn same_claims(verified: &VerifiedToken, expected: &Expected) {
    let text = |name: &str| claim(&expected.claims, name).and_then(Json::text);
    let number = |name: &str| claim(&expected.claims, name).and_then(seconds);
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).expect("not before 1970").as_secs_f64();
    let near = |time: Option<SystemTime>, name: &str| match (time.map(since), number(name)) {
        (Some(time), Some(seconds)) => (time - seconds).abs() < 1e-3,
        (time, seconds) => time == seconds,
    };
    assert_eq!(Some(verified.issuer()), text("iss"));
    assert_eq!(verified.subject(), text("sub"));
    assert_eq!(verified.token_id(), text("jti"));
    assert_eq!(verified.nonce(), text("nonce"));
    assert_eq!(verified.key_id(), expected.key_id.as_deref());
    let audience = claim(&expected.claims, "aud").and_then(Json::texts).unwrap_or_default();
    assert!(verified.audience().iter().eq(audience));
    assert!(near(Some(verified.expires_at()), "exp"));
    assert!(near(verified.not_before(), "nbf") && near(verified.issued_at(), "iat"));
    // Not all that JSON's grammar allows can be read: numbers that are too large, half a surrogate pair, great depth.
    if let Ok(map) = verified.claims_map() {
        assert_eq!(map.len(), expected.claims.len());
        for (name, value) in &expected.claims {
            assert!(same(value, &map[name]), "{name:?}: {value:?} was read as {}", map[name]);
        }
    }
}

fn same(ours: &Json, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(ours), Value::Bool(theirs)) => ours == theirs,
        (Json::Number(ours), Value::Number(theirs)) => ours.parse::<f64>().ok() == theirs.as_f64(),
        (Json::Text(ours), Value::String(theirs)) => ours.as_ref() == Some(theirs),
        (Json::List(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        // Of a name that is there twice inside of a claim, the last counts.
        (Json::Object(ours), Value::Object(theirs)) => {
            theirs.iter().all(|(name, theirs)| {
                ours.iter()
                    .rev()
                    .find(|(own, _)| own.as_ref() == Some(name))
                    .is_some_and(|(_, ours)| same(ours, theirs))
            }) && ours.iter().all(|(name, _)| name.as_ref().is_some_and(|name| theirs.contains_key(name)))
        }
        _ => false,
    }
}

fn key_set(text: &[u8]) {
    match KeySet::from_json(text) {
        Ok(set) => {
            assert!((1..=64).contains(&set.len()));
            let suited = suits(|algorithm| Verifier::new(algorithm, &set, ISSUER, Audience::NotChecked));
            assert!(suited > 0);
        }
        Err(error) => one_line(&error),
    }
}

fn key(text: &[u8]) {
    match Key::from_pem(text) {
        Ok(key) => {
            let suited = suits(|algorithm| Verifier::new(algorithm, &key, ISSUER, Audience::NotChecked));
            // One for an elliptic curve, three for RSA.
            assert!(suited == 1 || suited == 3, "{suited}");
            assert!(Key::from_secret(text).is_err());
        }
        Err(error) => one_line(&error),
    }
    match Key::from_secret(text) {
        Ok(key) => {
            assert!(!text.is_empty() && !text.windows(10).any(|window| window == b"-----BEGIN"));
            for algorithm in ALGORITHMS {
                let verifier = Verifier::new(algorithm, &key, ISSUER, Audience::NotChecked);
                assert_eq!(verifier.is_ok(), algorithm.as_str().starts_with("HS"), "{algorithm}");
            }
        }
        Err(error) => one_line(&error),
    }
}

/// Returns how many algorithms a public key suits, none of which is HMAC.
fn suits(verifier: impl Fn(Algorithm) -> Result<Verifier, Error>) -> usize {
    let suiting = |algorithm: &Algorithm| match verifier(*algorithm) {
        Ok(verifier) => {
            assert!(!algorithm.as_str().starts_with("HS"));
            let token = format!("{}.e30.AAAA", encode(format!(r#"{{"alg":"{algorithm}"}}"#).as_bytes()));
            assert!(verifier.verify(&token, UNIX_EPOCH).is_err());
            true
        }
        Err(error) => {
            one_line(&error);
            false
        }
    };
    ALGORITHMS.iter().filter(|algorithm| suiting(algorithm)).count()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let number = |bits: &[u8]| (0..6).fold(0, |number, at| number << 1 | usize::from(*bits.get(at).unwrap_or(&0)));
    bits.chunks(6).map(|bits| char::from(ALPHABET[number(bits)])).collect()
}

/// RFC 7515, section 2, and one spelling for each value.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::with_capacity(text.len() * 6);
    for character in text.bytes() {
        let number = ALPHABET.iter().position(|known| *known == character)?;
        bits.extend((0..6).rev().map(|bit| (number >> bit & 1) as u8));
    }
    let bytes: Vec<u8> =
        bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |number, bit| number << 1 | bit)).collect();
    (encode(&bytes) == text).then_some(bytes)
}

fn is_reserved(value: &Json) -> bool {
    match value {
        Json::Text(text) => text.as_deref().is_some_and(reserved),
        Json::List(list) => list.iter().any(is_reserved),
        Json::Object(members) => {
            members.iter().any(|(name, value)| name.as_deref().is_some_and(reserved) || is_reserved(value))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

fn reserved(text: &str) -> bool {
    text.contains("serde_json::private::")
}

/// From 1970 to the end of 9999.
fn seconds(value: &Json) -> Option<f64> {
    let Json::Number(number) = value else { return None };
    number.parse().ok().filter(|seconds| (0.0..=253_402_300_799.0).contains(seconds))
}

/// A null is an absent claim.
fn claim<'a>(members: &'a Members, name: &str) -> Option<&'a Json> {
    find(members, name).filter(|value| !matches!(value, Json::Null))
}
