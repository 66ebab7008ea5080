//! The device operations: "Request Device Code" and "Request Tokens" (RFC 8628).

use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;

use crate::client::{self, Secret};
use crate::clock;
use crate::error_codes;
use crate::grants::{Decision, Grant};
use crate::oauth;
use crate::operation::{Api, Operation};
use crate::params::Params;
use crate::refusal::Refusal;
use crate::response::Response;
use crate::seeded;
use crate::state::State;

pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The scopes on LoginRadius's pages. Devices use "email profile".
const SCOPES: [&str; 5] = ["email", "profile", "openid", "phone", "address"];

/// RFC 8628, section 3.5: each `slow_down` adds this to the interval.
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// Performs "Request Device Code".
pub(crate) fn request_code(state: &mut State, app: &str, params: &Params) -> Result<Response, Refusal> {
    let client_id = client::identify(params, Secret::Optional)?;
    known_app(app)?;
    let scope = params.optional("scope")?;
    scope.map_or(Ok(()), known_scope)?;

    let device_code = state.random.hex32();
    let user_code = state.grants.new_user_code(&mut state.random);
    let (interval, lifetime) = (state.config.device_interval, state.config.device_lifetime);
    let mut body = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": format!("{}/device", state.address.public_url()),
        "interval": whole_seconds(interval),
        "expires_in": lifetime.as_secs(),
    });
    if state.config.verification_uri_complete {
        let complete = format!("{}/device?user_code={user_code}", state.address.public_url());
        body["verification_uri_complete"] = complete.into();
    }
    let grant = Grant {
        user_code,
        client_id: client_id.to_owned(),
        app: app.to_owned(),
        scope: scope.map(str::to_owned),
        expires: clock::later(state.clock.now(), lifetime),
        interval,
        last_poll: None,
        polls: 0,
        decision: Decision::Pending,
    };
    state.grants.insert(device_code, grant);
    Ok(Response::json(StatusCode::OK, &body))
}

/// Performs "Request Tokens".
pub(crate) fn poll(state: &mut State, api: Api, app: &str, params: &Params) -> Result<Response, Refusal> {
    let client_id = client::identify(params, Secret::Optional)?;
    known_app(app)?;
    if params.required("grant_type")? != GRANT_TYPE {
        return Err(Refusal::GrantTypeInvalid);
    }
    oauth::check_response_type(params)?;
    let device_code = params.required("device_code")?;

    let now = state.clock.now();
    let grant = state
        .grants
        .get_mut(device_code)
        .filter(|grant| grant.client_id == client_id && grant.app == app)
        .ok_or(Refusal::DeviceCodeUnknown)?;
    grant.polls += 1;
    // RFC 8628 counts the time between polls, so the first one is never too early.
    let too_early = grant.last_poll.is_some_and(|last| now < clock::later(last, grant.interval));
    grant.last_poll = Some(now);
    let user = match grant.decision {
        Decision::Redeemed(_) => return Err(Refusal::DeviceCodeRedeemed),
        _ if now >= grant.expires => return Err(Refusal::DeviceCodeExpired),
        Decision::Denied => return Err(Refusal::AccessDenied),
        // `slow_down` is a variant of `authorization_pending` (RFC 8628, section 3.5), so a device that polls too early
        // still gets a decision.
        Decision::Pending if too_early => {
            grant.interval = grant.interval.saturating_add(SLOW_DOWN);
            state.grants.slow_downs += 1;
            return Err(Refusal::SlowDown);
        }
        Decision::Pending => return Err(Refusal::AuthorizationPending),
        Decision::Allowed(user) => user,
    };
    grant.decision = Decision::Redeemed(user);
    let tokens = state.tokens.login(&mut state.random, api, client_id, user, Operation::DeviceToken, now);
    Ok(Response::json(StatusCode::OK, &tokens.to_json(api)))
}

/// Checks words of [`SCOPES`], separated by spaces (RFC 6749, section 3.3).
pub(crate) fn known_scope(scope: &str) -> Result<(), Refusal> {
    if scope.split(' ').all(|word| SCOPES.contains(&word)) {
        Ok(())
    } else {
        Err(Refusal::Service(error_codes::INVALID_SCOPE))
    }
}

pub(crate) fn known_app(app: &str) -> Result<(), Refusal> {
    if app == seeded::OAUTH_APP { Ok(()) } else { Err(Refusal::OAuthAppUnknown) }
}

/// Rounds up, so that a device that waits for the stated time has waited long enough.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 0);
        assert_eq!(whole_seconds(Duration::from_millis(200)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(5)), 5);
    }
}
