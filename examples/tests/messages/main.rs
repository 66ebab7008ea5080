//! The one line of an error for each mistake of newcomers and operators, against `examples/tests/messages.txt`.
//!
//! Each mistake is made as its user makes it: with a real socket, file, environment variable or command line. Where
//! both clients can be told of it, both are, and have to say the same.
//!
//! After a change of a message, write the file again, and read the lines that changed as a user in a hurry would:
//!
//!     MESSAGES_UPDATE=1 cargo test -p loginradius-example-tests --test messages

#[allow(dead_code, reason = "the adapters' own tests use the rest")]
#[path = "../../../crates/loginradius-async/tests/adapter/mod.rs"]
mod asynchronous;
#[allow(dead_code, reason = "the adapters' own tests use the rest")]
#[path = "../../../crates/loginradius-blocking/tests/adapter/mod.rs"]
mod blocking;
mod browser;
mod case;
mod child;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../common/mod.rs"]
mod common;
mod connecting;
mod devices;
mod environment;
mod files;
mod logins;
mod programs;
mod responses;
mod sessions;
mod settings;
mod tokens;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use case::{Case, Said};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/messages.txt");
const UPDATE: &str = "MESSAGES_UPDATE";
const HEAD: &str = "\
# What an error says about each mistake, in the order of the test's modules. Written by the test `messages`:
#     MESSAGES_UPDATE=1 cargo test -p loginradius-example-tests --test messages
# `<...>` stands for what differs between runs and machines.
";

/// All cases, in the order of the file.
fn cases() -> Vec<Case> {
    [
        settings::cases(),
        environment::cases(),
        connecting::cases(),
        responses::cases(),
        logins::cases(),
        devices::cases(),
        browser::cases(),
        sessions::cases(),
        files::cases(),
        tokens::cases(),
        programs::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn each_mistake_has_its_line() {
    if child::is_child() {
        return;
    }
    let cases = cases();
    let said = run_all(&cases);
    let mut problems = String::new();
    let mut lines = BTreeMap::new();
    for (case, said) in cases.iter().zip(&said) {
        let name = case.name;
        for (client, said) in said {
            for problem in said.problems() {
                writeln!(problems, "{name}{client}: {problem}:\n    {}", said.line()).unwrap();
            }
            match lines.entry(case.title(client)).or_insert_with(|| said.line()) {
                line if *line == said.line() => {}
                line => {
                    writeln!(problems, "{name}: the clients differ:\n    {line}\n    {}", said.line()).unwrap();
                }
            }
        }
    }
    let golden = fs::read_to_string(FILE).unwrap_or_default();
    let before = read(&golden);
    // This machine cannot make every mistake: what it leaves out stays as it is.
    let line = |title: &str| lines.get(title).or_else(|| before.get(title));
    let titles = cases.iter().flat_map(Case::titles);
    let now = titles.filter_map(|title| Some(format!("\n{title}\n    {}\n", line(&title)?)));
    let now = format!("{HEAD}{}", now.collect::<String>());
    if std::env::var_os(UPDATE).is_some() {
        fs::write(FILE, &now).unwrap();
    } else if golden != now {
        let after = read(&now);
        for (name, line) in &after {
            match before.get(name) {
                Some(known) if known == line => {}
                known => {
                    let known = known.map_or("", String::as_str);
                    writeln!(problems, "{name}: another line than in {FILE}:\n  - {known}\n  + {line}").unwrap();
                }
            }
        }
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            writeln!(problems, "{name}: in {FILE}, and no case any more").unwrap();
        }
        writeln!(problems, "to write the file again, set {UPDATE}=1").unwrap();
    }
    assert!(problems.is_empty(), "\n{problems}");
}

#[test]
fn there_are_many_mistakes_and_no_two_of_a_name() {
    let mut names: Vec<_> = cases().iter().map(|case| case.name).collect();
    assert!(names.len() >= 80, "{}", names.len());
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// Does what a child process is for. Without one it does nothing.
#[test]
fn in_a_child() {
    child::run();
}

/// Returns what each client said in each case, some cases at a time: most of them wait.
fn run_all(cases: &[Case]) -> Vec<Vec<(&'static str, Said)>> {
    let next = AtomicUsize::new(0);
    let said: Vec<_> = cases.iter().map(|_| Mutex::new(Vec::new())).collect();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let index = cases.iter().position(|other| std::ptr::eq(other, case)).unwrap();
                    *said[index].lock().unwrap() = case.run();
                }
            });
        }
    });
    said.into_iter().map(|said| said.into_inner().unwrap()).collect()
}

/// Reads the lines of the file by the names of their cases.
fn read(golden: &str) -> BTreeMap<&str, String> {
    let mut lines = BTreeMap::new();
    let mut name = "";
    for text in golden.lines().filter(|text| !text.is_empty() && !text.starts_with('#')) {
        match text.strip_prefix("    ") {
            Some(line) => {
                lines.insert(name, line.to_owned());
            }
            None => name = text,
        }
    }
    lines
}
