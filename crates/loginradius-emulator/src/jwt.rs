//! The JWT operations: LoginRadius's page "JWT".

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use crate::client::has_form_of_key;
use crate::clock;
use crate::error_codes::{self, Code};
use crate::jws::{self, Signer};
use crate::oauth;
use crate::operation::Api;
use crate::params::Params;
use crate::random;
use crate::refusal::Refusal;
use crate::response::Response;
use crate::seeded::{self, User};
use crate::state::State;

/// Performs "JWT Token": issues a JWT for an access token.
pub(crate) fn by_access_token(
    state: &mut State,
    api: Api,
    app: Option<&str>,
    query: &Params,
) -> Result<Response, Refusal> {
    check_key(query, "apikey")?;
    let signer = signer(app, query)?;
    let token = query
        .optional("access_token")
        .map_err(malformed)?
        .ok_or(Refusal::Service(error_codes::ACCESS_TOKEN_MISSING))?;
    let user = state.tokens.user_of_access_token(token, state.clock.now())?;
    let nonce = nonce(api, query)?;
    Ok(signature_response(&sign(state, signer, user, nonce)))
}

/// Performs "JWT Token by Email", "by Username" and "by Phone".
pub(crate) fn by_password(
    state: &mut State,
    api: Api,
    app: Option<&str>,
    query: &Params,
    body: &Params,
) -> Result<Response, Refusal> {
    check_key(query, "apikey")?;
    let signer = signer(app, query)?;
    let names = ["email", "username", "phone"];
    let mut given = Vec::new();
    for name in names {
        if let Some(value) = body.optional(name).map_err(malformed)? {
            given.push((name, value));
        }
    }
    let (name, value) = match given[..] {
        [one] => one,
        [] if api == Api::Classic => {
            return Err(Refusal::Service(error_codes::EMAIL_OR_PHONE_MISSING));
        }
        [] => return Err(Refusal::Service(error_codes::IDENTIFIER_MISSING)),
        // LoginRadius does not document which of two would count.
        _ => return Err(Refusal::Service(error_codes::PARAMETER_MALFORMED)),
    };
    if name == "email" && !value.contains('@') {
        return Err(Refusal::Service(error_codes::EMAIL_MALFORMED));
    }
    let password =
        body.optional("password").map_err(malformed)?.ok_or(Refusal::Service(error_codes::PASSWORD_MISSING))?;
    let user = seeded::USERS
        .iter()
        .find(|user| match name {
            "email" => user.email.eq_ignore_ascii_case(value),
            "username" => user.username == value,
            _ => user.phone == value,
        })
        .ok_or(Refusal::Service(error_codes::CREDENTIALS_INVALID))?;
    if !random::secrets_match(user.password, password) {
        return Err(Refusal::Service(wrong_password(api)));
    }
    oauth::check_standing(state, user)?;
    let nonce = nonce(api, query)?;
    Ok(signature_response(&sign(state, signer, user, nonce)))
}

/// Returns the code of a wrong password: 1198 "The password is not valid." on the page "SSO API Codes"; the pages of
/// the site API have only 966.
fn wrong_password(api: Api) -> Code {
    match api {
        Api::Classic => error_codes::PASSWORD_WRONG,
        Api::Site => error_codes::CREDENTIALS_INVALID,
    }
}

/// Checks the API key in the parameter of this name.
pub(crate) fn check_key(query: &Params, name: &str) -> Result<(), Refusal> {
    let key = query.optional(name).map_err(malformed)?.ok_or(Refusal::Service(error_codes::API_KEY_MISSING))?;
    if !has_form_of_key(key) {
        return Err(Refusal::Service(error_codes::API_KEY_INVALID));
    }
    if seeded::CLIENTS.iter().any(|(known, _)| *known == key) {
        Ok(())
    } else {
        Err(Refusal::Service(error_codes::API_KEY_UNAUTHORIZED))
    }
}

/// Returns the signer of the requested JWT app: `app`, which is in the path of the site API, or `jwtapp` in the query
/// of the classic API.
pub(crate) fn signer(app: Option<&str>, query: &Params) -> Result<&'static Signer, Refusal> {
    let app = match app {
        Some(app) => app,
        None => query.optional("jwtapp").map_err(malformed)?.ok_or(Refusal::Service(error_codes::JWT_APP_MISSING))?,
    };
    jws::signer(app).ok_or(Refusal::Service(error_codes::JWT_CONFIGURATION))
}

/// Returns the code of these operations for repeated parameters and values of a wrong type.
pub(crate) fn malformed(_: Refusal) -> Refusal {
    Refusal::Service(error_codes::PARAMETER_MALFORMED)
}

/// Reads the nonce. The pages of the classic API have none.
fn nonce(api: Api, query: &Params) -> Result<Option<&str>, Refusal> {
    match api {
        Api::Classic => Ok(None),
        Api::Site => query.optional("nonce").map_err(malformed),
    }
}

/// Responds with the JWT, which LoginRadius calls `signature`.
fn signature_response(jwt: &str) -> Response {
    Response::json(StatusCode::OK, &json!({ "signature": jwt }))
}

/// Issues a JWT as LoginRadius's "JWT Implementation Guide" describes it.
pub(crate) fn sign(state: &mut State, signer: &Signer, user: &User, nonce: Option<&str>) -> String {
    state.jwts += 1;
    let now = state.clock.now();
    let mut claims = json!({
        "iss": format!("{}/", state.address.public_url()),
        "sub": user.uid,
        "jti": state.random.guid(),
        "iat": clock::unix(now),
        "nbf": clock::unix(now),
        "exp": clock::unix(clock::later(now, state.config.jwt_lifetime)),
        "email": user.email,
        "firstname": user.first_name,
        "lastname": user.last_name,
    });
    for (name, value) in serde_json::from_str::<Map<String, Value>>(user.more_claims).unwrap_or_default() {
        claims[name] = value;
    }
    if let Some(audience) = &state.config.jwt_audience {
        claims["aud"] = audience.as_str().into();
    }
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    signer.sign(&claims.to_string())
}
