//! Cases that need a process of their own: with environment variables, or in a file system of their own.

use std::process::Command;

use loginradius_conformance::child;

use crate::case::{Case, Said};

const TEST: &str = "messages::in_a_child";
const MARK: &str = "said: ";

/// Returns whether this is the child.
pub(crate) fn is_child() -> bool {
    child::argument().is_some()
}

/// Does the case that the parent has named, and prints what was said.
pub(crate) fn run() {
    let Some(argument) = child::argument() else { return };
    let (index, name) = argument.split_once(' ').unwrap();
    let mut cases = crate::environment::inner_cases().into_iter().chain(crate::files::inner_cases());
    let case = cases.find(|case| case.name == name).expect("a case");
    let said = case.run_one(index.parse().unwrap()).expect("an error");
    println!("{MARK}{}", serde_json::to_string(&said).unwrap());
}

/// Returns what is said in a child with these variables, by the first or the second client.
pub(crate) fn said(name: &str, index: usize, variables: &[(&str, &str)]) -> Said {
    said_by(&mut command(name, index, variables)).expect("a line of the child")
}

/// Makes the command of a child.
pub(crate) fn command(name: &str, index: usize, variables: &[(&str, &str)]) -> Command {
    child::run(TEST, || ());
    let mut command = child::command(&format!("{index} {name}"), &[]);
    command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").envs(variables.iter().copied());
    command
}

/// Runs that command. `None` if it did not come to the case.
pub(crate) fn said_by(command: &mut Command) -> Option<Said> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // The test harness begins the line.
    let json = text.lines().find_map(|line| line.split_once(MARK));
    assert!(json.is_some() || !text.contains("running 1 test"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(json?.1).ok()
}

/// Makes a case whose block is run with each client in a child, in which `variables` are set.
pub(crate) fn of_both(
    name: &'static str,
    variables: impl Fn() -> Vec<(&'static str, String)> + Send + Sync + Clone + 'static,
) -> Case {
    let run = move |index| {
        let variables = variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Some(said(name, index, &variables))
    };
    let other = run.clone();
    Case::of_both(name, move || run(0), move || other(1))
}
