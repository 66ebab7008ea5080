/// What the callback brings: RFC 6749's `response_type`, as LoginRadius writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ResponseType {
    /// `code`: a code, which is exchanged for tokens out of the browser's sight.
    #[default]
    Code,
    /// `token`: an access token in the address. It stands in the browser's history and in logs: prefer a code
    /// (RFC 9700, section 2.1.2).
    Token,
    /// `code token`: both.
    CodeToken,
    /// `id_token`, of OpenID Connect; so are the next three. The scope has to hold `openid`.
    IdToken,
    /// `code id_token`
    CodeIdToken,
    /// `id_token token`
    IdTokenToken,
    /// `code id_token token`
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

    /// As it stands in the address.
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

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    pub(super) fn asks_for(self, what: &str) -> bool {
        self.as_str().split(' ').any(|part| part == what)
    }
}
