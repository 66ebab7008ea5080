//! Puts sessions under load: real processes that are killed or stopped, a move to another store, dropped callers, an
//! outage. Prints one JSON line with the counts of what happened, and fails if a promise of the sessions was broken.
//!
//!     storm() { cargo run --release --features services --example session_storm -- "$@"; }
//!     storm --processes 8 --seconds 120
//!     storm --processes 8 --seconds 120 --kill-every-ms 100
//!     storm --processes 8 --seconds 120 --lose-replies 0.05
//!     storm --processes 8 --seconds 60 --with ./another_session_storm
//!     storm --processes 8 --seconds 20 --outage 30
//!     storm --processes 8 --seconds 60 --stop-every-ms 3000 \
//!         --store postgres://postgres:password@localhost/postgres
//!     storm --processes 8 --seconds 20 \
//!         --move-to postgres://postgres:password@localhost/postgres
//!     storm --tasks 1000 --expiries 100 --drop 0.33
//!     storm --threads 200 --expiries 100
//!     storm --short-runs 1000
//!
//! The server is an emulator in this process. The line has, in every mode:
//!
//! - `refreshes`: refreshes to which the server responded with tokens.
//! - `replays`: requests with a refresh token that was consumed before, which end a login.
//! - `replays_explained`: replays of a token that a process had sent, or was about to send, when it was killed, and
//!   that no process has begun to send after its successor was stored. They cannot be avoided: the next process does
//!   not know whether the token arrived.
//! - `signed_out`: logins that ended for any other reason than such a replay.
//! - `signed_out_explained`: logins that such a replay ended. The user signs in again.
//! - `corrupt`: records that could not be read.
//! - `lost`: sessions whose stored refresh token the server rejects although it has not ended the login, or that cannot
//!   get a token in the end.
//! - `kills`: how often a process was killed, and `stops`: how often one was stopped for some time. A process that was
//!   stopped explains a replay just as one that was killed.
//!
//! It fails if `corrupt`, `lost` or `signed_out` is not 0, if a replay is not explained, or if `refreshes` is not
//! `refreshes_expected`, where that number is known.

mod fleet;
mod journal;
mod one_session;
mod options;
mod report;
mod setup;
mod short_runs;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use loginradius_examples::{Result, printable};

use crate::options::{Place, Storm};

/// Put sessions of LoginRadius under load.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    storm: Storm,
    #[command(subcommand)]
    child: Option<Child>,
}

/// The child processes of this program.
#[derive(Subcommand)]
enum Child {
    #[command(hide = true)]
    Worker(Place),
    #[command(hide = true)]
    ShortRun(Place),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let storm = &cli.storm;
    let result = match (&cli.child, storm.tasks, storm.threads, storm.short_runs) {
        (Some(Child::Worker(place)), ..) => return ended(fleet::work(place)),
        (Some(Child::ShortRun(place)), ..) => return ended(short_runs::run_once(place)),
        (None, Some(tasks), ..) => one_session::tasks(tasks, storm),
        (None, _, Some(threads), _) => one_session::threads(threads, storm),
        (None, _, _, Some(runs)) => short_runs::run(runs, storm),
        (None, ..) => fleet::run(storm.processes.unwrap_or(4).max(1), storm),
    };
    ended(result.and_then(|report| {
        let _ = writeln!(io::stdout(), "{}", serde_json::to_string(&report)?);
        report.judge()
    }))
}

fn ended(result: Result) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", printable(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}
