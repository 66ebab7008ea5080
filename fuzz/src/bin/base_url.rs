//! Any text as LoginRadius's address, as a site or as a redirect URI; the first byte, from `0` on, chooses which. The
//! second line is a number of letters, from `0` on, and a text. The text is looked up as a URL, and also after each
//! base URL without that many letters at its end.
//!
//! - Only https is accepted, or http to this machine, without user information. Each request and each address for a
//!   browser goes to exactly the scheme, host and port that the crate `url` reads in the text, below its path; the
//!   crate `http` reads the same. `Service::base_of` finds the base of each request, and of no other URL.
//! - A host is loopback if and only if it is to the crate `url`.
//! - Any other text is a configuration error of one line. An https URL in the form that `url` writes is accepted.

#![cfg_attr(fuzzing, no_main)]

use std::time::Instant;

use loginradius_fuzz::logins::{random, start};
use loginradius_fuzz::read::form;
use loginradius_proto::browser::{AuthorizationRequest, BrowserRequest, JwtRedirect};
use loginradius_proto::http::{Request, Uri};
use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::{
    App, BaseUrl, Body, Call, Endpoint, Error, ErrorKind, Flow, RequestBuilder, Seed, Service, Step,
};
use url::{Host, Url};

loginradius_fuzz::target!(base_url);

const CLASSIC: &str = "https://cloud-api.loginradius.com";
const API_HOST: &str = "https://api.loginradius.com";

fn base_url(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else { return };
    let kind = kind.wrapping_sub(b'0') % 5;
    let text = String::from_utf8_lossy(&text[..text.len().min(4096)]);
    let (text, other) = text.split_once('\n').unwrap_or((&text, ""));
    let url = if kind == 2 { format!("https://{text}") } else { text.to_owned() };
    // Whether what follows `xn--` is Punycode is left to the HTTP library.
    if url.to_ascii_lowercase().contains("xn--") && Url::parse(&url).is_err() {
        return;
    }
    let service = match kind {
        0 => Service::classic_at(text),
        1 => Service::site_at(text),
        2 => Service::site(text),
        3 => Service::classic().with_api_host(text),
        _ => return redirect_uri(text),
    };
    let service = match service {
        Ok(service) => service,
        Err(error) => {
            check_error(&error);
            let is_whole = |host: &str| !host.contains('/') && host.contains('.');
            assert!(!is_ordinary(&url) || (url != text && !is_whole(text)), "{error}");
            return;
        }
    };
    let given = read(&url);
    let api_host = |given: &Url| match kind {
        2 if !is_loopback(given) => read(API_HOST),
        _ if given.host_str().is_some_and(|host| host.ends_with(".loginradius.com")) => read(API_HOST),
        _ => given.clone(),
    };
    let (base, api_host) = if kind == 3 { (read(CLASSIC), given) } else { (given.clone(), api_host(&given)) };
    check_base(service.base(), &base);
    check_base(service.api_host(), &api_host);
    for (uri, is_api_host) in requests(&service) {
        let goal = if is_api_host { &api_host } else { &base };
        goes_to(&uri, goal);
        let uri: Uri = uri.parse().expect("a URI");
        same_host(&uri, goal);
        let found = service.base_of(&uri).expect("a base of the service");
        assert!(is_same_origin(&read(&found.to_string()), goal), "{uri}");
    }
    let (cut, rest) = other.split_at(other.chars().next().map_or(0, char::len_utf8));
    let cut = usize::from(cut.bytes().next().unwrap_or_default().wrapping_sub(b'0'));
    let begun_as = |base: &BaseUrl| {
        let text = base.to_string();
        format!("{}{rest}", &text[..text.len().saturating_sub(cut)])
    };
    for other in [rest.to_owned(), begun_as(service.base()), begun_as(service.api_host())] {
        let found = other.parse::<Uri>().ok().and_then(|uri| service.base_of(&uri).cloned());
        if let Some(found) = found {
            let url = read(&other);
            assert!(is_same_origin(&read(&found.to_string()), &url), "{other} for {found}");
            assert!(url.username().is_empty() && url.password().is_none(), "{other}");
        }
    }
}

fn read(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|error| panic!("{error}: {url}"))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn is_same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

/// Checks that the base is what the crate `url` reads.
fn check_base(base: &BaseUrl, wanted: &Url) {
    let text = base.to_string();
    goes_to(&format!("{text}/"), wanted);
    assert_eq!(base.is_loopback(), is_loopback(wanted), "{text}");
    assert!(wanted.scheme() == "https" || (wanted.scheme() == "http" && base.is_loopback()), "{text}");
}

/// Checks that the text goes to that scheme, host and port, and below that path.
fn goes_to(text: &str, wanted: &Url) {
    let url = read(text);
    assert!(is_same_origin(&url, wanted), "{text} in place of {wanted}");
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{text}");
    let path = url.path().strip_prefix(wanted.path().trim_end_matches('/'));
    assert!(path.is_some_and(|rest| rest.starts_with('/')), "{text} in place of {wanted}");
}

/// Checks that the crate `http` reads the host and the port that the crate `url` reads.
fn same_host(uri: &Uri, url: &Url) {
    let host = uri.host().expect("a host");
    assert_eq!(Host::parse(host).expect("a host"), url.host().expect("a host").to_owned(), "{uri}");
    let port = uri.port_u16().or(if uri.scheme_str() == Some("http") { Some(80) } else { Some(443) });
    assert_eq!(port, url.port_or_known_default(), "{uri}");
}

/// Returns the addresses of all requests, and whether they are for the API host.
fn requests(service: &Service) -> Vec<(String, bool)> {
    let app = App::new("client").with_oauth_app("oauth-app").with_jwt_app("jwt-app").with_service(service.clone());
    let step = Call::new(RequestDeviceCode::new(), &app, Seed(1)).step(Instant::now());
    let Step::Send { request, .. } = step else { panic!("{step:?}") };
    let address = |request: Request<Body>| request.uri().to_string();
    let request_of = |request: Result<Request<Body>, Error>| address(request.expect("a request"));
    let own =
        |base| request_of(RequestBuilder::get(base, "/identity/v2/auth").segment("a/../b").query("c", "d").build());
    let pages = [
        AuthorizationRequest::new("https://app.example/").begin(&app, &random(), start()).expect("a login").url,
        JwtRedirect::new("https://app.example/", "jwt").begin(&app, &random(), start()).expect("a login").url,
    ];
    let operations = [
        address(request),
        request_of(RequestTokens::new("device").request(&app)),
        request_of(AccessTokenByCode::new("code", "https://app.example/").request(&app)),
        request_of(AccessTokenByPassword::new("user", "password").request(&app)),
        request_of(RefreshAccessToken::new("refresh").request(&app)),
        request_of(RevokeRefreshToken::new("refresh").request(&app)),
        request_of(JwtByAccessToken::new("access").request(&app)),
        request_of(JwtLogin::email("user@example.com", "password").request(&app)),
        own(service.base()),
    ];
    let at_base = operations.into_iter().chain(pages).map(|address| (address, false));
    at_base.chain([(own(service.api_host()), true)]).collect()
}

/// Checks a text as the address that a browser comes back to.
fn redirect_uri(text: &str) {
    let app = App::new("client").with_jwt_app("jwt-app");
    let login = AuthorizationRequest::new(text).begin(&app, &random(), start()).map(drop);
    let jwt = JwtRedirect::new(text, "jwt").begin(&app, &random(), start()).map(drop);
    for (result, parameters) in [(login, ["code", "state", "error"]), (jwt, ["jwt", "state", "error"])] {
        match result {
            Ok(()) => {
                let (scheme, _) = text.split_once(':').expect("a scheme");
                // An app's own address need not be one that browsers resolve.
                if !scheme.contains('.') {
                    let url = read(text);
                    assert!(url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)), "{text}");
                    assert!(url.username().is_empty() && url.password().is_none(), "{text}");
                }
                assert!(!text.contains('#'), "{text}");
                let query = form(text.split_once('?').map_or("", |(_, query)| query).as_bytes());
                assert!(!query.iter().any(|(name, _)| parameters.contains(&name.as_str())), "{text}");
            }
            Err(error) => {
                check_error(&error);
                let query = Url::parse(text).ok().and_then(|url| url.query().map(str::to_owned));
                assert!(!is_ordinary(text) || query.is_some(), "{error}");
            }
        }
    }
}

fn check_error(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let printed = format!("{error} {error:?}");
    assert!(!printed.contains(char::is_control) && printed.len() < 1_000, "{printed:?}");
}

/// Returns whether the text is what the crate `url` writes for an https URL of a plain host and path. In paths it also
/// writes characters that are none of RFC 3986, such as `|`.
fn is_ordinary(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let host = url.host_str().unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let is_of_paths = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte);
    let path = url.path().strip_suffix('/').unwrap_or(url.path());
    (url.as_str() == text || url.as_str() == format!("{text}/"))
        && url.scheme() == "https"
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.port() != Some(0)
        && host.bytes().all(is_plain)
        && !host.split('.').any(str::is_empty)
        && !path.split('/').skip(1).any(str::is_empty)
        && path.bytes().all(is_of_paths)
}
