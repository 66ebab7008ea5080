//! Sessions: tokens that are stored and refreshed. The emulator stands for LoginRadius and knows every consumed
//! refresh token: one that is sent twice is a replay, and ends the login.

pub(crate) mod basics;
pub(crate) mod endings;
pub(crate) mod faults;
pub(crate) mod moving;
pub(crate) mod processes;
pub(crate) mod single_flight;
pub(crate) mod stores;
pub(crate) mod users;
pub(crate) mod waits;

use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::seeded::{self, User};
use loginradius_emulator::{self as emulator, Emulator, Operation, TokenResponse};
use loginradius_proto::session::{AdoptionReason, EndReason, SessionEvent};
use loginradius_proto::{AccessToken, Api, Dialect, Error, ErrorKind, RefreshToken, TokenSet};

use crate::adapter::{Adapter, Settings};
use crate::matrix::{app, speaking};
use crate::session::{Session, SessionSettings, Sessions};
use crate::store::Store;

/// The name of the session in tests that have only one.
const ADA: &str = "ada";

/// The age of a login's tokens, whose lifetime is 100 s.
#[derive(Debug, Clone, Copy)]
enum Age {
    /// 0 s.
    Fresh,
    /// 95 s: still valid, and due for an early refresh.
    RefreshDue,
    /// 101 s.
    Expired,
}

/// A server, and a process with sessions there.
struct Fixture<A: Adapter> {
    emulator: Emulator,
    client: A,
    store: Store,
    events: Events,
    sessions: A::Sessions,
}

impl<A: Adapter> Fixture<A> {
    fn new() -> Self {
        Self::with(|builder| builder, &Settings::default(), &SessionSettings::default())
    }

    /// Makes so many attempts for each caller.
    fn attempts(attempts: u32) -> Self {
        Self::with(|builder| builder, &Settings::attempts(attempts), &SessionSettings::default())
    }

    /// Gives the sessions these settings.
    fn sessions(settings: &SessionSettings) -> Self {
        Self::with(|builder| builder, &Settings::default(), settings)
    }

    /// Lets the server accept a consumed refresh token once more within a minute.
    fn graceful(settings: &Settings) -> Self {
        Self::with(|builder| builder.refresh_grace(Duration::from_secs(60)), settings, &SessionSettings::default())
    }

    fn with(
        configure: impl FnOnce(emulator::Builder) -> emulator::Builder,
        settings: &Settings,
        session_settings: &SessionSettings,
    ) -> Self {
        let emulator = configure(Emulator::builder()).start().unwrap();
        Self::of(emulator, Dialect::new(), settings, session_settings)
    }

    /// Gives the client that dialect.
    fn speaking(dialect: Dialect) -> Self {
        let emulator = Emulator::start().unwrap();
        Self::of(emulator, dialect, &Settings::default(), &SessionSettings::default())
    }

    fn of(emulator: Emulator, dialect: Dialect, settings: &Settings, session_settings: &SessionSettings) -> Self {
        let client = A::new(speaking(&app(&emulator, Api::Classic), dialect), settings).unwrap();
        let (store, events) = (Store::new(), Events::default());
        let sessions = client.sessions(store.clone(), &events.recorded_by(session_settings));
        Self { emulator, client, store, events, sessions }
    }

    /// Makes another process over the same store, which waits for locks for 60 ms only.
    fn another_process(&self) -> (A::Sessions, Events) {
        let events = Events::default();
        let settings = SessionSettings { lock_wait: Some(Duration::from_millis(60)), ..SessionSettings::default() };
        (self.client.sessions(self.store.clone(), &events.recorded_by(&settings)), events)
    }

    fn session(&self, name: &str) -> <A::Sessions as Sessions>::Session {
        self.sessions.session(name)
    }

    /// Signs a user in. Returns the session and its first access token.
    fn signed_in(&self, name: &str, age: Age) -> (<A::Sessions as Sessions>::Session, AccessToken) {
        let session = self.session(name);
        let tokens = tokens(&self.emulator, age);
        let access_token = tokens.access_token.clone();
        session.start(&tokens).unwrap();
        (session, access_token)
    }

    /// Counts the requests for that operation.
    fn requests_of(&self, operation: Operation) -> usize {
        self.emulator.requests().iter().filter(|request| request.operation == Some(operation)).count()
    }

    /// Counts the requests for a refresh.
    fn refresh_requests(&self) -> usize {
        self.requests_of(Operation::Refresh)
    }

    /// Waits until the server has had so many requests for that operation.
    fn wait_for(&self, operation: Operation, count: usize) {
        assert!(eventually(|| self.requests_of(operation) >= count), "fewer than {count} requests for {operation:?}");
    }

    /// Returns whether the server accepts that token.
    fn is_live(&self, token: &AccessToken) -> bool {
        self.emulator.is_live_access_token(token.expose())
    }

    /// Checks that nothing was replayed, that the store has the session's newest refresh token, and that the lock is
    /// free.
    fn assert_nothing_lost(&self, name: &str) {
        assert_eq!(self.emulator.replays(), 0, "{:?}", self.emulator.replayed());
        let stored = self.store.refresh_token(name).expect("the session is stored");
        assert!(
            self.emulator.is_live_refresh_token(&stored),
            "{name}: the stored refresh token is not the server's newest"
        );
        assert!(!self.store.is_locked(name), "{name}: the lock was not released");
    }
}

/// Makes the tokens of a login by Ada.
fn tokens(emulator: &Emulator, age: Age) -> TokenSet {
    token_set(&emulator.login(&seeded::ADA), age)
}

/// Makes the tokens of a login by that user.
fn tokens_of(emulator: &Emulator, user: &'static User) -> TokenSet {
    token_set(&emulator.login(user), Age::Fresh)
}

fn token_set(response: &TokenResponse, age: Age) -> TokenSet {
    let seconds = match age {
        Age::Fresh => 0,
        Age::RefreshDue => 95,
        Age::Expired => 101,
    };
    let mut tokens = TokenSet::new(response.access_token.as_str());
    tokens.refresh_token = response.refresh_token.as_deref().map(RefreshToken::new);
    tokens.expires_in = Some(Duration::from_secs(100));
    // An earlier time of the request makes them old without a wait.
    tokens.requested_at = Instant::now().checked_sub(Duration::from_secs(seconds));
    assert!(tokens.requested_at.is_some(), "this machine has just been started");
    tokens
}

/// The events that were notified, each as the session's name and a word.
#[derive(Debug, Clone, Default)]
struct Events(Arc<Mutex<Vec<(String, String)>>>);

impl Events {
    /// Returns the settings with a callback that records the events, unless they have a callback.
    fn recorded_by(&self, settings: &SessionSettings) -> SessionSettings {
        let events = self.clone();
        let mut settings = settings.clone();
        settings.on_event.get_or_insert_with(|| {
            Arc::new(move |name, event| {
                let word = word(event).to_owned();
                events.0.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), word));
            })
        });
        settings
    }

    fn of(&self, name: &str) -> Vec<String> {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|(session, _)| session == name).map(|(_, word)| word.clone()).collect()
    }

    /// Checks the events of that session. They are notified after the result, so that they may come a little later.
    fn expect(&self, name: &str, expected: &[&str]) {
        eventually(|| self.of(name).len() >= expected.len());
        assert_eq!(self.of(name), expected, "the events of {name}");
    }
}

fn word(event: &SessionEvent) -> &'static str {
    match event {
        SessionEvent::Started => "started",
        SessionEvent::Refreshed => "refreshed",
        SessionEvent::Adopted { reason: AdoptionReason::Refreshed, .. } => "adopted",
        SessionEvent::Adopted { reason: AdoptionReason::OtherLogin, .. } => "adopted other login",
        SessionEvent::RequestFailed { .. } => "request failed",
        SessionEvent::Unsaved { .. } => "unsaved",
        SessionEvent::Saved => "saved",
        SessionEvent::Ended { reason: EndReason::SignedOut, .. } => "signed out",
        SessionEvent::Ended { reason: EndReason::SignInRequired(_), .. } => "ended",
        _ => "unknown",
    }
}

/// Returns whether that becomes true within two seconds.
fn eventually(mut is_true: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(2);
    while !is_true() {
        if Instant::now() > until {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Calls `act` in so many threads at the same time, each with its number. Returns the results.
pub(crate) fn at_once<T: Send>(threads: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let (act, barrier) = (&act, &barrier);
        let all: Vec<_> = (0..threads)
            .map(|number| {
                scope.spawn(move || {
                    barrier.wait();
                    act(number)
                })
            })
            .collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[track_caller]
fn assert_kind(result: Result<AccessToken, Error>, kind: ErrorKind) -> Error {
    match result {
        Ok(_) => panic!("a token instead of {kind}"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error:?}");
            error
        }
    }
}

#[track_caller]
fn assert_token(result: Result<AccessToken, Error>, expected: &AccessToken) {
    match result {
        Ok(token) => assert!(token.expose() == expected.expose(), "another token than expected"),
        Err(error) => panic!("no token: {error:?}"),
    }
}

/// Gets a token after the backoff of a failure.
fn after_backoff(session: &impl Session) -> Result<AccessToken, Error> {
    let until = Instant::now() + Duration::from_millis(1900);
    loop {
        match session.access_token() {
            Err(error) if error.kind() == ErrorKind::Unavailable && Instant::now() < until => {
                thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}
