//! Runs the same test again in a child process, where environment variables can be set.

use std::cell::RefCell;
use std::env;
use std::process::Command;

const ARGUMENT: &str = "LOGINRADIUS_CONFORMANCE_ARGUMENT";
/// All variables that can name a proxy or its exceptions.
const PROXY_VARIABLES: [&str; 8] =
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"];

thread_local! {
    static NAME: RefCell<Option<&'static str>> = const { RefCell::new(None) };
}

/// Runs the case of the test of that name.
pub fn run(name: &'static str, case: fn()) {
    // The test's name has no crate in front.
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    NAME.set(Some(name));
    case();
}

/// Returns the argument of [`command`], if this is the child.
#[must_use]
pub fn argument() -> Option<String> {
    env::var(ARGUMENT).ok()
}

/// Makes the command that runs this test in a child with `argument`, and with no proxy variables but `variables`.
///
/// # Panics
///
/// Unless it is called in a test that [`run`] began.
#[must_use]
pub fn command(argument: &str, variables: &[(&str, &str)]) -> Command {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args([name(), "--exact", "--nocapture"]).env(ARGUMENT, argument);
    for variable in PROXY_VARIABLES {
        child.env_remove(variable);
    }
    child.envs(variables.iter().copied());
    child
}

/// Runs the [`command`].
///
/// # Panics
///
/// If the child fails.
pub(crate) fn run_again(argument: &str, variables: &[(&str, &str)]) {
    let output = command(argument, variables).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "the child has no test {}: {text}", name());
}

fn name() -> &'static str {
    NAME.with_borrow(|name| name.expect("a case of the suite"))
}
