//! What went wrong, as a page that says what to do.

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
    /// In LoginRadius's words.
    said: Option<String>,
}

impl Failure {
    fn new(status: StatusCode, title: &'static str, advice: &'static str) -> Self {
        Self { status, title, advice, said: None }
    }

    pub(crate) fn not_understood() -> Self {
        let advice = "This service and LoginRadius do not understand each other. Its operator has been told.";
        Self::new(StatusCode::BAD_GATEWAY, "Not signed in", advice)
    }

    /// There is no such sign-in, or no longer. Whoever is signed in stays so.
    pub(crate) fn over() -> Self {
        let advice = "It was already finished, took too long, or began in another browser: go to the start page.";
        Self::new(StatusCode::BAD_REQUEST, "This sign-in is over", advice)
    }

    pub(crate) fn foreign_form() -> Self {
        let advice = "Nothing was done: that form was not this page's, or an old one. Go to the start page.";
        Self::new(StatusCode::FORBIDDEN, "Still signed in", advice)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        const BAD_REQUEST: StatusCode = StatusCode::BAD_REQUEST;
        let failure = match error.kind() {
            ErrorKind::Denied => Self::new(BAD_REQUEST, "Not signed in", "The sign-in was not allowed."),
            ErrorKind::Expired => Self::new(
                BAD_REQUEST,
                "Too late",
                "A sign-in may take ten minutes: go to the start page and begin again.",
            ),
            ErrorKind::StateMismatch | ErrorKind::AlreadyCompleted => Self::over(),
            ErrorKind::SignInRequired | ErrorKind::UserActionRequired => {
                Self::new(BAD_REQUEST, "Not signed in", "That did not work: go to the start page and begin again.")
            }
            ErrorKind::Unavailable | ErrorKind::NotSent | ErrorKind::OutcomeUnknown => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not now", "LoginRadius is out of reach: try again later.")
            }
            // Nothing that a visitor could do about.
            _ => Self::not_understood(),
        };
        if failure.status.is_server_error() {
            tell_operator(&error);
        }
        Self { said: error.api_error().and_then(|service| service.description.clone()), ..failure }
    }
}

impl From<loginradius_jwt::Error> for Failure {
    fn from(error: loginradius_jwt::Error) -> Self {
        tell_operator(&error);
        Self::not_understood()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, pages::failure(self.title, self.advice, self.said.as_deref())).into_response()
    }
}

/// The library's errors show no secret.
pub(crate) fn tell_operator(error: &dyn StdError) {
    // That nobody reads it any more must not end a request.
    let _ = writeln!(io::stderr(), "{}", printable(&error.to_string()));
}
