use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::http::{Request, Response};
use loginradius_proto::session::{
    Expected, LoadError, SaveError, SessionEvent, SessionFlow, SessionMemory, SessionOutcome, SessionPolicy,
    StoredRecord,
};
use loginradius_proto::{AccessToken, App, Body, Error, ErrorKind, Retry, Seed, SendOptions, TokenSet};

use super::{OutcomeCell, Runtime, SessionSettings, SharedSession, SharedSessions, Transport, drive};
use crate::blocking::BlockingStore;
use crate::memory::MemoryStore;
use crate::store::{AsyncSessionStore, SessionLock, SessionStore};

/// The wait between two attempts, of which the jitter takes up to a quarter off.
const WAIT: Duration = Duration::from_millis(40);

/// A client whose server gives these responses, and whose futures are ready at once.
#[derive(Clone)]
struct Scripted {
    app: App,
    responses: Arc<Mutex<VecDeque<Result<&'static str, Error>>>>,
    /// How long each of its waits was.
    waits: Arc<Mutex<Vec<Duration>>>,
    /// Until when the last caller waited for an outcome.
    deadline: Arc<Mutex<Option<Instant>>>,
    /// How often a caller was admitted.
    admissions: Arc<AtomicUsize>,
    /// Whether flows are dropped in place of being run.
    drops_flows: Arc<AtomicBool>,
}

impl Scripted {
    fn new(responses: impl IntoIterator<Item = Result<&'static str, Error>>) -> Self {
        Self {
            app: App::new("my-client-id").with_client_secret("my-client-secret"),
            responses: Arc::new(Mutex::new(responses.into_iter().collect())),
            waits: Arc::default(),
            deadline: Arc::default(),
            admissions: Arc::default(),
            drops_flows: Arc::default(),
        }
    }

    fn sessions(&self, store: impl AsyncSessionStore) -> SharedSessions<Self> {
        let retry = Retry::default().with_attempts(2).with_first_wait(WAIT).with_max_wait(WAIT);
        let policy = SessionPolicy::default().with_retry(retry);
        SharedSessions::new(self.clone(), Box::new(store), SessionSettings::default().with_policy(policy))
    }
}

impl Transport for Scripted {
    async fn send(&self, _: Request<Body>, _: SendOptions) -> Result<Response<Body>, Error> {
        let response = self.responses.lock().unwrap().pop_front().expect("a response");
        response.map(|body| Response::new(Body::from(body)))
    }

    async fn sleep_until(&self, until: Instant) {
        let wait = until.saturating_duration_since(Instant::now());
        self.waits.lock().unwrap().push(wait);
        std::thread::sleep(wait);
    }
}

impl Runtime for Scripted {
    type OutcomeCell = Cell;

    fn app(&self) -> &App {
        self.admissions.fetch_add(1, Ordering::SeqCst);
        &self.app
    }

    fn lead(&self, flow: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        if !self.drops_flows.load(Ordering::SeqCst) {
            ready(flow);
        }
        Ok(())
    }

    async fn wait(&self, cell: &Cell, deadline: Instant) -> Option<SessionOutcome> {
        *self.deadline.lock().unwrap() = Some(deadline);
        Some(cell.0.lock().unwrap().clone().expect("the flow has run"))
    }
}

#[derive(Clone, Default)]
struct Cell(Arc<Mutex<Option<SessionOutcome>>>);

impl OutcomeCell for Cell {
    fn set(&self, outcome: SessionOutcome) {
        assert!(self.0.lock().unwrap().replace(outcome).is_none(), "an outcome is set once");
    }
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn tokens() -> TokenSet {
    let mut tokens = TokenSet::new("first");
    tokens.refresh_token = Some("refresh".into());
    tokens
}

/// Starts a session of a client whose server gives these responses afterwards.
fn started(
    responses: impl IntoIterator<Item = Result<&'static str, Error>>,
) -> (Scripted, MemoryStore, SharedSession<Scripted>) {
    let (client, store) = (Scripted::new(responses), MemoryStore::new());
    let session = client.sessions(store.clone()).session("ada");
    ready(session.start(&tokens())).unwrap();
    (client, store, session)
}

fn is_locked(store: &MemoryStore) -> bool {
    SessionStore::try_lock(store, "ada").unwrap().is_none()
}

fn kind(result: Result<AccessToken, Error>) -> ErrorKind {
    result.expect_err("an error").kind()
}

#[test]
fn what_the_memory_says_is_returned_without_an_admission() {
    let (client, _, session) = started([Err(Error::not_sent("off")), Err(Error::not_sent("off"))]);
    let admissions = || client.admissions.load(Ordering::SeqCst);
    assert_eq!(admissions(), 1);
    assert_eq!(ready(session.access_token()).unwrap().expose(), "first");
    assert_eq!(admissions(), 1, "for a token that is fresh");
    assert_eq!(kind(ready(session.refresh_rejected(&"first".into()))), ErrorKind::Unavailable);
    assert_eq!(admissions(), 2);
    assert_eq!(kind(ready(session.access_token())), ErrorKind::Unavailable);
    assert_eq!(admissions(), 2, "for the error of a backoff");
}

#[test]
fn a_flow_waits_as_long_as_it_says() {
    let refreshed = r#"{"access_token":"second","refresh_token":"next"}"#;
    let (client, _, session) = started([Err(Error::not_sent("off")), Ok(refreshed)]);
    assert_eq!(ready(session.refresh_rejected(&"first".into())).unwrap().expose(), "second");
    // A single wait: after one that is too short the flow would wait again.
    let waits = client.waits.lock().unwrap();
    assert!(waits.len() == 1 && waits[0] > WAIT / 2, "{waits:?}");
}

/// The sum of an instant and a longer time may not be one.
#[test]
fn a_caller_waits_for_a_century_at_most() {
    let (client, _, session) = started([]);
    let years = |count: u64| Duration::from_secs(count * 365 * 24 * 3600);
    for time in [years(100), years(1000), Duration::MAX] {
        let called = Instant::now();
        ready(session.within(time).start(&tokens())).unwrap();
        let deadline = client.deadline.lock().unwrap().take().expect("it waits");
        assert!((called + years(100)..Instant::now() + years(101)).contains(&deadline), "{time:?}");
    }
}

#[test]
fn a_flow_that_is_not_run_is_aborted() {
    let refreshed = r#"{"access_token":"second","refresh_token":"next"}"#;
    let (client, store, session) = started([Ok(refreshed)]);
    client.drops_flows.store(true, Ordering::SeqCst);
    assert_eq!(kind(ready(session.refresh_rejected(&"first".into()))), ErrorKind::Unavailable);
    assert_eq!(ready(session.sign_out()).unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!is_locked(&store));
    client.drops_flows.store(false, Ordering::SeqCst);
    assert_eq!(ready(session.access_token()).unwrap().expose(), "second");
}

#[test]
fn a_session_that_no_caller_has_is_forgotten() {
    let (client, store) = (Scripted::new([]), MemoryStore::new());
    let sessions = client.sessions(store.clone());
    let session = sessions.session("ada");
    let _other = sessions.session("bob");
    ready(session.start(&tokens())).unwrap();
    assert_eq!(sessions.known(), 2);
    drop(session.clone());
    assert_eq!(sessions.known(), 2, "a handle is left");
    drop(session);
    assert_eq!(sessions.known(), 1);
}

// Whether a user is signed in, and until when the token is valid

#[test]
fn a_user_is_signed_in_from_the_start_to_the_sign_out() {
    let (client, store) = (Scripted::new([Ok("{}")]), MemoryStore::new());
    let session = client.sessions(store.clone()).session("ada");
    assert!(!ready(session.is_signed_in()).unwrap());
    ready(session.start(&tokens())).unwrap();
    assert!(ready(session.is_signed_in()).unwrap());
    // Another process loads the record first.
    assert!(ready(client.sessions(store).session("ada").is_signed_in()).unwrap());
    ready(session.sign_out()).unwrap();
    assert!(!ready(session.is_signed_in()).unwrap());
}

#[test]
fn a_user_is_not_signed_in_after_a_rejection() {
    let (_, _, session) = started([Ok(r#"{"error":"invalid_grant"}"#)]);
    assert_eq!(kind(ready(session.refresh_rejected(&"first".into()))), ErrorKind::SignInRequired);
    assert!(!ready(session.is_signed_in()).unwrap());
}

#[test]
fn a_user_is_signed_in_while_login_radius_cannot_be_reached() {
    let not_sent = || Err(Error::not_sent("off"));
    let (client, store, session) = started([not_sent(), not_sent()]);
    assert_eq!(kind(ready(session.refresh_rejected(&"first".into()))), ErrorKind::Unavailable);
    assert_eq!(kind(ready(session.access_token())), ErrorKind::Unavailable);
    assert!(ready(session.is_signed_in()).unwrap());

    // Another process loads the record, and the access token has expired.
    let mut expired = tokens();
    expired.expires_in = Some(Duration::from_millis(1));
    ready(client.sessions(store.clone()).session("bob").start(&expired)).unwrap();
    std::thread::sleep(Duration::from_millis(2));
    client.responses.lock().unwrap().extend([not_sent(), not_sent()]);
    assert!(ready(client.sessions(store).session("bob").is_signed_in()).unwrap());
}

#[test]
fn whether_a_user_is_signed_in_is_an_error_if_the_store_fails_before_it_is_known() {
    let store = Unreliable::default();
    let session = Scripted::new([]).sessions(BlockingStore::new(store.clone())).session("ada");
    store.fails.store(true, Ordering::SeqCst);
    assert_eq!(ready(session.is_signed_in()).unwrap_err().kind(), ErrorKind::Unavailable);
    store.fails.store(false, Ordering::SeqCst);
    ready(session.start(&tokens())).unwrap();
    store.fails.store(true, Ordering::SeqCst);
    assert!(ready(session.is_signed_in()).unwrap(), "the token in memory is valid");
    store.fails.store(false, Ordering::SeqCst);
    // The record may be there or not, and the store does not say which.
    assert_eq!(ready(session.forget()).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(ready(session.is_signed_in()).unwrap_err().kind(), ErrorKind::Unavailable);
    store.fails.store(false, Ordering::SeqCst);
    assert!(ready(session.is_signed_in()).unwrap(), "the record is there");
}

#[test]
fn the_end_of_the_token_is_known_from_the_first_load_to_the_end_of_the_session() {
    const LIFETIME: Duration = Duration::from_secs(600);
    let (client, store) = (Scripted::new([]), MemoryStore::new());
    let session = client.sessions(store.clone()).session("ada");
    assert_eq!(session.expires_at(), None);
    // A record has whole milliseconds.
    let earliest = SystemTime::now() + LIFETIME - Duration::from_millis(1);
    let mut tokens = tokens();
    tokens.expires_in = Some(LIFETIME);
    ready(session.start(&tokens)).unwrap();
    let expires_at = session.expires_at().unwrap();
    assert!(expires_at >= earliest && expires_at <= SystemTime::now() + LIFETIME, "{expires_at:?}");

    let in_another_process = client.sessions(store).session("ada");
    assert_eq!(in_another_process.expires_at(), None, "this does not use the store");
    ready(in_another_process.access_token()).unwrap();
    assert_eq!(in_another_process.expires_at(), Some(expires_at));
    ready(session.forget()).unwrap();
    assert_eq!(session.expires_at(), None);
}

#[test]
fn an_unknown_lifetime_has_no_end() {
    let (_, _, session) = started([]);
    assert_eq!(session.expires_at(), None);
}

/// A store that loads nothing while it fails. A clear makes it fail, and has an unknown outcome.
#[derive(Clone, Default)]
struct Unreliable {
    store: MemoryStore,
    fails: Arc<AtomicBool>,
}

struct UnreliableLock(Box<dyn SessionLock>, Arc<AtomicBool>);

impl SessionStore for Unreliable {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        let lock = SessionStore::try_lock(&self.store, name)?;
        Ok(lock.map(|lock| Box::new(UnreliableLock(lock, self.fails.clone())) as _))
    }
}

impl SessionLock for UnreliableLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        if self.1.load(Ordering::SeqCst) {
            return Err(LoadError::Failed(broken()));
        }
        self.0.load()
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        self.0.save(record, expected)
    }

    fn clear(&mut self, _: Expected) -> Result<(), SaveError> {
        self.1.store(true, Ordering::SeqCst);
        Err(SaveError::Unknown(broken()))
    }

    fn is_held(&self) -> bool {
        self.0.is_held()
    }
}

fn broken() -> Error {
    Error::unavailable("the connection to the database broke: try again later", "a test")
}

// The retained lock

/// A store on which only an intent to refresh can be saved as long as it is full.
struct FullDisk {
    store: MemoryStore,
    is_full: Arc<AtomicBool>,
}

struct FullDiskLock(Box<dyn SessionLock>, Arc<AtomicBool>);

impl FullDisk {
    fn new(store: &MemoryStore) -> Self {
        Self { store: store.clone(), is_full: Arc::new(AtomicBool::new(true)) }
    }
}

impl SessionStore for FullDisk {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        let lock = SessionStore::try_lock(&self.store, name)?;
        Ok(lock.map(|lock| Box::new(FullDiskLock(lock, self.is_full.clone())) as _))
    }
}

impl SessionLock for FullDiskLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        self.0.load()
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        let is_intent = String::from_utf8_lossy(record.as_bytes()).contains(r#""intent":"#);
        match is_intent || !self.1.load(Ordering::SeqCst) {
            true => self.0.save(record, expected),
            false => Err(SaveError::Failed(Error::unavailable("the disk is full", "a test"))),
        }
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        self.0.clear(expected)
    }

    fn is_held(&self) -> bool {
        self.0.is_held()
    }
}

#[test]
fn without_the_retained_lock_nothing_is_saved_until_the_memory_knows() {
    let (client, store, _) = started([Ok(r#"{"access_token":"second","refresh_token":"next"}"#)]);
    let mut memory = SessionMemory::default();
    memory.reject(&"first".into());
    let mut lock = None;
    let refresh = |memory| SessionFlow::refresh(&client.app, SessionPolicy::default(), memory, Seed(1));
    let full = BlockingStore::new(FullDisk::new(&store));
    let end = ready(drive(&mut refresh(memory), &full, "ada", &mut lock, &client));
    assert_eq!(end.result.unwrap().unwrap().expose(), "second");
    assert!(lock.is_some() && end.memory.retains_lock());

    drop(lock);
    let mut end = ready(drive(&mut refresh(end.memory), &store, "ada", &mut None, &client));
    assert!(end.memory.save_error().is_some(), "a save without the lock is no save");
    end.memory.set_lock_lost();
    let end = ready(drive(&mut refresh(end.memory), &store, "ada", &mut None, &client));
    assert!(end.memory.save_error().is_none() && !is_locked(&store));
    let end = ready(drive(&mut refresh(SessionMemory::default()), &store, "ada", &mut None, &client));
    assert_eq!(end.result.unwrap().unwrap().expose(), "second");
}

#[test]
fn unsaved_tokens_outlive_their_handles_until_they_are_saved() {
    for is_dropped in [false, true] {
        let (client, store, _) = started([Ok(r#"{"access_token":"second","refresh_token":"next"}"#)]);
        let disk = FullDisk::new(&store);
        let is_full = disk.is_full.clone();
        let sessions = client.sessions(BlockingStore::new(disk));
        let token = ready(sessions.session("ada").refresh_rejected(&"first".into())).unwrap();
        assert_eq!(token.expose(), "second");
        assert!(sessions.session("ada").save_error().is_some(), "no caller had the session in between");

        assert!(ready(sessions.flush()).is_err());
        is_full.store(false, Ordering::SeqCst);
        if !is_dropped {
            ready(sessions.flush()).unwrap();
            assert!(sessions.session("ada").save_error().is_none());
        }
        drop(sessions);
        let other = client.sessions(store).session("ada");
        assert_eq!(ready(other.access_token()).unwrap().expose(), "second");
    }
}

/// The end of the program would not wait for the response long enough.
#[test]
fn the_last_handle_saves_what_is_unsaved_and_does_not_refresh_it() {
    let response = |tokens| Ok(tokens);
    let second = response(r#"{"access_token":"second","refresh_token":"next"}"#);
    let (client, store, _) = started([second, response(r#"{"access_token":"third","refresh_token":"last"}"#)]);
    let disk = FullDisk::new(&store);
    let is_full = disk.is_full.clone();
    let sessions = client.sessions(BlockingStore::new(disk));
    let session = sessions.session("ada");
    let token = ready(session.refresh_rejected(&"first".into())).unwrap();
    ready(session.refresh_rejected(&token)).unwrap_err();
    is_full.store(false, Ordering::SeqCst);
    drop((session, sessions));
    assert_eq!(client.responses.lock().unwrap().len(), 1, "it was refreshed");
    let session = client.sessions(store).session("ada");
    assert_eq!(ready(session.access_token()).unwrap().expose(), "second");
}

// Settings

#[test]
fn events_that_no_callback_gets_are_not_kept() {
    let refreshed = r#"{"access_token":"second","refresh_token":"next"}"#;
    let (_, _, session) = started([Ok(refreshed), Err(Error::not_sent("off")), Err(Error::not_sent("off"))]);
    ready(session.refresh_rejected(&"first".into())).unwrap();
    ready(session.refresh_rejected(&"second".into())).unwrap_err();
    assert!(!session.has_events());
}

#[test]
fn each_event_is_delivered_with_the_name_of_its_session() {
    let client = Scripted::new([Ok(r#"{"access_token":"second","refresh_token":"next"}"#)]);
    let events = Arc::new(Mutex::new(Vec::new()));
    let delivered = events.clone();
    let on_event = move |name: &str, event: &SessionEvent| delivered.lock().unwrap().push(format!("{name} {event:?}"));
    let settings = SessionSettings::default().with_on_event(Box::new(on_event));
    let session = SharedSessions::new(client, Box::new(MemoryStore::new()), settings).session("ada");
    assert_eq!(session.name(), "ada");
    ready(session.start(&tokens())).unwrap();
    ready(session.refresh_rejected(&"first".into())).unwrap();
    assert_eq!(*events.lock().unwrap(), ["ada Started", "ada Refreshed"]);
}

#[test]
fn debug_shows_the_policy_and_the_name() {
    let policy = SessionPolicy::default().with_retry(Retry::default().with_attempts(2));
    let settings = SessionSettings::default().with_policy(policy).with_on_event(Box::new(|_, _| {}));
    let shown = format!("SessionSettings {{ policy: {policy:?}, .. }}");
    assert_eq!(format!("{settings:?}"), shown);
    let sessions = SharedSessions::new(Scripted::new([]), Box::new(MemoryStore::new()), settings);
    assert_eq!(format!("{sessions:?}"), format!("SharedSessions {{ settings: {shown}, .. }}"));
    assert_eq!(format!("{:?}", sessions.session("ada")), r#"SharedSession { name: "ada", .. }"#);
}

/// A store whose peeks are of an earlier time than its loads, and whose lock may be lost in a load.
#[derive(Clone)]
struct Behind {
    store: MemoryStore,
    peeked: Option<StoredRecord>,
    /// Another holder saves this after the load.
    saved_after_load: Option<StoredRecord>,
}

struct BehindLock(Box<dyn SessionLock>, Option<StoredRecord>);

impl SessionStore for Behind {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        let lock = SessionStore::try_lock(&self.store, name)?;
        Ok(lock.map(|lock| Box::new(BehindLock(lock, self.saved_after_load.clone())) as _))
    }

    fn peek(&self, _: &str) -> Option<StoredRecord> {
        self.peeked.clone()
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        SessionStore::names(&self.store, prefix, after)
    }
}

impl SessionLock for BehindLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        let found = self.0.load()?;
        if let Some(next) = &self.1 {
            let expected = found.as_ref().map(StoredRecord::generation);
            self.0.save(next, expected.map_or(Expected::Nothing, Expected::Generation)).unwrap();
        }
        Ok(found)
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        self.0.save(record, expected)
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        self.0.clear(expected)
    }
}

fn record_of(generation: u64, obtained_at: SystemTime) -> StoredRecord {
    let millis = obtained_at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    StoredRecord::from_bytes(format!(
        r#"{{"version":1,"generation":{generation},"client_id":"c","sign_in":1,"access_token":"a",
        "obtained_at_unix_ms":{millis}}}"#
    ))
}

/// A login may come between the look without the lock and the lock, and a lease may lapse after that.
#[test]
fn a_purge_removes_what_it_loaded_and_nothing_else() {
    const HOUR: Duration = Duration::from_secs(3600);
    let now = SystemTime::now();
    let (old, new) = (record_of(1, now - 2 * HOUR), record_of(2, now));
    let damaged = StoredRecord::from_bytes(*b"half a rec");
    let rows = [
        // What a peek returns, what is stored, what another holder saves after the load; removed, skipped, what is left
        (Some(&old), &old, None, (1, 0), None),
        (None, &old, None, (1, 0), None),
        (Some(&old), &new, None, (0, 0), Some(&new)),
        (Some(&new), &old, None, (0, 0), Some(&old)),
        (Some(&old), &old, Some(&new), (0, 1), Some(&new)),
        (Some(&old), &damaged, None, (0, 0), Some(&damaged)),
        (None, &damaged, None, (0, 0), Some(&damaged)),
    ];
    for (row, (peeked, stored, saved_after_load, counts, left)) in rows.into_iter().enumerate() {
        let store = MemoryStore::new();
        let mut lock = SessionStore::try_lock(&store, "ada").unwrap().unwrap();
        lock.save(stored, Expected::Nothing).unwrap();
        drop(lock);
        let behind =
            Behind { store: store.clone(), peeked: peeked.cloned(), saved_after_load: saved_after_load.cloned() };
        let purged = ready(Scripted::new([]).sessions(BlockingStore::new(behind)).purge(HOUR)).unwrap();
        assert_eq!((purged.removed, purged.skipped), counts, "row {row}");
        assert_eq!(SessionStore::peek(&store, "ada").as_ref(), left, "row {row}");
        assert!(!is_locked(&store), "row {row}");
    }
}

#[test]
fn a_store_whose_pages_are_in_another_order_is_an_error_and_not_without_an_end() {
    struct Disordered(&'static [&'static str]);
    impl SessionStore for Disordered {
        fn try_lock(&self, _: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
            Ok(None)
        }

        fn names(&self, _: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
            let names =
                self.0.iter().filter(|name| after.is_none_or(|after| name.to_lowercase() > after.to_lowercase()));
            Ok(names.map(|name| (*name).to_owned()).collect())
        }
    }
    for names in [&["a", "B", "c"][..], &["a", "B"], &["b", "a"]] {
        let sessions = Scripted::new([]).sessions(BlockingStore::new(Disordered(names)));
        let error = ready(sessions.names("")).unwrap_err();
        assert!(error.kind() == ErrorKind::Misuse && error.to_string().contains("another order"), "{error}");
    }
    let sessions = Scripted::new([]).sessions(BlockingStore::new(Disordered(&["B", "a"])));
    assert_eq!(
        ready(sessions.names("")).unwrap_err().kind(),
        ErrorKind::Misuse,
        "`a` comes after `B`, and is listed again"
    );
}

/// As where no thread can be started, or if the store panics.
#[test]
fn a_list_that_is_not_made_is_an_error() {
    let client = Scripted::new([]);
    let sessions = client.sessions(MemoryStore::new());
    client.drops_flows.store(true, Ordering::SeqCst);
    assert_eq!(ready(sessions.names("")).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(ready(sessions.purge(Duration::ZERO)).unwrap_err().kind(), ErrorKind::Unavailable);
    client.drops_flows.store(false, Ordering::SeqCst);
    assert!(ready(sessions.names("")).unwrap().is_empty());
}
