//! The cost of a refresh with a `PostgresStore`, and how long after a crash of a holder others refresh:
//!
//!     cargo run --release -p loginradius-bench --example postgres
//!
//! It starts a server of PostgreSQL (Debian: postgresql) in a temporary folder, with its default settings. LoginRadius
//! is in this process, and responds at once. The CPU time of the server is that of all other processes of the machine:
//! let nothing else run.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_bench::{Server, ready, timing, tokens};
use loginradius_proto::session::{SessionFlow, SessionMemory, SessionPolicy};
use loginradius_proto::{App, Seed};
use loginradius_store::sessions::drive;
use loginradius_store::{BlockingStore, SessionStore};
use loginradius_store_postgres::tokio_postgres::{Config, NoTls};
use loginradius_store_postgres::{PostgresSettings, PostgresStore};
use loginradius_testing::postgres::PostgresServer;

const OTHERS: [usize; 2] = [0, 100_000];
/// How many stores there are, each with up to five connections of its own, and how many callers.
const LOADS: [(usize, usize); 4] = [(1, 1), (1, 8), (1, 64), (8, 64)];
const TIME: Duration = Duration::from_secs(8);
const CRASHES: usize = 5;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if let [_, url] = &args[..] {
        return hold(url);
    }
    let server = PostgresServer::start();
    let url = server.url();

    let stores = (0..8).map(|_| open(&url)).collect::<Result<Vec<_>>>()?;
    let store = &stores[0];
    let commits = || {
        // A connection that is idle reports what it did within 10 s.
        thread::sleep(Duration::from_secs(11));
        server.query("SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'").parse::<u64>()
    };
    let count = |refreshes| -> Result<u64> {
        let before = commits()?;
        Caller::new(store, "counted")?.refresh(refreshes)?;
        Ok(commits()? - before)
    };
    let statements = (count(400)? - count(200)?) as f64 / 200.0;
    println!("statements, each a round trip, for a refresh: {statements:.2}");

    println!(
        "{:>14} {:>6} {:>7} {:>11} {:>7} {:>7} {:>13} {:>13}",
        "other sessions", "stores", "callers", "refreshes/s", "p50 ms", "p99 ms", "CPU µs, ours", "server's"
    );
    for others in OTHERS {
        server.execute(&format!(
            "INSERT INTO loginradius_session (key, name, record, generation, lease, lease_length, leased_until)
             SELECT sha256(n::text::bytea), ('user-' || n)::bytea, repeat('x', 1000)::bytea, 1, 0, '0', '-infinity'
             FROM generate_series(1, {others}) n"
        ));
        server.execute("VACUUM ANALYZE loginradius_session");
        for (count, callers) in LOADS {
            let before = (cpu_of_process()?, cpu_of_machine()?);
            let mut times = measure(&stores[..count], callers)?;
            let (ours, all) = (cpu_of_process()? - before.0, cpu_of_machine()? - before.1);
            times.sort_unstable();
            let at = |part: f64| times[(times.len() as f64 * part) as usize].as_secs_f64() * 1e3;
            let rate = times.len() as f64 / TIME.as_secs_f64();
            let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / times.len() as f64;
            println!(
                "{others:>14} {count:>6} {callers:>7} {rate:>11.0} {:>7.2} {:>7.2} {:>13.0} {:>13.0}",
                at(0.5),
                at(0.99),
                each(ours),
                each(all.saturating_sub(ours))
            );
        }
    }

    let started = Instant::now();
    let names = SessionStore::names(store, "user-7777", None)?.len();
    println!("listing {names} of them by a prefix: {:.1} ms", started.elapsed().as_secs_f64() * 1e3);

    let mut times = Vec::new();
    for _ in 0..CRASHES {
        times.push(crash(&url, store)?);
    }
    times.sort_unstable();
    println!("from SIGKILL of a holder to the next token, with the default lease: {times:.1?}");
    Ok(())
}

fn open(url: &str) -> Result<PostgresStore> {
    let config: Config = url.parse()?;
    Ok(PostgresSettings::default().open(async move || config.connect(NoTls).await)?)
}

fn cpu_of_process() -> Result<Duration> {
    Ok(timing::cpu_of_process().map_err(|error| error.to_string())?)
}

/// Returns for how long the processors of the machine were busy since it started (proc_stat(5)).
fn cpu_of_machine() -> Result<Duration> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/stat")?;
    let times: Vec<f64> =
        stat.split_whitespace().skip(1).take(8).map(str::parse).collect::<std::result::Result<_, _>>()?;
    let [user, nice, system, _idle, _wait, interrupts, soft_interrupts, _stolen] = times[..] else {
        return Err("/proc/stat has another form".into());
    };
    Ok(Duration::from_secs_f64((user + nice + system + interrupts + soft_interrupts) / TICKS_PER_SECOND))
}

/// Refreshes one session for each caller, as fast as it goes. Returns how long each refresh took.
fn measure(stores: &[PostgresStore], callers: usize) -> Result<Vec<Duration>> {
    thread::scope(|scope| {
        let call = |number: usize| {
            scope.spawn(move || -> Result<Vec<Duration>> {
                let mut caller = Caller::new(&stores[number % stores.len()], &format!("caller-{number}"))?;
                let end = Instant::now() + TIME;
                let mut times = Vec::new();
                while Instant::now() < end {
                    let started = Instant::now();
                    caller.refresh(1)?;
                    times.push(started.elapsed());
                }
                Ok(times)
            })
        };
        let callers: Vec<_> = (0..callers).map(call).collect();
        let mut times = Vec::new();
        for caller in callers {
            times.extend(caller.join().map_err(|_| "a caller panicked")??);
        }
        Ok(times)
    })
}

/// A process that uses one session.
struct Caller {
    app: App,
    store: BlockingStore<PostgresStore>,
    name: String,
    memory: SessionMemory,
}

impl Caller {
    fn new(store: &PostgresStore, name: &str) -> Result<Self> {
        let app = App::new("my-client-id");
        let memory = SessionMemory::default();
        let mut caller = Self { app, store: BlockingStore::new(store.clone()), name: name.to_owned(), memory };
        let policy = SessionPolicy::default();
        let memory = std::mem::take(&mut caller.memory);
        caller.run(SessionFlow::start(&caller.app, policy, memory, &tokens(), Seed(1)))?;
        Ok(caller)
    }

    fn refresh(&mut self, refreshes: usize) -> Result<()> {
        for seed in 0..refreshes {
            let mut memory = std::mem::take(&mut self.memory);
            memory.reject(&"3f5cd6cb".into());
            memory.reject(&tokens().access_token);
            self.run(SessionFlow::refresh(&self.app, SessionPolicy::default(), memory, Seed(seed as u64)))?;
        }
        Ok(())
    }

    fn run(&mut self, mut flow: SessionFlow) -> Result<()> {
        let end = ready(drive(&mut flow, &self.store, &self.name, &mut None, &Server::default()))
            .ok_or("a blocking store waits")?;
        self.memory = end.memory;
        end.result?;
        Ok(())
    }
}

/// In a process of its own: takes a lock, and keeps it until it is killed.
fn hold(url: &str) -> Result<()> {
    let store = open(url)?;
    let _lock = SessionStore::try_lock(&store, "crashed")?.ok_or("it is taken")?;
    println!("held");
    loop {
        thread::park();
    }
}

/// Kills a holder, and returns when another process has refreshed.
fn crash(url: &str, store: &PostgresStore) -> Result<Duration> {
    let mut caller = Caller::new(store, "crashed")?;
    let mut holder = Command::new(std::env::current_exe()?).arg(url).stdout(Stdio::piped()).spawn()?;
    let stdout = holder.stdout.take().ok_or("no output")?;
    BufReader::new(stdout).read_line(&mut String::new())?;
    // Some renewals.
    thread::sleep(Duration::from_millis(4000 + 600 * u64::from(holder.id() % 5)));
    holder.kill()?;
    holder.wait()?;
    let killed = Instant::now();
    caller.refresh(1)?;
    Ok(killed.elapsed())
}
