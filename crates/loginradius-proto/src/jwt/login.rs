use http::{Request, Response};

use crate::api::Api;
use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::route::Route;
use crate::secret::{Jwt, Nonce, Password};
use crate::wire::head::ResponseHead;
use crate::wire::json::{FieldProblem, Object};
use crate::wire::request::{self, Param};
use crate::wire::response::ResponseReader;

/// LoginRadius's "JWT Token by Email", "JWT Token by Phone" and "JWT Token by Username": gets a JWT for a password.
///
/// It is never sent twice when the first may have arrived, because LoginRadius locks accounts after wrong passwords.
/// What the user has to correct or to do is an [`ErrorKind::UserActionRequired`](crate::ErrorKind::UserActionRequired).
///
/// Classic: `POST /sso/jwt/api/login?apikey&jwtapp`. Site: `POST /api/jwt/{jwtapp}/login?apikey`. The body is JSON.
/// Both need [`App::with_jwt_app`]. With a service of OpenID Connect, they are the same.
///
/// ```
/// use loginradius_proto::{App, Endpoint, jwt::JwtLogin};
///
/// let login = JwtLogin::email("user@example.com", "password");
/// assert_eq!(login.name(), "JWT Token by Email");
///
/// let request = login.request(&App::new("my-api-key").with_jwt_app("my-jwt-app")).unwrap();
/// assert_eq!(request.body().as_bytes(), br#"{"email":"user@example.com","password":"password"}"#);
/// ```
#[derive(Debug, Clone)]
#[doc(alias("JWT Token by Email", "JWT Token by Phone", "JWT Token by Username", "password"))]
pub struct JwtLogin {
    user: User,
    password: Password,
    options: LoginOptions,
}

/// What identifies the user.
#[derive(Debug, Clone)]
enum User {
    Email(String),
    Phone(String),
    Username(String),
}

impl JwtLogin {
    /// Makes the operation of the user with that email address.
    #[must_use]
    pub fn email(email: impl Into<String>, password: impl Into<Password>) -> Self {
        Self::new(User::Email(email.into()), password)
    }

    /// Makes the operation of the user with that phone number.
    #[must_use]
    pub fn phone(phone: impl Into<String>, password: impl Into<Password>) -> Self {
        Self::new(User::Phone(phone.into()), password)
    }

    /// Makes the operation of the user with that user name.
    #[must_use]
    pub fn username(username: impl Into<String>, password: impl Into<Password>) -> Self {
        Self::new(User::Username(username.into()), password)
    }

    fn new(user: User, password: impl Into<Password>) -> Self {
        Self { user, password: password.into(), options: LoginOptions::new() }
    }

    /// Sets what is sent besides the credentials; nothing by default.
    #[must_use]
    pub fn options(mut self, options: LoginOptions) -> Self {
        self.options = options;
        self
    }
}

impl Endpoint for JwtLogin {
    type Response = Jwt;

    fn name(&self) -> &'static str {
        match self.user {
            User::Email(_) => "JWT Token by Email",
            User::Phone(_) => "JWT Token by Phone",
            User::Username(_) => "JWT Token by Username",
        }
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let LoginOptions { verification_url, login_url, email_template, nonce } = &self.options;
        let settings = settings(app, nonce.as_ref()).map_err(|error| error.of(self.name()))?;
        let options = [
            Param::Optional("verificationurl", verification_url.as_deref()),
            Param::Optional("loginurl", login_url.as_deref()),
            Param::Optional("emailtemplate", email_template.as_deref()),
        ];
        let (parameter, user) = match &self.user {
            User::Email(email) => ("email", email),
            User::Phone(phone) => ("phone", phone),
            User::Username(username) => ("username", username),
        };
        let body = [Param::Required(parameter, user), Param::Required("password", self.password.expose())];
        request::jwt(self.name(), app, Route::JwtLogin, &[&settings, &options], Some(&body))
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<Jwt, Error> {
        ResponseReader::of_route(self, app, Route::JwtLogin).object(&response, "signature", read_jwt)
    }

    fn secrets(&self) -> Vec<&str> {
        vec![self.password.expose()]
    }
}

/// What a [`JwtLogin`] sends besides the credentials. An option that is not set, or is empty, is left out.
///
/// ```
/// use loginradius_proto::jwt::{JwtLogin, LoginOptions};
///
/// let options = LoginOptions::new().verification_url("https://www.abc.com/verify").email_template("default");
/// let login = JwtLogin::email("user@example.com", "password").options(options);
/// ```
#[derive(Debug, Clone, Default)]
pub struct LoginOptions {
    verification_url: Option<String>,
    login_url: Option<String>,
    email_template: Option<String>,
    nonce: Option<Nonce>,
}

impl LoginOptions {
    /// Makes options of which none is set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the address to which the link of a verification email leads (`verificationurl`).
    #[must_use]
    pub fn verification_url(mut self, url: impl Into<String>) -> Self {
        self.verification_url = Some(url.into());
        self
    }

    /// Sets the address of the page where the user signs in (`loginurl`).
    #[must_use]
    pub fn login_url(mut self, url: impl Into<String>) -> Self {
        self.login_url = Some(url.into());
        self
    }

    /// Sets the name of the template of a verification email (`emailtemplate`).
    #[must_use]
    pub fn email_template(mut self, name: impl Into<String>) -> Self {
        self.email_template = Some(name.into());
        self
    }

    /// Sets a value that the JWT repeats as its claim `nonce`; none by default.
    ///
    /// Only a site takes one: with the classic API the request is an
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration).
    #[must_use]
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(Nonce::new(nonce));
        self
    }
}

/// Returns the parameters with which the query of every JWT operation begins: `apikey`, and `jwtapp` where it is not in
/// the path.
pub(super) fn settings<'a>(app: &'a App, nonce: Option<&'a Nonce>) -> Result<[Param<'a>; 2], Error> {
    let invalid = |why| Err(Error::configuration(why));
    let api_key = Param::Setting("apikey", app.api_key());
    match app.service().api() {
        Api::Site | Api::Oidc => Ok([Param::Optional("Nonce", nonce.map(Nonce::expose)), api_key]),
        Api::Classic | Api::ClassicOidc if nonce.is_some() => {
            invalid("the classic API takes no nonce: leave it out, or use `Service::site`")
        }
        Api::Classic | Api::ClassicOidc => match app.jwt_app() {
            Some(name) => Ok([api_key, Param::Setting("jwtapp", name)]),
            None => invalid("the JWT app's name is needed and not set: set it with `App::with_jwt_app`"),
        },
    }
}

/// Reads the object that every JWT operation yields: `signature` is the whole JWT.
pub(super) fn read_jwt(object: &Object<'_>, _: &ResponseHead<'_>) -> Result<Jwt, FieldProblem> {
    object.token("signature")?.map(Jwt::from).ok_or(FieldProblem::missing("signature"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::BodyFormat::{Form, Json};
    use crate::error::ErrorKind;
    use crate::testing::{Sent, classic_app, response, sent, site_app};

    const CLASSIC: &str = "https://cloud-api.loginradius.com/sso/jwt/api/login";
    const SITE: &str = "https://acme.hub.loginradius.com/api/jwt/my-jwt-app/login";

    /// Returns each login with its name and its parameter.
    fn logins() -> [(JwtLogin, &'static str, (&'static str, &'static str)); 3] {
        let password = "p ä&=%+";
        [
            (JwtLogin::email("user@example.com", password), "JWT Token by Email", ("email", "user@example.com")),
            (JwtLogin::phone("+16045552368", password), "JWT Token by Phone", ("phone", "+16045552368")),
            (JwtLogin::username("johndoe", password), "JWT Token by Username", ("username", "johndoe")),
        ]
    }

    #[test]
    fn requests() {
        let options = LoginOptions::new()
            .verification_url("https://www.abc.com/verify?a=1&b=2")
            .login_url("https://www.abc.com/login")
            .email_template("default");
        let with_options = [
            ("verificationurl", "https://www.abc.com/verify?a=1&b=2"),
            ("loginurl", "https://www.abc.com/login"),
            ("emailtemplate", "default"),
        ];
        for (login, name, user) in logins() {
            assert_eq!(login.name(), name);
            for (login, options) in [(login.clone(), &[][..]), (login.options(options.clone()), &with_options)] {
                let (key, jwt_app) = (("apikey", "my-api-key"), ("jwtapp", "my-jwt-app"));
                let body = [user, ("password", "p ä&=%+")];
                for format in [Form, Json] {
                    let query = [&[key, jwt_app], options].concat();
                    let expected = Sent::query_and_json(CLASSIC, &query, &body);
                    assert_eq!(sent(&login, &classic_app(format)), expected);
                    let expected = Sent::query_and_json(SITE, &[&[key], options].concat(), &body);
                    assert_eq!(sent(&login, &site_app(format)), expected);
                }
            }
        }
    }

    #[test]
    fn a_nonce_is_for_sites() {
        for (login, _, user) in logins() {
            let login = login.options(LoginOptions::new().nonce("3f44"));
            let query = [("Nonce", "3f44"), ("apikey", "my-api-key")];
            let expected = Sent::query_and_json(SITE, &query, &[user, ("password", "p ä&=%+")]);
            assert_eq!(sent(&login, &site_app(Form)), expected);
            let error = login.request(&classic_app(Form)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains("leave it out, or use `Service::site`"), "{error}");
        }
    }

    #[test]
    fn responses() {
        for (login, name, _) in logins() {
            let jwt = login.response(&classic_app(Form), response(200, r#"{"signature":"e30.e30.c2ln"}"#)).unwrap();
            assert_eq!(jwt.expose(), "e30.e30.c2ln");
            let body = r#"{"ErrorCode":966,"Message":"Invalid user ID and/or password"}"#;
            let error = login.response(&classic_app(Form), response(401, body)).unwrap_err();
            assert_eq!((error.kind(), error.operation()), (ErrorKind::UserActionRequired, Some(name)));
            assert_eq!(error.api_error().unwrap().code, Some(966));
        }
    }

    #[test]
    fn none_is_repeated() {
        assert!(logins().iter().all(|(login, ..)| !login.repeatable()));
    }
}
