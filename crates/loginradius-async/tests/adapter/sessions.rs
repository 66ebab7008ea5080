//! The client's sessions on a runtime of two threads, adapted to the suite.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use loginradius_async::store::AsyncSessionStore;
use loginradius_async::{AccessToken, Client, Error, Purged, Session, Sessions, SessionsBuilder, TokenSet};
use loginradius_conformance::{self as conformance, SessionSettings};

use super::BackgroundRuntime;

#[derive(Clone)]
pub(crate) struct AsyncSessions {
    sessions: Sessions,
    runtime: Arc<BackgroundRuntime>,
}

#[derive(Clone)]
pub(crate) struct AsyncSession {
    session: Session,
    runtime: Arc<BackgroundRuntime>,
}

pub(crate) fn builder(client: &Client, store: impl AsyncSessionStore, settings: &SessionSettings) -> SessionsBuilder {
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

impl AsyncSessions {
    /// Makes sessions that stand for a process: they have a runtime of their own, which ends with them.
    pub(crate) fn new(client: &Client, store: impl AsyncSessionStore, settings: &SessionSettings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let sessions = builder(client, store, settings).build();
        Self { sessions, runtime: Arc::new(BackgroundRuntime(Some(runtime))) }
    }
}

impl fmt::Debug for AsyncSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sessions.fmt(f)
    }
}

impl fmt::Debug for AsyncSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.fmt(f)
    }
}

impl conformance::Sessions for AsyncSessions {
    type Session = AsyncSession;

    fn session(&self, name: &str) -> AsyncSession {
        AsyncSession { session: self.sessions.session(name), runtime: Arc::clone(&self.runtime) }
    }

    fn flush(&self) -> Result<(), Error> {
        self.runtime.block_on(self.sessions.flush())
    }

    fn names(&self, prefix: &str) -> Result<Vec<String>, Error> {
        self.runtime.block_on(self.sessions.names(prefix))
    }

    fn sign_out_all(&self, prefix: &str) -> Result<usize, Error> {
        self.runtime.block_on(self.sessions.sign_out_all(prefix))
    }

    fn purge(&self, older_than: Duration) -> Result<Purged, Error> {
        self.runtime.block_on(self.sessions.purge(older_than))
    }
}

impl conformance::Session for AsyncSession {
    fn name(&self) -> &str {
        self.session.name()
    }

    fn within(&self, time: Duration) -> Self {
        Self { session: self.session.within(time), runtime: Arc::clone(&self.runtime) }
    }

    fn is_signed_in(&self) -> Result<bool, Error> {
        self.runtime.block_on(self.session.is_signed_in())
    }

    fn expires_at(&self) -> Option<SystemTime> {
        self.session.expires_at()
    }

    fn access_token(&self) -> Result<AccessToken, Error> {
        self.runtime.block_on(self.session.access_token())
    }

    fn tokens(&self) -> Result<TokenSet, Error> {
        self.runtime.block_on(self.session.tokens())
    }

    fn refresh_rejected(&self, token: &AccessToken) -> Result<AccessToken, Error> {
        self.runtime.block_on(self.session.refresh_rejected(token))
    }

    fn start(&self, tokens: &TokenSet) -> Result<(), Error> {
        self.runtime.block_on(self.session.start(tokens))
    }

    fn sign_out(&self) -> Result<(), Error> {
        self.runtime.block_on(self.session.sign_out())
    }

    fn forget(&self) -> Result<(), Error> {
        self.runtime.block_on(self.session.forget())
    }

    fn save_error(&self) -> Option<Error> {
        self.session.save_error()
    }

    fn flush(&self) -> Result<(), Error> {
        self.runtime.block_on(self.session.flush())
    }
}
