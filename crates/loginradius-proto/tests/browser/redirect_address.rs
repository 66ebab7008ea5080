//! Which redirect URIs are accepted.

use loginradius_proto::ErrorKind;
use loginradius_proto::browser::{AuthorizationRequest, BrowserRequest, JwtRedirect, loopback};

use crate::fixtures::*;

/// Checks that both requests refuse it, at both APIs.
#[track_caller]
fn is_refused(address: &str, text: &str) {
    for app in all_apis() {
        let error = refused(
            AuthorizationRequest::new(address).begin(&app, &random(0), start()),
            ErrorKind::Configuration,
            text,
        );
        assert!(error.to_string().contains("redirect_uri"), "{error}");
        let error = refused(
            JwtRedirect::new(address, "token").begin(&app, &random(0), start()),
            ErrorKind::Configuration,
            text,
        );
        assert!(error.to_string().contains("return_url"), "{error}");
    }
}

#[track_caller]
fn is_accepted(address: &str) {
    for app in all_apis() {
        let login = AuthorizationRequest::new(address).begin(&app, &random(0), start());
        let url = login.unwrap_or_else(|error| panic!("{address}: {error}")).url;
        assert_eq!(parameter(&url, "redirect_uri").as_deref(), Some(address));
        JwtRedirect::new(address, "token").begin(&app, &random(0), start()).unwrap();
    }
}

#[test]
fn https_addresses() {
    for address in [
        "https://app.example",
        "https://app.example/",
        "https://app.example:8443/callback",
        "https://app.example/callback?a=1&b=%20",
        "https://app.example?x=1",
        "HTTPS://app.example/",
        "https://192.0.2.1/x",
        "https://[2001:db8::1]:8443/x",
        "https://xn--bcher-kva.example/",
        "https://app.example/@user/cb",
        "https://app.example/a:b",
        "https://app.example/%C3%A4",
    ] {
        is_accepted(address);
    }
}

#[test]
fn http_addresses_of_this_machine() {
    for address in [
        "http://localhost/cb",
        "http://LOCALHOST:8400/cb",
        "http://127.0.0.1:8400/cb",
        "http://127.1.2.3/",
        "http://[::1]:8400/cb",
        "HTTP://127.0.0.1:1/",
    ] {
        is_accepted(address);
    }
}

#[test]
fn http_addresses_of_any_other_host_are_refused() {
    for address in [
        "http://app.example/cb",
        "http://localhost.evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://0.0.0.0/cb",
        "http://[::]/cb",
        "http://[::ffff:127.0.0.1]/cb",
        "http://192.168.0.1/cb",
        "http://evil.example?localhost",
        "http://evil.example/localhost",
        "HTTP://evil.example/",
    ] {
        is_refused(address, "is http, which would send codes and tokens unencrypted: use https");
    }
}

#[test]
fn a_fragment_is_refused() {
    for address in ["https://app.example/#", "https://app.example/cb#x", "http://localhost/#/cb", "com.example.app:/#a"]
    {
        is_refused(address, "has a fragment");
    }
}

#[test]
fn user_information_is_refused() {
    for address in [
        "https://app.example@evil.example/",
        "https://user:pass@app.example/cb",
        "https://@app.example/",
        "http://localhost@evil.example/",
        "http://127.0.0.1:80@evil.example/",
        "https://app.example%2f@evil.example",
    ] {
        is_refused(address, "has user information");
    }
}

#[test]
fn a_backslash_is_refused() {
    for address in [
        "https:\\\\app.example",
        "https://app.example\\@evil.example",
        "https://app.example/a\\b",
        "http://127.0.0.1\\.evil.example/",
    ] {
        is_refused(address, "has a backslash");
    }
}

#[test]
fn scripts_and_other_schemes_are_refused() {
    for address in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "javascript://app.example/%0aalert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "ftp://app.example/",
        "ws://localhost/",
        "blob:https://app.example/x",
        "myapp:/cb",
        "myapp://cb",
        "localhost:8400/cb",
        "java%73cript.x:alert(1)",
        ":x",
        "://app.example/",
    ] {
        is_refused(address, "has to begin with https://, with http:// and this machine, or with an app's own scheme");
    }
}

#[test]
fn an_address_without_a_scheme_is_refused() {
    for address in ["app.example/cb", "/callback", "//app.example/cb", "callback", "urn"] {
        is_refused(address, "lacks a scheme");
    }
    is_refused("", "is empty");
}

#[test]
fn a_host_without_a_scheme_is_not_taken_for_an_apps_own_scheme() {
    for address in
        ["127.0.0.1:8400/callback", "app.example:443/cb", "1.2:x", ".:x", "-.a:x", "+.a:x", "com.example.app:"]
    {
        for app in all_apis() {
            refused(
                AuthorizationRequest::new(address).begin(&app, &random(0), start()),
                ErrorKind::Configuration,
                "scheme",
            );
            refused(
                JwtRedirect::new(address, "token").begin(&app, &random(0), start()),
                ErrorKind::Configuration,
                "scheme",
            );
        }
    }
}

#[test]
fn an_apps_own_scheme_has_a_dot() {
    for address in
        ["com.example.app:/cb", "com.example.app://cb", "com.example.app:cb", "Com.Example.App:/cb", "a.b-c+d:/x"]
    {
        is_accepted(address);
    }
}

#[test]
fn spaces_control_characters_and_letters_outside_of_ascii_are_refused() {
    for address in [
        "https://app.example/a b",
        " https://app.example/",
        "https://app.example/\n",
        "https://app.example/\0",
        "https://äpp.example/",
        "https://app.example/ä",
        "https://аpp.example/",
        "https://app.example\u{3002}evil.example/",
        "https://app.example/\u{202e}",
        "https://app.example/<script>",
        "https://app.example/\"x",
        "https://app.example/`{}|^",
        "https://app.example/\u{7f}",
        "\thttps://app.example/",
    ] {
        is_refused(address, "has a space, a control character or another character that has to be encoded");
    }
}

#[test]
fn what_is_no_url_is_refused() {
    for address in ["https:", "https:/", "https:app.example/cb", "http:localhost", "https:/app.example/cb"] {
        is_refused(address, "is not a URL such as https://app.example/callback");
    }
}

#[test]
fn hosts_and_ports_that_are_none_are_refused() {
    for address in [
        "https://",
        "https:///callback",
        "https:////evil.example/",
        "https://?x",
        "http:///localhost",
        "https://[::1",
        "https://app.example%40evil.example/",
        "https://a..b/",
        "https://.a/",
        "https://[zz]/",
        "https://app.example;evil.example/",
        "https://app.example,evil.example/",
        "https://*.app.example/",
        "https://$host/",
        "http://127.1/cb",
        "http://2130706433/cb",
        "http://0x7f000001/cb",
        "http://0177.0.0.1/cb",
        "https://10.0.0.300/cb",
    ] {
        is_refused(address, "has a host that is not a name or an address");
    }
    for address in ["http://localhost./cb", "https://app.example./cb", "https://app.example.:8443/cb"] {
        is_refused(address, "has a host that ends with a dot: remove the dot");
    }
    for address in [
        "https://app.example:99999/x",
        "https://app.example:65536/",
        "https://app.example:0/",
        "https://app.example:/x",
        "https://app.example:443x/",
        "https://app.example:+443/",
        "https://app.example:80:90/",
        "http://localhost:abc/",
        "http://localhost:99999/",
        "http://127.0.0.1:/",
        "http://[::1]:70000/",
    ] {
        is_refused(address, "has a port that is not a number from 1 to 65535");
    }
}

#[test]
fn an_address_that_has_a_parameter_of_the_callback_is_refused() {
    // Every callback would have it twice.
    for name in ["state", "code", "token", "access_token", "id_token", "error", "error_description", "iss"] {
        for address in [format!("{ADDRESS}?{name}=x"), format!("{ADDRESS}?a=b&{name}"), format!("{ADDRESS}?{name}=")] {
            for app in all_apis() {
                let request = AuthorizationRequest::new(&address);
                refused(request.begin(&app, &random(0), start()), ErrorKind::Configuration, name);
            }
        }
    }
    for name in ["state", "error", "error_description", "my_jwt"] {
        let address = format!("{ADDRESS}?{name}=x");
        for app in all_apis() {
            let redirect = JwtRedirect::new(&address, "my_jwt");
            refused(redirect.begin(&app, &random(0), start()), ErrorKind::Configuration, name);
        }
    }
}

#[test]
fn an_address_on_this_machine_is_made_of_a_port_and_a_path() {
    assert_eq!(loopback::redirect_uri(8400, "/callback").unwrap(), "http://127.0.0.1:8400/callback");
    assert_eq!(loopback::redirect_uri(65535, "/").unwrap(), "http://127.0.0.1:65535/");
    assert_eq!(loopback::redirect_uri(1, "/a/b-c_d.e~f").unwrap(), "http://127.0.0.1:1/a/b-c_d.e~f");
    is_accepted(&loopback::redirect_uri(8400, "/callback").unwrap());
    for path in
        ["", "callback", "/cb?x", "/cb%20", "/cb#x", "/a b", "/a\\b", "/ä", "/a\r\nb", "@evil.example/", "//cb\0"]
    {
        refused(loopback::redirect_uri(8400, path), ErrorKind::Configuration, "");
    }
}

#[test]
fn a_path_that_a_browser_would_change_is_refused() {
    for path in ["/a/../b", "/..", "/./a", "/.", "/a{b}", "/\"", "/<x>", "/a`", "/a^b", "/a|b"] {
        refused(loopback::redirect_uri(8400, path), ErrorKind::Configuration, "path");
    }
    for path in ["//", "//x", "/a//b", "/a//"] {
        refused(loopback::redirect_uri(8400, path), ErrorKind::Configuration, "has an empty segment");
    }
    refused(loopback::redirect_uri(0, "/callback"), ErrorKind::Configuration, "port");
}

#[test]
fn an_address_that_is_far_too_long_is_refused_as_a_setting() {
    for address in [
        format!("com.example.app:/cb?{}", "x".repeat(300_000)),
        format!("{ADDRESS}?{}", "x".repeat(300_000)),
        format!("{ADDRESS}?{}", "&".repeat(1001)),
    ] {
        for app in all_apis() {
            refused(
                AuthorizationRequest::new(&address).begin(&app, &random(0), start()),
                ErrorKind::Configuration,
                "redirect_uri",
            );
            refused(
                JwtRedirect::new(&address, "token").begin(&app, &random(0), start()),
                ErrorKind::Configuration,
                "return_url",
            );
        }
    }
}
