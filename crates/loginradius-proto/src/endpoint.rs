use std::time::Instant;

use crate::app::App;
use crate::body::Body;
use crate::error::Error;

/// One operation of LoginRadius: how it is asked and how its answer is read, without any I/O.
///
/// An endpoint holds both directions, so that no transport knows any operation and any transport can
/// carry them all.
///
/// ```
/// use loginradius_proto::{App, Body, Endpoint, oauth::RequestDeviceCode};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let app = App::new("my-client-id").oauth_app("my-oauth-app");
/// let operation = RequestDeviceCode::new().scope("email profile");
///
/// let request = operation.request(&app)?;
/// assert_eq!(request.uri(), "https://cloud-api.loginradius.com/sso/oauth/my-oauth-app/device");
/// assert_eq!(request.body().as_bytes(), b"client_id=my-client-id&scope=email+profile");
///
/// let answer = http::Response::new(Body::from(
///     r#"{"device_code":"af2a","user_code":"oP5lLq","verification_uri":"https://example.com/"}"#,
/// ));
/// let grant = operation.response(&app, answer)?;
/// assert_eq!(grant.user_code, "oP5lLq");
/// # Ok(())
/// # }
/// ```
pub trait Endpoint {
    /// What a successful answer yields.
    type Response;

    /// LoginRadius's name for the operation; errors begin with it.
    fn name(&self) -> &'static str;

    /// The request of this operation.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) if a parameter is missing, empty or has a
    /// control character: nothing has been sent then, and the message says what to change.
    fn request(&self, app: &App) -> Result<http::Request<Body>, Error>;

    /// Reads the answer, whatever its status and content type.
    ///
    /// `app` is the one that asked: its secrets are removed from texts that the server echoes.
    ///
    /// # Errors
    ///
    /// What LoginRadius said ([`Error::service`](crate::Error::service)), or
    /// [`ErrorKind::BadAnswer`](crate::ErrorKind::BadAnswer) if the answer cannot be read.
    fn response(&self, app: &App, answer: http::Response<Body>) -> Result<Self::Response, Error>;

    /// Whether the operation may be sent again when its answer was lost.
    ///
    /// False unless an operation says otherwise: a code, a password or a refresh token must not be
    /// spent twice.
    fn repeatable(&self) -> bool {
        false
    }

    /// Notes when the request of this response was sent. Flows call it once, before they hand out the response.
    ///
    /// Does nothing unless an operation says otherwise. One whose response is or holds a
    /// [`TokenSet`](crate::TokenSet) sets [`requested_at`](crate::TokenSet::requested_at), from which the
    /// tokens' lifetime is counted.
    fn set_requested_at(&self, response: &mut Self::Response, sent: Instant) {
        let _ = (response, sent);
    }
}

impl<E: Endpoint + ?Sized> Endpoint for &E {
    type Response = E::Response;

    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn request(&self, app: &App) -> Result<http::Request<Body>, Error> {
        (**self).request(app)
    }

    fn response(&self, app: &App, answer: http::Response<Body>) -> Result<Self::Response, Error> {
        (**self).response(app, answer)
    }

    fn repeatable(&self) -> bool {
        (**self).repeatable()
    }

    fn set_requested_at(&self, response: &mut Self::Response, sent: Instant) {
        (**self).set_requested_at(response, sent);
    }
}
