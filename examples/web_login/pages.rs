//! The pages. maud escapes everything in parentheses: texts of LoginRadius and of users never become markup.

use loginradius_examples::printable;
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use crate::sessions::User;

pub(crate) fn signed_out() -> Markup {
    page(
        "Welcome",
        &html! {
            p { "You are not signed in." }
            p { a #sign-in href="/login" { "Sign in with LoginRadius" } }
        },
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
    )
}

pub(crate) fn failure(title: &str, advice: &str, description: Option<&str>) -> Markup {
    page(
        title,
        &html! {
            p role="alert" { (advice) }
            @if let Some(text) = description { p { "LoginRadius says: " q { (printable(text)) } } }
            p { a href="/" { "Start page" } }
        },
    )
}

/// Returns a string without quotes, and any other value as JSON.
fn text(value: &Value) -> String {
    printable(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn page(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta name="color-scheme" content="light dark";
                title { (title) }
            }
            body { main { h1 { (title) } (content) } }
        }
    }
}
