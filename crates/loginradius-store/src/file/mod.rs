use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use loginradius_proto::Error;
use loginradius_proto::session::{LoadOutcome, SaveOutcome, SessionRecord};
use zeroize::Zeroizing;

use self::disk::{Disk, System, check_owner, failed, open_private, random, shown};
use self::lock::{Lock, Locking};
use crate::store::{LockedSession, TokenStore};

mod disk;
mod lock;
mod name;
#[cfg(test)]
mod tests;
#[cfg(feature = "tokio")]
mod tokio;

/// Sessions in files of one folder, which any number of processes of one user share.
///
/// A clone is another handle to the same folder, and so is a second [`open`](Self::open). What is promised,
/// and how it looks on the disk, is [in the crate's documentation](crate#files).
///
/// ```
/// use loginradius_store::{FileStore, LoadOutcome, TokenStore};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// # let home = tempfile::tempdir().unwrap();
/// # let home = home.path();
/// let store = FileStore::open(home.join("my-program"))?;
/// let mut session = TokenStore::try_lock(&store, "default")?.expect("nobody else has it");
/// assert!(matches!(session.load(), LoadOutcome::Nothing));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct FileStore {
    folder: Arc<Path>,
}

/// A session whose lock file is locked.
struct LockedFile<D: Disk = System> {
    lock: Lock,
    files: Files,
    disk: D,
    /// Whether what a dead process left has been removed.
    swept: bool,
    /// Whether the folder was changed, and nobody knows if that would outlive a loss of power.
    unsynced: bool,
}

/// Where the files of a session are.
struct Files {
    folder: Arc<Path>,
    record: PathBuf,
    lock: PathBuf,
    /// What the names of its temporary files begin with.
    temporary: String,
}

impl FileStore {
    /// A store in that folder, which is created if it is missing and if the folder around it is there.
    ///
    /// There is no default: take what your system has for it, such as `$XDG_STATE_HOME/my-program`,
    /// `~/Library/Application Support/my-program`, or `%LOCALAPPDATA%\my-program`.
    ///
    /// On Unix the folder has to belong to this user, and nobody else may write there: whoever can, could
    /// exchange the files. That others may *read* it is allowed, for most folders are made like that; they see
    /// the names of the sessions, and no token. A folder that is created here is open to its owner alone.
    ///
    /// This waits for the disk, also in async code; once at the start of a program that is no matter.
    ///
    /// # Errors
    ///
    /// [`Error::settings`] if the folder cannot be used: it is missing, open to other users, read-only, or on
    /// a file system without locks that exclude each other, which is tried out.
    /// [`Error::try_later`] if the disk is full or failed.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(folder.as_ref(), &Locking::SYSTEM)
    }

    fn open_with(folder: &Path, locking: &Locking) -> Result<Self, Error> {
        // Also after a change of the working directory.
        let folder = std::path::absolute(folder).map_err(|error| failed("use the folder", folder, error))?;
        create_folder(&folder)?;
        let found = fs::metadata(&folder).map_err(|error| failed("use the folder", &folder, error))?;
        if !found.is_dir() {
            return Err(Error::settings(format!("`{}` is no folder: choose another one", shown(&folder))));
        }
        check_owner(&folder, &found, 0o022, "700")?;
        locking.probe(&folder)?;
        System.sync_folder(&folder).map_err(|error| failed("write durably in", &folder, error))?;
        Ok(Self { folder: folder.into() })
    }

    fn lock(&self, name: &str) -> Result<Option<LockedFile>, Error> {
        self.lock_on(System, name)
    }

    fn lock_on<D: Disk>(&self, disk: D, name: &str) -> Result<Option<LockedFile<D>>, Error> {
        let files = Files::new(&self.folder, name);
        let lock = Lock::try_take(&files.lock, &Locking::SYSTEM)?;
        Ok(lock.map(|lock| LockedFile { lock, files, disk, swept: false, unsynced: false }))
    }
}

impl TokenStore for FileStore {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn LockedSession>>, Error> {
        Ok(self.lock(name)?.map(|locked| Box::new(locked) as Box<dyn LockedSession>))
    }
}

fn create_folder(folder: &Path) -> Result<(), Error> {
    #[cfg_attr(not(unix), allow(unused_mut, reason = "only Unix has modes"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Ok(()) => Ok(()),
        // Also a folder of a read-only file system, or of a folder where this user may not write.
        Err(error) if error.kind() == ErrorKind::AlreadyExists || folder.exists() => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::settings(format!(
            "cannot create the folder `{}`, because the folder around it is not there: create that first",
            shown(folder),
        ))),
        Err(error) => Err(failed("create the folder", folder, error)),
    }
}

impl Files {
    fn new(folder: &Arc<Path>, name: &str) -> Self {
        let stem = name::stem(name);
        Self {
            record: folder.join(format!("{stem}.json")),
            lock: folder.join(format!("{stem}.lock")),
            temporary: format!("{stem}.tmp-"),
            folder: folder.clone(),
        }
    }

    fn new_temporary(&self) -> PathBuf {
        self.folder.join(format!("{}{:016x}", self.temporary, random()))
    }

    /// The name under which a damaged file is set aside: the first one that is free.
    fn aside(&self) -> PathBuf {
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

impl<D: Disk> LockedSession for LockedFile<D> {
    fn load(&mut self) -> LoadOutcome {
        // What was stored without anybody knowing must not be believed before it is durable.
        match self.sync_folder() {
            Ok(()) => self.read(),
            Err(error) => LoadOutcome::Failed(error),
        }
    }

    fn save(&mut self, record: &SessionRecord, expected: Option<u64>) -> SaveOutcome {
        let json = Zeroizing::new(record.to_json());
        if json.len() as u64 > LARGEST {
            let message = "the session is larger than 16 MiB and cannot be stored: ask for smaller tokens";
            return SaveOutcome::Failed(Error::settings(message));
        }
        match self.find(expected) {
            Ok(found) => self.replace(json.as_bytes(), found),
            Err(outcome) => outcome,
        }
    }

    fn clear(&mut self, expected: Option<u64>) -> SaveOutcome {
        match self.find(expected) {
            Ok(found) => self.remove(found),
            Err(outcome) => outcome,
        }
    }
}

/// Whatever tokens an answer of at most 1 MiB may hold, and however JSON spells them, the record is smaller.
const LARGEST: u64 = 16 * 1024 * 1024;

/// What there is to replace or to remove.
#[derive(Clone, Copy, PartialEq)]
enum Found {
    Nothing,
    Record,
    Damaged,
}

impl<D: Disk> LockedFile<D> {
    fn read(&self) -> LoadOutcome {
        let path = &self.files.record;
        let file = match open_private(path, disk::private_options().read(true)) {
            Ok(Some(file)) => file,
            Ok(None) => return LoadOutcome::Nothing,
            Err(error) => return LoadOutcome::Failed(error),
        };
        // Enough from the beginning, because a buffer that grows leaves copies behind.
        let length = file.metadata().map_or(0, |found| found.len().min(LARGEST));
        let mut json = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 64));
        if let Err(error) = file.take(LARGEST + 1).read_to_end(&mut json) {
            return LoadOutcome::Failed(failed("read", path, error));
        }
        let text = std::str::from_utf8(&json).ok().filter(|json| json.len() as u64 <= LARGEST);
        match text.map(LoadOutcome::from_json) {
            Some(LoadOutcome::Failed(error)) => {
                LoadOutcome::Failed(Error::settings(format!("`{}`: {error}", shown(path))))
            }
            Some(LoadOutcome::Record(record)) => LoadOutcome::Record(record),
            Some(LoadOutcome::Damaged(_) | LoadOutcome::Nothing) | None => LoadOutcome::Damaged(self.damaged()),
        }
    }

    fn damaged(&self) -> Error {
        Error::settings(format!(
            "the session's file `{}` is damaged: restore it, or sign in again, which sets it aside as `{}`",
            shown(&self.files.record),
            shown(&self.files.aside()),
        ))
    }

    /// What is there, if it is what was expected.
    fn find(&mut self, expected: Option<u64>) -> Result<Found, SaveOutcome> {
        // Somebody removed the lock file, so that others can have the lock too: the caller begins again.
        if !self.lock.is_held(&self.files.lock) {
            return Err(SaveOutcome::Conflict);
        }
        match (self.read(), expected) {
            (LoadOutcome::Record(record), Some(generation)) if record.generation() == generation => Ok(Found::Record),
            (LoadOutcome::Nothing, None) => Ok(Found::Nothing),
            (LoadOutcome::Damaged(_), None) => Ok(Found::Damaged),
            (LoadOutcome::Failed(error), _) => Err(SaveOutcome::Failed(error)),
            _ => Err(SaveOutcome::Conflict),
        }
    }

    fn replace(&mut self, json: &[u8], found: Found) -> SaveOutcome {
        self.sweep();
        let temporary = self.files.new_temporary();
        let ready = self.write(&temporary, json).and_then(|()| match found {
            Found::Damaged => self.set_aside(),
            Found::Nothing | Found::Record => Ok(()),
        });
        if let Err(error) = ready {
            let _ = self.disk.remove(&temporary);
            return SaveOutcome::Failed(error);
        }
        if let Err(error) = self.disk.rename(&temporary, &self.files.record) {
            let error = failed("replace", &self.files.record, error);
            // A server of files may have done it and lost the answer.
            if self.disk.remove(&temporary).is_err() {
                self.unsynced = true;
                return SaveOutcome::Unknown(error);
            }
            return SaveOutcome::Failed(error);
        }
        self.changed()
    }

    fn write(&self, temporary: &Path, json: &[u8]) -> Result<(), Error> {
        let mut file = self.disk.create(temporary).map_err(|error| failed("create", temporary, error))?;
        let written = self.disk.write(&mut file, json).and_then(|()| self.disk.sync(&file));
        written.map_err(|error| failed("write", temporary, error))
    }

    /// Gives the damaged file a second name, under which it stays when the first one becomes another's.
    fn set_aside(&self) -> Result<(), Error> {
        let (record, aside) = (&self.files.record, self.files.aside());
        self.disk.link(record, &aside).map_err(|error| failed("set the damaged file aside as", &aside, error))?;
        self.disk.sync_folder(&self.files.folder).map_err(|error| failed("write", &self.files.folder, error))
    }

    fn remove(&mut self, found: Found) -> SaveOutcome {
        self.sweep();
        if found == Found::Nothing {
            return SaveOutcome::Saved;
        }
        match self.disk.remove(&self.files.record) {
            Ok(()) => self.changed(),
            Err(error) => SaveOutcome::Failed(failed("remove", &self.files.record, error)),
        }
    }

    /// The folder was changed, and the change has to become durable.
    fn changed(&mut self) -> SaveOutcome {
        self.unsynced = true;
        match self.sync_folder() {
            Ok(()) => SaveOutcome::Saved,
            Err(error) => SaveOutcome::Unknown(error),
        }
    }

    fn sync_folder(&mut self) -> Result<(), Error> {
        if self.unsynced {
            let folder = &self.files.folder;
            self.disk.sync_folder(folder).map_err(|error| failed("write durably in", folder, error))?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Removes what processes that died in a save left, tokens included. Under the lock no other one writes.
    fn sweep(&mut self) {
        if std::mem::replace(&mut self.swept, true) {
            return;
        }
        // What cannot be removed now is no reason not to save.
        let Ok(entries) = fs::read_dir(&self.files.folder) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(&self.files.temporary)) {
                let _ = self.disk.remove(&entry.path());
            }
        }
    }
}
