use std::fs::{self, File};
use std::io;
use std::path::Path;

use loginradius_proto::Error;

use super::disk::{self, failed, open_private, random, shown};

/// A lock file whose lock is held.
///
/// The lock is the operating system's, on the open file: it ends with the process, excludes other handles of
/// the same process too, and is not passed on to child processes, because std opens files close-on-exec.
#[derive(Debug)]
pub(super) struct Lock {
    pub(super) file: File,
}

impl Lock {
    /// `None`: another one has it.
    pub(super) fn try_take(path: &Path, locking: &Locking) -> Result<Option<Self>, Error> {
        let mut options = disk::private_options();
        options.read(true).write(true).create(true).truncate(false);
        // Somebody may remove the file between opening and locking it, and then it excludes nobody.
        for _ in 0..10 {
            let Some(file) = open_private(path, &options)? else { continue };
            match (locking.try_lock)(&file) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => return Err(Locking::failed(path, error)),
            }
            let lock = Self { file };
            if lock.is_held(path) {
                return Ok(Some(lock));
            }
        }
        Ok(None)
    }

    /// Whether the locked file is still the one that others find there.
    #[cfg(unix)]
    pub(super) fn is_held(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;

        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        let locked = self.file.metadata().map(identity);
        locked.is_ok_and(|locked| fs::symlink_metadata(path).map(identity).is_ok_and(|there| there == locked))
    }

    #[cfg(not(unix))]
    pub(super) fn is_held(&self, _path: &Path) -> bool {
        true
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is being started has the open file too, until its exec.
        let _ = (Locking::SYSTEM.unlock)(&self.file);
    }
}

/// How files are locked, so that the probe can be shown file systems on which that does not work.
pub(super) struct Locking {
    /// Whether it was free.
    pub(super) try_lock: fn(&File) -> io::Result<bool>,
    pub(super) unlock: fn(&File) -> io::Result<()>,
}

impl Locking {
    #[cfg(unix)]
    pub(super) const SYSTEM: Self = {
        use rustix::fs::{FlockOperation, flock};
        use rustix::io::{Errno, retry_on_intr};

        Self {
            try_lock: |file| match retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive)) {
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

    fn failed(path: &Path, error: io::Error) -> Error {
        if is_unsupported(&error) {
            return Error::settings(format!(
                "the file system of `{}` cannot lock files ({error}), and without a lock two processes would spend \
                 one refresh token: choose a folder on a local disk",
                shown(path),
            ));
        }
        failed("lock", path, error)
    }

    /// Tries out whether locks in this folder exclude each other.
    ///
    /// Some file systems of networks and of containers have no locks, or grant every one of them.
    pub(super) fn probe(&self, folder: &Path) -> Result<(), Error> {
        // A name of its own, for processes that start together must not take each other for the second handle.
        let path = folder.join(format!("probe-{:016x}.lock", random()));
        let outcome = self.probe_at(&path);
        let _ = fs::remove_file(&path);
        outcome
    }

    fn probe_at(&self, path: &Path) -> Result<(), Error> {
        let open = |create: bool| {
            let mut options = disk::private_options();
            options.read(true).write(true).create_new(create).open(path).map_err(|error| failed("create", path, error))
        };
        let (first, second) = (open(true)?, open(false)?);
        let works = || {
            Ok((self.try_lock)(&first)? && !(self.try_lock)(&second)? && {
                (self.unlock)(&first)?;
                (self.try_lock)(&second)?
            })
        };
        if works().map_err(|error| Self::failed(path, error))? {
            return Ok(());
        }
        Err(Error::settings(format!(
            "locks of files exclude nobody in `{}`, and two processes would spend one refresh token: choose a \
             folder on a local disk",
            shown(path.parent().unwrap_or(path)),
        )))
    }
}

/// Whether that will never work on this file system.
fn is_unsupported(error: &io::Error) -> bool {
    #[cfg(unix)]
    if let Some(errno) = rustix::io::Errno::from_io_error(error) {
        use rustix::io::Errno;
        return [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::INVAL].contains(&errno);
    }
    error.kind() == io::ErrorKind::Unsupported
}
