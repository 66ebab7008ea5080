//! The examples and the emulator's pages in a real browser.
//!
//!     cargo test -p loginradius-example-tests --test browser -- --ignored
//!
//! It needs Chromium and its driver, as Debian's packages `chromium` and `chromium-driver` install them, or
//! named by the environment variables `CHROMIUM` and `CHROMEDRIVER`.

#[path = "../common/mod.rs"]
mod common;
mod devices;
mod logins;
mod pages;

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use loginradius_emulator::seeded::User;
use serde_json::{Value, json};

use crate::common::MAX_WAIT;

/// A browser with a new, empty profile. Ended when it is dropped, also by a test that fails.
struct Browser {
    client: Client,
    driver: Driver,
}

impl Browser {
    async fn open() -> Self {
        Self::with(json!({})).await
    }

    /// Opens a browser with more of ChromeDriver's options.
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
        let session = client.session_id().await.unwrap().expect("a session");
        driver.give_focus(&session);
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

    /// Returns the element, as soon as there is one.
    async fn at(&self, css: &str) -> Element {
        let before = Instant::now();
        loop {
            // Whatever the error: while one page replaces another, a driver returns several.
            match self.client.find(Locator::Css(css)).await {
                Ok(element) => return element,
                Err(error) if before.elapsed() > MAX_WAIT => {
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

    async fn sign_in(&self, user: &User) {
        self.fill("#username", user.email).await;
        self.fill("#password", user.password).await;
        self.press("#sign-in").await;
        self.at("#allow").await;
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

    /// Checks that the focus is there, and can be seen.
    async fn focused(&self, css: &str) {
        let script = "const focus = document.activeElement, style = getComputedStyle(focus);
            return [focus.matches(arguments[0]), focus.outerHTML, style.outlineStyle, parseFloat(style.outlineWidth)]";
        let focus = self.client.execute(script, vec![css.into()]).await.unwrap();
        assert_eq!(focus[0], true, "the focus is not at {css}, but at {}", focus[1]);
        assert_eq!(focus[2], "solid", "{css}");
        assert!(focus[3].as_f64() >= Some(2.0), "{css}: {focus}");
    }

    /// Checks that the page does not scroll sideways, and that everything to press is large enough for a finger.
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
    /// Makes the page believe that its window has the focus, which that of a headless Chromium never has.
    fn give_focus(&self, session: &str) {
        self.devtools(session, "Emulation.setFocusEmulationEnabled", &json!({ "enabled": true }));
    }

    /// Sends a command of Chromium's developer tools. Its URL is ChromeDriver's own, so the request is written by hand.
    fn devtools(&self, session: &str, command: &str, params: &Value) {
        let body = json!({ "cmd": command, "params": params }).to_string();
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            connection,
            "POST /session/{session}/goog/cdp/execute HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        )
        .unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut head = [0; 12];
        connection.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200", "ChromeDriver");
    }

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
        // It would wait for a reader of what else it prints.
        thread::spawn(move || lines.count());
        let mut driver = Self { child, port: 0, profile };
        driver.port = port.expect("chromedriver says its port");
        driver
    }

    /// Asks it to end its browsers and itself: if it were killed, they would continue.
    fn shut_down(&mut self) -> Option<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(MAX_WAIT)).ok()?;
        write!(stream, "GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", self.port).ok()?;
        stream.read_to_end(&mut Vec::new()).ok()?;
        let before = Instant::now();
        while self.child.try_wait().ok()?.is_none() && before.elapsed() < MAX_WAIT {
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

/// Returns the program that an environment variable names, or that is in the search path.
fn find(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        return path.into();
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).chain(["/usr/bin".into()]).map(|folder| folder.join(name));
    let mut found = found.filter(|path| path.is_file());
    found.next().unwrap_or_else(|| panic!("install {name}, or give its path in {variable}"))
}

/// Starts a web server that has page `n` at `/n`. Returns its port.
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
