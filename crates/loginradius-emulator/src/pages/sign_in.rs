//! The pages of a sign-in through a browser: who is it, may the application know, and back.

use hyper::{Method, StatusCode};

use super::page::{Policy, foreign_form, page, page_with, protected};
use super::session::{Session, who_signs_in};
use super::tickets::SigningIn;
use super::view;
use crate::answer::Answer;
use crate::authorize::{self, Problem};
use crate::landing::Landing;
use crate::params::Params;
use crate::request::Whole;
use crate::route::Target;
use crate::state::State;
use crate::wanted::Wanted;

/// Whether there is a page at this path.
pub(super) fn has(path: &str) -> bool {
    matches!(path, "/authorize" | "/authorize/sign-in" | "/authorize/decide" | "/authorize/sign-out")
}

/// A browser comes from an application.
pub(crate) fn begin(state: &mut State, request: &Whole<'_>, target: &Target) -> Answer {
    match authorize::read(state, target, request.query) {
        Err(Problem::Here(refusal)) => {
            let (code, message) = refusal.in_words(target.family);
            page(StatusCode::BAD_REQUEST, view::cannot_sign_in(code, &message))
        }
        Err(Problem::Back(landing)) => leave(&landing),
        Ok(wanted) => {
            let session = Session::open(state, request);
            let signing_in = SigningIn::new(&session.id, wanted, state.clock.now());
            let ticket = state.tickets.issue(&mut state.random, signing_in);
            show_ticket(state, &session, &ticket, StatusCode::OK, "", None)
        }
    }
}

/// One of the pages, or what happens when one of its forms is sent.
pub(super) fn answer(state: &mut State, request: &Whole<'_>) -> Option<Answer> {
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

/// The page of a ticket's step.
fn show_ticket(
    state: &State,
    session: &Session,
    ticket: &str,
    status: StatusCode,
    username: &str,
    problem: Option<&str>,
) -> Answer {
    let Some(signing_in) = state.tickets.get(ticket, &session.id, state.clock.now()) else {
        return over(session);
    };
    let hidden = [("csrf", session.csrf(state)), ("ticket", ticket)];
    match (&signing_in.wanted, signing_in.user) {
        (Wanted::OAuth(wanted), Some(user)) => {
            let view = view::consent(&hidden, wanted, signing_in.wanted.address(), user);
            session.with_cookie(page_with(status, view, leading_to(signing_in.wanted.address())))
        }
        (Wanted::OAuth(wanted), None) => {
            let view = view::sign_in_to(&hidden, &wanted.app, username, problem);
            session.page(status, view)
        }
        (Wanted::Jwt(wanted), _) => {
            let view = view::sign_in_to(&hidden, wanted.signer.app.name, username, problem);
            session.with_cookie(page_with(status, view, leading_to(signing_in.wanted.address())))
        }
    }
}

/// A form that was sent.
fn receive(state: &mut State, request: &Whole<'_>) -> Answer {
    let form = Params::from_form(request.body);
    let field = |name: &str| form.optional(name).ok().flatten().unwrap_or("");
    let Some(session) = Session::of_form(state, request, field("csrf")) else {
        return foreign_form(None);
    };
    let ticket = field("ticket");
    let Some(signing_in) = state.tickets.get(ticket, &session.id, state.clock.now()).cloned() else {
        return over(&session);
    };
    match (request.path, signing_in.user) {
        ("/authorize/sign-in", None) => {
            let username = field("username");
            let user = match who_signs_in(username.trim(), field("password")) {
                Ok(user) => user,
                Err(problem) => {
                    return show_ticket(state, &session, ticket, StatusCode::BAD_REQUEST, username, Some(&problem));
                }
            };
            state.tickets.take(ticket);
            match signing_in.wanted {
                // LoginRadius's guide "JWT" has no consent.
                Wanted::Jwt(_) => leave(&authorize::allow(state, &signing_in.wanted, user)),
                Wanted::OAuth(_) => go_on(state, SigningIn { user: Some(user), ..signing_in }),
            }
        }
        ("/authorize/sign-out", Some(_)) => {
            state.tickets.take(ticket);
            go_on(state, SigningIn { user: None, ..signing_in })
        }
        ("/authorize/decide", Some(user)) => {
            let landing = match (field("decision"), &signing_in.wanted) {
                ("allow", wanted) => authorize::allow(state, wanted, user),
                ("deny", Wanted::OAuth(wanted)) => wanted.deny(),
                _ => return to(ticket),
            };
            state.tickets.take(ticket);
            leave(&landing)
        }
        // The form of another step.
        _ => to(ticket),
    }
}

/// On to the next step.
fn go_on(state: &mut State, signing_in: SigningIn) -> Answer {
    let ticket = state.tickets.issue(&mut state.random, signing_in);
    to(&ticket)
}

/// To the page of a ticket that exists, so of one that needs no encoding.
fn to(ticket: &str) -> Answer {
    Answer::see_other(&format!("/authorize?ticket={ticket}"))
}

/// Back to the application.
fn leave(landing: &Landing) -> Answer {
    match &landing.form {
        // RFC 9700, section 4.12: a 307 would carry the password along.
        None => protected(Answer::see_other(&landing.url), Policy::default()),
        Some(fields) => {
            let policy = Policy { script: Some(view::SUBMIT), ..leading_to(&landing.url) };
            page_with(StatusCode::OK, view::post_back(&landing.url, fields), policy)
        }
    }
}

/// Browsers apply `form-action` to where a form's answer redirects, and to where that redirects in turn, which is the
/// application's own matter: so its scheme is allowed, and no particular host.
fn leading_to(address: &str) -> Policy<'_> {
    let scheme = address.split(':').next().unwrap_or_default();
    // In such a policy `http:` stands for `https:` too.
    Policy { form_scheme: Some(if scheme == "https" { "http" } else { scheme }), script: None }
}

/// Decided already, too late, or another browser's.
fn over(session: &Session) -> Answer {
    let view = view::start_again(
        "This sign-in is over",
        "It has been finished already, or it took longer than 10 minutes. Go back to the application and start it \
         there again.",
        None,
    );
    session.page(StatusCode::BAD_REQUEST, view)
}
