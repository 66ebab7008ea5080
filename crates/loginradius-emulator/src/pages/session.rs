//! The session of the browser that sends a request.

use hyper::StatusCode;
use hyper::header;
use maud::Markup;

use super::page;

use crate::browsers::{self, Outcome};
use crate::error_codes;
use crate::origin;
use crate::random;
use crate::request::Request;
use crate::response::Response;
use crate::seeded::{self, Standing, User};
use crate::state::State;

/// The session of the browser that sends a request.
pub(super) struct Session {
    pub(super) id: String,
    /// Whether the response sets the cookie.
    new: bool,
    port: u16,
}

impl Session {
    /// Returns the browser's session, or creates one.
    pub(super) fn open(state: &mut State, request: &Request<'_>) -> Self {
        let port = state.address.port;
        let known =
            browsers::cookie(request.headers, port).filter(|id| state.browsers.get(id).is_some()).map(str::to_owned);
        let new = known.is_none();
        let id = known.unwrap_or_else(|| state.browsers.create(&mut state.random, None));
        Self { id, new, port }
    }

    /// Returns the session of a browser that sends a form. `None` if the form is not the emulator's own.
    pub(super) fn of_form(state: &State, request: &Request<'_>, csrf: &str) -> Option<Self> {
        let port = state.address.port;
        let id = browsers::cookie(request.headers, port)?;
        let browser = state.browsers.get(id)?;
        origin::is_our_form(&state.address, request.headers, &browser.csrf, csrf).then(|| Self {
            id: id.to_owned(),
            new: false,
            port,
        })
    }

    /// Replaces the session by a new one, for another user or none.
    pub(super) fn restart(&self, state: &mut State, user: Option<&'static User>) -> Self {
        state.browsers.remove(&self.id);
        Self { id: state.browsers.create(&mut state.random, user), new: true, port: self.port }
    }

    pub(super) fn csrf<'a>(&self, state: &'a State) -> &'a str {
        let browser = state.browsers.get(&self.id);
        browser.map_or("", |browser| browser.csrf.as_str())
    }

    pub(super) fn user(&self, state: &State) -> Option<&'static User> {
        state.browsers.get(&self.id)?.user
    }

    pub(super) fn outcome(&self, state: &State) -> Option<Outcome> {
        state.browsers.get(&self.id)?.outcome.clone()
    }

    pub(super) fn page(&self, status: StatusCode, view: Markup) -> Response {
        self.with_cookie(page::page(status, view))
    }

    /// Redirects to a page. `user_code` is normalized, so it needs no encoding.
    pub(super) fn to(&self, path: &str, user_code: &str) -> Response {
        let response = if user_code.is_empty() {
            Response::see_other(path)
        } else {
            Response::see_other(&format!("{path}?user_code={user_code}"))
        };
        self.with_cookie(response)
    }

    pub(super) fn with_cookie(&self, response: Response) -> Response {
        if !self.new {
            return response;
        }
        let (name, id) = (browsers::cookie_name(self.port), &self.id);
        let cookie = format!("{name}={id}; Path=/; HttpOnly; SameSite=Lax");
        response.with(header::SET_COOKIE, &cookie)
    }
}

/// Checks a user's password and standing. The error is LoginRadius's text and what it means here.
pub(super) fn authenticate(username: &str, password: &str) -> Result<&'static User, String> {
    let user = seeded::user(username).filter(|user| random::secrets_match(user.password, password));
    let (code, meaning) = match user.map(|user| (user, user.standing)) {
        Some((user, Standing::Good)) => return Ok(user),
        None => (
            error_codes::CREDENTIALS_INVALID,
            "This sign-in and password do not belong together. Check both and try again.",
        ),
        Some((_, Standing::EmailNotVerified)) => {
            (error_codes::EMAIL_NOT_VERIFIED, "The email address of this account is not verified yet.")
        }
        Some((_, Standing::Blocked)) => (error_codes::BLOCKED, "Its administrator can unblock it."),
        Some((_, Standing::Locked)) => (error_codes::LOCKED, "This account is locked for now. Try again later."),
        Some((_, Standing::SecondFactor)) => (
            error_codes::SECOND_FACTOR_REQUIRED,
            "This account needs a second factor, which this emulator cannot ask for.",
        ),
    };
    Err(format!("{}. {meaning}", code.site.message))
}
