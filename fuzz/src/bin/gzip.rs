//! A response with a `Content-Encoding`. The first byte, from `0` on, chooses the kind of body. The rest of the first
//! line has the header's values, with a `|` between them. Then follows
//!
//! - for `0`, the body as it is;
//! - for `1`, the level of compression from `0` on, a sign that says what to do, two bytes that say where, and a text
//!   to compress. The result is sent as it is, cut off, with a bit changed, with a byte appended, in two members, or
//!   compressed twice. For the letters `r` and `s`, a text of about the greatest length replaces it, in one member or
//!   two;
//! - for `2`, deflate bits, to which this file adds a header and a matching trailer.
//!
//! The decoded body is the one that flate2 decodes, if that is within the limit: the whole text, never a part of it.
//! Everything else is an error that leaves the outcome unknown. It makes no difference how the codings are split into
//! header lines.

#![cfg_attr(fuzzing, no_main)]

use std::io::{Read, Write};
use std::time::SystemTime;

use flate2::bufread::DeflateDecoder;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use loginradius_proto::http::Response;
use loginradius_proto::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue};
use loginradius_proto::{Body, ErrorKind};
use loginradius_transport::receive;

loginradius_fuzz::target!(gzip);

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
const MAGIC: &[u8] = &[0x1f, 0x8b];

fn gzip(data: &[u8]) {
    // flate2 reads no name or comment of more than 64 KiB.
    let Some((kind, rest)) = data[..data.len().min(1 << 15)].split_first() else { return };
    let (line, rest) = rest.split_at(rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
    let rest = rest.get(1..).unwrap_or_default();
    let values = line.split(|byte| *byte == b'|').filter(|value| !value.is_empty());
    let Ok(values) = values.map(HeaderValue::from_bytes).collect::<Result<Vec<_>, _>>() else { return };
    match (kind.wrapping_sub(b'0') % 3, rest) {
        (0, body) => {
            check(&values, body);
        }
        (1, [level, change, high, low, text @ ..]) => {
            let place = usize::from(u16::from_be_bytes([*high, *low]));
            compressed(&values, level.wrapping_sub(b'0') % 10, *change, place, text);
        }
        (1, _) => {}
        (_, bits) => {
            check(&values, &with_trailer(bits));
        }
    }
}

/// Checks what is received of a text that is compressed here.
fn compressed(values: &[HeaderValue], level: u8, change: u8, place: usize, text: &[u8]) {
    // It takes long to read, so there are few of it.
    let long = || vec![b' '; Body::LIMIT - 3 + place % 8];
    let (text, change) = match change {
        b'r' => (long(), 0),
        b's' => (long(), 4),
        _ => (text.to_vec(), change.wrapping_sub(b'0') % 6),
    };
    let file = encoded(&text, level);
    let body = match change {
        1 => file[..place % file.len()].to_vec(),
        2 => {
            let mut changed = file.clone();
            changed[place / 8 % file.len()] ^= 1 << (place % 8);
            changed
        }
        3 => [&file[..], &[place as u8]].concat(),
        4 => {
            let (first, second) = text.split_at(place % (text.len() + 1));
            [encoded(first, level), encoded(second, level)].concat()
        }
        5 => encoded(&file, level),
        _ => file.clone(),
    };
    let received = check(values, &body);
    // A text that is gzip itself may be decoded as well.
    if let Some(received) = received.filter(|_| !text.starts_with(MAGIC)) {
        assert!([&body, &file, &text].contains(&&received), "what is received was not sent");
    }
}

fn encoded(text: &[u8], level: u8) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level.into()));
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

/// Makes a gzip file with the trailer of the text that flate2 finds in the bits.
fn with_trailer(bits: &[u8]) -> Vec<u8> {
    let mut decoder = DeflateDecoder::new(bits);
    let mut text = Vec::new();
    // What cannot be read is refused with any trailer: also with that of what was read of it.
    let is_read = decoder.by_ref().take(Body::LIMIT as u64 + 1).read_to_end(&mut text).is_ok();
    let end = if is_read { decoder.total_in() as usize } else { bits.len() };
    let mut checksum = Crc::new();
    checksum.update(&text);
    [&HEADER, &bits[..end], &checksum.sum().to_le_bytes(), &checksum.amount().to_le_bytes()].concat()
}

/// Checks what is received, and returns it.
fn check(values: &[HeaderValue], body: &[u8]) -> Option<Vec<u8>> {
    let received = received(values, body);
    if values.len() > 1 {
        let line = values.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b","[..]);
        let of_one_line = self::received(&[HeaderValue::from_bytes(&line).expect("a value")], body);
        assert!(of_one_line == received, "the lines of the header matter");
    }
    match (received, wanted(values, body)) {
        (Ok(received), Ok(wanted)) => {
            assert!(received == wanted, "{} bytes in place of {}", received.len(), wanted.len());
            Some(received)
        }
        (Err(cause), Err(wanted)) => {
            assert!(cause.contains(wanted), "{cause} in place of {wanted}");
            None
        }
        (received, wanted) => {
            panic!("{:?} in place of {:?}", received.map(|text| text.len()), wanted.map(|text| text.len()))
        }
    }
}

/// Receives a response, and returns its body or what is wrong with it.
fn received(values: &[HeaderValue], body: &[u8]) -> Result<Vec<u8>, String> {
    let mut response = Response::new(Body::from(body.to_vec()));
    response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
    for value in values {
        response.headers_mut().append(CONTENT_ENCODING, value.clone());
    }
    let is_said_to_be_encoded = !values.is_empty() && !body.is_empty();
    match receive(response, SystemTime::UNIX_EPOCH) {
        Ok(response) => {
            let received = response.body().as_bytes();
            assert!(received.len() <= Body::LIMIT, "{} bytes", received.len());
            // Both would be wrong now.
            let headers = response.headers();
            assert_eq!(headers.contains_key(CONTENT_LENGTH), !is_said_to_be_encoded);
            assert!(!is_said_to_be_encoded || !headers.contains_key(CONTENT_ENCODING));
            Ok(received.to_vec())
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
            let printed = format!("{error} {error:?}");
            assert!(!printed.contains(char::is_control) && printed.len() < 1_000, "{printed:?}");
            Err(error.to_string())
        }
    }
}

/// Returns what flate2 makes of a response: its body, or some words of what is wrong with it.
fn wanted(values: &[HeaderValue], body: &[u8]) -> Result<Vec<u8>, &'static str> {
    const TOO_LONG: &str = "longer than 1 MiB";
    let text = values.iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(",");
    let codings = text.split(',').map(|coding| coding.trim().to_ascii_lowercase());
    let codings: Vec<String> = codings.filter(|coding| !["", "identity"].contains(&coding.as_str())).collect();
    let mut body = body.to_vec();
    if !body.is_empty() {
        if codings.iter().any(|coding| !["gzip", "x-gzip"].contains(&coding.as_str())) {
            return Err("content coding");
        }
        if codings.len() > 2 {
            return Err("more than twice");
        }
        for _ in codings {
            if body.starts_with(MAGIC) {
                let mut text = Vec::new();
                let decoder = MultiGzDecoder::new(&body[..]);
                decoder.take(Body::LIMIT as u64 + 1).read_to_end(&mut text).map_err(|_| "gzip is")?;
                body = if text.len() > Body::LIMIT { return Err(TOO_LONG) } else { text };
            }
        }
    }
    if body.len() > Body::LIMIT { Err(TOO_LONG) } else { Ok(body) }
}
