//! Tells a key in the form of a file from a secret.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::der;

/// Whether what was given as a secret is a key in a file's form, so that it is likely public.
///
/// Looked for anywhere: fast-jwt looked at the beginning alone, and what stood before the PEM let it through, first
/// white space (CVE-2026-34950), then any other character (GHSA-ww5h-9m49-7xx4).
pub(super) fn looks_like_a_key_file(secret: &[u8]) -> bool {
    is_text_key(secret) || is_der(secret) || is_base64_key(secret)
}

fn is_text_key(text: &[u8]) -> bool {
    let has = |needle: &[u8]| text.windows(needle.len()).any(|window| window == needle);
    // OpenSSH's are one line, with options before or a host's name; RFC 4716 has four hyphens.
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
    // No key is shorter (Ed25519 has 44 bytes), and a short secret may be any bytes.
    bytes.len() >= 44 && der::is_key_or_certificate(bytes)
}

/// A PEM's body without its first and last line, or a whole PEM in base64, as environment variables hold it.
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
