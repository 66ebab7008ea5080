//! How little an error shows of a secret that a server repeats.
//!
//! This file searches the texts of errors with its own decoders, which are written in another way than the crate's.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use loginradius_proto::browser::{AuthorizationRequest, BrowserRequest, Callback, Pending, RandomBytes};
use loginradius_proto::oauth::{AccessTokenByPassword, RefreshAccessToken};
use loginradius_proto::{
    ApiError, App, Body, ClientAuthentication, Dialect, Endpoint, Error, ResponseReader, Service, http,
};
use loginradius_testing::{app, now, response};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

// Where a server's text is shown

/// An endpoint with a secret of its own.
struct Own<'a>(&'a str);

impl Endpoint for Own<'_> {
    type Response = ();

    fn name(&self) -> &'static str {
        "Own"
    }

    fn request(&self, _: &App) -> Result<http::Request<Body>, Error> {
        Ok(http::Request::new(Body::from("")))
    }

    fn response(&self, app: &App, response: http::Response<Body>) -> Result<(), Error> {
        ResponseReader::new(self, app).empty(&response)
    }

    fn secrets(&self) -> Vec<&str> {
        vec![self.0]
    }
}

fn refused(secret: &str, body: &serde_json::Value) -> Option<ApiError> {
    let outcome = AccessTokenByPassword::new("u", secret).response(&app(), response(400, body.to_string()));
    outcome.unwrap_err().api_error().cloned()
}

fn called_back(secret: &str, error: &str, description: &str) -> ApiError {
    let bytes = RandomBytes::new(std::array::from_fn(|at| at as u8)).unwrap();
    let mut login = AuthorizationRequest::new("https://a.example/").begin(&app(), &bytes, now().wall).unwrap();
    let state = login.pending.expose_state().to_owned();
    let form = [("error", error), ("error_description", description), ("code", secret), ("state", &state)];
    let callback = Callback::from_query(&serde_urlencoded::to_string(form).unwrap()).unwrap();
    login.pending.accept(&callback, now().wall).unwrap_err().api_error().unwrap().clone()
}

/// A place in a response: sends a text there, and returns what an error shows of it.
type Place = fn(secret: &str, text: &str) -> Option<String>;

/// Every place. `error` may show nothing, because only an error code is read there.
const PLACES: &[(&str, Place)] = &[
    ("error", |secret, text| refused(secret, &json!({ "error": text }))?.oauth_error),
    ("error_description", |secret, text| {
        refused(secret, &json!({ "error": "odd", "error_description": text })).unwrap().description
    }),
    ("Message", |secret, text| refused(secret, &json!({ "ErrorCode": 1, "Message": text })).unwrap().message),
    ("Description", |secret, text| {
        refused(secret, &json!({ "ErrorCode": 1, "Message": "No", "Description": text })).unwrap().description
    }),
    ("FieldName", |secret, text| {
        let errors = [json!({ "FieldName": text, "ErrorMessage": "No" })];
        Some(refused(secret, &json!({ "ErrorCode": 1134, "Errors": errors })).unwrap().fields.remove(0).name)
    }),
    ("ErrorMessage", |secret, text| {
        let errors = [json!({ "FieldName": "a", "ErrorMessage": text })];
        Some(refused(secret, &json!({ "ErrorCode": 1134, "Errors": errors })).unwrap().fields.remove(0).message)
    }),
    ("Message, an endpoint of one's own", |secret, text| {
        let body = json!({ "ErrorCode": 1, "Message": text }).to_string();
        Own(secret).response(&app(), response(400, body)).unwrap_err().api_error().unwrap().message.clone()
    }),
    ("error of a callback", |secret, text| called_back(secret, text, "").oauth_error),
    ("error_description of a callback", |secret, text| called_back(secret, "access_denied", text).description),
];

/// Returns what is shown of an error's description.
fn shown(secret: &str, text: &str) -> String {
    refused(secret, &json!({ "error": "odd", "error_description": text })).unwrap().description.unwrap_or_default()
}

// How a server may write a secret

type Encoding = fn(&str) -> String;

fn each(text: &str, encode: impl Fn(char) -> String) -> String {
    text.chars().map(encode).collect()
}

fn utf_16(text: &str, encode: impl Fn(u16) -> String) -> String {
    text.encode_utf16().map(encode).collect()
}

fn bytes(text: &str, encode: impl Fn(u8) -> String) -> String {
    text.bytes().map(encode).collect()
}

fn percent(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn form(text: &str) -> String {
    serde_urlencoded::to_string([("x", text)]).unwrap()["x=".len()..].to_owned()
}

fn html(text: &str) -> String {
    let named = |char| match char {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&apos;".to_owned(),
        'é' => "&eacute;".to_owned(),
        '$' => "&dollar;".to_owned(),
        '/' => "&sol;".to_owned(),
        other => other.to_string(),
    };
    each(text, named)
}

fn in_json(text: &str) -> String {
    serde_json::to_string(text).unwrap().trim_matches('"').to_owned()
}

fn base64(text: impl AsRef<[u8]>) -> String {
    general_purpose::STANDARD.encode(text)
}

/// The encodings whose whole text becomes `[redacted]`.
const WHOLE: &[(&str, Encoding)] = &[
    ("plain", str::to_owned),
    ("upper case", |text| text.to_uppercase()),
    ("lower case", |text| text.to_lowercase()),
    ("case swapped", |text| {
        each(
            text,
            |char| if char.is_lowercase() { char.to_uppercase().collect() } else { char.to_lowercase().collect() },
        )
    }),
    ("backwards", |text| text.chars().rev().collect()),
    ("twice", |text| format!("{text}{text}")),
    ("blanks in between", |text| each(text, |char| format!("{char} ")).trim().to_owned()),
    ("zero width in between", |text| each(text, |char| format!("{char}\u{200b}\u{feff}"))),
    ("soft hyphens in between", |text| each(text, |char| format!("{char}\u{ad}"))),
    ("line breaks in between", |text| each(text, |char| format!("{char}\r\n"))),
    ("dashes in between", |text| {
        each(text, |char| if char.is_alphanumeric() { format!("{char}-") } else { String::new() })
    }),
    ("dots in between", |text| {
        each(text, |char| if char.is_alphanumeric() { format!("{char}.") } else { String::new() })
    }),
    ("percent", percent),
    ("percent, lower case", |text| bytes(text, |byte| format!("%{byte:02x}"))),
    ("percent, twice", |text| percent(&percent(text))),
    ("percent, three times", |text| percent(&percent(&percent(text)))),
    ("percent, Latin-1", |text| {
        each(text, |char| if u32::from(char) < 256 { format!("%{:02X}", u32::from(char)) } else { char.to_string() })
    }),
    ("percent, Latin-1, no letters of ASCII", |text| {
        let latin_1 = |char: char| !char.is_ascii_alphanumeric() && u32::from(char) < 256;
        each(text, |char| if latin_1(char) { format!("%{:02X}", u32::from(char)) } else { char.to_string() })
    }),
    ("percent, UTF-16", |text| utf_16(text, |unit| format!("%u{unit:04X}"))),
    ("form", form),
    ("form, twice", |text| form(&form(text))),
    ("HTML, named", html),
    ("HTML, named, twice", |text| html(&html(text))),
    ("HTML, decimal", |text| each(text, |char| format!("&#{};", u32::from(char)))),
    ("HTML, decimal without semicolon", |text| {
        let encoded =
            each(text, |char| if char.is_alphanumeric() { char.into() } else { format!("&#{};", u32::from(char)) });
        // Before a digit, the semicolon is needed.
        let mut parts = encoded.split(';').peekable();
        let mut shorter = String::new();
        while let Some(part) = parts.next() {
            shorter += part;
            if parts.peek().is_some_and(|next| next.starts_with(|char: char| char.is_ascii_digit())) {
                shorter.push(';');
            }
        }
        shorter
    }),
    ("HTML, hexadecimal", |text| each(text, |char| format!("&#x{:x};", u32::from(char)))),
    ("HTML, hexadecimal, capitals", |text| each(text, |char| format!("&#X{:04X};", u32::from(char)))),
    ("JSON", in_json),
    ("JSON, twice", |text| in_json(&in_json(text))),
    ("JSON, \\u", |text| utf_16(text, |unit| format!("\\u{unit:04x}"))),
    ("JavaScript, \\u{}", |text| each(text, |char| format!("\\u{{{:x}}}", u32::from(char)))),
    ("Python, \\U", |text| each(text, |char| format!("\\U{:08x}", u32::from(char)))),
    ("\\x", |text| bytes(text, |byte| format!("\\x{byte:02x}"))),
    ("octal", |text| bytes(text, |byte| format!("\\{byte:03o}"))),
    ("a backslash before each", |text| {
        each(text, |char| if char.is_alphanumeric() { char.to_string() } else { format!("\\{char}") })
    }),
    ("hexadecimal", |text| bytes(text, |byte| format!("{byte:02x}"))),
    ("hexadecimal, capitals", |text| bytes(text, |byte| format!("{byte:02X}"))),
    ("hexadecimal with blanks", |text| bytes(text, |byte| format!("{byte:02x} "))),
    ("hexadecimal with colons", |text| bytes(text, |byte| format!("{byte:02x}:"))),
    ("hexadecimal with 0x", |text| bytes(text, |byte| format!("0x{byte:02x}, "))),
    ("quoted-printable", |text| bytes(text, |byte| format!("={byte:02X}"))),
    ("base64", |text| base64(text)),
    ("base64url", |text| general_purpose::URL_SAFE_NO_PAD.encode(text)),
    ("base64 in lines", |text| {
        base64(text).as_bytes().chunks(8).map(|line| format!("{}\r\n", str::from_utf8(line).unwrap())).collect()
    }),
    ("base64 of UTF-16", |text| base64(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())),
    ("base64, twice", |text| base64(base64(text))),
    ("base64, three times", |text| base64(base64(base64(text)))),
    ("HTML in percent", |text| percent(&html(text))),
    ("percent in HTML", |text| each(&percent(text), |char| format!("&#{};", u32::from(char)))),
    ("JSON in a form", |text| form(&in_json(text))),
    ("a form in JSON in base64", |text| base64(in_json(&form(text)))),
    ("hexadecimal in base64", |text| base64(bytes(text, |byte| format!("{byte:02x}")))),
    ("base64 in JSON in percent", |text| percent(&in_json(&base64(text)))),
];

/// The secrets of the table. Each has another kind of characters.
const SECRETS: [&str; 5] =
    ["S3cr3t/P4ssw0rd", "corr&ct \"horse' <battery>", "p%41ss+w\\nord=77", "naïvé-Schlüssel-über-alles", "8812773401"];

#[test]
fn no_encoding_shows_a_secret_in_any_place() {
    for secret in SECRETS {
        for (encoding, encode) in WHOLE {
            let encoded = encode(secret);
            let sentence = format!("the value {encoded} is bad");
            let cut = format!("{}{encoded}", "x ".repeat(130));
            for (place, send) in PLACES {
                let check = |text: &str| {
                    let shown = send(secret, text)?;
                    assert_hidden(secret, &shown);
                    Some(shown)
                };
                let what = format!("{secret}, {encoding}, {place}");
                if *place == "Message" {
                    check(&cut);
                }
                let Some(shown) = check(&encoded) else {
                    assert_eq!(*place, "error", "{what}");
                    continue;
                };
                let (redacted, rest) = (shown.matches("[redacted]").count(), shown.replace("[redacted]", ""));
                // A little may be left of what surrounds the digits of a number, or fills the last one.
                assert!(
                    redacted == 1 && rest.chars().filter(|char| char.is_alphanumeric()).count() <= 8,
                    "{what}: {shown}"
                );
                if let Some(shown) = check(&sentence) {
                    assert!(shown.starts_with("the value ") && shown.ends_with(" is bad"), "{what}: {shown}");
                    assert!(shown.contains("[redacted]"), "{what}: {shown}");
                }
            }
        }
    }
}

#[test]
fn every_spelling_of_an_escape_is_read() {
    for (escape, char) in [
        ("%41", 'A'),
        ("%u0041", 'A'),
        ("%U0041", 'A'),
        ("&#65;", 'A'),
        ("&#65", 'A'),
        ("&#0000000065;", 'A'),
        ("&#x41;", 'A'),
        ("&#X41;", 'A'),
        ("\\u0041", 'A'),
        ("\\U0041", 'A'),
        ("\\u{41}", 'A'),
        ("\\u{0000000041}", 'A'),
        ("\\U00000041", 'A'),
        ("\\x41", 'A'),
        ("\\X41", 'A'),
        ("\\101", 'A'),
        ("\\3", '3'),
        ("\\z", 'z'),
        ("\\n", ' '),
        ("\\r", ' '),
        ("\\t", ' '),
        ("\\f", ' '),
        ("\\v", ' '),
        ("\\ud83d\\ude00", '\u{1f600}'),
        ("%ud83d%ude00", '\u{1f600}'),
        ("\\U0001f600", '\u{1f600}'),
    ] {
        // Below two more layers nothing is decoded any further, and too few letters are left without the mark.
        let (secret, text) = (format!("w-{char}xyz"), format!("w-{escape}xyz"));
        assert_eq!(shown(&secret, &format!("<{}>", percent(&percent(&text)))), "<[redacted]>", "{escape}");
    }
}

#[test]
fn every_letter_of_base64_is_read() {
    for value in 0..64_u8 {
        // The last six bits of such a character are the value.
        let char = char::from(if value <= 0x20 { value + 0x40 } else { value });
        let secret = format!("ab{char}cd{char}");
        for engine in [general_purpose::STANDARD_NO_PAD, general_purpose::URL_SAFE_NO_PAD] {
            let text = engine.encode(&secret);
            assert_eq!(shown(&secret, &format!("<{text}>")), "<[redacted]>", "{secret} as {text}");
        }
    }
}

#[test]
fn a_part_of_a_secret_is_shown_up_to_five_characters() {
    let secret = "S3cr3t/P4ssw0rd";
    for start in 0..secret.len() {
        for end in start..=secret.len() {
            let part = &secret[start..end];
            let text = format!("<{part}>");
            let expected = if part.len() < 6 { text.clone() } else { "<[redacted]>".to_owned() };
            assert_eq!(shown(secret, &text), expected);
            let in_base64 = shown(secret, &format!("<{}>", base64(format!("ab{part}cd"))));
            assert_eq!(in_base64.contains("[redacted]"), part.len() >= 6, "{part}: {in_base64}");
        }
    }
}

#[test]
fn a_secret_of_marks_is_found_between_blanks() {
    assert_eq!(shown("%$#@!^&+", "<% $ # @\n! ^ & +>"), "<[redacted]>");
    assert_eq!(shown("%$#@!^&+", "<%25 $ # @\u{200b}! ^ &amp; +>"), "<[redacted]>");
}

#[test]
fn backslashes_that_would_be_escapes_hide_no_secret() {
    for letter in "0123456789abcdefghijklmnopqrstuvwxyz".chars() {
        let secret = format!("w{letter}!q!w");
        for text in [format!(r"w\{letter}\!q\!w"), format!(r"w!\q!\{letter}w")] {
            assert_eq!(shown(&secret, &format!("<{text}>")), "<[redacted]>", "{secret}: {text}");
        }
    }
}

#[test]
fn blanks_between_the_characters_hide_no_secret_with_backslashes() {
    for places in 1..0b11_1111 {
        let chars: Vec<_> =
            ('p'..='u').enumerate().map(|(i, char)| if places >> i & 1 == 1 { '\\' } else { char }).collect();
        let secret: String = chars.iter().collect();
        let spaced: Vec<_> = chars.iter().map(char::to_string).collect();
        let reversed: Vec<_> = spaced.iter().rev().cloned().collect();
        for text in [spaced.join(" "), reversed.join("  ")] {
            assert_eq!(shown(&secret, &format!("<{text}>")), "<[redacted]>", "{secret}: {text}");
        }
    }
}

#[test]
fn a_secret_with_escapes_that_the_server_resolves_is_found() {
    for (secret, read) in [
        ("a%41b%42c%43d", "aAbBcCd"),
        ("x+y%2Bz+w+v", "x y+z w v"),
        ("p4&amp;s5&lt;w0", "p4&s5<w0"),
        ("p4\\ns5\\u0041\\tw0", "p4 s5A w0"),
    ] {
        assert_eq!(shown(secret, &format!("<{read}>")), "<[redacted]>", "{secret}");
    }
}

#[test]
fn a_short_secret_is_redacted_only_where_all_of_it_appears() {
    for (secret, text, expected) in [
        ("p4s5w", "<p4s5w>", "<[redacted]>"),
        ("p4s5w", "<P4S5W>", "<[redacted]>"),
        ("p4s5w", "<p%34s5w>", "<[redacted]>"),
        ("p4s5w", "<p 4 s 5 w>", "<[redacted]>"),
        ("p4s5w", "<w5s4p>", "<[redacted]>"),
        ("p4s5w", "<cDRzNXc=>", "<[redacted]=>"),
        ("p4s5w", "<7034733577>", "<[redacted]>"),
        ("p4s5w", "<70:34:73:35:77>", "<[redacted]>"),
        // A letter separates two values.
        ("p4s5w", "<7034z733577>", "<7034z733577>"),
        ("p4s5w", "<p4s5>", "<p4s5>"),
        ("p4s5w", "<xp4s5wx>", "<x[redacted]x>"),
        ("p-4", "<p-4> <p4>", "<[redacted]> <p4>"),
        ("p-4s5", "<p-4s5> <p4s5>", "<[redacted]> <[redacted]>"),
        ("p-4.s5", "<p-4.s5> <p4s5>", "<[redacted]> <p4s5>"),
        ("xyz", "<xyz>", "<[redacted]>"),
        ("xy", "<xy>", "<xy>"),
        ("é€", "<é€>", "<é€>"),
        ("", "<>", "<>"),
    ] {
        assert_eq!(shown(secret, text), expected, "{secret}: {text}");
    }
}

#[test]
fn what_can_be_read_only_after_a_redaction_is_redacted_too() {
    // Of eight backslashes, three decodings leave one. Of the six that are not the other secret's, two leave an S.
    let other = r"t0p-s3cr\\x41\";
    let app = app().with_client_secret(other);
    let description = format!(r"{other}\\\\\\\u00533cr3t");
    let body = json!({ "error": "odd", "error_description": description }).to_string();
    let error = AccessTokenByPassword::new("u", "S3cr3tX").response(&app, response(400, body)).unwrap_err();
    assert_eq!(error.api_error().unwrap().description.as_deref(), Some("[redacted]"));
}

#[test]
fn every_secret_of_a_request_and_its_response_is_redacted() {
    const SECRET: &str = "S3cr3t/P4ssw0rd";
    let text = format!("the value {} is bad", base64(percent(SECRET)));
    let check = |outcome: Result<(), Error>| {
        let shown = outcome.unwrap_err().api_error().unwrap().message.clone().unwrap();
        assert_hidden(SECRET, &shown);
        assert!(shown.contains("[redacted]"), "{shown}");
    };
    let refusal = json!({ "ErrorCode": 1, "Message": text });
    let with = |name: &str, value: serde_json::Value| {
        let mut body = refusal.clone();
        body[name] = value;
        response(400, body.to_string())
    };
    let refresh = RefreshAccessToken::new("r");
    let read = |app: &App, response| refresh.response(app, response).map(drop);
    check(read(&app().with_client_secret(SECRET), response(400, refusal.to_string())));
    check(Own(SECRET).response(&app(), response(400, refusal.to_string())));
    let redact = ResponseReader::new(&Own(""), &app()).redact([SECRET]).empty(&response(400, refusal.to_string()));
    check(redact);
    for name in ["access_token", "refresh_token", "id_token", "device_code", "signature", "Access_Token"] {
        check(read(&app(), with(name, SECRET.into())));
        check(read(&app(), with("Data", json!({ name: SECRET }))));
        check(read(&app(), with("data", json!({ name: SECRET }))));
    }
    let twice = format!(r#"{{"access_token":"other","access_token":"{SECRET}",{}"#, &refusal.to_string()[1..]);
    check(read(&app(), response(400, twice)));

    let dialect = Dialect::new().with_client_authentication(ClientAuthentication::Basic);
    let service = Service::site("acme.hub.loginradius.com").unwrap().with_dialect(dialect).unwrap();
    let app = App::new("client").with_client_secret(SECRET).with_oauth_app("app").with_service(service);
    let header = refresh.request(&app).unwrap().headers()["authorization"].to_str().unwrap().to_owned();
    for spelled in [header.to_lowercase(), percent(&header), base64(&header), header["Basic ".len()..][..12].to_owned()]
    {
        let body = json!({ "ErrorCode": 1, "Message": format!("the header {spelled} is bad") }).to_string();
        let message = read(&app, response(400, body)).unwrap_err().api_error().unwrap().message.clone().unwrap();
        assert!(message.contains("[redacted]") && !message.contains(&spelled), "{message}");
    }
}

// What stays readable

/// Returns the texts that LoginRadius documents, without those that are patterns.
fn documented_texts() -> Vec<String> {
    let mut texts = Vec::new();
    for csv in
        [loginradius_vectors::SSO_ERROR_CODES, loginradius_vectors::API_ERROR_CODES, loginradius_vectors::OAUTH_ERRORS]
    {
        for line in csv.lines().skip(1) {
            // The text of the other table stands behind its HTTP status.
            texts.extend(
                fields(line).map(|field| field.split_once('|').map_or(field.clone(), |(_, text)| text.to_owned())),
            );
        }
    }
    for vector in loginradius_vectors::all() {
        let Some(response) = vector.response else { continue };
        let field = |value: &serde_json::Value, name: &str| value[name].as_str().map(str::to_owned);
        texts.extend(
            ["Message", "Description", "error_description"].iter().filter_map(|name| field(&response.body, name)),
        );
        for error in response.body["Errors"].as_array().into_iter().flatten() {
            texts.extend(["FieldName", "ErrorMessage"].iter().filter_map(|name| field(error, name)));
        }
    }
    texts.retain(|text| text.contains(' ') && !text.contains(['#', '“', '/']) || text.contains("and/or"));
    texts.sort();
    texts.dedup();
    texts
}

/// Reads a line of CSV.
fn fields(line: &str) -> impl Iterator<Item = String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for char in line.chars() {
        match char {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields.last_mut().unwrap().push(char),
        }
    }
    fields.into_iter()
}

#[test]
fn texts_that_loginradius_documents_are_shown_whatever_the_password_is() {
    let texts = documented_texts();
    assert!(texts.len() > 400, "{}", texts.len());
    for text in &texts {
        let words = text.split(|char: char| !char.is_alphanumeric()).filter(|word| word.len() >= 6);
        let passwords = words.map(|word| format!("{word}1")).chain(["Password".to_owned(), text.clone()]);
        for password in passwords {
            assert_eq!(shown(&password, text), *text, "{password}");
            assert_eq!(shown(&password, &text.to_uppercase()), text.to_uppercase(), "{password}");
        }
    }
    for (text, expected) in [
        ("The password is not valid", "The password is not valid"),
        (" the  PASSWORD\nis not valid . ", "the  PASSWORD is not valid ."),
        ("The password is not valid: password1", "The [redacted] is not valid: [redacted]"),
        ("The password of Ada is not valid", "The [redacted] of Ada is not valid"),
    ] {
        assert_eq!(shown("password1", text), expected);
    }
}

#[test]
fn codes_of_the_standard_are_shown_whatever_the_password_is() {
    for code in [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "access_denied",
        "unsupported_response_type",
        "server_error",
        "temporarily_unavailable",
        "authorization_pending",
        "slow_down",
        "expired_token",
        "login_required",
        "interaction_required",
        "consent_required",
        "account_selection_required",
        "invalid_target",
        "unsupported_token_type",
        "invalid_token",
        "insufficient_scope",
        "request_not_supported",
        "redirect_uri_mismatch",
    ] {
        for secret in [code.to_owned(), format!("{code}1"), code[..6].to_owned()] {
            assert_eq!(refused(&secret, &json!({ "error": code })).unwrap().oauth_error.as_deref(), Some(code));
            assert_eq!(called_back(&secret, code, "").oauth_error.as_deref(), Some(code));
        }
    }
}

#[test]
fn names_of_parameters_are_shown_whatever_the_password_is() {
    for name in ["password", "Password", "username", "client_secret", "refresh_token", "EmailId"] {
        let body = json!({ "ErrorCode": 1134, "Errors": [{ "FieldName": name, "ErrorMessage": "No" }] });
        for secret in [name, "password1", "my-client-secret", "my-refresh-token"] {
            assert_eq!(refused(secret, &body).unwrap().fields[0].name, name);
        }
    }
}

#[test]
fn what_only_looks_encoded_is_shown_as_it_is() {
    for text in [
        "100% of R&D at C:\\new + \\users; see &#x110000; and &nothing; or %zz%u12 \\u12 \\x1 \\",
        "base64: aGVsbG8gd29ybGQ=, hex: 68656c6c6f20776f726c64",
        "%68%65%6c%6c%6f &#104;&#101;&#108;&#108;&#111; \\u0068\\u0065\\u006c\\u006c\\u006f",
        "日本語のエラー: パスワードが違います",
        "\\ud800\\udc00 \\ud800 %ff%fe &#55296; \\u{110000} \\777",
    ] {
        assert_eq!(shown("S3cr3t/P4ssw0rd", text), text);
    }
    // What no text has is in between, so these bytes are no text.
    for byte in [0x01, 0x1f, 0x7f, 0x80, 0x9f] {
        let text = base64([b"p4s".as_slice(), &[byte], b"5w0rd"].concat());
        assert_eq!(shown("p4s5w", &text), text, "{byte:#x}");
    }
    // Two halves of a character, in two notations.
    for halves in [r"\ud83d%ude00", r"%ud83d\ude00"] {
        assert_eq!(shown(&"\u{1f600}".repeat(6), &halves.repeat(6)), halves.repeat(6));
    }
}

#[test]
fn a_text_with_many_secrets_is_cut_too() {
    let expected = "[redacted] is ".repeat(21) + "[redacted]";
    assert_eq!(shown("S3cr3t", &"S3cr3t is ".repeat(100)), expected);
    assert_eq!(shown("S3cr3t", &"S3cr3t is ".repeat(30)), expected);
}

#[test]
fn at_most_a_hundred_fields_are_read() {
    let fields: Vec<_> = (0..20_000).map(|_| json!({ "FieldName": "%2541", "ErrorMessage": "S3cr3t" })).collect();
    let body = json!({ "ErrorCode": 1134, "Errors": fields });
    assert_eq!(refused("S3cr3t", &body).unwrap().fields.len(), 100);
}

#[test]
fn a_mebibyte_of_text_and_a_huge_password_are_read_only_in_part() {
    let password: String = (0..64 * 1024).map(|at| char::from(b'!' + (at % 1_009 * at % 91) as u8)).collect();
    for text in ["%2526amp%253b%255c+".repeat(1 << 15), "x".repeat(1_000_000), password.repeat(15)] {
        assert!(shown(&password, &text).chars().count() <= 310);
    }
}

// How an error is searched

const GAP: &str = "\u{ffff}";

/// Fails if six characters in a row of the secret can be read in a text of an error.
#[track_caller]
fn assert_hidden(secret: &str, shown: &str) {
    let found = read_in_all_ways(&shown.replace("[redacted]", GAP), 3)
        .into_iter()
        .find_map(|reading| Some((common_run(secret, &reading)?, reading)));
    assert!(found.is_none(), "{found:?} of {secret:?} in: {shown}");
}

/// Returns six characters in a row, in any case, that are in both, forwards or backwards; blanks or all marks may stand
/// in between.
fn common_run(secret: &str, text: &str) -> Option<String> {
    let filters: [fn(char) -> bool; 3] =
        [|_| true, |char| !char.is_whitespace(), |char| char.is_alphanumeric() || GAP.contains(char)];
    let is_visible = |char: &char| !"\u{200b}\u{feff}\u{ad}\0".contains(*char);
    filters.iter().find_map(|is_kept| {
        let form = |text: &str| -> Vec<char> {
            text.chars().filter(is_visible).filter(|char| is_kept(*char)).flat_map(char::to_lowercase).collect()
        };
        let text: String = form(text).into_iter().collect();
        let secret = form(secret);
        let mut runs = secret.windows(6).flat_map(|run| [run.iter().collect(), run.iter().rev().collect::<String>()]);
        runs.find(|run| text.contains(run))
    })
}

/// Returns the text and what up to that many decodings make of it.
fn read_in_all_ways(text: &str, depth: usize) -> Vec<String> {
    let mut readings = vec![text.to_owned()];
    let mut last = 0;
    for _ in 0..depth {
        let decoded: Vec<String> = readings[last..].iter().flat_map(|reading| decode(reading)).collect();
        last = readings.len();
        for reading in decoded {
            if !readings.contains(&reading) {
                readings.push(reading);
            }
        }
    }
    readings
}

fn decode(text: &str) -> Vec<String> {
    let mut decoded = vec![
        percent_decode_str(text).decode_utf8_lossy().into_owned(),
        percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned(),
        html_unescape(text),
        backslash_unescape(text),
    ];
    let is_base64 = |char: char| char.is_ascii_alphanumeric() || "+/-_".contains(char);
    for (alphabet, marks) in [(STANDARD, ["-", "_"]), (URL_SAFE, ["+", "/"])] {
        if marks.iter().any(|mark| text.contains(mark)) && alphabet != STANDARD {
            continue;
        }
        let config = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let engine = GeneralPurpose::new(&alphabet, config);
        decoded.extend((0..4).map(|skipped| {
            in_runs(text, is_base64, skipped, |run| {
                engine.decode(&run[..run.len() - usize::from(run.len() % 4 == 1)]).unwrap_or_default()
            })
        }));
    }
    let hexadecimal = |run: &str| {
        run.as_bytes()
            .chunks_exact(2)
            .map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    };
    decoded.extend((0..2).map(|skipped| in_runs(text, |char| char.is_ascii_hexdigit(), skipped, hexadecimal)));
    decoded.retain(|reading| !reading.trim_matches('\n').is_empty());
    decoded
}

/// Decodes each run of such characters, without the first few, and returns one line for each.
fn in_runs(text: &str, is_digit: impl Fn(char) -> bool, skipped: usize, decode: impl Fn(&str) -> Vec<u8>) -> String {
    let runs = text.split(|char| !is_digit(char)).filter_map(|run| run.get(skipped..)).filter(|run| run.len() > 7);
    let lines = runs.map(|run| String::from_utf8_lossy(&decode(run)).replace(char::REPLACEMENT_CHARACTER, GAP));
    lines.collect::<Vec<_>>().join(GAP)
}

fn html_unescape(text: &str) -> String {
    let mut parts = text.split('&');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|char: char| !char.is_ascii_alphanumeric() && char != '#').unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let rest = rest.strip_prefix(';').unwrap_or(rest);
        let char = match name.to_ascii_lowercase().as_str() {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            "eacute" => Some('é'),
            "dollar" => Some('$'),
            "sol" => Some('/'),
            number => {
                let hexadecimal = number.strip_prefix("#x").map(|digits| u32::from_str_radix(digits, 16));
                let decimal = || number.strip_prefix('#').map(|digits| digits.parse());
                let number = hexadecimal.or_else(decimal);
                number.and_then(Result::ok).and_then(char::from_u32)
            }
        };
        match char {
            Some(char) => decoded.extend([char.to_string().as_str(), rest]),
            None => decoded.extend(["&", part]),
        }
    }
    decoded
}

fn backslash_unescape(text: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let hexadecimal = |digits: Option<&str>| digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let (unit, length) = match rest.as_bytes() {
            [b'\\', b'u', ..] if hexadecimal(rest.get(2..6)).is_some() => (hexadecimal(rest.get(2..6)), 6),
            [b'\\', b'x', ..] if hexadecimal(rest.get(2..4)).is_some() => (hexadecimal(rest.get(2..4)), 4),
            [b'\\', b'b', ..] => (Some(8), 2),
            [b'\\', b't', ..] => (Some(9), 2),
            [b'\\', b'n', ..] => (Some(10), 2),
            [b'\\', b'f', ..] => (Some(12), 2),
            [b'\\', b'r', ..] => (Some(13), 2),
            [b'\\', escaped, ..] if escaped.is_ascii() => (Some(u16::from(*escaped)), 2),
            _ => (None, char.len_utf8()),
        };
        match unit {
            Some(unit) => units.push(unit),
            None => units.extend(char.encode_utf16(&mut [0; 2]).iter()),
        }
        rest = &rest[length..];
    }
    String::from_utf16_lossy(&units)
}

#[test]
fn the_search_finds_what_is_encoded() {
    for secret in SECRETS {
        let encodings: [Encoding; 7] =
            [str::to_owned, percent, html, in_json, form, |text| base64(text), |text| base64(percent(&html(text)))];
        for encode in encodings {
            let text = format!("the value {} is bad", encode(secret));
            assert!(std::panic::catch_unwind(|| assert_hidden(secret, &text)).is_err(), "{text}");
        }
    }
}

/// One more layer of encoding.
fn layer() -> impl Strategy<Value = Encoding> {
    select(WHOLE).prop_map(|(_, encode)| encode)
}

fn secret() -> impl Strategy<Value = String> {
    let letters: Vec<char> = "abcXYZ059ßéÅñœΩλжщ漢字😀🔑 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".chars().collect();
    prop_oneof![
        "[a-zA-Z0-9]{6,40}",
        "[!-~]{6,30}",
        proptest::collection::vec(select(letters), 6..30).prop_map(String::from_iter)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Whatever a server makes of a part of a secret, six characters in a row are not shown.
    #[test]
    fn no_run_of_six_is_shown(
        secret in secret(),
        part in any::<(proptest::sample::Index, proptest::sample::Index)>(),
        layers in proptest::collection::vec(layer(), 0..=3),
        inner in "[ -~]{0,6}",
        (before, after) in ("[ -~]{0,60}", "[ -~]{0,60}"),
        place in select(PLACES),
    ) {
        let chars: Vec<char> = secret.chars().collect();
        let length = 6 + part.0.index(chars.len() - 5);
        let start = part.1.index(chars.len() - length + 1);
        let part: String = chars[start..start + length].iter().collect();
        let encoded = layers.iter().fold(format!("{inner}{part}{inner}"), |text, encode| encode(&text));
        let text = format!("{before}{encoded}{after}");
        if let Some(shown) = place.1(&secret, &text) {
            assert_hidden(&secret, &shown);
            prop_assert!(shown.chars().count() <= 310, "{shown}");
        }
    }

    /// What has nothing of a secret is shown as it is, even if it has escapes.
    #[test]
    fn a_text_without_the_secret_is_shown_as_it_is(secret in "[a-m]{6,40}", text in "[n-zN-Z0-9 .,:;!?%&'/+-]{0,300}") {
        prop_assert_eq!(shown(&secret, &text), text.trim());
    }
}
