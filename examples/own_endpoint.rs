//! Calls an API of LoginRadius that these crates do not have: reads the profile of the user who signed in.
//!
//!     cargo run --features async --example own_endpoint
//!
//! `ReadProfile` is all that such a call needs. Both clients send it, with their retries, limits and redacted errors.
//! Without options the emulator signs a user in; in the end it expires the access token, to show an error.
//! `--client-id` and an access token point it at the real LoginRadius:
//!
//!     LOGINRADIUS_ACCESS_TOKEN=... cargo run --features async --example own_endpoint -- --client-id ...
//!
//! LoginRadius has most of its APIs at <https://api.loginradius.com>, its API host. If you give `--base-url`, requests
//! to the API host go there too, unless `--api-url` says where it is.

use std::process::ExitCode;

use clap::Parser;
use loginradius_emulator::seeded;
use loginradius_examples::{Options, Output, Result, printable};
use loginradius_proto::http::{Request, Response};
use loginradius_proto::{AccessToken, App, Body, Endpoint, Error, RequestBuilder, ResponseReader};
use serde::Deserialize;
use serde_json::json;

/// LoginRadius's "Auth Read all Profiles by Token".
struct ReadProfile {
    access_token: AccessToken,
}

/// Some of the profile's many fields. LoginRadius writes `null` for what it does not know.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Profile {
    full_name: Option<String>,
    email: Option<Vec<Email>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Email {
    value: String,
}

impl Endpoint for ReadProfile {
    type Response = Profile;

    fn name(&self) -> &'static str {
        "Auth Read all Profiles by Token"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        RequestBuilder::get(app.service().api_host(), "/identity/v2/auth/account")
            .query("apikey", app.api_key())
            .bearer(&self.access_token)
            .build()
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<Profile, Error> {
        ResponseReader::new(self, app).json(&response)
    }

    /// No error shows these, even if the server repeats them.
    fn secrets(&self) -> Vec<&str> {
        vec![self.access_token.expose()]
    }

    /// It only reads, so the client sends it again when the response was lost.
    fn repeatable(&self) -> bool {
        true
    }
}

/// Read the profile of a user at LoginRadius by an endpoint of your own.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// LoginRadius's API host, if it is neither <https://api.loginradius.com> nor --base-url
    #[arg(long, value_name = "URL", env = "LOGINRADIUS_API_URL")]
    api_url: Option<String>,
    /// An access token of the user; better given in the environment, which others cannot list
    #[arg(long, env = "LOGINRADIUS_ACCESS_TOKEN", hide_env_values = true)]
    access_token: Option<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.options.output();
    output.finish(read_profile(&cli, output))
}

fn read_profile(cli: &Cli, output: Output) -> Result {
    let mut target = cli.options.target()?;
    target.set_api_host(cli.api_url.as_deref())?;
    let access_token = match (&cli.access_token, &target.emulator) {
        (Some(token), _) => AccessToken::new(token.as_str()),
        (None, Some(emulator)) => AccessToken::new(emulator.login(&seeded::ADA).access_token),
        (None, None) => return Err("no user is named: give --access-token".into()),
    };
    let read = ReadProfile { access_token };

    let client = loginradius_blocking::Client::new(target.app.clone())?;
    let profile = client.call(&read)?;
    show("blocking", &profile, output);

    let profile = in_async_code(target.app, &read)?;
    show("async", &profile, output);

    if let Some(emulator) = target.emulator {
        output.say("The access token expires:");
        emulator.expire_access_tokens();
        match client.call(&read) {
            Ok(_) => return Err("the expired access token could still be used".into()),
            // A program would get another token: by `Session::refresh_rejected`, or by a new login.
            Err(error) if error.requires_login() => output.refusal(&error),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn in_async_code(app: App, read: &ReadProfile) -> Result<Profile, Error> {
    let client = loginradius_async::Client::new(app)?;
    client.call(read).await
}

fn show(client: &str, profile: &Profile, output: Output) {
    let name = profile.full_name.as_deref();
    let email = profile.email.iter().flatten().next().map(|email| &email.value);
    if output.is_json() {
        return output.summary(&json!({ "event": "profile", "client": client, "name": name, "email": email }));
    }
    let text = format!("{} <{}>", name.unwrap_or("no name"), email.map_or("no e-mail address", String::as_str));
    output.say(format!("  by the {client} client: {}", printable(&text)));
}
