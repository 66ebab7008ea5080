//! A user allows a device: the device is an example, the pages are the emulator's.

use std::time::Duration;

use fantoccini::key::Key;
use loginradius_emulator::seeded::{ADA, GRACE};
use loginradius_emulator::{Emulator, GrantState};
use serde_json::json;

use crate::common::{Ended, Example, service, text};
use crate::{Browser, serve};

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn allowing_by_the_complete_address() {
    let browser = Browser::open().await;
    let tour = ["tokens", "refreshed", "jwt", "revoked"];
    for (example, expected) in [("device_login", &tour[..]), ("async_device_login", &tour[..1])] {
        let device = Device::start(example);
        browser.goto(&device.complete).await;
        assert_eq!(browser.value("#user_code").await, device.code);
        browser.press("#continue").await;
        browser.sign_in(&ADA).await;
        assert_eq!(browser.text(".code-shown").await, device.code);
        browser.press("#allow").await;
        // The example's emulator ends with it, perhaps before the browser has the last page.
        device.allowed(expected);
    }
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn allowing_by_typing_the_code() {
    let emulator = emulator();
    let browser = Browser::open().await;
    let device = Device::at("device_login", &emulator);
    browser.goto(&device.address).await;
    assert_eq!(browser.value("#user_code").await, "");
    // As users type: "abc-d12" as "abc d12".
    browser.enter_code(&device.code.to_lowercase().replace('-', " ")).await;
    browser.sign_in(&ADA).await;
    assert_eq!(browser.text(".code-shown").await, device.code);
    browser.press("#allow").await;
    assert_eq!(browser.outcome().await, "allowed");
    device.allowed(&["tokens"]);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn denying() {
    let emulator = emulator();
    let browser = Browser::open().await;
    for example in ["device_login", "async_device_login"] {
        let device = Device::at(example, &emulator);
        browser.goto(&device.complete).await;
        browser.press("#continue").await;
        // For the second device the user is signed in already.
        if example == "device_login" {
            browser.sign_in(&ADA).await;
        }
        browser.press("#deny").await;
        assert_eq!(browser.outcome().await, "denied");
        device.denied();
    }
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_wrong_code_and_then_the_right_one() {
    let emulator = emulator();
    let browser = Browser::open().await;
    let device = Device::at("device_login", &emulator);
    browser.goto(&device.address).await;
    // Codes have no vowels.
    browser.enter_code("AEI-OUA").await;
    assert!(browser.text("[role=alert]").await.starts_with("No device is waiting for this code."));
    assert_eq!(browser.value("#user_code").await, "AEI-OUA", "what was typed can be corrected");
    browser.enter_code(&device.code).await;
    browser.sign_in(&ADA).await;
    browser.press("#allow").await;
    assert_eq!(browser.outcome().await, "allowed");
    device.allowed(&["tokens"]);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_wrong_password_and_then_the_right_one() {
    let emulator = emulator();
    let browser = Browser::open().await;
    let device = Device::at("device_login", &emulator);
    browser.goto(&device.complete).await;
    browser.press("#continue").await;
    browser.fill("#username", ADA.email).await;
    browser.fill("#password", GRACE.password).await;
    browser.press("#sign-in").await;
    assert!(browser.text("[role=alert]").await.contains("do not belong together"));
    assert_eq!(browser.value("#username").await, ADA.email, "only the password has to be typed again");
    assert_eq!(browser.value("#password").await, "");
    browser.fill("#password", ADA.password).await;
    browser.press("#sign-in").await;
    browser.press("#allow").await;
    assert_eq!(browser.outcome().await, "allowed");
    device.allowed(&["tokens"]);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_code_works_once() {
    let emulator = emulator();
    let browser = Browser::open().await;
    let device = Device::at("device_login", &emulator);
    let code = device.code.clone();
    let address = device.address.clone();
    browser.allow(&device).await;
    device.allowed(&["tokens"]);

    browser.goto(&address).await;
    browser.enter_code(&code).await;
    assert!(browser.text("[role=alert]").await.starts_with("This code has already been used."));
    assert_eq!(emulator.logins().len(), 1);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn going_back_does_not_allow_again() {
    let emulator = emulator();
    let browser = Browser::open().await;
    let device = Device::at("device_login", &emulator);
    browser.allow(&device).await;
    device.allowed(&["tokens"]);

    browser.client.back().await.unwrap();
    // The browser may show the page as it was, or ask for it again.
    let shown = browser.at("#allow, [role=alert]").await;
    if shown.attr("role").await.unwrap().is_none() {
        shown.click().await.unwrap();
    }
    assert!(browser.text("[role=alert]").await.starts_with("This code has already been used."));
    assert_eq!(emulator.logins().len(), 1);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn an_expired_code() {
    let emulator = Emulator::builder()
        .device_interval(Duration::from_secs(1))
        .device_lifetime(Duration::from_secs(600))
        .start()
        .unwrap();
    let browser = Browser::open().await;

    // It expires while the user reads.
    let device = Device::at("device_login", &emulator);
    browser.goto(&device.complete).await;
    browser.press("#continue").await;
    browser.sign_in(&ADA).await;
    browser.at("#allow").await;
    emulator.advance(Duration::from_secs(600));
    browser.press("#allow").await;
    assert!(browser.text("[role=alert]").await.starts_with("This code has expired."));
    let (kind, _) = device.end().error();
    assert_eq!(kind, "expired");

    // It had expired before the user came.
    let device = Device::at("device_login", &emulator);
    emulator.advance(Duration::from_secs(600));
    browser.goto(&device.complete).await;
    browser.press("#continue").await;
    assert!(browser.text("[role=alert]").await.starts_with("This code has expired."));
    let (kind, _) = device.end().error();
    assert_eq!(kind, "expired");
    assert_eq!(emulator.logins(), []);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn signing_in_as_another_user() {
    let emulator = emulator();
    let browser = Browser::open().await;
    let device = Device::at("device_login", &emulator);
    browser.goto(&device.complete).await;
    browser.press("#continue").await;
    browser.sign_in(&ADA).await;
    assert!(browser.text("main").await.contains(ADA.email));
    browser.press("#other-account").await;
    browser.sign_in(&GRACE).await;
    let page = browser.text("main").await;
    assert!(page.contains(GRACE.email) && !page.contains(ADA.email), "{page}");
    browser.press("#allow").await;
    assert_eq!(browser.outcome().await, "allowed");
    device.allowed(&["tokens"]);
    assert_eq!(emulator.logins().len(), 1);
    assert_eq!(emulator.live_logins_of(GRACE.email).len(), 1);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn two_devices_at_once() {
    let emulator = emulator();
    let browser = Browser::open().await;
    let television = Device::at("device_login", &emulator);
    let printer = Device::at("async_device_login", &emulator);
    assert_ne!(television.code, printer.code);
    // Both pages are open, in two tabs of one browser, before either is decided.
    browser.goto(&television.complete).await;
    browser.press("#continue").await;
    browser.sign_in(&ADA).await;
    browser.at("#deny").await;
    let first = browser.client.window().await.unwrap();
    let second = browser.client.new_window(true).await.unwrap();
    browser.client.switch_to_window(second.handle).await.unwrap();
    browser.goto(&printer.complete).await;
    browser.press("#continue").await;
    assert_eq!(browser.text(".code-shown").await, printer.code);
    browser.press("#allow").await;
    assert_eq!(browser.outcome().await, "allowed");
    printer.allowed(&["tokens"]);

    browser.client.switch_to_window(first).await.unwrap();
    assert_eq!(browser.text(".code-shown").await, television.code);
    browser.press("#deny").await;
    assert_eq!(browser.outcome().await, "denied");
    television.denied();
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn another_sites_form_is_refused() {
    let emulator = emulator();
    let browser = Browser::open().await;
    let device = Device::at("device_login", &emulator);
    browser.goto(&device.complete).await;
    browser.press("#continue").await;
    browser.sign_in(&ADA).await;
    // The worst case: the other page knows the code and even the token of the user's form.
    let token = browser.value("form[action='/device/decide'] [name=csrf]").await;
    assert!(token.len() > 20);

    let action = format!("{}/device/decide", emulator.base_url());
    let form = |token: &str| {
        format!(
            "<!DOCTYPE html><title>Win a prize</title><body onload='document.forms[0].submit()'>\
             <form method=post action='{action}'><input name=user_code value='{}'>\
             <input name=decision value=allow><input name=csrf value='{token}'></form>",
            device.code
        )
    };
    let port = serve(vec![form(""), form(&token)]);
    // Another port is another origin of the same site: the user's cookie is sent along. `data:` is no site at all.
    let pages = [
        format!("http://127.0.0.1:{port}/0"),
        format!("http://127.0.0.1:{port}/1"),
        format!("data:text/html,{}", form(&token)),
    ];
    for page in &pages {
        // It leaves for the emulator while it loads, which a driver may call an error.
        let _ = browser.client.goto(page).await;
        assert!(browser.text("[role=alert]").await.contains("Nothing has been allowed or denied."), "{page}");
        assert!(browser.address().await.starts_with(&action), "{page}");
        assert_eq!(emulator.device_grants()[0].state, GrantState::Pending, "{page}");
    }

    // The user's own click still counts.
    browser.goto(&device.complete).await;
    browser.press("#continue").await;
    browser.press("#allow").await;
    assert_eq!(browser.outcome().await, "allowed");
    device.allowed(&["tokens"]);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn by_keyboard_alone() {
    let emulator = emulator();
    let browser = Browser::open().await;
    let device = Device::at("device_login", &emulator);
    browser.goto(&device.address).await;
    browser.at("#user_code").await;
    // The fields that come first have the focus from the beginning.
    browser.focused("#user_code").await;
    browser.keys(&device.code).await;
    browser.tab_to("#continue").await;
    browser.key(Key::Enter).await;

    browser.at("#username").await;
    browser.focused("#username").await;
    browser.keys(ADA.email).await;
    browser.tab_to("#password").await;
    browser.keys("wrong").await;
    browser.key(Key::Enter).await;

    // After the mistake the focus is where it is corrected.
    browser.at("[role=alert]").await;
    browser.focused("#password").await;
    browser.keys(ADA.password).await;
    browser.tab_to("#sign-in").await;
    browser.key(Key::Enter).await;

    browser.at("#allow").await;
    browser.tab_to("#allow").await;
    browser.key(Key::Enter).await;
    assert_eq!(browser.outcome().await, "allowed");
    device.allowed(&["tokens"]);
    browser.tab_to("a[href='/device']").await;
    browser.key(Key::Enter).await;
    browser.at("#user_code").await;
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn without_javascript() {
    let emulator = emulator();
    let browser = Browser::with(json!({ "prefs": { "profile.managed_default_content_settings.javascript": 2 } })).await;
    browser.goto("data:text/html,<title>off</title><script>document.title = 'on'</script>").await;
    assert_eq!(browser.client.title().await.unwrap(), "off", "this browser runs scripts");

    let device = Device::at("device_login", &emulator);
    browser.goto(&device.address).await;
    browser.enter_code("AEI-OUA").await;
    browser.at("[role=alert]").await;
    browser.enter_code(&device.code).await;
    browser.sign_in(&ADA).await;
    browser.press("#allow").await;
    assert_eq!(browser.outcome().await, "allowed");
    device.allowed(&["tokens"]);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn on_a_telephone() {
    let emulator = emulator();
    let screen = json!({ "width": 390, "height": 844, "pixelRatio": 3.0, "touch": true });
    let browser = Browser::with(json!({ "mobileEmulation": { "deviceMetrics": screen } })).await;
    let device = Device::at("device_login", &emulator);
    browser.goto(&device.address).await;
    browser.fits_a_telephone("#continue").await;
    browser.enter_code("AEI-OUA").await;
    browser.fits_a_telephone("[role=alert]").await;
    browser.enter_code(&device.code).await;
    browser.fits_a_telephone("#sign-in").await;
    browser.fill("#username", ADA.username).await;
    browser.fill("#password", "wrong").await;
    browser.press("#sign-in").await;
    browser.fits_a_telephone("[role=alert]").await;
    browser.sign_in(&ADA).await;
    browser.fits_a_telephone("#allow").await;
    browser.press("#allow").await;
    browser.fits_a_telephone("#result").await;
    assert_eq!(browser.outcome().await, "allowed");
    let index = device.address.replace("/device", "/");
    browser.goto(&index).await;
    browser.fits_a_telephone("table").await;
    browser.goto(&format!("{index}nowhere")).await;
    browser.fits_a_telephone("h1").await;
    device.allowed(&["tokens"]);
    browser.close().await;
}

/// Starts an emulator that the test can inspect.
fn emulator() -> Emulator {
    Emulator::builder().device_interval(Duration::from_secs(1)).start().unwrap()
}

/// An example that waits until it is allowed.
struct Device {
    example: Example,
    code: String,
    /// The address at which the code is typed.
    address: String,
    /// The address at which it is filled in.
    complete: String,
}

impl Device {
    /// Starts it with an emulator of its own.
    fn start(example: &str) -> Self {
        Self::prompted(Example::start(example, &["--json"]))
    }

    /// Starts it with this emulator as its service.
    fn at(example: &str, emulator: &Emulator) -> Self {
        Self::prompted(Example::start(example, &[&service(emulator)[..], &["--json"]].concat()))
    }

    fn prompted(mut example: Example) -> Self {
        let prompt = example.event();
        assert_eq!(prompt["event"], "prompt");
        let [code, address, complete] =
            ["user_code", "verification_uri", "verification_uri_complete"].map(|field| text(&prompt, field));
        Self { example, code, address, complete }
    }

    fn end(self) -> Ended {
        self.example.end()
    }

    #[track_caller]
    fn allowed(self, events: &[&str]) {
        let ended = self.end();
        assert_eq!(ended.names()[1..], *events);
        assert_eq!(ended.stderr, "");
        assert!(ended.success);
    }

    #[track_caller]
    fn denied(self) {
        let ended = self.end();
        assert_eq!(ended.names(), ["prompt", "error"]);
        assert_eq!(ended.error().0, "denied");
    }
}

impl Browser {
    async fn enter_code(&self, code: &str) {
        self.fill("#user_code", code).await;
        self.press("#continue").await;
    }

    /// Allows a device, from its address to the last page.
    async fn allow(&self, device: &Device) {
        self.goto(&device.complete).await;
        self.press("#continue").await;
        self.sign_in(&ADA).await;
        self.press("#allow").await;
        assert_eq!(self.outcome().await, "allowed");
    }

    /// Returns what the last page says, for tests and for the user: `allowed` or `denied`.
    async fn outcome(&self) -> String {
        let outcome = self.at("#result").await.attr("data-outcome").await.unwrap().unwrap();
        assert_eq!(self.text("h1").await, format!("Device {outcome}"));
        outcome
    }
}
