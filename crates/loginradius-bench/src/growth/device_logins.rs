//! Many device logins of one async process, each polled for every 5 s.

use std::env;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use loginradius_async::oauth::RequestDeviceCode;
use loginradius_async::{App, Client, DeviceProgress, Service};
use loginradius_bench::canned_server::{Address, CannedServer, Scheme};
use loginradius_bench::{Result, WORKER, row, timing};

const LOGINS: [usize; 3] = [2_500, 10_000, 20_000];
const INTERVAL: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(15);

pub(super) fn compare() -> Result<()> {
    println!(
        "Device logins of one async process over http, at an interval of 5 s, counted for {} s\n",
        WINDOW.as_secs()
    );
    row(&["logins", "polls, of those due", "failed polls", "CPU µs for a poll"]);
    row(&["---"; 4]);
    for logins in LOGINS {
        // The sockets that one run leaves in TIME_WAIT belong to its server's port.
        let server = CannedServer::start(Scheme::Http)?;
        let Address { url, root, .. } = server.address();
        let output =
            Command::new(env::current_exe()?).args([WORKER, "poll", &logins.to_string(), &url, &root]).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        print!("{}", String::from_utf8(output.stdout)?);
    }
    println!();
    Ok(())
}

#[derive(Default)]
struct Counters {
    polls: AtomicUsize,
    failures: AtomicUsize,
}

/// Begins that many logins, evenly over one interval, and prints a row of the table.
pub(crate) fn poll(logins: usize, server: &Address) -> Result<()> {
    let app = App::new("my-client-id").with_oauth_app("my-oauth-app").with_service(Service::classic_at(&server.url)?);
    let client = Client::new(app)?;
    let counters = Arc::new(Counters::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (polls, failures, cpu) = runtime.block_on(async {
        let start = tokio::time::Instant::now();
        for number in 0..logins {
            tokio::time::sleep_until(start + INTERVAL.mul_f64(number as f64 / logins as f64)).await;
            tokio::spawn(login(client.clone(), Arc::clone(&counters)));
        }
        // Each login has been polled for when the count begins.
        tokio::time::sleep(2 * INTERVAL).await;
        let read = || (counters.polls.load(Ordering::Relaxed), counters.failures.load(Ordering::Relaxed));
        let (before, cpu_before, begin) = (read(), timing::cpu_of_process()?, Instant::now());
        tokio::time::sleep(WINDOW).await;
        let (after, cpu) = (read(), timing::cpu_of_process()? - cpu_before);
        let windows = begin.elapsed().as_secs_f64() / WINDOW.as_secs_f64();
        Ok::<_, Box<dyn std::error::Error>>(((after.0 - before.0) as f64 / windows, after.1 - before.1, cpu))
    })?;
    let due = logins as f64 * WINDOW.as_secs_f64() / INTERVAL.as_secs_f64();
    row(&[
        &logins.to_string(),
        &format!("{:.1} %", 100.0 * polls / due),
        &failures.to_string(),
        &format!("{:.0}", cpu.as_secs_f64() * 1e6 / polls),
    ]);
    std::process::exit(0)
}

async fn login(client: Client, counters: Arc<Counters>) {
    let request = RequestDeviceCode::new();
    let Ok(login) = client.begin_device_login(&request).await else {
        counters.failures.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let login = login.on_progress(move |progress| {
        let counter = match progress {
            DeviceProgress::Retrying { .. } => &counters.failures,
            _ => &counters.polls,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let _ = login.wait().await;
}
