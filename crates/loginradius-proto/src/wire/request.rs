//! Requests: parameters checked, then written as a form, as JSON or as a query.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use serde::{Serialize, Serializer};

use crate::app::{App, BodyFormat};
use crate::body::Body;
use crate::error::Error;
use crate::route::Route;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Parameters in the order in which LoginRadius's documentation lists them.
#[derive(Default)]
pub(crate) struct Params<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Params<'a> {
    /// Begins with the client's id.
    pub(crate) fn client(app: &'a App) -> Result<Self, Error> {
        Self::default().setting("client_id", &app.client_id)
    }

    /// Adds the client's secret, if there is one.
    pub(crate) fn secret(self, app: &'a App) -> Result<Self, Error> {
        match app.secret() {
            None | Some("") => Ok(self),
            Some(secret) => self.setting("client_secret", secret),
        }
    }

    /// Adds a setting of the app. One that was copied with a space around it is refused by LoginRadius
    /// with words that nobody understands.
    pub(crate) fn setting(self, name: &'a str, value: &'a str) -> Result<Self, Error> {
        if value.trim_matches(' ') != value {
            return Err(Error::settings(format!("`{name}` begins or ends with a space: remove it")));
        }
        self.required(name, value)
    }

    /// Adds a parameter that must not be empty.
    pub(crate) fn required(mut self, name: &'a str, value: &'a str) -> Result<Self, Error> {
        if value.is_empty() {
            return Err(Error::settings(format!("`{name}` is empty: give it a value")));
        }
        self.push(name, value)?;
        Ok(self)
    }

    /// Adds a parameter; none and an empty one leave the key out.
    pub(crate) fn optional(mut self, name: &'a str, value: Option<&'a str>) -> Result<Self, Error> {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.push(name, value)?;
        }
        Ok(self)
    }

    fn push(&mut self, name: &'a str, value: &'a str) -> Result<(), Error> {
        if value.chars().any(char::is_control) {
            return Err(Error::settings(format!(
                "`{name}` contains a control character (a stray line break, perhaps): remove it"
            )));
        }
        self.0.push((name, value));
        Ok(())
    }

    pub(crate) fn urlencoded(&self) -> Result<String, Error> {
        serde_urlencoded::to_string(self).map_err(|_| Error::settings("the parameters cannot be form-encoded"))
    }

    fn json(&self) -> Result<Body, Error> {
        let bytes =
            serde_json::to_vec(self).map_err(|_| Error::settings("the parameters cannot be written as JSON"))?;
        Ok(Body::from(bytes))
    }
}

impl Serialize for Params<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// An OAuth call: its parameters are the body, in the format that the app asks for.
pub(crate) fn oauth(app: &App, route: Route, params: &Params<'_>) -> Result<Request<Body>, Error> {
    let (format, body) = match app.body_format {
        BodyFormat::Form => (FORM, Body::from(params.urlencoded()?)),
        BodyFormat::Json => (JSON, params.json()?),
    };
    build(app, Method::POST, route, "", Some(format), body)
}

/// A JWT call: its parameters are the query, and the body, if there is one, is always JSON.
pub(crate) fn jwt(
    app: &App,
    route: Route,
    query: &Params<'_>,
    body: Option<&Params<'_>>,
) -> Result<Request<Body>, Error> {
    let query = query.urlencoded()?;
    match body {
        Some(body) => build(app, Method::POST, route, &query, Some(JSON), body.json()?),
        None => build(app, Method::GET, route, &query, None, Body::empty()),
    }
}

fn build(
    app: &App,
    method: Method,
    route: Route,
    query: &str,
    format: Option<HeaderValue>,
    body: Body,
) -> Result<Request<Body>, Error> {
    let uri = route.uri(app, query)?;
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    request.headers_mut().insert(ACCEPT, JSON);
    if let Some(format) = format {
        request.headers_mut().insert(CONTENT_TYPE, format);
    }
    Ok(request)
}
