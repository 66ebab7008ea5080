//! The cost of finding and using one of many signed-in sessions of a process.

use std::hint::black_box;

use loginradius_bench::{Result, row, timing, tokens};
use loginradius_blocking::store::MemoryStore;
use loginradius_blocking::{App, Client, Sessions};

const SESSIONS: [usize; 2] = [10, 100_000];
// Short rounds, most of which no other process interrupts.
const ROUNDS: usize = 2_001;
const CALLS: u32 = 200;

pub(super) fn compare() -> Result<()> {
    println!(
        "Sessions of one process, in random order: nanoseconds for one call, medians of {ROUNDS} rounds of {CALLS}\n"
    );
    row(&["sessions", "`Sessions::session(name)`", "`Session::access_token()`"]);
    row(&["---"; 3]);
    for count in SESSIONS {
        let [find, read] = measure(count)?;
        row(&[&count.to_string(), &format!("{find:.0}"), &format!("{read:.0}")]);
    }
    println!();
    Ok(())
}

fn measure(count: usize) -> Result<[f64; 2]> {
    let sessions = Sessions::new(&Client::new(App::new("my-client-id"))?, MemoryStore::new());
    let names: Vec<_> = (0..count).map(|number| format!("2f1d7c9e/browser-{number:06}")).collect();
    let handles: Vec<_> = names.iter().map(|name| sessions.session(name.as_str())).collect();
    handles.iter().try_for_each(|session| session.start(&tokens()))?;
    let mut number = 0;
    // A large prime as the step: all sessions take part, and no two in a row are neighbours.
    let mut next = move || {
        number = (number + 15_485_863) % count;
        number
    };
    let mut median = |call: &mut dyn FnMut(usize)| {
        timing::median(&mut (0..ROUNDS).map(|_| timing::round(CALLS, || call(next()))).collect::<Vec<_>>())
    };
    let find = median(&mut |number| {
        black_box(sessions.session(names[number].as_str()));
    });
    let read = median(&mut |number| {
        black_box(handles[number].access_token().is_ok());
    });
    Ok([find, read])
}
