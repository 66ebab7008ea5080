//! The threads of this process.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

/// Runs what starts threads, until the last of them has ended.
pub fn run_to_the_end(run: impl FnOnce()) {
    let before = count();
    run();
    let deadline = Instant::now() + LIMIT;
    while count() > before {
        assert!(Instant::now() < deadline, "a thread still runs {LIMIT:?} after the flow");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Counts the threads as Linux lists them.
fn count() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}
