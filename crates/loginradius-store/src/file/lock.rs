#[cfg(unix)]
use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;

use loginradius_proto::Error;

use super::access::Access;
use super::mount::file_system;
use super::private::{failed, is_unsupported, open_to_lock};
use super::retry::retried;

/// A file of which this handle has the lock.
///
/// The lock is the operating system's, on the open file: it ends with the process, excludes other handles of the same
/// process too, and is not passed on to child processes, because std opens files close-on-exec.
#[derive(Debug)]
pub(super) struct LockedFile {
    pub(super) file: File,
}

impl LockedFile {
    /// Creates the file if it is missing, and tries to take its lock. Returns `None` if another holder
    /// has it.
    pub(super) fn try_lock(path: &Path, locking: &Locking, access: Access) -> Result<Option<Self>, Error> {
        Self::try_lock_with(path, true, locking, access)
    }

    /// Tries to take the lock of a file. Returns `None` if there is none, or another holder has the lock.
    pub(super) fn try_lock_existing(path: &Path, access: Access) -> Result<Option<Self>, Error> {
        Self::try_lock_with(path, false, &Locking::SYSTEM, access)
    }

    fn try_lock_with(path: &Path, create: bool, locking: &Locking, access: Access) -> Result<Option<Self>, Error> {
        // If the file is removed or renamed between opening and locking it, the lock excludes no other process.
        for _ in 0..10 {
            let Some(file) = open_to_lock(path, create, access)? else { if create { continue } else { break } };
            match locking.acquire(&file) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => return Err(Locking::failed(path, error)),
            }
            let locked = Self { file };
            if locked.is_at(path) {
                return Ok(Some(locked));
            }
        }
        Ok(None)
    }

    /// Returns whether the locked file is still the one that others find there.
    #[cfg(unix)]
    pub(super) fn is_at(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;

        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        let locked = retried(|| self.file.metadata()).map(identity);
        let there = retried(|| fs::symlink_metadata(path)).map(identity);
        locked.is_ok_and(|locked| there.is_ok_and(|there| there == locked))
    }

    #[cfg(not(unix))]
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let locked = self.file.try_clone().and_then(same_file::Handle::from_file);
        locked.is_ok_and(|locked| same_file::Handle::from_path(path).is_ok_and(|there| there == locked))
    }

    /// Returns whether the file has more than one name (hard links).
    #[cfg(unix)]
    pub(super) fn has_other_names(&self) -> bool {
        self.file.metadata().is_ok_and(|found| std::os::unix::fs::MetadataExt::nlink(&found) > 1)
    }

    #[cfg(not(unix))]
    pub(super) fn has_other_names(&self) -> bool {
        false
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is being started shares the open file until its exec.
        let _ = Locking::SYSTEM.release(&self.file);
    }
}

/// How files are locked, so that the probe can be tested against file systems on which locks do not work.
pub(super) struct Locking {
    /// Takes the lock of the file; `false` if it was not free.
    pub(super) try_lock: fn(&File) -> io::Result<bool>,
    pub(super) unlock: fn(&File) -> io::Result<()>,
}

impl Locking {
    #[cfg(unix)]
    pub(super) const SYSTEM: Self = {
        use rustix::fs::{FlockOperation, flock};
        use rustix::io::Errno;

        Self {
            try_lock: |file| match flock(file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(true),
                Err(Errno::WOULDBLOCK) => Ok(false),
                Err(error) => Err(error.into()),
            },
            unlock: |file| Ok(flock(file, FlockOperation::Unlock)?),
        }
    };

    #[cfg(windows)]
    pub(super) const SYSTEM: Self = {
        use fs4::{FileExt, TryLockError};

        Self {
            try_lock: |file| match FileExt::try_lock(file) {
                Ok(()) => Ok(true),
                Err(TryLockError::WouldBlock) => Ok(false),
                Err(TryLockError::Error(error)) => Err(error),
            },
            unlock: |file| FileExt::unlock(file),
        }
    };

    /// Takes the lock of the file. Returns `false` if it was not free.
    pub(super) fn acquire(&self, file: &File) -> io::Result<bool> {
        retried(|| (self.try_lock)(file))
    }

    pub(super) fn release(&self, file: &File) -> io::Result<()> {
        retried(|| (self.unlock)(file))
    }

    pub(super) fn failed(path: &Path, error: io::Error) -> Error {
        if is_unsupported(&error) || is_out_of_locks(&error) {
            return Error::store_refused(format!(
                "{} cannot lock files ({error}), and without a lock two processes would send the same refresh token: \
                 choose a folder on a local disk",
                file_system(path),
            ));
        }
        failed("lock", path, error)
    }
}

/// Returns whether the file server has no locks.
#[cfg(unix)]
fn is_out_of_locks(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::NOLCK)
}

#[cfg(not(unix))]
fn is_out_of_locks(_error: &io::Error) -> bool {
    false
}
