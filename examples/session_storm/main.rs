//! Sessions under load: real processes, kills, dropped callers, an outage. Prints one JSON line of what was kept
//! of what is promised, and fails if a promise was broken.
//!
//!     cargo run --release --example session_storm -- --processes 8 --seconds 120
//!     cargo run --release --example session_storm -- --processes 8 --seconds 120 --kill-every-ms 100
//!     cargo run --release --example session_storm -- --processes 8 --seconds 60 --with ./session_storm-of-another-version
//!     cargo run --release --example session_storm -- --processes 8 --seconds 20 --outage 30
//!     cargo run --release --example session_storm -- --tasks 1000 --expiries 100 --drop 0.33
//!     cargo run --release --example session_storm -- --threads 200 --expiries 100
//!     cargo run --release --example session_storm -- --short-runs 1000
//!
//! The server is an emulator in this process. What the line says, in every mode:
//!
//! - `refreshes`: how many the server has answered with tokens.
//! - `replays`: how often it was sent a refresh token that was spent, which ends a sign-in.
//! - `replays_explained`: those of a token that a process had sent, or was about to send, when it was killed, and
//!   that nobody has begun to send after its successor was stored. It cannot be avoided: whoever comes next does
//!   not know whether the token arrived.
//! - `signed_out`: sign-ins that ended for any other reason than such a replay.
//! - `signed_out_explained`: those that such a replay ended. Somebody signs in again.
//! - `corrupt`: records that could not be read.
//! - `lost`: sessions whose stored refresh token the server does not take although it has not ended the sign-in,
//!   or that cannot get a token in the end.
//! - `kills`: processes that were killed.
//!
//! It fails if `corrupt`, `lost` or `signed_out` is not 0, if a replay is not explained, or if `refreshes` is not
//! `refreshes_expected`, where that can be known.

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
use loginradius_examples::Result;

use crate::options::{Place, Storm};

/// Sessions of LoginRadius under load.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    storm: Storm,
    #[command(subcommand)]
    child: Option<Child>,
}

/// What the program starts itself as.
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
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
