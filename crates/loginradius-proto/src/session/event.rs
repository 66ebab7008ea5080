use crate::error::Error;

/// What happened to a session, for a log or to show the user. No event shows a secret.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SessionEvent {
    /// A login was started whose tokens are stored now, or were already.
    SignedIn,
    /// The session was refreshed, and the new tokens were stored.
    Rotated,
    /// The record holds other tokens than this process knew, by a refresh or a login elsewhere: they are used from now
    /// on.
    #[non_exhaustive]
    Adopted {
        /// Whether they come from another login, and so perhaps from another user.
        other_login: bool,
    },
    /// A request failed. This flow or a later one may send it again.
    #[non_exhaustive]
    Retried {
        /// What went wrong.
        error: Error,
    },
    /// New tokens could not be stored: they are in this process alone, until [`Saved`](Self::Saved), or until others
    /// take their place.
    #[non_exhaustive]
    Unsaved {
        /// Why.
        error: Error,
    },
    /// Tokens that were in this process alone are stored now.
    Saved,
    /// The session has ended.
    #[non_exhaustive]
    SignedOut {
        /// Why, if this process did not ask for it.
        error: Option<Error>,
    },
}
