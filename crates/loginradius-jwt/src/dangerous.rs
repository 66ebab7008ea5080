//! Reads tokens without verifying them.
//!
//! Everything in such a token may be forged. Use it for debugging, and to choose the [`Verifier`](crate::Verifier)
//! that verifies the token; never to decide who the user is or what the user may do.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::claims::Claims;
use crate::error::{Error, ErrorKind};
use crate::header::{Header, Parts};
use crate::verified;

/// Reads a token and verifies nothing: not the signature, not the expiry, not the issuer.
///
/// ```
/// use loginradius_jwt::dangerous;
///
/// let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJtYWRlLXVwIn0.bm8tc2lnbmF0dXJl";
/// let token = dangerous::read_without_verification(jwt)?;
/// assert_eq!(token.algorithm(), "HS256");
/// assert_eq!(token.claims_map()?["sub"], "made-up");
/// # Ok::<(), loginradius_jwt::Error>(())
/// ```
///
/// # Errors
///
/// If the token cannot be read: [`ErrorKind::TokenTooLong`], [`ErrorKind::MalformedToken`],
/// [`ErrorKind::EncryptedToken`], [`ErrorKind::InvalidHeader`] or [`ErrorKind::InvalidClaims`].
#[doc(alias("decode", "insecure_decode", "peek"))]
pub fn read_without_verification(jwt: &str) -> Result<UnverifiedToken, Error> {
    let parts = Parts::new(jwt)?;
    let header = Header::read(&parts)?;
    let algorithm = header
        .algorithm
        .ok_or_else(|| Error::new(ErrorKind::InvalidHeader, "the token's header has no alg: reject it"))?;
    let payload = parts.decoded_payload()?;
    Claims::read(&payload)?;
    Ok(UnverifiedToken { payload, algorithm, key_id: header.key_id })
}

/// A token that was read and not verified: all of it may be forged.
///
/// Made by [`read_without_verification`]. `Debug` shows nothing of the token.
#[derive(Clone)]
pub struct UnverifiedToken {
    payload: String,
    algorithm: String,
    key_id: Option<String>,
}

impl UnverifiedToken {
    /// Returns the header's `alg`, which may be any text. Never choose a verifier's algorithm by it
    /// ([RFC 8725, section 3.1](https://www.rfc-editor.org/rfc/rfc8725#section-3.1)).
    #[must_use]
    #[doc(alias = "alg")]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// Returns the header's `kid`.
    #[must_use]
    #[doc(alias = "kid")]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Deserializes the claims into a type of your own, as [`VerifiedToken::claims`](crate::VerifiedToken::claims)
    /// does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Deserialize`] if they do not fit the type.
    pub fn claims<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        verified::claims(&self.payload)
    }

    /// Returns all claims, as [`VerifiedToken::claims_map`](crate::VerifiedToken::claims_map) does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Deserialize`] as for `VerifiedToken::claims_map`.
    pub fn claims_map(&self) -> Result<Map<String, Value>, Error> {
        verified::claims(&self.payload)
    }
}

/// Shows nothing of the token.
impl fmt::Debug for UnverifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnverifiedToken")
    }
}
