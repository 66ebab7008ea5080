use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinHandle;

use crate::runtime_thread::RuntimeThread;
use crate::timer::Timers;

/// The thread of a client or of its sessions, which starts with its first use.
pub(crate) struct LazyThread {
    name: &'static str,
    running: Mutex<Option<Running>>,
}

struct Running {
    thread: RuntimeThread,
    /// Keeps the thread of the timers running too: otherwise each wait would start it again.
    _timers: Timers,
}

impl LazyThread {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, running: Mutex::new(None) }
    }

    /// Begins to run that future on the thread.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = match &mut *running {
            Some(running) => running,
            none => none.insert(Running { thread: RuntimeThread::start(self.name)?, _timers: Timers::shared()? }),
        };
        Ok(running.thread.spawn(future))
    }

    /// Returns whether the caller is on the thread.
    pub(crate) fn is_current(&self) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().is_some_and(|running| running.thread.is_current())
    }
}
