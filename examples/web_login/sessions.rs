//! The sessions of the users who are signed in: one for each browser, by a random id that only this browser has, in its
//! cookie. A visitor who is not signed in has none, so no flood of such visitors can end a session.
//!
//! They are in memory, and end with the service. A real service stores them in a database or a cache that all of its
//! machines share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loginradius_async::{Error, RefreshToken};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

/// How long a user stays signed in.
pub(crate) const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
/// How many sessions one user may have, so that one account cannot push others out. The next one ends the oldest.
const MAX_OF_USER: usize = 10;
/// How many sessions there may be, so that they cannot fill the memory. The next one ends the oldest.
const MAX_SESSIONS: usize = 10_000;

/// All sessions, by their ids.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Arc<User>>>);

/// A user who is signed in, in one browser.
pub(crate) struct User {
    pub(crate) claims: Map<String, Value>,
    pub(crate) refresh_token: Option<RefreshToken>,
    /// A value in the forms of this session's pages, which no other site knows.
    pub(crate) csrf: String,
    ends: Instant,
}

impl User {
    /// Returns whether a form with this value is of one of this session's pages.
    pub(crate) fn has_csrf(&self, csrf: &str) -> bool {
        self.csrf.as_bytes().ct_eq(csrf.as_bytes()).into()
    }

    /// Returns whether that is the same user in another browser.
    fn is(&self, other: &Self) -> bool {
        let subject = self.claims.get("sub");
        subject.is_some() && subject == other.claims.get("sub")
    }
}

impl Sessions {
    /// Starts a session in place of the one that the browser had, if it had one. Its id is new, so that an attacker who
    /// knew the old one does not get in.
    ///
    /// Returns the id, and the users of the sessions that have ended by that.
    pub(crate) fn start(
        &self,
        before: &str,
        claims: Map<String, Value>,
        refresh_token: Option<RefreshToken>,
    ) -> Result<(String, Vec<Arc<User>>), Error> {
        let (id, csrf) = (random_id()?, random_id()?);
        let user = User { claims, refresh_token, csrf, ends: Instant::now() + LIFETIME };
        let mut sessions = self.live();
        let mut ended = Vec::from_iter(sessions.remove(before));
        if sessions.values().filter(|other| other.is(&user)).count() >= MAX_OF_USER {
            ended.extend(remove_oldest(&mut sessions, |other| other.is(&user)));
        }
        if sessions.len() >= MAX_SESSIONS {
            ended.extend(remove_oldest(&mut sessions, |_| true));
        }
        sessions.insert(id.clone(), Arc::new(user));
        Ok((id, ended))
    }

    /// Returns the user who is signed in there, if there is one.
    pub(crate) fn user(&self, id: &str) -> Option<Arc<User>> {
        self.live().get(id).cloned()
    }

    /// Ends a session.
    pub(crate) fn end(&self, id: &str) {
        self.live().remove(id);
    }

    /// Returns the sessions that have not ended.
    fn live(&self) -> MutexGuard<'_, HashMap<String, Arc<User>>> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        sessions.retain(|_, user| now < user.ends);
        sessions
    }
}

fn remove_oldest(sessions: &mut HashMap<String, Arc<User>>, among: impl Fn(&User) -> bool) -> Option<Arc<User>> {
    let among = sessions.iter().filter(|(_, user)| among(user));
    let oldest = among.min_by_key(|(_, user)| user.ends).map(|(id, _)| id.clone());
    sessions.remove(&oldest?)
}

/// Returns 32 bytes of the operating system's random number generator, in base64url.
fn random_id() -> Result<String, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::configuration(format!("the operating system returns no random bytes: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
