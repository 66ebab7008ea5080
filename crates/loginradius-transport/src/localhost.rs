use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the addresses of `localhost` and of every name below it; `None` for other names, which are to be looked up.
///
/// They are this machine ([RFC 6761, section 6.3]), and http is allowed to `localhost`. What a system's resolver says
/// depends on its files, and some ask the network.
///
/// ```
/// use loginradius_transport::localhost;
///
/// assert_eq!(localhost("localhost"), Some(["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()]));
/// assert_eq!(localhost("sso.example.com"), None);
/// ```
///
/// [RFC 6761, section 6.3]: https://www.rfc-editor.org/rfc/rfc6761#section-6.3
#[must_use]
#[doc(alias("dns", "resolve", "loopback"))]
pub fn localhost(name: &str) -> Option<[IpAddr; 2]> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let is_localhost = name == "localhost" || name.ends_with(".localhost");
    is_localhost.then_some([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)])
}

#[cfg(test)]
mod tests {
    use super::localhost;

    #[test]
    fn localhost_is_this_machine() {
        for (name, is) in [
            ("localhost", true),
            ("LOCALHOST.", true),
            ("app.localhost", true),
            ("localhost.example", false),
            ("applocalhost", false),
        ] {
            assert_eq!(localhost(name).is_some(), is, "{name}");
        }
    }
}
