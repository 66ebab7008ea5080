//! The stores, from outside.

use loginradius_store::{LoadOutcome, SaveOutcome, SessionRecord};

#[cfg(feature = "tokio")]
mod async_files;
#[cfg(unix)]
mod files;
mod kit;
#[cfg(unix)]
mod processes;

/// A record with these tokens in it.
fn record(generation: u64, token: &str) -> SessionRecord {
    let json = format!(
        r#"{{"version":1,"generation":{generation},"client_id":"c","sign_in":1,"access_token":"{token}",
        "refresh_token":"refresh {token}","id_token":"id {token}","obtained_at_unix_ms":0}}"#
    );
    match LoadOutcome::from_json(&json) {
        LoadOutcome::Record(record) => record,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn saved(outcome: SaveOutcome) {
    assert!(matches!(outcome, SaveOutcome::Saved), "{outcome:?}");
}
