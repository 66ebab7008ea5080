//! Every fault of a server's certificate, under every choice of roots.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use loginradius_proto::{CertificateFault, ConnectFailure, Error};
use loginradius_transport::rustls::pki_types::UnixTime;
use loginradius_transport::rustls::time_provider::TimeProvider;
use loginradius_transport::rustls::{self, ALL_VERSIONS, CertificateError, ClientConfig};
use loginradius_transport::{Roots, tls_failure};
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, KeyPair, NameConstraints, SanType, date_time_ymd,
};

use crate::pki::{Authority, HOST, Identity, authority, authority_params, client, connect, roots, server_params};

const ADDRESS: &str = "192.0.2.1:443";

/// A clock that does not move.
#[derive(Debug)]
struct Clock(SystemTime);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap()))
    }
}

fn now() -> SystemTime {
    date_time_ymd(2030, 1, 1).into()
}

fn dns_name(name: &str) -> Vec<SanType> {
    vec![SanType::DnsName(name.try_into().unwrap())]
}

/// The fault that a client finds at that time.
fn fault(mut client: ClientConfig, server: &Identity) -> Option<CertificateFault> {
    client.time_provider = Arc::new(Clock(now()));
    let error = connect(client, server.server(ALL_VERSIONS)).err()?;
    let failure = tls_failure(&error, HOST, ADDRESS).unwrap_or_else(|| panic!("{error:?}"));
    assert!(failure.is_permanent() && !Error::not_connected(failure.clone()).is_transient(), "{failure:?}");
    let ConnectFailure::Certificate { host, fault } = failure else { panic!("{failure:?}") };
    assert_eq!(host, HOST);
    Some(fault)
}

fn unusable(problem: &str) -> CertificateFault {
    CertificateFault::Unusable { problem: problem.to_owned() }
}

/// A server, the fault that is found if its issuer (or itself, if it is self-signed) is a root, and the fault
/// otherwise.
type Case = (&'static str, Identity, Option<CertificateFault>, CertificateFault);

fn cases(issuer: &Authority) -> Vec<Case> {
    use CertificateFault::{Expired, NotYetValid, SelfSigned, UnknownIssuer, WrongHost};
    type Change = fn(&mut CertificateParams);
    let params = |change: Change| {
        let mut params = server_params();
        params.not_before = date_time_ymd(2029, 1, 1);
        params.not_after = date_time_ymd(2031, 1, 1);
        change(&mut params);
        params
    };
    let same: Change = |_| {};
    let past: Change = |params| params.not_after = date_time_ymd(2029, 6, 1);
    let future: Change = |params| params.not_before = date_time_ymd(2030, 6, 1);
    let of_another: Change = |params| params.subject_alt_names = dns_name("other.example.test");
    let wildcard: Change = |params| params.subject_alt_names = dns_name("*.example.test");
    let for_clients: Change = |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let of_authority: Change = |params| params.is_ca = authority_params("").is_ca;
    let issuers_name: Change = |params| params.distinguished_name = authority_params("the issuer").distinguished_name;

    let issued = |change| Identity::issued_by(issuer, &params(change));
    let self_signed = |change| Identity::self_signed(&params(change));
    let middle = Authority::signed_by(authority_params("the middle"), KeyPair::generate().unwrap(), issuer).unwrap();
    let by_the_middle = || Identity::issued_by(&middle, &params(same));

    let expired = Expired { ended: Some(date_time_ymd(2029, 6, 1).into()), clock: now() };
    let not_yet_valid = NotYetValid { begins: Some(date_time_ymd(2030, 6, 1).into()), clock: now() };
    let not_for_servers = unusable("it is not for servers");
    let authoritys = unusable("it is that of an authority (CA:TRUE) and not of a server");
    let self_signed_authoritys = unusable("it is self-signed, and that of an authority (CA:TRUE) and not of a server");
    let no_authority = unusable("its issuer is no authority (CA:FALSE)");
    let server = Authority::signed_by(params(same), KeyPair::generate().unwrap(), issuer).unwrap();
    let by_a_server = Identity::issued_by(&server, &params(same)).with_chain(&[&server]);
    let outside = unusable("its issuer may not issue certificates for that host");
    let mut limited = authority_params("the limited");
    limited.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
        excluded_subtrees: vec![],
    });
    let limited = Authority::signed_by(limited, KeyPair::generate().unwrap(), issuer).unwrap();
    let by_the_limited = Identity::issued_by(&limited, &params(same)).with_chain(&[&limited]);
    vec![
        ("good", issued(same), None, UnknownIssuer),
        ("good, by wildcard", issued(wildcard), None, UnknownIssuer),
        ("with its root", issued(same).with_chain(&[issuer]), None, UnknownIssuer),
        ("by way of another authority", by_the_middle().with_chain(&[&middle]), None, UnknownIssuer),
        ("without the one in the middle", by_the_middle(), Some(UnknownIssuer), UnknownIssuer),
        ("with its issuer's name", issued(issuers_name), None, UnknownIssuer),
        ("expired", issued(past), Some(expired.clone()), expired.clone()),
        ("not yet valid", issued(future), Some(not_yet_valid.clone()), not_yet_valid),
        ("of another host", issued(of_another), Some(WrongHost), UnknownIssuer),
        ("for clients", issued(for_clients), Some(not_for_servers.clone()), not_for_servers),
        ("of an authority", issued(of_authority), Some(authoritys.clone()), authoritys.clone()),
        ("of a server's", by_a_server, Some(no_authority.clone()), no_authority),
        ("of an authority for other hosts", by_the_limited, Some(outside), UnknownIssuer),
        ("self-signed", self_signed(same), None, SelfSigned),
        // Its line must not say to trust it: as a root, it is refused as well.
        ("self-signed, of an authority", self_signed(of_authority), Some(authoritys), self_signed_authoritys),
        ("self-signed, of another host", self_signed(of_another), Some(WrongHost), SelfSigned),
        ("self-signed, expired", self_signed(past), Some(expired.clone()), expired),
    ]
}

#[test]
fn the_fault_of_a_certificate_is_named_whatever_the_roots() {
    let issuer = authority("the issuer");
    let others = [
        ("another authority", roots(authority("another").der())),
        ("one of the issuer's name", roots(authority("the issuer").der())),
        ("this machine's", Roots::system().unwrap()),
    ];
    for (name, server, trusted, untrusted) in cases(&issuer) {
        let root = if name.starts_with("self-signed") { &server.chain[0] } else { issuer.der() };
        assert_eq!(fault(client(&roots(root)), &server), trusted, "{name}, trusted");
        for (others, roots) in &others {
            assert_eq!(fault(client(roots), &server), Some(untrusted.clone()), "{name}, {others}");
        }
    }
}

#[test]
fn a_wrong_clock_shows_in_both_times() {
    let issuer = authority("the issuer");
    let mut params = server_params();
    params.not_before = date_time_ymd(2029, 1, 1);
    params.not_after = date_time_ymd(2031, 1, 1);
    let server = Identity::issued_by(&issuer, &params);
    for (year, line) in [
        (1970, "is not valid before 01 Jan 2029 00:00 UTC, and this machine's clock says 01 Jan 1970 00:00 UTC"),
        (2050, "expired on 01 Jan 2031 00:00 UTC, and this machine's clock says 01 Jan 2050 00:00 UTC"),
    ] {
        let mut client = client(&roots(issuer.der()));
        client.time_provider = Arc::new(Clock(date_time_ymd(year, 1, 1).into()));
        let error = connect(client, server.server(ALL_VERSIONS)).unwrap_err();
        let failure = tls_failure(&error, HOST, ADDRESS).unwrap();
        assert_eq!(failure.to_string(), format!("the certificate of {HOST} {line}"));
    }
}

/// TLS settings that `client_config` did not make have other refusals.
#[test]
fn every_refusal_of_rustls_is_read() {
    use CertificateFault::{Expired, NotYetValid, Revoked, UnknownIssuer, WrongHost};
    let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let expected = HOST.try_into().unwrap();
    let named = |name| rustls::OtherError(Arc::new(std::io::Error::other(name)));
    #[rustfmt::skip]
    let cases = [
        (CertificateError::ExpiredContext { time: time(9), not_after: time(5) }, Expired { ended: Some(at(5)), clock: at(9) }),
        (CertificateError::NotValidYetContext { time: time(9), not_before: time(12) }, NotYetValid { begins: Some(at(12)), clock: at(9) }),
        (CertificateError::UnknownIssuer, UnknownIssuer),
        (CertificateError::NotValidForName, WrongHost),
        (CertificateError::NotValidForNameContext { expected, presented: vec![] }, WrongHost),
        (CertificateError::Revoked, Revoked),
        (CertificateError::BadEncoding, unusable("it cannot be read")),
        (CertificateError::BadSignature, unusable("a signature by its key or by its issuer's is not accepted")),
        (CertificateError::UnhandledCriticalExtension, unusable("it has a critical extension that is unknown here")),
        (CertificateError::UnknownRevocationStatus, unusable("whether it was revoked is not known")),
        (CertificateError::ExpiredRevocationList, unusable("whether it was revoked is not known")),
        (CertificateError::InvalidPurpose, unusable("it is not for servers")),
        (CertificateError::ApplicationVerificationFailure, unusable("rustls refuses it")),
        (CertificateError::Other(named("UnsupportedCertVersion")), unusable("it is not of version 3 of X.509, as one without extensions is")),
        (CertificateError::Other(named("PathLenConstraintViolated")), unusable("its issuer may not be below another authority")),
        (CertificateError::Other(named("UnsupportedCriticalExtension")), unusable("it has a critical extension that is unknown here")),
        (CertificateError::Other(named("of a verifier of one's own")), unusable("rustls refuses it")),
    ];
    let read = |error| match tls_failure(&rustls::Error::InvalidCertificate(error), HOST, ADDRESS) {
        Some(ConnectFailure::Certificate { fault, .. }) => fault,
        failure => panic!("{failure:?}"),
    };
    for (error, fault) in cases {
        assert_eq!(read(error.clone()), fault, "{error:?}");
    }
    // If rustls reports no time, the fault has the current one.
    let before = SystemTime::now();
    assert!(matches!(read(CertificateError::Expired), Expired { ended: None, clock } if clock >= before));
    assert!(matches!(read(CertificateError::NotValidYet), NotYetValid { begins: None, clock } if clock >= before));
}
