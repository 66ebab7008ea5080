//! The head of a response, read from the connection before ureq sees it.
//!
//! ureq reads at most 128 header lines, and does not unfold them. If any crate of the program turns on its features for
//! that, it also keeps cookies and decodes bodies. So ureq gets only the lines that say where the body ends, and one
//! header more, whose value holds all lines. [`unpack`] takes it apart.

use std::mem::MaybeUninit;

use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use httparse::ParserConfig;
use zeroize::Zeroizing;

/// The most bytes of one head.
const MAX_LENGTH: usize = 256 << 10;
/// The most header lines.
const MAX_LINES: usize = 300;
/// The header whose value holds all lines.
const PACKED: HeaderName = HeaderName::from_static("loginradius-header-lines");
/// The headers that say where a body ends, and whether the connection can be kept.
const FRAMING: [HeaderName; 3] = [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION];

/// Reads the head of one response, however it arrives.
#[derive(Default)]
pub(super) struct HeadReader {
    bytes: Zeroizing<Vec<u8>>,
    /// How many bytes were already searched for the end of the head.
    searched: usize,
}

/// The head of a response as ureq is to read it, and what came after it.
pub(super) struct Head {
    pub(super) packed: Zeroizing<Vec<u8>>,
    pub(super) rest: Zeroizing<Vec<u8>>,
}

/// The error of a head that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadHead {
    #[error("the response is not HTTP")]
    NotHttp,
    #[error("the head of the response is longer than {} KiB", MAX_LENGTH >> 10)]
    TooLong,
    #[error("the response has more than {MAX_LINES} header lines")]
    TooManyLines,
}

impl HeadReader {
    /// Takes bytes as they arrive; returns the head when it is whole. Interim responses (RFC 9110, section 15.2) are
    /// skipped.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<Head>, BadHead> {
        append(&mut self.bytes, bytes);
        loop {
            // An empty line before a response does not end a head.
            let start = self.bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(self.bytes.len());
            self.remove(start);
            if !self.bytes.iter().zip(b"HTTP/1.").all(|(byte, expected)| byte == expected) {
                return Err(BadHead::NotHttp);
            }
            let Some(end) = self.end() else {
                return if self.bytes.len() > MAX_LENGTH { Err(BadHead::TooLong) } else { Ok(None) };
            };
            if end > MAX_LENGTH {
                return Err(BadHead::TooLong);
            }
            let packed = pack(self.bytes.get(..end).unwrap_or_default())?;
            self.remove(end);
            if let Some(packed) = packed {
                return Ok(Some(Head { packed, rest: std::mem::take(&mut self.bytes) }));
            }
        }
    }

    /// Returns where the head ends, after its empty line.
    fn end(&mut self) -> Option<usize> {
        let mut line_end = self.searched.saturating_sub(2);
        self.searched = self.bytes.len();
        while let Some(rest) = self.bytes.get(line_end..) {
            line_end += rest.iter().position(|byte| *byte == b'\n')? + 1;
            match self.bytes.get(line_end..)? {
                [b'\n', ..] => return Some(line_end + 1),
                [b'\r', b'\n', ..] => return Some(line_end + 2),
                _ => {}
            }
        }
        None
    }

    fn remove(&mut self, count: usize) {
        if count > 0 {
            self.bytes.copy_within(count.., 0);
            let left = self.bytes.len().saturating_sub(count);
            self.bytes.truncate(left);
            self.searched = 0;
        }
    }
}

/// Writes a head for ureq; `None` if it is an interim response.
fn pack(head: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, BadHead> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .ignore_invalid_headers_in_responses(true)
        .parse_response_with_uninit_headers(&mut response, head, &mut lines);
    match parsed {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooManyLines),
        Ok(httparse::Status::Partial) | Err(_) => return Err(BadHead::NotHttp),
    }
    let status = StatusCode::from_u16(response.code.unwrap_or_default()).map_err(|_| BadHead::NotHttp)?;
    // No request of ours asks for another protocol, so 101 is passed on as the final response, and ureq refuses it.
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(None);
    }
    // Large enough from the start. A line becomes only a few bytes longer, and a framing line is written twice.
    let mut packed = Zeroizing::new(Vec::with_capacity(2 * head.len() + 32 * response.headers.len() + 64));
    packed.extend_from_slice(if response.version == Some(0) { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    packed.extend_from_slice(status.as_str().as_bytes());
    packed.extend_from_slice(b" \r\n");
    let framing =
        |line: &&httparse::Header<'_>| FRAMING.iter().any(|name| line.name.eq_ignore_ascii_case(name.as_str()));
    for line in response.headers.iter().filter(framing) {
        packed.extend_from_slice(line.name.as_bytes());
        packed.extend_from_slice(b": ");
        packed.extend(unfolded(line.value));
        packed.extend_from_slice(b"\r\n");
    }
    packed.extend_from_slice(PACKED.as_str().as_bytes());
    packed.extend_from_slice(b": ");
    for line in response.headers.iter() {
        packed.extend_from_slice(&digits(line.name.len()));
        packed.extend_from_slice(&digits(line.value.len()));
        packed.extend_from_slice(line.name.as_bytes());
        packed.extend(unfolded(line.value));
    }
    packed.extend_from_slice(b".\r\n\r\n");
    Ok(Some(packed))
}

/// Returns the value of a folded line on one line (RFC 9112, section 5.2).
fn unfolded(value: &[u8]) -> impl Iterator<Item = u8> {
    value.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte })
}

/// Returns the headers that [`HeadReader`] packed, whatever ureq did with the others.
pub(crate) fn unpack(packed: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut rest = packed.get(PACKED).map_or(&b""[..], HeaderValue::as_bytes);
    while let Some((name, value, after)) = line(rest) {
        rest = after;
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii())) {
            headers.append(name, value);
        }
    }
    headers
}

/// Splits the first line off: its name, its value, and what follows.
fn line(packed: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name_length, rest) = packed.split_first_chunk()?;
    let (value_length, rest) = rest.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(number(*name_length)?)?;
    let (value, rest) = rest.split_at_checked(number(*value_length)?)?;
    Some((name, value, rest))
}

/// The digit 0 of a packed length, which has base 64. A header's value may contain each of the digits.
const ZERO: u8 = b'0';

/// Writes the length of a name or of a value as three digits. It is less than [`MAX_LENGTH`], which is 64³.
fn digits(length: usize) -> [u8; 3] {
    [12, 6, 0].map(|shift| ZERO + (length >> shift & 63) as u8)
}

fn number(digits: [u8; 3]) -> Option<usize> {
    digits.into_iter().try_fold(0, |number, digit| {
        let value = digit.checked_sub(ZERO).filter(|value| *value < 64)?;
        Some(number << 6 | usize::from(value))
    })
}

/// Appends bytes. If the buffer grows, it overwrites the memory that it frees.
pub(super) fn append(buffer: &mut Zeroizing<Vec<u8>>, bytes: &[u8]) {
    let length = buffer.len() + bytes.len();
    if length > buffer.capacity() {
        let mut longer = Zeroizing::new(Vec::with_capacity(length.max(2 * buffer.capacity())));
        longer.extend_from_slice(buffer);
        *buffer = longer;
    }
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packed head, and what follows it.
    type Read = (Vec<u8>, Vec<u8>);

    /// Reads a response that arrives in pieces of that length.
    fn read(response: &[u8], piece: usize) -> Result<Option<Read>, BadHead> {
        let mut reader = HeadReader::default();
        let mut pieces = response.chunks(piece);
        while let Some(bytes) = pieces.next() {
            if let Some(head) = reader.push(bytes)? {
                let rest = head.rest.iter().copied().chain(pieces.flatten().copied());
                return Ok(Some((head.packed.to_vec(), rest.collect())));
            }
        }
        Ok(None)
    }

    /// Returns the status line, the lines that ureq gets besides the packed one, and the unpacked headers.
    fn parts(packed: &[u8]) -> (String, Vec<String>, HeaderMap) {
        let text = String::from_utf8_lossy(packed).into_owned();
        let mut lines: Vec<_> = text.trim_end().split("\r\n").map(str::to_owned).collect();
        let value = lines.pop().unwrap();
        let value = value.strip_prefix(&format!("{PACKED}: ")).unwrap();
        let headers = unpack(&HeaderMap::from_iter([(PACKED, value.parse().unwrap())]));
        let status = lines.remove(0);
        (status, lines, headers)
    }

    const RESPONSE: &[u8] =
        b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nSet-Cookie: who=ada\r\nX-Folded: one\r\n two\r\n\tthree\r\n\
        Content-Encoding : gzip\r\nno header\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\nhello";

    #[test]
    fn ureq_gets_the_framing_and_the_rest_is_packed() {
        for piece in [1, 2, 3, 7, 1000] {
            let (packed, rest) = read(RESPONSE, piece).unwrap().unwrap();
            assert_eq!(rest, b"hello", "{piece}");
            let (status, lines, headers) = parts(&packed);
            assert_eq!((status.as_str(), lines), ("HTTP/1.1 200 ", vec!["Content-Length: 5".to_owned()]));
            assert_eq!(headers["x-folded"], "one   two  \tthree");
            assert_eq!(headers["content-encoding"], "gzip");
            assert_eq!(headers.get_all("x-twice").iter().collect::<Vec<_>>(), ["1", "2"]);
            assert_eq!(headers["set-cookie"], "who=ada");
        }
    }

    #[test]
    fn a_head_may_be_split_anywhere() {
        for ends in ["\r\n", "\n"] {
            let response = [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\r\n", RESPONSE].concat();
            let response = String::from_utf8(response).unwrap().replace("\r\n", ends).into_bytes();
            let (whole, _) = read(&response, response.len()).unwrap().unwrap();
            for first in 1..response.len() {
                for second in first..response.len().min(first + 5) {
                    let mut reader = HeadReader::default();
                    let mut rest = Vec::new();
                    let mut packed = None;
                    for piece in [&response[..first], &response[first..second], &response[second..]] {
                        if packed.is_some() {
                            rest.extend_from_slice(piece);
                        } else if let Some(head) = reader.push(piece).unwrap() {
                            packed = Some(head.packed.to_vec());
                            rest = head.rest.to_vec();
                        } else {
                            assert_eq!(reader.searched, reader.bytes.len(), "bytes are searched again");
                        }
                    }
                    assert_eq!((packed.as_ref(), rest.as_slice()), (Some(&whole), &b"hello"[..]), "{first} {second}");
                }
            }
        }
    }

    /// No request asks for another protocol: ureq would wait for a final response.
    #[test]
    fn an_upgrade_is_the_final_response() {
        let (packed, rest) = read(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nx", 100).unwrap().unwrap();
        assert_eq!((parts(&packed).0.as_str(), rest.as_slice()), ("HTTP/1.1 101 ", &b"x"[..]));
    }

    #[test]
    fn a_length_is_three_digits_that_may_stand_in_a_header() {
        for length in [0, 1, 63, 64, 65, 4095, 4096, MAX_LENGTH - 1] {
            let digits = digits(length);
            assert!(digits.iter().all(u8::is_ascii_graphic), "{length}: {digits:?}");
            assert_eq!(number(digits), Some(length));
        }
        for digits in [b"/00", b"0/0", b"00/", b"p00", b"0p0", b"00p", b"\xff00", b"\x0000"] {
            assert_eq!(number(*digits), None, "{digits:?}");
        }
    }

    #[test]
    fn interim_responses_and_empty_lines_are_skipped() {
        let responses = b"\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\nHTTP/1.0 404 No\n\nx";
        for piece in [1, 5, 1000] {
            let (packed, rest) = read(responses, piece).unwrap().unwrap();
            assert_eq!(parts(&packed).0, "HTTP/1.0 404 ");
            assert_eq!(rest, b"x");
        }
    }

    #[test]
    fn what_is_not_the_head_of_a_response_is_refused_at_once() {
        for bytes in
            [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"\0\x01", b"\x15\x03\x03", b"HTTP/2 200\r\n\r\n", b"<html>", b"HTTX"]
        {
            assert!(matches!(read(bytes, 1), Err(BadHead::NotHttp)), "{bytes:?}");
        }
        for bytes in [
            &b"HTTP/1.1\r\n\r\n"[..],
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1 000 OK\r\n\r\n",
        ] {
            assert!(matches!(read(bytes, 1), Err(BadHead::NotHttp)), "{bytes:?}");
        }
    }

    #[test]
    fn a_head_has_limits() {
        let lines = |count: usize| {
            let lines: String = (0..count).map(|line| format!("X-{line}: {line}\r\n")).collect();
            format!("HTTP/1.1 200 OK\r\n{lines}\r\n")
        };
        let (packed, _) = read(lines(MAX_LINES).as_bytes(), 1000).unwrap().unwrap();
        assert_eq!(parts(&packed).2.len(), MAX_LINES);
        assert!(matches!(read(lines(MAX_LINES + 1).as_bytes(), 1000), Err(BadHead::TooManyLines)));

        let long = |length: usize| [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; length]].concat();
        assert!(read(&long(MAX_LENGTH - 50), 4096).unwrap().is_none());
        assert!(matches!(read(&long(MAX_LENGTH), 4096), Err(BadHead::TooLong)));
        let whole = [long(MAX_LENGTH), b"\r\n\r\n".to_vec()].concat();
        assert!(matches!(read(&whole, whole.len()), Err(BadHead::TooLong)));
    }

    /// Otherwise a server could choose all headers with that one.
    #[test]
    fn a_servers_header_with_the_name_of_the_packed_one_is_an_ordinary_header() {
        let response = format!("HTTP/1.1 200 OK\r\n{PACKED}: 004001evil1.\r\n\r\n");
        let (packed, _) = read(response.as_bytes(), 100).unwrap().unwrap();
        let (_, lines, headers) = parts(&packed);
        assert!(lines.is_empty());
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), [PACKED.as_str()]);
    }

    #[test]
    fn what_was_not_packed_is_unpacked_as_nothing_and_without_a_panic() {
        for value in
            ["", "0", "00", "001", "001001", "001001x", "009009x", "ooo001x", "/01001xy", "0p1001xy", "001000é"]
        {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            assert!(unpack(&HeaderMap::from_iter([(PACKED, value)])).is_empty());
        }
        assert!(unpack(&HeaderMap::new()).is_empty());
    }
}
