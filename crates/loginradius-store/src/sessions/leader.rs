use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use loginradius_proto::session::{SessionEnd, SessionFlow, SessionOutcome};

use super::clock::now;
use super::drive::{Watch, drive_watched};
use super::runtime::{OutcomeCell, Runtime};
use super::session::{Session, State};
use super::stakes::Stake;
use crate::store::AsyncSessionLock;

/// Drives a leader's flow to its end, gives its callers the outcome, and then delivers the events.
pub(super) async fn run<R: Runtime>(leader: Leader<R>) {
    let stakes = leader.session.sessions.stakes.clone();
    let mut end = pin!(run_to_end(leader));
    poll_fn(|context| stakes.run(|| end.as_mut().poll(context))).await;
}

async fn run_to_end<R: Runtime>(mut leader: Leader<R>) {
    let session = Arc::clone(&leader.session);
    let sessions = &*session.sessions;
    let Leader { flow, lock, stake, .. } = &mut leader;
    let mut watch = Watched { session: &*session, stake };
    let end = drive_watched(flow, &*sessions.store, &session.name, lock, &sessions.runtime, &mut watch).await;
    // The end of the program waits for the events too.
    let stake = leader.stake.take().unwrap_or_else(|| sessions.stakes.take_to_finish());
    leader.settle(end);
    let deliver = {
        let session = Arc::clone(&session);
        move || {
            session.sessions.stakes.run(|| session.deliver_events());
            drop(stake);
        }
    };
    match sessions.settings.on_event {
        Some(_) => sessions.runtime.deliver(deliver),
        None => deliver(),
    }
}

/// The right to run the flow in flight. If it is dropped before the end of the flow, it aborts the flow.
pub(super) struct Leader<R: Runtime> {
    session: Arc<Session<R>>,
    flow: SessionFlow,
    lock: Option<Box<dyn AsyncSessionLock>>,
    /// Held as long as the end of the program would lose a token or an event.
    stake: Option<Stake>,
    /// The outcome, once the flow is settled.
    outcome: Option<SessionOutcome>,
    /// For the caller that leads the flow. It gets the outcome after events that are delivered in place, and the other
    /// callers before them.
    cell: R::OutcomeCell,
}

impl<R: Runtime> Leader<R> {
    /// Takes the flow to which a caller was admitted.
    pub(super) fn new(session: &Arc<Session<R>>, flow: SessionFlow, state: &mut State<R>) -> Self {
        let stake = state.coordinator.is_unsaved().then(|| session.sessions.stakes.take_to_finish());
        let (lock, cell) = (state.lock.take(), R::OutcomeCell::default());
        Self { session: Arc::clone(session), flow, lock, stake, outcome: None, cell }
    }

    /// Returns the cell for the outcome of the caller that leads the flow.
    pub(super) fn cell(&self) -> R::OutcomeCell {
        self.cell.clone()
    }

    /// Gives the waiters the outcome of the flow.
    fn settle(&mut self, end: SessionEnd) {
        let mut lock = self.lock.take();
        let mut state = self.session.state();
        let outcome = state.coordinator.complete(end);
        self.outcome = Some(outcome.clone());
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
        if self.outcome.is_none() {
            let session = Arc::clone(&self.session);
            session.sessions.stakes.run(|| {
                let end = self.flow.abort(self.lock.is_some(), now());
                self.settle(end);
            });
        }
        if let Some(outcome) = self.outcome.take() {
            self.cell.set(outcome);
        }
    }
}

/// Holds a stake from the time when the flow sends its request until the outcome is saved, and lets callers have the
/// token that the flow has loaded.
struct Watched<'a, R: Runtime> {
    session: &'a Session<R>,
    stake: &'a mut Option<Stake>,
}

impl<R: Runtime> Watch for Watched<'_, R> {
    fn may_send(&mut self, flow: &SessionFlow) -> bool {
        // A stake that the flow has may be for saving alone.
        *self.stake = self.session.sessions.stakes.take();
        let mut state = self.session.state();
        state.coordinator.learn(flow);
        self.session.publish(&state);
        self.stake.is_some()
    }

    fn waits(&mut self, flow: &SessionFlow) {
        if !flow.must_finish() {
            *self.stake = None;
        }
    }
}

/// Sets the outcome when it is dropped, also if the store's lock panics while that is dropped.
pub(super) struct Announcement<C: OutcomeCell> {
    pub(super) cell: C,
    pub(super) outcome: Option<SessionOutcome>,
}

impl<C: OutcomeCell> Drop for Announcement<C> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.cell.set(outcome);
        }
    }
}
