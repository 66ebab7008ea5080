use crate::text_form::text_form;

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
    pub(super) fn includes(self, what: &str) -> bool {
        self.as_str().split(' ').any(|part| part == what)
    }
}

text_form!(ResponseType, "response type", {
    Code => "code",
    Token => "token",
    CodeToken => "code token",
    IdToken => "id_token",
    CodeIdToken => "code id_token",
    IdTokenToken => "id_token token",
    CodeIdTokenToken => "code id_token token",
});
