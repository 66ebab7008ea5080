//! A server that goes away in each step, at each byte.

use std::time::Duration;

use loginradius_store::{Expected, SaveError, SessionStore};
use loginradius_store_postgres::PostgresStore;

use crate::common::{eventually, generation, hold_locks, lock, open, peek, record, server, short, table};
use crate::proxy::{Cut, Proxy};

/// All that a refresh does, and a damaged record, and the end of the session. After each save the stored content is
/// compared, and each of them has to be done: the statement was sent again.
fn refresh(store: &PostgresStore, observer: &PostgresStore, name: &str, what: &str) {
    let [first, intent, pair, damaged] = [
        record(1, "the tokens of a login"),
        record(2, "the same, with an intent"),
        record(3, "the next tokens"),
        record(4, "tokens in place of what is damaged"),
    ];
    let mut held = lock(store, name).unwrap_or_else(|| panic!("{what}: the lock is free, or this very attempt's"));
    assert_eq!(held.load().unwrap(), None, "{what}");
    for (saved, expected) in [
        (&first, Expected::Nothing),
        (&intent, generation(&first)),
        (&pair, generation(&intent)),
        (&damaged, Expected::Damaged(3)),
    ] {
        let outcome = held.save(saved, expected);
        assert!(outcome.is_ok(), "{what}: {expected:?}: {outcome:?}");
        assert_eq!(peek(observer, name).as_ref(), Some(saved), "{what}: {expected:?}");
    }
    assert_eq!(held.load().unwrap().as_ref(), Some(&damaged), "{what}");
    drop(held);
    let mut held = lock(store, name).unwrap_or_else(|| panic!("{what}: it was released"));
    let outcome = held.clear(generation(&damaged));
    assert!(outcome.is_ok(), "{what}: {outcome:?}");
    assert_eq!(peek(observer, name), None, "{what}");
}

/// Cuts at every byte of all that a refresh sends and receives; `CUT_STRIDE=1` is every byte, and the default is some.
#[test]
#[ignore = "needs a server"]
fn a_connection_that_is_cut_at_any_byte_loses_nothing() {
    let stride: usize = std::env::var("CUT_STRIDE").ok().and_then(|stride| stride.parse().ok()).unwrap_or(37);
    let server = server();
    let observer = open(&server.url(), table("cuts")).unwrap();
    let proxy = Proxy::start(server.port());
    let url = proxy.url();
    let fresh = || open(&url, short(table("cuts")).with_existing_table()).unwrap();

    // Once without a cut, to learn how much there is.
    let store = fresh();
    proxy.cut(Cut::Never);
    refresh(&store, &observer, "whole", "without a cut");
    let (to_server, to_client) = proxy.counts();
    assert!(to_server > 3000 && to_client > 500, "{to_server} {to_client}");
    let mut runs = 0;
    let cuts = (0..=to_server).map(Cut::ToServer).chain((0..=to_client).map(Cut::ToClient));
    for cut in cuts.step_by(stride) {
        // On a connection that is open, and on one that is made meanwhile.
        proxy.cut(cut);
        refresh(&store, &observer, &format!("{cut:?}"), &format!("{cut:?}"));
        runs += 1;
    }
    println!("{runs} cuts: {to_server} bytes to the server, {to_client} to the client, every {stride}");
    let damaged = server.query("SELECT count(*), max(cardinality(damaged)) FROM cuts WHERE damaged <> '{}'");
    assert_eq!(damaged, format!("{}|1", runs + 1), "one copy of each, however often it was sent");
}

/// The same while connections are made: the first statement comes with a new one.
#[test]
#[ignore = "needs a server"]
fn a_connection_that_is_cut_while_it_is_made_is_made_again() {
    let stride: usize = std::env::var("CUT_STRIDE").ok().and_then(|stride| stride.parse().ok()).unwrap_or(37);
    let server = server();
    let observer = open(&server.url(), table("cut_early")).unwrap();
    let proxy = Proxy::start(server.port());
    let url = proxy.url();
    let count = || {
        proxy.cut(Cut::Never);
        drop(open(&url, table("cut_early").with_existing_table()).unwrap());
        proxy.counts()
    };
    let (to_server, to_client) = count();
    let cuts = (0..to_server).map(Cut::ToServer).chain((0..to_client).map(Cut::ToClient));
    for cut in cuts.step_by(stride) {
        proxy.cut(cut);
        // Opening does not try again for long: an operator waits for its error.
        let Ok(store) = open(&url, short(table("cut_early")).with_existing_table()) else {
            assert!(!proxy.cut_is_pending());
            continue;
        };
        refresh(&store, &observer, &format!("{cut:?}"), &format!("{cut:?}"));
    }
}

/// A server that is down for a moment, in each step.
#[test]
#[ignore = "needs a server"]
fn a_server_that_is_gone_for_a_moment_is_waited_for() {
    let server = server();
    let proxy = Proxy::start(server.port());
    let store = open(&proxy.url(), table("gone")).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    proxy.set_down(true);
    proxy.cut(Cut::ToServer(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            proxy.set_down(false);
        });
        held.save(&record(1, "saved meanwhile"), Expected::Nothing).unwrap();
    });
    assert_eq!(peek(&store, "alice"), Some(record(1, "saved meanwhile")));
}

/// A server that is down for longer. What was never sent was not done, and what was sent may have been.
#[test]
#[ignore = "needs a server"]
fn what_was_never_sent_has_failed_and_what_was_sent_is_unknown() {
    let server = server();
    let proxy = Proxy::start(server.port());
    let settings = table("down").with_timeout(Duration::from_secs(1)).with_lease(Duration::from_secs(10));
    let store = open(&proxy.url(), settings).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    proxy.set_down(true);
    proxy.cut(Cut::ToClient(0));
    let saved = held.save(&record(1, "saved, and its response lost"), Expected::Nothing);
    assert!(matches!(saved, Err(SaveError::Unknown(_))), "{saved:?}");
    let saved = held.save(&record(2, "never sent"), Expected::Generation(1));
    assert!(matches!(saved, Err(SaveError::Failed(_))), "{saved:?}");
    proxy.set_down(false);
    assert_eq!(held.load().unwrap(), Some(record(1, "saved, and its response lost")));
    assert!(SessionStore::try_lock(&store, "alice").unwrap().is_none());
}

/// A lock whose reply is lost, and that is given up, is released as soon as the server is back.
#[test]
#[ignore = "needs a server"]
fn a_lock_of_unknown_outcome_blocks_nobody() {
    let server = server();
    let proxy = Proxy::start(server.port());
    let settings = || table("blocks").with_timeout(Duration::from_secs(1)).with_lease(Duration::from_secs(60));
    let store = open(&proxy.url(), settings()).unwrap();
    let other = open(&server.url(), settings()).unwrap();
    proxy.set_down(true);
    proxy.cut(Cut::ToClient(0));
    let error = SessionStore::try_lock(&store, "alice").map(drop).unwrap_err();
    assert!(lock(&other, "alice").is_none(), "{error}");
    proxy.set_down(false);
    eventually(Duration::from_secs(5), || lock(&other, "alice").is_some());
}

/// All connections were lost without a notice: only the first one of them costs time.
#[test]
#[ignore = "needs a server"]
fn connections_that_are_all_dead_are_given_up_together() {
    let server = server();
    let proxy = Proxy::start(server.port());
    let settings = table("dead").with_timeout(Duration::from_secs(6)).with_lease(Duration::from_secs(20));
    let store = open(&proxy.url(), settings.with_max_connections(10)).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    std::thread::scope(|scope| {
        let busy = hold_locks(scope, &server, "LOCK TABLE dead", 2.0);
        for n in 0..10 {
            let store = &store;
            scope.spawn(move || lock(store, &format!("user-{n}")));
        }
        busy.join().unwrap();
    });
    let open = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%\"dead\"%' AND pid <> pg_backend_pid()";
    assert!(server.query(open).parse::<usize>().unwrap() >= 10, "they are open, and idle");
    proxy.hold();
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
}

/// A clear whose reply is lost. Its holder goes on, whether or not it was done.
#[test]
#[ignore = "needs a server"]
fn a_clear_of_unknown_outcome_blocks_no_later_save() {
    let server = server();
    let proxy = Proxy::start(server.port());
    let settings = table("unknown").with_timeout(Duration::from_secs(1)).with_lease(Duration::from_secs(10));
    let store = open(&proxy.url(), settings).unwrap();
    let first = record(1, "first");
    for (name, cut, left) in [("alice", Cut::ToClient(0), None), ("bob", Cut::ToServer(10), Some(first.clone()))] {
        let mut held = lock(&store, name).unwrap();
        held.save(&first, Expected::Nothing).unwrap();
        proxy.set_down(true);
        proxy.cut(cut);
        let cleared = held.clear(generation(&first));
        assert!(matches!(cleared, Err(SaveError::Unknown(_))), "{name}: {cleared:?}");
        proxy.set_down(false);
        assert_eq!(held.load().unwrap(), left, "{name}");
        let expected = left.as_ref().map_or(Expected::Nothing, generation);
        held.save(&record(2, "second"), expected).unwrap();
        assert_eq!(peek(&store, name), Some(record(2, "second")));
    }
}
