//! The parts of a compact JWS (RFC 7515, section 3.1) and its header (section 4).

use serde::de::{IgnoredAny, MapAccess};

use crate::base64url;
use crate::error::{Check, Error};
use crate::object::{self, Fault, Members};

/// The longest token that is looked at, in bytes: 128 KiB.
///
/// LoginRadius's tokens have about one; servers of the web seldom take more than eight in a header. The limit
/// bounds what a stranger's token can cost before its signature is known to be wrong.
pub const MAX_TOKEN_LEN: usize = 128 * 1024;

/// A token's three parts, still encoded.
pub(crate) struct Parts<'a> {
    pub(crate) header: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) signature: &'a str,
    /// What is signed: the header and the payload with the dot between.
    pub(crate) signed: &'a str,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(jwt: &'a str) -> Result<Self, Error> {
        if jwt.len() > MAX_TOKEN_LEN {
            return Err(Error::new(Check::Size, "the token is longer than 128 KiB: LoginRadius signs no such token"));
        }
        let parts = || {
            let (signed, signature) = jwt.rsplit_once('.')?;
            let (header, payload) = signed.split_once('.')?;
            if payload.contains('.') { None } else { Some(Self { header, payload, signature, signed }) }
        };
        parts().ok_or_else(|| {
            if jwt.bytes().filter(|byte| *byte == b'.').count() == 4 {
                Error::new(
                    Check::Encrypted,
                    "the token has five parts: it is encrypted, not signed, and only signed tokens can be verified",
                )
            } else {
                format("the token is not a signed JWT, which has three parts with dots between")
            }
        })
    }

    pub(crate) fn decoded_payload(&self) -> Result<String, Error> {
        let bytes = base64url::decode(self.payload)
            .map_err(|_| format("the token's second part is not base64url: was it cut, or white space added?"))?;
        String::from_utf8(bytes).map_err(|_| Error::new(Check::Claims, "the claims are not UTF-8"))
    }
}

pub(crate) fn format(message: &'static str) -> Error {
    Error::new(Check::Format, message)
}

/// What of the header counts. Keys and addresses of keys in it (`jwk`, `jku`, `x5c`, `x5u`) are never read:
/// whoever made the token chose them (RFC 8725, section 3.10).
#[derive(Default)]
pub(crate) struct Header {
    pub(crate) algorithm: Option<String>,
    pub(crate) typ: Option<String>,
    pub(crate) key_id: Option<String>,
    critical: bool,
}

impl Header {
    pub(crate) fn read(parts: &Parts<'_>) -> Result<Self, Error> {
        let bytes = base64url::decode(parts.header).map_err(|_| {
            format("the token's first part is not base64url: is there white space or a word such as Bearer before it?")
        })?;
        let unreadable =
            || Error::new(Check::Header, "the token's header is not readable JSON with text for alg, typ and kid");
        let text = std::str::from_utf8(&bytes).map_err(|_| unreadable())?;
        let mut header = Self::default();
        object::read(text, &mut header).map_err(|fault| match fault {
            Fault::Unreadable => unreadable(),
            Fault::Duplicate => Error::new(Check::Header, "the token's header has a member twice"),
        })?;
        if header.critical {
            return Err(Error::new(
                Check::Header,
                "the token's header names extensions that must be understood (crit), and none is: \
                 LoginRadius documents none",
            ));
        }
        Ok(header)
    }
}

impl<'de> Members<'de> for Header {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "alg" => self.algorithm = Some(map.next_value()?),
            "typ" => self.typ = Some(map.next_value()?),
            "kid" => self.key_id = Some(map.next_value()?),
            // Whatever its value is: RFC 7515, section 4.1.11.
            "crit" => {
                map.next_value::<IgnoredAny>()?;
                self.critical = true;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
