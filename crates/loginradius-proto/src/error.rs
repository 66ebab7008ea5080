use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

/// What went wrong, and what the caller can do about it.
///
/// `Display` is one line for a person: the operation, what happened, what to do. It never shows a
/// secret, a URL's query or a body, and never repeats [`source()`](std::error::Error::source).
///
/// ```
/// use loginradius_proto::{App, Endpoint, ErrorKind, oauth::RequestDeviceCode};
///
/// let error = RequestDeviceCode::new().request(&App::new("my-client-id")).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Settings);
/// assert_eq!(
///     error.to_string(),
///     "Request Device Code: the OAuth app's name is not set, and this operation needs it: \
///      set it with `App::oauth_app`",
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
    ask: Option<Ask>,
    /// What to do, where that is more than the kind says.
    hint: Option<&'static str>,
    notes: Vec<String>,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    service: Option<ServiceError>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Fix the settings or the arguments. If [`Error::service`] is `None`, nothing was sent.
    Settings,
    /// The code, grant or token is no longer good: sign in again.
    SignInAgain,
    /// The person has to do something: correct the password, verify the email address, unlock the account.
    AskUser,
    /// The person said no.
    Denied,
    /// The time for signing in ended by this machine's count: a device code's lifetime, whose last failure, if any,
    /// is the source, or the ten minutes of a sign-in through a browser.
    Expired,
    /// Certainly not sent: the connection was refused or could not be secured. Send it again later.
    NotSent,
    /// Perhaps sent, and no answer came: it may or may not have taken effect.
    Lost,
    /// LoginRadius, something in front of it, or the store of a session is busy or out of order: try
    /// later, and not before [`Error::retry_after`].
    TryLater,
    /// The answer is none of LoginRadius's: check the base URL and what stands in between, or report a bug.
    BadAnswer,
    /// LoginRadius refused for a reason that this crate does not know: see [`Error::service`].
    Refused,
    /// The flow has already handed out its result, or the sign-in its callback: start another one.
    Finished,
    /// A callback of another sign-in, or of none: ignore it, and go on waiting.
    Unrelated,
    /// The program itself stopped waiting.
    Cancelled,
}

impl ErrorKind {
    /// The kind's name in lower snake case, for logs and machine-readable output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::SignInAgain => "sign_in_again",
            Self::AskUser => "ask_user",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::NotSent => "not_sent",
            Self::Lost => "lost",
            Self::TryLater => "try_later",
            Self::BadAnswer => "bad_answer",
            Self::Refused => "refused",
            Self::Finished => "finished",
            Self::Unrelated => "unrelated",
            Self::Cancelled => "cancelled",
        }
    }

    /// What to do after a refusal of that kind.
    fn advice(self) -> &'static str {
        match self {
            Self::Settings => "check the app's settings",
            Self::SignInAgain => "sign in again",
            Self::Denied => "refused, by the person or on the person's behalf",
            Self::TryLater => "try again later",
            _ => "this is LoginRadius's own reason",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the person who signs in has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ask {
    /// Correct the password, the email address, the user name or the phone number.
    Credentials,
    /// Wait until the account is unlocked, or unlock it: there were too many wrong passwords.
    Unlock,
    /// Have an administrator unblock the account.
    Unblock,
    /// Verify the email address or the phone number first.
    Verify,
    /// Give a second factor, which a password operation cannot ask for: sign in by a device login.
    SecondFactor,
    /// Something else; LoginRadius's own text says what ([`Error::service`]).
    Other,
}

impl Ask {
    fn advice(self) -> &'static str {
        match self {
            Self::Credentials => "check the name and the password",
            Self::Unlock => "wait, or unlock the account",
            Self::Unblock => "an administrator has to unblock the account",
            Self::Verify => "verify the address first",
            Self::SecondFactor => "a password operation cannot ask for a second factor: use a device login",
            Self::Other => "ask the person who signs in",
        }
    }
}

type Source = Box<dyn StdError + Send + Sync>;

impl Error {
    /// For transports: the request was *certainly* not sent. The connection was refused, connecting
    /// timed out, the name was not found, or TLS was refused before the request.
    ///
    /// It decides what may be sent again: when in doubt, say [`Error::lost`]. The source must not show
    /// a URL's query or a body.
    pub fn not_sent(source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::NotSent, "no connection, so nothing was sent; check the address and the network")
            .with_source(source)
    }

    /// For transports: the request may have been sent, and its answer did not arrive whole: a timeout,
    /// a connection that broke, an answer over [`Body::LIMIT`](crate::Body::LIMIT).
    ///
    /// The source must not show a URL's query or a body.
    pub fn lost(source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::Lost, "no whole answer; the request may have taken effect").with_source(source)
    }

    /// For adapters: a setting or an argument that cannot be used. The message says what to change, and
    /// shows no secret.
    pub fn settings(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Settings, message)
    }

    /// For stores and adapters: it did not work now, and may well do later. The message says what did not
    /// work and what to do, and shows no secret; neither does the source.
    pub fn try_later(message: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::TryLater, message).with_source(source)
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What the person has to do, if the kind is [`ErrorKind::AskUser`].
    ///
    /// ```
    /// # use loginradius_proto::{App, Ask, Body, Endpoint, jwt::JwtLogin};
    /// // LoginRadius says 1198 of a wrong password and of a locked account; the text beside it decides.
    /// let answer = http::Response::builder()
    ///     .status(403)
    ///     .body(Body::from(r#"{"ErrorCode":1198,"Message":"Your account has been locked"}"#))
    ///     .unwrap();
    /// let error = JwtLogin::email("user@example.com", "password").response(&App::new("key"), answer).unwrap_err();
    /// assert_eq!(error.ask(), Some(Ask::Unlock));
    /// ```
    #[must_use]
    pub fn ask(&self) -> Option<Ask> {
        (self.0.kind == ErrorKind::AskUser).then_some(self.0.ask.unwrap_or(Ask::Other))
    }

    /// What LoginRadius said, if the answer was one of its two error bodies.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceError> {
        self.0.service.as_ref()
    }

    /// The HTTP status of the answer, if there was one.
    #[must_use]
    pub fn http_status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// How long the server asked to wait (`Retry-After`).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// LoginRadius's name of the operation that failed.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Detail {
            kind,
            operation: None,
            message: message.into(),
            ask: None,
            hint: None,
            notes: Vec::new(),
            status: None,
            retry_after: None,
            service: None,
            source: None,
        }))
    }

    pub(crate) fn finished() -> Self {
        Self::new(ErrorKind::Finished, "this flow has already handed out its result: start another one")
    }

    /// The failure of a transport that never answered by the deadline.
    pub(crate) fn unanswered() -> Self {
        Self::lost("the transport gave no outcome by the request's deadline")
    }

    /// Names the operation, unless one is named already.
    pub(crate) fn of(self, operation: &'static str) -> Self {
        self.change(|detail| detail.operation = detail.operation.or(Some(operation)))
    }

    pub(crate) fn with_source(self, source: impl Into<Source>) -> Self {
        self.change(|detail| detail.source = Some(Arc::from(source.into())))
    }

    /// The same refusal, for a person whose password it was that LoginRadius did not like.
    pub(crate) fn about_credentials(self) -> Self {
        self.change(|detail| {
            detail.kind = ErrorKind::AskUser;
            detail.ask = Some(Ask::Credentials);
        })
    }

    /// Says where the request was to go, if it did not get there.
    pub(crate) fn to(self, service: &impl fmt::Display) -> Self {
        self.change(|detail| match detail.kind {
            ErrorKind::NotSent => {
                detail.message =
                    format!("no connection to {service}, so nothing was sent; check the address and the network");
            }
            ErrorKind::Lost => {
                detail.message = format!("no whole answer from {service}; the request may have taken effect");
            }
            _ => {}
        })
    }

    /// Adds a sentence to the message.
    pub(crate) fn with_note(self, note: impl Into<String>) -> Self {
        self.change(|detail| detail.notes.push(note.into()))
    }

    /// The same for callers of a session, which goes on: what failed is tried again.
    pub(crate) fn into_try_later(self) -> Self {
        self.change(|detail| detail.kind = ErrorKind::TryLater)
    }

    /// Says how long to wait before the next attempt.
    pub(crate) fn with_retry_after(self, wait: Duration) -> Self {
        self.change(|detail| detail.retry_after = Some(wait))
    }

    pub(crate) fn with_answer(self, status: StatusCode, retry_after: Option<Duration>) -> Self {
        self.change(|detail| {
            detail.status = Some(status);
            detail.retry_after = retry_after;
        })
    }

    pub(crate) fn with_service(self, service: ServiceError, ask: Option<Ask>, hint: Option<&'static str>) -> Self {
        self.change(|detail| {
            detail.service = Some(service);
            detail.ask = ask;
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
        if let Some(service) = &self.0.service {
            debug.field("service", service);
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
        if self.0.service.is_some() {
            let advice = self.ask().map_or(self.0.kind.advice(), Ask::advice);
            write!(f, "; {}", self.0.hint.unwrap_or(advice))?;
        }
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        match self.0.retry_after.filter(|_| self.0.kind == ErrorKind::TryLater) {
            Some(wait) if wait < YEAR => write!(f, "; wait {} s", wait.as_secs_f64().ceil())?,
            Some(_) => f.write_str("; wait for more than a year")?,
            None => {}
        }
        self.0.notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}

// By hand, because a derived `source()` would hand out the `Arc`, which nobody could downcast.
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
pub struct ServiceError {
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

impl ServiceError {
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

impl fmt::Debug for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceError")
            .field("oauth_error", &self.oauth_error)
            .field("code", &self.code)
            .field("message", &self.message)
            .field("description", &self.description)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
