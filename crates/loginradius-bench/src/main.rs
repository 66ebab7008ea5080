//! The path on which a session has nothing to refresh, beside a plain `Mutex<Arc<_>>`:
//!
//!     cargo run --release -p loginradius-bench
//!
//! Every figure is the median of rounds that take turns, in nanoseconds for one call of one thread, less the time for
//! reading the two clocks, which both sides have to do. With a number as its argument, it only calls `access_token()`
//! that many times, for a profiler.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime};

use loginradius_bench::{blocking_session, tokens};
use loginradius_blocking::{AccessToken, Error, Session};

const CALLS: u32 = 100_000;
const ROUNDS: usize = 61;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).map(|calls| calls.parse()) {
        None => compare(),
        Some(Ok(calls)) => blocking_session().map(|session| (0..calls).for_each(|_| hot(&session))),
        Some(Err(_)) => Err(Error::configuration("the argument is the number of calls")),
    };
    if let Err(error) = &result {
        eprintln!("{error}");
    }
    ExitCode::from(u8::from(result.is_err()))
}

fn compare() -> Result<(), Error> {
    let session = blocking_session()?;
    let plain = Mutex::new(Arc::new(tokens().access_token));
    println!("threads  clocks  session  Mutex<Arc<_>>   (ns; the last two without the clocks)");
    for threads in [1, 2] {
        let [mut clocks, mut ours, mut theirs] = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            clocks.push(round(threads, read_clocks));
            ours.push(round(threads, || hot(&session)));
            theirs.push(round(threads, || beside(&plain)));
        }
        let clocks = median(&mut clocks);
        let [ours, theirs] = [ours, theirs].map(|mut times| median(&mut times) - clocks);
        println!("{threads:7}  {clocks:6.1}  {ours:7.1}  {theirs:13.1}");
    }
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
            let start = Instant::now();
            (0..CALLS).for_each(|_| call());
            start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        handles.into_iter().filter_map(|handle| handle.join().ok()).fold(0.0, f64::max)
    })
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
