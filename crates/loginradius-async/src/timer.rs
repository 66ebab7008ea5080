//! Waits that need no runtime of the caller's.
//!
//! tokio's own timers panic without a runtime, in one without timers, and in one that is shutting down. Nor do they
//! fire while their runtime does not run.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use crate::runtime_thread::RuntimeThread;

/// The thread of all timers of the process. A client's own thread can be held up by a server that sends without end.
static THREAD: Mutex<Weak<RuntimeThread>> = Mutex::new(Weak::new());

/// Keeps the thread of the timers running.
#[derive(Clone)]
pub(crate) struct Timers(Arc<RuntimeThread>);

impl Timers {
    /// Returns the timers of the process, and starts their thread if it is not running.
    pub(crate) fn shared() -> io::Result<Self> {
        let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = thread.upgrade() {
            return Ok(Self(running));
        }
        let started = Arc::new(RuntimeThread::start("loginradius-timer")?);
        *thread = Arc::downgrade(&started);
        Ok(Self(started))
    }
}

/// Waits until that instant, in any executor.
///
/// # Errors
///
/// If the thread of the timers cannot be started.
pub(crate) async fn sleep_until(until: Instant) -> io::Result<()> {
    if until <= Instant::now() {
        return Ok(());
    }
    let timers = Timers::shared()?;
    timers.0.sleep_until(until).await;
    Ok(())
}

/// Runs a future until that instant, in any executor. Returns `None` if it has no output by then.
///
/// # Errors
///
/// If the thread of the timers cannot be started.
pub(crate) async fn timeout_at<F: Future>(deadline: Instant, future: F) -> io::Result<Option<F::Output>> {
    let mut future = pin!(future);
    tokio::select! {
        biased;
        output = &mut future => Ok(Some(output)),
        slept = sleep_until(deadline) => slept.map(|()| None),
    }
}
