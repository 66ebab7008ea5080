//! What LoginRadius says when it refuses: its two error bodies, and what a caller can do about each.

use http::StatusCode;

use super::head::Head;
use super::json::Object;
use super::number;
use super::scrub::scrub;
use crate::app::{App, BodyFormat};
use crate::error::{Ask, Error, ErrorKind, FieldError, ServiceError};

/// Reads LoginRadius's refusal; `None` if the object is neither of its two error bodies.
///
/// The secrets are all that the request carried: a server may repeat them, and what it issued besides.
pub(super) fn read(app: &App, secrets: &[&str], head: &Head, object: &Object<'_>) -> Option<Error> {
    let issued: Vec<String> = ISSUED.iter().filter_map(|name| object.read_ignoring_case(name)).collect();
    let secrets: Vec<&str> = secrets.iter().copied().chain(issued.iter().map(String::as_str)).collect();
    service_error(object).map(|service| error(app, &secrets, head, service))
}

/// The members of a response that are secrets.
const ISSUED: &[&str] = &["access_token", "refresh_token", "id_token", "device_code", "signature"];

/// The error that a browser brought back (RFC 6749, section 4.1.2.1).
pub(crate) fn in_browser(secrets: &[&str], name: &str, description: Option<&str>) -> Error {
    let clean = |text: &str| scrub(secrets, text);
    let kind = oauth_kind(name).unwrap_or(ErrorKind::Refused);
    let service = ServiceError {
        oauth_error: Some(clean(name)),
        description: description.map(clean).filter(|text| !text.is_empty()),
        ..ServiceError::default()
    };
    let about_pkce = service.description.as_ref().is_some_and(|text| text.contains("code_challenge_method"));
    let (refused, hint) = match kind {
        ErrorKind::Denied => ("the sign-in was not allowed", Some("if that was a mistake, begin again")),
        _ if about_pkce => (
            "LoginRadius refused the sign-in",
            Some("try `ChallengeMethod::S256`, as RFC 7636 and newer sites call it, or `Sha256`"),
        ),
        _ => ("LoginRadius refused the sign-in", None),
    };
    let mut message = format!("{refused}: {}", service.oauth_error.as_deref().unwrap_or_default());
    if let Some(text) = &service.description {
        message += &format!(": {}", text.trim_end_matches(['.', ' ']));
    }
    Error::new(kind, message).with_service(service, None, hint)
}

/// LoginRadius's two error bodies: `error` and `error_description` (RFC 6749, section 5.2), or
/// `ErrorCode`, `Message` and `Description` in any case of letters (LoginRadius, "SSO API Codes").
fn service_error(object: &Object<'_>) -> Option<ServiceError> {
    let text = |name| object.read_ignoring_case::<String>(name).filter(|text| !text.is_empty());

    let code = object.raw_ignoring_case("ErrorCode").and_then(|raw| raw.get().trim_matches('"').parse::<i64>().ok());
    let message = text("Message");
    let oauth_error = text("error").filter(|name| is_error_code(name));
    if code.is_none() && oauth_error.is_none() {
        return None;
    }
    let named = || message.as_deref().filter(|_| code.is_some()).filter(|name| oauth_kind(name).is_some());
    let raw = |name| object.raw_ignoring_case(name).map(|raw| raw.get().to_owned()).filter(|text| text != "null");
    Some(ServiceError {
        oauth_error: oauth_error.or_else(|| named().map(str::to_owned)),
        code,
        description: text("Description").or_else(|| text("error_description")),
        message,
        fields: object
            .read_ignoring_case::<Vec<RefusedField>>("Errors")
            .unwrap_or_default()
            .into_iter()
            .map(|field| FieldError { name: field.name, message: field.message })
            .collect(),
        is_provider_error: object.read_ignoring_case("IsProviderError").unwrap_or(false),
        provider_response: raw("ProviderErrorResponse"),
        extra_info: raw("ExtraInfo"),
        data: raw("Data"),
        interval: object.raw("interval").and_then(number::seconds),
    })
}

/// Whether that is a code as RFC 6749 and its extensions have them, and not the words of a gateway
/// ("Not Found", "Bad Request") whose own body has a field `error` too.
fn is_error_code(name: &str) -> bool {
    name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b':' | b'/'))
}

/// The same with every text fit to be printed.
fn printable(secrets: &[&str], service: ServiceError) -> ServiceError {
    let clean = |text: String| scrub(secrets, &text);
    let fields = service.fields.into_iter();
    ServiceError {
        // A name from a standard is no secret, even if a password is a part of it.
        oauth_error: service.oauth_error.map(|name| if oauth_kind(&name).is_some() { name } else { clean(name) }),
        message: service.message.map(clean),
        description: service.description.map(clean),
        fields: fields.map(|field| FieldError { name: clean(field.name), message: clean(field.message) }).collect(),
        ..service
    }
}

#[derive(serde::Deserialize)]
struct RefusedField {
    #[serde(rename = "FieldName", alias = "fieldName", alias = "fieldname")]
    name: String,
    #[serde(rename = "ErrorMessage", alias = "errorMessage", alias = "errormessage", default)]
    message: String,
}

fn error(app: &App, secrets: &[&str], head: &Head, service: ServiceError) -> Error {
    // The kind is read off the server's own words: a password may be one of them.
    let (kind, ask) = meaning(head.status, &service);
    let service = printable(secrets, service);
    let mut message = format!("LoginRadius answered HTTP {}", head.status.as_u16());
    if let Some(code) = service.code {
        message += &format!(", code {code}");
    }
    if let Some(name) = &service.oauth_error {
        message += &format!(", {name}");
    }
    let text = service.description.as_ref().or(service.message.as_ref());
    if let Some(text) = text.filter(|text| Some(*text) != service.oauth_error.as_ref()) {
        message += &format!(": {}", text.trim_end_matches(['.', ' ']));
    }
    let hint = hint(app, &service);
    head.error(kind, message).with_service(service, ask, hint)
}

/// What to look at, where that is known more exactly than the kind says.
fn hint(app: &App, service: &ServiceError) -> Option<&'static str> {
    match (service.code, service.oauth_error.as_deref()) {
        // LoginRadius, "SSO API Codes": 965 is also what an app gets that only takes JSON.
        (Some(965), _) if app.body_format == BodyFormat::Form => Some("try `App::body_format(BodyFormat::Json)`"),
        (Some(923), _) if app.secret().is_none() => Some("set the client secret with `App::client_secret`"),
        (Some(1180 | 1196), _) => Some("check the JWT app's name, `App::jwt_app`"),
        (Some(901 | 920 | 922), _) => Some("check the client id, or API key"),
        // LoginRadius says it of the id alone, RFC 6749, section 5.2, of a wrong secret too.
        (_, Some("invalid_client")) if app.secret().is_some() => Some("check the client id and the client secret"),
        (_, Some("invalid_client")) => Some("check the client id, or API key"),
        // LoginRadius says the same of a wrong secret and of an app that it does not know. A new API secret
        // is refused for up to 15 minutes (LoginRadius, "OAuth 2.0", troubleshooting).
        (_, Some("unauthorized_client")) if app.secret().is_none() => {
            Some("check the OAuth app's name, `App::oauth_app`, and that it allows this kind of sign-in")
        }
        (_, Some("unauthorized_client")) => {
            Some("check the client secret and the app's name (a new secret takes up to 15 minutes to be accepted)")
        }
        _ => None,
    }
}

fn meaning(status: StatusCode, service: &ServiceError) -> (ErrorKind, Option<Ask>) {
    if let Some(kind) = service.oauth_error.as_deref().and_then(oauth_kind) {
        return (kind, None);
    }
    match code_meaning(service) {
        Some(Meaning::Kind(kind)) => (kind, None),
        Some(Meaning::Ask(ask)) => (ErrorKind::AskUser, Some(ask)),
        None if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => (ErrorKind::TryLater, None),
        None => (ErrorKind::Refused, None),
    }
}

/// RFC 6749, sections 4.1.2.1 and 5.2; RFC 8628, section 3.5; OpenID Connect Core, section 3.1.2.6; LoginRadius, "SSO API Codes".
fn oauth_kind(name: &str) -> Option<ErrorKind> {
    Some(match name {
        "invalid_grant"
        | "expired_token"
        | "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required" => ErrorKind::SignInAgain,
        "access_denied" => ErrorKind::Denied,
        "authorization_pending" | "slow_down" | "server_error" | "temporarily_unavailable" => ErrorKind::TryLater,
        "invalid_request"
        | "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "invalid_scope"
        | "invalid_target"
        | "redirect_uri_mismatch"
        | "unsupported_response_type"
        | "request_not_supported" => ErrorKind::Settings,
        _ => return None,
    })
}

/// What a code means.
#[derive(Clone, Copy)]
enum Meaning {
    Kind(ErrorKind),
    Ask(Ask),
}

/// Codes whose meaning is sure once the text beside them agrees (LoginRadius, "SSO API Codes" and
/// "Customer Identity API Codes").
fn code_meaning(service: &ServiceError) -> Option<Meaning> {
    use self::Ask::{Credentials, Other, SecondFactor, Unblock, Unlock, Verify};
    use ErrorKind::{Settings, SignInAgain, TryLater};
    use Meaning::{Ask, Kind};
    const CODES: &[(i64, &str, Meaning)] = &[
        (901, "key", Kind(Settings)),
        (902, "secret", Kind(Settings)),
        (905, "token", Kind(SignInAgain)),
        (906, "token", Kind(SignInAgain)),
        (908, "parameter", Kind(Settings)),
        (909, "permission", Kind(Settings)),
        (920, "key", Kind(Settings)),
        (921, "secret", Kind(Settings)),
        (922, "key", Kind(Settings)),
        (923, "secret", Kind(Settings)),
        (938, "exist", Ask(Credentials)),
        (950, "unknown error", Kind(TryLater)),
        (958, "body", Kind(Settings)),
        (965, "body", Kind(Settings)),
        (966, "password", Ask(Credentials)),
        (970, "verified", Ask(Verify)),
        (991, "block", Ask(Unblock)),
        (1000, "try again", Kind(TryLater)),
        (1038, "email", Ask(Credentials)),
        (1060, "token", Kind(Settings)),
        (1066, "verif", Ask(Verify)),
        (1130, "block", Ask(Unblock)),
        (1132, "locked", Ask(Unlock)),
        (1134, "validation", Ask(Other)),
        (1148, "locked", Ask(Unlock)),
        (1162, "verif", Ask(Verify)),
        (1164, "block", Ask(Unblock)),
        (1176, "factor", Ask(SecondFactor)),
        (1180, "jwt", Kind(Settings)),
        (1194, "privacy", Ask(Other)),
        (1196, "jwt", Kind(Settings)),
        (1198, "password", Ask(Credentials)),
        (1198, "locked", Ask(Unlock)),
        (1214, "dangerous", Kind(Settings)),
        (1217, "refresh", Kind(SignInAgain)),
        (1220, "not allowed", Ask(Unblock)),
        (1264, "locked", Ask(Unlock)),
        (2005, "code", Kind(SignInAgain)),
        (2006, "redirect_uri", Kind(Settings)),
        (2007, "code", Kind(SignInAgain)),
        (2024, "expired", Kind(SignInAgain)),
    ];
    let code = service.code?;
    let said = format!(
        "{} {}",
        service.message.as_deref().unwrap_or_default(),
        service.description.as_deref().unwrap_or_default(),
    )
    .to_lowercase();
    CODES.iter().find(|(known, word, _)| *known == code && said.contains(word)).map(|(_, _, meaning)| *meaning)
}
