//! The stores, from outside.

use loginradius_store::StoredRecord;

mod async_files;
#[cfg(unix)]
mod children;
// Libraries are preloaded as glibc does it, and errors are Linux's.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod faults;
#[cfg(unix)]
mod file_systems;
#[cfg(unix)]
mod files;
mod leases;
mod moving;
#[cfg(unix)]
mod processes;
mod sealed;
mod store_tests;

/// Makes a record as older programs write it, with these tokens in it.
fn record(generation: u64, token: &str) -> StoredRecord {
    let record = StoredRecord::from_bytes(format!(
        r#"{{"version":1,"generation":{generation},"client_id":"c","sign_in":1,"access_token":"{token}",
        "refresh_token":"refresh {token}","id_token":"id {token}","obtained_at_unix_ms":0}}"#
    ));
    assert_eq!(record.generation(), generation);
    record
}
