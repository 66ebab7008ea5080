//! Sessions: tokens that are kept and refreshed. The emulator plays LoginRadius, and knows every token that was
//! ever spent: a refresh that is sent twice is a replay there, and ends the sign-in.

pub(crate) mod basics;
pub(crate) mod endings;
pub(crate) mod faults;
pub(crate) mod processes;
pub(crate) mod single_flight;
pub(crate) mod stores;

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

/// The name of a session of which there is one alone.
const ADA: &str = "ada";

/// How old the tokens of a sign-in are.
#[derive(Debug, Clone, Copy)]
enum Age {
    Good,
    /// Good for five more seconds, of a hundred.
    Early,
    Over,
}

/// A server, and a process that has sessions there.
struct World<A: Adapter> {
    emulator: Emulator,
    client: A,
    store: Store,
    events: Events,
    sessions: A::Sessions,
}

impl<A: Adapter> World<A> {
    fn new() -> Self {
        Self::with(|builder| builder, &Settings::default(), &SessionSettings::default())
    }

    /// With so many attempts for each caller.
    fn attempts(attempts: u32) -> Self {
        Self::with(|builder| builder, &Settings::attempts(attempts), &SessionSettings::default())
    }

    /// With these settings of the sessions.
    fn sessions(settings: &SessionSettings) -> Self {
        Self::with(|builder| builder, &Settings::default(), settings)
    }

    /// With a server that lets a spent refresh token be sent again.
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

    /// With a client of that dialect.
    fn speaking(dialect: Dialect) -> Self {
        let emulator = Emulator::start().unwrap();
        Self::of(emulator, dialect, &Settings::default(), &SessionSettings::default())
    }

    fn of(emulator: Emulator, dialect: Dialect, settings: &Settings, session_settings: &SessionSettings) -> Self {
        let client = A::new(speaking(&app(&emulator, Api::Classic), dialect), settings).unwrap();
        let (store, events) = (Store::new(), Events::default());
        let sessions = client.sessions(store.clone(), &events.heard(session_settings));
        Self { emulator, client, store, events, sessions }
    }

    /// Another process over the same store, which does not wait for locks for long.
    fn another_process(&self) -> (A::Sessions, Events) {
        let events = Events::default();
        let settings = SessionSettings { lock_wait: Some(Duration::from_millis(60)), ..SessionSettings::default() };
        (self.client.sessions(self.store.clone(), &events.heard(&settings)), events)
    }

    fn session(&self, name: &str) -> <A::Sessions as Sessions>::Session {
        self.sessions.session(name)
    }

    /// A session that is signed in, and its first access token.
    fn signed_in(&self, name: &str, age: Age) -> (<A::Sessions as Sessions>::Session, AccessToken) {
        let session = self.session(name);
        let tokens = tokens(&self.emulator, age);
        let access_token = tokens.access_token.clone();
        session.start(&tokens).unwrap();
        (session, access_token)
    }

    /// How often the server was asked for that.
    fn asked(&self, operation: Operation) -> usize {
        self.emulator.requests().iter().filter(|request| request.operation == Some(operation)).count()
    }

    /// How often the server was asked for a refresh.
    fn asked_to_refresh(&self) -> usize {
        self.asked(Operation::Refresh)
    }

    /// Waits until the server has been asked so often.
    fn wait_for(&self, operation: Operation, times: usize) {
        assert!(eventually(|| self.asked(operation) >= times), "{operation:?} was not asked for {times} times");
    }

    /// Whether the server accepts that token.
    fn is_live(&self, token: &AccessToken) -> bool {
        self.emulator.is_live_access_token(token.expose())
    }

    /// Nothing was replayed, all are signed in still, and the store has the newest refresh token of that session.
    fn assert_nothing_lost(&self, name: &str) {
        assert_eq!(self.emulator.replays(), 0, "{:?}", self.emulator.replayed());
        let stored = self.store.refresh_token(name).expect("the session is stored");
        assert!(
            self.emulator.is_live_refresh_token(&stored),
            "{name}: the stored refresh token is none of the server's"
        );
        assert!(!self.store.is_locked(name), "{name}: the lock was not given back");
    }
}

/// The tokens of a sign-in of Ada's.
fn tokens(emulator: &Emulator, age: Age) -> TokenSet {
    token_set(&emulator.login(&seeded::ADA), age)
}

/// The tokens of a sign-in of that user's.
fn tokens_of(emulator: &Emulator, user: &'static User) -> TokenSet {
    token_set(&emulator.login(user), Age::Good)
}

fn token_set(answer: &TokenResponse, age: Age) -> TokenSet {
    let seconds = match age {
        Age::Good => 0,
        Age::Early => 95,
        Age::Over => 101,
    };
    let mut tokens = TokenSet::new(answer.access_token.as_str());
    tokens.refresh_token = answer.refresh_token.as_deref().map(RefreshToken::new);
    tokens.expires_in = Some(Duration::from_secs(100));
    // As if they had been asked for then, so that no test has to wait for their end.
    tokens.requested_at = Instant::now().checked_sub(Duration::from_secs(seconds));
    assert!(tokens.requested_at.is_some(), "this machine has just been started");
    tokens
}

/// What a session's callback was told.
#[derive(Debug, Clone, Default)]
struct Events(Arc<Mutex<Vec<(String, String)>>>);

impl Events {
    /// The settings with a callback that is told of events, unless there is one.
    fn heard(&self, settings: &SessionSettings) -> SessionSettings {
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

    /// Those of that session are these. They are told after a result, so that they may come a little later.
    fn expect(&self, name: &str, expected: &[&str]) {
        eventually(|| self.of(name).len() >= expected.len());
        assert_eq!(self.of(name), expected, "the events of {name}");
    }
}

fn word(event: &SessionEvent) -> &'static str {
    match event {
        SessionEvent::Started => "signed in",
        SessionEvent::Refreshed => "rotated",
        SessionEvent::Adopted { reason: AdoptionReason::Refreshed, .. } => "adopted",
        SessionEvent::Adopted { reason: AdoptionReason::OtherLogin, .. } => "adopted another sign-in",
        SessionEvent::RequestFailed { .. } => "retried",
        SessionEvent::Unsaved { .. } => "unsaved",
        SessionEvent::Saved => "saved",
        SessionEvent::Ended { reason: EndReason::SignedOut, .. } => "signed out",
        SessionEvent::Ended { reason: EndReason::SignInRequired(_), .. } => "over",
        _ => "unknown",
    }
}

/// Whether that becomes true within two seconds.
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

/// The results of so many threads that do this at the same time.
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

/// Gets a token after the pause that a failure left behind.
fn after_a_pause(session: &impl Session) -> Result<AccessToken, Error> {
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
