use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use loginradius_proto::Error;

use super::access::Access;
use super::lock::{LockedFile, Locking};
use super::private::{create, is_unsupported};
use super::retry::retried;

/// What a save and a clear do to the disk, step by step, so that tests can make the process fail or die at each step.
pub(super) trait Disk: Send + 'static {
    /// Takes the lock of a private file, which is created if it is missing. Returns `None` if
    /// another holder has it.
    fn take(&self, path: &Path, access: Access) -> Result<Option<LockedFile>, Error> {
        LockedFile::try_lock(path, &Locking::SYSTEM, access)
    }

    fn truncate(&self, file: &File) -> io::Result<()> {
        file.set_len(0)
    }

    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Flushes the content, so that it would outlive a loss of power.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Gives a file a second name, which must not be there yet.
    fn link(&self, file: &Path, name: &Path) -> io::Result<()> {
        fs::hard_link(file, name)
    }

    /// Writes a new file, durably. If that fails, it leaves no such file, unless there was one before.
    fn copy(&self, bytes: &[u8], name: &Path, access: Access) -> io::Result<()> {
        let mut file = create(name, access)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(name);
        }
        written
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Lists the files whose names begin with that prefix, as far as they can be listed.
    fn list(&self, folder: &Path, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let matching = entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)));
        matching.map(|entry| entry.path()).collect()
    }

    /// Flushes the names in the folder, so that they would outlive a loss of power.
    ///
    /// Windows has no such call, and some file systems do not support it, above all those of networks.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        if cfg!(not(unix)) {
            return Ok(());
        }
        retried(|| match File::open(folder).and_then(|folder| folder.sync_all()) {
            Err(error) if cannot_sync_folders(&error) => Ok(()),
            outcome => outcome,
        })
    }
}

/// The disk itself.
pub(super) struct System;

impl Disk for System {}

/// Returns whether the error means that folders can never be flushed there, and not that the disk failed.
fn cannot_sync_folders(error: &io::Error) -> bool {
    #[cfg(unix)]
    if let Some(errno) = rustix::io::Errno::from_io_error(error) {
        use rustix::io::Errno;
        // A folder cannot be opened like a file where a policy forbids that, and on file systems of other systems.
        if [Errno::BADF, Errno::ISDIR, Errno::ACCESS, Errno::PERM].contains(&errno) {
            return true;
        }
    }
    is_unsupported(error)
}
