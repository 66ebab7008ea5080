//! Logins, and the tokens that they yield.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::bounded::{Bounded, MAX_ENTRIES};
use crate::clock;
use crate::config::Config;
use crate::error_codes;
use crate::operation::{Family, Operation};
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
pub struct SignIn {
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

impl fmt::Debug for SignIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SignIn")
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

/// The response to a login or a refresh (RFC 6749, section 5.1), as [`Emulator::sign_in`](crate::Emulator::sign_in)
/// returns it.
///
/// Its `Debug` omits the tokens.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenAnswer {
    /// The [`SignIn::id`] of the login. It is not in the HTTP response.
    pub sign_in: String,
    /// The access token.
    pub access_token: String,
    /// The refresh token, unless [`Emulator::issue_refresh_tokens`](crate::Emulator::issue_refresh_tokens) is off.
    pub refresh_token: Option<String>,
    /// The lifetime of the access token.
    pub expires_in: Duration,
}

impl TokenAnswer {
    /// Returns the body of the HTTP response.
    pub(crate) fn to_json(&self, family: Family) -> Value {
        let mut body = json!({
            "access_token": self.access_token,
            // As in the samples of each API.
            "token_type": match family {
                Family::Classic => "access_token",
                Family::Site => "Bearer",
            },
            "expires_in": self.expires_in.as_secs(),
        });
        if let Some(refresh_token) = &self.refresh_token {
            body["refresh_token"] = refresh_token.as_str().into();
        }
        body
    }
}

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenAnswer")
            .field("sign_in", &self.sign_in)
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
    /// The [`SignIn::id`] of its login, which the replay has ended.
    pub sign_in: String,
    /// When the token was consumed, by the emulator's clock.
    pub spent_at: SystemTime,
    /// When it was sent again, by the emulator's clock.
    pub at: SystemTime,
}

impl fmt::Debug for Replay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Replay")
            .field("sign_in", &self.sign_in)
            .field("spent_at", &self.spent_at)
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
    sign_ins: Bounded<SignIn>,
    /// By refresh token.
    refresh: Bounded<RefreshToken>,
    /// By access token.
    access: Bounded<AccessToken>,
    /// Access tokens of an earlier epoch are expired, whatever their lifetime is.
    access_epoch: u64,
    replayed: VecDeque<Replay>,
    /// Whether the response to a refresh has a new refresh token.
    pub(crate) rotate: bool,
    /// Whether the response to a login has a refresh token.
    pub(crate) issue: bool,
    pub(crate) counts: TokenCounts,
}

/// How often things have happened; see [`Counters`](crate::Counters).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TokenCounts {
    pub(crate) sign_ins: u64,
    pub(crate) refreshes: u64,
    pub(crate) graced: u64,
    pub(crate) replays: u64,
    pub(crate) revocations: u64,
}

#[derive(Debug)]
struct RefreshToken {
    sign_in: String,
    expires: SystemTime,
    /// When it was rotated.
    spent_at: Option<SystemTime>,
}

impl RefreshToken {
    /// Returns whether it is consumed and its grace period is over.
    fn is_consumed(&self, now: SystemTime, grace: Duration) -> bool {
        self.spent_at.is_some_and(|spent_at| now >= clock::later(spent_at, grace))
    }
}

#[derive(Debug)]
struct AccessToken {
    sign_in: String,
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
            sign_ins: Bounded::new(MAX_ENTRIES),
            refresh: Bounded::new(MAX_TOKENS),
            access: Bounded::new(MAX_TOKENS),
            access_epoch: 0,
            replayed: VecDeque::new(),
            rotate: true,
            issue: true,
            counts: TokenCounts::default(),
        }
    }

    /// Copies the logins, oldest first.
    pub(crate) fn sign_ins(&self) -> Vec<SignIn> {
        self.sign_ins.iter().map(|(_, sign_in)| sign_in.clone()).collect()
    }

    /// Counts the live logins.
    pub(crate) fn live_sign_ins(&self) -> usize {
        self.sign_ins.values().filter(|sign_in| sign_in.live).count()
    }

    pub(crate) fn replayed(&self) -> Vec<Replay> {
        self.replayed.iter().cloned().collect()
    }

    pub(crate) fn expire_access_tokens(&mut self) {
        self.access_epoch += 1;
    }

    /// Creates a login, and issues its first tokens.
    pub(crate) fn sign_in(
        &mut self,
        random: &mut Random,
        family: Family,
        client_id: &str,
        user: &'static User,
        began_by: Operation,
        now: SystemTime,
    ) -> TokenAnswer {
        // RFC 6749, section 4.2.2: an authorization response has no refresh token.
        let with_refresh_token = self.issue && began_by != Operation::Authorize;
        self.counts.sign_ins += 1;
        let id = self.counts.sign_ins.to_string();
        let sign_in = SignIn {
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
        self.sign_ins.insert(id.clone(), sign_in);
        self.issue_tokens(random, family, &id, user, with_refresh_token, now)
    }

    fn issue_tokens(
        &mut self,
        random: &mut Random,
        family: Family,
        id: &str,
        user: &'static User,
        with_refresh_token: bool,
        now: SystemTime,
    ) -> TokenAnswer {
        // GUIDs in the samples of the classic API, hexadecimal digits in those of the site API.
        let mut token = || match family {
            Family::Classic => random.guid(),
            Family::Site => random.hex64(),
        };
        let access_token = token();
        let refresh_token = with_refresh_token.then(token);
        if let Some(sign_in) = self.sign_ins.get_mut(id) {
            sign_in.access_token.clone_from(&access_token);
            if let Some(refresh_token) = &refresh_token {
                sign_in.refresh_token.clone_from(refresh_token);
            }
        }

        // The newest tokens of a live login are kept, however many tokens are issued to others meanwhile. There are
        // more tokens kept than logins, so there always is one to remove.
        let sign_ins = &self.sign_ins;
        let lives = |id: &str| sign_ins.get(id).filter(|sign_in| sign_in.live);
        let access = AccessToken {
            sign_in: id.to_owned(),
            user,
            expires: clock::later(now, self.access_lifetime),
            epoch: self.access_epoch,
        };
        self.access.insert_keeping(access_token.clone(), access, |key, token| {
            lives(&token.sign_in).is_some_and(|sign_in| sign_in.access_token == key)
        });
        if let Some(refresh_token) = &refresh_token {
            let refresh = RefreshToken {
                sign_in: id.to_owned(),
                expires: clock::later(now, self.refresh_lifetime),
                spent_at: None,
            };
            self.refresh.insert_keeping(refresh_token.clone(), refresh, |key, token| {
                lives(&token.sign_in).is_some_and(|sign_in| sign_in.refresh_token == key)
            });
        }
        TokenAnswer { sign_in: id.to_owned(), access_token, refresh_token, expires_in: self.access_lifetime }
    }

    /// Refreshes a login. With rotation the refresh token is consumed. A consumed one that is sent again after its
    /// grace period ends the login (RFC 9700, section 4.14.2).
    pub(crate) fn refresh(
        &mut self,
        random: &mut Random,
        family: Family,
        client_id: &str,
        refresh_token: &str,
        now: SystemTime,
    ) -> Result<TokenAnswer, Refusal> {
        let id = self.login_of(client_id, refresh_token)?;
        let token = self.refresh.get_mut(refresh_token).ok_or(Refusal::RefreshTokenInvalid)?;
        let sign_in = self.sign_ins.get_mut(&id).ok_or(Refusal::RefreshTokenInvalid)?;
        if let Some(spent_at) = token.spent_at
            && token.is_consumed(now, self.refresh_grace)
        {
            self.counts.replays += 1;
            sign_in.replays += 1;
            sign_in.live = false;
            let replay = Replay { refresh_token: refresh_token.to_owned(), sign_in: id, spent_at, at: now };
            self.replayed.push_back(replay);
            if self.replayed.len() > MAX_ENTRIES {
                self.replayed.pop_front();
            }
            return Err(Refusal::RefreshTokenInvalid);
        }
        if !sign_in.live || now >= token.expires {
            return Err(Refusal::RefreshTokenInvalid);
        }
        let user = seeded::user(&sign_in.email).ok_or(Refusal::RefreshTokenInvalid)?;
        self.counts.refreshes += 1;
        sign_in.refreshes += 1;
        if token.spent_at.is_some() {
            // The grace period still counts from the rotation: otherwise it would never end for a client that keeps
            // sending.
            self.counts.graced += 1;
        } else if self.rotate {
            token.spent_at = Some(now);
            sign_in.rotations += 1;
        } else {
            // The lifetime counts from the last use, as that of a new refresh token would.
            token.expires = clock::later(now, self.refresh_lifetime);
        }
        Ok(self.issue_tokens(random, family, &id, user, self.rotate, now))
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
            .and_then(|token| self.sign_ins.get(&token.sign_in))
            .filter(|sign_in| sign_in.client_id == client_id)
            .map(|sign_in| sign_in.id.clone())
            .ok_or(Refusal::RefreshTokenInvalid)
    }

    pub(crate) fn end(&mut self, id: &str) {
        if let Some(sign_in) = self.sign_ins.get_mut(id) {
            sign_in.live = false;
        }
    }

    pub(crate) fn end_all(&mut self) {
        for sign_in in self.sign_ins.values_mut() {
            sign_in.live = false;
        }
    }

    /// Returns the user of an access token. The errors are LoginRadius's codes 905 and 906.
    pub(crate) fn user_of_access_token(&self, token: &str, now: SystemTime) -> Result<&'static User, Refusal> {
        let token = self
            .access
            .get(token)
            .filter(|token| {
                let sign_in = self.sign_ins.get(&token.sign_in);
                sign_in.is_some_and(|sign_in| sign_in.live)
            })
            .ok_or(Refusal::Service(error_codes::ACCESS_TOKEN_INVALID))?;
        if token.epoch != self.access_epoch || now >= token.expires {
            return Err(Refusal::Service(error_codes::ACCESS_TOKEN_EXPIRED));
        }
        Ok(token.user)
    }

    pub(crate) fn is_live_refresh_token(&self, token: &str, now: SystemTime) -> bool {
        self.refresh.get(token).is_some_and(|token| {
            !token.is_consumed(now, self.refresh_grace)
                && now < token.expires
                && self.sign_ins.get(&token.sign_in).is_some_and(|sign_in| sign_in.live)
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

        fn sign_in(&mut self) -> TokenAnswer {
            let Self { tokens, random, now } = self;
            tokens.sign_in(random, Family::Classic, seeded::CLIENT_ID, &seeded::ADA, Operation::Password, *now)
        }

        fn try_refresh(&mut self, token: &TokenAnswer) -> Result<TokenAnswer, Refusal> {
            let Self { tokens, random, now } = self;
            let token = token.refresh_token.as_deref().unwrap();
            tokens.refresh(random, Family::Classic, seeded::CLIENT_ID, token, *now)
        }

        fn refresh(&mut self, token: &TokenAnswer) -> TokenAnswer {
            self.try_refresh(token).unwrap_or_else(|_| panic!("refused"))
        }
    }

    #[test]
    fn a_sign_in_that_rests_is_not_ended_by_the_refreshes_of_others() {
        let mut fixture = Fixture::new();
        let resting = fixture.sign_in();
        let first = fixture.sign_in();
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
    fn the_tokens_of_ended_sign_ins_are_forgotten_first() {
        let mut fixture = Fixture::new();
        let ended = fixture.sign_in();
        fixture.tokens.end_all();
        let rest: Vec<_> = (0..4).map(|_| fixture.sign_in()).collect();
        assert!(fixture.tokens.refresh.get(&ended.refresh_token.unwrap()).is_none());
        assert!(fixture.tokens.access.get(&ended.access_token).is_none());
        for response in &rest {
            fixture.refresh(response);
        }
    }
}
