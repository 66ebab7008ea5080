//! The ways to read a text: as it is, and decoded as in a URL, HTML, JavaScript, base64 or hexadecimal.

use zeroize::{Zeroize, Zeroizing};

use super::character::is_invisible;

/// How many encodings may be nested in each other.
const MAX_DEPTH: usize = 3;

/// Stands for a gap in a text. It is not a character of Unicode, so no source of a reading has it.
const GAP: char = '\u{ffff}';

/// Which part of the source a character was decoded from: the indexes of the source's characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Origin {
    fn to(self, last: Self) -> Self {
        Self { start: self.start, end: last.end }
    }
}

/// The visible characters of a text, each with its origin.
#[derive(PartialEq, Eq)]
pub(super) struct Reading {
    chars: Zeroizing<Vec<char>>,
    origins: Vec<Origin>,
}

impl Reading {
    /// Reads the source as it is. `None` is a gap between two texts.
    pub(super) fn of(source: impl Iterator<Item = Option<char>> + Clone) -> Self {
        let mut reading = Self::with_capacity(source.clone().count());
        for (at, char) in source.enumerate() {
            let origin = Origin { start: at, end: at + 1 };
            match char {
                Some(char) => reading.push(char, origin),
                None => reading.push_as_is(GAP, origin),
            }
        }
        reading
    }

    /// Makes an empty reading. To grow beyond the capacity would leave a part of a secret in memory.
    fn with_capacity(capacity: usize) -> Self {
        Self { chars: Zeroizing::new(Vec::with_capacity(capacity)), origins: Vec::with_capacity(capacity) }
    }

    fn push(&mut self, char: char, origin: Origin) {
        let is_seen = char.is_whitespace() || !is_invisible(char);
        if is_seen && char != GAP {
            self.push_as_is(char, origin);
        }
    }

    fn push_as_is(&mut self, char: char, origin: Origin) {
        self.chars.push(char);
        self.origins.push(origin);
    }

    pub(super) fn chars(&self) -> &[char] {
        &self.chars
    }

    /// Returns every run of that many characters, and where it comes from.
    pub(super) fn runs(&self, length: usize) -> impl Iterator<Item = (&[char], Origin)> {
        let origins = self.origins.windows(length).filter_map(|origins| Some(origins.first()?.to(*origins.last()?)));
        self.chars.windows(length).zip(origins)
    }

    /// Returns the same in lower case. Each letter is made upper case first, which turns `ß` into `ss`.
    pub(super) fn without_case(&self) -> Self {
        // Unicode, SpecialCasing.txt.
        const MAX_LENGTH: usize = 3;
        let capacity = self.chars.iter().map(|char| if char.is_ascii() { 1 } else { MAX_LENGTH }).sum();
        let mut reading = Self::with_capacity(capacity);
        for (char, origin) in self.letters() {
            if char.is_ascii() {
                reading.push_as_is(char.to_ascii_lowercase(), origin);
            } else {
                let folded = char.to_uppercase().flat_map(char::to_lowercase).take(MAX_LENGTH);
                folded.for_each(|char| reading.push_as_is(char, origin));
            }
        }
        reading
    }

    /// Returns what that makes of each character, and the gaps.
    pub(super) fn filter_map(&self, change: impl Fn(char) -> Option<char>) -> Self {
        let mut reading = Self::with_capacity(self.chars.len());
        for (char, origin) in self.letters() {
            if let Some(char) = if char == GAP { Some(GAP) } else { change(char) } {
                reading.push_as_is(char, origin);
            }
        }
        reading
    }

    fn letters(&self) -> impl Iterator<Item = (char, Origin)> {
        self.chars.iter().copied().zip(self.origins.iter().copied())
    }

    /// Returns this reading, and every reading after up to three decodings in a row.
    ///
    /// A plain text that is decoded as base64 or hexadecimal is nearly always noise: results that cannot be a text of
    /// at least `shortest` characters are left out.
    pub(super) fn decoded_in_all_ways(self, shortest: usize) -> Vec<Self> {
        let mut readings = vec![self];
        let mut last_decoded = 0..1;
        for _ in 0..MAX_DEPTH {
            let decoded: Vec<Self> = readings
                .get(last_decoded.clone())
                .unwrap_or_default()
                .iter()
                .flat_map(|reading| reading.unescaped().chain(reading.decoded(shortest)))
                .collect();
            for reading in decoded {
                if !readings.contains(&reading) {
                    readings.push(reading);
                }
            }
            last_decoded = last_decoded.end..readings.len();
        }
        readings
    }

    /// Returns what is read if the escapes of one kind are resolved, for each kind that it has.
    pub(super) fn unescaped(&self) -> impl Iterator<Item = Self> {
        const ESCAPES: [(char, Escape); 4] =
            [('%', percent_escape), ('+', form_escape), ('&', html_escape), ('\\', backslash_escape)];
        let escapes = ESCAPES.into_iter().filter(|(first, _)| self.chars.contains(first));
        escapes.filter_map(|(_, escape)| self.unescape(escape))
    }

    fn unescape(&self, escape: Escape) -> Option<Self> {
        let mut text = Self::with_capacity(self.chars.len());
        let mut bytes = Bytes::with_capacity(self.chars.len());
        let mut rest = (self.chars.as_slice(), self.origins.as_slice());
        let mut found = false;
        while let ([char, ..], [first, ..]) = rest {
            let escaped = escape(rest.0);
            let length = escaped.as_ref().map_or(1, |(_, length)| *length);
            let origin = rest.1.get(length - 1).map_or(*first, |last| first.to(*last));
            found |= escaped.is_some();
            match escaped {
                Some((Escaped::Byte(byte), _)) => bytes.push(byte, origin),
                Some((Escaped::Char(char), _)) => {
                    bytes.move_into(&mut text);
                    text.push(char, origin);
                }
                None => {
                    bytes.move_into(&mut text);
                    text.push_as_is(*char, origin);
                }
            }
            rest = (rest.0.get(length..).unwrap_or_default(), rest.1.get(length..).unwrap_or_default());
        }
        bytes.move_into(&mut text);
        found.then_some(text)
    }

    /// Returns what is read if it is base64 or hexadecimal, from each digit on with which a byte can begin.
    fn decoded(&self, shortest: usize) -> impl Iterator<Item = Self> {
        // Base64 and base64url. Other characters break lines, pad, or separate two values.
        let base64 = self.filter_map(|char| base64_value(char).map(|_| char));
        let hexadecimal = self.hexadecimal_digits();
        let base64 = (0..4).filter_map(move |skipped| base64.decode(6, base64_value, skipped, shortest));
        let value = |char: char| char.to_digit(16);
        let hexadecimal = (0..2).filter_map(move |skipped| hexadecimal.decode(4, value, skipped, shortest));
        base64.chain(hexadecimal)
    }

    /// Returns the hexadecimal digits, with gaps for other letters. Anything else, and `0x`, may stand between the
    /// bytes.
    fn hexadecimal_digits(&self) -> Self {
        let mut digits = Self::with_capacity(self.chars.len());
        for (char, origin) in self.letters() {
            if char.is_ascii_hexdigit() {
                digits.push_as_is(char, origin);
            } else if matches!(char, 'x' | 'X') && digits.chars.last() == Some(&'0') {
                digits.chars.pop();
                digits.origins.pop();
            } else if char.is_alphanumeric() || char == GAP {
                digits.push_as_is(GAP, origin);
            }
        }
        digits
    }

    /// Reads texts from digits of so many bits each; `None` if there is none.
    fn decode(&self, bits: u32, value: fn(char) -> Option<u32>, skipped: usize, shortest: usize) -> Option<Self> {
        let mut found = Self::with_capacity(self.chars.len() + 1);
        let mut bytes = Bytes::with_capacity(self.chars.len());
        for (chars, origins) in self.parts() {
            let (mut buffer, mut filled) = (0, 0);
            let mut previous = None;
            for (char, origin) in chars.iter().zip(origins).skip(skipped) {
                buffer = (buffer << bits | value(*char).unwrap_or_default()) & 0xffff;
                filled += bits;
                if filled >= 8 {
                    filled -= 8;
                    let byte = u8::try_from(buffer >> filled & 0xff).unwrap_or_default();
                    bytes.push(byte, previous.unwrap_or(*origin).to(*origin));
                }
                previous = Some(*origin);
            }
            bytes.move_texts_into(&mut found, shortest);
        }
        (!found.chars.is_empty()).then_some(found)
    }

    /// Returns what is between the gaps.
    fn parts(&self) -> impl Iterator<Item = (&[char], &[Origin])> {
        let mut start = 0;
        self.chars.split(|char| *char == GAP).map(move |chars| {
            let origins = self.origins.get(start..start + chars.len()).unwrap_or_default();
            start += chars.len() + 1;
            (chars, origins)
        })
    }
}

fn base64_value(char: char) -> Option<u32> {
    let (first, value_of_first) = match char {
        'A'..='Z' => ('A', 0),
        'a'..='z' => ('a', 26),
        '0'..='9' => ('0', 52),
        '+' | '-' => (char, 62),
        '/' | '_' => (char, 63),
        _ => return None,
    };
    Some(u32::from(char) - u32::from(first) + value_of_first)
}

/// Bytes that were decoded, each with its origin.
struct Bytes {
    bytes: Vec<u8>,
    origins: Vec<Origin>,
}

impl Bytes {
    fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), origins: Vec::with_capacity(capacity) }
    }

    fn push(&mut self, byte: u8, origin: Origin) {
        self.bytes.push(byte);
        self.origins.push(origin);
    }

    /// Takes the bytes out as characters. An error is a byte that is not UTF-8.
    fn drain(&mut self, mut take: impl FnMut(Result<char, u8>, Origin)) {
        let mut at = 0;
        let mut origin_of_next = |length: usize| {
            let origin =
                self.origins.get(at).zip(self.origins.get(at + length - 1)).map(|(first, last)| first.to(*last));
            at += length;
            origin.unwrap_or(Origin { start: 0, end: 0 })
        };
        for chunk in self.bytes.utf8_chunks() {
            chunk.valid().chars().for_each(|char| take(Ok(char), origin_of_next(char.len_utf8())));
            chunk.invalid().iter().for_each(|byte| take(Err(*byte), origin_of_next(1)));
        }
        self.bytes.as_mut_slice().zeroize();
        self.bytes.clear();
        self.origins.clear();
    }

    /// Moves the bytes into a text. Those that are not UTF-8 are read as Latin-1, as older servers write.
    fn move_into(&mut self, text: &mut Reading) {
        self.drain(|char, origin| text.push(char.unwrap_or_else(char::from), origin));
    }

    /// Moves those parts into `found` that may be texts, with a gap after each.
    fn move_texts_into(&mut self, found: &mut Reading, shortest: usize) {
        let mut start = found.chars.len();
        let mut end_text = |found: &mut Reading| {
            if found.chars.len() - start < shortest {
                found.chars.truncate(start);
                found.origins.truncate(start);
            } else {
                found.push_as_is(GAP, Origin { start: 0, end: 0 });
                start = found.chars.len();
            }
        };
        self.drain(|char, origin| match char {
            // Every other byte of UTF-16 is a NUL.
            Ok(char) if !char.is_control() || char.is_whitespace() || char == '\0' => found.push(char, origin),
            Err(byte) if byte >= 0xa0 => found.push(char::from(byte), origin),
            _ => end_text(found),
        });
        end_text(found);
    }
}

/// What one escape stands for.
enum Escaped {
    Char(char),
    Byte(u8),
}

/// Reads an escape with which the characters begin, and returns how many of them it takes.
type Escape = fn(&[char]) -> Option<(Escaped, usize)>;

/// Reads `%41` (RFC 3986, section 2.1) or `%u0041` (JavaScript's `escape`).
fn percent_escape(chars: &[char]) -> Option<(Escaped, usize)> {
    match chars {
        ['%', 'u' | 'U', ..] => utf_16(chars, '%'),
        ['%', digits @ ..] => Some((Escaped::Byte(byte(digits, 2, 16)?), 3)),
        _ => None,
    }
}

/// Reads an escape of a form (`application/x-www-form-urlencoded`).
fn form_escape(chars: &[char]) -> Option<(Escaped, usize)> {
    if chars.first() == Some(&'+') { Some((Escaped::Char(' '), 1)) } else { percent_escape(chars) }
}

/// Reads an escape of JSON, JavaScript, C, Python or Rust.
fn backslash_escape(chars: &[char]) -> Option<(Escaped, usize)> {
    let ['\\', kind, digits @ ..] = chars else { return None };
    let char = match *kind {
        'u' if digits.first() == Some(&'{') => {
            let digits = digits.get(1..)?;
            let length = count_digits(digits, 16);
            return Some((Escaped::Char(char::from_u32(number(digits, length, 16)?)?), length + 4));
        }
        'U' if number(digits, 8, 16).is_some() => {
            return Some((Escaped::Char(char::from_u32(number(digits, 8, 16)?)?), 10));
        }
        'u' | 'U' => return utf_16(chars, '\\'),
        'x' | 'X' => return Some((Escaped::Byte(byte(digits, 2, 16)?), 4)),
        '0'..='3' if chars.get(1..).is_some_and(|digits| byte(digits, 3, 8).is_some()) => {
            return Some((Escaped::Byte(byte(chars.get(1..)?, 3, 8)?), 4));
        }
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'f' => '\u{c}',
        'v' => '\u{b}',
        'b' => '\u{8}',
        '0' => '\0',
        GAP => return None,
        other => other,
    };
    Some((Escaped::Char(char), 2))
}

/// Reads an entity of HTML. Like browsers, it does not require the semicolon.
fn html_escape(chars: &[char]) -> Option<(Escaped, usize)> {
    let ['&', rest @ ..] = chars else { return None };
    let (char, length) = match rest {
        ['#', 'x' | 'X', digits @ ..] => {
            let length = count_digits(digits, 16);
            (char::from_u32(number(digits, length, 16)?)?, length + 3)
        }
        ['#', digits @ ..] => {
            let length = count_digits(digits, 10);
            (char::from_u32(number(digits, length, 10)?)?, length + 2)
        }
        _ => {
            let is_begun_by = |name: &str| {
                let mut chars = rest.iter();
                name.chars().all(|char| chars.next().is_some_and(|other| other.eq_ignore_ascii_case(&char)))
            };
            let longest = ENTITIES.iter().filter(|(name, _)| is_begun_by(name)).max_by_key(|(name, _)| name.len());
            longest.map(|(name, char)| (*char, name.len() + 1))?
        }
    };
    let semicolon = usize::from(chars.get(length) == Some(&';'));
    Some((Escaped::Char(char), length + semicolon))
}

/// Reads `u0041` after that prefix, or two of them that are one character together.
fn utf_16(chars: &[char], prefix: char) -> Option<(Escaped, usize)> {
    const LENGTH: usize = 6;
    let unit = |chars: &[char]| match chars {
        [first, 'u' | 'U', digits @ ..] if *first == prefix => u16::try_from(number(digits, 4, 16)?).ok(),
        _ => None,
    };
    let first = unit(chars)?;
    let second = chars.get(LENGTH..).and_then(unit);
    let mut decoded = char::decode_utf16([Some(first), second].into_iter().flatten());
    let char = decoded.next()?.ok()?;
    Some((Escaped::Char(char), LENGTH * char.len_utf16()))
}

/// Counts the digits at the beginning, leading zeros included, but no more than ten.
fn count_digits(chars: &[char], radix: u32) -> usize {
    const MAX_DIGITS: usize = 10;
    chars.iter().take_while(|char| char.is_digit(radix)).take(MAX_DIGITS).count()
}

/// Reads a number of exactly that many digits.
fn number(chars: &[char], length: usize, radix: u32) -> Option<u32> {
    let digits = chars.get(..length).filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_u32, |number, char| number.checked_mul(radix)?.checked_add(char.to_digit(radix)?))
}

fn byte(chars: &[char], length: usize, radix: u32) -> Option<u8> {
    u8::try_from(number(chars, length, radix)?).ok()
}

/// The entities with which servers write ASCII, Latin-1 and typographic marks (HTML, section 13.5), in any case of
/// letters.
#[rustfmt::skip]
const ENTITIES: &[(&str, char)] = &[
    ("tab", '\t'), ("newline", '\n'), ("excl", '!'), ("quot", '"'), ("num", '#'), ("dollar", '$'), ("percnt", '%'),
    ("amp", '&'), ("apos", '\''), ("lpar", '('), ("rpar", ')'), ("ast", '*'), ("midast", '*'), ("plus", '+'),
    ("comma", ','), ("period", '.'), ("sol", '/'), ("colon", ':'), ("semi", ';'), ("lt", '<'), ("equals", '='),
    ("gt", '>'), ("quest", '?'), ("commat", '@'), ("lsqb", '['), ("lbrack", '['), ("bsol", '\\'), ("rsqb", ']'),
    ("rbrack", ']'), ("hat", '^'), ("lowbar", '_'), ("underbar", '_'), ("grave", '`'), ("diacriticalgrave", '`'),
    ("lcub", '{'), ("lbrace", '{'), ("verbar", '|'), ("vert", '|'), ("verticalline", '|'), ("rcub", '}'),
    ("rbrace", '}'), ("nbsp", '\u{a0}'), ("nonbreakingspace", '\u{a0}'), ("iexcl", '¡'), ("cent", '¢'),
    ("pound", '£'), ("curren", '¤'), ("yen", '¥'), ("brvbar", '¦'), ("sect", '§'), ("uml", '¨'), ("die", '¨'),
    ("dot", '¨'), ("copy", '©'), ("ordf", 'ª'), ("laquo", '«'), ("not", '¬'), ("shy", '\u{ad}'), ("reg", '®'),
    ("circledr", '®'), ("macr", '¯'), ("strns", '¯'), ("deg", '°'), ("plusmn", '±'), ("pm", '±'), ("sup2", '²'),
    ("sup3", '³'), ("acute", '´'), ("micro", 'µ'), ("para", '¶'), ("middot", '·'), ("centerdot", '·'), ("cedil", '¸'),
    ("cedilla", '¸'), ("sup1", '¹'), ("ordm", 'º'), ("raquo", '»'), ("frac14", '¼'), ("frac12", '½'), ("half", '½'),
    ("frac34", '¾'), ("iquest", '¿'), ("agrave", 'à'), ("aacute", 'á'), ("acirc", 'â'), ("atilde", 'ã'),
    ("auml", 'ä'), ("aring", 'å'), ("angst", 'å'), ("aelig", 'æ'), ("ccedil", 'ç'), ("egrave", 'è'), ("eacute", 'é'),
    ("ecirc", 'ê'), ("euml", 'ë'), ("igrave", 'ì'), ("iacute", 'í'), ("icirc", 'î'), ("iuml", 'ï'), ("eth", 'ð'),
    ("ntilde", 'ñ'), ("ograve", 'ò'), ("oacute", 'ó'), ("ocirc", 'ô'), ("otilde", 'õ'), ("ouml", 'ö'), ("times", '×'),
    ("oslash", 'ø'), ("ugrave", 'ù'), ("uacute", 'ú'), ("ucirc", 'û'), ("uuml", 'ü'), ("yacute", 'ý'), ("thorn", 'þ'),
    ("yuml", 'ÿ'), ("szlig", 'ß'), ("divide", '÷'), ("div", '÷'), ("ndash", '–'), ("mdash", '—'), ("lsquo", '‘'),
    ("rsquo", '’'), ("ldquo", '“'), ("rdquo", '”'), ("bull", '•'), ("hellip", '…'), ("euro", '€'), ("trade", '™'),
];

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const SOURCE_LENGTH: usize = 300;

    #[rustfmt::skip]
    const UNITS: &[&str] = &[
        "%", "25", "&", "amp;", "\\", "u0025", "x5c", "#38;", "+", "%2526", "Jg==", "JTI1", "7b", "QUFB", "é", "\0",
        " ",
    ];

    fn readings_of(units: &[&str]) -> Vec<Reading> {
        let text: Vec<char> = units.iter().flat_map(|unit| unit.chars()).cycle().take(SOURCE_LENGTH).collect();
        Reading::of(text.into_iter().map(Some)).decoded_in_all_ways(3)
    }

    fn length(readings: &[Reading]) -> usize {
        readings.iter().map(|reading| reading.chars().len()).sum()
    }

    #[test]
    fn a_usual_text_costs_a_few_times_its_length() {
        let texts =
            ["The provided API key is invalid or is not authorized, please use a valid one. ", "x", " ", "\u{200b}"];
        for text in texts {
            assert!(length(&readings_of(&[text])) < 8 * SOURCE_LENGTH, "{text}: {}", length(&readings_of(&[text])));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// Four escapes, four phases of base64 and two of hexadecimal can follow each other three times, and none makes
        /// a text longer. What is really read is far less.
        #[test]
        fn a_hostile_text_costs_a_limited_number_of_times_its_length(
            units in vec(select(UNITS), 1..40),
        ) {
            let readings = readings_of(&units);
            prop_assert!(readings.len() <= 1 + 10 + 100 + 1000);
            prop_assert!(readings.iter().all(|reading| reading.chars().len() <= SOURCE_LENGTH + 1));
            prop_assert!(length(&readings) <= 100 * SOURCE_LENGTH, "{}", length(&readings));
        }
    }
}
