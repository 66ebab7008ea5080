//! Reads the certificates of a file: PEM with any text around it, or DER.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

use crate::der::{self, CONTEXT_0, INTEGER, OBJECT_IDENTIFIER, SEQUENCE};

/// One certificate of a file.
pub(crate) enum Entry {
    Certificate(CertificateDer<'static>),
    /// The file marks it as not trusted to authenticate servers.
    Distrusted,
    /// What is wrong with it, to follow "certificate 2 of 3".
    Damaged(&'static str),
}

/// Returns whether a file of PEM has a certificate that is usable. It is read no further than that.
pub(crate) fn has(file: &[u8], is_usable: impl Fn(CertificateDer<'static>) -> bool) -> bool {
    Sections::of(file).filter_map(|section| read_section(&section)).any(|entry| match entry {
        Entry::Certificate(certificate) => is_usable(certificate),
        Entry::Distrusted | Entry::Damaged(_) => false,
    })
}

/// Reads all certificates of a file. Without any, the error says what the file has instead.
pub(crate) fn read(file: &[u8]) -> Result<Vec<Entry>, &'static str> {
    if file.starts_with(&[0xff, 0xfe]) || file.starts_with(&[0xfe, 0xff]) {
        return Err("they are text in UTF-16, not in UTF-8");
    }
    let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
    let sections: Vec<_> = Sections::of(file).collect();
    if sections.is_empty() && file.first() == Some(&SEQUENCE) {
        return read_der(file).map(|entry| vec![entry]);
    }
    let entries: Vec<_> = sections.iter().filter_map(read_section).collect();
    if !entries.is_empty() {
        return Ok(entries);
    }
    Err(match sections.first() {
        Some(Section { label, .. }) if label.ends_with("PRIVATE KEY") => PRIVATE_KEY,
        Some(Section { label, .. }) if label.ends_with("CERTIFICATE REQUEST") => CERTIFICATE_REQUEST,
        Some(Section { label: "PKCS7" | "CMS", .. }) => PKCS_7,
        Some(Section { label, .. }) if label.ends_with("PUBLIC KEY") => "there is a public key and no certificate",
        Some(_) => "there is PEM of another kind and no certificate",
        None if file.trim_ascii().is_empty() => "they are empty",
        None => "they are neither PEM nor DER",
    })
}

const PRIVATE_KEY: &str = "there is a private key and no certificate";
const CERTIFICATE_REQUEST: &str = "there is a certificate request and no certificate";
const PKCS_7: &str = "they are PKCS #7";
const PKCS_12: &str = "they are PKCS #12";

/// A section of PEM (RFC 7468).
struct Section<'a> {
    label: &'a str,
    /// Its Base64, without white space.
    body: Vec<u8>,
    /// Whether its `END` line is there.
    is_whole: bool,
}

/// The sections of a file, one after the other.
struct Sections<'a> {
    rest: &'a [u8],
    open: Option<Section<'a>>,
}

impl<'a> Sections<'a> {
    fn of(file: &'a [u8]) -> Self {
        Self { rest: file, open: None }
    }
}

impl<'a> Iterator for Sections<'a> {
    type Item = Section<'a>;

    fn next(&mut self) -> Option<Section<'a>> {
        while !self.rest.is_empty() {
            let end = self.rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(self.rest.len());
            let (line, rest) = self.rest.split_at(end);
            self.rest = rest.get(1..).unwrap_or_default();
            let line = line.trim_ascii();
            if let Some(label) = label(line, "-----BEGIN ") {
                let before = self.open.replace(Section { label, body: Vec::new(), is_whole: false });
                if before.is_some() {
                    return before;
                }
            } else if let Some(end) = label(line, "-----END ") {
                if let Some(section) = self.open.take() {
                    return Some(Section { is_whole: section.label == end, ..section });
                }
            } else if let Some(section) = &mut self.open {
                for part in line.split(u8::is_ascii_whitespace) {
                    section.body.extend_from_slice(part);
                }
            }
        }
        self.open.take()
    }
}

fn label<'a>(line: &'a [u8], start: &str) -> Option<&'a str> {
    let rest = std::str::from_utf8(line.strip_prefix(start.as_bytes())?).ok()?;
    Some(rest.trim_end_matches(['-', ' ']))
}

/// Reads a section that has one of the three labels that OpenSSL takes for a certificate.
fn read_section(section: &Section<'_>) -> Option<Entry> {
    if !matches!(section.label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE") {
        return None;
    }
    if !section.is_whole {
        return Some(Entry::Damaged("has no `END` line"));
    }
    let Ok(bytes) = STANDARD.decode(&section.body) else {
        return Some(Entry::Damaged("is not Base64"));
    };
    let mut rest = bytes.as_slice();
    let Some(certificate) = der::take(&mut rest).filter(|element| element.tag == SEQUENCE) else {
        return Some(Entry::Damaged(if bytes.first() == Some(&SEQUENCE) { "is cut off" } else { "is not DER" }));
    };
    if section.label == "TRUSTED CERTIFICATE" {
        if !is_trusted_for_servers(rest) {
            return Some(Entry::Distrusted);
        }
    } else if !rest.is_empty() {
        return Some(Entry::Damaged("has bytes after its end"));
    }
    Some(Entry::Certificate(CertificateDer::from(certificate.whole.to_vec())))
}

/// Reads what OpenSSL appends to a `TRUSTED CERTIFICATE` (`X509_CERT_AUX`): the purposes for which it is trusted, and
/// those for which it is rejected. System bundles list distrusted certificates in this form.
fn is_trusted_for_servers(mut settings: &[u8]) -> bool {
    const SERVER_AUTHENTICATION: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
    const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 0x25, 0];
    let names_servers = |mut purposes: &[u8]| {
        std::iter::from_fn(|| der::take_tagged(&mut purposes, OBJECT_IDENTIFIER))
            .any(|purpose| purpose == SERVER_AUTHENTICATION || purpose == ANY_PURPOSE)
    };
    let mut fields = der::take_tagged(&mut settings, SEQUENCE).unwrap_or_default();
    let trusted = der::take_tagged(&mut fields, SEQUENCE);
    let rejected = der::take_tagged(&mut fields, CONTEXT_0);
    trusted.is_none_or(names_servers) && !rejected.is_some_and(names_servers)
}

fn read_der(file: &[u8]) -> Result<Entry, &'static str> {
    let mut rest = file;
    let Some(element) = der::take(&mut rest) else {
        return Ok(Entry::Damaged("is cut off"));
    };
    let mut fields = element.content;
    match der::take(&mut fields) {
        Some(first) if first.tag == INTEGER && first.content == [3] => Err(PKCS_12),
        Some(first) if first.tag == INTEGER => Err(PRIVATE_KEY),
        Some(first) if first.tag == OBJECT_IDENTIFIER => Err(PKCS_7),
        // A request begins with its version, the integer 0. A certificate begins with its version as `[0]`, or with its
        // serial number.
        Some(first) if first.content.starts_with(&[INTEGER, 1, 0]) => Err(CERTIFICATE_REQUEST),
        _ if !rest.is_empty() => Ok(Entry::Damaged("has bytes after its end")),
        _ => Ok(Entry::Certificate(CertificateDer::from(element.whole.to_vec()))),
    }
}
