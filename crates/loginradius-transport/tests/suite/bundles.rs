//! Files of certificates in the forms in which people keep them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use loginradius_proto::ErrorKind;
use loginradius_transport::Roots;
use loginradius_transport::rustls::ALL_VERSIONS;
use rcgen::{CertificateParams, KeyPair};

use crate::pki::{Authority, Identity, authority, client, connect, server_params};

/// Makes PEM of any label.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// One of DER's elements, of less than 128 bytes.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
}

/// What OpenSSL writes behind a certificate: the purposes for which it is trusted, and those for which it is rejected.
fn trust(trusted: Option<&[&[u8]]>, rejected: &[&[u8]]) -> Vec<u8> {
    let list =
        |tag, purposes: &[&[u8]]| element(tag, &purposes.iter().map(|id| element(6, id)).collect::<Vec<_>>().concat());
    let trusted = trusted.map(|purposes| list(0x30, purposes)).unwrap_or_default();
    let rejected = if rejected.is_empty() { vec![] } else { list(0xa0, rejected) };
    element(0x30, &[trusted, rejected, element(0x0c, b"alias")].concat())
}

const SERVERS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const EMAIL: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 4];
const ANYTHING: &[u8] = &[0x55, 0x1d, 0x25, 0];

fn trusts(roots: &Roots, issuer: &Authority) -> bool {
    let server = Identity::issued_by(issuer, &server_params());
    connect(client(roots), server.server(ALL_VERSIONS)).is_ok()
}

#[test]
fn files_that_people_have_are_read() {
    let (a, b) = (authority("a"), authority("b"));
    let both = a.pem() + &b.pem();
    let key = KeyPair::generate().unwrap().serialize_pem();
    let trusted = |trust: Vec<u8>| pem("TRUSTED CERTIFICATE", &[a.der(), &trust[..]].concat());
    let indented: String = both.lines().map(|line| format!("    {line}  \n")).collect();
    let one_line = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", STANDARD.encode(a.der()));
    let with_text = format!("# A\nissuer=/CN=a\n{}\nBag Attributes\n  friendlyName: b\n{}the end", a.pem(), b.pem());
    let cases: [(&str, Vec<u8>, usize); 18] = [
        ("PEM", both.clone().into(), 2),
        ("PEM without a last line end", both.trim_end().into(), 2),
        ("PEM of Windows", both.replace('\n', "\r\n").into(), 2),
        ("PEM of an old Mac", both.replace('\n', "\r").into(), 2),
        ("with a byte order mark", format!("\u{feff}{both}").into(), 2),
        ("indented", indented.into(), 2),
        ("with one long line", one_line.into(), 1),
        ("with text between", with_text.into(), 2),
        ("with a first byte as DER has it", format!("0 is the first\n{both}").into(), 2),
        ("with text that is not UTF-8", [b"\xfcberschrift\n", both.as_bytes()].concat(), 2),
        ("with its private key", format!("{key}{}", a.pem()).into(), 1),
        ("the same twice", format!("{}{}", a.pem(), a.pem()).into(), 1),
        ("the label of old programs", a.pem().replace("CERTIFICATE", "X509 CERTIFICATE").into(), 1),
        ("trusted for servers", trusted(trust(Some(&[EMAIL, SERVERS]), &[])).into(), 1),
        ("trusted for anything", trusted(trust(Some(&[ANYTHING]), &[EMAIL])).into(), 1),
        ("trusted, without saying for what", trusted(trust(None, &[])).into(), 1),
        ("trusted, without a word behind it", trusted(vec![]).into(), 1),
        ("DER", a.der().to_vec(), 1),
    ];
    for (name, file, count) in cases {
        let roots = Roots::from_pem(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(format!("{roots:?}"), format!("Roots({count} certificates)"), "{name}");
        assert!(trusts(&roots, &a), "{name}");
        assert!(count == 1 || trusts(&roots, &b), "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let (a, b, c) = (authority("a"), authority("b"), authority("c"));
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap();
    let middle = |damaged: &str| [&a.pem(), damaged, &c.pem()].concat();
    let b_lines: Vec<_> = b.pem().lines().map(str::to_owned).collect();
    let without_end = b_lines[..b_lines.len() - 1].join("\n") + "\n";
    let without_a_line = [&b_lines[..2], &b_lines[3..]].concat().join("\n") + "\n";
    let two_in_one = [b.der(), c.der().as_ref()].concat();
    let mut another_tag = b.der().to_vec();
    another_tag[4] ^= 1;
    let distrusted = |trust: Vec<u8>| pem("TRUSTED CERTIFICATE", &[a.der(), &trust[..]].concat()).into_bytes();
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let pkcs_12 = element(0x30, &[element(2, &[3]), element(0x30, &element(6, &[1]))].concat());
    let pkcs_7 = element(0x30, &element(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2]));
    let not_for_servers = "no certificate in it is trusted for servers";
    let private_key = "there is a private key and no certificate";
    let request_alone = "there is a certificate request and no certificate";
    let lacks: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "they are empty"),
        (b"\n \n".to_vec(), "they are empty"),
        (b"/etc/ssl/certs/company.pem".to_vec(), "they are neither PEM nor DER"),
        ([&[0xff, 0xfe][..], &utf_16(&a.pem())].concat(), "they are text in UTF-16, not in UTF-8"),
        (key.serialize_pem().into(), private_key),
        (pem("RSA PRIVATE KEY", b"any").into(), private_key),
        (pem("ENCRYPTED PRIVATE KEY", b"any").into(), private_key),
        (key.serialize_der(), private_key),
        (key.public_key_pem().into(), "there is a public key and no certificate"),
        (request.pem().unwrap().into(), request_alone),
        (pem("NEW CERTIFICATE REQUEST", b"any").into(), request_alone),
        (request.der().to_vec(), request_alone),
        (pkcs_12, "they are PKCS #12"),
        (pem("PKCS7", b"any").into(), "they are PKCS #7"),
        (pkcs_7, "they are PKCS #7"),
        (pem("X509 CRL", b"any").into(), "there is PEM of another kind and no certificate"),
        (distrusted(trust(Some(&[]), &[])), not_for_servers),
        (distrusted(trust(Some(&[EMAIL]), &[])), not_for_servers),
        (distrusted(trust(None, &[SERVERS])), not_for_servers),
        (distrusted(trust(Some(&[SERVERS]), &[ANYTHING])), not_for_servers),
    ];
    let damages: Vec<(Vec<u8>, &str)> = vec![
        (b"-----BEGIN CERTIFICATE".to_vec(), "the certificate has no `END` line"),
        (a.der()[..100].to_vec(), "the certificate is cut off"),
        ([a.der(), &b"\n"[..]].concat(), "the certificate has bytes after its end"),
        (element(0x30, b"any"), "the certificate is damaged, or not a certificate"),
        (middle(&b.pem().replace("-----END", "!-----END")).into(), "certificate 2 of 3 has no `END` line"),
        (middle(&without_end).into(), "certificate 2 of 3 has no `END` line"),
        (middle(&without_a_line).into(), "certificate 2 of 3 is cut off"),
        (middle(&pem("CERTIFICATE", &another_tag)).into(), "certificate 2 of 3 is damaged, or not a certificate"),
        (middle(&b.pem().replacen('M', "*", 1)).into(), "certificate 2 of 3 is not Base64"),
        (middle(&pem("CERTIFICATE", &b.der()[..100])).into(), "certificate 2 of 3 is cut off"),
        (middle(&pem("CERTIFICATE", b"any")).into(), "certificate 2 of 3 is not DER"),
        (middle(&pem("CERTIFICATE", &two_in_one)).into(), "certificate 2 of 3 has bytes after its end"),
        ((a.pem() + &without_end).into(), "certificate 2 of 2 has no `END` line"),
    ];
    for (cases, advice) in [(lacks, "pass the text of certificates, as PEM"), (damages, "replace or remove it")] {
        for (file, cause) in cases {
            let error = Roots::from_pem(&file).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert_eq!(error.to_string(), format!("the root certificates cannot be read, as {cause}: {advice}"));
        }
    }
}
