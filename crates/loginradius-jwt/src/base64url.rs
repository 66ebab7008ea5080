//! base64url as RFC 7515, section 2 has it: no padding, no white space, and one spelling for every value.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Why a text was not read. What it was is not repeated.
#[derive(Debug)]
pub(crate) struct NotBase64url;

pub(crate) fn decode(text: &str) -> Result<Vec<u8>, NotBase64url> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| NotBase64url)
}

/// Decodes into the beginning of the buffer. A text that it has no room for is refused.
pub(crate) fn decode_into<'a>(text: &str, buffer: &'a mut [u8]) -> Result<&'a [u8], NotBase64url> {
    let len = URL_SAFE_NO_PAD.decode_slice(text, buffer).map_err(|_| NotBase64url)?;
    buffer.get(..len).ok_or(NotBase64url)
}
