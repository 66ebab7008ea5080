use std::net::IpAddr;

use crate::proxy::host::{Host, address, number, port};
use crate::service::is_written_as_name;

/// The hosts that `NO_PROXY` excludes.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Hosts {
    All,
    /// The name, and all names below it.
    Domain(String),
    /// The addresses that begin with the same bits.
    Block {
        address: IpAddr,
        length: u32,
    },
}

impl NoProxy {
    /// Reads the list, and skips the entries that cannot be read.
    pub(crate) fn read(list: &str) -> Self {
        let entries = list.split(|letter: char| letter == ',' || letter.is_whitespace());
        Self(entries.filter_map(Entry::read).collect())
    }

    pub(crate) fn excludes(&self, host: &Host, port: u16) -> bool {
        self.0.iter().any(|entry| entry.port.is_none_or(|only| only == port) && entry.hosts.contain(host))
    }
}

impl Entry {
    fn read(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self { hosts: Hosts::All, port: None });
        }
        if let Some((text, length)) = text.split_once('/') {
            return Some(Self { hosts: Hosts::block(address(text)?, number(length)?), port: None });
        }
        // An IPv6 address without brackets has no port.
        if let Some(address) = address(text.trim_end_matches('.')) {
            return Some(Self { hosts: Hosts::address(address), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, digits)) => (host, Some(port(digits)?)),
            None => (text, None),
        };
        let below = host.strip_prefix("*.").or_else(|| host.strip_prefix('.'));
        let host = below.unwrap_or(host).trim_end_matches('.');
        let hosts = match Host::read(host) {
            Host::Name(name) if is_written_as_name(&name) => Hosts::Domain(name),
            // Before a port, an IPv6 address must have brackets, and no other host may.
            Host::Address(address) if below.is_none() && host.starts_with('[') == host.contains(':') => {
                Hosts::address(address)
            }
            Host::Name(_) | Host::Address(_) => return None,
        };
        Some(Self { hosts, port })
    }
}

impl Hosts {
    fn address(address: IpAddr) -> Self {
        Self::block(address, bits(address))
    }

    /// Makes a block. It contains nothing if its length is more than the address has bits.
    fn block(address: IpAddr, length: u32) -> Self {
        let canonical = address.to_canonical();
        match length.checked_sub(bits(address) - bits(canonical)) {
            Some(length) => Self::Block { address: canonical, length },
            // The block is larger than that of all IPv4-mapped addresses, so it is one of IPv6.
            None => Self::Block { address, length },
        }
    }

    fn contain(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Domain(domain), Host::Name(name)) => {
                name.strip_suffix(domain.as_str()).is_some_and(|below| below.is_empty() || below.ends_with('.'))
            }
            (Self::Block { address: IpAddr::V4(block), length }, Host::Address(IpAddr::V4(address))) => {
                (block.to_bits() ^ address.to_bits()).leading_zeros() >= *length
            }
            (Self::Block { address: IpAddr::V6(block), length }, Host::Address(IpAddr::V6(address))) => {
                (block.to_bits() ^ address.to_bits()).leading_zeros() >= *length
            }
            (Self::Domain(_) | Self::Block { .. }, _) => false,
        }
    }
}

fn bits(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}
