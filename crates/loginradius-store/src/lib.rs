//! Stores LoginRadius sessions between runs: in memory, in files, or in a store of your own.
//!
//! A session's tokens change with every refresh, which consumes the old refresh token. A program that loses the new one
//! needs a new login, and a program that sends the old one again may end the session for all others. So a store is more
//! than a file. It [locks](SessionStore::try_lock), so that a session has one holder at a time; it
//! [saves](SessionLock::save) durably, by compare-and-swap on the record's generation; and it says of each save whether
//! it was done, was not done, or may have been.
//!
//! | store | for | across threads | across processes | across machines |
//! | --- | --- | --- | --- | --- |
//! | [`MemoryStore`] | tests, and programs whose users sign in at each start | yes | no | no |
//! | [`FileStore`] | command-line tools, desktop programs, one server | yes | yes | no |
//! | `PostgresStore` of `loginradius-store-postgres` | services on many machines | yes | yes | yes |
//! | [your own](#a-store-of-your-own) | servers with another database | yes | yes | yes |
//! | [`MovingStore`] | the time of a move from one store to another | as both | as both | as both |
//!
//! A program passes its store to the `Sessions` of `loginradius-blocking` or `loginradius-async`, and needs nothing
//! else from here. A program with a transport of its own uses [`sessions`]. If you implement or call a store, you need
//! this table:
//!
//! | method | promise | outcomes |
//! | --- | --- | --- |
//! | [`try_lock`](SessionStore::try_lock) | A session has one holder at a time. It does not wait for another holder. | `Ok(Some(lock))`; `Ok(None)` if there is another holder; `Err` if the store failed |
//! | [`load`](SessionLock::load) | Returns the record as it was saved, whole. | `Ok(Some(record))`; `Ok(None)` if there is no record; [`LoadError::Failed`]; from a wrapper that seals records also [`LoadError::Damaged`] |
//! | [`save`](SessionLock::save) | Replaces what is [`Expected`], durably. At each instant the old record or the new one is there, whole. | `Ok(())`; [`SaveError::Conflict`]: something else is stored or the lock is lost, nothing was changed; [`SaveError::Failed`]: certainly not saved; [`SaveError::Unknown`]: may have been saved |
//! | [`clear`](SessionLock::clear) | Removes what is expected, durably. | as `save` |
//! | [`unlock`](AsyncSessionLock::unlock), async only | Releases the lock before its future is ready. | `()` |
//! | [`names`](SessionStore::names) | Returns names of sessions that have a record, in the order of their bytes: a page of them. A store need not have it. | `Ok(names)`, none at the end; `Err` if the store failed, or cannot list its sessions |
//! | dropping a lock | Releases the lock, now or when its lease lapses. The death of the process does so too. | |
//!
//! ```
//! use loginradius_store::{Expected, FileStore, SessionStore, StoredRecord};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = tempfile::tempdir()?;
//! # let home = home.path();
//! // This is what `Sessions` do with it. The record is opaque to the store.
//! let store = FileStore::open(home.join("my-program"))?;
//! let mut lock = SessionStore::try_lock(&store, "alice")?.expect("it has no other holder");
//! let record = StoredRecord::from_bytes(*b"the tokens of a login");
//! lock.save(&record, Expected::Nothing)?;
//! let stored = lock.load()?.expect("it was saved");
//! assert_eq!((stored.as_bytes(), stored.generation()), (record.as_bytes(), record.generation()));
//! # Ok(())
//! # }
//! ```
//!
//! # Files
//!
//! A [`FileStore`] has one folder. In it, for the session `alice`:
//!
//! | file | what |
//! | --- | --- |
//! | `session-alice.json` | The record: JSON with a `version`. **Its tokens are not encrypted.** Mode 0600. |
//! | `session-alice.lock` | Empty. The holder of its lock (`flock`, on Windows `LockFileEx`) is the holder of the session. It is never removed, or the session could have two holders. |
//! | `session-….name` | Only of a session whose name is too long for the names of its files (below): its name. Mode 0600. |
//! | `session-alice.tmp` | A save in progress, which holds this file's lock, or a save that was killed. The next save overwrites it; a clear and the next [`open`](FileStore::open) remove it. |
//! | `probe-0123456789abcdef.lock` | `open` is testing locks and modes with this file, or was killed while it did so. The next `open` removes it. |
//! | `session-alice.json.damaged-1` | A copy of a damaged record that a login has replaced. It may hold tokens, and stays until you remove it: a sign-out and a forget leave it. |
//!
//! In a file's name the bytes a-z, 0-9 and `-` of the session's name stand for themselves, and every other byte of its
//! UTF-8 is `_` and two hexadecimal digits: `Alice` is `session-_41lice.json`. If that is longer than 100 bytes, it is
//! cut to 30 bytes, and followed by `_x` and the SHA-256 of the name; then the first save of the record also writes the
//! name into a file, from which [`names`](SessionStore::names) reads it. So any text is a valid name; no two names
//! share a file, not even where the file system takes `A` for `a`; and no file has a name with a meaning to the system.
//!
//! | promise | how |
//! | --- | --- |
//! | At each instant, whatever dies, the old record or the new one is there, whole. | The new one is written to another file, flushed to the disk, and renamed over the old one. |
//! | What is saved outlives a loss of power. | The folder is flushed too, before the save is done. If that fails, the outcome is [`Unknown`](SaveError::Unknown), and no record is loaded before a flush succeeds. Some file systems cannot flush a folder (below). |
//! | [`Failed`](SaveError::Failed) means that the old record is still there, on a full disk too. | The old record is not touched before the rename. If it is not certain whether the rename was done, the outcome is `Unknown`. |
//! | A session has one holder at a time: one process, and one handle in it. | A lock of the operating system, which ends with its process. [`FileStore::open`] checks that such locks work. |
//! | No update is lost, even if the lock file is removed. | The holder of the removed file gets a [`Conflict`](SaveError::Conflict). Besides, the generation is compared and the record replaced under a second lock, that of the temporary file. |
//! | No other user reads the tokens. | Mode 0600 from the first moment. Files that are open to others, folders that others can write to, and what belongs to others are refused with [`ErrorKind::StoreRefused`](loginradius_proto::ErrorKind::StoreRefused); the message says what to do. Links are not followed. `open` checks that a new file keeps its owner and mode. [`FileStore::open_for_group`] lets one group in, on purpose. |
//! | A session whose save is done is listed by its whole name. | A name that the names of the files do not show is flushed to the disk before the record is renamed, and compared with the SHA-256 when it is read. A file that does not match is ignored, and the next save writes it anew. |
//! | No record is lost because it could not be read. | The bytes are kept as they are, and the session fails with [`ErrorKind::RecordDamaged`](loginradius_proto::ErrorKind::RecordDamaged); the message says where they are. Only a login replaces a damaged record, and keeps a copy of it. |
//!
//! **A call that fails for a moment is repeated**, for half a second at most; then the failure is an error. A virus
//! scanner, an indexer or a backup may prevent a rename or a removal for some milliseconds, because it has the file
//! open; a signal or a file server may interrupt any call.
//!
//! **Some file systems can do less.** Where a file cannot have a second name (FAT, exFAT, Android, some policies of
//! SELinux), the copy of a damaged record is written byte for byte; if the process is killed during that, the copy may
//! be incomplete, and the record is still in its place. Where the system says that a folder cannot or may not be
//! flushed, a save does without that, as on Windows. Some file systems of networks and of other operating systems are
//! like that: a loss of power may undo a save there, but never leaves half of it. A flush that fails for another
//! reason, such as a broken disk, is an error, and the flush of a file is never left out.
//!
//! **A disk that is not mounted** is not taken for one without sessions. If its folder is missing,
//! [`FileStore::open_existing`] does not create it, and a store that is open never does. If another file system is
//! mounted at the folder's place than when the store was opened, each use fails with `ErrorKind::StoreRefused` until
//! the first one is back, and nothing is created on the other one. A folder that is removed and created again on the
//! same file system can be used like the first.
//!
//! A save flushes twice, and makes the same system calls however many sessions there are; one under a name that was cut
//! also reads that name, and the first one flushes once more. Only three operations list the folder: `open`, which
//! removes what killed programs left, a clear, and [`names`](SessionStore::names), which returns all names as one page.
//! A file larger than 16 MiB is no session: it is neither loaded nor replaced, and the error is an
//! `ErrorKind::StoreRefused`.
//!
//! Every user who can list the folder sees the sessions' names. So do not name a session by a secret, such as the value
//! of a cookie: name it by the user's id, or by a digest of the secret.
//!
//! A save replaces the file of the record, so that on Unix a record of mode 0400 is replaced by one of mode 0600: to
//! protect a record from its own user, protect the folder.
//!
//! **On Windows** there are no modes: keep the folder where only its owner has access, such as in `%LOCALAPPDATA%`. Nor
//! can a folder be flushed there, so that a loss of power may undo a save, but never leaves half of it. **On network
//! file systems** locks depend on the server and its clients; `open` checks that two handles on one machine exclude
//! each other, and cannot check that for two machines.
//!
//! # Programs of two versions
//!
//! During an upgrade, programs of two versions share a store. They use the same files and lock files, and so exclude
//! each other. What they make of each other's records is [a table of the core](loginradius_proto::session#the-record).
//! Of each other's other files:
//!
//! | file | outcome |
//! | --- | --- |
//! | `session-alice.tmp-…`, left by a killed save of an older program | It is never loaded. `open` and a clear remove it, and so does the older program's next save or clear. |
//! | `session-alice.tmp`, left by a killed save of this program | It is never loaded. The next save of this program overwrites it, `open` and a clear remove it; older programs leave it where it is. |
//! | `session-….name`, of a session with a long name | An older program neither writes nor removes it. A session that only older programs have saved is not listed until the next save of this program; one that an older program has cleared is not listed either, because it has no record. |
//!
//! Older programs refuse a store that is shared with a group. They do not know the second lock either: with one of
//! them, an update may be lost if the lock file is removed during a save.
//!
//! # A store of your own
//!
//! Implement [`SessionStore`], or [`AsyncSessionStore`] for async code, and run [the store tests](store_tests) against
//! it. A store does not read records: it keeps bytes, compares generations, and keeps a copy of what the session calls
//! damaged. `examples/own_store/store.rs` is a complete store over SQLite, with leases that are renewed, a fencing
//! token, and copies of damaged records; `examples/tests/own_store.rs` runs the store tests against it.
//!
//! A save or a clear that fails says what is certain:
//!
//! ```
//! use loginradius_store::SaveError;
//! use loginradius_proto::Error;
//!
//! fn refused_by_the_database(source: std::io::Error) -> SaveError {
//!     SaveError::Failed(Error::unavailable("the database refused the statement: try again later", source))
//! }
//!
//! fn connection_broke(source: std::io::Error) -> Result<(), SaveError> {
//!     Err(Error::unavailable("the connection to the database broke: try again later", source))? // `Unknown`
//! }
//! # let broken = || std::io::ErrorKind::BrokenPipe.into();
//! # assert!(matches!(refused_by_the_database(broken()), SaveError::Failed(_)));
//! # assert!(matches!(connection_broke(broken()), Err(SaveError::Unknown(_))));
//! ```
//!
//! In a database the lock is a *lease*: a row says until when the session has a holder, and its *fencing token* says
//! which one. Each statement commits by itself, and its row count is the outcome. In PostgreSQL (for which
//! `loginradius-store-postgres` has a store already):
//!
//! ```sql
//! CREATE TABLE session (
//!     name         BYTEA PRIMARY KEY,             -- bytes: every text is a name, and `a` is not `A`
//!     record       BYTEA,                         -- NULL: no session; encrypt it if others read the table
//!     generation   BIGINT,
//!     damaged      BYTEA[] NOT NULL DEFAULT '{}', -- copies of damaged records
//!     lease        BIGINT NOT NULL,               -- the fencing token: 63 random bits of the holder; 0: no holder
//!     leased_until TIMESTAMPTZ NOT NULL
//! );
//!
//! -- try_lock: one row is a lease, none is `None`. Sent again, it takes another $lease, and finds that of the attempt
//! -- before ($earlier, else 0). With the same $lease, an attempt that arrives after the unlock would bring back the
//! -- lease that late saves name. `now()` would be too early: it is when the statement began, before it waited for the
//! -- row. By the first condition, callers that wait for the lock do not write the row; the second decides on the row's
//! -- newest version.
//! INSERT INTO session AS s (name, lease, leased_until)
//!     SELECT $name, $lease, clock_timestamp() + $length
//!     WHERE NOT EXISTS
//!         (SELECT FROM session WHERE name = $name AND leased_until >= clock_timestamp() AND lease <> $earlier)
//!     ON CONFLICT (name) DO UPDATE SET lease = $lease, leased_until = clock_timestamp() + $length
//!     WHERE s.leased_until < clock_timestamp() OR s.lease = $earlier;
//!
//! -- load and peek, from the primary server
//! SELECT record, generation FROM session WHERE name = $name;
//!
//! -- save: one row is success, none is `Conflict`. Sent again, it finds its own record. $replaces_damaged is whether
//! -- `Expected::Damaged` is expected. A clear is the same with NULL, NULL and FALSE.
//! UPDATE session
//!     SET record = $record, generation = $generation,
//!         damaged = CASE WHEN $replaces_damaged AND generation = $expected THEN damaged || record ELSE damaged END
//!     WHERE name = $name AND lease = $lease
//!         AND (generation IS NOT DISTINCT FROM $expected
//!             OR (generation IS NOT DISTINCT FROM $generation AND record IS NOT DISTINCT FROM $record));
//!
//! -- names. $prefix_end is $prefix with one added to its last byte (in UTF-8 that is never 255). If the prefix is
//! -- empty, leave out its line.
//! SELECT name FROM session WHERE record IS NOT NULL
//!     AND ($after IS NULL OR name > $after)
//!     AND name >= $prefix AND name < $prefix_end
//!     ORDER BY name LIMIT 1000;
//!
//! -- unlock, and drop: two statements. Without the first, every name that was ever locked stays in the table. The
//! -- second replaces the lease, so that a save which arrives after the unlock is a conflict.
//! DELETE FROM session WHERE name = $name AND lease = $lease AND record IS NULL AND damaged = '{}';
//! UPDATE session SET lease = 0, leased_until = '-infinity' WHERE name = $name AND lease = $lease;
//! ```
//!
//! - **The outcome of a save.** If the server refused the statement, as for a deadlock or a full disk, the outcome is
//!   [`Failed`](SaveError::Failed): certainly not saved. If the connection broke after the statement was sent, or there
//!   was a timeout, the outcome is [`Unknown`](SaveError::Unknown). The `?` operator turns any `Error` into `Unknown`;
//!   the flow then loads the record to find out. A statement may be sent again only if it recognizes its own success,
//!   as the one above does by lease, generation and record. Otherwise its own first success looks like a conflict, or
//!   another record of that generation looks like its own. If the server refuses a statement that was sent again, the
//!   outcome is `Unknown`, not `Failed`: the first attempt may have been done, or may still arrive. A save is done when
//!   its commit is durable, also on the server that would take over.
//! - **The length of a lease.** Take 6 to 10 s, and at least twice as long as a statement may take. Renew it, and
//!   implement [`is_held`](SessionLock::is_held). After the crash of a holder the others wait for that long, so let the
//!   policy's `lock_wait` be longer. The holder counts its lease from before it sent the statement.
//! - **Renewing.** One flow may hold a lock for the policy's `lock_wait` (30 s by default), within which requests may
//!   be sent, plus one `timeout` (30 s by default), plus the time that the store itself takes. A refresh whose save
//!   fails leaves an *unsaved pair*: new tokens that this process has, and the store has not. It keeps the lock beyond
//!   its flow, so that no other process loads the old refresh token and sends it again. No method of the
//!   [`SessionLock`] is called in this time. So, as long as the lock lives, a thread or a task of the store has to
//!   renew the lease every third of its length (`SET leased_until = clock_timestamp() + $length WHERE name = $name AND
//!   lease = $lease`).
//! - **Asking before a request.** A process may be suspended between the save of its intent and its request, while
//!   another one takes the lock and sends the same refresh token. So right before it sends, a session calls
//!   [`is_held`](SessionLock::is_held), and takes the lock again if that returns `false`. With a lease of 10 s, it
//!   returns `false` when less than 5 s are left; renewals that succeed leave more than 6 s.
//! - **Without `is_held`** a flow does not notice that its process was suspended for less than the policy's `timeout`,
//!   or the `max_wait` of its retries if that is longer. Then never take less than twice that, and two minutes or more
//!   if the lease is to outlast a flow even where no renewal succeeds. Such a store fails the store tests of leases.
//! - **The price of a short lease.** A request that was sent while the lock was held may still be out when the lease
//!   lapses, if the process is suspended, or all renewals fail, for longer than what was left of it. Then another
//!   process may send the same refresh token. A longer lease makes this rarer, and the wait after a crash longer.
//! - **Releasing an async lock.** A flow that ends releases its lock by [`unlock`](AsyncSessionLock::unlock). A flow
//!   whose task was dropped drops the lock, and `drop` cannot await a statement. So let `drop` stop the renewals, and
//!   pass the lease to a task of the store that releases it; without such a task, the lease lapses by itself.
//! - **If a lease lapses all the same**, because a process was suspended or the network failed, the session has two
//!   holders at once. The fencing token keeps the earlier one from saving anything, and the generation keeps each from
//!   overwriting what it has not seen, even where leases fail. After a conflict a flow loads the record again, and
//!   adopts what the other holder saved. But if both have sent the same refresh token, no condition can undo that: only
//!   `is_held` and the length of the lease prevent it.
//! - **A failover that loses commits**, as with asynchronous replication, undoes the last leases and saves. Then a
//!   session may end with `SignInRequired`, because the refresh token that is stored again was consumed; a login or a
//!   sign-out may be undone; and two processes may hold the lock for a while. Even then, no record becomes a mixture of
//!   two, no session becomes another user's without an event, and the next login works.
//! - **A wrapper that seals records**, by encrypting them, works over any store. It makes the inner record of the
//!   sealed bytes ([`StoredRecord::from_bytes`]), translates the expected generation into the inner one, and returns
//!   [`LoadError::Damaged`] with [`Error::record_damaged`](loginradius_proto::Error::record_damaged) for a broken seal.
//!   It passes on `is_held`, as every wrapper has to.
//!
//! # Features
//!
//! Both are off by default.
//!
//! - `test-util`: [`store_tests`], for the tests of a store of your own.
//! - `tokio`: [`AsyncSessionStore`] for [`FileStore`], on tokio's threads for blocking work.

mod blocking;
#[cfg(any(unix, windows))]
mod file;
mod memory;
mod moving;
mod pages;
pub mod sessions;
mod store;
#[cfg(any(doc, feature = "test-util"))]
pub mod store_tests;

pub use blocking::BlockingStore;
#[cfg(any(unix, windows))]
pub use file::FileStore;
pub use loginradius_proto::session::{Expected, LoadError, RecordSummary, SaveError, SessionStatus, StoredRecord};
pub use memory::MemoryStore;
pub use moving::{Moved, MovingStore};
pub use store::{AsyncSessionLock, AsyncSessionStore, BoxFuture, SessionLock, SessionStore};
