//! Stores LoginRadius sessions in PostgreSQL, for services on many machines.
//!
//! A refresh consumes a session's refresh token. On ten machines, two of them would send the same token, or one would
//! crash with the next token in its memory. [`PostgresStore`] gives each session one holder at a time over all machines,
//! and saves each new token durably before anyone gets it.
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
//! In async code, [`PostgresSettings::open_async`] opens it. The connection is yours: the function connects as you want,
//! with TLS by `tokio-postgres-rustls` or `postgres-native-tls`, and with credentials that change, because it is called
//! for each connection. It runs on the store's thread, and must not block that.
//!
//! # What it promises
//!
//! Those are [the promises of every store](loginradius_store); this is how they are kept, on PostgreSQL 13 and later.
//!
//! | promise | how |
//! | --- | --- |
//! | A session has one holder at a time, on all machines. | A *lease* in the session's row, by the server's clock: the clocks of the machines do not matter. Its *fencing token* is 63 random bits, so that a row that was removed and made again is another's. |
//! | A holder keeps its lock. | One task renews all leases of the store, three times in their length. |
//! | A crash of a holder is no outage. | Its lease lapses, after 6 s by default, and the next one takes the lock. |
//! | A holder that lost its lease saves nothing. | Each save compares the lease and the generation, in the statement that writes. |
//! | No request is sent under a lease that may have lapsed. | Right before a flow sends, the store says whether half of the lease is left, by two clocks of this machine. |
//! | What is saved outlives a crash of the server. | `synchronous_commit` is `on` for each save, whatever the database's default is. With `remote_apply`, or synchronous standbys, it outlives the server. |
//! | [`Failed`](loginradius_store::SaveError::Failed) means: not done. | Only for errors that PostgreSQL reports before a commit, such as a full disk. All else is [`Unknown`](loginradius_store::SaveError::Unknown), also a timeout. |
//! | A connection that breaks loses nothing. | The statement is sent again, on another connection: lease, generation and record name one save, which finds itself. What the first connection delivers late changes nothing. |
//! | No call waits for ever. | Each takes [`with_timeout`](PostgresSettings::with_timeout) at most, 3 s by default. |
//! | A restart of the server costs no token. | A lease does not lapse in its first length after the start: its holder may have a response that it could not save. |
//! | A damaged record is kept. | The login that replaces it moves a copy to the column `damaged`, in the same statement. |
//! | It works behind PgBouncer in transaction mode. | Each operation is one statement, without preparation and without a transaction of several. |
//!
//! **Two things it cannot do.** If a holder's request is out, and it can reach the database for longer than its lease
//! neither itself nor by a renewal, another holder may send the same refresh token: LoginRadius rejects one of them, and
//! may end the session. And after a failover to a server that lacks the last commits, the refresh tokens in it may be
//! consumed already. So use synchronous replication, if a failover must not sign users out.
//!
//! # What it costs
//!
//! A refresh takes four round trips: the lock, which loads the record too; the intent; the new tokens; the unlock. Two of
//! them wait for the disk. A caller whose token is valid takes none.
//!
//! [How to run it](operations): sizing, crashes, failover, backups, looking at a session by hand, new credentials.
//!
//! # The table
//!
//! Opening creates it, unless [`with_existing_table`](PostgresSettings::with_existing_table) is set:
//!
//! ```sql
#![doc = include_str!("sql/schema.sql")]
//! ```
//!
//! A lock and a save, as they are sent. Others read and write the table by hand at their own risk: a row may be looked
//! at, and a session be ended by `DELETE`, at any time.
//!
//! ```sql
#![doc = include_str!("sql/lock.sql")]
//!
#![doc = include_str!("sql/save.sql")]
//! ```
//!
//! where *lapsed* is
//!
//! ```sql
#![doc = include_str!("sql/lapsed.sql")]
//! ```
//!
//! **The tokens are not encrypted**: whoever reads the table can act as its users. A wrapper that seals records works
//! over this store as over any other.

#[doc = include_str!("operations.md")]
pub mod operations {}

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
