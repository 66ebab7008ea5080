//! Logins in a browser, without the pages: what an application requests, and what the browser carries back to it.
//! LoginRadius's guides "OAuth 2.0" and "JWT"; RFC 6749, sections 4.1 and 4.2.

use std::fmt;

use hyper::Uri;
use percent_encoding::percent_decode_str;

use crate::authorization_code::AuthorizationCode;
use crate::authorization_response::{AuthorizationResponse, ResponseMode};
use crate::client;
use crate::device;
use crate::error_codes;
use crate::jwt;
use crate::login_request::{JwtRequest, LoginRequest, OAuthRequest, ReturnTo, scope_words};
use crate::operation::{Api, Operation};
use crate::origin;
use crate::params::Params;
use crate::redirect;
use crate::refusal::Refusal;
use crate::route::{self, Endpoint, Target};
use crate::seeded::{self, Standing, User};
use crate::state::State;

/// Why a login does not start.
pub(crate) enum Rejection {
    /// A page shows it, and the browser is not sent back (RFC 6749, section 4.1.2.1).
    ShownToUser(Refusal),
    /// The application is notified.
    SentToApplication(AuthorizationResponse),
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self::ShownToUser(refusal)
    }
}

/// Why [`Emulator::authorize`](crate::Emulator::authorize) returns no response to the application.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// The URL is none at which this emulator lets users sign in.
    NotServed,
    /// The browser would show an error page and not be sent back: the client or the OAuth app or JWT app is unknown, or
    /// the redirect URI is missing or not allowed.
    Refused {
        /// LoginRadius's error code.
        code: u16,
        /// The text of the error page.
        message: String,
    },
    /// The user's [`Standing`] is not good.
    MayNotSignIn(Standing),
    /// The URL is that of a JWT, which asks for no consent, so the user cannot deny it.
    NothingToDeny,
}

impl fmt::Display for AuthorizeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotServed => formatter.write_str("this is no URL at which the emulator lets users sign in"),
            Self::Refused { code, message } => write!(formatter, "refused with code {code}: {message}"),
            Self::MayNotSignIn(standing) => write!(formatter, "the user may not sign in: {standing}"),
            Self::NothingToDeny => formatter.write_str("a JWT needs no consent, so the user cannot deny it"),
        }
    }
}

impl std::error::Error for AuthorizeError {}

/// Does what a user would do with the pages.
pub(crate) fn visit(
    state: &mut State,
    url: &str,
    user: &'static User,
    allowed: bool,
) -> Result<AuthorizationResponse, AuthorizeError> {
    let uri: Uri = url.parse().map_err(|_| AuthorizeError::NotServed)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(AuthorizeError::NotServed);
    };
    if !origin::is_our_address(&state.address, scheme, authority.as_str()) {
        return Err(AuthorizeError::NotServed);
    }
    let query = uri.query().unwrap_or_default();
    let target = route::find(uri.path())
        .filter(|target| matches!(target.endpoint, Endpoint::Authorize | Endpoint::JwtRedirect))
        .filter(|_| !route::is_device_confirmation(uri.path(), query))
        .ok_or(AuthorizeError::NotServed)?;
    let login_request = match read(state, &target, query) {
        Ok(login_request) => login_request,
        Err(Rejection::SentToApplication(response)) => return Ok(response),
        Err(Rejection::ShownToUser(refusal)) => {
            let (code, message) = refusal.to_page_text(target.api);
            return Err(AuthorizeError::Refused { code, message });
        }
    };
    if user.standing != Standing::Good {
        return Err(AuthorizeError::MayNotSignIn(user.standing));
    }
    match (allowed, &login_request) {
        (true, _) => Ok(allow(state, &login_request, user)),
        (false, LoginRequest::OAuth(request)) => Ok(request.deny()),
        (false, LoginRequest::Jwt(_)) => Err(AuthorizeError::NothingToDeny),
    }
}

/// Reads what an application requests by this query.
pub(crate) fn read(state: &State, target: &Target, query: &str) -> Result<LoginRequest, Rejection> {
    // Only UTF-8 can be sent back unchanged, as `state` must be.
    if percent_decode_str(query).decode_utf8().is_err() {
        return Err(Rejection::ShownToUser(Refusal::Service(error_codes::PARAMETER_MALFORMED)));
    }
    let app = target.app.as_deref();
    match target.endpoint {
        Endpoint::JwtRedirect => Ok(LoginRequest::Jwt(read_jwt(state, target.api, app, query)?)),
        _ => read_oauth(state, target.api, app, query).map(LoginRequest::OAuth),
    }
}

fn read_oauth(state: &State, api: Api, app: Option<&str>, query: &str) -> Result<OAuthRequest, Rejection> {
    let query = Params::from_form(query.as_bytes());
    let (client_id, _) = client::named(&query)?;
    // The classic URL names no OAuth app.
    let app = app.unwrap_or(seeded::OAUTH_APP);
    device::known_app(app)?;
    let redirect_uri = query.required("redirect_uri")?;
    redirect::check(&state.config.redirect_uris, redirect_uri)?;

    // From here on the application can be notified of errors.
    let mode = response_mode(&query);
    let return_to = ReturnTo {
        redirect_uri: redirect_uri.to_owned(),
        mode: mode.as_ref().map_or(ResponseMode::Query, |mode| *mode),
        state: query.optional("state").ok().flatten().map(str::to_owned),
        issuer: state.config.issuer_in_responses.then(|| state.address.issuer()),
    };
    let details = || {
        mode?;
        query.optional("state")?;
        let (code, token) = response_type(query.optional("response_type")?)?;
        let scope = query.optional("scope")?;
        scope.and_then(scope_words).map_or(Ok(()), device::known_scope)?;
        Ok((code, token, scope.map(str::to_owned), challenge(&query)?))
    };
    match details() {
        Ok((code, token, scope, challenge)) => {
            Ok(OAuthRequest { api, app: app.to_owned(), client_id, scope, code, token, challenge, return_to })
        }
        Err(refusal) => Err(Rejection::SentToApplication(return_to.error_response(&refusal))),
    }
}

/// Returns whether a code and whether a token is requested. LoginRadius's guide separates the two by a comma or a
/// space; RFC 6749, section 3.1.1, allows any order.
fn response_type(value: Option<&str>) -> Result<(bool, bool), Refusal> {
    let value = value.ok_or(Refusal::Missing("response_type"))?;
    let mut words: Vec<&str> = value.split([' ', ',']).collect();
    words.sort_unstable();
    match words[..] {
        ["code"] => Ok((true, false)),
        ["token"] => Ok((false, true)),
        ["code", "token"] => Ok((true, true)),
        _ => Err(Refusal::ResponseTypeInvalid),
    }
}

/// Reads the response mode. Default: the query, for codes and tokens alike, as LoginRadius documents.
fn response_mode(query: &Params) -> Result<ResponseMode, Refusal> {
    match query.optional("response_mode")? {
        None | Some("query") => Ok(ResponseMode::Query),
        Some("fragment") => Ok(ResponseMode::Fragment),
        Some("form_post") => Ok(ResponseMode::Post),
        Some(_) => Err(Refusal::ResponseModeInvalid),
    }
}

/// Reads the PKCE challenge. LoginRadius's page "PKCE" calls the method `S256` of RFC 7636 `SHA256`, and it is the
/// default there. `plain` is not supported.
fn challenge(query: &Params) -> Result<Option<String>, Refusal> {
    let method = query.optional("code_challenge_method")?;
    if !matches!(method, None | Some("SHA256" | "S256")) {
        return Err(Refusal::ChallengeInvalid("code_challenge_method"));
    }
    match query.optional("code_challenge")? {
        // RFC 7636, section 4.2: SHA-256 in base64url.
        Some(challenge)
            if challenge.len() == 43
                && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) =>
        {
            Ok(Some(challenge.to_owned()))
        }
        Some(_) => Err(Refusal::ChallengeInvalid("code_challenge")),
        None if method.is_some() => Err(Refusal::Missing("code_challenge")),
        None => Ok(None),
    }
}

fn read_jwt(state: &State, api: Api, app: Option<&str>, query: &str) -> Result<JwtRequest, Refusal> {
    let query = Params::from_query(query);
    let (key, address) = match api {
        Api::Classic => ("apikey", "return_url"),
        Api::Site => ("client_id", "redirect_uri"),
    };
    jwt::check_key(&query, key)?;
    let signer = jwt::signer(app, &query)?;
    let return_url = query.optional(address).map_err(jwt::malformed)?.ok_or(Refusal::Missing(address))?;
    redirect::check(&state.config.redirect_uris, return_url)?;
    let nonce = query.optional("nonce").map_err(jwt::malformed)?.map(str::to_owned);
    Ok(JwtRequest { signer, return_url: return_url.to_owned(), nonce })
}

/// Completes the login of a user who has signed in and, if asked for consent, has allowed it.
pub(crate) fn allow(state: &mut State, login_request: &LoginRequest, user: &'static User) -> AuthorizationResponse {
    let now = state.clock.now();
    match login_request {
        LoginRequest::OAuth(request) => {
            let mut params = Vec::new();
            if request.code {
                let (challenge, scope) = (request.challenge.as_deref(), request.scope.as_deref());
                let redirect_uri = &request.return_to.redirect_uri;
                let code = AuthorizationCode::new(request.client_id, redirect_uri, challenge, scope, user, now);
                params.push(("code", state.codes.issue(&mut state.random, code)));
            }
            if request.token {
                let (api, client_id) = (request.api, request.client_id);
                let began_by = Operation::Authorize;
                let tokens = state.tokens.login(&mut state.random, api, client_id, user, began_by, now);
                params.push(("token", tokens.access_token));
            }
            request.return_to.response(params)
        }
        LoginRequest::Jwt(request) => {
            let jwt = jwt::sign(state, request.signer, user, request.nonce.as_deref());
            let name = state.config.jwt_response_parameter.as_str();
            AuthorizationResponse::new(&request.return_url, state.config.jwt_response_mode, vec![(name, jwt)])
        }
    }
}
