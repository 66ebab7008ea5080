//! Files and folders of one user alone, and the errors for what is wrong with them.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::Path;

use loginradius_proto::Error;

use super::retry::retried;

/// Opens a regular file that no other user can read or write. Returns `None` if there is none.
pub(super) fn open_private(path: &Path, options: &OpenOptions) -> Result<Option<File>, Error> {
    let file = match retried(|| options.open(path)) {
        Ok(file) => file,
        // The codes for links, folders and sockets differ from system to system.
        Err(error) => match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => return Err(not_a_file(path, &found)),
            _ if error.kind() == ErrorKind::NotFound && is_folder(path.parent()) => return Ok(None),
            _ => return Err(failed("open", path, error)),
        },
    };
    let found = file.metadata().map_err(|error| failed("read", path, error))?;
    if !found.is_file() {
        return Err(not_a_file(path, &found));
    }
    check_owner(path, &found, 0o077, "600")?;
    Ok(Some(file))
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

fn is_folder(path: Option<&Path>) -> bool {
    path.is_some_and(Path::is_dir)
}

fn not_a_file(path: &Path, found: &fs::Metadata) -> Error {
    let what = match found.file_type() {
        kind if kind.is_symlink() => "a symbolic link, and is not followed",
        kind if kind.is_dir() => "a folder",
        _ => "no regular file",
    };
    Error::store_refused(format!("`{}` should be a session's file and is {what}: move it away", printable(path)))
}

/// Refuses what belongs to another user or has one of the forbidden permissions.
#[cfg(unix)]
pub(super) fn check_owner(path: &Path, found: &fs::Metadata, forbidden: u32, mode: &str) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;

    let me = rustix::process::geteuid().as_raw();
    if found.uid() != me {
        return Err(Error::store_refused(format!(
            "`{}` belongs to user {} and this program runs as user {me}: run it as that user, or choose a folder of \
             your own",
            printable(path),
            found.uid(),
        )));
    }
    if found.mode() & forbidden != 0 {
        return Err(Error::store_refused(format!(
            "`{}` can be accessed by other users (mode {:04o}): run `chmod {mode} {}`",
            printable(path),
            found.mode() & 0o7777,
            quoted(path),
        )));
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn check_owner(_path: &Path, _found: &fs::Metadata, _forbidden: u32, _mode: &str) -> Result<(), Error> {
    Ok(())
}

/// Creates the error for an operation on a path that failed: the user has to fix it, or another try may succeed.
pub(super) fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    let line = |why: &str| format!("cannot {what} `{}`: {why}", printable(path));
    match error.kind() {
        ErrorKind::NotFound => Error::store_refused(line("it or its folder does not exist: create the folder")),
        ErrorKind::NotADirectory => {
            Error::store_refused(line("there is a file where a folder should be: choose another folder"))
        }
        ErrorKind::PermissionDenied => Error::store_refused(line(
            "permission denied: let this user read and write there, or choose another folder",
        )),
        ErrorKind::ReadOnlyFilesystem => {
            Error::store_refused(line("the file system is read-only: choose a folder that can be written"))
        }
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename => {
            Error::store_refused(line(&format!("{error}: choose another folder")))
        }
        ErrorKind::Unsupported => {
            Error::store_refused(line("the file system cannot do that: choose a folder on a local disk"))
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Error::unavailable(line("the disk is full, or the quota used up: make room and try again"), error)
        }
        _ => Error::unavailable(line("the disk or the system failed: try again later"), error),
    }
}

/// Returns whether the file system will never do that.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    #[cfg(unix)]
    if let Some(errno) = rustix::io::Errno::from_io_error(error) {
        use rustix::io::Errno;
        return [Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::INVAL, Errno::NOTTY].contains(&errno);
    }
    error.kind() == ErrorKind::Unsupported
}

/// Makes a path fit for an error's line.
pub(super) fn printable(path: &Path) -> String {
    let printable =
        |letter: char| if letter.is_control() { letter.escape_default().to_string() } else { letter.into() };
    path.to_string_lossy().chars().map(printable).collect()
}

/// Makes a path an argument of a shell, on one line.
#[cfg(unix)]
pub(super) fn quoted(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt;

    if let Some(text) = path.to_str().filter(|text| !text.contains(char::is_control)) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    path.as_os_str().as_bytes().iter().fold(String::from("$'"), |mut text, byte| {
        let _ = match byte {
            b'\'' | b'\\' => write!(text, "\\{}", char::from(*byte)),
            b' '..=b'~' => write!(text, "{}", char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}"),
        };
        text
    }) + "'"
}

/// Draws a number for the name of a file. It need not be secret: a name that is taken is noticed.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
