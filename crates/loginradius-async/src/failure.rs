//! What reqwest's errors say about a request.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::iter;

use http::StatusCode;
use loginradius_proto::proxy::Proxy;
use loginradius_proto::{ConnectFailure, Error, ProxyFault};
use loginradius_transport::{handshake_failure, rustls};

use crate::resolver::NoLookup;
use crate::route::Peer;

type Cause<'e> = &'e (dyn StdError + 'static);

/// Returns the error of a request to that peer that got no response: *not sent* only if that is certain.
///
/// `is_connect` covers resolving, connecting, a proxy's refusal and the TLS handshake, timeouts of these included; the
/// request is written after that.
pub(crate) fn failure(error: reqwest::Error, peer: &Peer, proxy: Option<&Proxy>) -> Error {
    let error = error.without_url();
    let causes: Vec<_> = iter::successors(error.source(), |cause| below(*cause)).collect();
    if !error.is_connect() {
        return match lost(&error, &causes) {
            Some(CLOSED) => Error::connection_closed().with_source(error),
            Some(cause) => Error::incomplete_response(cause).with_source(error),
            None => Error::outcome_unknown(error),
        };
    }
    let failure = match proxy {
        Some(proxy) => through_proxy(&error, &causes, peer, proxy),
        None => direct(&error, &causes, peer),
    };
    match failure {
        Some(failure) => Error::not_connected(failure),
        None => Error::not_sent(error),
    }
}

/// Returns the error of a response that did not arrive whole, after its head.
pub(crate) fn broken_off(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let causes: Vec<_> = iter::successors(error.source(), |cause| below(*cause)).collect();
    match lost(&error, &causes) {
        Some(cause) => Error::incomplete_response(cause).with_source(error),
        None => Error::outcome_unknown(error),
    }
}

/// What the line says of a response that the timeout cut off.
pub(crate) const NOT_IN_TIME: &str = "it did not arrive in time";
const CLOSED: &str = "the connection was closed too early";

/// Returns what became of the response, if that is known.
fn lost(error: &reqwest::Error, causes: &[Cause<'_>]) -> Option<&'static str> {
    const NO_HTTP: &str = "the response is not HTTP";
    if error.is_timeout() {
        return Some(NOT_IN_TIME);
    }
    causes.iter().find_map(|cause| match cause.downcast_ref::<hyper::Error>() {
        // hyper has a method for that in servers alone.
        Some(error) if error.to_string().contains("head is too large") => Some("the head of the response is too long"),
        Some(error) if error.is_parse() => Some(NO_HTTP),
        Some(error) if error.is_incomplete_message() => Some(CLOSED),
        _ => match cause.downcast_ref::<io::Error>()?.kind() {
            kind if is_closed(kind) => Some(CLOSED),
            // A malformed chunk. What rustls finds is `InvalidData`.
            ErrorKind::InvalidInput => Some(NO_HTTP),
            _ => None,
        },
    })
}

fn is_closed(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

/// Returns the next cause. The `source` of an `io::Error` skips the error that it wraps.
fn below(cause: Cause<'_>) -> Option<Cause<'_>> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => cause.source(),
    }
}

fn direct(error: &reqwest::Error, causes: &[Cause<'_>], peer: &Peer) -> Option<ConnectFailure> {
    let address = peer.address();
    if let Some(problem) = lack(causes) {
        return Some(ConnectFailure::OutOfResources { problem });
    }
    if error.is_dns() {
        return Some(ConnectFailure::NameNotFound { host: peer.host.clone() });
    }
    if let Some(error) = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return Some(handshake_failure(error, &peer.host, &address));
    }
    if error.is_timeout() {
        return Some(ConnectFailure::TimedOut { address });
    }
    let kinds = causes.iter().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.into_iter().find_map(|kind| match kind {
        ErrorKind::ConnectionRefused => Some(ConnectFailure::Refused { address: address.clone() }),
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable => Some(ConnectFailure::Unreachable { address: address.clone() }),
        kind if peer.is_tls && is_closed(kind) => Some(ConnectFailure::Interrupted { address: address.clone() }),
        _ => None,
    })
}

/// Returns what the process or the machine has no more of: threads or open files.
fn lack(causes: &[Cause<'_>]) -> Option<String> {
    if let Some(error) = causes.iter().find_map(|cause| cause.downcast_ref::<NoLookup>()) {
        return Some(error.to_string());
    }
    // EMFILE and ENFILE.
    let mut errors = causes.iter().filter_map(|cause| cause.downcast_ref::<io::Error>());
    let error = errors.find(|error| cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24)))?;
    Some(format!("no socket could be opened: {error}"))
}

/// Recognizes hyper-util's errors of proxies by their texts, as their types are not public.
fn through_proxy(error: &reqwest::Error, causes: &[Cause<'_>], peer: &Peer, proxy: &Proxy) -> Option<ConnectFailure> {
    let fault = |fault| Some(ConnectFailure::Proxy { proxy: proxy.to_string(), fault });
    let refused = |words: &str| fault(ProxyFault::Refused(words.to_owned()));
    let proxy_peer = Peer::proxy(proxy);
    let unconnected = |failure| fault(ProxyFault::Unconnected(Box::new(failure)));
    for cause in causes {
        let text = cause.to_string();
        return match text.split_once(" error: ") {
            Some(("tunnel", "failed to create underlying connection")) => match direct(error, causes, &proxy_peer) {
                Some(failure) => unconnected(failure),
                None => refused("it cannot be reached"),
            },
            Some(("SOCKS", "failed to create underlying connection")) => {
                unconnected(socks_unconnected(*cause, &proxy_peer))
            }
            Some(("tunnel", "proxy authorization required")) => {
                fault(ProxyFault::CredentialsRefused(Some(StatusCode::PROXY_AUTHENTICATION_REQUIRED)))
            }
            Some((
                "SOCKS",
                "credentials not accepted"
                | "server does not support user/pass authentication"
                | "server implements authentication incorrectly",
            )) => fault(ProxyFault::CredentialsRefused(None)),
            Some(("tunnel" | "SOCKS", "proxy response headers too long" | "failed parsing server response")) => {
                fault(ProxyFault::NotAProxy)
            }
            Some(("tunnel", "unsuccessful")) => refused("it did not respond with HTTP 200"),
            Some((
                "tunnel" | "SOCKS",
                "unexpected end of file" | "io error establishing tunnel" | "io error during SOCKS handshake",
            )) => refused("it closed the connection"),
            Some(("tunnel" | "SOCKS", words)) => refused(words),
            _ => continue,
        };
    }
    match direct(error, causes, peer)? {
        // The error does not say whether the proxy or the server was silent. The connection was to the proxy.
        ConnectFailure::TimedOut { .. } => unconnected(ConnectFailure::TimedOut { address: proxy_peer.address() }),
        failure => Some(failure),
    }
}

/// Reads the cause of a SOCKS error from its `Debug`, because hyper-util leaves it out of the sources.
fn socks_unconnected(cause: Cause<'_>, proxy: &Peer) -> ConnectFailure {
    let address = proxy.address();
    let text = format!("{cause:?}");
    if text.contains("NoLookup") {
        let problem = format!("a thread could not be started for the DNS lookup of {}", proxy.host);
        ConnectFailure::OutOfResources { problem }
    } else if text.contains("code: 24,") || text.contains("code: 23,") {
        ConnectFailure::OutOfResources { problem: "no socket could be opened: too many open files".to_owned() }
    } else if text.contains("dns error") {
        ConnectFailure::NameNotFound { host: proxy.host.clone() }
    } else if text.contains("kind: ConnectionRefused") {
        ConnectFailure::Refused { address }
    } else if text.contains("TimedOut") {
        ConnectFailure::TimedOut { address }
    } else {
        ConnectFailure::Unreachable { address }
    }
}
