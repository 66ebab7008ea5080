//! What is printed of a storm, and whether the promises were kept.

use std::time::Duration;

use loginradius_examples::Result;
use serde::Serialize;

/// The line that is printed: see the top of `main.rs`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) mode: &'static str,
    pub(crate) refreshes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refreshes_expected: Option<u64>,
    pub(crate) replays: u64,
    pub(crate) replays_explained: u64,
    pub(crate) signed_out: u64,
    pub(crate) signed_out_explained: u64,
    pub(crate) corrupt: u64,
    pub(crate) lost: u64,
    pub(crate) kills: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// How often a token was asked for.
    pub(crate) calls: u64,
    /// How often a token was shown to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checks: Option<u64>,
    /// How often it was refused, because it had just ended or its sign-in had been ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<u64>,
    /// Callers that were dropped while they waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dropped: Option<u64>,
    /// Refreshes of a spent token that the server's grace period let through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) graced: Option<u64>,
    /// Callers that were told to try later.
    pub(crate) try_later: u64,
    /// Callers that were told anything else than to try later or to sign in again.
    pub(crate) failed: u64,
    /// The longest time from the end of the outage to the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) longest_recovery_ms: Option<u64>,
}

impl Report {
    /// Fails if a promise was broken.
    pub(crate) fn judge(&self) -> Result {
        let expected = self.refreshes_expected.unwrap_or(self.refreshes);
        let promises = [
            (self.replays == self.replays_explained, "a refresh token was spent twice for no reason"),
            (self.signed_out == 0, "a session ended for no reason"),
            (self.corrupt == 0, "a record could not be read"),
            (self.lost == 0, "a session was lost"),
            (self.failed == 0, "somebody was told something unexpected"),
            (self.refreshes == expected, "there were more or fewer refreshes than expiries"),
        ];
        let broken: Vec<_> = promises.into_iter().filter(|(kept, _)| !kept).map(|(_, what)| what).collect();
        if broken.is_empty() { Ok(()) } else { Err(broken.join("; ").into()) }
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
