use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Counts the flows that the end of the program must not cut off: they have sent a refresh token, which may be
/// consumed, and its successor is not saved yet, or their events are not delivered yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Stakes(Arc<(Mutex<Count>, Condvar)>);

#[derive(Debug, Default)]
struct Count {
    held: usize,
    closed: bool,
}

/// One flow's place in the count. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Stake(Stakes);

thread_local! {
    /// The address of the stakes of the flow or callback that this thread runs, or 0. It has no destructor, so that it
    /// can be read in those of other variables.
    static RUNNING: Cell<usize> = const { Cell::new(0) };
}

impl Stakes {
    /// Runs a part of a flow, or a callback: it holds a stake, and would wait for itself.
    pub(super) fn run<T>(&self, part: impl FnOnce() -> T) -> T {
        struct Restore(usize);
        impl Drop for Restore {
            fn drop(&mut self) {
                RUNNING.set(self.0);
            }
        }
        let _restore = Restore(RUNNING.replace(self.address()));
        part()
    }

    /// Returns whether this thread is [running](Self::run) a flow or a callback.
    pub(super) fn is_running(&self) -> bool {
        RUNNING.get() == self.address()
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Takes a stake for a flow that is about to send. Returns `None` once the stakes are closed.
    pub(super) fn take(&self) -> Option<Stake> {
        let mut count = self.lock();
        (!count.closed).then(|| {
            count.held += 1;
            Stake(self.clone())
        })
    }

    /// Takes a stake for a flow that sends nothing more, even if the stakes are closed.
    pub(super) fn take_to_finish(&self) -> Stake {
        self.lock().held += 1;
        Stake(self.clone())
    }

    /// Closes the stakes: flows that would send get none any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    /// Blocks this thread until no stake is held, or until the deadline.
    pub(super) fn wait(&self, deadline: Instant) {
        let mut count = self.lock();
        while count.held > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return;
            }
            count = self.0.1.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stake {
    fn drop(&mut self) {
        self.0.lock().held -= 1;
        self.0.0.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn a_wait_ends_with_the_last_stake_or_at_the_deadline() {
        let stakes = Stakes::default();
        let began = Instant::now();
        stakes.wait(began + LONG);
        let held = [stakes.take(), stakes.take(), Some(stakes.take_to_finish())];
        stakes.wait(Instant::now() + SHORT);
        assert!((SHORT..LONG).contains(&began.elapsed()), "{:?}", began.elapsed());
        let ends = thread::spawn(|| {
            for stake in held {
                thread::sleep(SHORT);
                drop(stake);
            }
        });
        stakes.wait(Instant::now() + LONG);
        assert!((4 * SHORT..LONG).contains(&began.elapsed()), "{:?}", began.elapsed());
        ends.join().unwrap();
    }

    #[test]
    fn a_thread_knows_whose_flow_it_is_running() {
        let [one, other] = [Stakes::default(), Stakes::default()];
        one.run(|| {
            assert!(one.is_running() && one.clone().is_running() && !other.is_running());
            other.run(|| assert!(other.is_running()));
            assert!(std::panic::catch_unwind(|| Stakes::default().run(|| panic!("a test"))).is_err());
            assert!(one.is_running() && !thread::scope(|scope| scope.spawn(|| one.is_running()).join().unwrap()));
        });
        assert!(!one.is_running());
    }

    #[test]
    fn once_closed_only_a_flow_that_sends_nothing_gets_a_stake() {
        let stakes = Stakes::default();
        let before = stakes.take();
        stakes.clone().close();
        assert!(before.is_some() && stakes.take().is_none());
        let saves = stakes.take_to_finish();
        drop(before);
        assert_eq!(stakes.lock().held, 1);
        drop(saves);
        assert_eq!(stakes.lock().held, 0);
    }
}
