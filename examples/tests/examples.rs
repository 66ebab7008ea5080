//! Every example as a program: what it prints and how it ends, against its own emulator and against a service.

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::{Ended, Example, command, service, text};
use loginradius_blocking::ureq;
use loginradius_emulator::{Api, BodyFormat, Emulator, Fault, Operation, seeded};
use serde_json::{Value, json};

/// The examples that wait until the user has allowed the device.
const DEVICES: [&str; 3] = ["device_login", "async_device_login", "own_transport"];

/// The example that calls an API which the library does not have.
const ENDPOINT: &str = "own_endpoint";

const OTHERS: [&str; 4] = ["password_login", "authorization_code", "refresh_and_revoke", "jwt"];

/// The examples that keep a user signed in. Without a service they end by themselves.
const SESSIONS: [&str; 3] = ["session", "shared_session", "own_store"];

/// The examples that sign in through a browser. `logins.rs` tests what they do then.
const LOGINS: [&str; 2] = ["desktop_login", "web_login"];

/// The events of `session` without a service.
const SESSION_DEMO: [&str; 15] = [
    "first_run",
    "session",
    "tokens",
    "second_run",
    "tokens",
    "third_run",
    "session",
    "tokens",
    "two_runs",
    "session",
    "refused",
    "session",
    "tokens",
    "signed_out",
    "session",
];

/// Returns the events of an example that succeeded.
fn expected(example: &str, is_service: bool) -> &'static [&'static str] {
    match example {
        "device_login" if !is_service => &["prompt", "tokens", "refreshed", "jwt", "revoked"],
        "device_login" | "async_device_login" | "own_transport" => &["prompt", "tokens"],
        "password_login" | "authorization_code" => &["tokens"],
        "refresh_and_revoke" => &["refreshed", "revoked"],
        "jwt" => &["jwt", "jwt", "jwt", "jwt"],
        "own_endpoint" if !is_service => &["profile", "profile", "refused"],
        "own_endpoint" => &["profile", "profile"],
        "session" if !is_service => &SESSION_DEMO,
        "shared_session" if !is_service => &["rush", "outage", "logout"],
        "own_store" if !is_service => &["signed_in", "tokens", "tokens", "tokens", "shared", "signed_out"],
        _ => unreachable!(),
    }
}

#[test]
fn each_runs_with_its_own_emulator() {
    let mut running = Vec::new();
    for api in ["classic", "site"] {
        for body in ["form", "json"] {
            let options = ["--json", "--family", api, "--body", body];
            for example in DEVICES {
                running.push((example, Example::start(example, &[&options[..], &["--approve"]].concat())));
            }
            for example in OTHERS.into_iter().chain([ENDPOINT, "session", "own_store"]) {
                running.push((example, Example::start(example, &options)));
            }
        }
    }
    running.push(("shared_session", Example::start("shared_session", &["--json"])));
    for (example, run) in running {
        let ended = run.end();
        assert_eq!(ended.names(), expected(example, false), "{example}: {}", ended.stdout);
        if example == "shared_session" {
            // The service logs the outage of LoginRadius, which it has caused itself.
            assert!(ended.stderr.contains("Refresh Access Token: HTTP 503"), "{}", ended.stderr);
        } else {
            assert_eq!(ended.stderr, "", "{example}");
        }
        assert!(ended.success, "{example}");
    }
}

#[test]
fn each_speaks_to_a_service() {
    thread::scope(|scope| {
        for (api, name) in [(Api::Classic, "classic"), (Api::Site, "site")] {
            for (format, body) in [(BodyFormat::Form, "form"), (BodyFormat::Json, "json")] {
                scope.spawn(move || {
                    for (example, emulator, ended) in all_at_services(&["--json", "--family", name, "--body", body]) {
                        assert_eq!(ended.names(), expected(example, true), "{example}");
                        assert_eq!(ended.stderr, "", "{example}");
                        assert!(ended.success, "{example}");
                        for request in emulator.requests() {
                            assert_eq!(request.api, Some(api), "{example}");
                            assert_eq!(request.client_id.as_deref(), Some(seeded::OTHER_CLIENT_ID), "{example}");
                            match request.operation.unwrap() {
                                Operation::JwtToken => assert_eq!(request.body_format, BodyFormat::None),
                                Operation::JwtLogin => assert_eq!(request.body_format, BodyFormat::Json),
                                _ => assert_eq!(request.body_format, format, "{example}"),
                            }
                        }
                        assert!(!emulator.requests().is_empty(), "{example}");
                    }
                });
            }
        }
    });
}

#[test]
fn environment_variables_are_options_too() {
    let emulator = emulator();
    let grant = tokens(&emulator);
    let environment = [
        ("LOGINRADIUS_BASE_URL", emulator.base_url()),
        ("LOGINRADIUS_FAMILY", "site"),
        ("LOGINRADIUS_BODY", "json"),
        ("LOGINRADIUS_CLIENT_ID", seeded::OTHER_CLIENT_ID),
        ("LOGINRADIUS_CLIENT_SECRET", seeded::OTHER_CLIENT_SECRET),
        ("LOGINRADIUS_OAUTH_APP", seeded::OAUTH_APP),
        ("LOGINRADIUS_JWT_APP", seeded::JWT_APP),
        ("LOGINRADIUS_USERNAME", seeded::GRACE.username),
        ("LOGINRADIUS_PASSWORD", seeded::GRACE.password),
        ("LOGINRADIUS_ACCESS_TOKEN", &grant.access_token),
        ("LOGINRADIUS_REFRESH_TOKEN", &grant.refresh_token),
    ];
    emulator.clear_requests();
    let code = emulator.issue_code(seeded::OTHER_CLIENT_ID, "https://www.example.com/callback", None);
    let run = &|example, arguments: &[&str]| {
        let mut run = Example::start_in(example, &[&["--json"], arguments].concat(), &environment);
        if DEVICES.contains(&example) {
            emulator.approve(&text(&run.event(), "user_code")).unwrap();
        }
        let ended = run.end();
        assert!(ended.success, "{example}: {}{}", ended.stdout, ended.stderr);
        ended.names()
    };
    thread::scope(|scope| {
        for example in DEVICES {
            scope.spawn(move || assert_eq!(run(example, &[]), ["prompt", "tokens"]));
        }
    });
    assert_eq!(run("password_login", &[]), ["tokens"]);
    assert_eq!(emulator.live_logins_of(seeded::GRACE.email).len(), 1, "the user of the environment");
    assert_eq!(run("authorization_code", &["--code", &code]), ["tokens"]);
    assert_eq!(run("jwt", &["--username", seeded::GRACE.username]), ["jwt", "jwt"]);
    assert_eq!(run("refresh_and_revoke", &[]), ["refreshed", "revoked"]);
    assert!(!emulator.is_live_access_token(&grant.access_token), "the token of the environment was revoked");
    for request in emulator.requests() {
        assert_eq!(request.api, Some(Api::Site));
        assert_ne!(request.body_format, BodyFormat::Form);
        assert_eq!(request.client_id.as_deref(), Some(seeded::OTHER_CLIENT_ID));
    }

    // An option goes before the environment.
    emulator.clear_requests();
    assert_eq!(run("password_login", &["--family", "classic", "--body", "form"]), ["tokens"]);
    let request = emulator.requests().remove(0);
    assert_eq!((request.api, request.body_format), (Some(Api::Classic), BodyFormat::Form));
}

#[test]
fn secrets_are_printed_when_asked_for_alone() {
    thread::scope(|scope| {
        for json in [&["--json"][..], &[]] {
            scope.spawn(move || {
                for (example, emulator, ended) in all_at_services(&[json, &["--body", "json"]].concat()) {
                    assert!(ended.success, "{example}");
                    let secrets = secrets(&emulator);
                    assert!(secrets.len() > 2, "{example}");
                    for secret in secrets {
                        assert!(!ended.stdout.contains(&secret), "{example} prints {secret}: {}", ended.stdout);
                        assert!(!ended.stderr.contains(&secret), "{example} prints {secret}: {}", ended.stderr);
                    }
                    // A JWT is in no request, but all of them begin like this.
                    let jwts = ended.stdout.split("eyJ").skip(1);
                    for jwt in jwts {
                        assert!(jwt.find('.').is_some_and(|end| end < 10), "{example} prints eyJ{jwt}");
                    }
                }
            });
            scope.spawn(move || {
                for (example, emulator, ended) in all_at_services(&[json, &["--show-secrets"]].concat()) {
                    let shown = |secret: &str| assert!(ended.stdout.contains(secret), "{example}: {}", ended.stdout);
                    let begun = emulator.logins();
                    if example == "jwt" {
                        let whole = |word: &str| word.starts_with("eyJ") && word.split('.').count() == 3;
                        assert_eq!(ended.stdout.split(['"', ' ', '\n']).filter(|word| whole(word)).count(), 4);
                    } else {
                        shown(&begun[0].access_token);
                        shown(&begun[0].refresh_token);
                    }
                    // These are never printed: no user needs them, or the caller knows them.
                    for hidden in emulator.requests().iter().flat_map(|request| {
                        ["device_code", "client_secret", "password", "code"].map(|name| request.param(name))
                    }) {
                        let hidden = hidden.unwrap_or("\0");
                        assert!(!ended.stdout.contains(hidden), "{example} prints {hidden}");
                    }
                }
            });
        }
    });
}

#[test]
fn errors_print_no_secrets() {
    let emulator = emulator();
    let secret = "a-client-secret-that-is-wrong";
    let password = "a-password-that-is-wrong";
    for json in [&["--json"][..], &[]] {
        for wrong in [["--client-secret", secret], ["--password", password]] {
            let mut arguments = vec!["--base-url", emulator.base_url(), "--client-id", seeded::CLIENT_ID];
            arguments.extend(["--username", seeded::ADA.email]);
            match wrong[0] {
                "--password" => arguments.extend(["--client-secret", seeded::CLIENT_SECRET]),
                _ => arguments.extend(["--password", seeded::ADA.password]),
            }
            let ended = Example::start("password_login", &[&arguments, &wrong[..], json].concat()).end();
            assert!(!ended.success);
            let printed = ended.stdout + &ended.stderr;
            assert!(!printed.is_empty());
            for secret in [secret, password, seeded::CLIENT_SECRET, seeded::ADA.password] {
                assert!(!printed.contains(secret), "{printed}");
            }
        }
        // Nor does a usage error.
        let environment = [("LOGINRADIUS_CLIENT_SECRET", secret), ("LOGINRADIUS_PASSWORD", password)];
        let ended = Example::start_in("password_login", &[&["--nonsense"], json].concat(), &environment).end();
        assert!(!ended.success);
        assert!(!ended.stderr.contains(secret) && !ended.stderr.contains(password), "{}", ended.stderr);
    }
}

#[test]
fn the_prompt_has_all_but_the_device_code() {
    let emulator = Emulator::builder()
        .device_interval(Duration::from_secs(7))
        .device_lifetime(Duration::from_secs(77))
        .start()
        .unwrap();
    for example in DEVICES {
        let mut run = Example::start(example, &[&service(&emulator)[..], &["--json", "--show-secrets"]].concat());
        let prompt = run.event();
        let grant = emulator.device_grants().pop().unwrap();
        let address = format!("{}/device", emulator.base_url());
        assert_eq!(
            prompt,
            json!({
                "event": "prompt",
                "user_code": grant.user_code,
                "verification_uri": address,
                "verification_uri_complete": format!("{address}?user_code={}", grant.user_code),
                "interval": 7,
                "expires_in": 77,
            })
        );
    }
    let emulator = Emulator::builder().verification_uri_complete(false).start().unwrap();
    let mut run = Example::start("device_login", &[&service(&emulator)[..], &["--json"]].concat());
    assert_eq!(run.event()["verification_uri_complete"], Value::Null);
}

#[test]
fn the_user_is_shown_address_code_and_picture() {
    for (example, emulator, ended) in at_services(&DEVICES, &[]) {
        assert!(ended.success);
        let grant = emulator.device_grants().pop().unwrap();
        let address = format!("{}/device", emulator.base_url());
        for shown in [
            format!("In a browser, open  {address}\n"),
            format!("enter the code  {}\n", grant.user_code),
            format!("The QR code leads to {address}?user_code={}\n", grant.user_code),
            "Signed in.\n".to_owned(),
        ] {
            assert!(ended.stdout.contains(&shown), "{example} does not print {shown:?}: {}", ended.stdout);
        }
        assert!(has_picture(&ended.stdout), "{example}");
        assert!(!ended.stdout.contains('\x1b'), "{example} prints colours outside of a terminal");
        assert_eq!(ended.stderr, "", "{example}");
    }
}

#[test]
fn a_service_is_only_signed_in_to_unless_the_tour_is_asked_for() {
    let (_, emulator, ended) = at_services(&["device_login"], &["--json"]).remove(0);
    assert_eq!(ended.names(), ["prompt", "tokens"]);
    let counters = emulator.counters();
    assert_eq!((counters.logins, counters.refreshes, counters.jwts, counters.revocations), (1, 0, 0, 0));
    assert_eq!(emulator.live_logins(), 1);

    let (_, emulator, ended) = at_services(&["device_login"], &["--json", "--tour", "--show-secrets"]).remove(0);
    assert_eq!(ended.names(), ["prompt", "tokens", "refreshed", "jwt", "revoked"]);
    let counters = emulator.counters();
    assert_eq!((counters.logins, counters.refreshes, counters.jwts, counters.revocations), (1, 1, 1, 1));
    assert_eq!(emulator.live_logins(), 0);
    let events = ended.events();
    assert_ne!(events[1]["refresh_token"], events[2]["refresh_token"]);
    assert_eq!(events[2]["refresh_token"], emulator.logins()[0].refresh_token);
}

#[test]
fn a_denial_is_an_error() {
    let emulator = emulator();
    let mut running = Vec::new();
    for example in DEVICES {
        for mode in [&["--json"][..], &[]] {
            running.push((mode, Example::start(example, &[&service(&emulator)[..], mode].concat())));
        }
    }
    until(|| emulator.device_grants().len() == running.len());
    for grant in emulator.device_grants() {
        emulator.deny(&grant.user_code).unwrap();
    }
    for (mode, run) in running {
        let ended = run.end();
        if mode.is_empty() {
            assert!(!ended.success);
            assert!(ended.stderr.starts_with("error: Request Tokens: "), "{}", ended.stderr);
            assert!(!ended.stdout.contains("Signed in."));
        } else {
            assert_eq!(ended.names(), ["prompt", "error"]);
            assert_eq!(ended.error().0, "denied");
        }
    }
    assert_eq!(emulator.logins(), []);
}

#[test]
fn errors_say_what_to_do() {
    let emulator = emulator();
    let here = emulator.base_url();
    let asked = self::emulator();
    let known = ["--base-url", asked.base_url(), "--client-id", seeded::CLIENT_ID];
    let wrong_secret = [&known[..], &["--client-secret", "wrong", "--oauth-app", seeded::OAUTH_APP]].concat();
    let wrong_password = ["--username", seeded::ADA.email, "--password", "wrong"];
    let (unused, _taken) = unused_address();
    let public = ["--base-url", "http://login.example.com", "--client-id", "c", "--oauth-app", "a"];
    let no_app = ["--base-url", here, "--client-id", seeded::CLIENT_ID];
    let absent = ["--base-url", &unused, "--client-id", "c", "--oauth-app", "a", "--client-secret", "s"];
    let cases: &[(&[&str], &[&str], &str, &str)] = &[
        (&["authorization_code"], &wrong_secret, "settings", "check the client secret"),
        (&["password_login"], &[&wrong_secret[..], &wrong_password].concat(), "settings", "check the client secret"),
        (
            &["refresh_and_revoke"],
            &[&wrong_secret[..], &["--refresh-token", "r"]].concat(),
            "settings",
            "client secret",
        ),
        (
            &DEVICES,
            &[&known[..], &["--oauth-app", "unknown"]].concat(),
            "settings",
            "the OAuth app's name (`--oauth-app`)",
        ),
        (
            &["jwt"],
            &[&known[..], &["--jwt-app", "unknown", "--email", "e@example.com", "--password", "p"]].concat(),
            "settings",
            "the JWT app's name (`--jwt-app`)",
        ),
        (&DEVICES, &["--oauth-app", "a"], "settings", "--oauth-app alone has no effect"),
        (&OTHERS, &["--jwt-app", "a"], "settings", "--jwt-app alone has no effect"),
        (&DEVICES, &["--base-url", here], "settings", "--client-id"),
        (&OTHERS, &["--base-url", here], "settings", "--client-id"),
        (&[ENDPOINT], &["--base-url", here], "settings", "--client-id"),
        (&[ENDPOINT], &["--api-url", here], "settings", "--api-url alone has no effect"),
        (&[ENDPOINT], &no_app, "settings", "--access-token"),
        (
            &[ENDPOINT],
            &[&no_app[..], &["--api-url", "http://api.example.com"]].concat(),
            "settings",
            "--api-url is http",
        ),
        (&[ENDPOINT], &["--access-token", "wrong"], "sign_in_again", "sign in again"),
        (&LOGINS, &["--oauth-app", "a"], "settings", "--oauth-app alone has no effect"),
        (&LOGINS, &["--base-url", here], "settings", "--client-id"),
        (&LOGINS[..1], &public, "settings", "use https"),
        (
            &LOGINS[..1],
            &[&no_app[..], &["--family", "site"]].concat(),
            "settings",
            "OAuth app's name is needed and not set",
        ),
        (&DEVICES, &public, "settings", "use https"),
        (&OTHERS[..3], &[&public[..], &["--client-secret", "s"]].concat(), "settings", "use https"),
        (&DEVICES, &no_app, "settings", "OAuth app's name is needed and not set"),
        (&["own_store"], &no_app, "settings", "leave out --client-id"),
        (&DEVICES, &[&no_app[..], &["--approve"]].concat(), "settings", "leave out --client-id and --base-url"),
        (&DEVICES, &["--family", "site", "--client-id", "c"], "settings", "--base-url"),
        (&["refresh_and_revoke"], &no_app, "settings", "--refresh-token"),
        (&["jwt"], &no_app, "settings", "--access-token, --email, --username or --phone"),
        (&["password_login"], &wrong_password, "ask_user", "correct the user name, the email address"),
        (&["password_login"], &["--password", "wrong"], "settings", "--username and --password"),
        (&["authorization_code"], &["--code", "wrong"], "sign_in_again", "sign in again"),
        (&["refresh_and_revoke"], &["--refresh-token", "wrong"], "sign_in_again", "sign in again"),
        (&DEVICES, &absent, "not_sent", "nothing was sent: check the address"),
        (
            &["password_login"],
            &[&absent[..], &wrong_password].concat(),
            "not_sent",
            "nothing was sent: check the address",
        ),
    ];
    let mut running = Vec::new();
    for (examples, arguments, kind, advice) in cases {
        for example in *examples {
            let mut arguments = [&["--json"], *arguments].concat();
            // Without an option for the code it would read one.
            if *example == "authorization_code" && !arguments.contains(&"--code") {
                arguments.extend(["--code", "c"]);
            }
            let example_run = Example::start(example, &arguments);
            running.push((example, arguments, kind, advice, example_run));
        }
    }
    for (example, arguments, kind, advice, run) in running {
        let ended = run.end();
        let (found, message) = ended.error();
        assert_eq!(found, **kind, "{example} {arguments:?}: {message}");
        assert!(message.contains(*advice), "{example} {arguments:?}: {message}");
        assert_eq!(ended.events().len(), 1, "{example} {arguments:?}: {}", ended.stdout);
    }
    assert_eq!(emulator.requests(), [], "a missing option is found before anything is sent");
}

#[test]
fn the_user_is_shown_the_cause_too() {
    let (unused, _taken) = unused_address();
    let who = ["--base-url", &unused, "--client-id", "c", "--client-secret", "s"];
    let ended = Example::start("password_login", &[&who[..], &["--username", "u", "--password", "p"]].concat()).end();
    assert!(!ended.success);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("refused the connection"), "{}", ended.stderr);
}

#[test]
fn an_endpoint_of_ones_own_is_called_by_both_clients() {
    let emulator = emulator();
    let token = tokens(&emulator).access_token;
    let access_token = ["--access-token", &token];
    let run = |options: &[&str]| {
        emulator.clear_requests();
        let ended = Example::start(ENDPOINT, &[&service(&emulator)[..], options].concat()).end();
        for request in emulator.requests() {
            assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/identity/v2/auth/account"));
            assert_eq!(request.operation, Some(Operation::Profile));
            assert_eq!(request.authorization, Some(format!("Bearer {token}")));
            assert_eq!(request.params, [("apikey".to_owned(), seeded::OTHER_CLIENT_ID.to_owned())]);
            assert_eq!(request.body_format, BodyFormat::None);
        }
        assert!(!ended.stdout.contains(&token) && !ended.stderr.contains(&token), "{}{}", ended.stdout, ended.stderr);
        (ended, emulator.requests().len())
    };
    let ada = format!("{} {}", seeded::ADA.first_name, seeded::ADA.last_name);
    for api in ["classic", "site"] {
        let (ended, requests) = run(&[&["--json", "--family", api][..], &access_token].concat());
        let profile = |client| json!({ "event": "profile", "client": client, "name": ada, "email": seeded::ADA.email });
        assert_eq!(ended.events(), ["blocking", "async"].map(profile));
        assert_eq!((ended.stderr.as_str(), ended.success, requests), ("", true, 2));
    }
    let (ended, _) = run(&access_token);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let line = |client| format!("  by the {client} client: {ada} <{}>", seeded::ADA.email);
    assert_eq!(lines, ["blocking", "async"].map(line));

    // A response that was lost is asked for again, since the call only reads.
    emulator.fault_times(Operation::Profile, Fault::DropAfter, 1);
    let (ended, requests) = run(&[&["--json"], &access_token[..]].concat());
    assert_eq!((ended.names(), requests), (["profile", "profile"].map(str::to_owned).to_vec(), 3));

    // What a server says is text, and `null` is nothing.
    let body = json!({ "FullName": "Ada\u{1b}[2J", "Email": null }).to_string();
    emulator.fault_times(Operation::Profile, Fault::Respond { status: 200, headers: Vec::new(), body }, 2);
    let (ended, _) = run(&access_token);
    assert!(ended.stdout.contains("Ada\u{fffd}[2J <no e-mail address>"), "{:?}", ended.stdout);

    // An expired token, also by a server that repeats it.
    emulator.expire_access_tokens();
    let repeated = json!({ "ErrorCode": 906, "Message": format!("The token {token} has expired") }).to_string();
    for body in [None, Some(repeated)] {
        if let Some(body) = body {
            emulator.fault(Operation::Profile, Fault::Respond { status: 403, headers: Vec::new(), body });
        }
        let (ended, requests) = run(&[&["--json"], &access_token[..]].concat());
        let (kind, message) = ended.error();
        assert_eq!((kind.as_str(), requests), ("sign_in_again", 1));
        assert!(message.starts_with("Auth Read all Profiles by Token: ") && message.contains("906"), "{message}");
    }
}

#[test]
fn an_endpoint_of_ones_own_shows_an_error_of_its_emulator() {
    let ended = Example::start(ENDPOINT, &["--json"]).end();
    let refused = ended.events().pop().unwrap();
    assert_eq!(refused["kind"], "sign_in_again");
    assert!(text(&refused, "message").starts_with("Auth Read all Profiles by Token: "), "{refused}");
    let ended = Example::start(ENDPOINT, &[]).end();
    assert!(ended.success && ended.stderr.is_empty());
    let last = ended.stdout.lines().last().unwrap();
    assert!(last.starts_with("  sign_in_required: Auth Read all Profiles by Token: "), "{last}");
}

#[test]
fn the_api_host_may_be_elsewhere() {
    let (base, api) = (emulator(), emulator());
    let token = tokens(&api).access_token;
    let options = [&service(&base)[..], &["--json"]].concat();
    let typed = ["--access-token", &token, "--api-url", api.base_url()];
    let environment = [("LOGINRADIUS_ACCESS_TOKEN", token.as_str()), ("LOGINRADIUS_API_URL", api.base_url())];
    for run in [
        Example::start(ENDPOINT, &[&options[..], &typed].concat()),
        Example::start_in(ENDPOINT, &options, &environment),
    ] {
        let ended = run.end();
        assert_eq!(ended.names(), ["profile", "profile"], "{}", ended.stdout);
    }
    assert_eq!(base.requests(), []);
}

#[test]
fn a_code_can_be_pasted() {
    let emulator = emulator();
    let redirect = "https://app.example.com/back";
    let code = emulator.issue_code(seeded::OTHER_CLIENT_ID, redirect, None);
    let mut command = command("authorization_code");
    command.args(service(&emulator)).args(["--json", "--redirect-uri", redirect]);
    let ended = Example::run(&mut command, &format!("  {code}\n")).end();
    assert_eq!(ended.names(), ["tokens"]);
    assert!(ended.success);
}

#[test]
fn the_rfcs_own_parameters_are_sent_when_asked_for() {
    let emulator = emulator();
    let token = tokens(&emulator).refresh_token;
    let options = ["--family", "site", "--refresh-token", &token, "--token-key"];
    let ended = Example::start("refresh_and_revoke", &[&service(&emulator)[..], &["--json"], &options].concat()).end();
    assert!(ended.success);
    let asked = emulator.requests();
    let revoke = asked.iter().find(|asked| asked.operation == Some(Operation::Revoke)).unwrap();
    assert!(revoke.param("token").is_some() && revoke.param("refresh_token").is_none());

    let redirect = "https://app.example.com/back";
    let code = emulator.issue_code(seeded::OTHER_CLIENT_ID, redirect, None);
    let options = ["--code", &code, "--redirect-uri", redirect, "--grant-type"];
    let ended = Example::start("authorization_code", &[&service(&emulator)[..], &["--json"], &options].concat()).end();
    assert!(ended.success);
    let asked = emulator.requests().pop().unwrap();
    assert_eq!(asked.param("grant_type"), Some("authorization_code"));
}

#[test]
fn what_a_service_says_cannot_steer_the_terminal() {
    let nasty = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31mXYZ\r\n\u{8}\u{7f}-123";
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let web = "https://login.example.com/device";
    let mut running = Vec::new();
    for (code, address, refused) in [
        ("CXY-Q34", web.to_owned(), None),
        (nasty, web.to_owned(), Some("`user_code`")),
        ("CXY-Q34", "javascript:alert(1)".to_owned(), Some("`verification_uri`")),
        ("CXY-Q34", format!("{web}/\u{1b}[31m"), Some("`verification_uri`")),
        ("CXY-Q34", "https://login.example.com@evil.example/".to_owned(), Some("`verification_uri`")),
    ] {
        let grant = json!({
            "device_code": "d", "user_code": code, "verification_uri": address, "interval": 1, "expires_in": 600,
        });
        let denial = json!({ "error": "access_denied", "error_description": nasty });
        let base_url = service_with(&grant, &denial);
        let options = ["--base-url", &base_url, "--client-id", "c", "--oauth-app", "a"];
        let mut human = Vec::from(DEVICES.map(|example| (example, Example::start(example, &options))));
        human.push(("session", Example::start("session", &[&options[..], &["--store", store]].concat())));
        let machine = Example::start("device_login", &[&options[..], &["--json"]].concat());
        running.push((code, address, refused, human, machine));
    }
    for (code, address, refused, human, machine) in running {
        for (example, run) in human {
            let ended = run.end();
            assert!(!ended.success, "{example}");
            for printed in [&ended.stdout, &ended.stderr] {
                assert!(!printed.chars().any(|c| c.is_control() && c != '\n'), "{example}: {printed:?}");
            }
            assert_eq!(has_picture(&ended.stdout), refused.is_none(), "{example}: {}", ended.stdout);
            match refused {
                None => {
                    assert!(
                        ended.stdout.contains(code) && ended.stdout.contains(&address),
                        "{example}: {:?}",
                        ended.stdout
                    );
                    assert!(
                        ended.stderr.contains("owned") && ended.stderr.contains("-123"),
                        "{example}: {:?}",
                        ended.stderr
                    );
                }
                Some(field) => assert!(ended.stderr.contains(field), "{example}: {:?}", ended.stderr),
            }
        }
        let ended = machine.end();
        assert!(!ended.stdout.contains(['\x1b', '\r', '\x07']));
        assert_eq!(ended.error().0, if refused.is_none() { "denied" } else { "bad_answer" });
    }
}

#[test]
fn a_closed_standard_output_is_no_panic() {
    for example in DEVICES.iter().chain(&OTHERS).chain([&ENDPOINT]).chain(&SESSIONS) {
        // The programs of one example at once, and not all: the tokens of a demonstration live for seconds.
        let mut running = Vec::new();
        for options in [&["--json"][..], &[], &["--help"], &["--client-secret", "wrong"], &["--nonsense"]] {
            let mut command = command(example);
            command.args(options).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            if DEVICES.contains(example) && !options.contains(&"--nonsense") {
                command.arg("--approve");
            }
            let mut child = command.spawn().unwrap();
            drop(child.stdout.take());
            running.push((options, child));
        }
        for (options, child) in running {
            let ended = child.wait_with_output().unwrap();
            let stderr = String::from_utf8(ended.stderr).unwrap();
            assert!(!stderr.contains("panicked"), "{example} {options:?}: {stderr}");
            // A panic has a status of its own, and so has a signal. A device login needs no client secret.
            assert!(ended.status.code().is_some_and(|code| code <= 2), "{example} {options:?}: {}", ended.status);
            if matches!(options, [] | ["--json"]) {
                assert!(ended.status.success(), "{example} {options:?}: {stderr}");
            }
        }
    }
}

#[test]
fn help_names_every_shared_option_and_no_secret() {
    let secrets = [
        ("LOGINRADIUS_CLIENT_SECRET", "the-client-secret-of-the-environment"),
        ("LOGINRADIUS_PASSWORD", "the-password-of-the-environment"),
        ("LOGINRADIUS_ACCESS_TOKEN", "the-access-token-of-the-environment"),
        ("LOGINRADIUS_REFRESH_TOKEN", "the-refresh-token-of-the-environment"),
    ];
    for example in DEVICES.iter().chain(&OTHERS).chain([&ENDPOINT]).chain(&SESSIONS).chain(&LOGINS) {
        for help in ["--help", "-h"] {
            let ended = Example::start_in(example, &[help], &secrets).end();
            assert!(ended.success, "{example}");
            assert_eq!(ended.stderr, "", "{example}");
            for option in [
                "--base-url",
                "--family",
                "--oauth-app",
                "--jwt-app",
                "--client-id",
                "--client-secret",
                "--body",
                "--json",
                "--show-secrets",
            ] {
                assert!(ended.stdout.contains(option), "{example} {help}: {option}");
            }
            for (name, secret) in secrets {
                assert!(!ended.stdout.contains(secret), "{example} {help} prints {name}");
            }
            assert!(ended.stdout.contains("LOGINRADIUS_CLIENT_SECRET"), "{example} {help}");
        }
    }
}

#[test]
fn a_session_outlives_the_program() {
    let lifetime = Duration::from_secs(3);
    let emulator =
        Emulator::builder().device_interval(Duration::from_secs(1)).access_token_lifetime(lifetime).start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("sessions");
    let options = ["--json", "--events", "--store", store.to_str().unwrap()];
    let start = |more: &[&str]| Example::start("session", &[&service(&emulator)[..], &options, more].concat());
    let allow = |mut run: Example| {
        emulator.approve(&text(&run.event(), "user_code")).unwrap();
        run.end()
    };
    let happened = |ended: &Ended| -> Vec<String> {
        assert!(ended.success, "{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.stderr, "");
        let of_sessions = ended.events().into_iter().filter(|event| event["event"] == "session");
        of_sessions.map(|event| text(&event, "happened")).collect()
    };

    let first = allow(start(&[]));
    assert_eq!(first.names(), ["prompt", "session", "tokens"]);
    assert_eq!(happened(&first), ["signed_in"]);
    let second = start(&[]).end();
    assert_eq!(second.names(), ["tokens"], "the user is asked again");
    assert_eq!(second.events()[0]["access_token"], first.events()[2]["access_token"]);

    // After the token has expired, two runs at once refresh it once.
    thread::sleep(lifetime);
    let before = emulator.refreshes();
    let both = [start(&[]), start(&[])].map(|run| happened(&run.end()));
    assert_eq!(emulator.refreshes() - before, 1);
    assert_eq!(both.concat(), ["rotated"]);

    assert_eq!(happened(&start(&["--refresh"]).end()), ["rotated"]);

    // Another name is another session.
    let other = ["--name", "Grace / \u{e9}\n"];
    let ended = allow(start(&other));
    assert_eq!(ended.names(), ["prompt", "session", "tokens"]);
    assert_eq!(emulator.live_logins(), 2);
    assert_eq!(start(&[&other[..], &["--forget"]].concat()).end().names(), ["session", "forgotten"]);
    assert_eq!(emulator.live_logins(), 2, "it was revoked at LoginRadius");

    // An outage does not end the session.
    thread::sleep(lifetime);
    emulator.fault(Operation::Refresh, Fault::Status(503));
    let ended = start(&[]).end();
    assert_eq!(ended.error().0, "try_later");
    emulator.clear_faults();
    thread::sleep(Duration::from_secs(4)); // the backoff is stored, too
    assert_eq!(happened(&start(&[]).end()), ["rotated"]);

    assert_eq!(start(&["--sign-out"]).end().names(), ["session", "signed_out"]);
    assert_eq!(emulator.live_logins(), 1);
    assert_eq!(start(&[]).event()["event"], "prompt");
    assert_eq!(emulator.replays(), 0);
}

#[test]
fn a_session_prints_no_secret_and_says_what_to_fix() {
    let emulator = emulator();
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap();
    let environment = [("XDG_STATE_HOME", home), ("LOCALAPPDATA", home), ("HOME", home)];
    let run = |options: &[&str]| {
        let grants = emulator.device_grants().len();
        let run = Example::start_in("session", &[&service(&emulator)[..], options].concat(), &environment);
        until(|| emulator.device_grants().len() > grants);
        emulator.approve(&emulator.device_grants()[grants].user_code).unwrap();
        run.end()
    };
    for json in [&["--json"][..], &[]] {
        for shown in [false, true] {
            let name = format!("{json:?}{shown}");
            let shows: &[&str] = if shown { &["--show-secrets"] } else { &[] };
            let ended = run(&[&["--events", "--name", &name], json, shows].concat());
            assert!(ended.success, "{}{}", ended.stdout, ended.stderr);
            let newest = emulator.logins().pop().unwrap();
            for secret in [newest.access_token, newest.refresh_token] {
                assert_eq!(ended.stdout.contains(&secret), shown, "{}", ended.stdout);
            }
        }
    }
    #[cfg(target_os = "linux")]
    assert!(std::path::Path::new(home).join("loginradius-examples").is_dir(), "it is not there by default");

    for options in [&["--sign-out"][..], &["--forget"], &["--refresh"], &["--store", home]] {
        let (kind, message) = Example::start("session", &[&["--json"], options].concat()).end().error();
        assert_eq!(kind, "settings", "{message}");
        assert!(message.contains("cargo run -p loginradius-emulator"), "{message}");
    }
    let file = format!("{home}/a-file");
    std::fs::write(&file, "").unwrap();
    let options = ["--json", "--store", &file];
    let (kind, message) = Example::start("session", &[&service(&emulator)[..], &options].concat()).end().error();
    assert_eq!(kind, "settings", "{message}");
    assert!(message.contains("a-file"), "{message}");
}

#[test]
fn a_service_signs_its_users_in_and_out() {
    let emulator = emulator();
    let folder = tempfile::tempdir().unwrap();
    let options = ["--json", "--store", folder.path().to_str().unwrap()];
    let start = || {
        let mut run = Example::start("shared_session", &[&service(&emulator)[..], &options].concat());
        let url = text(&run.event(), "url");
        (run, url)
    };
    let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
    let get = |url: &str| agent.get(url).call().unwrap();
    let post = |url: &str| agent.post(url).send_empty().unwrap();

    let (mut run, url) = start();
    assert_eq!(get(&format!("{url}/me/ada")).status(), 401);
    let mut response = post(&format!("{url}/login/ada"));
    assert_eq!(response.status(), 202);
    let prompt: Value = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
    emulator.approve(&text(&prompt, "user_code")).unwrap();
    assert_eq!(run.event()["happened"], "signed_in");
    let mut response = get(&format!("{url}/me/ada"));
    let said: Value = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
    assert!(said["name"] == "ada" && said["letters_of_the_jwt"].as_u64() > Some(100), "{said}");

    // LoginRadius rejects the token, and is out of order.
    emulator.expire_access_tokens();
    emulator.fault(Operation::Refresh, Fault::Status(503));
    let response = get(&format!("{url}/me/ada"));
    assert_eq!(response.status(), 503);
    let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds));
    emulator.clear_faults();
    thread::sleep(Duration::from_secs(seconds));
    assert_eq!(get(&format!("{url}/me/ada")).status(), 200);

    // Another process of the service continues the session.
    #[cfg(unix)]
    {
        // The shell's own `kill`: not every machine has a program of that name.
        let process = run.child.id().to_string();
        let interrupted = std::process::Command::new("sh").args(["-c", "kill -INT \"$0\"", &process]).status();
        assert!(interrupted.unwrap().success());
        let ended = run.end();
        assert!(ended.success, "{}{}", ended.stdout, ended.stderr);
    }
    let (_run, url) = start();
    assert_eq!(get(&format!("{url}/me/ada")).status(), 200);
    assert_eq!(post(&format!("{url}/logout/ada")).status(), 204);
    assert_eq!(get(&format!("{url}/me/ada")).status(), 401);
    assert_eq!((emulator.live_logins(), emulator.replays()), (0, 0));
}

#[cfg(unix)]
#[test]
fn two_processes_behind_one_address_share_the_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("sessions");
    let options = ["--json", "--processes", "2", "--store", store.to_str().unwrap()];
    let ended = Example::start("shared_session", &options).end();
    assert!(ended.success, "{}{}", ended.stdout, ended.stderr);
    let rush = &ended.events()[0];
    assert_eq!((&rush["processes"], &rush["replays"]), (&json!(2), &json!(0)), "{rush}");
    // Two for each of 20 users: the tokens expire once by themselves, and once are rejected before. A slow machine needs
    // a few more.
    assert!(rush["refreshes"].as_u64() < Some(80), "{rush}");
}

#[test]
fn the_storm_breaks_no_guarantee() {
    let storm = |options: &str| {
        let ended = Example::start("session_storm", &options.split(' ').collect::<Vec<_>>()).end();
        assert!(ended.success, "{options}: {}{}", ended.stdout, ended.stderr);
        let [line] = &ended.events()[..] else { panic!("{options}: {}", ended.stdout) };
        for kept in ["signed_out", "corrupt", "lost"] {
            assert_eq!(line[kept], 0, "{options}: {line}");
        }
        assert_eq!(line["replays"], line["replays_explained"], "{options}: {line}");
        line.clone()
    };
    let line = storm("--tasks 200 --expiries 20 --drop 0.33");
    assert_eq!(line["refreshes"], 20, "{line}");
    assert!(line["dropped"].as_u64() > Some(500), "{line}");
    assert_eq!(storm("--threads 50 --expiries 20")["refreshes"], 20);
    let line = storm("--threads 20 --expiries 2 --outage 5");
    assert!(line["refreshes"] == 3 && line["try_later"].as_u64() > Some(0), "{line}");
    assert_eq!(storm("--short-runs 40")["refreshes"], 10);

    let line = storm("--processes 3 --seconds 3 --sessions 8");
    assert!(line["refreshes"].as_u64() >= Some(8), "{line}");
    assert_eq!(line["refreshes"], line["refreshes_expected"], "{line}");
    let line = storm("--processes 3 --seconds 3 --sessions 8 --lose-replies 0.2");
    assert_eq!(line["refreshes"], line["refreshes_expected"], "{line}");
    let line = storm("--processes 3 --seconds 4 --sessions 8 --kill-every-ms 100");
    assert!(line["kills"].as_u64() > Some(10), "{line}");
    let line = storm("--processes 3 --seconds 4 --sessions 8 --kill-every-ms 100 --grace-ms 60000");
    assert_eq!((&line["replays"], &line["signed_out_explained"]), (&json!(0), &json!(0)), "{line}");
}

/// Starts an emulator that the test can inspect.
fn emulator() -> Emulator {
    Emulator::builder().device_interval(Duration::from_secs(1)).start().unwrap()
}

/// Returns an address at which no server listens, nor can while the connection exists: its near end has the port.
fn unused_address() -> (String, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    // The far end stays open until the near one closes.
    thread::spawn(move || listener.accept().map(|(mut far, _)| far.read(&mut [0])));
    (format!("http://{}", taken.local_addr().unwrap()), taken)
}

/// Runs every example with these options, all at once.
fn all_at_services(options: &[&str]) -> Vec<(&'static str, Emulator, Ended)> {
    let examples: Vec<_> = DEVICES.into_iter().chain(OTHERS).collect();
    at_services(&examples, options)
}

/// Runs these examples, each with a service of its own.
fn at_services(examples: &[&'static str], options: &[&str]) -> Vec<(&'static str, Emulator, Ended)> {
    thread::scope(|scope| {
        let start = |&example| {
            let run = move || {
                let emulator = emulator();
                let ended = at_service(example, &emulator, options);
                (example, emulator, ended)
            };
            scope.spawn(run)
        };
        let running: Vec<_> = examples.iter().map(start).collect();
        running.into_iter().map(|run| run.join().unwrap()).collect()
    })
}

/// Runs an example with this service, and what it needs to succeed.
fn at_service(example: &str, emulator: &Emulator, options: &[&str]) -> Ended {
    let ada = seeded::ADA;
    let redirect = "https://www.example.com/callback";
    let grant;
    let code;
    let more: &[&str] = match example {
        "refresh_and_revoke" => {
            grant = tokens(emulator);
            &["--refresh-token", &grant.refresh_token]
        }
        "authorization_code" => {
            code = emulator.issue_code(seeded::OTHER_CLIENT_ID, redirect, None);
            &["--code", &code]
        }
        "password_login" => &["--username", ada.email, "--password", ada.password],
        "jwt" => {
            grant = tokens(emulator);
            &[
                "--access-token",
                &grant.access_token,
                "--email",
                ada.email,
                "--username",
                ada.username,
                "--phone",
                ada.phone,
                "--password",
                ada.password,
            ]
        }
        _ => &[],
    };
    emulator.clear_requests();
    let grants = emulator.device_grants().len();
    let run = Example::start(example, &[&service(emulator)[..], options, more].concat());
    if DEVICES.contains(&example) {
        until(|| emulator.device_grants().len() > grants);
        emulator.approve(&emulator.device_grants()[grants].user_code).unwrap();
    }
    run.end()
}

/// Makes a login of the client that the examples use.
fn tokens(emulator: &Emulator) -> loginradius_emulator::Login {
    let who = ["--username", seeded::ADA.email, "--password", seeded::ADA.password];
    let run = Example::start("password_login", &[&service(emulator)[..], &["--json"], &who].concat());
    assert!(run.end().success);
    emulator.logins().pop().unwrap()
}

/// Returns every secret that the emulator has received or issued.
fn secrets(emulator: &Emulator) -> Vec<String> {
    let mut secrets: Vec<String> =
        emulator.logins().into_iter().flat_map(|login| [login.access_token, login.refresh_token]).collect();
    secrets.extend(emulator.device_grants().into_iter().map(|grant| grant.device_code));
    for request in emulator.requests() {
        for (name, value) in request.params {
            let is_secret = ["client_secret", "device_code", "refresh_token", "access_token", "password", "code"];
            if is_secret.contains(&name.as_str()) {
                secrets.push(value);
            }
        }
    }
    secrets
}

/// Waits for another thread.
#[track_caller]
fn until(done: impl Fn() -> bool) {
    let before = std::time::Instant::now();
    while !done() {
        assert!(before.elapsed() < common::MAX_WAIT, "it does not happen");
        thread::sleep(Duration::from_millis(5));
    }
}

fn has_picture(text: &str) -> bool {
    text.contains(['█', '▀', '▄'])
}

/// Starts a service that responds to a request for a device code with the one and to a poll with the other.
fn service_with(grant: &Value, denial: &Value) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let (grant, denial) = (grant.to_string(), denial.to_string());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = respond(&stream, &grant, &denial);
        }
    });
    base_url
}

fn respond(stream: &TcpStream, grant: &str, denial: &str) -> std::io::Result<()> {
    let mut request = BufReader::new(stream);
    let mut first = String::new();
    request.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        request.read_line(&mut header)?;
        match header.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    request.read_exact(&mut vec![0; length])?;
    let (status, body) = if first.contains("/device ") { ("200 OK", grant) } else { ("400 Bad Request", denial) };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    write!(&*stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len())
}
