//! A browser without JavaScript, for the pages of the emulator.

use loginradius_emulator::{Emulator, seeded};

use crate::http::{Response, send};

/// It keeps its cookie, fills in forms and follows redirects, but not away from the emulator.
pub(crate) struct Browser<'a> {
    pub(crate) emulator: &'a Emulator,
    pub(crate) cookie: Option<String>,
    pub(crate) page: Response,
    /// Path and query of the page.
    pub(crate) at: String,
}

impl<'a> Browser<'a> {
    pub(crate) fn open(emulator: &'a Emulator, path: &str) -> Self {
        let page = Response { status: 0, headers: Vec::new(), body: String::new() };
        let mut browser = Self { emulator, cookie: None, page, at: String::new() };
        browser.go(path);
        browser
    }

    pub(crate) fn go(&mut self, path: &str) {
        self.request("GET", path, &[], &[]);
    }

    pub(crate) fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) {
        let mut all = headers.to_vec();
        let cookie = self.cookie.clone();
        if let Some(cookie) = &cookie {
            all.push(("cookie", cookie));
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        if method == "POST" {
            all.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let url = format!("{}{path}", self.emulator.base_url());
        self.page = send(method, &url, &all, body.as_bytes()).expect("a response");
        self.at = path.to_owned();
        if let Some(set) = self.page.header("set-cookie") {
            assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
            self.cookie = Some(set.split(';').next().unwrap().to_owned());
        }
        if self.page.status == 303 {
            let to = self.page.header("location").expect("a location").to_owned();
            if to.starts_with('/') && !to.starts_with("//") {
                self.go(&to);
            }
        }
    }

    /// Returns the hidden fields of the form that leads to `action`.
    pub(crate) fn hidden_of(&self, action: &str) -> Vec<(String, String)> {
        let start = format!("<form method=\"post\" action=\"{action}\">");
        let with_id = format!("method=\"post\" action=\"{action}\">");
        let (_, rest) = self
            .page
            .body
            .split_once(&start)
            .or_else(|| self.page.body.split_once(&with_id))
            .unwrap_or_else(|| panic!("no form leads to {action}: {}", self.page.body));
        let form = rest.split("</form>").next().unwrap();
        form.split("<input type=\"hidden\" name=\"")
            .skip(1)
            .map(|input| {
                let (name, rest) = input.split_once("\" value=\"").expect("a value");
                (unescaped(name), unescaped(rest.split('"').next().unwrap()))
            })
            .collect()
    }

    /// Returns the value of a hidden field.
    pub(crate) fn hidden(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.page.body.split_once(&start).expect("a hidden field");
        rest.split('"').next().unwrap().to_owned()
    }

    /// Sends the form of the page that leads to `action`.
    pub(crate) fn submit(&mut self, action: &str, fields: &[(&str, &str)]) {
        let hidden = self.hidden_of(action);
        let mut all: Vec<_> = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.extend_from_slice(fields);
        let origin = self.emulator.base_url().to_owned();
        let headers = [("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
        self.request("POST", action, &headers, &all);
    }

    pub(crate) fn enter(&mut self, user_code: &str) {
        self.submit("/device", &[("user_code", user_code)]);
    }

    /// Signs in on the current page.
    pub(crate) fn sign_in(&mut self, username: &str, password: &str) {
        let action =
            if self.page.body.contains("\"/device/sign-in\"") { "/device/sign-in" } else { "/authorize/sign-in" };
        self.submit(action, &[("username", username), ("password", password)]);
    }

    pub(crate) fn sign_in_as_ada(&mut self) {
        self.sign_in(seeded::ADA.email, seeded::ADA.password);
    }

    pub(crate) fn decide(&mut self, decision: &str) {
        self.submit("/authorize/decide", &[("decision", decision)]);
    }

    /// Returns where the last response redirects.
    #[track_caller]
    pub(crate) fn location(&self) -> String {
        assert_eq!(self.page.status, 303, "{:?}", self.page);
        self.page.header("location").expect("a location").to_owned()
    }

    #[track_caller]
    pub(crate) fn is_at(&self, path: &str) {
        assert_eq!(self.at.split('?').next(), Some(path), "{}", self.page.body);
    }

    /// Asserts that the page has this alert and this status.
    #[track_caller]
    pub(crate) fn warns(&self, status: u16, words: &str) {
        let (_, rest) = self.page.body.split_once("role=\"alert\"").expect("an alert");
        let (_, rest) = rest.split_once('>').expect("the end of a tag");
        let alert = rest.split('<').next().unwrap();
        assert!(alert.contains(words), "{alert}");
        assert_eq!(self.page.status, status);
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}
