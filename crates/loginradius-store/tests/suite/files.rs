//! What users, other programs and accidents put where a session's files should be.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use loginradius_proto::{Error, ErrorKind};
use loginradius_store::{
    Expected, FileStore, LoadError, MemoryStore, SaveError, SessionLock, SessionStore, StoredRecord,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::record;

/// In every content, and in no error.
const CANARY: &str = "cafe-canary-5eed";

struct Fixture {
    folder: TempDir,
    store: FileStore,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: FileStore::open(folder.path()).unwrap(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn record(&self) -> PathBuf {
        self.path("session-default.json")
    }

    fn lock(&self) -> Box<dyn SessionLock> {
        lock(&self.store)
    }

    fn put(&self, content: impl AsRef<[u8]>) {
        fs::write(self.record(), content).unwrap();
        set_mode(&self.record(), 0o600);
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        files
    }
}

fn lock(store: &FileStore) -> Box<dyn SessionLock> {
    SessionStore::try_lock(store, "default").unwrap().expect("the lock is free")
}

/// Acts on a thread, because opening a named pipe may wait for its other end.
fn in_time<T: Send + 'static>(store: FileStore, act: fn(&mut dyn SessionLock) -> T) -> T {
    let (done, outcome) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // The lock is released before the test continues.
        let outcome = act(&mut *lock(&store));
        done.send(outcome)
    });
    outcome.recv_timeout(Duration::from_secs(10)).expect("it does not wait")
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn is_root() -> bool {
    tempfile::tempdir().unwrap().path().metadata().unwrap().uid() == 0
}

/// Returns an error's line, after a look that all of the error is fit to be printed.
#[track_caller]
fn words(error: &Error) -> String {
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    let mut all = format!("{line} {error:?} {error:#?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        all += &format!("{error} {error:?}");
        source = error.source();
    }
    assert!(!all.contains(CANARY), "{all}");
    line
}

#[track_caller]
fn refused(error: &Error) -> String {
    assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error:?}");
    words(error)
}

#[track_caller]
fn load_failed(outcome: Result<Option<StoredRecord>, LoadError>) -> String {
    match outcome {
        Err(LoadError::Failed(error)) => refused(&error),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn save_failed(outcome: Result<(), SaveError>) -> String {
    match outcome {
        Err(SaveError::Failed(error)) => refused(&error),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn open_failed(folder: impl AsRef<Path>) -> String {
    refused(&FileStore::open(folder).unwrap_err())
}

#[track_caller]
fn generation(outcome: Result<Option<StoredRecord>, LoadError>) -> u64 {
    outcome.unwrap().expect("there is a record").generation()
}

/// Runs the command between backticks that begins with `chmod`.
fn run_fix(line: &str) {
    let command = &line[line.find("`chmod").unwrap() + 1..line.rfind('`').unwrap()];
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}

// The folder.

#[test]
fn a_missing_folder_is_created_for_its_owner_alone_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    lock(&FileStore::open(&path).unwrap()).save(&record(1, CANARY), Expected::Nothing).unwrap();
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("session-default.json")), 0o600);
    assert_eq!(mode(&path.join("session-default.lock")), 0o600);
    assert_eq!(generation(lock(&FileStore::open(&path).unwrap()).load()), 1);

    let missing = folder.path().join("no").join("sessions");
    let line = open_failed(&missing);
    assert!(line.contains(missing.to_str().unwrap()) && line.contains("create that first"), "{line}");
    assert!(!missing.parent().unwrap().exists());
}

#[test]
fn what_is_no_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (file, dangling, link) = (folder.path().join("file"), folder.path().join("dangling"), folder.path().join("l"));
    fs::write(&file, CANARY).unwrap();
    symlink("nowhere", &dangling).unwrap();
    assert!(open_failed(&file).contains("is not a folder: choose another one"));
    assert!(open_failed(file.join("sessions")).contains("a file where a folder should be"));
    assert!(open_failed(&dangling).contains("the folder above it does not exist"));
    open_failed("");
    open_failed("a\0b");
    open_failed(folder.path().join("x".repeat(300)));

    // Of the folder itself, a link is as good as the folder.
    symlink(folder.path(), &link).unwrap();
    lock(&FileStore::open(&link).unwrap()).save(&record(1, CANARY), Expected::Nothing).unwrap();
}

#[test]
fn a_folder_that_others_can_write_to_is_refused_with_the_command_that_fixes_it() {
    for others in [0o777, 0o770, 0o720, 0o702, 0o1777, 0o775] {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("it's $HOME `x` \"y\"");
        fs::create_dir(&folder).unwrap();
        set_mode(&folder, others);
        let line = open_failed(&folder);
        assert!(line.contains("can be accessed by other users") && line.contains("run `chmod 700 '"), "{line}");
        run_fix(&line);
        assert_eq!(mode(&folder), 0o700);
        FileStore::open(&folder).unwrap();
    }
    for readable in [0o700, 0o755, 0o750, 0o711] {
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), readable);
        FileStore::open(folder.path()).unwrap();
        assert_eq!(mode(folder.path()), readable);
    }
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    if !is_root() {
        let line = open_failed("/usr");
        assert!(line.contains("belongs to user 0"), "{line}");
        return;
    }
    let fixture = Fixture::new();
    fixture.lock().save(&record(1, CANARY), Expected::Nothing).unwrap();
    chown(fixture.record(), Some(65534), None).unwrap();
    let line = load_failed(fixture.lock().load());
    assert!(line.contains("belongs to user 65534 and this program runs as user 0"), "{line}");
    save_failed(fixture.lock().save(&record(2, CANARY), Expected::Generation(1)));
    save_failed(fixture.lock().clear(Expected::Generation(1)));
    assert!(fixture.record().exists());

    chown(fixture.path("session-default.lock"), Some(65534), None).unwrap();
    let line = refused(&SessionStore::try_lock(&fixture.store, "default").err().unwrap());
    assert!(line.contains("belongs to user 65534"), "{line}");
    chown(fixture.folder.path(), Some(65534), None).unwrap();
    assert!(open_failed(fixture.folder.path()).contains("belongs to user 65534"));
}

/// Where not even root can write.
#[test]
fn folders_of_the_kernel_are_refused() {
    for folder in ["/proc", "/sys", "/proc/self/no-such-folder"] {
        if Path::new("/proc/self").exists() {
            open_failed(folder);
        }
    }
}

#[test]
fn a_folder_that_is_gone_is_not_taken_for_no_session() {
    let fixture = Fixture::new();
    fixture.lock().save(&record(1, CANARY), Expected::Nothing).unwrap();
    let mut lock = fixture.lock();
    let away = fixture.folder.path().with_extension("away");
    fs::rename(fixture.folder.path(), &away).unwrap();
    let line = load_failed(lock.load());
    assert!(line.contains("the folder above it does not exist"), "{line}");
    // Begin again at the lock, which then says what is wrong.
    assert!(matches!(lock.save(&record(2, CANARY), Expected::Generation(1)), Err(SaveError::Conflict)));
    drop(lock);
    refused(&SessionStore::try_lock(&fixture.store, "default").err().unwrap());
    fs::rename(&away, fixture.folder.path()).unwrap();
    assert_eq!(generation(fixture.lock().load()), 1);
}

// The record's file.

#[test]
fn a_record_is_read_while_another_holder_has_the_lock_if_no_other_user_can_read_it() {
    let fixture = Fixture::new();
    let mut lock = fixture.lock();
    let other = FileStore::open(fixture.folder.path()).unwrap();
    let peek = |name| SessionStore::peek(&other, name);
    assert_eq!(peek("default"), None);
    for (generation, expected) in [(1, Expected::Nothing), (2, Expected::Generation(1))] {
        lock.save(&record(generation, "t"), expected).unwrap();
        assert_eq!(peek("default"), Some(record(generation, "t")));
        assert_eq!(peek("another"), None);
    }
    set_mode(&fixture.record(), 0o644);
    assert_eq!(peek("default"), None);
    set_mode(&fixture.record(), 0o600);
    fs::rename(fixture.record(), fixture.path("elsewhere")).unwrap();
    symlink(fixture.path("elsewhere"), fixture.record()).unwrap();
    assert_eq!(peek("default"), None);
}

#[test]
fn a_file_that_others_can_read_or_write_is_refused_with_the_command_that_fixes_it() {
    for others in [0o640, 0o604, 0o620, 0o602, 0o644, 0o666, 0o660, 0o777] {
        let around = tempfile::tempdir().unwrap();
        let store = FileStore::open(around.path().join("it's $HOME `x` \"y\"")).unwrap();
        let path = around.path().join("it's $HOME `x` \"y\"").join("session-default.json");
        lock(&store).save(&record(1, CANARY), Expected::Nothing).unwrap();
        let before = fs::read(&path).unwrap();
        set_mode(&path, others);
        let line = load_failed(lock(&store).load());
        assert!(line.contains("can be accessed by other users") && line.contains("run `chmod 600 '"), "{line}");
        save_failed(lock(&store).save(&record(2, CANARY), Expected::Generation(1)));
        save_failed(lock(&store).save(&record(2, CANARY), Expected::Nothing));
        save_failed(lock(&store).clear(Expected::Generation(1)));
        save_failed(lock(&store).clear(Expected::Nothing));
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (others, before));
        run_fix(&line);
        assert_eq!(generation(lock(&store).load()), 1);
    }
}

#[test]
fn links_folders_and_pipes_in_its_place_are_refused_and_stay() {
    type Put = fn(&Fixture);
    let rows: [(Put, &str); 6] = [
        (|fixture| symlink(fixture.path("target"), fixture.record()).unwrap(), "a symbolic link"),
        (|fixture| symlink("nowhere", fixture.record()).unwrap(), "a symbolic link"),
        (|fixture| symlink(fixture.record(), fixture.record()).unwrap(), "a symbolic link"),
        (|fixture| fs::create_dir(fixture.record()).unwrap(), "a folder"),
        (
            |fixture| assert!(Command::new("mkfifo").arg(fixture.record()).status().unwrap().success()),
            "not a regular file",
        ),
        (|fixture| drop(std::os::unix::net::UnixListener::bind(fixture.record()).unwrap()), "not a regular file"),
    ];
    for (put, words) in rows {
        let fixture = Fixture::new();
        fs::write(fixture.path("target"), record(1, CANARY).as_bytes()).unwrap();
        set_mode(&fixture.path("target"), 0o600);
        put(&fixture);
        let before = fs::symlink_metadata(fixture.record()).unwrap().ino();
        let line = load_failed(in_time(fixture.store.clone(), |lock| lock.load()));
        assert!(line.contains(words) && line.contains("move it away"), "{line}");
        for expected in [Expected::Nothing, Expected::Generation(1)] {
            save_failed(fixture.lock().save(&record(2, CANARY), expected));
            save_failed(fixture.lock().clear(expected));
        }
        assert_eq!(fs::symlink_metadata(fixture.record()).unwrap().ino(), before);
        assert_eq!(fixture.files(), ["session-default.json", "session-default.lock", "target"]);
    }
}

/// A store judges no bytes: the session does, and then expects what it found.
#[test]
fn any_bytes_are_loaded_whole_and_a_damaged_record_is_replaced_with_a_copy_kept() {
    let intact = record(1, CANARY);
    let half = &intact.as_bytes()[..intact.as_bytes().len() / 2];
    let rows: [&[u8]; 12] = [
        b"",
        half,
        b"\xff\xfe\0",
        &[0; 4096],
        b"null",
        b"[]",
        b"\"cafe-canary-5eed\"",
        b"cafe-canary-5eed\r\n",
        br#"{"access_token":"cafe-canary-5eed"}"#,
        br#"{"version":1,"access_token":"cafe-canary-5eed"}"#,
        br#"{"version":0,"generation":1,"client_id":"c","sign_in":1,"access_token":"a","obtained_at_unix_ms":0}"#,
        intact.as_bytes(),
    ];
    for content in rows {
        let fixture = Fixture::new();
        fixture.put(content);
        let found = fixture.lock().load().unwrap().unwrap();
        let location = format!("`{}`", fixture.record().to_str().unwrap());
        assert_eq!(found, StoredRecord::from_bytes(content).located_at(location));

        let (right, wrong) = (found.generation(), found.generation() ^ 1);
        for expected in [Expected::Nothing, Expected::Generation(wrong), Expected::Damaged(wrong)] {
            let mut lock = fixture.lock();
            assert!(matches!(lock.save(&record(2, CANARY), expected), Err(SaveError::Conflict)));
            assert!(matches!(lock.clear(expected), Err(SaveError::Conflict)));
            assert_eq!(fs::read(fixture.record()).unwrap(), content);
        }

        fixture.lock().save(&record(2, CANARY), Expected::Damaged(right)).unwrap();
        assert_eq!(generation(fixture.lock().load()), 2);
        assert_eq!(fs::read(fixture.path("session-default.json.damaged-1")).unwrap(), content);
        assert_eq!(mode(&fixture.path("session-default.json.damaged-1")), 0o600);
        let names = ["session-default.json", "session-default.json.damaged-1", "session-default.lock"];
        assert_eq!(fixture.files(), names);

        fixture.put(content);
        fixture.lock().clear(Expected::Damaged(right)).unwrap();
        assert!(matches!(fixture.lock().load(), Ok(None)));
        assert_eq!(fixture.files(), &names[1..]);
    }
}

/// Adds the checksum that programs of today write.
fn sealed(content: &str) -> String {
    let digest = Sha256::digest(content.strip_suffix('}').unwrap());
    let checksum: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{},\"checksum\":\"{checksum}\"}}", content.strip_suffix('}').unwrap())
}

#[test]
fn records_of_older_and_newer_programs_are_kept_byte_for_byte() {
    let older = String::from_utf8(record(5, CANARY).as_bytes().to_vec()).unwrap();
    let today = sealed(&older);
    let newer = sealed(&format!("{{\"version\":2,\"generation\":5,\"all_new\":[\"{CANARY}\"]}}"));
    let more = |content: &str| content.replacen('{', "{\"unknown\":1,", 1);
    // Whether the generation is the record's own, or a digest of what is damaged.
    let rows = [
        (older.clone(), true),
        (today.clone(), true),
        (newer.clone(), true),
        (more(&older), false),
        (more(&today), false),
        (today.replace("{\"version\":1", "{\"version\":9"), false),
        (today[..today.len() - 34].to_owned() + &newer[newer.len() - 34..], false),
    ];
    for (content, own) in rows {
        let fixture = Fixture::new();
        fixture.put(&content);
        let found = fixture.lock().load().unwrap().unwrap();
        assert_eq!(found.as_bytes(), content.as_bytes());
        assert_eq!(found.generation() == 5, own, "{content}");
        // What was saved is what is there, for programs of any version.
        let mut lock = fixture.lock();
        lock.clear(Expected::Generation(found.generation())).unwrap();
        lock.save(&found, Expected::Nothing).unwrap();
        assert_eq!(fs::read_to_string(fixture.record()).unwrap(), content);
    }
}

#[test]
fn a_file_of_16_mib_is_read_and_a_larger_one_stays() {
    let fixture = Fixture::new();
    let mut content = record(1, CANARY).as_bytes().to_vec();
    content.resize(16 * 1024 * 1024, b' ');
    fixture.put(&content);
    let found = fixture.lock().load().unwrap().unwrap();
    assert!(found.generation() == 1 && found.as_bytes() == content);

    let since = Instant::now();
    for length in [16 * 1024 * 1024 + 1, 1 << 36] {
        File::options().write(true).open(fixture.record()).unwrap().set_len(length).unwrap();
        let line = load_failed(fixture.lock().load());
        assert!(line.contains(fixture.record().to_str().unwrap()), "{line}");
        assert!(line.contains("is larger than 16 MiB, as no session is: move it away"), "{line}");
        for expected in [Expected::Nothing, Expected::Generation(1), Expected::Damaged(1)] {
            save_failed(fixture.lock().save(&record(2, CANARY), expected));
            save_failed(fixture.lock().clear(expected));
        }
        assert_eq!(fs::metadata(fixture.record()).unwrap().len(), length);
        assert_eq!(fixture.files(), ["session-default.json", "session-default.lock"]);
    }
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_copy_of_a_damaged_record_overwrites_nothing() {
    let fixture = Fixture::new();
    let name = |number: u32| fixture.path(&format!("session-default.json.damaged-{number}"));
    fs::write(name(1), "first").unwrap();
    fs::create_dir(name(2)).unwrap();
    symlink("nowhere", name(3)).unwrap();
    fs::write(name(5), "fifth").unwrap();
    for number in [4, 6, 7] {
        fixture.put(format!("content {number}"));
        let mut lock = fixture.lock();
        let found = generation(lock.load());
        assert!(!name(number).exists());
        lock.save(&record(u64::from(number), CANARY), Expected::Damaged(found)).unwrap();
        assert_eq!(fs::read_to_string(name(number)).unwrap(), format!("content {number}"));
        fs::remove_file(fixture.record()).unwrap();
    }
    assert_eq!(fs::read_to_string(name(1)).unwrap(), "first");
    assert_eq!(fs::read_to_string(name(5)).unwrap(), "fifth");
    assert_eq!(fs::read_link(name(3)).unwrap(), Path::new("nowhere"));
}

/// On Unix the mode of the folder decides whether a file may be replaced.
#[test]
fn a_read_only_record_is_replaced_by_one_that_can_be_written() {
    let fixture = Fixture::new();
    fixture.lock().save(&record(1, CANARY), Expected::Nothing).unwrap();
    set_mode(&fixture.record(), 0o400);
    assert_eq!(generation(fixture.lock().load()), 1);
    fixture.lock().save(&record(2, CANARY), Expected::Generation(1)).unwrap();
    assert_eq!((generation(fixture.lock().load()), mode(&fixture.record())), (2, 0o600));
    set_mode(&fixture.record(), 0o400);
    fixture.lock().clear(Expected::Generation(2)).unwrap();
    assert_eq!(fixture.files(), ["session-default.lock"]);
}

// The temporary file.

#[test]
fn what_is_no_temporary_file_is_refused_and_stays() {
    type Put = fn(&Path);
    let rows: [(Put, &str); 8] = [
        (|path| symlink(path.with_extension("json"), path).unwrap(), "a symbolic link"),
        (|path| symlink(path.with_extension("target"), path).unwrap(), "a symbolic link"),
        (|path| symlink("nowhere", path).unwrap(), "a symbolic link"),
        (|path| fs::create_dir(path).unwrap(), "a folder"),
        (|path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()), "not a regular file"),
        (|path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()), "not a regular file"),
        (|path| (fs::write(path, "half"), set_mode(path, 0o644)).1, "run `chmod 600 '"),
        (|path| (fs::write(path, "half"), set_mode(path, 0o620)).1, "run `chmod 600 '"),
    ];
    for (put, words) in rows {
        let fixture = Fixture::new();
        fixture.lock().save(&record(1, CANARY), Expected::Nothing).unwrap();
        fs::write(fixture.path("session-default.target"), CANARY).unwrap();
        let path = fixture.path("session-default.tmp");
        put(&path);
        let before = fs::symlink_metadata(&path).unwrap().ino();
        let save = |lock: &mut dyn SessionLock| lock.save(&record(2, CANARY), Expected::Generation(1));
        let line = save_failed(in_time(fixture.store.clone(), save));
        assert!(line.contains(words) && line.contains(path.to_str().unwrap()), "{line}");
        save_failed(in_time(fixture.store.clone(), |lock| lock.clear(Expected::Generation(1))));
        assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), before);
        assert_eq!(fs::read_to_string(fixture.path("session-default.target")).unwrap(), CANARY);
        assert_eq!(generation(fixture.lock().load()), 1);
        if words.contains("chmod") {
            run_fix(&line);
            fixture.lock().save(&record(2, CANARY), Expected::Generation(1)).unwrap();
            assert!(!path.exists());
        }
    }
}

#[test]
fn what_an_older_program_left_is_never_loaded_and_a_clear_removes_it() {
    let fixture = Fixture::new();
    let left_over = fixture.path("session-default.tmp-00d1f2e3c4b5a697");
    fs::write(&left_over, record(9, CANARY).as_bytes()).unwrap();
    assert!(matches!(fixture.lock().load(), Ok(None)));
    fixture.lock().save(&record(1, CANARY), Expected::Nothing).unwrap();
    assert_eq!(generation(fixture.lock().load()), 1);
    assert!(left_over.exists());
    fixture.lock().clear(Expected::Generation(1)).unwrap();
    assert_eq!(fixture.files(), ["session-default.lock"]);
}

// The lock's file.

#[test]
fn what_is_no_lock_file_is_refused() {
    type Put = fn(&Path);
    let rows: [(Put, &str); 6] = [
        (|path| symlink(path.with_extension("target"), path).unwrap(), "a symbolic link"),
        (|path| symlink("/dev/null", path).unwrap(), "a symbolic link"),
        (|path| fs::create_dir(path).unwrap(), "a folder"),
        (|path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()), "not a regular file"),
        (|path| (fs::write(path, ""), set_mode(path, 0o644)).1, "run `chmod 600 '"),
        (|path| (fs::write(path, ""), set_mode(path, 0o620)).1, "run `chmod 600 '"),
    ];
    for (put, words) in rows {
        let fixture = Fixture::new();
        put(&fixture.path("session-default.lock"));
        let line = refused(&SessionStore::try_lock(&fixture.store, "default").err().unwrap());
        assert!(line.contains(words), "{line}");
        assert_eq!(fixture.files(), ["session-default.lock"], "nothing was created through a link");
        if words.contains("chmod") {
            run_fix(&line);
            fixture.lock().save(&record(1, CANARY), Expected::Nothing).unwrap();
        }
    }
}

#[test]
fn the_lock_file_is_never_removed_and_its_content_does_not_matter() {
    let fixture = Fixture::new();
    let path = fixture.path("session-default.lock");
    fs::write(&path, "something").unwrap();
    set_mode(&path, 0o600);
    let before = fs::metadata(&path).unwrap().ino();
    fixture.lock().save(&record(1, CANARY), Expected::Nothing).unwrap();
    fixture.lock().clear(Expected::Generation(1)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(fs::read_to_string(&path).unwrap(), "something");
    assert_eq!(fixture.files(), ["session-default.lock"]);
}

#[test]
fn a_holder_whose_lock_file_was_removed_writes_nothing_any_more() {
    let fixture = Fixture::new();
    fixture.lock().save(&record(1, CANARY), Expected::Nothing).unwrap();
    let mut stale = fixture.lock();
    assert_eq!(generation(stale.load()), 1);
    fs::remove_file(fixture.path("session-default.lock")).unwrap();
    // There is no other holder yet. One could come between the comparison and the save.
    let expected = Expected::Generation(1);
    assert!(matches!(stale.save(&record(2, CANARY), expected), Err(SaveError::Conflict)));
    let mut other = fixture.lock();
    assert!(matches!(stale.save(&record(2, CANARY), expected), Err(SaveError::Conflict)));
    assert!(matches!(stale.clear(expected), Err(SaveError::Conflict)));
    other.save(&record(3, CANARY), expected).unwrap();
    drop(stale);
    let third = SessionStore::try_lock(&fixture.store, "default").unwrap();
    assert!(third.is_none(), "the stale lock frees the removed file alone");
    drop(other);
    assert_eq!(generation(fixture.lock().load()), 3);
}

#[test]
fn two_handles_of_one_process_exclude_each_other() {
    let fixture = Fixture::new();
    let other = FileStore::open(fixture.folder.path()).unwrap();
    let held = fixture.lock();
    assert!(SessionStore::try_lock(&other, "default").unwrap().is_none());
    assert!(SessionStore::try_lock(&other.clone(), "default").unwrap().is_none());
    assert!(SessionStore::try_lock(&other, "Default").unwrap().is_some());
    drop(held);
    lock(&other);
}

#[test]
fn nothing_is_printed_of_what_is_stored() {
    let fixture = Fixture::new();
    fixture.lock().save(&record(1, CANARY), Expected::Nothing).unwrap();
    let memory = MemoryStore::new();
    SessionStore::try_lock(&memory, CANARY).unwrap().unwrap().save(&record(1, CANARY), Expected::Nothing).unwrap();
    let printed = format!("{:?} {:#?} {memory:?} {memory:#?}", fixture.store, fixture.store);
    assert!(!printed.contains(CANARY), "{printed}");
    assert!(printed.contains(fixture.folder.path().to_str().unwrap()), "{printed}");
    assert!(printed.contains("sessions: 1"), "{printed}");
}
