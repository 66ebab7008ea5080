//! File systems as people have them: umasks, groups, other owners, what keeps no modes, and disks that come and go.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use loginradius_proto::ErrorKind;
use loginradius_store::{Expected, FileStore, LoadError, SaveError, SessionLock, SessionStore};
use tempfile::TempDir;

use crate::children::{User, child, child_with_umask, folder, is_root, open_to_all, succeeded, with_disk, with_umask};
use crate::record;

/// Waits for other processes.
fn lock(store: &FileStore) -> Box<dyn SessionLock> {
    std::iter::repeat_with(|| SessionStore::try_lock(store, "default").unwrap()).flatten().next().unwrap()
}

/// Adds one to the generation of the session that is stored, and returns it.
fn count_up(store: &FileStore) -> u64 {
    let mut lock = lock(store);
    let found = lock.load().unwrap().map(|record| record.generation());
    let next = found.unwrap_or_default() + 1;
    lock.save(&record(next, "t"), found.map_or(Expected::Nothing, Expected::Generation)).unwrap();
    next
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn refused(outcome: Result<FileStore, loginradius_proto::Error>) -> String {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error:?}");
    assert!(!error.to_string().contains('\n'), "{error}");
    error.to_string()
}

// Umasks.

#[test]
#[ignore = "another test's child"]
fn child_counts_up_twice() {
    let Some(folder) = folder() else { return };
    for _ in 0..2 {
        count_up(&FileStore::open(folder.join("sessions")).unwrap());
    }
}

#[test]
fn a_store_is_made_for_its_user_whatever_the_umask() {
    let another = is_root().then(|| User::new(65534, 65534, None));
    for umask in ["0177", "0777", "0277", "0477", "0022"] {
        let around = tempfile::tempdir().unwrap();
        let test = "file_systems::child_counts_up_twice";
        // Root could use a folder of any mode.
        let command = match &another {
            Some(user) => {
                open_to_all(around.path());
                chown(around.path(), Some(65534), Some(65534)).unwrap();
                let Some(command) = user.child(test, around.path()) else { continue };
                with_umask(umask, &command, around.path())
            }
            None => child_with_umask(umask, test, around.path()),
        };
        // Some that begin at once, on what the first one is about to create.
        let run = |mut command: Command| {
            let children = [(); 3].map(|()| command.spawn().unwrap());
            children.into_iter().for_each(|child| drop(succeeded(child)));
        };
        run(command);
        let sessions = around.path().join("sessions");
        assert_eq!(mode(&sessions), 0o700, "{umask}");
        for file in ["session-default.json", "session-default.lock"] {
            assert_eq!(mode(&sessions.join(file)), 0o600, "{umask}: {file}");
        }
        // As root, too.
        if another.is_some() && umask == "0177" {
            let around = tempfile::tempdir().unwrap();
            run(child_with_umask(umask, test, around.path()));
            assert_eq!(mode(&around.path().join("sessions")), 0o700, "{umask}");
        }
    }
}

#[test]
#[ignore = "another test's child"]
fn child_is_told_of_the_folders_mode() {
    let Some(folder) = folder() else { return };
    let me = fs::metadata(&folder).unwrap().uid();
    for wrong in [0o600, 0o500, 0o300, 0o000] {
        set_mode(&folder, wrong);
        let line = refused(FileStore::open(&folder));
        assert!(line.contains(&format!("belongs to user {me} and has mode {wrong:04o}")), "{line}");
        assert!(line.starts_with("cannot use the folder `"), "{line}");
        assert!(line.contains("let this user read and write there, by `chmod u+rwx '"), "{line}");
        run_fix(&line);
        count_up(&FileStore::open(&folder).unwrap());
    }
    for file in ["session-default.json", "session-default.lock"] {
        set_mode(&folder.join(file), 0o000);
        let store = FileStore::open(&folder).unwrap();
        let error = match SessionStore::try_lock(&store, "default") {
            Err(error) => error,
            Ok(lock) => match lock.unwrap().load() {
                Err(LoadError::Failed(error)) => error,
                other => panic!("{other:?}"),
            },
        };
        let line = error.to_string();
        assert!(line.contains("has mode 0000") && line.contains("by `chmod u+rw '"), "{line}");
        run_fix(&line);
        count_up(&store);
    }
}

/// Runs the command between backticks that begins with `chmod`.
fn run_fix(line: &str) {
    let command = line.split('`').find(|part| part.starts_with("chmod ")).unwrap();
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}

#[test]
fn what_its_user_may_not_use_is_named_with_the_command_that_fixes_it() {
    let around = tempfile::tempdir().unwrap();
    let test = "file_systems::child_is_told_of_the_folders_mode";
    let folder = around.path().join("it's");
    fs::create_dir(&folder).unwrap();
    if !is_root() {
        succeeded(child(test, &folder).spawn().unwrap());
        return;
    }
    open_to_all(around.path());
    chown(&folder, Some(65534), Some(65534)).unwrap();
    let user = User::new(65534, 65534, None);
    if let Some(mut command) = user.child(test, &folder) {
        succeeded(command.spawn().unwrap());
    }
}

// What a run as root left.

#[test]
#[ignore = "another test's child"]
fn child_finds_what_root_left() {
    let Some(folder) = folder() else { return };
    // The whole folder, and a folder above that cannot even be searched.
    let line = refused(FileStore::open(folder.join("of-root")));
    assert!(line.contains("belongs to user 0 (root) and this program runs as user 65534"), "{line}");
    assert!(line.contains(&format!("`sudo chown -R 65534 '{}'`", folder.join("of-root").display())), "{line}");
    let line = refused(FileStore::open(folder.join("of-root").join("sessions")));
    assert!(line.contains("of-root` belongs to user 0 (root) and has mode 0700"), "{line}");
    assert!(line.contains("this program runs as user 65534"), "{line}");

    // What belongs to root for good is not given away.
    for place in ["/root", "/root/sessions", "/usr", "/usr/sessions", "/usr/sbin/sessions"] {
        let line = refused(FileStore::open(place));
        assert!(line.contains("belongs to user 0 (root)") && !line.contains("chown"), "{line}");
    }

    // Single files in a folder of this user.
    let sessions = folder.join("sessions");
    let store = FileStore::open(&sessions).unwrap();
    let Err(LoadError::Failed(error)) = lock(&store).load() else { panic!() };
    let outcome = lock(&store).save(&record(3, "t"), Expected::Generation(2));
    let Err(SaveError::Failed(save)) = outcome else { panic!("{outcome:?}") };
    let another = SessionStore::try_lock(&store, "locked").err().unwrap();
    for error in [error, save, another] {
        assert_eq!(error.kind(), ErrorKind::StoreRefused);
        let line = error.to_string();
        assert!(line.contains("belongs to user 0 (root) and has mode 0600"), "{line}");
        assert!(line.contains("this program runs as user 65534"), "{line}");
        assert!(line.contains(&format!("`sudo chown -R 65534 '{}'`", sessions.display())), "{line}");
    }
    // What a third user left, no run by sudo did.
    let line = SessionStore::try_lock(&store, "of-another").err().unwrap().to_string();
    assert!(line.contains("belongs to user 65533 and") && !line.contains("sudo"), "{line}");
}

#[test]
fn what_a_run_as_root_left_is_named_with_its_owner() {
    let around = tempfile::tempdir().unwrap();
    if !is_root() {
        eprintln!("NOT TESTED here, because this is not run by root: child_finds_what_root_left");
        return;
    }
    open_to_all(around.path());
    let sessions = around.path().join("sessions");
    count_up(&FileStore::open(&sessions).unwrap());
    let rows = [
        ("session-default.lock", 65534),
        ("session-default.json", 0),
        ("session-locked.lock", 0),
        ("session-of-another.lock", 65533),
    ];
    for (file, user) in rows {
        let path = sessions.join(file);
        fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
        set_mode(&path, 0o600);
        chown(&path, Some(user), Some(user)).unwrap();
    }
    chown(&sessions, Some(65534), Some(65534)).unwrap();
    FileStore::open(around.path().join("of-root")).unwrap();
    chown(around.path(), Some(65534), None).unwrap();
    let user = User::new(65534, 65534, None);
    if let Some(mut command) = user.child("file_systems::child_finds_what_root_left", around.path()) {
        succeeded(command.spawn().unwrap());
    }
}

// Groups.

#[test]
#[ignore = "another test's child"]
fn child_counts_up_for_its_group() {
    let Some(folder) = folder() else { return };
    let store = FileStore::open_for_group(&folder).unwrap();
    println!("\nfound {}", count_up(&store));
    let mut damaged = SessionStore::try_lock(&store, "damaged").unwrap().unwrap();
    if let Some(found) = damaged.load().unwrap() {
        damaged.save(&record(1, "t"), Expected::Damaged(found.generation())).unwrap();
    }
}

#[test]
#[ignore = "another test's child"]
fn child_may_not_share() {
    let Some(folder) = folder() else { return };
    println!("\n{}", refused(FileStore::open_for_group(&folder)));
}

#[test]
#[ignore = "another test's child"]
fn child_is_told_of_its_group() {
    let Some(folder) = folder() else { return };
    println!("\n{}", refused(FileStore::open(&folder)));
}

/// A volume of Kubernetes: it belongs to root, and each start of a pod gives its group all of it.
#[test]
fn a_group_shares_a_folder_with_files_that_stay_the_groups() {
    if !is_root() {
        eprintln!("NOT TESTED here, because this is not run by root: child_counts_up_for_its_group");
        return;
    }
    const GROUP: u32 = 64_999;
    // As `runAsUser` and `fsGroup`: the volume's group is one of the user's, and need not be its first.
    let users = [User::new(65534, 65534, Some(GROUP)), User::new(65533, GROUP, None)];
    // Of the last one its owner, root, has no permission.
    for volume_mode in [0o2775, 0o2770, 0o770, 0o2070] {
        for below in [false, true] {
            let around = tempfile::tempdir().unwrap();
            open_to_all(around.path());
            let volume = around.path().join("volume");
            fs::create_dir(&volume).unwrap();
            chown(&volume, None, Some(GROUP)).unwrap();
            set_mode(&volume, volume_mode);
            let folder = if below { volume.join("sessions") } else { volume.clone() };
            if below && volume_mode == 0o770 {
                // The first user's own group would get it.
                continue;
            }
            let mut count = 0;
            for umask in ["0022", "0777"] {
                for user in &users {
                    let Some(command) = user.child("file_systems::child_counts_up_for_its_group", &folder) else {
                        return;
                    };
                    let output = succeeded(with_umask(umask, &command, &folder).spawn().unwrap());
                    count += 1;
                    assert!(output.contains(&format!("\nfound {count}\n")), "{output}");
                    for file in files(&folder) {
                        let found = fs::metadata(&file).unwrap();
                        assert_eq!((found.gid(), mode(&file)), (GROUP, 0o660), "{file:?}");
                    }
                    if below {
                        assert_eq!((mode(&folder), fs::metadata(&folder).unwrap().gid()), (0o2770, GROUP));
                    }
                    // The next start of the pod.
                    give_to_group(&volume);
                    let damaged = folder.join("session-damaged.json");
                    fs::write(&damaged, format!("damaged {count}")).unwrap();
                    set_mode(&damaged, 0o660);
                    chown(&damaged, None, Some(GROUP)).unwrap();
                }
            }
            // Without the switch it is refused, and the switch is named.
            let command = users[0].child("file_systems::child_is_told_of_its_group", &folder).unwrap();
            let output = succeeded({ command }.spawn().unwrap());
            assert!(output.contains("FileStore::open_for_group"), "{output}");
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

/// As the kubelet does for an `fsGroup`.
fn give_to_group(path: &Path) {
    let found = fs::metadata(path).unwrap();
    if found.is_dir() {
        set_mode(path, mode(path) | 0o2770);
        fs::read_dir(path).unwrap().for_each(|entry| give_to_group(&entry.unwrap().path()));
    } else {
        set_mode(path, mode(path) | 0o660);
    }
}

#[test]
fn a_folder_that_more_than_its_group_can_change_is_not_shared() {
    let rows = [
        (0, 64_999, 0o2777, "volume` (mode 2777) belongs to user 0 (root)"),
        (65534, 64_999, 0o2772, "chmod 2770 '"),
        (0, 64_999, 0o2750, "volume` (mode 2750) belongs to user 0 (root)"),
        (0, 64_999, 0o3770, "chmod -t '"),
        (65534, 64_999, 0o3770, "chmod -t '"),
        (65534, 65_000, 0o770, "user 65534 cannot give the files in `"),
    ];
    if !is_root() {
        eprintln!("NOT TESTED here, because this is not run by root: child_may_not_share");
        return;
    }
    let user = User::new(65534, 65534, Some(64_999));
    for (owner, group, folder_mode, words) in rows {
        let around = tempfile::tempdir().unwrap();
        open_to_all(around.path());
        let volume = around.path().join("volume");
        fs::create_dir(&volume).unwrap();
        chown(&volume, Some(owner), Some(group)).unwrap();
        set_mode(&volume, folder_mode);
        let Some(mut command) = user.child("file_systems::child_may_not_share", &volume) else { return };
        let output = succeeded(command.spawn().unwrap());
        assert!(output.contains(words), "{folder_mode:04o}: {output}");
        assert!(files(&volume).is_empty());
    }
}

#[test]
fn a_file_that_others_or_another_group_can_access_is_not_shared() {
    let around = tempfile::tempdir().unwrap();
    let store = FileStore::open_for_group(around.path().join("sessions")).unwrap();
    assert_eq!(mode(&around.path().join("sessions")), 0o2770);
    count_up(&store);
    let path = around.path().join("sessions").join("session-default.json");
    assert_eq!(mode(&path), 0o660);
    for wrong in [0o664, 0o661, 0o666, 0o662] {
        set_mode(&path, wrong);
        let Err(LoadError::Failed(error)) = lock(&store).load() else { panic!() };
        assert!(error.to_string().contains("run `chmod 660 '"), "{error}");
        run_fix(&error.to_string());
        count_up(&store);
    }
    // What was private stays readable, and becomes the group's by the next save.
    set_mode(&path, 0o600);
    count_up(&store);
    assert_eq!(mode(&path), 0o660);
    if is_root() {
        chown(&path, None, Some(64_999)).unwrap();
        let Err(LoadError::Failed(error)) = lock(&store).load() else { panic!() };
        assert!(error.to_string().contains("can be accessed by other users (mode 0660)"), "{error}");
        chown(&path, Some(65534), None).unwrap();
        let Err(LoadError::Failed(error)) = lock(&store).load() else { panic!() };
        assert!(error.to_string().contains("belongs to user 65534"), "{error}");
    }
}

// File systems that keep no modes.

/// A folder in which the files of another one show as bindfs makes them.
struct Mounted {
    around: TempDir,
}

impl Mounted {
    /// Returns `None` if this machine does not allow that.
    fn new(options: &[&str]) -> Option<Self> {
        let around = tempfile::tempdir().unwrap();
        open_to_all(around.path());
        let (from, to) = (around.path().join("from"), around.path().join("mounted"));
        for folder in [&from, &to] {
            fs::create_dir(folder).unwrap();
            set_mode(folder, 0o777);
        }
        let mut command = Command::new("bindfs");
        command.arg("--no-allow-other").args(options).args([&from, &to]).stderr(Stdio::null());
        if !command.status().is_ok_and(|status| status.success()) {
            eprintln!("NOT TESTED here, because bindfs is missing or cannot mount: {options:?}");
            return None;
        }
        Some(Self { around })
    }

    fn folder(&self) -> PathBuf {
        self.around.path().join("mounted")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("fusermount").args(["-u", "-z"]).arg(self.folder()).status();
    }
}

#[test]
fn a_file_system_that_keeps_no_modes_is_named() {
    // WSL without `metadata`, SMB, FAT: chmod has no effect, or is refused.
    let rows: [&[&str]; 7] = [
        &["--chmod-ignore", "--perms=0777"],
        &["--chmod-ignore", "--perms=0666:ugo+X"],
        &["--chmod-deny", "--perms=0755"],
        &["--chmod-deny", "--perms=0750"],
        &["--chmod-ignore", "--perms=0777", "--force-user=12345"],
        &["--chmod-deny", "--perms=0700", "--force-user=12345"],
        &["--chmod-ignore", "--perms=0775", "--force-group=12345"],
    ];
    for options in rows {
        let Some(mounted) = Mounted::new(options) else { return };
        for folder in [mounted.folder(), mounted.folder().join("sessions")] {
            for (line, whom) in [
                (refused(FileStore::open(&folder)), "user alone"),
                (refused(FileStore::open_for_group(&folder)), "group"),
            ] {
                let words = format!("the file system mounted at `{}` (fuse", mounted.folder().display());
                assert!(line.contains(&words), "{options:?}: {line}");
                assert!(line.contains("does not keep owners and modes: a new file there belongs to user"), "{line}");
                let advice = format!("choose a folder on another file system, or mount this one for that {whom} (`");
                assert!(line.contains(&advice) && !line.contains("chmod"), "{line}");
                assert!(files(&mounted.folder()).is_empty());
            }
        }
    }
}

/// As FAT that is mounted with `uid=` and `umask=077`.
#[test]
fn a_file_system_without_modes_that_is_private_works() {
    for options in [["--chmod-ignore", "--perms=0700"], ["--chmod-deny", "--perms=0700"]] {
        let Some(mounted) = Mounted::new(&options) else { return };
        let store = FileStore::open(mounted.folder().join("sessions")).unwrap();
        assert_eq!((count_up(&store), count_up(&store)), (1, 2));
    }
}

/// As SMB, exFAT and FAT that are mounted for a group: each file belongs to one user, who is seldom this one.
#[test]
fn a_file_system_without_modes_that_is_its_groups_works_for_the_group() {
    for (user, perms) in [("12345", "0660:ug+X"), ("12345", "0770"), ("0", "0770")] {
        let options = ["--chmod-ignore", &format!("--perms={perms}"), "--force-group=54321"];
        let Some(mounted) = Mounted::new(&[&options[..], &[&format!("--force-user={user}")]].concat()) else { return };
        for folder in [mounted.folder(), mounted.folder().join("sessions")] {
            let store = FileStore::open_for_group(&folder).unwrap();
            assert_eq!((count_up(&store), count_up(&store)), (1, 2), "{user} {perms}");
        }
    }
}

#[test]
fn a_file_system_without_modes_that_is_not_its_groups_is_named() {
    let rows: [&[&str]; 4] = [
        &["--chmod-ignore"],
        &["--chmod-ignore", "--perms=0700"],
        &["--chmod-ignore", "--create-with-perms=0664"],
        // A file of a user who is not the folder's.
        &["--create-for-user=12345", "--chown-ignore"],
    ];
    for options in rows {
        let Some(mounted) = Mounted::new(options) else { return };
        let folder = mounted.folder().join("sessions");
        let line = refused(FileStore::open_for_group(&folder));
        assert!(
            line.contains("does not keep owners and modes: a new file there belongs to user"),
            "{options:?}: {line}"
        );
        let group = fs::metadata(&folder).unwrap().gid();
        let advice = format!("or mount this one for that group (`gid={group},umask=007`; WSL: `metadata`; SMB: ");
        assert!(line.contains(&advice) && !line.contains("private"), "{options:?}: {line}");
    }
}

// Disks that come and go.

#[test]
fn a_folder_that_has_to_exist_is_not_created() {
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("sessions");
    let line = refused(FileStore::open_existing(&folder));
    assert!(line.contains("mount the disk that it is on"), "{line}");
    assert!(!folder.exists());
    let line = refused(FileStore::open(folder.join("below")));
    assert!(line.contains("create that first, or mount the disk that it is on"), "{line}");
    count_up(&FileStore::open(&folder).unwrap());
    assert_eq!(count_up(&FileStore::open_existing(&folder).unwrap()), 2);
}

fn is_refused(store: &FileStore, words: &str) {
    let error = SessionStore::try_lock(store, "default").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::StoreRefused);
    assert!(error.to_string().contains(words), "{error}");
    let error = SessionStore::names(store, "", None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreRefused);
}

fn run(program: &str, arguments: &[&Path]) {
    assert!(Command::new(program).args(arguments).status().unwrap().success());
}

/// In a namespace of its own, in which the folder is a disk.
#[test]
#[ignore = "another test's child"]
fn child_whose_disks_come_and_go() {
    let Some(disk) = folder() else { return };
    let (bind, real) = (Path::new("--bind"), disk.join("real"));
    let mounted = disk.join("mounted");
    for folder in [&real, &mounted] {
        fs::create_dir(folder).unwrap();
        set_mode(folder, 0o700);
    }
    let disks: [&[&Path]; 2] = [&[bind, &real], &["-t", "tmpfs", "-o", "mode=700", "tmpfs"].map(Path::new)];
    for disk in disks {
        let mount = || run("mount", &[disk, &[&mounted]].concat());
        let unmount = || run("umount", &[Path::new("-l"), &mounted]);

        // The place of the mount, and a folder below.
        mount();
        let place = FileStore::open(&mounted).unwrap();
        let below = FileStore::open(mounted.join("below")).unwrap();
        let before = count_up(&place);
        count_up(&below);
        let mut held = lock(&place);
        unmount();
        let words = format!("was on the file system mounted at `{}` when the store was opened", mounted.display());
        is_refused(&place, &words);
        is_refused(&below, "the folder above it does not exist: create the folder, or mount the disk");
        let Err(LoadError::Failed(error)) = held.load() else { panic!("it seems to be signed out") };
        assert!(error.to_string().contains(&words), "{error}");
        let outcome = held.save(&record(before + 1, "t"), Expected::Nothing);
        assert!(matches!(outcome, Err(SaveError::Conflict)), "{outcome:?}");
        assert!(files(&mounted).is_empty(), "nothing is created on the wrong disk");
        drop(held);

        // A disk that is mounted later.
        let early = FileStore::open(&mounted).unwrap();
        mount();
        is_refused(&early, "and is now on the file system mounted at");
        unmount();
        assert_eq!(count_up(&early), 1);
        assert!(SessionStore::peek(&early, "default").is_some());
        assert_eq!(SessionStore::peek(&place, "default"), None, "the record of another disk");
        fs::remove_file(mounted.join("session-default.json")).unwrap();
        fs::remove_file(mounted.join("session-default.lock")).unwrap();
        if disk[0] == bind {
            // The same disk is back, for a store that was opened before and for a new one.
            mount();
            assert_eq!(count_up(&place), before + 1);
            assert_eq!(count_up(&FileStore::open(&mounted).unwrap()), before + 2);
            unmount();
        }
    }
}

#[test]
fn a_disk_that_is_not_mounted_is_not_taken_for_no_session() {
    with_disk("file_systems::child_whose_disks_come_and_go");
}

/// As `rm -r` and the next start of another process do it. Its disk is the same.
#[test]
fn a_folder_that_is_removed_while_the_store_is_open_is_an_error_until_it_is_back() {
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("sessions");
    let store = FileStore::open(&folder).unwrap();
    count_up(&store);
    let mut held = lock(&store);
    fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(held.load(), Err(LoadError::Failed(_))));
    is_refused(&store, "the folder above it does not exist: create the folder, or mount the disk");
    assert!(!folder.exists());
    FileStore::open(&folder).unwrap();
    assert_eq!(count_up(&store), 1);
}
