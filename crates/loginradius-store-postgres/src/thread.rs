//! The thread of a store, on which its connections live.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Builder, Thread};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};

use crate::database::Database;

type Job = Box<dyn FnOnce(Rc<Database>) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The thread of a store. It ends with the last handle and the last lock.
///
/// Callers may be on any runtime or on none, and a lock may be dropped anywhere. So all operations run here.
pub(crate) struct DatabaseThread {
    jobs: mpsc::UnboundedSender<Job>,
}

impl DatabaseThread {
    /// Starts the thread. `database` runs on it.
    pub(crate) fn start(last_wait: Duration, database: impl FnOnce() -> Database + Send + 'static) -> io::Result<Self> {
        let runtime = build_runtime()?;
        let (jobs, receiver) = mpsc::unbounded_channel();
        Builder::new().name("loginradius-postgres".to_owned()).spawn(move || {
            LocalSet::new().block_on(&runtime, serve(Rc::new(database()), receiver, last_wait));
            // A lookup of a host's name may still be running on a thread of the runtime.
            runtime.shutdown_background();
        })?;
        Ok(Self { jobs })
    }

    /// Begins an operation. It runs to its end even if the receiver is dropped, and then drops its outcome, which must
    /// be harmless. The receiver fails if the operation panics.
    pub(crate) fn begin<T, F>(&self, operation: impl FnOnce(Rc<Database>) -> F + Send + 'static) -> oneshot::Receiver<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |database| {
            let operation = operation(database);
            Box::pin(async move { drop(sender.send(operation.await)) })
        });
        // The thread ends after its last sender. If it has panicked, the receiver fails.
        let _ = self.jobs.send(job);
        receiver
    }
}

/// Runs the operations. After the last handle and lock have ended, it finishes those that still run.
async fn serve(database: Rc<Database>, mut jobs: mpsc::UnboundedReceiver<Job>, last_wait: Duration) {
    let renewals = tokio::task::spawn_local(Rc::clone(&database).renew_forever());
    let mut running = JoinSet::new();
    while let Some(job) = jobs.recv().await {
        running.spawn_local(job(Rc::clone(&database)));
        while running.try_join_next().is_some() {}
    }
    renewals.abort();
    let finish = async {
        while running.join_next().await.is_some() {}
        database.close().await;
    };
    let _ = tokio::time::timeout(last_wait, finish).await;
}

/// Builds a runtime. If another crate turns on tokio's feature `signal`, tokio panics where no file can be opened.
fn build_runtime() -> io::Result<Runtime> {
    let built = catch_unwind(AssertUnwindSafe(|| {
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()
    }));
    built.unwrap_or_else(|_| Err(io::Error::other("tokio could not build a runtime")))
}

/// Blocks this thread until the future is ready. Returns `None` if that takes too long.
pub(crate) fn wait<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let deadline = Instant::now().checked_add(limit)?;
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(ThreadWaker(thread::current())));
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(value);
        }
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        thread::park_timeout(left);
    }
}

struct ThreadWaker(Thread);

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
