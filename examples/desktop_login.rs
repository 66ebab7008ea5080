//! Signs in on a desktop: opens LoginRadius's page in the person's browser, and waits on a port of this machine until
//! the browser comes back.
//!
//!     cargo run --example desktop_login
//!
//! Without options it starts an emulator: sign in as it says, and allow. `--client-id` points it at the real
//! LoginRadius. That has to know the whole address that the browser comes back to, so choose a port, and add
//! `http://127.0.0.1:8400/callback` to the app's addresses in the LoginRadius Dashboard:
//!
//!     cargo run --example desktop_login -- --client-id ... --port 8400
//!
//! A desktop program keeps no secret: whoever has the program has it too. PKCE needs none.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use loginradius_blocking::{Client, LoopbackReceiver};
use loginradius_examples::{BrowserOptions, Output, Result};

/// Sign in at LoginRadius through the browser of this machine.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    browser: BrowserOptions,
    /// The port that the browser comes back to, of those that LoginRadius knows; 0 is any free one, which the emulator
    /// allows
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The path that the browser comes back to
    #[arg(long, default_value = "/callback")]
    path: String,
    /// Open no browser: the address is printed anyway
    #[arg(long)]
    print_url: bool,
    /// How many seconds to wait for the browser. After ten minutes LoginRadius has ended the sign-in
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
    // It listens from here on: the browser cannot be back too soon.
    let receiver = LoopbackReceiver::bind(cli.port, &cli.path)?.timeout(Duration::from_secs(cli.timeout));
    let request = cli.browser.request(receiver.redirect_uri());

    target.say_who(output);
    let tokens = client.browser_login(receiver, &request, |url| {
        output.authorize(url);
        if !cli.print_url {
            open(url.to_owned(), output);
        }
        output.say("Waiting for the browser to come back...");
    })?;
    output.say("Signed in.");
    output.tokens("tokens", &tokens);
    Ok(())
}

/// Opens the person's browser. On a thread, for one that lives in the terminal does not return before it is closed.
fn open(url: String, output: Output) {
    thread::spawn(move || {
        if webbrowser::open(&url).is_err() {
            output.say("There is no browser that can be opened from here: open the address yourself.");
        }
    });
}
