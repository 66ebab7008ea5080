//! Where sessions of LoginRadius live between runs.

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
