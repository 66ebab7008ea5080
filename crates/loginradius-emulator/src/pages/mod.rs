//! The pages on which a user approves a device (RFC 8628, section 3.3) or signs in to an application, and the start
//! page.

mod device;
pub(crate) mod login;
mod page;
mod session;
mod view;

use hyper::header;
use hyper::{Method, StatusCode};

use crate::jws::{self, Signer};
use crate::request::Request;
use crate::response::Response;
use crate::state::State;
use page::{asset, page};

const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");

/// Returns whether there is a page at this path.
pub(crate) fn has(path: &str) -> bool {
    matches!(path, "/" | "/style.css" | "/icon.svg") || keys_of(path).is_some() || device::has(path) || login::has(path)
}

/// Returns the JWT app whose public key is at this path, and whether the path is that of a JWK set.
fn keys_of(path: &str) -> Option<(&str, bool)> {
    let rest = path.strip_prefix("/keys/")?;
    match rest.strip_suffix("/jwks") {
        Some(app) => Some((app, true)),
        None => Some((rest.strip_suffix(".pem")?, false)),
    }
}

/// Shows the page for unknown paths.
pub(crate) fn not_found() -> Response {
    page(StatusCode::NOT_FOUND, view::note("There is no such page", "The address may be mistyped."))
}

/// Shows a page, or handles its form.
pub(crate) fn respond(state: &mut State, request: &Request<'_>) -> Response {
    let response = match *request.method {
        _ if login::has(request.path) => login::respond(state, request),
        _ if device::has(request.path) => device::respond(state, request),
        Method::GET | Method::HEAD => show(state, request.path),
        _ => None,
    };
    response.unwrap_or_else(|| {
        page(StatusCode::METHOD_NOT_ALLOWED, view::note("That cannot be done here", "Open the page and use its form."))
            .with(header::ALLOW, "GET, HEAD, POST")
    })
}

fn show(state: &State, path: &str) -> Option<Response> {
    Some(match path {
        "/" => page(StatusCode::OK, view::index(state)),
        "/style.css" => asset("text/css; charset=utf-8", STYLE),
        "/icon.svg" => asset("image/svg+xml", ICON),
        path => keys(keys_of(path)?),
    })
}

/// Responds with the public key of a JWT app. LoginRadius documents no such URL: there the key pair is the customer's.
fn keys((app, is_set): (&str, bool)) -> Response {
    let signer = jws::signer(app);
    let found = if is_set {
        let set = signer.and_then(Signer::jwks);
        // RFC 7517, section 8.5.2.
        set.map(|set| asset("application/jwk-set+json", &set.to_string()))
    } else {
        let pem = signer.and_then(|signer| signer.app.public_key_pem);
        pem.map(|pem| asset("application/x-pem-file", pem))
    };
    found.unwrap_or_else(not_found)
}
