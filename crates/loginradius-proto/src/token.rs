use std::time::{Duration, Instant};

use crate::secret::{AccessToken, IdToken, Nonce, RefreshToken};
use crate::wire::head::ResponseHead;
use crate::wire::json::{self, FieldProblem, JsonText, Object};

/// The tokens that a login or a refresh yields ([RFC 6749, section 5.1]).
///
/// ```
/// use loginradius_proto::TokenSet;
///
/// let tokens = TokenSet::new("b8cb84c9-dff7-401a-94c1-7cd44ebf80a0");
/// assert!(tokens.refresh_token.is_none());
/// assert!(!format!("{tokens:?}").contains("b8cb84c9"));
/// ```
///
/// [RFC 6749, section 5.1]: https://www.rfc-editor.org/rfc/rfc6749#section-5.1
#[derive(Debug, Clone)]
#[non_exhaustive]
#[doc(alias("token response", "tokens", "credentials"))]
pub struct TokenSet {
    /// The access token. Send it to APIs as `Authorization: Bearer`, whatever `token_type` says.
    pub access_token: AccessToken,
    /// The token's type exactly as it was sent, for information only. LoginRadius documents `access_token`, `Bearer`
    /// and `bearer`.
    pub token_type: Option<String>,
    /// How long the access token is valid, from when the response was made; `None` if that is missing or unreadable.
    /// Zero if it is over already: a negative number, or a date that is past.
    ///
    /// LoginRadius documents lifetimes from minutes to 360 days. All its ways of writing them are read: under the names
    /// `expires_in`, `expires` and `expire_in`; as a number of seconds, a string of one, or a date.
    pub expires_in: Option<Duration>,
    /// The next refresh token. After a refresh it replaces the one that was sent, which is consumed. If the response
    /// has none, the one that was sent stays valid.
    pub refresh_token: Option<RefreshToken>,
    /// The scope that was granted, if the response has one: it may be another than the one requested. LoginRadius
    /// documents no response with it.
    pub scope: Option<String>,
    /// The OpenID Connect `id_token`, if the OAuth app is configured for one. It is not verified: `loginradius-jwt`
    /// does that.
    pub id_token: Option<IdToken>,
    /// The value that the claim `nonce` of the `id_token` has to have, if a login through a browser sent one. Pass it
    /// to `Verifier::verify_with_nonce` of `loginradius-jwt` with the `id_token`. A session keeps the `id_token` and
    /// not the nonce, so verify before you start one.
    pub nonce: Option<Nonce>,
    /// When the request for the tokens was sent, if a flow sent it
    /// ([`Endpoint::set_requested_at`](crate::Endpoint::set_requested_at)). Sessions count `expires_in` from then, so
    /// that a slow response makes no token seem to be valid for longer. It holds in this process only, and is not
    /// stored.
    pub requested_at: Option<Instant>,
}

impl TokenSet {
    /// Makes a set of which only the access token is known: for tests, and for tokens from elsewhere.
    #[must_use]
    pub fn new(access_token: impl Into<AccessToken>) -> Self {
        Self {
            access_token: access_token.into(),
            token_type: None,
            expires_in: None,
            refresh_token: None,
            scope: None,
            id_token: None,
            nonce: None,
            requested_at: None,
        }
    }

    /// Reads the object that every operation for tokens yields.
    pub(crate) fn read(object: &Object<'_>, head: &ResponseHead<'_>) -> Result<Self, FieldProblem> {
        let refresh_token = object.token("refresh_token")?.map(RefreshToken::from);
        Ok(Self { refresh_token, ..Self::read_access(object, head)? })
    }

    /// Reads all of it but the refresh token.
    pub(crate) fn read_access(object: &Object<'_>, head: &ResponseHead<'_>) -> Result<Self, FieldProblem> {
        // No operation needs these, so the tokens are not lost if one is not a string. What is a string is screened, as
        // a program may show it or send it on.
        let token_type = object.optional_text("token_type");
        let scope = object.optional_text("scope");
        // `Id_token` is LoginRadius's spelling in the response to a refresh of OpenID Connect.
        let id_tokens = ["id_token", "Id_token"].map(|name| object.optional_text(name));
        let id_token = id_tokens.into_iter().flatten().find(|token| !token.is_empty());
        json::check_line("token_type", token_type.as_deref())?;
        json::check_line("scope", scope.as_deref())?;
        json::check_token("id_token", id_token.as_deref())?;
        Ok(Self {
            access_token: object.token("access_token")?.ok_or(FieldProblem::missing("access_token"))?.into(),
            token_type: token_type.map(JsonText::into_string),
            expires_in: head.lifetime(object),
            refresh_token: None,
            scope: scope.map(JsonText::into_string),
            id_token: id_token.map(IdToken::from),
            nonce: None,
            requested_at: None,
        })
    }
}
