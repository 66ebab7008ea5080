//! What the tests share: apps, fixed times, responses, tokens, a [`Scene`] for sessions, and servers of databases.

#![allow(clippy::exhaustive_structs, reason = "test material: a test may write it out")]

mod fixtures;
pub mod postgres;
mod rng;
mod scene;

pub use fixtures::{
    HOUR, PAGE, REJECTED, app, ms, now, oidc, pair, response, response_with, s, site, speaking, start, tokens, writing,
};
pub use rng::Rng;
pub use scene::{End, Job, Scene, damaged, full_disk, loaded, locked, responded, saved, unreadable};
