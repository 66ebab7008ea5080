//! Sessions under load: real processes, kills, dropped callers, an outage. Prints one JSON line of what was kept
//! of what is promised, and fails if a promise was broken.
//!
//!     cargo run --release --example session_storm -- --processes 8 --seconds 120
//!     cargo run --release --example session_storm -- --processes 8 --seconds 120 --kill-every-ms 100
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
mod short_runs;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use loginradius_blocking::{AccessToken, App, Error, Service, TokenSet};
use loginradius_emulator::{TokenAnswer, seeded};
use loginradius_examples::Result;
use serde::Serialize;

/// Sessions of LoginRadius under load.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    storm: Storm,
    #[command(subcommand)]
    child: Option<Child>,
}

/// Without a mode: `--processes 4`.
#[derive(Args)]
struct Storm {
    /// Real processes that share the sessions of one folder, with access tokens that live one second
    #[arg(long, value_name = "N", group = "mode")]
    processes: Option<usize>,
    /// Tasks that share one async session
    #[arg(long, value_name = "N", group = "mode")]
    tasks: Option<usize>,
    /// Threads that share one blocking session
    #[arg(long, value_name = "N", group = "mode")]
    threads: Option<usize>,
    /// Processes that want one token, just before the stored one ends, and end at once
    #[arg(long, value_name = "N", group = "mode")]
    short_runs: Option<usize>,
    /// How long the processes run
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,
    /// How many sessions the processes share
    #[arg(long, value_name = "N", default_value_t = 32)]
    sessions: usize,
    /// Kill one of the processes that often, and start another
    #[arg(long, value_name = "M", requires = "processes")]
    kill_every_ms: Option<u64>,
    /// How long the server lets a spent refresh token be sent again; LoginRadius documents no such time
    #[arg(long, value_name = "M", default_value_t = 0)]
    grace_ms: u64,
    /// The server is dead for that many seconds, in the middle of it all
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["tasks", "short_runs"])]
    outage: Option<u64>,
    /// How often all access tokens end at once, for tasks and threads
    #[arg(long, value_name = "E", default_value_t = 100)]
    expiries: u64,
    /// The part of the tasks that gives up while it waits
    #[arg(long, value_name = "P", default_value_t = 0.0, requires = "tasks")]
    drop: f64,
}

/// What the program starts itself as.
#[derive(Subcommand)]
enum Child {
    #[command(hide = true)]
    Worker(Place),
    #[command(hide = true)]
    ShortRun(Place),
}

/// Where a child process works.
#[derive(Args)]
struct Place {
    #[arg(long)]
    base_url: String,
    #[arg(long)]
    store: PathBuf,
    #[arg(long)]
    journal: PathBuf,
    #[arg(long)]
    sessions: usize,
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

/// The line that is printed: see the top of this file.
#[derive(Debug, Default, Serialize)]
struct Report {
    mode: &'static str,
    refreshes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refreshes_expected: Option<u64>,
    replays: u64,
    replays_explained: u64,
    signed_out: u64,
    signed_out_explained: u64,
    corrupt: u64,
    lost: u64,
    kills: u64,
    /// How long it took.
    seconds: f64,
    /// How often a token was asked for.
    calls: u64,
    /// How often a token was shown to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<u64>,
    /// How often it was refused, because it had just ended or its sign-in had been ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<u64>,
    /// Callers that were dropped while they waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
    /// Refreshes of a spent token that the server's grace period let through.
    #[serde(skip_serializing_if = "Option::is_none")]
    graced: Option<u64>,
    /// Callers that were told to try later.
    try_later: u64,
    /// Callers that were told anything else than to try later or to sign in again.
    failed: u64,
    /// The longest time from the end of the outage to the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_recovery_ms: Option<u64>,
}

impl Report {
    fn judge(&self) -> Result {
        let expected = self.refreshes_expected.unwrap_or(self.refreshes);
        let promises = [
            (self.replays == self.replays_explained, "a refresh token was spent twice for no reason"),
            (self.signed_out == 0, "a session ended for no reason"),
            (self.corrupt == 0, "a record could not be read"),
            (self.lost == 0, "a session was lost"),
            (self.failed == 0, "somebody was told something unexpected"),
            (self.refreshes == expected, "there were more or fewer refreshes than expiries"),
        ];
        let broken: Vec<_> = promises.into_iter().filter(|(kept, _)| !kept).map(|(_, what)| what).collect();
        if broken.is_empty() { Ok(()) } else { Err(broken.join("; ").into()) }
    }
}

/// The app of the emulator at that address.
fn app(base_url: &str) -> Result<App, Error> {
    Ok(App::new(seeded::CLIENT_ID)
        .client_secret(seeded::CLIENT_SECRET)
        .jwt_app(seeded::JWT_APP)
        .service(Service::cloud().base_url(base_url)?))
}

/// A sign-in at the emulator as the library has it.
fn token_set(answer: TokenAnswer) -> TokenSet {
    let mut tokens = TokenSet::new(answer.access_token);
    tokens.refresh_token = answer.refresh_token.map(Into::into);
    tokens.expires_in = Some(answer.expires_in);
    tokens
}

fn same(one: &AccessToken, other: &AccessToken) -> bool {
    one.expose() == other.expose()
}

fn session_name(number: usize) -> String {
    format!("user-{number}")
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
