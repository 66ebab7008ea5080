//! Signs in a device: shows an address and a code, and waits until the user has allowed it.
//!
//!     cargo run --example device_login
//!
//! Without options it starts an emulator: open the printed address in a browser, sign in as the page says, and allow.
//! Then it uses the tokens: it refreshes them, gets a JWT, and revokes them. `--client-id` and `--oauth-app` point it
//! at the real LoginRadius.

use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use loginradius_blocking::jwt::JwtByAccessToken;
use loginradius_blocking::oauth::{DeviceGrant, RefreshAccessToken, RequestDeviceCode, RevokeRefreshToken};
use loginradius_blocking::{Client, DeviceProgress, TokenSet};
use loginradius_examples::{DeviceOptions, Output, Result, printable};

/// Sign in a device at LoginRadius.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    device: DeviceOptions,
    /// At a real service too, refresh the tokens, get a JWT and revoke the tokens
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

    let login = client.begin_device_login(&RequestDeviceCode::new().scope(&cli.device.scope))?;
    output.prompt(login.grant());
    target.approve(&login.grant().user_code)?;
    output.say("Waiting for the user to allow it...");
    let countdown = if output.is_json() { ProgressBar::hidden() } else { count_down(login.grant()) };
    let line = countdown.clone();
    let login = login.on_progress(move |progress| {
        if let DeviceProgress::Retrying { error, .. } = progress {
            line.println(format!("Trying again: {}", printable(&error.to_string())));
        }
    });
    let tokens = login.wait();
    countdown.finish_and_clear();
    target.let_the_browser_finish();
    let tokens = tokens?;
    output.say("Signed in.");
    output.tokens("tokens", &tokens);

    if target.emulator.is_some() || cli.tour { tour(&client, &tokens, output) } else { Ok(()) }
}

/// Does what a program may do with its tokens later.
fn tour(client: &Client, tokens: &TokenSet, output: Output) -> Result {
    let Some(refresh_token) = &tokens.refresh_token else {
        return Err("LoginRadius issued no refresh token: turn refresh tokens on for this OAuth app".into());
    };
    let refreshed = client.call(&RefreshAccessToken::new(refresh_token.clone()))?;
    output.say("Refreshed: the first refresh token is consumed.");
    output.tokens("refreshed", &refreshed);

    let jwt = client.call(&JwtByAccessToken::new(refreshed.access_token.clone()))?;
    output.jwt("access token", &jwt);

    let newest = refreshed.refresh_token.unwrap_or_else(|| refresh_token.clone());
    client.call(&RevokeRefreshToken::new(newest))?;
    output.done("revoked", "Revoked: the session has ended.");
    Ok(())
}

/// Makes a line for a terminal that counts down to the end of the code's lifetime.
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
