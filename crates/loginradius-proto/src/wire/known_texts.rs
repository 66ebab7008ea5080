//! The texts that LoginRadius documents: its own ("SSO API Codes", "Customer Identity API Codes", "OAuth 2.0"), the
//! names of its sign-in parameters, and the error codes of OAuth (IANA, "OAuth Extensions Error Registry").

/// One text a line, without the dot at its end.
const TEXTS: &str = include_str!("known_texts.txt");

/// Returns whether the text is a known one. Case, blanks and punctuation at the end make no difference.
pub(super) fn is_known(text: &str) -> bool {
    let text = text.trim_end_matches(|char: char| matches!(char, '.' | '!') || char.is_whitespace());
    TEXTS.lines().any(|known| {
        let mut words = text.split_whitespace();
        let begins = known.split(' ').all(|known| words.next().is_some_and(|word| word.eq_ignore_ascii_case(known)));
        begins && words.next().is_none()
    })
}
