//! Reading a callback: query, fragment, form and whole address.

use loginradius_proto::ErrorKind;
use loginradius_proto::browser::Callback;

use crate::fixtures::*;

#[test]
fn a_query_is_read_with_its_question_mark_and_without() {
    for text in ["state=s", "?state=s", "&&state=s&", "a&state=s", "?x=%zz&state=%73", "state=s&b=\u{202e}"] {
        assert_eq!(Callback::from_query(text).unwrap().state(), Some("s"), "{text}");
    }
    // One mark alone.
    assert_eq!(Callback::from_query("??state=s").unwrap().state(), None);
    assert_eq!(Callback::from_query("#state=s").unwrap().state(), None);
}

#[test]
fn a_fragment_is_read_with_its_mark_and_without() {
    assert_eq!(Callback::from_fragment("#state=s").unwrap().state(), Some("s"));
    assert_eq!(Callback::from_fragment("state=s").unwrap().state(), Some("s"));
    assert_eq!(Callback::from_fragment("##state=s").unwrap().state(), None);
    assert_eq!(Callback::from_fragment("?state=s").unwrap().state(), None);
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
    for url in ["", "state=s", "/cb&state=s", "https://state=s/"] {
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
