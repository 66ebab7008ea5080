//! Logins in a browser that yield a JWT.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loginradius_emulator::{Api, AuthorizeError, Emulator, Fault, Operation, ResponseMode, seeded};
use serde_json::Value;

use crate::authorize::{APIS, CALLBACK, authorize, protected};
use crate::browser::Browser;
use crate::http::get;

/// Returns the parameter that has the redirect URI.
pub(crate) fn address(api: Api) -> &'static str {
    match api {
        Api::Classic => "return_url",
        _ => "redirect_uri",
    }
}

/// Returns path and query of a link. These parameters replace the usual ones; an empty one is left out.
pub(crate) fn link(api: Api, app: &str, params: &[(&str, &str)]) -> String {
    let (path, mut all) = match api {
        Api::Classic => ("/sso/jwt/redirect/token".to_owned(), vec![("apikey", seeded::CLIENT_ID), ("jwtapp", app)]),
        _ => (format!("/service/jwt/{app}/authorize"), vec![("client_id", seeded::CLIENT_ID)]),
    };
    all.push((address(api), CALLBACK));
    all.retain(|(name, _)| !params.iter().any(|(other, _)| other == name));
    all.extend(params.iter().filter(|(_, value)| !value.is_empty()));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
    format!("{path}?{query}")
}

fn started() -> Emulator {
    Emulator::builder().manual_clock().start().unwrap()
}

fn claims(jwt: &str) -> Value {
    let claims = jwt.split('.').nth(1).expect("claims");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[test]
fn the_user_signs_in_and_the_application_gets_a_jwt() {
    for api in APIS {
        let emulator = started();
        let mut browser = Browser::open(&emulator, &link(api, seeded::JWT_APP, &[("nonce", "n-0 S6&")]));
        assert!(browser.page.body.contains(seeded::JWT_APP));
        protected(&browser.page, "form-action 'self' http:");
        browser.sign_in(seeded::ADA.email, "wrong");
        browser.warns(400, "Invalid user ID and/or password");
        browser.sign_in(seeded::LOCKED.email, seeded::LOCKED.password);
        browser.warns(400, "Your account has been locked");
        let before = browser.page.body.clone();
        browser.sign_in(seeded::GRACE.username, seeded::GRACE.password);
        // There is no consent.
        let location = browser.location();
        let jwt = location.strip_prefix(&format!("{CALLBACK}?token=")).expect("a JWT alone");
        let claims = claims(jwt);
        assert_eq!(claims["sub"], seeded::GRACE.uid);
        assert_eq!(claims["nonce"], "n-0 S6&");
        assert_eq!(claims["iss"], format!("{}/", emulator.base_url()));
        assert_eq!(emulator.counters().jwts, 1);
        // Once.
        browser.page.body = before;
        browser.sign_in_as_ada();
        browser.warns(400, "Go back to the application");
        assert_eq!(emulator.counters().jwts, 1);
    }
}

#[test]
fn a_jwt_has_a_nonce_only_if_one_was_sent() {
    let emulator = started();
    for api in APIS {
        for (params, expected) in [(&[][..], Value::Null), (&[("nonce", "x")], "x".into())] {
            let response = authorize(&emulator, &link(api, seeded::JWT_APP, params)).unwrap();
            assert_eq!(claims(&response.param("token").unwrap())["nonce"], expected);
        }
    }
}

#[test]
fn the_settings_say_how_the_jwt_comes_back_and_under_which_name() {
    for api in APIS {
        for mode in [ResponseMode::Query, ResponseMode::Fragment, ResponseMode::Post] {
            let emulator =
                Emulator::builder().jwt_response_mode(mode).jwt_response_parameter("my jwt").start().unwrap();
            let back = "http://localhost:9/?tenant=a";
            let path = link(api, seeded::JWT_APP, &[(address(api), back)]);
            let response = authorize(&emulator, &path).unwrap();
            let jwt = response.param("my jwt").expect("a JWT");
            assert_eq!(claims(&jwt)["sub"], seeded::ADA.uid);
            let url = match mode {
                ResponseMode::Query => format!("{back}&my+jwt={jwt}"),
                ResponseMode::Fragment => format!("{back}#my+jwt={jwt}"),
                _ => back.to_owned(),
            };
            assert_eq!((response.url, response.form.is_some()), (url, mode == ResponseMode::Post));

            let mut browser = Browser::open(&emulator, &path);
            browser.sign_in_as_ada();
            if mode == ResponseMode::Post {
                let fields = browser.hidden_of(back);
                assert_eq!((fields.len(), fields[0].0.as_str()), (1, "my jwt"));
                assert_eq!(claims(&fields[0].1)["sub"], seeded::ADA.uid);
                assert!(browser.page.header("content-security-policy").unwrap().contains("script-src 'sha256-"));
            } else {
                assert!(browser.location().starts_with(back));
            }
        }
    }
}

#[test]
fn the_user_is_shown_errors() {
    let unknown = "de300000-0000-4000-8000-00000000dead";
    for api in APIS {
        let key = if api == Api::Classic { "apikey" } else { "client_id" };
        let cases = [
            (link(api, seeded::JWT_APP, &[(key, "")]), 922),
            (link(api, seeded::JWT_APP, &[(key, "key")]), 920),
            (link(api, seeded::JWT_APP, &[(key, unknown)]), 901),
            (link(api, "another", &[]), 1180),
            (link(api, seeded::JWT_APP, &[(address(api), "")]), 2008),
            (link(api, seeded::JWT_APP, &[(address(api), "https://evil.example/")]), 2014),
            (link(api, seeded::JWT_APP, &[(address(api), "javascript:alert(1)")]), 2006),
            (link(api, seeded::JWT_APP, &[("nonce", "1"), ("Nonce", "2")]), 908),
            (format!("{}&x=%FF", link(api, seeded::JWT_APP, &[])), 908),
        ];
        for (path, expected) in cases {
            let emulator = started();
            let browser = Browser::open(&emulator, &path);
            browser.warns(400, "");
            assert!(browser.page.body.contains(&format!("data-code=\"{expected}\"")), "{}", browser.page.body);
            assert!(!browser.page.body.contains("<form"));
            match authorize(&emulator, &path) {
                Err(AuthorizeError::Refused { code, .. }) => assert_eq!(code, expected),
                other => panic!("{path}: {other:?}"),
            }
        }
    }
    let emulator = started();
    let without_app = link(Api::Classic, seeded::JWT_APP, &[("jwtapp", "")]);
    let refused = authorize(&emulator, &without_app);
    assert!(matches!(refused, Err(AuthorizeError::Refused { code: 1196, .. })), "{refused:?}");
}

#[test]
fn names_are_read_in_any_case() {
    let emulator = started();
    let query = format!("apiKey={}&jwtApp=demo-jwt-app&Return_Url=http://127.0.0.1:9/&NONCE=n", seeded::CLIENT_ID);
    let response = authorize(&emulator, &format!("/sso/jwt/redirect/token?{query}")).unwrap();
    assert_eq!(claims(&response.param("token").unwrap())["nonce"], "n");
}

#[test]
fn the_login_must_be_complete_within_ten_minutes() {
    let emulator = started();
    let mut browser = Browser::open(&emulator, &link(Api::Classic, seeded::JWT_APP, &[]));
    emulator.advance(Duration::from_secs(600));
    browser.sign_in_as_ada();
    browser.warns(400, "it took longer than 10 minutes");
    assert_eq!(emulator.counters().jwts, 0);
}

#[test]
fn there_is_nothing_to_deny() {
    let emulator = started();
    for api in APIS {
        let url = format!("{}{}", emulator.base_url(), link(api, seeded::JWT_APP, &[]));
        assert_eq!(emulator.deny_authorization(&url), Err(AuthorizeError::NothingToDeny));
        let blocked = emulator.authorize_as(&url, &seeded::BLOCKED);
        assert_eq!(blocked, Err(AuthorizeError::MayNotSignIn(seeded::Standing::Blocked)));
    }
    assert_eq!(emulator.counters().jwts, 0);
}

#[test]
fn requests_are_recorded_and_faults_are_applied() {
    for api in APIS {
        let emulator = started();
        emulator.fault_times(Operation::JwtRedirect, Fault::TooManyRequests { retry_after: Some(3) }, 1);
        let path = link(api, seeded::JWT_APP, &[]);
        let response = get(&emulator, &path);
        assert_eq!((response.status, response.header("retry-after")), (429, Some("3")));
        assert_eq!(get(&emulator, &path).status, 200);
        let requests = emulator.requests();
        let statuses: Vec<_> = requests.iter().map(|request| request.status).collect();
        assert_eq!(statuses, [Some(429), Some(200)]);
        assert_eq!((requests[1].operation, requests[1].api), (Some(Operation::JwtRedirect), Some(api)));
        assert_eq!(requests[1].client_id.as_deref(), Some(seeded::CLIENT_ID));
    }
}

#[test]
fn no_name_of_the_parameter_becomes_markup_or_keeps_the_form_from_being_sent() {
    for name in ["\"><script>alert(1)</script>", "submit"] {
        let emulator =
            Emulator::builder().jwt_response_mode(ResponseMode::Post).jwt_response_parameter(name).start().unwrap();
        let mut browser = Browser::open(&emulator, &link(Api::Site, seeded::JWT_APP, &[]));
        browser.sign_in_as_ada();
        assert_eq!(browser.hidden_of(CALLBACK)[0].0, name);
        assert_eq!(browser.page.body.matches("<script").count(), 1);
        // `form.submit` would be the field of that name.
        assert!(browser.page.body.contains("HTMLFormElement.prototype.submit.call"));
    }
}
