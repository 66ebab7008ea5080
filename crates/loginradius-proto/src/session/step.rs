use std::time::Instant;

use http::{Request, Response};

use super::event::SessionEvent;
use super::memory::SessionMemory;
use super::record::{LoadOutcome, SaveOutcome, SessionRecord};
use crate::body::Body;
use crate::error::Error;
use crate::flow::SendOptions;
use crate::redacted::redacted;
use crate::secret::AccessToken;

/// What a [`SessionFlow`](super::SessionFlow) asks for.
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "a driver has to handle every step there is")]
#[allow(clippy::large_enum_variant, reason = "a step is taken apart at once, and a box is an allocation")]
pub enum SessionStep {
    /// Try to take the lock on this session's name, without waiting: [`SessionInput::Locked`].
    Lock,
    /// Load the record: [`SessionInput::Loaded`].
    Load,
    /// Send this request, once: [`SessionInput::Answered`].
    Send {
        /// What to send. `http::Request` prints its whole URI: log it by [`redacted`](crate::redacted).
        request: Request<Body>,
        /// Until when, and over which connection.
        options: SendOptions,
    },
    /// Nothing to do before this instant, unless an answer arrives.
    Wait(Instant),
    /// Save the record durably, if the stored one has the expected generation (`None`: if there is none, or
    /// a damaged one, which is set aside): [`SessionInput::Saved`].
    Save {
        /// What to save.
        record: SessionRecord,
        /// The generation of the record that it replaces.
        expected: Option<u64>,
    },
    /// Remove the record, if it has the expected generation (`None`: if it is damaged): [`SessionInput::Saved`].
    Clear {
        /// The generation of the record that is removed.
        expected: Option<u64>,
    },
    /// Give the lock back: [`SessionInput::Unlocked`].
    Unlock,
    /// The end. Said once; after that the result is [`ErrorKind::Finished`](crate::ErrorKind::Finished).
    Done(SessionEnd),
}

/// The outcome of a [`SessionStep`].
#[allow(clippy::exhaustive_enums, reason = "a driver and a flow agree on every outcome there is")]
#[allow(clippy::large_enum_variant, reason = "an input is taken apart at once")]
pub enum SessionInput {
    /// Of [`SessionStep::Lock`]: taken, or held by another (`false`), or an error.
    Locked(Result<bool, Error>),
    /// Of [`SessionStep::Load`].
    Loaded(LoadOutcome),
    /// Of [`SessionStep::Send`]: the answer at any HTTP status, or [`Error::not_sent`] or [`Error::lost`].
    Answered(Result<Response<Body>, Error>),
    /// Of [`SessionStep::Save`] and [`SessionStep::Clear`].
    Saved(SaveOutcome),
    /// Of [`SessionStep::Unlock`]. A lock that cannot be given back frees itself with its process or lease.
    Unlocked,
}

/// What a [`SessionFlow`](super::SessionFlow) leaves.
#[derive(Debug)]
#[non_exhaustive]
pub struct SessionEnd {
    /// What the next flow of this session, in this process, has to know. If it
    /// [keeps the lock](SessionMemory::keeps_lock), the lock was not given back, and must not be until a
    /// later flow says [`SessionStep::Unlock`].
    pub memory: SessionMemory,
    /// The token that is good now; `None` after signing in, signing out and forgetting.
    pub result: Result<Option<AccessToken>, Error>,
    /// What happened, in order.
    pub events: Vec<SessionEvent>,
}

// By hand, like `Step`'s: `http::Request` prints its URI.
impl std::fmt::Debug for SessionStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lock => f.write_str("Lock"),
            Self::Load => f.write_str("Load"),
            Self::Send { request, options } => f
                .debug_struct("Send")
                .field("request", &format_args!("{}", redacted(request)))
                .field("options", options)
                .finish(),
            Self::Wait(until) => f.debug_tuple("Wait").field(until).finish(),
            Self::Save { record, expected } => {
                f.debug_struct("Save").field("record", record).field("expected", expected).finish()
            }
            Self::Clear { expected } => f.debug_struct("Clear").field("expected", expected).finish(),
            Self::Unlock => f.write_str("Unlock"),
            Self::Done(end) => f.debug_tuple("Done").field(end).finish(),
        }
    }
}
