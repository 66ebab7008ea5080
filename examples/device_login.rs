//! Signs in a device: shows an address and a code, and waits until the person has allowed it.
//!
//!     cargo run --example device_login
//!
//! Without options it starts an emulator, opens nothing and spends nothing: open the printed address in a
//! browser, sign in as the page says, and allow. Then it uses the tokens: refresh, JWT, revoke.
//! `--client-id` and `--oauth-app` point it at the real LoginRadius.

use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use loginradius_blocking::jwt::JwtByAccessToken;
use loginradius_blocking::oauth::{DeviceGrant, RefreshAccessToken, RevokeRefreshToken};
use loginradius_blocking::{Client, TokenSet};
use loginradius_examples::{DeviceOptions, Output, Result};

/// Sign in a device at LoginRadius.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    device: DeviceOptions,
    /// Refresh, get a JWT and revoke at a real service too
    #[arg(long)]
    tour: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.device.common.output();
    output.finish(login(&cli, output))
}

fn login(cli: &Cli, output: Output) -> Result {
    let target = cli.device.target()?;
    let client = Client::new(target.app.clone())?;

    let mut countdown = ProgressBar::hidden();
    let mut approved = Ok(());
    let tokens = client.device_login(&cli.device.scope, |grant| {
        output.prompt(grant);
        approved = target.approve(&grant.user_code);
        if !output.is_json() {
            output.say("Waiting for somebody to allow it...");
            countdown = count_down(grant);
        }
    });
    countdown.finish_and_clear();
    target.let_the_browser_finish();
    approved?;
    let tokens = tokens?;
    output.say("Signed in.");
    output.tokens("tokens", &tokens);

    if target.emulator.is_some() || cli.tour { tour(&client, &tokens, output) } else { Ok(()) }
}

/// What a program does with its tokens in the days that follow.
fn tour(client: &Client, tokens: &TokenSet, output: Output) -> Result {
    let Some(refresh_token) = &tokens.refresh_token else {
        return Err("LoginRadius gave no refresh token: turn refresh tokens on for this OAuth app".into());
    };
    let refreshed = client.call(&RefreshAccessToken::new(refresh_token.clone()))?;
    output.say("Refreshed: the refresh token before is spent.");
    output.tokens("refreshed", &refreshed);

    let jwt = client.call(&JwtByAccessToken::new(refreshed.access_token.clone()))?;
    output.jwt("access token", &jwt);

    let newest = refreshed.refresh_token.unwrap_or_else(|| refresh_token.clone());
    client.call(&RevokeRefreshToken::new(newest))?;
    output.done("revoked", "Revoked: the session is over.");
    Ok(())
}

/// A line that counts down to the end of the code's lifetime, on a terminal.
fn count_down(grant: &DeviceGrant) -> ProgressBar {
    let lifetime = grant.expires_in;
    let style = ProgressStyle::with_template("{spinner} {left} left")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .with_key("left", move |state: &indicatif::ProgressState, line: &mut dyn std::fmt::Write| {
            let left = lifetime.saturating_sub(state.elapsed()).as_secs();
            let _ = write!(line, "{}:{:02}", left / 60, left % 60);
        });
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(std::time::Duration::from_millis(250));
    bar
}
