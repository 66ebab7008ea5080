use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::redirect_uri;
use crate::error::Error;
use crate::sha256::sha256;

/// The pages that a user sees when the browser comes back: after a success and after a failure.
///
/// By default they are this crate's own, in plain English. They do not replace the pages that other requests get, such
/// as those of other sites.
///
/// ```
/// use loginradius_proto::browser::loopback::{Page, Pages};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let back = "<!doctype html><html lang=de><meta charset=utf-8><title>Acme</title><h1>Zurück zu Acme</h1>";
/// let pages = Pages::new(Page::html(back), Page::redirect("https://acme.example/help/sign-in")?);
/// # let _ = pages;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[doc(alias("success page", "failure page", "html", "redirect"))]
pub struct Pages {
    success: Page,
    failure: Page,
}

impl Pages {
    /// Makes the pages for a success and for a failure.
    ///
    /// A success means that LoginRadius sent a code, or tokens. The code is not redeemed yet: a page that says "You are
    /// signed in" may be wrong. A failure means that the user did not allow the login, that LoginRadius refused it, or
    /// that the callback could not be used; the program's error says which.
    #[must_use]
    pub fn new(success: Page, failure: Page) -> Self {
        Self { success, failure }
    }

    /// Makes the response to the callback: the program's own page, or one with that title and text.
    pub(super) fn response(&self, is_success: bool, title: &str, text: &[&str]) -> Vec<u8> {
        let page = if is_success { &self.success } else { &self.failure };
        match &page.0 {
            PageKind::BuiltIn => built_in("200 OK", if is_success { Sign::Back } else { Sign::Bad }, title, text),
            PageKind::Html(html) => response("200 OK", OWN_PAGE, html),
            PageKind::Redirect(url) => response(&format!("303 See Other\r\nLocation: {url}"), NOTHING, ""),
        }
    }
}

/// A page that a user sees when the browser comes back.
#[derive(Clone, Default)]
pub struct Page(PageKind);

#[derive(Clone, Default)]
enum PageKind {
    #[default]
    BuiltIn,
    Html(String),
    Redirect(String),
}

impl Page {
    /// Makes a page of the program's own: a whole HTML document.
    ///
    /// Nothing of the callback gets into it. It is sent as UTF-8, is not cached, cannot be shown in a frame, and sends
    /// no referrer, as its address has the code in it. For the same reason it runs no script and loads nothing: it may
    /// have styles in itself, images and fonts as `data:` URLs, and links. For a page that does more, use
    /// [`redirect`](Self::redirect).
    #[must_use]
    pub fn html(html: impl Into<String>) -> Self {
        Self(PageKind::Html(html.into()))
    }

    /// Makes a redirect to a page of the program's own (303 See Other).
    ///
    /// The page gets nothing of the callback: no parameters, no referrer, and no fragment. So it has to be the same
    /// page for all users.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) unless it is an `https` URL, an `http` URL of this
    /// machine, or a URL of the app's own scheme, which has a dot in it (`com.example.app:/signed-in`).
    pub fn redirect(url: impl Into<String>) -> Result<Self, Error> {
        let mut url = url.into();
        let (before, fragment) = url.split_once('#').unwrap_or((&url, ""));
        let is_plain = fragment.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>`#".contains(&byte));
        if !is_plain || redirect_uri::check("url", before, &[]).is_err() {
            return Err(Error::configuration(
                "the browser cannot be redirected to that page: use an https URL, an http URL of this machine, or one of \
                 the app's own scheme, with spaces and special characters encoded",
            ));
        }
        // Without a fragment, a browser would keep the one of the callback (RFC 9110, section 10.2.2).
        if !url.contains('#') {
            url.push('#');
        }
        Ok(Self(PageKind::Redirect(url)))
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            PageKind::BuiltIn => "Page(built-in)",
            PageKind::Html(_) => "Page(html)",
            PageKind::Redirect(_) => "Page(redirect)",
        })
    }
}

/// The sign above the title of a page.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    None,
    Back,
    Bad,
}

const STYLE: &str = include_str!("loopback_page.css");
const NOTHING: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const OWN_PAGE: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; \
                        form-action 'none'; frame-ancestors 'none'";

/// Makes a response with a page that has no scripts and nothing of the request.
pub(super) fn built_in(status: &str, sign: Sign, title: &str, text: &[&str]) -> Vec<u8> {
    let sign = match sign {
        Sign::None => "",
        Sign::Back => {
            "<svg viewBox=\"0 0 24 24\" aria-hidden=\"true\"><circle cx=\"12\" cy=\"12\" r=\"11\"/>\
             <path d=\"M17 12H7m4-4-4 4 4 4\"/></svg>\n"
        }
        Sign::Bad => {
            "<svg viewBox=\"0 0 24 24\" aria-hidden=\"true\" class=\"bad\"><circle cx=\"12\" cy=\"12\" r=\"11\"/>\
             <path d=\"m8 8 8 8m0-8-8 8\"/></svg>\n"
        }
    };
    let text: String = text.iter().map(|sentence| format!("<p>{sentence}</p>\n")).collect();
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<header>Sign in with LoginRadius</header>\n<main>\n{sign}<h1>{title}</h1>\n{text}</main>\n</body>\n</html>\n"
    );
    let hash = STANDARD.encode(sha256(|hash| hash.update(STYLE)));
    response(status, &format!("{NOTHING}; style-src 'sha256-{hash}'"), &page)
}

/// Makes a response. The URL of the request has a code, so that it must not be cached, nor be sent on as a referrer.
fn response(status: &str, policy: &str, html: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: {policy}\r\n\r\n{html}",
        html.len(),
    )
    .into_bytes()
}
