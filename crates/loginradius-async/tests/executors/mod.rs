//! Everything that can run a future: no runtime at all, and tokio's with and without their parts.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

pub(crate) type Boxed = Pin<Box<dyn Future<Output = ()>>>;

/// How long the slowest case may take.
const LIMIT: Duration = Duration::from_secs(10);

struct Unparker(Thread);

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread, as the executors do that have neither timers nor sockets.
pub(crate) fn block_on<F: Future + ?Sized>(mut future: Pin<Box<F>>) -> F::Output {
    let waker = Waker::from(Arc::new(Unparker(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// Runs a future to its end.
type Run = Box<dyn Fn(Boxed) + Send>;

type Parts = fn(&mut Builder) -> &mut Builder;

const PARTS: [(&str, Parts); 4] =
    [("no drivers", |it| it), ("io", Builder::enable_io), ("time", Builder::enable_time), ("all", Builder::enable_all)];

/// Returns the name of each executor, and its function that runs a future to its end.
pub(crate) fn all() -> Vec<(String, Run)> {
    let mut all: Vec<(String, Run)> = Vec::new();
    all.push(("no runtime".to_owned(), Box::new(block_on)));
    for (parts, enable) in PARTS {
        let current = move || enable(&mut Builder::new_current_thread()).build().unwrap();
        let multi = move || enable(Builder::new_multi_thread().worker_threads(1)).build().unwrap();
        all.push((format!("current thread, {parts}"), Box::new(move |future| current().block_on(future))));
        all.push((format!("multi thread, {parts}"), Box::new(move |future| multi().block_on(future))));
        let entered = move |future| {
            let runtime = multi();
            let handle = runtime.handle().clone();
            let _entered = handle.enter();
            runtime.shutdown_background();
            assert!(Handle::try_current().is_ok());
            block_on(future);
        };
        all.push((format!("shut down, {parts}"), Box::new(entered)));
        let moved = move |mut future: Boxed| {
            let runtime = current();
            let polled = runtime.block_on(poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())));
            drop(runtime);
            if !polled {
                block_on(future);
            }
        };
        all.push((format!("begun on current thread, {parts}, which ended"), Box::new(moved)));
    }
    all
}

/// Makes the future of a case, on the thread that runs it.
pub(crate) type Case = (&'static str, fn() -> Boxed);

/// Runs each of these futures on each executor, and asserts that none panics, hangs or fails its own assertions.
pub(crate) fn check(cases: &'static [Case]) {
    let (sender, ends) = mpsc::channel();
    let mut unfinished = BTreeSet::new();
    for (executor, run) in all() {
        unfinished.extend(cases.iter().map(|(case, _)| format!("{case}: {executor}")));
        let sender = sender.clone();
        thread::spawn(move || {
            for (case, future) in cases {
                let passed = catch_unwind(AssertUnwindSafe(|| run(future()))).is_ok();
                let _ = sender.send((format!("{case}: {executor}"), passed));
            }
        });
    }
    drop(sender);
    let mut failed = Vec::new();
    while let Ok((case, passed)) = ends.recv_timeout(LIMIT) {
        unfinished.remove(&case);
        failed.extend((!passed).then_some(case));
    }
    assert!(failed.is_empty() && unfinished.is_empty(), "failed: {failed:#?}, hung: {unfinished:#?}");
}
