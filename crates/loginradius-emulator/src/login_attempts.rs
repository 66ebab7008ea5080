//! Sign-ins through a browser that are under way: a ticket each, which is in every form and good for one.

use std::time::{Duration, SystemTime};

use crate::bounded::Bounded;
use crate::clock;
use crate::login_request::LoginRequest;
use crate::random::Random;
use crate::seeded::User;

/// The sign-in must be over 10 minutes after it began (LoginRadius's page "Federated SSO").
const LIFETIME: Duration = Duration::from_secs(600);

pub(crate) struct LoginAttempts(Bounded<LoginAttempt>);

/// A sign-in that is under way.
#[derive(Clone)]
pub(crate) struct LoginAttempt {
    /// The browser's session. Another browser's ticket is good for nothing.
    pub(crate) session: String,
    pub(crate) login_request: LoginRequest,
    /// Who has signed in and is asked for consent.
    pub(crate) user: Option<&'static User>,
    pub(crate) expires: SystemTime,
}

impl LoginAttempt {
    pub(crate) fn new(session: &str, login_request: LoginRequest, now: SystemTime) -> Self {
        Self { session: session.to_owned(), login_request, user: None, expires: clock::later(now, LIFETIME) }
    }
}

impl LoginAttempts {
    pub(crate) fn new() -> Self {
        Self(Bounded::new(1000))
    }

    /// A new ticket. Each step has one of its own, so that the form of a step that is over is good for nothing.
    pub(crate) fn issue(&mut self, random: &mut Random, attempt: LoginAttempt) -> String {
        let ticket = random.hex64();
        self.0.insert(ticket.clone(), attempt);
        ticket
    }

    pub(crate) fn get(&self, ticket: &str, session: &str, now: SystemTime) -> Option<&LoginAttempt> {
        self.0.get(ticket).filter(|attempt| attempt.session == session && now < attempt.expires)
    }

    pub(crate) fn take(&mut self, ticket: &str) {
        self.0.remove(ticket);
    }
}
