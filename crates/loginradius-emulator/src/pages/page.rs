//! The headers of every page: it cannot be framed, loads nothing from elsewhere and runs no script.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{self, HeaderName};
use maud::Markup;

use super::view;
use crate::random;
use crate::response::Response;

/// Nothing is loaded from elsewhere, no script runs, no page may frame it.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Exceptions of a page's policy.
#[derive(Default)]
pub(super) struct Policy<'a> {
    /// A scheme to which its form may lead.
    pub(super) form_scheme: Option<&'a str>,
    /// A script that may run.
    pub(super) script: Option<&'a str>,
}

pub(super) fn page(status: StatusCode, view: Markup) -> Response {
    page_with(status, view, Policy::default())
}

pub(super) fn page_with(status: StatusCode, view: Markup, policy: Policy<'_>) -> Response {
    protected(Response::html(status, view.into_string()), policy)
}

pub(super) fn asset(content_type: &str, text: &str) -> Response {
    protected(Response::text(StatusCode::OK, text).with(header::CONTENT_TYPE, content_type), Policy::default())
}

pub(super) fn protected(response: Response, policy: Policy<'_>) -> Response {
    let mut text = CONTENT_SECURITY_POLICY.to_owned();
    if let Some(scheme) = policy.form_scheme {
        text.push_str(&format!(" {scheme}:"));
    }
    if let Some(script) = policy.script {
        text.push_str(&format!("; script-src 'sha256-{}'", STANDARD.encode(random::sha256(script.as_bytes()))));
    }
    response
        .with(header::CONTENT_SECURITY_POLICY, &text)
        .with(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        // With `no-referrer`, browsers would send `Origin: null` with the emulator's own forms.
        .with(header::REFERRER_POLICY, "same-origin")
        .with(HeaderName::from_static("cross-origin-opener-policy"), "same-origin")
}

/// Refuses a form that comes from no page shown to this browser.
pub(super) fn foreign_form(link: Option<(&str, &str)>) -> Response {
    page(
        StatusCode::FORBIDDEN,
        view::start_again(
            "This form is out of date",
            "It was not sent from a page that this emulator has just shown to you. Nothing has been allowed or denied.",
            link,
        ),
    )
}
