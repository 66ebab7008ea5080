//! Environment variables that cannot be used, in a child process.

use loginradius_conformance::{Adapter, Settings, secrets};
use loginradius_proto::oauth::RefreshAccessToken;

use crate::case::{Case, Said, app, case};
use crate::child;

pub(crate) fn cases() -> Vec<Case> {
    let of = |name, variable: &'static str, value: &'static str| {
        child::of_both(name, move || vec![(variable, value.replace("PASSWORD", secrets::PROXY_PASSWORD))])
    };
    vec![
        of("HTTPS_PROXY names a scheme that is none", "HTTPS_PROXY", "htp://proxy.example.com:3128"),
        of("HTTPS_PROXY is of the scheme ftp", "HTTPS_PROXY", "ftp://proxy.example.com:3128"),
        of("https_proxy has no host", "https_proxy", "http://"),
        of("HTTPS_PROXY has a password with a slash", "HTTPS_PROXY", "http://ada:PASSWORD/1@proxy.example.com:3128"),
        of("ALL_PROXY is of the scheme socks4", "ALL_PROXY", "socks4://proxy.example.com:1080"),
        of("HTTPS_PROXY names a dead proxy", "HTTPS_PROXY", "http://ada:PASSWORD@127.0.0.1:1"),
        of("SSL_CERT_FILE names a file that is not there", "SSL_CERT_FILE", "/nowhere/roots.pem"),
        of("SSL_CERT_DIR names a folder that is not there", "SSL_CERT_DIR", "/nowhere/roots"),
        child::of_both("SSL_CERT_FILE names an empty file", || vec![("SSL_CERT_FILE", EMPTY_FILE.to_owned())]),
    ]
}

/// What the child does.
pub(crate) fn inner_cases() -> Vec<Case> {
    fn call<A: Adapter>() -> Said {
        let client = A::new(app("https://sso.example.com"), &Settings::default());
        let error = match client {
            Ok(client) => client.call(&RefreshAccessToken::new(secrets::REFRESH_TOKEN)).unwrap_err(),
            Err(error) => error,
        };
        Said::of(&error).with(EMPTY_FILE, "file")
    }
    vec![
        case!("HTTPS_PROXY names a scheme that is none", <A> { call::<A>() }),
        case!("HTTPS_PROXY is of the scheme ftp", <A> { call::<A>() }),
        case!("https_proxy has no host", <A> { call::<A>() }),
        case!("HTTPS_PROXY has a password with a slash", <A> { call::<A>() }),
        case!("ALL_PROXY is of the scheme socks4", <A> { call::<A>() }),
        case!("HTTPS_PROXY names a dead proxy", <A> { call::<A>() }),
        case!("SSL_CERT_FILE names a file that is not there", <A> { call::<A>() }),
        case!("SSL_CERT_DIR names a folder that is not there", <A> { call::<A>() }),
        case!("SSL_CERT_FILE names an empty file", <A> { call::<A>() }),
    ]
}

/// The name of an empty file, which parent and child agree on.
const EMPTY_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/messages/empty.pem");
