//! The kit: the stores of this crate pass it, and stores that break one promise each do not.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use loginradius_proto::Error;
use loginradius_store::{
    AsyncLockedSession, AsyncTokenStore, BoxFuture, FileStore, LoadOutcome, LockedSession, MemoryStore, SaveOutcome,
    SessionRecord, TokenStore, kit,
};

#[derive(Default)]
struct Storages(Mutex<HashMap<String, MemoryStore>>);

impl Storages {
    fn open(&self, storage: &str) -> MemoryStore {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(storage.to_owned()).or_default().clone()
    }
}

fn open_file(folder: &Path, storage: &str) -> FileStore {
    FileStore::open(folder.join(storage)).unwrap()
}

#[test]
fn memory_store_passes() {
    let storages = Storages::default();
    kit::check(|storage| storages.open(storage));
}

#[tokio::test]
async fn memory_store_passes_for_async_code() {
    let storages = Storages::default();
    kit::check_async(|storage| storages.open(storage)).await;
}

#[test]
fn file_store_passes() {
    let folder = tempfile::tempdir().unwrap();
    kit::check(|storage| open_file(folder.path(), storage));
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn file_store_passes_for_async_code_on_one_thread() {
    let folder = tempfile::tempdir().unwrap();
    kit::check_async(|storage| open_file(folder.path(), storage)).await;
}

#[cfg(feature = "tokio")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_store_passes_for_async_code_on_several_threads() {
    let folder = tempfile::tempdir().unwrap();
    kit::check_async(|storage| open_file(folder.path(), storage)).await;
}

/// One broken promise each.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    ForgetsLock,
    LocksPerHandle,
    OneLockForAll,
    NeverUnlocks,
    UnlocksOnSave,
    UnlocksOnLoad,
    LastWriteWins,
    SaveOverAnythingIfNothingExpected,
    ComparesNewGeneration,
    OnlyHigherGenerations,
    ConflictWritesAnyway,
    ClearsAlways,
    ClearsNothing,
    ClearsAll,
    FoldsCase,
    TrimsNames,
    CutsNames,
    CutsNamesAtNul,
    ListsOneRecord,
    TearsLongRecords,
    ForgetsIntent,
    GenerationsOf32Bits,
    GenerationsAsFloats,
    KeepsPerHandle,
    ReportsFailure,
    RefusesEmptyName,
    DropKeepsLock,
}

impl Fault {
    const ALL: [(Self, &str); 27] = [
        (Self::ForgetsLock, "while a lock is held"),
        (Self::LocksPerHandle, "while a lock is held"),
        (Self::OneLockForAll, "no two names meet"),
        (Self::NeverUnlocks, "given back is free"),
        (Self::UnlocksOnSave, "held until it is given back"),
        (Self::UnlocksOnLoad, "held until it is given back"),
        (Self::LastWriteWins, "conflict"),
        (Self::SaveOverAnythingIfNothingExpected, "expects nothing, over a record, is a conflict"),
        (Self::ComparesNewGeneration, ""),
        (Self::OnlyHigherGenerations, "changed, and `Saved`"),
        (Self::ConflictWritesAnyway, "a conflict changes nothing"),
        (Self::ClearsAlways, "conflict"),
        (Self::ClearsNothing, "what was cleared is gone"),
        (Self::ClearsAll, "until it is cleared itself"),
        (Self::FoldsCase, "no two names meet"),
        (Self::TrimsNames, "no two names meet"),
        (Self::CutsNames, "no two names meet"),
        (Self::CutsNamesAtNul, "no two names meet"),
        (Self::ListsOneRecord, "no two names meet"),
        (Self::TearsLongRecords, "tokens of 100,000 bytes"),
        (Self::ForgetsIntent, "an open intent"),
        (Self::GenerationsOf32Bits, ""),
        (Self::GenerationsAsFloats, ""),
        (Self::KeepsPerHandle, "loaded"),
        (Self::ReportsFailure, "changed, and `Saved`"),
        (Self::RefusesEmptyName, "a lock can be taken under every name"),
        (Self::DropKeepsLock, "dropped is free"),
    ];
}
