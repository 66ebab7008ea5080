//! Logins in a browser that are in progress. The key of each is a ticket, which is in the forms of its current page.

use std::time::{Duration, SystemTime};

use crate::bounded::Bounded;
use crate::clock;
use crate::login_request::LoginRequest;
use crate::random::Random;
use crate::seeded::User;

/// A login must be complete 10 minutes after it began (LoginRadius's page "Federated SSO").
const LIFETIME: Duration = Duration::from_secs(600);

pub(crate) struct LoginAttempts(Bounded<LoginAttempt>);

/// A login in progress.
#[derive(Clone)]
pub(crate) struct LoginAttempt {
    /// The browser's session: a ticket is valid in this browser only.
    pub(crate) session: String,
    pub(crate) login_request: LoginRequest,
    /// The user, who has signed in and is asked for consent.
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

    /// Issues a ticket. Each step of a login has a new one, so that the form of an earlier step is invalid.
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
