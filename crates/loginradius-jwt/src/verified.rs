use std::fmt;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::claims::Claims;
use crate::error::{Check, Error};

/// A token whose signature and claims held. Only a [`Verifier`](crate::Verifier) makes one.
///
/// `Debug` prints the issuer and the expiry, nothing about the person.
#[derive(Clone)]
pub struct Verified {
    payload: String,
    claims: Claims,
    issuer: String,
    expires_at: SystemTime,
    key_id: Option<String>,
}

impl Verified {
    pub(crate) fn new(
        payload: String,
        claims: Claims,
        issuer: String,
        expires_at: SystemTime,
        key_id: Option<String>,
    ) -> Self {
        Self { payload, claims, issuer, expires_at, key_id }
    }

    /// `iss`: the expected issuer, but for the slash that
    /// [`issuer_slash_ignored`](crate::Verifier::issuer_slash_ignored) ignores.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `sub`: whom the token is about, at LoginRadius the account's uid.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims.subject.as_deref()
    }

    /// `aud`: whom the token is for. Empty if the token does not say, which only
    /// [`Audience::NotChecked`](crate::Audience::NotChecked) accepts.
    #[must_use]
    pub fn audience(&self) -> &[String] {
        self.claims.audience.as_ref().map_or(&[], |audiences| &audiences.0)
    }

    /// `exp`: when the token ends. The verifier's leeway is not in it.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// `nbf`: when the token begins.
    #[must_use]
    pub fn not_before(&self) -> Option<SystemTime> {
        self.claims.not_before
    }

    /// `iat`: when the token was made. It may be a little ahead of the machine's clock; nothing checks it.
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.claims.issued_at
    }

    /// `jti`: the token's own id. To take a token once only, remember the ids that were seen until they expire.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.claims.id.as_deref()
    }

    /// `nonce`: what the sign-in sent. [`verify_nonce`](crate::Verifier::verify_nonce) compares it.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        self.claims.nonce.as_deref()
    }

    /// The header's `kid`. If the verifier has a single key, nothing was done with it.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The claims as the caller's own type, which may borrow from this one.
    ///
    /// LoginRadius sends null for what a profile has no value for: such fields are an `Option`.
    ///
    /// ```
    /// # use loginradius_jwt::{Error, Verified};
    /// #[derive(serde::Deserialize)]
    /// struct Profile<'a> {
    ///     email: &'a str,
    ///     firstname: Option<String>,
    /// }
    ///
    /// fn greet(token: &Verified) -> Result<String, Error> {
    ///     let profile: Profile<'_> = token.claims()?;
    ///     Ok(format!("Hello {}", profile.firstname.unwrap_or_else(|| profile.email.to_owned())))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Check::Claims`] if they do not fit the type. The error names the place and a missing field, no value.
    pub fn claims<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        claims(&self.payload)
    }

    /// All claims.
    ///
    /// # Errors
    ///
    /// [`Check::Claims`] if a claim that is not registered has values nested more than 127 deep, a number too
    /// large for JSON's usual range, or text with half of a surrogate pair.
    pub fn claims_map(&self) -> Result<Map<String, Value>, Error> {
        claims(&self.payload)
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("issuer", &self.issuer)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Reads JSON as the caller's type. serde's message may quote a value, so that little of it is kept.
pub(crate) fn claims<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| {
        let message = error.to_string();
        // The name is one of the caller's own fields.
        let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
        Error::new(
            Check::Claims,
            match missing {
                Some((field, _)) => format!("the claims do not fit the type: the field `{field}` is missing"),
                // Of these kinds the message quotes no value.
                None if message.starts_with("invalid type: null") => format!(
                    "the claims do not fit the type: a claim is null (column {}), so its field has to be an `Option`",
                    error.column()
                ),
                None => format!(
                    "the claims do not fit the type: see line {}, column {} of the claims, or read `claims_map`",
                    error.line(),
                    error.column()
                ),
            },
        )
    })
}
