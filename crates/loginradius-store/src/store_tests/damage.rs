//! What becomes of damaged records.

use loginradius_proto::session::{Expected, StoredRecord};

use super::{
    CLEARED, REPLACED, damaged, generation, keep_done, keep_done_as, keep_nothing, keep_stored, session, take,
};
use crate::store::AsyncSessionStore;

/// Replaces damaged records of many kinds in many circumstances: it is never a conflict.
pub(super) async fn every_damaged_record_is_replaced<S: AsyncSessionStore>(open: &impl Fn(&str) -> S) {
    let storage = "damaged-any";
    let (one, other) = (open(storage), open(storage));
    for (kind, (what, found)) in damaged_records().into_iter().enumerate() {
        for (place, under) in
            ["the lock that saved it", "a later lock", "the lock of another handle", "the lock of a handle that ended"]
                .into_iter()
                .enumerate()
        {
            if found.as_bytes().len() > LONG && place != 2 {
                continue;
            }
            let detail = format!("{what}, under {under}");
            let name = format!("{kind}-{place}");
            let mut lock = take(&one, &name).await;
            keep_done(lock.save(&found, Expected::Nothing).await, &format!("the save of {what}"));
            if place > 0 {
                lock.unlock().await;
                lock = match place {
                    1 => take(&one, &name).await,
                    2 => take(&other, &name).await,
                    _ => take(&open(storage), &name).await,
                };
            }
            // Without a load before the first one.
            for round in 1..=3 {
                let is_long = (kind, place, round) == (2, 0, 2);
                let new = session(round, &"x".repeat(if is_long { 300_000 } else { 10 }));
                keep_done_as(REPLACED, lock.save(&new, damaged(&found)).await, &format!("{detail}, in round {round}"));
                keep_stored(lock.load().await, &new, REPLACED, &format!("{detail}, loaded in round {round}"));
                keep_done(lock.save(&found, generation(&new)).await, &format!("the save of {what}"));
            }
            let promise = "a damaged record of the expected generation is cleared";
            keep_done_as(promise, lock.clear(damaged(&found)).await, &detail);
            keep_nothing(lock.load().await, CLEARED, &detail);
            lock.unlock().await;
        }
    }
}

/// What is longer costs time, and is tried in one place.
const LONG: usize = 100_000;

fn damaged_records() -> Vec<(&'static str, StoredRecord)> {
    let long: Vec<u8> = (0..=255).cycle().take((1 << 20) + 1).collect();
    vec![
        ("no byte", StoredRecord::from_bytes(b"")),
        ("one byte", StoredRecord::from_bytes(b"\0")),
        ("half a record", StoredRecord::from_bytes(&session(7, "half").as_bytes()[..40])),
        ("100,000 bytes of a longer record", StoredRecord::from_bytes(&long[..100_000])),
        ("more than 1 MiB", StoredRecord::from_bytes(long)),
        ("a session", session(7, "whole")),
    ]
}
