use std::time::{Duration, Instant, SystemTime};

use super::attempt::Attempt;
use super::errors::{no_access_token, too_long};
use super::now::Now;
use super::record::{LoginId, SessionRecord, Tokens};
use super::stored::{Expected, StoredRecord};
use super::unsaved::UnsavedPair;
use crate::app::App;
use crate::body::Body;
use crate::error::Error;
use crate::jitter::Seed;
use crate::secret::AccessToken;
use crate::token::TokenSet;

/// What the flow is for.
#[derive(Debug, Clone)]
pub(super) enum Job {
    /// With the last error that leaves unknown whether a refresh token was consumed.
    Refresh(Option<Error>),
    Start(Login),
    /// With the login to sign out, once it is known: a later login stays.
    SignOut(Option<LoginId>),
    Forget,
}

/// A login that is to be stored.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) id: LoginId,
    pub(super) tokens: TokenSet,
    /// When the tokens were requested; set by the first step.
    pub(super) requested_at: Option<Now>,
    pub(super) seed: Seed,
}

/// The state of a flow, with the data that it has there.
#[derive(Debug, Clone)]
pub(super) enum State {
    Start,
    Locking,
    /// Another holder has the lock: is there a valid token in the store?
    Peeking,
    /// Another holder has the lock.
    AwaitingLock {
        until: Instant,
    },
    Loading,
    Saving {
        write: Write,
        expected: Expected,
    },
    /// To be sent at once.
    Ready(Attempt),
    AwaitingResponse {
        attempt: Attempt,
        sent: Now,
        deadline: Instant,
    },
    /// To be sent again.
    BackingOff {
        attempt: Attempt,
        until: Instant,
    },
    Clearing {
        expected: Expected,
    },
    Unlocking(AfterUnlock),
    /// `None` after the outcome was returned.
    Done(Option<Outcome>),
}

/// What is saved, and why.
#[derive(Debug, Clone)]
pub(super) enum Write {
    /// A refresh is about to be sent.
    Intent(Attempt),
    /// A refresh yielded new tokens.
    Pair(UnsavedPair),
    /// Other callers and processes should wait, because of this error.
    Backoff(SessionRecord, Duration, Error),
    /// LoginRadius rejected the newest refresh token.
    Rejection(SessionRecord, Error),
    /// A revocation is about to be sent.
    SigningOut(Attempt),
    Login(SessionRecord),
}

/// What is not settled before it is compared with the next record that is loaded.
#[derive(Debug, Clone)]
pub(super) enum Unsettled {
    Nothing,
    /// A pair that the store may not hold.
    Pair(UnsavedPair),
    /// An intent whose save has an unknown outcome.
    UnconfirmedIntent(Attempt),
    /// An intent under which nothing was sent.
    UnsentIntent(Attempt),
    /// A rejected refresh: the store may hold a newer token by now.
    Rejection(Attempt, Error),
}

#[derive(Debug, Clone)]
pub(super) enum AfterUnlock {
    Reacquire,
    Finish(Outcome),
}

pub(super) type Outcome = Result<Option<AccessToken>, Error>;

/// How much two readings of the wall clock may differ about one moment.
const MAX_CLOCK_DRIFT: Duration = Duration::from_secs(1);

impl Login {
    /// Returns why no session can be started with these tokens.
    pub(super) fn refusal(&self) -> Option<Error> {
        let TokenSet { access_token, refresh_token, id_token, scope, token_type, .. } = &self.tokens;
        let texts = [
            Some(access_token.expose()),
            refresh_token.as_ref().map(|token| token.expose()),
            id_token.as_ref().map(|token| token.expose()),
            scope.as_deref(),
            token_type.as_deref(),
        ];
        let length: usize = texts.into_iter().flatten().map(str::len).sum();
        match access_token.expose() {
            "" => Some(no_access_token()),
            // A store has to have room for the next tokens, too.
            _ if length > Body::LIMIT => Some(too_long()),
            _ => None,
        }
    }

    pub(super) fn record(&self, app: &App) -> SessionRecord {
        SessionRecord::new(app, self.id, self.stored_tokens(), self.seed)
    }

    fn stored_tokens(&self) -> Tokens {
        let wall = self.requested_at.map_or(SystemTime::UNIX_EPOCH, |at| at.wall);
        Tokens::new(self.tokens.clone(), wall)
    }

    /// Returns whether these are the tokens of the record, and were requested later than it says.
    pub(super) fn renews(&self, record: &SessionRecord) -> bool {
        let tokens = self.stored_tokens();
        let age = tokens.obtained_at.duration_since(record.tokens.obtained_at).unwrap_or_default();
        self.tokens.requested_at.is_some() && record.tokens.same_pair(&tokens) && age > MAX_CLOCK_DRIFT
    }

    /// Returns when this process requested the tokens of the record, if it did.
    pub(super) fn requested_at_of(&self, record: &SessionRecord) -> Option<Instant> {
        let tokens = self.stored_tokens();
        let known = self.tokens.requested_at.filter(|_| record.tokens.same_pair(&tokens));
        known.or(self.requested_at.filter(|_| record.tokens.same_lifetime(&tokens)).map(|at| at.monotonic))
    }
}

impl State {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Locking => "Locking",
            Self::Peeking => "Peeking",
            Self::AwaitingLock { .. } => "AwaitingLock",
            Self::Loading => "Loading",
            Self::Saving { .. } => "Saving",
            Self::Ready(_) => "Ready",
            Self::AwaitingResponse { .. } => "AwaitingResponse",
            Self::BackingOff { .. } => "BackingOff",
            Self::Clearing { .. } => "Clearing",
            Self::Unlocking(_) => "Unlocking",
            Self::Done(_) => "Done",
        }
    }
}

impl Write {
    pub(super) fn encode(&self) -> StoredRecord {
        match self {
            Self::Intent(attempt) | Self::SigningOut(attempt) => attempt.record.encode(),
            Self::Pair(pair) => pair.record.encode(),
            Self::Login(record) | Self::Backoff(record, ..) | Self::Rejection(record, _) => record.encode(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ms, now};

    #[test]
    fn a_login_renews_the_same_tokens_if_it_was_requested_more_than_a_second_later() {
        let app = App::new("my-client-id");
        let login = |access: &str, later: u64, has_requested_at: bool| {
            let mut tokens = TokenSet::new(access);
            let at = Now::new(now().monotonic + ms(later), now().wall + ms(later));
            tokens.requested_at = has_requested_at.then_some(at.monotonic);
            Login { id: LoginId::of(&tokens), tokens, requested_at: Some(at), seed: Seed(1) }
        };
        let record = login("a1", 0, true).record(&app);
        let rows = [
            (login("a1", 0, true), false),
            (login("a1", 1_000, true), false),
            (login("a1", 1_001, true), true),
            (login("a2", 1_001, true), false),
            (login("a1", 1_001, false), false),
        ];
        for (login, expected) in rows {
            assert_eq!(login.renews(&record), expected, "{login:?}");
        }
    }
}
