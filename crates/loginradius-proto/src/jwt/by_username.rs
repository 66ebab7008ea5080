use http::{Request, Response};

use super::login::{self, LoginOptions};
use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::secret::{Jwt, Password};
use crate::wire::scrub::Asked;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::BodyFormat::{Form, Json};
    use crate::error::ErrorKind;
    use crate::testing::{Sent, answer, classic_app, sent, site_app};

    fn operation() -> JwtByUsername {
        JwtByUsername::new("johndoe", "p ä&=%+")
    }

    const BODY: &[(&str, &str)] = &[("username", "johndoe"), ("password", "p ä&=%+")];

    #[test]
    fn classic() {
        let query = [("apikey", "my-api-key"), ("jwtapp", "my-jwt-app")];
        for format in [Form, Json] {
            let expected = Sent::query_and_json("https://cloud-api.loginradius.com/sso/jwt/api/login", &query, BODY);
            assert_eq!(sent(&operation(), &classic_app(format)), expected);
        }
    }

    #[test]
    fn site() {
        let query = [("apikey", "my-api-key")];
        for format in [Form, Json] {
            let expected =
                Sent::query_and_json("https://acme.hub.loginradius.com/api/jwt/my-jwt-app/login", &query, BODY);
            assert_eq!(sent(&operation(), &site_app(format)), expected);
        }
    }

    #[test]
    fn with_options() {
        let options = LoginOptions::new()
            .verification_url("https://www.abc.com/verify?a=1&b=2")
            .login_url("https://www.abc.com/login")
            .email_template("default");
        let operation = operation().options(options);
        let options = [
            ("apikey", "my-api-key"),
            ("verificationurl", "https://www.abc.com/verify?a=1&b=2"),
            ("loginurl", "https://www.abc.com/login"),
            ("emailtemplate", "default"),
        ];
        let expected =
            Sent::query_and_json("https://acme.hub.loginradius.com/api/jwt/my-jwt-app/login", &options, BODY);
        assert_eq!(sent(&operation, &site_app(Form)), expected);
        let query = [&options[..], &[("jwtapp", "my-jwt-app")]].concat();
        let expected = Sent::query_and_json("https://cloud-api.loginradius.com/sso/jwt/api/login", &query, BODY);
        assert_eq!(sent(&operation, &classic_app(Form)), expected);
    }

    #[test]
    fn a_nonce_is_for_sites() {
        let operation = operation().options(LoginOptions::new().nonce("3f44"));
        let query = [("Nonce", "3f44"), ("apikey", "my-api-key")];
        assert_eq!(
            sent(&operation, &site_app(Form)),
            Sent::query_and_json("https://acme.hub.loginradius.com/api/jwt/my-jwt-app/login", &query, BODY)
        );
        let error = operation.request(&classic_app(Form)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert!(error.to_string().contains("leave it out, or use `Service::site`"), "{error}");
    }

    #[test]
    fn answer_with_a_jwt() {
        let body = r#"{"signature":"e30.e30.c2ln"}"#;
        let jwt = operation().response(&classic_app(Form), answer(200, body)).unwrap();
        assert_eq!(jwt.expose(), "e30.e30.c2ln");
    }

    #[test]
    fn answer_with_an_error() {
        let body = r#"{"ErrorCode":966,"Message":"Invalid user ID and/or password"}"#;
        let error = operation().response(&classic_app(Form), answer(401, body)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AskUser);
        assert_eq!(error.operation(), Some("JWT Token by Username"));
        assert_eq!(error.service().unwrap().code, Some(966));
    }

    #[test]
    fn it_is_never_repeated() {
        assert!(!operation().repeatable());
    }
}
