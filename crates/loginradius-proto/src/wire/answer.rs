//! Answers: which of LoginRadius's bodies one is, whatever its status and content type say.

use http::Response;
use serde::de::IgnoredAny;

use super::head::Head;
use super::json::{Field, Object};
use super::refusal;
use super::scrub::Asked;
use crate::body::Body;
use crate::error::{Error, ErrorKind};

/// Reads an answer whose success is an object with the field `key`.
///
/// `read` takes the object apart. An object that has the field is a success even if it has an `error`
/// beside it; a body with an error and without the field is an error at any status, 200 included.
pub(crate) fn object<T>(
    asked: &Asked<'_>,
    answer: &Response<Body>,
    key: &str,
    read: impl FnOnce(&Object<'_>, &Head) -> Result<T, Field>,
) -> Result<T, Error> {
    let head = Head::new(answer);
    let text = head.text(answer.body())?;
    let Some(object) = Object::parse(&text) else { return Err(not_loginradius(&head)) };
    if !(head.status.is_success() && object.has(key))
        && let Some(error) = refusal::read(asked, &head, &object)
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

/// Reads an answer whose success says nothing: an empty body, or JSON that is no error.
pub(crate) fn nothing(asked: &Asked<'_>, answer: &Response<Body>) -> Result<(), Error> {
    let head = Head::new(answer);
    let text = head.text(answer.body())?;
    if let Some(error) = Object::parse(&text).and_then(|object| refusal::read(asked, &head, &object)) {
        return Err(error);
    }
    let says_nothing = text.trim().is_empty() || serde_json::from_str::<IgnoredAny>(&text).is_ok();
    if head.status.is_success() && says_nothing { Ok(()) } else { Err(not_loginradius(&head)) }
}

/// An answer that is neither of LoginRadius's bodies: a proxy's page, an empty body, half a body.
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
