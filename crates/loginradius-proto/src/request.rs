use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use form_urlencoded::byte_serialize;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, InvalidHeaderValue};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::body::Body;
use crate::error::Error;
use crate::secret::{AccessToken, ClientSecret};
use crate::secret_buffer::SecretBuffer;
use crate::secret_text::SecretText;
use crate::service::{BaseUrl, is_dot_or_empty};
use crate::wire::character::is_token;
use crate::wire::encode;

/// Builds the request of [an `Endpoint` of your own](crate::Endpoint#an-endpoint-of-your-own).
///
/// Each value is encoded for its place. [`build`](Self::build) returns an error for a value that cannot be sent, such
/// as one with a control character: the first one, if there are several. No method panics. Every request has
/// `Accept: application/json`, unless [`header`](Self::header) sets another.
///
/// ```
/// use loginradius_proto::{AccessToken, RequestBuilder, Service};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let service = Service::classic();
/// let request = RequestBuilder::get(service.api_host(), "/identity/v2/manage/account")
///     .segment("my/uid")
///     .query("fields", "Uid,Email")
///     .bearer(&AccessToken::new("b8cb84c9"))
///     .build()?;
/// assert_eq!(
///     request.uri(),
///     "https://api.loginradius.com/identity/v2/manage/account/my%2Fuid?fields=Uid%2CEmail",
/// );
/// # Ok(())
/// # }
/// ```
#[must_use]
#[derive(Debug)]
pub struct RequestBuilder(Result<Parts, Error>);

struct Parts {
    method: Method,
    /// The URL without its query.
    url: SecretBuffer,
    query: Vec<(Cow<'static, str>, SecretText)>,
    headers: HeaderMap,
    body: Body,
}

pub(crate) const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Headers that the transport sets: another value would make a server read another request than the one that was built.
const TRANSPORT_HEADERS: [&str; 10] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

impl RequestBuilder {
    /// Starts a GET request to a path at [`Service::base`](crate::Service::base) or
    /// [`Service::api_host`](crate::Service::api_host).
    ///
    /// `path` is the constant part of the path, such as `/identity/v2/auth/account`: it begins with `/`, does not end
    /// with one, and contains no `%`, `?` or `#`. Add what varies by [`segment`](Self::segment).
    pub fn get(base: &BaseUrl, path: &str) -> Self {
        Self::new(Method::GET, base, path)
    }

    /// Starts a POST request; the arguments are those of [`get`](Self::get).
    pub fn post(base: &BaseUrl, path: &str) -> Self {
        Self::new(Method::POST, base, path)
    }

    /// Starts a PUT request; the arguments are those of [`get`](Self::get).
    pub fn put(base: &BaseUrl, path: &str) -> Self {
        Self::new(Method::PUT, base, path)
    }

    /// Starts a DELETE request; the arguments are those of [`get`](Self::get).
    pub fn delete(base: &BaseUrl, path: &str) -> Self {
        Self::new(Method::DELETE, base, path)
    }

    /// Starts a request of that method: GET, POST, PUT, PATCH or DELETE. The other arguments are those of
    /// [`get`](Self::get).
    pub fn new(method: Method, base: &BaseUrl, path: &str) -> Self {
        Self(check_method(&method).and_then(|()| check_path(path)).map(|()| Parts {
            method,
            url: SecretBuffer::from(format!("{base}{path}").into_bytes()),
            query: Vec::new(),
            headers: HeaderMap::from_iter([(ACCEPT, JSON)]),
            body: Body::empty(),
        }))
    }

    /// Adds a segment to the path, such as an identifier.
    ///
    /// It is percent-encoded, so it stays one segment whatever it contains. An empty one, `.` and `..` are refused.
    pub fn segment(self, segment: &str) -> Self {
        self.and(|parts| {
            if matches!(segment, "" | "." | "..") {
                return Err(Error::configuration("a segment of the path is empty, `.` or `..`: pass its value"));
            }
            check_text("a segment of the path", segment)?;
            parts.url.push(b"/");
            percent_encoded(segment).for_each(|part| parts.url.push(part.as_bytes()));
            Ok(())
        })
    }

    /// Adds a parameter to the query. An empty value is refused.
    ///
    /// A secret in a query gets into the logs of servers and proxies: put one there only if LoginRadius asks for it,
    /// and return it from [`Endpoint::secrets`](crate::Endpoint::secrets).
    #[doc(alias("parameter", "query string"))]
    pub fn query(self, name: impl Into<Cow<'static, str>>, value: &str) -> Self {
        let name = name.into();
        self.and(|parts| {
            if name.is_empty() || name.chars().any(char::is_control) {
                return Err(Error::configuration(
                    "the name of a parameter is empty or contains a control character: correct the name",
                ));
            }
            check_value(&name, value)?;
            parts.query.push((name, value.into()));
            Ok(())
        })
    }

    /// Adds a parameter to the query if the value is not `None`.
    pub fn query_opt(self, name: impl Into<Cow<'static, str>>, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Sets the header `Authorization: Bearer` to the access token ([RFC 6750, section 2.1]).
    ///
    /// [RFC 6750, section 2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
    #[doc(alias("authorization", "access token"))]
    pub fn bearer(self, token: &AccessToken) -> Self {
        if token.expose().is_empty() {
            return self.and(|_| Err(Error::configuration("the access token is empty: pass the one of a login")));
        }
        self.secret_header(AUTHORIZATION, "the access token", "Bearer ", token.expose())
    }

    /// Sets the header `Authorization` to the client's id and secret, by HTTP Basic authentication
    /// ([RFC 6749, section 2.3.1]).
    ///
    /// [RFC 6749, section 2.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
    pub fn basic(self, client_id: &str, client_secret: &ClientSecret) -> Self {
        self.and(|parts| {
            check_value("client_id", client_id)?;
            check_value("client_secret", client_secret.expose())?;
            parts.headers.insert(AUTHORIZATION, basic(client_id, client_secret.expose())?);
            Ok(())
        })
    }

    /// Sets a header, in place of an earlier one of that name.
    ///
    /// The value is marked as sensitive, which HTTP libraries heed when they print headers. Headers that the transport
    /// sets, such as `Host` and `Content-Length`, are refused.
    pub fn header(self, name: &str, value: &str) -> Self {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) if TRANSPORT_HEADERS.contains(&name.as_str()) => {
                self.and(|_| Err(Error::configuration(format!("the transport sets the header `{name}`: leave it out"))))
            }
            Ok(name) => {
                let what = format!("the header `{name}`");
                self.secret_header(name, &what, "", value)
            }
            Err(_) => {
                self.and(|_| Err(Error::configuration("a header's name has a character that HTTP forbids: remove it")))
            }
        }
    }

    /// Sets the body to a form (`application/x-www-form-urlencoded`), in place of an earlier body. The fields are names
    /// and plain values: a slice of pairs, a map, or a struct.
    ///
    /// ```
    /// # use loginradius_proto::{RequestBuilder, Service};
    /// # fn main() -> Result<(), loginradius_proto::Error> {
    /// # let service = Service::classic();
    /// let request = RequestBuilder::post(service.base(), "/some/form")
    ///     .form(&[("email", "ada@example.com"), ("type", "Secondary")])
    ///     .build()?;
    /// assert_eq!(request.body().as_bytes(), b"email=ada%40example.com&type=Secondary");
    /// # Ok(())
    /// # }
    /// ```
    pub fn form(self, fields: &(impl Serialize + ?Sized)) -> Self {
        self.and(|parts| {
            let form = encode::form(fields).ok_or_else(|| {
                Error::configuration(
                    "the body cannot be written as a form: use names and plain values, not nested ones",
                )
            })?;
            parts.set_body(FORM, Body(form));
            Ok(())
        })
    }

    /// Sets the body to the value as JSON (`application/json`), in place of an earlier body.
    ///
    /// ```
    /// # use loginradius_proto::{AccessToken, RequestBuilder, Service};
    /// # fn main() -> Result<(), loginradius_proto::Error> {
    /// # let service = Service::classic();
    /// // LoginRadius's "Add Email". An operation that changes something is not `repeatable`.
    /// let request = RequestBuilder::post(service.api_host(), "/identity/v2/auth/email")
    ///     .query("apikey", "my-api-key")
    ///     .bearer(&AccessToken::new("b8cb84c9"))
    ///     .json(&serde_json::json!({ "email": "ada@example.com", "type": "Secondary" }))
    ///     .build()?;
    /// assert_eq!(request.body().as_bytes(), br#"{"email":"ada@example.com","type":"Secondary"}"#);
    /// # Ok(())
    /// # }
    /// ```
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Self {
        self.and(|parts| {
            let json = encode::json(value).map_err(|_| {
                Error::configuration("the body cannot be written as JSON: the keys of its maps have to be strings")
            })?;
            parts.set_body(JSON, Body(json));
            Ok(())
        })
    }

    /// Builds the request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a part of it cannot be sent: a control
    /// character in the path, the query or a header, an empty or a dot segment in the path, an empty name or value in
    /// the query, an empty token, a header that the transport sets, another method than those of [`new`](Self::new), a
    /// body that cannot be encoded, a URL that is too long. The message names the part and shows no value.
    pub fn build(self) -> Result<Request<Body>, Error> {
        let Parts { method, url, query, headers, body } = self.0?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri(url, query.iter().map(|(name, value)| (&**name, &**value)))?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn secret_header(self, name: HeaderName, what: &str, scheme: &str, secret: &str) -> Self {
        self.and(|parts| {
            check_text(what, secret)?;
            let value = secret_value(scheme, secret).map_err(|_| {
                Error::configuration(format!("{what} contains a character that no header can carry: remove it"))
            })?;
            parts.headers.insert(name, value);
            Ok(())
        })
    }

    fn and(self, change: impl FnOnce(&mut Parts) -> Result<(), Error>) -> Self {
        Self(self.0.and_then(|mut parts| change(&mut parts).map(|()| parts)))
    }
}

impl Parts {
    fn set_body(&mut self, content_type: HeaderValue, body: Body) {
        self.headers.insert(CONTENT_TYPE, content_type);
        self.body = body;
    }
}

// The URL and the headers may hold secrets.
impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("method", &self.method).field("body", &self.body).finish_non_exhaustive()
    }
}

/// Makes a URI of a URL without a query and its parameters. Its memory is overwritten when the last clone of the URI is
/// dropped.
fn uri<'a>(url: SecretBuffer, query: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Result<Uri, Error> {
    let mut whole = SecretBuffer::with_capacity(url.len() + encode::max_query_length(query.clone()));
    whole.push(&url);
    encode::push_query(&mut whole, query);
    Uri::from_maybe_shared(Bytes::from_owner(whole)).map_err(|_| too_long())
}

/// Creates the error of a URL that no request can have.
pub(crate) fn too_long() -> Error {
    Error::configuration("the parameters make a URL that is too long: shorten them")
}

/// Makes the header of HTTP Basic authentication: id and secret are form-encoded first (RFC 6749, section 2.3.1).
pub(crate) fn basic(client_id: &str, client_secret: &str) -> Result<HeaderValue, Error> {
    let mut pair = SecretBuffer::default();
    byte_serialize(client_id.as_bytes()).for_each(|part| pair.push(part.as_bytes()));
    pair.push(b":");
    byte_serialize(client_secret.as_bytes()).for_each(|part| pair.push(part.as_bytes()));
    basic_value(&pair).map_err(|_| {
        Error::configuration("the client id and the client secret cannot be sent by HTTP Basic authentication")
    })
}

/// Makes the value of a header of HTTP Basic authentication (RFC 7617) of the user id, a colon and the password.
pub(crate) fn basic_value(pair: &[u8]) -> Result<HeaderValue, InvalidHeaderValue> {
    secret_value("Basic ", &Zeroizing::new(STANDARD.encode(pair)))
}

/// Makes the value of a header, which HTTP libraries do not print. Its memory is overwritten when its last clone is
/// dropped.
fn secret_value(scheme: &str, secret: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut whole = SecretBuffer::with_capacity(scheme.len() + secret.len());
    whole.push(scheme.as_bytes());
    whole.push(secret.as_bytes());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(whole))?;
    value.set_sensitive(true);
    Ok(value)
}

/// All but the `unreserved` characters of RFC 3986, section 2.3: with these encoded, any text is one segment.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) fn percent_encoded(segment: &str) -> PercentEncode<'_> {
    utf8_percent_encode(segment, UNRESERVED)
}

/// Checks that a value is not empty and can be sent.
pub(crate) fn check_value(name: &str, value: &str) -> Result<(), Error> {
    if value.is_empty() {
        return Err(Error::configuration(format!("`{name}` is empty: give it a value")));
    }
    check_text(format_args!("`{name}`"), value)
}

/// Checks that a text has no control character.
pub(crate) fn check_text(what: impl fmt::Display, text: &str) -> Result<(), Error> {
    if !is_token(text) && text.chars().any(char::is_control) {
        return Err(Error::configuration(format!(
            "{what} contains a control character (a stray line break, perhaps): remove it"
        )));
    }
    Ok(())
}

/// Checks that the method is one that LoginRadius has operations of, and that every transport sends alike.
fn check_method(method: &Method) -> Result<(), Error> {
    match *method {
        Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => Ok(()),
        _ => Err(Error::configuration(
            "the request's method is none of GET, POST, PUT, PATCH and DELETE: use one of these",
        )),
    }
}

fn check_path(path: &str) -> Result<(), Error> {
    let invalid = |why: &str| Err(Error::configuration(format!("the request's path {why}")));
    let Some(segments) = path.strip_prefix('/') else {
        return invalid("has to begin with `/`, for example `/identity/v2/auth/account`");
    };
    // RFC 3986, section 3.3: `pchar` without percent-encoding.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
    if !path.bytes().all(plain) {
        return invalid(
            "has a character that has to be encoded: add what varies by `RequestBuilder::segment`, and parameters by \
             `RequestBuilder::query`",
        );
    }
    if segments.split('/').any(is_dot_or_empty) {
        return invalid("has an empty, `.` or `..` segment: remove it, and give the whole path");
    }
    Ok(())
}
