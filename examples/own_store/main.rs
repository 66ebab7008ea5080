//! Keeps a session in a store of your own: a table in SQLite, which the programs of one machine share.
//!
//!     cargo run --features sqlite --example own_store
//!
//! `store.rs` is the store. `cargo test -p loginradius-example-tests --test own_store` shows that it keeps the promises
//! of every store, by the store tests of `loginradius-store`.

mod store;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use loginradius_blocking::oauth::AccessTokenByPassword;
use loginradius_blocking::{Client, Session, Sessions};
use loginradius_emulator::{Emulator, seeded};
use loginradius_examples::{Options, Output, Result};
use serde_json::json;

use store::SqliteStore;

/// Keep a session in a store of your own, over SQLite.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// The database's file; by default a temporary one
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

const LEASE: Duration = Duration::from_secs(10);
const LIFETIME: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.options.output();
    output.finish(share_a_session(&cli, output))
}

fn share_a_session(cli: &Cli, output: Output) -> Result {
    if cli.options.is_service() {
        return Err("this example only uses its own emulator: leave out --client-id, or run `session` instead".into());
    }
    let target = cli.options.target_or(Emulator::builder().access_token_lifetime(LIFETIME))?;
    let emulator = target.emulator.as_ref().ok_or("there is no emulator")?;
    let client = Client::new(target.app.clone())?;
    let folder = tempfile::tempdir()?;
    let file = cli.store.clone().unwrap_or_else(|| folder.path().join("sessions.db"));
    // Each opens the file anew, as another process does.
    let open = || -> Result<Session> {
        Ok(Sessions::builder(&client, SqliteStore::open(&file, LEASE)?).build().session("ada"))
    };

    let login = client.call(&AccessTokenByPassword::new(seeded::ADA.email, seeded::ADA.password))?;
    open()?.start(&login)?;
    output.done("signed_in", &format!("Ada is signed in, and her session is in {}.", file.display()));

    thread::sleep(LIFETIME);
    output.say("Her token has expired. Three programs need one at once:");
    let programs = [open()?, open()?, open()?];
    thread::scope(|scope| {
        for session in &programs {
            scope.spawn(|| session.access_token());
        }
    });
    let tokens = programs.each_ref().map(Session::tokens);
    for tokens in tokens {
        output.tokens("tokens", &tokens?);
    }
    output.summary(&json!({ "event": "shared", "refreshes": emulator.refreshes() }));

    open()?.sign_out()?;
    match open()?.access_token() {
        Err(error) if error.requires_login() => output.done("signed_out", "She is signed out, in all of them."),
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("the session continues after the sign-out".into()),
    }
    Ok(())
}
