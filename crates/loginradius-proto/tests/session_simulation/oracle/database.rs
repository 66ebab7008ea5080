//! A store over a database: a lease in each row, writes that may be sent again, and failovers that forget writes. What
//! a statement compares is here, and what has to be true of it.

use loginradius_proto::session::StoredRecord;

use super::super::rng::{SECOND, Time};
use super::{Change, Oracle, Outcome, Slot, Write};

/// How long a lease lasts that is not renewed.
pub(crate) const LEASE: Time = 10 * SECOND;

/// The lease in a row, and what is true of it.
#[derive(Debug, Clone, Default)]
pub(super) struct LeaseRow {
    number: u64,
    until: Time,
    /// The lease of which a process knows that it holds it, by its lock's number. The row may have another one, which
    /// no process knows of.
    held: Option<u64>,
    /// When a failover last forgot writes, by the number of the next lease.
    forgot_writes_before: Option<u64>,
    /// No record was written since then.
    forgot_record: bool,
}

/// How the driver of a request found its lease, when it gave the request to its transport.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HandOver {
    pub(crate) at: Time,
    pub(crate) now: Time,
    pub(crate) lease: u64,
    /// How long the lease would last without another renewal, as the database says.
    pub(crate) left: Time,
}

impl Slot {
    /// Returns whether a failover has forgotten writes, and no record was written since.
    pub(super) fn forgot_writes(&self) -> bool {
        self.row.forgot_record
    }
}

impl Oracle {
    // The statements.

    /// Makes the number of a lease, which no other lease has.
    pub(crate) fn new_lease(&mut self) -> u64 {
        self.next_lease += 1;
        self.next_lease - 1
    }

    /// Takes a free or lapsed lease, or the one that an earlier attempt took. Returns whether it did.
    pub(crate) fn take_lease(&mut self, name: usize, lease: u64, earlier: Option<u64>, now: Time) -> bool {
        let row = &self.slots[name].row;
        if row.until >= now && earlier != Some(row.number) {
            self.coverage.locks_taken += 1;
            return false;
        }
        self.log_write(name);
        if let Some(holder) = self.slots[name].lock_holder.take() {
            self.coverage.lapsed_leases_taken += 1;
            self.note_lock_lost(holder, name);
        }
        let row = &mut self.slots[name].row;
        (row.number, row.until, row.held) = (lease, now + LEASE, None);
        true
    }

    /// Notes that a process knows that it holds the lease that it took.
    pub(crate) fn hold_lease(&mut self, process: usize, name: usize, lease: u64) {
        let slot = &mut self.slots[name];
        (slot.lock_holder, slot.row.held) = (Some(process), Some(lease));
    }

    /// Renews a lease. Returns whether no other lease has taken its place.
    pub(crate) fn renew_lease(&mut self, name: usize, lease: u64, now: Time) -> bool {
        let is_held = self.slots[name].row.number == lease;
        if is_held {
            self.log_write(name);
            self.slots[name].row.until = now + LEASE;
        }
        is_held
    }

    /// Releases a lease. Another one takes its place, so that no write that is late finds it.
    pub(super) fn release(&mut self, name: usize, lease: Option<u64>) {
        if std::mem::take(&mut self.unlock_is_lost) {
            self.coverage.lost_unlocks += 1;
            return;
        }
        if lease == Some(self.slots[name].row.number) {
            self.log_write(name);
            let unused = self.new_lease();
            let slot = &mut self.slots[name];
            (slot.row.number, slot.row.until, slot.row.held, slot.lock_holder) = (unused, 0, None, None);
        }
    }

    /// Returns whether a write names another lease than the row.
    pub(super) fn is_fenced(&self, write: &Write) -> bool {
        write.lease.is_some_and(|lease| lease != self.slots[write.name].row.number)
    }

    /// Returns whether a write, which may have been sent before, finds that it is done.
    pub(super) fn is_done(&self, write: &Write) -> bool {
        write.lease.is_some() && self.slots[write.name].stored.as_ref() == write.record()
    }

    // What is true.

    /// Notes that a write changes the row, and asserts promise 12: its process holds the lease.
    pub(super) fn note_write(&mut self, write: &Write) {
        let Some(lease) = write.lease else { return };
        let is_held = self.is_held(write.process, write.name, lease);
        assert!(is_held, "promise 12: {write:?} changes a row whose lease is {:?}", self.slots[write.name].row);
        self.log_write(write.name);
        self.slots[write.name].row.forgot_record = false;
    }

    /// Asserts promise 12: what is reported as done is stored, and not something that looks like it.
    pub(super) fn check_done(&mut self, write: &Write) {
        let stored = self.slots[write.name].stored.as_ref();
        assert!(stored == write.record(), "promise 12: {write:?} is reported as done, and {stored:?} is stored");
    }

    /// Returns whether a process holds that lease, whether it knows that or not.
    pub(crate) fn is_held(&self, process: usize, name: usize, lease: u64) -> bool {
        let slot = &self.slots[name];
        slot.lock_holder == Some(process) && slot.row.held == Some(lease)
    }

    /// Returns how a process finds its lease now.
    pub(crate) fn hand_over(&self, process: usize, name: usize, lease: u64, now: Time) -> HandOver {
        let until = self.slots[name].row.until;
        let left = if self.is_held(process, name, lease) { until.saturating_sub(now) } else { 0 };
        HandOver { at: now, now, lease, left }
    }

    /// Returns whether a process holds the lease at which a request leaves. Asserts promise 2, as far as a client can
    /// keep it: each of two requests that are in flight at once was handed over while its lease was held with half of
    /// it left, and one of the leases has lapsed since.
    pub(super) fn check_lease(&mut self, process: usize, name: usize, revokes: bool, handed_over: HandOver) -> bool {
        let holds_lease = self.is_held(process, name, handed_over.lease);
        if self.is_forgotten(name, handed_over) {
            self.coverage.sent_after_failover += u64::from(!holds_lease);
            return holds_lease;
        }
        if !holds_lease {
            handed_over.check_lapsed(process);
            self.coverage.left_after_lapse += 1;
        }
        let others = self.requests.iter().filter(|other| {
            let is_awaited = other.outcome == Outcome::AwaitingResponse && self.alive[other.process];
            other.name == name && other.process != process && is_awaited && !revokes
        });
        for other in others {
            let Some(other_handed_over) = other.handed_over else { continue };
            if other.lock_lost {
                HandOver { now: handed_over.now, ..other_handed_over }.check_lapsed(other.process);
            }
            self.coverage.two_in_flight += 1;
        }
        holds_lease
    }

    /// Returns whether a request is sent by a lease that was taken before a failover forgot writes.
    pub(super) fn is_forgotten(&self, name: usize, handed_over: HandOver) -> bool {
        self.slots[name].row.forgot_writes_before.is_some_and(|lease| handed_over.lease < lease)
    }

    // Failovers.

    fn log_write(&mut self, name: usize) {
        if self.has_failovers {
            self.log.push((name, self.slots[name].clone()));
            let oldest = self.log.len().saturating_sub(8);
            self.log.drain(..oldest);
        }
    }

    /// Lets a server take over that lacks the last writes. Returns how many it lacks.
    pub(crate) fn fail_over(&mut self, writes: usize) -> usize {
        let lacking = writes.min(self.log.len());
        for _ in 0..lacking {
            let (name, before) = self.log.pop().expect("a write");
            self.coverage.forgotten_records += u64::from(before.stored != self.slots[name].stored);
            self.slots[name] = before;
            let row = &mut self.slots[name].row;
            (row.forgot_writes_before, row.forgot_record) = (Some(self.next_lease), true);
            for request in self.requests.iter_mut().filter(|request| request.name == name) {
                request.lock_lost = true;
                request.handed_over = None;
            }
            for login in self.logins.iter_mut().filter(|login| login.name == name) {
                (login.exempt, login.forgotten, login.cleared, login.replaced) = (true, true, false, false);
            }
        }
        lacking
    }

    /// Returns whether a failover has forgotten writes of that login.
    pub(crate) fn is_forgotten_login(&self, login: usize) -> bool {
        self.logins[login].forgotten
    }

    /// Returns whether a failover has forgotten writes under that name.
    pub(crate) fn has_forgotten(&self, name: usize) -> bool {
        self.slots[name].row.forgot_writes_before.is_some()
    }
}

impl Write {
    fn record(&self) -> Option<&StoredRecord> {
        match &self.change {
            Change::Save(record) => Some(record),
            Change::Clear { .. } => None,
        }
    }
}

impl HandOver {
    /// Asserts that the lease was held with half of it left, and may have lapsed since without a fault of the driver:
    /// the process was suspended, or no renewal succeeded, for as long as was left.
    fn check_lapsed(self, process: usize) {
        let is_held = self.left >= LEASE / 2;
        assert!(is_held, "promise 2: process {process} sends by a lease of which {} ms were left", self.left);
        let passed = self.now - self.at;
        assert!(passed >= self.left, "promise 2: the lease of process {process} lapsed after {passed} ms: {self:?}");
    }
}
