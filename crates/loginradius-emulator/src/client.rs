//! Which client sends a request, and how it authenticates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{self, HeaderMap};
use percent_encoding::percent_decode_str;

use crate::params::Params;
use crate::random;
use crate::refusal::Refusal;
use crate::seeded;

/// Whether an operation takes a request without a client secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secret {
    Required,
    /// It may be missing, but a wrong one is refused.
    Optional,
}

/// Returns the client of an OAuth request, after checking its secret.
pub(crate) fn identify(params: &Params, secret: Secret) -> Result<&'static str, Refusal> {
    let (id, expected) = named(params)?;
    match params.optional("client_secret")? {
        Some(given) if random::secrets_match(given, expected) => Ok(id),
        Some(_) => Err(Refusal::ClientSecretWrong),
        None if secret == Secret::Optional => Ok(id),
        None => Err(Refusal::ClientSecretMissing),
    }
}

/// Returns the client that a request names, and its secret.
pub(crate) fn named(params: &Params) -> Result<(&'static str, &'static str), Refusal> {
    let id = params.optional("client_id")?.ok_or(Refusal::ClientIdMissing)?;
    if !has_form_of_key(id) {
        return Err(Refusal::ClientIdMalformed);
    }
    seeded::CLIENTS.into_iter().find(|(known, _)| *known == id).ok_or(Refusal::ClientIdUnknown)
}

/// The client id and the secret of HTTP Basic authentication (RFC 6749, section 2.3.1; RFC 7617).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Basic {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
}

impl Basic {
    /// Reads the header `Authorization`. `None` if there is none, or if it is of another scheme.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Result<Self, Refusal>> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next()?;
        let repeated = values.next().is_some();
        let value = value.to_str().unwrap_or_default();
        let (scheme, encoded) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("Basic") {
            return None;
        }
        let basic = if repeated { None } else { Self::decode(encoded.trim()) };
        // LoginRadius documents no error for the header, so it counts as a malformed client id.
        Some(basic.ok_or(Refusal::ClientIdMalformed))
    }

    fn decode(encoded: &str) -> Option<Self> {
        let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (id, secret) = decoded.split_once(':')?;
        Some(Self { client_id: form_decoded(id)?, client_secret: form_decoded(secret)? })
    }

    /// Adds the credentials to the parameters of a body. The body must not authenticate the client too (RFC 6749,
    /// section 2.3), but may repeat the client id.
    pub(crate) fn add_to(self, mut body: Params) -> Result<Params, Refusal> {
        if body.has("client_secret") {
            return Err(Refusal::TwoAuthenticationMethods);
        }
        match body.optional("client_id")? {
            Some(client_id) if client_id != self.client_id => return Err(Refusal::TwoAuthenticationMethods),
            Some(_) => {}
            None => {
                body.remove("client_id");
                body.add("client_id", self.client_id);
            }
        }
        body.add("client_secret", self.client_secret);
        Ok(body)
    }
}

/// Decodes `application/x-www-form-urlencoded`. `None` if the result is not UTF-8.
fn form_decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|decoded| decoded.into_owned())
}

/// Returns whether this is a GUID, as API keys are (LoginRadius's guide "OAuth 2.0").
pub(crate) fn has_form_of_key(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn read(value: &str) -> Option<Result<Basic, Refusal>> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        Basic::read(&headers)
    }

    fn basic(credentials: &str) -> Option<Result<Basic, Refusal>> {
        read(&format!("Basic {}", STANDARD.encode(credentials)))
    }

    #[test]
    fn both_parts_of_basic_are_form_decoded() {
        let expected = |client_id: &str, client_secret: &str| {
            Some(Ok(Basic { client_id: client_id.into(), client_secret: client_secret.into() }))
        };
        assert_eq!(basic("id:secret"), expected("id", "secret"));
        assert_eq!(basic("i%3Ad:a+b%2B%25%C3%A9:c"), expected("i:d", "a b+%é:c"));
        assert_eq!(basic("id:"), expected("id", ""));
        let lower = format!("basic  {} ", STANDARD.encode("id:secret"));
        assert_eq!(read(&lower), expected("id", "secret"));
    }

    #[test]
    fn a_malformed_basic_header_is_refused_and_another_scheme_is_not_read() {
        for value in ["Basic", "Basic ", "Basic !", "Basic aWQ"] {
            assert_eq!(read(value), Some(Err(Refusal::ClientIdMalformed)), "{value}");
        }
        assert_eq!(basic("no colon"), Some(Err(Refusal::ClientIdMalformed)));
        assert_eq!(basic("id:%FF"), Some(Err(Refusal::ClientIdMalformed)));
        assert_eq!(read("Bearer token"), None);
        assert_eq!(Basic::read(&HeaderMap::new()), None);
        let mut twice = HeaderMap::new();
        twice.append(header::AUTHORIZATION, HeaderValue::from_static("Basic aWQ6c2VjcmV0"));
        twice.append(header::AUTHORIZATION, HeaderValue::from_static("Basic aWQ6c2VjcmV0"));
        assert_eq!(Basic::read(&twice), Some(Err(Refusal::ClientIdMalformed)));
    }
}
