//! Browsers are sent to allowed redirect URIs only, and nothing that was sent becomes markup or a header.

use loginradius_emulator::{Api, AuthorizeError, Emulator, seeded};

use crate::authorize::{APIS, CALLBACK, at_consent, authorize, bare_link, link};
use crate::browser::Browser;
use crate::http::{get, host, raw};
use crate::jwt_browser;

const MARKUP: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;";

/// None of these is a URL of this machine.
const ELSEWHERE: [&str; 24] = [
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example/",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "javascript://127.0.0.1/%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "file:///etc/passwd",
    "http://127.0.0.1@evil.example/",
    "http://127.0.0.1:80@evil.example/",
    "http://127.0.0.1:80%40evil.example/",
    "http://127.0.0.1.evil.example/",
    "http://127.0.0.1\\.evil.example/",
    "http://127.0.0.1\\@evil.example/",
    "http://127.0.0.1#@evil.example/",
    "http://127.0.0.1:80#fragment",
    "http://localhost.evil.example/",
    "http://[::1].evil.example/",
    "http://[::1]@evil.example/",
    "http://127.0.0.1\u{3002}evil.example/",
    "http://127.0.0.1/\r\nLocation: https://evil.example/",
    "http://127.0.0.1/\u{0}",
    "\thttp://127.0.0.1/",
    "http://evil.example/?http://127.0.0.1/",
];

#[test]
fn there_is_no_open_redirect() {
    let emulator = Emulator::start().unwrap();
    for elsewhere in ELSEWHERE {
        for api in APIS {
            let paths = [
                link(api, &[("redirect_uri", elsewhere)]),
                // What else is wrong must not matter.
                link(api, &[("redirect_uri", elsewhere), ("response_type", "")]),
                link(api, &[("redirect_uri", elsewhere), ("response_mode", "form_post")]),
                jwt_browser::link(api, seeded::JWT_APP, &[(jwt_browser::address(api), elsewhere)]),
            ];
            for path in paths {
                let response = get(&emulator, &path);
                assert_eq!((response.status, response.header("location")), (400, None), "{elsewhere}");
                assert!(!response.body.contains("evil.example") && !response.body.contains("<form"), "{elsewhere}");
                let refused = authorize(&emulator, &path);
                assert!(matches!(refused, Err(AuthorizeError::Refused { code: 2006 | 2014, .. })), "{elsewhere}");
            }
        }
    }
    assert_eq!((emulator.codes(), emulator.counters().jwts), (vec![], 0));
}

#[test]
fn this_machine_is_allowed_on_every_port() {
    let emulator = Emulator::start().unwrap();
    for address in [
        "http://127.0.0.1",
        "http://127.0.0.1:1/",
        "http://localhost:65535/a/b",
        "http://[::1]:3000/callback",
        "http://[::1]",
        "http://127.0.0.1:8080?next=/x",
    ] {
        for api in APIS {
            let response = authorize(&emulator, &link(api, &[("redirect_uri", address)])).unwrap();
            assert!(response.url.starts_with(address), "{response:?}");
            let path = jwt_browser::link(api, seeded::JWT_APP, &[(jwt_browser::address(api), address)]);
            assert!(authorize(&emulator, &path).unwrap().url.starts_with(address));
        }
    }
}

#[test]
fn addresses_that_were_given_are_the_only_ones() {
    let given = ["https://www.abc.com/callback?tenant=a", "com.example.app:/done", "http://127.0.0.1:7/only"];
    let mut builder = Emulator::builder();
    for address in given {
        builder = builder.redirect_uri(address).unwrap();
    }
    let emulator = builder.start().unwrap();
    for api in APIS {
        for address in given {
            let mut browser = at_consent(&emulator, &link(api, &[("redirect_uri", address)]));
            browser.decide("allow");
            let joint = if address.contains('?') { '&' } else { '?' };
            assert!(browser.location().starts_with(&format!("{address}{joint}code=")), "{}", browser.location());
        }
        for elsewhere in [
            "https://www.abc.com/callback",
            "https://www.abc.com/callback?tenant=a&b",
            "https://www.abc.com/callback?tenant=A",
            "https://www.abc.com:443/callback?tenant=a",
            "HTTPS://www.abc.com/callback?tenant=a",
            "com.example.app:/done/",
            "http://127.0.0.1:7/only/",
            "http://127.0.0.1:8/only",
        ] {
            let refused = authorize(&emulator, &link(api, &[("redirect_uri", elsewhere)]));
            assert!(matches!(refused, Err(AuthorizeError::Refused { .. })), "{elsewhere}");
        }
    }
    for bad in ["javascript:alert(1)", "/callback", "https://a@b/", "https://www.abc.com/#x", ""] {
        let error = Emulator::builder().redirect_uri(bad).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{bad}");
    }
}

#[test]
fn nothing_that_was_sent_becomes_markup() {
    let emulator = Emulator::start().unwrap();
    let safe = |browser: &Browser<'_>| {
        assert!(!browser.page.body.contains("<script") && !browser.page.body.contains("<img"), "{}", browser.page.body);
        assert!(!browser.page.body.contains("'><"));
    };
    for api in APIS {
        // On the error page.
        for name in ["client_id", "redirect_uri"] {
            let browser = Browser::open(&emulator, &link(api, &[(name, MARKUP)]));
            assert_eq!(browser.page.status, 400);
            safe(&browser);
        }
        // On the other pages, and in the response.
        let scope = format!("profile&{MARKUP}");
        let way = "http://127.0.0.1:9/'()*,;:@!$&=";
        let params = [("state", MARKUP), ("scope", scope.as_str()), ("redirect_uri", way), (MARKUP, MARKUP)];
        let mut browser = Browser::open(&emulator, &link(api, &params));
        safe(&browser);
        browser.sign_in(MARKUP, MARKUP);
        browser.warns(400, "Invalid user ID");
        assert!(browser.page.body.contains("value=\"&quot;'&gt;&lt;script&gt;"), "{}", browser.page.body);
        safe(&browser);
        browser.sign_in_as_ada();
        safe(&browser);
        browser.decide("deny");
        let location = browser.location();
        assert!(location.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte)), "{location}");
    }
    let path = link(Api::Site, &[("state", MARKUP), ("response_mode", "form_post"), ("response_type", "")]);
    let page = get(&emulator, &path);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("value=\"&quot;'&gt;&lt;script&gt;alert(1)&lt;/script&gt;"), "{}", page.body);
    // Its own.
    assert_eq!((page.body.matches("<script").count(), page.body.matches("<img").count()), (1, 0));
    let path = format!("/service/oauth/{}/authorize?client_id={}", "%22%3E%3Cscript%3E", seeded::CLIENT_ID);
    safe(&Browser::open(&emulator, &path));
    safe(&Browser::open(&emulator, "/authorize?ticket=%22%3E%3Cscript%3E"));
}

#[test]
fn no_header_can_be_smuggled_in() {
    let emulator = Emulator::start().unwrap();
    for mode in ["query", "fragment"] {
        let state = "x\r\nSet-Cookie: a=b\r\n\r\n<script>";
        let params = [("state", state), ("response_type", ""), ("response_mode", mode)];
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            link(Api::Classic, &params),
            host(&emulator)
        );
        let response = String::from_utf8(raw(&emulator, &request)).unwrap();
        assert!(response.starts_with("HTTP/1.1 303 "), "{response}");
        assert!(!response.to_ascii_lowercase().contains("set-cookie:"), "{response}");
        assert!(response.contains("state=x%0D%0ASet-Cookie%3A+a%3Db"));
    }
}

#[test]
fn long_and_odd_requests_get_a_response_and_do_no_harm() {
    let emulator = Emulator::start().unwrap();
    let tail = format!(" HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", host(&emulator));
    let status = |target: &str| {
        let response = raw(&emulator, &format!("GET {target}{tail}"));
        let response = String::from_utf8_lossy(&response).into_owned();
        response.get(9..12).and_then(|status| status.parse::<u16>().ok())
    };
    for api in APIS {
        let good = link(api, &[]);
        assert_eq!(status(&good), Some(200));
        // As long as an address can be, it is carried along.
        let long = "x".repeat(60_000);
        assert_eq!(status(&format!("{good}&y={long}")), Some(200));
        let response = authorize(&emulator, &link(api, &[("state", &long)])).unwrap();
        assert_eq!(response.param("state"), Some(long));
        // Longer ones are refused, with a response or by closing the connection.
        for length in [70_000, 1 << 20] {
            let received = status(&format!("{good}&y={}", "x".repeat(length)));
            assert!(matches!(received, None | Some(414 | 431)), "{received:?}");
        }
        for odd in ["&", "&&&", "&=", "&=x", "&%", "&%zz=%z", "&%00=%00", "&a[]=1&a[]=2", "?x=?", "&x=1&x=2"] {
            assert_eq!(status(&format!("{good}{odd}")), Some(200), "{odd}");
        }
        for odd in ["\0", "\t", "\u{7f}"] {
            let received = status(&format!("{good}&x={odd}"));
            assert!(matches!(received, None | Some(400)), "{odd:?}: {received:?}");
        }
        for odd in ["%C0%AF", "%FF", "%ED%A0%80"] {
            assert_eq!(status(&format!("{good}&x={odd}")), Some(400), "{odd}");
        }
        let many: Vec<_> = (0..5000).map(|_| ("client_id", "x")).collect();
        assert_eq!(get(&emulator, &bare_link(api, &many)).status, 400);
    }
    assert_eq!(get(&emulator, "/").status, 200);
}

#[test]
fn a_query_that_the_address_has_is_kept() {
    let emulator = Emulator::start().unwrap();
    for api in APIS {
        let address = "http://127.0.0.1:9/callback?tenant=a%26b&empty=";
        let response = authorize(&emulator, &link(api, &[("redirect_uri", address), ("state", "s")])).unwrap();
        let code = emulator.codes().pop().unwrap();
        assert_eq!(response.url, format!("{address}&code={}&state=s", code.code));
        assert_eq!(code.redirect_uri, address);
        let response = authorize(&emulator, &link(api, &[("response_type", "x")])).unwrap();
        assert!(response.url.starts_with(&format!("{CALLBACK}?error=")));
    }
}
