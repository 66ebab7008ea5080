//! Reading a callback: query, fragment, form and whole address.

use loginradius_proto::ErrorKind;
use loginradius_proto::browser::Callback;

use crate::fixtures::*;

#[test]
fn a_query_is_read_with_its_question_mark_and_without() {
    for text in ["state=s", "?state=s", "&&state=s&", "a&state=s", "?x=%zz&state=%73", "state=s&b=\u{202e}"] {
        assert_eq!(Callback::from_query(text).unwrap().state(), Some("s"), "{text}");
    }
}

#[test]
fn a_fragment_is_read_with_its_mark_and_without() {
    assert_eq!(Callback::from_fragment("#state=s").unwrap().state(), Some("s"));
    assert_eq!(Callback::from_fragment("state=s").unwrap().state(), Some("s"));
}

/// Of a whole address read as a query, the first parameter would have a wrong name: a callback without it.
#[test]
fn a_text_that_is_not_what_the_function_reads_is_refused_with_the_one_to_use() {
    const FROM_URL: &str = "use `Callback::from_url`";
    const ENCODED: &str = "is percent-encoded as a whole, so it was not read as a callback: decode it once";
    const LINE: &str = "is the first line of a request";
    let not_alone = [
        ("https://app.example/callback?code=c&state=s", FROM_URL),
        ("http://127.0.0.1:8400/callback?code=c&state=s", FROM_URL),
        ("http://[::1]:8400/callback?code=c", FROM_URL),
        ("127.0.0.1:8400/callback?code=c&state=s", FROM_URL),
        ("com.example.app:/callback?code=c&state=s", FROM_URL),
        ("https://app.example/callback", FROM_URL),
        ("/callback?code=c&state=s", FROM_URL),
        ("/callback", FROM_URL),
        ("callback?code=c&state=s", FROM_URL),
        ("/callback#code=c&state=s", FROM_URL),
        ("code=c&state=s#_=_", FROM_URL),
        ("code=c&state=s#", FROM_URL),
        ("code%3Dc%26state%3Ds", ENCODED),
        ("code%3dc%26state%3ds", ENCODED),
        ("https%3A%2F%2Fapp.example%2Fcallback%3Fcode%3Dc", ENCODED),
        ("GET /callback?code=c&state=s HTTP/1.1", LINE),
        ("GET /callback?code=c&state=s HTTP/1.1\r\n", LINE),
        ("GET http://127.0.0.1:8400/callback?code=c HTTP/1.1", LINE),
        ("POST /callback HTTP/1.0", LINE),
        ("GET /callback?code=c&state=s", LINE),
        ("code=c&state=s HTTP/1.1", LINE),
    ];
    for (text, advice) in not_alone.into_iter().chain([("??state=s", FROM_URL), ("?#state=s", FROM_URL)]) {
        refused(Callback::from_query(text), ErrorKind::InvalidResponse, advice);
        refused(Callback::from_form(text, b""), ErrorKind::InvalidResponse, advice);
        refused(Callback::from_form(text, b"code=c"), ErrorKind::InvalidResponse, advice);
    }
    for (text, advice) in not_alone.into_iter().chain([("##state=s", FROM_URL), ("?state=s", FROM_URL)]) {
        refused(Callback::from_fragment(text), ErrorKind::InvalidResponse, advice);
    }
    refused(Callback::from_query("#state=s"), ErrorKind::InvalidResponse, FROM_URL);
    for (text, advice) in [
        ("code=c&state=s", "use `Callback::from_query` or `Callback::from_fragment`"),
        ("code=4/0Ab&state=a?b", "use `Callback::from_query`"),
        ("state=s", "use `Callback::from_query`"),
        ("https%3A%2F%2Fapp.example%2Fcallback%3Fcode%3Dc", ENCODED),
        ("/callback%3Fcode%3Dc", ENCODED),
        ("code%3Dc%26state%3Ds", ENCODED),
        ("GET /callback?code=c&state=s HTTP/1.1", "which is the second word"),
        ("GET https://app.example/callback?code=c&state=s", "which is the second word"),
        ("/callback?code=c&state=s HTTP/1.1\r\n", "which is the second word"),
    ] {
        refused(Callback::from_url(text), ErrorKind::InvalidResponse, advice);
    }
}

#[test]
fn no_error_about_a_text_shows_any_of_it() {
    for text in ["https://app.example/callback?code=M4RK&state=M4RK", "M4RK#M4RK", "M4RK%3DM4RK", "GET /?code=M4RK"] {
        for error in [Callback::from_query(text), Callback::from_fragment(text), Callback::from_form(text, b"M4RK")] {
            assert!(!format!("{0} {0:?}", error.unwrap_err()).contains("M4RK"));
        }
    }
}

#[test]
fn a_query_of_any_server_is_read() {
    for text in [
        "code=4/0Ab:c&state=s",
        "state=s&iss=https://app.example/?a=b",
        "state=s&back=/callback?code=x",
        "code=a b&state=s",
        "error_description=Go to http://a.example/?x&state=s",
        "openid.mode=x&state=s",
        "urn:x=y&state=s",
        "scope=GET&state=s",
        "a%3D=b&state=s",
        "state=s&x=HTTP/1.1",
    ] {
        for callback in [Callback::from_query(text), Callback::from_fragment(text), Callback::from_form(text, b"x=y")] {
            assert_eq!(callback.unwrap().state(), Some("s"), "{text}");
        }
        for url in [format!("https://app.example/callback?{text}"), format!("com.example.app:/callback#{text}")] {
            assert_eq!(Callback::from_url(&url).unwrap().state(), Some("s"), "{url}");
        }
    }
    assert_eq!(Callback::from_query("").unwrap().state(), None);
}

/// A program in a terminal reads a whole line.
#[test]
fn an_address_may_be_pasted_with_white_space_around_it() {
    for url in [
        "https://app.example/cb?code=c&state=s\n",
        "\t127.0.0.1:8400/cb?state=s\r\n",
        " http://localhost:8400/cb?state=s ",
        "\u{a0}/cb#state=s\u{a0}",
    ] {
        assert_eq!(Callback::from_url(url).unwrap().state(), Some("s"), "{url:?}");
    }
    for query in ["code=c&state=s\n", " state=s\r\n", "\t?state=s ", "\u{a0}?state=s&a=b\u{a0}"] {
        assert_eq!(Callback::from_query(query).unwrap().state(), Some("s"), "{query:?}");
        assert_eq!(Callback::from_form(query, b"code=c").unwrap().state(), Some("s"), "{query:?}");
        assert_eq!(Callback::from_fragment(&query.replace('?', "#")).unwrap().state(), Some("s"), "{query:?}");
    }
    // White space inside is a part of the state, which is then no login's.
    assert_eq!(Callback::from_query("?state=s%0A").unwrap().state(), Some("s\n"));
}

#[test]
fn a_form_is_read_as_it_is() {
    assert_eq!(Callback::from_form("", b"state=a+b%2B").unwrap().state(), Some("a b+"));
    assert_eq!(Callback::from_form("", b"?state=s").unwrap().state(), None);
    assert_eq!(Callback::from_form("", b"").unwrap().state(), None);
    // What is no UTF-8 makes a state that no login has.
    assert_ne!(Callback::from_form("", b"state=s\xff").unwrap().state(), Some("s"));
    assert_ne!(Callback::from_form("", b"state=s%ff").unwrap().state(), Some("s"));
}

#[test]
fn an_address_is_read_in_its_query_and_its_fragment() {
    for url in [
        "https://app.example/cb?state=s",
        "https://app.example/cb#state=s",
        "/cb?state=s#",
        "/cb?#state=s",
        "/cb?code=c#state=s",
        "/cb?state=s#code=c",
        "?state=s",
        "#state=s",
    ] {
        assert_eq!(Callback::from_url(url).unwrap().state(), Some("s"), "{url}");
    }
    for url in ["", "/cb", "/cb&state=s", "https://state=s/"] {
        assert_eq!(Callback::from_url(url).unwrap().state(), None, "{url}");
    }
    // Once in each is twice.
    assert_eq!(Callback::from_url("/cb?state=s#state=s").unwrap().state(), None);
}

#[test]
fn a_callback_of_256_kib_is_read_and_a_longer_one_is_not() {
    let fitting = |length: usize| format!("state=s&x={}", "y".repeat(length - "state=s&x=".len()));
    let text = fitting(Callback::LIMIT);
    assert_eq!(text.len(), 256 * 1024);
    assert_eq!(Callback::from_query(&text).unwrap().state(), Some("s"));
    assert_eq!(Callback::from_fragment(&text).unwrap().state(), Some("s"));
    assert_eq!(Callback::from_form("", text.as_bytes()).unwrap().state(), Some("s"));
    assert_eq!(Callback::from_url(&format!("/cb?{text}")).unwrap().state(), Some("s"));
    for length in [Callback::LIMIT + 1, 1024 * 1024] {
        let text = fitting(length);
        refused(Callback::from_query(&text), ErrorKind::InvalidResponse, "longer than 256 KiB");
        refused(Callback::from_fragment(&text), ErrorKind::InvalidResponse, "longer than 256 KiB");
        refused(Callback::from_form("", text.as_bytes()), ErrorKind::InvalidResponse, "longer than 256 KiB");
        refused(Callback::from_url(&format!("/cb?{text}")), ErrorKind::InvalidResponse, "longer than 256 KiB");
        refused(Callback::from_url(&format!("/cb#{text}")), ErrorKind::InvalidResponse, "longer than 256 KiB");
    }
    let half = "y".repeat(Callback::LIMIT / 2);
    refused(Callback::from_url(&format!("/cb?{half}#{half}")), ErrorKind::InvalidResponse, "longer than 256 KiB");
}

#[test]
fn a_thousand_parameters_are_read_and_more_are_not() {
    let many = |count: usize| vec!["a=b"; count].join("&");
    Callback::from_query(&many(1000)).unwrap();
    for count in [1001, 50_000] {
        refused(Callback::from_query(&many(count)), ErrorKind::InvalidResponse, "more than 1000 parameters");
        refused(
            Callback::from_form("", many(count).as_bytes()),
            ErrorKind::InvalidResponse,
            "more than 1000 parameters",
        );
        refused(
            Callback::from_url(&format!("/cb#{}", many(count))),
            ErrorKind::InvalidResponse,
            "more than 1000 parameters",
        );
    }
    refused(Callback::from_query(&"&".repeat(1000)), ErrorKind::InvalidResponse, "more than 1000 parameters");
}

#[test]
fn names_are_told_apart_by_their_letters() {
    let (mut pending, state) = waiting(&request());
    let error = accept(&mut pending, &format!("Code=x&CODE=y&state={state}"));
    refused(error, ErrorKind::InvalidResponse, "lacks `code`");
    let (mut pending, state) = waiting(&request());
    let authorized = accept(&mut pending, &format!("Code=evil&code=c&code%00=evil&code[]=evil&state={state}")).unwrap();
    assert_eq!(credentials(authorized).code.as_deref(), Some("c"));
}

#[test]
fn a_callback_prints_nothing() {
    assert_eq!(format!("{:?} {:#?}", query("code=s3cret"), query("s3cret=1")), "Callback Callback");
}
