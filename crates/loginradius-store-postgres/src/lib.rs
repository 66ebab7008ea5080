//! Stores LoginRadius sessions in PostgreSQL, for services on many machines.
//!
//! A refresh consumes a session's refresh token. Without a store that all machines share, two of them could send the
//! same token, or one could crash while it alone has the next one. [`PostgresStore`] gives each session one holder at a
//! time over all machines, and saves each new token durably.
//!
//! ```no_run
//! use loginradius_store_postgres::PostgresStore;
//! use loginradius_store_postgres::tokio_postgres::{Config, NoTls};
//!
//! let config: Config = "postgres://app@database.internal/app".parse()?;
//! let store = PostgresStore::open(async move || config.connect(NoTls).await)?;
//! // For `Sessions` of `loginradius-blocking` and of `loginradius-async`: it is a store for both.
//! # let _ = store;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In async code, open it with [`PostgresStore::open_async`]. A URL has the password after the user, with `@` written
//! as `%40` and `%` as `%25`.
//!
//! You write the function that connects. It is called for each new connection, so it can use TLS
//! (`tokio-postgres-rustls`, `postgres-native-tls`: `async move || config.connect(tls.clone()).await`) and credentials
//! that change:
//!
//! ```no_run
//! # use loginradius_store_postgres::PostgresStore;
//! # use loginradius_store_postgres::tokio_postgres::{Config, NoTls};
//! # let config = Config::new();
//! let store = PostgresStore::open(async move || {
//!     let password = std::fs::read_to_string("/run/secrets/database")?;
//!     let connected = config.clone().password(password.trim_end()).connect(NoTls).await?;
//!     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(connected)
//! })?;
//! # let _ = store;
//! # Ok::<(), loginradius_proto::Error>(())
//! ```
//!
//! It runs on the store's thread, and must not block it for long.
//!
//! # What it promises
//!
//! It keeps [the promises of every store](loginradius_store). This is how, on PostgreSQL 13 and later:
//!
//! | promise | how |
//! | --- | --- |
//! | A session has one holder at a time, on all machines. | A *lease* in the session's row, timed by the server's clock: the clocks of the machines do not matter. Its *fencing token* is 63 random bits, so an old lease never matches a row that was removed and created again. |
//! | A holder keeps its lock. | One task renews all leases of the store, every third of their length. |
//! | A crash of a holder is no outage. | Its lease lapses, after 5 s by default. The lock can be taken 2 s after a caller first found it lapsed. |
//! | A holder that lost its lease saves nothing. | Each save compares the lease and the generation, in the statement that writes. |
//! | No request is sent under a lease that may have lapsed. | Right before a flow sends a request, the store checks that half of the lease is left, by the monotonic clock and the wall clock of this machine. If not, the flow takes the lock again first. |
//! | What is saved outlives a crash of the server. | Each save sets `synchronous_commit` to `on`, whatever the database's default is (`remote_apply` is left as it is). With synchronous standbys, what is saved also outlives the loss of the server. |
//! | [`Failed`](loginradius_store::SaveError::Failed) means: not done. | It is returned only if the statement was never sent, or if PostgreSQL reported an error that precedes a commit, such as a full disk. Everything else is [`Unknown`](loginradius_store::SaveError::Unknown), such as a statement without a response. |
//! | A connection that breaks loses nothing. | The statement is sent again on another connection. Lease, generation and record identify a save, so that it recognizes what it has already done. What the first connection delivers late changes nothing. |
//! | No call waits for ever. | Each operation takes [`with_timeout`](PostgresSettings::with_timeout) at most, 2.5 s by default. If its future was dropped, the next operation of the same lock waits for it first, and may take twice as long. |
//! | A server that stands still, is restarted or takes over costs no token. | A lease that was not released is free only after another caller has found it lapsed, and two fifths of its length have passed since. A holder that lives renews it within that time. It may have tokens that it could not save before. |
//! | A damaged record is kept. | The login that replaces it puts a copy into the column `damaged`, in the same statement. |
//! | It works behind PgBouncer in transaction mode. | Each operation is one statement: there are no named prepared statements, and no transactions of several statements. |
//!
//! **Two things that it cannot do:**
//!
//! - If a holder's lease lapses while its request is out, another holder may send the same refresh token: LoginRadius
//!   rejects one of the two, and may end the session. This takes a process that is suspended, or cut off from the
//!   database, for nine tenths of a lease or longer (4.5 s by default): a request is sent only while half of the lease
//!   is left, and a lapsed lease is free two fifths later.
//! - After a failover to a server that lacks the last commits, some of the refresh tokens in its table have been
//!   consumed. If a failover must not sign users out, use synchronous replication.
//!
//! # What it costs
//!
//! A refresh takes four round trips: the lock, which loads the record too; the intent; the new tokens; the unlock. Two
//! of them wait for the disk. A caller that finds a valid token in its process's memory needs none.
//!
//! [How to run it](in_production): sizing, crashes, failover, backups, looking at a session by hand, new credentials.
//!
//! # The table
//!
//! Opening the store creates it, unless [`with_existing_table`](PostgresSettings::with_existing_table) is set:
//!
//! ```sql
#![doc = include_str!("sql/schema.sql")]
//! ```
//!
//! Other programs may read the table at any time, and may delete a row ([what that means](in_production)). Do not write
//! to it in any other way.
//!
//! **The tokens are not encrypted**: anyone who reads the table can act as its users. A wrapper that seals records
//! works over this store as over any other.
//!
//! # The protocol
//!
//! These statements take a lock and save a record:
//!
//! ```sql
#![doc = include_str!("sql/lock.sql")]
//!
#![doc = include_str!("sql/save.sql")]
//! ```
//!
//! where *free*, *lapsed* and *newly lapsed* are
//!
//! ```sql
#![doc = include_str!("sql/free.sql")]
//!
#![doc = include_str!("sql/lapsed.sql")]
//!
#![doc = include_str!("sql/newly_lapsed.sql")]
//! ```

#[doc = include_str!("in_production.md")]
pub mod in_production {}

mod database;
mod failure;
mod lease;
mod settings;
mod sql;
mod store;
mod thread;

pub use settings::PostgresSettings;
pub use store::PostgresStore;
/// The driver, in the version that this crate uses.
pub use tokio_postgres;
