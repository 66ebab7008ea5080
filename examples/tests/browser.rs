//! A person lets a device in, in a real browser: the device is an example, the pages are the emulator's.
//!
//!     cargo test -p loginradius-examples --test browser -- --ignored
//!
//! It needs Chromium and its driver, as Debian's packages `chromium` and `chromium-driver` install them, or
//! named by the environment variables `CHROMIUM` and `CHROMEDRIVER`.

mod common;

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Ended, Example, PATIENCE, service, text};
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use loginradius_emulator::seeded::{ADA, GRACE, User};
use loginradius_emulator::{Emulator, GrantState};
use serde_json::{Value, json};

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
    // As people type: "abc-d12" as "abc d12".
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
        // The second device finds the person signed in.
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
    browser.let_in(&device).await;
    device.allowed(&["tokens"]);

    browser.goto(&address).await;
    browser.enter_code(&code).await;
    assert!(browser.text("[role=alert]").await.starts_with("This code has already been used."));
    assert_eq!(emulator.sign_ins().len(), 1);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn going_back_does_not_allow_again() {
    let emulator = emulator();
    let browser = Browser::open().await;
    let device = Device::at("device_login", &emulator);
    browser.let_in(&device).await;
    device.allowed(&["tokens"]);

    browser.client.back().await.unwrap();
    // The browser may show the page as it was, or ask for it again.
    let shown = browser.at("#allow, [role=alert]").await;
    if shown.attr("role").await.unwrap().is_none() {
        shown.click().await.unwrap();
    }
    assert!(browser.text("[role=alert]").await.starts_with("This code has already been used."));
    assert_eq!(emulator.sign_ins().len(), 1);
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

    // It expires while the person reads.
    let device = Device::at("device_login", &emulator);
    browser.goto(&device.complete).await;
    browser.press("#continue").await;
    browser.sign_in(&ADA).await;
    browser.at("#allow").await;
    emulator.advance(Duration::from_secs(600));
    browser.press("#allow").await;
    assert!(browser.text("[role=alert]").await.starts_with("This code has expired."));
    let (kind, _) = device.end().error();
    assert_eq!(kind, "sign_in_again");

    // It had expired before she came.
    let device = Device::at("device_login", &emulator);
    emulator.advance(Duration::from_secs(600));
    browser.goto(&device.complete).await;
    browser.press("#continue").await;
    assert!(browser.text("[role=alert]").await.starts_with("This code has expired."));
    let (kind, _) = device.end().error();
    assert_eq!(kind, "sign_in_again");
    assert_eq!(emulator.sign_ins(), []);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn signing_in_as_somebody_else() {
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
    assert_eq!(emulator.sign_ins().len(), 1);
    assert_eq!(emulator.sessions_of(GRACE.email).len(), 1);
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
    // The worst case: the other page knows the code and even the token of the form that she is looking at.
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
    // Another port is another origin of the same site: her cookie is sent along. `data:` is no site at all.
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

    // Her own click still counts.
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

/// A service of the test's own, so that it can be looked at.
fn emulator() -> Emulator {
    Emulator::builder().device_interval(Duration::from_secs(1)).start().unwrap()
}

/// An example that waits to be let in.
struct Device {
    example: Example,
    code: String,
    /// Where the code is typed.
    address: String,
    /// Where it is filled in.
    complete: String,
}

impl Device {
    /// With an emulator of its own.
    fn start(example: &str) -> Self {
        Self::prompted(Example::start(example, &["--json"]))
    }

    /// With this emulator as its service.
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

/// A browser with a new, empty profile. Ended when it is dropped, also by a test that fails.
struct Browser {
    client: Client,
    driver: Driver,
}

impl Browser {
    async fn open() -> Self {
        Self::with(json!({})).await
    }

    /// With more of ChromeDriver's options.
    async fn with(mut options: Value) -> Self {
        let driver = Driver::start();
        options["binary"] = find("CHROMIUM", "chromium").display().to_string().into();
        options["args"] = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
            format!("--user-data-dir={}", driver.profile.display()),
        ]);
        let Value::Object(capabilities) = json!({ "goog:chromeOptions": options }) else { unreachable!() };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .expect("a browser");
        Self { client, driver }
    }

    async fn close(self) {
        let Self { client, driver } = self;
        client.close().await.unwrap();
        drop(driver);
    }

    async fn goto(&self, address: &str) {
        self.client.goto(address).await.unwrap();
    }

    async fn address(&self) -> String {
        self.client.current_url().await.unwrap().into()
    }

    /// The element, as soon as there is one.
    async fn at(&self, css: &str) -> Element {
        let before = Instant::now();
        loop {
            // Any error: while one page makes room for another, a driver has several.
            match self.client.find(Locator::Css(css)).await {
                Ok(element) => return element,
                Err(error) if before.elapsed() > PATIENCE => {
                    panic!("no {css} at {}: {error}", self.address().await)
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn text(&self, css: &str) -> String {
        self.at(css).await.text().await.unwrap()
    }

    async fn value(&self, css: &str) -> String {
        self.at(css).await.prop("value").await.unwrap().unwrap_or_default()
    }

    async fn press(&self, css: &str) {
        self.at(css).await.click().await.unwrap();
    }

    async fn fill(&self, css: &str, text: &str) {
        let field = self.at(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    async fn enter_code(&self, code: &str) {
        self.fill("#user_code", code).await;
        self.press("#continue").await;
    }

    async fn sign_in(&self, user: &User) {
        self.fill("#username", user.email).await;
        self.fill("#password", user.password).await;
        self.press("#sign-in").await;
        self.at("#allow").await;
    }

    /// All that it takes to let in a device.
    async fn let_in(&self, device: &Device) {
        self.goto(&device.complete).await;
        self.press("#continue").await;
        self.sign_in(&ADA).await;
        self.press("#allow").await;
        assert_eq!(self.outcome().await, "allowed");
    }

    /// What the last page says: `allowed` or `denied`, in a word for tests and in words for the person.
    async fn outcome(&self) -> String {
        let outcome = self.at("#result").await.attr("data-outcome").await.unwrap().unwrap();
        assert_eq!(self.text("h1").await, format!("Device {outcome}"));
        outcome
    }

    /// Presses a key, wherever the focus is.
    async fn key(&self, key: Key) {
        self.keys(&char::from(key).to_string()).await;
    }

    async fn keys(&self, text: &str) {
        let keyboard = text.chars().fold(KeyActions::new("keyboard".into()), |keyboard, value| {
            keyboard.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        self.client.perform_actions(keyboard).await.unwrap();
    }

    /// Presses Tab until the focus is there.
    async fn tab_to(&self, css: &str) {
        for _ in 0..10 {
            self.key(Key::Tab).await;
            let script = "return document.activeElement.matches(arguments[0])";
            if self.client.execute(script, vec![css.into()]).await.unwrap() == true {
                return self.focused(css).await;
            }
        }
        panic!("Tab does not lead to {css}");
    }

    /// The focus is there, and can be seen.
    async fn focused(&self, css: &str) {
        let script = "const focus = document.activeElement, style = getComputedStyle(focus);
            return [focus.matches(arguments[0]), focus.outerHTML, style.outlineStyle, parseFloat(style.outlineWidth)]";
        let focus = self.client.execute(script, vec![css.into()]).await.unwrap();
        assert_eq!(focus[0], true, "the focus is not at {css}, but at {}", focus[1]);
        assert_eq!(focus[2], "solid", "{css}");
        assert!(focus[3].as_f64() >= Some(2.0), "{css}: {focus}");
    }

    /// Nothing has to be moved sideways to be read, and a finger hits what it is meant to hit.
    async fn fits_a_telephone(&self, css: &str) {
        self.at(css).await;
        let script = "const page = document.documentElement;
            const small = [...document.querySelectorAll(arguments[0])]
                .map(element => [element.outerHTML, element.getBoundingClientRect().height])
                .filter(([, height]) => height < 44);
            return [page.scrollWidth, innerWidth, page.clientWidth, small]";
        let targets = "button, a.button, input:not([type=hidden]), header a, main > p > a:only-child";
        let page = self.client.execute(script, vec![targets.into()]).await.unwrap();
        // What is too wide widens all of them: a telephone shows it smaller.
        assert_eq!(page[1], 390, "innerWidth at {css}");
        assert_eq!(page[2], 390, "clientWidth at {css}");
        assert!(page[0].as_f64() <= Some(390.0), "{css}: {page}");
        assert_eq!(page[3], json!([]), "too low for a finger, at {css}");
    }
}

/// A ChromeDriver and the folder of its browser's profile.
struct Driver {
    child: Child,
    port: u16,
    profile: PathBuf,
}

impl Driver {
    fn start() -> Self {
        static PROFILES: AtomicU32 = AtomicU32::new(0);
        let number = PROFILES.fetch_add(1, Ordering::Relaxed);
        let profile = env::temp_dir().join(format!("loginradius-browser-{}-{number}", process::id()));
        let mut child = Command::new(find("CHROMEDRIVER", "chromedriver"))
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        // Whatever else it says must be read, or it would wait for a reader.
        thread::spawn(move || lines.count());
        let mut driver = Self { child, port: 0, profile };
        driver.port = port.expect("chromedriver says its port");
        driver
    }

    /// Asks it to end its browsers and itself: if it were killed, they would go on.
    fn shut_down(&mut self) -> Option<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", self.port).ok()?;
        stream.read_to_end(&mut Vec::new()).ok()?;
        let before = Instant::now();
        while self.child.try_wait().ok()?.is_none() && before.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(10));
        }
        Some(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shut_down();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// The program that an environment variable names, or that is in the search path.
fn find(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        return path.into();
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).chain(["/usr/bin".into()]).map(|folder| folder.join(name));
    let mut found = found.filter(|path| path.is_file());
    found.next().unwrap_or_else(|| panic!("install {name}, or say where it is with {variable}"))
}

/// A web server that has page `n` at `/n`. Returns its port.
fn serve(pages: Vec<String>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut first = String::new();
            let _ = BufReader::new(&stream).read_line(&mut first);
            let number = first.split(['/', ' ']).nth(2).and_then(|number| number.parse().ok());
            let page = number.and_then(|number: usize| pages.get(number)).map_or("", String::as_str);
            let _ = write!(
                &stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                page.len()
            );
        }
    });
    port
}
