//! Child processes of the tests: this test program again, with one of its ignored tests.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Where a child finds its folder.
const FOLDER: &str = "LOGINRADIUS_STORE_TEST_FOLDER";

fn arguments(test: &str) -> [&str; 5] {
    [test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]
}

fn prepared(mut command: Command, folder: &Path) -> Command {
    command.env(FOLDER, folder).stdout(Stdio::piped());
    command
}

/// Returns the command that runs an ignored test, whose name begins with that of its module.
pub(crate) fn child(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments(test));
    prepared(command, folder)
}

/// Returns the same with a umask.
pub(crate) fn child_with_umask(umask: &str, test: &str, folder: &Path) -> Command {
    with_umask(umask, &child(test, folder), folder)
}

pub(crate) fn with_umask(umask: &str, child: &Command, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]).arg(child.get_program()).args(child.get_args());
    if let Some(place) = child.get_current_dir() {
        command.current_dir(place);
    }
    prepared(command, folder)
}

/// Returns the child's folder; `None` where the ignored tests are run by themselves, without their parent.
pub(crate) fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

pub(crate) fn is_root() -> bool {
    tempfile::tempdir().unwrap().path().metadata().unwrap().uid() == 0
}

/// Waits for a child, and returns what it printed.
#[track_caller]
pub(crate) fn succeeded(mut child: Child) -> String {
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(child.wait().unwrap().success(), "{output}");
    assert!(output.contains("1 passed"), "{output}");
    output
}

/// Another user, as whom only root can run anything.
pub(crate) struct User {
    user: String,
    groups: [String; 2],
    /// Where each user can reach this program.
    place: TempDir,
}

impl User {
    /// The last one is another group of this user.
    pub(crate) fn new(user: u32, group: u32, another: Option<u32>) -> Self {
        let place = tempfile::tempdir().unwrap();
        open_to_all(place.path());
        let program = place.path().join("program");
        // Not written by this process: a child of another test, which shares the open file, would make it busy.
        let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status();
        assert!(copied.unwrap().success());
        open_to_all(&program);
        let another = another.map_or("--clear-groups".to_owned(), |group| format!("--groups={group}"));
        Self { user: format!("--reuid={user}"), groups: [format!("--regid={group}"), another], place }
    }

    /// Returns the command that runs an ignored test as this user; `None` if this machine does not allow that.
    pub(crate) fn child(&self, test: &str, folder: &Path) -> Option<Command> {
        let program = || {
            let mut command = Command::new("setpriv");
            command.arg(&self.user).args(&self.groups).arg(self.place.path().join("program")).current_dir("/");
            command
        };
        if !program().arg("--list").output().is_ok_and(|output| output.status.success()) {
            // Not as root, without setpriv, or the folder for temporary files takes no programs.
            eprintln!("NOT TESTED here, because another user cannot run it: {test}");
            return None;
        }
        let mut command = program();
        command.args(arguments(test));
        Some(prepared(command, folder))
    }
}

/// Lets each user read and run it.
pub(crate) fn open_to_all(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// Runs a child's test on a disk of its own, in a namespace that ends with the child, if this machine lets a test mount
/// one. The tests within the crate make each step fail anyway.
pub(crate) fn with_disk(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let user = if is_root() { "-m" } else { "-mr" };
    let mounted = |script: &str| {
        let mut command = Command::new("unshare");
        command.args([user, "sh", "-c", script, "sh"]).arg(folder.path()).arg(std::env::current_exe().unwrap());
        command.args(arguments(test));
        prepared(command, folder.path())
    };
    // Room for a few small files.
    const MOUNT: &str = "mount -t tmpfs -o size=128k,nr_inodes=64,mode=700 tmpfs \"$1\"";
    if !mounted(MOUNT).status().is_ok_and(|status| status.success()) {
        eprintln!("NOT TESTED here, because nothing can be mounted: {test}");
        return;
    }
    succeeded(mounted(&format!("{MOUNT} && shift && exec \"$@\"")).spawn().unwrap());
}
