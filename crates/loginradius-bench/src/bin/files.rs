//! The cost of a refresh with a `FileStore`, by the number of other sessions in its folder:
//!
//!     cargo run --release -p loginradius-bench --bin files
//!
//! The server is in this process and responds at once. `strace` counts the system calls.

use std::error::Error;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use loginradius_bench::{Server, ready, tokens};
use loginradius_proto::session::{SessionFlow, SessionMemory, SessionPolicy};
use loginradius_proto::{App, Seed};
use loginradius_store::sessions::drive;
use loginradius_store::{BlockingStore, FileStore};

const OTHERS: [usize; 3] = [0, 10_000, 50_000];
const REFRESHES: usize = 500;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if let [_, folder, refreshes] = &args[..] {
        let nanos = refresh(Path::new(folder), refreshes.parse()?)?;
        println!("{nanos}");
        return Ok(());
    }
    println!("{:>14} {:>22} {:>18}", "other sessions", "system calls a refresh", "CPU µs a refresh");
    for others in OTHERS {
        let folder = std::env::temp_dir().join(format!("loginradius-bench-files-{}", std::process::id()));
        let measured = measure(&folder, others);
        fs::remove_dir_all(&folder)?;
        let (calls, nanos) = measured?;
        println!("{others:>14} {calls:>22.1} {:>18.0}", nanos / 1e3);
    }
    Ok(())
}

fn measure(folder: &Path, others: usize) -> Result<(f64, f64)> {
    fs::create_dir(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    refresh(folder, 1)?;
    let record = fs::read(folder.join("session-ada.json"))?;
    for other in 0..others {
        let create =
            |name: String| fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name));
        std::io::Write::write_all(&mut create(format!("session-user-{other}.json"))?, &record)?;
        create(format!("session-user-{other}.lock"))?;
    }
    let calls = |refreshes| system_calls(folder, refreshes);
    let calls = (calls(2 * REFRESHES)? - calls(REFRESHES)?) / REFRESHES as f64;
    let mut nanos: Vec<f64> = (0..9).map(|_| child(folder, REFRESHES)).collect::<Result<_>>()?;
    nanos.sort_by(f64::total_cmp);
    Ok((calls, nanos[nanos.len() / 2] / REFRESHES as f64))
}

/// Runs this program for some refreshes and returns the CPU time that they took, in nanoseconds.
fn child(folder: &Path, refreshes: usize) -> Result<f64> {
    let output = Command::new(std::env::current_exe()?).arg(folder).arg(refreshes.to_string()).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn system_calls(folder: &Path, refreshes: usize) -> Result<f64> {
    let own = std::env::current_exe()?;
    let output = Command::new("strace").args(["-f", "-c"]).arg(own).arg(folder).arg(refreshes.to_string()).output();
    let output = output.map_err(|error| format!("cannot run strace ({error}): install it (Debian: strace)"))?;
    let table = String::from_utf8(output.stderr)?;
    let total = table.lines().rev().find(|line| line.trim_end().ends_with("total")).ok_or("strace printed no total")?;
    let columns: Vec<&str> = total.split_whitespace().collect();
    Ok(columns.get(3).ok_or("strace printed no number of calls")?.parse()?)
}

/// Refreshes the session of that folder that many times. Returns the CPU time in nanoseconds.
fn refresh(folder: &Path, refreshes: usize) -> Result<f64> {
    let (app, policy) = (App::new("my-client-id"), SessionPolicy::default());
    let store = BlockingStore::new(FileStore::open(folder)?);
    let mut lock = None;
    let mut run = |mut flow: SessionFlow| {
        let end =
            ready(drive(&mut flow, &store, "ada", &mut lock, &Server::default())).ok_or("a blocking store waits")?;
        Ok::<_, Box<dyn Error>>((end.memory, end.result?))
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
