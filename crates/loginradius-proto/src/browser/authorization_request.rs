use std::fmt;

use super::login::{BrowserLogin, BrowserRequest, Sealed};
use super::moment::Moment;
use super::pending_login::{Expected, PendingLogin, StoredDialect, is_issuer};
use super::pending_state::PendingState;
use super::random::{RandomBytes, RandomValues, challenge};
use super::redirect_uri;
use super::response_type::ResponseType;
use crate::app::App;
use crate::error::Error;
use crate::route::Route;
use crate::wire::request::{Param, browser_url};

/// LoginRadius's authorization request: sends a browser to LoginRadius to sign in, and back with a code or tokens
/// ([RFC 6749, section 4.1.1]).
///
/// [`begin`](BrowserRequest::begin) always adds a `state`, so that a forged callback is refused, and with a code a PKCE
/// challenge, so that a stolen code cannot be redeemed ([RFC 9700, section 2.1.1]).
///
/// | API | address |
/// | --- | --- |
/// | classic | `GET /sso/oauth/redirect` |
/// | site | `GET /service/oauth/{name}/authorize` |
/// | OpenID Connect | `GET /service/oidc/{name}/authorize` |
/// | classic OpenID Connect | `GET /sso/oidc/v2/{name}/authorize` |
///
/// `{name}` is [`App::with_oauth_app`], or [`App::with_oidc_app`] for OpenID Connect.
///
/// ```
/// # use std::time::SystemTime;
/// # use loginradius_proto::{App, Service, browser::{AuthorizationRequest, BrowserRequest, RandomBytes}};
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// # let random = RandomBytes::new(std::array::from_fn(|byte| byte as u8))?;
/// let site = Service::site("acme.hub.loginradius.com")?;
/// let app = App::new("my-client-id").with_oauth_app("my-app").with_service(site);
/// let request = AuthorizationRequest::new("https://app.example/callback").scope("profile");
/// let login = request.begin(&app, &random, SystemTime::now())?;
/// assert!(login.url.starts_with(
///     "https://acme.hub.loginradius.com/service/oauth/my-app/authorize?client_id=my-client-id\
///      &redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&scope=profile&response_type=code&state="
/// ));
/// assert!(login.url.ends_with("&code_challenge_method=SHA256"));
/// # Ok(())
/// # }
/// ```
///
/// [RFC 6749, section 4.1.1]: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1
/// [RFC 9700, section 2.1.1]: https://www.rfc-editor.org/rfc/rfc9700#section-2.1.1
#[derive(Clone)]
#[doc(alias(
    "authorize",
    "authorization endpoint",
    "authorization code flow",
    "pkce",
    "state",
    "redirect_uri",
    "grant"
))]
pub struct AuthorizationRequest {
    redirect_uri: String,
    response_type: ResponseType,
    scope: Scope,
    issuer: Option<String>,
    issuer_required: bool,
    parameters: Vec<(String, String)>,
}

#[derive(Clone)]
enum Scope {
    Value(String),
    Raw(String),
}

/// Parameters that this crate sets, or that must not be in a URL.
const RESERVED_PARAMS: [&str; 10] = [
    "client_id",
    "redirect_uri",
    "scope",
    "response_type",
    "state",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "client_secret",
    "code_verifier",
];

impl AuthorizationRequest {
    const NAME: &'static str = "Authorize";

    /// Makes a request for a code that comes back to that redirect URI, which LoginRadius has to have on its list.
    ///
    /// It is an `https` URL, an `http` URL of this machine, or one of an app's own scheme, which has a dot in it
    /// ([RFC 8252, section 7.1]). [`begin`](BrowserRequest::begin) checks it.
    ///
    /// [RFC 8252, section 7.1]: https://www.rfc-editor.org/rfc/rfc8252#section-7.1
    #[must_use]
    pub fn new(redirect_uri: impl Into<String>) -> Self {
        Self {
            redirect_uri: redirect_uri.into(),
            response_type: ResponseType::default(),
            scope: Scope::Value(String::new()),
            issuer: None,
            issuer_required: false,
            parameters: Vec::new(),
        }
    }

    /// Sets the scope: words separated by spaces, such as `profile email`. None is sent by default.
    ///
    /// It is encoded once, and replaces a [`raw_scope`](Self::raw_scope). With the word `openid`, a nonce is sent as
    /// well ([OpenID Connect Core, section 3.1.2.1]).
    ///
    /// [OpenID Connect Core, section 3.1.2.1]: https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Scope::Value(scope.into());
        self
    }

    /// Sets a scope that is encoded already, and is put into the URL as it is.
    ///
    /// LoginRadius reads parameters of its login page out of the scope, some of them encoded twice. What follows a `&`
    /// is a parameter of the URL. Never build it from user input. It replaces a [`scope`](Self::scope).
    #[must_use]
    pub fn raw_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Scope::Raw(scope.into());
        self
    }

    /// Sets what the callback brings back; [`ResponseType::Code`] by default.
    #[must_use]
    pub fn response_type(mut self, response_type: ResponseType) -> Self {
        self.response_type = response_type;
        self
    }

    /// Sets the issuer to expect in the callback's `iss`, if it has one ([RFC 9207, section 2.4]); none by default.
    ///
    /// A callback of another issuer is refused, as in a mix-up attack. LoginRadius documents no `iss`.
    /// [`begin`](BrowserRequest::begin) refuses an issuer that is empty, or has a space or an invisible character.
    ///
    /// [RFC 9207, section 2.4]: https://www.rfc-editor.org/rfc/rfc9207#section-2.4
    #[must_use]
    #[doc(alias("iss", "mix-up"))]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Sets the issuer to expect in the callback's `iss`; a callback without one is refused.
    ///
    /// For servers whose metadata has `authorization_response_iss_parameter_supported` (RFC 9207, section 3).
    #[must_use]
    pub fn require_issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer_required: true, ..self.issuer(issuer) }
    }

    /// Adds another parameter to the URL, such as `prompt`, `login_hint`, `response_mode` or `resource`.
    ///
    /// Neither its name nor its value may be empty or have a control character. Only `resource` may occur more than
    /// once (RFC 8707, section 2). [`begin`](BrowserRequest::begin) refuses names that the request sets itself, such as
    /// `state`.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    fn url(&self, app: &App, random: &RandomValues) -> Result<String, Error> {
        redirect_uri::check("redirect_uri", &self.redirect_uri, &redirect_uri::RESPONSE_PARAMS)?;
        if self.issuer.as_deref().is_some_and(|issuer| !is_issuer(issuer)) {
            return Err(Error::configuration(
                "the expected issuer is empty, or has a space or an invisible character: use the server's own, as its \
                 metadata has it",
            ));
        }
        let challenge = self.response_type.includes("code").then(|| challenge(&random.code_verifier));
        let service = app.service();
        let method = service.dialect().challenge_method(service.api());
        let (scope, raw_scope) = match &self.scope {
            Scope::Value(scope) => (scope.as_str(), ""),
            Scope::Raw(scope) => ("", scope.as_str()),
        };
        let in_scope = parameters_of(raw_scope)?;
        check_names(self.parameters.iter().chain(&in_scope).map(|(name, _)| name))?;
        let mut query = vec![
            Param::client_id(app),
            Param::Required("redirect_uri", &self.redirect_uri),
            Param::Optional("scope", Some(scope)),
            Param::Required("response_type", self.response_type.as_str()),
            Param::Required("state", &random.state),
            Param::Optional("code_challenge", challenge.as_deref()),
            Param::Optional("code_challenge_method", method.filter(|_| challenge.is_some())),
            Param::Optional("nonce", self.sends_nonce().then_some(&*random.nonce)),
        ];
        query.extend(self.parameters.iter().map(|(name, value)| Param::Required(name, value)));
        let raw_scope = if raw_scope.is_empty() { String::new() } else { format!("&scope={raw_scope}") };
        browser_url(app, Route::Authorize, &query, &raw_scope)
    }

    /// Returns whether a nonce is sent: for every `id_token` (OpenID Connect Core, sections 3.1.2.1 and 3.2.2.1).
    fn sends_nonce(&self) -> bool {
        let has_openid = |scope: &str| scope.split([' ', '+']).any(|word| word == "openid");
        self.response_type.includes("id_token")
            || match &self.scope {
                Scope::Value(scope) => has_openid(scope),
                Scope::Raw(scope) => has_openid(&scope.split('&').next().unwrap_or_default().replace("%20", " ")),
            }
    }
}

impl Sealed for AuthorizationRequest {}

impl BrowserRequest for AuthorizationRequest {
    type Pending = PendingLogin;

    fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    fn begin(
        &self,
        app: &App,
        random: &RandomBytes,
        now: impl Into<Moment>,
    ) -> Result<BrowserLogin<PendingLogin>, Error> {
        let now = now.into();
        let build = || {
            let random = RandomValues::new(random);
            let url = self.url(app, &random)?;
            let pending = PendingLogin::new(
                PendingState::new(random.state, now),
                self.response_type,
                Expected {
                    code_verifier: random.code_verifier.expose().into(),
                    redirect_uri: self.redirect_uri.clone(),
                    nonce: self.sends_nonce().then_some(random.nonce),
                    issuer: self.issuer.clone(),
                    issuer_required: self.issuer_required,
                    dialect: StoredDialect::of(app),
                },
            );
            Ok(BrowserLogin { url, pending })
        };
        build().map_err(|error: Error| error.of(Self::NAME))
    }
}

impl fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("response_type", &self.response_type)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// Returns the parameters that a raw scope adds to the URL.
fn parameters_of(raw_scope: &str) -> Result<Vec<(String, String)>, Error> {
    // RFC 3986, section 3.4.
    let in_query = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
    let encoded = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !raw_scope.bytes().all(in_query) || !raw_scope.split('%').skip(1).all(encoded) {
        return Err(Error::configuration(
            "the raw scope is not percent-encoded as the query of a URL has to be: encode it, or use `scope`",
        ));
    }
    let parameters = raw_scope.split_once('&').map_or("", |(_, parameters)| parameters);
    serde_urlencoded::from_str(parameters).map_err(|_| {
        Error::configuration("the raw scope cannot be read as parameters of a URL: encode it, or use `scope`")
    })
}

/// Checks that every name can be sent, is none of ours, in any case of letters, and occurs once, unless it is
/// `resource` (RFC 6749, section 3.1; RFC 8707).
fn check_names<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), Error> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(Error::configuration(
                "the name of a parameter is empty or contains a control character: correct the name",
            ));
        }
        if RESERVED_PARAMS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            return Err(Error::configuration(format!(
                "the parameter `{name}` cannot be set by the program: leave it out"
            )));
        }
        if name != "resource" && seen.iter().any(|other| name.eq_ignore_ascii_case(other)) {
            return Err(Error::configuration(format!("the parameter `{name}` occurs twice: leave one out")));
        }
        seen.push(name);
    }
    Ok(())
}
