//! What happens when the disk fails or the process dies, at each step.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use loginradius_proto::ErrorKind as Kind;
use tempfile::TempDir;

use super::*;

/// A disk with a fault at one of its steps.
#[derive(Clone)]
struct Faulty {
    steps: Arc<Mutex<Vec<&'static str>>>,
    fault: Option<Fault>,
}

#[derive(Clone, Copy)]
struct Fault {
    /// Which step.
    at: usize,
    /// Whether the step is done nevertheless, or how many bytes of a write.
    done: Done,
    /// Whether the process dies there. Else the step returns an error.
    dies: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Done {
    No,
    Bytes(usize),
    Yes,
}

impl Faulty {
    fn new(fault: impl Into<Option<Fault>>) -> Self {
        Self { steps: Arc::default(), fault: fault.into() }
    }

    fn steps(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.steps.lock().unwrap())
    }

    fn step<T>(&self, name: &'static str, mut act: impl FnMut(Done) -> io::Result<T>) -> io::Result<T> {
        let number = {
            let mut steps = self.steps.lock().unwrap();
            steps.push(name);
            steps.len() - 1
        };
        let Some(fault) = self.fault.filter(|fault| fault.at == number) else { return act(Done::Yes) };
        if fault.done != Done::No {
            act(fault.done)?;
        }
        if fault.dies {
            // Without the message of a panic. Destructors run, but only those of locks do anything, as in the kernel.
            resume_unwind(Box::new("died"));
        }
        Err(io::ErrorKind::StorageFull.into())
    }
}

impl Disk for Faulty {
    fn take(&self, path: &Path, access: Access) -> Result<Option<LockedFile>, Error> {
        let taken = self.step("take", |_| Ok(System.take(path, access)));
        taken.unwrap_or_else(|error| Err(failed("open", path, error)))
    }

    fn truncate(&self, file: &File) -> io::Result<()> {
        self.step("truncate", |_| System.truncate(file))
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        self.step("write", |done| match done {
            Done::Bytes(length) => System.write(file, &bytes[..length]),
            Done::Yes | Done::No => System.write(file, bytes),
        })
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.step("sync", |_| System.sync(file))
    }

    fn link(&self, file: &Path, name: &Path) -> io::Result<()> {
        self.step("link", |_| System.link(file, name))
    }

    fn copy(&self, bytes: &[u8], name: &Path, access: Access) -> io::Result<()> {
        self.step("copy", |_| System.copy(bytes, name, access))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename", |_| System.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step("remove", |_| System.remove(path))
    }

    fn list(&self, folder: &Path, prefix: &str) -> Vec<PathBuf> {
        self.step("list", |_| Ok(System.list(folder, prefix))).unwrap_or_default()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step("sync_folder", |_| System.sync_folder(folder))
    }
}

const SAVE: [&str; 6] = ["take", "truncate", "write", "sync", "rename", "sync_folder"];
const SAVE_OVER_DAMAGED: [&str; 8] =
    ["take", "truncate", "write", "sync", "link", "sync_folder", "rename", "sync_folder"];
const SAVE_CONFLICT: [&str; 3] = ["take", "truncate", "remove"];
const CLEAR: [&str; 6] = ["take", "truncate", "list", "remove", "remove", "sync_folder"];
const CLEAR_NOTHING: [&str; 5] = ["take", "truncate", "list", "remove", "sync_folder"];
const CLEAR_CONFLICT: [&str; 3] = ["take", "truncate", "remove"];

fn record(generation: u64) -> StoredRecord {
    let record = StoredRecord::from_bytes(format!(
        r#"{{"version":1,"generation":{generation},"client_id":"c","sign_in":1,"access_token":"token {generation}",
        "refresh_token":"refresh","obtained_at_unix_ms":0}}"#
    ));
    assert_eq!(record.generation(), generation);
    record
}

/// Expects the record of that generation, or none.
fn generation(generation: Option<u64>) -> Expected {
    generation.map_or(Expected::Nothing, Expected::Generation)
}

fn open() -> (TempDir, FileStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    (folder, store)
}

fn open_with(old: Option<u64>) -> (TempDir, FileStore) {
    let (folder, store) = open();
    old.into_iter().for_each(|old| lock(&store).save(&record(old), Expected::Nothing).unwrap());
    (folder, store)
}

fn lock(store: &FileStore) -> FileSessionLock {
    store.lock("a").unwrap().expect("the lock is free")
}

fn lock_on<D: Disk>(store: &FileStore, disk: D) -> FileSessionLock<D> {
    store.lock_on(disk, "a").unwrap().expect("the lock is free")
}

/// Loads as another process would.
#[track_caller]
fn stored(store: &FileStore) -> Option<u64> {
    let found = lock(store).load().unwrap()?;
    assert_eq!(found.as_bytes(), record(found.generation()).as_bytes(), "neither the old nor the new one");
    Some(found.generation())
}

fn stored_bytes(folder: &TempDir) -> Vec<u8> {
    fs::read(folder.path().join("session-a.json")).unwrap()
}

fn put(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap();
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

fn files(folder: &TempDir) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut files: Vec<String> = fs::read_dir(folder.path()).unwrap().map(name).collect();
    files.sort();
    files
}

/// Only a clear lists the folder: a save costs the same beside any number of sessions.
#[test]
fn a_save_is_durable_before_it_is_done_and_lists_no_folder() {
    let (folder, store) = open();
    let disk = Faulty::new(None);
    let mut lock = lock_on(&store, disk.clone());
    lock.save(&record(1), Expected::Nothing).unwrap();
    assert_eq!(disk.steps(), SAVE);
    lock.save(&record(2), Expected::Generation(1)).unwrap();
    assert_eq!(disk.steps(), SAVE);
    lock.load().unwrap();
    assert_eq!(disk.steps(), [""; 0]);
    assert!(matches!(lock.save(&record(3), Expected::Generation(1)), Err(SaveError::Conflict)));
    assert_eq!(disk.steps(), SAVE_CONFLICT);
    assert!(matches!(lock.clear(Expected::Generation(1)), Err(SaveError::Conflict)));
    assert_eq!(disk.steps(), CLEAR_CONFLICT);
    lock.clear(Expected::Generation(2)).unwrap();
    assert_eq!(disk.steps(), CLEAR);
    lock.clear(Expected::Nothing).unwrap();
    assert_eq!(disk.steps(), CLEAR_NOTHING);
    put(&folder.path().join("session-a.json"), "{");
    let found = lock.load().unwrap().unwrap();
    lock.save(&record(4), Expected::Damaged(found.generation())).unwrap();
    assert_eq!(disk.steps(), SAVE_OVER_DAMAGED);
}

#[test]
fn a_disk_that_fails_at_any_step_leaves_the_old_record() {
    for (at, step) in SAVE.iter().enumerate() {
        for old in [None, Some(1)] {
            let (folder, store) = open_with(old);
            let disk = Faulty::new(Fault { at, done: Done::No, dies: false });
            let outcome = lock_on(&store, disk.clone()).save(&record(2), generation(old));
            match outcome {
                Err(SaveError::Failed(error)) => {
                    assert_eq!((error.kind(), stored(&store)), (Kind::Unavailable, old), "{step}");
                    assert!(error.to_string().contains("the disk is full"), "{error}");
                    assert_ne!(*step, "sync_folder");
                }
                Err(SaveError::Unknown(error)) => {
                    assert_eq!((error.kind(), stored(&store)), (Kind::Unavailable, Some(2)), "{step}");
                    assert_eq!(*step, "sync_folder");
                }
                other => panic!("{step}: {other:?}"),
            }
            let expected =
                if stored(&store).is_some() { &["session-a.json", "session-a.lock"][..] } else { &["session-a.lock"] };
            assert_eq!(files(&folder), expected, "{step}");
        }
    }
}

#[test]
fn a_disk_that_is_full_at_any_byte_leaves_the_old_record() {
    let (folder, store) = open_with(Some(1));
    let length = record(2).as_bytes().len();
    for bytes in 0..=length {
        let disk = Faulty::new(Fault { at: 2, done: Done::Bytes(bytes), dies: false });
        let outcome = lock_on(&store, disk).save(&record(2), Expected::Generation(1));
        assert!(matches!(outcome, Err(SaveError::Failed(_))), "{outcome:?}");
        assert_eq!(stored(&store), Some(1));
        assert_eq!(files(&folder), ["session-a.json", "session-a.lock"]);
    }
    lock(&store).save(&record(2), Expected::Generation(1)).unwrap();
}

#[test]
fn a_clear_that_fails_leaves_the_record_or_is_unknown() {
    for (at, step) in CLEAR.iter().enumerate() {
        for done in [Done::No, Done::Yes] {
            let (folder, store) = open_with(Some(1));
            let disk = Faulty::new(Fault { at, done, dies: false });
            let outcome = lock_on(&store, disk).clear(Expected::Generation(1));
            match (*step, outcome) {
                ("sync_folder", Err(SaveError::Unknown(_))) => assert_eq!(stored(&store), None),
                // The first is the record's. A file server may have done it, and its response was lost.
                ("remove", Err(SaveError::Failed(_))) if at == 3 && done == Done::No => {
                    assert_eq!(stored(&store), Some(1));
                }
                ("remove", Err(SaveError::Unknown(_))) if at == 3 => assert_eq!(stored(&store), None),
                // The second is the temporary file's, which is empty.
                ("remove", Ok(())) => assert_eq!(stored(&store), None),
                // It could not be created, and a clear can do without it, and without what older programs left.
                ("take", Ok(())) if done == Done::No => assert_eq!(stored(&store), None),
                ("truncate" | "list", Ok(())) => assert_eq!(stored(&store), None),
                ("take", Err(SaveError::Failed(_))) => assert_eq!(stored(&store), Some(1)),
                (step, outcome) => panic!("{step}: {outcome:?}"),
            }
            let found = stored(&store);
            lock(&store).clear(generation(found)).unwrap();
            assert_eq!(files(&folder), ["session-a.lock"], "{step}");
        }
    }
}

/// Otherwise a flow would rely on a record that a loss of power undoes.
#[test]
fn what_is_unknown_is_not_loaded_before_it_is_durable() {
    struct Unsynced(Arc<AtomicBool>);
    impl Disk for Unsynced {
        fn sync_folder(&self, folder: &Path) -> io::Result<()> {
            if self.0.load(Ordering::SeqCst) { Err(io::Error::other("no")) } else { System.sync_folder(folder) }
        }
    }
    let (_folder, store) = open();
    let fails = Arc::new(AtomicBool::new(true));
    let mut lock = lock_on(&store, Unsynced(fails.clone()));
    assert!(matches!(lock.save(&record(1), Expected::Nothing), Err(SaveError::Unknown(_))));
    assert!(matches!(lock.load(), Err(LoadError::Failed(_))));
    assert!(matches!(lock.load(), Err(LoadError::Failed(_))));
    fails.store(false, Ordering::SeqCst);
    assert!(lock.load().unwrap().is_some());
    fails.store(true, Ordering::SeqCst);
    assert!(lock.load().unwrap().is_some());
}

/// As on a file server that did the rename, and whose response was lost.
#[test]
fn a_rename_that_fails_after_it_was_done_is_unknown() {
    let (_folder, store) = open();
    let disk = Faulty::new(Fault { at: 4, done: Done::Yes, dies: false });
    let mut lock = lock_on(&store, disk.clone());
    assert!(matches!(lock.save(&record(1), Expected::Nothing), Err(SaveError::Unknown(_))));
    disk.steps();
    assert_eq!(lock.load().unwrap().unwrap().generation(), 1);
    assert_eq!(disk.steps(), ["sync_folder"], "it is durable before it is used");
}

/// The same of a clear; and of a rename whose failure would be one to try again.
#[test]
fn what_fails_after_it_was_done_is_durable_before_it_is_used() {
    let (_folder, store) = open_with(Some(1));
    let disk = Faulty::new(Fault { at: 3, done: Done::Yes, dies: false });
    let mut lock = lock_on(&store, disk.clone());
    assert!(matches!(lock.clear(Expected::Generation(1)), Err(SaveError::Unknown(_))));
    disk.steps();
    assert!(lock.load().unwrap().is_none());
    assert_eq!(disk.steps(), ["sync_folder"]);
    drop(lock);

    struct Lost(Arc<AtomicUsize>);
    impl Disk for Lost {
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            System.rename(from, to)?;
            Err(io::ErrorKind::StaleNetworkFileHandle.into())
        }

        fn sync_folder(&self, folder: &Path) -> io::Result<()> {
            self.0.fetch_add(1, Ordering::SeqCst);
            System.sync_folder(folder)
        }
    }
    let flushes = Arc::new(AtomicUsize::new(0));
    let mut lock = lock_on(&store, Lost(flushes.clone()));
    let outcome = lock.save(&record(1), Expected::Nothing);
    let Err(SaveError::Unknown(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.kind(), flushes.load(Ordering::SeqCst)), (Kind::Unavailable, 0));
    assert_eq!(lock.load().unwrap().unwrap().generation(), 1);
    assert_eq!(flushes.load(Ordering::SeqCst), 1);
}

#[test]
fn a_process_that_dies_at_any_step_leaves_the_old_or_the_new_record() {
    let length = record(2).as_bytes().len();
    let mut seen = [0, 0];
    for (at, step) in SAVE.iter().enumerate() {
        let mut how = vec![Done::No, Done::Yes];
        if *step == "write" {
            how.extend((0..length).step_by(5).map(Done::Bytes));
        }
        for done in how {
            for old in [None, Some(1)] {
                let (folder, store) = open_with(old);
                let disk = Faulty::new(Fault { at, done, dies: true });
                let mut killed = lock_on(&store, disk);
                let died = catch_unwind(AssertUnwindSafe(move || drop(killed.save(&record(2), generation(old)))));
                assert!(died.is_err());

                let renamed = at > 4 || (at == 4 && done == Done::Yes);
                assert_eq!(stored(&store), if renamed { Some(2) } else { old }, "{step}");
                seen[usize::from(renamed)] += 1;
                // And the next save overwrites what it left.
                let found = stored(&store);
                lock(&store).save(&record(3), generation(found)).unwrap();
                assert_eq!(stored(&store), Some(3), "{step}");
                assert_eq!(files(&folder), ["session-a.json", "session-a.lock"], "{step}");
            }
        }
    }
    assert!(seen[0] > length / 5 && seen[1] == 6, "{seen:?}");
}

#[test]
fn a_process_that_dies_in_a_clear_leaves_no_token_behind_a_removed_record() {
    // One step more removes what an older program left.
    for at in 0..=CLEAR.len() {
        for done in [Done::No, Done::Yes] {
            let (folder, store) = open_with(Some(1));
            put(&folder.path().join("session-a.tmp"), "half a rec");
            put(&folder.path().join("session-a.tmp-1"), "half a rec");
            let mut killed = lock_on(&store, Faulty::new(Fault { at, done, dies: true }));
            let died = catch_unwind(AssertUnwindSafe(move || drop(killed.clear(Expected::Generation(1)))));
            assert!(died.is_err());
            if stored(&store).is_none() {
                let left_over = |name: &str| fs::read(folder.path().join(name)).unwrap_or_default();
                assert_eq!(left_over("session-a.tmp"), b"", "step {at}");
                assert_eq!(left_over("session-a.tmp-1"), b"", "step {at}");
            }
        }
    }
}

/// What a killed process left may be longer than what is written over it.
#[test]
fn what_a_killed_save_left_is_overwritten() {
    for content in [&b""[..], b"half a rec", &[b'x'; 100_000]] {
        let (folder, store) = open_with(Some(1));
        put(&folder.path().join("session-a.tmp"), content);
        assert_eq!(stored(&store), Some(1), "it is not loaded");
        lock(&store).save(&record(2), Expected::Generation(1)).unwrap();
        assert_eq!(stored(&store), Some(2));
        put(&folder.path().join("session-a.tmp"), content);
        assert!(matches!(lock(&store).save(&record(3), Expected::Generation(1)), Err(SaveError::Conflict)));
        assert_eq!(files(&folder), ["session-a.json", "session-a.lock"], "it holds tokens");
        put(&folder.path().join("session-a.tmp"), content);
        lock(&store).clear(Expected::Generation(2)).unwrap();
        assert_eq!(files(&folder), ["session-a.lock"]);
    }
}

/// The other name may be a backup made with hard links, or even the record, where a rename would do nothing.
#[test]
#[cfg(unix)]
fn a_left_over_file_with_another_name_is_not_overwritten_under_that() {
    let (folder, store) = open_with(Some(1));
    let path = |name: &str| folder.path().join(name);
    put(&path("backup"), "half a rec");
    for other in ["backup", "session-a.json"] {
        let found = stored(&store);
        let content = fs::read(path(other)).unwrap();
        fs::hard_link(path(other), path("session-a.tmp")).unwrap();
        let full = Faulty::new(Fault { at: 4, done: Done::No, dies: false });
        let outcome = lock_on(&store, full).save(&record(2), generation(found));
        assert!(matches!(outcome, Err(SaveError::Failed(_))), "{outcome:?}");
        assert_eq!(fs::read(path(other)).unwrap(), content);

        let _ = fs::hard_link(path(other), path("session-a.tmp"));
        lock(&store).save(&record(found.unwrap() + 1), generation(found)).unwrap();
        assert_eq!(stored(&store), found.map(|found| found + 1));
        assert_eq!(fs::read(path("backup")).unwrap(), b"half a rec");
    }
    assert_eq!(files(&folder), ["backup", "session-a.json", "session-a.lock"]);
}

/// A disk that calls a function before one of its steps.
struct Interrupted<F> {
    at: usize,
    steps: AtomicUsize,
    interrupt: F,
}

impl<F: Fn() + Send + 'static> Interrupted<F> {
    fn new(at: usize, interrupt: F) -> Self {
        Self { at, steps: AtomicUsize::new(0), interrupt }
    }

    fn step(&self) {
        if self.steps.fetch_add(1, Ordering::SeqCst) == self.at {
            (self.interrupt)();
        }
    }
}

impl<F: Fn() + Send + 'static> Disk for Interrupted<F> {
    fn take(&self, path: &Path, access: Access) -> Result<Option<LockedFile>, Error> {
        self.step();
        System.take(path, access)
    }

    fn truncate(&self, file: &File) -> io::Result<()> {
        self.step();
        System.truncate(file)
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        self.step();
        System.write(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.step();
        System.sync(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step();
        System.rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step();
        System.sync_folder(folder)
    }
}

/// What a second holder found and did, after the lock file was removed under the first one.
#[derive(Debug, PartialEq)]
struct Second {
    found: u64,
    done: bool,
}

fn interrupt(at: usize, act: fn(&mut FileSessionLock, u64) -> Result<(), SaveError>) -> (TempDir, FileStore, Second) {
    let (folder, store) = open_with(Some(1));
    let second = Arc::new(Mutex::new(None));
    let disk = Interrupted::new(at, {
        let (store, second, lock_file) = (store.clone(), second.clone(), folder.path().join("session-a.lock"));
        move || {
            fs::remove_file(&lock_file).unwrap();
            let mut lock = lock(&store);
            let found = lock.load().unwrap().unwrap().generation();
            let done = match act(&mut lock, found) {
                Ok(()) => true,
                Err(SaveError::Conflict) => false,
                other => panic!("{other:?}"),
            };
            *second.lock().unwrap() = Some(Second { found, done });
        }
    });
    let first = lock_on(&store, disk).save(&record(2), Expected::Generation(1));
    let second = second.lock().unwrap().take().unwrap();
    match first {
        Ok(()) => assert!(second.found == 2 || !second.done, "an update was lost: {second:?}"),
        Err(SaveError::Conflict) => assert!(second.done, "neither was saved"),
        other => panic!("{other:?}"),
    }
    (folder, store, second)
}

#[test]
fn a_second_holder_is_refused_while_the_first_one_writes() {
    for (at, step) in SAVE.iter().enumerate() {
        let (folder, store, second) =
            interrupt(at, |lock, found| lock.save(&record(found + 10), Expected::Generation(found)));
        let expected = match *step {
            "take" => (Second { found: 1, done: true }, 11),
            "sync_folder" => (Second { found: 2, done: true }, 12),
            _ => (Second { found: 1, done: false }, 2),
        };
        assert_eq!((second, stored(&store).unwrap()), expected, "{step}");
        assert_eq!(files(&folder), ["session-a.json", "session-a.lock"], "{step}");
    }
}

#[test]
fn a_second_holder_cannot_clear_while_the_first_one_writes() {
    for (at, step) in SAVE.iter().enumerate() {
        let (folder, store, second) = interrupt(at, |lock, found| lock.clear(Expected::Generation(found)));
        let expected = match *step {
            "take" => (Second { found: 1, done: true }, None),
            "sync_folder" => (Second { found: 2, done: true }, None),
            _ => (Second { found: 1, done: false }, Some(2)),
        };
        assert_eq!((second, stored(&store)), expected, "{step}");
        assert!(!files(&folder).contains(&"session-a.tmp".to_owned()), "{step}");
    }
}

/// The temporary file is removed as well, and a second holder is killed while it writes its own: half a record must not
/// replace the old one.
#[test]
fn half_a_record_of_another_holder_is_not_put_in_place() {
    for at in 2..=3 {
        let (folder, store) = open_with(Some(1));
        let disk = Interrupted::new(at, {
            let (store, path) = (store.clone(), folder.path().to_owned());
            move || {
                fs::remove_file(path.join("session-a.lock")).unwrap();
                fs::remove_file(path.join("session-a.tmp")).unwrap();
                let mut killed = lock_on(&store, Faulty::new(Fault { at: 2, done: Done::Bytes(30), dies: true }));
                let died = catch_unwind(AssertUnwindSafe(|| killed.save(&record(3), Expected::Generation(1))));
                assert!(died.is_err());
            }
        });
        let outcome = lock_on(&store, disk).save(&record(2), Expected::Generation(1));
        assert!(matches!(outcome, Err(SaveError::Conflict)), "{outcome:?}");
        assert_eq!(stored(&store), Some(1));
        assert_eq!(files(&folder), ["session-a.json", "session-a.lock", "session-a.tmp"]);
    }
}

/// What they left holds tokens. No file of another session may be touched.
#[test]
fn a_clear_removes_what_killed_saves_of_older_programs_left() {
    let (folder, store) = open();
    let left_over = ["session-a.tmp-0", "session-a.tmp-ffff", "session-a_2etmp-0.tmp-0", "session-ab.tmp-0", "a.tmp-0"];
    let others = ["a.tmp-0", "session-a.lock", "session-a_2etmp-0.tmp-0", "session-ab.tmp-0"];
    for found in [None, Some(1)] {
        found.into_iter().for_each(|old| lock(&store).save(&record(old), Expected::Nothing).unwrap());
        left_over.iter().for_each(|name| fs::write(folder.path().join(name), "").unwrap());
        let stale = lock(&store).clear(Expected::Generation(5));
        assert!(matches!(stale, Err(SaveError::Conflict)), "{stale:?}");
        assert!(files(&folder).contains(&"session-a.tmp-0".to_owned()));
        lock(&store).clear(generation(found)).unwrap();
        assert_eq!(files(&folder), others);
    }
}

#[test]
fn a_damaged_record_is_never_lost_whatever_fails_while_a_copy_is_kept() {
    let damaged = StoredRecord::from_bytes(*b"half a rec").generation();
    for (at, step) in SAVE_OVER_DAMAGED.iter().enumerate() {
        for dies in [false, true] {
            for done in [Done::No, Done::Yes] {
                let (folder, store) = open();
                put(&folder.path().join("session-a.json"), "half a rec");
                let disk = Faulty::new(Fault { at, done, dies });
                let mut lock = lock_on(&store, disk);
                let outcome = catch_unwind(AssertUnwindSafe(move || lock.save(&record(1), Expected::Damaged(damaged))));
                let copies: Vec<String> = files(&folder).into_iter().filter(|name| name.contains("damaged")).collect();
                // Where a file cannot have a second name, a copy is written.
                let saved = *step == "link" && !dies;
                assert_eq!(matches!(outcome, Ok(Ok(()))), saved, "{step}: {outcome:?}");
                assert!(!matches!(outcome, Ok(Err(SaveError::Conflict))), "{step}: {outcome:?}");
                assert_eq!(stored_bytes(&folder) != b"half a rec", saved || at > 6 || (at == 6 && done == Done::Yes));
                if saved {
                    assert_eq!(copies.len(), if done == Done::Yes { 2 } else { 1 });
                    continue;
                }
                let content = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
                assert!(copies.iter().all(|name| content(name) == "half a rec"), "{step}");
                if content("session-a.json") != "half a rec" {
                    assert_eq!(stored(&store), Some(1), "{step}");
                    assert_eq!(copies, ["session-a.json.damaged-1"], "{step}");
                }
            }
        }
    }
}

/// A disk that refuses one of its steps for a number of times.
#[derive(Clone)]
struct Refusing {
    step: &'static str,
    error: fn() -> io::Error,
    times: Arc<AtomicUsize>,
}

impl Refusing {
    fn new(step: &'static str, error: fn() -> io::Error, times: usize) -> Self {
        Self { step, error, times: Arc::new(AtomicUsize::new(times)) }
    }

    fn refuses(&self, step: &str) -> io::Result<()> {
        let refused =
            || self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |times| times.checked_sub(1)).is_ok();
        if step == self.step && refused() { Err((self.error)()) } else { Ok(()) }
    }
}

impl Disk for Refusing {
    fn sync(&self, file: &File) -> io::Result<()> {
        self.refuses("sync").and_then(|()| System.sync(file))
    }

    fn link(&self, file: &Path, name: &Path) -> io::Result<()> {
        self.refuses("link").and_then(|()| System.link(file, name))
    }

    fn copy(&self, bytes: &[u8], name: &Path, access: Access) -> io::Result<()> {
        self.refuses("copy").and_then(|()| System.copy(bytes, name, access))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.refuses("rename").and_then(|()| System.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.refuses("remove").and_then(|()| System.remove(path))
    }
}

/// The errors of a call that a scanner with the file open, a signal or a file server prevents for a moment.
const PASSING: [fn() -> io::Error; 6] = [
    || io::ErrorKind::PermissionDenied.into(),
    || io::ErrorKind::ResourceBusy.into(),
    || io::ErrorKind::ExecutableFileBusy.into(),
    || io::ErrorKind::StaleNetworkFileHandle.into(),
    || io::ErrorKind::Interrupted.into(),
    || io::ErrorKind::WouldBlock.into(),
];

#[test]
fn what_is_refused_for_a_moment_is_tried_again() {
    for error in PASSING {
        for times in [1, 4] {
            let (folder, store) = open_with(Some(1));
            let refusing = |step| Refusing::new(step, error, times);
            lock_on(&store, refusing("rename")).save(&record(2), Expected::Generation(1)).unwrap();
            assert_eq!(stored(&store), Some(2));
            let conflict = lock_on(&store, refusing("remove")).save(&record(3), Expected::Generation(1));
            assert!(matches!(conflict, Err(SaveError::Conflict)), "{conflict:?}");
            assert_eq!(files(&folder), ["session-a.json", "session-a.lock"], "no temporary file is left");
            lock_on(&store, refusing("remove")).clear(Expected::Generation(2)).unwrap();
            assert_eq!(files(&folder), ["session-a.lock"]);
        }
    }
}

#[test]
fn what_is_always_refused_is_an_error_within_a_second() {
    let (folder, store) = open_with(Some(1));
    let start = std::time::Instant::now();
    let always = |step| Refusing::new(step, PASSING[0], usize::MAX);
    let outcome = lock_on(&store, always("rename")).save(&record(2), Expected::Generation(1));
    assert!(start.elapsed() < std::time::Duration::from_secs(1), "{:?}", start.elapsed());
    let Err(SaveError::Failed(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind(), Kind::StoreRefused);
    assert_eq!(stored(&store), Some(1));
    let outcome = lock_on(&store, always("remove")).clear(Expected::Generation(1));
    assert!(matches!(outcome, Err(SaveError::Failed(_))), "{outcome:?}");
    assert_eq!(stored(&store), Some(1));
    assert!(files(&folder).contains(&"session-a.json".to_owned()));
}

#[test]
fn the_waits_between_the_attempts_grow_to_half_a_second_in_all() {
    let all = [1, 2, 4, 8, 16, 32, 64, 128, 256].map(Duration::from_millis);
    for refusals in 0..=all.len() + 1 {
        let (mut waits, mut calls) = (Vec::new(), 0);
        let outcome = retry::retried_with(
            |wait| waits.push(wait),
            || {
                calls += 1;
                if calls > refusals { Ok(()) } else { Err(PASSING[0]()) }
            },
        );
        assert_eq!(outcome.is_ok(), refusals <= all.len());
        assert_eq!(waits, all[..refusals.min(all.len())]);
        assert_eq!(calls, waits.len() + 1);
    }
}

/// What failed for good is not tried again.
#[test]
fn a_failure_of_the_disk_is_told_at_once() {
    let (_folder, store) = open_with(Some(1));
    let once = |step, error| Refusing::new(step, error, 1);
    let errors: [fn() -> io::Error; 3] =
        [|| io::Error::other("EIO"), || io::ErrorKind::StorageFull.into(), || io::ErrorKind::ReadOnlyFilesystem.into()];
    for error in errors {
        for step in ["sync", "rename"] {
            let outcome = lock_on(&store, once(step, error)).save(&record(2), Expected::Generation(1));
            assert!(matches!(outcome, Err(SaveError::Failed(_))), "{step}: {outcome:?}");
        }
        let outcome = lock_on(&store, once("remove", error)).clear(Expected::Generation(1));
        assert!(matches!(outcome, Err(SaveError::Failed(_))), "{outcome:?}");
        assert_eq!(stored(&store), Some(1));
    }
    // The flush of a file is never left out, whatever the error.
    for error in PASSING {
        let outcome = lock_on(&store, once("sync", error)).save(&record(2), Expected::Generation(1));
        assert!(matches!(outcome, Err(SaveError::Failed(_))), "{outcome:?}");
    }
}

/// While the first holder waits, a second one takes its place, and is killed while it writes.
#[test]
fn a_rename_that_is_tried_again_puts_no_file_of_another_holder_in_place() {
    struct Exchanged(AtomicBool);
    impl Disk for Exchanged {
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            if self.0.swap(true, Ordering::SeqCst) {
                return System.rename(from, to);
            }
            fs::remove_file(from).unwrap();
            put(from, "half a rec");
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    let (_folder, store) = open_with(Some(1));
    let outcome = lock_on(&store, Exchanged(AtomicBool::new(false))).save(&record(2), Expected::Generation(1));
    assert!(matches!(outcome, Err(SaveError::Unknown(_))), "{outcome:?}");
    assert_eq!(stored(&store), Some(1));
}

#[test]
fn a_damaged_record_is_copied_where_a_file_has_one_name_only() {
    let damaged = StoredRecord::from_bytes(*b"half a rec").generation();
    // Whatever the reason: FAT, Android, SELinux, a file with too many names, another file server's code.
    let reasons: [fn() -> io::Error; 6] = [
        || io::ErrorKind::PermissionDenied.into(),
        || io::ErrorKind::Unsupported.into(),
        || io::ErrorKind::TooManyLinks.into(),
        || io::ErrorKind::CrossesDevices.into(),
        || io::ErrorKind::InvalidInput.into(),
        || io::Error::other("EIO"),
    ];
    for reason in reasons {
        let (folder, store) = open();
        put(&folder.path().join("session-a.json"), "half a rec");
        let disk = Refusing::new("link", reason, usize::MAX);
        lock_on(&store, disk).save(&record(1), Expected::Damaged(damaged)).unwrap();
        assert_eq!(stored(&store), Some(1));
        assert_eq!(files(&folder), ["session-a.json", "session-a.json.damaged-1", "session-a.lock"]);
        let copy = folder.path().join("session-a.json.damaged-1");
        assert_eq!(fs::read(&copy).unwrap(), b"half a rec");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&copy).unwrap()) & 0o777, 0o600);
    }
}

#[test]
fn a_damaged_record_that_can_be_neither_linked_nor_copied_stays() {
    let damaged = StoredRecord::from_bytes(*b"half a rec").generation();
    struct Neither;
    impl Disk for Neither {
        fn link(&self, _: &Path, _: &Path) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn copy(&self, _: &[u8], _: &Path, _: Access) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
    let (folder, store) = open();
    put(&folder.path().join("session-a.json"), "half a rec");
    let outcome = lock_on(&store, Neither).save(&record(1), Expected::Damaged(damaged));
    let Err(SaveError::Failed(error)) = outcome else { panic!("{outcome:?}") };
    assert!(error.to_string().contains("cannot keep the damaged session as"), "{error}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(files(&folder), ["session-a.json", "session-a.lock"]);
    assert_eq!(stored_bytes(&folder), b"half a rec");
    // A name that is taken is another file's.
    put(&folder.path().join("taken"), "");
    assert_eq!(
        System.copy(b"", &folder.path().join("taken"), Access::Owner).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    assert!(folder.path().join("taken").exists());
}

#[test]
fn a_record_that_could_not_be_loaded_again_is_not_saved() {
    let (folder, store) = open();
    let size = 16 * 1024 * 1024;
    let large = StoredRecord::from_bytes(vec![b' '; size + 1]);
    let outcome = lock(&store).save(&large, Expected::Nothing);
    let Err(SaveError::Failed(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind(), Kind::StoreRefused);
    assert!(error.to_string().contains("larger than 16 MiB"), "{error}");
    assert_eq!(files(&folder), ["session-a.lock"]);

    let large = StoredRecord::from_bytes(vec![b' '; size]);
    lock(&store).save(&large, Expected::Nothing).unwrap();
    let found = lock(&store).load().unwrap().unwrap();
    assert!(found.as_bytes() == large.as_bytes() && found.generation() == large.generation());
}

const OPENING: Opening = Opening { create: true, group: false };

#[test]
fn folders_without_locks_are_refused() {
    #[cfg(target_os = "linux")]
    fn error<T>(number: i32) -> io::Result<T> {
        Err(io::Error::from_raw_os_error(number))
    }
    static FIRST: AtomicBool = AtomicBool::new(true);
    let unlock: fn(&File) -> io::Result<()> = |_| Ok(());
    let rows: Vec<(&str, Locking, Kind)> = vec![
        ("do not exclude each other", Locking { try_lock: |_| Ok(true), unlock }, Kind::StoreRefused),
        ("do not exclude each other", Locking { try_lock: |_| Ok(false), unlock }, Kind::StoreRefused),
        // Taken once, and never free again.
        (
            "do not exclude each other",
            Locking { try_lock: |_| Ok(FIRST.swap(false, Ordering::SeqCst)), unlock },
            Kind::StoreRefused,
        ),
        // Not by another handle either.
        ("do not exclude each other", Locking { unlock, ..Locking::SYSTEM }, Kind::StoreRefused),
        ("cannot lock files", Locking { try_lock: |_| Err(ErrorKind::Unsupported.into()), unlock }, Kind::StoreRefused),
        ("try again", Locking { try_lock: |_| Err(io::Error::other("no code")), unlock }, Kind::Unavailable),
        #[cfg(target_os = "linux")]
        ("cannot lock files", Locking { try_lock: |_| error(37), unlock }, Kind::StoreRefused), // ENOLCK
        #[cfg(target_os = "linux")]
        ("cannot lock files", Locking { try_lock: |_| error(38), unlock }, Kind::StoreRefused), // ENOSYS
        #[cfg(target_os = "linux")]
        ("cannot lock files", Locking { try_lock: |_| error(95), unlock }, Kind::StoreRefused), // EOPNOTSUPP
        #[cfg(target_os = "linux")]
        ("cannot lock files", Locking { unlock: |_| error(95), ..Locking::SYSTEM }, Kind::StoreRefused),
        #[cfg(target_os = "linux")]
        ("try again", Locking { try_lock: |_| error(5), unlock }, Kind::Unavailable), // EIO
    ];
    for (number, (words, locking, kind)) in rows.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let error = FileStore::open_with(folder.path(), locking, OPENING).unwrap_err();
        assert!(error.to_string().contains(words), "{number}: {error}");
        assert_eq!(error.kind(), *kind, "{number}: {error}");
        if *kind == Kind::StoreRefused {
            assert!(error.to_string().contains("choose a folder on a local disk"), "{error}");
        }
        assert_eq!(files(&folder), [""; 0], "the probe leaves nothing");
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(FileStore::open_with(folder.path(), &Locking::SYSTEM, OPENING).is_ok());
    assert_eq!(files(&folder), [""; 0], "the probe leaves nothing");
}

/// It creates the folder, and then sets its mode.
#[test]
#[cfg(unix)]
fn another_process_that_creates_the_folder_has_a_moment_to_set_its_mode() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let set_mode = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
    let all = [1, 3, 9, 27, 81].map(Duration::from_millis);
    for set_after in [Some(0), Some(1), Some(5), None] {
        set_mode(if set_after == Some(0) { 0o700 } else { 0o777 });
        let mut waits = Vec::new();
        let sleep = |wait| {
            waits.push(wait);
            if Some(waits.len()) == set_after {
                set_mode(0o700);
            }
        };
        let outcome = check_folder(folder.path(), false, sleep);
        assert_eq!(outcome.is_ok(), set_after.is_some(), "{outcome:?}");
        assert_eq!(waits, all[..set_after.unwrap_or(all.len())]);
    }
}

/// A signal interrupts a call, or a file server forgets what is open.
#[test]
fn a_lock_that_is_refused_for_a_moment_is_tried_again() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    /// Fails twice before each call that succeeds.
    fn refused<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if CALLS.fetch_add(1, Ordering::SeqCst) % 3 < 2 { Err(io::ErrorKind::Interrupted.into()) } else { call() }
    }
    let locking = Locking {
        try_lock: |file| refused(|| (Locking::SYSTEM.try_lock)(file)),
        unlock: |file| refused(|| (Locking::SYSTEM.unlock)(file)),
    };
    let (folder, _) = open_with(None);
    FileStore::open_with(folder.path(), &locking, OPENING).unwrap();
    assert_eq!(CALLS.load(Ordering::SeqCst), 3 * 4);
    let held = LockedFile::try_lock(&folder.path().join("a.lock"), &locking, Access::Owner).unwrap().unwrap();
    assert!(LockedFile::try_lock(&folder.path().join("a.lock"), &locking, Access::Owner).unwrap().is_none());
    drop(held);
    // If that does not pass, it is an error, and not a wait without end.
    let always = Locking { try_lock: |_| Err(io::ErrorKind::Interrupted.into()), ..Locking::SYSTEM };
    let error = FileStore::open_with(folder.path(), &always, OPENING).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

#[test]
fn what_killed_programs_left_is_removed_when_a_store_is_opened() {
    let (folder, store) = open_with(Some(1));
    let path = |name: &str| folder.path().join(name);
    let left_over = [
        "probe-0123456789abcdef.lock",
        "probe-ffffffffffffffff.lock",
        "session-a.tmp",
        "session-a.tmp-00d1f2e3c4b5a697",
        "session-never-again.tmp",
        "session-_41da.tmp",
    ];
    let others = [
        "notes.tmp",
        "probe-0123456789abcde.lock",
        "probe-0123456789ABCDEF.lock",
        "probe-notes.lock",
        "session-A.tmp",
        "session-a.json.damaged-1",
        "session-a.json.tmp",
        "session-a.tmp.old",
        "session-a.tmp-x",
        "session-é.tmp",
    ];
    left_over.iter().chain(&others).for_each(|name| put(&path(name), "half a rec"));
    // A folder, links, and a file that others can read.
    fs::create_dir(path("probe-0000000000000001.lock")).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("session-a.json", path("probe-0000000000000002.lock")).unwrap();
        std::os::unix::fs::symlink("session-a.json", path("session-linked.tmp")).unwrap();
        put(&path("session-open.tmp"), "half a rec");
        fs::set_permissions(path("session-open.tmp"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    }
    FileStore::open(folder.path()).unwrap();
    for name in left_over {
        assert!(!path(name).exists(), "{name}");
    }
    for name in others {
        assert_eq!(fs::read(path(name)).unwrap(), b"half a rec", "{name}");
    }
    assert!(path("probe-0000000000000001.lock").exists());
    #[cfg(unix)]
    for name in ["probe-0000000000000002.lock", "session-linked.tmp", "session-open.tmp"] {
        assert!(fs::symlink_metadata(path(name)).is_ok(), "{name}");
    }
    assert_eq!(stored(&store), Some(1));
}

#[test]
fn only_the_file_of_a_probe_that_may_be_running_is_waited_for() {
    let (folder, _store) = open_with(Some(1));
    let path = |number: u64| folder.path().join(format!("probe-{number:016x}.lock"));
    let sweep = |sleep: &mut dyn FnMut(Duration)| probe::sweep(folder.path(), Access::Owner, sleep);
    put(&folder.path().join("session-a.tmp"), "half a rec");
    sweep(&mut |_| panic!("there is no probe"));
    assert_eq!(files(&folder), ["session-a.json", "session-a.lock"]);

    [0, 1, 2].iter().for_each(|number| put(&path(*number), ""));
    let (mut running, mut waits) = (None, Vec::new());
    sweep(&mut |wait| {
        waits.push(wait);
        // One probe goes on, and one ends.
        running = LockedFile::try_lock_existing(&path(1), Access::Owner).unwrap();
        fs::remove_file(path(2)).unwrap();
    });
    assert_eq!(waits, [Duration::from_millis(50)]);
    assert!(running.is_some());
    assert_eq!(files(&folder), ["probe-0000000000000001.lock", "session-a.json", "session-a.lock"]);
}

#[test]
fn a_save_in_progress_keeps_its_temporary_file() {
    let (folder, store) = open_with(Some(1));
    let disk = Interrupted::new(4, {
        let folder = folder.path().to_owned();
        move || {
            FileStore::open(&folder).unwrap();
            // Even if the session's lock is free, because its file was removed.
            fs::remove_file(folder.join("session-a.lock")).unwrap();
            FileStore::open(&folder).unwrap();
        }
    });
    lock_on(&store, disk).save(&record(2), Expected::Generation(1)).unwrap();
    assert_eq!(stored(&store), Some(2));
}

/// The file is taken for one that a killed program left, and is removed at each place of the probe.
#[test]
fn a_probe_whose_file_is_removed_begins_again() {
    static FOLDER: Mutex<Option<PathBuf>> = Mutex::new(None);
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let swept = Locking {
        try_lock: |file| {
            if CALLS.fetch_sub(1, Ordering::SeqCst) != 1 {
                return (Locking::SYSTEM.try_lock)(file);
            }
            let folder = FOLDER.lock().unwrap().clone().unwrap();
            fs::read_dir(folder).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
            Ok(false)
        },
        ..Locking::SYSTEM
    };
    for call in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        *FOLDER.lock().unwrap() = Some(folder.path().to_owned());
        CALLS.store(call, Ordering::SeqCst);
        FileStore::open_with(folder.path(), &swept, OPENING).unwrap();
        assert_eq!(files(&folder), [""; 0]);
    }
}

#[test]
fn stores_that_are_opened_at_once_sweep_nothing_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let folder = folder.path();
            scope.spawn(move || {
                for number in 0..10 {
                    put(&folder.join(format!("probe-{thread:08x}{number:08x}.lock")), "");
                    let store = FileStore::open(folder).unwrap();
                    // Another thread may be checking whether this one's last save was killed.
                    let locks = std::iter::repeat_with(|| store.lock(&format!("{thread}")).unwrap());
                    let mut lock = locks.flatten().next().unwrap();
                    let old = lock.load().unwrap().map(|record| record.generation());
                    lock.save(&record(number + 1), generation(old)).unwrap();
                }
            });
        }
    });
    FileStore::open(folder.path()).unwrap();
    assert!(!files(&folder).iter().any(|name| name.starts_with("probe-") || name.ends_with(".tmp")));
}

/// The file is removed between opening and locking.
#[test]
#[cfg(unix)]
fn the_lock_of_a_file_that_was_removed_is_not_taken() {
    static PATH: Mutex<Option<PathBuf>> = Mutex::new(None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    *PATH.lock().unwrap() = Some(path.clone());
    let removed = Locking {
        try_lock: |file| {
            PATH.lock().unwrap().take().into_iter().for_each(|path| fs::remove_file(path).unwrap());
            (Locking::SYSTEM.try_lock)(file)
        },
        ..Locking::SYSTEM
    };
    let lock = LockedFile::try_lock(&path, &removed, Access::Owner).unwrap().expect("the second file's");
    assert!(lock.is_at(&path));
    assert!(LockedFile::try_lock(&path, &Locking::SYSTEM, Access::Owner).unwrap().is_none());
}

/// A child process has it open between its fork and its exec.
#[test]
fn a_lock_that_is_dropped_is_free_even_if_the_file_is_still_open() {
    let (_folder, store) = open();
    let held = lock(&store);
    let duplicate = held.lock.file.try_clone().unwrap();
    drop(held);
    lock(&store);
    drop(duplicate);
}

#[test]
fn what_the_user_has_to_fix_is_distinct_from_what_passes() {
    use std::io::ErrorKind::*;
    let rows = [
        (NotFound, Kind::StoreRefused),
        (PermissionDenied, Kind::StoreRefused),
        (ReadOnlyFilesystem, Kind::StoreRefused),
        (NotADirectory, Kind::StoreRefused),
        (InvalidFilename, Kind::StoreRefused),
        (InvalidInput, Kind::StoreRefused),
        (Unsupported, Kind::StoreRefused),
        (StorageFull, Kind::Unavailable),
        (QuotaExceeded, Kind::Unavailable),
        (Interrupted, Kind::Unavailable),
        (FileTooLarge, Kind::Unavailable),
        (Other, Kind::Unavailable),
    ];
    for (kind, expected) in rows {
        let error = failed("write", Path::new("/folder/a\nb"), kind.into());
        assert_eq!(error.kind(), expected, "{kind:?}: {error}");
        let line = format!("{error} {error:?}");
        assert!(line.contains("cannot write `/folder/a\\nb`: ") && !line.contains('\n'), "{line}");
    }
}

/// The standard library has no stable kinds for these: EMFILE, ENFILE.
#[test]
#[cfg(unix)]
fn too_many_open_files_are_named() {
    for code in [24, 23] {
        let error = failed("open", Path::new("/folder/a"), std::io::Error::from_raw_os_error(code));
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert!(error.to_string().contains("too many files are open: close some, or raise the limit"), "{error}");
    }
}

fn names(store: &FileStore) -> Vec<String> {
    store.list("", None).unwrap()
}

fn save_as(store: &FileStore, name: &str) {
    let mut lock = store.lock(name).unwrap().unwrap();
    let found = lock.load().unwrap().map(|record| record.generation());
    lock.save(&record(found.unwrap_or_default() + 1), generation(found)).unwrap();
}

fn clear_as(store: &FileStore, name: &str) {
    let mut lock = store.lock(name).unwrap().unwrap();
    let found = lock.load().unwrap().map(|record| record.generation());
    lock.clear(generation(found)).unwrap();
}

#[test]
fn the_names_of_sessions_with_a_record_are_listed() {
    let (folder, store) = open();
    let cut = "x".repeat(101);
    for name in ["Ada Lovelace", "", "b", "b.json", &cut, "gone"] {
        save_as(&store, name);
    }
    clear_as(&store, "gone");
    // Locks without a record, saves that were killed, copies of damaged records, and what is no session's.
    store.lock("locked").unwrap().unwrap();
    let others = ["session-k.tmp", "session-d.json.damaged-1", "notes.json", "session-A.json", "session-_zz.json"];
    others.iter().for_each(|file| fs::write(folder.path().join(file), "").unwrap());
    assert_eq!(names(&store), ["", "Ada Lovelace", "b", "b.json", &cut]);
    assert_eq!(store.list("b", None).unwrap(), ["b", "b.json"]);
    assert_eq!(store.list("b", Some("b")).unwrap(), ["b.json"]);
    assert_eq!(store.list("x", Some("b")).unwrap(), [cut]);
    drop(folder);
    assert_eq!(store.list("", None).unwrap_err().kind(), Kind::StoreRefused);
}

/// The name of a session that the names of its files do not show, and the file that has it.
fn long_name(folder: &TempDir) -> (String, PathBuf) {
    let name = format!("ada/{}", "é\0".repeat(40));
    let path = folder.path().join(format!("{}.name", name::stem(&name)));
    (name, path)
}

#[test]
fn a_long_name_has_a_file_as_long_as_its_session_has_a_record() {
    let (folder, store) = open();
    let (name, path) = long_name(&folder);
    let mut lock = store.lock(&name).unwrap().unwrap();
    lock.load().unwrap();
    assert!(!path.exists() && names(&store).is_empty(), "a lock alone leaves no name");
    lock.save(&record(1), Expected::Nothing).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), name);
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap()) & 0o777, 0o600);
    assert_eq!(names(&store), [&*name]);
    assert!(matches!(lock.clear(Expected::Generation(7)), Err(SaveError::Conflict)));
    assert!(path.exists());
    lock.clear(Expected::Generation(1)).unwrap();
    assert!(!path.exists() && names(&store).is_empty());
    drop(lock);
    save_as(&store, "short");
    assert!(files(&folder).iter().all(|file| !file.ends_with(".name")), "a short name costs nothing");

    #[cfg(unix)]
    {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open_for_group(folder.path()).unwrap();
        save_as(&store, &name);
        let found = long_name(&folder).1.metadata().unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&found) & 0o777, 0o660);
    }
}

/// As after an older program's save, or one that was killed.
#[test]
fn a_name_that_is_missing_or_wrong_is_not_listed_and_the_next_save_writes_it() {
    let (folder, store) = open();
    let (name, path) = long_name(&folder);
    let same_start = format!("{name}!");
    let cases: [&dyn Fn(); 6] = [
        &|| fs::remove_file(&path).unwrap(),
        &|| put(&path, ""),
        &|| put(&path, &name.as_bytes()[..20]),
        &|| put(&path, &same_start),
        &|| put(&path, "default"),
        &|| put(&path, b"\xff\xfe"),
    ];
    for (number, case) in cases.iter().enumerate() {
        save_as(&store, &name);
        case();
        save_as(&store, "b");
        assert_eq!(names(&store), ["b"], "case {number}");
        save_as(&store, &name);
        assert_eq!(names(&store), [&*name, "b"], "case {number}");
    }
}

#[test]
fn a_file_of_a_name_is_as_private_as_the_others() {
    let (folder, store) = open();
    let (name, path) = long_name(&folder);
    save_as(&store, &name);
    let refused = |is_private: bool| {
        let outcome = store.lock(&name).unwrap().unwrap().save(&record(2), Expected::Generation(1));
        let Err(SaveError::Failed(error)) = outcome else { panic!("{outcome:?}") };
        for error in [error, store.list("ada/", None).unwrap_err()] {
            assert_eq!(error.kind(), Kind::StoreRefused, "{error}");
            assert!(error.to_string().contains(if is_private { "move it away" } else { "chmod 600" }), "{error}");
        }
        assert_eq!(store.list("b", None).unwrap(), [""; 0], "only names that may have the prefix are read");
    };
    let elsewhere = folder.path().join("elsewhere");
    put(&elsewhere, &name);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt, symlink};

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        refused(false);
        fs::remove_file(&path).unwrap();
        symlink(&elsewhere, &path).unwrap();
        refused(true);
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused(true);
    fs::remove_dir(&path).unwrap();
    // Another name of a file, whose content must stay.
    put(&elsewhere, "a backup");
    fs::hard_link(&elsewhere, &path).unwrap();
    store.lock(&name).unwrap().unwrap().save(&record(2), Expected::Generation(1)).unwrap();
    assert_eq!(fs::read(&elsewhere).unwrap(), b"a backup");
    assert_eq!(names(&store), [name]);
}

/// A session whose save is done is listed, whatever failed or died before.
#[test]
fn a_long_name_is_written_before_its_record() {
    const FIRST_SAVE: [&str; 8] = ["take", "truncate", "remove", "copy", "write", "sync", "rename", "sync_folder"];
    let (folder, store) = open();
    let (name, path) = long_name(&folder);
    let disk = Faulty::new(None);
    let mut lock = store.lock_on(disk.clone(), &name).unwrap().unwrap();
    lock.save(&record(1), Expected::Nothing).unwrap();
    assert_eq!(disk.steps(), FIRST_SAVE);
    lock.save(&record(2), Expected::Generation(1)).unwrap();
    assert_eq!(disk.steps(), SAVE);
    lock.clear(Expected::Generation(2)).unwrap();
    assert_eq!(disk.steps(), ["take", "truncate", "list", "remove", "remove", "remove", "sync_folder"]);
    drop(lock);
    for (at, step) in FIRST_SAVE.iter().enumerate() {
        for done in [Done::No, Done::Yes] {
            for dies in [false, true] {
                let disk = Faulty::new(Fault { at, done, dies });
                let save = || store.lock_on(disk, &name).unwrap().unwrap().save(&record(1), Expected::Nothing);
                let saved = catch_unwind(AssertUnwindSafe(save));
                let found = store.lock(&name).unwrap().unwrap().load().unwrap();
                let detail = format!("{step}, {}, {dies}: {saved:?}", done == Done::Yes);
                assert_eq!(names(&store).len(), usize::from(found.is_some()), "{detail}");
                match (*step, saved) {
                    ("rename" | "sync_folder", _) => {}
                    // That of a file that is not there.
                    ("remove", Ok(outcome)) if done == Done::Yes => outcome.unwrap(),
                    (_, Ok(outcome)) => {
                        assert!(matches!(outcome, Err(SaveError::Failed(_))) && found.is_none(), "{detail}");
                    }
                    (_, Err(_)) => assert!(found.is_none(), "{detail}"),
                }
                save_as(&store, &name);
                assert_eq!(names(&store), [&*name], "{detail}");
                clear_as(&store, &name);
                assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{detail}: {:?}", files(&folder));
                assert!(!path.exists());
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_system_is_named_by_where_it_is_mounted_and_its_kind() {
    for path in ["/proc", "/proc/self/status", "/proc/no-such-folder/file"] {
        assert_eq!(mount::file_system(Path::new(path)), "the file system mounted at `/proc` (proc)");
    }
}

/// What remains where the system does not tell which folders are mounted.
#[cfg(target_os = "linux")]
#[test]
fn a_mounted_file_system_has_its_own_device() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    assert!(!mount::has_its_own_device(&below));
    assert!(mount::has_its_own_device(Path::new("/proc")) && mount::has_its_own_device(Path::new("/")));
}

#[cfg(unix)]
#[test]
fn commands_are_quoted_for_a_shell() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let rows: [(&[u8], &str); 5] = [
        (b"/a b", "'/a b'"),
        (b"/it's", r"'/it'\''s'"),
        (b"/$(reboot)`reboot`;\"\\", r#"'/$(reboot)`reboot`;"\'"#),
        (b"/a\nb'c\\", r"$'/a\x0ab\'c\\'"),
        (b"/\xff", r"$'/\xff'"),
    ];
    for (path, expected) in rows {
        assert_eq!(text::quoted(Path::new(OsStr::from_bytes(path))), expected);
    }
}
