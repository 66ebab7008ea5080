//! What a flow does if its lock is a lease, and is not held any more when the request is about to be sent: nothing
//! leaves, and the flow begins again at the lock.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use loginradius_proto::http::{Request, Response};
use loginradius_proto::session::{
    Expected, LoadError, SaveError, SessionEnd, SessionEvent, SessionFlow, SessionMemory, SessionPolicy, StoredRecord,
};
use loginradius_proto::{App, Body, Error, ErrorKind, Seed, SendOptions, TokenSet};

use super::{Transport, drive};
use crate::blocking::BlockingStore;
use crate::memory::MemoryStore;
use crate::store::{SessionLock, SessionStore};

/// A store whose next locks lapse before their holder sends.
#[derive(Clone, Default)]
struct Leases {
    store: MemoryStore,
    lapses: Arc<AtomicUsize>,
    /// Whether the lease of a lock that lapsed is renewed afterwards, before another holder takes it.
    are_renewed: bool,
    /// What another process does as soon as it can take the lock.
    meanwhile: Arc<Mutex<Option<Act>>>,
}

type Act = Box<dyn FnOnce() + Send>;

struct Lease {
    /// `None` once another holder could take it.
    lock: Mutex<Option<Box<dyn SessionLock>>>,
    store: Leases,
}

impl SessionStore for Leases {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        let lock = SessionStore::try_lock(&self.store, name)?;
        Ok(lock.map(|lock| Box::new(Lease { lock: Mutex::new(Some(lock)), store: self.clone() }) as _))
    }
}

impl SessionLock for Lease {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        match self.lock.get_mut().unwrap() {
            Some(lock) => lock.load(),
            None => Ok(SessionStore::peek(&self.store.store, "ada")),
        }
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        self.lock.get_mut().unwrap().as_mut().map_or(Err(SaveError::Conflict), |lock| lock.save(record, expected))
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        self.lock.get_mut().unwrap().as_mut().map_or(Err(SaveError::Conflict), |lock| lock.clear(expected))
    }

    fn is_held(&self) -> bool {
        let lapse = |left: usize| left.checked_sub(1);
        if self.store.lapses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lapse).is_ok() {
            if !self.store.are_renewed {
                drop(self.lock.lock().unwrap().take());
            }
            if let Some(act) = self.store.meanwhile.lock().unwrap().take() {
                act();
            }
            return false;
        }
        self.lock.lock().unwrap().as_ref().is_some_and(|lock| lock.is_held())
    }
}

/// A server that refreshes and revokes whatever it gets.
#[derive(Clone)]
struct Server {
    app: App,
    /// The last segment of the path of each request.
    sent: Arc<Mutex<Vec<String>>>,
}

impl Transport for Server {
    async fn send(&self, request: Request<Body>, _: SendOptions) -> Result<Response<Body>, Error> {
        let operation = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let mut sent = self.sent.lock().unwrap();
        sent.push(operation);
        let number = sent.len();
        let pair = format!(r#"{{"access_token":"a{number}","expires_in":600,"refresh_token":"r{number}"}}"#);
        Ok(Response::new(Body::from(pair)))
    }

    async fn sleep_until(&self, until: Instant) {
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

struct Process {
    server: Server,
    store: Leases,
    memory: SessionMemory,
}

impl Process {
    /// A process whose session has a token of that age.
    fn new(age: u64, are_renewed: bool) -> Self {
        let app = App::new("my-client-id").with_client_secret("my-client-secret");
        let server = Server { app, sent: Arc::default() };
        let store = Leases { are_renewed, ..Leases::default() };
        let mut process = Self { server, store, memory: SessionMemory::default() };
        let mut tokens = TokenSet::new("first");
        tokens.refresh_token = Some("refresh".into());
        tokens.expires_in = Some(Duration::from_secs(60));
        tokens.requested_at = Instant::now().checked_sub(Duration::from_secs(age));
        process.run(|app, memory| SessionFlow::start(app, policy(), memory, &tokens, Seed(1))).result.unwrap();
        process
    }

    /// Another process, which has the same store and the same server.
    fn another(&self) -> Self {
        let store = Leases { store: self.store.store.clone(), ..Leases::default() };
        Self { server: self.server.clone(), store, memory: SessionMemory::default() }
    }

    fn run(&mut self, flow: impl FnOnce(&App, SessionMemory) -> SessionFlow) -> SessionEnd {
        let mut flow = flow(&self.server.app, self.memory.clone());
        let (store, mut lock) = (BlockingStore::new(self.store.clone()), None);
        let drive = pin!(drive(&mut flow, &store, "ada", &mut lock, &self.server));
        let Poll::Ready(end) = drive.poll(&mut Context::from_waker(Waker::noop())) else { panic!("it waits") };
        self.memory = end.memory.clone();
        end
    }

    fn refresh(&mut self) -> SessionEnd {
        self.run(|app, memory| SessionFlow::refresh(app, policy(), memory, Seed(2)))
    }

    fn sign_out(&mut self) -> SessionEnd {
        self.run(|app, memory| SessionFlow::sign_out(app, policy(), memory, Seed(3)))
    }

    fn lapses(&self, times: usize) {
        self.store.lapses.store(times, Ordering::SeqCst);
    }

    fn meanwhile(&self, act: impl FnOnce() + Send + 'static) {
        *self.store.meanwhile.lock().unwrap() = Some(Box::new(act));
    }

    fn sent(&self) -> Vec<String> {
        self.server.sent.lock().unwrap().clone()
    }

    fn stored(&self) -> Option<String> {
        let record = SessionStore::peek(&self.store.store, "ada")?;
        Some(String::from_utf8_lossy(record.as_bytes()).into_owned())
    }

    fn stores_no_backoff(&self) {
        assert!(self.stored().is_none_or(|record| !record.contains(r#""hold""#)), "{:?}", self.stored());
    }
}

/// The ages in seconds, of a token with a lifetime of 60 s, at which it is not valid any more, and is refreshed early.
const EXPIRED: u64 = 61;
const DUE: u64 = 56;

fn policy() -> SessionPolicy {
    SessionPolicy::default()
}

fn token(end: SessionEnd) -> String {
    end.result.unwrap().expect("a token").expose().to_owned()
}

#[test]
fn a_refresh_is_sent_once_the_lock_is_held_again() {
    for (age, are_renewed) in [(EXPIRED, false), (EXPIRED, true), (DUE, false), (DUE, true)] {
        let mut process = Process::new(age, are_renewed);
        process.lapses(1);
        let begun = Instant::now();
        let end = process.refresh();
        assert!(
            !end.events.iter().any(|event| matches!(event, SessionEvent::RequestFailed { .. })),
            "{:?}",
            end.events
        );
        assert_eq!(token(end), "a1", "{age} {are_renewed}");
        assert!(begun.elapsed() < Duration::from_millis(500), "it backs off for {:?}", begun.elapsed());
        assert_eq!(process.sent(), ["refresh"]);
        process.stores_no_backoff();
        assert!(!process.stored().unwrap().contains("intent"), "{:?}", process.stored());
    }
}

#[test]
fn what_another_holder_refreshed_meanwhile_is_adopted() {
    for age in [EXPIRED, DUE] {
        let mut process = Process::new(age, false);
        process.lapses(1);
        let mut another = process.another();
        process.meanwhile(move || assert_eq!(token(another.refresh()), "a1"));
        assert_eq!(token(process.refresh()), "a1");
        assert_eq!(process.sent(), ["refresh"], "the other holder's alone");
        process.stores_no_backoff();
    }
}

#[test]
fn a_session_that_was_signed_out_meanwhile_has_ended() {
    let mut process = Process::new(EXPIRED, false);
    process.lapses(1);
    let mut another = process.another();
    process.meanwhile(move || assert!(another.sign_out().result.is_ok()));
    assert_eq!(process.refresh().result.unwrap_err().kind(), ErrorKind::SignInRequired);
    assert_eq!(process.sent(), ["revoke"]);
    assert_eq!(process.stored(), None);
}

#[test]
fn a_sign_out_is_sent_once_the_lock_is_held_again() {
    for (age, are_renewed) in [(EXPIRED, false), (EXPIRED, true), (DUE, false), (DUE, true)] {
        let mut process = Process::new(age, are_renewed);
        process.lapses(1);
        let end = process.sign_out();
        assert!(end.result.is_ok(), "{age} {are_renewed}: {:?}", end.result);
        assert_eq!(process.sent(), ["revoke"]);
        assert_eq!(process.stored(), None);
    }
}

#[test]
fn a_login_that_was_stored_meanwhile_is_not_signed_out() {
    let mut process = Process::new(DUE, false);
    process.lapses(1);
    let mut another = process.another();
    process.meanwhile(move || {
        let mut tokens = TokenSet::new("another-login");
        tokens.refresh_token = Some("refresh-of-another-login".into());
        another.run(|app, memory| SessionFlow::start(app, policy(), memory, &tokens, Seed(4))).result.unwrap();
    });
    assert!(process.sign_out().result.is_ok());
    assert!(process.sent().is_empty());
    assert!(process.stored().unwrap().contains("another-login"));
}

/// As in a process that stands still again and again, or whose renewals all fail.
#[test]
fn a_lock_that_is_never_held_is_an_error_and_nothing_is_sent() {
    for (age, are_renewed) in [(EXPIRED, false), (EXPIRED, true), (DUE, false), (DUE, true)] {
        let mut process = Process::new(age, are_renewed);
        process.lapses(usize::MAX);
        let result = process.refresh().result;
        match age {
            EXPIRED => {
                let error = result.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                assert!(error.to_string().contains("lock"), "{error}");
            }
            _ => assert_eq!(result.unwrap().unwrap().expose(), "first"),
        }
        let error = process.sign_out().result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(process.sent().is_empty());
        process.stores_no_backoff();
        process.lapses(0);
        process.sign_out().result.unwrap();
        assert_eq!((process.sent(), process.stored()), (vec!["revoke".to_owned()], None));
    }
}
