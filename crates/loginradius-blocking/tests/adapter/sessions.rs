//! The client's sessions, adapted to the suite.

use std::time::{Duration, SystemTime};

use loginradius_blocking::store::SessionStore;
use loginradius_blocking::{AccessToken, Client, Error, Purged, Session, Sessions, SessionsBuilder, TokenSet};
use loginradius_conformance::{self as conformance, SessionSettings};

#[derive(Debug, Clone)]
pub(crate) struct BlockingSessions(Sessions);

#[derive(Debug, Clone)]
pub(crate) struct BlockingSession(Session);

pub(crate) fn builder(client: &Client, store: impl SessionStore, settings: &SessionSettings) -> SessionsBuilder {
    let mut builder = Sessions::builder(client, store);
    if let Some(early) = settings.early_refresh {
        builder = builder.early_refresh(early);
    }
    if let Some(wait) = settings.lock_wait {
        builder = builder.lock_wait(wait);
    }
    if let Some(on_event) = settings.on_event.clone() {
        builder = builder.on_event(move |name, event| on_event(name, event));
    }
    builder
}

impl BlockingSessions {
    pub(crate) fn new(client: &Client, store: impl SessionStore, settings: &SessionSettings) -> Self {
        Self(builder(client, store, settings).build())
    }
}

impl conformance::Sessions for BlockingSessions {
    type Session = BlockingSession;

    fn session(&self, name: &str) -> BlockingSession {
        BlockingSession(self.0.session(name))
    }

    fn flush(&self) -> Result<(), Error> {
        self.0.flush()
    }

    fn names(&self, prefix: &str) -> Result<Vec<String>, Error> {
        self.0.names(prefix)
    }

    fn sign_out_all(&self, prefix: &str) -> Result<usize, Error> {
        self.0.sign_out_all(prefix)
    }

    fn purge(&self, older_than: Duration) -> Result<Purged, Error> {
        self.0.purge(older_than)
    }
}

impl conformance::Session for BlockingSession {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn within(&self, time: Duration) -> Self {
        Self(self.0.within(time))
    }

    fn is_signed_in(&self) -> Result<bool, Error> {
        self.0.is_signed_in()
    }

    fn expires_at(&self) -> Option<SystemTime> {
        self.0.expires_at()
    }

    fn access_token(&self) -> Result<AccessToken, Error> {
        self.0.access_token()
    }

    fn tokens(&self) -> Result<TokenSet, Error> {
        self.0.tokens()
    }

    fn refresh_rejected(&self, token: &AccessToken) -> Result<AccessToken, Error> {
        self.0.refresh_rejected(token)
    }

    fn start(&self, tokens: &TokenSet) -> Result<(), Error> {
        self.0.start(tokens)
    }

    fn sign_out(&self) -> Result<(), Error> {
        self.0.sign_out()
    }

    fn forget(&self) -> Result<(), Error> {
        self.0.forget()
    }

    fn save_error(&self) -> Option<Error> {
        self.0.save_error()
    }

    fn flush(&self) -> Result<(), Error> {
        self.0.flush()
    }
}
