//! Sessions: tokens that are refreshed and kept, and that no thread, process or crash loses.
//!
//! LoginRadius's refresh tokens rotate and are single use, and a spent one that is sent again can end the
//! whole sign-in. So a refresh is a transaction: [`SessionFlow`] says in which order the lock is taken, the
//! record loaded and saved, and the request sent. `loginradius-store` keeps the records; the adapters'
//! `Session` drives the flows and shares their result among threads and tasks.

mod event;
mod flow;
mod memory;
mod record;
mod step;

pub use event::SessionEvent;
pub use flow::SessionFlow;
pub use memory::{Handout, SessionMemory, SessionPolicy};
pub use record::{LoadOutcome, SaveOutcome, SessionRecord};
pub use step::{SessionEnd, SessionInput, SessionStep};
