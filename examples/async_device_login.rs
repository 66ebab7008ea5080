//! Signs in a device in async code, as `device_login` does in blocking code.
//!
//!     cargo run --features async --example async_device_login

use std::process::ExitCode;

use clap::Parser;
use loginradius_async::Client;
use loginradius_async::oauth::RequestDeviceCode;
use loginradius_examples::{DeviceOptions, Output, Result};

/// Sign in a device at LoginRadius from async code.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    device: DeviceOptions,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.device.common.output();
    output.finish(login(&cli, output).await)
}

async fn login(cli: &Cli, output: Output) -> Result {
    let target = cli.device.target()?;
    let client = Client::new(target.app.clone())?;

    let login = client.begin_device_login(&RequestDeviceCode::new().scope(&cli.device.scope)).await?;
    output.prompt(login.grant());
    target.approve(&login.grant().user_code)?;
    let tokens = login.wait().await;
    target.let_the_browser_finish();
    let tokens = tokens?;
    output.say("Signed in.");
    output.tokens("tokens", &tokens);
    Ok(())
}
