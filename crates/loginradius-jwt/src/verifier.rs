use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::claims::Claims;
use crate::error::{Check, Error};
use crate::header::{self, Header, Parts};
use crate::key::{Keys, Trusted};
use crate::verified::Verified;

/// How far two clocks may differ unless the caller says otherwise: LoginRadius's guide asks for a few seconds.
const LEEWAY: Duration = Duration::from_secs(5);

/// The longest signature, that of an RSA key of 8192 bits.
const MAX_SIGNATURE_LEN: usize = 1024;

/// Verifies tokens of one issuer, signed by one algorithm.
///
/// The algorithm, the keys, the issuer and a word about the audience are required: RFC 8725 has the attacks on
/// verifiers that did without one of them. Keys are parsed once, here: make one verifier and keep it. Clones
/// share the keys.
///
/// A token is accepted if all of this holds:
///
/// - it has three parts and at most 128 KiB, and its header has the pinned `alg`, the right `typ`, and no `crit`;
/// - its signature is by the key, or by the key of the set that its `kid` selects;
/// - `iss` is the issuer, and `aud` names the audience;
/// - now is before `exp` + leeway, and not before `nbf` - leeway. `exp` is required;
/// - `nonce` is the one that was sent, if [`verify_nonce`](Self::verify_nonce) is called;
/// - no claim is there twice, and no registered claim is of another type than RFC 7519 says.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use loginradius_jwt::{Algorithm, Audience, Check, Key, Verifier};
///
/// let verifier = Verifier::new(
///     Algorithm::Hs256,
///     Key::secret("an example secret of the JWT app")?,
///     "https://acme.hub.loginradius.com/",
///     Audience::Is("my-client-id".into()),
/// )?;
/// # let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2FjbWUuaHViLmxvZ2lucmFkaXVzLmNvbS8iLCJzdWIiOiI3IiwiYXVkIjoibXktY2xpZW50LWlkIiwiZXhwIjoxODAwMDAwMDAwfQ.dUjEgveKpN0OlQU2H-A5eQVg5YVQaGPMvW0m0ekGTzw";
/// # let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_799_999_900);
/// # // In a program: `SystemTime::now()`.
/// let token = verifier.verify(jwt, now)?;
/// assert_eq!(token.subject(), Some("7"));
///
/// let later = token.expires_at() + Duration::from_secs(60);
/// assert_eq!(verifier.verify(jwt, later).unwrap_err().check(), Check::Expiry);
/// # Ok::<(), loginradius_jwt::Error>(())
/// ```
#[derive(Clone)]
pub struct Verifier {
    algorithm: Algorithm,
    keys: Arc<Trusted>,
    issuer: String,
    issuer_slash_ignored: bool,
    audience: Audience,
    typ: Option<String>,
    leeway: Duration,
}

/// Whom a token has to be for: its claim `aud`.
///
/// If nobody checks it, a token that the person gave to another app of the same issuer signs in here too
/// ([RFC 8725, section 3.9]).
///
/// [RFC 8725, section 3.9]: https://www.rfc-editor.org/rfc/rfc8725#section-3.9
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Audience {
    /// `aud` is or contains this text: for an `id_token` the client id, for a JWT app what its settings call
    /// "Audiences".
    Is(String),
    /// `aud` is or contains one of these.
    AnyOf(Vec<String>),
    /// Any `aud`, or none. For a JWT app without "Audiences" whose key signs for nobody else.
    NotChecked,
}

impl Verifier {
    /// A verifier with a leeway of 5 seconds, for tokens without `typ` or with `JWT`.
    ///
    /// LoginRadius's issuer is `https://<app>.hub.loginradius.com/` for SSO JWTs, with the slash, and the
    /// `issuer` of the discovery document for an `id_token`.
    ///
    /// # Errors
    ///
    /// [`Check::Key`] if the keys do not go with the algorithm: an RSA key with HS256 would verify what anybody
    /// signed. [`Check::Settings`] if the issuer or an audience is empty or has white space around, or if the
    /// list of audiences is empty.
    pub fn new(
        algorithm: Algorithm,
        keys: impl Into<Keys>,
        issuer: impl Into<String>,
        audience: Audience,
    ) -> Result<Self, Error> {
        let issuer = issuer.into();
        check_setting(&issuer, "issuer")?;
        match &audience {
            Audience::Is(expected) => check_setting(expected, "audience")?,
            Audience::AnyOf(expected) if expected.is_empty() => {
                return Err(Error::new(
                    Check::Settings,
                    "the list of audiences is empty: name one, or say `Audience::NotChecked`",
                ));
            }
            Audience::AnyOf(expected) => {
                expected.iter().try_for_each(|expected| check_setting(expected, "audience"))?;
            }
            Audience::NotChecked => {}
        }
        Ok(Self {
            algorithm,
            keys: Arc::new(Trusted::new(algorithm, &keys.into())?),
            issuer,
            issuer_slash_ignored: false,
            audience,
            typ: None,
            leeway: LEEWAY,
        })
    }

    /// How far the clocks of LoginRadius and this machine may differ. 5 seconds by default; more than a few
    /// minutes make `exp` worth little.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Accepts an issuer that differs from the expected one by one slash at its end.
    ///
    /// LoginRadius's documents show some issuers with it and some without. Prefer the exact one.
    #[must_use]
    pub fn issuer_slash_ignored(mut self) -> Self {
        self.issuer_slash_ignored = true;
        self
    }

    /// Requires this `typ` in the header, for example `at+jwt` for access tokens
    /// ([RFC 9068, section 2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.1)).
    ///
    /// By default `typ` is absent or `JWT`. Case and a prefix `application/` do not matter.
    #[must_use]
    pub fn typ(mut self, typ: impl Into<String>) -> Self {
        self.typ = Some(typ.into());
        self
    }

    /// This verifier's settings with other keys: after [`Check::KeyId`] with the set loaded again, or when the
    /// app's key was changed.
    ///
    /// # Errors
    ///
    /// [`Check::Key`] if the keys do not go with the algorithm.
    pub fn with_keys(&self, keys: impl Into<Keys>) -> Result<Self, Error> {
        let keys = Arc::new(Trusted::new(self.algorithm, &keys.into())?);
        Ok(Self { keys, ..self.clone() })
    }

    /// Verifies a token at the instant `now`, in a program `SystemTime::now()`.
    ///
    /// A token with a `nonce` is accepted whatever it is: use [`verify_nonce`](Self::verify_nonce) for a sign-in
    /// that sent one.
    ///
    /// # Errors
    ///
    /// [`Error::check`] says what did not hold. The signature is checked before any claim is read, so that an
    /// error about a claim is about LoginRadius's own words.
    pub fn verify(&self, jwt: &str, now: SystemTime) -> Result<Verified, Error> {
        self.check(jwt, None, now)
    }

    /// Like [`verify`](Self::verify), and the token's `nonce` must be the one that this sign-in sent.
    ///
    /// # Errors
    ///
    /// As of [`verify`](Self::verify); [`Check::Nonce`] if the token has no nonce or another one;
    /// [`Check::Settings`] if the expected nonce is empty.
    pub fn verify_nonce(&self, jwt: &str, nonce: &str, now: SystemTime) -> Result<Verified, Error> {
        if nonce.is_empty() {
            return Err(Error::new(
                Check::Settings,
                "the expected nonce is empty: give the one that the sign-in sent, or call `verify`",
            ));
        }
        self.check(jwt, Some(nonce), now)
    }

    fn check(&self, jwt: &str, nonce: Option<&str>, now: SystemTime) -> Result<Verified, Error> {
        let parts = Parts::new(jwt)?;
        let header = Header::read(&parts)?;
        self.check_header(&header)?;

        let mut buffer = [0; MAX_SIGNATURE_LEN];
        let signature = base64url::decode_into(parts.signature, &mut buffer).map_err(|_| {
            header::format("the token's third part is not a signature in base64url: was the token cut, or is there a line break after it?")
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
        Ok(Verified::new(payload, claims, issuer, expires_at, header.key_id))
    }

    fn check_header(&self, header: &Header) -> Result<(), Error> {
        let wrong_algorithm = |message: String| Err(Error::new(Check::Algorithm, message));
        match header.algorithm.as_deref() {
            Some(name) if name == self.algorithm.name() => {}
            Some(name) if name.eq_ignore_ascii_case("none") => {
                return wrong_algorithm(format!(
                    "the token is not signed (alg none), and {} is pinned",
                    self.algorithm
                ));
            }
            Some(_) => {
                return wrong_algorithm(format!(
                    "the token's header names another algorithm than {}, which is pinned: \
                     see which one LoginRadius's app is set to",
                    self.algorithm
                ));
            }
            None => {
                return wrong_algorithm(format!("the token's header names no alg, and {} is pinned", self.algorithm));
            }
        }
        match (self.typ.as_deref(), header.typ.as_deref()) {
            (None, None) => Ok(()),
            (None, Some(typ)) if same_type(typ, "JWT") => Ok(()),
            (Some(expected), Some(typ)) if same_type(typ, expected) => Ok(()),
            (None, Some(_)) => Err(Error::new(
                Check::Type,
                "the token's typ is not JWT, so it was made for another purpose: see `Verifier::typ`",
            )),
            (Some(_), _) => {
                Err(Error::new(Check::Type, "the token's typ is not the one that `Verifier::typ` asks for"))
            }
        }
    }

    fn check_issuer(&self, issuer: Option<String>) -> Result<String, Error> {
        let expected = self.issuer.as_str();
        let Some(issuer) = issuer else {
            return Err(Error::new(Check::Issuer, format!("the token has no issuer, and {expected} is expected")));
        };
        let differ_by_slash =
            issuer.strip_suffix('/') == Some(expected) || expected.strip_suffix('/') == Some(&*issuer);
        if issuer == expected || (differ_by_slash && self.issuer_slash_ignored) {
            return Ok(issuer);
        }
        Err(Error::new(
            Check::Issuer,
            if differ_by_slash {
                format!(
                    "the token's issuer differs from {expected} by a slash at the end: \
                     correct the setting, or see `Verifier::issuer_slash_ignored`"
                )
            } else {
                format!("the token's issuer is not {expected}: it was made by another app or site")
            },
        ))
    }

    fn check_audience(&self, audience: Option<&[String]>) -> Result<(), Error> {
        let expected = match &self.audience {
            Audience::Is(expected) => std::slice::from_ref(expected),
            Audience::AnyOf(expected) => expected,
            Audience::NotChecked => return Ok(()),
        };
        let wrong = match audience {
            Some(audience) if audience.iter().any(|own| expected.contains(own)) => return Ok(()),
            Some(_) => "the token was made for another client or audience",
            None => "the token does not say whom it is for, see the app's Audiences",
        };
        Err(Error::new(Check::Audience, format!("{wrong}: {} is expected", expected.join(" or "))))
    }

    fn check_expiry(&self, expires_at: Option<SystemTime>, now: SystemTime) -> Result<SystemTime, Error> {
        let Some(expires_at) = expires_at else {
            return Err(Error::new(Check::Expiry, "the token has no expiry (exp), which every token must have"));
        };
        // An end that no clock reaches is never over.
        if expires_at.checked_add(self.leeway).is_none_or(|end| now < end) {
            return Ok(expires_at);
        }
        let ago = now.duration_since(expires_at).unwrap_or_default().as_secs();
        Err(Error::new(
            Check::Expiry,
            format!(
                "the token expired {ago} s ago by this machine's clock: sign in again, \
                 and if that does not help, see whether the clock is right"
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
            Check::NotBefore,
            format!(
                "the token is not valid for another {ahead} s by this machine's clock: see whether the clock is right"
            ),
        ))
    }
}

/// The settings, without keys.
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
        return Err(Error::new(Check::Settings, format!("the expected {what} is empty: was the setting found?")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::new(
            Check::Settings,
            format!("the expected {what} has a line break or another control character: remove it"),
        ));
    }
    if text.trim() != text {
        return Err(Error::new(Check::Settings, format!("the expected {what} has white space around it: trim it")));
    }
    Ok(())
}

fn check_nonce(expected: &str, nonce: Option<&str>) -> Result<(), Error> {
    let Some(nonce) = nonce else {
        return Err(Error::new(Check::Nonce, "the token has no nonce, and the sign-in sent one: start a new sign-in"));
    };
    verify_slices_are_equal(expected.as_bytes(), nonce.as_bytes()).map_err(|_| {
        Error::new(Check::Nonce, "the token's nonce is not the one that this sign-in sent: start a new sign-in")
    })
}

/// RFC 7515, section 4.1.9 lets a sender leave out `application/`, and media types have no case.
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
