use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::callback::Callback;
use super::login::{Pending, Sealed};
use super::moment::Moment;
use super::pending_state::{Carrier, PendingState};
use super::random::{equal_in_constant_time, is_random_value};
use super::redirect_uri::{self, RESPONSE_PARAMS};
use super::response_type::ResponseType;
use crate::api::Api;
use crate::app::App;
use crate::error::{Error, ErrorKind};
use crate::oauth::AccessTokenByCode;
use crate::secret::{AccessToken, AuthorizationCode, CodeVerifier, IdToken, Nonce};
use crate::secret_text::SecretText;
use crate::token::TokenSet;
use crate::wire::character::{is_line, is_token};
use crate::wire::{encode, number, refusal};

/// A login of an [`AuthorizationRequest`](super::AuthorizationRequest) that waits for its callback.
///
/// It is valid for 10 minutes, as long as LoginRadius's part of it (LoginRadius, "Federated SSO"). The one callback
/// with its state consumes it ([`Pending::accept`]).
///
/// To wait in another process or request, store [`to_json`](Self::to_json), and take it out of the store before you
/// accept the callback: two copies would redeem the code twice.
pub struct PendingLogin {
    state: PendingState,
    response_type: ResponseType,
    expected: Expected,
}

/// What the callback is checked against, and what redeeming its code needs.
#[derive(Serialize, Deserialize)]
pub(super) struct Expected {
    pub(super) code_verifier: SecretText,
    pub(super) redirect_uri: String,
    #[serde(default)]
    pub(super) nonce: Option<SecretText>,
    #[serde(default)]
    pub(super) issuer: Option<String>,
    #[serde(default)]
    pub(super) issuer_required: bool,
    #[serde(flatten)]
    pub(super) dialect: StoredDialect,
}

/// How the code is redeemed, for older programs that share the store and read it from there. This one takes it from the
/// app.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredDialect {
    #[serde(default)]
    with_grant_type: bool,
    #[serde(default)]
    without_response_type: bool,
}

impl StoredDialect {
    pub(super) fn of(app: &App) -> Self {
        let dialect = app.service().dialect();
        Self {
            with_grant_type: dialect.sends_grant_type_of_code(Api::Classic),
            without_response_type: !dialect.sends_response_type_with_code(),
        }
    }
}

/// The stored form of a [`PendingLogin`].
#[derive(Serialize, Deserialize)]
struct Stored<A, E> {
    version: u32,
    awaiting: A,
    response_type: String,
    expected: E,
}

/// What the callback of a login brought back: a code to redeem, or tokens, as the
/// [`ResponseType`](super::ResponseType) requested.
#[derive(Debug)]
#[non_exhaustive]
pub struct Authorized {
    code: Option<AuthorizationCode>,
    code_verifier: CodeVerifier,
    redirect_uri: String,
    nonce: Option<Nonce>,
    /// The access token that came through the browser, if one was requested. It has no refresh token.
    pub tokens: Option<TokenSet>,
    /// The `id_token` that came through the browser, if one was requested. It is not verified: `loginradius-jwt` does
    /// that, with [`PendingLogin::nonce`] as the nonce.
    pub id_token: Option<IdToken>,
}

impl Authorized {
    /// Returns the operation that redeems the code, with the redirect URI and the PKCE verifier; `None` if no code was
    /// requested.
    ///
    /// A code is valid once and, at LoginRadius, for 50 seconds: send it at once.
    #[must_use]
    #[doc(alias("redeem", "code", "authorization_code"))]
    pub fn exchange(self) -> Option<AccessTokenByCode> {
        let exchange = AccessTokenByCode::new(self.code?, self.redirect_uri).code_verifier(self.code_verifier);
        Some(exchange.nonce(self.nonce))
    }
}

impl PendingLogin {
    const VERSION: u32 = 1;
    const NAME: &'static str = "Authorize";

    pub(super) fn new(state: PendingState, response_type: ResponseType, expected: Expected) -> Self {
        Self { state, response_type, expected }
    }

    /// Returns the value that the claim `nonce` of this login's `id_token` has to have, if a nonce was sent.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        self.expected.nonce.as_deref()
    }

    /// Returns the state, by which a web service finds this login when its callback comes ([`Callback::state`]).
    ///
    /// Keep it out of logs: with it, anyone can forge the callback.
    #[must_use]
    #[doc(alias("csrf"))]
    pub fn expose_state(&self) -> &str {
        self.state.secret()
    }

    /// Returns when the login expires, 10 minutes after it began. It can be deleted then.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.state.expires_at()
    }

    /// Returns the login as JSON, **with its state and its PKCE verifier**: with them, anyone can forge its callback
    /// and redeem its code. Store it on the server, or encrypted in a cookie of that one browser.
    #[must_use]
    pub fn to_json(&self) -> String {
        let stored = Stored {
            version: Self::VERSION,
            awaiting: &self.state,
            response_type: self.response_type.as_str().to_owned(),
            expected: &self.expected,
        };
        encode::json_text(&stored)
    }

    /// Reads the JSON of [`to_json`](Self::to_json).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if it is not a stored login, was changed, or is one of another version of this
    /// crate. Begin a new login then.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let unreadable =
            |why: &str| Error::configuration(format!("the stored login {why}: begin a new one")).of(Self::NAME);
        let stored: Stored<PendingState, Expected> =
            serde_json::from_str(json).map_err(|_| unreadable("cannot be read"))?;
        if stored.version != Self::VERSION {
            return Err(unreadable("is of another version of this crate"));
        }
        let response_type = stored.response_type.parse().map_err(|_| unreadable("cannot be read"))?;
        let Expected { code_verifier, redirect_uri, nonce, issuer, issuer_required, .. } = &stored.expected;
        let randoms = [stored.awaiting.secret(), code_verifier].into_iter().chain(nonce.as_deref());
        // The same checks as at the beginning: errors print the issuer, and without a required one nothing would check
        // it.
        if !randoms.into_iter().all(is_random_value)
            || redirect_uri::check("redirect_uri", redirect_uri, &RESPONSE_PARAMS).is_err()
            || issuer.as_deref().map_or(*issuer_required, |issuer| !is_issuer(issuer))
        {
            return Err(unreadable("was changed"));
        }
        Ok(Self { state: stored.awaiting, response_type, expected: stored.expected })
    }

    fn read(&mut self, callback: &Callback, now: Moment) -> Result<Authorized, Error> {
        // A callback with two states has none.
        self.state.consume(Carrier::State, callback.state(), now)?;
        self.check_issuer(callback)?;
        let nonce = self.expected.nonce.as_deref().unwrap_or_default();
        if let Some(error) = refusal_in(callback, &[&self.expected.code_verifier, nonce])? {
            return Err(error);
        }
        let requested = |what, names: &[&'static str]| match self.response_type.includes(what) {
            true => required(callback, names, "sign in again").map(Some),
            // What was not requested may be an attempt to inject it.
            false => Ok(None),
        };
        let code = requested("code", &["code"])?;
        let token = requested("token", &["token", "access_token"])?;
        let id_token = requested("id_token", &["id_token"])?;
        Ok(Authorized {
            code: code.map(AuthorizationCode::new),
            code_verifier: CodeVerifier::from(self.expected.code_verifier.clone()),
            redirect_uri: self.expected.redirect_uri.clone(),
            nonce: self.expected.nonce.clone().map(Nonce::from),
            tokens: token.map(|token| tokens(callback, token)).transpose()?,
            id_token: id_token.map(IdToken::new),
        })
    }

    /// Checks the issuer, if one is expected: as a string, and whatever else is in the callback (RFC 9207, section
    /// 2.4).
    fn check_issuer(&self, callback: &Callback) -> Result<(), Error> {
        let Some(expected) = &self.expected.issuer else { return Ok(()) };
        let invalid = |why: &str| {
            let message = format!(
                "the callback {why} (expected {expected}), so none of it was used: check the issuer, and sign in again"
            );
            Err(Error::new(ErrorKind::InvalidResponse, message))
        };
        match callback.single("iss")? {
            Some(issuer) if equal_in_constant_time(expected, issuer) => Ok(()),
            Some(_) => invalid("is of another issuer"),
            None if self.expected.issuer_required => invalid("names no issuer"),
            None => Ok(()),
        }
    }
}

impl Sealed for PendingLogin {}

impl Pending for PendingLogin {
    type Output = Authorized;

    fn accept(&mut self, callback: &Callback, now: impl Into<Moment>) -> Result<Authorized, Error> {
        self.read(callback, now.into()).map_err(|error| error.of(Self::NAME))
    }
}

// The state and the verifier are secrets.
impl fmt::Debug for PendingLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingLogin").field("response_type", &self.response_type).finish_non_exhaustive()
    }
}

/// Returns whether that can be an issuer. It is a URL (RFC 9207, section 2), and errors print it.
pub(super) fn is_issuer(issuer: &str) -> bool {
    !issuer.is_empty() && !issuer.contains(' ') && is_line(issuer)
}

/// Parameters of a callback that are no secrets.
pub(super) const NOT_SECRET: [&str; 6] = ["error", "error_description", "error_uri", "scope", "token_type", "iss"];

/// Returns LoginRadius's refusal, if the callback is one (RFC 6749, sections 4.1.2.1 and 4.2.2.1). Where its texts
/// repeat other parameters of the callback, the error has `[redacted]`.
pub(super) fn refusal_in(callback: &Callback, secrets: &[&str]) -> Result<Option<Error>, Error> {
    let Some(error) = callback.single("error")? else { return Ok(None) };
    let description = callback.single("error_description")?;
    let secrets: Vec<&str> = secrets.iter().copied().chain(callback.values_except(&NOT_SECRET)).collect();
    Ok(Some(refusal::in_callback(&secrets, error, description)))
}

/// Returns the token or the code that has to be there under exactly one of its names.
pub(super) fn required<'a>(callback: &'a Callback, names: &[&'a str], advice: &str) -> Result<&'a str, Error> {
    let mut found = None;
    for name in names {
        let Some(value) = callback.single(name)? else { continue };
        if found.replace(value).is_some() {
            let message =
                format!("the callback has both {}, so none of it was used: sign in again", list(names, " and "));
            return Err(Error::new(ErrorKind::InvalidResponse, message));
        }
    }
    let Some(value) = found else {
        let message = format!("the callback lacks {}, which was requested: {advice}", list(names, " or "));
        return Err(Error::new(ErrorKind::InvalidResponse, message));
    };
    refuse_unless(is_token(value), names).map(|()| value)
}

/// Returns the error of a parameter with characters that it must not have, unless it has none.
fn refuse_unless(is_allowed: bool, names: &[&str]) -> Result<(), Error> {
    if is_allowed {
        return Ok(());
    }
    let message = format!(
        "the callback's {} has a character that is not allowed in it, such as a control character, so none of it was \
         used: sign in again",
        list(names, " or "),
    );
    Err(Error::new(ErrorKind::InvalidResponse, message))
}

fn list(names: &[&str], between: &str) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(between)
}

/// Reads the tokens that come with an access token (RFC 6749, section 4.2.2), which LoginRadius calls `token`.
fn tokens(callback: &Callback, token: &str) -> Result<TokenSet, Error> {
    let line = |name| match callback.single(name)? {
        Some(text) => refuse_unless(is_line(text), &[name]).map(|()| Some(text.to_owned())),
        None => Ok(None),
    };
    Ok(TokenSet {
        token_type: line("token_type")?,
        expires_in: callback.single("expires_in")?.and_then(number::lifetime_in).filter(|time| *time < Duration::MAX),
        scope: line("scope")?,
        ..TokenSet::new(AccessToken::new(token))
    })
}
