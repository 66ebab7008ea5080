//! Sessions against thousands of random worlds, and against everything that can happen in a small one.
//!
//! A world has a server that really rotates refresh tokens and ends a sign-in whose spent token comes again, a store
//! with locks, a network, and up to four processes on up to two machines, each with its callers. Requests and
//! answers get lost, or arrive when nobody waits any more; saves fail, or are done although nobody says so; processes
//! die and sleep between any two steps; clocks are set forth and back; users sign in, sign out, forget, and stop half
//! way. Some stores hold locks as a file does, until the process dies, and some as a lease that whoever sleeps loses.
//! At the end of each world all is well again, and what can be saved has to be. Promised is that
//!
//! 1. a spent token reaches the server only if an earlier request with it was lost, or its outcome could not be
//!    saved because the process died, or lost its lock;
//! 2. whoever sends or saves holds the lock, as far as it can know, and no two who hold it have a refresh out;
//! 3. no token is handed out that is not in the store, unless its holder was told so;
//! 4. a session ends by a refusal of the newest token in the store, by signing out, or for lack of a refresh token;
//! 5. a session whose newest token is in the store or in a live memory goes on, and one that is lost was lost with an
//!    answer that did not arrive, or with its process;
//! 6. a session that was signed out never comes back, and whoever has seen the mark hands nothing out;
//! 7. no token is handed out past its lifetime by either clock, nor from the future, nor one reported bad;
//! 8. nothing is sent unless the intent is in the store, so that a store which cannot be written costs no token;
//! 9. every flow ends, without hammering the server, and what nobody asked for changes nothing;
//! 10. no event, error or printed state shows a secret, no token crosses to another name or app, and nobody becomes
//!     another user without a word.
//!
//! `chance` has the clocks and the dice, `books` all that is true (the server, the store, every request) with the
//! promises that concern several processes, `seat` one process's place at one name with those that a single one can
//! see broken, `world` a random world, `small` the small one, and `tally` counts what happened.
//!
//! `WORLDS=100000` runs more worlds; a failure names its world, and `WORLD=1234` runs that one alone and tells its
//! story. `TROUBLES=3` lets that many things go wrong on each way through the small world.

mod books;
mod chance;
mod seat;
mod small;
mod tally;
mod world;

use std::panic::catch_unwind;
use std::sync::Mutex;

use tally::Tally;
use world::World;

const THREADS: usize = 2;

#[test]
fn no_world_breaks_a_promise() {
    if let Some(seed) = number("WORLD") {
        println!("{}", World::new(seed, true).run());
        return;
    }
    let worlds = number("WORLDS").unwrap_or(if cfg!(debug_assertions) { 2_000 } else { 10_000 });
    let broken = Mutex::new(Vec::new());
    let mut sum = in_threads(|first| {
        let mut sum = Tally::default();
        for seed in (first as u64..worlds).step_by(THREADS) {
            match run(seed) {
                Ok(tally) => sum.add(&tally),
                Err(why) => broken.lock().unwrap().push((seed, why)),
            }
        }
        sum
    });
    let mut broken = broken.into_inner().unwrap();
    broken.sort();
    let breaks = |promise: &str| broken.iter().filter(|(_, why)| why.contains(promise)).count() as u64;
    (sum.worlds, sum.replays, sum.lost) = (worlds, breaks("promise 1:"), breaks("promise 5:"));
    println!("{sum}");
    for (seed, why) in broken.iter().take(20) {
        println!("world {seed}: {why}");
    }
    assert!(broken.is_empty(), "{} worlds break a promise: WORLD={} tells how", broken.len(), broken[0].0);
    sum.assert_that_everything_happened();
}

fn in_threads(sum_up: impl Fn(usize) -> Tally + Sync) -> Tally {
    let sum_up = &sum_up;
    let mut sum = Tally::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(move || sum_up(first))).collect();
        threads.into_iter().for_each(|thread| sum.add(&thread.join().expect("a sum")));
    });
    sum
}

/// Runs one world; says which promise it breaks.
fn run(seed: u64) -> Result<Tally, String> {
    catch_unwind(|| World::new(seed, false).run()).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        payload.downcast::<String>().map_or(text.unwrap_or_default(), |text| *text)
    })
}

#[test]
fn no_way_through_the_small_world_breaks_a_promise() {
    let troubles = number("TROUBLES").unwrap_or(if cfg!(debug_assertions) { 1 } else { 3 });
    let found = small::explore(u32::try_from(troubles).expect("few"));
    println!("troubles={troubles} {found:?}");
    assert!(found.states > 5_000 && found.recovered > 100 && found.over > 100, "{found:?}");
}

#[allow(clippy::disallowed_methods, reason = "the test is told how long to run; the core reads no variables")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
