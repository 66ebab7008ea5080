//! The options of the modes.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use loginradius_blocking::Error;
use loginradius_blocking::store::{MovingStore, SessionStore};
use loginradius_examples::StorePlace;

/// Without a mode: `--processes 4`.
#[derive(Args)]
pub(crate) struct Storm {
    /// Real processes that share the sessions of one folder, with access tokens that live one second
    #[arg(long, value_name = "N", group = "mode")]
    pub(crate) processes: Option<usize>,
    /// Tasks that share one async session
    #[arg(long, value_name = "N", group = "mode")]
    pub(crate) tasks: Option<usize>,
    /// Threads that share one blocking session
    #[arg(long, value_name = "N", group = "mode")]
    pub(crate) threads: Option<usize>,
    /// Processes that get one token, just before the stored one expires, and end at once
    #[arg(long, value_name = "N", group = "mode")]
    pub(crate) short_runs: Option<usize>,
    /// The store of the processes: a folder, by default a temporary one, or a database as in
    /// `postgres://user:password@host/database`, whose sessions are overwritten
    #[arg(long, env = "LOGINRADIUS_STORE", hide_env_values = true, value_name = "DIR|URL", conflicts_with_all = ["tasks", "threads"])]
    pub(crate) store: Option<StorePlace>,
    /// Move the sessions there while they are used
    #[arg(long, value_name = "DIR|URL", requires = "processes")]
    pub(crate) move_to: Option<StorePlace>,
    /// How long the processes run
    #[arg(long, value_name = "S", default_value_t = 10)]
    pub(crate) seconds: u64,
    /// How many sessions the processes share
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) sessions: usize,
    /// Run that program, the session_storm of another version, as every second process
    #[arg(long, value_name = "PROGRAM", requires = "processes")]
    pub(crate) with: Option<PathBuf>,
    /// Kill one of the processes that often, and start another
    #[arg(long, value_name = "M", requires = "processes")]
    pub(crate) kill_every_ms: Option<u64>,
    /// Stop one of the processes that often, for as long as `--stop-ms`, as a suspended machine is
    #[arg(long, value_name = "M", requires = "processes")]
    pub(crate) stop_every_ms: Option<u64>,
    /// How long a process is stopped: longer than the lease of a lock by default
    #[arg(long, value_name = "M", default_value_t = 9_000)]
    pub(crate) stop_ms: u64,
    /// How long the server accepts a consumed refresh token again; LoginRadius documents no such time
    #[arg(long, value_name = "M", default_value_t = 0)]
    pub(crate) grace_ms: u64,
    /// How long the server fails, in the middle of the run
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["tasks", "short_runs"])]
    pub(crate) outage: Option<u64>,
    /// How often all access tokens expire at once, for tasks and threads
    #[arg(long, value_name = "E", default_value_t = 100)]
    pub(crate) expiries: u64,
    /// The part of the tasks whose future is dropped while it waits, from 0 to 1
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
}

impl Place {
    /// Opens the store of the sessions, or the one of both stores while they move.
    pub(crate) fn open(&self) -> Result<Box<dyn SessionStore>, Error> {
        let store = open(&self.store)?;
        Ok(match &self.move_to {
            Some(place) => Box::new(MovingStore::new(store, open(place)?)),
            None => store,
        })
    }
}

/// Opens a store. The storm may stop this process meanwhile, or the database.
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
