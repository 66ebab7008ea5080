//! Properties of requests and responses, for every input and not only for those in the other tests.

use std::collections::BTreeMap;
use std::time::Duration;

use loginradius_proto::http::{Request, Response};
use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin, LoginOptions};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::{App, Body, BodyFormat, Endpoint, Error, ErrorKind, IdToken, RefreshToken, Service};
use loginradius_testing::writing;
use percent_encoding::percent_decode_str;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

fn app() -> App {
    loginradius_testing::app().with_client_secret("my-client-secret")
}

fn response(status: u16, headers: &[(String, String)], body: &[u8]) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body.to_vec())).unwrap()
}

/// Gives that response to each of the ten operations, and checks what is true of any outcome.
fn give_to_all(status: u16, headers: &[(String, String)], body: &[u8]) -> Result<(), TestCaseError> {
    fn give<E: Endpoint>(operation: E, response: Response<Body>) -> Result<(), TestCaseError> {
        let status = response.status();
        let Err(error) = operation.response(&app(), response) else {
            prop_assert!(status.is_success());
            return Ok(());
        };
        prop_assert_eq!(error.http_status(), Some(status));
        prop_assert_eq!(error.operation(), Some(operation.name()));
        prop_assert!(!matches!(error.kind(), ErrorKind::NotSent | ErrorKind::AlreadyCompleted));
        let name = error.api_error().and_then(|api_error| api_error.oauth_error.as_deref());
        prop_assert_eq!(error.kind() == ErrorKind::Expired, name == Some("expired_token"));
        let printed = error.to_string();
        prop_assert!(printed.starts_with(operation.name()));
        prop_assert!(!printed.chars().any(char::is_control), "{:?}", printed);
        prop_assert!(printed.chars().count() < 1500, "{}", printed);
        Ok(())
    }
    let response = || response(status, headers, body);
    give(RequestDeviceCode::new(), response())?;
    give(RequestTokens::new("device-code"), response())?;
    give(AccessTokenByCode::new("code", "redirect"), response())?;
    give(AccessTokenByPassword::new("user", "password"), response())?;
    give(RefreshAccessToken::new("refresh-token"), response())?;
    give(RevokeRefreshToken::new("refresh-token"), response())?;
    give(JwtByAccessToken::new("access-token"), response())?;
    give(JwtLogin::email("email", "password"), response())?;
    give(JwtLogin::phone("phone", "password"), response())?;
    give(JwtLogin::username("username", "password"), response())
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![4 => Just(200), 2 => Just(400), 1 => 200_u16..600]
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop::sample::select(vec!["Date", "Retry-After", "Content-Type"]);
    let value = prop_oneof!["[ -~]{0,40}", "[0-9]{1,30}", "Sun, 06 Nov [0-9]{4} 08:49:37 GMT"];
    vec((name.prop_map(str::to_owned), value), 0..4)
}

/// A name that the parsers look for, or any other.
fn name() -> impl Strategy<Value = String> {
    let known = [
        "access_token",
        "refresh_token",
        "id_token",
        "Id_token",
        "token_type",
        "expires_in",
        "expires",
        "expire_in",
        "device_code",
        "user_code",
        "verification_uri",
        "verification_url",
        "verification_uri_complete",
        "interval",
        "signature",
        "error",
        "error_description",
        "ErrorCode",
        "errorcode",
        "Message",
        "Description",
        "Errors",
        "FieldName",
        "ErrorMessage",
        "Data",
        "ExtraInfo",
        "IsProviderError",
        "ProviderErrorResponse",
    ];
    prop_oneof![6 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

/// Control characters too, which `any::<String>()` leaves out.
fn any_text() -> impl Strategy<Value = String> {
    let control = (0_u8..0x20).prop_map(char::from);
    vec(prop_oneof![4 => any::<char>(), 1 => control], 0..20).prop_map(String::from_iter)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
        "-?[0-9]{1,25}(\\.[0-9]+)?(e[0-9]{1,3})?".prop_map(Value::from),
        "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](Z|[+-][0-9]{2}:[0-9]{2})".prop_map(Value::from),
        prop::sample::select(vec!["invalid_grant", "slow_down", "access_denied", ""]).prop_map(Value::from),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 64, 12, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((name(), inner), 0..12).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// An object of known names, duplicates included, written by hand.
fn object() -> impl Strategy<Value = String> {
    vec((name(), json()), 0..12).prop_map(|members| {
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
        format!("{{{}}}", members.join(","))
    })
}

fn documented() -> Vec<(u16, Vec<u8>)> {
    loginradius_vectors::all()
        .into_iter()
        .filter_map(|vector| vector.response)
        .map(|response| match response.body {
            Value::String(text) => (response.status, text.into_bytes()),
            body => (response.status, body.to_string().into_bytes()),
        })
        .collect()
}

#[derive(Debug, Clone)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Cut(prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    use prop::sample::Index;
    let token = prop::sample::select(vec!["\"", "{", "}", ",", ":", "null", "-1", "1e999", "\\u0000", "\\ud800", "\n"]);
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        any::<Index>().prop_map(Mutation::Remove),
        (any::<Index>(), token).prop_map(|(at, text)| Mutation::Insert(at, text.into())),
        any::<Index>().prop_map(Mutation::Cut),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match mutation {
        Mutation::Set(at, byte) => bytes[at.index(length)] = *byte,
        Mutation::Remove(at) => drop(bytes.remove(at.index(length))),
        Mutation::Insert(at, text) => drop(bytes.splice(at.index(length)..at.index(length), text.clone())),
        Mutation::Cut(at) => bytes.truncate(at.index(length)),
        Mutation::Repeat(a, b) => {
            let (a, b) = (a.index(length), b.index(length));
            bytes.extend_from_within(a.min(b)..a.max(b));
        }
    }
}

/// A token set as JSON, and its values.
#[derive(Debug)]
struct Written {
    json: String,
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<Duration>,
    refresh_token: Option<String>,
    id_token: Option<String>,
}

prop_compose! {
    fn written()(
        access_token in "[ -~]{1,20}",
        token_type in prop::option::of("[ -~äß€😀]{0,20}"),
        lifetime in prop::option::of(0_u64..1 << 40),
        lifetime_name in prop::sample::select(vec!["expires_in", "expires", "expire_in"]),
        lifetime_is_text in any::<bool>(),
        refresh_token in prop::option::of("[ -~]{0,20}"),
        id_token in prop::option::of("[ -~]{0,20}"),
        id_token_name in prop::sample::select(vec!["id_token", "Id_token"]),
        null_for_none in any::<bool>(),
        extra in vec(("x_[a-z]{1,8}", json()), 0..6),
        space in "[ \t\r\n]{0,3}",
    )(
        members in Just({
            let mut members: Vec<(String, Value)> = extra;
            let mut add = |name: &str, value: Option<Value>| match value {
                Some(value) => members.push((name.to_owned(), value)),
                None if null_for_none => members.push((name.to_owned(), Value::Null)),
                None => {}
            };
            add("access_token", Some(access_token.clone().into()));
            add("token_type", token_type.clone().map(Value::from));
            add("refresh_token", refresh_token.clone().map(Value::from));
            add(id_token_name, id_token.clone().map(Value::from));
            let text = |seconds: u64| Value::from(seconds.to_string());
            add(lifetime_name, lifetime.map(|time| if lifetime_is_text { text(time) } else { time.into() }));
            members
        }).prop_shuffle(),
        access_token in Just(access_token),
        token_type in Just(token_type),
        lifetime in Just(lifetime),
        refresh_token in Just(refresh_token),
        id_token in Just(id_token),
        space in Just(space),
    ) -> Written {
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("{space}{}{space}:{space}{value}{space}", Value::from(name.as_str())))
            .collect();
        Written {
            json: format!("{space}{{{}}}{space}", members.join(",")),
            access_token,
            token_type,
            expires_in: lifetime.map(Duration::from_secs),
            refresh_token: refresh_token.filter(|token| !token.is_empty()),
            id_token: id_token.filter(|token| !token.is_empty()),
        }
    }
}

/// A setting of an app: all of it can be seen, and there is no space around it.
fn setting() -> impl Strategy<Value = String> {
    "[!-~äß€日本😀]([ -~äß€日本😀]{0,30}[!-~äß€日本😀])?"
}

/// Any text without control characters that is not empty.
fn text() -> impl Strategy<Value = String> {
    let any_character = any::<char>().prop_filter("no control character", |c| !c.is_control());
    let awkward = prop::sample::select("&=+% ;/?#\"\\'<>[]{}.~äß€😀".chars().collect::<Vec<_>>());
    vec(prop_oneof![any_character, awkward], 1..40).prop_map(String::from_iter)
}

fn members(request: Result<Request<Body>, Error>) -> BTreeMap<String, String> {
    let request = request.unwrap();
    let body = request.body().as_bytes();
    match request.headers()["content-type"].to_str().unwrap() {
        "application/json" => serde_json::from_slice(body).unwrap(),
        _ => {
            assert!(body.is_ascii());
            serde_urlencoded::from_bytes::<Vec<_>>(body).unwrap().into_iter().collect()
        }
    }
}

fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_response_or_an_error(
        status in status(),
        headers in headers(),
        body in vec(any::<u8>(), 0..600),
    ) {
        give_to_all(status, &headers, &body)?;
    }

    #[test]
    fn any_json_is_a_response_or_an_error(status in status(), headers in headers(), body in json()) {
        give_to_all(status, &headers, body.to_string().as_bytes())?;
    }

    #[test]
    fn any_object_of_known_names_is_a_response_or_an_error(
        status in status(),
        headers in headers(),
        body in object(),
    ) {
        give_to_all(status, &headers, body.as_bytes())?;
    }

    #[test]
    fn any_documented_response_may_be_damaged(
        headers in headers(),
        (status, mut body) in prop::sample::select(documented()),
        mutations in vec(mutation(), 1..6),
    ) {
        for mutation in &mutations {
            mutate(&mut body, mutation);
        }
        give_to_all(status, &headers, &body)?;
    }

    #[test]
    fn any_token_set_is_read_as_it_was_written(written in written()) {
        let response = response(200, &[], written.json.as_bytes());
        let tokens = RefreshAccessToken::new("r").response(&app(), response).unwrap();
        prop_assert_eq!(tokens.access_token.expose(), &written.access_token);
        prop_assert_eq!(tokens.token_type, written.token_type);
        prop_assert_eq!(tokens.expires_in, written.expires_in);
        prop_assert_eq!(tokens.refresh_token.as_ref().map(RefreshToken::expose), written.refresh_token.as_deref());
        prop_assert_eq!(tokens.id_token.as_ref().map(IdToken::expose), written.id_token.as_deref());
    }

    #[test]
    fn any_parameters_arrive(
        format in prop::sample::select(vec![BodyFormat::Form, BodyFormat::Json]),
        (id, secret, user, password) in (setting(), setting(), text(), text()),
        (code, uri, verifier, scope) in (text(), text(), text(), text()),
    ) {
        let app = writing(&App::new(&*id).with_client_secret(&*secret), format);
        let request = AccessTokenByPassword::new(&*user, &*password).scope(&*scope).request(&app);
        prop_assert_eq!(members(request), map([
            ("client_id", &id),
            ("client_secret", &secret),
            ("grant_type", "password"),
            ("username", &user),
            ("password", &password),
            ("scope", &scope),
        ]));
        let request = AccessTokenByCode::new(&*code, &*uri).code_verifier(&*verifier).request(&app);
        prop_assert_eq!(members(request), map([
            ("client_id", &id),
            ("client_secret", &secret),
            ("redirect_uri", &uri),
            ("response_type", "token"),
            ("code", &code),
            ("code_verifier", &verifier),
        ]));
        let request = RefreshAccessToken::new(&*code).request(&app);
        prop_assert_eq!(members(request), map([
            ("client_id", &id),
            ("client_secret", &secret),
            ("grant_type", "refresh_token"),
            ("refresh_token", &code),
        ]));
    }

    #[test]
    fn any_query_arrives(key in setting(), jwt_app in setting(), token in text(), url in text()) {
        let app = App::new(&*key).with_jwt_app(&*jwt_app);
        let query = |request: Request<Body>| {
            serde_urlencoded::from_str::<Vec<(String, String)>>(request.uri().query().unwrap()).unwrap()
        };
        let sent = query(JwtByAccessToken::new(&*token).request(&app).unwrap());
        let expected = map([("apikey", &key), ("jwtapp", &jwt_app), ("access_token", &token)]);
        prop_assert_eq!((sent.len(), sent.into_iter().collect::<BTreeMap<_, _>>()), (3, expected));
        let options = LoginOptions::new().verification_url(&*url);
        let sent = query(JwtLogin::email("e", "p").options(options).request(&app).unwrap());
        let expected = map([("apikey", &key), ("jwtapp", &jwt_app), ("verificationurl", &url)]);
        prop_assert_eq!((sent.len(), sent.into_iter().collect::<BTreeMap<_, _>>()), (3, expected));
    }

    #[test]
    fn any_control_character_is_refused(before in ".{0,5}", control in "\\p{Cc}", after in ".{0,5}") {
        let bad = format!("{before}{control}{after}");
        let error = RefreshAccessToken::new(&*bad).request(&app()).unwrap_err();
        prop_assert_eq!(error.kind(), ErrorKind::Configuration);
        let error = RequestDeviceCode::new().request(&app().with_oauth_app(&*bad)).unwrap_err();
        prop_assert_eq!(error.kind(), ErrorKind::Configuration);
    }

    #[test]
    fn any_name_of_an_app_is_one_segment(name in setting()) {
        prop_assume!(name != "." && name != "..");
        let app = App::new("id").with_oauth_app(&*name).with_jwt_app(&*name);
        let at_site = app.clone().with_service(Service::site("acme.hub.loginradius.com").unwrap());
        for (request, before, after) in [
            (RequestDeviceCode::new().request(&app), "/sso/oauth/", "/device"),
            (RequestTokens::new("d").request(&app), "/sso/oauth/", "/access_token"),
            (RequestDeviceCode::new().request(&at_site), "/api/oauth/", "/device"),
            (RefreshAccessToken::new("r").request(&at_site), "/api/oauth/", "/token"),
            (RevokeRefreshToken::new("r").request(&at_site), "/api/oauth/", "/revoke"),
            (JwtByAccessToken::new("t").request(&at_site), "/api/jwt/", "/token"),
            (JwtLogin::username("u", "p").request(&at_site), "/api/jwt/", "/login"),
        ] {
            let uri = request.unwrap().uri().clone();
            let segment = uri.path().strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).unwrap();
            prop_assert!(!segment.contains('/'));
            prop_assert_eq!(percent_decode_str(segment).decode_utf8().unwrap(), name.as_str());
        }
    }
}
