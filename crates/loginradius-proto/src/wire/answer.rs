//! Answers: which of LoginRadius's bodies one is, whatever its status and content type say.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use serde::de::IgnoredAny;

use super::json::{Field, Object};
use super::{number, refusal};
use crate::{App, Body, Error, ErrorKind};

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
    let head = Answer::new(answer.status(), answer.headers());
    let text = head.text(answer.body())?;
    if let Some(error) = Object::parse(&text).and_then(|object| refusal::read(asked, &head, &object)) {
        return Err(error);
    }
    let says_nothing = text.trim().is_empty() || serde_json::from_str::<IgnoredAny>(&text).is_ok();
    if head.status.is_success() && says_nothing { Ok(()) } else { Err(not_loginradius(&head)) }
}

/// Whose answer is read: the app, and the secrets that the request carried besides the app's.
pub(crate) struct Asked<'a> {
    pub(crate) app: &'a App,
    pub(crate) secrets: &'a [&'a str],
}

/// What the head of an answer says.
pub(crate) struct Answer {
    pub(super) status: StatusCode,
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

    /// The body as text; whatever is not UTF-8 is replaced.
    fn text<'a>(&self, body: &'a Body) -> Result<Cow<'a, str>, Error> {
        let bytes = body.as_bytes();
        if bytes.len() > Body::LIMIT {
            return Err(self.error(ErrorKind::Lost, "the answer is longer than 1 MiB, and was not read"));
        }
        Ok(String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)))
    }

    pub(super) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, message).with_answer(self.status, self.retry_after)
    }
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
