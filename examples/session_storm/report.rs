//! The line that is printed, and whether a guarantee was broken.

use std::time::Duration;

use loginradius_examples::Result;
use serde::Serialize;

/// The line that is printed: see the documentation of `main.rs`.
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
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) stops: u64,
    /// How long the run took.
    pub(crate) seconds: f64,
    /// Calls that asked for a token.
    pub(crate) calls: u64,
    /// Tokens that were sent to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checks: Option<u64>,
    /// Tokens that it rejected, because they had just expired or their login had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<u64>,
    /// Callers that were dropped while they waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dropped: Option<u64>,
    /// Refreshes by a consumed token that the server's grace period allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) graced: Option<u64>,
    /// Callers that got an error that passes.
    pub(crate) try_later: u64,
    /// Callers that got an error that neither passes nor asks for a login.
    pub(crate) failed: u64,
    /// The longest time from the end of the outage to the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) longest_recovery_ms: Option<u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Report {
    /// Fails if a guarantee was broken.
    pub(crate) fn judge(&self) -> Result {
        let expected = self.refreshes_expected.unwrap_or(self.refreshes);
        let guarantees = [
            (self.replays == self.replays_explained, "a refresh token was sent twice for no reason"),
            (self.signed_out == 0, "a session ended for no reason"),
            (self.corrupt == 0, "a record could not be read"),
            (self.lost == 0, "a session was lost"),
            (self.failed == 0, "a caller got an unexpected error"),
            (self.refreshes == expected, "there were more or fewer refreshes than expiries"),
        ];
        let broken: Vec<_> = guarantees.into_iter().filter(|(kept, _)| !kept).map(|(_, what)| what).collect();
        if broken.is_empty() { Ok(()) } else { Err(broken.join("; ").into()) }
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
