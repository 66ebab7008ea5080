//! What people, other programs and accidents put where a session's files should be.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use loginradius_proto::{Error, ErrorKind};
use loginradius_store::{FileStore, LoadOutcome, LockedSession, MemoryStore, SaveOutcome, TokenStore};
use tempfile::TempDir;

use crate::{record, saved};

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

    fn lock(&self) -> Box<dyn LockedSession> {
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

fn lock(store: &FileStore) -> Box<dyn LockedSession> {
    TokenStore::try_lock(store, "default").unwrap().expect("the lock is free")
}

/// Opening a named pipe waits for somebody at its other end, if one lets it.
fn in_time<T: Send + 'static>(store: FileStore, act: fn(&mut dyn LockedSession) -> T) -> T {
    let (done, outcome) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // The lock is given back before anybody goes on.
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

/// Says whatever an error says, after a look that it is fit to be said.
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
fn to_mend(error: &Error) -> String {
    assert_eq!(error.kind(), ErrorKind::Settings, "{error:?}");
    words(error)
}

#[track_caller]
fn load_failed(outcome: LoadOutcome) -> String {
    match outcome {
        LoadOutcome::Failed(error) => to_mend(&error),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn damaged(outcome: LoadOutcome) -> String {
    match outcome {
        LoadOutcome::Damaged(error) => to_mend(&error),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn save_failed(outcome: SaveOutcome) -> String {
    match outcome {
        SaveOutcome::Failed(error) => to_mend(&error),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn open_failed(folder: impl AsRef<Path>) -> String {
    to_mend(&FileStore::open(folder).unwrap_err())
}

#[track_caller]
fn generation(outcome: LoadOutcome) -> u64 {
    match outcome {
        LoadOutcome::Record(record) => record.generation(),
        other => panic!("{other:?}"),
    }
}

/// Runs the command between backticks that begins with `chmod`.
fn obey(line: &str) {
    let command = &line[line.find("`chmod").unwrap() + 1..line.rfind('`').unwrap()];
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}

// The folder.

#[test]
fn a_missing_folder_is_created_for_its_owner_alone_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    saved(lock(&FileStore::open(&path).unwrap()).save(&record(1, CANARY), None));
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
    assert!(open_failed(&file).contains("is no folder: choose another one"));
    assert!(open_failed(file.join("sessions")).contains("a file where a folder should be"));
    assert!(open_failed(&dangling).contains("its folder is not there"));
    open_failed("");
    open_failed("a\0b");
    open_failed(folder.path().join("x".repeat(300)));

    // Of the folder itself, a link is as good as the folder.
    symlink(folder.path(), &link).unwrap();
    saved(lock(&FileStore::open(&link).unwrap()).save(&record(1, CANARY), None));
}

#[test]
fn a_folder_that_others_can_write_to_is_refused_with_the_command_that_mends_it() {
    for others in [0o777, 0o770, 0o720, 0o702, 0o1777, 0o775] {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("it's $HOME `x` \"y\"");
        fs::create_dir(&folder).unwrap();
        set_mode(&folder, others);
        let line = open_failed(&folder);
        assert!(line.contains("open to other users") && line.contains("run `chmod 700 '"), "{line}");
        obey(&line);
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
    saved(fixture.lock().save(&record(1, CANARY), None));
    chown(fixture.record(), Some(65534), None).unwrap();
    let line = load_failed(fixture.lock().load());
    assert!(line.contains("belongs to user 65534 and this program runs as user 0"), "{line}");
    save_failed(fixture.lock().save(&record(2, CANARY), Some(1)));
    save_failed(fixture.lock().clear(Some(1)));
    assert!(fixture.record().exists());

    chown(fixture.path("session-default.lock"), Some(65534), None).unwrap();
    let line = to_mend(&TokenStore::try_lock(&fixture.store, "default").err().unwrap());
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
fn a_folder_that_is_gone_is_not_taken_for_nobody_signed_in() {
    let fixture = Fixture::new();
    saved(fixture.lock().save(&record(1, CANARY), None));
    let mut locked = fixture.lock();
    let away = fixture.folder.path().with_extension("away");
    fs::rename(fixture.folder.path(), &away).unwrap();
    let line = load_failed(locked.load());
    assert!(line.contains("its folder is not there (any more)"), "{line}");
    // Begin again at the lock, which then says what is wrong.
    assert!(matches!(locked.save(&record(2, CANARY), Some(1)), SaveOutcome::Conflict));
    drop(locked);
    to_mend(&TokenStore::try_lock(&fixture.store, "default").err().unwrap());
    fs::rename(&away, fixture.folder.path()).unwrap();
    assert_eq!(generation(fixture.lock().load()), 1);
}

// The record's file.

#[test]
fn a_file_that_others_can_read_or_write_is_refused_with_the_command_that_mends_it() {
    for others in [0o640, 0o604, 0o620, 0o602, 0o644, 0o666, 0o660, 0o777] {
        let around = tempfile::tempdir().unwrap();
        let store = FileStore::open(around.path().join("it's $HOME `x` \"y\"")).unwrap();
        let path = around.path().join("it's $HOME `x` \"y\"").join("session-default.json");
        saved(lock(&store).save(&record(1, CANARY), None));
        let before = fs::read(&path).unwrap();
        set_mode(&path, others);
        let line = load_failed(lock(&store).load());
        assert!(line.contains("open to other users") && line.contains("run `chmod 600 '"), "{line}");
        save_failed(lock(&store).save(&record(2, CANARY), Some(1)));
        save_failed(lock(&store).save(&record(2, CANARY), None));
        save_failed(lock(&store).clear(Some(1)));
        save_failed(lock(&store).clear(None));
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (others, before));
        obey(&line);
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
            "no regular file",
        ),
        (|fixture| drop(std::os::unix::net::UnixListener::bind(fixture.record()).unwrap()), "no regular file"),
    ];
    for (put, words) in rows {
        let fixture = Fixture::new();
        fs::write(fixture.path("target"), record(1, CANARY).to_json()).unwrap();
        set_mode(&fixture.path("target"), 0o600);
        put(&fixture);
        let before = fs::symlink_metadata(fixture.record()).unwrap().ino();
        let line = load_failed(in_time(fixture.store.clone(), |locked| locked.load()));
        assert!(line.contains(words) && line.contains("move it away"), "{line}");
        for expected in [None, Some(1)] {
            save_failed(fixture.lock().save(&record(2, CANARY), expected));
            save_failed(fixture.lock().clear(expected));
        }
        assert_eq!(fs::symlink_metadata(fixture.record()).unwrap().ino(), before);
        assert_eq!(fixture.files(), ["session-default.json", "session-default.lock", "target"]);
    }
}

#[test]
fn what_is_no_record_is_damaged_and_set_aside_by_the_next_sign_in() {
    let json = record(1, CANARY).to_json();
    let half = json[..json.len() / 2].to_owned();
    let huge = format!("{json}{}", " ".repeat(16 * 1024 * 1024 + 1 - json.len()));
    let rows: [&[u8]; 12] = [
        b"",
        half.as_bytes(),
        huge.as_bytes(),
        b"\xff\xfe\0",
        &[0; 4096],
        b"null",
        b"[]",
        b"\"cafe-canary-5eed\"",
        br#"{"access_token":"cafe-canary-5eed"}"#,
        br#"{"version":1,"access_token":"cafe-canary-5eed"}"#,
        br#"{"version":"cafe-canary-5eed"}"#,
        br#"{"version":0,"generation":1,"client_id":"c","sign_in":1,"access_token":"a","obtained_at_unix_ms":0}"#,
    ];
    for content in rows {
        let fixture = Fixture::new();
        fixture.put(content);
        let line = damaged(fixture.lock().load());
        let path = fixture.record().to_str().unwrap().to_owned();
        assert!(line.contains(&format!("`{path}` is damaged: restore it, or sign in again")), "{line}");
        assert!(line.contains(&format!("sets it aside as `{path}.damaged-1`")), "{line}");

        // Only a sign-in may.
        assert!(matches!(fixture.lock().save(&record(2, CANARY), Some(1)), SaveOutcome::Conflict));
        assert!(matches!(fixture.lock().clear(Some(1)), SaveOutcome::Conflict));
        assert_eq!(fs::read(fixture.record()).unwrap(), content);

        saved(fixture.lock().save(&record(2, CANARY), None));
        assert_eq!(generation(fixture.lock().load()), 2);
        assert_eq!(fs::read(fixture.path("session-default.json.damaged-1")).unwrap(), content);
        assert_eq!(mode(&fixture.path("session-default.json.damaged-1")), 0o600);
        let names = ["session-default.json", "session-default.json.damaged-1", "session-default.lock"];
        assert_eq!(fixture.files(), names);

        fixture.put(content);
        saved(fixture.lock().clear(None));
        assert!(matches!(fixture.lock().load(), LoadOutcome::Nothing));
        assert_eq!(fixture.files(), &names[1..]);
    }
}

#[test]
fn a_file_of_a_megabyte_is_read_and_a_huge_one_is_not() {
    let fixture = Fixture::new();
    let json = record(1, CANARY).to_json();
    fixture.put(format!("{json}{}", " ".repeat(16 * 1024 * 1024 - json.len())));
    assert_eq!(generation(fixture.lock().load()), 1);

    File::options().write(true).open(fixture.record()).unwrap().set_len(1 << 36).unwrap();
    let since = Instant::now();
    damaged(fixture.lock().load());
    saved(fixture.lock().save(&record(2, CANARY), None));
    assert_eq!(fs::metadata(fixture.path("session-default.json.damaged-1")).unwrap().len(), 1 << 36);
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[test]
fn setting_aside_takes_the_name_that_the_error_gave_and_overwrites_nothing() {
    let fixture = Fixture::new();
    let name = |number: u32| fixture.path(&format!("session-default.json.damaged-{number}"));
    fs::write(name(1), "first").unwrap();
    fs::create_dir(name(2)).unwrap();
    symlink("nowhere", name(3)).unwrap();
    fs::write(name(5), "fifth").unwrap();
    for number in [4, 6, 7] {
        fixture.put(format!("content {number}"));
        let mut locked = fixture.lock();
        let line = damaged(locked.load());
        assert!(line.contains(&format!("as `{}`", name(number).display())), "{line}");
        assert!(!name(number).exists());
        let LoadOutcome::Damaged(_) = locked.load() else { panic!() };
        saved(locked.save(&record(u64::from(number), CANARY), None));
        assert_eq!(fs::read_to_string(name(number)).unwrap(), format!("content {number}"));
        fs::remove_file(fixture.record()).unwrap();
    }
    assert_eq!(fs::read_to_string(name(1)).unwrap(), "first");
    assert_eq!(fs::read_to_string(name(5)).unwrap(), "fifth");
    assert_eq!(fs::read_link(name(3)).unwrap(), Path::new("nowhere"));
}

#[test]
fn a_record_of_a_newer_version_stays_as_it_is() {
    let fixture = Fixture::new();
    let newer = format!("{{\"version\":2,\"tokens\":[\"{CANARY}\"]}}");
    fixture.put(&newer);
    let line = load_failed(fixture.lock().load());
    assert!(line.contains(fixture.record().to_str().unwrap()) && line.contains("version 2"), "{line}");
    assert!(line.contains("update this program"), "{line}");
    for expected in [None, Some(1)] {
        save_failed(fixture.lock().save(&record(1, CANARY), expected));
        save_failed(fixture.lock().clear(expected));
    }
    assert_eq!(fs::read_to_string(fixture.record()).unwrap(), newer);
    assert_eq!(fixture.files(), ["session-default.json", "session-default.lock"]);
}

// The lock's file.

#[test]
fn what_is_no_lock_file_is_refused() {
    type Put = fn(&Path);
    let rows: [(Put, &str); 6] = [
        (|path| symlink(path.with_extension("target"), path).unwrap(), "a symbolic link"),
        (|path| symlink("/dev/null", path).unwrap(), "a symbolic link"),
        (|path| fs::create_dir(path).unwrap(), "a folder"),
        (|path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()), "no regular file"),
        (|path| (fs::write(path, ""), set_mode(path, 0o644)).1, "run `chmod 600 '"),
        (|path| (fs::write(path, ""), set_mode(path, 0o620)).1, "run `chmod 600 '"),
    ];
    for (put, words) in rows {
        let fixture = Fixture::new();
        put(&fixture.path("session-default.lock"));
        let line = to_mend(&TokenStore::try_lock(&fixture.store, "default").err().unwrap());
        assert!(line.contains(words), "{line}");
        assert_eq!(fixture.files(), ["session-default.lock"], "nothing was created through a link");
        if words.contains("chmod") {
            obey(&line);
            saved(fixture.lock().save(&record(1, CANARY), None));
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
    saved(fixture.lock().save(&record(1, CANARY), None));
    saved(fixture.lock().clear(Some(1)));
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(fs::read_to_string(&path).unwrap(), "something");
    assert_eq!(fixture.files(), ["session-default.lock"]);
}

#[test]
fn whose_lock_file_was_removed_writes_nothing_any_more() {
    let fixture = Fixture::new();
    saved(fixture.lock().save(&record(1, CANARY), None));
    let mut late = fixture.lock();
    assert_eq!(generation(late.load()), 1);
    fs::remove_file(fixture.path("session-default.lock")).unwrap();
    // Nobody is there now, and still: anybody could come between the look and the save.
    assert!(matches!(late.save(&record(2, CANARY), Some(1)), SaveOutcome::Conflict));
    let mut other = fixture.lock();
    assert!(matches!(late.save(&record(2, CANARY), Some(1)), SaveOutcome::Conflict));
    assert!(matches!(late.clear(Some(1)), SaveOutcome::Conflict));
    saved(other.save(&record(3, CANARY), Some(1)));
    drop(late);
    assert!(
        TokenStore::try_lock(&fixture.store, "default").unwrap().is_none(),
        "the old lock frees the old file alone"
    );
    drop(other);
    assert_eq!(generation(fixture.lock().load()), 3);
}

#[test]
fn two_handles_of_one_process_exclude_each_other() {
    let fixture = Fixture::new();
    let other = FileStore::open(fixture.folder.path()).unwrap();
    let locked = fixture.lock();
    assert!(TokenStore::try_lock(&other, "default").unwrap().is_none());
    assert!(TokenStore::try_lock(&other.clone(), "default").unwrap().is_none());
    assert!(TokenStore::try_lock(&other, "Default").unwrap().is_some());
    drop(locked);
    lock(&other);
}

#[test]
fn nothing_is_printed_of_what_is_stored() {
    let fixture = Fixture::new();
    saved(fixture.lock().save(&record(1, CANARY), None));
    let memory = MemoryStore::new();
    saved(TokenStore::try_lock(&memory, CANARY).unwrap().unwrap().save(&record(1, CANARY), None));
    let printed = format!("{:?} {:#?} {memory:?} {memory:#?}", fixture.store, fixture.store);
    assert!(!printed.contains(CANARY), "{printed}");
    assert!(printed.contains(fixture.folder.path().to_str().unwrap()), "{printed}");
    assert!(printed.contains("sessions: 1"), "{printed}");
}
