//! Device grants: what a device was given, and what its user has decided (RFC 8628).

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::bounded::{Bounded, MAX_ENTRIES};
use crate::random::Random;
use crate::seeded::User;

#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) user_code: String,
    pub(crate) client_id: String,
    pub(crate) app: String,
    pub(crate) scope: Option<String>,
    pub(crate) expires: SystemTime,
    pub(crate) interval: Duration,
    pub(crate) last_poll: Option<SystemTime>,
    pub(crate) polls: u64,
    pub(crate) decision: Decision,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Pending,
    Allowed(&'static User),
    Denied,
    /// The tokens have been fetched.
    Redeemed(&'static User),
}

/// A device grant, as [`Emulator::device_grants`](crate::Emulator::device_grants) shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceGrant {
    /// What the device polls with.
    pub device_code: String,
    /// What the user types.
    pub user_code: String,
    /// The client that asked for it.
    pub client_id: String,
    /// The scope that was asked for.
    pub scope: Option<String>,
    /// The interval as it is now: each `slow_down` has added 5 seconds.
    pub interval: Duration,
    /// How often the device has polled.
    pub polls: u64,
    /// When it expires, by the emulator's clock.
    pub expires: SystemTime,
    /// Where it stands.
    pub state: GrantState,
}

/// Where a device grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrantState {
    /// Nobody has decided.
    Pending,
    /// Allowed; the device has not fetched its tokens yet.
    Approved,
    /// Denied.
    Denied,
    /// The device has its tokens.
    Used,
    /// Its time ran out before the device had its tokens.
    Expired,
}

/// Why a user code cannot be approved or denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApproveError {
    /// No device was given this code.
    UnknownCode,
    /// The code's time has run out.
    Expired,
    /// The code has been approved or denied already.
    AlreadyDecided,
}

impl fmt::Display for ApproveError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::UnknownCode => "no device was given this user code",
            Self::Expired => "the user code has expired",
            Self::AlreadyDecided => "the user code has been approved or denied already",
        })
    }
}

impl std::error::Error for ApproveError {}

impl Grant {
    fn state(&self, now: SystemTime) -> GrantState {
        match self.decision {
            Decision::Redeemed(_) => GrantState::Used,
            _ if now >= self.expires => GrantState::Expired,
            Decision::Pending => GrantState::Pending,
            Decision::Allowed(_) => GrantState::Approved,
            Decision::Denied => GrantState::Denied,
        }
    }
}

/// The grants that were given out.
pub(crate) struct Grants {
    /// By device code.
    grants: Bounded<Grant>,
    /// Device codes by user code. One is added for each of `grants`, so both forget the same.
    device_codes: Bounded<String>,
    /// How many device codes were given out.
    pub(crate) issued: u64,
    /// How many polls were answered `slow_down`.
    pub(crate) slow_downs: u64,
}

impl Grants {
    pub(crate) fn new() -> Self {
        Self { grants: Bounded::new(MAX_ENTRIES), device_codes: Bounded::new(MAX_ENTRIES), issued: 0, slow_downs: 0 }
    }

    /// Draws a user code that no device has.
    pub(crate) fn new_user_code(&self, random: &mut Random) -> String {
        loop {
            let user_code = random.user_code();
            if self.device_codes.get(&user_code).is_none() {
                return user_code;
            }
        }
    }

    pub(crate) fn insert(&mut self, device_code: String, grant: Grant) {
        self.issued += 1;
        self.device_codes.insert(grant.user_code.clone(), device_code.clone());
        self.grants.insert(device_code, grant);
    }

    pub(crate) fn get_mut(&mut self, device_code: &str) -> Option<&mut Grant> {
        self.grants.get_mut(device_code)
    }

    /// Finds the grant of a user code that can still be decided.
    pub(crate) fn pending(&self, user_code: &str, now: SystemTime) -> Result<&Grant, ApproveError> {
        let device_code = self.device_codes.get(user_code);
        let grant = device_code.and_then(|code| self.grants.get(code)).ok_or(ApproveError::UnknownCode)?;
        match grant.decision {
            Decision::Pending if now >= grant.expires => Err(ApproveError::Expired),
            Decision::Pending => Ok(grant),
            _ => Err(ApproveError::AlreadyDecided),
        }
    }

    /// Decides the grant of a user code that can still be decided.
    pub(crate) fn decide(&mut self, user_code: &str, decision: Decision, now: SystemTime) -> Result<(), ApproveError> {
        self.pending(user_code, now)?;
        let device_code = self.device_codes.get(user_code);
        if let Some(grant) = device_code.and_then(|code| self.grants.get_mut(code)) {
            grant.decision = decision;
        }
        Ok(())
    }

    /// Lists the grants as tests see them, oldest first.
    pub(crate) fn list(&self, now: SystemTime) -> Vec<DeviceGrant> {
        self.grants
            .iter()
            .map(|(device_code, grant)| DeviceGrant {
                device_code: device_code.to_owned(),
                user_code: grant.user_code.clone(),
                client_id: grant.client_id.clone(),
                scope: grant.scope.clone(),
                interval: grant.interval,
                polls: grant.polls,
                expires: grant.expires,
                state: grant.state(now),
            })
            .collect()
    }
}

/// The form in which user codes are kept, from what a person typed: case, spaces and a missing hyphen do not matter
/// (RFC 8628, section 6.1).
pub(crate) fn normalize_user_code(typed: &str) -> String {
    let mut code: String =
        typed.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).take(16).collect();
    if code.len() > 3 {
        code.insert(3, '-');
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_codes_are_read_kindly() {
        for typed in ["CXY-Q34", "cxyq34", " cxy q34 ", "C-X-Y-Q-3-4", "cxy\u{2013}q34"] {
            assert_eq!(normalize_user_code(typed), "CXY-Q34", "{typed}");
        }
        assert_eq!(normalize_user_code(""), "");
        assert_eq!(normalize_user_code(&"x".repeat(1000)).len(), 17);
    }
}
