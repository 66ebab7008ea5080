//! The store of the example `own_store` keeps the promises of every store, and those of leases and damaged records.

#[path = "../own_store/store.rs"]
mod store;

use std::path::PathBuf;
use std::time::Duration;

use loginradius_store::store_tests::{self, DamageHooks, LeaseHooks};
use rusqlite::Connection;
use store::SqliteStore;
use tempfile::TempDir;

const LEASE: Duration = Duration::from_millis(800);

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, storage: &str) -> PathBuf {
        self.0.path().join(storage)
    }

    fn open(&self, storage: &str, lease: Duration) -> SqliteStore {
        SqliteStore::open(&self.path(storage), lease).unwrap()
    }

    fn execute(&self, storage: &str, sql: &str, parameters: impl rusqlite::Params) {
        let connection = Connection::open(self.path(storage)).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(connection.execute(sql, parameters).unwrap(), 1, "{sql}");
    }
}

impl DamageHooks for Files {
    async fn damage(&self, storage: &str, name: &str, bytes: &[u8]) {
        self.execute(storage, "UPDATE session SET record = ?2 WHERE name = ?1", (name.as_bytes(), bytes));
    }

    async fn copies(&self, storage: &str, name: &str) -> Vec<Vec<u8>> {
        let connection = Connection::open(self.path(storage)).unwrap();
        let sql = "SELECT unhex(value) FROM session, json_each(damaged) WHERE name = ?1";
        let mut copies = connection.prepare(sql).unwrap();
        copies.query_map([name.as_bytes()], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

impl LeaseHooks<SqliteStore> for Files {
    async fn lapse(&self, storage: &str, name: &str) {
        self.execute(storage, "UPDATE session SET leased_until = 0 WHERE name = ?1", [name.as_bytes()]);
    }

    async fn stop_renewing(&self, store: &SqliteStore) {
        // From now on this handle writes nothing.
        store.0.connection.lock().unwrap().execute_batch("PRAGMA query_only = 1").unwrap();
    }
}

#[test]
fn it_keeps_the_promises_of_every_store() {
    let files = Files::new();
    store_tests::check(|storage| files.open(storage, Duration::from_secs(10)));
}

#[test]
fn it_keeps_a_copy_of_a_damaged_record() {
    let files = Files::new();
    store_tests::check_damage(|storage| files.open(storage, LEASE), &files);
}

#[test]
fn its_locks_are_leases() {
    let files = Files::new();
    store_tests::check_leases(|storage| files.open(storage, LEASE), LEASE, &files);
}
