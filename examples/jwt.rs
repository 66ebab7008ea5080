//! Gets a JWT in the four ways that LoginRadius has: by an access token, or by a password with an email address, a user
//! name or a phone number.
//!
//!     cargo run --example jwt

use std::process::ExitCode;

use clap::Parser;
use loginradius_blocking::Client;
use loginradius_blocking::jwt::{JwtByAccessToken, JwtLogin};
use loginradius_blocking::oauth::AccessTokenByPassword;
use loginradius_emulator::seeded;
use loginradius_examples::{Options, Output, Result};

/// Get a JWT from LoginRadius, in each way whose credentials are given.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// An access token of the user; better given in the environment, which others cannot list
    #[arg(long, env = "LOGINRADIUS_ACCESS_TOKEN", hide_env_values = true)]
    access_token: Option<String>,
    /// The user's email address
    #[arg(long)]
    email: Option<String>,
    /// The user's name
    #[arg(long)]
    username: Option<String>,
    /// The user's phone number
    #[arg(long)]
    phone: Option<String>,
    /// The user's password; better given in the environment, which others cannot list
    #[arg(long, env = "LOGINRADIUS_PASSWORD", hide_env_values = true)]
    password: Option<String>,
}

fn main() -> ExitCode {
    let mut cli = Cli::parse();
    let output = cli.options.output();
    output.finish(jwts(&mut cli, output))
}

fn jwts(cli: &mut Cli, output: Output) -> Result {
    let target = cli.options.target()?;
    let client = Client::new(target.app)?;
    let users = [&cli.access_token, &cli.email, &cli.username, &cli.phone];
    let no_user = users.iter().all(|user| user.is_none());
    if no_user && target.emulator.is_some() {
        let ada = seeded::ADA;
        let tokens = client.call(&AccessTokenByPassword::new(ada.email, ada.password))?;
        cli.access_token = Some(tokens.access_token.expose().to_owned());
        cli.email = Some(ada.email.to_owned());
        cli.username = Some(ada.username.to_owned());
        cli.phone = Some(ada.phone.to_owned());
        cli.password = Some(ada.password.to_owned());
    } else if no_user {
        return Err("no user is named: give --access-token, --email, --username or --phone".into());
    }
    let password = cli.password.as_deref().unwrap_or_default();

    if let Some(token) = &cli.access_token {
        output.jwt("access token", &client.call(&JwtByAccessToken::new(token.as_str()))?);
    }
    if let Some(email) = &cli.email {
        output.jwt("email", &client.call(&JwtLogin::email(email, password))?);
    }
    if let Some(username) = &cli.username {
        output.jwt("user name", &client.call(&JwtLogin::username(username, password))?);
    }
    if let Some(phone) = &cli.phone {
        output.jwt("phone", &client.call(&JwtLogin::phone(phone, password))?);
    }
    Ok(())
}
