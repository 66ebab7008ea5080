use std::time::Instant;

use loginradius_proto::session::SessionOutcome;
use loginradius_proto::{App, Error};

use super::drive::Transport;

/// What [`SharedSessions`](super::SharedSessions) need of a client: its app and its transport, where flows run, and how
/// callers wait for their outcome.
pub trait Runtime: Transport + 'static {
    /// How the outcome of a flow reaches its callers.
    type OutcomeCell: OutcomeCell;

    /// Returns the app whose sessions these are.
    fn app(&self) -> &App;

    /// Runs a flow to its end: in place, or in a task of its own, which outlives the future of its caller.
    ///
    /// With a deadline, the caller stops waiting at that instant, and the flow must not stop with it: run it elsewhere
    /// then, and not in place.
    ///
    /// If the flow panics or is dropped before its end, it is aborted: its waiters get an error, and the next caller
    /// leads another flow.
    ///
    /// # Errors
    ///
    /// If it cannot run, the error for this caller.
    fn lead(&self, flow: impl Future<Output = ()> + Send + 'static, deadline: Option<Instant>) -> Result<(), Error>;
}

/// Holds the outcome of one flow as soon as it is known. Clones share it.
pub trait OutcomeCell: Clone + Default + Send + Sync + 'static {
    /// Sets the outcome, once, and wakes all waiters.
    fn set(&self, outcome: SessionOutcome);

    /// Waits for the outcome, or returns it at once if it is set. Returns `None` if the deadline comes first.
    fn wait(&self, deadline: Option<Instant>) -> impl Future<Output = Option<SessionOutcome>> + Send;
}
