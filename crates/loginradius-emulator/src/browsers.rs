//! The sessions of browsers that have opened a page. A cookie contains the session's id.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use hyper::header::{self, HeaderMap};

use crate::bounded::Bounded;
use crate::clock;
use crate::random::Random;
use crate::seeded::User;

/// User codes are short, so guessing must be slow (RFC 8628, section 5.1): at most this many wrong codes in a minute,
/// from all browsers together, since an attacker can use many browsers.
const MAX_WRONG_CODES: usize = 10;
const WRONG_CODES_WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Browsers {
    sessions: Bounded<Browser>,
    /// When wrong user codes were entered, at most [`MAX_WRONG_CODES`].
    wrong_codes: VecDeque<SystemTime>,
}

#[derive(Debug)]
pub(crate) struct Browser {
    /// The token against cross-site request forgery, which every form contains.
    pub(crate) csrf: String,
    pub(crate) user: Option<&'static User>,
    /// The last decision about a device.
    pub(crate) outcome: Option<Outcome>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allowed { app: String },
    Denied { app: String },
}

impl Browsers {
    pub(crate) fn new() -> Self {
        Self { sessions: Bounded::new(1000), wrong_codes: VecDeque::new() }
    }

    /// Creates a session with a new id and a new CSRF token. Signing in and out creates one too, so that an id planted
    /// by an attacker and the forms of the previous user become invalid.
    pub(crate) fn create(&mut self, random: &mut Random, user: Option<&'static User>) -> String {
        let id = random.hex64();
        let browser = Browser { csrf: random.hex64(), user, outcome: None };
        self.sessions.insert(id.clone(), browser);
        id
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Browser> {
        self.sessions.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Browser> {
        self.sessions.get_mut(id)
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.sessions.remove(id);
    }

    pub(crate) fn may_try_code(&mut self, now: SystemTime) -> bool {
        while self.wrong_codes.front().is_some_and(|then| clock::later(*then, WRONG_CODES_WINDOW) <= now) {
            self.wrong_codes.pop_front();
        }
        self.wrong_codes.len() < MAX_WRONG_CODES
    }

    pub(crate) fn wrong_code(&mut self, now: SystemTime) {
        self.wrong_codes.push_back(now);
    }
}

/// Returns the cookie's name. It contains the port, because cookies are shared between the ports of a host.
pub(crate) fn cookie_name(port: u16) -> String {
    format!("loginradius_emulator_{port}")
}

/// Returns the session id in a browser's cookie.
pub(crate) fn cookie(headers: &HeaderMap, port: u16) -> Option<&str> {
    let name = cookie_name(port);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}
