//! What attacks have found: tables that are locked, servers that take over, overload, and errors that are wrapped.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use loginradius_store::{AsyncSessionStore, Expected, SessionStore};
use loginradius_store_postgres::tokio_postgres::{self, Config, NoTls};
use loginradius_testing::postgres::PostgresServer;

use crate::common::{LEASE, hold_locks, lock, open, record, server, short, table};
use crate::proxy::Proxy;

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
            let busy = hold_locks(scope, &server, "LOCK TABLE ghosts", 3.5);
            // Tried once, and given up after 1.5 s. Nobody else wants the lock.
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
    let proxy = Proxy::start(server.port());
    let settings = table("free").with_timeout(Duration::from_secs(1)).with_lease(Duration::from_secs(30));
    let store = open(&proxy.url(), settings).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    drop(held);
    scope(|scope| {
        let busy = hold_locks(scope, &server, "LOCK TABLE free", 4.0);
        let tried = scope.spawn(|| SessionStore::try_lock(&store, "alice").is_err());
        // Both attempts are at the server, and nothing comes after them that could release the lock.
        sleep(Duration::from_millis(800));
        proxy.hold_all();
        assert!(tried.join().unwrap());
        busy.join().unwrap();
    });
    sleep(Duration::from_millis(200));
    assert_eq!(server.query("SELECT count(*) FROM free WHERE lease <> 0"), "0");
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
    let connections = Arc::new(AtomicUsize::new(0));
    let store = {
        let (config, connections): (Config, _) = (server.url().parse().unwrap(), Arc::clone(&connections));
        let connect = async move || {
            connections.fetch_add(1, Ordering::Relaxed);
            config.connect(NoTls).await
        };
        table("overload").open_async(connect).await.unwrap()
    };
    let mut held = AsyncSessionStore::try_lock(&store, "alice").await.unwrap().unwrap();
    held.save(&record(0, "first"), Expected::Nothing).await.unwrap();
    let failures = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..20_000)
        .map(|n| {
            let (store, failures) = (store.clone(), Arc::clone(&failures));
            tokio::spawn(async move {
                // Spread over the timeout: otherwise all of them give up at once.
                tokio::time::sleep(Duration::from_micros(125 * n)).await;
                loop {
                    match AsyncSessionStore::try_lock(&store, &format!("user-{n}")).await {
                        Ok(Some(lock)) => lock.unlock().await,
                        Ok(None) => {}
                        Err(_) => drop(failures.fetch_add(1, Ordering::Relaxed)),
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut longest = Duration::ZERO;
    for generation in 1..8 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let since = Instant::now();
        held.save(&record(generation, "the pair"), Expected::Generation(generation - 1)).await.unwrap();
        longest = longest.max(since.elapsed());
    }
    callers.iter().for_each(tokio::task::JoinHandle::abort);
    println!("{failures:?} locks failed, {connections:?} connections were made, and a save took {longest:?} at most");
    assert!(failures.load(Ordering::Relaxed) > 0, "it was no overload");
    // Behind the callers it would be the whole timeout.
    assert!(longest < Duration::from_millis(1250), "{longest:?}");
    // A statement that is given up costs its connection, so none is sent too late.
    assert!(connections.load(Ordering::Relaxed) < 50, "{connections:?}");
}

/// A holder whose process waits with all of its connections for other rows keeps its lease: renewals have their own.
#[test]
#[ignore = "needs a server"]
fn connections_that_all_wait_delay_no_renewal() {
    let server = server();
    let store = open(&server.url(), short(table("crowded")).with_lease(LEASE * 2).with_max_connections(1)).unwrap();
    let held = lock(&store, "alice").unwrap();
    let mut stuck = ["bob", "carol", "dave", "erin", "frank"].map(|name| lock(&store, name).unwrap());
    scope(|scope| {
        let busy = hold_locks(scope, &server, "SELECT FROM crowded WHERE name <> 'alice' FOR UPDATE", 9.0);
        for lock in &mut stuck {
            scope.spawn(move || {
                let since = Instant::now();
                while since.elapsed() < LEASE * 2 {
                    assert!(lock.save(&record(1, "first"), Expected::Nothing).is_err());
                }
            });
        }
        let since = Instant::now();
        while since.elapsed() < LEASE * 2 {
            assert!(held.is_held(), "after {:?}", since.elapsed());
            sleep(Duration::from_millis(20));
        }
        busy.join().unwrap();
    });
    drop(held);
}

/// One renewal keeps 2,000 locks.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "needs a server"]
async fn many_locks_are_renewed() {
    let server = PostgresServer::start();
    let store = open(&server.url(), table("lots")).unwrap();
    let mut held = Vec::new();
    while held.len() < 2_000 {
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
    // Longer than a lease.
    tokio::time::sleep(Duration::from_secs(6)).await;
    for _ in 0..20 {
        assert!(held.iter().all(|lock| lock.is_held()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(server.query("SELECT count(*) FROM lots WHERE leased_until > clock_timestamp()"), "2000");
}
