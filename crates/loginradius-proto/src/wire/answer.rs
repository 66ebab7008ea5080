//! Answers: which of LoginRadius's bodies one is, whatever its status and content type say.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};

use super::json::Object;
use super::number;
use crate::error::FieldError;
use crate::{App, Body, BodyFormat, Error, ErrorKind, ServiceError};

/// Why a field of a success body cannot be read. It names the field and never quotes a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer's field `{name}` {problem}")]
pub(crate) struct Field {
    name: &'static str,
    problem: &'static str,
}

impl Field {
    pub(crate) fn missing(name: &'static str) -> Self {
        Self { name, problem: "is missing" }
    }

    pub(crate) fn duplicate(name: &'static str) -> Self {
        Self { name, problem: "is there twice" }
    }

    pub(crate) fn not_text(name: &'static str) -> Self {
        Self { name, problem: "is not a string" }
    }
}

/// Whose answer is read: the app, and the secrets that the request carried besides the app's.
pub(crate) struct Asked<'a> {
    pub(crate) app: &'a App,
    pub(crate) secrets: &'a [&'a str],
}

/// What the head of an answer says.
pub(crate) struct Answer {
    status: StatusCode,
    date: Option<SystemTime>,
    retry_after: Option<Duration>,
}

impl Answer {
    fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let date = text(DATE).and_then(|value| httpdate::parse_http_date(value).ok());
        let retry_after = text(RETRY_AFTER).and_then(|value| number::retry_after(value, date));
        Self { status, date, retry_after }
    }

    /// The lifetime under any of its three names; `None` if it is missing, unreadable or too large to count.
    pub(crate) fn lifetime(&self, object: &Object<'_>) -> Option<Duration> {
        self.lifetime_or_longest(object).filter(|time| *time < Duration::MAX)
    }

    /// The same, but `Duration::MAX` if it is too large to count.
    pub(crate) fn lifetime_or_longest(&self, object: &Object<'_>) -> Option<Duration> {
        ["expires_in", "expires", "expire_in"].iter().find_map(|name| {
            let raw = object.raw(name)?;
            number::seconds(raw).or_else(|| number::until(raw, self.date?))
        })
    }

    fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, message).with_answer(self.status, self.retry_after)
    }
}

/// Reads an answer whose success is an object with the field `key`.
///
/// `read` takes the object apart. An object that has the field is a success even if it has an `error`
/// beside it; a body with an error and without the field is an error at any status, 200 included.
pub(crate) fn object<T>(
    asked: &Asked<'_>,
    answer: &Response<Body>,
    key: &str,
    read: impl FnOnce(&Object<'_>, &Answer) -> Result<T, Field>,
) -> Result<T, Error> {
    let head = Answer::new(answer.status(), answer.headers());
    let Some(text) = success_text(asked, &head, answer.body(), Some(key))? else {
        return Err(not_loginradius(&head));
    };
    let Some(object) = Object::parse(text) else {
        return Err(not_loginradius(&head));
    };
    read(&object, &head).map_err(|field| {
        head.error(ErrorKind::BadAnswer, format!("{field}; if LoginRadius really sent that, report a bug"))
    })
}

/// Reads an answer whose success says nothing: an empty body, or JSON that is no error.
pub(crate) fn nothing(asked: &Asked<'_>, answer: &Response<Body>) -> Result<(), Error> {
    let head = Answer::new(answer.status(), answer.headers());
    match success_text(asked, &head, answer.body(), None)? {
        Some(text) if text.trim().is_empty() || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => Ok(()),
        _ => Err(not_loginradius(&head)),
    }
}

/// The body of an answer that is neither an error of LoginRadius nor of anything in front of it;
/// `None` if it is no text.
fn success_text<'a>(
    asked: &Asked<'_>,
    head: &Answer,
    body: &'a Body,
    key: Option<&str>,
) -> Result<Option<&'a str>, Error> {
    let bytes = body.as_bytes();
    if bytes.len() > Body::LIMIT {
        return Err(head.error(ErrorKind::Lost, "the answer is longer than 1 MiB, and was not read"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // An error is read even if its text is not UTF-8; a success must be, lest a token be mangled.
    let lossy = String::from_utf8_lossy(bytes);
    if let Some(object) = Object::parse(&lossy) {
        let succeeded = head.status.is_success()
            && key.is_some_and(|key| object.raw(key).is_some_and(|value| !matches!(value.get(), "null" | "\"\"")));
        if !succeeded && let Some(service) = service_error(&object) {
            return Err(refusal(asked, head, service));
        }
    }
    if head.status.is_success() { Ok(std::str::from_utf8(bytes).ok()) } else { Err(not_loginradius(head)) }
}

/// An answer that is neither of LoginRadius's bodies: a proxy's page, an empty body, half a body.
fn not_loginradius(head: &Answer) -> Error {
    let status = head.status;
    let (kind, why) = match status.as_u16() {
        429 => (ErrorKind::TryLater, "too many requests; try again later"),
        408 | 500..=599 => {
            (ErrorKind::TryLater, "LoginRadius or a proxy in front of it is out of order; try again later")
        }
        300..=399 => (ErrorKind::BadAnswer, "a redirect, which is never followed; check the base URL"),
        _ => (ErrorKind::BadAnswer, "a body that is not LoginRadius's; check the base URL and any proxy in between"),
    };
    head.error(kind, format!("HTTP {}: {why}", status.as_u16()))
}

/// LoginRadius's two error bodies: `error` and `error_description` (RFC 6749, section 5.2), or
/// `ErrorCode`, `Message` and `Description` in any case of letters (LoginRadius, "SSO API Codes").
fn service_error(object: &Object<'_>) -> Option<ServiceError> {
    let text = |name| object.read_ignoring_case::<String>(name).filter(|text| !text.is_empty());

    let code = object.raw_ignoring_case("ErrorCode").and_then(|raw| raw.get().trim_matches('"').parse::<i64>().ok());
    let message = text("Message");
    let oauth_error = text("error");
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

/// The same with every text fit to be printed.
fn printable(asked: &Asked<'_>, service: ServiceError) -> ServiceError {
    let clean = |text: String| scrub(asked, &text);
    let fields = service.fields.into_iter();
    ServiceError {
        // A name from a standard is no secret, even if somebody's password is a part of it.
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

fn refusal(asked: &Asked<'_>, head: &Answer, service: ServiceError) -> Error {
    // The kind is read off the server's own words: a password may be one of them.
    let kind = kind(head.status, &service);
    let service = printable(asked, service);
    let mut message = format!("LoginRadius answered HTTP {}", head.status.as_u16());
    if let Some(code) = service.code {
        message += &format!(", code {code}");
    }
    if let Some(name) = &service.oauth_error {
        message += &format!(", {name}");
    }
    if let Some(text) = service.description.as_ref().or(service.message.as_ref()) {
        message += &format!(": {}", text.trim_end_matches(['.', ' ']));
    }
    message += match kind {
        // LoginRadius, "SSO API Codes": 965 is also what an app gets that only takes JSON.
        ErrorKind::Settings if service.code == Some(965) && asked.app.body_format == BodyFormat::Form => {
            "; try `App::body_format(BodyFormat::Json)`"
        }
        // A new API secret is refused for up to 15 minutes (LoginRadius, "OAuth 2.0", troubleshooting).
        ErrorKind::Settings if service.oauth_error.as_deref() == Some("unauthorized_client") => {
            "; check the client secret and the app's name (a new secret takes up to 15 minutes to be accepted)"
        }
        ErrorKind::Settings => "; check the app's settings",
        ErrorKind::SignInAgain => "; sign in again",
        ErrorKind::AskUser => "; ask the person who signs in",
        ErrorKind::Denied => "; the person refused",
        ErrorKind::TryLater => "; try again later",
        _ => "; this is LoginRadius's own reason",
    };
    head.error(kind, message).with_service(service)
}

fn kind(status: StatusCode, service: &ServiceError) -> ErrorKind {
    if let Some(kind) = service.oauth_error.as_deref().and_then(oauth_kind) {
        return kind;
    }
    if let Some(kind) = code_kind(service) {
        return kind;
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return ErrorKind::TryLater;
    }
    ErrorKind::Refused
}

/// RFC 6749, sections 4.1.2.1 and 5.2; RFC 8628, section 3.5; OpenID Connect Core, section 3.1.2.6; LoginRadius, "SSO API Codes".
fn oauth_kind(name: &str) -> Option<ErrorKind> {
    Some(match name {
        "invalid_grant" | "expired_token" | "login_required" | "interaction_required" | "consent_required" => {
            ErrorKind::SignInAgain
        }
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

/// Codes whose meaning is sure once the text beside them agrees (LoginRadius, "SSO API Codes" and
/// "Customer Identity API Codes").
fn code_kind(service: &ServiceError) -> Option<ErrorKind> {
    use ErrorKind::{AskUser, Settings, SignInAgain, TryLater};
    const CODES: &[(i64, &str, ErrorKind)] = &[
        (901, "key", Settings),
        (902, "secret", Settings),
        (905, "token", SignInAgain),
        (906, "token", SignInAgain),
        (908, "parameter", Settings),
        (909, "permission", Settings),
        (920, "key", Settings),
        (921, "secret", Settings),
        (922, "key", Settings),
        (923, "secret", Settings),
        (938, "exist", AskUser),
        (950, "unknown error", TryLater),
        (958, "body", Settings),
        (965, "body", Settings),
        (966, "password", AskUser),
        (970, "verified", AskUser),
        (991, "block", AskUser),
        (1000, "try again", TryLater),
        (1060, "token", Settings),
        (1066, "verif", AskUser),
        (1130, "block", AskUser),
        (1132, "locked", AskUser),
        (1134, "validation", AskUser),
        (1148, "locked", AskUser),
        (1162, "verif", AskUser),
        (1164, "block", AskUser),
        (1176, "factor", AskUser),
        (1180, "jwt", Settings),
        (1194, "privacy", AskUser),
        (1196, "jwt", Settings),
        (1198, "password", AskUser),
        (1198, "locked", AskUser),
        (1214, "dangerous", Settings),
        (1217, "refresh", SignInAgain),
        (1220, "not allowed", AskUser),
        (1264, "locked", AskUser),
        (2005, "code", SignInAgain),
        (2006, "redirect_uri", Settings),
        (2007, "code", SignInAgain),
        (2024, "expired", SignInAgain),
    ];
    let code = service.code?;
    let said = format!(
        "{} {}",
        service.message.as_deref().unwrap_or_default(),
        service.description.as_deref().unwrap_or_default(),
    )
    .to_lowercase();
    CODES.iter().find(|(known, word, _)| *known == code && said.contains(word)).map(|(_, _, kind)| *kind)
}

/// A server's text, fit to be printed: without the secrets that the request carried, on one line, not endless.
fn scrub(asked: &Asked<'_>, text: &str) -> String {
    const LONGEST: usize = 300;
    // A secret of one or two letters would cut the text to pieces and is no secret.
    const SHORTEST_SECRET: usize = 3;
    let secrets = asked.secrets.iter().copied().chain(asked.app.secret());
    let secrets: Vec<&str> = secrets.filter(|secret| secret.len() >= SHORTEST_SECRET).collect();
    let mut clean = String::new();
    let mut rest = text;
    for _ in 0..LONGEST {
        let Some(first) = rest.chars().next() else { break };
        // The longest, because one secret may be the beginning of another.
        let hidden = secrets.iter().filter_map(|secret| spelled(secret, rest)).max();
        match hidden {
            Some(_) => clean.push_str("[redacted]"),
            None => clean.push(if is_unprintable(first) { ' ' } else { first }),
        }
        rest = rest.get(hidden.unwrap_or(first.len_utf8())..).unwrap_or_default();
    }
    clean.trim().to_owned()
}

/// The number of bytes of the secret that `text` begins with, written as it is, or as a request writes
/// it: percent-encoded whole or in part, as a form, as JSON.
fn spelled(secret: &str, text: &str) -> Option<usize> {
    if text.starts_with(secret) {
        return Some(secret.len());
    }
    let mut rest = text.as_bytes();
    for wanted in secret.bytes() {
        let encoded = [b'%', HEX[usize::from(wanted >> 4)], HEX[usize::from(wanted & 15)]];
        let length = match rest {
            [a, b, c, ..] if [*a, *b, *c].eq_ignore_ascii_case(&encoded) => 3,
            [b'+', ..] if wanted == b' ' => 1,
            [b'\\', escaped, ..] if *escaped == wanted => 2,
            [plain, ..] if *plain == wanted => 1,
            _ => return None,
        };
        rest = &rest[length..];
    }
    Some(text.len() - rest.len())
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Control characters, and those that turn the direction of the text around them.
fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
