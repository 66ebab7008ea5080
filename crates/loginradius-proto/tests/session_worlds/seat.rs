//! A process's place at one name of the store: what an adapter keeps (the memory, the lock), one flow at a
//! time, and the promises that one flow, or one caller, can see broken.

use std::time::Duration;

use loginradius_proto::session::{
    Handout, LoadOutcome, SaveOutcome, SessionEnd, SessionEvent, SessionFlow, SessionInput, SessionMemory,
    SessionPolicy, SessionRecord, SessionStep,
};
use loginradius_proto::{AccessToken, App, Body, Error, ErrorKind, RefreshToken, TokenSet};

use super::books::{Books, CANARY, LEEWAY, Outcome, Refresh, Seen, number};
use super::chance::{MINUTE, Moment, SECOND, Time, instant, mono};

/// More steps than any flow has to take, and more than any takes without a wait.
const MOST_STEPS: u32 = 1_500;
const MOST_STEPS_AT_ONCE: u32 = 60;
/// Whoever has not been called for longer than that has slept.
const TIMEOUT: Time = 30 * SECOND;

pub(crate) fn access_token(access: usize) -> String {
    format!("access{CANARY}{access}")
}

pub(crate) fn refresh_token(refresh: usize) -> String {
    format!("refresh{CANARY}{refresh}")
}

/// What a flow is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    Token,
    /// The tokens, and when they were asked for, if somebody knows.
    SignIn {
        access: usize,
        refresh: Option<usize>,
        asked: Option<Time>,
    },
    SignOut,
    Forget,
}

/// What a flow has asked for, and waits for.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    /// To be stepped.
    Nothing,
    Lock,
    Load,
    Save(Box<SessionRecord>, Option<u64>),
    Clear(Option<u64>),
    Unlock,
    /// A request, and until when to wait for its answer.
    Answer(usize, Time),
    Time(Time),
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Save(record, expected) => write!(f, "saves {} over {expected:?}", seen(record)),
            Self::Clear(expected) => write!(f, "clears {expected:?}"),
            Self::Answer(request, _) => write!(f, "sends {request}, or waits for its answer"),
            asked => write!(f, "{asked:?}"),
        }
    }
}

/// How an operation of the store ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Well,
    Fails,
    /// The caller is not told whether it was done.
    DoneUnknown,
    NotDoneUnknown,
}

/// What somebody has seen in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Nothing,
    /// A sign-in.
    Session(usize),
    /// A sign-in whose newest refresh token was refused.
    Refused,
    /// A sign-in whose user is signing out, or stopped half way.
    SigningOut(usize),
}

/// A number that is no part of a state: how one got there.
#[derive(Clone, Copy, Default)]
struct Count(u32);

impl std::fmt::Debug for Count {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

/// A flow that is running.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) flow: SessionFlow,
    pub(crate) goal: Goal,
    pub(crate) asked: Asked,
    begun: bool,
    /// When the flow was called last, and whether its process has slept since it asked for the lock.
    awake: Moment,
    slept: bool,
    steps: Count,
    steps_at_once: Count,
    /// The newest access token of the memory when the flow began.
    before: Option<usize>,
    /// What it has seen last in the store, or put there itself.
    seen: Option<Sight>,
    /// Whether what was loaded last says that nobody should try now.
    held: bool,
    wrote: bool,
    /// Whether what was loaded last says by itself that the session is over.
    over: bool,
    /// The newest refresh token that it has seen in the store.
    newest: Option<usize>,
    /// The token that LoginRadius has refused to this flow.
    refused: Option<usize>,
    /// Whose sign-in it has begun to sign out.
    target: Option<usize>,
}

/// How a flow ended.
#[derive(Debug)]
pub(crate) enum End {
    /// With an access token.
    Token,
    /// The sign-in, or its end, is done.
    Done,
    Error(Error),
}

/// What a flow wants next.
#[derive(Debug)]
pub(crate) enum Next {
    /// An operation of the store.
    Store,
    Answer(usize),
    Time,
    End(End),
}

#[derive(Debug, Clone, Copy)]
struct Bound {
    access: usize,
    until: Time,
    own: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) process: usize,
    pub(crate) name: usize,
    app: App,
    /// Whether it is of another app, and came to this name by mistake.
    pub(crate) foreign: bool,
    pub(crate) memory: SessionMemory,
    pub(crate) run: Option<Run>,
    /// Whether the process believes that it has the lock.
    pub(crate) locked: bool,
    /// Access tokens that were reported bad here.
    bad: Vec<usize>,
    /// Until when access tokens live by this process's monotonic clock, as far as it can know: those that it
    /// has asked for itself, and others.
    bounds: Vec<Bound>,
    /// Whether it was told that the newest tokens are not in the store.
    told: bool,
    /// Sign-ins of which it is not known whether they were stored.
    doubtful: Vec<usize>,
}

impl Run {
    fn note_sleep(&mut self, at: Moment) {
        let gap = (at.mono - self.awake.mono).max(at.wall.saturating_sub(self.awake.wall));
        self.slept |= gap > TIMEOUT;
        self.awake = at;
    }
}

impl Sight {
    fn of(seen: &Seen, family: usize) -> Self {
        match seen.refused {
            _ if seen.signing_out => Self::SigningOut(family),
            Some(_) => Self::Refused,
            None => Self::Session(family),
        }
    }
}

impl Seat {
    pub(crate) fn new(process: usize, name: usize, foreign: bool) -> Self {
        Self {
            process,
            name,
            app: App::new(if foreign { "another-client" } else { "my-client" }),
            foreign,
            memory: SessionMemory::default(),
            run: None,
            locked: false,
            bad: Vec::new(),
            bounds: Vec::new(),
            told: false,
            doubtful: Vec::new(),
        }
    }

    // What callers do.

    pub(crate) fn start(&mut self, books: &Books, policy: SessionPolicy, goal: Goal, seed: u64, at: Moment) {
        let (app, memory) = (&self.app, self.memory.clone());
        let flow = match goal {
            Goal::Token => SessionFlow::token(app, policy, memory, seed),
            Goal::SignOut => SessionFlow::sign_out(app, policy, memory, seed),
            Goal::Forget => SessionFlow::forget(app, policy, memory, seed),
            Goal::SignIn { access, refresh, asked } => {
                let mut tokens = TokenSet::new(access_token(access));
                tokens.refresh_token = refresh.map(|refresh| RefreshToken::new(refresh_token(refresh)));
                tokens.expires_in = books.accesses[access].lifetime.map(Duration::from_millis);
                tokens.requested_at = asked.map(instant);
                SessionFlow::sign_in(app, policy, memory, tokens, seed)
            }
        };
        self.run = Some(Run {
            flow,
            goal,
            asked: Asked::Nothing,
            begun: false,
            awake: at,
            slept: false,
            steps: Count(0),
            steps_at_once: Count(0),
            before: self.newest(at),
            seen: None,
            held: false,
            wrote: false,
            over: false,
            newest: None,
            refused: None,
            target: None,
        });
    }

    /// The newest access token of the memory, good or not.
    pub(crate) fn newest(&self, at: Moment) -> Option<usize> {
        number(self.memory.tokens(at.instant(), at.clock())?.access_token.expose())
    }

    /// The refresh token that goes with it.
    pub(crate) fn newest_refresh(&self, at: Moment) -> Option<usize> {
        number(self.memory.tokens(at.instant(), at.clock())?.refresh_token?.expose())
    }

    /// A caller asks for a token. Says whether it got one, and whether it has to start a flow.
    pub(crate) fn ask(&self, books: &mut Books, at: Moment) -> (Option<usize>, bool) {
        match self.memory.handout(at.instant(), at.clock()) {
            Handout::Good(token) => {
                books.tally.quick += 1;
                (Some(self.judge_token(books, token, at)), false)
            }
            Handout::Early(token) => {
                books.tally.early += 1;
                (Some(self.judge_token(books, token, at)), true)
            }
            Handout::Held(error) => {
                books.tally.held += 1;
                let kind = error.kind();
                assert!(!matches!(kind, ErrorKind::SignInAgain | ErrorKind::Finished), "promise 4: held by {error:?}");
                (None, false)
            }
            Handout::Refresh => (None, true),
        }
    }

    /// An API refused the token. Says whether to start a flow.
    pub(crate) fn report(&mut self, books: &mut Books, access: usize, at: Moment) -> bool {
        let newest = self.newest(at);
        let is_newest = self.memory.report(&AccessToken::new(access_token(access)));
        assert_eq!(is_newest, newest.is_none_or(|newest| newest == access), "promise 7: what is the newest?");
        if is_newest {
            self.bad.push(access);
        }
        books.tally.reported += u64::from(is_newest);
        is_newest
    }

    // What a flow does.

    pub(crate) fn step(&mut self, books: &mut Books, at: Moment) -> Next {
        let run = self.run.as_mut().expect("a flow");
        run.note_sleep(at);
        run.steps.0 += 1;
        run.steps_at_once.0 += 1;
        assert!(run.steps.0 < MOST_STEPS && run.steps_at_once.0 < MOST_STEPS_AT_ONCE, "promise 9: a hot loop");
        if !run.begun {
            run.begun = true;
            if let Goal::SignIn { access, asked, .. } = run.goal {
                let age = asked.map_or(0, |asked| at.mono - asked);
                books.accesses[access].asked = Some(Moment { mono: at.mono - age, wall: at.wall - age });
                self.note_bound(books, access, true, at.mono - age, 0);
            }
        }
        let run = self.run.as_mut().expect("a flow");
        let step = run.flow.step(at.instant(), at.clock());
        let (asked, next) = match step {
            SessionStep::Lock => {
                assert!(!self.locked, "promise 9: asks for the lock that it has");
                run.slept = false;
                (Asked::Lock, Next::Store)
            }
            SessionStep::Wait(until) => {
                let until = mono(until);
                let answer = if let Asked::Answer(request, _) = run.asked { Some(request) } else { None };
                assert!(until <= at.mono + MINUTE, "promise 9: waits for {} ms", until - at.mono);
                run.steps_at_once = Count(0);
                (answer.map_or(Asked::Time(until), |request| Asked::Answer(request, until)), Next::Time)
            }
            SessionStep::Done(end) => {
                let mut flow = run.flow.clone();
                let SessionStep::Done(again) = flow.step(at.instant(), at.clock()) else {
                    panic!("promise 9: no end after the end")
                };
                let kind = again.result.map_err(|error| error.kind());
                assert!(matches!(kind, Err(ErrorKind::Finished)), "promise 9: two ends");
                assert!(again.events.is_empty(), "promise 9: events told twice");
                return Next::End(self.end(books, end, at));
            }
            step => {
                assert!(self.locked, "promise 2: {step:?} without the lock");
                match step {
                    SessionStep::Load => (Asked::Load, Next::Store),
                    SessionStep::Clear { expected } => (Asked::Clear(expected), Next::Store),
                    SessionStep::Unlock => (Asked::Unlock, Next::Store),
                    SessionStep::Save { record, expected } => {
                        run.wrote = true;
                        (Asked::Save(Box::new(record), expected), Next::Store)
                    }
                    SessionStep::Send { request, options } => {
                        let deadline = mono(options.deadline);
                        assert!(
                            (at.mono + 1..=at.mono + MINUTE).contains(&deadline),
                            "promise 9: waits for {deadline}"
                        );
                        let revokes = request.uri().path().ends_with("revoke");
                        let token = token_of(request.body());
                        let held = run.held && !revokes;
                        assert!(!held, "promise 9: nobody should try now, and process {} does", self.process);
                        let sent = books.send(self.process, self.name, token, revokes, at);
                        run.steps_at_once = Count(0);
                        (Asked::Answer(sent, deadline), Next::Answer(sent))
                    }
                    step => unreachable!("{step:?}"),
                }
            }
        };
        run.asked = asked;
        next
    }

    /// An operation of the store is done, or not; returns what the flow will hear of it.
    pub(crate) fn act(&mut self, books: &mut Books, fate: Fate, lapsed: impl Fn(usize) -> bool) -> SessionInput {
        let broken = || Error::try_later("the store is out of order", "no space left");
        let (process, name) = (self.process, self.name);
        let run = self.run.as_mut().expect("a flow");
        match (&run.asked, fate) {
            (Asked::Lock, Fate::Well) => SessionInput::Locked(Ok(books.lock(process, name, lapsed))),
            (Asked::Lock, _) => SessionInput::Locked(Err(broken())),
            (Asked::Load, Fate::Well) => SessionInput::Loaded(books.load(name)),
            (Asked::Load, _) => {
                books.tally.failed_loads += 1;
                SessionInput::Loaded(LoadOutcome::Failed(broken()))
            }
            (Asked::Save(..) | Asked::Clear(_), Fate::Fails) => {
                books.tally.failed_saves += 1;
                SessionInput::Saved(SaveOutcome::Failed(broken()))
            }
            (Asked::Save(..) | Asked::Clear(_), Fate::NotDoneUnknown) => {
                books.tally.unknown_saves += 1;
                SessionInput::Saved(SaveOutcome::Unknown(broken()))
            }
            (asked @ (Asked::Save(..) | Asked::Clear(_)), fate) => {
                let saved = match asked {
                    Asked::Save(record, expected) => books.save(process, name, record, *expected, &self.doubtful),
                    Asked::Clear(expected) => {
                        // Of a sign-in that is in the memory alone, the store knows nothing.
                        let revoked = run.goal == Goal::SignOut && self.memory.unsaved().is_none();
                        books.clear(name, *expected, revoked, run.target)
                    }
                    _ => unreachable!(),
                };
                SessionInput::Saved(match (saved, fate) {
                    (_, Fate::DoneUnknown) => {
                        books.tally.unknown_saves += 1;
                        SaveOutcome::Unknown(broken())
                    }
                    (true, _) => SaveOutcome::Saved,
                    (false, _) => SaveOutcome::Conflict,
                })
            }
            (Asked::Unlock, _) => {
                books.unlock(process, name);
                self.locked = false;
                SessionInput::Unlocked
            }
            (asked, _) => unreachable!("{asked:?}"),
        }
    }

    /// The flow hears of what it asked for.
    pub(crate) fn hear(&mut self, books: &mut Books, input: SessionInput, at: Moment) {
        let run = self.run.as_mut().expect("a flow");
        run.note_sleep(at);
        match (&input, &run.asked) {
            (SessionInput::Locked(Ok(true)), _) => self.locked = true,
            (SessionInput::Loaded(LoadOutcome::Record(record)), _) => {
                self.note_loaded(books, record, at);
            }
            (SessionInput::Loaded(LoadOutcome::Nothing), _) => {
                (run.seen, run.over, run.newest) = (Some(Sight::Nothing), true, None);
            }
            (SessionInput::Saved(outcome), Asked::Save(record, _)) => {
                let record = seen(record);
                let family = books.accesses[record.access.expect("a token")].family;
                let saved = matches!(outcome, SaveOutcome::Saved);
                if saved || run.goal == Goal::Token {
                    run.seen = Some(Sight::of(&record, family));
                }
                let is_sign_in = record.refresh.is_none_or(|refresh| books.refreshes[refresh].issued.is_none());
                if is_sign_in && record.intent.is_none() {
                    match outcome {
                        SaveOutcome::Saved => self.doubtful.retain(|doubtful| *doubtful != family),
                        SaveOutcome::Unknown(_) => self.doubtful.push(family),
                        SaveOutcome::Conflict | SaveOutcome::Failed(_) => {}
                    }
                }
                if saved {
                    (run.over, run.newest) = (record.is_marked() || record.refresh.is_none(), record.refresh);
                }
                if run.goal == Goal::SignOut {
                    let target = *run.target.get_or_insert(family);
                    assert_eq!(target, family, "promise 10: signs somebody else out");
                }
                if record.refused.is_some() {
                    assert!(run.refused == record.refresh, "promise 4: a refusal is saved that nobody heard");
                }
            }
            _ => {}
        }
        let run = self.run.as_mut().expect("a flow");
        if run.slept {
            // Its lock may have become another's, so that it may look again before it believes what it sees.
            run.seen = None;
        }
        run.asked = Asked::Nothing;
        run.flow.receive(input, at.instant(), at.clock());
    }

    /// What an answer means to the flow that hears it.
    pub(crate) fn note_answer(&mut self, books: &mut Books, request: usize, outcome: Outcome, answer: Answer) {
        books.heard(request, outcome);
        let (token, asked) = (books.sent[request].token, books.sent[request].asked);
        let run = self.run.as_mut().expect("a flow");
        match answer {
            Answer::Refused => {
                books.tally.refusals += 1;
                run.refused = Some(token);
                // It has to look again before it believes that this was the newest.
                run.newest = None;
            }
            Answer::Access(access) => self.note_bound(books, access, true, asked.mono, 0),
            Answer::Else => {}
        }
    }

    fn note_loaded(&mut self, books: &Books, record: &SessionRecord, at: Moment) {
        let seen = seen(record);
        let access = seen.access.expect("a token");
        let family = books.accesses[access].family;
        let foreign = self.foreign;
        let slept = self.run.as_ref().is_some_and(|run| run.slept);
        self.doubtful.retain(|doubtful| *doubtful != family || slept);
        let run = self.run.as_mut().expect("a flow");
        run.seen = Some(if foreign { Sight::Nothing } else { Sight::of(&seen, family) });
        // Whoever has begun to try goes on.
        run.held = seen.is_held(at) && !run.wrote;
        run.over = seen.is_marked() || seen.refresh.is_none();
        run.newest = seen.refresh;
        if matches!(run.goal, Goal::Token | Goal::SignIn { .. })
            && let Some(asked) = books.accesses[access].asked
        {
            self.note_bound(books, access, false, at.mono, at.wall.saturating_sub(asked.wall));
        }
    }

    /// Counts the lifetime of an access token from `from` on, when it was `age` old.
    fn note_bound(&mut self, books: &Books, access: usize, own: bool, from: Time, age: Time) {
        let Some(lifetime) = books.accesses[access].lifetime else { return };
        let until = from.saturating_add(lifetime.saturating_sub(age));
        match self.bounds.iter_mut().find(|bound| bound.access == access) {
            // It may have been loaded before, and left alone.
            Some(bound) if !bound.own => bound.until = bound.until.max(until),
            Some(_) => {}
            None => self.bounds.push(Bound { access, until, own }),
        }
    }

    // What a caller gets.

    /// Promises 3, 7 and 10, for one access token that is handed out.
    fn judge_token(&self, books: &Books, token: &AccessToken, at: Moment) -> usize {
        let access = number(token.expose()).expect("a token of this world");
        let known = &books.accesses[access];
        assert_eq!(books.families[known.family].name, self.name, "promise 10: the token of another name");
        assert!(!self.foreign, "promise 10: the token of another app");
        let told = self.told && self.memory.unsaved().is_some();
        assert!(known.stored || told, "promise 3: access token {access} is not saved, and nobody was told");
        let asked = known.asked.expect("asked for");
        assert!(asked.wall <= at.wall + LEEWAY, "promise 7: access token {access} comes from the future");
        if let Some(lifetime) = known.lifetime {
            let left = asked.wall.saturating_add(lifetime) > at.wall;
            assert!(left, "promise 7: access token {access} is over by the wall clock");
            let bound = self.bounds.iter().find(|bound| bound.access == access).map(|bound| bound.until);
            let left = bound.expect("known here") > at.mono;
            assert!(left, "promise 7: access token {access} is over by the monotonic clock");
        }
        assert!(!self.bad.contains(&access), "promise 7: access token {access} was reported bad");
        access
    }

    fn end(&mut self, books: &mut Books, end: SessionEnd, at: Moment) -> End {
        let run = self.run.take().expect("a flow");
        self.memory = end.memory;
        assert_eq!(self.locked, self.memory.keeps_lock(), "promise 2: the lock at the end of a flow");
        let printed = format!("{:?} {:?}", end.events, end.result);
        assert!(!printed.contains(CANARY), "promise 10: a secret in {printed}");

        let other = self.judge_events(books, &run, &end.events, at);
        let newest = self.newest(at);
        let good = match self.memory.handout(at.instant(), at.clock()) {
            Handout::Good(token) | Handout::Early(token) => number(token.expose()),
            Handout::Held(_) | Handout::Refresh => None,
        };
        let family = good.map(|access| books.accesses[access].family);
        if let (Some(seen), Some(family)) = (run.seen, family) {
            // A sign-in that could not be saved yet is none that the store can end.
            let unsaved = self.memory.unsaved().is_some();
            let kept = match (run.goal, seen) {
                (Goal::SignIn { .. } | Goal::Forget, _) => true,
                (_, Sight::SigningOut(seen)) => seen != family && unsaved,
                (Goal::Token, Sight::Session(seen)) => seen == family || unsaved,
                (Goal::Token, Sight::Nothing | Sight::Refused) => unsaved,
                (Goal::SignOut, _) => true,
            };
            assert!(kept, "promise 6: keeps a token of sign-in {family}, and has seen {seen:?} in the store");
        }
        // What is not in the memory any more may come back, and is then known by the wall clock alone, and an API
        // has to say once more that it is bad.
        self.bounds.retain(|bound| newest == Some(bound.access));
        self.bad.retain(|bad| newest.is_none_or(|newest| newest == *bad));
        match (end.result, run.goal) {
            (Ok(Some(token)), Goal::Token) => {
                self.judge_token(books, &token, at);
                End::Token
            }
            (Ok(None), Goal::SignIn { access, .. }) => {
                // Of two who sign in at the same time, one may give way.
                let gave_way = other && newest != Some(access);
                assert!(books.accesses[access].stored || gave_way, "promise 3: a sign-in that was not saved");
                books.tally.sign_ins += 1;
                End::Done
            }
            (Ok(None), Goal::SignOut | Goal::Forget) => {
                assert!(newest.is_none(), "promise 6: signed out, and the tokens are still in the memory");
                self.bad.clear();
                books.tally.sign_outs += u64::from(run.goal == Goal::SignOut);
                books.tally.forgotten += u64::from(run.goal == Goal::Forget);
                End::Done
            }
            (Ok(result), goal) => panic!("promise 9: {goal:?} ends with {result:?}"),
            (Err(error), goal) => {
                let half = goal == Goal::SignOut && matches!(run.seen, Some(Sight::SigningOut(_)));
                books.tally.half_signed_out += u64::from(half);
                match error.kind() {
                    ErrorKind::SignInAgain => {
                        let refused = run.refused.is_some() && run.refused == run.newest;
                        let ended = matches!(goal, Goal::Token | Goal::SignIn { .. }) && (run.over || refused);
                        assert!(ended, "promise 4: the session ended without a refusal of its newest token: {error}");
                        books.tally.told_over += 1;
                    }
                    ErrorKind::TryLater => books.tally.told_later += 1,
                    kind => assert_ne!(kind, ErrorKind::Finished, "promise 9: no end"),
                }
                End::Error(error)
            }
        }
    }

    /// Nothing changes without a word. Says whether another sign-in was adopted.
    fn judge_events(&mut self, books: &mut Books, run: &Run, events: &[SessionEvent], at: Moment) -> bool {
        let (mut changed, mut other, mut ended) = (false, false, false);
        for event in events {
            match event {
                SessionEvent::SignedIn | SessionEvent::Rotated => changed = true,
                SessionEvent::Adopted { other_sign_in, .. } => {
                    (changed, other) = (true, other | other_sign_in);
                    books.tally.adopted += 1;
                    books.tally.adopted_other += u64::from(*other_sign_in);
                }
                SessionEvent::Retried { .. } => books.tally.retried += 1,
                SessionEvent::Unsaved { .. } => {
                    (changed, self.told) = (true, true);
                    books.tally.unsaved += 1;
                }
                SessionEvent::Saved => {
                    changed = true;
                    books.tally.saved_later += 1;
                }
                SessionEvent::SignedOut { .. } => ended = true,
                event => panic!("an event that no world knows: {event:?}"),
            }
        }
        let unsaved = self.memory.unsaved().is_some();
        assert!(self.told || !unsaved, "promise 3: nobody was told that the tokens are not saved");
        self.told = unsaved;
        let newest = self.newest(at);
        if let (Goal::Token, Some(before)) = (run.goal, run.before)
            && newest != Some(before)
        {
            assert!(changed || ended, "promise 10: access token {before} became {newest:?} without a word");
            if let Some(newest) = newest {
                let same = books.accesses[before].family == books.accesses[newest].family;
                assert!(same || other || ended, "promise 10: another sign-in was adopted without a word");
            }
        }
        other
    }

    // Totality.

    /// Promise 9: what nobody asked for, and steps that come early or twice, change nothing.
    pub(crate) fn disturb(&self, at: Moment) {
        let Some(run) = &self.run else { return };
        let (mut flow, mut disturbed) = (run.flow.clone(), run.flow.clone());
        let answer = || http::Response::new(Body::from(r#"{"access_token":"stray-token-0","refresh_token":"stray"}"#));
        let mut strays = Vec::new();
        // All but what was asked for.
        if !matches!(run.asked, Asked::Lock) {
            strays.extend([SessionInput::Locked(Ok(true)), SessionInput::Locked(Ok(false))]);
        }
        if !matches!(run.asked, Asked::Load) {
            strays.push(SessionInput::Loaded(LoadOutcome::Nothing));
        }
        if !matches!(run.asked, Asked::Save(..) | Asked::Clear(_)) {
            strays.extend([SessionInput::Saved(SaveOutcome::Saved), SessionInput::Saved(SaveOutcome::Conflict)]);
        }
        if !matches!(run.asked, Asked::Answer(..)) {
            strays.extend([SessionInput::Answered(Ok(answer())), SessionInput::Answered(Err(Error::lost("stray")))]);
        }
        if !matches!(run.asked, Asked::Unlock) {
            strays.push(SessionInput::Unlocked);
        }
        for stray in strays {
            disturbed.receive(stray, at.instant(), at.clock());
        }
        let (step, after) = (flow.step(at.instant(), at.clock()), disturbed.step(at.instant(), at.clock()));
        let (step, after) = (format!("{step:?}"), format!("{after:?}"));
        assert_eq!(step, after, "promise 9: a stray input changed the step");
        let (flow, disturbed) = (format!("{flow:?}"), format!("{disturbed:?}"));
        assert_eq!(flow, disturbed, "promise 9: a stray input changed the flow");
        assert!(!(step + &flow).contains(CANARY), "promise 10: a secret in {flow}");
    }
}

/// Promise 5: whether the session of that name has to recover, for the server honours all that is known of it; else
/// what is lost must be somebody's fault.
pub(crate) fn judge_losses<'a>(
    books: &mut Books,
    name: usize,
    seats: impl Iterator<Item = (&'a Seat, Moment)>,
) -> bool {
    let (mut unsaved, mut gained, mut held) = (false, false, false);
    for (seat, at) in seats.filter(|(seat, _)| seat.memory.unsaved().is_some()) {
        if !seat.newest_refresh(at).is_some_and(|token| books.is_live(token)) {
            return false;
        }
        let safe = seat.memory.keeps_lock() && books.shelves[name].holder == Some(seat.process);
        // A faulty answer may have held one of the two tokens alone.
        let by_refresh = seat.newest_refresh(at).is_some_and(|token| books.refreshes[token].issued.is_some());
        let is_gained = by_refresh || seat.newest(at).is_some_and(|access| books.accesses[access].gained);
        if is_gained && !safe {
            // Without the lock, another one may have sent what was spent for it.
            return false;
        }
        (unsaved, gained, held) = (true, gained || is_gained, held || safe);
    }
    // Where nothing is stored, a session was signed out, but a sign-in can still be saved.
    let Some(seen) = &books.shelves[name].seen else { return unsaved && !gained };
    let Some(refresh) = seen.refresh.filter(|_| !seen.is_marked()) else { return false };
    if held {
        books.tally.recovered_from_memory += 1;
        return true;
    }
    let Refresh { family, spent, .. } = books.refreshes[refresh];
    if let (Some((spender, _)), false) = (spent, books.families[family].ended) {
        let sent = &books.sent[spender];
        let excuse = books.excuse(sent);
        assert!(excuse.is_some(), "promise 5: token {refresh} is in the store, was spent by {sent:?}, and is lost");
        books.tally.lost_with_an_answer += 1;
    }
    books.is_live(refresh)
}

/// What an answer says, as far as a flow has to believe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Refused,
    /// A new access token.
    Access(usize),
    Else,
}

pub(crate) fn seen(record: &SessionRecord) -> Seen {
    serde_json::from_str(&record.to_json()).expect("a record")
}

/// The refresh token in a form.
fn token_of(body: &Body) -> usize {
    let form = std::str::from_utf8(body.as_bytes()).expect("a form");
    let digits = form.split_once(CANARY).expect("a refresh token").1;
    digits.split('&').next().and_then(|digits| digits.parse().ok()).expect("a refresh token")
}
