//! The proxy of the environment variables: requests to this machine bypass it, and all others go through it.

use loginradius_proto::ErrorKind;

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::child;
use crate::operations::{app, success};
use crate::proxies::{assert_connects, call_loopback, check_direct, check_refusal, refusing_proxy};
use crate::server::{Server, json};

fn loopback_bypasses_the_environments_proxy<A: Adapter>() {
    if let Some(url) = child::argument() {
        call_loopback::<A>(&url, &Settings::default());
        return;
    }
    let proxy = refusing_proxy();
    let server = Server::responding(|_| json("200 OK", &success()));
    let proxies = proxies(&proxy);
    let proxies: Vec<_> = proxies.iter().map(|(name, value)| (*name, value.as_str())).collect();
    child::run_again(&server.url(), &proxies);
    assert_eq!((server.requests().len(), proxy.connections()), (20, 0));
}

fn proxies(proxy: &Server) -> [(&'static str, String); 6] {
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"].map(|name| (name, proxy.url()))
}

fn other_hosts_go_through_the_environments_proxy<A: Adapter>() {
    if child::argument().is_some() {
        check_refusal::<A>(&Settings::attempts(2));
        return;
    }
    let proxy = refusing_proxy();
    let url = proxy.url();
    child::run_again("", &[("HTTPS_PROXY", &url), ("https_proxy", &url)]);
    assert_connects(&proxy, 2);
}

/// Both adapters follow the core's decision.
fn the_environment_is_read_as_the_core_says<A: Adapter>() {
    const HOST: &str = "https://acme.invalid";
    if let Some(expected) = child::argument() {
        match expected.as_str() {
            "refused" => {
                let error = A::new(app(HOST), &Settings::default()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
                assert!(error.to_string().contains("_PROXY` "), "it names the variable: {error}");
            }
            "direct" => check_direct::<A>(&Settings::default()),
            "without" => check_direct::<A>(&Settings { without_proxy: true, ..Settings::default() }),
            _ => check_refusal::<A>(&Settings::attempts(2)),
        }
        return;
    }
    let (proxy, other) = (refusing_proxy(), refusing_proxy());
    let (here, elsewhere) = (proxy.url(), other.url());
    let socks = elsewhere.replace("http", "socks5");
    let table: [(&str, &[(&str, &str)]); 15] = [
        ("proxy", &[("https_proxy", &here), ("ALL_PROXY", &elsewhere)]),
        ("proxy", &[("https_proxy", &here), ("http_proxy", &here), ("all_proxy", &socks)]),
        ("proxy", &[("HTTPS_PROXY", &here), ("ALL_PROXY", "http://127.0.0.1:1")]),
        ("proxy", &[("HTTPS_PROXY", &here), ("ALL_PROXY", "ftp://127.0.0.1:1")]),
        ("proxy", &[("ALL_PROXY", &here), ("NO_PROXY", "example.com")]),
        ("proxy", &[("HTTPS_PROXY", &here), ("HTTP_PROXY", &elsewhere), ("REQUEST_METHOD", "GET")]),
        ("direct", &[("HTTP_PROXY", &elsewhere), ("http_proxy", &elsewhere)]),
        ("direct", &[("HTTPS_PROXY", &elsewhere), ("NO_PROXY", "invalid")]),
        ("direct", &[("HTTPS_PROXY", &elsewhere), ("NO_PROXY", "localhost, acme.invalid")]),
        ("direct", &[("HTTPS_PROXY", &elsewhere), ("no_proxy", "*.invalid")]),
        ("direct", &[("ALL_PROXY", "ftp://127.0.0.1:1"), ("NO_PROXY", "*")]),
        ("without", &[("HTTPS_PROXY", &elsewhere), ("ALL_PROXY", "ftp://127.0.0.1:1")]),
        ("refused", &[("ALL_PROXY", "socks://127.0.0.1:1080")]),
        ("refused", &[("HTTPS_PROXY", "ftp://127.0.0.1:1"), ("ALL_PROXY", &here)]),
        ("refused", &[("HTTPS_PROXY", "http://")]),
    ];
    for (expected, variables) in table {
        let before = proxy.connections();
        child::run_again(expected, variables);
        let attempts = if expected == "proxy" { 2 } else { 0 };
        assert_eq!((proxy.connections() - before, other.connections()), (attempts, 0), "{expected}: {variables:?}");
    }
}

/// The variables apply to other hosts only.
fn this_machine_is_reached_whatever_the_environment_says<A: Adapter>() {
    if let Some(url) = child::argument() {
        call_loopback::<A>(&url, &Settings::default());
        return;
    }
    let server = Server::responding(|_| json("200 OK", &success()));
    for scheme in ["ftp", "socks", "socks5", "http"] {
        let url = format!("{scheme}://127.0.0.1:1");
        child::run_again(&server.url(), &[("ALL_PROXY", &url), ("http_proxy", &url), ("HTTPS_PROXY", &url)]);
    }
}

cases!(($) environment environment_cases {
    loopback_bypasses_the_environments_proxy,
    other_hosts_go_through_the_environments_proxy,
    the_environment_is_read_as_the_core_says,
    this_machine_is_reached_whatever_the_environment_says,
});
