//! A small world, and everything that can happen in it: two processes, one expired token under one name, and
//! a third process that comes after them.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use loginradius_proto::session::{SessionInput, SessionPolicy};
use loginradius_proto::{Body, Error, ErrorKind, Retry};

use super::books::{Books, Outcome, Said};
use super::chance::{HOUR, MINUTE, Moment, SECOND};
use super::seat::{Answer, Asked, End, Fate, Goal, Next, Seat, access_token, judge_losses, refresh_token};

/// How many callers each process has, one after the other.
const CALLERS: u32 = 2;

#[derive(Debug, Clone, Copy)]
enum Action {
    /// A caller comes, that much later than the one before.
    Call(u64),
    /// The flow goes on; an operation of the store has this fate.
    Go(Fate),
    /// The request reaches the server.
    Arrive(usize),
    /// The same, but the server has ended the session by itself.
    Refuse(usize),
    /// The request never gets there, and nobody waits for it any more.
    Vanish(usize),
    Answer,
    NotSent,
    Lose,
    Kill,
}

#[derive(Debug, Clone)]
struct Process {
    seat: Seat,
    at: Moment,
    callers: u32,
    dead: bool,
}

#[derive(Clone)]
struct State {
    books: Books,
    processes: [Process; 2],
    /// Requests on their way.
    flights: Vec<usize>,
    /// What the server said to those that arrived, in their order.
    said: Vec<(usize, Said)>,
    /// How much may still go wrong.
    left: u32,
    /// The processes as numbers.
    digests: [u128; 2],
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) ways_on: usize,
    pub(crate) ends: usize,
    pub(crate) recovered: usize,
    pub(crate) over: usize,
}

struct Explorer {
    visited: HashSet<u128>,
    path: Vec<(usize, Action)>,
    found: Found,
}

fn policy() -> SessionPolicy {
    SessionPolicy {
        // Whoever finds the lock taken goes away at once, and the next caller comes at any time.
        lock_wait: Duration::ZERO,
        retry: Retry { attempts: 2, ..Retry::default() },
        ..SessionPolicy::default()
    }
}

/// Goes every way through the world on which no more than that many things go wrong: an operation of the store fails,
/// or nobody knows whether it was done; an answer is lost, a request is not sent, or refused; a process dies.
pub(crate) fn explore(troubles: u32) -> Found {
    let mut books = Books::new(1, false);
    let (access, refresh) = books.new_family(0, Some(600 * SECOND), true);
    books.alive = vec![true; 4];
    let mut first = Seat::new(3, 0, false);
    first.start(&books, policy(), Goal::SignIn { access, refresh, asked: None }, 0, Moment::START);
    run(&mut first, &mut books, Moment::START);
    books.alive[3] = false;

    // The token is over.
    let at = Moment { mono: Moment::START.mono + HOUR, wall: Moment::START.wall + HOUR };
    let process = |number| Process { seat: Seat::new(number, 0, false), at, callers: CALLERS, dead: false };
    let state = State {
        books,
        processes: [process(0), process(1)],
        flights: Vec::new(),
        said: Vec::new(),
        left: troubles,
        digests: [0; 2],
    };
    let mut explorer = Explorer { visited: HashSet::new(), path: Vec::new(), found: Found::default() };
    explorer.visit(&state);
    explorer.found.states = explorer.visited.len();
    std::mem::take(&mut explorer.found)
}

impl Drop for Explorer {
    /// Tells the way to the state in which a promise was broken.
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (process, action) in &self.path {
                println!("process {process}: {action:?}");
            }
        }
    }
}

impl Explorer {
    fn visit(&mut self, state: &State) {
        let State { books, flights, said, left, digests, .. } = state;
        if !self.visited.insert(digest(&(books, flights, said, left, digests))) {
            return;
        }
        let mut stuck = true;
        for process in 0..2 {
            for action in state.actions(process) {
                stuck = false;
                self.found.ways_on += 1;
                self.path.push((process, action));
                let mut next = state.clone();
                next.act(process, action);
                next.digests[process] = digest(&next.processes[process]);
                self.visit(&next);
                self.path.pop();
            }
        }
        if stuck {
            self.found.ends += 1;
            let recovered = state.clone().recover();
            self.found.recovered += usize::from(recovered);
            self.found.over += usize::from(!recovered);
        }
    }
}

/// A part of the state as a number. Tokens do not show in it, but each pair of them has a lifetime of its own, which does.
fn digest(state: &dyn std::fmt::Debug) -> u128 {
    struct Sink(DefaultHasher, DefaultHasher);
    impl std::fmt::Write for Sink {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.write(text.as_bytes());
            self.1.write(text.as_bytes());
            Ok(())
        }
    }
    let mut sink = Sink(DefaultHasher::new(), DefaultHasher::new());
    1_u8.hash(&mut sink.1);
    write!(sink, "{state:?}").expect("a text");
    (u128::from(sink.0.finish()) << 64) | u128::from(sink.1.finish())
}

impl State {
    /// What can happen at a process next.
    fn actions(&self, index: usize) -> Vec<Action> {
        let process = &self.processes[index];
        let mut actions = Vec::new();
        // Requests whose process does not wait for them any more are on their way all the same.
        for flight in &self.flights {
            if self.books.sent[*flight].process == index && self.waits_for(index) != Some(*flight) {
                actions.extend([Action::Arrive(*flight), Action::Vanish(*flight)]);
            }
        }
        if process.dead {
            return actions;
        }
        match self.waits_for(index) {
            Some(request) => {
                let loses = self.left > 0;
                if self.flights.contains(&request) {
                    actions.push(Action::Arrive(request));
                    actions.extend(loses.then_some(Action::NotSent));
                    let alive = self.books.families[0].alive;
                    actions.extend((loses && alive).then_some(Action::Refuse(request)));
                } else {
                    actions.push(Action::Answer);
                }
                actions.extend(loses.then_some(Action::Lose));
            }
            None if process.seat.run.is_some() => {
                actions.push(Action::Go(Fate::Well));
                match process.seat.run.as_ref().map(|run| &run.asked) {
                    Some(Asked::Save(..) | Asked::Clear(_)) if self.left > 0 => {
                        actions.extend([Fate::Fails, Fate::DoneUnknown, Fate::NotDoneUnknown].map(Action::Go));
                    }
                    Some(Asked::Load) if self.left > 0 => actions.push(Action::Go(Fate::Fails)),
                    // A lock is free or taken, and one that is given back is given back.
                    _ => {}
                }
            }
            None if process.callers == CALLERS => actions.push(Action::Call(0)),
            None if process.callers > 0 => actions.extend([Action::Call(0), Action::Call(2 * MINUTE)]),
            None => {}
        }
        let begun = process.callers < CALLERS && (process.callers > 0 || process.seat.run.is_some());
        let lives = begun || process.seat.memory.keeps_lock();
        actions.extend((lives && self.left > 0).then_some(Action::Kill));
        actions
    }

    fn waits_for(&self, index: usize) -> Option<usize> {
        let process = &self.processes[index];
        match process.seat.run.as_ref().filter(|_| !process.dead)?.asked {
            Asked::Answer(request, _) => Some(request),
            _ => None,
        }
    }

    fn act(&mut self, index: usize, action: Action) {
        let Self { books, processes, flights, said, left, .. } = self;
        let Process { seat, at, callers, dead } = &mut processes[index];
        match action {
            Action::Call(later) => {
                *callers -= 1;
                *at = Moment { mono: at.mono + later, wall: at.wall + later };
                if seat.ask(books, *at).1 {
                    seat.start(books, policy(), Goal::Token, u64::from(*callers), *at);
                    settle(seat, books, at, flights);
                }
            }
            Action::Go(fate) => {
                *left -= u32::from(fate != Fate::Well);
                let input = seat.act(books, fate, |_| false);
                seat.hear(books, input, *at);
                settle(seat, books, at, flights);
            }
            Action::Refuse(request) | Action::Arrive(request) => {
                if let Action::Refuse(_) = action {
                    *left -= 1;
                    books.families[0].alive = false;
                }
                flights.retain(|flight| *flight != request);
                let answer = arrive(books, request, *at);
                said.push((request, answer));
            }
            Action::Vanish(request) => flights.retain(|flight| *flight != request),
            Action::Kill => {
                *left -= 1;
                *dead = true;
                books.kill(index);
                *seat = Seat::new(index, 0, false);
            }
            Action::Answer | Action::NotSent | Action::Lose => {
                let Some(Asked::Answer(request, _)) = seat.run.as_ref().map(|run| run.asked.clone()) else {
                    unreachable!()
                };
                match action {
                    Action::Answer => {
                        let (_, answer) = *said.iter().find(|(arrived, _)| *arrived == request).expect("arrived");
                        hear(seat, books, request, answer, *at);
                    }
                    Action::NotSent => {
                        *left -= 1;
                        flights.retain(|flight| *flight != request);
                        books.heard(request, Outcome::Harmless);
                        seat.hear(books, SessionInput::Answered(Err(Error::not_sent("refused"))), *at);
                    }
                    _ => {
                        *left -= 1;
                        books.heard(request, Outcome::Lost);
                        seat.hear(books, SessionInput::Answered(Err(Error::lost("reset"))), *at);
                    }
                }
                said.retain(|(arrived, _)| *arrived != request);
                settle(seat, books, at, flights);
            }
        }
    }

    /// What became of it, once a third process has come, and everybody asks again while nothing goes wrong.
    /// Says whether the session goes on.
    fn recover(mut self) -> bool {
        let third = Process { seat: Seat::new(2, 0, false), at: self.processes[0].at, callers: 0, dead: false };
        let mut all: Vec<_> = self.processes.into_iter().filter(|process| !process.dead).chain([third]).collect();
        let seats = all.iter().map(|process| (&process.seat, process.at));
        let must = judge_losses(&mut self.books, 0, seats);
        let mut ends = Vec::new();
        for _ in 0..3 {
            ends.clear();
            for Process { seat, at, .. } in &mut all {
                *at = Moment { mono: at.mono + 2 * MINUTE, wall: at.wall + 2 * MINUTE };
                let (token, start) = seat.ask(&mut self.books, *at);
                let mut end = token.map(|_| End::Token);
                if start {
                    seat.start(&self.books, policy(), Goal::Token, 7, *at);
                    end = Some(run(seat, &mut self.books, *at));
                }
                ends.push(end);
            }
        }
        let goes_on = ends.iter().all(|end| matches!(end, Some(End::Token)));
        let over = |end: &Option<End>| {
            matches!(end, Some(End::Error(error)) if error.kind() == ErrorKind::SignInAgain)
                || matches!(end, Some(End::Token))
        };
        assert!(goes_on || !must, "promise 5: the session does not recover: {ends:?}");
        assert!(ends.iter().all(over), "promise 5: neither a token nor an end: {ends:?}");
        goes_on
    }
}

/// Goes on to where the flow asks for something that others can see.
fn settle(seat: &mut Seat, books: &mut Books, at: &mut Moment, flights: &mut Vec<usize>) {
    loop {
        match seat.step(books, *at) {
            Next::Time => {
                let Some(Asked::Time(until)) = seat.run.as_ref().map(|run| run.asked.clone()) else { unreachable!() };
                let later = until.saturating_sub(at.mono);
                *at = Moment { mono: at.mono + later, wall: at.wall + later };
            }
            Next::Answer(request) => return flights.push(request),
            Next::Store | Next::End(_) => return,
        }
    }
}

/// Runs a flow to its end, and nothing goes wrong.
fn run(seat: &mut Seat, books: &mut Books, mut at: Moment) -> End {
    loop {
        match seat.step(books, at) {
            Next::Store => {
                let input = seat.act(books, Fate::Well, |_| false);
                seat.hear(books, input, at);
            }
            Next::Answer(request) => {
                let said = arrive(books, request, at);
                hear(seat, books, request, said, at);
            }
            Next::Time => {
                let Some(Asked::Time(until)) = seat.run.as_ref().map(|run| run.asked.clone()) else { unreachable!() };
                let later = until.saturating_sub(at.mono);
                at = Moment { mono: at.mono + later, wall: at.wall + later };
            }
            Next::End(end) => return end,
        }
    }
}

/// Each pair of tokens has a lifetime of its own.
fn arrive(books: &mut Books, request: usize, at: Moment) -> Said {
    let lifetime = 600 + books.accesses.len() as u64;
    books.arrive(request, at.mono, Some(lifetime * SECOND), true)
}

fn hear(seat: &mut Seat, books: &mut Books, request: usize, said: Said, at: Moment) {
    let (status, body, outcome, answer) = match said {
        Said::Pair { access, refresh } => {
            let refresh = refresh.expect("rotated");
            let lifetime = books.accesses[access].lifetime.unwrap_or_default() / SECOND;
            let (token, next) = (access_token(access), refresh_token(refresh));
            let body = format!(r#"{{"access_token":"{token}","expires_in":{lifetime},"refresh_token":"{next}"}}"#);
            (200, body, Outcome::Gained(refresh), Answer::Access(access))
        }
        _ => (400, r#"{"error":"invalid_grant"}"#.to_owned(), Outcome::Harmless, Answer::Refused),
    };
    let response = http::Response::builder().status(status).body(Body::from(body)).expect("an answer");
    seat.note_answer(books, request, outcome, answer);
    seat.hear(books, SessionInput::Answered(Ok(response)), at);
}
