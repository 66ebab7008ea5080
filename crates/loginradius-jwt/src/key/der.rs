//! Reads the two DER structures that a public key can have.

use super::material::Material;
use crate::algorithm::Curve;

// Object identifiers of RFC 3279, section 2.3, RFC 4055, section 1.2, and RFC 5480, section 2.1.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const NULL: u8 = 0x05;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// The reason why a key was not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes are not the expected structure.
    Malformed,
    /// An RSA-PSS key, which is for PS256, PS384 and PS512 only.
    Pss,
    /// An elliptic curve that no algorithm of LoginRadius uses.
    Curve,
    /// Neither an RSA nor an ECDSA key.
    Kind,
}

/// Reads a `SubjectPublicKeyInfo` (RFC 5280, section 4.1), `PUBLIC KEY` in PEM.
pub(super) fn subject_public_key_info(der: &[u8]) -> Result<Material, Fault> {
    let mut info = Reader(der).only(SEQUENCE)?;
    let mut algorithm = Reader(info.take(SEQUENCE)?);
    let key = info.take(BIT_STRING)?;
    info.end()?;
    // The first byte counts the unused bits of the last one.
    let Some((0, key)) = key.split_first() else { return Err(Fault::Malformed) };
    match algorithm.take(OBJECT_IDENTIFIER)? {
        RSA => {
            if !algorithm.0.is_empty() && !algorithm.take(NULL)?.is_empty() {
                return Err(Fault::Malformed);
            }
            algorithm.end()?;
            rsa_public_key(key)
        }
        EC => {
            let curve = match algorithm.take(OBJECT_IDENTIFIER).map_err(|_| Fault::Curve)? {
                P256 => Curve::P256,
                P384 => Curve::P384,
                P521 => Curve::P521,
                _ => return Err(Fault::Curve),
            };
            algorithm.end()?;
            Ok(Material::Ec { curve, point: key.to_vec() })
        }
        RSA_PSS => Err(Fault::Pss),
        _ => Err(Fault::Kind),
    }
}

/// Reads an `RSAPublicKey` (RFC 8017, appendix A.1.1), `RSA PUBLIC KEY` in PEM.
pub(super) fn rsa_public_key(der: &[u8]) -> Result<Material, Fault> {
    let mut key = Reader(der).only(SEQUENCE)?;
    let n = key.positive()?.to_vec();
    let e = key.positive()?.to_vec();
    key.end()?;
    Ok(Material::Rsa { n, e })
}

/// Returns whether all of the bytes are one DER sequence that begins like a key or certificate.
pub(super) fn is_key_or_certificate(der: &[u8]) -> bool {
    let begins = |tag| Reader(der).only(SEQUENCE).is_ok_and(|mut contents| contents.take(tag).is_ok());
    begins(SEQUENCE) || begins(INTEGER)
}

/// Reads DER elements. Holds the bytes that are still unread.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads the next element, which must have this tag, and returns its contents.
    fn take(&mut self, tag: u8) -> Result<&'a [u8], Fault> {
        let [found, first, rest @ ..] = self.0 else { return Err(Fault::Malformed) };
        if *found != tag {
            return Err(Fault::Malformed);
        }
        // A length below 128 is one byte. Of the longer forms, two bytes are enough for any key.
        let (len, rest) = match (first, rest) {
            (0..=0x7f, rest) => (usize::from(*first), rest),
            (0x81, [len @ 0x80..=0xff, rest @ ..]) => (usize::from(*len), rest),
            (0x82, [high @ 1..=0xff, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            _ => return Err(Fault::Malformed),
        };
        let (contents, rest) = rest.split_at_checked(len).ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(contents)
    }

    /// Reads a positive integer, and returns it without the leading zero that DER needs for the sign.
    fn positive(&mut self) -> Result<&'a [u8], Fault> {
        match self.take(INTEGER)? {
            [0, digits @ ..] if matches!(digits, [0x80..=0xff, ..]) => Ok(digits),
            digits @ [1..=0x7f, ..] => Ok(digits),
            _ => Err(Fault::Malformed),
        }
    }

    /// Reads the only element that is left, and returns a reader of its contents.
    fn only(mut self, tag: u8) -> Result<Self, Fault> {
        let contents = self.take(tag)?;
        self.end()?;
        Ok(Self(contents))
    }

    fn end(&self) -> Result<(), Fault> {
        if self.0.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
    }
}
