//! What is done to a response on receipt.

use std::io::Read;
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, DATE};
use http::{HeaderValue, Response};
use loginradius_proto::{Body, Error};

/// Finishes a response on receipt: adds `Date` if it has none ([RFC 9110, section 6.6.1]), and decodes its content
/// coding into at most [`Body::LIMIT`] bytes.
///
/// Ask for `Accept-Encoding: identity`: this reads what comes all the same.
///
/// # Errors
///
/// [`Error::outcome_unknown`] if the body cannot be read, with the cause.
///
/// [RFC 9110, section 6.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1
pub fn receive(mut response: Response<Body>, received_at: SystemTime) -> Result<Response<Body>, Error> {
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(received_at)) {
        response.headers_mut().entry(DATE).or_insert(date);
    }
    let is_gzip = response.headers().get(CONTENT_ENCODING).is_some_and(|value| value == "gzip");
    if !is_gzip || response.body().is_empty() {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let mut bytes = Vec::with_capacity(Body::LIMIT + 1);
    MultiGzDecoder::new(body.as_bytes())
        .take(Body::LIMIT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::outcome_unknown)?;
    parts.headers.remove(CONTENT_ENCODING);
    parts.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(parts, Body::from(bytes)))
}
