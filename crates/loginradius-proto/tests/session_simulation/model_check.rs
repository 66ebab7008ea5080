//! Every path through a model: two processes, one expired token under one name, and a third process that comes after
//! them.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use loginradius_proto::session::{SessionInput, SessionPolicy};
use loginradius_proto::{Body, Error, ErrorKind, Retry, Seed};

use super::coverage::Transitions;
use super::oracle::{Kind, Oracle, Outcome, Reply};
use super::participant::{
    End, Job, Meaning, Next, Participant, PendingStep, StoreFault, access_token_text, must_recover, refresh_token_text,
};
use super::rng::{HOUR, MINUTE, Moment, SECOND};

/// How many callers each process has, one after the other.
const CALLERS: u32 = 2;

/// How many faults it counts as that a driver does not send: its process stood still, and its lock lapsed. As one, it
/// would nearly double the states.
const LAPSE_COST: u32 = 2;

#[derive(Debug, Clone, Copy)]
enum Action {
    /// A caller comes, that many milliseconds after the one before.
    Call(u64),
    /// The store performs the pending operation.
    StoreStep(StoreFault),
    /// The request reaches the server.
    Arrive(usize),
    /// The request reaches the server, which has ended the session by itself.
    Reject(usize),
    /// A request that its process has given up never reaches the server.
    Vanish(usize),
    DeliverResponse,
    NotSent,
    /// The driver finds the lock lapsed, and does not send.
    LockLapses,
    LoseResponse,
    /// The driver is dropped. `performed` is whether the store performs the pending operation nevertheless.
    Abort {
        performed: bool,
    },
    Kill,
}

#[derive(Debug, Clone)]
struct Process {
    participant: Participant,
    at: Moment,
    callers_left: u32,
    killed: bool,
}

#[derive(Clone)]
struct State {
    oracle: Oracle,
    processes: [Process; 2],
    in_flight: Vec<usize>,
    /// What the server replied to the requests that arrived, in their order.
    replies: Vec<(usize, Reply)>,
    fault_budget: u32,
    /// The digests of the processes.
    digests: [u128; 2],
}

/// What was explored.
#[derive(Debug, Default)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    actions: usize,
    final_states: usize,
    /// Final states in which the session continues.
    pub(crate) recovered: usize,
    /// Final states in which it has ended.
    pub(crate) ended: usize,
    pub(crate) transitions: Transitions,
}

struct Explorer {
    visited: HashSet<u128>,
    path: Vec<(usize, Action)>,
    explored: Explored,
}

fn policy() -> SessionPolicy {
    SessionPolicy::default().with_lock_wait(Duration::ZERO).with_retry(Retry::default().with_attempts(2))
}

/// Explores every path with at most that many faults: an operation of the store fails or has an unknown outcome, a
/// response is lost, a request is not sent or rejected, the lock lapses before it is sent, a flow is aborted, a process
/// is killed.
pub(crate) fn explore(fault_budget: u32) -> Explored {
    let mut oracle = Oracle::new(1, Kind::File);
    let (access_token, refresh_token) = oracle.log_in(0, Some(600 * SECOND), true);
    oracle.alive = vec![true; 4];
    let mut first = Participant::new(3, 0, false);
    let job = Job::Start { access_token, refresh_token, requested_at: None };
    first.start(&oracle, policy(), job, Seed(0), Moment::START);
    run(&mut first, &mut oracle, Moment::START);
    oracle.alive[3] = false;

    // By now the access token has expired.
    let at = Moment::START.after(HOUR);
    let process =
        |number| Process { participant: Participant::new(number, 0, false), at, callers_left: CALLERS, killed: false };
    let state = State {
        oracle,
        processes: [process(0), process(1)],
        in_flight: Vec::new(),
        replies: Vec::new(),
        fault_budget,
        digests: [0; 2],
    };
    let mut explorer = Explorer { visited: HashSet::new(), path: Vec::new(), explored: Explored::default() };
    explorer.visit(&state);
    explorer.explored.states = explorer.visited.len();
    std::mem::take(&mut explorer.explored)
}

impl Drop for Explorer {
    /// Prints the path to the state in which a promise was broken.
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
        let State { oracle, in_flight, replies, fault_budget, digests, .. } = state;
        if !self.visited.insert(digest(&(oracle, in_flight, replies, fault_budget, digests))) {
            return;
        }
        let mut is_final = true;
        for process in 0..2 {
            for action in state.actions(process) {
                is_final = false;
                self.explored.actions += 1;
                self.path.push((process, action));
                let mut next = state.clone();
                next.apply(process, action);
                self.explored.transitions.extend(std::mem::take(&mut next.oracle.coverage.transitions));
                next.digests[process] = digest(&next.processes[process]);
                self.visit(&next);
                self.path.pop();
            }
        }
        if is_final {
            self.explored.final_states += 1;
            let recovered = state.clone().recover();
            self.explored.recovered += usize::from(recovered);
            self.explored.ended += usize::from(!recovered);
        }
    }
}

/// Digests what is printed of a part of the state. Tokens are not printed, but each pair of them has a lifetime of its
/// own, and that is.
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
    write!(sink, "{state:?}").expect("a hasher takes every text");
    (u128::from(sink.0.finish()) << 64) | u128::from(sink.1.finish())
}

impl State {
    /// Returns what can happen at a process next.
    fn actions(&self, index: usize) -> Vec<Action> {
        let process = &self.processes[index];
        let mut actions = Vec::new();
        // Requests that the process has given up are still in flight.
        for request in &self.in_flight {
            if self.oracle.requests[*request].process == index && self.awaited_request(index) != Some(*request) {
                actions.extend([Action::Arrive(*request), Action::Vanish(*request)]);
            }
        }
        if process.killed {
            return actions;
        }
        let may_fail = self.fault_budget > 0;
        match self.awaited_request(index) {
            Some(request) => {
                if self.in_flight.contains(&request) {
                    actions.push(Action::Arrive(request));
                    actions.extend(may_fail.then_some(Action::NotSent));
                    actions.extend((self.fault_budget >= LAPSE_COST).then_some(Action::LockLapses));
                    let accepted = self.oracle.logins[0].accepted_by_server;
                    actions.extend((may_fail && accepted).then_some(Action::Reject(request)));
                } else {
                    actions.push(Action::DeliverResponse);
                }
                actions.extend(may_fail.then_some(Action::LoseResponse));
            }
            None if process.participant.running.is_some() => {
                actions.push(Action::StoreStep(StoreFault::None));
                match process.participant.running.as_ref().map(|running| &running.pending) {
                    Some(PendingStep::Save(..) | PendingStep::Clear(_)) if may_fail => {
                        let faults = [StoreFault::Fails, StoreFault::DoneUnknown, StoreFault::NotDoneUnknown];
                        actions.extend(faults.map(Action::StoreStep));
                    }
                    Some(PendingStep::Load) if may_fail => actions.push(Action::StoreStep(StoreFault::Fails)),
                    // Locks do not fail in the model.
                    _ => {}
                }
            }
            None if process.callers_left == CALLERS => actions.push(Action::Call(0)),
            None if process.callers_left > 0 => actions.extend([Action::Call(0), Action::Call(2 * MINUTE)]),
            None => {}
        }
        if let Some(running) = process.participant.running.as_ref().filter(|_| may_fail) {
            actions.push(Action::Abort { performed: false });
            let changes = matches!(running.pending, PendingStep::Save(..) | PendingStep::Clear(_));
            actions.extend(changes.then_some(Action::Abort { performed: true }));
        }
        let called = process.callers_left < CALLERS;
        let has_work = process.callers_left > 0 || process.participant.running.is_some();
        let matters = called && has_work || process.participant.memory.retains_lock();
        actions.extend((matters && may_fail).then_some(Action::Kill));
        actions
    }

    /// Returns the request whose response the process awaits.
    fn awaited_request(&self, index: usize) -> Option<usize> {
        let process = &self.processes[index];
        match process.participant.running.as_ref().filter(|_| !process.killed)?.pending {
            PendingStep::Response { request, .. } => Some(request),
            _ => None,
        }
    }

    fn apply(&mut self, index: usize, action: Action) {
        let awaited = self.awaited_request(index);
        let Self { oracle, processes, in_flight, replies, fault_budget, .. } = self;
        let Process { participant, at, callers_left, killed } = &mut processes[index];
        match action {
            Action::Call(later) => {
                *callers_left -= 1;
                *at = at.after(later);
                if participant.serve_caller(oracle, *at).needs_flow {
                    participant.start(oracle, policy(), Job::Refresh, Seed(u64::from(*callers_left)), *at);
                    run_to_next_action(participant, oracle, at, in_flight);
                }
            }
            Action::StoreStep(fault) => {
                *fault_budget -= u32::from(fault != StoreFault::None);
                let input = participant.store_step(oracle, fault, |_| false);
                participant.receive(oracle, input, *at);
                run_to_next_action(participant, oracle, at, in_flight);
            }
            Action::Reject(request) | Action::Arrive(request) => {
                if let Action::Reject(_) = action {
                    *fault_budget -= 1;
                    oracle.logins[0].accepted_by_server = false;
                }
                in_flight.retain(|in_flight| *in_flight != request);
                replies.push((request, arrive(oracle, request, *at)));
            }
            Action::Vanish(request) => in_flight.retain(|in_flight| *in_flight != request),
            Action::Abort { performed } => {
                *fault_budget -= 1;
                if performed {
                    participant.store_step(oracle, StoreFault::None, |_| false);
                }
                participant.abort(oracle, *at);
                replies.retain(|(arrived, _)| Some(*arrived) != awaited);
            }
            Action::Kill => {
                *fault_budget -= 1;
                *killed = true;
                oracle.kill(index);
                *participant = Participant::new(index, 0, false);
            }
            Action::DeliverResponse | Action::NotSent | Action::LockLapses | Action::LoseResponse => {
                let request = awaited.expect("a request whose response is awaited");
                match action {
                    Action::DeliverResponse => {
                        let reply = replies.iter().find(|(arrived, _)| *arrived == request).expect("a reply").1;
                        deliver(participant, oracle, request, reply, *at);
                    }
                    Action::NotSent | Action::LockLapses => {
                        in_flight.retain(|in_flight| *in_flight != request);
                        oracle.note_outcome(request, Outcome::NotConsumed);
                        let (input, cost) = match action {
                            Action::LockLapses => (SessionInput::LockLapsed, LAPSE_COST),
                            _ => (SessionInput::Responded(Err(Error::not_sent("refused"))), 1),
                        };
                        *fault_budget -= cost;
                        participant.receive(oracle, input, *at);
                    }
                    _ => {
                        *fault_budget -= 1;
                        oracle.note_outcome(request, Outcome::Unknown);
                        participant.receive(oracle, SessionInput::Responded(Err(Error::outcome_unknown("reset"))), *at);
                    }
                }
                replies.retain(|(arrived, _)| *arrived != request);
                run_to_next_action(participant, oracle, at, in_flight);
            }
        }
    }

    /// Lets a third process start, and every process ask for tokens without faults. Returns whether the session
    /// continues.
    fn recover(mut self) -> bool {
        let third = Participant::new(2, 0, false);
        let third = Process { participant: third, at: self.processes[0].at, callers_left: 0, killed: false };
        let mut all: Vec<_> = self.processes.into_iter().filter(|process| !process.killed).chain([third]).collect();
        let participants = all.iter().map(|process| (&process.participant, process.at));
        let must_recover = must_recover(&mut self.oracle, 0, participants);
        let mut ends = Vec::new();
        for _ in 0..3 {
            ends.clear();
            for Process { participant, at, .. } in &mut all {
                *at = at.after(2 * MINUTE);
                let served = participant.serve_caller(&mut self.oracle, *at);
                let mut end = served.access_token.map(|_| End::Token);
                if served.needs_flow {
                    participant.start(&self.oracle, policy(), Job::Refresh, Seed(7), *at);
                    end = Some(run(participant, &mut self.oracle, *at));
                }
                ends.push(end);
            }
        }
        let continues = ends.iter().all(|end| matches!(end, Some(End::Token)));
        let decided = |end: &Option<End>| match end {
            Some(End::Token) => true,
            Some(End::Error(error)) => error.kind() == ErrorKind::SignInRequired,
            _ => false,
        };
        assert!(continues || !must_recover, "promise 5: the session does not recover: {ends:?}");
        assert!(ends.iter().all(decided), "promise 5: neither a token nor the end of the session: {ends:?}");
        continues
    }
}

/// Steps a flow until it asks for something that the other process can see.
fn run_to_next_action(participant: &mut Participant, oracle: &mut Oracle, at: &mut Moment, in_flight: &mut Vec<usize>) {
    loop {
        match participant.step(oracle, *at) {
            Next::Wait => *at = end_of_wait(participant, *at),
            Next::Send => return in_flight.push(participant.send(oracle, None)),
            Next::StoreStep | Next::End(_) => return,
        }
    }
}

/// Runs a flow to its end, without faults.
fn run(participant: &mut Participant, oracle: &mut Oracle, mut at: Moment) -> End {
    loop {
        match participant.step(oracle, at) {
            Next::StoreStep => {
                let input = participant.store_step(oracle, StoreFault::None, |_| false);
                participant.receive(oracle, input, at);
            }
            Next::Send => {
                let request = participant.send(oracle, None);
                let reply = arrive(oracle, request, at);
                deliver(participant, oracle, request, reply, at);
            }
            Next::Wait => at = end_of_wait(participant, at),
            Next::End(end) => return end,
        }
    }
}

fn end_of_wait(participant: &Participant, at: Moment) -> Moment {
    match participant.running.as_ref().map(|running| &running.pending) {
        Some(PendingStep::Wait { until }) => at.after(until.saturating_sub(at.monotonic)),
        pending => unreachable!("{pending:?}"),
    }
}

/// Lets a request reach the server, which gives each pair of tokens a lifetime of its own.
fn arrive(oracle: &mut Oracle, request: usize, at: Moment) -> Reply {
    let lifetime = 600 + oracle.access_tokens.len() as u64;
    oracle.arrive(request, at.monotonic, Some(lifetime * SECOND), true)
}

fn deliver(participant: &mut Participant, oracle: &mut Oracle, request: usize, reply: Reply, at: Moment) {
    let (status, body, outcome, meaning) = match reply {
        Reply::Pair { access_token, refresh_token } => {
            let refresh_token = refresh_token.expect("a server that rotates");
            let lifetime = oracle.access_tokens[access_token].lifetime.unwrap_or_default() / SECOND;
            let (access, refresh) = (access_token_text(access_token), refresh_token_text(refresh_token));
            let body = format!(r#"{{"access_token":"{access}","expires_in":{lifetime},"refresh_token":"{refresh}"}}"#);
            (200, body, Outcome::Unsaved(refresh_token), Meaning::NewAccessToken(access_token))
        }
        _ => (400, r#"{"error":"invalid_grant"}"#.to_owned(), Outcome::NotConsumed, Meaning::Rejected),
    };
    let response = http::Response::builder().status(status).body(Body::from(body)).expect("a response");
    participant.note_response(oracle, request, outcome, meaning);
    participant.receive(oracle, SessionInput::Responded(Ok(response)), at);
}
