//! Texts with places to fill in.

/// Replaces each name by its value, wherever it is in the text. The first name that fits counts.
pub fn fill_in(text: &[u8], values: &[(&str, &str)]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, others @ ..] = rest {
        let found = values.iter().find_map(|(name, value)| Some((rest.strip_prefix(name.as_bytes())?, value)));
        rest = match found {
            Some((others, value)) => {
                filled.extend_from_slice(value.as_bytes());
                others
            }
            None => {
                filled.push(*first);
                others
            }
        };
    }
    filled
}
