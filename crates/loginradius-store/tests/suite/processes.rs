//! Several processes, processes that are killed, other users, and disks that are full or read-only.
//!
//! The other processes are this test program again, with one of the ignored tests below.

use std::fs::{self, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use loginradius_proto::ErrorKind;
use loginradius_store::{Expected, FileStore, LoadError, SaveError, SessionLock, SessionStore, StoredRecord};

use crate::children::{self, User, folder, is_root, open_to_all, succeeded, with_disk};
use crate::record;

fn child(test: &str, folder: &Path) -> Command {
    children::child(&format!("processes::{test}"), folder)
}

fn wait_for_lock(store: &FileStore) -> Box<dyn SessionLock> {
    loop {
        if let Some(lock) = SessionStore::try_lock(store, "default").unwrap() {
            return lock;
        }
        thread::sleep(Duration::from_micros(300));
    }
}

fn generation(outcome: Result<Option<StoredRecord>, LoadError>) -> u64 {
    outcome.unwrap().expect("there is a record").generation()
}

fn count_up(store: &FileStore) -> u64 {
    try_count_up(store).unwrap()
}

/// Adds one under the lock, and fails if the lock was lost.
fn try_count_up(store: &FileStore) -> Result<u64, SaveError> {
    let mut lock = wait_for_lock(store);
    let found = generation(lock.load());
    lock.save(&record(found + 1, &"x".repeat(20_000)), Expected::Generation(found))?;
    Ok(found + 1)
}

#[test]
#[ignore = "another test's child"]
fn child_counts_to_a_hundred() {
    let Some(folder) = folder() else { return };
    let store = FileStore::open(folder).unwrap();
    for _ in 0..100 {
        count_up(&store);
    }
}

#[test]
fn four_processes_lose_no_update() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    wait_for_lock(&store).save(&record(0, "t"), Expected::Nothing).unwrap();
    let children = [(); 4].map(|()| child("child_counts_to_a_hundred", folder.path()).spawn().unwrap());
    children.into_iter().for_each(|child| drop(succeeded(child)));
    assert_eq!(generation(wait_for_lock(&store).load()), 400);
}

#[test]
#[ignore = "another test's child"]
fn child_counts_to_fifty_in_spite_of_conflicts() {
    let Some(folder) = folder() else { return };
    let store = FileStore::open(folder).unwrap();
    let (mut saved, mut conflicts) = (0, 0);
    while saved < 50 {
        match try_count_up(&store) {
            Ok(_) => saved += 1,
            Err(SaveError::Conflict) => conflicts += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    println!("\nconflicts {conflicts}");
}

/// So that a session has several holders at once.
#[test]
fn four_processes_lose_no_update_while_their_lock_file_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    wait_for_lock(&store).save(&record(0, "t"), Expected::Nothing).unwrap();
    let test = "child_counts_to_fifty_in_spite_of_conflicts";
    let mut children = [(); 4].map(|()| child(test, folder.path()).spawn().unwrap());
    let mut removed = 0;
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        removed += u32::from(fs::remove_file(folder.path().join("session-default.lock")).is_ok());
        thread::sleep(Duration::from_micros(RandomState::new().build_hasher().finish() % 20_000));
    }
    let conflicts: u32 = children.into_iter().map(|child| number(&succeeded(child), "conflicts ")).sum();
    println!("the lock file was removed {removed} times, and {conflicts} saves were refused");
    assert_eq!(generation(wait_for_lock(&store).load()), 200);
    assert!(removed > 10 && conflicts > 0, "this tested nothing");
}

fn number(output: &str, before: &str) -> u32 {
    output.lines().find_map(|line| line.strip_prefix(before)).unwrap().parse().unwrap()
}

#[test]
#[ignore = "another test's child"]
fn child_saves_until_it_is_killed() {
    let Some(folder) = folder() else { return };
    let store = FileStore::open(folder).unwrap();
    let mut out = std::io::stdout();
    loop {
        let saved = count_up(&store);
        writeln!(out, "saved {saved}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn two_hundred_killed_processes_leave_a_whole_record_and_a_free_lock() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    wait_for_lock(&store).save(&record(0, "t"), Expected::Nothing).unwrap();
    let (mut before, mut unprinted, mut left_over) = (0, 0, 0);
    for _ in 0..200 {
        let mut child = child("child_saves_until_it_is_killed", folder.path()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let number = |line: String| line.strip_prefix("saved ").map(|number| number.parse::<u64>().unwrap());
        let mut last = lines.by_ref().find_map(number).expect("the child saves");
        assert!(last > before);
        thread::sleep(Duration::from_micros(RandomState::new().build_hasher().finish() % 8_000));
        child.kill().unwrap();
        child.wait().unwrap();
        // What it printed is saved, and at most one save more, of which it could not print.
        last = lines.filter_map(number).last().unwrap_or(last);
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        left_over += names.filter(|name| name.ends_with(".tmp")).count();
        let mut lock = SessionStore::try_lock(&store, "default").unwrap().expect("the lock is free");
        let found = generation(lock.load());
        assert!(found == last || found == last + 1, "{last}, then {found}");
        unprinted += found - last;
        before = found;
    }
    println!("{before} saves; {unprinted} of the kills came after the rename, {left_over} left a temporary file");
    count_up(&store);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
}

#[test]
#[ignore = "another test's child"]
fn child_holds_the_lock_and_has_a_child_itself() {
    let Some(folder) = folder() else { return };
    let store = FileStore::open(folder).unwrap();
    let _lock = wait_for_lock(&store);
    // It is not waited for, and keeps nothing of ours open but what it inherits.
    let mut sleeper = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
    println!("\nready {}", sleeper.id());
    let _ = sleeper.wait();
}

#[test]
fn the_lock_ends_with_its_process_and_is_not_inherited() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    let mut child = child("child_holds_the_lock_and_has_a_child_itself", folder.path()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let sleeper = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("ready ").map(str::to_owned)).unwrap();
    assert!(SessionStore::try_lock(&store, "default").unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(SessionStore::try_lock(&store, "default").unwrap().is_some());
    // The shell's own `kill`: not every machine has a program of that name.
    let alive = Command::new("sh").args(["-c", "kill \"$0\"", &sleeper]).status().unwrap();
    assert!(alive.success(), "the child's child was there until now");
}

// What root is exempt from.

#[test]
#[ignore = "another test's child"]
fn child_without_permissions() {
    let Some(folder) = folder() else { return };
    let set_mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let refused = |error: &loginradius_proto::Error| {
        assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error:?}");
        assert!(error.to_string().contains("let this user read and write there"), "{error}");
    };
    let store = FileStore::open(&folder).unwrap();
    wait_for_lock(&store).save(&record(1, "t"), Expected::Nothing).unwrap();
    let mut lock = wait_for_lock(&store);

    set_mode(&folder, 0o500);
    refused(&FileStore::open(&folder).unwrap_err());
    refused(&FileStore::open(folder.join("new")).unwrap_err());
    refused(&SessionStore::try_lock(&store, "another").err().unwrap());
    for outcome in [lock.save(&record(2, "t"), Expected::Generation(1)), lock.clear(Expected::Generation(1))] {
        let Err(SaveError::Failed(error)) = outcome else { panic!("{outcome:?}") };
        refused(&error);
    }
    assert_eq!(generation(lock.load()), 1);

    set_mode(&folder, 0o700);
    set_mode(&folder.join("session-default.json"), 0o000);
    let Err(LoadError::Failed(error)) = lock.load() else { panic!() };
    refused(&error);
    let outcome = lock.save(&record(2, "t"), Expected::Nothing);
    assert!(matches!(outcome, Err(SaveError::Failed(_))), "{outcome:?}");
    set_mode(&folder.join("session-default.json"), 0o600);
    lock.save(&record(2, "t"), Expected::Generation(1)).unwrap();

    set_mode(&folder, 0o000);
    let Err(LoadError::Failed(error)) = lock.load() else { panic!() };
    refused(&error);
    set_mode(&folder, 0o700);
    assert_eq!(generation(lock.load()), 2);
}

#[test]
fn missing_permissions_are_for_the_user_to_fix() {
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("sessions");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    if !is_root() {
        drop(succeeded(child("child_without_permissions", &folder).spawn().unwrap()));
        return;
    }
    // Root may do everything.
    open_to_all(around.path());
    chown(&folder, Some(65534), Some(65534)).unwrap();
    let user = User::new(65534, 65534, None);
    if let Some(mut command) = user.child("processes::child_without_permissions", &folder) {
        drop(succeeded(command.spawn().unwrap()));
    }
}

// Disks of their own, which take a mount: in a namespace that ends with the child.

#[test]
#[ignore = "another test's child"]
fn child_on_a_full_disk() {
    let Some(folder) = folder() else { return };
    let store = FileStore::open(&folder).unwrap();
    wait_for_lock(&store).save(&record(1, &"x".repeat(9_000)), Expected::Nothing).unwrap();
    let mut filler = fs::File::create(folder.join("filler")).unwrap();
    while filler.write(&[0; 512]).is_ok() {}

    let mut lock = wait_for_lock(&store);
    for _ in 0..3 {
        let outcome = lock.save(&record(2, &"x".repeat(9_000)), Expected::Generation(1));
        let Err(SaveError::Failed(error)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("the disk is full, or the quota is used up: make room"), "{error}");
    }
    assert_eq!(generation(lock.load()), 1);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "the record, the lock and the filler");
    drop(filler);
    fs::remove_file(folder.join("filler")).unwrap();
    lock.save(&record(2, &"x".repeat(9_000)), Expected::Generation(1)).unwrap();

    // Nor is there room for a name any more, not even for that of an empty file.
    let names = (0..1000).map(|number| fs::File::create(folder.join(format!("filler-{number}"))));
    assert!(names.take_while(Result::is_ok).count() < 1000);
    let outcome = lock.save(&record(3, "t"), Expected::Generation(2));
    let Err(SaveError::Failed(error)) = outcome else { panic!("{outcome:?}") };
    assert!(error.to_string().contains("the disk is full, or the quota is used up: make room"), "{error}");
    assert_eq!(generation(lock.load()), 2);
    assert!(matches!(lock.clear(Expected::Generation(1)), Err(SaveError::Conflict)));
    lock.clear(Expected::Generation(2)).unwrap();
    assert!(matches!(lock.load(), Ok(None)));
}

#[test]
fn a_full_disk_costs_nothing() {
    with_disk("processes::child_on_a_full_disk");
}

#[test]
#[ignore = "another test's child"]
fn child_on_a_read_only_disk() {
    let Some(folder) = folder() else { return };
    let store = FileStore::open(&folder).unwrap();
    wait_for_lock(&store).save(&record(1, "t"), Expected::Nothing).unwrap();
    let mut lock = wait_for_lock(&store);
    let mounted = Command::new("mount").args(["--bind", "-o", "ro"]).args([&folder, &folder]).status().unwrap();
    assert!(mounted.success());

    for outcome in [lock.save(&record(2, "t"), Expected::Generation(1)), lock.clear(Expected::Generation(1))] {
        match outcome {
            Err(SaveError::Failed(error)) => {
                assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
                assert!(error.to_string().contains("the file system is read-only: choose a folder"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(generation(lock.load()), 1);
    for error in [FileStore::open(&folder).err(), SessionStore::try_lock(&store, "another").err()] {
        let error = error.unwrap();
        assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
        assert!(error.to_string().contains("the file system is read-only"), "{error}");
    }
}

#[test]
fn a_read_only_disk_is_for_the_user_to_fix() {
    with_disk("processes::child_on_a_read_only_disk");
}
