use std::fmt;

use loginradius_proto::session::{SessionEvent, SessionPolicy};

/// The settings of [`SharedSessions`](super::SharedSessions).
#[derive(Default)]
#[non_exhaustive]
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

impl SessionSettings {
    /// Sets when a session is refreshed, and how long and how often that is tried.
    #[must_use]
    pub fn with_policy(self, policy: SessionPolicy) -> Self {
        Self { policy, ..self }
    }

    /// Sets the callback for events.
    #[must_use]
    pub fn with_on_event(self, on_event: OnEvent) -> Self {
        Self { on_event: Some(on_event), ..self }
    }
}

impl fmt::Debug for SessionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSettings").field("policy", &self.policy).finish_non_exhaustive()
    }
}
