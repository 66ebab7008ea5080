use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

/// What went wrong, and what the caller can do about it.
///
/// `Display` is one line: the operation, what happened, what to do. It never shows a
/// secret, a URL's query or a body, and never repeats [`source()`](std::error::Error::source).
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
    /// What to do, where that is more than the kind says.
    hint: Option<&'static str>,
    notes: Vec<String>,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    api_error: Option<ApiError>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or an argument is wrong: fix it. If [`Error::api_error`] is `None`, nothing was sent.
    Configuration,
    /// The program used this crate in a way that cannot work: fix the program. Nothing was sent.
    Misuse,
    /// The code, grant or token is no longer valid: sign in again.
    SignInRequired,
    /// The user has to do something, such as correct the password: [`Error::user_action`] says what.
    UserActionRequired,
    /// The user refused, or LoginRadius did on the user's behalf.
    Denied,
    /// The time for the login is over: a device code's lifetime, or the ten minutes of a login through a browser.
    Expired,
    /// The request was certainly not sent: the connection was refused or could not be secured. Send it again later.
    NotSent,
    /// The request may have been sent, and no response arrived: it may or may not have taken effect.
    OutcomeUnknown,
    /// LoginRadius, something in front of it, or a session's store does not work now: try again later, and not before
    /// [`Error::retry_after`].
    Unavailable,
    /// The time that the program gave the operation is over ([`Call::deadline`](crate::Call::deadline)). Nothing has
    /// ended: try again.
    DeadlineExceeded,
    /// The response is not LoginRadius's: check the base URL and any proxy in between, or report a bug.
    InvalidResponse,
    /// LoginRadius refused, for a reason that this crate does not know: see [`Error::api_error`].
    Refused,
    /// The session's record cannot be read: restore it, forget it, or start the session again, which keeps a copy.
    RecordDamaged,
    /// The session's store refused, as for the permissions of a folder: the message says what to fix.
    StoreRefused,
    /// The flow has already returned its result, or the login has already consumed its callback: start another one.
    AlreadyCompleted,
    /// The callback belongs to another login, or to none: ignore it, and keep waiting.
    StateMismatch,
    /// The program itself cancelled the operation.
    Cancelled,
}

impl ErrorKind {
    /// Returns the kind's name in lower snake case, for logs and machine-readable output.
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
            Self::SignInRequired => "sign in again",
            Self::Denied => "refused by the user, or on the user's behalf",
            Self::Unavailable => "try again later",
            _ => "this is LoginRadius's own reason",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the user who signs in has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "mfa")]
pub enum UserAction {
    /// Correct the password, the email address, the user name or the phone number.
    CorrectCredentials,
    /// Wait until the account is unlocked, or unlock it: there were too many wrong passwords.
    Unlock,
    /// Have an administrator unblock the account.
    Unblock,
    /// Verify the email address or the phone number first.
    Verify,
    /// Provide a second factor, which a password operation cannot ask for: sign in by a device login.
    ProvideSecondFactor,
    /// Something else; LoginRadius's own text says what ([`Error::api_error`]).
    Other,
}

impl UserAction {
    fn advice(self) -> &'static str {
        match self {
            Self::CorrectCredentials => "check the name and the password",
            Self::Unlock => "wait, or unlock the account",
            Self::Unblock => "an administrator has to unblock the account",
            Self::Verify => "verify the address first",
            Self::ProvideSecondFactor => "a password operation cannot ask for a second factor: use a device login",
            Self::Other => "ask the user who signs in",
        }
    }
}

type Source = Box<dyn StdError + Send + Sync>;

impl Error {
    /// Makes the error of a transport whose request was *certainly* not sent: the connection was refused, connecting
    /// timed out, the name was not found, or TLS was refused before the request.
    ///
    /// It decides what may be sent again: if in doubt, use [`Error::outcome_unknown`]. The source must not show a
    /// URL's query or a body.
    pub fn not_sent(source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::NotSent, "no connection, so nothing was sent; check the address and the network")
            .with_source(source)
    }

    /// Makes the error of a transport whose request may have been sent, and whose response did not arrive whole: a
    /// timeout, a connection that broke, a response over [`Body::LIMIT`](crate::Body::LIMIT).
    ///
    /// The source must not show a URL's query or a body.
    #[doc(alias = "lost")]
    pub fn outcome_unknown(source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::OutcomeUnknown, "no complete response; the request may have taken effect")
            .with_source(source)
    }

    /// Makes the error of an adapter or an [`Endpoint`](crate::Endpoint) for a setting or an argument that cannot be
    /// used. The message says what to change, and shows no secret.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// Makes the error of an adapter that the program uses in a way that cannot work. The message says what to do
    /// instead, and shows no secret.
    pub fn misuse(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Misuse, message)
    }

    /// Makes the error of a store or an adapter for what does not work now, and may work later. The message says what
    /// did not work and what to do, and shows no secret; neither does the source.
    pub fn unavailable(message: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::Unavailable, message).with_source(source)
    }

    /// Makes the error of a store that refuses, as for the permissions of a folder. The message says what to fix, and
    /// shows no secret.
    pub fn store_refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::StoreRefused, message)
    }

    /// Makes the error of a store, or of a wrapper that seals records, whose record is not what was saved. The message
    /// says where it is, and shows no secret.
    pub fn record_damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::RecordDamaged, message)
    }

    /// Makes the error of an operation whose time, given by the program, is over.
    pub fn deadline_exceeded(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::DeadlineExceeded, message)
    }

    /// Makes the error of an operation that the program itself cancelled.
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Cancelled, message)
    }

    /// Returns what the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether this is trouble of the network, a server or a store, which passes: the same operation may
    /// succeed later. If the [outcome is unknown](Self::is_outcome_unknown), this one may have succeeded already.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        use ErrorKind::{DeadlineExceeded, NotSent, OutcomeUnknown, Unavailable};
        matches!(self.0.kind, DeadlineExceeded | NotSent | OutcomeUnknown | Unavailable)
    }

    /// Returns whether only a new login helps: the code, grant or token is no longer valid, or the time for the login
    /// is over.
    #[must_use]
    pub fn requires_login(&self) -> bool {
        matches!(self.0.kind, ErrorKind::SignInRequired | ErrorKind::Expired)
    }

    /// Returns whether the request may or may not have taken effect: its response did not arrive whole, is not
    /// LoginRadius's, or says that a server is out of order (HTTP 5xx).
    ///
    /// A refresh token, a code or a password that such a request carried may be consumed.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        match self.0.kind {
            ErrorKind::OutcomeUnknown => true,
            ErrorKind::InvalidResponse => self.0.status.is_some(),
            _ => self.0.status.is_some_and(|status| status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT),
        }
    }

    /// Returns what the user has to do, if the kind is [`ErrorKind::UserActionRequired`].
    ///
    /// ```
    /// # use loginradius_proto::{App, Body, Endpoint, UserAction, jwt::JwtLogin};
    /// // LoginRadius says 1198 of a wrong password and of a locked account; the text beside it decides.
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

    /// Returns what LoginRadius said, if the response was one of its two error bodies.
    #[must_use]
    pub fn api_error(&self) -> Option<&ApiError> {
        self.0.api_error.as_ref()
    }

    /// Returns the HTTP status of the response, if there was one.
    #[must_use]
    pub fn http_status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Returns how long the server asked to wait (`Retry-After`).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns LoginRadius's name of the operation that failed.
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
        Self::new(ErrorKind::AlreadyCompleted, "this flow has already returned its result: start another one")
    }

    /// Makes the error of a request whose outcome the transport did not return by the deadline.
    pub(crate) fn unanswered() -> Self {
        Self::outcome_unknown("the transport returned no outcome by the request's deadline")
    }

    /// Names the operation, unless one is named already.
    pub(crate) fn of(self, operation: &'static str) -> Self {
        self.change(|detail| detail.operation = detail.operation.or(Some(operation)))
    }

    /// Adds the cause. It must not show a secret, a URL's query or a body.
    #[must_use]
    pub fn with_source(self, source: impl Into<Source>) -> Self {
        self.change(|detail| detail.source = Some(Arc::from(source.into())))
    }

    /// Turns a refusal into one that the user can act upon: LoginRadius did not accept the password.
    pub(crate) fn about_credentials(self) -> Self {
        self.change(|detail| {
            detail.kind = ErrorKind::UserActionRequired;
            detail.user_action = Some(UserAction::CorrectCredentials);
        })
    }

    /// Adds where the request was to go, if it did not arrive there.
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

    /// Makes the error of a session's caller of it: the session has not ended, and what failed is tried again.
    pub(crate) fn into_unavailable(self) -> Self {
        self.change(|detail| detail.kind = ErrorKind::Unavailable)
    }

    /// Makes the error of a session's caller of it: the session has ended, however the server puts it.
    pub(crate) fn into_sign_in_required(self) -> Self {
        self.change(|detail| detail.kind = ErrorKind::SignInRequired)
    }

    /// Adds how long to wait before the next attempt.
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

/// `{:?}`, which is what `main` prints, is the line and its causes; `{:#?}` shows the parts.
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

/// What LoginRadius said in one of its two error bodies.
///
/// Texts are the server's: secrets that the request carried are replaced by `[redacted]`, control
/// characters by spaces. A code's meaning depends on the host and the text beside it (LoginRadius,
/// "SSO API Codes" and "Customer Identity API Codes" give 16 codes two meanings), so a code is an open
/// integer here.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ApiError {
    /// The OAuth error (`invalid_grant`, ...), also when it came as the message of a LoginRadius body.
    pub oauth_error: Option<String>,
    /// LoginRadius's `ErrorCode`.
    pub code: Option<i64>,
    /// LoginRadius's `Message`.
    pub message: Option<String>,
    /// LoginRadius's `Description`, or the OAuth `error_description`.
    pub description: Option<String>,
    /// The fields that LoginRadius refused (`Errors`).
    pub fields: Vec<FieldError>,
    /// LoginRadius's `IsProviderError`: the social identity provider failed, not LoginRadius.
    pub is_provider_error: bool,
    pub(crate) provider_response: Option<String>,
    pub(crate) extra_info: Option<String>,
    pub(crate) data: Option<String>,
    /// The interval that some servers give along with `slow_down`.
    pub(crate) interval: Option<Duration>,
}

/// A field that LoginRadius refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldError {
    /// The field's name.
    pub name: String,
    /// What is wrong with it.
    pub message: String,
}

impl ApiError {
    /// `ProviderErrorResponse` as JSON text. It comes from a third party: keep it out of logs.
    #[must_use]
    pub fn expose_provider_response(&self) -> Option<&str> {
        self.provider_response.as_deref()
    }

    /// `ExtraInfo` as JSON text. Keep it out of logs.
    #[must_use]
    pub fn expose_extra_info(&self) -> Option<&str> {
        self.extra_info.as_deref()
    }

    /// `Data` as JSON text. LoginRadius puts an access token there in some errors: keep it out of logs.
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
