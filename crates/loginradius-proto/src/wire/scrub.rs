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

/// Returns how many bytes the secret takes if `text` begins with it, as it is or as requests and responses encode it: each
/// character percent-encoded, as in a form, escaped as in JSON, or as in HTML.
fn encoded_length(secret: &str, text: &str) -> Option<usize> {
    // Where the part that is read so far may end: `\\` is one backslash, or two.
    let mut ends = vec![0];
    for wanted in secret.chars() {
        let mut next = Vec::new();
        for end in ends {
            let rest = text.get(end..).unwrap_or_default();
            let plain = rest.starts_with(wanted).then(|| wanted.len_utf8());
            next.extend([encoded_character(wanted, rest), plain].into_iter().flatten().map(|length| end + length));
        }
        if next.is_empty() {
            return None;
        }
        next.sort_unstable();
        next.dedup();
        ends = next;
    }
    ends.last().copied()
}

/// Returns how many bytes the character takes if `text` begins with it, encoded.
fn encoded_character(wanted: char, text: &str) -> Option<usize> {
    match text.bytes().next()? {
        b'%' => {
            let encoded: String = wanted.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")).collect();
            begins_with(text, &encoded)
        }
        b'+' => (wanted == ' ').then_some(1),
        b'\\' => {
            let unicode: String =
                wanted.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let short = match wanted {
                '\n' => 'n',
                '\r' => 'r',
                '\t' => 't',
                '\u{8}' => 'b',
                '\u{c}' => 'f',
                other => other,
            };
            begins_with(text, &unicode).or_else(|| text.get(1..)?.starts_with(short).then(|| 1 + short.len_utf8()))
        }
        b'&' => {
            let entities: &[&str] = match wanted {
                '&' => &["&amp;", "&#38;", "&#x26;"],
                '<' => &["&lt;", "&#60;", "&#x3c;"],
                '>' => &["&gt;", "&#62;", "&#x3e;"],
                '"' => &["&quot;", "&#34;", "&#x22;"],
                '\'' => &["&#39;", "&#x27;", "&apos;"],
                '+' => &["&#43;", "&#x2b;"],
                _ => &[],
            };
            entities.iter().find_map(|entity| begins_with(text, entity))
        }
        _ => None,
    }
}

/// Returns the length of `start` if `text` begins with it, in any case of letters.
fn begins_with(text: &str, start: &str) -> Option<usize> {
    text.get(..start.len()).filter(|text| text.eq_ignore_ascii_case(start)).map(str::len)
}

/// Returns whether that is a control character, a line separator, or a mark that changes the direction of text.
fn is_unprintable(c: char) -> bool {
    let separates = matches!(c, '\u{2028}' | '\u{2029}');
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || separates || turns
}
