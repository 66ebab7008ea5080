//! Refreshes an access token, then revokes the refresh token.
//!
//!     cargo run --example refresh_and_revoke
//!
//! LoginRadius rotates refresh tokens: each refresh consumes the one that is sent, and returns the next one.

use std::process::ExitCode;

use clap::Parser;
use loginradius_blocking::oauth::{AccessTokenByPassword, RefreshAccessToken, RevokeRefreshToken};
use loginradius_blocking::{Client, RefreshToken, RevocationKey};
use loginradius_emulator::seeded;
use loginradius_examples::{Options, Output, Result};

/// Refresh an access token of LoginRadius, then revoke the refresh token.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// The refresh token; better given in the environment, which others cannot list. Not needed with the emulator
    #[arg(long, env = "LOGINRADIUS_REFRESH_TOKEN", hide_env_values = true)]
    refresh_token: Option<String>,
    /// Send it under the key `token` to be revoked, as in RFC 7009, and not under LoginRadius's `refresh_token`
    #[arg(long)]
    token_key: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.options.output();
    output.finish(refresh_and_revoke(&cli, output))
}

fn refresh_and_revoke(cli: &Cli, output: Output) -> Result {
    let mut target = cli.options.target()?;
    if cli.token_key {
        let dialect = target.app.service().dialect().with_revocation_key(RevocationKey::Token);
        target.set_dialect(dialect)?;
    }
    let client = Client::new(target.app)?;
    let first: RefreshToken = match (&cli.refresh_token, &target.emulator) {
        (Some(token), _) => token.as_str().into(),
        (None, Some(_)) => {
            let login = AccessTokenByPassword::new(seeded::ADA.email, seeded::ADA.password);
            client.call(&login)?.refresh_token.ok_or("the emulator issued no refresh token")?
        }
        (None, None) => return Err("no token is named: give --refresh-token".into()),
    };

    let tokens = client.call(&RefreshAccessToken::new(first.clone()))?;
    output.say("Refreshed.");
    output.tokens("refreshed", &tokens);

    let newest = tokens.refresh_token.unwrap_or(first);
    let revoke = RevokeRefreshToken::new(newest.clone());
    client.call(&revoke)?;
    output.done("revoked", "Revoked.");

    match client.call(&RefreshAccessToken::new(newest)) {
        Err(error) if error.requires_login() => {
            output.say("It cannot be refreshed any more: the user has to sign in again.");
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(_) => Err("the revoked token could still be refreshed".into()),
    }
}
