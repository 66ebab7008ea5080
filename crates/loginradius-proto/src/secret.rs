//! The macro behind every secret type.

/// Declares a newtype around a secret string.
///
/// `expose()` is the only way to read it. There is no `Display`, `Deref`, `PartialEq` or `Serialize`, so that a secret
/// gets into a log, a file or a comparison whose time depends on it only by a line that says so.
macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Only [`expose`](Self::expose) shows it; `Debug` prints the type's name. Clones share the memory, which is
        /// overwritten when the last of them is dropped.
        #[derive(Clone)]
        #[doc(alias("secret", "expose_secret"))]
        pub struct $name(crate::shared_secret::SharedSecret);

        impl $name {
            /// Wraps the secret as it is: nothing is trimmed or checked.
            pub fn new(secret: impl Into<String>) -> Self {
                Self(secret.into().into())
            }

            /// Returns the secret itself. Keep it out of logs and error messages.
            #[must_use]
            pub fn expose(&self) -> &str {
                self.0.expose()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        impl From<crate::secret_text::SecretText> for $name {
            fn from(secret: crate::secret_text::SecretText) -> Self {
                Self(secret.into())
            }
        }

        impl From<crate::wire::json::JsonText<'_>> for $name {
            fn from(secret: crate::wire::json::JsonText<'_>) -> Self {
                Self(secret.into())
            }
        }

        impl From<String> for $name {
            fn from(secret: String) -> Self {
                Self(secret.into())
            }
        }

        impl From<&str> for $name {
            fn from(secret: &str) -> Self {
                Self(secret.into())
            }
        }
    };
}

secret! {
    /// An access token ([RFC 6749, section 1.4]). It is opaque: LoginRadius documents GUIDs, hexadecimal strings and
    /// JWTs.
    ///
    /// [RFC 6749, section 1.4]: https://www.rfc-editor.org/rfc/rfc6749#section-1.4
    AccessToken
}
secret! {
    /// A refresh token ([RFC 6749, section 1.5]). LoginRadius rotates it: each refresh consumes the one that is sent
    /// and yields the next.
    ///
    /// [RFC 6749, section 1.5]: https://www.rfc-editor.org/rfc/rfc6749#section-1.5
    RefreshToken
}
secret! {
    /// An OpenID Connect `id_token`. It is not verified: `loginradius-jwt` does that.
    IdToken
}
secret! {
    /// A whole compact JWT, which the responses of LoginRadius's JWT operations call `signature`. It is not verified:
    /// `loginradius-jwt` does that.
    Jwt
}
secret! {
    /// The client secret: LoginRadius's API secret, or the secret of an OAuth client.
    ClientSecret
}
secret! {
    /// A user's password.
    Password
}
secret! {
    /// The code that a device polls with ([RFC 8628, section 3.2]). The user types another one, the user code.
    ///
    /// [RFC 8628, section 3.2]: https://www.rfc-editor.org/rfc/rfc8628#section-3.2
    DeviceCode
}
secret! {
    /// An authorization code ([RFC 6749, section 1.3.1]). It is valid once and, at LoginRadius, for 50 seconds.
    ///
    /// [RFC 6749, section 1.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-1.3.1
    AuthorizationCode
}
secret! {
    /// The PKCE verifier of an authorization code ([RFC 7636, section 4.1]).
    ///
    /// [RFC 7636, section 4.1]: https://www.rfc-editor.org/rfc/rfc7636#section-4.1
    CodeVerifier
}
secret! {
    /// The value that the claim `nonce` of a login's JWT or `id_token` has to have ([OpenID Connect Core, section 2]).
    /// It is a secret while the login waits for its callback.
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
