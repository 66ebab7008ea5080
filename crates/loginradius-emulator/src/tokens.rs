//! Logins, and the tokens that they yield.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::bounded::{Bounded, MAX_ENTRIES};
use crate::clock;
use crate::config::Config;
use crate::error_codes;
use crate::operation::{Api, Operation};
use crate::random::Random;
use crate::refusal::Refusal;
use crate::seeded::{self, User};

/// Consumed refresh tokens must be remembered, so that a replay is noticed.
const MAX_TOKENS: usize = 200_000;

/// A login: one act of signing in, and the tokens that it yielded.
///
/// Its `Debug` omits the tokens.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Login {
    /// A number, which counts the logins.
    pub id: String,
    /// The client that may refresh it.
    pub client_id: String,
    /// The email address of the user.
    pub email: String,
    /// The operation that created it: [`Operation::DeviceToken`], [`Operation::CodeExchange`], [`Operation::Password`],
    /// or [`Operation::Authorize`] if the access token was in the authorization response.
    pub began_by: Operation,
    /// How often it was refreshed, with rotation or without.
    pub refreshes: u64,
    /// How often its refresh token was rotated. Refreshes within the [grace period](crate::Builder::refresh_grace) and
    /// refreshes [without rotation](crate::Emulator::rotate_refresh_tokens) do not count.
    pub rotations: u64,
    /// How often a consumed refresh token of it was sent again, after any grace period.
    pub replays: u64,
    /// Whether its newest tokens are valid until they expire. A revocation or a replay ends it.
    pub live: bool,
    /// The newest refresh token. Empty if it [never had one](crate::Emulator::issue_refresh_tokens), as logins that
    /// began by [`Operation::Authorize`].
    pub refresh_token: String,
    /// The newest access token.
    pub access_token: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Login")
            .field("id", &self.id)
            .field("client_id", &self.client_id)
            .field("email", &self.email)
            .field("began_by", &self.began_by)
            .field("refreshes", &self.refreshes)
            .field("rotations", &self.rotations)
            .field("replays", &self.replays)
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

/// The response to a login or a refresh (RFC 6749, section 5.1), as [`Emulator::login`](crate::Emulator::login)
/// returns it.
///
/// Its `Debug` omits the tokens.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenResponse {
    /// The [`Login::id`] of the login. It is not in the HTTP response.
    pub login: String,
    /// The access token.
    pub access_token: String,
    /// The refresh token, unless [`Emulator::issue_refresh_tokens`](crate::Emulator::issue_refresh_tokens) is off.
    pub refresh_token: Option<String>,
    /// The lifetime of the access token.
    pub expires_in: Duration,
}

impl TokenResponse {
    /// Returns the body of the HTTP response.
    pub(crate) fn to_json(&self, api: Api) -> Value {
        let mut body = json!({
            "access_token": self.access_token,
            // As in the samples of each API.
            "token_type": match api {
                Api::Classic => "access_token",
                Api::Site => "Bearer",
            },
            "expires_in": self.expires_in.as_secs(),
        });
        if let Some(refresh_token) = &self.refresh_token {
            body["refresh_token"] = refresh_token.as_str().into();
        }
        body
    }
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenResponse")
            .field("login", &self.login)
            .field("has_refresh_token", &self.refresh_token.is_some())
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// A consumed refresh token that was sent again, after any grace period.
///
/// Its `Debug` omits the token.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replay {
    /// The refresh token.
    pub refresh_token: String,
    /// The [`Login::id`] of its login, which the replay has ended.
    pub login: String,
    /// When the token was consumed, by the emulator's clock.
    pub consumed_at: SystemTime,
    /// When it was sent again, by the emulator's clock.
    pub at: SystemTime,
}

impl fmt::Debug for Replay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Replay")
            .field("login", &self.login)
            .field("consumed_at", &self.consumed_at)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// The logins, their tokens, and the settings for new tokens.
pub(crate) struct Tokens {
    access_lifetime: Duration,
    refresh_lifetime: Duration,
    refresh_grace: Duration,
    /// By login id.
    logins: Bounded<Login>,
    /// By refresh token.
    refresh: Bounded<RefreshToken>,
    /// By access token.
    access: Bounded<AccessToken>,
    /// Access tokens of an earlier epoch are expired, whatever their lifetime is.
    access_epoch: u64,
    replayed: VecDeque<Replay>,
    /// Whether the response to a refresh contains a new refresh token.
    pub(crate) rotate_refresh_tokens: bool,
    /// Whether the response to a login contains a refresh token.
    pub(crate) issue_refresh_tokens: bool,
    pub(crate) counts: TokenCounts,
}

/// How often things have happened; see [`Counters`](crate::Counters).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TokenCounts {
    pub(crate) logins: u64,
    pub(crate) refreshes: u64,
    pub(crate) grace_refreshes: u64,
    pub(crate) replays: u64,
    pub(crate) revocations: u64,
}

#[derive(Debug)]
struct RefreshToken {
    login: String,
    expires: SystemTime,
    /// When it was rotated.
    consumed_at: Option<SystemTime>,
}

impl RefreshToken {
    /// Returns whether it is consumed and its grace period is over.
    fn is_past_grace(&self, now: SystemTime, grace: Duration) -> bool {
        self.consumed_at.is_some_and(|consumed_at| now >= clock::later(consumed_at, grace))
    }
}

#[derive(Debug)]
struct AccessToken {
    login: String,
    user: &'static User,
    expires: SystemTime,
    epoch: u64,
}

impl Tokens {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            access_lifetime: config.access_token_lifetime,
            refresh_lifetime: config.refresh_token_lifetime,
            refresh_grace: config.refresh_grace,
            logins: Bounded::new(MAX_ENTRIES),
            refresh: Bounded::new(MAX_TOKENS),
            access: Bounded::new(MAX_TOKENS),
            access_epoch: 0,
            replayed: VecDeque::new(),
            rotate_refresh_tokens: true,
            issue_refresh_tokens: true,
            counts: TokenCounts::default(),
        }
    }

    /// Copies the logins, oldest first.
    pub(crate) fn logins(&self) -> Vec<Login> {
        self.logins.iter().map(|(_, login)| login.clone()).collect()
    }

    /// Counts the live logins.
    pub(crate) fn live_logins(&self) -> usize {
        self.logins.values().filter(|login| login.live).count()
    }

    pub(crate) fn replayed(&self) -> Vec<Replay> {
        self.replayed.iter().cloned().collect()
    }

    pub(crate) fn expire_access_tokens(&mut self) {
        self.access_epoch += 1;
    }

    /// Creates a login, and issues its first tokens.
    pub(crate) fn login(
        &mut self,
        random: &mut Random,
        api: Api,
        client_id: &str,
        user: &'static User,
        began_by: Operation,
        now: SystemTime,
    ) -> TokenResponse {
        // RFC 6749, section 4.2.2: an authorization response has no refresh token.
        let with_refresh_token = self.issue_refresh_tokens && began_by != Operation::Authorize;
        self.counts.logins += 1;
        let id = self.counts.logins.to_string();
        let login = Login {
            id: id.clone(),
            client_id: client_id.to_owned(),
            email: user.email.to_owned(),
            began_by,
            refreshes: 0,
            rotations: 0,
            replays: 0,
            live: true,
            refresh_token: String::new(),
            access_token: String::new(),
        };
        self.logins.insert(id.clone(), login);
        self.issue_tokens(random, api, &id, user, with_refresh_token, now)
    }

    fn issue_tokens(
        &mut self,
        random: &mut Random,
        api: Api,
        id: &str,
        user: &'static User,
        with_refresh_token: bool,
        now: SystemTime,
    ) -> TokenResponse {
        // GUIDs in the samples of the classic API, hexadecimal digits in those of the site API.
        let mut token = || match api {
            Api::Classic => random.guid(),
            Api::Site => random.hex64(),
        };
        let access_token = token();
        let refresh_token = with_refresh_token.then(token);
        if let Some(login) = self.logins.get_mut(id) {
            login.access_token.clone_from(&access_token);
            if let Some(refresh_token) = &refresh_token {
                login.refresh_token.clone_from(refresh_token);
            }
        }

        // The newest tokens of a live login are kept, however many tokens are issued to others. There are
        // more tokens kept than logins, so there always is one to remove.
        let logins = &self.logins;
        let lives = |id: &str| logins.get(id).filter(|login| login.live);
        let access = AccessToken {
            login: id.to_owned(),
            user,
            expires: clock::later(now, self.access_lifetime),
            epoch: self.access_epoch,
        };
        self.access.insert_keeping(access_token.clone(), access, |key, token| {
            lives(&token.login).is_some_and(|login| login.access_token == key)
        });
        if let Some(refresh_token) = &refresh_token {
            let refresh = RefreshToken {
                login: id.to_owned(),
                expires: clock::later(now, self.refresh_lifetime),
                consumed_at: None,
            };
            self.refresh.insert_keeping(refresh_token.clone(), refresh, |key, token| {
                lives(&token.login).is_some_and(|login| login.refresh_token == key)
            });
        }
        TokenResponse { login: id.to_owned(), access_token, refresh_token, expires_in: self.access_lifetime }
    }

    /// Refreshes a login. With rotation the refresh token is consumed. A consumed one that is sent again after its
    /// grace period ends the login (RFC 9700, section 4.14.2).
    pub(crate) fn refresh(
        &mut self,
        random: &mut Random,
        api: Api,
        client_id: &str,
        refresh_token: &str,
        now: SystemTime,
    ) -> Result<TokenResponse, Refusal> {
        let id = self.login_of(client_id, refresh_token)?;
        let token = self.refresh.get_mut(refresh_token).ok_or(Refusal::RefreshTokenInvalid)?;
        let login = self.logins.get_mut(&id).ok_or(Refusal::RefreshTokenInvalid)?;
        if let Some(consumed_at) = token.consumed_at
            && token.is_past_grace(now, self.refresh_grace)
        {
            self.counts.replays += 1;
            login.replays += 1;
            login.live = false;
            let replay = Replay { refresh_token: refresh_token.to_owned(), login: id, consumed_at, at: now };
            self.replayed.push_back(replay);
            if self.replayed.len() > MAX_ENTRIES {
                self.replayed.pop_front();
            }
            return Err(Refusal::RefreshTokenInvalid);
        }
        if !login.live || now >= token.expires {
            return Err(Refusal::RefreshTokenInvalid);
        }
        let user = seeded::user(&login.email).ok_or(Refusal::RefreshTokenInvalid)?;
        self.counts.refreshes += 1;
        login.refreshes += 1;
        if token.consumed_at.is_some() {
            // The grace period still counts from the rotation: otherwise it would never end for a client that keeps
            // sending.
            self.counts.grace_refreshes += 1;
        } else if self.rotate_refresh_tokens {
            token.consumed_at = Some(now);
            login.rotations += 1;
        } else {
            // The lifetime counts from the last use, as that of a new refresh token would.
            token.expires = clock::later(now, self.refresh_lifetime);
        }
        Ok(self.issue_tokens(random, api, &id, user, self.rotate_refresh_tokens, now))
    }

    /// Ends the login of a refresh token. An invalid token is refused, as in LoginRadius's table "OpenID"; RFC 7009,
    /// section 2.2, would have status 200.
    pub(crate) fn revoke(&mut self, client_id: &str, refresh_token: &str, now: SystemTime) -> Result<(), Refusal> {
        let id = self.login_of(client_id, refresh_token)?;
        if !self.is_live_refresh_token(refresh_token, now) {
            return Err(Refusal::RefreshTokenInvalid);
        }
        self.counts.revocations += 1;
        self.end(&id);
        Ok(())
    }

    /// Returns the id of a refresh token's login, if the login is this client's.
    fn login_of(&self, client_id: &str, refresh_token: &str) -> Result<String, Refusal> {
        self.refresh
            .get(refresh_token)
            .and_then(|token| self.logins.get(&token.login))
            .filter(|login| login.client_id == client_id)
            .map(|login| login.id.clone())
            .ok_or(Refusal::RefreshTokenInvalid)
    }

    pub(crate) fn end(&mut self, id: &str) {
        if let Some(login) = self.logins.get_mut(id) {
            login.live = false;
        }
    }

    pub(crate) fn end_all(&mut self) {
        for login in self.logins.values_mut() {
            login.live = false;
        }
    }

    /// Returns the user of an access token. The errors are LoginRadius's codes 905 and 906.
    pub(crate) fn user_of_access_token(&self, token: &str, now: SystemTime) -> Result<&'static User, Refusal> {
        let token = self
            .access
            .get(token)
            .filter(|token| {
                let login = self.logins.get(&token.login);
                login.is_some_and(|login| login.live)
            })
            .ok_or(Refusal::Service(error_codes::ACCESS_TOKEN_INVALID))?;
        if token.epoch != self.access_epoch || now >= token.expires {
            return Err(Refusal::Service(error_codes::ACCESS_TOKEN_EXPIRED));
        }
        Ok(token.user)
    }

    pub(crate) fn is_live_refresh_token(&self, token: &str, now: SystemTime) -> bool {
        self.refresh.get(token).is_some_and(|token| {
            !token.is_past_grace(now, self.refresh_grace)
                && now < token.expires
                && self.logins.get(&token.login).is_some_and(|login| login.live)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens of which few are kept, at a fixed time.
    struct Fixture {
        tokens: Tokens,
        random: Random,
        now: SystemTime,
    }

    impl Fixture {
        fn new() -> Self {
            let mut tokens = Tokens::new(&Config::default());
            tokens.refresh = Bounded::new(4);
            tokens.access = Bounded::new(4);
            Self { tokens, random: Random::new().unwrap(), now: SystemTime::now() }
        }

        fn login(&mut self) -> TokenResponse {
            let Self { tokens, random, now } = self;
            tokens.login(random, Api::Classic, seeded::CLIENT_ID, &seeded::ADA, Operation::Password, *now)
        }

        fn try_refresh(&mut self, token: &TokenResponse) -> Result<TokenResponse, Refusal> {
            let Self { tokens, random, now } = self;
            let token = token.refresh_token.as_deref().unwrap();
            tokens.refresh(random, Api::Classic, seeded::CLIENT_ID, token, *now)
        }

        fn refresh(&mut self, token: &TokenResponse) -> TokenResponse {
            self.try_refresh(token).unwrap_or_else(|_| panic!("refused"))
        }
    }

    #[test]
    fn a_login_at_rest_is_not_ended_by_the_refreshes_of_others() {
        let mut fixture = Fixture::new();
        let resting = fixture.login();
        let first = fixture.login();
        let mut busy = first.clone();
        for _ in 0..20 {
            busy = fixture.refresh(&busy);
        }
        assert!(fixture.tokens.user_of_access_token(&resting.access_token, fixture.now).is_ok());
        fixture.refresh(&resting);
        fixture.refresh(&busy);
        // What was consumed long ago is forgotten, so that memory stays bounded.
        assert!(fixture.try_refresh(&first).is_err());
        assert_eq!(fixture.tokens.counts.replays, 0);
    }

    #[test]
    fn the_tokens_of_ended_logins_are_forgotten_first() {
        let mut fixture = Fixture::new();
        let ended = fixture.login();
        fixture.tokens.end_all();
        let rest: Vec<_> = (0..4).map(|_| fixture.login()).collect();
        assert!(fixture.tokens.refresh.get(&ended.refresh_token.unwrap()).is_none());
        assert!(fixture.tokens.access.get(&ended.access_token).is_none());
        for response in &rest {
            fixture.refresh(response);
        }
    }
}
