use std::fmt;

use loginradius_proto::session::{SessionEvent, SessionPolicy};

/// The settings of [`SharedSessions`](super::SharedSessions).
#[derive(Default)]
#[allow(clippy::exhaustive_structs, reason = "settings are data, and are written out by those who change them")]
pub struct SessionSettings {
    /// When a session is refreshed, and how long and how often that is tried.
    pub policy: SessionPolicy,
    /// A callback for what happens to the sessions.
    pub on_event: Option<OnEvent>,
}

/// A callback for events. It gets the session's name, and the event.
///
/// The events of one session come one at a time and in order.
pub type OnEvent = Box<dyn Fn(&str, &SessionEvent) + Send + Sync>;

impl fmt::Debug for SessionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSettings").field("policy", &self.policy).finish_non_exhaustive()
    }
}
