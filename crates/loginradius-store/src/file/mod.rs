use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use loginradius_proto::Error;
use loginradius_proto::session::{Expected, LoadError, SaveError, StoredRecord};
use zeroize::Zeroizing;

use self::access::Access;
use self::disk::{Disk, System};
use self::lock::{LockedFile, Locking};
use self::private::{failed, open_to_read};
use self::retry::retried;
use self::text::printable;
use crate::store::{SessionLock, SessionStore};

#[cfg(unix)]
mod access;
#[cfg(not(unix))]
#[path = "access_by_folder.rs"]
mod access;
mod disk;
mod lock;
mod mount;
mod name;
mod private;
mod probe;
mod retry;
#[cfg(test)]
mod tests;
mod text;
#[cfg(feature = "tokio")]
mod tokio;

/// Sessions in files of one folder, which any number of processes of one user share.
///
/// A clone is another handle to the same folder, and so is a second [`open`](Self::open). What the store promises, and
/// its files, are [in the crate's documentation](crate#files).
///
/// ```
/// use loginradius_store::{FileStore, SessionStore};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let home = tempfile::tempdir()?;
/// # let home = home.path();
/// let store = FileStore::open(home.join("my-program"))?;
/// let mut session = SessionStore::try_lock(&store, "default")?.expect("it has no other holder");
/// assert!(session.load()?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct FileStore {
    folder: Arc<Folder>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    access: Access,
    /// Where its file system is mounted.
    mount: Option<PathBuf>,
}

impl FileStore {
    /// Opens the store in a folder. If the folder is missing, this creates it; its parent folder has to exist.
    ///
    /// There is no default: use your system's place for it, such as `$XDG_STATE_HOME/my-program`,
    /// `~/Library/Application Support/my-program`, or `%LOCALAPPDATA%\my-program`.
    ///
    /// On Unix the modes are checked:
    ///
    /// | what | refused |
    /// | --- | --- |
    /// | the folder | if it belongs to another user, or if its group or others may write to it: they could exchange the files |
    /// | a session's file, when it is used | if it belongs to another user, or if its group or others have any permission |
    /// | the file system | if a new file there has another owner or mode than was asked for |
    ///
    /// Others may *list* the folder if its mode says so. Then they see the names of the sessions, but no token: do not
    /// name a session by a secret, such as the value of a cookie. A folder that is created here has mode 0700, whatever
    /// the umask.
    ///
    /// What killed programs have left in the folder is removed, and no other file. This blocks on the disk, also in
    /// async code: call it once, at the start of the program.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::StoreRefused`](loginradius_proto::ErrorKind::StoreRefused) if the folder cannot be used: its
    ///   parent is missing, it belongs to another user or others may write to it, it is read-only, or it is on a file
    ///   system without modes, or without locks that exclude each other. The message says what to do.
    /// - [`ErrorKind::Unavailable`](loginradius_proto::ErrorKind::Unavailable) if the disk is full or failed.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(folder.as_ref(), &Locking::SYSTEM, Opening { create: true, group: false })
    }

    /// Opens the store in a folder that exists, and never creates it.
    ///
    /// This is for a folder on a disk that may not be mounted, such as `/mnt/usb/my-program`. Without that disk,
    /// [`open`](Self::open) would create the folder on the disk that has `/mnt/usb`, and every session would seem to be
    /// signed out. Use a folder *inside* the place where the disk is mounted, because that place exists without the
    /// disk too.
    ///
    /// ```
    /// use loginradius_store::FileStore;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let disk = tempfile::tempdir()?;
    /// # let disk = disk.path();
    /// assert!(FileStore::open_existing(disk.join("my-program")).is_err());
    /// assert!(!disk.join("my-program").exists());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and `ErrorKind::StoreRefused` if the folder is missing.
    pub fn open_existing(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(folder.as_ref(), &Locking::SYSTEM, Opening { create: false, group: false })
    }

    /// Opens the store in a folder that the users of one group share, and creates it if it is missing.
    ///
    /// This is for a service whose processes run as several users, and for a volume of Kubernetes with an `fsGroup`:
    /// such a volume belongs to root, or each start of a pod gives its folders mode 2770 and its files mode 0660. All
    /// programs that share a folder have to open it in this way.
    ///
    /// The group is the folder's. **Each of its members, and the folder's owner, can read the tokens.** So on Unix the
    /// checks are these:
    ///
    /// | what | refused |
    /// | --- | --- |
    /// | the folder | if others may write to it, if it belongs to another user and its group lacks a permission, or if only the owner of a file may replace it there (sticky bit) |
    /// | a session's file, when it is used | if it belongs neither to this user nor to the folder's group, or if others have any permission |
    /// | the file system | if a new file there cannot have the folder's group and mode 0660, or belongs to another user than this one and the folder's owner |
    ///
    /// A new file has the folder's group and mode 0660, and a folder that is created here has mode 2770, whatever the
    /// umask. On Windows this is the same as [`open`](Self::open).
    ///
    /// ```
    /// use loginradius_store::FileStore;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let volume = tempfile::tempdir()?;
    /// # let volume = volume.path();
    /// let store = FileStore::open_for_group(volume.join("sessions"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), with the checks above.
    pub fn open_for_group(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(folder.as_ref(), &Locking::SYSTEM, Opening { create: true, group: true })
    }

    fn open_with(folder: &Path, locking: &Locking, opening: Opening) -> Result<Self, Error> {
        // So that the store stays usable after a change of the working directory.
        let path = std::path::absolute(folder).map_err(|error| failed("use the folder", folder, error))?;
        if opening.create {
            create_folder(&path, opening.group)?;
        }
        let access = check_folder(&path, opening.group, thread::sleep)?;
        probe::sweep(&path, access, thread::sleep);
        probe::probe(&path, locking, access)?;
        System.sync_folder(&path).map_err(|error| failed("write durably in", &path, error))?;
        let mount = mount::mount_point(&path);
        Ok(Self { folder: Arc::new(Folder { path, access, mount }) })
    }

    /// Lists all names as one page. This blocks on the disk.
    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        let folder = &self.folder.path;
        let unreadable = |error| failed("list the sessions in", folder, error);
        self.folder.check_mount()?;
        let mut names = Vec::new();
        for file in retried(|| list(folder)).map_err(unreadable)? {
            let Some(stem) = file.to_str().and_then(|file| file.strip_suffix(".json")) else { continue };
            let name = match name::name(stem) {
                None if name::may_begin_with(stem, prefix) => LongName::read(&self.folder, stem)?,
                name => name,
            };
            let is_wanted = |name: &String| name.starts_with(prefix) && after.is_none_or(|after| name.as_str() > after);
            names.extend(name.filter(is_wanted));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn lock(&self, name: &str) -> Result<Option<FileSessionLock>, Error> {
        self.lock_on(System, name)
    }

    fn lock_on<D: Disk>(&self, disk: D, name: &str) -> Result<Option<FileSessionLock<D>>, Error> {
        self.folder.check_mount()?;
        let files = Files::new(&self.folder, name);
        let lock = LockedFile::try_lock(&files.lock, &Locking::SYSTEM, self.folder.access)?;
        Ok(lock.map(|lock| FileSessionLock { lock, files, disk, unsynced: false }))
    }
}

impl SessionStore for FileStore {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        Ok(self.lock(name)?.map(|lock| Box::new(lock) as _))
    }

    fn peek(&self, name: &str) -> Option<StoredRecord> {
        // The caller that loads under the lock gets the error.
        self.folder.check_mount().ok()?;
        Files::new(&self.folder, name).read().ok().flatten()
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        self.list(prefix, after)
    }
}

/// How a store is opened.
#[derive(Clone, Copy)]
struct Opening {
    /// Whether a missing folder is created.
    create: bool,
    /// Whether the folder's group shares it.
    group: bool,
}

impl Folder {
    /// Refuses the folder if another file system is mounted there than when the store was opened.
    ///
    /// In the folder of the other one, each session would seem to be signed out.
    fn check_mount(&self) -> Result<(), Error> {
        let Some(before) = &self.mount else { return Ok(()) };
        match mount::mount_point(&self.path) {
            Some(now) if now != *before => Err(Error::store_refused(format!(
                "`{}` was on the file system mounted at `{}` when the store was opened, and is now on {}: mount it as \
                 before, or open the store again",
                printable(&self.path),
                printable(before),
                mount::file_system(&self.path),
            ))),
            // If something is missing, the operation that needs it says so.
            Some(_) | None => Ok(()),
        }
    }
}

/// Checks who may write to the folder. It waits by that function.
fn check_folder(folder: &Path, group: bool, mut sleep: impl FnMut(Duration)) -> Result<Access, Error> {
    let mut wait = Duration::from_millis(1);
    loop {
        let found = retried(|| fs::metadata(folder)).map_err(|error| failed("use the folder", folder, error))?;
        if !found.is_dir() {
            return Err(Error::store_refused(format!("`{}` is not a folder: choose another one", printable(folder))));
        }
        let access = Access::new(group, &found);
        match access.check_folder(folder, &found) {
            Ok(()) => return Ok(access),
            // Another process may have just created it, and is about to set its mode.
            Err(_) if wait < Duration::from_millis(100) => sleep(wait),
            // The file system may have invented its mode.
            Err(error) => return Err(probe::without_modes(folder, access).unwrap_or(error)),
        }
        wait *= 3;
    }
}

fn list(folder: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}

/// Reads a text from a private file. Returns `None` if there is no file, or no text in it.
fn read_text(path: &Path, access: Access) -> Result<Option<String>, Error> {
    let Some(file) = open_to_read(path, access)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = retried(|| {
        bytes.clear();
        (&file).rewind()?;
        (&file).take(MAX_RECORD).read_to_end(&mut bytes)
    });
    read.map_err(|error| failed("read", path, error))?;
    Ok(String::from_utf8(bytes).ok())
}

fn create_folder(folder: &Path, group: bool) -> Result<(), Error> {
    match retried(|| access::create_folder(folder, group)) {
        Ok(()) => Ok(()),
        // Also where the file system is read-only, or this user may not write into the parent folder.
        Err(error) if error.kind() == ErrorKind::AlreadyExists || folder.exists() => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::store_refused(format!(
            "cannot create the folder `{}`, because its parent folder is not there: create that first, or mount the \
             disk that it is on",
            printable(folder),
        ))),
        Err(error) => Err(failed("create the folder", folder, error)),
    }
}

/// A session whose lock file is locked.
struct FileSessionLock<D: Disk = System> {
    lock: LockedFile,
    files: Files,
    disk: D,
    /// Whether the folder was changed, and the change may not outlive a loss of power.
    unsynced: bool,
}

impl<D: Disk> SessionLock for FileSessionLock<D> {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        // A save of unknown outcome must be durable before its record is used.
        self.sync_folder()?;
        Ok(self.files.read()?)
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        if record.as_bytes().len() as u64 > MAX_RECORD {
            let message = "the session is larger than 16 MiB and cannot be stored: request smaller tokens";
            return Err(SaveError::Failed(Error::store_refused(message)));
        }
        self.check_lock()?;
        let temporary = self.take_temporary()?;
        if let Err(error) = self.prepare(&temporary, record.as_bytes(), expected) {
            self.remove_temporary(&temporary);
            return Err(error);
        }
        self.replace(&temporary)?;
        self.changed()
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        self.check_lock()?;
        let temporary = match self.take_temporary() {
            // It could not be created, as on a full disk. A clear can do without it.
            Err(SaveError::Failed(_)) if fs::symlink_metadata(&self.files.temporary).is_err() => None,
            taken => Some(taken?),
        };
        let outcome = self.compare(expected).and_then(|_| self.remove(expected));
        if let Some(temporary) = temporary {
            self.remove_temporary(&temporary);
        }
        outcome?;
        self.changed()
    }
}

/// The tokens of a response of at most 1 MiB make a smaller record, however JSON escapes them.
const MAX_RECORD: u64 = 16 * 1024 * 1024;

impl<D: Disk> FileSessionLock<D> {
    /// Checks that the lock file is still there: without it the session can have a second holder.
    fn check_lock(&self) -> Result<(), SaveError> {
        if self.lock.is_at(&self.files.lock) { Ok(()) } else { Err(SaveError::Conflict) }
    }

    /// Takes the lock of the temporary file, and removes what a killed save left in it.
    ///
    /// Under this lock one holder compares and replaces at a time, whatever became of the lock file.
    fn take_temporary(&self) -> Result<LockedFile, SaveError> {
        let path = &self.files.temporary;
        for _ in 0..2 {
            let temporary = self
                .disk
                .take(path, self.files.folder.access)
                .map_err(SaveError::Failed)?
                .ok_or(SaveError::Conflict)?;
            if !temporary.has_other_names() {
                return match self.disk.truncate(&temporary.file) {
                    Ok(()) => Ok(temporary),
                    Err(error) => {
                        self.remove_temporary(&temporary);
                        Err(SaveError::Failed(failed("write", path, error)))
                    }
                };
            }
            // Its other names must keep their content, such as a backup made with hard links.
            retried(|| self.disk.remove(path)).map_err(|error| SaveError::Failed(failed("remove", path, error)))?;
        }
        Err(SaveError::Conflict)
    }

    /// Does what comes before the record is replaced: compares, writes, and keeps a copy of a damaged record.
    fn prepare(&self, temporary: &LockedFile, bytes: &[u8], expected: Expected) -> Result<(), SaveError> {
        let found = self.compare(expected)?;
        self.keep_name().map_err(SaveError::Failed)?;
        self.write(&temporary.file, bytes).map_err(SaveError::Failed)?;
        if let (Expected::Damaged(_), Some(damaged)) = (expected, found) {
            self.keep_damaged(&damaged).map_err(SaveError::Failed)?;
        }
        // Another file in its place is another holder's, and may be half written.
        if temporary.is_at(&self.files.temporary) { Ok(()) } else { Err(SaveError::Conflict) }
    }

    /// Returns what is stored, if it is what is expected.
    fn compare(&self, expected: Expected) -> Result<Option<StoredRecord>, SaveError> {
        let found = self.files.read().map_err(SaveError::Failed)?;
        if found.as_ref().map(StoredRecord::generation) == expected.generation() {
            Ok(found)
        } else {
            Err(SaveError::Conflict)
        }
    }

    /// Writes down a name that the names of the files do not show, so that the session can be listed.
    fn keep_name(&self) -> Result<(), Error> {
        let Files { folder, long_name: Some(LongName { name, path }), .. } = &self.files else { return Ok(()) };
        if read_text(path, folder.access)?.as_ref() == Some(name) {
            return Ok(());
        }
        // What a killed save or another program left is removed, and not overwritten: it may have other names, which
        // must keep their content.
        match retried(|| self.disk.remove(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("remove", path, error)),
            _ => {}
        }
        let written = self.disk.copy(name.as_bytes(), path, folder.access);
        written.map_err(|error| failed("write", path, error))
    }

    fn write(&self, file: &fs::File, bytes: &[u8]) -> Result<(), Error> {
        let written = self.disk.write(file, bytes).and_then(|()| self.disk.sync(file));
        written.map_err(|error| failed("write", &self.files.temporary, error))
    }

    /// Gives the damaged file a second name, under which it stays when the first name becomes another file's.
    ///
    /// Some file systems have no second names (hard links), and some policies forbid them. There, its bytes are written
    /// once more: if the file were moved away, there would be no record for a moment.
    fn keep_damaged(&self, damaged: &StoredRecord) -> Result<(), Error> {
        if self.disk.link(&self.files.record, &self.files.damaged_copy()).is_err() {
            let copy = self.files.damaged_copy();
            let copied = self.disk.copy(damaged.as_bytes(), &copy, self.files.folder.access);
            copied.map_err(|error| failed("keep the damaged session as", &copy, error))?;
        }
        let folder = &self.files.folder.path;
        self.disk.sync_folder(folder).map_err(|error| failed("write", folder, error))
    }

    fn replace(&mut self, temporary: &LockedFile) -> Result<(), SaveError> {
        let (from, path) = (&self.files.temporary, &self.files.record);
        let renamed = retried(|| {
            // After a wait, the file may be another holder's and half written, or the rename may have been done after
            // all.
            if temporary.is_at(from) { self.disk.rename(from, path) } else { Err(io::Error::other("it is gone")) }
        });
        let Err(error) = renamed else { return Ok(()) };
        let error = failed("replace", path, error);
        if self.remove_temporary(temporary) {
            return Err(SaveError::Failed(error));
        }
        // A file server may have done it, and its response was lost.
        self.unsynced = true;
        Err(SaveError::Unknown(error))
    }

    /// Removes the temporary file. Returns whether it was there and is removed.
    fn remove_temporary(&self, temporary: &LockedFile) -> bool {
        let path = &self.files.temporary;
        let remove = || if temporary.is_at(path) { self.disk.remove(path).map(|()| true) } else { Ok(false) };
        retried(remove).unwrap_or(false)
    }

    /// Removes what killed saves of older programs left, which holds tokens too, and then the record.
    fn remove(&mut self, expected: Expected) -> Result<(), SaveError> {
        for left_over in self.disk.list(&self.files.folder.path, &self.files.older_temporary) {
            // What cannot be removed is no reason to keep the record.
            let _ = self.disk.remove(&left_over);
        }
        if expected == Expected::Nothing {
            return Ok(());
        }
        let path = &self.files.record;
        let Err(error) = retried(|| self.disk.remove(path)) else {
            if let Some(LongName { path, .. }) = &self.files.long_name {
                // Without its record it is never read.
                let _ = retried(|| self.disk.remove(path));
            }
            return Ok(());
        };
        let error = failed("remove", path, error);
        if fs::symlink_metadata(path).is_ok() {
            return Err(SaveError::Failed(error));
        }
        // A file server has done it, and its response was lost.
        self.unsynced = true;
        Err(SaveError::Unknown(error))
    }

    /// Makes a change of the folder durable.
    fn changed(&mut self) -> Result<(), SaveError> {
        self.unsynced = true;
        Ok(self.sync_folder()?)
    }

    fn sync_folder(&mut self) -> Result<(), Error> {
        if self.unsynced {
            let folder = &self.files.folder.path;
            self.disk.sync_folder(folder).map_err(|error| failed("write durably in", folder, error))?;
            self.unsynced = false;
        }
        Ok(())
    }
}

/// Where the files of a session are.
struct Files {
    folder: Arc<Folder>,
    record: PathBuf,
    lock: PathBuf,
    temporary: PathBuf,
    /// What the names of temporary files began with in older programs, which drew a new name for each.
    older_temporary: String,
    /// `None` if the names of the files show the session's name.
    long_name: Option<LongName>,
}

/// A session's name that is too long for the names of its files, and the file that has it.
struct LongName {
    name: String,
    path: PathBuf,
}

impl LongName {
    fn path(folder: &Folder, stem: &str) -> PathBuf {
        folder.path.join(format!("{stem}.name"))
    }

    /// Reads the name of the session whose files begin with that stem. Returns `None` if it is not there, as in a store
    /// of an older program, or is not that session's.
    fn read(folder: &Folder, stem: &str) -> Result<Option<String>, Error> {
        let name = read_text(&Self::path(folder, stem), folder.access)?;
        Ok(name.filter(|name| name::stem(name) == stem))
    }
}

impl Files {
    fn new(folder: &Arc<Folder>, name: &str) -> Self {
        let stem = name::stem(name);
        Self {
            record: folder.path.join(format!("{stem}.json")),
            lock: folder.path.join(format!("{stem}.lock")),
            temporary: folder.path.join(format!("{stem}.tmp")),
            older_temporary: format!("{stem}.tmp-"),
            long_name: name::is_cut(&stem)
                .then(|| LongName { name: name.to_owned(), path: LongName::path(folder, &stem) }),
            folder: folder.clone(),
        }
    }

    /// Reads the record, with or without its lock: it is replaced in one step.
    fn read(&self) -> Result<Option<StoredRecord>, Error> {
        let path = &self.record;
        let Some(file) = open_to_read(path, self.folder.access)? else {
            self.folder.check_mount()?;
            return Ok(None);
        };
        let too_large = || {
            let path = printable(path);
            Error::store_refused(format!(
                "`{path}` is larger than 16 MiB, as no session is: move it away, and sign in again"
            ))
        };
        let length = retried(|| file.metadata()).map_err(|error| failed("read", path, error))?.len();
        if length > MAX_RECORD {
            return Err(too_large());
        }
        // Large enough from the start: a buffer that grows leaves copies of the tokens behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 64));
        let mut is_repeated = false;
        let read = retried(|| {
            if std::mem::replace(&mut is_repeated, true) {
                bytes.clear();
                (&file).rewind()?;
            }
            (&file).take(MAX_RECORD + 1).read_to_end(&mut bytes)
        });
        read.map_err(|error| failed("read", path, error))?;
        if bytes.len() as u64 > MAX_RECORD {
            return Err(too_large());
        }
        let record = StoredRecord::from_bytes(std::mem::take(&mut *bytes));
        Ok(Some(record.located_at(format!("`{}`", printable(path)))))
    }

    /// Returns the first name for a copy of a damaged record that is free.
    fn damaged_copy(&self) -> PathBuf {
        let mut number = 1_u64;
        loop {
            let mut name = self.record.clone().into_os_string();
            name.push(format!(".damaged-{number}"));
            match fs::symlink_metadata(&name) {
                Ok(_) => number += 1,
                Err(_) => return name.into(),
            }
        }
    }
}
