use std::time::{Duration, Instant};

use super::event::SessionEvent;
use super::record::{SessionRecord, SessionStatus, Tokens};
use crate::error::Error;

/// A pair that a refresh yielded and that the store does not hold yet.
#[derive(Debug, Clone)]
pub(super) struct UnsavedPair {
    pub(super) record: SessionRecord,
    /// The generation that the store is known to hold.
    pub(super) expected: u64,
    /// The tokens that were consumed for it.
    pub(super) consumed: Tokens,
    /// When this process sent the request; `None` if the memory knows that already.
    pub(super) requested_at: Option<Instant>,
    /// What was wrong with the rest of the response, and how long to back off.
    pub(super) fault: Option<(Error, Duration)>,
    /// Set by the first flow that could not save it.
    pub(super) retention: Option<Retention>,
}

/// Why a pair is still in memory, and when to save it again.
#[derive(Debug, Clone)]
pub(super) struct Retention {
    pub(super) error: Error,
    pub(super) retry_at: Instant,
    pub(super) failures: u32,
    /// Whether the session's lock is retained, because the store still holds the consumed token.
    pub(super) holds_lock: bool,
}

/// What becomes of an unsaved pair, given what the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The store holds this very record.
    Saved,
    /// The store holds what was consumed for it: save it there.
    Overwrite,
    /// The store says that the session of this pair has ended.
    Ended,
    /// The store holds something newer, another login's record, or this pair with something added.
    Superseded,
}

/// Compares an unsaved pair with what the store holds.
pub(super) fn reconcile(pair: &UnsavedPair, stored: &SessionRecord) -> Verdict {
    let same_login = stored.login == pair.record.login;
    // A server that does not rotate returns the same refresh token, which then does not distinguish the pairs.
    let holds_consumed =
        stored.tokens.same_refresh_token(&pair.consumed) && !stored.tokens.same_pair(&pair.record.tokens);
    let holds_new = stored.tokens.same_refresh_token(&pair.record.tokens);
    match &stored.status {
        _ if pair.record.same_save(stored) => Verdict::Saved,
        _ if !same_login => Verdict::Superseded,
        SessionStatus::Rejected(_) if holds_new => Verdict::Ended,
        SessionStatus::SigningOut if !holds_consumed => Verdict::Ended,
        _ if holds_consumed => Verdict::Overwrite,
        _ => Verdict::Superseded,
    }
}

impl UnsavedPair {
    /// Makes the pair that replaces the stored record.
    pub(super) fn new(
        stored: SessionRecord,
        new: SessionRecord,
        requested_at: Option<Instant>,
        fault: Option<(Error, Duration)>,
    ) -> Self {
        let record = SessionRecord { generation: stored.next_generation(), ..new };
        let (expected, consumed) = (stored.generation, stored.tokens);
        Self { record, expected, consumed, requested_at, fault, retention: None }
    }

    pub(super) fn save_failures(&self) -> u32 {
        self.retention.as_ref().map_or(0, |retention| retention.failures)
    }

    pub(super) fn is_retained(&self) -> bool {
        self.retention.is_some()
    }

    pub(super) fn retains_lock(&self) -> bool {
        self.retention.as_ref().is_some_and(|retention| retention.holds_lock)
    }

    /// Returns the event of its save.
    pub(super) fn saved_event(&self) -> SessionEvent {
        if self.is_retained() { SessionEvent::Saved } else { SessionEvent::Refreshed }
    }

    /// Makes the pair replace what is stored now. A sign-out that has begun stays.
    pub(super) fn rebase(&mut self, stored: &SessionRecord) {
        self.expected = stored.generation;
        self.record.generation = stored.next_generation();
        self.record.replaced.clone_from(&stored.replaced);
        if stored.status == SessionStatus::SigningOut {
            self.record.status = SessionStatus::SigningOut;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::jitter::Seed;
    use crate::session::record::LoginId;
    use crate::testing::now;
    use crate::token::TokenSet;

    fn tokens(access: &str, refresh: &str) -> Tokens {
        let mut tokens = TokenSet::new(access);
        tokens.refresh_token = Some(refresh.into());
        Tokens::new(tokens, now().wall)
    }

    fn record(login: u64, tokens: Tokens) -> SessionRecord {
        SessionRecord::new(&App::new("my-client-id"), LoginId(login), tokens, Seed(1))
    }

    /// Makes the pair `a2`, `r2`, for which `a1`, `r1` was consumed; without rotation `r2` is `r1`.
    fn pair(rotates: bool) -> UnsavedPair {
        let new = record(1, tokens("a2", if rotates { "r2" } else { "r1" }));
        UnsavedPair::new(record(1, tokens("a1", "r1")), new, None, None)
    }

    #[test]
    fn truth_table() {
        use Verdict::{Ended, Overwrite, Saved, Superseded};
        // What the store holds; then the verdict if that is active, signing out, rejected.
        let rows = [
            ("the consumed tokens", 1, ("a1", "r1"), [Overwrite, Overwrite, Overwrite]),
            ("the pair, with something added", 1, ("a2", "r2"), [Superseded, Ended, Ended]),
            ("what came after the pair", 1, ("a3", "r3"), [Superseded, Ended, Superseded]),
            // After a faulty response the previous access token is stored beside the new refresh token.
            ("half of the pair", 1, ("a1", "r2"), [Superseded, Ended, Ended]),
            ("another login", 2, ("b1", "s1"), [Superseded, Superseded, Superseded]),
            ("another login with the consumed token", 2, ("a1", "r1"), [Superseded, Superseded, Superseded]),
        ];
        for (what, login, (access, refresh), verdicts) in rows {
            let statuses =
                [SessionStatus::Active, SessionStatus::SigningOut, SessionStatus::Rejected("invalid_grant".into())];
            for (status, verdict) in statuses.into_iter().zip(verdicts) {
                let stored = SessionRecord { status, ..record(login, tokens(access, refresh)) };
                assert_eq!(reconcile(&pair(true), &stored), verdict, "{what}, {:?}", stored.status);
            }
        }
        assert_eq!(reconcile(&pair(true), &pair(true).record), Saved);
    }

    #[test]
    fn truth_table_of_a_server_that_does_not_rotate() {
        let rows = [
            (("a1", "r1"), SessionStatus::Active, Verdict::Overwrite),
            (("a1", "r1"), SessionStatus::SigningOut, Verdict::Overwrite),
            (("a1", "r1"), SessionStatus::Rejected("invalid_grant".into()), Verdict::Ended),
            (("a2", "r1"), SessionStatus::Active, Verdict::Superseded),
            (("a2", "r1"), SessionStatus::SigningOut, Verdict::Ended),
            (("a3", "r1"), SessionStatus::Active, Verdict::Overwrite),
        ];
        for ((access, refresh), status, verdict) in rows {
            let stored = SessionRecord { status, ..record(1, tokens(access, refresh)) };
            assert_eq!(reconcile(&pair(false), &stored), verdict, "{access}, {:?}", stored.status);
        }
    }

    #[test]
    fn a_rebased_pair_replaces_what_is_stored_and_keeps_its_sign_out_and_history() {
        let mut stored = record(1, tokens("a1", "r1"));
        (stored.generation, stored.status, stored.replaced) = (77, SessionStatus::SigningOut, vec![LoginId(9)]);
        let mut pair = pair(true);
        pair.rebase(&stored);
        assert_eq!((pair.expected, pair.record.generation), (77, 78));
        assert_eq!((pair.record.status, pair.record.replaced), (SessionStatus::SigningOut, vec![LoginId(9)]));
    }
}
