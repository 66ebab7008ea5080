use std::fmt;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::callback::Callback;
use super::login::{BrowserLogin, BrowserRequest, Pending, Sealed};
use super::moment::Moment;
use super::pending_login::{NOT_SECRET, refusal_in, required};
use super::pending_state::{Carrier, PendingState};
use super::random::{RandomBytes, RandomValues, is_random_value};
use super::redirect_uri;
use crate::api::Api;
use crate::app::App;
use crate::error::Error;
use crate::route::Route;
use crate::secret::{Jwt, Nonce};
use crate::secret_text::SecretText;
use crate::wire::character::is_line;
use crate::wire::encode;
use crate::wire::json::{Object, ResponseText};
use crate::wire::request::{Param, browser_url};

/// LoginRadius's JWT redirect: sends a browser to LoginRadius to sign in, and back with a JWT.
///
/// LoginRadius documents no parameter `state` for it. To tell its own callback from a forged one, this request sends
///
/// - to the classic API (`GET /sso/jwt/redirect/token`): a `state` in the query of the return URL itself;
/// - to a site (`GET /service/jwt/{jwtapp}/authorize`): a `nonce`, which the JWT repeats.
///
/// Both need [`App::with_jwt_app`].
///
/// ```
/// # use std::time::SystemTime;
/// # use loginradius_proto::{App, Service, browser::{BrowserRequest, JwtRedirect, RandomBytes}};
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// # let random = RandomBytes::new(std::array::from_fn(|byte| byte as u8))?;
/// let app = App::new("my-api-key").with_jwt_app("my-jwt-app");
/// let login = JwtRedirect::new("https://app.example/jwt", "token").begin(&app, &random, SystemTime::now())?;
/// assert!(login.url.starts_with(
///     "https://cloud-api.loginradius.com/sso/jwt/redirect/token?apikey=my-api-key&jwtapp=my-jwt-app\
///      &return_url=https%3A%2F%2Fapp.example%2Fjwt%3Fstate%3D"
/// ));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[doc(alias("return_url", "redirect_uri", "state", "nonce", "sso"))]
pub struct JwtRedirect {
    return_url: String,
    parameter: String,
}

const NAME: &str = "JWT Redirect";

impl JwtRedirect {
    /// Makes a request for a JWT that comes back to that return URL, which LoginRadius has to have on its list.
    ///
    /// `response_parameter` is the name of the parameter with the JWT: the response parameter in the JWT app's settings
    /// in the LoginRadius Dashboard. The return URL is what [`AuthorizationRequest`](super::AuthorizationRequest::new)
    /// takes.
    #[must_use]
    pub fn new(return_url: impl Into<String>, response_parameter: impl Into<String>) -> Self {
        Self { return_url: return_url.into(), parameter: response_parameter.into() }
    }

    fn check(&self) -> Result<(), Error> {
        if !is_parameter(&self.parameter) {
            return Err(Error::configuration(
                "the response parameter is empty, or is the name of another parameter of a callback, or has an invisible \
                 character: use the one in the JWT app's settings",
            ));
        }
        redirect_uri::check("return_url", &self.return_url, &["state", "error", "error_description", &self.parameter])
    }
}

fn is_parameter(name: &str) -> bool {
    // Errors print the name, so it must fit into one line.
    !name.is_empty()
        && is_line(name)
        && !NOT_SECRET.iter().chain(&["state"]).any(|other| name.eq_ignore_ascii_case(other))
}

impl Sealed for JwtRedirect {}

impl BrowserRequest for JwtRedirect {
    type Pending = PendingJwt;

    fn redirect_uri(&self) -> &str {
        &self.return_url
    }

    fn begin(
        &self,
        app: &App,
        random: &RandomBytes,
        now: impl Into<Moment>,
    ) -> Result<BrowserLogin<PendingJwt>, Error> {
        let now = now.into();
        let build = || {
            self.check()?;
            let random = RandomValues::new(random);
            let (url, bound_by, secret) = match app.service().api() {
                Api::Site | Api::Oidc => {
                    let query = [
                        Param::Setting("client_id", app.api_key()),
                        Param::Required("redirect_uri", &self.return_url),
                        Param::Required("nonce", &random.nonce),
                    ];
                    (browser_url(app, Route::JwtRedirect, &query, "")?, BoundBy::Nonce, random.nonce)
                }
                Api::Classic | Api::ClassicOidc => {
                    let Some(jwt_app) = app.jwt_app() else {
                        return Err(Error::configuration(
                            "the JWT app's name is needed and not set: set it with `App::with_jwt_app`",
                        ));
                    };
                    let mark = if self.return_url.contains('?') { "&" } else { "?" };
                    let return_url = Zeroizing::new([&self.return_url, mark, "state=", &random.state].concat());
                    let query = [
                        Param::Setting("apikey", app.api_key()),
                        Param::Setting("jwtapp", jwt_app),
                        Param::Required("return_url", &return_url),
                    ];
                    (browser_url(app, Route::JwtRedirect, &query, "")?, BoundBy::State, random.state)
                }
            };
            let state = PendingState::new(secret, now);
            let pending = PendingJwt(Fields { state, bound_by, parameter: self.parameter.clone() });
            Ok(BrowserLogin { url, pending })
        };
        build().map_err(|error: Error| error.of(NAME))
    }
}

/// A login of a [`JwtRedirect`] that waits for its callback.
///
/// It is valid for 10 minutes. The one callback with its state or nonce consumes it ([`Pending::accept`]).
///
/// At a site only the JWT has the nonce. So LoginRadius's refusal looks like a forged callback: it is an
/// [`ErrorKind::StateMismatch`](crate::ErrorKind::StateMismatch), and the login ends when it expires.
///
/// To wait in another process or request, store [`to_json`](Self::to_json), and take it out of the store before you
/// accept the callback.
pub struct PendingJwt(Fields);

#[derive(Serialize, Deserialize)]
struct Fields {
    #[serde(rename = "awaiting")]
    state: PendingState,
    bound_by: BoundBy,
    parameter: String,
}

/// What only the callback of this login has.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum BoundBy {
    Nonce,
    State,
}

/// The JWT of a login that began by a [`JwtRedirect`].
///
/// **It is not verified yet**: that takes the JWT app's key, and `loginradius-jwt`.
#[non_exhaustive]
pub struct ReceivedJwt {
    /// The JWT.
    pub jwt: Jwt,
    /// The value that the JWT's claim `nonce` has to have: of a site, else `None`. Pass it to the verification.
    pub nonce: Option<Nonce>,
}

// The nonce is a secret.
impl fmt::Debug for ReceivedJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedJwt").field("jwt", &self.jwt).finish_non_exhaustive()
    }
}

/// The stored form of a [`PendingJwt`].
#[derive(Serialize, Deserialize)]
struct Stored<W> {
    version: u32,
    jwt: W,
}

impl PendingJwt {
    const VERSION: u32 = 1;

    /// Returns when the login expires, 10 minutes after it began. It can be deleted then.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.0.state.expires_at()
    }

    /// Returns the login as JSON, **with its state or nonce**: with that, anyone can forge its callback. Store it on
    /// the server, or encrypted in a cookie of that one browser.
    #[must_use]
    pub fn to_json(&self) -> String {
        encode::json_text(&Stored { version: Self::VERSION, jwt: &self.0 })
    }

    /// Reads the JSON of [`to_json`](Self::to_json).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if it is not a stored login, was changed, or is
    /// one of another version of this crate. Begin a new login then.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let unreadable = |why: &str| Error::configuration(format!("the stored login {why}: begin a new one")).of(NAME);
        let stored: Stored<Fields> = serde_json::from_str(json).map_err(|_| unreadable("cannot be read"))?;
        if stored.version != Self::VERSION {
            return Err(unreadable("is of another version of this crate"));
        }
        if !is_random_value(stored.jwt.state.secret()) || !is_parameter(&stored.jwt.parameter) {
            return Err(unreadable("was changed"));
        }
        Ok(Self(stored.jwt))
    }

    fn read(&mut self, callback: &Callback, now: Moment) -> Result<ReceivedJwt, Error> {
        const ADVICE: &str = "check the response parameter and the response mode in the JWT app's settings";
        let Fields { state, bound_by, parameter } = &mut self.0;
        let nonce = match bound_by {
            BoundBy::State => {
                state.consume(Carrier::State, callback.state(), now)?;
                None
            }
            BoundBy::Nonce => {
                let nonce = callback.single(parameter).ok().flatten().and_then(unverified_nonce);
                state.consume(Carrier::Nonce, nonce.as_deref(), now)?;
                nonce.map(Nonce::from)
            }
        };
        if let Some(error) = refusal_in(callback, &[state.secret()])? {
            return Err(error);
        }
        Ok(ReceivedJwt { jwt: Jwt::new(required(callback, &[parameter], ADVICE)?), nonce })
    }
}

impl Sealed for PendingJwt {}

impl Pending for PendingJwt {
    type Output = ReceivedJwt;

    fn accept(&mut self, callback: &Callback, now: impl Into<Moment>) -> Result<ReceivedJwt, Error> {
        self.read(callback, now.into()).map_err(|error| error.of(NAME))
    }
}

// The state and the nonce are secrets.
impl fmt::Debug for PendingJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingJwt")
    }
}

/// Returns the claim `nonce` of a JWT that is not verified yet. A callback with the right one belongs to this login,
/// since no other sender knows the nonce; the JWT itself still has to be verified.
fn unverified_nonce(jwt: &str) -> Option<SecretText> {
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?);
    let payload = ResponseText::Utf8(std::str::from_utf8(&payload).ok()?);
    Object::parse(&payload)?.text("nonce").ok()?.map(SecretText::from)
}
