//! Signs in on a desktop: opens LoginRadius's page in the user's browser, and listens on a port of this machine until
//! the browser comes back.
//!
//!     cargo run --features desktop --example desktop_login
//!
//! Without options it starts an emulator: sign in with the password that it prints, and allow. `--client-id` points it
//! at the real LoginRadius, which has to know the whole address that the browser comes back to: choose a port, and add
//! `http://127.0.0.1:8400/callback` to the app's addresses in the LoginRadius Dashboard.
//!
//!     cargo run --features desktop --example desktop_login -- --client-id ... --port 8400
//!
//! If the address there is `http://localhost:8400/callback`, add `--host localhost`.
//!
//! A desktop program needs no client secret, because of PKCE. It could not keep one: every copy of the program has it.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use loginradius_blocking::browser::loopback::Host;
use loginradius_blocking::{Client, LoopbackReceiver};
use loginradius_examples::{BrowserOptions, Output, Result};

/// Sign in at LoginRadius through the browser of this machine.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    browser: BrowserOptions,
    /// The port that the browser comes back to, which LoginRadius has to know; 0 is any free one, which the emulator
    /// allows
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The name of this machine in the redirect URI: 127.0.0.1, [::1] or localhost
    #[arg(long, default_value_t = Host::Ipv4)]
    host: Host,
    /// The path that the browser comes back to
    #[arg(long, default_value = "/callback")]
    path: String,
    /// Only print the address, and open no browser
    #[arg(long)]
    print_url: bool,
    /// How many seconds to wait for the browser. LoginRadius ends the login after ten minutes
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.browser.common.output();
    output.finish(login(&cli, output))
}

fn login(cli: &Cli, output: Output) -> Result {
    let target = cli.browser.target()?;
    let client = Client::new(target.app.clone())?;
    // It listens from here on, so the browser cannot come back too early.
    let receiver = LoopbackReceiver::bind_to(cli.host, cli.port, &cli.path)?.timeout(Duration::from_secs(cli.timeout));
    let request = cli.browser.request(receiver.redirect_uri());

    target.print_user(output);
    let tokens = client.browser_login(receiver, &request, |url| {
        output.authorize(url);
        if !cli.print_url {
            open(url.to_owned(), output);
        }
        output.say("Waiting for the browser to come back...");
        Ok(())
    })?;
    output.say("Signed in.");
    output.tokens("tokens", &tokens);
    Ok(())
}

/// Opens the user's browser, on a thread: a browser in the terminal returns only when the user closes it.
fn open(url: String, output: Output) {
    thread::spawn(move || {
        if webbrowser::open(&url).is_err() {
            output.say("No browser could be opened: open the address yourself.");
        }
    });
}
