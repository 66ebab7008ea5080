//! The client of a store over a database in a random run: leases that are renewed, statements that are sent again and
//! arrive late, and failovers.

use loginradius_proto::Error;
use loginradius_proto::session::{Expected, SaveError, SessionInput};

use super::super::oracle::{Change, Kind, LEASE, Write};
use super::super::participant::{End, HeldLease, Job, PendingStep, StoreFault};
use super::super::rng::{MINUTE, SECOND, Time};
use super::{FaultRates, LateWrite, Phase, Simulation};

/// An attempt to take a lease that arrives late.
pub(super) struct LateLock {
    pub(super) at: Time,
    name: usize,
    lease: u64,
}

impl Simulation {
    fn is_database(&self) -> bool {
        self.oracle.kind == Kind::Database
    }

    pub(super) fn random_database_faults(&mut self) -> FaultRates {
        if !self.is_database() {
            return FaultRates::default();
        }
        let (resends, renewals) = (self.rng.pick(&[0, 10, 40]), self.rng.pick(&[0, 0, 30, 100]));
        FaultRates { resends, renewals, ..FaultRates::default() }
    }

    // Leases.

    /// Sends the statement that takes the lease. An attempt has a lease of its own, and takes over the one of an
    /// earlier attempt, which may have been done.
    pub(super) fn lock_row(&mut self, index: usize, name: usize, fault: StoreFault) -> SessionInput {
        let (at, number) = (self.moment(index), self.processes[index].number);
        let earlier = self.processes[index].earlier_lease[name].take();
        let lease = self.oracle.new_lease();
        let is_done = matches!(fault, StoreFault::None | StoreFault::DoneUnknown);
        let taken = is_done && self.oracle.take_lease(name, lease, earlier, self.now);
        if fault != StoreFault::None {
            return SessionInput::Locked(Err(Error::unavailable("the database is out of order", "no connection")));
        }
        if taken {
            self.oracle.hold_lease(number, name, lease);
            let next_renewal = self.now + LEASE / 3;
            let held = HeldLease { number: lease, counted_from: at, next_renewal, is_lost: false };
            self.processes[index].participants[name].lease = Some(held);
        }
        SessionInput::Locked(Ok(taken))
    }

    /// Lets the next lease be renewed that has to be by then. Returns whether there was one.
    pub(super) fn renew_lease_before(&mut self, until: Time) -> bool {
        let mut renewals = Vec::new();
        for (index, process) in self.processes.iter().enumerate() {
            // A suspended process renews nothing.
            let runs_from = process.suspension.as_ref().map_or(0, |suspension| suspension.until);
            for (name, participant) in process.participants.iter().enumerate() {
                renewals.extend(participant.lease.map(|lease| (lease.next_renewal.max(runs_from), index, name)));
            }
        }
        let Some((at, index, name)) = renewals.into_iter().min().filter(|(at, ..)| *at <= until) else { return false };
        self.now = self.now.max(at);
        self.resume(index);
        let (at, fails) = (self.moment(index), self.rng.percent(self.fault_rates.renewals));
        let Some(lease) = &mut self.processes[index].participants[name].lease else { return false };
        lease.next_renewal = self.now + LEASE / 3;
        if fails {
            self.oracle.coverage.failed_renewals += 1;
        } else if self.oracle.renew_lease(name, lease.number, self.now) {
            lease.counted_from = at;
        } else {
            lease.is_lost = true;
        }
        true
    }

    /// Lets every lease be renewed at once, so that no lock is lost from now on.
    pub(super) fn renew_all_leases(&mut self) {
        for participant in self.processes.iter_mut().flat_map(|process| &mut process.participants) {
            if let Some(lease) = &mut participant.lease {
                lease.next_renewal = self.now;
            }
        }
        while self.renew_lease_before(self.now) {}
    }

    /// Perhaps loses the statement that releases a lease, which then lapses.
    pub(super) fn lose_unlock(&mut self, index: usize, name: usize) {
        let holds_lease = self.processes[index].participants[name].lease.is_some();
        self.oracle.unlock_is_lost = holds_lease && self.rng.percent(self.fault_rates.resends / 2);
    }

    /// Lets callers come soon in the other processes.
    pub(super) fn call_others_soon(&mut self, index: usize) {
        for (_, process) in self.processes.iter_mut().enumerate().filter(|(other, _)| *other != index) {
            for phase in &mut process.phases {
                if let Phase::Idle(at) = phase {
                    *at = (*at).min(self.now + self.rng.within(0, 20 * SECOND));
                }
            }
        }
    }

    // Statements that are sent again, or arrive late.

    /// Perhaps leaves the first attempt of a statement without an outcome, so that the store sends it again. It is done
    /// and its response lost, or it is late, perhaps later than the second attempt.
    pub(super) fn loses_first_attempt(&mut self, index: usize, name: usize) -> bool {
        if self.store_is_read_only || !self.rng.percent(self.fault_rates.resends) {
            return false;
        }
        let participant = &self.processes[index].participants[name];
        let is_lock = participant.running.as_ref().is_some_and(|running| matches!(running.pending, PendingStep::Lock));
        let (write, number) = (participant.write(), participant.process);
        let is_late = self.rng.percent(50);
        let at = self.now + self.rng.pick(&[1, 30, SECOND, 6 * SECOND, 20 * SECOND, MINUTE]);
        match write {
            Some(write) if is_late => self.late_writes.push(LateWrite { at, write }),
            Some(write) => _ = self.oracle.write(&write),
            None if is_lock => {
                let lease = self.oracle.new_lease();
                self.processes[index].earlier_lease[name] = Some(lease);
                match is_late {
                    true => self.late_locks.push(LateLock { at, name, lease }),
                    false => _ = self.oracle.take_lease(name, lease, None, self.now),
                }
            }
            None => return false,
        }
        self.oracle.coverage.statements_sent_again += 1;
        self.log(|| format!("  the store of {number}/{name} sends a statement again; the first is late: {is_late}"));
        true
    }

    /// Notes the outcome of a write that was sent again: after a conflict, the first attempt may be done all the same.
    pub(super) fn note_repeated(&mut self, index: usize, name: usize, input: &SessionInput) {
        let running = self.processes[index].participants[name].running.as_ref();
        if let (SessionInput::Saved(Err(SaveError::Conflict)), Some(Job::Start { access_token, .. })) =
            (input, running.map(|running| running.job))
        {
            let login = self.oracle.access_tokens[access_token].login;
            self.oracle.logins[login].start_unconfirmed = true;
        }
    }

    /// Returns whether a write may arrive after its outcome was reported as unknown.
    pub(super) fn may_be_late(&self, write: &Write) -> bool {
        // Without leases only over another record: into an empty slot, a late save looks like a new login to every
        // store.
        let over_record = matches!((&write.change, write.expected), (Change::Save(_), Expected::Generation(_)));
        !self.store_is_read_only && (self.is_database() || over_record)
    }

    pub(super) fn perform_late(&mut self, write: &Write) {
        let &Write { process, name, .. } = write;
        let is_held = write.lease.is_none_or(|lease| self.oracle.is_held(process, name, lease));
        let holder = self.oracle.slots[name].lock_holder;
        let done = self.oracle.write(write);
        let coverage = &mut self.oracle.coverage;
        match holder {
            _ if is_held => coverage.late_saves += u64::from(done),
            Some(_) => coverage.late_writes_after_takeover += 1,
            None => coverage.late_writes_after_unlock += 1,
        }
        self.log(|| format!("  the store performs a late write of {process}/{name}: {done}"));
    }

    pub(super) fn lock_late(&mut self, late: &LateLock) {
        let taken = self.oracle.take_lease(late.name, late.lease, None, self.now);
        self.oracle.coverage.late_locks += u64::from(taken);
        self.log(|| format!("  the store performs a late lock of {}: {taken}", late.name));
    }

    /// Lets what is still under way arrive now, or never.
    pub(super) fn end_late_statements(&mut self) {
        if !self.is_database() {
            self.late_writes.clear();
        }
        while let Some(late) = self.late_writes.pop() {
            if self.rng.percent(70) {
                self.perform_late(&late.write);
            }
        }
        self.late_locks.clear();
    }

    // Failovers.

    /// Lets a server take over that lacks the last writes.
    pub(super) fn fail_over(&mut self) {
        let writes = self.rng.pick(&[1, 1, 2, 3, 6]);
        let forgotten = self.oracle.fail_over(writes);
        // The connections to the old server are broken.
        self.late_writes.clear();
        self.late_locks.clear();
        self.oracle.coverage.failovers += u64::from(forgotten > 0);
        self.log(|| format!("a failover forgets {forgotten} writes"));
    }

    /// Asserts promise 13: after a failover a user can log in again, and every process gets the tokens.
    pub(super) fn log_in_after_failover(&mut self, name: usize) {
        let own_app = |index: &usize| !self.processes[*index].participants[name].is_other_app;
        let indexes: Vec<_> = (0..self.processes.len()).filter(own_app).collect();
        let Some(first) = indexes.first() else { return };
        let mut ends = Vec::new();
        // A lease that no process holds any more has to lapse first.
        for _ in 0..3 {
            self.pass(MINUTE);
            self.log_in_with(*first, name, true);
            self.run_until_idle(*first, name);
            ends.push(self.last_end.take());
            if matches!(ends.last(), Some(Some(End::Done))) {
                break;
            }
        }
        assert!(matches!(ends.last(), Some(Some(End::Done))), "promise 13: no login after a failover: {ends:?}");
        for index in indexes {
            self.pass(MINUTE);
            let end = self.ask_for_token(index, name);
            assert!(matches!(end, Some(End::Token)), "promise 13: no token of a login after a failover: {end:?}");
        }
        self.oracle.coverage.logins_after_failover += 1;
    }

    /// Lets time pass in which only leases are renewed.
    pub(super) fn pass(&mut self, time: Time) {
        let until = self.now + time;
        while self.renew_lease_before(until) {}
        self.now = until;
    }

    /// Returns when something happens next at a process or in the network.
    pub(super) fn next_due(&self) -> Time {
        let names = 0..self.oracle.slots.len();
        let indexes = 0..self.processes.len();
        let participants = indexes.flat_map(|index| names.clone().map(move |name| (index, name)));
        let due = participants.map(|(index, name)| self.due(index, name));
        let arrivals = self.in_flight.iter().map(|in_flight| in_flight.arrives);
        let late_writes = self.late_writes.iter().map(|late| late.at);
        let late_locks = self.late_locks.iter().map(|late| late.at);
        due.chain(arrivals).chain(late_writes).chain(late_locks).min().expect("a participant")
    }
}
