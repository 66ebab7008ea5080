//! Deterministic simulation testing of sessions: thousands of random runs, and every path through a model of two
//! processes.
//!
//! A run has a server that rotates refresh tokens and ends a login whose consumed token arrives again, a store with
//! locks, a network, and up to four processes on up to two machines, each with its callers. Requests and responses are
//! lost, or arrive after the process has given up. Saves fail, or have an unknown outcome, done or not. Processes are
//! killed and suspended between any two steps, and flows aborted. Clocks are set forward and back. Users log in and
//! sign out, and sessions are forgotten; some of that is left unfinished. At the end of each run all faults end, and
//! every session that can be recovered has to recover. There are three kinds of stores:
//!
//! - A lock lasts as long as its process, like that of a file.
//! - A lock is a lease of a minute, which a process loses while it is suspended. The store compares generations alone.
//! - A lock is a lease of 10 s in a row of a database. It is renewed while its process runs, and the driver asks it
//!   right before it sends. Renewals fail; a process is suspended for a second to a minute at any step, most often
//!   while it sends. A statement whose outcome was lost is sent again, and the first attempt arrives late: after the
//!   second one, after the unlock, after another holder has taken the lease. In some of these runs, failovers forget
//!   the last writes, lease and record, as with asynchronous replication.
//!
//! The session flow promises that
//!
//! 1. a consumed token reaches the server only if the response to an earlier request with it was lost, or if its
//!    outcome could not be saved because the process died or lost its lock;
//! 2. a process that sends or saves holds the lock, as far as it can know, and no two holders have a refresh in flight
//!    at the same time. A lease has a price, and no other excuse: a request was given to the transport while half of
//!    the lease was left, and the lease lapsed before the request left or while it was out;
//! 3. no token is returned that is not in the store, unless an event has reported that it is unsaved;
//! 4. a session ends only because the newest token in the store was rejected, by signing out, or for lack of a refresh
//!    token;
//! 5. a session whose newest token is in the store or in the memory of a live process continues, and one that is lost
//!    was lost with a response that did not arrive, or with its process;
//! 6. a session that was signed out never comes back, and a process that has seen the mark returns none of its tokens;
//! 7. no token is returned past its lifetime by either clock, nor from the future, nor after it was rejected;
//! 8. nothing is sent unless the intent is in the store, so that a store that cannot be written costs no token;
//! 9. every flow ends, without hammering the server, and inputs that it did not ask for change nothing;
//! 10. no event, error or printed state shows a secret, no token crosses to another name or app, and no session becomes
//!     another user's without an event;
//! 11. a login that a later one has replaced stays replaced, and a login that is started twice is adopted with all that
//!     has become of it, as long as the session is stored.
//!
//! Of the store over a database it is promised that
//!
//! 12. a save or a clear that is reported as done is stored, and not another one that looks like it; and none is done
//!     by a process that does not hold the lease, however late it arrives;
//! 13. after a failover that forgets writes, 3, 9 and 10 hold all the same: every flow ends, no record is half of two,
//!     and no session becomes another user's without an event. A session may end, but only as `SignInRequired`; one
//!     that was signed out may be back, as it was stored before; and the next login works.
//!
//! `oracle` knows what is true: the server, the store and every request. It asserts the promises that concern several
//! processes; its `database` has the statements that a database performs, and what is true of its leases. `participant`
//! is what one process has of one session, and asserts the promises that a single flow can break. `simulation` is a
//! random run; its `network` carries requests, and its `database` is the client's part of that store. `model_check`
//! explores the model, `rng` is the random number generator and the clocks, and `coverage` counts what happened.
//!
//! `SIM_RUNS=100000` makes that many runs. A failure names its seed, and `SIM_SEED=1234` repeats that run alone and
//! logs every step. `FAULT_BUDGET=3` allows that many faults on each path through the model.

mod coverage;
mod model_check;
mod oracle;
mod participant;
mod rng;
mod simulation;

use std::panic::catch_unwind;
use std::sync::Mutex;

use coverage::Coverage;
use simulation::Simulation;

const THREADS: usize = 2;

#[test]
fn no_run_breaks_a_promise() {
    if let Some(seed) = variable("SIM_SEED") {
        println!("{}", Simulation::new(seed, true).run());
        return;
    }
    let runs = variable("SIM_RUNS").unwrap_or(if cfg!(debug_assertions) { 2_000 } else { 10_000 });
    let failures = Mutex::new(Vec::new());
    let mut coverage = in_threads(|first| {
        let mut coverage = Coverage::default();
        for seed in (first as u64..runs).step_by(THREADS) {
            match run(seed) {
                Ok(of_run) => coverage.add(&of_run),
                Err(message) => failures.lock().unwrap().push((seed, message)),
            }
        }
        coverage
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    let broke = |promise: &str| failures.iter().filter(|(_, message)| message.contains(promise)).count() as u64;
    (coverage.runs, coverage.replays, coverage.lost) = (runs, broke("promise 1:"), broke("promise 5:"));
    println!("{coverage}");
    for (seed, message) in failures.iter().take(20) {
        println!("seed {seed}: {message}");
    }
    assert!(failures.is_empty(), "{} runs break a promise: SIM_SEED={} shows how", failures.len(), failures[0].0);
    coverage.assert_everything_happened();
    // Some transitions happen once in ten thousand runs.
    coverage.transitions.assert_as_documented(runs >= 100_000);
}

fn in_threads(run_every_nth: impl Fn(usize) -> Coverage + Sync) -> Coverage {
    let run_every_nth = &run_every_nth;
    let mut coverage = Coverage::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(move || run_every_nth(first))).collect();
        threads.into_iter().for_each(|thread| coverage.add(&thread.join().expect("no panic")));
    });
    coverage
}

/// Runs one simulation; the error is the message of the promise that it breaks.
fn run(seed: u64) -> Result<Coverage, String> {
    catch_unwind(|| Simulation::new(seed, false).run()).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        payload.downcast::<String>().map_or(text.unwrap_or_default(), |text| *text)
    })
}

#[test]
fn no_path_through_the_model_breaks_a_promise() {
    let fault_budget = variable("FAULT_BUDGET").unwrap_or(if cfg!(debug_assertions) { 1 } else { 3 });
    let explored = model_check::explore(u32::try_from(fault_budget).expect("a number of 32 bits"));
    println!("fault_budget={fault_budget} {explored:?}");
    explored.transitions.assert_as_documented(false);
    assert!(explored.states > 5_000 && explored.recovered > 100 && explored.ended > 100, "{explored:?}");
}

#[allow(clippy::disallowed_methods, reason = "variables set how long the test runs; the core reads none")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
