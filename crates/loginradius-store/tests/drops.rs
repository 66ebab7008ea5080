//! A flow that is dropped at each of its awaits: what is left of locks, waiters and tokens.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use loginradius_proto::http::{Request, Response};
use loginradius_proto::session::{Expected, LoadError, SaveError, SessionOutcome, SessionPolicy, StoredRecord};
use loginradius_proto::{App, Body, Error, ErrorKind, Retry, SendOptions, TokenSet};
use loginradius_store::sessions::{OutcomeCell, Runtime, SessionSettings, SharedSession, SharedSessions, Transport};
use loginradius_store::{AsyncSessionLock, AsyncSessionStore, BoxFuture, MemoryStore, SessionStore};

async fn yields() {
    let mut first = true;
    std::future::poll_fn(|_| if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }).await;
}

/// A store each of whose operations waits before and after what it does.
#[derive(Clone, Default)]
struct Yielding {
    store: MemoryStore,
    /// How many saves of pairs fail.
    full: Arc<AtomicUsize>,
}

struct YieldingLock(Box<dyn AsyncSessionLock>, Yielding);

impl AsyncSessionStore for Yielding {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>> {
        Box::pin(async move {
            yields().await;
            let lock = AsyncSessionStore::try_lock(&self.store, name).await?;
            yields().await;
            Ok(lock.map(|lock| Box::new(YieldingLock(lock, self.clone())) as _))
        })
    }
}

impl AsyncSessionLock for YieldingLock {
    fn load(&mut self) -> BoxFuture<'_, Result<Option<StoredRecord>, LoadError>> {
        Box::pin(async move {
            yields().await;
            let outcome = self.0.load().await;
            yields().await;
            outcome
        })
    }

    fn save<'a>(&'a mut self, record: &'a StoredRecord, expected: Expected) -> BoxFuture<'a, Result<(), SaveError>> {
        Box::pin(async move {
            yields().await;
            let pair = !String::from_utf8_lossy(record.as_bytes()).contains(r#""intent":"#);
            let full = |left: usize| left.checked_sub(1);
            if pair && self.1.full.fetch_update(Ordering::SeqCst, Ordering::SeqCst, full).is_ok() {
                return Err(SaveError::Failed(Error::unavailable("full", "a test")));
            }
            let outcome = self.0.save(record, expected).await;
            yields().await;
            outcome
        })
    }

    fn clear(&mut self, expected: Expected) -> BoxFuture<'_, Result<(), SaveError>> {
        Box::pin(async move {
            yields().await;
            let outcome = self.0.clear(expected).await;
            yields().await;
            outcome
        })
    }

    fn is_held(&self) -> bool {
        self.0.is_held()
    }

    fn unlock(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            yields().await;
            drop(self);
            yields().await;
        })
    }
}

#[derive(Clone)]
struct Dropping {
    app: App,
    /// How often a flow is polled before it is dropped.
    polls: Arc<AtomicUsize>,
    /// The refresh tokens of the requests whose responses the flow got.
    responded: Arc<Mutex<Vec<String>>>,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Transport for Dropping {
    async fn send(&self, request: Request<Body>, _: SendOptions) -> Result<Response<Body>, Error> {
        let body = String::from_utf8(request.body().as_bytes().to_vec()).unwrap();
        let token = body.split('&').find_map(|part| part.strip_prefix("refresh_token=")).unwrap().to_owned();
        if request.uri().path().ends_with("revoke") {
            yields().await;
            return Ok(Response::new(Body::from("")));
        }
        self.sent.lock().unwrap().push(token.clone());
        yields().await;
        self.responded.lock().unwrap().push(token);
        let next = self.sent.lock().unwrap().len() + 1;
        let body = format!(r#"{{"access_token":"a{next}","refresh_token":"r{next}"}}"#);
        Ok(Response::new(Body::from(body)))
    }

    async fn sleep_until(&self, until: Instant) {
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

impl Runtime for Dropping {
    type OutcomeCell = Cell;

    fn app(&self) -> &App {
        &self.app
    }

    fn lead(&self, flow: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        let mut flow: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(flow);
        for _ in 0..self.polls.load(Ordering::SeqCst) {
            if flow.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn wait(&self, cell: &Cell, _: Instant) -> Option<SessionOutcome> {
        Some(cell.0.lock().unwrap().clone().expect("an outcome: a caller would wait for ever"))
    }
}

#[derive(Clone, Default)]
struct Cell(Arc<Mutex<Option<SessionOutcome>>>);

impl OutcomeCell for Cell {
    fn set(&self, outcome: SessionOutcome) {
        assert!(self.0.lock().unwrap().replace(outcome).is_none());
    }
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn tokens(number: usize) -> TokenSet {
    let mut tokens = TokenSet::new(format!("a{number}"));
    tokens.refresh_token = Some(format!("r{number}").into());
    tokens
}

const ALL: usize = usize::MAX;

fn started() -> (Dropping, Yielding, SharedSession<Dropping>) {
    let client = Dropping {
        app: App::new("my-client-id").with_client_secret("my-client-secret"),
        polls: Arc::new(AtomicUsize::new(ALL)),
        responded: Arc::default(),
        sent: Arc::default(),
    };
    let wait = Duration::from_millis(1);
    let policy = SessionPolicy::default()
        .with_lock_wait(Duration::from_millis(100))
        .with_retry(Retry::default().with_attempts(1).with_first_wait(wait).with_max_wait(wait));
    let store = Yielding::default();
    let settings = SessionSettings::default().with_policy(policy);
    let session = SharedSessions::new(client.clone(), Box::new(store.clone()), settings).session("ada");
    ready(session.start(&tokens(1))).unwrap();
    (client, store, session)
}

fn is_locked(store: &Yielding) -> bool {
    SessionStore::try_lock(&store.store, "ada").unwrap().is_none()
}

#[test]
fn a_flow_that_is_dropped_at_any_await_leaves_no_lock_and_the_next_one_works() {
    let mut lost = Vec::new();
    for (unsaved, job) in [false, true].into_iter().flat_map(|unsaved| (0..5).map(move |job| (unsaved, job))) {
        for polls in 0..60 {
            let (client, store, session) = started();
            if unsaved {
                store.full.store(1, Ordering::SeqCst);
                assert_eq!(ready(session.refresh_rejected(&"a1".into())).unwrap().expose(), "a2");
                assert!(session.save_error().is_some() && is_locked(&store));
            }
            client.polls.store(polls, Ordering::SeqCst);
            let newest = if unsaved { "a2" } else { "a1" };
            let outcome = match job {
                0 => ready(session.refresh_rejected(&newest.into())).map(drop),
                1 => ready(session.sign_out()),
                2 => ready(session.start(&tokens(9))),
                3 => ready(session.forget()),
                _ => ready(session.flush()),
            };
            let what = format!("unsaved {unsaved}, job {job}, {polls} polls: {outcome:?}");
            client.polls.store(ALL, Ordering::SeqCst);
            assert!(!is_locked(&store) || session.save_error().is_some(), "{what}");
            let responded = client.responded.lock().unwrap().clone();
            let sent = client.sent.lock().unwrap().len();
            let result = ready(session.access_token());
            let after = client.sent.lock().unwrap()[sent..].to_vec();
            match &result {
                Ok(_) => assert!(job == 0 || job == 4 || outcome.is_err() || job == 2, "{what}: {result:?}"),
                Err(error) => assert!(
                    matches!(error.kind(), ErrorKind::SignInRequired) && (job == 1 || job == 3),
                    "{what}: {result:?}"
                ),
            }
            ready(session.flush()).unwrap();
            assert!(!is_locked(&store), "{what}: {:?}", session.save_error());
            let again: Vec<_> = after.iter().filter(|token| responded.contains(token)).collect();
            // The process had the response, and its pair was lost with the flow.
            lost.extend((!again.is_empty()).then(|| format!("{what}: sent again {again:?}, responded {responded:?}")));
            if outcome.is_ok() && polls > 40 {
                break;
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}
