//! The same as `device_login`, without its tour, in async code.
//!
//!     cargo run --example async_device_login

use std::process::ExitCode;

use clap::Parser;
use loginradius_async::Client;
use loginradius_examples::{Options, Output, Result};

/// Sign in a device at LoginRadius from async code.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// What the device asks for, separated by spaces
    #[arg(long, default_value = "email profile")]
    scope: String,
    /// Press the emulator's buttons, for a run without a browser
    #[arg(long)]
    approve: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.options.output();
    output.finish(login(&cli, output).await)
}

async fn login(cli: &Cli, output: Output) -> Result {
    let target = cli.options.target()?;
    if cli.approve && target.emulator.is_none() {
        return Err("--approve presses the emulator's buttons: leave out --client-id and --base-url".into());
    }
    let client = Client::new(target.app)?;

    let mut approved = Ok(());
    let login = client.device_login(&cli.scope, |grant| {
        output.prompt(grant);
        if let Some(emulator) = target.emulator.as_ref().filter(|_| cli.approve) {
            approved = emulator.approve(&grant.user_code);
        }
    });
    let tokens = login.await;
    approved?;
    let tokens = tokens?;
    output.say("Signed in.");
    output.tokens("tokens", &tokens);
    Ok(())
}
