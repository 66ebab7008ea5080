use crate::error::Error;

/// What happened to a session, for a log or a page of the user's. None shows a secret.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The tokens of a sign-in were stored.
    SignedIn,
    /// The session was refreshed, and the new tokens were stored.
    Rotated,
    /// Another process has refreshed the session, or signed in, and its tokens are used from now on.
    #[non_exhaustive]
    Adopted {
        /// Whether they come from another sign-in, and so perhaps from another person.
        other_sign_in: bool,
    },
    /// A request failed; it is or will be tried again.
    #[non_exhaustive]
    Retried {
        /// What went wrong.
        error: Error,
    },
    /// New tokens could not be stored: they are in this process alone, until [`Saved`](Self::Saved).
    #[non_exhaustive]
    Unsaved {
        /// Why.
        error: Error,
    },
    /// Tokens that were in this process alone are stored now.
    Saved,
    /// The session is over.
    #[non_exhaustive]
    SignedOut {
        /// Why, if that was not asked for here.
        error: Option<Error>,
    },
}
