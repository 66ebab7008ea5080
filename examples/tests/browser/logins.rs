//! A user signs in through the browser, at a desktop program and at a web service, which are examples.

use std::fs;
use std::time::{Duration, Instant};

use loginradius_emulator::seeded::{ADA, GRACE};
use loginradius_emulator::{CodeState, Emulator, seeded};
use tempfile::TempDir;

use crate::common::{Ended, Example, MAX_WAIT, service, text};
use crate::{Browser, serve};

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn each_with_its_own_emulator() {
    let browser = Browser::open().await;
    let mut desktop = Example::start("desktop_login", &["--json", "--print-url"]);
    browser.goto(&text(&desktop.event(), "url")).await;
    browser.sign_in(&ADA).await;
    browser.press("#allow").await;
    browser.shows("Back to the program").await;
    assert_eq!(desktop.end().names(), ["authorize", "tokens"]);

    let mut web = Example::start("web_login", &["--json"]);
    browser.goto(&text(&web.event(), "url")).await;
    browser.press("#sign-in").await;
    browser.sign_in(&ADA).await;
    browser.press("#allow").await;
    assert!(browser.text("#claims").await.contains(ADA.email));
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn denying_and_then_allowing() {
    let browser = Browser::open().await;
    let desktop = Desktop::start();
    browser.goto(&desktop.url).await;
    browser.sign_in(&ADA).await;
    browser.press("#deny").await;
    browser.shows("Not signed in").await;
    assert_eq!(desktop.end().error().0, "denied");

    let web = Web::start();
    browser.goto(&web.url).await;
    browser.press("#sign-in").await;
    browser.sign_in(&ADA).await;
    browser.press("#deny").await;
    assert_eq!(browser.text("[role=alert]").await, "The login was not allowed.");
    browser.press("a[href='/']").await;
    browser.press("#sign-in").await;
    browser.sign_in(&GRACE).await;
    browser.press("#allow").await;
    assert!(browser.text("#claims").await.contains(GRACE.email));
    assert_eq!(web.emulator.codes().len(), 1);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_wrong_password_and_then_the_right_one() {
    let browser = Browser::open().await;
    let desktop = Desktop::start();
    browser.goto(&desktop.url).await;
    browser.mistypes_the_password().await;
    browser.sign_in(&ADA).await;
    browser.press("#allow").await;
    browser.shows("Back to the program").await;
    assert_eq!(desktop.end().names(), ["authorize", "tokens"]);

    let web = Web::start();
    browser.goto(&web.url).await;
    browser.press("#sign-in").await;
    browser.mistypes_the_password().await;
    browser.sign_in(&ADA).await;
    browser.press("#allow").await;
    assert!(browser.text("#claims").await.contains(ADA.email));
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn going_back_does_not_sign_in_again() {
    let browser = Browser::open().await;
    let desktop = Desktop::start();
    browser.goto(&desktop.url).await;
    browser.sign_in(&ADA).await;
    browser.press("#allow").await;
    browser.shows("Back to the program").await;
    browser.goes_back_and_allows().await;
    desktop.signed_in_once();

    let web = Web::start();
    browser.goto(&web.url).await;
    browser.press("#sign-in").await;
    browser.sign_in(&ADA).await;
    browser.press("#allow").await;
    browser.at("#claims").await;
    assert_eq!(browser.address().await, format!("{}/", web.url), "the code stays in the address");
    browser.goes_back_and_allows().await;
    web.signed_in_once();
    browser.goto(&web.url).await;
    assert!(browser.text("#claims").await.contains(ADA.email), "going back has signed out");
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_callback_that_is_opened_twice() {
    let browser = Browser::open().await;
    let desktop = Desktop::start();
    browser.goto(&desktop.url).await;
    browser.sign_in(&ADA).await;
    browser.press("#allow").await;
    browser.shows("Back to the program").await;
    let callback = browser.address().await;
    assert!(callback.contains("code="), "{callback}");
    // The program does not listen there any more.
    assert!(browser.client.goto(&callback).await.is_err());
    desktop.signed_in_once();

    let web = Web::start();
    browser.goto(&web.url).await;
    browser.press("#sign-in").await;
    browser.at("#username").await;
    let callback = web.emulator.authorize(&browser.address().await).unwrap().url;
    browser.goto(&callback).await;
    assert!(browser.text("#claims").await.contains(ADA.email));
    browser.goto(&callback).await;
    browser.shows("This login is over").await;
    browser.press("a[href='/']").await;
    assert!(browser.text("#claims").await.contains(ADA.email), "the second time has signed out");
    web.signed_in_once();
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn signing_out() {
    let browser = Browser::open().await;
    let web = Web::start();
    browser.goto(&web.url).await;
    browser.press("#sign-in").await;
    browser.sign_in(&ADA).await;
    browser.press("#allow").await;
    browser.press("#sign-out").await;
    browser.shows("Welcome").await;
    assert_eq!(web.emulator.live_logins(), 0);
    browser.client.back().await.unwrap();
    assert!(!browser.text("body").await.contains(ADA.email), "the page was kept");
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn two_tabs_of_a_web_service() {
    let browser = Browser::open().await;
    let web = Web::start();
    browser.goto(&web.url).await;
    browser.press("#sign-in").await;
    browser.at("#username").await;
    let first = browser.client.window().await.unwrap();
    let second = browser.client.new_window(true).await.unwrap();
    browser.client.switch_to_window(second.handle).await.unwrap();
    browser.goto(&web.url).await;
    browser.press("#sign-in").await;
    browser.sign_in(&GRACE).await;
    browser.press("#allow").await;
    assert!(browser.text("#claims").await.contains(GRACE.email));

    browser.client.switch_to_window(first).await.unwrap();
    browser.sign_in(&ADA).await;
    browser.press("#allow").await;
    assert!(browser.text("#claims").await.contains(ADA.email));
    assert_eq!(web.emulator.live_logins(), 1, "the login of the other tab was not ended");
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn another_sites_form_signs_no_user_out() {
    let browser = Browser::open().await;
    let web = Web::start();
    browser.goto(&web.url).await;
    browser.press("#sign-in").await;
    browser.sign_in(&ADA).await;
    browser.press("#allow").await;
    browser.at("#claims").await;
    // Another port is another origin of the same site: the cookie is sent along. `data:` is no site at all.
    let form =
        format!("<body onload='document.forms[0].submit()'><form method=post action='{}/logout'></form>", web.url);
    let port = serve(vec![form.clone()]);
    for page in [format!("http://127.0.0.1:{port}/0"), format!("data:text/html,{form}")] {
        let _ = browser.client.goto(&page).await;
        browser.at("h1").await;
        browser.goto(&web.url).await;
        assert!(browser.text("#claims").await.contains(ADA.email), "{page}");
    }
    assert_eq!(web.emulator.counters().revocations, 0);
    browser.close().await;
}

/// `desktop_login` that waits for the browser.
pub(crate) struct Desktop {
    run: Example,
    pub(crate) url: String,
    pub(crate) emulator: Emulator,
}

impl Desktop {
    pub(crate) fn start() -> Self {
        let emulator = Emulator::start().unwrap();
        let mut run = Example::start("desktop_login", &[&service(&emulator)[..], &["--json", "--print-url"]].concat());
        let url = text(&run.event(), "url");
        Self { run, url, emulator }
    }

    pub(crate) fn end(self) -> Ended {
        self.run.end()
    }

    #[track_caller]
    fn signed_in_once(self) {
        once(&self.emulator);
        assert_eq!(self.end().names(), ["authorize", "tokens"]);
    }
}

/// A running `web_login`.
pub(crate) struct Web {
    _run: Example,
    pub(crate) url: String,
    pub(crate) emulator: Emulator,
    _key: TempDir,
}

impl Web {
    pub(crate) fn start() -> Self {
        let emulator = Emulator::start().unwrap();
        let app = seeded::jwt_app("demo-jwt-app-rs256").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("public.pem");
        fs::write(&key, app.public_key_pem.unwrap()).unwrap();
        let issuer = format!("{}/", emulator.base_url());
        let jwt = ["--jwt-app", app.name, "--jwt-key", key.to_str().unwrap(), "--issuer", &issuer];
        // Without the JWT app.
        let who = &service(&emulator)[..8];
        let mut run = Example::start("web_login", &[who, &jwt, &["--json"]].concat());
        let url = text(&run.event(), "url");
        Self { _run: run, url, emulator, _key: folder }
    }

    #[track_caller]
    fn signed_in_once(&self) {
        once(&self.emulator);
    }
}

#[track_caller]
fn once(emulator: &Emulator) {
    let [code] = &emulator.codes()[..] else { panic!("{:?}", emulator.codes()) };
    assert_eq!((code.sent, code.state), (1, CodeState::Redeemed));
    assert_eq!((emulator.logins().len(), emulator.live_logins()), (1, 1));
}

impl Browser {
    /// Waits for the page of that title: pressing a button may return while the page before is still there.
    async fn shows(&self, title: &str) {
        let before = Instant::now();
        loop {
            let shown = self.client.title().await.unwrap_or_default();
            if shown == title {
                return;
            }
            assert!(before.elapsed() < MAX_WAIT, "{shown} at {}", self.address().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn mistypes_the_password(&self) {
        self.fill("#username", ADA.email).await;
        self.fill("#password", "wrong").await;
        self.press("#sign-in").await;
        assert!(self.text("[role=alert]").await.contains("do not belong together"));
    }

    /// Goes back to the page on which the user allowed the login. The browser may show it as it was or load it again.
    async fn goes_back_and_allows(&self) {
        self.client.back().await.unwrap();
        let shown = self.at("#allow, [role=alert]").await;
        if shown.attr("role").await.unwrap().is_none() {
            shown.click().await.unwrap();
        }
        assert!(self.text("[role=alert]").await.contains("Go back to the application"));
    }
}
