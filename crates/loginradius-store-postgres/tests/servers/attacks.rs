//! What attacks have found: tables that are locked, servers that take over, overload, and errors that are wrapped.

use std::fmt;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use loginradius_store::{AsyncSessionStore, Expected, SessionStore};
use loginradius_store_postgres::tokio_postgres::{self, Config, NoTls};
use loginradius_testing::postgres::PostgresServer;

use crate::common::{LEASE, lock, open, record, server, short, table};

/// A row that cannot be read once leaves the lock taken, and renewed for as long as the process lives.
#[test]
#[ignore = "needs a server"]
fn a_lock_whose_row_could_not_be_read_is_free_again() {
    let server = server();
    let store = open(&server.url(), short(table("unread"))).unwrap();
    let other = open(&server.url(), short(table("unread"))).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    drop(held);
    server.execute("ALTER TABLE unread ALTER generation TYPE numeric");
    let refused = SessionStore::try_lock(&store, "alice").map(drop).unwrap_err();
    println!("{refused}");
    server.execute("ALTER TABLE unread ALTER generation TYPE bigint");
    sleep(LEASE * 4);
    assert!(lock(&other, "alice").is_some(), "it is still locked after four leases, by nobody");
}

/// A table that is locked for a while, as by ALTER TABLE or VACUUM FULL, for which a statement waits without a bound. When
/// it is done, its caller has given it up long ago.
#[test]
#[ignore = "needs a server"]
fn a_lock_that_was_given_up_takes_nothing_from_a_live_holder() {
    let server = PostgresServer::start();
    let holder = open(&server.url(), short(table("ghosts"))).unwrap();
    let other = open(&server.url(), short(table("ghosts"))).unwrap();
    let mut lost = 0;
    for round in 0..6_u64 {
        let name = format!("alice-{round}");
        let mut held = lock(&holder, &name).unwrap();
        held.save(&record(1, "intent"), Expected::Nothing).unwrap();
        scope(|scope| {
            let busy = scope.spawn(|| {
                server.execute("BEGIN; LOCK TABLE ghosts IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3.5); COMMIT");
            });
            sleep(Duration::from_millis(200));
            // Tried once, and given up after 1 s. Nobody else wants the lock.
            let tried = SessionStore::try_lock(&other, &name);
            assert!(tried.is_err());
            busy.join().unwrap();
        });
        sleep(Duration::from_millis(100));
        let saved = held.save(&record(2, "the tokens of a request that was out"), Expected::Generation(1));
        println!("round {round}: {saved:?}");
        lost += usize::from(saved.is_err());
    }
    assert_eq!(lost, 0, "pairs were lost to a lock that nobody has");
}

/// The same, for a free session: it is blocked for a whole lease by nobody.
#[test]
#[ignore = "needs a server"]
fn a_lock_that_was_given_up_blocks_no_free_session() {
    let server = PostgresServer::start();
    let settings = table("free").with_timeout(Duration::from_secs(1)).with_lease(Duration::from_secs(30));
    let store = open(&server.url(), settings).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    drop(held);
    scope(|scope| {
        let busy = scope
            .spawn(|| server.execute("BEGIN; LOCK TABLE free IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT"));
        sleep(Duration::from_millis(200));
        assert!(SessionStore::try_lock(&store, "alice").is_err());
        busy.join().unwrap();
    });
    let since = Instant::now();
    while lock(&store, "alice").is_none() {
        assert!(since.elapsed() < Duration::from_secs(10), "blocked by nobody for {:?}", since.elapsed());
        sleep(Duration::from_millis(50));
    }
}

#[derive(Debug)]
struct Wrapped(tokio_postgres::Error);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the database of the service")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// An error of the driver in an error of the program's own, as `thiserror` and `anyhow` make them.
#[test]
#[ignore = "needs a server"]
fn a_short_restart_is_an_error_for_nobody_also_if_the_errors_are_wrapped() {
    let server = PostgresServer::start();
    let config: Config = server.url().parse().unwrap();
    let store = table("wrapped").open(async move || config.connect(NoTls).await.map_err(Wrapped)).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    server.stop();
    scope(|scope| {
        scope.spawn(|| {
            sleep(Duration::from_millis(300));
            server.start_again();
        });
        let saved = held.save(&record(1, "first"), Expected::Nothing);
        println!("{saved:?}");
        assert!(saved.is_ok(), "{saved:?}");
    });
    drop(held);
}

/// A standby that is promoted has been running for long: no holder gets the time to renew its lease.
#[test]
#[ignore = "needs a server"]
fn a_holder_gets_the_time_to_renew_after_a_failover() {
    let server = PostgresServer::start();
    let one = open(&server.url(), short(table("promoted"))).unwrap();
    let other = open(&server.url(), short(table("promoted"))).unwrap();
    let mut held = lock(&one, "alice").unwrap();
    held.save(&record(1, "intent"), Expected::Nothing).unwrap();
    server.stop();
    server.write("standby.signal", "");
    server.configure("primary_conninfo = 'host=127.0.0.1 port=1'\n");
    server.start_again();
    sleep(LEASE * 2);
    let mut taken = false;
    scope(|scope| {
        let promote = scope.spawn(|| server.execute("SELECT pg_promote()"));
        let since = Instant::now();
        while since.elapsed() < LEASE * 5 {
            if let Ok(Some(theirs)) = SessionStore::try_lock(&other, "alice") {
                println!("taken {:?} after the promotion began", since.elapsed());
                taken = true;
                std::mem::forget(theirs);
                break;
            }
            if held.is_held() {
                println!("the holder has renewed first");
                break;
            }
        }
        promote.join().unwrap();
    });
    let saved = held.save(&record(2, "the tokens of a request that was out"), Expected::Generation(1));
    println!("taken: {taken}, {saved:?}");
    assert!(saved.is_ok(), "{saved:?}");
}

/// More callers than the database can serve: those that want a lock fail, not those that have one and its new tokens.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "needs a server"]
async fn an_overload_fails_locks_and_no_saves() {
    let server = PostgresServer::start();
    let count: usize = std::env::var("CALLERS").map_or(3_000, |text| text.parse().unwrap());
    let config: Config = server.url().parse().unwrap();
    let made = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&made);
    let connect = async move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        config.connect(NoTls).await
    };
    let store = table("overload").open_async(connect).await.unwrap();
    let mut held = AsyncSessionStore::try_lock(&store, "alice").await.unwrap().unwrap();
    held.save(&record(1, "intent"), Expected::Nothing).await.unwrap();
    let begun = Instant::now();
    let callers: Vec<_> = (0..count)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let name = format!("user-{n}");
                let name = if std::env::var("SAME").is_ok() { "alice" } else { name.as_str() };
                let began = Instant::now();
                let locked = AsyncSessionStore::try_lock(&store, name).await;
                let took = began.elapsed();
                match locked {
                    Ok(Some(lock)) => {
                        lock.unlock().await;
                        (true, took)
                    }
                    Ok(None) => (true, took),
                    Err(_) => (false, took),
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let since = Instant::now();
    let saved = held.save(&record(2, "the pair"), Expected::Generation(1)).await;
    println!("after {:?}: {saved:?}; is_held: {}", since.elapsed(), held.is_held());
    let (mut ok, mut longest) = (0, Duration::ZERO);
    for caller in callers {
        let (done, took) = caller.await.unwrap();
        ok += usize::from(done);
        longest = longest.max(took);
    }
    println!("{ok} of {count} callers had an answer, in {:?}; the longest wait was {longest:?}", begun.elapsed());
    println!("{} connections were made", made.load(std::sync::atomic::Ordering::Relaxed));
    let left = server.query("SELECT count(*) FROM overload WHERE lease <> 0 AND leased_until > clock_timestamp()");
    println!("{left} rows are still leased");
    held.unlock().await;
    assert!(saved.is_ok(), "{saved:?}");
}

/// How many locks one renewal can keep.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "needs a server"]
async fn many_locks_are_renewed() {
    let server = PostgresServer::start();
    let store = open(&server.url(), table("lots")).unwrap();
    let mut held = Vec::new();
    for (count, pause) in [(2_000, 6)] {
        while held.len() < count {
            let some: Vec<_> = (held.len()..held.len() + 200)
                .map(|n| {
                    let store = store.clone();
                    tokio::spawn(async move { AsyncSessionStore::try_lock(&store, &format!("user-{n}")).await })
                })
                .collect();
            for lock in some {
                held.push(lock.await.unwrap().unwrap().unwrap());
            }
        }
        tokio::time::sleep(Duration::from_secs(pause)).await;
        let mut worst = usize::MAX;
        for _ in 0..20 {
            worst = worst.min(held.iter().filter(|lock| lock.is_held()).count());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let alive = server.query("SELECT count(*) FROM lots WHERE leased_until > clock_timestamp()");
        println!("{count} locks: {worst} are held at the worst moment, {alive} leases are alive at the server");
        assert_eq!(worst, count);
    }
}
