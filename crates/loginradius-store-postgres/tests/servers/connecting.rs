//! The connecting function: credentials that change, errors of its own, and a panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use loginradius_proto::ErrorKind;
use loginradius_store::{Expected, SessionStore};
use loginradius_store_postgres::tokio_postgres::{Config, NoTls};
use loginradius_testing::postgres::PASSWORD;

use crate::common::{LEASE, lock, open, record, server, short, table};

/// The password is changed, and all connections are ended: the next statement connects with the new one.
#[test]
#[ignore = "needs a server"]
fn credentials_that_change_are_an_error_for_nobody() {
    let server = server();
    server.execute(&format!("CREATE USER app PASSWORD '{PASSWORD}'; GRANT CREATE ON SCHEMA public TO app"));
    let password = Arc::new(std::sync::Mutex::new(PASSWORD.to_owned()));
    let (shared, port) = (Arc::clone(&password), server.port());
    let connect = async move || {
        let password = shared.lock().unwrap().clone();
        let mut config = Config::new();
        config.host("127.0.0.1").port(port).user("app").password(password).dbname("postgres").connect(NoTls).await
    };
    let store = table("rotated").open(connect).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    *password.lock().unwrap() = "another".to_owned();
    server.execute(
        "ALTER USER app PASSWORD 'another';
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'",
    );
    held.save(&record(2, "second"), Expected::Generation(1)).unwrap();
    drop(held);
    drop(lock(&store, "alice").unwrap());
}

#[test]
#[ignore = "needs a server"]
fn its_own_error_is_in_the_message() {
    let connect = async || Err::<(_, std::future::Ready<_>), _>("the vault is sealed");
    let error = table("vault").open(connect).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let line = "could not connect to the database of the sessions, the vault is sealed: check what the connecting \
                function needs, or try again later";
    assert_eq!(error.to_string(), line);
}

/// A panic in it fails what needed the connection, and nothing else: later calls and renewals try again.
#[test]
#[ignore = "needs a server"]
fn its_panic_ends_neither_the_store_nor_the_renewals() {
    let server = server();
    let config: Config = server.url().parse().unwrap();
    let calls = AtomicUsize::new(0);
    let connect = async move || match calls.fetch_add(1, Ordering::SeqCst) {
        // The first renewal, and the next two calls.
        1..4 => panic!("it is out of threads"),
        _ => config.connect(NoTls).await,
    };
    let store = short(table("panics")).open(connect).unwrap();
    let held = lock(&store, "alice").unwrap();
    sleep(LEASE / 2);
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%panics%' AND pid <> pg_backend_pid()");
    let failed = (0..3).filter(|_| SessionStore::try_lock(&store, "bob").is_err()).count();
    assert!(failed >= 1, "no call met the panic");
    let since = Instant::now();
    while since.elapsed() < LEASE * 2 {
        assert!(lock(&store, "alice").is_none(), "it is renewed again");
        sleep(Duration::from_millis(20));
    }
    drop(held);
    drop(lock(&store, "alice").unwrap());
}

/// A connection that only reads is not used again: the next one may find the server that writes.
#[test]
#[ignore = "needs a server"]
fn a_connection_that_only_reads_is_replaced() {
    let server = server();
    let only_reads = server.url() + "?options=-c%20default_transaction_read_only%3Don";
    let [only_reads, writes]: [Config; 2] = [only_reads, server.url()].map(|url| url.parse().unwrap());
    drop(open(&server.url(), table("replaced")).unwrap());
    let calls = AtomicUsize::new(0);
    let connect = async move || match calls.fetch_add(1, Ordering::SeqCst) {
        0 => only_reads.connect(NoTls).await,
        _ => writes.connect(NoTls).await,
    };
    let store = table("replaced").open(connect).unwrap();
    let error = SessionStore::try_lock(&store, "alice").map(drop).unwrap_err();
    assert!(error.to_string().contains("target_session_attrs=read-write"), "{error}");
    drop(lock(&store, "alice").unwrap());
}

/// Names that were put there by hand, and are no text, do not hide the others.
#[test]
#[ignore = "needs a server"]
fn names_that_are_no_text_are_passed_over() {
    let server = server();
    let store = open(&server.url(), table("bytes")).unwrap();
    server.execute(
        "INSERT INTO bytes (key, name, record, generation, lease, lease_length, leased_until)
         SELECT sha256(name), name, 'a record', 1, 0, '0', '-infinity' FROM (
            SELECT 'a'::bytea || '\\xff'::bytea || n::text::bytea AS name FROM generate_series(1, 2500) n
            UNION ALL SELECT 'b'::bytea) names",
    );
    assert_eq!(SessionStore::names(&store, "", None).unwrap(), ["b"]);
    let mut held = lock(&store, "a").unwrap();
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    assert_eq!(SessionStore::names(&store, "a", None).unwrap(), ["a"]);
    assert!(SessionStore::names(&store, "a", Some("a")).unwrap().is_empty());
}
