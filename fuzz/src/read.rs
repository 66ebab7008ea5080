//! Readers of the encodings in requests and responses. They are independent of the libraries that write them.

/// Reads a form or a query.
pub fn form(bytes: &[u8]) -> Vec<(String, String)> {
    let plain = |text: &[u8]| {
        let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        String::from_utf8_lossy(&percent(&spaced)).into_owned()
    };
    let pairs = bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            (plain(&pair[..end]), plain(pair.get(end + 1..).unwrap_or_default()))
        })
        .collect()
}

/// Decodes what is percent-encoded (RFC 3986, section 2.1). A `%` without two digits stays as it is.
pub fn percent(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, others @ ..] = rest {
        let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
        rest = match (first, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high << 4 | low) as u8);
                &rest[3..]
            }
            _ => {
                plain.push(*first);
                others
            }
        };
    }
    plain
}

/// Decodes base64 (RFC 4648, sections 4 and 5) with padding or without; `None` if it has another character.
pub fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0);
    for character in text.iter().take_while(|character| **character != b'=') {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}
