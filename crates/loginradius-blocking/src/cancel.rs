use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Cancels a wait from another thread: that of a [`DeviceLogin`](crate::DeviceLogin) or of a
/// [`LoopbackReceiver`](crate::LoopbackReceiver).
#[derive(Debug, Clone, Default)]
pub struct Canceller(Arc<State>);

#[derive(Debug, Default)]
struct State {
    cancelled: Mutex<bool>,
    changed: Condvar,
}

impl Canceller {
    /// Cancels the wait, which then fails with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled): now, or as soon
    /// as it begins if it has not begun.
    ///
    /// A poll that is being sent is not interrupted: the wait ends after it, and so within the client's timeout. If its
    /// response holds the tokens, the wait returns them all the same.
    pub fn cancel(&self) {
        *self.lock() = true;
        self.0.changed.notify_all();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        *self.lock()
    }

    /// Waits until that instant, or until it is cancelled.
    pub(crate) fn sleep_until(&self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        let cancelled = self.lock();
        // Whether it was cancelled is asked afterwards, for it may have been while no thread waited here.
        let _unused = self.0.changed.wait_timeout_while(cancelled, left, |cancelled| !*cancelled);
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.cancelled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
