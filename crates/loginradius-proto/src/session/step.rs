use std::fmt;
use std::time::Instant;

use http::{Request, Response};

use super::event::SessionEvent;
use super::memory::SessionMemory;
use super::stored::{Expected, LoadError, SaveError, StoredRecord};
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
    /// Read the record although another holder has the lock: [`SessionInput::Peeked`]. The flow looks for a valid token
    /// there, and neither sends nor saves by what it finds.
    Peek,
    /// Load the record: [`SessionInput::Loaded`].
    Load,
    /// Send this request, once: [`SessionInput::Responded`]; or [`SessionInput::LockLapsed`] if the lock is not
    /// certainly held any more.
    Send {
        /// The request.
        request: Request<Body>,
        /// Until when to wait for the response, and whether to open a new connection.
        options: SendOptions,
    },
    /// Nothing to do before this instant, unless a response arrives.
    Wait(Instant),
    /// Save the record durably, if the store holds what is expected: [`SessionInput::Saved`].
    Save {
        /// What to save.
        record: StoredRecord,
        /// What it replaces.
        expected: Expected,
    },
    /// Remove the record, if the store holds what is expected: [`SessionInput::Saved`].
    Clear {
        /// What is removed.
        expected: Expected,
    },
    /// Release the lock: [`SessionInput::Unlocked`].
    Unlock,
    /// The end. It is returned once; after that its result fails with
    /// [`ErrorKind::AlreadyCompleted`](crate::ErrorKind::AlreadyCompleted).
    Done(SessionEnd),
}

/// The outcome of a [`SessionStep`].
#[allow(clippy::exhaustive_enums, reason = "a driver and a flow agree on every outcome there is")]
#[allow(clippy::large_enum_variant, reason = "an input is taken apart at once")]
pub enum SessionInput {
    /// Of [`SessionStep::Lock`]: `true` if it is held now, `false` if another holder has it, or an error.
    Locked(Result<bool, Error>),
    /// Of [`SessionStep::Peek`]: the record, or `None` if there is none or the store cannot read it without the lock.
    Peeked(Option<StoredRecord>),
    /// Of [`SessionStep::Load`]: the record, if there is one.
    Loaded(Result<Option<StoredRecord>, LoadError>),
    /// Of [`SessionStep::Send`]: the response at any HTTP status, or [`Error::not_sent`] or [`Error::outcome_unknown`].
    Responded(Result<Response<Body>, Error>),
    /// Of [`SessionStep::Send`]: the request was not sent, because the lock was not certainly held any more.
    LockLapsed,
    /// Of [`SessionStep::Save`] and [`SessionStep::Clear`].
    Saved(Result<(), SaveError>),
    /// Of [`SessionStep::Unlock`]. A lock that cannot be released ends with its process or its lease.
    Unlocked,
}

/// What a [`SessionFlow`](super::SessionFlow) leaves.
#[derive(Debug)]
#[non_exhaustive]
pub struct SessionEnd {
    /// What the next flow of this session in this process has to know. If it
    /// [retains the lock](SessionMemory::retains_lock), the lock was not released, and must stay held until a later
    /// flow returns [`SessionStep::Unlock`].
    pub memory: SessionMemory,
    /// A valid access token after a refresh; `None` after a start, a sign-out or a forget.
    pub result: Result<Option<AccessToken>, Error>,
    /// What happened, in order.
    pub events: Vec<SessionEvent>,
}

// By hand: the headers of a response may hold a cookie.
impl fmt::Debug for SessionInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(outcome) => f.debug_tuple("Locked").field(outcome).finish(),
            Self::Peeked(outcome) => f.debug_tuple("Peeked").field(outcome).finish(),
            Self::Loaded(outcome) => f.debug_tuple("Loaded").field(outcome).finish(),
            Self::Responded(Ok(response)) => write!(f, "Responded({})", response.status()),
            Self::Responded(Err(error)) => f.debug_tuple("Responded").field(error).finish(),
            Self::LockLapsed => f.write_str("LockLapsed"),
            Self::Saved(outcome) => f.debug_tuple("Saved").field(outcome).finish(),
            Self::Unlocked => f.write_str("Unlocked"),
        }
    }
}

// By hand, like `Step`'s: `http::Request` prints its URI.
impl fmt::Debug for SessionStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock => f.write_str("Lock"),
            Self::Peek => f.write_str("Peek"),
            Self::Load => f.write_str("Load"),
            Self::Send { request, .. } => write!(f, "Send({})", redacted(request)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::SendOptions;
    use crate::testing::{now, response};

    #[test]
    fn debug_names_each_step_and_input_without_what_they_carry() {
        let mut request = Request::get("https://api.example/path?token=t0k3n").body(Body::default()).unwrap();
        request.headers_mut().insert("cookie", "t0k3n".parse().unwrap());
        let mut responded = response(204, "t0k3n");
        responded.headers_mut().insert("set-cookie", "t0k3n".parse().unwrap());
        let (record, expected) = (StoredRecord::new(7, *b"t0k3n"), Expected::Generation(6));
        let saved = r#"Save { record: StoredRecord { generation: 7, bytes: 5 }, expected: Generation(6) }"#;
        let steps = [
            (SessionStep::Lock, "Lock"),
            (SessionStep::Peek, "Peek"),
            (SessionStep::Load, "Load"),
            (
                SessionStep::Send { request, options: SendOptions::new(now().monotonic) },
                "Send(GET https://api.example/path)",
            ),
            (SessionStep::Save { record: record.clone(), expected }, saved),
            (SessionStep::Clear { expected }, "Clear { expected: Generation(6) }"),
            (SessionStep::Unlock, "Unlock"),
        ];
        for (step, expected) in steps {
            assert_eq!(format!("{step:?}"), expected);
        }
        let inputs = [
            (SessionInput::Locked(Ok(true)), "Locked(Ok(true))"),
            (SessionInput::Peeked(Some(record.clone())), "Peeked(Some(StoredRecord { generation: 7, bytes: 5 }))"),
            (SessionInput::Loaded(Ok(Some(record))), "Loaded(Ok(Some(StoredRecord { generation: 7, bytes: 5 })))"),
            (SessionInput::Responded(Ok(responded)), "Responded(204 No Content)"),
            (SessionInput::LockLapsed, "LockLapsed"),
            (SessionInput::Saved(Err(SaveError::Conflict)), "Saved(Err(Conflict))"),
            (SessionInput::Unlocked, "Unlocked"),
        ];
        for (input, expected) in inputs {
            assert_eq!(format!("{input:?}"), expected);
        }
    }
}
