//! The secrets that the flows handle, and how to find any of them in a block of memory.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

// Each consists of parts that percent-encoding, JSON and HTML leave as they are, joined by characters that they encode.
pub const ACCESS_TOKEN: &str = "KBJHFhMpKYolVviU-sb6QL4PC6TMF3ctI.JnlgolcAjq4nOtGq";
pub const NEXT_ACCESS_TOKEN: &str = "Li0GAtbfFEGXspwk-vLwDgXHeueFnkxbz.5hNJwToQl8O6APHw";
pub const REFRESH_TOKEN: &str = "FhsTitF9Cg2NGN64+YRD9DnvMuRQPGCCH/TpUU9pENyYyEFW8y=";
pub const ID_TOKEN: &str = "Zcvv1aDmTeewbnE5.yUY6In0S2OX1Q3Hq.pdVV9RJnyJ8MZNl1";
pub const JWT: &str = "kEqDEoq9NxmC1e0n.9LalSeF3SyYXFRYC.bsiqYULtayIcvUgM";
pub const CLIENT_SECRET: &str = "AeTkovXjVOlAHKzE:Ihm8Gbrila69vpMC&nEjmsjTk6guymgOK";
pub const PASSWORD: &str = "sQuoDckkzpKGDiYo \"ä\\<wWMgaKepQQrFCLiq&+92BT4AOywTI734BN";
pub const DEVICE_CODE: &str = "7jzWqTdE3uIt1gn1-ZrF8vauUKbcPSSAp-SLPbLXeU8k0lKEOi";
pub const CODE: &str = "JSTZJ6mcNM0mM3Sx/wDMgfBHgqK2kbBBs+jurjsUtyOpHBCu5I";
pub const CODE_VERIFIER: &str = "G7LDEZfJH00iUprq-7w7uSze0frUHsnBc_cFAwfOen0ARVLMpe";
/// What an endpoint of a user's own sends.
pub const OWN: &str = "EJNFR96AzXTnd6KN Q9tAjsfDuvRksrc7&IT3cKqbeze8EY5Ar";
/// In the URL of a proxy.
pub const PROXY_PASSWORD: &str = "Ry3kVtGm0ZsWq8Ub/n5XcJd7LhPa2Ef9To:w4MiKz6CgQy1BvNxS";
/// Of a login through a browser: state, verifier and nonce.
pub const RANDOM: [u8; 96] =
    *b"S8RcKiFVBa8KgfvJ0HkwFAnUpV1hPZp5r7ectQHfUj9aYV0EaSYkJ9ntIYgbU1qKwrBN58kx5J4aB16B1Cc9HVfvOZIji97c";

pub const SECRETS: [(&str, &str); 12] = [
    ("access token", ACCESS_TOKEN),
    ("next access token", NEXT_ACCESS_TOKEN),
    ("refresh token", REFRESH_TOKEN),
    ("id_token", ID_TOKEN),
    ("JWT", JWT),
    ("client secret", CLIENT_SECRET),
    ("password", PASSWORD),
    ("device code", DEVICE_CODE),
    ("code", CODE),
    ("code verifier", CODE_VERIFIER),
    ("own", OWN),
    ("proxy password", PROXY_PASSWORD),
];

/// How many bytes of a secret in a row are a finding, in upper or lower case.
pub const WINDOW: usize = 8;

/// So many characters are one number where errors are redacted.
const PACKED: usize = 6;
const PACKED_BITS: usize = 21;

/// What every run of [`WINDOW`] bytes of a secret looks like, also in base64.
pub struct Patterns {
    names: HashMap<u64, &'static str>,
    /// The same of [`PACKED`] bytes.
    packed: HashMap<u64, &'static str>,
    /// Tells most other runs apart without a look into the map.
    filter: Vec<bool>,
}

impl Patterns {
    pub fn new() -> Self {
        let mut patterns = Self { names: HashMap::new(), packed: HashMap::new(), filter: vec![false; 1 << 16] };
        for (name, secret) in SECRETS {
            for part in secret.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()) {
                assert!(part.len() >= 2 * WINDOW, "{name}: every part is long enough to be found in base64");
                patterns.add(name, part.as_bytes());
            }
        }
        for (name, bytes) in ["state", "code verifier", "nonce"].into_iter().zip(RANDOM.chunks(32)) {
            patterns.add(name, bytes);
        }
        patterns
    }

    fn add(&mut self, name: &'static str, part: &[u8]) {
        self.add_windows(name, part);
        // A part may begin at any of the three bytes of a group that base64 encodes.
        for start in 0..3 {
            let whole = part.get(start..part.len() - (part.len() - start) % 3).unwrap_or_default();
            for text in [STANDARD_NO_PAD.encode(whole), URL_SAFE_NO_PAD.encode(whole)] {
                self.add_windows(name, text.as_bytes());
            }
        }
    }

    fn add_windows(&mut self, name: &'static str, bytes: &[u8]) {
        let value = |window: &[u8]| window.iter().fold(0, |value, byte| shifted(value, *byte));
        for window in bytes.windows(WINDOW) {
            self.filter[hash(value(window))] = true;
            self.names.insert(value(window), name);
        }
        self.packed.extend(bytes.windows(PACKED).map(|window| (value(window), name)));
    }

    /// Names the first secret of which a part is in the memory: as bytes, as a slice of `char`, or packed.
    pub fn find(&self, block: &[u8]) -> Option<&'static str> {
        let chars = block.as_chunks().0.iter().map(|char| u8::try_from(u32::from_ne_bytes(*char)).unwrap_or_default());
        let packed = || block.as_chunks().0.iter().find_map(|number| self.find_packed(u128::from_ne_bytes(*number)));
        self.find_text(block.iter().copied()).or_else(|| self.find_text(chars)).or_else(packed)
    }

    fn find_packed(&self, number: u128) -> Option<&'static str> {
        let mut value = 0;
        for at in (0..PACKED).rev() {
            let char = (number >> (at * PACKED_BITS)) & ((1 << PACKED_BITS) - 1);
            value = shifted(value, u8::try_from(char).ok()?);
        }
        self.packed.get(&value).copied()
    }

    fn find_text(&self, bytes: impl Iterator<Item = u8>) -> Option<&'static str> {
        let mut value = 0;
        for byte in bytes {
            value = shifted(value, byte);
            if self.filter[hash(value)]
                && let Some(name) = self.names.get(&value)
            {
                return Some(name);
            }
        }
        None
    }
}

fn shifted(value: u64, byte: u8) -> u64 {
    (value << 8) | u64::from(byte.to_ascii_lowercase())
}

fn hash(value: u64) -> usize {
    (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
}
