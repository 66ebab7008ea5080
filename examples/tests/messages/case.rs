//! A mistake, what was said about it, and what each line has to be like.

use std::error::Error as StdError;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, OnceLock};

use loginradius_conformance::secrets;
use loginradius_emulator::seeded;
use loginradius_proto::{App, Error, Service};
use serde::{Deserialize, Serialize};

/// A mistake, and what makes it with each client. It makes none where this machine cannot.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    runs: Vec<(&'static str, Run)>,
    /// Whether one client can say less than the other.
    differs: bool,
}

type Run = Arc<dyn Fn() -> Option<Said> + Send + Sync>;

/// Makes a case of a block that returns an `Error`, a `Said` or an `Option<Said>`. With `<A>`, the block is run with
/// each adapter as `A`.
macro_rules! case {
    ($name:literal, <$adapter:ident> $block:block) => {{
        #[allow(clippy::items_after_statements, reason = "it is one case of a list")]
        fn run<$adapter: loginradius_conformance::Adapter>() -> Option<$crate::case::Said> {
            $crate::case::Outcome::said($block)
        }
        $crate::case::Case::of_both($name, run::<$crate::blocking::Blocking>, run::<$crate::asynchronous::Async>)
    }};
    ($name:literal, $block:block) => {
        $crate::case::Case::new($name, || $crate::case::Outcome::said($block))
    };
}
pub(crate) use case;

impl Case {
    pub(crate) fn new(name: &'static str, run: impl Fn() -> Option<Said> + Send + Sync + 'static) -> Self {
        Self { name, runs: vec![("", Arc::new(run))], differs: false }
    }

    pub(crate) fn of_both(
        name: &'static str,
        blocking: impl Fn() -> Option<Said> + Send + Sync + 'static,
        asynchronous: impl Fn() -> Option<Said> + Send + Sync + 'static,
    ) -> Self {
        let runs: Vec<(_, Run)> = vec![(" (blocking)", Arc::new(blocking)), (" (async)", Arc::new(asynchronous))];
        Self { name, runs, differs: false }
    }

    /// Gives each client a line of its own, where the library of one of them does not tell the cause.
    pub(crate) fn differing(self) -> Self {
        Self { differs: true, ..self }
    }

    /// Returns the names of its lines in the file.
    pub(crate) fn titles(&self) -> Vec<String> {
        let clients = self.runs.iter().map(|(client, _)| self.title(client));
        if self.differs { clients.collect() } else { vec![self.name.to_owned()] }
    }

    /// Returns the name of that client's line.
    pub(crate) fn title(&self, client: &str) -> String {
        format!("{}{}", self.name, if self.differs { client } else { "" })
    }

    /// Returns what each client said.
    pub(crate) fn run(&self) -> Vec<(&'static str, Said)> {
        let said = |run: &Run| {
            // The other cases are to be run all the same.
            let said = panic::catch_unwind(AssertUnwindSafe(|| run()));
            said.unwrap_or_else(|_| Some(Said::line_of("it was no mistake, or the case is wrong")))
        };
        self.runs.iter().filter_map(|(client, run)| Some((*client, said(run)?))).collect()
    }

    /// Returns what the first or the second client said.
    pub(crate) fn run_one(&self, index: usize) -> Option<Said> {
        self.runs[index].1()
    }
}

/// What a case's block returns.
pub(crate) trait Outcome {
    fn said(self) -> Option<Said>;
}

impl Outcome for Said {
    fn said(self) -> Option<Said> {
        Some(self)
    }
}

impl Outcome for Option<Said> {
    fn said(self) -> Option<Said> {
        self
    }
}

impl Outcome for Error {
    fn said(self) -> Option<Said> {
        Some(Said::of(&self))
    }
}

impl Outcome for loginradius_jwt::Error {
    fn said(self) -> Option<Said> {
        Some(Said::of(&self))
    }
}

/// What was said about a mistake.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Said {
    line: String,
    /// What else can be printed of the error.
    others: Vec<String>,
    sources: Vec<String>,
    secrets: Vec<String>,
    /// Texts that differ between runs, and what stands for them.
    placeholders: Vec<(String, String)>,
}

impl Said {
    pub(crate) fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut said =
            Self { others: vec![format!("{error:?}"), format!("{error:#?}")], ..Self::line_of(&error.to_string()) };
        let mut source = error.source();
        while let Some(error) = source {
            said.sources.push(error.to_string());
            said.others.push(format!("{error:?}"));
            source = error.source();
        }
        said
    }

    /// Takes a line that a program has printed.
    pub(crate) fn line_of(line: &str) -> Self {
        Self {
            line: line.to_owned(),
            others: Vec::new(),
            sources: Vec::new(),
            secrets: Vec::new(),
            placeholders: Vec::new(),
        }
    }

    /// Names a secret that nothing must show.
    pub(crate) fn without(mut self, secret: &str) -> Self {
        self.secrets.push(secret.to_owned());
        self
    }

    /// Writes `<name>` for that text.
    pub(crate) fn with(mut self, text: impl ToString, name: &str) -> Self {
        self.placeholders.push((text.to_string(), format!("<{name}>")));
        self
    }

    /// Returns the line with placeholders for what differs between runs.
    pub(crate) fn line(&self) -> String {
        let mut line = self.line.clone();
        for (text, name) in &self.placeholders {
            line = line.replace(text, name);
        }
        for (before, after, name) in [
            ("127.0.0.1:", "", "<port>"),
            ("127.0.0.1 port ", "", "<port>"),
            ("localhost:", "", "<port>"),
            ("[::1]:", "", "<port>"),
            ("wait at least ", " s", "<seconds>"),
            ("expired ", " s ago", "<seconds>"),
            ("valid in ", " s by", "<seconds>"),
            ("valid for another ", " s", "<seconds>"),
            ("os error ", "", "<number>"),
        ] {
            line = without_numbers(&line, before, after, name);
        }
        if let Some((head, rest)) = line.split_once("/probe-") {
            let end = rest.find(".lock").unwrap_or_default();
            line = format!("{head}/probe-<number>{}", &rest[end..]);
        }
        match line.split_once("this machine's clock says ") {
            Some((head, rest)) => {
                let end = rest.find(" UTC").expect("a time in UTC");
                format!("{head}this machine's clock says <now>{}", &rest[end..])
            }
            None => line,
        }
    }

    /// Returns what is wrong with the line.
    pub(crate) fn problems(&self) -> Vec<String> {
        let line = self.line();
        let mut problems = Vec::new();
        if line.chars().any(char::is_control) {
            problems.push("it is more than one line, or has a control character".to_owned());
        }
        if line.chars().count() > MAX_LENGTH {
            problems.push(format!("it is longer than {MAX_LENGTH} characters ({})", line.chars().count()));
        }
        if !names_an_action(&line) {
            problems.push("it does not end with what to do".to_owned());
        }
        if let Some(words) = doubled(&line) {
            problems.push(format!("it says `{words}` twice"));
        }
        for source in &self.sources {
            if source.contains(' ') && self.line.contains(source.as_str()) {
                problems.push(format!("it repeats its source `{source}`"));
            }
        }
        let all = self.others.iter().chain(&self.sources).chain([&self.line]).cloned().collect::<String>();
        let secrets = SECRETS.iter().copied().chain(self.secrets.iter().map(String::as_str));
        for secret in secrets.filter(|secret| all.contains(*secret)) {
            problems.push(format!("it shows the secret `{secret}`: {all}"));
        }
        problems
    }
}

const MAX_LENGTH: usize = 300;

/// Every secret that the cases share.
const SECRETS: [&str; 20] = [
    secrets::CLIENT_SECRET,
    secrets::API_KEY,
    secrets::PASSWORD,
    secrets::CODE,
    secrets::STATE,
    secrets::VERIFIER,
    secrets::DEVICE_CODE,
    secrets::REFRESH_TOKEN,
    secrets::ACCESS_TOKEN,
    secrets::PROXY_PASSWORD,
    secrets::OWN_HEADER,
    secrets::IN_RESPONSE,
    seeded::CLIENT_SECRET,
    seeded::OTHER_CLIENT_SECRET,
    seeded::JWT_SECRET,
    seeded::ADA.password,
    seeded::LOCKED.password,
    seeded::UNVERIFIED.password,
    seeded::BLOCKED.password,
    seeded::SECOND_FACTOR.password,
];

/// Replaces each number between the two texts.
fn without_numbers(line: &str, before: &str, after: &str, name: &str) -> String {
    let mut result = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(before) {
        let (head, tail) = rest.split_at(at + before.len());
        result += head;
        let digits = tail.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(tail.len());
        rest = tail;
        if digits > 0 && tail[digits..].starts_with(after) {
            result += name;
            rest = &tail[digits..];
        }
    }
    result + rest
}

/// The verbs by which the lines say what to do.
const ACTIONS: &[&str] = &[
    "accept", "add", "allow", "ask", "begin", "check", "choose", "convert", "copy", "correct", "create", "decode",
    "extract", "fill", "give", "ignore", "leave", "listen", "load", "look", "make", "mount", "open", "pass", "poll",
    "put", "read", "reject", "remove", "repeat", "replace", "report", "request", "restore", "resume", "run", "set",
    "shorten", "sign", "start", "stop", "take", "trim", "trust", "try", "turn", "update", "use", "wait", "write",
];

/// Who else has to do something.
const OTHERS: [&str; 2] = ["the user has to ", "an administrator has to "];

/// Returns whether one of the line's last parts, which follow a colon or a semicolon, begins with a verb.
fn names_an_action(line: &str) -> bool {
    // What a session or a call adds: facts, after the advice.
    let is_note = |part: &str| {
        part.ends_with(" attempts were made") || part.contains("lost") || part.contains("the session has not ended")
    };
    let parts: Vec<_> = line.split(": ").flat_map(|part| part.split("; ")).skip(1).collect();
    let last = parts.into_iter().rfind(|part| !is_note(part)).unwrap_or_default();
    // "if ..., " and "to ..., " may come first.
    let clauses = [Some(last), last.split_once(", ").map(|(_, rest)| rest)];
    clauses.into_iter().flatten().any(|clause| {
        let first = clause.split([' ', ',']).next().unwrap_or_default();
        ACTIONS.contains(&first) || OTHERS.iter().any(|others| clause.starts_with(others))
    })
}

/// Returns words that the line says twice: a whole part of it, of two words or more.
fn doubled(line: &str) -> Option<String> {
    let mut parts: Vec<_> =
        line.split([':', ';', ',', '(', ')']).map(str::trim).filter(|part| part.contains(' ')).collect();
    parts.sort_unstable();
    parts.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].to_owned())
}

/// Makes an app with every setting, at that address.
pub(crate) fn app(url: &str) -> App {
    App::new("my-client-id")
        .with_client_secret(secrets::CLIENT_SECRET)
        .with_api_key(secrets::API_KEY)
        .with_oauth_app("my-oauth-app")
        .with_jwt_app("my-jwt-app")
        .with_service(Service::classic_at(url).unwrap())
}

/// An address that refuses connections: no program listens on port 1, and no system assigns it.
pub(crate) const REFUSED: &str = "http://127.0.0.1:1";

/// Makes the text of that certificate or key, once for all cases.
pub(crate) fn server_certificate() -> &'static str {
    static PEM: OnceLock<String> = OnceLock::new();
    PEM.get_or_init(|| loginradius_conformance::tls::Tls::of(&["127.0.0.1"]).root().to_owned())
}

#[test]
fn what_a_line_has_to_be_like_is_checked() {
    for (line, is_good) in [
        ("the host is unknown: check it", true),
        ("the host is unknown: check it; 4 attempts were made", true),
        ("the host is unknown", false),
        ("unknown: the host is not known", false),
        ("failed; sign in again; sign in again", false),
        ("failed: check\nit", false),
    ] {
        assert_eq!(Said::line_of(line).problems().is_empty(), is_good, "{line}: {:?}", Said::line_of(line).problems());
    }
    assert!(!Said::line_of("failed: check it").without("check").problems().is_empty());
    let source = Error::configuration("failed because of that: check it");
    let repeated = Error::configuration("all failed because of that: check it").with_source(source);
    assert!(!Said::of(&repeated).problems().is_empty());
    let said = Said::line_of("http://127.0.0.1:123/ refused; wait at least 7 s").with("http", "scheme");
    assert_eq!(said.line(), "<scheme>://127.0.0.1:<port>/ refused; wait at least <seconds> s");
}
