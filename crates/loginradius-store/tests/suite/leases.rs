//! The store tests of damage, leases and networks: a store over a table passes them, in blocking and in async code, and
//! stores that break one promise each do not.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_proto::Error;
use loginradius_store::{
    AsyncSessionLock, AsyncSessionStore, BoxFuture, Expected, LoadError, SaveError, SessionLock, SessionStore,
    StoredRecord, store_tests,
};

use crate::store_tests::message;

/// One broken promise each, but for those that are allowed.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    None,
    /// A statement without a reply is sent again. It is no fault, and nor is the next one.
    Resends,
    RenewalsAreStruck,
    // Of damage.
    NoCopy,
    CopyOfTheNew,
    CopyOfTheStart,
    OneCopy,
    CopyOfEverySave,
    CopyOnConflict,
    CopyOnResend,
    CopyForAllNames,
    CopyOfWhatIsCleared,
    ClearRemovesCopies,
    UnlockRemovesCopies,
    DamageIsNothing,
    DamageIsConflictIfItsGenerationDiffers,
    // Of leases.
    SavesWithoutLease,
    DamagedSavesWithoutLease,
    ClearsWithoutLease,
    ConflictWritesAnyway,
    LostLeaseIsFailure,
    NextHolderCannotSave,
    LapseRemovesRecord,
    UnlocksAnyone,
    NoRenewal,
    RenewsOnce,
    RenewsLatest,
    RenewsUntilOneIsReleased,
    RenewsUntilHandleEnds,
    RenewsAnyone,
    RenewalTakesLease,
    RenewsReleased,
    CountsLeases,
    LongLease,
    LongUntilRenewed,
    IsAlwaysHeld,
    IsNeverHeld,
    IsHeldFromTheStart,
    IsHeldToTheEnd,
    IsHeldByAnyone,
    // Of networks.
    OwnSaveIsConflict,
    OwnClearIsConflict,
    LostIsFailure,
    LostIsConflict,
    LostIsDone,
    LostLoadIsNothing,
    LostLockIsRenewed,
    LostUnlockIsRenewed,
    UnlockKeepsLease,
    SavesUnderNoLease,
    ChecksLockBefore,
    LateUnlockUnlocksAnyone,
    // Of hooks: they do nothing.
    NoLapse,
    NoStop,
    NoStrike,
}

/// Which part finds it, and by what message.
const FAULTS: [(Fault, Part, &str); 53] = [
    (Fault::NoCopy, Part::Damage, "a copy is kept of a damaged record that is replaced"),
    (Fault::CopyOfTheNew, Part::Damage, "a copy is kept of a damaged record that is replaced"),
    (Fault::CopyOfTheStart, Part::Damage, "a copy is kept of a damaged record that is replaced"),
    (Fault::OneCopy, Part::Damage, "a copy is kept of a damaged record that is replaced"),
    (Fault::CopyOfEverySave, Part::Damage, "a copy is kept of nothing but a damaged record"),
    (Fault::CopyOnConflict, Part::Damage, "a copy is kept of nothing but a damaged record"),
    (Fault::CopyOnResend, Part::Damage, "a copy is kept of nothing but a damaged record"),
    (Fault::CopyForAllNames, Part::Damage, "there is one under another name"),
    (Fault::CopyOfWhatIsCleared, Part::Damage, "a copy is kept of nothing but a damaged record"),
    (Fault::ClearRemovesCopies, Part::Damage, "after the record was cleared:"),
    (Fault::UnlockRemovesCopies, Part::Damage, "after the record was cleared, and its lock was released"),
    (Fault::DamageIsNothing, Part::Damage, "a damaged record is loaded as it is"),
    (
        Fault::DamageIsConflictIfItsGenerationDiffers,
        Part::Damage,
        "damaged record of the expected generation is replaced",
    ),
    (Fault::SavesWithoutLease, Part::Leases, "changes nothing: its save or clear is a conflict (a save"),
    (Fault::DamagedSavesWithoutLease, Part::Leases, "changes nothing: its save or clear is a conflict (a save"),
    (Fault::ClearsWithoutLease, Part::Leases, "changes nothing: its save or clear is a conflict (a clear"),
    (Fault::ConflictWritesAnyway, Part::Leases, "changes nothing: its save or clear is a conflict (after a save"),
    (Fault::LostLeaseIsFailure, Part::Leases, "changes nothing: its save or clear is a conflict (a save"),
    (Fault::NextHolderCannotSave, Part::Leases, "saves and clears (the save number 1"),
    (Fault::LapseRemovesRecord, Part::Leases, "there was nothing"),
    (Fault::UnlocksAnyone, Part::Leases, "does not release the lock of the next one"),
    (Fault::NoRenewal, Part::Leases, "its lease is renewed without a call"),
    (Fault::RenewsOnce, Part::Leases, "its lease is renewed without a call"),
    (Fault::RenewsLatest, Part::Leases, "its lease is renewed without a call"),
    (Fault::RenewsUntilOneIsReleased, Part::Leases, "its lease is renewed without a call"),
    (Fault::RenewsUntilHandleEnds, Part::Leases, "its lease is renewed without a call (\"third\""),
    (Fault::RenewsAnyone, Part::Leases, "whose holder has died is free within the length of a lease"),
    (Fault::RenewalTakesLease, Part::Leases, "saves and clears (the save number"),
    (Fault::RenewsReleased, Part::Leases, "a lock that was released is free"),
    (Fault::CountsLeases, Part::Leases, "under the lock number"),
    (Fault::LongLease, Part::Leases, "whose holder has died is free within the length of a lease"),
    (Fault::LongUntilRenewed, Part::Leases, "within the length of a lease (of one that has died at once"),
    (Fault::IsAlwaysHeld, Part::Leases, "`is_held` is false once"),
    (Fault::IsNeverHeld, Part::Leases, "`is_held` is true as long"),
    (Fault::IsHeldFromTheStart, Part::Leases, "`is_held` is true as long"),
    (
        Fault::IsHeldToTheEnd,
        Part::Leases,
        "`is_held` is false once less than half of the lease is left, or another holder has it (another one has it",
    ),
    (
        Fault::IsHeldByAnyone,
        Part::Leases,
        "`is_held` is false once less than half of the lease is left, or another holder has it (after another",
    ),
    (Fault::NoLapse, Part::Leases, "after the hook `lapse`"),
    (Fault::NoStop, Part::Leases, "whose holder has died is free within the length of a lease"),
    (Fault::OwnSaveIsConflict, Part::Network, "is `Ok`, or `Unknown` (First"),
    (Fault::OwnClearIsConflict, Part::Network, "is `Ok`, or `Unknown` (Clear"),
    (Fault::LostIsFailure, Part::Network, "is `Ok`, or `Unknown`"),
    (Fault::LostIsConflict, Part::Network, "is `Ok`, or `Unknown`"),
    (Fault::LostIsDone, Part::Network, "shows what was done (First AfterASave"),
    (Fault::LostLoadIsNothing, Part::Network, "a load without a reply is the record, or `Failed`"),
    (Fault::LostLockIsRenewed, Part::Network, "leaves the lock free within the length of a lease (a lock"),
    (Fault::LostUnlockIsRenewed, Part::Network, "leaves the lock free within the length of a lease (a late unlock"),
    (Fault::UnlockKeepsLease, Part::Network, "after the unlock changes nothing (Next AfterTheUnlock"),
    (Fault::SavesUnderNoLease, Part::Network, "after the unlock changes nothing (First AfterTheUnlock"),
    (Fault::SavesWithoutLease, Part::Network, "changes nothing (First AfterTheUnlock"),
    (Fault::ChecksLockBefore, Part::Network, "a late lock: the save of the holder"),
    (Fault::LateUnlockUnlocksAnyone, Part::Network, "a late unlock: its holder's lock was free"),
    (Fault::NoStrike, Part::Network, "the hooks struck no statement"),
];

#[derive(Clone, Copy, PartialEq, Debug)]
enum Part {
    Damage,
    Leases,
    Network,
}

const LEASE: Duration = Duration::from_millis(400);

#[derive(Default)]
struct Database {
    rows: Mutex<HashMap<String, Row>>,
    network: Mutex<Network>,
}

#[derive(Default)]
struct Row {
    record: Option<StoredRecord>,
    copies: Vec<Vec<u8>>,
    lease: u64,
    until: Option<Instant>,
}

#[derive(Default)]
struct Network {
    next: Option<Strike>,
    struck: usize,
    held: Vec<Statement>,
}

#[derive(Clone, Copy)]
enum Strike {
    Reply,
    Statement,
}

#[derive(Clone)]
struct Statement {
    name: String,
    lease: u64,
    what: What,
}

#[derive(Clone)]
enum What {
    Lock,
    /// Takes what was seen to be free.
    LockUnseen,
    Load,
    Swap(Expected, Option<StoredRecord>),
    Unlock,
    Renew,
}

/// What a statement returns: whether it changed its row, and the row's record and lease.
struct Reply {
    done: bool,
    record: Option<StoredRecord>,
    lease: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Database {
    fn run(&self, fault: Fault, statement: &Statement) -> Reply {
        let mut rows = locked(&self.rows);
        let Statement { name, lease, what } = statement;
        if fault == Fault::CopyForAllNames {
            rows.entry("another".to_owned()).or_default();
        }
        let row = rows.entry(name.clone()).or_default();
        let now = Instant::now();
        let is_held = row.until.is_some_and(|until| until >= now);
        let own = row.lease == *lease;
        let length = if fault == Fault::LongLease { LEASE * 10 } else { LEASE };
        let mut copy = None;
        let done = match what {
            What::Load => false,
            What::Lock | What::LockUnseen => {
                let free = !is_held || own || matches!(what, What::LockUnseen);
                if free {
                    if row.until.is_some() && fault == Fault::LapseRemovesRecord {
                        row.record = None;
                    }
                    let lapsed = row.until.is_some();
                    row.until = Some(now + if fault == Fault::LongUntilRenewed { LEASE * 10 } else { length });
                    row.lease = match fault {
                        Fault::CountsLeases => row.lease + 1,
                        Fault::NextHolderCannotSave if lapsed => 0,
                        _ => *lease,
                    };
                }
                free
            }
            What::Swap(expected, new) => {
                let found = row.record.as_ref().map(StoredRecord::generation);
                let damaged = matches!(expected, Expected::Damaged(_));
                let is_expected = found == expected.generation();
                let is_done = row.record == *new
                    && !(fault == Fault::OwnSaveIsConflict && new.is_some())
                    && !(fault == Fault::OwnClearIsConflict && new.is_none());
                let leased = match fault {
                    Fault::SavesWithoutLease => new.is_none() || own || !damaged,
                    Fault::DamagedSavesWithoutLease => own || damaged && new.is_some(),
                    Fault::ClearsWithoutLease => own || new.is_none(),
                    Fault::SavesUnderNoLease => own || !is_held,
                    _ => own,
                };
                let differs = fault == Fault::DamageIsConflictIfItsGenerationDiffers && damaged && {
                    let derived = |record: &StoredRecord| StoredRecord::from_bytes(record.as_bytes()).generation();
                    row.record.as_ref().map(derived) != found
                };
                let done = leased && (is_expected || is_done) && !differs;
                copy = match (fault, &row.record, new) {
                    (Fault::NoCopy, ..) => None,
                    (Fault::CopyOfTheNew, Some(_), Some(new)) if done && damaged => Some(new.as_bytes().to_vec()),
                    (Fault::CopyOfTheStart, Some(old), Some(_)) if leased && is_expected && damaged => {
                        Some(old.as_bytes()[..old.as_bytes().len().min(65_535)].to_vec())
                    }
                    (Fault::CopyOfWhatIsCleared, Some(old), None) if done && damaged => Some(old.as_bytes().to_vec()),
                    (Fault::CopyOfEverySave, Some(old), Some(_)) if done => Some(old.as_bytes().to_vec()),
                    (Fault::CopyOnConflict, Some(old), Some(_)) if damaged => Some(old.as_bytes().to_vec()),
                    (Fault::CopyOnResend, Some(old), Some(_)) if done && damaged => Some(old.as_bytes().to_vec()),
                    (_, Some(old), Some(_)) if leased && is_expected && damaged => Some(old.as_bytes().to_vec()),
                    _ => None,
                };
                if done || fault == Fault::ConflictWritesAnyway && is_expected {
                    row.record.clone_from(new);
                }
                if done && new.is_none() && fault == Fault::ClearRemovesCopies {
                    row.copies.clear();
                }
                done
            }
            What::Unlock => {
                let anyone = matches!(fault, Fault::UnlocksAnyone | Fault::LateUnlockUnlocksAnyone);
                if own || anyone {
                    row.until = None;
                    if !matches!(fault, Fault::UnlockKeepsLease | Fault::RenewsReleased) {
                        row.lease = 0;
                    }
                    let empty = row.copies.is_empty() || fault == Fault::UnlockRemovesCopies;
                    if row.record.is_none() && empty {
                        rows.remove(name);
                    }
                    return Reply { done: true, record: None, lease: 0 };
                }
                false
            }
            What::Renew => {
                if own || matches!(fault, Fault::RenewsAnyone | Fault::RenewalTakesLease) {
                    row.until = Some(now + length);
                }
                if fault == Fault::RenewalTakesLease {
                    row.lease = *lease;
                }
                own
            }
        };
        if fault == Fault::OneCopy && copy.is_some() {
            row.copies.clear();
        }
        row.copies.extend(copy.clone());
        let reply = Reply { done, record: row.record.clone(), lease: row.lease };
        if let (Fault::CopyForAllNames, Some(copy)) = (fault, copy) {
            rows.values_mut().for_each(|row| row.copies.push(copy.clone()));
        }
        reply
    }
}

#[derive(Clone)]
struct Renewal {
    name: String,
    lease: u64,
    /// When the last statement was sent that took or renewed the lease.
    extended: Arc<Mutex<Instant>>,
}

/// A handle.
struct Table(Arc<Core>);

struct Core {
    fault: Fault,
    database: Arc<Database>,
    renewals: Mutex<Vec<Renewal>>,
    renewed: AtomicUsize,
    stopped: AtomicBool,
}

impl Table {
    fn open(database: Arc<Database>, fault: Fault) -> Self {
        let (renewals, renewed, stopped) = (Mutex::default(), AtomicUsize::new(0), AtomicBool::new(false));
        let core = Arc::new(Core { fault, database, renewals, renewed, stopped });
        let weak = Arc::downgrade(&core);
        thread::spawn(move || renew(&weak));
        Self(core)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if self.0.fault == Fault::RenewsUntilHandleEnds {
            self.0.stopped.store(true, Ordering::SeqCst);
        }
    }
}

fn renew(core: &Weak<Core>) {
    loop {
        thread::sleep(LEASE / 4);
        let Some(core) = core.upgrade() else { return };
        if core.stopped.load(Ordering::SeqCst) {
            return;
        }
        let mut renewals = locked(&core.renewals).clone();
        match core.fault {
            Fault::NoRenewal => renewals.clear(),
            Fault::RenewsOnce if core.renewed.load(Ordering::SeqCst) > 0 => renewals.clear(),
            Fault::RenewsLatest => drop(renewals.drain(..renewals.len().saturating_sub(1))),
            _ => {}
        }
        core.renewed.fetch_add(renewals.len(), Ordering::SeqCst);
        for Renewal { name, lease, extended } in renewals {
            let sent = Instant::now();
            // If it fails, the next one renews it, or the lease lapses.
            let renewed = core.send(&Statement { name, lease, what: What::Renew });
            let is_held = renewed.is_ok_and(|reply| reply.done || core.fault == Fault::IsHeldByAnyone);
            if is_held && core.fault != Fault::IsHeldFromTheStart {
                *locked(&extended) = sent;
            }
        }
    }
}

impl Core {
    /// Sends a statement. After an error, it may or may not have been done.
    fn send(&self, statement: &Statement) -> Result<Reply, Error> {
        let may_be_struck = !matches!(statement.what, What::Renew) || self.fault == Fault::RenewalsAreStruck;
        let strike = if may_be_struck { locked(&self.database.network).next.take() } else { None };
        if let Some(strike) = strike {
            match strike {
                Strike::Reply => drop(self.database.run(self.fault, statement)),
                Strike::Statement => locked(&self.database.network).held.push(statement.clone()),
            }
            locked(&self.database.network).struck += 1;
            return Err(Error::unavailable("the connection to the database broke: try again later", "it was struck"));
        }
        Ok(self.database.run(self.fault, statement))
    }

    fn call(&self, name: &str, lease: u64, what: What) -> Result<Reply, Error> {
        let statement = Statement { name: name.to_owned(), lease, what };
        let resends = matches!(
            self.fault,
            Fault::Resends | Fault::RenewalsAreStruck | Fault::OwnSaveIsConflict | Fault::OwnClearIsConflict
        );
        self.send(&statement).or_else(|error| if resends { self.send(&statement) } else { Err(error) })
    }

    fn try_lock(self: &Arc<Self>, name: &str) -> Result<Option<TableLock>, Error> {
        static LEASES: AtomicU64 = AtomicU64::new(1);
        let lease = LEASES.fetch_add(1, Ordering::Relaxed);
        let extended = Arc::new(Mutex::new(Instant::now()));
        let renew = |lease| {
            locked(&self.renewals).push(Renewal { name: name.to_owned(), lease, extended: extended.clone() });
        };
        if self.fault == Fault::LostLockIsRenewed {
            renew(lease);
        }
        let mut what = What::Lock;
        if self.fault == Fault::ChecksLockBefore {
            let rows = locked(&self.database.rows);
            if rows.get(name).is_some_and(|row| row.until.is_some_and(|until| until >= Instant::now())) {
                return Ok(None);
            }
            what = What::LockUnseen;
        }
        let reply = self.call(name, lease, what)?;
        if !reply.done {
            locked(&self.renewals).retain(|renewal| renewal.lease != lease);
            return Ok(None);
        }
        let lease = if self.fault == Fault::CountsLeases { reply.lease } else { lease };
        if self.fault != Fault::LostLockIsRenewed {
            renew(lease);
        }
        Ok(Some(TableLock { core: self.clone(), name: name.to_owned(), lease, extended }))
    }
}

struct TableLock {
    core: Arc<Core>,
    name: String,
    lease: u64,
    extended: Arc<Mutex<Instant>>,
}

impl TableLock {
    fn swap(&self, expected: Expected, new: Option<&StoredRecord>) -> Result<(), SaveError> {
        match (self.core.fault, self.core.call(&self.name, self.lease, What::Swap(expected, new.cloned()))) {
            (_, Ok(reply)) if reply.done => Ok(()),
            (Fault::LostLeaseIsFailure, Ok(reply)) if reply.lease != self.lease => {
                Err(SaveError::Failed(Error::unavailable("the lease is lost: try again later", "another holder")))
            }
            (_, Ok(_)) | (Fault::LostIsConflict, Err(_)) => Err(SaveError::Conflict),
            (Fault::LostIsFailure, Err(error)) => Err(SaveError::Failed(error)),
            (Fault::LostIsDone, Err(_)) => Ok(()),
            (_, Err(error)) => Err(SaveError::Unknown(error)),
        }
    }
}

impl SessionStore for Table {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        Ok(self.0.try_lock(name)?.map(|lock| Box::new(lock) as _))
    }

    fn peek(&self, name: &str) -> Option<StoredRecord> {
        self.0.call(name, 0, What::Load).ok()?.record
    }
}

impl SessionLock for TableLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        match (self.core.fault, self.core.call(&self.name, self.lease, What::Load)) {
            (Fault::LostLoadIsNothing, Err(_)) => Ok(None),
            (Fault::DamageIsNothing, Ok(Reply { record: Some(record), .. }))
                if !record.as_bytes().starts_with(br#"{"version":1"#) =>
            {
                Ok(None)
            }
            (_, reply) => Ok(reply?.record),
        }
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        self.swap(expected, Some(record))
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        self.swap(expected, None)
    }

    fn is_held(&self) -> bool {
        let since = locked(&self.extended).elapsed();
        match self.core.fault {
            Fault::IsAlwaysHeld => true,
            Fault::IsNeverHeld => false,
            Fault::IsHeldToTheEnd => since < LEASE,
            _ => since < LEASE / 2,
        }
    }
}

impl Drop for TableLock {
    fn drop(&mut self) {
        let end_renewals = || {
            let is_own = |renewal: &Renewal| renewal.name == self.name && renewal.lease == self.lease;
            match self.core.fault {
                Fault::RenewsReleased => {}
                Fault::RenewsUntilOneIsReleased => locked(&self.core.renewals).clear(),
                _ => locked(&self.core.renewals).retain(|renewal| !is_own(renewal)),
            }
        };
        if self.core.fault != Fault::LostUnlockIsRenewed {
            end_renewals();
        }
        // If that fails, the lease lapses by itself.
        let unlocked = self.core.call(&self.name, self.lease, What::Unlock);
        if self.core.fault == Fault::LostUnlockIsRenewed && unlocked.is_ok() {
            end_renewals();
        }
    }
}

/// The same store for async code, whose dropped locks are released a moment later.
struct AsyncTable(Table);

struct AsyncTableLock(Option<TableLock>);

impl AsyncTableLock {
    fn lock(&mut self) -> &mut TableLock {
        self.0.as_mut().expect("it is not released")
    }
}

impl AsyncSessionStore for AsyncTable {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(self.0.0.try_lock(name)?.map(|lock| Box::new(AsyncTableLock(Some(lock))) as _))
        })
    }
}

impl AsyncSessionLock for AsyncTableLock {
    fn load(&mut self) -> BoxFuture<'_, Result<Option<StoredRecord>, LoadError>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            self.lock().load()
        })
    }

    fn save<'a>(&'a mut self, record: &'a StoredRecord, expected: Expected) -> BoxFuture<'a, Result<(), SaveError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.lock().save(record, expected)
        })
    }

    fn clear(&mut self, expected: Expected) -> BoxFuture<'_, Result<(), SaveError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.lock().clear(expected)
        })
    }

    fn is_held(&self) -> bool {
        self.0.as_ref().is_some_and(SessionLock::is_held)
    }

    fn unlock(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        let lock = self.0.take();
        Box::pin(async {
            tokio::task::yield_now().await;
            drop(lock);
        })
    }
}

impl Drop for AsyncTableLock {
    fn drop(&mut self) {
        if let Some(lock) = self.0.take() {
            tokio::spawn(async {
                tokio::time::sleep(Duration::from_millis(3)).await;
                drop(lock);
            });
        }
    }
}

struct Tables {
    fault: Fault,
    databases: Mutex<HashMap<String, Arc<Database>>>,
}

impl Tables {
    fn new(fault: Fault) -> Self {
        Self { fault, databases: Mutex::default() }
    }

    fn database(&self, storage: &str) -> Arc<Database> {
        locked(&self.databases).entry(storage.to_owned()).or_default().clone()
    }

    fn open(&self, storage: &str) -> Table {
        Table::open(self.database(storage), self.fault)
    }

    fn check(&self, part: Part) {
        let open = |storage: &str| self.open(storage);
        match part {
            Part::Damage => store_tests::check_damage(open, self),
            Part::Leases => store_tests::check_leases(open, LEASE, self),
            Part::Network => store_tests::check_network(open, LEASE, self),
        }
    }

    fn strike(&self, storage: &str, strike: Strike) {
        if self.fault != Fault::NoStrike {
            locked(&self.database(storage).network).next = Some(strike);
        }
    }
}

impl store_tests::DamageHooks for Tables {
    async fn damage(&self, storage: &str, name: &str, bytes: &[u8]) {
        let database = self.database(storage);
        let mut rows = locked(&database.rows);
        let record = &mut rows.get_mut(name).unwrap().record;
        *record = Some(StoredRecord::new(record.as_ref().unwrap().generation(), bytes));
    }

    async fn copies(&self, storage: &str, name: &str) -> Vec<Vec<u8>> {
        let database = self.database(storage);
        locked(&database.rows).get(name).map(|row| row.copies.clone()).unwrap_or_default()
    }
}

impl store_tests::LeaseHooks<Table> for Tables {
    async fn lapse(&self, storage: &str, name: &str) {
        if self.fault != Fault::NoLapse {
            let database = self.database(storage);
            locked(&database.rows).get_mut(name).unwrap().until = Some(Instant::now() - Duration::from_millis(1));
        }
    }

    async fn stop_renewing(&self, store: &Table) {
        store.0.stopped.store(self.fault != Fault::NoStop, Ordering::SeqCst);
    }
}

impl store_tests::LeaseHooks<AsyncTable> for Tables {
    async fn lapse(&self, storage: &str, name: &str) {
        tokio::task::yield_now().await;
        store_tests::LeaseHooks::<Table>::lapse(self, storage, name).await;
    }

    async fn stop_renewing(&self, store: &AsyncTable) {
        self.stop_renewing(&store.0).await;
    }
}

impl store_tests::NetworkHooks for Tables {
    async fn lose_reply(&self, storage: &str) {
        self.strike(storage, Strike::Reply);
    }

    async fn hold_back(&self, storage: &str) {
        self.strike(storage, Strike::Statement);
    }

    async fn restore(&self, storage: &str) -> usize {
        let database = self.database(storage);
        let Network { struck, held, .. } = std::mem::take(&mut *locked(&database.network));
        for statement in held {
            database.run(self.fault, &statement);
        }
        struck
    }
}

#[test]
fn tables_without_a_fault_pass() {
    thread::scope(|scope| {
        for fault in [Fault::None, Fault::Resends, Fault::RenewalsAreStruck] {
            scope.spawn(move || {
                let tables = Tables::new(fault);
                store_tests::check(|storage| tables.open(storage));
                for part in [Part::Damage, Part::Leases, Part::Network] {
                    Tables::new(fault).check(part);
                }
            });
        }
    });
}

#[tokio::test]
async fn async_tables_without_a_fault_pass() {
    let tables = Tables::new(Fault::Resends);
    let open = |storage: &str| AsyncTable(tables.open(storage));
    store_tests::check_async(open).await;
    store_tests::check_damage_async(open, &tables).await;
    store_tests::check_leases_async(open, LEASE, &tables).await;
    store_tests::check_network_async(open, LEASE, &tables).await;
}

#[test]
fn faulty_tables_do_not_pass() {
    let missed: Vec<_> = thread::scope(|scope| {
        let check = |(fault, part, promise): (Fault, Part, &'static str)| {
            scope.spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| Tables::new(fault).check(part)));
                let found = outcome.map_or_else(message, |()| "it passed".to_owned());
                println!("{fault:?}: {found}");
                (!found.contains(promise)).then(|| format!("{fault:?}: {found}"))
            })
        };
        let threads: Vec<_> = FAULTS.into_iter().map(check).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
