//! Responses: which of LoginRadius's bodies one is, whatever its status and content type say.

use http::Response;
use serde::de::IgnoredAny;

use super::head::Head;
use super::json::{Field, Object};
use super::refusal;
use crate::app::App;
use crate::body::Body;
use crate::error::{Error, ErrorKind};

/// Reads the response to one operation. Every error names the operation, and repeats no secret of the request.
pub(crate) struct ResponseReader<'a> {
    operation: &'static str,
    app: &'a App,
    secrets: Vec<&'a str>,
}

impl<'a> ResponseReader<'a> {
    /// Begins with the operation's name, the app of the request, and the secrets that it carried besides the app's.
    pub(crate) fn new(operation: &'static str, app: &'a App, secrets: &[&'a str]) -> Self {
        Self { operation, app, secrets: secrets.iter().copied().chain(app.secret()).collect() }
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
            && let Some(error) = refusal::read(self.app, &self.secrets, &head, &object)
        {
            return Err(error);
        }
        if !head.status.is_success() {
            return Err(not_loginradius(&head));
        }
        read(&object, &head).map_err(|field| {
            head.error(ErrorKind::BadAnswer, format!("{field}; if LoginRadius really sent that, report a bug"))
        })
    }

    /// Reads a response whose success says nothing: an empty body, or JSON that is no error.
    pub(crate) fn nothing(&self, response: &Response<Body>) -> Result<(), Error> {
        let head = Head::new(self.operation, response);
        let text = head.text(response.body())?;
        let refused = |object| refusal::read(self.app, &self.secrets, &head, &object);
        if let Some(error) = Object::parse(&text).and_then(refused) {
            return Err(error);
        }
        let says_nothing = text.trim().is_empty() || serde_json::from_str::<IgnoredAny>(&text).is_ok();
        if head.status.is_success() && says_nothing { Ok(()) } else { Err(not_loginradius(&head)) }
    }
}

/// The error of a response that is neither of LoginRadius's bodies: a proxy's page, an empty body, half a body.
fn not_loginradius(head: &Head) -> Error {
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
