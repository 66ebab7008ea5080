//! Why a transport could not connect, and what to do about it.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::StatusCode;

/// Why a transport could not connect ([`Error::not_connected`](crate::Error::not_connected)).
///
/// The transport supplies the texts: a host, an address with its port, a proxy without its credentials. None holds a
/// secret.
///
/// ```
/// use loginradius_proto::{CertificateFault, ConnectFailure, Error};
///
/// let fault = CertificateFault::SelfSigned;
/// let error = Error::not_connected(ConnectFailure::Certificate { host: "sso.example.com".to_owned(), fault });
/// assert_eq!(
///     error.to_string(),
///     "could not connect (the certificate of sso.example.com is self-signed), so nothing was sent: trust it as a root \
///      certificate (`SSL_CERT_FILE` or the client's settings), or check for a proxy that replaces it",
/// );
/// assert!(!error.is_transient());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The host's name was not found, or has no address.
    NameNotFound {
        /// The host's name.
        host: String,
    },
    /// The address refused the connection: nothing listens there.
    Refused {
        /// The host or address, with its port.
        address: String,
    },
    /// No route leads to the address.
    Unreachable {
        /// The host or address, with its port.
        address: String,
    },
    /// Connecting took longer than the transport's timeout.
    TimedOut {
        /// The host or address, with its port.
        address: String,
    },
    /// The connection ended before TLS was set up.
    Interrupted {
        /// The host or address, with its port.
        address: String,
    },
    /// The server's certificate was not accepted.
    Certificate {
        /// The host that the certificate has to be for.
        host: String,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// The server does not speak TLS at that port, but probably plain http.
    NotTls {
        /// The host or address, with its port.
        address: String,
    },
    /// The server and this machine could not agree on TLS.
    TlsRefused {
        /// The host or address, with its port.
        address: String,
        /// What was refused, such as `"no version of TLS in common"`.
        problem: String,
    },
    /// The proxy did not connect to the host.
    Proxy {
        /// The proxy's URL without credentials, such as `http://proxy.example.com:3128`, or words for a proxy whose URL
        /// the transport does not know.
        proxy: String,
        /// What it did instead.
        fault: ProxyFault,
    },
    /// This program has no more of what a connection needs: it cannot start a thread, or open a socket.
    OutOfResources {
        /// What it has no more of, such as `"a thread could not be started"`.
        problem: String,
    },
}

/// What is wrong with a server's certificate ([`ConnectFailure::Certificate`]).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFault {
    /// It has expired, by this machine's clock.
    Expired {
        /// When it expired, if that is known.
        ended: Option<SystemTime>,
        /// What this machine's clock said.
        clock: SystemTime,
    },
    /// It is not valid yet, by this machine's clock.
    NotYetValid {
        /// When it becomes valid, if that is known.
        begins: Option<SystemTime>,
        /// What this machine's clock said.
        clock: SystemTime,
    },
    /// It is signed with its own key, and is not a trusted root.
    SelfSigned,
    /// Its issuer is not trusted.
    UnknownIssuer,
    /// It was issued for another host.
    WrongHost,
    /// Its issuer has revoked it.
    Revoked,
    /// It was refused for any other reason.
    Unusable {
        /// What is wrong with it, such as `"it is not for servers"`.
        problem: String,
    },
}

/// What a proxy did instead of connecting ([`ConnectFailure::Proxy`]).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyFault {
    /// The transport could not connect to the proxy.
    Unconnected(Box<ConnectFailure>),
    /// It requires a user name and a password, or refused the ones in its URL. An HTTP proxy says so with a status,
    /// which should be 407.
    CredentialsRefused(Option<StatusCode>),
    /// It responded to `CONNECT` with this status.
    Responded(StatusCode),
    /// It did not connect, for this reason in the words of its protocol or of the transport.
    Refused(String),
    /// Its response is not in the protocol of its scheme.
    NotAProxy,
}

impl ConnectFailure {
    /// Returns whether every attempt fails until something is changed: a certificate, a setting, a clock.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NameNotFound { .. }
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Interrupted { .. }
            | Self::OutOfResources { .. } => false,
            Self::Certificate { .. } | Self::NotTls { .. } | Self::TlsRefused { .. } => true,
            Self::Proxy { fault, .. } => match fault {
                ProxyFault::Unconnected(failure) => failure.is_permanent(),
                ProxyFault::CredentialsRefused(_) | ProxyFault::NotAProxy => true,
                ProxyFault::Responded(_) | ProxyFault::Refused(_) => false,
            },
        }
    }

    /// Returns what to do about it.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::NameNotFound { .. } => "check the name, and this machine's DNS and network",
            Self::Refused { .. } => "check the address and the port",
            Self::Unreachable { .. } => "check the network",
            Self::TimedOut { .. } => "check the address, the network and any firewall",
            Self::Interrupted { .. } => "try again, and check for a firewall or a proxy in between",
            Self::Certificate { fault, .. } => fault.advice(),
            Self::NotTls { .. } => "correct the port, or check for a proxy in between",
            Self::TlsRefused { .. } => "check the server's TLS settings, and for a proxy in between",
            Self::Proxy { fault, .. } => match fault {
                ProxyFault::Unconnected(failure) => match **failure {
                    Self::Certificate { ref fault, .. } => fault.advice(),
                    _ => "check the proxy's scheme, address and port, or set another proxy",
                },
                ProxyFault::CredentialsRefused(_) => "put the proxy's user name and password into its URL",
                ProxyFault::Responded(_) | ProxyFault::Refused(_) => {
                    "check the host's name, the user name and password in the proxy's URL, and the proxy's rules and log"
                }
                ProxyFault::NotAProxy => "check the proxy's scheme, address and port",
            },
            Self::OutOfResources { .. } => {
                "allow this program more threads, open files and memory, or let it do less at a time"
            }
        }
    }
}

impl CertificateFault {
    fn advice(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "set this machine's clock if it is wrong, else have the certificate renewed",
            Self::NotYetValid { .. } => "set this machine's clock if it is wrong, else wait until then",
            Self::SelfSigned => {
                "trust it as a root certificate (`SSL_CERT_FILE` or the client's settings), or check for a proxy that \
                 replaces it"
            }
            Self::UnknownIssuer => {
                "trust the issuer's root certificate (`SSL_CERT_FILE` or the client's settings), or check for a proxy that \
                 replaces certificates"
            }
            Self::WrongHost => "check the base URL, or have a certificate issued for that host",
            Self::Revoked | Self::Unusable { .. } => "have the server's certificate replaced",
        }
    }
}

/// Writes the cause, as a part of a sentence.
impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameNotFound { host } => write!(f, "the name {host} could not be resolved"),
            Self::Refused { address } => write!(f, "{address} refused the connection"),
            Self::Unreachable { address } => write!(f, "{address} is unreachable"),
            Self::TimedOut { address } => write!(f, "{address} did not respond in time"),
            Self::Interrupted { address } => write!(f, "{address} ended the connection before TLS was set up"),
            Self::Certificate { host, fault } => write!(f, "the certificate of {host} {fault}"),
            Self::NotTls { address } => write!(f, "{address} does not speak TLS, but probably plain http"),
            Self::TlsRefused { address, problem } => write!(f, "TLS with {address} failed: {problem}"),
            Self::Proxy { proxy, fault } => match fault {
                ProxyFault::Unconnected(failure) => write!(f, "the proxy {proxy} cannot be reached: {failure}"),
                ProxyFault::CredentialsRefused(Some(status)) => {
                    write!(
                        f,
                        "the proxy {proxy} responded with HTTP {}: it requires valid credentials",
                        status.as_u16()
                    )
                }
                ProxyFault::CredentialsRefused(None) => write!(f, "the proxy {proxy} requires valid credentials"),
                ProxyFault::Responded(status) => {
                    write!(f, "the proxy {proxy} responded with HTTP {}", status.as_u16())
                }
                ProxyFault::Refused(words) => write!(f, "the proxy {proxy} did not connect: {words}"),
                ProxyFault::NotAProxy => write!(f, "the proxy {proxy} does not speak the protocol of its scheme"),
            },
            Self::OutOfResources { problem } => f.write_str(problem),
        }
    }
}

impl std::error::Error for ConnectFailure {}

/// Writes what is wrong, to follow "the certificate of sso.example.com".
impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { ended: Some(ended), clock } => {
                write!(f, "expired on {}, and this machine's clock says {}", Day(*ended), Day(*clock))
            }
            Self::Expired { ended: None, clock } => {
                write!(f, "has expired, and this machine's clock says {}", Day(*clock))
            }
            Self::NotYetValid { begins: Some(begins), clock } => {
                write!(f, "is not valid before {}, and this machine's clock says {}", Day(*begins), Day(*clock))
            }
            Self::NotYetValid { begins: None, clock } => {
                write!(f, "is not valid yet, and this machine's clock says {}", Day(*clock))
            }
            Self::SelfSigned => f.write_str("is self-signed"),
            Self::UnknownIssuer => f.write_str("has an issuer that is not trusted"),
            Self::WrongHost => f.write_str("is for another host"),
            Self::Revoked => f.write_str("has been revoked"),
            Self::Unusable { problem } => write!(f, "cannot be used: {problem}"),
        }
    }
}

/// Writes a time as its day and minute in UTC.
struct Day(SystemTime);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if since >= YEAR_10000 {
            return f.write_str("a time that no calendar has");
        }
        // `Thu, 01 Jan 1970 00:00:00 GMT`
        let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since);
        write!(f, "{} UTC", text.get("Thu, ".len().."Thu, 01 Jan 1970 00:00".len()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Every failure, whether it is permanent, and its line.
    fn table() -> Vec<(ConnectFailure, bool, &'static str)> {
        let host = || "sso.example.com".to_owned();
        let address = || "10.0.0.1:443".to_owned();
        let proxy = |fault| ConnectFailure::Proxy { proxy: "http://p.example:3128".to_owned(), fault };
        let certificate = |fault| ConnectFailure::Certificate { host: host(), fault };
        let (day, clock) = (at(1_767_225_600), at(2_524_608_060));
        vec![
            (ConnectFailure::NameNotFound { host: host() }, false, "(the name sso.example.com could not be resolved)"),
            (ConnectFailure::Refused { address: address() }, false, "(10.0.0.1:443 refused the connection)"),
            (ConnectFailure::Unreachable { address: address() }, false, "(10.0.0.1:443 is unreachable)"),
            (ConnectFailure::TimedOut { address: address() }, false, "(10.0.0.1:443 did not respond in time)"),
            (
                ConnectFailure::Interrupted { address: address() },
                false,
                "(10.0.0.1:443 ended the connection before TLS was set up)",
            ),
            (
                ConnectFailure::NotTls { address: address() },
                true,
                "(10.0.0.1:443 does not speak TLS, but probably plain http)",
            ),
            (
                ConnectFailure::TlsRefused { address: address(), problem: "no version in common".to_owned() },
                true,
                "(TLS with 10.0.0.1:443 failed: no version in common)",
            ),
            (
                certificate(CertificateFault::Expired { ended: Some(day), clock }),
                true,
                "expired on 01 Jan 2026 00:00 UTC, and this machine's clock says 01 Jan 2050 00:01 UTC",
            ),
            (
                certificate(CertificateFault::Expired { ended: None, clock }),
                true,
                "has expired, and this machine's clock",
            ),
            (
                certificate(CertificateFault::NotYetValid { begins: Some(day), clock: at(0) }),
                true,
                "is not valid before 01 Jan 2026 00:00 UTC, and this machine's clock says 01 Jan 1970 00:00 UTC",
            ),
            (certificate(CertificateFault::NotYetValid { begins: None, clock }), true, "is not valid yet"),
            (certificate(CertificateFault::SelfSigned), true, "is self-signed"),
            (certificate(CertificateFault::UnknownIssuer), true, "has an issuer that is not trusted"),
            (certificate(CertificateFault::WrongHost), true, "is for another host"),
            (certificate(CertificateFault::Revoked), true, "has been revoked"),
            (
                ConnectFailure::OutOfResources { problem: "a thread could not be started: limit reached".to_owned() },
                false,
                "(a thread could not be started: limit reached)",
            ),
            (
                certificate(CertificateFault::Unusable { problem: "it is not for servers".to_owned() }),
                true,
                "(the certificate of sso.example.com cannot be used: it is not for servers)",
            ),
            (
                proxy(ProxyFault::Unconnected(Box::new(ConnectFailure::Refused { address: address() }))),
                false,
                "(the proxy http://p.example:3128 cannot be reached: 10.0.0.1:443 refused the connection)",
            ),
            (
                proxy(ProxyFault::Unconnected(Box::new(certificate(CertificateFault::SelfSigned)))),
                true,
                "cannot be reached: the certificate of sso.example.com is self-signed)",
            ),
            (
                proxy(ProxyFault::CredentialsRefused(Some(StatusCode::PROXY_AUTHENTICATION_REQUIRED))),
                true,
                "(the proxy http://p.example:3128 responded with HTTP 407: it requires valid credentials)",
            ),
            (
                proxy(ProxyFault::CredentialsRefused(None)),
                true,
                "(the proxy http://p.example:3128 requires valid credentials)",
            ),
            (
                proxy(ProxyFault::Responded(StatusCode::BAD_GATEWAY)),
                false,
                "(the proxy http://p.example:3128 responded with HTTP 502)",
            ),
            (proxy(ProxyFault::Refused("host unreachable".to_owned())), false, "did not connect: host unreachable)"),
            (proxy(ProxyFault::NotAProxy), true, "does not speak the protocol of its scheme)"),
        ]
    }

    #[test]
    fn each_failure_is_one_line_with_its_cause_and_its_advice() {
        for (failure, is_permanent, cause) in table() {
            assert_eq!(failure.is_permanent(), is_permanent, "{failure}");
            let advice = failure.advice();
            for error in [
                Error::not_connected(failure.clone()),
                Error::not_connected(failure.clone()).to(&"https://sso.example.com"),
            ] {
                let line = error.to_string();
                assert!(line.starts_with("could not connect"), "{line}");
                assert!(line.contains(cause), "{line}");
                assert!(line.ends_with(&format!("), so nothing was sent: {advice}")), "{line}");
                assert_eq!((error.kind(), error.is_transient()), (ErrorKind::NotSent, !is_permanent), "{line}");
                assert_eq!(error.connect_failure(), Some(&failure));
            }
        }
    }

    #[test]
    fn any_time_can_be_written() {
        let latest = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(i64::MAX as u64)).unwrap_or(at(0));
        for time in [at(0) - Duration::from_secs(1), at(0), latest] {
            assert!(!Day(time).to_string().is_empty());
        }
    }
}
