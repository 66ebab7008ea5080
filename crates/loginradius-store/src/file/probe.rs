//! What opening a store tests in its folder, and how it removes what killed programs have left there.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loginradius_proto::Error;

use super::access::Access;
use super::lock::{LockedFile, Locking};
use super::mount::file_system;
use super::private::{create, failed, open_to_read, private_options, random};
use super::retry::retried;

/// Checks that files in this folder keep their owner and mode, and that locks there exclude each other.
///
/// Some file systems, such as those of networks, containers and other operating systems, have no modes or no locks, or
/// grant every lock.
pub(super) fn probe(folder: &Path, locking: &Locking, access: Access) -> Result<(), Error> {
    // Another program may take the file for one that a killed program has left, and remove it (`sweep`).
    for _ in 0..3 {
        let path = new_path(folder);
        let works = probe_at(&path, folder, locking, access);
        let _ = retried(|| fs::remove_file(&path));
        if works? {
            return Ok(());
        }
    }
    Err(Error::store_refused(format!(
        "file locks do not exclude each other on {}, and two processes would send the same refresh token: choose a \
         folder on a local disk",
        file_system(folder),
    )))
}

fn probe_at(path: &Path, folder: &Path, locking: &Locking, access: Access) -> Result<bool, Error> {
    let first = create(path, access).map_err(|error| failed("create", path, error))?;
    let found = retried(|| first.metadata()).map_err(|error| failed("read", path, error))?;
    access.check_new(folder, &found)?;
    let second = match retried(|| private_options().read(true).write(true).open(path)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        second => second.map_err(|error| failed("open", path, error))?,
    };
    let works = || {
        Ok(locking.acquire(&first)? && !locking.acquire(&second)? && {
            locking.release(&first)?;
            locking.acquire(&second)?
        })
    };
    works().map_err(|error| Locking::failed(path, error))
}

/// Returns the error for a file system that keeps no owners and modes; `None` if it keeps them, or if this user cannot
/// find out.
pub(super) fn without_modes(folder: &Path, access: Access) -> Option<Error> {
    let path = new_path(folder);
    let found = create(&path, access).ok()?.metadata();
    let _ = retried(|| fs::remove_file(&path));
    access.check_new(folder, &found.ok()?).err()
}

/// Returns the path of a new file with a random name: processes that start together must not take each other's file for
/// their own.
fn new_path(folder: &Path) -> PathBuf {
    folder.join(format!("{PREFIX}{:016x}{SUFFIX}", random()))
}

const PREFIX: &str = "probe-";
const SUFFIX: &str = ".lock";

/// How long a probe's file stays before it counts as left by a killed program: some hundred times as long as a probe
/// takes.
const PROBE_TIME: Duration = Duration::from_millis(50);

/// Removes what killed programs have left: files of probes, and temporary files, which hold tokens.
///
/// What cannot be removed stays. It waits by that function.
pub(super) fn sweep(folder: &Path, access: Access, sleep: impl FnOnce(Duration)) {
    let Ok(entries) = retried(|| fs::read_dir(folder)) else { return };
    let mut probes = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if is_probe(name) {
            probes.push(path);
        } else if let Some(stem) = stem_of_temporary(name) {
            sweep_temporary(&path, &folder.join(format!("{stem}.lock")), access);
        }
    }
    // A file of another user cannot be opened, and there is no wait for it.
    probes.retain(|path| open_to_read(path, access).is_ok_and(|probe| probe.is_some()));
    if !probes.is_empty() {
        sleep(PROBE_TIME);
    }
    for path in probes {
        if let Ok(Some(_probe)) = LockedFile::try_lock_existing(&path, access) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Removes a temporary file, unless a save is in progress, which holds the session's lock and that of the file.
fn sweep_temporary(path: &Path, lock: &Path, access: Access) {
    let Ok(Some(_session)) = LockedFile::try_lock(lock, &Locking::SYSTEM, access) else { return };
    let Ok(Some(_temporary)) = LockedFile::try_lock_existing(path, access) else { return };
    let _ = fs::remove_file(path);
}

fn is_probe(name: &str) -> bool {
    let number = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
    number.is_some_and(|number| number.len() == 16 && is_hexadecimal(number))
}

/// Returns the part with which the names of the session's files begin, if that is a temporary file of this or of an
/// older program.
fn stem_of_temporary(name: &str) -> Option<&str> {
    let (stem, rest) = name.split_once('.')?;
    let is_temporary = rest == "tmp" || rest.strip_prefix("tmp-").is_some_and(is_hexadecimal);
    let is_stem = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    (is_temporary && stem.starts_with("session-") && stem.bytes().all(is_stem)).then_some(stem)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
