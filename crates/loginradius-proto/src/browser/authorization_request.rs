use std::fmt;
use std::time::SystemTime;

use super::awaiting::Awaiting;
use super::pending_sign_in::{Expected, PendingSignIn};
use super::random::{RandomBytes, Unguessable, challenge};
use super::redirect_uri;
use super::response_type::ResponseType;
use super::sign_in::{BrowserRequest, BrowserSignIn};
use crate::app::App;
use crate::error::Error;
use crate::route::Route;
use crate::wire::request::Params;

/// LoginRadius's authorization request: sends a browser to LoginRadius's login, for a code or for tokens
/// ([RFC 6749, section 4.1.1]).
///
/// State and PKCE are made here, always: whoever steals a code cannot exchange it, and whoever makes up a callback
/// is not believed.
///
/// Classic: `GET /sso/oauth/redirect`; site: `GET /service/oauth/{OAuthName}/authorize`, and needs
/// [`App::oauth_app`].
///
/// ```
/// # use std::time::SystemTime;
/// # use loginradius_proto::{App, Service, browser::{AuthorizationRequest, BrowserRequest}};
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// # let random: [u8; 96] = std::array::from_fn(|byte| byte as u8);
/// let app = App::new("my-client-id").oauth_app("my-app").service(Service::site("acme.hub.loginradius.com")?);
/// let request = AuthorizationRequest::new("https://app.example/callback").scope("profile");
/// let sign_in = request.begin(&app, &random, SystemTime::now())?;
/// assert!(sign_in.url.starts_with(
///     "https://acme.hub.loginradius.com/service/oauth/my-app/authorize?client_id=my-client-id\
///      &redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&scope=profile&response_type=code&state="
/// ));
/// assert!(sign_in.url.ends_with("&code_challenge_method=SHA256"));
/// # Ok(())
/// # }
/// ```
///
/// [RFC 6749, section 4.1.1]: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1
#[derive(Clone)]
pub struct AuthorizationRequest {
    redirect_uri: String,
    response_type: ResponseType,
    scope: Scope,
    challenge_method: ChallengeMethod,
    issuer: Option<String>,
    issuer_required: bool,
    parameters: Vec<(String, String)>,
    with_grant_type: bool,
    without_response_type: bool,
}

#[derive(Clone)]
enum Scope {
    Value(String),
    Raw(String),
}

/// How the method of the PKCE challenge is called. The challenge itself is always the one that RFC 7636 calls
/// `S256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ChallengeMethod {
    /// `SHA256`, as LoginRadius's guide "PKCE" has it.
    #[default]
    Sha256,
    /// `S256`, as RFC 7636 and the metadata of newer LoginRadius sites have it.
    S256,
    /// Not sent: LoginRadius takes `SHA256` then. RFC 7636 takes `plain`, so this is for LoginRadius alone.
    Omitted,
}

/// Parameters that this crate makes, or that must not stand in an address.
const OURS: [&str; 10] = [
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

/// What a callback says: an address that says it already could never be answered.
const ANSWERS: [&str; 8] = ["state", "code", "token", "access_token", "id_token", "error", "error_description", "iss"];

impl AuthorizationRequest {
    const NAME: &'static str = "Authorize";

    /// Asks for a code that comes back to that address, which LoginRadius has to know.
    #[must_use]
    pub fn new(redirect_uri: impl Into<String>) -> Self {
        Self {
            redirect_uri: redirect_uri.into(),
            response_type: ResponseType::default(),
            scope: Scope::Value(String::new()),
            challenge_method: ChallengeMethod::default(),
            issuer: None,
            issuer_required: false,
            parameters: Vec::new(),
            with_grant_type: false,
            without_response_type: false,
        }
    }

    /// What is asked for, with spaces in between, as in `profile email`. It is encoded once. With `openid` among
    /// it a nonce is sent too.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Scope::Value(scope.into());
        self
    }

    /// A scope that is encoded already, put into the address as it is. LoginRadius reads parameters of its login
    /// page out of the scope, some of them encoded twice; parameters after a `&` become the address's own.
    /// Never build it from what a visitor sent.
    #[must_use]
    pub fn raw_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Scope::Raw(scope.into());
        self
    }

    /// What the callback brings; [`ResponseType::Code`] by default.
    #[must_use]
    pub fn response_type(mut self, response_type: ResponseType) -> Self {
        self.response_type = response_type;
        self
    }

    /// How PKCE's method is called; [`ChallengeMethod::Sha256`] by default.
    #[must_use]
    pub fn challenge_method(mut self, method: ChallengeMethod) -> Self {
        self.challenge_method = method;
        self
    }

    /// The issuer that a callback's `iss` must be, if it has one ([RFC 9207]). LoginRadius documents none.
    ///
    /// [RFC 9207]: https://www.rfc-editor.org/rfc/rfc9207
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The issuer that a callback must name. For servers that say in their metadata that they do.
    #[must_use]
    pub fn require_issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer_required: true, ..self.issuer(issuer) }
    }

    /// Another parameter of the address, as `resource`, `prompt`, `login_hint` or `response_mode`. Only `resource`
    /// may be there more than once.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// For the exchange of the code: see [`AccessTokenByCode::with_grant_type`](crate::oauth::AccessTokenByCode::with_grant_type).
    #[must_use]
    pub fn with_grant_type(mut self) -> Self {
        self.with_grant_type = true;
        self
    }

    /// For the exchange of the code: see
    /// [`AccessTokenByCode::without_response_type`](crate::oauth::AccessTokenByCode::without_response_type).
    #[must_use]
    pub fn without_response_type(mut self) -> Self {
        self.without_response_type = true;
        self
    }

    fn address(&self, app: &App, made: &Unguessable) -> Result<String, Error> {
        redirect_uri::check("redirect_uri", &self.redirect_uri, &ANSWERS)?;
        let challenge = self.response_type.asks_for("code").then(|| challenge(&made.code_verifier));
        let method = match self.challenge_method {
            ChallengeMethod::Sha256 => Some("SHA256"),
            ChallengeMethod::S256 => Some("S256"),
            ChallengeMethod::Omitted => None,
        };
        let (scope, raw_scope) = match &self.scope {
            Scope::Value(scope) => (scope.as_str(), ""),
            Scope::Raw(scope) => ("", scope.as_str()),
        };
        let smuggled = parameters_of(raw_scope)?;
        check_names(self.parameters.iter().chain(&smuggled).map(|(name, _)| name))?;
        let mut params = Params::client(app)
            .required("redirect_uri", &self.redirect_uri)
            .optional("scope", Some(scope))
            .required("response_type", self.response_type.as_str())
            .required("state", &made.state)
            .optional("code_challenge", challenge.as_deref())
            .optional("code_challenge_method", method.filter(|_| challenge.is_some()))
            .optional("nonce", self.sends_nonce().then_some(made.nonce.as_str()));
        for (name, value) in &self.parameters {
            params = params.required(name, value);
        }
        let mut query = params.urlencoded()?;
        if !raw_scope.is_empty() {
            query += &format!("&scope={raw_scope}");
        }
        Ok(Route::Authorize.uri(app, &query)?.to_string())
    }

    /// OpenID Connect Core, section 3.2.2.1: a nonce belongs to every `id_token` that comes through the browser.
    fn sends_nonce(&self) -> bool {
        let has_openid = |scope: &str| scope.split([' ', '+']).any(|word| word == "openid");
        self.response_type.asks_for("id_token")
            || match &self.scope {
                Scope::Value(scope) => has_openid(scope),
                Scope::Raw(scope) => has_openid(&scope.split('&').next().unwrap_or_default().replace("%20", " ")),
            }
    }
}

impl BrowserRequest for AuthorizationRequest {
    type Pending = PendingSignIn;

    fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    fn begin(&self, app: &App, random: &RandomBytes, now: SystemTime) -> Result<BrowserSignIn<PendingSignIn>, Error> {
        let build = || {
            let made = Unguessable::new(random)?;
            let url = self.address(app, &made)?;
            let pending = PendingSignIn::new(
                Awaiting::new(made.state, now),
                self.response_type,
                Expected {
                    code_verifier: made.code_verifier.expose().to_owned().into(),
                    redirect_uri: self.redirect_uri.clone(),
                    nonce: self.sends_nonce().then_some(made.nonce),
                    issuer: self.issuer.clone(),
                    issuer_required: self.issuer_required,
                    with_grant_type: self.with_grant_type,
                    without_response_type: self.without_response_type,
                },
            );
            Ok(BrowserSignIn { url, pending })
        };
        build().map_err(|error: Error| error.of(Self::NAME))
    }
}

impl fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("response_type", &self.response_type)
            .field("challenge_method", &self.challenge_method)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// The parameters that a raw scope adds to the address.
fn parameters_of(raw_scope: &str) -> Result<Vec<(String, String)>, Error> {
    // RFC 3986, section 3.4.
    let in_query = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
    let encoded = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !raw_scope.bytes().all(in_query) || !raw_scope.split('%').skip(1).all(encoded) {
        return Err(Error::settings(
            "the raw scope is not encoded as a query of an address has to be: encode it, or use `scope`",
        ));
    }
    let parameters = raw_scope.split_once('&').map_or("", |(_, parameters)| parameters);
    serde_urlencoded::from_str(parameters)
        .map_err(|_| Error::settings("the raw scope cannot be read as parameters of an address"))
}

/// None is ours, in whatever case, and none comes twice (RFC 6749, section 3.1), but for RFC 8707's `resource`.
fn check_names<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), Error> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if name.is_empty() || OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            return Err(Error::settings(format!("the parameter `{name}` is not for the caller to set: leave it out")));
        }
        if name != "resource" && seen.iter().any(|other| name.eq_ignore_ascii_case(other)) {
            return Err(Error::settings(format!("the parameter `{name}` is there twice: leave one out")));
        }
        seen.push(name);
    }
    Ok(())
}
