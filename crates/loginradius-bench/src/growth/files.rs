//! The cost of a refresh with a `FileStore`, by the number of other sessions in its folder.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use loginradius_bench::{Result, Server, WORKER, ready, row, timing, tokens};
use loginradius_proto::session::{SessionFlow, SessionMemory, SessionPolicy};
use loginradius_proto::{App, Seed};
use loginradius_store::sessions::drive;
use loginradius_store::{BlockingStore, FileStore};

const OTHERS: [usize; 3] = [0, 10_000, 50_000];
const REFRESHES: usize = 100;

pub(super) fn compare() -> Result<()> {
    println!("A refresh with a `FileStore`; LoginRadius is in the same process and responds at once\n");
    row(&["other sessions", "CPU µs", "system calls"]);
    row(&["---"; 3]);
    for others in OTHERS {
        let (calls, nanos) = measure(others)?;
        row(&[&others.to_string(), &format!("{:.0}", nanos / 1e3), &format!("{calls:.1}")]);
    }
    println!();
    Ok(())
}

fn measure(others: usize) -> Result<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    refresh(folder, 1)?;
    let record = fs::read(folder.join("session-ada.json"))?;
    for other in 0..others {
        let create =
            |name: String| fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name));
        create(format!("session-user-{other}.json"))?.write_all(&record)?;
        create(format!("session-user-{other}.lock"))?;
    }
    let calls = |refreshes| system_calls(folder, refreshes);
    let calls = (calls(2 * REFRESHES)? - calls(REFRESHES)?) / REFRESHES as f64;
    let mut nanos: Vec<f64> = (0..5).map(|_| cpu_of_child(folder, REFRESHES)).collect::<Result<_>>()?;
    Ok((calls, timing::median(&mut nanos) / REFRESHES as f64))
}

/// Refreshes in another process. Returns the CPU time that the refreshes took, in nanoseconds.
fn cpu_of_child(folder: &Path, refreshes: usize) -> Result<f64> {
    let output = worker(Command::new(env::current_exe()?), folder, refreshes).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn system_calls(folder: &Path, refreshes: usize) -> Result<f64> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c"]).arg(env::current_exe()?);
    let output = worker(strace, folder, refreshes).output();
    let output =
        output.map_err(|error| format!("cannot run strace ({error}): install it (Debian: apt install strace)"))?;
    let table = String::from_utf8(output.stderr)?;
    let total = table.lines().rev().find(|line| line.trim_end().ends_with("total")).ok_or("strace printed no total")?;
    let columns: Vec<&str> = total.split_whitespace().collect();
    Ok(columns.get(3).ok_or("strace printed no number of calls")?.parse()?)
}

fn worker(mut command: Command, folder: &Path, refreshes: usize) -> Command {
    command.args([WORKER, "refresh-file"]).arg(folder).arg(refreshes.to_string());
    command
}

/// Refreshes the session of that folder that many times. Prints the CPU time in nanoseconds.
pub(crate) fn print_cpu(folder: &Path, refreshes: usize) -> Result<()> {
    println!("{}", refresh(folder, refreshes)?);
    Ok(())
}

fn refresh(folder: &Path, refreshes: usize) -> Result<f64> {
    let (app, policy) = (App::new("my-client-id"), SessionPolicy::default());
    let store = BlockingStore::new(FileStore::open(folder)?);
    let mut lock = None;
    let mut run = |mut flow: SessionFlow| -> Result<_> {
        let end =
            ready(drive(&mut flow, &store, "ada", &mut lock, &Server::default())).ok_or("a blocking store waits")?;
        Ok((end.memory, end.result?))
    };
    let (mut memory, _) = run(SessionFlow::start(&app, policy, SessionMemory::default(), &tokens(), Seed(1)))?;
    let mut token = tokens().access_token;
    let before = cpu_nanos()?;
    for seed in 0..refreshes {
        memory.reject(&token);
        let (next, result) = run(SessionFlow::refresh(&app, policy, memory, Seed(seed as u64)))?;
        memory = next;
        token = result.ok_or("no token")?;
    }
    Ok(cpu_nanos()? - before)
}

/// Returns the time for which this thread was on a processor, in nanoseconds.
fn cpu_nanos() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("no figure in schedstat")?.parse()?)
}
