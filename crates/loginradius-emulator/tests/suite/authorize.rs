//! Logins in a browser that yield a code or a token.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loginradius_emulator::{Api, AuthorizationResponse, AuthorizeError, CodeState, Emulator, Fault, Operation, seeded};
use sha2::{Digest as _, Sha256};

use crate::browser::Browser;
use crate::http::{Response, get, post, send};

pub(crate) const CALLBACK: &str = "http://127.0.0.1:9/callback";
pub(crate) const APIS: [Api; 2] = [Api::Classic, Api::Site];
/// Parameters of a link.
type Params<'a> = &'a [(&'a str, &'a str)];

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Returns path and query of a link with only these parameters.
pub(crate) fn bare_link(api: Api, params: &[(&str, &str)]) -> String {
    let path = match api {
        Api::Classic => "/sso/oauth/redirect",
        _ => "/service/oauth/demo-oauth-app/authorize",
    };
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    format!("{path}?{query}")
}

/// Returns a link that requests a code, with these parameters instead of the usual ones. An empty one is left out.
pub(crate) fn link(api: Api, params: &[(&str, &str)]) -> String {
    let mut all = vec![
        ("client_id", seeded::CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("state", "a state & more"),
    ];
    all.retain(|(name, _)| !params.iter().any(|(other, _)| other == name));
    all.extend(params.iter().filter(|(_, value)| !value.is_empty()));
    bare_link(api, &all)
}

pub(crate) fn authorize(emulator: &Emulator, path: &str) -> Result<AuthorizationResponse, AuthorizeError> {
    emulator.authorize(&format!("{}{path}", emulator.base_url()))
}

pub(crate) fn at_consent<'a>(emulator: &'a Emulator, path: &str) -> Browser<'a> {
    let mut browser = Browser::open(emulator, path);
    assert_eq!(browser.page.status, 200, "{:?}", browser.page);
    browser.sign_in_as_ada();
    browser.is_at("/authorize");
    browser
}

fn started() -> Emulator {
    Emulator::builder().manual_clock().start().unwrap()
}

/// Returns names and values after the `?` or the `#`.
fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn names(text: &str) -> Vec<String> {
    pairs(text).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn the_user_signs_in_and_allows() {
    for api in APIS {
        let emulator = started();
        let path = link(api, &[("scope", "profile email"), ("code_challenge", CHALLENGE)]);
        let mut browser = Browser::open(&emulator, &path);
        for text in ["name=\"viewport\"", seeded::OAUTH_APP, seeded::ADA.email, seeded::ADA.password] {
            assert!(browser.page.body.contains(text), "{text}: {}", browser.page.body);
        }
        browser.sign_in(seeded::ADA.username, seeded::ADA.password);
        browser.is_at("/authorize");
        let shown =
            [seeded::OAUTH_APP, seeded::CLIENT_ID, "profile, email", "Ada Example", seeded::ADA.email, CALLBACK];
        for text in shown {
            assert!(browser.page.body.contains(text), "{text}: {}", browser.page.body);
        }
        // Reloading changes nothing.
        let at = browser.at.clone();
        browser.go(&at);
        assert_eq!(emulator.codes(), []);
        browser.decide("allow");
        let location = browser.location();
        let code = emulator.codes().remove(0);
        assert_eq!(location, format!("{CALLBACK}?code={}&state=a+state+%26+more", code.code));
        assert_eq!(code.client_id, seeded::CLIENT_ID);
        assert_eq!(code.redirect_uri, CALLBACK);
        assert_eq!(code.challenge.as_deref(), Some(CHALLENGE));
        assert_eq!(code.scope.as_deref(), Some("profile email"));
        assert_eq!(code.email, seeded::ADA.email);
        assert_eq!(code.expires, emulator.now() + Duration::from_secs(50));
        assert_eq!((code.sent, code.login, code.state), (0, None, CodeState::Fresh));
        assert_eq!((emulator.counters().codes, emulator.counters().logins), (1, 0));
    }
}

#[test]
fn the_user_denies() {
    for api in APIS {
        let emulator = started();
        let mut browser = at_consent(&emulator, &link(api, &[]));
        browser.decide("deny");
        let expected =
            format!("{CALLBACK}?error=access_denied&error_description=The+user+has+denied+it&state=a+state+%26+more");
        assert_eq!(browser.location(), expected);
        assert_eq!(emulator.codes(), []);
    }
}

#[test]
fn users_who_may_not_sign_in_are_refused_and_others_are_not() {
    let emulator = started();
    let cases = [
        (seeded::ADA.email, "wrong", "Invalid user ID and/or password. This sign-in"),
        ("nobody", seeded::ADA.password, "Invalid user ID and/or password. This sign-in"),
        ("", "", "Invalid user ID and/or password"),
        (seeded::UNVERIFIED.email, seeded::UNVERIFIED.password, "Email is not verified"),
        (seeded::BLOCKED.username, seeded::BLOCKED.password, "Your account is blocked"),
        (seeded::LOCKED.phone, seeded::LOCKED.password, "Your account has been locked"),
        (seeded::SECOND_FACTOR.email, seeded::SECOND_FACTOR.password, "Two factor authentication is enabled"),
        // Only the right password reveals the account's standing.
        (seeded::BLOCKED.email, "wrong", "Invalid user ID and/or password"),
    ];
    let mut browser = Browser::open(&emulator, &link(Api::Classic, &[]));
    for (username, password, words) in cases {
        browser.sign_in(username, password);
        browser.warns(400, words);
        assert!(browser.page.body.contains("aria-invalid=\"true\""));
        assert!(!browser.page.body.contains(&format!("value=\"{password}\"")) || password.is_empty());
    }
    // The same page still accepts Grace, by each of the user's identifiers.
    browser.sign_in(&format!(" {} ", seeded::GRACE.phone), seeded::GRACE.password);
    assert!(browser.page.body.contains("Grace Sample"));
    browser.decide("allow");
    assert_eq!(emulator.codes()[0].email, seeded::GRACE.email);
}

#[test]
fn another_account_can_be_used_and_the_first_ones_form_is_over() {
    let emulator = started();
    let mut browser = at_consent(&emulator, &link(Api::Site, &[]));
    let of_ada = browser.hidden_of("/authorize/decide");
    browser.submit("/authorize/sign-out", &[]);
    browser.sign_in(seeded::GRACE.email, seeded::GRACE.password);
    assert!(browser.page.body.contains(seeded::GRACE.email));
    let mut fields: Vec<_> = of_ada.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.push(("decision", "allow"));
    let (page, at) = (browser.page.body.clone(), browser.at.clone());
    browser.request("POST", "/authorize/decide", &[], &fields);
    browser.warns(400, "Go back to the application");
    assert_eq!(emulator.codes(), []);
    browser.go(&at);
    assert_eq!(browser.page.body, page);
    browser.decide("allow");
    assert_eq!(emulator.codes()[0].email, seeded::GRACE.email);
}

#[test]
fn every_response_type_gives_what_it_names() {
    let cases: [(&str, &[&str]); 6] = [
        ("code", &["code", "state"]),
        ("token", &["token", "state"]),
        ("code token", &["code", "token", "state"]),
        ("token code", &["code", "token", "state"]),
        ("code,token", &["code", "token", "state"]),
        ("token,code", &["code", "token", "state"]),
    ];
    for api in APIS {
        for (response_type, expected) in cases {
            let emulator = started();
            let response = authorize(&emulator, &link(api, &[("response_type", response_type)])).unwrap();
            let (address, query) = response.url.split_once('?').unwrap();
            assert_eq!((address, names(query)), (CALLBACK, expected.iter().map(ToString::to_string).collect()));
            assert_eq!(emulator.codes().len(), usize::from(response_type.contains("code")));
            let Some(token) = response.param("token") else { continue };
            // RFC 6749, section 4.2.2: no refresh token goes through a browser.
            let login = emulator.logins().remove(0);
            assert_eq!((login.access_token.as_str(), login.refresh_token.as_str()), (token.as_str(), ""));
            assert_eq!((login.began_by, login.email.as_str()), (Operation::Authorize, seeded::ADA.email));
            assert!(emulator.is_live_access_token(&token));
            let query = format!("?apikey={}&jwtapp=demo-jwt-app&access_token={token}", seeded::CLIENT_ID);
            assert_eq!(get(&emulator, &format!("/sso/jwt/api/token{query}")).status, 200);
        }
    }
}

#[test]
fn the_application_is_notified_of_errors() {
    let long = "x".repeat(44);
    let cases: &[(Params<'_>, &str, &str)] = &[
        (&[("response_type", "")], "invalid_request", "The response_type is a required parameter"),
        (&[("response_type", "id_token")], "invalid_request", "The response_type must contains valid value"),
        (&[("response_type", "code code")], "invalid_request", "The response_type must contains valid value"),
        (&[("response_type", "code  token")], "invalid_request", "The response_type must contains valid value"),
        (&[("response_type", "Code")], "invalid_request", "The response_type must contains valid value"),
        (&[("response_type", "code token id_token")], "invalid_request", "The response_type must contains valid value"),
        (&[("response_mode", "web_message")], "invalid_request", "The response_mode is not valid"),
        (&[("scope", "everything")], "invalid_scope", "invalid_scope"),
        (&[("scope", "profile  email")], "invalid_scope", "invalid_scope"),
        (&[("scope", "profile<script>")], "invalid_scope", "invalid_scope"),
        (
            &[("code_challenge", CHALLENGE), ("code_challenge_method", "plain")],
            "invalid_request",
            "The code_challenge_method is not valid",
        ),
        (
            &[("code_challenge", CHALLENGE), ("code_challenge_method", "s256")],
            "invalid_request",
            "The code_challenge_method is not valid",
        ),
        (&[("code_challenge_method", "S256")], "invalid_request", "The code_challenge is a required parameter"),
        (&[("code_challenge", &CHALLENGE[1..])], "invalid_request", "The code_challenge is not valid"),
        (&[("code_challenge", &long)], "invalid_request", "The code_challenge is not valid"),
        (
            &[("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM")],
            "invalid_request",
            "The code_challenge is not valid",
        ),
    ];
    for api in APIS {
        for (params, error, description) in cases {
            let emulator = started();
            let path = link(api, params);
            let expected = [("error", *error), ("error_description", *description), ("state", "a state & more")];
            let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            let response = get(&emulator, &path);
            assert_eq!(response.status, 303, "{params:?}: {response:?}");
            let location = response.header("location").unwrap();
            let (address, query) = location.split_once('?').unwrap();
            assert_eq!((address, pairs(query)), (CALLBACK, expected), "{params:?}");
            assert_eq!(response.header("cache-control"), Some("no-store"));
            // Without the browser it is the same.
            let response = authorize(&emulator, &path).unwrap();
            assert_eq!((response.url.as_str(), response.form), (location, None));
            assert_eq!(emulator.codes(), []);
        }
    }
}

#[test]
fn the_application_is_notified_of_a_repeated_parameter() {
    let emulator = started();
    for name in ["response_type", "state", "scope", "code_challenge", "code_challenge_method", "response_mode"] {
        for api in APIS {
            let all = [
                ("client_id", seeded::CLIENT_ID),
                ("redirect_uri", CALLBACK),
                ("response_type", "code"),
                ("state", "s"),
                ("scope", "profile"),
                ("code_challenge", CHALLENGE),
                ("code_challenge_method", "S256"),
                ("response_mode", "query"),
            ];
            assert!(authorize(&emulator, &bare_link(api, &all)).unwrap().param("code").is_some());
            let twice = [&all[..], &[*all.iter().find(|(other, _)| *other == name).unwrap()]].concat();
            let response = authorize(&emulator, &bare_link(api, &twice)).unwrap();
            let description = format!("The {name} must not be repeated");
            assert_eq!(response.param("error").as_deref(), Some("invalid_request"), "{name}");
            assert_eq!(response.param("error_description"), Some(description));
            // It cannot be known which state is the right one.
            assert_eq!(response.param("state").as_deref(), (name != "state").then_some("s"));
        }
    }
}

#[test]
fn without_a_client_an_application_or_a_way_back_the_browser_stays() {
    let unknown = "de300000-0000-4000-8000-00000000dead";
    let cases: &[(Params<'_>, u16, &str)] = &[
        (&[("client_id", "")], 922, "The client_id is a required parameter."),
        (&[("client_id", "key")], 920, "The client_id is not valid, check your client_id again."),
        (&[("client_id", unknown)], 2009, "The client_id is not valid, check your client_id again."),
        (&[("redirect_uri", "")], 2008, "The redirect_uri is a required parameter"),
        (&[("redirect_uri", "https://evil.example/")], 2014, "The redirect_uri is not valid"),
        (&[("redirect_uri", "javascript:alert(1)")], 2006, "The redirect_uri is not valid"),
    ];
    for api in APIS {
        for (params, code, words) in cases {
            let emulator = started();
            stays(&emulator, &link(api, params), *code, words);
        }
        for (name, value) in [("client_id", seeded::CLIENT_ID), ("redirect_uri", CALLBACK)] {
            let path = format!("{}&{name}={value}", link(api, &[]));
            stays(&started(), &path, 2008, &format!("The {name} must not be repeated"));
        }
        stays(&started(), &format!("{}&x=%FF", link(api, &[])), 908, "A parameter is not formatted correctly");
    }
    let path = link(Api::Site, &[]).replace("demo-oauth-app", "another");
    stays(&started(), &path, 2011, "The OAuth configuration not found.");
}

#[track_caller]
fn stays(emulator: &Emulator, path: &str, code: u16, words: &str) {
    let browser = Browser::open(emulator, path);
    browser.warns(400, words);
    assert!(browser.page.body.contains(&format!("data-code=\"{code}\"")), "{}", browser.page.body);
    assert_eq!(browser.page.header("location"), None);
    assert!(!browser.page.body.contains("<form"));
    match authorize(emulator, path) {
        Err(AuthorizeError::Refused { code: other, message }) => {
            assert_eq!(other, code);
            assert!(message.contains(words), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn state_is_given_back_as_it_came_and_only_if_it_came() {
    let emulator = started();
    let given = ["a b+c%20d&e=f?g#h/i", "\"'><script>", "é\u{202e}\u{1f600}", "\r\nSet-Cookie: a=b", "\0\u{7f}\t", " "];
    for mode in ["query", "fragment", "form_post"] {
        for api in APIS {
            for state in given {
                let path = link(api, &[("state", state), ("response_mode", mode)]);
                assert_eq!(authorize(&emulator, &path).unwrap().param("state").as_deref(), Some(state), "{mode}");
                let refused = link(api, &[("state", state), ("response_mode", mode), ("response_type", "")]);
                assert_eq!(authorize(&emulator, &refused).unwrap().param("state").as_deref(), Some(state));
            }
            let path = link(api, &[("state", ""), ("response_mode", mode)]);
            for path in [path.clone(), format!("{path}&state=")] {
                assert_eq!(authorize(&emulator, &path).unwrap().param("state"), None);
            }
        }
    }
}

#[test]
fn the_fragment_and_a_form_can_be_asked_for() {
    let emulator = started();
    for api in APIS {
        let wanted = [("response_type", "code token"), ("redirect_uri", "http://localhost:9/?a=b")];
        let fragment = [&wanted[..], &[("response_mode", "fragment")]].concat();
        let response = authorize(&emulator, &link(api, &fragment)).unwrap();
        let (address, fragment) = response.url.split_once('#').unwrap();
        assert_eq!(
            (address, names(fragment)),
            ("http://localhost:9/?a=b", vec!["code".into(), "token".into(), "state".into()])
        );

        let posted = [&wanted[..], &[("response_mode", "form_post")]].concat();
        let response = authorize(&emulator, &link(api, &posted)).unwrap();
        assert_eq!(response.url, "http://localhost:9/?a=b");
        let form = response.form.unwrap();
        assert_eq!(form.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["code", "token", "state"]);

        let denied = emulator.deny_authorization(&format!("{}{}", emulator.base_url(), link(api, &posted))).unwrap();
        assert_eq!(denied.param("error").as_deref(), Some("access_denied"));
        assert!(denied.form.is_some());
    }
}

#[test]
fn a_posted_response_sends_itself_with_the_only_script_that_may_run_and_has_a_button() {
    let emulator = started();
    let mut browser = at_consent(&emulator, &link(Api::Classic, &[("response_mode", "form_post")]));
    browser.decide("allow");
    assert_eq!(browser.page.status, 200);
    let code = emulator.codes().remove(0).code;
    let expected = vec![("code".to_owned(), code), ("state".to_owned(), "a state & more".to_owned())];
    assert_eq!(browser.hidden_of(CALLBACK), expected);
    assert!(browser.page.body.contains("<button class=\"primary\" id=\"continue\" type=\"submit\">"));
    let (_, rest) = browser.page.body.split_once("<script>").expect("a script");
    let script = rest.split("</script>").next().unwrap();
    assert_eq!(browser.page.body.matches("<script").count(), 1);
    let policy = browser.page.header("content-security-policy").unwrap();
    let hash = STANDARD.encode(Sha256::digest(script));
    assert!(policy.ends_with(&format!("; form-action 'self' http:; script-src 'sha256-{hash}'")), "{policy}");
    assert!(!policy.contains("unsafe") && policy.starts_with("default-src 'none'; "));
    assert_eq!(browser.page.header("cache-control"), Some("no-store"));
}

#[test]
fn pages_are_protected() {
    let emulator = Emulator::builder()
        .redirect_uri("https://www.abc.com/callback")
        .and_then(|builder| builder.redirect_uri("com.example.app:/done"))
        .unwrap()
        .start()
        .unwrap();
    let cases = [("https://www.abc.com/callback", "http:"), ("com.example.app:/done", "com.example.app:")];
    for (redirect_uri, scheme) in cases {
        let mut browser = Browser::open(&emulator, &link(Api::Site, &[("redirect_uri", redirect_uri)]));
        protected(&browser.page, "form-action 'self'");
        browser.sign_in(seeded::ADA.email, "wrong");
        protected(&browser.page, "form-action 'self'");
        browser.sign_in_as_ada();
        // Browsers apply it to redirects after the form.
        protected(&browser.page, &format!("form-action 'self' {scheme}"));
        browser.decide("allow");
        assert!(browser.location().starts_with(redirect_uri));
        assert_eq!(browser.page.header("cache-control"), Some("no-store"));
        assert_eq!(browser.page.header("referrer-policy"), Some("same-origin"));
        browser.go("/authorize?ticket=x");
        protected(&browser.page, "form-action 'self'");
    }
    let refused = get(&emulator, &link(Api::Site, &[("redirect_uri", "http://127.0.0.1/")]));
    protected(&refused, "form-action 'self'");
}

#[track_caller]
pub(crate) fn protected(page: &Response, form_action: &str) {
    let policy = page.header("content-security-policy").expect("a policy");
    let expected = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; {form_action}"
    );
    assert_eq!(policy, expected);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    assert!(!page.body.contains("<script") && !page.body.contains("style=\""));
}

#[test]
fn the_back_button_issues_no_second_code() {
    for decision in ["allow", "deny"] {
        let emulator = started();
        let mut browser = Browser::open(&emulator, &link(Api::Classic, &[]));
        let sign_in_form = browser.page.body.clone();
        browser.sign_in_as_ada();
        let (consent, at) = (browser.page.body.clone(), browser.at.clone());
        browser.decide(decision);
        let codes = emulator.codes().len();
        // The page may come from the browser's cache...
        for again in ["allow", "deny"] {
            browser.page.body.clone_from(&consent);
            browser.decide(again);
            browser.warns(400, "Go back to the application and start it there again");
        }
        browser.page.body = consent;
        browser.submit("/authorize/sign-out", &[]);
        browser.warns(400, "Go back to the application");
        browser.page.body = sign_in_form;
        browser.sign_in_as_ada();
        browser.warns(400, "Go back to the application");
        // ...or requested again.
        browser.go(&at);
        browser.warns(400, "Go back to the application");
        assert_eq!(emulator.codes().len(), codes);
    }
}

#[test]
fn a_login_must_be_complete_within_ten_minutes() {
    let emulator = started();
    let mut quick = Browser::open(&emulator, &link(Api::Site, &[]));
    let mut slow = Browser::open(&emulator, &link(Api::Site, &[]));
    let mut slower = Browser::open(&emulator, &link(Api::Site, &[]));
    quick.sign_in_as_ada();
    emulator.advance(Duration::from_secs(599));
    // Signing in gives no more time.
    slow.sign_in_as_ada();
    quick.decide("allow");
    assert!(quick.location().starts_with(CALLBACK));
    emulator.advance(Duration::from_secs(1));
    slow.decide("allow");
    slow.warns(400, "it took longer than 10 minutes");
    slower.sign_in_as_ada();
    slower.warns(400, "it took longer than 10 minutes");
    assert_eq!(emulator.codes().len(), 1);
}

#[test]
fn deciding_needs_a_signed_in_user_and_a_decision() {
    let emulator = started();
    let mut browser = Browser::open(&emulator, &link(Api::Classic, &[]));
    let hidden = browser.hidden_of("/authorize/sign-in");
    let mut fields: Vec<_> = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.push(("decision", "allow"));
    browser.request("POST", "/authorize/decide", &[], &fields);
    // Signing in comes first.
    browser.is_at("/authorize");
    browser.sign_in_as_ada();
    for decision in ["perhaps", "", "Allow"] {
        browser.decide(decision);
        browser.is_at("/authorize");
        assert!(browser.page.body.contains("Ada Example"));
    }
    browser.submit("/authorize/decide", &[("decision", "allow"), ("decision", "deny")]);
    browser.is_at("/authorize");
    assert_eq!(emulator.codes(), []);
    browser.decide("allow");
    assert_eq!(emulator.codes().len(), 1);
}

#[test]
fn forms_of_other_sites_and_of_other_browsers_are_refused() {
    let emulator = started();
    let mut browser = at_consent(&emulator, &link(Api::Classic, &[]));
    let another = at_consent(&emulator, &link(Api::Classic, &[]));
    let (csrf, ticket) = (browser.hidden("csrf"), browser.hidden("ticket"));
    let (other_csrf, other_ticket) = (another.hidden("csrf"), another.hidden("ticket"));
    let ours = emulator.base_url().to_owned();
    type Pair<'a> = (&'a str, &'a str);
    let good = [("csrf", csrf.as_str()), ("ticket", ticket.as_str()), ("decision", "allow")];
    let cases: [(&str, &[Pair<'_>], Vec<Pair<'_>>, u16); 9] = [
        ("no token", &[], good[1..].to_vec(), 403),
        ("empty token", &[], [&[("csrf", "")], &good[1..]].concat(), 403),
        ("another's token", &[], [&[("csrf", other_csrf.as_str())], &good[1..]].concat(), 403),
        ("two tokens", &[], [&good[..1], &good[..]].concat(), 403),
        ("foreign origin", &[("origin", "https://attacker.example")], good.to_vec(), 403),
        ("another port", &[("origin", "http://127.0.0.1:1")], good.to_vec(), 403),
        ("cross-site", &[("origin", &ours), ("sec-fetch-site", "cross-site")], good.to_vec(), 403),
        ("another's ticket", &[], vec![good[0], ("ticket", &other_ticket), good[2]], 400),
        ("two tickets", &[], [&good[1..2], &good[..]].concat(), 400),
    ];
    for (what, headers, fields, status) in &cases {
        for action in ["/authorize/sign-in", "/authorize/decide", "/authorize/sign-out"] {
            browser.request("POST", action, headers, fields);
            assert_eq!(browser.page.status, *status, "{what}");
            assert_eq!(emulator.codes(), [], "{what}");
        }
    }
    let cookie = browser.cookie.take();
    browser.request("POST", "/authorize/decide", &[], &good);
    assert_eq!(browser.page.status, 403, "no cookie");
    // A ticket is valid in its own browser only.
    browser.cookie = None;
    browser.go(&format!("/authorize?ticket={ticket}"));
    browser.warns(400, "Go back to the application");
    assert!(!browser.page.body.contains(&ticket));
    browser.cookie = cookie;
    browser.request("POST", "/authorize/decide", &[("origin", &ours), ("sec-fetch-site", "same-origin")], &good);
    assert!(browser.location().starts_with(CALLBACK));
}

#[test]
fn two_tabs_are_two_logins() {
    let emulator = started();
    let mut browser = at_consent(&emulator, &link(Api::Classic, &[("state", "one")]));
    let one = browser.page.body.clone();
    browser.go(&link(Api::Classic, &[("state", "two")]));
    // Each asks for consent.
    browser.sign_in(seeded::GRACE.email, seeded::GRACE.password);
    browser.decide("allow");
    assert!(browser.location().ends_with("&state=two"));
    browser.page.body = one;
    browser.decide("allow");
    assert!(browser.location().ends_with("&state=one"));
    let emails: Vec<_> = emulator.codes().into_iter().map(|code| code.email).collect();
    assert_eq!(emails, [seeded::GRACE.email, seeded::ADA.email]);
}

#[test]
fn the_issuer_is_named_if_that_is_switched_on() {
    let silent = started();
    let emulator = Emulator::builder().issuer_in_authorization_response(true).start().unwrap();
    let issuer = format!("{}/service/oauth/demo-oauth-app", emulator.base_url());
    assert_eq!(emulator.issuer(), issuer);
    for api in APIS {
        let params: [&[(&str, &str)]; 3] = [&[], &[("response_type", "")], &[("response_mode", "form_post")]];
        for params in params {
            assert_eq!(authorize(&emulator, &link(api, params)).unwrap().param("iss").as_ref(), Some(&issuer));
            assert_eq!(authorize(&silent, &link(api, params)).unwrap().param("iss"), None);
        }
        let url = format!("{}{}", emulator.base_url(), link(api, &[]));
        assert_eq!(emulator.deny_authorization(&url).unwrap().param("iss").as_ref(), Some(&issuer));
    }
}

#[test]
fn the_scope_may_carry_parameters_for_the_page() {
    let emulator = started();
    for scope in ["profile&action=login&registration_url=https%3A%2F%2Fwww.abc.com", "&action=login&regSource=<script>"]
    {
        let mut browser = at_consent(&emulator, &link(Api::Site, &[("scope", scope)]));
        assert!(!browser.page.body.contains("action=login"));
        browser.decide("allow");
        assert_eq!(emulator.codes().pop().unwrap().scope.as_deref(), Some(scope));
    }
}

#[test]
fn the_driver_knows_only_addresses_of_its_emulator() {
    let emulator = started();
    let good = format!("{}{}", emulator.base_url(), link(Api::Classic, &[]));
    assert!(emulator.authorize(&good).is_ok());
    assert!(emulator.authorize(&good.replace("127.0.0.1:", "localhost:")).is_ok());
    let bad = [
        String::new(),
        "nonsense".to_owned(),
        link(Api::Classic, &[]),
        good.replace("http:", "https:"),
        good.replacen("127.0.0.1", "127.0.0.2", 1),
        good.replacen("http://", "http://user@", 1),
        good.replace("/sso/oauth/redirect", "/sso/oauth/access_token"),
        good.replace("/sso/oauth/redirect", "/sso/oauth/redirect/"),
        good.replace("/sso/oauth/redirect", "/device"),
        good.replace("/sso/oauth/redirect", "/service/oauth//authorize"),
        // Where a device is confirmed.
        format!("{}{}&user_code=CXY-Q34", emulator.base_url(), link(Api::Site, &[])),
        format!("{good}&x={}", "x".repeat(70_000)),
    ];
    for url in &bad {
        assert_eq!(emulator.authorize(url), Err(AuthorizeError::NotServed), "{url}");
        assert_eq!(emulator.deny_authorization(url), Err(AuthorizeError::NotServed), "{url}");
    }
    for user in seeded::USERS {
        match emulator.authorize_as(&good, user) {
            Ok(_) => assert!(matches!(user.standing, seeded::Standing::Good)),
            Err(error) => assert_eq!(error, AuthorizeError::MayNotSignIn(user.standing)),
        }
    }
    assert_eq!(emulator.requests(), []);
    let public = Emulator::builder().public_url("https://login.example.test").unwrap().start().unwrap();
    let path = link(Api::Classic, &[]);
    assert!(public.authorize(&format!("https://login.example.test{path}")).is_ok());
    assert!(public.authorize(&format!("http://login.example.test{path}")).is_err());
}

#[test]
fn requests_are_recorded_and_faults_are_applied() {
    for api in APIS {
        let emulator = started();
        let path = link(api, &[]);
        emulator.fault_times(Operation::Authorize, Fault::Status(503), 1);
        emulator.fault_times(Operation::Authorize, Fault::DropBefore, 1);
        emulator.fault_times(Operation::Authorize, Fault::RedirectTo("http://127.0.0.1:9/elsewhere".into()), 1);
        let statuses = || get(&emulator, &path).status;
        assert_eq!(statuses(), 503);
        assert!(send("GET", &format!("{}{path}", emulator.base_url()), &[], b"").is_err());
        assert_eq!(statuses(), 302);
        let mut browser = at_consent(&emulator, &path);
        browser.decide("allow");
        browser.go(&link(api, &[("response_type", "")]));
        browser.go(&link(api, &[("client_id", "")]));
        let requests = emulator.requests();
        let seen: Vec<_> = requests.iter().map(|request| request.status).collect();
        // The forms are not recorded.
        assert_eq!(seen, [Some(503), None, Some(302), Some(200), Some(303), Some(400)]);
        for request in &requests {
            assert_eq!((request.operation, request.api), (Some(Operation::Authorize), Some(api)));
            assert_eq!(request.param("redirect_uri"), Some(CALLBACK));
        }
        assert_eq!(requests[3].client_id.as_deref(), Some(seeded::CLIENT_ID));
        assert_eq!(requests[0].fault, Some(Fault::Status(503)));
        // Faults do not apply without a browser.
        emulator.fault(Operation::Authorize, Fault::DropBefore);
        assert!(authorize(&emulator, &path).is_ok());
    }
}

#[test]
fn a_user_code_makes_it_a_devices_confirmation_only_where_one_is_confirmed() {
    let emulator = started();
    let with_code = |api| get(&emulator, &format!("{}&user_code=CXY-Q34", link(api, &[])));
    assert_eq!(with_code(Api::Site).header("location"), Some("/device?user_code=CXY-Q34"));
    assert_eq!(emulator.requests(), []);
    assert_eq!(with_code(Api::Classic).status, 200);
    assert_eq!(emulator.requests()[0].operation, Some(Operation::Authorize));
}

#[test]
fn only_get_leads_in() {
    let emulator = started();
    for api in APIS {
        let path = link(api, &[]);
        let response = post(&emulator, &path, &[]);
        assert_eq!((response.status, response.header("allow")), (405, Some("GET")));
    }
    for path in ["/authorize/sign-in", "/authorize/decide", "/authorize/sign-out"] {
        assert_eq!(get(&emulator, path).status, 405, "{path}");
    }
    emulator.clear_requests();
    for path in ["/service/oauth/demo-oauth-app", "/service/oauth/token", "/sso/oauth/redirect/x", "/sso/jwt/redirect"]
    {
        assert_eq!(get(&emulator, path).status, 404, "{path}");
    }
    assert!(emulator.requests().iter().all(|request| request.operation.is_none()));
    assert_eq!(emulator.requests().len(), 4);
    assert_eq!(post(&emulator, "/authorize", &[]).status, 405);
    assert_eq!(get(&emulator, "/authorize").status, 400);
    let head = send("HEAD", &format!("{}/authorize", emulator.base_url()), &[], b"").unwrap();
    assert_eq!((head.status, head.body.as_str()), (400, ""));
}

#[test]
fn thousands_that_never_finish_do_no_harm() {
    let emulator = started();
    let mut first = Browser::open(&emulator, &link(Api::Classic, &[]));
    for _ in 0..1000 {
        assert_eq!(get(&emulator, &link(Api::Classic, &[])).status, 200);
    }
    // The oldest session is forgotten, and its form with it.
    first.submit("/authorize/sign-in", &[("username", "ada"), ("password", seeded::ADA.password)]);
    assert!(matches!(first.page.status, 400 | 403));
    let mut last = at_consent(&emulator, &link(Api::Classic, &[]));
    last.decide("allow");
    assert_eq!(emulator.codes().len(), 1);
}
