//! Responses that are odd, wrong or hostile, and what each is read as.

use std::error::Error as _;
use std::time::Duration;

use loginradius_proto::http::Response;
use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, DeviceGrant, RefreshAccessToken, RequestDeviceCode, RequestTokens,
    RevokeRefreshToken,
};
use loginradius_proto::{
    ApiError, Body, BodyFormat, ClientAuthentication, Dialect, Endpoint, Error, ErrorKind, IdToken, RefreshToken,
    Service, TokenSet, UserAction,
};
use loginradius_testing::{app, response, response_with, writing};

/// The response to a refresh.
fn tokens(body: &str) -> Result<TokenSet, Error> {
    RefreshAccessToken::new("my-refresh-token").response(&app(), response(200, body))
}

fn grant(members: &str) -> DeviceGrant {
    let body = format!(r#"{{"device_code":"d","user_code":"u"{members}}}"#);
    RequestDeviceCode::new()
        .response(&app(), response(200, body.as_str()))
        .unwrap_or_else(|error| panic!("{body}: {error}"))
}

fn refusal(status: u16, body: impl Into<Body>) -> Error {
    let Err(error) = RefreshAccessToken::new("my-refresh-token").response(&app(), response(status, body)) else {
        panic!("read as a success");
    };
    assert_eq!(error.http_status().map(|status| status.as_u16()), Some(status));
    error
}

fn api_error_of(status: u16, body: &str) -> ApiError {
    refusal(status, body).api_error().unwrap_or_else(|| panic!("not LoginRadius's: {body}")).clone()
}

#[track_caller]
fn invalid_response(outcome: Result<impl Sized, Error>, text: &str) {
    let Err(error) = outcome else { panic!("read as a success, not: {text}") };
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert!(error.to_string().contains(text), "{error} does not contain: {text}");
    assert!(error.api_error().is_none() && error.source().is_none());
}

/// One response given to each of the ten operations but [`RevokeRefreshToken`]'s.
fn every_error(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<Error> {
    let app = app();
    let response = || response_with(status, body, headers);
    vec![
        RequestDeviceCode::new().response(&app, response()).map(|_| ()).unwrap_err(),
        RequestTokens::new("my-device-code").response(&app, response()).map(|_| ()).unwrap_err(),
        AccessTokenByCode::new("my-code", "r").response(&app, response()).map(|_| ()).unwrap_err(),
        AccessTokenByPassword::new("u", "my-password").response(&app, response()).map(|_| ()).unwrap_err(),
        RefreshAccessToken::new("my-refresh-token").response(&app, response()).map(|_| ()).unwrap_err(),
        JwtByAccessToken::new("my-access-token").response(&app, response()).map(|_| ()).unwrap_err(),
        JwtLogin::email("e", "my-password").response(&app, response()).map(|_| ()).unwrap_err(),
    ]
}

#[test]
fn the_interval_is_read_leniently_and_is_never_below_a_second() {
    let interval = |member: &str| grant(&format!(r#","verification_uri":"https://a.example/"{member}"#)).interval;
    for (member, seconds) in [
        (r#","interval":7"#, 7),
        (r#","interval":"7""#, 7),
        (r#","interval":0"#, 1),
        (r#","interval":"0""#, 1),
        (r#","interval":-1"#, 5),
        ("", 5),
        (r#","interval":null"#, 5),
        (r#","interval":"abc""#, 5),
        (r#","interval":"""#, 5),
        (r#","interval":[7]"#, 5),
        (r#","interval":{}"#, 5),
        (r#","interval":true"#, 5),
    ] {
        assert_eq!(interval(member), Duration::from_secs(seconds), "{member}");
    }
    assert_eq!(interval(r#","interval":0.2"#), Duration::from_secs(1));
    assert_eq!(interval(r#","interval":1e30"#), Duration::MAX);
}

#[test]
fn a_lifetime_is_read_leniently_under_each_of_its_names() {
    for name in ["expires_in", "expires", "expire_in"] {
        let read = |value: &str| {
            let set = tokens(&format!(r#"{{"access_token":"a","{name}":{value}}}"#)).unwrap().expires_in;
            let uri = "https://a.example/";
            (set, grant(&format!(r#","verification_uri":"{uri}","{name}":{value}"#)).expires_in)
        };
        for (value, seconds) in [("394", 394), ("\"3600\"", 3600), ("31103985", 31_103_985), ("3.6e3", 3600)] {
            let time = Duration::from_secs(seconds);
            assert_eq!(read(value), (Some(time), time), "{name} {value}");
        }
        for over in ["0", "\"0\"", "-0", "-1", "\"-1\"", "-3600.5", "-1e30"] {
            assert_eq!(read(over), (Some(Duration::ZERO), Duration::ZERO), "{name} {over}");
        }
        assert_eq!(read("1e30"), (None, Duration::MAX), "{name}");
        let default = Duration::from_secs(1800);
        for value in ["null", "\"soon\"", "\"\"", "\"-\"", "[]", "{}", "true", "\"2018-02-28T07:55:59Z\""] {
            assert_eq!(read(value), (None, default), "{name} {value}");
        }
    }
    assert_eq!(tokens(r#"{"access_token":"a"}"#).unwrap().expires_in, None);
    let both = r#"{"access_token":"a","expires":2,"expires_in":null,"expire_in":"3"}"#;
    assert_eq!(tokens(both).unwrap().expires_in, Some(Duration::from_secs(2)));
}

#[test]
fn a_lifetime_that_is_a_date_counts_from_the_responses_own_date() {
    for name in ["expires_in", "expires", "expire_in"] {
        let read = |date: &str, value: &str| {
            let body = format!(r#"{{"access_token":"a","{name}":"{value}"}}"#);
            let response = response_with(200, body, &[("Date", date)]);
            RefreshAccessToken::new("r").response(&app(), response).unwrap().expires_in
        };
        let date = "Wed, 28 Feb 2018 07:55:00 GMT";
        assert_eq!(read(date, "2018-02-28T07:55:59.6519482Z"), Some(Duration::from_millis(59_651)));
        assert_eq!(read(date, "2018-02-28T08:56:00+01:00"), Some(Duration::from_secs(60)));
        assert_eq!(read(date, "2018-02-28T07:54:59Z"), Some(Duration::ZERO));
        assert_eq!(read("yesterday", "2018-02-28T07:55:59Z"), None);
    }
}

#[test]
fn the_verification_uri_has_two_names() {
    let uri = |members: &str| grant(members).verification_uri;
    assert_eq!(uri(r#","verification_uri":"https://a/""#), "https://a/");
    assert_eq!(uri(r#","verification_url":"https://b/""#), "https://b/");
    assert_eq!(uri(r#","verification_url":"https://b/","verification_uri":"https://a/""#), "https://a/");
    assert_eq!(uri(r#","verification_uri":null,"verification_url":"https://b/""#), "https://b/");
    assert_eq!(uri(r#","verification_uri":"","verification_url":"https://b/""#), "https://b/");
    assert_eq!(uri(r#","verification_uri":"https://a/","verification_url":7"#), "https://a/");
    let complete = grant(r#","verification_url":"https://b/","verification_url_complete":"https://b/?c""#);
    assert_eq!(complete.browser_uri(), Some("https://b/?c"));

    let without = |body: &str| RequestDeviceCode::new().response(&app(), response(200, body));
    invalid_response(without(r#"{"device_code":"d","user_code":"u"}"#), "field `verification_uri` is missing");
    invalid_response(without(r#"{"device_code":"d","verification_uri":"u"}"#), "field `user_code` is missing");
    invalid_response(
        without(r#"{"device_code":"","user_code":"u","verification_uri":"https://a/"}"#),
        "`device_code` is missing",
    );
    invalid_response(
        without(r#"{"device_code":9,"user_code":"u","verification_uri":"https://a/"}"#),
        "`device_code` is not a string",
    );
}

#[test]
fn only_a_plain_web_address_is_shown_and_opened() {
    let good = "https://good.example/";
    let read = |plain: &str, complete: &str| {
        let body = serde_json::json!({
            "device_code": "d", "user_code": "u", "verification_uri": plain, "verification_uri_complete": complete,
        });
        RequestDeviceCode::new().response(&app(), response(200, body.to_string()))
    };
    for uri in [
        "https://a.example",
        "http://127.0.0.1:80/d?e#f",
        "https://a-1.example:8443?d",
        "HTTPS://a.example/%20@",
        "https://[::1]/",
        "https://**__**/federation/device/activate.php",
    ] {
        assert_eq!(read(uri, "").unwrap().browser_uri(), Some(uri));
        assert_eq!(read(good, uri).unwrap().browser_uri(), Some(uri));
    }
    for uri in [
        "javascript:alert(1)",
        "https://",
        "https://:80/",
        "JavaScript://a.example/%0aalert(1)",
        "data:text/html,<script>",
        "file:///etc/passwd",
        "ms-msdt://x",
        "https:a.example",
        "https:/a.example",
        "//a.example",
        "a.example",
        "https://",
        "https:///path",
        "https://?a.example",
        "https://bank.example@evil.example/",
        "https://bank.example:443@evil.example",
        "https://a.example/b c",
        " https://a.example",
        "https://a.example/\n",
        "https://a.example/\u{7f}",
        "https://a.example/\u{202e}",
        "https://a.example\\@b.example",
        "https://a.example\\.b.example/",
        "https://a.example/\\b",
        "https:\\\\a.example",
        "https://ä.example",
        "-https://a.example",
        // Browsers decode these hosts and ports, normalize them, or refuse them.
        "https://a.ex%61mple/",
        "https://a.example./",
        "https://a.example^b/",
        "https://[::1/",
        "https://[a.example]/",
        "https://10.0.0.300/",
        "https://0x7f.1/",
        "https://a.example:/",
        "https://a.example:99999/",
        "https://a.example:+80/",
        "https://a.example:80:80/",
    ] {
        let problem = "is not an http or https URL that plainly shows its host";
        invalid_response(read(uri, ""), &format!("field `verification_uri` {problem}"));
        invalid_response(read(uri, good), &format!("field `verification_uri` {problem}"));
        invalid_response(read(good, uri), &format!("field `verification_uri_complete` {problem}"));
        assert_eq!(DeviceGrant::new("d", "u", uri).browser_uri(), None, "{uri:?}");
    }
}

/// Characters that control a terminal, hide something or change the direction of the text.
const INVISIBLE: &str = "\0\u{7}\u{8}\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{a0}\u{ad}\u{61c}\u{200b}\u{200c}\u{200d}\u{200e}\
                         \u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{3000}\u{feff}\u{e0041}";

#[test]
fn strings_of_a_response_with_forbidden_characters_are_refused() {
    type Read = fn(&str) -> Result<(), Error>;
    fn read<E: Endpoint>(operation: E, body: &str) -> Result<(), Error> {
        operation.response(&app(), response(200, body)).map(drop)
    }
    let token_operations: [Read; 4] = [
        |body| read(RequestTokens::new("d"), body),
        |body| read(AccessTokenByCode::new("c", "https://a.example/"), body),
        |body| read(AccessTokenByPassword::new("u", "p"), body),
        |body| read(RefreshAccessToken::new("r"), body),
    ];
    let jwt_operations: [Read; 4] = [
        |body| read(JwtByAccessToken::new("t"), body),
        |body| read(JwtLogin::email("e", "p"), body),
        |body| read(JwtLogin::phone("p", "p"), body),
        |body| read(JwtLogin::username("u", "p"), body),
    ];
    let device: [Read; 1] = [|body| read(RequestDeviceCode::new(), body)];

    // A token is of printable ASCII, a text is visible.
    let (token, text) = (false, true);
    let fields: [(&[Read], &str, bool); 11] = [
        (&token_operations, "access_token", token),
        (&token_operations, "refresh_token", token),
        (&token_operations, "id_token", token),
        (&token_operations, "Id_token", token),
        (&token_operations, "token_type", text),
        (&token_operations, "scope", text),
        (&jwt_operations, "signature", token),
        (&device, "device_code", token),
        (&device, "user_code", text),
        (&device, "verification_uri", token),
        (&device, "verification_uri_complete", token),
    ];
    for (operations, field, is_text) in fields {
        for operation in operations {
            let read = |value: String| {
                let mut body = serde_json::json!({
                    "access_token": "a", "signature": "s", "device_code": "d", "user_code": "u",
                    "verification_uri": "https://a.example/",
                });
                let start = if field.starts_with("verification") { "https://a.example/" } else { "" };
                body[field] = format!("{start}{value}").into();
                operation(&body.to_string())
            };
            read("~!a+/=._-".to_owned()).unwrap();
            for c in INVISIBLE.chars() {
                for value in [format!("{c}ab"), format!("a{c}b"), format!("ab{c}"), c.to_string()] {
                    let Err(error) = read(value.clone()) else { panic!("{field}: {value:?} was accepted") };
                    assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{field}: {value:?}");
                    let named = format!("the response's field `{}` ", field.replace('I', "i"));
                    assert!(error.to_string().contains(&named), "{field}: {error}");
                    assert!(!error.to_string().contains(c), "{field}: {error}");
                }
            }
            for visible in ["ä", "日本", "\u{1f600}", "\u{fffd}"] {
                assert_eq!(read(visible.to_owned()).is_ok(), is_text, "{field}: {visible:?}");
            }
        }
    }
}

#[test]
fn a_token_type_never_spoils_a_response() {
    let read = |member: &str| tokens(&format!(r#"{{"access_token":"a"{member}}}"#)).unwrap().token_type;
    for odd in ["access_token", "Bearer", "bearer", "DPoP", "", "\u{1f600}"] {
        assert_eq!(read(&format!(r#","token_type":"{odd}""#)).as_deref(), Some(odd));
    }
    for none in ["", r#","token_type":null"#, r#","token_type":7"#, r#","token_type":[]"#] {
        assert_eq!(read(none), None, "{none}");
    }
    assert_eq!(read(r#","token_type":"a","token_type":"b""#), None);
}

#[test]
fn an_access_token_is_needed_once_and_as_a_string() {
    for (body, text) in [
        (
            "{}",
            "the response's field `access_token` is missing: check the base URL, and if LoginRadius itself sent \
             that, report a bug in this crate",
        ),
        (r#"{"access_token":null}"#, "`access_token` is missing"),
        (r#"{"access_token":""}"#, "`access_token` is missing"),
        (r#"{"Access_Token":"a"}"#, "`access_token` is missing"),
        (r#"{"access_token":7}"#, "`access_token` is not a string"),
        (r#"{"access_token":["a"]}"#, "`access_token` is not a string"),
        (r#"{"access_token":"\ud800"}"#, "`access_token` is not a string"),
        (r#"{"access_token":"a","access_token":"a"}"#, "`access_token` occurs twice"),
        (r#"{"access_token":"a","refresh_token":"r","refresh_token":"s"}"#, "`refresh_token` occurs twice"),
    ] {
        invalid_response(tokens(body), text);
    }
    let jwt = |body: &str| JwtByAccessToken::new("t").response(&app(), response(200, body));
    invalid_response(jwt("{}"), "the response's field `signature` is missing");
    invalid_response(jwt(r#"{"signature":""}"#), "`signature` is missing");
    invalid_response(jwt(r#"{"signature":7}"#), "`signature` is not a string");
    assert_eq!(tokens(r#"{"access_token":" a~ "}"#).unwrap().access_token.expose(), " a~ ");
    assert_eq!(tokens(r#"{"x":1,"x":2,"access_token":"a"}"#).unwrap().access_token.expose(), "a");
}

#[test]
fn optional_tokens_that_are_null_or_empty_are_none() {
    let read = |members: &str| {
        let set = tokens(&format!(r#"{{"access_token":"a"{members}}}"#)).unwrap();
        (
            set.refresh_token.as_ref().map(RefreshToken::expose).map(str::to_owned),
            set.id_token.as_ref().map(IdToken::expose).map(str::to_owned),
        )
    };
    assert_eq!(read(""), (None, None));
    assert_eq!(read(r#","refresh_token":null,"id_token":null"#), (None, None));
    assert_eq!(read(r#","refresh_token":"","id_token":"""#), (None, None));
    let both = (Some("r".to_owned()), Some("i".to_owned()));
    assert_eq!(read(r#","refresh_token":"r","id_token":"i""#), both);
    assert_eq!(read(r#","refresh_token":"r","Id_token":"i""#), both);
    assert_eq!(read(r#","refresh_token":"r","id_token":null,"Id_token":"i""#), both);
    assert_eq!(read(r#","refresh_token":"r","id_token":"i","Id_token":"j""#), both);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let set = tokens("\u{feff}{\"access_token\":\"a\"}").unwrap();
    assert_eq!(set.access_token.expose(), "a");
    assert_eq!(
        api_error_of(400, "\u{feff}{\"error\":\"invalid_grant\"}").oauth_error.as_deref(),
        Some("invalid_grant")
    );
    RevokeRefreshToken::new("r").response(&app(), response(200, "\u{feff}")).unwrap();
}

#[test]
fn an_error_is_read_even_if_its_text_is_not_utf_8() {
    let latin_1 = b"{\"error\":\"invalid_grant\",\"error_description\":\"caf\xe9 ferm\xe9\"}".to_vec();
    let error = refusal(400, latin_1);
    assert_eq!(error.kind(), ErrorKind::SignInRequired);
    let description = error.api_error().unwrap().description.as_deref();
    assert_eq!(description, Some("caf\u{fffd} ferm\u{fffd}"));

    // A token must not be changed.
    invalid_response(
        RefreshAccessToken::new("r").response(&app(), response(200, b"{\"access_token\":\"a\xe9\"}".to_vec())),
        "`access_token` is not a string in UTF-8",
    );
    // What is not read may be wrong.
    let body = b"{\"access_token\":\"a\",\"given_name\":\"Ren\xe9\"}".to_vec();
    let tokens = RefreshAccessToken::new("r").response(&app(), response(200, body)).unwrap();
    assert_eq!(tokens.access_token.expose(), "a");
}

#[test]
fn the_error_body_is_read_in_any_case_of_letters() {
    for (code, message, description) in [
        ("ErrorCode", "Message", "Description"),
        ("errorCode", "message", "description"),
        ("errorcode", "MESSAGE", "description"),
        ("ERRORCODE", "message", "DESCRIPTION"),
    ] {
        let body =
            format!(r#"{{"{code}":906,"{message}":"Access token has expired","{description}":"UserAction again."}}"#);
        let error = refusal(403, body);
        assert_eq!(error.kind(), ErrorKind::SignInRequired);
        let api_error = error.api_error().unwrap();
        assert_eq!(api_error.code, Some(906));
        assert_eq!(api_error.message.as_deref(), Some("Access token has expired"));
        assert_eq!(api_error.description.as_deref(), Some("UserAction again."));
    }
    assert_eq!(api_error_of(400, r#"{"errorCode":"906"}"#).code, Some(906));

    let vector = loginradius_vectors::named("error_lr_lowercase_922").response.unwrap();
    let error = refusal(vector.status, vector.body.to_string());
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.api_error().unwrap().code, Some(922));
    let fields =
        api_error_of(400, r#"{"errorcode":1134,"errors":[{"fieldName":"city","errorMessage":"needed"}]}"#).fields;
    assert_eq!((fields[0].name.as_str(), fields[0].message.as_str()), ("city", "needed"));
}

#[test]
fn what_comes_with_an_error_is_exposed_but_never_printed() {
    let body = r#"{"ErrorCode":1194,"Message":"Privacy policy does not match",
        "Data":{"access_token":"5672adaa"},"ExtraInfo":[{"Message":"extra-4711"}],
        "ProviderErrorResponse":{"raw":"provider-4711"},"IsProviderError":true}"#;
    let error = refusal(403, body);
    let api_error = error.api_error().unwrap();
    assert_eq!(api_error.expose_data(), Some(r#"{"access_token":"5672adaa"}"#));
    assert_eq!(api_error.expose_extra_info(), Some(r#"[{"Message":"extra-4711"}]"#));
    assert_eq!(api_error.expose_provider_response(), Some(r#"{"raw":"provider-4711"}"#));
    assert!(api_error.is_provider_error);
    for printed in [format!("{error}"), format!("{error:?}"), format!("{error:#?}"), format!("{api_error:?}")] {
        assert!(!printed.contains("5672adaa") && !printed.contains("4711"), "{printed}");
    }
    let none = api_error_of(403, r#"{"ErrorCode":1194,"Data":null,"ExtraInfo":null,"ProviderErrorResponse":null}"#);
    assert!(none.expose_data().or(none.expose_extra_info()).or(none.expose_provider_response()).is_none());
}

#[test]
fn an_error_within_a_success_is_an_error() {
    for body in [
        r#"{"error":"invalid_grant"}"#,
        r#"{"ErrorCode":2010,"Message":"invalid_grant"}"#,
        r#"{"error":"invalid_grant","access_token":null}"#,
        r#"{"error":"invalid_grant","access_token":""}"#,
    ] {
        for status in [200, 201] {
            let error = refusal(status, body);
            assert_eq!(error.kind(), ErrorKind::SignInRequired, "{body}");
            assert_eq!(error.api_error().unwrap().oauth_error.as_deref(), Some("invalid_grant"));
        }
    }
    let revoked = RevokeRefreshToken::new("r").response(&app(), response(200, r#"{"error":"invalid_request"}"#));
    assert_eq!(revoked.unwrap_err().kind(), ErrorKind::Configuration);
    let jwt = JwtByAccessToken::new("t").response(&app(), response(200, r#"{"errorCode":905,"message":"token"}"#));
    assert_eq!(jwt.unwrap_err().kind(), ErrorKind::SignInRequired);
}

#[test]
fn a_token_beside_an_error_is_a_success_only_with_a_status_of_success() {
    let body = r#"{"error":"odd","ErrorCode":1,"access_token":"a"}"#;
    assert_eq!(tokens(body).unwrap().access_token.expose(), "a");
    assert_eq!(api_error_of(400, body).oauth_error.as_deref(), Some("odd"));
    invalid_response(
        RefreshAccessToken::new("r").response(&app(), response(404, r#"{"access_token":"a"}"#)),
        "HTTP 404: nothing is served at this URL: check the base URL",
    );
}

#[test]
fn the_status_of_a_revocation_counts_and_not_its_body() {
    let revoke = |status, body: &[u8]| RevokeRefreshToken::new("r").response(&app(), response(status, body.to_vec()));
    let bodies: [&[u8]; 17] = [
        b"",
        b"\r\n",
        b"{}",
        b"{} {}",
        b"{",
        b"[]",
        b"null",
        b"true",
        b"\"revoked\"",
        b"OK",
        b"<html>",
        b"<!doctype html><title>Revoked</title>",
        b"\xff",
        b"\x1f\x8b\x08",
        br#"{"IsDeleted":true}"#,
        br#"{"error":""}"#,
        br#"{"ErrorCode":0}"#,
    ];
    for body in bodies {
        for status in [200, 201, 202, 204, 206, 299] {
            revoke(status, body).unwrap_or_else(|error| panic!("{status} {body:?}: {error}"));
        }
        invalid_response(revoke(302, body), "HTTP 302: a redirect, and none is followed: check the base URL");
        invalid_response(revoke(404, body), "HTTP 404");
        assert_eq!(revoke(500, body).unwrap_err().kind(), ErrorKind::Unavailable);
    }
}

#[test]
fn the_refusal_of_a_single_revocation_is_returned_whatever_its_status() {
    let gone = r#"{"error":"invalid_request","error_description":"The access_token is invalid or expired."}"#;
    for (body, kind) in [
        (r#"{"error":"invalid_grant"}"#, ErrorKind::SignInRequired),
        (r#"{"ErrorCode":2010,"Message":"invalid_grant","Description":"invalid_grant"}"#, ErrorKind::SignInRequired),
        (r#"{"ErrorCode":1217,"Message":"The refresh token is invalid"}"#, ErrorKind::SignInRequired),
        (gone, ErrorKind::Configuration),
        (r#"{"error":"invalid_client"}"#, ErrorKind::Configuration),
        (r#"{"error":"temporarily_unavailable"}"#, ErrorKind::Unavailable),
        (r#"{"error":"unheard_of"}"#, ErrorKind::Refused),
    ] {
        for status in [200, 204, 400, 401, 403] {
            let error = RevokeRefreshToken::new("r").response(&app(), response(status, body)).unwrap_err();
            assert_eq!((error.kind(), error.api_error().is_some()), (kind, true), "{status} {body}");
        }
    }
}

#[test]
fn pages_and_scraps_at_every_status() {
    let kinds = [
        (200, ErrorKind::InvalidResponse, "check the base URL and any proxy in between"),
        (301, ErrorKind::InvalidResponse, "a redirect, and none is followed: check the base URL"),
        (307, ErrorKind::InvalidResponse, "a redirect, and none is followed: check the base URL"),
        (400, ErrorKind::InvalidResponse, "check the base URL and any proxy in between"),
        (404, ErrorKind::InvalidResponse, "nothing is served at this URL: check the base URL"),
        (405, ErrorKind::InvalidResponse, "nothing is served at this URL: check the base URL"),
        (408, ErrorKind::Unavailable, "try again later"),
        (429, ErrorKind::Unavailable, "too many requests: try again later"),
        (500, ErrorKind::Unavailable, "try again later"),
        (502, ErrorKind::Unavailable, "try again later"),
        (599, ErrorKind::Unavailable, "try again later"),
    ];
    let scraps = [
        "",
        "<html><body>Gateway</body></html>",
        "Too many requests",
        "[]",
        "null",
        "7",
        "\"text\"",
        r#"{"access_tok"#,
        r#"{"message":"no code"}"#,
        r#"{"error":{"message":"an object"}}"#,
        r#"{"error":""}"#,
    ];
    for (status, kind, text) in kinds {
        for body in scraps {
            for error in every_error(status, &[], body) {
                assert_eq!(error.kind(), kind, "{status} {body}");
                assert_eq!(error.http_status().unwrap().as_u16(), status);
                assert!(error.api_error().is_none() && error.retry_after().is_none() && error.source().is_none());
                if status != 200 || !body.starts_with('{') {
                    assert!(error.to_string().contains(&format!("HTTP {status}: ")), "{error}");
                    assert!(error.to_string().contains(text), "{error}");
                }
            }
        }
    }
}

#[test]
fn too_many_requests_with_and_without_a_wait() {
    let retry_after = |headers: &[(&str, &str)]| {
        let errors = every_error(429, headers, "Too many requests");
        assert!(errors.iter().all(|error| error.kind() == ErrorKind::Unavailable && error.api_error().is_none()));
        errors[0].retry_after()
    };
    assert_eq!(retry_after(&[("Content-Type", "text/plain")]), None);
    assert_eq!(retry_after(&[("Retry-After", "120")]), Some(Duration::from_secs(120)));
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(retry_after(&[("Retry-After", "99999999999999999999999")]), Some(day));
    assert_eq!(retry_after(&[("Retry-After", "Sun, 06 Nov 1994 08:50:07 GMT")]), None);
    let dates = [("Retry-After", "Sun, 06 Nov 1994 08:50:07 GMT"), ("Date", "Sun, 06 Nov 1994 08:49:37 GMT")];
    assert_eq!(retry_after(&dates), Some(Duration::from_secs(30)));
    for odd in ["-1", "soon", "", "1.5"] {
        assert_eq!(retry_after(&[("Retry-After", odd)]), None, "{odd}");
    }

    let body = r#"{"ErrorCode":4711,"Message":"Slow down"}"#;
    for error in every_error(429, &[("Retry-After", "7")], body) {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(error.api_error().unwrap().code, Some(4711));
    }
}

#[test]
fn a_body_over_the_limit_is_not_read() {
    let padded = |length: usize| {
        let body = r#"{"access_token":"a","signature":"s"}"#;
        body.to_owned() + &" ".repeat(length - body.len())
    };
    assert_eq!(tokens(&padded(Body::LIMIT)).unwrap().access_token.expose(), "a");
    let error = tokens(&padded(Body::LIMIT + 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(error.to_string().contains("the response is longer than 1 MiB"), "{error}");
    let revoked = RevokeRefreshToken::new("r").response(&app(), response(200, " ".repeat(Body::LIMIT + 1)));
    assert_eq!(revoked.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
}

#[test]
fn deep_json_neither_overflows_the_stack_nor_spoils_a_response() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let depth = 50_000;
        let deep = format!("{}0{}", open.repeat(depth), close.repeat(depth));
        let set = tokens(&format!(r#"{{"deep":{deep},"access_token":"a","expires_in":{deep}}}"#)).unwrap();
        assert_eq!((set.access_token.expose(), set.expires_in), ("a", None));
        invalid_response(tokens(&format!(r#"{{"access_token":{deep}}}"#)), "`access_token` is not a string");
        invalid_response(tokens(&open.repeat(depth)), "HTTP 200");
        invalid_response(tokens(&deep), "");
        RevokeRefreshToken::new("r").response(&app(), response(200, deep.as_str())).unwrap();
        let api_error =
            api_error_of(400, &format!(r#"{{"ErrorCode":1,"Errors":{deep},"Data":{deep},"Message":{deep}}}"#));
        assert!(api_error.fields.is_empty() && api_error.message.is_none());
    }
}

#[test]
fn codes_2008_to_2014_are_oauth_errors() {
    let (settings, again) = (ErrorKind::Configuration, ErrorKind::SignInRequired);
    for (code, name, kind) in [
        (2008, "invalid_request", settings),
        (2009, "invalid_client", settings),
        (2010, "invalid_grant", again),
        (2011, "unauthorized_client", settings),
        (2012, "unsupported_grant_type", settings),
        (2013, "invalid_scope", settings),
        (2014, "redirect_uri_mismatch", settings),
    ] {
        let body = format!(r#"{{"ErrorCode":{code},"Message":"{name}","Description":"{name}"}}"#);
        let error = refusal(400, body);
        let api_error = error.api_error().unwrap();
        assert_eq!(api_error.oauth_error.as_deref(), Some(name));
        assert_eq!((api_error.code, api_error.message.as_deref()), (Some(code), Some(name)));
        assert_eq!(error.kind(), kind, "{name}");
    }
    assert_eq!(api_error_of(400, r#"{"ErrorCode":2010,"Message":"Something else"}"#).oauth_error, None);
}

#[test]
fn a_code_means_something_only_with_its_text() {
    let kind = |code: i64, message: &str| {
        let body = format!(r#"{{"ErrorCode":{code},"Message":"{message}","Description":""}}"#);
        refusal(403, body).kind()
    };
    assert_eq!(kind(1198, "The password is not valid."), ErrorKind::UserActionRequired);
    assert_eq!(kind(1198, "Your account has been locked"), ErrorKind::UserActionRequired);
    assert_eq!(kind(1198, "Something new"), ErrorKind::Refused);
    assert_eq!(kind(1000, "Oops, something is going wrong, please try again."), ErrorKind::Unavailable);
    assert_eq!(kind(1000, "An error has occurred at the social identity provider"), ErrorKind::Refused);
    assert_eq!(kind(906, "Access token has expired"), ErrorKind::SignInRequired);
    assert_eq!(kind(906, "Quota"), ErrorKind::Refused);
    assert_eq!(kind(4711, "Access token has expired"), ErrorKind::Refused);
    assert_eq!(kind(i64::MAX, "?"), ErrorKind::Refused);
}

#[test]
fn the_kind_does_not_depend_on_the_secrets_of_the_request() {
    let app = app().with_client_secret("invalid");
    let body = r#"{"ErrorCode":966,"Message":"Invalid user or password"}"#;
    let error = AccessTokenByPassword::new("u", "password").response(&app, response(401, body)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UserActionRequired);
    assert_eq!(error.api_error().unwrap().message.as_deref(), Some("[redacted] user or [redacted]"));

    let body = r#"{"error":"invalid_grant","error_description":"invalid"}"#;
    let error = AccessTokenByCode::new("grant", "r").response(&app, response(400, body)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SignInRequired);
    assert_eq!(error.api_error().unwrap().oauth_error.as_deref(), Some("invalid_grant"));
    assert_eq!(error.api_error().unwrap().description.as_deref(), Some("[redacted]"));
}

#[test]
fn a_secret_is_redacted_whole_in_every_spelling() {
    let app = app().with_client_secret("abc-4711");
    let description = |password: &str, echoed: &str| {
        let body = serde_json::json!({ "error": "odd", "error_description": format!("<{echoed}>") }).to_string();
        let error = AccessTokenByPassword::new("u", password).response(&app, response(400, body)).unwrap_err();
        error.api_error().unwrap().description.clone().unwrap()
    };
    assert_eq!(description("abc-4711-42", "abc-4711-42"), "<[redacted]>");
    assert_eq!(description("abc-4711-42", "abc-4711"), "<[redacted]>");
    assert_eq!(description("abc", "abc-4711"), "<[redacted]>");
    assert_eq!(description("abc", "abd-4711"), "<abd-4711>");
    let spellings = [
        "p%1-ä q\"",
        "p%251-%c3%a4%20q%22",
        "p%251%2D%C3%A4+q%22",
        "p%1-ä q\\\"",
        "p%1-\\u00e4 q\\u0022",
        "p%1-\\u00E4\\u0020q\\\"",
        "p%1-ä q&quot;",
        "p%1-ä q&#34;",
    ];
    for echoed in spellings {
        assert_eq!(description("p%1-ä q\"", echoed), "<[redacted]>", "{echoed}");
    }
    for (secret, echoed) in [
        ("a\n\tb\u{8}\u{c}\r\\", "a\\n\\tb\\b\\f\\r\\\\"),
        ("a\\\\b", "a\\\\b"),
        ("a\\\\b", "a\\\\\\\\b"),
        ("a\u{1f600}b", "a\\ud83d\\ude00b"),
        ("<a & 'b' + \"c\">", "&lt;a &amp; &#39;b&#x27; &#43; &quot;c&QUOT;&gt;"),
    ] {
        assert_eq!(description(secret, echoed), "<[redacted]>", "{echoed}");
    }
    assert_eq!(description("xy", "xy"), "<xy>", "too short to be a secret");
}

#[test]
fn a_header_of_basic_authentication_that_is_repeated_is_redacted() {
    let service = Service::site("acme.hub.loginradius.com").unwrap();
    let dialect = Dialect::new().with_client_authentication(ClientAuthentication::Basic);
    let app = app().with_client_secret("abc-4711").with_service(service.with_dialect(dialect).unwrap());
    let operation = RefreshAccessToken::new("r");
    let header = operation.request(&app).unwrap().headers()["authorization"].to_str().unwrap().to_owned();
    let body = serde_json::json!({ "error": "odd", "error_description": format!("<{header}>") }).to_string();
    let error = operation.response(&app, response(400, body)).unwrap_err();
    assert_eq!(error.api_error().unwrap().description.as_deref(), Some("<Basic [redacted]>"));
}

#[test]
fn a_refused_form_hints_at_json() {
    let body = r#"{"ErrorCode":965,"Message":"The post body is invalid","Description":"The post body is invalid."}"#;
    let error = |format| {
        let app = writing(&app(), format);
        RefreshAccessToken::new("r").response(&app, response(400, body)).unwrap_err()
    };
    let hint = "try `Dialect::with_body_format(BodyFormat::Json)`";
    assert_eq!(error(BodyFormat::Form).kind(), ErrorKind::Configuration);
    assert!(error(BodyFormat::Form).to_string().ends_with(hint), "{}", error(BodyFormat::Form));
    assert!(!error(BodyFormat::Json).to_string().contains(hint));
}

#[test]
fn an_error_is_one_line_that_says_what_to_do() {
    let wrong_secret = r#"{"error":"unauthorized_client","error_description":"The client_secret is not valid."}"#;
    let with_secret =
        RefreshAccessToken::new("r").response(&app().with_client_secret("s3cret"), response(403, wrong_secret));
    assert_eq!(
        with_secret.unwrap_err().to_string(),
        "Refresh Access Token: LoginRadius responded with HTTP 403, unauthorized_client, \"The client_secret is not \
         valid\": check the client secret (a new secret takes up to 15 minutes to be accepted), and that the app \
         allows this kind of request",
    );
    for (body, ending) in [
        (r#"{"error":"invalid_scope"}"#, ": request only scopes that the app allows"),
        (
            r#"{"error":"invalid_client"}"#,
            ": check the client id, and set the client secret with `App::with_client_secret` unless the app is a \
             public one",
        ),
        (
            wrong_secret,
            ": set the client secret with `App::with_client_secret`, or check that the app allows this kind of login \
             without one",
        ),
        (
            r#"{"ErrorCode":923,"Message":"API secret is missing"}"#,
            ": set the client secret with `App::with_client_secret`",
        ),
        (r#"{"ErrorCode":1180,"Message":"JWT configuration not valid."}"#, ": check the app's settings"),
        (r#"{"error":"invalid_grant"}"#, ": sign in again"),
        (r#"{"ErrorCode":991,"Message":"Your account is blocked"}"#, ": an administrator has to unblock the account"),
        (
            r#"{"ErrorCode":2010,"Message":"invalid_grant","Description":"invalid_grant"}"#,
            "code 2010, invalid_grant: sign in again",
        ),
        (r#"{"error":"access_denied"}"#, ": if that was a mistake, begin a new login"),
        (r#"{"error":"temporarily_unavailable"}"#, ": try again later"),
        (r#"{"error":"new_in_2031"}"#, ": look that error up in LoginRadius's documentation"),
    ] {
        let error = refusal(400, body).to_string();
        assert!(error.ends_with(ending), "{error}");
    }
    // The invalid grant is the password here.
    let password = AccessTokenByPassword::new("u", "p").response(&app(), response(400, r#"{"error":"invalid_grant"}"#));
    let error = password.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UserActionRequired);
    assert_eq!(error.user_action(), Some(UserAction::CorrectCredentials));
    assert!(
        error
            .to_string()
            .ends_with("invalid_grant: correct the user name, the email address, the phone number or the password"),
        "{error}"
    );

    let noisy =
        format!(r#"{{"ErrorCode":1,"Message":"odd\r\n\u0000\u202e","Description":"a\nb{}"}}"#, "x".repeat(100_000));
    let error = refusal(400, noisy);
    assert_eq!(error.api_error().unwrap().message.as_deref(), Some("odd"));
    let description = error.api_error().unwrap().description.clone().unwrap();
    assert_eq!((description.chars().count(), &description[..4]), (300, "a bx"));
    assert!(!error.to_string().chars().any(|c| c.is_control() || c == '\u{202e}'), "{error:?}");
}

#[test]
fn what_no_login_needs_may_be_unreadable() {
    let tokens =
        RefreshAccessToken::new("r").response(&app(), response(200, r#"{"access_token":"a","id_token":7}"#)).unwrap();
    assert_eq!((tokens.access_token.expose(), tokens.id_token.is_none()), ("a", true));

    let body =
        r#"{"device_code":"d","user_code":"u","verification_uri":"https://e.com/","verification_uri_complete":7}"#;
    let grant = RequestDeviceCode::new().response(&app(), response(200, body)).unwrap();
    assert_eq!((grant.user_code.as_str(), grant.browser_uri()), ("u", Some("https://e.com/")));
}

#[test]
fn a_server_that_repeats_a_secret_makes_no_long_error() {
    let secret = "refresh-me";
    let echo = format!(r#"{{"error":"odd","error_description":"{}"}}"#, secret.repeat(200));
    let error = RefreshAccessToken::new(secret).response(&app(), response(400, echo)).unwrap_err().to_string();
    assert!(!error.contains(secret) && error.len() < 500, "{error}");
}

#[test]
fn a_gateway_whose_body_has_an_error_too_is_not_loginradius() {
    for error in ["Not Found", "Bad Request", "Forbidden", "Zeitüberschreitung"] {
        for status in [200, 400, 403, 404] {
            let body = format!(r#"{{"timestamp":"2026-01-01T00:00:00Z","status":404,"error":"{error}","path":"/x"}}"#);
            let refused = refusal(status, body);
            assert_eq!(
                (refused.kind(), refused.api_error().is_none()),
                (ErrorKind::InvalidResponse, true),
                "{error} {status}"
            );
        }
    }
    for code in ["invalid_grant", "incorrect_device_code", "urn:example:error", "e-1.2"] {
        let body = format!(r#"{{"error":"{code}"}}"#);
        assert_eq!(refusal(400, body).api_error().unwrap().oauth_error.as_deref(), Some(code));
    }
}

#[test]
fn an_error_says_how_long_the_server_asks_to_wait() {
    let busy = Response::builder().status(503).header("Retry-After", "60").body(Body::empty()).unwrap();
    let error = RefreshAccessToken::new("r").response(&app(), busy).unwrap_err().to_string();
    assert!(error.ends_with("; wait at least 60 s"), "{error}");
    let busy = Response::builder().status(503).header("Retry-After", "9".repeat(30)).body(Body::empty()).unwrap();
    let error = RefreshAccessToken::new("r").response(&app(), busy).unwrap_err().to_string();
    assert!(error.ends_with("; wait at least 86400 s"), "{error}");
    let error = Error::unavailable("busy", "a test").with_retry_after(Duration::MAX).to_string();
    assert!(error.ends_with("; wait for more than a year"), "{error}");
}

#[test]
fn what_to_ask_the_user_depends_on_the_code_and_its_text() {
    for (code, text, ask) in [
        (966, "Invalid user ID and/or password", Some(UserAction::CorrectCredentials)),
        (1038, "The email is not valid", Some(UserAction::CorrectCredentials)),
        (1198, "The password is not valid.", Some(UserAction::CorrectCredentials)),
        (1198, "Your account has been locked", Some(UserAction::Unlock)),
        (1198, "Something else", None),
        (991, "Your account is blocked", Some(UserAction::Unblock)),
        (970, "Email is not verified", Some(UserAction::Verify)),
        (1176, "Two factor authentication is enabled", Some(UserAction::ProvideSecondFactor)),
        (1194, "Privacy policy does not match", Some(UserAction::Other)),
        (906, "Access token has expired", None),
    ] {
        let error = refusal(403, format!(r#"{{"ErrorCode":{code},"Message":"{text}"}}"#));
        assert_eq!(error.user_action(), ask, "{code} {text}");
        assert_eq!(error.kind() == ErrorKind::UserActionRequired, ask.is_some(), "{code} {text}");
    }
}

#[test]
fn debug_is_the_line_and_its_causes_and_in_parts_if_asked_for() {
    let error = Error::not_sent("connection refused");
    assert_eq!(format!("{error:?}"), format!("{error}; because: connection refused"));
    assert!(format!("{error:#?}").contains("kind: NotSent"), "{error:#?}");
}

#[test]
fn the_scope_that_was_granted_is_returned() {
    let scope = |members: &str| tokens(&format!(r#"{{"access_token":"a"{members}}}"#)).unwrap().scope;
    assert_eq!(scope(r#","scope":"email profile""#).as_deref(), Some("email profile"));
    for none in ["", r#","scope":null"#, r#","scope":["email"]"#] {
        assert_eq!(scope(none), None, "{none}");
    }
}

#[test]
fn an_invalid_client_may_be_its_secret() {
    let body = r#"{"error":"invalid_client"}"#;
    let error =
        RefreshAccessToken::new("r").response(&app().with_client_secret("s3cret"), response(401, body)).unwrap_err();
    assert!(error.to_string().ends_with(": check the client id and the client secret"), "{error}");
}
