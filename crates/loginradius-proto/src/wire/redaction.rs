//! Removes secrets from a server's texts before they are printed.

use zeroize::Zeroizing;

use super::decoding::{Origin, Reading};
use super::known_texts::is_known;

/// How many characters of a secret in a row no text shows.
const RUN: usize = 6;

/// Shorter secrets are not redacted: that would make the text unreadable.
const MIN_SECRET_LENGTH: usize = 3;

const REDACTED: &str = "[redacted]";

/// The longest text that is shown, in characters. The `[redacted]` at its end may reach beyond.
const MAX_LENGTH: usize = 300;

/// The parts of the secrets of a request and its response that no text of a server may show.
pub(super) struct Redaction {
    /// In the order of their lengths.
    forbidden: Vec<Runs>,
}

impl Redaction {
    /// Forbids each run of six characters of the secrets, and all of a secret that is shorter.
    pub(super) fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let forms: Vec<Reading> = secrets.into_iter().flat_map(forms_of_secret).collect();
        let runs = (MIN_SECRET_LENGTH..=RUN).map(|length| Runs::new(length, &forms));
        Self { forbidden: runs.filter(|runs| !runs.packed.is_empty()).collect() }
    }

    /// Cleans a server's text for printing: on one line, cut after 300 characters, and with `[redacted]` for the
    /// secrets.
    ///
    /// A text that LoginRadius documents is shown whatever the secrets are. It reveals nothing about them, and every
    /// text about passwords has six characters of `password1`.
    pub(super) fn clean(&self, text: &str) -> String {
        // What is cut off is not shown, so it needs no decoding either, which bounds the work.
        let text = text.char_indices().nth(MAX_LENGTH).map_or(text, |(end, _)| text.get(..end).unwrap_or_default());
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_LENGTH));
        line.extend(text.chars().map(printable).map(Some));
        if is_known(text) {
            return written(&line);
        }
        let found = self.find(&line);
        if found.is_empty() {
            return written(&line);
        }
        for Origin { start, end } in &found {
            if let Some(part) = line.get_mut(*start..*end) {
                part.fill(None);
            }
        }
        // What is left may decode to something else than before.
        if self.find(&line).is_empty() { written(&line) } else { REDACTED.to_owned() }
    }

    /// Returns the parts of the line in which a secret can be read, encoded or not.
    fn find(&self, line: &[Option<char>]) -> Vec<Origin> {
        let Some(shortest) = self.forbidden.first() else { return Vec::new() };
        let readings = Reading::of(line.iter().copied()).decoded_in_all_ways(shortest.length);
        let mut found = Vec::new();
        for form in readings.iter().flat_map(compared_forms) {
            for forbidden in &self.forbidden {
                let runs = form.runs(forbidden.length).filter(|(run, _)| forbidden.contain(run));
                found.extend(runs.map(|(_, origin)| origin));
            }
        }
        found
    }
}

/// Writes the line with `[redacted]` for each gap.
fn written(line: &[Option<char>]) -> String {
    let mut text = String::new();
    let mut length = 0;
    let mut before = Some(' ');
    for char in line.iter().copied() {
        if length >= MAX_LENGTH {
            break;
        }
        match char {
            Some(char) => {
                text.push(char);
                length += 1;
            }
            None if before.is_some() => {
                text.push_str(REDACTED);
                length += REDACTED.len();
            }
            None => {}
        }
        before = char;
    }
    text.trim().to_owned()
}

/// Returns a blank for a control character, a line separator, or a mark that changes the direction of text.
fn printable(char: char) -> char {
    let separates = matches!(char, '\u{2028}' | '\u{2029}');
    let turns = matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if char.is_control() || separates || turns { ' ' } else { char }
}

/// Returns the forms of the secret with which texts are compared, also those of the secret with its escapes resolved,
/// as a server may read it.
fn forms_of_secret(secret: &str) -> Vec<Reading> {
    let secret = Reading::of(secret.chars().map(Some));
    // Fewer letters of a long secret, between its marks, are no run of it, and are in many words.
    let min_length = if secret.chars().len() < RUN { MIN_SECRET_LENGTH } else { RUN };
    let mut forms = compared_forms(&secret);
    forms.extend(secret.unescaped().flat_map(|reading| compared_forms(&reading)));
    forms.retain(|form| form.chars().len() >= min_length);
    forms
}

/// Returns the forms in which texts and secrets are compared, all in one case: with all characters, without blanks,
/// without blanks and backslashes, and with letters and digits only.
fn compared_forms(reading: &Reading) -> Vec<Reading> {
    let all = reading.without_case();
    let mut forms = vec![
        all.filter_map(|char| Some(if char.is_whitespace() { ' ' } else { char })),
        all.filter_map(|char| (!char.is_whitespace()).then_some(char)),
        // A server may also mean nothing by a backslash that would begin an escape of JavaScript or C, such as `\0`.
        all.filter_map(|char| (!char.is_whitespace() && char != '\\').then_some(char)),
        all.filter_map(|char| char.is_alphanumeric().then_some(char)),
    ];
    // Each is a part of the one before.
    forms.dedup_by_key(|form| form.chars().len());
    forms
}

/// Runs of characters of the same length.
struct Runs {
    length: usize,
    /// Sorted.
    packed: Zeroizing<Vec<u128>>,
}

impl Runs {
    /// Takes the runs of that length from the forms of secrets.
    fn new(length: usize, forms: &[Reading]) -> Self {
        let of_that_length = |form: &&Reading| form.chars().len().min(RUN) == length;
        let runs = || forms.iter().filter(of_that_length).flat_map(|form| form.runs(length));
        let mut packed = Zeroizing::new(Vec::with_capacity(runs().count()));
        packed.extend(runs().map(|(run, _)| pack(run.iter())));
        packed.sort_unstable();
        packed.dedup();
        Self { length, packed }
    }

    /// Returns whether the run is one of these, forwards or backwards.
    fn contain(&self, run: &[char]) -> bool {
        [pack(run.iter()), pack(run.iter().rev())].iter().any(|packed| self.packed.binary_search(packed).is_ok())
    }
}

/// Packs up to six characters, of 21 bits each.
fn pack<'a>(run: impl Iterator<Item = &'a char>) -> u128 {
    run.fold(0, |packed, char| packed << 21 | u128::from(u32::from(*char)))
}
