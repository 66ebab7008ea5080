use std::borrow::Cow;
use std::time::{Duration, Instant};

use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::route::Route;
use crate::secret::DeviceCode;
use crate::service::check_authority;
use crate::wire::character::is_graphic;
use crate::wire::head::ResponseHead;
use crate::wire::json::{self, FieldProblem, JsonText, Object};
use crate::wire::number;
use crate::wire::request::{self, Param};
use crate::wire::response::ResponseReader;

/// LoginRadius's "Request Device Code": begins a device login ([RFC 8628, section 3.1]).
///
/// It yields a [`DeviceGrant`]: show it to the user, and pass it to a [`DeviceFlow`](crate::DeviceFlow), whose page has
/// an example of both.
///
/// It may be sent again after a lost response: a code that no user has seen expires by itself. It sends no client
/// secret.
///
/// | API | address |
/// | --- | --- |
/// | classic | `POST /sso/oauth/{name}/device` |
/// | site | `POST /api/oauth/{name}/device` |
/// | OpenID Connect | `POST /api/oidc/{name}/device` |
/// | classic OpenID Connect | none |
///
/// `{name}` is [`App::with_oauth_app`], or [`App::with_oidc_app`] for OpenID Connect.
///
/// [RFC 8628, section 3.1]: https://www.rfc-editor.org/rfc/rfc8628#section-3.1
#[derive(Debug, Clone, Default)]
#[doc(alias("device flow", "device authorization", "device_code", "user_code", "grant"))]
pub struct RequestDeviceCode {
    scope: Option<String>,
}

impl RequestDeviceCode {
    /// Makes the operation without a scope.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the scope: words separated by spaces, such as `email profile`, which LoginRadius documents. None is sent by
    /// default, and an empty one is left out.
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
        let params = [Param::Optional("scope", self.scope.as_deref())];
        request::public(self.name(), app, Route::DeviceCode, &params)
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<DeviceGrant, Error> {
        ResponseReader::of_route(self, app, Route::DeviceCode).object(&response, "device_code", DeviceGrant::read)
    }

    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn set_requested_at(&self, grant: &mut DeviceGrant, sent: Instant) {
        grant.requested_at = Some(sent);
    }
}

/// The codes of a device login: what to show the user, and what to poll with ([RFC 8628, section 3.2]).
///
/// Show [`verification_uri`](Self::verification_uri) and [`user_code`](Self::user_code) as text. Besides, make a QR
/// code or a link of [`browser_uri`](Self::browser_uri).
///
/// A grant from a response or a stored login is screened, so that it can be printed to a terminal as it is. It is
/// refused if its user code has an invisible character, such as a control character or one that changes the direction
/// of text, or if an address is not a plain `http` or `https` URL in ASCII. A grant that [`new`](Self::new) makes is
/// not screened.
///
/// [RFC 8628, section 3.2]: https://www.rfc-editor.org/rfc/rfc8628#section-3.2
#[derive(Debug, Clone)]
#[non_exhaustive]
#[doc(alias("qr", "qr code", "device authorization response", "user_code"))]
pub struct DeviceGrant {
    /// The secret that [`DeviceFlow`](crate::DeviceFlow) polls with. It is not for the user.
    pub device_code: DeviceCode,
    /// The code that the user types in. Show it as it is: case and hyphens may matter. It is screened: every character
    /// is visible, or a plain space.
    pub user_code: String,
    /// The address where the user types the code in, as the server wrote it. It is screened: an `http` or `https` URL
    /// in ASCII that plainly shows its host. To open it or to make it a link, use [`browser_uri`](Self::browser_uri).
    pub verification_uri: String,
    /// The same address with the user code in it, if the server sent one. It is screened as the address itself. To make
    /// a QR code of it, use [`browser_uri`](Self::browser_uri).
    pub verification_uri_complete: Option<String>,
    /// The minimum time between two polls: 5 s if the server sent none, and 1 s if it sent less than that.
    pub interval: Duration,
    /// How long the codes are valid, from when the response was made: 1800 s, the lifetime that LoginRadius documents,
    /// if the server sent none that can be read. Zero if they are over already: a negative number, or a date that is
    /// past.
    pub expires_in: Duration,
    /// When the request for the codes was sent, if a flow sent it
    /// ([`Endpoint::set_requested_at`](crate::Endpoint::set_requested_at)). It is not stored.
    pub requested_at: Option<Instant>,
}

impl DeviceGrant {
    /// RFC 8628, section 3.2: "If no value is provided, clients MUST use 5".
    const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
    const MIN_INTERVAL: Duration = Duration::from_secs(1);
    const DEFAULT_LIFETIME: Duration = Duration::from_secs(1800);

    /// Makes a grant with the default interval and lifetime: for tests of what your program shows of it.
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
            requested_at: None,
        }
    }

    /// Returns the address to open, to make a link of, or to put into a QR code: the complete one if there is one.
    ///
    /// `None` if [`verification_uri`](Self::verification_uri) is not an `http` or `https` URL that plainly shows its
    /// host, as one with user information or a script. Only a grant that your program made itself can have such a one.
    ///
    /// ```
    /// use loginradius_proto::oauth::DeviceGrant;
    ///
    /// let mut grant = DeviceGrant::new("af2a4121", "oP5lLq", "https://example.com/device");
    /// assert_eq!(grant.browser_uri(), Some("https://example.com/device"));
    /// grant.verification_uri_complete = Some("https://example.com/device?code=oP5lLq".to_owned());
    /// assert_eq!(grant.browser_uri(), Some("https://example.com/device?code=oP5lLq"));
    ///
    /// assert_eq!(DeviceGrant::new("af2a4121", "oP5lLq", "javascript:alert(1)").browser_uri(), None);
    /// ```
    #[must_use]
    pub fn browser_uri(&self) -> Option<&str> {
        let plain = Some(self.verification_uri.as_str()).filter(|uri| is_web(uri))?;
        Some(self.verification_uri_complete.as_deref().filter(|uri| is_web(uri)).unwrap_or(plain))
    }

    fn read(object: &Object<'_>, head: &ResponseHead<'_>) -> Result<Self, FieldProblem> {
        let text = |name| Ok::<_, FieldProblem>(object.text(name)?.filter(|text| !text.is_empty()));
        let needed = |name| text(name)?.ok_or(FieldProblem::missing(name));
        // Some servers write `url` where RFC 8628 has `uri`, and some write both.
        let verification_uri = match text("verification_uri")? {
            Some(uri) => Some(uri),
            None => text("verification_url")?,
        };
        // A device can do without it, so the grant is not lost if it is not a string.
        let complete =
            ["verification_uri_complete", "verification_url_complete"].map(|name| object.optional_text(name));
        let interval = object.raw("interval").and_then(number::seconds).unwrap_or(Self::DEFAULT_INTERVAL);
        let grant = Self {
            device_code: needed("device_code")?.into(),
            user_code: needed("user_code")?.into_string(),
            verification_uri: verification_uri.ok_or(FieldProblem::missing("verification_uri"))?.into_string(),
            verification_uri_complete: complete
                .into_iter()
                .flatten()
                .find(|uri| !uri.is_empty())
                .map(JsonText::into_string),
            interval: interval.max(Self::MIN_INTERVAL),
            expires_in: head.lifetime_or_max(object).unwrap_or(Self::DEFAULT_LIFETIME),
            requested_at: None,
        };
        grant.screen().map(|()| grant)
    }

    /// Checks what comes from a server or a store before a user sees it, or a request sends it.
    pub(crate) fn screen(&self) -> Result<(), FieldProblem> {
        let web_address = |name, uri: &str| if is_web(uri) { Ok(()) } else { Err(FieldProblem::not_a_url(name)) };
        json::check_token("device_code", Some(self.device_code.expose()))?;
        json::check_line("user_code", Some(&self.user_code))?;
        web_address("verification_uri", &self.verification_uri)?;
        match &self.verification_uri_complete {
            Some(uri) => web_address("verification_uri_complete", uri),
            None => Ok(()),
        }
    }
}

/// Returns whether that is an http or https URI that plainly shows its host.
fn is_web(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let Some(rest) = rest.strip_prefix("//") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // LoginRadius's documentation hides the host of its example behind stars.
    let shown = if authority.contains('*') { Cow::from(authority.replace('*', "-")) } else { Cow::from(authority) };
    (scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http"))
        && is_graphic(uri)
        && !uri.contains('\\')
        && check_authority(&shown).is_ok()
}
