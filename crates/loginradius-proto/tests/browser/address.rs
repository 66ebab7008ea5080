//! The authorization request: the address that the browser opens.

use loginradius_proto::browser::{BrowserRequest, RandomBytes, ResponseType};
use loginradius_proto::{App, ChallengeMethod, Dialect, Error, ErrorKind, Service};
use loginradius_testing::speaking;
use sha2::{Digest as _, Sha256};

use crate::fixtures::*;

fn challenge_of(verifier: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

fn names(url: &str) -> Vec<String> {
    parameters(url).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_classic_address_has_everything_once() {
    let [state, verifier, _] = made_of(0);
    let url = begin(&request().scope("profile email"), &classic()).url;
    let challenge = challenge_of(&verifier);
    assert_eq!(
        url,
        format!(
            "https://cloud-api.loginradius.com/sso/oauth/redirect?client_id=my-client-id\
             &redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&scope=profile+email&response_type=code&state={state}\
             &code_challenge={challenge}&code_challenge_method=SHA256"
        )
    );
}

#[test]
fn a_site_address_names_the_app_in_its_path() {
    let url = begin(&request(), &site()).url;
    assert!(
        url.starts_with("https://acme.hub.loginradius.com/service/oauth/my-oauth-app/authorize?client_id="),
        "{url}"
    );
    assert_eq!(parameters(&url), parameters(&begin(&request(), &classic()).url));
    let odd = begin(&request(), &site().with_oauth_app("../a?b#c")).url;
    assert!(odd.contains("/service/oauth/..%2Fa%3Fb%23c/authorize?"), "{odd}");
}

#[test]
fn a_site_needs_the_name_of_the_oauth_app_and_classic_does_not() {
    let bare = App::new("my-client-id");
    begin(&request(), &bare);
    let bare = bare.with_service(site().service().clone());
    refused(
        request().begin(&bare, &random(0), start()),
        ErrorKind::Configuration,
        "Authorize: the OAuth app's name is needed and not set",
    );
}

#[test]
fn an_empty_scope_is_left_out() {
    assert_eq!(parameter(&begin(&request(), &classic()).url, "scope"), None);
    assert_eq!(parameter(&begin(&request().scope(""), &classic()).url, "scope"), None);
    assert_eq!(parameter(&begin(&request().raw_scope(""), &classic()).url, "scope"), None);
}

#[test]
fn the_client_secret_is_never_in_an_address() {
    for app in all_apis() {
        let url = begin(&request(), &app.with_client_secret("s3cret-of-the-client")).url;
        assert!(!url.contains("s3cret"), "{url}");
    }
}

#[test]
fn the_verifier_is_never_in_an_address() {
    for app in all_apis() {
        for kind in [ResponseType::Code, ResponseType::Token, ResponseType::CodeIdTokenToken] {
            let [_, verifier, _] = made_of(0);
            let url = begin(&request().response_type(kind).scope("openid"), &app).url;
            assert!(!url.contains(&verifier), "{url}");
        }
    }
}

#[test]
fn state_verifier_and_nonce_are_the_random_bytes_of_that_login() {
    let request = request().scope("openid");
    for seed in 0..50 {
        let [state, verifier, nonce] = made_of(seed);
        let login = request.begin(&classic(), &random(seed), start()).unwrap();
        assert_eq!(parameter(&login.url, "state"), Some(state.clone()));
        assert_eq!(parameter(&login.url, "nonce"), Some(nonce.clone()));
        assert_eq!(parameter(&login.url, "code_challenge"), Some(challenge_of(&verifier)));
        assert_eq!(login.pending.nonce(), Some(nonce.as_str()));
        let mut pending = login.pending;
        let authorized = accept(&mut pending, &format!("code=c0de&state={state}")).unwrap();
        assert_eq!(redeemed(authorized), Some(("c0de".to_owned(), verifier)));
    }
}

#[test]
fn a_login_without_openid_sends_no_nonce() {
    for scope in ["", "profile", "openidx", "xopenid profile", "OPENID"] {
        let login = begin(&request().scope(scope), &classic());
        assert_eq!(parameter(&login.url, "nonce"), None, "{scope}");
        assert_eq!(login.pending.nonce(), None, "{scope}");
    }
}

#[test]
fn openid_in_either_kind_of_scope_sends_a_nonce() {
    let requests = [
        request().scope("openid"),
        request().scope("profile openid"),
        request().raw_scope("openid"),
        request().raw_scope("profile+openid"),
        request().raw_scope("openid%20profile&action=login"),
    ];
    for request in requests {
        let login = begin(&request, &classic());
        assert!(parameter(&login.url, "nonce").is_some(), "{}", login.url);
        assert_eq!(login.pending.nonce().map(str::to_owned), parameter(&login.url, "nonce"));
    }
    // A parameter after the scope is no scope.
    assert_eq!(parameter(&begin(&request().raw_scope("profile&x=openid"), &classic()).url, "nonce"), None);
    assert_eq!(parameter(&begin(&request().raw_scope("profile&x=a+openid"), &classic()).url, "nonce"), None);
}

#[test]
fn every_response_type_is_written_with_spaces_and_sends_what_it_needs() {
    use ResponseType::{Code, CodeIdToken, CodeIdTokenToken, CodeToken, IdToken, IdTokenToken, Token};
    let rows = [
        (Code, "code", true, false),
        (Token, "token", false, false),
        (CodeToken, "code token", true, false),
        (IdToken, "id_token", false, true),
        (CodeIdToken, "code id_token", true, true),
        (IdTokenToken, "id_token token", false, true),
        (CodeIdTokenToken, "code id_token token", true, true),
    ];
    for app in all_apis() {
        for (kind, written, challenged, nonce) in rows {
            let url = begin(&request().response_type(kind), &app).url;
            assert_eq!(parameter(&url, "response_type").as_deref(), Some(written));
            assert_eq!(kind.as_str(), written);
            assert_eq!(parameter(&url, "code_challenge").is_some(), challenged, "{written}");
            assert_eq!(parameter(&url, "code_challenge_method").is_some(), challenged, "{written}");
            assert_eq!(parameter(&url, "nonce").is_some(), nonce, "{written}");
            assert!(parameter(&url, "state").is_some());
        }
    }
    assert_eq!(ResponseType::default(), Code);
}

#[test]
fn the_challenge_is_the_same_under_every_name_of_its_method() {
    let [_, verifier, _] = made_of(0);
    for (method, name) in [
        (ChallengeMethod::Sha256, Some("SHA256")),
        (ChallengeMethod::S256, Some("S256")),
        (ChallengeMethod::Omitted, None),
    ] {
        let app = speaking(&classic(), Dialect::new().with_challenge_method(method));
        let url = begin(&request(), &app).url;
        assert_eq!(parameter(&url, "code_challenge_method").as_deref(), name);
        assert_eq!(parameter(&url, "code_challenge"), Some(challenge_of(&verifier)));
    }
    for (app, name) in [(classic(), "SHA256"), (site(), "SHA256"), (oidc(), "S256"), (classic_oidc(), "SHA256")] {
        let url = begin(&request(), &app).url;
        assert_eq!(parameter(&url, "code_challenge_method").as_deref(), Some(name), "{app:?}");
    }
}

#[test]
fn a_scope_is_encoded_once_and_stays_one_parameter() {
    for scope in
        ["profile email", "a&state=x", "a=b&redirect_uri=https://evil.example/", "100%", "a+b", "%26", "ä€😀", "#x"]
    {
        let url = begin(&request().scope(scope), &classic()).url;
        assert_eq!(parameter(&url, "scope").as_deref(), Some(scope));
        assert_eq!(names(&url).len(), 7, "{url}");
        assert_eq!(parameter(&url, "redirect_uri").as_deref(), Some(ADDRESS));
    }
}

#[test]
fn a_raw_scope_stands_in_the_address_as_it_is() {
    let raw = "profile&action=login&registration_url=https%253A%252F%252Fwww.abc.com";
    let url = begin(&request().raw_scope(raw), &classic()).url;
    assert!(url.ends_with(&format!("&scope={raw}")), "{url}");
    assert_eq!(parameter(&url, "action").as_deref(), Some("login"));
    assert_eq!(parameter(&url, "registration_url").as_deref(), Some("https%3A%2F%2Fwww.abc.com"));
    // The last word counts.
    assert_eq!(parameter(&begin(&request().raw_scope("x").scope("a b"), &classic()).url, "scope").unwrap(), "a b");
    assert_eq!(parameter(&begin(&request().scope("a b").raw_scope("x"), &classic()).url, "scope").unwrap(), "x");
}

const RESERVED_PARAMS: [&str; 10] = [
    "client_id",
    "redirect_uri",
    "scope",
    "response_type",
    "state",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "client_secret",
    "code_verifier",
];

#[test]
fn no_parameter_of_ours_can_be_set_a_second_time() {
    for name in RESERVED_PARAMS {
        let outcome = request().parameter(name, "x").begin(&classic(), &random(0), start());
        refused(outcome, ErrorKind::Configuration, &format!("the parameter `{name}` cannot be set by the program"));
    }
}

#[test]
fn a_parameter_has_a_name_that_can_be_sent() {
    let why = "the name of a parameter is empty or contains a control character: correct the name";
    for (name, encoded) in [("", ""), ("a\nb", "a%0ab"), ("\0", "%00"), ("a\u{7f}", "a%7f"), ("\u{85}", "%c2%85")] {
        for request in [
            request().parameter(name, "x"),
            request().parameter(name, "x\n"),
            request().raw_scope(format!("openid&{encoded}=x")),
        ] {
            refused(request.begin(&classic(), &random(0), start()), ErrorKind::Configuration, why);
        }
    }
}

#[test]
fn no_parameter_of_ours_can_be_smuggled_in_by_a_raw_scope() {
    for name in RESERVED_PARAMS {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for raw in [format!("a&{name}=x"), format!("&{name}"), format!("a&b=c&{encoded}=x"), format!("a&&{name}=x&d=e")]
        {
            let outcome = request().raw_scope(raw).begin(&classic(), &random(0), start());
            refused(outcome, ErrorKind::Configuration, &format!("the parameter `{name}` cannot be set by the program"));
        }
    }
}

#[test]
fn no_parameter_of_ours_can_be_set_in_other_letters() {
    // LoginRadius's samples write `Scope`, `apiKey` and `jwtApp` for the same parameters.
    for name in RESERVED_PARAMS {
        let upper = name.to_ascii_uppercase();
        let mixed = format!("{}{}", upper.get(..1).unwrap(), name.get(1..).unwrap());
        for name in [upper, mixed] {
            refused(
                request().parameter(&name, "x").begin(&classic(), &random(0), start()),
                ErrorKind::Configuration,
                "parameter",
            );
            let raw = request().raw_scope(format!("a&{name}=x"));
            refused(
                raw.begin(&classic(), &random(0), start()),
                ErrorKind::Configuration,
                "cannot be set by the program",
            );
        }
    }
}

#[test]
fn a_raw_scope_cannot_end_the_query_or_be_no_part_of_an_address() {
    for raw in [
        "a#b", "a b", "a\n", "a\0b", "ä", "a\u{7f}", "<", "\"", "a`", "{}", "a|b", "^", "\\", "[x]", "%", "%2", "a%zz",
        "%%20", "a&b=%",
    ] {
        let outcome = request().raw_scope(raw).begin(&classic(), &random(0), start());
        refused(
            outcome,
            ErrorKind::Configuration,
            "the raw scope is not percent-encoded as the query of a URL has to be",
        );
    }
}

#[test]
fn other_parameters_are_encoded_once() {
    let url = begin(&request().parameter("login_hint", "a&state=b #ä+").parameter("x y&z", "1"), &classic()).url;
    assert_eq!(parameter(&url, "login_hint").as_deref(), Some("a&state=b #ä+"));
    assert_eq!(parameter(&url, "x y&z").as_deref(), Some("1"));
    assert_eq!(names(&url).len(), 8, "{url}");
}

#[test]
fn a_parameter_occurs_once_but_for_a_resource() {
    let twice = [
        request().parameter("a", "1").parameter("a", "2"),
        request().parameter("prompt", "1").parameter("Prompt", "1"),
        request().raw_scope("x&prompt=1&prompt=2"),
        request().raw_scope("x&action=1").parameter("action", "2"),
        request().parameter("action", "2").raw_scope("x&a%63tion=1"),
    ];
    for request in twice {
        refused(
            request.begin(&classic(), &random(0), start()),
            ErrorKind::Configuration,
            "occurs twice: leave one out",
        );
    }
    // RFC 8707, section 2.
    let url = begin(&request().parameter("resource", "urn:a").parameter("resource", "urn:b"), &classic()).url;
    let resources: Vec<_> = parameters(&url).into_iter().filter(|(name, _)| name == "resource").collect();
    assert_eq!(resources, [("resource".into(), "urn:a".into()), ("resource".into(), "urn:b".into())]);
}

#[test]
fn settings_that_cannot_be_sent_are_named() {
    let begin =
        |request: loginradius_proto::browser::AuthorizationRequest, app: &App| request.begin(app, &random(0), start());
    refused(begin(request(), &App::new("")), ErrorKind::Configuration, "`client_id` is empty");
    refused(begin(request(), &App::new(" id")), ErrorKind::Configuration, "`client_id` begins or ends with a space");
    refused(
        begin(request().scope("a\nb"), &classic()),
        ErrorKind::Configuration,
        "`scope` contains a control character",
    );
    refused(begin(request().parameter("prompt", ""), &classic()), ErrorKind::Configuration, "`prompt` is empty");
    refused(
        begin(request().parameter("prompt", "a\r"), &classic()),
        ErrorKind::Configuration,
        "`prompt` contains a control",
    );
    let long = "x".repeat(70_000);
    refused(begin(request().scope(long), &classic()), ErrorKind::Configuration, "too long");
}

#[test]
fn bytes_that_are_obviously_not_random_are_refused() {
    let mut copied = bytes(0);
    let (first, rest) = copied.split_at_mut(32);
    rest[..32].copy_from_slice(first);
    let mut thrice = copied;
    let first: [u8; 32] = std::array::from_fn(|at| copied[at]);
    thrice[64..].copy_from_slice(&first);
    let mut outer = bytes(0);
    outer.copy_within(..32, 64);
    let mut later = bytes(0);
    later.copy_within(32..64, 64);
    let mut half = bytes(0);
    half[48..].fill(0);
    // The verifier would stand in the address, as the state.
    for bytes in [[0; 96], [0xff; 96], copied, thrice, outer, later, half] {
        refused(RandomBytes::new(bytes), ErrorKind::Misuse, "random bytes");
    }
}

#[test]
fn the_receiver_learns_the_address_that_it_waits_at() {
    assert_eq!(request().redirect_uri(), ADDRESS);
    assert_eq!(loginradius_proto::browser::JwtRedirect::new(ADDRESS, "token").redirect_uri(), ADDRESS);
}

#[test]
fn a_gateway_or_an_emulator_is_opened_where_it_is() {
    let url = "http://127.0.0.1:8710/lr";
    let gateway = |app: App, service: fn(&str) -> Result<Service, Error>| {
        begin(&request(), &app.with_service(service(url).unwrap())).url
    };
    assert!(gateway(classic(), Service::classic_at).starts_with("http://127.0.0.1:8710/lr/sso/oauth/redirect?"));
    assert!(
        gateway(site(), Service::site_at).starts_with("http://127.0.0.1:8710/lr/service/oauth/my-oauth-app/authorize?")
    );
}
