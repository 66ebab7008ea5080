//! Who is calling.

use crate::params::Params;
use crate::random;
use crate::refusal::Refusal;
use crate::seeded;

/// Whether an operation takes a request without a client secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secret {
    Required,
    /// It may be missing. A wrong one is refused all the same.
    Optional,
}

/// The client of an OAuth request.
pub(crate) fn identify(params: &Params, secret: Secret) -> Result<&'static str, Refusal> {
    let (id, expected) = named(params)?;
    match params.optional("client_secret")? {
        Some(given) if random::same(given, expected) => Ok(id),
        Some(_) => Err(Refusal::ClientSecretWrong),
        None if secret == Secret::Optional => Ok(id),
        None => Err(Refusal::ClientSecretMissing),
    }
}

/// The client that a request names, and its secret.
pub(crate) fn named(params: &Params) -> Result<(&'static str, &'static str), Refusal> {
    let id = params.optional("client_id")?.ok_or(Refusal::ClientIdMissing)?;
    if !has_form_of_key(id) {
        return Err(Refusal::ClientIdMalformed);
    }
    seeded::CLIENTS.into_iter().find(|(known, _)| *known == id).ok_or(Refusal::ClientIdUnknown)
}

/// API keys are GUIDs (LoginRadius's guide "OAuth 2.0").
pub(crate) fn has_form_of_key(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
