//! Which characters a text may have.

/// Returns whether a text is visible ASCII without a space, as nearly all are: then it needs no closer look.
pub(crate) fn is_graphic(text: &str) -> bool {
    // No early end, so that many bytes are looked at at once.
    text.bytes().fold(true, |is_graphic, byte| is_graphic & byte.is_ascii_graphic())
}

/// Returns whether a text has only characters that a token or a code may have: the printable ones of ASCII (RFC 6749,
/// appendix A: `VSCHAR`).
pub(crate) fn is_token(text: &str) -> bool {
    text.bytes().fold(true, |is_token, byte| is_token & matches!(byte, b' '..=b'~'))
}

/// Returns whether a text can be shown on one line as it is: nothing in it steers a terminal, or is hidden from the
/// reader.
pub(crate) fn is_line(text: &str) -> bool {
    invisible_in(text).is_none()
}

/// Returns the first invisible character of the text, other than the plain space.
pub(crate) fn invisible_in(text: &str) -> Option<char> {
    if is_token(text) {
        return None;
    }
    text.chars().find(|c| *c != ' ' && is_invisible(*c))
}

/// Returns whether the character is invisible: a control character (ESC controls a terminal), a space of any kind, or
/// one that is not drawn, such as a mark that changes the direction of text, a joiner, a byte order mark or a tag.
///
/// Source: the properties `White_Space` and `Default_Ignorable_Code_Point` of Unicode 16, and its interlinear marks.
pub(super) fn is_invisible(c: char) -> bool {
    let is_ignorable = matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    c.is_control() || c.is_whitespace() || is_ignorable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_found_at_any_place() {
        // Controls, spaces, directions, joiners, marks, tags.
        for c in "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{a0}\u{1680}\u{2003}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\
                  \u{200e}\u{200f}\u{61c}\u{202a}\u{202e}\u{2066}\u{2069}\u{200b}\u{200c}\u{200d}\u{2060}\u{2063}\
                  \u{206f}\u{ad}\u{34f}\u{115f}\u{17b4}\u{180e}\u{3164}\u{ffa0}\u{fe0f}\u{feff}\u{fff9}\u{fffb}\
                  \u{1d173}\u{e0001}\u{e0061}\u{e0100}"
            .chars()
        {
            for text in [format!("{c}ab"), format!("a{c}b"), format!("ab{c}"), format!("a b{c}")] {
                assert_eq!(invisible_in(&text), Some(c), "{text:?}");
            }
        }
        for text in
            ["", "MXD-TPV", "a b", " ", "äöü", "Ω", "日本語", "عربي", "\u{1f600}", "e\u{301}", "\u{fffd}", "~!@#"]
        {
            assert_eq!(invisible_in(text), None, "{text:?}");
        }
    }
}
