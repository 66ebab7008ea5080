//! What the emulator knows: grants, codes, tokens, browsers, and what it was asked.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::bounded::Bounded;
use crate::builder::Config;
use crate::clock::{self, Clock};
use crate::device::Grant;
use crate::fault::Faults;
use crate::pages::browser::Browsers;
use crate::random::Random;
use crate::recorded::{Family, Operation, Recorded};
use crate::refusal::Refusal;
use crate::seeded::User;

/// "The code is valid for 50 seconds", says the troubleshooting section of LoginRadius's guide "OAuth 2.0".
const CODE_LIFETIME: Duration = Duration::from_secs(50);

/// How many of each thing are kept.
const KEPT: usize = 10_000;
/// Spent refresh tokens must be remembered, to know a replay when it comes.
const TOKENS_KEPT: usize = 200_000;

pub(crate) struct State {
    pub(crate) config: Config,
    /// `http://127.0.0.1:<port>`.
    pub(crate) base_url: String,
    pub(crate) port: u16,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// By device code.
    pub(crate) grants: Bounded<Grant>,
    /// By authorization code.
    pub(crate) codes: Bounded<AuthorizationCode>,
    /// By their id.
    pub(crate) sign_ins: Bounded<SignIn>,
    /// By refresh token.
    refresh_tokens: Bounded<RefreshToken>,
    /// By access token.
    access_tokens: Bounded<AccessToken>,
    pub(crate) browsers: Browsers,
    pub(crate) faults: Faults,
    pub(crate) counters: Counters,
    requests: VecDeque<(u64, Recorded)>,
    request_number: u64,
}

/// What came of an authorization in a browser.
#[derive(Debug)]
pub(crate) struct AuthorizationCode {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    /// The `S256` challenge of RFC 7636.
    pub(crate) challenge: Option<String>,
    pub(crate) user: &'static User,
    pub(crate) expires: SystemTime,
    /// The sign-in that it was exchanged for.
    pub(crate) used_for: Option<String>,
}

/// A sign-in and the tokens that come from it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignIn {
    /// A number of its own, in the order of sign-ins.
    pub id: String,
    /// The client that may refresh it.
    pub client_id: String,
    /// The email address of its user.
    pub email: String,
    /// How it began: [`Operation::DeviceToken`], [`Operation::CodeExchange`] or [`Operation::Password`].
    pub began_by: Operation,
    /// How often its refresh token was rotated.
    pub rotations: u64,
    /// Whether its newest tokens are accepted until they expire. Revoking and replaying end it.
    pub live: bool,
    /// The newest refresh token.
    pub refresh_token: String,
    /// The newest access token.
    pub access_token: String,
}

#[derive(Debug)]
struct RefreshToken {
    sign_in: String,
    expires: SystemTime,
    spent: bool,
}

#[derive(Debug)]
struct AccessToken {
    sign_in: String,
    user: &'static User,
    expires: SystemTime,
}

/// How often things happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Device codes given out.
    pub device_codes: u64,
    /// Polls answered `slow_down`.
    pub slow_downs: u64,
    /// Sign-ins: device grants, codes and passwords that became tokens.
    pub sign_ins: u64,
    /// Refresh tokens rotated.
    pub refreshes: u64,
    /// Spent refresh tokens that were sent again; each ends its sign-in.
    pub replays: u64,
    /// Refresh tokens revoked.
    pub revocations: u64,
    /// JWTs signed.
    pub jwts: u64,
}

impl State {
    pub(crate) fn new(config: Config, port: u16) -> io::Result<Self> {
        Ok(Self {
            clock: Clock::new(config.manual_clock),
            config,
            base_url: format!("http://127.0.0.1:{port}"),
            port,
            random: Random::new()?,
            grants: Bounded::new(KEPT),
            codes: Bounded::new(KEPT),
            sign_ins: Bounded::new(KEPT),
            refresh_tokens: Bounded::new(TOKENS_KEPT),
            access_tokens: Bounded::new(TOKENS_KEPT),
            browsers: Browsers::new(),
            faults: Faults::default(),
            counters: Counters::default(),
            requests: VecDeque::new(),
            request_number: 0,
        })
    }

    /// The address that people and JWTs see, without a slash at its end.
    pub(crate) fn public_url(&self) -> &str {
        self.config.public_url.as_deref().unwrap_or(&self.base_url)
    }

    pub(crate) fn record(&mut self, request: Recorded) -> u64 {
        self.request_number += 1;
        self.requests.push_back((self.request_number, request));
        if self.requests.len() > KEPT {
            self.requests.pop_front();
        }
        self.request_number
    }

    /// The request of that number, unless it has been cleared meanwhile.
    pub(crate) fn recorded(&mut self, number: u64) -> Option<&mut Recorded> {
        self.requests.iter_mut().rev().find(|(other, _)| *other == number).map(|(_, request)| request)
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.requests.iter().map(|(_, request)| request.clone()).collect()
    }

    pub(crate) fn clear_requests(&mut self) {
        self.requests.clear();
    }

    pub(crate) fn issue_code(
        &mut self,
        client_id: &str,
        redirect_uri: &str,
        challenge: Option<&str>,
        user: &'static User,
    ) -> String {
        let code = self.random.guid();
        let authorization = AuthorizationCode {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            challenge: challenge.map(str::to_owned),
            user,
            expires: clock::later(self.clock.now(), CODE_LIFETIME),
            used_for: None,
        };
        self.codes.insert(code.clone(), authorization);
        code
    }

    /// The first tokens of a sign-in. Returns its id and the answer's body.
    pub(crate) fn sign_in(
        &mut self,
        family: Family,
        client_id: &str,
        user: &'static User,
        began_by: Operation,
    ) -> (String, Value) {
        self.counters.sign_ins += 1;
        let id = self.counters.sign_ins.to_string();
        let sign_in = SignIn {
            id: id.clone(),
            client_id: client_id.to_owned(),
            email: user.email.to_owned(),
            began_by,
            rotations: 0,
            live: true,
            refresh_token: String::new(),
            access_token: String::new(),
        };
        self.sign_ins.insert(id.clone(), sign_in);
        let body = self.issue_tokens(family, &id, user);
        (id, body)
    }

    fn issue_tokens(&mut self, family: Family, id: &str, user: &'static User) -> Value {
        let now = self.clock.now();
        // GUIDs and `access_token` in the classic samples, hexadecimal and `Bearer` in the site's.
        let (access_token, refresh_token, token_type) = match family {
            Family::Classic => (self.random.guid(), self.random.guid(), "access_token"),
            Family::Site => (self.random.hex64(), self.random.hex64(), "Bearer"),
        };
        let access =
            AccessToken { sign_in: id.to_owned(), user, expires: clock::later(now, self.config.access_token_lifetime) };
        self.access_tokens.insert(access_token.clone(), access);
        let refresh = RefreshToken {
            sign_in: id.to_owned(),
            expires: clock::later(now, self.config.refresh_token_lifetime),
            spent: false,
        };
        self.refresh_tokens.insert(refresh_token.clone(), refresh);
        if let Some(sign_in) = self.sign_ins.get_mut(id) {
            sign_in.access_token.clone_from(&access_token);
            sign_in.refresh_token.clone_from(&refresh_token);
        }
        json!({
            "access_token": access_token,
            "token_type": token_type,
            "expires_in": self.config.access_token_lifetime.as_secs(),
            "refresh_token": refresh_token,
        })
    }

    /// Rotation: the token is spent, its successor is the answer. A spent one that comes again ends the sign-in
    /// (RFC 9700, section 4.14.2).
    pub(crate) fn rotate(&mut self, family: Family, client_id: &str, refresh_token: &str) -> Result<Value, Refusal> {
        let now = self.clock.now();
        let id = self.sign_in_of(client_id, refresh_token)?;
        let token = self.refresh_tokens.get_mut(refresh_token).ok_or(Refusal::RefreshTokenInvalid)?;
        if token.spent {
            self.counters.replays += 1;
            self.end(&id);
            return Err(Refusal::RefreshTokenInvalid);
        }
        let sign_in = self
            .sign_ins
            .get_mut(&id)
            .filter(|sign_in| sign_in.live && now < token.expires)
            .ok_or(Refusal::RefreshTokenInvalid)?;
        token.spent = true;
        sign_in.rotations += 1;
        let user = crate::seeded::user(&sign_in.email).ok_or(Refusal::RefreshTokenInvalid)?;
        self.counters.refreshes += 1;
        Ok(self.issue_tokens(family, &id, user))
    }

    /// Ends the sign-in of a refresh token. A token that is not good is refused, as LoginRadius's table "OpenID"
    /// has it; RFC 7009 would say 200.
    pub(crate) fn revoke(&mut self, client_id: &str, refresh_token: &str) -> Result<(), Refusal> {
        let now = self.clock.now();
        let id = self.sign_in_of(client_id, refresh_token)?;
        let good = self.refresh_tokens.get(refresh_token).is_some_and(|token| !token.spent && now < token.expires)
            && self.sign_ins.get(&id).is_some_and(|sign_in| sign_in.live);
        if !good {
            return Err(Refusal::RefreshTokenInvalid);
        }
        self.counters.revocations += 1;
        self.end(&id);
        Ok(())
    }

    /// The id of the sign-in that a refresh token comes from, if it is this client's.
    fn sign_in_of(&self, client_id: &str, refresh_token: &str) -> Result<String, Refusal> {
        self.refresh_tokens
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

    /// The user of an access token: LoginRadius codes 905 and 906 if there is none.
    pub(crate) fn user_of_access_token(&self, token: &str) -> Result<&'static User, Refusal> {
        let token = self
            .access_tokens
            .get(token)
            .filter(|token| {
                let sign_in = self.sign_ins.get(&token.sign_in);
                sign_in.is_some_and(|sign_in| sign_in.live)
            })
            .ok_or(Refusal::Service(crate::codes::ACCESS_TOKEN_INVALID))?;
        if self.clock.now() >= token.expires {
            return Err(Refusal::Service(crate::codes::ACCESS_TOKEN_EXPIRED));
        }
        Ok(token.user)
    }

    pub(crate) fn is_live_refresh_token(&self, token: &str) -> bool {
        self.refresh_tokens.get(token).is_some_and(|token| {
            !token.spent
                && self.clock.now() < token.expires
                && self.sign_ins.get(&token.sign_in).is_some_and(|sign_in| sign_in.live)
        })
    }
}
