//! JWTs: LoginRadius's page "JWT".

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::StatusCode;
use serde_json::json;

use crate::answer::Answer;
use crate::client::has_form_of_key;
use crate::clock;
use crate::codes::{self, Code};
use crate::oauth;
use crate::params::Params;
use crate::random;
use crate::recorded::Family;
use crate::refusal::Refusal;
use crate::seeded::{self, User};
use crate::state::State;

/// "JWT Token": a JWT for an access token.
pub(crate) fn by_access_token(
    state: &mut State,
    family: Family,
    app: Option<&str>,
    query: &Params,
) -> Result<Answer, Refusal> {
    check_key(query)?;
    check_app(app, query)?;
    let token =
        query.optional("access_token").map_err(malformed)?.ok_or(Refusal::Service(codes::ACCESS_TOKEN_MISSING))?;
    let user = state.user_of_access_token(token)?;
    sign(state, family, user, query)
}

/// "JWT Token by Email", "by Username" and "by Phone".
pub(crate) fn by_password(
    state: &mut State,
    family: Family,
    app: Option<&str>,
    query: &Params,
    body: &Params,
) -> Result<Answer, Refusal> {
    check_key(query)?;
    check_app(app, query)?;
    let names = ["email", "username", "phone"];
    let mut given = Vec::new();
    for name in names {
        if let Some(value) = body.optional(name).map_err(malformed)? {
            given.push((name, value));
        }
    }
    let (name, value) = match given[..] {
        [one] => one,
        [] if family == Family::Classic => {
            return Err(Refusal::Service(codes::EMAIL_OR_PHONE_MISSING));
        }
        [] => return Err(Refusal::Service(codes::IDENTIFIER_MISSING)),
        // Which of two would count is nowhere said.
        _ => return Err(Refusal::Service(codes::PARAMETER_MALFORMED)),
    };
    if name == "email" && !value.contains('@') {
        return Err(Refusal::Service(codes::EMAIL_MALFORMED));
    }
    let password = body.optional("password").map_err(malformed)?.ok_or(Refusal::Service(codes::PASSWORD_MISSING))?;
    let user = seeded::USERS
        .iter()
        .find(|user| match name {
            "email" => user.email.eq_ignore_ascii_case(value),
            "username" => user.username == value,
            _ => user.phone == value,
        })
        .ok_or(Refusal::Service(codes::CREDENTIALS_INVALID))?;
    if !random::same(user.password, password) {
        return Err(Refusal::Service(wrong_password(family)));
    }
    oauth::may_sign_in(state, user)?;
    sign(state, family, user, query)
}

/// "The password is not valid." is 1198 on the page "SSO API Codes"; the site's pages name only 966.
fn wrong_password(family: Family) -> Code {
    match family {
        Family::Classic => codes::PASSWORD_WRONG,
        Family::Site => codes::CREDENTIALS_INVALID,
    }
}

fn check_key(query: &Params) -> Result<(), Refusal> {
    let key = query.optional("apikey").map_err(malformed)?.ok_or(Refusal::Service(codes::API_KEY_MISSING))?;
    if !has_form_of_key(key) {
        return Err(Refusal::Service(codes::API_KEY_INVALID));
    }
    if seeded::CLIENTS.iter().any(|(known, _)| *known == key) {
        Ok(())
    } else {
        Err(Refusal::Service(codes::API_KEY_UNAUTHORIZED))
    }
}

/// `app` is the one in the site's path; the classic addresses have it in the query.
fn check_app(app: Option<&str>, query: &Params) -> Result<(), Refusal> {
    let app = match app {
        Some(app) => app,
        None => query.optional("jwtapp").map_err(malformed)?.ok_or(Refusal::Service(codes::JWT_APP_MISSING))?,
    };
    if app == seeded::JWT_APP { Ok(()) } else { Err(Refusal::Service(codes::JWT_CONFIGURATION)) }
}

/// Repetitions and values of a wrong type, in the words of these operations.
fn malformed(_: Refusal) -> Refusal {
    Refusal::Service(codes::PARAMETER_MALFORMED)
}

/// A JWT as LoginRadius's "JWT Implementation Guide" describes it: HS256, no `kid`, the whole of it under the name
/// `signature`.
fn sign(state: &mut State, family: Family, user: &User, query: &Params) -> Result<Answer, Refusal> {
    let nonce = match family {
        Family::Classic => None,
        Family::Site => query.optional("nonce").map_err(malformed)?,
    };
    state.counters.jwts += 1;
    let now = state.clock.now();
    let mut claims = json!({
        "iss": format!("{}/", state.public_url()),
        "sub": user.uid,
        "jti": state.random.guid(),
        "iat": clock::unix(now),
        "nbf": clock::unix(now),
        "exp": clock::unix(clock::later(now, state.config.jwt_lifetime)),
        "email": user.email,
        "firstname": user.first_name,
        "lastname": user.last_name,
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let tag = random::hmac_sha256(seeded::JWT_SECRET.as_bytes(), signed.as_bytes());
    let jwt = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
    Ok(Answer::json(StatusCode::OK, &json!({ "signature": jwt })))
}
