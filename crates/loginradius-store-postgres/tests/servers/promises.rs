//! The promises of every store.

use loginradius_store::store_tests;
use loginradius_testing::postgres::PgBouncer;

use crate::common::{open, server, table};

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
