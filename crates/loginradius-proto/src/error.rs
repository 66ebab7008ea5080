use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

/// What failed, why, and what to do about it.
///
/// [`kind`](Self::kind) is what a program decides by. `Display` is one line to read: the operation, what failed, what to
/// do. It shows no secret, no query of a URL and no body, and does not repeat
/// [`source()`](std::error::Error::source). `{:?}`, which `main` prints, adds the sources; `{:#?}` shows the parts.
///
/// ```
/// use loginradius_proto::{App, Endpoint, ErrorKind, oauth::RequestDeviceCode};
///
/// let error = RequestDeviceCode::new().request(&App::new("my-client-id")).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Configuration);
/// assert_eq!(
///     error.to_string(),
///     "Request Device Code: the OAuth app's name is not set, and this operation needs it: \
///      set it with `App::with_oauth_app`",
/// );
/// ```
#[derive(Clone)]
pub struct Error(Arc<Detail>);

#[derive(Clone)]
struct Detail {
    kind: ErrorKind,
    operation: Option<&'static str>,
    /// What happened, without the operation and without the source.
    message: String,
    user_action: Option<UserAction>,
    /// What to do, where that is known more exactly than by the kind.
    hint: Option<&'static str>,
    notes: Vec<String>,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    api_error: Option<ApiError>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What to do about an [`Error`].
///
/// Kinds may be added, so that a `match` needs a last arm; [`Error::is_transient`] and [`Error::requires_login`] sort
/// all of them, new ones too.
///
/// ```
/// use loginradius_proto::{Error, ErrorKind};
///
/// fn advice(error: &Error) -> &'static str {
///     match error.kind() {
///         ErrorKind::UserActionRequired => "show the user what to do: `Error::user_action`",
///         ErrorKind::Denied => "accept that the user refused",
///         _ if error.requires_login() => "begin a new login",
///         _ if error.is_transient() => "try again, not before `Error::retry_after`",
///         _ => "fix the program or its settings, as the message says",
///     }
/// }
/// assert_eq!(advice(&Error::not_sent("connection refused")), "try again, not before `Error::retry_after`");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or an argument is wrong: fix it. If [`Error::api_error`] is `None`, nothing was sent; else LoginRadius
    /// refused the request for it.
    Configuration,
    /// The program calls this crate in a way that cannot work: fix the program. Nothing was sent.
    Misuse,
    /// The code, grant or token is not valid any more: begin a new login.
    SignInRequired,
    /// The user has to do something, such as correct the password or verify an email address: [`Error::user_action`]
    /// says what.
    UserActionRequired,
    /// The user refused, or LoginRadius did on the user's behalf (`access_denied`).
    Denied,
    /// The time for the login is over: a device code's lifetime, or the 10 minutes of a login through a browser. Begin a
    /// new login.
    Expired,
    /// The request was certainly not sent, as when the connection was refused: try again, whatever the operation.
    NotSent,
    /// The request may have been sent, and no whole response arrived: it may or may not have taken effect. Try again only
    /// what may be done twice.
    OutcomeUnknown,
    /// LoginRadius, a proxy in front of it, or a session's store does not work now: try again, and not before
    /// [`Error::retry_after`].
    Unavailable,
    /// The program's own deadline is over, as that of [`Call::deadline`](crate::Call::deadline). A login or a session that
    /// was under way is not lost: try again, with more time.
    DeadlineExceeded,
    /// The response or the callback is not LoginRadius's: check the base URL and any proxy in between, or report a bug.
    InvalidResponse,
    /// LoginRadius refused, for a reason that this crate does not know: [`Error::api_error`] is what it responded.
    Refused,
    /// The session's record is not what was saved: restore it, forget it, or begin a new login, which keeps a copy of it.
    RecordDamaged,
    /// The session's store refused, as for the permissions of a folder: the message says what to fix.
    StoreRefused,
    /// The flow has already returned its result, or the login has consumed its callback: begin another one.
    AlreadyCompleted,
    /// The callback belongs to another login, or to none: ignore it, and keep waiting.
    StateMismatch,
    /// The program cancelled the operation.
    Cancelled,
}

impl ErrorKind {
    /// Returns the kind's name in lower snake case, such as `"not_sent"`, for logs and machine-readable output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Misuse => "misuse",
            Self::SignInRequired => "sign_in_required",
            Self::UserActionRequired => "user_action_required",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::NotSent => "not_sent",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Unavailable => "unavailable",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::InvalidResponse => "invalid_response",
            Self::Refused => "refused",
            Self::RecordDamaged => "record_damaged",
            Self::StoreRefused => "store_refused",
            Self::AlreadyCompleted => "already_completed",
            Self::StateMismatch => "state_mismatch",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns what to do after a refusal of that kind.
    fn advice(self) -> &'static str {
        match self {
            Self::Configuration => "check the app's settings",
            Self::SignInRequired | Self::Expired => "sign in again",
            Self::Denied => "the user refused, or LoginRadius did on the user's behalf",
            Self::Unavailable => "try again later",
            _ => "look that error up in LoginRadius's documentation",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the user has to do before a login can succeed ([`Error::user_action`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias("mfa", "2fa", "second factor", "locked account"))]
pub enum UserAction {
    /// Correct the password, the email address, the user name or the phone number.
    CorrectCredentials,
    /// Wait until the account is unlocked, or unlock it: it was locked after too many wrong passwords.
    Unlock,
    /// Have an administrator unblock the account.
    Unblock,
    /// Verify the email address or the phone number.
    Verify,
    /// Provide a second factor. An operation that takes a password cannot ask for one: use a device login, or a login
    /// through a browser.
    ProvideSecondFactor,
    /// Something else: LoginRadius's own text says what ([`Error::api_error`]).
    Other,
}

impl UserAction {
    fn advice(self) -> &'static str {
        match self {
            Self::CorrectCredentials => "check the name and the password",
            Self::Unlock => "wait until the account is unlocked, or unlock it",
            Self::Unblock => "an administrator has to unblock the account",
            Self::Verify => "the user has to verify the email address or the phone number first",
            Self::ProvideSecondFactor => {
                "a password alone is not enough, and no second factor can be asked for here: use a device login, or a \
                 login through a browser"
            }
            Self::Other => "the user has to do what that text asks for",
        }
    }
}

type Source = Box<dyn StdError + Send + Sync>;

impl Error {
    /// Makes the error of a transport whose request was *certainly* not sent, an [`ErrorKind::NotSent`]: the connection
    /// was refused, connecting timed out, the host's name was not found, or TLS was refused before the request.
    ///
    /// Flows send the request again after this error, whatever the operation: if in doubt, use
    /// [`Error::outcome_unknown`]. The source must not show a URL's query or a body.
    #[doc(alias("transport error", "connection refused"))]
    pub fn not_sent(source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::NotSent, "no connection, so nothing was sent; check the address and the network")
            .with_source(source)
    }

    /// Makes the error of a transport whose request may have been sent and whose response did not arrive whole, an
    /// [`ErrorKind::OutcomeUnknown`]: a timeout, a connection that broke, a response over
    /// [`Body::LIMIT`](crate::Body::LIMIT).
    ///
    /// The source must not show a URL's query or a body.
    #[doc(alias("transport error", "timeout", "lost response"))]
    pub fn outcome_unknown(source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::OutcomeUnknown, "no complete response; the request may have taken effect")
            .with_source(source)
    }

    /// Makes the error of a setting or an argument that cannot be used, an [`ErrorKind::Configuration`]: for an
    /// [`Endpoint`](crate::Endpoint) or an adapter of your own. The message says what to change, and shows no secret.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// Makes the error of a call that cannot work, an [`ErrorKind::Misuse`]: for an adapter of your own. The message says
    /// what to do instead, and shows no secret.
    pub fn misuse(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Misuse, message)
    }

    /// Makes the error of what does not work now and may work later, an [`ErrorKind::Unavailable`]: for a store or an
    /// adapter of your own. The message says what failed and what to do. Neither it nor the source shows a secret.
    pub fn unavailable(message: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::Unavailable, message).with_source(source)
    }

    /// Makes the error of a store that refuses, as for the permissions of a folder, an [`ErrorKind::StoreRefused`]. The
    /// message says what to fix, and shows no secret.
    pub fn store_refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::StoreRefused, message)
    }

    /// Makes the error of a record that is not what was saved, an [`ErrorKind::RecordDamaged`]: for a store, or a wrapper
    /// of one that seals records. The message says where the record is, and shows no secret.
    pub fn record_damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::RecordDamaged, message)
    }

    /// Makes the error of an operation whose deadline, set by the program, is over, an [`ErrorKind::DeadlineExceeded`].
    /// The message says what had not happened by then.
    pub fn deadline_exceeded(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::DeadlineExceeded, message)
    }

    /// Makes the error of an operation that the program cancelled, an [`ErrorKind::Cancelled`]. The message says what was
    /// cancelled.
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Cancelled, message)
    }

    /// Returns what to do about the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether the same operation may succeed later: a network, a server or a store does not work now, or the
    /// program's deadline was too short.
    ///
    /// If the [outcome is unknown](Self::is_outcome_unknown), it may have succeeded already: try again only what may be
    /// done twice.
    #[must_use]
    #[doc(alias("retryable", "is_retryable", "temporary"))]
    pub fn is_transient(&self) -> bool {
        use ErrorKind::{DeadlineExceeded, NotSent, OutcomeUnknown, Unavailable};
        matches!(self.0.kind, DeadlineExceeded | NotSent | OutcomeUnknown | Unavailable)
    }

    /// Returns whether only a new login helps: the code, grant or token is not valid any more, or the time for the login
    /// is over.
    #[must_use]
    #[doc(alias("unauthenticated", "session expired", "invalid_grant"))]
    pub fn requires_login(&self) -> bool {
        matches!(self.0.kind, ErrorKind::SignInRequired | ErrorKind::Expired)
    }

    /// Returns whether the request may or may not have taken effect: its response did not arrive whole, is not
    /// LoginRadius's, or has HTTP status 408 or 5xx.
    ///
    /// A code or a refresh token that such a request carried may be consumed.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        match self.0.kind {
            ErrorKind::OutcomeUnknown => true,
            ErrorKind::InvalidResponse => self.0.status.is_some(),
            _ => self.0.status.is_some_and(|status| status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT),
        }
    }

    /// Returns what the user has to do if the kind is [`ErrorKind::UserActionRequired`], else `None`.
    ///
    /// ```
    /// # use loginradius_proto::{App, Body, Endpoint, UserAction, jwt::JwtLogin};
    /// // Code 1198 is LoginRadius's for a wrong password and for a locked account: the text beside it decides.
    /// let response = http::Response::builder()
    ///     .status(403)
    ///     .body(Body::from(r#"{"ErrorCode":1198,"Message":"Your account has been locked"}"#))
    ///     .unwrap();
    /// let error = JwtLogin::email("user@example.com", "password").response(&App::new("key"), response).unwrap_err();
    /// assert_eq!(error.user_action(), Some(UserAction::Unlock));
    /// ```
    #[must_use]
    pub fn user_action(&self) -> Option<UserAction> {
        (self.0.kind == ErrorKind::UserActionRequired).then_some(self.0.user_action.unwrap_or(UserAction::Other))
    }

    /// Returns what LoginRadius responded, if that was one of its two error bodies.
    #[must_use]
    #[doc(alias("error_code", "ErrorCode", "error_description"))]
    pub fn api_error(&self) -> Option<&ApiError> {
        self.0.api_error.as_ref()
    }

    /// Returns the HTTP status of the response, if there was a response.
    #[must_use]
    #[doc(alias("status code", "status"))]
    pub fn http_status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Returns how long to wait before trying again, if the server asked for it (`Retry-After`,
    /// [RFC 9110, section 10.2.3]) or the error was made with it.
    ///
    /// [RFC 9110, section 10.2.3]: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    #[must_use]
    #[doc(alias("rate limit", "429", "too many requests"))]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns LoginRadius's name of the operation that failed, such as `"Refresh Access Token"`, if it was one.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Detail {
            kind,
            operation: None,
            message: message.into(),
            user_action: None,
            hint: None,
            notes: Vec::new(),
            status: None,
            retry_after: None,
            api_error: None,
            source: None,
        }))
    }

    pub(crate) fn already_completed() -> Self {
        Self::new(ErrorKind::AlreadyCompleted, "this flow has already returned its result: begin another one")
    }

    /// Makes the error of a request whose outcome the transport did not report by the request's deadline.
    pub(crate) fn no_outcome() -> Self {
        Self::outcome_unknown("the transport reported no outcome by the request's deadline")
    }

    /// Names the operation, unless one is named already.
    pub(crate) fn of(self, operation: &'static str) -> Self {
        self.change(|detail| detail.operation = detail.operation.or(Some(operation)))
    }

    /// Sets the cause, which [`source`](std::error::Error::source) returns. It must not show a secret, a URL's query or a
    /// body.
    #[must_use]
    pub fn with_source(self, source: impl Into<Source>) -> Self {
        self.change(|detail| detail.source = Some(Arc::from(source.into())))
    }

    /// Turns a refusal of a password grant into one that the user can act upon.
    pub(crate) fn about_credentials(self) -> Self {
        self.change(|detail| {
            detail.kind = ErrorKind::UserActionRequired;
            detail.user_action = Some(UserAction::CorrectCredentials);
        })
    }

    /// Adds where the request was to go, if no response came from there.
    pub(crate) fn to(self, service: &impl fmt::Display) -> Self {
        self.change(|detail| match detail.kind {
            ErrorKind::NotSent => {
                detail.message =
                    format!("no connection to {service}, so nothing was sent; check the address and the network");
            }
            ErrorKind::OutcomeUnknown => {
                detail.message = format!("no complete response from {service}; the request may have taken effect");
            }
            _ => {}
        })
    }

    /// Adds a sentence to the message.
    pub(crate) fn with_note(self, note: impl Into<String>) -> Self {
        self.change(|detail| detail.notes.push(note.into()))
    }

    /// Makes the error that a session returns of it: the session has not ended, and what failed is tried again.
    pub(crate) fn into_unavailable(self) -> Self {
        self.change(|detail| detail.kind = ErrorKind::Unavailable)
    }

    /// Makes the error that a session returns of it: the session has ended, whatever the server calls it.
    pub(crate) fn into_sign_in_required(self) -> Self {
        self.change(|detail| detail.kind = ErrorKind::SignInRequired)
    }

    /// Sets how long to wait before the next attempt ([`retry_after`](Self::retry_after)).
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        self.change(|detail| detail.retry_after = Some(wait))
    }

    pub(crate) fn with_response_head(self, status: StatusCode, retry_after: Option<Duration>) -> Self {
        self.change(|detail| {
            detail.status = Some(status);
            detail.retry_after = retry_after;
        })
    }

    pub(crate) fn with_api_error(
        self,
        api_error: ApiError,
        user_action: Option<UserAction>,
        hint: Option<&'static str>,
    ) -> Self {
        self.change(|detail| {
            detail.api_error = Some(api_error);
            detail.user_action = user_action;
            detail.hint = hint;
        })
    }

    fn change(mut self, change: impl FnOnce(&mut Detail)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

// `{:?}` is what `main` prints, so it is the line and its causes.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            write!(f, "{self}")?;
            let mut cause = self.source();
            while let Some(error) = cause {
                write!(f, "; because: {error}")?;
                cause = error.source();
            }
            return Ok(());
        }
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &self.0.kind).field("message", &self.to_string());
        if let Some(api_error) = &self.0.api_error {
            debug.field("api_error", api_error);
        }
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.0.operation {
            write!(f, "{operation}: ")?;
        }
        f.write_str(&self.0.message)?;
        if self.0.api_error.is_some() {
            let advice = self.user_action().map_or(self.0.kind.advice(), UserAction::advice);
            write!(f, "; {}", self.0.hint.unwrap_or(advice))?;
        }
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        match self.0.retry_after.filter(|_| self.0.kind == ErrorKind::Unavailable) {
            Some(wait) if wait < YEAR => write!(f, "; wait {} s", wait.as_secs_f64().ceil())?,
            Some(_) => f.write_str("; wait for more than a year")?,
            None => {}
        }
        self.0.notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}

// By hand, because a derived `source()` would return the `Arc`, which cannot be downcast.
impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// What LoginRadius responded in one of its two error bodies ([`Error::api_error`]).
///
/// One is of OAuth: `error` and `error_description` ([RFC 6749, section 5.2]). The other has `ErrorCode`, `Message` and
/// `Description` (LoginRadius, "SSO API Codes" and "Customer Identity API Codes").
///
/// The texts are the server's, for logs and not for decisions. Secrets of the request are replaced by `[redacted]`,
/// control characters by spaces; each is at most 300 characters long. The same code can mean two things: LoginRadius's
/// two pages differ about 16 of them. So decide by [`Error::kind`], which takes the text beside the code into account.
///
/// [RFC 6749, section 5.2]: https://www.rfc-editor.org/rfc/rfc6749#section-5.2
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ApiError {
    /// The OAuth error code, such as `invalid_grant`: `error`, or a `Message` that is one of these codes.
    pub oauth_error: Option<String>,
    /// LoginRadius's `ErrorCode`, such as 906.
    pub code: Option<i64>,
    /// LoginRadius's `Message`.
    pub message: Option<String>,
    /// LoginRadius's `Description`, or the OAuth `error_description`.
    pub description: Option<String>,
    /// The fields that LoginRadius refused, and why (`Errors`).
    pub fields: Vec<FieldError>,
    /// Whether a social identity provider failed and not LoginRadius (`IsProviderError`). `false` if it is missing.
    pub is_provider_error: bool,
    pub(crate) provider_response: Option<String>,
    pub(crate) extra_info: Option<String>,
    pub(crate) data: Option<String>,
    /// The interval that some servers send with `slow_down`.
    pub(crate) interval: Option<Duration>,
}

/// A field that LoginRadius refused, and why ([`ApiError::fields`]).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldError {
    /// The field's name (`FieldName`).
    pub name: String,
    /// What is wrong with it (`ErrorMessage`).
    pub message: String,
}

impl ApiError {
    /// Returns LoginRadius's `ProviderErrorResponse` as JSON text, unredacted. It comes from a third party: keep it out of
    /// logs.
    #[must_use]
    pub fn expose_provider_response(&self) -> Option<&str> {
        self.provider_response.as_deref()
    }

    /// Returns LoginRadius's `ExtraInfo` as JSON text, unredacted: keep it out of logs.
    #[must_use]
    pub fn expose_extra_info(&self) -> Option<&str> {
        self.extra_info.as_deref()
    }

    /// Returns LoginRadius's `Data` as JSON text, unredacted. Some errors have an access token there: keep it out of logs.
    #[must_use]
    pub fn expose_data(&self) -> Option<&str> {
        self.data.as_deref()
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError")
            .field("oauth_error", &self.oauth_error)
            .field("code", &self.code)
            .field("message", &self.message)
            .field("description", &self.description)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
