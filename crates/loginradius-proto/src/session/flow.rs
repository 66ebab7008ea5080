use std::time::{Duration, Instant, SystemTime};

use http::{Request, Response};

use super::event::SessionEvent;
use super::memory::{At, Hold, SessionMemory, SessionPolicy, Unsaved};
use super::record::{Intent, LoadOutcome, Mark, SaveOutcome, SessionRecord, StoredHold, Tokens};
use super::step::{SessionEnd, SessionInput, SessionStep};
use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::flow::{Retry, SendOptions, is_failure};
use crate::jitter::{Jitter, after, doubled};
use crate::oauth::{RefreshAccessToken, RevokeRefreshToken};
use crate::secret::{AccessToken, RefreshToken};
use crate::token::TokenSet;

/// One transaction of a session: getting a token that is good, signing in, signing out, forgetting.
///
/// Its steps are a store's as well as a transport's, so that the *order* in which a rotating refresh token
/// is spent and saved is decided here, once, and can be tested by stopping between any two steps.
///
/// ```text
/// lock -> load -> a token is good, and nobody reported it bad? ------------------> unlock -> done
///                 else: save the intent -> send -> save the new pair, durably --> unlock -> done
/// ```
///
/// Getting a token, case by case:
///
/// - Another process has refreshed: its pair is adopted. Nothing is stored: signed out.
/// - *Not sent*, or *lost* (a timeout, a 5xx, a page of a proxy, half an answer): tried again after a wait,
///   under the lock, and under the intent that says that an answer may have been lost. When the attempts are
///   used up, the record says until when nobody should try, and the error is [`ErrorKind::TryLater`].
/// - *Refused*: loaded again. A newer pair there is adopted; the newest refresh token of the store refused
///   is the end, and the only [`ErrorKind::SignInAgain`] besides that of a session that was signed out or
///   has no refresh token.
/// - The new pair cannot be saved: it is handed out, and stays in the [`SessionMemory`] together with the
///   lock, until a later flow can save it.
/// - The intent cannot be saved, or the record not loaded: nothing is sent, and nothing is lost.
/// - A token that still has life in it is handed out whenever there is no better one, unless the session is over.
///
/// An intent that has grown older than an answer may take, because the process was suspended, is not sent
/// any more: the flow begins again at the lock.
///
/// Steps of the store are answered by the input of the same name; [`step`](Self::step) repeats them until
/// then. Inputs that nobody asked for are ignored, and while a request is out, the step is to wait.
///
/// ```
/// # use std::time::{Duration, Instant, SystemTime};
/// # use loginradius_proto::{App, Body, TokenSet};
/// use loginradius_proto::session::{
///     LoadOutcome, SaveOutcome, SessionFlow, SessionInput, SessionMemory, SessionPolicy, SessionStep,
/// };
///
/// let app = App::new("my-client-id").client_secret("my-client-secret");
/// let (start, clock) = (Instant::now(), SystemTime::now());
/// let mut stored: Option<String> = None; // what a store keeps: JSON under the session's name
/// let mut refreshes = 0;
///
/// // The whole driver of a flow: a store, a transport, a clock.
/// let mut drive = |mut flow: SessionFlow, now: Instant, clock: SystemTime| loop {
///     let input = match flow.step(now, clock) {
///         SessionStep::Lock => SessionInput::Locked(Ok(true)),
///         SessionStep::Load => SessionInput::Loaded(match &stored {
///             Some(json) => LoadOutcome::from_json(json),
///             None => LoadOutcome::Nothing,
///         }),
///         SessionStep::Save { record, .. } => {
///             stored = Some(record.to_json());
///             SessionInput::Saved(SaveOutcome::Saved)
///         }
///         SessionStep::Clear { .. } => {
///             stored = None;
///             SessionInput::Saved(SaveOutcome::Saved)
///         }
///         SessionStep::Send { .. } => {
///             refreshes += 1;
///             SessionInput::Answered(Ok(http::Response::new(Body::from(
///                 r#"{"access_token":"second","expires_in":600,"refresh_token":"c7d1"}"#,
///             ))))
///         }
///         SessionStep::Unlock => SessionInput::Unlocked,
///         SessionStep::Wait(_) => unreachable!("nothing goes wrong here"),
///         SessionStep::Done(end) => return end,
///     };
///     flow.receive(input, now, clock);
/// };
///
/// let mut tokens = TokenSet::new("first");
/// tokens.refresh_token = Some("a795".into());
/// tokens.expires_in = Some(Duration::from_secs(600));
/// let policy = SessionPolicy::default();
/// let end = drive(SessionFlow::sign_in(&app, policy, SessionMemory::default(), tokens, 42), start, clock);
/// assert!(end.result.unwrap().is_none());
///
/// // An hour later, in another process.
/// let hour = Duration::from_secs(3600);
/// let flow = SessionFlow::token(&app, policy, SessionMemory::default(), 43);
/// let end = drive(flow, start + hour, clock + hour);
/// assert_eq!(end.result.unwrap().unwrap().expose(), "second");
///
/// // And another one finds that token.
/// let flow = SessionFlow::token(&app, policy, SessionMemory::default(), 44);
/// let end = drive(flow, start + hour, clock + hour);
/// assert_eq!(end.result.unwrap().unwrap().expose(), "second");
/// assert_eq!(refreshes, 1);
/// ```
#[derive(Debug, Clone)]
pub struct SessionFlow {
    app: App,
    policy: SessionPolicy,
    goal: Goal,
    memory: SessionMemory,
    jitter: Jitter,
    state: State,
    /// Whether the state's step has been handed out: what comes before that is nobody's answer.
    asked: bool,
    /// The last moment at which this process was awake.
    awake: Option<At>,
    /// Whether it was suspended since it asked for the lock.
    slept: bool,
    /// Until when to wait for the lock.
    lock_until: Option<Instant>,
    /// How often the lock was taken by another.
    busy: u32,
    locked: bool,
    /// The lock is given back only to be taken again.
    relock: bool,
    /// How often the flow began again, because others changed the record or because of a suspension.
    restarts: u32,
    /// How often something else was stored than was expected.
    conflicts: u32,
    /// Whether the lock may have become another's, and is kept nevertheless.
    unsure: bool,
    /// What the store holds, as far as is known.
    stored: Option<SessionRecord>,
    /// A newer pair, which the store has to take.
    pending: Option<Pending>,
    /// Whether there was a save of which nobody knows whether it took place.
    doubted: bool,
    /// The intent of such a save.
    doubtful: Option<SessionRecord>,
    /// The intent that was open before this flow's own.
    earlier_intent: Option<Intent>,
    /// A record with an intent under which nothing was sent.
    unsent: Option<SessionRecord>,
    /// Requests that were sent for this flow.
    attempts: u32,
    /// Failures in a row, those in the record included.
    failures: u32,
    /// Whether others have failed just before: then there is one attempt, and no waiting.
    failing: bool,
    /// The last request of which nobody knows whether it took effect.
    lost: Option<Error>,
    /// LoginRadius's refusal of these tokens.
    refused: Option<(Error, Tokens)>,
    /// What a hold is saved for.
    failure: Option<(Error, Duration)>,
    events: Vec<SessionEvent>,
    result: Result<Option<AccessToken>, Error>,
}

#[derive(Debug, Clone)]
enum Goal {
    Token,
    SignIn,
    /// Which sign-in, once that is known: a later one of somebody else stays.
    SignOut(Option<u64>),
    Forget,
}

#[derive(Debug, Clone)]
struct Pending {
    record: SessionRecord,
    /// When this process asked for it.
    asked: Option<Instant>,
    expected: Option<u64>,
    /// What was spent for it; `None` for a new sign-in.
    spent: Option<Tokens>,
    /// The sign-in that a new sign-in replaces, if there is one, as far as is known; and when that was.
    replaces: Option<Option<u64>>,
    since: SystemTime,
    /// What was wrong with the rest of the answer.
    /// And until when nobody should try again.
    fault: Option<(Error, Duration)>,
    /// Failures to save it, before this flow.
    failures: u32,
    /// Whether an earlier flow got it.
    kept: bool,
}

impl Pending {
    /// Whether the record says that the session of this very pair is over.
    fn is_over(&self, record: &SessionRecord) -> bool {
        record.sign_in == self.record.sign_in
            && match record.mark {
                Mark::None => false,
                Mark::SigningOut => !self.is_newer_than(record),
                Mark::Refused(_) => record.tokens.same_refresh_token(&self.record.tokens),
            }
    }

    /// Whether the record still holds what was spent for this pair.
    fn is_newer_than(&self, record: &SessionRecord) -> bool {
        record.sign_in == self.record.sign_in
            && self.spent.as_ref().is_some_and(|spent| record.tokens.same_refresh_token(spent))
            // A server that does not rotate: the refresh token alone does not tell.
            && !record.tokens.same_pair(&self.record.tokens)
    }
}

#[derive(Debug, Clone)]
enum State {
    Start,
    /// Another one has the lock.
    Busy {
        until: Instant,
    },
    Locking,
    Loading,
    Saving {
        what: Write,
        record: Box<SessionRecord>,
        expected: Option<u64>,
        since: (Instant, SystemTime),
    },
    Clearing {
        expected: Option<u64>,
    },
    /// To be sent at once, under an intent or a mark of that moment.
    Ready {
        since: (Instant, SystemTime),
    },
    Out {
        sent: Instant,
        sent_at: SystemTime,
        deadline: Instant,
    },
    Pausing {
        until: Instant,
    },
    Unlocking,
    Done {
        told: bool,
    },
}

/// What a save is for.
#[derive(Debug, Clone, Copy)]
enum Write {
    Intent,
    Pair,
    Hold,
    Refusal,
    SigningOut,
}

impl SessionFlow {
    /// How often a flow begins again before it gives up.
    const MOST_RESTARTS: u32 = 5;
    /// How soon the lock is tried again; twice as long each time, up to the longest.
    const FIRST_LOCK_WAIT: Duration = Duration::from_millis(5);
    const LONGEST_LOCK_WAIT: Duration = Duration::from_millis(160);
    /// The least time between two attempts of different callers, whatever the policy.
    const LEAST_HOLD: Duration = Duration::from_secs(1);
    /// The longest `Retry-After` that is obeyed: a session must not be lost to a wrong header.
    const LONGEST_HOLD: Duration = Duration::from_secs(3600);
    /// The longest time between two attempts to save a pair.
    const LONGEST_SAVE_WAIT: Duration = Duration::from_secs(60);

    /// Gets an access token that is good: the stored one, or a new one.
    ///
    /// The seed is for the jitter, and need not be secret; take another one for each flow.
    #[must_use]
    pub fn token(app: &App, policy: SessionPolicy, memory: SessionMemory, seed: u64) -> Self {
        Self::new(app, policy, memory, Goal::Token, seed)
    }

    /// Stores the tokens of a new sign-in, in place of an earlier one's.
    ///
    /// If they cannot be stored, the result is an error, and they are in the memory alone
    /// ([`SessionMemory::unsaved`]), from where a later flow saves them.
    ///
    /// Their lifetime is counted from [`TokenSet::requested_at`], or from the flow's first step. The seed is
    /// for the jitter and for the identifiers of the sign-in, and need not be secret; take another one for
    /// each flow.
    #[must_use]
    pub fn sign_in(app: &App, policy: SessionPolicy, memory: SessionMemory, tokens: TokenSet, seed: u64) -> Self {
        let mut flow = Self::new(app, policy, memory, Goal::SignIn, seed);
        let (generation, sign_in) = (flow.jitter.bits(), flow.jitter.bits());
        let asked = tokens.requested_at;
        // The moment is known at the first step.
        let tokens = Tokens::new(tokens, SystemTime::UNIX_EPOCH);
        let record = SessionRecord::new(app, tokens, generation, sign_in);
        flow.pending = Some(Pending {
            record,
            asked,
            expected: None,
            spent: None,
            replaces: None,
            since: SystemTime::UNIX_EPOCH,
            fault: None,
            failures: 0,
            kept: false,
        });
        flow
    }

    /// Signs out: marks the record, so that it is not handed out any more, revokes the refresh token, and
    /// clears the record. If the network fails, the mark stays, and the next flow goes on from there.
    #[must_use]
    pub fn sign_out(app: &App, policy: SessionPolicy, memory: SessionMemory, seed: u64) -> Self {
        Self::new(app, policy, memory, Goal::SignOut(None), seed)
    }

    /// Clears the record without a word to LoginRadius.
    #[must_use]
    pub fn forget(app: &App, policy: SessionPolicy, memory: SessionMemory, seed: u64) -> Self {
        Self::new(app, policy, memory, Goal::Forget, seed)
    }

    fn new(app: &App, policy: SessionPolicy, memory: SessionMemory, goal: Goal, seed: u64) -> Self {
        Self {
            app: app.clone(),
            policy,
            goal,
            memory,
            jitter: Jitter::new(seed),
            state: State::Start,
            asked: false,
            awake: None,
            slept: false,
            lock_until: None,
            busy: 0,
            locked: false,
            relock: false,
            restarts: 0,
            conflicts: 0,
            unsure: false,
            stored: None,
            pending: None,
            doubted: false,
            doubtful: None,
            earlier_intent: None,
            unsent: None,
            attempts: 0,
            failures: 0,
            failing: false,
            lost: None,
            refused: None,
            failure: None,
            events: Vec::new(),
            result: Ok(None),
        }
    }

    /// What to do at this moment. Call it at the start, after every [`receive`](Self::receive), and when a
    /// [`SessionStep::Wait`] is over; earlier calls answer the same again.
    pub fn step(&mut self, now: Instant, clock: SystemTime) -> SessionStep {
        let at = At { now, clock };
        if let Some((request, options)) = self.advance(at) {
            return SessionStep::Send { request, options };
        }
        if let State::Locking = self.state
            && !self.asked
        {
            self.slept = false;
        }
        self.asked = true;
        match &self.state {
            State::Locking => SessionStep::Lock,
            State::Loading => SessionStep::Load,
            State::Saving { record, expected, .. } => {
                SessionStep::Save { record: (**record).clone(), expected: *expected }
            }
            State::Clearing { expected } => SessionStep::Clear { expected: *expected },
            State::Busy { until } | State::Pausing { until } | State::Out { deadline: until, .. } => {
                SessionStep::Wait(*until)
            }
            State::Unlocking => SessionStep::Unlock,
            State::Done { .. } => SessionStep::Done(self.end(at)),
            // Left in `advance`.
            State::Start | State::Ready { .. } => SessionStep::Wait(now),
        }
    }

    /// What time alone changes, and the request that is to be sent now.
    fn advance(&mut self, at: At) -> Option<(Request<Body>, SendOptions)> {
        let now = at.now;
        self.look_at_the_clocks(at);
        match self.state {
            State::Start => self.begin(at),
            State::Loading if self.slept => self.restart(at),
            State::Busy { until } if now >= until => self.state = State::Locking,
            State::Out { deadline, .. } if now >= deadline => {
                self.answered(Err(Error::lost("the transport gave no outcome by the request's deadline")), at);
            }
            State::Pausing { until } if now >= until => self.attempt(at),
            _ => {}
        }
        if let State::Ready { since } = self.state {
            // An intent that is older than any answer may be is not one any more: this process was
            // suspended, and its lock may have become another's.
            if self.slept || at.since(since) > self.policy.timeout {
                self.unsent = self.stored.take();
                self.restart(at);
            } else {
                return self.send(at);
            }
        }
        None
    }

    /// The outcome of a step.
    pub fn receive(&mut self, input: SessionInput, now: Instant, clock: SystemTime) {
        let at = At { now, clock };
        if !std::mem::take(&mut self.asked) {
            return;
        }
        self.look_at_the_clocks(at);
        match (&self.state, input) {
            (State::Locking, SessionInput::Locked(Ok(true))) if self.slept => {
                self.locked = true;
                self.restart(at);
            }
            (State::Loading, SessionInput::Loaded(_)) if self.slept => self.restart(at),
            (State::Locking, SessionInput::Locked(outcome)) => self.lock_tried(outcome, at),
            (State::Loading, SessionInput::Loaded(outcome)) => self.loaded(outcome, at),
            (State::Saving { .. } | State::Clearing { .. }, SessionInput::Saved(outcome)) => self.saved(outcome, at),
            (State::Out { .. }, SessionInput::Answered(outcome)) => self.answered(outcome, at),
            (State::Unlocking, SessionInput::Unlocked) => {
                self.locked = false;
                self.state = if self.relock { State::Locking } else { State::Done { told: false } };
                self.relock = false;
            }
            _ => self.asked = true,
        }
    }

    /// Notices that this process was suspended so long that its lock may have become another's, if locks are
    /// leases. What is loaded after that may be what that other one is about to change.
    fn look_at_the_clocks(&mut self, at: At) {
        let patience = self.policy.timeout.max(self.policy.retry.longest_wait);
        // The timeouts of sockets come late, on Linux by up to an eighth.
        let patience = match self.state {
            State::Out { .. } => patience.saturating_add(patience / 4).saturating_add(Duration::from_secs(1)),
            _ => patience,
        };
        let awake = self.awake.replace(at).unwrap_or(at);
        self.slept |= at.since((awake.now, awake.clock)) > patience;
    }

    // The beginning, and the lock.

    fn begin(&mut self, at: At) {
        self.lock_until = Some(after(at.now, self.policy.lock_wait));
        self.locked = self.memory.keeps_lock();
        if let (Goal::SignIn, Some(pending)) = (&self.goal, &mut self.pending) {
            let asked = pending.asked.unwrap_or(at.now);
            let age = at.now.saturating_duration_since(asked);
            pending.asked = Some(asked);
            pending.since = at.clock;
            pending.replaces = match &self.memory.unsaved {
                Some(unsaved) if unsaved.spent.is_none() => unsaved.replaces,
                _ => self.memory.pair.as_ref().map(|pair| Some(pair.record.sign_in)),
            };
            pending.record.tokens.set_obtained_at(at.clock.checked_sub(age).unwrap_or(at.clock));
        } else if let (Some(pair), Some(unsaved)) = (&self.memory.pair, &self.memory.unsaved) {
            self.pending = Some(Pending {
                record: pair.record.clone(),
                asked: None,
                expected: unsaved.expected,
                spent: unsaved.spent.clone(),
                replaces: unsaved.replaces,
                since: unsaved.since,
                fault: None,
                failures: unsaved.failures,
                kept: true,
            });
        }
        let gained = self.pending.as_ref().is_some_and(|pending| pending.spent.is_some());
        match (&self.goal, self.locked) {
            (Goal::Token, true) if gained => self.save_pending(at),
            (_, true) => self.state = State::Loading,
            (_, false) => self.state = State::Locking,
        }
    }

    fn lock_tried(&mut self, outcome: Result<bool, Error>, at: At) {
        match outcome {
            Ok(true) => {
                self.locked = true;
                self.state = State::Loading;
            }
            // Whoever has it is refreshing: what there is will do meanwhile.
            Ok(false) if self.can_do_without(at) => self.finish_quietly(Self::busy(), at),
            Ok(false) if self.lock_until.is_some_and(|until| at.now < until) => {
                self.busy = self.busy.saturating_add(1);
                let wait = doubled(Self::FIRST_LOCK_WAIT, self.busy, Self::LONGEST_LOCK_WAIT);
                self.state = State::Busy { until: after(at.now, self.jitter.shorten(wait)) };
            }
            Ok(false) => self.store_failed(Self::busy(), at),
            Err(error) => self.store_failed(error, at),
        }
    }

    /// Whether the caller has a good token, and nothing would be lost if this flow ended.
    fn can_do_without(&self, at: At) -> bool {
        let nothing_new = match &self.pending {
            Some(pending) => pending.kept && !self.memory.keeps_lock(),
            None => true,
        };
        matches!(self.goal, Goal::Token) && nothing_new && self.good(at).is_some()
    }

    fn busy() -> Error {
        let message = "another process has the session's lock, for a refresh or because it cannot save one; try again \
                       later";
        Error::new(ErrorKind::TryLater, message)
    }

    /// Gives the lock back, if it is held and may be, and ends.
    fn release(&mut self) {
        let keep = self.memory.keeps_lock();
        self.state = if self.locked && !keep { State::Unlocking } else { State::Done { told: false } };
    }

    fn finish(&mut self, result: Result<Option<AccessToken>, Error>) {
        self.result = result;
        self.release();
    }

    /// Ends with the token that is there, if it is good, and lets callers be for a moment; else with the error.
    fn finish_quietly(&mut self, error: Error, at: At) {
        match self.good(at) {
            Some(token) => {
                self.memory.quiet_until = Some(after(at.now, Self::LEAST_HOLD));
                self.finish(Ok(Some(token)));
            }
            None => self.finish(Err(error)),
        }
    }

    /// The store did not do its part. Nothing was spent, or what was gained is in the memory.
    fn store_failed(&mut self, error: Error, at: At) {
        // Only a refusal says "sign in again", whatever a store may say.
        let error = match error.kind() {
            ErrorKind::Settings | ErrorKind::TryLater => error,
            _ => Error::try_later("the session's store failed; try again later", error),
        };
        if let Some(pending) = self.pending.take() {
            self.keep(pending, error, at);
        } else if matches!(self.goal, Goal::Token) {
            self.finish_quietly(error, at);
        } else {
            self.finish(Err(error));
        }
    }

    /// Others changed the record, or the lock may have been lost: begins again at the lock.
    fn restart(&mut self, at: At) {
        if self.is_going_round() {
            self.store_failed(
                Error::new(ErrorKind::TryLater, "the session is changed by others all the time; try again later"),
                at,
            );
            return;
        }
        self.slept = false;
        // As long as the store holds a token that is spent, the lock keeps others from sending it. But if
        // what was loaded under it cannot be replaced, it is not held any more.
        let gained = |pending: &Pending| !pending.kept && pending.spent.is_some();
        let guards = self.memory.keeps_lock() || self.pending.as_ref().is_some_and(gained);
        if self.locked && guards && self.conflicts < 2 {
            self.unsure = true;
            self.state = State::Loading;
            return;
        }
        self.lock_until = Some(after(at.now, self.policy.lock_wait));
        self.relock = self.locked;
        self.state = if self.locked { State::Unlocking } else { State::Locking };
    }

    fn is_going_round(&mut self) -> bool {
        self.restarts += 1;
        self.restarts > Self::MOST_RESTARTS
    }

    // The record.

    fn loaded(&mut self, outcome: LoadOutcome, at: At) {
        let record = match outcome {
            LoadOutcome::Record(record) if record.client_id != self.app.client_id => {
                let message = format!(
                    "the stored session belongs to the client id `{}`, not to `{}`: use another name or another store",
                    printable(&record.client_id),
                    printable(&self.app.client_id),
                );
                return self.store_failed(Error::settings(message), at);
            }
            LoadOutcome::Record(record) => Some(record),
            LoadOutcome::Nothing => None,
            LoadOutcome::Damaged(_) if matches!(self.goal, Goal::SignIn) => None,
            LoadOutcome::Damaged(_) if matches!(self.goal, Goal::Forget) => {
                self.state = State::Clearing { expected: None };
                return;
            }
            LoadOutcome::Damaged(error) | LoadOutcome::Failed(error) => return self.store_failed(error, at),
        };
        if let Some((pending, record)) = self.pending.as_ref().zip(record.as_ref())
            && pending.kept
            && pending.spent.is_none()
            && pending.record.sign_in == record.sign_in
        {
            // That sign-in was stored after all, and what is there came of it.
            let kept_lock = self.memory.keeps_lock() && record.mark == Mark::None;
            self.pending = None;
            self.memory.unsaved = None;
            // The lock that was kept may have become another's, who refreshes that sign-in now. Of one that is
            // over, nothing is sent that could be spent.
            if kept_lock {
                return self.restart(at);
            }
        }
        self.memory.doubted = false;
        match self.goal {
            Goal::Token => self.loaded_for_token(record, at),
            Goal::SignIn => self.loaded_for_sign_in(record, at),
            Goal::SignOut(target) => self.loaded_for_sign_out(record, target, at),
            Goal::Forget => match record {
                Some(record) => {
                    self.state = State::Clearing { expected: Some(record.generation) };
                    self.stored = Some(record);
                }
                None => self.signed_out(),
            },
        }
    }

    fn loaded_for_token(&mut self, record: Option<SessionRecord>, at: At) {
        let doubtful = self.doubtful.take();
        let Some(record) = record else {
            match self.pending.take() {
                // A sign-in that has never been stored.
                Some(pending) if pending.spent.is_none() => self.save_over(pending, None, at),
                _ => self.gone("nobody is signed in here: sign in"),
            }
            return;
        };
        if let Some(pending) = self.pending.take() {
            return self.reconcile(pending, record, at);
        }
        if let Some(intended) = doubtful
            && intended.same_save(&record)
        {
            self.stored = Some(record);
            self.state = State::Ready { since: (at.now, at.clock) };
            return;
        }
        self.adopt(record, at);
    }

    fn loaded_for_sign_in(&mut self, record: Option<SessionRecord>, at: At) {
        if let Some(mut pending) = self.pending.take() {
            match record {
                Some(record) if pending.record.same_save(&record) => self.pair_is_saved(pending, at),
                // It was stored, and another process has gone on from there.
                Some(record) if pending.record.sign_in == record.sign_in => {
                    let asked = pending.asked.filter(|_| record.tokens.same_lifetime(&pending.record.tokens));
                    self.pair_is_saved(Pending { record, asked, ..pending }, at);
                }
                // It may have been stored, and somebody has signed in after that.
                Some(record)
                    if self.doubted
                        && pending.expected != Some(record.generation)
                        && pending.replaces != Some(Some(record.sign_in)) =>
                {
                    self.memory = SessionMemory::default();
                    self.take(&record, None, at);
                    self.stored = Some(record);
                    self.events.push(SessionEvent::Adopted { other_sign_in: true });
                    self.finish(Ok(None));
                }
                record => {
                    pending.replaces = Some(record.as_ref().map(|record| record.sign_in));
                    self.save_over(pending, record, at);
                }
            }
        }
    }

    /// What to do with a pair that is not stored, now that something else is.
    fn reconcile(&mut self, pending: Pending, record: SessionRecord, at: At) {
        if pending.record.same_save(&record) {
            self.pair_is_saved(pending, at);
        } else if pending.is_over(&record) {
            self.adopt(record, at);
        } else if match pending.spent {
            Some(_) => pending.is_newer_than(&record),
            // A sign-in that could not be stored: is what is there now older, or a later one of somebody else?
            None => {
                pending.expected == Some(record.generation)
                    || match pending.replaces {
                        Some(replaces) => replaces == Some(record.sign_in),
                        None => record.tokens.obtained_at <= pending.since,
                    }
            }
        } {
            self.save_over(pending, Some(record), at);
        } else {
            // Theirs is newer, or ours with something added to it: what is stored counts. But a kept lock
            // under which others could write was not one.
            if self.memory.keeps_lock() || self.unsure {
                self.memory.lost_lock();
                self.unsure = false;
                self.conflicts = 2;
                self.pending = Some(pending);
                return self.restart(at);
            }
            if record.tokens.same_lifetime(&pending.record.tokens) {
                self.take(&record, pending.asked, at);
                self.events.push(if pending.kept { SessionEvent::Saved } else { SessionEvent::Rotated });
            }
            self.adopt(record, at);
        }
    }

    /// Goes on with what the store holds.
    fn adopt(&mut self, mut record: SessionRecord, at: At) {
        if self.unsent.take().is_some_and(|unsent| unsent.same_save(&record)) {
            record.intent = self.earlier_intent;
        }
        match &record.mark {
            Mark::None => {}
            Mark::SigningOut => return self.gone("the session was signed out: sign in again"),
            Mark::Refused(why) => {
                let message = format!("the session is over: {why}; sign in again");
                return self.gone(&message);
            }
        }
        if let Some(pair) = &self.memory.pair
            && !pair.record.tokens.same_pair(&record.tokens)
        {
            let other_sign_in = pair.record.sign_in != record.sign_in;
            self.events.push(SessionEvent::Adopted { other_sign_in });
        }
        self.failures = record.hold.as_ref().filter(|hold| hold.is_recent(at.clock)).map_or(0, |hold| hold.failures);
        self.failing = self.failures > 0;
        self.take(&record, None, at);
        let left = record.hold.as_ref().and_then(|hold| Some((hold.left(at.clock)?, hold.failure.clone())));
        self.memory.hold = left.map(|(left, failure)| Hold { until: after(at.now, left), error: held(&failure, left) });
        self.memory.unsaved = None;
        let same_refresh_token = |(_, sent): &(Error, Tokens)| record.tokens.same_refresh_token(sent);
        let refused = self.refused.take().filter(same_refresh_token);
        self.stored = Some(record);
        match refused {
            Some((error, _)) => self.over(error, at),
            None => self.go_on(at),
        }
    }

    /// The token is good, or gets refreshed.
    fn go_on(&mut self, at: At) {
        let held = self.memory.hold.as_ref().filter(|hold| at.now < hold.until).map(|hold| hold.error.clone());
        match (self.good(at), held) {
            (Some(token), held) if held.is_some() || !self.memory.is_due(at) => self.finish(Ok(Some(token))),
            (None, Some(error)) => self.finish(Err(error)),
            _ if self.refresh_token().is_some() => self.attempt(at),
            (Some(token), _) => self.finish(Ok(Some(token))),
            (None, None) => self.cannot_refresh(at),
        }
    }

    fn cannot_refresh(&mut self, at: At) {
        let future = self.memory.pair.as_ref().is_some_and(|pair| pair.is_from_the_future(at));
        let error = if future {
            let message = "by this machine's clock, the access token comes from the future, and the session has no \
                           refresh token: set the clock right";
            Error::new(ErrorKind::TryLater, message)
        } else {
            let message = "the access token is no longer good, and the session has no refresh token: sign in again";
            Error::new(ErrorKind::SignInAgain, message)
        };
        self.finish(Err(error));
    }

    // Requests and their answers.

    fn refresh_token(&self) -> Option<RefreshToken> {
        self.stored.as_ref()?.tokens.refresh_token.clone()
    }

    /// The next request: a refresh under a new intent, or a revocation.
    fn attempt(&mut self, at: At) {
        if !matches!(self.goal, Goal::Token) {
            self.state = State::Ready { since: (at.now, at.clock) };
            return;
        }
        let Some((stored, token)) = self.stored.as_ref().zip(self.refresh_token()) else {
            return self.cannot_refresh(at);
        };
        let mut record = stored.clone();
        self.earlier_intent = record.intent;
        let attempt = record.intent.map_or(0, |intent| intent.attempt).saturating_add(1);
        record.intent = Some(Intent { at: at.clock, attempt });
        // Settings of which no request can be made must not leave an intent behind.
        match RefreshAccessToken::new(token).request(&self.app) {
            Ok(_) => self.save(Write::Intent, record, at),
            Err(error) => self.finish_quietly(error, at),
        }
    }

    fn send(&mut self, at: At) -> Option<(Request<Body>, SendOptions)> {
        let token = self.refresh_token().unwrap_or_else(|| RefreshToken::new(""));
        let request = match self.goal {
            Goal::SignOut(_) => self.revocation(token).request(&self.app),
            _ => RefreshAccessToken::new(token).request(&self.app),
        };
        match request {
            Ok(request) => {
                let deadline = after(at.now, self.policy.timeout);
                self.attempts = self.attempts.saturating_add(1);
                self.state = State::Out { sent: at.now, sent_at: at.clock, deadline };
                self.asked = true;
                Some((request, SendOptions { deadline, fresh_connection: true }))
            }
            Err(error) => {
                self.finish(Err(error));
                None
            }
        }
    }

    fn revocation(&self, token: RefreshToken) -> RevokeRefreshToken {
        let operation = RevokeRefreshToken::new(token);
        if self.policy.revoke_with_token_key { operation.with_token_key() } else { operation }
    }

    fn answered(&mut self, outcome: Result<Response<Body>, Error>, at: At) {
        let State::Out { sent, sent_at, .. } = self.state else { return };
        let Some((stored, token)) = self.stored.clone().zip(self.refresh_token()) else { return };
        // The driver may have looked at its clock before it sent.
        let at = At { now: at.now.max(sent), ..at };
        // Servers repeat in their texts what they were sent, and more.
        let secrets = stored.tokens.secrets();
        if let Goal::SignOut(_) = self.goal {
            let operation = self.revocation(token);
            let result = outcome.and_then(|answer| operation.revoked(&self.app, &answer, &secrets));
            return self.revoked(result.map_err(|error| error.of(operation.name()).to(&self.app.service)), at);
        }
        let operation = RefreshAccessToken::new(token);
        let (tokens, rotated) = match outcome {
            Ok(answer) => {
                let refreshed = operation.refreshed(&self.app, &answer, &secrets);
                (refreshed.tokens, refreshed.refresh_token)
            }
            Err(error) => (Err(error), Ok(None)),
        };
        match (tokens.map_err(|error| error.of(operation.name()).to(&self.app.service)), rotated) {
            (Ok(tokens), rotated) => {
                let old = stored.tokens.clone();
                let new = Tokens::new(tokens, sent_at);
                // If the next refresh token cannot be read, this one was spent for nothing that will last: the
                // intent stays open, like that of a lost answer.
                let (rotated, intent) = match rotated {
                    Ok(rotated) => (rotated, None),
                    Err(error) => {
                        self.events.push(SessionEvent::Retried { error });
                        (None, stored.intent)
                    }
                };
                let tokens = Tokens {
                    refresh_token: rotated.or(old.refresh_token),
                    token_type: new.token_type.or(old.token_type),
                    scope: new.scope.or(old.scope),
                    id_token: new.id_token.or(old.id_token),
                    ..new
                };
                let record = SessionRecord { tokens, intent, hold: None, ..stored.clone() };
                self.gained(&stored, record, Some(sent), None, at);
            }
            // The answer is faulty, but what would be lost with it can be read.
            (Err(fault), Ok(Some(rotated))) => {
                let wait = self.next_wait(&fault).max(Self::LEAST_HOLD);
                let hold = Some(self.stored_hold(&fault, wait, at));
                let tokens = Tokens { refresh_token: Some(rotated), ..stored.tokens.clone() };
                let record = SessionRecord { tokens, intent: None, hold, ..stored.clone() };
                self.gained(&stored, record, None, Some((fault.with_retry_after(wait), wait)), at);
            }
            (Err(error), _) if error.kind() == ErrorKind::SignInAgain && !is_failure(&error) => {
                self.refused = Some((error, stored.tokens));
                self.state = State::Loading;
            }
            (Err(error), _) => self.failed(error, at),
        }
    }

    /// A new pair, which has to be saved before anyone can use it.
    fn gained(
        &mut self,
        stored: &SessionRecord,
        record: SessionRecord,
        asked: Option<Instant>,
        fault: Option<(Error, Duration)>,
        at: At,
    ) {
        self.conflicts = 0;
        let record = SessionRecord { generation: stored.next_generation(), ..record };
        self.pending = Some(Pending {
            record,
            asked,
            expected: Some(stored.generation),
            spent: Some(stored.tokens.clone()),
            replaces: None,
            since: at.clock,
            fault,
            failures: 0,
            kept: false,
        });
        self.save_pending(at);
    }

    /// The refresh was not answered, or not by LoginRadius, or refused for another reason than its token.
    fn failed(&mut self, error: Error, at: At) {
        let definite = !is_failure(&error) && error.kind() != ErrorKind::TryLater;
        if definite || error.kind() == ErrorKind::NotSent {
            // The token was not spent by this request, so that its intent is none.
            if let Some(stored) = &mut self.stored {
                stored.intent = self.earlier_intent;
            }
        } else {
            self.lost = Some(error.clone());
        }
        let wait = self.next_wait(&error);
        self.events.push(SessionEvent::Retried { error: error.clone() });
        if !definite && self.good(at).is_none() && !self.failing && self.may_try_again(wait, at) {
            self.state = State::Pausing { until: after(at.now, wait) };
            return;
        }
        let wait = wait.max(Self::LEAST_HOLD);
        let hold = self.stored_hold(&error, wait, at);
        let error = if definite { error } else { error.into_try_later() }.with_retry_after(wait);
        self.failure = Some((error, wait));
        if let Some(stored) = &self.stored {
            let record = SessionRecord { hold: Some(hold), ..stored.clone() };
            self.save(Write::Hold, record, at);
        }
    }

    fn stored_hold(&self, error: &Error, wait: Duration, at: At) -> StoredHold {
        let until = at.clock.checked_add(wait).unwrap_or(at.clock);
        StoredHold { since: at.clock, until, failures: self.failures, failure: error.to_string() }
    }

    fn next_wait(&mut self, error: &Error) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let Retry { first_wait, longest_wait, .. } = self.policy.retry;
        let wait = self.jitter.shorten(doubled(first_wait, self.failures, longest_wait));
        wait.max(error.retry_after().unwrap_or_default().min(Self::LONGEST_HOLD))
    }

    /// Whether there is time for another attempt before those who wait for the lock give up.
    fn may_try_again(&self, wait: Duration, at: At) -> bool {
        let Retry { attempts, longest_wait, .. } = self.policy.retry;
        self.attempts < attempts
            && wait <= longest_wait
            && self.lock_until.is_none_or(|until| after(at.now, wait) < until)
    }

    /// The newest refresh token of the store was refused: only signing in again helps.
    fn over(&mut self, error: Error, at: At) {
        let Some(stored) = self.stored.clone() else { return self.finish(Err(error)) };
        let why = error.to_string();
        let lost = self.lost.take();
        let error = if lost.is_some() || self.earlier_intent.is_some() {
            error.with_note("the answer to an earlier refresh was lost, and the new tokens with it")
        } else {
            error
        };
        let error = match lost {
            Some(lost) => error.with_source(lost),
            None => error,
        };
        self.result = Err(error);
        let record = SessionRecord { mark: Mark::Refused(why), intent: None, hold: None, ..stored };
        self.save(Write::Refusal, record, at);
    }

    // Signing out.

    fn loaded_for_sign_out(&mut self, record: Option<SessionRecord>, target: Option<u64>, at: At) {
        let expected = record.as_ref().map(|record| record.generation);
        let newer = self.pending.as_ref().filter(|pending| match (&pending.spent, &record) {
            (None, Some(record)) => record.sign_in != pending.record.sign_in,
            (None, None) => true,
            (Some(_), Some(record)) => pending.is_newer_than(record),
            (Some(_), None) => false,
        });
        let (record, stored) = match (newer, record) {
            (Some(pending), _) => (pending.record.clone(), false),
            (None, Some(record)) => (record, true),
            (None, None) => return self.signed_out(),
        };
        if target.is_some_and(|target| target != record.sign_in) {
            return self.signed_out();
        }
        self.goal = Goal::SignOut(Some(record.sign_in));
        let marked = stored && record.mark == Mark::SigningOut;
        if marked {
            self.memory = SessionMemory::default();
            self.pending = None;
        }
        let dead = record.tokens.refresh_token.is_none() || matches!(record.mark, Mark::Refused(_));
        self.stored = Some(SessionRecord { generation: expected.unwrap_or(record.generation), ..record.clone() });
        if dead {
            match expected {
                Some(_) => self.state = State::Clearing { expected },
                None => self.signed_out(),
            }
        } else if marked {
            self.attempt(at);
        } else {
            let record = SessionRecord { mark: Mark::SigningOut, intent: None, hold: None, ..record };
            self.save_expecting(Write::SigningOut, record, expected, at);
        }
    }

    fn revoked(&mut self, result: Result<(), Error>, at: At) {
        let expected = self.stored.as_ref().map(|stored| stored.generation);
        match result {
            Ok(()) => self.state = State::Clearing { expected },
            Err(error) if is_gone(&error) => self.state = State::Clearing { expected },
            Err(error) if is_failure(&error) || error.kind() == ErrorKind::TryLater => {
                let wait = self.next_wait(&error);
                self.events.push(SessionEvent::Retried { error: error.clone() });
                if self.may_try_again(wait, at) {
                    self.state = State::Pausing { until: after(at.now, wait) };
                } else {
                    let note =
                        "the session is not handed out any more, but LoginRadius has not ended it yet: sign out again";
                    self.finish(Err(error.into_try_later().with_retry_after(wait).with_note(note)));
                }
            }
            Err(error) => self.finish(Err(error)),
        }
    }

    /// The record is not there any more, as was wanted.
    fn signed_out(&mut self) {
        self.pending = None;
        self.forget_pair(None);
        self.finish(Ok(None));
    }

    /// There is no session any more, as was not wanted.
    fn gone(&mut self, message: &str) {
        let error = Error::new(ErrorKind::SignInAgain, message);
        self.forget_pair(Some(error.clone()));
        self.finish(Err(error));
    }

    fn forget_pair(&mut self, error: Option<Error>) {
        let had = self.memory.pair.is_some() || self.stored.is_some();
        // What was reported bad stays bad: it may be loaded again.
        self.memory = SessionMemory { bad: self.memory.bad.take(), ..SessionMemory::default() };
        if had {
            self.events.push(SessionEvent::SignedOut { error });
        }
    }

    // Saving.

    fn save(&mut self, what: Write, record: SessionRecord, at: At) {
        let expected = Some(record.generation);
        let record = SessionRecord { generation: record.next_generation(), ..record };
        self.state = State::Saving { what, record: Box::new(record), expected, since: (at.now, at.clock) };
    }

    fn save_expecting(&mut self, what: Write, record: SessionRecord, expected: Option<u64>, at: At) {
        let record = SessionRecord { generation: expected.unwrap_or(record.generation), ..record };
        self.save(what, record, at);
        if let State::Saving { expected: stored, .. } = &mut self.state {
            *stored = expected;
        }
    }

    fn save_pending(&mut self, at: At) {
        if let Some(pending) = &self.pending {
            self.state = State::Saving {
                what: Write::Pair,
                record: Box::new(pending.record.clone()),
                expected: pending.expected,
                since: (at.now, at.clock),
            };
        }
    }

    /// Saves a pair over what is stored now. A mark that somebody else set stays.
    fn save_over(&mut self, mut pending: Pending, stored: Option<SessionRecord>, at: At) {
        pending.expected = stored.as_ref().map(|stored| stored.generation);
        if pending.spent.is_none() {
            // From now on it is known what it replaces, and no clock has to tell.
            pending.replaces = Some(stored.as_ref().map(|stored| stored.sign_in));
        }
        if let Some(stored) = stored {
            pending.record.generation = stored.next_generation();
            if stored.mark == Mark::SigningOut && pending.spent.is_some() {
                pending.record.mark = Mark::SigningOut;
            }
        }
        self.pending = Some(pending);
        self.save_pending(at);
    }

    fn saved(&mut self, outcome: SaveOutcome, at: At) {
        let state = std::mem::replace(&mut self.state, State::Loading);
        self.doubted |= matches!(outcome, SaveOutcome::Unknown(_));
        match (state, outcome) {
            (State::Saving { what: Write::Intent | Write::SigningOut, record, since, .. }, SaveOutcome::Saved) => {
                if let Goal::SignOut(_) = self.goal {
                    // Not signed out yet, but never handed out again; and the newest token is in the store.
                    self.memory = SessionMemory::default();
                    self.pending = None;
                }
                self.stored = Some(*record);
                self.state = State::Ready { since };
            }
            (State::Saving { what: Write::Pair, .. }, SaveOutcome::Saved) => {
                if let Some(pending) = self.pending.take() {
                    self.pair_is_saved(pending, at);
                }
            }
            (State::Saving { what: Write::Hold, .. }, _) => {
                if let Some((error, wait)) = self.failure.take() {
                    self.memory.hold = Some(Hold { until: after(at.now, wait), error: error.clone() });
                    self.finish_quietly(error, at);
                }
            }
            // If the refusal is not stored, the next one to ask hears it from LoginRadius.
            (State::Saving { what: Write::Refusal, .. }, outcome) if !matches!(outcome, SaveOutcome::Conflict) => {
                self.forget_pair(self.result.as_ref().err().cloned());
                self.release();
            }
            (State::Clearing { .. }, SaveOutcome::Saved) => self.signed_out(),
            (_, SaveOutcome::Conflict) => {
                self.conflicts += 1;
                self.restart(at);
            }
            (_, SaveOutcome::Failed(error)) => self.store_failed(error, at),
            (_, SaveOutcome::Unknown(error)) if self.is_going_round() => self.store_failed(error, at),
            (State::Saving { what: Write::Intent, record, .. }, SaveOutcome::Unknown(_)) => {
                self.doubtful = Some(*record);
            }
            // Loaded, to see what was stored.
            (_, SaveOutcome::Unknown(_) | SaveOutcome::Saved) => {}
        }
    }

    /// The store holds the newest pair.
    fn pair_is_saved(&mut self, pending: Pending, at: At) {
        let Pending { record, asked, spent, fault, kept, .. } = pending;
        self.take(&record, asked, at);
        self.memory.unsaved = None;
        self.memory.doubted = false;
        let marked = record.mark != Mark::None;
        self.stored = Some(record);
        if marked {
            return self.gone("the session was signed out: sign in again");
        }
        if let Some((fault, wait)) = fault {
            self.events.push(SessionEvent::Retried { error: fault.clone() });
            self.memory.hold = Some(Hold { until: after(at.now, wait), error: fault.clone() });
            return self.finish_quietly(fault, at);
        }
        self.memory.hold = None;
        self.events.push(match spent {
            _ if kept => SessionEvent::Saved,
            Some(_) => SessionEvent::Rotated,
            None => SessionEvent::SignedIn,
        });
        match (&self.goal, self.good(at)) {
            // The lock was kept for long, and may have been lost meanwhile.
            (Goal::Token, None) if kept => self.restart(at),
            (Goal::Token, Some(token)) => self.finish(Ok(Some(token))),
            (Goal::Token, None) => {
                // The next refresh would fare no better.
                let error = too_short().with_retry_after(Self::LEAST_HOLD);
                self.memory.hold = Some(Hold { until: after(at.now, Self::LEAST_HOLD), error: error.clone() });
                self.finish(Err(error));
            }
            _ => self.finish(Ok(None)),
        }
    }

    /// The pair cannot be stored now: it stays in the memory, and so does the lock, if the store still holds
    /// the token that was spent for it.
    fn keep(&mut self, pending: Pending, error: Error, at: At) {
        let Pending { record, asked, expected, spent, replaces, since, failures, kept, .. } = pending;
        let failures = failures.saturating_add(1);
        self.take(&record, asked, at);
        let wait = self.jitter.shorten(doubled(Self::LEAST_HOLD, failures, Self::LONGEST_SAVE_WAIT));
        let retry_at = after(at.now, wait);
        let locked = self.locked && (spent.is_some() || self.memory.keeps_lock());
        self.memory.unsaved =
            Some(Unsaved { error: error.clone(), retry_at, failures, expected, spent, replaces, since, locked });
        if !kept {
            self.memory.hold = None;
            self.events.push(SessionEvent::Unsaved { error: error.clone() });
        }
        match (&self.goal, self.good(at)) {
            (Goal::Token, Some(token)) => self.finish(Ok(Some(token))),
            _ => self.finish(Err(error)),
        }
    }

    // The memory, and the end.

    fn good(&self, at: At) -> Option<AccessToken> {
        self.memory.good(at).cloned()
    }

    /// Remembers a record. One that this process asked for is good, whatever was said of the one before.
    fn take(&mut self, record: &SessionRecord, asked: Option<Instant>, at: At) {
        if asked.is_some() {
            self.memory.bad = None;
        }
        self.memory.take(record.clone(), asked, at, self.policy.early, &mut self.jitter);
    }

    fn end(&mut self, at: At) -> SessionEnd {
        let told = std::mem::replace(&mut self.state, State::Done { told: true });
        let result = match (told, std::mem::replace(&mut self.result, Ok(None))) {
            (State::Done { told: true }, _) => Err(Error::finished()),
            // Unlocking took its time, or the process was suspended.
            (_, Ok(Some(_))) if self.good(at).is_none() => Err(too_short()),
            (_, result) => result,
        };
        SessionEnd { memory: self.memory.clone(), result, events: std::mem::take(&mut self.events) }
    }
}

/// Whether LoginRadius says that the token which is to be revoked is not valid any more.
fn is_gone(error: &Error) -> bool {
    // RFC 7009, section 2.2 would answer 200; LoginRadius answers `invalid_request` to one of its two
    // revocation endpoints ("The access_token is invalid or expired.").
    let says_so = |service: &crate::error::ServiceError| {
        service.oauth_error.as_deref() == Some("invalid_request")
            && service.description.as_deref().is_some_and(|text| text.contains("invalid or expired"))
    };
    !is_failure(error) && (error.kind() == ErrorKind::SignInAgain || error.service().is_some_and(says_so))
}

/// What those get who come while nobody should try.
fn held(failure: &str, left: Duration) -> Error {
    Error::new(ErrorKind::TryLater, format!("the last refresh failed ({failure}); the session goes on"))
        .with_retry_after(left)
}

fn too_short() -> Error {
    let message = "the access token's lifetime ended before it could be handed out; try again";
    Error::new(ErrorKind::TryLater, message)
}

fn printable(text: &str) -> String {
    text.chars().take(200).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
