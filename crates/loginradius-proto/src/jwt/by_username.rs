use http::{Request, Response};

use super::login::{self, LoginOptions};
use crate::wire::answer::Asked;
use crate::{App, Body, Endpoint, Error, Jwt, Password};

/// LoginRadius's "JWT Token by Username": a JWT for a user name and a password.
///
/// Needs [`App::jwt_app`]. Never sent twice when the first may have arrived: LoginRadius locks accounts
/// after wrong passwords.
///
/// Classic: `POST /sso/jwt/api/login?apikey&jwtapp`; site: `POST /api/jwt/{app}/login?apikey`; JSON body.
#[derive(Debug, Clone)]
pub struct JwtByUsername {
    username: String,
    password: Password,
    options: LoginOptions,
}

impl JwtByUsername {
    /// Logs in with the registered user name.
    #[must_use]
    pub fn new(username: impl Into<String>, password: impl Into<Password>) -> Self {
        Self { username: username.into(), password: password.into(), options: LoginOptions::new() }
    }

    /// What is sent besides the credentials.
    #[must_use]
    pub fn options(mut self, options: LoginOptions) -> Self {
        self.options = options;
        self
    }
}

impl Endpoint for JwtByUsername {
    type Response = Jwt;

    fn name(&self) -> &'static str {
        "JWT Token by Username"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        login::request(app, ("username", &self.username), &self.password, &self.options)
            .map_err(|error| error.of(self.name()))
    }

    fn response(&self, app: &App, answer: Response<Body>) -> Result<Jwt, Error> {
        login::response(&Asked { app, secrets: &[self.password.expose(), app.key()] }, &answer)
            .map_err(|error| error.of(self.name()))
    }
}
