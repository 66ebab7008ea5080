use std::sync::Arc;

use loginradius_proto::session::{SessionEnd, SessionFlow};

use super::drive::drive;
use super::runtime::{OutcomeCell, Runtime};
use super::session::Session;
use crate::store::AsyncSessionLock;

/// Drives a leader's flow to its end, gives its callers the outcome, and then delivers the events.
pub(super) async fn run<R: Runtime>(mut leader: Leader<R>, flow: SessionFlow) {
    let session = Arc::clone(&leader.session);
    let sessions = &*session.sessions;
    let end = drive(flow, &*sessions.store, &session.name, &mut leader.lock, &sessions.runtime).await;
    leader.settle(Some(end));
    session.deliver_events();
}

/// The right to run the flow in flight. If it is dropped before the end of the flow, it aborts the flow.
pub(super) struct Leader<R: Runtime> {
    session: Arc<Session<R>>,
    lock: Option<Box<dyn AsyncSessionLock>>,
    settled: bool,
}

impl<R: Runtime> Leader<R> {
    pub(super) fn new(session: &Arc<Session<R>>, lock: Option<Box<dyn AsyncSessionLock>>) -> Self {
        Self { session: Arc::clone(session), lock, settled: false }
    }

    /// Gives the callers the outcome of the flow; without an end it was aborted.
    fn settle(&mut self, end: Option<SessionEnd>) {
        self.settled = true;
        let mut lock = self.lock.take();
        let mut state = self.session.state();
        let outcome = match end {
            Some(end) => state.coordinator.complete(end),
            None => state.coordinator.abort(lock.is_some()),
        };
        if state.coordinator.retains_lock() {
            state.lock = lock.take();
        }
        self.session.publish(&state);
        self.session.retain(&state);
        let cell = std::mem::take(&mut state.outcome);
        drop(state);
        // Before a caller learns the outcome, and may want the lock.
        drop(lock);
        cell.set(outcome);
    }
}

impl<R: Runtime> Drop for Leader<R> {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(None);
        }
    }
}
