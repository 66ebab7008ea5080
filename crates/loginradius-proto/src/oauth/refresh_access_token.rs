use std::time::Instant;

use http::{Request, Response};

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::route::Route;
use crate::secret::RefreshToken;
use crate::token::TokenSet;
use crate::wire::json::Field;
use crate::wire::scrub::Asked;
use crate::wire::{answer, request};

/// LoginRadius's "Refresh Access Token" ([RFC 6749, section 6]).
///
/// LoginRadius rotates refresh tokens: the one that is sent is spent, and the answer holds the next.
/// Never sent twice when the first may have arrived, because a spent token can end the whole sign-in.
/// If the answer holds no refresh token, keep the one that was sent.
///
/// Classic: `POST /sso/oauth/access_token/refresh`; site: `POST /api/oauth/{OAuthName}/token`, and needs
/// [`App::oauth_app`].
///
/// [RFC 6749, section 6]: https://www.rfc-editor.org/rfc/rfc6749#section-6
#[derive(Debug, Clone)]
pub struct RefreshAccessToken {
    refresh_token: RefreshToken,
}

impl RefreshAccessToken {
    /// Spends that refresh token.
    #[must_use]
    pub fn new(refresh_token: impl Into<RefreshToken>) -> Self {
        Self { refresh_token: refresh_token.into() }
    }

    /// Reads the answer part by part, for those who must not lose what is good in it. The `others` are secrets
    /// that a server may repeat as well.
    pub(crate) fn refreshed(&self, app: &App, answer: &Response<Body>, others: &[&str]) -> Refreshed {
        let secrets: Vec<_> = others.iter().copied().chain([self.refresh_token.expose()]).collect();
        let asked = Asked { app, secrets: &secrets };
        let mut refresh_token = Ok(None);
        let tokens = answer::object(&asked, answer, "access_token", |object, head| {
            refresh_token = object.last_text("refresh_token");
            TokenSet::read_access(object, head)
        });
        let refresh_token = match refresh_token {
            // Nobody could send it.
            Ok(Some(text)) if text.contains(char::is_control) => Err(Field::unusable("refresh_token")),
            Ok(text) => Ok(text.map(RefreshToken::new)),
            Err(field) => Err(field),
        };
        Refreshed {
            tokens: tokens.map_err(|error| error.of(self.name())),
            refresh_token: refresh_token.map_err(|field| {
                let message = format!("{field}; the refresh token of before is kept, which may be spent");
                Error::new(ErrorKind::BadAnswer, message).of(self.name())
            }),
        }
    }
}

/// What can be read of the answer to a refresh.
pub(crate) struct Refreshed {
    /// All but the refresh token.
    pub(crate) tokens: Result<TokenSet, Error>,
    /// The next refresh token, even if the rest cannot be read; an error if there is one that cannot.
    pub(crate) refresh_token: Result<Option<RefreshToken>, Error>,
}

impl Endpoint for RefreshAccessToken {
    type Response = TokenSet;

    fn name(&self) -> &'static str {
        "Refresh Access Token"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let build = || {
            let params = request::Params::client(app)?
                .secret(app)?
                .required("grant_type", "refresh_token")?
                .required("refresh_token", self.refresh_token.expose())?;
            request::oauth(app, Route::Refresh, &params)
        };
        build().map_err(|error: Error| error.of(self.name()))
    }

    fn response(&self, app: &App, answer: Response<Body>) -> Result<TokenSet, Error> {
        let asked = Asked { app, secrets: &[self.refresh_token.expose()] };
        answer::object(&asked, &answer, "access_token", TokenSet::read).map_err(|error| error.of(self.name()))
    }

    fn set_requested_at(&self, tokens: &mut TokenSet, sent: Instant) {
        tokens.requested_at = Some(sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::BodyFormat::{Form, Json};
    use crate::testing::{Sent, answer, classic_app, public, sent, site_app};

    fn operation() -> RefreshAccessToken {
        RefreshAccessToken::new("a795bbb0")
    }

    const CLASSIC: (&str, &[(&str, &str)]) = (
        "https://cloud-api.loginradius.com/sso/oauth/access_token/refresh",
        &[
            ("client_id", "my-client-id"),
            ("client_secret", "my-client-secret"),
            ("grant_type", "refresh_token"),
            ("refresh_token", "a795bbb0"),
        ],
    );
    const SITE: (&str, &[(&str, &str)]) = (
        "https://acme.hub.loginradius.com/api/oauth/my-oauth-app/token",
        &[
            ("client_id", "my-client-id"),
            ("client_secret", "my-client-secret"),
            ("grant_type", "refresh_token"),
            ("refresh_token", "a795bbb0"),
        ],
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
    fn without_a_secret() {
        let fields = |given: &[(&'static str, &'static str)]| {
            given.iter().copied().filter(|(name, _)| *name != "client_secret").collect::<Vec<_>>()
        };
        assert_eq!(sent(&operation(), &public(classic_app(Form))), Sent::form(CLASSIC.0, &fields(CLASSIC.1)));
        assert_eq!(sent(&operation(), &public(site_app(Json))), Sent::json(SITE.0, &fields(SITE.1)));
    }

    #[test]
    fn answer_with_tokens() {
        let tokens = operation()
            .response(
                &classic_app(Form),
                answer(
                    200,
                    r#"{"access_token":"b8cb","token_type":"access_token","refresh_token":"a795","expires_in":31103985}"#,
                ),
            )
            .unwrap();
        assert_eq!(tokens.access_token.expose(), "b8cb");
        assert_eq!(tokens.refresh_token.unwrap().expose(), "a795");
        assert_eq!(tokens.token_type.as_deref(), Some("access_token"));
        assert_eq!(tokens.expires_in, Some(std::time::Duration::from_secs(31_103_985)));
        assert!(tokens.id_token.is_none());
    }

    #[test]
    fn answer_with_an_error() {
        let error = operation()
            .response(
                &classic_app(Form),
                answer(400, r#"{"ErrorCode":2010,"Message":"invalid_grant","Description":"invalid_grant"}"#),
            )
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignInAgain);
        assert_eq!(error.operation(), Some("Refresh Access Token"));
        assert_eq!(error.service().unwrap().oauth_error.as_deref(), Some("invalid_grant"));
    }

    #[test]
    fn it_is_never_repeated() {
        assert!(!operation().repeatable());
    }
}
