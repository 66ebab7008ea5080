//! Damaged records: they are replaced, and a copy is kept.

use loginradius_proto::session::{Expected, LoadError, StoredRecord};

use super::common::{
    CLEARED, REPLACED, broken, damaged, generation, keep, keep_conflict, keep_done, keep_done_as,
    keep_done_or_conflict, keep_nothing, keep_stored, outcome, session, show, take,
};
use crate::store::{AsyncSessionLock, AsyncSessionStore};

/// How the tests of [`check_damage`](super::check_damage) reach what is stored, without the store.
///
/// The methods are `async fn`s for blocking stores too, and block there.
///
/// ```
/// use std::fs;
/// use std::path::PathBuf;
/// use loginradius_store::{FileStore, store_tests};
///
/// struct Files(PathBuf);
///
/// impl store_tests::DamageHooks for Files {
///     async fn damage(&self, storage: &str, name: &str, bytes: &[u8]) {
///         fs::write(self.0.join(storage).join(format!("session-{name}.json")), bytes).unwrap();
///     }
///
///     async fn copies(&self, storage: &str, name: &str) -> Vec<Vec<u8>> {
///         let start = format!("session-{name}.json.damaged-");
///         let files = fs::read_dir(self.0.join(storage)).unwrap().map(|file| file.unwrap().path());
///         let is_copy = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&start);
///         files.filter(is_copy).map(|path| fs::read(path).unwrap()).collect()
///     }
/// }
///
/// let folder = tempfile::tempdir()?;
/// let open = |storage: &str| FileStore::open(folder.path().join(storage)).unwrap();
/// store_tests::check_damage(open, &Files(folder.path().to_owned()));
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait DamageHooks {
    /// Damages the record of that name, which exists: replaces its bytes by these, and changes nothing else.
    fn damage(&self, storage: &str, name: &str, bytes: &[u8]) -> impl Future<Output = ()>;

    /// Returns the bytes of the copies of damaged records that are kept for that name, in any order.
    fn copies(&self, storage: &str, name: &str) -> impl Future<Output = Vec<Vec<u8>>>;
}

const COPIED: &str = "a copy is kept of a damaged record that is replaced";
const ONLY_COPIED: &str = "a copy is kept of nothing but a damaged record that is replaced";
const AS_FOUND: &str = "a damaged record is loaded as it is";

pub(super) async fn check_all<S: AsyncSessionStore>(open: &impl Fn(&str) -> S, hooks: &impl DamageHooks) {
    let copies = Copies { hooks, storage: "copies", name: "default" };
    let (one, other) = (open(copies.storage), open(copies.storage));
    let mut kept = Vec::new();
    let mut stored = session(1, "first");
    let mut lock = take(&one, copies.name).await;
    keep_done(lock.save(&stored, Expected::Nothing).await, "the first save");
    let next = session(2, "second");
    keep_done(lock.save(&next, generation(&stored)).await, "the second save");
    stored = next;
    copies.keep_only(&kept, "after two saves without damage").await;

    for (round, (what, bytes)) in damages().into_iter().enumerate() {
        hooks.damage(copies.storage, copies.name, &bytes).await;
        if round % 2 == 1 {
            lock.unlock().await;
            lock = take(if round % 4 == 1 { &other } else { &one }, copies.name).await;
        }
        let found = found(lock.as_mut(), &bytes, what).await;
        let number = u64::try_from(round).unwrap_or_default() + 10;
        let new = session(number, &format!("after {round}"));
        let promise = "a damaged record of another generation stays";
        let wrong = lock.save(&new, Expected::Damaged(found ^ 1)).await;
        keep_conflict(wrong, promise, &format!("a save over {what} expected another generation"));
        copies.keep_only(&kept, &format!("after a conflict over {what}")).await;

        let expected = Expected::Damaged(found);
        keep_done_as(REPLACED, lock.save(&new, expected).await, what);
        keep_stored(lock.load().await, &new, REPLACED, what);
        kept.push(bytes);
        copies.keep_all(&kept, what).await;
        keep_done_or_conflict(lock.save(&new, expected).await, "the same save again");
        copies.keep_only(&kept, &format!("{what}, after the same save again")).await;
        stored = new;
    }
    keep(hooks.copies(copies.storage, "another").await.is_empty(), ONLY_COPIED, "there is one under another name");

    let bytes = b"damaged, and cleared";
    hooks.damage(copies.storage, copies.name, bytes).await;
    let found = found(lock.as_mut(), bytes, "bytes that are cleared").await;
    let promise = "a damaged record of the expected generation is cleared";
    keep_done_as(promise, lock.clear(Expected::Damaged(found)).await, "under the lock of a save");
    keep_nothing(lock.load().await, CLEARED, "of a damaged record");
    copies.keep_only(&kept, "after a damaged record was cleared").await;
    copies.keep_all(&kept, "after the record was cleared").await;
    lock.unlock().await;
    copies.keep_all(&kept, "after the record was cleared, and its lock was released").await;
    let mut lock = take(&other, copies.name).await;
    keep_nothing(lock.load().await, CLEARED, "of a damaged record, under another lock");
    keep_done(lock.save(&stored, Expected::Nothing).await, "a save after the clear");
    lock.unlock().await;
    copies.keep_all(&kept, "after a later login").await;
}

struct Copies<'a, H> {
    hooks: &'a H,
    storage: &'a str,
    name: &'a str,
}

impl<H: DamageHooks> Copies<'_, H> {
    async fn keep_all(&self, kept: &[Vec<u8>], when: &str) {
        let copies = self.hooks.copies(self.storage, self.name).await;
        for bytes in kept {
            let detail = format!("{when}: {} of {} bytes is not there", show_bytes(bytes), bytes.len());
            keep(copies.contains(bytes), COPIED, &detail);
        }
    }

    async fn keep_only(&self, kept: &[Vec<u8>], when: &str) {
        for copy in self.hooks.copies(self.storage, self.name).await {
            let detail = format!("{when}: there is {} of {} bytes", show_bytes(&copy), copy.len());
            keep(kept.contains(&copy), ONLY_COPIED, &detail);
        }
    }
}

fn show_bytes(bytes: &[u8]) -> String {
    format!("the copy {}", show(&String::from_utf8_lossy(&bytes[..bytes.len().min(60)])))
}

/// Returns the generation of what the store found in place of a record.
async fn found(lock: &mut dyn AsyncSessionLock, bytes: &[u8], what: &str) -> u64 {
    match lock.load().await {
        Ok(Some(found)) if found.as_bytes() == bytes => found.generation(),
        // A wrapper whose seal is broken.
        Err(LoadError::Damaged { generation, .. }) => generation,
        Ok(Some(_)) => broken(AS_FOUND, &format!("{what}: the load returned other bytes")),
        found => broken(AS_FOUND, &format!("{what}: {}", outcome(&found))),
    }
}

/// Returns what may stand in place of a record. Its generation is not that of a column beside it.
fn damages() -> Vec<(&'static str, Vec<u8>)> {
    let whole = session(77, "of another generation");
    vec![
        ("half a record", whole.as_bytes()[..40].to_vec()),
        ("no byte", Vec::new()),
        ("bytes that are no text", (0..=255).collect()),
        ("half a record again", whole.as_bytes()[..40].to_vec()),
        ("a whole record of another generation", whole.as_bytes().to_vec()),
        ("100,000 bytes", b"\xfe\0x".iter().copied().cycle().take(100_000).collect()),
        ("one byte", vec![0]),
    ]
}

/// Replaces damaged records of many kinds under many locks: it is never a conflict.
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

/// Longer records cost time, and are tried under one lock only.
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
