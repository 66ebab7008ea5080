//! What the service remembers of each browser, under a value that the browser alone has in its cookie.
//!
//! In memory, so that it ends with the service. A real one has a database or a cache that all of its machines share;
//! [`PendingLogin::to_json`] is what to store there, and taking it out has to be one step there too.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loginradius_async::browser::PendingLogin;
use loginradius_async::{Error, RefreshToken};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

/// How long somebody stays signed in.
pub(crate) const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
/// How long it is remembered that a browser has begun: longer than a sign-in may take, so that one can be told that it
/// took too long.
const BEGUN_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// Sign-ins that one browser may have begun, in as many tabs. The next one drops the oldest.
const MOST_BEGUN: usize = 8;
/// Nobody fills the memory by beginning: the next one drops the session that would end first.
const MOST_SESSIONS: usize = 10_000;

/// All sessions, by their ids.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

struct Session {
    /// With the time until which each is remembered; the oldest first.
    begun: VecDeque<(Instant, PendingLogin)>,
    user: Option<Arc<User>>,
    ends: Instant,
}

/// Who is signed in.
pub(crate) struct User {
    pub(crate) claims: Map<String, Value>,
    pub(crate) refresh_token: Option<RefreshToken>,
    /// In every form of this session's pages, and nowhere else.
    pub(crate) csrf: String,
}

impl User {
    /// Whether a form is one of this session's pages.
    pub(crate) fn gave_out(&self, csrf: &str) -> bool {
        self.csrf.as_bytes().ct_eq(csrf.as_bytes()).into()
    }
}

impl Sessions {
    /// Remembers that a browser has begun to sign in. The id is that of its session, which may be a new one.
    pub(crate) fn begin(&self, id: &str, pending: PendingLogin) -> Result<String, Error> {
        let new_id = nonces()?;
        let now = Instant::now();
        let until = now + BEGUN_LIFETIME;
        let mut sessions = self.live();
        if let Some(session) = sessions.get_mut(id) {
            session.begun.retain(|(until, _)| now < *until);
            if session.begun.len() >= MOST_BEGUN {
                session.begun.pop_front();
            }
            session.begun.push_back((until, pending));
            if session.user.is_none() {
                session.ends = until;
            }
            return Ok(id.to_owned());
        }
        // Whatever id the browser came with: one that this service did not make is not used.
        let session = Session { begun: [(until, pending)].into(), user: None, ends: until };
        insert(&mut sessions, new_id.clone(), session);
        Ok(new_id)
    }

    /// Takes out the sign-in that such a callback may belong to.
    pub(crate) fn take(&self, id: &str, state: &str) -> Option<PendingLogin> {
        let mut sessions = self.live();
        let begun = &mut sessions.get_mut(id)?.begun;
        let index = begun.iter().position(|(_, pending)| pending.expose_state() == state)?;
        begun.remove(index).map(|(_, pending)| pending)
    }

    /// Gives a session its user and a new id: whoever knew the old one from before the sign-in is left outside. What was
    /// begun in other tabs goes on.
    ///
    /// Returns the refresh token that nobody needs any more: of the user before, or the given one, without an id, if
    /// the session has ended or another tab has been faster.
    pub(crate) fn sign_in(
        &self,
        id: &str,
        claims: Map<String, Value>,
        refresh_token: Option<RefreshToken>,
    ) -> Result<(Option<String>, Option<RefreshToken>), Error> {
        let (new_id, csrf) = (nonces()?, nonces()?);
        let mut sessions = self.live();
        let Some(mut session) = sessions.remove(id) else { return Ok((None, refresh_token)) };
        let before = session.user.replace(Arc::new(User { claims, refresh_token, csrf }));
        session.ends = Instant::now() + LIFETIME;
        insert(&mut sessions, new_id.clone(), session);
        Ok((Some(new_id), before.and_then(|user| user.refresh_token.clone())))
    }

    /// Who is signed in there, if somebody is.
    pub(crate) fn user(&self, id: &str) -> Option<Arc<User>> {
        self.live().get(id)?.user.clone()
    }

    /// Ends a session.
    pub(crate) fn end(&self, id: &str) {
        self.live().remove(id);
    }

    /// Those whose time has not come.
    fn live(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        sessions.retain(|_, session| now < session.ends);
        sessions
    }
}

fn insert(sessions: &mut HashMap<String, Session>, id: String, session: Session) {
    if sessions.len() >= MOST_SESSIONS {
        // Whoever is signed in stays longest.
        let key = |session: &Session| (session.user.is_some(), session.ends);
        let first = sessions.iter().min_by_key(|(_, session)| key(session)).map(|(id, _)| id.clone());
        first.and_then(|id| sessions.remove(&id));
    }
    sessions.insert(id, session);
}

/// 32 bytes of the operating system's generator.
fn nonces() -> Result<String, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::configuration(format!("the operating system gives no random bytes: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
