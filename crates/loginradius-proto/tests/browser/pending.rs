//! A login that waits: consumed by its own callback, once, within ten minutes, and by nothing else.

use std::time::{Duration, SystemTime};

use loginradius_proto::browser::{BrowserRequest, Callback, JwtRedirect, Pending, PendingLogin, ResponseType};
use loginradius_proto::session::Now;
use loginradius_proto::{App, Dialect, ErrorKind};
use loginradius_testing::speaking;

use crate::fixtures::*;

#[test]
fn the_callback_of_a_login_yields_its_code_and_its_verifier() {
    let [state, verifier, _] = made_of(0);
    for app in all_apis() {
        let mut pending = begin(&request(), &app).pending;
        let authorized = accept(&mut pending, &format!("code=the+c%6fde%21&state={state}")).unwrap();
        assert_eq!(redeemed(authorized), Some(("the code!".to_owned(), verifier.clone())));
    }
}

#[test]
fn a_callback_without_a_state_is_refused_and_changes_nothing() {
    let (mut pending, state) = waiting(&request());
    for text in ["", "code=x", "code=x&state", "code=x&state=", "error=access_denied", "code=x&State=", "%00"] {
        refused(
            accept(&mut pending, text),
            ErrorKind::StateMismatch,
            "Authorize: the callback has no state, or several, so it is not this login's: pass on the whole query, or",
        );
    }
    refused(accept(&mut pending, &format!("code=x&STATE={state}")), ErrorKind::StateMismatch, "has no state");
    still_waits(&mut pending, &format!("code=x&state={state}"));
}

#[test]
fn a_callback_with_another_state_is_refused_and_changes_nothing() {
    let (mut pending, state) = waiting(&request());
    let [others, ..] = made_of(1);
    let mut near = vec![
        others,
        state[..42].to_owned(),
        format!("{state}A"),
        format!("A{state}"),
        state.to_ascii_lowercase(),
        state.to_ascii_uppercase(),
        format!("{state}%00"),
        format!("+{state}"),
        format!("{state}+"),
        format!("{state}="),
        state.chars().rev().collect(),
    ];
    near.extend((0..state.len()).map(|at| {
        let mut wrong = state.clone().into_bytes();
        wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(wrong).unwrap()
    }));
    for wrong in near {
        assert_ne!(wrong, state);
        for text in [format!("code=x&state={wrong}"), format!("error=access_denied&state={wrong}")] {
            refused(accept(&mut pending, &text), ErrorKind::StateMismatch, "keep waiting");
        }
    }
    still_waits(&mut pending, &format!("code=x&state={state}"));
}

#[test]
fn two_states_are_none_even_if_one_of_them_is_right() {
    let (mut pending, state) = waiting(&request());
    for text in [
        format!("code=x&state={state}&state={state}"),
        format!("code=x&state=&state={state}"),
        format!("code=x&state={state}&state"),
        format!("state=evil&code=x&state={state}"),
        format!("code=x&state={state}&st%61te=evil"),
    ] {
        refused(accept(&mut pending, &text), ErrorKind::StateMismatch, "keep waiting");
    }
    still_waits(&mut pending, &format!("code=x&state={state}"));
}

#[test]
fn the_verifier_or_the_nonce_is_no_state() {
    let mut pending = begin(&request().scope("openid"), &classic()).pending;
    let [state, verifier, nonce] = made_of(0);
    for wrong in [verifier, nonce] {
        refused(accept(&mut pending, &format!("code=x&state={wrong}")), ErrorKind::StateMismatch, "keep waiting");
    }
    still_waits(&mut pending, &format!("code=x&state={state}"));
}

#[test]
fn a_callback_counts_once() {
    let (mut pending, state) = waiting(&request());
    let text = format!("code=x&state={state}");
    accept(&mut pending, &text).unwrap();
    for again in [
        text,
        format!("code=another&state={state}"),
        format!("error=access_denied&state={state}"),
        format!("state={state}"),
    ] {
        refused(
            accept(&mut pending, &again),
            ErrorKind::AlreadyCompleted,
            "a callback of this login was already used: begin a new login",
        );
    }
    // The callback of another login still is one.
    refused(accept(&mut pending, "code=x&state=y"), ErrorKind::StateMismatch, "keep waiting");
}

#[test]
fn its_callback_consumes_a_login_whatever_it_says() {
    for (rest, kind) in [
        ("", ErrorKind::InvalidResponse),
        ("&code=", ErrorKind::InvalidResponse),
        ("&code=a&code=b", ErrorKind::InvalidResponse),
        ("&error=access_denied", ErrorKind::Denied),
        ("&error=server_error&code=a", ErrorKind::Unavailable),
        ("&error=a&error=b", ErrorKind::InvalidResponse),
        ("&iss=https://evil.example&code=a", ErrorKind::InvalidResponse),
    ] {
        let (mut pending, state) = waiting(&request().issuer("https://honest.example"));
        refused(accept(&mut pending, &format!("state={state}{rest}")), kind, "Authorize: ");
        refused(
            accept(&mut pending, &format!("state={state}&code=a")),
            ErrorKind::AlreadyCompleted,
            "was already used",
        );
    }
}

fn accept_at(at: SystemTime) -> Result<(), ErrorKind> {
    let (mut pending, state) = waiting(&request());
    let outcome = pending.accept(&query(&format!("code=x&state={state}")), at).map(drop).map_err(|error| error.kind());
    // In every case, that was its callback.
    refused(accept(&mut pending, &format!("code=x&state={state}")), ErrorKind::AlreadyCompleted, "was already used");
    outcome
}

#[test]
fn a_login_is_valid_for_ten_minutes() {
    let millisecond = Duration::from_millis(1);
    assert_eq!(accept_at(start()), Ok(()));
    assert_eq!(accept_at(start() + 10 * MINUTE - millisecond), Ok(()));
    for late in [10 * MINUTE, 10 * MINUTE + millisecond, 11 * MINUTE, Duration::from_secs(1 << 40)] {
        assert_eq!(accept_at(start() + late), Err(ErrorKind::Expired), "{late:?}");
    }
    let (mut pending, state) = waiting(&request());
    let late = pending.accept(&query(&format!("code=x&state={state}")), start() + 10 * MINUTE);
    refused(late, ErrorKind::Expired, "Authorize: the callback came more than 10 minutes after");
}

#[test]
fn a_clock_that_is_set_back_gives_no_more_than_ten_minutes() {
    assert_eq!(accept_at(start() - 9 * MINUTE), Ok(()));
    for early in [10 * MINUTE, 60 * MINUTE, Duration::from_secs(1_700_000_000), Duration::from_secs(1_700_000_001)] {
        assert_eq!(accept_at(start() - early), Err(ErrorKind::Expired), "{early:?}");
    }
}

/// As when the network time arrives, or the user corrects the clock, while the browser is open.
#[test]
fn a_clock_that_is_set_does_not_matter_in_one_process() {
    let (began, hour) = (Now::new(loginradius_testing::start(), start()), 60 * MINUTE);
    let walls =
        [start(), start() - hour, start() + hour, start() + 10 * MINUTE, start() - 24 * hour, SystemTime::UNIX_EPOCH];
    let begin = |api: &App| request().begin(api, &random(0), began).unwrap().pending;
    let [state, _, nonce] = made_of(0);
    let right = query(&format!("code=x&state={state}"));
    for wall in walls {
        for (elapsed, expected) in [
            (Duration::ZERO, Ok(())),
            (MINUTE, Ok(())),
            (10 * MINUTE - Duration::from_nanos(1), Ok(())),
            (10 * MINUTE, Err(ErrorKind::Expired)),
            (hour, Err(ErrorKind::Expired)),
        ] {
            let now = Now::new(began.monotonic + elapsed, wall);
            for api in all_apis() {
                let accepted = begin(&api).accept(&right, now).map(drop).map_err(|error| error.kind());
                assert_eq!(accepted, expected, "{elapsed:?} {wall:?}");
                let jwt = jwt_with(&format!(r#"{{"nonce":"{nonce}"}}"#));
                let mut pending = JwtRedirect::new(ADDRESS, "token").begin(&api, &random(0), began).unwrap().pending;
                let callback = query(&format!("token={jwt}&state={state}"));
                let accepted = pending.accept(&callback, now).map(drop).map_err(|error| error.kind());
                assert_eq!(accepted, expected, "{elapsed:?} {wall:?}");
            }
        }
        // An instant before the beginning, which some machines have shown, is the beginning.
        let early = Now::new(began.monotonic - MINUTE, wall);
        assert!(begin(&classic()).accept(&right, early).is_ok());
        // Of another process, or of a program that has told one clock alone, only the wall clock counts.
        let now = Now::new(began.monotonic + MINUTE, wall);
        let in_time = wall == start();
        let mut stored = PendingLogin::from_json(&begin(&classic()).to_json()).unwrap();
        assert_eq!(stored.accept(&right, now).is_ok(), in_time, "{wall:?}");
        assert_eq!(begin(&classic()).accept(&right, wall).is_ok(), in_time, "{wall:?}");
        assert_eq!(waiting(&request()).0.accept(&right, now).is_ok(), in_time, "{wall:?}");
    }
    // It is stored with the wall clock, as ever.
    let (by_wall, _) = waiting(&request());
    assert_eq!(begin(&classic()).to_json(), by_wall.to_json());
    assert_eq!(begin(&classic()).expires_at(), start() + 10 * MINUTE);
}

#[test]
fn the_ten_minutes_hold_at_every_api_and_for_a_jwt() {
    for (at, taken) in [(10 * MINUTE, false), (10 * MINUTE - SECOND, true)] {
        for app in all_apis() {
            let mut pending = begin(&request(), &app).pending;
            let [state, ..] = made_of(0);
            assert_eq!(pending.accept(&query(&format!("code=x&state={state}")), start() + at).is_ok(), taken);
        }
        for (mut pending, right) in jwt_waiting("token") {
            match pending.accept(&query(&right), start() + at) {
                Ok(_) => assert!(taken),
                Err(error) => assert!(!taken && error.kind() == ErrorKind::Expired, "{error}"),
            }
            refused(accept(&mut pending, &right), ErrorKind::AlreadyCompleted, "was already used");
        }
    }
}

#[test]
fn a_login_of_before_1970_or_of_the_far_future_does_not_panic() {
    for began in [SystemTime::UNIX_EPOCH - MINUTE, SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 55)] {
        let login = request().begin(&classic(), &random(0), began).unwrap();
        let mut pending = login.pending;
        let [state, ..] = made_of(0);
        pending.accept(&query(&format!("code=x&state={state}")), began + SECOND).unwrap();
    }
}

#[test]
fn two_tabs_do_not_take_each_others_callbacks() {
    let mut tabs: Vec<_> =
        (0..4).map(|seed| request().begin(&classic(), &random(seed), start()).unwrap().pending).collect();
    let states: Vec<String> = tabs.iter().map(|tab| tab.expose_state().to_owned()).collect();
    for (at, tab) in tabs.iter_mut().enumerate() {
        for (other, state) in states.iter().enumerate().filter(|(other, _)| *other != at) {
            refused(accept(tab, &format!("code=of-{other}&state={state}")), ErrorKind::StateMismatch, "keep waiting");
        }
    }
    for (at, tab) in tabs.iter_mut().enumerate() {
        let authorized = accept(tab, &format!("code=of-{at}&state={}", states[at])).unwrap();
        let [_, verifier, _] = made_of(at as u64);
        assert_eq!(redeemed(authorized), Some((format!("of-{at}"), verifier)));
    }
}

#[test]
fn the_state_of_a_callback_finds_the_login_that_waits() {
    let (pending, state) = waiting(&request());
    assert_eq!(query(&format!("code=x&state={state}")).state(), Some(pending.expose_state()));
    assert_eq!(query("code=x").state(), None);
    assert_eq!(query("state=").state(), None);
    assert_eq!(query("state=a&state=a").state(), None);
}

#[test]
fn nothing_is_yielded_that_was_not_requested() {
    use ResponseType::{Code, CodeIdToken, CodeIdTokenToken, CodeToken, IdToken, IdTokenToken, Token};
    for kind in [Code, Token, CodeToken, IdToken, CodeIdToken, IdTokenToken, CodeIdTokenToken] {
        let requested = |what: &str| kind.as_str().split(' ').any(|part| part == what);
        for token in ["token", "access_token"] {
            let (mut pending, state) = waiting(&request().response_type(kind));
            let all = format!("state={state}&code=C&{token}=T&id_token=I&jwt=J&refresh_token=R&expires_in=60");
            let authorized = accept(&mut pending, &all).unwrap();
            if let Some(tokens) = &authorized.tokens {
                assert!(tokens.refresh_token.is_none() && tokens.id_token.is_none());
                assert_eq!(tokens.expires_in, Some(MINUTE));
            }
            let expected = Credentials {
                code: requested("code").then(|| "C".to_owned()),
                token: requested("token").then(|| "T".to_owned()),
                id_token: requested("id_token").then(|| "I".to_owned()),
            };
            assert_eq!(credentials(authorized), expected, "{kind:?}");
        }
    }
}

#[test]
fn a_token_that_is_smuggled_into_a_code_flow_is_dropped() {
    for injected in
        ["token=evil", "access_token=evil", "id_token=evil", "token=evil&token=evil", "token=a&access_token=b"]
    {
        let (mut pending, state) = waiting(&request());
        let authorized = accept(&mut pending, &format!("code=c&{injected}&state={state}")).unwrap();
        assert_eq!(credentials(authorized), Credentials { code: Some("c".to_owned()), ..Credentials::default() });
        // Nor does it replace the code.
        let (mut pending, state) = waiting(&request());
        refused(
            accept(&mut pending, &format!("{injected}&state={state}")),
            ErrorKind::InvalidResponse,
            "the callback lacks `code`",
        );
    }
}

#[test]
fn a_code_that_is_smuggled_into_a_token_flow_is_dropped() {
    let (mut pending, state) = waiting(&request().response_type(ResponseType::Token));
    let authorized = accept(&mut pending, &format!("token=t&code=evil&state={state}")).unwrap();
    assert_eq!(credentials(authorized), Credentials { token: Some("t".to_owned()), ..Credentials::default() });
}

#[test]
fn what_was_requested_has_to_be_there() {
    use ResponseType::{CodeIdTokenToken, IdToken, Token};
    for (kind, rest, lacks) in [
        (ResponseType::Code, "", "lacks `code`"),
        (Token, "&code=c", "lacks `token` or `access_token`"),
        (IdToken, "&token=t", "lacks `id_token`"),
        (CodeIdTokenToken, "&code=c&token=t", "lacks `id_token`"),
        (CodeIdTokenToken, "&code=c&id_token=i", "lacks `token` or `access_token`"),
        (CodeIdTokenToken, "&token=t&id_token=i", "lacks `code`"),
        (CodeIdTokenToken, "&code=&token=t&id_token=i", "lacks `code`"),
    ] {
        let (mut pending, state) = waiting(&request().response_type(kind));
        refused(accept(&mut pending, &format!("state={state}{rest}")), ErrorKind::InvalidResponse, lacks);
    }
}

#[test]
fn what_was_requested_and_comes_twice_is_refused() {
    for twice in ["code=a&code=b", "code=a&code=a", "code=&code=a", "code=a&code=", "code=a&code", "code=a&c%6fde=b"] {
        let (mut pending, state) = waiting(&request());
        refused(
            accept(&mut pending, &format!("state={state}&{twice}")),
            ErrorKind::InvalidResponse,
            "has `code` more than once",
        );
    }
    for (kind, twice, named) in [
        (ResponseType::Token, "token=a&token=b", "`token` more than once"),
        (ResponseType::Token, "access_token=a&access_token=b", "`access_token` more than once"),
        (ResponseType::Token, "token=a&access_token=a", "has both `token` and `access_token`"),
        (ResponseType::IdToken, "id_token=a&id_token=b", "`id_token` more than once"),
        (ResponseType::Token, "token=a&expires_in=1&expires_in=2", "`expires_in` more than once"),
        (ResponseType::Token, "token=a&scope=1&scope=2", "`scope` more than once"),
        (ResponseType::Token, "token=a&token_type=1&token_type=2", "`token_type` more than once"),
        (ResponseType::Code, "code=a&error=a&error=b", "`error` more than once"),
        (ResponseType::Code, "error=x&error_description=a&error_description=b", "`error_description` more than once"),
    ] {
        let (mut pending, state) = waiting(&request().response_type(kind));
        refused(accept(&mut pending, &format!("{twice}&state={state}")), ErrorKind::InvalidResponse, named);
    }
}

#[test]
fn tokens_come_with_their_lifetime_type_and_scope() {
    let read = |rest: &str| {
        let (mut pending, state) = waiting(&request().response_type(ResponseType::Token));
        accept(&mut pending, &format!("token=t&state={state}{rest}")).unwrap().tokens.unwrap()
    };
    let tokens = read("&expires_in=3600&token_type=Bearer&scope=a+b");
    assert_eq!(tokens.expires_in, Some(60 * MINUTE));
    assert_eq!((tokens.token_type.as_deref(), tokens.scope.as_deref()), (Some("Bearer"), Some("a b")));
    for unreadable in ["", "&expires_in=", "&expires_in=soon", "&expires_in=-", "&expires_in=99999999999999999999"] {
        assert_eq!(read(unreadable).expires_in, None, "{unreadable}");
    }
    for over in ["0", "-1", "-3600"] {
        assert_eq!(read(&format!("&expires_in={over}")).expires_in, Some(Duration::ZERO), "{over}");
    }
    assert_eq!(read("&expires_in=18446744073709551615").expires_in, Some(Duration::from_secs(u64::MAX)));
}

#[test]
fn a_token_or_a_code_with_characters_that_none_has_is_refused() {
    let rows = [
        (ResponseType::Code, "code", ""),
        (ResponseType::Token, "token", ""),
        (ResponseType::Token, "access_token", ""),
        (ResponseType::IdToken, "id_token", ""),
        (ResponseType::Token, "token_type", "&token=t"),
        (ResponseType::Token, "scope", "&token=t"),
    ];
    for (kind, name, rest) in rows {
        let read = |value: &str| {
            let (mut pending, state) = waiting(&request().response_type(kind));
            accept(&mut pending, &format!("state={state}&{name}={value}{rest}"))
        };
        read("a~%20b").unwrap();
        for bad in ["%00", "%0A", "%1b[31m", "%7f", "%C2%9B", "%E2%80%AE", "%EF%BB%BF", "%E2%80%8B"] {
            for value in [format!("{bad}ab"), format!("a{bad}b"), format!("ab{bad}")] {
                let text = "has a character that is not allowed in it, such as a control character";
                let error = refused(read(&value), ErrorKind::InvalidResponse, text);
                assert!(error.to_string().contains(&format!("`{name}`")), "{name}: {error}");
            }
        }
    }
}

#[test]
fn the_issuer_is_checked_if_one_is_expected() {
    const HONEST: &str = "https://honest.example";
    let with = |required: bool, rest: &str| {
        let request = if required { request().require_issuer(HONEST) } else { request().issuer(HONEST) };
        let (mut pending, state) = waiting(&request);
        accept(&mut pending, &format!("code=c&state={state}{rest}"))
    };
    for required in [false, true] {
        with(required, "&iss=https%3A%2F%2Fhonest.example").unwrap();
        for other in [
            "https://evil.example",
            "https://honest.example/",
            "HTTPS://honest.example",
            "https://honest.example%00",
            "https://honest.example%0A",
            "https://honest.example%0D%0Aset-cookie:a",
            "%00https://honest.example",
            "https://honest%1B.example",
            "https://honest.example%7F",
            "https://honest.example%C2%9B",
            "https://honest.example%E2%80%AE",
            "%EF%BB%BFhttps://honest.example",
            "%00",
            "https://honest.exampl",
            "h",
            "x",
        ] {
            let error =
                refused(with(required, &format!("&iss={other}")), ErrorKind::InvalidResponse, "is of another issuer");
            assert!(!error.to_string().contains("evil"), "{error}");
        }
        refused(with(required, "&iss=a&iss=b"), ErrorKind::InvalidResponse, "`iss` more than once");
        refused(
            with(required, "&iss=https://honest.example&iss=https://honest.example"),
            ErrorKind::InvalidResponse,
            "`iss` more than once",
        );
        // RFC 9207, section 2.4: also of an error.
        refused(with(required, "&iss=x&error=access_denied"), ErrorKind::InvalidResponse, "is of another issuer");
    }
    for none in ["", "&iss=", "&ISS=https://honest.example"] {
        with(false, none).unwrap();
        refused(with(true, none), ErrorKind::InvalidResponse, "names no issuer");
    }
    refused(with(true, "&error=access_denied"), ErrorKind::InvalidResponse, "names no issuer");
    // No issuer is expected.
    let (mut pending, state) = waiting(&request());
    accept(&mut pending, &format!("code=c&state={state}&iss=https://any.example")).unwrap();
}

/// Errors print the issuer that was expected.
#[test]
fn an_issuer_that_no_server_has_cannot_be_expected() {
    let good = ["https://honest.example", "https://honest.example/a?b=c", "i"];
    let bad = ["", " ", "https://honest example", "https://honest.example ", "https://honest\u{a0}.example"];
    let controls = ["\0", "\t", "\n", "\r", "\u{1b}", "\u{7f}", "\u{9b}", "\u{202e}", "\u{200b}", "\u{feff}"];
    let controls = controls.iter().flat_map(|c| [format!("{c}i"), format!("https://a{c}b.example"), format!("i{c}")]);
    for required in [false, true] {
        let begin = |issuer: &str| {
            let request = if required { request().require_issuer(issuer) } else { request().issuer(issuer) };
            request.begin(&classic(), &random(0), start())
        };
        good.iter().for_each(|issuer| drop(begin(issuer).unwrap()));
        for issuer in bad.iter().map(|issuer| (*issuer).to_owned()).chain(controls.clone()) {
            let error =
                refused(begin(&issuer), ErrorKind::Configuration, "the expected issuer is empty, or has a space");
            assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
        }
    }
}

#[test]
fn the_exchange_is_written_in_the_dialect_of_the_service() {
    use loginradius_proto::Endpoint as _;
    let body = |dialect| {
        let (mut pending, state) = waiting(&request());
        let exchange = accept(&mut pending, &format!("code=c&state={state}")).unwrap().exchange().unwrap();
        let request = exchange.request(&speaking(&classic(), dialect)).unwrap();
        format!("?{}", std::str::from_utf8(request.body().as_bytes()).unwrap())
    };
    let plain = body(Dialect::new());
    assert_eq!(parameter(&plain, "grant_type"), None);
    assert_eq!(parameter(&plain, "response_type").as_deref(), Some("token"));
    assert_eq!(
        parameter(&body(Dialect::new().with_grant_type_of_code(true)), "grant_type").as_deref(),
        Some("authorization_code")
    );
    assert_eq!(parameter(&body(Dialect::new().without_response_type()), "response_type"), None);
    assert!(parameter(&plain, "client_secret").is_none());
    assert_eq!(parameter(&plain, "redirect_uri").as_deref(), Some(ADDRESS));
}

#[test]
fn a_flow_without_a_code_has_no_exchange() {
    let (mut pending, state) = waiting(&request().response_type(ResponseType::Token));
    assert!(accept(&mut pending, &format!("token=t&code=c&state={state}")).unwrap().exchange().is_none());
}

#[test]
fn every_kind_of_callback_is_accepted_alike() {
    let state = made_of(0)[0].clone();
    let text = format!("code=c&state={state}");
    let callbacks = [
        Callback::from_query(&text),
        Callback::from_query(&format!("?{text}")),
        Callback::from_fragment(&format!("#{text}")),
        Callback::from_fragment(&text),
        Callback::from_form("", text.as_bytes()),
        Callback::from_form(&text, b""),
        Callback::from_form(&format!("?state={state}"), b"code=c"),
        Callback::from_url(&format!("{ADDRESS}?{text}")),
        Callback::from_url(&format!("{ADDRESS}#{text}")),
        Callback::from_url(&format!("/callback?state={state}#code=c")),
    ];
    for callback in callbacks {
        let (mut pending, _) = waiting(&request());
        let authorized = pending.accept(&callback.unwrap(), start()).unwrap();
        assert_eq!(credentials(authorized).code.as_deref(), Some("c"));
    }
}

#[test]
fn a_login_says_when_it_can_be_thrown_away() {
    let (pending, _) = waiting(&request());
    assert_eq!(pending.expires_at(), start() + 10 * MINUTE);
    for (pending, _) in jwt_waiting("token") {
        assert_eq!(pending.expires_at(), start() + 10 * MINUTE);
    }
    let stored = loginradius_proto::browser::PendingLogin::from_json(&pending.to_json()).unwrap();
    assert_eq!(stored.expires_at(), start() + 10 * MINUTE);
    let far = request().begin(&classic(), &random(0), SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 60)).unwrap();
    let _ = far.pending.expires_at();
}
