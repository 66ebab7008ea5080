//! The requests of LoginRadius's operations: parameters checked, then written as a form, as JSON or as a query.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, Uri};
use serde::{Serialize, Serializer};

use super::encode;
use crate::app::{App, check_setting};
use crate::body::Body;
use crate::dialect::{BodyFormat, ClientAuthentication};
use crate::error::Error;
use crate::request::{FORM, JSON, basic, check_value, too_long};
use crate::route::Route;
use crate::secret_buffer::SecretBuffer;

/// A parameter of a request.
#[derive(Clone, Copy)]
pub(crate) enum Param<'a> {
    /// A setting of the app. A space at either end or an invisible character is an error here, because LoginRadius would
    /// refuse it without saying why.
    Setting(&'a str, &'a str),
    /// A parameter that must not be empty.
    Required(&'a str, &'a str),
    /// A parameter that is left out if it is `None` or empty.
    Optional(&'a str, Option<&'a str>),
}

impl<'a> Param<'a> {
    /// Returns the client id.
    pub(crate) fn client_id(app: &'a App) -> Self {
        Self::Setting("client_id", app.client_id())
    }

    fn check(self) -> Result<(), Error> {
        match self {
            Self::Setting(name, value) => {
                check_setting(format_args!("`{name}`"), value)?;
                check_value(name, value)
            }
            Self::Required(name, value) => check_value(name, value),
            Self::Optional(..) => self.pair().map_or(Ok(()), |(name, value)| check_value(name, value)),
        }
    }

    /// Returns its name and its value, unless it is left out.
    fn pair(self) -> Option<(&'a str, &'a str)> {
        match self {
            Self::Setting(name, value) | Self::Required(name, value) => Some((name, value)),
            Self::Optional(name, value) => Some((name, value.filter(|value| !value.is_empty())?)),
        }
    }
}

/// Parameters in the order in which LoginRadius's documentation lists them, in several parts. None is bad.
#[derive(Clone, Copy)]
struct Params<'a>(&'a [&'a [Param<'a>]]);

impl<'a> Params<'a> {
    /// Checks every parameter: the error is that of the first bad one.
    fn checked(parts: &'a [&'a [Param<'a>]]) -> Result<Self, Error> {
        parts.iter().copied().flatten().try_for_each(|param| param.check())?;
        Ok(Self(parts))
    }

    fn pairs(self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
        self.0.iter().copied().flatten().filter_map(|param| param.pair())
    }

    fn json(self) -> Result<Body, Error> {
        let json = encode::json(&self).map_err(|_| Error::configuration("the parameters cannot be written as JSON"))?;
        Ok(Body(json))
    }
}

impl Serialize for Params<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.pairs())
    }
}

/// Builds the request of an OAuth operation that sends no secret: its parameters are the body, in the format of the
/// dialect.
pub(crate) fn public(
    operation: &'static str,
    app: &App,
    route: Route,
    params: &[Param<'_>],
) -> Result<Request<Body>, Error> {
    oauth(operation, app, route, &[&[Param::client_id(app)], params])
}

/// Builds the request of an OAuth operation that authenticates the client, if the app has a secret: by a parameter
/// beside the operation's own or, if the dialect says so, by a header.
pub(crate) fn authenticated(
    operation: &'static str,
    app: &App,
    route: Route,
    params: &[Param<'_>],
) -> Result<Request<Body>, Error> {
    let client_id = Param::client_id(app);
    match (app.secret(), app.service().dialect().client_authentication()) {
        (None, _) => public(operation, app, route, params),
        (Some(secret), ClientAuthentication::Body) => {
            let client = [client_id, Param::Setting("client_secret", secret)];
            oauth(operation, app, route, &[&client, params])
        }
        (Some(secret), ClientAuthentication::Basic) => {
            let mut request = public(operation, app, route, params)?;
            let checked = Param::Setting("client_secret", secret).check();
            let header = checked.and_then(|()| basic(app.client_id(), secret)).map_err(|error| error.of(operation))?;
            request.headers_mut().insert(AUTHORIZATION, header);
            Ok(request)
        }
    }
}

fn oauth(operation: &'static str, app: &App, route: Route, params: &[&[Param<'_>]]) -> Result<Request<Body>, Error> {
    let format = app.service().dialect().body_format();
    build(app, route, &[], Some((format, params))).map_err(|error| error.of(operation))
}

/// Builds the request of a JWT operation: its parameters are the query, and the body, if there is one, is JSON.
pub(crate) fn jwt(
    operation: &'static str,
    app: &App,
    route: Route,
    query: &[&[Param<'_>]],
    body: Option<&[Param<'_>]>,
) -> Result<Request<Body>, Error> {
    let built = match body {
        None => build(app, route, query, None),
        Some(params) => build(app, route, query, Some((BodyFormat::Json, &[params]))),
    };
    built.map_err(|error| error.of(operation))
}

fn build(
    app: &App,
    route: Route,
    query: &[&[Param<'_>]],
    body: Option<(BodyFormat, &[&[Param<'_>]])>,
) -> Result<Request<Body>, Error> {
    let query = Params::checked(query)?;
    let (method, content_type, body) = match body {
        None => (Method::GET, None, Body::empty()),
        Some((BodyFormat::Form, params)) => {
            (Method::POST, Some(FORM), Body(encode::pairs(Params::checked(params)?.pairs())))
        }
        Some((BodyFormat::Json, params)) => (Method::POST, Some(JSON), Params::checked(params)?.json()?),
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = with_query(route.url(app)?, query)?;
    request.headers_mut().insert(ACCEPT, JSON);
    if let Some(content_type) = content_type {
        request.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    Ok(request)
}

fn with_query(url: Uri, query: Params<'_>) -> Result<Uri, Error> {
    if query.pairs().next().is_none() {
        return Ok(url);
    }
    let mut path = SecretBuffer::with_capacity(url.path().len() + encode::max_query_length(query.pairs()));
    path.push(url.path().as_bytes());
    encode::push_query(&mut path, query.pairs());
    let mut parts = url.into_parts();
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from_owner(path)).map_err(|_| too_long())?);
    Uri::from_parts(parts).map_err(|_| too_long())
}

/// Makes an operation's URL for a browser. `more` is appended to the query as it is, unless it is empty.
pub(crate) fn browser_url(app: &App, route: Route, query: &[Param<'_>], more: &str) -> Result<String, Error> {
    let query = [query];
    let query = Params::checked(&query)?;
    let url = route.url(app)?;
    let authority = url.authority().map_or("", Authority::as_str);
    let length = "https://".len() + authority.len() + url.path().len();
    // Large enough from the start: a text that grows leaves copies of the login's state behind.
    let mut text = SecretBuffer::with_capacity(length + encode::max_query_length(query.pairs()) + more.len());
    for part in [url.scheme_str().unwrap_or_default(), "://", authority, url.path()] {
        text.push(part.as_bytes());
    }
    encode::push_query(&mut text, query.pairs());
    text.push(more.as_bytes());
    // No longer than the URL of any other operation. The copy's memory is overwritten, too.
    Uri::from_maybe_shared(Bytes::from_owner(text.clone())).map_err(|_| too_long())?;
    String::from_utf8(text.into_vec()).map_err(|_| too_long())
}
