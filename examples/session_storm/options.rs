//! The options of the modes.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use loginradius_blocking::Error;
use loginradius_blocking::store::{MovingStore, SessionStore};
use loginradius_examples::StorePlace;

/// The default mode is `--processes 4`.
#[derive(Args)]
pub(crate) struct Storm {
    /// Mode: this many real processes share the sessions of one store; an access token is valid for one second
    #[arg(long, value_name = "N", group = "mode")]
    pub(crate) processes: Option<usize>,
    /// Mode: this many tasks share one async session
    #[arg(long, value_name = "N", group = "mode")]
    pub(crate) tasks: Option<usize>,
    /// Mode: this many threads share one blocking session
    #[arg(long, value_name = "N", group = "mode")]
    pub(crate) threads: Option<usize>,
    /// Mode: this many processes get one token each, just before the stored one expires, and end at once
    #[arg(long, value_name = "N", group = "mode")]
    pub(crate) short_runs: Option<usize>,
    /// The store of the processes: a folder, by default a temporary one, or a PostgreSQL database such as
    /// `postgres://user:password@host/database`. Sessions of the same names in it are overwritten
    #[arg(long, env = "LOGINRADIUS_STORE", hide_env_values = true, value_name = "DIR|URL", conflicts_with_all = ["tasks", "threads"])]
    pub(crate) store: Option<StorePlace>,
    /// Move the sessions to that store while they are used
    #[arg(long, value_name = "DIR|URL", requires = "processes")]
    pub(crate) move_to: Option<StorePlace>,
    /// How many seconds the processes run for
    #[arg(long, value_name = "S", default_value_t = 10)]
    pub(crate) seconds: u64,
    /// How many sessions the processes share
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) sessions: usize,
    /// Run that program, a session_storm of another version, as every second process
    #[arg(long, value_name = "PROGRAM", requires = "processes")]
    pub(crate) with: Option<PathBuf>,
    /// Kill one of the processes every MS milliseconds, and start another
    #[arg(long, value_name = "MS", requires = "processes")]
    pub(crate) kill_every_ms: Option<u64>,
    /// Stop one of the processes every MS milliseconds, for as long as `--stop-ms`, as if its machine was suspended
    #[arg(long, value_name = "MS", requires = "processes")]
    pub(crate) stop_every_ms: Option<u64>,
    /// How long a process is stopped, in milliseconds; by default longer than a lease in PostgreSQL, which is 6 s
    #[arg(long, value_name = "MS", default_value_t = 9_000)]
    pub(crate) stop_ms: u64,
    /// The share of the saves that are done but whose reply does not arrive, from 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.0, requires = "processes")]
    pub(crate) lose_replies: f64,
    /// How long the emulator accepts a consumed refresh token, in milliseconds; LoginRadius documents no such time
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) grace_ms: u64,
    /// How many seconds the emulator fails for, in the middle of the run
    #[arg(long, value_name = "S", conflicts_with_all = ["tasks", "short_runs"])]
    pub(crate) outage: Option<u64>,
    /// How many times all access tokens expire at once, in the modes of tasks and threads
    #[arg(long, value_name = "E", default_value_t = 100)]
    pub(crate) expiries: u64,
    /// The share of the tasks whose future is dropped while it waits, from 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.0, requires = "tasks")]
    pub(crate) drop: f64,
}

/// Where a child process works.
#[derive(Args)]
pub(crate) struct Place {
    #[arg(long)]
    pub(crate) base_url: String,
    #[arg(long)]
    pub(crate) store: StorePlace,
    #[arg(long)]
    pub(crate) move_to: Option<StorePlace>,
    #[arg(long)]
    pub(crate) journal: PathBuf,
    #[arg(long)]
    pub(crate) sessions: usize,
    #[arg(long, default_value_t = 0.0)]
    pub(crate) lose_replies: f64,
}

impl Place {
    /// Opens the store of the sessions, or the store that moves them to another one.
    pub(crate) fn open(&self) -> Result<Box<dyn SessionStore>, Error> {
        let store = open(&self.store)?;
        Ok(match &self.move_to {
            Some(place) => Box::new(MovingStore::new(store, open(place)?)),
            None => store,
        })
    }
}

/// Opens a store, and tries again for some time: the storm may have stopped this process or the database.
fn open(place: &StorePlace) -> Result<Box<dyn SessionStore>, Error> {
    let since = Instant::now();
    loop {
        match place.open() {
            Err(error) if error.is_transient() && since.elapsed() < PATIENCE => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
