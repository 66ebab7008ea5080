//! Records and times of sessions.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::session::{Now, StoredRecord};
use serde_json::Value;

pub fn start() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    Now::new(*START.get_or_init(Instant::now), SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_268_800))
}

pub fn later(now: Now, time: Duration) -> Now {
    Now::new(now.monotonic + time, now.wall + time)
}

pub fn json(record: &StoredRecord) -> Option<Value> {
    serde_json::from_slice(record.as_bytes()).ok()
}

pub fn field(record: &StoredRecord, name: &str) -> Value {
    json(record).map_or(Value::Null, |mut fields| fields.get_mut(name).map(Value::take).unwrap_or_default())
}

/// Makes a record as programs of earlier versions write it.
pub fn without_checksum(mut fields: Value) -> StoredRecord {
    fields.as_object_mut().expect("an object").remove("checksum");
    StoredRecord::from_bytes(fields.to_string())
}

/// Flips one bit of a record.
pub fn flipped(record: &StoredRecord, bit: usize) -> StoredRecord {
    let mut bytes = record.as_bytes().to_vec();
    let bit = bit % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    StoredRecord::from_bytes(bytes)
}
