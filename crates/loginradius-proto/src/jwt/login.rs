use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::error::Error;
use crate::route::Route;
use crate::secret::{Jwt, Password};
use crate::service::Family;
use crate::wire::answer;
use crate::wire::json::Field;
use crate::wire::request::{self, Params};
use crate::wire::scrub::Asked;

/// What the three JWT logins can send besides the credentials.
///
/// ```
/// use loginradius_proto::jwt::{JwtByEmail, LoginOptions};
///
/// let options = LoginOptions::new().verification_url("https://www.abc.com/verify").email_template("default");
/// let login = JwtByEmail::new("user@example.com", "password").options(options);
/// ```
#[derive(Debug, Clone, Default)]
pub struct LoginOptions {
    verification_url: Option<String>,
    login_url: Option<String>,
    email_template: Option<String>,
    nonce: Option<String>,
}

impl LoginOptions {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the link of a verification email leads (`verificationurl`).
    #[must_use]
    pub fn verification_url(mut self, url: impl Into<String>) -> Self {
        self.verification_url = Some(url.into());
        self
    }

    /// Where the person logs in (`loginurl`).
    #[must_use]
    pub fn login_url(mut self, url: impl Into<String>) -> Self {
        self.login_url = Some(url.into());
        self
    }

    /// The name of the template of a verification email (`emailtemplate`).
    #[must_use]
    pub fn email_template(mut self, name: impl Into<String>) -> Self {
        self.email_template = Some(name.into());
        self
    }

    /// A value that the JWT repeats as its claim `nonce`. Sites only; at the classic family it is an error.
    #[must_use]
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }
}

/// The query that all JWT operations begin with: `apikey`, and `jwtapp` where it is not in the path.
pub(super) fn query<'a>(app: &'a App, nonce: Option<&'a str>) -> Result<Params<'a>, Error> {
    let params = Params::default();
    match app.service.family() {
        Family::Site => params.optional("Nonce", nonce)?.setting("apikey", app.key()),
        Family::Classic if nonce.is_some() => {
            Err(Error::settings("a nonce is for the site family alone: leave it out, or use `Service::site`"))
        }
        Family::Classic => match app.jwt_app.as_deref() {
            Some(name) => params.setting("apikey", app.key())?.setting("jwtapp", name),
            None => Err(Error::settings(
                "the JWT app's name is not set, and this operation needs it: set it with `App::jwt_app`",
            )),
        },
    }
}

pub(super) fn request(
    app: &App,
    who: (&'static str, &str),
    password: &Password,
    options: &LoginOptions,
) -> Result<Request<Body>, Error> {
    let query = query(app, options.nonce.as_deref())?
        .optional("verificationurl", options.verification_url.as_deref())?
        .optional("loginurl", options.login_url.as_deref())?
        .optional("emailtemplate", options.email_template.as_deref())?;
    let body = Params::default().required(who.0, who.1)?.required("password", password.expose())?;
    request::jwt(app, Route::JwtLogin, &query, Some(&body))
}

/// The answer of all JWT operations: `signature` is the whole JWT.
pub(super) fn response(asked: &Asked<'_>, answer: &Response<Body>) -> Result<Jwt, Error> {
    answer::object(asked, answer, "signature", |object, _| {
        let token = object.text("signature")?.filter(|token| !token.is_empty());
        token.map(Jwt::new).ok_or(Field::missing("signature"))
    })
}
