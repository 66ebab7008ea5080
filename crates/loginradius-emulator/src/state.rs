//! The emulator's state. Each part is a module of its own that does not import this one.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::address::Address;
use crate::authorization_code::AuthorizationCodes;
use crate::browsers::Browsers;
use crate::clock::Clock;
use crate::config::Config;
use crate::fault::Faults;
use crate::grants::Grants;
use crate::login_attempts::LoginAttempts;
use crate::random::Random;
use crate::recorded::Requests;
use crate::tokens::Tokens;

pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) address: Address,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) grants: Grants,
    pub(crate) codes: AuthorizationCodes,
    pub(crate) tokens: Tokens,
    /// How many JWTs were issued.
    pub(crate) jwts: u64,
    pub(crate) browsers: Browsers,
    pub(crate) login_attempts: LoginAttempts,
    pub(crate) faults: Faults,
    pub(crate) requests: Requests,
}

/// The state, shared by the server's thread and the test.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<State>>);

/// How often things have happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Device codes issued.
    pub device_codes: u64,
    /// Polls that got `slow_down`.
    pub slow_downs: u64,
    /// Logins: device grants, codes and passwords redeemed for tokens, access tokens in authorization responses, and
    /// calls of [`Emulator::login`](crate::Emulator::login).
    pub logins: u64,
    /// Refreshes that succeeded, `grace_refreshes` included.
    pub refreshes: u64,
    /// Refreshes that succeeded with a consumed refresh token, within its [grace
    /// period](crate::Builder::refresh_grace).
    pub grace_refreshes: u64,
    /// Consumed refresh tokens that were sent again after any grace period. Each ends its login.
    pub replays: u64,
    /// Refresh tokens revoked.
    pub revocations: u64,
    /// JWTs issued to users.
    pub jwts: u64,
    /// Authorization codes issued.
    pub codes: u64,
    /// Authorization codes that were sent again after they had been redeemed. Each ends its login.
    pub code_replays: u64,
}

impl State {
    pub(crate) fn new(config: Config, port: u16) -> io::Result<Self> {
        Ok(Self {
            address: Address::new(&config, port),
            clock: Clock::new(config.manual_clock),
            random: Random::new()?,
            grants: Grants::new(),
            codes: AuthorizationCodes::new(),
            tokens: Tokens::new(&config),
            jwts: 0,
            browsers: Browsers::new(),
            login_attempts: LoginAttempts::new(),
            faults: Faults::default(),
            requests: Requests::default(),
            config,
        })
    }

    /// Collects the counters of each part.
    pub(crate) fn counters(&self) -> Counters {
        let tokens = self.tokens.counts;
        Counters {
            device_codes: self.grants.issued,
            slow_downs: self.grants.slow_downs,
            logins: tokens.logins,
            refreshes: tokens.refreshes,
            grace_refreshes: tokens.grace_refreshes,
            replays: tokens.replays,
            revocations: tokens.revocations,
            jwts: self.jwts,
            codes: self.codes.issued,
            code_replays: self.codes.replays,
        }
    }
}

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// Locks the state. Code that holds the lock does not panic; if it did, the state would still be consistent enough.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
