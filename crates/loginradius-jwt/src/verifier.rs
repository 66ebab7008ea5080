use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::claims::Claims;
use crate::error::{Error, ErrorKind};
use crate::header::{self, Header, Parts};
use crate::key::{ParsedKeys, TrustedKeys};
use crate::verified::VerifiedToken;

/// The default leeway. LoginRadius's "JWT implementation guide" asks for a few seconds.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);

/// The length of the longest signature in bytes, that of an RSA key of 8192 bits.
const MAX_SIGNATURE_LEN: usize = 1024;

/// Verifies tokens of one issuer that are signed with one algorithm.
///
/// Keys are parsed by [`new`](Self::new), so make one verifier and keep it. A clone is cheap: it shares the keys.
///
/// A token is accepted if all of this is true:
///
/// - It has at most [`MAX_TOKEN_LEN`](crate::MAX_TOKEN_LEN) bytes.
/// - Its header has the expected `alg`, the expected `typ` (by default `JWT` or none), and no `crit`.
/// - Its signature was made by the key, or by a key of the set. With a single [`Key`](crate::Key), `kid` is ignored.
///   With a [`KeySet`](crate::KeySet), only the keys with the token's `kid` count, or all keys if it has none.
/// - Its claims are a JSON object without two claims of the same name, and each registered claim has the type that
///   [RFC 7519, section 4.1] gives it.
/// - `iss` is the expected issuer, and `aud` contains an expected audience.
/// - `exp` is there, and the time is before `exp` + leeway. If `nbf` is there, the time is not before `nbf` - leeway.
///   The leeway is 5 seconds by default.
/// - With [`verify_with_nonce`](Self::verify_with_nonce): `nonce` is the expected one.
///
/// [RFC 8725] describes the attacks that these checks prevent.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use loginradius_jwt::{Algorithm, Audience, ErrorKind, Key, Verifier};
///
/// let verifier = Verifier::new(
///     Algorithm::Hs256,
///     Key::from_secret("an example secret of the JWT app")?,
///     "https://acme.hub.loginradius.com/",
///     Audience::Is("my-client-id".into()),
/// )?
/// .with_leeway(Duration::from_secs(30));
/// # let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2FjbWUuaHViLmxvZ2lucmFkaXVzLmNvbS8iLCJzdWIiOiI3IiwiYXVkIjoibXktY2xpZW50LWlkIiwiZXhwIjoxODAwMDAwMDAwfQ.dUjEgveKpN0OlQU2H-A5eQVg5YVQaGPMvW0m0ekGTzw";
/// let now = SystemTime::now();
/// # // The token of this example was valid then.
/// # let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_799_999_900);
/// let token = verifier.verify(jwt, now)?;
/// assert_eq!(token.subject(), Some("7"));
///
/// let later = token.expires_at() + Duration::from_secs(30);
/// assert_eq!(verifier.verify(jwt, later).unwrap_err().kind(), ErrorKind::Expired);
/// # Ok::<(), loginradius_jwt::Error>(())
/// ```
///
/// [RFC 7519, section 4.1]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1
/// [RFC 8725]: https://www.rfc-editor.org/rfc/rfc8725
#[derive(Clone)]
#[doc(alias("decode", "validate", "Validation", "jwt"))]
pub struct Verifier {
    algorithm: Algorithm,
    keys: Arc<ParsedKeys>,
    issuer: String,
    issuer_slash_ignored: bool,
    audience: Audience,
    typ: Option<String>,
    leeway: Duration,
}

/// The app that a token must be made for: its claim `aud`.
///
/// Without this check your app accepts tokens that were made for another app of the same issuer, and the other app
/// could use them to sign in to yours as the user ([RFC 8725, section 3.9]).
///
/// ```
/// use loginradius_jwt::Audience;
///
/// let web = Audience::Is("my-client-id".into());
/// let web_and_mobile = Audience::AnyOf(vec!["my-client-id".into(), "my-mobile-client-id".into()]);
/// ```
///
/// [RFC 8725, section 3.9]: https://www.rfc-editor.org/rfc/rfc8725#section-3.9
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "aud")]
pub enum Audience {
    /// `aud` is this text or a list that contains it. For an `id_token` it is the client id, for an SSO JWT one of the
    /// "Audiences" in the app's settings.
    Is(String),
    /// `aud` is one of these texts or a list that contains one of them.
    AnyOf(Vec<String>),
    /// `aud` may be anything or absent. Use it only for a JWT app that has no "Audiences" and whose key is not used by
    /// another app.
    NotChecked,
}

impl Verifier {
    /// Makes a verifier with a leeway of 5 seconds, for tokens whose `typ` is `JWT` or absent.
    ///
    /// The keys are a [`Key`](crate::Key) or a [`KeySet`](crate::KeySet). The issuer of SSO JWTs is
    /// `https://<app>.hub.loginradius.com/`, with the slash (LoginRadius, "JWT implementation guide"). The issuer of
    /// `id_token`s is the `issuer` of the discovery document ([OpenID Connect Discovery, section 3]).
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::InvalidKey`] if the key does not suit the algorithm, or no key of the set does. A public key with
    ///   HS256 is refused because it would be the secret, and anyone can sign with a public key.
    /// - [`ErrorKind::Configuration`] if the issuer or an audience is empty, begins or ends with white space, or
    ///   contains a control character, or if the list of audiences is empty.
    ///
    /// [OpenID Connect Discovery, section 3]: https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
    #[doc(alias("iss", "aud"))]
    pub fn new(
        algorithm: Algorithm,
        keys: impl Into<TrustedKeys>,
        issuer: impl Into<String>,
        audience: Audience,
    ) -> Result<Self, Error> {
        let issuer = issuer.into();
        check_setting(&issuer, "issuer")?;
        match &audience {
            Audience::Is(expected) => check_setting(expected, "audience")?,
            Audience::AnyOf(expected) if expected.is_empty() => {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    "the list of expected audiences is empty: add one, or use `Audience::NotChecked`",
                ));
            }
            Audience::AnyOf(expected) => {
                expected.iter().try_for_each(|expected| check_setting(expected, "audience"))?;
            }
            Audience::NotChecked => {}
        }
        Ok(Self {
            algorithm,
            keys: Arc::new(ParsedKeys::new(algorithm, &keys.into())?),
            issuer,
            issuer_slash_ignored: false,
            audience,
            typ: None,
            leeway: DEFAULT_LEEWAY,
        })
    }

    /// Sets how far the clocks of LoginRadius and of this machine may differ. The default is 5 seconds.
    ///
    /// A token is accepted for that much longer after `exp` and earlier before `nbf`, so keep it below a few minutes
    /// ([RFC 7519, section 4.1.4](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4)).
    #[must_use]
    #[doc(alias("clock skew", "tolerance"))]
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Accepts an issuer that differs from the expected one by one slash at the end. By default it is refused.
    ///
    /// LoginRadius's documentation shows some issuers with the slash and some without. It is better to set the exact
    /// issuer.
    #[must_use]
    #[doc(alias("iss", "trailing slash"))]
    pub fn ignore_issuer_slash(mut self) -> Self {
        self.issuer_slash_ignored = true;
        self
    }

    /// Requires this `typ` in the header, such as `at+jwt` for access tokens
    /// ([RFC 9068, section 2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.1)).
    ///
    /// By default `typ` must be `JWT` or absent. Case does not matter, nor does the prefix `application/`
    /// ([RFC 7515, section 4.1.9](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9)).
    #[must_use]
    #[doc(alias = "at+jwt")]
    pub fn with_typ(mut self, typ: impl Into<String>) -> Self {
        self.typ = Some(typ.into());
        self
    }

    /// Returns a verifier with the same settings and other keys. This one is not changed.
    ///
    /// Use it to replace the keys after [`ErrorKind::UnknownKeyId`], or when the app's key was changed:
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use loginradius_jwt::{Error, ErrorKind, KeySet, VerifiedToken, Verifier};
    ///
    /// fn verify(
    ///     verifier: &mut Verifier,
    ///     jwt: &str,
    ///     now: SystemTime,
    ///     load_jwks: impl FnOnce() -> String, // an HTTP GET of the `jwks_uri`, at most every few minutes
    /// ) -> Result<VerifiedToken, Error> {
    ///     match verifier.verify(jwt, now) {
    ///         Err(error) if error.kind() == ErrorKind::UnknownKeyId => {
    ///             *verifier = verifier.with_keys(KeySet::from_json(load_jwks())?)?;
    ///             verifier.verify(jwt, now)
    ///         }
    ///         result => result,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`] if the key does not suit the algorithm, or no key of the set does.
    #[doc(alias("rotation", "reload"))]
    pub fn with_keys(&self, keys: impl Into<TrustedKeys>) -> Result<Self, Error> {
        let keys = Arc::new(ParsedKeys::new(self.algorithm, &keys.into())?);
        Ok(Self { keys, ..self.clone() })
    }

    /// Verifies a token at the time `now`, which is `SystemTime::now()` except in tests.
    ///
    /// The token's `nonce` is not checked: this is safe [only if the login sent none](crate#verify-an-id_token). If it
    /// sent one, use [`verify_with_nonce`](Self::verify_with_nonce).
    ///
    /// The signature is checked before any claim is read: an error about a claim is about a token with a valid
    /// signature.
    ///
    /// # Errors
    ///
    /// [`Error::kind`] says which check failed, and [the table of `ErrorKind`](ErrorKind) what to do. After
    /// [`ErrorKind::UnknownKeyId`], load the key set again ([`with_keys`](Self::with_keys)). After any other error, do
    /// not accept the token.
    #[doc(alias("decode", "validate"))]
    pub fn verify(&self, jwt: &str, now: SystemTime) -> Result<VerifiedToken, Error> {
        self.check(jwt, None, now)
    }

    /// Verifies a token as [`verify`](Self::verify) does, and that its `nonce` is the one that this login sent.
    ///
    /// The nonce ties the token to the login: without it, an attacker could make the user's browser accept a token of
    /// another login ([OpenID Connect Core, section 3.1.3.7]). It is compared in constant time.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// use loginradius_jwt::{Algorithm, Audience, ErrorKind, Key, Verifier};
    ///
    /// # let key = Key::from_secret("an example secret of the JWT app")?;
    /// # let verifier = Verifier::new(Algorithm::Hs256, key, "https://acme.hub.loginradius.com/", Audience::NotChecked)?;
    /// # let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2FjbWUuaHViLmxvZ2lucmFkaXVzLmNvbS8iLCJzdWIiOiI3IiwiYXVkIjoibXktY2xpZW50LWlkIiwiZXhwIjoxODAwMDAwMDAwLCJub25jZSI6Im4tMFM2X1d6QTJNaiJ9.uf-d6LhLEOTJ0Jb6WOw6FkkrcpzbFKR4EorUEQsHeBs";
    /// # let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_799_999_900);
    /// let sent = "n-0S6_WzA2Mj"; // kept since the login began
    /// assert!(verifier.verify_with_nonce(jwt, sent, now).is_ok());
    ///
    /// let error = verifier.verify_with_nonce(jwt, "that-of-another-login", now).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NonceMismatch);
    /// # Ok::<(), loginradius_jwt::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`verify`](Self::verify), and:
    ///
    /// - [`ErrorKind::NonceMismatch`] if the token contains no nonce or another one: start a new login.
    /// - [`ErrorKind::Configuration`] if the expected nonce is empty.
    ///
    /// [OpenID Connect Core, section 3.1.3.7]: https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
    pub fn verify_with_nonce(&self, jwt: &str, nonce: &str, now: SystemTime) -> Result<VerifiedToken, Error> {
        if nonce.is_empty() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "the expected nonce is empty: pass the one that the login sent, or call `verify`",
            ));
        }
        self.check(jwt, Some(nonce), now)
    }

    fn check(&self, jwt: &str, nonce: Option<&str>, now: SystemTime) -> Result<VerifiedToken, Error> {
        let parts = Parts::new(jwt)?;
        let header = Header::read(&parts)?;
        self.check_header(&header)?;

        let mut buffer = [0; MAX_SIGNATURE_LEN];
        let signature = base64url::decode_into(parts.signature, &mut buffer).map_err(|_| {
            header::format(
                "the token's third part is not a signature in base64url: check whether the token was cut or has a line \
                 break after it",
            )
        })?;
        self.keys.verify(header.key_id.as_deref(), parts.signed.as_bytes(), signature)?;

        let payload = parts.decoded_payload()?;
        let mut claims = Claims::read(&payload)?;
        let issuer = self.check_issuer(claims.issuer.take())?;
        self.check_audience(claims.audience.as_ref().map(|audiences| audiences.0.as_slice()))?;
        let expires_at = self.check_expiry(claims.expires_at, now)?;
        self.check_not_before(claims.not_before, now)?;
        if let Some(nonce) = nonce {
            check_nonce(nonce, claims.nonce.as_deref())?;
        }
        Ok(VerifiedToken::new(payload, claims, issuer, expires_at, header.key_id))
    }

    fn check_header(&self, header: &Header) -> Result<(), Error> {
        let wrong_algorithm = |message: String| Err(Error::new(ErrorKind::AlgorithmMismatch, message));
        match header.algorithm.as_deref() {
            Some(name) if name == self.algorithm.as_str() => {}
            Some(name) if name.eq_ignore_ascii_case("none") => {
                return wrong_algorithm(format!(
                    "the token is not signed (alg none), and this verifier accepts only {}: reject it",
                    self.algorithm
                ));
            }
            Some(_) => {
                return wrong_algorithm(format!(
                    "the token's alg is not {}, the only one that this verifier accepts: use the algorithm of the \
                     app's settings at LoginRadius",
                    self.algorithm
                ));
            }
            None => {
                return wrong_algorithm(format!(
                    "the token's header has no alg, and this verifier accepts only {}: reject it",
                    self.algorithm
                ));
            }
        }
        match (self.typ.as_deref(), header.typ.as_deref()) {
            (None, None) => Ok(()),
            (None, Some(typ)) if same_type(typ, "JWT") => Ok(()),
            (Some(expected), Some(typ)) if same_type(typ, expected) => Ok(()),
            (None, Some(_)) => Err(Error::new(
                ErrorKind::TypMismatch,
                "the token's typ is not JWT, so it is another kind of token: to accept it, use `Verifier::with_typ`",
            )),
            (Some(_), _) => Err(Error::new(
                ErrorKind::TypMismatch,
                "the token's typ is not the one that `Verifier::with_typ` requires, so it is another kind of token: \
                 reject it",
            )),
        }
    }

    fn check_issuer(&self, issuer: Option<String>) -> Result<String, Error> {
        let expected = self.issuer.as_str();
        let Some(issuer) = issuer else {
            return Err(Error::new(
                ErrorKind::IssuerMismatch,
                format!("the token has no issuer (iss), and {expected} is expected: reject it"),
            ));
        };
        let differ_by_slash =
            issuer.strip_suffix('/') == Some(expected) || expected.strip_suffix('/') == Some(&*issuer);
        if issuer == expected || (differ_by_slash && self.issuer_slash_ignored) {
            return Ok(issuer);
        }
        Err(Error::new(
            ErrorKind::IssuerMismatch,
            if differ_by_slash {
                format!(
                    "the token's issuer (iss) differs from {expected} only by a slash at the end: set the exact \
                     issuer, or use `Verifier::ignore_issuer_slash`"
                )
            } else {
                format!(
                    "the token's issuer (iss) is not {expected}: reject it, or correct the expected issuer if all \
                     tokens fail"
                )
            },
        ))
    }

    fn check_audience(&self, audience: Option<&[String]>) -> Result<(), Error> {
        let expected = match &self.audience {
            Audience::Is(expected) => std::slice::from_ref(expected),
            Audience::AnyOf(expected) => expected,
            Audience::NotChecked => return Ok(()),
        };
        let (wrong, fix) = match audience {
            Some(audience) if audience.iter().any(|own| expected.contains(own)) => return Ok(()),
            Some(_) => ("the token was made for another app (aud)", "correct the expected audience"),
            None => ("the token has no audience (aud)", "set the app's Audiences at LoginRadius"),
        };
        let expected = expected.join(" or ");
        Err(Error::new(
            ErrorKind::AudienceMismatch,
            format!("{wrong}, and {expected} is expected: reject it, or {fix} if all tokens fail"),
        ))
    }

    fn check_expiry(&self, expires_at: Option<SystemTime>, now: SystemTime) -> Result<SystemTime, Error> {
        let Some(expires_at) = expires_at else {
            return Err(Error::new(
                ErrorKind::InvalidClaims,
                "the token has no expiry (exp), so it would be valid forever: reject it",
            ));
        };
        // An end beyond the range of the clock never comes.
        if expires_at.checked_add(self.leeway).is_none_or(|end| now < end) {
            return Ok(expires_at);
        }
        let ago = now.duration_since(expires_at).unwrap_or_default().as_secs();
        Err(Error::new(
            ErrorKind::Expired,
            format!(
                "the token expired {ago} s ago by this machine's clock: start a new login; if new tokens fail too, \
                 check the clock"
            ),
        ))
    }

    fn check_not_before(&self, not_before: Option<SystemTime>, now: SystemTime) -> Result<(), Error> {
        let Some(not_before) = not_before else { return Ok(()) };
        if now.checked_add(self.leeway).is_none_or(|latest| not_before <= latest) {
            return Ok(());
        }
        let ahead = not_before.duration_since(now).unwrap_or_default().as_secs();
        Err(Error::new(
            ErrorKind::NotYetValid,
            format!(
                "the token becomes valid in {ahead} s by this machine's clock: check the clock, which is probably slow"
            ),
        ))
    }
}

/// Shows the settings, without the keys.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("algorithm", &self.algorithm)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("leeway", &self.leeway)
            .finish_non_exhaustive()
    }
}

fn check_setting(text: &str, what: &str) -> Result<(), Error> {
    if text.trim().is_empty() {
        return Err(Error::new(
            ErrorKind::Configuration,
            format!("the expected {what} is empty: check that the setting was found"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::new(
            ErrorKind::Configuration,
            format!("the expected {what} has a line break or another control character: remove it"),
        ));
    }
    if text.trim() != text {
        return Err(Error::new(
            ErrorKind::Configuration,
            format!("the expected {what} begins or ends with white space: trim it"),
        ));
    }
    Ok(())
}

fn check_nonce(expected: &str, nonce: Option<&str>) -> Result<(), Error> {
    let Some(nonce) = nonce else {
        return Err(Error::new(
            ErrorKind::NonceMismatch,
            "the token has no nonce, and this login sent one: start a new login",
        ));
    };
    verify_slices_are_equal(expected.as_bytes(), nonce.as_bytes()).map_err(|_| {
        Error::new(ErrorKind::NonceMismatch, "the token's nonce is not the one that this login sent: start a new login")
    })
}

/// Compares media types without case. A sender may leave out `application/` (RFC 7515, section 4.1.9).
fn same_type(typ: &str, expected: &str) -> bool {
    fn short(typ: &str) -> &str {
        const PREFIX: &str = "application/";
        match typ.split_at_checked(PREFIX.len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
            _ => typ,
        }
    }

    short(typ).eq_ignore_ascii_case(short(expected))
}
