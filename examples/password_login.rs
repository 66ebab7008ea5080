//! Signs in with a password. RFC 9700, section 2.4, advises against that: prefer `device_login`.
//!
//!     cargo run --example password_login

use std::process::ExitCode;

use clap::Parser;
use loginradius_blocking::Client;
use loginradius_blocking::oauth::AccessTokenByPassword;
use loginradius_emulator::seeded;
use loginradius_examples::{Options, Output, Result};

/// Sign in at LoginRadius with a password.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// Email address, phone number or user name; not needed with the emulator
    #[arg(long, env = "LOGINRADIUS_USERNAME")]
    username: Option<String>,
    /// The password; better given in the environment, which others cannot list
    #[arg(long, env = "LOGINRADIUS_PASSWORD", hide_env_values = true)]
    password: Option<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.options.output();
    output.finish(login(&cli, output))
}

fn login(cli: &Cli, output: Output) -> Result {
    let target = cli.options.target()?;
    let (username, password) = match (&cli.username, &cli.password, &target.emulator) {
        (Some(username), Some(password), _) => (username.as_str(), password.as_str()),
        (None, None, Some(_)) => (seeded::ADA.email, seeded::ADA.password),
        _ => return Err("no user is named: give --username and --password".into()),
    };
    let client = Client::new(target.app)?;
    let tokens = client.call(&AccessTokenByPassword::new(username, password))?;
    output.say("Signed in.");
    output.tokens("tokens", &tokens);
    Ok(())
}
