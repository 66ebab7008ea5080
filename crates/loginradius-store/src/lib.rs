//! Where sessions of LoginRadius live between runs.

mod store;

pub use loginradius_proto::session::{LoadOutcome, SaveOutcome, SessionRecord};
pub use store::{AsyncLockedSession, AsyncTokenStore, BoxFuture, LockedSession, TokenStore};
