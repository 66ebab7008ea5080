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

    /// Runs a flow to its end, in a task or a thread of its own: the flow has to continue when its caller stops
    /// waiting. A flow that is dropped, or that panics, is aborted: its waiters get an error, and the next caller leads
    /// another flow.
    ///
    /// When the program drops its last handle of the sessions, the drop blocks its thread until the outcome of each
    /// request that was sent is saved. So a flow must be able to continue without any thread of the program.
    ///
    /// # Errors
    ///
    /// If the flow cannot be run: the caller gets that error, and the flow is aborted.
    fn lead(&self, flow: impl Future<Output = ()> + Send + 'static) -> Result<(), Error>;

    /// Returns whether flows stand still while this thread is blocked. Then the last handle is dropped there without
    /// waiting. It need not know of flows and callbacks that this thread is running: those are known.
    fn needs_this_thread(&self) -> bool {
        false
    }

    /// Runs the delivery of events, which calls the program's callback and may block. By default it runs at once, on
    /// this thread.
    fn deliver(&self, events: impl FnOnce() + Send + 'static) {
        events();
    }

    /// Waits for the outcome in that cell, and returns it at once if it is set already. Returns `None` if it is not set
    /// by the deadline.
    fn wait(&self, cell: &Self::OutcomeCell, deadline: Instant) -> impl Future<Output = Option<SessionOutcome>> + Send;
}

/// A cell for the outcome of one flow, for its callers to wait for. Clones share it.
pub trait OutcomeCell: Clone + Default + Send + Sync + 'static {
    /// Sets the outcome, once, and wakes all waiters.
    fn set(&self, outcome: SessionOutcome);
}
