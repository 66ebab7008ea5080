//! Sessions: tokens that are refreshed and kept, across threads, processes and crashes.
//!
//! LoginRadius's refresh tokens rotate and are single use, and a consumed one that is sent again can end the whole
//! session. So a refresh is a transaction: [`SessionFlow`] says in which order the lock is taken, the record loaded and
//! saved, and the request sent. `loginradius-store` keeps the records; the adapters' `Session` drives the flows, and a
//! [`Coordinator`] shares their outcomes among threads and tasks.
//!
//! One loss cannot be prevented: if a process dies, or a response is lost, after LoginRadius consumed a refresh token
//! and before the next one is stored, the session is lost. The
//! [tables of what may go wrong](SessionFlow#when-something-goes-wrong) have each case.
//!
//! # The record
//!
//! A store keeps one [`StoredRecord`] for each session: bytes that it does not read, and a generation that each save
//! compares and changes. The bytes are JSON: the tokens, when they were obtained, their lifetime, the login that they
//! come from, the last 16 logins that were replaced, an open intent, a backoff, and whether the session is being signed
//! out or was rejected. The last member is a checksum of everything before it.
//!
//! Programs of two versions may share a store, as during an upgrade. An *older* program here is one that writes neither
//! a checksum nor a list of replaced logins, and ignores members that it does not know.
//!
//! | record | this program | an older program |
//! | --- | --- | --- |
//! | an older program's | reads it; the next save adds the checksum | reads it |
//! | this program's | reads it | reads it |
//! | this program's, then saved by an older one | reads it; the list of replaced logins is lost | reads it |
//! | intact, with a member, a value or a version of a newer program | leaves it as it is; the error says to update this program | ignores the member; leaves another version as it is |
//! | without a checksum, with an unknown member | damaged | reads it |
//! | without a checksum, of another version | damaged | leaves it as it is |
//! | one bit flipped, anywhere | damaged | accepts four in ten |
//! | cut off, anywhere | damaged | damaged |
//! | with the checksum of another record | damaged | reads it |
//!
//! With a damaged record a flow fails with [`ErrorKind::RecordDamaged`](crate::ErrorKind::RecordDamaged), which says
//! where it is, and with a newer program's record with [`ErrorKind::Configuration`](crate::ErrorKind::Configuration). A
//! damaged record stays until it is restored, forgotten, or replaced by a login, which keeps a copy of it
//! ([`Expected::Damaged`]).
//!
//! A program that lists or cleans up sessions reads a record by [`StoredRecord::summary`], without an app.

mod attempt;
mod backoff;
mod coordinator;
mod digest;
mod errors;
mod event;
mod flow;
mod lock_attempt;
mod memory;
mod now;
mod outcome;
mod policy;
mod record;
mod state;
mod step;
mod stored;
mod summary;
mod suspension;
mod unsaved;

pub use coordinator::{Admission, Coordinator, SessionOutcome, SessionRequest, Sharing};
pub use event::{AdoptionReason, EndReason, SessionEvent};
pub use flow::SessionFlow;
pub use memory::{CachedToken, SessionMemory};
pub use now::Now;
pub use policy::SessionPolicy;
pub use record::SessionStatus;
pub use step::{SessionEnd, SessionInput, SessionStep};
pub use stored::{Expected, LoadError, SaveError, StoredRecord};
pub use summary::RecordSummary;
