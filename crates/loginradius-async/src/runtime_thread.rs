//! A thread with a tokio runtime of this crate's own.

use std::io;
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
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
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

/// A runtime that can be dropped anywhere, without waiting for a DNS lookup that nothing can stop.
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
