use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::body::Body;
use crate::error::Error;
use crate::secret::{AccessToken, ClientSecret};
use crate::service::{BaseUrl, is_dot_or_empty};

/// Builds the request of an [`Endpoint`](crate::Endpoint) of your own.
///
/// Whatever is passed to it is encoded for its place, or refused by [`build`](Self::build). No method panics, and the
/// first mistake is the one that is reported.
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
    /// The address without its query.
    address: String,
    query: Vec<(Cow<'static, str>, Zeroizing<String>)>,
    headers: HeaderMap,
    body: Body,
}

pub(crate) const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Headers that the transport sets, and that would lead another reader to another request.
const TRANSPORT_HEADERS: [&str; 7] =
    ["connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"];

impl RequestBuilder {
    /// Begins a GET request to that path at an address of the [`Service`](crate::Service).
    ///
    /// The path is the fixed part, such as `/identity/v2/auth/account`: what varies is a [`segment`](Self::segment).
    pub fn get(base: &BaseUrl, path: &str) -> Self {
        Self::new(Method::GET, base, path)
    }

    /// Begins a POST request.
    pub fn post(base: &BaseUrl, path: &str) -> Self {
        Self::new(Method::POST, base, path)
    }

    /// Begins a PUT request.
    pub fn put(base: &BaseUrl, path: &str) -> Self {
        Self::new(Method::PUT, base, path)
    }

    /// Begins a DELETE request.
    pub fn delete(base: &BaseUrl, path: &str) -> Self {
        Self::new(Method::DELETE, base, path)
    }

    /// Begins a request of any method.
    pub fn new(method: Method, base: &BaseUrl, path: &str) -> Self {
        Self(check_path(path).map(|()| Parts {
            method,
            address: format!("{base}{path}"),
            query: Vec::new(),
            headers: HeaderMap::from_iter([(ACCEPT, JSON)]),
            body: Body::empty(),
        }))
    }

    /// Adds a segment to the path: an identifier, a name. It is percent-encoded, so that it stays one segment whatever
    /// it contains; an empty one, `.` and `..` are refused.
    pub fn segment(self, segment: &str) -> Self {
        self.and(|parts| {
            if matches!(segment, "" | "." | "..") {
                return Err(Error::configuration("a segment of the path is empty or a dot segment: give its value"));
            }
            check_text("a segment of the path", segment)?;
            parts.address += &format!("/{}", percent_encoded(segment));
            Ok(())
        })
    }

    /// Adds a parameter to the query.
    ///
    /// A secret in a query reaches the logs of servers and proxies. Use it only where LoginRadius does, and name the
    /// secret in [`Endpoint::secrets`](crate::Endpoint::secrets).
    pub fn query(self, name: impl Into<Cow<'static, str>>, value: &str) -> Self {
        let name = name.into();
        self.and(|parts| {
            check_value(&name, value)?;
            parts.query.push((name, Zeroizing::new(value.to_owned())));
            Ok(())
        })
    }

    /// Adds a parameter to the query if there is a value for it.
    pub fn query_opt(self, name: impl Into<Cow<'static, str>>, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Sends the access token as `Authorization: Bearer` ([RFC 6750, section 2.1]).
    ///
    /// [RFC 6750, section 2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
    pub fn bearer(self, token: &AccessToken) -> Self {
        if token.expose().is_empty() {
            return self.and(|_| Err(Error::configuration("the access token is empty: give the token of a login")));
        }
        self.secret_header(AUTHORIZATION, "the access token", &format!("Bearer {}", token.expose()))
    }

    /// Sends the client's id and secret by HTTP Basic authentication ([RFC 6749, section 2.3.1]).
    ///
    /// [RFC 6749, section 2.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
    pub fn basic(self, client_id: &str, client_secret: &ClientSecret) -> Self {
        let header = basic(client_id, client_secret.expose());
        self.and(|parts| {
            parts.headers.insert(AUTHORIZATION, header?);
            Ok(())
        })
    }

    /// Adds a header, in place of an earlier one of that name. No log of an HTTP library that respects
    /// `HeaderValue::is_sensitive` shows its value.
    pub fn header(self, name: &str, value: &str) -> Self {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) if TRANSPORT_HEADERS.contains(&name.as_str()) => {
                self.and(|_| Err(Error::configuration(format!("the header `{name}` is the transport's: leave it out"))))
            }
            Ok(name) => {
                let what = format!("the header `{name}`");
                self.secret_header(name, &what, value)
            }
            Err(_) => {
                self.and(|_| Err(Error::configuration("a header's name has a character that HTTP does not allow")))
            }
        }
    }

    /// Sends these fields as a form, in place of an earlier body.
    ///
    /// ```
    /// # use loginradius_proto::{RequestBuilder, Service};
    /// # fn main() -> Result<(), loginradius_proto::Error> {
    /// # let service = Service::classic();
    /// let request = RequestBuilder::post(service.api_host(), "/identity/v2/auth/email")
    ///     .form(&[("email", "ada@example.com"), ("type", "Secondary")])
    ///     .build()?;
    /// assert_eq!(request.body().as_bytes(), b"email=ada%40example.com&type=Secondary");
    /// # Ok(())
    /// # }
    /// ```
    pub fn form(self, fields: &(impl Serialize + ?Sized)) -> Self {
        self.and(|parts| {
            let text = serde_urlencoded::to_string(fields).map_err(|_| {
                Error::configuration("the body cannot be written as a form: give it names and plain values")
            })?;
            parts.set_body(FORM, Body::from(text));
            Ok(())
        })
    }

    /// Sends this value as JSON, in place of an earlier body.
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Self {
        self.and(|parts| {
            let bytes = serde_json::to_vec(value)
                .map_err(|_| Error::configuration("the body cannot be written as JSON: its keys have to be strings"))?;
            parts.set_body(JSON, Body::from(bytes));
            Ok(())
        })
    }

    /// Builds the request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a part of it cannot be sent: a control
    /// character anywhere, a dot segment or an empty one in the path, an empty value in the query, a body that cannot
    /// be encoded, an address that is too long. The message says which part, and shows no value.
    pub fn build(self) -> Result<Request<Body>, Error> {
        let Parts { method, address, query, headers, body } = self.0?;
        let pairs: Vec<(&str, &str)> = query.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect();
        let query = serde_urlencoded::to_string(pairs)
            .map_err(|_| Error::configuration("the parameters cannot be form-encoded"))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri(&address, &query)?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn secret_header(self, name: HeaderName, what: &str, value: &str) -> Self {
        self.and(|parts| {
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                Error::configuration(format!(
                    "{what} has a character that no header can carry (a stray line break, perhaps): remove it"
                ))
            })?;
            value.set_sensitive(true);
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

/// The address and the headers may hold secrets.
impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("method", &self.method).field("body", &self.body).finish_non_exhaustive()
    }
}

/// Makes a URI of an address and a query, which may be empty.
pub(crate) fn uri(address: &str, query: &str) -> Result<Uri, Error> {
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{address}{mark}{query}")
        .parse()
        .map_err(|_| Error::configuration("the parameters make a URL that is too long: shorten them"))
}

/// Makes the header of HTTP Basic authentication: id and secret are form-encoded first (RFC 6749, section 2.3.1).
pub(crate) fn basic(client_id: &str, client_secret: &str) -> Result<HeaderValue, Error> {
    let encoded = |text: &str| serde_urlencoded::to_string([("", text)]).unwrap_or_default().split_off(1);
    let pair = Zeroizing::new(format!("{}:{}", encoded(client_id), encoded(client_secret)));
    let mut header = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair.as_bytes())))
        .map_err(|_| Error::configuration("the client id and the client secret cannot stand in a header"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// RFC 3986 `unreserved`: everything else is encoded, so that a text is one segment whatever it contains.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) fn percent_encoded(segment: &str) -> String {
    utf8_percent_encode(segment, UNRESERVED).to_string()
}

/// Refuses a value that is empty or cannot be sent.
pub(crate) fn check_value(name: &str, value: &str) -> Result<(), Error> {
    if value.is_empty() {
        return Err(Error::configuration(format!("`{name}` is empty: give it a value")));
    }
    check_text(&format!("`{name}`"), value)
}

/// Refuses a text with a control character.
pub(crate) fn check_text(what: &str, text: &str) -> Result<(), Error> {
    if text.chars().any(char::is_control) {
        return Err(Error::configuration(format!(
            "{what} contains a control character (a stray line break, perhaps): remove it"
        )));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::configuration(format!("the path of the request {why}")));
    let Some(segments) = path.strip_prefix('/') else {
        return refuse("has to begin with `/`, as /identity/v2/auth/account");
    };
    // RFC 3986, section 3.3: `pchar` without percent-encoding.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
    if !path.bytes().all(plain) {
        return refuse(
            "has a character that has to be encoded: add what varies by `RequestBuilder::segment`, and parameters by \
             `RequestBuilder::query`",
        );
    }
    if segments.split('/').any(is_dot_or_empty) {
        return refuse("has an empty or a dot segment: write the path out");
    }
    Ok(())
}
