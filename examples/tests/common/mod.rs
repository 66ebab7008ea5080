//! Runs an example as a user does, and reads what it prints.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use loginradius_emulator::{Emulator, seeded};
use serde_json::Value;

/// How long a test waits for anything; a slow machine needs far less.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(20);

const EXAMPLES: [&str; 14] = [
    "device_login",
    "async_device_login",
    "desktop_login",
    "web_login",
    "own_endpoint",
    "own_store",
    "own_transport",
    "password_login",
    "authorization_code",
    "refresh_and_revoke",
    "jwt",
    "session",
    "shared_session",
    "session_storm",
];

/// An example that is running. It is killed when it is dropped.
pub(crate) struct Example {
    pub(crate) child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    /// The lines that were read until now.
    pub(crate) stdout: String,
}

/// An example that has ended.
pub(crate) struct Ended {
    pub(crate) success: bool,
    /// All that it has printed, including the events that were read before.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Example {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_in(name, arguments, &[])
    }

    /// Starts it with these environment variables, and none of the test's own.
    pub(crate) fn start_in(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::run(command(name).args(arguments).envs(environment.iter().copied()), "")
    }

    /// Runs the command with that input.
    pub(crate) fn run(command: &mut Command, input: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the example starts");
        let (mut stdin, stdout, mut stderr) =
            (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
        // Most examples do not read, and may have ended already.
        let _ = stdin.write_all(input.as_bytes());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if sender.send(line.expect("UTF-8 on stdout")).is_err() {
                    return;
                }
            }
        });
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("UTF-8 on stderr");
            text
        });
        Self { child, lines, stderr: Some(stderr), stdout: String::new() }
    }

    /// Returns the next line that it prints; `None` at the end.
    pub(crate) fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(MAX_WAIT) {
            Ok(line) => {
                self.stdout += &line;
                self.stdout.push('\n');
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the example prints nothing more, after: {}", self.stdout),
        }
    }

    /// Returns the next event of one that runs with `--json`.
    pub(crate) fn event(&mut self) -> Value {
        let line = self.line();
        let line = line.unwrap_or_else(|| panic!("the example has ended: {}", self.stderr()));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
    }

    /// Waits until it ends.
    pub(crate) fn end(mut self) -> Ended {
        while self.line().is_some() {}
        let status = self.child.wait().expect("the example ends");
        Ended { success: status.success(), stdout: std::mem::take(&mut self.stdout), stderr: self.stderr() }
    }

    fn stderr(&mut self) -> String {
        self.stderr.take().map(|thread| thread.join().unwrap()).unwrap_or_default()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Returns what was printed with `--json`: one object a line and nothing else.
    pub(crate) fn events(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Returns the names of the events, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.events().iter().map(|event| text(event, "event")).collect()
    }

    /// Returns the kind and the message of the event `error`, of which there must be one, as the last event.
    #[track_caller]
    pub(crate) fn error(&self) -> (String, String) {
        assert!(!self.success, "the exit status says success: {}", self.stdout);
        assert_eq!(self.stderr, "");
        let events = self.events();
        let (last, others) = events.split_last().expect("an event");
        assert_eq!(last["event"], "error");
        assert!(others.iter().all(|event| event["event"] != "error"), "more than one error: {}", self.stdout);
        (text(last, "kind"), text(last, "message"))
    }
}

/// Returns a field of an event that is a string.
#[track_caller]
pub(crate) fn text(event: &Value, field: &str) -> String {
    event[field].as_str().unwrap_or_else(|| panic!("{field} is no string in {event}")).to_owned()
}

/// Returns the options for an example that uses this emulator as its service.
pub(crate) fn service(emulator: &Emulator) -> [&str; 10] {
    [
        "--base-url",
        emulator.base_url(),
        "--client-id",
        seeded::OTHER_CLIENT_ID,
        "--client-secret",
        seeded::OTHER_CLIENT_SECRET,
        "--oauth-app",
        seeded::OAUTH_APP,
        "--jwt-app",
        seeded::JWT_APP,
    ]
}

/// Returns an example's program, without environment variables.
pub(crate) fn command(name: &str) -> Command {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let test = env::current_exe().expect("the test's own path");
        let profile = test.ancestors().nth(2).expect("<profile>/deps/<test>").to_owned();
        let folder = profile.join("examples");
        if !is_fresh(&folder) {
            build(&profile);
        }
        folder
    });
    let mut command = Command::new(folder.join(format!("{name}{}", env::consts::EXE_SUFFIX)));
    command.env_clear();
    if let Some(root) = env::var_os("SystemRoot") {
        command.env("SystemRoot", root); // Windows has no sockets without it
    }
    command
}

/// Returns whether the examples are built from the present sources: `cargo test` builds them, `cargo test --test ...`
/// does not.
fn is_fresh(folder: &Path) -> bool {
    let written = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    EXAMPLES.iter().all(|name| {
        let built = written(&folder.join(format!("{name}{}", env::consts::EXE_SUFFIX)));
        let sources = fs::read_to_string(folder.join(format!("{name}.d"))).unwrap_or_default();
        let mut sources = sources.split_whitespace().skip(1).peekable();
        built.is_some()
            && sources.peek().is_some()
            && sources.all(|source| written(Path::new(source)).is_some_and(|at| Some(at) <= built))
    })
}

fn build(profile: &Path) {
    let name = match profile.file_name().and_then(|name| name.to_str()).expect("a profile's name") {
        "debug" => "dev",
        name => name,
    };
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "loginradius-examples", "--all-features", "--examples"])
        .args(["--profile", name, "--target-dir"])
        .arg(profile.parent().expect("the target folder"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.is_ok_and(|status| status.success()), "the examples do not build");
}
