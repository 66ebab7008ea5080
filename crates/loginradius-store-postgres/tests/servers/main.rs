//! The store over real servers of PostgreSQL and PgBouncer. They are ignored in an ordinary run: install the Debian
//! packages `postgresql` and `pgbouncer`, and run
//!
//! ```sh
//! cargo test -p loginradius-store-postgres --test servers -- --ignored
//! ```

mod attacks;
mod common;
mod connecting;
mod cuts;
mod hosts;
mod late;
mod leases;
mod limits;
mod operators;
mod promises;
mod proxy;
