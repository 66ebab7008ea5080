//! The proxy of the environment variables: requests to this machine bypass it, all others go through it.

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::child;
use crate::operations::success;
use crate::proxies::{assert_connects, call_loopback, check_refusal, refusing_proxy};
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

cases!(($) environment environment_cases {
    loopback_bypasses_the_environments_proxy,
    other_hosts_go_through_the_environments_proxy,
});
