//! Opens files to which no other user has access, and creates the errors for what fails.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::Path;

use loginradius_proto::Error;

use super::access::{Access, denied};
use super::mount::file_system;
use super::retry::retried;
use super::text::printable;

/// Opens a file to read it, if no other user has access to it. Returns `None` if there is none.
pub(super) fn open_to_read(path: &Path, access: Access) -> Result<Option<File>, Error> {
    let Some(file) = open(path, private_options().read(true))? else { return Ok(None) };
    check(path, &file, access)?;
    Ok(Some(file))
}

/// Opens a file to lock and write it, if no other user has access to it. Returns `None` if there is none and `create`
/// is `false`, or if it is removed in between.
pub(super) fn open_to_lock(path: &Path, create: bool, access: Access) -> Result<Option<File>, Error> {
    let mut options = private_options();
    options.read(true).write(true).create(create).truncate(false);
    let Some(file) = open(path, &options)? else { return Ok(None) };
    access.grant(&file);
    check(path, &file, access)?;
    Ok(Some(file))
}

/// Creates a file. Where the file system has modes, no other user has access to it.
pub(super) fn create(path: &Path, access: Access) -> io::Result<File> {
    let file = retried(|| private_options().read(true).write(true).create_new(true).open(path))?;
    access.grant(&file);
    Ok(file)
}

fn open(path: &Path, options: &OpenOptions) -> Result<Option<File>, Error> {
    match retried(|| options.open(path)) {
        Ok(file) => Ok(Some(file)),
        // The codes for links, folders and sockets differ from system to system.
        Err(error) => match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => Err(not_a_file(path, &found)),
            _ if error.kind() == ErrorKind::NotFound => match find_folder(path.parent()) {
                Ok(true) => Ok(None),
                Ok(false) => Err(failed("open", path, error)),
                Err(error) => Err(failed("open", path, error)),
            },
            _ => Err(failed("open", path, error)),
        },
    }
}

fn check(path: &Path, file: &File, access: Access) -> Result<(), Error> {
    let found = retried(|| file.metadata()).map_err(|error| failed("read", path, error))?;
    if !found.is_file() {
        return Err(not_a_file(path, &found));
    }
    access.check_file(path, &found)
}

/// Returns the options for files that are private to their owner from the first moment on.
///
/// A symbolic link is not followed, and opening a named pipe does not wait for its other end.
#[cfg(unix)]
pub(super) fn private_options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

#[cfg(not(unix))]
pub(super) fn private_options() -> OpenOptions {
    OpenOptions::new()
}

/// Returns whether there is a folder. An error means that this cannot be seen.
fn find_folder(path: Option<&Path>) -> io::Result<bool> {
    let Some(path) = path else { return Ok(false) };
    match retried(|| fs::metadata(path)) {
        Ok(found) => Ok(found.is_dir()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn not_a_file(path: &Path, found: &fs::Metadata) -> Error {
    let what = match found.file_type() {
        kind if kind.is_symlink() => "a symbolic link, and is not followed",
        kind if kind.is_dir() => "a folder",
        _ => "not a regular file",
    };
    Error::store_refused(format!("`{}` should be a session's file and is {what}: move it away", printable(path)))
}

/// Creates the error for an operation on a path that failed: the user has to fix it, or another try may succeed.
pub(super) fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    let line = |why: &str| format!("cannot {what} `{}`: {why}", printable(path));
    match error.kind() {
        ErrorKind::NotFound => Error::store_refused(line(
            "it or the folder above it does not exist: create the folder, or mount the disk that it is on",
        )),
        ErrorKind::NotADirectory => {
            Error::store_refused(line("there is a file where a folder should be: choose another folder"))
        }
        ErrorKind::PermissionDenied => Error::store_refused(line(&denied(path))),
        ErrorKind::ReadOnlyFilesystem => Error::store_refused(line(&format!(
            "the file system is read-only: choose a folder that can be written, or make {} writable",
            file_system(path),
        ))),
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename => {
            Error::store_refused(line(&format!("{error}: choose another folder")))
        }
        ErrorKind::Unsupported => {
            Error::store_refused(line("the file system cannot do that: choose a folder on a local disk"))
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Error::unavailable(line("the disk is full, or the quota is used up: make room and try again"), error)
        }
        _ if is_link_loop(&error) => {
            Error::store_refused(line("its symbolic links lead in a circle: choose another folder"))
        }
        _ if is_out_of_files(&error) => {
            Error::unavailable(line("too many files are open: close some, or raise the limit (`ulimit -n`)"), error)
        }
        ErrorKind::FileTooLarge => Error::unavailable(
            line("the file would be larger than this program may write: raise the limit (`ulimit -f`)"),
            error,
        ),
        _ if is_gone(&error) => Error::unavailable(
            line(&format!("the disk or the file server does not respond, {error}: mount it again, or try again later")),
            error,
        ),
        _ => Error::unavailable(line(&format!("the disk or the system failed, {error}: try again later")), error),
    }
}

/// Returns whether the process, or the machine, has as many files open as it may have.
fn is_out_of_files(error: &io::Error) -> bool {
    #[cfg(unix)]
    if let Some(errno) = rustix::io::Errno::from_io_error(error) {
        return [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].contains(&errno);
    }
    // ERROR_TOO_MANY_OPEN_FILES
    cfg!(windows) && error.raw_os_error() == Some(4)
}

/// Returns whether what the file system is on was unplugged, cannot be reached, or has ended (FUSE).
fn is_gone(error: &io::Error) -> bool {
    #[cfg(unix)]
    if let Some(errno) = rustix::io::Errno::from_io_error(error) {
        use rustix::io::Errno;
        return [Errno::NODEV, Errno::NXIO, Errno::NOTCONN, Errno::HOSTDOWN, Errno::TIMEDOUT].contains(&errno);
    }
    // ERROR_NOT_READY, ERROR_DEV_NOT_EXIST
    cfg!(windows) && matches!(error.raw_os_error(), Some(21 | 55))
}

/// Returns whether the error means that the file system can never do that.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    #[cfg(unix)]
    if let Some(errno) = rustix::io::Errno::from_io_error(error) {
        use rustix::io::Errno;
        return [Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::INVAL, Errno::NOTTY].contains(&errno);
    }
    error.kind() == ErrorKind::Unsupported
}

/// Returns whether symbolic links lead in a circle. The standard library has no stable name for that error.
#[cfg(unix)]
fn is_link_loop(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
}

#[cfg(not(unix))]
fn is_link_loop(_error: &io::Error) -> bool {
    false
}

/// Draws a number for the name of a file. It need not be secret: a name that is taken is noticed.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
