//! The environment's proxy: nothing for this machine goes through it, and the rest does.

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::child;
use crate::operations::success;
use crate::proxies::{all_go_direct, assert_connects, refused_by_proxy, refusing_proxy};
use crate::server::{Server, json};

fn loopback_bypasses_the_environments_proxy<A: Adapter>() {
    if let Some(url) = child::argument() {
        all_go_direct::<A>(&url, &Settings::default());
        return;
    }
    let proxy = refusing_proxy();
    let server = Server::answering(|_| json("200 OK", &success()));
    let proxies = proxies(&proxy);
    let proxies: Vec<_> = proxies.iter().map(|(name, value)| (*name, value.as_str())).collect();
    child::again(&server.url(), &proxies);
    assert_eq!((server.requests().len(), proxy.connections()), (20, 0));
}

fn proxies(proxy: &Server) -> [(&'static str, String); 6] {
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"].map(|name| (name, proxy.url()))
}

fn other_hosts_go_through_the_environments_proxy<A: Adapter>() {
    if child::argument().is_some() {
        refused_by_proxy::<A>(&Settings::attempts(2));
        return;
    }
    let proxy = refusing_proxy();
    let url = proxy.url();
    child::again("", &[("HTTPS_PROXY", &url), ("https_proxy", &url)]);
    assert_connects(&proxy, 2);
}

cases!(($) environment environment_cases {
    loopback_bypasses_the_environments_proxy,
    other_hosts_go_through_the_environments_proxy,
});
