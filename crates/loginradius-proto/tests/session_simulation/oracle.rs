//! What is true in a simulation, whatever its processes believe: the server, the store and its locks, and every request
//! that was sent. The promises that concern more than one process are asserted here.

mod database;

use loginradius_proto::session::{Expected, StoredRecord};
use serde::Deserialize;

use super::coverage::Coverage;
use super::rng::{Moment, SECOND, Time};
use database::LeaseRow;
pub(crate) use database::{HandOver, LEASE};

/// A part of every token in a simulation: no printed text may hold it.
pub(crate) const CANARY: &str = "-token-";

/// How far in the future a stored time may lie: wall clocks are corrected.
pub(crate) const LEEWAY: Time = 5 * SECOND;

/// A login of a user; its number is the index in [`Oracle::logins`]. Tokens and requests are numbered likewise.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) name: usize,
    pub(crate) accepted_by_server: bool,
    /// Its record was removed by a sign-out, or by forgetting it.
    pub(crate) cleared: bool,
    /// A replay or a loss of its tokens breaks no promise any more: its record was cleared or damaged, or its caller
    /// stored it once more because the first save had an unknown outcome; or a failover has forgotten writes.
    pub(crate) exempt: bool,
    /// A failover has forgotten writes under its name.
    forgotten: bool,
    was_stored: bool,
    /// Another login was stored over it, and the record there says so.
    replaced: bool,
    /// Its caller does not know whether it was stored.
    pub(crate) start_unconfirmed: bool,
    /// The identifier in its records.
    id_in_records: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct RefreshToken {
    pub(crate) login: usize,
    /// The request that consumed it, and when.
    pub(crate) consumed: Option<(usize, Time)>,
}

#[derive(Debug, Clone)]
pub(crate) struct AccessToken {
    pub(crate) login: usize,
    /// `None` is unknown.
    pub(crate) lifetime: Option<Time>,
    /// When it was requested, by the clocks of the process that did.
    pub(crate) requested_at: Option<Moment>,
    /// The earliest wall-clock time at which a record says that it was obtained, if a login yielded it.
    pub(crate) earliest: Option<Time>,
    /// Whether a refresh yielded it, and not the login.
    from_refresh: bool,
    /// Whether its login was started again, by a caller that did not know when it was requested.
    pub(crate) counted_anew: bool,
    pub(crate) was_stored: bool,
}

/// What became of a request, as the process knows that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    AwaitingResponse,
    /// It may or may not have taken effect.
    Unknown,
    /// It did not consume the token, or the token stays the same.
    NotConsumed,
    /// It yielded this refresh token, which is not in the store yet.
    Unsaved(usize),
    Saved,
    /// It was saved by a process that had lost the lock to this other one, which may have loaded the record before.
    SavedAfterTakeover(usize),
}

/// Why a token may be sent again or lost although no promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excuse {
    OutcomeUnknown,
    ProcessKilled,
    LockLost,
    Unsaved,
    /// Its process stood still between its last look at the lease and the moment at which the request left.
    StoodStill,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) process: usize,
    pub(crate) name: usize,
    pub(crate) refresh_token: usize,
    pub(crate) revokes: bool,
    pub(crate) sent_at: Moment,
    pub(crate) outcome: Outcome,
    /// Its process has lost the lock since.
    lock_lost: bool,
    /// Why its token may have been sent before.
    excuse: Option<Excuse>,
    /// How its driver found the lease, in a store over a database.
    handed_over: Option<HandOver>,
}

/// How the server responds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    Pair {
        access_token: usize,
        /// `None`: the token that was sent stays the same.
        refresh_token: Option<usize>,
    },
    Rejected,
    Revoked,
    NothingToRevoke,
}

/// One name of the store, with its record and its lock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot {
    stored: Option<StoredRecord>,
    /// What is stored, unless that is damaged.
    pub(crate) record: Option<Record>,
    pub(crate) lock_holder: Option<usize>,
    /// The process that stored it, or cleared it.
    writer: usize,
    /// What a database keeps beside the record.
    row: LeaseRow,
}

/// How a store locks, and what it compares when it saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A lock ends with its process, like that of a file.
    File,
    /// A lock is a long lease, which a process loses while it is suspended. Generations alone are compared.
    LongLeases,
    /// A lock is a short lease in the row of the record, which its holder renews. Each write names its lease, and finds
    /// itself if it was done already.
    Database,
}

/// A save or a clear, as it is sent to the store.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) process: usize,
    pub(crate) name: usize,
    /// The lease of the lock, in a database.
    pub(crate) lease: Option<u64>,
    pub(crate) expected: Expected,
    pub(crate) change: Change,
}

#[derive(Debug, Clone)]
pub(crate) enum Change {
    Save(Box<StoredRecord>),
    /// With `revoked`, a request must have revoked the refresh token before. With a `target`, only the record of that
    /// login may be removed.
    Clear {
        revoked: bool,
        target: Option<usize>,
    },
}

/// A record as it is stored.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Record {
    generation: u64,
    #[serde(rename = "sign_in")]
    login_id: u64,
    obtained_at_unix_ms: Time,
    #[serde(deserialize_with = "token_number")]
    pub(crate) access_token: Option<usize>,
    #[serde(default, deserialize_with = "token_number")]
    pub(crate) refresh_token: Option<usize>,
    intent: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    pub(crate) signing_out: bool,
    #[serde(rename = "refused")]
    pub(crate) rejected: Option<serde::de::IgnoredAny>,
    #[serde(rename = "hold")]
    backoff: Option<Backoff>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Backoff {
    since_unix_ms: Time,
    not_before_unix_ms: Time,
}

fn token_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    Ok(number(std::borrow::Cow::<'de, str>::deserialize(deserializer)?.as_ref()))
}

/// Reads the number at the end of a token.
pub(crate) fn number(token: &str) -> Option<usize> {
    token.rsplit_once('-')?.1.parse().ok()
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { generation, access_token, refresh_token, .. } = self;
        write!(f, "[{generation}: access token {access_token:?}, refresh token {refresh_token:?}")?;
        let flags = [(self.intent.is_some(), ", intent"), (self.signing_out, ", signing out")];
        for (_, name) in flags.into_iter().chain([(self.rejected.is_some(), ", rejected")]).filter(|(set, _)| *set) {
            f.write_str(name)?;
        }
        f.write_str("]")
    }
}

impl Record {
    /// Reads a stored record; `None` if the simulation has damaged it.
    pub(crate) fn read(stored: &StoredRecord) -> Option<Self> {
        serde_json::from_slice(stored.as_bytes()).ok()
    }

    /// Reads a record that a flow asked to save.
    pub(crate) fn of_flow(stored: &StoredRecord) -> Self {
        serde_json::from_slice(stored.as_bytes()).expect("a flow saves what can be read")
    }

    pub(crate) fn access_token(&self) -> usize {
        self.access_token.expect("an access token of this simulation")
    }

    /// Returns whether it backs off now, by that wall clock. A backoff from the future was written by a clock that was
    /// wrong.
    pub(crate) fn backs_off(&self, at: Moment) -> bool {
        self.backoff
            .is_some_and(|backoff| backoff.since_unix_ms <= at.wall + LEEWAY && at.wall < backoff.not_before_unix_ms)
    }

    /// Returns whether its tokens may be used.
    pub(crate) fn is_active(&self) -> bool {
        !self.signing_out && self.rejected.is_none()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Oracle {
    pub(crate) logins: Vec<Login>,
    pub(crate) refresh_tokens: Vec<RefreshToken>,
    pub(crate) access_tokens: Vec<AccessToken>,
    pub(crate) requests: Vec<Request>,
    pub(crate) slots: Vec<Slot>,
    /// Which processes live, by their numbers. No number is used twice.
    pub(crate) alive: Vec<bool>,
    /// For how long the server still takes a consumed token.
    pub(crate) grace_period: Time,
    pub(crate) kind: Kind,
    /// The number of the next lease.
    next_lease: u64,
    /// What was there before each of the last writes of a database that replicates late: the name, and what it had.
    log: Vec<(usize, Slot)>,
    /// Whether writes are forgotten by a failover.
    pub(crate) has_failovers: bool,
    /// Whether the next release of a lock does not reach the database.
    pub(crate) unlock_is_lost: bool,
    pub(crate) coverage: Coverage,
}

impl std::fmt::Debug for Coverage {
    /// Prints nothing: how a state was reached is no part of it.
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

impl Oracle {
    pub(crate) fn new(names: usize, kind: Kind) -> Self {
        Self {
            logins: Vec::new(),
            refresh_tokens: Vec::new(),
            access_tokens: Vec::new(),
            requests: Vec::new(),
            slots: vec![Slot::default(); names],
            alive: Vec::new(),
            grace_period: 0,
            kind,
            next_lease: 1,
            log: Vec::new(),
            has_failovers: false,
            unlock_is_lost: false,
            coverage: Coverage::default(),
        }
    }

    // The server.

    /// Logs a user in; returns the numbers of the access token and the refresh token.
    pub(crate) fn log_in(&mut self, name: usize, lifetime: Option<Time>, refreshable: bool) -> (usize, Option<usize>) {
        let login = self.logins.len();
        self.logins.push(Login {
            name,
            accepted_by_server: true,
            cleared: false,
            exempt: false,
            forgotten: false,
            was_stored: false,
            replaced: false,
            start_unconfirmed: false,
            id_in_records: None,
        });
        let access_token = self.issue_access_token(login, lifetime, None);
        let refresh_token = refreshable.then(|| self.issue_refresh_token(login));
        (access_token, refresh_token)
    }

    fn issue_access_token(&mut self, login: usize, lifetime: Option<Time>, requested_at: Option<Moment>) -> usize {
        let from_refresh = requested_at.is_some();
        self.access_tokens.push(AccessToken {
            login,
            lifetime,
            requested_at,
            earliest: None,
            from_refresh,
            counted_anew: false,
            was_stored: false,
        });
        self.access_tokens.len() - 1
    }

    fn issue_refresh_token(&mut self, login: usize) -> usize {
        self.refresh_tokens.push(RefreshToken { login, consumed: None });
        self.refresh_tokens.len() - 1
    }

    /// Returns whether the server accepts that refresh token, which no request has consumed.
    pub(crate) fn is_live(&self, refresh_token: usize) -> bool {
        let refresh_token = &self.refresh_tokens[refresh_token];
        refresh_token.consumed.is_none() && self.logins[refresh_token.login].accepted_by_server
    }

    /// Responds to a request that reaches the server.
    pub(crate) fn arrive(&mut self, request: usize, at: Time, lifetime: Option<Time>, rotates: bool) -> Reply {
        let Request { refresh_token, sent_at, revokes, .. } = self.requests[request];
        let RefreshToken { login, consumed } = self.refresh_tokens[refresh_token];
        if revokes {
            let live = self.is_live(refresh_token);
            self.logins[login].accepted_by_server &= !live;
            return if live { Reply::Revoked } else { Reply::NothingToRevoke };
        }
        if let Some((consumer, since)) = consumed {
            if !self.logins[login].exempt {
                self.check_replay(request, consumer);
            }
            self.coverage.replays_after_failover += u64::from(self.logins[login].forgotten);
            if at.saturating_sub(since) >= self.grace_period {
                self.logins[login].accepted_by_server = false;
            }
        }
        if !self.logins[login].accepted_by_server {
            return Reply::Rejected;
        }
        self.coverage.rotations += u64::from(rotates);
        let access_token = self.issue_access_token(login, lifetime, Some(sent_at));
        let next = rotates.then(|| {
            self.refresh_tokens[refresh_token].consumed = consumed.or(Some((request, at)));
            self.issue_refresh_token(login)
        });
        Reply::Pair { access_token, refresh_token: next }
    }

    /// Asserts promise 1: of two requests with one token, the later one was sent when the outcome of the earlier one
    /// was unknown or could not be saved.
    fn check_replay(&mut self, request: usize, consumer: usize) {
        let later = &self.requests[request.max(consumer)];
        match later.excuse {
            None => {
                panic!("promise 1: {later:?} replays a token although the outcome of the earlier request was known")
            }
            Some(Excuse::OutcomeUnknown) => self.coverage.replays_after_lost_response += 1,
            Some(Excuse::ProcessKilled) => self.coverage.replays_after_kill += 1,
            Some(Excuse::LockLost) => self.coverage.replays_after_lost_lock += 1,
            Some(Excuse::Unsaved) => self.coverage.replays_after_failed_save += 1,
            Some(Excuse::StoodStill) => self.coverage.replays_after_standing_still += 1,
        }
    }

    // Requests.

    /// Notes a request that a process sends; returns its number.
    pub(crate) fn send(
        &mut self,
        process: usize,
        name: usize,
        refresh_token: usize,
        revokes: bool,
        sent_at: Moment,
        handed_over: Option<HandOver>,
    ) -> usize {
        let holds_lock = match handed_over {
            Some(handed_over) => self.check_lease(process, name, revokes, handed_over),
            None => self.slots[name].lock_holder == Some(process),
        };
        assert!(holds_lock || self.kind != Kind::File, "promise 2: process {process} sends without the lock");
        let login = self.refresh_tokens[refresh_token].login;
        assert_eq!(self.logins[login].name, name, "promise 10: a token of another name");
        if holds_lock && !revokes {
            let in_flight =
                |request: &&Request| request.name == name && request.is_in_flight() && self.alive[request.process];
            let other = self.requests.iter().find(in_flight);
            assert!(other.is_none(), "promise 2: process {process} sends while {other:?} is in flight");
            let slot = &self.slots[name];
            let has_intent = |record: &Record| record.refresh_token == Some(refresh_token) && record.intent.is_some();
            let has_intent = slot.record.as_ref().is_some_and(has_intent);
            // A process that has lost its lease may still have saved something in between; not in a database.
            let by_another = self.kind == Kind::LongLeases && slot.writer != process;
            assert!(
                has_intent && slot.writer == process || by_another || slot.forgot_writes(),
                "promise 8: refresh token {refresh_token} is sent without an intent"
            );
        }
        let mut earlier =
            self.requests.iter().filter(|request| request.refresh_token == refresh_token && !request.revokes);
        let excuse = earlier.find_map(|request| {
            let taken_over = request.outcome == Outcome::SavedAfterTakeover(process);
            self.excuse(request).or(taken_over.then_some(Excuse::LockLost))
        });
        let stood_still = (handed_over.is_some() && !holds_lock).then_some(Excuse::StoodStill);
        self.coverage.refreshes += u64::from(!revokes);
        self.requests.push(Request {
            process,
            name,
            refresh_token,
            revokes,
            sent_at,
            outcome: Outcome::AwaitingResponse,
            lock_lost: !holds_lock,
            excuse: excuse.or(stood_still),
            handed_over: handed_over.filter(|handed_over| !self.is_forgotten(name, *handed_over)),
        });
        self.requests.len() - 1
    }

    /// Returns why the process that sent the request could not save what it yielded, if it could not.
    pub(crate) fn excuse(&self, request: &Request) -> Option<Excuse> {
        let killed = !self.alive[request.process];
        match request.outcome {
            Outcome::Unknown => Some(Excuse::OutcomeUnknown),
            Outcome::AwaitingResponse if killed => Some(Excuse::ProcessKilled),
            Outcome::AwaitingResponse if request.lock_lost => Some(Excuse::LockLost),
            Outcome::Unsaved(_) if killed || request.lock_lost => Some(Excuse::Unsaved),
            _ => None,
        }
    }

    /// Returns the token that was consumed for an unsaved one: the same, if the server did not rotate.
    pub(crate) fn consumed_for(&self, unsaved: usize) -> usize {
        let yielded = |request: &&Request| request.outcome == Outcome::Unsaved(unsaved);
        self.requests.iter().find(yielded).map_or(unsaved, |request| request.refresh_token)
    }

    /// Notes the outcome of a request, as its process knows it.
    pub(crate) fn note_outcome(&mut self, request: usize, outcome: Outcome) {
        if self.requests[request].outcome == Outcome::AwaitingResponse {
            self.requests[request].outcome = outcome;
        }
    }

    // The store.

    /// Tries to take the lock. `lease_expired` returns whether a holder was suspended for too long to keep its lease.
    pub(crate) fn lock(&mut self, process: usize, name: usize, lease_expired: impl Fn(usize) -> bool) -> bool {
        let holder = self.slots[name].lock_holder;
        assert_ne!(holder, Some(process), "promise 9: process {process} asks for the lock that it holds");
        match holder {
            Some(holder) if !(self.kind == Kind::LongLeases && lease_expired(holder)) => {
                self.coverage.locks_taken += 1;
                return false;
            }
            Some(holder) => {
                self.coverage.lease_takeovers += 1;
                self.note_lock_lost(holder, name);
            }
            None => {}
        }
        self.slots[name].lock_holder = Some(process);
        true
    }

    fn note_lock_lost(&mut self, process: usize, name: usize) {
        for request in &mut self.requests {
            request.lock_lost |= (request.process, request.name) == (process, name);
        }
    }

    /// Releases the lock of a process, if it holds it; in a database, by its lease.
    pub(crate) fn unlock(&mut self, process: usize, name: usize, lease: Option<u64>) {
        if self.kind == Kind::Database {
            return self.release(name, lease);
        }
        let slot = &mut self.slots[name];
        slot.lock_holder = slot.lock_holder.filter(|holder| *holder != process);
    }

    /// Kills a process, which frees its locks, but for leases.
    pub(crate) fn kill(&mut self, process: usize) {
        self.alive[process] = false;
        if self.kind != Kind::Database {
            (0..self.slots.len()).for_each(|name| self.unlock(process, name, None));
        }
    }

    pub(crate) fn load(&self, name: usize) -> Option<StoredRecord> {
        self.slots[name].stored.clone()
    }

    pub(crate) fn damage(&mut self, name: usize) {
        if let Some(login) = self.stored_login(name) {
            // Its caller may start it again, with consumed tokens.
            self.logins[login].exempt = true;
        }
        let slot = &mut self.slots[name];
        if slot.stored.is_some() {
            slot.stored = Some(StoredRecord::from_bytes(*br#"{"version":1,"#));
            slot.record = None;
        }
    }

    pub(crate) fn is_damaged(&self, name: usize) -> bool {
        self.slots[name].stored.is_some() && self.slots[name].record.is_none()
    }

    fn holds(&self, name: usize, expected: Expected) -> bool {
        let damaged = matches!(expected, Expected::Damaged(_));
        self.slots[name].stored.as_ref().map(StoredRecord::generation) == expected.generation()
            && damaged == self.is_damaged(name)
    }

    /// Saves or clears, if the store holds what is expected. Returns whether it does, or is done already.
    pub(crate) fn write(&mut self, write: &Write) -> bool {
        let &Write { process, name, expected, .. } = write;
        if let Change::Save(record) = &write.change {
            self.check_origin(name, &Record::of_flow(record));
        }
        if self.is_fenced(write) || !(self.holds(name, expected) || self.is_done(write)) {
            self.coverage.conflicts += 1;
            return false;
        }
        self.coverage.writes_found_done += u64::from(!self.holds(name, expected));
        if self.holds(name, expected) {
            self.note_write(write);
            match &write.change {
                Change::Save(record) => self.save(process, name, record),
                Change::Clear { revoked, target } => self.clear(process, name, *revoked, *target),
            }
        }
        self.check_done(write);
        true
    }

    fn save(&mut self, process: usize, name: usize, stored: &StoredRecord) {
        let record = Record::of_flow(stored);
        let login = self.check_origin(name, &record);
        self.check_replacement(name, login);
        let empty = self.slots[name].stored.is_none();
        let Login { cleared, exempt, was_stored, start_unconfirmed, replaced, .. } = &mut self.logins[login];
        // After a start of unknown outcome, a sign-out since then looks to the caller like a save that failed.
        let allowed = !*cleared || record.signing_out || *start_unconfirmed;
        assert!(allowed, "promise 6: a session that was signed out is stored again");
        *exempt |= *start_unconfirmed && *was_stored && empty;
        (*cleared, *was_stored, *replaced) = (false, true, false);
        let access_token = &mut self.access_tokens[record.access_token()];
        if !access_token.from_refresh {
            // A login that is started again may be stored with another time.
            let (wall, before) = (record.obtained_at_unix_ms, access_token.requested_at);
            let monotonic = before.map_or(0, |before| before.monotonic);
            let latest = before.filter(|_| access_token.was_stored).map_or(wall, |before| before.wall.max(wall));
            access_token.counted_anew |= before.is_some_and(|before| before.wall < latest);
            access_token.requested_at = Some(Moment { monotonic, wall: latest });
            access_token.earliest = Some(access_token.earliest.map_or(wall, |earliest| earliest.min(wall)));
        }
        if let Some(old) = &self.slots[name].record {
            self.check_successor(old, &record, login);
        }
        self.access_tokens[record.access_token()].was_stored = true;
        let new_holder = self.slots[name].lock_holder;
        for request in &mut self.requests {
            if record.refresh_token.map(Outcome::Unsaved) == Some(request.outcome) {
                let taken_over = new_holder.filter(|_| request.lock_lost).map(Outcome::SavedAfterTakeover);
                request.outcome = taken_over.unwrap_or(Outcome::Saved);
            }
        }
        let slot = &mut self.slots[name];
        (slot.stored, slot.record, slot.writer) = (Some(stored.clone()), Some(record), process);
    }

    /// Asserts promise 10: all parts of a record come from one login under that name. Returns that login.
    fn check_origin(&mut self, name: usize, record: &Record) -> usize {
        let login = self.access_tokens[record.access_token()].login;
        assert_eq!(self.logins[login].name, name, "promise 10: a record under another name");
        if let Some(refresh_token) = record.refresh_token {
            assert_eq!(self.refresh_tokens[refresh_token].login, login, "promise 10: a record of two logins");
        }
        let id = *self.logins[login].id_in_records.get_or_insert(record.login_id);
        assert_eq!(id, record.login_id, "promise 10: a login with two identifiers");
        login
    }

    /// Asserts promise 11: a login that a later one has replaced stays replaced.
    fn check_replacement(&mut self, name: usize, login: usize) {
        let Some(old) = self.stored_login(name).filter(|old| *old != login) else {
            if self.slots[name].record.is_none() {
                // What is cleared or damaged remembers nothing: such a login may come back, with consumed tokens.
                for login in self.logins.iter_mut().filter(|login| login.name == name && login.replaced) {
                    (login.replaced, login.exempt) = (false, true);
                }
            }
            return;
        };
        assert!(!self.logins[login].replaced, "promise 11: login {login} comes back over login {old}");
        self.logins[old].replaced = true;
    }

    /// Asserts promises 4, 5, 6 and 9, for a record that is saved over another one.
    fn check_successor(&self, old: &Record, new: &Record, login: usize) {
        assert_ne!(old.generation, new.generation, "promise 9: a save that looks like the one before");
        if old.login_id != new.login_id {
            return;
        }
        // After a failover a late save may find the generation that it expects a second time.
        let is_marked = !old.signing_out || new.signing_out || self.logins[login].forgotten;
        assert!(is_marked, "promise 6: the mark of a sign-out is removed");
        let ended = old.rejected.is_some() && old.refresh_token == new.refresh_token;
        assert!(!ended || !new.is_active(), "promise 4: a session that has ended continues");
        if let (Some(old), Some(new)) = (old.refresh_token, new.refresh_token) {
            let worse = self.is_live(old) && self.refresh_tokens[new].consumed.is_some();
            assert!(!worse, "promise 5: refresh token {old} is overwritten by {new}, which is consumed");
        }
    }

    fn clear(&mut self, process: usize, name: usize, revoked: bool, target: Option<usize>) {
        if let Some(login) = self.stored_login(name) {
            assert!(target.is_none_or(|target| target == login), "promise 10: signs another user out");
            let record = self.slots[name].record.as_ref().filter(|record| revoked && record.rejected.is_none());
            if let Some(token) = record.and_then(|record| record.refresh_token) {
                let sent = self.requests.iter().any(|request| request.revokes && request.refresh_token == token);
                assert!(sent, "promise 6: signed out, and no revocation was sent");
            }
            self.logins[login].cleared = true;
            self.logins[login].exempt = true;
        }
        let slot = &mut self.slots[name];
        (slot.stored, slot.record, slot.writer) = (None, None, process);
    }

    fn stored_login(&self, name: usize) -> Option<usize> {
        Some(self.access_tokens[self.slots[name].record.as_ref()?.access_token?].login)
    }
}

impl Request {
    fn is_in_flight(&self) -> bool {
        self.outcome == Outcome::AwaitingResponse && !self.lock_lost
    }
}
