//! The promises of every store, and those of one over a database: over PostgreSQL, and through PgBouncer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loginradius_store::store_tests::{self, DamageHooks, LeaseHooks, NetworkHooks};
use loginradius_store::{AsyncSessionLock, AsyncSessionStore, BoxFuture, SessionLock, SessionStore, StoredRecord};
use loginradius_store_postgres::PostgresStore;
use loginradius_testing::postgres::{PgBouncer, PostgresServer};

use crate::common::{open, server, table};
use crate::proxy::{Proxy, Strike};

#[test]
#[ignore = "needs a server"]
fn blocking_code_over_postgres() {
    let server = server();
    let url = server.url();
    store_tests::check(|storage| open(&url, table(&format!("blocking_{storage}"))).unwrap());
}

#[tokio::test]
#[ignore = "needs a server"]
async fn async_code_over_postgres() {
    let server = server();
    let url = server.url();
    store_tests::check_async(|storage| open(&url, table(&format!("async_{storage}"))).unwrap()).await;
}

#[test]
#[ignore = "needs servers"]
fn blocking_code_over_pgbouncer_in_transaction_mode() {
    let server = server();
    let pooler = PgBouncer::start(&server, 5);
    let url = pooler.url();
    store_tests::check(|storage| open(&url, table(&format!("pooled_{storage}"))).unwrap());
}

#[tokio::test]
#[ignore = "needs servers"]
async fn async_code_over_pgbouncer_in_transaction_mode() {
    let server = server();
    let pooler = PgBouncer::start(&server, 5);
    let url = pooler.url();
    store_tests::check_async(|storage| open(&url, table(&format!("pooled_async_{storage}"))).unwrap()).await;
}

#[test]
#[ignore = "needs a server"]
fn damaged_records() {
    let hooks = Hooks::new("damage");
    store_tests::check_damage(|storage| hooks.open(storage), &hooks);
}

#[test]
#[ignore = "needs a server"]
fn leases() {
    let hooks = Hooks::new("leases");
    store_tests::check_leases(|storage| hooks.open(storage), LEASE, &hooks);
}

#[tokio::test]
#[ignore = "needs a server"]
async fn leases_in_async_code() {
    let hooks = Hooks::new("leases_async");
    store_tests::check_leases_async(|storage| hooks.open(storage), LEASE, &hooks).await;
}

#[test]
#[ignore = "needs a server"]
fn a_network_that_loses_replies_and_delays_statements() {
    let hooks = Hooks::new("network");
    store_tests::check_network(|storage| hooks.open(storage), LEASE, &hooks);
}

#[tokio::test]
#[ignore = "needs a server"]
async fn a_network_that_loses_replies_and_delays_statements_of_async_code() {
    let hooks = Hooks::new("network_async");
    store_tests::check_network_async(|storage| hooks.open(storage), LEASE, &hooks).await;
}

const LEASE: Duration = Duration::from_secs(3);

/// Servers between the stores and their database, which the tests disturb.
struct Hooks {
    server: Arc<PostgresServer>,
    prefix: &'static str,
    /// The first store of each storage.
    proxies: Mutex<HashMap<String, Proxy>>,
}

/// A store, and the proxy through which it connects.
struct Proxied {
    store: PostgresStore,
    proxy: Proxy,
}

impl Hooks {
    fn new(prefix: &'static str) -> Self {
        Self { server: server(), prefix, proxies: Mutex::default() }
    }

    fn open(&self, storage: &str) -> Proxied {
        let proxy = Proxy::start(self.server.port());
        self.proxies.lock().unwrap().entry(storage.to_owned()).or_insert_with(|| proxy.clone());
        let settings = table(&self.table(storage)).with_timeout(LEASE / 3).with_lease(LEASE);
        Proxied { store: open(&proxy.url(), settings).unwrap(), proxy }
    }

    fn table(&self, storage: &str) -> String {
        format!("{}_{storage}", self.prefix).replace('-', "_")
    }

    fn proxy(&self, storage: &str) -> Proxy {
        self.proxies.lock().unwrap()[storage].clone()
    }

    fn update(&self, storage: &str, name: &str, change: &str) {
        let table = self.table(storage);
        self.server.execute(&format!("UPDATE {table} SET {change} WHERE name = '\\x{}'", hex(name.as_bytes())));
    }
}

impl DamageHooks for Hooks {
    async fn damage(&self, storage: &str, name: &str, bytes: &[u8]) {
        // A program's argument has no room for a long record.
        let file = self.server.data().join("damage");
        std::fs::write(&file, bytes).unwrap();
        self.update(storage, name, &format!("record = pg_read_binary_file('{}')", file.display()));
    }

    async fn copies(&self, storage: &str, name: &str) -> Vec<Vec<u8>> {
        let (table, name) = (self.table(storage), hex(name.as_bytes()));
        let copies = format!("SELECT '.' || encode(unnest(damaged), 'hex') FROM {table} WHERE name = '\\x{name}'");
        let text: String = self.server.query(&copies).split_whitespace().collect();
        text.split('.').skip(1).map(unhex).collect()
    }
}

impl LeaseHooks<Proxied> for Hooks {
    async fn lapse(&self, storage: &str, name: &str) {
        self.update(storage, name, "leased_until = '-infinity'");
    }

    async fn stop_renewing(&self, store: &Proxied) {
        store.proxy.set_down(true);
        store.proxy.hold_all();
    }
}

impl NetworkHooks for Hooks {
    async fn lose_reply(&self, storage: &str) {
        self.proxy(storage).strike(Strike::LoseReply);
    }

    async fn hold_back(&self, storage: &str) {
        self.proxy(storage).strike(Strike::Delay);
    }

    async fn restore(&self, storage: &str) -> usize {
        self.proxy(storage).restore()
    }
}

impl SessionStore for Proxied {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, loginradius_proto::Error> {
        SessionStore::try_lock(&self.store, name)
    }
}

impl AsyncSessionStore for Proxied {
    fn try_lock<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, loginradius_proto::Error>> {
        AsyncSessionStore::try_lock(&self.store, name)
    }

    fn peek<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<StoredRecord>> {
        AsyncSessionStore::peek(&self.store, name)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}
