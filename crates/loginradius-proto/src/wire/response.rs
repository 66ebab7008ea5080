//! Reads responses by their bodies, whatever status and content type they have.

use std::fmt::{self, Write as _};

use http::Response;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::head::ResponseHead;
use super::json::{FieldProblem, Object, ResponseText};
use super::refusal;
use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
#[cfg(doc)]
use crate::error::ApiError;
use crate::error::{Error, ErrorKind};
use crate::route::Route;
use crate::secret_buffer::SecretBuffer;

/// Reads the response of [an `Endpoint` of your own](Endpoint#an-endpoint-of-your-own).
///
/// Every error names the operation, and shows `[redacted]` where the server repeats a secret of the request.
///
/// ```
/// use loginradius_proto::{App, Body, Endpoint, ErrorKind, ResponseReader, http};
/// # struct ReadProfile;
/// # impl Endpoint for ReadProfile {
/// #     type Response = Profile;
/// #     fn name(&self) -> &'static str { "Read Profile" }
/// #     fn request(&self, _: &App) -> Result<http::Request<Body>, loginradius_proto::Error> { unreachable!() }
/// #     fn response(&self, app: &App, r: http::Response<Body>) -> Result<Profile, loginradius_proto::Error> {
/// #         ResponseReader::new(self, app).json(&r)
/// #     }
/// #     fn secrets(&self) -> Vec<&str> { vec!["b8cb84c9"] }
/// # }
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Profile {
///     #[serde(rename = "Uid")]
///     uid: String,
/// }
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let app = App::new("my-api-key");
/// # let endpoint = ReadProfile;
/// let reader = ResponseReader::new(&endpoint, &app);
/// let profile: Profile = reader.json(&http::Response::new(Body::from(r#"{"Uid":"5f3c"}"#)))?;
/// assert_eq!(profile.uid, "5f3c");
///
/// let refusal = r#"{"ErrorCode":906,"Message":"Access token b8cb84c9 has expired"}"#;
/// let error = reader.json::<Profile>(&http::Response::new(Body::from(refusal))).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::SignInRequired);
/// assert!(!error.to_string().contains("b8cb84c9"));
/// # Ok(())
/// # }
/// ```
pub struct ResponseReader<'a> {
    operation: &'static str,
    /// `None` of an endpoint of a user's own.
    route: Option<Route>,
    app: &'a App,
    /// Whose secrets no error must show. They are asked for when there is an error.
    endpoint: Option<&'a (dyn HasSecrets + Sync)>,
    /// More of them.
    secrets: Vec<&'a str>,
}

/// Any [`Endpoint`], whatever its response is.
trait HasSecrets {
    fn secrets(&self) -> Vec<&str>;
}

impl<E: Endpoint> HasSecrets for E {
    fn secrets(&self) -> Vec<&str> {
        Endpoint::secrets(self)
    }
}

// The secrets are only counted.
impl fmt::Debug for ResponseReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseReader")
            .field("operation", &self.operation)
            .field("secrets", &self.all_secrets().len())
            .finish_non_exhaustive()
    }
}

impl<'a> ResponseReader<'a> {
    /// Makes a reader that knows the operation's name, its [`secrets`](Endpoint::secrets), and the app's client secret.
    pub fn new<E: Endpoint + ?Sized>(endpoint: &'a E, app: &'a App) -> Self {
        Self { operation: endpoint.name(), route: None, app, endpoint: None, secrets: endpoint.secrets() }
    }

    /// Makes a reader for one of LoginRadius's operations.
    pub(crate) fn of_route<E: Endpoint + Sync>(endpoint: &'a E, app: &'a App, route: Route) -> Self {
        Self { operation: endpoint.name(), route: Some(route), app, endpoint: Some(endpoint), secrets: Vec::new() }
    }

    /// Adds secrets that no error must show, besides those of [`new`](Self::new).
    #[must_use]
    pub fn redact(mut self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        self.secrets.extend(secrets);
        self
    }

    fn all_secrets(&self) -> Vec<&str> {
        let mut secrets = self.endpoint.map(|endpoint| endpoint.secrets()).unwrap_or_default();
        secrets.extend(self.app.secret());
        // The query of a JWT operation has the key beside the token.
        secrets.extend(self.route.filter(|route| route.is_jwt()).map(|_| self.app.api_key()));
        secrets.extend(&self.secrets);
        secrets
    }

    /// Reads a response whose body is JSON of the type `T`.
    ///
    /// # Errors
    ///
    /// - LoginRadius's refusal ([`Error::api_error`]): the body is one of its two [error bodies](ApiError), whatever
    ///   the HTTP status.
    /// - [`ErrorKind::InvalidResponse`]: the body is not JSON, or does not match `T`. The message says where, and shows
    ///   no value.
    /// - [`ErrorKind::Unavailable`], [`ErrorKind::OutcomeUnknown`]: see [`Endpoint::response`].
    pub fn json<T: DeserializeOwned>(&self, response: &Response<Body>) -> Result<T, Error> {
        let (head, text) = self.unless_refused(response)?;
        let invalid = |message: String| head.error(ErrorKind::InvalidResponse, message);
        if matches!(text, ResponseText::Replaced(_)) {
            return Err(invalid(
                "the response is not in UTF-8: check the base URL and any proxy in between".to_owned(),
            ));
        }
        if text.trim().is_empty() {
            return Err(invalid(
                "the response has no body: check the base URL, or use `ResponseReader::empty` if that is a success"
                    .to_owned(),
            ));
        }
        serde_json::from_str(&text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => invalid(format!(
                "the response's JSON does not match the endpoint's type{} (line {}, column {}): correct the type",
                missing_field(&error, &text).map(|field| format!(": it has no `{field}`")).unwrap_or_default(),
                error.line(),
                error.column(),
            )),
            _ => not_loginradius(&head, &text),
        })
    }

    /// Reads a response of which only the success matters: its body is empty, or any JSON that is no error.
    ///
    /// # Errors
    ///
    /// - LoginRadius's refusal ([`Error::api_error`]): the body is one of its two [error bodies](ApiError), whatever
    ///   the HTTP status.
    /// - [`ErrorKind::InvalidResponse`]: the body is neither empty nor JSON.
    /// - [`ErrorKind::Unavailable`], [`ErrorKind::OutcomeUnknown`]: see [`Endpoint::response`].
    pub fn empty(&self, response: &Response<Body>) -> Result<(), Error> {
        let (head, text) = self.unless_refused(response)?;
        let is_success = text.trim().is_empty() || serde_json::from_str::<IgnoredAny>(&text).is_ok();
        if is_success { Ok(()) } else { Err(not_loginradius(&head, &text)) }
    }

    /// Reads a response whose status alone says that it succeeded, unless its body is one of LoginRadius's error
    /// bodies.
    pub(crate) fn status(&self, response: &Response<Body>) -> Result<(), Error> {
        self.unless_refused(response).map(drop)
    }

    /// Reads a response whose body is, if it succeeded, an object with the field `key`, which `read` takes apart.
    ///
    /// An object with the field and a status of success is a success, even if it has an `error` as well; an error body
    /// without the field is an error at any status, 200 included.
    pub(crate) fn object<T>(
        &self,
        response: &Response<Body>,
        key: &str,
        read: impl FnOnce(&Object<'_>, &ResponseHead<'_>) -> Result<T, FieldProblem>,
    ) -> Result<T, Error> {
        self.object_unless(response, key, |_, _| None, read)
    }

    /// Reads a response as [`object`](Self::object) does, but for an error that `expected` reads as a result.
    pub(crate) fn object_unless<T>(
        &self,
        response: &Response<Body>,
        key: &str,
        expected: impl FnOnce(&Object<'_>, &ResponseHead<'_>) -> Option<T>,
        read: impl FnOnce(&Object<'_>, &ResponseHead<'_>) -> Result<T, FieldProblem>,
    ) -> Result<T, Error> {
        let head = ResponseHead::new(self.operation, self.route, response);
        let text = head.text(response.body())?;
        let Some(object) = Object::parse(&text) else { return Err(not_loginradius(&head, &text)) };
        if !(head.status.is_success() && object.has(key)) {
            if let Some(result) = expected(&object, &head) {
                return Ok(result);
            }
            if let Some(error) = refusal::read(self.app, || self.all_secrets(), &head, &object) {
                return Err(error);
            }
        }
        if !head.status.is_success() {
            return Err(not_loginradius(&head, &text));
        }
        read(&object, &head).map_err(|field| {
            head.error(
                ErrorKind::InvalidResponse,
                format!(
                    "the response's {field}: check the base URL, and if LoginRadius itself sent that, report a \
                     bug in this crate"
                ),
            )
        })
    }

    /// Returns the text of a response that has a status of success and no error body.
    fn unless_refused<'r>(&self, response: &'r Response<Body>) -> Result<(ResponseHead<'r>, ResponseText<'r>), Error> {
        let head = ResponseHead::new(self.operation, self.route, response);
        let text = head.text(response.body())?;
        let refused = |object| refusal::read(self.app, || self.all_secrets(), &head, &object);
        if let Some(error) = Object::parse(&text).and_then(refused) {
            return Err(error);
        }
        if head.status.is_success() { Ok((head, text)) } else { Err(not_loginradius(&head, &text)) }
    }
}

/// Returns the name of a field that the type has and the response lacks. serde takes the name from the type; other
/// messages may quote the response, so a name that occurs there is not returned.
fn missing_field(error: &serde_json::Error, response: &str) -> Option<String> {
    let mut text = SecretBuffer::default();
    write!(text, "{error}").ok()?;
    let field = std::str::from_utf8(&text).ok()?.strip_prefix("missing field `")?.split('`').next()?;
    (!response.contains(field)).then(|| field.to_owned())
}

/// Creates the error of a response that is not LoginRadius's: a proxy's page, an empty body, half a body.
fn not_loginradius(head: &ResponseHead<'_>, text: &str) -> Error {
    use ErrorKind::{InvalidResponse, Unavailable};
    let has_format_of_dialect = head.route.is_some_and(|route| !route.is_jwt());
    let (kind, why) = match head.status.as_u16() {
        300..=399 => (InvalidResponse, "a redirect, and none is followed: check the base URL"),
        401 => (
            InvalidResponse,
            "a gateway in front of LoginRadius asks for credentials of its own: check the base URL and any proxy in \
             between",
        ),
        403 | 451 => (
            InvalidResponse,
            "a gateway or a firewall refused the request: check the base URL, or have its operator let the request \
             through",
        ),
        404 | 405 | 410 => (
            InvalidResponse,
            "nothing is served at this URL: check the base URL, and the method and path if the endpoint is your own",
        ),
        406 => (InvalidResponse, "the server has no JSON to respond with: check the base URL and any proxy in between"),
        407 => (InvalidResponse, "a proxy asks for credentials: put them into the proxy's URL"),
        411 => {
            (InvalidResponse, "a server in between wants to know the length of the request: check any proxy in between")
        }
        413 | 414 | 431 => (
            InvalidResponse,
            "the request is too long for a server or a proxy in between: shorten the request, or have that limit \
             raised",
        ),
        415 if has_format_of_dialect => {
            (InvalidResponse, "the format of the body is not accepted: try the other one (`Dialect::with_body_format`)")
        }
        421 => (InvalidResponse, "the server does not serve this host: check the base URL and any proxy in between"),
        426 => (InvalidResponse, "the server asks for another protocol: check the base URL and any proxy in between"),
        429 => (Unavailable, "too many requests: try again later"),
        501 => (
            InvalidResponse,
            "the server cannot do what the request asks for: check the base URL and any proxy in between",
        ),
        505 => (
            InvalidResponse,
            "the server does not speak this version of HTTP: check the base URL and any proxy in between",
        ),
        511 => (Unavailable, "the network has a sign-in page of its own: sign in there in a browser, and try again"),
        408 | 425 | 500..=599 => {
            (Unavailable, "LoginRadius or a proxy in front of it is temporarily unavailable: try again later")
        }
        _ if text.trim().is_empty() => {
            (InvalidResponse, "the body is empty: check the base URL and any proxy in between")
        }
        _ if text.trim_start().starts_with('<') => (
            InvalidResponse,
            "the body is a web page and not LoginRadius's response: sign in at the network's own page in a browser \
             if it has one, or check the base URL and any proxy in between",
        ),
        _ => (InvalidResponse, "the body is not LoginRadius's: check the base URL and any proxy in between"),
    };
    head.error(kind, format!("HTTP {}: {why}", head.status.as_u16()))
}
