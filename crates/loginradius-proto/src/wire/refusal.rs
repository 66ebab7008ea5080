//! LoginRadius's refusals: its two error bodies, and what to do about each.

use http::StatusCode;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::head::ResponseHead;
use super::json::{JsonText, Object};
use super::number;
use super::redaction::Redaction;
use crate::app::App;
use crate::dialect::{BodyFormat, ClientAuthentication};
use crate::error::{ApiError, Error, ErrorKind, FieldError, UserAction};
use crate::request::basic;
use crate::route::Route;
use crate::secret_text::SecretText;

/// Reads LoginRadius's refusal; `None` if the object is neither of its two error bodies.
///
/// `secrets` are those of the request. A server may repeat them, and may have issued others beside the error: neither
/// gets into the error.
pub(super) fn read<'s>(
    app: &App,
    secrets: impl FnOnce() -> Vec<&'s str>,
    head: &ResponseHead<'_>,
    object: &Object<'_>,
) -> Option<Error> {
    let api_error = api_error(object)?;
    let issued = issued(object);
    let basic = basic_credentials(app);
    let others = issued.iter().map(|secret| &**secret).chain(basic.as_deref());
    let redaction = Redaction::of(secrets().into_iter().chain(others));
    Some(error(app, &redaction, head, api_error))
}

/// Returns the secrets that a response issues, itself or in its `Data`.
fn issued<'a>(object: &Object<'a>) -> Vec<JsonText<'a>> {
    const NAMES: &[&str] = &["access_token", "refresh_token", "id_token", "device_code", "signature"];
    let data = object.object_ignoring_case("Data");
    [Some(object), data.as_ref()].into_iter().flatten().flat_map(|object| object.texts_ignoring_case(NAMES)).collect()
}

/// Returns what the header `Authorization` holds after the word `Basic`, if the app's requests have that header.
fn basic_credentials(app: &App) -> Option<SecretText> {
    let secret =
        app.secret().filter(|_| app.service().dialect().client_authentication() == ClientAuthentication::Basic)?;
    let header = basic(app.client_id(), secret).ok()?;
    Some(header.to_str().ok()?.strip_prefix("Basic ")?.into())
}

/// Creates the error of a redirect callback with an `error` (RFC 6749, section 4.1.2.1).
pub(crate) fn in_callback(secrets: &[&str], name: &str, description: Option<&str>) -> Error {
    let kind = oauth_kind(name).unwrap_or(ErrorKind::Refused);
    let about_method = description.is_some_and(is_about_challenge_method);
    let api_error = ApiError {
        oauth_error: Some(name.to_owned()),
        description: description.map(str::to_owned),
        ..ApiError::default()
    };
    let api_error = printable(&Redaction::of(secrets.iter().copied()), api_error);
    let (refused, hint) = match kind {
        ErrorKind::Denied => ("the login was not allowed", Some("if that was a mistake, begin a new login")),
        _ if about_method => (
            "LoginRadius refused the login",
            Some("try `Dialect::with_challenge_method` (newer sites take `ChallengeMethod::S256`, others `Sha256`)"),
        ),
        _ => {
            let hint = match name {
                "unauthorized_client" | "invalid_client" => {
                    Some("check the client id, and that the app allows this kind of login")
                }
                name => setting_hint(name),
            };
            ("LoginRadius refused the login", hint)
        }
    };
    let mut message = format!("{refused}: {}", api_error.oauth_error.as_deref().unwrap_or_default());
    if let Some(text) = &api_error.description {
        message += &format!(" (\"{}\")", text.trim_end_matches(['.', ' ']));
    }
    Error::new(kind, message).with_api_error(api_error, None, hint)
}

/// Returns whether a description says that the server does not know the name of the PKCE challenge's method. Each
/// server says it in its own words; RFC 7636, section 4.4.1, suggests "transform algorithm not supported".
fn is_about_challenge_method(description: &str) -> bool {
    let text = words(description);
    let has = |part: &str| text.contains(&format!(" {part} "));
    let names_pkce = has("pkce") || has("challenge") || has("challenges") || has("proof key");
    let names_method = ["method", "algorithm", "transform", "transformation"].into_iter().any(has);
    has("transform algorithm") || names_pkce && (names_method || has("s256") || has("sha256") || has("plain"))
}

/// Returns whether a description says that the PKCE verifier does not fit the challenge. This crate sends the one that
/// does, so the server has read the challenge by another method: it may have taken an unknown name for `plain`.
fn is_about_verifier(description: &str) -> bool {
    let text = words(description);
    ["code verifier", "codeverifier", "pkce verification", "pkce validation", "pkce code"]
        .iter()
        .any(|part| text.contains(&format!(" {part} ")))
}

/// Adds the advice to the refusal of a code with a PKCE verifier, if the refusal is about PKCE.
pub(crate) fn of_verifier(error: Error) -> Error {
    let description = error.api_error().and_then(|api_error| api_error.description.as_deref()).unwrap_or_default();
    if error.kind() == ErrorKind::Unavailable
        || !(is_about_challenge_method(description) || is_about_verifier(description))
    {
        return error;
    }
    error.with_hint(
        "begin a new login; if that is refused as well, try `Dialect::with_challenge_method` (newer sites take \
         `ChallengeMethod::S256`, others `Sha256`)",
    )
}

/// Returns the words of a text in lower case, with a space around each: `code_challenge_method` is three, and so is
/// `code challenge method`.
fn words(text: &str) -> Zeroizing<String> {
    let mut words = Zeroizing::new(String::with_capacity(text.len() + 2));
    words.push(' ');
    for letter in text.chars() {
        let letter = if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { ' ' };
        if letter != ' ' || !words.ends_with(' ') {
            words.push(letter);
        }
    }
    if !words.ends_with(' ') {
        words.push(' ');
    }
    words
}

impl Error {
    /// Creates the error of a response with that status and that error body: for tests of how your program handles it.
    ///
    /// ```
    /// use loginradius_proto::{ApiError, Error, ErrorKind};
    ///
    /// let mut api_error = ApiError::default();
    /// api_error.oauth_error = Some("invalid_grant".to_owned());
    /// let error = Error::from_api_error(http::StatusCode::BAD_REQUEST, api_error);
    /// assert_eq!(error.kind(), ErrorKind::SignInRequired);
    /// ```
    #[must_use]
    pub fn from_api_error(status: StatusCode, api_error: ApiError) -> Self {
        let (kind, action) = meaning(status, &api_error);
        let api_error = printable(&Redaction::of([]), api_error);
        let message = message(status, &api_error);
        Self::new(kind, message).with_response_head(status, None).with_api_error(api_error, action, None)
    }
}

/// Reads either of LoginRadius's two error bodies: `error` and `error_description` (RFC 6749, section 5.2), or
/// `ErrorCode`, `Message` and `Description` in any case of letters (LoginRadius, "SSO API Codes").
fn api_error(object: &Object<'_>) -> Option<ApiError> {
    let text = |name| object.text_ignoring_case(name).filter(|text| !text.is_empty());
    let code = error_code(object);
    let oauth_error = oauth_error(object);
    if code.is_none() && oauth_error.is_none() {
        return None;
    }
    let raw = |name| object.raw_ignoring_case(name).map(RawValue::get).filter(|json| *json != "null");
    let raw = |name| raw(name).map(SecretText::from);
    Some(ApiError {
        oauth_error: oauth_error.map(JsonText::into_string),
        code,
        description: text("Description").or_else(|| text("error_description")).map(JsonText::into_string),
        message: text("Message").map(JsonText::into_string),
        fields: object
            .objects_ignoring_case("Errors")
            .iter()
            .filter_map(field_error)
            .take(ApiError::MAX_FIELDS)
            .collect(),
        is_provider_error: object.raw_ignoring_case("IsProviderError").is_some_and(|raw| raw.get() == "true"),
        provider_response: raw("ProviderErrorResponse"),
        extra_info: raw("ExtraInfo"),
        data: raw("Data"),
        interval: object.raw("interval").and_then(number::seconds),
    })
}

/// Returns LoginRadius's own error code. Some responses of success have one of 0.
fn error_code(object: &Object<'_>) -> Option<i64> {
    let code = object.raw_ignoring_case("ErrorCode")?.get().trim_matches('"').parse::<i64>().ok()?;
    Some(code).filter(|code| *code != 0)
}

/// Returns the error code of RFC 6749 or its extensions. LoginRadius has some of them as the message of a code of its
/// own.
pub(crate) fn oauth_error<'a>(object: &Object<'a>) -> Option<JsonText<'a>> {
    let is_given = |name: &JsonText<'_>| !name.is_empty() && is_error_code(name);
    object.text_ignoring_case("error").filter(is_given).or_else(|| {
        error_code(object)?;
        object.text_ignoring_case("Message").filter(|name| oauth_kind(name).is_some())
    })
}

fn field_error(object: &Object<'_>) -> Option<FieldError> {
    let name = object.text_ignoring_case("FieldName")?.into_string();
    let message = object.text_ignoring_case("ErrorMessage").map(JsonText::into_string).unwrap_or_default();
    Some(FieldError { name, message })
}

/// Returns whether that is an error code of RFC 6749 or its extensions, and not the text of a gateway ("Not Found",
/// "Bad Request") whose own error body has a field `error`, too.
fn is_error_code(name: &str) -> bool {
    name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b':' | b'/'))
}

/// Redacts and cleans every text that gets printed.
fn printable(redaction: &Redaction, api_error: ApiError) -> ApiError {
    let clean = |text: String| redaction.clean(&SecretText::from(text));
    let fields = api_error.fields.into_iter();
    ApiError {
        // A code of a standard is no secret, even if some password is a part of it.
        oauth_error: api_error.oauth_error.map(|name| if oauth_kind(&name).is_some() { name } else { clean(name) }),
        message: api_error.message.map(clean).filter(|text| !text.is_empty()),
        description: api_error.description.map(clean).filter(|text| !text.is_empty()),
        fields: fields.map(|field| FieldError { name: clean(field.name), message: clean(field.message) }).collect(),
        ..api_error
    }
}

fn error(app: &App, redaction: &Redaction, head: &ResponseHead<'_>, api_error: ApiError) -> Error {
    // The kind depends on the server's own words, some of which may be redacted for looking like a password.
    let (kind, action) = meaning(head.status, &api_error);
    let api_error = printable(redaction, api_error);
    let hint = hint(app, head.route, kind, &api_error);
    head.error(kind, message(head.status, &api_error)).with_api_error(api_error, action, hint)
}

/// Writes LoginRadius's response in one line.
fn message(status: StatusCode, api_error: &ApiError) -> String {
    let mut message = format!("LoginRadius responded with HTTP {}", status.as_u16());
    if let Some(code) = api_error.code {
        message += &format!(", code {code}");
    }
    if let Some(name) = &api_error.oauth_error {
        message += &format!(", {name}");
    }
    let text = api_error.description.as_ref().or(api_error.message.as_ref());
    if let Some(text) = text.filter(|text| Some(*text) != api_error.oauth_error.as_ref()) {
        message += &format!(", \"{}\"", text.trim_end_matches(['.', ' ']));
    }
    message
}

/// Which settings of the app a request carries, as far as that is known. Advice must name no other.
struct Carried {
    /// Whether it carries the client secret, if there is one.
    secret: bool,
    /// Whether it carries the name of the app, which is one of OAuth or of OpenID Connect, as the API is.
    app_name: bool,
    jwt_app: bool,
    /// Whether the dialect says in which format its body is.
    format_of_dialect: bool,
}

impl Carried {
    fn of(app: &App, route: Option<Route>) -> Self {
        match route {
            Some(route) => Self {
                secret: route.authenticates_client(),
                app_name: route.names_oauth_app(app.service().api()),
                jwt_app: route.is_jwt(),
                format_of_dialect: !route.is_jwt(),
            },
            // An endpoint of a user's own may carry all that is set.
            None => Self {
                secret: app.secret().is_some(),
                app_name: if is_oidc(app) { app.oidc_app().is_some() } else { app.oauth_app().is_some() },
                jwt_app: app.jwt_app().is_some(),
                format_of_dialect: false,
            },
        }
    }
}

fn is_oidc(app: &App) -> bool {
    app.service().api().is_oidc()
}

/// Returns what to do, where that is known more exactly than by the kind.
fn hint(app: &App, route: Option<Route>, kind: ErrorKind, api_error: &ApiError) -> Option<&'static str> {
    let carried = Carried::of(app, route);
    let has_secret = carried.secret && app.secret().is_some();
    let lacks_secret = carried.secret && app.secret().is_none();
    match (api_error.code, api_error.oauth_error.as_deref()) {
        _ if matches!(route, Some(Route::Revoke))
            && (kind == ErrorKind::SignInRequired || says_token_is_gone(api_error)) =>
        {
            Some("take it as revoked, since the token is not valid any more")
        }
        // LoginRadius, "SSO API Codes": an app that takes only JSON responds to a form with 965.
        (Some(965), _) if carried.format_of_dialect && app.service().dialect().body_format() == BodyFormat::Form => {
            Some("try `Dialect::with_body_format(BodyFormat::Json)`")
        }
        (Some(923), _) if lacks_secret => Some("set the client secret with `App::with_client_secret`"),
        (Some(1180 | 1196), _) if carried.jwt_app => Some("check the JWT app's name (`App::with_jwt_app`)"),
        (Some(901 | 920 | 922), _) => Some("check the client id (API key)"),
        // LoginRadius documents it for a wrong id, RFC 6749, section 5.2, for a wrong secret as well.
        (_, Some("invalid_client")) if has_secret => Some("check the client id and the client secret"),
        (_, Some("invalid_client")) if lacks_secret => Some(
            "check the client id, and set the client secret with `App::with_client_secret` unless the app is a \
             public one",
        ),
        (_, Some("invalid_client")) => Some("check the client id (API key)"),
        // LoginRadius responds so to a wrong secret and to an app that it does not know. A new API secret is refused
        // for up to 15 minutes (LoginRadius, "OAuth 2.0", troubleshooting).
        (_, Some("unauthorized_client")) => Some(match carried {
            Carried { app_name: true, .. } if has_secret => {
                "check the client secret and the app's name (a new secret takes up to 15 minutes to be accepted)"
            }
            _ if has_secret && api_error.code.is_some() => {
                "check the client secret (a new secret takes up to 15 minutes to be accepted)"
            }
            _ if has_secret => {
                "check the client secret (a new secret takes up to 15 minutes to be accepted), and that the app allows \
                 this kind of request"
            }
            Carried { app_name: true, .. } if lacks_secret && is_oidc(app) => {
                "check the OpenID Connect app's name (`App::with_oidc_app`), and that the app allows this kind of \
                 login without a client secret"
            }
            Carried { app_name: true, .. } if is_oidc(app) => {
                "check the OpenID Connect app's name (`App::with_oidc_app`), and that the app allows this kind of login"
            }
            Carried { app_name: true, .. } if lacks_secret => {
                "check the OAuth app's name (`App::with_oauth_app`), and that the app allows this kind of login \
                 without a client secret"
            }
            Carried { app_name: true, .. } => {
                "check the OAuth app's name (`App::with_oauth_app`), and that the app allows this kind of login"
            }
            _ if lacks_secret => {
                "set the client secret with `App::with_client_secret`, or check that the app allows this kind of login \
                 without one"
            }
            Carried { jwt_app: true, .. } => "check the API key and the JWT app's name (`App::with_jwt_app`)",
            _ => "check the client id (API key)",
        }),
        (_, Some("authorization_pending")) => Some("poll again after the interval, as the user has not decided yet"),
        (_, Some("slow_down")) => Some("poll again after an interval that is 5 s longer"),
        (Some(2006), _) => setting_hint("redirect_uri_mismatch"),
        (Some(908), _) => setting_hint("invalid_request"),
        (_, Some(name)) => setting_hint(name),
        _ => None,
    }
}

/// Returns what to do about an OAuth error code that is about one setting or argument, in a response or in a callback.
fn setting_hint(name: &str) -> Option<&'static str> {
    Some(match name {
        "redirect_uri_mismatch" => {
            "use the redirect URI with which the login began, exactly as the app's settings have it"
        }
        "invalid_request" => "check the request's arguments, and the service's `Dialect`",
        "invalid_scope" => "request only scopes that the app allows",
        "unsupported_grant_type" | "unsupported_response_type" => "turn this kind of login on in the app's settings",
        _ => return None,
    })
}

/// Returns whether a refused revocation says that the token is not valid any more, which is a success by RFC 7009,
/// section 2.2. One of LoginRadius's two revocation endpoints responds with `invalid_request` ("The access_token is
/// invalid or expired.").
pub(crate) fn says_token_is_gone(api_error: &ApiError) -> bool {
    api_error.oauth_error.as_deref() == Some("invalid_request")
        && api_error.description.as_deref().is_some_and(|text| text.contains("invalid or expired"))
}

/// Returns what to do about an error body.
fn meaning(status: StatusCode, api_error: &ApiError) -> (ErrorKind, Option<UserAction>) {
    if let Some(kind) = api_error.oauth_error.as_deref().and_then(oauth_kind) {
        return (kind, None);
    }
    match code_meaning(api_error) {
        Some(Meaning::Kind(kind)) => (kind, None),
        Some(Meaning::Action(action)) => (ErrorKind::UserActionRequired, Some(action)),
        None if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => (ErrorKind::Unavailable, None),
        None => (ErrorKind::Refused, None),
    }
}

/// Returns what to do about an OAuth error code (RFC 6749, sections 4.1.2.1 and 5.2; RFC 8628, section 3.5; OpenID
/// Connect Core, section 3.1.2.6; LoginRadius, "SSO API Codes").
fn oauth_kind(name: &str) -> Option<ErrorKind> {
    Some(match name {
        "invalid_grant"
        | "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required" => ErrorKind::SignInRequired,
        "expired_token" => ErrorKind::Expired,
        "access_denied" => ErrorKind::Denied,
        "authorization_pending" | "slow_down" | "server_error" | "temporarily_unavailable" => ErrorKind::Unavailable,
        "invalid_request"
        | "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "invalid_scope"
        | "invalid_target"
        | "redirect_uri_mismatch"
        | "unsupported_response_type"
        | "request_not_supported" => ErrorKind::Configuration,
        _ => return None,
    })
}

/// What to do about one of LoginRadius's codes.
#[derive(Clone, Copy)]
enum Meaning {
    Kind(ErrorKind),
    Action(UserAction),
}

/// Returns what to do about one of LoginRadius's codes, if the text beside it agrees: the same code can mean two things
/// (LoginRadius, "SSO API Codes" and "Customer Identity API Codes").
fn code_meaning(api_error: &ApiError) -> Option<Meaning> {
    use ErrorKind::{Configuration, SignInRequired, Unavailable};
    use Meaning::{Action, Kind};
    use UserAction::{CorrectCredentials, Other, ProvideSecondFactor, Unblock, Unlock, Verify};
    const CODES: &[(i64, &str, Meaning)] = &[
        (901, "key", Kind(Configuration)),
        (902, "secret", Kind(Configuration)),
        (905, "token", Kind(SignInRequired)),
        (906, "token", Kind(SignInRequired)),
        (908, "parameter", Kind(Configuration)),
        (909, "permission", Kind(Configuration)),
        (920, "key", Kind(Configuration)),
        (921, "secret", Kind(Configuration)),
        (922, "key", Kind(Configuration)),
        (923, "secret", Kind(Configuration)),
        (938, "exist", Action(CorrectCredentials)),
        (950, "unknown error", Kind(Unavailable)),
        (958, "body", Kind(Configuration)),
        (965, "body", Kind(Configuration)),
        (966, "password", Action(CorrectCredentials)),
        (970, "verified", Action(Verify)),
        (991, "block", Action(Unblock)),
        (1000, "try again", Kind(Unavailable)),
        (1038, "email", Action(CorrectCredentials)),
        (1060, "token", Kind(Configuration)),
        (1066, "verif", Action(Verify)),
        (1130, "block", Action(Unblock)),
        (1132, "locked", Action(Unlock)),
        (1134, "validation", Action(Other)),
        (1148, "locked", Action(Unlock)),
        (1162, "verif", Action(Verify)),
        (1164, "block", Action(Unblock)),
        (1176, "factor", Action(ProvideSecondFactor)),
        (1180, "jwt", Kind(Configuration)),
        (1194, "privacy", Action(Other)),
        (1196, "jwt", Kind(Configuration)),
        (1198, "password", Action(CorrectCredentials)),
        (1198, "locked", Action(Unlock)),
        (1214, "dangerous", Kind(Configuration)),
        (1217, "refresh", Kind(SignInRequired)),
        (1220, "not allowed", Action(Unblock)),
        (1264, "locked", Action(Unlock)),
        (2005, "code", Kind(SignInRequired)),
        (2006, "redirect_uri", Kind(Configuration)),
        (2007, "code", Kind(SignInRequired)),
        (2024, "expired", Kind(SignInRequired)),
    ];
    let code = api_error.code?;
    let texts = [&api_error.message, &api_error.description].map(|text| text.as_deref().unwrap_or_default());
    let mut text = Zeroizing::new(texts.join(" "));
    text.make_ascii_lowercase();
    CODES.iter().find(|(known, word, _)| *known == code && text.contains(word)).map(|(_, _, meaning)| *meaning)
}
