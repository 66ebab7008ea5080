//! The operations on codes, passwords and refresh tokens: LoginRadius's page "OAuth 2.0".

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::{StatusCode, Uri};

use crate::client::{self, Secret};
use crate::clock;
use crate::error_codes;
use crate::operation::{Api, Operation};
use crate::params::Params;
use crate::random;
use crate::refusal::Refusal;
use crate::response::Response;
use crate::seeded::{self, Standing, User};
use crate::state::State;

/// How long a locked account stays locked, from each request on: it never opens.
const LOCK_DURATION: std::time::Duration = std::time::Duration::from_secs(900);

/// Performs "Access token by OAuth 2 token".
pub(crate) fn exchange_code(state: &mut State, api: Api, params: &Params) -> Result<Response, Refusal> {
    let verifier = params.optional("code_verifier")?;
    // LoginRadius's page "PKCE": with PKCE, the secret is optional. The code decides whether PKCE is used, or, if there
    // is no such code, the request.
    let known = params.optional("code")?.and_then(|code| state.codes.get(code));
    let with_pkce = known.map_or(verifier.is_some(), |code| code.challenge.is_some());
    let secret = if with_pkce { Secret::Optional } else { Secret::Required };
    let client_id = client::identify(params, secret)?;
    let redirect_uri = params.required("redirect_uri")?;
    check_response_type(params)?;
    if params.optional("response_type")?.or(params.optional("grant_type")?).is_none() {
        // LoginRadius's table for codes requires it; `grant_type` is as good (RFC 6749, section 4.1.3).
        return Err(Refusal::Missing("response_type"));
    }
    let code = params.required("code")?;

    let now = state.clock.now();
    let authorization = state
        .codes
        .get_mut(code)
        .filter(|authorization| authorization.client_id == client_id)
        .ok_or(Refusal::CodeUnknown)?;
    if let Some(id) = authorization.redeemed_for.clone() {
        // RFC 6749, section 4.1.2: a replayed code revokes the tokens that it was redeemed for.
        authorization.replays += 1;
        state.codes.replays += 1;
        state.tokens.end(&id);
        return Err(Refusal::CodeRedeemed);
    }
    if now >= authorization.expires {
        return Err(Refusal::CodeExpired);
    }
    if redirect_uri != authorization.redirect_uri {
        let absolute = redirect_uri.parse::<Uri>().is_ok_and(|uri| uri.scheme().is_some());
        return Err(if absolute { Refusal::RedirectUriMismatch } else { Refusal::RedirectUriMalformed });
    }
    match (&authorization.challenge, verifier) {
        (Some(challenge), Some(verifier)) if verifies(verifier, challenge) => {}
        (Some(_), None) => return Err(Refusal::Missing("code_verifier")),
        (Some(_), Some(_)) => return Err(Refusal::VerifierWrong),
        (None, None) => {}
        // RFC 9700, section 4.8.2: a verifier without a challenge is a downgrade attack.
        (None, Some(_)) => return Err(Refusal::VerifierWrong),
    }
    let user = authorization.user;
    let tokens = state.tokens.login(&mut state.random, api, client_id, user, Operation::CodeExchange, now);
    let body = tokens.to_json(api);
    if let Some(authorization) = state.codes.get_mut(code) {
        authorization.redeemed_for = Some(tokens.login);
    }
    Ok(Response::json(StatusCode::OK, &body))
}

/// Checks a PKCE verifier (RFC 7636, sections 4.1 and 4.6, method `S256`).
fn verifies(verifier: &str, challenge: &str) -> bool {
    let well_formed = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    well_formed && random::secrets_match(&URL_SAFE_NO_PAD.encode(random::sha256(verifier.as_bytes())), challenge)
}

/// Performs "Access Token by Account Password".
pub(crate) fn password(state: &mut State, api: Api, params: &Params) -> Result<Response, Refusal> {
    let client_id = client::identify(params, secret_rule(api))?;
    check_response_type(params)?;
    let username = params.required("username")?;
    let password = params.required("password")?;
    let user = seeded::user(username)
        .filter(|user| random::secrets_match(user.password, password))
        .ok_or(Refusal::Service(error_codes::CREDENTIALS_INVALID))?;
    check_standing(state, user)?;
    let now = state.clock.now();
    let tokens = state.tokens.login(&mut state.random, api, client_id, user, Operation::Password, now);
    Ok(Response::json(StatusCode::OK, &tokens.to_json(api)))
}

/// Refuses a user whose standing is not good.
pub(crate) fn check_standing(state: &State, user: &User) -> Result<(), Refusal> {
    Err(match user.standing {
        Standing::Good => return Ok(()),
        Standing::EmailNotVerified => Refusal::Service(error_codes::EMAIL_NOT_VERIFIED),
        Standing::Blocked => Refusal::Service(error_codes::BLOCKED),
        Standing::SecondFactor => Refusal::Service(error_codes::SECOND_FACTOR_REQUIRED),
        Standing::Locked => Refusal::Locked(clock::later(state.clock.now(), LOCK_DURATION)),
    })
}

/// Performs "Refresh Access Token".
pub(crate) fn refresh(state: &mut State, api: Api, params: &Params) -> Result<Response, Refusal> {
    let client_id = client::identify(params, secret_rule(api))?;
    if params.required("grant_type")? != "refresh_token" {
        return Err(Refusal::GrantTypeInvalid);
    }
    check_response_type(params)?;
    let refresh_token = params.required("refresh_token")?;
    let now = state.clock.now();
    let tokens = state.tokens.refresh(&mut state.random, api, client_id, refresh_token, now)?;
    Ok(Response::json(StatusCode::OK, &tokens.to_json(api)))
}

/// Performs "Revoke Refresh Token".
pub(crate) fn revoke(state: &mut State, api: Api, params: &Params) -> Result<Response, Refusal> {
    let client_id = client::identify(params, Secret::Required)?;
    let refresh_token = match api {
        Api::Classic => params.required("refresh_token")?,
        // LoginRadius's pages about the site API have both names.
        Api::Site => match params.optional("token")? {
            Some(token) => token,
            None => params.required("refresh_token")?,
        },
    };
    state.tokens.revoke(client_id, refresh_token, state.clock.now())?;
    Ok(Response::empty(StatusCode::OK))
}

/// Returns whether a password or a refresh needs the client secret. LoginRadius's tables for the classic API require
/// it; of the pages about the site API, one requires it and another omits it.
fn secret_rule(api: Api) -> Secret {
    match api {
        Api::Classic => Secret::Required,
        Api::Site => Secret::Optional,
    }
}

/// Checks `response_type`, which is optional. One page writes it `Token`.
pub(crate) fn check_response_type(params: &Params) -> Result<(), Refusal> {
    match params.optional("response_type")? {
        Some(response_type) if !response_type.eq_ignore_ascii_case("token") => Err(Refusal::ResponseTypeInvalid),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pkce_is_the_example_of_rfc_7636() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(verifies(verifier, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
        assert!(!verifies(verifier, verifier));
        let short = "short";
        let challenge = URL_SAFE_NO_PAD.encode(random::sha256(short.as_bytes()));
        assert!(!verifies(short, &challenge));
    }
}
