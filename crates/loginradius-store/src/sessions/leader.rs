use std::sync::Arc;

use loginradius_proto::session::{SessionEnd, SessionFlow, SessionOutcome};

use super::clock::now;
use super::drive::drive;
use super::runtime::{OutcomeCell, Runtime};
use super::session::Session;
use crate::store::AsyncSessionLock;

/// Drives a leader's flow to its end, gives its callers the outcome, and then delivers the events.
pub(super) async fn run<R: Runtime>(mut leader: Leader<R>) {
    let session = Arc::clone(&leader.session);
    let sessions = &*session.sessions;
    let end = drive(&mut leader.flow, &*sessions.store, &session.name, &mut leader.lock, &sessions.runtime).await;
    leader.settle(end);
    session.deliver_events();
}

/// The right to run the flow in flight. If it is dropped before the end of the flow, it aborts the flow.
pub(super) struct Leader<R: Runtime> {
    session: Arc<Session<R>>,
    flow: SessionFlow,
    lock: Option<Box<dyn AsyncSessionLock>>,
    settled: bool,
}

impl<R: Runtime> Leader<R> {
    pub(super) fn new(session: &Arc<Session<R>>, flow: SessionFlow, lock: Option<Box<dyn AsyncSessionLock>>) -> Self {
        Self { session: Arc::clone(session), flow, lock, settled: false }
    }

    /// Gives the callers the outcome of the flow.
    fn settle(&mut self, end: SessionEnd) {
        self.settled = true;
        let mut lock = self.lock.take();
        let mut state = self.session.state();
        let outcome = state.coordinator.complete(end);
        if state.coordinator.retains_lock() {
            state.lock = lock.take();
        }
        self.session.publish(&state);
        self.session.retain(&state);
        let _announcement = Announcement { cell: std::mem::take(&mut state.outcome), outcome: Some(outcome) };
        drop(state);
        // Released before a caller learns the outcome: it may want the lock.
        drop(lock);
    }
}

impl<R: Runtime> Drop for Leader<R> {
    fn drop(&mut self) {
        if !self.settled {
            let end = self.flow.abort(self.lock.is_some(), now());
            self.settle(end);
        }
    }
}

/// Sets the outcome when it is dropped, also if the store's lock panics while that is dropped.
struct Announcement<C: OutcomeCell> {
    cell: C,
    outcome: Option<SessionOutcome>,
}

impl<C: OutcomeCell> Drop for Announcement<C> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.cell.set(outcome);
        }
    }
}
