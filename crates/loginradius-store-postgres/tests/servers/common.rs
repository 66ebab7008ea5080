use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use loginradius_proto::Error;
use loginradius_store::{Expected, SessionLock, SessionStore, StoredRecord};
use loginradius_store_postgres::tokio_postgres::{Config, NoTls};
use loginradius_store_postgres::{PostgresSettings, PostgresStore};
use loginradius_testing::postgres::PostgresServer;

/// Returns the server that tests share which do not stop it. It ends with the last of them.
pub(crate) fn server() -> Arc<PostgresServer> {
    static SERVER: Mutex<Weak<PostgresServer>> = Mutex::new(Weak::new());
    let mut shared = SERVER.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(PostgresServer::start());
        *shared = Arc::downgrade(&server);
        server
    })
}

/// Opens a store.
pub(crate) fn open(url: &str, settings: PostgresSettings) -> Result<PostgresStore, Error> {
    let config: Config = url.parse().expect("a URL");
    settings.open(async move || config.connect(NoTls).await)
}

/// The settings of a table of that name, of which each test has its own.
pub(crate) fn table(name: &str) -> PostgresSettings {
    PostgresSettings::default().with_table(name.replace('-', "_"))
}

/// A lease that is short enough to see it lapse.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

pub(crate) fn short(settings: PostgresSettings) -> PostgresSettings {
    settings.with_timeout(LEASE / 2).with_lease(LEASE)
}

pub(crate) fn lock(store: &PostgresStore, name: &str) -> Option<Box<dyn SessionLock>> {
    SessionStore::try_lock(store, name).unwrap()
}

pub(crate) fn peek(store: &PostgresStore, name: &str) -> Option<StoredRecord> {
    SessionStore::peek(store, name)
}

pub(crate) fn record(generation: u64, text: &str) -> StoredRecord {
    StoredRecord::new(generation, text)
}

pub(crate) fn generation(record: &StoredRecord) -> Expected {
    Expected::Generation(record.generation())
}

/// Runs a transaction that takes locks by that SQL, and holds them for some seconds. Returns once it has them.
pub(crate) fn hold_locks<'scope>(
    scope: &'scope Scope<'scope, '_>,
    server: &'scope PostgresServer,
    sql: &'scope str,
    seconds: f64,
) -> ScopedJoinHandle<'scope, ()> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let mark = format!("/* holder {} */", COUNT.fetch_add(1, Ordering::Relaxed));
    let transaction = format!("{mark} BEGIN; {sql}; SELECT pg_sleep({seconds}); COMMIT");
    let holder = scope.spawn(move || server.execute(&transaction));
    let sleeping =
        format!("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND starts_with(query, '{mark}')");
    eventually(Duration::from_secs(10), || server.query(&sleeping) == "1");
    holder
}

/// Waits until that is so.
pub(crate) fn eventually(limit: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let since = std::time::Instant::now();
    while !is_so() {
        assert!(since.elapsed() < limit, "not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    since.elapsed()
}
