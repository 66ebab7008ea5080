//! The pages with which a person lets a device in (RFC 8628, section 3.3), those with which she signs in to an
//! application, and the page that says what this is.

pub(crate) mod browser;
pub(crate) mod guard;
pub(crate) mod sign_in;
pub(crate) mod tickets;
mod view;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{self, HeaderName};
use hyper::{Method, StatusCode};
use maud::Markup;

use crate::answer::Answer;
use crate::codes;
use crate::device::{self, ApproveError, Decision};
use crate::jws::{self, Signer};
use crate::params::Params;
use crate::random;
use crate::request::Whole;
use crate::seeded::{self, Standing, User};
use crate::state::State;
use browser::Outcome;

const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");

/// Nothing is loaded from elsewhere, nothing runs, nobody may frame a page.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// What a page may do more than others.
#[derive(Default)]
struct Policy<'a> {
    /// A scheme of addresses that its form may lead to.
    form_scheme: Option<&'a str>,
    /// The script that runs.
    script: Option<&'a str>,
}

/// Whether there is a page at this path.
pub(crate) fn has(path: &str) -> bool {
    matches!(
        path,
        "/" | "/style.css"
            | "/icon.svg"
            | "/device"
            | "/device/sign-in"
            | "/device/confirm"
            | "/device/decide"
            | "/device/result"
            | "/device/sign-out"
    ) || sign_in::has(path)
        || keys_of(path).is_some()
        || is_confirm_address(path)
}

/// LoginRadius's own addresses for a browser that confirms a device (guide "OAuth 2.0", both families).
fn is_confirm_address(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').collect();
    matches!(segments[..], ["", "sso", "oauth", _, "device", "confirm"] | ["", "service", "oauth", _, "authorize"])
}

/// Whether a browser comes to confirm a device: the site's address for it is the one for signing in, with a
/// `user_code`.
pub(crate) fn is_device_confirmation(path: &str, query: &str) -> bool {
    is_confirm_address(path) && Params::from_form(query.as_bytes()).optional("user_code") != Ok(None)
}

/// The JWT app whose keys are at this path, and whether they are asked for as a JWK set.
fn keys_of(path: &str) -> Option<(&str, bool)> {
    let rest = path.strip_prefix("/keys/")?;
    match rest.strip_suffix("/jwks") {
        Some(app) => Some((app, true)),
        None => Some((rest.strip_suffix(".pem")?, false)),
    }
}

/// The page for everything else.
pub(crate) fn not_found() -> Answer {
    page(StatusCode::NOT_FOUND, view::note("There is no such page", "The address may be mistyped."))
}

/// A page, or what happens when one of its forms is sent.
pub(crate) fn answer(state: &mut State, request: &Whole<'_>) -> Answer {
    let answer = match *request.method {
        _ if sign_in::has(request.path) => sign_in::answer(state, request),
        Method::GET | Method::HEAD => show(state, request),
        Method::POST => receive(state, request),
        _ => None,
    };
    answer.unwrap_or_else(|| {
        page(StatusCode::METHOD_NOT_ALLOWED, view::note("That cannot be done here", "Open the page and use its form."))
            .with(header::ALLOW, "GET, HEAD, POST")
    })
}

fn show(state: &mut State, request: &Whole<'_>) -> Option<Answer> {
    let query = Params::from_form(request.query.as_bytes());
    let typed = query.optional("user_code").ok().flatten().unwrap_or("");
    let user_code = device::normal_user_code(typed);
    Some(match request.path {
        "/" => page(StatusCode::OK, view::index(state)),
        "/style.css" => asset("text/css; charset=utf-8", STYLE),
        "/icon.svg" => asset("image/svg+xml", ICON),
        "/device" => {
            let session = Session::open(state, request);
            let view = view::enter_code(session.csrf(state), &user_code, None);
            session.page(StatusCode::OK, view)
        }
        "/device/sign-in" => {
            let session = Session::open(state, request);
            match check_code(state, &user_code) {
                Err(problem) => session.code_again(state, &user_code, problem),
                Ok(()) => {
                    let view = view::sign_in(session.csrf(state), &user_code, "", None);
                    session.page(StatusCode::OK, view)
                }
            }
        }
        "/device/confirm" => {
            let session = Session::open(state, request);
            match (check_code(state, &user_code), session.user(state)) {
                (Err(problem), _) => session.code_again(state, &user_code, problem),
                (Ok(()), None) => session.to("/device/sign-in", &user_code),
                (Ok(()), Some(user)) => {
                    let grant = state.open_grant(&user_code).ok()?;
                    let view = view::confirm(session.csrf(state), grant, user);
                    session.page(StatusCode::OK, view)
                }
            }
        }
        "/device/result" => {
            let session = Session::open(state, request);
            match session.outcome(state) {
                Some(outcome) => session.page(StatusCode::OK, view::result(&outcome)),
                None => session.to("/device", ""),
            }
        }
        path if is_confirm_address(path) && user_code.is_empty() => {
            page(StatusCode::NOT_FOUND, view::note("There is no device code", "The address may be cut short."))
        }
        path if is_confirm_address(path) => Answer::see_other(&format!("/device?user_code={user_code}")),
        path => keys(keys_of(path)?),
    })
}

/// The public key of a JWT app. LoginRadius documents no such address: there the key pair is the customer's.
fn keys((app, is_set): (&str, bool)) -> Answer {
    let signer = jws::signer(app);
    let found = if is_set {
        let set = signer.and_then(Signer::jwks);
        // RFC 7517, section 8.5.2.
        set.map(|set| asset("application/jwk-set+json", &set.to_string()))
    } else {
        let pem = signer.and_then(|signer| signer.app.public_key_pem);
        pem.map(|pem| asset("application/x-pem-file", pem))
    };
    found.unwrap_or_else(not_found)
}

/// A form that was sent.
fn receive(state: &mut State, request: &Whole<'_>) -> Option<Answer> {
    let known = ["/device", "/device/sign-in", "/device/decide", "/device/sign-out"];
    if !known.contains(&request.path) {
        return None;
    }
    let form = Params::from_form(request.body);
    let field = |name: &str| form.optional(name).ok().flatten().unwrap_or("");
    let Some(session) = Session::of_form(state, request, field("csrf")) else {
        return Some(foreign_form(Some(("/device", "Start again"))));
    };
    let typed = field("user_code");
    let user_code = device::normal_user_code(typed);
    if let Err(problem) = check_code(state, &user_code) {
        return Some(session.code_again(state, typed, problem));
    }
    Some(match request.path {
        "/device" if session.user(state).is_some() => session.to("/device/confirm", &user_code),
        "/device" => session.to("/device/sign-in", &user_code),
        "/device/sign-in" => {
            let username = field("username");
            match who_signs_in(username.trim(), field("password")) {
                Ok(user) => {
                    let session = session.restart(state, Some(user));
                    session.to("/device/confirm", &user_code)
                }
                Err(problem) => {
                    let csrf = session.csrf(state);
                    let view = view::sign_in(csrf, &user_code, username, Some(&problem));
                    session.page(StatusCode::BAD_REQUEST, view)
                }
            }
        }
        "/device/sign-out" => {
            let session = session.restart(state, None);
            session.to("/device/sign-in", &user_code)
        }
        _ => decide(state, &session, &user_code, field("decision")),
    })
}

fn decide(state: &mut State, session: &Session, user_code: &str, decision: &str) -> Answer {
    let Some(user) = session.user(state) else {
        return session.to("/device/sign-in", user_code);
    };
    let app = match state.open_grant(user_code) {
        Ok(grant) => grant.app.clone(),
        Err(error) => return session.code_again(state, user_code, CodeProblem::Grant(error)),
    };
    let (decision, outcome) = match decision {
        "allow" => (Decision::Allowed(user), Outcome::Allowed { app }),
        "deny" => (Decision::Denied, Outcome::Denied { app }),
        _ => return session.to("/device/confirm", user_code),
    };
    if let Err(error) = state.decide(user_code, decision) {
        return session.code_again(state, user_code, CodeProblem::Grant(error));
    }
    if let Some(browser) = state.browsers.get_mut(&session.id) {
        browser.outcome = Some(outcome);
    }
    session.to("/device/result", "")
}

/// Why a user code leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CodeProblem {
    Empty,
    TooManyWrong,
    Grant(ApproveError),
}

impl CodeProblem {
    fn message(self) -> &'static str {
        match self {
            Self::Empty => "Enter the code that your device shows.",
            Self::TooManyWrong => "Too many wrong codes. Wait a minute, then try again.",
            Self::Grant(ApproveError::UnknownCode) => {
                "No device is waiting for this code. Compare it with the one on your device and try again."
            }
            Self::Grant(ApproveError::Expired) => {
                "This code has expired. Ask your device for a new one and enter it here."
            }
            Self::Grant(ApproveError::AlreadyDecided) => {
                "This code has already been used. Ask your device for a new one and enter it here."
            }
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::TooManyWrong => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// Whether a device is waiting for this code. Every page asks here, so that guesses are counted wherever they are made.
fn check_code(state: &mut State, user_code: &str) -> Result<(), CodeProblem> {
    let now = state.clock.now();
    if user_code.is_empty() {
        return Err(CodeProblem::Empty);
    }
    if !state.browsers.may_try_code(now) {
        return Err(CodeProblem::TooManyWrong);
    }
    let found = state.open_grant(user_code).map(|_| ());
    if found == Err(ApproveError::UnknownCode) {
        state.browsers.wrong_code(now);
    }
    found.map_err(CodeProblem::Grant)
}

/// The user, or what to tell whoever tried: LoginRadius's words, and what they mean here.
fn who_signs_in(username: &str, password: &str) -> Result<&'static User, String> {
    let user = seeded::user(username).filter(|user| random::same(user.password, password));
    let (code, meaning) = match user.map(|user| (user, user.standing)) {
        Some((user, Standing::Good)) => return Ok(user),
        None => {
            (codes::CREDENTIALS_INVALID, "This sign-in and password do not belong together. Check both and try again.")
        }
        Some((_, Standing::EmailNotVerified)) => {
            (codes::EMAIL_NOT_VERIFIED, "The email address of this account is not verified yet.")
        }
        Some((_, Standing::Blocked)) => (codes::BLOCKED, "Its administrator can unblock it."),
        Some((_, Standing::Locked)) => (codes::LOCKED, "This account is locked for now. Try again later."),
        Some((_, Standing::SecondFactor)) => {
            (codes::SECOND_FACTOR_REQUIRED, "This account needs a second factor, which this emulator cannot ask for.")
        }
    };
    Err(format!("{}. {meaning}", code.site.message))
}

/// The answer to a form that was not sent from a page that was shown to this browser.
fn foreign_form(link: Option<(&str, &str)>) -> Answer {
    page(
        StatusCode::FORBIDDEN,
        view::start_again(
            "This form is out of date",
            "It was not sent from a page that this emulator has just shown to you. Nothing has been allowed or denied.",
            link,
        ),
    )
}

/// The session of the browser at hand.
struct Session {
    id: String,
    /// Whether the browser must be told its id.
    new: bool,
    port: u16,
}

impl Session {
    /// The browser's session, or a new one.
    fn open(state: &mut State, request: &Whole<'_>) -> Self {
        let port = state.port;
        let known =
            browser::cookie(request.headers, port).filter(|id| state.browsers.get(id).is_some()).map(str::to_owned);
        let new = known.is_none();
        let id = known.unwrap_or_else(|| state.browsers.create(&mut state.random, None));
        Self { id, new, port }
    }

    /// The session of a browser that has sent a form, unless the form is another site's.
    fn of_form(state: &State, request: &Whole<'_>, csrf: &str) -> Option<Self> {
        let port = state.port;
        let id = browser::cookie(request.headers, port)?;
        let browser = state.browsers.get(id)?;
        guard::is_our_form(state, request.headers, &browser.csrf, csrf).then(|| Self {
            id: id.to_owned(),
            new: false,
            port,
        })
    }

    /// Another session, for another user or none.
    fn restart(&self, state: &mut State, user: Option<&'static User>) -> Self {
        state.browsers.remove(&self.id);
        Self { id: state.browsers.create(&mut state.random, user), new: true, port: self.port }
    }

    fn csrf<'a>(&self, state: &'a State) -> &'a str {
        let browser = state.browsers.get(&self.id);
        browser.map_or("", |browser| browser.csrf.as_str())
    }

    fn user(&self, state: &State) -> Option<&'static User> {
        state.browsers.get(&self.id)?.user
    }

    fn outcome(&self, state: &State) -> Option<Outcome> {
        state.browsers.get(&self.id)?.outcome.clone()
    }

    fn page(&self, status: StatusCode, view: Markup) -> Answer {
        self.with_cookie(page(status, view))
    }

    /// The page for entering a code, with what is wrong with this one.
    fn code_again(&self, state: &State, typed: &str, problem: CodeProblem) -> Answer {
        let view = view::enter_code(self.csrf(state), typed, Some(problem.message()));
        self.page(problem.status(), view)
    }

    /// On to another page. `user_code` is in its normal form, which needs no encoding.
    fn to(&self, path: &str, user_code: &str) -> Answer {
        let answer = if user_code.is_empty() {
            Answer::see_other(path)
        } else {
            Answer::see_other(&format!("{path}?user_code={user_code}"))
        };
        self.with_cookie(answer)
    }

    fn with_cookie(&self, answer: Answer) -> Answer {
        if !self.new {
            return answer;
        }
        let (name, id) = (browser::cookie_name(self.port), &self.id);
        let cookie = format!("{name}={id}; Path=/; HttpOnly; SameSite=Lax");
        answer.with(header::SET_COOKIE, &cookie)
    }
}

fn page(status: StatusCode, view: Markup) -> Answer {
    page_with(status, view, Policy::default())
}

fn page_with(status: StatusCode, view: Markup, policy: Policy<'_>) -> Answer {
    protected(Answer::html(status, view.into_string()), policy)
}

fn asset(content_type: &str, text: &str) -> Answer {
    protected(Answer::text(StatusCode::OK, text).with(header::CONTENT_TYPE, content_type), Policy::default())
}

fn protected(answer: Answer, policy: Policy<'_>) -> Answer {
    let mut text = CONTENT_SECURITY_POLICY.to_owned();
    if let Some(scheme) = policy.form_scheme {
        text.push_str(&format!(" {scheme}:"));
    }
    if let Some(script) = policy.script {
        text.push_str(&format!("; script-src 'sha256-{}'", STANDARD.encode(random::sha256(script.as_bytes()))));
    }
    answer
        .with(header::CONTENT_SECURITY_POLICY, &text)
        .with(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        // Not `no-referrer`: with it browsers send `Origin: null` with the emulator's own forms.
        .with(header::REFERRER_POLICY, "same-origin")
        .with(HeaderName::from_static("cross-origin-opener-policy"), "same-origin")
}
