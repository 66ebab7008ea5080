//! Gets a JWT in the four ways that LoginRadius has: for an access token, and for an email address, a user
//! name or a phone number with a password.
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
    /// An access token of the person
    #[arg(long, env = "LOGINRADIUS_ACCESS_TOKEN", hide_env_values = true)]
    access_token: Option<String>,
    /// The person's email address
    #[arg(long)]
    email: Option<String>,
    /// The person's user name
    #[arg(long)]
    username: Option<String>,
    /// The person's phone number
    #[arg(long)]
    phone: Option<String>,
    /// The person's password; better given in the environment, which others cannot list
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
    let whose = [&cli.access_token, &cli.email, &cli.username, &cli.phone];
    let nobody = whose.iter().all(|who| who.is_none());
    if nobody && target.emulator.is_some() {
        let ada = seeded::ADA;
        let tokens = client.call(&AccessTokenByPassword::new(ada.email, ada.password))?;
        cli.access_token = Some(tokens.access_token.expose().to_owned());
        cli.email = Some(ada.email.to_owned());
        cli.username = Some(ada.username.to_owned());
        cli.phone = Some(ada.phone.to_owned());
        cli.password = Some(ada.password.to_owned());
    } else if nobody {
        return Err("say whose JWT, with --access-token, --email, --username or --phone".into());
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
