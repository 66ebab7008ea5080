//! The sessions: one for each browser, by a random id that only this browser has, in its cookie.
//!
//! They are in memory, and end with the service. A real service stores them in a database or a cache that all of its
//! machines share, with [`PendingLogin::to_json`]. There, too, a pending login has to be read and removed in one step.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loginradius_async::browser::PendingLogin;
use loginradius_async::{Error, RefreshToken};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

/// How long a user stays signed in.
pub(crate) const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
/// How long a pending login is kept. That is longer than a login may take, so that the user sees that it took too long.
const PENDING_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// How many logins may be pending in one browser, as in several tabs. The next one drops the oldest.
const MAX_PENDING: usize = 8;
/// How many sessions there may be, so that they cannot fill the memory. The next one drops the one that would end
/// first, and one without a user before others.
const MAX_SESSIONS: usize = 10_000;

/// All sessions, by their ids.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

struct Session {
    /// The pending logins, each with the time until which it is kept; the oldest first.
    pending: VecDeque<(Instant, PendingLogin)>,
    user: Option<Arc<User>>,
    ends: Instant,
}

/// A user who is signed in.
pub(crate) struct User {
    pub(crate) claims: Map<String, Value>,
    pub(crate) refresh_token: Option<RefreshToken>,
    /// A value in the forms of this session's pages, which no other site knows.
    pub(crate) csrf: String,
}

impl User {
    /// Returns whether a form with this value is of one of this session's pages.
    pub(crate) fn has_csrf(&self, csrf: &str) -> bool {
        self.csrf.as_bytes().ct_eq(csrf.as_bytes()).into()
    }
}

impl Sessions {
    /// Stores a pending login of a browser. Returns the id of the browser's session, which may be a new one.
    pub(crate) fn begin(&self, id: &str, pending: PendingLogin) -> Result<String, Error> {
        let new_id = random_id()?;
        let now = Instant::now();
        let until = now + PENDING_LIFETIME;
        let mut sessions = self.live();
        if let Some(session) = sessions.get_mut(id) {
            session.pending.retain(|(until, _)| now < *until);
            if session.pending.len() >= MAX_PENDING {
                session.pending.pop_front();
            }
            session.pending.push_back((until, pending));
            if session.user.is_none() {
                session.ends = until;
            }
            return Ok(id.to_owned());
        }
        // An id that this service did not make is never used.
        let session = Session { pending: [(until, pending)].into(), user: None, ends: until };
        insert(&mut sessions, new_id.clone(), session);
        Ok(new_id)
    }

    /// Removes and returns the pending login that a callback with this state belongs to.
    pub(crate) fn take(&self, id: &str, state: &str) -> Option<PendingLogin> {
        let mut sessions = self.live();
        let all = &mut sessions.get_mut(id)?.pending;
        let index = all.iter().position(|(_, pending)| pending.expose_state() == state)?;
        all.remove(index).map(|(_, pending)| pending)
    }

    /// Sets the user of a session, and gives the session a new id, so that an attacker who knew the old one does not
    /// get in. The logins that are pending in other tabs stay.
    ///
    /// Returns the new id, and the refresh token that is not needed any more, which is that of the user before. If the
    /// session has ended, or another tab has been faster, it returns no id, and the given refresh token.
    pub(crate) fn sign_in(
        &self,
        id: &str,
        claims: Map<String, Value>,
        refresh_token: Option<RefreshToken>,
    ) -> Result<(Option<String>, Option<RefreshToken>), Error> {
        let (new_id, csrf) = (random_id()?, random_id()?);
        let mut sessions = self.live();
        let Some(mut session) = sessions.remove(id) else { return Ok((None, refresh_token)) };
        let before = session.user.replace(Arc::new(User { claims, refresh_token, csrf }));
        session.ends = Instant::now() + LIFETIME;
        insert(&mut sessions, new_id.clone(), session);
        Ok((Some(new_id), before.and_then(|user| user.refresh_token.clone())))
    }

    /// Returns the user who is signed in there, if there is one.
    pub(crate) fn user(&self, id: &str) -> Option<Arc<User>> {
        self.live().get(id)?.user.clone()
    }

    /// Ends a session.
    pub(crate) fn end(&self, id: &str) {
        self.live().remove(id);
    }

    /// Returns the sessions that have not ended.
    fn live(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        sessions.retain(|_, session| now < session.ends);
        sessions
    }
}

fn insert(sessions: &mut HashMap<String, Session>, id: String, session: Session) {
    if sessions.len() >= MAX_SESSIONS {
        // A session with a user is kept longer than one without.
        let key = |session: &Session| (session.user.is_some(), session.ends);
        let first = sessions.iter().min_by_key(|(_, session)| key(session)).map(|(id, _)| id.clone());
        first.and_then(|id| sessions.remove(&id));
    }
    sessions.insert(id, session);
}

/// Returns 32 bytes of the operating system's random number generator, in base64url.
fn random_id() -> Result<String, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::configuration(format!("the operating system returns no random bytes: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
