//! The macro behind every secret type.

/// Declares a newtype around a secret string.
///
/// `expose()` is the only way in. There is no `Display`, `Deref`, `PartialEq` or `Serialize`, so that
/// a secret reaches a log, a comparison that leaks its timing or a file only by a line that says so.
macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// `Debug` prints the type's name alone. Clones share the memory, which is overwritten when the
        /// last of them is dropped.
        #[derive(Clone)]
        pub struct $name(std::sync::Arc<zeroize::Zeroizing<String>>);

        impl $name {
            /// Takes the secret as it is: nothing is trimmed and no shape is expected.
            pub fn new(secret: impl Into<String>) -> Self {
                Self(std::sync::Arc::new(zeroize::Zeroizing::new(secret.into())))
            }

            /// The secret itself. Keep it out of logs and error messages.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        impl From<String> for $name {
            fn from(secret: String) -> Self {
                Self::new(secret)
            }
        }

        impl From<&str> for $name {
            fn from(secret: &str) -> Self {
                Self::new(secret)
            }
        }
    };
}

secret! {
    /// An access token. LoginRadius documents GUIDs, hexadecimal strings and JWTs: it is opaque here.
    AccessToken
}
secret! {
    /// A refresh token. LoginRadius rotates it: each refresh spends the one that was sent.
    RefreshToken
}
secret! {
    /// An OpenID Connect `id_token`, not verified.
    IdToken
}
secret! {
    /// A whole compact JWT, as LoginRadius's JWT APIs answer it in their field `signature`. Not verified.
    Jwt
}
secret! {
    /// The client secret: LoginRadius's API secret, or the secret of an OAuth client.
    ClientSecret
}
secret! {
    /// A person's password.
    Password
}
secret! {
    /// The device code that a device polls with ([RFC 8628, section 3.2]).
    ///
    /// [RFC 8628, section 3.2]: https://www.rfc-editor.org/rfc/rfc8628#section-3.2
    DeviceCode
}
secret! {
    /// An authorization code, valid once and, at LoginRadius, for 50 seconds.
    AuthorizationCode
}
secret! {
    /// The PKCE verifier of an authorization code ([RFC 7636]).
    ///
    /// [RFC 7636]: https://www.rfc-editor.org/rfc/rfc7636
    CodeVerifier
}
secret! {
    /// What the claim `nonce` of the JWT or `id_token` of one login has to be ([OpenID Connect Core, section 2]). A
    /// secret as long as the login waits.
    ///
    /// [OpenID Connect Core, section 2]: https://openid.net/specs/openid-connect-core-1_0.html#IDToken
    Nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_the_name_alone() {
        assert_eq!(format!("{:?}", AccessToken::new("s3cret")), "AccessToken");
        assert_eq!(format!("{:#?}", Some(Password::from("s3cret"))), "Some(\n    Password,\n)");
    }

    #[test]
    fn nothing_is_trimmed() {
        assert_eq!(AccessToken::new(" a ").expose(), " a ");
    }
}
