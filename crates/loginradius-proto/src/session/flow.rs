use std::time::{Duration, Instant};

use http::Response;

use super::attempt::Attempt;
use super::backoff::{BackoffPolicy, KnownBackoff};
use super::errors::{aborted, changed_by_others, lock_taken, no_refresh_token, stood_still, too_short};
use super::event::{AdoptionReason, EndReason, SessionEvent};
use super::lock_attempt::LockAttempt;
use super::memory::SessionMemory;
use super::now::Now;
use super::outcome::{RefreshOutcome, RevocationOutcome, classify, classify_revocation};
use super::policy::SessionPolicy;
use super::record::{LoginId, SessionRecord, SessionStatus};
use super::state::{AfterUnlock, Job, Login, Outcome, State, Unsettled, Write};
use super::step::{SessionEnd, SessionInput, SessionStep};
use super::stored::{Expected, LoadError, SaveError, StoredRecord};
use super::suspension::suspension_threshold;
use super::unsaved::{Retention, UnsavedPair, Verdict, reconcile};
use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::flow::SendOptions;
use crate::jitter::{Jitter, Seed, after, doubled};
use crate::oauth::{RefreshAccessToken, RevokeRefreshToken};
use crate::secret::RefreshToken;
use crate::token::TokenSet;

/// One transaction of a session: a refresh, a start, a sign-out or a forget.
///
#[doc = include_str!("flow.md")]
///
#[doc = include_str!("failures.md")]
///
#[doc = include_str!("states.md")]
#[derive(Debug, Clone)]
pub struct SessionFlow {
    app: App,
    policy: SessionPolicy,
    job: Job,
    state: State,
    /// Whether the state's step was issued. An input before that belongs to no step.
    step_issued: bool,
    memory: SessionMemory,
    unsettled: Unsettled,
    lock: LockAttempt,
    backoff: BackoffPolicy,
    jitter: Jitter,
    events: Vec<SessionEvent>,
}

impl SessionFlow {
    /// The longest time between two attempts to save a pair.
    const MAX_SAVE_WAIT: Duration = Duration::from_secs(60);

    /// Gets a valid access token: the stored one, or a new one.
    ///
    /// Use another seed for each flow.
    #[must_use]
    pub fn refresh(app: &App, policy: SessionPolicy, memory: SessionMemory, seed: Seed) -> Self {
        Self::new(app, policy, memory, Job::Refresh(None), seed)
    }

    /// Stores the tokens of a new login in place of those of an earlier one.
    ///
    /// It is idempotent, in other processes too and whatever became of an earlier attempt. A login that is stored
    /// already is adopted as it is now, with its later refreshes, and one that a later login has replaced stays
    /// replaced. If the tokens are not certainly stored, the flow fails, and the memory does not keep them: call it
    /// again with the same tokens.
    ///
    /// Two logins are the same if they yielded the same access token and the same refresh token. A record knows its own
    /// login and the last 16 that were replaced. So a login is stored once more if its record was cleared by a sign-out
    /// or a forget, or was damaged. Pass the tokens that the login yielded: those of a refresh count as another login.
    ///
    /// The lifetime counts from [`TokenSet::requested_at`], or else from the flow's first step. Use another seed
    /// for each flow: it is in the generation of the first save, too.
    ///
    /// An empty access token, and tokens of more than 1 MiB together, are refused with
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) before anything is stored.
    #[must_use]
    pub fn start(app: &App, policy: SessionPolicy, memory: SessionMemory, tokens: &TokenSet, seed: Seed) -> Self {
        let login = Login { id: LoginId::of(tokens), tokens: tokens.clone(), requested_at: None, seed };
        Self::new(app, policy, memory, Job::Start(login), seed)
    }

    /// Signs out: marks the record, so that its tokens are not returned any more, revokes the refresh token, and
    /// clears the record. If the network fails, the mark stays, and the next sign-out continues from there.
    #[must_use]
    pub fn sign_out(app: &App, policy: SessionPolicy, memory: SessionMemory, seed: Seed) -> Self {
        Self::new(app, policy, memory, Job::SignOut(None), seed)
    }

    /// Clears the record and sends nothing to LoginRadius.
    #[must_use]
    pub fn forget(app: &App, policy: SessionPolicy, memory: SessionMemory, seed: Seed) -> Self {
        Self::new(app, policy, memory, Job::Forget, seed)
    }

    fn new(app: &App, policy: SessionPolicy, memory: SessionMemory, job: Job, seed: Seed) -> Self {
        Self {
            app: app.clone(),
            policy,
            job,
            state: State::Start,
            step_issued: false,
            memory,
            unsettled: Unsettled::Nothing,
            lock: LockAttempt::default(),
            backoff: BackoffPolicy::new(policy.retry),
            jitter: Jitter::new(seed),
            events: Vec::new(),
        }
    }

    /// Returns the name of the state in the [table](Self#states), for logs and tests.
    #[must_use]
    pub fn state(&self) -> &'static str {
        self.state.name()
    }

    /// Returns what the flow knows by now.
    pub(super) fn memory(&self) -> &SessionMemory {
        &self.memory
    }

    /// Returns whether the end of the process would lose tokens now: a response is awaited, or a new pair is not saved.
    ///
    /// A program that ends should drive such a flow to its end, and may [abort](Self::abort) all others.
    #[must_use]
    pub fn must_finish(&self) -> bool {
        matches!(self.state, State::AwaitingResponse { .. } | State::Saving { write: Write::Pair(_), .. })
            || matches!(self.unsettled, Unsettled::Pair(_))
            || self.memory.unsaved.is_some()
    }

    /// Returns what to do now. Call it at the start, after every [`receive`](Self::receive), and when a
    /// [`SessionStep::Wait`] is over; earlier calls return the same again.
    pub fn step(&mut self, now: Now) -> SessionStep {
        if let Some(send) = self.advance(now) {
            return send;
        }
        if matches!(self.state, State::Locking) && !self.step_issued {
            self.lock.suspension.reset();
        }
        self.step_issued = true;
        match &self.state {
            State::Locking => SessionStep::Lock,
            State::Peeking => SessionStep::Peek,
            State::Loading => SessionStep::Load,
            State::Saving { write, expected } => SessionStep::Save { record: write.encode(), expected: *expected },
            State::Clearing { expected } => SessionStep::Clear { expected: *expected },
            State::AwaitingLock { until }
            | State::BackingOff { until, .. }
            | State::AwaitingResponse { deadline: until, .. } => SessionStep::Wait(*until),
            State::Unlocking(_) => SessionStep::Unlock,
            State::Done(_) => SessionStep::Done(self.end(now)),
            // Left in `advance`.
            State::Start | State::Ready(_) => SessionStep::Wait(now.monotonic),
        }
    }

    /// Takes the outcome of the step that was issued last. Anything else is ignored.
    pub fn receive(&mut self, input: SessionInput, now: Now) {
        if !std::mem::take(&mut self.step_issued) {
            return;
        }
        self.detect_suspension(now);
        match (&self.state, input) {
            (State::Loading, SessionInput::Loaded(_)) if self.lock.suspension.was_suspended() => self.restart(now),
            (State::Locking, SessionInput::Locked(outcome)) => self.lock_tried(outcome, now),
            (State::Peeking, SessionInput::Peeked(stored)) => self.peeked(stored, now),
            (State::Loading, SessionInput::Loaded(outcome)) => self.loaded(outcome, now),
            (State::Saving { .. } | State::Clearing { .. }, SessionInput::Saved(outcome)) => self.saved(outcome, now),
            (State::AwaitingResponse { .. }, SessionInput::Responded(outcome)) => self.responded(outcome, now),
            (State::AwaitingResponse { .. }, SessionInput::LockLapsed) => self.lock_lapsed(now),
            (State::Unlocking(_), SessionInput::Unlocked) => self.unlocked(),
            _ => self.step_issued = true,
        }
    }

    /// Ends a flow that is not driven any more, [at whatever step](Self#a-flow-is-aborted).
    ///
    /// `holds_lock` is true from a successful [`SessionStep::Lock`] until [`SessionStep::Unlock`] is begun. Release the
    /// lock afterwards, unless the memory [retains](SessionMemory::retains_lock) it; release it too if an attempt to
    /// take it succeeds after the abort. The result fails with [`ErrorKind::Unavailable`].
    pub fn abort(&mut self, holds_lock: bool, now: Now) -> SessionEnd {
        self.lock.set_held(holds_lock);
        let state = std::mem::replace(&mut self.state, State::Done(None));
        let unsettled = std::mem::replace(&mut self.unsettled, Unsettled::Nothing);
        let error = aborted();
        match (state, unsettled) {
            // What becomes of a pair is decided.
            (State::Unlocking(AfterUnlock::Finish(_)) | State::Done(_), _) => {}
            (State::Saving { write: Write::Pair(pair), .. }, _) | (_, Unsettled::Pair(pair)) => {
                self.retain_unsaved(pair, error.clone(), now);
            }
            _ => {}
        }
        if !matches!(self.job, Job::Refresh(_)) {
            self.memory.stale = true;
        }
        if !holds_lock {
            self.memory.set_lock_lost();
        }
        self.state = State::Done(None);
        SessionEnd { memory: self.memory.clone(), result: Err(error), events: std::mem::take(&mut self.events) }
    }

    /// Makes the transitions that time alone causes, and returns the request that is to be sent now.
    fn advance(&mut self, now: Now) -> Option<SessionStep> {
        self.detect_suspension(now);
        match &self.state {
            State::Start => self.begin(now),
            State::Loading if self.lock.suspension.was_suspended() => self.restart(now),
            State::AwaitingLock { until } if now.monotonic >= *until => {
                (self.state, self.step_issued) = (State::Locking, false);
            }
            State::AwaitingResponse { deadline, .. } if now.monotonic >= *deadline => {
                self.responded(Err(Error::no_outcome()), now);
            }
            State::BackingOff { until, .. } if now.monotonic >= *until => self.try_again(now),
            _ => {}
        }
        if let State::Ready(attempt) = &self.state {
            let attempt = attempt.clone();
            return self.send(attempt, now);
        }
        None
    }

    /// Detects that the process was suspended. If locks are leases, it may have lost its lock, and another process may
    /// be about to change what it loads.
    fn detect_suspension(&mut self, now: Now) {
        let awaits_response = matches!(self.state, State::AwaitingResponse { .. });
        self.lock.suspension.observe(now, suspension_threshold(&self.policy, awaits_response));
    }

    // The beginning, and the lock.

    fn begin(&mut self, now: Now) {
        self.lock.begin(now.monotonic, self.policy.lock_wait);
        self.lock.set_held(self.memory.retains_lock());
        if let Job::Start(login) = &mut self.job {
            if let Some(error) = login.refusal() {
                return self.finish(Err(error));
            }
            let requested_at = login.tokens.requested_at.unwrap_or(now.monotonic);
            let age = now.monotonic.saturating_duration_since(requested_at);
            login.requested_at = Some(Now::new(requested_at, now.wall.checked_sub(age).unwrap_or(now.wall)));
        }
        self.unsettled = self.memory.unsaved.clone().map_or(Unsettled::Nothing, |pair| Unsettled::Pair(*pair));
        self.state = if self.lock.is_held() { State::Loading } else { State::Locking };
    }

    fn lock_tried(&mut self, outcome: Result<bool, Error>, now: Now) {
        match outcome {
            Ok(true) => {
                self.lock.set_held(true);
                self.state = State::Loading;
            }
            // The holder is refreshing: until it is done, the cached token will do.
            Ok(false) if self.may_skip_lock(now) => self.finish_with_cached_or(lock_taken(), now),
            Ok(false) if self.may_peek() => self.state = State::Peeking,
            Ok(false) => self.await_lock(now),
            Err(error) => self.store_failed(error, now),
        }
    }

    fn await_lock(&mut self, now: Now) {
        match self.lock.next_try(now.monotonic, &mut self.jitter) {
            Some(until) => self.state = State::AwaitingLock { until },
            None => self.store_failed(lock_taken(), now),
        }
    }

    /// Returns whether the caller has a valid token, and nothing would be lost if this flow ended.
    fn may_skip_lock(&self, now: Now) -> bool {
        let nothing_new = match &self.unsettled {
            Unsettled::Pair(pair) => pair.is_retained() && !self.memory.retains_lock(),
            _ => true,
        };
        matches!(self.job, Job::Refresh(_)) && nothing_new && self.memory.valid_token(now).is_some()
    }

    /// Returns whether a record that is read without the lock can help: nothing that this flow did is to be compared
    /// with it.
    fn may_peek(&self) -> bool {
        let nothing_new = matches!(self.unsettled, Unsettled::Nothing) && !self.memory.stale;
        matches!(self.job, Job::Refresh(_)) && nothing_new
    }

    /// Ends with the stored token if it is valid: the holder is refreshing it early, or has just done so. All else is
    /// decided under the lock.
    fn peeked(&mut self, stored: Option<StoredRecord>, now: Now) {
        let Some(record) = stored.and_then(|stored| stored.decode(&self.app).ok()) else { return self.await_lock(now) };
        let mut memory = self.memory.clone();
        memory.remember(record.clone(), None, now, self.policy.early, &mut self.jitter);
        if memory.valid_token(now).is_none() {
            return self.await_lock(now);
        }
        self.learn(&record, now);
        self.finish_with_cached_or(lock_taken(), now);
    }

    /// Begins again at the lock, because another process changed the record or the lock may be lost.
    fn restart(&mut self, now: Now) {
        self.restart_or(changed_by_others(), now);
    }

    /// Begins again at the lock, or ends with the error if it did so too often.
    fn restart_or(&mut self, error: Error, now: Now) {
        if self.lock.restart_budget_is_used_up() {
            return self.store_failed(error, now);
        }
        self.lock.suspension.reset();
        // As long as the store holds a consumed token, the lock keeps other processes from sending it: it is kept,
        // unless conflicts have proved that it is lost.
        let just_rotated = matches!(&self.unsettled, Unsettled::Pair(pair) if !pair.is_retained());
        if (self.memory.retains_lock() || just_rotated) && self.lock.keep_in_doubt() {
            self.state = State::Loading;
            return;
        }
        self.lock.begin(now.monotonic, self.policy.lock_wait);
        self.state = if self.lock.is_held() { State::Unlocking(AfterUnlock::Reacquire) } else { State::Locking };
    }

    fn unlocked(&mut self) {
        self.lock.set_held(false);
        self.state = match std::mem::replace(&mut self.state, State::Locking) {
            State::Unlocking(AfterUnlock::Finish(outcome)) => State::Done(Some(outcome)),
            _ => State::Locking,
        };
    }

    // The record.

    fn loaded(&mut self, outcome: Result<Option<StoredRecord>, LoadError>, now: Now) {
        let record = match outcome.and_then(|stored| stored.map(|stored| stored.decode(&self.app)).transpose()) {
            Ok(record) => record,
            Err(LoadError::Failed(error)) => return self.store_failed(error, now),
            Err(LoadError::Damaged { generation, error }) => {
                let expected = Expected::Damaged(generation);
                return match self.job {
                    Job::Start(_) => self.save_login(None, expected),
                    Job::Forget => self.state = State::Clearing { expected },
                    Job::Refresh(_) | Job::SignOut(_) => self.store_failed(error, now),
                };
            }
        };
        self.memory.stale = false;
        match (&self.job, record) {
            (Job::Refresh(_), Some(record)) => self.loaded_for_refresh(record, now),
            (Job::Refresh(_), None) => self.session_missing("no user is signed in to this session: sign in"),
            (Job::Start(_), record) => self.loaded_for_start(record, now),
            (Job::SignOut(login), Some(record)) if login.is_none_or(|login| login == record.login) => {
                self.loaded_for_sign_out(record, now);
            }
            (Job::SignOut(login), _) => self.signed_out(login.is_some()),
            (Job::Forget, Some(record)) => {
                self.state = State::Clearing { expected: Expected::Generation(record.generation) };
            }
            (Job::Forget, None) => self.signed_out(false),
        }
    }

    fn loaded_for_refresh(&mut self, record: SessionRecord, now: Now) {
        match std::mem::replace(&mut self.unsettled, Unsettled::Nothing) {
            Unsettled::Pair(pair) => self.settle_pair(pair, record, now),
            Unsettled::UnconfirmedIntent(attempt) if attempt.record.same_save(&record) => {
                self.state = State::Ready(Attempt { since: now, ..attempt });
            }
            Unsettled::UnsentIntent(attempt) if attempt.record.same_save(&record) => {
                self.adopt(SessionRecord { intent: attempt.earlier_intent, ..record }, now);
            }
            Unsettled::Rejection(attempt, error) if attempt.was_made_for(&record) => {
                self.rejected(attempt, error, record)
            }
            Unsettled::Nothing
            | Unsettled::UnconfirmedIntent(_)
            | Unsettled::UnsentIntent(_)
            | Unsettled::Rejection(..) => self.adopt(record, now),
        }
    }

    fn loaded_for_start(&mut self, stored: Option<SessionRecord>, now: Now) {
        let Job::Start(Login { id, .. }) = self.job else { return };
        match stored {
            Some(record) if self.is_renewed_by_login(&record) => {
                let expected = Expected::Generation(record.generation);
                self.save_login(Some(&record), expected);
            }
            // The login was stored before: the record came from it or replaced it, and so did an unsaved pair.
            Some(record) if record.login == id || record.replaced.contains(&id) => {
                match std::mem::replace(&mut self.unsettled, Unsettled::Nothing) {
                    Unsettled::Pair(pair) => self.settle_pair(pair, record, now),
                    _ => self.adopt(record, now),
                }
            }
            Some(record) => self.save_login(Some(&record), Expected::Generation(record.generation)),
            None => self.save_login(None, Expected::Nothing),
        }
    }

    /// Returns whether the stored tokens were requested again, later than the record says: a server may respond to a
    /// login with the tokens of the previous one, with a new lifetime.
    fn is_renewed_by_login(&self, stored: &SessionRecord) -> bool {
        let Job::Start(login) = &self.job else { return false };
        stored.status == SessionStatus::Active && !matches!(self.unsettled, Unsettled::Pair(_)) && login.renews(stored)
    }

    fn loaded_for_sign_out(&mut self, mut record: SessionRecord, now: Now) {
        let expected = Expected::Generation(record.generation);
        // Only the newest refresh token ends the session at LoginRadius.
        if let Unsettled::Pair(pair) = &self.unsettled
            && reconcile(pair, &record) == Verdict::Overwrite
        {
            // Another process has begun the sign-out: from now on no token is returned, whatever becomes of the save.
            self.memory.stale = record.status == SessionStatus::SigningOut;
            record = SessionRecord { generation: record.generation, ..pair.record.clone() };
        }
        self.job = Job::SignOut(Some(record.login));
        let signing_out = record.status == SessionStatus::SigningOut;
        if signing_out {
            self.set_signing_out();
        }
        self.state = match Attempt::revocation(record, now) {
            None => State::Clearing { expected },
            Some(attempt) if signing_out => State::Ready(attempt),
            Some(mut attempt) => {
                attempt.record = attempt.record.into_status(SessionStatus::SigningOut);
                State::Saving { write: Write::SigningOut(attempt), expected }
            }
        };
    }

    /// Compares an unsaved pair with the stored record, and continues with the right one.
    fn settle_pair(&mut self, mut pair: UnsavedPair, record: SessionRecord, now: Now) {
        match reconcile(&pair, &record) {
            Verdict::Saved => self.pair_is_saved(pair, now),
            Verdict::Overwrite => {
                pair.rebase(&record);
                self.save_pair(pair);
            }
            Verdict::Ended => self.adopt(record, now),
            // A lock under which another process could write was not held.
            Verdict::Superseded if self.memory.retains_lock() || self.lock.may_be_lost() => {
                self.memory.set_lock_lost();
                self.lock.set_lost();
                self.unsettled = Unsettled::Pair(pair);
                self.restart(now);
            }
            Verdict::Superseded => {
                if record.tokens.same_lifetime(&pair.record.tokens) {
                    self.remember(&record, pair.requested_at, now);
                    self.events.push(pair.saved_event());
                }
                self.adopt(record, now);
            }
        }
    }

    /// Continues with the stored record.
    fn adopt(&mut self, record: SessionRecord, now: Now) {
        match &record.status {
            SessionStatus::Active => {}
            SessionStatus::SigningOut => return self.session_missing("the session was signed out: sign in again"),
            SessionStatus::Rejected(why) => {
                let advice = if why.contains("sign in again") { "" } else { ": sign in again" };
                return self.session_missing(&format!("the session has ended: {why}{advice}"));
            }
        }
        self.learn(&record, now);
        self.memory.unsaved = None;
        match self.job {
            Job::Refresh(_) => self.use_or_refresh(record, now),
            _ => self.finish(Ok(None)),
        }
    }

    /// Remembers an active record that is stored.
    fn learn(&mut self, record: &SessionRecord, now: Now) {
        let known = self.memory.known.as_ref().map(|known| &known.record);
        let event = match &self.job {
            Job::Start(login) if login.id != record.login => {
                Some(SessionEvent::Adopted { reason: AdoptionReason::OtherLogin })
            }
            Job::Start(login) if known.is_none_or(|known| known.login != login.id) => Some(SessionEvent::Started),
            _ => known
                .filter(|known| !known.tokens.same_pair(&record.tokens))
                .map(|known| SessionEvent::Adopted { reason: AdoptionReason::of(known.login == record.login) }),
        };
        let requested_at = match &self.job {
            Job::Start(login) if login.id == record.login => login.requested_at_of(record),
            _ => None,
        };
        self.events.extend(event);
        let rejected = self.memory.rejected.clone();
        self.remember(record, requested_at, now);
        self.memory.rejected = rejected;
        self.memory.backoff = record.backoff.as_deref().and_then(|backoff| KnownBackoff::from_stored(backoff, now));
    }

    /// Ends with the token of the record, or refreshes it.
    fn use_or_refresh(&mut self, record: SessionRecord, now: Now) {
        self.backoff.continue_from(record.backoff.as_deref(), now.wall);
        let good = self.memory.valid_token(now).cloned();
        let backs_off = self.memory.backs_off(now).cloned();
        let needless = backs_off.is_some() || !self.memory.is_due(now);
        match (good, backs_off, record.tokens.refresh_token.clone()) {
            (Some(token), ..) if needless => self.finish(Ok(Some(token))),
            (None, Some(error), _) => self.finish(Err(error)),
            (_, _, Some(token)) => self.save_intent(record, token, now),
            (Some(token), _, None) => self.finish(Ok(Some(token))),
            (None, None, None) => self.finish(Err(no_refresh_token(self.memory.is_from_the_future(now)))),
        }
    }

    // Requests and their responses.

    fn try_again(&mut self, now: Now) {
        let State::BackingOff { attempt, .. } = &self.state else { return };
        let attempt = attempt.clone();
        match self.job {
            Job::Refresh(_) => self.save_intent(attempt.record, attempt.token, now),
            _ => self.state = State::Ready(Attempt { since: now, ..attempt }),
        }
    }

    fn send(&mut self, attempt: Attempt, now: Now) -> Option<SessionStep> {
        // The process was suspended since the save, and another one may have the lock.
        if self.lock.suspension.was_suspended() || now.since(attempt.since) > self.policy.timeout {
            self.begin_again_unsent(attempt, now);
            return None;
        }
        let request = match self.job {
            Job::SignOut(_) => self.revocation(&attempt.token).request(&self.app),
            _ => RefreshAccessToken::new(attempt.token.clone()).request(&self.app),
        };
        match request {
            Ok(request) => {
                let deadline = after(now.monotonic, self.policy.timeout);
                self.state = State::AwaitingResponse { attempt, sent: now, deadline };
                self.step_issued = true;
                Some(SessionStep::Send { request, options: SendOptions::new(deadline) })
            }
            Err(error) => {
                self.finish(Err(error));
                None
            }
        }
    }

    /// Continues after the driver did not send, because it found the lock lapsed.
    fn lock_lapsed(&mut self, now: Now) {
        let state = std::mem::replace(&mut self.state, State::Loading);
        let State::AwaitingResponse { attempt, .. } = state else { return };
        self.begin_again_unsent(attempt, now);
    }

    /// Begins again at the lock, after an attempt that was not sent because the lock may be lost.
    fn begin_again_unsent(&mut self, attempt: Attempt, now: Now) {
        if let Job::Refresh(_) = self.job {
            self.unsettled = Unsettled::UnsentIntent(attempt);
        }
        self.restart_or(stood_still(), now);
    }

    fn revocation(&self, token: &RefreshToken) -> RevokeRefreshToken {
        RevokeRefreshToken::new(token.clone())
    }

    fn responded(&mut self, response: Result<Response<Body>, Error>, now: Now) {
        let state = std::mem::replace(&mut self.state, State::Loading);
        let State::AwaitingResponse { mut attempt, sent, .. } = state else { return };
        self.backoff.count_attempt();
        // The driver may have read its clock before it sent.
        let now = Now::new(now.monotonic.max(sent.monotonic), now.wall);
        if let Job::SignOut(_) = self.job {
            return self.revoked(response, attempt, now);
        }
        match classify(response, &attempt, sent, &self.app) {
            RefreshOutcome::Rotated(record, unreadable) => {
                self.events.extend(unreadable.map(|error| SessionEvent::RequestFailed { error }));
                self.rotated(UnsavedPair::new(attempt.record, record, Some(sent.monotonic), None));
            }
            RefreshOutcome::RotatedWithFault(record, fault) => {
                let wait = self.backoff.count_failure(&fault, &mut self.jitter).max(BackoffPolicy::MIN_BACKOFF);
                let record =
                    SessionRecord { backoff: Some(Box::new(self.backoff.stored(&fault, wait, now.wall))), ..record };
                let fault = Some((fault.with_retry_after(wait), wait));
                self.rotated(UnsavedPair::new(attempt.record, record, None, fault));
            }
            RefreshOutcome::Rejected(error) => self.unsettled = Unsettled::Rejection(attempt, error),
            RefreshOutcome::NotSent(error) => {
                attempt.withdraw_intent();
                let may_retry = error.is_transient();
                self.failed(attempt, error, may_retry, now);
            }
            RefreshOutcome::Unknown(error) => {
                self.job = Job::Refresh(Some(error.clone()));
                self.failed(attempt, error, true, now);
            }
            RefreshOutcome::Refused(error) => {
                attempt.withdraw_intent();
                self.failed(attempt, error, false, now);
            }
        }
    }

    /// Saves a new pair before any caller can use it.
    fn rotated(&mut self, pair: UnsavedPair) {
        self.lock.forget_conflicts();
        self.save_pair(pair);
    }

    /// Tries again after a wait, or has all callers and processes back off.
    fn failed(&mut self, attempt: Attempt, error: Error, may_retry: bool, now: Now) {
        let wait = self.backoff.count_failure(&error, &mut self.jitter);
        self.events.push(SessionEvent::RequestFailed { error: error.clone() });
        if may_retry && self.memory.valid_token(now).is_none() && self.may_retry(wait, now) {
            self.state = State::BackingOff { attempt, until: after(now.monotonic, wait) };
            return;
        }
        let wait = wait.max(BackoffPolicy::MIN_BACKOFF);
        let expected = Expected::Generation(attempt.record.generation);
        // A wrong secret, proxy or root certificate is this program's own: other programs, and its own next start, may
        // have right ones.
        let is_own_fault = !may_retry && matches!(error.kind(), ErrorKind::Configuration | ErrorKind::NotSent);
        let backoff = (!is_own_fault).then(|| Box::new(self.backoff.stored(&error, wait, now.wall)));
        let record = SessionRecord { backoff, ..attempt.record.into_next() };
        let error = if may_retry { error.into_unavailable() } else { error }.with_retry_after(wait);
        self.state = State::Saving { write: Write::Backoff(record, wait, error), expected };
    }

    /// Returns whether there is time for another attempt before the processes that wait for the lock give up.
    fn may_retry(&self, wait: Duration, now: Now) -> bool {
        self.backoff.may_retry(wait) && self.lock.has_time(after(now.monotonic, wait))
    }

    /// Ends the session: its newest refresh token was rejected, and only a new login helps.
    fn rejected(&mut self, attempt: Attempt, error: Error, stored: SessionRecord) {
        let status = SessionStatus::Rejected(error.to_string());
        let note = "the tokens of an earlier refresh were lost, with its response or with its process";
        let error = match &self.job {
            Job::Refresh(Some(unknown)) => error.with_note(note).with_source(unknown.clone()),
            _ if attempt.earlier_intent.is_some() => error.with_note(note),
            _ => error,
        };
        let expected = Expected::Generation(stored.generation);
        self.state = State::Saving { write: Write::Rejection(stored.into_status(status), error), expected };
    }

    fn revoked(&mut self, response: Result<Response<Body>, Error>, attempt: Attempt, now: Now) {
        match classify_revocation(response, &self.revocation(&attempt.token), &attempt, &self.app) {
            RevocationOutcome::Ended => {
                self.state = State::Clearing { expected: Expected::Generation(attempt.record.generation) };
            }
            RevocationOutcome::Unknown(error) => {
                let wait = self.backoff.count_failure(&error, &mut self.jitter);
                self.events.push(SessionEvent::RequestFailed { error: error.clone() });
                if self.may_retry(wait, now) {
                    self.state = State::BackingOff { attempt, until: after(now.monotonic, wait) };
                    return;
                }
                let note = "the session yields no token now, but LoginRadius may not have ended it: sign out again";
                self.finish(Err(error.into_unavailable().with_retry_after(wait).with_note(note)));
            }
            RevocationOutcome::Refused(error) => self.finish(Err(error)),
        }
    }

    // Saving.

    fn save_intent(&mut self, stored: SessionRecord, token: RefreshToken, now: Now) {
        // No intent must be left behind if the settings allow no request.
        if let Err(error) = RefreshAccessToken::new(token.clone()).request(&self.app) {
            return self.finish_with_cached_or(error, now);
        }
        let expected = Expected::Generation(stored.generation);
        self.state = State::Saving { write: Write::Intent(Attempt::refresh(stored, token, now)), expected };
    }

    fn save_pair(&mut self, pair: UnsavedPair) {
        let expected = Expected::Generation(pair.expected);
        self.state = State::Saving { write: Write::Pair(pair), expected };
    }

    fn save_login(&mut self, stored: Option<&SessionRecord>, expected: Expected) {
        let Job::Start(login) = &self.job else { return };
        let mut record = match &self.unsettled {
            // The newest pair of this login, which the store does not hold.
            Unsettled::Pair(pair) if pair.record.login == login.id => {
                SessionRecord { status: SessionStatus::Active, ..pair.record.clone() }
            }
            _ => login.record(&self.app),
        };
        if let Some(stored) = stored {
            record.replace(stored);
        }
        self.state = State::Saving { write: Write::Login(record), expected };
    }

    /// Takes the outcome of a save or a clear. What was not certainly saved is loaded again: so the next state is
    /// `Loading`, unless one of these cases sets another.
    fn saved(&mut self, outcome: Result<(), SaveError>, now: Now) {
        let write = match std::mem::replace(&mut self.state, State::Loading) {
            State::Saving { write, .. } => Some(write),
            _ => None,
        };
        match (write, outcome) {
            (Some(Write::Intent(attempt)), Ok(())) => self.state = State::Ready(attempt),
            (Some(Write::Pair(pair)), Ok(())) => self.pair_is_saved(pair, now),
            (Some(Write::Login(record)), Ok(())) => self.login_is_saved(&record, now),
            (Some(Write::SigningOut(attempt)), Ok(())) => {
                self.set_signing_out();
                self.state = State::Ready(attempt);
            }
            (None, Ok(())) => self.signed_out(true),
            // If it is not stored, other processes send and find out for themselves.
            (Some(Write::Backoff(_, wait, error)), _) => {
                self.memory.backoff = Some(KnownBackoff::new(wait, error.clone(), now));
                self.finish_with_cached_or(error, now);
            }
            (Some(Write::Rejection(_, error)), Ok(()) | Err(SaveError::Failed(_) | SaveError::Unknown(_))) => {
                self.forget_session(EndReason::SignInRequired(error.clone()), true);
                self.finish(Err(error));
            }
            (write, Err(error)) => self.not_saved(write, error, now),
        }
    }

    fn not_saved(&mut self, write: Option<Write>, error: SaveError, now: Now) {
        let unknown = matches!(error, SaveError::Unknown(_));
        match write {
            Some(Write::Pair(pair)) => self.unsettled = Unsettled::Pair(pair),
            Some(Write::Intent(attempt)) if unknown => self.unsettled = Unsettled::UnconfirmedIntent(attempt),
            // The store may hold another login by now, or none.
            Some(Write::Login(_)) | None => self.memory.stale |= unknown,
            _ => {}
        }
        match error {
            SaveError::Conflict => {
                self.lock.count_conflict();
                self.restart(now);
            }
            SaveError::Failed(error) => self.store_failed(error, now),
            SaveError::Unknown(error) if self.lock.restart_budget_is_used_up() => self.store_failed(error, now),
            SaveError::Unknown(_) => {}
        }
    }

    /// Continues after the newest pair was saved.
    fn pair_is_saved(&mut self, pair: UnsavedPair, now: Now) {
        self.remember(&pair.record, pair.requested_at, now);
        self.memory.unsaved = None;
        self.memory.stale = false;
        if pair.record.status != SessionStatus::Active {
            return self.session_missing("the session was signed out: sign in again");
        }
        let event = pair.saved_event();
        if let Some((fault, wait)) = pair.fault {
            self.events.push(SessionEvent::RequestFailed { error: fault.clone() });
            self.memory.backoff = Some(KnownBackoff::new(wait, fault.clone(), now));
            return self.finish_with_cached_or(fault, now);
        }
        self.memory.backoff = None;
        self.events.push(event);
        if let Job::Start(login) = &self.job
            && login.id != pair.record.login
        {
            self.events.push(SessionEvent::Adopted { reason: AdoptionReason::OtherLogin });
        }
        match (&self.job, self.memory.valid_token(now).cloned()) {
            (Job::Refresh(_), Some(token)) => self.finish(Ok(Some(token))),
            // The lock was retained for a long time, and may be lost by now.
            (Job::Refresh(_), None) if pair.retention.is_some() => self.restart(now),
            (Job::Refresh(_), None) => {
                // The next refresh would yield no longer lifetime.
                let wait = BackoffPolicy::MIN_BACKOFF;
                let error = too_short().with_retry_after(wait);
                self.memory.backoff = Some(KnownBackoff::new(wait, error.clone(), now));
                self.finish(Err(error));
            }
            _ => self.finish(Ok(None)),
        }
    }

    fn login_is_saved(&mut self, record: &SessionRecord, now: Now) {
        let Job::Start(login) = &self.job else { return };
        let requested_at = login.requested_at_of(record);
        // A token that an API rejected stays rejected, also if the login yielded it again.
        let SessionMemory { known, rejected, .. } = std::mem::take(&mut self.memory);
        self.memory = SessionMemory { known, ..SessionMemory::default() };
        self.remember(record, requested_at, now);
        self.memory.rejected = rejected;
        self.events.push(SessionEvent::Started);
        self.finish(Ok(None));
    }

    // The end.

    /// Ends after a failure of the store: no token was consumed, or the new pair stays in the memory.
    fn store_failed(&mut self, error: Error, now: Now) {
        // Only a rejection may end the session, whatever the kind of a store's error.
        let error = match error.kind() {
            ErrorKind::Configuration
            | ErrorKind::Misuse
            | ErrorKind::RecordDamaged
            | ErrorKind::StoreRefused
            | ErrorKind::Unavailable => error,
            _ => Error::unavailable("the session's store failed: try again later", error),
        };
        match std::mem::replace(&mut self.unsettled, Unsettled::Nothing) {
            Unsettled::Pair(pair) => self.retain_unsaved(pair, error, now),
            _ if matches!(self.job, Job::Refresh(_)) => self.finish_with_cached_or(error, now),
            _ => self.finish(Err(error)),
        }
    }

    /// Keeps a pair in the memory, and the lock with it as long as the store holds the token that was consumed for it.
    fn retain_unsaved(&mut self, pair: UnsavedPair, error: Error, now: Now) {
        let failures = pair.save_failures().saturating_add(1);
        self.remember(&pair.record, pair.requested_at, now);
        let wait = self.jitter.shorten(doubled(BackoffPolicy::MIN_BACKOFF, failures, Self::MAX_SAVE_WAIT));
        if pair.retention.is_none() {
            self.memory.backoff = None;
            self.events.push(SessionEvent::Unsaved { error: error.clone() });
        }
        let (retry_at, holds_lock) = (after(now.monotonic, wait), self.lock.is_held());
        let retention = Some(Retention { error: error.clone(), retry_at, failures, holds_lock });
        self.memory.unsaved = Some(Box::new(UnsavedPair { requested_at: None, fault: None, retention, ..pair }));
        match (&self.job, self.memory.valid_token(now).cloned()) {
            (Job::Refresh(_), Some(token)) => self.finish(Ok(Some(token))),
            _ => self.finish(Err(error)),
        }
    }

    /// Ends with the cached token if it is valid, and puts off the next early refresh; else ends with the error.
    fn finish_with_cached_or(&mut self, error: Error, now: Now) {
        match self.memory.valid_token(now).cloned() {
            Some(token) => {
                self.memory.no_early_refresh_before = Some(after(now.monotonic, BackoffPolicy::MIN_BACKOFF));
                self.finish(Ok(Some(token)));
            }
            None => self.finish(Err(error)),
        }
    }

    /// Releases the lock, if it is held and not retained, and ends.
    fn finish(&mut self, outcome: Outcome) {
        self.state = match self.lock.is_held() && !self.memory.retains_lock() {
            true => State::Unlocking(AfterUnlock::Finish(outcome)),
            false => State::Done(Some(outcome)),
        };
    }

    /// Ends with an error: the caller wanted a session, and there is none any more.
    fn session_missing(&mut self, message: &str) {
        let error = Error::new(ErrorKind::SignInRequired, message);
        self.forget_session(EndReason::SignInRequired(error.clone()), false);
        self.finish(Err(error));
    }

    /// Ends without an error: the caller wanted no session, and there is none any more.
    fn signed_out(&mut self, was_stored: bool) {
        self.forget_session(EndReason::SignedOut, was_stored);
        self.finish(Ok(None));
    }

    fn forget_session(&mut self, reason: EndReason, was_stored: bool) {
        if self.memory.known.is_some() || was_stored {
            self.events.push(SessionEvent::Ended { reason });
        }
        self.memory.forget();
    }

    /// Forgets the tokens: the store has the sign-out mark and the newest refresh token.
    fn set_signing_out(&mut self) {
        self.memory = SessionMemory::default();
        self.unsettled = Unsettled::Nothing;
    }

    fn remember(&mut self, record: &SessionRecord, requested_at: Option<Instant>, now: Now) {
        self.memory.remember(record.clone(), requested_at, now, self.policy.early, &mut self.jitter);
    }

    fn end(&mut self, now: Now) -> SessionEnd {
        let outcome = match std::mem::replace(&mut self.state, State::Done(None)) {
            State::Done(Some(outcome)) => outcome,
            _ => Err(Error::already_completed()),
        };
        let result = match outcome {
            // Its lifetime ended while the lock was released, or while the process was suspended.
            Ok(Some(_)) if self.memory.valid_token(now).is_none() => Err(too_short()),
            outcome => outcome,
        };
        SessionEnd { memory: self.memory.clone(), result, events: std::mem::take(&mut self.events) }
    }
}
