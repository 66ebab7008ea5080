//! Values that cannot be guessed: tokens, codes, session ids.

use std::io;

use aws_lc_rs::{digest, hmac, rand};

/// No vowels, so that no words appear by chance (RFC 8628, section 6.1), and no characters that look alike: no 0, 1, 2,
/// 5 or 8, and no B, S or Z.
const USER_CODE_ALPHABET: &[u8] = b"CDFGHJKLMNPQRTVWXY34679";

/// HMAC-SHA-256 of a counter, with a key from the operating system. It is as hard to guess as the key, and cannot fail
/// in the middle of a request, as a call of the operating system could.
pub(crate) struct Random {
    key: hmac::Key,
    counter: u64,
}

impl Random {
    pub(crate) fn new() -> io::Result<Self> {
        let mut key = [0; 32];
        rand::fill(&mut key).map_err(|_| io::Error::other("the operating system provides no random numbers"))?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), counter: 0 })
    }

    fn block(&mut self) -> [u8; 32] {
        self.counter = self.counter.wrapping_add(1);
        let tag = hmac::sign(&self.key, &self.counter.to_be_bytes());
        let mut block = [0; 32];
        block.copy_from_slice(tag.as_ref());
        block
    }

    /// Returns a GUID (RFC 9562, version 4), the form of tokens at `cloud-api.loginradius.com`.
    pub(crate) fn guid(&mut self) -> String {
        let block = self.block();
        let mut bytes: [u8; 16] = [0; 16];
        bytes.copy_from_slice(&block[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = hex(&bytes);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// Returns 32 hexadecimal digits, the form of LoginRadius's device codes.
    pub(crate) fn hex32(&mut self) -> String {
        hex(&self.block()[..16])
    }

    /// Returns 64 hexadecimal digits.
    pub(crate) fn hex64(&mut self) -> String {
        hex(&self.block())
    }

    /// Returns a user code of LoginRadius's form `***-***`.
    pub(crate) fn user_code(&mut self) -> String {
        let mut code = String::with_capacity(7);
        while code.len() < 7 {
            for byte in self.block() {
                // Bytes above the last multiple of the alphabet's length would make its first letters more likely.
                let fair = 256 - 256 % USER_CODE_ALPHABET.len();
                if usize::from(byte) < fair && code.len() < 7 {
                    let letter = USER_CODE_ALPHABET[usize::from(byte) % USER_CODE_ALPHABET.len()];
                    code.push(char::from(letter));
                    if code.len() == 3 {
                        code.push('-');
                    }
                }
            }
        }
        code
    }
}

pub(crate) fn sha256(text: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, text)
}

/// Returns whether two secrets are equal. It compares digests, so that the time it takes does not reveal how much of a
/// guess is right.
pub(crate) fn secrets_match(a: &str, b: &str) -> bool {
    sha256(a.as_bytes()).as_ref() == sha256(b.as_bytes()).as_ref()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn values_have_their_form_and_never_repeat() {
        let mut random = Random::new().unwrap();
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let guid = random.guid();
            assert_eq!(guid.len(), 36);
            assert_eq!(&guid[14..15], "4");
            assert!(seen.insert(guid));
            assert!(seen.insert(random.hex32()));
            assert!(seen.insert(random.hex64()));
            let code = random.user_code();
            assert_eq!((code.len(), &code[3..4]), (7, "-"));
            assert!(code.bytes().all(|letter| letter == b'-' || USER_CODE_ALPHABET.contains(&letter)));
        }
    }
}
