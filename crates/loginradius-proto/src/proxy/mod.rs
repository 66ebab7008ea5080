//! Proxy settings: whether a request goes through a proxy, and through which.
//!
//! [`ProxySettings`] are made from environment variables or from one URL. For each target they return [a proxy](Proxy),
//! none, or an error. They do not read the environment themselves. Both adapters use them instead of the proxy settings
//! of their HTTP libraries.
//!
//! ```
//! use loginradius_proto::http::Uri;
//! use loginradius_proto::proxy::{ProxyScheme, ProxySettings};
//!
//! # fn main() -> Result<(), loginradius_proto::Error> {
//! let settings = ProxySettings::from_variables([
//!     ("HTTPS_PROXY", "http://alice:s3cret%21@proxy.example.com:3128"),
//!     ("NO_PROXY", "localhost, example.org"),
//! ]);
//!
//! let proxy = settings.proxy_for(&Uri::from_static("https://cloud-api.loginradius.com/sso"))?.expect("a proxy");
//! assert_eq!((proxy.scheme(), proxy.host(), proxy.port()), (ProxyScheme::Http, "proxy.example.com", 3128));
//! assert_eq!((proxy.username(), proxy.password().map(|it| it.expose())), (Some("alice"), Some("s3cret!")));
//! assert_eq!(proxy.to_string(), "http://proxy.example.com:3128"); // never with the password
//!
//! assert_eq!(settings.proxy_for(&Uri::from_static("https://sso.example.org/"))?, None);
//!
//! // A proxy that cannot be used is an error, never a direct connection.
//! let settings = ProxySettings::from_variables([("ALL_PROXY", "socks4://proxy.example.com")]);
//! assert_eq!(
//!     settings.proxy_for(&Uri::from_static("https://cloud-api.loginradius.com/")).unwrap_err().to_string(),
//!     "the environment variable `ALL_PROXY` has the scheme `socks4`, which is not supported: use http, https, socks5 \
//!      or socks5h",
//! );
//! # Ok(())
//! # }
//! ```
//!
//! # Which variable decides
//!
//! The rules are those of curl, with [a few differences](#where-it-differs-from-curl):
//!
//! | target | decided by the first of these that is set and not empty |
//! | --- | --- |
//! | this machine itself: `localhost`, `127.0.0.0/8`, `[::1]` | none: it is always direct |
//! | a host that `no_proxy`, else `NO_PROXY`, excludes | none: it is direct |
//! | an `https` URL | `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` |
//! | an `http` URL | `http_proxy`, `all_proxy`, `ALL_PROXY` |
//!
//! `HTTP_PROXY` is never read: in a CGI program, any client can set it with the request header `Proxy`. Only the
//! variable that decides can cause an error, whatever is in the others.
//!
//! # What NO_PROXY excludes
//!
//! Its entries are separated by commas, blanks or both. Upper and lower case are the same, and dots at the end of a
//! name are ignored.
//!
//! | entry | excludes |
//! | --- | --- |
//! | `example.com`, `.example.com`, `*.example.com` | `example.com` and all names below it |
//! | `192.0.2.7`, `2001:db8::7`, `[2001:db8::7]` | that address, however it is written |
//! | `192.0.2.0/24`, `2001:db8::/32` | the addresses of that block |
//! | `example.com:8443`, `192.0.2.7:8443`, `[2001:db8::7]:8443` | as without the port, but for targets at that port only |
//! | `*` | every host |
//!
//! Any other entry excludes nothing. Only an address or a block excludes an address, and only a name excludes a name:
//! no name is resolved.
//!
//! # The URL of a proxy
//!
//! `scheme://user:password@host:port`, where only the host is required:
//!
//! | part | meaning |
//! | --- | --- |
//! | scheme | `http` (the default), `https`, `socks5` or `socks5h`: see [`ProxyScheme`]. All others are errors. |
//! | user and password | percent-decoded, as UTF-8; a `%` without two hexadecimal digits is a `%` |
//! | host | a name or an address, IPv6 in brackets |
//! | port | from 1 to 65535; 443 by default for `https` and, as in curl, 1080 for all others |
//! | what follows, from a `/`, `?` or `#` on | ignored |
//!
//! # Where it differs from curl
//!
//! A test compares both. The differences are of two kinds: this module also reads the `NO_PROXY` notations of other
//! programs, and it reports an error where curl guesses.
//!
//! | what | here | curl |
//! | --- | --- | --- |
//! | **this machine** as the target | direct | by the variables |
//! | **a star among others**: `example.org,*` | excludes every host | only `*` as the whole value does |
//! | **a star before a name**: `*.example.com` | as `.example.com` | excludes nothing |
//! | **a port in NO_PROXY**: `example.com:8443` | excludes the host at that port | excludes nothing |
//! | **brackets in NO_PROXY**: `[2001:db8::7]` | as without them | exclude nothing |
//! | **blanks in NO_PROXY** without a comma, and line breaks | separate entries | newer versions skip the rest; line breaks are part of the entry |
//! | **IPv6 in NO_PROXY** | addresses and blocks, in any spelling | some versions compare the text, or misread blocks |
//! | **IPv4-mapped addresses**: `::ffff:192.0.2.7` | are IPv4 addresses | are IPv6 addresses |
//! | **block lengths**: `0.0.0.0/0` | [RFC 4632, section 3.1]: every IPv4 address | the one address |
//! | **broken block lengths**: `192.0.2.0/24x` | exclude nothing | some versions read the digits, if there are any |
//! | **other spellings of IPv4** in a target: `0xc0.0.2.7`, `192.0.2.7.` | the first is a name, the second an address | the first is an address, the second a name |
//! | **no scheme**: `ftp.example.com:3128` | http | some versions guess the scheme by the name |
//! | **no port**: `http://proxy.example.com` | 1080, as curl documents | 80 in some versions |
//! | **SOCKS 4**: `socks4`, `socks4a`, `socks` | an error | supported |
//! | **mistakes in a URL**: `http:/host`, `http:///host`, `http://host:`, a percent-encoded host, a dot at its end, an IPv6 zone, a path after a SOCKS host, an `@` after the host | an error | ignores or guesses; a path after `localhost` is a Unix socket for SOCKS |
//! | **credentials that cannot be sent**: control characters, bytes that are not UTF-8, a colon in a user name for HTTP, more than 255 bytes for SOCKS | an error | sends them; some versions go direct |
//!
//! [RFC 4632, section 3.1]: https://www.rfc-editor.org/rfc/rfc4632#section-3.1

mod host;
mod no_proxy;
mod settings;
mod url;

pub use settings::ProxySettings;
pub use url::{Proxy, ProxyScheme};
