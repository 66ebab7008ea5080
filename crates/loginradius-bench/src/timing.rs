//! Times of two sides that take turns, so that both meet the same load of the machine.

use std::fs;
use std::time::{Duration, Instant};

use crate::Result;

/// How long each of two sides takes.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Pair {
    /// The median of our times for one call, in nanoseconds.
    pub ours: f64,
    /// The median of their times for one call, in nanoseconds.
    pub theirs: f64,
    /// The median of the ratios of two rounds in a row, ours to theirs.
    pub ratio: f64,
}

/// Measures both in turns of that many calls.
pub fn in_turns(rounds: usize, calls: u32, mut ours: impl FnMut(), mut theirs: impl FnMut()) -> Pair {
    let [mut our_times, mut their_times, mut ratios] = [const { Vec::new() }; 3];
    for turn in 0..rounds {
        let (our_time, their_time) = if turn % 2 == 0 {
            let our_time = round(calls, &mut ours);
            (our_time, round(calls, &mut theirs))
        } else {
            let their_time = round(calls, &mut theirs);
            (round(calls, &mut ours), their_time)
        };
        our_times.push(our_time);
        their_times.push(their_time);
        ratios.push(our_time / their_time);
    }
    Pair { ours: median(&mut our_times), theirs: median(&mut their_times), ratio: median(&mut ratios) }
}

/// Returns the nanoseconds for one call, of that many in a row.
pub fn round(calls: u32, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| call());
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

/// Returns the median; NaN if there is nothing.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Returns the CPU time of all threads of this process until now, in steps of 10 ms.
///
/// # Errors
///
/// If the system does not say.
pub fn cpu_of_process() -> Result<Duration> {
    cpu_in_stat(UTIME)
}

/// Returns the CPU time of the processes that this one has waited for, and of those that they have waited for, in steps
/// of 10 ms.
///
/// # Errors
///
/// If the system does not say.
pub fn cpu_of_children() -> Result<Duration> {
    cpu_in_stat(CUTIME)
}

// The places of the fields behind the program's name; that of the system's time follows each (proc_pid_stat(5)).
const UTIME: usize = 11;
const CUTIME: usize = 13;

fn cpu_in_stat(user: usize) -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("no name in /proc/self/stat")?;
    let ticks = fields.split(' ').skip(user).take(2).map(str::parse::<u64>).sum::<std::result::Result<u64, _>>()?;
    // A tick is 10 ms for every program on Linux.
    Ok(Duration::from_millis(10 * ticks))
}
