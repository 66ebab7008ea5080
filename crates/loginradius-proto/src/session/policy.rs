use std::time::Duration;

use crate::flow::{DEFAULT_TIMEOUT, Retry};

/// When a session is refreshed, and how long and how often that is tried.
///
/// ```
/// use std::time::Duration;
/// use loginradius_proto::session::SessionPolicy;
///
/// let policy = SessionPolicy { early: Duration::ZERO, ..SessionPolicy::default() };
/// assert_eq!(policy.lock_wait, Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a policy is data, and is written out by those who change it")]
pub struct SessionPolicy {
    /// How long before the end of its lifetime an access token is refreshed, but at most a tenth of the lifetime. Up to
    /// a quarter more is added at random, so that processes do not all begin at once. 60 s by default; zero turns early
    /// refreshes off.
    pub early: Duration,
    /// How long to wait for another process that holds the session's lock. 30 s by default.
    pub lock_wait: Duration,
    /// How long the response to one request may take. 30 s by default.
    pub timeout: Duration,
    /// How often a refresh is tried for one caller, and the waits in between. They also keep the next callers from
    /// trying again at once.
    pub retry: Retry,
    /// Whether a sign-out sends the refresh token under the key `token` of RFC 7009, and not under LoginRadius's
    /// `refresh_token`. False by default.
    pub revoke_with_token_key: bool,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self {
            early: Duration::from_secs(60),
            lock_wait: Duration::from_secs(30),
            timeout: DEFAULT_TIMEOUT,
            retry: Retry::default(),
            revoke_with_token_key: false,
        }
    }
}
