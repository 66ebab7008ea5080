use std::time::Instant;

use loginradius_proto::session::SessionOutcome;
use loginradius_proto::{App, Error};

use super::drive::Transport;

/// What [`SharedSessions`](super::SharedSessions) need of a client: its app and its transport, where flows run, and how
/// callers wait for their outcome.
pub trait Runtime: Transport + 'static {
    /// The cell in which the outcome of a flow reaches its callers.
    type OutcomeCell: OutcomeCell;

    /// Returns the app whose sessions these are.
    fn app(&self) -> &App;

    /// Runs a flow to its end: in place, or in a task or thread of its own.
    ///
    /// With a deadline, its caller waits no longer than until that instant, and the flow has to continue: do not run it
    /// in place then. A flow that is dropped, or that panics, is aborted: its waiters get an error, and the next caller
    /// leads another flow.
    ///
    /// # Errors
    ///
    /// If the flow cannot be run: the caller gets that error, and the flow is aborted.
    fn lead(&self, flow: impl Future<Output = ()> + Send + 'static, deadline: Option<Instant>) -> Result<(), Error>;
}

/// A cell for the outcome of one flow, for its callers to wait for. Clones share it.
pub trait OutcomeCell: Clone + Default + Send + Sync + 'static {
    /// Sets the outcome, once, and wakes all waiters.
    fn set(&self, outcome: SessionOutcome);

    /// Waits for the outcome, and returns it at once if it is set already. Returns `None` if it is not set by the
    /// deadline.
    fn wait(&self, deadline: Option<Instant>) -> impl Future<Output = Option<SessionOutcome>> + Send;
}
