//! Secrets in a hostile error body. The first line chooses the form of the body and the status; each other line is a
//! text in it. `$`, a digit, the signs of up to three encodings and a `;` stand for a secret, encoded in this order.
//!
//! No error shows six letters of a secret in a row, in upper or lower case. That holds for `Display`, `Debug`, the
//! sources and the server's texts, as they are and after up to three of this file's decoders.

#![cfg_attr(fuzzing, no_main)]

use std::collections::HashSet;

use loginradius_fuzz::logins::{NONCE, STATE, VERIFIER, app as browser_app, random, start};
use loginradius_fuzz::read::{base64, percent};
use loginradius_fuzz::responses::{printed, response};
use loginradius_proto::browser::{AuthorizationRequest, BrowserRequest, Callback, Pending};
use loginradius_proto::http::{Request, Response};
use loginradius_proto::{
    App, Body, ClientAuthentication, Dialect, Endpoint, Error, RequestBuilder, ResponseReader, Service,
};

loginradius_fuzz::target!(redaction);

/// None shares six letters in a row with any of the library's own texts.
const SECRETS: [&str; 4] = ["Zq7xV9kTmW2p", "k&9<Jw>\"Qz'v#4", "t0%k+n/=Qw~x8 jR", "Kä9ße-Wörq-ñ8zX"];
const CLIENT_SECRET: &str = "cl13nt\\u0053\u{1f511}-Vj7y";
/// What the server issues besides the error.
const ISSUED: &str = "1ssu3d.T0k3n_qJx";

const MAX_DEPTH: usize = 3;

fn redaction(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(2048)]);
    let mut lines = text.split('\n');
    let [shape, status, ..] = lines.next().unwrap_or_default().as_bytes() else { return };
    let status = [400, 200, 401, 500][usize::from(status.wrapping_sub(b'0') % 4)];
    let shape = shape.wrapping_sub(b'0') % 4;
    let secrets: &[&str] = match shape {
        3 => &[STATE, NONCE, VERIFIER],
        _ => &[SECRETS[0], SECRETS[1], SECRETS[2], SECRETS[3], CLIENT_SECRET, ISSUED],
    };
    let mut texts = lines.map(|line| planted(line, secrets));
    let mut next = || texts.next().unwrap_or_default();
    let issued = string(ISSUED);
    let body = match shape {
        0 => {
            let description = string(&next());
            format!(r#"{{"error":"refused_","error_description":{description},"access_token":{issued}}}"#)
        }
        1 => {
            let [message, description, field, reason, name] = std::array::from_fn(|_| string(&next()));
            format!(
                r#"{{"ErrorCode":1134,"Message":{message},"Description":{description},"error":{name},
                "Errors":[{{"FieldName":{field},"ErrorMessage":{reason}}}],"Refresh_Token":{issued}}}"#
            )
        }
        2 => next(),
        _ => return callback(&next(), &next(), secrets),
    };
    let dialect = Dialect::new().with_client_authentication(ClientAuthentication::Basic);
    let site = Service::site("acme.hub.loginradius.com").and_then(|site| site.with_dialect(dialect)).expect("a site");
    let app = App::new("client").with_client_secret(CLIENT_SECRET).with_service(site);
    if let Err(error) = Echo.response(&app, response(status, body)) {
        shows_none(&error, secrets);
    }
}

/// An operation that carries the secrets.
struct Echo;

impl Endpoint for Echo {
    type Response = ();

    fn name(&self) -> &'static str {
        "Echo"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        RequestBuilder::get(app.service().base(), "/echo").build()
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<(), Error> {
        ResponseReader::new(self, app).empty(&response)
    }

    fn secrets(&self) -> Vec<&str> {
        SECRETS.to_vec()
    }
}

/// Checks the same for the error of a callback.
fn callback(name: &str, description: &str, secrets: &[&str]) {
    let request = AuthorizationRequest::new("https://app.example/callback").scope("openid");
    let mut pending = request.begin(&browser_app(), &random(), start()).expect("a login").pending;
    let [name, description] = [name, description].map(|text| all(text, |byte| format!("%{byte:02x}")));
    let query = format!("error={name}&error_description={description}&state={STATE}");
    let Ok(callback) = Callback::from_query(&query) else { return };
    if let Err(error) = pending.accept(&callback, start()) {
        shows_none(&error, secrets);
    }
}

/// Replaces each `$`, digit, encodings and `;` by that secret.
fn planted(line: &str, secrets: &[&str]) -> String {
    let mut parts = line.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (encodings, rest) = part.split_once(';').unwrap_or((part, ""));
        let mut signs = encodings.bytes();
        let secret = secrets[usize::from(signs.next().unwrap_or(b'0').wrapping_sub(b'0')) % secrets.len()];
        let mut depth = 0;
        let mut secret = secret.to_owned();
        for sign in signs.take(8) {
            if depth < MAX_DEPTH
                && let Some((encoded, levels)) = encoded(sign, &secret)
            {
                secret = encoded;
                depth += levels;
            }
        }
        text += &secret;
        text += rest;
    }
    text
}

/// Returns the text in the encoding of that sign, and how many decodings it takes.
fn encoded(sign: u8, text: &str) -> Option<(String, usize)> {
    let length = text.chars().count();
    let encoded = match sign {
        b'<' => return Some((text.chars().skip(length / 4).collect(), 0)),
        b'>' => return Some((text.chars().take(length * 3 / 4).collect(), 0)),
        b'l' => return Some((text.to_lowercase(), 0)),
        b'c' => return Some((text.to_uppercase(), 0)),
        b'p' => all(text, |byte| format!("%{byte:02X}")),
        b'q' => all(text, |byte| match byte {
            b' ' => "+".to_owned(),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02x}"),
        }),
        b'h' => text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;"),
        b'd' => text.chars().map(|letter| format!("&#{};", u32::from(letter))).collect(),
        b'x' => text.chars().map(|letter| format!("&#x{:X};", u32::from(letter))).collect(),
        b'j' => text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect(),
        b'k' => all(text, |byte| format!("\\x{byte:02x}")),
        b'b' => in_base64(text, b"+/", true),
        b'u' => in_base64(text, b"-_", false),
        b'n' => all(text, |byte| format!("{byte:02x}")),
        b'N' => all(text, |byte| format!("{byte:02X}")),
        _ => return None,
    };
    Some((encoded, 1))
}

fn all(text: &str, encoded: impl Fn(u8) -> String) -> String {
    text.bytes().map(encoded).collect()
}

fn in_base64(text: &str, last: &[u8; 2], padded: bool) -> String {
    let digits: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*last).collect();
    let mut encoded = String::new();
    for bytes in text.as_bytes().chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(*bytes.get(at).unwrap_or(&0)));
        let letters = (0..4).map(|at| char::from(digits[bits >> (18 - 6 * at) & 63]));
        encoded.extend(letters.take(bytes.len() + 1));
        if padded {
            encoded.extend(std::iter::repeat_n('=', 3 - bytes.len()));
        }
    }
    encoded
}

/// Writes a string of JSON.
fn string(text: &str) -> String {
    let letters = text.chars().map(|letter| match letter {
        '"' | '\\' => format!("\\{letter}"),
        '\0'..='\x1f' => format!("\\u{:04x}", u32::from(letter)),
        _ => letter.to_string(),
    });
    format!("\"{}\"", letters.collect::<String>())
}

fn shows_none(error: &Error, secrets: &[&str]) {
    assert!(!error.to_string().contains(char::is_control), "{error:?}");
    let printed = printed(error);
    // `Debug` adds quotes and escapes of its own to texts, of which each is on one line.
    let lines = printed.lines().flat_map(|line| [line.to_owned(), without_escapes(line)]);
    let mut texts: HashSet<String> = lines.map(|line| line.trim_matches(['"', ',', ' ']).to_owned()).collect();
    let mut last = texts.clone();
    for _ in 0..MAX_DEPTH {
        let decoded: HashSet<String> = last.iter().flat_map(|text| decoded(text)).collect();
        last = decoded.difference(&texts).cloned().collect();
        texts.extend(last.iter().cloned());
    }
    let mut forbidden: Vec<u128> = secrets.iter().flat_map(|secret| runs(secret)).collect();
    forbidden.sort_unstable();
    let shows_one = |text: &&String| runs(text).any(|run| forbidden.binary_search(&run).is_ok());
    if let Some(text) = texts.iter().find(shows_one) {
        panic!("{text:?} has six letters of a secret, read from {printed}");
    }
}

/// Returns each six letters in a row, whatever their case.
fn runs(text: &str) -> impl Iterator<Item = u128> {
    let folded = text.to_uppercase().to_lowercase().chars().collect::<Vec<_>>().into_iter();
    let packed = folded.scan(0, |packed, letter| {
        *packed = (*packed << 21 | u128::from(u32::from(letter))) & ((1 << 126) - 1);
        Some(*packed)
    });
    packed.skip(5)
}

/// Returns what the text may stand for.
fn decoded(text: &str) -> Vec<String> {
    let unpercented = |text: &str| lossy(&percent(text.as_bytes()));
    let mut texts =
        vec![unpercented(text), unpercented(&text.replace('+', " ")), unpercented(&text.replace("\\x", "%"))];
    texts.extend([without_entities(text), without_escapes(text)]);
    let is_digit = |letter: char| letter.is_ascii_alphanumeric() || "+/-_".contains(letter);
    for run in text.split(|letter| !is_digit(letter)).filter(|run| run.len() >= 8) {
        texts.extend(
            (0..4).filter_map(|skipped| base64(run.as_bytes().get(skipped..)?)).flat_map(|bytes| texts_in(&bytes)),
        );
    }
    for run in text.split(|letter: char| !letter.is_ascii_hexdigit()).filter(|run| run.len() >= 12) {
        texts.extend((0..2).flat_map(|skipped| {
            let pairs = run.as_bytes()[skipped..].chunks_exact(2);
            texts_in(&pairs.map(|pair| digits(pair, 16).map_or(0, |value| value as u8)).collect::<Vec<_>>())
        }));
    }
    texts
}

/// Returns what can be text: nearly all that base64 makes of another text is noise.
fn texts_in(bytes: &[u8]) -> Vec<String> {
    let is_noise = |letter: char| letter.is_control() || letter == char::REPLACEMENT_CHARACTER;
    lossy(bytes).split(is_noise).filter(|text| text.chars().count() >= 6).map(str::to_owned).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn digits(text: &[u8], radix: u32) -> Option<u32> {
    let is_number = !text.is_empty() && text.iter().all(|digit| char::from(*digit).is_digit(radix));
    u32::from_str_radix(std::str::from_utf8(text).ok().filter(|_| is_number)?, radix).ok()
}

/// Resolves the entities of HTML for what has to be escaped there, and numeric ones.
fn without_entities(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').unwrap_or((part, ""));
        let letter = match name.as_bytes() {
            b"amp" => Some('&'),
            b"lt" => Some('<'),
            b"gt" => Some('>'),
            b"quot" => Some('"'),
            b"apos" => Some('\''),
            [b'#', b'x' | b'X', number @ ..] => digits(number, 16).and_then(char::from_u32),
            [b'#', number @ ..] => digits(number, 10).and_then(char::from_u32),
            _ => None,
        };
        match letter {
            Some(letter) => {
                plain.push(letter);
                plain += rest;
            }
            None => {
                plain.push('&');
                plain += part;
            }
        }
    }
    plain
}

/// Resolves the escapes of JSON and of Rust.
fn without_escapes(text: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        let escape = if letter == '\\' { escape(after) } else { None };
        let (letters, length) = escape.unwrap_or((letter.encode_utf16(&mut [0; 2]).to_vec(), 0));
        units.extend(letters);
        rest = &after[length..];
    }
    String::from_utf16_lossy(&units)
}

/// Returns what stands behind a backslash, and its length.
fn escape(text: &str) -> Option<(Vec<u16>, usize)> {
    let bytes = text.as_bytes();
    let first = text.chars().next()?;
    let unit = |length: usize| digits(bytes.get(1..1 + length)?, 16);
    Some(match first {
        'u' if bytes.get(1) == Some(&b'{') => {
            let end = text.find('}')?;
            let letter = char::from_u32(digits(&bytes[2..end], 16)?)?;
            (letter.encode_utf16(&mut [0; 2]).to_vec(), end + 1)
        }
        'u' => (vec![unit(4)? as u16], 5),
        'n' | 'r' | 't' => (vec![u16::from(b' ')], 1),
        '"' | '\'' | '\\' | '/' => (vec![first as u16], 1),
        _ => return None,
    })
}
