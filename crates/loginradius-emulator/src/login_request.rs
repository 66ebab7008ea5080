//! What an application requests by a login in a browser, and where the response goes.

use crate::authorization_response::{AuthorizationResponse, ResponseMode};
use crate::jws::Signer;
use crate::operation::Api;
use crate::refusal::Refusal;

/// What an application requests by a login in a browser.
#[derive(Clone)]
pub(crate) enum LoginRequest {
    OAuth(OAuthRequest),
    Jwt(JwtRequest),
}

#[derive(Clone)]
pub(crate) struct OAuthRequest {
    pub(crate) api: Api,
    pub(crate) app: String,
    pub(crate) client_id: &'static str,
    /// The scope as it was sent. LoginRadius allows parameters for its page in it, after an `&`.
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

/// Where the response to the application goes.
#[derive(Clone)]
pub(crate) struct ReturnTo {
    pub(crate) redirect_uri: String,
    pub(crate) mode: ResponseMode,
    pub(crate) state: Option<String>,
    pub(crate) issuer: Option<String>,
}

impl LoginRequest {
    /// Returns the URL to which the browser is sent.
    pub(crate) fn return_url(&self) -> &str {
        match self {
            Self::OAuth(login_request) => &login_request.return_to.redirect_uri,
            Self::Jwt(login_request) => &login_request.return_url,
        }
    }
}

impl OAuthRequest {
    /// Returns the response that notifies the application of the user's denial.
    pub(crate) fn deny(&self) -> AuthorizationResponse {
        self.return_to.error_response(&Refusal::AccessDenied)
    }

    /// Iterates over the requested scopes.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.as_deref().and_then(scope_words).into_iter().flat_map(|words| words.split(' '))
    }
}

/// Returns a scope without the parameters for LoginRadius's page, which its guide "OAuth 2.0" puts after an `&`.
pub(crate) fn scope_words(scope: &str) -> Option<&str> {
    scope.split('&').next().filter(|words| !words.is_empty())
}

impl ReturnTo {
    pub(crate) fn error_response(&self, refusal: &Refusal) -> AuthorizationResponse {
        let (error, description) = refusal.to_redirect_error();
        self.response(vec![("error", error.to_owned()), ("error_description", description)])
    }

    pub(crate) fn response(&self, mut params: Vec<(&str, String)>) -> AuthorizationResponse {
        params.extend(self.state.clone().map(|state| ("state", state)));
        params.extend(self.issuer.clone().map(|issuer| ("iss", issuer)));
        AuthorizationResponse::new(&self.redirect_uri, self.mode, params)
    }
}
