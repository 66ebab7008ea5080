use std::fmt;

use crate::error::Error;

/// What happened to a session, for a log or to show the user. No event shows a secret.
///
/// Each variant says when it comes, and what to do then. Events come after the fact: the flow has ended, and its
/// callers have their results.
///
/// ```
/// use loginradius_proto::session::SessionEvent;
///
/// assert_eq!(SessionEvent::Refreshed.as_str(), "refreshed");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SessionEvent {
    /// A session was started: the login's tokens are stored now, or were stored already. There is nothing to do.
    Started,
    /// The session was refreshed, and the new tokens were stored. There is nothing to do.
    Refreshed,
    /// The session continues with stored tokens that this process did not obtain: this is called adoption. It comes
    /// when a flow loads other tokens than those that this process knew. The reason says what to do.
    #[non_exhaustive]
    Adopted {
        /// Where they come from.
        reason: AdoptionReason,
    },
    /// A request to refresh or to sign out failed, or its response could not be read whole. This flow or a later one
    /// sends it again if that is safe, and the session has not ended. Log it; if it comes again and again, look at the
    /// error's [kind](Error::kind).
    #[non_exhaustive]
    RequestFailed {
        /// What went wrong.
        error: Error,
    },
    /// New tokens could not be stored: they are in this process alone, until [`Saved`](Self::Saved), or until others
    /// replace them. It comes once for these tokens. Repair the store, as the error says, and do not end the process
    /// before they are saved.
    #[non_exhaustive]
    Unsaved {
        /// Why.
        error: Error,
    },
    /// Tokens that were in this process alone are stored now. There is nothing to do.
    Saved,
    /// The session has ended. The reason says whether a new login is needed.
    #[non_exhaustive]
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// Where adopted tokens come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdoptionReason {
    /// Another process has refreshed the same login. There is nothing to do.
    Refreshed,
    /// There was another login, perhaps another user's. Load again what the program shows of the user.
    OtherLogin,
}

/// Why a session has ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum EndReason {
    /// This process signed out, or forgot the session. There is nothing to do.
    SignedOut,
    /// LoginRadius rejected the refresh token, another process signed out, or the record is gone: the error says which.
    /// Begin a new login if the user is to stay signed in.
    SignInRequired(Error),
}

impl SessionEvent {
    /// Returns the event's name in lower snake case, for logs and machine-readable output.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Refreshed => "refreshed",
            Self::Adopted { .. } => "adopted",
            Self::RequestFailed { .. } => "request_failed",
            Self::Unsaved { .. } => "unsaved",
            Self::Saved => "saved",
            Self::Ended { .. } => "ended",
        }
    }

    /// Returns the error that the event is about, if there is one.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::RequestFailed { error }
            | Self::Unsaved { error }
            | Self::Ended { reason: EndReason::SignInRequired(error) } => Some(error),
            _ => None,
        }
    }
}

impl AdoptionReason {
    pub(super) fn of(same_login: bool) -> Self {
        if same_login { Self::Refreshed } else { Self::OtherLogin }
    }
}

impl fmt::Display for SessionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
