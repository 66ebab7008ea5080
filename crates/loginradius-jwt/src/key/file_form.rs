//! Recognizes key files that are given as a secret.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::der;

/// Returns whether a secret is a key file, so that it is likely public.
///
/// The whole text is searched. fast-jwt only looked at the beginning, so a PEM was not found behind white space
/// (CVE-2026-34950), and later behind any other character (GHSA-ww5h-9m49-7xx4).
pub(super) fn looks_like_a_key_file(secret: &[u8]) -> bool {
    is_text_key(secret) || is_der(secret) || is_base64_key(secret)
}

fn is_text_key(text: &[u8]) -> bool {
    let has = |needle: &[u8]| text.windows(needle.len()).any(|window| window == needle);
    // RFC 4716 has four hyphens. OpenSSH's keys are one line, possibly with options or a host name in front.
    has(b"---- BEGIN")
        || has(b"-----BEGIN")
        || [&b"\"kty\""[..], b"'kty'", b"\\\"kty\\\""].into_iter().any(has)
        || [&b"ssh-rsa AAAA"[..], b"ssh-ed25519 AAAA", b"ecdsa-sha2-nistp"].into_iter().any(has)
        || is_ssh(text.trim_ascii_start())
}

pub(super) fn is_ssh(text: &[u8]) -> bool {
    text.starts_with(b"ssh-") || text.starts_with(b"ecdsa-sha2-")
}

fn is_der(bytes: &[u8]) -> bool {
    // No key is shorter than Ed25519's 44 bytes. A short secret may look like DER by chance.
    bytes.len() >= 44 && der::is_key_or_certificate(bytes)
}

/// Returns whether the text is the body of a PEM without its first and last line, or a key file in base64, as
/// environment variables often have it.
fn is_base64_key(text: &[u8]) -> bool {
    const ANY: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const ENGINES: [GeneralPurpose; 2] =
        [GeneralPurpose::new(&alphabet::STANDARD, ANY), GeneralPurpose::new(&alphabet::URL_SAFE, ANY)];
    let text: Zeroizing<Vec<u8>> = Zeroizing::new(
        text.iter().copied().filter(|byte| !byte.is_ascii_whitespace() && !b"\"'".contains(byte)).collect(),
    );
    let mut decoded = ENGINES.iter().filter_map(|engine| engine.decode(&*text).ok().map(Zeroizing::new));
    decoded.any(|decoded| is_der(&decoded) || is_text_key(&decoded))
}
