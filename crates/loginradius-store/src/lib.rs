//! Where sessions of LoginRadius live between runs.
//!
//! A session's tokens change with every refresh, and the refresh token of before is spent then: who loses the
//! new one has to sign in again, and who sends the old one again may end the session for everybody. So a
//! store is more than a file: it [locks](TokenStore::try_lock), it [saves](LockedSession::save) durably and
//! only in place of what was loaded, and it says of every save whether it took place.
//!
//! | store | for | across threads | across processes | across machines |
//! | --- | --- | --- | --- | --- |
//! | [`MemoryStore`] | tests, and programs whose users sign in each time | yes | no | no |
//! | [`FileStore`] | command-line tools, desktop programs, one server | yes | yes | no |
//! | [your own](#a-store-of-your-own) | servers with a database | yes | yes | yes |
//!
//! Programs hand a store to the `Sessions` of `loginradius-blocking` or `loginradius-async`, and no more.
//! These drive [`SessionFlow`](loginradius_proto::session::SessionFlow)s, whose steps are the store's:
//!
//! ```
//! use std::time::{Instant, SystemTime};
//! use loginradius_proto::session::{SessionFlow, SessionInput, SessionMemory, SessionPolicy, SessionStep};
//! use loginradius_proto::{AccessToken, App, Error, TokenSet};
//! use loginradius_store::{FileStore, LockedSession, TokenStore};
//!
//! /// What `Sessions` does, as long as no request is needed.
//! fn drive(store: &dyn TokenStore, name: &str, mut flow: SessionFlow) -> Result<Option<AccessToken>, Error> {
//!     let mut lock: Option<Box<dyn LockedSession>> = None;
//!     loop {
//!         let input = match (flow.step(Instant::now(), SystemTime::now()), &mut lock) {
//!             (SessionStep::Lock, _) => SessionInput::Locked(store.try_lock(name).map(|taken| {
//!                 lock = taken;
//!                 lock.is_some()
//!             })),
//!             (SessionStep::Load, Some(locked)) => SessionInput::Loaded(locked.load()),
//!             (SessionStep::Save { record, expected }, Some(locked)) => {
//!                 SessionInput::Saved(locked.save(&record, expected))
//!             }
//!             (SessionStep::Clear { expected }, Some(locked)) => SessionInput::Saved(locked.clear(expected)),
//!             (SessionStep::Unlock, _) => {
//!                 lock = None;
//!                 SessionInput::Unlocked
//!             }
//!             (SessionStep::Done(end), _) => return end.result,
//!             (step, _) => unreachable!("{step:?}"),
//!         };
//!         flow.receive(input, Instant::now(), SystemTime::now());
//!     }
//! }
//!
//! # fn main() -> Result<(), Error> {
//! # let home = tempfile::tempdir().unwrap();
//! # let home = home.path();
//! let (app, policy) = (App::new("my-client-id"), SessionPolicy::default());
//! let store = FileStore::open(home.join("my-program"))?;
//! let tokens = TokenSet::new("b8cb84c9");
//! drive(&store, "alice", SessionFlow::sign_in(&app, policy, SessionMemory::default(), tokens, 42))?;
//!
//! // In another process, later.
//! let store = FileStore::open(home.join("my-program"))?;
//! let token = drive(&store, "alice", SessionFlow::token(&app, policy, SessionMemory::default(), 43))?;
//! assert_eq!(token.unwrap().expose(), "b8cb84c9");
//! # Ok(())
//! # }
//! ```
//!
//! A flow that could not save a new pair [keeps the lock](loginradius_proto::session::SessionMemory::keeps_lock)
//! when it is done: its [`LockedSession`] must live until a later flow has saved it.
//!
//! # Files
//!
//! A [`FileStore`] has one folder. In it, for the session `alice`:
//!
//! | file | what |
//! | --- | --- |
//! | `session-alice.json` | The record, as [`SessionRecord::to_json`] writes it: JSON with a `version`. **Its tokens are not encrypted.** Mode 0600. |
//! | `session-alice.lock` | Empty. Who has its lock (`flock`, on Windows `LockFileEx`) has the session. Never removed, for then two could have it. |
//! | `session-alice.tmp-…` | A save that is under way, or whose process died. The next one that saves or clears removes it. |
//! | `session-alice.json.damaged-1` | What a sign-in found that was no record. It may hold tokens; nothing removes it. |
//!
//! In a file's name the bytes a-z, 0-9 and `-` of the session's name stand for themselves, and every other
//! byte of its UTF-8 is `_` and two hexadecimal digits: `Alice` is `session-_41lice.json`. What would be
//! longer than 100 bytes like that is its first 30 bytes, `_x`, and the SHA-256 of the name. So every text is a name, no
//! two meet, not even where `A` and `a` are one, and none has a meaning to the system.
//!
//! | promise | how |
//! | --- | --- |
//! | The old record or the new one is there, whole, whatever dies at which instant. | It is written beside the old one, flushed to the disk, and renamed over it. |
//! | What is called [`Saved`](SaveOutcome::Saved) outlives a loss of power. | The folder is flushed too, before that is said. If that fails it is [`Unknown`](SaveOutcome::Unknown), and nothing is loaded before it has succeeded. |
//! | [`Failed`](SaveOutcome::Failed) means that the old record is still there, on a full disk as well. | Nothing of it is touched before the rename, and its outcome is never guessed. |
//! | One process has the session at a time, and one handle in it. | A lock of the operating system, which ends with its process. [`FileStore::open`] tries out whether such locks work. |
//! | No update is lost even if somebody removes the lock file. | Who holds the removed one gets a [`Conflict`](SaveOutcome::Conflict), and the generation is compared at every save. |
//! | Nobody else reads the tokens. | Mode 0600 from the first moment; files and folders that others can write, or that belong to others, are refused, with the command that mends them, and links are not followed. |
//! | Nothing is overwritten that is not understood. | A newer version is left alone; what is damaged is set aside by the next sign-in, under the name that the error gave. |
//!
//! What it costs: two flushes for each save, and one look through the folder for each lock under which
//! something is saved, so that tens of thousands of sessions are for a database.
//!
//! **On Windows** there are no modes: keep the folder where only its owner has access, as
//! `%LOCALAPPDATA%` is. Nor can a folder be flushed there, so that a save may be lost with the power, but not
//! torn. **On network file systems** locks depend on the server and its clients; `open` finds out whether two
//! handles of one machine exclude each other, and cannot find out about two machines.
//!
//! # A store of your own
//!
//! Implement [`TokenStore`], or [`AsyncTokenStore`] for async code, and run [the kit](kit) against it. In a
//! database the lock is a *lease*: a row says who has the session, and until when.
//!
//! ```sql
//! CREATE TABLE session (
//!     name         BYTEA PRIMARY KEY,          -- bytes: every text is a name, and `a` is not `A`
//!     record       TEXT,                       -- NULL: nobody is signed in; encrypt it if others read the table
//!     generation   BIGINT,
//!     lease        BIGINT NOT NULL DEFAULT 0,  -- the fencing token: each lease has a higher one
//!     leased_until TIMESTAMPTZ NOT NULL DEFAULT '-infinity'
//! );
//!
//! -- try_lock: one row is ours, with its fencing token; none is `None`. The clock is the database's.
//! INSERT INTO session (name) VALUES ($name) ON CONFLICT DO NOTHING;
//! UPDATE session SET lease = lease + 1, leased_until = now() + $length
//!     WHERE name = $name AND leased_until < now() RETURNING lease;
//!
//! -- load, from the primary server
//! SELECT record FROM session WHERE name = $name;
//!
//! -- save; clear is the same with NULL and NULL. One row is `Saved`, none is `Conflict`.
//! UPDATE session SET record = $json, generation = $new
//!     WHERE name = $name AND lease = $lease AND generation IS NOT DISTINCT FROM $expected;
//!
//! -- unlock, and drop
//! UPDATE session SET leased_until = '-infinity' WHERE name = $name AND lease = $lease;
//! ```
//!
//! - **The outcome of a save.** An error of the statement, such as a deadlock or a full disk, is
//!   [`Failed`](SaveOutcome::Failed): certainly not stored. A connection that breaks after the statement or its
//!   `COMMIT` was sent is [`Unknown`](SaveOutcome::Unknown): the flow loads, and sees by the generation what
//!   became of it. Never send it again by yourself, for then its own first success looks like a conflict.
//!   `Saved` is said after a commit that is durable, also on the server that would take over.
//! - **The length of a lease** must exceed the longest time for which one flow has the lock. That is
//!   [`lock_wait`](loginradius_proto::session::SessionPolicy::lock_wait), within which a request is tried again,
//!   and one [`timeout`](loginradius_proto::session::SessionPolicy::timeout), and what the store itself takes:
//!   with the defaults 60 s, so take two minutes or more. All programs of one table have to agree.
//! - **Renewing.** A new pair that could not be saved keeps the lock beyond its flow, so that nobody loads the
//!   spent token and sends it again. Nothing is called on the [`LockedSession`] in the meantime: as long as it
//!   lives, a thread or a task of the store has to renew its lease, three times in its length
//!   (`SET leased_until = now() + $length WHERE name = $name AND lease = $lease`).
//! - **When a lease lapses all the same**, because a process was stopped or the network was gone, two have the
//!   session at once. The fencing token makes that the earlier one can save nothing any more, and the
//!   generation that nobody saves over what he has not seen, even where leases go wrong: a conflict
//!   makes a flow load again, and it adopts what the other one has got. What no condition can take back is a
//!   refresh token that both have sent; against that helps the length alone.
//! - **Damaged records.** A save that expects nothing and finds what [`LoadOutcome::from_json`] calls damaged
//!   has to set it aside, in the same transaction; and what it calls failed has to stay.
//!
//! The same with a map in the place of a database:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//! use std::thread::sleep;
//! use std::time::{Duration, Instant};
//! use loginradius_proto::Error;
//! use loginradius_store::{LoadOutcome, LockedSession, SaveOutcome, SessionRecord, TokenStore, kit};
//!
//! #[derive(Default)]
//! struct Row {
//!     record: Option<String>,
//!     damaged: Vec<String>,
//!     lease: u64,
//!     leased_until: Option<Instant>,
//! }
//!
//! #[derive(Clone)]
//! struct DatabaseStore {
//!     table: Arc<Mutex<HashMap<Vec<u8>, Row>>>,
//!     lease_length: Duration,
//! }
//!
//! impl DatabaseStore {
//!     /// One transaction. `Err` is the outcome of one of which nobody knows whether it was committed.
//!     fn transaction<T>(&self, name: &str, change: impl FnOnce(&mut Row) -> T) -> Result<T, Error> {
//!         let lost = |_| Error::try_later("the connection to the database broke; try again later", "poisoned");
//!         Ok(change(self.table.lock().map_err(lost)?.entry(name.into()).or_default()))
//!     }
//! }
//!
//! impl TokenStore for DatabaseStore {
//!     fn try_lock(&self, name: &str) -> Result<Option<Box<dyn LockedSession>>, Error> {
//!         let lease = self.transaction(name, |row| {
//!             let now = Instant::now();
//!             row.leased_until.is_none_or(|until| until < now).then(|| {
//!                 row.leased_until = Some(now + self.lease_length);
//!                 row.lease += 1;
//!                 row.lease
//!             })
//!         })?;
//!         // A real one starts to renew it here.
//!         Ok(lease.map(|lease| Box::new(Lease { store: self.clone(), name: name.into(), lease }) as _))
//!     }
//! }
//!
//! struct Lease {
//!     store: DatabaseStore,
//!     name: String,
//!     lease: u64,
//! }
//!
//! impl Lease {
//!     fn update(&self, record: Option<String>, expected: Option<u64>) -> SaveOutcome {
//!         let outcome = self.store.transaction(&self.name, |row| {
//!             if row.lease != self.lease {
//!                 return SaveOutcome::Conflict;
//!             }
//!             match (row.record.as_deref().map(LoadOutcome::from_json), expected) {
//!                 (None, None) => {}
//!                 (Some(LoadOutcome::Record(stored)), Some(expected)) if stored.generation() == expected => {}
//!                 (Some(LoadOutcome::Damaged(_)), None) => row.damaged.extend(row.record.take()),
//!                 (Some(LoadOutcome::Failed(error)), _) => return SaveOutcome::Failed(error),
//!                 _ => return SaveOutcome::Conflict,
//!             }
//!             row.record = record;
//!             SaveOutcome::Saved
//!         });
//!         outcome.unwrap_or_else(SaveOutcome::Unknown)
//!     }
//! }
//!
//! impl LockedSession for Lease {
//!     fn load(&mut self) -> LoadOutcome {
//!         match self.store.transaction(&self.name, |row| row.record.clone()) {
//!             Ok(Some(record)) => LoadOutcome::from_json(&record),
//!             Ok(None) => LoadOutcome::Nothing,
//!             Err(error) => LoadOutcome::Failed(error),
//!         }
//!     }
//!
//!     fn save(&mut self, record: &SessionRecord, expected: Option<u64>) -> SaveOutcome {
//!         self.update(Some(record.to_json()), expected)
//!     }
//!
//!     fn clear(&mut self, expected: Option<u64>) -> SaveOutcome {
//!         self.update(None, expected)
//!     }
//! }
//!
//! impl Drop for Lease {
//!     fn drop(&mut self) {
//!         // If that fails, the lease ends by itself.
//!         let _ = self.store.transaction(&self.name, |row| {
//!             if row.lease == self.lease {
//!                 row.leased_until = None;
//!             }
//!         });
//!     }
//! }
//!
//! # fn main() -> Result<(), Error> {
//! let databases = Mutex::new(HashMap::<String, DatabaseStore>::new());
//! let open = |storage: &str, lease_length| {
//!     let mut databases = databases.lock().unwrap();
//!     let new = || DatabaseStore { table: Arc::default(), lease_length };
//!     databases.entry(storage.to_owned()).or_insert_with(new).clone()
//! };
//! kit::check(|storage| open(storage, Duration::from_secs(120)));
//!
//! // What the kit cannot try out: a lease that lapses under its holder.
//! let record = |generation: u64| {
//!     let json = format!(
//!         r#"{{"version":1,"generation":{generation},"client_id":"c","sign_in":1,"access_token":"a",
//!         "obtained_at_unix_ms":0}}"#
//!     );
//!     match LoadOutcome::from_json(&json) {
//!         LoadOutcome::Record(record) => record,
//!         other => panic!("{other:?}"),
//!     }
//! };
//! let store = open("lapses", Duration::from_millis(10));
//! let mut early = store.try_lock("alice")?.expect("it is free");
//! assert!(matches!(early.save(&record(1), None), SaveOutcome::Saved));
//! sleep(Duration::from_millis(20));
//! let mut late = store.try_lock("alice")?.expect("the lease has lapsed");
//! assert!(matches!(early.save(&record(2), Some(1)), SaveOutcome::Conflict));
//! assert!(matches!(late.save(&record(3), Some(1)), SaveOutcome::Saved));
//! drop(early);
//! assert!(store.transaction("alice", |row| row.leased_until.is_some())?, "the later lease goes on");
//! assert!(matches!(late.load(), LoadOutcome::Record(stored) if stored.generation() == 3));
//! assert!(matches!(late.clear(Some(3)), SaveOutcome::Saved));
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! - `tokio`: [`AsyncTokenStore`] for [`FileStore`], on tokio's threads for blocking work. Off by default.

#[cfg(any(unix, windows))]
mod file;
pub mod kit;
mod memory;
mod store;

#[cfg(any(unix, windows))]
pub use file::FileStore;
pub use loginradius_proto::session::{LoadOutcome, SaveOutcome, SessionRecord};
pub use memory::MemoryStore;
pub use store::{AsyncLockedSession, AsyncTokenStore, BoxFuture, LockedSession, TokenStore};
