use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use loginradius_proto::Error;

use super::lock::{LockedFile, Locking};

/// What a save and a clear do to the disk, step by step, so that tests can make the process fail or die at each step.
pub(super) trait Disk: Send + 'static {
    /// Takes the lock of a private file, which is created if it is missing. Returns `None` if
    /// another holder has it.
    fn take(&self, path: &Path) -> Result<Option<LockedFile>, Error> {
        LockedFile::try_lock(path, &Locking::SYSTEM)
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

    /// Flushes the names in the folder, so that they would outlive a loss of power. Windows has no such call.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    }
}

/// The disk itself.
pub(super) struct System;

impl Disk for System {}
