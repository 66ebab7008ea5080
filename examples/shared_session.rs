//! A web service with a session for each of its users: any number of requests at once share one token and one
//! refresh for each of them.
//!
//!     cargo run --example shared_session
//!     cargo run --example shared_session -- --serve
//!
//! Without `--serve` it sends itself hundreds of requests at once, for 20 users whose tokens end all the time, and
//! says what came of it.
//!
//! - `POST /login/{name}` begins a device login, and answers with the address and the code.
//! - `GET /me/{name}` uses the session's access token.
//! - `POST /logout/{name}` ends the session.
//!
//! The name is in the path to keep this short. A real service takes it from its own login, such as a signed cookie:
//! here, everybody can use everybody's session.

use std::collections::BTreeMap;
use std::future::IntoFuture as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
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
use loginradius_async::store::{FileStore, MemoryStore};
use loginradius_async::{Client, Error, ErrorKind, Retry, Sessions, reqwest};
use loginradius_emulator::{Emulator, Fault, Operation};
use loginradius_examples::{Options, Output, Result, printable};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Serve many signed-in users of LoginRadius at once.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// What a user is asked to allow, separated by spaces
    #[arg(long, default_value = "email profile")]
    scope: String,
    /// Stay up until Ctrl-C; with --client-id, that is what it does anyway
    #[arg(long)]
    serve: bool,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The folder of the sessions; without it they end with the service
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

/// What all requests share.
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
    let stays_up = cli.serve || cli.options.is_service();
    let emulator = Emulator::builder().device_interval(Duration::from_secs(1));
    let target = cli.options.target_or(if stays_up { emulator } else { emulator.access_token_lifetime(LIFETIME) })?;
    // Somebody waits for the answer: rather tell them to try later than try for long.
    let client = Client::builder(target.app.clone()).retry(Retry::default().with_attempts(2)).build()?;
    let sessions = match &cli.store {
        Some(folder) => Sessions::builder(&client, FileStore::open(folder)?),
        None => Sessions::builder(&client, MemoryStore::new()),
    };
    let on_event = move |name: &str, event: &_| {
        if stays_up {
            output.session(name, event)
        }
    };
    let sessions = sessions.on_event(on_event).build();
    let service = Service { client, sessions: sessions.clone(), scope: cli.scope.clone() };

    let listener = TcpListener::bind(cli.listen).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, routes(service)).with_graceful_shutdown(async { drop(stopped.await) });
    let server = tokio::spawn(server.into_future());
    let result = match &target.emulator {
        Some(emulator) if !stays_up => rush(&url, emulator, output).await,
        _ => {
            output.summary(&json!({ "event": "serving", "url": url }));
            output.say(format!("  curl -X POST {url}/login/ada\n  curl {url}/me/ada"));
            Ok(tokio::signal::ctrl_c().await?)
        }
    };
    // First the requests come to their end, then what they have begun and nobody waits for any more.
    drop(stop);
    server.await??;
    sessions.flush().await?;
    result
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
        let tokens = login.wait().await?;
        service.sessions.session(name).start(&tokens).await
    });
    Ok((StatusCode::ACCEPTED, Json(prompt)).into_response())
}

/// Uses the user's access token. Here the API that takes it is LoginRadius's own, which makes a JWT of it.
async fn me(State(service): State<Arc<Service>>, Path(name): Path<String>) -> Result<Json<Value>, Failure> {
    let session = service.sessions.session(&name);
    let call_api = async |token| service.client.call(&JwtByAccessToken::new(token)).await;

    let token = session.access_token().await?;
    let jwt = match call_api(token.clone()).await {
        // The API does not take it, whatever its lifetime was: once more with another one. However many requests
        // come here with the same token, it is refreshed once.
        Err(refusal) if refusal.kind() == ErrorKind::SignInRequired => {
            call_api(session.refresh_rejected(&token).await?).await?
        }
        jwt => jwt?,
    };
    Ok(Json(json!({ "name": name, "letters_of_the_jwt": jwt.expose().len() })))
}

async fn logout(State(service): State<Arc<Service>>, Path(name): Path<String>) -> Result<StatusCode, Failure> {
    service.sessions.session(name).sign_out().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An error as the service's answer: what the caller can do about it is its kind.
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
            ErrorKind::SignInRequired => StatusCode::UNAUTHORIZED,
            ErrorKind::UserActionRequired | ErrorKind::Denied | ErrorKind::Expired => StatusCode::FORBIDDEN,
            ErrorKind::Unavailable | ErrorKind::NotSent | ErrorKind::OutcomeUnknown => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::InvalidResponse | ErrorKind::Refused => StatusCode::BAD_GATEWAY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            // For whoever runs the service. It shows no secret.
            let _ = writeln!(io::stderr(), "{}", printable(&error.to_string()));
        }
        let mut response = (status, Json(json!({ "error": error.kind().as_str() }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = error.retry_after().unwrap_or_default().as_secs() + 1;
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

const USERS: usize = 20;
const REQUESTS_AT_ONCE: usize = 15 * USERS;
const LIFETIME: Duration = Duration::from_secs(4);
const RUSH: Duration = Duration::from_secs(7);

/// Some seconds in the life of the service. Its users' tokens end in the middle, and once they are refused sooner.
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
            let mut answers = Vec::new();
            while Instant::now() < end {
                answers.push(http.get(&me).send().await?.status().as_u16());
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok::<_, reqwest::Error>(answers)
        });
    }
    tokio::time::sleep(LIFETIME / 2).await;
    emulator.expire_access_tokens();
    let mut answers = BTreeMap::<u16, u64>::new();
    while let Some(client) = clients.join_next().await {
        for status in client?? {
            *answers.entry(status).or_default() += 1;
        }
    }
    output.summary(&json!({
        "event": "rush",
        "requests": answers.values().sum::<u64>(),
        "answers": answers,
        "refreshes": emulator.refreshes() - before,
    }));

    emulator.fault(Operation::Refresh, Fault::Status(503));
    emulator.expire_access_tokens();
    let answer = http.get(me(1)).send().await?;
    let later =
        answer.headers().get(header::RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse::<u64>().ok());
    output.summary(&json!({
        "event": "outage", "status": answer.status().as_u16(), "retry_after": later,
    }));
    emulator.clear_faults();

    let logout = http.post(format!("{url}/logout/user-0")).send().await?.status().as_u16();
    let after = http.get(me(0)).send().await?.status().as_u16();
    output.summary(&json!({ "event": "logout", "status": logout, "status_of_the_next_request": after }));

    // 503 is an answer of a machine that is too slow today: nobody is signed out by that.
    if answers.keys().all(|status| matches!(status, 200 | 503)) && (logout, after) == (204, 401) {
        return Ok(());
    }
    Err("not every request was answered as it should be".into())
}
