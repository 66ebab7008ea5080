//! Reading a token without knowing who wrote it.
//!
//! Everything in here may have been made up by whoever sent the token. Good for a look in a debugger, and for
//! choosing which [`Verifier`](crate::Verifier) to ask; never for letting anybody in.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::claims::Claims;
use crate::error::{Check, Error};
use crate::header::{Header, Parts};
use crate::verified;

/// Reads a token and verifies nothing: not the signature, not the expiry, not the issuer.
///
/// ```
/// use loginradius_jwt::dangerous;
///
/// let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbnlib2R5In0.bm8tc2lnbmF0dXJl";
/// let claims = dangerous::read_without_verification(jwt)?.claims_map()?;
/// assert_eq!(claims["sub"], "anybody");
/// # Ok::<(), loginradius_jwt::Error>(())
/// ```
///
/// # Errors
///
/// If the token cannot be read: [`Check::Size`], [`Check::Format`], [`Check::Encrypted`], [`Check::Header`],
/// [`Check::Algorithm`] if the header has none, [`Check::Claims`], or the check of a claim of the wrong type.
pub fn read_without_verification(jwt: &str) -> Result<Unverified, Error> {
    let parts = Parts::new(jwt)?;
    let header = Header::read(&parts)?;
    let algorithm = header.algorithm.ok_or_else(|| Error::new(Check::Algorithm, "the token's header names no alg"))?;
    let payload = parts.decoded_payload()?;
    Claims::read(&payload)?;
    Ok(Unverified { payload, algorithm, key_id: header.key_id })
}

/// What a token says. Nobody knows whether it is true.
///
/// `Debug` prints nothing of it.
#[derive(Clone)]
pub struct Unverified {
    payload: String,
    algorithm: String,
    key_id: Option<String>,
}

impl Unverified {
    /// The header's `alg`, which may be any text. A verifier must not take its algorithm from here.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The header's `kid`.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The claims as the caller's own type.
    ///
    /// # Errors
    ///
    /// [`Check::Claims`] if they do not fit the type.
    pub fn claims<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        verified::claims(&self.payload)
    }

    /// All claims.
    ///
    /// # Errors
    ///
    /// [`Check::Claims`] as of [`Verified::claims_map`](crate::Verified::claims_map).
    pub fn claims_map(&self) -> Result<Map<String, Value>, Error> {
        verified::claims(&self.payload)
    }
}

impl fmt::Debug for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unverified")
    }
}
