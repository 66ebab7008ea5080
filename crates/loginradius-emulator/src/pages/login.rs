//! The pages of a login in a browser: signing in, consent, and the way back to the application.

use hyper::{Method, StatusCode};

use super::page::{Policy, foreign_form, page, page_with, protected};
use super::session::{Session, authenticate};
use super::view;
use crate::authorization_response::AuthorizationResponse;
use crate::authorize::{self, Rejection};
use crate::login_attempts::LoginAttempt;
use crate::login_request::LoginRequest;
use crate::params::Params;
use crate::request::Request;
use crate::response::Response;
use crate::route::Target;
use crate::state::State;

/// Returns whether there is a page at this path.
pub(super) fn has(path: &str) -> bool {
    matches!(path, "/authorize" | "/authorize/sign-in" | "/authorize/decide" | "/authorize/sign-out")
}

/// Starts a login: an application has sent the browser here.
pub(crate) fn begin(state: &mut State, request: &Request<'_>, target: &Target) -> Response {
    match authorize::read(state, target, request.query) {
        Err(Rejection::ShownToUser(refusal)) => {
            let (code, message) = refusal.to_page_text(target.api);
            page(StatusCode::BAD_REQUEST, view::cannot_sign_in(code, &message))
        }
        Err(Rejection::SentToApplication(response)) => return_to_application(&response),
        Ok(login_request) => {
            let session = Session::open(state, request);
            let attempt = LoginAttempt::new(&session.id, login_request, state.clock.now());
            let ticket = state.login_attempts.issue(&mut state.random, attempt);
            show_ticket(state, &session, &ticket, StatusCode::OK, "", None)
        }
    }
}

/// Shows a page, or handles its form.
pub(super) fn respond(state: &mut State, request: &Request<'_>) -> Option<Response> {
    match (request.method, request.path) {
        (&Method::GET | &Method::HEAD, "/authorize") => {
            let session = Session::open(state, request);
            let query = Params::from_form(request.query.as_bytes());
            let ticket = query.optional("ticket").ok().flatten().unwrap_or("");
            Some(show_ticket(state, &session, ticket, StatusCode::OK, "", None))
        }
        (&Method::POST, "/authorize/sign-in" | "/authorize/decide" | "/authorize/sign-out") => {
            Some(receive(state, request))
        }
        _ => None,
    }
}

/// Shows the page of a login's current step.
fn show_ticket(
    state: &State,
    session: &Session,
    ticket: &str,
    status: StatusCode,
    username: &str,
    problem: Option<&str>,
) -> Response {
    let Some(attempt) = state.login_attempts.get(ticket, &session.id, state.clock.now()) else {
        return attempt_is_over(session);
    };
    let hidden = [("csrf", session.csrf(state)), ("ticket", ticket)];
    match (&attempt.login_request, attempt.user) {
        (LoginRequest::OAuth(login_request), Some(user)) => {
            let view = view::consent(&hidden, login_request, attempt.login_request.return_url(), user);
            session.with_cookie(page_with(status, view, policy_redirecting_to(attempt.login_request.return_url())))
        }
        (LoginRequest::OAuth(login_request), None) => {
            let view = view::sign_in_to(&hidden, &login_request.app, username, problem);
            session.page(status, view)
        }
        (LoginRequest::Jwt(login_request), _) => {
            let view = view::sign_in_to(&hidden, login_request.signer.app.name, username, problem);
            session.with_cookie(page_with(status, view, policy_redirecting_to(attempt.login_request.return_url())))
        }
    }
}

/// Handles a form.
fn receive(state: &mut State, request: &Request<'_>) -> Response {
    let form = Params::from_form(request.body);
    let field = |name: &str| form.optional(name).ok().flatten().unwrap_or("");
    let Some(session) = Session::of_form(state, request, field("csrf")) else {
        return foreign_form(None);
    };
    let ticket = field("ticket");
    let Some(attempt) = state.login_attempts.get(ticket, &session.id, state.clock.now()).cloned() else {
        return attempt_is_over(&session);
    };
    match (request.path, attempt.user) {
        ("/authorize/sign-in", None) => {
            let username = field("username");
            let user = match authenticate(username.trim(), field("password")) {
                Ok(user) => user,
                Err(problem) => {
                    return show_ticket(state, &session, ticket, StatusCode::BAD_REQUEST, username, Some(&problem));
                }
            };
            state.login_attempts.take(ticket);
            match attempt.login_request {
                // LoginRadius's guide "JWT" has no consent.
                LoginRequest::Jwt(_) => return_to_application(&authorize::allow(state, &attempt.login_request, user)),
                LoginRequest::OAuth(_) => continue_with(state, LoginAttempt { user: Some(user), ..attempt }),
            }
        }
        ("/authorize/sign-out", Some(_)) => {
            state.login_attempts.take(ticket);
            continue_with(state, LoginAttempt { user: None, ..attempt })
        }
        ("/authorize/decide", Some(user)) => {
            let response = match (field("decision"), &attempt.login_request) {
                ("allow", login_request) => authorize::allow(state, login_request, user),
                ("deny", LoginRequest::OAuth(login_request)) => login_request.deny(),
                _ => return redirect_to_ticket(ticket),
            };
            state.login_attempts.take(ticket);
            return_to_application(&response)
        }
        // The form belongs to another step.
        _ => redirect_to_ticket(ticket),
    }
}

/// Continues with the next step.
fn continue_with(state: &mut State, attempt: LoginAttempt) -> Response {
    let ticket = state.login_attempts.issue(&mut state.random, attempt);
    redirect_to_ticket(&ticket)
}

/// Redirects to the page of a ticket. The ticket exists, so it needs no encoding.
fn redirect_to_ticket(ticket: &str) -> Response {
    Response::see_other(&format!("/authorize?ticket={ticket}"))
}

/// Sends the browser back to the application.
fn return_to_application(response: &AuthorizationResponse) -> Response {
    match &response.form {
        // RFC 9700, section 4.12: a 307 would send the password on.
        None => protected(Response::see_other(&response.url), Policy::default()),
        Some(fields) => {
            let policy = Policy { script: Some(view::SUBMIT), ..policy_redirecting_to(&response.url) };
            page_with(StatusCode::OK, view::post_back(&response.url, fields), policy)
        }
    }
}

/// Allows a form to lead to the scheme of this URL. Browsers apply `form-action` to redirects after the form too, which
/// the application decides, so no host is named.
fn policy_redirecting_to(address: &str) -> Policy<'_> {
    let scheme = address.split(':').next().unwrap_or_default();
    // In this policy `http:` includes `https:`.
    Policy { form_scheme: Some(if scheme == "https" { "http" } else { scheme }), script: None }
}

/// Shows that a login is complete, has expired, or belongs to another browser.
fn attempt_is_over(session: &Session) -> Response {
    let view = view::start_again(
        "This sign-in is over",
        "It has been finished already, or it took longer than 10 minutes. Go back to the application and start it \
         there again.",
        None,
    );
    session.page(StatusCode::BAD_REQUEST, view)
}
