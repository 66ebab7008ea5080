//! The code that the examples share: the options for where LoginRadius is, and the output.
//!
//! Without options an example starts the emulator and talks to that. With `--client-id` it talks to a real service, by
//! default to `https://cloud-api.loginradius.com`; `--base-url` sets another one.

#[cfg(feature = "services")]
mod store;

use std::error::Error as StdError;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use loginradius_blocking::browser::AuthorizationRequest;
use loginradius_blocking::oauth::DeviceGrant;
use loginradius_blocking::{
    AdoptionReason, App, BodyFormat, ChallengeMethod, Dialect, Error, ErrorKind, Jwt, Service, SessionEvent, TokenSet,
};
use loginradius_emulator::{Builder, Emulator, seeded};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::{Value, json};

#[cfg(feature = "services")]
pub use store::StorePlace;

/// The result of every example.
pub type Result<T = (), E = Box<dyn StdError>> = std::result::Result<T, E>;

/// Where LoginRadius is, and which app calls it. Without --client-id an emulator is started.
#[derive(Debug, clap::Args)]
#[non_exhaustive]
pub struct Options {
    /// Where LoginRadius is, as in `https://acme.hub.loginradius.com`
    #[arg(long, env = "LOGINRADIUS_BASE_URL")]
    pub base_url: Option<String>,
    /// Which of LoginRadius's two APIs is there: classic (/sso/...) or site (/api/...)
    #[arg(long = "family", env = "LOGINRADIUS_FAMILY", value_name = "API", value_enum, default_value = "classic")]
    pub api: Api,
    /// The OAuth app's name in the LoginRadius Dashboard
    #[arg(long, env = "LOGINRADIUS_OAUTH_APP")]
    pub oauth_app: Option<String>,
    /// The JWT app's name in the LoginRadius Dashboard
    #[arg(long, env = "LOGINRADIUS_JWT_APP")]
    pub jwt_app: Option<String>,
    /// The client id, or LoginRadius API key; without it an emulator is started
    #[arg(long, env = "LOGINRADIUS_CLIENT_ID")]
    pub client_id: Option<String>,
    /// The client secret, or LoginRadius API secret; better given in the environment, which others cannot list
    #[arg(long, env = "LOGINRADIUS_CLIENT_SECRET", hide_env_values = true)]
    pub client_secret: Option<String>,
    /// How the bodies of the OAuth operations are written
    #[arg(long, env = "LOGINRADIUS_BODY", value_enum, default_value = "form")]
    pub body: Format,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Print whole tokens
    #[arg(long)]
    pub show_secrets: bool,
}

/// Returns the error of a service that cannot listen on the address of its option `--listen`.
#[must_use]
pub fn cannot_listen(address: SocketAddr, error: &io::Error) -> String {
    format!("cannot listen on {address}, {error}: give another address with --listen")
}

/// The options of the examples that sign in a device.
#[derive(Debug, clap::Args)]
#[non_exhaustive]
pub struct DeviceOptions {
    /// Where LoginRadius is, and which app calls it
    #[command(flatten)]
    pub common: Options,
    /// The scopes that the device asks for, separated by spaces
    #[arg(long, default_value = "email profile")]
    pub scope: String,
    /// Allow the device at the emulator, for a run without a browser
    #[arg(long)]
    pub approve: bool,
}

/// The options of the examples that sign in through a browser.
#[derive(Debug, clap::Args)]
#[non_exhaustive]
pub struct BrowserOptions {
    /// Where LoginRadius is, and which app calls it
    #[command(flatten)]
    pub common: Options,
    /// The scopes that the user is asked to allow, separated by spaces
    #[arg(long, default_value = "email profile")]
    pub scope: String,
    /// The name of PKCE's method: SHA256 as in LoginRadius's guide, or S256 as in RFC 7636 and at other servers
    #[arg(long, value_enum, default_value = "SHA256")]
    pub challenge_method: Challenge,
    /// Send `grant_type=authorization_code`, as in RFC 6749, to the classic API too
    #[arg(long)]
    pub grant_type: bool,
}

/// The name of PKCE's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Challenge {
    /// LoginRadius's name
    #[value(name = "SHA256")]
    Sha256,
    /// RFC 7636's name
    #[value(name = "S256")]
    S256,
    /// No name: LoginRadius's default is SHA256
    Omit,
}

/// LoginRadius's two APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Api {
    /// `/sso/...`
    Classic,
    /// `/api/...`
    Site,
}

/// How the bodies of the OAuth operations are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Format {
    /// `application/x-www-form-urlencoded`
    Form,
    /// `application/json`
    Json,
}

/// The service that an example talks to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Target {
    /// The app that calls it.
    pub app: App,
    /// The emulator that was started; `None` at a real service.
    pub emulator: Option<Emulator>,
    approve: bool,
}

impl DeviceOptions {
    /// Returns the service that the options name, or an emulator that is started now.
    ///
    /// # Errors
    ///
    /// Those of [`Options::target`], and if `--approve` is given for a real service.
    pub fn target(&self) -> Result<Target> {
        let target = Target { approve: self.approve, ..self.common.target()? };
        if target.approve && target.emulator.is_none() {
            return Err("--approve is for the emulator: leave out --client-id and --base-url".into());
        }
        Ok(target)
    }
}

impl BrowserOptions {
    /// Returns the request that sends the browser to LoginRadius, and back to that address.
    #[must_use]
    pub fn request(&self, redirect_uri: &str) -> AuthorizationRequest {
        AuthorizationRequest::new(redirect_uri).scope(&self.scope)
    }

    /// Returns the service that the options name, or an emulator that is started now.
    ///
    /// # Errors
    ///
    /// Those of [`Options::target`].
    pub fn target(&self) -> Result<Target> {
        let mut target = self.common.target()?;
        target.set_dialect(self.dialect(*target.app.service().dialect()))?;
        Ok(target)
    }

    /// Returns the dialect with the settings of these options.
    #[must_use]
    pub fn dialect(&self, dialect: Dialect) -> Dialect {
        let dialect = dialect.with_challenge_method(match self.challenge_method {
            Challenge::Sha256 => ChallengeMethod::Sha256,
            Challenge::S256 => ChallengeMethod::S256,
            Challenge::Omit => ChallengeMethod::Omitted,
        });
        if self.grant_type { dialect.with_grant_type_of_code(true) } else { dialect }
    }
}

impl Target {
    /// Sets how requests to the service are written.
    ///
    /// # Errors
    ///
    /// If the service's API does not have what the dialect asks for.
    pub fn set_dialect(&mut self, dialect: Dialect) -> Result {
        let service = self.app.service().clone().with_dialect(dialect)?;
        self.app = self.app.clone().with_service(service);
        Ok(())
    }

    /// Sets where the service has LoginRadius's API host, if that is given.
    ///
    /// # Errors
    ///
    /// If the URL cannot be used, or an emulator is the target.
    pub fn set_api_host(&mut self, url: Option<&str>) -> Result {
        let Some(url) = url.filter(|url| !url.is_empty()) else { return Ok(()) };
        if self.emulator.is_some() {
            return Err(
                "--api-url alone has no effect, as the program then uses its own emulator: give --client-id, too"
                    .into(),
            );
        }
        let service = self.app.service().clone().with_api_host(url);
        let service = service.map_err(|error| error.to_string().replace("the URL of the API host", "--api-url"))?;
        self.app = self.app.clone().with_service(service);
        Ok(())
    }

    /// Allows the device at the emulator, if `--approve` is given.
    ///
    /// # Errors
    ///
    /// If the emulator does not know the code.
    pub fn approve(&self, user_code: &str) -> Result {
        match &self.emulator {
            Some(emulator) if self.approve => Ok(emulator.approve(user_code)?),
            _ => Ok(()),
        }
    }

    /// Prints who can sign in at the emulator.
    pub fn print_user(&self, output: Output) {
        if self.emulator.is_some() {
            let ada = seeded::ADA;
            output.say(format!("Its user is {}, with the password {}", ada.email, ada.password));
        }
    }

    /// Waits until a browser has loaded its last page from the emulator, which ends with the program.
    pub fn let_the_browser_finish(&self) {
        if self.emulator.is_some() && !self.approve {
            thread::sleep(Duration::from_secs(1));
        }
    }
}

impl Options {
    /// Returns the service that the options name, or an emulator that is started now.
    ///
    /// # Errors
    ///
    /// If the options contradict each other, or no port is free for the emulator.
    pub fn target(&self) -> Result<Target> {
        // With polls every second, the result of a click arrives at once.
        self.target_or(Emulator::builder().device_interval(Duration::from_secs(1)))
    }

    /// Returns whether the options name a service, so that no emulator is started.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.client_id.as_ref().is_some_and(|id| !id.is_empty())
    }

    /// Returns the service that the options name, or that emulator, which is started now.
    ///
    /// # Errors
    ///
    /// Those of [`target`](Self::target).
    pub fn target_or(&self, emulator: Builder) -> Result<Target> {
        let given = |option: &Option<String>| option.clone().filter(|text| !text.is_empty());
        let (base_url, secret) = (given(&self.base_url), given(&self.client_secret));
        let (oauth_app, jwt_app) = (given(&self.oauth_app), given(&self.jwt_app));
        let settings = [
            ("--base-url", &base_url),
            ("--client-secret", &secret),
            ("--oauth-app", &oauth_app),
            ("--jwt-app", &jwt_app),
        ];
        let (client_id, emulator) = match given(&self.client_id) {
            Some(client_id) => (client_id, None),
            None => {
                if let Some((option, _)) = settings.iter().find(|(_, value)| value.is_some()) {
                    return Err(format!(
                        "{option} alone has no effect, as the program then uses its own emulator: give --client-id, too"
                    )
                    .into());
                }
                let emulator = emulator.start()?;
                self.output()
                    .say(format!("No --client-id: this is an emulator of LoginRadius, at {}", emulator.base_url()));
                (seeded::CLIENT_ID.to_owned(), Some(emulator))
            }
        };
        let base_url = base_url.as_deref().or(emulator.as_ref().map(Emulator::base_url));
        let service = match (self.api, base_url) {
            (Api::Classic, None) => Service::classic(),
            (Api::Classic, Some(url)) => Service::classic_at(url)?,
            (Api::Site, Some(url)) => Service::site_at(url)?,
            (Api::Site, None) => return Err("--family site needs the address of the site: give --base-url".into()),
        };
        let dialect = Dialect::new().with_body_format(match self.body {
            Format::Form => BodyFormat::Form,
            Format::Json => BodyFormat::Json,
        });
        let seeded = |value| emulator.as_ref().map(|_| value);
        let mut app = App::new(client_id).with_service(service.with_dialect(dialect)?);
        if let Some(secret) = secret.as_deref().or(seeded(seeded::CLIENT_SECRET)) {
            app = app.with_client_secret(secret);
        }
        if let Some(name) = oauth_app.as_deref().or(seeded(seeded::OAUTH_APP)) {
            app = app.with_oauth_app(name);
        }
        if let Some(name) = jwt_app.as_deref().or(seeded(seeded::JWT_APP)) {
            app = app.with_jwt_app(name);
        }
        Ok(Target { app, emulator, approve: false })
    }

    /// Returns where results are printed, and how.
    #[must_use]
    pub fn output(&self) -> Output {
        Output { json: self.json, show_secrets: self.show_secrets }
    }
}

/// The output of an example: lines for the user, or one JSON object a line for a program.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    show_secrets: bool,
}

impl Output {
    /// Returns whether the output is for a program.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints lines for the user, and nothing for a program. The text is made [printable](printable()) first.
    pub fn say(self, text: impl AsRef<str>) {
        if !self.json {
            print_line(&Vec::from_iter(text.as_ref().split('\n').map(printable)).join("\n"));
        }
    }

    /// Prints the address and the code of a device login, with a QR code of the address.
    pub fn prompt(self, grant: &DeviceGrant) {
        if self.json {
            return self.event(&json!({
                "event": "prompt",
                "user_code": grant.user_code,
                "verification_uri": grant.verification_uri,
                "verification_uri_complete": grant.verification_uri_complete,
                "interval": seconds(grant.interval),
                "expires_in": seconds(grant.expires_in),
            }));
        }
        // Both are screened: nothing in them controls a terminal.
        self.say(format!("\nIn a browser, open  {}", grant.verification_uri));
        self.say(format!("and enter the code  {}\n", grant.user_code));
        if let Some((link, Ok(code))) = grant.browser_uri().map(|link| (link, QrCode::new(link))) {
            print_line(&in_black_on_white(&code.render::<Dense1x2>().quiet_zone(true).build()));
            self.say(format!("The QR code leads to {link}\n"));
        }
    }

    /// Prints the address of a login through a browser.
    pub fn authorize(self, url: &str) {
        if self.json {
            return self.event(&json!({ "event": "authorize", "url": url }));
        }
        self.say(format!("\nIn a browser, open\n\n  {}\n", printable(url)));
    }

    /// Prints tokens, as an event of that name.
    pub fn tokens(self, event: &str, tokens: &TokenSet) {
        let refresh_token = tokens.refresh_token.as_ref().map(|token| self.shown(token.expose()));
        let id_token = tokens.id_token.as_ref().map(|token| self.shown(token.expose()));
        let access_token = self.shown(tokens.access_token.expose());
        if self.json {
            return self.event(&json!({
                "event": event,
                "access_token": access_token,
                "token_type": tokens.token_type,
                "expires_in": tokens.expires_in.map(seconds),
                "refresh_token": refresh_token,
                "scope": tokens.scope,
                "id_token": id_token,
            }));
        }
        let lifetime = tokens
            .expires_in
            .map_or("of unknown lifetime".to_owned(), |time| format!("for {:.0} s", time.as_secs_f64()));
        self.say(format!("  access token   {access_token} {lifetime}"));
        self.say(format!("  refresh token  {}", refresh_token.as_deref().unwrap_or("none")));
    }

    /// Prints a JWT, and how it was obtained.
    pub fn jwt(self, how: &str, jwt: &Jwt) {
        let jwt = self.shown(jwt.expose());
        if self.json {
            self.event(&json!({ "event": "jwt", "by": how, "jwt": jwt }))
        } else {
            self.say(format!("  JWT by {how}: {jwt}"))
        }
    }

    /// Prints what happened to a session.
    pub fn session(self, name: &str, event: &SessionEvent) {
        let text = match event {
            SessionEvent::Started => "signed in, and the tokens are stored",
            SessionEvent::Refreshed => "refreshed, and the new tokens are stored",
            SessionEvent::Adopted { reason: AdoptionReason::Refreshed, .. } => {
                "another process has refreshed: its tokens are used"
            }
            SessionEvent::Adopted { .. } => "another process has signed in: its tokens are used",
            SessionEvent::RequestFailed { .. } => "a request failed, and may be sent again",
            SessionEvent::Unsaved { .. } => "the new tokens are not stored yet",
            SessionEvent::Saved => "the new tokens are stored now",
            SessionEvent::Ended { .. } => "the session has ended",
            _ => event.as_str(),
        };
        let error = event.error().map(ToString::to_string);
        if self.json {
            return self
                .event(&json!({ "event": "session", "session": name, "happened": event_word(event), "error": error }));
        }
        let why = error.map(|error| format!(": {}", printable(&error))).unwrap_or_default();
        self.say(format!("  [{}: {text}{why}]", printable(name)));
    }

    /// Prints an error that an example expects, and what kind it is.
    pub fn refusal(self, error: &Error) {
        let message = error.to_string();
        if self.json {
            return self.event(&json!({ "event": "refused", "kind": kind_word(error.kind()), "message": message }));
        }
        self.say(format!("  {}: {}", error.kind(), printable(&message)));
    }

    /// Prints what was done: the event for a program, the text for the user.
    pub fn done(self, event: &str, text: &str) {
        if self.json { self.event(&json!({ "event": event })) } else { self.say(text) }
    }

    /// Prints an event that consists of numbers with their names.
    pub fn summary(self, numbers: &Value) {
        if self.json {
            return self.event(numbers);
        }
        let one = |(name, number): (&String, &Value)| {
            format!("{} {}", name.replace('_', " "), printable(&number.to_string()))
        };
        let event = numbers["event"].as_str().unwrap_or_default();
        let rest = numbers.as_object().into_iter().flatten().filter(|(name, _)| *name != "event").map(one);
        self.say(format!("{event}: {}", rest.collect::<Vec<_>>().join(", ")));
    }

    /// Ends an example: prints its error, if there is one, and returns the program's status.
    #[must_use]
    pub fn finish(self, result: Result) -> ExitCode {
        let Err(error) = result else { return ExitCode::SUCCESS };
        let message = as_options(&error.to_string());
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        if self.json {
            let kind = error.downcast_ref::<Error>().map_or("settings", |error| kind_word(error.kind()));
            self.event(&json!({ "event": "error", "kind": kind, "message": message, "causes": causes }));
        } else {
            let causes: String = causes.iter().map(|cause| format!("\n  because: {}", printable(cause))).collect();
            let _ = writeln!(io::stderr(), "error: {}{causes}", printable(&message));
        }
        ExitCode::FAILURE
    }

    /// Returns the first letters of a secret, or the whole secret with `--show-secrets`.
    fn shown(self, secret: &str) -> String {
        const MAX_SHOWN: usize = 4;
        if self.show_secrets {
            return printable(secret);
        }
        let letters = secret.chars().count();
        let start: String = secret.chars().take(MAX_SHOWN.min(letters / 4)).collect();
        format!("{}... ({letters} characters)", printable(&start))
    }

    fn event(self, event: &Value) {
        // serde_json escapes only the control characters of ASCII.
        let escaped = |c: char| match is_printable(c) {
            true => c.to_string(),
            false => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        };
        print_line(&event.to_string().chars().map(escaped).collect::<String>());
    }
}

/// Replaces the characters of a server's text that could control the terminal, add a line, reverse the text or hide it.
/// Every text that the program has not written itself is printed through this, also in a log or a page.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_printable(c) { c } else { '\u{fffd}' }).collect()
}

fn is_printable(c: char) -> bool {
    let invisible = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !invisible
}

/// Returns the word for an event in the JSON lines. Programs read these words, so they stay when the library renames an
/// event.
fn event_word(event: &SessionEvent) -> &'static str {
    match event {
        SessionEvent::Started => "signed_in",
        SessionEvent::Refreshed => "rotated",
        SessionEvent::RequestFailed { .. } => "retried",
        SessionEvent::Ended { .. } => "signed_out",
        _ => event.as_str(),
    }
}

/// Returns the word for a kind in the JSON lines. Programs read these words, so they stay when the library renames a
/// kind.
fn kind_word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Configuration | ErrorKind::Misuse | ErrorKind::RecordDamaged | ErrorKind::StoreRefused => "settings",
        ErrorKind::SignInRequired => "sign_in_again",
        ErrorKind::UserActionRequired => "ask_user",
        ErrorKind::OutcomeUnknown => "lost",
        ErrorKind::Unavailable => "try_later",
        ErrorKind::InvalidResponse => "bad_answer",
        ErrorKind::AlreadyCompleted => "finished",
        ErrorKind::StateMismatch => "unrelated",
        _ => kind.as_str(),
    }
}

/// Replaces the library's settings in an error's message by the options that set them.
fn as_options(message: &str) -> String {
    [
        ("`App::with_oauth_app`", "`--oauth-app`"),
        ("`App::with_jwt_app`", "`--jwt-app`"),
        ("`App::with_client_secret`", "`--client-secret`"),
        ("`Dialect::with_body_format(BodyFormat::Json)`", "`--body json`"),
        ("`Dialect::with_body_format`", "`--body`"),
        ("the base URL", "--base-url"),
    ]
    .iter()
    .fold(message.to_owned(), |text, (setting, option)| text.replace(setting, option))
}

fn seconds(time: Duration) -> Value {
    if time.subsec_nanos() == 0 { time.as_secs().into() } else { time.as_secs_f64().into() }
}

/// Colours a QR code for a terminal: scanners want dark on light.
fn in_black_on_white(picture: &str) -> String {
    if !io::stdout().is_terminal() {
        return picture.to_owned();
    }
    picture.lines().map(|line| format!("\x1b[38;5;16;48;5;231m{line}\x1b[0m\n")).collect()
}

/// Prints a line. Unlike `println!`, it does not panic when standard output is closed.
fn print_line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
