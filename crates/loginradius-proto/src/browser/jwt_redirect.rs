use std::fmt;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::callback::Callback;
use super::login::{BrowserLogin, BrowserRequest, Pending, Sealed};
use super::pending_login::{TEXTS, one_of, refused};
use super::pending_state::PendingState;
use super::random::{Nonces, RandomBytes, is_nonce};
use super::redirect_uri;
use crate::api::Api;
use crate::app::App;
use crate::error::Error;
use crate::route::Route;
use crate::secret::{Jwt, Nonce};
use crate::wire::json::Object;
use crate::wire::request::Params;

/// LoginRadius's JWT redirect: sends a browser to LoginRadius's login, for a JWT that comes back in the address.
///
/// Needs [`App::with_jwt_app`]. LoginRadius documents no `state` here, so that a callback is told from a forged one by
/// what it does document:
///
/// - site: `GET /service/jwt/{app}/authorize` with a `nonce`, which the JWT repeats;
/// - classic: `GET /sso/jwt/redirect/token`, with a `state` in the query of the return address itself.
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
pub struct JwtRedirect {
    return_url: String,
    parameter: String,
}

const NAME: &str = "JWT Redirect";

impl JwtRedirect {
    /// Asks for a JWT that comes back to that address, which LoginRadius has to know, under the name that the JWT
    /// app's settings in the LoginRadius Dashboard give as its response parameter.
    #[must_use]
    pub fn new(return_url: impl Into<String>, response_parameter: impl Into<String>) -> Self {
        Self { return_url: return_url.into(), parameter: response_parameter.into() }
    }

    fn check(&self) -> Result<(), Error> {
        if !is_parameter(&self.parameter) {
            return Err(Error::configuration(
                "the response parameter is empty or a name that means something else: \
                 use the one from the JWT app's settings",
            ));
        }
        redirect_uri::check("return_url", &self.return_url, &["state", "error", "error_description", &self.parameter])
    }
}

fn is_parameter(name: &str) -> bool {
    !name.is_empty() && !TEXTS.iter().chain(&["state"]).any(|other| name.eq_ignore_ascii_case(other))
}

impl Sealed for JwtRedirect {}

impl BrowserRequest for JwtRedirect {
    type Pending = PendingJwt;

    fn redirect_uri(&self) -> &str {
        &self.return_url
    }

    fn begin(&self, app: &App, random: &RandomBytes, now: SystemTime) -> Result<BrowserLogin<PendingJwt>, Error> {
        let build = || {
            self.check()?;
            let made = Nonces::new(random);
            let (url, bound_by, secret) = match app.service().api() {
                Api::Site => {
                    let query = Params::default()
                        .setting("client_id", app.api_key())
                        .required("redirect_uri", &self.return_url)
                        .required("nonce", &made.nonce)
                        .urlencoded()?;
                    (Route::JwtRedirect.uri(app, &query)?, BoundBy::Nonce, made.nonce)
                }
                Api::Classic => {
                    let Some(jwt_app) = app.jwt_app() else {
                        return Err(Error::configuration(
                            "the JWT app's name is not set, and this operation needs it: set it with `App::with_jwt_app`",
                        ));
                    };
                    let mark = if self.return_url.contains('?') { '&' } else { '?' };
                    let return_url = format!("{}{mark}state={}", self.return_url, made.state);
                    let query = Params::default()
                        .setting("apikey", app.api_key())
                        .setting("jwtapp", jwt_app)
                        .required("return_url", &return_url)
                        .urlencoded()?;
                    (Route::JwtRedirect.uri(app, &query)?, BoundBy::State, made.state)
                }
            };
            let waiting =
                Waiting { awaiting: PendingState::new(secret, now), bound_by, parameter: self.parameter.clone() };
            Ok(BrowserLogin { url: url.to_string(), pending: PendingJwt(waiting) })
        };
        build().map_err(|error: Error| error.of(NAME))
    }
}

/// A sign-in that waits for its JWT. It lives for ten minutes, and is consumed by the one callback that shows its
/// state or nonce ([`Pending::accept`]).
///
/// At a site a refusal shows neither, since only a JWT has the nonce: it is taken for somebody else's, and the
/// sign-in ends by its time.
pub struct PendingJwt(Waiting);

#[derive(Serialize, Deserialize)]
struct Waiting {
    awaiting: PendingState,
    bound_by: BoundBy,
    parameter: String,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum BoundBy {
    Nonce,
    State,
}

/// A JWT that came to the sign-in that asked for it. **Nothing in it is verified yet**: that takes the JWT app's
/// key (`loginradius-jwt`).
#[non_exhaustive]
pub struct ReceivedJwt {
    /// The JWT.
    pub jwt: Jwt,
    /// What its claim `nonce` has to be, if one was sent. Verify the JWT against it.
    pub nonce: Option<Nonce>,
}

/// The nonce is a secret as long as the sign-in waits.
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

    /// When it is over: from then on it can be thrown away.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.0.awaiting.expires_at()
    }

    /// The sign-in as JSON, **with its state or nonce**: whoever reads it can finish the sign-in. Store it on your
    /// side, or encrypted in a cookie of that one browser.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and numbers can always be written.
        serde_json::to_string(&Stored { version: Self::VERSION, jwt: &self.0 }).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if that is not a stored sign-in, or one of a newer
    /// version of this crate.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::configuration(format!("the stored sign-in {why}; begin a new one")).of(NAME);
        let stored: Stored<Waiting> = serde_json::from_str(json).map_err(|_| refuse("cannot be read"))?;
        if stored.version != Self::VERSION {
            return Err(refuse("is of another version of this crate"));
        }
        if !is_nonce(stored.jwt.awaiting.secret()) || !is_parameter(&stored.jwt.parameter) {
            return Err(refuse("was changed"));
        }
        Ok(Self(stored.jwt))
    }

    fn read(&mut self, callback: &Callback, now: SystemTime) -> Result<ReceivedJwt, Error> {
        const SETTINGS: &str = "see the response parameter and the response mode in the JWT app's settings";
        let Waiting { awaiting, bound_by, parameter } = &mut self.0;
        let nonce = match bound_by {
            BoundBy::State => {
                awaiting.consume(callback.state(), now)?;
                None
            }
            BoundBy::Nonce => {
                let shown = callback.one(parameter).ok().flatten().and_then(unverified_nonce);
                awaiting.consume(shown.as_deref(), now)?;
                shown.map(Nonce::new)
            }
        };
        if let Some(error) = refused(callback, &[awaiting.secret()])? {
            return Err(error);
        }
        Ok(ReceivedJwt { jwt: Jwt::new(one_of(callback, &[parameter], SETTINGS)?), nonce })
    }
}

impl Sealed for PendingJwt {}

impl Pending for PendingJwt {
    type Output = ReceivedJwt;

    fn accept(&mut self, callback: &Callback, now: SystemTime) -> Result<ReceivedJwt, Error> {
        self.read(callback, now).map_err(|error| error.of(NAME))
    }
}

/// The state and the nonce are secrets.
impl fmt::Debug for PendingJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingJwt")
    }
}

/// What a JWT says its nonce is. Enough to tell whose callback it is, since nobody else knows the nonce; the
/// verification of the JWT has to follow.
fn unverified_nonce(jwt: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?;
    let payload = String::from_utf8(payload).ok()?.into();
    Object::parse(&payload)?.text("nonce").ok()?
}
