//! Device grants: RFC 8628 and the operations "Request Device Code" and "Request Tokens".

use std::fmt;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use serde_json::json;

use crate::answer::Answer;
use crate::client::{self, Secret};
use crate::clock;
use crate::codes;
use crate::oauth;
use crate::params::Params;
use crate::recorded::{Family, Operation};
use crate::refusal::Refusal;
use crate::seeded::{self, User};
use crate::state::State;

pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The scopes on LoginRadius's pages; "email profile" is the one for devices.
const SCOPES: [&str; 5] = ["email", "profile", "openid", "phone", "address"];

/// RFC 8628, section 3.5: after `slow_down` the interval grows by this much, for all later requests.
const SLOWER: Duration = Duration::from_secs(5);

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
    Open,
    Allowed(&'static User),
    Denied,
    /// The tokens have been fetched.
    Used(&'static User),
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

/// "Request Device Code".
pub(crate) fn request_code(state: &mut State, app: &str, params: &Params) -> Result<Answer, Refusal> {
    let client_id = client::identify(params, Secret::Optional)?;
    known_app(app)?;
    let scope = params.optional("scope")?;
    scope.map_or(Ok(()), known_scope)?;

    state.counters.device_codes += 1;
    let device_code = state.random.hex32();
    let user_code = loop {
        let user_code = state.random.user_code();
        if state.device_codes.get(&user_code).is_none() {
            break user_code;
        }
    };
    let (interval, lifetime) = (state.config.device_interval, state.config.device_lifetime);
    let mut body = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": format!("{}/device", state.public_url()),
        "interval": whole_seconds(interval),
        "expires_in": lifetime.as_secs(),
    });
    if state.config.verification_uri_complete {
        let complete = format!("{}/device?user_code={user_code}", state.public_url());
        body["verification_uri_complete"] = complete.into();
    }
    let grant = Grant {
        user_code: user_code.clone(),
        client_id: client_id.to_owned(),
        app: app.to_owned(),
        scope: scope.map(str::to_owned),
        expires: clock::later(state.clock.now(), lifetime),
        interval,
        last_poll: None,
        polls: 0,
        decision: Decision::Open,
    };
    state.device_codes.insert(user_code, device_code.clone());
    state.grants.insert(device_code, grant);
    Ok(Answer::json(StatusCode::OK, &body))
}

/// "Request Tokens".
pub(crate) fn poll(state: &mut State, family: Family, app: &str, params: &Params) -> Result<Answer, Refusal> {
    let client_id = client::identify(params, Secret::Optional)?;
    known_app(app)?;
    if params.required("grant_type")? != GRANT_TYPE {
        return Err(Refusal::GrantTypeInvalid);
    }
    oauth::check_response_type(params)?;
    let device_code = params.required("device_code")?;

    let now = state.clock.now();
    let grant = state
        .grants
        .get_mut(device_code)
        .filter(|grant| grant.client_id == client_id && grant.app == app)
        .ok_or(Refusal::DeviceCodeUnknown)?;
    grant.polls += 1;
    // RFC 8628 counts the time between polls, so the first one is never too early.
    let too_early = grant.last_poll.is_some_and(|last| now < clock::later(last, grant.interval));
    grant.last_poll = Some(now);
    let user = match grant.decision {
        Decision::Used(_) => return Err(Refusal::DeviceCodeUsed),
        _ if now >= grant.expires => return Err(Refusal::DeviceCodeExpired),
        Decision::Denied => return Err(Refusal::AccessDenied),
        // "A variant of authorization_pending" (RFC 8628, section 3.5): a decision is told to whoever asks.
        Decision::Open if too_early => {
            grant.interval = grant.interval.saturating_add(SLOWER);
            state.counters.slow_downs += 1;
            return Err(Refusal::SlowDown);
        }
        Decision::Open => return Err(Refusal::AuthorizationPending),
        Decision::Allowed(user) => user,
    };
    grant.decision = Decision::Used(user);
    let tokens = state.sign_in(family, client_id, user, Operation::DeviceToken);
    Ok(Answer::json(StatusCode::OK, &tokens.to_json(family)))
}

/// Words of [`SCOPES`], with a space between two (RFC 6749, section 3.3).
pub(crate) fn known_scope(scope: &str) -> Result<(), Refusal> {
    if scope.split(' ').all(|word| SCOPES.contains(&word)) {
        Ok(())
    } else {
        Err(Refusal::Service(codes::INVALID_SCOPE))
    }
}

pub(crate) fn known_app(app: &str) -> Result<(), Refusal> {
    if app == seeded::OAUTH_APP { Ok(()) } else { Err(Refusal::OAuthAppUnknown) }
}

impl State {
    /// The grant of a user code that can still be decided.
    pub(crate) fn open_grant(&self, user_code: &str) -> Result<&Grant, ApproveError> {
        let device_code = self.device_codes.get(user_code);
        let grant = device_code.and_then(|code| self.grants.get(code)).ok_or(ApproveError::UnknownCode)?;
        match grant.decision {
            Decision::Open if self.clock.now() >= grant.expires => Err(ApproveError::Expired),
            Decision::Open => Ok(grant),
            _ => Err(ApproveError::AlreadyDecided),
        }
    }

    pub(crate) fn decide(&mut self, user_code: &str, decision: Decision) -> Result<(), ApproveError> {
        self.open_grant(user_code)?;
        let device_code = self.device_codes.get(user_code);
        if let Some(grant) = device_code.and_then(|code| self.grants.get_mut(code)) {
            grant.decision = decision;
        }
        Ok(())
    }

    pub(crate) fn device_grants(&self) -> Vec<DeviceGrant> {
        let now = self.clock.now();
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
                state: match grant.decision {
                    Decision::Used(_) => GrantState::Used,
                    _ if now >= grant.expires => GrantState::Expired,
                    Decision::Open => GrantState::Pending,
                    Decision::Allowed(_) => GrantState::Approved,
                    Decision::Denied => GrantState::Denied,
                },
            })
            .collect()
    }
}

/// The form in which user codes are kept, from what a person typed: case, spaces and a missing hyphen do not matter
/// (RFC 8628, section 6.1).
pub(crate) fn normal_user_code(typed: &str) -> String {
    let mut code: String =
        typed.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).take(16).collect();
    if code.len() > 3 {
        code.insert(3, '-');
    }
    code
}

/// Rounded up: who waits for what is announced has waited long enough.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_codes_are_read_kindly() {
        for typed in ["CXY-Q34", "cxyq34", " cxy q34 ", "C-X-Y-Q-3-4", "cxy\u{2013}q34"] {
            assert_eq!(normal_user_code(typed), "CXY-Q34", "{typed}");
        }
        assert_eq!(normal_user_code(""), "");
        assert_eq!(normal_user_code(&"x".repeat(1000)).len(), 17);
    }

    #[test]
    fn an_interval_is_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 0);
        assert_eq!(whole_seconds(Duration::from_millis(200)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(5)), 5);
    }
}
