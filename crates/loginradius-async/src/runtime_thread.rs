//! A thread with a tokio runtime of this crate's own.

use std::io;
use std::panic::catch_unwind;
use std::thread::{self, ThreadId};
use std::time::Instant;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

/// A thread that runs futures, with timers and sockets. It ends when this is dropped.
///
/// The caller's runtime may have neither, may not be tokio's, and may stop running while callers of other runtimes
/// wait.
pub(crate) struct RuntimeThread {
    handle: Handle,
    id: ThreadId,
    /// Ends the thread when it is dropped.
    _running: oneshot::Sender<()>,
}

impl RuntimeThread {
    /// Starts the thread. This is not async: other callers would wait for a future that its own caller polls no more.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let runtime = build_runtime()?;
        let handle = runtime.handle().clone();
        let runtime = Background(Some(runtime));
        let (running, ended) = oneshot::channel();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || runtime.run_until(ended))?;
        Ok(Self { handle, id: thread.thread().id(), _running: running })
    }

    /// Begins to run that future on the thread.
    pub(crate) fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.handle.spawn(future)
    }

    /// Returns whether the caller is on the thread.
    pub(crate) fn is_current(&self) -> bool {
        self.id == thread::current().id()
    }

    /// Makes a timer of this thread, which can be polled anywhere.
    pub(crate) fn sleep_until(&self, until: Instant) -> Sleep {
        // tokio looks for a runtime when a timer is made.
        let _entered = self.handle.enter();
        tokio::time::sleep_until(until.into())
    }
}

/// Builds the runtime of a thread.
///
/// tokio panics if it cannot open the two sockets of its signals. They belong to a runtime with sockets if another
/// crate of the program turns tokio's feature `signal` on.
fn build_runtime() -> io::Result<Runtime> {
    #[cfg(unix)]
    {
        // As many files as a runtime opens: three pairs, and what they are for.
        let room: io::Result<Vec<_>> = (0..4).map(|_| std::os::unix::net::UnixStream::pair()).collect();
        drop(room?);
    }
    // Other threads may take them in between.
    let built = catch_unwind(|| Builder::new_current_thread().enable_io().enable_time().build());
    built.unwrap_or_else(|_| Err(io::Error::other("tokio could not build a runtime")))
}

/// A runtime that can be dropped anywhere, without waiting for what it still runs.
struct Background(Option<Runtime>);

impl Background {
    fn run_until(self, ended: oneshot::Receiver<()>) {
        if let Some(runtime) = &self.0 {
            // It ends, with an error, when the sender is dropped.
            let _: Result<(), _> = runtime.block_on(ended);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
