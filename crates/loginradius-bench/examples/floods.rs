//! Measures what a response without end costs the program that receives it, for each adapter:
//!
//!     cargo run --release -p loginradius-bench --example floods
//!
//! Each flood is the response to a refresh in a process of its own, with a timeout of 1.5 s. A second run under
//! `strace` counts the bytes that the process receives.

use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use loginradius_conformance::Flood;
use loginradius_proto::oauth::RefreshAccessToken;
use loginradius_proto::{App, ErrorKind, Service};

const TIMEOUT: Duration = Duration::from_millis(1500);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = env::args().collect();
    if let [_, adapter, url] = &args[..] {
        return refresh(adapter, url);
    }
    println!("{:<26} {:<8} {:>8} {:>12} {:>10}", "flood", "adapter", "ms", "KiB received", "peak KiB");
    for flood in Flood::ALL {
        for adapter in ["blocking", "async"] {
            let output = Command::new(env::current_exe()?).args([adapter, &flood.server().url()]).output()?;
            let measured = String::from_utf8(output.stdout)?;
            let [millis, peak] = measured.split_whitespace().collect::<Vec<_>>()[..] else {
                return Err(String::from_utf8(output.stderr)?.into());
            };
            let received = received(adapter, &flood.server().url())? >> 10;
            println!("{:<26} {adapter:<8} {millis:>8} {received:>12} {peak:>10}", flood.name);
        }
    }
    Ok(())
}

/// Refreshes, and prints how long it took in milliseconds, and the most memory that this process has had in KiB.
fn refresh(adapter: &str, url: &str) -> Result<()> {
    let app = App::new("client").with_oauth_app("my-oauth-app").with_service(Service::classic_at(url)?);
    let call = RefreshAccessToken::new("refresh");
    let begin = Instant::now();
    let result = match adapter {
        "blocking" => loginradius_blocking::Client::builder(app).timeout(TIMEOUT).build()?.call(&call),
        _ => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let client = loginradius_async::Client::builder(app).timeout(TIMEOUT).build()?;
            runtime.block_on(client.call(&call))
        }
    };
    let elapsed = begin.elapsed();
    let error = result.err().ok_or("the flood was a response")?;
    if error.kind() != ErrorKind::OutcomeUnknown {
        return Err(error.into());
    }
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    println!("{} {}", elapsed.as_millis(), peak.trim().trim_end_matches(" kB"));
    Ok(())
}

/// Returns how many bytes the process of such a refresh takes from the network.
fn received(adapter: &str, url: &str) -> Result<usize> {
    let log = env::temp_dir().join(format!("loginradius-bench-floods-{}", std::process::id()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=recvfrom,recvmsg,read", "-s0", "--decode-fds=socket", "-o"]).arg(&log);
    let output = strace.arg(env::current_exe()?).args([adapter, url]).output();
    let output = output.map_err(|error| format!("cannot run strace ({error}): install it (Debian: strace)"))?;
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr)?.into());
    }
    let trace = fs::read_to_string(&log)?;
    fs::remove_file(&log)?;
    let of_tcp = |line: &&str| line.contains("<TCP:") || line.contains("resumed>");
    Ok(trace.lines().filter(of_tcp).filter_map(|line| line.rsplit_once("= ")?.1.parse::<usize>().ok()).sum())
}
