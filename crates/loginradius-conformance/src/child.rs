//! The same test again in a process of its own, where the environment can be set.

use std::cell::RefCell;
use std::env;
use std::process::Command;

const ARGUMENT: &str = "LOGINRADIUS_CONFORMANCE_ARGUMENT";
/// Every variable that can name a proxy or an exception from it.
const PROXY_VARIABLES: [&str; 8] =
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"];

thread_local! {
    static NAME: RefCell<Option<&'static str>> = const { RefCell::new(None) };
}

/// Runs the case that the test of this name is made of.
pub fn run(name: &'static str, case: fn()) {
    // A test's name begins below its crate.
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    NAME.set(Some(name));
    case();
}

/// The argument that [`again`] was given, if this is the child.
pub(crate) fn argument() -> Option<String> {
    env::var(ARGUMENT).ok()
}

/// This test in a child that gets `argument`, and of all proxy variables only those in `variables`.
pub(crate) fn command(argument: &str, variables: &[(&str, &str)]) -> Command {
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
pub(crate) fn again(argument: &str, variables: &[(&str, &str)]) {
    let output = command(argument, variables).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "the child has no test {}: {text}", name());
}

fn name() -> &'static str {
    NAME.with_borrow(|name| name.expect("a case of the suite"))
}
