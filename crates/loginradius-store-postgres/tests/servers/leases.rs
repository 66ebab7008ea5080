//! Leases: how they are taken, renewed and lost, and what no one can do to them.

use std::thread::sleep;
use std::time::{Duration, Instant};

use loginradius_store::{Expected, SaveError, SessionStore};
use loginradius_store_postgres::PostgresStore;

use crate::common::{LEASE, eventually, generation, hold_locks, lock, open, peek, record, server, short, table};
use crate::proxy::Proxy;
use loginradius_testing::postgres::PostgresServer;

/// Has the lease lapse, as if its holder had been stopped for long, and stays stopped: the holder's renewals go on, but
/// its lease does not, because another one is in the row.
fn lapse(server: &PostgresServer, table: &str) {
    let long_ago =
        "leased_until = clock_timestamp() - interval '1 h', found_lapsed = clock_timestamp() - interval '1 h'";
    server.execute(&format!("UPDATE {table} SET {long_ago}"));
}

#[test]
#[ignore = "needs a server"]
fn a_lease_is_renewed_as_long_as_its_lock_lives() {
    let server = server();
    let open = || open(&server.url(), short(table("renewed"))).unwrap();
    let (one, other) = (open(), open());
    let held = lock(&one, "alice").unwrap();
    let since = Instant::now();
    while since.elapsed() < LEASE * 3 {
        assert!(lock(&other, "alice").is_none(), "after {:?}", since.elapsed());
        sleep(Duration::from_millis(20));
    }
    drop(held);
    drop(lock(&other, "alice").expect("it was released"));
}

/// Its holder counts the lease from the save, so the server has to do so, too.
#[test]
#[ignore = "needs a server"]
fn a_save_renews_the_lease() {
    let server = server();
    // Long enough that no renewal comes first.
    let store = open(&server.url(), short(table("saving")).with_lease(Duration::from_secs(60))).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    let first = record(1, "first");
    for write in ["save", "clear"] {
        server.execute("UPDATE saving SET leased_until = clock_timestamp() + interval '1 s'");
        match write {
            "save" => held.save(&first, Expected::Nothing).unwrap(),
            _ => held.clear(generation(&first)).unwrap(),
        }
        let left = server.query("SELECT leased_until - clock_timestamp() > interval '30 s' FROM saving");
        assert_eq!(left, "t", "{write}");
    }
}

#[test]
#[ignore = "needs a server"]
fn a_holder_whose_lease_has_lapsed_saves_nothing() {
    let server = server();
    let open = || open(&server.url(), short(table("lapsed"))).unwrap();
    let (one, other) = (open(), open());
    let mut early = lock(&one, "alice").unwrap();
    let first = record(1, "first");
    early.save(&first, Expected::Nothing).unwrap();
    lapse(&server, "lapsed");
    let mut late = lock(&other, "alice").expect("the lease has lapsed");
    for expected in [generation(&first), Expected::Nothing, Expected::Damaged(1)] {
        assert!(matches!(early.save(&record(2, "late"), expected), Err(SaveError::Conflict)));
        assert!(matches!(early.clear(expected), Err(SaveError::Conflict)));
    }
    drop(early);
    assert!(lock(&one, "alice").is_none(), "the later lease stays");
    assert_eq!(late.load().unwrap(), Some(first.clone()));
    late.save(&record(2, "second"), generation(&first)).unwrap();
}

/// A lapsed lease that nobody took is still its holder's.
#[test]
#[ignore = "needs a server"]
fn a_lease_that_has_lapsed_and_was_not_taken_can_be_renewed() {
    let server = server();
    let store = open(&server.url(), short(table("untaken"))).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    lapse(&server, "untaken");
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    assert!(lock(&store, "alice").is_none());
}

/// A lapse is waited for, whatever was found before the lease was renewed or the record saved.
#[test]
#[ignore = "needs a server"]
fn a_second_lapse_is_waited_for_like_the_first() {
    let server = server();
    let lapse = || server.execute("UPDATE twice SET leased_until = clock_timestamp() - interval '1 s'");
    let lapsed_long_ago = |other: &PostgresStore| {
        let is_found = || server.query("SELECT bool_and(found_lapsed IS NOT NULL) FROM twice") == "t";
        eventually(LEASE, || {
            lapse();
            assert!(lock(other, "alice").is_none(), "its holder has the time to renew it");
            is_found()
        });
        server.execute("UPDATE twice SET found_lapsed = found_lapsed - interval '1 h'");
    };

    let open = |lease| open(&server.url(), short(table("twice")).with_lease(lease)).unwrap();
    let (one, other) = (open(LEASE), open(LEASE));
    let held = lock(&one, "alice").unwrap();
    lapsed_long_ago(&other);
    eventually(LEASE, || server.query("SELECT bool_and(leased_until > clock_timestamp()) FROM twice") == "t");
    lapse();
    assert!(lock(&other, "alice").is_none(), "it was renewed since the first lapse");
    drop(held);

    // Long enough that no renewal comes first.
    let one = open(Duration::from_secs(60));
    let mut held = lock(&one, "alice").unwrap();
    lapsed_long_ago(&other);
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    lapse();
    assert!(lock(&other, "alice").is_none(), "its holder has saved since the first lapse");
}

/// A session's row is removed by hand, and made again by another holder: a lease that counts would begin at 1 again.
#[test]
#[ignore = "needs a server"]
fn a_row_that_was_removed_under_its_holder_is_not_its_own_any_more() {
    let server = server();
    let open = || open(&server.url(), short(table("removed"))).unwrap();
    let (one, other) = (open(), open());
    let mut early = lock(&one, "alice").unwrap();
    early.save(&record(1, "first"), Expected::Nothing).unwrap();
    server.execute("DELETE FROM removed");
    assert!(matches!(early.save(&record(2, "second"), Expected::Generation(1)), Err(SaveError::Conflict)));
    assert!(matches!(early.save(&record(2, "second"), Expected::Nothing), Err(SaveError::Conflict)));
    let mut late = lock(&other, "alice").expect("there is no lease any more");
    assert_eq!(late.load().unwrap(), None);
    assert!(matches!(early.save(&record(3, "third"), Expected::Nothing), Err(SaveError::Conflict)));
    late.save(&record(4, "fourth"), Expected::Nothing).unwrap();
    drop(early);
    assert!(lock(&one, "alice").is_none());
}

/// A lock that waits for its row is counted from when it got it.
#[test]
#[ignore = "needs a server"]
fn a_lock_that_waited_for_its_row_has_its_whole_length() {
    let server = server();
    let settings = || table("waited").with_timeout(Duration::from_secs(6)).with_lease(Duration::from_secs(12));
    let store = open(&server.url(), settings()).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    drop(held);
    std::thread::scope(|scope| {
        let busy = hold_locks(scope, &server, "SELECT FROM waited FOR UPDATE", 2.0);
        let held = lock(&store, "alice").unwrap();
        let left = server.query("SELECT leased_until - clock_timestamp() > interval '11 s' FROM waited");
        assert_eq!(left, "t");
        busy.join().unwrap();
        drop(held);
    });
}

/// Another transaction that holds the row for long is named, and the server is not left with statements that wait.
#[test]
#[ignore = "needs a server"]
fn a_row_that_another_transaction_has_locked_is_an_error_that_says_so() {
    let server = server();
    let store = open(&server.url(), short(table("busy"))).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    std::thread::scope(|scope| {
        let busy = hold_locks(scope, &server, "SELECT FROM busy FOR UPDATE", 2.5);
        let saved = held.save(&record(2, "second"), Expected::Generation(1));
        let Err(SaveError::Failed(error)) = saved else { panic!("{saved:?}") };
        assert!(error.to_string().contains("end the transaction that holds a lock"), "{error}");
        let waiting = server
            .query("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%\"busy\"%'");
        assert_eq!(waiting, "0");
        busy.join().unwrap();
    });
    held.save(&record(2, "second"), Expected::Generation(1)).unwrap();
}

/// The record that came with the lock is not used if the lease may have lapsed since.
#[test]
#[ignore = "needs a server"]
fn a_record_is_loaded_again_if_the_lease_may_have_lapsed() {
    let server = server();
    let proxy = Proxy::start(server.port());
    let slow = open(&proxy.url(), short(table("loaded"))).unwrap();
    let other = open(&server.url(), short(table("loaded"))).unwrap();
    let mut held = lock(&slow, "alice").unwrap();
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    drop(held);

    let mut early = lock(&slow, "alice").unwrap();
    // No renewal comes through.
    proxy.hold_all();
    lapse(&server, "loaded");
    let mut late = lock(&other, "alice").expect("the lease has lapsed");
    late.save(&record(2, "second"), Expected::Generation(1)).unwrap();
    eventually(LEASE, || !early.is_held());
    proxy.release();
    assert_eq!(early.load().unwrap(), Some(record(2, "second")));
}

/// While another holder has the lock, those that wait write nothing.
#[test]
#[ignore = "needs a server"]
fn waiting_for_a_lock_writes_nothing() {
    let server = server();
    let store = open(&server.url(), table("waiting")).unwrap();
    let _held = lock(&store, "alice").unwrap();
    let writes = || server.query("SELECT xmax::text || ctid::text FROM waiting");
    let before = writes();
    for _ in 0..100 {
        assert!(lock(&store, "alice").is_none());
    }
    assert_eq!(writes(), before);
}

/// Names that were tried leave no row, and names with a record or a copy stay.
#[test]
#[ignore = "needs a server"]
fn a_lock_without_a_record_leaves_no_row() {
    let server = server();
    let store = open(&server.url(), table("rows")).unwrap();
    let rows = || server.query("SELECT count(*) FROM rows");
    for name in ["tried", "", "another"] {
        drop(lock(&store, name).unwrap());
    }
    assert_eq!(rows(), "0");
    let mut held = lock(&store, "kept").unwrap();
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    held.save(&record(2, "second"), Expected::Damaged(1)).unwrap();
    drop(held);
    assert_eq!(rows(), "1");
    let mut held = lock(&store, "kept").unwrap();
    held.clear(Expected::Generation(2)).unwrap();
    drop(held);
    assert_eq!(server.query("SELECT convert_from(damaged[1], 'UTF8') FROM rows"), "first", "a copy outlives a clear");
}

/// Programs of two settings share a table: each lease has its own length.
#[test]
#[ignore = "needs a server"]
fn two_programs_with_different_lengths_exclude_each_other() {
    let server = server();
    let brief = open(&server.url(), short(table("lengths"))).unwrap();
    let long = open(&server.url(), table("lengths").with_lease(Duration::from_secs(60))).unwrap();
    let held = lock(&long, "alice").unwrap();
    sleep(LEASE * 2);
    assert!(lock(&brief, "alice").is_none(), "the longer lease counts");
    drop(held);
    let held = lock(&brief, "alice").unwrap();
    sleep(LEASE * 2);
    assert!(lock(&long, "alice").is_none(), "the shorter one is renewed");
    drop(held);
    drop(lock(&long, "alice").unwrap());
}

/// The database's clock is set forward and back: nothing stays locked for as long as it was set.
#[test]
#[ignore = "needs a server"]
fn a_clock_of_the_database_that_jumps_blocks_no_session() {
    let server = server();
    let open = || open(&server.url(), short(table("clock"))).unwrap();
    let (one, other) = (open(), open());
    // Set back by an hour: to the clock of now, the lease ends in an hour.
    let held = lock(&one, "alice").unwrap();
    // Its holder has crashed: another lease is in its row, which nobody renews.
    server.execute("UPDATE clock SET leased_until = leased_until + interval '1 hour', lease = lease + 1");
    let waited = eventually(LEASE * 3, || lock(&other, "alice").is_some());
    println!("free {waited:?} after the clock was set back by an hour");
    drop(held);
    // Set forward: the lease has lapsed, until its next renewal.
    let held = lock(&other, "bob").unwrap();
    server.execute("UPDATE clock SET leased_until = leased_until - interval '1 hour'");
    let renewed = "SELECT bool_and(leased_until > clock_timestamp()) FROM clock";
    eventually(LEASE, || server.query(renewed) == "t");
    drop(held);
}

/// After a restart of the server its holders get the time to renew: a request of theirs may be out.
#[test]
#[ignore = "needs a server"]
fn a_server_that_was_started_again_gives_holders_the_time_to_renew() {
    let server = PostgresServer::start();
    let open = || {
        open(&server.url(), table("restart").with_timeout(Duration::from_secs(2)).with_lease(Duration::from_secs(4)))
            .unwrap()
    };
    let (one, other) = (open(), open());
    let mut held = lock(&one, "alice").unwrap();
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    let crashed = lock(&one, "bob").unwrap();
    server.crash();
    // Longer than the lease.
    sleep(Duration::from_millis(5500));
    server.start_again();
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(6) {
        let taken = SessionStore::try_lock(&other, "alice");
        assert!(matches!(taken, Ok(None)), "{:?} after the start", since.elapsed());
        sleep(Duration::from_millis(50));
    }
    held.save(&record(2, "the tokens of a request that was out"), Expected::Generation(1)).unwrap();
    assert_eq!(peek(&other, "alice").unwrap().generation(), 2);
    drop(held);
    drop(lock(&other, "alice").expect("it was released"));
    drop(crashed);
}
