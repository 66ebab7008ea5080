//! Redeems an authorization code: exchanges it for tokens. The code is in the address that LoginRadius sent the browser
//! back to (`?code=...`). It is valid once, for 50 seconds.
//!
//!     cargo run --example authorization_code
//!
//! Without options the emulator issues a code, as if its user had signed in.

use std::io::{self, BufRead};
use std::process::ExitCode;

use clap::Parser;
use loginradius_blocking::Client;
use loginradius_blocking::oauth::AccessTokenByCode;
use loginradius_emulator::seeded;
use loginradius_examples::{Options, Output, Result};

/// Redeem an authorization code of LoginRadius for tokens.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// The code; by default it is read from standard input
    #[arg(long)]
    code: Option<String>,
    /// The redirect URI that the authorization request had
    #[arg(long, default_value = "https://www.example.com/callback")]
    redirect_uri: String,
    /// The PKCE verifier, if the authorization request had a challenge
    #[arg(long)]
    code_verifier: Option<String>,
    /// Send `grant_type=authorization_code`, as in RFC 6749, to the classic API too
    #[arg(long)]
    grant_type: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.options.output();
    output.finish(redeem(&cli, output))
}

fn redeem(cli: &Cli, output: Output) -> Result {
    let mut target = cli.options.target()?;
    let code = match (&cli.code, &target.emulator) {
        (Some(code), _) => code.clone(),
        (None, Some(emulator)) => {
            output.say("The emulator issues a code.");
            emulator.issue_code(seeded::CLIENT_ID, &cli.redirect_uri, None)
        }
        (None, None) => {
            output.say("Paste the code:");
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line)?;
            match line.trim() {
                "" => return Err("no code was pasted".into()),
                code => code.to_owned(),
            }
        }
    };
    if cli.grant_type {
        let dialect = target.app.service().dialect().with_grant_type_of_code(true);
        target.set_dialect(dialect)?;
    }
    let client = Client::new(target.app)?;
    let mut operation = AccessTokenByCode::new(code, &cli.redirect_uri);
    if let Some(verifier) = &cli.code_verifier {
        operation = operation.code_verifier(verifier.as_str());
    }
    let tokens = client.call(&operation)?;
    output.say("Signed in.");
    output.tokens("tokens", &tokens);
    Ok(())
}
