//! The client's sessions, as the suite drives them.

use loginradius_blocking::store::TokenStore;
use loginradius_blocking::{AccessToken, Client, Error, Session, Sessions, SessionsBuilder, TokenSet};
use loginradius_conformance::{self as conformance, SessionSettings};

#[derive(Debug, Clone)]
pub(crate) struct BlockingSessions(Sessions);

#[derive(Debug, Clone)]
pub(crate) struct BlockingSession(Session);

pub(crate) fn builder(client: &Client, store: impl TokenStore, settings: &SessionSettings) -> SessionsBuilder {
    let mut builder = Sessions::builder(client, store);
    if let Some(early) = settings.early_refresh {
        builder = builder.early_refresh(early);
    }
    if let Some(wait) = settings.lock_wait {
        builder = builder.lock_wait(wait);
    }
    if settings.revoke_with_token_key {
        builder = builder.revoke_with_token_key();
    }
    if let Some(on_event) = settings.on_event.clone() {
        builder = builder.on_event(move |name, event| on_event(name, event));
    }
    builder
}

impl BlockingSessions {
    pub(crate) fn new(client: &Client, store: impl TokenStore, settings: &SessionSettings) -> Self {
        Self(builder(client, store, settings).build())
    }
}

impl conformance::Sessions for BlockingSessions {
    type Session = BlockingSession;

    fn session(&self, name: &str) -> BlockingSession {
        BlockingSession(self.0.session(name))
    }

    fn close(&self) -> Result<(), Error> {
        self.0.close()
    }
}

impl conformance::Session for BlockingSession {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn access_token(&self) -> Result<AccessToken, Error> {
        self.0.access_token()
    }

    fn tokens(&self) -> Result<TokenSet, Error> {
        self.0.tokens()
    }

    fn refresh_now(&self, failed: &AccessToken) -> Result<AccessToken, Error> {
        self.0.refresh_now(failed)
    }

    fn sign_in(&self, tokens: TokenSet) -> Result<(), Error> {
        self.0.sign_in(tokens)
    }

    fn sign_out(&self) -> Result<(), Error> {
        self.0.sign_out()
    }

    fn forget(&self) -> Result<(), Error> {
        self.0.forget()
    }

    fn unsaved(&self) -> Option<Error> {
        self.0.unsaved()
    }

    fn close(&self) -> Result<(), Error> {
        self.0.close()
    }
}
