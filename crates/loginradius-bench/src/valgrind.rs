//! Counts instructions, allocations and memory, by running programs under valgrind.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::{Result, WORKER};

/// What some work costs.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Cost {
    /// Instructions in user space.
    pub instructions: f64,
    /// Calls that allocate, those that grow an allocation included.
    pub allocations: f64,
}

const FEW: u32 = 5;
pub(crate) const MANY: u32 = 105;

/// Does the work that [`callgrind`] counts.
#[inline(never)]
pub fn counted(mut work: impl FnMut()) {
    work();
}

/// Runs this program twice under callgrind, as a worker with these arguments and a number of times. Returns what one
/// more time of the work in [`counted`] costs the thread that does it.
///
/// # Errors
///
/// If valgrind is not installed, or a run fails.
pub fn callgrind(arguments: &[&str]) -> Result<Cost> {
    one_more_time(&["--toggle-collect=*loginradius_bench*counted*"], arguments, MANY)
}

/// Does the same with `many` as the larger number of times, and counts all that the process does, on all its threads.
///
/// # Errors
///
/// If valgrind is not installed, or a run fails.
pub fn callgrind_of_process(arguments: &[&str], many: u32) -> Result<Cost> {
    one_more_time(&[], arguments, many)
}

fn one_more_time(options: &[&str], arguments: &[&str], many: u32) -> Result<Cost> {
    let program = env::current_exe()?;
    let runs = [FEW, many]
        .map(|times| Callgrind::start(options, &program, &[&[WORKER], arguments, &[&times.to_string()]].concat()));
    let [fewer, more] = runs.map(|run| run?.finish());
    let (fewer, more) = (fewer?, more?);
    let once = |fewer: u64, more: u64| more.saturating_sub(fewer) as f64 / f64::from(many - FEW);
    Ok(Cost {
        instructions: once(fewer.instructions, more.instructions),
        allocations: once(fewer.allocations, more.allocations),
    })
}

/// Runs a program once under callgrind, and returns its instructions from its start to its end.
///
/// # Errors
///
/// If valgrind is not installed, or the run fails.
pub fn instructions_of(program: &Path, arguments: &[&str]) -> Result<u64> {
    Ok(Callgrind::start(&[], program, arguments)?.finish()?.instructions)
}

/// Runs this program twice under memcheck, as a worker with these arguments and a number of things that it has in memory
/// when it ends. Returns how many bytes of the heap one more of them takes.
///
/// # Errors
///
/// If valgrind is not installed, or a run fails.
pub fn live_bytes(arguments: &[&str]) -> Result<f64> {
    // A hash map has the same share of free places with both.
    const FEWER: u32 = 100;
    const MORE: u32 = 400;
    let program = env::current_exe()?;
    let runs = [FEWER, MORE].map(|count| {
        let options = ["--tool=memcheck", "--leak-check=no", "--run-libc-freeres=no"];
        start(&options, &program, &[&[WORKER], arguments, &[&count.to_string()]].concat())
    });
    let [fewer, more] = runs.map(|run| in_use_at_exit(&finish(run?)?));
    Ok((more? as f64 - fewer? as f64) / f64::from(MORE - FEWER))
}

fn in_use_at_exit(report: &str) -> Result<u64> {
    let bytes = report.lines().find_map(|line| line.split_once("in use at exit: ")?.1.split_once(" bytes"));
    Ok(bytes.ok_or("valgrind did not say what is in use")?.0.replace(',', "").parse()?)
}

fn start(options: &[&str], program: &Path, arguments: &[&str]) -> Result<Child> {
    let child = Command::new("valgrind")
        .args(options)
        .arg(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    Ok(child.map_err(|error| format!("cannot run valgrind ({error}): install it (Debian: apt install valgrind)"))?)
}

/// Waits for the end of a run, and returns what it reported.
fn finish(run: Child) -> Result<String> {
    let output = run.wait_with_output()?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(report) } else { Err(format!("a run under valgrind failed: {report}").into()) }
}

struct Callgrind {
    run: Child,
    profile: tempfile::TempPath,
}

impl Callgrind {
    fn start(options: &[&str], program: &Path, arguments: &[&str]) -> Result<Self> {
        let profile = tempfile::NamedTempFile::new()?.into_temp_path();
        let file = format!("--callgrind-out-file={}", profile.display());
        let options = [&["--tool=callgrind", "--quiet", &file], options].concat();
        Ok(Self { run: start(&options, program, arguments)?, profile })
    }

    fn finish(self) -> Result<Totals> {
        finish(self.run)?;
        Totals::read(&fs::read_to_string(&self.profile)?)
    }
}

/// The totals of a profile.
#[derive(Debug, PartialEq)]
struct Totals {
    instructions: u64,
    allocations: u64,
}

impl Totals {
    /// Reads a profile (Valgrind manual, "Callgrind Format Specification").
    fn read(profile: &str) -> Result<Self> {
        const ALLOCATORS: [&str; 6] = ["malloc", "calloc", "realloc", "memalign", "posix_memalign", "aligned_alloc"];
        let mut allocators = HashSet::new();
        let mut callee = "";
        let mut totals = Self { instructions: 0, allocations: 0 };
        for line in profile.lines() {
            if let Some((key, name)) = line.split_once('=') {
                match key {
                    "fn" | "cfn" => {
                        let (id, name) = name.split_once(' ').unwrap_or((name, ""));
                        if ALLOCATORS.contains(&name) {
                            allocators.insert(id);
                        }
                        callee = id;
                    }
                    "calls" if allocators.contains(callee) => {
                        totals.allocations += name.split(' ').next().unwrap_or_default().parse::<u64>()?;
                    }
                    _ => {}
                }
            } else if let Some(total) = line.strip_prefix("totals: ") {
                totals.instructions = total.parse()?;
            }
        }
        if totals.instructions == 0 {
            return Err("valgrind counted nothing: build the program with its symbols".into());
        }
        Ok(totals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_the_calls_of_the_allocators() {
        let profile = "events: Ir\n\
            fn=(1) work\n1 5\ncfn=(2) malloc\ncalls=3 0\n1 30\ncfn=(4) free\ncalls=3 0\n1 9\n\
            fn=(2)\n2 30\nfn=(7) other\ncfn=(2)\ncalls=4 0\n1 40\ncfn=(9) malloc_usable_size\ncalls=8 0\n1 1\n\
            totals: 115\n";
        assert_eq!(Totals::read(profile).unwrap(), Totals { instructions: 115, allocations: 7 });
        assert!(Totals::read("events: Ir\ntotals: 0\n").is_err());
    }

    #[test]
    fn what_is_in_use_is_read_from_the_report() {
        let report = "==1== HEAP SUMMARY:\n==1==     in use at exit: 1,234,567 bytes in 89 blocks\n";
        assert_eq!(in_use_at_exit(report).unwrap(), 1_234_567);
        assert!(in_use_at_exit("==1==\n").is_err());
    }
}
