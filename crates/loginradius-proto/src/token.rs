use std::time::{Duration, Instant};

use crate::secret::{AccessToken, IdToken, Nonce, RefreshToken};
use crate::wire::head::Head;
use crate::wire::json::{Field, Object};

/// What a sign-in or a refresh yields ([RFC 6749, section 5.1]).
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
pub struct TokenSet {
    /// Sent as `Authorization: Bearer` to APIs, whatever `token_type` says.
    pub access_token: AccessToken,
    /// As LoginRadius wrote it: `access_token`, `Bearer` and `bearer` are documented. Informative.
    pub token_type: Option<String>,
    /// The access token's lifetime from when the answer was made; `None` if it was missing or unreadable.
    ///
    /// LoginRadius documents lifetimes from minutes to 360 days, under three names (`expires_in`,
    /// `expires`, `expire_in`), as a number, a numeric string or a date.
    pub expires_in: Option<Duration>,
    /// The next refresh token. After a refresh it replaces the one that was sent; if there is none,
    /// the one that was sent goes on.
    pub refresh_token: Option<RefreshToken>,
    /// What was granted, if it is said: it may differ from what was asked for. LoginRadius documents no
    /// answer with it.
    pub scope: Option<String>,
    /// Present if the OAuth app is configured for OpenID Connect. Not verified.
    pub id_token: Option<IdToken>,
    /// What the claim `nonce` of the `id_token` has to be, if a login through a browser sent one: verify the `id_token`
    /// against it.
    pub nonce: Option<Nonce>,
    /// When they were asked for, if a flow did ([`Endpoint::set_requested_at`](crate::Endpoint::set_requested_at)):
    /// their lifetime is counted from then, and so never overrated.
    pub requested_at: Option<Instant>,
}

impl TokenSet {
    /// Tokens of which only the access token is known.
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

    /// Reads the token object of every token endpoint.
    pub(crate) fn read(object: &Object<'_>, head: &Head) -> Result<Self, Field> {
        let refresh_token = object.text("refresh_token")?.filter(|text| !text.is_empty()).map(RefreshToken::new);
        Ok(Self { refresh_token, ..Self::read_access(object, head)? })
    }

    /// Everything but the refresh token.
    pub(crate) fn read_access(object: &Object<'_>, head: &Head) -> Result<Self, Field> {
        let optional = |name| Ok::<_, Field>(object.text(name)?.filter(|text| !text.is_empty()));
        // Nothing here reads an `id_token`, so one that cannot be read must not cost the others.
        // `Id_token` is LoginRadius's spelling in the answer to an OpenID Connect refresh.
        let id_token = optional("id_token").unwrap_or(None).or_else(|| optional("Id_token").unwrap_or(None));
        Ok(Self {
            access_token: AccessToken::new(optional("access_token")?.ok_or(Field::missing("access_token"))?),
            token_type: object.text("token_type").unwrap_or(None),
            expires_in: head.lifetime(object),
            refresh_token: None,
            scope: object.text("scope").unwrap_or(None),
            id_token: id_token.map(IdToken::new),
            nonce: None,
            requested_at: None,
        })
    }
}
