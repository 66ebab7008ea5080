use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::random::equal_in_constant_time;
use crate::error::{Error, ErrorKind};
use crate::secret_text::SecretText;

/// How long a login may take from its beginning to its callback: LoginRadius ends its part of it after 10 minutes
/// (LoginRadius, "Federated SSO").
pub(super) const LIFETIME: Duration = Duration::from_secs(600);

/// What every pending login has: the secret that only its own callback has, and whether that callback came.
#[derive(Serialize, Deserialize)]
pub(super) struct PendingState {
    secret: SecretText,
    began_at_unix_ms: u64,
    consumed: bool,
    /// When the login began by the monotonic clock of this process; `None` in a stored login.
    #[serde(skip)]
    began: Option<Instant>,
}

impl PendingState {
    pub(super) fn new(secret: SecretText, now: Moment) -> Self {
        Self { secret, began_at_unix_ms: unix_millis(now.wall), consumed: false, began: now.monotonic }
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    pub(super) fn expires_at(&self) -> SystemTime {
        let began_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.began_at_unix_ms));
        began_at.and_then(|began_at| began_at.checked_add(LIFETIME)).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Consumes the login if the callback has its secret, which came in that way.
    pub(super) fn consume(&mut self, carrier: Carrier, secret: Option<&str>, now: Moment) -> Result<(), Error> {
        if !secret.is_some_and(|secret| equal_in_constant_time(&self.secret, secret)) {
            return Err(Error::new(ErrorKind::StateMismatch, carrier.mismatch(secret.is_some())));
        }
        if std::mem::replace(&mut self.consumed, true) {
            return Err(Error::new(
                ErrorKind::AlreadyCompleted,
                "a callback of this login was already used: begin a new login",
            ));
        }
        if self.age(now) >= LIFETIME {
            return Err(Error::new(
                ErrorKind::Expired,
                "the callback came more than 10 minutes after the login began: begin a new login",
            ));
        }
        Ok(())
    }
}

/// What carries the secret in a callback.
#[derive(Clone, Copy)]
pub(super) enum Carrier {
    State,
    /// The nonce in the JWT.
    Nonce,
}

impl Carrier {
    /// Returns the message for a callback without the login's secret. `is_there` says whether it has another one.
    fn mismatch(self, is_there: bool) -> &'static str {
        match (self, is_there) {
            (Self::State, true) => "the callback's state is not this login's: ignore the callback, and keep waiting",
            (Self::State, false) => {
                "the callback has no state, or several, so it is not this login's: pass on the whole query, or ignore \
                 the callback, and keep waiting"
            }
            (Self::Nonce, true) => {
                "the nonce in the callback's JWT is not this login's: ignore the callback, and keep waiting"
            }
            (Self::Nonce, false) => {
                "the callback has no JWT with a nonce, so it is not this login's: check the response parameter and the \
                 response mode in the JWT app's settings, or ignore the callback, and keep waiting"
            }
        }
    }
}

impl PendingState {
    /// Returns the time since the login began. By the wall clock, which may have been set back since, it is the
    /// difference in either direction.
    fn age(&self, now: Moment) -> Duration {
        match (self.began, now.monotonic) {
            (Some(began), Some(now)) => now.saturating_duration_since(began),
            _ => Duration::from_millis(unix_millis(now.wall).abs_diff(self.began_at_unix_ms)),
        }
    }
}

fn unix_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
