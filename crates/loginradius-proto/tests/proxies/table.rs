//! Settings, targets, and the proxy that follows from them, row by row.

use loginradius_proto::ErrorKind;
use loginradius_proto::http::Uri;
use loginradius_proto::proxy::{Proxy, ProxyScheme, ProxySettings};

/// Environment variables, a target and what follows.
pub(crate) struct Row {
    pub(crate) variables: Vec<String>,
    pub(crate) target: &'static str,
    expected: Expected,
    /// The name that the module's documentation gives to the difference from curl, if one is allowed.
    pub(crate) unlike_curl: Option<&'static str>,
}

enum Expected {
    Direct,
    /// Through the proxy that `Display` writes so.
    Via(&'static str),
    /// Through that proxy, with `user:password`.
    As(&'static str, &'static str),
    /// A configuration error that contains the text.
    Error(&'static str),
}

use Expected::{As, Direct, Error, Via};

impl Row {
    fn unlike(self, difference: &'static str) -> Self {
        Self { unlike_curl: Some(difference), ..self }
    }

    pub(crate) fn decide(&self) -> Result<Option<Proxy>, loginradius_proto::Error> {
        let variables = self.variables.iter().map(|variable| variable.split_once('=').unwrap());
        ProxySettings::from_variables(variables).proxy_for(&Uri::from_static(self.target))
    }

    fn check(&self) {
        let Self { variables, target, expected, .. } = self;
        let shown = |proxy: Option<Proxy>| {
            proxy.map(|proxy| match (proxy.username(), proxy.password()) {
                (None, None) => (proxy.to_string(), String::new()),
                (username, password) => {
                    let password = password.map_or("", |password| password.expose());
                    (proxy.to_string(), format!("{}:{password}", username.unwrap()))
                }
            })
        };
        let expected = match *expected {
            Error(text) => {
                let error = self.decide().expect_err(&format!("{variables:?} {target}"));
                assert_eq!(error.kind(), ErrorKind::Configuration, "{variables:?} {target}");
                assert!(error.to_string().contains(text), "{variables:?} {target}: {error}");
                return;
            }
            Direct => None,
            Via(proxy) => Some((proxy.to_owned(), String::new())),
            As(proxy, credentials) => Some((proxy.to_owned(), credentials.to_owned())),
        };
        let proxy = self.decide().unwrap_or_else(|error| panic!("{variables:?} {target}: {error}"));
        assert_eq!(shown(proxy), expected, "{variables:?} {target}");
    }
}

fn row(variables: &[&str], target: &'static str, expected: Expected) -> Row {
    let variables = variables.iter().map(|variable| (*variable).to_owned()).collect();
    Row { variables, target, expected, unlike_curl: None }
}

/// A row of a proxy for all targets, and a list of exceptions.
fn no_proxy(list: &str, target: &'static str, expected: Expected) -> Row {
    row(&["all_proxy=http://proxy.test:3128", &format!("NO_PROXY={list}")], target, expected)
}

const SSO: &str = "https://sso.example.test/path?query";
const SSO_HTTP: &str = "http://sso.example.test/path?query";
const IPV4: &str = "https://192.0.2.7/";
const IPV6: &str = "https://[2001:db8::7]/";
const P: Expected = Via("http://proxy.test:3128");

/// All rows. No target is at a proxy's port, except 443.
pub(crate) fn rows() -> Vec<Row> {
    [which_variable(), this_machine(), names(), addresses(), lists(), schemes(), urls(), credentials(), errors()]
        .into_iter()
        .flatten()
        .collect()
}

fn which_variable() -> Vec<Row> {
    const UNUSABLE: &str = "the environment variable `https_proxy` has the scheme `ftp`";
    vec![
        row(&[], SSO, Direct),
        row(&[], SSO_HTTP, Direct),
        row(&["https_proxy=http://proxy.test:3128"], SSO, P),
        row(&["HTTPS_PROXY=http://proxy.test:3128"], SSO, P),
        row(&["all_proxy=http://proxy.test:3128"], SSO, P),
        row(&["ALL_PROXY=http://proxy.test:3128"], SSO, P),
        row(&["http_proxy=http://proxy.test:3128"], SSO, Direct),
        row(&["HTTP_PROXY=http://proxy.test:3128"], SSO, Direct),
        row(&["Https_Proxy=http://proxy.test:3128"], SSO, Direct),
        row(&["http_proxy=http://proxy.test:3128"], SSO_HTTP, P),
        row(&["HTTP_PROXY=http://proxy.test:3128"], SSO_HTTP, Direct),
        row(&["https_proxy=http://proxy.test:3128"], SSO_HTTP, Direct),
        row(&["all_proxy=http://proxy.test:3128"], SSO_HTTP, P),
        row(&["ALL_PROXY=http://proxy.test:3128"], SSO_HTTP, P),
        row(&["https_proxy=http://proxy.test:3128", "HTTPS_PROXY=http://proxy.test:8080"], SSO, P),
        row(&["HTTPS_PROXY=http://proxy.test:3128", "all_proxy=http://proxy.test:8080"], SSO, P),
        row(&["all_proxy=http://proxy.test:3128", "ALL_PROXY=http://proxy.test:8080"], SSO, P),
        row(&["HTTP_PROXY=http://proxy.test:8080", "ALL_PROXY=http://proxy.test:3128"], SSO_HTTP, P),
        // As common tools write them.
        row(
            &[
                "http_proxy=http://proxy.test:8080",
                "https_proxy=http://proxy.test:3128",
                "all_proxy=socks5://proxy.test:1080",
            ],
            SSO,
            P,
        ),
        // A CGI program's variables.
        row(&["REQUEST_METHOD=GET", "HTTP_PROXY=http://proxy.test:8080", "HTTPS_PROXY=http://proxy.test:3128"], SSO, P),
        // An empty one is the same as none.
        row(&["https_proxy=", "HTTPS_PROXY=http://proxy.test:3128"], SSO, P),
        row(&["https_proxy=", "HTTPS_PROXY=", "ALL_PROXY=http://proxy.test:3128"], SSO, P),
        row(&["https_proxy="], SSO, Direct),
        row(&["https_proxy=http://proxy.test:3128", "no_proxy=", "NO_PROXY=example.test"], SSO, Direct),
        row(&["https_proxy=http://proxy.test:3128", "no_proxy=other.test", "NO_PROXY=example.test"], SSO, P),
        // Only the one that decides can be wrong.
        row(&["https_proxy=http://proxy.test:3128", "ALL_PROXY=ftp://proxy.test:8080"], SSO, P),
        row(&["https_proxy=ftp://proxy.test:8080", "NO_PROXY=example.test"], SSO, Direct),
        row(&["https_proxy=ftp://proxy.test:8080"], SSO_HTTP, Direct),
        row(&["https_proxy=ftp://proxy.test:8080", "ALL_PROXY=http://proxy.test:3128"], SSO, Error(UNUSABLE)),
        row(&["https_proxy= ", "ALL_PROXY=http://proxy.test:3128"], SSO, Error("`https_proxy` has a space")),
    ]
}

fn this_machine() -> Vec<Row> {
    const MACHINE: &str = "this machine";
    vec![
        row(&["http_proxy=http://proxy.test:3128"], "http://localhost:9/", Direct).unlike(MACHINE),
        row(&["http_proxy=http://proxy.test:3128"], "http://LOCALHOST.:9/", Direct).unlike(MACHINE),
        row(&["http_proxy=http://proxy.test:3128"], "http://127.0.0.1:9/", Direct).unlike(MACHINE),
        row(&["http_proxy=http://proxy.test:3128"], "http://127.255.255.254:9/", Direct).unlike(MACHINE),
        row(&["http_proxy=http://proxy.test:3128"], "http://[::1]:9/", Direct).unlike(MACHINE),
        row(&["http_proxy=http://proxy.test:3128"], "http://[0:0:0:0:0:0:0:1]:9/", Direct).unlike(MACHINE),
        row(&["http_proxy=http://proxy.test:3128"], "http://[::ffff:127.0.0.1]:9/", Direct).unlike(MACHINE),
        row(&["https_proxy=http://proxy.test:3128"], "https://localhost:9/", Direct).unlike(MACHINE),
        row(&["ALL_PROXY=socks4://proxy.test:1080"], "http://localhost:9/", Direct).unlike(MACHINE),
        row(&["http_proxy=http://proxy.test:3128"], "http://localhost.test:9/", P),
        row(&["http_proxy=http://proxy.test:3128"], "http://127.0.0.1.test:9/", P),
        row(&["http_proxy=http://proxy.test:3128"], "http://[2001:db8::1]:9/", P),
    ]
}

fn names() -> Vec<Row> {
    const STAR: &str = "a star before a name";
    const SPELLINGS: &str = "other spellings of IPv4";
    const PORT: &str = "a port in NO_PROXY";
    let direct = [
        "sso.example.test",
        "example.test",
        "test",
        ".example.test",
        ".sso.example.test",
        "SSO.Example.TEST",
        "example.test.",
        ".example.test.",
        "*",
    ];
    let proxied = [
        "o.example.test",
        "a.sso.example.test",
        "xample.test",
        "example",
        "..example.test",
        ".",
        "..",
        "*example.test",
        "sso.*.test",
        "*.",
        "**",
        "https://sso.example.test",
        "sso.example.test/",
        ";sso.example.test",
    ];
    let mut rows: Vec<Row> = direct.into_iter().map(|list| no_proxy(list, SSO, Direct)).collect();
    rows.extend(proxied.into_iter().map(|list| no_proxy(list, SSO, P)));
    rows.extend([
        no_proxy("example.test", "https://SSO.EXAMPLE.TEST.:8443/", Direct),
        no_proxy("example.test", "https://example.test/", Direct),
        no_proxy("example.test", "https://myexample.test/", P),
        no_proxy("*.example.test", SSO, Direct).unlike(STAR),
        no_proxy("*.example.test", "https://example.test/", Direct).unlike(STAR),
        no_proxy("example.test:443", SSO, Direct).unlike(PORT),
        no_proxy("*.example.test:443", SSO, Direct).unlike(PORT),
        no_proxy(".Example.Test.:443", SSO, Direct).unlike(PORT),
        no_proxy("example.test:8443", SSO, P),
        no_proxy("example.test:443", SSO_HTTP, P),
        no_proxy("example.test:80", SSO_HTTP, Direct).unlike(PORT),
        no_proxy("example.test:", SSO, P),
        no_proxy("example.test:+443", SSO, P),
        no_proxy("example.test:0", SSO, P),
        no_proxy("example.test:443.", SSO, P),
        no_proxy("example.test:443:443", SSO, P),
        no_proxy("*:443", SSO, P),
        // Names, though HTTP clients may read them as addresses.
        no_proxy("0", "https://0/", Direct).unlike(SPELLINGS),
        no_proxy("example.7", "https://sso.example.7/", Direct),
        no_proxy("0xc0.0.2.7", "https://0xc0.0.2.7/", Direct).unlike(SPELLINGS),
    ]);
    rows
}

fn addresses() -> Vec<Row> {
    const LENGTHS: &str = "block lengths";
    const BROKEN: &str = "broken block lengths";
    const MAPPED: &str = "IPv4-mapped addresses";
    const SPELLINGS: &str = "other spellings of IPv4";
    const BRACKETS: &str = "brackets in NO_PROXY";
    const IPV6_TEXT: &str = "IPv6 in NO_PROXY";
    const PORT: &str = "a port in NO_PROXY";
    vec![
        no_proxy("192.0.2.7", IPV4, Direct),
        no_proxy("192.0.2.8", IPV4, P),
        no_proxy("0.2.7", IPV4, P),
        no_proxy(".2.7", IPV4, P),
        no_proxy("7", IPV4, P),
        no_proxy(".192.0.2.7", IPV4, P),
        no_proxy("*.192.0.2.7", IPV4, P),
        no_proxy("192.0.2.7", "https://a.192.0.2.7.test/", P),
        no_proxy("192.0.2.0/24", IPV4, Direct),
        no_proxy("192.0.2.99/24", IPV4, Direct),
        no_proxy("192.0.0.0/22", IPV4, Direct),
        no_proxy("192.0.0.0/23", IPV4, P),
        no_proxy("192.0.2.7/32", IPV4, Direct),
        no_proxy("192.0.2.6/31", IPV4, Direct),
        no_proxy("192.0.2.7/33", IPV4, P),
        no_proxy("0.0.0.0/0", IPV4, Direct).unlike(LENGTHS),
        no_proxy("::/0", IPV6, Direct).unlike(LENGTHS),
        no_proxy("::/0", IPV4, P),
        no_proxy("0.0.0.0/0", IPV6, P),
        no_proxy("0.0.0.0/0", SSO, P),
        no_proxy("192.0.2.7/", IPV4, P).unlike(BROKEN),
        no_proxy("192.0.2.7/x", IPV4, P).unlike(BROKEN),
        no_proxy("192.0.2.0/24x", IPV4, P).unlike(BROKEN),
        no_proxy("192.0.2.0/+24", IPV4, P).unlike(BROKEN),
        no_proxy("192.0.2.0/255.255.255.0", IPV4, P),
        no_proxy("192.0.2/24", IPV4, P),
        no_proxy("192.0.2.0-192.0.2.9", IPV4, P),
        no_proxy("192.0.2.*", IPV4, P),
        no_proxy("192.0.2.7:443", IPV4, Direct).unlike(PORT),
        no_proxy("192.0.2.7:80", IPV4, P),
        no_proxy("192.0.2.0/24:443", IPV4, P).unlike(BROKEN),
        no_proxy("2001:db8::7", IPV6, Direct),
        no_proxy("2001:db8::7.", IPV6, Direct).unlike(IPV6_TEXT),
        no_proxy("2001:0DB8:0:0::0007", IPV6, Direct).unlike(IPV6_TEXT),
        no_proxy("2001:db8::7", "https://[2001:0DB8:0:0:0:0:0:7]/", Direct),
        no_proxy("2001:db8::8", IPV6, P),
        no_proxy("2001:db8::/32", IPV6, Direct).unlike(IPV6_TEXT),
        no_proxy("2001:db8::/48", "https://[2001:db8:1::7]/", P),
        no_proxy("2001:db8::7/128", IPV6, Direct).unlike(IPV6_TEXT),
        no_proxy("2001:db8::7/129", IPV6, P),
        no_proxy("2001:db8::/33", IPV6, Direct).unlike(IPV6_TEXT),
        no_proxy("2001:db8::/33", "https://[2001:db8:8000::7]/", P).unlike(IPV6_TEXT),
        no_proxy("[2001:db8::7]", IPV6, Direct).unlike(BRACKETS),
        no_proxy("[2001:db8::]/32", IPV6, Direct).unlike(BRACKETS),
        no_proxy("[2001:db8::7]:443", IPV6, Direct).unlike(PORT),
        no_proxy("[2001:db8::7]:80", IPV6, P),
        no_proxy("[2001:db8::7", IPV6, P),
        no_proxy("2001:db8::7]", IPV6, P),
        no_proxy("[192.0.2.7]", IPV4, P),
        no_proxy("[192.0.2.7]:443", IPV4, P),
        no_proxy("[192.0.2.0]/24", IPV4, P),
        no_proxy("192.0.2.7", "https://[::ffff:192.0.2.7]/", Direct).unlike(MAPPED),
        no_proxy("192.0.2.0/24", "https://[::ffff:c000:207]/", Direct).unlike(MAPPED),
        no_proxy("::ffff:192.0.2.7", IPV4, Direct).unlike(MAPPED),
        no_proxy("::ffff:192.0.2.0/120", IPV4, Direct).unlike(MAPPED),
        no_proxy("::ffff:192.0.3.0/120", IPV4, P),
        no_proxy("::/80", IPV4, P),
        no_proxy("::/80", "https://[::ffff:192.0.2.7]/", P).unlike(MAPPED),
        no_proxy("192.0.2.7", "https://0xc0.0.2.7/", P).unlike(SPELLINGS),
        no_proxy("0.2.7.", "https://192.0.2.7./", P).unlike(SPELLINGS),
    ]
}

fn lists() -> Vec<Row> {
    const BLANKS: &str = "blanks in NO_PROXY";
    const STAR: &str = "a star among others";
    vec![
        no_proxy("localhost,sso.example.test", SSO, Direct),
        no_proxy("localhost, sso.example.test", SSO, Direct),
        no_proxy("localhost ,sso.example.test", SSO, Direct),
        no_proxy("localhost\t,\tsso.example.test\t", SSO, Direct),
        no_proxy(" sso.example.test ", SSO, Direct),
        no_proxy("sso.example.test,,", SSO, Direct),
        no_proxy(",,localhost,,sso.example.test", SSO, Direct),
        no_proxy(",", SSO, P),
        no_proxy(" ", SSO, P),
        no_proxy("localhost;sso.example.test", SSO, P),
        no_proxy("192.0.2.300,???,sso.example.test", SSO, Direct),
        no_proxy("localhost sso.example.test", SSO, Direct).unlike(BLANKS),
        no_proxy("localhost\nsso.example.test\n", SSO, Direct).unlike(BLANKS),
        no_proxy("localhost,*", SSO, Direct).unlike(STAR),
        no_proxy(" *", IPV6, Direct).unlike(STAR),
    ]
}

fn schemes() -> Vec<Row> {
    const SOCKS4: &str = "SOCKS 4";
    vec![
        row(&["https_proxy=proxy.test:3128"], SSO, P),
        row(&["https_proxy=proxy.test"], SSO, Via("http://proxy.test:1080")).unlike("no port"),
        row(&["https_proxy=HTTP://proxy.test:3128"], SSO, P),
        row(&["https_proxy=http://proxy.test"], SSO, Via("http://proxy.test:1080")).unlike("no port"),
        row(&["https_proxy=https://proxy.test"], SSO, Via("https://proxy.test:443")),
        row(&["https_proxy=https://proxy.test:3128"], SSO, Via("https://proxy.test:3128")),
        row(&["https_proxy=socks5://proxy.test"], SSO, Via("socks5://proxy.test:1080")),
        row(&["https_proxy=socks5h://proxy.test"], SSO, Via("socks5h://proxy.test:1080")),
        row(&["ALL_PROXY=Socks5h://proxy.test:3128"], SSO_HTTP, Via("socks5h://proxy.test:3128")),
        row(&["http_proxy=https://proxy.test:3128"], SSO_HTTP, Via("https://proxy.test:3128")),
        row(&["https_proxy=ftp.proxy.test:3128"], SSO, Via("http://ftp.proxy.test:3128")).unlike("no scheme"),
        row(&["ALL_PROXY=socks://proxy.test:1080"], SSO, Error("`ALL_PROXY` has the scheme `socks`")).unlike(SOCKS4),
        row(&["ALL_PROXY=socks4://proxy.test:1080"], SSO, Error("`ALL_PROXY` has the scheme `socks4`")).unlike(SOCKS4),
        row(&["ALL_PROXY=socks4a://proxy.test:1080"], SSO, Error("`ALL_PROXY` has the scheme `socks4a`"))
            .unlike(SOCKS4),
        row(&["HTTPS_PROXY=ftp://proxy.test:3128"], SSO, Error("`HTTPS_PROXY` has the scheme `ftp`")),
        row(&["all_proxy=socks6://proxy.test:3128"], SSO, Error("`all_proxy` has the scheme `socks6`")),
        row(&["all_proxy=quic://proxy.test:3128"], SSO, Error("use http, https, socks5 or socks5h")),
        row(&["http_proxy=file:///proxy.test"], SSO_HTTP, Error("`http_proxy` has the scheme `file`")),
        row(&["https_proxy=://proxy.test:3128"], SSO, Error("has a scheme, which is not supported")),
        row(&["https_proxy=alice:s3cret://proxy.test"], SSO, Error("has a scheme, which is not supported")),
    ]
}

fn urls() -> Vec<Row> {
    const MISTAKES: &str = "mistakes in a URL";
    const NO_HOST: &str = "has no valid host: write an ASCII name or an address";
    const BAD_PORT: &str = "has a port that is not a number from 1 to 65535";
    vec![
        row(&["https_proxy=http://proxy.test:3128/"], SSO, P),
        row(&["https_proxy=http://proxy.test:3128/a/b?c#d"], SSO, P),
        row(&["https_proxy=proxy.test:3128/a?b=http://c"], SSO, P),
        row(&["https_proxy=http://proxy.test:3128?c"], SSO, P),
        row(&["https_proxy=http://proxy.test:3128#d"], SSO, P),
        row(&["https_proxy=proxy.test:3128/"], SSO, P),
        row(&["https_proxy=http://proxy.test:03128"], SSO, P),
        row(&["https_proxy=http://127.0.0.1:3128"], SSO, Via("http://127.0.0.1:3128")),
        row(&["https_proxy=http://[::1]:3128"], SSO, Via("http://[::1]:3128")),
        row(&["https_proxy=http://[0:0::0:1]:3128"], SSO, Via("http://[::1]:3128")),
        row(&["https_proxy=[::1]:3128"], SSO, Via("http://[::1]:3128")),
        row(&["https_proxy=http://"], SSO, Error(NO_HOST)),
        row(&["https_proxy=/"], SSO, Error(NO_HOST)),
        row(&["https_proxy=//proxy.test:3128"], SSO, Error(NO_HOST)),
        row(&["https_proxy=http://:3128"], SSO, Error(NO_HOST)),
        row(&["https_proxy=:3128"], SSO, Error(NO_HOST)),
        row(&["https_proxy=http://[::1"], SSO, Error(NO_HOST)),
        row(&["https_proxy=http://[proxy.test]:3128"], SSO, Error(NO_HOST)),
        row(&["https_proxy=http://::1:3128"], SSO, Error(NO_HOST)),
        row(&["https_proxy=http://pro\\xy.test:3128"], SSO, Error(NO_HOST)),
        row(&["https_proxy=http://proxy.test:99999"], SSO, Error(BAD_PORT)),
        row(&["https_proxy=http://proxy.test:65536"], SSO, Error(BAD_PORT)),
        row(&["https_proxy=http://proxy.test:+3128"], SSO, Error(BAD_PORT)),
        row(&["https_proxy=http://proxy.test:port"], SSO, Error(BAD_PORT)),
        row(&["https_proxy=proxy.test:"], SSO, Error(BAD_PORT)),
        row(&["https_proxy=http:proxy.test:3128"], SSO, Error(BAD_PORT)),
        row(&["https_proxy= http://proxy.test:3128"], SSO, Error("has a space")),
        row(&["https_proxy=http://proxy.test:3128 "], SSO, Error("has a space")),
        row(&["https_proxy=http://proxy.test:3128\n"], SSO, Error("has a space or a control character")),
        row(&["https_proxy=http://proxy .test:3128"], SSO, Error("has a space")),
        row(&["https_proxy=http://proxy.test:"], SSO, Error(BAD_PORT)).unlike(MISTAKES),
        row(&["https_proxy=http://proxy.test:0"], SSO, Error(BAD_PORT)),
        row(&["https_proxy=http:/proxy.test:3128"], SSO, Error(BAD_PORT)).unlike(MISTAKES),
        row(&["https_proxy=http:///proxy.test:3128"], SSO, Error(NO_HOST)).unlike(MISTAKES),
        row(&["https_proxy=http://pro%78y.test:3128"], SSO, Error(NO_HOST)).unlike(MISTAKES),
        row(&["https_proxy=http://pröxy.test:3128"], SSO, Error(NO_HOST)).unlike(MISTAKES),
        row(&["https_proxy=http://proxy.test.:3128"], SSO, Error(NO_HOST)).unlike(MISTAKES),
        row(&["https_proxy=http://[fe80::1%25lo]:3128"], SSO, Error(NO_HOST)).unlike(MISTAKES),
        row(&["https_proxy=socks5h://localhost/tmp/socket"], SSO, Error("has a path")).unlike(MISTAKES),
        row(&["https_proxy=socks5h://proxy.test:1080/a"], SSO, Error("has a path")).unlike(MISTAKES),
        row(&["https_proxy=socks5h://proxy.test:1080/"], SSO, Via("socks5h://proxy.test:1080")),
        row(&["https_proxy=http://alice:12/s3cret@proxy.test:3128"], SSO, Error("%40, %2F, %3F and %23"))
            .unlike(MISTAKES),
        row(&["https_proxy=http://proxy.test:3128/@"], SSO, Error("%40, %2F, %3F and %23")).unlike(MISTAKES),
    ]
}

fn credentials() -> Vec<Row> {
    const UNSENDABLE: &str = "credentials that cannot be sent";
    const PLACE: &str = "http://proxy.test:3128";
    const CONTROL: &str = "has a control character in its user name or password";
    vec![
        row(&["https_proxy=http://alice:s3cret@proxy.test:3128"], SSO, As(PLACE, "alice:s3cret")),
        row(&["https_proxy=alice:s3cret@proxy.test:3128"], SSO, As(PLACE, "alice:s3cret")),
        row(&["http_proxy=http://alice:s3cret@proxy.test:3128"], SSO_HTTP, As(PLACE, "alice:s3cret")),
        row(&["https_proxy=http://alice@proxy.test:3128"], SSO, As(PLACE, "alice:")),
        row(&["https_proxy=http://alice:@proxy.test:3128"], SSO, As(PLACE, "alice:")),
        row(&["https_proxy=http://:s3cret@proxy.test:3128"], SSO, As(PLACE, ":s3cret")),
        row(&["https_proxy=http://alice:a:b@proxy.test:3128"], SSO, As(PLACE, "alice:a:b")),
        row(&["https_proxy=http://al%69ce:%40%2F%3a%25@proxy.test:3128"], SSO, As(PLACE, "alice:@/:%")),
        row(&["https_proxy=http://alice:a%20b+c@proxy.test:3128"], SSO, As(PLACE, "alice:a b+c")),
        row(&["https_proxy=http://alice:100%@proxy.test:3128"], SSO, As(PLACE, "alice:100%")),
        row(&["https_proxy=http://alice:%zz%4@proxy.test:3128"], SSO, As(PLACE, "alice:%zz%4")),
        row(&["https_proxy=http://al%C3%A9:gr%C3%BCn@proxy.test:3128"], SSO, As(PLACE, "alé:grün")),
        row(&["https_proxy=http://alé:grün@proxy.test:3128"], SSO, As(PLACE, "alé:grün")),
        row(&["ALL_PROXY=socks5h://alice:s3cret@proxy.test"], SSO, As("socks5h://proxy.test:1080", "alice:s3cret")),
        row(&["ALL_PROXY=socks5://alice:%40@proxy.test:3128"], SSO, As("socks5://proxy.test:3128", "alice:@")),
        row(&["ALL_PROXY=socks5://a%3Ab:c@proxy.test:3128"], SSO, As("socks5://proxy.test:3128", "a:b:c")),
        row(&["https_proxy=http://alice:s3@cret@proxy.test:3128"], SSO, Error("%40, %2F, %3F and %23")),
        row(&["https_proxy=http://alice:s3/cret@proxy.test:3128"], SSO, Error("%40, %2F, %3F and %23")),
        row(&["https_proxy=alice:s3/cret://@proxy.test:3128"], SSO, Error("%40, %2F, %3F and %23")),
        row(&["https_proxy=http://alice:s3?cret@proxy.test:3128"], SSO, Error("%40, %2F, %3F and %23")),
        row(&["https_proxy=http://alice:s3#cret@proxy.test:3128"], SSO, Error("%40, %2F, %3F and %23")),
        row(&["https_proxy=http://alice:s3 cret@proxy.test:3128"], SSO, Error("has a space")),
        row(&["https_proxy=http://alice:s3\u{7}cret@proxy.test:3128"], SSO, Error("or a control character")),
        row(&["https_proxy=http://alice:s3%0Acret@proxy.test:3128"], SSO, Error(CONTROL)).unlike(UNSENDABLE),
        row(&["https_proxy=http://ali%00ce:s3cret@proxy.test:3128"], SSO, Error(CONTROL)).unlike(UNSENDABLE),
        row(&["ALL_PROXY=socks5://alice:s3%7Fcret@proxy.test:3128"], SSO, Error(CONTROL)).unlike(UNSENDABLE),
        row(&["https_proxy=http://alice:%FF@proxy.test:3128"], SSO, Error("is not in UTF-8")).unlike(UNSENDABLE),
        row(&["https_proxy=http://alice:\u{fffd}@proxy.test:3128"], SSO, Error("is not in UTF-8")).unlike(UNSENDABLE),
        row(&["https_proxy=http://a%3Ab:c@proxy.test:3128"], SSO, Error("has a colon in its user name"))
            .unlike(UNSENDABLE),
    ]
}

/// Errors of each setting, under its name.
fn errors() -> Vec<Row> {
    vec![
        row(&["https_proxy=ftp://proxy.test:8080"], SSO, Error("the environment variable `https_proxy` has")),
        row(&["HTTPS_PROXY=ftp://proxy.test:8080"], SSO, Error("the environment variable `HTTPS_PROXY` has")),
        row(&["http_proxy=ftp://proxy.test:8080"], SSO_HTTP, Error("the environment variable `http_proxy` has")),
        row(&["all_proxy=ftp://proxy.test:8080"], SSO_HTTP, Error("the environment variable `all_proxy` has")),
        row(&["ALL_PROXY=ftp://proxy.test:8080"], SSO, Error("the environment variable `ALL_PROXY` has")),
    ]
}

#[test]
fn every_row_of_the_table_holds() {
    let rows = rows();
    rows.iter().for_each(Row::check);
    assert!(rows.len() > 240, "{}", rows.len());
}

/// A builder's URL is read like a variable's, but at once, and without NO_PROXY.
#[test]
fn one_url_is_read_as_a_variable_is() {
    let mut count = 0;
    for row in rows() {
        let [variable] = row.variables.as_slice() else { continue };
        let (Ok(Some(_)) | Err(_), Some(("https_proxy", url))) = (row.decide(), variable.split_once('=')) else {
            continue;
        };
        count += 1;
        match (row.decide(), ProxySettings::all(url)) {
            (Err(of_variable), Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::Configuration);
                let expected = of_variable.to_string().replace("the environment variable `https_proxy`", "the proxy");
                assert_eq!(error.to_string(), expected);
            }
            (Ok(of_variable), Ok(settings)) => {
                for target in [SSO, SSO_HTTP, IPV4, IPV6] {
                    assert_eq!(settings.proxy_for(&Uri::from_static(target)).unwrap(), of_variable);
                }
                assert_eq!(settings.proxy_for(&Uri::from_static("https://localhost/")).unwrap(), None);
            }
            (of_variable, settings) => panic!("{url}: {of_variable:?}, {settings:?}"),
        }
    }
    assert!(count > 50, "{count}");
    assert!(ProxySettings::all("").is_err());
}

#[test]
fn settings_without_a_proxy_are_direct() {
    for target in [SSO, SSO_HTTP, IPV4, IPV6, "http://localhost/"] {
        assert_eq!(ProxySettings::none().proxy_for(&Uri::from_static(target)).unwrap(), None);
    }
}

#[test]
fn a_target_that_is_not_a_whole_url_is_a_misuse() {
    let settings = [ProxySettings::none(), ProxySettings::all("http://proxy.test:3128").unwrap()];
    for target in ["/path", "*", "sso.example.test:443", "ftp://sso.example.test/", "ws://localhost/"] {
        for settings in &settings {
            let error = settings.proxy_for(&target.parse().unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse, "{target}");
        }
    }
}

fn proxy(url: &str) -> Proxy {
    ProxySettings::all(url).unwrap().proxy_for(&Uri::from_static(SSO)).unwrap().unwrap()
}

#[test]
fn the_header_is_basic_sensitive_and_only_for_http_proxies() {
    let header = |url| proxy(url).authorization();
    // RFC 7617, sections 2 and 2.1.
    let aladdin = header("http://Aladdin:open%20sesame@proxy.test").unwrap();
    assert_eq!(aladdin, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert!(aladdin.is_sensitive());
    assert_eq!(header("https://test:123%C2%A3@proxy.test").unwrap(), "Basic dGVzdDoxMjPCow==");
    assert_eq!(header("http://alice@proxy.test").unwrap(), "Basic YWxpY2U6");
    assert_eq!(header("http://:s3cret@proxy.test").unwrap(), "Basic OnMzY3JldA==");
    for without in ["http://proxy.test", "http://@proxy.test", "socks5://a:b@proxy.test", "socks5h://a:b@proxy.test"] {
        assert_eq!(header(without), None, "{without}");
    }
}

#[test]
fn proxies_are_equal_if_every_part_is() {
    let all = [
        "http://proxy.test:3128",
        "https://proxy.test:3128",
        "socks5://proxy.test:3128",
        "socks5h://proxy.test:3128",
        "http://other.test:3128",
        "http://proxy.test:3129",
        "http://alice@proxy.test:3128",
        "http://alice:@proxy.test:3128",
        "http://alice:s3cret@proxy.test:3128",
        "http://alice:s3creT@proxy.test:3128",
        "http://bob:s3cret@proxy.test:3128",
    ]
    .map(proxy);
    for (index, one) in all.iter().enumerate() {
        for (other_index, other) in all.iter().enumerate() {
            assert_eq!(one == other, index == other_index, "{one}, {other}");
        }
    }
    assert_eq!(proxy("http://[::1]:3128"), proxy("HTTP://[0:0::1]:3128/"));
}

/// RFC 1929 counts both in one byte.
#[test]
fn socks_credentials_have_255_bytes_at_most() {
    let url = |scheme: &str, username: &str, password: &str| format!("{scheme}://{username}:{password}@proxy.test");
    let (longest, longer) = ("%C3%A9".repeat(127) + "e", "%C3%A9".repeat(128));
    for scheme in [ProxyScheme::Socks5, ProxyScheme::Socks5h] {
        assert_eq!(proxy(&url(scheme.as_str(), &longest, &longest)).username().unwrap().len(), 255);
        for url in [url(scheme.as_str(), &longer, "a"), url(scheme.as_str(), "a", &longer)] {
            let error = ProxySettings::all(&url).unwrap_err();
            assert!(error.to_string().contains("more than 255 bytes, the limit of SOCKS"), "{error}");
        }
    }
    assert_eq!(proxy(&url("http", &longer, &longer)).username().unwrap().len(), 256);
}
