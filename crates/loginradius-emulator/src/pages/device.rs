//! The pages on which a user approves a device (RFC 8628, section 3.3).

use hyper::{Method, StatusCode};

use super::page::{foreign_form, page};
use super::session::{Session, authenticate};
use super::view;
use crate::browsers::Outcome;
use crate::grants::{ApproveError, Decision, normalize_user_code};
use crate::params::Params;
use crate::request::Request;
use crate::response::Response;
use crate::route;
use crate::state::State;

/// Returns whether there is a page at this path.
pub(super) fn has(path: &str) -> bool {
    matches!(
        path,
        "/device" | "/device/sign-in" | "/device/confirm" | "/device/decide" | "/device/result" | "/device/sign-out"
    ) || route::is_device_confirm_path(path)
}

/// Shows a page, or handles its form.
pub(super) fn respond(state: &mut State, request: &Request<'_>) -> Option<Response> {
    match *request.method {
        Method::GET | Method::HEAD => show(state, request),
        Method::POST => receive(state, request),
        _ => None,
    }
}

fn show(state: &mut State, request: &Request<'_>) -> Option<Response> {
    let query = Params::from_form(request.query.as_bytes());
    let typed = query.optional("user_code").ok().flatten().unwrap_or("");
    let user_code = normalize_user_code(typed);
    Some(match request.path {
        "/device" => {
            let session = Session::open(state, request);
            let view = view::enter_code(session.csrf(state), &user_code, None);
            session.page(StatusCode::OK, view)
        }
        "/device/sign-in" => {
            let session = Session::open(state, request);
            match check_code(state, &user_code) {
                Err(problem) => code_again(state, &session, &user_code, problem),
                Ok(()) => {
                    let view = view::sign_in(session.csrf(state), &user_code, "", None);
                    session.page(StatusCode::OK, view)
                }
            }
        }
        "/device/confirm" => {
            let session = Session::open(state, request);
            match (check_code(state, &user_code), session.user(state)) {
                (Err(problem), _) => code_again(state, &session, &user_code, problem),
                (Ok(()), None) => session.to("/device/sign-in", &user_code),
                (Ok(()), Some(user)) => {
                    let grant = state.grants.pending(&user_code, state.clock.now()).ok()?;
                    let view = view::confirm(session.csrf(state), grant, user);
                    session.page(StatusCode::OK, view)
                }
            }
        }
        "/device/result" => {
            let session = Session::open(state, request);
            match session.outcome(state) {
                Some(outcome) => session.page(StatusCode::OK, view::result(&outcome)),
                None => session.to("/device", ""),
            }
        }
        path if route::is_device_confirm_path(path) && user_code.is_empty() => {
            page(StatusCode::NOT_FOUND, view::note("There is no device code", "The address may be cut short."))
        }
        path if route::is_device_confirm_path(path) => Response::see_other(&format!("/device?user_code={user_code}")),
        _ => return None,
    })
}

/// Handles a form.
fn receive(state: &mut State, request: &Request<'_>) -> Option<Response> {
    let known = ["/device", "/device/sign-in", "/device/decide", "/device/sign-out"];
    if !known.contains(&request.path) {
        return None;
    }
    let form = Params::from_form(request.body);
    let field = |name: &str| form.optional(name).ok().flatten().unwrap_or("");
    let Some(session) = Session::of_form(state, request, field("csrf")) else {
        return Some(foreign_form(Some(("/device", "Start again"))));
    };
    let typed = field("user_code");
    let user_code = normalize_user_code(typed);
    if let Err(problem) = check_code(state, &user_code) {
        return Some(code_again(state, &session, typed, problem));
    }
    Some(match request.path {
        "/device" if session.user(state).is_some() => session.to("/device/confirm", &user_code),
        "/device" => session.to("/device/sign-in", &user_code),
        "/device/sign-in" => {
            let username = field("username");
            match authenticate(username.trim(), field("password")) {
                Ok(user) => {
                    let session = session.restart(state, Some(user));
                    session.to("/device/confirm", &user_code)
                }
                Err(problem) => {
                    let csrf = session.csrf(state);
                    let view = view::sign_in(csrf, &user_code, username, Some(&problem));
                    session.page(StatusCode::BAD_REQUEST, view)
                }
            }
        }
        "/device/sign-out" => {
            let session = session.restart(state, None);
            session.to("/device/sign-in", &user_code)
        }
        _ => decide(state, &session, &user_code, field("decision")),
    })
}

fn decide(state: &mut State, session: &Session, user_code: &str, decision: &str) -> Response {
    let Some(user) = session.user(state) else {
        return session.to("/device/sign-in", user_code);
    };
    let now = state.clock.now();
    let app = match state.grants.pending(user_code, now) {
        Ok(grant) => grant.app.clone(),
        Err(error) => return code_again(state, session, user_code, CodeProblem::Grant(error)),
    };
    let (decision, outcome) = match decision {
        "allow" => (Decision::Allowed(user), Outcome::Allowed { app }),
        "deny" => (Decision::Denied, Outcome::Denied { app }),
        _ => return session.to("/device/confirm", user_code),
    };
    if let Err(error) = state.grants.decide(user_code, decision, now) {
        return code_again(state, session, user_code, CodeProblem::Grant(error));
    }
    if let Some(browser) = state.browsers.get_mut(&session.id) {
        browser.outcome = Some(outcome);
    }
    session.to("/device/result", "")
}

/// Why a user code is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CodeProblem {
    Empty,
    TooManyWrong,
    Grant(ApproveError),
}

impl CodeProblem {
    fn message(self) -> &'static str {
        match self {
            Self::Empty => "Enter the code that your device shows.",
            Self::TooManyWrong => "Too many wrong codes. Wait a minute, then try again.",
            Self::Grant(ApproveError::UnknownCode) => {
                "No device is waiting for this code. Compare it with the one on your device and try again."
            }
            Self::Grant(ApproveError::Expired) => {
                "This code has expired. Ask your device for a new one and enter it here."
            }
            Self::Grant(ApproveError::AlreadyDecided) => {
                "This code has already been used. Ask your device for a new one and enter it here."
            }
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::TooManyWrong => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// Checks that a device waits for this code. Every page calls it, so that guesses are counted on all of them.
fn check_code(state: &mut State, user_code: &str) -> Result<(), CodeProblem> {
    let now = state.clock.now();
    if user_code.is_empty() {
        return Err(CodeProblem::Empty);
    }
    if !state.browsers.may_try_code(now) {
        return Err(CodeProblem::TooManyWrong);
    }
    let found = state.grants.pending(user_code, now).map(|_| ());
    if found == Err(ApproveError::UnknownCode) {
        state.browsers.wrong_code(now);
    }
    found.map_err(CodeProblem::Grant)
}

/// Shows the page for entering a code, with an error about this one.
fn code_again(state: &State, session: &Session, typed: &str, problem: CodeProblem) -> Response {
    let view = view::enter_code(session.csrf(state), typed, Some(problem.message()));
    session.page(problem.status(), view)
}
