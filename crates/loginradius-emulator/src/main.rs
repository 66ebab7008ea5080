//! The emulator as a program.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use loginradius_emulator::{Emulator, ResponseMode, seeded};

/// An emulator of LoginRadius's OAuth 2.0 and JWT login endpoints, made from LoginRadius's public documentation.
/// It listens on 127.0.0.1 only.
#[derive(Debug, Parser)]
#[command(name = "loginradius-emulator", version)]
struct Options {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8710)]
    port: u16,
    /// Minimum time between two polls of a device, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    device_interval: u64,
    /// Lifetime of a device code, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    device_lifetime: u64,
    /// Lifetime of an access token, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    access_token_lifetime: u64,
    /// Lifetime of an unused refresh token, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5_184_000)]
    refresh_token_lifetime: u64,
    /// Grace period of a consumed refresh token, in seconds: until then it may be sent again
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    refresh_grace: u64,
    /// Lifetime of a JWT, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    jwt_lifetime: u64,
    /// URL to which browsers may be sent after a login, exactly; repeat it for more. Without it, any http URL of this
    /// machine
    #[arg(long, value_name = "URL")]
    redirect_uri: Vec<String>,
    /// How a JWT reaches the application after a login in a browser
    #[arg(long, value_enum, default_value_t = Mode::Query)]
    jwt_response_mode: Mode,
    /// Name of the parameter that has the JWT after a login in a browser
    #[arg(long, value_name = "NAME", default_value = "token")]
    jwt_response_parameter: String,
    /// The aud of JWTs; without it, they have none
    #[arg(long, value_name = "AUDIENCE")]
    jwt_audience: Option<String>,
    /// Refuse forms at the OAuth endpoints, as LoginRadius code 965 does
    #[arg(long)]
    json_only: bool,
    /// Leave verification_uri_complete out of device code responses
    #[arg(long)]
    no_verification_uri_complete: bool,
    /// URL at which browsers reach the pages, if it is not this machine's
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Mode {
    Query,
    Fragment,
    Post,
}

impl From<Mode> for ResponseMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Query => Self::Query,
            Mode::Fragment => Self::Fragment,
            Mode::Post => Self::Post,
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    match start(&options) {
        Ok(emulator) => {
            // The output may be closed; that is no reason to stop.
            let _ = introduce(&emulator, options.json_only);
            // The emulator's thread serves; Ctrl-C ends the process.
            loop {
                std::thread::park();
            }
        }
        Err(error) => {
            let port = options.port;
            if error.kind() == io::ErrorKind::AddrInUse {
                eprintln!(
                    "error: port {port} is already in use: stop what uses it, or choose another port with --port"
                );
            } else {
                eprintln!("error: the emulator cannot start: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options) -> io::Result<Emulator> {
    let mut builder = Emulator::builder()
        .port(options.port)
        .device_interval(Duration::from_secs(options.device_interval))
        .device_lifetime(Duration::from_secs(options.device_lifetime))
        .access_token_lifetime(Duration::from_secs(options.access_token_lifetime))
        .refresh_token_lifetime(Duration::from_secs(options.refresh_token_lifetime))
        .refresh_grace(Duration::from_secs(options.refresh_grace))
        .jwt_lifetime(Duration::from_secs(options.jwt_lifetime))
        .jwt_response_mode(options.jwt_response_mode.into())
        .jwt_response_parameter(&options.jwt_response_parameter)
        .json_only(options.json_only)
        .verification_uri_complete(!options.no_verification_uri_complete);
    if let Some(audience) = &options.jwt_audience {
        builder = builder.jwt_audience(audience);
    }
    for uri in &options.redirect_uri {
        builder = builder.redirect_uri(uri)?;
    }
    if let Some(url) = &options.public_url {
        builder = builder.public_url(url)?;
    }
    builder.start()
}

fn introduce(emulator: &Emulator, json_only: bool) -> io::Result<()> {
    let url = emulator.base_url();
    let (app, client) = (seeded::OAUTH_APP, seeded::CLIENT_ID);
    let mut out = io::stdout().lock();
    writeln!(out, "LoginRadius emulator, made from LoginRadius's public documentation: {url}\n")?;
    writeln!(out, "  client id       {client}")?;
    writeln!(out, "  client secret   {}", seeded::CLIENT_SECRET)?;
    writeln!(out, "  OAuth app       {app}")?;
    for jwt_app in seeded::JWT_APPS {
        let (name, algorithm) = (jwt_app.name, jwt_app.algorithm);
        match jwt_app.secret {
            Some(secret) => writeln!(out, "  JWT app         {name:<19} {algorithm}, secret {secret}")?,
            None => writeln!(out, "  JWT app         {name:<19} {algorithm}, key {url}/keys/{name}.pem")?,
        }
    }
    writeln!(out)?;
    for user in emulator.users() {
        writeln!(out, "  {:<24}{:<27}{}", user.email, user.password, user.standing)?;
    }
    let request = if json_only {
        format!(r#"-H 'Content-Type: application/json' -d '{{"client_id":"{client}"}}'"#)
    } else {
        format!("-d client_id={client}")
    };
    writeln!(out, "\nTry a device login:\n  curl {request} {url}/sso/oauth/{app}/device")?;
    writeln!(out, "\nOr open this and see what your application would be sent:")?;
    let link = "response_type=code&state=x&redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fcallback";
    writeln!(out, "  {url}/sso/oauth/redirect?client_id={client}&{link}\n\nCtrl-C ends it.")?;
    out.flush()
}
