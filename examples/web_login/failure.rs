//! An error as a page that says what to do.

use std::error::Error as StdError;
use std::io::{self, Write as _};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use loginradius_async::{Error, ErrorKind};
use loginradius_examples::printable;

use crate::pages;

pub(crate) struct Failure {
    status: StatusCode,
    title: &'static str,
    advice: &'static str,
    /// LoginRadius's own text.
    description: Option<String>,
}

impl Failure {
    fn new(status: StatusCode, title: &'static str, advice: &'static str) -> Self {
        Self { status, title, advice, description: None }
    }

    pub(crate) fn not_understood() -> Self {
        let advice = "This service and LoginRadius do not understand each other. The error is logged.";
        Self::new(StatusCode::BAD_GATEWAY, "Not signed in", advice)
    }

    /// The login has ended, or belongs to another browser. A user who is signed in stays signed in.
    pub(crate) fn not_pending() -> Self {
        let advice = "It was already finished, took too long, or began in another browser: go to the start page.";
        Self::new(StatusCode::BAD_REQUEST, "This login is over", advice)
    }

    /// Refuses a request that no user made by going to the page. No user sees this page: a browser asks again when its
    /// user goes there.
    pub(crate) fn no_navigation() -> Self {
        let advice =
            "Nothing was done: the browser asked for this page ahead of time or inside another page. Open it again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not opened yet", advice)
    }

    pub(crate) fn foreign_form() -> Self {
        let advice = "Nothing was done: the form was not of this page, or it was too old. Go to the start page.";
        Self::new(StatusCode::FORBIDDEN, "Still signed in", advice)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        const BAD_REQUEST: StatusCode = StatusCode::BAD_REQUEST;
        let failure = match error.kind() {
            _ if error.is_transient() => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not now", "LoginRadius is out of reach: try again later.")
            }
            ErrorKind::Denied => Self::new(BAD_REQUEST, "Not signed in", "The login was not allowed."),
            ErrorKind::Expired => Self::new(
                BAD_REQUEST,
                "Too late",
                "A login may take ten minutes: go to the start page and begin again.",
            ),
            ErrorKind::StateMismatch | ErrorKind::AlreadyCompleted => Self::not_pending(),
            ErrorKind::SignInRequired | ErrorKind::UserActionRequired => {
                Self::new(BAD_REQUEST, "Not signed in", "That did not work: go to the start page and begin again.")
            }
            // A visitor can do nothing about these.
            _ => Self::not_understood(),
        };
        if failure.status.is_server_error() {
            log(&error);
        }
        Self { description: error.api_error().and_then(|said| said.description.clone()), ..failure }
    }
}

impl From<loginradius_jwt::Error> for Failure {
    fn from(error: loginradius_jwt::Error) -> Self {
        log(&error);
        Self::not_understood()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, pages::failure(self.title, self.advice, self.description.as_deref())).into_response()
    }
}

/// Prints an error for the operator of the service. The library's errors show no secret.
pub(crate) fn log(error: &dyn StdError) {
    // A request continues if standard error is closed.
    let _ = writeln!(io::stderr(), "{}", printable(&error.to_string()));
}
