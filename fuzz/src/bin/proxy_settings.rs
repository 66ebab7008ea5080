//! Environment variables and targets of requests, one a line: a line with a `=` is a variable, any other a target. `$s`
//! stands for a secret.
//!
//! - A request goes direct if and only if no variable sets a proxy, NO_PROXY excludes the host, or the target is this
//!   machine. This file implements the rules of the module's documentation a second time.
//! - A proxy has the scheme that the deciding variable sets, and the host, port and percent-decoded credentials that
//!   the crate `url` reads there.
//! - Any other value is a configuration error of one line that names the variable and shows at most the value's scheme.
//!   A proxy prints only its scheme, host and port.
//! - `ProxySettings::all` reads a URL as the variables are read.

#![cfg_attr(fuzzing, no_main)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use loginradius_fuzz::read::{base64, percent};
use loginradius_fuzz::text::fill_in;
use loginradius_proto::http::Uri;
use loginradius_proto::proxy::{Proxy, ProxySettings};
use loginradius_proto::{Error, ErrorKind};
use url::Url;

loginradius_fuzz::target!(proxy_settings);

const SECRET: &str = "Zq7xV9kTmW2p";

fn proxy_settings(data: &[u8]) {
    let text = fill_in(&data[..data.len().min(4096)], &[("$s", SECRET)]);
    let text = String::from_utf8_lossy(&text);
    // `url` reads Punycode, and refuses what is none.
    if text.to_ascii_lowercase().contains("xn--") {
        return;
    }
    let variables: Vec<(&str, &str)> = text.split('\n').filter_map(|line| line.split_once('=')).collect();
    let settings = ProxySettings::from_variables(variables.iter().copied());
    for target in text.split('\n').filter(|line| !line.contains('=')) {
        check_target(&settings, &variables, target);
    }
    for (_, url) in variables {
        let wanted = WantedProxy::read(url);
        match (ProxySettings::all(url), wanted) {
            (Ok(settings), wanted) => {
                let proxy = settings.proxy_for(&Uri::from_static("https://sso.example.com/"));
                check_proxy(&proxy.expect("read before").expect("a proxy"), wanted, url);
                let machine = settings.proxy_for(&Uri::from_static("https://localhost/"));
                assert_eq!(machine.expect("read before"), None);
            }
            (Err(error), None) => check_error(&error, "the proxy ", url),
            (Err(error), Some(wanted)) => panic!("{error}: {wanted:?} in {url:?}"),
        }
        let of_one = ProxySettings::from_variables([("ALL_PROXY", url)]);
        let printed = format!("{of_one:?}");
        let host = WantedProxy::read(url).map(|wanted| wanted.host).unwrap_or_default();
        assert!(!printed.contains(SECRET) || host.contains(SECRET) || scheme(url).contains(SECRET), "{printed}");
    }
}

/// Checks where a request goes.
fn check_target(settings: &ProxySettings, variables: &[(&str, &str)], target: &str) {
    let Ok(uri) = target.parse::<Uri>() else { return };
    let result = settings.proxy_for(&uri);
    let value = |name: &str| {
        let mut values = variables.iter().rev().filter(|(other, value)| *other == name && !value.is_empty());
        values.next().map(|(_, value)| *value)
    };
    let names: &[&str] = match uri.scheme_str() {
        Some("https") => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        Some("http") => &["http_proxy", "all_proxy", "ALL_PROXY"],
        _ => {
            assert_eq!(result.expect_err("no target").kind(), ErrorKind::Misuse, "{target:?}");
            return;
        }
    };
    let Some((host, port)) = read_target(target) else { return };
    let is_excluded = |list: &str| {
        let entries = list.split(|letter: char| letter == ',' || letter.is_whitespace());
        entries.into_iter().any(|entry| excludes(entry, &host, port))
    };
    let is_direct = host.is_this_machine() || value("no_proxy").or_else(|| value("NO_PROXY")).is_some_and(is_excluded);
    match names.iter().find_map(|name| Some((name, value(name)?))) {
        Some((name, url)) if !is_direct => match (result, WantedProxy::read(url)) {
            (Ok(proxy), wanted) => {
                check_proxy(&proxy.unwrap_or_else(|| panic!("{target:?} is direct with {variables:?}")), wanted, url);
            }
            (Err(error), None) => check_error(&error, &format!("the environment variable `{name}` "), url),
            (Err(error), Some(wanted)) => panic!("{error}: {wanted:?} in {url:?}"),
        },
        _ => match result {
            Ok(proxy) => assert_eq!(proxy, None, "{target:?} is not direct with {variables:?}"),
            Err(error) => panic!("{error}: {target:?} is not direct with {variables:?}"),
        },
    }
}

#[derive(Debug, PartialEq)]
enum Host {
    /// In lower case, and without dots at its end.
    Name(String),
    /// Also an IPv4 address, as the IPv6 address that it is mapped to.
    Address(Ipv6Addr),
}

impl Host {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('.');
        if text.starts_with('[') {
            return ipv6(text).map(Self::Address);
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.to_ipv6_mapped()));
        }
        is_name(text).then(|| Self::Name(text.to_ascii_lowercase()))
    }

    fn is_this_machine(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::Address(address) => address.to_canonical().is_loopback(),
        }
    }
}

fn is_name(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    text.split('.').all(|label| !label.is_empty() && label.chars().all(is_letter))
}

/// Returns the host and the port of a target, as the crate `url` reads them, or as they are written where that would
/// take a name that ends in a number for an address; `None` if the text is nothing that requests are sent to.
fn read_target(text: &str) -> Option<(Host, u16)> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let address = authority.rsplit('@').next()?;
    let (host, port) = split_port(address);
    let port = match port {
        None | Some("") if scheme.eq_ignore_ascii_case("https") => 443,
        None | Some("") => 80,
        Some(port) => decimal(port)?.try_into().ok()?,
    };
    let host = Host::read(host)?;
    if let Ok(url) = Url::parse(text) {
        assert_eq!(url.port_or_known_default(), Some(port), "{text:?}");
        match (url.host().expect("a host"), &host) {
            (url::Host::Domain(name), host) => assert_eq!(Host::read(name).as_ref(), Some(host), "{text:?}"),
            (url::Host::Ipv6(address), host) => assert_eq!(*host, Host::Address(address), "{text:?}"),
            (url::Host::Ipv4(one), Host::Address(other)) => assert_eq!(one.to_ipv6_mapped(), *other, "{text:?}"),
            (url::Host::Ipv4(_), Host::Name(_)) => {}
        }
    }
    Some((host, port))
}

/// Splits a host from what follows a colon behind it.
fn split_port(address: &str) -> (&str, Option<&str>) {
    match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (address, None),
    }
}

/// Reads decimal digits alone.
fn decimal(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Returns whether an entry of NO_PROXY excludes a target.
fn excludes(entry: &str, host: &Host, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((block, length)) = entry.split_once('/') {
        let length = decimal(length);
        return match block.parse::<Ipv4Addr>() {
            Ok(block) => {
                length.is_some_and(|length| is_in_block(host, block.to_ipv6_mapped(), length.saturating_add(96)))
            }
            Err(_) => ipv6(block).zip(length).is_some_and(|(block, length)| is_in_block(host, block, length)),
        };
    }
    if let Some(address) = ipv6(entry.trim_end_matches('.')) {
        return *host == Host::Address(address);
    }
    let place = match entry.rsplit_once(':') {
        Some((place, digits)) if decimal(digits) == Some(port.into()) => place,
        Some(_) => return false,
        None => entry,
    };
    match (Host::read(place.strip_prefix("*.").or(place.strip_prefix('.')).unwrap_or(place)), host) {
        (Some(Host::Name(domain)), Host::Name(name)) => {
            let mut labels = name.rsplit('.');
            domain.rsplit('.').all(|label| labels.next() == Some(label))
        }
        (Some(address), host) => address == *host && !place.starts_with(['.', '*']),
        (None, _) => false,
    }
}

/// Reads an IPv6 address, with brackets or without.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    text.strip_prefix('[').map_or(Some(text), |text| text.strip_suffix(']'))?.parse().ok()
}

/// Returns whether the host is an address that begins with the same bits. IPv4 addresses are in no block of IPv6 that
/// is larger than all of them.
fn is_in_block(host: &Host, block: Ipv6Addr, length: u32) -> bool {
    let Host::Address(address) = host else { return false };
    let is_smaller = length >= 96 || address.to_ipv4_mapped().is_none();
    let differing = block.to_bits() ^ address.to_bits();
    is_smaller && length <= 128 && differing.checked_shr(128 - length).unwrap_or_default() == 0
}

/// Returns what stands before `://`, if it can be a scheme.
fn scheme(url: &str) -> &str {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if scheme.contains(|letter: char| !letter.is_ascii_alphanumeric() && !"+-.".contains(letter)) { "" } else { scheme }
}

/// A proxy as the crate `url` reads it, and the documentation where that differs.
#[derive(Debug)]
struct WantedProxy {
    scheme: String,
    /// As the crate `url` writes it.
    host: String,
    port: u16,
    username: Option<String>,
    password: Option<String>,
}

impl WantedProxy {
    fn read(text: &str) -> Option<Self> {
        if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
            return None;
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => (scheme, rest),
            _ => ("http", text),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let scheme = scheme.to_ascii_lowercase();
        let is_socks = match scheme.as_str() {
            "http" | "https" => false,
            "socks5" | "socks5h" => true,
            _ => return None,
        };
        if path.contains('@') || authority.matches('@').count() > 1 || (is_socks && !["", "/"].contains(&path)) {
            return None;
        }
        let (credentials, address) = authority.split_once('@').map_or((None, authority), |(one, two)| (Some(one), two));
        let (host, port) = read_address(address)?;
        let port = port.unwrap_or(if scheme == "https" { 443 } else { 1080 });
        let (username, password) = read_credentials(credentials.unwrap_or_default())?;
        let is_too_long = |text: &str| is_socks && text.len() > 255;
        let is_split_wrong = username.contains(':') && !is_socks;
        if is_too_long(&username) || password.as_deref().is_some_and(is_too_long) || is_split_wrong {
            return None;
        }
        let username = (password.is_some() || !username.is_empty()).then_some(username);
        Some(Self { scheme, host, port, username, password })
    }

    /// Returns what may be printed of it.
    fn printed(&self) -> String {
        format!("{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// Reads a host, as it is written but for IPv6, and a port.
fn read_address(address: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = split_port(address);
    let port = match port {
        Some(port) => Some(decimal(port).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)?),
        None => None,
    };
    // What `url` takes for a slash is no part of a name.
    if host.contains('\\') {
        return None;
    }
    // `url` leaves out the port of the scheme.
    let [http, https] = ["http", "https"].map(|scheme| Url::parse(&format!("{scheme}://{address}/")));
    let (http, https) = (http.ok()?, https.ok()?);
    assert_eq!(http.port().or(https.port()), port, "{address:?}");
    // What `url` decodes, removes or counts in another base is no host here.
    let (found, is_written) = match http.host()? {
        url::Host::Domain(name) => (host.to_owned(), is_name(name) && host.eq_ignore_ascii_case(name)),
        url::Host::Ipv4(address) => (address.to_string(), host == address.to_string()),
        url::Host::Ipv6(address) => (format!("[{address}]"), ipv6(host) == Some(address)),
    };
    is_written.then_some((found, port))
}

/// Reads a user name and a password, percent-decoded; `None` if they cannot be sent.
fn read_credentials(text: &str) -> Option<(String, Option<String>)> {
    // For `url` a backslash is a slash.
    let url = Url::parse(&format!("http://{}@proxy/", text.replace('\\', "%5C"))).expect("a URL");
    let plain = |text: &str| {
        let text = String::from_utf8(percent(text.as_bytes())).ok()?;
        (!text.contains(|letter: char| letter.is_control() || letter == char::REPLACEMENT_CHARACTER)).then_some(text)
    };
    let password = plain(url.password().unwrap_or_default())?;
    Some((plain(url.username())?, text.contains(':').then_some(password)))
}

fn check_proxy(proxy: &Proxy, wanted: Option<WantedProxy>, url: &str) {
    let Some(wanted) = wanted else { panic!("{proxy} is read in {url:?}") };
    assert_eq!(proxy.scheme().as_str(), wanted.scheme, "{url:?}");
    assert_eq!(proxy.to_string(), wanted.printed(), "{url:?}");
    assert_eq!(format!("{proxy:?}"), format!("Proxy({})", wanted.printed()), "{url:?}");
    assert_eq!(proxy.host(), wanted.host.trim_matches(['[', ']']), "{url:?}");
    assert!(proxy.host().parse::<IpAddr>().is_ok() || is_name(proxy.host()), "{url:?}");
    assert_eq!(proxy.port(), wanted.port, "{url:?}");
    let password = proxy.password().map(|password| password.expose());
    assert_eq!((proxy.username(), password), (wanted.username.as_deref(), wanted.password.as_deref()), "{url:?}");
    let pair = wanted.username.filter(|_| wanted.scheme.starts_with("http")).map(|username| {
        let password = wanted.password.unwrap_or_default();
        format!("{username}:{password}").into_bytes()
    });
    let sent = proxy.authorization().map(|header| {
        assert!(header.is_sensitive());
        base64(header.as_bytes().strip_prefix(b"Basic ").expect("Basic authentication")).expect("base64")
    });
    assert_eq!(sent, pair, "{url:?}");
}

fn check_error(error: &Error, setting: &str, url: &str) {
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    let printed = format!("{error} {error:?}");
    assert!(printed.starts_with(setting), "{printed}");
    assert!(!printed.contains(char::is_control) && printed.len() < 1_000, "{printed:?}");
    assert!(!printed.contains(SECRET) || scheme(url).contains(SECRET), "{printed}");
}
