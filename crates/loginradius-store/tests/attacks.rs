//! Shared sessions and stores that are dropped, that panic, that wait, or that get more than they can keep.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::http::{Request, Response};
use loginradius_proto::session::{
    Expected, LoadError, Now, SaveError, SessionFlow, SessionMemory, SessionOutcome, SessionPolicy, StoredRecord,
};
use loginradius_proto::{App, Body, Error, Retry, Seed, SendOptions, TokenSet};
use loginradius_store::sessions::{OutcomeCell, Runtime, SessionSettings, SharedSessions, Transport, drive};
use loginradius_store::{
    AsyncSessionLock, AsyncSessionStore, BlockingStore, BoxFuture, FileStore, MemoryStore, SessionLock, SessionStore,
};

// A client for blocking code, as `loginradius-blocking` has it

/// A server that gives these responses, one for each request, and keeps the refresh tokens that it was sent.
#[derive(Clone, Default)]
struct Server {
    responses: Arc<Mutex<VecDeque<String>>>,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(responses: impl IntoIterator<Item = String>) -> Self {
        Self { responses: Arc::new(Mutex::new(responses.into_iter().collect())), sent: Arc::default() }
    }

    fn respond(&self, request: &Request<Body>) -> Result<Response<Body>, Error> {
        let body = String::from_utf8(request.body().as_bytes().to_vec()).unwrap();
        let token = body.split('&').find_map(|part| part.strip_prefix("refresh_token=")).unwrap_or_default();
        self.sent.lock().unwrap().push(token.to_owned());
        match self.responses.lock().unwrap().pop_front() {
            Some(body) => Ok(Response::new(Body::from(body))),
            None => Err(Error::outcome_unknown("no response is scripted")),
        }
    }

    fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }
}

fn pair(access: &str, refresh: &str) -> String {
    format!(r#"{{"access_token":"{access}","expires_in":3600,"refresh_token":"{refresh}"}}"#)
}

fn tokens() -> TokenSet {
    let mut tokens = TokenSet::new("a1");
    tokens.refresh_token = Some("r1".into());
    tokens.expires_in = Some(Duration::from_secs(3600));
    tokens
}

fn app() -> App {
    App::new("my-client-id").with_client_secret("my-client-secret")
}

fn policy() -> SessionPolicy {
    let wait = Duration::from_millis(20);
    SessionPolicy::default()
        .with_lock_wait(Duration::from_millis(300))
        .with_retry(Retry::default().with_attempts(1).with_first_wait(wait).with_max_wait(wait))
}

#[derive(Clone)]
struct Threads {
    app: App,
    server: Server,
}

impl Threads {
    fn new(server: &Server) -> Self {
        Self { app: app(), server: server.clone() }
    }
}

impl Transport for Threads {
    async fn send(&self, request: Request<Body>, _: SendOptions) -> Result<Response<Body>, Error> {
        self.server.respond(&request)
    }

    async fn sleep_until(&self, until: Instant) {
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

impl Runtime for Threads {
    type OutcomeCell = BlockingCell;

    fn app(&self) -> &App {
        &self.app
    }

    fn lead(&self, flow: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        ready(flow);
        Ok(())
    }

    async fn wait(&self, cell: &BlockingCell, _: Instant) -> Option<SessionOutcome> {
        let mut outcome = cell.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*outcome {
                Some(outcome) => return Some(outcome.clone()),
                None => outcome = cell.0.1.wait(outcome).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

#[derive(Clone, Default)]
struct BlockingCell(Arc<(Mutex<Option<SessionOutcome>>, Condvar)>);

/// Whether the outcomes of the thread `slow` are set late, and whether one was set.
static SLOW_CELL: AtomicBool = AtomicBool::new(false);
static SLOW_CELL_SET: AtomicBool = AtomicBool::new(false);

impl OutcomeCell for BlockingCell {
    fn set(&self, outcome: SessionOutcome) {
        if thread::current().name() == Some("slow") && SLOW_CELL.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(500));
            SLOW_CELL_SET.store(true, Ordering::SeqCst);
        }
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.0.1.notify_all();
    }
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn sessions<S: SessionStore>(server: &Server, store: S) -> SharedSessions<Threads> {
    let settings = SessionSettings::default().with_policy(policy());
    SharedSessions::new(Threads::new(server), Box::new(BlockingStore::new(store)), settings)
}

// A client for async code, as `loginradius-async` has it

#[derive(Clone)]
struct Tasks {
    app: App,
    server: Server,
    /// Whether responses do not come.
    stuck: Arc<AtomicBool>,
}

impl Transport for Tasks {
    async fn send(&self, request: Request<Body>, _: SendOptions) -> Result<Response<Body>, Error> {
        let response = self.server.respond(&request);
        if self.stuck.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        response
    }

    async fn sleep_until(&self, until: Instant) {
        tokio::time::sleep_until(until.into()).await;
    }
}

impl Runtime for Tasks {
    type OutcomeCell = TaskCell;

    fn app(&self) -> &App {
        &self.app
    }

    fn lead(&self, flow: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        tokio::spawn(flow);
        Ok(())
    }

    async fn wait(&self, cell: &TaskCell, _: Instant) -> Option<SessionOutcome> {
        loop {
            if let Some(outcome) = cell.0.0.0.lock().unwrap().clone() {
                return Some(outcome);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[derive(Clone, Default)]
struct TaskCell(BlockingCell);

impl OutcomeCell for TaskCell {
    fn set(&self, outcome: SessionOutcome) {
        self.0.set(outcome);
    }
}

fn task_sessions(server: &Server, store: impl AsyncSessionStore) -> (SharedSessions<Tasks>, Arc<AtomicBool>) {
    let stuck = Arc::new(AtomicBool::new(false));
    let client = Tasks { app: app(), server: server.clone(), stuck: stuck.clone() };
    let settings = SessionSettings::default().with_policy(policy());
    (SharedSessions::new(client, Box::new(store), settings), stuck)
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

// A store with faults

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The save of a pair panics, once.
    PanicInPair,
    /// Dropping a lock panics.
    PanicInDrop,
}

#[derive(Clone)]
struct Faulty {
    store: MemoryStore,
    fault: Arc<Mutex<Fault>>,
}

impl Faulty {
    fn new() -> Self {
        Self { store: MemoryStore::new(), fault: Arc::new(Mutex::new(Fault::None)) }
    }

    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn get(&self) -> Fault {
        *self.fault.lock().unwrap()
    }
}

struct FaultyLock(Option<Box<dyn SessionLock>>, Faulty);

impl SessionStore for Faulty {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        let lock = SessionStore::try_lock(&self.store, name)?;
        Ok(lock.map(|lock| Box::new(FaultyLock(Some(lock), self.clone())) as _))
    }
}

impl SessionLock for FaultyLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        self.0.as_mut().unwrap().load()
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        let is_pair = !String::from_utf8_lossy(record.as_bytes()).contains(r#""intent":"#);
        match self.1.get() {
            Fault::PanicInPair if is_pair => {
                self.1.set(Fault::None);
                panic!("the store panics");
            }
            _ => self.0.as_mut().unwrap().save(record, expected),
        }
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        self.0.as_mut().unwrap().clear(expected)
    }

    fn is_held(&self) -> bool {
        self.0.as_ref().unwrap().is_held()
    }
}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        drop(self.0.take());
        if self.1.get() == Fault::PanicInDrop {
            panic!("as `tokio::spawn` does without a runtime");
        }
    }
}

// A consumed refresh token

#[test]
fn a_panic_of_the_store_does_not_make_a_consumed_token_go_out_again() {
    let server = Server::new([pair("a2", "r2"), pair("a3", "r3")]);
    let store = Faulty::new();
    let session = sessions(&server, store.clone()).session("ada");
    ready(session.start(&tokens())).unwrap();
    store.set(Fault::PanicInPair);
    catch_unwind(AssertUnwindSafe(|| ready(session.refresh_rejected(&"a1".into())))).unwrap_err();
    // The process knows `r2`.
    let _ = ready(session.refresh_rejected(&"a1".into()));
    assert_eq!(server.sent()[..1], ["r1"]);
    assert!(!server.sent()[1..].contains(&"r1".to_owned()), "sent again: {:?}", server.sent());
}

/// A store on a network, whose saves of pairs are slow.
struct SlowStore(MemoryStore);

struct SlowLock(Box<dyn AsyncSessionLock>);

impl AsyncSessionStore for SlowStore {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>> {
        Box::pin(async move {
            let lock = AsyncSessionStore::try_lock(&self.0, name).await?;
            Ok(lock.map(|lock| Box::new(SlowLock(lock)) as _))
        })
    }
}

impl AsyncSessionLock for SlowLock {
    fn load(&mut self) -> BoxFuture<'_, Result<Option<StoredRecord>, LoadError>> {
        self.0.load()
    }

    fn save<'a>(&'a mut self, record: &'a StoredRecord, expected: Expected) -> BoxFuture<'a, Result<(), SaveError>> {
        Box::pin(async move {
            if String::from_utf8_lossy(record.as_bytes()).contains(r#""access_token":"a2""#) {
                std::future::pending::<()>().await;
            }
            self.0.save(record, expected).await
        })
    }

    fn clear(&mut self, expected: Expected) -> BoxFuture<'_, Result<(), SaveError>> {
        self.0.clear(expected)
    }

    fn is_held(&self) -> bool {
        self.0.is_held()
    }
}

#[test]
fn a_drive_that_is_dropped_while_it_saves_a_pair_loses_nothing() {
    let server = Server::new([pair("a2", "r2"), pair("a3", "r3")]);
    let (client, memory) = (Threads::new(&server), MemoryStore::new());
    let mut start = SessionFlow::start(&client.app, policy(), SessionMemory::default(), &tokens(), Seed(1));
    let mut lock = None;
    let mut end = ready(drive(&mut start, &memory, "ada", &mut lock, &client));
    end.result.unwrap();
    end.memory.reject(&"a1".into());
    let slow = SlowStore(memory.clone());
    let mut refresh = SessionFlow::refresh(&client.app, policy(), end.memory.clone(), Seed(2));
    {
        let mut future = pin!(drive(&mut refresh, &slow, "ada", &mut lock, &client));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    // The slow lock is of no more use.
    let end = refresh.abort(lock.take().is_some(), Now::new(Instant::now(), SystemTime::now()));
    assert!(end.memory.retains_lock());
    let mut memory_of_pair = end.memory;
    memory_of_pair.set_lock_lost();
    let mut refresh = SessionFlow::refresh(&client.app, policy(), memory_of_pair, Seed(3));
    let _ = ready(drive(&mut refresh, &memory, "ada", &mut None, &client));
    assert!(!server.sent()[1..].contains(&"r1".to_owned()), "sent again: {:?}", server.sent());
}

// Waits

/// As if its runtime had ended: a task is dropped, and the lock's drop panics.
#[test]
fn a_panic_while_the_lock_is_dropped_leaves_no_caller_waiting() {
    let server = Server::new([pair("a2", "r2")]);
    let store = Faulty::new();
    let (sessions, stuck) = task_sessions(&server, BlockingStore::new(store.clone()));
    let session = sessions.session("ada");
    let (first, second) = (tokio::runtime::Runtime::new().unwrap(), current_thread());
    second.block_on(session.start(&tokens())).unwrap();
    stuck.store(true, Ordering::SeqCst);
    let leader = session.clone();
    first.spawn(async move { leader.refresh_rejected(&"a1".into()).await });
    while server.sent().is_empty() {
        thread::sleep(Duration::from_millis(5));
    }
    let waiting = thread::spawn(move || {
        second.block_on(async move {
            tokio::time::timeout(Duration::from_secs(5), session.refresh_rejected(&"a1".into())).await.is_ok()
        })
    });
    thread::sleep(Duration::from_millis(300));
    store.set(Fault::PanicInDrop);
    drop(first);
    store.set(Fault::None);
    assert!(waiting.join().unwrap(), "the caller gets no outcome");
}

/// Callers who ask for a token of a session that is missing lead one flow after the other.
#[test]
fn a_login_is_stored_in_time_while_other_threads_ask_for_a_token() {
    let server = Server::default();
    let stop = Arc::new(AtomicBool::new(false));
    let flows = Arc::new(AtomicUsize::new(0));
    let session = sessions(&server, MemoryStore::new()).session("ada");
    for _ in 0..8 {
        let (session, stop, flows) = (session.clone(), stop.clone(), flows.clone());
        thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let _ = ready(session.access_token());
                flows.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    thread::sleep(Duration::from_millis(50));
    let before = flows.load(Ordering::SeqCst);
    let start = Instant::now();
    let started = session.clone();
    let starter = thread::spawn(move || ready(started.start(&tokens())).unwrap());
    while !starter.is_finished() && start.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(1));
    }
    let (waited, overtaken) = (start.elapsed(), flows.load(Ordering::SeqCst) - before);
    stop.store(true, Ordering::SeqCst);
    println!("waited {waited:?} for {overtaken} calls");
    assert!(waited < Duration::from_secs(2), "waited {waited:?} for {overtaken} calls");
}

// Files

const MIB: usize = 1 << 20;

/// Tokens whose record has that much room left below the limit of a file, less what it takes itself.
fn huge_tokens(room: usize) -> TokenSet {
    let mut tokens = tokens();
    tokens.id_token = Some("i".repeat(16 * MIB - room).into());
    tokens
}

/// The store accepts them, and then no record that follows: no intent, no mark of a sign-out.
#[test]
fn a_login_that_was_stored_can_be_refreshed_and_signed_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new([pair("a2", "r2"), String::from("{}")]);
    let session = sessions(&server, FileStore::open(folder.path()).unwrap()).session("ada");
    // It may also be refused from the beginning.
    if ready(session.start(&huge_tokens(262))).is_ok() {
        let refreshed = ready(session.refresh_rejected(&"a1".into()));
        let signed_out = ready(session.sign_out());
        assert!(refreshed.is_ok() && signed_out.is_ok(), "{refreshed:?}, {signed_out:?}");
    }
}

/// The store accepts them, and the intent to refresh them, and then no pair that is a little longer.
#[test]
fn a_login_that_was_stored_has_room_for_the_next_pair() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new([pair(&"a2".repeat(200), "r2")]);
    let session = sessions(&server, FileStore::open(folder.path()).unwrap()).session("ada");
    if ready(session.start(&huge_tokens(460))).is_ok() {
        ready(session.refresh_rejected(&"a1".into())).unwrap();
        let error = session.save_error();
        assert!(
            error.is_none(),
            "the pair is in memory alone, for good, and {:?} is consumed: {error:?}",
            server.sent()
        );
    }
}
