use std::time::{Duration, Instant};

use super::policy::MAX_RESTARTS;
use super::suspension::SuspensionDetector;
use crate::jitter::{Jitter, after, doubled};

/// A flow's hold on the session's lock, and its attempts to get and to keep it.
#[derive(Debug, Clone, Default)]
pub(super) struct LockAttempt {
    hold: Hold,
    /// When a flow gives up waiting for another holder; `None` before its first step.
    deadline: Option<Instant>,
    /// How often another process had the lock.
    tries: u32,
    /// How often the flow began again, after a change of the record by another process or after a suspension, and how
    /// often the outcome of a save was unknown.
    restarts: u32,
    /// How often something else was stored than was expected, since the last rotation.
    conflicts: u32,
    pub(super) suspension: SuspensionDetector,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    No,
    Yes,
    /// The lease may have lapsed, and the lock is kept nevertheless: the store holds a consumed token.
    MayBeLost,
}

impl LockAttempt {
    /// How many conflicts under one lock prove that it is lost.
    const MAX_CONFLICTS: u32 = 2;
    /// The wait before the lock is tried again: it doubles each time, up to the maximum.
    const MIN_WAIT: Duration = Duration::from_millis(5);
    const MAX_WAIT: Duration = Duration::from_millis(160);

    /// Sets the deadline for getting the lock, from now on.
    pub(super) fn begin(&mut self, now: Instant, lock_wait: Duration) {
        self.deadline = Some(after(now, lock_wait));
    }

    pub(super) fn set_held(&mut self, held: bool) {
        self.hold = if held { Hold::Yes } else { Hold::No };
    }

    pub(super) fn is_held(&self) -> bool {
        self.hold != Hold::No
    }

    pub(super) fn may_be_lost(&self) -> bool {
        self.hold == Hold::MayBeLost
    }

    /// Keeps the lock although it may be lost, unless conflicts have proved that it is. Returns whether it is kept.
    pub(super) fn keep_in_doubt(&mut self) -> bool {
        let kept = self.is_held() && self.conflicts < Self::MAX_CONFLICTS;
        if kept {
            self.hold = Hold::MayBeLost;
        }
        kept
    }

    /// Returns when to try again, or `None` after the deadline.
    pub(super) fn next_try(&mut self, now: Instant, jitter: &mut Jitter) -> Option<Instant> {
        if !self.has_time(now) {
            return None;
        }
        self.tries = self.tries.saturating_add(1);
        Some(after(now, jitter.shorten(doubled(Self::MIN_WAIT, self.tries, Self::MAX_WAIT))))
    }

    /// Returns whether that is before the deadline.
    pub(super) fn has_time(&self, at: Instant) -> bool {
        self.deadline.is_none_or(|deadline| at < deadline)
    }

    /// Counts a restart. Returns whether it is one too many.
    pub(super) fn restart_budget_is_used_up(&mut self) -> bool {
        self.restarts += 1;
        self.restarts > MAX_RESTARTS
    }

    pub(super) fn count_conflict(&mut self) {
        self.conflicts += 1;
    }

    /// Notes that the lock is lost: another process could write under it.
    pub(super) fn set_lost(&mut self) {
        self.conflicts = Self::MAX_CONFLICTS;
    }

    /// Forgets the conflicts before a rotation: only later ones show that the lock does not exclude others any more.
    pub(super) fn forget_conflicts(&mut self) {
        self.conflicts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jitter::Seed;
    use crate::testing::{ms, now, s};

    #[test]
    fn tries_wait_longer_and_end_at_the_deadline() {
        let start = now().monotonic;
        let (mut lock, mut jitter) = (LockAttempt::default(), Jitter::new(Seed(1)));
        lock.begin(start, s(30));
        let mut waits = Vec::new();
        while let Some(until) = lock.next_try(start, &mut jitter) {
            waits.push(until - start);
            if waits.len() == 8 {
                break;
            }
        }
        for (wait, full) in waits.iter().zip([5, 10, 20, 40, 80, 160, 160, 160]) {
            assert!((ms(full) / 4 * 3..=ms(full)).contains(wait), "{wait:?} of {full} ms");
        }
        assert!(lock.next_try(start + s(30), &mut jitter).is_none());
        assert!(lock.has_time(start + s(29)) && !lock.has_time(start + s(30)));
    }

    #[test]
    fn a_lock_in_doubt_is_kept_until_two_conflicts() {
        let mut lock = LockAttempt::default();
        assert!(!lock.keep_in_doubt(), "what is not held cannot be kept");
        lock.set_held(true);
        assert!(lock.keep_in_doubt() && lock.may_be_lost() && lock.is_held());
        lock.count_conflict();
        assert!(lock.keep_in_doubt());
        lock.count_conflict();
        assert!(!lock.keep_in_doubt());
        lock.forget_conflicts();
        assert!(lock.keep_in_doubt());
        lock.set_lost();
        assert!(!lock.keep_in_doubt());
        lock.set_held(true);
        assert!(!lock.may_be_lost(), "a lock that was taken anew is held");
    }

    #[test]
    fn restarts_are_counted() {
        let mut lock = LockAttempt::default();
        let used_up: Vec<_> = (0..7).map(|_| lock.restart_budget_is_used_up()).collect();
        assert_eq!(used_up, [false, false, false, false, false, true, true]);
    }
}
