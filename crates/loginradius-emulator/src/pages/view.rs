//! The HTML of the pages. maud escapes all values.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::browsers::Outcome;
use crate::grants::Grant;
use crate::login_request::OAuthRequest;
use crate::seeded::{self, User};
use crate::state::State;

/// Lays out a page. An error is part of `title`, because screen readers read it first.
fn layout(title: &str, wide: bool, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " – LoginRadius emulator" }
                link rel="icon" type="image/svg+xml" href="/icon.svg";
                link rel="stylesheet" href="/style.css";
            }
            body {
                header { a href="/" { "LoginRadius emulator" } }
                main class=[wide.then_some("wide")] { (content) }
                footer {
                    p {
                        "This is an emulator on your own machine, made from LoginRadius’s public documentation. "
                        "It is not LoginRadius, and nothing here is a real account."
                    }
                }
            }
        }
    }
}

fn alert(message: Option<&str>) -> Markup {
    html! {
        @if let Some(message) = message { p.alert #problem role="alert" { (message) } }
    }
}

pub(super) fn enter_code(csrf: &str, user_code: &str, problem: Option<&str>) -> Markup {
    let title = if problem.is_some() { "Error: connect a device" } else { "Connect a device" };
    layout(
        title,
        false,
        &html! {
            h1 { "Connect a device" }
            (alert(problem))
            form method="post" action="/device" {
                input type="hidden" name="csrf" value=(csrf);
                label for="user_code" { "Code on your device" }
                input #user_code.code name="user_code" value=(user_code) type="text" required maxlength="40"
                    autocomplete="off" autocapitalize="characters" autocorrect="off" spellcheck="false" autofocus
                    placeholder="XXX-XXX" aria-invalid=[problem.map(|_| "true")]
                    aria-describedby=(if problem.is_some() { "problem code-hint" } else { "code-hint" });
                p.hint #code-hint { "Capital letters, spaces and the hyphen do not matter." }
                button.primary #continue type="submit" { "Continue" }
            }
        },
    )
}

/// The hidden fields of a form.
type Hidden<'a> = [(&'a str, &'a str)];

fn hidden_fields(fields: &Hidden<'_>) -> Markup {
    html! {
        @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
    }
}

pub(super) fn sign_in(csrf: &str, user_code: &str, username: &str, problem: Option<&str>) -> Markup {
    let purpose = html! { "to connect the device with the code " span.inline-code { (user_code) } };
    let hidden = [("csrf", csrf), ("user_code", user_code)];
    sign_in_form("/device/sign-in", &purpose, &hidden, username, problem)
}

pub(super) fn sign_in_to(hidden: &Hidden<'_>, app: &str, username: &str, problem: Option<&str>) -> Markup {
    let purpose = html! { "to continue to " strong { (app) } };
    sign_in_form("/authorize/sign-in", &purpose, hidden, username, problem)
}

fn sign_in_form(action: &str, purpose: &Markup, hidden: &Hidden<'_>, username: &str, problem: Option<&str>) -> Markup {
    let title = if problem.is_some() { "Error: sign in" } else { "Sign in" };
    layout(
        title,
        false,
        &html! {
            h1 { "Sign in" }
            p { (purpose) }
            (alert(problem))
            form method="post" action=(action) {
                (hidden_fields(hidden))
                label for="username" { "Email, user name or phone" }
                input #username name="username" value=(username) type="text" required maxlength="200"
                    autocomplete="username" autocapitalize="none" autocorrect="off" spellcheck="false"
                    autofocus[username.is_empty()]
                    aria-invalid=[problem.map(|_| "true")] aria-describedby=[problem.map(|_| "problem")];
                label for="password" { "Password" }
                input #password name="password" type="password" required maxlength="200"
                    autocomplete="current-password" autofocus[!username.is_empty()]
                    aria-describedby=(if problem.is_some() { "problem seeded" } else { "seeded" })
                    aria-invalid=[problem.map(|_| "true")];
                button.primary #sign-in type="submit" { "Sign in" }
            }
            div.aside #seeded {
                p { "This emulator’s user:" }
                dl {
                    dt { "Sign-in" } dd { code { (seeded::ADA.email) } }
                    dt { "Password" } dd { code { (seeded::ADA.password) } }
                }
                p { a href="/" { "All users" } }
            }
        },
    )
}

pub(super) fn consent(hidden: &Hidden<'_>, request: &OAuthRequest, address: &str, user: &User) -> Markup {
    let scopes: Vec<&str> = request.scopes().collect();
    layout(
        "Allow this application?",
        false,
        &html! {
            h1 { "Allow this application?" }
            p { "It asks to sign in to " strong { (request.app) } " as you." }
            dl {
                dt { "Application" } dd { (request.app) }
                dt { "Client id" } dd { code { (request.client_id) } }
                dt { "It may see" } dd {
                    @if scopes.is_empty() { "nothing beyond your sign-in" } @else { (scopes.join(", ")) }
                }
                dt { "You go back to" } dd { code { (address) } }
                dt { "Signed in as" } dd { (user.first_name) " " (user.last_name) ", " (user.email) }
            }
            form method="post" action="/authorize/decide" {
                (hidden_fields(hidden))
                button.primary #allow type="submit" name="decision" value="allow" { "Allow" }
                button.secondary #deny type="submit" name="decision" value="deny" { "Deny" }
            }
            form method="post" action="/authorize/sign-out" {
                (hidden_fields(hidden))
                button.plain #other-account type="submit" { "Use another account" }
            }
        },
    )
}

/// The emulator's only script: it submits the form of [`post_back`]. A field named `submit` would hide the form's own
/// method, so it is called through the prototype.
pub(super) const SUBMIT: &str = "HTMLFormElement.prototype.submit.call(document.getElementById('back'))";

pub(super) fn post_back(address: &str, fields: &[(String, String)]) -> Markup {
    layout(
        "Back to the application",
        false,
        &html! {
            h1 { "Back to the application" }
            p { "You have signed in or not, as you decided. Your browser takes that to " code { (address) } "." }
            form #back method="post" action=(address) {
                @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
                button.primary #continue type="submit" { "Continue" }
            }
            script { (PreEscaped(SUBMIT)) }
        },
    )
}

pub(super) fn cannot_sign_in(code: u16, message: &str) -> Markup {
    layout(
        "Error: the application’s link is wrong",
        false,
        &html! {
            h1 { "The application’s link is wrong" }
            p.alert #problem role="alert" data-code=(code) { (message) }
            @if matches!(code, 2006 | 2014) {
                p {
                    "Browsers are sent to http addresses of 127.0.0.1, localhost and [::1] or, if the emulator was "
                    "started with some of its own, to exactly those."
                }
            }
            p { "The application is not notified, so you stay here. LoginRadius’s code for this is " (code) "." }
            p { a href="/" { "What this emulator serves" } }
        },
    )
}

pub(super) fn confirm(csrf: &str, grant: &Grant, user: &User) -> Markup {
    layout(
        "Allow this device?",
        false,
        &html! {
            h1 { "Allow this device?" }
            p { "It asks to sign in to " strong { (grant.app) } " as you." }
            p.code-shown aria-label="Code" { (grant.user_code) }
            p { "Your device must show this same code. If you did not start this yourself, deny it." }
            dl {
                dt { "Application" } dd { (grant.app) }
                dt { "Client id" } dd { code { (grant.client_id) } }
                dt { "It may see" } dd {
                    @match &grant.scope {
                        Some(scope) => (scope.replace(' ', ", ")),
                        None => "nothing beyond your sign-in",
                    }
                }
                dt { "Signed in as" } dd { (user.first_name) " " (user.last_name) ", " (user.email) }
            }
            form method="post" action="/device/decide" {
                input type="hidden" name="csrf" value=(csrf);
                input type="hidden" name="user_code" value=(grant.user_code);
                button.primary #allow type="submit" name="decision" value="allow" { "Allow" }
                button.secondary #deny type="submit" name="decision" value="deny" { "Deny" }
            }
            form method="post" action="/device/sign-out" {
                input type="hidden" name="csrf" value=(csrf);
                input type="hidden" name="user_code" value=(grant.user_code);
                button.plain #other-account type="submit" { "Use another account" }
            }
        },
    )
}

pub(super) fn result(outcome: &Outcome) -> Markup {
    let (title, word, text) = match outcome {
        Outcome::Allowed { app } => (
            "Device allowed",
            "allowed",
            html! { "It is now signing in to " strong { (app) } ". You can close this page." },
        ),
        Outcome::Denied { app } => (
            "Device denied",
            "denied",
            html! { "It was not signed in to " strong { (app) } ". You can close this page." },
        ),
    };
    layout(
        title,
        false,
        &html! {
            div #result data-outcome=(word) {
                p.sign.(word) aria-hidden="true" { @if word == "allowed" { "✓" } @else { "✕" } }
                h1 { (title) }
                p { (text) }
            }
            p { a href="/device" { "Connect another device" } }
        },
    )
}

pub(super) fn note(title: &str, text: &str) -> Markup {
    layout(
        title,
        false,
        &html! {
            h1 { (title) }
            p { (text) }
            p { a href="/" { "What this emulator serves" } }
        },
    )
}

pub(super) fn start_again(title: &str, text: &str, link: Option<(&str, &str)>) -> Markup {
    layout(
        title,
        false,
        &html! {
            h1 { (title) }
            p.alert role="alert" { (text) }
            @if let Some((address, text)) = link { p { a.button href=(address) { (text) } } }
        },
    )
}

pub(super) fn index(state: &State) -> Markup {
    let endpoints = [
        ("Device code", "POST /sso/oauth/{OAuthName}/device", "POST /api/oauth/{app}/device"),
        ("Device token", "POST /sso/oauth/{OAuthName}/access_token", "POST /api/oauth/{app}/token"),
        ("Code exchange", "POST /sso/oauth/access_token", "POST /api/oauth/{app}/token"),
        ("Password", "POST /sso/oauth/access_token", "POST /api/oauth/{app}/token"),
        ("Refresh", "POST /sso/oauth/access_token/refresh", "POST /api/oauth/{app}/token"),
        ("Revoke", "POST /sso/oauth/refresh_token/revoke", "POST /api/oauth/{app}/revoke"),
        ("JWT by access token", "GET /sso/jwt/api/token", "GET /api/jwt/{app}/token"),
        ("JWT by password", "POST /sso/jwt/api/login", "POST /api/jwt/{app}/login"),
        ("Login in a browser", "GET /sso/oauth/redirect", "GET /service/oauth/{app}/authorize"),
        ("JWT in a browser", "GET /sso/jwt/redirect/token", "GET /service/jwt/{app}/authorize"),
    ];
    let identity_endpoints =
        [("Profile", "GET /identity/v2/auth/account"), ("Add email", "POST /identity/v2/auth/email")];
    let parameters = if state.config.json_only {
        let client_id = seeded::CLIENT_ID;
        format!(r#"-H 'Content-Type: application/json' -d '{{"client_id":"{client_id}"}}'"#)
    } else {
        format!("-d client_id={}", seeded::CLIENT_ID)
    };
    let (url, app) = (state.address.public_url(), seeded::OAUTH_APP);
    let try_it = format!("curl {parameters} {url}/sso/oauth/{app}/device");
    layout(
        "What this is",
        true,
        &html! {
            h1 { "An emulator of LoginRadius’s login" }
            p {
                "It serves LoginRadius’s OAuth 2.0 and JWT operations at " code { (state.address.public_url()) }
                ", for tests and demonstrations."
            }
            p { a href="/device" { "Connect a device" } }
            h2 { "Try it" }
            pre tabindex="0" { code { (try_it) } }
            h2 { "Applications" }
            dl {
                dt { "Client id" } dd { code { (seeded::CLIENT_ID) } }
                dt { "Client secret" } dd { code { (seeded::CLIENT_SECRET) } }
                dt { "Second client id" } dd { code { (seeded::OTHER_CLIENT_ID) } }
                dt { "Second client secret" } dd { code { (seeded::OTHER_CLIENT_SECRET) } }
                dt { "OAuth app" } dd { code { (seeded::OAUTH_APP) } }
            }
            h2 { "JWT apps" }
            div.scroll tabindex="0" role="region" aria-label="JWT apps" {
                table {
                    thead { tr {
                        th scope="col" { "JWT app" } th scope="col" { "Algorithm" } th scope="col" { "Key" }
                    } }
                    tbody {
                        @for app in seeded::JWT_APPS {
                            tr {
                                th scope="row" { (app.name) } td { (app.algorithm) }
                                td {
                                    @match app.secret {
                                        Some(secret) => code { (secret) },
                                        None => {
                                            a href={ "/keys/" (app.name) ".pem" } { "PEM" } " "
                                            a href={ "/keys/" (app.name) "/jwks" } { "JWK set" }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            h2 { "Users" }
            div.scroll tabindex="0" role="region" aria-label="Users" {
                table {
                    thead { tr {
                        th scope="col" { "Email" } th scope="col" { "User name" } th scope="col" { "Phone" }
                        th scope="col" { "Password" } th scope="col" { "Sign-in" }
                    } }
                    tbody {
                        @for user in seeded::USERS {
                            tr {
                                th scope="row" { (user.email) } td { (user.username) } td { (user.phone) }
                                td { code { (user.password) } } td { (user.standing) }
                            }
                        }
                    }
                }
            }
            h2 { "Addresses" }
            div.scroll tabindex="0" role="region" aria-label="Addresses" {
                table {
                    thead { tr {
                        th scope="col" { "Operation" } th scope="col" { "Classic" } th scope="col" { "Site" }
                    } }
                    tbody {
                        @for (operation, classic, site) in endpoints {
                            tr { th scope="row" { (operation) } td { code { (classic) } } td { code { (site) } } }
                        }
                        @for (operation, url) in identity_endpoints {
                            tr { th scope="row" { (operation) } td colspan="2" { code { (url) } } }
                        }
                    }
                }
            }
        },
    )
}
