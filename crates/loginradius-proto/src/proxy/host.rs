use std::net::{IpAddr, Ipv6Addr};

use crate::service::is_loopback;

/// A host. All spellings of one host are equal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Host {
    /// In lower case, and without dots at its end.
    Name(String),
    /// An IPv4-mapped IPv6 address is an IPv4 address.
    Address(IpAddr),
}

impl Host {
    pub(crate) fn read(text: &str) -> Self {
        let name = text.trim_end_matches('.');
        match address(name) {
            Some(address) => Self::Address(address.to_canonical()),
            None => Self::Name(name.to_ascii_lowercase()),
        }
    }

    pub(crate) fn is_this_machine(&self) -> bool {
        match self {
            Self::Name(name) => is_loopback(name),
            Self::Address(address) => address.is_loopback(),
        }
    }
}

/// Reads an address. Only an IPv6 address may have brackets.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(text) => text.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => text.parse().ok(),
    }
}

/// Reads a port from 1 to 65535.
pub(crate) fn port(text: &str) -> Option<u16> {
    number(text).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
}

/// Reads a number of decimal digits without a sign.
pub(crate) fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
