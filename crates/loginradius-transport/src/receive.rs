//! Finishes a response on receipt.

use std::time::SystemTime;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, DATE};
use http::{HeaderMap, HeaderValue, Response};
use loginradius_proto::{Body, Error};

use crate::gzip;
use crate::inflate::Fault;

/// How often a body that was encoded as gzip is decoded. Some servers encode twice by mistake; more is an attack.
const MAX_ENCODINGS: usize = 2;

/// Finishes a response on receipt: adds `Date` if it has none that can be read ([RFC 9110, section 6.6.1]), and decodes
/// its body into at most [`Body::LIMIT`] bytes.
///
/// Send `Accept-Encoding: identity`, and turn off your HTTP library's own decoding. Some servers and proxies send gzip
/// all the same, and this function decodes it. The work is in proportion to the bytes, whatever they are.
///
/// - An empty body stays empty, whatever its `Content-Encoding`.
/// - A body with `Content-Encoding: gzip` that does not begin like gzip is kept as it is: an HTTP library has decoded
///   it and left the header in place, or the server did not encode it.
/// - `Content-Encoding` and `Content-Length` are removed from a response that had a `Content-Encoding` and a body.
///
/// ```
/// # use std::time::{Duration, SystemTime};
/// use loginradius_proto::{Body, http};
/// use loginradius_transport::receive;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
/// let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x01\x02\x00\xfd\xff{}\x43\xbf\xa6\xa3\x02\x00\x00\x00";
/// let response = http::Response::builder().header("Content-Encoding", "GZIP").body(Body::from(gzip.to_vec()))?;
/// let response = receive(response, now)?; // `SystemTime::now()`, when the response has come
/// assert_eq!(response.body().as_bytes(), b"{}");
/// assert_eq!(response.headers()["Date"], "Sun, 06 Nov 1994 08:49:37 GMT");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::incomplete_response`], which names the cause, if the body has another coding than gzip, is encoded as
/// gzip more than twice, is damaged or cut off, or is longer than [`Body::LIMIT`].
///
/// [RFC 9110, section 6.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1
#[doc(alias("gzip", "decompress", "content-encoding"))]
pub fn receive(mut response: Response<Body>, received_at: SystemTime) -> Result<Response<Body>, Error> {
    add_date(response.headers_mut(), received_at);
    if response.headers().contains_key(CONTENT_ENCODING) && !response.body().is_empty() {
        let encodings = gzip_encodings(response.headers())?;
        let (mut parts, mut body) = response.into_parts();
        for _ in 0..encodings {
            if body.as_bytes().starts_with(&gzip::MAGIC) {
                body = decode(&body)?;
            }
        }
        parts.headers.remove(CONTENT_ENCODING);
        parts.headers.remove(CONTENT_LENGTH);
        response = Response::from_parts(parts, body);
    }
    if response.body().as_bytes().len() > Body::LIMIT {
        return Err(Error::incomplete_response("it is longer than 1 MiB"));
    }
    Ok(response)
}

fn add_date(headers: &mut HeaderMap, received_at: SystemTime) {
    /// The end of the year 9999, the last that the header can hold.
    const END_OF_DATES: u64 = 253_402_300_800;
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    if date.is_some_and(|date| httpdate::parse_http_date(date).is_ok()) {
        return;
    }
    let since = received_at.duration_since(SystemTime::UNIX_EPOCH);
    if since.is_ok_and(|since| since.as_secs() < END_OF_DATES)
        && let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(received_at))
    {
        headers.insert(DATE, date);
    }
}

/// Counts how often a body was encoded as gzip ([RFC 9110, section 8.4]).
///
/// [RFC 9110, section 8.4]: https://www.rfc-editor.org/rfc/rfc9110#section-8.4
fn gzip_encodings(headers: &HeaderMap) -> Result<usize, Error> {
    /// The other codings of IANA's registry. A server's own words are not shown: they could repeat a secret.
    const KNOWN: [&str; 6] = ["br", "compress", "dcb", "dcz", "deflate", "zstd"];
    let mut encodings = 0;
    for value in headers.get_all(CONTENT_ENCODING) {
        for coding in String::from_utf8_lossy(value.as_bytes()).split(',') {
            match coding.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" => encodings += 1,
                coding => {
                    let coding = match KNOWN.iter().find(|known| **known == coding) {
                        Some(known) => format!("the content coding {known}"),
                        None => "an unknown content coding".to_owned(),
                    };
                    return Err(Error::incomplete_response(format!("it has {coding}, which was not requested")));
                }
            }
        }
    }
    if encodings > MAX_ENCODINGS {
        return Err(Error::incomplete_response("it is encoded as gzip more than twice"));
    }
    Ok(encodings)
}

fn decode(body: &Body) -> Result<Body, Error> {
    gzip::decode(body.as_bytes()).map_err(|fault| {
        Error::incomplete_response(match fault {
            Fault::CutOff => "its gzip is cut off",
            Fault::Damaged => "its gzip is damaged",
            Fault::TooLong => "it is longer than 1 MiB, and was not decoded to its end",
        })
    })
}
