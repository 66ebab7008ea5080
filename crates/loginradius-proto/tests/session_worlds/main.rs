//! Sessions against thousands of random worlds, and against every order of events of a small one.

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
    let sum_up = |first: usize| {
        let mut sum = Tally::default();
        for seed in (first as u64..worlds).step_by(THREADS) {
            match run(seed) {
                Ok(tally) => sum.add(&tally),
                Err(why) => broken.lock().unwrap().push(format!("world {seed}: {why}")),
            }
        }
        sum
    };
    let sum = sum_up_in_threads(sum_up);
    let broken = broken.into_inner().unwrap();
    for why in broken.iter().take(300) {
        println!("{why}");
    }
    println!("{sum}");
    assert!(
        broken.is_empty(),
        "{} worlds break a promise; run one of them alone: WORLD=..., {}",
        broken.len(),
        broken[0]
    );
    sum.assert_that_everything_happened();
}

#[test]
fn no_way_through_the_small_world_breaks_a_promise() {
    let troubles = number("TROUBLES").map_or(2, |most| u32::try_from(most).unwrap_or(2));
    println!("troubles={troubles} {:?}", small::explore(troubles));
}

fn sum_up_in_threads(sum_up: impl Fn(usize) -> Tally + Sync) -> Tally {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| {
                scope.spawn({
                    let sum_up = &sum_up;
                    move || sum_up(first)
                })
            })
            .collect();
        let mut sum = Tally::default();
        threads.into_iter().for_each(|thread| sum.add(&thread.join().expect("a thread")));
        sum
    })
}

/// Runs one world; says which promise it breaks.
fn run(seed: u64) -> Result<Tally, String> {
    catch_unwind(|| World::new(seed, false).run()).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        payload.downcast::<String>().map_or(text.unwrap_or_default(), |text| *text)
    })
}

#[allow(clippy::disallowed_methods, reason = "the test is told how long to run; the core reads no variables")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
