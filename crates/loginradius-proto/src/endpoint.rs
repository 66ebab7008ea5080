use std::time::Instant;

use crate::app::App;
use crate::body::Body;
use crate::error::Error;

/// One operation of LoginRadius: makes its request and reads its response, without any I/O.
///
/// [`oauth`](crate::oauth) and [`jwt`](crate::jwt) have one type for each operation. A transport calls
/// [`request`](Self::request), sends the result, and gives the response to [`response`](Self::response); it need not
/// know which operation it is. [`Call`](crate::Call) adds retries, a timeout and a deadline.
///
/// ```
/// use loginradius_proto::{App, Body, Endpoint, oauth::RequestDeviceCode};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let app = App::new("my-client-id").with_oauth_app("my-oauth-app");
/// let operation = RequestDeviceCode::new().scope("email profile");
///
/// let request = operation.request(&app)?;
/// assert_eq!(request.uri(), "https://cloud-api.loginradius.com/sso/oauth/my-oauth-app/device");
/// assert_eq!(request.body().as_bytes(), b"client_id=my-client-id&scope=email+profile");
///
/// let response = http::Response::new(Body::from(
///     r#"{"device_code":"af2a","user_code":"oP5lLq","verification_uri":"https://example.com/"}"#,
/// ));
/// let grant = operation.response(&app, response)?;
/// assert_eq!(grant.user_code, "oP5lLq");
/// # Ok(())
/// # }
/// ```
///
/// # An endpoint of your own
///
/// LoginRadius has hundreds of operations besides signing in. Each takes some twenty lines:
/// [`RequestBuilder`](crate::RequestBuilder) makes the request, [`ResponseReader`](crate::ResponseReader) reads the
/// response. [`Call`](crate::Call) and the adapters' `Client::call` then give it what the operations of this crate get:
/// retries, limits and redacted errors.
///
/// ```
/// use loginradius_proto::{AccessToken, App, Body, Endpoint, Error, RequestBuilder, ResponseReader, http};
///
/// /// LoginRadius's "Auth Read all Profiles by Token": the profile of the user who signed in.
/// struct ReadProfile {
///     access_token: AccessToken,
/// }
///
/// #[derive(serde::Deserialize)]
/// #[serde(rename_all = "PascalCase")]
/// struct Profile {
///     uid: String,
///     full_name: Option<String>,
/// }
///
/// impl Endpoint for ReadProfile {
///     type Response = Profile;
///
///     fn name(&self) -> &'static str {
///         "Auth Read all Profiles by Token"
///     }
///
///     fn request(&self, app: &App) -> Result<http::Request<Body>, Error> {
///         RequestBuilder::get(app.service().api_host(), "/identity/v2/auth/account")
///             .query("apikey", app.api_key())
///             .bearer(&self.access_token)
///             .build()
///     }
///
///     fn response(&self, app: &App, response: http::Response<Body>) -> Result<Profile, Error> {
///         ResponseReader::new(self, app).json(&response)
///     }
///
///     fn secrets(&self) -> Vec<&str> {
///         vec![self.access_token.expose()]
///     }
///
///     fn repeatable(&self) -> bool {
///         true // it only reads
///     }
/// }
///
/// # fn main() -> Result<(), Error> {
/// let app = App::new("my-api-key");
/// let read = ReadProfile { access_token: AccessToken::new("b8cb84c9") };
/// assert_eq!(
///     read.request(&app)?.uri(),
///     "https://api.loginradius.com/identity/v2/auth/account?apikey=my-api-key",
/// );
/// let response = http::Response::new(Body::from(r#"{"Uid":"5f3c","FullName":"Ada Lovelace","ID":"17"}"#));
/// assert_eq!(read.response(&app, response)?.full_name.as_deref(), Some("Ada Lovelace"));
/// # Ok(())
/// # }
/// ```
#[doc(alias("operation", "api call", "custom request", "userinfo", "profile"))]
pub trait Endpoint {
    /// The type of a successful response.
    type Response;

    /// Returns LoginRadius's name of the operation, such as `"Refresh Access Token"`. Errors begin with it.
    fn name(&self) -> &'static str;

    /// Makes the request of this operation.
    ///
    /// Its host has to be that of [`base`](crate::Service::base) or [`api_host`](crate::Service::api_host) of the app's
    /// [`Service`](crate::Service). Flows send nothing elsewhere, and end with
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a setting or a parameter is missing, is empty
    /// or has a control character. The message names it and says what to change.
    fn request(&self, app: &App) -> Result<http::Request<Body>, Error>;

    /// Reads the response, whatever its HTTP status and content type.
    ///
    /// `app` is the one that the request was made with. Where the response repeats a secret of the request or the app,
    /// the error shows `[redacted]` instead.
    ///
    /// # Errors
    ///
    /// - LoginRadius's refusal: [`Error::api_error`](crate::Error::api_error) is what it responded, and
    ///   [`Error::kind`](crate::Error::kind) what to do about it.
    /// - [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable): HTTP 408, 425, 429 or 5xx (but 501 and 505) without
    ///   one of LoginRadius's [error bodies](crate::ApiError).
    /// - [`ErrorKind::InvalidResponse`](crate::ErrorKind::InvalidResponse): the response is not LoginRadius's, or lacks
    ///   what the operation yields.
    /// - [`ErrorKind::OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown): the response is longer than
    ///   [`Body::LIMIT`](crate::Body::LIMIT).
    fn response(&self, app: &App, response: http::Response<Body>) -> Result<Self::Response, Error>;

    /// Returns the secrets that the request carries besides the app's client secret: passwords, tokens, codes.
    ///
    /// A server may echo what it was sent. In every error of a [`ResponseReader`](crate::ResponseReader), `[redacted]`
    /// replaces every readable part of one, also an encoded one ([`ApiError`](crate::ApiError) says which parts and
    /// which encodings). A secret that is missing here can reach a log: return every secret field, also a secret of
    /// your app that is not [`App::client_secret`]. An email address or a name is not a secret, and is shown.
    fn secrets(&self) -> Vec<&str>;

    /// Returns whether the operation may be sent again after a failure that leaves its outcome unknown; `false` by
    /// default. [`Retry`](crate::Retry) lists these failures. A request that was certainly not sent is always sent
    /// again.
    ///
    /// Return `true` only if sending it twice does no more than sending it once, as for an operation that only reads. A
    /// request with a code, a password or a refresh token must not be sent twice: the first may have consumed the code
    /// or the token, and LoginRadius locks accounts after wrong passwords.
    #[doc(alias("idempotent", "retry", "safe"))]
    fn repeatable(&self) -> bool {
        false
    }

    /// Sets when the request of this response was sent. Flows call it once, before they return the response.
    ///
    /// It does nothing by default. An operation whose response is or holds a [`TokenSet`](crate::TokenSet) sets
    /// [`requested_at`](crate::TokenSet::requested_at), from which sessions count the tokens' lifetime.
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

    fn response(&self, app: &App, response: http::Response<Body>) -> Result<Self::Response, Error> {
        (**self).response(app, response)
    }

    fn secrets(&self) -> Vec<&str> {
        (**self).secrets()
    }

    fn repeatable(&self) -> bool {
        (**self).repeatable()
    }

    fn set_requested_at(&self, response: &mut Self::Response, sent: Instant) {
        (**self).set_requested_at(response, sent);
    }
}

/// Makes the request that a flow sends: its error names the operation, and it goes to the app's own service.
pub(crate) fn request_of<E: Endpoint>(endpoint: &E, app: &App) -> Result<http::Request<Body>, Error> {
    let request = app.check_client().and_then(|()| endpoint.request(app)).map_err(|error| error.of(endpoint.name()))?;
    match app.service().base_of(request.uri()) {
        Some(_) => Ok(request),
        None => Err(Error::misuse(
            "not sent, because the request's host is not one of the service's: build it from `Service::base` or \
             `Service::api_host` (which `Service::with_api_host` sets)",
        )
        .of(endpoint.name())),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use http::{Request, Response};

    use super::*;
    use crate::dialect::BodyFormat::Form;
    use crate::error::ErrorKind;
    use crate::flow::{Call, Flow, Retry, Step};
    use crate::jitter::Seed;
    use crate::jwt::{JwtByAccessToken, JwtLogin, LoginOptions};
    use crate::oauth::{
        AccessTokenByCode, AccessTokenByPassword, IntrospectToken, RefreshAccessToken, RequestDeviceCode,
        RequestTokens, RevokeRefreshToken,
    };
    use crate::service::Service;
    use crate::testing::{classic_app, now, oidc_app, response};

    /// An operation whose response is dropped, so that all operations have one type.
    struct Discarding<E>(E);

    impl<E: Endpoint> Endpoint for Discarding<E> {
        type Response = ();

        fn name(&self) -> &'static str {
            self.0.name()
        }

        fn request(&self, app: &App) -> Result<Request<Body>, Error> {
            self.0.request(app)
        }

        fn response(&self, app: &App, response: Response<Body>) -> Result<(), Error> {
            self.0.response(app, response).map(drop)
        }

        fn secrets(&self) -> Vec<&str> {
            self.0.secrets()
        }
    }

    /// Returns every operation with LoginRadius's name of it, made of that one argument.
    fn operations(argument: &str) -> [(&'static str, Box<dyn Endpoint<Response = ()>>); 11] {
        fn boxed(operation: impl Endpoint + 'static) -> Box<dyn Endpoint<Response = ()>> {
            Box::new(Discarding(operation))
        }
        [
            ("Request Device Code", boxed(RequestDeviceCode::new().scope(argument))),
            ("Request Tokens", boxed(RequestTokens::new(argument))),
            ("Access Token by OAuth 2 Token", boxed(AccessTokenByCode::new(argument, "https://www.abc.com/"))),
            ("Access Token by Account Password", boxed(AccessTokenByPassword::new("user", argument))),
            ("Refresh Access Token", boxed(RefreshAccessToken::new(argument))),
            ("Revoke Refresh Token", boxed(RevokeRefreshToken::new(argument))),
            ("Introspect Token", boxed(IntrospectToken::new(argument))),
            ("JWT Token", boxed(JwtByAccessToken::new(argument))),
            ("JWT Token by Email", boxed(JwtLogin::email("user@example.com", argument))),
            ("JWT Token by Phone", boxed(JwtLogin::phone("+16045552368", argument))),
            ("JWT Token by Username", boxed(JwtLogin::username("johndoe", argument))),
        ]
    }

    #[track_caller]
    fn check(name: &str, given: impl Debug, result: Result<impl Sized, Error>) {
        let Err(error) = result else { panic!("{name}: no error of {given:?}") };
        assert_eq!(error.operation(), Some(name), "{given:?}");
        assert!(error.to_string().starts_with(&format!("{name}: ")), "{given:?}: {error}");
    }

    /// Returns the result of a call whose request, if there is one, gets that outcome.
    fn call(
        operation: &dyn Endpoint<Response = ()>,
        app: &App,
        outcome: Result<Response<Body>, Error>,
    ) -> Result<(), Error> {
        let now = now().monotonic;
        let mut call = Call::new(operation, app, Seed(42)).retry(Retry::OFF);
        if let Step::Done(result) = call.step(now) {
            return result;
        }
        call.receive(outcome, now);
        match call.step(now) {
            Step::Done(result) => result,
            step => panic!("not done: {step:?}"),
        }
    }

    #[test]
    fn what_cannot_be_sent_names_the_operation() {
        let good = || classic_app(Form);
        let named = |client_id: &str| App::new(client_id).with_oauth_app("my-oauth-app").with_jwt_app("my-jwt-app");
        let at_a_site = |app: App| app.with_service(Service::site("acme.hub.loginradius.com").unwrap());
        let apps = [
            named(""),
            named(" my-client-id"),
            named("my-client-id\n"),
            at_a_site(App::new("my-client-id")),
            at_a_site(named("my-client-id").with_oauth_app("my\napp").with_jwt_app("my\napp")),
        ];
        let bad_settings = apps.into_iter().map(|app| (app, "argument"));
        for (app, argument) in bad_settings.chain([(good(), "a\nb"), (oidc_app(Form), "a\nb")]) {
            for (name, operation) in operations(argument) {
                let given = (&app, argument);
                check(name, given, operation.request(&app));
                check(name, given, call(&*operation, &app, Ok(response(200, ""))));
            }
        }
        // What only some operations refuse.
        let no_names = App::new("my-client-id");
        check("Request Device Code", "no OAuth app", RequestDeviceCode::new().request(&no_names));
        check("JWT Token", "no JWT app", JwtByAccessToken::new("b8cb").request(&no_names));
        check("JWT Token", "a nonce", JwtByAccessToken::new("b8cb").nonce("3f44").request(&good()));
        check("JWT Token", "a long token", JwtByAccessToken::new("x".repeat(70_000)).request(&good()));
        let login = JwtLogin::email("user@example.com", "password").options(LoginOptions::new().login_url("a\nb"));
        check("JWT Token by Email", "a line break in an option", login.request(&good()));
    }

    /// As by this machine's own count of a code's lifetime, wherever a server says it.
    #[test]
    fn an_expired_token_is_expired_in_every_operation() {
        let app = oidc_app(Form);
        for (name, operation) in operations("argument") {
            for status in [200, 400, 401, 403] {
                let error = call(&*operation, &app, Ok(response(status, r#"{"error":"expired_token"}"#))).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Expired, "{name}, {status}: {error}");
                assert!(error.requires_login() && !error.is_transient() && !error.is_outcome_unknown(), "{name}");
                assert!(error.to_string().contains("sign in again"), "{error}");
            }
        }
    }

    #[test]
    fn a_response_that_is_no_success_names_the_operation() {
        const UNREADABLE: &str = r#"{"access_token":5,"device_code":5,"signature":5,"active":5}"#;
        const HALF: &str = r#"{"access_token":"b8cb","#;
        const PAGE: &str = "<html><title>Sign in to the network</title></html>";
        let too_long = " ".repeat(Body::LIMIT + 1);
        let responses = [
            (400, r#"{"error":"invalid_request","error_description":"The client_id is missing."}"#),
            (401, r#"{"error":"invalid_grant"}"#),
            (401, r#"{"ErrorCode":966,"Message":"Invalid user ID and/or password"}"#),
            (200, r#"{"error":"server_error"}"#),
            (200, HALF),
            (200, UNREADABLE),
            (200, "{}"),
            (200, PAGE),
            (502, "<html><title>Bad gateway</title></html>"),
            (302, ""),
            (429, ""),
            (200, &too_long),
        ];
        let app = oidc_app(Form);
        for (status, body) in responses {
            for (name, operation) in operations("argument") {
                // The status is the success of a revocation.
                if name == "Revoke Refresh Token" && [HALF, UNREADABLE, "{}", PAGE].contains(&body) {
                    continue;
                }
                let given = format!("{status} {body:.60}");
                check(name, &given, operation.response(&app, response(status, body)));
                check(name, &given, call(&*operation, &app, Ok(response(status, body))));
            }
        }
    }

    #[test]
    fn a_lost_response_names_the_operation() {
        for (name, operation) in operations("argument") {
            for error in [Error::not_sent("refused"), Error::outcome_unknown("reset")] {
                check(name, error.kind(), call(&*operation, &oidc_app(Form), Err(error)));
            }
        }
    }
}
