//! The thread that reads and writes a client's connections.

use std::io;
use std::panic;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::thread;

use loginradius_proto::Error;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{OnceCell, oneshot};
use tokio::task::JoinHandle;

/// Drives the connections of one client on a thread of its own, which begins with the first request and ends with the
/// client.
///
/// hyper does not yield as long as bytes arrive that are not a body, such as a chunk size that never ends. On the
/// caller's runtime this would block the timer that has to end the request, and all other tasks. Besides, a connection
/// that belongs to one of the program's runtimes would hang for the others while that one does not run.
#[derive(Default)]
pub(crate) struct Driver {
    runtime: OnceCell<DriverRuntime>,
}

struct DriverRuntime {
    handle: Handle,
    /// Ends the thread when it is dropped.
    _running: oneshot::Sender<()>,
}

impl Driver {
    /// Starts that future on the thread. Dropping the returned future cancels it.
    pub(crate) async fn start<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<Driven<T>, Error> {
        let runtime = self.runtime.get_or_try_init(DriverRuntime::start).await.map_err(Error::not_sent)?;
        let taken = Arc::new(AtomicBool::new(false));
        let by_thread = Arc::clone(&taken);
        let task = async move { if by_thread.swap(true, Ordering::AcqRel) { None } else { Some(future.await) } };
        Ok(Driven { task: runtime.handle.spawn(task), taken })
    }
}

impl DriverRuntime {
    async fn start() -> io::Result<Self> {
        let (started, start) = oneshot::channel();
        let (running, ended) = oneshot::channel();
        thread::Builder::new().name("loginradius-http".to_owned()).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_io().enable_time().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            let _ = started.send(Ok(runtime.handle().clone()));
            // It returns an error when the client is dropped.
            let _: Result<(), _> = runtime.block_on(ended);
            // Not `drop`, which would wait for a DNS lookup that nothing can stop.
            runtime.shutdown_background();
        })?;
        let handle = start.await.map_err(io::Error::other)??;
        Ok(Self { handle, _running: running })
    }
}

/// The output of a future that the thread runs.
pub(crate) struct Driven<T> {
    task: JoinHandle<Option<T>>,
    /// Set by whichever comes first: the thread that begins the future, or the caller that gives it up.
    taken: Arc<AtomicBool>,
}

impl<T> Driven<T> {
    /// Gives the future up. Returns `true` if it has not begun, and never will.
    pub(crate) fn give_up(self) -> bool {
        !self.taken.swap(true, Ordering::AcqRel)
    }
}

impl<T> Future for Driven<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.task).poll(cx)) {
            Ok(Some(output)) => Ok(output),
            Ok(None) => Err(Error::not_sent("the request was given up before it began")),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => panic::resume_unwind(panic),
                Err(error) => Err(Error::outcome_unknown(error)),
            },
        })
    }
}

impl<T> Drop for Driven<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
