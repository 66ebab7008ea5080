//! The requests of LoginRadius's operations: parameters checked, then written as a form, as JSON or as a query.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use serde::{Serialize, Serializer};

use super::encode;
use crate::app::{App, check_setting};
use crate::body::Body;
use crate::dialect::{BodyFormat, ClientAuthentication};
use crate::error::Error;
use crate::request::{FORM, JSON, basic, check_value};
use crate::route::Route;
use crate::secret_buffer::SecretBuffer;

/// Parameters in the order in which LoginRadius's documentation lists them, or the error of the first bad one.
pub(crate) struct Params<'a>(Result<Vec<(&'a str, &'a str)>, Error>);

impl Default for Params<'_> {
    fn default() -> Self {
        Self(Ok(Vec::new()))
    }
}

impl<'a> Params<'a> {
    /// Begins with the client id.
    pub(crate) fn client(app: &'a App) -> Self {
        Self::default().setting("client_id", app.client_id())
    }

    /// Adds a setting of the app. A space at either end or an invisible character is an error here, because LoginRadius
    /// would refuse it without saying why.
    pub(crate) fn setting(self, name: &'a str, value: &'a str) -> Self {
        let checked = check_setting(&format!("`{name}`"), value);
        Self(self.0.and_then(|params| checked.map(|()| params))).required(name, value)
    }

    /// Adds a parameter that must not be empty.
    pub(crate) fn required(mut self, name: &'a str, value: &'a str) -> Self {
        if let Ok(params) = &mut self.0 {
            match check_value(name, value) {
                Ok(()) => params.push((name, value)),
                Err(error) => self.0 = Err(error),
            }
        }
        self
    }

    /// Adds a parameter unless it is `None` or empty.
    pub(crate) fn optional(self, name: &'a str, value: Option<&'a str>) -> Self {
        match value.filter(|value| !value.is_empty()) {
            Some(value) => self.required(name, value),
            None => self,
        }
    }

    /// Makes the result an error, unless it is one already.
    pub(crate) fn invalid(self, why: impl Into<String>) -> Self {
        Self(self.0.and_then(|_| Err(Error::configuration(why))))
    }

    /// Writes the parameters as a query or a form.
    pub(crate) fn urlencoded(self) -> Result<SecretBuffer, Error> {
        encode::form(&self.0?).ok_or_else(|| Error::configuration("the parameters cannot be form-encoded"))
    }

    fn json(self) -> Result<Body, Error> {
        let json = encode::json(&Members(self.0?))
            .map_err(|_| Error::configuration("the parameters cannot be written as JSON"))?;
        Ok(Body(json))
    }
}

/// The members of a JSON object.
struct Members<'a>(Vec<(&'a str, &'a str)>);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// Builds the request of an OAuth operation that sends no secret: its parameters are the body, in the format of the
/// dialect.
pub(crate) fn public(
    operation: &'static str,
    app: &App,
    route: Route,
    params: Params<'_>,
) -> Result<Request<Body>, Error> {
    let format = app.service().dialect().body_format();
    build(app, route, Params::default(), Some((format, params))).map_err(|error| error.of(operation))
}

/// Builds the request of an OAuth operation that authenticates the client, if the app has a secret. `params` adds the
/// operation's own parameters to the client id and, unless the dialect sends it in a header, the secret.
pub(crate) fn authenticated<'a>(
    operation: &'static str,
    app: &'a App,
    route: Route,
    params: impl FnOnce(Params<'a>) -> Params<'a>,
) -> Result<Request<Body>, Error> {
    let client = Params::client(app);
    match (app.secret(), app.service().dialect().client_authentication()) {
        (None, _) => public(operation, app, route, params(client)),
        (Some(secret), ClientAuthentication::Body) => {
            public(operation, app, route, params(client.setting("client_secret", secret)))
        }
        (Some(secret), ClientAuthentication::Basic) => {
            let checked = Params::default().setting("client_secret", secret).0;
            let header = checked.and_then(|_| basic(app.client_id(), secret));
            let mut request = public(operation, app, route, params(client))?;
            request.headers_mut().insert(AUTHORIZATION, header.map_err(|error| error.of(operation))?);
            Ok(request)
        }
    }
}

/// Builds the request of a JWT operation: its parameters are the query, and the body, if there is one, is JSON.
pub(crate) fn jwt(
    operation: &'static str,
    app: &App,
    route: Route,
    query: Params<'_>,
    body: Option<Params<'_>>,
) -> Result<Request<Body>, Error> {
    build(app, route, query, body.map(|params| (BodyFormat::Json, params))).map_err(|error| error.of(operation))
}

fn build(
    app: &App,
    route: Route,
    query: Params<'_>,
    body: Option<(BodyFormat, Params<'_>)>,
) -> Result<Request<Body>, Error> {
    let query = query.urlencoded()?;
    let (method, content_type, body) = match body {
        None => (Method::GET, None, Body::empty()),
        Some((BodyFormat::Form, params)) => (Method::POST, Some(FORM), Body(params.urlencoded()?)),
        Some((BodyFormat::Json, params)) => (Method::POST, Some(JSON), params.json()?),
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = route.uri(app, &query)?;
    request.headers_mut().insert(ACCEPT, JSON);
    if let Some(content_type) = content_type {
        request.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    Ok(request)
}
