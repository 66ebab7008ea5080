use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::connect::ConnectFailure;
use crate::secret_text::SecretText;

/// The error of every operation: what failed, why, and what to do about it.
///
/// A program decides by its [`kind`](Self::kind). `Display` is one line to read: the operation, what failed, what to
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
///     "Request Device Code: the OAuth app's name is needed and not set: set it with `App::with_oauth_app`",
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
    connect_failure: Option<ConnectFailure>,
    /// What became of a response that did not arrive whole, if that is known.
    lost: Option<String>,
    /// Whether the connection was closed before a response began.
    is_unanswered: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The category of an [`Error`], by which a program decides what to do.
///
/// Three questions sort all kinds, also those that later versions add, so a `match` needs a wildcard arm:
/// [`is_transient`](Error::is_transient), [`requires_login`](Error::requires_login) and
/// [`is_outcome_unknown`](Error::is_outcome_unknown).
///
/// | kind | transient | requires login | outcome unknown | what to do |
/// | --- | --- | --- | --- | --- |
/// | `Configuration` | no | no | no | fix the settings or the argument |
/// | `Misuse` | no | no | no | fix the program |
/// | `SignInRequired` | no | yes | no | begin a new login |
/// | `UserActionRequired` | no | no | no | show the user what to do |
/// | `Denied` | no | no | no | accept it; offer a new login |
/// | `Expired` | no | yes | no | begin a new login |
/// | `NotSent` | yes | no | no | try again |
/// | `OutcomeUnknown` | yes | no | yes | try again only what may be done twice |
/// | `Unavailable` | yes | no | by status | try again, after `retry_after` |
/// | `DeadlineExceeded` | yes | no | no | try again, with more time |
/// | `InvalidResponse` | no | no | by status | check the base URL; for your own endpoint, its type |
/// | `Refused` | no | no | no | look up `api_error` |
/// | `RecordDamaged` | no | no | no | restore the record, or begin a new login |
/// | `StoreRefused` | no | no | no | fix the store's folder or permissions |
/// | `AlreadyCompleted` | no | no | no | begin a new login or a new flow |
/// | `StateMismatch` | no | no | no | ignore the callback, and keep waiting |
/// | `Cancelled` | no | no | no | stop |
///
/// `NotSent` is not transient if every attempt to connect fails until something is changed, such as a certificate
/// ([`ConnectFailure::is_permanent`]).
///
/// *By status*: a response that is not LoginRadius's, or has HTTP status 408 or 5xx, leaves open whether the request
/// took effect, whatever the kind.
///
/// ```
/// use loginradius_proto::{Error, ErrorKind};
///
/// fn advice(error: &Error, may_be_done_twice: bool) -> &'static str {
///     match error.kind() {
///         ErrorKind::UserActionRequired => "show the user what to do: `Error::user_action`",
///         ErrorKind::Denied | ErrorKind::RecordDamaged => "offer a new login",
///         ErrorKind::StateMismatch => "ignore the callback, and keep waiting",
///         ErrorKind::Cancelled => "stop",
///         _ if error.requires_login() => "begin a new login",
///         _ if error.is_outcome_unknown() && !may_be_done_twice => "find out whether it took effect",
///         _ if error.is_transient() => "try again, not before `Error::retry_after`",
///         _ => "show the message: it says what to fix",
///     }
/// }
/// let lost = Error::outcome_unknown("connection reset");
/// assert_eq!(advice(&lost, true), "try again, not before `Error::retry_after`");
/// assert_eq!(advice(&lost, false), "find out whether it took effect");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or an argument is wrong, or this machine lacks something: fix it, as the message says. If
    /// [`Error::api_error`] is `None`, nothing was sent; otherwise LoginRadius refused the request because of it.
    Configuration,
    /// The program called this crate in a way that cannot work: fix the program. Nothing was sent.
    Misuse,
    /// The code, grant or token is not valid any more: begin a new login.
    SignInRequired,
    /// The user has to do something, such as correct the password or verify an email address: [`Error::user_action`]
    /// says what.
    UserActionRequired,
    /// The user refused, or LoginRadius did on the user's behalf (`access_denied`).
    Denied,
    /// The time for the login has passed, by this machine's clock or by LoginRadius's `expired_token`: a device code's
    /// lifetime, or the 10 minutes of a login through a browser. Begin a new login.
    Expired,
    /// The request was certainly not sent, for example because the connection was refused: try again, whatever the
    /// operation, if the error [is transient](Error::is_transient). [`Error::connect_failure`] may say why. Only a
    /// login through a browser cannot be continued then, since it has consumed its callback.
    NotSent,
    /// The request may have been sent, and no whole response arrived: it may or may not have taken effect. Try again
    /// only what may be done twice.
    OutcomeUnknown,
    /// LoginRadius, a proxy in front of it, or a session's store is temporarily unavailable: try again, and not before
    /// [`Error::retry_after`]. A session returns it for a network failure as well: its operations may always be
    /// repeated.
    Unavailable,
    /// The program's own deadline, such as that of [`Call::deadline`](crate::Call::deadline), passed before anything
    /// was sent or while waiting. A session or a device login that was under way is not lost: try again, with more
    /// time. (A request that was sent and whose response the deadline cut off is an `OutcomeUnknown`.)
    DeadlineExceeded,
    /// The response or the callback is not LoginRadius's: check the base URL and any proxy in between. For
    /// [an endpoint of your own](crate::Endpoint#an-endpoint-of-your-own), check its type against the response.
    InvalidResponse,
    /// LoginRadius refused, for a reason that this crate does not know: [`Error::api_error`] is what it responded.
    Refused,
    /// The session's record is not what was saved: restore it, forget it, or begin a new login, which keeps a copy of
    /// it.
    RecordDamaged,
    /// The session's store cannot be used as it is, for example because of a folder's permissions: the message says
    /// what to fix.
    StoreRefused,
    /// The flow has already returned its result, or the login has consumed its callback: begin a new one.
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
            Self::Denied => "if that was a mistake, begin a new login",
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

/// What the user has to do before the operation can succeed ([`Error::user_action`]).
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
            Self::CorrectCredentials => "correct the user name, the email address, the phone number or the password",
            Self::Unlock => "wait until the account is unlocked, or unlock it",
            Self::Unblock => "an administrator has to unblock the account",
            Self::Verify => "the user has to verify the email address or the phone number first",
            Self::ProvideSecondFactor => {
                "use a device login or a login through a browser, which can ask for the second factor"
            }
            Self::Other => "the user has to do what that text asks for",
        }
    }
}

type Source = Box<dyn StdError + Send + Sync>;

impl Error {
    /// Creates an [`ErrorKind::NotSent`] error, for a transport whose request was *certainly* not sent: the connection
    /// was refused, connecting timed out, the host's name was not found, or the TLS handshake failed before the
    /// request.
    ///
    /// Flows send the request again after this error, whatever the operation: if in doubt, use
    /// [`Error::outcome_unknown`]. The source must not show a URL's query or a body.
    #[doc(alias("transport error", "connection refused"))]
    pub fn not_sent(source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::NotSent, "could not connect, so nothing was sent: check the address and the network")
            .with_source(source)
    }

    /// Creates an [`ErrorKind::NotSent`] error, for a transport that could not connect and knows why: the error's text
    /// names the cause. If the failure [is permanent](ConnectFailure::is_permanent), the error is not transient, and a
    /// [`Call`](crate::Call) does not try again.
    pub fn not_connected(failure: ConnectFailure) -> Self {
        let message = not_connected_message(&"", &failure);
        Self::new(ErrorKind::NotSent, message).change(|detail| detail.connect_failure = Some(failure))
    }

    /// Creates an [`ErrorKind::OutcomeUnknown`] error, for a transport whose request may have been sent and whose
    /// response did not arrive whole: a timeout, a connection that broke, a response longer than
    /// [`Body::LIMIT`](crate::Body::LIMIT).
    ///
    /// The source must not show a URL's query or a body.
    #[doc(alias("transport error", "lost response"))]
    pub fn outcome_unknown(source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::OutcomeUnknown, incomplete_message(&"", None)).with_source(source)
    }

    /// Creates an [`ErrorKind::OutcomeUnknown`] error, as [`outcome_unknown`](Self::outcome_unknown) does, for a
    /// transport that knows what became of the response: the error's text has the cause in parentheses. It must not
    /// show a secret, a URL's query or a body.
    ///
    /// ```
    /// use loginradius_proto::Error;
    ///
    /// let error = Error::incomplete_response("it is longer than 1 MiB");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "no complete response (it is longer than 1 MiB), so the request may have taken effect: repeat it only if \
    ///      that does no harm",
    /// );
    /// ```
    #[doc(alias("transport error", "timeout", "lost response"))]
    pub fn incomplete_response(cause: impl Into<String>) -> Self {
        let cause = cause.into();
        let message = incomplete_message(&"", Some(&cause));
        Self::new(ErrorKind::OutcomeUnknown, message).change(|detail| detail.lost = Some(cause))
    }

    /// Creates an [`ErrorKind::OutcomeUnknown`] error, as [`incomplete_response`](Self::incomplete_response) does, for a
    /// transport whose connection was closed before the head of a response arrived.
    ///
    /// A server that closes a kept connection just as a request is sent over it has most likely not read the request. So
    /// a [`DeviceFlow`](crate::DeviceFlow) polls again at once after this error, unless the connection was a new one.
    ///
    /// ```
    /// use loginradius_proto::Error;
    ///
    /// let error = Error::connection_closed();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "no complete response (the connection was closed too early), so the request may have taken effect: repeat \
    ///      it only if that does no harm",
    /// );
    /// ```
    #[doc(alias("transport error", "connection reset", "keep-alive"))]
    #[must_use]
    pub fn connection_closed() -> Self {
        Self::incomplete_response("the connection was closed too early").change(|detail| detail.is_unanswered = true)
    }

    /// Creates an [`ErrorKind::Configuration`] error, for a setting or an argument that your
    /// [`Endpoint`](crate::Endpoint) or adapter cannot use. The message says what to change, and shows no secret.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// Creates an [`ErrorKind::Misuse`] error, for a call that your adapter cannot carry out. The message says what to
    /// do instead, and shows no secret.
    pub fn misuse(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Misuse, message)
    }

    /// Creates an [`ErrorKind::Unavailable`] error, for what your store or adapter cannot do now and may do later. The
    /// message says what failed and what to do. Neither it nor the source shows a secret.
    pub fn unavailable(message: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::Unavailable, message).with_source(source)
    }

    /// Creates an [`ErrorKind::StoreRefused`] error, for a store that cannot be used as it is, for example because of a
    /// folder's permissions. The message says what to fix, and shows no secret.
    pub fn store_refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::StoreRefused, message)
    }

    /// Creates an [`ErrorKind::RecordDamaged`] error, for a record that is not what was saved: for your store, or your
    /// wrapper that seals records. The message says where the record is, and shows no secret.
    pub fn record_damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::RecordDamaged, message)
    }

    /// Creates an [`ErrorKind::DeadlineExceeded`] error, for an operation whose deadline, set by the program, has
    /// passed. The message says what had not happened by then.
    pub fn deadline_exceeded(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::DeadlineExceeded, message)
    }

    /// Creates an [`ErrorKind::InvalidResponse`] error, for a response that your [`Endpoint`](crate::Endpoint) can read
    /// and does not accept. The message says what is wrong with it, and shows no secret.
    ///
    /// ```
    /// use loginradius_proto::Error;
    ///
    /// # let is_posted = true;
    /// let result = if is_posted { Ok(()) } else { Err(Error::invalid_response("`IsPosted` is false: try again")) };
    /// # result.unwrap();
    /// ```
    pub fn invalid_response(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidResponse, message)
    }

    /// Creates an [`ErrorKind::Cancelled`] error, for an operation that the program cancelled. The message says what
    /// was cancelled.
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Cancelled, message)
    }

    /// Returns the error's category, by which a program decides what to do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether the same operation may succeed later: a network, a server or a store failed, or the program's
    /// deadline was too short. `false` if every attempt to connect fails until something is changed, such as a
    /// certificate ([`ConnectFailure::is_permanent`]).
    ///
    /// If the [outcome is unknown](Self::is_outcome_unknown), it may have succeeded already: try again only what may be
    /// done twice.
    #[must_use]
    #[doc(alias("retryable", "is_retryable", "temporary"))]
    pub fn is_transient(&self) -> bool {
        use ErrorKind::{DeadlineExceeded, NotSent, OutcomeUnknown, Unavailable};
        let is_permanent = self.0.connect_failure.as_ref().is_some_and(ConnectFailure::is_permanent);
        matches!(self.0.kind, DeadlineExceeded | NotSent | OutcomeUnknown | Unavailable) && !is_permanent
    }

    /// Returns whether only a new login helps: the code, grant or token is not valid any more, or the time for the
    /// login has passed.
    ///
    /// Of an operation that was sent with a session's access token, it means that this *token* is not valid any more:
    /// pass it to the session's `refresh_rejected` first, and try again with the one that it returns.
    #[must_use]
    #[doc(alias("unauthenticated", "session expired", "invalid_grant"))]
    pub fn requires_login(&self) -> bool {
        matches!(self.0.kind, ErrorKind::SignInRequired | ErrorKind::Expired)
    }

    /// Returns whether the request may or may not have taken effect: its response did not arrive whole, is not
    /// LoginRadius's, or has HTTP status 408 or 5xx.
    ///
    /// So it is also `true` for some errors of the kinds [`ErrorKind::Unavailable`] and [`ErrorKind::InvalidResponse`].
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

    /// Returns what LoginRadius responded, if that was one of its two error bodies ([`ApiError`]).
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

    /// Returns why the transport could not connect, if it reported that ([`Error::not_connected`]).
    #[must_use]
    #[doc(alias("certificate", "dns", "proxy", "connection refused"))]
    pub fn connect_failure(&self) -> Option<&ConnectFailure> {
        self.0.connect_failure.as_ref()
    }

    /// Returns how long to wait before trying again, counted from when the error was returned, if the server asked for
    /// it (`Retry-After`, [RFC 9110, section 10.2.3]; more than a day counts as a day) or the error was made with it.
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
            connect_failure: None,
            lost: None,
            is_unanswered: false,
            source: None,
        }))
    }

    /// Returns whether the connection was closed before a response began.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.0.is_unanswered
    }

    pub(crate) fn already_completed() -> Self {
        Self::new(ErrorKind::AlreadyCompleted, "this flow has already returned its result: begin a new one")
    }

    /// Creates the error of a request whose outcome the transport did not report by the request's deadline.
    pub(crate) fn no_outcome() -> Self {
        Self::incomplete_response("the transport reported no outcome by the request's deadline")
    }

    /// Names the operation, unless one is named already.
    pub(crate) fn of(self, operation: &'static str) -> Self {
        self.change(|detail| detail.operation = detail.operation.or(Some(operation)))
    }

    /// Sets the cause, which [`source`](std::error::Error::source) returns. It must not show a secret, a URL's query or
    /// a body.
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

    /// Sets the advice, where it is known more exactly than by the kind.
    pub(crate) fn with_hint(self, hint: &'static str) -> Self {
        self.change(|detail| detail.hint = Some(hint))
    }

    /// Adds where the request was to go, if no response came from there.
    pub(crate) fn to(self, service: &impl fmt::Display) -> Self {
        self.change(|detail| match detail.kind {
            ErrorKind::NotSent => {
                detail.message = match &detail.connect_failure {
                    Some(failure) => not_connected_message(&format_args!(" to {service}"), failure),
                    None => {
                        format!(
                            "could not connect to {service}, so nothing was sent: check the address and the network"
                        )
                    }
                };
            }
            ErrorKind::OutcomeUnknown => {
                let from = format!(" from {service}");
                detail.message = incomplete_message(&from, detail.lost.as_deref());
            }
            _ => {}
        })
    }

    /// Adds a sentence to the line, after a semicolon: what else there is to know. It must not show a secret.
    ///
    /// ```
    /// use loginradius_proto::Error;
    ///
    /// let error = Error::unavailable("the database is down: try again later", "connection refused");
    /// let error = error.with_note("3 of 10 sessions were not signed out");
    /// let line = "the database is down: try again later; 3 of 10 sessions were not signed out";
    /// assert_eq!(error.to_string(), line);
    /// ```
    #[must_use]
    pub fn with_note(self, note: impl Into<String>) -> Self {
        self.change(|detail| detail.notes.push(note.into()))
    }

    /// Makes the error that a session returns of it: the session has not ended, and what failed is tried again.
    pub(crate) fn into_unavailable(self) -> Self {
        self.change(|detail| {
            // A session knows what it may send again, and does so.
            if detail.kind == ErrorKind::OutcomeUnknown {
                detail.message += ": try again later";
            }
            detail.kind = ErrorKind::Unavailable;
        })
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

fn incomplete_message(from: &impl fmt::Display, cause: Option<&str>) -> String {
    let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
    format!("no complete response{from}{cause}, so the request may have taken effect")
}

fn not_connected_message(to: &impl fmt::Display, failure: &ConnectFailure) -> String {
    format!("could not connect{to} ({failure}), so nothing was sent: {}", failure.advice())
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
        if let Some(status) = self.0.status {
            debug.field("http_status", &status.as_u16());
        }
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
            write!(f, ": {}", self.0.hint.unwrap_or(advice))?;
        }
        // Not part of the message: a session, which makes another kind of this error, repeats what may be repeated.
        if self.0.kind == ErrorKind::OutcomeUnknown {
            f.write_str(": repeat it only if that does no harm")?;
        }
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        match self.0.retry_after.filter(|wait| self.0.kind == ErrorKind::Unavailable && !wait.is_zero()) {
            Some(wait) if wait < YEAR => write!(f, "; wait at least {} s", wait.as_secs_f64().ceil())?,
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
/// The texts are the server's, for logs and not for decisions. The same code can mean two things: LoginRadius's two
/// pages differ about 16 of them. So decide by [`Error::kind`], which takes the text beside the code into account.
///
/// Each text is cleaned:
///
/// - Control characters become spaces, and what is beyond 300 characters is cut off. At most 100 fields are read.
/// - `[redacted]` replaces every place where six characters in a row of a secret can be read. Secrets are
///   [`Endpoint::secrets`](crate::Endpoint::secrets), the client secret, and the tokens beside the error. A secret of
///   three to five characters is redacted only where all of it appears.
/// - The characters are found as they are, in upper or lower case, backwards, with blanks or punctuation in between,
///   and in up to three nested encodings: as in a URL or a form, HTML, JSON and JavaScript, base64 and base64url,
///   hexadecimal.
/// - The texts that LoginRadius documents, and the error codes of OAuth, are shown as they are: `The password is not
///   valid` reveals nothing about the password `password1`.
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
    pub(crate) provider_response: Option<SecretText>,
    pub(crate) extra_info: Option<SecretText>,
    pub(crate) data: Option<SecretText>,
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
    /// The largest number of [`fields`](Self::fields) that are read.
    pub(crate) const MAX_FIELDS: usize = 100;

    /// Returns LoginRadius's `ProviderErrorResponse` as JSON text, unredacted. It comes from a third party: keep it out
    /// of logs.
    #[must_use]
    pub fn expose_provider_response(&self) -> Option<&str> {
        self.provider_response.as_deref()
    }

    /// Returns LoginRadius's `ExtraInfo` as JSON text, unredacted: keep it out of logs.
    #[must_use]
    pub fn expose_extra_info(&self) -> Option<&str> {
        self.extra_info.as_deref()
    }

    /// Returns LoginRadius's `Data` as JSON text, unredacted. Some errors have an access token there: keep it out of
    /// logs.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Error, ErrorKind};

    /// Reads the rows of the table of [`ErrorKind`]: kind, transient, requires login, outcome unknown.
    fn table() -> Vec<[&'static str; 4]> {
        let rows = include_str!("error.rs").lines().filter_map(|line| line.strip_prefix("/// | `")?.strip_suffix(" |"));
        rows.map(|row| {
            let mut cells = row.split(" | ").map(|cell| cell.trim_matches('`'));
            std::array::from_fn(|_| cells.next().unwrap())
        })
        .collect()
    }

    #[test]
    fn an_incomplete_response_is_described_by_its_cause() {
        let known = Error::incomplete_response("it is late").to(&"https://sso.example.com");
        let line =
            "no complete response from https://sso.example.com (it is late), so the request may have taken effect";
        assert_eq!(known.to_string(), format!("{line}: repeat it only if that does no harm"));
        let unknown = Error::outcome_unknown("reset").to(&"https://sso.example.com").into_unavailable();
        assert_eq!(unknown.to_string(), line.replace(" (it is late)", "") + ": try again later");
        let soon = unknown.clone().with_retry_after(Duration::ZERO);
        assert_eq!(soon.to_string(), unknown.to_string(), "no wait of 0 s");
        let later = unknown.clone().with_retry_after(Duration::from_millis(1500));
        assert_eq!(later.to_string(), format!("{unknown}; wait at least 2 s"));
    }

    #[test]
    fn the_table_of_kinds_says_what_the_predicates_return() {
        use ErrorKind::*;
        let kinds = [
            Configuration,
            Misuse,
            SignInRequired,
            UserActionRequired,
            Denied,
            Expired,
            NotSent,
            OutcomeUnknown,
            Unavailable,
            DeadlineExceeded,
            InvalidResponse,
            Refused,
            RecordDamaged,
            StoreRefused,
            AlreadyCompleted,
            StateMismatch,
            Cancelled,
        ];
        let rows = table();
        assert_eq!(rows.len(), kinds.len());
        for (kind, [name, transient, requires_login, outcome_unknown]) in kinds.into_iter().zip(rows) {
            let error = Error::new(kind, "a test");
            assert_eq!(name, format!("{kind:?}"));
            assert_eq!(error.is_transient(), transient == "yes", "{name}");
            assert_eq!(error.requires_login(), requires_login == "yes", "{name}");
            assert_eq!(error.is_outcome_unknown(), outcome_unknown == "yes", "{name}");

            let error = error.with_response_head(http::StatusCode::BAD_GATEWAY, None);
            assert!(error.is_outcome_unknown(), "{name}, by its status");
        }
    }
}
