//! Reads the few parts of a certificate that rustls does not expose.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
/// `[0]`: its meaning depends on the field.
pub(crate) const CONTEXT_0: u8 = 0xa0;

/// One element of DER: its tag, its content, and the bytes of both.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// Takes the first element off the input; `None` if the input does not begin with a whole one.
pub(crate) fn take<'a>(input: &mut &'a [u8]) -> Option<Element<'a>> {
    let (&tag, after_tag) = input.split_first()?;
    let (&first, mut rest) = after_tag.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let (bytes, after_length) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 4 {
            return None;
        }
        length = bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
        rest = after_length;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    let (whole, _) = input.split_at_checked(input.len() - rest.len())?;
    *input = rest;
    Some(Element { tag, content, whole })
}

/// Takes the first element off the input if it has that tag, and returns its content.
pub(crate) fn take_tagged<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let mut rest = *input;
    let element = take(&mut rest).filter(|element| element.tag == tag)?;
    *input = rest;
    Some(element.content)
}

/// The issuer, the subject and the public key of a certificate, as the contents of their DER.
pub(crate) struct Names<'a> {
    pub(crate) issuer: &'a [u8],
    pub(crate) subject: &'a [u8],
    pub(crate) public_key: &'a [u8],
}

impl<'a> Names<'a> {
    /// Reads them from a certificate (RFC 5280, section 4.1).
    pub(crate) fn of(mut certificate: &'a [u8]) -> Option<Self> {
        let mut signed = take_tagged(&mut certificate, SEQUENCE)?;
        let mut fields = take_tagged(&mut signed, SEQUENCE)?;
        take_tagged(&mut fields, CONTEXT_0); // the version, if it is not 1
        take_tagged(&mut fields, INTEGER)?; // the serial number
        take_tagged(&mut fields, SEQUENCE)?; // the signature's algorithm
        let issuer = take_tagged(&mut fields, SEQUENCE)?;
        take_tagged(&mut fields, SEQUENCE)?; // the validity
        let subject = take_tagged(&mut fields, SEQUENCE)?;
        let public_key = take_tagged(&mut fields, SEQUENCE)?;
        Some(Self { issuer, subject, public_key })
    }
}
