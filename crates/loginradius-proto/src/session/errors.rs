//! The errors that a session makes itself: in one line each, what failed, the cause if known, and what to do.

use crate::error::{Error, ErrorKind};

pub(super) fn lock_taken() -> Error {
    unavailable("another process has the session's lock, for a refresh or for unsaved tokens: try again later")
}

pub(super) fn aborted() -> Error {
    unavailable("the session's flow was aborted, because its thread panicked or its task was dropped: try again")
}

pub(super) fn changed_by_others() -> Error {
    unavailable("other processes keep changing the session: try again later")
}

pub(super) fn stood_still() -> Error {
    unavailable(
        "this process, or its network, stood still each time before a request was sent, so that another process may \
         have the session's lock: try again",
    )
}

pub(super) fn too_short() -> Error {
    unavailable("the access token's lifetime ended before it could be used: try again")
}

pub(super) fn no_access_token() -> Error {
    Error::configuration("the access token is empty: start a session with the tokens of a login")
}

pub(super) fn too_long() -> Error {
    Error::configuration(
        "the tokens together are longer than 1 MiB, which is too long for a session: request shorter ones",
    )
}

pub(super) fn no_refresh_token(from_the_future: bool) -> Error {
    if from_the_future {
        return unavailable(
            "by this machine's clock, the access token was issued in the future, and the session has no refresh token: \
             correct the clock",
        );
    }
    let message = "the access token is no longer valid, and the session has no refresh token: sign in again";
    Error::new(ErrorKind::SignInRequired, message)
}

pub(super) fn other_client(stored: &str, own: &str) -> Error {
    Error::configuration(format!(
        "the stored session belongs to the client id `{}`, not to `{}`: use another name or another store",
        printable(stored, 200),
        printable(own, 200),
    ))
}

/// Makes a text from a store fit for an error of one line.
pub(super) fn printable(text: &str, max_length: usize) -> String {
    text.chars().take(max_length).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn unavailable(message: &str) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}
