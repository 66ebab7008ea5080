//! Stays signed in between runs: the tokens live in a folder, are refreshed when they have to be, and are shared
//! by all programs that use the folder.
//!
//!     cargo run --example session
//!
//! Without options it shows what a session goes through in its life, with an emulator that ends with it. To stay
//! signed in between real runs, the server has to outlive them:
//!
//!     cargo run -p loginradius-emulator
//!     cargo run --example session -- --base-url http://127.0.0.1:8710 --oauth-app demo-oauth-app \
//!         --client-id de300000-0000-4000-8000-000000000001 --client-secret de305ec2-0000-4000-8000-00000000fa4e
//!
//! Run that twice: the second run asks for no sign-in. Run it twice at once: there is one refresh.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use etcetera::BaseStrategy as _;
use loginradius_blocking::oauth::RequestDeviceCode;
use loginradius_blocking::store::FileStore;
use loginradius_blocking::{AccessToken, Client, ErrorKind, Session, Sessions, TokenSet};
use loginradius_emulator::{Emulator, seeded};
use loginradius_examples::{DeviceOptions, Output, Result, printable};

/// Stay signed in at LoginRadius between runs.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    device: DeviceOptions,
    /// The folder of the sessions, created if it is missing; by default one for this user's programs
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The session's name, which tells one user from another
    #[arg(long, default_value = "default")]
    name: String,
    /// Print what happens to the session
    #[arg(long)]
    events: bool,
    /// Get another access token, as after an API has refused this one
    #[arg(long, group = "job")]
    refresh: bool,
    /// Sign out: end the session at LoginRadius, and forget it
    #[arg(long, group = "job")]
    sign_out: bool,
    /// Forget the session, without a word to LoginRadius
    #[arg(long, group = "job")]
    forget: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.device.common.output();
    output.finish(if cli.device.common.is_service() { run(&cli, output) } else { story(&cli, output) })
}

fn run(cli: &Cli, output: Output) -> Result {
    let target = cli.device.target()?;
    let client = Client::new(target.app)?;
    let folder = match &cli.store {
        Some(folder) => folder.clone(),
        None => users_folder()?,
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
    // A program sends it to APIs, as `Authorization: Bearer ...`. One that is refused (HTTP 401) it exchanges.
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
    // What could not be stored is lost when the program ends: this is the last attempt, and says why.
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

/// Returns a token that is good. Asks for a sign-in if no user is signed in, and for no other reason: whatever else goes
/// wrong does not end the session.
fn access_token(session: &Session, output: Output, sign_in: impl FnOnce() -> Result<TokenSet>) -> Result<AccessToken> {
    match session.access_token() {
        Err(error) if error.kind() == ErrorKind::SignInRequired => {
            output.say(printable(&error.to_string()));
            session.start(&sign_in()?)?;
            Ok(session.access_token()?)
        }
        token => Ok(token?),
    }
}

/// `$XDG_STATE_HOME/loginradius-examples` or `~/.local/state/...`; `%LOCALAPPDATA%\...` on Windows.
fn users_folder() -> Result<PathBuf> {
    let strategy = etcetera::choose_base_strategy()?;
    let folder = strategy.state_dir().unwrap_or_else(|| strategy.cache_dir());
    fs::create_dir_all(&folder)?;
    Ok(folder.join("loginradius-examples"))
}

/// The life of a session in a few seconds. Each "run" opens the folder anew, as another process would.
fn story(cli: &Cli, output: Output) -> Result {
    const LIFETIME: Duration = Duration::from_secs(2);
    if cli.sign_out || cli.forget || cli.refresh || cli.store.is_some() {
        let message = "this needs a service that outlives the program: start one with \
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

    output.done("second_run", "\nSecond run: the tokens are stored, and the user need not sign in.");
    let session = open()?;
    session.access_token()?;
    show(&session)?;

    thread::sleep(LIFETIME);
    output.done("third_run", "\nThird run, when the access token has ended: it is refreshed.");
    let session = open()?;
    session.access_token()?;
    show(&session)?;

    thread::sleep(LIFETIME);
    output.done("two_runs", "\nTwo runs at once, when that one has ended: one refreshes, the other has its token too.");
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
        .done("refused", "\nAn API refuses the token (HTTP 401) although its time has not come: another one, please.");
    let session = open()?;
    let refused = session.access_token()?;
    emulator.expire_access_tokens();
    session.refresh_rejected(&refused)?;
    show(&session)?;

    output.done("signed_out", "\nSigned out: the next run would ask for a sign-in.");
    session.sign_out()?;
    match open()?.access_token() {
        Err(error) if error.kind() == ErrorKind::SignInRequired => output.say(format!("  {error}")),
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("the session goes on after the sign-out".into()),
    }

    output.say(format!(
        "\nThe same with real runs needs a server that outlives them:\n\n  \
         cargo run -p loginradius-emulator\n\nand in another terminal, as often as you like:\n\n  \
         cargo run --example session -- --base-url http://127.0.0.1:8710 --oauth-app {} \\\n    \
         --client-id {} --client-secret {}",
        seeded::OAUTH_APP,
        seeded::CLIENT_ID,
        seeded::CLIENT_SECRET,
    ));
    Ok(())
}
