//! The pages. maud escapes everything in parentheses: texts of LoginRadius and of users never become markup.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loginradius_examples::printable;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use crate::sessions::User;

pub(crate) fn signed_out() -> Markup {
    page(
        "Welcome",
        &html! {
            p { "You are not signed in." }
            a.button #sign-in href="/login" { "Sign in with LoginRadius" }
        },
        false,
    )
}

pub(crate) fn signed_in(user: &User) -> Markup {
    page(
        "Signed in",
        &html! {
            p { "LoginRadius has signed these claims:" }
            dl #claims {
                @for (name, value) in &user.claims { dt { (printable(name)) } dd { (text(value)) } }
            }
            form method="post" action="/logout" {
                input type="hidden" name="csrf" value=(user.csrf);
                button #sign-out type="submit" { "Sign out" }
            }
        },
        true,
    )
}

pub(crate) fn failure(title: &str, advice: &str, description: Option<&str>) -> Markup {
    page(
        title,
        &html! {
            p role="alert" { (advice) }
            @if let Some(text) = description { p { "LoginRadius says: " q { (printable(text)) } } }
            a.button href="/" { "Start page" }
        },
        false,
    )
}

/// Returns a string without quotes, and any other value as JSON.
fn text(value: &Value) -> String {
    printable(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// The only style sheet. It is in each page, so that pages load nothing else.
const STYLE: &str = include_str!("style.css");

/// Returns the Content-Security-Policy of these pages: browsers may apply the style, which they know by its hash, and
/// send forms back here.
pub(crate) fn content_security_policy() -> String {
    let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

fn page(title: &str, content: &Markup, wide: bool) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { "Example service" }
                main class=[wide.then_some("wide")] { h1 { (title) } (content) }
            }
        }
    }
}
