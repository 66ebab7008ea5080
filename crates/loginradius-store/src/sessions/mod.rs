//! Sessions of one process: what the adapters share, and what a transport of your own needs.
//!
//! | to | take |
//! | --- | --- |
//! | sign in from a program | `Sessions` of `loginradius-blocking` or `loginradius-async`, not this module |
//! | drive one [`SessionFlow`](loginradius_proto::session::SessionFlow) over a transport of your own | [`drive`] |
//! | share sessions among the threads or tasks of a process, over a transport of your own | [`SharedSessions`], for a [`Runtime`] |
//!
//! The decisions are made in the core. A flow says in which order the lock is taken, the record loaded and saved, and
//! the request sent; a [`Coordinator`](loginradius_proto::session::Coordinator) says which caller leads a flow, and
//! which callers share its outcome. This module decides only how long a caller waits for an outcome
//! ([`SharedSession::within`]).

mod clock;
mod drive;
mod leader;
#[cfg(test)]
mod lease_tests;
mod listed;
mod runtime;
mod session;
mod settings;
mod shared;
mod stakes;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod within_tests;

pub use drive::{Transport, drive};
pub use listed::Purged;
pub use runtime::{OutcomeCell, Runtime};
pub use settings::{OnEvent, SessionSettings};
pub use shared::{SharedSession, SharedSessions};
