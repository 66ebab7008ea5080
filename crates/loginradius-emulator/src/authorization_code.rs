//! Authorization codes (RFC 6749, section 4.1).

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::bounded::{Bounded, MAX_ENTRIES};
use crate::clock;
use crate::params::Params;
use crate::random::Random;
use crate::seeded::User;

/// LoginRadius's guide "OAuth 2.0", section on troubleshooting: "The code is valid for 50 seconds".
const LIFETIME: Duration = Duration::from_secs(50);

#[derive(Debug)]
pub(crate) struct AuthorizationCode {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    /// The `S256` challenge of RFC 7636.
    pub(crate) challenge: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) user: &'static User,
    pub(crate) expires: SystemTime,
    /// How often a token request had it.
    pub(crate) sent: u64,
    /// How often it was sent after it had been redeemed.
    pub(crate) replays: u64,
    /// The id of the login that it was redeemed for.
    pub(crate) redeemed_for: Option<String>,
}

/// An authorization code, as [`Emulator::codes`](crate::Emulator::codes) returns it.
///
/// Its `Debug` omits the code.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuedCode {
    /// The code.
    pub code: String,
    /// The client that may redeem it.
    pub client_id: String,
    /// The redirect URI that a token request must name.
    pub redirect_uri: String,
    /// The PKCE challenge (RFC 7636, method `S256`) whose verifier a token request must have.
    pub challenge: Option<String>,
    /// The scope that was requested, as it was sent.
    pub scope: Option<String>,
    /// The email address of the user.
    pub email: String,
    /// When it expires, by the emulator's clock: 50 seconds after it was issued.
    pub expires: SystemTime,
    /// How often a token request had it. Refused requests count too, and those on which the emulator did not act
    /// because of a [`Fault`](crate::Fault).
    pub sent: u64,
    /// The [`Login::id`](crate::Login::id) of the login that it was redeemed for.
    pub login: Option<String>,
    /// Its state.
    pub state: CodeState,
}

/// The state of an authorization code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodeState {
    /// It can be redeemed.
    Fresh,
    /// It has been redeemed.
    Redeemed,
    /// It was sent again after it had been redeemed, which has ended the login (RFC 6749, section 4.1.2).
    Replayed,
    /// It expired before it was redeemed.
    Expired,
}

impl fmt::Debug for IssuedCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IssuedCode")
            .field("client_id", &self.client_id)
            .field("redirect_uri", &self.redirect_uri)
            .field("challenge", &self.challenge)
            .field("scope", &self.scope)
            .field("email", &self.email)
            .field("expires", &self.expires)
            .field("sent", &self.sent)
            .field("login", &self.login)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl AuthorizationCode {
    /// Creates a code that is valid from now on.
    pub(crate) fn new(
        client_id: &str,
        redirect_uri: &str,
        challenge: Option<&str>,
        scope: Option<&str>,
        user: &'static User,
        now: SystemTime,
    ) -> Self {
        Self {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            challenge: challenge.map(str::to_owned),
            scope: scope.map(str::to_owned),
            user,
            expires: clock::later(now, LIFETIME),
            sent: 0,
            replays: 0,
            redeemed_for: None,
        }
    }

    fn state(&self, now: SystemTime) -> CodeState {
        match self.redeemed_for {
            Some(_) if self.replays > 0 => CodeState::Replayed,
            Some(_) => CodeState::Redeemed,
            None if now >= self.expires => CodeState::Expired,
            None => CodeState::Fresh,
        }
    }
}

/// The authorization codes.
pub(crate) struct AuthorizationCodes {
    codes: Bounded<AuthorizationCode>,
    /// How many codes were issued.
    pub(crate) issued: u64,
    /// How often a code was sent after it had been redeemed.
    pub(crate) replays: u64,
}

impl AuthorizationCodes {
    pub(crate) fn new() -> Self {
        Self { codes: Bounded::new(MAX_ENTRIES), issued: 0, replays: 0 }
    }

    pub(crate) fn issue(&mut self, random: &mut Random, authorization: AuthorizationCode) -> String {
        self.issued += 1;
        let code = random.guid();
        self.codes.insert(code.clone(), authorization);
        code
    }

    pub(crate) fn get(&self, code: &str) -> Option<&AuthorizationCode> {
        self.codes.get(code)
    }

    pub(crate) fn get_mut(&mut self, code: &str) -> Option<&mut AuthorizationCode> {
        self.codes.get_mut(code)
    }

    /// Counts a token request with these parameters for the code that it has.
    pub(crate) fn count_sent(&mut self, params: &Params) {
        let code = params.optional("code").ok().flatten();
        if let Some(code) = code.and_then(|code| self.codes.get_mut(code)) {
            code.sent += 1;
        }
    }

    /// Returns the codes as tests see them, oldest first.
    pub(crate) fn list(&self, now: SystemTime) -> Vec<IssuedCode> {
        let codes = self.codes.iter().map(|(code, authorization)| IssuedCode {
            code: code.to_owned(),
            client_id: authorization.client_id.clone(),
            redirect_uri: authorization.redirect_uri.clone(),
            challenge: authorization.challenge.clone(),
            scope: authorization.scope.clone(),
            email: authorization.user.email.to_owned(),
            expires: authorization.expires,
            sent: authorization.sent,
            login: authorization.redeemed_for.clone(),
            state: authorization.state(now),
        });
        codes.collect()
    }
}
