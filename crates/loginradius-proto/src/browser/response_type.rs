use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// What the callback brings back: the `response_type` of an [`AuthorizationRequest`](super::AuthorizationRequest)
/// ([RFC 6749, section 3.1.1]; OAuth 2.0 Multiple Response Types).
///
/// [RFC 6749, section 3.1.1]: https://www.rfc-editor.org/rfc/rfc6749#section-3.1.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
#[doc(alias("implicit", "hybrid", "response_type"))]
pub enum ResponseType {
    /// `code`: an authorization code, which the program redeems for tokens without the browser.
    #[default]
    Code,
    /// `token`: an access token in the URL, where it gets into the browser's history and into logs. Prefer a code
    /// (RFC 9700, section 2.1.2).
    Token,
    /// `code token`: a code and an access token.
    CodeToken,
    /// `id_token`: an `id_token` of OpenID Connect. Like the following three, it needs the scope `openid`.
    IdToken,
    /// `code id_token`: a code and an `id_token`.
    CodeIdToken,
    /// `id_token token`: an `id_token` and an access token.
    IdTokenToken,
    /// `code id_token token`: a code, an `id_token` and an access token.
    CodeIdTokenToken,
}

impl ResponseType {
    const ALL: [Self; 7] = [
        Self::Code,
        Self::Token,
        Self::CodeToken,
        Self::IdToken,
        Self::CodeIdToken,
        Self::IdTokenToken,
        Self::CodeIdTokenToken,
    ];

    /// Returns the value of the URL's parameter `response_type`, such as `"code token"`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Token => "token",
            Self::CodeToken => "code token",
            Self::IdToken => "id_token",
            Self::CodeIdToken => "code id_token",
            Self::IdTokenToken => "id_token token",
            Self::CodeIdTokenToken => "code id_token token",
        }
    }

    pub(super) fn includes(self, what: &str) -> bool {
        self.as_str().split(' ').any(|part| part == what)
    }
}

impl fmt::Display for ResponseType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Reads what [`as_str`](ResponseType::as_str) returns.
impl FromStr for ResponseType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| {
            Error::configuration(
                "the response type is not one of LoginRadius's: use one such as `code` or `code token`",
            )
        })
    }
}
