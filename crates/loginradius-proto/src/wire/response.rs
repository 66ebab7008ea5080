//! Responses: which of LoginRadius's bodies one is, whatever its status and content type say.

use std::borrow::Cow;

use http::Response;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::head::Head;
use super::json::{Field, Object};
use super::refusal;
use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};

/// Reads the response to one operation, for [`Endpoint::response`]. Every error names the operation, and repeats no
/// secret of the request.
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
#[derive(Debug)]
pub struct ResponseReader<'a> {
    operation: &'static str,
    app: &'a App,
    secrets: Secrets<'a>,
}

struct Secrets<'a>(Vec<&'a str>);

impl std::fmt::Debug for Secrets<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl<'a> ResponseReader<'a> {
    /// Begins with the operation's name and secrets, and the app of the request, whose client secret is one, too.
    pub fn new<E: Endpoint + ?Sized>(endpoint: &'a E, app: &'a App) -> Self {
        let secrets = endpoint.secrets().into_iter().chain(app.secret()).collect();
        Self { operation: endpoint.name(), app, secrets: Secrets(secrets) }
    }

    /// Adds secrets that a server may repeat, and that no error must show.
    #[must_use]
    pub fn redact(mut self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        self.secrets.0.extend(secrets);
        self
    }

    /// Reads a response whose success is JSON of that type.
    ///
    /// A body of one of LoginRadius's two error shapes is an error at any HTTP status.
    ///
    /// # Errors
    ///
    /// What LoginRadius said ([`Error::api_error`]); [`ErrorKind::InvalidResponse`] if the body is not JSON, or JSON of
    /// another shape than the type. The message then says where, and shows no value.
    pub fn json<T: DeserializeOwned>(&self, response: &Response<Body>) -> Result<T, Error> {
        let (head, text) = self.unless_refused(response)?;
        let invalid = |message: String| head.error(ErrorKind::InvalidResponse, message);
        if matches!(text, Cow::Owned(_)) {
            return Err(invalid("the response is not UTF-8".to_owned()));
        }
        serde_json::from_str(&text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => invalid(format!(
                "the response is JSON of another shape than expected{} (line {}, column {})",
                missing_field(&error).map(|field| format!(": it has no `{field}`")).unwrap_or_default(),
                error.line(),
                error.column(),
            )),
            _ => not_loginradius(&head),
        })
    }

    /// Reads a response whose success says nothing: an empty body, or JSON that is no error.
    ///
    /// # Errors
    ///
    /// What LoginRadius said ([`Error::api_error`]), or [`ErrorKind::InvalidResponse`] if the body is neither.
    pub fn empty(&self, response: &Response<Body>) -> Result<(), Error> {
        let (head, text) = self.unless_refused(response)?;
        let says_nothing = text.trim().is_empty() || serde_json::from_str::<IgnoredAny>(&text).is_ok();
        if says_nothing { Ok(()) } else { Err(not_loginradius(&head)) }
    }

    /// Reads a response whose success is an object with the field `key`.
    ///
    /// `read` takes the object apart. An object that has the field is a success even if it has an `error`
    /// beside it; a body with an error and without the field is an error at any status, 200 included.
    pub(crate) fn object<T>(
        &self,
        response: &Response<Body>,
        key: &str,
        read: impl FnOnce(&Object<'_>, &Head) -> Result<T, Field>,
    ) -> Result<T, Error> {
        let head = Head::new(self.operation, response);
        let text = head.text(response.body())?;
        let Some(object) = Object::parse(&text) else { return Err(not_loginradius(&head)) };
        if !(head.status.is_success() && object.has(key))
            && let Some(error) = refusal::read(self.app, &self.secrets.0, &head, &object)
        {
            return Err(error);
        }
        if !head.status.is_success() {
            return Err(not_loginradius(&head));
        }
        read(&object, &head).map_err(|field| {
            head.error(ErrorKind::InvalidResponse, format!("{field}; if LoginRadius really sent that, report a bug"))
        })
    }

    /// Returns the text of a response with a status of success, whose body is no error.
    fn unless_refused<'r>(&self, response: &'r Response<Body>) -> Result<(Head, Cow<'r, str>), Error> {
        let head = Head::new(self.operation, response);
        let text = head.text(response.body())?;
        let refused = |object| refusal::read(self.app, &self.secrets.0, &head, &object);
        if let Some(error) = Object::parse(&text).and_then(refused) {
            return Err(error);
        }
        if head.status.is_success() { Ok((head, text)) } else { Err(not_loginradius(&head)) }
    }
}

/// Returns the name of a field that the type has and the response lacks. It is the program's own word; whatever else
/// serde says may quote the response.
fn missing_field(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let field = text.strip_prefix("missing field `")?.split('`').next()?;
    Some(field.to_owned())
}

/// Makes the error of a response that is neither of LoginRadius's bodies: a proxy's page, an empty body, half a body.
fn not_loginradius(head: &Head) -> Error {
    let status = head.status;
    let (kind, why) = match status.as_u16() {
        429 => (ErrorKind::Unavailable, "too many requests; try again later"),
        408 | 500..=599 => {
            (ErrorKind::Unavailable, "LoginRadius or a proxy in front of it is out of order; try again later")
        }
        300..=399 => (ErrorKind::InvalidResponse, "a redirect, which is never followed; check the base URL"),
        _ => (
            ErrorKind::InvalidResponse,
            "a body that is not LoginRadius's; check the base URL and any proxy in between",
        ),
    };
    head.error(kind, format!("HTTP {}: {why}", status.as_u16()))
}
