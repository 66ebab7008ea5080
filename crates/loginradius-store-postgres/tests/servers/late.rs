//! A statement whose first attempt arrives late: after its retry, after the unlock, after another holder has saved.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use loginradius_store::{AsyncSessionStore, Expected, SaveError, SessionLock, StoredRecord};
use loginradius_store_postgres::PostgresStore;
use loginradius_testing::postgres::PostgresServer;

use crate::common::{generation, lock, open, peek, record, server, short, table};
use crate::proxy::{Proxy, Strike};

struct Scene {
    _server: Arc<PostgresServer>,
    proxy: Proxy,
    /// Its first connection is held back.
    slow: PostgresStore,
    /// Past the proxy.
    other: PostgresStore,
}

impl Scene {
    fn new(name: &str) -> Self {
        let server = server();
        let other = open(&server.url(), short(table(name))).unwrap();
        let proxy = Proxy::start(server.port());
        let slow = open(&proxy.url(), short(table(name))).unwrap();
        Self { _server: server, proxy, slow, other }
    }

    /// Saves a first record, and then a second one whose statement is held back, and given up.
    fn with_a_late_save(&self) -> (Box<dyn SessionLock>, StoredRecord, StoredRecord) {
        let (first, second) = (record(1, "first"), record(2, "second"));
        let mut held = lock(&self.slow, "alice").unwrap();
        held.save(&first, Expected::Nothing).unwrap();
        self.proxy.hold_all();
        let saved = held.save(&second, generation(&first));
        assert!(matches!(saved, Err(SaveError::Unknown(_))), "{saved:?}");
        (held, first, second)
    }

    /// Has what is held back arrive.
    fn arrives(&self) {
        self.proxy.release();
        sleep(Duration::from_millis(200));
    }
}

/// The connection was lost without a notice, as by a firewall that forgets it: the store sends again on a new one.
#[test]
#[ignore = "needs a server"]
fn after_its_retry_by_the_store() {
    let scene = Scene::new("late_retry");
    let (first, second, third) = (record(1, "first"), record(2, "second"), record(3, "third"));
    let mut held = lock(&scene.slow, "alice").unwrap();
    held.save(&first, Expected::Nothing).unwrap();
    scene.proxy.hold();
    held.save(&second, Expected::Damaged(1)).unwrap();
    assert_eq!(peek(&scene.other, "alice"), Some(second.clone()));
    scene.arrives();
    assert_eq!(peek(&scene.other, "alice"), Some(second.clone()));
    // And nothing but what is stored now can be replaced.
    held.save(&third, generation(&second)).unwrap();
    assert_eq!(peek(&scene.other, "alice"), Some(third));
    assert_eq!(server().query("SELECT cardinality(damaged) FROM late_retry"), "1", "it was copied once");
}

#[test]
#[ignore = "needs a server"]
fn after_its_retry_by_the_session() {
    let scene = Scene::new("late_retries");
    let (mut held, first, second) = scene.with_a_late_save();
    let third = record(3, "third");
    scene.arrives();
    // The session saves again what it does not know to be saved.
    held.save(&second, generation(&first)).unwrap();
    held.save(&third, generation(&second)).unwrap();
    assert_eq!(peek(&scene.other, "alice"), Some(third));
}

#[test]
#[ignore = "needs a server"]
fn after_another_record_of_the_same_generation() {
    let scene = Scene::new("late_other");
    let (mut held, first, second) = scene.with_a_late_save();
    let another = record(2, "another");
    scene.proxy.let_new_ones_pass();
    held.save(&another, generation(&first)).unwrap();
    scene.arrives();
    assert_eq!(peek(&scene.other, "alice"), Some(another));
    let refused = held.save(&second, generation(&first));
    assert!(matches!(refused, Err(SaveError::Conflict)), "{refused:?}");
}

#[test]
#[ignore = "needs a server"]
fn after_the_unlock() {
    let scene = Scene::new("late_unlock");
    let (held, first, _) = scene.with_a_late_save();
    scene.proxy.let_new_ones_pass();
    drop(held);
    scene.arrives();
    assert_eq!(peek(&scene.other, "alice"), Some(first), "nobody has the lock, and a record changed");
}

#[test]
#[ignore = "needs a server"]
fn after_another_holder_has_saved() {
    let scene = Scene::new("late_holder");
    let (held, first, _) = scene.with_a_late_save();
    let theirs = record(2, "another holder's");
    scene.proxy.let_new_ones_pass();
    drop(held);
    let mut held = lock(&scene.other, "alice").unwrap();
    held.save(&theirs, generation(&first)).unwrap();
    scene.arrives();
    assert_eq!(held.load().unwrap(), Some(theirs));
}

/// A lock that comes late would block the session, if its own attempt did not release it.
#[test]
#[ignore = "needs a server"]
fn of_a_lock() {
    let scene = Scene::new("late_lock");
    drop(lock(&scene.slow, "alice").unwrap());
    scene.proxy.hold_all();
    let locked = loginradius_store::SessionStore::try_lock(&scene.slow, "alice");
    assert!(locked.is_err());
    scene.arrives();
    // It lapses: this is later than the release of its own attempt.
    let waited = crate::common::eventually(crate::common::LEASE * 2, || lock(&scene.other, "alice").is_some());
    println!("a lock that came late was free after {waited:?}");
}

/// A lock and a save, both of which come after the unlock: the lock must not bring the lease back that the save names.
#[test]
#[ignore = "needs a server"]
fn of_a_lock_and_then_of_a_save() {
    let scene = Scene::new("late_both");
    let (first, second) = (record(1, "first"), record(2, "second"));
    let mut held = lock(&scene.other, "alice").unwrap();
    held.save(&first, Expected::Nothing).unwrap();
    drop(held);
    scene.proxy.strike(Strike::Delay);
    let mut held = lock(&scene.slow, "alice").expect("by another attempt");
    scene.proxy.hold_all();
    assert!(matches!(held.save(&second, generation(&first)), Err(SaveError::Unknown(_))));
    scene.proxy.let_new_ones_pass();
    drop(held);
    assert_eq!(scene.proxy.restore(), 1);
    scene.arrives();
    assert_eq!(peek(&scene.other, "alice"), Some(first), "nobody has the lock, and a record changed");
}

/// A save whose first attempt comes after a clear of the same holder: what was signed out does not come back.
#[test]
#[ignore = "needs a server"]
fn after_a_clear_of_the_same_holder() {
    let scene = Scene::new("late_clear");
    let (first, second) = (record(1, "first"), record(2, "second"));
    let mut held = lock(&scene.slow, "alice").unwrap();
    scene.proxy.strike(Strike::Delay);
    held.save(&first, Expected::Nothing).unwrap();
    held.clear(generation(&first)).unwrap();
    assert_eq!(peek(&scene.other, "alice"), None);
    assert_eq!(scene.proxy.restore(), 1);
    assert_eq!(peek(&scene.other, "alice"), None, "it is back");
    // The same holder may save again, and whoever has the lock next.
    held.save(&second, Expected::Nothing).unwrap();
    held.clear(generation(&second)).unwrap();
    held.clear(Expected::Nothing).unwrap();
    drop(held);
    let mut held = lock(&scene.other, "alice").unwrap();
    held.save(&first, Expected::Nothing).unwrap();
    assert_eq!(peek(&scene.slow, "alice"), Some(first));
}

/// The future of a save is dropped while its statement is held back: the next save of the lock comes after it.
#[tokio::test]
#[ignore = "needs a server"]
async fn after_its_future_was_dropped() {
    let scene = tokio::task::spawn_blocking(|| Scene::new("late_dropped")).await.unwrap();
    let (first, second) = (record(1, "first"), record(2, "second"));
    let mut held = AsyncSessionStore::try_lock(&scene.slow, "alice").await.unwrap().unwrap();
    scene.proxy.hold();
    let saved = tokio::time::timeout(Duration::from_millis(100), held.save(&first, Expected::Nothing)).await;
    assert!(saved.is_err(), "its statement is held back");
    held.save(&second, generation(&first)).await.unwrap();
    held.unlock().await;
    assert_eq!(AsyncSessionStore::peek(&scene.other, "alice").await, Some(second));
}

/// Only the holder that cleared expects its mark: not the next one, also if the lock lapsed, and if a copy of a damaged
/// record keeps the row.
#[test]
#[ignore = "needs a server"]
fn a_clear_leaves_nothing_to_the_next_holder() {
    let scene = Scene::new("late_mark");
    for ends in ["released", "lapsed"] {
        let mut held = lock(&scene.slow, ends).unwrap();
        held.save(&record(1, "damaged"), Expected::Nothing).unwrap();
        held.save(&record(2, "second"), Expected::Damaged(1)).unwrap();
        held.clear(Expected::Generation(2)).unwrap();
        match ends {
            "released" => drop(held),
            _ => {
                // Its holder has crashed: another lease is in its row, which nobody renews.
                server().execute("UPDATE late_mark SET lease = lease + 1, leased_until = '-infinity' WHERE lease <> 0");
            }
        }
        let mut held = lock(&scene.other, ends).expect("it is free");
        assert_eq!(held.load().unwrap(), None, "{ends}");
        held.save(&record(3, "third"), Expected::Nothing).unwrap();
    }
}
