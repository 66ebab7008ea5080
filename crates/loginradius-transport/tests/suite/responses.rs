//! Responses as they are received: their date, and the decoding of their bodies.

use std::io::Write;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use loginradius_proto::http::Response;
use loginradius_proto::{Body, Error, ErrorKind};
use loginradius_transport::receive;

const TEXT: &[u8] = br#"{"access_token":"b8cb84c9"}"#;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn response(encodings: &[&str], body: &[u8]) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_vec()));
    response.headers_mut().insert("content-length", body.len().into());
    for encoding in encodings {
        response.headers_mut().append("content-encoding", encoding.parse().unwrap());
    }
    response
}

fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
}

fn cause(result: Result<Response<Body>, Error>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    let line = error.to_string();
    let (_, cause) = line.split_once("no complete response (").unwrap();
    cause.split_once("), so the request may have taken effect").unwrap().0.to_owned()
}

#[test]
fn what_was_encoded_is_decoded() {
    let once = gzip(TEXT);
    let twice = gzip(&once);
    let members = [gzip(&TEXT[..5]), gzip(&TEXT[5..])].concat();
    let longest = vec![b' '; Body::LIMIT];
    let cases: [(&[&str], &[u8], &[u8]); 22] = [
        (&[], TEXT, TEXT),
        (&["identity"], TEXT, TEXT),
        (&[""], TEXT, TEXT),
        (&["gzip"], &once, TEXT),
        (&["GZIP"], &once, TEXT),
        (&["x-gzip"], &once, TEXT),
        (&["X-GZip"], &once, TEXT),
        (&["gzip, identity"], &once, TEXT),
        (&[" ,gzip,, "], &once, TEXT),
        (&["identity", "gzip"], &once, TEXT),
        (&["gzip"], &members, TEXT),
        (&["gzip"], &gzip(b""), b""),
        (&["gzip"], &gzip(&longest), &longest),
        (&["gzip, gzip"], &twice, TEXT),
        (&["gzip", "x-gzip"], &twice, TEXT),
        // Encoded less often than the header says, or decoded on the way.
        (&["gzip"], TEXT, TEXT),
        (&["gzip, gzip"], &once, TEXT),
        // An empty body stays empty, whatever its coding.
        (&["gzip"], b"", b""),
        (&["gzip, gzip"], b"", b""),
        (&["br"], b"", b""),
        (&["unheard-of"], b"", b""),
        (&["gzip, gzip, gzip"], b"", b""),
    ];
    for (encodings, body, expected) in cases {
        let result =
            receive(response(encodings, body), noon()).unwrap_or_else(|error| panic!("{encodings:?}: {error:?}"));
        assert_eq!(result.body().as_bytes(), expected, "{encodings:?}");
        if !encodings.is_empty() && !body.is_empty() {
            assert!(!result.headers().contains_key("content-encoding"), "{encodings:?}");
            assert!(!result.headers().contains_key("content-length"), "{encodings:?}");
        }
    }
}

#[test]
fn what_cannot_be_decoded_leaves_the_outcome_unknown() {
    let once = gzip(TEXT);
    let mut damaged = once.clone();
    damaged[once.len() - 6] ^= 1;
    let too_long = vec![b' '; Body::LIMIT + 1];
    let cases: [(&[&str], &[u8], &str); 15] = [
        (&["gzip"], &once[..once.len() - 1], "its gzip is cut off"),
        (&["gzip"], &once[..5], "its gzip is cut off"),
        (&["gzip"], &damaged, "its gzip is damaged"),
        (&["gzip"], &[&once[..], b"\0"].concat(), "its gzip is cut off"),
        (&["gzip"], &[&once[..], &once[..], &[7; 99]].concat(), "its gzip is damaged"),
        (&["gzip"], &gzip(&too_long), "it is longer than 1 MiB, and was not decoded to its end"),
        (&["gzip, gzip"], &gzip(&gzip(&too_long)), "it is longer than 1 MiB, and was not decoded to its end"),
        (&[], &too_long, "it is longer than 1 MiB"),
        (&["gzip"], &too_long, "it is longer than 1 MiB"),
        (&["gzip, gzip", "gzip"], &gzip(&gzip(&once)), "it is encoded as gzip more than twice"),
        (&["br"], TEXT, "it has the content coding br, which was not requested"),
        (&["gzip, Zstd"], &once, "it has the content coding zstd, which was not requested"),
        (&["deflate"], TEXT, "it has the content coding deflate, which was not requested"),
        (&["b8cb84c9"], TEXT, "it has an unknown content coding, which was not requested"),
        (&["gzip;q=1"], &once, "it has an unknown content coding, which was not requested"),
    ];
    for (encodings, body, expected) in cases {
        assert_eq!(cause(receive(response(encodings, body), noon())), expected, "{encodings:?}");
    }
    let mut unreadable = response(&[], TEXT);
    let value = loginradius_proto::http::HeaderValue::from_bytes(b"gzip\xff").unwrap();
    unreadable.headers_mut().insert("content-encoding", value);
    assert!(cause(receive(unreadable, noon())).contains("unknown"));
}

#[test]
fn a_response_without_a_date_gets_that_of_its_receipt() {
    let with = |date: Option<&str>, received_at| {
        let mut response = response(&[], TEXT);
        if let Some(date) = date {
            response.headers_mut().insert("date", date.parse().unwrap());
        }
        let response = receive(response, received_at).unwrap();
        response.headers().get("date").map(|date| date.to_str().unwrap().to_owned())
    };
    let received = Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
    assert_eq!(with(None, noon()), received);
    assert_eq!(with(Some("yesterday"), noon()), received);
    let own = "Wed, 28 Feb 2018 07:55:00 GMT";
    assert_eq!(with(Some(own), noon()).as_deref(), Some(own));
    // Times that no date can hold.
    let years = |count: u64| Duration::from_secs(count * 365 * 24 * 3600);
    assert_eq!(with(None, SystemTime::UNIX_EPOCH - years(1)), None);
    assert_eq!(with(None, SystemTime::UNIX_EPOCH + years(9000)), None);
}
