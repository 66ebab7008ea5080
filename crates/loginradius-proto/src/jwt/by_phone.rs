use http::{Request, Response};

use super::login::{self, LoginOptions};
use crate::wire::answer::Asked;
use crate::{App, Body, Endpoint, Error, Jwt, Password};

/// LoginRadius's "JWT Token by Phone": a JWT for a phone number and a password.
///
/// Needs [`App::jwt_app`]. Never sent twice when the first may have arrived: LoginRadius locks accounts
/// after wrong passwords.
///
/// Classic: `POST /sso/jwt/api/login?apikey&jwtapp`; site: `POST /api/jwt/{app}/login?apikey`; JSON body.
#[derive(Debug, Clone)]
pub struct JwtByPhone {
    phone: String,
    password: Password,
    options: LoginOptions,
}

impl JwtByPhone {
    /// Logs in with the registered phone number.
    #[must_use]
    pub fn new(phone: impl Into<String>, password: impl Into<Password>) -> Self {
        Self { phone: phone.into(), password: password.into(), options: LoginOptions::new() }
    }

    /// What is sent besides the credentials.
    #[must_use]
    pub fn options(mut self, options: LoginOptions) -> Self {
        self.options = options;
        self
    }
}

impl Endpoint for JwtByPhone {
    type Response = Jwt;

    fn name(&self) -> &'static str {
        "JWT Token by Phone"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        login::request(app, ("phone", &self.phone), &self.password, &self.options)
            .map_err(|error| error.of(self.name()))
    }

    fn response(&self, app: &App, answer: Response<Body>) -> Result<Jwt, Error> {
        login::response(&Asked { app, secrets: &[self.password.expose(), app.key()] }, &answer)
            .map_err(|error| error.of(self.name()))
    }
}
