//! Why a request is refused, and the error response in each of LoginRadius's two formats.

use std::time::SystemTime;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::clock;
use crate::error_codes::{self, Code, Text};
use crate::operation::Api;
use crate::response::Response;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    ClientIdMissing,
    /// It does not even have the form of a client id.
    ClientIdMalformed,
    ClientIdUnknown,
    ClientSecretMissing,
    ClientSecretWrong,
    /// The client authenticates by HTTP Basic and in the body (RFC 6749, section 2.3).
    TwoAuthenticationMethods,
    OAuthAppUnknown,
    /// A required parameter is missing.
    Missing(&'static str),
    /// A parameter is repeated (RFC 6749, section 3.2).
    Repeated(String),
    /// A parameter is not a string.
    NotText(String),
    GrantTypeInvalid,
    ResponseTypeInvalid,
    ResponseModeInvalid,
    RedirectUriMalformed,
    RedirectUriMismatch,
    /// RFC 7636, section 4.4.1: the method is unknown, or the challenge has the wrong form.
    ChallengeInvalid(&'static str),
    CodeUnknown,
    CodeExpired,
    CodeRedeemed,
    /// The PKCE verifier does not match the challenge, or the code has no challenge.
    VerifierWrong,
    RefreshTokenInvalid,
    DeviceCodeUnknown,
    DeviceCodeRedeemed,
    DeviceCodeExpired,
    AuthorizationPending,
    SlowDown,
    AccessDenied,
    /// The account is locked until this time.
    Locked(SystemTime),
    /// An error that only LoginRadius's own format has.
    Service(Code),
}

/// The format of an operation's error responses.
///
/// The device operations are documented with OAuth's format in both APIs, and so are the token operations of the site
/// API. Those of the classic API have codes of their own on the page "SSO API Codes" (2005 to 2014).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    OAuth(Api),
    Service(Api),
    /// The format of LoginRadius's "Customer Identity API".
    Identity,
}

impl Refusal {
    pub(crate) fn to_response(&self, style: Style) -> Response {
        match style {
            Style::OAuth(api) => match self.oauth() {
                Some((status, error, description)) => {
                    Response::json(status, &json!({ "error": error, "error_description": description }))
                }
                None => self.service(api, api == Api::Classic),
            },
            Style::Service(api) => self.service(api, api == Api::Classic),
            // LoginRadius's SDKs read all five fields there.
            Style::Identity => self.service(Api::Site, true),
        }
    }

    /// Returns status, error and description, in the words of the pages about the OAuth operations or, if these have no
    /// sample, of the table "OpenID" on the page "SSO API Codes". LoginRadius documents no statuses here: these are
    /// those of its codes 2008 to 2012, and 400 for device errors (RFC 8628, section 3.5).
    fn oauth(&self) -> Option<(StatusCode, &'static str, String)> {
        let (error, description) = match self {
            Self::ClientIdMissing => ("invalid_request", "The client_id is a required parameter."),
            Self::ClientIdMalformed | Self::ClientIdUnknown => {
                ("invalid_client", "The client_id is not valid, check your client_id again.")
            }
            Self::ClientSecretMissing => ("invalid_request", "The client_secret is a required parameter"),
            Self::ClientSecretWrong => {
                ("unauthorized_client", "The client_secret is not valid, check your client_secret again.")
            }
            Self::TwoAuthenticationMethods => {
                ("invalid_request", "The client must not authenticate in more than one way")
            }
            Self::OAuthAppUnknown => ("unauthorized_client", "The OAuth configuration not found."),
            Self::Missing(name) => {
                let description = format!("The {name} is a required parameter");
                return Some((StatusCode::BAD_REQUEST, "invalid_request", description));
            }
            Self::Repeated(name) => {
                let description = format!("The {name} must not be repeated");
                return Some((StatusCode::BAD_REQUEST, "invalid_request", description));
            }
            Self::NotText(name) => {
                let description = format!("The {name} must be a string");
                return Some((StatusCode::BAD_REQUEST, "invalid_request", description));
            }
            Self::GrantTypeInvalid => {
                ("unsupported_grant_type", "The grant_type is not valid, check grant_type parameter again")
            }
            Self::ResponseTypeInvalid => ("invalid_request", "The response_type must contains valid value"),
            Self::ResponseModeInvalid => ("invalid_request", "The response_mode is not valid"),
            Self::ChallengeInvalid(name) => {
                let description = format!("The {name} is not valid");
                return Some((StatusCode::BAD_REQUEST, "invalid_request", description));
            }
            Self::RedirectUriMalformed | Self::RedirectUriMismatch => {
                ("invalid_request", "The redirect_uri is not valid, check redirect_uri parameter again")
            }
            Self::CodeUnknown | Self::VerifierWrong => ("invalid_grant", "The code is not valid"),
            Self::CodeExpired => ("invalid_grant", "The code has been expired"),
            Self::CodeRedeemed | Self::DeviceCodeRedeemed => ("invalid_grant", "The code is already used"),
            Self::RefreshTokenInvalid => ("invalid_grant", "The refresh_token is not valid"),
            Self::DeviceCodeUnknown => ("invalid_grant", "The code is invalid or expired"),
            // The guide "OAuth 2.0" prints these four with an empty description.
            Self::DeviceCodeExpired => ("expired_token", ""),
            Self::AuthorizationPending => ("authorization_pending", ""),
            Self::SlowDown => ("slow_down", ""),
            Self::AccessDenied => ("access_denied", ""),
            Self::Locked(_) | Self::Service(_) => return None,
        };
        let status = match error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "unauthorized_client" => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        };
        Some((status, error, description.to_owned()))
    }

    fn code(&self) -> Code {
        match self {
            Self::ClientIdMissing => error_codes::API_KEY_MISSING,
            Self::ClientIdMalformed => error_codes::API_KEY_INVALID,
            Self::ClientIdUnknown => error_codes::INVALID_CLIENT,
            Self::ClientSecretMissing => error_codes::API_SECRET_MISSING,
            Self::ClientSecretWrong | Self::OAuthAppUnknown => error_codes::UNAUTHORIZED_CLIENT,
            Self::Missing(_)
            | Self::Repeated(_)
            | Self::NotText(_)
            | Self::TwoAuthenticationMethods
            | Self::ResponseTypeInvalid
            | Self::ResponseModeInvalid
            | Self::ChallengeInvalid(_) => error_codes::INVALID_REQUEST,
            Self::GrantTypeInvalid => error_codes::UNSUPPORTED_GRANT_TYPE,
            Self::RedirectUriMalformed => error_codes::REDIRECT_URI_INVALID,
            Self::RedirectUriMismatch => error_codes::REDIRECT_URI_MISMATCH,
            Self::CodeUnknown | Self::CodeRedeemed => error_codes::CODE_INVALID,
            Self::CodeExpired => error_codes::CODE_EXPIRED,
            Self::VerifierWrong
            | Self::RefreshTokenInvalid
            | Self::DeviceCodeUnknown
            | Self::DeviceCodeRedeemed
            | Self::DeviceCodeExpired
            | Self::AuthorizationPending
            | Self::SlowDown
            | Self::AccessDenied => error_codes::INVALID_GRANT,
            Self::Locked(_) => error_codes::LOCKED,
            Self::Service(code) => *code,
        }
    }

    /// Returns the `error` and `error_description` of an authorization response. An error that OAuth does not have is
    /// LoginRadius's code of that name.
    pub(crate) fn to_redirect_error(&self) -> (&'static str, String) {
        if *self == Self::AccessDenied {
            return ("access_denied", "The user has denied it".to_owned());
        }
        match self.oauth() {
            Some((_, error, description)) => (error, description),
            None => {
                let Text { message, description, .. } = self.code().classic;
                (message, description.to_owned())
            }
        }
    }

    /// Returns LoginRadius's code, and the text of the error page.
    pub(crate) fn to_page_text(&self, api: Api) -> (u16, String) {
        let code = self.code();
        let Text { message, description, .. } = code.text(api);
        let words = match self.oauth() {
            Some((_, _, words)) => words,
            None if message == description => message.to_owned(),
            None => format!("{}. {description}", message.trim_end_matches('.')),
        };
        (code.number, words)
    }

    fn service(&self, api: Api, with_provider_error: bool) -> Response {
        let code = self.code();
        let Text { status, message, description } = code.text(api);
        let mut body = json!({
            "Description": description,
            "ErrorCode": code.number,
            "Message": message,
        });
        // The page "SSO API Codes" documents five fields; the samples of the site API have three.
        if with_provider_error {
            body["IsProviderError"] = Value::Bool(false);
            body["ProviderErrorResponse"] = Value::Null;
        }
        if let Self::Locked(until) = self {
            body["Data"] = json!({ "LoginLockedTimeout": clock::rfc3339(*until) });
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Response::json(status, &body)
    }
}
