//! The examples that sign in through a browser, as programs. The browser is one of the test's own: it keeps cookies,
//! and follows no redirect by itself.

mod common;

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Example, MAX_WAIT, service, text};
use loginradius_blocking::ureq;
use loginradius_emulator::{Api, BodyFormat, CodeState, Emulator, Fault, Operation, RecordedRequest, seeded};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

// A desktop.

#[test]
fn a_desktop_signs_in() {
    for (api, name) in [(Api::Classic, "classic"), (Api::Site, "site")] {
        for (format, body) in [(BodyFormat::Form, "form"), (BodyFormat::Json, "json")] {
            let emulator = Emulator::start().unwrap();
            let (run, url) = desktop(&emulator, &["--family", name, "--body", body, "--show-secrets"]);
            let landing = emulator.authorize(&url).unwrap().url;
            let page = Visitor::default().get(&landing);
            assert_eq!(page.status, 200);
            assert!(page.body.contains("<h1>Back to the program</h1>"), "{}", page.body);

            let ended = run.end();
            assert_eq!(ended.names(), ["authorize", "tokens"]);
            assert!(ended.success && ended.stderr.is_empty(), "{}", ended.stderr);
            let login = emulator.logins().pop().unwrap();
            let tokens = &ended.events()[1];
            assert_eq!(text(tokens, "access_token"), login.access_token);
            assert_eq!(text(tokens, "refresh_token"), login.refresh_token);
            let exchange = last_request(&emulator, Operation::CodeExchange);
            assert_eq!((exchange.api, exchange.body_format), (Some(api), format));
            assert_eq!(emulator.codes()[0].state, CodeState::Redeemed);
        }
    }
}

#[test]
fn a_desktop_asks_as_the_options_say() {
    let fixed = free_port().to_string();
    for (options, challenge_method, scope, grant_type) in [
        (&[][..], Some("SHA256"), "email profile", None),
        (
            &["--challenge-method", "S256", "--scope", "profile", "--grant-type"],
            Some("S256"),
            "profile",
            Some("authorization_code"),
        ),
        (&["--challenge-method", "omit", "--port", &fixed, "--path", "/back"], None, "email profile", None),
    ] {
        let emulator = Emulator::start().unwrap();
        let (run, url) = desktop(&emulator, options);
        assert_eq!(parameter(&url, "code_challenge_method").as_deref(), challenge_method);
        assert_eq!(parameter(&url, "scope").as_deref(), Some(scope));
        assert!(parameter(&url, "code_challenge").is_some_and(|challenge| challenge.len() == 43));
        let back = parameter(&url, "redirect_uri").unwrap();
        match options.contains(&"--port") {
            true => assert_eq!(back, format!("http://127.0.0.1:{fixed}/back")),
            false => assert!(back.starts_with("http://127.0.0.1:") && back.ends_with("/callback"), "{back}"),
        }
        assert_eq!(Visitor::default().get(&emulator.authorize(&url).unwrap().url).status, 200);
        assert_eq!(run.end().names(), ["authorize", "tokens"]);
        assert_eq!(last_request(&emulator, Operation::CodeExchange).param("grant_type"), grant_type);
    }
}

#[test]
fn a_desktop_comes_back_to_the_name_of_this_machine_that_it_is_told() {
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        if host == "[::1]" && TcpListener::bind("[::1]:0").is_err() {
            continue;
        }
        let emulator = Emulator::start().unwrap();
        let (run, url) = desktop(&emulator, &["--host", host]);
        assert!(parameter(&url, "redirect_uri").unwrap().starts_with(&format!("http://{host}:")), "{url}");
        assert_eq!(Visitor::default().get(&emulator.authorize(&url).unwrap().url).status, 200);
        assert_eq!(run.end().names(), ["authorize", "tokens"]);
    }
}

#[test]
fn a_desktop_needs_no_client_secret() {
    let emulator = Emulator::start().unwrap();
    let who = ["--base-url", emulator.base_url(), "--client-id", seeded::CLIENT_ID, "--json", "--print-url"];
    let mut run = Example::start("desktop_login", &who);
    let url = text(&run.event(), "url");
    Visitor::default().get(&emulator.authorize(&url).unwrap().url);
    assert_eq!(run.end().names(), ["authorize", "tokens"]);
    assert_eq!(last_request(&emulator, Operation::CodeExchange).param("client_secret"), None);
}

#[test]
fn a_desktop_ends_when_the_user_denies() {
    let emulator = Emulator::start().unwrap();
    let (run, url) = desktop(&emulator, &[]);
    let page = Visitor::default().get(&emulator.deny_authorization(&url).unwrap().url);
    assert!(page.body.contains("The login was not allowed."), "{}", page.body);
    let ended = run.end();
    assert_eq!(ended.names(), ["authorize", "error"]);
    assert_eq!(ended.error().0, "denied");
    assert_eq!(emulator.logins(), []);
}

#[test]
fn a_desktop_gives_up_in_time() {
    let emulator = Emulator::start().unwrap();
    let (run, _) = desktop(&emulator, &["--timeout", "1"]);
    let before = Instant::now();
    let ended = run.end();
    assert!(before.elapsed() < Duration::from_secs(10));
    let (kind, message) = ended.error();
    assert_eq!(kind, "expired");
    assert!(message.contains("within 1 s"), "{message}");
}

#[test]
fn a_desktop_ignores_what_is_not_its_callback() {
    let emulator = Emulator::start().unwrap();
    let (run, url) = desktop(&emulator, &[]);
    let landing = emulator.authorize(&url).unwrap();
    let right = landing.param("state").unwrap();
    let visitor = Visitor::default();
    let root = landing.url.split("/callback").next().unwrap();
    assert_eq!(visitor.get(&format!("{root}/favicon.ico")).status, 404);
    assert_eq!(visitor.get(&landing.url.replace(&right, "of-another-login")).status, 400);
    let denied = format!("{root}/callback?error=access_denied");
    assert_eq!(visitor.get(&denied).status, 400, "another site cannot deny for the user");
    assert_eq!(visitor.get(&landing.url).status, 200);
    assert_eq!(run.end().names(), ["authorize", "tokens"]);
}

#[test]
fn a_desktop_redeems_a_code_once_however_often_it_comes() {
    let emulator = Emulator::start().unwrap();
    let (run, url) = desktop(&emulator, &[]);
    let landing = emulator.authorize(&url).unwrap().url;
    let statuses = thread::scope(|scope| {
        let open = || Visitor::default().send(&landing, None).map(|page| page.status);
        let both = [scope.spawn(open), scope.spawn(open)];
        both.map(|one| one.join().unwrap())
    });
    assert!(statuses.contains(&Some(200)), "{statuses:?}");
    assert_eq!(run.end().names(), ["authorize", "tokens"]);
    assert!(Visitor::default().send(&landing, None).is_none(), "it still listens");
    assert_eq!((emulator.codes()[0].sent, emulator.counters().code_replays), (1, 0));
    assert_eq!(emulator.live_logins(), 1);
}

#[test]
fn a_desktop_prints_secrets_when_asked_for_alone() {
    for mode in [&["--json"][..], &[]] {
        for shown in [&["--show-secrets"][..], &[]] {
            let emulator = Emulator::start().unwrap();
            let options = [&service(&emulator)[..], &["--print-url"], mode, shown].concat();
            let mut run = Example::start("desktop_login", &options);
            let url = address_in(&mut run);
            Visitor::default().get(&emulator.authorize(&url).unwrap().url);
            let ended = run.end();
            assert!(ended.success, "{}", ended.stderr);
            let printed = ended.stdout + &ended.stderr;
            let login = emulator.logins().remove(0);
            for token in [&login.access_token, &login.refresh_token] {
                assert_eq!(printed.contains(token), !shown.is_empty(), "{printed}");
            }
            let exchange = last_request(&emulator, Operation::CodeExchange);
            for name in ["code", "code_verifier", "client_secret"] {
                assert!(!printed.contains(exchange.param(name).unwrap()), "{name} in {printed}");
            }
        }
    }
}

#[test]
fn a_desktop_says_what_to_fix() {
    let emulator = Emulator::start().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    for (options, advice) in [
        (&["--port", &taken][..], "is already in use"),
        (&["--path", "callback"], "write one such as `/callback`"),
        (&["--scope", "a\u{7}b"], "control character"),
    ] {
        let run = Example::start("desktop_login", &[&service(&emulator)[..], &["--json"], options].concat());
        let (kind, message) = run.end().error();
        assert_eq!(kind, "settings", "{message}");
        assert!(message.contains(advice), "{message}");
    }
    let mut arguments = service(&emulator);
    arguments[5] = "wrong";
    let mut run = Example::start("desktop_login", &[&arguments[..], &["--json", "--print-url"]].concat());
    let url = address_in(&mut run);
    Visitor::default().get(&emulator.authorize(&url).unwrap().url);
    let (kind, message) = run.end().error();
    assert_eq!(kind, "settings", "{message}");
    assert!(message.contains("check the client secret"), "{message}");
}

#[test]
fn a_closed_standard_output_is_no_panic_of_a_desktop() {
    for mode in [&["--json"][..], &[]] {
        let mut command = common::command("desktop_login");
        command.args(mode).args(["--print-url", "--timeout", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        // A panic has a status of its own, and so has a signal.
        assert_eq!(ended.status.code(), Some(1), "{stderr}");
        assert_eq!(stderr.contains("within 1 s"), mode.is_empty(), "{stderr}");
    }
}

#[test]
fn a_desktop_without_options_has_an_emulator_and_says_who_can_sign_in() {
    let mut run = Example::start("desktop_login", &["--print-url"]);
    let url = address_in(&mut run);
    let visitor = Visitor::default();
    let landing = visitor.signs_in(&url, &seeded::ADA);
    assert_eq!(visitor.get(&landing).status, 200);
    let ended = run.end();
    assert!(ended.success, "{}", ended.stderr);
    for shown in [seeded::ADA.email, seeded::ADA.password, "Signed in.\n", "  access token   "] {
        assert!(ended.stdout.contains(shown), "{shown} is not in {}", ended.stdout);
    }
}

#[test]
fn a_desktop_continues_without_a_browser() {
    let emulator = Emulator::start().unwrap();
    // The test's environment has no search path, and so no browser.
    let mut run = Example::start("desktop_login", &service(&emulator));
    let url = address_in(&mut run);
    while !run.line().expect("a hint").contains("open the address yourself") {}
    Visitor::default().get(&emulator.authorize(&url).unwrap().url);
    let ended = run.end();
    assert!(ended.success && ended.stderr.is_empty(), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn a_desktop_opens_the_users_browser() {
    use std::os::unix::fs::PermissionsExt as _;

    let emulator = Emulator::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (browser, opened) = (folder.path().join("browser"), folder.path().join("opened"));
    fs::write(&browser, format!("#!/bin/sh\nprintf %s \"$1\" > {0}.new\n/bin/mv {0}.new {0}\n", opened.display()))
        .unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o700)).unwrap();
    let environment = [("BROWSER", browser.to_str().unwrap())];
    let mut run = Example::start_in("desktop_login", &[&service(&emulator)[..], &["--json"]].concat(), &environment);
    let url = text(&run.event(), "url");
    let before = Instant::now();
    while !opened.exists() {
        assert!(before.elapsed() < MAX_WAIT, "no browser was opened");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(fs::read_to_string(&opened).unwrap(), url);
    Visitor::default().get(&emulator.authorize(&url).unwrap().url);
    assert_eq!(run.end().names(), ["authorize", "tokens"]);

    fs::remove_file(&opened).unwrap();
    let options = [&service(&emulator)[..], &["--json", "--print-url", "--timeout", "1"]].concat();
    assert_eq!(Example::start_in("desktop_login", &options, &environment).end().error().0, "expired");
    assert!(!opened.exists(), "it was only to be printed");
}

// A web service.

#[test]
fn a_visitor_signs_in_and_out() {
    for (api, name) in [(Api::Classic, "classic"), (Api::Site, "site")] {
        let web = Web::start(&["--family", name]);
        let visitor = Visitor::default();
        let page = visitor.get(&web.url);
        assert!(page.status == 200 && page.body.contains("href=\"/login\""), "{}", page.body);
        assert_eq!(page.cookies(), [], "a visitor who does not sign in has a session");

        web.sign_in(&visitor);
        assert_eq!(last_request(&web.emulator, Operation::CodeExchange).api, Some(api));
        assert_eq!(last_request(&web.emulator, Operation::JwtToken).api, Some(api));
        let page = visitor.get(&web.url);
        assert!(page.body.contains("<h1>Signed in</h1>"), "{}", page.body);
        for (claim, value) in [("sub", seeded::ADA.uid), ("email", seeded::ADA.email)] {
            assert!(page.body.contains(&format!("<dt>{claim}</dt><dd>{value}</dd>")), "{}", page.body);
        }
        assert!(
            !Visitor::default().get(&web.url).body.contains(seeded::ADA.email),
            "another browser is signed in, too"
        );

        let page = visitor.post(&web.at("/logout"), &[("csrf", &page.field("csrf"))]);
        assert_eq!((page.status, page.location().as_str()), (303, "/"));
        assert_eq!(visitor.cookies(), "", "the cookie is still there");
        assert!(!visitor.get(&web.url).body.contains(seeded::ADA.email));
        assert_eq!((web.emulator.live_logins(), web.emulator.counters().revocations), (0, 1));
    }
}

#[test]
fn every_page_has_the_headers_that_protect_it() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    let landing = web.landing(&visitor);
    let pages = [
        visitor.get(&web.url),
        visitor.get(&web.at("/login")),
        visitor.get(&landing),
        visitor.get(&landing),
        visitor.get(&web.url),
        visitor.post(&web.at("/logout"), &[]),
        visitor.post(&web.at("/logout"), &[("csrf", &visitor.get(&web.url).field("csrf"))]),
        visitor.get(&web.at("/favicon.ico")),
        visitor.post(&web.at("/login"), &[]),
    ];
    assert_eq!(pages.each_ref().map(|page| page.status), [200, 303, 303, 400, 200, 403, 303, 404, 405]);
    for page in pages {
        let policy = page.header("content-security-policy").unwrap();
        // The policy allows the style of the page, and no other.
        if let Some((_, style)) = page.body.split_once("<style>") {
            let hash = STANDARD.encode(Sha256::digest(style.split_once("</style>").unwrap().0));
            assert!(policy.split("; ").any(|known| known == format!("style-src 'sha256-{hash}'")), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script") && !policy.contains('*'), "{policy}");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"] {
            assert!(policy.split("; ").any(|known| known == part), "{policy}");
        }
        assert_eq!(page.header("cache-control").as_deref(), Some("no-store"));
        assert_eq!(page.header("referrer-policy").as_deref(), Some("no-referrer"));
        assert_eq!(page.header("x-content-type-options").as_deref(), Some("nosniff"));
    }
}

#[test]
fn a_cookie_whose_name_is_only_like_ours_is_not_read() {
    let web = Web::start(&[]);
    let (visitor, stranger) = (Visitor::default(), Visitor::default());
    web.sign_in(&visitor);
    let id = visitor.session();
    // Another host of the domain may set such a name, which the prefix `__Host-` would forbid in its plain spelling.
    stranger.keep("%77eb_login", &id);
    assert!(!stranger.get(&web.url).body.contains(seeded::ADA.email));
    stranger.keep("web_login", &id);
    assert!(stranger.get(&web.url).body.contains(seeded::ADA.email));
    stranger.keep("other=1; web_login", "another");
    assert!(!stranger.get(&web.url).body.contains(seeded::ADA.email), "of two, none is ours");
}

#[test]
fn a_head_request_neither_begins_nor_ends_a_login() {
    let web = Web::start(&[]);
    for path in ["/login", "/callback?code=a&state=b"] {
        let response = ureq::head(web.at(path)).config().http_status_as_error(false).build().call().unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "GET");
        assert!(response.headers().get("set-cookie").is_none());
    }
}

#[test]
fn a_prefetch_neither_begins_nor_ends_a_login() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    let landing = web.landing(&visitor);
    let cookies = visitor.cookies();
    for (name, value) in [
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-purpose", "preview"),
        ("x-moz", "prefetch"),
        ("sec-fetch-mode", "no-cors"),
    ] {
        for url in [&web.at("/login"), &landing] {
            let request = ureq::get(url).header("cookie", &cookies).header(name, value);
            let response = request.config().http_status_as_error(false).max_redirects(0).build().call().unwrap();
            assert_eq!(response.status(), 503, "{name} at {url}");
            assert!(response.headers().get("set-cookie").is_none(), "{name} at {url}");
            assert_eq!(response.headers()["cache-control"], "no-store");
        }
    }
    assert!(web.emulator.codes().iter().all(|code| code.sent == 0));
    assert_eq!(visitor.get(&landing).status, 303, "the user's own visit still counts");
}

#[test]
fn tokens_of_no_use_are_revoked_even_if_the_browser_disconnects() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    let begun = visitor.get(&web.at("/login"));
    let landing = web.emulator.authorize(&begun.location()).unwrap().url;
    web.emulator.fault(Operation::JwtToken, Fault::Status(403));
    web.emulator.fault_times(Operation::CodeExchange, Fault::Delay(Duration::from_millis(300)), 1);

    let host = web.url.strip_prefix("http://").unwrap();
    let path = landing.strip_prefix(&web.url).unwrap();
    let mut browser = TcpStream::connect(host).unwrap();
    write!(browser, "GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {}\r\n\r\n", visitor.cookies()).unwrap();
    let is_asked = |operation| web.emulator.requests().iter().any(|request| request.operation == Some(operation));
    while !is_asked(Operation::CodeExchange) {
        thread::sleep(Duration::from_millis(5));
    }
    drop(browser);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_asked(Operation::Revoke) {
        assert!(Instant::now() < deadline, "the tokens live on");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_form_without_the_cookie_removes_none() {
    let web = Web::start(&[]);
    let page = Visitor::default().post(&web.at("/logout"), &[]);
    assert_eq!((page.status, page.cookies()), (303, Vec::new()));
}

#[test]
fn the_cookies_have_the_flags_of_their_address() {
    let local = Web::start(&[]);
    let emulator = Emulator::builder().redirect_uri("https://app.example/callback").unwrap().start().unwrap();
    let public = Web::with(emulator, &["--public-url", "https://app.example/"]);
    for (web, prefix, secure) in [(local, "", &[][..]), (public, "__Host-", &["Secure"])] {
        let flags = |max_age| [&["HttpOnly", max_age, "Path=/", "SameSite=Lax"][..], secure].concat().join("; ");
        let visitor = Visitor::default();
        let page = visitor.get(&web.at("/login"));
        let state = parameter(&page.location(), "state").unwrap();
        let begun = format!("{prefix}web_login-{state}");
        let [(name, value, set)] = &page.cookies()[..] else { panic!("{:?}", page.headers) };
        assert_eq!((name, set.join("; ")), (&begun, flags("Max-Age=600")));
        assert!(value.len() > 200 && !value.contains(&state), "{value}");

        let landing = web.emulator.authorize(&page.location()).unwrap().url;
        // The test is the proxy that ends TLS.
        let page = visitor.get(&landing.replace("https://app.example", &web.url));
        assert_eq!((page.status, page.location().as_str()), (303, "/"));
        let [(removed, ..), (name, id, set)] = &page.cookies()[..] else { panic!("{:?}", page.headers) };
        assert_eq!((name.as_str(), set.join("; ")), (&*format!("{prefix}web_login"), flags("Max-Age=28800")));
        assert_eq!((removed, id.len()), (&begun, 43), "32 bytes in base64url");

        let csrf = visitor.get(&web.url).field("csrf");
        let ended = visitor.post(&web.at("/logout"), &[("csrf", &csrf)]);
        assert_eq!(visitor.cookies(), "");
        // Without these flags, browsers would refuse to remove a cookie of such a name.
        for (name, value, set) in [page.cookies().remove(0), ended.cookies().remove(0)] {
            assert!(name.starts_with(prefix) && value.is_empty(), "{name}");
            let has = |flag: &str| set.iter().any(|known| known == flag);
            assert!(has("Max-Age=0") && has("Path=/") && secure.iter().all(|flag| has(flag)), "{set:?}");
        }
    }
}

#[test]
fn a_flood_of_visitors_ends_no_login_and_no_session() {
    const FLOOD: usize = 10_001;
    let web = Web::start(&[]);
    let [user, begins, replays] = [(); 3].map(|()| Visitor::default());
    web.sign_in(&user);
    let landing = web.landing(&begins);
    let replayed = web.landing(&replays);
    let begun = replays.cookies();
    assert_eq!(replays.get(&replayed).status, 303);

    let pages = web.flood((0..FLOOD).map(|_| "GET /login HTTP/1.1\r\n".to_owned()));
    assert_eq!(begins.get(&landing).status, 303, "a begun login has ended");
    let callbacks = pages.iter().map(|page| {
        let [(name, value, _)] = &page.cookies()[..] else { panic!("{:?}", page.headers) };
        let state = parameter(&page.location(), "state").unwrap();
        let query = format!("error=access_denied&state={state}");
        format!("GET /callback?{query} HTTP/1.1\r\nCookie: {name}={value}\r\n")
    });
    let pages = web.flood(callbacks);
    assert_eq!(pages.iter().filter(|page| page.status == 400 && page.body.contains("not allowed")).count(), FLOOD);

    assert!(user.get(&web.url).body.contains(seeded::ADA.email), "a session has ended");
    // And what was consumed stays so.
    let (name, value) = begun.split_once('=').unwrap();
    replays.keep(name, value);
    assert_eq!(replays.get(&replayed).status, 400);
    assert!(web.emulator.codes().iter().all(|code| code.sent == 1));
}

#[test]
fn a_begun_login_is_read_by_its_service_alone_and_under_its_own_name() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    let landing = web.landing(&visitor);
    let cookie = visitor.cookies();
    let (name, sealed) = cookie.split_once('=').unwrap();
    let other = Visitor::default();
    let others_landing = web.landing(&other);
    let others_name = other.cookies().split_once('=').unwrap().0.to_owned();
    let another_services = Visitor::default();
    Web::start(&[]).landing(&another_services);
    let another_services = another_services.cookies().split_once('=').unwrap().1.to_owned();

    let mut changed: Vec<String> = vec![String::new(), "a".into(), "%".into(), "A".repeat(16), another_services];
    changed.extend([sealed[1..].to_owned(), sealed[..sealed.len() - 1].to_owned(), format!("{sealed}A")]);
    for at in (0..sealed.len()).step_by(7) {
        let other = if &sealed[at..=at] == "A" { "B" } else { "A" };
        changed.push(format!("{}{other}{}", &sealed[..at], &sealed[at + 1..]));
    }
    for changed in changed {
        visitor.keep(name, &changed);
        assert_eq!(visitor.get(&landing).status, 400, "{changed}");
    }
    other.keep(&others_name, sealed);
    assert_eq!(other.get(&others_landing).status, 400, "under the name of another login");
    assert!(web.emulator.codes().iter().all(|code| code.sent == 0));
    visitor.keep(name, sealed);
    assert_eq!(visitor.get(&landing).status, 303);
}

#[test]
fn one_account_cannot_push_out_the_sessions_of_others() {
    let web = Web::start(&[]);
    let [other, first, second] = [(); 3].map(|()| Visitor::default());
    let landing = |visitor: &Visitor| {
        let url = visitor.get(&web.at("/login")).location();
        web.emulator.authorize_as(&url, &seeded::GRACE).unwrap().url
    };
    assert_eq!(other.get(&landing(&other)).status, 303);
    web.sign_in(&first);
    web.sign_in(&second);
    for _ in 0..9 {
        web.sign_in(&Visitor::default());
    }
    assert!(!first.get(&web.url).body.contains(seeded::ADA.email), "the oldest of eleven");
    assert!(second.get(&web.url).body.contains(seeded::ADA.email));
    assert!(other.get(&web.url).body.contains(seeded::GRACE.email));
    assert_eq!(web.emulator.live_logins_of(seeded::ADA.email).len(), 10, "the tokens of the oldest were not revoked");
}

#[test]
fn a_session_has_a_new_id_after_the_login() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    // An attacker has put a cookie into the visitor's browser.
    let known = "a-value-that-an-attacker-knows";
    visitor.keep("web_login", known);
    web.sign_in(&visitor);
    assert_ne!(visitor.session(), known);
    for known in [known, ""] {
        let other = Visitor::default();
        other.keep("web_login", known);
        assert!(!other.get(&web.url).body.contains(seeded::ADA.email), "{known}");
    }

    // A second login has a new id, too, and ends the first one.
    let first = visitor.session();
    web.sign_in(&visitor);
    assert_ne!(visitor.session(), first);
    visitor.keep("web_login", &first);
    assert!(!visitor.get(&web.url).body.contains(seeded::ADA.email));
    assert_eq!(web.emulator.live_logins(), 1);
}

#[test]
fn two_browsers_of_one_user_have_a_session_each() {
    let web = Web::start(&[]);
    let [first, second] = [Visitor::default(), Visitor::default()];
    web.sign_in(&first);
    let id = first.session();
    web.sign_in(&second);
    assert_ne!(second.session(), id);
    assert_eq!(web.emulator.live_logins_of(seeded::ADA.email).len(), 2, "the second login has ended the first");
    for browser in [&first, &second] {
        assert!(browser.get(&web.url).body.contains(seeded::ADA.email));
    }
    assert_eq!(first.session(), id);

    // The one signs out, and the other stays signed in, with its own tokens.
    let csrf = second.get(&web.url).field("csrf");
    assert_eq!(second.post(&web.at("/logout"), &[("csrf", &csrf)]).status, 303);
    assert!(!second.get(&web.url).body.contains(seeded::ADA.email));
    assert!(first.get(&web.url).body.contains(seeded::ADA.email));
    let ended: Vec<bool> = web.emulator.logins().iter().map(|login| !login.live).collect();
    assert_eq!(ended, [false, true]);
}

#[test]
fn a_callback_works_once() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    let landing = web.landing(&visitor);
    let cookie = visitor.cookies();
    let (name, begun) = cookie.split_once('=').unwrap();
    assert_eq!(visitor.get(&landing).status, 303);
    let session = visitor.session();
    // As the browser is now, and with the cookie that it has removed.
    for kept in [false, true] {
        if kept {
            visitor.keep(name, begun);
        }
        let page = visitor.get(&landing);
        assert_eq!(page.status, 400);
        assert!(page.body.contains("already finished") && page.body.contains("href=\"/\""), "{}", page.body);
        assert_eq!(visitor.cookies(), format!("web_login={session}"));
    }
    assert!(visitor.get(&web.url).body.contains(seeded::ADA.email), "the second callback has signed out");
    assert_eq!((web.emulator.codes()[0].sent, web.emulator.logins().len()), (1, 1));

    // After the sign-out it does not sign in again.
    let page = visitor.get(&web.url);
    visitor.post(&web.at("/logout"), &[("csrf", &page.field("csrf"))]);
    visitor.keep("web_login", &session);
    visitor.keep(name, begun);
    assert_eq!(visitor.get(&landing).status, 400);
    assert!(!visitor.get(&web.url).body.contains(seeded::ADA.email));
    assert_eq!(web.emulator.codes()[0].sent, 1);
}

#[test]
fn of_the_same_callback_many_times_at_once_one_signs_in() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    let landing = web.landing(&visitor);
    let cookies = visitor.cookies();
    let mut statuses = thread::scope(|scope| {
        let open = || {
            let tab = Visitor::default();
            tab.keep_all(&cookies);
            tab.get(&landing).status
        };
        [(); 8].map(|()| scope.spawn(open)).map(|tab| tab.join().unwrap())
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 400, 400, 400, 400, 400, 400, 400]);
    assert_eq!((web.emulator.codes()[0].sent, web.emulator.logins().len()), (1, 1));
}

#[test]
fn a_callback_is_for_the_browser_that_began() {
    let web = Web::start(&[]);
    let (visitor, other) = (Visitor::default(), Visitor::default());
    let landing = web.landing(&visitor);
    assert_eq!(other.get(&landing).status, 400, "without a cookie");
    web.landing(&other);
    assert_eq!(other.get(&landing).status, 400, "with the cookie of another login");
    assert!(!other.get(&web.url).body.contains(seeded::ADA.email));
    let state = parameter(&landing, "state").unwrap();
    for wrong in [
        landing.replace(&state, "unknown"),
        landing.replace("state=", "status="),
        format!("{landing}&state={state}"),
        web.at("/callback"),
        web.at("/callback?error=access_denied"),
    ] {
        assert_eq!(visitor.get(&wrong).status, 400, "{wrong}");
    }
    assert_eq!(web.emulator.codes().iter().map(|code| code.sent).sum::<u64>(), 0);
    assert_eq!(visitor.get(&landing).status, 303, "the right one still counts");
}

#[test]
fn tabs_sign_in_side_by_side() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    let [first, second, third] = [(); 3].map(|()| web.landing(&visitor));
    for landing in [&second, &first] {
        let page = visitor.get(landing);
        assert_eq!((page.status, page.location().as_str()), (303, "/"));
        assert!(visitor.get(&web.url).body.contains(seeded::ADA.email));
    }
    assert_eq!(web.emulator.logins().len(), 2);
    assert_eq!(web.emulator.live_logins(), 1, "the tokens of the first were not revoked");

    // Two at the same instant: both work, and the browser keeps the session that it hears of last.
    let fourth = web.landing(&visitor);
    let cookies = visitor.cookies();
    let sessions = thread::scope(|scope| {
        let open = |landing: String| {
            let cookies = &cookies;
            scope.spawn(move || {
                let tab = Visitor::default();
                tab.keep_all(cookies);
                assert_eq!(tab.get(&landing).status, 303);
                tab.session()
            })
        };
        [open(third), open(fourth)].map(|tab| tab.join().unwrap())
    });
    for session in sessions {
        visitor.keep("web_login", &session);
        assert!(visitor.get(&web.url).body.contains(seeded::ADA.email));
    }
}

#[test]
fn a_browser_can_begin_only_so_often() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    let begun: Vec<String> = (0..9).map(|_| web.landing(&visitor)).collect();
    assert_eq!(visitor.cookies().split("; ").count(), 8);
    assert_eq!(visitor.get(&begun[0]).status, 400, "the oldest was dropped");
    assert_eq!(visitor.get(&begun[1]).status, 303);
    assert_eq!(visitor.get(&begun[8]).status, 303);
}

#[test]
fn a_user_who_denies_is_not_signed_in() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    let url = visitor.get(&web.at("/login")).location();
    let page = visitor.get(&web.emulator.deny_authorization(&url).unwrap().url);
    assert_eq!(page.status, 400);
    assert!(page.body.contains("The login was not allowed.") && page.body.contains("href=\"/\""), "{}", page.body);
    assert!(!visitor.get(&web.url).body.contains(seeded::ADA.email));
    // And may sign in after that.
    web.sign_in(&visitor);
}

#[test]
fn what_a_callback_says_is_text_and_never_markup() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    let url = visitor.get(&web.at("/login")).location();
    let said = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27%26%E2%80%AE";
    let state = parameter(&url, "state").unwrap();
    let page = visitor.get(&web.at(&format!("/callback?error=access_denied&error_description={said}&state={state}")));
    assert_eq!(page.status, 400);
    assert!(page.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"), "{}", page.body);
    assert!(!page.body.contains("<script") && !page.body.contains('\u{202e}'), "{}", page.body);
}

#[test]
fn what_a_jwt_says_is_text_and_never_markup() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    let evil = "<img src=x onerror=alert(1)>\u{1b}[2J\u{9b}31m\u{7}\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}";
    web.next_jwt(&json!({ "iss": web.issuer(), "exp": 9_999_999_999_u64, "sub": evil, evil: [evil, null] }));
    web.sign_in(&visitor);
    let body = visitor.get(&web.url).body;
    assert!(!body.contains("<img"), "{body}");
    assert_eq!(body.matches("&lt;img src=x onerror=alert(1)&gt;").count(), 3, "{body}");
    let unseen = |c: char| !c.is_ascii() && evil.contains(c) || (c.is_control() && c != '\n');
    assert_eq!(body.find(unseen), None, "{body:?}");
}

#[test]
fn a_jwt_that_cannot_be_verified_signs_no_user_in() {
    let good = |web: &Web| json!({ "iss": web.issuer(), "exp": 9_999_999_999_u64, "aud": "me", "sub": "x" });
    let web = Web::start(&["--audience", "me"]);
    let visitor = Visitor::default();
    web.next_jwt(&good(&web));
    web.sign_in(&visitor);
    visitor.cookies.borrow_mut().clear();

    for (claim, value) in [("iss", json!("https://evil.example/")), ("exp", json!(1)), ("aud", json!("you"))] {
        let mut claims = good(&web);
        claims[claim] = value;
        web.next_jwt(&claims);
        web.fails(&visitor, 502);
    }
    let mut other_key = web.emulator.sign_jwt("demo-jwt-app-hs384", &good(&web).to_string()).unwrap();
    web.next_jwt_response(&other_key);
    web.fails(&visitor, 502);
    other_key.truncate(other_key.rfind('.').unwrap() + 1);
    web.next_jwt_response(&other_key);
    web.fails(&visitor, 502);
    let before = web.emulator.live_logins();
    assert_eq!(before, 1, "the tokens of a user who is not signed in were not revoked");
}

#[test]
fn an_outage_of_loginradius_has_a_status_of_its_own() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    for operation in [Operation::CodeExchange, Operation::JwtToken] {
        web.emulator.fault(operation, Fault::Status(503));
        web.fails(&visitor, 503);
        web.emulator.clear_faults();
    }
    // The code has expired by now.
    let landing = web.landing(&visitor);
    web.emulator.advance(Duration::from_secs(51));
    let page = visitor.get(&landing);
    assert_eq!(page.status, 400);
    assert!(page.body.contains("begin again"), "{}", page.body);
}

#[test]
fn a_sign_out_takes_the_forms_own_token() {
    let web = Web::start(&[]);
    let [visitor, other] = [Visitor::default(), Visitor::default()];
    for one in [&visitor, &other] {
        web.sign_in(one);
    }
    let others = other.get(&web.url).field("csrf");
    for form in [&[][..], &[("csrf", "")], &[("csrf", "wrong")], &[("csrf", &others)]] {
        let page = visitor.post(&web.at("/logout"), form);
        assert_eq!(page.status, 403, "{form:?}");
        assert!(visitor.get(&web.url).body.contains(seeded::ADA.email), "{form:?}");
    }
    assert_eq!(visitor.get(&web.at("/logout")).status, 405, "a link signs no user out");
    assert_eq!(web.emulator.live_logins(), 2);

    // LoginRadius is out of order: here the session has ended all the same.
    web.emulator.fault(Operation::Revoke, Fault::Status(503));
    let csrf = visitor.get(&web.url).field("csrf");
    let session = visitor.session();
    assert_eq!(visitor.post(&web.at("/logout"), &[("csrf", &csrf)]).status, 303);
    visitor.keep("web_login", &session);
    assert!(!visitor.get(&web.url).body.contains(seeded::ADA.email));
    // And once more, when no user is signed in.
    assert_eq!(visitor.post(&web.at("/logout"), &[("csrf", &csrf)]).status, 303);
    assert!(other.get(&web.url).body.contains(seeded::ADA.email));
}

#[test]
fn no_link_decides_where_a_login_ends() {
    let web = Web::start(&[]);
    let visitor = Visitor::default();
    let elsewhere = "next=https://evil.example/&return_to=//evil.example&redirect_uri=https://evil.example";
    let url = visitor.get(&web.at(&format!("/login?{elsewhere}"))).location();
    assert!(!url.contains("evil.example"), "{url}");
    let landing = web.emulator.authorize(&url).unwrap().url;
    assert_eq!(visitor.get(&format!("{landing}&{elsewhere}")).location(), "/");
}

#[test]
fn a_web_service_without_options_has_an_emulator_and_any_algorithm() {
    for app in seeded::JWT_APPS {
        let mut run = Example::start("web_login", &["--jwt-algorithm", app.algorithm.name()]);
        let (url, visitor) = (address_in(&mut run), Visitor::default());
        let page = visitor.get(&format!("{url}/login")).location();
        let landing = visitor.signs_in(&page, &seeded::GRACE);
        assert_eq!(visitor.get(&landing).location(), "/", "{}", app.name);
        let body = visitor.get(&url).body;
        for shown in [seeded::GRACE.email, "<dd>[&quot;reader&quot;,&quot;editor&quot;]</dd>", "<dd>null</dd>"] {
            assert!(body.contains(shown), "{shown} is not in {body}");
        }
        assert!(run.stdout.contains(seeded::ADA.password), "{}", run.stdout);
    }
}

#[test]
fn a_web_service_says_what_to_fix_before_it_serves() {
    let emulator = Emulator::start().unwrap();
    let (folder, key) = file("the-secret-of-the-jwt-app-is-quite-long\n");
    let absent = folder.path().join("absent");
    let issuer = "https://acme.hub.loginradius.com/";
    let who = service(&emulator);
    let no_jwt_app = &who[..8];
    let all = ["--jwt-key", &key, "--issuer", issuer, "--jwt-algorithm", "HS256"];
    for (options, advice) in [
        (&who[..], "--jwt-key"),
        (&[&who[..], &["--jwt-key", &key]].concat(), "--issuer"),
        (&[&who[..], &["--jwt-key", &key, "--issuer", issuer]].concat(), "PEM"),
        (&[&who[..], &["--jwt-key", absent.to_str().unwrap(), "--issuer", issuer]].concat(), "absent of --jwt-key, "),
        (&[no_jwt_app, &all].concat(), "`--jwt-app`"),
        (&[&who[..], &all, &["--public-url", "http://app.example"]].concat(), "use https"),
        (&[&who[..], &all, &["--public-url", "https://app.example/path"]].concat(), "--public-url"),
        (&[&who[..], &all, &["--public-url", "app.example"]].concat(), "--public-url"),
        (&["--jwt-key", &key], "--client-id"),
        (&["--issuer", issuer], "--client-id"),
    ] {
        let ended = Example::start("web_login", &[options, &["--json"]].concat()).end();
        let (kind, message) = ended.error();
        assert_eq!(kind, "settings", "{options:?}: {message}");
        assert!(message.contains(advice), "{options:?}: {message}");
        assert_eq!(ended.events().len(), 1, "{}", ended.stdout);
    }
}

#[test]
fn a_web_service_prints_no_secret() {
    let mut web = Web::start(&["--show-secrets"]);
    let visitor = Visitor::default();
    web.sign_in(&visitor);
    web.emulator.fault(Operation::JwtToken, Fault::Status(503));
    web.fails(&visitor, 503);
    let page = visitor.get(&web.url);
    let key = seeded::JWT_APPS[0].secret.unwrap().to_owned();
    let mut secrets = vec![visitor.session(), page.field("csrf"), key];
    for login in web.emulator.logins() {
        secrets.extend([login.access_token, login.refresh_token]);
    }
    let exchanges = web.emulator.requests().into_iter();
    for exchange in exchanges.filter(|asked| asked.operation == Some(Operation::CodeExchange)) {
        secrets.extend(["code", "code_verifier", "client_secret"].map(|name| exchange.param(name).unwrap().to_owned()));
    }
    web.run.child.kill().unwrap();
    let ended = web.run.end();
    assert!(ended.stderr.contains("JWT Token: HTTP 503"), "the error is not logged: {}", ended.stderr);
    for secret in secrets {
        assert!(!ended.stdout.contains(&secret) && !ended.stderr.contains(&secret), "{secret} is printed");
    }
}

/// Starts `desktop_login` with this emulator as its service. Returns the address that it would open, too.
fn desktop(emulator: &Emulator, options: &[&str]) -> (Example, String) {
    let mut run =
        Example::start("desktop_login", &[&service(emulator)[..], &["--json", "--print-url"], options].concat());
    let event = run.event();
    assert_eq!(event["event"], "authorize");
    let url = text(&event, "url");
    assert!(url.starts_with(emulator.base_url()), "{url}");
    (run, url)
}

/// Returns the address that an example prints for the user or for a program.
fn address_in(run: &mut Example) -> String {
    loop {
        let line = run.line().expect("an address");
        if let Some(event) = line.strip_prefix('{') {
            return text(&serde_json::from_str(&format!("{{{event}")).unwrap(), "url");
        }
        if line.starts_with("  http") {
            return line.trim().to_owned();
        }
    }
}

/// `web_login` with an emulator as its service, which the test can inspect.
struct Web {
    run: Example,
    /// Where it listens.
    url: String,
    emulator: Emulator,
    _key: TempDir,
}

impl Web {
    fn start(options: &[&str]) -> Self {
        Self::with(Emulator::start().unwrap(), options)
    }

    fn with(emulator: Emulator, options: &[&str]) -> Self {
        let (folder, key) = file(&format!("{}\n", seeded::JWT_APPS[0].secret.unwrap()));
        let issuer = format!("{}/", emulator.base_url());
        let jwt = ["--json", "--jwt-algorithm", "HS256", "--jwt-key", &key, "--issuer", &issuer];
        let mut run = Example::start("web_login", &[&service(&emulator)[..], &jwt, options].concat());
        let event = run.event();
        assert_eq!(event["event"], "serving");
        Self { run, url: format!("http://{}", text(&event, "listen")), emulator, _key: folder }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn issuer(&self) -> String {
        format!("{}/", self.emulator.base_url())
    }

    /// Begins a login that the user allows. Returns the address of the callback.
    fn landing(&self, visitor: &Visitor) -> String {
        let page = visitor.get(&self.at("/login"));
        assert_eq!(page.status, 303, "{}", page.body);
        self.emulator.authorize(&page.location()).unwrap().url
    }

    #[track_caller]
    fn sign_in(&self, visitor: &Visitor) {
        let page = visitor.get(&self.landing(visitor));
        assert_eq!((page.status, page.location().as_str()), (303, "/"), "{}", page.body);
    }

    /// Makes a login that the user allows, and that fails.
    #[track_caller]
    fn fails(&self, visitor: &Visitor, status: u16) {
        let before = self.emulator.live_logins();
        let page = visitor.get(&self.landing(visitor));
        assert_eq!(page.status, status, "{}", page.body);
        assert!(page.body.contains("href=\"/\""), "{}", page.body);
        assert!(page.cookies().iter().all(|(name, value, _)| name != "web_login" && value.is_empty()));
        assert_eq!(self.emulator.live_logins(), before, "tokens of no use were not revoked");
    }

    /// Sends requests without waiting for their responses in between. They lack the line `Host` and the end.
    fn flood(&self, requests: impl Iterator<Item = String>) -> Vec<Page> {
        let host = self.url.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(host).unwrap();
        let requests: Vec<String> = requests.map(|request| format!("{request}Host: {host}\r\n\r\n")).collect();
        thread::scope(|scope| {
            scope.spawn(|| (&stream).write_all(requests.concat().as_bytes()).unwrap());
            let mut responses = BufReader::new(&stream);
            requests.iter().map(|_| Page::read(&mut responses)).collect()
        })
    }

    /// Makes the next JWT have these claims.
    fn next_jwt(&self, claims: &Value) {
        self.next_jwt_response(&self.emulator.sign_jwt(seeded::JWT_APP, &claims.to_string()).unwrap());
    }

    fn next_jwt_response(&self, jwt: &str) {
        let body = json!({ "signature": jwt }).to_string();
        self.emulator.fault_times(Operation::JwtToken, Fault::Respond { status: 200, headers: Vec::new(), body }, 1);
    }
}

/// A browser that follows no redirect by itself. Like others, it keeps one set of cookies for all ports of a host.
#[derive(Default)]
struct Visitor {
    /// The oldest first.
    cookies: RefCell<Vec<(String, String)>>,
}

/// A response that a browser got.
struct Page {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Visitor {
    #[track_caller]
    fn get(&self, url: &str) -> Page {
        self.send(url, None).expect("a response")
    }

    #[track_caller]
    fn post(&self, url: &str, form: &[(&str, &str)]) -> Page {
        self.send(url, Some(form)).expect("a response")
    }

    /// Sends a request; `None` if there is no response.
    fn send(&self, url: &str, form: Option<&[(&str, &str)]>) -> Option<Page> {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(MAX_WAIT))
            .build()
            .new_agent();
        let cookies = self.cookies();
        let response = match form {
            None => agent.get(url).header("cookie", &cookies).call(),
            Some(form) => agent.post(url).header("cookie", &cookies).send_form(form.iter().copied()),
        };
        let mut response = response.ok()?;
        let values = response.headers().iter();
        let headers = values.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let body = response.body_mut().read_to_string().ok()?;
        let page = Page { status: response.status().as_u16(), headers, body };
        for (name, value, flags) in page.cookies() {
            match flags.iter().any(|flag| flag == "Max-Age=0") {
                true => self.cookies.borrow_mut().retain(|(known, _)| *known != name),
                false => self.keep(&name, &value),
            };
        }
        Some(page)
    }

    /// Returns all cookies, as they are sent.
    fn cookies(&self) -> String {
        let cookies: Vec<_> = self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        cookies.join("; ")
    }

    fn keep(&self, name: &str, value: &str) {
        let mut cookies = self.cookies.borrow_mut();
        match cookies.iter_mut().find(|(known, _)| known == name) {
            Some((_, kept)) => value.clone_into(kept),
            None => cookies.push((name.to_owned(), value.to_owned())),
        }
    }

    fn keep_all(&self, cookies: &str) {
        cookies
            .split("; ")
            .filter_map(|cookie| cookie.split_once('='))
            .for_each(|(name, value)| self.keep(name, value));
    }

    /// Returns the id of the web service's session.
    #[track_caller]
    fn session(&self) -> String {
        let cookies = self.cookies.borrow();
        cookies.iter().find(|(name, _)| name == "web_login").expect("a session").1.clone()
    }

    /// Signs that user in on the emulator's pages, and allows. Returns where they lead.
    fn signs_in(&self, url: &str, user: &seeded::User) -> String {
        let (server, _) = url.split_at(url.find("/sso").expect("a classic address"));
        let page = self.get(url);
        let who = [("username", user.email), ("password", user.password)];
        let page = self.post(
            &format!("{server}/authorize/sign-in"),
            &[&who[..], &[("csrf", &page.field("csrf")), ("ticket", &page.field("ticket"))]].concat(),
        );
        let page = self.get(&format!("{server}{}", page.location()));
        let page = self.post(
            &format!("{server}/authorize/decide"),
            &[("csrf", &page.field("csrf")), ("ticket", &page.field("ticket")), ("decision", "allow")],
        );
        page.location()
    }
}

impl Page {
    fn header(&self, name: &str) -> Option<String> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }

    #[track_caller]
    fn location(&self) -> String {
        self.header("location").unwrap_or_else(|| panic!("{} leads nowhere: {}", self.status, self.body))
    }

    /// Returns the names, the values and the sorted flags of the cookies that are set, first those that are removed.
    fn cookies(&self) -> Vec<(String, String, Vec<String>)> {
        let headers = self.headers.iter().filter(|(name, _)| name == "set-cookie");
        let mut cookies: Vec<_> = headers
            .map(|(_, header)| {
                let (cookie, flags) = header.split_once("; ").unwrap_or((header, ""));
                let (name, value) = cookie.split_once('=').unwrap();
                let mut flags: Vec<_> = flags.split("; ").map(str::to_owned).collect();
                flags.sort_unstable();
                (name.to_owned(), value.to_owned(), flags)
            })
            .collect();
        cookies.sort_unstable_by_key(|(_, value, _)| !value.is_empty());
        cookies
    }

    /// Reads a response that has a length.
    fn read(responses: &mut impl BufRead) -> Self {
        let mut lines = responses.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty());
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
            .collect();
        let mut page = Self { status, headers, body: String::new() };
        let length = page.header("content-length").unwrap().parse().unwrap();
        responses.take(length).read_to_string(&mut page.body).unwrap();
        page
    }

    /// Returns the value of a hidden field.
    #[track_caller]
    fn field(&self, name: &str) -> String {
        let field = self.body.split(&format!("name=\"{name}\" value=\"")).nth(1);
        field.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("no {name} in {}", self.body)).to_owned()
    }
}

/// Returns a parameter of an address.
fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// Returns the last request of that operation.
#[track_caller]
fn last_request(emulator: &Emulator, operation: Operation) -> RecordedRequest {
    emulator.requests().into_iter().rfind(|request| request.operation == Some(operation)).expect("a request")
}

/// Makes a file with that content, in a folder that ends with the test.
fn file(content: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

/// Returns a port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
