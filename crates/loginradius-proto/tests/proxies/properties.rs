//! What holds for any settings and targets.

use std::net::IpAddr;

use loginradius_proto::ErrorKind;
use loginradius_proto::http::Uri;
use loginradius_proto::proxy::ProxySettings;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const VARIABLES: [&str; 9] = [
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "HTTP_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "REQUEST_METHOD",
];

const USABLE: [&str; 3] = ["http://proxy.test:3128", "alice:s3cret@proxy.test", "socks5h://[2001:db8::9]"];
const UNUSABLE: [&str; 4] = ["socks4://proxy.test", "ftp://proxy.test", " ", "http://proxy.test:99999"];

fn proxy_url() -> impl Strategy<Value = String> {
    select([&USABLE[..], &UNUSABLE, &[""]].concat()).prop_map(str::to_owned)
}

fn name() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "B", "test", "example", "0", "192"]), 1..4).prop_map(|labels| labels.join("."))
}

fn ipv4() -> impl Strategy<Value = String> {
    (select(vec![127, 192, 193]), 0..2_u8, 0..4_u8).prop_map(|(a, b, c)| format!("{a}.0.{b}.{c}"))
}

fn ipv6() -> impl Strategy<Value = String> {
    select(vec!["::1", "0:0:0::1", "2001:db8::7", "2001:0DB8:0::7", "2001:db8:8000::7", "::ffff:192.0.0.1", "::"])
        .prop_map(str::to_owned)
}

fn entry() -> impl Strategy<Value = String> {
    let affixed = |strategy: BoxedStrategy<String>| {
        let after = vec!["", "", ".", ":443", ":80", ":8443", ":x", ".:443", ":443."];
        (select(vec!["", "", ".", "*.", "*", ".."]), strategy, select(after))
            .prop_map(|(before, text, after)| format!("{before}{text}{after}"))
    };
    let bracketed = || prop_oneof![3 => ipv6(), 1 => ipv4()].prop_map(|text| format!("[{text}]"));
    let block = (prop_oneof![ipv4(), ipv6(), bracketed()], select(LENGTHS.to_vec()))
        .prop_map(|(address, length)| format!("{address}/{length}"));
    const LENGTHS: [&str; 12] = ["0", "1", "8", "23", "24", "31", "32", "33", "96", "120", "128", "x"];
    prop_oneof![
        4 => affixed(name().boxed()),
        3 => affixed(ipv4().boxed()),
        1 => affixed(ipv6().boxed()),
        2 => affixed(bracketed().boxed()),
        4 => block,
        1 => Just("*".to_owned()),
        1 => "[!-~]{0,6}",
    ]
}

fn no_proxy() -> impl Strategy<Value = String> {
    let separator = select(vec![",", " ", ", ", "\t", "\n", " ,, "]);
    vec((entry(), separator), 0..5).prop_map(|entries| entries.into_iter().map(|(entry, by)| entry + by).collect())
}

#[derive(Clone, Debug)]
struct Target {
    scheme: &'static str,
    host: String,
    port: Option<u16>,
}

fn target() -> impl Strategy<Value = Target> {
    let host = prop_oneof![
        4 => name(),
        1 => name().prop_map(|name| name + "."),
        3 => ipv4(),
        3 => ipv6().prop_map(|text| format!("[{text}]")),
        1 => Just("LocalHost".to_owned()),
    ];
    let port = prop_oneof![2 => Just(None), 1 => select(vec![80, 443, 8443]).prop_map(Some)];
    (select(vec!["http", "https"]), host, port).prop_map(|(scheme, host, port)| Target { scheme, host, port })
}

impl Target {
    fn uri(&self) -> Uri {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}/", self.scheme, self.host).parse().unwrap()
    }
}

/// Returns whether the list excludes the target. It is slow, and written in another way than the crate.
fn excludes(list: &str, target: &Target) -> bool {
    let port = target.port.unwrap_or(if target.scheme == "https" { 443 } else { 80 });
    list.replace([' ', '\t', '\n'], ",").split(',').any(|entry| entry_excludes(entry, &target.host, port))
}

fn entry_excludes(entry: &str, host: &str, port: u16) -> bool {
    let host = host.trim_end_matches('.').to_lowercase();
    let host_bits = bits(&host);
    if entry == "*" {
        return true;
    }
    if let Some((address, text)) = entry.split_once('/') {
        let begin = (0..=128).find(|length| length.to_string() == text).and_then(|length| first_bits(address, length));
        return host_bits.zip(begin).is_some_and(|(bits, begin)| bits.starts_with(&begin));
    }
    let entry = match entry.strip_suffix(&format!(":{port}")) {
        // An IPv6 address has a port after brackets only.
        Some(before) if before.starts_with('[') || !before.contains(':') => before,
        _ => entry,
    };
    let entry = entry.trim_end_matches('.').to_lowercase();
    if host_bits.is_some() || bits(&entry).is_some() {
        return host_bits == bits(&entry);
    }
    let domain = entry.strip_prefix("*.").unwrap_or(entry.strip_prefix('.').unwrap_or(&entry));
    let mut labels = host.split('.').rev();
    domain.split('.').rev().all(|label| !label.is_empty() && labels.next() == Some(label))
}

/// Returns all bits of an address, as text.
fn bits(address: &str) -> Option<String> {
    first_bits(address, if address.contains(':') { 128 } else { 32 })
}

/// Returns the bits that all addresses of a block begin with. A 4 or a 6 is before them, and the 96 bits before an IPv4
/// address that is written as IPv6 are not among them.
fn first_bits(address: &str, length: usize) -> Option<String> {
    let inside = address.strip_prefix('[').map_or(Some(address), |address| address.strip_suffix(']'))?;
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:08b}")).collect::<String>();
    match inside.parse::<IpAddr>().ok()? {
        IpAddr::V4(_) if address.starts_with('[') => None,
        IpAddr::V4(address) => Some(format!("4{}", text(&address.octets()).get(..length)?)),
        IpAddr::V6(address) => {
            let begin = text(&address.octets()).get(..length)?.to_owned();
            let mapped = "0".repeat(80) + &"1".repeat(16);
            Some(begin.strip_prefix(&mapped).map_or(format!("6{begin}"), |rest| format!("4{rest}")))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn direct_if_and_only_if_the_settings_say_so(
        proxies in vec((select(VARIABLES[..6].to_vec()), proxy_url()), 0..6),
        lists in vec((select(VARIABLES[6..8].to_vec()), no_proxy()), 0..3),
        target in target(),
    ) {
        let variables: Vec<(&str, String)> = proxies.into_iter().chain(lists).collect();
        let result = ProxySettings::from_variables(variables.clone()).proxy_for(&target.uri());

        // As in an environment, the last one of a name counts.
        let value = |name: &str| {
            let (_, value) = variables.iter().rev().find(|(other, value)| *other == name && !value.is_empty())?;
            Some(value.as_str())
        };
        let names: &[&str] = match target.scheme {
            "https" => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
            _ => &["http_proxy", "all_proxy", "ALL_PROXY"],
        };
        let decides = names.iter().find_map(|name| Some((*name, value(name)?)));
        let excluded = value("no_proxy").or(value("NO_PROXY")).is_some_and(|list| excludes(list, &target));
        let machine = excludes("localhost,127.0.0.0/8,::1", &target);
        match decides {
            None => prop_assert_eq!(result.unwrap(), None),
            _ if excluded || machine => prop_assert_eq!(result.unwrap(), None),
            Some((_, url)) if USABLE.contains(&url) => {
                let expected = ProxySettings::all(url).unwrap().proxy_for(&Uri::from_static("https://b.test/")).unwrap();
                prop_assert!(expected.is_some());
                prop_assert_eq!(result.unwrap(), expected);
            }
            Some((name, _)) => {
                let error = result.unwrap_err();
                prop_assert_eq!(error.kind(), ErrorKind::Configuration);
                let message = error.to_string();
                prop_assert!(message.starts_with(&format!("the environment variable `{name}` has ")), "{}", message);
            }
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(
        variables in vec((select(VARIABLES.to_vec()), any::<String>()), 0..9),
        target in "(https?://)?[!-~]{0,20}",
        url in "[a-z0-9]{0,6}(://)?([!-~]{0,8}@)?[\\[\\]:.a-z0-9%]{0,12}[!-~]{0,6}",
    ) {
        let settings = [Some(ProxySettings::from_variables(variables)), ProxySettings::all(&url).ok()];
        let targets = [target.parse().ok(), Some(Uri::from_static("https://b.test/"))];
        for settings in settings.iter().flatten() {
            for target in targets.iter().flatten() {
                let Ok(Some(proxy)) = settings.proxy_for(target) else { continue };
                prop_assert!(!proxy.host().is_empty() && proxy.port() > 0);
                // What is printed can be read again, without the credentials.
                let printed = proxy.to_string();
                let read = ProxySettings::all(&printed).unwrap().proxy_for(target).unwrap().unwrap();
                prop_assert_eq!(
                    (read.scheme(), read.host(), read.port(), read.username()),
                    (proxy.scheme(), proxy.host(), proxy.port(), None)
                );
                if let Some(header) = proxy.authorization() {
                    prop_assert!(header.is_sensitive());
                }
            }
        }
    }

    #[test]
    fn credentials_are_never_printed(
        scheme in select(vec!["", "http://", "https://", "socks5://", "socks5h://", "ftp://", "x y://", "http:/", "//"]),
        username in "[a-z]{0,3}",
        before in "\\PC{0,6}",
        after in "\\PC{0,6}",
        place in select(vec![
            "proxy.test:3128", "proxy.test", "", ":", "proxy.test:x", "[::1]", "[", "proxy.test/a", "a@b", "proxy.test?c",
        ]),
    ) {
        let url = format!("{scheme}{username}:{before}CANARY{after}@{place}");
        let all = ProxySettings::all(&url);
        let mut printed = format!("{all:?} {all:#?}");
        for name in VARIABLES {
            let settings = ProxySettings::from_variables([(name, &url)]);
            printed += &format!("{settings:?} {settings:#?}");
            for target in ["http://b.test/", "https://b.test/"] {
                let result = settings.proxy_for(&Uri::from_static(target));
                printed += &format!("{result:?} {result:#?}");
                match result {
                    Ok(proxy) => printed += &proxy.map(|proxy| proxy.to_string()).unwrap_or_default(),
                    Err(error) => printed += &error.to_string(),
                }
            }
        }
        prop_assert!(!printed.contains("CANARY"), "{}", printed);
    }
}
