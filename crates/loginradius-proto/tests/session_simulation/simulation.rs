//! A random run: processes on machines, their callers, a network and a store with faults, and time.

mod database;
mod network;

use std::time::Duration;

use database::LateLock;
use loginradius_proto::session::{SessionInput, SessionPolicy};
use loginradius_proto::{Error, ErrorKind, Retry, Seed};
use network::{Delivery, InFlight};

use super::coverage::Coverage;
use super::oracle::{HandOver, Kind, Oracle, Outcome, Record, Write};
use super::participant::{End, Job, Next, Participant, PendingStep, StoreFault, must_recover};
use super::rng::{HOUR, MINUTE, Moment, Rng, SECOND, Time};

/// A long lease outlives every response that may still arrive, but not a long suspension.
const LONG_LEASE: Time = MINUTE;
/// How often each process asks for a token after the end of all faults.
const RECOVERY_ROUNDS: u32 = 5;

/// A process, with one participant for each name.
struct Process {
    /// Its number for the oracle, which no later process gets.
    number: usize,
    machine: usize,
    participants: Vec<Participant>,
    phases: Vec<Phase>,
    /// Whether a caller was asked to sign in again, by name.
    sign_in_required: Vec<bool>,
    /// The lease of an attempt to lock without an outcome, by name.
    earlier_lease: Vec<Option<u64>>,
    /// For how long its monotonic clock stood still.
    clock_lag: Time,
    suspension: Option<Suspension>,
}

#[derive(Clone)]
struct Suspension {
    since: Time,
    until: Time,
    pauses_monotonic_clock: bool,
}

impl Process {
    /// Returns whether one of its requests is about to leave, or is in flight.
    fn is_sending(&self) -> bool {
        let is_sending = |phase| matches!(phase, &Phase::HandOver(_) | &Phase::Leave(..) | &Phase::AwaitingResponse(_));
        self.phases.iter().any(is_sending)
    }
}

/// What happens at a participant next, and when.
enum Phase {
    /// A caller comes.
    Idle(Time),
    /// The flow is stepped.
    Step(Time),
    /// The store performs the pending operation.
    Store(Time),
    /// The store sends it once more, because it got no outcome.
    StoreAgain(Time),
    /// The driver gives the request to its transport.
    HandOver(Time),
    /// The transport has connected, and the request leaves.
    Leave(Time, Option<HandOver>),
    /// The flow receives the outcome of that.
    Receive(Time, SessionInput),
    /// A request is in flight, and its response may have been scheduled.
    AwaitingResponse(Option<(Time, Delivery)>),
    Wait,
}

/// A save or a clear that the store performs after it has reported an outcome.
struct LateWrite {
    at: Time,
    write: Write,
}

/// A login whose start failed, or ended with its process: the caller still has the tokens.
struct UnstoredLogin {
    name: usize,
    process: usize,
    job: Job,
}

/// How often operations fail at present, in percent.
#[derive(Debug, Clone, Copy, Default)]
struct FaultRates {
    network: u64,
    saves: u64,
    loads: u64,
    locks: u64,
    /// Statements of a database that have to be sent again.
    resends: u64,
    renewals: u64,
}

/// How often a fault hits a process or one of its flows before a step, in permille.
#[derive(Debug, Clone, Copy, Default)]
struct ProcessFaults {
    kill: u64,
    abort: u64,
    suspension: u64,
    clock_jump: u64,
    damage: u64,
    failover: u64,
}

pub(crate) struct Simulation {
    verbose: bool,
    rng: Rng,
    now: Time,
    oracle: Oracle,
    policy: SessionPolicy,
    processes: Vec<Process>,
    /// By how many milliseconds the wall clock of each machine is wrong.
    clock_skews: Vec<i64>,
    in_flight: Vec<InFlight>,
    late_writes: Vec<LateWrite>,
    late_locks: Vec<LateLock>,
    unstored_logins: Vec<UnstoredLogin>,
    fault_rates: FaultRates,
    process_faults: ProcessFaults,
    /// Every save fails, until the end of all faults.
    store_is_read_only: bool,
    server_rotates: bool,
    faults_ended: bool,
    /// How the flow ended that ended last.
    last_end: Option<End>,
}

impl Simulation {
    pub(crate) fn new(seed: u64, verbose: bool) -> Self {
        let mut rng = Rng(seed);
        let kind = rng.pick(&[Kind::File, Kind::LongLeases, Kind::Database]);
        let names = rng.pick(&[1, 1, 1, 2]);
        let mut oracle = Oracle::new(names, kind);
        oracle.has_failovers = kind == Kind::Database && rng.percent(20);
        oracle.grace_period = rng.pick(&[0, 0, 0, 0, 0, 10 * SECOND, HOUR]);
        let process_faults = ProcessFaults {
            kill: rng.pick(&[0, 0, 3, 10, 30]),
            abort: rng.pick(&[0, 0, 3, 10, 30]),
            suspension: rng.pick(&[0, 0, 3, 10, 30]),
            clock_jump: rng.pick(&[0, 0, 5, 20]),
            damage: rng.pick(&[0, 0, 0, 0, 0, 0, 0, 2]),
            failover: if oracle.has_failovers { 10 } else { 0 },
        };
        let policy = SessionPolicy::default()
            .with_early(Duration::from_secs(rng.pick(&[60, 60, 60, 0, 5])))
            .with_lock_wait(Duration::from_secs(rng.pick(&[30, 30, 5, 120])))
            .with_retry(Retry::default().with_attempts(rng.pick(&[4, 4, 2, 1])));
        let mut simulation = Self {
            verbose,
            now: 0,
            oracle,
            policy,
            processes: Vec::new(),
            clock_skews: vec![0; rng.pick(&[1, 1, 2])],
            in_flight: Vec::new(),
            late_writes: Vec::new(),
            late_locks: Vec::new(),
            unstored_logins: Vec::new(),
            fault_rates: FaultRates::default(),
            process_faults,
            store_is_read_only: rng.percent(3),
            server_rotates: !rng.percent(7),
            faults_ended: false,
            last_end: None,
            rng,
        };
        (0..simulation.rng.pick(&[1, 2, 2, 3, 4])).for_each(|_| simulation.start_process());
        simulation
    }

    pub(crate) fn run(mut self) -> Coverage {
        let (process_faults, begins_signed_in) = (std::mem::take(&mut self.process_faults), self.rng.percent(80));
        if self.verbose {
            let Oracle { kind, grace_period, .. } = &self.oracle;
            println!("{kind:?} grace_period={grace_period} {:?} {process_faults:?}", self.policy);
        }
        if begins_signed_in || self.store_is_read_only {
            for name in 0..self.oracle.slots.len() {
                self.log_in(0, name);
                self.run_until_idle(0, name);
            }
        }
        self.process_faults = process_faults;
        self.change_fault_rates();
        let events = self.rng.pick(&[100, 200, 400, 800]);
        let refreshes = self.oracle.coverage.refreshes;
        for _ in 0..events {
            self.next_event();
        }
        if self.store_is_read_only {
            assert_eq!(
                self.oracle.coverage.refreshes, refreshes,
                "promise 8: a token was consumed although its successor cannot be saved"
            );
            self.oracle.coverage.read_only_stores += 1;
        }
        self.end_faults_and_recover();
        self.oracle.coverage.runs += 1;
        self.oracle.coverage.database_runs += u64::from(self.oracle.kind == Kind::Database);
        self.oracle.coverage
    }

    fn log(&self, message: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:>12.3} {}", Duration::from_millis(self.now).as_secs_f64(), message());
        }
    }

    // Time.

    /// Starts a process that knows nothing but what is in the store.
    fn start_process(&mut self) {
        let number = self.oracle.alive.len();
        self.oracle.alive.push(true);
        let is_other_app = number > 0 && self.rng.percent(2);
        let participants: Vec<_> =
            (0..self.oracle.slots.len()).map(|name| Participant::new(number, name, is_other_app)).collect();
        let phases = participants.iter().map(|_| Phase::Idle(self.now + self.rng.within(0, SECOND))).collect();
        let sign_in_required = vec![false; participants.len()];
        let earlier_lease = vec![None; participants.len()];
        let machine = self.rng.pick(&[0, self.clock_skews.len() - 1]);
        self.processes.push(Process {
            number,
            machine,
            participants,
            phases,
            sign_in_required,
            earlier_lease,
            clock_lag: 0,
            suspension: None,
        });
    }

    /// Returns the present moment by the clocks of a process.
    fn moment(&self, index: usize) -> Moment {
        let Process { machine, clock_lag, .. } = self.processes[index];
        Moment {
            monotonic: Moment::START.monotonic + self.now - clock_lag,
            wall: (Moment::START.wall + self.now).saturating_add_signed(self.clock_skews[machine]),
        }
    }

    /// Returns when something happens at a participant, by the simulation's time.
    fn due(&self, index: usize, name: usize) -> Time {
        let process = &self.processes[index];
        let simulated = |monotonic: Time| monotonic.saturating_sub(Moment::START.monotonic) + process.clock_lag;
        let pending = process.participants[name].running.as_ref().map(|running| &running.pending);
        let at = match (&process.phases[name], pending) {
            (Phase::Idle(at) | Phase::Step(at) | Phase::Store(at) | Phase::StoreAgain(at), _) => *at,
            (Phase::HandOver(at) | Phase::Leave(at, _) | Phase::Receive(at, _), _) => *at,
            (Phase::AwaitingResponse(Some((at, _))), Some(PendingStep::Response { deadline, .. })) => {
                (*at).min(simulated(*deadline))
            }
            (_, Some(PendingStep::Response { deadline: until, .. } | PendingStep::Wait { until })) => simulated(*until),
            (_, pending) => unreachable!("{pending:?}"),
        };
        at.max(process.suspension.as_ref().map_or(0, |suspension| suspension.until)).max(self.now)
    }

    /// Makes the next thing happen. Of several that are due, it picks one at random.
    fn next_event(&mut self) {
        enum Event {
            Participant(usize, usize),
            Arrival(usize),
            LateWrite(usize),
            LateLock(usize),
        }
        while self.renew_lease_before(self.next_due()) {}
        let mut events = Vec::with_capacity(16);
        for index in 0..self.processes.len() {
            let names = 0..self.oracle.slots.len();
            events.extend(names.map(|name| (self.due(index, name), Event::Participant(index, name))));
        }
        let arrivals = self.in_flight.iter().enumerate();
        events.extend(arrivals.map(|(index, in_flight)| (in_flight.arrives, Event::Arrival(index))));
        let late_writes = self.late_writes.iter().enumerate();
        events.extend(late_writes.map(|(index, late)| (late.at, Event::LateWrite(index))));
        let late_locks = self.late_locks.iter().enumerate();
        events.extend(late_locks.map(|(index, late)| (late.at, Event::LateLock(index))));
        let first = events.iter().map(|(at, _)| *at).min().expect("a participant");
        events.retain(|(at, _)| *at == first);
        let chosen = usize::try_from(self.rng.within(0, events.len() as u64 - 1)).unwrap_or(0);
        self.now = self.now.max(first);
        match events.swap_remove(chosen).1 {
            Event::Participant(index, name) => {
                if !self.inject_process_fault(index) && !self.abort_flow(index, name) {
                    self.advance_participant(index, name);
                }
            }
            Event::Arrival(index) => {
                let in_flight = self.in_flight.swap_remove(index);
                self.arrive(&in_flight);
            }
            Event::LateWrite(index) => {
                let LateWrite { write, .. } = self.late_writes.swap_remove(index);
                self.perform_late(&write);
            }
            Event::LateLock(index) => {
                let late = self.late_locks.swap_remove(index);
                self.lock_late(&late);
            }
        }
    }

    fn random_delay(&mut self) -> Time {
        let delay = self.rng.pick(&[0, 0, 1, 5, 20, 200]);
        if self.rng.permille(10) { 3 * SECOND } else { delay }
    }

    // Faults.

    fn change_fault_rates(&mut self) {
        let fault_rates = FaultRates {
            network: self.rng.pick(&[0, 0, 10, 40, 90]),
            saves: self.rng.pick(&[0, 0, 0, 10, 40, 100]),
            loads: self.rng.pick(&[0, 0, 0, 10, 60]),
            locks: self.rng.pick(&[0, 0, 0, 10]),
            ..self.random_database_faults()
        };
        self.fault_rates = if self.store_is_read_only { FaultRates { saves: 100, ..fault_rates } } else { fault_rates };
        self.log(|| format!("the fault rates are {:?}", self.fault_rates));
    }

    /// Perhaps disturbs a process before its next step. Returns whether that step is not made.
    fn inject_process_fault(&mut self, index: usize) -> bool {
        if self.faults_ended {
            return false;
        }
        if self.rng.permille(15) {
            self.change_fault_rates();
        }
        let ProcessFaults { kill, suspension, clock_jump, damage, failover, .. } = self.process_faults;
        if self.rng.permille(kill) {
            self.kill(index);
            return true;
        }
        let is_sending = self.oracle.kind == Kind::Database && self.processes[index].is_sending();
        // A suspension between the look at a short lease and the response would be rare otherwise.
        if self.rng.permille(if is_sending { 10 * suspension } else { suspension }) {
            if is_sending {
                self.call_others_soon(index);
            }
            self.suspend(index);
            return true;
        }
        if self.rng.permille(clock_jump) {
            let machine = self.processes[index].machine;
            let distance = self.rng.pick(&[HOUR as i64, HOUR as i64, 5 * MINUTE as i64, 10 * SECOND as i64]);
            // A clock that is wrong is corrected at some time.
            let skew = self.rng.pick(&[0, distance, -distance]);
            self.clock_skews[machine] = skew;
            self.oracle.coverage.clock_jumps += 1;
            self.log(|| format!("the wall clock of machine {machine} is wrong by {} s", skew / SECOND as i64));
        }
        if self.rng.permille(damage) {
            let name = self.rng.pick(&[0, self.oracle.slots.len() - 1]);
            // What damages a record respects its lock.
            if self.oracle.slots[name].lock_holder.is_none() {
                self.oracle.damage(name);
                self.log(|| format!("record {name} is damaged"));
            }
        }
        if self.rng.permille(failover) {
            self.fail_over();
        }
        false
    }

    /// Kills a process, and starts another one.
    fn kill(&mut self, index: usize) {
        let number = self.processes[index].number;
        self.log(|| format!("process {number} is killed"));
        self.oracle.coverage.kills += 1;
        self.oracle.kill(number);
        for participant in self.processes.remove(index).participants {
            let job = participant.running.map(|running| running.job);
            if let Some(job @ Job::Start { access_token, .. }) = job {
                let login = self.oracle.access_tokens[access_token].login;
                self.oracle.logins[login].start_unconfirmed = true;
                self.unstored_logins.push(UnstoredLogin { name: participant.name, process: number, job });
            }
        }
        self.start_process();
    }

    /// Perhaps drops the driver of a flow, between any two steps or during one. Returns whether it did.
    fn abort_flow(&mut self, index: usize, name: usize) -> bool {
        let running = self.processes[index].participants[name].running.as_ref();
        let Some(job) = running.map(|running| running.job) else { return false };
        if self.faults_ended || !self.rng.permille(self.process_faults.abort) {
            return false;
        }
        self.resume(index);
        // The store may perform the operation nevertheless, and its outcome is dropped.
        let phase = &self.processes[index].phases[name];
        let is_repeated = matches!(phase, Phase::StoreAgain(_));
        if (is_repeated || matches!(phase, Phase::Store(_))) && self.rng.percent(50) {
            self.store_step(index, name, is_repeated);
        }
        self.lose_unlock(index, name);
        let (at, pause) = (self.moment(index), self.random_pause());
        let process = &mut self.processes[index];
        let number = process.number;
        process.participants[name].abort(&mut self.oracle, at);
        process.phases[name] = Phase::Idle(self.now + pause);
        process.earlier_lease[name] = None;
        self.oracle.unlock_is_lost = false;
        if let Job::Start { .. } = job {
            self.unstored_logins.push(UnstoredLogin { name, process: number, job });
        }
        self.log(|| format!("process {number}/{name}: its flow is aborted"));
        true
    }

    fn suspend(&mut self, index: usize) {
        let is_database = self.oracle.kind == Kind::Database;
        let duration = match is_database && self.rng.percent(80) {
            true => self.rng.within(SECOND, MINUTE),
            false => self.rng.pick(&[20 * SECOND, 45 * SECOND, LONG_LEASE + SECOND, 5 * MINUTE, HOUR, HOUR]),
        };
        // If both clocks are wrong, no process can know that its lease has expired. A store over a database looks at
        // both clocks.
        let has_right_clock = match self.oracle.kind {
            Kind::File => true,
            Kind::LongLeases => false,
            Kind::Database => self.process_faults.clock_jump == 0,
        };
        let pauses_monotonic_clock = has_right_clock && self.rng.percent(30);
        let process = &mut self.processes[index];
        process.suspension = Some(Suspension { since: self.now, until: self.now + duration, pauses_monotonic_clock });
        let number = process.number;
        let coverage = &mut self.oracle.coverage;
        for phase in &process.phases {
            coverage.suspensions_before_hand_over += u64::from(matches!(phase, Phase::HandOver(_)));
            coverage.suspensions_before_leaving += u64::from(matches!(phase, Phase::Leave(..)));
        }
        coverage.suspensions += 1;
        self.log(|| format!("process {number} is suspended for {} s", duration / SECOND));
    }

    /// Resumes a process if it is suspended.
    fn resume(&mut self, index: usize) {
        let process = &mut self.processes[index];
        if let Some(suspension) = process.suspension.take() {
            process.clock_lag += if suspension.pauses_monotonic_clock { self.now - suspension.since } else { 0 };
        }
    }

    /// Returns the processes that have been suspended for too long to keep their leases.
    fn expired_leases(&self) -> Vec<usize> {
        let expired = |suspension: &Suspension| self.now - suspension.since >= LONG_LEASE;
        let expired = |process: &&Process| process.suspension.as_ref().is_some_and(expired);
        self.processes.iter().filter(expired).map(|process| process.number).collect()
    }

    fn random_store_fault(&mut self, rate: u64) -> StoreFault {
        match self.rng.percent(rate) {
            false => StoreFault::None,
            true if self.store_is_read_only => {
                self.rng.pick(&[StoreFault::Fails, StoreFault::Fails, StoreFault::NotDoneUnknown])
            }
            true => self.rng.pick(&[StoreFault::Fails, StoreFault::NotDoneUnknown, StoreFault::DoneUnknown]),
        }
    }

    // The participants.

    fn advance_participant(&mut self, index: usize, name: usize) {
        self.resume(index);
        let at = self.moment(index);
        let process = &mut self.processes[index];
        let number = process.number;
        if self.rng.permille(8) {
            process.participants[name].check_stray_inputs(at);
            process.participants[name].check_refused_start(&mut self.oracle, self.policy, at);
            self.oracle.coverage.stray_inputs += 1;
        }
        let job = process.participants[name].running.as_ref().map(|running| running.job);
        // Another caller takes what is cached. Not while the user signs out: then no caller should get a token.
        if self.rng.percent(20) && !matches!(job, Some(Job::SignOut | Job::Forget)) {
            process.participants[name].serve_caller(&mut self.oracle, at);
        }
        let later = self.now + self.random_delay();
        let phase = std::mem::replace(&mut self.processes[index].phases[name], Phase::Wait);
        match phase {
            Phase::Idle(_) => self.new_caller(index, name),
            Phase::Step(_) | Phase::Wait => self.step(index, name),
            Phase::Store(_) if self.loses_first_attempt(index, name) => {
                let timeout = self.rng.pick(&[SECOND, 5 * SECOND]);
                self.processes[index].phases[name] = Phase::StoreAgain(self.now + timeout);
            }
            Phase::Store(_) | Phase::StoreAgain(_) => {
                let input = self.store_step(index, name, matches!(phase, Phase::StoreAgain(_)));
                self.processes[index].phases[name] = Phase::Receive(later, input);
            }
            Phase::HandOver(_) => self.hand_over(index, name, later),
            Phase::Leave(_, handed_over) => self.leave(index, name, handed_over, later),
            Phase::Receive(_, input) => {
                let process = &mut self.processes[index];
                process.participants[name].receive(&mut self.oracle, input, at);
                process.phases[name] = Phase::Step(later);
            }
            Phase::AwaitingResponse(delivery) => {
                let running = self.processes[index].participants[name].running.as_ref();
                let Some(PendingStep::Response { request, deadline }) = running.map(|running| &running.pending) else {
                    unreachable!()
                };
                let (request, deadline_passed) = (*request, at.monotonic >= *deadline);
                match delivery {
                    // A process that was suspended may look at its clock first, or at the response.
                    Some((when, delivery)) if when <= self.now && (!deadline_passed || self.rng.percent(50)) => {
                        let Delivery { input, outcome, meaning } = delivery;
                        self.log(|| format!("process {number}/{name} gets the response to {request}: {outcome:?}"));
                        let participant = &mut self.processes[index].participants[name];
                        participant.note_response(&mut self.oracle, request, outcome, meaning);
                        participant.receive(&mut self.oracle, input, at);
                        self.processes[index].phases[name] = Phase::Step(later);
                    }
                    _ => {
                        self.log(|| format!("process {number}/{name} gives up request {request}"));
                        self.oracle.note_outcome(request, Outcome::Unknown);
                        self.step(index, name);
                    }
                }
            }
        }
    }

    /// Performs the pending operation of the store, perhaps with a fault. If it is repeated, an earlier attempt may be
    /// done.
    fn store_step(&mut self, index: usize, name: usize, is_repeated: bool) -> SessionInput {
        let number = self.processes[index].number;
        let running = self.processes[index].participants[name].running.as_ref();
        let pending = running.map(|running| running.pending.clone()).expect("a running flow");
        let FaultRates { saves, loads, locks, .. } = self.fault_rates;
        let fault = match pending {
            PendingStep::Lock => self.random_store_fault(locks),
            PendingStep::Peek | PendingStep::Load => self.random_store_fault(loads),
            PendingStep::Save(..) | PendingStep::Clear(_) => match self.random_store_fault(saves) {
                // The database refuses this attempt, and says nothing of the one before.
                StoreFault::Fails if is_repeated => StoreFault::NotDoneUnknown,
                fault => fault,
            },
            _ => StoreFault::None,
        };
        if self.oracle.kind == Kind::Database && matches!(pending, PendingStep::Lock) {
            return self.lock_row(index, name, fault);
        }
        if let (StoreFault::NotDoneUnknown, Some(write)) = (fault, self.processes[index].participants[name].write())
            && self.may_be_late(&write)
            && self.rng.percent(30)
        {
            let at = self.now + self.rng.pick(&[1, 30, SECOND, MINUTE]);
            self.late_writes.push(LateWrite { at, write });
        }
        if matches!(pending, PendingStep::Unlock) {
            self.lose_unlock(index, name);
        }
        let expired = self.expired_leases();
        let lease_expired = |holder| expired.contains(&holder);
        let input = self.processes[index].participants[name].store_step(&mut self.oracle, fault, lease_expired);
        if is_repeated {
            self.note_repeated(index, name, &input);
        }
        self.log(|| format!("  the store of {number}/{name}: {}, fault: {fault:?}", describe(&input)));
        input
    }

    fn step(&mut self, index: usize, name: usize) {
        let at = self.moment(index);
        let delay = self.random_delay();
        let process = &mut self.processes[index];
        let number = process.number;
        let job = process.participants[name].running.as_ref().map(|running| running.job);
        let next = process.participants[name].step(&mut self.oracle, at);
        self.log(|| {
            let running = self.processes[index].participants[name].running.as_ref();
            let description = running.map_or_else(|| format!("{next:?}"), |running| running.pending.to_string());
            format!("process {number}/{name}: {description}")
        });
        let phase = match next {
            Next::StoreStep => Phase::Store(self.now + delay),
            Next::Wait => Phase::Wait,
            Next::Send => Phase::HandOver(self.now + delay),
            Next::End(end) => {
                let required = matches!(&end, End::Error(error) if error.kind() == ErrorKind::SignInRequired);
                if let (End::Error(_), false, Some(job @ Job::Start { .. })) = (&end, required, job) {
                    self.unstored_logins.push(UnstoredLogin { name, process: number, job });
                }
                self.processes[index].sign_in_required[name] = required;
                self.last_end = Some(end);
                Phase::Idle(self.now + self.random_pause())
            }
        };
        self.processes[index].phases[name] = phase;
    }

    /// Lets the driver ask the lock, and give the request to its transport.
    fn hand_over(&mut self, index: usize, name: usize, later: Time) {
        let (at, process) = (self.moment(index), &mut self.processes[index]);
        let (number, participant) = (process.number, &mut process.participants[name]);
        if participant.lease.is_some_and(|lease| !lease.is_held(at)) {
            participant.receive(&mut self.oracle, SessionInput::LockLapsed, at);
            process.phases[name] = Phase::Step(later);
            self.oracle.coverage.lapses_before_sending += 1;
            return self.log(|| format!("process {number}/{name} does not send: its lock has lapsed"));
        }
        let lease = participant.lease.map(|lease| lease.number);
        let handed_over = lease.map(|lease| self.oracle.hand_over(number, name, lease, self.now));
        let connecting = self.rng.pick(&[0, 0, 20, 300, 3 * SECOND]);
        self.processes[index].phases[name] = Phase::Leave(self.now + connecting, handed_over);
    }

    /// Lets the request leave, unless its deadline has passed.
    fn leave(&mut self, index: usize, name: usize, handed_over: Option<HandOver>, later: Time) {
        let (at, process) = (self.moment(index), &mut self.processes[index]);
        let participant = &mut process.participants[name];
        let pending = participant.running.as_ref().map(|running| &running.pending);
        let Some(PendingStep::Send { deadline, .. }) = pending else { unreachable!("{pending:?}") };
        if at.monotonic >= *deadline {
            let not_sent = Error::not_sent("the deadline passed while connecting");
            participant.receive(&mut self.oracle, SessionInput::Responded(Err(not_sent)), at);
            process.phases[name] = Phase::Step(later);
            return;
        }
        let handed_over = handed_over.map(|handed_over| HandOver { now: self.now, ..handed_over });
        let request = participant.send(&mut self.oracle, handed_over);
        let number = process.number;
        self.log(|| format!("process {number}/{name}: request {request} leaves"));
        self.processes[index].phases[name] = Phase::AwaitingResponse(self.transmit(request));
    }

    /// Picks how long it takes until the next caller comes.
    fn random_pause(&mut self) -> Time {
        self.rng.pick(&[0, 1, 50, SECOND, SECOND, 30 * SECOND, 2 * MINUTE, 9 * MINUTE + 30 * SECOND, 10 * MINUTE, HOUR])
    }

    fn new_caller(&mut self, index: usize, name: usize) {
        if self.start_again(index, name) {
            return;
        }
        let at = self.moment(index);
        let unsaved = self.processes[index].participants[name].has_unsaved_pair();
        // Signing out and logging in with an unsaved pair would be rare otherwise.
        let choice = if unsaved && self.rng.percent(10) { self.rng.pick(&[0, 3, 4]) } else { self.rng.within(0, 99) };
        let sign_in_required = std::mem::take(&mut self.processes[index].sign_in_required[name]);
        let participant = &mut self.processes[index].participants[name];
        let job = match choice {
            0..=2 => Some(Job::SignOut),
            3 => Some(Job::Forget),
            4..=7 if !participant.is_other_app => return self.log_in(index, name),
            // A user who is asked to sign in again often does.
            8..=60 if sign_in_required && !participant.is_other_app => return self.log_in(index, name),
            // An API has rejected the token; or it has rejected an older one, which the caller kept.
            8..=15 => {
                let newest = participant.access_token(at);
                let rejected = newest.map(|newest| newest.saturating_sub(usize::from(choice == 8)));
                let needs_flow = rejected.is_some_and(|rejected| participant.reject(&mut self.oracle, rejected, at));
                needs_flow.then_some(Job::Refresh)
            }
            _ => participant.serve_caller(&mut self.oracle, at).needs_flow.then_some(Job::Refresh),
        };
        match job {
            Some(job) => self.start(index, name, job),
            None => self.processes[index].phases[name] = Phase::Idle(self.now + self.random_pause()),
        }
    }

    /// Starts a login again whose first start failed, in this process or another one, as a caller should. Returns
    /// whether it did.
    fn start_again(&mut self, index: usize, name: usize) -> bool {
        let process = &self.processes[index];
        let unstored = self.unstored_logins.iter().position(|unstored| unstored.name == name);
        let Some(unstored) = unstored.filter(|_| !process.participants[name].is_other_app) else { return false };
        let number = process.number;
        if !self.faults_ended && self.rng.percent(50) {
            return false;
        }
        let UnstoredLogin { process, job, .. } = self.unstored_logins.swap_remove(unstored);
        let Job::Start { access_token, refresh_token, requested_at } = job else { return false };
        if !self.faults_ended && self.rng.percent(10) {
            return false;
        }
        self.oracle.coverage.logins_started_again += 1;
        // An instant means nothing in another process.
        let requested_at = requested_at.filter(|_| process == number);
        self.start(index, name, Job::Start { access_token, refresh_token, requested_at });
        true
    }

    fn start(&mut self, index: usize, name: usize, job: Job) {
        let (at, seed) = (self.moment(index), self.rng.bits());
        let process = &mut self.processes[index];
        process.participants[name].start(&self.oracle, self.policy, job, Seed(seed), at);
        process.phases[name] = Phase::Step(self.now);
        let number = process.number;
        self.log(|| format!("process {number}/{name} begins: {job:?}"));
    }

    fn log_in(&mut self, index: usize, name: usize) {
        let refreshable = !self.rng.percent(3);
        self.log_in_with(index, name, refreshable);
    }

    fn log_in_with(&mut self, index: usize, name: usize, refreshable: bool) {
        let (at, lifetime) = (self.moment(index), self.random_lifetime());
        let (access_token, refresh_token) = self.oracle.log_in(name, lifetime, refreshable);
        let age = self.rng.pick(&[None, Some(0), Some(200), Some(20 * SECOND)]);
        let requested_at = age.map(|age| at.monotonic - age);
        self.start(index, name, Job::Start { access_token, refresh_token, requested_at });
    }

    fn random_lifetime(&mut self) -> Option<Time> {
        if self.faults_ended {
            return Some(600 * SECOND);
        }
        let minutes = self.rng.pick(&[1, 10, 10, 10, 60]) * MINUTE;
        self.rng.pick(&[Some(minutes), Some(minutes), Some(minutes), Some(minutes), Some(SECOND), None])
    }

    // The end.

    /// Ends the faults, runs every flow to its end, and lets every session recover that can.
    fn end_faults_and_recover(&mut self) {
        self.log(|| "the faults end".to_owned());
        (self.faults_ended, self.store_is_read_only, self.fault_rates) = (true, false, FaultRates::default());
        (0..self.processes.len()).for_each(|index| self.resume(index));
        self.renew_all_leases();
        for index in 0..self.processes.len() {
            for name in 0..self.oracle.slots.len() {
                self.run_until_idle(index, name);
            }
        }
        // What is still in flight arrives now, or never.
        while let Some(in_flight) = self.in_flight.pop() {
            if self.rng.percent(70) {
                self.arrive(&in_flight);
            }
        }
        self.end_late_statements();
        for name in 0..self.oracle.slots.len() {
            self.recover(name);
        }
    }

    fn run_until_idle(&mut self, index: usize, name: usize) {
        let from = self.now;
        let mut events = 0;
        loop {
            if let Phase::Idle(_) = self.processes[index].phases[name] {
                return;
            }
            events += 1;
            assert!(events < 5_000 && self.now - from < 2 * HOUR, "promise 9: a flow that never ends");
            let next_arrival = |run: &Self| run.in_flight.iter().map(|in_flight| in_flight.arrives).min();
            while self.renew_lease_before(self.due(index, name).min(next_arrival(self).unwrap_or(Time::MAX))) {}
            // Requests arrive first, so that their responses come in time.
            let due = self.due(index, name);
            match (0..self.in_flight.len()).min_by_key(|number| self.in_flight[*number].arrives) {
                Some(number) if self.in_flight[number].arrives <= due => {
                    let in_flight = self.in_flight.swap_remove(number);
                    self.now = self.now.max(in_flight.arrives);
                    self.arrive(&in_flight);
                }
                _ => {
                    self.now = self.now.max(due);
                    self.advance_participant(index, name);
                }
            }
        }
    }

    /// Asserts promise 5 for the session under one name: every process asks for a token until all have one.
    fn recover(&mut self, name: usize) {
        if self.oracle.is_damaged(name) {
            return;
        }
        let moments: Vec<_> = (0..self.processes.len()).map(|index| self.moment(index)).collect();
        let participants = self.processes.iter().map(|process| &process.participants[name]).zip(moments);
        let must_recover = must_recover(&mut self.oracle, name, participants);
        let mut ends = Vec::new();
        let mut wait = 0;
        for _ in 0..RECOVERY_ROUNDS {
            self.pass(wait);
            wait = 0;
            ends.clear();
            for index in 0..self.processes.len() {
                if self.processes[index].participants[name].is_other_app {
                    continue;
                }
                let end = self.ask_for_token(index, name);
                if !matches!(end, Some(End::Token)) {
                    let retry_after = match &end {
                        Some(End::Error(error)) => error.retry_after().map_or(0, |wait| wait.as_millis() as Time),
                        _ => HOUR,
                    };
                    assert!(retry_after <= HOUR, "promise 5: has to wait for {retry_after} ms");
                    wait = wait.max(retry_after).max(MINUTE + SECOND);
                }
                // An unsaved pair is saved by a caller that comes late enough.
                if self.processes[index].participants[name].has_unsaved_pair() {
                    wait = wait.max(MINUTE + SECOND);
                }
                ends.push(end);
            }
            if wait == 0 {
                break;
            }
        }
        self.log(|| format!("session {name} must recover: {must_recover}; the ends: {ends:?}"));
        let all_have_tokens = ends.iter().all(|end| matches!(end, Some(End::Token)));
        let record = self.oracle.slots[name].record.as_ref();
        if must_recover {
            let refresh_token = record.and_then(|record| record.refresh_token);
            let live = refresh_token.is_some_and(|refresh_token| self.oracle.is_live(refresh_token));
            self.oracle.coverage.recovered += 1;
            assert!(all_have_tokens && live, "promise 5: the session does not recover: {ends:?}");
        } else if record.is_none_or(|record| record.refresh_token.is_some()) {
            let decided = ends.iter().all(|end| match end {
                Some(End::Token) => true,
                Some(End::Error(error)) => error.kind() == ErrorKind::SignInRequired,
                _ => false,
            });
            assert!(decided, "promise 5: neither a token nor the end of the session: {ends:?}");
        }
        if self.oracle.has_forgotten(name) {
            self.log_in_after_failover(name);
        }
    }

    /// Asks for a token in one process; `None` if the session backs off.
    fn ask_for_token(&mut self, index: usize, name: usize) -> Option<End> {
        let at = self.moment(index);
        let served = self.processes[index].participants[name].serve_caller(&mut self.oracle, at);
        if !served.needs_flow {
            return served.access_token.map(|_| End::Token);
        }
        self.start(index, name, Job::Refresh);
        self.run_until_idle(index, name);
        self.last_end.take()
    }
}

fn describe(input: &SessionInput) -> String {
    match input {
        SessionInput::Locked(outcome) => format!("locked {outcome:?}"),
        SessionInput::Peeked(Some(stored)) => match Record::read(stored) {
            Some(record) => format!("peeked {record}"),
            None => "peeked a damaged record".to_owned(),
        },
        SessionInput::Peeked(None) => "peeked nothing".to_owned(),
        SessionInput::Loaded(Ok(Some(stored))) => match Record::read(stored) {
            Some(record) => format!("loaded {record}"),
            None => "loaded a damaged record".to_owned(),
        },
        SessionInput::Loaded(outcome) => format!("loaded {outcome:?}"),
        SessionInput::Saved(outcome) => format!("saved {outcome:?}"),
        SessionInput::Responded(_) => "responded".to_owned(),
        SessionInput::LockLapsed => "the lock has lapsed".to_owned(),
        SessionInput::Unlocked => "unlocked".to_owned(),
    }
}
