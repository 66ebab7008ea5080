//! Device grants (RFC 8628), and the decisions of their users.

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
    /// The device has redeemed its device code.
    Redeemed(&'static User),
}

/// A device grant, as [`Emulator::device_grants`](crate::Emulator::device_grants) returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceGrant {
    /// The code that the device polls with.
    pub device_code: String,
    /// The code that the user enters.
    pub user_code: String,
    /// The client that requested it.
    pub client_id: String,
    /// The scope that was requested, as it was sent.
    pub scope: Option<String>,
    /// The current minimum time between two polls. Each `slow_down` adds 5 seconds.
    pub interval: Duration,
    /// How often the device has polled.
    pub polls: u64,
    /// When it expires, by the emulator's clock.
    pub expires: SystemTime,
    /// Its state.
    pub state: GrantState,
}

/// The state of a device grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrantState {
    /// The user has not decided.
    Pending,
    /// The user has approved it, and the device has not redeemed it yet.
    Approved,
    /// The user has denied it.
    Denied,
    /// The device has redeemed it for tokens.
    Redeemed,
    /// It expired before it was redeemed.
    Expired,
}

/// Why a device grant cannot be approved or denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApproveError {
    /// No device has this user code.
    UnknownCode,
    /// The user code has expired.
    Expired,
    /// The grant has been approved or denied already.
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
            Decision::Redeemed(_) => GrantState::Redeemed,
            _ if now >= self.expires => GrantState::Expired,
            Decision::Pending => GrantState::Pending,
            Decision::Allowed(_) => GrantState::Approved,
            Decision::Denied => GrantState::Denied,
        }
    }
}

/// The device grants.
pub(crate) struct Grants {
    /// By device code.
    grants: Bounded<Grant>,
    /// Device codes by user code. Both maps get an entry for each grant, so they forget the same ones.
    device_codes: Bounded<String>,
    /// How many device codes were issued.
    pub(crate) issued: u64,
    /// How many polls got `slow_down`.
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

    /// Finds the pending grant of a user code.
    pub(crate) fn pending(&self, user_code: &str, now: SystemTime) -> Result<&Grant, ApproveError> {
        let device_code = self.device_codes.get(user_code);
        let grant = device_code.and_then(|code| self.grants.get(code)).ok_or(ApproveError::UnknownCode)?;
        match grant.decision {
            Decision::Pending if now >= grant.expires => Err(ApproveError::Expired),
            Decision::Pending => Ok(grant),
            _ => Err(ApproveError::AlreadyDecided),
        }
    }

    /// Decides the pending grant of a user code.
    pub(crate) fn decide(&mut self, user_code: &str, decision: Decision, now: SystemTime) -> Result<(), ApproveError> {
        self.pending(user_code, now)?;
        let device_code = self.device_codes.get(user_code);
        if let Some(grant) = device_code.and_then(|code| self.grants.get_mut(code)) {
            grant.decision = decision;
        }
        Ok(())
    }

    /// Returns the grants as tests see them, oldest first.
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

/// Normalizes a typed user code: case, spaces and a missing hyphen do not matter (RFC 8628, section 6.1).
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
    fn typed_codes_are_normalized() {
        for typed in ["CXY-Q34", "cxyq34", " cxy q34 ", "C-X-Y-Q-3-4", "cxy\u{2013}q34"] {
            assert_eq!(normalize_user_code(typed), "CXY-Q34", "{typed}");
        }
        assert_eq!(normalize_user_code(""), "");
        assert_eq!(normalize_user_code(&"x".repeat(1000)).len(), 17);
    }
}
