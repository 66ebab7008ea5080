use std::time::Instant;

use loginradius_proto::http::{Request, Response};
use loginradius_proto::session::{LoadError, SaveError, SessionEnd, SessionFlow, SessionInput, SessionStep};
use loginradius_proto::{Body, Error, SendOptions};

use super::clock::now;
use crate::store::{AsyncSessionLock, AsyncSessionStore};

/// Sends the requests of sessions, and waits.
///
/// A transport for blocking code blocks its thread, and its futures are ready at their first poll.
pub trait Transport: Send + Sync {
    /// Sends a request once, and returns the response at any HTTP status, or an error at [`SendOptions::deadline`].
    ///
    /// # Errors
    ///
    /// [`Error::not_sent`] if the request was certainly not sent, else [`Error::outcome_unknown`].
    fn send(
        &self,
        request: Request<Body>,
        options: SendOptions,
    ) -> impl Future<Output = Result<Response<Body>, Error>> + Send;

    /// Waits until that instant.
    fn sleep_until(&self, until: Instant) -> impl Future<Output = ()> + Send;

    /// Runs an operation of the store. If it takes too long, this drops it and returns `None`.
    ///
    /// By default there is no limit. A transport for async code should set one, so that a store that hangs does not
    /// make the session hang. In blocking code an operation cannot be given up.
    fn limit<F: Future<Output: Send> + Send>(&self, operation: F) -> impl Future<Output = Option<F::Output>> + Send {
        async { Some(operation.await) }
    }
}

/// Drives a flow to its end: the flow decides, and this performs its steps.
///
/// `lock` is the store's lock if an earlier flow of this session
/// [retained](loginradius_proto::session::SessionMemory::retains_lock) it, and `None` otherwise. Afterwards it is the
/// lock that this flow retains: keep it for the next flow. If it is lost in between, call
/// [`set_lock_lost`](loginradius_proto::session::SessionMemory::set_lock_lost).
///
/// If the future is dropped, the lock of that moment is in `lock`: [abort](SessionFlow::abort) the flow, whose end may
/// retain it for a pair that is not stored yet.
///
/// ```
/// use std::time::Instant;
/// use loginradius_proto::http::{Request, Response};
/// use loginradius_proto::session::{SessionFlow, SessionMemory, SessionPolicy};
/// use loginradius_proto::{App, Body, Error, Seed, SendOptions, TokenSet};
/// use loginradius_store::FileStore;
/// use loginradius_store::sessions::{Transport, drive};
///
/// struct MyTransport;
///
/// impl Transport for MyTransport {
///     async fn send(&self, _: Request<Body>, _: SendOptions) -> Result<Response<Body>, Error> {
///         // An HTTP client goes here. This is a server that refreshes whatever it gets.
///         Ok(Response::new(Body::from(r#"{"access_token":"3f5cd6cb","expires_in":600,"refresh_token":"c7d1"}"#)))
///     }
///
///     async fn sleep_until(&self, until: Instant) {
///         tokio::time::sleep_until(until.into()).await;
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path().join("my-program");
/// let (app, policy) = (App::new("my-client-id").with_client_secret("my-client-secret"), SessionPolicy::default());
/// let mut tokens = TokenSet::new("b8cb84c9");
/// tokens.refresh_token = Some("a795bbb0".into());
///
/// let store = FileStore::open(&folder)?;
/// let mut lock = None;
/// let mut start = SessionFlow::start(&app, policy, SessionMemory::default(), &tokens, Seed(42));
/// let end = drive(&mut start, &store, "alice", &mut lock, &MyTransport).await;
/// end.result?;
///
/// // Later an API rejects the token.
/// let mut memory = end.memory;
/// memory.reject(&tokens.access_token);
/// let mut refresh = SessionFlow::refresh(&app, policy, memory, Seed(43));
/// let end = drive(&mut refresh, &store, "alice", &mut lock, &MyTransport).await;
/// assert_eq!(end.result?.unwrap().expose(), "3f5cd6cb");
///
/// // In another process.
/// let store = FileStore::open(&folder)?;
/// let mut refresh = SessionFlow::refresh(&app, policy, SessionMemory::default(), Seed(44));
/// let end = drive(&mut refresh, &store, "alice", &mut None, &MyTransport).await;
/// assert_eq!(end.result?.unwrap().expose(), "3f5cd6cb");
/// # Ok(())
/// # }
/// ```
pub async fn drive<T: Transport>(
    flow: &mut SessionFlow,
    store: &dyn AsyncSessionStore,
    name: &str,
    lock: &mut Option<Box<dyn AsyncSessionLock>>,
    transport: &T,
) -> SessionEnd {
    drive_watched(flow, store, name, lock, transport, &mut Unwatched).await
}

/// What learns of the steps of a flow while it is driven.
pub(super) trait Watch: Send {
    /// Returns whether the flow may send its request now. If not, it is aborted.
    fn may_send(&mut self, flow: &SessionFlow) -> bool;

    /// Notes that the flow waits for a lock, or for its next attempt.
    fn waits(&mut self, flow: &SessionFlow);
}

struct Unwatched;

impl Watch for Unwatched {
    fn may_send(&mut self, _: &SessionFlow) -> bool {
        true
    }

    fn waits(&mut self, _: &SessionFlow) {}
}

/// Drives a flow like [`drive`], and tells `watch` of it.
pub(super) async fn drive_watched<T: Transport>(
    flow: &mut SessionFlow,
    store: &dyn AsyncSessionStore,
    name: &str,
    lock: &mut Option<Box<dyn AsyncSessionLock>>,
    transport: &T,
    watch: &mut impl Watch,
) -> SessionEnd {
    loop {
        let input = match flow.step(now()) {
            SessionStep::Lock => {
                let taken = transport.limit(store.try_lock(name)).await;
                SessionInput::Locked(taken.unwrap_or_else(|| Err(too_slow())).map(|taken| {
                    *lock = taken;
                    lock.is_some()
                }))
            }
            SessionStep::Peek => SessionInput::Peeked(transport.limit(store.peek(name)).await.flatten()),
            SessionStep::Load => SessionInput::Loaded(match lock {
                Some(lock) => transport.limit(lock.load()).await.unwrap_or_else(|| Err(LoadError::Failed(too_slow()))),
                None => Err(LoadError::Failed(not_locked())),
            }),
            SessionStep::Save { record, expected } => SessionInput::Saved(match lock {
                Some(lock) => {
                    let saved = transport.limit(lock.save(&record, expected)).await;
                    saved.unwrap_or_else(|| Err(SaveError::Unknown(too_slow())))
                }
                None => Err(SaveError::Conflict), // The flow takes the lock again.
            }),
            SessionStep::Clear { expected } => SessionInput::Saved(match lock {
                Some(lock) => {
                    let cleared = transport.limit(lock.clear(expected)).await;
                    cleared.unwrap_or_else(|| Err(SaveError::Unknown(too_slow())))
                }
                None => Err(SaveError::Conflict),
            }),
            SessionStep::Send { request, options } => {
                if !watch.may_send(flow) {
                    return flow.abort(lock.is_some(), now());
                }
                // The process may have stood still since the lock was taken, and another one may hold it by now.
                match lock.as_ref().is_some_and(|lock| lock.is_held()) {
                    true => SessionInput::Responded(transport.send(request, options).await),
                    false => SessionInput::LockLapsed,
                }
            }
            SessionStep::Wait(until) => {
                watch.waits(flow);
                transport.sleep_until(until).await;
                continue;
            }
            SessionStep::Unlock => {
                if let Some(lock) = lock.take() {
                    transport.limit(lock.unlock()).await;
                }
                SessionInput::Unlocked
            }
            SessionStep::Done(end) => return end,
        };
        flow.receive(input, now());
    }
}

pub(super) fn too_slow() -> Error {
    Error::unavailable("the session's store took too long, and was not waited for: try again later", "no outcome")
}

fn not_locked() -> Error {
    Error::unavailable("the session's lock is not held: try again", "the memory says that a flow retained it")
}
