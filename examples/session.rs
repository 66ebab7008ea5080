//! Stays signed in between runs: the tokens are stored in a folder, refreshed when necessary, and shared by all
//! programs that use the folder.
//!
//!     cargo run --example session
//!
//! Without options it shows the life of a session in a few seconds, with an emulator that ends with the program. To
//! stay signed in between real runs, you need a server that outlives them:
//!
//!     cargo run -p loginradius-emulator
//!     cargo run --example session -- --base-url http://127.0.0.1:8710 --oauth-app demo-oauth-app \
//!         --client-id de300000-0000-4000-8000-000000000001 --client-secret de305ec2-0000-4000-8000-00000000fa4e
//!
//! Run that twice: the second run does not ask the user to sign in. Run it twice at once: there is one refresh.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use etcetera::BaseStrategy as _;
use loginradius_blocking::oauth::RequestDeviceCode;
use loginradius_blocking::store::FileStore;
use loginradius_blocking::{AccessToken, Client, Session, Sessions, TokenSet};
use loginradius_emulator::{Emulator, seeded};
use loginradius_examples::{DeviceOptions, Output, Result, printable};

/// Stay signed in at LoginRadius between runs.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    device: DeviceOptions,
    /// The folder of the sessions, created if it is missing; by default one in this user's home
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The session's name: one for each user of the program
    #[arg(long, default_value = "default")]
    name: String,
    /// Print what happens to the session
    #[arg(long)]
    events: bool,
    /// Get another access token, as after an API has rejected this one
    #[arg(long, group = "job")]
    refresh: bool,
    /// Sign out: end the session at LoginRadius, and forget it
    #[arg(long, group = "job")]
    sign_out: bool,
    /// Forget the session, and send nothing to LoginRadius
    #[arg(long, group = "job")]
    forget: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.device.common.output();
    output.finish(if cli.device.common.is_service() { run(&cli, output) } else { demo(&cli, output) })
}

fn run(cli: &Cli, output: Output) -> Result {
    let target = cli.device.target()?;
    let client = Client::new(target.app)?;
    let folder = match &cli.store {
        Some(folder) => folder.clone(),
        None => default_folder()?,
    };
    let session = open(&client, &folder, output, cli.events)?.session(&cli.name);

    if cli.sign_out {
        session.sign_out()?;
        output.done("signed_out", "Signed out.");
        return Ok(());
    }
    if cli.forget {
        session.forget()?;
        output.done("forgotten", "Forgotten.");
        return Ok(());
    }
    // A program sends it to APIs, as `Authorization: Bearer ...`. If one rejects it (HTTP 401), see `refresh_rejected`.
    let token = access_token(&session, output, || {
        let login = client.begin_device_login(&RequestDeviceCode::new().scope(&cli.device.scope))?;
        output.prompt(login.grant());
        output.say("Waiting for the user to allow it...");
        Ok(login.wait()?)
    })?;
    if cli.refresh {
        session.refresh_rejected(&token)?;
    }
    output.say(format!("Signed in: session `{}` in {}", session.name(), folder.display()));
    output.tokens("tokens", &session.tokens()?);
    // Tokens that could not be stored are lost when the program ends: this is the last attempt, and its error says why.
    Ok(session.flush()?)
}

fn open(client: &Client, folder: &Path, output: Output, events: bool) -> Result<Sessions> {
    let sessions = Sessions::builder(client, FileStore::open(folder)?);
    Ok(if events {
        sessions.on_event(move |name, event| output.session(name, event)).build()
    } else {
        sessions.build()
    })
}

/// Returns an access token that is valid now. Asks the user to sign in only if nothing else helps: after any other
/// error the session continues, and a transient one passes.
fn access_token(session: &Session, output: Output, sign_in: impl FnOnce() -> Result<TokenSet>) -> Result<AccessToken> {
    match session.access_token() {
        Err(error) if error.requires_login() => {
            output.say(printable(&error.to_string()));
            session.start(&sign_in()?)?;
            Ok(session.access_token()?)
        }
        token => Ok(token?),
    }
}

/// Returns `$XDG_STATE_HOME/loginradius-examples` or `~/.local/state/...`; `%LOCALAPPDATA%\...` on Windows.
fn default_folder() -> Result<PathBuf> {
    let strategy = etcetera::choose_base_strategy()?;
    let folder = strategy.state_dir().unwrap_or_else(|| strategy.cache_dir());
    fs::create_dir_all(&folder)?;
    Ok(folder.join("loginradius-examples"))
}

/// Shows the life of a session in a few seconds. Each "run" opens the folder anew, as another process would.
fn demo(cli: &Cli, output: Output) -> Result {
    const LIFETIME: Duration = Duration::from_secs(2);
    if cli.sign_out || cli.forget || cli.refresh || cli.store.is_some() {
        let message = "this needs a server that outlives the program: start one with \
                       `cargo run -p loginradius-emulator`, and give --base-url and --client-id";
        return Err(message.into());
    }
    let emulator = Emulator::builder().device_interval(Duration::from_secs(1)).access_token_lifetime(LIFETIME);
    let target = cli.device.common.target_or(emulator)?;
    let emulator = target.emulator.as_ref().ok_or("the options name a service")?;
    let client = Client::new(target.app.clone())?;
    let folder = tempfile::tempdir()?;
    let store = folder.path();
    let show = |session: &Session| -> Result {
        output.tokens("tokens", &session.tokens()?);
        Ok(())
    };
    let open = || Ok::<_, Box<dyn std::error::Error>>(open(&client, store, output, true)?.session(&cli.name));

    output.done("first_run", "\nFirst run: there is no session yet.");
    let session = open()?;
    access_token(&session, output, || {
        let login = client.begin_device_login(&RequestDeviceCode::new().scope(&cli.device.scope))?;
        let code = &login.grant().user_code;
        output.say(format!("The emulator's {} allows the device {code}.", seeded::ADA.first_name));
        emulator.approve(code)?;
        Ok(login.wait()?)
    })?;
    show(&session)?;

    output.done("second_run", "\nSecond run: the tokens are stored, so the user is not asked again.");
    let session = open()?;
    session.access_token()?;
    show(&session)?;

    thread::sleep(LIFETIME);
    output.done("third_run", "\nThird run, after the access token has expired: it is refreshed.");
    let session = open()?;
    session.access_token()?;
    show(&session)?;

    thread::sleep(LIFETIME);
    output.done(
        "two_runs",
        "\nTwo runs at once, after that one has expired: one refreshes, and the other uses the same token.",
    );
    let before = emulator.refreshes();
    let runs = [open()?, open()?];
    thread::scope(|scope| {
        for session in &runs {
            scope.spawn(|| session.access_token());
        }
    });
    for session in &runs {
        session.access_token()?;
    }
    output.say(format!("  refreshes at the server: {}", emulator.refreshes() - before));

    output
        .done("refused", "\nAn API rejects the token (HTTP 401) before it expires: the program asks for another one.");
    let session = open()?;
    let rejected = session.access_token()?;
    emulator.expire_access_tokens();
    session.refresh_rejected(&rejected)?;
    show(&session)?;

    output.done("signed_out", "\nSigned out: the next run would ask the user to sign in.");
    session.sign_out()?;
    match open()?.access_token() {
        Err(error) if error.requires_login() => output.say(format!("  {}", printable(&error.to_string()))),
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("the session continues after the sign-out".into()),
    }

    output.say(format!(
        "\nFor real runs, start a server that outlives them:\n\n  \
         cargo run -p loginradius-emulator\n\nand in another terminal, as often as you like:\n\n  \
         cargo run --example session -- --base-url http://127.0.0.1:8710 --oauth-app {} \\\n    \
         --client-id {} --client-secret {}",
        seeded::OAUTH_APP,
        seeded::CLIENT_ID,
        seeded::CLIENT_SECRET,
    ));
    Ok(())
}
