//! The thread that reads and writes a client's connections.

use std::io;
use std::panic;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use loginradius_proto::{ConnectFailure, Error};
use tokio::task::JoinHandle;

use crate::lazy_thread::LazyThread;

/// Drives the connections of one client on a thread of its own, which begins with the first request and ends with the
/// client.
///
/// hyper does not yield as long as bytes arrive that are not a body, such as a chunk size that never ends. On the
/// caller's runtime this would block the timer that has to end the request, and all other tasks. Besides, a connection
/// that belongs to one of the program's runtimes would hang for the others while that one does not run.
pub(crate) struct Driver(LazyThread);

impl Default for Driver {
    fn default() -> Self {
        Self(LazyThread::new("loginradius-http"))
    }
}

impl Driver {
    /// Starts that future on the thread. Dropping the returned future cancels it.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<Driven<T>, Error> {
        let taken = Arc::new(AtomicBool::new(false));
        let by_thread = Arc::clone(&taken);
        let task = async move { if by_thread.swap(true, Ordering::AcqRel) { None } else { Some(future.await) } };
        Ok(Driven { task: self.0.spawn(task).map_err(|error| not_started(&error))?, taken })
    }
}

/// Creates the error of a request that was not sent because a thread could not be started.
pub(crate) fn not_started(error: &io::Error) -> Error {
    Error::not_connected(ConnectFailure::OutOfResources { problem: format!("a thread could not be started: {error}") })
}

/// Creates the error of something other than a request, for which a thread could not be started.
pub(crate) fn no_thread(purpose: &str, error: io::Error) -> Error {
    out_of_resources(&format!("no thread could be started {purpose}"), error)
}

/// Creates the error of something other than a request, for which the system had no more room.
pub(crate) fn out_of_resources(problem: &str, error: io::Error) -> Error {
    let message = format!(
        "{problem}, {error}: allow this program more threads, open files and memory, or let it do less at a time"
    );
    Error::unavailable(message, error)
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
