//! What a browser comes for when a user signs in, and the way back to the application.

use crate::authorization_response::{Landing, ResponseMode};
use crate::jws::Signer;
use crate::operation::Family;
use crate::refusal::Refusal;

/// What a browser comes for.
#[derive(Clone)]
pub(crate) enum LoginRequest {
    OAuth(OAuthRequest),
    Jwt(JwtRequest),
}

#[derive(Clone)]
pub(crate) struct OAuthRequest {
    pub(crate) family: Family,
    pub(crate) app: String,
    pub(crate) client_id: &'static str,
    /// What LoginRadius passes on to its page, after an `&`, is part of it.
    pub(crate) scope: Option<String>,
    pub(crate) code: bool,
    pub(crate) token: bool,
    pub(crate) challenge: Option<String>,
    pub(crate) return_to: ReturnTo,
}

#[derive(Clone)]
pub(crate) struct JwtRequest {
    pub(crate) signer: &'static Signer,
    pub(crate) return_url: String,
    pub(crate) nonce: Option<String>,
}

/// The way back to an application.
#[derive(Clone)]
pub(crate) struct ReturnTo {
    pub(crate) redirect_uri: String,
    pub(crate) mode: ResponseMode,
    pub(crate) state: Option<String>,
    pub(crate) issuer: Option<String>,
}

impl LoginRequest {
    /// The address that the browser leaves for.
    pub(crate) fn return_url(&self) -> &str {
        match self {
            Self::OAuth(login_request) => &login_request.return_to.redirect_uri,
            Self::Jwt(login_request) => &login_request.return_url,
        }
    }
}

impl OAuthRequest {
    /// Tells the application that the user has denied it.
    pub(crate) fn deny(&self) -> Landing {
        self.return_to.error_response(&Refusal::AccessDenied)
    }

    /// The scopes that are asked for.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.as_deref().and_then(scope_words).into_iter().flat_map(|words| words.split(' '))
    }
}

/// A scope without the parameters for LoginRadius's page that its guide "OAuth 2.0" puts there, after an `&`.
pub(crate) fn scope_words(scope: &str) -> Option<&str> {
    scope.split('&').next().filter(|words| !words.is_empty())
}

impl ReturnTo {
    pub(crate) fn error_response(&self, refusal: &Refusal) -> Landing {
        let (error, description) = refusal.to_redirect_error();
        self.response(vec![("error", error.to_owned()), ("error_description", description)])
    }

    pub(crate) fn response(&self, mut params: Vec<(&str, String)>) -> Landing {
        params.extend(self.state.clone().map(|state| ("state", state)));
        params.extend(self.issuer.clone().map(|issuer| ("iss", issuer)));
        Landing::new(&self.redirect_uri, self.mode, params)
    }
}
