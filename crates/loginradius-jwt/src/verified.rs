use std::fmt;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::claims::Claims;
use crate::error::{Error, ErrorKind};

/// A token whose signature and claims are valid. Only a [`Verifier`](crate::Verifier) makes one.
///
/// It says what was true at the time of the verification: it does not watch the clock, and may have expired since.
///
/// The methods named after registered claims ([RFC 7519, section 4.1]) return `None` if the claim is absent or null.
///
/// `Debug` shows the issuer and the expiry, and nothing about the user.
///
/// [RFC 7519, section 4.1]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1
#[derive(Clone)]
#[doc(alias("claims", "payload", "TokenData"))]
pub struct VerifiedToken {
    payload: String,
    claims: Claims,
    issuer: String,
    expires_at: SystemTime,
    key_id: Option<String>,
}

impl VerifiedToken {
    pub(crate) fn new(
        payload: String,
        claims: Claims,
        issuer: String,
        expires_at: SystemTime,
        key_id: Option<String>,
    ) -> Self {
        Self { payload, claims, issuer, expires_at, key_id }
    }

    /// Returns `iss`, the issuer. It is the expected one, except perhaps for the slash that
    /// [`ignore_issuer_slash`](crate::Verifier::ignore_issuer_slash) ignores.
    #[must_use]
    #[doc(alias = "iss")]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns `sub`, the subject: the user's `Uid` at LoginRadius.
    #[must_use]
    #[doc(alias("sub", "uid"))]
    pub fn subject(&self) -> Option<&str> {
        self.claims.subject.as_deref()
    }

    /// Returns `aud`, the apps that the token was made for. It is empty only with
    /// [`Audience::NotChecked`](crate::Audience::NotChecked), for a token without `aud`.
    #[must_use]
    #[doc(alias = "aud")]
    pub fn audience(&self) -> &[String] {
        self.claims.audience.as_ref().map_or(&[], |audiences| &audiences.0)
    }

    /// Returns `exp`, the time from which the token is no longer valid. It does not include the verifier's leeway.
    #[must_use]
    #[doc(alias = "exp")]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Returns `nbf`, the time from which the token is valid.
    #[must_use]
    #[doc(alias = "nbf")]
    pub fn not_before(&self) -> Option<SystemTime> {
        self.claims.not_before
    }

    /// Returns `iat`, the time at which the token was made. It is not checked, and may be slightly ahead of this
    /// machine's clock.
    #[must_use]
    #[doc(alias = "iat")]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.claims.issued_at
    }

    /// Returns `jti`, the token's own id. To consume each token only once, keep the ids until the tokens expire.
    #[must_use]
    #[doc(alias = "jti")]
    pub fn token_id(&self) -> Option<&str> {
        self.claims.id.as_deref()
    }

    /// Returns `nonce`, the value that the login sent
    /// ([OpenID Connect Core, section 2](https://openid.net/specs/openid-connect-core-1_0.html#IDToken)). Only
    /// [`verify_with_nonce`](crate::Verifier::verify_with_nonce) checks it.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        self.claims.nonce.as_deref()
    }

    /// Returns `kid` of the header. A verifier with a single key does not check it.
    #[must_use]
    #[doc(alias = "kid")]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Deserializes the claims into a type of your own, which may borrow from this token.
    ///
    /// LoginRadius sends null for a standard claim that the profile has no value for (LoginRadius, "OpenID Connect",
    /// user information): make such fields an `Option`.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use loginradius_jwt::{Algorithm, Audience, Error, Key, VerifiedToken, Verifier};
    /// #[derive(serde::Deserialize)]
    /// struct Profile<'a> {
    ///     email: &'a str,
    ///     firstname: Option<String>,
    /// }
    ///
    /// fn greet(token: &VerifiedToken) -> Result<String, Error> {
    ///     let profile: Profile<'_> = token.claims()?;
    ///     Ok(format!("Hello {}", profile.firstname.unwrap_or_else(|| profile.email.to_owned())))
    /// }
    /// # let key = Key::from_secret("an example secret of the JWT app")?;
    /// # let verifier = Verifier::new(Algorithm::Hs256, key, "https://acme.hub.loginradius.com/", Audience::NotChecked)?;
    /// # let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2FjbWUuaHViLmxvZ2lucmFkaXVzLmNvbS8iLCJzdWIiOiI3IiwiYXVkIjoibXktY2xpZW50LWlkIiwiZXhwIjoxODAwMDAwMDAwLCJlbWFpbCI6ImFkYUBleGFtcGxlLmNvbSIsImZpcnN0bmFtZSI6bnVsbH0.MBTntmcLCKp4fRFFklnu47o6hwJph80ENad_Te53Wec";
    /// # let token = verifier.verify(jwt, SystemTime::UNIX_EPOCH + Duration::from_secs(1_799_999_900))?;
    ///
    /// assert_eq!(greet(&token)?, "Hello ada@example.com");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Deserialize`] if they do not fit the type. The message names a missing field, or the line and
    /// column of the fault, and shows no value.
    pub fn claims<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        claims(&self.payload)
    }

    /// Returns all claims, registered ones included.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Deserialize`] if a claim is nested more than 127 levels deep, or contains a number above the range
    /// of `f64` or text with half of a surrogate pair. No known token of LoginRadius does.
    pub fn claims_map(&self) -> Result<Map<String, Value>, Error> {
        claims(&self.payload)
    }
}

/// Shows the issuer and the expiry.
impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("issuer", &self.issuer)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Deserializes JSON into the caller's type. serde's message may quote a value, so the error does not repeat it.
pub(crate) fn claims<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| {
        let message = error.to_string();
        // Safe to repeat: the name is that of a field of the caller's type.
        let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
        Error::new(
            ErrorKind::Deserialize,
            match missing {
                Some((field, _)) => format!(
                    "the claims do not fit the type: the field `{field}` is missing: make it an `Option`, or map the \
                     claim in the app's settings"
                ),
                // Safe to tell: only the column is repeated.
                None if message.starts_with("invalid type: null") => format!(
                    "the claims do not fit the type: a claim is null (column {}), so make its field an `Option`",
                    error.column()
                ),
                None => format!(
                    "the claims do not fit the type at line {}, column {}: compare the type with what \
                     `claims_map` returns",
                    error.line(),
                    error.column()
                ),
            },
        )
    })
}
