//! The pages with which a person lets a device in (RFC 8628, section 3.3), those with which she signs in to an
//! application, and the page that says what this is.

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

/// Whether there is a page at this path.
pub(crate) fn has(path: &str) -> bool {
    matches!(path, "/" | "/style.css" | "/icon.svg") || keys_of(path).is_some() || device::has(path) || login::has(path)
}

/// The JWT app whose keys are at this path, and whether they are asked for as a JWK set.
fn keys_of(path: &str) -> Option<(&str, bool)> {
    let rest = path.strip_prefix("/keys/")?;
    match rest.strip_suffix("/jwks") {
        Some(app) => Some((app, true)),
        None => Some((rest.strip_suffix(".pem")?, false)),
    }
}

/// The page for everything else.
pub(crate) fn not_found() -> Response {
    page(StatusCode::NOT_FOUND, view::note("There is no such page", "The address may be mistyped."))
}

/// A page, or what happens when one of its forms is sent.
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

/// The public key of a JWT app. LoginRadius documents no such address: there the key pair is the customer's.
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
