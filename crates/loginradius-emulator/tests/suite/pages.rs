//! The pages on which a user approves a device, by their forms.

use std::time::Duration;

use loginradius_emulator::seeded::{self, User};
use loginradius_emulator::{Emulator, GrantState};

use crate::browser::Browser;
use crate::http::{ID, Response, device_code, get, host, poll, post, send};

fn at_confirm<'a>(emulator: &'a Emulator, user_code: &str) -> Browser<'a> {
    let mut browser = Browser::open(emulator, "/device");
    browser.enter(user_code);
    browser.sign_in(seeded::ADA.email, seeded::ADA.password);
    browser.is_at("/device/confirm");
    browser
}

fn started() -> (Emulator, Response) {
    let emulator = Emulator::builder().manual_clock().start().unwrap();
    let grant = device_code(&emulator);
    (emulator, grant)
}

#[test]
fn the_user_allows_a_device() {
    let (emulator, grant) = started();
    let user_code = grant.text("user_code");
    let mut browser = Browser::open(&emulator, "/device");
    assert!(browser.page.body.contains("name=\"viewport\""));
    browser.enter(&user_code.to_lowercase().replace('-', " "));
    browser.is_at("/device/sign-in");
    assert!(browser.page.body.contains(&user_code));
    assert!(browser.page.body.contains(seeded::ADA.email));
    assert!(browser.page.body.contains(seeded::ADA.password));
    browser.sign_in(seeded::ADA.phone, seeded::ADA.password);
    browser.is_at("/device/confirm");
    let shown =
        [user_code.as_str(), seeded::OAUTH_APP, seeded::CLIENT_ID, "email, profile", "Ada Example", seeded::ADA.email];
    for text in shown {
        assert!(browser.page.body.contains(text), "{text}: {}", browser.page.body);
    }
    assert_eq!(emulator.device_grants()[0].state, GrantState::Pending);
    browser.submit("/device/decide", &[("decision", "allow")]);
    browser.is_at("/device/result");
    assert!(browser.page.body.contains("id=\"result\" data-outcome=\"allowed\""));
    assert_eq!(poll(&emulator, &grant.text("device_code")).status, 200);
    assert_eq!(emulator.live_logins_of(seeded::ADA.email).len(), 1);
    // Reloading changes nothing.
    browser.go("/device/result");
    assert!(browser.page.body.contains("data-outcome=\"allowed\""));
}

#[test]
fn the_user_denies_a_device() {
    let (emulator, grant) = started();
    let mut browser = at_confirm(&emulator, &grant.text("user_code"));
    browser.submit("/device/decide", &[("decision", "deny")]);
    assert!(browser.page.body.contains("id=\"result\" data-outcome=\"denied\""));
    assert_eq!(emulator.device_grants()[0].state, GrantState::Denied);
}

#[test]
fn what_the_browser_test_needs_is_there() {
    let (emulator, grant) = started();
    let mut browser = Browser::open(&emulator, "/device");
    let has = |browser: &Browser<'_>, ids: &[&str]| {
        for id in ids {
            assert!(browser.page.body.contains(&format!("id=\"{id}\"")), "{id}");
        }
    };
    has(&browser, &["user_code", "continue"]);
    browser.enter(&grant.text("user_code"));
    has(&browser, &["username", "password", "sign-in"]);
    browser.sign_in("ada", seeded::ADA.password);
    has(&browser, &["allow", "deny", "other-account"]);
}

#[test]
fn a_link_with_the_code_fills_it_in() {
    let (emulator, grant) = started();
    let complete = grant.text("verification_uri_complete");
    let path = complete.trim_start_matches(emulator.base_url());
    let browser = Browser::open(&emulator, path);
    let field = format!("value=\"{}\"", grant.text("user_code"));
    assert!(browser.page.body.contains(&field), "{}", browser.page.body);
}

#[test]
fn loginradiuss_own_addresses_lead_to_the_page() {
    let (emulator, _) = started();
    for path in ["/sso/oauth/demo-oauth-app/device/confirm", "/service/oauth/demo-oauth-app/authorize"] {
        let response = get(&emulator, &format!("{path}?client_id=x&user_code=cxy%20q34"));
        let to = (response.status, response.header("location"));
        assert_eq!(to, (303, Some("/device?user_code=CXY-Q34")));
    }
    assert_eq!(get(&emulator, "/sso/oauth/demo-oauth-app/device/confirm").status, 404);
    // Without a code this one is where browsers sign in.
    assert_eq!(get(&emulator, "/service/oauth/demo-oauth-app/authorize").status, 400);
}

#[test]
fn a_wrong_code_can_be_corrected() {
    let (emulator, grant) = started();
    let mut browser = Browser::open(&emulator, "/device");
    browser.enter("CCC-CCC");
    browser.warns(400, "No device is waiting for this code");
    browser.enter(" ");
    browser.warns(400, "Enter the code");
    browser.enter(&grant.text("user_code"));
    browser.is_at("/device/sign-in");
}

#[test]
fn an_expired_or_used_code_is_named_so_and_another_can_be_entered() {
    let (emulator, expired) = started();
    emulator.advance(Duration::from_secs(1800));
    let used = device_code(&emulator);
    emulator.approve(&used.text("user_code")).unwrap();
    let good = device_code(&emulator);
    let mut browser = Browser::open(&emulator, "/device");
    browser.enter(&expired.text("user_code"));
    browser.warns(400, "This code has expired");
    browser.enter(&used.text("user_code"));
    browser.warns(400, "This code has already been used");
    browser.enter(&good.text("user_code"));
    browser.is_at("/device/sign-in");
}

#[test]
fn a_wrong_password_can_be_corrected() {
    let (emulator, grant) = started();
    let mut browser = Browser::open(&emulator, "/device");
    browser.enter(&grant.text("user_code"));
    browser.sign_in("ada@example.com", "wrong");
    browser.warns(400, "do not belong together");
    assert!(browser.page.body.contains("value=\"ada@example.com\""));
    assert!(!browser.page.body.contains("value=\"wrong\""));
    browser.sign_in("nobody", seeded::ADA.password);
    browser.warns(400, "do not belong together");
    browser.sign_in("ada", seeded::ADA.password);
    browser.is_at("/device/confirm");
}

#[test]
fn a_user_who_may_not_sign_in_is_shown_why() {
    let (emulator, grant) = started();
    let mut browser = Browser::open(&emulator, "/device");
    browser.enter(&grant.text("user_code"));
    let users: [(User, &str); 4] = [
        (seeded::UNVERIFIED, "not verified"),
        (seeded::BLOCKED, "blocked"),
        (seeded::LOCKED, "locked"),
        (seeded::SECOND_FACTOR, "second factor"),
    ];
    for (user, words) in users {
        browser.sign_in(user.email, user.password);
        browser.warns(400, words);
    }
}

#[test]
fn the_user_stays_signed_in_and_can_be_changed() {
    let (emulator, first) = started();
    let mut browser = at_confirm(&emulator, &first.text("user_code"));
    browser.submit("/device/decide", &[("decision", "allow")]);
    let second = device_code(&emulator);
    browser.go("/device");
    browser.enter(&second.text("user_code"));
    browser.is_at("/device/confirm");
    assert!(browser.page.body.contains(seeded::ADA.email));
    browser.submit("/device/sign-out", &[]);
    browser.is_at("/device/sign-in");
    browser.sign_in(seeded::GRACE.email, seeded::GRACE.password);
    assert!(browser.page.body.contains("Grace Sample"));
    browser.submit("/device/decide", &[("decision", "allow")]);
    assert_eq!(poll(&emulator, &second.text("device_code")).status, 200);
    assert_eq!(emulator.live_logins_of(seeded::GRACE.email).len(), 1);
}

#[test]
fn a_code_that_expires_on_the_page_is_not_allowed() {
    let (emulator, grant) = started();
    let mut browser = at_confirm(&emulator, &grant.text("user_code"));
    emulator.advance(Duration::from_secs(1800));
    browser.submit("/device/decide", &[("decision", "allow")]);
    browser.warns(400, "This code has expired");
    assert_eq!(emulator.device_grants()[0].state, GrantState::Expired);
    browser.go("/device/result");
    browser.is_at("/device");
}

#[test]
fn a_decision_is_made_once() {
    let (emulator, grant) = started();
    let user_code = grant.text("user_code");
    let mut one = at_confirm(&emulator, &user_code);
    let mut two = at_confirm(&emulator, &user_code);
    one.submit("/device/decide", &[("decision", "deny")]);
    two.submit("/device/decide", &[("decision", "allow")]);
    two.warns(400, "This code has already been used");
    assert_eq!(emulator.device_grants()[0].state, GrantState::Denied);
}

#[test]
fn deciding_needs_a_signed_in_user_and_a_decision() {
    let (emulator, grant) = started();
    let user_code = grant.text("user_code");
    let mut browser = Browser::open(&emulator, "/device");
    let csrf = browser.hidden("csrf");
    let fields = [("csrf", csrf.as_str()), ("user_code", user_code.as_str()), ("decision", "allow")];
    browser.request("POST", "/device/decide", &[], &fields);
    browser.is_at("/device/sign-in");
    browser.go(&format!("/device/confirm?user_code={user_code}"));
    browser.is_at("/device/sign-in");
    let mut browser = at_confirm(&emulator, &user_code);
    browser.submit("/device/decide", &[("decision", "perhaps")]);
    browser.is_at("/device/confirm");
    browser.submit("/device/decide", &[]);
    browser.is_at("/device/confirm");
    assert_eq!(emulator.device_grants()[0].state, GrantState::Pending);
}

#[test]
fn forms_of_other_sites_are_refused() {
    let (emulator, grant) = started();
    let user_code = grant.text("user_code");
    let mut browser = at_confirm(&emulator, &user_code);
    let csrf = browser.hidden("csrf");
    let allow = [("user_code", user_code.as_str()), ("decision", "allow")];
    let with = |csrf| [&allow[..], &[("csrf", csrf)]].concat();
    let ours = emulator.base_url().to_owned();
    let other_port = ("origin", "http://127.0.0.1:1");
    let wrong_scheme = ours.replace("http:", "https:");
    let another = Browser::open(&emulator, "/device").hidden("csrf");

    type Pair<'a> = (&'a str, &'a str);
    type Case<'a> = (&'a str, &'a [Pair<'a>], Vec<Pair<'a>>);
    let refused: [Case<'_>; 11] = [
        ("no token", &[], allow.to_vec()),
        ("empty token", &[], with("")),
        ("wrong token", &[], with("wrong")),
        ("another session's token", &[], with(&another)),
        ("two tokens", &[], [with(&csrf), vec![("csrf", &csrf)]].concat()),
        ("foreign origin", &[("origin", "https://attacker.example")], with(&csrf)),
        ("opaque origin", &[("origin", "null")], with(&csrf)),
        ("another port", &[other_port], with(&csrf)),
        ("another scheme", &[("origin", &wrong_scheme)], with(&csrf)),
        ("cross-site", &[("origin", &ours), ("sec-fetch-site", "cross-site")], with(&csrf)),
        ("same-site", &[("sec-fetch-site", "same-site")], with(&csrf)),
    ];
    for (what, headers, fields) in refused {
        browser.request("POST", "/device/decide", headers, &fields);
        assert_eq!(browser.page.status, 403, "{what}");
        browser.warns(403, "Nothing has been allowed or denied");
        assert_eq!(emulator.device_grants()[0].state, GrantState::Pending, "{what}");
    }
    let cookie = browser.cookie.take();
    browser.request("POST", "/device/decide", &[], &with(&csrf));
    assert_eq!(browser.page.status, 403, "no cookie");
    browser.cookie = cookie;
    let own = [("origin", ours.as_str()), ("sec-fetch-site", "same-origin")];
    browser.request("POST", "/device/decide", &own, &with(&csrf));
    assert!(browser.page.body.contains("data-outcome=\"allowed\""));
}

#[test]
fn signing_in_changes_session_and_token() {
    let (emulator, grant) = started();
    let mut browser = Browser::open(&emulator, "/device");
    browser.enter(&grant.text("user_code"));
    let (cookie, csrf) = (browser.cookie.clone(), browser.hidden("csrf"));
    browser.sign_in("ada", seeded::ADA.password);
    assert_ne!(browser.cookie, cookie);
    assert_ne!(browser.hidden("csrf"), csrf);
    // The old session has no user.
    let mut old = Browser::open(&emulator, "/device");
    old.cookie = cookie;
    old.go(&format!("/device/confirm?user_code={}", grant.text("user_code")));
    old.is_at("/device/sign-in");
}

#[test]
fn signing_out_ends_the_session_and_its_forms() {
    let (emulator, grant) = started();
    let user_code = grant.text("user_code");
    let mut browser = at_confirm(&emulator, &user_code);
    let (cookie, csrf) = (browser.cookie.clone(), browser.hidden("csrf"));
    browser.submit("/device/sign-out", &[]);
    let fields = [("csrf", csrf.as_str()), ("user_code", user_code.as_str()), ("decision", "allow")];
    browser.request("POST", "/device/decide", &[], &fields);
    assert_eq!(browser.page.status, 403);
    let mut old = Browser::open(&emulator, "/device");
    old.cookie = cookie;
    old.request("POST", "/device/decide", &[], &fields);
    assert_eq!(old.page.status, 403);
    assert_eq!(emulator.device_grants()[0].state, GrantState::Pending);
}

#[test]
fn guessing_codes_is_slow() {
    let (emulator, grant) = started();
    for number in 0..10 {
        // On whatever page, from whatever browser.
        let mut browser = Browser::open(&emulator, "/device");
        if number % 2 == 0 {
            browser.enter("CCC-CCC");
        } else {
            browser.go("/device/confirm?user_code=CCC-CCC");
        }
        browser.warns(400, "No device is waiting");
    }
    let mut browser = Browser::open(&emulator, "/device");
    browser.enter(&grant.text("user_code"));
    browser.warns(429, "Too many wrong codes");
    emulator.advance(Duration::from_secs(59));
    browser.enter(&grant.text("user_code"));
    browser.warns(429, "Too many wrong codes");
    emulator.advance(Duration::from_secs(1));
    browser.enter(&grant.text("user_code"));
    browser.is_at("/device/sign-in");
}

#[test]
fn what_the_user_types_is_escaped() {
    let (emulator, grant) = started();
    let markup = "\"><script>alert(1)</script>&'";
    let mut browser = Browser::open(&emulator, "/device");
    let safe = |browser: &Browser<'_>| {
        assert!(!browser.page.body.contains("<script"), "{}", browser.page.body);
    };
    browser.enter(markup);
    assert!(browser.page.body.contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;"));
    safe(&browser);
    for page in ["", "/sign-in", "/confirm"] {
        browser.go(&format!("/device{page}?user_code=%22%3E%3Cscript%3E"));
        safe(&browser);
    }
    browser.go(&format!("/device/sign-in?user_code={}", grant.text("user_code")));
    browser.sign_in(markup, markup);
    assert!(browser.page.body.contains("&lt;script&gt;"));
    safe(&browser);
    let path = format!("/device?user_code={}", "x".repeat(10_000));
    browser.go(&path);
    assert!(browser.page.body.len() < 10_000);
}

#[test]
fn every_page_is_protected_and_says_what_it_is() {
    let (emulator, grant) = started();
    let mut browser = at_confirm(&emulator, &grant.text("user_code"));
    let mut paths = vec![
        "/".to_owned(),
        "/device".to_owned(),
        format!("/device/sign-in?user_code={}", grant.text("user_code")),
        format!("/device/confirm?user_code={}", grant.text("user_code")),
        "/device?user_code=x".to_owned(),
        "/nothing".to_owned(),
    ];
    let check = |browser: &Browser<'_>| {
        let page = &browser.page;
        let policy = page.header("content-security-policy").expect("a policy");
        for part in [
            "default-src 'none'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.split("; ").any(|other| other == part), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("same-origin"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.body.contains("emulator on your own machine, made from LoginRadius’s public documentation"));
        assert!(page.body.contains("<html lang=\"en\">"));
        assert!(!page.body.contains("<script") && !page.body.contains("style=\""));
    };
    for path in paths.drain(..) {
        browser.go(&path);
        check(&browser);
    }
    browser.go(&format!("/device/confirm?user_code={}", grant.text("user_code")));
    browser.submit("/device/decide", &[("decision", "allow")]);
    check(&browser);
    browser.request("POST", "/device", &[], &[]);
    check(&browser);
}

#[test]
fn the_first_page_lists_what_there_is() {
    let (emulator, _) = started();
    let page = get(&emulator, "/");
    let seeded = [
        seeded::CLIENT_ID,
        seeded::CLIENT_SECRET,
        seeded::OTHER_CLIENT_ID,
        seeded::OAUTH_APP,
        seeded::JWT_APP,
        seeded::JWT_SECRET,
    ];
    for text in seeded {
        assert!(page.body.contains(text), "{text}");
    }
    for user in emulator.users() {
        assert!(page.body.contains(user.email) && page.body.contains(user.password));
    }
}

#[test]
fn style_and_icon_are_served_and_other_methods_are_not() {
    let (emulator, _) = started();
    let style = get(&emulator, "/style.css");
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
    assert!(style.body.contains("prefers-color-scheme: dark"));
    assert_eq!(get(&emulator, "/icon.svg").header("content-type"), Some("image/svg+xml"));
    for path in ["/", "/device/result", "/style.css"] {
        assert_eq!(post(&emulator, path, &[ID]).status, 405, "{path}");
    }
    assert_eq!(get(&emulator, "/device/decide").status, 405);
    let url = format!("{}/device", emulator.base_url());
    assert_eq!(send("DELETE", &url, &[], b"").unwrap().status, 405);
    let head = send("HEAD", &url, &[], b"").unwrap();
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn cookies_of_two_emulators_do_not_mix() {
    let (one, _) = started();
    let (two, _) = started();
    let cookie = |emulator: &Emulator| {
        let response = get(emulator, "/device");
        let cookie = response.header("set-cookie").expect("a cookie").to_owned();
        cookie.split('=').next().unwrap().to_owned()
    };
    assert_ne!(cookie(&one), cookie(&two));
    let port = host(&one).rsplit(':').next().unwrap();
    assert!(cookie(&one).ends_with(port));
}
