//! The three parts of a compact JWS (RFC 7515, section 3.1) and its header (section 4).

use serde::de::{IgnoredAny, MapAccess};

use crate::base64url;
use crate::error::{Error, ErrorKind};
use crate::object::{self, Fault, Members};

/// The length of the longest token that is read: 128 KiB, in bytes.
///
/// LoginRadius's tokens have about 1 KiB, and web servers seldom accept headers of more than 8 KiB. The limit bounds
/// the time that a forged token can cost before its signature is found to be wrong.
pub const MAX_TOKEN_LEN: usize = 128 * 1024;

/// A token's three parts, still encoded.
pub(crate) struct Parts<'a> {
    pub(crate) header: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) signature: &'a str,
    /// The signed bytes: the header, a dot and the payload.
    pub(crate) signed: &'a str,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(jwt: &'a str) -> Result<Self, Error> {
        if jwt.len() > MAX_TOKEN_LEN {
            return Err(Error::new(
                ErrorKind::TokenTooLong,
                "the token is longer than 128 KiB, and LoginRadius's have about 1 KiB: check what was passed as one",
            ));
        }
        let parts = || {
            let (signed, signature) = jwt.rsplit_once('.')?;
            let (header, payload) = signed.split_once('.')?;
            if payload.contains('.') { None } else { Some(Self { header, payload, signature, signed }) }
        };
        parts().ok_or_else(|| {
            if jwt.bytes().filter(|byte| *byte == b'.').count() == 4 {
                Error::new(
                    ErrorKind::EncryptedToken,
                    "the token has five parts, so it is encrypted (JWE), and only signed ones can be verified: reject \
                     it",
                )
            } else {
                format(
                    "this is not a signed JWT, as it does not have three parts with dots in between: pass one, or \
                     reject it",
                )
            }
        })
    }

    pub(crate) fn decoded_payload(&self) -> Result<String, Error> {
        let bytes = base64url::decode(self.payload).map_err(|_| {
            format("the token's second part is not base64url: check whether it was cut or has white space in it")
        })?;
        String::from_utf8(bytes)
            .map_err(|_| Error::new(ErrorKind::InvalidClaims, "the token's claims are not UTF-8: reject it"))
    }
}

pub(crate) fn format(message: &'static str) -> Error {
    Error::new(ErrorKind::MalformedToken, message)
}

/// The members of the header that matter. A key in the header (`jwk`, `x5c`) or its URL (`jku`, `x5u`) is never
/// read: the maker of a forged token would choose it (RFC 8725, section 3.10).
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
            format(
                "the token's first part is not base64url: remove white space and the word Bearer in front of the token",
            )
        })?;
        let unreadable = || {
            Error::new(
                ErrorKind::InvalidHeader,
                "the token's header is not a JSON object in which alg, typ and kid are text: reject it",
            )
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| unreadable())?;
        let mut header = Self::default();
        object::read(text, &mut header).map_err(|fault| match fault {
            Fault::Unreadable => unreadable(),
            Fault::Duplicate => {
                Error::new(ErrorKind::InvalidHeader, "the token's header has two members of the same name: reject it")
            }
        })?;
        if header.critical {
            return Err(Error::new(
                ErrorKind::InvalidHeader,
                "the token's header requires extensions (crit), which LoginRadius does not document: reject it",
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
            // Refused whatever its value is: no extension is supported (RFC 7515, section 4.1.11).
            "crit" => {
                map.next_value::<IgnoredAny>()?;
                self.critical = true;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
