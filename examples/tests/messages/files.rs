//! The folder of a `FileStore` and the disk below it.

use std::fs;
use std::path::{Path, PathBuf};

use loginradius_store::{AsyncSessionStore, FileStore, SessionStore};

use crate::case::{Case, Outcome as _, Said, case};

/// Where a child finds its folder.
#[cfg(unix)]
const FOLDER: &str = "LOGINRADIUS_MESSAGES_FOLDER";

/// Opens a store in a folder, which the line is to name `<folder>`.
fn opened(folder: &Path, subfolder: &str) -> Option<Said> {
    let path = if subfolder.is_empty() { folder.to_owned() } else { folder.join(subfolder) };
    let error = FileStore::open(path).err()?;
    Some(Said::of(&error).with(folder.display(), "folder"))
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case!("the store's folder is a file", {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("sessions"), "").unwrap();
            opened(folder.path(), "sessions")
        }),
        case!("the store's folder is below a file", {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("config"), "").unwrap();
            opened(folder.path(), "config/sessions")
        }),
        case!("the store's folder has no parent folder", {
            let folder = tempfile::tempdir().unwrap();
            FileStore::open_existing(folder.path().join("sessions"))
                .err()
                .map(|error| Said::of(&error).with(folder.path().display(), "folder"))
        }),
        case!("the store's folder was removed while the program ran", {
            let folder = tempfile::tempdir().unwrap();
            let store = FileStore::open(folder.path().join("sessions")).unwrap();
            fs::remove_dir_all(folder.path().join("sessions")).unwrap();
            let error = SessionStore::try_lock(&store, "ada").map(drop).unwrap_err();
            Said::of(&error).with(folder.path().display(), "folder")
        }),
        case!("a store of files in async code without a runtime", {
            let folder = tempfile::tempdir().unwrap();
            let store = FileStore::open(folder.path()).unwrap();
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match AsyncSessionStore::try_lock(&store, "ada").as_mut().poll(&mut context) {
                std::task::Poll::Ready(result) => result.map(drop).unwrap_err(),
                std::task::Poll::Pending => panic!("it waits for a runtime"),
            }
        }),
    ];
    #[cfg(unix)]
    cases.extend(of_unix());
    cases
}

#[cfg(unix)]
fn of_unix() -> Vec<Case> {
    use std::os::unix::fs::{PermissionsExt as _, chown};

    let with_mode = |folder: &Path, mode: u32| fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    vec![
        case!("the store's folder belongs to another user", {
            let folder = tempfile::tempdir().unwrap();
            // Root can give its folder away. Others find root's.
            let folder = match chown(folder.path(), Some(65534), None) {
                Ok(()) => folder.path().to_owned(),
                Err(_) => PathBuf::from("/usr"),
            };
            let said = opened(&folder, "")?;
            Some(users(said, &folder))
        }),
        Case::new("the store's folder has mode 0775", move || {
            let folder = tempfile::tempdir().unwrap();
            with_mode(folder.path(), 0o775);
            opened(folder.path(), "")
        }),
        Case::new("the store's folder has mode 0777", move || {
            let folder = tempfile::tempdir().unwrap();
            with_mode(folder.path(), 0o777);
            opened(folder.path(), "")
        }),
        Case::new("a session's file can be read by everybody", move || {
            let folder = tempfile::tempdir().unwrap();
            let store = FileStore::open(folder.path()).unwrap();
            let mut lock = SessionStore::try_lock(&store, "ada").unwrap().unwrap();
            let record = loginradius_store::StoredRecord::from_bytes("{}");
            lock.save(&record, loginradius_store::Expected::Nothing).unwrap();
            drop(lock);
            for file in fs::read_dir(folder.path()).unwrap() {
                with_mode(&file.unwrap().path(), 0o644);
            }
            let result = SessionStore::try_lock(&store, "ada").and_then(|lock| match lock.unwrap().load() {
                Ok(_) => Ok(()),
                Err(loginradius_store::LoadError::Failed(error)) => Err(error),
                Err(other) => panic!("{other:?}"),
            });
            Some(Said::of(&result.unwrap_err()).with(folder.path().display(), "folder"))
        }),
        case!("the store is on a read-only file system", {
            mounted("the store is on a read-only file system", "1m", "mount -o remount,ro \"$0\"")
        }),
        case!("the disk is full", {
            mounted("the disk is full", "64k", "head -c 1m /dev/zero > \"$0/other\" 2>/dev/null; true")
        }),
    ]
}

/// Returns what is said in a child with a file system of its own, of that size and prepared by that command.
#[cfg(unix)]
fn mounted(name: &str, size: &str, prepare: &str) -> Option<Said> {
    use std::process::Command;

    let folder = tempfile::tempdir().unwrap();
    let child = crate::child::command(name, 0, &[]);
    let script = format!(r#"mount -t tmpfs -o size={size},mode=700 none "$0" && {{ {prepare}; }} && exec "$@""#);
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &script]).arg(folder.path()).arg(child.get_program()).args(child.get_args());
    command.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?)))).env(FOLDER, folder.path());
    crate::child::said_by(&mut command)
}

/// What the child does.
pub(crate) fn inner_cases() -> Vec<Case> {
    #[cfg(unix)]
    {
        use loginradius_conformance::{Adapter as _, Session as _, SessionSettings, Sessions as _, Settings};
        use loginradius_proto::{AccessToken, TokenSet};

        fn folder() -> PathBuf {
            std::env::var_os(FOLDER).expect("a folder").into()
        }
        vec![
            case!("the store is on a read-only file system", { opened(&folder(), "") }),
            case!("the disk is full", {
                let saved = FileStore::open(folder()).and_then(|store| {
                    let app = crate::case::app(crate::case::REFUSED);
                    let client = crate::blocking::Blocking::new(app, &Settings::default()).unwrap();
                    let session = client.sessions(store, &SessionSettings::default()).session("ada");
                    session.start(&TokenSet::new(AccessToken::new("a".repeat(100_000))))
                });
                Said::of(&saved.unwrap_err()).with(folder().display(), "folder").said()
            }),
        ]
    }
    #[cfg(not(unix))]
    Vec::new()
}

/// Writes placeholders for the users in a line about a folder.
#[cfg(unix)]
fn users(said: Said, folder: &Path) -> Said {
    use std::os::unix::fs::MetadataExt as _;

    let own = tempfile::tempdir().unwrap();
    let id = |path: &Path| fs::metadata(path).map_or(0, |found| found.uid());
    let user = |id: u32| if id == 0 { "user 0 (root)".to_owned() } else { format!("user {id}") };
    let mode = fs::metadata(folder).map_or(0, |found| found.mode() & 0o7777);
    said.with(user(id(folder)), "another user")
        .with(user(id(own.path())), "this user")
        .with(format!("{mode:04o}"), "mode")
}
