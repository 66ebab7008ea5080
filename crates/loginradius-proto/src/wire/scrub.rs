//! Cleans the texts of a server before they are printed.

/// Cleans a server's text for printing: on one line, at most 300 characters long, with `[redacted]` for those secrets.
pub(super) fn scrub(secrets: &[&str], text: &str) -> String {
    const MAX_CHARS: usize = 300;
    // A shorter one is no secret, and to redact it would make the text unreadable.
    const MIN_SECRET_LENGTH: usize = 3;
    const REDACTED: &str = "[redacted]";
    let secrets: Vec<&str> = secrets.iter().copied().filter(|secret| secret.len() >= MIN_SECRET_LENGTH).collect();
    let mut clean = String::new();
    let mut rest = text;
    let mut printed = 0;
    while let Some(first) = rest.chars().next().filter(|_| printed < MAX_CHARS) {
        // The longest, because one secret may be the beginning of another.
        let redacted = secrets.iter().filter_map(|secret| encoded_length(secret, rest)).max();
        match redacted {
            Some(_) => {
                clean.push_str(REDACTED);
                printed += REDACTED.len();
            }
            None => {
                clean.push(if is_unprintable(first) { ' ' } else { first });
                printed += 1;
            }
        }
        rest = rest.get(redacted.unwrap_or(first.len_utf8())..).unwrap_or_default();
    }
    clean.trim().to_owned()
}

/// Returns how many bytes the secret takes if `text` begins with it, as it is or as a request encodes it: percent-encoded
/// whole or in part, as a form, as JSON.
fn encoded_length(secret: &str, text: &str) -> Option<usize> {
    if text.starts_with(secret) {
        return Some(secret.len());
    }
    let mut rest = text.as_bytes();
    for wanted in secret.bytes() {
        let encoded = [b'%', HEX[usize::from(wanted >> 4)], HEX[usize::from(wanted & 15)]];
        let length = match rest {
            [a, b, c, ..] if [*a, *b, *c].eq_ignore_ascii_case(&encoded) => 3,
            [b'+', ..] if wanted == b' ' => 1,
            [b'\\', escaped, ..] if *escaped == wanted => 2,
            [plain, ..] if *plain == wanted => 1,
            _ => return None,
        };
        rest = &rest[length..];
    }
    Some(text.len() - rest.len())
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Returns whether that is a control character, a line separator, or a mark that changes the direction of text.
fn is_unprintable(c: char) -> bool {
    let separates = matches!(c, '\u{2028}' | '\u{2029}');
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || separates || turns
}
