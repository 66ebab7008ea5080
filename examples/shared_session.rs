//! A web service with many sessions: however many requests use a session at once, they share one token and one refresh.
//!
//!     cargo run --features services --example shared_session
//!     cargo run --features services --example shared_session -- --serve
//!
//!     cargo run --features services --example shared_session -- --processes 2 --store sessions
//!
//! Without `--serve` it sends itself hundreds of requests at once, for 20 users whose tokens expire within seconds, and
//! prints what became of them. With `--processes 2`, two processes are behind its address, on one store, and there are as
//! many refreshes as with one.
//!
//! - `POST /login/{name}` begins a device login, and responds with the address and the code.
//! - `GET /me/{name}` uses the session's access token.
//! - `POST /logout/{name}` ends the session.
//!
//! To keep this short, the session's name is in the path, so that every caller can use every session, and
//! begin any number of logins. A real service names a session by a random id that only one browser has in a cookie, as
//! in `web_login`, and bounds what a visitor can begin. With the user's name, a login in a second browser would replace
//! the session of the first.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::future::IntoFuture as _;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Parser;
use loginradius_async::jwt::JwtByAccessToken;
use loginradius_async::oauth::RequestDeviceCode;
use loginradius_async::store::MemoryStore;
use loginradius_async::{Client, Error, ErrorKind, Retry, Sessions, reqwest};
use loginradius_emulator::{Emulator, Fault, Operation, seeded};
use loginradius_examples::{Options, Output, Result, StorePlace, cannot_listen, printable};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Serve many signed-in users of LoginRadius at once.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// The scopes that a user is asked to allow, separated by spaces
    #[arg(long, default_value = "email profile")]
    scope: String,
    /// Serve until Ctrl-C; that is the default with --client-id
    #[arg(long)]
    serve: bool,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The folder of the sessions, or `postgres://user:password@host/database`, which many of these programs can share;
    /// by default they end with the service
    #[arg(long, env = "LOGINRADIUS_STORE", hide_env_values = true, value_name = "DIR|URL")]
    store: Option<StorePlace>,
    /// How many processes serve the address together, on one store
    #[arg(long, value_name = "N", default_value_t = 1, requires = "store", conflicts_with = "serve")]
    processes: usize,
    /// Serve an address together with other processes
    #[arg(long, hide = true)]
    shares_address: bool,
}

/// How long a request waits for LoginRadius, or for a refresh. The refresh continues without it.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The state that all requests share.
struct Service {
    client: Client,
    sessions: Sessions,
    scope: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.options.output();
    output.finish(run(&cli, output).await)
}

async fn run(cli: &Cli, output: Output) -> Result {
    let serves = cli.serve || cli.options.is_service();
    let emulator = Emulator::builder().device_interval(Duration::from_secs(1));
    let target = cli.options.target_or(if serves { emulator } else { emulator.access_token_lifetime(LIFETIME) })?;
    // A caller waits: an early error is better than many attempts.
    let client = Client::builder(target.app.clone()).retry(Retry::default().with_attempts(2)).build()?;
    let sessions = match &cli.store {
        Some(place) => Sessions::builder(&client, place.open_async().await?),
        None => Sessions::builder(&client, MemoryStore::new()),
    };
    let on_event = move |name: &str, event: &_| {
        if serves {
            output.session(name, event)
        }
    };
    let sessions = sessions.on_event(on_event).build();
    let service = Service { client, sessions: sessions.clone(), scope: cli.scope.clone() };

    let shares_address = cli.shares_address || cli.processes > 1;
    let listener = listen(cli.listen, shares_address).map_err(|error| cannot_listen(cli.listen, &error))?;
    let address = listener.local_addr()?;
    let url = format!("http://{address}");
    let others = Others::start(cli, address, target.emulator.as_ref())?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, routes(service)).with_graceful_shutdown(async { drop(stopped.await) });
    let server = tokio::spawn(server.into_future());
    let result = match &target.emulator {
        Some(emulator) if !serves => rush(&url, emulator, output).await,
        _ => {
            output.summary(&json!({ "event": "serving", "url": url }));
            output.say(format!("  curl -X POST {url}/login/ada\n  curl {url}/me/ada"));
            Ok(tokio::signal::ctrl_c().await?)
        }
    };
    drop(others);
    // First the requests end, then the refreshes that continue without a caller.
    drop(stop);
    server.await??;
    sessions.flush().await?;
    result
}

/// Listens on an address, which other processes may do as well: the system shares the connections out among them.
fn listen(address: SocketAddr, shares_address: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    #[cfg(unix)]
    {
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(shares_address)?;
    }
    if shares_address && !cfg!(unix) {
        return Err(io::Error::other("this system gives an address to one process alone"));
    }
    socket.bind(address)?;
    socket.listen(1024)
}

/// The other processes behind the address. They end when this is dropped.
struct Others(Vec<Child>);

impl Others {
    fn start(cli: &Cli, address: SocketAddr, emulator: Option<&Emulator>) -> Result<Self> {
        let mut others = Self(Vec::new());
        for _ in 1..cli.processes {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(own_options()).args(["--serve", "--shares-address", "--json"]);
            command.args(["--listen", &address.to_string()]).stdout(Stdio::piped());
            if let Some(emulator) = emulator {
                command.env("LOGINRADIUS_BASE_URL", emulator.base_url());
                command.env("LOGINRADIUS_CLIENT_ID", seeded::CLIENT_ID);
                command.env("LOGINRADIUS_CLIENT_SECRET", seeded::CLIENT_SECRET);
                command.env("LOGINRADIUS_OAUTH_APP", seeded::OAUTH_APP);
                command.env("LOGINRADIUS_JWT_APP", seeded::JWT_APP);
            }
            let mut child = command.spawn()?;
            let stdout = child.stdout.take();
            others.0.push(child);
            // Its line says that it serves. It ends without one if it cannot.
            let line = BufReader::new(stdout.ok_or("no output")?).lines().next();
            line.ok_or("another process of the service has failed")??;
        }
        Ok(others)
    }
}

/// Returns the options of this process without those that the other processes get anew.
fn own_options() -> Vec<OsString> {
    let mut options = Vec::new();
    let mut given = std::env::args_os().skip(1);
    while let Some(option) = given.next() {
        match option.to_str() {
            Some("--processes" | "--listen") => drop(given.next()),
            Some("--json") => {}
            Some(option) if option.starts_with("--processes=") || option.starts_with("--listen=") => {}
            _ => options.push(option),
        }
    }
    options
}

impl Drop for Others {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn routes(service: Service) -> Router {
    Router::new()
        .route("/login/{name}", post(login))
        .route("/me/{name}", get(me))
        .route("/logout/{name}", post(logout))
        .with_state(Arc::new(service))
}

/// Begins a device login: its address and code are the response, and the login continues in a task.
async fn login(State(service): State<Arc<Service>>, Path(name): Path<String>) -> Result<Response, Failure> {
    let login = service.client.begin_device_login(&RequestDeviceCode::new().scope(&service.scope)).await?;
    let grant = login.grant();
    let prompt = json!({ "open": grant.browser_uri(), "user_code": grant.user_code });
    tokio::spawn(async move {
        let started = match login.wait().await {
            Ok(tokens) => service.sessions.session(name).start(&tokens).await,
            Err(error) => Err(error),
        };
        started.unwrap_or_else(|error| log(&error));
    });
    Ok((StatusCode::ACCEPTED, Json(prompt)).into_response())
}

/// Uses the session's access token. The API that it is sent to is LoginRadius's own here, which returns a JWT for it.
async fn me(State(service): State<Arc<Service>>, Path(name): Path<String>) -> Result<Json<Value>, Failure> {
    let session = service.sessions.session(&name).within(MAX_WAIT);
    let client = service.client.within(MAX_WAIT);
    let call_api = async |token| client.call(&JwtByAccessToken::new(token)).await;

    let token = session.access_token().await?;
    let jwt = match call_api(token.clone()).await {
        // The API rejects the token, which may be before it expires: call it once more with another one. However many
        // requests come here with the same token, it is refreshed once.
        Err(rejection) if rejection.requires_login() => call_api(session.refresh_rejected(&token).await?).await?,
        jwt => jwt?,
    };
    let process = std::process::id();
    Ok(Json(json!({ "name": name, "letters_of_the_jwt": jwt.expose().len(), "process": process })))
}

async fn logout(State(service): State<Arc<Service>>, Path(name): Path<String>) -> Result<StatusCode, Failure> {
    service.sessions.session(name).within(MAX_WAIT).sign_out().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An error as the service's response, whose status says what the caller can do.
struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status = match error.kind() {
            _ if error.requires_login() => StatusCode::UNAUTHORIZED,
            _ if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::UserActionRequired | ErrorKind::Denied => StatusCode::FORBIDDEN,
            ErrorKind::InvalidResponse | ErrorKind::Refused => StatusCode::BAD_GATEWAY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            log(&error);
        }
        let mut response = (status, Json(json!({ "error": error.kind().as_str() }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = error.retry_after().unwrap_or_default().as_secs() + 1;
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Prints an error for the operator of the service. It shows no secret.
fn log(error: &Error) {
    let _ = writeln!(io::stderr(), "{}", printable(&error.to_string()));
}

const USERS: usize = 20;
const REQUESTS_AT_ONCE: usize = 15 * USERS;
const LIFETIME: Duration = Duration::from_secs(4);
const RUSH: Duration = Duration::from_secs(7);

/// Sends requests for some seconds. During this time the users' tokens expire, and once they are rejected before they
/// expire.
async fn rush(url: &str, emulator: &Emulator, output: Output) -> Result {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let me = |user: usize| format!("{url}/me/user-{user}");

    for user in 0..USERS {
        let prompt = http.post(format!("{url}/login/user-{user}")).send().await?.text().await?;
        let prompt: Value = serde_json::from_str(&prompt)?;
        emulator.approve(prompt["user_code"].as_str().ok_or("no code to approve")?)?;
    }
    for user in 0..USERS {
        while http.get(me(user)).send().await?.status() == StatusCode::UNAUTHORIZED {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    output.say(format!("{USERS} users are signed in: {REQUESTS_AT_ONCE} requests at once, for {} s", RUSH.as_secs()));

    let before = emulator.refreshes();
    let end = Instant::now() + RUSH;
    let mut clients = JoinSet::new();
    for number in 0..REQUESTS_AT_ONCE {
        let (http, me) = (http.clone(), me(number % USERS));
        clients.spawn(async move {
            let mut responses = Vec::new();
            while Instant::now() < end {
                let response = http.get(&me).send().await?;
                let status = response.status().as_u16();
                let body: Value = serde_json::from_str(&response.text().await?).unwrap_or_default();
                responses.push((status, body["process"].as_u64()));
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok::<_, reqwest::Error>(responses)
        });
    }
    tokio::time::sleep(LIFETIME / 2).await;
    emulator.expire_access_tokens();
    let (mut responses, mut processes) = (BTreeMap::<u16, u64>::new(), BTreeSet::new());
    while let Some(client) = clients.join_next().await {
        for (status, process) in client?? {
            *responses.entry(status).or_default() += 1;
            processes.extend(process);
        }
    }
    output.summary(&json!({
        "event": "rush",
        "requests": responses.values().sum::<u64>(),
        "answers": responses,
        "processes": processes.len(),
        "refreshes": emulator.refreshes() - before,
        "replays": emulator.replays(),
    }));

    emulator.fault(Operation::Refresh, Fault::Status(503));
    emulator.expire_access_tokens();
    let response = http.get(me(1)).send().await?;
    let retry_after =
        response.headers().get(header::RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse::<u64>().ok());
    output.summary(&json!({
        "event": "outage", "status": response.status().as_u16(), "retry_after": retry_after,
    }));
    emulator.clear_faults();

    let logout = http.post(format!("{url}/logout/user-0")).send().await?.status().as_u16();
    let after = http.get(me(0)).send().await?.status().as_u16();
    output.summary(&json!({ "event": "logout", "status": logout, "status_of_the_next_request": after }));

    // A slow machine may respond with 503, which signs no user out.
    if responses.keys().all(|status| matches!(status, 200 | 503)) && (logout, after) == (204, 401) {
        return Ok(());
    }
    Err("not every request had the expected status".into())
}
