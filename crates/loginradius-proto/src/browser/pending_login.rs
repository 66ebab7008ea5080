use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::callback::Callback;
use super::login::{Pending, Sealed};
use super::pending_state::PendingState;
use super::random::{is_nonce, same};
use super::response_type::ResponseType;
use crate::api::Api;
use crate::app::App;
use crate::error::{Error, ErrorKind};
use crate::oauth::AccessTokenByCode;
use crate::secret::{AccessToken, AuthorizationCode, CodeVerifier, IdToken, Nonce};
use crate::token::TokenSet;
use crate::wire::refusal;

/// A sign-in that waits for its callback: the state, the PKCE verifier and the address of the callback.
///
/// It lives for ten minutes, as LoginRadius's own side does, and is consumed by the one callback that shows its
/// state ([`Pending::accept`]). To wait in another process or request, store [`to_json`](Self::to_json), and take
/// it out of the store before the callback is read: two copies would exchange the code twice.
pub struct PendingLogin {
    awaiting: PendingState,
    response_type: ResponseType,
    expected: Expected,
}

/// What the callback is held against, and what the exchange of its code needs.
#[derive(Serialize, Deserialize)]
pub(super) struct Expected {
    pub(super) code_verifier: Zeroizing<String>,
    pub(super) redirect_uri: String,
    #[serde(default)]
    pub(super) nonce: Option<String>,
    #[serde(default)]
    pub(super) issuer: Option<String>,
    #[serde(default)]
    pub(super) issuer_required: bool,
    #[serde(flatten)]
    pub(super) dialect: StoredDialect,
}

/// How the code is exchanged, for programs of before, which read it from the stored form. This one reads it from the
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

/// What a callback brought that belongs to its sign-in.
#[derive(Debug)]
#[non_exhaustive]
pub struct Authorized {
    code: Option<AuthorizationCode>,
    code_verifier: CodeVerifier,
    redirect_uri: String,
    nonce: Option<Nonce>,
    /// The access token that came through the browser, if one was asked for.
    pub tokens: Option<TokenSet>,
    /// The `id_token` that came through the browser, if one was asked for. Not verified: its nonce has to be
    /// [`PendingLogin::nonce`].
    pub id_token: Option<IdToken>,
}

impl Authorized {
    /// The exchange of the code, with the PKCE verifier, if a code was asked for. It is good once and for 50
    /// seconds.
    #[must_use]
    pub fn exchange(self) -> Option<AccessTokenByCode> {
        let exchange = AccessTokenByCode::new(self.code?, self.redirect_uri).code_verifier(self.code_verifier);
        Some(exchange.nonce(self.nonce))
    }
}

impl PendingLogin {
    const VERSION: u32 = 1;
    const NAME: &'static str = "Authorize";

    pub(super) fn new(awaiting: PendingState, response_type: ResponseType, expected: Expected) -> Self {
        Self { awaiting, response_type, expected }
    }

    /// The nonce that the `id_token` of this sign-in has to repeat, if one was sent.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        self.expected.nonce.as_deref()
    }

    /// The state: a key to find this sign-in by ([`Callback::state`]). Keep it out of logs.
    #[must_use]
    pub fn expose_state(&self) -> &str {
        self.awaiting.secret()
    }

    /// When it is over: from then on it can be thrown away.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.awaiting.expires_at()
    }

    /// The sign-in as JSON, **with its state and verifier**: whoever reads it can finish the sign-in. Store it on
    /// your side, or encrypted in a cookie of that one browser.
    #[must_use]
    pub fn to_json(&self) -> String {
        let stored = Stored {
            version: Self::VERSION,
            awaiting: &self.awaiting,
            response_type: self.response_type.as_str().to_owned(),
            expected: &self.expected,
        };
        // Strings and numbers can always be written.
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if that is not a stored sign-in, or one of a newer version of this crate.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let refuse =
            |why: &str| Error::configuration(format!("the stored sign-in {why}; begin a new one")).of(Self::NAME);
        let stored: Stored<PendingState, Expected> =
            serde_json::from_str(json).map_err(|_| refuse("cannot be read"))?;
        if stored.version != Self::VERSION {
            return Err(refuse("is of another version of this crate"));
        }
        let response_type = ResponseType::named(&stored.response_type).ok_or_else(|| refuse("cannot be read"))?;
        if !is_nonce(stored.awaiting.secret()) || !is_nonce(&stored.expected.code_verifier) {
            return Err(refuse("was changed"));
        }
        Ok(Self { awaiting: stored.awaiting, response_type, expected: stored.expected })
    }

    fn read(&mut self, callback: &Callback, now: SystemTime) -> Result<Authorized, Error> {
        // Two states are none.
        self.awaiting.consume(callback.state(), now)?;
        self.check_issuer(callback)?;
        let nonce = self.expected.nonce.as_deref().unwrap_or_default();
        if let Some(error) = refused(callback, &[&self.expected.code_verifier, nonce])? {
            return Err(error);
        }
        let asked = |what, names: &[&'static str]| match self.response_type.asks_for(what) {
            true => one_of(callback, names, "sign in again").map(Some),
            // What was not asked for is an attempt to inject it.
            false => Ok(None),
        };
        let code = asked("code", &["code"])?;
        let token = asked("token", &["token", "access_token"])?;
        let id_token = asked("id_token", &["id_token"])?;
        Ok(Authorized {
            code: code.map(AuthorizationCode::new),
            code_verifier: CodeVerifier::new(self.expected.code_verifier.as_str()),
            redirect_uri: self.expected.redirect_uri.clone(),
            nonce: self.expected.nonce.as_deref().map(Nonce::new),
            tokens: token.map(|token| tokens(callback, token)).transpose()?,
            id_token: id_token.map(IdToken::new),
        })
    }

    /// RFC 9207, section 2.4: compared as a string, whatever else the callback says.
    fn check_issuer(&self, callback: &Callback) -> Result<(), Error> {
        let Some(expected) = &self.expected.issuer else { return Ok(()) };
        let refuse = |why: &str| {
            let message = format!("the callback {why} (expected {expected}), so nothing of it was believed");
            Err(Error::new(ErrorKind::InvalidResponse, message))
        };
        match callback.one("iss")? {
            Some(issuer) if same(expected, issuer) => Ok(()),
            Some(_) => refuse("names another issuer"),
            None if self.expected.issuer_required => refuse("names no issuer"),
            None => Ok(()),
        }
    }
}

impl Sealed for PendingLogin {}

impl Pending for PendingLogin {
    type Output = Authorized;

    fn accept(&mut self, callback: &Callback, now: SystemTime) -> Result<Authorized, Error> {
        self.read(callback, now).map_err(|error| error.of(Self::NAME))
    }
}

/// The state and the verifier are secrets.
impl fmt::Debug for PendingLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingLogin").field("response_type", &self.response_type).finish_non_exhaustive()
    }
}

/// Parameters of a callback that are no secrets.
pub(super) const TEXTS: [&str; 6] = ["error", "error_description", "error_uri", "scope", "token_type", "iss"];

/// RFC 6749, sections 4.1.2.1 and 4.2.2.1. What else the callback holds is not repeated with its description.
pub(super) fn refused(callback: &Callback, secrets: &[&str]) -> Result<Option<Error>, Error> {
    let Some(error) = callback.one("error")? else { return Ok(None) };
    let description = callback.one("error_description")?;
    let secrets: Vec<&str> = secrets.iter().copied().chain(callback.all_but(&TEXTS)).collect();
    Ok(Some(refusal::in_callback(&secrets, error, description)))
}

/// A value that has to be there, under one of its names.
pub(super) fn one_of<'a>(callback: &'a Callback, names: &[&'a str], advice: &str) -> Result<&'a str, Error> {
    let mut found = None;
    for name in names {
        let Some(value) = callback.one(name)? else { continue };
        if found.replace(value).is_some() {
            let message = format!("the callback has both {}, so nothing of it was believed", list(names, " and "));
            return Err(Error::new(ErrorKind::InvalidResponse, message));
        }
    }
    found.ok_or_else(|| {
        let message = format!("the callback lacks {}, which was asked for; {advice}", list(names, " or "));
        Error::new(ErrorKind::InvalidResponse, message)
    })
}

fn list(names: &[&str], between: &str) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(between)
}

/// RFC 6749, section 4.2.2, with LoginRadius's `token` for `access_token`.
fn tokens(callback: &Callback, token: &str) -> Result<TokenSet, Error> {
    let seconds = callback.one("expires_in")?.and_then(|seconds| seconds.parse().ok());
    Ok(TokenSet {
        token_type: callback.one("token_type")?.map(str::to_owned),
        expires_in: seconds.map(Duration::from_secs),
        scope: callback.one("scope")?.map(str::to_owned),
        ..TokenSet::new(AccessToken::new(token))
    })
}
