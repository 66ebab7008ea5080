use std::time::Duration;

use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::route::Route;
use crate::secret::DeviceCode;
use crate::wire::head::Head;
use crate::wire::json::{Field, Object};
use crate::wire::number;
use crate::wire::request::{self, Params};
use crate::wire::response::ResponseReader;

/// LoginRadius's "Request Device Code": begins a device login ([RFC 8628, section 3.1]).
///
/// Needs [`App::with_oauth_app`]; sends no secret. It may be repeated: a code that no user was shown expires
/// by itself.
///
/// Classic: `POST /sso/oauth/{OAuthName}/device`; site: `POST /api/oauth/{OAuthName}/device`.
///
/// [RFC 8628, section 3.1]: https://www.rfc-editor.org/rfc/rfc8628#section-3.1
#[derive(Debug, Clone, Default)]
pub struct RequestDeviceCode {
    scope: Option<String>,
}

impl RequestDeviceCode {
    /// Asks for a device code without a scope.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the scope, separated by spaces. LoginRadius documents `email profile`. An empty one is left out.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }
}

impl Endpoint for RequestDeviceCode {
    type Response = DeviceGrant;

    fn name(&self) -> &'static str {
        "Request Device Code"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let params = Params::client(app).optional("scope", self.scope.as_deref());
        request::public(self.name(), app, Route::DeviceCode, params)
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<DeviceGrant, Error> {
        ResponseReader::new(self, app).object(&response, "device_code", DeviceGrant::read)
    }

    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }

    fn repeatable(&self) -> bool {
        true
    }
}

/// What a device shows its user, and what it polls with ([RFC 8628, section 3.2]).
///
/// [RFC 8628, section 3.2]: https://www.rfc-editor.org/rfc/rfc8628#section-3.2
#[derive(Debug, Clone)]
#[non_exhaustive]
#[doc(alias = "qr")]
pub struct DeviceGrant {
    /// What [`DeviceFlow`](crate::DeviceFlow) polls with. Not for the user.
    pub device_code: DeviceCode,
    /// What the user types in. Show it as it is: case and hyphens may matter.
    pub user_code: String,
    /// Where the user goes, as the server wrote it. Before you open it or make it a link, see
    /// [`browser_uri`](Self::browser_uri).
    pub verification_uri: String,
    /// The same with the user code in it, if the server gives one: for a QR code.
    pub verification_uri_complete: Option<String>,
    /// The server's minimum time between two polls. 5 s if it gave none, 1 s if it gave 0.
    pub interval: Duration,
    /// How long the codes live, from when the response was made. 1800 s, LoginRadius's documented
    /// lifetime, if the server gave none or none above 0.
    pub expires_in: Duration,
}

impl DeviceGrant {
    /// RFC 8628, section 3.2: "If no value is provided, clients MUST use 5".
    const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
    const MIN_INTERVAL: Duration = Duration::from_secs(1);
    const DEFAULT_LIFETIME: Duration = Duration::from_secs(1800);

    /// Makes a grant with the default interval and lifetime: for tests of what a program shows of it.
    ///
    /// ```
    /// use loginradius_proto::oauth::DeviceGrant;
    ///
    /// let grant = DeviceGrant::new("af2a4121", "oP5lLq", "https://example.com/device");
    /// assert_eq!(grant.interval.as_secs(), 5);
    /// ```
    #[must_use]
    pub fn new(
        device_code: impl Into<DeviceCode>,
        user_code: impl Into<String>,
        verification_uri: impl Into<String>,
    ) -> Self {
        Self {
            device_code: device_code.into(),
            user_code: user_code.into(),
            verification_uri: verification_uri.into(),
            verification_uri_complete: None,
            interval: Self::DEFAULT_INTERVAL,
            expires_in: Self::DEFAULT_LIFETIME,
        }
    }

    /// Returns the address to open or to show as a link: the complete one if there is one. `None` if
    /// [`verification_uri`](Self::verification_uri) is not plainly `http` or `https`: show it as text then,
    /// and do not make it clickable.
    ///
    /// ```
    /// use loginradius_proto::oauth::DeviceGrant;
    ///
    /// let grant = DeviceGrant::new("af2a4121", "oP5lLq", "javascript:alert(1)");
    /// assert_eq!(grant.browser_uri(), None);
    /// ```
    #[must_use]
    pub fn browser_uri(&self) -> Option<&str> {
        let plain = Some(self.verification_uri.as_str()).filter(|uri| is_web(uri))?;
        Some(self.verification_uri_complete.as_deref().filter(|uri| is_web(uri)).unwrap_or(plain))
    }

    fn read(object: &Object<'_>, head: &Head) -> Result<Self, Field> {
        let optional = |name| Ok::<_, Field>(object.text(name)?.filter(|text| !text.is_empty()));
        let needed = |name| optional(name)?.ok_or(Field::missing(name));
        // Some servers say `url` where RFC 8628 says `uri`, and some say both.
        let either = |uri, url| match optional(uri)? {
            Some(text) => Ok(Some(text)),
            None => optional(url),
        };
        // It has to be sent back, and nothing with a control character is ever sent.
        let device_code = needed("device_code")?;
        if device_code.chars().any(char::is_control) {
            return Err(Field::unusable("device_code"));
        }
        let interval = object.raw("interval").and_then(number::seconds).unwrap_or(Self::DEFAULT_INTERVAL);
        let lifetime = head.lifetime_or_max(object).filter(|time| !time.is_zero());
        Ok(Self {
            device_code: DeviceCode::new(device_code),
            user_code: needed("user_code")?,
            verification_uri: either("verification_uri", "verification_url")?
                .ok_or(Field::missing("verification_uri"))?,
            // A device can do without it, so one that cannot be read must not cost the grant.
            verification_uri_complete: either("verification_uri_complete", "verification_url_complete").unwrap_or(None),
            interval: interval.max(Self::MIN_INTERVAL),
            expires_in: lifetime.unwrap_or(Self::DEFAULT_LIFETIME),
        })
    }
}

/// Returns whether that is an http or https URI that shows the host it leads to.
fn is_web(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    (scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http"))
        && uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !matches!(authority.bytes().next(), None | Some(b':'))
        && !authority.contains('@')
}
