//! Repeats calls that a file system or another program refuses for a moment.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::Duration;

/// How often a call is repeated. The first wait is a millisecond, each further one is twice as long: together 0.5 s.
const REPEATS: u32 = 9;

/// Makes a call, and repeats it as long as its failure may pass.
///
/// Virus scanners, indexers and backups open new files, which then cannot be renamed or removed for some milliseconds.
/// File servers forget what a client has open (`ESTALE`), and signals interrupt calls.
pub(super) fn retried<T>(call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    retried_with(thread::sleep, call)
}

/// Does the same, and waits by that function.
pub(super) fn retried_with<T>(
    mut sleep: impl FnMut(Duration),
    mut call: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    for repeat in 0..REPEATS {
        match call() {
            Err(error) if may_pass(&error) => sleep(Duration::from_millis(1 << repeat)),
            outcome => return outcome,
        }
    }
    call()
}

/// Returns whether the same call may succeed soon.
///
/// Windows says *access denied* both for a file that another program has open and for one that is forbidden for good.
fn may_pass(error: &io::Error) -> bool {
    // ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
    if cfg!(windows) && matches!(error.raw_os_error(), Some(32 | 33)) {
        return true;
    }
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::ResourceBusy
            | ErrorKind::ExecutableFileBusy
            | ErrorKind::StaleNetworkFileHandle
            | ErrorKind::Interrupted
            | ErrorKind::WouldBlock
    )
}
