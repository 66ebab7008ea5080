//! The logins that browsers have begun. The browser keeps its login in an encrypted cookie, and the service keeps none.
//! Otherwise a flood of requests to `/login`, which needs no account, would push out the logins of others.
//!
//! The key is made when the service starts, so a login that began before has to begin again. The machines of a larger
//! service share the key and a cache of the consumed logins.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loginradius_async::Error;
use loginradius_async::browser::PendingLogin;

/// How long a begun login is kept: as long as its callback is accepted.
pub(crate) const LIFETIME: Duration = Duration::from_secs(600);
/// How many logins one browser may have begun, such as in several tabs. The next one drops the oldest. Their cookies
/// fit into 8 KiB, the longest header that many proxies read.
pub(crate) const MAX_BEGUN: usize = 8;
/// How many consumed logins are remembered, so that they cannot fill the memory. The next one drops the oldest.
const MAX_CONSUMED: usize = 10_000;

/// Seals begun logins, and remembers the consumed ones.
pub(crate) struct Begun {
    key: RandomizedNonceKey,
    /// The states of the consumed logins, each with the time until which it could be used again.
    consumed: Mutex<HashMap<String, Instant>>,
}

impl Begun {
    pub(crate) fn new() -> Result<Self, Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|_| unable())?;
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &key).map_err(|_| unable())?;
        Ok(Self { key, consumed: Mutex::default() })
    }

    /// Returns the login as the value of a cookie that only this service can read.
    pub(crate) fn seal(&self, login: &PendingLogin) -> Result<String, Error> {
        let mut sealed = login.to_json().into_bytes();
        let state = Aad::from(login.expose_state());
        let nonce = self.key.seal_in_place_append_tag(state, &mut sealed).map_err(|_| unable())?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &sealed].concat()))
    }

    /// Reads the login of that state from the value of a cookie; `None` if it was not sealed here.
    pub(crate) fn open(&self, state: &str, cookie: &str) -> Option<PendingLogin> {
        let mut bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let json = self.key.open_in_place(nonce, Aad::from(state), sealed).ok()?;
        PendingLogin::from_json(str::from_utf8(json).ok()?).ok()
    }

    /// Consumes the login of that state. Returns whether nothing has consumed it before.
    pub(crate) fn consume(&self, state: &str) -> bool {
        let now = Instant::now();
        let mut consumed = self.consumed();
        consumed.retain(|_, until| now < *until);
        if consumed.contains_key(state) {
            return false;
        }
        if consumed.len() >= MAX_CONSUMED {
            let oldest = consumed.iter().min_by_key(|(_, until)| **until).map(|(state, _)| state.clone());
            oldest.and_then(|state| consumed.remove(&state));
        }
        consumed.insert(state.to_owned(), now + LIFETIME);
        true
    }

    /// Forgets that the login was consumed: no code was redeemed. So only logins that signed a user in count against
    /// the maximum, and no visitor can push those out.
    pub(crate) fn forget(&self, state: &str) {
        self.consumed().remove(state);
    }

    fn consumed(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.consumed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unable() -> Error {
    Error::configuration("a login could not be encrypted, the operating system returns no random bytes: check it")
}
