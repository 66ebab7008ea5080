//! What a caller with a time gets, what continues without that caller, and what the end of the program waits for. Flows
//! run on threads here, as in `loginradius-blocking`, and wait for the test where they wait for LoginRadius or the
//! store.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_proto::http::{Request, Response};
use loginradius_proto::session::{
    Expected, LoadError, SaveError, SessionEvent, SessionOutcome, SessionPolicy, StoredRecord,
};
use loginradius_proto::{AccessToken, App, Body, Error, ErrorKind, Retry, SendOptions, TokenSet};

use super::{OutcomeCell, Runtime, SessionSettings, SharedSession, SharedSessions, Transport};
use crate::blocking::BlockingStore;
use crate::memory::MemoryStore;
use crate::store::{SessionLock, SessionStore};

/// A time that is over before what the caller waits for: that waits for the test.
const SHORT: Duration = Duration::from_millis(50);
/// A time that no passing test needs.
const LONG: Duration = Duration::from_secs(60);

/// A gate before LoginRadius and the store, which a test shuts and opens.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    shut: bool,
    /// How many threads wait for it to open.
    waiting: usize,
}

impl Gate {
    fn shut(&self) {
        self.0.0.lock().unwrap().shut = true;
    }

    fn open(&self) {
        self.0.0.lock().unwrap().shut = false;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.waiting += 1;
        self.0.1.notify_all();
        let (mut state, timeout) = self.0.1.wait_timeout_while(state, LONG, |state| state.shut).unwrap();
        state.waiting -= 1;
        assert!(!timeout.timed_out(), "the test does not open the gate");
    }

    /// Waits until a flow waits at the gate.
    fn expect_a_flow(&self) {
        let state = self.0.0.lock().unwrap();
        let state = self.0.1.wait_timeout_while(state, LONG, |state| state.waiting == 0).unwrap().0;
        assert!(state.waiting > 0, "no flow comes to the gate");
    }
}

/// A client of a server that responds to every refresh with the access token `second`.
#[derive(Clone)]
struct Threads {
    app: App,
    gate: Gate,
    sent: Arc<AtomicUsize>,
    /// How many flows were begun.
    flows: Arc<AtomicUsize>,
    /// Whether no thread can be started.
    no_threads: Arc<AtomicBool>,
    /// Whether requests are not sent, and the next attempt is long after.
    no_network: Arc<AtomicBool>,
}

impl Transport for Threads {
    async fn send(&self, _: Request<Body>, _: SendOptions) -> Result<Response<Body>, Error> {
        if self.no_network.load(Ordering::SeqCst) {
            return Err(Error::not_sent("no network"));
        }
        self.sent.fetch_add(1, Ordering::SeqCst);
        self.gate.pass();
        Ok(Response::new(Body::from(r#"{"access_token":"second","expires_in":600,"refresh_token":"next"}"#)))
    }

    async fn sleep_until(&self, until: Instant) {
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

impl Runtime for Threads {
    type OutcomeCell = Cell;

    fn app(&self) -> &App {
        &self.app
    }

    fn lead(&self, flow: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        if self.no_threads.load(Ordering::SeqCst) {
            return Err(Error::unavailable("no thread can be started", "a test"));
        }
        self.flows.fetch_add(1, Ordering::SeqCst);
        drop(thread::spawn(|| ready(flow)));
        Ok(())
    }

    async fn wait(&self, cell: &Cell, deadline: Instant) -> Option<SessionOutcome> {
        let left = deadline.saturating_duration_since(Instant::now());
        let outcome = cell.0.0.lock().unwrap();
        let (outcome, _) = cell.0.1.wait_timeout_while(outcome, left, |outcome| outcome.is_none()).unwrap();
        assert!(left < LONG || outcome.is_some(), "no outcome comes");
        outcome.clone()
    }
}

#[derive(Clone, Default)]
struct Cell(Arc<(Mutex<Option<SessionOutcome>>, Condvar)>);

impl OutcomeCell for Cell {
    fn set(&self, outcome: SessionOutcome) {
        *self.0.0.lock().unwrap() = Some(outcome);
        self.0.1.notify_all();
    }
}

/// A store that waits at the gate before each save.
#[derive(Clone, Default)]
struct Gated {
    store: MemoryStore,
    gate: Gate,
    /// How often a lock was asked for.
    locks: Arc<AtomicUsize>,
    saves: Arc<AtomicUsize>,
    /// How many saves of a new pair fail.
    failing_saves: Arc<AtomicUsize>,
    /// A handle that the next save drops.
    drops: Arc<Mutex<Option<SharedSession<Threads>>>>,
}

struct GatedLock(Box<dyn SessionLock>, Gated);

impl SessionStore for Gated {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        self.locks.fetch_add(1, Ordering::SeqCst);
        let lock = SessionStore::try_lock(&self.store, name)?;
        Ok(lock.map(|lock| Box::new(GatedLock(lock, self.clone())) as _))
    }
}

impl SessionLock for GatedLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        self.0.load()
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        self.1.saves.fetch_add(1, Ordering::SeqCst);
        self.1.gate.pass();
        drop(self.1.drops.lock().unwrap().take());
        let is_pair = String::from_utf8_lossy(record.as_bytes()).contains("second");
        let fail = |left: usize| left.checked_sub(1);
        if is_pair && self.1.failing_saves.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fail).is_ok() {
            return Err(SaveError::Failed(Error::unavailable("the disk is full", "a test")));
        }
        self.0.save(record, expected)
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        self.0.clear(expected)
    }

    fn is_held(&self) -> bool {
        self.0.is_held()
    }
}

struct Fixture {
    client: Threads,
    store: Gated,
    session: SharedSession<Threads>,
}

impl Fixture {
    fn empty() -> Self {
        let client = Threads {
            app: App::new("my-client-id").with_client_secret("my-client-secret"),
            gate: Gate::default(),
            sent: Arc::default(),
            flows: Arc::default(),
            no_threads: Arc::default(),
            no_network: Arc::default(),
        };
        let store = Gated::default();
        let boxed = Box::new(BlockingStore::new(store.clone()));
        let retry = Retry::default().with_first_wait(LONG).with_max_wait(LONG);
        let policy = SessionPolicy::default().with_lock_wait(2 * LONG).with_retry(retry);
        let settings = SessionSettings::default().with_policy(policy);
        let session = SharedSessions::new(client.clone(), boxed, settings).session("ada");
        Self { client, store, session }
    }

    /// Starts a session with these tokens.
    fn started(tokens: &TokenSet) -> Self {
        let fixture = Self::empty();
        ready(fixture.session.start(tokens)).unwrap();
        fixture
    }

    fn within(&self, time: Duration) -> SharedSession<Threads> {
        self.session.within(time)
    }

    /// Returns how many flows were begun, requests sent, and locks asked for.
    fn work(&self) -> [usize; 3] {
        [&self.client.flows, &self.client.sent, &self.store.locks].map(|count| count.load(Ordering::SeqCst))
    }
}

/// Begins a refresh, which waits at the gate until that is opened, and whose caller has gone.
fn begin_refresh(client: &Threads, session: &SharedSession<Threads>) {
    client.gate.shut();
    expect_deadline_exceeded(ready(session.within(SHORT).access_token()));
    client.gate.expect_a_flow();
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// Makes the tokens of a login, whose access token is valid for 100 s from its request.
fn tokens(age: Duration) -> TokenSet {
    let mut tokens = TokenSet::new("first");
    tokens.refresh_token = Some("refresh".into());
    tokens.expires_in = Some(Duration::from_secs(100));
    tokens.requested_at = Some(Instant::now().checked_sub(age).expect("a machine that has run for a while"));
    tokens
}

const FRESH: Duration = Duration::ZERO;
/// Its last tenth has begun, and it is still valid for some seconds.
const REFRESH_DUE: Duration = Duration::from_secs(92);
const EXPIRED: Duration = Duration::from_secs(100);

#[track_caller]
fn expect_token(result: Result<AccessToken, Error>, expected: &str) {
    assert_eq!(result.unwrap().expose(), expected);
}

#[track_caller]
fn expect_deadline_exceeded<T>(result: Result<T, Error>) {
    let error = result.err().expect("an error");
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");
}

#[test]
fn a_good_token_is_returned_with_a_time_of_zero() {
    for age in [FRESH, REFRESH_DUE] {
        let fixture = Fixture::started(&tokens(age));
        let before = fixture.work();
        let session = fixture.within(Duration::ZERO);
        expect_token(ready(session.access_token()), "first");
        assert_eq!(ready(session.tokens()).unwrap().access_token.expose(), "first");
        assert!(ready(session.is_signed_in()).unwrap());
        // An API has rejected the one before it.
        expect_token(ready(session.refresh_rejected(&"older".into())), "first");
        assert_eq!(fixture.work(), before);
    }
}

#[test]
fn without_a_good_token_nothing_begins_with_a_time_of_zero() {
    for fixture in [Fixture::empty(), Fixture::started(&tokens(EXPIRED))] {
        let before = fixture.work();
        let session = fixture.within(Duration::ZERO);
        expect_deadline_exceeded(ready(session.access_token()));
        expect_deadline_exceeded(ready(session.tokens()).map(drop));
        expect_deadline_exceeded(ready(session.refresh_rejected(&"first".into())));
        expect_deadline_exceeded(ready(session.start(&tokens(FRESH))));
        expect_deadline_exceeded(ready(session.sign_out()));
        expect_deadline_exceeded(ready(session.forget()));
        assert_eq!(fixture.work(), before);
    }
    // Nothing is left behind: no caller that waits, and no lock.
    let fixture = Fixture::started(&tokens(EXPIRED));
    expect_deadline_exceeded(ready(fixture.within(Duration::ZERO).access_token()));
    assert!(SessionStore::try_lock(&fixture.store.store, "ada").unwrap().is_some());
    expect_token(ready(fixture.within(LONG).access_token()), "second");
}

#[test]
fn a_waiter_whose_time_is_over_leaves_the_leader_and_later_callers_their_token() {
    let fixture = Fixture::started(&tokens(EXPIRED));
    fixture.client.gate.shut();
    let leader = thread::spawn({
        let session = fixture.session.clone();
        move || ready(session.access_token())
    });
    fixture.client.gate.expect_a_flow();
    for time in [SHORT, Duration::ZERO] {
        expect_deadline_exceeded(ready(fixture.within(time).access_token()));
    }
    fixture.client.gate.open();
    expect_token(leader.join().unwrap(), "second");
    expect_token(ready(fixture.within(Duration::ZERO).access_token()), "second");
    assert_eq!(fixture.work()[1], 1, "the refresh was sent once");
}

#[test]
fn a_leader_whose_time_is_over_leaves_its_flow_and_later_callers_their_token() {
    let fixture = Fixture::started(&tokens(EXPIRED));
    begin_refresh(&fixture.client, &fixture.session);
    let waiter = thread::spawn({
        let session = fixture.session.clone();
        move || ready(session.access_token())
    });
    fixture.client.gate.open();
    expect_token(waiter.join().unwrap(), "second");
    expect_token(ready(fixture.within(Duration::ZERO).access_token()), "second");
    assert_eq!(fixture.work()[1], 1, "the refresh was sent once");
}

#[test]
fn an_early_refresh_that_takes_too_long_leaves_the_caller_the_good_token() {
    let fixture = Fixture::started(&tokens(REFRESH_DUE));
    fixture.client.gate.shut();
    expect_token(ready(fixture.within(SHORT).access_token()), "first");
    fixture.client.gate.expect_a_flow();
    // The others do not wait for it.
    expect_token(ready(fixture.session.access_token()), "first");
    fixture.client.gate.open();
    ready(fixture.session.flush()).unwrap();
    expect_token(ready(fixture.session.access_token()), "second");
    assert_eq!(fixture.work()[1], 1, "the refresh was sent once");
}

#[test]
fn a_rejected_token_is_not_returned_when_the_time_is_over() {
    // Nothing has begun, so the memory does not know of the rejection.
    let fixture = Fixture::started(&tokens(FRESH));
    expect_deadline_exceeded(ready(fixture.within(Duration::ZERO).refresh_rejected(&"first".into())));
    // Nor does it while the flow of another caller is running, which saves a login here.
    fixture.store.gate.shut();
    let mut login = tokens(FRESH);
    login.access_token = "third".into();
    let starter = thread::spawn({
        let session = fixture.session.clone();
        move || ready(session.start(&login))
    });
    fixture.store.gate.expect_a_flow();
    expect_deadline_exceeded(ready(fixture.within(SHORT).refresh_rejected(&"first".into())));
    fixture.store.gate.open();
    starter.join().unwrap().unwrap();
    expect_token(ready(fixture.within(LONG).refresh_rejected(&"first".into())), "third");
    // Its own flow runs, and the memory knows.
    fixture.client.gate.shut();
    expect_deadline_exceeded(ready(fixture.within(SHORT).refresh_rejected(&"third".into())));
    expect_deadline_exceeded(ready(fixture.within(SHORT).access_token()));
    fixture.client.gate.open();
    expect_token(ready(fixture.session.access_token()), "second");
}

#[test]
fn a_start_whose_time_is_over_continues_and_the_next_one_is_done() {
    let fixture = Fixture::empty();
    fixture.store.gate.shut();
    let login = tokens(FRESH);
    expect_deadline_exceeded(ready(fixture.within(SHORT).start(&login)));
    fixture.store.gate.expect_a_flow();
    expect_deadline_exceeded(ready(fixture.within(SHORT).start(&login)));
    fixture.store.gate.open();
    ready(fixture.session.start(&login)).unwrap();
    expect_token(ready(fixture.within(Duration::ZERO).access_token()), "first");
    // The start that is done finds the login stored: it saves nothing, and nothing was sent.
    assert_eq!((fixture.store.saves.load(Ordering::SeqCst), fixture.client.sent.load(Ordering::SeqCst)), (1, 0));
}

#[test]
fn a_sign_out_whose_time_is_over_continues() {
    let fixture = Fixture::started(&tokens(FRESH));
    fixture.client.gate.shut();
    expect_deadline_exceeded(ready(fixture.within(SHORT).sign_out()));
    fixture.client.gate.expect_a_flow();
    expect_deadline_exceeded(ready(fixture.within(SHORT).access_token()));
    fixture.client.gate.open();
    ready(fixture.session.flush()).unwrap();
    let error = ready(fixture.session.access_token()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SignInRequired, "{error}");
}

#[test]
fn whether_a_user_is_signed_in_is_known_when_the_time_is_over_if_it_was_known_before() {
    let fixture = Fixture::started(&tokens(EXPIRED));
    fixture.client.gate.shut();
    assert!(ready(fixture.within(SHORT).is_signed_in()).unwrap());
    assert!(ready(fixture.within(Duration::ZERO).is_signed_in()).unwrap());
    fixture.client.gate.open();
    ready(fixture.session.flush()).unwrap();
    expect_deadline_exceeded(ready(Fixture::empty().within(Duration::ZERO).is_signed_in()));
}

#[test]
fn no_failure_takes_a_token_that_is_valid() {
    for (age, valid) in [(REFRESH_DUE, true), (EXPIRED, false)] {
        let fixture = Fixture::started(&tokens(age));
        fixture.client.no_threads.store(true, Ordering::SeqCst);
        let result = ready(fixture.session.access_token());
        assert_eq!(result.is_ok(), valid, "{result:?}");
        assert_eq!(
            ready(fixture.session.refresh_rejected(&"first".into())).unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        assert!(SessionStore::try_lock(&fixture.store.store, "ada").unwrap().is_some(), "a lock is left");
    }
}

#[test]
fn the_end_of_a_program_waits_for_a_response_and_its_save() {
    let Fixture { client, store, session } = Fixture::started(&tokens(EXPIRED));
    begin_refresh(&client, &session);
    let end = thread::spawn(move || drop(session));
    thread::sleep(SHORT);
    assert!(!end.is_finished(), "the response is not there");
    store.gate.shut();
    client.gate.open();
    store.gate.expect_a_flow();
    assert!(!end.is_finished(), "the pair is not saved");
    store.gate.open();
    end.join().unwrap();
    let mut lock = SessionStore::try_lock(&store.store, "ada").unwrap().expect("the lock is released");
    assert!(String::from_utf8_lossy(lock.load().unwrap().unwrap().as_bytes()).contains("second"));
}

/// The pair that the last response brings is tried once more, like one that was unsaved before.
#[test]
fn the_end_of_a_program_saves_a_pair_that_could_not_be_saved_at_first() {
    let Fixture { client, store, session } = Fixture::started(&tokens(EXPIRED));
    begin_refresh(&client, &session);
    store.failing_saves.store(1, Ordering::SeqCst);
    let end = thread::spawn(move || drop(session));
    thread::sleep(SHORT);
    client.gate.open();
    end.join().unwrap();
    assert_eq!(store.failing_saves.load(Ordering::SeqCst), 0);
    let mut lock = SessionStore::try_lock(&store.store, "ada").unwrap().expect("the lock is released");
    assert!(String::from_utf8_lossy(lock.load().unwrap().unwrap().as_bytes()).contains("second"));
}

/// Nothing could save it later. Other `SharedSessions` of this process can store another login then.
#[test]
fn the_end_of_a_program_releases_the_lock_of_a_pair_that_cannot_be_saved() {
    for no_threads in [false, true] {
        let Fixture { client, store, session } = Fixture::started(&tokens(EXPIRED));
        store.failing_saves.store(usize::MAX, Ordering::SeqCst);
        expect_token(ready(session.access_token()), "second");
        assert!(session.save_error().is_some());
        assert!(SessionStore::try_lock(&store.store, "ada").unwrap().is_none(), "the lock is held for the pair");
        client.no_threads.store(no_threads, Ordering::SeqCst);
        let saves = usize::MAX - store.failing_saves.load(Ordering::SeqCst);
        drop(session);
        let saves_at_the_end = usize::MAX - store.failing_saves.load(Ordering::SeqCst) - saves;
        assert_eq!(saves_at_the_end, usize::from(!no_threads));
        assert!(SessionStore::try_lock(&store.store, "ada").unwrap().is_some(), "without a thread: {no_threads}");
    }
}

/// Where the last handle does not wait, its flow continues, and may come to an unsaved pair afterwards.
#[test]
fn a_pair_that_cannot_be_saved_after_the_last_handle_keeps_no_lock() {
    let Fixture { client, store, session } = Fixture::started(&tokens(EXPIRED));
    begin_refresh(&client, &session);
    store.failing_saves.store(usize::MAX, Ordering::SeqCst);
    // The save of the pair drops the last handle, and then fails.
    *store.drops.lock().unwrap() = Some(session);
    client.gate.open();
    let since = Instant::now();
    while store.drops.lock().unwrap().is_some() || SessionStore::try_lock(&store.store, "ada").unwrap().is_none() {
        assert!(since.elapsed() < WAITED, "the lock is not released");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_session_that_hangs_takes_no_time_from_the_flush_of_the_others() {
    let Fixture { client, store, session } = Fixture::started(&tokens(EXPIRED));
    let sessions = session.sessions();
    let others: Vec<_> = ["bob", "eve"].map(|name| sessions.session(name)).into();
    for other in &others {
        ready(other.start(&tokens(EXPIRED))).unwrap();
        store.failing_saves.store(1, Ordering::SeqCst);
        expect_token(ready(other.access_token()), "second");
        assert!(other.save_error().is_some());
    }
    begin_refresh(&client, &session);
    let flush = thread::spawn({
        let sessions = sessions.clone();
        move || ready(sessions.flush())
    });
    let since = Instant::now();
    while others.iter().any(|other| other.save_error().is_some()) {
        assert!(since.elapsed() < LONG / 2, "the others are not flushed");
        thread::sleep(Duration::from_millis(1));
    }
    assert!(!flush.is_finished());
    client.gate.open();
    flush.join().unwrap().unwrap();
}

/// The flow would send after its intent is saved, and is aborted instead.
#[test]
fn the_end_of_a_program_lets_no_more_requests_begin() {
    let Fixture { client, store, session } = Fixture::started(&tokens(EXPIRED));
    store.gate.shut();
    expect_deadline_exceeded(ready(session.within(SHORT).access_token()));
    store.gate.expect_a_flow();
    let since = Instant::now();
    drop(session);
    assert!(since.elapsed() < LONG / 2, "{:?}", since.elapsed());
    store.gate.open();
    while SessionStore::try_lock(&store.store, "ada").unwrap().is_none() {
        assert!(since.elapsed() < LONG, "the lock is not released");
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(client.sent.load(Ordering::SeqCst), 0);
}

#[test]
fn the_end_of_a_program_does_not_wait_for_the_next_attempt() {
    let Fixture { client, session, .. } = Fixture::started(&tokens(EXPIRED));
    client.no_network.store(true, Ordering::SeqCst);
    expect_deadline_exceeded(ready(session.within(4 * SHORT).access_token()));
    let since = Instant::now();
    drop(session);
    assert!(since.elapsed() < LONG / 4, "{:?}", since.elapsed());
}

/// Less than the last handle waits for a flow that does not end.
const WAITED: Duration = Duration::from_secs(10);

/// The thread of a flow, or of its callback, would wait for itself.
#[test]
fn the_last_handle_does_not_wait_where_a_flow_or_a_callback_drops_it() {
    for in_callback in [false, true] {
        let Fixture { client, store, session } = Fixture::started(&tokens(FRESH));
        drop(session);
        let (began, dropped) = (Instant::now(), Arc::new(Mutex::new(None::<SharedSession<Threads>>)));
        let in_event = Arc::clone(&dropped);
        let on_event = move |_: &str, _: &SessionEvent| drop(in_event.lock().unwrap().take());
        let settings = SessionSettings::default().with_on_event(Box::new(on_event));
        let boxed = Box::new(BlockingStore::new(store.clone()));
        let session = SharedSessions::new(client.clone(), boxed, settings).session("ada");
        client.gate.shut();
        expect_deadline_exceeded(ready(session.within(SHORT).refresh_rejected(&"first".into())));
        client.gate.expect_a_flow();
        *(if in_callback { &dropped } else { &store.drops }).lock().unwrap() = Some(session);
        client.gate.open();
        let is_saved = || {
            let lock = SessionStore::try_lock(&store.store, "ada").unwrap();
            let record = lock.and_then(|mut lock| lock.load().unwrap());
            record.is_some_and(|record| String::from_utf8_lossy(record.as_bytes()).contains("next"))
        };
        while !is_saved() || dropped.lock().unwrap().is_some() {
            assert!(began.elapsed() < WAITED, "in a callback: {in_callback}");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
