//! Sign-ins through a browser that are under way: a ticket each, which is in every form and good for one.

use std::time::{Duration, SystemTime};

use crate::bounded::Bounded;
use crate::clock;
use crate::random::Random;
use crate::seeded::User;
use crate::wanted::Wanted;

/// The sign-in must be over 10 minutes after it began (LoginRadius's page "Federated SSO").
const LIFETIME: Duration = Duration::from_secs(600);

pub(crate) struct Tickets(Bounded<SigningIn>);

/// A sign-in that is under way.
#[derive(Clone)]
pub(crate) struct SigningIn {
    /// The browser's session. Another browser's ticket is good for nothing.
    pub(crate) session: String,
    pub(crate) wanted: Wanted,
    /// Who has signed in and is asked for consent.
    pub(crate) user: Option<&'static User>,
    pub(crate) expires: SystemTime,
}

impl SigningIn {
    pub(crate) fn new(session: &str, wanted: Wanted, now: SystemTime) -> Self {
        Self { session: session.to_owned(), wanted, user: None, expires: clock::later(now, LIFETIME) }
    }
}

impl Tickets {
    pub(crate) fn new() -> Self {
        Self(Bounded::new(1000))
    }

    /// A new ticket. Each step has one of its own, so that the form of a step that is over is good for nothing.
    pub(crate) fn issue(&mut self, random: &mut Random, signing_in: SigningIn) -> String {
        let ticket = random.hex64();
        self.0.insert(ticket.clone(), signing_in);
        ticket
    }

    pub(crate) fn get(&self, ticket: &str, session: &str, now: SystemTime) -> Option<&SigningIn> {
        self.0.get(ticket).filter(|signing_in| signing_in.session == session && now < signing_in.expires)
    }

    pub(crate) fn take(&mut self, ticket: &str) {
        self.0.remove(ticket);
    }
}
