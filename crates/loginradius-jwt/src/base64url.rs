//! base64url of RFC 7515, section 2: no padding, no white space, and exactly one spelling of each value.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text is not base64url. The error holds nothing of the text.
#[derive(Debug)]
pub(crate) struct NotBase64url;

pub(crate) fn decode(text: &str) -> Result<Vec<u8>, NotBase64url> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| NotBase64url)
}

/// Decodes into the beginning of the buffer, and refuses text for which the buffer is too short.
pub(crate) fn decode_into<'a>(text: &str, buffer: &'a mut [u8]) -> Result<&'a [u8], NotBase64url> {
    let len = URL_SAFE_NO_PAD.decode_slice(text, buffer).map_err(|_| NotBase64url)?;
    buffer.get(..len).ok_or(NotBase64url)
}
