//! The pages of the receiver on this machine and of `web_login`, on a phone and on a desk, in light and in dark.
//!
//! Their pictures are in `tmp/pages` of Cargo's target folder.

use std::fs;
use std::path::PathBuf;

use loginradius_emulator::seeded::ADA;
use serde_json::{Value, json};

use crate::Browser;
use crate::logins::{Desktop, Web};

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn every_page_can_be_read_at_any_size_and_in_the_dark() {
    let browser = Browser::open().await;
    let desktop = Desktop::start();
    let callback = desktop.emulator.authorize(&desktop.url).unwrap().url;
    browser.goto(&callback.replace("state=", "state=x")).await;
    browser.looks_well("receiver-other", "Not this login").await;
    browser.goto(&callback.replace("/callback", "/nowhere")).await;
    browser.looks_well("receiver-nowhere", "Not found").await;
    browser.goto(&callback).await;
    browser.looks_well("receiver-success", "Back to the program").await;
    desktop.end();
    let desktop = Desktop::start();
    browser.goto(&desktop.emulator.deny_authorization(&desktop.url).unwrap().url).await;
    browser.looks_well("receiver-failure", "Not signed in").await;
    desktop.end();

    let web = Web::start();
    browser.goto(&web.url).await;
    browser.looks_well("web-start", "Welcome").await;
    browser.press("#sign-in").await;
    browser.at("#username").await;
    let denied = web.emulator.deny_authorization(&browser.address().await).unwrap().url;
    browser.goto(&denied).await;
    browser.looks_well("web-denied", "Not signed in").await;
    browser.goto(&web.url).await;
    browser.press("#sign-in").await;
    browser.sign_in(&ADA).await;
    browser.press("#allow").await;
    browser.at("#claims").await;
    browser.looks_well("web-signed-in", "Signed in").await;
    browser.tab_to("#sign-out").await;
    browser.goto(&denied).await;
    browser.looks_well("web-over", "This login is over").await;
    browser.tab_to("a.button").await;
    browser.close().await;
}

/// Returns what is wrong with a page: what scrolls sideways, what is too small for a finger, text with too little
/// contrast (WCAG 2.2, success criterion 1.4.3), and a style that the page's policy has blocked.
const PROBLEMS: &str = r#"
    const rgba = color => color.match(/[\d.]+/g).map(Number);
    const luminance = color => {
        const [r, g, b] = rgba(color).map(part => part / 255)
            .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const background = element => {
        for (; element; element = element.parentElement) {
            const color = getComputedStyle(element).backgroundColor;
            if (rgba(color)[3] !== 0) return color;
        }
        return 'rgb(255, 255, 255)';
    };
    const problems = [];
    for (const element of document.body.querySelectorAll('*')) {
        const text = [...element.childNodes].filter(node => node.nodeType === 3 && node.data.trim());
        if (text.length === 0) continue;
        const [a, b] = [luminance(getComputedStyle(element).color), luminance(background(element))].sort((a, b) => b - a);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) problems.push('contrast ' + ratio.toFixed(2) + ' of ' + element.outerHTML);
    }
    for (const element of document.querySelectorAll('a, button'))
        if (element.getBoundingClientRect().height < 44) problems.push('too low: ' + element.outerHTML);
    const page = document.documentElement;
    if (page.scrollWidth > innerWidth) problems.push('scrolls sideways: ' + page.scrollWidth + ' of ' + innerWidth);
    if (getComputedStyle(document.querySelector('main')).borderTopLeftRadius !== '12px') problems.push('no style');
    if (page.lang !== 'en') problems.push('no language');
    if (document.querySelectorAll('h1').length !== 1) problems.push('not one heading');
    if (document.querySelectorAll('main').length !== 1) problems.push('not one main part');
    return problems;
"#;

impl Browser {
    /// Checks the page that is shown in every size and scheme, and takes pictures of it.
    async fn looks_well(&self, name: &str, title: &str) {
        let session = self.client.session_id().await.unwrap().expect("a session");
        assert_eq!(self.text("h1").await, title, "{name}");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pages");
        fs::create_dir_all(&folder).unwrap();
        for (width, height, is_phone) in [(390, 844, true), (1280, 900, false)] {
            let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
            self.driver.devtools(&session, "Emulation.setDeviceMetricsOverride", &screen);
            for scheme in ["light", "dark"] {
                let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
                self.driver.devtools(&session, "Emulation.setEmulatedMedia", &media);
                let shown = self.client.execute(
                    "return [innerWidth, matchMedia(arguments[0]).matches]",
                    vec![format!("(prefers-color-scheme: {scheme})").into()],
                );
                assert_eq!(shown.await.unwrap(), json!([width, true]), "{name}");
                let problems = self.client.execute(PROBLEMS, Vec::new()).await.unwrap();
                assert_eq!(problems, Value::Array(Vec::new()), "{name}, {width} pixels, {scheme}");
                let picture = self.client.screenshot().await.unwrap();
                fs::write(folder.join(format!("{name}-{width}-{scheme}.png")), picture).unwrap();
            }
        }
        self.driver.devtools(&session, "Emulation.clearDeviceMetricsOverride", &json!({}));
        self.driver.devtools(&session, "Emulation.setEmulatedMedia", &json!({ "features": [] }));
    }
}
