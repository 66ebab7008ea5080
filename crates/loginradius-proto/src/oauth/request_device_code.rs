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
use crate::wire::scrub::Asked;
use crate::wire::{answer, number, request};

/// LoginRadius's "Request Device Code": begins a device sign-in ([RFC 8628, section 3.1]).
///
/// Needs [`App::oauth_app`]; sends no secret. It may be repeated: a code that nobody was shown expires
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

    /// The scope, separated by spaces. LoginRadius documents `email profile`.
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
        let build = || {
            let params = request::Params::client(app)?.optional("scope", self.scope.as_deref())?;
            request::oauth(app, Route::DeviceCode, &params)
        };
        build().map_err(|error: Error| error.of(self.name()))
    }

    fn response(&self, app: &App, answer: Response<Body>) -> Result<DeviceGrant, Error> {
        answer::object(&Asked { app, secrets: &[] }, &answer, "device_code", DeviceGrant::read)
            .map_err(|error| error.of(self.name()))
    }

    fn repeatable(&self) -> bool {
        true
    }
}

/// What a device shows its person, and what it polls with ([RFC 8628, section 3.2]).
///
/// [RFC 8628, section 3.2]: https://www.rfc-editor.org/rfc/rfc8628#section-3.2
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeviceGrant {
    /// What [`DeviceFlow`](crate::DeviceFlow) polls with. Not for the person.
    pub device_code: DeviceCode,
    /// What the person types in. Show it as it is: case and hyphens may matter.
    pub user_code: String,
    /// Where the person goes, as the server wrote it. Before you open it or make it a link, see
    /// [`browser_uri`](Self::browser_uri).
    pub verification_uri: String,
    /// The same with the user code in it, if the server gives one: for a QR code.
    pub verification_uri_complete: Option<String>,
    /// The server's least time between two polls. 5 s if it gave none, 1 s if it gave 0.
    pub interval: Duration,
    /// How long the codes live, from when the answer was made. 1800 s, LoginRadius's documented
    /// lifetime, if the server gave none or none above 0.
    pub expires_in: Duration,
}

impl DeviceGrant {
    /// RFC 8628, section 3.2: "If no value is provided, clients MUST use 5".
    const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
    const LEAST_INTERVAL: Duration = Duration::from_secs(1);
    const DEFAULT_LIFETIME: Duration = Duration::from_secs(1800);

    /// The address to open or to show as a link: the complete one if there is one. `None` if
    /// [`verification_uri`](Self::verification_uri) is not plainly `http` or `https`: show it as text then,
    /// and do not make it clickable.
    ///
    /// ```
    /// use loginradius_proto::{App, Body, Endpoint, oauth::RequestDeviceCode};
    ///
    /// # fn main() -> Result<(), loginradius_proto::Error> {
    /// let answer = r#"{"device_code":"d","user_code":"u","verification_uri":"javascript:alert(1)"}"#;
    /// let app = App::new("my-client-id");
    /// let grant = RequestDeviceCode::new().response(&app, http::Response::new(Body::from(answer)))?;
    /// assert_eq!(grant.browser_uri(), None);
    /// # Ok(())
    /// # }
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
        let lifetime = head.lifetime_or_longest(object).filter(|time| !time.is_zero());
        Ok(Self {
            device_code: DeviceCode::new(device_code),
            user_code: needed("user_code")?,
            verification_uri: either("verification_uri", "verification_url")?
                .ok_or(Field::missing("verification_uri"))?,
            // A device can do without it, so one that cannot be read must not cost the grant.
            verification_uri_complete: either("verification_uri_complete", "verification_url_complete").unwrap_or(None),
            interval: interval.max(Self::LEAST_INTERVAL),
            expires_in: lifetime.unwrap_or(Self::DEFAULT_LIFETIME),
        })
    }
}

/// Whether that is an http or https URI that shows the host it leads to.
fn is_web(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    (scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http"))
        && uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !matches!(authority.bytes().next(), None | Some(b':'))
        && !authority.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::BodyFormat::{Form, Json};
    use crate::error::ErrorKind;
    use crate::testing::{Sent, answer, classic_app, sent, site_app};

    fn operation() -> RequestDeviceCode {
        RequestDeviceCode::new().scope("email profile")
    }

    const CLASSIC: (&str, &[(&str, &str)]) = (
        "https://cloud-api.loginradius.com/sso/oauth/my-oauth-app/device",
        &[("client_id", "my-client-id"), ("scope", "email profile")],
    );
    const SITE: (&str, &[(&str, &str)]) = (
        "https://acme.hub.loginradius.com/api/oauth/my-oauth-app/device",
        &[("client_id", "my-client-id"), ("scope", "email profile")],
    );

    #[test]
    fn classic_form() {
        assert_eq!(sent(&operation(), &classic_app(Form)), Sent::form(CLASSIC.0, CLASSIC.1));
    }

    #[test]
    fn classic_json() {
        assert_eq!(sent(&operation(), &classic_app(Json)), Sent::json(CLASSIC.0, CLASSIC.1));
    }

    #[test]
    fn site_form() {
        assert_eq!(sent(&operation(), &site_app(Form)), Sent::form(SITE.0, SITE.1));
    }

    #[test]
    fn site_json() {
        assert_eq!(sent(&operation(), &site_app(Json)), Sent::json(SITE.0, SITE.1));
    }

    #[test]
    fn without_a_scope() {
        assert_eq!(sent(&RequestDeviceCode::new(), &classic_app(Form)), Sent::form(CLASSIC.0, &CLASSIC.1[..1]));
        assert_eq!(sent(&RequestDeviceCode::new().scope(""), &site_app(Json)), Sent::json(SITE.0, &SITE.1[..1]));
    }

    #[test]
    fn answer_with_a_grant() {
        let grant = operation()
            .response(
                &classic_app(Form),
                answer(
                    200,
                    r#"{"device_code":"af2a","user_code":"oP5lLq","verification_uri":"https://example.com/device",
                        "verification_uri_complete":"https://example.com/device?user_code=oP5lLq","interval":10,
                        "expires_in":1800}"#,
                ),
            )
            .unwrap();
        assert_eq!(grant.device_code.expose(), "af2a");
        assert_eq!(grant.user_code, "oP5lLq");
        assert_eq!(grant.verification_uri, "https://example.com/device");
        assert_eq!(grant.browser_uri(), Some("https://example.com/device?user_code=oP5lLq"));
        assert_eq!(grant.interval, Duration::from_secs(10));
        assert_eq!(grant.expires_in, Duration::from_secs(1800));
    }

    #[test]
    fn answer_with_an_error() {
        let error = operation()
            .response(
                &classic_app(Form),
                answer(401, r#"{"error":"invalid_client","error_description":"The client_id is not valid."}"#),
            )
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert_eq!(error.operation(), Some("Request Device Code"));
        assert_eq!(error.service().unwrap().oauth_error.as_deref(), Some("invalid_client"));
    }

    #[test]
    fn it_may_be_repeated() {
        assert!(operation().repeatable());
    }
}
