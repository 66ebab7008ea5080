use std::io;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A thread with a tokio runtime of its own, which begins with its first use and ends with this value.
///
/// What runs there depends on no runtime of the program, which may be busy, stand still, or end.
pub(crate) struct RuntimeThread {
    name: &'static str,
    running: Mutex<Option<Running>>,
}

struct Running {
    handle: Handle,
    /// Ends the thread when it is dropped.
    _end: oneshot::Sender<()>,
}

impl RuntimeThread {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, running: Mutex::new(None) }
    }

    /// Returns the handle of the runtime, which is started if this is the first use.
    pub(crate) fn handle(&self) -> io::Result<Handle> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*running {
            return Ok(running.handle.clone());
        }
        let started = Running::start(self.name)?;
        Ok(running.insert(started).handle.clone())
    }
}

impl Running {
    fn start(name: &str) -> io::Result<Self> {
        let (started, start) = mpsc::sync_channel(1);
        let (end, ended) = oneshot::channel();
        // The runtime is made on its own thread: dropping one is not allowed in async code.
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_io().enable_time().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            let _ = started.send(Ok(runtime.handle().clone()));
            // It returns an error when the sender is dropped.
            let _: Result<(), _> = runtime.block_on(ended);
            // Not `drop`, which would wait for work that nothing can stop, such as a DNS lookup.
            runtime.shutdown_background();
        })?;
        // The thread sends at once, or has ended.
        let handle = start.recv().map_err(io::Error::other)??;
        Ok(Self { handle, _end: end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_begins_with_its_first_use_and_ends_with_the_value() {
        let thread = RuntimeThread::new("a test");
        assert!(thread.running.lock().unwrap().is_none());
        let (ends, ended) = mpsc::channel::<()>();
        let handle = thread.handle().unwrap();
        let name = handle.spawn(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(handle.block_on(name).unwrap().as_deref(), Some("a test"));
        assert_eq!(thread.handle().unwrap().id(), handle.id());
        handle.spawn(async move {
            std::future::pending::<()>().await;
            drop(ends);
        });
        drop(thread);
        // The runtime drops its tasks.
        assert!(
            ended
                .recv_timeout(std::time::Duration::from_secs(20))
                .is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected)
        );
    }
}
