//! What a program has in memory for users who sign in, or are signed in.

use std::hint::black_box;
use std::process;
use std::time::{Duration, Instant};

use ::oauth2::basic::BasicClient;
use ::oauth2::{AuthType, ClientId, DeviceAuthorizationUrl, Scope, StandardDeviceAuthorizationResponse, TokenUrl};
use loginradius_blocking::Sessions;
use loginradius_blocking::store::FileStore;
use loginradius_proto::oauth::RequestDeviceCode;
use loginradius_proto::{Body, DeviceFlow, Endpoint, Seed, Service, http};
use tokio::sync::Notify;

use crate::canned_server::{Address, SLOW_APP};
use crate::operations::{CLIENT_ID, Operation, SCOPE, app};
use crate::round_trips::{oauth2_send, plain_client, runtime};
use crate::{Result, tokens};

/// One of the things that a program has for each user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the benchmarks handle each")]
pub enum Held {
    /// A `DeviceFlow` between two polls.
    DeviceFlow,
    /// What oauth2 has of a device login between two polls.
    Oauth2Details,
    /// A task of tokio with an async `Client::device_login` between two polls.
    LoginTask,
    /// The same with oauth2 and reqwest.
    Oauth2Task,
    /// A handle of a session that has never been used.
    SessionHandle,
    /// A handle of a session whose user is signed in; the store is on disk.
    SignedIn,
}

impl Held {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::DeviceFlow, Self::Oauth2Details, Self::LoginTask, Self::Oauth2Task, Self::SessionHandle, Self::SignedIn];

    /// Returns its name in the arguments of a worker.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DeviceFlow => "device-flow",
            Self::Oauth2Details => "oauth2-details",
            Self::LoginTask => "login-task",
            Self::Oauth2Task => "oauth2-task",
            Self::SessionHandle => "session-handle",
            Self::SignedIn => "signed-in",
        }
    }

    /// Makes that many, and ends the process while it still has them.
    ///
    /// # Errors
    ///
    /// If they cannot be made.
    pub fn hold(self, count: usize, server: &Address) -> Result<()> {
        match self {
            Self::DeviceFlow => {
                let (_, grant) = Operation::Device.response();
                let app = app();
                let grant = RequestDeviceCode::new().response(&app, http::Response::new(Body::from(grant)))?;
                let now = Instant::now();
                end_with(
                    &(0..count).map(|seed| DeviceFlow::new(&app, &grant, now, Seed(seed as u64))).collect::<Vec<_>>(),
                )
            }
            Self::Oauth2Details => {
                let (_, grant) = Operation::Device.response();
                let details = || serde_json::from_str::<StandardDeviceAuthorizationResponse>(grant);
                end_with(&(0..count).map(|_| details()).collect::<std::result::Result<Vec<_>, _>>()?)
            }
            Self::LoginTask => {
                let app = app().with_oauth_app(SLOW_APP).with_service(Service::classic_at(&server.url)?);
                let client: &_ = Box::leak(Box::new(loginradius_async::Client::new(app)?));
                let request: &_ = Box::leak(Box::new(RequestDeviceCode::new().scope(SCOPE)));
                let shown = |_: &_| {
                    WAITS.notify_one();
                    Ok(())
                };
                hold_tasks(count, || client.device_login(request, shown))
            }
            Self::Oauth2Task => {
                let url = |operation: Operation| {
                    format!("{}{}", server.url, operation.path().replace("my-oauth-app", SLOW_APP))
                };
                let client = BasicClient::new(ClientId::new(CLIENT_ID.to_owned()))
                    .set_auth_type(AuthType::RequestBody)
                    .set_device_authorization_url(DeviceAuthorizationUrl::new(url(Operation::Device))?)
                    .set_token_uri(TokenUrl::new(url(Operation::PollPending))?);
                let client: &_ = Box::leak(Box::new(client));
                let http: &_ = Box::leak(Box::new(plain_client(server, false)?));
                let send = |request| oauth2_send(http.clone(), request);
                let sleep = |time| {
                    WAITS.notify_one();
                    tokio::time::sleep(time)
                };
                hold_tasks(count, || async move {
                    let details = client.exchange_device_code().add_scope(Scope::new(SCOPE.to_owned()));
                    let details: StandardDeviceAuthorizationResponse = details.request_async(&send).await.ok()?;
                    client.exchange_device_access_token(&details).request_async(&send, sleep, None).await.ok()
                })
            }
            Self::SessionHandle => hold_sessions(count, false),
            Self::SignedIn => hold_sessions(count, true),
        }
    }
}

/// Notified by each task right before it waits.
static WAITS: Notify = Notify::const_new();

/// Runs that many tasks until all of them wait. Each begins when the one before it waits, so that they share one
/// connection.
fn hold_tasks<F>(count: usize, task: impl Fn() -> F) -> Result<()>
where
    F: Future<Output: Send> + Send + 'static,
{
    let runtime = runtime()?;
    runtime.block_on(async {
        for _ in 0..count {
            tokio::spawn(task());
            tokio::time::timeout(Duration::from_secs(60), WAITS.notified()).await?;
        }
        // The last one goes on to its wait.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok::<_, tokio::time::error::Elapsed>(())
    })?;
    end_with(&runtime)
}

fn hold_sessions(count: usize, signed_in: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let client = loginradius_blocking::Client::new(app())?;
    let sessions = Sessions::new(&client, FileStore::open(folder.path())?);
    let handles: Vec<_> = (0..count).map(|number| sessions.session(format!("2f1d7c9e/browser-{number:06}"))).collect();
    if signed_in {
        handles.iter().try_for_each(|session| session.start(&tokens()))?;
    }
    drop(folder);
    end_with(&(sessions, handles))
}

/// Ends the process, in which nothing is dropped then.
fn end_with<T>(held: &T) -> ! {
    black_box(held);
    process::exit(0)
}
