//! The text forms of settings, for settings files and command lines.

/// Gives an enum `as_str`, `Display`, and `FromStr`, which reads what `as_str` returns.
macro_rules! text_form {
    ($type:ident, $what:literal, { $first:ident => $first_text:literal, $($variant:ident => $text:literal,)+ }) => {
        impl $type {
            #[doc = concat!("Returns the text form: `", $first_text, "`" $(, ", `", $text, "`")+, ".")]
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_text,
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        #[doc = concat!("Reads what [`as_str`](", stringify!($type), "::as_str) returns.")]
        impl std::str::FromStr for $type {
            type Err = $crate::error::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $first_text => Ok(Self::$first),
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::error::Error::configuration(concat!(
                        "the ", $what, " is unknown: use one of `", $first_text, "`" $(, ", `", $text, "`")+,
                    ))),
                }
            }
        }
    };
}

pub(crate) use text_form;

#[cfg(test)]
mod tests {
    use crate::browser::ResponseType;
    use crate::browser::loopback::Host;
    use crate::error::{Error, ErrorKind};
    use crate::proxy::ProxyScheme;
    use crate::{Api, BodyFormat, ChallengeMethod, ClientAuthentication, RevocationKey};

    fn check<T: std::str::FromStr<Err = Error> + std::fmt::Display>(texts: &[&str], refused: &[&str]) {
        for text in texts {
            assert_eq!(text.parse::<T>().unwrap().to_string(), *text);
        }
        for text in refused.iter().chain(&["", " "]) {
            let Err(error) = text.parse::<T>() else { panic!("{text:?} is read") };
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(texts.iter().all(|text| error.to_string().contains(&format!("`{text}`"))), "{error}");
        }
    }

    #[test]
    fn every_setting_is_read_from_its_text() {
        check::<Api>(&["classic", "site"], &["Classic", "classic "]);
        check::<BodyFormat>(&["form", "json"], &["JSON", "xml"]);
        check::<RevocationKey>(&["refresh_token", "token"], &["access_token"]);
        check::<ChallengeMethod>(&["SHA256", "S256", "omitted"], &["plain", "s256"]);
        check::<ProxyScheme>(&["http", "https", "socks5", "socks5h"], &["HTTP", "socks4"]);
        check::<ClientAuthentication>(&["client_secret_post", "client_secret_basic"], &["basic", "none"]);
        check::<Host>(&["127.0.0.1", "[::1]", "localhost"], &["::1", "Localhost", "127.0.0.2"]);
        let response_types =
            ["code", "token", "code token", "id_token", "code id_token", "id_token token", "code id_token token"];
        check::<ResponseType>(&response_types, &["token code", "code,token"]);
    }
}
