use std::fmt::Write as _;

use hmac_sha256::Hash;

/// Returns what the names of a session's files begin with. It is safe and distinct for every name of a session, also on
/// file systems that take `A` for `a`.
///
/// - The bytes a-z, 0-9 and `-` stand for themselves, every other byte is `_` and two hexadecimal digits.
/// - If that is longer than [`MAX_LENGTH`], it is cut, and followed by `_x` and the SHA-256 of the name. In no other
///   stem does `x` follow `_`.
/// - Because of the prefix no file is called `con` or begins with a dot or a hyphen.
///
/// A stem has no dot, so that no file of one session begins with the stem and the dot of another session.
pub(super) fn stem(name: &str) -> String {
    let mut stem = String::from("session-");
    let encoded = encode(name.as_bytes());
    if encoded.len() <= MAX_LENGTH {
        stem.push_str(&encoded);
        return stem;
    }
    stem.push_str(&encoded[..PREFIX_LENGTH]);
    stem.push_str(CUT);
    Hash::hash(name.as_bytes()).iter().for_each(|byte| push_hex(&mut stem, *byte));
    stem
}

/// Returns the name of the session whose files begin with that stem. Returns `None` if it is not a stem, or if the name
/// was cut.
pub(super) fn name(stem: &str) -> Option<String> {
    let mut rest = stem.strip_prefix("session-")?.bytes();
    let mut name = Vec::new();
    while let Some(byte) = rest.next() {
        name.push(match byte {
            b'_' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => byte,
        });
    }
    let name = String::from_utf8(name).ok()?;
    // What another program put there may be no stem that this one makes.
    (self::stem(&name) == stem).then_some(name)
}

/// Returns whether the name of the session was cut, so that its files do not show it.
pub(super) fn is_cut(stem: &str) -> bool {
    stem.contains(CUT)
}

/// Returns whether a stem that was cut may be that of a name with this prefix.
pub(super) fn may_begin_with(stem: &str, prefix: &str) -> bool {
    let Some((start, _)) = stem.strip_prefix("session-").and_then(|stem| stem.split_once(CUT)) else { return false };
    let prefix = encode(prefix.as_bytes());
    start.starts_with(&prefix) || prefix.starts_with(start)
}

/// What follows the start of a name that was cut.
const CUT: &str = "_x";
/// With prefix and suffix it stays below 143 bytes, the shortest limit that is in use (eCryptfs).
const MAX_LENGTH: usize = 100;
/// How much of a long name can still be read.
const PREFIX_LENGTH: usize = 30;

fn encode(name: &[u8]) -> String {
    let mut encoded = String::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => encoded.push(char::from(byte)),
            _ => {
                encoded.push('_');
                push_hex(&mut encoded, byte);
            }
        }
    }
    encoded
}

fn push_hex(text: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{byte:02x}");
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_encoded_as_documented() {
        let rows = [
            ("", "session-"),
            ("default", "session-default"),
            ("A", "session-_41"),
            ("a_41", "session-a_5f41"),
            ("..", "session-_2e_2e"),
            ("a/b\\c:d", "session-a_2fb_5cc_3ad"),
            ("con", "session-con"),
            ("a. ", "session-a_2e_20"),
            ("%41\0", "session-_2541_00"),
            ("first.last@example.com", "session-first_2elast_40example_2ecom"),
            ("é", "session-_c3_a9"),
        ];
        for (text, expected) in rows {
            assert_eq!(stem(text), expected);
            assert_eq!(name(expected).as_deref(), Some(text));
        }
        for no_stem in ["session", "default", "session-A", "session-_4", "session-_zz", "session-_61", "session-_ff"] {
            assert_eq!(name(no_stem), None, "{no_stem}");
        }
        let long = "é".repeat(40);
        assert_eq!(
            stem(&long),
            "session-_c3_a9_c3_a9_c3_a9_c3_a9_c3_a9\
             _x84fe2e03d50dd3a18b630669d7d5e361117ac6af9cbb487c284c8e6c91a9758a",
        );
    }

    #[test]
    fn names_of_up_to_100_encoded_bytes_are_not_cut() {
        for (unit, encoded) in [("x", "x"), ("A", "_41"), ("-_", "-_5f"), ("é", "_c3_a9")] {
            for (rest, rest_encoded) in [("", ""), ("y", "y"), (".", "_2e"), ("yy", "yy"), ("y.", "y_2e")] {
                for length in 1..=40 * unit.len() {
                    let text = unit.repeat(length) + rest;
                    let whole = encoded.repeat(length) + rest_encoded;
                    let stem = stem(&text);
                    if whole.len() <= 100 {
                        assert_eq!(stem, format!("session-{whole}"));
                        assert_eq!(name(&stem), Some(text));
                    } else {
                        assert_eq!(stem.len(), 8 + 30 + 2 + 64, "{text}");
                        assert!(stem.starts_with(&format!("session-{}_x", &whole[..30])), "{text}");
                        assert_eq!(name(&stem), None);
                    }
                }
            }
        }
        assert_eq!(stem(&"x".repeat(100)), format!("session-{}", "x".repeat(100)));
        assert_eq!(name(&format!("session-{}", "x".repeat(101))), None);
    }

    #[test]
    fn stems_are_distinct_and_safe() {
        let letters = ["a", "A", "_", "-", "x", "4", "1", ".", "/", "%", "\0", "é", " "];
        let mut names = vec![String::new()];
        for length in 0..3 {
            let longer: Vec<String> = names
                .iter()
                .filter(|name| name.chars().count() == length)
                .flat_map(|name| letters.iter().map(move |letter| format!("{name}{letter}")))
                .collect();
            names.extend(longer);
        }
        for length in [98, 99, 100, 101, 102, 255, 10_000] {
            names.extend(["x", "A", "_", "é"].iter().map(|letter| letter.repeat(length)));
            names.push(format!("{}y", "x".repeat(length - 1)));
            names.push(stem(&"x".repeat(length))["session-".len()..].to_owned());
        }
        let stems: HashSet<String> = names.iter().map(|name| stem(name)).collect();
        let distinct: HashSet<&String> = names.iter().collect();
        assert_eq!(stems.len(), distinct.len());
        for text in distinct {
            let cut = stem(text).contains("_x");
            assert_eq!(name(&stem(text)), (!cut).then(|| text.clone()));
        }
        for stem in stems {
            let safe = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
            assert!(stem.bytes().all(safe) && stem.starts_with("session-") && stem.len() <= 108, "{stem}");
        }
    }
}
