//! The path on which a session has nothing to refresh, beside a plain `Mutex<Arc<_>>`.

use std::hint::black_box;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime};

use loginradius_bench::timing::{self, median};
use loginradius_bench::{Result, blocking_session, row, tokens, valgrind};
use loginradius_blocking::{AccessToken, Session};

const CALLS: u32 = 100_000;
const ROUNDS: usize = 61;

/// Prints the median of rounds that take turns, in nanoseconds for one call of one thread, less the time for reading
/// the two clocks, which both sides have to do.
pub(crate) fn compare() -> Result<()> {
    let session = blocking_session()?;
    let plain = Mutex::new(Arc::new(tokens().access_token));
    println!("Reading a valid token of a session: nanoseconds for one call of one thread, less those for the clocks\n");
    row(&["threads", "clocks", "session", "`Mutex<Arc<_>>`"]);
    row(&["---"; 4]);
    for threads in [1, 2] {
        let [mut clocks, mut ours, mut theirs] = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            clocks.push(round(threads, read_clocks));
            ours.push(round(threads, || hot(&session)));
            theirs.push(round(threads, || beside(&plain)));
        }
        let clocks = median(&mut clocks);
        let [ours, theirs] = [ours, theirs].map(|mut times| median(&mut times) - clocks);
        let nanos = |time: f64| format!("{time:.1}");
        row(&[&threads.to_string(), &nanos(clocks), &nanos(ours), &nanos(theirs)]);
    }
    println!();
    Ok(())
}

/// Only reads the token that many times, for a profiler.
pub(crate) fn read(times: usize) -> Result<()> {
    let session = blocking_session()?;
    valgrind::counted(|| (0..times).for_each(|_| hot(&session)));
    Ok(())
}

#[inline(never)]
fn hot(session: &Session) {
    black_box(session.access_token().is_ok());
}

#[inline(never)]
fn beside(plain: &Mutex<Arc<AccessToken>>) {
    read_clocks();
    black_box(Arc::clone(&plain.lock().unwrap_or_else(PoisonError::into_inner)));
}

#[inline(never)]
fn read_clocks() {
    black_box((Instant::now(), SystemTime::now()));
}

/// Returns the nanoseconds for one call, when that many threads call at once.
fn round(threads: usize, call: impl Fn() + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let run = || {
            barrier.wait();
            timing::round(CALLS, &call)
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        handles.into_iter().filter_map(|handle| handle.join().ok()).fold(0.0, f64::max)
    })
}
