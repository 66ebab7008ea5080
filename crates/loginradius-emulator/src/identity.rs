//! The user's own account, by access token: LoginRadius's pages "Auth Read all Profiles by Token" and "Auth Add Email".
//!
//! At LoginRadius these are at `api.loginradius.com`.

use hyper::StatusCode;
use hyper::header::{self, HeaderMap};
use serde_json::{Value, json};

use crate::error_codes;
use crate::jwt::{check_key, malformed};
use crate::params::Params;
use crate::refusal::Refusal;
use crate::response::Response;
use crate::seeded::{Standing, User};
use crate::state::State;

/// Performs "Auth Read all Profiles by Token".
pub(crate) fn profile(state: &State, headers: &HeaderMap, query: &Params) -> Result<Response, Refusal> {
    let user = authenticated_user(state, headers, query)?;
    Ok(Response::json(StatusCode::OK, &profile_of(user)))
}

/// Performs "Auth Add Email". The emulator's users stay as they are seeded, so the profile does not change: LoginRadius
/// does not change it before the email address is verified either.
pub(crate) fn add_email(
    state: &State,
    headers: &HeaderMap,
    query: &Params,
    body: &Params,
) -> Result<Response, Refusal> {
    authenticated_user(state, headers, query)?;
    let email = body.optional("email").map_err(malformed)?;
    if !email.is_some_and(|email| email.contains('@')) {
        return Err(Refusal::Service(error_codes::EMAIL_MALFORMED));
    }
    // The page requires it, and no code in the table "Customer Identity API Codes" is about it alone.
    body.optional("type").map_err(malformed)?.ok_or(Refusal::Service(error_codes::PARAMETER_MALFORMED))?;
    Ok(Response::json(StatusCode::OK, &json!({ "IsPosted": true })))
}

/// Returns the user whose access token is in the header `Authorization` (RFC 6750, section 2.1).
///
/// The codes are those of the page "Customer Identity API Codes": 922, 920 and 901 for an API key that is missing,
/// malformed or unknown, 1060 for a missing access token, 905 and 906 for one that is invalid or expired.
fn authenticated_user(state: &State, headers: &HeaderMap, query: &Params) -> Result<&'static User, Refusal> {
    check_key(query, "apikey")?;
    let token = bearer_token(headers).ok_or(Refusal::Service(error_codes::ACCESS_TOKEN_MISSING))?;
    state.tokens.user_of_access_token(token, state.clock.now())
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

/// The fields of the page's sample that the emulator knows of a user, under the names that the page gives them. Those
/// that LoginRadius's SDKs read and the sample leaves out (`PhoneId`, `EmailVerified`) are as the SDKs name them.
fn profile_of(user: &User) -> Value {
    json!({
        "Identities": null,
        "Uid": user.uid,
        "ID": user.uid,
        "Provider": "Email",
        "RegistrationProvider": "Email",
        "UserName": user.username,
        "FirstName": user.first_name,
        "LastName": user.last_name,
        "FullName": format!("{} {}", user.first_name, user.last_name),
        "Email": [{ "Type": "Primary", "Value": user.email }],
        "EmailVerified": user.standing != Standing::EmailNotVerified,
        "PhoneId": user.phone,
        "PhoneIdVerified": true,
        "IsActive": user.standing != Standing::Blocked,
        "CustomFields": null,
    })
}
