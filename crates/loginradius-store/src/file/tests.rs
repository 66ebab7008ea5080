//! What happens when the disk fails, or the process dies, at every step there is.

use std::fs::File;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// Whether the step is done nevertheless; of a write, how many bytes.
    done: Done,
    /// Else it is an error.
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
            // Without the message of a panic. Destructors run, and only the lock has one, as in the kernel.
            resume_unwind(Box::new("died"));
        }
        Err(io::ErrorKind::StorageFull.into())
    }
}

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.step("create", |_| System.create(path))
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        self.step("write", |done| match done {
            Done::Bytes(length) => file.write_all(&bytes[..length]),
            Done::Yes | Done::No => System.write(file, bytes),
        })
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.step("sync", |_| System.sync(file))
    }

    fn link(&self, file: &Path, name: &Path) -> io::Result<()> {
        self.step("link", |_| System.link(file, name))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename", |_| System.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step("remove", |_| System.remove(path))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step("sync_folder", |_| System.sync_folder(folder))
    }
}

const SAVE: [&str; 5] = ["create", "write", "sync", "rename", "sync_folder"];
const SAVE_OVER_DAMAGED: [&str; 7] = ["create", "write", "sync", "link", "sync_folder", "rename", "sync_folder"];
const CLEAR: [&str; 2] = ["remove", "sync_folder"];

fn record(generation: u64) -> SessionRecord {
    let json = format!(
        r#"{{"version":1,"generation":{generation},"client_id":"c","sign_in":1,"access_token":"token {generation}",
        "refresh_token":"refresh","obtained_at_unix_ms":0}}"#
    );
    match LoadOutcome::from_json(&json) {
        LoadOutcome::Record(record) => record,
        other => panic!("{other:?}"),
    }
}

fn open() -> (TempDir, FileStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    (folder, store)
}

fn lock(store: &FileStore) -> LockedFile {
    store.lock("a").unwrap().expect("the lock is free")
}

/// Loads as another process would.
fn stored(store: &FileStore) -> Option<u64> {
    match lock(store).load() {
        LoadOutcome::Record(found) => {
            assert_eq!(found.to_json(), record(found.generation()).to_json());
            Some(found.generation())
        }
        LoadOutcome::Nothing => None,
        other => panic!("neither the old nor the new one: {other:?}"),
    }
}

fn saved(outcome: SaveOutcome) {
    assert!(matches!(outcome, SaveOutcome::Saved), "{outcome:?}");
}

fn files(folder: &TempDir) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut files: Vec<String> = fs::read_dir(folder.path()).unwrap().map(name).collect();
    files.sort();
    files
}

#[test]
fn a_save_is_durable_before_it_is_called_saved() {
    let (folder, store) = open();
    let disk = Faulty::new(None);
    let mut locked = store.lock_on(disk.clone(), "a").unwrap().unwrap();
    saved(locked.save(&record(1), None));
    assert_eq!(disk.steps(), SAVE);
    saved(locked.save(&record(2), Some(1)));
    assert_eq!(disk.steps(), SAVE);
    let _ = locked.load();
    assert!(matches!(locked.save(&record(3), Some(1)), SaveOutcome::Conflict));
    assert!(matches!(locked.clear(Some(1)), SaveOutcome::Conflict));
    assert_eq!(disk.steps(), [""; 0]);
    saved(locked.clear(Some(2)));
    assert_eq!(disk.steps(), CLEAR);
    saved(locked.clear(None));
    assert_eq!(disk.steps(), [""; 0]);
    fs::write(folder.path().join("session-a.json"), "{").unwrap();
    make_private(&folder.path().join("session-a.json"));
    saved(locked.save(&record(4), None));
    assert_eq!(disk.steps(), SAVE_OVER_DAMAGED);
}

fn make_private(path: &Path) {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    #[cfg(not(unix))]
    let _ = path;
}

#[test]
fn a_disk_that_fails_at_any_step_leaves_the_old_record() {
    for (at, step) in SAVE.iter().enumerate() {
        for old in [None, Some(1)] {
            let (folder, store) = open();
            old.into_iter().for_each(|old| saved(lock(&store).save(&record(old), None)));
            let disk = Faulty::new(Fault { at, done: Done::No, dies: false });
            let mut locked = store.lock_on(disk.clone(), "a").unwrap().unwrap();
            let outcome = locked.save(&record(2), old);
            drop(locked);
            match outcome {
                SaveOutcome::Failed(error) => {
                    assert_eq!((error.kind(), stored(&store)), (Kind::TryLater, old), "{step}");
                    assert!(error.to_string().contains("the disk is full"), "{error}");
                    assert_ne!(*step, "sync_folder");
                }
                SaveOutcome::Unknown(error) => {
                    assert_eq!((error.kind(), stored(&store)), (Kind::TryLater, Some(2)), "{step}");
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
    let (folder, store) = open();
    saved(lock(&store).save(&record(1), None));
    let length = record(2).to_json().len();
    for bytes in 0..=length {
        let disk = Faulty::new(Fault { at: 1, done: Done::Bytes(bytes), dies: false });
        let mut locked = store.lock_on(disk, "a").unwrap().unwrap();
        let outcome = locked.save(&record(2), Some(1));
        assert!(matches!(outcome, SaveOutcome::Failed(_)), "{outcome:?}");
        drop(locked);
        assert_eq!(stored(&store), Some(1));
        assert_eq!(files(&folder), ["session-a.json", "session-a.lock"]);
    }
    saved(lock(&store).save(&record(2), Some(1)));
}

#[test]
fn a_clearing_that_fails_leaves_the_record_or_is_in_doubt() {
    let (_folder, store) = open();
    saved(lock(&store).save(&record(1), None));
    let clear = |at| {
        let disk = Faulty::new(Fault { at, done: Done::No, dies: false });
        store.lock_on(disk, "a").unwrap().unwrap().clear(Some(1))
    };
    assert!(matches!(clear(0), SaveOutcome::Failed(_)));
    assert_eq!(stored(&store), Some(1));
    assert!(matches!(clear(1), SaveOutcome::Unknown(_)));
    assert_eq!(stored(&store), None);
}

/// Else a flow would take the record that it loads for one that outlives a loss of power.
#[test]
fn what_is_in_doubt_is_not_loaded_before_it_is_durable() {
    struct Unsynced(Arc<AtomicBool>);
    impl Disk for Unsynced {
        fn sync_folder(&self, folder: &Path) -> io::Result<()> {
            if self.0.load(Ordering::SeqCst) { Err(io::Error::other("no")) } else { System.sync_folder(folder) }
        }
    }
    let (_folder, store) = open();
    let fails = Arc::new(AtomicBool::new(true));
    let mut locked = store.lock_on(Unsynced(fails.clone()), "a").unwrap().unwrap();
    assert!(matches!(locked.save(&record(1), None), SaveOutcome::Unknown(_)));
    assert!(matches!(locked.load(), LoadOutcome::Failed(_)));
    assert!(matches!(locked.load(), LoadOutcome::Failed(_)));
    fails.store(false, Ordering::SeqCst);
    assert!(matches!(locked.load(), LoadOutcome::Record(_)));
    fails.store(true, Ordering::SeqCst);
    assert!(matches!(locked.load(), LoadOutcome::Record(_)));
}

/// As on a file server that did it, and could not say so.
#[test]
fn a_rename_that_fails_after_it_was_done_is_in_doubt() {
    let (_folder, store) = open();
    let disk = Faulty::new(Fault { at: 3, done: Done::Yes, dies: false });
    let mut locked = store.lock_on(disk, "a").unwrap().unwrap();
    assert!(matches!(locked.save(&record(1), None), SaveOutcome::Unknown(_)));
    assert!(matches!(locked.load(), LoadOutcome::Record(_)));
}

#[test]
fn a_process_that_dies_at_any_step_leaves_the_old_or_the_new_record() {
    let length = record(2).to_json().len();
    let mut seen = [0, 0];
    for (at, step) in SAVE.iter().enumerate() {
        let mut how = vec![Done::No, Done::Yes];
        if *step == "write" {
            how.extend((0..length).step_by(5).map(Done::Bytes));
        }
        for done in how {
            for old in [None, Some(1)] {
                let (folder, store) = open();
                old.into_iter().for_each(|old| saved(lock(&store).save(&record(old), None)));
                let disk = Faulty::new(Fault { at, done, dies: true });
                let mut locked = store.lock_on(disk, "a").unwrap().unwrap();
                let died = catch_unwind(AssertUnwindSafe(move || drop(locked.save(&record(2), old))));
                assert!(died.is_err());

                let renamed = at > 3 || (at == 3 && done == Done::Yes);
                assert_eq!(stored(&store), if renamed { Some(2) } else { old }, "{step}");
                seen[usize::from(renamed)] += 1;
                // And the next save removes what is left over.
                let found = stored(&store);
                saved(lock(&store).save(&record(3), found));
                assert_eq!(files(&folder), ["session-a.json", "session-a.lock"], "{step}");
            }
        }
    }
    assert!(seen[0] > length / 5 && seen[1] == 6, "{seen:?}");
}

/// It holds tokens, and of another session's files nothing may be touched.
#[test]
fn clearing_too_removes_what_dead_processes_left() {
    let (folder, store) = open();
    let left = ["session-a.tmp-0", "session-a.tmp-ffff", "session-a_2etmp-0.tmp-0", "session-ab.tmp-0", "a.tmp-0"];
    for found in [None, Some(1)] {
        found.into_iter().for_each(|old| saved(lock(&store).save(&record(old), None)));
        left.iter().for_each(|name| fs::write(folder.path().join(name), "").unwrap());
        saved(lock(&store).clear(found));
        assert_eq!(files(&folder), ["a.tmp-0", "session-a.lock", "session-a_2etmp-0.tmp-0", "session-ab.tmp-0"]);
    }
}

#[test]
fn a_damaged_file_is_never_lost_whatever_fails_while_it_is_set_aside() {
    for (at, step) in SAVE_OVER_DAMAGED.iter().enumerate() {
        for dies in [false, true] {
            for done in [Done::No, Done::Yes] {
                let (folder, store) = open();
                let path = folder.path().join("session-a.json");
                fs::write(&path, "half a rec").unwrap();
                make_private(&path);
                let disk = Faulty::new(Fault { at, done, dies });
                let mut locked = store.lock_on(disk, "a").unwrap().unwrap();
                let outcome = catch_unwind(AssertUnwindSafe(move || locked.save(&record(1), None)));
                assert!(!matches!(outcome, Ok(SaveOutcome::Saved | SaveOutcome::Conflict)), "{step}: {outcome:?}");
                let aside: Vec<String> = files(&folder).into_iter().filter(|name| name.contains("damaged")).collect();
                let content = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
                assert!(aside.iter().all(|name| content(name) == "half a rec"), "{step}");
                if content("session-a.json") != "half a rec" {
                    assert_eq!(stored(&store), Some(1), "{step}");
                    assert_eq!(aside, ["session-a.json.damaged-1"], "{step}");
                }
            }
        }
    }
}

#[test]
fn a_record_that_could_not_be_loaded_again_is_not_saved() {
    let (folder, store) = open();
    let json = record(2).to_json().replace("token 2", &"x".repeat(16 * 1024 * 1024));
    let LoadOutcome::Record(large) = LoadOutcome::from_json(&json) else { panic!() };
    let outcome = lock(&store).save(&large, None);
    let SaveOutcome::Failed(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind(), Kind::Settings);
    assert_eq!(files(&folder), ["session-a.lock"]);

    let rest = large.to_json().len() - 16 * 1024 * 1024;
    let json = record(2).to_json().replace("token 2", &"x".repeat(16 * 1024 * 1024 - rest));
    let LoadOutcome::Record(large) = LoadOutcome::from_json(&json) else { panic!() };
    assert_eq!(large.to_json().len(), 16 * 1024 * 1024);
    saved(lock(&store).save(&large, None));
    assert!(matches!(lock(&store).load(), LoadOutcome::Record(_)));
}

#[test]
fn folders_without_locks_are_refused() {
    #[cfg(target_os = "linux")]
    fn error<T>(number: i32) -> io::Result<T> {
        Err(io::Error::from_raw_os_error(number))
    }
    static FIRST: AtomicBool = AtomicBool::new(true);
    let unlock: fn(&File) -> io::Result<()> = |_| Ok(());
    let rows: Vec<(&str, Locking, Kind)> = vec![
        ("exclude nobody", Locking { try_lock: |_| Ok(true), unlock }, Kind::Settings),
        ("exclude nobody", Locking { try_lock: |_| Ok(false), unlock }, Kind::Settings),
        // Taken once, and never free again.
        ("exclude nobody", Locking { try_lock: |_| Ok(FIRST.swap(false, Ordering::SeqCst)), unlock }, Kind::Settings),
        // Not by another handle either.
        ("exclude nobody", Locking { unlock, ..Locking::SYSTEM }, Kind::Settings),
        #[cfg(target_os = "linux")]
        ("cannot lock files", Locking { try_lock: |_| error(37), unlock }, Kind::Settings), // ENOLCK
        #[cfg(target_os = "linux")]
        ("cannot lock files", Locking { try_lock: |_| error(38), unlock }, Kind::Settings), // ENOSYS
        #[cfg(target_os = "linux")]
        ("cannot lock files", Locking { try_lock: |_| error(95), unlock }, Kind::Settings), // EOPNOTSUPP
        #[cfg(target_os = "linux")]
        ("cannot lock files", Locking { unlock: |_| error(95), ..Locking::SYSTEM }, Kind::Settings),
        #[cfg(target_os = "linux")]
        ("try again", Locking { try_lock: |_| error(5), unlock }, Kind::TryLater), // EIO
    ];
    for (number, (words, locking, kind)) in rows.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let error = FileStore::open_with(folder.path(), locking).unwrap_err();
        assert!(error.to_string().contains(words), "{number}: {error}");
        assert_eq!(error.kind(), *kind, "{number}: {error}");
        if *kind == Kind::Settings {
            assert!(error.to_string().contains("choose a folder on a local disk"), "{error}");
        }
        assert_eq!(files(&folder), [""; 0], "the probe leaves nothing");
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(FileStore::open_with(folder.path(), &Locking::SYSTEM).is_ok());
    assert_eq!(files(&folder), [""; 0], "the probe leaves nothing");
}

/// Somebody tidies up between opening the lock file and locking it.
#[test]
#[cfg(unix)]
fn a_lock_on_a_file_that_was_removed_is_none() {
    static PATH: Mutex<Option<PathBuf>> = Mutex::new(None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    *PATH.lock().unwrap() = Some(path.clone());
    let tidied = Locking {
        try_lock: |file| {
            PATH.lock().unwrap().take().into_iter().for_each(|path| fs::remove_file(path).unwrap());
            (Locking::SYSTEM.try_lock)(file)
        },
        ..Locking::SYSTEM
    };
    let lock = Lock::try_take(&path, &tidied).unwrap().expect("the second file's");
    assert!(lock.is_held(&path));
    assert!(Lock::try_take(&path, &Locking::SYSTEM).unwrap().is_none());
}

/// As by a child process between its fork and its exec.
#[test]
fn a_lock_that_is_dropped_is_free_even_if_the_file_is_still_open() {
    let (_folder, store) = open();
    let locked = lock(&store);
    let duplicate = locked.lock.file.try_clone().unwrap();
    drop(locked);
    lock(&store);
    drop(duplicate);
}

#[test]
fn a_temporary_file_is_never_one_that_was_there() {
    let (folder, _) = open();
    let path = folder.path().join("there");
    System.create(&path).unwrap();
    assert_eq!(System.create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let names: Vec<u64> = (0..100).map(|_| random()).collect();
    assert!(names.iter().all(|name| names.iter().filter(|other| *other == name).count() == 1));
}

#[test]
fn what_a_person_has_to_mend_is_told_from_what_passes() {
    use std::io::ErrorKind::*;
    let rows = [
        (NotFound, Kind::Settings),
        (PermissionDenied, Kind::Settings),
        (ReadOnlyFilesystem, Kind::Settings),
        (NotADirectory, Kind::Settings),
        (InvalidFilename, Kind::Settings),
        (InvalidInput, Kind::Settings),
        (Unsupported, Kind::Settings),
        (StorageFull, Kind::TryLater),
        (QuotaExceeded, Kind::TryLater),
        (Interrupted, Kind::TryLater),
        (Other, Kind::TryLater),
    ];
    for (kind, expected) in rows {
        let error = failed("write", Path::new("/folder/a\nb"), kind.into());
        assert_eq!(error.kind(), expected, "{kind:?}: {error}");
        let line = format!("{error} {error:?}");
        assert!(line.contains("cannot write `/folder/a\\nb`: ") && !line.contains('\n'), "{line}");
    }
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
        assert_eq!(disk::quoted(Path::new(OsStr::from_bytes(path))), expected);
    }
}
